/* What a crash leaves on the made disk, and what else goes wrong there: each kind alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "disk_rig.h"

static disk_rig rig;

static const tina_ratio always = {1, 1};
static const tina_ratio half = {1, 2};
static const tina_ratio never = {0, 1};

static void assert_counts(tina_fault_counts expected)
{
    assert_memory_equal(&rig.faults.counts, &expected, sizeof expected);
}

/* ---- Lost and kept ---------------------------------------------------------------------------- */

static void crash_without_a_rate_keeps_everything(void **state)
{
    (void)state;
    disk_make_small(&rig);
    tina__disk_file file = disk_open(&rig, "x", DISK_CREATE);
    disk_text(&rig, 0, file, 0, "abc");
    disk_text(&rig, 0, file, 1, "xyz");
    disk_crash(&rig, 0);
    disk_assert_text(&rig, file, "axyz");
    rig.faults.rates.disk_lost_write = always;
    disk_crash(&rig, 0); /* it has survived one: it is on the disk */
    disk_assert_text(&rig, file, "axyz");
    assert_counts((tina_fault_counts){0});
    assert_int_equal(disk_ledger(&rig).unsynced, 0);
    disk_close(&rig, file);
    disk_destroy(&rig);
}

static void lost_write_never_was(void **state)
{
    (void)state;
    disk_make_small(&rig);
    tina__disk_file file = disk_open(&rig, "x", DISK_CREATE);
    disk_text(&rig, 0, file, 0, "synced");
    disk_sync(&rig, file);
    disk_text(&rig, 0, file, 3, "lost");
    disk_text(&rig, 0, file, TINA__DISK_BLOCK_SIZE, "lost");
    assert_int_equal(disk_ledger(&rig).blocks, 2);
    rig.faults.rates.disk_lost_write = always;
    disk_crash(&rig, 0);
    disk_assert_text(&rig, file, "synced");
    assert_int_equal(disk_ledger(&rig).blocks, 1);
    assert_counts((tina_fault_counts){.disk_lost_write = 2});
    disk_close(&rig, file);
    disk_destroy(&rig);
}

static void synced_write_is_always_kept(void **state)
{
    (void)state;
    disk_make_small(&rig);
    rig.faults.rates.disk_lost_write = always;
    tina__disk_file file = disk_open(&rig, "x", DISK_CREATE);
    tina__disk_file direct = disk_open(&rig, "x", DISK_WRITE | TINA_OPEN_DIRECT_SYNC);
    disk_text(&rig, 0, file, 0, "abc");
    disk_sync(&rig, direct); /* by whichever opening */
    disk_crash(&rig, 0);
    disk_assert_text(&rig, file, "abc");
    disk_text(&rig, 0, direct, 3, "def");
    disk_crash(&rig, 0);
    disk_assert_text(&rig, file, "abcdef");
    assert_int_equal(disk_truncate(&rig, file, 5), 0);
    disk_crash(&rig, 0);
    disk_assert_text(&rig, file, "abcde");
    assert_counts((tina_fault_counts){0});
    disk_close(&rig, file);
    disk_close(&rig, direct);
    disk_destroy(&rig);
}

static void sync_of_one_file_is_none_of_another(void **state)
{
    (void)state;
    disk_make_small(&rig);
    tina__disk_file synced = disk_open(&rig, "x", DISK_CREATE);
    tina__disk_file lost = disk_open(&rig, "y", DISK_CREATE);
    disk_text(&rig, 0, lost, 0, "1");
    disk_text(&rig, 0, synced, 0, "2");
    disk_text(&rig, 0, lost, 1, "3");
    disk_sync(&rig, synced);
    assert_int_equal(disk_ledger(&rig).unsynced, 2);
    rig.faults.rates.disk_lost_write = always;
    disk_crash(&rig, 0);
    disk_assert_text(&rig, synced, "2");
    disk_assert_text(&rig, lost, "");
    disk_close(&rig, synced);
    disk_close(&rig, lost);
    disk_destroy(&rig);
}

