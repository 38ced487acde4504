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

typedef uint64_t tina__pair __attribute__((vector_size(16))); /* of words */

static inline tina__pair tina__pair_at(const void *memory)
{
    tina__pair pair;
    memcpy(&pair, memory, sizeof pair);
    return pair;
}

/* What is not as it was painted in the three zones, or in the pairs of words so far from them, as bits. */
static inline tina__pair tina__damage_of(const uint8_t *const zones[3], ptrdiff_t offset, tina__pair painted)
{
    return (tina__pair_at(zones[0] + offset) ^ painted) | (tina__pair_at(zones[1] + offset) ^ painted) |
           (tina__pair_at(zones[2] + offset) ^ painted);
}

/*
 * Is there any around the slot, which has been used? By pairs of words, and without a
 * branch: each life looks at six slots, and byte by byte that was a quarter of it.
 * The pair before a zone is filling at its end, if at all: the rest is the user's.
 */
static inline bool tina__is_damaged(const tina__type *type, uint32_t slot)
{
    const uint8_t *zone = tina__zone_of(type, slot);
    /* Where it has but one neighbour, itself once more. */
    const uint8_t *zones[3] = {zone - (slot == 0 ? 0 : type->stride), zone,
                               zone + (slot + 1 < type->pool.fresh ? type->stride : 0)};
    const tina__pair painted = {TINA__ZONE_FIRST, TINA__ZONE_SECOND};
    const tina__pair filling = {TINA__FILLING, TINA__FILLING};
    tina__pair damage = tina__damage_of(zones, 0, painted) |
                        (tina__damage_of(zones, -(ptrdiff_t)sizeof filling, filling) & tina__pair_at(type->filling_bits));
    uint64_t bits = damage[0] | damage[1];
    if (tina__unlikely(type->working_size != 0))
        bits |= tina__damage_of_working(type, slot);
    return bits != 0;
}

#endif
