#include "base/prng.h"

#include "base/assert.h"

static uint64_t rotate_left(uint64_t value, int count) { return (value << count) | (value >> (64 - count)); }

void tina__prng_seed(tina__prng *prng, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        prng->state[i] = tina__mix64(seed);
        seed += 0x9E3779B97F4A7C15u;
    }
}

uint64_t tina__prng_next(tina__prng *prng)
{
    uint64_t *s = prng->state;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

uint64_t tina__prng_below(tina__prng *prng, uint64_t bound)
{
    tina__assert(bound != 0);
    /* Values below 2^64 mod bound would make the first remainders likelier. */
    uint64_t threshold = -bound % bound;
    uint64_t value;
    do
        value = tina__prng_next(prng);
    while (value < threshold);
    return value % bound;
}

bool tina__prng_chance(tina__prng *prng, uint32_t numerator, uint32_t denominator)
{
    if (numerator == 0)
        return false;
    return numerator >= denominator || tina__prng_below(prng, denominator) < numerator;
}
