/* From a file to a socket: whole, in ranges, slowly, many at once, and to peers that go. */
#define _GNU_SOURCE 1
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "each.h"

#define FILE_SIZE 1200000 /* more than any socket or made window takes at once, and no power of two */

static uint8_t content[FILE_SIZE];

typedef struct sending {
    test_rig rig;
    rig_fd fd, file;
    int other;
    uint8_t *got;
    uint32_t got_size;
} sending;

static void open_sending(sending *self)
{
    for (uint32_t i = 0; i < FILE_SIZE; i++)
        content[i] = (uint8_t)((uint64_t)i * 2654435761u >> 24);
    open_small(&self->rig);
    rig_put_file(&self->rig, "file", content, FILE_SIZE);
    self->file = rig_file(&self->rig, "file", TINA_OPEN_READ);
    self->fd = rig_pair(&self->rig, &self->other);
    self->got = malloc(FILE_SIZE + 1);
    assert_non_null(self->got);
    self->got_size = 0;
}

static void close_sending(sending *self)
{
    if (self->other >= 0)
        rig_drop(&self->rig, self->other);
    rig_close_fd(&self->rig, self->fd);
    rig_close_fd(&self->rig, self->file);
    rig_close(&self->rig);
    free(self->got);
}

/* At most that much of what has come. */
static void read_some(sending *self, size_t max)
{
    size_t room = FILE_SIZE + 1 - self->got_size;
    ssize_t size = rig_read(&self->rig, self->other, self->got + self->got_size, room < max ? room : max);
    self->got_size += size > 0 ? (uint32_t)size : 0;
}

/* As the reactor does: until all is sent, or there is no more of the file. The reader takes so much each turn. */
static uint32_t send_range(sending *self, uint64_t offset, uint32_t size, size_t reads)
{
    rig_request *request = rig_sendfile(&self->rig, self->fd, self->file, offset, size);
    uint32_t sent = 0, turns = 0;
    do {
        request->request.offset = offset + sent;
        request->request.size = size - sent;
        rig_submit(&self->rig, request);
        while (!rig_is_over(request)) {
            read_some(self, reads);
            rig_turn(&self->rig, 1000000);
            assert_in_range(turns++, 0, 1000000);
        }
        assert_int_equal(request->completion.status, TINA_OK);
        assert_in_range(request->completion.size, 0, size - sent);
        sent += (uint32_t)request->completion.size;
        rig_renew(request);
    } while (sent < size && request->completion.size != 0);
    while (self->got_size < sent)
        read_some(self, FILE_SIZE);
    return sent;
}

static void expect_range(uint64_t offset, uint32_t size, size_t reads)
{
    sending self;
    open_sending(&self);
    uint32_t there = offset >= FILE_SIZE ? 0 : (uint32_t)(FILE_SIZE - offset);
    uint32_t expected = size < there ? size : there;
    assert_int_equal(send_range(&self, offset, size, reads), expected);
    assert_int_equal(self.got_size, expected);
    if (expected != 0)
        assert_memory_equal(self.got, content + offset, expected);
    close_sending(&self);
}

static void sendfile_of_a_whole_file_brings_each_byte(void **state)
{
    (void)state;
    expect_range(0, FILE_SIZE, FILE_SIZE);
}

static void sendfile_of_ranges_brings_those(void **state)
{
    (void)state;
    static const uint32_t offsets[] = {0, 1, 4095, 4096, 4097, 65536, FILE_SIZE - 1};
    static const uint32_t sizes[] = {1, 4096, 70001};
    for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
        for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++)
            expect_range(offsets[i], sizes[k], FILE_SIZE);
    }
}

static void sendfile_beyond_the_end_sends_what_is_there_and_then_nothing(void **state)
{
    (void)state;
    expect_range(0, FILE_SIZE + 1, FILE_SIZE);
    expect_range(FILE_SIZE - 10, 1u << 30, FILE_SIZE);
    expect_range(FILE_SIZE, 100, FILE_SIZE);
    expect_range(FILE_SIZE + 5000, 100, FILE_SIZE);
    expect_range((uint64_t)1 << 40, 100, FILE_SIZE);
}

static void sendfile_to_a_slow_reader_goes_out_in_order(void **state)
{
    (void)state;
    expect_range(7, 200000, 777);
}

