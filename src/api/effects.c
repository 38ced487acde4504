/* What a handler returns. */
#include "base/touch.h"
#include "core/effect.h"
#include "core/fault.h"

tina_effect tina_done(void) { return (tina_effect){.kind = TINA__EFFECT_DONE}; }

tina_effect tina_crash(uint8_t reason) { return (tina_effect){.kind = TINA__EFFECT_CRASH, .reason = reason}; }

tina_effect tina_yield(void) { return (tina_effect){.kind = TINA__EFFECT_YIELD}; }

tina_effect tina_receive(void) { return (tina_effect){.kind = TINA__EFFECT_RECEIVE}; }

tina_effect tina_call(tina_ctx *ctx, tina_handle to, tina_tag tag, const void *payload, size_t size, uint64_t timeout_ns)
{
    if (payload != NULL && size <= TINA_PAYLOAD_MAX)
        tina__touch_small(payload, size);
    tina__change_begin(ctx->shard);
    tina_effect effect = tina__effect_call(ctx, to, tag, payload, size, timeout_ns);
    tina__change_end(ctx->shard);
    return effect;
}

tina_effect tina_reply(tina_ctx *ctx, tina_tag tag, const void *payload, size_t size)
{
    if (payload != NULL && size <= TINA_PAYLOAD_MAX)
        tina__touch_small(payload, size);
    tina__change_begin(ctx->shard);
    tina_effect effect = tina__effect_reply(ctx, tag, payload, size);
    tina__change_end(ctx->shard);
    return effect;
}
