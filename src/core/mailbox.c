#include "core/mailbox.h"

#include "core/stats.h"
#include "core/timers.h"

uint32_t tina__mailbox_pop_timer(tina__shard *shard, tina__isolate *isolate)
{
    while (isolate->inbox_head != TINA__NONE) {
        uint32_t index = isolate->inbox_head;
        if (index < shard->p.message_count)
            return tina__mailbox_pop(shard, isolate);
        const tina_message *message = &shard->p.mail[index];
        isolate->inbox_head = message->link;
        if ((message->flags & TINA__MESSAGE_CANCELLED) == 0)
            return index;
        tina__timer_free(shard, index - shard->p.message_count);
    }
    return TINA__NONE;
}

void tina__mailbox_clear(tina__shard *shard, tina__isolate *isolate)
{
    uint32_t index;
    while ((index = tina__mailbox_pop(shard, isolate)) != TINA__NONE) {
        if (shard->p.mail[index].flags & TINA__MESSAGE_COUNTED)
            tina__count(shard, died_with_owner);
        if (index < shard->p.message_count)
            tina__message_release(shard, index);
        else
            tina__timer_discard(shard, isolate, index - shard->p.message_count);
    }
}
