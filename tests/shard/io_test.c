/* Operations against a backend that does what the test says, when it says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/rig.h"

#include "core/buffers.h"

#include <stdlib.h>
#include <string.h>

#define TAG_A       (TINA_TAG_USER + 1)
#define BUFFER_SIZE 256

static rig_plan plan;
static rig_actor a, b;
static uint8_t bytes[4096]; /* static memory, which a large send may name */

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

static tina_op op_of(tina_tag kind, tina_fd fd) { return (tina_op){.kind = kind, .fd = fd}; }

static tina_op send_op(tina_fd fd, const void *data, size_t size)
{
    return (tina_op){.kind = TINA_IO_SEND, .fd = fd, .data = data, .size = size};
}

static void expect_io(const rig_actor *actor, tina_tag tag, tina_status status, uint64_t size)
{
    assert_int_equal(rig_saw_last(actor)->tag, tag);
    assert_int_equal(rig_saw_last(actor)->status, status);
    assert_int_equal(rig_saw_last(actor)->size, size);
}

/* ---- Each operation --------------------------------------------------------------------------- */

static void recv_with_data_delivers_it(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    tina_fd fd = rig_socket(rig, &a);
    tina_op op = op_of(TINA_IO_RECV, fd);
    rig_io(rig, &a, &op);
    tina__io_request *request = rig_request_of(rig, fd, TINA__IO_RECEIVE);
    assert_int_equal(request->size, BUFFER_SIZE);
    rig_complete_receive(rig, 0, request, "abcdefgh", 8);
    rig_settle(rig);
    expect_io(&a, TINA_IO_RECV, TINA_OK, 8);
    assert_memory_equal(&rig_saw_last(&a)->value, "abcdefgh", 8);
    assert_int_equal(rig_saw_last(&a)->fd.bits, fd.bits);
    tina_stats stats = rig_stats(rig, 0);
    assert_int_equal(stats.bytes_in, 8);
    assert_int_equal(stats.io_submitted, 1);
    assert_int_equal(stats.io_completed, 1);
    assert_int_equal(stats.io_failed, 0);
    rig_end(rig);
}

static void recv_with_a_size_asks_for_no_more(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    tina_fd fd = rig_socket(rig, &a);
    tina_op op = {.kind = TINA_IO_RECV, .fd = fd, .size = 10};
    rig_io(rig, &a, &op);
    assert_int_equal(rig_request_of(rig, fd, TINA__IO_RECEIVE)->size, 10);
    rig_end(rig);
}

static void recv_at_the_peers_end_is_closed(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    tina_fd fd = rig_socket(rig, &a);
    tina_op op = op_of(TINA_IO_RECV, fd);
    rig_io(rig, &a, &op);
    rig_complete(rig, 0, rig_request_of(rig, fd, TINA__IO_RECEIVE), TINA_CLOSED, 0);
    rig_settle(rig);
    expect_io(&a, TINA_IO_RECV, TINA_CLOSED, 0);
    assert_int_equal(rig_stats(rig, 0).io_failed, 0);
    rig_end(rig);
}

static void operation_that_the_kernel_fails_tells_its_status(void **unused)
{
    (void)unused;
    static const struct {
        tina_tag kind;
        tina__io_kind backend_kind;
        tina_status status;
    } rows[] = {
        {TINA_IO_RECV, TINA__IO_RECEIVE, TINA_RESET},
        {TINA_IO_SEND, TINA__IO_SEND, TINA_RESET},
        {TINA_IO_CONNECT, TINA__IO_CONNECT, TINA_REFUSED},
        {TINA_IO_ACCEPT, TINA__IO_ACCEPT, TINA_SYSTEM_ERROR},
    };
    tina_address address = tina_ipv4(127, 0, 0, 1, 9);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        rig_system *rig = start();
        tina_fd fd = rig_socket(rig, &a);
        tina_op op = {.kind = rows[i].kind, .fd = fd, .data = "x", .size = 1, .address = &address, .user = 77};
        rig_io(rig, &a, &op);
        rig_complete(rig, 0, rig_request_of(rig, fd, rows[i].backend_kind), rows[i].status, 0);
        rig_settle(rig);
        expect_io(&a, rows[i].kind, rows[i].status, 0);
        assert_int_equal(rig_saw_last(&a)->fd.bits, fd.bits);
        assert_int_equal(rig_saw_last(&a)->user, 77);
        assert_int_equal(rig_stats(rig, 0).io_failed, 1);
        assert_int_equal(rig_stats(rig, 0).fds.used, 1);
        rig_end(rig);
    }
}

static void connect_that_succeeds_tells_so(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    tina_fd fd = rig_socket(rig, &a);
    tina_address address = tina_ipv4(127, 0, 0, 1, 80);
    tina_op op = {.kind = TINA_IO_CONNECT, .fd = fd, .address = &address};
    rig_io(rig, &a, &op);
    tina__io_request *request = rig_request_of(rig, fd, TINA__IO_CONNECT);
    assert_int_equal(request->peer->port, 80);
    rig_complete(rig, 0, request, TINA_OK, 0);
    rig_settle(rig);
    expect_io(&a, TINA_IO_CONNECT, TINA_OK, 0);
    rig_end(rig);
}

static void accept_that_succeeds_brings_an_owned_descriptor(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    tina_fd fd = rig_socket(rig, &a);
    tina_op op = op_of(TINA_IO_ACCEPT, fd);
    rig_io(rig, &a, &op);
    rig_complete_accept(rig, 0, rig_request_of(rig, fd, TINA__IO_ACCEPT));
    rig_settle(rig);
    expect_io(&a, TINA_IO_ACCEPT, TINA_OK, 0);
    tina_fd accepted = rig_saw_last(&a)->fd;
    assert_int_not_equal(accepted.bits, fd.bits);
    tina_op receive = op_of(TINA_IO_RECV, accepted);
    assert_int_equal(rig_io_start(rig, &b, &receive), TINA_NOT_OWNER);
    assert_int_equal(rig_io_start(rig, &a, &receive), TINA_OK);
    rig_end(rig);
}

static void send_that_succeeds_tells_its_size(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    tina_fd fd = rig_socket(rig, &a);
    tina_op op = send_op(fd, bytes, 100);
    rig_io(rig, &a, &op);
    tina__io_request *request = rig_request_of(rig, fd, TINA__IO_SEND);
    assert_int_equal(request->size, 100);
    assert_memory_equal(request->data, bytes, 100);
    assert_false(request->no_wait);
    rig_complete(rig, 0, request, TINA_OK, 100);
    rig_settle(rig);
    expect_io(&a, TINA_IO_SEND, TINA_OK, 100);
    assert_int_equal(rig_stats(rig, 0).bytes_out, 100);
    rig_end(rig);
}

