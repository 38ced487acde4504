/* What the program opened and the backend is to find out about: pipes, sockets, files, terminals. */
#define _GNU_SOURCE 1
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "each.h"

#include <signal.h>
#include <sys/stat.h>

#define LARGE (1u << 20) /* more than a pipe takes */

/* ---- Pipes ---- */

typedef struct test_pipe {
    rig_fd reader, writer;
} test_pipe;

static test_pipe make_pipe(test_rig *rig, int flags)
{
    int ends[2];
    assert_int_equal(pipe2(ends, flags), 0);
    return (test_pipe){rig_take_in(rig, ends[0], TINA__FD_PIPE), rig_take_in(rig, ends[1], TINA__FD_PIPE)};
}

static void close_pipe(test_rig *rig, test_pipe *self)
{
    rig_close_fd(rig, self->reader);
    rig_close_fd(rig, self->writer);
}

static const int pipe_flags[] = {0, O_NONBLOCK}; /* others may share it: as it is, it is to work */

static void pipe_that_is_adopted_keeps_its_flags(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        test_rig rig;
        open_small(&rig);
        test_pipe self = make_pipe(&rig, pipe_flags[i]);
        rig_request *reading = rig_read_at(&rig, self.reader, 0, 0);
        rig_submit(&rig, reading);
        rig_turn(&rig, 0);
        assert_int_equal(rig_do(&rig, rig_write_at(&rig, self.writer, 0, "x", 1)), TINA_OK);
        rig_await(&rig, reading);
        rig_lend_back(&rig, reading);
        assert_int_equal(fcntl(self.reader.os_fd, F_GETFL), O_RDONLY | pipe_flags[i]);
        assert_int_equal(fcntl(self.writer.os_fd, F_GETFL), O_WRONLY | pipe_flags[i]);
        close_pipe(&rig, &self);
        rig_close(&rig);
    }
}

static void pipe_carries_bytes_that_are_waited_for(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        test_rig rig;
        open_small(&rig);
        test_pipe self = make_pipe(&rig, pipe_flags[i]);
        rig_request *reading = rig_read_at(&rig, self.reader, 0, 0);
        rig_request *writing = rig_write_at(&rig, self.writer, 0, "hello", 5);
        for (int round = 0; round < 20; round++) {
            rig_submit(&rig, reading);
            rig_turn(&rig, 0);
            rig_turn(&rig, 0);
            assert_false(rig_is_over(reading));
            assert_int_equal(rig_do(&rig, writing), TINA_OK);
            assert_int_equal(writing->completion.size, 5);
            rig_await(&rig, reading);
            assert_int_equal(reading->completion.status, TINA_OK);
            assert_int_equal(reading->completion.size, 5);
            assert_memory_equal(rig_data(&rig, reading), "hello", 5);
            rig_lend_back(&rig, reading);
            rig_renew(reading);
            rig_renew(writing);
        }
        close_pipe(&rig, &self);
        rig_close(&rig);
    }
}

/* What was in it comes first. */
static void pipe_at_its_end_is_closed(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        test_rig rig;
        open_small(&rig);
        test_pipe self = make_pipe(&rig, pipe_flags[i]);
        assert_int_equal(rig_do(&rig, rig_write_at(&rig, self.writer, 0, "last", 4)), TINA_OK);
        rig_close_fd(&rig, self.writer);
        rig_request *reading = rig_read_at(&rig, self.reader, 0, 0);
        assert_int_equal(rig_do(&rig, reading), TINA_OK);
        assert_memory_equal(rig_data(&rig, reading), "last", 4);
        rig_lend_back(&rig, reading);
        for (uint32_t end = 0; end < 2 * small.buffer_count; end++) {
            rig_renew(reading);
            assert_int_equal(rig_do(&rig, reading), TINA_CLOSED);
            assert_int_equal(reading->completion.buffer, TINA__BUFFER_NONE);
            assert_int_equal(reading->completion.size, 0);
        }
        rig_close_fd(&rig, self.reader);
        rig_close(&rig);
    }
}

static volatile sig_atomic_t signal_count;

static void count_signal(int number)
{
    (void)number;
    signal_count++;
}

/* Nor is any other thread signalled, such as a helper. */
static void pipe_without_a_reader_fails_without_a_signal(void **state)
{
    (void)state;
    struct sigaction counting = {.sa_handler = count_signal}, before;
    assert_int_equal(sigaction(SIGPIPE, &counting, &before), 0);
    signal_count = 0;
    for (int i = 0; i < 4; i++) {
        test_rig rig;
        open_small(&rig);
        test_pipe self = make_pipe(&rig, pipe_flags[i % 2]);
        rig_close_fd(&rig, self.reader);
        rig_request *writing = rig_write_at(&rig, self.writer, 0, "x", 1);
        assert_int_equal(rig_do(&rig, writing), TINA_RESET);
        assert_int_equal(writing->completion.os_error, EPIPE);
        assert_int_equal(writing->completion.size, 0);
        rig_close_fd(&rig, self.writer);
        rig_close(&rig);
    }
    assert_int_equal(signal_count, 0);
    assert_int_equal(sigaction(SIGPIPE, &before, NULL), 0);
}

