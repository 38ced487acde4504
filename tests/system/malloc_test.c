/*
 * After boot nobody asks for memory: not the library, not the C library for it,
 * while echoes, spawns, crashes, restarts, calls, transfers, timers, work on files,
 * datagrams, gifts and lines of the log go on. The same program rings when a handler asks.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/tripwire.h"
#include "support/witness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TAG_BALL = TINA_TAG_USER, TAG_CRASH, TAG_ASK, TAG_ANSWER, TAG_MALLOC };
enum { TYPE_LISTENER, TYPE_SERVANT, TYPE_CLIENT, TYPE_PLAYER, TYPE_MAYFLY, TYPE_CLERK, TYPE_COUNT };
enum { NAME_LISTENER = 1, NAME_PLAYER, NAME_CLERK, PING = 1000 };

typedef struct witness {
    tina_test_count port, echoes, balls, answers, failures, transfers, mayflies, inits, lines, mallocs, jobs, gifts;
    void *_Atomic kept;
} witness;

static witness seen;

/* ---- Echo ---- */

typedef struct listener {
    tina_fd fd;
} listener;

static tina_effect listener_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)args, (void)args_size;
    listener *me = self;
    tina_address address = tina_ipv4(127, 0, 0, 1, 0);
    if (tina_socket(ctx, TINA_IPV4, TINA_STREAM, &me->fd) != TINA_OK || tina_bind(ctx, me->fd, &address) != TINA_OK ||
        tina_listen(ctx, me->fd, 64) != TINA_OK || tina_local_address(ctx, me->fd, &address) != TINA_OK)
        return tina_crash(1);
    atomic_store(&seen.port, address.port);
    return tina_io_accept(ctx, me->fd);
}

static tina_effect listener_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    listener *me = self;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (message->tag == TINA_IO_ACCEPT && message->io.status == TINA_OK) {
        tina_fd fd = message->io.fd;
        tina_spawn spawn = {.type = TYPE_SERVANT, .fd = fd, .args = &fd, .args_size = sizeof fd};
        if (tina_spawn_child(ctx, &spawn, NULL) != TINA_OK)
            return tina_io_close(ctx, fd);
    }
    return tina_io_accept(ctx, me->fd);
}

typedef struct servant {
    tina_fd fd;
} servant;

static tina_effect servant_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    servant *me = self;
    (void)args_size;
    memcpy(&me->fd, args, sizeof me->fd);
    return tina_io_recv(ctx, me->fd);
}

static tina_effect servant_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    servant *me = self;
    if (message->tag == TINA_IO_RECV && message->io.status == TINA_OK)
        return tina_io_send(ctx, me->fd, message->io.data, message->io.size);
    if (message->tag == TINA_IO_SEND && message->io.status == TINA_OK)
        return tina_io_recv(ctx, me->fd);
    return tina_done();
}

/* Pings, crashes every hundred echoes, and comes back: permanent. */
typedef struct client {
    tina_fd fd;
    uint8_t *data;
    size_t received;
    unsigned echoes;
} client;

static tina_effect client_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)args, (void)args_size;
    client *me = self;
    uint64_t port = tina_test_counted(&seen.port);
    me->data = tina_working(ctx, PING);
    if (me->data == NULL)
        return tina_crash(1);
    if (port == 0) { /* the other shard is not up yet */
        if (tina_timer_start(ctx, 1000000, TINA_TAG_TIMER, NULL) != TINA_OK)
            return tina_crash(2);
        return tina_receive();
    }
    tina_address to = tina_ipv4(127, 0, 0, 1, (uint16_t)port);
    if (tina_socket(ctx, TINA_IPV4, TINA_STREAM, &me->fd) != TINA_OK)
        return tina_crash(3);
    return tina_io_connect(ctx, me->fd, &to, 10000000000u);
}

static tina_effect client_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    client *me = self;
    switch (message->tag) {
    case TINA_TAG_SHUTDOWN: return tina_done();
    case TINA_TAG_TIMER: return client_init(self, NULL, 0, ctx);
    case TINA_IO_CONNECT:
        if (message->io.status != TINA_OK)
            return tina_crash(4);
        return tina_io_send(ctx, me->fd, me->data, PING);
    case TINA_IO_SEND: return message->io.status == TINA_OK ? tina_io_recv(ctx, me->fd) : tina_crash(5);
    default: break;
    }
    if (message->io.status != TINA_OK)
        return tina_crash(6);
    me->received += message->io.size;
    if (me->received < PING)
        return tina_io_recv(ctx, me->fd);
    me->received = 0;
    tina_test_count_up(&seen.echoes);
    if (++me->echoes == 100)
        return tina_crash(7);
    return tina_io_send(ctx, me->fd, me->data, PING);
}

