#include "support/town.h"

#include <stdatomic.h>
#include <string.h>

#define MS          1000000ull
#define CITIZENS    4 /* on a shard: names 1 .. 4 */
#define PORT        7000
#define PIECE_MAX   3000
#define TRANSFER_OF 200

enum { TYPE_CITIZEN, TYPE_MAYFLY, TYPE_SERVER, TYPE_SESSION, TYPE_CLIENT, TYPE_COUNT };
enum { TAG_HELLO = TINA_TAG_USER, TAG_ASK, TAG_ANSWER, TAG_WAKE, TAG_LATER };

static uint32_t below(tina_ctx *ctx, uint32_t bound) { return (uint32_t)(tina_random(ctx) >> 32) % bound; }

static tina_handle somebody(tina_ctx *ctx)
{
    uint8_t shard =
        (uint8_t)below(ctx, tina_shard_count(ctx)); /* not in one expression: their order would be the compiler's */
    return tina_named(shard, (uint16_t)(1 + below(ctx, CITIZENS)));
}

/* ---- Citizens -------------------------------------------------------------------------- */

typedef struct citizen {
    tina_caller waiting; /* who gets a late answer */
    tina_timer timer;
    tina_handle child;
    uint64_t heard;
} citizen;

static tina_effect citizen_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self;
    (void)args;
    (void)args_size;
    return tina_timer_repeat(ctx, 3 * MS + below(ctx, 5) * MS, TAG_WAKE, NULL) == TINA_OK ? tina_receive() : tina_crash(1);
}

static void hand_around(citizen *me, tina_ctx *ctx)
{
    tina_transfer transfer;
    void *data;
    size_t capacity;
    if (tina_transfer_alloc(ctx, &transfer, &data, &capacity) != TINA_OK)
        return;
    memset(data, (int)me->heard & 0x7F, TRANSFER_OF);
    if (tina_transfer_send(ctx, somebody(ctx), transfer, TRANSFER_OF) != TINA_OK)
        tina_transfer_free(ctx, transfer);
}

/* Whoever gets it, or gets it back, closes it. */
static void give_away(tina_ctx *ctx)
{
    tina_fd fd;
    if (tina_socket(ctx, TINA_IPV4, TINA_STREAM, &fd) == TINA_OK && tina_fd_give(ctx, somebody(ctx), fd) != TINA_OK)
        tina_ignore(tina_io_start(ctx, &(tina_op){.kind = TINA_IO_CLOSE, .fd = fd}));
}

static tina_effect act(citizen *me, tina_ctx *ctx)
{
    tina_spawn spawn = {.type = TYPE_MAYFLY, .restart = below(ctx, 2) == 0 ? TINA_TRANSIENT : TINA_TEMPORARY};
    switch (below(ctx, 10)) {
    case 0: tina_ignore(tina_send(ctx, somebody(ctx), TAG_HELLO, &me->heard, sizeof me->heard)); break;
    case 1: return tina_call(ctx, somebody(ctx), TAG_ASK, NULL, 0, 20 * MS);
    case 2: tina_ignore(tina_call_start(ctx, somebody(ctx), TAG_ASK, NULL, 0, 5 * MS, NULL)); break;
    case 3: tina_ignore(tina_watch(ctx, somebody(ctx))); break;
    case 4: tina_ignore(tina_spawn_child(ctx, &spawn, &me->child)); break;
    case 5: tina_ignore(tina_watch(ctx, me->child)); break;
    case 6: tina_ignore(tina_timer_start(ctx, below(ctx, 50) * MS, TAG_LATER, &me->timer)); break;
    case 7: (void)tina_timer_cancel(ctx, me->timer); break;
    case 8: give_away(ctx); break;
    default: hand_around(me, ctx); break;
    }
    return tina_receive();
}

static tina_effect answer(citizen *me, const tina_message *message, tina_ctx *ctx)
{
    if (!tina_is_call(message))
        return tina_receive();
    if (below(ctx, 3) != 0)
        return tina_reply(ctx, TAG_ANSWER, &me->heard, sizeof me->heard);
    tina_ignore(tina_reply_to(ctx, me->waiting, TAG_ANSWER, NULL, 0)); /* the one before, if it still waits */
    me->waiting = tina_message_caller(message);
    return tina_receive();
}

