/*
 * A TCP echo server on 127.0.0.1. Each connection is an isolate that sends back
 * what it receives, from the very buffer in which it came. Every shard listens on
 * the same port, and the kernel spreads the connections.
 *
 *     echo echo [connections=N] [size=BYTES] [shards=N] [spin=0|1] [backend=auto|uring|epoll]
 *               [messages=N] [watches=N] [ops=N] [buffers=N] [slots=N] [types=N] [timers=N] [fds=N]
 *
 * Prints its port and serves until SIGTERM.
 */
#include "bench.h"

enum { TYPE_CONNECTION, TYPE_LISTENER, TYPE_COUNT };
enum { NAME_LISTENER = 1 };
enum { TAG_ASK_PORT = TINA_TAG_USER, TAG_PORT, TAG_LISTENING };
enum { BACKLOG = 4096, SPARE_FDS = 64 };

#define PAUSE_NS (SECOND_NS / 100)

/* ---- A connection ---------------------------------------------------------------- */

typedef struct connection {
    tina_fd fd;
} connection;

static tina_effect connection_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    connection *me = self;
    memcpy(&me->fd, args, args_size);
    tina_ignore(tina_setsockopt(ctx, me->fd, TINA_OPT_NODELAY, 1)); /* it may be broken already: then the receive says so */
    return tina_io_recv(ctx, me->fd);
}

static tina_effect connection_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    const connection *me = self;
    if (message->tag == TINA_IO_RECV && message->io.status == TINA_OK)
        return tina_io_send(ctx, me->fd, message->io.data, message->io.size);
    if (message->tag == TINA_IO_SEND && message->io.status == TINA_OK)
        return tina_io_recv(ctx, me->fd);
    return tina_done(); /* the peer's end, an error, or the shutdown; done closes the socket */
}

/* ---- A listener: shard 0's chooses the port, the others ask for it ---------------- */

typedef struct listener {
    tina_fd fd;
    uint16_t port;
    uint8_t listening; /* shard 0's: how many do */
} listener;

static tina_effect ask_port(tina_ctx *ctx) { return tina_call(ctx, tina_named(0, NAME_LISTENER), TAG_ASK_PORT, NULL, 0, 0); }

static tina_effect later(tina_ctx *ctx)
{
    if (tina_timer_start(ctx, PAUSE_NS, TINA_TAG_TIMER, NULL) != TINA_OK)
        return give_up(ctx, "no timer is free");
    return tina_receive();
}

static tina_status open_socket(listener *me, uint16_t port, tina_ctx *ctx)
{
    tina_address address = tina_ipv4(127, 0, 0, 1, port);
    tina_status status = tina_socket(ctx, TINA_IPV4, TINA_STREAM, &me->fd);
    if (status == TINA_OK)
        status = tina_setsockopt(ctx, me->fd, TINA_OPT_REUSEPORT, 1);
    if (status == TINA_OK)
        status = tina_bind(ctx, me->fd, &address);
    if (status == TINA_OK)
        status = tina_listen(ctx, me->fd, BACKLOG);
    if (status == TINA_OK)
        status = tina_local_address(ctx, me->fd, &address);
    me->port = address.port;
    return status;
}

static void count_listening(listener *me, const tina_ctx *ctx)
{
    if (++me->listening < tina_shard_count(ctx))
        return;
    printf("port %u\n", me->port);
    fflush(stdout);
}

/* Started, not returned as an effect: it answers calls meanwhile. */
static tina_effect accept_next(const listener *me, tina_ctx *ctx)
{
    tina_op accept = {.kind = TINA_IO_ACCEPT, .fd = me->fd};
    return tina_io_start(ctx, &accept) == TINA_OK ? tina_receive() : later(ctx);
}

static tina_effect listen_on(listener *me, uint16_t port, tina_ctx *ctx)
{
    if (open_socket(me, port, ctx) != TINA_OK)
        return give_up(ctx, "it can't listen");
    if (tina_shard(ctx) == 0)
        count_listening(me, ctx);
    else if (tina_send(ctx, tina_named(0, NAME_LISTENER), TAG_LISTENING, NULL, 0) != TINA_OK)
        return give_up(ctx, "the first shard can't be told");
    return accept_next(me, ctx);
}

