/* Connections that go around a ring of four shards: nothing in them is lost, each is closed once, and none is left. */
/* ctest: label stress */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/leaks.h"
#include "support/witness.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TAG_BEGIN = TINA_TAG_USER, SHARDS = 4, CONNECTIONS = 16, NAME_KEEPER = 1, NAME_BOMB };
#define RETRY_NS 1000000u

/* What is read at each hop: which connection it is, and how many hops it had. */
typedef struct record {
    uint32_t connection, hop;
} record;

typedef struct witness {
    uint32_t hops_each; /* set before the start */
    tina_test_count hops[CONNECTIONS];
    tina_test_count done, wrong, returned, put_off;
} witness;

/* ---- Keepers ----------------------------------------------------------------------------- */

typedef struct keeper {
    tina_fd late[CONNECTIONS]; /* could not be given yet */
    uint32_t late_count;
} keeper;

static tina_effect keeper_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size, (void)ctx;
    return tina_receive();
}

static void wrong(tina_ctx *ctx)
{
    witness *seen = tina_user(ctx);
    tina_test_count_up(&seen->wrong);
}

static void put_off(keeper *me, tina_fd fd, tina_ctx *ctx)
{
    witness *seen = tina_user(ctx);
    tina_test_count_up(&seen->put_off);
    me->late[me->late_count++] = fd;
    if (me->late_count == 1 && tina_timer_start(ctx, RETRY_NS, TINA_TAG_TIMER, NULL) != TINA_OK)
        wrong(ctx);
}

static void give_on(keeper *me, tina_fd fd, tina_ctx *ctx)
{
    tina_handle next = tina_named((uint8_t)((tina_shard(ctx) + 1) % SHARDS), NAME_KEEPER);
    tina_status status = tina_fd_give(ctx, next, fd);
    if (status == TINA_CHANNEL_FULL)
        put_off(me, fd, ctx);
    else if (status != TINA_OK)
        wrong(ctx);
}

static void try_again(keeper *me, tina_ctx *ctx)
{
    keeper before = *me;
    me->late_count = 0;
    for (uint32_t i = 0; i < before.late_count; i++)
        give_on(me, before.late[i], ctx);
}

static void read_record(tina_fd fd, tina_ctx *ctx)
{
    if (tina_io_start(ctx, &(tina_op){.kind = TINA_IO_RECV, .fd = fd, .size = sizeof(record)}) != TINA_OK)
        wrong(ctx);
}

static void take(keeper *me, const tina_message *message, tina_ctx *ctx)
{
    witness *seen = tina_user(ctx);
    if (message->io.status == TINA_OK) {
        read_record(message->io.fd, ctx);
        return;
    }
    tina_test_count_up(&seen->returned);
    put_off(me, message->io.fd, ctx);
}

static void hop(keeper *me, const tina_message *message, tina_ctx *ctx)
{
    witness *seen = tina_user(ctx);
    record at = {0};
    if (message->io.status != TINA_OK || message->io.size != sizeof at) {
        wrong(ctx);
        return;
    }
    memcpy(&at, message->io.data, sizeof at);
    if (at.connection >= CONNECTIONS || tina_test_counted(&seen->hops[at.connection]) != at.hop) {
        wrong(ctx);
        return;
    }
    tina_test_count_up(&seen->hops[at.connection]);
    if (at.hop + 1 < seen->hops_each)
        give_on(me, message->io.fd, ctx);
    else if (tina_io_start(ctx, &(tina_op){.kind = TINA_IO_CLOSE, .fd = message->io.fd}) != TINA_OK)
        wrong(ctx);
}

static void begin(const tina_message *message, tina_ctx *ctx)
{
    int os_fd;
    tina_fd fd;
    memcpy(&os_fd, message->payload, sizeof os_fd);
    if (tina_fd_adopt(ctx, os_fd, &fd) == TINA_OK)
        read_record(fd, ctx);
    else
        wrong(ctx);
}

