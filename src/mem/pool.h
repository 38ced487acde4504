/*
 * A pool of equal slots with a free list threaded through them.
 *
 * Owns nothing but its counts: the memory is the caller's, zeroed, and a slot's
 * link (a uint32_t at link_offset) is the pool's while the slot is free. One
 * thread.
 *
 * Slots that were never used are handed out by count, so making a pool of a
 * million touches nothing. A pool of generational things is given slots back at
 * the end of the list and reuses none before reuse_distance of them wait (or no
 * other is left), so that one hot slot does not run through its generations. A
 * pool with distance 0 reuses the slot that is still in the cache.
 *
 * Invariant: used + listed + (limit - fresh) = limit, where used counts what is at hand.
 */
#ifndef TINA__MEM_POOL_H
#define TINA__MEM_POOL_H

#include "base/assert.h"
#include "base/bits.h"
#include "base/handle.h"

#include <stdbool.h>
#include <string.h>

typedef struct tina__pool {
    uint8_t *base;
    uint32_t stride;
    uint32_t link_offset;
    uint32_t head, tail; /* of the free list */
    uint32_t listed;     /* how many are in it */
    uint32_t fresh;      /* the first slot that was never used */
    uint32_t reuse_distance;
    uint32_t used, peak, limit;
    uint32_t at_hand; /* given back last, and not in the list: counted as used. NONE: nothing; limit: while is_withheld */
    uint32_t held_distance; /* reuse_distance, while is_withheld */
    bool is_withheld;       /* it says that it is empty: nothing is taken */
} tina__pool;

void tina__pool_init(tina__pool *pool, void *base, uint32_t stride, uint32_t link_offset, uint32_t limit,
                     uint32_t reuse_distance);

/* The counts add up, and the list begins where it may. O(1). */
bool tina__pool_head_is_sound(const tina__pool *pool);

/* Walks the free list: counts add up, no slot is in it twice. O(n), for audits and tests. */
bool tina__pool_is_sound(const tina__pool *pool);

static inline uint32_t *tina__pool_link(const tina__pool *pool, uint32_t index)
{
    return (uint32_t *)(void *)(pool->base + (size_t)index * pool->stride + pool->link_offset);
}

/* Slots that somebody has. */
static inline uint32_t tina__pool_taken(const tina__pool *pool) { return pool->used - (pool->at_hand < pool->limit); }

static inline uint32_t tina__pool_free_count(const tina__pool *pool)
{
    return pool->is_withheld ? 0 : pool->limit - tina__pool_taken(pool);
}

/* A slot's index, or TINA__NONE: every slot is in use. Its content is what the last user left. */
static inline uint32_t tina__pool_take(tina__pool *pool)
{
    uint32_t index;
    if (pool->listed > pool->reuse_distance || (pool->fresh == pool->limit && pool->listed != 0 && !pool->is_withheld)) {
        index = pool->head;
        pool->head = *tina__pool_link(pool, index);
        pool->listed--;
    } else if (pool->fresh < pool->limit && !pool->is_withheld) {
        index = pool->fresh++;
    } else if (pool->at_hand < pool->limit) {
        index = pool->at_hand;
        pool->at_hand = TINA__NONE;
        return index;
    } else {
        return TINA__NONE;
    }
    pool->used++;
    if (pool->used > pool->peak)
        pool->peak = pool->used;
    return index;
}

/*
 * For a pool with distance 0 that is taken from and given to in turns: the slot that
 * was given back last stays at hand, unlisted, for who takes the next. That spares a
 * message a tenth of its stores.
 *
 * Brings a slot to hand, where one was in use before: its index, or NONE. It is
 * still free, and may be written. first_link, stride: where the slots' links are, as
 * the pool knows, too; but as constants they cost nothing.
 * What comes from such a pool's list makes no new peak: when it last took a fresh
 * slot, all were in use.
 */
static inline uint32_t tina__pool_at_hand(tina__pool *pool, const void *first_link, size_t stride)
{
    if (tina__likely(pool->at_hand < pool->limit))
        return pool->at_hand;
    if (pool->listed <= pool->reuse_distance)
        return TINA__NONE;
    pool->at_hand = pool->head;
    memcpy(&pool->head, (const uint8_t *)first_link + pool->at_hand * stride, sizeof pool->head);
    pool->listed--;
    pool->used++;
    return pool->at_hand;
}

/* What is at hand is taken. */
static inline void tina__pool_take_at_hand(tina__pool *pool) { pool->at_hand = TINA__NONE; }

/* The slot goes to the front of the list: the next to be taken from it. */
static inline void tina__pool_give_hot(tina__pool *pool, uint32_t index)
{
    tina__assert(index < pool->fresh);
    tina__assert(pool->used != 0);
    *tina__pool_link(pool, index) = pool->head;
    pool->head = index;
    if (pool->listed++ == 0)
        pool->tail = index;
    pool->used--;
}

/* The slot is at hand, or goes to the front of the list where another one is. */
static inline void tina__pool_give_at_hand(tina__pool *pool, uint32_t index)
{
    if (tina__unlikely(pool->at_hand != TINA__NONE)) {
        tina__pool_give_hot(pool, index);
        return;
    }
    tina__assert(index < pool->fresh);
    pool->at_hand = index;
}

/* The slot goes to the end of the list. */
static inline void tina__pool_give(tina__pool *pool, uint32_t index)
{
    tina__assert(index < pool->fresh);
    tina__assert(pool->used != 0);
    if (pool->listed++ == 0)
        pool->head = index;
    else
        *tina__pool_link(pool, pool->tail) = index;
    pool->tail = index;
    pool->used--;
}

/* For tests of what happens without: the pool hands out nothing until it is released. */
static inline void tina__pool_withhold(tina__pool *pool)
{
    tina__assert(!pool->is_withheld);
    if (pool->at_hand < pool->limit)
        tina__pool_give_hot(pool, pool->at_hand);
    pool->at_hand = pool->limit;
    pool->is_withheld = true;
    pool->held_distance = pool->reuse_distance;
    pool->reuse_distance = UINT32_MAX;
}

static inline void tina__pool_release(tina__pool *pool)
{
    tina__assert(pool->is_withheld);
    pool->is_withheld = false;
    pool->at_hand = TINA__NONE;
    pool->reuse_distance = pool->held_distance;
}

#endif
