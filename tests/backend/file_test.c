/* Files: each flag of an open, reads and writes at offsets, and what is done to a file by its name. */
#define _GNU_SOURCE 1
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "each.h"

#include <sys/stat.h>

#define READ_WRITE (TINA_OPEN_READ | TINA_OPEN_WRITE)

/* ---- What the tests do ---- */

static rig_request *open_by(test_rig *rig, const char *name, uint32_t flags)
{
    char path[RIG_PATH_SIZE];
    return rig_open(rig, rig_path(rig, name, path), flags);
}

static void expect_not_opened(test_rig *rig, const char *name, uint32_t flags, uint16_t status, int os_error)
{
    rig_request *opening = open_by(rig, name, flags);
    assert_int_equal(rig_do(rig, opening), status);
    assert_int_equal(opening->completion.os_error, os_error);
    assert_int_equal(opening->completion.os_fd, -1);
}

static void expect_failure(test_rig *rig, rig_request *request, uint16_t status, int os_error)
{
    assert_int_equal(rig_do(rig, request), status);
    assert_int_equal(request->completion.os_error, os_error);
    assert_int_equal(request->completion.size, 0);
    assert_int_equal(request->completion.buffer, TINA__BUFFER_NONE);
}

/* At most asked of it; what is there. */
static void expect_read(test_rig *rig, rig_fd file, uint64_t offset, uint32_t asked, const void *data, uint32_t size)
{
    rig_request *reading = rig_read_at(rig, file, offset, asked);
    assert_int_equal(rig_do(rig, reading), TINA_OK);
    assert_int_equal(reading->completion.size, size);
    if (size != 0)
        assert_memory_equal(rig_data(rig, reading), data, size);
    else
        assert_int_equal(reading->completion.buffer, TINA__BUFFER_NONE);
    rig_lend_back(rig, reading);
}

static void write_at(test_rig *rig, rig_fd file, uint64_t offset, const char *text)
{
    uint32_t size = (uint32_t)strlen(text);
    rig_request *writing = rig_write_at(rig, file, offset, text, size);
    assert_int_equal(rig_do(rig, writing), TINA_OK);
    assert_int_equal(writing->completion.size, size);
}

static void expect_size(test_rig *rig, rig_fd file, uint64_t size)
{
    rig_request *looking = rig_stat(rig, file);
    assert_int_equal(rig_do(rig, looking), TINA_OK);
    assert_int_equal(looking->completion.size, size);
    assert_int_equal(looking->completion.buffer, TINA__BUFFER_NONE);
}

/* ---- Opening ---- */

static void open_of_what_is_not_there_is_not_found(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    expect_not_opened(&rig, "nothing", TINA_OPEN_READ, TINA_NOT_FOUND, ENOENT);
    expect_not_opened(&rig, "nothing", TINA_OPEN_WRITE, TINA_NOT_FOUND, ENOENT);
    rig_put_file(&rig, "file", "x", 1);
    expect_not_opened(&rig, "file/beneath", TINA_OPEN_READ, TINA_NOT_FOUND, ENOTDIR);
    rig_close(&rig);
}

static void open_to_create_makes_it_where_there_is_none(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    for (int round = 0; round < 2; round++) {
        rig_fd file = rig_file(&rig, "file", READ_WRITE | TINA_OPEN_CREATE);
        expect_size(&rig, file, round == 0 ? 0 : 5);
        write_at(&rig, file, 0, "hello");
        rig_close_fd(&rig, file);
        rig_assert_file(&rig, "file", "hello", 5);
    }
    rig_close(&rig);
}

static void open_to_create_takes_the_mode(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    char path[RIG_PATH_SIZE];
    struct stat about;
    mode_t mask = umask(022);
    rig_request *opening = open_by(&rig, "file", TINA_OPEN_WRITE | TINA_OPEN_CREATE);
    opening->request.mode = 0626;
    assert_int_equal(rig_do(&rig, opening), TINA_OK);
    rig_close_fd(&rig, rig_opened(&rig, opening));
    assert_int_equal(stat(rig_path(&rig, "file", path), &about), 0);
    assert_int_equal(about.st_mode & 07777, 0604);
    (void)umask(mask);
    rig_close(&rig);
}

