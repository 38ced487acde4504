/* What a handler may ask and take: who, where, when; children, timers, logs, memory. */
#include "base/touch.h"
#include "core/fault.h"
#include "core/log.h"
#include "core/mailbox.h"
#include "core/stats.h"
#include "core/supervise.h"
#include "core/timers.h"
#include "core/transfer.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ALIGNMENT 16

/* ---- Who, where, when ----------------------------------------------------------------- */

tina_handle tina_self(const tina_ctx *ctx) { return ctx->self; }

uint8_t tina_shard(const tina_ctx *ctx) { return ctx->shard->id; }

uint8_t tina_shard_count(const tina_ctx *ctx) { return ctx->shard->shared->shard_count; }

uint64_t tina_now(const tina_ctx *ctx) { return ctx->shard->now_ns; }

uint64_t tina_random(tina_ctx *ctx) { return tina__prng_next(&ctx->shard->prng); }

void *tina_user(const tina_ctx *ctx) { return ctx->shard->shared->user; }

bool tina_is_shutting_down(const tina_ctx *ctx) { return ctx->shard->state == TINA_SHARD_DRAINING; }

tina_status tina_stats_of_sized(tina_ctx *ctx, uint8_t shard, tina_stats *stats, size_t stats_size)
{
    if (shard >= ctx->shard->shared->shard_count || stats == NULL)
        return TINA_INVALID;
    tina_stats whole;
    if (shard == ctx->shard->id)
        tina__stats_publish(ctx->shard);
    const tina__shared *shared = ctx->shard->shared;
    uint64_t now_ns = shared->clock_ns != NULL ? shared->clock_ns() : 0;
    tina__shard_read_stats(ctx->shard->p.peers[shard].shard, &shared->shards[shard], now_ns, &whole);
    memcpy(stats, &whole, stats_size < sizeof whole ? stats_size : sizeof whole);
    return TINA_OK;
}

tina_status tina_type_stats_of_sized(tina_ctx *ctx, uint8_t shard, uint8_t type, tina_type_stats *stats, size_t stats_size)
{
    if (shard >= ctx->shard->shared->shard_count || type >= ctx->shard->p.type_count || stats == NULL)
        return TINA_INVALID;
    tina_type_stats whole;
    tina__type_read_stats(&ctx->shard->shared->shards[shard].types[type], &whole);
    memcpy(stats, &whole, stats_size < sizeof whole ? stats_size : sizeof whole);
    return TINA_OK;
}

void tina_stop_system(tina_ctx *ctx)
{
    tina__change_begin(ctx->shard);
    tina__shard_stop_system(ctx->shard);
    tina__change_end(ctx->shard);
}

/* ---- Children ---------------------------------------------------------------------------- */

tina_status tina_spawn_child(tina_ctx *ctx, const tina_spawn *spawn, tina_handle *child)
{
    tina__touch_small(spawn, sizeof *spawn);
    if (spawn->args != NULL && spawn->args_size <= TINA_ARGS_MAX)
        tina__touch_small(spawn->args, spawn->args_size);
    tina__touch_result(child, sizeof *child);
    tina__change_begin(ctx->shard);
    tina_status status = tina__supervise_spawn(ctx, spawn, child);
    if (status != TINA_OK)
        tina__stats_refused(ctx->shard, status);
    tina__change_end(ctx->shard);
    return status;
}

tina_status tina_stop_child(tina_ctx *ctx, tina_handle child, uint64_t grace_ns)
{
    tina__change_begin(ctx->shard);
    tina_status status = tina__supervise_stop_child(ctx->shard, child, grace_ns);
    if (status != TINA_OK)
        tina__stats_refused(ctx->shard, status);
    tina__change_end(ctx->shard);
    return status;
}

/* ---- Timers -------------------------------------------------------------------------------- */

static tina_status start_timer(tina_ctx *ctx, uint64_t delay_ns, uint64_t period_ns, tina_tag tag, tina_timer *timer)
{
    if (tag < TINA_TAG_USER && tag != TINA_TAG_TIMER)
        return TINA_INVALID;
    tina__touch_result(timer, sizeof *timer);
    tina__change_begin(ctx->shard);
    tina_status status = tina__timer_start(ctx, delay_ns, period_ns, tag, timer);
    if (status != TINA_OK)
        tina__stats_refused(ctx->shard, status);
    tina__change_end(ctx->shard);
    return status;
}

