/* Files, datagrams and pipes against a backend that does what the test says: which request an operation becomes, and what comes of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/rig.h"

#include "core/buffers.h"

#include <string.h>

#define BUFFER_SIZE 256

static rig_plan plan;
static rig_actor a, b;
static uint8_t bytes[4096]; /* static memory, which a large write may name */

static rig_system *start(void)
{
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 7 + i / 256);
    rig_plan_init(&plan, 1, 2);
    rig_plan_child(&plan, 0, 0, &a);
    rig_plan_child(&plan, 0, 1, &b);
    return rig_start(&plan);
}

static void expect_io(const rig_actor *actor, tina_tag tag, tina_status status, uint64_t size)
{
    assert_int_equal(rig_saw_last(actor)->tag, tag);
    assert_int_equal(rig_saw_last(actor)->status, status);
    assert_int_equal(rig_saw_last(actor)->size, size);
}

static const tina_op open_op = {.kind = TINA_IO_OPEN, .path = "some/file", .flags = TINA_OPEN_READ | TINA_OPEN_WRITE};

/* What the actor opened, as that class. */
static tina_fd open_as(rig_system *rig, rig_actor *actor, tina__fd_class fd_class)
{
    rig_io(rig, actor, &open_op);
    rig_complete_open(rig, 0, rig_request_last(rig, 0), fd_class);
    rig_settle(rig);
    expect_io(actor, TINA_IO_OPEN, TINA_OK, 0);
    return rig_saw_last(actor)->fd;
}

/* ---- Paths --------------------------------------------------------------------------------------- */

static void open_asks_for_a_copy_of_the_path_and_brings_an_owned_descriptor(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    char path[] = "dir/name";
    tina_op op = {.kind = TINA_IO_OPEN, .path = path, .flags = TINA_OPEN_WRITE | TINA_OPEN_CREATE, .user = 5};
    rig_io(rig, &a, &op);
    memset(path, 'x', sizeof path);
    tina__io_request *request = rig_request_last(rig, 0);
    assert_int_equal(request->kind, TINA__IO_OPEN);
    assert_string_equal((const char *)request->data, "dir/name");
    assert_int_equal(request->flags, TINA_OPEN_WRITE | TINA_OPEN_CREATE);
    assert_int_equal(request->mode, 0644);
    assert_int_equal(request->slot, TINA__SLOT_NONE);
    rig_complete_open(rig, 0, request, TINA__FD_FILE);
    rig_settle(rig);
    expect_io(&a, TINA_IO_OPEN, TINA_OK, 0);
    assert_int_equal(rig_saw_last(&a)->user, 5);
    assert_false(tina_fd_is_none(rig_saw_last(&a)->fd));
    assert_int_equal(rig_stats(rig, 0).fds.used, 1);
    assert_int_equal(rig_stats(rig, 0).buffers.used, 0);
    rig_end(rig);
}

static void open_that_fails_gives_its_descriptor_and_buffer_back(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    rig_io(rig, &a, &open_op);
    assert_int_equal(rig_stats(rig, 0).fds.used, 1);
    rig_complete(rig, 0, rig_request_last(rig, 0), TINA_NOT_FOUND, 0);
    rig_settle(rig);
    expect_io(&a, TINA_IO_OPEN, TINA_NOT_FOUND, 0);
    assert_true(tina_fd_is_none(rig_saw_last(&a)->fd));
    assert_int_equal(rig_stats(rig, 0).fds.used, 0);
    assert_int_equal(rig_stats(rig, 0).io_failed, 1);
    rig_end(rig);
}

static void open_whose_isolate_ended_closes_what_it_brings(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    rig->backends[0].holds_cancels = true;
    assert_int_equal(rig_io_start(rig, &a, &open_op), TINA_OK);
    tina__io_request *request = rig_request_last(rig, 0);
    rig_crash(rig, &a);
    assert_true(rig_is_cancelled(rig, 0, request));
    rig_complete_open(rig, 0, request, TINA__FD_FILE);
    rig_settle(rig);
    assert_int_equal(rig->backends[0].os_fd_count, 0);
    assert_int_equal(rig_stats(rig, 0).fds.used, 0);
    assert_int_equal(rig_stats(rig, 0).io_late, 1);
    rig_end(rig);
}