static void crash_of_one_shard_leaves_what_others_wrote(void **state)
{
    (void)state;
    disk_make_small(&rig);
    tina__disk_file file = disk_open(&rig, "x", DISK_CREATE);
    disk_text(&rig, 0, file, 0, "aaaaaa");
    disk_text(&rig, 1, file, 2, "bbbbbb");
    disk_text(&rig, 0, file, 4, "cccccc");
    rig.faults.rates.disk_lost_write = always;
    disk_crash(&rig, 2);
    disk_assert_text(&rig, file, "aabbcccccc");
    disk_crash(&rig, 0);
    disk_assert_rest(&rig, file, 0, "\0\0bbbbbb", 8);
    rig.faults.rates.disk_lost_write = never;
    disk_text(&rig, 0, file, 3, "d");
    disk_crash(&rig, 0); /* which is certain now, behind one that is not */
    rig.faults.rates.disk_lost_write = always;
    disk_crash(&rig, 1);
    disk_assert_rest(&rig, file, 0, "\0\0\0d", 4);
    assert_int_equal(disk_ledger(&rig).unsynced, 0);
    disk_close(&rig, file);
    disk_destroy(&rig);
}

static void append_behind_a_lost_one_leaves_a_hole(void **state)
{
    (void)state;
    disk_make_small(&rig);
    uint32_t holes = 0;
    tina__disk_file file = disk_open(&rig, "x", DISK_CREATE | TINA_OPEN_APPEND);
    rig.faults.rates.disk_lost_write = half;
    for (int i = 0; i < 64; i++) {
        char text[6];
        disk_text(&rig, 0, file, 0, "one");
        disk_text(&rig, 0, file, 0, "two");
        disk_crash(&rig, 0);
        if (disk_get(&rig, file, 0, text, sizeof text) == 6 && text[0] == '\0') {
            assert_memory_equal(text, "\0\0\0two", 6);
            holes++;
        }
        assert_int_equal(disk_truncate(&rig, file, 0), 0);
    }
    assert_in_range(holes, 6, 32);
    disk_close(&rig, file);
    disk_destroy(&rig);
}

static void file_that_replaces_another_may_be_empty_after_a_crash(void **state)
{
    (void)state;
    disk_make_small(&rig);
    rig.faults.rates.disk_lost_write = always;
    tina__disk_file file = disk_open(&rig, "new", DISK_CREATE);
    disk_text(&rig, 0, file, 0, "not synced");
    assert_int_equal(tina__disk_rename(rig.disk, "new", "old"), 0);
    disk_crash(&rig, 0);
    disk_close(&rig, file);
    file = disk_open(&rig, "old", DISK_READ);
    disk_assert_text(&rig, file, "");
    disk_close(&rig, file);
    disk_destroy(&rig);
}

/* ---- Torn ---------------------------------------------------------------------------------------- */

#define SECTOR TINA__DISK_SECTOR_SIZE

static void torn_write_ends_at_a_sector(void **state)
{
    (void)state;
    disk_make_small(&rig);
    rig.faults.rates.disk_torn_write = always;
    tina__disk_file file = disk_open(&rig, "x", DISK_CREATE);
    static uint8_t data[4 * SECTOR], read[8 * SECTOR];
    memset(data, 'n', sizeof data);
    uint32_t seen = 0;
    for (int i = 0; i < 64; i++) {
        assert_int_equal(disk_put(&rig, 0, file, 100, data, sizeof data), sizeof data);
        disk_crash(&rig, 0);
        uint64_t size = tina__disk_size(rig.disk, file);
        assert_int_equal(size % SECTOR, 0);
        assert_in_range(size / SECTOR, 1, 4);
        assert_int_equal(disk_get(&rig, file, 100, read, sizeof read), size - 100);
        assert_memory_equal(read, data, size - 100);
        seen |= 1u << size / SECTOR;
        assert_int_equal(disk_truncate(&rig, file, 0), 0);
    }
    assert_int_equal(seen, 0x1E); /* each boundary that there is */
    assert_counts((tina_fault_counts){.disk_torn_write = 64});
    disk_close(&rig, file);
    disk_destroy(&rig);
}

