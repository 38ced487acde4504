#include "core/timers.h"

#include "core/call.h"
#include "core/mailbox.h"
#include "core/reactor.h"
#include "core/stats.h"
#include "core/supervise.h"
#include "core/watch.h"

void tina__timer_open(tina__shard *shard, tina__isolate *owner, uint32_t index, tina__timer_use use)
{
    tina__timer_slot *slot = tina__timer_at(shard, index);
    slot->use = (uint16_t)use;
    slot->flags = 0;
    slot->size = 0;
    slot->correlation = 0;
    slot->source.bits = 0;
    slot->destination = tina__isolate_handle(shard, owner);
    slot->node = (tina__timer_node){.owner = index, .kind = TINA__NODE_TIMER};
    slot->is_queued = false;
    slot->isolate = tina__isolate_index(shard, owner);
    slot->previous = TINA__NONE;
    slot->next = owner->timers;
    if (owner->timers != TINA__NONE)
        tina__timer_at(shard, owner->timers)->previous = index;
    owner->timers = index;
}

uint32_t tina__timer_take(tina__shard *shard, tina__isolate *owner, tina__timer_use use)
{
    uint32_t index = tina__pool_take(&shard->timers);
    if (index == TINA__NONE)
        return TINA__NONE;
    uint32_t *generation = &shard->p.timer_generations[index];
    *generation = tina__word_generation_next(*generation);
    tina__timer_open(shard, owner, index, use);
    return index;
}

void tina__timer_unlink(tina__shard *shard, uint32_t index)
{
    tina__timer_slot *slot = tina__timer_at(shard, index);
    tina__isolate *owner = &shard->p.isolates[slot->isolate];
    if (slot->previous == TINA__NONE) {
        tina__assert(owner->timers == index);
        owner->timers = slot->next;
    } else {
        tina__timer_at(shard, slot->previous)->next = slot->next;
    }
    if (slot->next != TINA__NONE)
        tina__timer_at(shard, slot->next)->previous = slot->previous;
}

void tina__timer_free(tina__shard *shard, uint32_t index)
{
    tina__timer_slot *slot = tina__timer_at(shard, index);
    tina__assert(slot->use != TINA__TIMER_FREE);
    slot->use = TINA__TIMER_FREE;
    if (tina__timer_is_watch(shard, index))
        tina__pool_give_hot(&shard->watches, index - shard->p.timer_count);
    else
        tina__pool_give(&shard->timers, index);
}

void tina__timer_discard(tina__shard *shard, uint32_t index)
{
    tina__timer_slot *slot = tina__timer_at(shard, index);
    if (slot->use == TINA__TIMER_ANSWER)
        tina__timer_free(shard, index);
    else
        slot->is_queued = false; /* still in the owner's list, whose end frees it */
}

tina_status tina__timer_start(tina__shard *shard, tina__isolate *owner, uint64_t delay_ns, uint64_t period_ns, tina_tag tag,
                              tina_timer *timer)
{
    uint32_t index = tina__timer_take(shard, owner, period_ns == 0 ? TINA__TIMER_ONCE : TINA__TIMER_REPEAT);
    if (index == TINA__NONE)
        return TINA_POOL_EXHAUSTED;
    tina__timer_slot *slot = tina__timer_at(shard, index);
    slot->tag = tag;
    slot->period_ns = period_ns;
    tina__timer_wheel_start(shard->p.wheel, &slot->node, tina__add_saturating(shard->now_ns, delay_ns));
    if (timer != NULL)
        timer->bits = tina__word_make(shard->id, index, shard->p.timer_generations[index]);
    return TINA_OK;
}

/* The slot that the handle means, if it is a timer of this isolate's that may still be delivered. */
static tina__timer_slot *find_timer(tina__shard *shard, const tina__isolate *owner, tina_timer timer)
{
    uint32_t index = tina__word_index(timer.bits);
    if (tina__word_shard(timer.bits) != shard->id || index >= shard->p.timer_count)
        return NULL;
    if (shard->p.timer_generations[index] != tina__word_generation(timer.bits))
        return NULL;
    tina__timer_slot *slot = tina__timer_at(shard, index);
    if (slot->use != TINA__TIMER_ONCE && slot->use != TINA__TIMER_REPEAT)
        return NULL;
    return slot->isolate == tina__isolate_index(shard, owner) ? slot : NULL;
}

bool tina__timer_cancel(tina__shard *shard, tina__isolate *owner, tina_timer timer)
{
    tina__timer_slot *slot = find_timer(shard, owner, timer);
    if (slot == NULL)
        return false;
    uint32_t index = slot->node.owner;
    const tina_ctx *frame = &shard->frames[0];
    bool is_being_handled =
        frame->isolate == owner && frame->mail_kind == TINA__MAIL_TIMER && frame->mail == index + shard->p.message_count;
    tina__timer_wheel_cancel(shard->p.wheel, &slot->node);
    tina__timer_unlink(shard, index);
    if (slot->is_queued)
        tina__mailbox_unlink_timer(shard, owner, index);
    if (is_being_handled)
        slot->use = TINA__TIMER_ENDING; /* its message is still being read */
    else
        tina__timer_free(shard, index);
    return true;
}

void tina__timer_delivered(tina__shard *shard, uint32_t index)
{
    tina__timer_slot *slot = tina__timer_at(shard, index);
    if (slot->use == TINA__TIMER_ANSWER)
        return;
    slot->is_queued = false;
    if (slot->use == TINA__TIMER_ONCE) {
        tina__timer_unlink(shard, index);
        slot->use = TINA__TIMER_ENDING;
    } else if (slot->use == TINA__TIMER_DOWN) {
        tina__watch_delivered(shard, index);
    }
}

void tina__timer_handled(tina__shard *shard, uint32_t index)
{
    tina__timer_slot *slot = tina__timer_at(shard, index);
    if (slot->use == TINA__TIMER_REPEAT)
        slot->correlation = 0;
    else if (tina__timer_is_watch(shard, index))
        tina__watch_handled(shard, index);
    else
        tina__timer_free(shard, index);
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
        slot->correlation += (uint32_t)tina__min_u64(missed, UINT32_MAX - slot->correlation);
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
