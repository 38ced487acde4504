/* A shard, made in its mapping by the thread that will run it. */
#ifndef TINA__SPEC_BUILD_H
#define TINA__SPEC_BUILD_H

#include "spec/plan.h"

typedef struct tina__build {
    const tina_system_spec *spec;
    const tina__plan *plans; /* of all shards */
    void *const *bases;      /* of all mappings */
    tina__shared *shared;
    size_t shard;
    uint64_t seed;
    uint64_t now_ns;
    bool is_rebirth; /* what others may hold is there, and stays: channels, inbox, log, flight recorder, generations */
} tina__build;

/* What all shards share, apart from who reads the log. publics: shard_count of them, zeroed. */
void tina__build_shared(const tina_system_spec *spec, tina__shard_public *publics, size_t shard_count, tina__shared *shared);

/* The mapping is open and, but for what a rebirth keeps, zero. Other shards' mappings are only pointed to. */
tina__shard *tina__build_shard(const tina__build *build);

/* Where everything of the shard lies, once more: its own words for it may be damaged. */
void tina__build_locate(const tina__build *build, tina__shard *shard);

#endif
