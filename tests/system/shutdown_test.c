/* Ends: by signals, past the deadline, and with a handler that never returns. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/witness.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TAG_STICK = TINA_TAG_USER, TAG_HELLO };

typedef struct witness {
    tina_test_count inits, ends, messages, stuck;
    tina_test_count released;
    int up; /* where the first init writes a byte; 0: nowhere */
} witness;

static tina_effect member_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size;
    witness *seen = tina_user(ctx);
    tina_test_count_up(&seen->inits);
    return tina_receive();
}

static void stick(witness *seen)
{
    tina_test_count_up(&seen->stuck);
    while (tina_test_counted(&seen->released) == 0)
        usleep(1000);
}

static tina_effect polite_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self;
    witness *seen = tina_user(ctx);
    if (message->tag == TINA_TAG_SHUTDOWN) {
        tina_test_count_up(&seen->ends);
        return tina_done();
    }
    tina_test_count_up(&seen->messages);
    if (message->tag == TAG_STICK)
        stick(seen);
    return tina_receive();
}

/* Goes on as if nothing had been said. */
static tina_effect deaf_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self;
    witness *seen = tina_user(ctx);
    if (message->tag == TINA_TAG_SHUTDOWN)
        tina_test_count_up(&seen->ends);
    return tina_receive();
}

/* Tells the parent once the signals have been taken: a timer of a millisecond fires until somebody ends it. */
static tina_effect herald_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    if (tina_timer_repeat(ctx, 1000000, TINA_TAG_TIMER, NULL) != TINA_OK)
        return tina_crash(1);
    return member_init(self, args, args_size, ctx);
}

static tina_effect herald_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    witness *seen = tina_user(ctx);
    if (message->tag != TINA_TAG_TIMER)
        return polite_handle(self, message, ctx);
    struct sigaction now;
    if (seen->up != 0 && sigaction(SIGINT, NULL, &now) == 0 && (now.sa_flags & SA_ONSTACK) != 0) {
        if (write(seen->up, "u", 1) != 1)
            return tina_crash(2);
        seen->up = 0;
    }
    return tina_receive();
}

static const tina_type types[] = {
    {.name = "polite", .init = member_init, .handler = polite_handle, .size = 16, .slot_count = 4},
    {.name = "deaf", .init = member_init, .handler = deaf_handle, .size = 16, .slot_count = 16},
    {.name = "herald", .init = herald_init, .handler = herald_handle, .size = 16, .slot_count = 1},
};
static const tina_child polite[] = {{.type = 0, .name = 1}, {.type = 0}};
static const tina_child with_deaf[] = {
    {.type = 0, .name = 1}, {.type = 1}, {.type = 1}, {.type = 1}, {.type = 1}, {.type = 1}, {.type = 1}};
static const tina_child heralded[] = {{.type = 0, .name = 1}, {.type = 2}};

#define SPEC(seen, list)                                                                                                    \
    {                                                                                                                       \
        .types = types, .type_count = 3, .root = {.children = (list), .child_count = sizeof(list) / sizeof *(list)},        \
        .shard_count = 2, .user = (seen), .quiet = true                                                                     \
    }

/* ---- Those who do not drain ---- */

static void deaf_isolates_are_torn_down_and_named(void **state)
{
    (void)state;
    witness seen = {0};
    tina_system_spec spec = SPEC(&seen, with_deaf);
    spec.shutdown_timeout_ns = 30000000;
    tina_system *system = tina_test_start(&spec);
    tina_stop(system);
    tina_end_report report;
    assert_int_equal(tina_join(system, &report), TINA_TIMED_OUT);
    assert_int_equal(report.undrained_count, 12);
    assert_int_equal(report.stuck_shards, 0);
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(tina_handle_type(report.undrained[i]), 1);
    tina_test_assert_balanced(&report);
    assert_int_equal(tina_test_counted(&seen.ends), 2 * 7); /* all had been told */
}

static void report_is_optional(void **state)
{
    (void)state;
    witness seen = {0};
    tina_system_spec spec = SPEC(&seen, polite);
    tina_system *system = tina_test_start(&spec);
    tina_stop(system);
    assert_int_equal(tina_join(system, NULL), TINA_OK);
}

/* The thread keeps its memory: in a child, so that nothing of it outlives the test. */
static int child_with_a_stuck_handler(void)
{
    witness seen = {0};
    tina_system_spec spec = SPEC(&seen, polite);
    spec.shutdown_timeout_ns = 20000000;
    tina_system *system;
    if (tina_start(&spec, &system, NULL) != TINA_OK)
        return 1;
    if (tina_post(system, tina_named(1, 1), TAG_STICK, NULL, 0) != TINA_OK || !tina_test_awaits(&seen.stuck, 1))
        return 2;
    tina_stop(system);
    tina_end_report report;
    if (tina_join(system, &report) != TINA_TIMED_OUT)
        return 3;
    if (report.stuck_shards != 1 || report.undrained_count != 0)
        return 4;
    atomic_store(&seen.released, 1); /* it finds a system that nobody waits for any more, and ends */
    return tina_test_awaits(&seen.ends, 4) ? 0 : 5;
}

