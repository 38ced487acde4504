#define _GNU_SOURCE 1
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bits.h"
#include "io/files.h"
#include "support/leaks.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define PLUG_SIZE    (1u << 20) /* more than a socket holds */
#define BUFFER_COUNT 4
#define BUFFER_SIZE  64
#define MANY         100 /* more than there are places */

typedef struct test_request {
    tina__io_request request;
    _Alignas(16) uint8_t memory[128];
} test_request;

/* One thread, whose work can be held up by a plug: a file sent to a socket that is full. */
typedef struct rig {
    tina__files files;
    tina__lent lent;
    uint8_t buffers[BUFFER_COUNT * BUFFER_SIZE];
    uint32_t stack[BUFFER_COUNT];
    test_request requests[MANY + 1];
    void *memory;
    int wake_fd;
    int file;
    int plug[2];
    size_t fds_before;
} rig;

static void open_rig(rig *self)
{
    memset(self, 0, sizeof *self);
    self->fds_before = tina_test_fd_count();
    const tina__backend_config config = {.buffers = self->buffers, .buffer_size = BUFFER_SIZE, .buffer_count = BUFFER_COUNT};
    self->lent = tina__lent_make(&config, self->stack);
    size_t size = tina__align_up(tina__files_memory_size(1), 64);
    self->memory = aligned_alloc(64, size);
    assert_non_null(self->memory);
    memset(self->memory, 0, size);
    self->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    self->file = memfd_create("tina", MFD_CLOEXEC);
    assert_int_equal(ftruncate(self->file, PLUG_SIZE), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, self->plug), 0);
    int os_error;
    assert_int_equal(tina__files_open(&self->files, 1, self->wake_fd, self->memory, &self->lent, &os_error), TINA_OK);
    for (uint32_t i = 0; i < BUFFER_COUNT; i++)
        tina__lent_push(&self->lent, i);
}

static void close_rig(rig *self)
{
    tina__files_close(&self->files);
    close(self->wake_fd);
    close(self->file);
    close(self->plug[0]);
    close(self->plug[1]);
    free(self->memory);
    assert_int_equal(tina_test_fd_count(), self->fds_before);
}

static tina__io_request *submit(rig *self, uint32_t index, tina__io_request request)
{
    test_request *one = &self->requests[index];
    one->request = request;
    one->request.token = index;
    one->request.fd_class = TINA__FD_FILE;
    one->request.backend_memory = one->memory;
    tina__files_submit(&self->files, &one->request);
    return &one->request;
}

static tina__io_request *submit_read(rig *self, uint32_t index)
{
    return submit(self, index, (tina__io_request){.kind = TINA__IO_READ, .os_fd = self->file, .size = 8, .offset = index});
}

static tina__io_request *submit_write(rig *self, uint32_t index)
{
    return submit(self, index,
                  (tina__io_request){.kind = TINA__IO_WRITE, .os_fd = self->file, .data = "x", .size = 1, .offset = index});
}

static void put_plug(rig *self)
{
    submit(self, MANY,
           (tina__io_request){.kind = TINA__IO_SENDFILE, .os_fd = self->plug[0], .file_fd = self->file, .size = PLUG_SIZE});
    struct pollfd look = {.fd = self->plug[1], .events = POLLIN};
    assert_int_equal(poll(&look, 1, 30000), 1);
}

static void pull_plug(const rig *self)
{
    char *bytes = malloc(PLUG_SIZE);
    assert_non_null(bytes);
    for (size_t left = PLUG_SIZE; left != 0;) {
        ssize_t size = read(self->plug[1], bytes, left);
        assert_true(size > 0);
        left -= (size_t)size;
    }
    free(bytes);
}

static tina__io_request *await(rig *self, tina__io_completion *completion)
{
    for (;;) {
        tina__io_request *request = tina__files_reap(&self->files, completion);
        if (request != NULL)
            return request;
        struct pollfd look = {.fd = self->wake_fd, .events = POLLIN};
        assert_int_equal(poll(&look, 1, 30000), 1);
        uint64_t count;
        assert_int_equal(read(self->wake_fd, &count, sizeof count), sizeof count);
    }
}

static void expect(rig *self, uint32_t index)
{
    tina__io_completion completion;
    assert_ptr_equal(await(self, &completion), &self->requests[index].request);
    assert_int_equal(completion.token, index);
    assert_int_equal(completion.status, TINA_OK);
}

/* ---- Waiting for a place ---- */

static void more_than_there_are_places_for_are_done_in_order(void **state)
{
    (void)state;
    rig self;
    open_rig(&self);
    put_plug(&self);
    for (uint32_t i = 0; i < MANY; i++)
        submit_write(&self, i);
    pull_plug(&self);
    expect(&self, MANY);
    for (uint32_t i = 0; i < MANY; i++)
        expect(&self, i);
    char bytes[MANY + 1] = "";
    assert_int_equal(pread(self.file, bytes, MANY, 0), MANY);
    assert_int_equal(strspn(bytes, "x"), MANY);
    close_rig(&self);
}

/* With a place or without one: wherever it stands in the line. */
static void cancel_takes_out_what_was_not_begun(void **state)
{
    (void)state;
    rig self;
    open_rig(&self);
    put_plug(&self);
    assert_false(tina__files_cancel(&self.files, &self.requests[MANY].request));
    for (uint32_t i = 0; i < MANY; i++)
        submit_write(&self, i);
    for (uint32_t i = 0; i < MANY; i++) {
        if (i % 3 != 1)
            assert_true(tina__files_cancel(&self.files, &self.requests[i].request));
    }
    submit_write(&self, 0); /* behind the others now */
    pull_plug(&self);
    expect(&self, MANY);
    for (uint32_t i = 1; i < MANY; i += 3)
        expect(&self, i);
    expect(&self, 0);
    tina__io_completion completion;
    assert_null(tina__files_reap(&self.files, &completion));
    close_rig(&self);
}