static void open_exclusively_fails_where_there_is_one(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    uint32_t flags = READ_WRITE | TINA_OPEN_CREATE | TINA_OPEN_EXCLUSIVE;
    rig_close_fd(&rig, rig_file(&rig, "file", flags));
    expect_not_opened(&rig, "file", flags, TINA_SYSTEM_ERROR, EEXIST);
    rig_close(&rig);
}

static void open_to_truncate_empties_it(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    rig_put_file(&rig, "file", "hello", 5);
    rig_close_fd(&rig, rig_file(&rig, "file", TINA_OPEN_WRITE));
    rig_assert_file(&rig, "file", "hello", 5);
    rig_close_fd(&rig, rig_file(&rig, "file", TINA_OPEN_WRITE | TINA_OPEN_TRUNCATE));
    rig_assert_file(&rig, "file", "", 0);
    rig_close(&rig);
}

static void open_to_append_writes_at_the_end_whatever_the_offset(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    rig_put_file(&rig, "file", "hello", 5);
    rig_fd file = rig_file(&rig, "file", TINA_OPEN_WRITE | TINA_OPEN_APPEND);
    write_at(&rig, file, 0, ", ");
    write_at(&rig, file, 2, "world");
    write_at(&rig, file, 1000, "!");
    rig_close_fd(&rig, file);
    rig_assert_file(&rig, "file", "hello, world!", 13);
    rig_close(&rig);
}

static void open_for_direct_sync_writes_as_any(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    rig_fd file = rig_file(&rig, "file", RIG_OPEN_NEW | TINA_OPEN_DIRECT_SYNC);
    write_at(&rig, file, 0, "hello");
    if (!rig_is_made(&rig))
        assert_int_equal(fcntl(file.os_fd, F_GETFL) & O_SYNC, O_SYNC);
    rig_close_fd(&rig, file);
    rig_assert_file(&rig, "file", "hello", 5);
    rig_close(&rig);
}

static void open_for_one_direction_refuses_the_other(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    rig_put_file(&rig, "file", "hello", 5);
    rig_fd reader = rig_file(&rig, "file", TINA_OPEN_READ), writer = rig_file(&rig, "file", TINA_OPEN_WRITE);
    expect_failure(&rig, rig_write_at(&rig, reader, 0, "x", 1), TINA_SYSTEM_ERROR, EBADF);
    expect_failure(&rig, rig_truncate(&rig, reader, 1), TINA_SYSTEM_ERROR, EINVAL);
    expect_failure(&rig, rig_read_at(&rig, writer, 0, 1), TINA_SYSTEM_ERROR, EBADF);
    rig_assert_file(&rig, "file", "hello", 5);
    expect_size(&rig, writer, 5);
    rig_close_fd(&rig, reader);
    rig_close_fd(&rig, writer);
    rig_close(&rig);
}

static void open_closes_on_exec_and_waits_where_it_has_offsets(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    rig_fd file = rig_file(&rig, "file", RIG_OPEN_NEW);
    assert_true(fcntl(file.os_fd, F_GETFD) & FD_CLOEXEC);
    assert_false(fcntl(file.os_fd, F_GETFL) & O_NONBLOCK);
    rig_close_fd(&rig, file);
    rig_close(&rig);
}

static void open_of_a_directory_is_a_file_without_a_size(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    char path[RIG_PATH_SIZE];
    rig_request *opening = rig_open(&rig, rig_path(&rig, "", path), TINA_OPEN_READ);
    assert_int_equal(rig_do(&rig, opening), TINA_OK);
    assert_int_equal(opening->completion.fd_class, TINA__FD_FILE);
    rig_fd folder = rig_opened(&rig, opening);
    expect_failure(&rig, rig_stat(&rig, folder), TINA_UNSUPPORTED, 0);
    expect_failure(&rig, rig_read_at(&rig, folder, 0, 1), TINA_SYSTEM_ERROR, EISDIR);
    rig_close_fd(&rig, folder);
    expect_not_opened(&rig, "", TINA_OPEN_WRITE, TINA_SYSTEM_ERROR, EISDIR);
    rig_close(&rig);
}

