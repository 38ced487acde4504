/*
 * The process's signals that the library handles: ours on top, whoever was there
 * before chained to and put back. For the port's own files.
 *
 * A group is taken and released by any thread, and counted: the first taker
 * installs, the last release puts back what was there, unless somebody changed it
 * since. What was there stays known after that: who was installed over us may
 * still chain to us.
 */
#ifndef TINA__OS_SIGNALS_H
#define TINA__OS_SIGNALS_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct tina__signal {
    int number;
    /* In a signal handler, with SIGURG blocked. errno is kept around it; it may also jump out. */
    void (*handle)(struct tina__signal *signal, siginfo_t *info, void *context);
    struct sigaction before;       /* who was there: signals_posix.c's */
    _Atomic bool is_before_called; /* and wanted to be called once only: SA_RESETHAND */
} tina__signal;

/* Static, as are its signals; no signal is in two. */
typedef struct tina__signal_group {
    tina__signal *signals;
    size_t signal_count;
    _Atomic unsigned taker_count; /* written under a lock; read in the handlers */
} tina__signal_group;

/* 0 or an errno, and then nothing is taken. */
int tina__signal_group_take(tina__signal_group *group);
void tina__signal_group_release(tina__signal_group *group);

/* ---- For handle ---- */

/* Calls the function that was there before, the way it asked for. False: there was none, or it had nobody but us to pass it on to. */
bool tina__signal_pass(tina__signal *signal, siginfo_t *info, void *context);

/*
 * What the system does where there is no function. is_sent: somebody sent it, so
 * nothing brings it again. Otherwise what raised it does so again after the return.
 */
void tina__signal_default(tina__signal *signal, bool is_sent);

#endif
