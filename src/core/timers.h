/*
 * Timers, and the slots that they share with calls and watches: a slot is a
 * message, so that what expires is mail by itself. The shard's thread alone.
 *
 * Invariant: a slot in use is in its owner's list of timers, or is mail (ANSWER),
 * or is the message that is being handled.
 */
#ifndef TINA__CORE_TIMERS_H
#define TINA__CORE_TIMERS_H

#include "core/lookup.h"

static inline tina__timer_slot *tina__timer_at(const tina__shard *shard, uint32_t index)
{
    return (tina__timer_slot *)(void *)shard->timers.base + index;
}

/* The slots behind the timers' are watches: of a pool of their own, and never armed. */
static inline bool tina__timer_is_watch(const tina__shard *shard, uint32_t index) { return index >= shard->p.timer_count; }

/* A slot that was taken from its pool: into the owner's list, with its node not armed. */
static inline void tina__timer_open(tina__shard *shard, tina__isolate *owner, tina_handle self, uint32_t index,
                                    tina__timer_use use, tina_tag tag)
{
    tina__timer_slot *slot = tina__timer_at(shard, index);
    uint32_t next = owner->timers;
    tina__pack_u32x2(&slot->next, next, TINA__NONE);        /* and previous */
    tina__pack_u16x4(&slot->tag, tag, 0, 0, (uint16_t)use); /* and flags, size, use, is_queued */
    slot->destination = self;
    slot->isolate = tina__isolate_index(shard, owner);
    slot->node.next = NULL;
    tina__pack_u32x2(&slot->node.owner, index, TINA__NODE_TIMER); /* and kind */
    if (next != TINA__NONE)
        tina__timer_at(shard, next)->previous = index;
    owner->timers = index;
}

/* The next free slot's index; NONE: all are in use. What it tells of is fetched, see tina__timer_give. */
static inline uint32_t tina__timer_next_free(tina__shard *shard)
{
    tina__pool *pool = &shard->timers;
    uint32_t index = tina__pool_at_hand(pool, &tina__timer_at(shard, 0)->link, sizeof(tina__timer_slot));
    if (tina__unlikely(index == TINA__NONE))
        return tina__pool_take(pool);
    tina__pool_take_at_hand(pool);
    uint32_t later = tina__timer_at(shard, index)->next;
    __builtin_prefetch(tina__timer_at(shard, later), 1);
    __builtin_prefetch(&shard->p.timer_generations[later], 1);
    return index;
}

/* A timer's slot, opened; NONE: all are in use. self: the owner's handle. */
static inline uint32_t tina__timer_take_for(tina__shard *shard, tina__isolate *owner, tina_handle self, tina__timer_use use,
                                            tina_tag tag)
{
    uint32_t index = tina__timer_next_free(shard);
    if (index == TINA__NONE)
        return TINA__NONE;
    uint32_t generation = shard->p.timer_generations[index];
    shard->p.timer_generations[index] = tina__word_generation_next(generation);
    tina__timer_open(shard, owner, self, index, use, tag);
    return index;
}
uint32_t tina__timer_take(tina__shard *shard, tina__isolate *owner, tina__timer_use use);

/* Out of the owner's list. */
static inline void tina__timer_unlink_from(tina__shard *shard, tina__isolate *owner, uint32_t index)
{
    const tina__timer_slot *slot = tina__timer_at(shard, index);
    uint32_t next = slot->next;
    uint32_t previous = slot->previous;
    if (previous == TINA__NONE) {
        tina__assert(owner->timers == index);
        owner->timers = next;
    } else {
        tina__timer_at(shard, previous)->next = next;
    }
    if (next != TINA__NONE)
        tina__timer_at(shard, next)->previous = previous;
}
void tina__timer_unlink(tina__shard *shard, uint32_t index);

/*
 * A timer's slot back to the pool. It is in no list. The one that was freed a few
 * before is told of it, and whoever takes that one fetches this one. The free slots
 * are in no order of memory: of a million, each would be a miss that has to be
 * waited for, because it is the miss that says which one is next.
 */
static inline void tina__timer_give(tina__shard *shard, uint32_t index)
{
    tina__timer_slot *slot = tina__timer_at(shard, index);
    tina__assert(slot->use != TINA__TIMER_FREE);
    slot->use = TINA__TIMER_FREE;
    slot->next = index;
    tina__pool_give(&shard->timers, index);
    uint32_t *before = &shard->freed_timers[shard->freed_timer_count++ % TINA__TIMERS_AHEAD];
    tina__timer_slot *earlier = tina__timer_at(shard, *before);
    if (earlier->use == TINA__TIMER_FREE)
        earlier->next = index;
    *before = index;
}

/* The same, or a watch's slot. */
void tina__timer_free(tina__shard *shard, uint32_t index);

/* A slot that was mail of an isolate that has ended. A repeating one stays until the owner's list is ended. */
void tina__timer_discard(tina__shard *shard, uint32_t index);

/* For the isolate that runs in the frame. */
tina_status tina__timer_start(tina_ctx *frame, uint64_t delay_ns, uint64_t period_ns, tina_tag tag, tina_timer *timer);
bool tina__timer_cancel(tina_ctx *frame, tina_timer timer);

/* The slot is handled next, as that message: of a watch the slot itself; else a copy, and all but a repeating timer is over. */
const tina_message *tina__timer_message(tina_ctx *frame, uint32_t index);

/* Ends all timers, calls and watches of an isolate. */
void tina__timers_end(tina__shard *shard, tina__isolate *owner);

/* Expired timers become mail, calls fail, operations are cancelled. Returns how many. */
uint32_t tina__timers_advance(tina__shard *shard);

#endif
