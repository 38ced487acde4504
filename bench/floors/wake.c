/*
 * The floor of a round trip between two threads that sleep in the kernel
 * before each message: two wakes.
 *
 *     wake round_trip mode=sleep [by=eventfd] [seconds=1]
 *
 * by=eventfd: a blocking read. by=uring: a message to the other's ring, which
 * waits for it, submitted by the call that waits for the answer. by=futex: a
 * word in memory. The number that travels is in a cell that both share; with
 * by=uring it is in the message.
 *
 * Neither side looks before it sleeps. One that has just woken the other may
 * still be on its way to sleep when the answer comes, and is then not woken:
 * so it is with every ping-pong, and the answer takes far longer than that.
 * `sleeps` tells how often the two went to sleep for each trip: 2 is always.
 *
 * The threads pin themselves to the first two cores that are allowed.
 */
#include "common.h"

#include <liburing.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { THERE, BACK, SIDE_COUNT };

/* How one side tells the other and waits for it. */
struct way {
    const char *name;
    void (*open)(int side); /* on the side's own thread */
    void (*send)(int side, uint64_t number);
    uint64_t (*receive)(int side);
    void (*end)(int side); /* after the last message; NULL: nothing */
};

/* What a side waits at. */
static struct {
    _Alignas(128) _Atomic uint64_t number;
    _Atomic uint32_t word; /* futex: counts what came */
    uint32_t seen;
    int event;
    struct io_uring ring;
} sides[SIDE_COUNT];

static const struct way *way;
static pthread_barrier_t both_open;
static uint64_t sleeps[SIDE_COUNT];

static int other(int side) { return side == THERE ? BACK : THERE; }

/* ---- eventfd ---- */

static void open_event(int side) { sides[side].event = check(eventfd(0, 0), "eventfd"); }

static void send_event(int side, uint64_t number)
{
    const uint64_t one = 1;
    atomic_store_explicit(&sides[other(side)].number, number, memory_order_release);
    if (write(sides[other(side)].event, &one, sizeof one) != sizeof one)
        fail("write: %s", strerror(errno));
}

static uint64_t receive_event(int side)
{
    uint64_t count;
    if (read(sides[side].event, &count, sizeof count) != sizeof count)
        fail("read: %s", strerror(errno));
    return atomic_load_explicit(&sides[side].number, memory_order_acquire);
}

/* ---- io_uring ---- */

static void open_ring(int side)
{
    struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN};
    int result = io_uring_queue_init_params(8, &sides[side].ring, &params);
    if (result < 0) {
        fprintf(stderr, "io_uring: %s\n", strerror(-result));
        exit(STATUS_NOT_HERE);
    }
    if (io_uring_register_ring_fd(&sides[side].ring) < 0)
        fail("the ring's descriptor can't be registered");
}

/* It leaves with the next wait. Only a failure is told here. */
static void send_ring(int side, uint64_t number)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&sides[side].ring);
    io_uring_prep_msg_ring(sqe, sides[other(side)].ring.ring_fd, 0, number, 0);
    io_uring_sqe_set_data64(sqe, UINT64_MAX);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
}

static uint64_t receive_ring(int side)
{
    struct io_uring *ring = &sides[side].ring;
    struct io_uring_cqe *cqe = NULL;
    int result = io_uring_submit_and_wait(ring, 1);
    if (result < 0)
        fail("io_uring_enter: %s", strerror(-result));
    if (io_uring_peek_cqe(ring, &cqe) != 0 || cqe->res != 0)
        fail("a message to a ring failed");
    uint64_t number = io_uring_cqe_get_data64(cqe);
    io_uring_cqe_seen(ring, cqe);
    return number;
}

/* The last answer has not left. */
static void end_ring(int side)
{
    if (io_uring_submit(&sides[side].ring) != 1)
        fail("a message to a ring failed");
}

/* ---- futex ---- */

static void open_futex(int side) { sides[side].seen = 0; }

