#include "mem/mpsc.h"

#include "base/assert.h"

#include <string.h>

/*
 * A slot's sequence is twice the position that may write it, and one more once
 * that position is written. (With position and position + 1, as it is usually
 * done, the two could not be told apart in a ring of one.)
 */
static uint64_t sequence_free(uint64_t position) { return 2 * position; }

static uint64_t sequence_written(uint64_t position) { return 2 * position + 1; }

static tina__mpsc_slot *slot_at(tina__mpsc *queue, uint64_t position) { return &queue->slots[position % queue->capacity]; }

void tina__mpsc_init(tina__mpsc *queue, tina__mpsc_slot *slots, uint32_t capacity)
{
    tina__assert(capacity != 0);
    queue->slots = slots;
    queue->capacity = capacity;
    queue->head = 0;
    atomic_init(&queue->tail, 0);
    for (uint32_t position = 0; position < capacity; position++)
        atomic_init(&slots[position].sequence, sequence_free(position));
}

static void copy_message(tina_message *to, const tina_message *from)
{
    tina__assert(from->size <= TINA_PAYLOAD_MAX);
    memcpy(to, from, offsetof(tina_message, payload) + from->size);
}

bool tina__mpsc_push(tina__mpsc *queue, const tina_message *message)
{
    uint64_t position = atomic_load_explicit(&queue->tail, memory_order_relaxed);
    for (;;) {
        tina__mpsc_slot *slot = slot_at(queue, position);
        /* acquire, with tina__mpsc_take: the consumer has finished with what we write over. */
        uint64_t sequence = atomic_load_explicit(&slot->sequence, memory_order_acquire);
        if (sequence < sequence_free(position))
            return false; /* still in use by the position one round before */
        if (sequence > sequence_free(position)) {
            position = atomic_load_explicit(&queue->tail, memory_order_relaxed); /* another took it */
            continue;
        }
        /* relaxed: the tail only hands out positions; what is in a slot is published by its sequence. */
        if (!atomic_compare_exchange_weak_explicit(&queue->tail, &position, position + 1, memory_order_relaxed,
                                                   memory_order_relaxed))
            continue;
        copy_message(&slot->message, message);
        /* release, with tina__mpsc_peek: the consumer that sees the sequence sees the message. */
        atomic_store_explicit(&slot->sequence, sequence_written(position), memory_order_release);
        return true;
    }
}

tina_message *tina__mpsc_peek(tina__mpsc *queue)
{
    tina__mpsc_slot *slot = slot_at(queue, queue->head);
    /* acquire, with tina__mpsc_push. */
    uint64_t sequence = atomic_load_explicit(&slot->sequence, memory_order_acquire);
    return sequence == sequence_written(queue->head) ? &slot->message : NULL;
}

void tina__mpsc_take(tina__mpsc *queue)
{
    tina__mpsc_slot *slot = slot_at(queue, queue->head);
    tina__assert(atomic_load_explicit(&slot->sequence, memory_order_relaxed) == sequence_written(queue->head));
    /* release, with tina__mpsc_push: our reads of the message come before the next producer's writes. */
    atomic_store_explicit(&slot->sequence, sequence_free(queue->head + queue->capacity), memory_order_release);
    queue->head++;
}
