/*
 * What is measured, beyond counting: how long handlers take, and how long messages
 * wait. The shard's thread alone.
 *
 * One tick in EVERY is measured: of the handler calls in it the time is taken. Where
 * there are many of a type, it is taken of one in so many, which stands for them: two
 * readings of the clock take longer than a message. Behind the tick, of each type that
 * ran, one message is chosen, at random among about as many as the type has just
 * handled; the time from its mailbox to its handler is taken. So every dispatch and
 * every message has about the same chance, whoever it is for, and outside a measured
 * tick nothing is paid but a count for each tick.
 *
 * A message is chosen by closing the short way into the mailboxes of its type:
 * mailbox_room is 0, so that senders take the long way, which looks here.
 */
#ifndef TINA__CORE_MEASURE_H
#define TINA__CORE_MEASURE_H

#include "core/shard.h"

#ifndef TINA__WITHOUT_MEASURES
#define TINA__MEASURE_EVERY 64 /* ticks, on average: 32 to 95 */
#else
#define TINA__MEASURE_EVERY 0 /* never, and by type nothing is counted: to see what that costs */
#endif

/* A new life: nothing is being waited for. */
void tina__measure_init(tina__shard *shard);

/* Is this tick to be measured? Asked once in a tick. */
static inline bool tina__measure_is_due(tina__shard *shard)
{
    return TINA__MEASURE_EVERY != 0 && tina__unlikely(--shard->measure_ticks_left == 0);
}

/* An isolate of the type has begun. */
static inline void tina__measure_peak(tina__type *type)
{
    if (tina__unlikely(type->pool.peak > type->record->stats.peak))
        __atomic_store_n(&type->record->stats.peak, type->pool.peak, __ATOMIC_RELAXED);
}

/* The time: in a measured tick alone. */
uint64_t tina__measure_now(const tina__shard *shard);

/* In a measured tick, before a handler: is its time to be taken? */
static inline bool tina__measure_takes(tina__type *type)
{
    tina__type_record *record = type->record;
    bool takes = record->until == 0;
    record->until = takes ? record->stride - 1 : record->until - 1;
    return takes;
}

/* A handler has returned whose time is taken. */
void tina__measure_handler(tina__shard *shard, tina__type *type, uint64_t start_ns);

/*
 * What a type handled is counted when it has its first turn of the next tick, which
 * has to look at its budget anyhow; of types that don't, in a measured tick, and
 * when the shard has nothing to do. budget and what is counted is the whole of it.
 */
static inline void tina__measure_count(tina__type *type)
{
    uint64_t *dispatches = &type->record->stats.dispatches;
    __atomic_store_n(dispatches, *dispatches + (type->budget_per_tick - type->budget), __ATOMIC_RELAXED);
}

/* The type has its first turn of a tick. Its budget is that of the tick of its last one. */
static inline void tina__measure_begin_tick(tina__shard *shard, tina__type *type)
{
    if (TINA__MEASURE_EVERY == 0)
        return;
    tina__measure_count(type);
    shard->turned[type->id / 64] |= type->ready_bit;
}

/* A measured tick begins. Which is the next one is said here: a fault may keep this one from its end. */
void tina__measure_begin(tina__shard *shard);

/* Everybody has had his turns in a measured tick. */
void tina__measure_end_tick(tina__shard *shard);

/* The shard has nothing to do. Types may have had turns since this was last said, or since a measured tick. */
void tina__measure_count_turned(tina__shard *shard);
static inline void tina__measure_idle(tina__shard *shard)
{
    if (tina__is_any_set(shard->turned, TINA__DOORBELL_WORDS))
        tina__measure_count_turned(shard);
}

/* A message of the pool was linked into a mailbox of a type whose short way is closed. */
void tina__measure_arrival(tina__shard *shard, tina__type *type, uint32_t index);

/* The message that was chosen is handled, or dies with its owner. */
void tina__measure_handled(tina__shard *shard, tina__type *type, uint32_t index);
void tina__measure_dropped(tina__type *type, uint32_t index);

/* Is the short way closed? */
static inline bool tina__measure_is_closed(const tina__type *type) { return type->mailbox_room != type->mailbox_capacity; }

#endif
