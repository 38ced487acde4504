/* The made disk where nothing goes wrong: names, files, what refuses and why, and where it is full. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "disk_rig.h"

static disk_rig rig;
static const uint8_t zeros[3 * TINA__DISK_BLOCK_SIZE];

/* ---- Names ---------------------------------------------------------------------------------- */

static void path_is_known_by_its_plain_form(void **state)
{
    (void)state;
    disk_make_small(&rig);
    tina__disk_file file = disk_open(&rig, "/a/b", DISK_CREATE);
    disk_text(&rig, 0, file, 0, "one");
    static const char *const same[] = {"/a//b", "//a/b", "/./a/b", "/a/./b", "/././a/.//b"};
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        tina__disk_file again = disk_open(&rig, same[i], DISK_READ);
        disk_assert_text(&rig, again, "one");
        disk_close(&rig, again);
    }
    assert_int_equal(disk_refusal(&rig, "a/b", DISK_READ), ENOENT);
    assert_int_equal(disk_refusal(&rig, "/a/../a/b", DISK_READ), ENOENT);
    disk_close(&rig, file);
    disk_destroy(&rig);
}

static void open_refuses_as_linux_does(void **state)
{
    (void)state;
    disk_make_small(&rig);
    assert_int_equal(disk_refusal(&rig, "x", DISK_READ), ENOENT);
    assert_int_equal(disk_refusal(&rig, "", DISK_CREATE), ENOENT);
    disk_close(&rig, disk_open(&rig, "dir/x", DISK_CREATE));
    assert_int_equal(disk_refusal(&rig, "dir/x", DISK_CREATE | TINA_OPEN_EXCLUSIVE), EEXIST);
    assert_int_equal(disk_refusal(&rig, "dir", DISK_CREATE | TINA_OPEN_EXCLUSIVE), EEXIST);
    assert_int_equal(disk_refusal(&rig, "dir", DISK_WRITE), EISDIR);
    assert_int_equal(disk_refusal(&rig, "dir", TINA_OPEN_WRITE), EISDIR);
    assert_int_equal(disk_refusal(&rig, "dir", DISK_READ | TINA_OPEN_CREATE), EISDIR);
    assert_int_equal(disk_refusal(&rig, "dir", DISK_READ | TINA_OPEN_TRUNCATE), EISDIR);
    assert_int_equal(disk_refusal(&rig, "dir/", DISK_CREATE), EISDIR);
    assert_int_equal(disk_refusal(&rig, "other/", DISK_CREATE), EISDIR);
    assert_int_equal(disk_refusal(&rig, ".", DISK_WRITE), EISDIR);
    assert_int_equal(disk_refusal(&rig, "dir/x/y", DISK_CREATE), ENOTDIR);
    assert_int_equal(disk_refusal(&rig, "dir/x/y", DISK_READ), ENOTDIR);
    assert_int_equal(disk_refusal(&rig, "dir/x/", DISK_READ), ENOTDIR);
    assert_int_equal(disk_refusal(&rig, "dir/x/.", DISK_WRITE), ENOTDIR);
    assert_int_equal(disk_refusal(&rig, "dir/x/y/", DISK_READ), ENOTDIR);
    disk_close(&rig, disk_open(&rig, "dir/xy", DISK_CREATE | TINA_OPEN_EXCLUSIVE)); /* is not below x */
    assert_int_equal(disk_ledger(&rig).files, 2);
    disk_destroy(&rig);
}

static void directory_opens_for_reading_and_has_no_content(void **state)
{
    (void)state;
    static const char *const paths[] = {"dir", "dir/deep", "dir/", "dir/.", "other/", ".", "./", "/"};
    char read[4];
    disk_make_small(&rig);
    disk_close(&rig, disk_open(&rig, "dir/deep/x", DISK_CREATE));
    tina__disk_file opens[sizeof paths / sizeof paths[0]];
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        opens[i] = disk_open(&rig, paths[i], DISK_READ);
        assert_true(tina__disk_is_directory(rig.disk, opens[i]));
        assert_int_equal(disk_get(&rig, opens[i], 0, read, sizeof read), -EISDIR);
        assert_int_equal(disk_put(&rig, 0, opens[i], 0, "x", 1), -EBADF);
        assert_int_equal(disk_truncate(&rig, opens[i], 0), EINVAL);
        disk_sync(&rig, opens[i]);
    }
    assert_int_equal(disk_ledger(&rig).opens, sizeof paths / sizeof paths[0]);
    disk_crash(&rig, 0);
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        disk_close(&rig, opens[i]);
    assert_int_equal(disk_ledger(&rig).opens, 0);
    assert_int_equal(disk_ledger(&rig).files, 1);
    disk_destroy(&rig);
}