static void rename_and_unlink_bring_their_paths(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    tina_op rename = {.kind = TINA_IO_RENAME, .path = "old", .new_path = "newer"};
    rig_io(rig, &a, &rename);
    tina__io_request *request = rig_request_last(rig, 0);
    assert_int_equal(request->kind, TINA__IO_RENAME);
    assert_string_equal((const char *)request->data, "old");
    assert_string_equal((const char *)request->data + request->size, "newer");
    rig_complete(rig, 0, request, TINA_OK, 0);
    rig_settle(rig);
    expect_io(&a, TINA_IO_RENAME, TINA_OK, 0);
    tina_op unlink = {.kind = TINA_IO_UNLINK, .path = "gone"};
    rig_io(rig, &a, &unlink);
    request = rig_request_last(rig, 0);
    assert_int_equal(request->kind, TINA__IO_UNLINK);
    assert_string_equal((const char *)request->data, "gone");
    rig_complete(rig, 0, request, TINA_OK, 0);
    rig_settle(rig);
    expect_io(&a, TINA_IO_UNLINK, TINA_OK, 0);
    rig_end(rig);
}

static void path_that_is_none_or_too_long_or_asks_for_nonsense_is_invalid(void **unused)
{
    (void)unused;
    static char longest[BUFFER_SIZE], too_long[BUFFER_SIZE + 1];
    memset(longest, 'p', BUFFER_SIZE - 1);
    memset(too_long, 'p', BUFFER_SIZE);
    const tina_op wrong[] = {
        {.kind = TINA_IO_OPEN, .flags = TINA_OPEN_READ},
        {.kind = TINA_IO_OPEN, .path = "", .flags = TINA_OPEN_READ},
        {.kind = TINA_IO_OPEN, .path = too_long, .flags = TINA_OPEN_READ},
        {.kind = TINA_IO_OPEN, .path = "p"},
        {.kind = TINA_IO_OPEN, .path = "p", .flags = TINA_OPEN_CREATE},
        {.kind = TINA_IO_OPEN, .path = "p", .flags = TINA_OPEN_READ | 1024},
        {.kind = TINA_IO_OPEN, .path = "p", .flags = TINA_OPEN_WRITE | TINA_OPEN_EXCLUSIVE},
        {.kind = TINA_IO_OPEN, .path = "p", .flags = TINA_OPEN_READ | TINA_OPEN_TRUNCATE},
        {.kind = TINA_IO_OPEN, .path = "p", .flags = TINA_OPEN_READ, .mode = 010000},
        {.kind = TINA_IO_RENAME, .path = "p"},
        {.kind = TINA_IO_RENAME, .new_path = "p"},
        {.kind = TINA_IO_RENAME, .path = longest, .new_path = "p"},
        {.kind = TINA_IO_UNLINK},
    };
    rig_system *rig = start();
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(rig_io_start(rig, &a, &wrong[i]), TINA_INVALID);
    tina_op right = {.kind = TINA_IO_UNLINK, .path = longest};
    assert_int_equal(rig_io_start(rig, &a, &right), TINA_OK);
    assert_int_equal(rig_request_count(rig, 0), 1);
    rig_end(rig);
}

static void path_that_is_past_its_deadline_is_timed_out(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    tina_op op = open_op;
    op.timeout_ns = 5 * RIG_MS;
    rig_io(rig, &a, &op);
    rig_advance(rig, 7 * RIG_MS);
    expect_io(&a, TINA_IO_OPEN, TINA_TIMED_OUT, 0);
    rig_end(rig);
}

/* ---- Which request, by what the descriptor is ------------------------------------------------------ */

