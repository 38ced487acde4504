#include "core/timers.h"

#include "core/call.h"
#include "core/mailbox.h"
#include "core/reactor.h"
#include "core/stats.h"
#include "core/supervise.h"
#include "core/watch.h"

#include <string.h>

uint32_t tina__timer_take(tina__shard *shard, tina__isolate *owner, tina__timer_use use)
{
    return tina__timer_take_for(shard, owner, tina__isolate_handle(shard, owner), use, 0);
}

void tina__timer_unlink(tina__shard *shard, uint32_t index)
{
    tina__timer_unlink_from(shard, &shard->p.isolates[tina__timer_at(shard, index)->isolate], index);
}

void tina__timer_free(tina__shard *shard, uint32_t index)
{
    if (!tina__timer_is_watch(shard, index)) {
        tina__timer_give(shard, index);
        return;
    }
    tina__timer_slot *slot = tina__timer_at(shard, index);
    tina__assert(slot->use != TINA__TIMER_FREE);
    slot->use = TINA__TIMER_FREE;
    tina__pool_give_hot(&shard->watches, index - shard->p.timer_count);
}

void tina__timer_discard(tina__shard *shard, uint32_t index)
{
    tina__timer_slot *slot = tina__timer_at(shard, index);
    if (slot->use == TINA__TIMER_ANSWER)
        tina__timer_free(shard, index);
    else
        slot->is_queued = false; /* still in the owner's list, whose end frees it */
}

tina_status tina__timer_start(tina_ctx *frame, uint64_t delay_ns, uint64_t period_ns, tina_tag tag, tina_timer *timer)
{
    tina__shard *shard = frame->shard;
    tina__timer_use use = period_ns == 0 ? TINA__TIMER_ONCE : TINA__TIMER_REPEAT;
    uint32_t index = tina__timer_take_for(shard, frame->isolate, frame->self, use, tag);
    if (index == TINA__NONE)
        return TINA_POOL_EXHAUSTED;
    tina__timer_slot *slot = tina__timer_at(shard, index);
    if (use == TINA__TIMER_REPEAT) {
        slot->period_ns = period_ns;
        slot->overruns = 0;
    }
    if (timer != NULL)
        timer->bits = tina__word_make(shard->id, index, shard->p.timer_generations[index]);
    tina__timer_wheel_start(shard->p.wheel, &slot->node, tina__add_saturating(shard->now_ns, delay_ns));
    return TINA_OK;
}

/* Does the handle mean a timer of this isolate's that may still be delivered? */
static inline bool is_timer_of(const tina__shard *shard, const tina__timer_slot *slot, tina_handle owner, tina_timer timer)
{
    return (slot->use == TINA__TIMER_ONCE || slot->use == TINA__TIMER_REPEAT) &&
           tina_handle_equal(slot->destination, owner) &&
           shard->p.timer_generations[tina__word_index(timer.bits)] == tina__word_generation(timer.bits);
}

bool tina__timer_cancel(tina_ctx *frame, tina_timer timer)
{
    tina__shard *shard = frame->shard;
    uint32_t index = tina__word_index(timer.bits);
    if (tina__word_shard(timer.bits) != shard->id || index >= shard->p.timer_count)
        return false;
    tina__timer_slot *slot = tina__timer_at(shard, index);
    if (!is_timer_of(shard, slot, frame->self, timer))
        return false;
    tina__timer_wheel_cancel(shard->p.wheel, &slot->node);
    tina__timer_unlink_from(shard, frame->isolate, index);
    if (tina__unlikely(slot->is_queued))
        tina__mailbox_unlink_timer(shard, frame->isolate, index);
    tina__timer_give(shard, index);
    return true;
}

/*
 * What the owner is told is a copy, so that the slot is free, or its timer goes on,
 * before the handler runs. Of an expired timer the header alone has a meaning.
 */
static const tina_message *expired_message(tina_ctx *frame, tina__timer_slot *slot, uint32_t index)
{
    tina__shard *shard = frame->shard;
    tina_message *notice = &shard->notice;
    notice->source.bits = 0;
    notice->destination = slot->destination;
    notice->correlation = 0;
    tina__pack_u16x4(&notice->tag, slot->tag, 0, 0, 0); /* flags, size, reserved */
    slot->is_queued = false;
    frame->mail_kind = TINA__MAIL_NONE;
    /* The mail behind it may well be another timer, of long ago. */
    if (frame->isolate->inbox_head != TINA__NONE)
        __builtin_prefetch(&shard->p.mail[frame->isolate->inbox_head]);
    if (slot->use == TINA__TIMER_REPEAT) {
        notice->correlation = slot->overruns;
        slot->overruns = 0;
        return notice;
    }
    tina__timer_unlink_from(shard, frame->isolate, index);
    tina__timer_give(shard, index);
    return notice;
}

