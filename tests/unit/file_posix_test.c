#define _GNU_SOURCE 1
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/fd_class.h"
#include "os/file_posix.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <tina/io.h>
#include <unistd.h>

static char folder[] = "/tmp/tina-file-XXXXXX";
static char path[64];

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/it", folder);
    return 0;
}

static int remove_it(void **state)
{
    (void)state;
    unlink(path);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

static int open_it(uint32_t flags) { return open(path, tina__file_open_flags(flags), 0600); }

static void flags_are_the_hosts(void **state)
{
    (void)state;
    const int always = O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    static const struct {
        uint32_t flags;
        int host;
    } rows[] = {
        {TINA_OPEN_READ, O_RDONLY},
        {TINA_OPEN_WRITE, O_WRONLY},
        {TINA_OPEN_READ | TINA_OPEN_WRITE, O_RDWR},
        {TINA_OPEN_WRITE | TINA_OPEN_CREATE, O_WRONLY | O_CREAT},
        {TINA_OPEN_WRITE | TINA_OPEN_CREATE | TINA_OPEN_EXCLUSIVE, O_WRONLY | O_CREAT | O_EXCL},
        {TINA_OPEN_WRITE | TINA_OPEN_TRUNCATE, O_WRONLY | O_TRUNC},
        {TINA_OPEN_WRITE | TINA_OPEN_APPEND, O_WRONLY | O_APPEND},
        {TINA_OPEN_WRITE | TINA_OPEN_DIRECT_SYNC, O_WRONLY | O_SYNC},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(tina__file_open_flags(rows[i].flags), rows[i].host | always);
}

static void settle_of_a_file_has_offsets_and_may_wait(void **state)
{
    (void)state;
    int os_fd = open_it(TINA_OPEN_READ | TINA_OPEN_WRITE | TINA_OPEN_CREATE | TINA_OPEN_APPEND);
    assert_true(fcntl(os_fd, F_GETFL) & O_NONBLOCK);
    assert_int_equal(tina__file_settle(os_fd), TINA__FD_FILE);
    assert_false(fcntl(os_fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(os_fd, F_GETFL) & O_APPEND);
    assert_true(fcntl(os_fd, F_GETFD) & FD_CLOEXEC);
    close(os_fd);
}

static void settle_of_a_directory_has_offsets(void **state)
{
    (void)state;
    int os_fd = open(folder, tina__file_open_flags(TINA_OPEN_READ));
    assert_int_equal(tina__file_settle(os_fd), TINA__FD_FILE);
    assert_int_equal(fsync(os_fd), 0);
    close(os_fd);
}

/* The open itself does not wait for anybody at the other end either. */
static void settle_of_a_pipe_keeps_it_from_waiting(void **state)
{
    (void)state;
    assert_int_equal(mkfifo(path, 0600), 0);
    int os_fd = open_it(TINA_OPEN_READ);
    assert_true(os_fd >= 0);
    assert_int_equal(tina__file_settle(os_fd), TINA__FD_PIPE);
    assert_true(fcntl(os_fd, F_GETFL) & O_NONBLOCK);
    close(os_fd);
}

static void settle_of_a_device_is_as_of_a_pipe(void **state)
{
    (void)state;
    int os_fd = open("/dev/null", tina__file_open_flags(TINA_OPEN_READ | TINA_OPEN_WRITE));
    assert_int_equal(tina__file_settle(os_fd), TINA__FD_PIPE);
    close(os_fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flags_are_the_hosts),
        cmocka_unit_test_teardown(settle_of_a_file_has_offsets_and_may_wait, remove_it),
        cmocka_unit_test(settle_of_a_directory_has_offsets),
        cmocka_unit_test_teardown(settle_of_a_pipe_keeps_it_from_waiting, remove_it),
        cmocka_unit_test(settle_of_a_device_is_as_of_a_pipe),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
