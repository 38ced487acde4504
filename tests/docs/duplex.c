/* One isolate that reads, writes and takes messages at once. Ends by itself; docs/ is cut from it. */
#include <string.h>
#include <tina/tina.h>

enum { TYPE_LISTENER, TYPE_SESSION, TYPE_PEER, TYPE_COUNT };
enum { TAG_TICK = TINA_TAG_USER };
enum { BYTES = 64, TICK_NS = 1000000 };

static tina_effect finish(tina_ctx *ctx, bool is_right)
{
    bool *outcome = tina_user(ctx);
    *outcome = is_right;
    tina_stop_system(ctx);
    return tina_receive();
}

/* ---- The session: sends a byte at each tick, and counts what comes back ---- */

typedef struct session {
    tina_fd fd;
    bool is_sending;
    uint32_t sent, received;
} session;

/* docs: duplex */
static tina_effect session_read(const session *me, tina_ctx *ctx)
{
    tina_op receive = {.kind = TINA_IO_RECV, .fd = me->fd};
    return tina_io_start(ctx, &receive) == TINA_OK ? tina_receive() : tina_crash(1);
}

static tina_effect session_write(session *me, tina_ctx *ctx)
{
    tina_op send = {.kind = TINA_IO_SEND, .fd = me->fd, .data = "x", .size = 1, .timeout_ns = 5000000000};
    if (me->is_sending || me->sent == BYTES)
        return tina_receive(); /* one writer at a time: the next tick tries again */
    if (tina_io_start(ctx, &send) == TINA_OK)
        me->is_sending = true;
    return tina_receive();
}

static tina_effect session_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    session *me = self;
    memcpy(&me->fd, args, args_size);
    if (tina_timer_repeat(ctx, TICK_NS, TAG_TICK, NULL) != TINA_OK)
        return tina_crash(2);
    return session_read(me, ctx);
}

static tina_effect session_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    session *me = self;
    switch (message->tag) {
    case TAG_TICK: return session_write(me, ctx);
    case TINA_IO_SEND:
        me->is_sending = false;
        me->sent += (uint32_t)message->io.size;
        return message->io.status == TINA_OK ? tina_receive() : finish(ctx, false);
    case TINA_IO_RECV:
        me->received += (uint32_t)message->io.size;
        if (message->io.status != TINA_OK || me->received == BYTES)
            return finish(ctx, message->io.status == TINA_OK);
        return session_read(me, ctx);
    case TINA_TAG_SHUTDOWN: return tina_done();
    default: return tina_receive();
    }
}
/* docs: end */

/* ---- The other end ---- */

typedef struct peer {
    tina_fd fd;
} peer;

static tina_effect peer_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    peer *me = self;
    uint16_t port;
    memcpy(&port, args, args_size);
    tina_address address = tina_ipv4(127, 0, 0, 1, port);
    if (tina_socket(ctx, address.family, TINA_STREAM, &me->fd) != TINA_OK)
        return tina_crash(1);
    return tina_io_connect(ctx, me->fd, &address, 5000000000);
}

static tina_effect peer_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    const peer *me = self;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (message->io.status != TINA_OK)
        return finish(ctx, false);
    if (message->tag == TINA_IO_RECV)
        return tina_io_send(ctx, me->fd, message->io.data, message->io.size);
    return tina_io_recv(ctx, me->fd);
}

/* ---- Who brings them together ---- */

typedef struct listener {
    tina_fd fd;
} listener;

/* docs: listen */
static tina_status listener_open(listener *me, tina_address *address, tina_ctx *ctx)
{
    tina_status status = tina_socket(ctx, address->family, TINA_STREAM, &me->fd);
    if (status == TINA_OK)
        status = tina_bind(ctx, me->fd, address);
    if (status == TINA_OK)
        status = tina_listen(ctx, me->fd, 128);
    if (status == TINA_OK)
        status = tina_local_address(ctx, me->fd, address);
    return status;
}
/* docs: end */

static tina_effect listener_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)args, (void)args_size;
    listener *me = self;
    tina_address address = tina_ipv4(127, 0, 0, 1, 0);
    if (listener_open(me, &address, ctx) != TINA_OK)
        return tina_crash(1);
    tina_spawn child = {.type = TYPE_PEER, .args = &address.port, .args_size = sizeof address.port};
    if (tina_spawn_child(ctx, &child, NULL) != TINA_OK)
        return tina_crash(2);
    return tina_io_accept(ctx, me->fd);
}

/* docs: accept */
static tina_effect listener_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    const listener *me = self;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (message->tag != TINA_IO_ACCEPT || message->io.status != TINA_OK)
        return tina_io_accept(ctx, me->fd);
    tina_fd fd = message->io.fd;
    tina_spawn child = {.type = TYPE_SESSION, .fd = fd, .args = &fd, .args_size = sizeof fd};
    if (tina_spawn_child(ctx, &child, NULL) != TINA_OK)
        return tina_io_close(ctx, fd); /* still ours */
    return tina_io_accept(ctx, me->fd);
}
/* docs: end */

int main(void)
{
    const tina_type types[TYPE_COUNT] = {
        [TYPE_LISTENER] = {.name = "listener", .init = listener_init, .handler = listener_handle, .size = sizeof(listener)},
        [TYPE_SESSION] = {.name = "session", .init = session_init, .handler = session_handle, .size = sizeof(session)},
        [TYPE_PEER] = {.name = "peer", .init = peer_init, .handler = peer_handle, .size = sizeof(peer)},
    };
    const tina_child children[] = {{.type = TYPE_LISTENER}};
    bool is_right = false;
    tina_system_spec spec = {
        .types = types,
        .type_count = TYPE_COUNT,
        .shard_count = 1,
        .root = {.children = children, .child_count = 1},
        .user = &is_right,
        .development = true,
        .quiet = true,
    };
    return tina_boot(&spec, NULL) == TINA_OK && is_right ? 0 : 1;
}
