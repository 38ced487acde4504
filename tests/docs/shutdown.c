/* A server that drains, and an isolate that does not. Ends by itself; docs/ is cut from it. */
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <tina/tina.h>

#define SECOND_NS      1000000000ull
#define MILLISECOND_NS 1000000ull
#define DRAIN_NS       (2 * SECOND_NS)

enum { TYPE_WORKER, TYPE_LISTENER, TYPE_CONNECTION, TYPE_CLIENT, TYPE_STUBBORN, TYPE_COUNT };
enum { NAME_WORKER = 1 };
enum { TAG_HELLO = TINA_TAG_USER, TAG_ASK, TAG_ANSWER };

typedef struct story {
    sem_t is_busy; /* the worker has a request */
    bool is_answered, is_closed;
} story;

/* ---- The worker: ends when nobody can ask it any more ---- */

typedef struct worker {
    tina_caller caller;
    uint32_t user_count; /* those that said hello and have not ended */
    bool is_working, is_ending;
} worker;

static tina_effect worker_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size, (void)ctx;
    return tina_receive();
}

/* One at a time: who is not answered sees its call fail, and closes. The work here is a timer. */
static tina_effect worker_work(worker *me, const tina_message *message, tina_ctx *ctx)
{
    story *told = tina_user(ctx);
    if (me->is_working || !tina_is_call(message))
        return tina_receive();
    if (tina_timer_start(ctx, 20 * MILLISECOND_NS, TINA_TAG_TIMER, NULL) != TINA_OK)
        return tina_crash(1);
    me->caller = tina_message_caller(message);
    me->is_working = true;
    sem_post(&told->is_busy);
    return tina_receive();
}

static tina_effect worker_answer(worker *me, tina_ctx *ctx)
{
    me->is_working = false;
    tina_ignore(tina_reply_to(ctx, me->caller, TAG_ANSWER, "done", 4)); /* stale: nobody waits any more */
    return tina_receive();
}

/* docs: worker */
static tina_effect worker_rest(const worker *me)
{
    return me->is_ending && me->user_count == 0 ? tina_done() : tina_receive();
}

static tina_effect worker_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    worker *me = self;
    switch (message->tag) {
    case TAG_HELLO:
        if (tina_watch(ctx, message->source) == TINA_OK)
            me->user_count++;
        return tina_receive();
    case TINA_TAG_DOWN: me->user_count--; return worker_rest(me);
    case TINA_TAG_SHUTDOWN: me->is_ending = true; return worker_rest(me);
    case TAG_ASK: return worker_work(me, message, ctx);
    case TINA_TAG_TIMER: return worker_answer(me, ctx);
    default: return tina_receive();
    }
}
/* docs: end */

/* ---- A connection: finishes the request that it has ---- */

typedef struct connection {
    tina_fd fd;
    bool is_ending;
} connection;

/* docs: connection */
static tina_effect connection_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    connection *me = self;
    memcpy(&me->fd, args, args_size);
    if (tina_send(ctx, tina_named(0, NAME_WORKER), TAG_HELLO, NULL, 0) != TINA_OK)
        return tina_crash(1); /* nobody to work for it: the listener closes it */
    return tina_io_recv(ctx, me->fd);
}

/* Parked for bytes: the cancelled receive completes. In the middle of a request: that goes on. */
static tina_effect connection_finish(connection *me, tina_ctx *ctx)
{
    me->is_ending = true;
    tina_io_cancel(ctx, me->fd, TINA_READ_HALF);
    if (tina_timer_start(ctx, DRAIN_NS, TINA_TAG_TIMER, NULL) != TINA_OK)
        return tina_done();
    return tina_receive();
}

static tina_effect connection_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    connection *me = self;
    switch (message->tag) {
    case TINA_IO_RECV:
        if (message->io.status != TINA_OK)
            return tina_done(); /* cancelled, or the peer's end; done closes the socket */
        return tina_call(ctx, tina_named(0, NAME_WORKER), TAG_ASK, message->io.data, 1, SECOND_NS);
    case TAG_ANSWER: return tina_io_send(ctx, me->fd, message->payload, message->size);
    case TINA_IO_SEND:
        if (message->io.status != TINA_OK || me->is_ending)
            return tina_done();
        return tina_io_recv(ctx, me->fd);
    case TINA_TAG_SHUTDOWN: return connection_finish(me, ctx);
    default: return tina_done(); /* the call failed, or its time is over */
    }
}
/* docs: end */

/* ---- The listener: closes what nobody serves ---- */

typedef struct listener {
    tina_fd fd;
    bool is_accepting, is_ending;
} listener;

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

/* docs: listener */
static tina_effect listener_accept(listener *me, tina_ctx *ctx)
{
    if (me->is_ending)
        return tina_done();
    tina_op accept = {.kind = TINA_IO_ACCEPT, .fd = me->fd};
    me->is_accepting = tina_io_start(ctx, &accept) == TINA_OK;
    return me->is_accepting ? tina_receive() : tina_crash(1);
}

/* The accept that is under way may still bring somebody: wait for its completion. */
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
    case TINA_IO_ACCEPT: {
        me->is_accepting = false;
        tina_fd fd = message->io.fd;
        tina_spawn child = {.type = TYPE_CONNECTION, .fd = fd, .args = &fd, .args_size = sizeof fd};
        if (message->io.status == TINA_OK && tina_spawn_child(ctx, &child, NULL) != TINA_OK)
            return tina_io_close(ctx, fd); /* still ours */
        return listener_accept(me, ctx);
    }
    case TINA_IO_CLOSE: return listener_accept(me, ctx);
    case TINA_TAG_SHUTDOWN: return listener_finish(me, ctx);
    default: return tina_receive();
    }
}
/* docs: end */

