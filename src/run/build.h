/* A shard, made in its mapping by the thread that will run it. */
#ifndef TINA__RUN_BUILD_H
#define TINA__RUN_BUILD_H

#include "run/plan.h"

typedef struct tina__build {
    const tina_system_spec *spec;
    const tina__plan *plans; /* of all shards */
    void *const *bases;      /* of all mappings */
    tina__shared *shared;
    size_t shard;
    uint64_t seed;
    uint64_t now_ns;
} tina__build;

/* The mapping is open and zero. Other shards' mappings are only pointed to. */
tina__shard *tina__build_shard(const tina__build *build);

#endif
