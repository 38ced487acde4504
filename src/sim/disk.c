#include "os/os.h"
#include "sim/disk_inside.h"
#include "sim/streams.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_COUNT   16384
#define FILE_COUNT    1024
#define RECORD_COUNT  4096
#define UNSYNCED_SIZE (4u * 1024 * 1024)

/* ---- Making ------------------------------------------------------------------------------- */

static void set_defaults(tina__disk_config *config)
{
    if (config->block_count == 0)
        config->block_count = BLOCK_COUNT;
    if (config->file_count == 0)
        config->file_count = FILE_COUNT;
    if (config->record_count == 0)
        config->record_count = RECORD_COUNT;
    if (config->unsynced_size == 0)
        config->unsynced_size = UNSYNCED_SIZE;
}

/* Far more than is ever touched: a mapping takes memory only for what is. */
static bool map_memory(tina__disk *disk)
{
    int os_error;
    void *base;
    size_t blocks = (size_t)disk->config.block_count * TINA__DISK_BLOCK_SIZE;
    disk->memory_size = tina__align_up(blocks + disk->config.unsynced_size, tina__os_page_size());
    if (tina__os_reserve(disk->memory_size, &base, &os_error) != TINA_OK)
        return false;
    disk->memory = base;
    disk->undo = disk->memory + blocks;
    return tina__os_open_memory(base, disk->memory_size, &os_error) == TINA_OK;
}

/* At least as many chains as blocks. */
static uint32_t chain_count(const tina__disk *disk)
{
    uint32_t count = 1;
    while (count < disk->config.block_count)
        count *= 2;
    return count;
}

static bool allocate(tina__disk *disk)
{
    const tina__disk_config *config = &disk->config;
    disk->shards = calloc(config->shard_count, sizeof *disk->shards);
    disk->nodes = calloc(config->file_count, sizeof *disk->nodes);
    disk->hashes = calloc(config->file_count, sizeof *disk->hashes);
    disk->blocks = calloc(config->block_count, sizeof *disk->blocks);
    disk->chains = calloc(chain_count(disk), sizeof *disk->chains);
    disk->records = calloc(config->record_count, sizeof *disk->records);
    disk->chain_mask = chain_count(disk) - 1;
    return disk->shards != NULL && disk->nodes != NULL && disk->hashes != NULL && disk->blocks != NULL &&
           disk->chains != NULL && disk->records != NULL && map_memory(disk);
}

static void open_streams(tina__disk *disk)
{
    uint64_t seed = disk->config.seed;
    for (uint32_t i = 0; i < disk->config.shard_count; i++) {
        tina__stream_open(&disk->shards[i].errors, seed, TINA__STREAM_DISK_ERROR, i);
        tina__stream_open(&disk->shards[i].crashes, seed, TINA__STREAM_DISK_CRASH, i);
        tina__stream_open(&disk->shards[i].rot, seed, TINA__STREAM_DISK_ROT, i);
    }
}

tina__disk *tina__disk_make(const tina__disk_config *config)
{
    tina__disk *disk = calloc(1, sizeof *disk);
    if (disk == NULL)
        return NULL;
    disk->config = *config;
    set_defaults(&disk->config);
    disk->faults = config->faults;
    tina__assert(disk->config.unsynced_size <= 1u << 30);
    if (!allocate(disk)) {
        tina__disk_destroy(disk);
        return NULL;
    }
    tina__pool_init(&disk->node_pool, disk->nodes, sizeof *disk->nodes, offsetof(tina__disk_node, link),
                    disk->config.file_count, 0);
    tina__pool_init(&disk->block_pool, disk->blocks, sizeof *disk->blocks, offsetof(tina__disk_block, link),
                    disk->config.block_count, 0);
    open_streams(disk);
    return disk;
}

void tina__disk_destroy(tina__disk *disk)
{
    if (disk == NULL)
        return;
    if (disk->memory != NULL)
        tina__os_release(disk->memory, disk->memory_size);
    free(disk->records);
    free(disk->chains);
    free(disk->blocks);
    free(disk->hashes);
    free(disk->nodes);
    free(disk->shards);
    free(disk);
}

/* ---- Opening ------------------------------------------------------------------------------- */

/* 0: *node has that name. ENOENT: nothing has, *node is NONE, and it could be made. EISDIR: a directory has. */
static int look_up(const tina__disk *disk, const char *path, char name[TINA__DISK_PATH_MAX], uint32_t *node)
{
    int form = tina__disk_normalize(path, name);
    *node = TINA__NONE;
    if (form != 0 && form != EISDIR)
        return form;
    uint32_t found = tina__disk_find(disk, name);
    if (found == TINA__NONE) {
        int why = tina__disk_why_not_there(disk, name);
        return why == ENOENT && form == EISDIR ? EISDIR : why;
    }
    if (form == EISDIR)
        return ENOTDIR;
    *node = found;
    return 0;
}

