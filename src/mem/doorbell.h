/*
 * How a shard is told that there is something for it, awake or asleep.
 *
 * One word line per shard: a bit for each producer (shards 0..253, the control
 * word, the inbox) and whether the shard sleeps. Any thread rings; the shard
 * alone announces, looks and takes.
 *
 *   producer                              shard
 *   1. publishes (release)                1. sleeping := 1        (seq_cst)
 *   2. sets its bit      (seq_cst RMW)    2. looks at the bits    (seq_cst)
 *   3. reads sleeping    (seq_cst)        3. none: sleeps in the kernel on wake_fd
 *   4. was 1: sets it to 0 and wakes      4. sleeping := 0
 *
 * Why no wake-up is lost: steps 2 and 3 of the producer and 1 and 2 of the shard
 * are a store and then a load of the other's word, all sequentially consistent.
 * In their single order either the producer's bit comes before the shard's look,
 * and the shard stays awake; or the shard's announcement comes before the
 * producer's read, and the producer wakes it. An eventfd keeps its count, so a
 * wake that comes before the sleep ends the sleep at once. Whoever sets sleeping
 * to 0 is the only one to wake: one system call for one sleep.
 */
#ifndef TINA__MEM_DOORBELL_H
#define TINA__MEM_DOORBELL_H

#include "base/bits.h"

#include <stdatomic.h>
#include <stdbool.h>

#define TINA__DOORBELL_WORDS   4
#define TINA__DOORBELL_CONTROL 254 /* the bit of the control word: stop */
#define TINA__DOORBELL_INBOX   255 /* the bit of posts from outside */

typedef struct tina__doorbell {
    _Atomic uint64_t words[TINA__DOORBELL_WORDS];
    _Atomic uint32_t is_sleeping;
    int wake_fd;
    char line[TINA__CACHE_LINE - TINA__DOORBELL_WORDS * sizeof(uint64_t) - sizeof(uint32_t) - sizeof(int)];
} tina__doorbell;
_Static_assert(sizeof(tina__doorbell) == TINA__CACHE_LINE, "one line");

/* After publishing. True: the shard sleeps, and it falls to this caller to wake it through wake_fd. Any thread, signal-safe. */
static inline bool tina__doorbell_ring(tina__doorbell *bell, uint32_t bit)
{
    /* seq_cst: see the proof above. It is a release too, with tina__doorbell_take. */
    atomic_fetch_or_explicit(&bell->words[bit / 64], 1ull << (bit % 64), memory_order_seq_cst);
    if (atomic_load_explicit(&bell->is_sleeping, memory_order_seq_cst) == 0)
        return false;
    return atomic_exchange_explicit(&bell->is_sleeping, 0, memory_order_seq_cst) == 1;
}

/* The bits of one word that were rung since the last take. acquire: what was published before the ring is seen. */
static inline uint64_t tina__doorbell_take(tina__doorbell *bell, uint32_t word)
{
    if (atomic_load_explicit(&bell->words[word], memory_order_relaxed) == 0)
        return 0; /* a plain read keeps the line shared while nothing comes; a bit that is missed now is seen next tick */
    return atomic_exchange_explicit(&bell->words[word], 0, memory_order_acquire);
}

/* Was anything rung since the last take? A hint, for who looks again and again. */
static inline bool tina__doorbell_is_rung(const tina__doorbell *bell)
{
    uint64_t rung = 0;
    for (uint32_t word = 0; word < TINA__DOORBELL_WORDS; word++)
        rung |= atomic_load_explicit(&bell->words[word], memory_order_relaxed);
    return rung != 0;
}

/* Announce the sleep and look once more. True: nothing was rung, sleep; false: stay awake. */
static inline bool tina__doorbell_may_sleep(tina__doorbell *bell)
{
    atomic_store_explicit(&bell->is_sleeping, 1, memory_order_seq_cst); /* see the proof above */
    for (uint32_t word = 0; word < TINA__DOORBELL_WORDS; word++) {
        if (atomic_load_explicit(&bell->words[word], memory_order_seq_cst) != 0) {
            atomic_store_explicit(&bell->is_sleeping, 0, memory_order_relaxed);
            return false;
        }
    }
    return true;
}

/* Awake again. A producer that is just now waking us writes wake_fd needlessly; the next sleep ends at once, and that is all. */
static inline void tina__doorbell_awake(tina__doorbell *bell)
{
    atomic_store_explicit(&bell->is_sleeping, 0, memory_order_relaxed);
}

#endif
