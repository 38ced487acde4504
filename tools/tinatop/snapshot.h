/*
 * One reading of a statistics page. It is copied out of the file, not mapped: a page
 * that is cut off while it is read is a short read, not a fault. What it holds is not
 * trusted: whoever may write the file could have written anything.
 */
#ifndef TINA_TINATOP_SNAPSHOT_H
#define TINA_TINATOP_SNAPSHOT_H

#include "base/page.h"

#include <stdbool.h>

typedef enum snapshot_state {
    SNAPSHOT_LIVE,    /* somebody writes it */
    SNAPSHOT_LEFT,    /* whoever did is gone: these are the last numbers */
    SNAPSHOT_MISSING, /* there is no such file */
    SNAPSHOT_REFUSED, /* it is none, or none of this version */
} snapshot_state;

typedef struct page_snapshot {
    tina__page page;
    tina_stats *shards;     /* page.shard_count */
    tina_type_stats *types; /* page.shard_count times page.type_count */
    void *memory;           /* both; for free */
    char trouble[192];      /* MISSING, REFUSED: in words */
} page_snapshot;

/* Reads the page at path. What it fills in, snapshot_free frees; nothing but trouble where it is MISSING or REFUSED. */
snapshot_state snapshot_read(page_snapshot *snapshot, const char *path);
/* The same of bytes that somebody has read: SNAPSHOT_LIVE or SNAPSHOT_REFUSED. */
snapshot_state snapshot_take(page_snapshot *snapshot, const void *bytes, size_t size);
void snapshot_free(page_snapshot *snapshot);

/* May the one be counted on from the other: the same system, later? */
bool snapshot_follows(const page_snapshot *later, const page_snapshot *earlier);

#endif
