/*
 * Faults on a thread of the program's, on which a shard is stepped: those of handlers
 * are contained in the step, those of the program between two steps are the program's;
 * and the thread is left as it was.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/own_loop.h"
#include "trap/child.h"

#include <poll.h>
#include <stdlib.h>

enum { NAME_VICTIM = 1, NAME_NEIGHBOUR };
enum { TAG_COUNT = TINA_TAG_USER, TAG_CRASH, TAG_FAULT, TAG_OVERFLOW, TAG_SPIN, TAG_BLOCK_SIGNALS };

typedef struct witness {
    tina_test_count inits, messages;
} witness;

static witness seen;
static uint8_t backend;

static UNWATCHED void touch_nothing(void)
{
    volatile int *volatile nothing = NULL;
    *nothing = 1;
}

static volatile bool is_bottomless = true;

static UNWATCHED int overflow(const volatile char *above)
{
    volatile char bytes[4096];
    bytes[0] = above != NULL ? above[0] : 1;
    return is_bottomless ? bytes[0] + overflow(bytes) : 0;
}

static void block_signals(void)
{
    sigset_t all;
    sigfillset(&all);
    sigdelset(&all, SIGSEGV);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
}

static tina_effect victim_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size, (void)ctx;
    tina_test_count_up(&seen.inits);
    return tina_receive();
}

static tina_effect victim_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self, (void)ctx;
    volatile bool is_endless = true;
    switch (message->tag) {
    case TINA_TAG_SHUTDOWN: return tina_done();
    case TAG_CRASH: return tina_crash(1);
    case TAG_BLOCK_SIGNALS:
        block_signals();
        touch_nothing();
        break;
    case TAG_FAULT: touch_nothing(); break;
    case TAG_OVERFLOW: overflow(NULL); break;
    case TAG_SPIN:
        while (is_endless) {
        }
        break;
    default: tina_test_count_up(&seen.messages); break;
    }
    return tina_receive();
}

static const tina_type types[] = {
    {.name = "victim", .init = victim_init, .handler = victim_handle, .size = 16, .slot_count = 4},
};
static const tina_child children[] = {{.type = 0, .name = NAME_VICTIM}, {.type = 0, .name = NAME_NEIGHBOUR}};

static tina_system *start(void)
{
    seen = (witness){0};
    tina_system_spec spec = {
        .types = types,
        .type_count = 1,
        .root = {.children = children, .child_count = 2, .restart_max = 60000, .window_ns = 1000000000},
        .external = true,
        .backend = backend,
        .watchdog_interval_ns = 20000000,
    };
    tina_system *system;
    return tina_start(&spec, &system, NULL) == TINA_OK ? system : NULL;
}

static bool turn(tina_system *system)
{
    uint32_t work;
    do {
        if (tina_step(system, 0, &work) != TINA_OK)
            return false;
    } while (work != 0);
    return true;
}

static bool tell(tina_system *system, uint16_t name, tina_tag tag)
{
    return tina_post(system, tina_named(0, name), tag, NULL, 0) == TINA_OK && turn(system);
}

/* Stopped, stepped to its end, joined. */
static int end(tina_system *system)
{
    tina_end_report report;
    tina_stop(system);
    CHECK(tina_join(system, &report) == TINA_OK);
    CHECK(report.total.isolates == 0);
    return 0;
}

/* ---- A handler's ---- */

static const tina_tag deeds[] = {TAG_CRASH, TAG_FAULT, TAG_OVERFLOW, TAG_FAULT, TAG_BLOCK_SIGNALS, TAG_CRASH};