static void operation_becomes_what_its_descriptor_knows(void **unused)
{
    (void)unused;
    enum { NO = -1 };
    static const struct {
        tina_tag kind;
        int by_class[4]; /* stream, datagram, pipe, file */
    } rows[] = {
        {TINA_IO_ACCEPT, {TINA__IO_ACCEPT, NO, NO, NO}},
        {TINA_IO_CONNECT, {TINA__IO_CONNECT, TINA__IO_CONNECT, NO, NO}},
        {TINA_IO_RECV, {TINA__IO_RECEIVE, TINA__IO_RECEIVE_FROM, TINA__IO_READ, NO}},
        {TINA_IO_READ, {TINA__IO_RECEIVE, TINA__IO_RECEIVE_FROM, TINA__IO_READ, TINA__IO_READ}},
        {TINA_IO_RECVFROM, {NO, TINA__IO_RECEIVE_FROM, NO, NO}},
        {TINA_IO_SEND, {TINA__IO_SEND, TINA__IO_SEND_TO, TINA__IO_WRITE, NO}},
        {TINA_IO_WRITE, {TINA__IO_SEND, TINA__IO_SEND_TO, TINA__IO_WRITE, TINA__IO_WRITE}},
        {TINA_IO_SENDTO, {NO, TINA__IO_SEND_TO, NO, NO}},
        {TINA_IO_STAT, {NO, NO, NO, TINA__IO_STAT}},
        {TINA_IO_SYNC, {NO, NO, NO, TINA__IO_SYNC}},
        {TINA_IO_TRUNCATE, {NO, NO, NO, TINA__IO_TRUNCATE}},
        {TINA_IO_SENDFILE, {NO, NO, NO, NO}}, /* its file is none */
    };
    tina_address address = tina_ipv4(127, 0, 0, 1, 9);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (int fd_class = TINA__FD_STREAM; fd_class <= TINA__FD_FILE; fd_class++) {
            rig_system *rig = start();
            tina_fd fd = open_as(rig, &a, (tina__fd_class)fd_class);
            bool has_data = rows[i].kind != TINA_IO_TRUNCATE;
            tina_op op = {.kind = rows[i].kind, .fd = fd, .data = has_data ? "x" : NULL, .size = 1, .address = &address};
            tina_status status = rig_io_start(rig, &a, &op);
            if (rows[i].by_class[fd_class] == NO) {
                assert_int_equal(status, rows[i].kind == TINA_IO_SENDFILE && fd_class == TINA__FD_STREAM ? TINA_STALE_HANDLE
                                                                                                         : TINA_INVALID);
            } else {
                assert_int_equal(status, TINA_OK);
                assert_int_equal(rig_request_last(rig, 0)->kind, rows[i].by_class[fd_class]);
                assert_int_equal(rig_request_last(rig, 0)->fd_class, fd_class);
            }
            rig_end(rig);
        }
    }
}

/* ---- Files --------------------------------------------------------------------------------------------- */

static void read_at_an_offset_delivers_and_at_the_end_is_ok_with_nothing(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    tina_fd fd = open_as(rig, &a, TINA__FD_FILE);
    tina_op op = {.kind = TINA_IO_READ, .fd = fd, .offset = 1ull << 33, .size = 100};
    rig_io(rig, &a, &op);
    tina__io_request *request = rig_request_of(rig, fd, TINA__IO_READ);
    assert_int_equal(request->offset, 1ull << 33);
    assert_int_equal(request->size, 100);
    rig_complete_receive(rig, 0, request, "abcdefgh", 8);
    rig_settle(rig);
    expect_io(&a, TINA_IO_READ, TINA_OK, 8);
    assert_memory_equal(&rig_saw_last(&a)->value, "abcdefgh", 8);
    rig_io(rig, &a, &op);
    rig_complete(rig, 0, rig_request_of(rig, fd, TINA__IO_READ), TINA_OK, 0);
    rig_settle(rig);
    expect_io(&a, TINA_IO_READ, TINA_OK, 0);
    rig_end(rig);
}

