#include "core/stats.h"

#include <string.h>

static void publish_pool(tina_usage *usage, const tina__pool *pool)
{
    __atomic_store_n(&usage->used, tina__pool_taken(pool), __ATOMIC_RELAXED);
    if (pool->peak > usage->peak) /* the pool's own peak begins anew with its shard */
        __atomic_store_n(&usage->peak, pool->peak, __ATOMIC_RELAXED);
}

void tina__stats_publish(tina__shard *shard)
{
    tina_stats *stats = &shard->stats;
    publish_pool(&stats->messages, &shard->messages);
    publish_pool(&stats->timers, &shard->timers);
    publish_pool(&stats->watches, &shard->watches);
    publish_pool(&stats->ops, &shard->operations);
    publish_pool(&stats->fds, &shard->descriptors);
    publish_pool(&stats->transfers, &shard->transfers);
    /* A buffer that is lent to the backend is free: nobody's data is in it. */
    uint32_t used = shard->buffers.used - shard->buffers_lent;
    __atomic_store_n(&stats->buffers.used, used, __ATOMIC_RELAXED);
    if (used > stats->buffers.peak)
        __atomic_store_n(&stats->buffers.peak, used, __ATOMIC_RELAXED);
    __atomic_store_n(&stats->isolates, shard->live_count, __ATOMIC_RELAXED);
    const tina__trace *trace = shard->p.trace;
    uint64_t held = tina__min_u64(tina__trace_written(trace), (uint64_t)trace->mask + 1);
    __atomic_store_n(&stats->trace_dropped, tina__trace_written(trace) - held, __ATOMIC_RELAXED);
}

tina_status tina__stats_refused(tina__shard *shard, tina_status status)
{
    switch (status) {
    case TINA_MAILBOX_FULL: tina__count(shard, mailbox_full); break;
    case TINA_CHANNEL_FULL: tina__count(shard, channel_full); break;
    case TINA_POOL_EXHAUSTED: tina__count(shard, pool_exhausted); break;
    case TINA_STALE_HANDLE: tina__count(shard, stale_handle); break;
    case TINA_SHARD_DOWN: tina__count(shard, shard_down); break;
    case TINA_ARENA_FULL: tina__count(shard, arena_full); break;
    case TINA_GROUP_FULL: tina__count(shard, group_full); break;
    case TINA_INIT_FAILED: tina__count(shard, init_failed); break;
    default: break;
    }
    return status;
}

/* The counters are the words before `isolates`, the usages those behind it: no list that must agree with the struct. */
#define COUNTER_COUNT (offsetof(tina_stats, isolates) / sizeof(uint64_t))
#define USAGE_COUNT   ((offsetof(tina_stats, state) - offsetof(tina_stats, messages)) / sizeof(tina_usage))

void tina__stats_add(tina_stats *into, const tina_stats *from)
{
    uint64_t *sum = (uint64_t *)(void *)into;
    const uint64_t *counter = (const uint64_t *)(const void *)from;
    for (size_t i = 0; i < COUNTER_COUNT; i++)
        sum[i] += counter[i];
    into->isolates += from->isolates;
    tina_usage *total = &into->messages;
    const tina_usage *usage = &from->messages;
    for (size_t i = 0; i < USAGE_COUNT; i++) {
        total[i].limit += usage[i].limit;
        total[i].used += usage[i].used;
        total[i].peak += usage[i].peak;
    }
    into->backend = from->backend;
}

/* The shard says when it became busy a moment after it was so: what was told meanwhile is not taken back. */
static uint64_t never_less(_Atomic uint64_t *told, uint64_t now)
{
    uint64_t before = atomic_load_explicit(told, memory_order_relaxed);
    while (before < now &&
           !atomic_compare_exchange_weak_explicit(told, &before, now, memory_order_relaxed, memory_order_relaxed)) {
    }
    return before < now ? now : before;
}

void tina__shard_read_stats(const tina__shard *shard, tina__shard_public *public, uint64_t now_ns, tina_stats *stats)
{
    uint64_t *to = (uint64_t *)(void *)stats;
    const uint64_t *from = (const uint64_t *)(const void *)&shard->stats;
    for (size_t i = 0; i < COUNTER_COUNT; i++)
        to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
    stats->isolates = __atomic_load_n(&shard->stats.isolates, __ATOMIC_RELAXED);
    tina_usage *usage = &stats->messages;
    const tina_usage *now = &shard->stats.messages;
    for (size_t i = 0; i < USAGE_COUNT; i++) {
        usage[i].limit = __atomic_load_n(&now[i].limit, __ATOMIC_RELAXED);
        usage[i].used = __atomic_load_n(&now[i].used, __ATOMIC_RELAXED);
        usage[i].peak = __atomic_load_n(&now[i].peak, __ATOMIC_RELAXED);
    }
    uint64_t idle = atomic_load_explicit(&public->idle, memory_order_relaxed);
    if ((idle & TINA__IDLE_NOW) != 0 && now_ns != 0)
        stats->idle_ns = now_ns - (idle & ~TINA__IDLE_NOW);
    stats->idle_ns = never_less(&public->idle_told, stats->idle_ns);
    stats->inbox_full = atomic_load_explicit(&public->posts_refused, memory_order_relaxed);
    stats->state = atomic_load_explicit(&public->state, memory_order_relaxed);
    stats->backend = __atomic_load_n(&shard->stats.backend, __ATOMIC_RELAXED);
}

/* The counters are the words from `dispatches` on. */
#define TYPE_COUNTER_COUNT ((sizeof(tina_type_stats) - offsetof(tina_type_stats, dispatches)) / sizeof(uint64_t))

void tina__type_read_stats(const tina__type_record *record, tina_type_stats *stats)
{
    const tina_type_stats *of = &record->stats;
    memcpy(stats->name, of->name, sizeof stats->name);
    stats->slots = of->slots;
    stats->sample_every = of->sample_every;
    uint64_t *to = &stats->dispatches;
    for (size_t i = 0; i < TYPE_COUNTER_COUNT; i++)
        to[i] = __atomic_load_n(&(&of->dispatches)[i], __ATOMIC_RELAXED);
    stats->peak = __atomic_load_n(&of->peak, __ATOMIC_RELAXED);
    /* Read one after the other: the exits of isolates may be in that were not there yet when the spawns were read. */
    stats->isolates = stats->spawns > stats->exits ? (uint32_t)(stats->spawns - stats->exits) : 0;
}
