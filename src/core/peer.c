#include "core/peer.h"

#include "core/call.h"
#include "core/gift.h"
#include "core/inbound.h"
#include "core/place.h"
#include "core/route.h"
#include "core/timers.h"
#include "core/transfer.h"
#include "core/watch.h"

/* ---- Another shard's new life ------------------------------------------------------------- */

static void fail_timers(tina__shard *shard, const tina__peer *peer, uint32_t life, tina_tag notice, bool is_watch)
{
    for (uint32_t i = 0; i < peer->place_pool.fresh; i++) {
        const tina__place *place = &peer->places[i];
        if (place->state != TINA__PLACE_WAITING || place->kind != TINA__PLACE_TIMER ||
            tina__timer_is_watch(shard, place->waiter) != is_watch)
            continue;
        if (is_watch)
            tina__watch_lost(shard, place->waiter, life, notice);
        else
            tina__call_lost(shard, place->waiter);
    }
}

static void lose_what_was_carried(tina__shard *shard, const tina__peer *peer)
{
    for (uint32_t i = 0; i < peer->place_pool.fresh; i++) {
        const tina__place *place = &peer->places[i];
        if (place->state != TINA__PLACE_WAITING)
            continue;
        if (place->kind == TINA__PLACE_GIFT)
            tina__gift_lost(shard, place->waiter);
        else if (place->kind == TINA__PLACE_TRANSFER)
            tina__transfer_over(shard, place->waiter);
    }
    tina__transfers_give_up(shard, peer); /* the life that may have read them is over, too */
}

/* What this shard still waited for, calls first: then the notices of one isolate stand together. */
static void fail_waiting(tina__shard *shard, const tina__peer *peer, uint32_t life, tina_tag notice)
{
    fail_timers(shard, peer, life, notice, false);
    fail_timers(shard, peer, life, notice, true);
    lose_what_was_carried(shard, peer);
}

static void begin_anew_with(tina__shard *shard, uint32_t index, uint32_t life)
{
    tina__peer *peer = &shard->p.peers[index];
    tina__inbound_take(shard, index);
    /* relaxed: the state that the life began with was stored before it. */
    uint8_t state = atomic_load_explicit(&shard->shared->shards[index].state, memory_order_relaxed);
    tina_tag notice = state == TINA_SHARD_QUARANTINED ? TINA_TAG_SHARD_QUARANTINED : TINA_TAG_SHARD_RESTARTED;
    fail_waiting(shard, peer, life, notice);
    tina__places_reset(shard, index);
    tina__owed_forget(shard, peer);
    peer->life = life;
    tina__spsc_fence(peer->out, life);
    tina__route_written(shard, index); /* so that it is rung, and reads up to the fence */
    tina__trace_add(shard->p.trace, shard->tick, TINA__EVENT_PEER, (tina_handle){0}, state, 0, index);
}

void tina__peers_look(tina__shard *shard)
{
    tina__assert(shard->begun_count == 0);
    for (uint32_t i = 0; i < shard->shared->shard_count; i++) {
        if (i == shard->id)
            continue;
        /* acquire, with tina__peers_begin_life: what the old life published is seen. */
        uint32_t life = atomic_load_explicit(&shard->shared->shards[i].life, memory_order_acquire);
        if (life != shard->p.peers[i].life)
            begin_anew_with(shard, i, life);
    }
}

/* ---- This shard's own --------------------------------------------------------------------------- */

static uint64_t cut_off_from(tina__shard *shard, tina__spsc *out)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < tina__spsc_unpublished(out); i++) {
        tina_message *message = tina__spsc_unpublished_at(out, i);
        tina__gift_drop(shard, message);
        count += message->flags & TINA__MESSAGE_COUNTED && message->tag != TINA__TAG_VOID;
    }
    tina__spsc_roll_back(out);
    return count;
}

uint64_t tina__peers_cut_off(tina__shard *shard)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < shard->shared->shard_count; i++) {
        if (i != shard->id)
            count += cut_off_from(shard, shard->p.peers[i].out);
    }
    return count;
}

void tina__peers_begin_life(tina__shard *shard)
{
    for (uint32_t i = 0; i < shard->shared->shard_count; i++) {
        shard->pending[i / 64] |= 1ull << (i % 64);
        if (i == shard->id)
            continue;
        tina__peer *peer = &shard->p.peers[i];
        peer->life = atomic_load_explicit(&shard->shared->shards[i].life, memory_order_acquire); /* as above */
        peer->is_estranged = true;
        /* All that it may still be owed is forgotten: that is all there is to deal with in a life that it began meanwhile. */
        tina__spsc_fence(peer->out, peer->life);
    }
    shard->pending[shard->id / 64] &= ~(1ull << (shard->id % 64));
    shard->pending[TINA__DOORBELL_INBOX / 64] |= 1ull << (TINA__DOORBELL_INBOX % 64);
    /* release, with tina__peers_look: what we published, and the state that we are in. One writer. */
    uint32_t life = atomic_load_explicit(&shard->public->life, memory_order_relaxed);
    atomic_store_explicit(&shard->public->life, life + 1, memory_order_release);
}

bool tina__peers_know(const tina__shard *shard)
{
    for (uint32_t i = 0; i < shard->shared->shard_count; i++) {
        uint8_t state = atomic_load_explicit(&shard->shared->shards[i].state, memory_order_relaxed); /* a hint */
        bool is_running = state == TINA_SHARD_INIT || state == TINA_SHARD_RUNNING || state == TINA_SHARD_DRAINING;
        if (i == shard->id || !is_running)
            continue;
        /* relaxed: only whether it has come so far; what it wrote before is read when the channel is. */
        uint32_t known = atomic_load_explicit(&shard->p.peers[i].in->fence_life, memory_order_relaxed);
        if (known != atomic_load_explicit(&shard->public->life, memory_order_relaxed)) /* our own word */
            return false;
    }
    return true;
}