static void read_without_a_buffer_waits_for_one(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    tina_fd fd = open_as(rig, &a, TINA__FD_FILE);
    tina_op op = {.kind = TINA_IO_READ, .fd = fd};
    rig_io(rig, &a, &op);
    rig_complete(rig, 0, rig_request_of(rig, fd, TINA__IO_READ), TINA_BUSY, 0);
    rig_settle(rig);
    assert_int_equal(rig_count_tag(&a, TINA_IO_READ), 0);
    rig_complete_receive(rig, 0, rig_request_of(rig, fd, TINA__IO_READ), "x", 1);
    rig_settle(rig);
    expect_io(&a, TINA_IO_READ, TINA_OK, 1);
    rig_end(rig);
}

/* A disk may stand still: what waits for it leaves most buffers to peers, and what finds none is not tried again and again. */
static void reads_of_files_leave_buffers_to_receives(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    uint32_t most = tina__buffers_for_files(rig->shards[0]);
    tina_fd files[8];
    assert_in_range(most, 1, 6);
    for (uint32_t i = 0; i < most + 2; i++) {
        files[i] = open_as(rig, &a, TINA__FD_FILE);
        tina_op read = {.kind = TINA_IO_READ, .fd = files[i]};
        assert_int_equal(rig_io_start(rig, &a, &read), TINA_OK);
    }
    assert_int_equal(rig_request_count(rig, 0), most);
    /* Each holds a buffer, and what b received and has not looked at holds the rest: no receive is fed with what files hold. */
    tina_fd idle = rig_socket(rig, &b);
    tina_op wait = {.kind = TINA_IO_RECV, .fd = idle};
    for (uint32_t left = rig->shards[0]->buffers_lent - most; left != 0; left--) {
        tina_op receive = {.kind = TINA_IO_RECV, .fd = rig_socket(rig, &b)};
        assert_int_equal(rig_io_start(rig, &b, &receive), TINA_OK);
    }
    rig_io(rig, &b, &wait);
    while (rig->shards[0]->buffers_lent > most) {
        tina__io_request *request = rig_request_last(rig, 0);
        if (request->slot == tina__word_index(idle.bits))
            request = rig->backends[0].requests[rig->backends[0].request_count - 2].request;
        rig_complete_receive(rig, 0, request, "x", 1);
        rig_settle(rig);
    }
    tina_fd socket = rig_socket(rig, &a);
    tina_op receive = {.kind = TINA_IO_RECV, .fd = socket};
    assert_int_equal(rig_io_start(rig, &a, &receive), TINA_OK);
    rig_complete(rig, 0, rig_request_of(rig, socket, TINA__IO_RECEIVE), TINA_BUSY, 0);
    assert_true(rig_settle_within(rig, 4));
    assert_null(rig_request_of(rig, socket, TINA__IO_RECEIVE));
    rig_complete(rig, 0, rig_request_of(rig, files[0], TINA__IO_READ), TINA_OK, 0);
    rig_settle(rig);
    assert_non_null(rig_request_of(rig, socket, TINA__IO_RECEIVE));
    assert_non_null(rig_request_of(rig, files[most], TINA__IO_READ));
    rig_end(rig);
}

static void write_of_much_goes_in_chunks_at_growing_offsets(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    tina_fd fd = open_as(rig, &a, TINA__FD_FILE);
    const tina_bytes parts[] = {{bytes, 300}, {bytes + 300, 0}, {bytes + 300, 500}};
    tina_op op = {.kind = TINA_IO_WRITE, .fd = fd, .parts = parts, .part_count = 3, .offset = 1000};
    rig_io(rig, &a, &op);
    uint64_t done = 0;
    while (done < 800) {
        tina__io_request *request = rig_request_of(rig, fd, TINA__IO_WRITE);
        assert_non_null(request);
        assert_int_equal(request->offset, 1000 + done);
        assert_memory_equal(request->data, bytes + done, request->size);
        uint32_t taken = request->size > 100 ? request->size - 50 : request->size;
        done += taken;
        rig_complete(rig, 0, request, TINA_OK, taken);
        rig_settle(rig);
    }
    expect_io(&a, TINA_IO_WRITE, TINA_OK, 800);
    assert_int_equal(rig_stats(rig, 0).bytes_out, 800);
    rig_end(rig);
}

