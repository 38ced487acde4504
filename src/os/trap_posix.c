/*
 * A run leaves a jump buffer on its thread's stack, linked from thread-local
 * memory; the handlers run on an alternate stack, put the thread's signal mask
 * back themselves (a jump buffer that keeps the mask costs a system call for each
 * run) and jump. What the handlers read of a thread is atomic: they interrupt it
 * anywhere.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "os/trap.h"

#include "base/assert.h"
#include "os/os.h"
#include "os/signals.h"

#include <errno.h>
#include <execinfo.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#define INITIAL_EXEC __attribute__((tls_model("initial-exec"))) /* so that a look-up in a handler never allocates */

typedef struct run {
    sigjmp_buf env;
    struct run *outer;
    tina__fault *fault; /* the caller's */
    bool is_looking;    /* it is our own, in a handler: no fault of it is fatal */
} run;

static _Thread_local INITIAL_EXEC _Atomic(run *) innermost; /* NULL: the thread is in no body */

/*
 * The innermost body's end has begun, or a fault was passed on to the program's
 * handler: another fault is not contained, lest the trap jump to a broken buffer
 * for ever, or take the abort() of the program's crash handler for a body's. A
 * kill waits.
 */
static _Thread_local INITIAL_EXEC _Atomic bool is_closed;

/* From enter to leave, or from arrive to depart. */
static _Thread_local INITIAL_EXEC _Atomic(tina__guard *) guard;
static _Thread_local INITIAL_EXEC struct {
    sigset_t mask; /* the thread's, with SIGURG open: what it has again after each jump out of a handler */
    bool was_urgent_blocked;
    sigset_t away;       /* a host's own, while somebody visits */
    bool had_broken;     /* a SIGPIPE of the host's own waits, blocked */
    unsigned user_count; /* who has entered, or is hosted: the stack is theirs */
    stack_t stack_before;
    void *stack; /* the mapping, its lowest page closed */
    size_t stack_size;
    pid_t process; /* that entered: a forked child is nobody's shard */
} care;

/* ---- Running ---- */

static run *innermost_run(void) { return atomic_load_explicit(&innermost, memory_order_relaxed); }

/* What stands before it in the code is done before it, for a handler that interrupts here; what stands behind is not. */
static void set_innermost(run *to)
{
    atomic_signal_fence(memory_order_seq_cst);
    atomic_store_explicit(&innermost, to, memory_order_relaxed);
    tina__guard_set(&is_closed, false);
}

static bool close_trap(bool value)
{
    bool was_closed = atomic_load_explicit(&is_closed, memory_order_relaxed);
    tina__guard_set(&is_closed, value);
    return was_closed;
}

/* Between the end of a run and what its caller does about it, a kill would find a runtime call half done. */
static void hold_still(const run *outer)
{
    tina__guard *own = atomic_load_explicit(&guard, memory_order_relaxed);
    if (own != NULL && outer != NULL)
        tina__guard_set(&own->is_changing, true);
}

static __attribute__((noinline)) bool run_body(void (*body)(void *argument), void *argument, tina__fault *fault,
                                               bool is_looking)
{
    run this_run;
    this_run.outer = innermost_run();
    this_run.fault = fault;
    this_run.is_looking = is_looking;
    /* Nothing here changes between the two returns of sigsetjmp. The second comes with the trap closed. */
    if (sigsetjmp(this_run.env, 0) != 0) {
        if (!this_run.is_looking)
            hold_still(this_run.outer);
        set_innermost(this_run.outer);
        return false;
    }
    set_innermost(&this_run);
    body(argument);
    set_innermost(this_run.outer);
    return true;
}

bool tina__trap_run(void (*body)(void *argument), void *argument, tina__fault *fault)
{
    /* What the compiler knew of the body, it would take for true behind the jump: it is not to see through. */
    __asm__("" : "+r"(body));
    return run_body(body, argument, fault, false);
}

bool tina__trap_is_armed(void) { return innermost_run() != NULL; }

bool tina__trap_is_taken(void)
{
    return tina__trap_is_armed() || atomic_load_explicit(&guard, memory_order_relaxed) != NULL;
}

/* The trap is closed. */
static _Noreturn void jump_out(const tina__fault *fault)
{
    run *ended = innermost_run();
    *ended->fault = *fault;
    siglongjmp(ended->env, 1);
}

_Noreturn void tina__trap_throw(const tina__fault *fault)
{
    tina__assert(innermost_run() != NULL);
    close_trap(true);
    jump_out(fault);
}

