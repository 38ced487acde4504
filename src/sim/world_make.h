/* Makes a world from a spec and a config, and takes it down again. One thread. */
#ifndef TINA__SIM_WORLD_MAKE_H
#define TINA__SIM_WORLD_MAKE_H

#include "sim/world.h"
#include "spec/build.h"

/*
 * Fills in a zeroed world, whose shards have not ticked yet. Statuses as tina_simulate. Whatever it says, the world is to
 * be destroyed.
 */
tina_status tina__world_make(tina__world *world, const tina_system_spec *spec, const tina_sim_config *config,
                             tina_error *error);

/* Also of one that was made in part. Frees the world itself. */
void tina__world_destroy(tina__world *world);

/* What a shard is built from, for its first life or another. */
tina__build tina__world_build(tina__world *world, uint32_t index, uint64_t seed);

/* Says so in *error, and returns the status. */
tina_status tina__world_no_memory(tina_error *error);

#endif
