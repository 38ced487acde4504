/* What a watchdog asks of a thread: where it stands, and that its body ends. Never more than was asked. */
/* ctest: not under thread */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "os/os.h"
#include "support/tripwire.h"
#include "trap/child.h"

#include <sched.h>
#include <stdatomic.h>
#include <time.h>

#define TIMES      (IS_SANITIZED ? 20u : 200u)
#define HUNTS      (IS_SANITIZED ? 100u : 20000u)
#define STACK_SIZE ((size_t)256 << 10)
#define LOOKS_MAX  60000u /* of a millisecond each */

/* ---- A thread that is watched ---- */

typedef struct worker {
    tina__guard guard;
    tina__os_thread thread;
    void (*body)(void *worker);
    bool came_back;
    tina__fault fault, inner_fault;
    _Atomic uint32_t laps; /* of its loop */
    _Atomic bool may_end;
    bool is_spoilt; /* what only the body can see went wrong */
} worker;

static worker watched;

static void work(void *argument)
{
    worker *self = argument;
    int os_error = 0;
    if (tina__trap_enter(&self->guard, &os_error) != TINA_OK)
        return;
    tina__guard_turn(&self->guard);
    self->came_back = tina__trap_run(self->body, self, &self->fault);
    tina__guard_turn(&self->guard);
    tina__trap_leave();
}

static int start(void (*body)(void *worker))
{
    int os_error = 0;
    memset(&watched, 0, sizeof watched);
    watched.body = body;
    CHECK(tina__trap_install(&os_error) == TINA_OK);
    CHECK(tina__os_thread_start(&watched.thread, STACK_SIZE, "watched", work, &watched, &os_error) == TINA_OK);
    return 0;
}

static void join(void)
{
    tina__os_thread_join(&watched.thread);
    tina__trap_remove();
}

static bool wait_a_little(unsigned waits)
{
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    return waits < LOOKS_MAX;
}

/* laps beyond those of now, so that the thread has passed through its loop. */
static int await_laps(void)
{
    uint32_t before = atomic_load(&watched.laps);
    for (unsigned waits = 0; atomic_load(&watched.laps) - before < 2; waits++)
        CHECK(wait_a_little(waits));
    return 0;
}

static uint32_t turn_of(const worker *one) { return atomic_load(&one->guard.turn); }

static bool poke(void) { return tina__trap_poke(watched.thread.bits[0]); }

static int look(void)
{
    atomic_store(&watched.guard.look_turn, turn_of(&watched));
    CHECK(poke());
    for (unsigned waits = 0; atomic_load(&watched.guard.look_turn) != 0; waits++)
        CHECK(wait_a_little(waits));
    return 0;
}

static int request_kill(uint32_t turn)
{
    atomic_store(&watched.guard.kill_turn, turn);
    CHECK(poke());
    return 0;
}

/* A look that was answered shows that what was asked before it was heard. */
static int lives_on(void)
{
    CHECK(look() == 0);
    CHECK(await_laps() == 0);
    return 0;
}

static int end_by_kill(void)
{
    CHECK(request_kill(turn_of(&watched)) == 0);
    join();
    CHECK(!watched.came_back);
    CHECK(watched.fault.kind == TINA__FAULT_KILLED);
    CHECK(!watched.is_spoilt);
    return 0;
}

/* ---- Bodies. Their code is in sections of its own, so that an address tells whose it is. ---- */

extern const char __start_spinning[], __stop_spinning[], __start_calling[], __stop_calling[];

#define IN_SECTION(name) __attribute__((noinline, section(name)))

static IN_SECTION("spinning") void spin(worker *self)
{
    while (!atomic_load_explicit(&self->may_end, memory_order_relaxed)) /* never here, or the call to it were a jump */
        atomic_store_explicit(&self->laps, atomic_load_explicit(&self->laps, memory_order_relaxed) + 1,
                              memory_order_relaxed);
}

static IN_SECTION("calling") void call_spin(void *argument)
{
    worker *self = argument;
    spin(self);
    self->is_spoilt = true; /* and what comes behind the call keeps it a call */
}