static _Noreturn void jump_out_of_handler(const tina__fault *fault)
{
    close_trap(true);
    pthread_sigmask(SIG_SETMASK, &care.mask, NULL);
    jump_out(fault);
}

/* ---- Faults ---- */

static uintptr_t interrupted_pc(const void *context)
{
    const ucontext_t *interrupted = context;
#if defined(__x86_64__)
    return (uintptr_t)interrupted->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return (uintptr_t)interrupted->uc_mcontext.pc;
#else
#error "where does this machine keep its program counter?"
#endif
}

/* By abort() and raise(). Another thread's pthread_kill() looks the same. */
static bool is_of_own_thread(const siginfo_t *info) { return info->si_code == SI_TKILL && info->si_pid == getpid(); }

/* What the thread itself did just now, and does again if the signal is no more than returned from. */
static bool is_synchronous(const siginfo_t *info)
{
    /* A bus error of which the thread need know nothing yet. */
    bool is_notice = info->si_signo == SIGBUS && info->si_code == BUS_MCEERR_AO;
    return info->si_code > 0 && !is_notice;
}

static bool is_in(const tina__code *codes, size_t count, uintptr_t pc)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (pc >= codes[middle].end)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && pc >= codes[low].start;
}

static tina__fault fault_at(const tina__guard *own, tina__fault_kind kind, const void *context)
{
    uintptr_t pc = interrupted_pc(context);
    return (tina__fault){
        .kind = (uint8_t)kind,
        .pc = pc,
        .is_foreign = is_in(own->foreign, own->foreign_count, pc),
        .is_changing = atomic_load_explicit(&own->is_changing, memory_order_relaxed),
    };
}

static tina__fault fault_of_signal(const tina__guard *own, const siginfo_t *info, const void *context)
{
    tina__fault fault = fault_at(own, info->si_signo == SIGABRT ? TINA__FAULT_ABORT : TINA__FAULT_SIGNAL, context);
    fault.signal = info->si_signo;
    fault.code = info->si_code;
    bool has_address = is_synchronous(info) && (info->si_signo == SIGSEGV || info->si_signo == SIGBUS);
    fault.address = has_address ? (uintptr_t)info->si_addr : fault.pc;
    return fault;
}

static void contain(const siginfo_t *info, const void *context)
{
    const tina__guard *own = atomic_load_explicit(&guard, memory_order_relaxed);
    const run *ours = innermost_run();
    if (own == NULL || ours == NULL || atomic_load_explicit(&is_closed, memory_order_relaxed))
        return;
    if (getpid() != care.process)
        return;
    if (!is_of_own_thread(info) && !is_synchronous(info))
        return;
    tina__fault fault = fault_of_signal(own, info, context);
    if (ours->is_looking || own->is_fatal == NULL || !own->is_fatal(own->user, &fault))
        jump_out_of_handler(&fault);
}

static void on_fault(tina__signal *signal, siginfo_t *info, void *context)
{
    contain(info, context);
    bool was_closed = close_trap(true);
    if (!tina__signal_pass(signal, info, context)) {
        /* A breakpoint is behind the program counter: returning would leave it out. */
        bool comes_again = is_synchronous(info) && signal->number != SIGTRAP;
        tina__signal_default(signal, !comes_again);
    }
    close_trap(was_closed);
}

/* ---- The watchdog's requests ---- */

enum { HANDLER_FRAMES = 16 }; /* at most, between the capture and what was interrupted */

typedef struct capture {
    void *frames[HANDLER_FRAMES + TINA__LOOK_FRAMES];
    int count;
} capture;

/* In a run of its own: the code that is looked at may have spoilt its stack. */
static void capture_frames(void *argument)
{
    capture *captured = argument;
    captured->count = backtrace(captured->frames, HANDLER_FRAMES + TINA__LOOK_FRAMES);
}

/* The frames from the interrupted one outwards; that one alone where the rest can't be told. */
static uint32_t frames_from(uintptr_t pc, const capture *captured, void **frames)
{
    int first = 0;
    while (first < captured->count && (uintptr_t)captured->frames[first] != pc)
        first++;
    uint32_t count = tina__min_u32((uint32_t)(captured->count - first), TINA__LOOK_FRAMES);
    memcpy(frames, &captured->frames[first], count * sizeof frames[0]);
    if (count > 0)
        return count;
    frames[0] = (void *)pc;
    return 1;
}

