#include "sim/disk_inside.h"

#include <string.h>

#define EXCHANGE_SIZE 512 /* bytes at a time */

/* ---- A write, forth and back ----------------------------------------------------------- */

static void exchange(uint8_t *a, uint8_t *b, uint32_t size)
{
    uint8_t kept[EXCHANGE_SIZE];
    for (uint32_t done = 0; done < size; done += EXCHANGE_SIZE) {
        uint32_t part = tina__min_u32(size - done, EXCHANGE_SIZE);
        memcpy(kept, a + done, part);
        memcpy(a + done, b + done, part);
        memcpy(b + done, kept, part);
    }
}

static void exchange_bytes(tina__disk *disk, const tina__disk_record *record)
{
    for (uint32_t done = 0; done < record->size;) {
        tina__disk_piece piece = tina__disk_piece_at(disk, record->node, record->offset + done, record->size - done);
        tina__assert(piece.data != NULL);
        exchange(piece.data, disk->undo + record->at + done, piece.size);
        done += piece.size;
    }
}

static void apply(tina__disk *disk, tina__disk_record *record)
{
    tina__disk_node *node = tina__disk_node_at(disk, record->node);
    record->size_before = node->size;
    exchange_bytes(disk, record);
    node->size = tina__max_u64(node->size, record->offset + record->size);
}

static void revert(tina__disk *disk, const tina__disk_record *record)
{
    tina__disk_node *node = tina__disk_node_at(disk, record->node);
    exchange_bytes(disk, record);
    node->size = record->size_before;
}

/* ---- The ring -------------------------------------------------------------------------- */

static void drop(tina__disk *disk, tina__disk_record *record)
{
    tina__disk_node *node = tina__disk_node_at(disk, record->node);
    tina__assert(record->state != TINA__DISK_DROPPED);
    tina__assert(node->unsynced != 0);
    record->state = TINA__DISK_DROPPED;
    node->unsynced--;
    disk->unsynced_count--;
}

/* The oldest go as long as nobody needs them; what a crash has made certain needs nobody once it is the oldest. */
static void free_oldest(tina__disk *disk)
{
    while (disk->record_count != 0) {
        tina__disk_record *oldest = tina__disk_record_at(disk, 0);
        if (oldest->state == TINA__DISK_UNSYNCED)
            return;
        if (oldest->state == TINA__DISK_CERTAIN)
            drop(disk, oldest);
        disk->record_first = disk->record_first + 1 == disk->config.record_count ? 0 : disk->record_first + 1;
        disk->record_count--;
    }
}

/* Where size bytes in one piece are nobody's; NONE: nowhere. */
static uint32_t find_room(const tina__disk *disk, uint32_t size)
{
    if (disk->record_count == 0)
        return 0;
    const tina__disk_record *newest = tina__disk_record_at(disk, disk->record_count - 1);
    uint32_t head = tina__disk_record_at(disk, 0)->at;
    uint32_t next = newest->at + newest->size;
    bool is_wrapped = next <= head;
    if (is_wrapped)
        return head - next >= size ? next : TINA__NONE;
    if (disk->config.unsynced_size - next >= size)
        return next;
    return head >= size ? 0 : TINA__NONE;
}

uint8_t *tina__disk_record_room(tina__disk *disk, uint32_t size)
{
    tina__assert(size <= disk->config.unsynced_size);
    for (;;) {
        disk->room_at = disk->record_count == disk->config.record_count ? TINA__NONE : find_room(disk, size);
        if (disk->room_at != TINA__NONE)
            return disk->undo + disk->room_at;
        drop(disk, tina__disk_record_at(disk, 0));
        free_oldest(disk);
    }
}

