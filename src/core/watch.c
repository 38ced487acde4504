#include "core/watch.h"

#include "core/call.h"
#include "core/mailbox.h"
#include "core/place.h"
#include "core/route.h"
#include "core/timers.h"

#include <string.h>

TINA_STATIC_ASSERT(sizeof(tina_down) <= offsetof(tina__timer_node, owner), "a notice leaves the slot's index alone");

/* ---- Buckets: 0 is the empty one, what is in them is one more than the slot ---------- */

static uint32_t *bucket_of(const tina__shard *shard, uint32_t watcher, tina_handle target)
{
    uint64_t hash = tina__mix64(tina__mix64(target.bits) + watcher);
    return &shard->p.buckets[hash & (shard->p.bucket_count - 1)];
}

uint32_t tina__watch_find(const tina__shard *shard, uint32_t watcher, tina_handle target)
{
    uint32_t link = shard->watches.used == 0 ? 0 : *bucket_of(shard, watcher, target);
    while (link != 0) {
        const tina__timer_slot *slot = tina__timer_at(shard, link - 1);
        if (slot->isolate == watcher && tina_handle_equal(slot->target, target))
            return link - 1;
        link = slot->bucket_next;
    }
    return TINA__NONE;
}

static void bucket_add(tina__shard *shard, uint32_t index)
{
    tina__timer_slot *slot = tina__timer_at(shard, index);
    uint32_t *first = bucket_of(shard, slot->isolate, slot->target);
    slot->bucket_previous = 0;
    slot->bucket_next = *first;
    if (*first != 0)
        tina__timer_at(shard, *first - 1)->bucket_previous = index + 1;
    *first = index + 1;
}

static void bucket_remove(tina__shard *shard, uint32_t index)
{
    const tina__timer_slot *slot = tina__timer_at(shard, index);
    if (slot->bucket_previous != 0)
        tina__timer_at(shard, slot->bucket_previous - 1)->bucket_next = slot->bucket_next;
    else
        *bucket_of(shard, slot->isolate, slot->target) = slot->bucket_next;
    if (slot->bucket_next != 0)
        tina__timer_at(shard, slot->bucket_next - 1)->bucket_previous = slot->bucket_previous;
}

/* ---- Beginning -------------------------------------------------------------------------- */

static uint32_t slot_take(tina__shard *shard, tina__isolate *watcher, tina_handle target)
{
    uint32_t taken = tina__pool_take(&shard->watches);
    if (taken == TINA__NONE)
        return TINA__NONE;
    uint32_t index = shard->p.timer_count + taken;
    tina__timer_open(shard, watcher, tina__isolate_handle(shard, watcher), index, TINA__TIMER_WATCH, 0);
    tina__timer_slot *slot = tina__timer_at(shard, index);
    slot->target = target;
    slot->life = 0;
    slot->notice = 0;
    bucket_add(shard, index);
    return index;
}

static void slot_give(tina__shard *shard, uint32_t index)
{
    bucket_remove(shard, index);
    tina__timer_unlink(shard, index);
    tina__timer_free(shard, index);
}

static tina_status watch_here(tina__shard *shard, uint32_t index)
{
    tina__isolate *target = tina__isolate_find(shard, tina__timer_at(shard, index)->target);
    if (target == NULL)
        tina__watch_ended(shard, index, TINA_END_GONE, 0);
    else
        tina__owed_add_watch(shard, target, index);
    return TINA_OK;
}

static tina_status watch_there(tina__shard *shard, uint32_t index)
{
    tina__timer_slot *slot = tina__timer_at(shard, index);
    uint8_t to_shard = tina_handle_shard(slot->target);
    tina_message *message;
    tina_status status = tina__place_claim(shard, to_shard, TINA__PLACE_TIMER, index, &slot->place, &message);
    if (status != TINA_OK)
        return status;
    tina__route_fill(message, slot->destination, slot->target, TINA_TAG_DOWN, NULL, 0, TINA__MESSAGE_WATCH,
                     message->correlation);
    tina__route_written(shard, to_shard);
    return TINA_OK;
}

static tina_status start(tina__shard *shard, tina__isolate *watcher, tina_handle target)
{
    if (tina__watch_find(shard, tina__isolate_index(shard, watcher), target) != TINA__NONE)
        return TINA_OK;
    uint32_t index = slot_take(shard, watcher, target);
    if (index == TINA__NONE)
        return TINA_POOL_EXHAUSTED;
    bool is_here = tina_handle_shard(target) == shard->id;
    tina_status status = is_here ? watch_here(shard, index) : watch_there(shard, index);
    if (status != TINA_OK)
        slot_give(shard, index);
    return status;
}