static void write_to_a_full_disk_says_how_much_went(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    tina_fd fd = open_as(rig, &a, TINA__FD_FILE);
    tina_op op = {.kind = TINA_IO_WRITE, .fd = fd, .data = bytes, .size = 600};
    rig_io(rig, &a, &op);
    rig_complete(rig, 0, rig_request_of(rig, fd, TINA__IO_WRITE), TINA_OK, BUFFER_SIZE);
    rig_settle(rig);
    rig_complete(rig, 0, rig_request_of(rig, fd, TINA__IO_WRITE), TINA_DISK_FULL, 0);
    rig_settle(rig);
    expect_io(&a, TINA_IO_WRITE, TINA_DISK_FULL, BUFFER_SIZE);
    rig_end(rig);
}

static void stat_tells_a_size_of_64_bits(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    tina_fd fd = open_as(rig, &a, TINA__FD_FILE);
    tina_op op = {.kind = TINA_IO_STAT, .fd = fd};
    rig_io(rig, &a, &op);
    tina__io_request *request = rig_request_of(rig, fd, TINA__IO_STAT);
    memset((void *)(uintptr_t)request->data, 1, TINA__ANNEX_SIZE); /* the backend's to write to */
    rig_complete(rig, 0, request, TINA_OK, 3000000000u);
    rig_settle(rig);
    expect_io(&a, TINA_IO_STAT, TINA_OK, 3000000000u);
    rig_end(rig);
}

static void truncate_and_sync_ask_for_that(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    tina_fd fd = open_as(rig, &a, TINA__FD_FILE);
    tina_op op = {.kind = TINA_IO_TRUNCATE, .fd = fd, .size = 12345};
    rig_io(rig, &a, &op);
    assert_int_equal(rig_request_of(rig, fd, TINA__IO_TRUNCATE)->offset, 12345);
    rig_complete(rig, 0, rig_request_of(rig, fd, TINA__IO_TRUNCATE), TINA_OK, 0);
    rig_settle(rig);
    expect_io(&a, TINA_IO_TRUNCATE, TINA_OK, 0);
    op = (tina_op){.kind = TINA_IO_SYNC, .fd = fd};
    rig_io(rig, &a, &op);
    rig_complete(rig, 0, rig_request_of(rig, fd, TINA__IO_SYNC), TINA_OK, 0);
    rig_settle(rig);
    expect_io(&a, TINA_IO_SYNC, TINA_OK, 0);
    rig_end(rig);
}

static void offset_that_no_file_has_is_invalid(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    tina_fd fd = open_as(rig, &a, TINA__FD_FILE);
    tina_op op = {.kind = TINA_IO_READ, .fd = fd, .offset = (uint64_t)INT64_MAX + 1};
    assert_int_equal(rig_io_start(rig, &a, &op), TINA_INVALID);
    op = (tina_op){.kind = TINA_IO_WRITE, .fd = fd, .data = "xy", .size = 2, .offset = INT64_MAX - 1};
    assert_int_equal(rig_io_start(rig, &a, &op), TINA_INVALID);
    op.offset--;
    assert_int_equal(rig_io_start(rig, &a, &op), TINA_OK);
    op = (tina_op){.kind = TINA_IO_READ, .fd = open_as(rig, &b, TINA__FD_PIPE), .offset = UINT64_MAX};
    assert_int_equal(rig_io_start(rig, &b, &op), TINA_OK); /* a pipe has no offsets */
    rig_end(rig);
}