/* proc is everywhere, and nobody's to write: also where permissions do not bite. */
static void open_of_what_is_not_ours_is_denied(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    rig_request *opening = rig_open(&rig, "/proc/sys/kernel/osrelease", TINA_OPEN_WRITE);
    assert_int_equal(rig_do(&rig, opening), TINA_DENIED);
    rig_close(&rig);
}

/* A pipe that nobody has at the other end: an open would wait for one. */
static void open_of_a_pipe_by_name_does_not_wait(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    char path[RIG_PATH_SIZE];
    assert_int_equal(mkfifo(rig_path(&rig, "pipe", path), 0600), 0);
    expect_not_opened(&rig, "pipe", TINA_OPEN_WRITE, TINA_SYSTEM_ERROR, ENXIO);
    rig_request *opening = open_by(&rig, "pipe", TINA_OPEN_READ);
    assert_int_equal(rig_do(&rig, opening), TINA_OK);
    assert_int_equal(opening->completion.fd_class, TINA__FD_PIPE);
    rig_fd reader = rig_opened(&rig, opening);
    opening = open_by(&rig, "pipe", TINA_OPEN_WRITE);
    assert_int_equal(rig_do(&rig, opening), TINA_OK);
    rig_fd writer = rig_opened(&rig, opening);
    rig_request *reading = rig_read_at(&rig, reader, 0, 0);
    rig_submit(&rig, reading);
    rig_turn(&rig, 0);
    assert_false(rig_is_over(reading));
    assert_int_equal(rig_do(&rig, rig_write_at(&rig, writer, 0, "through", 7)), TINA_OK);
    rig_await(&rig, reading);
    assert_int_equal(reading->completion.status, TINA_OK);
    assert_memory_equal(rig_data(&rig, reading), "through", 7);
    rig_lend_back(&rig, reading);
    rig_close_fd(&rig, reader);
    rig_close_fd(&rig, writer);
    rig_close(&rig);
}

/* ---- Reading and writing ---- */

static void read_at_offsets_delivers_what_lies_there(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    rig_put_file(&rig, "file", "hello, world", 12);
    rig_fd file = rig_file(&rig, "file", TINA_OPEN_READ);
    expect_read(&rig, file, 0, 5, "hello", 5);
    expect_read(&rig, file, 7, 5, "world", 5);
    expect_read(&rig, file, 7, 200, "world", 5);
    expect_read(&rig, file, 11, 1, "d", 1);
    expect_read(&rig, file, 0, 0, "hello, world", 12);
    rig_close_fd(&rig, file);
    rig_close(&rig);
}

/* None of it keeps a buffer: more often than there are. */
static void read_at_the_end_is_ok_without_a_buffer(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    rig_put_file(&rig, "file", "hello", 5);
    rig_fd file = rig_file(&rig, "file", TINA_OPEN_READ);
    for (uint32_t i = 0; i < 2 * small.buffer_count; i++)
        expect_read(&rig, file, 5 + i * 1000, 10, NULL, 0);
    expect_read(&rig, file, (uint64_t)1 << 40, 10, NULL, 0);
    expect_read(&rig, file, 3, 10, "lo", 2);
    rig_close_fd(&rig, file);
    rig_close(&rig);
}

static void read_of_more_than_a_buffer_stays_within_it(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    uint8_t data[1000];
    memset(data, 'x', sizeof data);
    rig_put_file(&rig, "file", data, sizeof data);
    rig_fd file = rig_file(&rig, "file", TINA_OPEN_READ);
    rig_request *reading = rig_read_at(&rig, file, 0, sizeof data);
    assert_int_equal(rig_do(&rig, reading), TINA_OK);
    assert_int_equal(reading->completion.size, small.buffer_size);
    for (uint32_t i = 0; i < small.buffer_count; i++) {
        if (i != reading->completion.buffer)
            assert_int_equal(rig.config.buffers[i * small.buffer_size], 0);
    }
    rig_lend_back(&rig, reading);
    rig_close_fd(&rig, file);
    rig_close(&rig);
}

