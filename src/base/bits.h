/* Bit arithmetic on words. Pure functions, any thread. */
#ifndef TINA__BASE_BITS_H
#define TINA__BASE_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define TINA__CACHE_LINE                          64
#define TINA__CONTAINER_OF(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/* What the compiler is to lay the code out for. */
#define tina__likely(condition)   __builtin_expect(!!(condition), 1)
#define tina__unlikely(condition) __builtin_expect(!!(condition), 0)

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

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "fields are packed into words as little-endian machines have them");

/* Fields that lie side by side, each half or quarter of a word, written in one store. The first one's address is a word's. */
static inline void tina__pack_u32x2(void *at, uint32_t a, uint32_t b)
{
    uint64_t word = (uint64_t)b << 32 | a;
    memcpy(at, &word, sizeof word);
}
static inline void tina__pack_u16x4(void *at, uint16_t a, uint16_t b, uint16_t c, uint16_t d)
{
    uint64_t word = (uint64_t)d << 48 | (uint64_t)c << 32 | (uint32_t)b << 16 | a;
    memcpy(at, &word, sizeof word);
}

/* Is a bit set in any of so many words? */
static inline bool tina__is_any_set(const uint64_t *words, size_t count)
{
    uint64_t any = 0;
    for (size_t i = 0; i < count; i++)
        any |= words[i];
    return any != 0;
}

/* a + b, or the largest value where that does not fit. */
static inline uint64_t tina__add_saturating(uint64_t a, uint64_t b) { return a > UINT64_MAX - b ? UINT64_MAX : a + b; }

#endif
