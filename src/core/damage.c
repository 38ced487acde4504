#include "core/damage.h"

#include <string.h>

/* No value that programs like to write. */
#define FIRST_WORD  0x3CD75A9E256FB1E8u
#define SECOND_WORD 0x671AC3728DA94EF5u
#define FILLING     0xD3 /* of what is left behind a struct whose size is no multiple of 16 */

/* The last 16 bytes before the next struct. */
static uint64_t *zone_of(const tina__type *type, uint32_t slot)
{
    return (uint64_t *)(void *)((uint8_t *)tina__isolate_self(type, slot) + type->stride - TINA__RED_ZONE);
}

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

void tina__damage_paint(const tina__type *type, uint32_t slot)
{
    uint64_t *zone = zone_of(type, slot);
    zone[0] = FIRST_WORD;
    zone[1] = SECOND_WORD;
    memset(filling_of(type, slot), FILLING, filling_size(type));
    if (type->working_size != 0)
        *working_zone_of(type, slot) = FIRST_WORD;
}

static bool is_whole(const tina__type *type, uint32_t slot)
{
    const uint64_t *zone = zone_of(type, slot);
    if (zone[0] != FIRST_WORD || zone[1] != SECOND_WORD)
        return false;
    const uint8_t *filling = filling_of(type, slot);
    for (size_t i = 0; i < filling_size(type); i++) {
        if (filling[i] != FILLING)
            return false;
    }
    return type->working_size == 0 || *working_zone_of(type, slot) == FIRST_WORD;
}

const char *tina__damage_around(const tina__type *type, uint32_t slot)
{
    uint32_t first = slot == 0 ? 0 : slot - 1;
    for (uint32_t i = first; i <= slot + 1 && i < type->pool.fresh; i++) {
        if (!is_whole(type, i))
            return "somebody wrote behind the end of an isolate's memory";
    }
    return NULL;
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