/* Plays the kernel for one send: takes at most step bytes at a time. Returns how many it took in all. */
static size_t take_all(rig_system *rig, tina_fd fd, uint8_t *into, uint32_t step)
{
    size_t total = 0;
    tina__io_request *request;
    while ((request = rig_request_of(rig, fd, TINA__IO_SEND)) != NULL) {
        uint32_t size = request->size < step ? request->size : step;
        memcpy(into + total, request->data, size);
        total += size;
        rig_complete(rig, 0, request, TINA_OK, size);
        rig_settle(rig);
    }
    return total;
}

static void send_that_is_taken_in_pieces_goes_on_to_the_last_byte(void **unused)
{
    (void)unused;
    static const struct {
        size_t size;
        uint32_t step;
    } rows[] = {{100, 33}, {BUFFER_SIZE, 1000}, {BUFFER_SIZE + 1, 1000}, {4000, 1000}, {4000, 37}, {1, 1}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t got[sizeof bytes];
        rig_system *rig = start();
        tina_fd fd = rig_socket(rig, &a);
        tina_op op = send_op(fd, bytes, rows[i].size);
        rig_io(rig, &a, &op);
        assert_int_equal(take_all(rig, fd, got, rows[i].step), rows[i].size);
        assert_memory_equal(got, bytes, rows[i].size);
        expect_io(&a, TINA_IO_SEND, TINA_OK, rows[i].size);
        rig_end(rig);
    }
}

static void send_of_parts_is_one_stream(void **unused)
{
    (void)unused;
    uint8_t got[sizeof bytes];
    rig_system *rig = start();
    tina_fd fd = rig_socket(rig, &a);
    tina_bytes parts[TINA_PARTS_MAX] = {{bytes, 0},        {bytes, 3},         {bytes + 3, 500}, {bytes + 503, 0},
                                        {bytes + 503, 10}, {bytes + 513, 700}, {NULL, 0},        {bytes + 1213, 1}};
    tina_op op = {.kind = TINA_IO_SEND, .fd = fd, .parts = parts, .part_count = TINA_PARTS_MAX};
    rig_io(rig, &a, &op);
    assert_int_equal(take_all(rig, fd, got, 100), 1214);
    assert_memory_equal(got, bytes, 1214);
    expect_io(&a, TINA_IO_SEND, TINA_OK, 1214);
    op.part_count = TINA_PARTS_MAX + 1;
    assert_int_equal(rig_io_start(rig, &a, &op), TINA_INVALID);
    op.part_count = 0;
    assert_int_equal(rig_io_start(rig, &a, &op), TINA_INVALID);
    rig_end(rig);
}

static void send_that_fails_half_way_tells_how_far_it_came(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    tina_fd fd = rig_socket(rig, &a);
    tina_op op = send_op(fd, bytes, 1000);
    rig_io(rig, &a, &op);
    rig_complete(rig, 0, rig_request_of(rig, fd, TINA__IO_SEND), TINA_OK, BUFFER_SIZE);
    rig_settle(rig);
    rig_complete(rig, 0, rig_request_of(rig, fd, TINA__IO_SEND), TINA_RESET, 0);
    rig_settle(rig);
    expect_io(&a, TINA_IO_SEND, TINA_RESET, BUFFER_SIZE);
    rig_end(rig);
}

static void operation_with_wrong_arguments_is_invalid(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    tina_fd fd = rig_socket(rig, &a);
    tina_op wrong[] = {
        send_op(fd, NULL, 5),
        send_op(fd, bytes, 0),
        {.kind = TINA_IO_CONNECT, .fd = fd},
        {.kind = 0x1F, .fd = fd}, /* an operation that there is not */
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(rig_io_start(rig, &a, &wrong[i]), TINA_INVALID);
        rig_io(rig, &a, &wrong[i]);
        assert_int_equal(rig_saw_last(&a)->tag, (uint8_t)wrong[i].kind);
        rig_forget(&a);
    }
    assert_int_equal(rig_stats(rig, 0).ops.used, 0);
    rig_end(rig);
}

/* ---- Deadlines and cancels --------------------------------------------------------------------------- */

static void deadline_that_passes_cancels_and_says_timed_out(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    tina_fd fd = rig_socket(rig, &a);
    tina_op op = {.kind = TINA_IO_RECV, .fd = fd, .timeout_ns = 10 * RIG_MS};
    rig_io(rig, &a, &op);
    rig_advance(rig, 9 * RIG_MS);
    assert_int_equal(a.seen_count, 0);
    rig_advance(rig, 2 * RIG_MS);
    expect_io(&a, TINA_IO_RECV, TINA_TIMED_OUT, 0);
    assert_int_equal(rig_stats(rig, 0).io_cancelled, 1);
    rig_end(rig);
}

static void deadline_whose_cancel_loses_delivers_what_was_received(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    rig->backends[0].holds_cancels = true;
    tina_fd fd = rig_socket(rig, &a);
    tina_op op = {.kind = TINA_IO_RECV, .fd = fd, .timeout_ns = 10 * RIG_MS};
    rig_io(rig, &a, &op);
    rig_advance(rig, 20 * RIG_MS);
    tina__io_request *request = rig_request_of(rig, fd, TINA__IO_RECEIVE);
    assert_true(rig_is_cancelled(rig, 0, request));
    assert_int_equal(a.seen_count, 0);
    rig_complete_receive(rig, 0, request, "late", 4);
    rig_settle(rig);
    expect_io(&a, TINA_IO_RECV, TINA_OK, 4);
    rig_end(rig);
}

static void deadline_of_an_operation_that_is_over_does_nothing(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    tina_fd fd = rig_socket(rig, &a);
    tina_op op = {.kind = TINA_IO_RECV, .fd = fd, .timeout_ns = 10 * RIG_MS};
    rig_io(rig, &a, &op);
    rig_complete_receive(rig, 0, rig_request_of(rig, fd, TINA__IO_RECEIVE), "x", 1);
    rig_settle(rig);
    assert_int_equal(rig->shards[0]->p.wheel->count, 0);
    rig_advance(rig, 20 * RIG_MS);
    assert_int_equal(a.seen_count, 1);
    rig_end(rig);
}

