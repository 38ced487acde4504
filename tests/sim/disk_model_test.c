/*
 * Random operations on a made disk against a naive model: a file is what was last
 * synced, and a list of the writes since. A crash loses all of a shard's, or none, or
 * some, and then what is there is what one choice among them leaves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "disk_rig.h"

#define SEEDS      40
#define STEPS      1500
#define FILE_SIZE  (3 * TINA__DISK_BLOCK_SIZE)
#define WRITE_SIZE 5000
#define WRITES     6 /* unsynced ones of a file: all choices among them are tried */
#define NAMES      7
#define OPENS      5

typedef struct content {
    uint32_t size;
    uint8_t bytes[FILE_SIZE];
} content;

typedef struct model_write {
    uint32_t shard, offset, size;
    bool is_certain;
    uint8_t data[WRITE_SIZE];
} model_write;

typedef struct model_file {
    bool exists;
    int opens;
    content synced;
    model_write writes[WRITES];
    uint32_t write_count;
} model_file;

typedef struct model {
    model_file files[DISK_FILES];
    int names[NAMES]; /* which file, or -1 */
    struct {
        int file; /* or -1 */
        tina__disk_file handle;
    } opens[OPENS];
    tina__prng dice;
    uint32_t crashes, losses, full;
} model;

static disk_rig rig;
static model model_of;
static uint64_t first_seed;

static uint32_t draw(uint32_t below) { return (uint32_t)tina__prng_below(&model_of.dice, below); }

/* ---- What is in a file ------------------------------------------------------------------------ */

static void put(content *into, uint32_t offset, const uint8_t *data, uint32_t size)
{
    memcpy(into->bytes + offset, data, size);
    if (offset + size > into->size)
        into->size = offset + size;
}

/* Without the writes whose bits are set in lost. */
static void fold(const model_file *file, uint32_t lost, content *into)
{
    *into = file->synced;
    for (uint32_t i = 0; i < file->write_count; i++) {
        const model_write *write = &file->writes[i];
        if ((lost & (1u << i)) == 0)
            put(into, write->offset, write->data, write->size);
    }
}

static void settle(model_file *file)
{
    static content now;
    fold(file, 0, &now);
    file->synced = now;
    file->write_count = 0;
}

static void truncate_to(model_file *file, uint32_t size)
{
    settle(file);
    content *now = &file->synced;
    if (size < now->size)
        memset(now->bytes + size, 0, now->size - size);
    now->size = size;
}

static void read_whole(tina__disk_file handle, content *into)
{
    static uint8_t rest[FILE_SIZE + 1];
    int64_t size = disk_get(&rig, handle, 0, rest, sizeof rest);
    assert_in_range(size, 0, FILE_SIZE);
    memset(into, 0, sizeof *into);
    into->size = (uint32_t)size;
    memcpy(into->bytes, rest, into->size);
}

static bool is_same(const content *a, const content *b)
{
    return a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0;
}

static void assert_open_is(uint32_t open, uint32_t lost)
{
    static content expected, found;
    fold(&model_of.files[model_of.opens[open].file], lost, &expected);
    read_whole(model_of.opens[open].handle, &found);
    assert_true(is_same(&expected, &found));
    assert_int_equal(tina__disk_size(rig.disk, model_of.opens[open].handle), expected.size);
}

/* ---- Names --------------------------------------------------------------------------------------- */

static const char *const names[NAMES] = {"a", "b", "c", "dir/a", "dir/b", "dir/deep/a", "/a"};

static bool is_named(int file)
{
    for (uint32_t i = 0; i < NAMES; i++) {
        if (model_of.names[i] == file)
            return true;
    }
    return false;
}

static void drop_if_over(int file)
{
    if (file >= 0 && model_of.files[file].opens == 0 && !is_named(file))
        model_of.files[file].exists = false;
}

static int make_file(void)
{
    for (int i = 0; i < DISK_FILES; i++) {
        model_file *file = &model_of.files[i];
        if (file->exists)
            continue;
        memset(file, 0, sizeof *file);
        file->exists = true;
        return i;
    }
    return -1;
}

static int expect_open(uint32_t name, uint32_t flags, int *file)
{
    *file = model_of.names[name];
    if (*file >= 0 && (flags & TINA_OPEN_EXCLUSIVE) != 0)
        return EEXIST;
    if (*file >= 0) {
        if ((flags & TINA_OPEN_TRUNCATE) != 0)
            truncate_to(&model_of.files[*file], 0);
        return 0;
    }
    if ((flags & TINA_OPEN_CREATE) == 0)
        return ENOENT;
    *file = make_file();
    model_of.names[name] = *file;
    return *file >= 0 ? 0 : ENOSPC;
}