static void pipe_that_is_full_is_written_in_parts(void **state)
{
    (void)state;
    static uint8_t data[LARGE];
    for (uint32_t i = 0; i < LARGE; i++)
        data[i] = (uint8_t)(i * 31 >> 3);
    for (int i = 0; i < 2; i++) {
        test_rig rig;
        open_small(&rig);
        test_pipe self = make_pipe(&rig, pipe_flags[i]);
        rig_request *reading = rig_read_at(&rig, self.reader, 0, 0);
        rig_request *writing = rig_write_at(&rig, self.writer, 0, data, LARGE);
        rig_submit(&rig, writing);
        uint32_t written = 0;
        for (uint32_t seen = 0; seen < LARGE;) {
            assert_int_equal(rig_do(&rig, reading), TINA_OK);
            assert_memory_equal(rig_data(&rig, reading), data + seen, reading->completion.size);
            seen += (uint32_t)reading->completion.size;
            rig_lend_back(&rig, reading);
            rig_renew(reading);
            if (!rig_is_over(writing) || written == LARGE)
                continue;
            assert_int_equal(writing->completion.status, TINA_OK);
            assert_in_range(writing->completion.size, 1, LARGE - written);
            written += (uint32_t)writing->completion.size;
            writing->request.data = data + written;
            writing->request.size = LARGE - written;
            rig_renew(writing);
            if (written != LARGE)
                rig_submit(&rig, writing);
        }
        rig_await(&rig, writing);
        close_pipe(&rig, &self);
        rig_close(&rig);
    }
}

/* More readers that wait than there are helper threads: those must not be what waits. */
static void pipes_by_the_dozen_all_wait_at_once(void **state)
{
    (void)state;
    enum { COUNT = 12 };
    for (int i = 0; i < 2; i++) {
        test_rig rig;
        open_small(&rig);
        test_pipe pipes[COUNT];
        rig_request *readings[COUNT];
        for (int k = 0; k < COUNT; k++) {
            pipes[k] = make_pipe(&rig, pipe_flags[i]);
            readings[k] = rig_read_at(&rig, pipes[k].reader, 0, 0);
            rig_submit(&rig, readings[k]);
        }
        rig_turn(&rig, 0);
        rig_put_file(&rig, "file", "x", 1); /* and a disk is worked on meanwhile */
        rig_close_fd(&rig, rig_file(&rig, "file", TINA_OPEN_READ));
        for (int k = COUNT - 1; k >= 0; k--) {
            assert_false(rig_is_over(readings[k]));
            assert_int_equal(rig_do(&rig, rig_write_at(&rig, pipes[k].writer, 0, &k, sizeof k)), TINA_OK);
            rig_await(&rig, readings[k]);
            if (k % 4 == 3)
                continue; /* held for a while */
            rig_lend_back(&rig, readings[k]);
        }
        for (int k = 0; k < COUNT; k++) {
            rig_lend_back(&rig, readings[k]);
            close_pipe(&rig, &pipes[k]);
        }
        rig_close(&rig);
    }
}

/* ---- Others ---- */

static void expect_not_adopted(test_rig *rig, int os_fd)
{
    uint8_t found;
    int os_error;
    assert_int_equal(rig->api->adopt(rig->backend, os_fd, &found, &os_error), TINA_INVALID);
}

static void adopt_of_what_is_not_open_is_invalid(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    expect_not_adopted(&rig, -1);
    expect_not_adopted(&rig, 1 << 20);
    int closed = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(closed);
    expect_not_adopted(&rig, closed);
    rig_close(&rig);
}

static void adopt_of_a_socket_makes_it_non_blocking(void **state)
{
    (void)state;
    static const int types[] = {SOCK_STREAM, SOCK_DGRAM};
    static const uint8_t classes[] = {TINA__FD_STREAM, TINA__FD_DATAGRAM};
    for (int i = 0; i < 2; i++) {
        test_rig rig;
        open_small(&rig);
        int ends[2];
        assert_int_equal(socketpair(AF_UNIX, types[i], 0, ends), 0);
        rig_fd fd = rig_take_in(&rig, ends[0], classes[i]);
        assert_true(fcntl(ends[0], F_GETFL) & O_NONBLOCK);
        rig_request *receiving = i == 0 ? rig_receive(&rig, fd, 0) : rig_receive_from(&rig, fd, 0);
        rig_submit(&rig, receiving);
        rig_turn(&rig, 0);
        assert_false(rig_is_over(receiving));
        assert_int_equal(write(ends[1], "x", 1), 1);
        rig_await(&rig, receiving);
        assert_int_equal(receiving->completion.status, TINA_OK);
        rig_lend_back(&rig, receiving);
        close(ends[1]);
        rig_close_fd(&rig, fd);
        rig_close(&rig);
    }
}

