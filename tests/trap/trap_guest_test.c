/* The trap is a guest in the process: what is not its own goes where it went before, and nothing of it stays. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/leaks.h"
#include "trap/child.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define MANY (IS_SANITIZED ? 500u : 10000u)

static tina__guard guard;

static int fault_is_contained(void)
{
    tina__fault fault = {0};
    CHECK(!tina__trap_run(read_null, NULL, &fault));
    CHECK(fault.signal == SIGSEGV);
    return 0;
}

/* ---- Nothing stays ---- */

typedef struct belongings {
    struct sigaction actions[LENGTH(trapped_signals)];
    sigset_t mask;
    stack_t stack;
    size_t fds, mappings;
} belongings;

static void look_at(belongings *seen)
{
    memset(seen, 0, sizeof *seen);
    for (size_t i = 0; i < LENGTH(trapped_signals); i++)
        sigaction(trapped_signals[i], NULL, &seen->actions[i]);
    pthread_sigmask(SIG_SETMASK, NULL, &seen->mask);
    sigaltstack(NULL, &seen->stack);
    seen->fds = tina_test_fd_count();
    seen->mappings = IS_SANITIZED ? 0 : tina_test_mapping_count(); /* a sanitizer makes some of its own */
}

static bool is_same_mask(const sigset_t *a, const sigset_t *b)
{
    for (int number = 1; number < NSIG; number++) {
        if (sigismember(a, number) != sigismember(b, number))
            return false;
    }
    return true;
}

static bool is_same(const belongings *a, const belongings *b)
{
    for (size_t i = 0; i < LENGTH(trapped_signals); i++) {
        const struct sigaction *before = &a->actions[i], *after = &b->actions[i];
        if (before->sa_handler != after->sa_handler || before->sa_flags != after->sa_flags ||
            !is_same_mask(&before->sa_mask, &after->sa_mask))
            return false;
    }
    return is_same_mask(&a->mask, &b->mask) && a->stack.ss_sp == b->stack.ss_sp && a->stack.ss_size == b->stack.ss_size &&
           a->stack.ss_flags == b->stack.ss_flags && a->fds == b->fds && a->mappings == b->mappings;
}

static void ignore(int number) { (void)number; }

static void ignore_info(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)info;
    (void)context;
}

static int come_and_go(void)
{
    CHECK(enter(&guard) == 0); /* loads what is loaded once */
    CHECK(leave() == 0);
    static char stack[1 << 16];
    CHECK(sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = sizeof stack}, NULL) == 0);
    set_handler(SIGFPE, ignore, SA_RESETHAND);
    set_handler(SIGURG, ignore, SA_RESTART | SA_NODEFER);
    set_handler(SIGILL, SIG_IGN, 0);
    struct sigaction action = {.sa_sigaction = ignore_info, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigaddset(&action.sa_mask, SIGHUP);
    sigaction(SIGSEGV, &action, NULL);
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    sigaddset(&blocked, SIGURG);
    pthread_sigmask(SIG_SETMASK, &blocked, NULL);
    belongings before, after;
    look_at(&before);
    errno = 77;
    for (unsigned i = 0; i < MANY; i++) {
        CHECK(enter(&guard) == 0);
        CHECK(fault_is_contained() == 0);
        CHECK(leave() == 0);
        CHECK(errno == 77 || IS_THREAD_SANITIZED); /* which changes it around a handler */
        if (i % 100 != 0)
            continue;
        look_at(&after);
        CHECK(is_same(&before, &after));
        errno = 77;
    }
    look_at(&after);
    CHECK(is_same(&before, &after));
    return 0;
}

static void life_in_the_trap_leaves_nothing_behind(void **state)
{
    (void)state;
    passes_in_child(come_and_go);
}

static UNWATCHED void block_all_and_fault(void *argument)
{
    (void)argument;
    sigset_t all;
    sigfillset(&all);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGALRM); /* which ends a child that hangs */
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    *null = 1;
}

static int fault_with_signals_blocked(void)
{
    sigset_t blocked, after;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    pthread_sigmask(SIG_SETMASK, &blocked, NULL);
    CHECK(enter(&guard) == 0);
    for (unsigned i = 0; i < 100; i++) {
        tina__fault fault = {0};
        CHECK(!tina__trap_run(block_all_and_fault, NULL, &fault));
        pthread_sigmask(SIG_SETMASK, NULL, &after);
        CHECK(is_same_mask(&blocked, &after));
    }
    return leave();
}

static void mask_after_a_fault_is_that_of_the_entry(void **state)
{
    (void)state;
    passes_in_child(fault_with_signals_blocked);
}

