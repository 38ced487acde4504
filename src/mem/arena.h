/* A stretch of memory that is carved from front to back, once. One thread. */
#ifndef TINA__MEM_ARENA_H
#define TINA__MEM_ARENA_H

#include <stddef.h>
#include <stdint.h>

typedef struct tina__arena {
    uint8_t *base;
    size_t size, used;
} tina__arena;

void tina__arena_init(tina__arena *arena, void *base, size_t size);

/* size bytes, aligned to alignment, a power of two. The plan was summed with the same rule, so it is always there. */
void *tina__arena_carve(tina__arena *arena, size_t size, size_t alignment);

#endif
