/*
 * A program that boots, stops and boots again, with faults in between, finds what is
 * the process's as it was: signals, mask, affinity, descriptors, mappings, threads.
 */
/* ctest: not under thread */
/* ctest: label stress */
/* ctest: timeout 600 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "trap/child.h"
#include "trap/deeds.h"

#define WARM 20u /* the C library keeps stacks and arenas of threads that have ended */

static tina_test_world *world; /* a child inherits it */

static unsigned round_count(void)
{
    if (getenv("TINA_SOAK") != NULL)
        return 10000;
    return tina_test_is_slow() ? 50 : 200;
}

/* ---- What is the process's --------------------------------------------------------------------------- */

typedef struct belongings {
    struct sigaction actions[NSIG];
    stack_t handler_stack;
    tina_test_holdings holdings;
} belongings;

static void look(belongings *seen)
{
    memset(seen, 0, sizeof *seen);
    for (int number = 1; number < NSIG; number++)
        sigaction(number, NULL, &seen->actions[number]);
    sigaltstack(NULL, &seen->handler_stack);
    tina_test_hold(&seen->holdings);
}

static bool is_same_action(const struct sigaction *a, const struct sigaction *b)
{
    for (int number = 1; number < NSIG; number++) {
        if (sigismember(&a->sa_mask, number) != sigismember(&b->sa_mask, number))
            return false;
    }
    return a->sa_handler == b->sa_handler && a->sa_flags == b->sa_flags;
}

static size_t thread_count(void)
{
    tina_test_holdings now;
    tina_test_hold(&now);
    return now.threads;
}

static bool is_as_before(const belongings *before)
{
    belongings now;
    TINA_TEST_AWAIT(world, thread_count() == before->holdings.threads); /* which may be on their way out */
    look(&now);
    for (int number = 1; number < NSIG; number++)
        TINA_TEST_EXPECT(world, is_same_action(&now.actions[number], &before->actions[number]));
    const tina_test_holdings *is = &now.holdings, *was = &before->holdings;
    TINA_TEST_EXPECT(world, now.handler_stack.ss_sp == before->handler_stack.ss_sp);
    TINA_TEST_EXPECT(world, now.handler_stack.ss_flags == before->handler_stack.ss_flags);
    TINA_TEST_EXPECT(world, is->fds == was->fds);
    TINA_TEST_EXPECT(world, memcmp(is->cores, was->cores, sizeof is->cores) == 0);
    TINA_TEST_EXPECT(world, memcmp(is->blocked, was->blocked, sizeof is->blocked) == 0);
    TINA_TEST_EXPECT(world, IS_SANITIZED || is->mappings == was->mappings);
    return true;
}

/* ---- In the child --------------------------------------------------------------------------------------- */

/* One that is born into the same world again. */
static void forget_the_last_life(void) { memset(world->seen, 0, sizeof world->seen); }

static int comes_and_goes(void)
{
    const unsigned rounds = round_count();
    belongings before;
    alarm(CHILD_PATIENCE_S + rounds / 10);
    for (unsigned round = 0; round < WARM + rounds; round++) {
        if (round == WARM)
            look(&before);
        forget_the_last_life();
        CHECK(tina_test_world_start(world));
        CHECK(tina_test_world_round(world, 0, TINA_TEST_FAULTS));
        CHECK(tina_test_world_end(world));
        if (round >= WARM)
            CHECK(is_as_before(&before));
    }
    return 0;
}

/* ---- Programs ---------------------------------------------------------------------------------------------- */

static void take_fault(int number, siginfo_t *info, void *context)
{
    (void)number, (void)info, (void)context;
    _exit(1);
}

static int has_no_handlers(void) { return comes_and_goes(); }

static int has_handlers_of_its_own(void)
{
    static char stack[1 << 16];
    struct sigaction action = {.sa_sigaction = take_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    sigaddset(&action.sa_mask, SIGUSR1);
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGURG, &action, NULL);
    set_handler(SIGFPE, SIG_IGN, 0);
    set_handler(SIGPIPE, SIG_IGN, 0);
    sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = sizeof stack}, NULL);
    return comes_and_goes();
}

static int has_blocked_signals(void)
{
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGURG);
    sigaddset(&blocked, SIGUSR2);
    sigaddset(&blocked, SIGTERM);
    pthread_sigmask(SIG_SETMASK, &blocked, NULL);
    return comes_and_goes();
}

static void leaves_as_it_came(int (*program)(void), uint8_t signals)
{
    world = tina_test_world_make(2);
    world->name = "boot after boot";
    world->deed = deed_write_null;
    world->spec.signals = signals;
    world->spec.development = false;
    world->spec.memory_permille = 1000;
    int status = end_of(start_child(program));
    tina_test_world_free(world);
    assert_int_equal(status, 0);
}

static void program_without_handlers_finds_all_as_it_was(void **state)
{
    (void)state;
    leaves_as_it_came(has_no_handlers, TINA_SIGNALS_ALL);
}

static void program_with_handlers_finds_all_as_it_was(void **state)
{
    (void)state;
    leaves_as_it_came(has_handlers_of_its_own, TINA_SIGNALS_AUTO);
}

static void program_with_blocked_signals_finds_all_as_it_was(void **state)
{
    (void)state;
    leaves_as_it_came(has_blocked_signals, TINA_SIGNALS_ALL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(program_without_handlers_finds_all_as_it_was),
        cmocka_unit_test(program_with_handlers_finds_all_as_it_was),
        cmocka_unit_test(program_with_blocked_signals_finds_all_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
