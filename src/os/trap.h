/*
 * The trap: runs a body of code, and comes back normally or with the fault that
 * it died of. The only place with a jump buffer.
 *
 * A thread enters the trap's care once (tina__trap_enter), with a guard that it
 * owns: what the signal handlers read of it. Then it runs bodies, one in another
 * where it likes. A fault ends the innermost body; what the body had on its stack
 * is gone, nothing else is undone. A caller keeps no local across a run that the
 * body could have changed, except through pointers.
 *
 * Faults of threads that are not in a body, signals that somebody else sent, and
 * faults that the guard calls fatal go to whoever handled the signal before, or
 * end the process as if nothing were installed.
 *
 * The watchdog, a thread of its own, asks for two things through the guard and a
 * signal: a look (where does the code stand?) and a kill (end the innermost body).
 * Both name the turn that they mean, so that they never hit a later one. While the
 * thread is changing what is not the body's own, a kill waits until it says that
 * it no longer is. The signal may end a waiting system call of the body with EINTR.
 *
 * A jump out of a fault or a kill gives the thread the signal mask that it had when
 * it entered, whatever the body made of it.
 */
#ifndef TINA__OS_TRAP_H
#define TINA__OS_TRAP_H

#include "base/bits.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tina/status.h>

typedef enum tina__fault_kind {
    TINA__FAULT_NONE,
    TINA__FAULT_SIGNAL, /* the code did what the machine or the system forbids: see signal */
    TINA__FAULT_ABORT,  /* it called abort() */
    TINA__FAULT_KILLED, /* by the watchdog */
    TINA__FAULT_BROKEN, /* an invariant of the library's own does not hold: see what */
} tina__fault_kind;

typedef struct tina__fault {
    uint8_t kind;      /* tina__fault_kind */
    bool is_foreign;   /* pc is in the code of another library */
    bool is_changing;  /* the guard's, when it happened */
    int32_t signal;    /* SIGNAL: its number */
    int32_t code;      /* SIGNAL: si_code */
    uintptr_t address; /* SIGNAL: the one that was touched, where the signal tells; otherwise pc */
    uintptr_t pc;
    const char *what; /* BROKEN */
} tina__fault;

/* A stretch of code: start <= pc < end. */
typedef struct tina__code {
    uintptr_t start, end;
} tina__code;

#define TINA__LOOK_FRAMES   32
#define TINA__STACK_RESERVE 16384 /* bytes of stack that changes may take; of a small stack, a quarter */

typedef struct tina__guard {
    /* The thread's own words, in its hot line. */
    _Atomic uint32_t turn;        /* odd while a body of the user's runs; it only grows */
    _Atomic bool is_changing;     /* within it: something that is not the user's is being changed */
    _Atomic bool is_kill_waiting; /* a kill came meanwhile */
    uintptr_t stack_floor;        /* below it, what changes may not have room any more; set by tina__trap_enter, 0 before */
    char line[TINA__CACHE_LINE - 2 * sizeof(uintptr_t)];

    /* Set before the thread enters. is_fatal: of a SIGNAL or an ABORT, in a signal handler, pure; true: it is not to be contained. NULL: all are. */
    bool (*is_fatal)(const void *user, const tina__fault *fault);
    const void *user;
    const tina__code *foreign; /* ascending, apart */
    size_t foreign_count;

    /* The watchdog's words. */
    _Atomic uint32_t kill_turn;           /* that is to be ended; 0: none, or the thread has taken it */
    _Atomic uint32_t look_turn;           /* of which a look is wanted; 0: none, or it is done */
    _Atomic uint32_t look_count;          /* frames of the latest look. release: they are written */
    void *look_frames[TINA__LOOK_FRAMES]; /* return addresses, innermost first */
} tina__guard;

/* ---- For the process: counted, the last puts back what was there before, unless somebody changed it since ---- */

tina_status tina__trap_install(int *os_error);
void tina__trap_remove(void);

/*
 * The code of the libraries that are loaded now, without those that hold any of
 * the addresses in own, the program itself and this library. A malloc of the
 * caller's, to be freed; NULL where there is none, or no memory. Not in a handler.
 */
tina__code *tina__trap_foreign_code(const void *const *own, size_t own_count, size_t *count);

/* ---- For a thread ---- */

/* The calling thread enters the trap's care, with an alternate stack. TINA_POOL_EXHAUSTED: there is no memory for it. */
tina_status tina__trap_enter(tina__guard *guard, int *os_error);
void tina__trap_leave(void);

/*
 * For a thread of the program's, on which a shard is turned now and then. It hosts the
 * guard from the first time to the last: it has an alternate stack, one for all that it
 * hosts, and nothing else is changed between the visits. TINA_POOL_EXHAUSTED: there is
 * no memory for the stack. At the end what was there is put back, unless somebody
 * changed it since.
 */
tina_status tina__trap_host(tina__guard *guard, int *os_error);
void tina__trap_host_no_more(void);

/*
 * From arrive to depart the calling thread, which is in nobody's care, is in the trap's,
 * with that guard, which it hosts (NULL: nobody's, for a system that wants no trap);
 * SIGPIPE is blocked, and, with a guard, no signal that the trap takes is. The thread has
 * its own signal mask again behind it, and a SIGPIPE that it got meanwhile never was.
 */
void tina__trap_arrive(tina__guard *guard);
void tina__trap_depart(void);

/*
 * The calling thread, which has entered, has that guard from now on: for a thread
 * that runs several shards in turn. The guard is as one that enters.
 */
void tina__trap_use(tina__guard *guard);

/*
 * Runs body(argument). True: it came back; false: *fault says why not, and where the
 * run is one in another, the guard says that the thread is changing something: no kill
 * comes before the caller has set that right. Also without tina__trap_enter: then only throws
 * come here.
 */
bool tina__trap_run(void (*body)(void *argument), void *argument, tina__fault *fault);

/* The thread is in a body. */
bool tina__trap_is_armed(void);

/* It is, or it is in the trap's care: no other guard may arrive. */
bool tina__trap_is_taken(void);

/* Ends the innermost body of the calling thread, which is in one, with this fault. */
_Noreturn void tina__trap_throw(const tina__fault *fault);

/* ---- For the watchdog ---- */

/* Asks the thread, named as tina__os_thread_start named it, to look at its guard's kill_turn and look_turn. False: it is gone. */
bool tina__trap_poke(uint64_t thread);

/* "name+0x12 (module+0x3456)", as far as it is known. Returns the length. Not in a signal handler. */
size_t tina__trap_describe(uintptr_t pc, char *text, size_t size);

/* "SIGSEGV", or "signal 64". */
const char *tina__trap_signal_name(int32_t signal, char *text, size_t size);

/* ---- In the thread, cheap ---- */

static inline void tina__guard_set(_Atomic bool *word, bool value)
{
    /* The fences keep the compiler from moving what is guarded out of the stretch: the reader is a signal on this very thread. */
    atomic_signal_fence(memory_order_seq_cst);
    atomic_store_explicit(word, value, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
}

/* Grows the turn: from even to odd when the user's code begins, from odd to even when it is over. */
static inline void tina__guard_turn(tina__guard *guard)
{
    atomic_signal_fence(memory_order_seq_cst);
    uint32_t turn = atomic_load_explicit(&guard->turn, memory_order_relaxed);
    atomic_store_explicit(&guard->turn, turn + 1, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
}

#endif
