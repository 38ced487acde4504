/*
 * The statistics page: what stands in the file that spec.stats_path names. Written
 * by the system's helper thread, read by tools/tinatop; nobody else is promised
 * anything.
 *
 *     header
 *     shard_count records of tina_stats
 *     shard_count times type_count records of tina_type_stats, shard by shard
 *
 * In the machine's own byte order: a page is read where it is written.
 *
 * Invariant: sequence is odd while the page is being written. What was read between
 * two looks at it that found the same even number is of one moment.
 */
#ifndef TINA__BASE_PAGE_H
#define TINA__BASE_PAGE_H

#include <stddef.h>
#include <stdint.h>
#include <tina/system.h>

#define TINA__PAGE_MAGIC   "tina\x1Bst\n" /* 8 bytes */
#define TINA__PAGE_VERSION 1u             /* of all that stands here: a reader knows one version */

typedef struct tina__page {
    char magic[8];
    uint32_t version;
    uint32_t header_size, shard_size, type_size; /* of one */
    uint32_t shard_count, type_count;
    uint64_t sequence;
    uint64_t writer;      /* the process */
    uint64_t interval_ns; /* how often it is written */
    uint64_t started_ns;  /* when the system was, on the monotonic clock */
    uint64_t written_ns;  /* when this was; 0: no shard has run yet */
    char library[16];     /* tina_version() */
} tina__page;
TINA_STATIC_ASSERT(sizeof(tina__page) == 88, "the header has no gaps");

static inline size_t tina__page_shard_at(size_t shard) { return sizeof(tina__page) + shard * sizeof(tina_stats); }

static inline size_t tina__page_type_at(size_t shard_count, size_t type_count, size_t shard, size_t type)
{
    return tina__page_shard_at(shard_count) + (shard * type_count + type) * sizeof(tina_type_stats);
}

static inline size_t tina__page_size(size_t shard_count, size_t type_count)
{
    return tina__page_type_at(shard_count, type_count, shard_count, 0);
}

#endif