static tina_effect citizen_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    citizen *me = self;
    me->heard++;
    switch (message->tag) {
    case TINA_TAG_SHUTDOWN: return tina_done();
    case TAG_WAKE: return act(me, ctx);
    case TAG_ASK: return answer(me, message, ctx);
    case TAG_HELLO: tina_unwatch(ctx, message->source); return tina_receive();
    case TINA_TAG_FD: return tina_io_close(ctx, message->io.fd);
    default: return tina_receive();
    }
}

/* ---- Who does not live long ------------------------------------------------------------------ */

static tina_effect mayfly_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self;
    (void)args;
    (void)args_size;
    return tina_timer_start(ctx, 1 + below(ctx, 30) * MS, TAG_LATER, NULL) == TINA_OK ? tina_receive() : tina_done();
}

static tina_effect mayfly_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self;
    (void)message;
    tina_reached(ctx, "a mayfly ends");
    return below(ctx, 8) == 0 ? tina_crash(2) : tina_done();
}

/* ---- The server -------------------------------------------------------------------------------- */

typedef struct server {
    tina_fd fd;
} server;

static tina_effect server_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    server *me = self;
    (void)args;
    (void)args_size;
    tina_address address = tina_ipv4(127, 0, 0, 1, (uint16_t)(PORT + tina_shard(ctx)));
    if (tina_socket(ctx, TINA_IPV4, TINA_STREAM, &me->fd) != TINA_OK ||
        tina_setsockopt(ctx, me->fd, TINA_OPT_REUSEADDR, 1) != TINA_OK || tina_bind(ctx, me->fd, &address) != TINA_OK ||
        tina_listen(ctx, me->fd, 4) != TINA_OK)
        return tina_crash(3);
    return tina_io_accept(ctx, me->fd);
}

static tina_effect server_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    server *me = self;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (message->tag != TINA_IO_ACCEPT)
        return tina_io_accept(ctx, me->fd);
    if (message->io.status == TINA_OK) {
        tina_handle session;
        tina_spawn spawn = {.type = TYPE_SESSION, .fd = message->io.fd, .args = &message->io.fd};
        spawn.args_size = sizeof message->io.fd;
        if (tina_spawn_child(ctx, &spawn, &session) != TINA_OK)
            return tina_io_close(ctx, message->io.fd);
    } else if (message->io.status == TINA_POOL_EXHAUSTED || message->io.status == TINA_SYSTEM_ERROR) {
        return tina_yield();
    }
    return tina_io_accept(ctx, me->fd);
}

typedef struct session {
    tina_fd fd;
} session;

static tina_effect session_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    session *me = self;
    memcpy(&me->fd, args, args_size);
    return tina_io_recv(ctx, me->fd);
}

static tina_effect session_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    session *me = self;
    if (message->tag == TINA_IO_RECV && message->io.status == TINA_OK)
        return tina_io_send(ctx, me->fd, message->io.data, message->io.size);
    if (message->tag == TINA_IO_SEND && message->io.status == TINA_OK)
        return tina_io_recv(ctx, me->fd);
    return tina_done();
}

/* ---- Clients ------------------------------------------------------------------------------------- */

typedef struct client {
    tina_fd fd;
    uint32_t size, back; /* of the piece: its bytes, and how many have come back */
    uint8_t first;       /* of its bytes: each is one more than the one before */
    uint8_t bytes[PIECE_MAX];
} client;

static tina_effect client_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self;
    (void)args;
    (void)args_size;
    return tina_timer_start(ctx, MS, TAG_LATER, NULL) == TINA_OK ? tina_receive() : tina_crash(4);
}

static tina_effect begin(client *me, tina_ctx *ctx)
{
    uint8_t shard = (uint8_t)((tina_shard(ctx) + 1) % tina_shard_count(ctx));
    tina_address address = tina_ipv4(127, 0, 0, 1, (uint16_t)(PORT + shard));
    if (tina_socket(ctx, TINA_IPV4, TINA_STREAM, &me->fd) != TINA_OK)
        return tina_crash(5);
    return tina_io_connect(ctx, me->fd, &address, 100 * MS);
}

static tina_effect send_piece(client *me, tina_ctx *ctx)
{
    me->size = 1 + below(ctx, PIECE_MAX);
    me->back = 0;
    me->first = (uint8_t)tina_random(ctx);
    for (uint32_t i = 0; i < me->size; i++)
        me->bytes[i] = (uint8_t)(me->first + i);
    return tina_io_send(ctx, me->fd, me->bytes, me->size);
}

