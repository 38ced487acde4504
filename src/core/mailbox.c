#include "core/mailbox.h"

#include "core/stats.h"
#include "core/timers.h"

void tina__mailbox_link_timer(tina__shard *shard, tina__isolate *isolate, uint32_t timer)
{
    tina__timer_slot *slot = tina__timer_at(shard, timer);
    slot->mail_previous = isolate->inbox_tail; /* means nothing while it is the first */
    slot->is_queued = true;
    tina__mailbox_link(shard, isolate, shard->p.message_count + timer);
}

/* Only timers are taken out of the middle, so only they need to know what stands before them. */
static void set_previous(tina__shard *shard, uint32_t index, uint32_t previous)
{
    if (index == TINA__NONE || index < shard->p.message_count)
        return;
    tina__timer_slot *slot = tina__timer_at(shard, index - shard->p.message_count);
    if (slot->use != TINA__TIMER_ANSWER) /* whose payload is the answer's */
        slot->mail_previous = previous;
}

void tina__mailbox_unlink_timer(tina__shard *shard, tina__isolate *isolate, uint32_t timer)
{
    tina__timer_slot *slot = tina__timer_at(shard, timer);
    uint32_t index = shard->p.message_count + timer;
    tina__assert(slot->is_queued);
    slot->is_queued = false;
    if (isolate->inbox_head == index) {
        isolate->inbox_head = slot->link;
        return;
    }
    shard->p.mail[slot->mail_previous].link = slot->link;
    set_previous(shard, slot->link, slot->mail_previous);
    if (isolate->inbox_tail == index)
        isolate->inbox_tail = slot->mail_previous;
}

void tina__mailbox_clear(tina__shard *shard, tina__isolate *isolate)
{
    uint32_t index;
    while ((index = tina__mailbox_pop(shard, isolate)) != TINA__NONE) {
        if (shard->p.mail[index].flags & TINA__MESSAGE_COUNTED)
            tina__count(shard, died_with_owner);
        if (tina__unlikely(shard->p.mail[index].flags & TINA__MESSAGE_TIMED))
            tina__measure_dropped(&shard->p.types[isolate->type], index);
        if (index < shard->p.message_count)
            tina__message_release(shard, &shard->p.mail[index]);
        else
            tina__timer_discard(shard, index - shard->p.message_count);
    }
}