static tina_effect listener_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)args, (void)args_size;
    return tina_shard(ctx) == 0 ? listen_on(self, 0, ctx) : ask_port(ctx);
}

static tina_effect listener_accepted(const listener *me, const tina_message *message, tina_ctx *ctx)
{
    if (message->io.status != TINA_OK)
        return tina_is_shutting_down(ctx) ? tina_done() : later(ctx);
    tina_fd fd = message->io.fd;
    tina_spawn child = {.type = TYPE_CONNECTION, .fd = fd, .args = &fd, .args_size = sizeof fd};
    if (tina_spawn_child(ctx, &child, NULL) != TINA_OK)
        return tina_io_close(ctx, fd); /* more than connections= says: its client sees the end */
    return accept_next(me, ctx);
}

static uint16_t port_of(const tina_message *message)
{
    uint16_t port;
    memcpy(&port, message->payload, sizeof port);
    return port;
}

static tina_effect listener_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    listener *me = self;
    switch (message->tag) {
    case TINA_IO_ACCEPT: return listener_accepted(me, message, ctx);
    case TINA_IO_CLOSE: return accept_next(me, ctx);
    case TAG_ASK_PORT: return tina_reply(ctx, TAG_PORT, &me->port, sizeof me->port);
    case TAG_PORT: return listen_on(me, port_of(message), ctx);
    case TAG_LISTENING: count_listening(me, ctx); return tina_receive();
    case TINA_TAG_CALL_FAILED: return later(ctx); /* shard 0's is not there yet */
    case TINA_TAG_TIMER: return me->port != 0 ? accept_next(me, ctx) : ask_port(ctx);
    case TINA_TAG_SHUTDOWN: return tina_done();
    default: return tina_receive();
    }
}

/* ---- The server -------------------------------------------------------------------- */

static uint8_t backend_named(const char *name)
{
    if (strcmp(name, "uring") == 0)
        return TINA_BACKEND_URING;
    return strcmp(name, "epoll") == 0 ? TINA_BACKEND_EPOLL : TINA_BACKEND_AUTO;
}

/* Each buffer holds the largest request; how many there are, unless it is said, the library derives from fd_count. */
static void echo(void)
{
    uint32_t connections = number_of("connections", 1000), size = number_of("size", 64);
    tina_type types[TINA_TYPES_MAX] = {
        [TYPE_CONNECTION] = {.name = "connection",
                             .init = connection_init,
                             .handler = connection_handle,
                             .size = sizeof(connection),
                             .slot_count = connections,
                             .mailbox_capacity = 1}, /* nobody writes to it */
        [TYPE_LISTENER] = {.name = "listener", .init = listener_init, .handler = listener_handle, .size = sizeof(listener)},
    };
    const tina_child tree = {.type = TYPE_LISTENER, .name = NAME_LISTENER};
    tina_system_spec spec = {
        .type_count = TYPE_COUNT,
        .root = {.children = &tree, .child_count = 1},
        .shard_count = number_of("shards", 1),
        .fd_count = connections + SPARE_FDS,
        .message_count = number_of("messages", 0),
        .watch_count = number_of("watches", 0),
        .op_count = number_of("ops", 0),
        .buffer_count = number_of("buffers", 0),
        .buffer_size = size > 4096 ? size : 4096,
        .backend = backend_named(word_of("backend", "auto")),
        .signals = TINA_SIGNALS_ALL,
        .spin_ns = is_word("spin", "0", "1") ? 3600 * SECOND_NS : number_of("spin_ns", 0),
    };
    allow_descriptors((uint32_t)spec.shard_count * (connections + SPARE_FDS));
    reserve(&spec, types);
    run_system(&spec);
}

int main(int argc, char **argv)
{
    static const workload workloads[] = {{"echo", echo}, {NULL, NULL}};
    return run_workload(argc, argv, workloads);
}
