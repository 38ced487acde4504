/*
 * The floor of messages on one thread: an actor system reduced to the bone.
 *
 *     envelope bounce|bounce_types|call|spawn [seconds=1]
 *     envelope ring [isolates=1000] [tokens=100] [seconds=1]
 *
 * A message is an envelope of 128 bytes from a pool, linked through itself
 * into one FIFO queue. A receiver is a record of 64 bytes with a handler, found
 * by its number. Dispatch takes the oldest envelope, calls its receiver's
 * handler through the record, and puts the envelope back. A handler takes a
 * fresh envelope, fills it and queues it. The queue is of envelopes, not of
 * receivers that are ready: that is one link a message less.
 *
 * What it leaves out is what a runtime adds: limits, dead receivers, faults,
 * fairness, time. The next envelope's receiver is fetched ahead (prefetch=0:
 * not), which matters where there are more receivers than the cache holds.
 */
#include "common.h"

enum {
    PAYLOAD_SIZE = 96,
    BATCH_COUNT = 50000,
    TAG_BALL = 1,
    TAG_REQUEST,
    TAG_REPLY,
    TAG_RESUME,
    PARENT = 0,
    FIRST_CHILD,
    CHILD_COUNT = 1000,
};

struct envelope {
    struct envelope *next;
    uint64_t source, destination;
    uint32_t tag, size;
    _Alignas(8) uint8_t payload[PAYLOAD_SIZE];
};

struct receiver {
    void (*handler)(struct receiver *self, const struct envelope *envelope);
    uint64_t number;
    uint64_t neighbour;
    uint64_t handled;
    uint64_t expected;     /* where it knows what must come */
    struct receiver *next; /* of a slot that is free */
    uint64_t unused[2];    /* a whole line */
};

_Static_assert(sizeof(struct envelope) == 128, "an envelope is two lines");
_Static_assert(sizeof(struct receiver) == CACHE_LINE_SIZE, "a receiver is one line");

static struct receiver *receivers;
static struct envelope *free_envelopes;
static struct envelope *queue_first, **queue_end = &queue_first;
static struct receiver *free_children;
static uint64_t pairs, lives, failures;
static bool prefetches = true;

/* ---- The system ---- */

static inline void post(uint64_t source, uint64_t destination, uint32_t tag, uint64_t value)
{
    struct envelope *envelope = free_envelopes;
    free_envelopes = envelope->next;
    envelope->next = NULL;
    envelope->source = source;
    envelope->destination = destination;
    envelope->tag = tag;
    envelope->size = sizeof value;
    memcpy(envelope->payload, &value, sizeof value);
    *queue_end = envelope;
    queue_end = &envelope->next;
}

static inline uint64_t value_of(const struct envelope *envelope)
{
    uint64_t value;
    memcpy(&value, envelope->payload, sizeof value);
    return value;
}

static void dispatch(uint64_t count)
{
    while (count-- > 0) {
        struct envelope *envelope = queue_first;
        queue_first = envelope->next;
        if (queue_first == NULL)
            queue_end = &queue_first;
        else if (prefetches)
            __builtin_prefetch(&receivers[queue_first->destination], 1);
        struct receiver *receiver = &receivers[envelope->destination];
        receiver->handler(receiver, envelope);
        envelope->next = free_envelopes;
        free_envelopes = envelope;
    }
}

static void *aligned(size_t count, size_t size)
{
    void *memory = aligned_alloc(CACHE_LINE_SIZE, count * size);
    if (memory == NULL)
        fail("there is no memory for %zu of %zu bytes", count, size);
    memset(memory, 0, count * size);
    return memory;
}

static void make(uint64_t receiver_count, uint64_t envelope_count)
{
    receivers = aligned(receiver_count, sizeof *receivers);
    struct envelope *envelopes = aligned(envelope_count, sizeof *envelopes);
    for (uint64_t i = 0; i < receiver_count; i++)
        receivers[i].number = i;
    for (uint64_t i = envelope_count; i-- > 0; free_envelopes = &envelopes[i])
        envelopes[i].next = free_envelopes;
}

/* ---- Bounce: each knows which number comes next ---- */

static inline void bounce(struct receiver *self, const struct envelope *envelope, uint32_t tag)
{
    uint64_t value = value_of(envelope);
    failures += value != self->expected;
    self->expected = value + 2;
    self->handled++;
    post(self->number, envelope->source, tag, value + 1);
}

static void handle_ball(struct receiver *self, const struct envelope *envelope) { bounce(self, envelope, TAG_BALL); }

/* Of another type: it must not be the same code. */
static void handle_ball_otherwise(struct receiver *self, const struct envelope *envelope)
{
    bounce(self, envelope, TAG_BALL + (uint32_t)(self->handled & 1));
}

static uint64_t run_batch(void *of)
{
    (void)of;
    dispatch(BATCH_COUNT);
    return BATCH_COUNT;
}

static double run_bounce(double seconds, bool of_types)
{
    make(2, 8);
    receivers[0].handler = handle_ball;
    receivers[1].handler = of_types ? handle_ball_otherwise : handle_ball;
    receivers[1].expected = 1;
    post(1, 0, TAG_BALL, 0);
    return measure_rate(seconds, run_batch, NULL);
}

/* ---- Ring: a token counts its hops ---- */

