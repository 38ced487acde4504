/*
 * The floor of messages between two threads that stay awake.
 *
 *     ring stream [publish=64] [seconds=1]
 *     ring round_trip mode=spin [seconds=1]
 *
 * A ring of 1,024 envelopes of 128 bytes with one sender and one receiver. An
 * envelope is written and read where it lies. Each side has a line of its own
 * for what it has done, and remembers what it last saw of the other side, so
 * it looks there only when the ring seems to be full or empty. The sender tells
 * of its envelopes each `publish`; the receiver gives back what it took each
 * 128, and when there seems to be no more. Both wait awake.
 *
 * The receiver writes a word into each envelope that it takes. That makes the
 * line its own, and for the sender it is much faster to take a line back that
 * another core owns alone than one that both share: 3 ns against 10 on one
 * processor, and four times the messages.
 *
 * round_trip is an envelope there through one ring, and back through another;
 * each trip's time is taken with the processor's own counter.
 *
 * The threads pin themselves to the first two cores that are allowed.
 */
#include "common.h"

#include <stdatomic.h>

enum {
    RING_SIZE = 1024,
    PAYLOAD_SIZE = 96,
    TAKEN = 0,
    TAG_NUMBER,
    GIVE_BACK_COUNT = 128,
    STREAM_BATCH = 65536,
    TRIP_BATCH = 2000,
};

struct envelope {
    uint64_t source, destination;
    uint32_t tag, size;
    uint64_t unused;
    _Alignas(8) uint8_t payload[PAYLOAD_SIZE];
};

_Static_assert(sizeof(struct envelope) == 128, "an envelope is two lines");

/* Positions only grow; a place in the ring is a position modulo its size. */
struct ring {
    _Alignas(128) _Atomic uint64_t published; /* written by the sender */
    uint64_t filled, seen_taken;              /* the sender's own */
    _Alignas(128) _Atomic uint64_t taken;     /* written by the receiver */
    uint64_t emptied, seen_published;         /* the receiver's own */
    _Alignas(128) struct envelope envelopes[RING_SIZE];
};

static struct ring rings[2]; /* there, and back */
static uint64_t publish = 64;
static atomic_bool stops;
static uint64_t failures;

/* ---- The sender's side ---- */

/* Pairs with the receiver's acquire: who sees the position sees the envelopes before it. */
static inline void publish_filled(struct ring *ring)
{
    atomic_store_explicit(&ring->published, ring->filled, memory_order_release);
}

/* Acquire pairs with the receiver's release: it has read what is written over now. */
static inline bool is_full(struct ring *ring)
{
    if (ring->filled - ring->seen_taken < RING_SIZE)
        return false;
    ring->seen_taken = atomic_load_explicit(&ring->taken, memory_order_acquire);
    return ring->filled - ring->seen_taken == RING_SIZE;
}

static inline void fill(struct ring *ring, uint64_t value)
{
    struct envelope *envelope = &ring->envelopes[ring->filled % RING_SIZE];
    envelope->source = 1;
    envelope->destination = 2;
    envelope->tag = TAG_NUMBER;
    envelope->size = sizeof value;
    memcpy(envelope->payload, &value, sizeof value);
    ring->filled++;
}

/* ---- The receiver's side ---- */

static inline void give_back(struct ring *ring) { atomic_store_explicit(&ring->taken, ring->emptied, memory_order_release); }

static inline bool is_empty(struct ring *ring)
{
    if (ring->emptied != ring->seen_published)
        return false;
    ring->seen_published = atomic_load_explicit(&ring->published, memory_order_acquire);
    return ring->emptied == ring->seen_published;
}

static inline uint64_t take(struct ring *ring)
{
    struct envelope *envelope = &ring->envelopes[ring->emptied % RING_SIZE];
    uint64_t value;
    memcpy(&value, envelope->payload, sizeof value);
    failures += envelope->tag != TAG_NUMBER || envelope->size != sizeof value;
    envelope->tag = TAKEN;
    ring->emptied++;
    return value;
}

/* ---- Stream ---- */