static void cancel_of_one_half_ends_that_half_alone(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    tina_fd fd = rig_socket(rig, &a);
    tina_op receive = op_of(TINA_IO_RECV, fd);
    tina_op send = send_op(fd, bytes, 10);
    assert_int_equal(rig_io_start(rig, &a, &receive), TINA_OK);
    assert_int_equal(rig_io_start(rig, &a, &send), TINA_OK);
    assert_int_equal(rig_io_start(rig, &a, &receive), TINA_BUSY);
    assert_int_equal(rig_io_start(rig, &a, &send), TINA_BUSY);
    rig_io_cancel(rig, &a, fd, TINA_READ_HALF);
    expect_io(&a, TINA_IO_RECV, TINA_CANCELLED, 0);
    assert_non_null(rig_request_of(rig, fd, TINA__IO_SEND));
    rig_io_cancel(rig, &b, fd, TINA_BOTH_HALVES); /* not its own */
    assert_non_null(rig_request_of(rig, fd, TINA__IO_SEND));
    rig_io_cancel(rig, &a, fd, TINA_BOTH_HALVES);
    expect_io(&a, TINA_IO_SEND, TINA_CANCELLED, 0);
    assert_int_equal(rig_io_start(rig, &a, &receive), TINA_OK);
    rig_end(rig);
}

static tina_effect start_and_cancel(rig_actor *me, tina_ctx *ctx)
{
    me->act.status = tina_io_start(ctx, &me->act.op);
    tina_io_cancel(ctx, me->act.op.fd, TINA_BOTH_HALVES);
    return tina_receive();
}

static void cancel_in_the_handler_that_started_it_completes_it_once(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    tina_fd fd = rig_socket(rig, &a);
    a.act.op = op_of(TINA_IO_RECV, fd);
    rig_do(rig, &a, start_and_cancel);
    assert_int_equal(a.act.status, TINA_OK);
    assert_int_equal(a.seen_count, 1);
    expect_io(&a, TINA_IO_RECV, TINA_CANCELLED, 0);
    rig_end(rig);
}

/* A send is all the bytes, or it says that it is not. */
static void cancel_that_loses_against_a_part_of_a_send_does_not_say_ok(void **unused)
{
    (void)unused;
    static const struct {
        size_t size;
        uint32_t taken;
    } rows[] = {{1000, BUFFER_SIZE}, {100, 40}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        rig_system *rig = start();
        rig->backends[0].holds_cancels = true;
        tina_fd fd = rig_socket(rig, &a);
        tina_op op = {.kind = TINA_IO_SEND, .fd = fd, .data = bytes, .size = rows[i].size, .timeout_ns = RIG_MS};
        rig_io(rig, &a, &op);
        rig_advance(rig, 2 * RIG_MS);
        rig_complete(rig, 0, rig_request_of(rig, fd, TINA__IO_SEND), TINA_OK, rows[i].taken);
        rig_settle(rig);
        expect_io(&a, TINA_IO_SEND, TINA_TIMED_OUT, rows[i].taken);
        rig_end(rig);
    }
}

static void cancel_that_loses_against_the_last_byte_of_a_send_says_ok(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    rig->backends[0].holds_cancels = true;
    tina_fd fd = rig_socket(rig, &a);
    tina_op op = {.kind = TINA_IO_SEND, .fd = fd, .data = bytes, .size = 100, .timeout_ns = RIG_MS};
    rig_io(rig, &a, &op);
    rig_advance(rig, 2 * RIG_MS);
    rig_complete(rig, 0, rig_request_of(rig, fd, TINA__IO_SEND), TINA_OK, 100);
    rig_settle(rig);
    expect_io(&a, TINA_IO_SEND, TINA_OK, 100);
    rig_end(rig);
}

static tina_effect shut_down_reading(rig_actor *me, tina_ctx *ctx)
{
    me->act.status = tina_socket_shutdown(ctx, me->act.fd, TINA_READ_HALF);
    return tina_receive();
}

static void socket_shutdown_of_a_half_ends_its_receive(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    tina_fd fd = rig_socket(rig, &a);
    tina_op op = op_of(TINA_IO_RECV, fd);
    assert_int_equal(rig_io_start(rig, &a, &op), TINA_OK);
    a.act.fd = fd;
    rig_do(rig, &a, shut_down_reading);
    assert_int_equal(a.act.status, TINA_OK);
    expect_io(&a, TINA_IO_RECV, TINA_CANCELLED, 0);
    rig_end(rig);
}

/* ---- Owners that end --------------------------------------------------------------------------------------- */

static void end_with_a_receive_under_way_reclaims_it(void **unused)
{
    (void)unused;
    for (int loses = 0; loses < 2; loses++) {
        rig_system *rig = start();
        rig->backends[0].holds_cancels = true;
        tina_fd fd = rig_socket(rig, &a);
        tina_op op = op_of(TINA_IO_RECV, fd);
        assert_int_equal(rig_io_start(rig, &a, &op), TINA_OK);
        tina__io_request *request = rig_request_of(rig, fd, TINA__IO_RECEIVE);
        rig_done(rig, &a);
        assert_true(rig_is_cancelled(rig, 0, request));
        assert_int_equal(rig->backends[0].os_fd_count, 1);
        if (loses)
            rig_complete_receive(rig, 0, request, "late", 4);
        else
            rig_cancel_wins(rig, 0);
        rig_settle(rig);
        assert_int_equal(rig_stats(rig, 0).io_late, 1);
        assert_int_equal(rig_stats(rig, 0).fds.used, 0);
        assert_int_equal(rig_stats(rig, 0).buffers.used, 0);
        assert_int_equal(rig->backends[0].os_fd_count, 0);
        rig_end(rig);
    }
}

static void end_with_an_accept_under_way_closes_what_it_brings(void **unused)
{
    (void)unused;
    for (int loses = 0; loses < 2; loses++) {
        rig_system *rig = start();
        rig->backends[0].holds_cancels = true;
        tina_fd fd = rig_socket(rig, &a);
        tina_op op = op_of(TINA_IO_ACCEPT, fd);
        rig_io_start(rig, &a, &op);
        tina__io_request *request = rig_request_of(rig, fd, TINA__IO_ACCEPT);
        rig_done(rig, &a);
        if (loses)
            rig_complete_accept(rig, 0, request);
        else
            rig_cancel_wins(rig, 0);
        rig_settle(rig);
        assert_int_equal(rig_stats(rig, 0).io_late, 1);
        assert_int_equal(rig_stats(rig, 0).fds.used, 0);
        assert_int_equal(rig->backends[0].os_fd_count, 0);
        rig_end(rig);
    }
}

static void end_with_a_send_under_way_gives_its_buffer_back(void **unused)
{
    (void)unused;
    for (int loses = 0; loses < 2; loses++) {
        rig_system *rig = start();
        rig->backends[0].holds_cancels = true;
        tina_fd fd = rig_socket(rig, &a);
        tina_op op = send_op(fd, bytes, 1000);
        rig_io(rig, &a, &op);
        rig_crash(rig, &b);
        rig_stop(rig, TINA__STOP_NOW);
        rig_tick(rig, 0);
        rig_tick(rig, 0);
        assert_int_equal(rig->shards[0]->live_count, 0);
        if (loses)
            rig_complete(rig, 0, rig_request_of(rig, fd, TINA__IO_SEND), TINA_OK, BUFFER_SIZE);
        else
            rig_cancel_wins(rig, 0);
        rig_settle(rig);
        assert_int_equal(rig_stats(rig, 0).buffers.used, 0);
        assert_int_equal(rig_stats(rig, 0).io_late, 1);
        rig_end(rig);
    }
}

