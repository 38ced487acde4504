/*
 * The search for a smaller run that fails like a given one: the best that is known,
 * and one trial after the other to better it. A trial is a change of the best, run
 * with its seed and with some that were not used yet, all at once; the cheapest that
 * fails the same way is the best from then on. One thread.
 */
#ifndef TINA__SWARM_TRIALS_H
#define TINA__SWARM_TRIALS_H

#include "swarm/crew.h"

#include <stdio.h>

typedef struct tina__trials {
    tina__crew *crew;
    FILE *progress;       /* of a terminal, or NULL */
    tina__outcome wanted; /* the failure */
    tina__case best;      /* which fails with this: */
    tina__outcome outcome;
    uint64_t first_seed;  /* the others count up from it */
    uint32_t other_seeds; /* that were used */
    uint32_t runs, runs_max;
    bool is_stuck; /* no processes */
    /* The trial: */
    tina__case change;
    uint32_t left;     /* runs that are still to begin */
    bool keeps_seed;   /* in the first of them */
    uint64_t cost_max; /* what it may cost to be worth it */
    bool has_found;
    tina__case found;
    tina__outcome found_outcome;
} tina__trials;

#define TINA__ANY_COST UINT64_MAX

/* Runs it so many times, the first with its own seed if that is wanted. False: none failed the same way at that cost. */
bool tina__try(tina__trials *at, const tina__case *change, uint32_t runs, bool keeps_seed, uint64_t cost_max);

/* Whether the report says how many there were. */
bool tina__has_events(const tina__outcome *outcome);
/*
 * What the smallest has least of: its events, or its ticks where those are as many;
 * where it died and has no report, its ticks. Parts of it, such as a tenth, mean that
 * much of the first of these that is not 0.
 */
uint64_t tina__cost_of(const tina__outcome *outcome);
/* It has failed by then, if time has not jumped. */
uint64_t tina__ticks_of(const tina__outcome *outcome);
/* Faults and limits that are on. */
uint32_t tina__count_on(const tina__knobs *knobs);

#endif