static void sendfile_of_an_empty_file_sends_nothing(void **state)
{
    (void)state;
    sending self;
    open_sending(&self);
    rig_put_file(&self.rig, "empty", "", 0);
    rig_fd empty = rig_file(&self.rig, "empty", TINA_OPEN_READ);
    rig_request *request = rig_sendfile(&self.rig, self.fd, empty, 0, 100);
    assert_int_equal(rig_do(&self.rig, request), TINA_OK);
    assert_int_equal(request->completion.size, 0);
    rig_close_fd(&self.rig, empty);
    close_sending(&self);
}

/* What it says was sent is what comes, however late its end was asked for. */
static void sendfile_that_is_cancelled_says_how_much_was_sent(void **state)
{
    (void)state;
    for (int turns = 0; turns < 8; turns++) {
        sending self;
        open_sending(&self);
        rig_request *request = rig_sendfile(&self.rig, self.fd, self.file, 0, FILE_SIZE);
        uint32_t sent = 0;
        for (int i = 0; i < turns; i++) {
            if (rig_is_over(request)) {
                sent += (uint32_t)request->completion.size;
                request->request.offset = sent;
                request->request.size = FILE_SIZE - sent;
                rig_renew(request);
                rig_submit(&self.rig, request);
            }
            rig_turn(&self.rig, 0);
            read_some(&self, 3000);
        }
        if (!rig_is_over(request))
            rig_cancel(&self.rig, request);
        rig_await(&self.rig, request);
        uint16_t status = request->completion.status;
        assert_true(status == TINA_OK || status == TINA_CANCELLED);
        sent += (uint32_t)request->completion.size;
        for (uint32_t before = UINT32_MAX; before != self.got_size;) {
            before = self.got_size;
            read_some(&self, FILE_SIZE);
        }
        assert_int_equal(self.got_size, sent);
        assert_memory_equal(self.got, content, sent);
        /* And the socket is none the worse for it. */
        self.got_size = 0;
        assert_int_equal(send_range(&self, 100, 5000, FILE_SIZE), 5000);
        assert_memory_equal(self.got, content + 100, 5000);
        close_sending(&self);
    }
}

static void sendfile_to_a_peer_that_goes_is_reset(void **state)
{
    (void)state;
    for (int turns = 0; turns < 3; turns++) {
        sending self;
        open_sending(&self);
        rig_request *request = rig_sendfile(&self.rig, self.fd, self.file, 0, FILE_SIZE);
        uint64_t sent = 0;
        rig_submit(&self.rig, request);
        for (int i = 0; i < turns; i++)
            rig_turn(&self.rig, 0);
        rig_drop(&self.rig, self.other);
        self.other = -1;
        while (rig_await(&self.rig, request), request->completion.status == TINA_OK) {
            sent += request->completion.size;
            assert_in_range(sent, 1, FILE_SIZE - 1);
            request->request.offset = sent;
            rig_renew(request);
            rig_submit(&self.rig, request);
        }
        assert_int_equal(request->completion.status, TINA_RESET);
        close_sending(&self);
    }
}

/* Over TCP, with a reset in the middle of what the reader was taking. */
static void sendfile_to_a_peer_that_resets_is_reset(void **state)
{
    (void)state;
    sending self;
    open_sending(&self);
    rig_fd client, server;
    int os_error;
    rig_connected(&self.rig, TINA_IPV4, &client, &server);
    rig_request *request = rig_sendfile(&self.rig, client, self.file, 0, 1u << 30);
    rig_submit(&self.rig, request);
    rig_turn(&self.rig, 0);
    assert_int_equal(self.rig.api->socket_set(self.rig.backend, server.os_fd, TINA_OPT_LINGER, 0, &os_error), TINA_OK);
    rig_close_fd(&self.rig, server);
    for (int i = 0; i < 1000 && (rig_await(&self.rig, request), request->completion.status == TINA_OK); i++) {
        rig_renew(request); /* from the start again: it is to be refused, not to be done */
        rig_submit(&self.rig, request);
    }
    assert_int_equal(request->completion.status, TINA_RESET);
    rig_close_fd(&self.rig, client);
    close_sending(&self);
}

static void expect_refused(sending *self, rig_request *request, int os_error)
{
    assert_int_equal(rig_do(&self->rig, request), TINA_SYSTEM_ERROR);
    assert_int_equal(request->completion.os_error, os_error);
    assert_int_equal(request->completion.size, 0);
}