static void end_with_finished_operations_waiting_reclaims_them(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    tina_fd fds[2];
    for (size_t i = 0; i < 2; i++)
        fds[i] = rig_socket(rig, &a);
    tina_op receive = op_of(TINA_IO_RECV, fds[0]);
    tina_op accept = op_of(TINA_IO_ACCEPT, fds[1]);
    rig_io_start(rig, &a, &receive);
    rig_io_start(rig, &a, &accept);
    rig_call(rig, &a, b.self, TAG_A, 0); /* parked: completions wait */
    rig_complete_receive(rig, 0, rig_request_of(rig, fds[0], TINA__IO_RECEIVE), "abc", 3);
    rig_complete_accept(rig, 0, rig_request_of(rig, fds[1], TINA__IO_ACCEPT));
    rig_settle(rig);
    assert_int_equal(a.seen_count, 0);
    assert_int_equal(rig_stats(rig, 0).buffers.used, 1);
    rig_stop(rig, TINA__STOP_NOW);
    rig_end(rig);
}

/* ---- Buffers --------------------------------------------------------------------------------------------------- */

#define MANY 12

/* MANY actors on MANY sockets, all of which receive. */
static rig_actor many[MANY];
static tina_fd many_fds[MANY];

static rig_system *start_many(void)
{
    memset(many, 0, sizeof many);
    memset(&a, 0, sizeof a);
    rig_plan_init(&plan, 1, 1);
    plan.spec.buffer_count = 4;
    rig_plan_child(&plan, 0, 0, &a);
    for (size_t i = 0; i < MANY; i++)
        rig_plan_child(&plan, 0, 0, &many[i]);
    rig_system *rig = rig_start(&plan);
    for (size_t i = 0; i < MANY; i++)
        many_fds[i] = rig_socket(rig, &many[i]);
    return rig;
}

static void all_receive(rig_system *rig)
{
    for (size_t i = 0; i < MANY; i++) {
        tina_op op = op_of(TINA_IO_RECV, many_fds[i]);
        rig_io(rig, &many[i], &op);
    }
}

static void starved_receives_are_fed_in_their_order(void **unused)
{
    (void)unused;
    rig_system *rig = start_many();
    all_receive(rig);
    assert_int_equal(rig->backends[0].lent_count, 2); /* the other half is for sends */
    for (uint64_t i = 0; i < MANY; i++)
        rig_complete_receive(rig, 0, rig_request_of(rig, many_fds[i], TINA__IO_RECEIVE), &i, sizeof i);
    /* Two had a buffer; the others come in the order of their requests, two a tick. */
    for (uint32_t round = 0; round < MANY / 2; round++) {
        rig_tick(rig, 0);
        for (uint32_t i = 0; i < MANY; i++)
            assert_int_equal(many[i].seen_count, i < 2 * (round + 1));
        for (uint64_t i = 0; i < MANY; i++) {
            tina__io_request *request = rig_request_of(rig, many_fds[i], TINA__IO_RECEIVE);
            if (request != NULL)
                rig_complete_receive(rig, 0, request, &i, sizeof i);
        }
    }
    rig_settle(rig);
    for (uint32_t i = 0; i < MANY; i++) {
        assert_int_equal(many[i].seen_count, 1);
        assert_int_equal(rig_saw_last(&many[i])->value, i);
    }
    rig_end(rig);
}

static void starved_receive_is_fed_when_the_buffer_came_back_before_its_word(void **unused)
{
    (void)unused;
    rig_system *rig = start_many();
    tina_op op = op_of(TINA_IO_RECV, many_fds[0]);
    rig_io(rig, &many[0], &op);
    /* The backend had nothing when the data came, and has again when the shard hears of it. */
    rig_complete(rig, 0, rig_request_of(rig, many_fds[0], TINA__IO_RECEIVE), TINA_BUSY, 0);
    rig_settle(rig);
    assert_non_null(rig_request_of(rig, many_fds[0], TINA__IO_RECEIVE));
    rig_end(rig);
}

static void starve(rig_system *rig, rig_actor *actor, tina_fd fd)
{
    tina_op op = op_of(TINA_IO_RECV, fd);
    rig_io(rig, actor, &op);
    /* Hold all that is lent: two receives that a parked isolate does not take. */
    for (size_t i = 10; i < 12; i++) {
        tina_op hold = op_of(TINA_IO_RECV, many_fds[i]);
        rig_io_start(rig, &many[i], &hold);
        rig_call(rig, &many[i], a.self, TAG_A, TINA_NONE_NS);
        rig_complete_receive(rig, 0, rig_request_of(rig, many_fds[i], TINA__IO_RECEIVE), "held", 4);
    }
    rig_settle(rig);
    assert_int_equal(rig->backends[0].lent_count, 0);
    rig_complete(rig, 0, rig_request_of(rig, fd, TINA__IO_RECEIVE), TINA_BUSY, 0);
    rig_settle(rig);
    assert_null(rig_request_of(rig, fd, TINA__IO_RECEIVE));
}

static void starved_receive_ends_by_deadline_cancel_close_and_death(void **unused)
{
    (void)unused;
    rig_system *rig = start_many();
    starve(rig, &many[0], many_fds[0]);
    for (size_t i = 1; i < 5; i++) {
        tina_op op = {.kind = TINA_IO_RECV, .fd = many_fds[i], .timeout_ns = i == 1 ? 5 * RIG_MS : 0};
        if (i == 1)
            rig_io(rig, &many[i], &op);
        else
            rig_io_start(rig, &many[i], &op);
        rig_complete(rig, 0, rig_request_of(rig, many_fds[i], TINA__IO_RECEIVE), TINA_BUSY, 0);
        rig_settle(rig);
    }
    rig_advance(rig, 10 * RIG_MS);
    expect_io(&many[1], TINA_IO_RECV, TINA_TIMED_OUT, 0);
    rig_io_cancel(rig, &many[2], many_fds[2], TINA_READ_HALF);
    expect_io(&many[2], TINA_IO_RECV, TINA_CANCELLED, 0);
    tina_op close = op_of(TINA_IO_CLOSE, many_fds[3]);
    rig_io(rig, &many[3], &close);
    assert_int_equal(many[3].seen_count, 2);
    assert_int_equal(rig_saw(&many[3], 0)->tag, TINA_IO_CLOSE);
    expect_io(&many[3], TINA_IO_RECV, TINA_CANCELLED, 0);
    rig_done(rig, &many[4]);
    assert_int_equal(rig_stats(rig, 0).io_late, 1);
    assert_int_equal(many[0].seen_count, 0);
    rig_end(rig);
}

