#include "sim/streams.h"

void tina__stream_open(tina__prng *prng, uint64_t seed, tina__stream concern, uint32_t index)
{
    uint64_t branch = tina__mix64(seed) ^ tina__mix64((uint64_t)concern << 32 | index);
    tina__prng_seed(prng, branch);
}
