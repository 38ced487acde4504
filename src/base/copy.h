/*
 * Copies of few bytes, whose number is known only at run time. The standard's
 * memcpy is a call through a table, which for most payloads takes longer than the
 * copy. The pieces do not overlap: a reader of a field then finds it in one store.
 */
#ifndef TINA__BASE_COPY_H
#define TINA__BASE_COPY_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A payload. The two do not overlap. */
static inline void tina__copy_small(void *to, const void *from, size_t size)
{
    uint8_t *out = to;
    const uint8_t *in = from;
    for (; size >= 16; size -= 16, out += 16, in += 16)
        memcpy(out, in, 16);
    if (size & 8) {
        memcpy(out, in, 8);
        out += 8, in += 8;
    }
    if (size & 4) {
        memcpy(out, in, 4);
        out += 4, in += 4;
    }
    if (size & 2) {
        memcpy(out, in, 2);
        out += 2, in += 2;
    }
    if (size & 1)
        *out = *in;
}

#endif