static void handle_token(struct receiver *self, const struct envelope *envelope)
{
    self->handled++;
    post(self->number, self->neighbour, TAG_BALL, value_of(envelope) + 1);
}

/* All that was handled, all that the tokens counted and all that was dispatched must be the same. */
static void check_ring(uint64_t isolates, uint64_t tokens, uint64_t dispatched)
{
    uint64_t handled = 0, hops = 0, found = 0;
    for (uint64_t i = 0; i < isolates; i++)
        handled += receivers[i].handled;
    for (struct envelope *envelope = queue_first; envelope != NULL; envelope = envelope->next, found++)
        hops += value_of(envelope);
    failures += handled != dispatched || hops != dispatched || found != tokens;
}

static uint64_t run_ring_batch(void *of)
{
    *(uint64_t *)of += BATCH_COUNT;
    return run_batch(NULL);
}

static double run_ring(double seconds, uint64_t isolates, uint64_t tokens)
{
    make(isolates, tokens + 1);
    for (uint64_t i = 0; i < isolates; i++) {
        receivers[i].handler = handle_token;
        receivers[i].neighbour = i + 1 < isolates ? i + 1 : 0;
    }
    for (uint64_t i = 0; i < tokens; i++)
        post(0, i * isolates / tokens, TAG_BALL, 0);
    uint64_t dispatched = 0;
    double rate = measure_rate(seconds, run_ring_batch, &dispatched);
    check_ring(isolates, tokens, dispatched);
    return rate;
}

/* ---- Call: a request, and the reply that carries its number ---- */

static void handle_request(struct receiver *self, const struct envelope *envelope)
{
    failures += envelope->tag != TAG_REQUEST;
    self->handled++;
    post(self->number, envelope->source, TAG_REPLY, value_of(envelope));
}

static void handle_reply(struct receiver *self, const struct envelope *envelope)
{
    failures += envelope->tag != TAG_REPLY || value_of(envelope) != self->expected;
    pairs++;
    post(self->number, self->neighbour, TAG_REQUEST, ++self->expected);
}

static uint64_t run_call_batch(void *of)
{
    uint64_t before = pairs;
    run_batch(of);
    return pairs - before;
}

static double run_call(double seconds)
{
    make(2, 8);
    receivers[0].handler = handle_reply;
    receivers[0].neighbour = 1;
    receivers[1].handler = handle_request;
    post(0, 1, TAG_REQUEST, 0);
    double rate = measure_rate(seconds, run_call_batch, NULL);
    failures += receivers[1].handled != pairs && receivers[1].handled != pairs + 1;
    return rate;
}

/* ---- Spawn: a parent, one short-lived child after the other ---- */

static void handle_life(struct receiver *self, const struct envelope *envelope)
{
    failures += value_of(envelope) != self->expected;
    self->handled++;
    lives++;
    self->handler = NULL;
    self->next = free_children;
    free_children = self;
}

static void init_child(struct receiver *self, uint64_t argument)
{
    self->handler = handle_life;
    self->expected = argument;
    post(self->number, self->number, TAG_RESUME, argument);
}

/* As a type's init would be: looked up, not known. */
static void (*volatile init_of_type)(struct receiver *self, uint64_t argument) = init_child;

/* The child comes first in the queue, then the parent again. */
static void handle_parent(struct receiver *self, const struct envelope *envelope)
{
    failures += self->handled != lives;
    self->handled++;
    struct receiver *child = free_children;
    free_children = child->next;
    init_of_type(child, self->handled);
    post(self->number, self->number, envelope->tag, self->handled);
}

static uint64_t run_spawn_batch(void *of)
{
    uint64_t before = lives;
    run_batch(of);
    return lives - before;
}

static double run_spawn(double seconds)
{
    make(FIRST_CHILD + CHILD_COUNT, 8);
    receivers[PARENT].handler = handle_parent;
    for (uint64_t i = FIRST_CHILD; i < FIRST_CHILD + CHILD_COUNT; free_children = &receivers[i++])
        receivers[i].next = free_children;
    post(PARENT, PARENT, TAG_RESUME, 0);
    return measure_rate(seconds, run_spawn_batch, NULL);
}

int main(int argc, char **argv)
{
    struct parameters given = {.count = argc - 2, .texts = argv + 2};
    const char *workload = argc > 1 ? argv[1] : "";
    double seconds = real_parameter(&given, "seconds", 1), rate;
    prefetches = count_parameter(&given, "prefetch", 0, 1, 1) != 0;
    if (is_text(workload, "bounce"))
        rate = run_bounce(seconds, false);
    else if (is_text(workload, "bounce_types"))
        rate = run_bounce(seconds, true);
    else if (is_text(workload, "ring")) {
        uint64_t isolates = count_parameter(&given, "isolates", 1, 1u << 28, 1000);
        rate = run_ring(seconds, isolates, count_parameter(&given, "tokens", 1, 1u << 28, 100));
    } else if (is_text(workload, "call"))
        rate = run_call(seconds);
    else if (is_text(workload, "spawn"))
        rate = run_spawn(seconds);
    else
        not_here(workload);
    if (failures > 0)
        fail("%s: %llu messages were lost or wrong", workload, (unsigned long long)failures);
    figure("rate", rate);
    return 0;
}
