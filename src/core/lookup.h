/*
 * From a handle to its isolate and back. The shard's thread alone. In a header:
 * every message goes through here twice.
 */
#ifndef TINA__CORE_LOOKUP_H
#define TINA__CORE_LOOKUP_H

#include "core/shard.h"

static inline uint32_t tina__isolate_index(const tina__shard *shard, const tina__isolate *isolate)
{
    return (uint32_t)(isolate - shard->p.isolates);
}

static inline tina_handle tina__isolate_handle(const tina__shard *shard, const tina__isolate *isolate)
{
    const tina__type *type = &shard->p.types[isolate->type];
    return tina__handle_make(shard->id, isolate->type, tina__isolate_slot(type, isolate), isolate->generation);
}

/* The child of that name, or NULL: there is none, or it is down. */
tina__isolate *tina__isolate_find_named(const tina__shard *shard, tina_handle handle);

/* Does the handle, which means its slot, mean the isolate that has it now? */
static inline bool tina__isolate_is(const tina__isolate *isolate, tina_handle handle)
{
    return isolate->generation == tina__handle_generation(handle) && isolate->state != TINA__ISOLATE_FREE;
}

/* The isolate that a handle of this shard means, or NULL: it is gone, or never was. Resolves names. */
static inline tina__isolate *tina__isolate_find(const tina__shard *shard, tina_handle handle)
{
    uint8_t type_id = tina_handle_type(handle);
    if (tina_handle_shard(handle) != shard->id)
        return NULL;
    if (type_id >= shard->p.type_count)
        return tina__isolate_find_named(shard, handle);
    const tina__type *type = &shard->p.types[type_id];
    uint32_t slot = tina__handle_slot(handle);
    if (slot >= type->pool.limit)
        return NULL;
    tina__isolate *isolate = &type->isolates[slot];
    return tina__isolate_is(isolate, handle) ? isolate : NULL;
}

#endif