static void torn_write_leaves_what_was_there_behind_it(void **state)
{
    (void)state;
    disk_make_small(&rig);
    static uint8_t data[2 * SECTOR], read[2 * SECTOR];
    tina__disk_file file = disk_open(&rig, "x", DISK_CREATE);
    memset(data, 'o', sizeof data);
    assert_int_equal(disk_put(&rig, 0, file, 0, data, sizeof data), sizeof data);
    disk_sync(&rig, file);
    memset(data, 'n', sizeof data);
    assert_int_equal(disk_put(&rig, 0, file, 0, data, sizeof data), sizeof data);
    rig.faults.rates.disk_torn_write = always;
    disk_crash(&rig, 0);
    assert_int_equal(disk_get(&rig, file, 0, read, sizeof read), sizeof read);
    assert_memory_equal(read, data, SECTOR);
    assert_int_equal(read[SECTOR], 'o');
    assert_int_equal(read[2 * SECTOR - 1], 'o');
    disk_close(&rig, file);
    disk_destroy(&rig);
}

static void write_within_a_sector_cannot_be_torn(void **state)
{
    (void)state;
    disk_make_small(&rig);
    static const uint8_t data[SECTOR] = {1};
    rig.faults.rates.disk_torn_write = always;
    tina__disk_file file = disk_open(&rig, "x", DISK_CREATE);
    assert_int_equal(disk_put(&rig, 0, file, SECTOR, data, SECTOR), SECTOR);
    disk_crash(&rig, 0);
    assert_int_equal(tina__disk_size(rig.disk, file), 2 * SECTOR);
    assert_counts((tina_fault_counts){0});
    disk_close(&rig, file);
    disk_destroy(&rig);
}

/* ---- Room to remember ------------------------------------------------------------------------------ */

static void oldest_write_is_durable_where_records_run_out(void **state)
{
    (void)state;
    disk_make(&rig, (tina__disk_config){.block_count = DISK_BLOCKS, .file_count = DISK_FILES, .record_count = 3});
    rig.faults.rates.disk_lost_write = always;
    tina__disk_file file = disk_open(&rig, "x", DISK_CREATE | TINA_OPEN_APPEND);
    disk_text(&rig, 0, file, 0, "1");
    disk_text(&rig, 0, file, 0, "2");
    disk_text(&rig, 0, file, 0, "3");
    disk_text(&rig, 0, file, 0, "4");
    disk_text(&rig, 0, file, 0, "5");
    assert_int_equal(disk_ledger(&rig).unsynced, 3);
    disk_crash(&rig, 0);
    disk_assert_text(&rig, file, "12");
    disk_close(&rig, file);
    disk_destroy(&rig);
}

static void oldest_write_is_durable_where_its_bytes_run_out(void **state)
{
    (void)state;
    disk_make(&rig, (tina__disk_config){.block_count = DISK_BLOCKS, .file_count = DISK_FILES, .unsynced_size = 10});
    rig.faults.rates.disk_lost_write = always;
    tina__disk_file file = disk_open(&rig, "x", DISK_CREATE | TINA_OPEN_APPEND);
    assert_int_equal(disk_put(&rig, 0, file, 0, "more than ten bytes", 19), 10); /* as much as can be remembered */
    disk_text(&rig, 0, file, 0, "1234");
    disk_text(&rig, 0, file, 0, "567");
    disk_text(&rig, 0, file, 0, "89");
    assert_int_equal(disk_ledger(&rig).unsynced, 3);
    disk_text(&rig, 0, file, 0, "abc"); /* not behind the last, but where the oldest lay */
    assert_int_equal(disk_ledger(&rig).unsynced, 3);
    disk_crash(&rig, 0);
    disk_assert_text(&rig, file, "more than 1234");
    disk_close(&rig, file);
    disk_destroy(&rig);
}

