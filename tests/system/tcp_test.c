/*
 * Streams between isolates of two shards over TCP, on each backend, while timers
 * fire, deadlines pass, operations are cancelled and messages come: every byte is
 * looked at, and none is lost.
 */
/* ctest: label stress */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/witness.h"

#include <string.h>

enum { TAG_CONNECT = TINA_TAG_USER, TAG_BALL, TAG_TICK, MIB = 1 << 20 };
enum { TYPE_ACCEPTOR, TYPE_STARTER, TYPE_PEST, TYPE_END, TYPE_COUNT };
enum { NAME_ACCEPTOR = 1, NAME_STARTER, NAME_PEST };

typedef struct witness {
    uint64_t total;     /* bytes each way */
    uint32_t chunk_max; /* of one send */
    uint32_t connections;
    int family;
    bool has_pests;
    tina_test_count port, failed, wrong_bytes, done, received;
    tina_test_count timed_out, cancelled_receives, cancelled_sends, balls;
} witness;

/* ---- The stream: its n-th eight bytes are the number n ---- */

static uint8_t byte_at(uint64_t offset) { return (uint8_t)(offset / 8 >> offset % 8 * 8); }

static void fill(uint8_t *bytes, uint64_t offset, size_t size)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = byte_at(offset + i);
}

static bool is_right(const uint8_t *bytes, uint64_t offset, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != byte_at(offset + i))
            return false;
    }
    return true;
}

/* ---- One end of a connection ---- */

typedef struct end {
    uint8_t *memory;
    uint64_t sent, received;
    tina_fd fd;
    bool is_connector, is_receiving, is_sending, is_read_over, is_write_over, is_pausing;
} end;

typedef struct end_args {
    tina_fd fd;
    bool is_connector;
} end_args;

static tina_address loopback(const witness *seen, uint16_t port)
{
    static const uint8_t one[16] = {[15] = 1};
    return seen->family == TINA_IPV6 ? tina_ipv6(one, port) : tina_ipv4(127, 0, 0, 1, port);
}

static tina_effect give_up(tina_ctx *ctx)
{
    witness *seen = tina_user(ctx);
    tina_test_count_up(&seen->failed);
    return tina_crash(1);
}

static tina_status end_receive(end *me, const witness *seen, tina_ctx *ctx)
{
    uint64_t dice = tina_random(ctx);
    tina_op op = {.kind = TINA_IO_RECV, .fd = me->fd};
    if (dice % 2 == 0)
        op.size = 1 + (dice >> 8) % 3000;
    if (seen->has_pests && (dice >> 4) % 2 == 0)
        op.timeout_ns = 20000 + (dice >> 32) % 600000;
    tina_status status = tina_io_start(ctx, &op);
    me->is_receiving = status == TINA_OK;
    return status;
}

static tina_status end_send(end *me, const witness *seen, tina_ctx *ctx)
{
    uint64_t left = seen->total - me->sent;
    uint64_t size = 1 + tina_random(ctx) % seen->chunk_max;
    size = size < left ? size : left;
    fill(me->memory, me->sent, size);
    tina_op op = {.kind = TINA_IO_SEND, .fd = me->fd, .data = me->memory, .size = size};
    tina_status status = tina_io_start(ctx, &op);
    me->is_sending = status == TINA_OK;
    return status;
}

/* What runs out comes back: the next tick of the timer tries again. */
static bool is_fine(tina_status status) { return status == TINA_OK || status == TINA_POOL_EXHAUSTED; }

static tina_effect end_go_on(end *me, tina_ctx *ctx)
{
    const witness *seen = tina_user(ctx);
    if (!me->is_receiving && !me->is_read_over && !is_fine(end_receive(me, seen, ctx)))
        return give_up(ctx);
    if (!me->is_sending && !me->is_pausing && me->sent < seen->total && !is_fine(end_send(me, seen, ctx)))
        return give_up(ctx);
    if (me->sent == seen->total && !me->is_write_over) {
        if (tina_socket_shutdown(ctx, me->fd, TINA_WRITE_HALF) != TINA_OK)
            return give_up(ctx);
        me->is_write_over = true;
    }
    if (me->is_read_over && me->is_write_over)
        return tina_io_close(ctx, me->fd);
    return tina_receive();
}

static tina_effect end_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    end *me = self;
    const witness *seen = tina_user(ctx);
    end_args given;
    if (args_size != sizeof given)
        return give_up(ctx);
    memcpy(&given, args, sizeof given);
    me->fd = given.fd;
    me->is_connector = given.is_connector;
    me->memory = tina_working(ctx, seen->chunk_max);
    if (me->memory == NULL || tina_timer_repeat(ctx, 500000, TAG_TICK, NULL) != TINA_OK)
        return give_up(ctx);
    if (!me->is_connector)
        return end_go_on(me, ctx);
    tina_address to = loopback(seen, (uint16_t)tina_test_counted(&seen->port));
    if (tina_socket(ctx, seen->family, TINA_STREAM, &me->fd) != TINA_OK)
        return give_up(ctx);
    return tina_io_connect(ctx, me->fd, &to, 10000000000u);
}

