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

/* Brings the pools' usage up to date for readers. */
void tina__stats_publish(tina__shard *shard);

/* Counts a refusal by what it is; gives the status back. */
tina_status tina__stats_refused(tina__shard *shard, tina_status status);

/* into += from, over every counter and pool. */
void tina__stats_add(tina_stats *into, const tina_stats *from);

#endif