static void step_open(void)
{
    static const uint32_t choices[] = {0, TINA_OPEN_CREATE, TINA_OPEN_CREATE | TINA_OPEN_EXCLUSIVE,
                                       TINA_OPEN_CREATE | TINA_OPEN_TRUNCATE};
    uint32_t open = draw(OPENS);
    uint32_t name = draw(NAMES);
    uint32_t flags = DISK_WRITE | choices[draw(4)];
    int file;
    if (model_of.opens[open].file >= 0)
        return;
    int expected = expect_open(name, flags, &file);
    assert_int_equal(disk_try(&rig, names[name], flags, &model_of.opens[open].handle), expected);
    if (expected != 0)
        return;
    model_of.opens[open].file = file;
    model_of.files[file].opens++;
}

static void close_open(uint32_t open)
{
    int file = model_of.opens[open].file;
    if (file < 0)
        return;
    disk_close(&rig, model_of.opens[open].handle);
    model_of.opens[open].file = -1;
    model_of.files[file].opens--;
    drop_if_over(file);
}

static void step_unlink(void)
{
    uint32_t name = draw(NAMES);
    int file = model_of.names[name];
    assert_int_equal(tina__disk_unlink(rig.disk, names[name]), file >= 0 ? 0 : ENOENT);
    disk_look(&rig);
    model_of.names[name] = -1;
    drop_if_over(file);
}

static void step_rename(void)
{
    uint32_t from = draw(NAMES);
    uint32_t to = draw(NAMES);
    int moved = model_of.names[from];
    int replaced = model_of.names[to];
    assert_int_equal(tina__disk_rename(rig.disk, names[from], names[to]), moved >= 0 ? 0 : ENOENT);
    disk_look(&rig);
    if (moved < 0 || from == to)
        return;
    model_of.names[from] = -1;
    model_of.names[to] = moved;
    drop_if_over(replaced);
}

/* ---- Writing --------------------------------------------------------------------------------------- */

static uint32_t draw_open(void)
{
    for (uint32_t tries = 0; tries < 2 * OPENS; tries++) {
        uint32_t open = draw(OPENS);
        if (model_of.opens[open].file >= 0)
            return open;
    }
    return TINA__NONE;
}

static void step_write(void)
{
    uint32_t open = draw_open();
    if (open == TINA__NONE)
        return;
    model_file *file = &model_of.files[model_of.opens[open].file];
    if (file->write_count == WRITES) {
        disk_sync(&rig, model_of.opens[open].handle);
        settle(file);
    }
    model_write *write = &file->writes[file->write_count];
    uint32_t most = draw(2) == 0 ? 100 : WRITE_SIZE;
    *write = (model_write){.shard = draw(DISK_SHARDS)};
    write->size = 1 + draw(most);
    write->offset = draw(FILE_SIZE - write->size + 1);
    for (uint32_t i = 0; i < write->size; i++)
        write->data[i] = (uint8_t)(1 + draw(255));
    int64_t done = disk_put(&rig, write->shard, model_of.opens[open].handle, write->offset, write->data, write->size);
    if (done < (int64_t)write->size) {
        assert_int_equal(disk_ledger(&rig).blocks, DISK_BLOCKS);
        assert_true(done > 0 || done == -ENOSPC);
        model_of.full++;
    }
    write->size = done > 0 ? (uint32_t)done : 0;
    file->write_count += done > 0;
}

static void step_sync(void)
{
    uint32_t open = draw_open();
    if (open == TINA__NONE)
        return;
    disk_sync(&rig, model_of.opens[open].handle);
    settle(&model_of.files[model_of.opens[open].file]);
}

static void step_truncate(void)
{
    uint32_t open = draw_open();
    uint32_t size = draw(FILE_SIZE + 1);
    if (open == TINA__NONE)
        return;
    assert_int_equal(disk_truncate(&rig, model_of.opens[open].handle, size), 0);
    truncate_to(&model_of.files[model_of.opens[open].file], size);
}

static void step_look(void)
{
    uint32_t open = draw_open();
    if (open != TINA__NONE)
        assert_open_is(open, 0);
}

/* ---- Crashes ------------------------------------------------------------------------------------------ */

/* Which of the file's writes a crash of that shard may lose. */
static uint32_t at_stake(const model_file *file, uint32_t shard)
{
    uint32_t bits = 0;
    for (uint32_t i = 0; i < file->write_count; i++) {
        if (file->writes[i].shard == shard && !file->writes[i].is_certain)
            bits |= 1u << i;
    }
    return bits;
}

