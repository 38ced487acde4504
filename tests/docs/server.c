/*
 * A server from nothing: it sends each line back in capitals. With an address it serves there until SIGTERM; without
 * one it serves clients of its own, and ends by itself. docs/ is cut from it.
 */
#define _POSIX_C_SOURCE 200809L /* for kill, in the rehearsal */

/* docs: limits */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <tina/tina.h>

#define SECOND_NS 1000000000ull

#define LINE_NS  (30 * SECOND_NS)  /* for a client to send a whole line */
#define SEND_NS  (5 * SECOND_NS)   /* for it to take an answer */
#define PAUSE_NS (SECOND_NS / 100) /* before the next try, where nothing was free */
#define DRAIN_NS (2 * SEND_NS)     /* of everybody, once the server has to end */

enum { LINE_SIZE = 256, BACKLOG = 1024, CONNECTIONS_MAX = 1000 };
enum { TYPE_LISTENER, TYPE_CONNECTION, TYPE_COUNT };

typedef struct settings {
    tina_address address; /* where to listen; port 0: the listener writes here which one it got */
    uint32_t connections; /* at most so many at once */
} settings;
/* docs: end */

/* ---- A connection ---- */

/* docs: connection */
typedef struct connection {
    tina_fd fd;
    uint64_t due_ns; /* when the next line has to be whole */
    uint32_t used;   /* bytes in line */
    bool is_ending;
    char line[LINE_SIZE];
} connection;

/* No more than fits: what is beyond stays with the kernel, and with the client. */
static tina_effect connection_receive(const connection *me, tina_ctx *ctx)
{
    uint64_t now_ns = tina_now(ctx);
    tina_op receive = {
        .kind = TINA_IO_RECV,
        .fd = me->fd,
        .size = LINE_SIZE - me->used,
        .timeout_ns = me->due_ns > now_ns ? me->due_ns - now_ns : 1,
    };
    return tina_io(ctx, &receive);
}

static tina_effect connection_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    connection *me = self;
    memcpy(&me->fd, args, args_size);
    me->due_ns = tina_now(ctx) + LINE_NS;
    return connection_receive(me, ctx);
}
/* docs: end */

/* docs: answer */
static tina_effect connection_answer(connection *me, size_t size, tina_ctx *ctx)
{
    for (size_t i = 0; i < size; i++)
        me->line[i] = (char)toupper((unsigned char)me->line[i]);
    tina_op send = {.kind = TINA_IO_SEND, .fd = me->fd, .data = me->line, .size = size, .timeout_ns = SEND_NS};
    tina_effect effect = tina_io(ctx, &send); /* it is copied: the line may change from here on */
    me->used -= (uint32_t)size;
    memmove(me->line, me->line + size, me->used);
    return effect;
}

/* Answers the first line, if it is whole, and else waits for more of it. */
static tina_effect connection_next(connection *me, tina_ctx *ctx)
{
    const char *end = memchr(me->line, '\n', me->used);
    if (end != NULL)
        return connection_answer(me, (size_t)(end - me->line) + 1, ctx);
    if (me->is_ending || me->used == LINE_SIZE)
        return tina_done(); /* we end, or it is too long; done closes the socket */
    return connection_receive(me, ctx);
}
/* docs: end */

/* docs: handle */
static tina_effect connection_received(connection *me, const tina_message *message, tina_ctx *ctx)
{
    if (message->io.status != TINA_OK)
        return tina_done(); /* the client's end, its time is over, or it broke */
    memcpy(me->line + me->used, message->io.data, message->io.size);
    me->used += (uint32_t)message->io.size;
    return connection_next(me, ctx);
}

static tina_effect connection_sent(connection *me, const tina_message *message, tina_ctx *ctx)
{
    if (message->io.status != TINA_OK)
        return tina_done();
    me->due_ns = tina_now(ctx) + LINE_NS;
    return connection_next(me, ctx);
}

/* The receive that is under way completes, with bytes or without; a send goes on. Both come back to connection_next. */
static tina_effect connection_finish(connection *me, tina_ctx *ctx)
{
    me->is_ending = true;
    tina_io_cancel(ctx, me->fd, TINA_READ_HALF);
    return tina_receive();
}