static void directory_of_an_unlinked_file_stays_open(void **state)
{
    (void)state;
    disk_make_small(&rig);
    disk_close(&rig, disk_open(&rig, "dir/x", DISK_CREATE));
    tina__disk_file directory = disk_open(&rig, "dir", DISK_READ);
    assert_int_equal(tina__disk_unlink(rig.disk, "dir/x"), 0);
    disk_sync(&rig, directory);
    assert_int_equal(disk_refusal(&rig, "dir", DISK_READ), ENOENT); /* nothing says any more that it is one */
    disk_close(&rig, disk_open(&rig, "dir/", DISK_READ));
    disk_close(&rig, directory);
    assert_int_equal(disk_ledger(&rig).files, 0);
    disk_destroy(&rig);
}

static void path_has_a_longest(void **state)
{
    (void)state;
    char path[TINA__DISK_PATH_MAX + 1];
    disk_make_small(&rig);
    memset(path, 'p', sizeof path);
    path[TINA__DISK_PATH_MAX] = '\0';
    assert_int_equal(disk_refusal(&rig, path, DISK_CREATE), ENAMETOOLONG);
    path[TINA__DISK_PATH_MAX - 1] = '\0';
    disk_close(&rig, disk_open(&rig, path, DISK_CREATE));
    disk_close(&rig, disk_open(&rig, path, DISK_READ));
    path[100] = '/';
    path[101] = '/'; /* which is one less */
    disk_close(&rig, disk_open(&rig, path, DISK_CREATE));
    disk_destroy(&rig);
}

static void rename_replaces_what_is_there(void **state)
{
    (void)state;
    disk_make_small(&rig);
    tina__disk_file old = disk_open(&rig, "old", DISK_CREATE);
    tina__disk_file new = disk_open(&rig, "new", DISK_CREATE);
    disk_text(&rig, 0, old, 0, "old text");
    disk_text(&rig, 0, new, 0, "new text");
    assert_int_equal(tina__disk_rename(rig.disk, "new", "old"), 0);
    disk_look(&rig);
    disk_assert_text(&rig, old, "old text"); /* it is open */
    assert_int_equal(disk_refusal(&rig, "new", DISK_READ), ENOENT);
    disk_close(&rig, new);
    new = disk_open(&rig, "old", DISK_READ);
    disk_assert_text(&rig, new, "new text");
    assert_int_equal(tina__disk_rename(rig.disk, "old", "./old"), 0);
    disk_assert_text(&rig, new, "new text");
    assert_int_equal(disk_ledger(&rig).files, 2);
    disk_close(&rig, old);
    assert_int_equal(disk_ledger(&rig).files, 1);
    assert_int_equal(disk_ledger(&rig).blocks, 1);
    disk_close(&rig, new);
    disk_destroy(&rig);
}

static void rename_refuses_as_linux_does(void **state)
{
    (void)state;
    disk_make_small(&rig);
    disk_close(&rig, disk_open(&rig, "file", DISK_CREATE));
    disk_close(&rig, disk_open(&rig, "dir/file", DISK_CREATE));
    assert_int_equal(tina__disk_rename(rig.disk, "none", "file"), ENOENT);
    assert_int_equal(tina__disk_rename(rig.disk, "file", ""), ENOENT);
    assert_int_equal(tina__disk_rename(rig.disk, "", "file"), ENOENT);
    assert_int_equal(tina__disk_rename(rig.disk, "file", "dir"), EISDIR);
    assert_int_equal(tina__disk_rename(rig.disk, "dir", "moved"), EISDIR);
    assert_int_equal(tina__disk_rename(rig.disk, "file", "dir/file/x"), ENOTDIR);
    assert_int_equal(tina__disk_rename(rig.disk, "file", "dir/file/"), ENOTDIR);
    assert_int_equal(tina__disk_rename(rig.disk, "file/", "moved"), ENOTDIR);
    disk_close(&rig, disk_open(&rig, "file", DISK_READ));
    disk_close(&rig, disk_open(&rig, "dir/file", DISK_READ));
    disk_destroy(&rig);
}

