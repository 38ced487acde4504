/*
 * What a run does to its shards, besides what befalls messages (sim/wire.h) and
 * I/O (sim/net.h): crashes of handlers and inits, pools that claim to be empty,
 * shards that stall or are to be wiped. One thread.
 */
#ifndef TINA__SIM_CHAOS_H
#define TINA__SIM_CHAOS_H

#include "sim/world.h"

/* The world's copy of the spec gets handlers and inits that may crash, where the rates ask for that. */
void tina__chaos_arm(tina__world *world);

/* Before a shard's tick: a pool that hands out nothing during it, or NULL. */
tina__pool *tina__chaos_empty_pool(tina__world *world, tina__shard *shard);

/* In this round the shard does nothing. */
bool tina__chaos_stalls(tina__world *world, uint32_t index);

/* The shard is to be wiped now, as after a fault in the runtime. */
bool tina__chaos_wipes(tina__world *world, uint32_t index);

/* Nothing strikes from here on. */
void tina__chaos_heal(tina__world *world);

#endif
