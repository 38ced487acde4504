/*
 * Where a message goes: into a mailbox of this shard, or into the channel to
 * another. The shard's thread alone.
 *
 * What is written into a channel is seen by its shard after the publish at the
 * end of the tick, or sooner when there is much of it.
 */
#ifndef TINA__CORE_ROUTE_H
#define TINA__CORE_ROUTE_H

#include "core/shard.h"

#include <string.h>

static inline void tina__route_fill(tina_message *message, tina_handle source, tina_handle destination, tina_tag tag,
                                    const void *payload, size_t size, uint16_t flags, uint32_t correlation)
{
    message->source = source;
    message->destination = destination;
    message->correlation = correlation;
    message->tag = tag;
    message->flags = flags;
    message->size = (uint16_t)size;
    message->reserved = 0;
    if (size != 0)
        memcpy(message->payload, payload, size);
}

static inline bool tina__route_is_down(const tina__shard *shard, uint32_t to_shard)
{
    uint8_t state = atomic_load_explicit(&shard->shared->shards[to_shard].state, memory_order_relaxed);
    return state == TINA_SHARD_QUARANTINED || state == TINA_SHARD_ENDED;
}

/* Sends a user's message. Statuses as tina_send; refusals are counted. The arguments have been checked. */
tina_status tina__route_send(tina__shard *shard, tina_handle source, tina_handle to, tina_tag tag, const void *payload,
                             size_t size);

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
