#include "hash.h"

#include <string.h>

typedef struct hash_state {
    uint64_t a, b, c, d;
} hash_state;

static inline uint64_t rotate(uint64_t word, unsigned bits) { return word << bits | word >> (64 - bits); }

static inline void turn(hash_state *state)
{
    state->a += state->b;
    state->c += state->d;
    state->b = rotate(state->b, 13) ^ state->a;
    state->d = rotate(state->d, 16) ^ state->c;
    state->a = rotate(state->a, 32);
    state->c += state->b;
    state->a += state->d;
    state->b = rotate(state->b, 17) ^ state->c;
    state->d = rotate(state->d, 21) ^ state->a;
    state->c = rotate(state->c, 32);
}

static inline void mix(hash_state *state, uint64_t word)
{
    state->d ^= word;
    turn(state);
    state->a ^= word;
}

static inline uint64_t load_word(const uint8_t *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

static inline uint64_t load_rest(const uint8_t *bytes, size_t size)
{
    uint64_t word = 0;
    for (size_t i = 0; i < size; i++)
        word |= (uint64_t)bytes[i] << (8 * i);
    return word;
}

uint64_t hash_bytes(hash_key key, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    hash_state state = {
        .a = key.low ^ 0x736f6d6570736575u,
        .b = key.high ^ 0x646f72616e646f6du,
        .c = key.low ^ 0x6c7967656e657261u,
        .d = key.high ^ 0x7465646279746573u,
    };
    size_t left = size;
    for (; left >= 8; left -= 8, bytes += 8)
        mix(&state, load_word(bytes));
    mix(&state, load_rest(bytes, left) | (uint64_t)size << 56);
    state.c ^= 0xff;
    for (int i = 0; i < 3; i++)
        turn(&state);
    return state.a ^ state.b ^ state.c ^ state.d;
}
