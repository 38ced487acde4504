#include "mem/pool.h"

void tina__pool_init(tina__pool *pool, void *base, uint32_t stride, uint32_t link_offset, uint32_t limit,
                     uint32_t reuse_distance)
{
    tina__assert(limit < TINA__NONE);
    tina__assert(stride >= sizeof(uint32_t));
    tina__assert(link_offset <= stride - sizeof(uint32_t));
    *pool = (tina__pool){
        .base = base,
        .stride = stride,
        .link_offset = link_offset,
        .head = TINA__NONE,
        .tail = TINA__NONE,
        .at_hand = TINA__NONE,
        .reuse_distance = reuse_distance,
        .limit = limit,
    };
}

static bool counts_add_up(const tina__pool *pool)
{
    if (pool->fresh > pool->limit || pool->peak > pool->limit || pool->used > pool->peak)
        return false;
    if (pool->at_hand != TINA__NONE && pool->at_hand >= pool->fresh && !pool->is_withheld)
        return false;
    return (uint64_t)pool->used + pool->listed == pool->fresh;
}

bool tina__pool_head_is_sound(const tina__pool *pool)
{
    if (!counts_add_up(pool))
        return false;
    if (pool->listed == 0)
        return true;
    if (pool->head >= pool->fresh || pool->tail >= pool->fresh)
        return false;
    return pool->listed == 1 || *tina__pool_link(pool, pool->head) < pool->fresh;
}

/*
 * A slot that is in the list twice makes it run in a circle. What comes listed
 * links after the head is the tail, so the circle would bring the tail sooner.
 */
bool tina__pool_is_sound(const tina__pool *pool)
{
    if (!counts_add_up(pool))
        return false;
    uint32_t index = pool->head;
    for (uint32_t left = pool->listed; left != 0; left--) {
        if (index >= pool->fresh || index == pool->at_hand)
            return false;
        if ((index == pool->tail) != (left == 1))
            return false;
        index = *tina__pool_link(pool, index);
    }
    return true;
}
