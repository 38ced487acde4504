/*
 * Where a message goes: into a mailbox of this shard, or into the channel to
 * another. The shard's thread alone.
 *
 * What is written into a channel is seen by its shard after the publish at the
 * end of the tick, or sooner when there is much of it.
 */
#ifndef TINA__CORE_ROUTE_H
#define TINA__CORE_ROUTE_H

#include "base/copy.h"
#include "core/mailbox.h"
#include "core/stats.h"

static inline void tina__route_fill(tina_message *message, tina_handle source, tina_handle destination, tina_tag tag,
                                    const void *payload, size_t size, uint16_t flags, uint32_t correlation)
{
    message->source = source;
    message->destination = destination;
    tina__pack_u32x2(&message->correlation, correlation, TINA__NONE); /* and link */
    tina__pack_u16x4(&message->tag, tag, flags, (uint16_t)size, 0);   /* flags, size and reserved */
    tina__copy_small(message->payload, payload, size);
}

static inline bool tina__route_is_down(const tina__shard *shard, uint32_t to_shard)
{
    uint8_t state = atomic_load_explicit(&shard->shared->shards[to_shard].state, memory_order_relaxed);
    return state == TINA_SHARD_QUARANTINED || state == TINA_SHARD_ENDED;
}

/* Sends a user's message. Statuses as tina_send; refusals are counted. The arguments have been checked. */
tina_status tina__route_send(tina__shard *shard, tina_handle source, tina_handle to, tina_tag tag, const void *payload,
                             size_t size);

/*
 * Nearly every message passes through the next two, so they are in a header, and
 * call nothing: whoever they are a part of then saves no registers. For the same
 * reason the message is written before anything is known of its receiver, while it
 * is still free: less is needed at once.
 *
 * Writes a message for an isolate of this shard into the slot that is at hand, and
 * leaves it there: its index, or NONE: there is none, or the trace wants to know more.
 */
static inline uint32_t tina__route_write(tina__shard *shard, tina_handle source, tina_handle to, tina_tag tag,
                                         const void *payload, size_t size, uint16_t flags, uint32_t correlation)
{
    if (tina__unlikely(shard->p.trace->is_detailed))
        return TINA__NONE;
    uint32_t index = tina__pool_at_hand(&shard->messages, &shard->p.mail[0].link, sizeof(tina_message));
    if (tina__likely(index != TINA__NONE))
        tina__route_fill(&shard->p.mail[index], source, to, tag, payload, size, flags, correlation);
    return index;
}

/* Delivers it to an isolate of that type that has room. */
static inline void tina__route_hand(tina__shard *shard, tina__type *type, tina__isolate *receiver, uint32_t slot,
                                    uint32_t index)
{
    tina__pool_take_at_hand(&shard->messages);
    receiver->inbox_count++;
    tina__mailbox_link_to(shard, type, receiver, slot, index);
    tina__count(shard, sent_local);
}

/* The same in the plainest case: by the isolate's own handle. NULL: it is another one, or has no room; nothing has happened. */
static inline tina__isolate *tina__route_deliver(tina__shard *shard, tina_handle to, uint32_t index)
{
    uint32_t type_id = tina_handle_type(to);
    if (tina__unlikely(type_id >= shard->p.type_count))
        return NULL;
    tina__type *type = &shard->p.types[type_id];
    uint32_t slot = tina__handle_slot(to);
    if (tina__unlikely(slot >= type->pool.limit))
        return NULL;
    tina__isolate *receiver = &type->isolates[slot];
    if (tina__unlikely(!tina__isolate_is(receiver, to) || !tina__mailbox_has_room(type, receiver)))
        return NULL;
    tina__route_hand(shard, type, receiver, slot, index);
    return receiver;
}

/* The same by name. NULL: nobody has it, or has no room; nothing has happened. */
static inline tina__isolate *tina__route_deliver_named(tina__shard *shard, tina_handle to, uint32_t index)
{
    tina__isolate *receiver = tina__isolate_find_named(shard, to);
    if (receiver == NULL)
        return NULL;
    tina__type *type = &shard->p.types[receiver->type];
    if (!tina__mailbox_has_room(type, receiver))
        return NULL;
    tina__route_hand(shard, type, receiver, tina__isolate_slot(type, receiver), index);
    return receiver;
}

/* The plainest case of another shard: it is up, its channel has room as far as is known here, and it need not be told at once. */
static inline bool tina__route_plainly_there(tina__shard *shard, tina_handle source, tina_handle to, tina_tag tag,
                                             const void *payload, size_t size)
{
    uint32_t to_shard = tina_handle_shard(to);
    if (tina__unlikely(to_shard >= shard->shared->shard_count || tina__route_is_down(shard, to_shard) ||
                       shard->p.trace->is_detailed))
        return false;
    tina__spsc *out = shard->p.peers[to_shard].out;
    if (tina__unlikely(tina__spsc_room(out) == 0 || tina__spsc_unpublished(out) + 1 >= TINA__PUBLISH_EVERY))
        return false;
    tina__route_fill(tina__spsc_claim(out), source, to, tag, payload, size, TINA__MESSAGE_COUNTED, 0);
    tina__count(shard, sent_remote);
    shard->dirty[to_shard / 64] |= 1ull << (to_shard % 64);
    return true;
}

/* The same in two steps, for the frame's one open message. */
tina_status tina__route_begin(tina_ctx *frame, tina_handle to, tina_tag tag, size_t size, void **payload);
void tina__route_commit(tina_ctx *frame);
void tina__route_abandon(tina_ctx *frame);

/* Into the trace: a send, call or watch of this isolate's was refused. */
void tina__route_trace_refusal(tina__shard *shard, tina_handle source, tina_handle to, tina_tag tag, tina_status status);
/* The same, and counted. Gives the status back. */
tina_status tina__route_refused(tina__shard *shard, tina_handle source, tina_handle to, tina_tag tag, tina_status status);

/* Something was written into the channel to that shard: it is published with the tick, or now when it is much. */
void tina__route_written(tina__shard *shard, uint32_t to_shard);

/* Publishes all that is written and wakes the shards that sleep. Returns to how many. */
uint32_t tina__route_publish(tina__shard *shard);

#endif
