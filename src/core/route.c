#include "core/route.h"

#include "core/mailbox.h"
#include "core/stats.h"

void tina__route_trace_refusal(tina__shard *shard, tina_handle source, tina_handle to, tina_tag tag, tina_status status)
{
    tina__trace_add(shard->p.trace, shard->tick, TINA__EVENT_REFUSED, source, tag, (uint16_t)status, to.bits);
    tina__tracepoint_refused(to.bits, tag, status);
}

tina_status tina__route_refused(tina__shard *shard, tina_handle source, tina_handle to, tina_tag tag, tina_status status)
{
    tina__route_trace_refusal(shard, source, to, tag, status);
    return tina__stats_refused(shard, status);
}

static tina_status send_here(tina__shard *shard, tina_handle source, tina_handle to, tina_tag tag, const void *payload,
                             size_t size)
{
    tina__isolate *receiver = tina__isolate_find(shard, to);
    if (receiver == NULL)
        return TINA_STALE_HANDLE;
    uint32_t index;
    tina_status status = tina__mailbox_claim(shard, receiver, &index);
    if (status != TINA_OK)
        return status;
    tina__route_fill(&shard->p.mail[index], source, to, tag, payload, size, TINA__MESSAGE_COUNTED, 0);
    tina__mailbox_link(shard, receiver, index);
    tina__count(shard, sent_local);
    tina__trace_detail(shard->p.trace, shard->tick, TINA__EVENT_SENT, source, tag, (uint16_t)size, to.bits);
    return TINA_OK;
}

/* The next slot of the channel to that shard. */
static tina_status claim_there(tina__shard *shard, uint32_t to_shard, tina_message **message)
{
    if (to_shard >= shard->shared->shard_count)
        return TINA_INVALID;
    if (tina__route_is_down(shard, to_shard))
        return TINA_SHARD_DOWN;
    *message = tina__spsc_claim(shard->p.peers[to_shard].out);
    return *message == NULL ? TINA_CHANNEL_FULL : TINA_OK;
}

static tina_status send_there(tina__shard *shard, tina_handle source, tina_handle to, tina_tag tag, const void *payload,
                              size_t size)
{
    tina_message *message;
    uint32_t to_shard = tina_handle_shard(to);
    tina_status status = claim_there(shard, to_shard, &message);
    if (status != TINA_OK)
        return status;
    tina__route_fill(message, source, to, tag, payload, size, TINA__MESSAGE_COUNTED, 0);
    tina__count(shard, sent_remote);
    tina__route_written(shard, to_shard);
    tina__trace_detail(shard->p.trace, shard->tick, TINA__EVENT_SENT, source, tag, (uint16_t)size, to.bits);
    return TINA_OK;
}

tina_status tina__route_send(tina__shard *shard, tina_handle source, tina_handle to, tina_tag tag, const void *payload,
                             size_t size)
{
    tina_status status = tina_handle_shard(to) == shard->id ? send_here(shard, source, to, tag, payload, size)
                                                            : send_there(shard, source, to, tag, payload, size);
    return status == TINA_OK ? TINA_OK : tina__route_refused(shard, source, to, tag, status);
}

/* ---- In two steps -------------------------------------------------------------- */

static tina_status begin_here(tina_ctx *frame, tina_handle to)
{
    tina__isolate *receiver = tina__isolate_find(frame->shard, to);
    if (receiver == NULL)
        return TINA_STALE_HANDLE;
    tina_status status = tina__mailbox_claim(frame->shard, receiver, &frame->begun_index);
    if (status != TINA_OK)
        return status;
    frame->begun = &frame->shard->p.mail[frame->begun_index];
    frame->begun_to = receiver;
    return TINA_OK;
}

static tina_status begin_there(tina_ctx *frame, tina_handle to)
{
    uint8_t to_shard = tina_handle_shard(to);
    tina_status status = claim_there(frame->shard, to_shard, &frame->begun);
    if (status != TINA_OK)
        return status;
    frame->begun_to = NULL;
    frame->begun_shard = to_shard;
    return TINA_OK;
}

tina_status tina__route_begin(tina_ctx *frame, tina_handle to, tina_tag tag, size_t size, void **payload)
{
    tina__shard *shard = frame->shard;
    tina_status status = tina_handle_shard(to) == shard->id ? begin_here(frame, to) : begin_there(frame, to);
    if (status != TINA_OK)
        return tina__route_refused(shard, frame->self, to, tag, status);
    /* In a channel the slot stands as void until the commit: what is sent meanwhile comes behind it. */
    tina__route_fill(frame->begun, frame->self, to, TINA__TAG_VOID, NULL, 0, TINA__MESSAGE_COUNTED, 0);
    frame->begun->size = (uint16_t)size;
    frame->begun_tag = tag;
    frame->is_begun = true;
    shard->begun_count++;
    *payload = frame->begun->payload;
    return TINA_OK;
}

static void begun_end(tina_ctx *frame)
{
    frame->is_begun = false;
    frame->shard->begun_count--;
    if (frame->begun_to == NULL)
        tina__route_written(frame->shard, frame->begun_shard);
}

void tina__route_commit(tina_ctx *frame)
{
    tina__shard *shard = frame->shard;
    frame->begun->tag = frame->begun_tag;
    tina__tracepoint_send(frame->begun->destination.bits, frame->begun_tag, frame->begun->size);
    tina__trace_detail(shard->p.trace, shard->tick, TINA__EVENT_SENT, frame->self, frame->begun_tag, frame->begun->size,
                       frame->begun->destination.bits);
    if (frame->begun_to != NULL) {
        tina__mailbox_link(shard, frame->begun_to, frame->begun_index);
        tina__count(shard, sent_local);
    } else {
        tina__count(shard, sent_remote);
    }
    begun_end(frame);
}

void tina__route_abandon(tina_ctx *frame)
{
    if (frame->begun_to != NULL)
        tina__mailbox_unclaim(frame->shard, frame->begun_to, frame->begun_index);
    begun_end(frame);
}

/* ---- Publishing ------------------------------------------------------------------ */

static void publish_to(tina__shard *shard, uint32_t to_shard)
{
    tina__peer *peer = &shard->p.peers[to_shard];
    tina__spsc_publish(peer->out);
    tina__doorbell *bell = &shard->shared->shards[to_shard].bell;
    if (tina__doorbell_ring(bell, shard->id)) {
        shard->api->wake(shard->backend, bell->wake_fd);
        tina__count(shard, wakes);
    }
}

void tina__route_written(tina__shard *shard, uint32_t to_shard)
{
    tina__assert(to_shard != shard->id);
    /* A void slot must not be seen before its commit. */
    if (tina__spsc_unpublished(shard->p.peers[to_shard].out) >= TINA__PUBLISH_EVERY && shard->begun_count == 0) {
        publish_to(shard, to_shard);
        shard->dirty[to_shard / 64] &= ~(1ull << (to_shard % 64));
        return;
    }
    shard->dirty[to_shard / 64] |= 1ull << (to_shard % 64);
}

uint32_t tina__route_publish(tina__shard *shard)
{
    tina__assert(shard->begun_count == 0);
    uint32_t count = 0;
    for (uint32_t word = 0; word < TINA__DOORBELL_WORDS; word++) {
        for (uint64_t bits = shard->dirty[word]; bits != 0; bits &= bits - 1) {
            publish_to(shard, word * 64 + tina__lowest_bit(bits));
            count++;
        }
        shard->dirty[word] = 0;
    }
    return count;
}