static tina_effect connection_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    connection *me = self;
    switch (message->tag) {
    case TINA_IO_RECV: return connection_received(me, message, ctx);
    case TINA_IO_SEND: return connection_sent(me, message, ctx);
    case TINA_TAG_SHUTDOWN: return connection_finish(me, ctx);
    default: return tina_receive();
    }
}
/* docs: end */

/* ---- The listener ---- */

/* docs: listen */
typedef struct listener {
    tina_fd fd;
    uint32_t connection_count; /* that live */
    bool is_accepting, is_ending;
} listener;

static tina_status listener_open(listener *me, tina_address *address, tina_ctx *ctx)
{
    tina_status status = tina_socket(ctx, address->family, TINA_STREAM, &me->fd);
    if (status == TINA_OK)
        status = tina_setsockopt(ctx, me->fd, TINA_OPT_REUSEADDR, 1);
    if (status == TINA_OK)
        status = tina_bind(ctx, me->fd, address);
    if (status == TINA_OK)
        status = tina_listen(ctx, me->fd, BACKLOG);
    if (status == TINA_OK)
        status = tina_local_address(ctx, me->fd, address);
    return status;
}
/* docs: end */

/* docs: accept */
static tina_effect listener_pause(tina_ctx *ctx)
{
    return tina_timer_start(ctx, PAUSE_NS, TINA_TAG_TIMER, NULL) == TINA_OK ? tina_receive() : tina_crash(1);
}

/* Started, not returned as an effect: the ends of connections, and of the server, come meanwhile. */
static tina_effect listener_accept(listener *me, tina_ctx *ctx)
{
    const settings *limits = tina_user(ctx);
    if (me->is_ending && !me->is_accepting)
        return tina_done();
    if (me->is_accepting || me->connection_count == limits->connections)
        return tina_receive();
    tina_op accept = {.kind = TINA_IO_ACCEPT, .fd = me->fd};
    me->is_accepting = tina_io_start(ctx, &accept) == TINA_OK;
    return me->is_accepting ? tina_receive() : listener_pause(ctx);
}

static tina_effect listener_accepted(listener *me, const tina_message *message, tina_ctx *ctx)
{
    me->is_accepting = false;
    if (message->io.status == TINA_RESET)
        return listener_accept(me, ctx); /* it left before its turn came */
    if (message->io.status != TINA_OK)
        return me->is_ending ? tina_done() : listener_pause(ctx);
    tina_fd fd = message->io.fd;
    tina_spawn child = {.type = TYPE_CONNECTION, .fd = fd, .args = &fd, .args_size = sizeof fd};
    tina_handle handle;
    if (tina_spawn_child(ctx, &child, &handle) != TINA_OK)
        return tina_io_close(ctx, fd); /* still ours */
    if (tina_watch(ctx, handle) == TINA_OK)
        me->connection_count++;
    return listener_accept(me, ctx);
}
/* docs: end */

/* docs: listener */
static tina_effect listener_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)args, (void)args_size;
    listener *me = self;
    settings *limits = tina_user(ctx);
    tina_status status = listener_open(me, &limits->address, ctx);
    if (status != TINA_OK) {
        tina_log(ctx, TINA_LOG_ERROR, "cannot listen: %s, %s", tina_status_name(status), strerror(tina_os_error(ctx)));
        return tina_crash(2);
    }
    return listener_accept(me, ctx);
}

/* The accept that is under way may still bring somebody: wait for its completion. */
static tina_effect listener_finish(listener *me, tina_ctx *ctx)
{
    me->is_ending = true;
    tina_io_cancel(ctx, me->fd, TINA_READ_HALF);
    return me->is_accepting ? tina_receive() : tina_done();
}

static tina_effect listener_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    listener *me = self;
    switch (message->tag) {
    case TINA_IO_ACCEPT: return listener_accepted(me, message, ctx);
    case TINA_TAG_DOWN: me->connection_count--; return listener_accept(me, ctx);
    case TINA_IO_CLOSE:
    case TINA_TAG_TIMER: return listener_accept(me, ctx);
    case TINA_TAG_SHUTDOWN: return listener_finish(me, ctx);
    default: return tina_receive();
    }
}
/* docs: end */

