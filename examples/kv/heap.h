/*
 * Blocks of any size out of one fixed stretch of memory: in constant time, without a
 * system call, and never more than there is.
 *
 * Free blocks are kept by size in lists, 64 to each power of two; a block that is
 * given back joins its free neighbours. A reference is a number, not a pointer, so that
 * a table of them takes half as much.
 */
#ifndef KV_HEAP_H
#define KV_HEAP_H

#include <stddef.h>
#include <stdint.h>

enum {
    HEAP_UNIT = 16, /* bytes that a reference counts */
    HEAP_RANGES = 27,
    HEAP_STEPS = 64,
    HEAP_OVERHEAD = 8, /* bytes of a block that are the heap's own */
};

typedef uint32_t heap_ref; /* 0: none */

typedef struct kv_heap {
    uint8_t *base;
    uint32_t unit_count; /* of the whole */
    uint32_t used_units;
    uint32_t range_bits;
    uint64_t step_bits[HEAP_RANGES];
    heap_ref first[HEAP_RANGES][HEAP_STEPS];
} kv_heap;

/* memory: 16-byte aligned; at most 64 GiB of it are used. It stays the caller's. What was taken before is gone. */
void heap_begin(kv_heap *heap, void *memory, size_t size);

/* A block of at least size bytes, not cleared; 0: there is none so large. */
heap_ref heap_take(kv_heap *heap, size_t size);

/* ref: as it was taken, not 0. */
void heap_give(kv_heap *heap, heap_ref ref);

/* The bytes of a block, 8-byte aligned, and how many they are. */
static inline void *heap_at(const kv_heap *heap, heap_ref ref)
{
    return heap->base + (size_t)ref * HEAP_UNIT + HEAP_OVERHEAD;
}
static inline heap_ref heap_ref_of(const kv_heap *heap, const void *block)
{
    return (heap_ref)((size_t)((const uint8_t *)block - heap->base) / HEAP_UNIT);
}
size_t heap_room(const kv_heap *heap, heap_ref ref);

/* Bytes that are taken, the heap's own included. */
static inline size_t heap_used(const kv_heap *heap) { return (size_t)heap->used_units * HEAP_UNIT; }

#endif