static tina_effect keeper_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    keeper *me = self;
    witness *seen = tina_user(ctx);
    switch (message->tag) {
    case TAG_BEGIN: begin(message, ctx); break;
    case TINA_TAG_FD: take(me, message, ctx); break;
    case TINA_TAG_TIMER: try_again(me, ctx); break;
    case TINA_IO_RECV: hop(me, message, ctx); break;
    case TINA_IO_CLOSE: tina_test_count_up(&seen->done); break;
    case TINA_TAG_SHUTDOWN: return tina_done();
    default: break;
    }
    return tina_receive();
}

/* ---- Where shards begin anew -------------------------------------------------------------------- */

/* Gives on what it gets, and keeps nothing: who is lost with a shard is closed there. */
static tina_effect runner_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self;
    witness *seen = tina_user(ctx);
    tina_fd fd = message->io.fd;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (message->tag == TAG_BEGIN) {
        int os_fd;
        memcpy(&os_fd, message->payload, sizeof os_fd);
        if (tina_fd_adopt(ctx, os_fd, &fd) != TINA_OK)
            close(os_fd);
    } else if (message->tag != TINA_TAG_FD || message->io.status == TINA_SHARD_DOWN) {
        return tina_receive();
    }
    tina_test_count_up(&seen->hops[0]);
    tina_handle next = tina_named((uint8_t)((tina_shard(ctx) + 1) % SHARDS), NAME_KEEPER);
    if (tina_fd_give(ctx, next, fd) != TINA_OK)
        return tina_io_close(ctx, fd);
    return tina_receive();
}

static tina_effect bomb_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size;
    witness *seen = tina_user(ctx);
    tina_test_count_up(&seen->done); /* one more life has begun */
    return tina_receive();
}

static tina_effect bomb_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self, (void)ctx;
    int *volatile nowhere = (int *)8;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    *nowhere = 1; /* its type's containment is the shard */
    return tina_receive();
}

/* ---- From outside -------------------------------------------------------------------------- */

static uint32_t hops_in_all(void)
{
    if (getenv("TINA_SOAK") != NULL)
        return 100000;
    return tina_test_is_slow() ? 800 : 2000;
}

/* All that will be read lies in it before it is given the first time. */
static void fill(int os_fd, uint32_t connection, uint32_t hops)
{
    for (uint32_t i = 0; i < hops;) {
        record some[64];
        uint32_t count = 0;
        for (; count < 64 && i < hops; i++)
            some[count++] = (record){connection, i};
        assert_int_equal(write(os_fd, some, count * sizeof some[0]), count * sizeof some[0]);
    }
}

static tina_system *start(witness *seen, uint8_t backend, uint32_t channel)
{
    static const tina_type types[] = {
        {.name = "keeper", .init = keeper_init, .handler = keeper_handle, .size = sizeof(keeper), .mailbox_capacity = 8}};
    static const tina_child children[] = {{.type = 0, .name = NAME_KEEPER}};
    tina_system_spec spec = {
        .types = types,
        .type_count = 1,
        .root = {.children = children, .child_count = 1},
        .shard_count = SHARDS,
        .user = seen,
        .backend = backend,
        .channel_capacity = channel,
        .fd_count = CONNECTIONS,
        .development = true,
    };
    return tina_test_start(&spec);
}

static void send_round(witness *seen, uint8_t backend, uint32_t channel)
{
    int ends[CONNECTIONS][2];
    memset(seen, 0, sizeof *seen);
    seen->hops_each = hops_in_all() / CONNECTIONS;
    tina_system *system = start(seen, backend, channel);
    for (uint32_t i = 0; i < CONNECTIONS; i++) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends[i]), 0);
        fill(ends[i][0], i, seen->hops_each);
        assert_int_equal(
            tina_post(system, tina_named((uint8_t)(i % SHARDS), NAME_KEEPER), TAG_BEGIN, &ends[i][1], sizeof(int)), TINA_OK);
    }
    for (uint32_t i = 0; i < CONNECTIONS; i++)
        tina_test_await(&seen->hops[i], seen->hops_each);
    tina_test_await(&seen->done, CONNECTIONS);
    assert_int_equal(tina_test_counted(&seen->wrong), 0);
    for (uint8_t i = 0; i < SHARDS; i++)
        tina_test_await_that(tina_test_stats(system, i).fds.used == 0);
    for (uint32_t i = 0; i < CONNECTIONS; i++) {
        char byte;
        assert_int_equal(read(ends[i][0], &byte, 1), 0); /* the other end is closed, with nothing left in it */
        close(ends[i][0]);
    }
    tina_end_report report;
    tina_test_end(system, &report);
    assert_int_equal(report.total.fds.used, 0);
    assert_int_equal(report.total.arrived_stale, 0);
}