/* ---- Messages, calls, transfers, timers, children, lines ---- */

typedef struct player {
    uint64_t count;
} player;

static tina_handle other_player(const tina_ctx *ctx) { return tina_named((uint8_t)(1 - tina_shard(ctx)), NAME_PLAYER); }

static tina_effect player_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size;
    tina_test_count_up(&seen.inits);
    if (tina_timer_repeat(ctx, 1000000, TINA_TAG_TIMER, NULL) != TINA_OK)
        return tina_crash(1);
    tina_ignore(tina_send(ctx, other_player(ctx), TAG_BALL, NULL, 0));
    return tina_receive();
}

static void send_transfer(tina_ctx *ctx)
{
    tina_transfer transfer;
    void *data;
    size_t capacity;
    if (tina_transfer_alloc(ctx, &transfer, &data, &capacity) != TINA_OK)
        return;
    memset(data, 1, capacity);
    tina_handle to = tina_random(ctx) % 2 == 0 ? tina_self(ctx) : other_player(ctx);
    if (tina_transfer_send(ctx, to, transfer, capacity) != TINA_OK)
        tina_transfer_free(ctx, transfer);
}

static void on_tick(tina_ctx *ctx)
{
    uint32_t call;
    tina_ignore(tina_send(ctx, other_player(ctx), TAG_BALL, NULL, 0));
    tina_ignore(tina_call_start(ctx, other_player(ctx), TAG_ASK, NULL, 0, 0, &call));
    tina_ignore(tina_call_start(ctx, (tina_handle){.bits = ~0ull >> 8}, TAG_ASK, NULL, 0, 0, &call));
    tina_ignore(tina_spawn_child(ctx, &(tina_spawn){.type = TYPE_MAYFLY}, NULL));
    send_transfer(ctx);
    tina_log(ctx, TINA_LOG_INFO, "tick %d %s %f", 5, "of a player", 0.5);
    if (tina_scratch(ctx, 1000) == NULL)
        tina_test_count_up(&seen.failures);
}

static void ask_for_memory(void)
{
    free(atomic_exchange(&seen.kept, malloc(24)));
    tina_test_count_up(&seen.mallocs);
}

static tina_effect player_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    player *me = self;
    switch (message->tag) {
    case TINA_TAG_SHUTDOWN: return tina_done();
    case TINA_TAG_TIMER: on_tick(ctx); break;
    case TAG_MALLOC: ask_for_memory(); break;
    case TINA_TAG_TRANSFER: tina_test_count_up(&seen.transfers); break;
    case TINA_TAG_CALL_FAILED: tina_test_count_up(&seen.failures); break;
    case TAG_ANSWER: tina_test_count_up(&seen.answers); break;
    case TAG_ASK: return tina_reply(ctx, TAG_ANSWER, NULL, 0);
    default:
        tina_test_count_up(&seen.balls);
        if (++me->count % 1000 == 0)
            return tina_crash(2);
        tina_ignore(tina_send(ctx, other_player(ctx), TAG_BALL, NULL, 0));
        break;
    }
    return tina_receive();
}

static tina_effect mayfly_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size, (void)ctx;
    return tina_yield();
}

static tina_effect mayfly_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self, (void)message;
    tina_test_count_up(&seen.mayflies);
    return tina_random(ctx) % 2 == 0 ? tina_done() : tina_crash(3);
}

/* ---- Files, datagrams and gifts: a clerk does them one after the other, and begins again with each tick ---- */

typedef struct clerk {
    tina_fd file, socket;
    tina_address address;
    uint32_t step; /* 0: nothing to do */
} clerk;

static char folder[] = "/tmp/tina-malloc-XXXXXX";

static tina_effect clerk_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)args, (void)args_size;
    clerk *me = self;
    me->address = tina_ipv4(127, 0, 0, 1, 0);
    if (tina_socket(ctx, TINA_IPV4, TINA_DATAGRAM, &me->socket) != TINA_OK ||
        tina_bind(ctx, me->socket, &me->address) != TINA_OK ||
        tina_local_address(ctx, me->socket, &me->address) != TINA_OK ||
        tina_timer_repeat(ctx, 1000000, TINA_TAG_TIMER, NULL) != TINA_OK)
        return tina_crash(1);
    return tina_receive();
}