static void send_futex(int side, uint64_t number)
{
    int to = other(side);
    atomic_store_explicit(&sides[to].number, number, memory_order_relaxed);
    atomic_fetch_add_explicit(&sides[to].word, 1, memory_order_release);
    check((int)syscall(SYS_futex, &sides[to].word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), "futex");
}

static uint64_t receive_futex(int side)
{
    /* Does not sleep where the word has changed. */
    while (atomic_load_explicit(&sides[side].word, memory_order_acquire) == sides[side].seen) {
        if (syscall(SYS_futex, &sides[side].word, FUTEX_WAIT_PRIVATE, sides[side].seen, NULL, NULL, 0) < 0 &&
            errno != EAGAIN && errno != EINTR)
            fail("futex: %s", strerror(errno));
    }
    sides[side].seen++;
    return atomic_load_explicit(&sides[side].number, memory_order_relaxed);
}

static const struct way ways[] = {
    {.name = "eventfd", .open = open_event, .send = send_event, .receive = receive_event},
    {.name = "uring", .open = open_ring, .send = send_ring, .receive = receive_ring, .end = end_ring},
    {.name = "futex", .open = open_futex, .send = send_futex, .receive = receive_futex},
};

/* ---- The two sides ---- */

static uint64_t slept(void)
{
    struct rusage usage;
    check(getrusage(RUSAGE_THREAD, &usage), "getrusage");
    return (uint64_t)usage.ru_nvcsw;
}

static void open_side(int side)
{
    pin_to_allowed_core(side);
    way->open(side);
    pthread_barrier_wait(&both_open);
}

static void *answer(void *of)
{
    (void)of;
    open_side(BACK);
    uint64_t before = slept(), number;
    do {
        number = way->receive(BACK);
        way->send(BACK, number + 1);
    } while (number != 0);
    if (way->end != NULL)
        way->end(BACK);
    sleeps[BACK] = slept() - before;
    return NULL;
}

static uint64_t trip(uint64_t number)
{
    uint64_t begun_ns = now_ns();
    way->send(THERE, number);
    uint64_t back = way->receive(THERE);
    uint64_t trip_ns = now_ns() - begun_ns;
    if (back != number + 1)
        fail("%llu was sent, and %llu came back", (unsigned long long)number, (unsigned long long)back);
    return trip_ns;
}

static void run(double seconds)
{
    static struct histogram histogram;
    pthread_t peer;
    uint64_t number = 1;
    if (pthread_barrier_init(&both_open, NULL, SIDE_COUNT) != 0 || pthread_create(&peer, NULL, answer, NULL) != 0)
        fail("a thread can't be started");
    open_side(THERE);
    uint64_t before = slept(), end_ns = now_ns() + warm_up_ns;
    while (now_ns() < end_ns)
        trip(number++);
    end_ns = now_ns() + (uint64_t)(seconds * 1e9);
    while (now_ns() < end_ns)
        histogram_add(&histogram, trip(number++));
    trip(0);
    sleeps[THERE] = slept() - before;
    pthread_join(peer, NULL);
    figure("p50_ns", (double)histogram_quantile(&histogram, 0.5));
    figure("p99_ns", (double)histogram_quantile(&histogram, 0.99));
    figure("mean_ns", histogram_mean(&histogram));
    figure("sleeps", (double)(sleeps[THERE] + sleeps[BACK]) / (double)number);
}

int main(int argc, char **argv)
{
    struct parameters given = {.count = argc - 2, .texts = argv + 2};
    const char *workload = argc > 1 ? argv[1] : "";
    if (!is_text(workload, "round_trip") || !is_text(parameter(&given, "mode", "sleep"), "sleep"))
        not_here(workload);
    const char *by = parameter(&given, "by", "eventfd");
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        if (is_text(by, ways[i].name))
            way = &ways[i];
    }
    if (way == NULL)
        not_here(by);
    run(real_parameter(&given, "seconds", 1));
    return 0;
}
