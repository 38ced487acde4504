/*
 * What the epoll backend must not believe, and must not leave behind. What it does
 * is the conformance suite's. One thread is left stuck on purpose, and never joined.
 */
/* ctest: not under thread */
#define _GNU_SOURCE 1
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "io/backend.h"
#include "support/leaks.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER_SIZE  256
#define BUFFER_COUNT 4
#define PATIENCE_NS  10000000000ull

static const tina__backend_api *const api = &tina__epoll_backend;

typedef struct rig {
    tina__backend_config config;
    tina__backend *backend;
    tina__io_request request;
    _Alignas(16) uint8_t memory[128];
    size_t fds_before;
} rig;

static void open_rig(rig *self, uint32_t file_threads)
{
    memset(self, 0, sizeof *self);
    self->fds_before = tina_test_fd_count();
    self->config = (tina__backend_config){
        .fd_count = 4,
        .op_count = 4,
        .buffer_count = BUFFER_COUNT,
        .buffer_size = BUFFER_SIZE,
        .file_threads = file_threads,
        .buffers = calloc(BUFFER_COUNT, BUFFER_SIZE),
        .annexes = calloc(BUFFER_COUNT, TINA__ANNEX_SIZE),
        .wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
    };
    size_t size = (api->memory_size(&self->config) + 63) / 64 * 64;
    self->config.memory = aligned_alloc(64, size);
    assert_non_null(self->config.memory);
    memset(self->config.memory, 0, size);
    int os_error;
    const char *why;
    assert_int_equal(api->open(&self->config, &self->backend, &os_error, &why), TINA_OK);
    for (uint32_t i = 0; i < BUFFER_COUNT; i++)
        api->lend(self->backend, i);
}

static void close_rig(rig *self)
{
    api->close(self->backend);
    close(self->config.wake_fd);
    free(self->config.memory);
    free(self->config.buffers);
    free(self->config.annexes);
    assert_int_equal(tina_test_fd_count(), self->fds_before);
}

static void submit(rig *self, tina__io_request request)
{
    self->request = request;
    self->request.backend_memory = self->memory;
    api->submit(self->backend, &self->request);
}

/* In one flush. Gives its buffer back. */
static tina__io_completion await(rig *self)
{
    tina__io_completion completion;
    api->flush(self->backend, PATIENCE_NS);
    assert_int_equal(api->collect(self->backend, &completion, 1), 1);
    if (completion.buffer != TINA__BUFFER_NONE)
        api->lend(self->backend, completion.buffer);
    return completion;
}

/* ---- Short reads ---- */

/* Some bytes, and a descriptor with them: no read goes on beyond those bytes. */
static void send_with_descriptor(int os_fd, const char *text, int attached)
{
    union {
        struct cmsghdr header;
        uint8_t bytes[CMSG_SPACE(sizeof attached)];
    } control = {.bytes = {0}};
    struct iovec part = {.iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text)};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.bytes};
    control.header =
        (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof attached)};
    memcpy(CMSG_DATA(&control.header), &attached, sizeof attached);
    assert_int_equal(sendmsg(os_fd, &message, 0), strlen(text));
}