static void give_something_away(tina_ctx *ctx)
{
    tina_fd fd;
    tina_handle other = tina_named((uint8_t)(1 - tina_shard(ctx)), NAME_CLERK);
    if (tina_socket(ctx, TINA_IPV4, TINA_STREAM, &fd) == TINA_OK && tina_fd_give(ctx, other, fd) != TINA_OK)
        tina_ignore(tina_io_start(ctx, &(tina_op){.kind = TINA_IO_CLOSE, .fd = fd}));
}

static tina_effect clerk_work(clerk *me, const tina_message *message, tina_ctx *ctx)
{
    char path[sizeof folder + 8];
    snprintf(path, sizeof path, "%s/%u", folder, tina_shard(ctx));
    if (me->step != 0 && message->io.status != TINA_OK)
        return tina_crash(4);
    uint32_t flags = TINA_OPEN_READ | TINA_OPEN_WRITE | TINA_OPEN_CREATE;
    switch (me->step++) {
    case 0: return tina_io(ctx, &(tina_op){.kind = TINA_IO_OPEN, .path = path, .flags = flags});
    case 1:
        me->file = message->io.fd;
        return tina_io(ctx, &(tina_op){.kind = TINA_IO_WRITE, .fd = me->file, .data = "abcdefgh", .size = 8});
    case 2: return tina_io(ctx, &(tina_op){.kind = TINA_IO_STAT, .fd = me->file});
    case 3: return tina_io(ctx, &(tina_op){.kind = TINA_IO_READ, .fd = me->file, .timeout_ns = 60000000000});
    case 4: return tina_io(ctx, &(tina_op){.kind = TINA_IO_TRUNCATE, .fd = me->file, .size = 2});
    case 5: {
        const tina_op send = {.kind = TINA_IO_SENDTO, .fd = me->socket, .address = &me->address, .data = "hello", .size = 5};
        return tina_io(ctx, &send);
    }
    case 6: return tina_io(ctx, &(tina_op){.kind = TINA_IO_RECVFROM, .fd = me->socket});
    case 7: return tina_io_close(ctx, me->file);
    case 8: return tina_io(ctx, &(tina_op){.kind = TINA_IO_UNLINK, .path = path});
    default: break;
    }
    me->step = 0;
    give_something_away(ctx);
    tina_test_count_up(&seen.jobs);
    return tina_receive();
}

static tina_effect clerk_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    clerk *me = self;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (message->tag == TINA_TAG_FD) {
        if (message->io.status != TINA_SHARD_DOWN)
            tina_ignore(tina_io_start(ctx, &(tina_op){.kind = TINA_IO_CLOSE, .fd = message->io.fd, .user = 1}));
        tina_test_count_up(&seen.gifts);
        return tina_receive();
    }
    bool is_gifts_end = message->tag == TINA_IO_CLOSE && me->step == 0;
    return is_gifts_end ? tina_receive() : clerk_work(me, message, ctx);
}

static void count_line(void *user, int shard, tina_level level, const char *line, size_t length)
{
    (void)user, (void)shard, (void)level, (void)line, (void)length;
    tina_test_count_up(&seen.lines);
}

/* ---- The tests ---- */

static tina_system *start(uint8_t backend)
{
    static const tina_type types[TYPE_COUNT] = {
        {.name = "listener", .init = listener_init, .handler = listener_handle, .size = sizeof(listener)},
        {.name = "servant", .init = servant_init, .handler = servant_handle, .size = sizeof(servant), .slot_count = 32},
        {.name = "client",
         .init = client_init,
         .handler = client_handle,
         .size = sizeof(client),
         .slot_count = 4,
         .working_size = PING},
        {.name = "player", .init = player_init, .handler = player_handle, .size = sizeof(player)},
        {.name = "mayfly", .init = mayfly_init, .handler = mayfly_handle, .size = 8, .slot_count = 4},
        {.name = "clerk", .init = clerk_init, .handler = clerk_handle, .size = sizeof(clerk)},
    };
    static const tina_child left[] = {{.type = TYPE_PLAYER, .name = NAME_PLAYER},
                                      {.type = TYPE_CLERK, .name = NAME_CLERK},
                                      {.type = TYPE_CLIENT},
                                      {.type = TYPE_CLIENT},
                                      {.type = TYPE_CLIENT}};
    static const tina_child right[] = {{.type = TYPE_PLAYER, .name = NAME_PLAYER},
                                       {.type = TYPE_LISTENER, .name = NAME_LISTENER},
                                       {.type = TYPE_CLERK, .name = NAME_CLERK}};
    static const tina_shard_spec shards[] = {
        {.root = {.children = left, .child_count = 5, .restart_max = 60000, .window_ns = 1000000}},
        {.root = {.children = right, .child_count = 3, .restart_max = 60000, .window_ns = 1000000}},
    };
    memset(&seen, 0, sizeof seen);
    tina_system_spec spec = {
        .types = types,
        .type_count = TYPE_COUNT,
        .shards = shards,
        .shard_count = 2,
        .backend = backend,
        .buffer_count = 16,
        .channel_capacity = 64,
        .log_sink = count_line,
    };
    return tina_test_start(&spec);
}

