/*
 * Where clients come in. When all partitions have read their logs, the listener gives each connection to the desk of the next shard;
 * a desk spawns an isolate for it, or tells it that there are too many.
 */
#include "server.h"

#include <stdio.h>
#include <string.h>

enum { BACKLOG = 4096 };
#define PAUSE_NS   (10 * MILLISECOND_NS) /* until there may be a descriptor, or room in a channel, again */
#define REFUSAL_NS (1000 * MILLISECOND_NS)

/* ---- Those for whom there is no room ------------------------------------------------ */

/* A word, if it can be said at once; its completion closes the socket. */
static void turn_away(tina_fd fd, tina_ctx *ctx)
{
    static const char text[] = "-ERR max number of clients reached\r\n";
    tina_op send = {.kind = TINA_IO_SEND, .fd = fd, .data = text, .size = sizeof text - 1, .timeout_ns = REFUSAL_NS};
    tina_op close = {.kind = TINA_IO_CLOSE, .fd = fd};
    if (tina_io_start(ctx, &send) != TINA_OK)
        tina_ignore(tina_io_start(ctx, &close));
}

static void turned_away(const tina_message *message, tina_ctx *ctx)
{
    tina_op close = {.kind = TINA_IO_CLOSE, .fd = message->io.fd};
    tina_ignore(tina_io_start(ctx, &close)); /* never refused */
}

/* ---- The desk -------------------------------------------------------------------------- */

static tina_effect desk_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size, (void)ctx;
    return tina_receive();
}

static void take_in(tina_fd fd, tina_ctx *ctx)
{
    tina_spawn child = {.type = TYPE_CONNECTION, .fd = fd, .args = &fd, .args_size = sizeof fd, .group = NAME_GROUP};
    if (tina_spawn_child(ctx, &child, NULL) != TINA_OK)
        turn_away(fd, ctx);
}

static tina_effect desk_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self;
    switch (message->tag) {
    case TINA_TAG_FD:
        if (message->io.status == TINA_OK)
            take_in(message->io.fd, ctx);
        return tina_receive();
    case TINA_IO_SEND: turned_away(message, ctx); return tina_receive();
    case TINA_TAG_SHUTDOWN: return tina_done();
    default: return tina_receive();
    }
}

/* ---- The listener ------------------------------------------------------------------------ */

typedef struct listener {
    tina_fd fd;
    tina_fd waiting; /* accepted, and not given away yet */
    uint8_t turn;    /* the shard that is next */
    bool is_listening, is_accepting, is_ending;
} listener;

static tina_effect pause_for(uint64_t delay_ns, tina_ctx *ctx)
{
    if (tina_timer_start(ctx, delay_ns, TINA_TAG_TIMER, NULL) != TINA_OK)
        return tina_crash(END_NO_TIMER);
    return tina_receive();
}

static tina_effect accept_next(listener *me, tina_ctx *ctx)
{
    if (me->is_ending)
        return tina_done();
    tina_op accept = {.kind = TINA_IO_ACCEPT, .fd = me->fd};
    me->is_accepting = tina_io_start(ctx, &accept) == TINA_OK;
    return me->is_accepting ? tina_receive() : pause_for(PAUSE_NS, ctx);
}

static tina_status open_socket(listener *me, tina_address *address, tina_ctx *ctx)
{
    tina_status status = tina_socket(ctx, address->family, TINA_STREAM, &me->fd);
    if (status == TINA_OK)
        status = tina_setsockopt(ctx, me->fd, TINA_OPT_REUSEADDR, 1);
    if (status == TINA_OK)
        status = tina_bind(ctx, me->fd, address);
    if (status == TINA_OK)
        status = tina_local_address(ctx, me->fd, address);
    return status;
}

/* Before it has ever listened, that is the end of the program; later it tries again. */
static tina_effect refuse_to_listen(const tina_address *address, tina_status status, tina_ctx *ctx)
{
    kv_server *server = tina_user(ctx);
    char text[64];
    tina_address_format(address, text, sizeof text);
    tina_log(ctx, TINA_LOG_ERROR, "cannot listen on %s: %s %s", text, tina_status_name(status),
             strerror(tina_os_error(ctx)));
    if (server->started_ns == 0)
        kv_give_up(server, ctx);
    return tina_crash(END_NOT_LISTENING);
}

/* A shard whose partition will never be ready. 0 and up; -1: there is none. */
static int quarantined_shard(tina_ctx *ctx)
{
    tina_stats stats;
    for (uint8_t i = 0; i < tina_shard_count(ctx); i++) {
        if (tina_stats_of(ctx, i, &stats) == TINA_OK && stats.state == TINA_SHARD_QUARANTINED)
            return i;
    }
    return -1;
}