/* What waits on a disk may take all of its share, and no more: sends that do not wait still go. */
static void writes_leave_the_last_of_the_share_to_sends_that_do_not_wait(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    tina_op unlink = {.kind = TINA_IO_UNLINK, .path = "p"};
    uint32_t held = 0;
    while (rig_io_start(rig, &a, &unlink) == TINA_OK)
        held++;
    assert_true(held != 0);
    assert_int_equal(rig->shards[0]->buffers_sending, held);
    tina_fd socket = rig_socket(rig, &b);
    tina_op send = {.kind = TINA_IO_SEND, .fd = socket, .data = "x", .size = 1};
    assert_int_equal(rig_io_start(rig, &b, &send), TINA_OK);
    assert_true(rig_request_of(rig, socket, TINA__IO_SEND)->no_wait);
    rig_end(rig);
}

/* ---- Sendfile --------------------------------------------------------------------------------------------- */

typedef struct pair {
    tina_fd socket, file;
} pair;

static pair open_pair(rig_system *rig)
{
    pair both = {.socket = rig_socket(rig, &a)};
    both.file = open_as(rig, &a, TINA__FD_FILE);
    return both;
}

static void sendfile_goes_on_until_all_is_sent(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    pair on = open_pair(rig);
    tina_op op = {.kind = TINA_IO_SENDFILE, .fd = on.socket, .file = on.file, .offset = 10, .size = 1000};
    rig_io(rig, &a, &op);
    static const uint32_t steps[] = {1, 400, 599};
    uint64_t done = 0;
    for (int i = 0; i < 3; i++) {
        tina__io_request *request = rig_request_of(rig, on.socket, TINA__IO_SENDFILE);
        assert_non_null(request);
        assert_int_equal(request->offset, 10 + done);
        assert_int_equal(request->size, 1000 - done);
        done += steps[i];
        rig_complete(rig, 0, request, TINA_OK, steps[i]);
        rig_settle(rig);
    }
    expect_io(&a, TINA_IO_SENDFILE, TINA_OK, 1000);
    assert_int_equal(rig_saw_last(&a)->fd.bits, on.socket.bits);
    assert_int_equal(rig_stats(rig, 0).bytes_out, 1000);
    rig_end(rig);
}

static void sendfile_of_a_file_that_ends_is_ok_only_where_no_size_was_asked(void **unused)
{
    (void)unused;
    for (uint64_t size = 0; size <= 500; size += 500) {
        rig_system *rig = start();
        pair on = open_pair(rig);
        tina_op op = {.kind = TINA_IO_SENDFILE, .fd = on.socket, .file = on.file, .size = size};
        rig_io(rig, &a, &op);
        rig_complete(rig, 0, rig_request_of(rig, on.socket, TINA__IO_SENDFILE), TINA_OK, 300);
        rig_settle(rig);
        rig_complete(rig, 0, rig_request_of(rig, on.socket, TINA__IO_SENDFILE), TINA_OK, 0);
        rig_settle(rig);
        expect_io(&a, TINA_IO_SENDFILE, size == 0 ? TINA_OK : TINA_CLOSED, 300);
        rig_end(rig);
    }
}

static void sendfile_keeps_both_descriptors_busy(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    pair on = open_pair(rig);
    tina_op op = {.kind = TINA_IO_SENDFILE, .fd = on.socket, .file = on.file};
    assert_int_equal(rig_io_start(rig, &a, &op), TINA_OK);
    tina_op send = {.kind = TINA_IO_SEND, .fd = on.socket, .data = "x", .size = 1};
    assert_int_equal(rig_io_start(rig, &a, &send), TINA_BUSY);
    tina_op read = {.kind = TINA_IO_READ, .fd = on.file};
    assert_int_equal(rig_io_start(rig, &a, &read), TINA_BUSY);
    tina_fd other = rig_socket(rig, &a);
    tina_op again = {.kind = TINA_IO_SENDFILE, .fd = other, .file = on.file};
    assert_int_equal(rig_io_start(rig, &a, &again), TINA_BUSY);
    tina_op receive = {.kind = TINA_IO_RECV, .fd = on.socket};
    assert_int_equal(rig_io_start(rig, &a, &receive), TINA_OK);
    rig_end(rig);
}

