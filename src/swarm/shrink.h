/*
 * From a run that fails, the smallest that fails the same way: see failure.h.
 *
 * Greedy, with a bound on its runs, and the same on every machine. First whatever is
 * not needed goes: kinds of fault, drawn limits, the shards' random order. Then the
 * run becomes short: faults that strike more often, other seeds, fewer ticks. Where
 * that is not much shorter than it was, the other way round is tried as well, and the
 * shorter taken. Then what is left is made small: rates, ranges and limits, as far as
 * the run does not become longer again. Each change alters the course of a run, so
 * each is tried with some other seeds too; and what then is left of the runs goes to
 * seeds alone.
 */
#ifndef TINA__SWARM_SHRINK_H
#define TINA__SWARM_SHRINK_H

#include "swarm/crew.h"

#include <stdio.h>

typedef struct tina__size {
    uint64_t ticks, events;
    uint32_t knobs; /* that are on */
} tina__size;

typedef struct tina__shrunk {
    tina__case what; /* with knobs that are given */
    tina__outcome outcome;
    tina__size before, after;
    uint32_t runs;
} tina__shrunk;

/*
 * what has failed with this outcome. progress: for a terminal, or NULL. False: it
 * did not fail the same way again, or there are no processes.
 */
bool tina__shrink(tina__crew *crew, const tina__case *what, const tina__outcome *outcome, FILE *progress,
                  tina__shrunk *shrunk);

/* For how long nothing may move while shrinking: who looks for a hang waits for each. */
uint32_t tina__shrink_patience_s(const tina__outcome *outcome, uint32_t patience_s);

#endif