static tina_effect take_back(client *me, const tina_message *message, tina_ctx *ctx)
{
    town *ours = tina_user(ctx);
    for (uint32_t i = 0; i < message->io.size; i++) {
        if (message->io.data[i] != (uint8_t)(me->first + me->back + i))
            atomic_fetch_add_explicit(&ours->wrong, 1, memory_order_relaxed);
    }
    me->back += (uint32_t)message->io.size;
    if (me->back < me->size)
        return tina_io_recv(ctx, me->fd);
    return below(ctx, 4) == 0 ? tina_io_close(ctx, me->fd) : send_piece(me, ctx);
}

static tina_effect client_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    client *me = self;
    bool is_io = message->tag >= TINA_IO_ACCEPT && message->tag <= TINA_IO_RECV;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (is_io && message->io.status != TINA_OK)
        return tina_io_close(ctx, me->fd);
    switch (message->tag) {
    case TAG_LATER: return begin(me, ctx);
    case TINA_IO_CONNECT: return send_piece(me, ctx);
    case TINA_IO_SEND: return tina_io_recv(ctx, me->fd);
    case TINA_IO_RECV: return take_back(me, message, ctx);
    case TINA_IO_CLOSE: return client_init(me, NULL, 0, ctx);
    default: return tina_receive();
    }
}

/* ---- The town --------------------------------------------------------------------------------------- */

static const tina_type types[TYPE_COUNT] = {
    [TYPE_CITIZEN] = {"citizen", citizen_init, citizen_handle, sizeof(citizen), .slot_count = 8, .mailbox_capacity = 8},
    [TYPE_MAYFLY] = {"mayfly", mayfly_init, mayfly_handle, 16, .slot_count = 16, .mailbox_capacity = 4},
    [TYPE_SERVER] = {"server", server_init, server_handle, sizeof(server), .slot_count = 2, .mailbox_capacity = 4},
    [TYPE_SESSION] = {"session", session_init, session_handle, sizeof(session), .slot_count = 8, .mailbox_capacity = 4},
    [TYPE_CLIENT] = {"client", client_init, client_handle, sizeof(client), .slot_count = 4, .mailbox_capacity = 4},
};

static const tina_child children[] = {
    {.type = TYPE_CITIZEN, .name = 1},
    {.type = TYPE_CITIZEN, .name = 2},
    {.type = TYPE_CITIZEN, .name = 3},
    {.type = TYPE_CITIZEN, .name = 4},
    {.type = TYPE_SERVER},
    {.type = TYPE_CLIENT},
    {.type = TYPE_CLIENT},
};

void town_init(town *of, size_t shard_count)
{
    *of = (town){
        .spec =
            {
                .types = types,
                .type_count = TYPE_COUNT,
                .shard_count = shard_count,
                .root = {.children = children,
                         .child_count = sizeof children / sizeof children[0],
                         .restart_max = 1000,
                         .window_ns = 1000 * MS,
                         .backoff_ns = 2 * MS},
                .user = of,
                .message_count = 64,
                .channel_capacity = 16,
                .inbox_capacity = 4,
                .timer_count = 64,
                .watch_count = 32,
                .fd_count = 24,
                .op_count = 32,
                .buffer_count = 8,
                .buffer_size = 1024,
                .transfer_count = 4,
                .transfer_size = 256,
                .log_size = 4096,
                .shutdown_timeout_ns = 2000 * MS,
                .shard_restart_max = 1000,
                .shard_restart_window_ns = 1000 * MS,
            },
    };
}

tina_faults town_faults(void)
{
    return (tina_faults){
        .handler_crash = {1, 500},
        .init_crash = {1, 50},
        .message_drop = {1, 50},
        .partition = {1, 500},
        .partition_heal = {1, 50},
        .message_delay = {0, 5},
        .io_error = {1, 200},
        .connection_reset = {1, 200},
        .short_io = {1, 4},
        .io_delay = {0, 5},
        .pool_empty = {1, 100},
        .shard_stall = {1, 200},
        .shard_stall_length = {1, 20},
        .shard_fault = {1, 1000},
        .datagram_loss = {1, 20},
        .datagram_double = {1, 20},
        .disk_error = {1, 50},
        .disk_torn_write = {1, 4},
        .disk_lost_write = {1, 4},
        .disk_bit_rot = {1, 50},
    };
}