static void sendfile_ends_with_either_of_its_descriptors(void **unused)
{
    (void)unused;
    for (int closes_file = 0; closes_file < 2; closes_file++) {
        rig_system *rig = start();
        rig->backends[0].holds_cancels = true;
        pair on = open_pair(rig);
        tina_op op = {.kind = TINA_IO_SENDFILE, .fd = on.socket, .file = on.file};
        assert_int_equal(rig_io_start(rig, &a, &op), TINA_OK);
        tina__io_request *request = rig_request_of(rig, on.socket, TINA__IO_SENDFILE);
        tina_op close = {.kind = TINA_IO_CLOSE, .fd = closes_file ? on.file : on.socket};
        assert_int_equal(rig_io_start(rig, &a, &close), TINA_OK);
        assert_true(rig_is_cancelled(rig, 0, request));
        assert_int_equal(rig->backends[0].os_fd_count, 2); /* open for as long as the backend works with it */
        rig_cancel_wins(rig, 0);
        rig_settle(rig);
        assert_int_equal(rig_count_tag(&a, TINA_IO_SENDFILE), 1);
        assert_int_equal(rig_count_tag(&a, TINA_IO_CLOSE), 1);
        assert_int_equal(rig->backends[0].os_fd_count, 1);
        rig_end(rig);
    }
}

static void sendfile_of_what_is_no_file_or_anothers_is_refused(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    tina_fd socket = rig_socket(rig, &a);
    tina_fd others = open_as(rig, &b, TINA__FD_FILE);
    tina_op op = {.kind = TINA_IO_SENDFILE, .fd = socket, .file = others};
    assert_int_equal(rig_io_start(rig, &a, &op), TINA_NOT_OWNER);
    op.file = rig_socket(rig, &a);
    assert_int_equal(rig_io_start(rig, &a, &op), TINA_INVALID);
    op.file = open_as(rig, &a, TINA__FD_PIPE);
    assert_int_equal(rig_io_start(rig, &a, &op), TINA_INVALID);
    op.file = open_as(rig, &a, TINA__FD_FILE);
    op.offset = UINT64_MAX;
    assert_int_equal(rig_io_start(rig, &a, &op), TINA_INVALID);
    rig_end(rig);
}

/* ---- Datagrams ------------------------------------------------------------------------------------------------ */

static tina_effect note_peer(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    (void)ctx;
    if (message->tag == TINA_IO_RECVFROM)
        *(tina_io_result *)me->data = message->io;
    if (message->tag == TINA_IO_RECVFROM && message->io.peer != NULL)
        a.act.time_ns = message->io.peer->port;
    return message->tag == TINA_TAG_SHUTDOWN ? tina_done() : tina_receive();
}

static void recvfrom_brings_the_peer_and_says_what_was_cut(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    tina_fd fd = open_as(rig, &a, TINA__FD_DATAGRAM);
    tina_io_result result = {0};
    a.data = &result;
    a.on = note_peer;
    tina_op op = {.kind = TINA_IO_RECVFROM, .fd = fd, .size = 20};
    rig_io(rig, &a, &op);
    tina__io_request *request = rig_request_of(rig, fd, TINA__IO_RECEIVE_FROM);
    assert_int_equal(request->size, 20);
    struct tina__backend *backend = &rig->backends[0];
    tina_address *annex = (tina_address *)(void *)(backend->config.annexes + backend->lent[0] * TINA__ANNEX_SIZE);
    *annex = tina_ipv4(10, 0, 0, 1, 777);
    rig_complete_receive(rig, 0, request, "abcdefgh", 8);
    backend->completions[0].is_truncated = true;
    rig_settle(rig);
    assert_int_equal(result.status, TINA_OK);
    assert_int_equal(result.flags, TINA_IO_TRUNCATED);
    assert_int_equal(a.act.time_ns, 777);
    rig_end(rig);
}

