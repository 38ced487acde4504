/* What one thread can learn of another: how much CPU time it has used, and whether it waits in the kernel. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "os/os.h"
#include "support/witness.h"

#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

typedef struct worker {
    tina__os_thread thread;
    void (*todo)(struct worker *self);
    tina_test_count ready, done;
    _Atomic bool is_to_stop;
    int pipe[2];
    uint64_t cpu_ns; /* its own view, at the end */
} worker;

static uint64_t own_cpu_ns(void)
{
    struct timespec used;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}

static void body(void *argument)
{
    worker *self = argument;
    tina_test_count_up(&self->ready);
    self->todo(self);
    self->cpu_ns = own_cpu_ns();
    tina_test_count_up(&self->done);
}

static void start(worker *self, const char *name, void (*todo)(worker *self))
{
    int os_error = 0;
    *self = (worker){.todo = todo};
    assert_int_equal(pipe(self->pipe), 0);
    assert_int_equal(tina__os_thread_start(&self->thread, 0, name, body, self, &os_error), TINA_OK);
    tina_test_await(&self->ready, 1);
}

static void stop(worker *self)
{
    atomic_store(&self->is_to_stop, true);
    assert_int_equal(write(self->pipe[1], "x", 1), 1);
    tina__os_thread_join(&self->thread);
    close(self->pipe[0]);
    close(self->pipe[1]);
}

/* ---- What workers do ---- */

static void burn(worker *self)
{
    while (!atomic_load_explicit(&self->is_to_stop, memory_order_relaxed))
        continue;
}

static void read_pipe(worker *self)
{
    char byte;
    ssize_t ignored = read(self->pipe[0], &byte, 1);
    (void)ignored;
}

static void nap_for_ever(worker *self)
{
    while (!atomic_load_explicit(&self->is_to_stop, memory_order_relaxed))
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static void end_at_once(worker *self) { (void)self; }

/* ---- CPU time ---- */

static uint64_t cpu_ns_of(const worker *self)
{
    uint64_t cpu_ns = 0;
    assert_true(tina__os_thread_cpu_ns(&self->thread, &cpu_ns));
    return cpu_ns;
}

static bool has_same_cpu_ns(const worker *self, uint64_t *latest)
{
    uint64_t before = *latest;
    *latest = cpu_ns_of(self);
    return *latest == before;
}

static void cpu_time_of_a_busy_thread_grows(void **state)
{
    (void)state;
    worker busy;
    start(&busy, "busy", burn);
    uint64_t before = cpu_ns_of(&busy);
    tina_test_await_that(cpu_ns_of(&busy) > before + 20000000);
    uint64_t latest = cpu_ns_of(&busy);
    stop(&busy);
    assert_true(latest <= busy.cpu_ns); /* and not that of another thread */
}

static void cpu_time_of_a_waiting_thread_stands_still(void **state)
{
    (void)state;
    worker idle;
    char where[64];
    start(&idle, "idle", read_pipe);
    tina_test_await_that(tina__os_thread_is_blocked(&idle.thread, where, sizeof where));
    uint64_t before = 0;
    tina_test_await_that(has_same_cpu_ns(&idle, &before)); /* it may still be on its way out of the core */
    uint64_t own = own_cpu_ns();
    while (own_cpu_ns() < own + 20000000)
        continue;
    assert_int_equal(cpu_ns_of(&idle), before);
    stop(&idle);
}

static void thread_that_has_ended_has_no_cpu_time_and_waits_for_nothing(void **state)
{
    (void)state;
    worker ended;
    uint64_t cpu_ns;
    char where[64];
    start(&ended, "ended", end_at_once);
    tina_test_await(&ended.done, 1);
    tina_test_await_that(!tina__os_thread_cpu_ns(&ended.thread, &cpu_ns));
    assert_false(tina__os_thread_is_blocked(&ended.thread, where, sizeof where));
    stop(&ended);
}

/* ---- Waiting ---- */

static void thread_that_waits_is_blocked_and_says_in_what(void **state)
{
    (void)state;
    worker reader;
    char where[64] = "", call[64];
    start(&reader, "reader", read_pipe);
    tina_test_await_that(tina__os_thread_is_blocked(&reader.thread, where, sizeof where));
    snprintf(call, sizeof call, "read (system call %d)", (int)SYS_read);
    assert_string_equal(where, call);
    stop(&reader);
}

static void thread_with_an_awkward_name_is_blocked_all_the_same(void **state)
{
    (void)state;
    static const char *const names[] = {") R (", "a) S 1 (b) R 2", "(((((((((((((((", "\n\n) R", ""};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        worker reader, busy;
        char where[64];
        start(&reader, names[i], read_pipe);
        start(&busy, names[i], burn);
        tina_test_await_that(tina__os_thread_is_blocked(&reader.thread, where, sizeof where));
        for (int look = 0; look < 100; look++)
            assert_false(tina__os_thread_is_blocked(&busy.thread, where, sizeof where));
        stop(&reader);
        stop(&busy);
    }
}

/* However many others want its core: it is not blocked. */
static void thread_that_waits_for_a_core_is_not_blocked(void **state)
{
    (void)state;
    worker busy[4];
    char where[64];
    for (size_t i = 0; i < 4; i++)
        start(&busy[i], "busy", burn);
    for (int look = 0; look < 1000; look++)
        assert_false(tina__os_thread_is_blocked(&busy[look % 4].thread, where, sizeof where));
    for (size_t i = 0; i < 4; i++)
        stop(&busy[i]);
}

static void thread_that_naps_is_asleep_or_not_but_nothing_else(void **state)
{
    (void)state;
    worker napping;
    char where[64];
    unsigned blocked_count = 0;
    start(&napping, "napping", nap_for_ever);
    for (int look = 0; look < 2000; look++) {
        if (!tina__os_thread_is_blocked(&napping.thread, where, sizeof where))
            continue;
        blocked_count++;
        /* It may have woken up between the two questions that are asked of the kernel. */
        if (strstr(where, "nanosleep (system call ") == NULL)
            assert_string_equal(where, "the kernel");
    }
    assert_true(blocked_count > 0);
    stop(&napping);
}

/* ---- Sleeping ---- */

static void sleep_takes_at_least_its_time(void **state)
{
    (void)state;
    static const uint64_t times_ns[] = {0, 1, 999, 1000000, 3000000};
    for (size_t i = 0; i < sizeof times_ns / sizeof times_ns[0]; i++) {
        uint64_t before = tina__os_now_ns();
        tina__os_sleep(times_ns[i]);
        assert_true(tina__os_now_ns() - before >= times_ns[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cpu_time_of_a_busy_thread_grows),
        cmocka_unit_test(cpu_time_of_a_waiting_thread_stands_still),
        cmocka_unit_test(thread_that_has_ended_has_no_cpu_time_and_waits_for_nothing),
        cmocka_unit_test(thread_that_waits_is_blocked_and_says_in_what),
        cmocka_unit_test(thread_with_an_awkward_name_is_blocked_all_the_same),
        cmocka_unit_test(thread_that_waits_for_a_core_is_not_blocked),
        cmocka_unit_test(thread_that_naps_is_asleep_or_not_but_nothing_else),
        cmocka_unit_test(sleep_takes_at_least_its_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