static void on_each_backend(uint32_t channel)
{
    static witness seen;
    uint8_t backends[2];
    size_t count = tina_test_backends(backends);
    for (size_t i = 0; i < count; i++) {
        size_t before = tina_test_fd_count();
        send_round(&seen, backends[i], channel);
        assert_int_equal(tina_test_fd_count(), before);
    }
}

static void connections_go_round_whole(void **state)
{
    (void)state;
    on_each_backend(0);
}

/* Where channels are narrow givers are refused, and try again. */
static void connections_go_round_whole_through_narrow_channels(void **state)
{
    (void)state;
    on_each_backend(2);
}

static tina_system *start_to_break(witness *seen, uint8_t backend)
{
    static const tina_type types[] = {
        {.name = "runner", .init = keeper_init, .handler = runner_handle, .size = 8},
        {.name = "bomb", .init = bomb_init, .handler = bomb_handle, .size = 8, .containment = TINA_CONTAIN_SHARD},
    };
    static const tina_child children[] = {{.type = 0, .name = NAME_KEEPER}, {.type = 1, .name = NAME_BOMB}};
    tina_system_spec spec = {
        .types = types,
        .type_count = 2,
        .root = {.children = children, .child_count = 2},
        .shard_count = SHARDS,
        .user = seen,
        .backend = backend,
        .fd_count = 4 * CONNECTIONS, /* and room for all, also in the hostile twin: who is refused gives up */
        .message_count = 256,
        .channel_capacity = 64,
        .inbox_capacity = 64,
        .shard_restart_max = 1000000,
        .development = true,
    };
    return tina_test_start(&spec);
}

static void post(tina_system *system, uint32_t shard, uint16_t name, const int *os_fd)
{
    size_t size = os_fd == NULL ? 0 : sizeof *os_fd;
    tina_test_await_that(tina_post(system, tina_named((uint8_t)shard, name), TAG_BEGIN, os_fd, size) == TINA_OK);
}

/* Each is closed, before the end or at it, and once: another's number would be missed otherwise. */
static void break_shards(witness *seen, uint8_t backend)
{
    int ends[CONNECTIONS][2];
    uint32_t lives = tina_test_is_slow() ? 20 : 60;
    memset(seen, 0, sizeof *seen);
    tina_system *system = start_to_break(seen, backend);
    tina_test_await(&seen->done, SHARDS);
    for (uint32_t life = 1; life <= lives; life++) {
        uint64_t hops = tina_test_counted(&seen->hops[0]);
        for (uint32_t i = 0; i < CONNECTIONS; i++) {
            assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends[i]), 0);
            post(system, i % SHARDS, NAME_KEEPER, &ends[i][1]);
        }
        tina_test_await(&seen->hops[0], hops + CONNECTIONS + life);
        post(system, life % SHARDS, NAME_BOMB, NULL);
        tina_test_await(&seen->done, SHARDS + life);
        for (uint32_t i = 0; i < CONNECTIONS; i++)
            close(ends[i][0]);
    }
    tina_end_report report;
    tina_test_end(system, &report);
    assert_int_equal(report.total.shard_restarts, lives);
    assert_int_equal(report.total.fds.used, 0);
}

static void connections_given_while_shards_begin_anew_are_each_closed(void **state)
{
    (void)state;
    static witness seen;
    uint8_t backends[2];
    size_t count = tina_test_backends(backends);
    for (size_t i = 0; i < count; i++) {
        size_t before = tina_test_fd_count();
        break_shards(&seen, backends[i]);
        assert_int_equal(tina_test_fd_count(), before);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections_go_round_whole),
        cmocka_unit_test(connections_go_round_whole_through_narrow_channels),
        cmocka_unit_test(connections_given_while_shards_begin_anew_are_each_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
