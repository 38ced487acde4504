#include "core/effect.h"

#include "core/call.h"
#include "core/dispatch.h"
#include "core/log.h"
#include "core/mailbox.h"
#include "core/reactor.h"
#include "core/route.h"
#include "core/stats.h"

/* ---- Making ------------------------------------------------------------------------- */

static tina_effect refused(tina_status status, tina_tag what, uint64_t fd)
{
    return (tina_effect){.kind = TINA__EFFECT_REFUSED, .reason = (uint8_t)status, .reserved = what, .argument = fd};
}

/* A message is a part of the effect; a copy, because what it was made of need not be there when it is returned. */
static inline tina_effect stage_message(tina_ctx *frame, tina__effect_kind kind, tina_handle to, tina_tag tag,
                                        const void *payload, size_t size, uint64_t timeout_ns)
{
    tina__shard *shard = frame->shard;
    if (tag < TINA_TAG_USER || size > TINA_PAYLOAD_MAX || (payload == NULL && size != 0))
        return refused(TINA_INVALID, TINA_TAG_CALL_FAILED, 0);
    if (shard->stage_used == TINA__STAGE_MAX)
        return refused(TINA_POOL_EXHAUSTED, TINA_TAG_CALL_FAILED, 0);
    uint32_t index = shard->stage_used++;
    tina__stage *stage = &shard->stages[index];
    stage->sequence = ++shard->stage_sequence;
    stage->to = to;
    stage->timeout_ns = timeout_ns;
    tina__pack_u16x4(&stage->tag, tag, (uint16_t)size, 0, 0);
    tina__copy_small(stage->payload, payload, size);
    return (tina_effect){.kind = (uint8_t)kind, .token = index, .argument = stage->sequence};
}

tina_effect tina__effect_call(tina_ctx *frame, tina_handle to, tina_tag tag, const void *payload, size_t size,
                              uint64_t timeout_ns)
{
    return stage_message(frame, TINA__EFFECT_CALL, to, tag, payload, size, timeout_ns);
}

static __attribute__((noinline)) tina_effect crash_for_reply(tina_ctx *frame, tina_effect effect)
{
    tina__log(frame->shard, frame->isolate, TINA_LOG_ERROR, "crashes: tina_reply %s",
              effect.reason == TINA_INVALID ? "with a tag or size that is not allowed"
                                            : "where too many effects were made and not returned");
    return (tina_effect){.kind = TINA__EFFECT_CRASH};
}

tina_effect tina__effect_reply(tina_ctx *frame, tina_tag tag, const void *payload, size_t size)
{
    tina_handle none = {0};
    tina_effect effect = stage_message(frame, TINA__EFFECT_REPLY, none, tag, payload, size, 0);
    return tina__likely(effect.kind == TINA__EFFECT_REPLY) ? effect : crash_for_reply(frame, effect);
}

tina_effect tina__effect_io(tina_ctx *frame, const tina_op *op)
{
    if (op->kind == TINA_IO_CLOSE)
        return (tina_effect){.kind = TINA__EFFECT_CLOSE, .argument = op->fd.bits};
    if (!tina__tag_is_io(op->kind)) {
        tina__log(frame->shard, frame->isolate, TINA_LOG_ERROR, "crashes: tina_io with kind %u, which is no operation",
                  op->kind);
        return (tina_effect){.kind = TINA__EFFECT_CRASH};
    }
    uint32_t index;
    tina_status status = tina__operation_make(frame, op, &index);
    if (status != TINA_OK)
        return refused(status, op->kind, op->fd.bits);
    tina__operation *operation = &frame->shard->p.operations[index];
    operation->link = frame->staged;
    frame->staged = index;
    uint64_t token = tina__word_make(frame->shard->id, index, operation->generation);
    return (tina_effect){.kind = TINA__EFFECT_IO, .argument = token};
}

/* ---- Carrying out ----------------------------------------------------------------------- */

/* The isolate is parked for something that has failed already. */
static void park_refused(tina_ctx *frame, tina_status status, tina_tag what, uint64_t fd)
{
    tina__isolate *isolate = frame->isolate;
    isolate->state = TINA__ISOLATE_REFUSED;
    isolate->flags |= TINA__ISOLATE_WOKEN;
    isolate->refused_tag = (uint8_t)what;
    /* The descriptor's index, if it means one, and the status share the word. */
    uint32_t index = tina__word_index(fd);
    if (fd == 0 || index >= frame->shard->p.descriptor_count || tina__descriptor_handle(frame->shard, index).bits != fd)
        index = TINA__REFUSED_NO_FD;
    isolate->awaited = index << 8 | (uint8_t)status;
    tina__stats_refused(frame->shard, status);
    if (what != TINA_TAG_CALL_FAILED)
        tina__count(frame->shard, io_failed);
}

/* The stage that the effect means, or NULL: it is not of this handler call. */
static tina__stage *find_stage(tina_ctx *frame, tina_effect effect)
{
    tina__shard *shard = frame->shard;
    if (effect.token < frame->stage_first || effect.token >= shard->stage_used)
        return NULL;
    tina__stage *stage = &shard->stages[effect.token];
    return stage->sequence == effect.argument ? stage : NULL;
}

