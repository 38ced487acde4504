/*
 * The whole way of waking: two producers publish and ring, the consumer sleeps
 * in the kernel when it finds nothing. A lost wake-up is a sleep that its
 * watchdog ends although a bit is set.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/prng.h"
#include "mem/doorbell.h"

#define PRODUCER_COUNT 2
#define WATCHDOG_MS    10000

#if defined(__SANITIZE_THREAD__)
#define ROUND_COUNT 200000u
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define ROUND_COUNT 200000u
#endif
#endif
#ifndef ROUND_COUNT
#define ROUND_COUNT 1000000u
#endif

typedef struct ring_thread {
    pthread_t thread;
    uint32_t bit;       /* which one it rings */
    uint32_t ahead_max; /* how many rounds it may be ahead: with 1, each of them finds the consumer about to sleep */
    uint32_t wakes;
    char line0[TINA__CACHE_LINE];
    _Atomic uint32_t published;
    char line1[TINA__CACHE_LINE];
    _Atomic uint32_t consumed;
    char line2[TINA__CACHE_LINE];
} ring_thread;

static tina__doorbell bell;
static ring_thread sides[PRODUCER_COUNT];

/* The consumer's counts. */
static uint32_t announced, slept, stayed, lost, failed;
static bool is_stopped;
static _Atomic bool has_given_up; /* and the producers need not wait for it */

static void ring(uint32_t bit, uint32_t *wakes)
{
    if (!tina__doorbell_ring(&bell, bit))
        return;
    uint64_t one = 1;
    ++*wakes;
    if (write(bell.wake_fd, &one, sizeof one) != sizeof one)
        abort();
}

static void wait_for_room(ring_thread *side, uint32_t round)
{
    uint32_t spins = 0;
    while (round - atomic_load_explicit(&side->consumed, memory_order_acquire) > side->ahead_max) {
        if (atomic_load_explicit(&has_given_up, memory_order_relaxed))
            return;
        if (++spins % 256 == 0)
            sched_yield();
    }
}

static void *produce(void *argument)
{
    ring_thread *side = argument;
    tina__prng prng;
    tina__prng_seed(&prng, side->bit);
    for (uint32_t round = 1; round <= ROUND_COUNT; round++) {
        wait_for_room(side, round);
        for (uint64_t pause = tina__prng_below(&prng, 64); pause != 0; pause--)
            atomic_signal_fence(memory_order_seq_cst); /* rings fall before, into and after the announcement */
        atomic_store_explicit(&side->published, round, memory_order_release);
        ring(side->bit, &side->wakes);
    }
    return NULL;
}

static void take_rung(uint32_t bit)
{
    if (bit == TINA__DOORBELL_CONTROL) {
        is_stopped = true;
        return;
    }
    for (uint32_t i = 0; i < PRODUCER_COUNT; i++)
        if (sides[i].bit == bit)
            atomic_store_explicit(&sides[i].consumed, atomic_load_explicit(&sides[i].published, memory_order_acquire),
                                  memory_order_release);
}

static bool take_all(void)
{
    bool any = false;
    for (uint32_t word = 0; word < TINA__DOORBELL_WORDS; word++) {
        uint64_t bits = tina__doorbell_take(&bell, word);
        any |= bits != 0;
        for (; bits != 0; bits &= bits - 1)
            take_rung(word * 64 + tina__lowest_bit(bits));
    }
    return any;
}

static bool is_any_set(void)
{
    for (uint32_t word = 0; word < TINA__DOORBELL_WORDS; word++)
        if (atomic_load(&bell.words[word]) != 0)
            return true;
    return false;
}

static void sleep_in_kernel(void)
{
    struct pollfd waiting = {.fd = bell.wake_fd, .events = POLLIN};
    int ready = poll(&waiting, 1, WATCHDOG_MS);
    slept++;
    uint64_t count;
    if (ready == 1 && read(bell.wake_fd, &count, sizeof count) == sizeof count)
        return;
    if (ready == 0)
        lost += is_any_set(); /* otherwise nobody rang for that long: the machine is slow */
    else
        failed++;
}

static void *consume(void *argument)
{
    (void)argument;
    tina__prng prng;
    tina__prng_seed(&prng, 1000);
    while (!is_stopped && lost == 0 && failed == 0) {
        bool any = take_all();
        for (uint64_t looks = tina__prng_below(&prng, 8) == 0 ? 0 : 100; !any && looks != 0; looks--)
            any = take_all(); /* most sleeps are worth avoiding here too: what counts is how many are tried */
        if (any)
            continue;
        announced++;
        if (!tina__doorbell_may_sleep(&bell)) {
            stayed++;
            continue;
        }
        sleep_in_kernel();
        tina__doorbell_awake(&bell);
    }
    atomic_store_explicit(&has_given_up, true, memory_order_relaxed);
    return NULL;
}

static void doorbell_rung_while_falling_asleep_always_wakes(void **state)
{
    (void)state;
    bell.wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    assert_true(bell.wake_fd >= 0);
    static const uint32_t bits[PRODUCER_COUNT] = {3, TINA__DOORBELL_INBOX};
    static const uint32_t ahead_max[PRODUCER_COUNT] = {1, 4};
    for (uint32_t i = 0; i < PRODUCER_COUNT; i++) {
        sides[i].bit = bits[i];
        sides[i].ahead_max = ahead_max[i];
    }
    pthread_t consumer;
    assert_int_equal(pthread_create(&consumer, NULL, consume, NULL), 0);
    for (uint32_t i = 0; i < PRODUCER_COUNT; i++)
        assert_int_equal(pthread_create(&sides[i].thread, NULL, produce, &sides[i]), 0);
    uint32_t wakes = 0;
    for (uint32_t i = 0; i < PRODUCER_COUNT; i++) {
        assert_int_equal(pthread_join(sides[i].thread, NULL), 0);
        wakes += sides[i].wakes;
    }
    ring(TINA__DOORBELL_CONTROL, &wakes);
    assert_int_equal(pthread_join(consumer, NULL), 0);
    close(bell.wake_fd);

    print_message("%u rings: %u announced, %u stayed awake, %u slept, %u wakes\n", PRODUCER_COUNT * ROUND_COUNT, announced,
                  stayed, slept, wakes);
    assert_int_equal(lost, 0);
    assert_int_equal(failed, 0);
    assert_int_not_equal(slept, 0);
    assert_true(wakes <= announced); /* one system call at most for each sleep that was announced */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(doorbell_rung_while_falling_asleep_always_wakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