static void read_without_a_lent_buffer_is_busy_until_one_is_lent(void **state)
{
    (void)state;
    test_rig rig;
    tina__backend_config config = small;
    config.buffer_count = 1;
    open_config(&rig, config);
    rig_put_file(&rig, "file", "hello", 5);
    rig_fd file = rig_file(&rig, "file", TINA_OPEN_READ);
    rig_request *first = rig_read_at(&rig, file, 0, 2), *second = rig_read_at(&rig, file, 2, 3);
    assert_int_equal(rig_do(&rig, first), TINA_OK);
    expect_failure(&rig, second, TINA_BUSY, 0);
    rig_lend_back(&rig, first);
    rig_renew(second);
    assert_int_equal(rig_do(&rig, second), TINA_OK);
    assert_memory_equal(rig_data(&rig, second), "llo", 3);
    rig_lend_back(&rig, second);
    rig_close_fd(&rig, file);
    rig_close(&rig);
}

static void write_beyond_the_end_leaves_a_hole(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    static const char zeros[200];
    rig_fd file = rig_file(&rig, "file", RIG_OPEN_NEW);
    write_at(&rig, file, 0, "start");
    write_at(&rig, file, 100000, "end");
    expect_size(&rig, file, 100003);
    expect_read(&rig, file, 99900, 103, (char[103]){[100] = 'e', 'n', 'd'}, 103);
    expect_read(&rig, file, 5, sizeof zeros, zeros, sizeof zeros);
    write_at(&rig, file, 50000, "middle");
    expect_read(&rig, file, 49999, 8, "\0middle", 8);
    expect_size(&rig, file, 100003);
    rig_close_fd(&rig, file);
    rig_close(&rig);
}

static void write_far_beyond_four_gigabytes_is_where_it_should_be(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    uint64_t far = ((uint64_t)5 << 30) + 3;
    rig_fd file = rig_file(&rig, "file", RIG_OPEN_NEW);
    write_at(&rig, file, far, "far");
    expect_size(&rig, file, far + 3);
    expect_read(&rig, file, far - 1, 10, "\0far", 4);
    assert_int_equal(rig_do(&rig, rig_truncate(&rig, file, far + 1)), TINA_OK);
    expect_read(&rig, file, far, 10, "f", 1);
    rig_close_fd(&rig, file);
    rig_close(&rig);
}

/* A file is read and written at once, by one request each. */
static void reading_and_writing_at_once_both_complete(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    rig_put_file(&rig, "file", "....................", 20);
    rig_fd file = rig_file(&rig, "file", READ_WRITE);
    rig_request *reading = rig_read_at(&rig, file, 10, 10), *writing = rig_write_at(&rig, file, 0, "written", 7);
    for (int round = 0; round < 100; round++) {
        rig_chain(reading, writing);
        writing->request.next = NULL;
        rig_submit_list(&rig, reading);
        rig_await_all(&rig);
        assert_int_equal(reading->completion.status, TINA_OK);
        assert_memory_equal(rig_data(&rig, reading), "..........", 10);
        assert_int_equal(writing->completion.status, TINA_OK);
        assert_int_equal(writing->completion.size, 7);
        rig_lend_back(&rig, reading);
        rig_renew(reading);
        rig_renew(writing);
    }
    rig_close_fd(&rig, file);
    rig_assert_file(&rig, "file", "written.............", 20);
    rig_close(&rig);
}

static void sync_of_what_was_written_completes(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    rig_fd file = rig_file(&rig, "file", RIG_OPEN_NEW);
    write_at(&rig, file, 0, "hello");
    for (int i = 0; i < 3; i++)
        assert_int_equal(rig_do(&rig, rig_sync(&rig, file)), TINA_OK);
    rig_close_fd(&rig, file);
    rig_assert_file(&rig, "file", "hello", 5);
    rig_close(&rig);
}

