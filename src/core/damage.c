#include "core/damage.h"

#include <string.h>

static uint8_t *filling_of(const tina__type *type, uint32_t slot)
{
    return (uint8_t *)tina__isolate_self(type, slot) + type->size;
}

static size_t filling_size(const tina__type *type) { return type->stride - TINA__RED_ZONE - type->size; }

/* What stands before an isolate's working memory, in front of the word that says how much is in use. */
static uint64_t *working_zone_of(const tina__type *type, uint32_t slot)
{
    return (uint64_t *)(void *)(type->working + type->working_stride * slot);
}

uint64_t tina__damage_of_working(const tina__type *type, uint32_t slot)
{
    uint32_t before = slot == 0 ? 0 : slot - 1;
    uint32_t behind = slot + 1 < type->pool.fresh ? slot + 1 : slot;
    return (*working_zone_of(type, before) ^ TINA__ZONE_FIRST) | (*working_zone_of(type, slot) ^ TINA__ZONE_FIRST) |
           (*working_zone_of(type, behind) ^ TINA__ZONE_FIRST);
}

void tina__damage_paint(const tina__type *type, uint32_t slot)
{
    uint64_t *zone = (uint64_t *)(void *)tina__zone_of(type, slot);
    zone[0] = TINA__ZONE_FIRST;
    zone[1] = TINA__ZONE_SECOND;
    memset(filling_of(type, slot), TINA__FILLING & 0xFF, filling_size(type));
    if (type->working_size != 0)
        *working_zone_of(type, slot) = TINA__ZONE_FIRST;
}

/* The last bytes of a word, as many as that, and at most all eight. */
static uint64_t last_bytes(size_t count)
{
    if (count == 0)
        return 0;
    return count >= sizeof(uint64_t) ? UINT64_MAX : UINT64_MAX << (64 - 8 * count);
}

void tina__damage_prepare(tina__type *type)
{
    size_t size = filling_size(type);
    type->filling_bits[0] = last_bytes(size < 8 ? 0 : size - 8);
    type->filling_bits[1] = last_bytes(size);
}

const char *tina__damage_around(const tina__type *type, uint32_t slot)
{
    return tina__is_damaged(type, slot) ? "somebody wrote behind the end of an isolate's memory" : NULL;
}

static bool pools_are_sound(const tina__shard *shard)
{
    return tina__pool_head_is_sound(&shard->messages) && tina__pool_head_is_sound(&shard->timers) &&
           tina__pool_head_is_sound(&shard->watches) && tina__pool_head_is_sound(&shard->operations) &&
           tina__pool_head_is_sound(&shard->descriptors) && tina__pool_head_is_sound(&shard->buffers) &&
           tina__pool_head_is_sound(&shard->transfers);
}

const char *tina__damage_in_pools(const tina__shard *shard, const tina__type *type)
{
    if (tina__pool_head_is_sound(&type->pool) && pools_are_sound(shard))
        return NULL;
    return "a pool of the runtime's is not as it was left";
}