static void keep_errno(void *argument)
{
    worker *self = argument;
    errno = 77;
    while (!atomic_load(&self->may_end)) {
        atomic_fetch_add(&self->laps, 1);
        self->is_spoilt |= errno != 77;
    }
}

static void change_something(void *argument)
{
    worker *self = argument;
    tina__guard_set(&self->guard.is_changing, true);
    while (!atomic_load(&self->may_end))
        atomic_fetch_add(&self->laps, 1);
    tina__guard_set(&self->guard.is_changing, false);
    if (atomic_load(&self->guard.is_kill_waiting))
        tina__trap_throw(&(tina__fault){.kind = TINA__FAULT_KILLED, .what = "waited"});
}

static void lose_the_inner_body(void *argument)
{
    worker *self = argument;
    self->is_spoilt = tina__trap_run(call_spin, self, &self->inner_fault);
    self->is_spoilt |= !atomic_load(&self->guard.is_changing); /* no kill comes before this body goes on */
    tina__guard_set(&self->guard.is_changing, false);
    call_spin(self);
}

static void spin_off_the_stack(void *argument)
{
    worker *self = argument;
    atomic_fetch_add(&self->laps, 2);
#if defined(__x86_64__)
    __asm__ volatile("movq $64, %rsp\n1: jmp 1b");
#else
    __asm__ volatile("mov x0, #64\nmov sp, x0\n1: b 1b");
#endif
}

static bool is_within(const void *pc, const char *start_of_it, const char *end_of_it)
{
    return (const char *)pc >= start_of_it && (const char *)pc < end_of_it;
}

/* ---- Kill ---- */

static int kill_again_and_again(void)
{
    for (unsigned i = 0; i < TIMES; i++) {
        CHECK(start(call_spin) == 0);
        CHECK(await_laps() == 0);
        CHECK(end_by_kill() == 0);
        CHECK(is_within((void *)watched.fault.pc, __start_spinning, __stop_spinning));
        CHECK(!watched.fault.is_foreign);
        CHECK(atomic_load(&watched.guard.kill_turn) == 0);
        CHECK(!atomic_load(&watched.guard.is_kill_waiting));
    }
    return 0;
}

static void kill_ends_an_endless_loop(void **state)
{
    (void)state;
    passes_in_child(kill_again_and_again);
}

static int kill_an_old_turn(void)
{
    static const uint32_t others[] = {0, 2, 3, UINT32_MAX};
    CHECK(start(call_spin) == 0);
    CHECK(await_laps() == 0);
    for (size_t i = 0; i < LENGTH(others); i++) {
        CHECK(request_kill(others[i]) == 0);
        CHECK(lives_on() == 0);
        CHECK(atomic_load(&watched.guard.kill_turn) == others[i]);
    }
    return end_by_kill();
}

static void kill_of_another_turn_hits_nobody(void **state)
{
    (void)state;
    passes_in_child(kill_an_old_turn);
}

static void poke_oneself(void *argument)
{
    (void)argument;
    tina__os_thread self = {.bits = {0}};
    pthread_t thread = pthread_self();
    memcpy(&self.bits[0], &thread, sizeof thread);
    tina__trap_poke(self.bits[0]);
}

static int poke_where_nothing_runs(void)
{
    tina__fault fault;
    CHECK(enter(&watched.guard) == 0);
    atomic_store(&watched.guard.turn, 1);
    atomic_store(&watched.guard.kill_turn, 1);
    poke_oneself(NULL); /* odd, but in no body */
    CHECK(atomic_load(&watched.guard.kill_turn) == 1);
    atomic_store(&watched.guard.turn, 2);
    atomic_store(&watched.guard.kill_turn, 2);
    atomic_store(&watched.guard.look_turn, 2);
    CHECK(tina__trap_run(poke_oneself, NULL, &fault)); /* in a body, but even */
    CHECK(atomic_load(&watched.guard.kill_turn) == 2);
    CHECK(atomic_load(&watched.guard.look_turn) == 2);
    CHECK(leave() == 0);
    poke_oneself(NULL); /* in nobody's care */
    return 0;
}

