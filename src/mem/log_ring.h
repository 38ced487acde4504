/*
 * A ring of log lines of varying length, from one thread (a shard) to another
 * (the helper). A line that does not fit is dropped by the writer, who counts it.
 * Neither side waits for the other.
 */
#ifndef TINA__MEM_LOG_RING_H
#define TINA__MEM_LOG_RING_H

#include "base/bits.h"

#include <stdatomic.h>
#include <stdbool.h>

typedef struct tina__log_ring {
    uint8_t *bytes;
    uint32_t size; /* a power of two, at least 1024 */
    char line0[TINA__CACHE_LINE - sizeof(uint8_t *) - sizeof(uint32_t)];
    _Atomic uint64_t tail; /* the writer's */
    char line1[TINA__CACHE_LINE - sizeof(uint64_t)];
    _Atomic uint64_t head; /* the reader's */
    char line2[TINA__CACHE_LINE - sizeof(uint64_t)];
} tina__log_ring;

void tina__log_ring_init(tina__log_ring *ring, uint8_t *bytes, uint32_t size);

/* False: there is no room for length bytes and their header. length is at most size / 2. */
bool tina__log_ring_write(tina__log_ring *ring, uint8_t level, const char *line, uint32_t length);

/* Copies the next line, at most size bytes of it, and takes it off. False: there is none. */
bool tina__log_ring_read(tina__log_ring *ring, uint8_t *level, char *line, uint32_t size, uint32_t *length);

#endif
