/*
 * The inbox of a shard: a bounded ring of messages from any thread to one. After
 * Dmitry Vyukov's bounded queue: each slot carries the position that may use it
 * next, so a producer that was interrupted between claim and publish holds back
 * what comes behind it, but nobody who pushes.
 */
#ifndef TINA__MEM_MPSC_H
#define TINA__MEM_MPSC_H

#include "base/bits.h"
#include "base/handle.h"

#include <stdatomic.h>
#include <stdbool.h>

typedef struct tina__mpsc_slot {
    tina_message message; /* first: 128-byte aligned */
    _Atomic uint64_t sequence;
    char line[128 - sizeof(uint64_t)];
} tina__mpsc_slot;
TINA_STATIC_ASSERT(sizeof(tina__mpsc_slot) == 256, "messages stay aligned");

typedef struct tina__mpsc {
    tina__mpsc_slot *slots;
    uint32_t capacity; /* exactly that many fit */
    char line0[TINA__CACHE_LINE - sizeof(tina__mpsc_slot *) - sizeof(uint32_t)];
    _Atomic uint64_t tail; /* the producers' */
    char line1[TINA__CACHE_LINE - sizeof(uint64_t)];
    uint64_t head; /* the consumer's */
    char line2[TINA__CACHE_LINE - sizeof(uint64_t)];
} tina__mpsc;

/* slots: capacity of them, 128-byte aligned. capacity is not 0. Before any thread uses it. */
void tina__mpsc_init(tina__mpsc *queue, tina__mpsc_slot *slots, uint32_t capacity);

/* Copies the header and message->size bytes of payload. False: full. Any thread. */
bool tina__mpsc_push(tina__mpsc *queue, const tina_message *message);

/* The consumer's: the next message, or NULL; then done with it, once for each. */
tina_message *tina__mpsc_peek(tina__mpsc *queue);
void tina__mpsc_take(tina__mpsc *queue);

#endif