static void look(tina__guard *own, uint32_t turn, uintptr_t pc)
{
    /* acquire, with the watchdog: it has read the frames of the look before. */
    if (atomic_load_explicit(&own->look_turn, memory_order_acquire) != turn)
        return;
    capture captured = {.count = 0};
    tina__fault fault;
    if (!run_body(capture_frames, &captured, &fault, true))
        captured.count = 0;
    uint32_t count = frames_from(pc, &captured, own->look_frames);
    /* release: the frames are written. */
    atomic_store_explicit(&own->look_count, count, memory_order_release);
    /* release, for who waits for this word. One that was changed meanwhile is another request. */
    atomic_compare_exchange_strong_explicit(&own->look_turn, &turn, 0, memory_order_release, memory_order_relaxed);
}

/* Whether a kill of this turn was asked for. Once: a signal that comes later must not end the body outside of the one that it meant. */
static bool take_kill(tina__guard *own, uint32_t turn)
{
    return atomic_compare_exchange_strong_explicit(&own->kill_turn, &turn, 0, memory_order_relaxed, memory_order_relaxed);
}

static void on_poke(tina__signal *signal, siginfo_t *info, void *context)
{
    tina__guard *own = atomic_load_explicit(&guard, memory_order_relaxed);
    if (own == NULL || !is_of_own_thread(info) || getpid() != care.process) {
        tina__signal_pass(signal, info, context);
        return;
    }
    uint32_t turn = atomic_load_explicit(&own->turn, memory_order_relaxed);
    if ((turn & 1) == 0 || innermost_run() == NULL)
        return;
    bool is_ending = atomic_load_explicit(&is_closed, memory_order_relaxed);
    if (!is_ending)
        look(own, turn, interrupted_pc(context));
    if (!take_kill(own, turn))
        return;
    if (is_ending || atomic_load_explicit(&own->is_changing, memory_order_relaxed)) {
        atomic_store_explicit(&own->is_kill_waiting, true, memory_order_relaxed);
        return;
    }
    tina__fault fault = fault_at(own, TINA__FAULT_KILLED, context);
    jump_out_of_handler(&fault);
}

bool tina__trap_poke(uint64_t thread)
{
    pthread_t poked;
    memcpy(&poked, &thread, sizeof poked);
    return pthread_kill(poked, SIGURG) == 0;
}

/* ---- The process ---- */

static tina__signal trapped[] = {
    {.number = SIGSEGV, .handle = on_fault}, {.number = SIGBUS, .handle = on_fault},
    {.number = SIGFPE, .handle = on_fault},  {.number = SIGILL, .handle = on_fault},
    {.number = SIGTRAP, .handle = on_fault}, {.number = SIGABRT, .handle = on_fault},
    {.number = SIGURG, .handle = on_poke},
};
static tina__signal_group trapped_group = {.signals = trapped, .signal_count = sizeof trapped / sizeof trapped[0]};

static tina_status failed(int error, int *os_error)
{
    *os_error = error;
    return error == EPERM || error == EACCES ? TINA_DENIED : TINA_SYSTEM_ERROR;
}

tina_status tina__trap_install(int *os_error)
{
    /* The first backtrace loads what it needs: not in a handler, then. */
    void *frame;
    int error = errno;
    (void)backtrace(&frame, 1);
    errno = error;
    error = tina__signal_group_take(&trapped_group);
    return error == 0 ? TINA_OK : failed(error, os_error);
}

void tina__trap_remove(void) { tina__signal_group_release(&trapped_group); }

/* ---- A thread ---- */

#define HANDLER_STACK_SIZE ((size_t)64 << 10)

/* Enough for two handlers, one in the other, with the registers that the kernel saves for each. */
static size_t handler_stack_size(void)
{
    long least = sysconf(_SC_SIGSTKSZ);
    size_t size = least > 0 ? 2 * (size_t)least : 0;
    return tina__align_up(size > HANDLER_STACK_SIZE ? size : HANDLER_STACK_SIZE, tina__os_page_size());
}

/* With a closed page below it. */
static tina_status make_stack(size_t size, int *os_error)
{
    size_t page = tina__os_page_size();
    void *base;
    tina_status status = tina__os_reserve(page + size, &base, os_error);
    if (status != TINA_OK)
        return status;
    stack_t stack = {.ss_sp = (char *)base + page, .ss_size = size};
    status = tina__os_open_memory(stack.ss_sp, size, os_error);
    if (status == TINA_OK && sigaltstack(&stack, &care.stack_before) != 0)
        status = failed(errno, os_error);
    if (status != TINA_OK) {
        tina__os_release(base, page + size);
        return status;
    }
    care.stack = base;
    care.stack_size = page + size;
    return TINA_OK;
}

