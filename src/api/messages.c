/* Messages and calls. */
#include "core/call.h"
#include "core/route.h"
#include "core/stats.h"

static bool is_sendable(tina_tag tag, const void *payload, size_t size)
{
    return tag >= TINA_TAG_USER && size <= TINA_PAYLOAD_MAX && (payload != NULL || size == 0);
}

tina_status tina_send(tina_ctx *ctx, tina_handle to, tina_tag tag, const void *payload, size_t size)
{
    if (!is_sendable(tag, payload, size))
        return TINA_INVALID;
    return tina__route_send(ctx->shard, ctx->self, to, tag, payload, size);
}

tina_status tina_send_begin(tina_ctx *ctx, tina_handle to, tina_tag tag, size_t size, void **payload)
{
    if (tag < TINA_TAG_USER || size > TINA_PAYLOAD_MAX || payload == NULL)
        return TINA_INVALID;
    if (ctx->is_begun)
        return TINA_BUSY;
    return tina__route_begin(ctx, to, tag, size, payload);
}

void tina_send_commit(tina_ctx *ctx)
{
    if (ctx->is_begun)
        tina__route_commit(ctx);
}

tina_status tina_call_start(tina_ctx *ctx, tina_handle to, tina_tag tag, const void *payload, size_t size,
                            uint64_t timeout_ns, uint32_t *call)
{
    if (!is_sendable(tag, payload, size))
        return TINA_INVALID;
    uint32_t slot;
    tina_status status = tina__call_start(ctx->shard, ctx->isolate, to, tag, payload, size, timeout_ns, &slot);
    if (status != TINA_OK)
        return tina__stats_refused(ctx->shard, status);
    if (call != NULL)
        *call = tina__call_number(ctx->shard, slot);
    return TINA_OK;
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
    tina_status status = tina__call_reply(ctx->shard, ctx->isolate, caller, tag, payload, size);
    return status == TINA_OK ? TINA_OK : tina__stats_refused(ctx->shard, status);
}
