/* What checkers see of the disk. Walks all files, blocks and records. */
#include "sim/disk_inside.h"

void tina__disk_read_ledger(const tina__disk *disk, tina__disk_ledger *ledger)
{
    *ledger = (tina__disk_ledger){
        .files = disk->node_pool.used,
        .opens = disk->open_count,
        .blocks = disk->block_pool.used,
        .unsynced = disk->unsynced_count,
    };
}

typedef struct truth {
    bool holds;
    const char *text;
} truth;

/* The first that does not, or NULL. */
static const char *first_broken(const truth *truths, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!truths[i].holds)
            return truths[i].text;
    }
    return NULL;
}

/* ---- Files ----------------------------------------------------------------------------------- */

static bool is_alive(const tina__disk *disk, uint32_t node)
{
    return node < disk->node_pool.fresh && disk->nodes[node].kind != TINA__DISK_FREE;
}

/* Its blocks are its own, as many as it says, none behind its end. */
static bool are_blocks_sound(const tina__disk *disk, uint32_t index)
{
    const tina__disk_node *node = &disk->nodes[index];
    uint32_t count = 0;
    for (uint32_t at = node->first_block; at != TINA__NONE; at = disk->blocks[at].next_in_node) {
        if (at >= disk->block_pool.fresh || count++ == node->block_count)
            return false;
        const tina__disk_block *block = &disk->blocks[at];
        if (block->node != index || (uint64_t)block->number * TINA__DISK_BLOCK_SIZE >= node->size)
            return false;
    }
    return count == node->block_count;
}

static bool is_zero_behind_the_end(const tina__disk *disk, uint32_t index)
{
    uint64_t size = disk->nodes[index].size;
    if (size % TINA__DISK_BLOCK_SIZE == 0)
        return true;
    tina__disk_piece rest = tina__disk_piece_at(disk, index, size, TINA__DISK_BLOCK_SIZE);
    for (uint32_t i = 0; rest.data != NULL && i < rest.size; i++) {
        if (rest.data[i] != 0)
            return false;
    }
    return true;
}

static const char *check_node(const tina__disk *disk, uint32_t index)
{
    const tina__disk_node *node = &disk->nodes[index];
    bool is_named = node->path[0] != '\0';
    bool is_socket = node->kind == TINA__DISK_SOCKET;
    bool is_bound = node->socket != TINA__NONE;
    bool is_directory = node->kind == TINA__DISK_DIRECTORY;
    uint64_t hash = is_named ? tina__disk_hash(node->path) : 0;
    const truth truths[] = {
        {is_named || node->opens != 0, "a file that nobody names or opens is still there"},
        {disk->hashes[index] == hash, "a name is not what it is looked up by"},
        {!is_named || tina__disk_find(disk, node->path) == index, "two files have one name"},
        {node->size <= TINA__DISK_FILE_MAX, "a file is larger than it may be"},
        {!is_socket || (node->size == 0 && node->opens == is_bound), "a socket's name is no socket's"},
        {is_socket || !is_bound, "a file is somebody's socket"},
        {!is_directory || (!is_named && node->size == 0), "a directory has a name or a size"},
        {are_blocks_sound(disk, index), "a file's blocks are not its own"},
        {is_zero_behind_the_end(disk, index), "something lies behind a file's end"},
    };
    return first_broken(truths, sizeof truths / sizeof truths[0]);
}

/* ---- Unsynced writes ----------------------------------------------------------------------------- */

static bool has_all_blocks(const tina__disk *disk, const tina__disk_record *record)
{
    for (uint64_t done = 0; done < record->size;) {
        tina__disk_piece piece = tina__disk_piece_at(disk, record->node, record->offset + done, record->size - done);
        if (piece.data == NULL)
            return false;
        done += piece.size;
    }
    return true;
}

/* The bytes of one end before those of the next begin, around the ring once. */
static bool is_in_order(const tina__disk *disk, uint32_t number)
{
    const tina__disk_record *record = tina__disk_record_at(disk, number);
    uint64_t end = (uint64_t)record->at + record->size;
    if (end > disk->config.unsynced_size)
        return false;
    if (number + 1 == disk->record_count)
        return true;
    uint32_t head = tina__disk_record_at(disk, 0)->at;
    uint32_t next = tina__disk_record_at(disk, number + 1)->at;
    bool is_wrapped = record->at < head;
    return is_wrapped ? next >= end && next < head : next >= end || next < head;
}