static bool is_default(int number)
{
    struct sigaction now;
    sigaction(number, NULL, &now);
    return now.sa_handler == SIG_DFL;
}

static int install_twice(void)
{
    int os_error = 0;
    CHECK(tina__trap_install(&os_error) == TINA_OK);
    CHECK(enter(&guard) == 0);
    tina__trap_remove();
    CHECK(!is_default(SIGSEGV));
    CHECK(fault_is_contained() == 0);
    CHECK(leave() == 0);
    CHECK(is_default(SIGSEGV));
    CHECK(enter(&guard) == 0);
    CHECK(fault_is_contained() == 0);
    CHECK(leave() == 0);
    CHECK(is_default(SIGSEGV));
    return 0;
}

static void trap_installed_twice_is_removed_by_the_second(void **state)
{
    (void)state;
    passes_in_child(install_twice);
}

/* Refuses to handle one signal. False: it can't be done here. */
static bool refuse_to_handle(uint32_t number)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigaction, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = LENGTH(rules), .filter = rules};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static int install_where_one_is_refused(void)
{
    if (!refuse_to_handle(SIGURG))
        return 0;
    for (unsigned i = 0; i < 2; i++) {
        int os_error = 0;
        CHECK(tina__trap_install(&os_error) == TINA_DENIED);
        CHECK(os_error == EPERM);
        for (size_t k = 0; trapped_signals[k] != SIGURG; k++)
            CHECK(is_default(trapped_signals[k]));
    }
    return 0;
}

static void install_that_is_refused_leaves_nothing_behind(void **state)
{
    (void)state;
    passes_in_child(install_where_one_is_refused);
}

/* ---- Nobody was there ---- */

static UNWATCHED void divide(void)
{
    volatile int zero = 0, one = 1;
    one = one / zero;
}

