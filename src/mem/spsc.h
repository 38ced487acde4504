/*
 * A channel: a ring of messages from one shard (the producer) to another (the
 * consumer), each on its own thread.
 *
 * The memory belongs to the consumer's shard. The producer writes a message into
 * its slot once; it is seen after the next publish. Positions only grow and wrap
 * with their 32 bits; each has one writer and a line of its own, and the other
 * side keeps a copy that it renews only when the copy no longer suffices.
 *
 * Ordinary messages are refused when capacity messages are in the ring; answers,
 * of which at most answer_capacity are ever under way (the caller's credits),
 * use the places beyond: so they always find room. The ring holds the next power
 * of two of the sum.
 *
 * When the consumer forgets all that it knew, the producer can mark the place from
 * which on messages are meant for its new life: the fence. Positions before it are
 * at most half of the 32 bits away.
 *
 * Invariant: 0 <= tail - head <= capacity + answer_capacity.
 */
#ifndef TINA__MEM_SPSC_H
#define TINA__MEM_SPSC_H

#include "base/assert.h"
#include "base/bits.h"
#include "base/handle.h"

#include <stdatomic.h>
#include <stdbool.h>

typedef struct tina__spsc {
    /* Set once, before either side runs. */
    tina_message *slots;
    uint32_t mask;
    uint32_t capacity;        /* ordinary messages */
    uint32_t answer_capacity; /* answers beyond */
    char line0[TINA__CACHE_LINE - sizeof(tina_message *) - 3 * sizeof(uint32_t)];

    /* The producer's line. */
    _Atomic uint32_t tail;       /* published up to here */
    uint32_t written;            /* written up to here */
    uint32_t head_copy;          /* the consumer's position when it was last needed */
    _Atomic uint32_t fence_life; /* of the consumer's lives: the one that the fence is for */
    uint32_t fence;              /* written before fence_life, and not again before the consumer's next life */
    char line1[TINA__CACHE_LINE - 5 * sizeof(uint32_t)];

    /* The consumer's line. */
    _Atomic uint32_t head; /* consumed up to here */
    uint32_t read;         /* read up to here, not yet given back */
    uint32_t tail_copy;
    char line2[TINA__CACHE_LINE - 3 * sizeof(uint32_t)];
} tina__spsc;
TINA_STATIC_ASSERT(sizeof(tina__spsc) == 3 * TINA__CACHE_LINE, "one line for each side");

/* How many slots a ring for that many messages has. */
static inline uint32_t tina__spsc_slot_count(uint32_t capacity, uint32_t answer_capacity)
{
    return tina__power_of_two_up(capacity + answer_capacity);
}

/* slots: tina__spsc_slot_count messages, 128-byte aligned. Before either side runs. */
void tina__spsc_init(tina__spsc *ring, tina_message *slots, uint32_t capacity, uint32_t answer_capacity);

/* ---- The producer's side ---- */

/* Slots for ordinary messages that are free as far as the producer knows. */
static inline uint32_t tina__spsc_room(const tina__spsc *ring)
{
    uint32_t taken = ring->written - ring->head_copy;
    return taken < ring->capacity ? ring->capacity - taken : 0;
}

/* The next slot to write, or NULL: capacity messages are in the ring. */
static inline tina_message *tina__spsc_claim(tina__spsc *ring)
{
    if (ring->written - ring->head_copy >= ring->capacity) {
        /* acquire, with tina__spsc_release: the consumer has finished with the slots that we write over. */
        ring->head_copy = atomic_load_explicit(&ring->head, memory_order_acquire);
        if (ring->written - ring->head_copy >= ring->capacity)
            return NULL;
    }
    return &ring->slots[ring->written++ & ring->mask];
}

/* The next slot for an answer, which has a place by its credit. */
static inline tina_message *tina__spsc_claim_answer(tina__spsc *ring)
{
    uint32_t room = ring->capacity + ring->answer_capacity;
    if (ring->written - ring->head_copy >= room) {
        ring->head_copy = atomic_load_explicit(&ring->head, memory_order_acquire); /* as above */
        tina__assert(ring->written - ring->head_copy < room);
    }
    return &ring->slots[ring->written++ & ring->mask];
}

static inline uint32_t tina__spsc_unpublished(const tina__spsc *ring)
{
    return ring->written - atomic_load_explicit(&ring->tail, memory_order_relaxed);
}

static inline void tina__spsc_publish(tina__spsc *ring)
{
    /* release, with tina__spsc_peek: the consumer that sees the position sees the messages before it. */
    atomic_store_explicit(&ring->tail, ring->written, memory_order_release);
}

/* The index-th that is written and not published. */
static inline tina_message *tina__spsc_unpublished_at(const tina__spsc *ring, uint32_t index)
{
    return &ring->slots[(atomic_load_explicit(&ring->tail, memory_order_relaxed) + index) & ring->mask];
}

/* What is written and not published never was. */
static inline void tina__spsc_roll_back(tina__spsc *ring)
{
    ring->written = atomic_load_explicit(&ring->tail, memory_order_relaxed);
}

/* Publishes; what is written from now on is meant for that life of the consumer's. */
static inline void tina__spsc_fence(tina__spsc *ring, uint32_t life)
{
    if (atomic_load_explicit(&ring->fence_life, memory_order_relaxed) == life)
        return;               /* the consumer may be reading it */
    tina__spsc_publish(ring); /* so that no roll-back can bring the position back before the fence */
    ring->fence = ring->written;
    /* release, with tina__spsc_is_past_fence: who sees the life sees its fence. */
    atomic_store_explicit(&ring->fence_life, life, memory_order_release);
}

/* ---- The consumer's side ---- */

/* The next message that has not been taken, or NULL: none is published. Valid until the release after its take. */
static inline tina_message *tina__spsc_peek(tina__spsc *ring)
{
    if (ring->read == ring->tail_copy) {
        ring->tail_copy = atomic_load_explicit(&ring->tail, memory_order_acquire); /* with tina__spsc_publish */
        if (ring->read == ring->tail_copy)
            return NULL;
    }
    return &ring->slots[ring->read & ring->mask];
}

/*
 * Takes it. The store leaves the slot's line with this side alone: the producer gets
 * it faster so than a line that both have read (a stream of messages gains half).
 */
static inline void tina__spsc_take(tina__spsc *ring) { ring->slots[ring->read++ & ring->mask].reserved = 0; }

/* Gives back all that was taken. */
static inline void tina__spsc_release(tina__spsc *ring)
{
    /* release, with tina__spsc_claim: our reads of the slots come before the producer's next writes. */
    atomic_store_explicit(&ring->head, ring->read, memory_order_release);
}

/*
 * The producer knows of that life of ours, and the next message to take, if there
 * is one, was written since. Asked after the peek: a message behind the fence is
 * published after the fence is.
 */
static inline bool tina__spsc_is_past_fence(const tina__spsc *ring, uint32_t life)
{
    if (atomic_load_explicit(&ring->fence_life, memory_order_acquire) != life) /* with tina__spsc_fence */
        return false;
    return (int32_t)(ring->read - ring->fence) >= 0;
}

#endif
