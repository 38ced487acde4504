#include "mem/arena.h"

#include "base/assert.h"
#include "base/bits.h"

void tina__arena_init(tina__arena *arena, void *base, size_t size)
{
    arena->base = base;
    arena->size = size;
    arena->used = 0;
}

void *tina__arena_carve(tina__arena *arena, size_t size, size_t alignment)
{
    tina__assert(tina__is_power_of_two(alignment));
    size_t start = tina__align_up(arena->used, alignment);
    tina__assert(start <= arena->size);
    tina__assert(size <= arena->size - start);
    arena->used = start + size;
    return arena->base + start;
}