static void receive_that_is_short_does_not_say_that_nothing_is_left(void **state)
{
    (void)state;
    rig self;
    int ends[2];
    open_rig(&self, 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    tina__io_request receiving = {.kind = TINA__IO_RECEIVE, .fd_class = TINA__FD_STREAM, .os_fd = ends[0]};
    submit(&self, receiving); /* so that it is watched */
    assert_int_equal(write(ends[1], "x", 1), 1);
    assert_int_equal(await(&self).size, 1);
    submit(&self, receiving);
    send_with_descriptor(ends[1], "one", self.config.wake_fd);
    send_with_descriptor(ends[1], "three", self.config.wake_fd);
    assert_int_equal(await(&self).size, 3);
    submit(&self, receiving);
    assert_int_equal(await(&self).size, 5);
    api->close_fd(self.backend, ends[0], 0);
    close(ends[1]);
    close_rig(&self);
}

/* ---- Copies of descriptors ---- */

/* The program has kept a copy: what comes there is not ours. */
static void close_of_a_copy_ends_its_watch(void **state)
{
    (void)state;
    rig self;
    int ends[2];
    open_rig(&self, 0);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    int copy = fcntl(ends[0], F_DUPFD_CLOEXEC, 0);
    tina__io_request reading = {.kind = TINA__IO_READ, .fd_class = TINA__FD_PIPE, .os_fd = copy};
    submit(&self, reading);
    assert_int_equal(write(ends[1], "x", 1), 1);
    assert_int_equal(await(&self).status, TINA_OK);
    api->close_fd(self.backend, copy, 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    struct pollfd watches = {.fd = -1, .events = POLLIN};
    for (int os_fd = 3; os_fd < 256 && watches.fd < 0; os_fd++) { /* an epoll descriptor is readable when it has events */
        struct stat about;
        char path[32], target[64] = "";
        snprintf(path, sizeof path, "/proc/self/fd/%d", os_fd);
        if (fstat(os_fd, &about) == 0 && readlink(path, target, sizeof target - 1) > 0 &&
            strstr(target, "eventpoll") != NULL)
            watches.fd = os_fd;
    }
    assert_true(watches.fd >= 0);
    assert_int_equal(poll(&watches, 1, 0), 0);
    close(ends[0]);
    close(ends[1]);
    close_rig(&self);
}

/* ---- What epoll can't watch ---- */

static void device_that_cannot_be_watched_is_ready_when_a_buffer_is(void **state)
{
    (void)state;
    rig self;
    open_rig(&self, 0);
    int device = open("/dev/zero", O_RDWR | O_CLOEXEC);
    tina__io_completion done;
    tina__io_request reading = {.kind = TINA__IO_READ, .fd_class = TINA__FD_PIPE, .os_fd = device};
    for (uint32_t i = 0; i < BUFFER_COUNT; i++) { /* all buffers out */
        submit(&self, reading);
        api->flush(self.backend, 0);
        assert_int_equal(api->collect(self.backend, &done, 1), 1);
        assert_int_equal(done.size, BUFFER_SIZE);
    }
    submit(&self, reading);
    assert_int_equal(await(&self).status, TINA_BUSY);
    api->lend(self.backend, done.buffer);
    submit(&self, reading);
    assert_int_equal(await(&self).size, BUFFER_SIZE);
    submit(&self,
           (tina__io_request){.kind = TINA__IO_WRITE, .fd_class = TINA__FD_PIPE, .os_fd = device, .data = "x", .size = 1});
    assert_int_equal(await(&self).size, 1);
    api->close_fd(self.backend, device, 0);
    close_rig(&self);
}

/* ---- Without threads ---- */

static void files_without_threads_are_unsupported(void **state)
{
    (void)state;
    static const uint8_t kinds[] = {TINA__IO_OPEN,     TINA__IO_RENAME, TINA__IO_UNLINK, TINA__IO_READ,    TINA__IO_WRITE,
                                    TINA__IO_SENDFILE, TINA__IO_SYNC,   TINA__IO_STAT,   TINA__IO_TRUNCATE};
    rig self;
    open_rig(&self, 0);
    for (size_t i = 0; i < sizeof kinds; i++) {
        submit(&self, (tina__io_request){.kind = kinds[i], .fd_class = TINA__FD_FILE, .os_fd = 0, .data = "/"});
        assert_int_equal(await(&self).status, TINA_UNSUPPORTED);
    }
    close_rig(&self);
}

/* ---- A thread that is stuck ---- */

#define LARGE (1u << 20) /* more than a socket holds */

/* In a socket that the program made wait after all. */
static void abandon_with_a_stuck_thread_says_so_and_close_returns(void **state)
{
    (void)state;
    static rig self; /* so that its memory, which has to stay, is not lost */
    int ends[2];
    open_rig(&self, 1);
    int file = memfd_create("tina", MFD_CLOEXEC);
    assert_int_equal(ftruncate(file, LARGE), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    submit(&self,
           (tina__io_request){
               .kind = TINA__IO_SENDFILE, .fd_class = TINA__FD_STREAM, .os_fd = ends[0], .file_fd = file, .size = LARGE});
    struct pollfd look = {.fd = ends[1], .events = POLLIN};
    api->flush(self.backend, 1);
    while (poll(&look, 1, 0) == 0)
        api->flush(self.backend, 1000000);
    assert_false(api->abandon(self.backend));
    api->close(self.backend);
    close(ends[1]); /* and that is the end of it */
    close(ends[0]);
    close(file);
    close(self.config.wake_fd);
    assert_int_equal(tina_test_fd_count(), self.fds_before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(receive_that_is_short_does_not_say_that_nothing_is_left),
        cmocka_unit_test(close_of_a_copy_ends_its_watch),
        cmocka_unit_test(device_that_cannot_be_watched_is_ready_when_a_buffer_is),
        cmocka_unit_test(files_without_threads_are_unsupported),
        cmocka_unit_test(abandon_with_a_stuck_thread_says_so_and_close_returns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