static UNWATCHED void touch_behind_a_file(void)
{
    int file = memfd_create("short", 0);
    volatile char *page = mmap(NULL, (size_t)sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    *page = 1;
}

static UNWATCHED void step_on_a_breakpoint(void)
{
#if defined(__x86_64__)
    __asm__ volatile("int3");
#else
    __asm__ volatile("brk #0");
#endif
}

static UNWATCHED void run_an_illegal_instruction(void)
{
#if defined(__x86_64__)
    __asm__ volatile("ud2");
#else
    __asm__ volatile(".inst 0");
#endif
}

static UNWATCHED void read_null_alone(void) { read_null(NULL); }
static void raise_abort(void) { raise(SIGABRT); }

static const struct {
    void (*fault)(void);
    int signal;
} deaths[] = {
    {read_null_alone, SIGSEGV},
    {touch_behind_a_file, SIGBUS},
#if defined(__x86_64__)
    {divide, SIGFPE},
#endif
    {run_an_illegal_instruction, SIGILL},
    {step_on_a_breakpoint, SIGTRAP},
    {abort, SIGABRT},
    {raise_abort, SIGABRT},
};
static size_t death; /* the one that is tried */

/* In care, after a fault that was contained, but in no body. */
static int die_between_bodies(void)
{
    CHECK(enter(&guard) == 0);
    CHECK(fault_is_contained() == 0);
    deaths[death].fault();
    return 1;
}

static void *die_here(void *argument)
{
    deaths[death].fault();
    return argument;
}

static void die_next_to(void *argument)
{
    pthread_t thread;
    pthread_create(&thread, argument, die_here, NULL);
    pthread_join(thread, NULL);
}

/* While this thread is in a body, another that the trap does not know. */
static int die_next_to_a_body(void)
{
    tina__fault fault;
    CHECK(enter(&guard) == 0);
    CHECK(fault_is_contained() == 0);
    tina__trap_run(die_next_to, NULL, &fault);
    return 1;
}

static void run_death(void *argument)
{
    (void)argument;
    deaths[death].fault();
}

static int die_without_care(void)
{
    int os_error = 0;
    tina__fault fault;
    CHECK(tina__trap_install(&os_error) == TINA_OK);
    tina__trap_run(run_death, NULL, &fault);
    return 1;
}

static bool everything_is_fatal(const void *user, const tina__fault *fault) { return user == &guard && fault->pc != 0; }

static int die_of_what_is_fatal(void)
{
    guard = (tina__guard){.is_fatal = everything_is_fatal, .user = &guard};
    tina__fault fault;
    CHECK(enter(&guard) == 0);
    tina__trap_run(run_death, NULL, &fault);
    return 1;
}

static void process_dies_of_what_is_not_contained(void **state)
{
    (void)state;
    for (death = 0; death < LENGTH(deaths); death++) {
        dies_in_child(die_between_bodies, deaths[death].signal);
        dies_in_child(die_next_to_a_body, deaths[death].signal);
        dies_in_child(die_without_care, deaths[death].signal);
        dies_in_child(die_of_what_is_fatal, deaths[death].signal);
    }
}

static int ignore_what_is_sent(void)
{
    set_handler(SIGSEGV, SIG_IGN, 0);
    CHECK(enter(&guard) == 0);
    CHECK(fault_is_contained() == 0);
    kill(getpid(), SIGSEGV);
    CHECK(fault_is_contained() == 0);
    return leave();
}

static int die_of_a_fault_that_was_ignored(void)
{
    CHECK(ignore_what_is_sent() == 0);
    CHECK(enter(&guard) == 0);
    read_null(NULL);
    return 1;
}

static void fault_can_not_be_ignored_though_a_signal_can(void **state)
{
    (void)state;
    passes_in_child(ignore_what_is_sent);
    dies_in_child(die_of_a_fault_that_was_ignored, SIGSEGV);
}

/* ---- Sent by others ---- */

static int ready[2]; /* a pipe: the child says that it is in a body */

static void wait_to_be_hit(void *argument)
{
    while (write(ready[1], "", 1) != 1)
        ;
    for (;;)
        pause();
    (void)argument;
}

static int wait_in_a_body(void)
{
    tina__fault fault;
    CHECK(enter(&guard) == 0);
    CHECK(fault_is_contained() == 0);
    tina__trap_run(wait_to_be_hit, NULL, &fault);
    return 1;
}

static void process_dies_of_a_signal_that_another_sends(void **state)
{
    (void)state;
    static const int numbers[] = {SIGSEGV, SIGABRT, SIGFPE, SIGTRAP, SIGBUS};
    char byte;
    assert_int_equal(pipe(ready), 0);
    for (size_t i = 0; i < LENGTH(numbers); i++) {
        pid_t child = start_child(wait_in_a_body);
        assert_int_equal(read(ready[0], &byte, 1), 1);
        assert_int_equal(kill(child, numbers[i]), 0);
        assert_dies(child, numbers[i]);
        child = start_child(wait_in_a_body);
        assert_int_equal(read(ready[0], &byte, 1), 1);
        assert_int_equal(sigqueue(child, numbers[i], (union sigval){0}), 0);
        assert_dies(child, numbers[i]);
    }
    close(ready[0]);
    close(ready[1]);
}

/* ---- The program's own handlers ---- */

static _Atomic unsigned calls;
static volatile char *page; /* what the program's own thread touches */
static sigjmp_buf rescue;

static void repair(int number)
{
    (void)number;
    calls++;
    open_page(page);
}

static void repair_knowing(int number, siginfo_t *info, void *context)
{
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    bool is_as_wanted = sigismember(&mask, SIGHUP) == 1 && (sigismember(&mask, SIGUSR1) == 0 || IS_THREAD_SANITIZED);
    if (number == SIGSEGV && info->si_addr == (void *)(uintptr_t)page && context != NULL && is_as_wanted)
        calls++;
    open_page(page);
}

static void *touch_and_be_repaired(void *argument)
{
    for (unsigned i = 0; i < 10; i++) {
        page = closed_page();
        write_to((void *)(uintptr_t)page);
        munmap((void *)(uintptr_t)page, (size_t)sysconf(_SC_PAGESIZE));
    }
    return argument;
}

static int repair_others(void)
{
    CHECK(enter(&guard) == 0);
    for (unsigned i = 0; i < 10; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, touch_and_be_repaired, NULL) == 0);
        CHECK(fault_is_contained() == 0);
        pthread_join(thread, NULL);
        CHECK(calls == 10 * (i + 1));
    }
    touch_and_be_repaired(NULL); /* in no body, so it is the program's too */
    CHECK(calls == 110);
    CHECK(fault_is_contained() == 0);
    CHECK(leave() == 0);
    touch_and_be_repaired(NULL);
    CHECK(calls == 120);
    return 0;
}

static int repair_others_plainly(void)
{
    set_handler(SIGSEGV, repair, 0);
    return repair_others();
}

static int repair_others_knowing(void)
{
    struct sigaction action = {.sa_sigaction = repair_knowing, .sa_flags = SA_SIGINFO};
    sigaddset(&action.sa_mask, SIGHUP);
    sigaction(SIGSEGV, &action, NULL);
    return repair_others();
}