tina_status tina_timer_start(tina_ctx *ctx, uint64_t delay_ns, tina_tag tag, tina_timer *timer)
{
    return start_timer(ctx, delay_ns, 0, tag, timer);
}

tina_status tina_timer_repeat(tina_ctx *ctx, uint64_t period_ns, tina_tag tag, tina_timer *timer)
{
    return period_ns == 0 ? TINA_INVALID : start_timer(ctx, period_ns, period_ns, tag, timer);
}

bool tina_timer_cancel(tina_ctx *ctx, tina_timer timer)
{
    tina__change_begin(ctx->shard);
    bool is_cancelled = tina__timer_cancel(ctx, timer);
    tina__change_end(ctx->shard);
    return is_cancelled;
}

/* ---- Logs ------------------------------------------------------------------------------------ */

/* Formatted outside the marks: it reads whatever the arguments point to. */
void tina_log(tina_ctx *ctx, tina_level level, const char *format, ...)
{
    char text[TINA_LOG_LINE_MAX];
    va_list arguments;
    va_start(arguments, format);
    int size = ctx->shard->shared->has_log ? vsnprintf(text, sizeof text, format, arguments) : 0;
    va_end(arguments);
    tina__change_begin(ctx->shard);
    tina__log_text(ctx->shard, ctx->isolate, level, text, size < 0 ? 0 : tina__min_u32((uint32_t)size, sizeof text - 1));
    tina__change_end(ctx->shard);
}

/* ---- Memory ------------------------------------------------------------------------------------ */

void *tina_scratch(tina_ctx *ctx, size_t size)
{
    tina__shard *shard = ctx->shard;
    uint32_t used = shard->scratch_used;
    uint32_t end = tina__min_u32(shard->p.scratch_size, ctx->scratch_first + ctx->type->scratch_max);
    if (used > end || size > end - used)
        return NULL;
    shard->scratch_used = (uint32_t)tina__align_up(used + size, ALIGNMENT);
    return shard->p.scratch + used;
}

void *tina_working(tina_ctx *ctx, size_t size)
{
    const tina__type *type = ctx->type;
    if (type->working_size == 0)
        return NULL;
    uint32_t *used = tina__isolate_working(type, tina__isolate_slot(type, ctx->isolate));
    if (*used > type->working_size || size > type->working_size - *used)
        return NULL;
    uint8_t *memory = (uint8_t *)(used + 1) + *used;
    memset(memory, 0, size);
    *used = (uint32_t)tina__align_up(*used + size, ALIGNMENT);
    return memory;
}

void tina_working_reset(tina_ctx *ctx)
{
    const tina__type *type = ctx->type;
    if (type->working_size != 0)
        *tina__isolate_working(type, tina__isolate_slot(type, ctx->isolate)) = 0;
}

/* ---- Transfers ------------------------------------------------------------------------------------ */

tina_status tina_transfer_alloc(tina_ctx *ctx, tina_transfer *transfer, void **data, size_t *capacity)
{
    tina__touch_small(transfer, sizeof *transfer);
    tina__touch_result(transfer, sizeof *transfer);
    tina__touch_small(data, sizeof *data);
    tina__touch_result(data, sizeof *data);
    tina__touch_result(capacity, sizeof *capacity);
    tina__change_begin(ctx->shard);
    tina_status status = tina__transfer_alloc(ctx->shard, ctx->isolate, transfer, data);
    if (status == TINA_OK && capacity != NULL)
        *capacity = ctx->shard->p.transfer_size;
    tina__change_end(ctx->shard);
    return status;
}

tina_status tina_transfer_send(tina_ctx *ctx, tina_handle to, tina_transfer transfer, size_t size)
{
    tina__change_begin(ctx->shard);
    tina_status status = tina__transfer_send(ctx->shard, ctx->isolate, to, transfer, size);
    tina__change_end(ctx->shard);
    return status;
}

tina_status tina_transfer_read(tina_ctx *ctx, const tina_message *message, const void **data, size_t *size)
{
    return tina__transfer_read(ctx->shard, message, data, size);
}

void tina_transfer_free(tina_ctx *ctx, tina_transfer transfer)
{
    tina__change_begin(ctx->shard);
    tina__transfer_free(ctx->shard, ctx->isolate, transfer);
    tina__change_end(ctx->shard);
}
