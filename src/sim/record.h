/*
 * What happened in a run, taken from the shards' flight recorders after each tick:
 * hashed, and where asked for written as words and as a timeline. One thread.
 *
 * The hash is over tick, shard, kind, handles, tag, detail and value of every event
 * in order, but for what the host decides: program counters.
 */
#ifndef TINA__SIM_RECORD_H
#define TINA__SIM_RECORD_H

#include "core/shard.h"
#include "sim/file.h"
#include "sim/timeline.h"

typedef struct tina__record {
    uint64_t hash;
    uint64_t *taken; /* by shard: how many of its events */
    uint32_t shard_count;
    const char *const *type_names;
    uint32_t type_count;
    tina__file *events;       /* NULL: not asked for */
    tina__timeline *timeline; /* NULL: not asked for */
    uint64_t start_ns, round_ns;
} tina__record;

/* Opens what the config asks for. *path: of the file that can't be written. */
tina_status tina__record_open(tina__record *record, const tina_sim_config *config, uint32_t shard_count,
                              const char *const *type_names, uint32_t type_count, const char **path, int *os_error);
/* TINA_OK; TINA_DISK_FULL, TINA_SYSTEM_ERROR: a file is not whole. */
tina_status tina__record_close(tina__record *record, const char **path, int *os_error);

/* What the shard has recorded since the last time. Sees to it that it is called again before anything is written over. */
void tina__record_take(tina__record *record, const tina__shard *shard, uint64_t now_ns);

/* What the made world did to a shard: a fault of some kind. */
void tina__record_mark(tina__record *record, uint8_t shard, const char *what, uint64_t now_ns);

#endif