static tina_effect listener_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)args, (void)args_size;
    listener *me = self;
    tina_address address = tina_ipv4(127, 0, 0, 1, 0);
    if (listener_open(me, &address, ctx) != TINA_OK)
        return tina_crash(1);
    tina_spawn client = {.type = TYPE_CLIENT, .args = &address.port, .args_size = sizeof address.port};
    if (tina_spawn_child(ctx, &client, NULL) != TINA_OK)
        return tina_crash(2);
    return listener_accept(me, ctx);
}

/* ---- A client, which the shutdown overtakes: it still gets its answer, then the end ---- */

typedef struct client {
    tina_fd fd;
} client;

static tina_effect client_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    client *me = self;
    uint16_t port;
    memcpy(&port, args, args_size);
    tina_address address = tina_ipv4(127, 0, 0, 1, port);
    if (tina_socket(ctx, address.family, TINA_STREAM, &me->fd) != TINA_OK)
        return tina_crash(1);
    return tina_io_connect(ctx, me->fd, &address, 5 * SECOND_NS);
}

static tina_effect client_received(const client *me, const tina_message *message, tina_ctx *ctx)
{
    story *told = tina_user(ctx);
    if (message->io.status != TINA_OK) {
        told->is_closed = message->io.status == TINA_CLOSED;
        return tina_done();
    }
    told->is_answered = message->io.size == 4 && memcmp(message->io.data, "done", 4) == 0;
    return tina_io_recv(ctx, me->fd);
}

static tina_effect client_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    const client *me = self;
    switch (message->tag) {
    case TINA_IO_CONNECT: return message->io.status == TINA_OK ? tina_io_send(ctx, me->fd, "x", 1) : tina_done();
    case TINA_IO_SEND: return message->io.status == TINA_OK ? tina_io_recv(ctx, me->fd) : tina_done();
    case TINA_IO_RECV: return client_received(me, message, ctx);
    default: return tina_receive(); /* the shutdown, too: the receive goes on */
    }
}

/* ---- One that does not hear ---- */

static tina_effect stubborn_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size, (void)ctx;
    return tina_receive();
}

static tina_effect stubborn_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self, (void)message, (void)ctx;
    return tina_receive();
}

/* ---- The program ---- */

/* docs: join */
static int join(tina_system *system, const tina_type *types)
{
    tina_end_report report;
    tina_status status = tina_join(system, &report);
    if (status == TINA_OK)
        return 0;
    fprintf(stderr, "%u isolates did not drain, %u shards are stuck\n", report.undrained_count, report.stuck_shards);
    for (uint32_t i = 0; i < report.undrained_count && i < sizeof report.undrained / sizeof report.undrained[0]; i++)
        fprintf(stderr, "  %s on shard %u\n", types[tina_handle_type(report.undrained[i])].name,
                tina_handle_shard(report.undrained[i]));
    return 1;
}
/* docs: end */

static const tina_type types[TYPE_COUNT] = {
    [TYPE_WORKER] = {.name = "worker", .init = worker_init, .handler = worker_handle, .size = sizeof(worker)},
    [TYPE_LISTENER] = {.name = "listener", .init = listener_init, .handler = listener_handle, .size = sizeof(listener)},
    [TYPE_CONNECTION] = {.name = "connection",
                         .init = connection_init,
                         .handler = connection_handle,
                         .size = sizeof(connection)},
    [TYPE_CLIENT] = {.name = "client", .init = client_init, .handler = client_handle, .size = sizeof(client)},
    [TYPE_STUBBORN] = {.name = "stubborn", .init = stubborn_init, .handler = stubborn_handle, .size = 1},
};

/* With a request under way: it is answered, and everybody drains. */
static bool server_drains(void)
{
    const tina_child children[] = {{.type = TYPE_WORKER, .name = NAME_WORKER}, {.type = TYPE_LISTENER}};
    story told = {.is_answered = false};
    if (sem_init(&told.is_busy, 0, 0) != 0)
        return false;
    tina_system_spec spec = {
        .types = types,
        .type_count = TYPE_COUNT,
        .shard_count = 1,
        .root = {.children = children, .child_count = 2},
        .user = &told,
        .development = true,
    };
    tina_system *system;
    if (tina_start(&spec, &system, NULL) != TINA_OK)
        return false;
    sem_wait(&told.is_busy);
    tina_stop(system);
    bool has_drained = join(system, types) == 0;
    sem_destroy(&told.is_busy);
    return has_drained && told.is_answered && told.is_closed;
}

static bool stubborn_is_named(void)
{
    const tina_child children[] = {{.type = TYPE_STUBBORN}};
    tina_system_spec spec = {
        .types = types,
        .type_count = TYPE_COUNT,
        .shard_count = 1,
        .root = {.children = children, .child_count = 1},
        .shutdown_timeout_ns = 50 * MILLISECOND_NS,
        .development = true,
    };
    tina_system *system;
    if (tina_start(&spec, &system, NULL) != TINA_OK)
        return false;
    tina_stop(system);
    return join(system, types) == 1;
}

int main(void) { return server_drains() && stubborn_is_named() ? 0 : 1; }