static tina_effect stay_at_shutdown_and_cancel(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    if (message->tag == TINA_TAG_SHUTDOWN) {
        tina_io_cancel(ctx, me->act.fd, TINA_BOTH_HALVES);
        return tina_receive();
    }
    return tina_done();
}

static void starved_receive_that_shutdown_overtook_and_the_handler_cancels_completes(void **unused)
{
    (void)unused;
    rig_system *rig = start_many();
    starve(rig, &many[0], many_fds[0]);
    many[0].act.fd = many_fds[0];
    many[0].on = stay_at_shutdown_and_cancel;
    rig_stop(rig, TINA__STOP_GRACEFUL);
    rig_settle(rig);
    assert_int_equal(many[0].seen_count, 2);
    assert_int_equal(rig_saw(&many[0], 0)->tag, TINA_TAG_SHUTDOWN);
    expect_io(&many[0], TINA_IO_RECV, TINA_CANCELLED, 0);
    rig_end(rig);
}

/* Sends that wait may take a part of the buffers' half; then come those that must not wait; then none. */
static void send_at_half_of_the_buffers_does_not_wait_and_past_it_is_refused(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    tina_fd fds[9];
    for (size_t i = 0; i < 9; i++)
        fds[i] = rig_socket(rig, &a);
    for (size_t i = 0; i < 8; i++) { /* 16 buffers: 8 for sends, of which the last 2 must not wait */
        tina_op op = send_op(fds[i], bytes, 10);
        assert_int_equal(rig_io_start(rig, &a, &op), TINA_OK);
        assert_int_equal(rig_request_of(rig, fds[i], TINA__IO_SEND)->no_wait, i >= 6);
    }
    tina_op op = send_op(fds[8], bytes, 10);
    uint64_t before = rig_stats(rig, 0).pool_exhausted;
    assert_int_equal(rig_io_start(rig, &a, &op), TINA_POOL_EXHAUSTED);
    assert_int_equal(rig_stats(rig, 0).pool_exhausted, before + 1);
    assert_int_equal(rig->backends[0].lent_count, 8);
    /* Those that must not wait come back. */
    for (size_t i = 6; i < 8; i++)
        rig_complete(rig, 0, rig_request_of(rig, fds[i], TINA__IO_SEND), TINA_BUSY, 0);
    rig_settle(rig);
    expect_io(&a, TINA_IO_SEND, TINA_POOL_EXHAUSTED, 0);
    /* A fresh one, to a peer that reads, goes. */
    rig_forget(&a);
    assert_int_equal(rig_io_start(rig, &a, &op), TINA_OK);
    rig_complete(rig, 0, rig_request_of(rig, fds[8], TINA__IO_SEND), TINA_OK, 10);
    rig_settle(rig);
    expect_io(&a, TINA_IO_SEND, TINA_OK, 10);
    assert_int_equal(rig_stats(rig, 0).buffers.used, 6);
    rig_end(rig);
}

static tina_effect forward(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (message->tag != TINA_IO_RECV)
        return tina_receive();
    const tina_fd *fds = me->data;
    for (size_t i = 0; i < 3; i++) {
        tina_op op = send_op(fds[i], message->io.data + i, message->io.size - i);
        assert_int_equal(tina_io_start(ctx, &op), TINA_OK);
    }
    return tina_receive();
}

static void send_of_received_data_keeps_its_buffer_until_the_last_is_over(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    tina_fd fds[3];
    for (size_t i = 0; i < 3; i++)
        fds[i] = rig_socket(rig, &a);
    a.on = forward;
    a.data = fds;
    tina_op op = op_of(TINA_IO_RECV, fds[0]);
    rig_io(rig, &a, &op);
    rig_complete_receive(rig, 0, rig_request_of(rig, fds[0], TINA__IO_RECEIVE), "abcdefgh", 8);
    rig_settle(rig);
    assert_int_equal(rig_stats(rig, 0).buffers.used, 1);
    const uint8_t *data = rig_request_of(rig, fds[0], TINA__IO_SEND)->data;
    for (size_t i = 0; i < 3; i++) {
        tina__io_request *request = rig_request_of(rig, fds[i], TINA__IO_SEND);
        assert_ptr_equal(request->data, data + i);
        assert_memory_equal(request->data, &"abcdefgh"[i], 8 - i);
        assert_int_equal(rig_stats(rig, 0).buffers.used, 1);
        rig_complete(rig, 0, request, TINA_OK, (uint32_t)(8 - i));
        rig_settle(rig);
    }
    assert_int_equal(rig_stats(rig, 0).buffers.used, 0);
    rig_end(rig);
}

#define FANOUT 300

static tina_effect forward_to_all(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (message->tag != TINA_IO_RECV)
        return tina_receive();
    const tina_fd *fds = me->data;
    uint64_t *accepted = &me->act.time_ns;
    *accepted = 0;
    for (size_t i = 0; i < FANOUT; i++) {
        tina_op op = send_op(fds[i], message->io.data, message->io.size);
        tina_status status = tina_io_start(ctx, &op);
        assert_true(status == TINA_OK || status == TINA_POOL_EXHAUSTED);
        *accepted += status == TINA_OK;
    }
    return tina_receive();
}

static tina_effect open_all(rig_actor *me, tina_ctx *ctx)
{
    tina_fd *fds = me->data;
    for (size_t i = 0; i < FANOUT; i++) {
        if (tina_socket(ctx, TINA_IPV4, TINA_STREAM, &fds[i]) != TINA_OK)
            return tina_crash(1);
    }
    return tina_receive();
}

/* How many sends may share one buffer has a limit too, and it is a refusal. */
static void send_of_received_data_to_more_than_can_share_it_is_refused(void **unused)
{
    (void)unused;
    static tina_fd fds[FANOUT];
    memset(&a, 0, sizeof a);
    rig_plan_init(&plan, 1, 1);
    plan.spec.fd_count = FANOUT + 1;
    plan.spec.op_count = FANOUT + 1;
    plan.spec.buffer_count = 2 * FANOUT + 100;
    rig_plan_child(&plan, 0, 0, &a);
    rig_system *rig = rig_start(&plan);
    a.data = fds;
    a.on = forward_to_all;
    rig_do(rig, &a, open_all);
    tina_op op = op_of(TINA_IO_RECV, fds[0]);
    rig_io(rig, &a, &op);
    rig_complete_receive(rig, 0, rig_request_of(rig, fds[0], TINA__IO_RECEIVE), "abcdefgh", 8);
    rig_settle(rig);
    assert_true(a.act.time_ns >= 100);
    assert_int_equal(rig_request_count(rig, 0), a.act.time_ns);
    rig_end(rig);
}