tina_status tina__watch_start(tina__shard *shard, tina__isolate *watcher, tina_handle target)
{
    tina_status status = start(shard, watcher, target);
    if (status != TINA_OK)
        tina__route_trace_refusal(shard, tina__isolate_handle(shard, watcher), target, TINA_TAG_DOWN, status);
    return status;
}

/* ---- The notice --------------------------------------------------------------------------- */

void tina__watch_ended(tina__shard *shard, uint32_t index, uint8_t end, uint8_t reason)
{
    tina__timer_slot *slot = tina__timer_at(shard, index);
    tina_down down = {.who = slot->target, .end = end, .reason = reason};
    tina__assert(slot->use == TINA__TIMER_WATCH);
    slot->use = TINA__TIMER_DOWN;
    slot->tag = TINA_TAG_DOWN;
    slot->size = sizeof down;
    memcpy(((tina_message *)(void *)slot)->payload, &down, sizeof down);
    tina__trace_add(shard->p.trace, shard->tick, TINA__EVENT_DOWN, slot->destination, end, reason, slot->target.bits);
    tina__mailbox_link_timer(shard, &shard->p.isolates[slot->isolate], index);
}

/* Is the last of the isolate's mail a notice of that life, too? Then the first of them is before it. */
static bool is_told(const tina__shard *shard, const tina__isolate *isolate, uint8_t of_shard, uint32_t life)
{
    uint32_t first = shard->p.message_count + shard->p.timer_count;
    if (isolate->inbox_head == TINA__NONE || isolate->inbox_tail < first)
        return false;
    const tina__timer_slot *last = tina__timer_at(shard, isolate->inbox_tail - shard->p.message_count);
    return last->use == TINA__TIMER_DOWN && last->life == life && tina_handle_shard(last->target) == of_shard;
}

void tina__watch_lost(tina__shard *shard, uint32_t index, uint32_t life, tina_tag notice)
{
    tina__timer_slot *slot = tina__timer_at(shard, index);
    const tina__isolate *watcher = &shard->p.isolates[slot->isolate];
    slot->life = life;
    if (!is_told(shard, watcher, tina_handle_shard(slot->target), life))
        slot->notice = notice;
    tina__watch_ended(shard, index, TINA_END_SHARD, 0);
}

/* In no list any more: from here on it is a message in all of its header. */
static void become_message(tina__timer_slot *slot, tina__timer_use use)
{
    tina_message *message = (tina_message *)(void *)slot;
    message->source.bits = 0;
    message->correlation = 0;
    slot->use = (uint8_t)use;
}

/* The slot is mail once more, at the end: all that were lost together are before it. */
static void become_notice(tina__shard *shard, uint32_t index)
{
    tina__timer_slot *slot = tina__timer_at(shard, index);
    tina__isolate *watcher = tina__isolate_find(shard, slot->destination);
    tina__assert(watcher != NULL);
    become_message(slot, TINA__TIMER_ANSWER);
    slot->tag = slot->notice;
    slot->size = 1;
    ((tina_message *)(void *)slot)->payload[0] = tina_handle_shard(slot->target);
    tina__mailbox_link(shard, watcher, shard->p.message_count + index);
}

void tina__watch_delivered(tina__shard *shard, uint32_t index)
{
    bucket_remove(shard, index);
    tina__timer_unlink(shard, index);
    become_message(tina__timer_at(shard, index), TINA__TIMER_ENDING);
}

void tina__watch_handled(tina__shard *shard, uint32_t index)
{
    const tina__timer_slot *slot = tina__timer_at(shard, index);
    if (slot->use == TINA__TIMER_ENDING && slot->notice != 0)
        become_notice(shard, index);
    else
        tina__timer_free(shard, index);
}

/* ---- The end ---------------------------------------------------------------------------------- */

void tina__watch_end(tina__shard *shard, uint32_t index)
{
    tina__timer_slot *slot = tina__timer_at(shard, index);
    if (slot->use == TINA__TIMER_WATCH)
        tina__call_forget(shard, slot);
    if (!slot->is_queued) {
        slot_give(shard, index);
        return;
    }
    tina__mailbox_unlink_timer(shard, &shard->p.isolates[slot->isolate], index);
    if (slot->notice == 0) {
        slot_give(shard, index);
        return;
    }
    bucket_remove(shard, index);
    tina__timer_unlink(shard, index);
    become_notice(shard, index);
}

void tina__watch_stop(tina__shard *shard, tina__isolate *watcher, tina_handle target)
{
    uint32_t index = tina__watch_find(shard, tina__isolate_index(shard, watcher), target);
    if (index != TINA__NONE)
        tina__watch_end(shard, index);
}