static void *send_numbers(void *of)
{
    (void)of;
    struct ring *ring = &rings[0];
    pin_to_allowed_core(1);
    for (uint64_t number = 0;; number++) {
        if (is_full(ring)) {
            publish_filled(ring);
            do {
                if (atomic_load_explicit(&stops, memory_order_relaxed))
                    return NULL;
                relax();
            } while (is_full(ring));
        }
        fill(ring, number);
        if (ring->filled % publish == 0)
            publish_filled(ring);
    }
}

/* Takes the numbers in order, or counts what is wrong. */
static uint64_t receive_batch(void *of)
{
    struct ring *ring = of;
    for (uint64_t i = 0; i < STREAM_BATCH; i++) {
        if (is_empty(ring)) {
            give_back(ring);
            while (is_empty(ring))
                relax();
        }
        uint64_t expected = ring->emptied;
        failures += take(ring) != expected;
        if (ring->emptied % GIVE_BACK_COUNT == 0)
            give_back(ring);
    }
    give_back(ring);
    return STREAM_BATCH;
}

static void run_stream(double seconds)
{
    pthread_t sender;
    pin_to_allowed_core(0);
    if (pthread_create(&sender, NULL, send_numbers, NULL) != 0)
        fail("a thread can't be started");
    double rate = measure_rate(seconds, receive_batch, &rings[0]);
    atomic_store_explicit(&stops, true, memory_order_relaxed);
    pthread_join(sender, NULL);
    figure("rate", rate);
}

/* ---- Round trip ---- */

static inline void send_one(struct ring *ring, uint64_t value)
{
    while (is_full(ring))
        relax();
    fill(ring, value);
    publish_filled(ring);
}

/* Looks again at once: a pause would be part of the trip. */
static inline uint64_t receive_one(struct ring *ring)
{
    while (is_empty(ring))
        ;
    uint64_t value = take(ring);
    give_back(ring);
    return value;
}

static void *answer(void *of)
{
    (void)of;
    pin_to_allowed_core(1);
    uint64_t value;
    do {
        value = receive_one(&rings[0]);
        send_one(&rings[1], value + 1);
    } while (value != UINT64_MAX);
    return NULL;
}

struct trips {
    uint64_t number;
    struct histogram histogram; /* of ticks */
};

static uint64_t make_trips(void *of)
{
    struct trips *trips = of;
    for (int i = 0; i < TRIP_BATCH; i++) {
        uint64_t begun = ticks();
        send_one(&rings[0], trips->number);
        uint64_t back = receive_one(&rings[1]);
        histogram_add(&trips->histogram, ticks() - begun);
        failures += back != ++trips->number;
    }
    return TRIP_BATCH;
}

/* Measuring for no time warms up: those trips are left out. */
static void run_round_trip(double seconds)
{
    static struct trips trips;
    pthread_t peer;
    pin_to_allowed_core(0);
    if (pthread_create(&peer, NULL, answer, NULL) != 0)
        fail("a thread can't be started");
    measure_rate(0, make_trips, &trips);
    trips.histogram = (struct histogram){0};
    uint64_t begun_ns = now_ns(), begun = ticks();
    do
        make_trips(&trips);
    while ((double)(now_ns() - begun_ns) < seconds * 1e9);
    double tick_ns = (double)(now_ns() - begun_ns) / (double)(ticks() - begun);
    send_one(&rings[0], UINT64_MAX);
    pthread_join(peer, NULL);
    figure("p50_ns", (double)histogram_quantile(&trips.histogram, 0.5) * tick_ns);
    figure("p99_ns", (double)histogram_quantile(&trips.histogram, 0.99) * tick_ns);
    figure("mean_ns", histogram_mean(&trips.histogram) * tick_ns);
}

int main(int argc, char **argv)
{
    struct parameters given = {.count = argc - 2, .texts = argv + 2};
    const char *workload = argc > 1 ? argv[1] : "";
    double seconds = real_parameter(&given, "seconds", 1);
    publish = count_parameter(&given, "publish", 1, RING_SIZE, 64);
    if (is_text(workload, "stream"))
        run_stream(seconds);
    else if (is_text(workload, "round_trip") && is_text(parameter(&given, "mode", "spin"), "spin"))
        run_round_trip(seconds);
    else
        not_here(workload);
    if (failures > 0)
        fail("%s: %llu messages were lost or wrong", workload, (unsigned long long)failures);
    return 0;
}