static void unlinked_file_lives_until_its_last_close(void **state)
{
    (void)state;
    disk_make_small(&rig);
    tina__disk_file first = disk_open(&rig, "x", DISK_CREATE);
    tina__disk_file second = disk_open(&rig, "x", DISK_READ);
    disk_text(&rig, 0, first, 0, "here");
    assert_int_equal(tina__disk_unlink(rig.disk, "x"), 0);
    disk_look(&rig);
    assert_int_equal(tina__disk_unlink(rig.disk, "x"), ENOENT);
    assert_int_equal(tina__disk_unlink(rig.disk, "x/"), EISDIR);
    tina__disk_file other = disk_open(&rig, "x", DISK_CREATE | TINA_OPEN_EXCLUSIVE);
    disk_assert_text(&rig, other, "");
    disk_close(&rig, first);
    disk_assert_text(&rig, second, "here");
    assert_int_equal(disk_ledger(&rig).files, 2);
    disk_close(&rig, second);
    assert_int_equal(disk_ledger(&rig).files, 1);
    assert_int_equal(disk_ledger(&rig).blocks, 0);
    assert_int_equal(disk_ledger(&rig).unsynced, 0);
    disk_close(&rig, other);
    disk_destroy(&rig);
}

/* ---- Contents --------------------------------------------------------------------------------- */

static void file_is_what_was_written_where(void **state)
{
    (void)state;
    disk_make_small(&rig);
    tina__disk_file file = disk_open(&rig, "x", DISK_CREATE);
    disk_text(&rig, 0, file, 0, "hello world");
    disk_text(&rig, 1, file, 6, "there");
    disk_assert_text(&rig, file, "hello there");
    disk_assert_rest(&rig, file, 6, "there", 5);
    disk_assert_rest(&rig, file, 11, "", 0);
    disk_assert_rest(&rig, file, UINT64_MAX, "", 0);
    assert_int_equal(tina__disk_size(rig.disk, file), 11);
    disk_close(&rig, file);
    disk_destroy(&rig);
}

static void hole_reads_as_zeros_and_takes_no_room(void **state)
{
    (void)state;
    disk_make_small(&rig);
    static uint8_t read[sizeof zeros];
    tina__disk_file file = disk_open(&rig, "x", DISK_CREATE);
    uint64_t far = TINA__DISK_FILE_MAX - 4;
    disk_text(&rig, 0, file, far, "end");
    assert_true(tina__disk_size(rig.disk, file) == far + 3);
    assert_int_equal(disk_ledger(&rig).blocks, 1);
    assert_int_equal(disk_get(&rig, file, 5ull << 30, read, sizeof read), sizeof read);
    assert_memory_equal(read, zeros, sizeof read);
    disk_assert_rest(&rig, file, far - 2, "\0\0end", 5);
    disk_close(&rig, file);
    disk_destroy(&rig);
}

static void write_across_blocks_is_whole(void **state)
{
    (void)state;
    disk_make_small(&rig);
    static uint8_t written[2 * TINA__DISK_BLOCK_SIZE + 100], read[sizeof written];
    for (size_t i = 0; i < sizeof written; i++)
        written[i] = (uint8_t)(i % 251);
    tina__disk_file file = disk_open(&rig, "x", DISK_CREATE);
    assert_int_equal(disk_put(&rig, 0, file, 3900, written, sizeof written), sizeof written);
    assert_int_equal(disk_ledger(&rig).blocks, 3);
    assert_int_equal(disk_get(&rig, file, 3900, read, sizeof read), sizeof read);
    assert_memory_equal(read, written, sizeof read);
    disk_close(&rig, file);
    disk_destroy(&rig);
}

static void write_that_appends_goes_to_the_end(void **state)
{
    (void)state;
    disk_make_small(&rig);
    tina__disk_file file = disk_open(&rig, "x", DISK_CREATE);
    tina__disk_file log = disk_open(&rig, "x", TINA_OPEN_WRITE | TINA_OPEN_APPEND);
    disk_text(&rig, 0, file, 0, "one ");
    disk_text(&rig, 0, log, 0, "two ");
    disk_text(&rig, 0, file, 8, "three ");
    disk_text(&rig, 0, log, 1, "four");
    disk_assert_text(&rig, file, "one two three four");
    disk_close(&rig, file);
    disk_close(&rig, log);
    disk_destroy(&rig);
}

