/*
 * Messages, calls and watches. Here as in all that a handler may call: first the
 * user's memory is tried, then the runtime's is changed, between two marks. So a
 * bad pointer costs the isolate, and a fault between the marks the shard.
 */
#include "base/touch.h"
#include "core/call.h"
#include "core/fault.h"
#include "core/route.h"
#include "core/stats.h"
#include "core/watch.h"

static bool is_sendable(tina_tag tag, const void *payload, size_t size)
{
    return tag >= TINA_TAG_USER && size <= TINA_PAYLOAD_MAX && (payload != NULL || size == 0);
}

/* The change has begun. */
static __attribute__((noinline)) tina_status send_otherwise(tina_ctx *ctx, tina_handle to, tina_tag tag, const void *payload,
                                                            size_t size)
{
    tina_status status = tina__route_send(ctx->shard, ctx->self, to, tag, payload, size);
    tina__change_end(ctx->shard);
    return status;
}

/* The same for a message that is written, at that index, and not for an isolate by its own handle, or not in the plainest case. */
static __attribute__((noinline)) tina_status send_written(tina__shard *shard, uint32_t index)
{
    const tina_message *message = &shard->p.mail[index];
    tina_status status = TINA_OK;
    if (tina__route_deliver_named(shard, message->destination, index) == NULL)
        status =
            tina__route_send(shard, message->source, message->destination, message->tag, message->payload, message->size);
    tina__change_end(shard);
    return status;
}

static __attribute__((noinline)) tina_status send_there(tina_ctx *ctx, tina_handle to, tina_tag tag, const void *payload,
                                                        size_t size)
{
    tina__shard *shard = ctx->shard;
    if (!tina__route_plainly_there(shard, ctx->self, to, tag, payload, size))
        return send_otherwise(ctx, to, tag, payload, size);
    tina__change_end(shard);
    return TINA_OK;
}

tina_status tina_send(tina_ctx *ctx, tina_handle to, tina_tag tag, const void *payload, size_t size)
{
    tina__tracepoint_send(to.bits, tag, size);
    if (tina__unlikely(!is_sendable(tag, payload, size)))
        return TINA_INVALID;
    tina__touch_small(payload, size);
    tina__shard *shard = ctx->shard;
    tina__change_begin(shard);
    if (tina__unlikely(tina_handle_shard(to) != shard->id))
        return send_there(ctx, to, tag, payload, size);
    uint32_t index = tina__route_write(shard, ctx->self, to, tag, payload, size, TINA__MESSAGE_COUNTED, 0);
    if (tina__unlikely(index == TINA__NONE))
        return send_otherwise(ctx, to, tag, payload, size);
    if (tina__unlikely(tina__route_deliver(shard, to, index) == NULL))
        return send_written(shard, index);
    tina__change_end(shard);
    return TINA_OK;
}

tina_status tina_send_begin(tina_ctx *ctx, tina_handle to, tina_tag tag, size_t size, void **payload)
{
    if (tag < TINA_TAG_USER || size > TINA_PAYLOAD_MAX || payload == NULL)
        return TINA_INVALID;
    if (ctx->is_begun)
        return TINA_BUSY;
    tina__touch_result(payload, sizeof *payload);
    tina__change_begin(ctx->shard);
    tina_status status = tina__route_begin(ctx, to, tag, size, payload);
    tina__change_end(ctx->shard);
    return status;
}

void tina_send_commit(tina_ctx *ctx)
{
    if (!ctx->is_begun)
        return;
    tina__change_begin(ctx->shard);
    tina__route_commit(ctx);
    tina__change_end(ctx->shard);
}

tina_status tina_call_start(tina_ctx *ctx, tina_handle to, tina_tag tag, const void *payload, size_t size,
                            uint64_t timeout_ns, uint32_t *call)
{
    if (!is_sendable(tag, payload, size))
        return TINA_INVALID;
    tina__touch_small(payload, size);
    tina__touch_result(call, sizeof *call);
    tina__change_begin(ctx->shard);
    uint32_t slot;
    tina_status status = tina__call_start(ctx, to, tag, payload, size, timeout_ns, &slot);
    if (status != TINA_OK)
        tina__stats_refused(ctx->shard, status);
    else if (call != NULL)
        *call = tina__call_number(ctx->shard, slot);
    tina__change_end(ctx->shard);
    return status;
}

bool tina_is_call(const tina_message *message) { return (message->flags & TINA__MESSAGE_CALL) != 0; }

tina_caller tina_message_caller(const tina_message *message)
{
    return (tina_caller){.source = message->source, .correlation = message->correlation};
}

tina_status tina_reply_to(tina_ctx *ctx, tina_caller caller, tina_tag tag, const void *payload, size_t size)
{
    if (!is_sendable(tag, payload, size))
        return TINA_INVALID;
    tina__touch_small(payload, size);
    tina__change_begin(ctx->shard);
    tina_status status = tina__call_reply(ctx, caller, tag, payload, size);
    if (status != TINA_OK)
        tina__stats_refused(ctx->shard, status);
    tina__change_end(ctx->shard);
    return status;
}

tina_status tina_watch(tina_ctx *ctx, tina_handle target)
{
    tina__change_begin(ctx->shard);
    tina_status status = tina__watch_start(ctx->shard, ctx->isolate, target);
    if (status != TINA_OK)
        tina__stats_refused(ctx->shard, status);
    tina__change_end(ctx->shard);
    return status;
}

void tina_unwatch(tina_ctx *ctx, tina_handle target)
{
    tina__change_begin(ctx->shard);
    tina__watch_stop(ctx->shard, ctx->isolate, target);
    tina__change_end(ctx->shard);
}
