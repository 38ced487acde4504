/*
 * A made disk of three shards, small enough to fill. After every step it is looked at
 * as a whole. Include it after <cmocka.h>.
 */
#ifndef TESTS_SIM_DISK_RIG_H
#define TESTS_SIM_DISK_RIG_H

#include "sim/disk_inside.h"

#include <errno.h>
#include <string.h>

#define DISK_SHARDS 3
#define DISK_BLOCKS 16
#define DISK_FILES  6
#define DISK_READ   TINA_OPEN_READ
#define DISK_WRITE  (TINA_OPEN_READ | TINA_OPEN_WRITE)
#define DISK_CREATE (DISK_WRITE | TINA_OPEN_CREATE)

typedef struct disk_rig {
    tina__disk *disk;
    tina__faults faults;
} disk_rig;

static inline void disk_look(const disk_rig *rig)
{
    const char *broken = tina__disk_broken(rig->disk);
    assert_string_equal(broken == NULL ? "" : broken, "");
}

static inline void disk_make(disk_rig *rig, tina__disk_config config)
{
    memset(rig, 0, sizeof *rig);
    config.shard_count = DISK_SHARDS;
    config.faults = &rig->faults;
    rig->disk = tina__disk_make(&config);
    assert_non_null(rig->disk);
    disk_look(rig);
}

static inline void disk_make_small(disk_rig *rig)
{
    disk_make(rig, (tina__disk_config){.seed = 1, .block_count = DISK_BLOCKS, .file_count = DISK_FILES});
}

static inline void disk_destroy(disk_rig *rig)
{
    disk_look(rig);
    tina__disk_destroy(rig->disk);
}

static inline int disk_try(disk_rig *rig, const char *path, uint32_t flags, tina__disk_file *file)
{
    int error = tina__disk_open(rig->disk, path, flags, file);
    disk_look(rig);
    return error;
}

static inline tina__disk_file disk_open(disk_rig *rig, const char *path, uint32_t flags)
{
    tina__disk_file file;
    assert_int_equal(disk_try(rig, path, flags, &file), 0);
    return file;
}

static inline int disk_refusal(disk_rig *rig, const char *path, uint32_t flags)
{
    tina__disk_file file;
    return disk_try(rig, path, flags, &file);
}

static inline void disk_close(disk_rig *rig, tina__disk_file file)
{
    tina__disk_close(rig->disk, file);
    disk_look(rig);
}

/* How much was written, or less than 0: the errno. */
static inline int64_t disk_put(disk_rig *rig, uint32_t shard, tina__disk_file file, uint64_t offset, const void *data,
                               uint32_t size)
{
    uint32_t done;
    int error = tina__disk_write(rig->disk, shard, file, offset, data, size, &done);
    disk_look(rig);
    return error == 0 ? (int64_t)done : -error;
}

static inline void disk_text(disk_rig *rig, uint32_t shard, tina__disk_file file, uint64_t offset, const char *text)
{
    assert_int_equal(disk_put(rig, shard, file, offset, text, (uint32_t)strlen(text)), (int64_t)strlen(text));
}

static inline int64_t disk_get(disk_rig *rig, tina__disk_file file, uint64_t offset, void *into, uint32_t size)
{
    uint32_t done = 0;
    int error = tina__disk_read(rig->disk, 0, file, offset, into, size, &done);
    disk_look(rig);
    return error == 0 ? (int64_t)done : -error;
}

/* From offset to the file's end, which is at most 64 bytes on. */
static inline void disk_assert_rest(disk_rig *rig, tina__disk_file file, uint64_t offset, const void *data, size_t size)
{
    char rest[64];
    assert_int_equal(disk_get(rig, file, offset, rest, sizeof rest), (int64_t)size);
    assert_memory_equal(rest, data, size);
}

static inline void disk_assert_text(disk_rig *rig, tina__disk_file file, const char *text)
{
    disk_assert_rest(rig, file, 0, text, strlen(text));
}

static inline void disk_sync(disk_rig *rig, tina__disk_file file)
{
    tina__disk_sync(rig->disk, file);
    disk_look(rig);
}

static inline int disk_truncate(disk_rig *rig, tina__disk_file file, uint64_t size)
{
    int error = tina__disk_truncate(rig->disk, file, size);
    disk_look(rig);
    return error;
}

static inline void disk_crash(disk_rig *rig, uint32_t shard)
{
    tina__disk_crash(rig->disk, shard);
    disk_look(rig);
}

static inline tina__disk_ledger disk_ledger(const disk_rig *rig)
{
    tina__disk_ledger ledger;
    tina__disk_read_ledger(rig->disk, &ledger);
    return ledger;
}

#endif