static void adopt_of_a_listener_accepts(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int os_fd = socket(AF_INET, SOCK_STREAM, 0), os_error;
    assert_int_equal(bind(os_fd, (struct sockaddr *)&any, sizeof any), 0);
    assert_int_equal(listen(os_fd, 8), 0);
    rig_fd listener = rig_take_in(&rig, os_fd, TINA__FD_STREAM);
    tina_address address;
    assert_int_equal(rig.api->socket_local(rig.backend, os_fd, &address, &os_error), TINA_OK);
    int client = rig_dial(&rig, &address);
    rig_request *accepting = rig_accept(&rig, listener);
    assert_int_equal(rig_do(&rig, accepting), TINA_OK);
    rig_close_fd(&rig, rig_adopt(&rig, accepting->completion.os_fd));
    rig_drop(&rig, client);
    rig_close_fd(&rig, listener);
    rig_close(&rig);
}

static void adopt_of_a_file_knows_offsets(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    char path[RIG_PATH_SIZE];
    rig_put_file(&rig, "file", "hello", 5);
    rig_fd file = rig_take_in(&rig, open(rig_path(&rig, "file", path), O_RDWR), TINA__FD_FILE);
    rig_request *reading = rig_read_at(&rig, file, 1, 3);
    assert_int_equal(rig_do(&rig, reading), TINA_OK);
    assert_memory_equal(rig_data(&rig, reading), "ell", 3);
    rig_lend_back(&rig, reading);
    rig_close_fd(&rig, file);
    rig_close(&rig);
}

static void adopt_of_a_directory_is_a_file_that_cannot_be_read(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    rig_fd folder = rig_take_in(&rig, open("/tmp", O_RDONLY | O_DIRECTORY), TINA__FD_FILE);
    rig_request *reading = rig_read_at(&rig, folder, 0, 1);
    assert_int_equal(rig_do(&rig, reading), TINA_SYSTEM_ERROR);
    assert_int_equal(reading->completion.os_error, EISDIR);
    assert_int_equal(rig_do(&rig, rig_stat(&rig, folder)), TINA_UNSUPPORTED);
    rig_close_fd(&rig, folder);
    rig_close(&rig);
}

/* Devices are as pipes are: bytes, and no offsets. They can't be watched by every kernel interface. */
static void adopt_of_a_device_reads_and_writes(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    rig_fd zero = rig_take_in(&rig, open("/dev/zero", O_RDWR), TINA__FD_PIPE);
    rig_fd null = rig_take_in(&rig, open("/dev/null", O_RDWR), TINA__FD_PIPE);
    rig_request *reading = rig_read_at(&rig, zero, 0, 10);
    assert_int_equal(rig_do(&rig, reading), TINA_OK);
    assert_memory_equal(rig_data(&rig, reading), (char[10]){0}, 10);
    rig_lend_back(&rig, reading);
    assert_int_equal(rig_do(&rig, rig_read_at(&rig, null, 0, 10)), TINA_CLOSED);
    assert_int_equal(rig_do(&rig, rig_write_at(&rig, null, 0, "x", 1)), TINA_OK);
    rig_close_fd(&rig, zero);
    rig_close_fd(&rig, null);
    rig_close(&rig);
}

/* Its two ends; false: there are none here. The terminal waits, as a shell's does. */
static bool open_terminal(int *control, int *terminal)
{
    *control = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (*control < 0)
        return false;
    char name[64];
    bool is_there = grantpt(*control) == 0 && unlockpt(*control) == 0 && ptsname_r(*control, name, sizeof name) == 0;
    *terminal = is_there ? open(name, O_RDWR | O_NOCTTY | O_CLOEXEC) : -1;
    if (*terminal < 0)
        close(*control);
    return *terminal >= 0;
}

static void adopt_of_a_terminal_reads_a_line(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    int control, os_fd;
    if (!open_terminal(&control, &os_fd)) {
        rig_close(&rig);
        skip();
    }
    rig_fd terminal = rig_take_in(&rig, os_fd, TINA__FD_PIPE);
    rig_request *reading = rig_read_at(&rig, terminal, 0, 0);
    rig_submit(&rig, reading);
    rig_turn(&rig, 0);
    assert_false(rig_is_over(reading));
    assert_int_equal(write(control, "line\n", 5), 5);
    rig_await(&rig, reading);
    assert_int_equal(reading->completion.status, TINA_OK);
    assert_memory_equal(rig_data(&rig, reading), "line\n", 5);
    rig_lend_back(&rig, reading);
    rig_close_fd(&rig, terminal);
    close(control);
    rig_close(&rig);
}