static int create(tina__disk *disk, const char *name, uint8_t kind, uint32_t *node)
{
    if (name[0] == '\0')
        return ENOENT;
    *node = tina__disk_node_make(disk, name, kind);
    return *node == TINA__NONE ? ENOSPC : 0;
}

static int open_existing(tina__disk *disk, uint32_t node, uint32_t flags)
{
    if ((flags & TINA_OPEN_EXCLUSIVE) != 0)
        return EEXIST;
    if (tina__disk_node_at(disk, node)->kind == TINA__DISK_SOCKET)
        return ENXIO;
    if ((flags & TINA_OPEN_TRUNCATE) != 0) {
        tina__disk_records_drop(disk, node);
        tina__disk_cut(disk, node, 0);
    }
    return 0;
}

static int open_directory(tina__disk *disk, uint32_t flags, uint32_t *node)
{
    if ((flags & TINA_OPEN_EXCLUSIVE) != 0)
        return EEXIST;
    if ((flags & (TINA_OPEN_WRITE | TINA_OPEN_CREATE | TINA_OPEN_TRUNCATE)) != 0)
        return EISDIR;
    *node = tina__disk_find_directory(disk);
    if (*node == TINA__NONE)
        *node = tina__disk_node_make(disk, "", TINA__DISK_DIRECTORY);
    return *node == TINA__NONE ? ENFILE : 0;
}

int tina__disk_open(tina__disk *disk, const char *path, uint32_t flags, tina__disk_file *file)
{
    char name[TINA__DISK_PATH_MAX];
    uint32_t node;
    int error = look_up(disk, path, name, &node);
    if (error == 0)
        error = open_existing(disk, node, flags);
    else if (error == ENOENT && (flags & TINA_OPEN_CREATE) != 0)
        error = create(disk, name, TINA__DISK_REGULAR, &node);
    else if (error == EISDIR)
        error = open_directory(disk, flags, &node);
    if (error != 0)
        return error;
    tina__disk_node_at(disk, node)->opens++;
    disk->open_count++;
    *file = (tina__disk_file){.node = node, .flags = flags};
    return 0;
}

static tina__disk_node *node_of(const tina__disk *disk, tina__disk_file file)
{
    tina__disk_node *node = tina__disk_node_at(disk, file.node);
    tina__assert(node->kind == TINA__DISK_REGULAR || node->kind == TINA__DISK_DIRECTORY);
    tina__assert(node->opens != 0);
    return node;
}

void tina__disk_close(tina__disk *disk, tina__disk_file file)
{
    tina__assert(disk->open_count != 0);
    node_of(disk, file)->opens--;
    disk->open_count--;
    tina__disk_node_settle(disk, file.node);
}

/* ---- Reading --------------------------------------------------------------------------------- */

static bool strikes(tina__prng *stream, tina_ratio rate) { return tina__fault_strikes(stream, rate); }

/* One bit of what is read changes; a hole has none that could. */
static void rot(tina__disk *disk, uint32_t shard, uint32_t node, uint64_t offset, uint32_t size)
{
    tina__prng *stream = &disk->shards[shard].rot;
    if (size == 0 || !strikes(stream, disk->faults->rates.disk_bit_rot))
        return;
    uint64_t bit = tina__prng_below(stream, 8 * (uint64_t)size);
    tina__disk_piece piece = tina__disk_piece_at(disk, node, offset + bit / 8, 1);
    if (piece.data == NULL)
        return;
    disk->faults->counts.disk_bit_rot++;
    *piece.data ^= (uint8_t)(1u << bit % 8);
}

static void copy_out(const tina__disk *disk, uint32_t node, uint64_t offset, uint8_t *into, uint32_t size)
{
    for (uint32_t done = 0; done < size;) {
        tina__disk_piece piece = tina__disk_piece_at(disk, node, offset + done, size - done);
        if (piece.data == NULL)
            memset(into + done, 0, piece.size);
        else
            memcpy(into + done, piece.data, piece.size);
        done += piece.size;
    }
}

int tina__disk_read(tina__disk *disk, uint32_t shard, tina__disk_file file, uint64_t offset, void *into, uint32_t size,
                    uint32_t *done)
{
    const tina__disk_node *node = node_of(disk, file);
    if ((file.flags & TINA_OPEN_READ) == 0)
        return EBADF;
    if (node->kind == TINA__DISK_DIRECTORY)
        return EISDIR;
    uint64_t left = offset < node->size ? node->size - offset : 0;
    size = (uint32_t)tina__min_u64(size, left);
    rot(disk, shard, file.node, offset, size);
    copy_out(disk, file.node, offset, into, size);
    *done = size;
    return 0;
}

uint64_t tina__disk_size(const tina__disk *disk, tina__disk_file file) { return node_of(disk, file)->size; }

bool tina__disk_is_directory(const tina__disk *disk, tina__disk_file file)
{
    return node_of(disk, file)->kind == TINA__DISK_DIRECTORY;
}