#define LISTENERS 4

static tina_effect broadcast(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (message->tag != TINA_IO_RECV)
        return tina_receive();
    const tina_fd *fds = me->data;
    for (size_t i = 0; i < LISTENERS; i++) {
        tina_op op = send_op(fds[i], message->io.data, message->io.size);
        assert_int_equal(tina_io_start(ctx, &op), TINA_OK);
    }
    return tina_receive();
}

static void finish_sends(rig_system *rig, const tina_fd *fds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        tina__io_request *request = rig_request_of(rig, fds[i], TINA__IO_SEND);
        if (request != NULL)
            rig_complete(rig, 0, request, TINA_OK, request->size);
    }
    rig_settle(rig);
}

/* How many sends of its own the isolate can have under way. */
static uint32_t own_sends(rig_system *rig, const tina_fd *fds, size_t count)
{
    uint32_t accepted = 0;
    for (size_t i = 0; i < count; i++) {
        tina_op op = send_op(fds[i], bytes, 10);
        tina_status status = rig_io_start(rig, &a, &op);
        assert_true(status == TINA_OK || status == TINA_POOL_EXHAUSTED);
        accepted += status == TINA_OK;
    }
    return accepted;
}

/* However many it goes to, what was received is one buffer. */
static void send_of_received_data_to_several_takes_one_buffer_from_own_sends(void **unused)
{
    (void)unused;
    memset(&a, 0, sizeof a);
    rig_plan_init(&plan, 1, 1);
    plan.spec.buffer_count = 8;
    rig_plan_child(&plan, 0, 0, &a);
    rig_system *rig = rig_start(&plan);
    tina_fd fds[2 * LISTENERS];
    for (size_t i = 0; i < 2 * LISTENERS; i++)
        fds[i] = rig_socket(rig, &a);
    a.data = fds;
    a.on = broadcast;
    uint32_t most = own_sends(rig, &fds[LISTENERS], LISTENERS);
    assert_int_equal(most, 4); /* half of the buffers */
    finish_sends(rig, fds, 2 * LISTENERS);
    for (uint32_t round = 0; round < 20; round++) {
        tina_op op = op_of(TINA_IO_RECV, fds[0]);
        rig_io(rig, &a, &op);
        rig_complete_receive(rig, 0, rig_request_of(rig, fds[0], TINA__IO_RECEIVE), "abcdefgh", 8);
        rig_settle(rig);
        for (size_t i = 0; i < LISTENERS; i++)
            assert_false(rig_request_of(rig, fds[i], TINA__IO_SEND)->no_wait);
        assert_int_equal(own_sends(rig, &fds[LISTENERS], LISTENERS), most - 1);
        finish_sends(rig, fds, 2 * LISTENERS);
        assert_int_equal(rig_stats(rig, 0).buffers.used, 0);
        assert_int_equal(own_sends(rig, fds, LISTENERS), most);
        finish_sends(rig, fds, 2 * LISTENERS);
    }
    rig_end(rig);
}

/* ---- Descriptors ----------------------------------------------------------------------------------------------------- */

static void close_with_operations_under_way_ends_them_then_tells(void **unused)
{
    (void)unused;
    for (int started = 0; started < 2; started++) {
        rig_system *rig = start();
        rig->backends[0].holds_cancels = true;
        tina_fd fd = rig_socket(rig, &a);
        tina_op receive = op_of(TINA_IO_RECV, fd);
        tina_op send = send_op(fd, bytes, 10);
        tina_op close = {.kind = TINA_IO_CLOSE, .fd = fd, .user = 5};
        rig_io_start(rig, &a, &receive);
        rig_io_start(rig, &a, &send);
        if (started)
            assert_int_equal(rig_io_start(rig, &a, &close), TINA_OK);
        else
            rig_io(rig, &a, &close);
        assert_int_equal(a.seen_count, 0);
        assert_int_equal(rig->backends[0].os_fd_count, 1);
        rig_cancel_wins(rig, 0);
        rig_settle(rig);
        assert_int_equal(rig->backends[0].os_fd_count, 0);
        assert_int_equal(a.seen_count, 3);
        assert_int_equal(rig_count_tag(&a, TINA_IO_RECV), 1);
        assert_int_equal(rig_count_tag(&a, TINA_IO_SEND), 1);
        assert_int_equal(rig_saw(&a, started ? 2 : 0)->tag, TINA_IO_CLOSE);
        assert_int_equal(rig_saw(&a, started ? 2 : 0)->fd.bits, fd.bits);
        assert_int_equal(rig_saw(&a, started ? 2 : 0)->user, started ? 5 : 0);
        assert_int_equal(rig_stats(rig, 0).fds.used, 0);
        rig_end(rig);
    }
}

static void close_needs_no_operation(void **unused)
{
    (void)unused;
    memset(&a, 0, sizeof a);
    rig_plan_init(&plan, 1, 1);
    plan.spec.op_count = 1;
    rig_plan_child(&plan, 0, 0, &a);
    rig_system *rig = rig_start(&plan);
    tina_fd first = rig_socket(rig, &a);
    tina_fd second = rig_socket(rig, &a);
    tina_op receive = op_of(TINA_IO_RECV, first);
    assert_int_equal(rig_io_start(rig, &a, &receive), TINA_OK);
    tina_op close = op_of(TINA_IO_CLOSE, second);
    rig_io(rig, &a, &close);
    expect_io(&a, TINA_IO_CLOSE, TINA_OK, 0);
    rig_end(rig);
}

static tina_effect close_and_end(rig_actor *me, tina_ctx *ctx)
{
    me->act.status = tina_io_start(ctx, &me->act.op);
    return tina_done();
}

static void close_that_completes_after_its_isolate_ended_frees_everything(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    rig->backends[0].holds_cancels = true;
    tina_fd fd = rig_socket(rig, &a);
    tina_op receive = op_of(TINA_IO_RECV, fd);
    rig_io_start(rig, &a, &receive);
    a.act.op = op_of(TINA_IO_CLOSE, fd);
    rig_do(rig, &a, close_and_end);
    assert_int_equal(a.act.status, TINA_OK);
    assert_int_equal(rig_stats(rig, 0).fds.used, 1);
    rig_cancel_wins(rig, 0);
    rig_settle(rig);
    assert_int_equal(rig_stats(rig, 0).fds.used, 0);
    rig_end(rig);
}

static void close_that_is_over_at_once_and_not_handled_is_reclaimed(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    tina_fd fd = rig_socket(rig, &a);
    a.act.op = op_of(TINA_IO_CLOSE, fd);
    rig_do(rig, &a, close_and_end);
    assert_int_equal(rig_stats(rig, 0).fds.used, 0);
    rig_end(rig);
}