static void sendto_copies_the_address_and_may_be_empty_but_not_too_large(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    tina_fd fd = open_as(rig, &a, TINA__FD_DATAGRAM);
    tina_address to = tina_ipv4(10, 0, 0, 2, 53);
    tina_op op = {.kind = TINA_IO_SENDTO, .fd = fd, .address = &to, .data = bytes, .size = BUFFER_SIZE + 1};
    assert_int_equal(rig_io_start(rig, &a, &op), TINA_INVALID);
    op.size = 0;
    rig_io(rig, &a, &op);
    to.port = 1;
    tina__io_request *request = rig_request_of(rig, fd, TINA__IO_SEND_TO);
    assert_int_equal(request->peer->port, 53);
    assert_int_equal(request->size, 0);
    rig_complete(rig, 0, request, TINA_OK, 0);
    rig_settle(rig);
    expect_io(&a, TINA_IO_SENDTO, TINA_OK, 0);
    op = (tina_op){.kind = TINA_IO_SEND, .fd = fd, .data = bytes, .size = BUFFER_SIZE};
    rig_io(rig, &a, &op);
    request = rig_request_of(rig, fd, TINA__IO_SEND_TO);
    assert_null(request->peer);
    rig_complete(rig, 0, request, TINA_OK, BUFFER_SIZE);
    rig_settle(rig);
    expect_io(&a, TINA_IO_SEND, TINA_OK, BUFFER_SIZE);
    rig_end(rig);
}

static void send_of_nothing_to_a_stream_is_invalid(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    tina_op op = {.kind = TINA_IO_SEND, .fd = rig_socket(rig, &a), .data = bytes};
    assert_int_equal(rig_io_start(rig, &a, &op), TINA_INVALID);
    op.kind = TINA_IO_WRITE;
    op.fd = open_as(rig, &a, TINA__FD_FILE);
    assert_int_equal(rig_io_start(rig, &a, &op), TINA_INVALID);
    rig_end(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(open_asks_for_a_copy_of_the_path_and_brings_an_owned_descriptor),
        cmocka_unit_test(open_that_fails_gives_its_descriptor_and_buffer_back),
        cmocka_unit_test(open_whose_isolate_ended_closes_what_it_brings),
        cmocka_unit_test(rename_and_unlink_bring_their_paths),
        cmocka_unit_test(path_that_is_none_or_too_long_or_asks_for_nonsense_is_invalid),
        cmocka_unit_test(path_that_is_past_its_deadline_is_timed_out),
        cmocka_unit_test(operation_becomes_what_its_descriptor_knows),
        cmocka_unit_test(read_at_an_offset_delivers_and_at_the_end_is_ok_with_nothing),
        cmocka_unit_test(read_without_a_buffer_waits_for_one),
        cmocka_unit_test(reads_of_files_leave_buffers_to_receives),
        cmocka_unit_test(offset_that_no_file_has_is_invalid),
        cmocka_unit_test(write_of_much_goes_in_chunks_at_growing_offsets),
        cmocka_unit_test(write_to_a_full_disk_says_how_much_went),
        cmocka_unit_test(stat_tells_a_size_of_64_bits),
        cmocka_unit_test(truncate_and_sync_ask_for_that),
        cmocka_unit_test(writes_leave_the_last_of_the_share_to_sends_that_do_not_wait),
        cmocka_unit_test(sendfile_goes_on_until_all_is_sent),
        cmocka_unit_test(sendfile_of_a_file_that_ends_is_ok_only_where_no_size_was_asked),
        cmocka_unit_test(sendfile_keeps_both_descriptors_busy),
        cmocka_unit_test(sendfile_ends_with_either_of_its_descriptors),
        cmocka_unit_test(sendfile_of_what_is_no_file_or_anothers_is_refused),
        cmocka_unit_test(recvfrom_brings_the_peer_and_says_what_was_cut),
        cmocka_unit_test(sendto_copies_the_address_and_may_be_empty_but_not_too_large),
        cmocka_unit_test(send_of_nothing_to_a_stream_is_invalid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