static void access_that_was_not_asked_for_is_refused(void **state)
{
    (void)state;
    disk_make_small(&rig);
    char read[4];
    tina__disk_file writer = disk_open(&rig, "x", TINA_OPEN_WRITE | TINA_OPEN_CREATE);
    tina__disk_file reader = disk_open(&rig, "x", DISK_READ);
    assert_int_equal(disk_put(&rig, 0, reader, 0, "x", 1), -EBADF);
    assert_int_equal(disk_get(&rig, writer, 0, read, sizeof read), -EBADF);
    assert_int_equal(disk_truncate(&rig, reader, 0), EINVAL);
    disk_sync(&rig, reader);
    disk_close(&rig, reader);
    disk_close(&rig, writer);
    disk_destroy(&rig);
}

static void truncation_cuts_and_extends(void **state)
{
    (void)state;
    disk_make_small(&rig);
    tina__disk_file file = disk_open(&rig, "x", DISK_CREATE);
    disk_text(&rig, 0, file, 0, "abcdef");
    disk_text(&rig, 0, file, 2 * TINA__DISK_BLOCK_SIZE, "tail");
    assert_int_equal(disk_truncate(&rig, file, 3), 0);
    assert_int_equal(disk_ledger(&rig).blocks, 1);
    disk_assert_text(&rig, file, "abc");
    assert_int_equal(disk_truncate(&rig, file, 6), 0);
    disk_assert_rest(&rig, file, 0, "abc\0\0\0", 6);
    assert_int_equal(disk_truncate(&rig, file, TINA__DISK_FILE_MAX), 0);
    assert_int_equal(disk_truncate(&rig, file, TINA__DISK_FILE_MAX + 1), EFBIG);
    assert_int_equal(disk_ledger(&rig).blocks, 1);
    disk_close(&rig, disk_open(&rig, "x", TINA_OPEN_WRITE | TINA_OPEN_TRUNCATE));
    disk_assert_text(&rig, file, "");
    assert_int_equal(disk_ledger(&rig).blocks, 0);
    disk_close(&rig, file);
    disk_destroy(&rig);
}

/* ---- Limits ------------------------------------------------------------------------------------- */

static void full_disk_takes_what_fits_and_then_nothing(void **state)
{
    (void)state;
    disk_make_small(&rig);
    static uint8_t most[DISK_BLOCKS * TINA__DISK_BLOCK_SIZE];
    tina__disk_file file = disk_open(&rig, "x", DISK_CREATE);
    tina__disk_file other = disk_open(&rig, "y", DISK_CREATE);
    disk_text(&rig, 0, file, 0, "1");
    assert_int_equal(disk_put(&rig, 0, other, 0, most, sizeof most), sizeof most - TINA__DISK_BLOCK_SIZE);
    assert_int_equal(disk_put(&rig, 0, other, sizeof most - TINA__DISK_BLOCK_SIZE, "x", 1), -ENOSPC);
    assert_int_equal(tina__disk_size(rig.disk, other), sizeof most - TINA__DISK_BLOCK_SIZE);
    disk_text(&rig, 0, file, 1, "23"); /* in a block that is there */
    disk_close(&rig, other);
    assert_int_equal(tina__disk_unlink(rig.disk, "y"), 0);
    disk_text(&rig, 0, file, TINA__DISK_BLOCK_SIZE, "more");
    disk_close(&rig, file);
    disk_destroy(&rig);
}

static void files_are_as_many_as_there_are_nodes(void **state)
{
    (void)state;
    disk_make_small(&rig);
    char path[2] = "a";
    for (int i = 0; i < DISK_FILES; i++, path[0]++)
        disk_close(&rig, disk_open(&rig, path, DISK_CREATE));
    assert_int_equal(disk_refusal(&rig, path, DISK_CREATE), ENOSPC);
    assert_int_equal(disk_refusal(&rig, ".", DISK_READ), ENFILE);
    assert_int_equal(tina__disk_unlink(rig.disk, "a"), 0);
    disk_close(&rig, disk_open(&rig, path, DISK_CREATE));
    disk_destroy(&rig);
}

static void one_write_takes_so_much_and_no_more(void **state)
{
    (void)state;
    static uint8_t large[TINA__DISK_WRITE_MAX + 1];
    disk_make(&rig, (tina__disk_config){0});
    tina__disk_file file = disk_open(&rig, "x", DISK_CREATE);
    assert_int_equal(disk_put(&rig, 0, file, 0, large, sizeof large), TINA__DISK_WRITE_MAX);
    assert_int_equal(disk_put(&rig, 0, file, TINA__DISK_FILE_MAX - 2, "abc", 3), 2);
    assert_int_equal(disk_put(&rig, 0, file, TINA__DISK_FILE_MAX, "abc", 3), -EFBIG);
    assert_int_equal(disk_put(&rig, 0, file, UINT64_MAX, "abc", 3), -EFBIG);
    disk_close(&rig, file);
    disk_destroy(&rig);
}