/* ---- The program ---- */

/* docs: serve */
static const tina_type types[] = {
    [TYPE_LISTENER] = {.name = "listener", .init = listener_init, .handler = listener_handle, .size = sizeof(listener)},
    [TYPE_CONNECTION] = {.name = "connection",
                         .init = connection_init,
                         .handler = connection_handle,
                         .size = sizeof(connection),
                         .slot_count = CONNECTIONS_MAX},
};
static const tina_child children[] = {{.type = TYPE_LISTENER}};

static void describe(tina_system_spec *spec, settings *limits)
{
    *spec = (tina_system_spec){
        .types = types,
        .type_count = TYPE_COUNT,
        .shard_count = 1,
        .root = {.children = children, .child_count = 1},
        .user = limits,
        .watch_count = CONNECTIONS_MAX,
        .buffer_count = 3 * CONNECTIONS_MAX,
        .shutdown_timeout_ns = DRAIN_NS,
    };
}

static int serve(settings *limits)
{
    tina_system_spec spec;
    tina_error error;
    describe(&spec, limits);
    tina_status status = tina_boot(&spec, &error);
    if (status != TINA_OK && status != TINA_TIMED_OUT)
        fprintf(stderr, "%s: %s\n", error.path, error.message);
    return status == TINA_OK ? 0 : 1;
}
/* docs: end */

/* ---- The rehearsal: clients of our own ---- */

#include <semaphore.h>
#include <signal.h>
#include <unistd.h>

enum { ROOM = 2, LEAVING = 4, CLIENTS_MAX = 6 };
enum { TYPE_CLIENT = TYPE_COUNT };

typedef struct rehearsal {
    settings limits; /* first: the server knows no more */
    sem_t answered;
    uint32_t answered_count, closed_count;
} rehearsal;

typedef enum manner { LEAVES, STAYS, DAWDLES } manner; /* the last never ends its line */

typedef struct client {
    tina_fd fd;
    manner manner;
    uint32_t sent, received; /* pieces; bytes */
} client;

static tina_effect client_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    client *me = self;
    const settings *limits = tina_user(ctx);
    memcpy(&me->manner, args, args_size);
    if (tina_socket(ctx, limits->address.family, TINA_STREAM, &me->fd) != TINA_OK)
        return tina_crash(1);
    return tina_io_connect(ctx, me->fd, &limits->address, 0);
}

static tina_effect client_send(client *me, tina_ctx *ctx)
{
    static const char *const pieces[] = {"hello\nwor", "ld\n"};
    uint32_t count = me->manner == DAWDLES ? 1 : 2;
    if (me->sent == count)
        return tina_io_recv(ctx, me->fd);
    const char *piece = pieces[me->sent++];
    return tina_io_send(ctx, me->fd, piece, strlen(piece));
}

static tina_effect client_received(client *me, const tina_message *message, tina_ctx *ctx)
{
    static const char answer[] = "HELLO\nWORLD\n";
    rehearsal *all = tina_user(ctx);
    if (message->io.status != TINA_OK) {
        all->closed_count += message->io.status == TINA_CLOSED && me->manner != LEAVES;
        return tina_done();
    }
    if (message->io.size > strlen(answer) - me->received ||
        memcmp(answer + me->received, message->io.data, message->io.size) != 0)
        return tina_crash(2);
    me->received += (uint32_t)message->io.size;
    if (me->received < strlen(answer))
        return tina_io_recv(ctx, me->fd);
    all->answered_count++;
    sem_post(&all->answered);
    return me->manner == LEAVES ? tina_done() : tina_io_recv(ctx, me->fd);
}

static tina_effect client_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    client *me = self;
    switch (message->tag) {
    case TINA_IO_CONNECT:
    case TINA_IO_SEND: return message->io.status == TINA_OK ? client_send(me, ctx) : tina_done();
    case TINA_IO_RECV: return client_received(me, message, ctx);
    default: return tina_receive(); /* the shutdown, too: the server will close */
    }
}