static void truncate_shortens_and_lengthens(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    rig_put_file(&rig, "file", "hello", 5);
    rig_fd file = rig_file(&rig, "file", READ_WRITE);
    assert_int_equal(rig_do(&rig, rig_truncate(&rig, file, 2)), TINA_OK);
    expect_size(&rig, file, 2);
    assert_int_equal(rig_do(&rig, rig_truncate(&rig, file, 5)), TINA_OK);
    expect_read(&rig, file, 0, 10, "he\0\0\0", 5); /* what was cut does not come back */
    assert_int_equal(rig_do(&rig, rig_truncate(&rig, file, 0)), TINA_OK);
    expect_read(&rig, file, 0, 10, NULL, 0);
    rig_close_fd(&rig, file);
    rig_assert_file(&rig, "file", "", 0);
    rig_close(&rig);
}

/* ---- Names ---- */

static int rename_to(test_rig *rig, const char *name, const char *new_name)
{
    char path[RIG_PATH_SIZE], new_path[RIG_PATH_SIZE];
    return rig_do(rig, rig_rename(rig, rig_path(rig, name, path), rig_path(rig, new_name, new_path)));
}

static int unlink_of(test_rig *rig, const char *name)
{
    char path[RIG_PATH_SIZE];
    return rig_do(rig, rig_unlink(rig, rig_path(rig, name, path)));
}

static void rename_over_another_replaces_it(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    rig_put_file(&rig, "new", "new", 3);
    rig_put_file(&rig, "old", "older", 5);
    rig_fd old = rig_file(&rig, "old", TINA_OPEN_READ), new_ = rig_file(&rig, "new", TINA_OPEN_READ);
    assert_int_equal(rename_to(&rig, "new", "old"), TINA_OK);
    assert_false(rig_has_file(&rig, "new"));
    rig_assert_file(&rig, "old", "new", 3);
    expect_read(&rig, old, 0, 10, "older", 5); /* who has it open has it still */
    expect_read(&rig, new_, 0, 10, "new", 3);
    rig_close_fd(&rig, old);
    rig_close_fd(&rig, new_);
    assert_int_equal(rename_to(&rig, "old", "old"), TINA_OK);
    rig_assert_file(&rig, "old", "new", 3);
    rig_close(&rig);
}

static void rename_of_what_is_not_there_is_not_found(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    rig_put_file(&rig, "file", "x", 1);
    assert_int_equal(rename_to(&rig, "nothing", "file"), TINA_NOT_FOUND);
    assert_int_equal(rename_to(&rig, "file", "file/beneath"), TINA_NOT_FOUND);
    rig_assert_file(&rig, "file", "x", 1);
    rig_close(&rig);
}

static void unlink_while_open_leaves_it_to_who_has_it(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    rig_put_file(&rig, "file", "hello", 5);
    rig_fd file = rig_file(&rig, "file", READ_WRITE);
    assert_int_equal(unlink_of(&rig, "file"), TINA_OK);
    assert_false(rig_has_file(&rig, "file"));
    expect_read(&rig, file, 0, 10, "hello", 5);
    write_at(&rig, file, 5, "!");
    expect_size(&rig, file, 6);
    rig_put_file(&rig, "file", "another", 7);
    expect_read(&rig, file, 0, 10, "hello!", 6);
    rig_close_fd(&rig, file);
    rig_assert_file(&rig, "file", "another", 7);
    rig_close(&rig);
}

static void unlink_of_what_is_not_there_is_not_found(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    assert_int_equal(unlink_of(&rig, "nothing"), TINA_NOT_FOUND);
    rig_put_file(&rig, "file", "x", 1);
    assert_int_equal(unlink_of(&rig, "file/beneath"), TINA_NOT_FOUND);
    assert_int_equal(unlink_of(&rig, "file"), TINA_OK);
    assert_int_equal(unlink_of(&rig, "file"), TINA_NOT_FOUND);
    rig_close(&rig);
}

/* ---- Many ---- */