/* ---- Unix sockets' names ---------------------------------------------------------------------------- */

static void socket_is_found_by_its_name(void **state)
{
    (void)state;
    disk_make_small(&rig);
    uint32_t node, other, socket = 0;
    assert_int_equal(tina__disk_socket_bind(rig.disk, "/run//x", 7, &node), 0);
    disk_look(&rig);
    assert_int_equal(tina__disk_socket_find(rig.disk, "/run/x", &socket), 0);
    assert_int_equal(socket, 7);
    assert_int_equal(tina__disk_socket_bind(rig.disk, "/run/x", 8, &other), EADDRINUSE);
    assert_int_equal(tina__disk_socket_bind(rig.disk, "/run", 8, &other), EADDRINUSE);
    assert_int_equal(tina__disk_socket_bind(rig.disk, "/run/x/y", 8, &other), ENOTDIR);
    assert_int_equal(tina__disk_socket_bind(rig.disk, "", 8, &other), ENOENT);
    assert_int_equal(tina__disk_socket_find(rig.disk, "/run/y", &socket), ENOENT);
    assert_int_equal(disk_refusal(&rig, "/run/x", DISK_READ), ENXIO);
    tina__disk_socket_gone(rig.disk, node);
    disk_look(&rig);
    assert_int_equal(tina__disk_socket_find(rig.disk, "/run/x", &socket), ECONNREFUSED);
    assert_int_equal(tina__disk_socket_bind(rig.disk, "/run/x", 8, &other), EADDRINUSE);
    assert_int_equal(tina__disk_unlink(rig.disk, "/run/x"), 0);
    assert_int_equal(disk_ledger(&rig).files, 0);
    disk_destroy(&rig);
}

static void socket_that_was_unlinked_ends_with_its_binder(void **state)
{
    (void)state;
    disk_make_small(&rig);
    uint32_t node, other, socket;
    assert_int_equal(tina__disk_socket_bind(rig.disk, "x", 1, &node), 0);
    assert_int_equal(tina__disk_unlink(rig.disk, "x"), 0);
    disk_look(&rig);
    assert_int_equal(tina__disk_socket_find(rig.disk, "x", &socket), ENOENT);
    assert_int_equal(tina__disk_socket_bind(rig.disk, "x", 2, &other), 0);
    tina__disk_socket_gone(rig.disk, node);
    disk_look(&rig);
    assert_int_equal(tina__disk_socket_find(rig.disk, "x", &socket), 0);
    assert_int_equal(socket, 2);
    disk_close(&rig, disk_open(&rig, "file", DISK_CREATE));
    assert_int_equal(tina__disk_rename(rig.disk, "file", "x"), 0);
    assert_int_equal(tina__disk_socket_find(rig.disk, "x", &socket), ECONNREFUSED);
    tina__disk_socket_gone(rig.disk, other);
    assert_int_equal(disk_ledger(&rig).files, 1);
    disk_destroy(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(path_is_known_by_its_plain_form),
        cmocka_unit_test(open_refuses_as_linux_does),
        cmocka_unit_test(directory_opens_for_reading_and_has_no_content),
        cmocka_unit_test(directory_of_an_unlinked_file_stays_open),
        cmocka_unit_test(path_has_a_longest),
        cmocka_unit_test(rename_replaces_what_is_there),
        cmocka_unit_test(rename_refuses_as_linux_does),
        cmocka_unit_test(unlinked_file_lives_until_its_last_close),
        cmocka_unit_test(file_is_what_was_written_where),
        cmocka_unit_test(hole_reads_as_zeros_and_takes_no_room),
        cmocka_unit_test(write_across_blocks_is_whole),
        cmocka_unit_test(write_that_appends_goes_to_the_end),
        cmocka_unit_test(access_that_was_not_asked_for_is_refused),
        cmocka_unit_test(truncation_cuts_and_extends),
        cmocka_unit_test(full_disk_takes_what_fits_and_then_nothing),
        cmocka_unit_test(files_are_as_many_as_there_are_nodes),
        cmocka_unit_test(one_write_takes_so_much_and_no_more),
        cmocka_unit_test(socket_is_found_by_its_name),
        cmocka_unit_test(socket_that_was_unlinked_ends_with_its_binder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
