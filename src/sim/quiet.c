#include "sim/quiet.h"

#include "core/supervise.h"
#include "core/timers.h"

#include <stdio.h>

static bool is_rung(const tina__doorbell *bell)
{
    uint64_t bits = 0;
    for (uint32_t word = 0; word < TINA__DOORBELL_WORDS; word++)
        bits |= atomic_load_explicit(&bell->words[word], memory_order_relaxed); /* one thread */
    return bits != 0;
}

bool tina__quiet_is_due(const tina__world *world, const tina__world_shard *ours)
{
    if (tina__shard_has_ended(ours->shard))
        return false;
    return ours->is_awake || ours->deadline_ns <= world->now_ns || is_rung(&ours->shard->public->bell) ||
           tina__net_has_news(ours->backend);
}

bool tina__quiet_is_busy(const tina__world *world)
{
    for (uint32_t i = 0; i < world->shard_count; i++) {
        if (tina__quiet_is_due(world, &world->shards[i]))
            return true;
    }
    return false;
}

uint64_t tina__quiet_next_ns(const tina__world *world)
{
    uint64_t next_ns = tina__min_u64(tina__wires_next_ns(&world->wires), tina__net_next_ns(world->net));
    for (uint32_t i = 0; i < world->shard_count; i++) {
        if (!tina__shard_has_ended(world->shards[i].shard))
            next_ns = tina__min_u64(next_ns, world->shards[i].deadline_ns);
    }
    return next_ns;
}

/* What a tick has left undone. That a timer is due is no part of it. */
static bool has_more(const tina__world_shard *ours)
{
    const tina__shard *shard = ours->shard;
    return tina__is_anybody_ready(shard) || shard->yielded_head != TINA__NONE ||
           tina__is_any_set(shard->pending, TINA__DOORBELL_WORDS) || tina__is_any_set(shard->lapsed, TINA__DOORBELL_WORDS) ||
           shard->submit_head != NULL || shard->is_tree_due || tina__supervise_is_due(shard) ||
           is_rung(&shard->public->bell) || tina__net_has_news(ours->backend);
}

static uint32_t count_repeating(const tina__shard *shard)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < shard->timers.fresh; i++) {
        const tina__timer_slot *timer = tina__timer_at(shard, i);
        count += timer->use == TINA__TIMER_REPEAT && tina__timer_is_armed(&timer->node);
    }
    return count;
}

bool tina__quiet_is_healthy(const tina__world *world, char *why, size_t size)
{
    if (tina__wires_next_ns(&world->wires) != TINA_NONE_NS || tina__net_next_ns(world->net) != TINA_NONE_NS) {
        snprintf(why, size, "messages or data are still on their way");
        return false;
    }
    for (uint32_t i = 0; i < world->shard_count; i++) {
        const tina__world_shard *ours = &world->shards[i];
        if (tina__shard_has_ended(ours->shard))
            continue;
        if (has_more(ours)) {
            snprintf(why, size, "shard %u still has something to do", i);
            return false;
        }
        uint32_t waits = ours->shard->p.wheel->count - count_repeating(ours->shard);
        if (waits != 0) {
            snprintf(why, size, "shard %u still waits for %u timer%s, call%s or deadline%s", i, waits, waits == 1 ? "" : "s",
                     waits == 1 ? "" : "s", waits == 1 ? "" : "s");
            return false;
        }
    }
    return true;
}