static sigset_t urgent(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGURG);
    return set;
}

/* Where the last of the calling thread's stack begins; 0: it is not known. */
static uintptr_t find_stack_floor(void)
{
    pthread_attr_t attributes;
    void *low = NULL;
    size_t size = 0;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0)
        return 0;
    int error = pthread_attr_getstack(&attributes, &low, &size);
    pthread_attr_destroy(&attributes);
    size_t reserve = size / 4 < TINA__STACK_RESERVE ? size / 4 : TINA__STACK_RESERVE;
    return error == 0 ? (uintptr_t)low + reserve : 0;
}

tina_status tina__trap_host(tina__guard *own, int *os_error)
{
    tina_status status = care.user_count == 0 ? make_stack(handler_stack_size(), os_error) : TINA_OK;
    if (status != TINA_OK)
        return status;
    care.user_count++;
    care.process = getpid();
    own->stack_floor = find_stack_floor();
    return TINA_OK;
}

void tina__trap_host_no_more(void)
{
    tina__assert(care.user_count != 0);
    if (--care.user_count != 0)
        return;
    stack_t now;
    int result = sigaltstack(NULL, &now);
    if (result == 0 && now.ss_sp == (char *)care.stack + tina__os_page_size())
        result = sigaltstack(&care.stack_before, NULL);
    tina__assert(result == 0);
    tina__os_release(care.stack, care.stack_size);
}

static sigset_t pipes(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    return set;
}

static bool is_pipe_pending(void)
{
    sigset_t pending;
    return sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1;
}

/* False: none was in it. A fault that is blocked ends the process; programs block all signals in some of their threads. */
static bool open_trapped(sigset_t *mask)
{
    bool was_any_blocked = false;
    for (size_t i = 0; i < sizeof trapped / sizeof trapped[0]; i++) {
        was_any_blocked |= sigismember(mask, trapped[i].number) == 1;
        sigdelset(mask, trapped[i].number);
    }
    return was_any_blocked;
}

void tina__trap_arrive(tina__guard *own)
{
    tina__assert(!tina__trap_is_taken());
    tina__assert(own == NULL || care.user_count != 0);
    sigset_t blocked = pipes();
    pthread_sigmask(SIG_BLOCK, &blocked, &care.away);
    care.had_broken = sigismember(&care.away, SIGPIPE) == 1 && is_pipe_pending();
    care.mask = care.away;
    sigaddset(&care.mask, SIGPIPE);
    if (own == NULL)
        return;
    if (open_trapped(&care.mask))
        pthread_sigmask(SIG_SETMASK, &care.mask, NULL);
    atomic_signal_fence(memory_order_seq_cst);
    atomic_store_explicit(&guard, own, memory_order_relaxed);
}

void tina__trap_depart(void)
{
    tina__assert(innermost_run() == NULL);
    atomic_store_explicit(&guard, NULL, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    sigset_t broken = pipes();
    struct timespec at_once = {0};
    if (!care.had_broken)
        (void)sigtimedwait(&broken, NULL, &at_once);
    pthread_sigmask(SIG_SETMASK, &care.away, NULL);
}

tina_status tina__trap_enter(tina__guard *own, int *os_error)
{
    tina__assert(atomic_load_explicit(&guard, memory_order_relaxed) == NULL);
    tina_status status = tina__trap_host(own, os_error);
    if (status != TINA_OK)
        return status;
    sigset_t opened = urgent();
    pthread_sigmask(SIG_UNBLOCK, &opened, &care.mask);
    care.was_urgent_blocked = sigismember(&care.mask, SIGURG) == 1;
    sigdelset(&care.mask, SIGURG);
    atomic_signal_fence(memory_order_seq_cst);
    atomic_store_explicit(&guard, own, memory_order_relaxed);
    return TINA_OK;
}

void tina__trap_use(tina__guard *own)
{
    const tina__guard *before = atomic_load_explicit(&guard, memory_order_relaxed);
    tina__assert(before != NULL);
    own->stack_floor = before->stack_floor;
    atomic_signal_fence(memory_order_seq_cst);
    atomic_store_explicit(&guard, own, memory_order_relaxed);
}

void tina__trap_leave(void)
{
    tina__assert(atomic_load_explicit(&guard, memory_order_relaxed) != NULL);
    tina__assert(innermost_run() == NULL);
    atomic_store_explicit(&guard, NULL, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    sigset_t blocked = urgent();
    if (care.was_urgent_blocked)
        pthread_sigmask(SIG_BLOCK, &blocked, NULL);
    tina__trap_host_no_more();
}