static int step_with_deeds(void)
{
    tina_system *system = start();
    CHECK(system != NULL && turn(system));
    for (unsigned round = 0; round < 50; round++) {
        for (size_t i = 0; i < LENGTH(deeds); i++) {
            if (IS_SANITIZED && deeds[i] == TAG_OVERFLOW)
                continue;
            uint64_t inits = tina_test_counted(&seen.inits), messages = tina_test_counted(&seen.messages);
            CHECK(tell(system, NAME_VICTIM, deeds[i]));
            CHECK(tell(system, NAME_VICTIM, TAG_COUNT) && tell(system, NAME_NEIGHBOUR, TAG_COUNT));
            CHECK(tina_test_counted(&seen.inits) == inits + 1);
            CHECK(tina_test_counted(&seen.messages) == messages + 2);
        }
    }
    return end(system);
}

static void a_handlers_fault_costs_the_isolate_alone(void **state)
{
    (void)state;
    assert_int_equal(WEXITSTATUS(tina_test_reap(start_child(step_with_deeds))), 0);
}

static int step_on_what_never_returns(void)
{
    tina_system *system = start();
    CHECK(system != NULL && turn(system));
    for (unsigned round = 0; round < 3; round++) {
        CHECK(tell(system, NAME_VICTIM, TAG_SPIN));
        CHECK(tell(system, NAME_NEIGHBOUR, TAG_COUNT));
    }
    tina_stats stats;
    CHECK(tina_shard_stats(system, 0, &stats) == TINA_OK);
    CHECK(stats.watchdog_kills == 3);
    /* A program that is busy itself, or away, is not killed, however long. */
    uint64_t until_ns = tina_test_now_ns() + 300000000;
    while (tina_test_now_ns() < until_ns) {
    }
    CHECK(tell(system, NAME_VICTIM, TAG_COUNT));
    CHECK(tina_shard_stats(system, 0, &stats) == TINA_OK);
    CHECK(stats.watchdog_kills == 3);
    return end(system);
}

