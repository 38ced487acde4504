/*
 * Damage: memory that is not as the runtime left it. Found by looking, in constant
 * time: at the red zones of an isolate and of its neighbours whenever one of them
 * begins, ends or faults; at the heads of the pools when one faults. The shard's
 * thread alone.
 */
#ifndef TINA__CORE_DAMAGE_H
#define TINA__CORE_DAMAGE_H

#include "core/shard.h"

/* No value that programs like to write. */
#define TINA__ZONE_FIRST  0x3CD75A9E256FB1E8u
#define TINA__ZONE_SECOND 0x671AC3728DA94EF5u
#define TINA__FILLING     0xD3D3D3D3D3D3D3D3u /* of what is left behind a struct whose size is no multiple of 16 */

/* Once, before any of the type's slots is used. */
void tina__damage_prepare(tina__type *type);

/* What is damaged, in a few words, or NULL. The slot has been used. */
const char *tina__damage_around(const tina__type *type, uint32_t slot);
const char *tina__damage_in_pools(const tina__shard *shard, const tina__type *type);

uint64_t tina__damage_of_working(const tina__type *type, uint32_t slot); /* the same before working memory, as bits */

/* A slot that has never been used gets its zones. */
void tina__damage_paint(const tina__type *type, uint32_t slot);

/* ---- A look, as twice in each life ---- */

/* The last 16 bytes before the next struct. */
static inline uint8_t *tina__zone_of(const tina__type *type, uint32_t slot)
{
    return (uint8_t *)tina__isolate_self(type, slot) + type->stride - TINA__RED_ZONE;
}

/* What of a word of the three zones, or before them, is not as it was painted, as bits. Before a zone it may be of the user's struct. */
static inline uint64_t tina__damage_of(const uint8_t *const zones[3], ptrdiff_t offset, uint64_t painted)
{
    uint64_t words[3];
    for (uint32_t i = 0; i < 3; i++)
        memcpy(&words[i], zones[i] + offset, sizeof words[i]);
    return (words[0] ^ painted) | (words[1] ^ painted) | (words[2] ^ painted);
}

/*
 * Is there any around the slot, which has been used? By words, and without a branch.
 * Each word is read by itself: read as pairs, they would wait for what the isolate
 * has written last.
 */
static inline bool tina__is_damaged(const tina__type *type, uint32_t slot)
{
    const uint8_t *zone = tina__zone_of(type, slot);
    /* Where it has but one neighbour, itself once more. */
    const uint8_t *zones[3] = {zone - (slot == 0 ? 0 : type->stride), zone,
                               zone + (slot + 1 < type->pool.fresh ? type->stride : 0)};
    uint64_t damage = tina__damage_of(zones, 0, TINA__ZONE_FIRST) | tina__damage_of(zones, 8, TINA__ZONE_SECOND) |
                      (tina__damage_of(zones, -16, TINA__FILLING) & type->filling_bits[0]) |
                      (tina__damage_of(zones, -8, TINA__FILLING) & type->filling_bits[1]);
    if (__builtin_expect(type->working_size != 0, 0))
        damage |= tina__damage_of_working(type, slot);
    return damage != 0;
}

#endif