static void lose(model_file *file, uint32_t lost)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < file->write_count; i++) {
        if ((lost & (1u << i)) == 0)
            file->writes[kept++] = file->writes[i];
    }
    file->write_count = kept;
}

static void be_certain(model_file *file, uint32_t shard)
{
    for (uint32_t i = 0; i < file->write_count; i++)
        file->writes[i].is_certain |= file->writes[i].shard == shard;
}

/* All of the shard's unsynced writes, or none. */
static void crash_plainly(uint32_t shard, bool loses)
{
    rig.faults.rates.disk_lost_write = (tina_ratio){loses, 1};
    disk_crash(&rig, shard);
    for (uint32_t i = 0; i < DISK_FILES; i++) {
        model_file *file = &model_of.files[i];
        uint32_t lost = loses ? at_stake(file, shard) : 0;
        if (!file->exists)
            continue;
        model_of.losses += lost != 0;
        lose(file, lost);
        be_certain(file, shard);
    }
}

/* Some choice of what could be lost explains what is there. Then it is synced: several may, but only until the next crash. */
static void find_choice(model_file *file, tina__disk_file handle, uint32_t shard)
{
    static content found, expected;
    uint32_t stake = at_stake(file, shard);
    read_whole(handle, &found);
    for (uint32_t lost = stake;; lost = (lost - 1) & stake) {
        fold(file, lost, &expected);
        if (is_same(&expected, &found)) {
            lose(file, lost);
            break;
        }
        assert_int_not_equal(lost, 0);
    }
    disk_sync(&rig, handle);
    settle(file);
}

static void crash_by_chance(uint32_t shard)
{
    rig.faults.rates.disk_lost_write = (tina_ratio){1, 2};
    disk_crash(&rig, shard);
    for (uint32_t name = 0; name < NAMES; name++) {
        if (model_of.names[name] < 0)
            continue;
        tina__disk_file handle = disk_open(&rig, names[name], DISK_READ);
        find_choice(&model_of.files[model_of.names[name]], handle, shard);
        disk_close(&rig, handle);
    }
    for (uint32_t open = 0; open < OPENS; open++) {
        if (model_of.opens[open].file >= 0)
            find_choice(&model_of.files[model_of.opens[open].file], model_of.opens[open].handle, shard);
    }
}

static void step_crash(void)
{
    uint32_t shard = draw(DISK_SHARDS);
    model_of.crashes++;
    switch (draw(3)) {
    case 0: crash_plainly(shard, true); break;
    case 1: crash_plainly(shard, false); break;
    default: crash_by_chance(shard); break;
    }
}

/* ---- The run ----------------------------------------------------------------------------------------- */

static void step(void)
{
    uint32_t what = draw(100);
    if (what < 15)
        step_open();
    else if (what < 22)
        close_open(draw(OPENS));
    else if (what < 26)
        step_unlink();
    else if (what < 31)
        step_rename();
    else if (what < 70)
        step_write();
    else if (what < 74)
        step_sync();
    else if (what < 78)
        step_truncate();
    else if (what < 92)
        step_look();
    else
        step_crash();
}

static void run(uint64_t seed)
{
    disk_make(&rig, (tina__disk_config){.seed = seed, .block_count = DISK_BLOCKS, .file_count = DISK_FILES});
    memset(&model_of, 0, sizeof model_of);
    tina__prng_seed(&model_of.dice, seed);
    for (uint32_t i = 0; i < NAMES; i++)
        model_of.names[i] = -1;
    for (uint32_t i = 0; i < OPENS; i++)
        model_of.opens[i].file = -1;
    for (uint32_t i = 0; i < STEPS; i++)
        step();
    assert_int_not_equal(model_of.crashes, 0);
    assert_int_not_equal(model_of.losses, 0);
    for (uint32_t i = 0; i < OPENS; i++)
        close_open(i);
    disk_destroy(&rig);
}

static void disk_does_what_the_model_does(void **state)
{
    (void)state;
    uint32_t full = 0;
    for (uint64_t i = 0; i < SEEDS; i++) {
        run(first_seed + i);
        full += model_of.full;
    }
    assert_int_not_equal(full, 0);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        first_seed = strtoull(argv[1], NULL, 0);
    else if (getrandom(&first_seed, sizeof first_seed, 0) != sizeof first_seed)
        return 1;
    fprintf(stderr, "seed %" PRIu64 "\n", first_seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(disk_does_what_the_model_does),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fprintf(stderr, "to repeat: %s %" PRIu64 "\n", argv[0], first_seed);
    return failed;
}