/* As many at once as there are operations, on few helpers. */
static void opens_of_a_thousand_all_complete(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    test_rig rig;
    uint32_t count = rig_descriptors_for_us(wanted, COUNT);
    open_config(&rig,
                (tina__backend_config){
                    .op_count = 2 * count, .fd_count = count, .buffer_count = 4, .buffer_size = 64, .file_threads = 2});
    rig_put_file(&rig, "file", "x", 1);
    uint32_t first = rig.used;
    rig_fd *fds = malloc(count * sizeof *fds);
    assert_non_null(fds);
    for (uint32_t i = 0; i < count; i++)
        rig_submit(&rig, open_by(&rig, "file", TINA_OPEN_READ));
    rig_await_all(&rig);
    for (uint32_t i = 0; i < count; i++)
        fds[i] = rig_opened(&rig, &rig.requests[first + i]);
    for (uint32_t i = 0; i < count; i++)
        rig_close_fd(&rig, fds[i]);
    free(fds);
    rig_close(&rig);
}

static void files_without_helper_threads_need_none_or_are_unsupported(void **state)
{
    (void)state;
    test_rig rig;
    tina__backend_config config = small;
    config.file_threads = 0;
    open_config(&rig, config);
    rig_request *opening = open_by(&rig, "file", RIG_OPEN_NEW);
    if (rig_do(&rig, opening) == TINA_OK)
        rig_close_fd(&rig, rig_opened(&rig, opening));
    else
        assert_int_equal(opening->completion.status, TINA_UNSUPPORTED);
    assert_int_equal(opening->completion.status == TINA_UNSUPPORTED, wanted == TINA_BACKEND_EPOLL);
    rig_close(&rig);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(open_of_what_is_not_there_is_not_found),
        cmocka_unit_test(open_to_create_makes_it_where_there_is_none),
        cmocka_unit_test(open_to_create_takes_the_mode),
        cmocka_unit_test(open_exclusively_fails_where_there_is_one),
        cmocka_unit_test(open_to_truncate_empties_it),
        cmocka_unit_test(open_to_append_writes_at_the_end_whatever_the_offset),
        cmocka_unit_test(open_for_direct_sync_writes_as_any),
        cmocka_unit_test(open_for_one_direction_refuses_the_other),
        cmocka_unit_test(open_closes_on_exec_and_waits_where_it_has_offsets),
        cmocka_unit_test(open_of_a_directory_is_a_file_without_a_size),
        cmocka_unit_test(open_of_what_is_not_ours_is_denied),
        cmocka_unit_test(open_of_a_pipe_by_name_does_not_wait),
        cmocka_unit_test(read_at_offsets_delivers_what_lies_there),
        cmocka_unit_test(read_at_the_end_is_ok_without_a_buffer),
        cmocka_unit_test(read_of_more_than_a_buffer_stays_within_it),
        cmocka_unit_test(read_without_a_lent_buffer_is_busy_until_one_is_lent),
        cmocka_unit_test(write_beyond_the_end_leaves_a_hole),
        cmocka_unit_test(write_far_beyond_four_gigabytes_is_where_it_should_be),
        cmocka_unit_test(reading_and_writing_at_once_both_complete),
        cmocka_unit_test(sync_of_what_was_written_completes),
        cmocka_unit_test(truncate_shortens_and_lengthens),
        cmocka_unit_test(rename_over_another_replaces_it),
        cmocka_unit_test(rename_of_what_is_not_there_is_not_found),
        cmocka_unit_test(unlink_while_open_leaves_it_to_who_has_it),
        cmocka_unit_test(unlink_of_what_is_not_there_is_not_found),
        cmocka_unit_test(opens_of_a_thousand_all_complete),
        cmocka_unit_test(files_without_helper_threads_need_none_or_are_unsupported),
    };
    static const test_unfit unfit[] = {
        {"open_to_create_takes_the_mode", "files there have none"},
        {"open_closes_on_exec_and_waits_where_it_has_offsets", "there is no exec"},
        {"open_of_what_is_not_ours_is_denied", "all is everybody's"},
        {"open_of_a_pipe_by_name_does_not_wait", "there are no pipes"},
    };
    return run_each(tests, sizeof tests / sizeof tests[0], unfit, sizeof unfit / sizeof unfit[0], argc, argv);
}
