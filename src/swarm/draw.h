/*
 * What a seed decides of a run besides its course: which kinds of fault strike,
 * how often, and how small the limits are.
 *
 * Half of the kinds are off in each run: what a fault that is always there hides
 * is seen, and what takes two together comes up as well. Each knob has a stream
 * of its own, so that a new one does not shift the others' dice. Pure functions of
 * a spec that tina_spec_check has passed.
 */
#ifndef TINA__SWARM_DRAW_H
#define TINA__SWARM_DRAW_H

#include "swarm/knobs.h"

/* What a limit may be drawn from: most is its default, or what is enough. most 0: it is not ours to draw. */
typedef struct tina__bounds {
    uint64_t least, most;
} tina__bounds;

/*
 * By knob: the least with which the static tree can live, and the default as
 * documented in docs/concepts/memory.md. A limit that the spec gives is not ours.
 */
void tina__limit_bounds(const tina_system_spec *spec, tina__bounds bounds[TINA__KNOB_COUNT]);

/* Limits were too small to boot with: they are drawn larger each time, and not at all in the last. */
enum { TINA__DRAWS_MAX = 4 };

/* Fills in what make has left at zero. attempt: 0 .. TINA__DRAWS_MAX - 1. */
void tina__draw(uint64_t seed, uint32_t attempt, const tina_system_spec *spec, const tina_sim_config *config,
                tina__knobs *knobs);

#endif