/* ---- Rot and errors --------------------------------------------------------------------------------- */

static uint32_t count_bits(const uint8_t *a, const uint8_t *b, size_t size)
{
    uint32_t count = 0;
    for (size_t i = 0; i < size; i++) {
        for (uint32_t bits = (uint32_t)(a[i] ^ b[i]); bits != 0; bits >>= 1)
            count += bits & 1;
    }
    return count;
}

static void rot_changes_one_bit_for_good(void **state)
{
    (void)state;
    disk_make_small(&rig);
    uint8_t text[] = "what was written once", read[sizeof text], again[sizeof text];
    tina__disk_file file = disk_open(&rig, "x", DISK_CREATE);
    assert_int_equal(disk_put(&rig, 0, file, 0, text, sizeof text), sizeof text);
    disk_sync(&rig, file);
    rig.faults.rates.disk_bit_rot = always;
    assert_int_equal(disk_get(&rig, file, 0, read, sizeof read), sizeof read);
    assert_int_equal(count_bits(read, text, sizeof text), 1);
    assert_counts((tina_fault_counts){.disk_bit_rot = 1});
    rig.faults.rates.disk_bit_rot = never;
    assert_int_equal(disk_get(&rig, file, 0, again, sizeof again), sizeof again);
    assert_memory_equal(again, read, sizeof read);
    disk_close(&rig, file);
    disk_destroy(&rig);
}

static void hole_and_end_do_not_rot(void **state)
{
    (void)state;
    disk_make_small(&rig);
    tina__disk_file file = disk_open(&rig, "x", DISK_CREATE);
    assert_int_equal(disk_truncate(&rig, file, 4), 0);
    rig.faults.rates.disk_bit_rot = always;
    disk_assert_rest(&rig, file, 0, "\0\0\0\0", 4);
    disk_assert_rest(&rig, file, 4, "", 0);
    assert_counts((tina_fault_counts){0});
    disk_close(&rig, file);
    disk_destroy(&rig);
}

static void strike_is_an_error_or_a_full_disk(void **state)
{
    (void)state;
    disk_make_small(&rig);
    assert_int_equal(tina__disk_strike(rig.disk, 0, true), 0);
    rig.faults.rates.disk_error = always;
    uint32_t full = 0;
    for (int i = 0; i < 64; i++) {
        assert_int_equal(tina__disk_strike(rig.disk, 0, false), EIO);
        int error = tina__disk_strike(rig.disk, 0, true);
        assert_true(error == EIO || error == ENOSPC);
        full += error == ENOSPC;
    }
    assert_in_range(full, 16, 48);
    assert_counts((tina_fault_counts){.disk_error = 128});
    disk_destroy(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crash_without_a_rate_keeps_everything),
        cmocka_unit_test(lost_write_never_was),
        cmocka_unit_test(synced_write_is_always_kept),
        cmocka_unit_test(sync_of_one_file_is_none_of_another),
        cmocka_unit_test(crash_of_one_shard_leaves_what_others_wrote),
        cmocka_unit_test(append_behind_a_lost_one_leaves_a_hole),
        cmocka_unit_test(file_that_replaces_another_may_be_empty_after_a_crash),
        cmocka_unit_test(torn_write_ends_at_a_sector),
        cmocka_unit_test(torn_write_leaves_what_was_there_behind_it),
        cmocka_unit_test(write_within_a_sector_cannot_be_torn),
        cmocka_unit_test(oldest_write_is_durable_where_records_run_out),
        cmocka_unit_test(oldest_write_is_durable_where_its_bytes_run_out),
        cmocka_unit_test(rot_changes_one_bit_for_good),
        cmocka_unit_test(hole_and_end_do_not_rot),
        cmocka_unit_test(strike_is_an_error_or_a_full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
