/*
 * The supervision tree of a shard at work: who is down, what that waits for, and
 * what is due. Decides nothing: supervise.c does. The shard's thread alone.
 *
 * Invariants: a group's pending is the sum over all that stand in it and in the
 * groups inside; a record is in its group's list of those that return exactly while
 * it is RETURNING; so many slots of a type are free, or on their way back to its
 * pool, as records keep one.
 */
#ifndef TINA__CORE_TREE_H
#define TINA__CORE_TREE_H

#include "core/shard.h"

static inline tina__child_record *tina__child_at(const tina__shard *shard, uint32_t index)
{
    tina__assert(index < shard->p.child_count);
    return &shard->p.children[index];
}

static inline tina__group *tina__group_at(const tina__shard *shard, uint32_t index)
{
    tina__assert(index < shard->p.group_count);
    return &shard->p.groups[index];
}

static inline bool tina__child_is_group(const tina__child_record *child) { return child->nested != TINA__GROUP_NONE; }

/* ---- What is due ---- */

/*
 * A place in the tree: a record's index, or, behind all records, a group's. Those
 * that are due to start stand in one queue, each once. One that is not to start any
 * more stays there until it is the first.
 */
static inline uint32_t tina__place_of_group(const tina__shard *shard, uint32_t group)
{
    return shard->p.child_count + group;
}

/* At the end, unless it is in the queue. */
void tina__due_push(tina__shard *shard, uint32_t place);
/* Takes the first off; there is one. NONE: it is not to start any more. */
uint32_t tina__due_pop(tina__shard *shard);
/* The first and the last, or NONE: there is none. */
static inline uint32_t tina__due_first(const tina__shard *shard) { return shard->p.groups[TINA__GROUP_ROOT].due_head; }
static inline uint32_t tina__due_last(const tina__shard *shard) { return shard->p.groups[TINA__GROUP_ROOT].due_tail; }

/* ---- Slots ---- */

/*
 * Whoever may still be started again keeps a slot of its type while it is down, so
 * that a start never finds the slots taken by what was spawned meanwhile. Groups
 * keep none.
 */
static inline void tina__slot_keep_if(tina__shard *shard, tina__child_record *child, bool keeps)
{
    uint32_t *kept = &shard->p.types[child->type].restarting;
    if (child->keeps_slot == keeps || tina__child_is_group(child))
        return;
    child->keeps_slot = keeps;
    tina__assert(keeps || *kept != 0);
    *kept += keeps ? 1 : UINT32_MAX;
}

/* One that was kept may still be on its way back: its isolate ended while it was queued. */
static inline bool tina__slot_is_free(const tina__shard *shard, const tina__child_record *child)
{
    return tina__pool_free_count(&shard->p.types[child->type].pool) != 0;
}

/* ---- Down, and on the way back ---- */

/* It stays down, unless its group starts it again. The record of a spawned one is free when all that it held is over. */
void tina__child_stay_down(tina__shard *shard, uint32_t index);

/* It is due when all that it held is over, and the back-off: wait_ns from now, 0: none. */
void tina__child_return(tina__shard *shard, uint32_t index, uint64_t wait_ns);
/* It does so now. */
void tina__child_returned(tina__shard *shard, uint32_t index);
/* None of a group's children does any more. */
void tina__group_drop_returning(tina__shard *shard, tina__group *group);

/* The same for a group, which goes on at its cursor. */
void tina__group_wait(tina__shard *shard, uint16_t index, uint64_t wait_ns);

#endif
