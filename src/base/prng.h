/*
 * Random streams: xoshiro256** by Blackman and Vigna, seeded through splitmix64.
 * One stream has one owner; a stream is a value and may be copied.
 */
#ifndef TINA__BASE_PRNG_H
#define TINA__BASE_PRNG_H

#include <stdbool.h>
#include <stdint.h>

typedef struct tina__prng {
    uint64_t state[4];
} tina__prng;

void tina__prng_seed(tina__prng *prng, uint64_t seed);
uint64_t tina__prng_next(tina__prng *prng);
/* Uniform in 0 .. bound - 1, without bias; bound is not 0. */
uint64_t tina__prng_below(tina__prng *prng, uint64_t bound);
/* True numerator times in denominator, on average. One that never is, or always, takes nothing from the stream. */
bool tina__prng_chance(tina__prng *prng, uint32_t numerator, uint32_t denominator);

/* splitmix64's finalizer: a bijection that spreads every bit over the word. */
static inline uint64_t tina__mix64(uint64_t value)
{
    value += 0x9E3779B97F4A7C15u;
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9u;
    value = (value ^ (value >> 27)) * 0x94D049BB133111EBu;
    return value ^ (value >> 31);
}

#endif