static const char *check_record(const tina__disk *disk, uint32_t number)
{
    const tina__disk_record *record = tina__disk_record_at(disk, number);
    bool is_dropped = record->state == TINA__DISK_DROPPED;
    if (!is_in_order(disk, number))
        return "unsynced writes lie upon each other";
    if (is_dropped)
        return NULL;
    if (!is_alive(disk, record->node) || record->shard >= disk->config.shard_count)
        return "an unsynced write is nobody's";
    const tina__disk_node *node = &disk->nodes[record->node];
    const truth truths[] = {
        {record->size != 0, "an unsynced write is empty"},
        {record->offset + record->size <= node->size, "an unsynced write lies behind its file's end"},
        {record->size_before <= node->size, "an unsynced write has made its file smaller"},
        {has_all_blocks(disk, record), "an unsynced write has lost a block"},
    };
    return first_broken(truths, sizeof truths / sizeof truths[0]);
}

/* NONE: of all. */
static uint32_t count_records(const tina__disk *disk, uint32_t node)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < disk->record_count; i++) {
        const tina__disk_record *record = tina__disk_record_at(disk, i);
        count += record->state != TINA__DISK_DROPPED && (node == TINA__NONE || record->node == node);
    }
    return count;
}

/* ---- All of them together --------------------------------------------------------------------------- */

typedef struct census {
    uint32_t nodes, opens, blocks, unsynced;
} census;

static void count_node(const tina__disk_node *node, census *seen)
{
    seen->nodes++;
    seen->opens += node->kind == TINA__DISK_SOCKET ? 0 : node->opens;
    seen->blocks += node->block_count;
    seen->unsynced += node->unsynced;
}

/* How many blocks can be found. */
static uint32_t count_chained(const tina__disk *disk)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < disk->block_pool.fresh; i++) {
        const tina__disk_block *block = &disk->blocks[i];
        if (block->node == TINA__NONE)
            continue;
        uint32_t place = *tina__disk_chain_of(disk, block->node, block->number);
        for (uint32_t steps = 0; place != 0 && place != i + 1 && steps < disk->block_pool.fresh; steps++)
            place = disk->blocks[place - 1].next_in_chain;
        count += place == i + 1;
    }
    return count;
}

static const char *check_whole(const tina__disk *disk, const census *seen)
{
    const truth truths[] = {
        {tina__pool_is_sound(&disk->node_pool), "the free list of files is not in order"},
        {tina__pool_is_sound(&disk->block_pool), "the free list of blocks is not in order"},
        {disk->node_pool.used == seen->nodes, "files are miscounted"},
        {disk->open_count == seen->opens, "openings of files are miscounted"},
        {disk->block_pool.used == seen->blocks, "blocks in use are not in files"},
        {count_chained(disk) == seen->blocks, "a block can't be found"},
        {disk->unsynced_count == seen->unsynced, "unsynced writes are miscounted"},
        {disk->unsynced_count == count_records(disk, TINA__NONE), "an unsynced write is no file's"},
    };
    return first_broken(truths, sizeof truths / sizeof truths[0]);
}

const char *tina__disk_broken(const tina__disk *disk)
{
    census seen = {0};
    const char *broken = NULL;
    for (uint32_t i = 0; i < disk->record_count && broken == NULL; i++)
        broken = check_record(disk, i);
    for (uint32_t i = 0; i < disk->node_pool.fresh && broken == NULL; i++) {
        if (disk->nodes[i].kind == TINA__DISK_FREE)
            continue;
        count_node(&disk->nodes[i], &seen);
        broken = check_node(disk, i);
        if (broken == NULL && disk->nodes[i].unsynced != 0 && count_records(disk, i) != disk->nodes[i].unsynced)
            broken = "a file's unsynced writes are miscounted";
    }
    return broken != NULL ? broken : check_whole(disk, &seen);
}
