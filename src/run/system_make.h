/* Makes all of a system but its threads and signals, and takes it down again. The thread that starts or joins it. */
#ifndef TINA__RUN_SYSTEM_MAKE_H
#define TINA__RUN_SYSTEM_MAKE_H

#include "run/system.h"

/* Bytes of all plans; 0: they don't fit into an address space. Any thread. */
size_t tina__system_memory(const tina_system_spec *spec, size_t shard_count);

/* What the spec says, or its default on this machine. Any thread. */
size_t tina__system_shard_count(const tina_system_spec *spec);
uint64_t tina__system_init_timeout_ns(const tina_system_spec *spec);

/* Memory, descriptors, the trap, the statistics page. Statuses as tina_start; on failure nothing is left. */
tina_status tina__system_make(const tina_system_spec *spec, tina_system **system, tina_error *error);

/* Gives back everything, but the memory of shards that are lost. Its threads have ended, and its signals are removed. */
void tina__system_destroy(tina_system *system);

#endif
