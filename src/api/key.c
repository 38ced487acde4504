#include "base/prng.h"

#include <tina/ctx.h>

/*
 * The key is mixed, so that keys which differ in few bits spread evenly, and the
 * upper half of the mixture scaled down to the shard count: integers alone, hence
 * the same everywhere. Another shard count is another distribution altogether.
 */
uint8_t tina_key_shard(uint64_t key, uint8_t shard_count)
{
    return (uint8_t)(((tina__mix64(key) >> 32) * shard_count) >> 32);
}
