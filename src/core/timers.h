/*
 * Timers, and the slots that they share with calls and watches: a slot is a
 * message, so that what expires is mail by itself. The shard's thread alone.
 *
 * Invariant: a slot in use is in its owner's list of timers, or is mail (ANSWER),
 * or is the message that is being handled.
 */
#ifndef TINA__CORE_TIMERS_H
#define TINA__CORE_TIMERS_H

#include "core/shard.h"

static inline tina__timer_slot *tina__timer_at(const tina__shard *shard, uint32_t index)
{
    return (tina__timer_slot *)(void *)&shard->p.mail[shard->p.message_count + index];
}

/* The slots behind the timers' are watches: of a pool of their own, and never armed. */
static inline bool tina__timer_is_watch(const tina__shard *shard, uint32_t index) { return index >= shard->p.timer_count; }

/* A slot that was taken from its pool: into the owner's list, with its node not armed. */
void tina__timer_open(tina__shard *shard, tina__isolate *owner, uint32_t index, tina__timer_use use);

/* A timer's slot, opened; NONE: all are in use. */
uint32_t tina__timer_take(tina__shard *shard, tina__isolate *owner, tina__timer_use use);

/* Out of the owner's list. */
void tina__timer_unlink(tina__shard *shard, uint32_t index);

/* Back to the pool. It is in no list. */
void tina__timer_free(tina__shard *shard, uint32_t index);

/* A slot that was mail of an isolate that has ended. A repeating one stays until the owner's list is ended. */
void tina__timer_discard(tina__shard *shard, uint32_t index);

tina_status tina__timer_start(tina__shard *shard, tina__isolate *owner, uint64_t delay_ns, uint64_t period_ns, tina_tag tag,
                              tina_timer *timer);
bool tina__timer_cancel(tina__shard *shard, tina__isolate *owner, tina_timer timer);

/* The slot's mail was handled. */
void tina__timer_handled(tina__shard *shard, uint32_t index);

/* Just before it is handled: a single timer can't be cancelled any more. */
void tina__timer_delivered(tina__shard *shard, uint32_t index);

/* Ends all timers, calls and watches of an isolate. */
void tina__timers_end(tina__shard *shard, tina__isolate *owner);

/* Expired timers become mail, calls fail, operations are cancelled. Returns how many. */
uint32_t tina__timers_advance(tina__shard *shard);

#endif