/* An answer to a call, or its failure. */
static const tina_message *answer_message(tina_ctx *frame, const tina__timer_slot *slot, uint32_t index)
{
    tina_message *notice = &frame->shard->notice;
    const tina_message *message = (const tina_message *)(const void *)slot;
    memcpy(notice, message, offsetof(tina_message, payload) + message->size);
    frame->mail_kind = (notice->flags & TINA__MESSAGE_COUNTED) != 0 ? TINA__MAIL_ANSWER : TINA__MAIL_NONE;
    tina__timer_give(frame->shard, index);
    return notice;
}

const tina_message *tina__timer_message(tina_ctx *frame, uint32_t index)
{
    tina__timer_slot *slot = tina__timer_at(frame->shard, index);
    if (slot->use == TINA__TIMER_ONCE || slot->use == TINA__TIMER_REPEAT)
        return expired_message(frame, slot, index);
    if (!tina__timer_is_watch(frame->shard, index))
        return answer_message(frame, slot, index);
    frame->mail = index;
    frame->mail_kind = TINA__MAIL_WATCH;
    if (slot->use == TINA__TIMER_DOWN) {
        slot->is_queued = false;
        tina__watch_delivered(frame->shard, index);
    }
    return (const tina_message *)(const void *)slot;
}

void tina__timers_end(tina__shard *shard, tina__isolate *owner)
{
    while (owner->timers != TINA__NONE) {
        uint32_t index = owner->timers;
        tina__timer_slot *slot = tina__timer_at(shard, index);
        if (slot->use == TINA__TIMER_CALL) {
            tina__call_abandon(shard, index);
            continue;
        }
        if (tina__timer_is_watch(shard, index)) {
            tina__watch_end(shard, index);
            continue;
        }
        tina__timer_wheel_cancel(shard->p.wheel, &slot->node);
        tina__timer_unlink(shard, index);
        tina__timer_free(shard, index);
    }
}

/* How many periods have passed unseen since the deadline. */
static uint64_t periods_missed(const tina__shard *shard, uint64_t deadline_ns, uint64_t period_ns)
{
    return shard->now_ns < deadline_ns ? 0 : (shard->now_ns - deadline_ns) / period_ns;
}

static void repeat_expired(tina__shard *shard, tina__timer_slot *slot, uint32_t index)
{
    uint64_t deadline_ns = slot->node.deadline_ns;
    uint64_t missed = periods_missed(shard, deadline_ns, slot->period_ns);
    uint64_t next_ns = tina__add_saturating(deadline_ns + missed * slot->period_ns, slot->period_ns);
    tina__timer_wheel_start(shard->p.wheel, &slot->node, next_ns);
    if (slot->is_queued)
        missed++;
    if (missed != 0) {
        slot->overruns += (uint32_t)tina__min_u64(missed, UINT32_MAX - slot->overruns);
        tina__count_by(shard, timer_overruns, missed);
    }
    if (slot->is_queued)
        return;
    tina__count(shard, timers_fired);
    tina__mailbox_link_timer(shard, &shard->p.isolates[slot->isolate], index);
}

static void timer_expired(tina__shard *shard, uint32_t index)
{
    tina__timer_slot *slot = tina__timer_at(shard, index);
    if (slot->use == TINA__TIMER_CALL) {
        tina__count(shard, calls_timed_out);
        tina__call_fail(shard, index, TINA_TIMED_OUT);
        return;
    }
    if (slot->use == TINA__TIMER_REPEAT) {
        repeat_expired(shard, slot, index);
        return;
    }
    if (slot->use == TINA__TIMER_GRACE) {
        tina__supervise_grace_over(shard, slot->isolate);
        return;
    }
    tina__assert(slot->use == TINA__TIMER_ONCE);
    tina__count(shard, timers_fired);
    tina__mailbox_link_timer(shard, &shard->p.isolates[slot->isolate], index);
}

uint32_t tina__timers_advance(tina__shard *shard)
{
    uint32_t count = 0;
    if (!tina__timer_wheel_is_due(shard->p.wheel, shard->now_ns))
        return 0;
    while (count < TINA__EXPIRE_MAX) {
        tina__timer_node *node = tina__timer_wheel_expire(shard->p.wheel, shard->now_ns);
        if (node == NULL)
            break;
        count++;
        switch ((tina__timer_kind)node->kind) {
        case TINA__NODE_OPERATION: tina__operation_deadline(shard, node->owner); break;
        case TINA__NODE_CHILD:
        case TINA__NODE_GROUP: tina__supervise_timer(shard, node); break;
        default: timer_expired(shard, node->owner); break;
        }
    }
    return count;
}