static void disturb(end *me, tina_ctx *ctx)
{
    const witness *seen = tina_user(ctx);
    if (!seen->has_pests)
        return;
    uint64_t dice = tina_random(ctx);
    if (dice % 4 == 0)
        tina_io_cancel(ctx, me->fd, TINA_READ_HALF);
    if (dice % 8 == 1)
        tina_io_cancel(ctx, me->fd, TINA_WRITE_HALF);
    if (dice % 8 == 2)
        tina_io_cancel(ctx, me->fd, TINA_BOTH_HALVES);
    tina_handle pest = tina_named((uint8_t)(dice >> 8) % tina_shard_count(ctx), NAME_PEST);
    tina_ignore(tina_send(ctx, pest, TAG_BALL, NULL, 0));
    tina_ignore(tina_send(ctx, tina_self(ctx), TAG_BALL, NULL, 0));
}

static void take_received(end *me, const tina_io_result *io, witness *seen)
{
    me->is_receiving = false;
    if (!is_right(io->data, me->received, io->size))
        tina_test_count_up(&seen->wrong_bytes);
    me->received += io->size;
    switch (io->status) {
    case TINA_OK: break;
    case TINA_TIMED_OUT: tina_test_count_up(&seen->timed_out); break;
    case TINA_CANCELLED: tina_test_count_up(&seen->cancelled_receives); break;
    case TINA_CLOSED: me->is_read_over = true; break;
    default:
        print_error("a receive: %s\n", tina_status_name((tina_status)io->status));
        tina_test_count_up(&seen->failed);
        me->is_read_over = true;
        break;
    }
}

static void take_sent(end *me, const tina_io_result *io, tina_ctx *ctx)
{
    witness *seen = tina_user(ctx);
    me->is_sending = false;
    me->sent += io->size;
    me->is_pausing = seen->has_pests && tina_random(ctx) % 4 == 0; /* until the timer ticks: so deadlines pass */
    if (io->status == TINA_CANCELLED) {
        tina_test_count_up(&seen->cancelled_sends);
    } else if (io->status != TINA_OK) {
        print_error("a send: %s\n", tina_status_name((tina_status)io->status));
        tina_test_count_up(&seen->failed);
    }
}

static tina_effect end_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    end *me = self;
    witness *seen = tina_user(ctx);
    switch (message->tag) {
    case TINA_TAG_SHUTDOWN: return tina_done();
    case TINA_IO_CONNECT:
        if (message->io.status != TINA_OK)
            return give_up(ctx);
        break;
    case TINA_IO_RECV: take_received(me, &message->io, seen); break;
    case TINA_IO_SEND: take_sent(me, &message->io, ctx); break;
    case TINA_IO_CLOSE:
        atomic_fetch_add(&seen->received, me->received);
        tina_test_count_up(&seen->done);
        return tina_done();
    case TAG_TICK:
        me->is_pausing = false;
        disturb(me, ctx);
        break;
    case TAG_BALL: tina_test_count_up(&seen->balls); break;
    default: return give_up(ctx);
    }
    return end_go_on(me, ctx);
}

/* ---- The same, one thing after the other: all operations are effects ---- */

static tina_effect parked_go_on(end *me, tina_ctx *ctx)
{
    const witness *seen = tina_user(ctx);
    bool is_my_turn = me->is_connector || me->is_read_over; /* the one that connects speaks first */
    uint64_t dice = tina_random(ctx);
    if (dice % 5 == 0 && !me->is_read_over)
        return tina_receive(); /* until a tick of the timer or a ball */
    if (is_my_turn && me->sent < seen->total) {
        uint64_t left = seen->total - me->sent;
        uint64_t size = 1 + dice % seen->chunk_max;
        size = size < left ? size : left;
        fill(me->memory, me->sent, size);
        return tina_io_send(ctx, me->fd, me->memory, size);
    }
    if (is_my_turn && !me->is_write_over) {
        if (tina_socket_shutdown(ctx, me->fd, TINA_WRITE_HALF) != TINA_OK)
            return give_up(ctx);
        me->is_write_over = true;
    }
    if (me->is_read_over)
        return tina_io_close(ctx, me->fd);
    tina_op op = {.kind = TINA_IO_RECV, .fd = me->fd, .timeout_ns = 20000 + dice % 1000000};
    return tina_io(ctx, &op);
}

