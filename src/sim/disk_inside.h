/*
 * The made disk from inside; for its own files alone. Each knows only those above
 * it:
 *
 *   disk_blocks   what lies in files, by blocks
 *   disk_undo     what was written and not synced
 *   disk_names    paths, and the nodes that they name
 *   disk_check    what must hold
 *   disk          the whole: files, sockets' names, faults
 *
 * A block is found by its node and its place in the file through a table of chains;
 * a place without one is a hole. A write is kept, until it is synced, as a record
 * with the bytes that it replaced. Doing it and undoing it are one exchange between
 * record and file; so all records that are undone, newest first, and done again,
 * oldest first, leave everything as it was, and those that are left out in between
 * never were.
 *
 * Invariants: what lies behind a file's end in its last block is zero, and behind
 * that it has no block. Every block that a record was exchanged with is still its
 * node's.
 */
#ifndef TINA__SIM_DISK_INSIDE_H
#define TINA__SIM_DISK_INSIDE_H

#include "base/assert.h"
#include "base/bits.h"
#include "mem/pool.h"
#include "sim/disk.h"

typedef enum tina__disk_kind {
    TINA__DISK_FREE,
    TINA__DISK_REGULAR,
    TINA__DISK_SOCKET,
    TINA__DISK_DIRECTORY, /* all that are open: nothing tells them apart */
} tina__disk_kind;

typedef struct tina__disk_node {
    char path[TINA__DISK_PATH_MAX]; /* "": unlinked, and still open; or directories */
    uint64_t size;
    uint32_t opens;       /* of a socket: 1 while it is bound */
    uint32_t first_block; /* of its own, in no order; NONE: none */
    uint32_t block_count;
    uint32_t unsynced; /* records */
    uint32_t socket;   /* NONE: gone */
    uint32_t link;     /* the pool's */
    uint8_t kind;      /* tina__disk_kind */
} tina__disk_node;

typedef struct tina__disk_block {
    uint32_t node;
    uint32_t number; /* its place in the file */
    uint32_t next_in_chain, next_in_node;
    uint32_t link; /* the pool's */
} tina__disk_block;

typedef enum tina__disk_record_state {
    TINA__DISK_DROPPED, /* durable, lost, or nobody's: its place is free once it is the oldest */
    TINA__DISK_UNSYNCED,
    TINA__DISK_CERTAIN, /* survived a crash: durable, but what was written before it is not */
} tina__disk_record_state;

/* A write. */
typedef struct tina__disk_record {
    uint64_t offset;
    uint64_t size_before; /* of the file */
    uint32_t node;
    uint32_t at, size; /* its bytes among all records' */
    uint8_t shard;
    uint8_t state; /* tina__disk_record_state */
} tina__disk_record;

/* What the disk keeps of a shard: its dice. */
typedef struct tina__disk_shard {
    tina__prng errors, crashes, rot;
} tina__disk_shard;

struct tina__disk {
    tina__disk_config config;
    tina__faults *faults;
    tina__disk_shard *shards;

    tina__disk_node *nodes;
    uint64_t *hashes; /* of the nodes' paths; 0: it has none */
    tina__pool node_pool;
    uint32_t open_count; /* openings of files and directories */

    tina__disk_block *blocks;
    tina__pool block_pool;
    uint32_t *chains; /* by node and place: the first block, from 1; 0: none */
    uint32_t chain_mask;

    tina__disk_record *records; /* a ring, oldest first */
    uint32_t record_first, record_count;
    uint32_t unsynced_count; /* records that are not dropped */
    uint32_t room_at;        /* where the room lies that was asked for last */

    uint8_t *memory; /* a mapping: the blocks' bytes, then the records' */
    size_t memory_size;
    uint8_t *undo; /* the records' */
};

static inline tina__disk_node *tina__disk_node_at(const tina__disk *disk, uint32_t index)
{
    tina__assert(index < disk->node_pool.fresh);
    return &disk->nodes[index];
}

static inline uint8_t *tina__disk_block_data(const tina__disk *disk, uint32_t block)
{
    return disk->memory + (size_t)block * TINA__DISK_BLOCK_SIZE;
}

/* ---- disk_blocks ---- */

/* A stretch of a file within one block. */
typedef struct tina__disk_piece {
    uint8_t *data; /* NULL: a hole */
    uint32_t size;
} tina__disk_piece;

/* What lies at that offset, at most size bytes. */
tina__disk_piece tina__disk_piece_at(const tina__disk *disk, uint32_t node, uint64_t offset, uint64_t size);
/* No holes from offset on, as far as there is room: how many of those bytes. Zero where they were holes. */
uint32_t tina__disk_fill_holes(tina__disk *disk, uint32_t node, uint64_t offset, uint32_t size);
/* What lies behind size is no more; size becomes the file's. */
void tina__disk_cut(tina__disk *disk, uint32_t node, uint64_t size);
uint32_t *tina__disk_chain_of(const tina__disk *disk, uint32_t node, uint32_t number);

/* ---- disk_undo ---- */

static inline tina__disk_record *tina__disk_record_at(const tina__disk *disk, uint32_t number)
{
    uint32_t at = disk->record_first + number;
    return &disk->records[at < disk->config.record_count ? at : at - disk->config.record_count];
}

/* Room for a write's bytes; older ones may become durable for it. It is nobody's before record_add. */
uint8_t *tina__disk_record_room(tina__disk *disk, uint32_t size);
/* The write whose size bytes lie in the room, there where there are no holes: it is done, and known. */
void tina__disk_record_add(tina__disk *disk, uint32_t shard, uint32_t node, uint64_t offset, uint32_t size);
/* All that was written there is durable, or nobody's. */
void tina__disk_records_drop(tina__disk *disk, uint32_t node);

/* ---- disk_names ---- */

/* As it is kept; "" where it is empty. 0, EISDIR (by its end it is a directory's), ENAMETOOLONG, ENOENT (empty). */
int tina__disk_normalize(const char *path, char name[TINA__DISK_PATH_MAX]);
/* NONE: nothing has that name. */
uint32_t tina__disk_find(const tina__disk *disk, const char *name);
/* Nothing has that name: why nothing can be found, or made, there; ENOENT: it could be made. */
int tina__disk_why_not_there(const tina__disk *disk, const char *name);
/* That of all directories. NONE: none is open. */
uint32_t tina__disk_find_directory(const tina__disk *disk);
/* A new one of that name. NONE: there are no more. */
uint32_t tina__disk_node_make(tina__disk *disk, const char *name, uint8_t kind);
void tina__disk_node_name(tina__disk *disk, uint32_t node, const char *name); /* "": it has none */
/* It is gone, if nobody names or opens it any more. */
void tina__disk_node_settle(tina__disk *disk, uint32_t node);
uint64_t tina__disk_hash(const char *name);

#endif
