/*
 * The crank: how a shard is turned that has no thread of its own (spec.external),
 * by the program's thread that first steps.
 *
 * Between two steps the shard is in one of two states. At rest, nothing is to be
 * done before the deadline unless the poller is readable; whoever has something for
 * it signals the doorbell's event, which is in the poller. Or it has something to do,
 * or has ended: then the poller is readable already.
 *
 * Resting is what sleeping is to a shard's thread (mem/doorbell.h), with the wait in
 * the program's hands:
 *
 *   1. reads the event empty
 *   2. announces the rest in the doorbell, and looks at its bits
 *   3. asks the backend whether there is anything to collect (io/backend.h, rest)
 *
 * Why no wake is lost: who rings before 2 is seen by the look, or sees the
 * announcement and signals the event after it was read empty; that is the doorbell's
 * own proof, in which the event keeps its count. What the kernel completes before 3 is
 * seen by 3; after it, it makes the poller readable. What was signalled between 1 and
 * the program's wait ends that wait at once. The first of many who ring while the
 * shard rests takes the announcement down, so that a burst of posts costs one signal;
 * while it is turned, or has something to do anyhow, they cost none.
 *
 * One thread: all but deadline_ns, the claim and is_turning is its own. That thread has
 * the trap's alternate stack from the first step to the end, and is the trap's during
 * each step.
 */
#ifndef TINA__RUN_CRANK_H
#define TINA__RUN_CRANK_H

#include "run/system.h"

typedef struct tina__crank {
    int poller;                   /* what the program waits on */
    _Atomic uint64_t owner;       /* the number of the thread that steps; 0: nobody has yet. It is claimed once */
    _Atomic bool is_turning;      /* a step is under way. release: the thread is out of the system, which may be freed */
    _Atomic uint64_t deadline_ns; /* of the latest rest; 0: there is something to do */
    bool is_hosted;               /* the thread has what it takes to be stepped on */
    bool is_begun;                /* the tree was started */
    bool is_settled;              /* it is up, or will not be */
    bool is_resting;
    uint64_t rested_ns; /* since when */
    uint64_t boot_deadline_ns;
} tina__crank;

/* Makes system->crank, with its poller, and destroys it. Before the shard is made; after everything. */
tina_status tina__crank_open(tina_system *system, tina_error *error);
void tina__crank_close(tina_system *system);

/* Makes the shard, and tries the backend, which is then opened by the thread that steps. Any thread. */
tina_status tina__crank_prepare(tina_system *system, tina_error *error);

/* tina_step, of a system that has a crank. */
tina_status tina__crank_step(tina_system *system, uint64_t timeout_ns, uint32_t *work);

/*
 * Steps until the end, where that is this thread's business: TINA_OK, or what the first
 * step that failed said, with the words in *error. At once TINA_NOT_OWNER, where another
 * thread steps; TINA_BUSY: from inside a handler.
 */
tina_status tina__crank_run_out(tina_system *system, tina_error *error);

/* The shard has ended: waits until the thread that stepped is out of the system. */
void tina__crank_await_leave(const tina_system *system);

#endif