static tina_effect parked_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    end *me = self;
    witness *seen = tina_user(ctx);
    switch (message->tag) {
    case TINA_TAG_SHUTDOWN: return tina_done();
    case TINA_IO_CONNECT: break;
    case TINA_IO_RECV:
        if (message->io.status != TINA_POOL_EXHAUSTED)
            take_received(me, &message->io, seen);
        break;
    case TINA_IO_SEND:
        if (message->io.status == TINA_POOL_EXHAUSTED) /* no buffer is free yet */
            return tina_receive();
        take_sent(me, &message->io, ctx);
        break;
    case TINA_IO_CLOSE: return end_handle(self, message, ctx);
    case TAG_TICK:
        if (seen->has_pests)
            tina_ignore(tina_send(ctx, tina_self(ctx), TAG_BALL, NULL, 0));
        break;
    default: tina_test_count_up(&seen->balls); break;
    }
    return parked_go_on(me, ctx);
}

static tina_effect parked_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    end *me = self;
    const witness *seen = tina_user(ctx);
    end_args given;
    memcpy(&given, args, args_size < sizeof given ? args_size : sizeof given);
    if (given.is_connector)
        return end_init(self, args, args_size, ctx);
    me->fd = given.fd;
    me->memory = tina_working(ctx, seen->chunk_max);
    if (me->memory == NULL || tina_timer_repeat(ctx, 500000, TAG_TICK, NULL) != TINA_OK)
        return give_up(ctx);
    return parked_go_on(me, ctx);
}

/* ---- The others ---- */

typedef struct acceptor {
    tina_fd fd;
} acceptor;

static tina_effect acceptor_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)args, (void)args_size;
    acceptor *me = self;
    witness *seen = tina_user(ctx);
    tina_address address = loopback(seen, 0);
    if (tina_socket(ctx, seen->family, TINA_STREAM, &me->fd) != TINA_OK || tina_bind(ctx, me->fd, &address) != TINA_OK ||
        tina_listen(ctx, me->fd, 64) != TINA_OK || tina_local_address(ctx, me->fd, &address) != TINA_OK)
        return give_up(ctx);
    atomic_store(&seen->port, address.port);
    return tina_io_accept(ctx, me->fd);
}

static tina_effect acceptor_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    acceptor *me = self;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (message->tag != TINA_IO_ACCEPT || message->io.status != TINA_OK)
        return give_up(ctx);
    end_args args = {.fd = message->io.fd};
    tina_spawn spawn = {.type = TYPE_END, .fd = message->io.fd, .args = &args, .args_size = sizeof args};
    if (tina_spawn_child(ctx, &spawn, NULL) != TINA_OK)
        return give_up(ctx);
    return tina_io_accept(ctx, me->fd);
}

static tina_effect waiting_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size, (void)ctx;
    return tina_receive();
}

static tina_effect starter_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self;
    const witness *seen = tina_user(ctx);
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    end_args args = {.is_connector = true};
    tina_spawn spawn = {.type = TYPE_END, .args = &args, .args_size = sizeof args};
    for (uint32_t i = 0; i < seen->connections; i++) {
        if (tina_spawn_child(ctx, &spawn, NULL) != TINA_OK)
            return give_up(ctx);
    }
    return tina_receive();
}

/* Throws back what it gets. */
static tina_effect pest_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    tina_ignore(tina_send(ctx, message->source, TAG_BALL, NULL, 0));
    return tina_receive();
}

/* ---- Runs ---- */

typedef struct run {
    uint64_t total;
    uint32_t chunk_max, connections;
    int family;
    bool has_pests, is_parked;
} run;

static witness seen;

