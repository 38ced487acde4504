/* Counting. The shard's thread writes; any thread may read, so every write is one relaxed store. */
#ifndef TINA__CORE_STATS_H
#define TINA__CORE_STATS_H

#include "core/shard.h"

/* One writer: its own read need not be atomic, only the store that others may see. */
#define tina__count_by(shard, field, amount)                                                                                \
    __atomic_store_n(&(shard)->stats.field, (shard)->stats.field + (amount), __ATOMIC_RELAXED)
#define tina__count(shard, field) tina__count_by(shard, field, 1)

/* The same for a type's. */
#ifndef TINA__WITHOUT_MEASURES
#define tina__count_type(type, field)                                                                                       \
    __atomic_store_n(&(type)->record->stats.field, (type)->record->stats.field + 1, __ATOMIC_RELAXED)
#else
#define tina__count_type(type, field) ((void)(type))
#endif

/*
 * How long the shard has had nothing to do, as others see it, who may look while it
 * sleeps: one word, so that they never see half of a change. While it is busy, the
 * time in all; while it is idle, this bit, and when that time would have begun if it
 * were in one piece.
 */
#define TINA__IDLE_NOW (1ull << 63)

static inline void tina__stats_idle(tina__shard *shard, uint64_t now_ns)
{
    uint64_t begin_ns = now_ns - shard->stats.idle_ns;
    atomic_store_explicit(&shard->public->idle, TINA__IDLE_NOW | begin_ns, memory_order_relaxed);
}

/* It was idle, or not. */
static inline void tina__stats_busy(tina__shard *shard, uint64_t now_ns)
{
    uint64_t idle = atomic_load_explicit(&shard->public->idle, memory_order_relaxed);
    if ((idle & TINA__IDLE_NOW) == 0)
        return;
    uint64_t idle_ns = now_ns - (idle & ~TINA__IDLE_NOW);
    __atomic_store_n(&shard->stats.idle_ns, idle_ns, __ATOMIC_RELAXED);
    atomic_store_explicit(&shard->public->idle, idle_ns, memory_order_relaxed);
}

/* Brings the pools' usage up to date for readers. */
void tina__stats_publish(tina__shard *shard);

/* Counts a refusal by what it is; gives the status back. */
tina_status tina__stats_refused(tina__shard *shard, tina_status status);

/* into += from, over every counter and pool. */
void tina__stats_add(tina_stats *into, const tina_stats *from);

#endif
