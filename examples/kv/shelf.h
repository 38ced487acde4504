/*
 * A stretch of bytes that is given out in pieces, and taken back in the same order: a ring
 * whose pieces are never cut. Pure: places are numbers.
 */
#ifndef KV_SHELF_H
#define KV_SHELF_H

#include <stdbool.h>
#include <stdint.h>

#define SHELF_NONE UINT32_MAX

typedef struct kv_shelf {
    uint32_t size;       /* bytes */
    uint32_t first, end; /* from there to there it is taken, perhaps around its end; both 0: it is empty */
} kv_shelf;

/* Where a piece of so many bytes, not 0, may lie. SHELF_NONE: there is no room for it. */
uint32_t shelf_take(kv_shelf *me, uint32_t size);

/* The oldest piece is not needed any more. */
void shelf_give(kv_shelf *me, uint32_t at, uint32_t size);

#endif