static void count_crash(tina_ctx *frame)
{
    tina__count(frame->shard, crashes);
    tina__count_type(frame->type, crashes);
}

static bool crash_for(tina_ctx *frame, const char *why, tina__ending *ending)
{
    tina__log(frame->shard, frame->isolate, TINA_LOG_ERROR, "crashes: %s", why);
    count_crash(frame);
    *ending = (tina__ending){.end = TINA_END_CRASH};
    return false;
}

static __attribute__((noinline)) bool apply_call(tina_ctx *frame, tina_effect effect, tina__ending *ending)
{
    const tina__stage *stage = find_stage(frame, effect);
    if (stage == NULL)
        return crash_for(frame, "it returned a call that was made in another handler call", ending);
    uint32_t slot;
    tina_status status =
        tina__call_start(frame, stage->to, stage->tag, stage->payload, stage->size, stage->timeout_ns, &slot);
    if (status != TINA_OK) {
        park_refused(frame, status, TINA_TAG_CALL_FAILED, 0);
        return true;
    }
    frame->isolate->state = TINA__ISOLATE_IN_CALL;
    frame->isolate->awaited = slot;
    return true;
}

static __attribute__((noinline)) bool apply_reply(tina_ctx *frame, tina_effect effect, tina__ending *ending)
{
    const tina__stage *stage = find_stage(frame, effect);
    if (stage == NULL)
        return crash_for(frame, "it returned a reply that was made in another handler call", ending);
    const tina_message *request = frame->message;
    if (request == NULL || (request->flags & TINA__MESSAGE_CALL) == 0)
        return crash_for(frame, "it replied to a message that is no call", ending);
    tina_caller caller = {.source = request->source, .correlation = request->correlation};
    /* Stale: the caller has given up, and was told. */
    tina_ignore(tina__call_reply(frame, caller, stage->tag, stage->payload, stage->size));
    frame->isolate->state = TINA__ISOLATE_RECEIVING;
    return true;
}

static __attribute__((noinline)) bool apply_io(tina_ctx *frame, tina_effect effect, tina__ending *ending)
{
    tina__shard *shard = frame->shard;
    uint32_t index = tina__operation_unstage(frame, effect.argument);
    if (index == TINA__NONE)
        return crash_for(frame, "it returned an operation that was made in another handler call", ending);
    tina__operation *operation = &shard->p.operations[index];
    uint64_t fd = operation->request.token;
    tina_tag kind = operation->kind;
    tina_status status = tina__operation_start(frame, index);
    if (status != TINA_OK) {
        park_refused(frame, status, kind, fd);
        return true;
    }
    frame->isolate->state = TINA__ISOLATE_IN_IO;
    frame->isolate->awaited = index;
    return true;
}

static bool apply_close(tina_ctx *frame, uint64_t fd)
{
    tina__isolate *isolate = frame->isolate;
    isolate->state = TINA__ISOLATE_IN_IO; /* it may be over at once: then it must find its isolate parked for it */
    tina_status status = tina__descriptor_close(frame->shard, isolate, fd, 0, &isolate->awaited);
    if (status != TINA_OK)
        park_refused(frame, status, TINA_IO_CLOSE, fd);
    return true;
}

static __attribute__((noinline)) bool apply_rest(tina_ctx *frame, tina_effect effect, tina__ending *ending)
{
    switch (effect.kind) {
    case TINA__EFFECT_CLOSE: return apply_close(frame, effect.argument);
    case TINA__EFFECT_REFUSED:
        park_refused(frame, (tina_status)effect.reason, effect.reserved, effect.argument);
        return true;
    case TINA__EFFECT_CRASH:
        tina__log_crash(frame->shard, frame->isolate, effect.reason);
        count_crash(frame);
        *ending = (tina__ending){.end = TINA_END_CRASH, .reason = effect.reason};
        return false;
    default: return crash_for(frame, "its init or handler returned no effect", ending);
    }
}

/* Each in a function that ends this, so that this saves no registers. */
static __attribute__((noinline)) bool apply_carrying(tina_ctx *frame, tina_effect effect, tina__ending *ending)
{
    switch (effect.kind) {
    case TINA__EFFECT_CALL: return apply_call(frame, effect, ending);
    case TINA__EFFECT_REPLY: return apply_reply(frame, effect, ending);
    case TINA__EFFECT_IO: return apply_io(frame, effect, ending);
    default: return apply_rest(frame, effect, ending);
    }
}

/* Those that need no call here, the others there: so these save none either. */
bool tina__effect_apply_other(tina_ctx *frame, tina_effect effect, tina__ending *ending)
{
    switch (effect.kind) {
    case TINA__EFFECT_YIELD: frame->isolate->state = TINA__ISOLATE_YIELDED; return true;
    case TINA__EFFECT_DONE: *ending = (tina__ending){.end = TINA_END_DONE}; return false;
    default: return apply_carrying(frame, effect, ending);
    }
}