static void descriptor_of_another_isolate_is_not_ones_own(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    tina_fd fd = rig_socket(rig, &a);
    static const tina_tag kinds[] = {TINA_IO_RECV, TINA_IO_SEND, TINA_IO_ACCEPT, TINA_IO_CONNECT, TINA_IO_CLOSE};
    tina_address address = tina_ipv4(127, 0, 0, 1, 1);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        tina_op op = {.kind = kinds[i], .fd = fd, .data = "x", .size = 1, .address = &address};
        assert_int_equal(rig_io_start(rig, &b, &op), TINA_NOT_OWNER);
        rig_io(rig, &b, &op);
        expect_io(&b, kinds[i], TINA_NOT_OWNER, 0);
        assert_int_equal(rig_saw_last(&b)->fd.bits, fd.bits);
    }
    assert_int_equal(rig_stats(rig, 0).ops.used, 0);
    assert_int_equal(rig_stats(rig, 0).buffers.used, 0);
    rig_end(rig);
}

static void descriptor_that_is_closed_is_stale(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    tina_fd fd = rig_socket(rig, &a);
    tina_op close = op_of(TINA_IO_CLOSE, fd);
    rig_io(rig, &a, &close);
    rig_io(rig, &a, &close);
    expect_io(&a, TINA_IO_CLOSE, TINA_STALE_HANDLE, 0);
    tina_fd other = rig_socket(rig, &a); /* perhaps in the same place */
    assert_int_not_equal(other.bits, fd.bits);
    tina_op receive = op_of(TINA_IO_RECV, fd);
    rig_io(rig, &a, &receive);
    expect_io(&a, TINA_IO_RECV, TINA_STALE_HANDLE, 0);
    assert_int_equal(rig_io_start(rig, &a, &receive), TINA_STALE_HANDLE);
    rig_end(rig);
}

static tina_effect try_random_descriptors(rig_actor *me, tina_ctx *ctx)
{
    tina_address address;
    for (uint32_t i = 0; i < 100000; i++) {
        tina_fd fd = {tina_random(ctx)};
        if (i % 2 == 0)
            fd.bits &= 0x00000FFFFFFFFFFF; /* this shard's, and in range now and then */
        if (fd.bits == me->act.fd.bits)
            continue;
        tina_op op = {.kind = TINA_IO_SEND, .fd = fd, .data = "x", .size = 1};
        assert_int_equal(tina_io_start(ctx, &op), TINA_STALE_HANDLE);
        op.kind = TINA_IO_CLOSE;
        assert_int_equal(tina_io_start(ctx, &op), TINA_STALE_HANDLE);
        assert_int_equal(tina_local_address(ctx, fd, &address), TINA_STALE_HANDLE);
        tina_io_cancel(ctx, fd, TINA_BOTH_HALVES);
        assert_false(tina_timer_cancel(ctx, (tina_timer){fd.bits}));
        tina_transfer_free(ctx, (tina_transfer){fd.bits});
        tina_spawn spawn = {.type = 0, .fd = fd};
        if (!tina_fd_is_none(fd))
            assert_int_equal(tina_spawn_child(ctx, &spawn, NULL), TINA_STALE_HANDLE);
    }
    return tina_receive();
}

static void random_descriptors_are_stale(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    a.act.fd = rig_socket(rig, &a);
    rig_do(rig, &a, try_random_descriptors);
    rig_end(rig);
}

static void random_descriptors_in_an_effect_are_stale(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    for (uint64_t i = 0; i < 1000; i++) {
        tina_op op = {.kind = i % 2 == 0 ? TINA_IO_RECV : TINA_IO_CLOSE, .fd = {tina__mix64(i) >> (i % 3 == 0 ? 0 : 8)}};
        rig_io(rig, &a, &op);
        expect_io(&a, op.kind, TINA_STALE_HANDLE, 0);
    }
    rig_end(rig);
}

static void socket_that_the_system_refuses_leaves_nothing(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    rig->backends[0].socket_status = TINA_DENIED;
    assert_true(tina_fd_is_none(rig_socket(rig, &a)));
    assert_int_equal(a.act.status, TINA_DENIED);
    assert_int_equal(rig_stats(rig, 0).fds.used, 0);
    rig->backends[0].socket_status = TINA_OK;
    assert_false(tina_fd_is_none(rig_socket(rig, &a)));
    rig_end(rig);
}

/* ---- Halves ------------------------------------------------------------------------------------------------------------ */

static tina_spawn hand(const rig_actor *const *to, tina_fd fd, tina_handoff handoff)
{
    return (tina_spawn){.args = to, .args_size = sizeof *to, .fd = fd, .type = 1, .handoff = (uint8_t)handoff};
}

static void handoff_of_a_descriptor_makes_the_child_its_owner(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    static rig_actor child;
    memset(&child, 0, sizeof child);
    const rig_actor *args = &child;
    tina_fd fd = rig_socket(rig, &a);
    tina_op receive = op_of(TINA_IO_RECV, fd);
    rig_io_start(rig, &a, &receive);
    tina_spawn spawn = hand(&args, fd, TINA_HANDOFF_FULL);
    assert_int_equal(rig_spawn(rig, &a, &spawn), TINA_BUSY);
    rig_io_cancel(rig, &a, fd, TINA_READ_HALF);
    assert_int_equal(rig_spawn(rig, &b, &spawn), TINA_NOT_OWNER);
    assert_int_equal(rig_spawn(rig, &a, &spawn), TINA_OK);
    assert_int_equal(rig_io_start(rig, &a, &receive), TINA_NOT_OWNER);
    assert_int_equal(rig_io_start(rig, &child, &receive), TINA_OK);
    rig_done(rig, &a);
    assert_int_equal(rig->backends[0].os_fd_count, 1);
    rig_done(rig, &child);
    assert_int_equal(rig->backends[0].os_fd_count, 0);
    rig_end(rig);
}

static tina_effect fail_init(rig_actor *me, tina_ctx *ctx)
{
    (void)me;
    (void)ctx;
    return tina_crash(3);
}

static void handoff_to_a_child_whose_init_fails_comes_back(void **unused)
{
    (void)unused;
    for (int half = TINA_HANDOFF_FULL; half <= TINA_HANDOFF_WRITE; half++) {
        rig_system *rig = start();
        static rig_actor child;
        memset(&child, 0, sizeof child);
        child.on_init = fail_init;
        const rig_actor *args = &child;
        tina_fd fd = rig_socket(rig, &a);
        tina_spawn spawn = hand(&args, fd, (tina_handoff)half);
        assert_int_equal(rig_spawn(rig, &a, &spawn), TINA_INIT_FAILED);
        tina_op receive = op_of(TINA_IO_RECV, fd);
        tina_op send = send_op(fd, bytes, 1);
        assert_int_equal(rig_io_start(rig, &a, &receive), TINA_OK);
        assert_int_equal(rig_io_start(rig, &a, &send), TINA_OK);
        rig_end(rig);
    }
}