static void exchange_once(uint8_t backend, const run *wanted)
{
    memset(&seen, 0, sizeof seen);
    seen.total = tina_test_is_slow() ? wanted->total / 8 : wanted->total;
    seen.chunk_max = wanted->chunk_max;
    seen.connections = wanted->connections;
    seen.family = wanted->family;
    seen.has_pests = wanted->has_pests;
    const tina_type types[TYPE_COUNT] = {
        {.name = "acceptor", .init = acceptor_init, .handler = acceptor_handle, .size = sizeof(acceptor)},
        {.name = "starter", .init = waiting_init, .handler = starter_handle, .size = 8},
        {.name = "pest", .init = waiting_init, .handler = pest_handle, .size = 8},
        {.name = "end",
         .init = wanted->is_parked ? parked_init : end_init,
         .handler = wanted->is_parked ? parked_handle : end_handle,
         .size = sizeof(end),
         .slot_count = wanted->connections,
         .working_size = wanted->chunk_max},
    };
    static const tina_child left[] = {{.type = TYPE_STARTER, .name = NAME_STARTER}, {.type = TYPE_PEST, .name = NAME_PEST}};
    static const tina_child right[] = {{.type = TYPE_ACCEPTOR, .name = NAME_ACCEPTOR},
                                       {.type = TYPE_PEST, .name = NAME_PEST}};
    const tina_shard_spec shards[] = {{.root = {.children = left, .child_count = 2}},
                                      {.root = {.children = right, .child_count = 2}}};
    tina_system_spec spec = {
        .types = types,
        .type_count = TYPE_COUNT,
        .shards = shards,
        .shard_count = 2,
        .timer_resolution_ns = 100000,
        .timer_count = 256,
        .channel_capacity = 64,
        .op_count = 64,
        .buffer_count = 16,
        .backend = backend,
        .development = true,
        .user = &seen,
    };
    tina_system *system = tina_test_start(&spec);
    assert_int_equal(tina_post(system, tina_named(0, NAME_STARTER), TAG_CONNECT, NULL, 0), TINA_OK);
    tina_test_await(&seen.done, 2 * wanted->connections);
    tina_end_report report;
    tina_test_end(system, &report);
    assert_int_equal(tina_test_counted(&seen.failed), 0);
    assert_int_equal(tina_test_counted(&seen.wrong_bytes), 0);
    assert_int_equal(tina_test_counted(&seen.received), 2 * wanted->connections * seen.total);
    assert_int_equal(report.total.bytes_in, 2 * wanted->connections * seen.total);
    assert_int_equal(report.total.bytes_out, 2 * wanted->connections * seen.total);
    assert_int_equal(report.total.crashes, 0);
}

/* Something came between a receive and what it brought, of each kind. */
static bool has_struck(const run *wanted)
{
    bool is_cancelled = wanted->is_parked || tina_test_counted(&seen.cancelled_receives) > 0;
    return tina_test_counted(&seen.balls) > 0 && tina_test_counted(&seen.timed_out) > 0 && is_cancelled;
}

static void exchange_on(uint8_t backend, const run *wanted)
{
    bool may_miss = !wanted->has_pests || wanted->chunk_max > 9000; /* few receives: nothing is sure to strike one */
    for (int left = 20; left != 0; left--) {
        exchange_once(backend, wanted);
        if (may_miss || has_struck(wanted))
            return;
    }
    fail_msg("nothing has struck any receive");
}

static void exchange(const run *wanted)
{
    uint8_t backends[2];
    size_t count = tina_test_backends(backends);
    for (size_t i = 0; i < count; i++)
        exchange_on(backends[i], wanted);
}

static void full_duplex_delivers_every_byte(void **state)
{
    (void)state;
    exchange(&(run){.total = 8 * MIB, .chunk_max = 20000, .connections = 4, .family = TINA_IPV4});
}

static void full_duplex_over_ipv6_delivers_every_byte(void **state)
{
    (void)state;
    exchange(&(run){.total = 2 * MIB, .chunk_max = 5000, .connections = 4, .family = TINA_IPV6});
}

static void sends_of_a_mebibyte_deliver_every_byte(void **state)
{
    (void)state;
    exchange(&(run){.total = 16 * MIB, .chunk_max = MIB, .connections = 2, .family = TINA_IPV4});
}

static void timers_deadlines_cancels_and_messages_lose_nothing(void **state)
{
    (void)state;
    exchange(&(run){.total = 8 * MIB, .chunk_max = 9000, .connections = 4, .family = TINA_IPV4, .has_pests = true});
    exchange(&(run){.total = MIB / 8, .chunk_max = 64, .connections = 4, .family = TINA_IPV4, .has_pests = true});
}

static void sends_of_a_mebibyte_that_are_cancelled_say_how_far_they_came(void **state)
{
    (void)state;
    exchange(&(run){.total = 32 * MIB, .chunk_max = MIB, .connections = 2, .family = TINA_IPV4, .has_pests = true});
}

static void parked_receives_with_deadlines_lose_nothing(void **state)
{
    (void)state;
    exchange(&(run){
        .total = MIB, .chunk_max = 9000, .connections = 4, .family = TINA_IPV4, .has_pests = true, .is_parked = true});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_duplex_delivers_every_byte),
        cmocka_unit_test(full_duplex_over_ipv6_delivers_every_byte),
        cmocka_unit_test(sends_of_a_mebibyte_deliver_every_byte),
        cmocka_unit_test(timers_deadlines_cancels_and_messages_lose_nothing),
        cmocka_unit_test(sends_of_a_mebibyte_that_are_cancelled_say_how_far_they_came),
        cmocka_unit_test(parked_receives_with_deadlines_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