static void poke_where_no_body_runs_does_nothing(void **state)
{
    (void)state;
    passes_in_child(poke_where_nothing_runs);
}

static int kill_while_changing(void)
{
    CHECK(start(change_something) == 0);
    CHECK(await_laps() == 0);
    CHECK(request_kill(turn_of(&watched)) == 0);
    CHECK(lives_on() == 0);
    CHECK(atomic_load(&watched.guard.is_kill_waiting));
    CHECK(atomic_load(&watched.guard.kill_turn) == 0);
    atomic_store(&watched.may_end, true);
    join();
    CHECK(!watched.came_back);
    CHECK(strcmp(watched.fault.what, "waited") == 0);
    return 0;
}

static void kill_while_something_changes_waits(void **state)
{
    (void)state;
    passes_in_child(kill_while_changing);
}

static int kill_one_in_another(void)
{
    CHECK(start(lose_the_inner_body) == 0);
    CHECK(await_laps() == 0);
    CHECK(request_kill(turn_of(&watched)) == 0);
    CHECK(lives_on() == 0); /* the outer one, though it is still the same turn */
    CHECK(watched.inner_fault.kind == TINA__FAULT_KILLED);
    return end_by_kill();
}

static void kill_ends_the_innermost_body_once(void **state)
{
    (void)state;
    passes_in_child(kill_one_in_another);
}

static bool ask_for_a_kill(const void *user, const tina__fault *fault)
{
    (void)fault;
    atomic_store(&watched.guard.kill_turn, turn_of(user));
    poke_oneself(NULL);
    return false;
}

static int kill_during_a_fault(void)
{
    tina__fault fault = {0};
    watched.guard.is_fatal = ask_for_a_kill;
    watched.guard.user = &watched;
    CHECK(enter(&watched.guard) == 0);
    tina__guard_turn(&watched.guard);
    CHECK(!tina__trap_run(read_null, NULL, &fault));
    CHECK(fault.kind == TINA__FAULT_SIGNAL);
    CHECK(atomic_load(&watched.guard.is_kill_waiting));
    return leave();
}

static void kill_during_a_fault_waits(void **state)
{
    (void)state;
    passes_in_child(kill_during_a_fault);
}

static UNWATCHED void wait_then_fault(void *argument)
{
    worker *self = argument;
    while (atomic_load(&self->laps) % 64 == 0) /* some are killed for certain */
        ;
    for (volatile uint32_t i = 0; i < atomic_load(&self->laps) % 512; i++)
        ;
    *null = 1;
}

static void hunt(void *argument)
{
    worker *hunted = argument;
    while (!atomic_load(&hunted->may_end)) {
        atomic_store(&hunted->guard.kill_turn, turn_of(hunted));
        tina__trap_poke(hunted->thread.bits[0]);
    }
}

/* Kills come in at every point of a fault's way: each body ends once, of the one or of the other. */
static int fault_while_hunted(void)
{
    int os_error = 0;
    tina__os_thread hunter;
    pthread_t thread = pthread_self();
    memcpy(&watched.thread.bits[0], &thread, sizeof thread);
    CHECK(enter(&watched.guard) == 0);
    CHECK(tina__os_thread_start(&hunter, STACK_SIZE, "hunter", hunt, &watched, &os_error) == TINA_OK);
    unsigned killed = 0, faulted = 0;
    for (uint32_t runs = 0; runs < HUNTS; runs++) {
        tina__fault fault = {0};
        atomic_store(&watched.laps, runs);
        tina__guard_turn(&watched.guard);
        CHECK(!tina__trap_run(wait_then_fault, &watched, &fault));
        CHECK(!tina__trap_is_armed());
        tina__guard_turn(&watched.guard);
        killed += fault.kind == TINA__FAULT_KILLED;
        faulted += fault.kind == TINA__FAULT_SIGNAL && fault.signal == SIGSEGV;
    }
    atomic_store(&watched.may_end, true);
    tina__os_thread_join(&hunter);
    CHECK(killed + faulted == HUNTS);
    CHECK(killed >= HUNTS / 64);
    return leave();
}

static void kills_and_faults_at_once_end_each_body_once(void **state)
{
    (void)state;
    passes_in_child(fault_while_hunted);
}