static const manner leaves = LEAVES, stays = STAYS, dawdles = DAWDLES;
#define CLIENT(manner)                                                                                                      \
    {                                                                                                                       \
        .type = TYPE_CLIENT, .args = &(manner), .args_size = sizeof(manner), .restart = TINA_TEMPORARY                      \
    }
static const tina_child cast[] = {{.type = TYPE_LISTENER}, CLIENT(leaves), CLIENT(leaves), CLIENT(leaves),
                                  CLIENT(leaves),          CLIENT(stays),  CLIENT(dawdles)};

/* The server's spec, with one type more, and fewer connections than clients. */
static void prepare(tina_system_spec *spec, rehearsal *clients, size_t child_count)
{
    static tina_type with_clients[TYPE_COUNT + 1] = {
        [TYPE_CLIENT] = {.name = "client",
                         .init = client_init,
                         .handler = client_handle,
                         .size = sizeof(client),
                         .slot_count = CLIENTS_MAX},
    };
    memcpy(with_clients, types, sizeof types);
    memset(clients, 0, sizeof *clients);
    clients->limits = (settings){.address = tina_ipv4(127, 0, 0, 1, 0), .connections = ROOM};
    describe(spec, &clients->limits);
    spec->types = with_clients;
    spec->type_count = TYPE_COUNT + 1;
    spec->root = (tina_group_spec){.children = cast, .child_count = child_count};
    spec->signals = TINA_SIGNALS_ALL;
    spec->development = true;
}

/* Five clients and room for two: all are answered. The one that stays sees the end when a SIGTERM comes. */
static bool serves_until_sigterm(void)
{
    rehearsal clients;
    tina_system_spec spec;
    tina_system *system;
    prepare(&spec, &clients, 1 + LEAVING + 1);
    if (sem_init(&clients.answered, 0, 0) != 0 || tina_start(&spec, &system, NULL) != TINA_OK)
        return false;
    for (uint32_t i = 0; i < LEAVING + 1; i++)
        sem_wait(&clients.answered);
    kill(getpid(), SIGTERM);
    tina_status status = tina_join(system, NULL);
    sem_destroy(&clients.answered);
    return status == TINA_OK && clients.closed_count == 1;
}

/* docs: simulate */
/* The same server, in a made world: in half a minute of made time who dawdles is shown the door. */
static bool survives(uint64_t seed, const tina_faults *faults, rehearsal *clients)
{
    tina_system_spec spec;
    tina_sim_report report;
    tina_sim_config config = {.seed = seed, .faults = *faults, .heal_at_tick = 100000};
    prepare(&spec, clients, sizeof cast / sizeof cast[0]);
    if (sem_init(&clients->answered, 0, 0) != 0 || tina_simulate(&spec, &config, &report, NULL) != TINA_OK)
        return false;
    sem_destroy(&clients->answered);
    if (report.end == TINA_SIM_VIOLATION)
        fprintf(stderr, "seed %llu: %s\n", (unsigned long long)seed, report.violation);
    /* The clients' sockets, the listener, its accept, and no more connections than there may be. */
    return report.end == TINA_SIM_QUIET && report.total.fds.peak <= CLIENTS_MAX + 2 + ROOM;
}
/* docs: end */

static bool survives_all(void)
{
    const tina_faults none = {.short_io = {1, 2}};
    const tina_faults many = {
        .connection_reset = {1, 50}, .io_error = {1, 100}, .short_io = {1, 2}, .pool_empty = {1, 100}, .io_delay = {0, 50}};
    rehearsal clients;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        if (!survives(seed, &none, &clients) || clients.answered_count != LEAVING + 1 || clients.closed_count != 2)
            return false;
        if (!survives(seed, &many, &clients))
            return false;
    }
    return true;
}

static int rehearse(void) { return serves_until_sigterm() && survives_all() ? 0 : 1; }

/* docs: main */
int main(int argc, char **argv)
{
    settings limits = {.connections = CONNECTIONS_MAX};
    if (argc < 2)
        return rehearse();
    if (tina_address_parse(argv[1], &limits.address) != TINA_OK)
        return 2;
    return serve(&limits);
}
/* docs: end */