static void faults_of_other_threads_reach_the_programs_handler(void **state)
{
    (void)state;
    passes_in_child(repair_others_plainly);
    passes_in_child(repair_others_knowing);
}

static void touch_a_page_to_be_repaired(void *argument)
{
    page = closed_page();
    write_to((void *)(uintptr_t)page);
    (void)argument;
}

static int repair_what_is_fatal(void)
{
    set_handler(SIGSEGV, repair, 0);
    guard = (tina__guard){.is_fatal = everything_is_fatal, .user = &guard};
    tina__fault fault;
    CHECK(enter(&guard) == 0);
    CHECK(tina__trap_run(touch_a_page_to_be_repaired, NULL, &fault));
    CHECK(calls == 1);
    guard.user = NULL; /* nothing is */
    CHECK(fault_is_contained() == 0);
    return leave();
}

static void fatal_fault_reaches_the_programs_handler(void **state)
{
    (void)state;
    passes_in_child(repair_what_is_fatal);
}

static void jump_to_safety(int number)
{
    (void)number;
    siglongjmp(rescue, 1);
}

static int jump_many_times(int keeps_mask)
{
    CHECK(enter(&guard) == 0);
    static volatile unsigned jumps;
    while (jumps < 1000) {
        if (sigsetjmp(rescue, keeps_mask) == 0)
            read_null(NULL);
        jumps++;
        CHECK(fault_is_contained() == 0);
    }
    return leave();
}

static int jump_with_mask(void)
{
    set_handler(SIGSEGV, jump_to_safety, 0);
    return jump_many_times(1);
}

static int jump_without_mask(void)
{
    set_handler(SIGSEGV, jump_to_safety, SA_NODEFER);
    return jump_many_times(0);
}

static void handler_of_the_program_may_jump(void **state)
{
    (void)state;
    passes_in_child(jump_with_mask);
    if (!IS_THREAD_SANITIZED) /* does not live with SA_NODEFER */
        passes_in_child(jump_without_mask);
}

static int ready_to_report[2];

static void report(int number)
{
    (void)number;
    while (write(ready_to_report[1], "", 1) != 1)
        ;
}

static int report_once_and_die(void)
{
    set_handler(SIGSEGV, report, SA_RESETHAND);
    CHECK(enter(&guard) == 0);
    CHECK(fault_is_contained() == 0);
    read_null(NULL);
    return 1;
}

static void handler_that_wants_one_call_gets_one(void **state)
{
    (void)state;
    char bytes[2];
    assert_int_equal(pipe(ready_to_report), 0);
    dies_in_child(report_once_and_die, SIGSEGV);
    close(ready_to_report[1]);
    assert_int_equal(read(ready_to_report[0], bytes, 2), 1);
    close(ready_to_report[0]);
}

static int be_called_once(void)
{
    set_handler(SIGSEGV, repair, SA_RESETHAND);
    CHECK(enter(&guard) == 0);
    touch_a_page_to_be_repaired(NULL);
    CHECK(calls == 1);
    CHECK(leave() == 0);
    CHECK(is_default(SIGSEGV)); /* as it would be without us */
    return 0;
}

static void handler_that_had_its_one_call_is_not_put_back(void **state)
{
    (void)state;
    passes_in_child(be_called_once);
}

static bool only_aborts_are_contained(const void *user, const tina__fault *fault)
{
    (void)user;
    return fault->kind != TINA__FAULT_ABORT;
}

static void abort_the_process(int number)
{
    (void)number;
    abort();
}

static int crash_in_the_programs_way(void)
{
    set_handler(SIGSEGV, abort_the_process, 0);
    guard = (tina__guard){.is_fatal = only_aborts_are_contained};
    tina__fault fault;
    CHECK(enter(&guard) == 0);
    tina__trap_run(read_null, NULL, &fault);
    return 1;
}

static void abort_of_the_programs_crash_handler_is_none_of_a_body(void **state)
{
    (void)state;
    dies_in_child(crash_in_the_programs_way, SIGABRT);
}

/* ---- Faults in handlers ---- */

static UNWATCHED void fault_in_handler(int number)
{
    (void)number;
    *null = 1;
}

static void signal_itself(void *argument)
{
    (void)argument;
    pthread_kill(pthread_self(), SIGUSR1);
}

static int fault_in_another_handler(void)
{
    set_handler(SIGUSR1, fault_in_handler, 0);
    CHECK(enter(&guard) == 0);
    for (unsigned i = 0; i < 100; i++) {
        tina__fault fault = {0};
        CHECK(!tina__trap_run(signal_itself, NULL, &fault));
        CHECK(fault.signal == SIGSEGV);
    }
    return leave();
}