/* Everything of it has happened that often since. */
static void await_traffic(uint64_t more)
{
    uint64_t echoes = tina_test_counted(&seen.echoes) + more;
    uint64_t balls = tina_test_counted(&seen.balls) + 10 * more;
    uint64_t inits = tina_test_counted(&seen.inits) + 2;
    tina_test_await(&seen.echoes, echoes);
    tina_test_await(&seen.balls, balls);
    tina_test_await(&seen.inits, inits);
    tina_test_count *const others[] = {&seen.answers, &seen.failures, &seen.transfers, &seen.mayflies,
                                       &seen.lines,   &seen.jobs,     &seen.gifts};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        tina_test_await(others[i], tina_test_counted(others[i]) + 20);
}

static void nothing_is_allocated_after_boot(void **state)
{
    (void)state;
    uint8_t backends[2];
    size_t count = tina_test_backends(backends);
    for (size_t i = 0; i < count; i++) {
        tina_system *system = start(backends[i]);
        await_traffic(10);
        tina_test_tripwire_arm();
        await_traffic(2000);
        tina_test_tripwire_disarm();
        char first[256];
        tina_test_tripwire_first(first, sizeof first);
        assert_string_equal(first, "");
        assert_int_equal(tina_test_tripwire_hits(), 0);
        tina_end_report report;
        tina_test_end(system, &report);
        assert_true(report.total.crashes > 10);
        assert_true(report.total.restarts > 10);
        assert_int_equal(report.total.escalations, 0);
    }
}

static void from_the_first_moment_of_a_running_system_nothing_is_allocated(void **state)
{
    (void)state;
    uint8_t backends[2];
    size_t count = tina_test_backends(backends);
    for (size_t i = 0; i < count; i++) {
        tina_system *system = start(backends[i]);
        tina_test_tripwire_arm();
        await_traffic(100);
        tina_stop(system);
        tina_test_tripwire_disarm();
        char first[256];
        tina_test_tripwire_first(first, sizeof first);
        assert_string_equal(first, "");
        tina_test_join(system, NULL);
    }
}

static void the_tripwire_rings_for_a_handler_that_allocates(void **state)
{
    (void)state;
    if (!tina_test_tripwire_works())
        skip();
    tina_system *system = start(TINA_BACKEND_AUTO);
    await_traffic(10);
    tina_test_tripwire_arm();
    /* Said again until it is heard: the player may be between two lives. */
    tina_test_await_that((tina_ignore(tina_post(system, tina_named(1, NAME_PLAYER), TAG_MALLOC, NULL, 0)),
                          tina_test_counted(&seen.mallocs) > 0));
    tina_test_tripwire_disarm();
    char first[256];
    tina_test_tripwire_first(first, sizeof first);
    assert_true(tina_test_tripwire_hits() >= 1);
    assert_non_null(strstr(first, "malloc(24)"));
    tina_test_end(system, NULL);
    free(atomic_load(&seen.kept));
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL;
}

/* A clerk who was stopped in the middle leaves its file. */
static int remove_folder(void **state)
{
    (void)state;
    char path[sizeof folder + 8];
    for (uint32_t shard = 0; shard < 2; shard++) {
        snprintf(path, sizeof path, "%s/%u", folder, shard);
        (void)unlink(path);
    }
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_allocated_after_boot),
        cmocka_unit_test(from_the_first_moment_of_a_running_system_nothing_is_allocated),
        cmocka_unit_test(the_tripwire_rings_for_a_handler_that_allocates),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