static void assert_child_succeeds(int (*body)(void))
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        _exit(body());
    int status = tina_test_reap(child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void stuck_handler_is_left_behind_and_counted(void **state)
{
    (void)state;
    assert_child_succeeds(child_with_a_stuck_handler);
}

static void handler_that_comes_back_in_time_is_not_stuck(void **state)
{
    (void)state;
    witness seen = {0};
    tina_system_spec spec = SPEC(&seen, polite);
    tina_system *system = tina_test_start(&spec);
    assert_int_equal(tina_post(system, tina_named(1, 1), TAG_STICK, NULL, 0), TINA_OK);
    tina_test_await(&seen.stuck, 1);
    tina_stop(system);
    assert_int_equal(tina_post(system, tina_named(1, 1), TAG_HELLO, NULL, 0), TINA_STOPPING);
    atomic_store(&seen.released, 1);
    tina_test_join(system, NULL);
}

/* ---- Signals. The child boots; the parent is the outside world. ---- */

static _Atomic int chained;

static void count_signal(int number) { atomic_fetch_add(&chained, number); }

typedef struct served {
    pid_t pid;
    int up; /* a byte comes once it serves */
} served;

static int boot_in_child(int up, const tina_child *children, size_t child_count, uint64_t shutdown_timeout_ns,
                         tina_status expected, bool has_handler)
{
    signal(SIGTERM, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    if (has_handler) {
        struct sigaction own = {.sa_handler = count_signal};
        sigaction(SIGTERM, &own, NULL);
        sigaction(SIGINT, &own, NULL);
    }
    struct sigaction before[2], after[2];
    sigaction(SIGTERM, NULL, &before[0]);
    sigaction(SIGINT, NULL, &before[1]);
    witness seen = {.up = up};
    tina_system_spec spec = SPEC(&seen, heralded);
    spec.root.children = children;
    spec.root.child_count = child_count;
    spec.shutdown_timeout_ns = shutdown_timeout_ns;
    if (tina_boot(&spec, NULL) != expected)
        return 1;
    sigaction(SIGTERM, NULL, &after[0]);
    sigaction(SIGINT, NULL, &after[1]);
    for (int i = 0; i < 2; i++) {
        if (after[i].sa_handler != before[i].sa_handler || after[i].sa_flags != before[i].sa_flags)
            return 2;
    }
    return 0;
}

#define ANY_SUM (-1)

static served serve(const tina_child *children, size_t child_count, uint64_t shutdown_timeout_ns, tina_status expected,
                    bool has_handler, int chained_sum)
{
    int up[2];
    assert_int_equal(pipe(up), 0);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        close(up[0]);
        int outcome = boot_in_child(up[1], children, child_count, shutdown_timeout_ns, expected, has_handler);
        _exit(outcome == 0 && chained_sum != ANY_SUM && atomic_load(&chained) != chained_sum ? 3 : outcome);
    }
    close(up[1]);
    char byte;
    assert_int_equal(read(up[0], &byte, 1), 1);
    return (served){.pid = pid, .up = up[0]};
}

static void assert_ended_well(served *server)
{
    int status = tina_test_reap(server->pid);
    close(server->up);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void boot_ends_on_sigterm_and_sigint(void **state)
{
    (void)state;
    static const int numbers[] = {SIGTERM, SIGINT};
    for (size_t i = 0; i < 2; i++) {
        served server = serve(heralded, 2, 0, TINA_OK, false, 0);
        assert_int_equal(kill(server.pid, numbers[i]), 0);
        assert_ended_well(&server);
    }
}

static void earlier_handlers_are_chained_to_and_put_back(void **state)
{
    (void)state;
    static const int numbers[] = {SIGTERM, SIGINT};
    for (size_t i = 0; i < 2; i++) {
        served server = serve(heralded, 2, 0, TINA_OK, true, numbers[i]);
        assert_int_equal(kill(server.pid, numbers[i]), 0);
        assert_ended_well(&server);
    }
}

static void second_signal_shortens_the_wait(void **state)
{
    (void)state;
    static const tina_child deaf_and_heralded[] = {{.type = 1}, {.type = 2}};
    /* With a handler of its own: a signal that comes after the system's end must not be what ends the child. */
    served server = serve(deaf_and_heralded, 2, TINA_NONE_NS, TINA_TIMED_OUT, true, ANY_SUM);
    assert_int_equal(kill(server.pid, SIGTERM), 0);
    /* Two that are pending at once are one: it is told again until it is gone. */
    siginfo_t ended = {0};
    tina_test_await_that(kill(server.pid, SIGTERM) == 0 &&
                         waitid(P_PID, (id_t)server.pid, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 &&
                         ended.si_pid == server.pid);
    assert_ended_well(&server);
}

static void stop_signals_reach_every_system_that_asked(void **state)
{
    (void)state;
    witness seen[3] = {{0}};
    tina_system *systems[3];
    for (size_t i = 0; i < 3; i++) {
        tina_system_spec spec = SPEC(&seen[i], polite);
        spec.signals = i == 2 ? TINA_SIGNALS_FAULTS : TINA_SIGNALS_ALL;
        systems[i] = tina_test_start(&spec);
    }
    assert_int_equal(raise(SIGTERM), 0);
    tina_test_join(systems[0], NULL);
    tina_test_join(systems[1], NULL);
    assert_int_equal(tina_test_stats(systems[2], 0).state, TINA_SHARD_RUNNING); /* that one did not ask */
    tina_test_end(systems[2], NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deaf_isolates_are_torn_down_and_named),
        cmocka_unit_test(report_is_optional),
        cmocka_unit_test(stuck_handler_is_left_behind_and_counted),
        cmocka_unit_test(handler_that_comes_back_in_time_is_not_stuck),
        cmocka_unit_test(boot_ends_on_sigterm_and_sigint),
        cmocka_unit_test(earlier_handlers_are_chained_to_and_put_back),
        cmocka_unit_test(second_signal_shortens_the_wait),
        cmocka_unit_test(stop_signals_reach_every_system_that_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