static int fault_in_the_chained_handler(void)
{
    set_handler(SIGSEGV, fault_in_handler, 0);
    CHECK(enter(&guard) == 0);
    read_null(NULL);
    return 1;
}

static UNWATCHED bool fault_in_the_question(const void *user, const tina__fault *fault)
{
    *null = 1;
    return user == fault;
}

static int fault_in_the_guards_question(void)
{
    guard = (tina__guard){.is_fatal = fault_in_the_question};
    tina__fault fault;
    CHECK(enter(&guard) == 0);
    tina__trap_run(read_null, NULL, &fault);
    return 1;
}

static void fault_in_a_handler_during_a_body_ends_the_body(void **state)
{
    (void)state;
    if (IS_THREAD_SANITIZED) /* defers the signal */
        skip();
    passes_in_child(fault_in_another_handler);
}

static void fault_in_a_fault_handler_ends_the_process(void **state)
{
    (void)state;
    if (IS_THREAD_SANITIZED) /* whose handlers come between */
        skip();
    dies_in_child(fault_in_the_chained_handler, SIGSEGV);
    dies_in_child(fault_in_the_guards_question, SIGSEGV);
}

/* ---- Who was installed over us ---- */

static struct sigaction below;

static void pass_on(int number, siginfo_t *info, void *context)
{
    calls++;
    below.sa_sigaction(number, info, context);
}

static int stand_on_top(void)
{
    struct sigaction on_top = {.sa_sigaction = pass_on, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    return sigaction(SIGSEGV, &on_top, &below);
}

static bool is_on_top(void)
{
    struct sigaction now;
    sigaction(SIGSEGV, NULL, &now);
    return (now.sa_flags & SA_SIGINFO) != 0 && now.sa_sigaction == pass_on;
}

static int keep_what_somebody_changed(void)
{
    CHECK(enter(&guard) == 0);
    CHECK(stand_on_top() == 0);
    CHECK(fault_is_contained() == 0); /* by way of who stands on top */
    CHECK(calls == 1);
    CHECK(leave() == 0);
    CHECK(is_on_top());
    CHECK(is_default(SIGBUS));
    CHECK(enter(&guard) == 0);
    CHECK(fault_is_contained() == 0);
    CHECK(calls == 1);
    CHECK(leave() == 0);
    CHECK(is_on_top());
    return 0;
}

static void handler_that_somebody_changed_stays_theirs(void **state)
{
    (void)state;
    passes_in_child(keep_what_somebody_changed);
}

static int die_through_who_stayed(void)
{
    CHECK(enter(&guard) == 0);
    CHECK(stand_on_top() == 0);
    CHECK(leave() == 0);
    read_null(NULL);
    return 1;
}

static int die_in_a_ring_of_chains(void)
{
    CHECK(enter(&guard) == 0);
    CHECK(stand_on_top() == 0);
    CHECK(leave() == 0);
    CHECK(enter(&guard) == 0); /* over the one that chains to us */
    CHECK(fault_is_contained() == 0);
    read_null(NULL);
    return 1;
}

static void fault_that_comes_round_ends_the_process(void **state)
{
    (void)state;
    dies_in_child(die_through_who_stayed, SIGSEGV);
    dies_in_child(die_in_a_ring_of_chains, SIGSEGV);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(life_in_the_trap_leaves_nothing_behind),
        cmocka_unit_test(mask_after_a_fault_is_that_of_the_entry),
        cmocka_unit_test(trap_installed_twice_is_removed_by_the_second),
        cmocka_unit_test(install_that_is_refused_leaves_nothing_behind),
        cmocka_unit_test(process_dies_of_what_is_not_contained),
        cmocka_unit_test(fault_can_not_be_ignored_though_a_signal_can),
        cmocka_unit_test(process_dies_of_a_signal_that_another_sends),
        cmocka_unit_test(faults_of_other_threads_reach_the_programs_handler),
        cmocka_unit_test(fatal_fault_reaches_the_programs_handler),
        cmocka_unit_test(handler_of_the_program_may_jump),
        cmocka_unit_test(handler_that_wants_one_call_gets_one),
        cmocka_unit_test(handler_that_had_its_one_call_is_not_put_back),
        cmocka_unit_test(abort_of_the_programs_crash_handler_is_none_of_a_body),
        cmocka_unit_test(fault_in_a_handler_during_a_body_ends_the_body),
        cmocka_unit_test(fault_in_a_fault_handler_ends_the_process),
        cmocka_unit_test(handler_that_somebody_changed_stays_theirs),
        cmocka_unit_test(fault_that_comes_round_ends_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
