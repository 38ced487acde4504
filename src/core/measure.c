#include "core/measure.h"

#include "core/stats.h"

#define CHOICE_MIN 4   /* the chosen message is one of so many at least: what comes regularly is not always the first */
#define CHOICE_MAX 128 /* at most: until it comes, all take the long way */
#define TIMED_MAX  16  /* handler calls of a type in a tick, about */
#define GIVE_UP_NS 10000000000ull /* a message that waits longer counts with what it has waited, and another is chosen */

/* The seed of the chances, which are apart from the users': the same in each run. */
#define SEED 0x74696e61u

void tina__measure_init(tina__shard *shard)
{
    tina__prng_seed(&shard->measure_chances, SEED + shard->id);
    shard->measure_ticks_left = 1;
    for (uint32_t i = 0; i < shard->p.type_count; i++) {
        tina__type *type = &shard->p.types[i];
        type->record = &shard->p.type_records[i];
        type->record->wait = (tina__wait){.index = TINA__NONE};
        type->record->stride = 1;
        type->record->until = 0;
        type->mailbox_room = type->mailbox_capacity;
        type->budget = type->budget_per_tick;
    }
}

uint64_t tina__measure_now(const tina__shard *shard)
{
    return shard->shared->clock_ns != NULL ? shard->shared->clock_ns() : shard->now_ns;
}

static void store(uint64_t *word, uint64_t value) { __atomic_store_n(word, value, __ATOMIC_RELAXED); }

/* times: how many it stands for. */
static void add(tina_histogram *histogram, uint64_t ns, uint32_t times)
{
    uint32_t bucket = tina__min_u32(tina__highest_bit(ns | 1), TINA_HISTOGRAM_BUCKETS - 1);
    store(&histogram->count, histogram->count + times);
    store(&histogram->sum_ns, histogram->sum_ns + ns * times);
    store(&histogram->buckets[bucket], histogram->buckets[bucket] + times);
}

/* What two readings of the clock say that lay between them; on another core's it may be a little less than nothing. */
static uint64_t between(uint64_t start_ns, uint64_t end_ns) { return end_ns > start_ns ? end_ns - start_ns : 0; }

void tina__measure_handler(tina__shard *shard, tina__type *type, uint64_t start_ns)
{
    tina__type_record *record = type->record;
    add(&record->stats.handler_ns, between(start_ns, tina__measure_now(shard)), record->stride);
}

/* ---- Waits ---------------------------------------------------------------------------------- */

void tina__measure_arrival(tina__shard *shard, tina__type *type, uint32_t index)
{
    tina__wait *wait = &type->record->wait;
    tina__assert(wait->index == TINA__NONE);
    if (wait->skip != 0) {
        wait->skip--;
        return;
    }
    shard->p.mail[index].flags |= TINA__MESSAGE_TIMED;
    wait->index = index;
    wait->since_ns = tina__measure_now(shard);
    type->mailbox_room = type->mailbox_capacity;
}

void tina__measure_handled(tina__shard *shard, tina__type *type, uint32_t index)
{
    tina__wait *wait = &type->record->wait;
    if (wait->index != index)
        return; /* it was given up */
    add(&type->record->stats.wait_ns, between(wait->since_ns, tina__measure_now(shard)), 1);
    wait->index = TINA__NONE;
}

void tina__measure_dropped(tina__type *type, uint32_t index)
{
    if (type->record->wait.index == index)
        type->record->wait.index = TINA__NONE;
}

/* One of the next messages, unless one is waited for. */
static void choose(tina__shard *shard, tina__type *type, uint32_t handled)
{
    tina__wait *wait = &type->record->wait;
    uint64_t now_ns = tina__measure_now(shard);
    if (wait->index != TINA__NONE && between(wait->since_ns, now_ns) >= GIVE_UP_NS)
        tina__measure_handled(shard, type, wait->index);
    if (wait->index != TINA__NONE || tina__measure_is_closed(type))
        return;
    uint32_t among = tina__max_u32(CHOICE_MIN, tina__min_u32(handled, CHOICE_MAX));
    wait->skip = (uint32_t)tina__prng_below(&shard->measure_chances, among);
    type->mailbox_room = 0;
}

/* For the next measured tick, as if that were like this one; what a value stands for is right in any case. */
static void set_stride(tina__shard *shard, tina__type_record *record, uint32_t handled)
{
    uint32_t stride = tina__max_u32(1, handled / TIMED_MAX);
    if (record->stride == stride)
        return;
    record->stride = stride;
    record->until = (uint32_t)tina__prng_below(&shard->measure_chances, stride);
}

/* ---- The tick's end ----------------------------------------------------------------------------- */

static void end_type(tina__shard *shard, tina__type *type, bool is_measured)
{
    uint32_t handled = type->budget_per_tick - type->budget;
    tina__measure_count(type);
    type->budget = type->budget_per_tick;
    if (!is_measured || handled == 0)
        return;
    set_stride(shard, type->record, handled);
    choose(shard, type, handled);
}

static void end_types(tina__shard *shard, bool is_measured)
{
    for (uint32_t word = 0; word * 64 < shard->p.type_count; word++) {
        for (uint64_t bits = shard->turned[word]; bits != 0; bits &= bits - 1)
            end_type(shard, &shard->p.types[word * 64 + tina__lowest_bit(bits)], is_measured);
        shard->turned[word] = 0;
    }
}

void tina__measure_end_tick(tina__shard *shard) { end_types(shard, true); }

void tina__measure_begin(tina__shard *shard)
{
    uint32_t by_chance = (uint32_t)tina__prng_below(&shard->measure_chances, TINA__MEASURE_EVERY);
    shard->measure_ticks_left = TINA__MEASURE_EVERY / 2 + by_chance;
}

void tina__measure_count_turned(tina__shard *shard) { end_types(shard, false); }