static tina_effect wait_until_ready(tina_ctx *ctx)
{
    int quarantined = quarantined_shard(ctx);
    if (quarantined < 0)
        return pause_for(PAUSE_NS, ctx);
    tina_log(ctx, TINA_LOG_ERROR, "shard %d is quarantined, and its partition was never ready: the log says why",
             quarantined);
    kv_give_up(tina_user(ctx), ctx);
    return tina_receive();
}

/* The first time it waits for all partitions; later one of them may be the reason why it begins anew. */
static tina_effect listen_when_ready(listener *me, tina_ctx *ctx)
{
    kv_server *server = tina_user(ctx);
    tina_address address = server->address;
    char text[64];
    if (me->is_ending)
        return tina_done();
    if (server->started_ns == 0 && !kv_is_ready(server))
        return wait_until_ready(ctx);
    address.port = (uint16_t)server->port;
    tina_status status = tina_listen(ctx, me->fd, BACKLOG);
    if (status != TINA_OK)
        return refuse_to_listen(&address, status, ctx);
    me->is_listening = true;
    server->started_ns = tina_now(ctx);
    tina_address_format(&address, text, sizeof text);
    tina_log(ctx, TINA_LOG_INFO, "listening on %s", text);
    return accept_next(me, ctx);
}

static tina_effect listener_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)args, (void)args_size;
    listener *me = self;
    kv_server *server = tina_user(ctx);
    tina_address address = server->address;
    address.port = (uint16_t)server->port;
    tina_status status = open_socket(me, &address, ctx);
    if (status != TINA_OK)
        return refuse_to_listen(&address, status, ctx);
    server->port = address.port;
    return listen_when_ready(me, ctx);
}

/* In turn. One whose shard is down is skipped; where a channel is full, the next ones wait in the kernel. */
static tina_effect give_away(listener *me, tina_fd fd, tina_ctx *ctx)
{
    for (uint8_t i = 0; i < tina_shard_count(ctx); i++) {
        uint8_t shard = me->turn;
        me->turn = (uint8_t)((me->turn + 1) % tina_shard_count(ctx));
        switch (tina_fd_give(ctx, tina_named(shard, NAME_DESK), fd)) {
        case TINA_OK: return accept_next(me, ctx);
        case TINA_SHARD_DOWN:
        case TINA_STALE_HANDLE: break;
        default: me->waiting = fd; return pause_for(PAUSE_NS, ctx);
        }
    }
    turn_away(fd, ctx);
    return accept_next(me, ctx);
}

static tina_effect go_on(listener *me, tina_ctx *ctx)
{
    tina_fd fd = me->waiting;
    me->waiting = (tina_fd){0};
    return tina_fd_is_none(fd) || me->is_ending ? accept_next(me, ctx) : give_away(me, fd, ctx);
}

static tina_effect accepted(listener *me, const tina_message *message, tina_ctx *ctx)
{
    me->is_accepting = false;
    if (me->is_ending)
        return tina_done();
    switch (message->io.status) {
    case TINA_OK: return give_away(me, message->io.fd, ctx);
    case TINA_RESET: return accept_next(me, ctx); /* it left before its turn came */
    default: return pause_for(PAUSE_NS, ctx);
    }
}

/* Nobody took it. */
static void given_back(const tina_message *message, tina_ctx *ctx)
{
    if (message->io.status != TINA_SHARD_DOWN) /* lost with its shard */
        turn_away(message->io.fd, ctx);
}

static tina_effect listener_finish(listener *me, tina_ctx *ctx)
{
    me->is_ending = true;
    if (!me->is_accepting)
        return tina_done();
    tina_io_cancel(ctx, me->fd, TINA_READ_HALF);
    return tina_receive();
}

static tina_effect listener_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    listener *me = self;
    switch (message->tag) {
    case TINA_IO_ACCEPT: return accepted(me, message, ctx);
    case TINA_TAG_TIMER: return me->is_listening ? go_on(me, ctx) : listen_when_ready(me, ctx);
    case TINA_TAG_FD: given_back(message, ctx); return tina_receive();
    case TINA_IO_SEND: turned_away(message, ctx); return tina_receive();
    case TINA_TAG_SHUTDOWN: return listener_finish(me, ctx);
    default: return tina_receive();
    }
}

const tina_type desk_type = {.name = "desk", .init = desk_init, .handler = desk_handle, .size = 1, .mailbox_capacity = 1024};
const tina_type listener_type = {
    .name = "listener", .init = listener_init, .handler = listener_handle, .size = sizeof(listener)};
