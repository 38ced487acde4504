/*
 * Mailboxes and ready queues: where a message waits, and how its receiver comes
 * to run. The shard's thread alone.
 *
 * Invariant: an isolate that has something to do, and does not run, is queued.
 */
#ifndef TINA__CORE_MAILBOX_H
#define TINA__CORE_MAILBOX_H

#include "core/lookup.h"
#include "core/measure.h"
#include "core/stats.h"
#include "core/transfer.h"

/* Is there something that the isolate, parked as it is, would be woken by? */
static inline bool tina__isolate_has_work(const tina__isolate *isolate)
{
    if ((isolate->flags & (TINA__ISOLATE_WOKEN | TINA__ISOLATE_SHUTDOWN)) != 0)
        return true;
    if (isolate->state != TINA__ISOLATE_RECEIVING)
        return false;
    return isolate->inbox_head != TINA__NONE || isolate->done_tail != TINA__NONE;
}

/* Puts the isolate at the end of its type's queue. It is not in it. */
static inline void tina__ready_push(tina__type *type, tina__isolate *isolate, uint32_t slot)
{
    isolate->flags |= TINA__ISOLATE_QUEUED;
    isolate->ready_next = TINA__NONE;
    if (type->ready_head == TINA__NONE) {
        type->ready_head = slot;
        if (tina__unlikely((*type->ready_word & type->ready_bit) == 0))
            *type->ready_word |= type->ready_bit;
    } else {
        type->isolates[type->ready_tail].ready_next = slot;
    }
    type->ready_tail = slot;
}

/* Something came for the isolate: queue it, unless it is queued, runs, or is parked for something else. */
static inline void tina__isolate_notify(tina__shard *shard, tina__isolate *isolate)
{
    if ((isolate->flags & TINA__ISOLATE_QUEUED) != 0 || !tina__isolate_has_work(isolate))
        return;
    tina__type *type = &shard->p.types[isolate->type];
    tina__ready_push(type, isolate, tina__isolate_slot(type, isolate));
}

/* What it is parked for has come. */
static inline void tina__isolate_wake(tina__shard *shard, tina__isolate *isolate)
{
    isolate->flags |= TINA__ISOLATE_WOKEN;
    tina__isolate_notify(shard, isolate);
}

/* Links a slot of the shard's mail behind what is there. Does not count against the capacity: a timer's, an answer's. */
/* Its link is NONE. */
static inline void tina__mailbox_link_to(tina__shard *shard, tina__type *type, tina__isolate *isolate, uint32_t slot,
                                         uint32_t index)
{
    if (tina__likely(isolate->inbox_head == TINA__NONE))
        isolate->inbox_head = index;
    else
        shard->p.mail[isolate->inbox_tail].link = index;
    isolate->inbox_tail = index;
    /* Whatever else there is for it, it is queued for already. */
    if (tina__likely((isolate->flags & TINA__ISOLATE_QUEUED) == 0 && isolate->state == TINA__ISOLATE_RECEIVING))
        tina__ready_push(type, isolate, slot);
}

static inline void tina__mailbox_link(tina__shard *shard, tina__isolate *isolate, uint32_t index)
{
    tina__type *type = &shard->p.types[isolate->type];
    shard->p.mail[index].link = TINA__NONE;
    tina__mailbox_link_to(shard, type, isolate, tina__isolate_slot(type, isolate), index);
    if (tina__unlikely(tina__measure_is_closed(type)) && index < shard->p.message_count)
        tina__measure_arrival(shard, type, index);
}

/* Is there room for one more of the users' messages, and is nothing to be noted of it? */
static inline bool tina__mailbox_has_room(const tina__type *type, const tina__isolate *isolate)
{
    return isolate->inbox_count < type->mailbox_room;
}

/*
 * Room in the mailbox, and a message to fill: TINA_OK, with its index; the place
 * is taken. TINA_MAILBOX_FULL; TINA_POOL_EXHAUSTED. _try: what is refused may be
 * tried again, and is not counted by type.
 */
static inline tina_status tina__mailbox_try_claim(tina__shard *shard, tina__isolate *isolate, uint32_t *index)
{
    if (isolate->inbox_count >= shard->p.types[isolate->type].mailbox_capacity)
        return TINA_MAILBOX_FULL;
    *index = tina__pool_take(&shard->messages);
    if (*index == TINA__NONE)
        return TINA_POOL_EXHAUSTED;
    isolate->inbox_count++;
    return TINA_OK;
}

static inline tina_status tina__mailbox_claim(tina__shard *shard, tina__isolate *isolate, uint32_t *index)
{
    tina_status status = tina__mailbox_try_claim(shard, isolate, index);
    if (status == TINA_MAILBOX_FULL)
        tina__count_type(&shard->p.types[isolate->type], mailbox_full);
    return status;
}

/* The place is not needed after all. */
static inline void tina__mailbox_unclaim(tina__shard *shard, tina__isolate *isolate, uint32_t index)
{
    isolate->inbox_count--;
    tina__pool_give_at_hand(&shard->messages, index);
}

/* Takes the first of the mailbox off. NONE: there is none. */
static inline uint32_t tina__mailbox_pop(tina__shard *shard, tina__isolate *isolate)
{
    uint32_t index = isolate->inbox_head;
    if (index == TINA__NONE)
        return TINA__NONE;
    isolate->inbox_head = shard->p.mail[index].link;
    if (index < shard->p.message_count) {
        tina__assert(isolate->inbox_count != 0);
        isolate->inbox_count--;
    }
    return index;
}

/* A timer's mail: linked so that it can be taken out again from anywhere. timer: its slot. */
void tina__mailbox_link_timer(tina__shard *shard, tina__isolate *isolate, uint32_t timer);
void tina__mailbox_unlink_timer(tina__shard *shard, tina__isolate *isolate, uint32_t timer);

/* Gives back all mail of an isolate that has ended; users' messages count as died with their owner. */
void tina__mailbox_clear(tina__shard *shard, tina__isolate *isolate);

/* Gives a message of the pool back, with what it carries. */
static inline void tina__message_release(tina__shard *shard, const tina_message *message)
{
    if (tina__unlikely(message->tag == TINA_TAG_TRANSFER))
        tina__transfer_release(shard, message);
    tina__pool_give_at_hand(&shard->messages, (uint32_t)(message - shard->p.mail));
}

#endif
