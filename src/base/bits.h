/* Bit arithmetic on words. Pure functions, any thread. */
#ifndef TINA__BASE_BITS_H
#define TINA__BASE_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TINA__CACHE_LINE                          64
#define TINA__CONTAINER_OF(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

static inline uint32_t tina__lowest_bit(uint64_t word) { return (uint32_t)__builtin_ctzll(word); }        /* word is not 0 */
static inline uint32_t tina__highest_bit(uint64_t word) { return 63u - (uint32_t)__builtin_clzll(word); } /* word is not 0 */

static inline bool tina__is_power_of_two(uint64_t value) { return value != 0 && (value & (value - 1)) == 0; }

/* The smallest power of two that is not below value; value is at most 2^31. */
static inline uint32_t tina__power_of_two_up(uint32_t value)
{
    return value <= 1 ? 1 : 1u << (tina__highest_bit(value - 1) + 1);
}

/* alignment is a power of two. */
static inline size_t tina__align_up(size_t value, size_t alignment) { return (value + alignment - 1) & ~(alignment - 1); }

static inline uint32_t tina__min_u32(uint32_t a, uint32_t b) { return a < b ? a : b; }
static inline uint32_t tina__max_u32(uint32_t a, uint32_t b) { return a > b ? a : b; }
static inline uint64_t tina__min_u64(uint64_t a, uint64_t b) { return a < b ? a : b; }
static inline uint64_t tina__max_u64(uint64_t a, uint64_t b) { return a > b ? a : b; }

/* a + b, or the largest value where that does not fit. */
static inline uint64_t tina__add_saturating(uint64_t a, uint64_t b) { return a > UINT64_MAX - b ? UINT64_MAX : a + b; }

#endif
