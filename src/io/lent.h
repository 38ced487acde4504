/* The buffers that a backend was lent and has not handed on: a stack, since the last that came back is still in the cache. */
#ifndef TINA__IO_LENT_H
#define TINA__IO_LENT_H

#include "base/assert.h"
#include "base/bits.h"
#include "io/backend.h"

typedef struct tina__lent {
    uint8_t *buffers, *annexes;
    uint32_t buffer_size, buffer_count;
    uint32_t *stack;
    uint32_t count;
} tina__lent;

/* stack: room for config->buffer_count indexes. */
static inline tina__lent tina__lent_make(const tina__backend_config *config, uint32_t *stack)
{
    return (tina__lent){
        .buffers = config->buffers,
        .annexes = config->annexes,
        .buffer_size = config->buffer_size,
        .buffer_count = config->buffer_count,
        .stack = stack,
    };
}

static inline void tina__lent_push(tina__lent *lent, uint32_t buffer)
{
    tina__assert(buffer < lent->buffer_count);
    tina__assert(lent->count < lent->buffer_count);
    lent->stack[lent->count++] = buffer;
}

/* The next to be filled; there is one. It stays until it is dropped. */
static inline uint32_t tina__lent_top(const tina__lent *lent)
{
    tina__assert(lent->count != 0);
    return lent->stack[lent->count - 1];
}

static inline void tina__lent_drop(tina__lent *lent) { lent->count--; }

static inline uint8_t *tina__lent_data(const tina__lent *lent, uint32_t buffer)
{
    return lent->buffers + (size_t)buffer * lent->buffer_size;
}

static inline void *tina__lent_annex(const tina__lent *lent, uint32_t buffer)
{
    return lent->annexes + (size_t)buffer * TINA__ANNEX_SIZE;
}

/* How much of a buffer a request wants; 0: all. */
static inline uint32_t tina__lent_wanted(const tina__lent *lent, const tina__io_request *request)
{
    return request->size == 0 ? lent->buffer_size : tina__min_u32(request->size, lent->buffer_size);
}

#endif
