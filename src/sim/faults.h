/*
 * What may go wrong at the moment, and how often each kind has: one for a run,
 * shared by all parts of the made world.
 */
#ifndef TINA__SIM_FAULTS_H
#define TINA__SIM_FAULTS_H

#include "base/prng.h"

#include <tina/sim.h>

typedef struct tina__faults {
    tina_faults rates; /* all zero once the run has healed */
    tina_fault_counts counts;
} tina__faults;

/* Does it strike? The caller counts. */
static inline bool tina__fault_strikes(tina__prng *stream, tina_ratio ratio)
{
    return tina__prng_chance(stream, ratio.numerator, ratio.denominator == 0 ? 1 : ratio.denominator);
}

/* A value of the range. One without a choice takes nothing from the stream. */
static inline uint32_t tina__fault_draw(tina__prng *stream, tina_range range)
{
    if (range.max <= range.min)
        return range.min;
    return range.min + (uint32_t)tina__prng_below(stream, (uint64_t)range.max - range.min + 1);
}

#endif
