/* Whether anything will happen in a world by itself, and when. Between rounds. */
#ifndef TINA__SIM_QUIET_H
#define TINA__SIM_QUIET_H

#include "sim/world.h"

/* Shards that have something to do now, or that have when they are no longer stalled. */
bool tina__quiet_is_busy(const tina__world *world);

/* When something is due next; TINA_NONE_NS: nothing will ever happen. */
uint64_t tina__quiet_next_ns(const tina__world *world);

/*
 * After a round: nobody has anything left to do, and nothing is on its way but
 * timers that repeat. Otherwise why says what is, in at most size bytes.
 */
bool tina__quiet_is_healthy(const tina__world *world, char *why, size_t size);

/* One shard's part of is_busy: there is news for it, or its deadline has come. */
bool tina__quiet_is_due(const tina__world *world, const tina__world_shard *ours);

#endif