/* Every newline becomes two bytes: more than a terminal that can be written to says that it takes. */
static void terminal_that_nobody_reads_keeps_nobody_waiting(void **state)
{
    (void)state;
    static char lines[4 * PIPE_BUF];
    memset(lines, '\n', sizeof lines);
    test_rig rig;
    open_small(&rig);
    int control, os_fd;
    if (!open_terminal(&control, &os_fd)) {
        rig_close(&rig);
        skip();
    }
    int others = fcntl(os_fd, F_DUPFD_CLOEXEC, 0), flags = fcntl(others, F_GETFL);
    rig_fd terminal = rig_take_in(&rig, os_fd, TINA__FD_PIPE);
    assert_int_equal(fcntl(others, F_GETFL), flags);
    assert_true(fcntl(os_fd, F_GETFD) & FD_CLOEXEC);
    rig_request *writing = rig_write_at(&rig, terminal, 0, lines, sizeof lines);
    do { /* until it waits */
        rig_renew(writing);
        rig_submit(&rig, writing);
        rig_turn(&rig, 0);
        rig_turn(&rig, 10000000);
    } while (rig_is_over(writing));
    rig_cancel(&rig, writing);
    rig_await(&rig, writing);
    assert_int_equal(writing->completion.status, TINA_CANCELLED);
    assert_int_equal(fcntl(others, F_GETFL), flags);
    rig_close_fd(&rig, terminal);
    close(others);
    close(control);
    rig_close(&rig);
}

static void adopt_in_a_made_world_is_unsupported(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    if (!rig_is_made(&rig)) {
        rig_close(&rig);
        skip();
    }
    uint8_t found;
    int os_error;
    assert_int_equal(rig.api->adopt(rig.backend, 0, &found, &os_error), TINA_UNSUPPORTED);
    rig_close(&rig);
}

#define NO_PIPES "there are no pipes"
#define NOT_MADE "the world outside is not made"

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pipe_that_is_adopted_keeps_its_flags),
        cmocka_unit_test(pipe_carries_bytes_that_are_waited_for),
        cmocka_unit_test(pipe_at_its_end_is_closed),
        cmocka_unit_test(pipe_without_a_reader_fails_without_a_signal),
        cmocka_unit_test(pipe_that_is_full_is_written_in_parts),
        cmocka_unit_test(pipes_by_the_dozen_all_wait_at_once),
        cmocka_unit_test(adopt_of_what_is_not_open_is_invalid),
        cmocka_unit_test(adopt_of_a_socket_makes_it_non_blocking),
        cmocka_unit_test(adopt_of_a_listener_accepts),
        cmocka_unit_test(adopt_of_a_file_knows_offsets),
        cmocka_unit_test(adopt_of_a_directory_is_a_file_that_cannot_be_read),
        cmocka_unit_test(adopt_of_a_device_reads_and_writes),
        cmocka_unit_test(adopt_of_a_terminal_reads_a_line),
        cmocka_unit_test(terminal_that_nobody_reads_keeps_nobody_waiting),
        cmocka_unit_test(adopt_in_a_made_world_is_unsupported),
    };
    static const test_unfit unfit[] = {
        {"pipe_that_is_adopted_keeps_its_flags", NO_PIPES},
        {"pipe_carries_bytes_that_are_waited_for", NO_PIPES},
        {"pipe_at_its_end_is_closed", NO_PIPES},
        {"pipe_without_a_reader_fails_without_a_signal", NO_PIPES},
        {"pipe_that_is_full_is_written_in_parts", NO_PIPES},
        {"pipes_by_the_dozen_all_wait_at_once", NO_PIPES},
        {"adopt_of_what_is_not_open_is_invalid", NOT_MADE},
        {"adopt_of_a_socket_makes_it_non_blocking", NOT_MADE},
        {"adopt_of_a_listener_accepts", NOT_MADE},
        {"adopt_of_a_file_knows_offsets", NOT_MADE},
        {"adopt_of_a_directory_is_a_file_that_cannot_be_read", NOT_MADE},
        {"adopt_of_a_device_reads_and_writes", NOT_MADE},
        {"adopt_of_a_terminal_reads_a_line", NOT_MADE},
        {"terminal_that_nobody_reads_keeps_nobody_waiting", NOT_MADE},
    };
    return run_each(tests, sizeof tests / sizeof tests[0], unfit, sizeof unfit / sizeof unfit[0], argc, argv);
}