static void sendfile_of_what_cannot_be_read_fails(void **state)
{
    (void)state;
    sending self;
    open_sending(&self);
    rig_fd writer = rig_file(&self.rig, "file", TINA_OPEN_WRITE);
    expect_refused(&self, rig_sendfile(&self.rig, self.fd, writer, 0, 10), EBADF);
    expect_refused(&self, rig_sendfile(&self.rig, self.fd, (rig_fd){.os_fd = 1 << 20}, 0, 10), EBADF);
    assert_int_equal(send_range(&self, 0, 10, 10), 10);
    rig_close_fd(&self.rig, writer);
    close_sending(&self);
}

/* ---- Many ---- */

enum { MANY = 100, RANGE = 400000 }; /* of which no socket takes all */

typedef struct one_of_many {
    rig_fd fd;
    int other;
    uint32_t offset, sent, got;
    rig_request *request;
} one_of_many;

static void start_one(test_rig *rig, one_of_many *self, rig_fd file)
{
    if (self->request == NULL)
        self->request = rig_sendfile(rig, self->fd, file, self->offset, RANGE);
    else
        rig_renew(self->request);
    self->request->request.offset = self->offset + self->sent;
    self->request->request.size = RANGE - self->sent;
    rig_submit(rig, self->request);
}

/* Takes what there is of it; starts the rest where a part is over. False: all of it is sent and read. */
static bool move_one(test_rig *rig, one_of_many *self, rig_fd file)
{
    uint8_t chunk[16000];
    ssize_t size = rig_read(rig, self->other, chunk, sizeof chunk);
    if (size > 0) {
        assert_memory_equal(chunk, content + self->offset + self->got, (size_t)size);
        self->got += (uint32_t)size;
    }
    if (rig_is_over(self->request) && self->sent < RANGE) {
        assert_int_equal(self->request->completion.status, TINA_OK);
        assert_in_range(self->request->completion.size, 1, RANGE - self->sent);
        self->sent += (uint32_t)self->request->completion.size;
        if (self->sent < RANGE)
            start_one(rig, self, file);
    }
    return self->got < RANGE;
}

/* Their progress is their own, and none waits for another's reader: the first reads last. */
static void sendfile_by_the_hundred_at_once_all_complete(void **state)
{
    (void)state;
    static one_of_many many[MANY];
    memset(many, 0, sizeof many);
    sending self;
    open_sending(&self);
    close_sending(&self);
    test_rig rig;
    open_config(
        &rig,
        (tina__backend_config){
            .op_count = 2 * MANY + 8, .fd_count = 2 * MANY, .buffer_count = 4, .buffer_size = 1024, .file_threads = 2});
    rig_put_file(&rig, "file", content, FILE_SIZE);
    rig_fd file = rig_file(&rig, "file", TINA_OPEN_READ);
    for (uint32_t i = 0; i < MANY; i++) {
        many[i].fd = rig_pair(&rig, &many[i].other);
        many[i].offset = i * 1001;
        start_one(&rig, &many[i], file);
    }
    for (uint32_t first = MANY / 2, left = 1, turns = 0; left != 0; turns++) {
        left = first;
        for (uint32_t i = first; i < MANY; i++)
            left += move_one(&rig, &many[i], file);
        if (left == first)
            first = 0; /* the others were stuck all the while */
        rig_turn(&rig, 1000000);
        assert_in_range(turns, 0, 100000);
    }
    for (uint32_t i = 0; i < MANY; i++) {
        rig_drop(&rig, many[i].other);
        rig_close_fd(&rig, many[i].fd);
    }
    rig_close_fd(&rig, file);
    rig_close(&rig);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sendfile_of_a_whole_file_brings_each_byte),
        cmocka_unit_test(sendfile_of_ranges_brings_those),
        cmocka_unit_test(sendfile_beyond_the_end_sends_what_is_there_and_then_nothing),
        cmocka_unit_test(sendfile_to_a_slow_reader_goes_out_in_order),
        cmocka_unit_test(sendfile_of_an_empty_file_sends_nothing),
        cmocka_unit_test(sendfile_that_is_cancelled_says_how_much_was_sent),
        cmocka_unit_test(sendfile_to_a_peer_that_goes_is_reset),
        cmocka_unit_test(sendfile_to_a_peer_that_resets_is_reset),
        cmocka_unit_test(sendfile_of_what_cannot_be_read_fails),
        cmocka_unit_test(sendfile_by_the_hundred_at_once_all_complete),
    };
    return run_each(tests, sizeof tests / sizeof tests[0], NULL, 0, argc, argv);
}