void tina__disk_record_add(tina__disk *disk, uint32_t shard, uint32_t node, uint64_t offset, uint32_t size)
{
    tina__assert(size != 0);
    tina__assert(disk->record_count < disk->config.record_count);
    tina__disk_record *record = tina__disk_record_at(disk, disk->record_count++);
    *record = (tina__disk_record){
        .offset = offset,
        .node = node,
        .at = disk->room_at,
        .size = size,
        .shard = (uint8_t)shard,
        .state = TINA__DISK_UNSYNCED,
    };
    tina__disk_node_at(disk, node)->unsynced++;
    disk->unsynced_count++;
    apply(disk, record);
}

void tina__disk_records_drop(tina__disk *disk, uint32_t node)
{
    uint32_t left = tina__disk_node_at(disk, node)->unsynced;
    for (uint32_t i = 0; i < disk->record_count && left != 0; i++) {
        tina__disk_record *record = tina__disk_record_at(disk, i);
        if (record->state == TINA__DISK_DROPPED || record->node != node)
            continue;
        drop(disk, record);
        left--;
    }
    free_oldest(disk);
}

/* ---- A crash ------------------------------------------------------------------------------ */

static bool strikes(tina__disk *disk, uint32_t shard, tina_ratio rate)
{
    return tina__fault_strikes(&disk->shards[shard].crashes, rate);
}

/* To one of the sectors' boundaries within it. False: there is none. */
static bool tear(tina__disk *disk, tina__disk_record *record)
{
    uint64_t first = record->offset / TINA__DISK_SECTOR_SIZE + 1;
    uint64_t last = (record->offset + record->size - 1) / TINA__DISK_SECTOR_SIZE;
    if (first > last)
        return false;
    uint64_t boundary = first + tina__prng_below(&disk->shards[record->shard].crashes, last - first + 1);
    record->size = (uint32_t)(boundary * TINA__DISK_SECTOR_SIZE - record->offset);
    return true;
}

/* What becomes of a write that was undone. */
static void decide(tina__disk *disk, tina__disk_record *record)
{
    const tina_faults *rates = &disk->faults->rates;
    if (strikes(disk, record->shard, rates->disk_lost_write)) {
        disk->faults->counts.disk_lost_write++;
        drop(disk, record);
        return;
    }
    if (strikes(disk, record->shard, rates->disk_torn_write) && tear(disk, record))
        disk->faults->counts.disk_torn_write++;
    record->state = TINA__DISK_CERTAIN;
}

static bool has_unsynced(const tina__disk *disk, uint32_t shard)
{
    for (uint32_t i = 0; i < disk->record_count; i++) {
        const tina__disk_record *record = tina__disk_record_at(disk, i);
        if (record->state == TINA__DISK_UNSYNCED && record->shard == shard)
            return true;
    }
    return false;
}

static void revert_all(tina__disk *disk)
{
    for (uint32_t i = disk->record_count; i-- > 0;) {
        const tina__disk_record *record = tina__disk_record_at(disk, i);
        if (record->state != TINA__DISK_DROPPED)
            revert(disk, record);
    }
}

static void apply_survivors(tina__disk *disk, uint32_t shard)
{
    for (uint32_t i = 0; i < disk->record_count; i++) {
        tina__disk_record *record = tina__disk_record_at(disk, i);
        if (record->state == TINA__DISK_UNSYNCED && record->shard == shard)
            decide(disk, record);
        if (record->state != TINA__DISK_DROPPED)
            apply(disk, record);
    }
}

/* No file has blocks behind its end, however much shorter it is now. */
static void cut_all(tina__disk *disk)
{
    for (uint32_t i = 0; i < disk->node_pool.fresh; i++) {
        if (disk->nodes[i].kind == TINA__DISK_REGULAR)
            tina__disk_cut(disk, i, disk->nodes[i].size);
    }
}

void tina__disk_crash(tina__disk *disk, uint32_t shard)
{
    if (!has_unsynced(disk, shard))
        return;
    revert_all(disk);
    apply_survivors(disk, shard);
    cut_all(disk);
    free_oldest(disk);
}
