/*
 * A program's own loop around an external system, for tests: it waits on the system's
 * descriptor as a user would, and counts. Include it where <cmocka.h> is.
 */
#ifndef TINA_TEST_OWN_LOOP_H
#define TINA_TEST_OWN_LOOP_H

#include "support/witness.h"

#include <errno.h>
#include <poll.h>
#include <time.h>

typedef struct tina_test_loop {
    tina_system *system;
    uint64_t steps;
    uint64_t idle_steps; /* that did nothing */
} tina_test_loop;

static inline uint64_t tina_test_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline bool tina_test_is_readable(int fd)
{
    struct pollfd wanted = {.fd = fd, .events = POLLIN};
    return poll(&wanted, 1, 0) == 1;
}

/* Soon: where another thread has answered the rest already, its signal may still be on the way. */
static inline bool tina_test_becomes_readable(int fd)
{
    struct pollfd wanted = {.fd = fd, .events = POLLIN};
    return poll(&wanted, 1, 30000) == 1;
}

/* Waits until there is something to step for: half a minute without is a wake that was lost. */
static inline void tina_test_loop_wait(const tina_test_loop *loop)
{
    const uint64_t patience_ns = 30000000000u;
    uint64_t deadline_ns;
    struct pollfd wanted = {.fd = tina_pollfd(loop->system, &deadline_ns), .events = POLLIN};
    uint64_t now_ns = tina_test_now_ns();
    uint64_t wait_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
    bool is_patient = wait_ns > patience_ns;
    if (is_patient)
        wait_ns = patience_ns;
    struct timespec wait = {.tv_sec = (time_t)(wait_ns / 1000000000u), .tv_nsec = (long)(wait_ns % 1000000000u)};
    int result = ppoll(&wanted, 1, &wait, NULL);
    assert_true(result >= 0 || errno == EINTR);
    assert_false(result == 0 && is_patient);
}

static inline tina_status tina_test_loop_step(tina_test_loop *loop)
{
    uint32_t work;
    tina_status status = tina_step(loop->system, 0, &work);
    loop->steps++;
    loop->idle_steps += work == 0;
    return status;
}

/* Waits and steps until the count has come to that. Gives up after half a minute. */
static inline void tina_test_loop_until(tina_test_loop *loop, const tina_test_count *count, uint64_t at_least)
{
    uint64_t give_up_ns = tina_test_now_ns() + 30000000000u;
    while (tina_test_counted(count) < at_least) {
        tina_test_loop_wait(loop);
        assert_int_equal(tina_test_loop_step(loop), TINA_OK);
        assert_true(tina_test_now_ns() < give_up_ns);
    }
}

/* Until nothing is to be done before the deadline. */
static inline void tina_test_loop_settle(tina_test_loop *loop)
{
    for (unsigned left = 10000; tina_test_is_readable(tina_pollfd(loop->system, NULL)); left--) {
        assert_true(left != 0);
        assert_int_equal(tina_test_loop_step(loop), TINA_OK);
    }
}

/* Steps until it has ended, which somebody else sees to. */
static inline void tina_test_loop_run_out(tina_test_loop *loop)
{
    uint64_t give_up_ns = tina_test_now_ns() + 60000000000u;
    while (tina_test_loop_step(loop) == TINA_OK) {
        tina_test_loop_wait(loop);
        assert_true(tina_test_now_ns() < give_up_ns);
    }
}

/* Stops it, and steps it to its end. */
static inline void tina_test_loop_end(tina_test_loop *loop, tina_end_report *report)
{
    tina_stop(loop->system);
    tina_test_loop_run_out(loop);
    tina_test_join(loop->system, report);
}

/* A test program's main: all of its tests on each backend that the machine has, which *backend names meanwhile. */
static inline int tina_test_on_each_backend(uint8_t *backend, const struct CMUnitTest *tests, size_t test_count)
{
    uint8_t backends[2];
    size_t count = tina_test_backends(backends);
    int failed = 0;
    for (size_t i = 0; i < count; i++) {
        *backend = backends[i];
        const char *name = *backend == TINA_BACKEND_URING ? "io_uring" : "epoll";
        failed += _cmocka_run_group_tests(name, tests, test_count, NULL, NULL);
    }
    return failed;
}

#endif
