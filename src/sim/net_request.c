#include "sim/net_inside.h"

#include <errno.h>

uint64_t tina__net_draw_delay(tina__net *net, uint32_t shard)
{
    uint32_t rounds = tina__fault_draw(&net->shards[shard].delays, net->faults->rates.io_delay);
    if (rounds == 0)
        return 0;
    net->faults->counts.io_delay++;
    return rounds * net->config.round_ns;
}

uint32_t tina__net_shorten(tina__net *net, uint32_t shard, uint32_t size)
{
    tina__prng *stream = &net->shards[shard].shorts;
    if (size <= 1 || !tina__net_strikes(stream, net->faults->rates.short_io))
        return size;
    net->faults->counts.short_io++;
    return 1 + (uint32_t)tina__prng_below(stream, size - 1);
}

int tina__net_request_strike(tina__net *net, uint32_t shard)
{
    if (!tina__net_strikes(&net->shards[shard].errors, net->faults->rates.io_error))
        return 0;
    net->faults->counts.io_error++;
    return EIO;
}

static bool is_reading(const tina__io_request *request) { return tina__io_reads(request->kind); }

tina__net_half *tina__net_request_begin(tina__backend *backend, uint32_t index, const tina__io_request *request)
{
    tina__net_half *half = &tina__net_at(backend->net, index)->halves[!is_reading(request)];
    tina__assert(half->request == NULL);
    half->token = request->token;
    half->size = request->size;
    half->kind = request->kind;
    half->shard = (uint8_t)backend->shard;
    half->no_wait = request->no_wait;
    half->data = request->data;
    half->offset = request->offset;
    half->file = request->file_fd;
    if (tina__io_fills(request->kind) && (half->size == 0 || half->size > backend->buffer_size))
        half->size = backend->buffer_size;
    half->request = request;
    half->state = TINA__HALF_WAITS;
    backend->request_count++;
    return half;
}

/* ---- Over --------------------------------------------------------------------------- */

tina__net_news *tina__net_news_add(tina__backend *backend)
{
    tina__assert(backend->news_count < backend->op_count);
    uint32_t at = backend->news_first + backend->news_count++;
    return &backend->news[at < backend->op_count ? at : at - backend->op_count];
}

/* Its place among the news of whoever submitted it. */
static tina__net_news *add_news(tina__net *net, const tina__net_half *half)
{
    tina__backend *backend = net->shards[half->shard].backend;
    tina__assert(half->request != NULL);
    tina__assert(backend->request_count != 0);
    backend->request_count--;
    return tina__net_news_add(backend);
}

tina__io_completion *tina__net_request_finish_now(tina__net *net, uint32_t index, uint32_t half, tina_status status,
                                                  int os_error)
{
    tina__net_half *self = &tina__net_at(net, index)->halves[half];
    tina__net_news *news = add_news(net, self);
    news->completion = tina__net_completion(self->token, status, os_error);
    news->starved = TINA__NONE;
    self->request = NULL;
    self->state = TINA__HALF_IDLE;
    tina__net_slot_pass(net, index);
    return &news->completion;
}

tina__io_completion *tina__net_request_finish(tina__net *net, uint32_t index, uint32_t half, tina_status status,
                                              int os_error)
{
    tina__net_half *self = &tina__net_at(net, index)->halves[half];
    /* A send that must not wait holds what others need, and is over in its tick. */
    uint64_t delay_ns = self->no_wait ? 0 : tina__net_delay(net, self->shard);
    if (delay_ns == 0)
        return tina__net_request_finish_now(net, index, half, status, os_error);
    tina__io_completion *late = &net->late[2 * index + half];
    *late = tina__net_completion(self->token, status, os_error);
    self->state = TINA__HALF_LATE;
    tina__due_set(&net->due, tina__net_thing_of(index, TINA__DUE_READER + half),
                  tina__add_saturating(net->now_ns, delay_ns));
    return late;
}

void tina__net_request_tell(tina__net *net, uint32_t index, uint32_t half)
{
    tina__assert(tina__net_at(net, index)->halves[half].state == TINA__HALF_LATE);
    tina__due_clear(&net->due, tina__net_thing_of(index, TINA__DUE_READER + half));
    *tina__net_request_finish_now(net, index, half, TINA_OK, 0) = net->late[2 * index + half];
}

void tina__net_request_starve(tina__net *net, uint32_t index)
{
    tina__net_half *self = &tina__net_at(net, index)->halves[TINA__NET_READS];
    tina__net_news *news = add_news(net, self);
    news->completion = tina__net_completion(self->token, TINA_BUSY, 0);
    news->starved = index;
    self->state = TINA__HALF_STARVED;
}

int32_t tina__net_request_drop(tina__net *net, uint32_t index, uint32_t half)
{
    tina__net_half *self = &tina__net_at(net, index)->halves[half];
    int32_t accepted = self->state == TINA__HALF_LATE ? net->late[2 * index + half].os_fd : -1;
    tina__due_clear(&net->due, tina__net_thing_of(index, TINA__DUE_READER + half));
    *self = (tina__net_half){0};
    tina__net_slot_pass(net, index);
    return accepted;
}