static void a_handler_that_never_returns_is_killed_in_the_step(void **state)
{
    (void)state;
    if (IS_THREAD_SANITIZED)
        skip(); /* it puts asynchronous signals off */
    int status = tina_test_reap(start_child(step_on_what_never_returns));
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- The program's ---- */

static int fault_between_steps(void)
{
    tina_system *system = start();
    CHECK(system != NULL && turn(system));
    CHECK(tell(system, NAME_VICTIM, TAG_FAULT));
    touch_nothing();
    return 1;
}

static void a_fault_between_steps_is_the_programs(void **state)
{
    (void)state;
    int status = tina_test_reap(start_child(fault_between_steps));
    assert_true(IS_SANITIZED ? !WIFEXITED(status) || WEXITSTATUS(status) != 1 : WIFSIGNALED(status));
    if (!IS_SANITIZED)
        assert_int_equal(WTERMSIG(status), SIGSEGV);
}

static sigjmp_buf back;

static void jump_back(int number)
{
    (void)number;
    siglongjmp(back, 1);
}

static int fault_with_a_handler_between_steps(void)
{
    set_handler(SIGSEGV, jump_back, SA_NODEFER);
    tina_system *system = start();
    CHECK(system != NULL && turn(system));
    for (volatile unsigned round = 0; round < 20; round++) {
        if (sigsetjmp(back, 1) == 0) {
            touch_nothing();
            return 1;
        }
        CHECK(tell(system, NAME_VICTIM, TAG_FAULT)); /* not the program's */
        CHECK(tell(system, NAME_VICTIM, TAG_COUNT));
    }
    CHECK(tina_test_counted(&seen.messages) == 20);
    return end(system);
}

static void the_programs_own_handler_gets_the_programs_own_faults(void **state)
{
    (void)state;
    int status = tina_test_reap(start_child(fault_with_a_handler_between_steps));
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- What is the thread's ---- */

static bool is_same_mask(const sigset_t *a, const sigset_t *b)
{
    for (int number = 1; number < NSIG; number++) {
        if (sigismember(a, number) != sigismember(b, number))
            return false;
    }
    return true;
}

static sigset_t mask_now(void)
{
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    return mask;
}

static int change_the_mask_between_steps(void)
{
    tina_system *system = start();
    CHECK(system != NULL && turn(system));
    static const int numbers[] = {SIGTERM, SIGUSR1, SIGURG, SIGPIPE, SIGSEGV, SIGABRT};
    for (size_t i = 0; i < LENGTH(numbers); i++) {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, numbers[i]);
        pthread_sigmask(SIG_BLOCK, &set, NULL);
        sigset_t before = mask_now();
        CHECK(tell(system, NAME_VICTIM, TAG_FAULT));
        sigset_t after = mask_now();
        CHECK(is_same_mask(&before, &after));
        CHECK(tell(system, NAME_VICTIM, TAG_BLOCK_SIGNALS));
        after = mask_now();
        CHECK(is_same_mask(&before, &after));
    }
    return end(system);
}

static void the_signal_mask_is_the_programs_after_each_step(void **state)
{
    (void)state;
    int status = tina_test_reap(start_child(change_the_mask_between_steps));
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- Children ---- */

static int live_on_as_a_child(void)
{
    tina_system *own = start();
    CHECK(own != NULL && turn(own));
    CHECK(tell(own, NAME_VICTIM, TAG_FAULT) && tell(own, NAME_VICTIM, TAG_COUNT));
    CHECK(tina_test_counted(&seen.messages) == 1);
    return end(own);
}

static int fork_between_steps(void)
{
    tina_system *system = start();
    CHECK(system != NULL && turn(system));
    for (unsigned round = 0; round < 3; round++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0)
            _exit(live_on_as_a_child());
        int status;
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        uint64_t messages = tina_test_counted(&seen.messages);
        CHECK(tell(system, NAME_VICTIM, TAG_FAULT) && tell(system, NAME_VICTIM, TAG_COUNT));
        CHECK(tina_test_counted(&seen.messages) == messages + 1);
    }
    return end(system);
}

static void a_child_has_systems_of_its_own_and_leaves_its_parents_alone(void **state)
{
    (void)state;
    if (IS_THREAD_SANITIZED)
        skip(); /* it starts no threads in a child */
    int status = tina_test_reap(start_child(fork_between_steps));
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- The alternate stack ---- */

static char first_stack[1 << 17], second_stack[1 << 17];

static int change_the_stack_between_steps(void)
{
    stack_t now, mine = {.ss_sp = first_stack, .ss_size = sizeof first_stack};
    CHECK(sigaltstack(&mine, NULL) == 0);
    tina_system *one = start(), *other = start();
    CHECK(one != NULL && other != NULL && turn(one) && turn(other));
    CHECK(end(one) == 0);
    CHECK(tell(other, NAME_VICTIM, TAG_FAULT)); /* the stack is still there */
    CHECK(end(other) == 0);
    CHECK(sigaltstack(NULL, &now) == 0 && now.ss_sp == first_stack);

    one = start();
    CHECK(one != NULL && turn(one));
    mine.ss_sp = second_stack;
    CHECK(sigaltstack(&mine, NULL) == 0);
    CHECK(tell(one, NAME_VICTIM, TAG_FAULT));
    CHECK(end(one) == 0);
    CHECK(sigaltstack(NULL, &now) == 0 && now.ss_sp == second_stack); /* whoever changed it keeps it */
    return 0;
}

static void the_alternate_stack_is_put_back_unless_somebody_changed_it(void **state)
{
    (void)state;
    int status = tina_test_reap(start_child(change_the_stack_between_steps));
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_handlers_fault_costs_the_isolate_alone),
        cmocka_unit_test(a_handler_that_never_returns_is_killed_in_the_step),
        cmocka_unit_test(a_fault_between_steps_is_the_programs),
        cmocka_unit_test(the_programs_own_handler_gets_the_programs_own_faults),
        cmocka_unit_test(the_signal_mask_is_the_programs_after_each_step),
        cmocka_unit_test(a_child_has_systems_of_its_own_and_leaves_its_parents_alone),
        cmocka_unit_test(the_alternate_stack_is_put_back_unless_somebody_changed_it),
    };
    return tina_test_on_each_backend(&backend, tests, sizeof tests / sizeof tests[0]);
}