/* ---- Writing ---------------------------------------------------------------------------------- */

int tina__disk_write(tina__disk *disk, uint32_t shard, tina__disk_file file, uint64_t offset, const void *data,
                     uint32_t size, uint32_t *done)
{
    const tina__disk_node *node = node_of(disk, file);
    *done = 0;
    if ((file.flags & TINA_OPEN_WRITE) == 0)
        return EBADF;
    if ((file.flags & TINA_OPEN_APPEND) != 0)
        offset = node->size;
    if (size == 0)
        return 0;
    if (offset >= TINA__DISK_FILE_MAX)
        return EFBIG;
    uint32_t most = tina__min_u32(TINA__DISK_WRITE_MAX, disk->config.unsynced_size);
    size = (uint32_t)tina__min_u64(tina__min_u32(size, most), TINA__DISK_FILE_MAX - offset);
    memcpy(tina__disk_record_room(disk, size), data, size);
    size = tina__disk_fill_holes(disk, file.node, offset, size);
    if (size == 0)
        return ENOSPC;
    tina__disk_record_add(disk, shard, file.node, offset, size);
    if ((file.flags & TINA_OPEN_DIRECT_SYNC) != 0)
        tina__disk_sync(disk, file);
    *done = size;
    return 0;
}

void tina__disk_sync(tina__disk *disk, tina__disk_file file)
{
    tina__assert(node_of(disk, file) != NULL);
    tina__disk_records_drop(disk, file.node);
}

int tina__disk_truncate(tina__disk *disk, tina__disk_file file, uint64_t size)
{
    tina__assert(node_of(disk, file) != NULL);
    if ((file.flags & TINA_OPEN_WRITE) == 0)
        return EINVAL;
    if (size > TINA__DISK_FILE_MAX)
        return EFBIG;
    tina__disk_records_drop(disk, file.node);
    tina__disk_cut(disk, file.node, size);
    return 0;
}

/* ---- Names -------------------------------------------------------------------------------------- */

static void take_name_away(tina__disk *disk, uint32_t node)
{
    tina__disk_node_name(disk, node, "");
    tina__disk_node_settle(disk, node);
}

int tina__disk_unlink(tina__disk *disk, const char *path)
{
    char name[TINA__DISK_PATH_MAX];
    uint32_t node;
    int error = look_up(disk, path, name, &node);
    if (error == 0)
        take_name_away(disk, node);
    return error;
}

int tina__disk_rename(tina__disk *disk, const char *from, const char *to)
{
    char name[TINA__DISK_PATH_MAX];
    uint32_t node, replaced;
    int error = look_up(disk, from, name, &node);
    if (error != 0)
        return error;
    error = look_up(disk, to, name, &replaced);
    if (error != 0 && error != ENOENT)
        return error;
    if (name[0] == '\0')
        return ENOENT;
    if (replaced == node)
        return 0;
    if (replaced != TINA__NONE)
        take_name_away(disk, replaced);
    tina__disk_node_name(disk, node, name);
    return 0;
}

/* ---- Unix sockets' names ---------------------------------------------------------------------------- */

int tina__disk_socket_bind(tina__disk *disk, const char *path, uint32_t socket, uint32_t *node)
{
    char name[TINA__DISK_PATH_MAX];
    int error = look_up(disk, path, name, node);
    if (error == 0 || error == EISDIR)
        return EADDRINUSE;
    if (error == ENOENT)
        error = create(disk, name, TINA__DISK_SOCKET, node);
    if (error != 0)
        return error;
    tina__disk_node_at(disk, *node)->opens = 1;
    tina__disk_node_at(disk, *node)->socket = socket;
    return 0;
}

int tina__disk_socket_find(const tina__disk *disk, const char *path, uint32_t *socket)
{
    char name[TINA__DISK_PATH_MAX];
    uint32_t node;
    int error = look_up(disk, path, name, &node);
    if (error != 0)
        return error == EISDIR ? ECONNREFUSED : error;
    *socket = tina__disk_node_at(disk, node)->socket;
    return *socket == TINA__NONE ? ECONNREFUSED : 0;
}

void tina__disk_socket_gone(tina__disk *disk, uint32_t index)
{
    tina__disk_node *node = tina__disk_node_at(disk, index);
    tina__assert(node->kind == TINA__DISK_SOCKET);
    tina__assert(node->opens == 1);
    node->opens = 0;
    node->socket = TINA__NONE;
    tina__disk_node_settle(disk, index);
}

/* ---- Faults ------------------------------------------------------------------------------------------ */

int tina__disk_strike(tina__disk *disk, uint32_t shard, bool may_be_full)
{
    tina__prng *stream = &disk->shards[shard].errors;
    if (!strikes(stream, disk->faults->rates.disk_error))
        return 0;
    disk->faults->counts.disk_error++;
    return may_be_full && tina__prng_below(stream, 2) == 0 ? ENOSPC : EIO;
}