/* ---- Buffers ---- */

static void read_that_waits_for_a_place_holds_no_buffer(void **state)
{
    (void)state;
    rig self;
    open_rig(&self);
    put_plug(&self);
    for (uint32_t i = 1; i < TINA__FILE_PLACES_PER_THREAD; i++)
        submit_write(&self, i);
    submit_read(&self, 0);
    assert_int_equal(self.lent.count, BUFFER_COUNT);
    pull_plug(&self);
    expect(&self, MANY); /* and its place is free for the read */
    assert_int_equal(self.lent.count, BUFFER_COUNT - 1);
    for (uint32_t i = 1; i < TINA__FILE_PLACES_PER_THREAD; i++)
        expect(&self, i);
    expect(&self, 0);
    close_rig(&self);
}

static void read_that_brings_nothing_gives_its_buffer_back(void **state)
{
    (void)state;
    rig self;
    open_rig(&self);
    tina__io_completion completion;
    tina__io_request *reading =
        submit(&self, 0, (tina__io_request){.kind = TINA__IO_READ, .os_fd = self.file, .offset = PLUG_SIZE});
    assert_ptr_equal(await(&self, &completion), reading);
    assert_int_equal(completion.status, TINA_OK);
    assert_int_equal(completion.size, 0);
    assert_int_equal(completion.buffer, TINA__BUFFER_NONE);
    reading = submit(&self, 0, (tina__io_request){.kind = TINA__IO_READ, .os_fd = -1});
    assert_ptr_equal(await(&self, &completion), reading);
    assert_int_equal(completion.status, TINA_SYSTEM_ERROR);
    assert_int_equal(completion.buffer, TINA__BUFFER_NONE);
    put_plug(&self);
    reading = submit_read(&self, 0);
    assert_int_equal(self.lent.count, BUFFER_COUNT - 1);
    assert_true(tina__files_cancel(&self.files, reading));
    assert_int_equal(self.lent.count, BUFFER_COUNT);
    pull_plug(&self);
    expect(&self, MANY);
    close_rig(&self);
}

static void read_without_a_buffer_is_busy_and_does_not_hold_up_the_others(void **state)
{
    (void)state;
    rig self;
    open_rig(&self);
    tina__io_completion completion;
    for (uint32_t i = 0; i < BUFFER_COUNT; i++) {
        submit_read(&self, i);
        assert_ptr_equal(await(&self, &completion), &self.requests[i].request);
        assert_int_not_equal(completion.buffer, TINA__BUFFER_NONE);
    }
    submit_read(&self, 10);
    submit_read(&self, 11);
    submit_write(&self, 12);
    for (uint32_t i = 10; i < 12; i++) {
        assert_ptr_equal(tina__files_reap(&self.files, &completion), &self.requests[i].request);
        assert_int_equal(completion.status, TINA_BUSY);
        assert_int_equal(completion.buffer, TINA__BUFFER_NONE);
    }
    expect(&self, 12);
    submit_read(&self, 10);
    submit_write(&self, 11);
    assert_true(tina__files_cancel(&self.files, &self.requests[10].request));
    expect(&self, 11);
    close_rig(&self);
}

/* ---- Opens ---- */

static tina__io_request *submit_open(rig *self, uint32_t index)
{
    return submit(self, index, (tina__io_request){.kind = TINA__IO_OPEN, .os_fd = -1, .data = "/", .flags = TINA_OPEN_READ});
}

/* As its collector does: the completion lies with the request from the reaping on. */
static int reap_open(rig *self, tina__io_request **request)
{
    tina__io_completion *completion;
    tina__io_completion came;
    *request = await(self, &came);
    completion = (*request)->backend_memory;
    *completion = came;
    return came.os_fd;
}

static void open_is_closed_by_abandon_until_it_was_handed_out(void **state)
{
    (void)state;
    rig self;
    open_rig(&self);
    size_t fds = tina_test_fd_count();
    tina__io_request *request;
    submit_open(&self, 0);
    submit_open(&self, 1);
    submit_open(&self, 2);
    int mine = reap_open(&self, &request);
    tina__files_hand_out(&self.files, request);
    tina__files_hands_off(&self.files); /* its collect has returned */
    (void)reap_open(&self, &request);
    tina__files_hand_out(&self.files, request); /* its collect has not */
    assert_true(tina__files_abandon(&self.files));
    assert_int_equal(tina_test_fd_count(), fds + 1);
    close(mine);
    close_rig(&self);
}

static void opens_that_are_collected_make_room_for_more(void **state)
{
    (void)state;
    rig self;
    open_rig(&self);
    tina__io_request *request;
    for (uint32_t i = 0; i < MANY; i++)
        submit_open(&self, i);
    for (uint32_t i = 0; i < MANY; i++) {
        int os_fd = reap_open(&self, &request);
        assert_true(os_fd >= 0);
        tina__files_hand_out(&self.files, request);
        if (i % 3 == 2 || i + 1 == MANY)
            tina__files_hands_off(&self.files);
        close(os_fd);
    }
    close_rig(&self);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(more_than_there_are_places_for_are_done_in_order),
        cmocka_unit_test(cancel_takes_out_what_was_not_begun),
        cmocka_unit_test(read_that_waits_for_a_place_holds_no_buffer),
        cmocka_unit_test(read_that_brings_nothing_gives_its_buffer_back),
        cmocka_unit_test(read_without_a_buffer_is_busy_and_does_not_hold_up_the_others),
        cmocka_unit_test(open_is_closed_by_abandon_until_it_was_handed_out),
        cmocka_unit_test(opens_that_are_collected_make_room_for_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
