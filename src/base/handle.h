/*
 * Every packed word and all bit budgets, in one place.
 *
 *   tina_handle     shard:8 | type:8 | slot:20 | generation:28
 *   tina_fd, tina_timer, tina_transfer, and the tokens of operations
 *                   shard:8 | index:24 | generation:32
 *   a call          place:20 | sequence:12
 *
 * A generation is never 0, so that a zeroed word is none. In the hostile twin
 * generations have few bits, so that every run sees them wrap.
 */
#ifndef TINA__BASE_HANDLE_H
#define TINA__BASE_HANDLE_H

#include <stdbool.h>
#include <stdint.h>
#include <tina/types.h>

#define TINA__NONE UINT32_MAX /* no index */

#define TINA__SLOT_BITS     20
#define TINA__INDEX_BITS    24
#define TINA__PLACE_BITS    20
#define TINA__SEQUENCE_BITS 12

#ifdef TINA_HOSTILE
#define TINA__GENERATION_BITS      10
#define TINA__WORD_GENERATION_BITS 10
#define TINA__COUNTER_START        (UINT32_MAX - 5) /* of sequences that wrap: start just below it */
#else
#define TINA__GENERATION_BITS      28
#define TINA__WORD_GENERATION_BITS 32
#define TINA__COUNTER_START        0
#endif

#define TINA__GENERATION_MASK      ((uint32_t)((1ull << TINA__GENERATION_BITS) - 1))
#define TINA__WORD_GENERATION_MASK ((uint32_t)((1ull << TINA__WORD_GENERATION_BITS) - 1))

#define TINA__TYPE_NAMED 255 /* the type of a handle that names a child */

TINA_STATIC_ASSERT(8 + 8 + TINA__SLOT_BITS + 28 == 64, "a handle fills its word");
TINA_STATIC_ASSERT(TINA__PLACE_BITS + TINA__SEQUENCE_BITS == 32, "a call's number fills its word");

/* ---- Isolates ---- */

static inline tina_handle tina__handle_make(uint8_t shard, uint8_t type, uint32_t slot, uint32_t generation)
{
    tina_handle handle = {((uint64_t)shard << 56) | ((uint64_t)type << 48) | ((uint64_t)slot << 28) | generation};
    return handle;
}
static inline tina_handle tina__handle_of_slot(uint64_t base, uint32_t slot, uint32_t generation)
{
    tina_handle handle = {base | ((uint64_t)slot << 28) | generation};
    return handle;
}
static inline uint32_t tina__handle_slot(tina_handle handle) { return (uint32_t)(handle.bits >> 28) & 0xFFFFF; }
static inline uint32_t tina__handle_generation(tina_handle handle) { return (uint32_t)handle.bits & 0xFFFFFFF; }
static inline bool tina__handle_is_named(tina_handle handle) { return tina_handle_type(handle) == TINA__TYPE_NAMED; }

static inline uint32_t tina__generation_next(uint32_t generation)
{
    generation = (generation + 1) & TINA__GENERATION_MASK;
    return generation == 0 ? 1 : generation;
}

/* ---- Descriptors, timers, transfers, operations ---- */

static inline uint64_t tina__word_make(uint8_t shard, uint32_t index, uint32_t generation)
{
    return ((uint64_t)shard << 56) | ((uint64_t)index << 32) | generation;
}
static inline uint8_t tina__word_shard(uint64_t word) { return (uint8_t)(word >> 56); }
static inline uint32_t tina__word_index(uint64_t word) { return (uint32_t)(word >> 32) & 0xFFFFFF; }
static inline uint32_t tina__word_generation(uint64_t word) { return (uint32_t)word; }

static inline uint32_t tina__word_generation_next(uint32_t generation)
{
    return generation >= TINA__WORD_GENERATION_MASK ? 1 : generation + 1;
}

/* ---- Calls: where the answer goes, and which of those that went there ---- */

static inline uint32_t tina__call_make(uint32_t place, uint32_t sequence)
{
    return place << TINA__SEQUENCE_BITS | (sequence & ((1u << TINA__SEQUENCE_BITS) - 1));
}
static inline uint32_t tina__call_place(uint32_t call) { return call >> TINA__SEQUENCE_BITS; }

#endif