/* ---- Look ---- */

static int look_again_and_again(void)
{
    CHECK(start(call_spin) == 0);
    CHECK(await_laps() == 0);
    tina_test_tripwire_arm();
    for (unsigned i = 0; i < TIMES; i++) {
        atomic_store(&watched.guard.look_count, 0);
        CHECK(look() == 0);
        uint32_t count = atomic_load(&watched.guard.look_count);
        CHECK(count >= 2);
        CHECK(count <= TINA__LOOK_FRAMES);
        CHECK(is_within(watched.guard.look_frames[0], __start_spinning, __stop_spinning));
        CHECK(is_within(watched.guard.look_frames[1], __start_calling, __stop_calling));
    }
    tina_test_tripwire_disarm();
    CHECK(tina_test_tripwire_hits() == 0);
    return end_by_kill();
}

static void look_tells_the_frames_from_the_loop_outwards(void **state)
{
    (void)state;
    passes_in_child(look_again_and_again);
}

static bool nothing_is_contained(const void *user, const tina__fault *fault)
{
    (void)user;
    (void)fault;
    return true;
}

/* Where nobody can unwind: neither the look's own fault nor what the guard says of faults ends anything. */
static int look_at_a_spoilt_stack(void)
{
    CHECK(start(spin_off_the_stack) == 0);
    watched.guard.is_fatal = nothing_is_contained;
    for (unsigned waits = 0; atomic_load(&watched.laps) == 0; waits++)
        CHECK(wait_a_little(waits));
    for (unsigned i = 0; i < 10; i++) {
        CHECK(look() == 0);
        CHECK(atomic_load(&watched.guard.look_count) >= 1);
    }
    return end_by_kill();
}

static void look_at_a_spoilt_stack_tells_what_it_can(void **state)
{
    (void)state;
    passes_in_child(look_at_a_spoilt_stack);
}

static int look_without_a_trace(void)
{
    CHECK(start(keep_errno) == 0);
    CHECK(await_laps() == 0);
    for (unsigned i = 0; i < TIMES; i++)
        CHECK(look() == 0);
    atomic_store(&watched.may_end, true);
    join();
    CHECK(watched.came_back);
    CHECK(!watched.is_spoilt);
    return 0;
}

static void look_keeps_errno(void **state)
{
    (void)state;
    passes_in_child(look_without_a_trace);
}

/* ---- Others' signals of this number ---- */

static _Atomic unsigned calls;

static void count_call(int number) { atomic_fetch_add(&calls, number == SIGURG); }

static int pass_what_is_not_the_watchdogs(void)
{
    set_handler(SIGURG, count_call, 0);
    CHECK(enter(&watched.guard) == 0);
    kill(getpid(), SIGURG); /* as if it were a socket's */
    CHECK(atomic_load(&calls) == 1);
    poke_oneself(NULL);
    CHECK(atomic_load(&calls) == 1);
    tina__trap_leave();
    poke_oneself(NULL); /* a thread of the program's, which may use it for itself */
    CHECK(atomic_load(&calls) == 2);
    tina__trap_remove();
    kill(getpid(), SIGURG);
    CHECK(atomic_load(&calls) == 3);
    return 0;
}

static void urgent_signals_of_others_are_passed_on(void **state)
{
    (void)state;
    passes_in_child(pass_what_is_not_the_watchdogs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kill_ends_an_endless_loop),
        cmocka_unit_test(kill_of_another_turn_hits_nobody),
        cmocka_unit_test(poke_where_no_body_runs_does_nothing),
        cmocka_unit_test(kill_while_something_changes_waits),
        cmocka_unit_test(kill_during_a_fault_waits),
        cmocka_unit_test(kill_ends_the_innermost_body_once),
        cmocka_unit_test(kills_and_faults_at_once_end_each_body_once),
        cmocka_unit_test(look_tells_the_frames_from_the_loop_outwards),
        cmocka_unit_test(look_at_a_spoilt_stack_tells_what_it_can),
        cmocka_unit_test(look_keeps_errno),
        cmocka_unit_test(urgent_signals_of_others_are_passed_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