static void handoff_of_a_half_leaves_each_its_own_in_both_orders_of_death(void **unused)
{
    (void)unused;
    for (int child_first = 0; child_first < 2; child_first++) {
        rig_system *rig = start();
        static rig_actor child;
        memset(&child, 0, sizeof child);
        const rig_actor *args = &child;
        tina_fd fd = rig_socket(rig, &a);
        tina_spawn spawn = hand(&args, fd, TINA_HANDOFF_READ);
        assert_int_equal(rig_spawn(rig, &a, &spawn), TINA_OK);
        tina_op receive = op_of(TINA_IO_RECV, fd);
        tina_op send = send_op(fd, bytes, 1);
        assert_int_equal(rig_io_start(rig, &a, &receive), TINA_NOT_OWNER);
        assert_int_equal(rig_io_start(rig, &child, &send), TINA_NOT_OWNER);
        assert_int_equal(rig_io_start(rig, &child, &receive), TINA_OK);
        assert_int_equal(rig_io_start(rig, &a, &send), TINA_OK);
        rig_actor *first = child_first ? &child : &a;
        rig_actor *second = child_first ? &a : &child;
        rig_crash(rig, first);
        assert_int_equal(rig->backends[0].os_fd_count, 1);
        assert_int_equal(rig->backends[0].shut[0], child_first ? TINA_READ_HALF : TINA_WRITE_HALF);
        assert_int_equal(rig_request_count(rig, 0), 1);
        rig_crash(rig, second);
        assert_int_equal(rig->backends[0].os_fd_count, 0);
        assert_int_equal(rig_stats(rig, 0).fds.used, 0);
        rig_end(rig);
    }
}

/* ---- Shutdown ------------------------------------------------------------------------------------------------------------- */

static tina_effect done_after_receive(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    (void)me;
    (void)ctx;
    return message->tag == TINA_IO_RECV ? tina_done() : tina_receive();
}

static void shutdown_overtakes_an_operation_which_then_completes_as_a_started_one(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    a.on = done_after_receive;
    tina_fd fd = rig_socket(rig, &a);
    tina_op op = op_of(TINA_IO_RECV, fd);
    rig_io(rig, &a, &op);
    rig_stop(rig, TINA__STOP_GRACEFUL);
    rig_settle(rig);
    assert_int_equal(rig_saw_last(&a)->tag, TINA_TAG_SHUTDOWN);
    rig_complete_receive(rig, 0, rig_request_of(rig, fd, TINA__IO_RECEIVE), "bye", 3);
    rig_settle(rig);
    expect_io(&a, TINA_IO_RECV, TINA_OK, 3);
    rig_end(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recv_with_data_delivers_it),
        cmocka_unit_test(recv_with_a_size_asks_for_no_more),
        cmocka_unit_test(recv_at_the_peers_end_is_closed),
        cmocka_unit_test(operation_that_the_kernel_fails_tells_its_status),
        cmocka_unit_test(connect_that_succeeds_tells_so),
        cmocka_unit_test(accept_that_succeeds_brings_an_owned_descriptor),
        cmocka_unit_test(send_that_succeeds_tells_its_size),
        cmocka_unit_test(send_that_is_taken_in_pieces_goes_on_to_the_last_byte),
        cmocka_unit_test(send_of_parts_is_one_stream),
        cmocka_unit_test(send_that_fails_half_way_tells_how_far_it_came),
        cmocka_unit_test(operation_with_wrong_arguments_is_invalid),
        cmocka_unit_test(deadline_that_passes_cancels_and_says_timed_out),
        cmocka_unit_test(deadline_whose_cancel_loses_delivers_what_was_received),
        cmocka_unit_test(deadline_of_an_operation_that_is_over_does_nothing),
        cmocka_unit_test(cancel_of_one_half_ends_that_half_alone),
        cmocka_unit_test(cancel_in_the_handler_that_started_it_completes_it_once),
        cmocka_unit_test(cancel_that_loses_against_a_part_of_a_send_does_not_say_ok),
        cmocka_unit_test(cancel_that_loses_against_the_last_byte_of_a_send_says_ok),
        cmocka_unit_test(socket_shutdown_of_a_half_ends_its_receive),
        cmocka_unit_test(end_with_a_receive_under_way_reclaims_it),
        cmocka_unit_test(end_with_an_accept_under_way_closes_what_it_brings),
        cmocka_unit_test(end_with_a_send_under_way_gives_its_buffer_back),
        cmocka_unit_test(end_with_finished_operations_waiting_reclaims_them),
        cmocka_unit_test(starved_receives_are_fed_in_their_order),
        cmocka_unit_test(starved_receive_is_fed_when_the_buffer_came_back_before_its_word),
        cmocka_unit_test(starved_receive_ends_by_deadline_cancel_close_and_death),
        cmocka_unit_test(starved_receive_that_shutdown_overtook_and_the_handler_cancels_completes),
        cmocka_unit_test(send_at_half_of_the_buffers_does_not_wait_and_past_it_is_refused),
        cmocka_unit_test(send_of_received_data_keeps_its_buffer_until_the_last_is_over),
        cmocka_unit_test(send_of_received_data_to_more_than_can_share_it_is_refused),
        cmocka_unit_test(close_with_operations_under_way_ends_them_then_tells),
        cmocka_unit_test(close_needs_no_operation),
        cmocka_unit_test(close_that_completes_after_its_isolate_ended_frees_everything),
        cmocka_unit_test(close_that_is_over_at_once_and_not_handled_is_reclaimed),
        cmocka_unit_test(descriptor_of_another_isolate_is_not_ones_own),
        cmocka_unit_test(descriptor_that_is_closed_is_stale),
        cmocka_unit_test(random_descriptors_are_stale),
        cmocka_unit_test(random_descriptors_in_an_effect_are_stale),
        cmocka_unit_test(socket_that_the_system_refuses_leaves_nothing),
        cmocka_unit_test(handoff_of_a_descriptor_makes_the_child_its_owner),
        cmocka_unit_test(handoff_to_a_child_whose_init_fails_comes_back),
        cmocka_unit_test(handoff_of_a_half_leaves_each_its_own_in_both_orders_of_death),
        cmocka_unit_test(shutdown_overtakes_an_operation_which_then_completes_as_a_started_one),
        cmocka_unit_test(send_of_received_data_to_several_takes_one_buffer_from_own_sends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
