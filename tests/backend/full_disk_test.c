/* A disk that is full, or may not be written: what fits is written and said, and nothing else is harmed. */
#define _GNU_SOURCE 1
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "each.h"

#include <sched.h>
#include <sys/mount.h>

#define DISK_SIZE  65536
#define DISK_WRITE 20000 /* does not divide it */

/* The pipe class on Linux: it says of every write that there is no room. */
static void write_to_a_full_device_is_disk_full(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    rig_fd full = rig_take_in(&rig, open("/dev/full", O_WRONLY), TINA__FD_PIPE);
    rig_request *writing = rig_write_at(&rig, full, 0, "x", 1);
    assert_int_equal(rig_do(&rig, writing), TINA_DISK_FULL);
    assert_int_equal(writing->completion.os_error, ENOSPC);
    assert_int_equal(writing->completion.size, 0);
    rig_close_fd(&rig, full);
    rig_close(&rig);
}

/*
 * Mounts of this process alone. It has them before any thread that works on files
 * for it, the kernel's own among them: those keep what they began with.
 */
static bool has_own_mounts;

static void take_own_mounts(void)
{
    has_own_mounts = unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

/* False: that is not allowed here. */
static bool mount_disk(char *folder, unsigned long flags)
{
    char options[32];
    if (!has_own_mounts)
        return false;
    snprintf(options, sizeof options, "size=%d", DISK_SIZE);
    strcpy(folder, "/tmp/tina-disk-XXXXXX");
    assert_non_null(mkdtemp(folder));
    if (mount("tina", folder, "tmpfs", flags, options) == 0)
        return true;
    assert_int_equal(rmdir(folder), 0);
    return false;
}

/* Writes on from there until a write does not take all; returns the end of what it took. */
static uint64_t write_until_full(test_rig *rig, rig_fd file, const uint8_t *data)
{
    uint64_t end = 0;
    rig_request *writing = rig_write_at(rig, file, 0, data, DISK_WRITE);
    while (rig_do(rig, writing) == TINA_OK) {
        assert_in_range(writing->completion.size, 1, DISK_WRITE);
        end += writing->completion.size;
        assert_in_range(end, 1, 2 * DISK_SIZE);
        writing->request.offset = end;
        rig_renew(writing);
    }
    assert_int_equal(writing->completion.status, TINA_DISK_FULL);
    assert_int_equal(writing->completion.os_error, ENOSPC);
    assert_int_equal(writing->completion.size, 0);
    return end;
}

static void write_to_a_full_disk_says_how_much_was_taken(void **state)
{
    (void)state;
    static uint8_t data[DISK_WRITE];
    test_rig rig;
    char folder[sizeof rig.folder];
    if (!mount_disk(folder, 0))
        skip();
    open_small(&rig);
    memcpy(rig.folder, folder, sizeof folder);
    memset(data, 'x', sizeof data);
    rig_fd file = rig_file(&rig, "file", RIG_OPEN_NEW);
    uint64_t end = write_until_full(&rig, file, data);
    assert_in_range(end, DISK_SIZE / 2, DISK_SIZE);
    rig_request *looking = rig_stat(&rig, file);
    assert_int_equal(rig_do(&rig, looking), TINA_OK);
    assert_int_equal(looking->completion.size, end);
    /* What is there can be written over, and room made. */
    assert_int_equal(rig_do(&rig, rig_write_at(&rig, file, 0, "over", 4)), TINA_OK);
    assert_int_equal(rig_do(&rig, rig_truncate(&rig, file, 4)), TINA_OK);
    assert_int_equal(write_until_full(&rig, file, data), end);
    rig_close_fd(&rig, file);
    assert_int_equal(umount2(rig.folder, MNT_DETACH), 0);
    rig_close(&rig);
}

static void open_on_a_disk_that_may_not_be_written_is_denied(void **state)
{
    (void)state;
    test_rig rig;
    char folder[sizeof rig.folder], path[RIG_PATH_SIZE];
    if (!mount_disk(folder, MS_RDONLY))
        skip();
    open_small(&rig);
    memcpy(rig.folder, folder, sizeof folder);
    rig_request *opening = rig_open(&rig, rig_path(&rig, "file", path), RIG_OPEN_NEW);
    assert_int_equal(rig_do(&rig, opening), TINA_DENIED);
    assert_int_equal(opening->completion.os_error, EROFS);
    assert_int_equal(opening->completion.os_fd, -1);
    assert_false(rig_has_file(&rig, "file"));
    assert_int_equal(umount2(rig.folder, MNT_DETACH), 0);
    rig_close(&rig);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(write_to_a_full_device_is_disk_full),
        cmocka_unit_test(write_to_a_full_disk_says_how_much_was_taken),
        cmocka_unit_test(open_on_a_disk_that_may_not_be_written_is_denied),
    };
    static const test_unfit unfit[] = {
        {"write_to_a_full_device_is_disk_full", "there are no devices"},
        {"write_to_a_full_disk_says_how_much_was_taken", "nothing is mounted there; sim/disk_test.c fills one"},
        {"open_on_a_disk_that_may_not_be_written_is_denied", "nothing is mounted there"},
    };
    take_own_mounts();
    return run_each(tests, sizeof tests / sizeof tests[0], unfit, sizeof unfit / sizeof unfit[0], argc, argv);
}
