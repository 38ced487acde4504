/*
 * Connections over shards, in two ways: each shard accepts its own, or one accepts and gives them away. Either way they
 * ask stores that share the keys among the shards. Ends by itself; docs/ is cut from it.
 */
#define _DEFAULT_SOURCE /* SO_REUSEPORT */

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <tina/tina.h>
#include <unistd.h>

#define MILLISECOND_NS 1000000ull

enum { TYPE_LISTENER, TYPE_ACCEPTOR, TYPE_HOST, TYPE_CONNECTION, TYPE_STORE, TYPE_CLIENT, TYPE_COUNT };
enum { NAME_HOST = 1, NAME_STORE };
enum { TAG_ADD = TINA_TAG_USER, TAG_SUM };
enum { SHARDS = 3, CLIENTS = 24, BACKLOG = 128 };

/* What a client learns: who served it, who has its key, and the key's sum. */
typedef struct answer {
    uint8_t served_by, kept_by, sum;
} answer;

typedef struct settings {
    tina_address address;
    uint32_t client_count, right_count; /* shard 0's clients' */
    uint32_t served[SHARDS];            /* likewise */
} settings;

static tina_effect wait_a_moment(tina_ctx *ctx)
{
    return tina_timer_start(ctx, MILLISECOND_NS, TINA_TAG_TIMER, NULL) == TINA_OK ? tina_receive() : tina_crash(1);
}

/* ---- Keys: each has one shard, and there one store ---- */

/* docs: store */
typedef struct store {
    uint8_t sums[256];
} store;

static tina_effect store_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size, (void)ctx;
    return tina_receive();
}

static tina_effect store_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    store *me = self;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (message->tag != TAG_ADD || !tina_is_call(message))
        return tina_receive();
    answer sum = {.kept_by = tina_shard(ctx), .sum = ++me->sums[message->payload[0]]};
    return tina_reply(ctx, TAG_SUM, &sum, sizeof sum);
}

static tina_handle store_of(uint8_t key, const tina_ctx *ctx)
{
    return tina_named(tina_key_shard(key, tina_shard_count(ctx)), NAME_STORE);
}
/* docs: end */

/* ---- A connection: each byte that comes is a key ---- */

typedef struct connection {
    tina_fd fd;
    uint8_t key;
} connection;

static tina_effect connection_receive(const connection *me, tina_ctx *ctx)
{
    tina_op receive = {.kind = TINA_IO_RECV, .fd = me->fd, .size = 1};
    return tina_io(ctx, &receive);
}

static tina_effect connection_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    connection *me = self;
    memcpy(&me->fd, args, args_size);
    return connection_receive(me, ctx);
}

/* docs: ask */
static tina_effect connection_ask(const connection *me, tina_ctx *ctx)
{
    return tina_call(ctx, store_of(me->key, ctx), TAG_ADD, &me->key, sizeof me->key, 0);
}

static tina_effect connection_answer(const connection *me, const tina_message *message, tina_ctx *ctx)
{
    answer sum;
    memcpy(&sum, message->payload, sizeof sum);
    sum.served_by = tina_shard(ctx);
    return tina_io_send(ctx, me->fd, &sum, sizeof sum);
}

/* docs: end */

static tina_effect connection_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    connection *me = self;
    switch (message->tag) {
    case TINA_IO_RECV:
        if (message->io.status != TINA_OK)
            return tina_done();
        me->key = message->io.data[0];
        return connection_ask(me, ctx);
    case TAG_SUM: return connection_answer(me, message, ctx);
    case TINA_TAG_CALL_FAILED: return tina_is_shutting_down(ctx) ? tina_done() : wait_a_moment(ctx);
    case TINA_TAG_TIMER: return connection_ask(me, ctx);
    case TINA_IO_SEND: return message->io.status == TINA_OK ? connection_receive(me, ctx) : tina_done();
    default: return tina_done();
    }
}

/* ---- Each shard accepts its own ---- */

typedef struct listener {
    tina_fd fd;
} listener;

/* docs: listen */
static tina_status open_listener(tina_fd *fd, const tina_address *address, tina_ctx *ctx)
{
    tina_status status = tina_socket(ctx, address->family, TINA_STREAM, fd);
    if (status == TINA_OK)
        status = tina_setsockopt(ctx, *fd, TINA_OPT_REUSEPORT, 1);
    if (status == TINA_OK)
        status = tina_bind(ctx, *fd, address);
    if (status == TINA_OK)
        status = tina_listen(ctx, *fd, BACKLOG);
    return status;
}
/* docs: end */

static tina_effect listener_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)args, (void)args_size;
    listener *me = self;
    const settings *shared = tina_user(ctx);
    return open_listener(&me->fd, &shared->address, ctx) == TINA_OK ? tina_io_accept(ctx, me->fd) : tina_crash(2);
}

/* docs: symmetric */
static tina_status serve(tina_fd fd, tina_ctx *ctx)
{
    tina_spawn child = {.type = TYPE_CONNECTION, .fd = fd, .args = &fd, .args_size = sizeof fd};
    return tina_spawn_child(ctx, &child, NULL);
}

static tina_effect listener_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    const listener *me = self;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (message->tag == TINA_IO_ACCEPT && message->io.status != TINA_OK)
        return wait_a_moment(ctx);
    if (message->tag == TINA_IO_ACCEPT && serve(message->io.fd, ctx) != TINA_OK)
        return tina_io_close(ctx, message->io.fd); /* still ours: its client sees the end */
    return tina_io_accept(ctx, me->fd);
}
/* docs: end */

/* ---- One accepts, and gives to who has less to do ---- */

/* docs: less-loaded */
/* How busy a shard is, by its open descriptors; the more if it can't take any. */
static uint32_t load_of(uint8_t shard, tina_ctx *ctx)
{
    tina_stats stats;
    if (tina_stats_of(ctx, shard, &stats) != TINA_OK || stats.state != TINA_SHARD_RUNNING)
        return UINT32_MAX;
    return stats.fds.used;
}

/* Of two drawn by lot the one with less to do: the numbers are a tick old, and a burst must not all go to one shard. */
static uint8_t less_loaded(tina_ctx *ctx)
{
    uint8_t count = tina_shard_count(ctx);
    uint8_t one = (uint8_t)(tina_random(ctx) % count), other = (uint8_t)(tina_random(ctx) % count);
    return load_of(other, ctx) < load_of(one, ctx) ? other : one;
}
/* docs: end */

/* docs: acceptor */
typedef struct acceptor {
    tina_fd fd;
    bool is_accepting;
} acceptor;

/* Started, not returned as an effect: what was given may come back meanwhile. */
static tina_effect acceptor_accept(acceptor *me, tina_ctx *ctx)
{
    if (me->is_accepting)
        return tina_receive();
    tina_op accept = {.kind = TINA_IO_ACCEPT, .fd = me->fd};
    me->is_accepting = tina_io_start(ctx, &accept) == TINA_OK;
    return me->is_accepting ? tina_receive() : wait_a_moment(ctx);
}

/* To that shard, or else to this one. Where nobody has room, it is still ours, and its client sees the end. */
static tina_effect acceptor_give(acceptor *me, uint8_t shard, tina_fd fd, tina_ctx *ctx)
{
    if (tina_fd_give(ctx, tina_named(shard, NAME_HOST), fd) == TINA_OK ||
        tina_fd_give(ctx, tina_named(tina_shard(ctx), NAME_HOST), fd) == TINA_OK)
        return acceptor_accept(me, ctx);
    return tina_io_close(ctx, fd);
}

static tina_effect acceptor_accepted(acceptor *me, const tina_message *message, tina_ctx *ctx)
{
    me->is_accepting = false;
    if (message->io.status != TINA_OK)
        return wait_a_moment(ctx);
    return acceptor_give(me, less_loaded(ctx), message->io.fd, ctx);
}

/* It could not be delivered there, and is ours again; but with its shard it was lost. */
static tina_effect acceptor_returned(acceptor *me, const tina_message *message, tina_ctx *ctx)
{
    if (message->io.status == TINA_SHARD_DOWN)
        return acceptor_accept(me, ctx);
    return acceptor_give(me, tina_shard(ctx), message->io.fd, ctx);
}

static tina_effect acceptor_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    acceptor *me = self;
    switch (message->tag) {
    case TINA_IO_ACCEPT: return acceptor_accepted(me, message, ctx);
    case TINA_TAG_FD: return acceptor_returned(me, message, ctx);
    case TINA_IO_CLOSE:
    case TINA_TAG_TIMER: return acceptor_accept(me, ctx);
    case TINA_TAG_SHUTDOWN: return tina_done();
    default: return tina_receive();
    }
}
/* docs: end */

static tina_effect acceptor_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)args, (void)args_size;
    acceptor *me = self;
    const settings *shared = tina_user(ctx);
    return open_listener(&me->fd, &shared->address, ctx) == TINA_OK ? acceptor_accept(me, ctx) : tina_crash(3);
}

/* docs: host */
/* On each shard one, which takes what the acceptor gives. */
static tina_effect host_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (message->tag == TINA_TAG_FD && message->io.status == TINA_OK && serve(message->io.fd, ctx) != TINA_OK)
        return tina_io_close(ctx, message->io.fd);
    return tina_receive();
}
/* docs: end */

static tina_effect host_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size, (void)ctx;
    return tina_receive();
}

/* ---- Clients, on shard 0 ---- */

typedef struct client {
    tina_fd fd;
    uint8_t key;
    uint32_t received;
    answer answer;
} client;

/* Where a shard is not up yet, nothing would be given to it. */
static tina_effect client_begin(client *me, tina_ctx *ctx)
{
    const settings *shared = tina_user(ctx);
    for (uint8_t shard = 0; shard < tina_shard_count(ctx); shard++) {
        if (load_of(shard, ctx) == UINT32_MAX)
            return wait_a_moment(ctx);
    }
    if (tina_socket(ctx, shared->address.family, TINA_STREAM, &me->fd) != TINA_OK)
        return tina_crash(4);
    return tina_io_connect(ctx, me->fd, &shared->address, 0);
}

static tina_effect client_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)args, (void)args_size;
    client *me = self;
    settings *shared = tina_user(ctx);
    me->key = (uint8_t)shared->client_count++;
    return client_begin(me, ctx);
}

static tina_effect client_end(const client *me, tina_ctx *ctx)
{
    settings *shared = tina_user(ctx);
    bool is_kept_right = me->answer.kept_by == tina_key_shard(me->key, SHARDS) && me->answer.sum == 1;
    shared->right_count += is_kept_right && me->answer.served_by < SHARDS;
    shared->served[me->answer.served_by % SHARDS]++;
    if (--shared->client_count == 0)
        tina_stop_system(ctx);
    return tina_done();
}

static tina_effect client_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    client *me = self;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_receive();
    if (message->tag == TINA_TAG_TIMER)
        return client_begin(me, ctx);
    if (message->io.status != TINA_OK)
        return client_end(me, ctx);
    switch (message->tag) {
    case TINA_IO_CONNECT: return tina_io_send(ctx, me->fd, &me->key, sizeof me->key);
    case TINA_IO_SEND: return tina_io_recv(ctx, me->fd);
    default: break;
    }
    size_t room = sizeof me->answer - me->received;
    memcpy((uint8_t *)&me->answer + me->received, message->io.data, message->io.size < room ? message->io.size : room);
    me->received += (uint32_t)message->io.size;
    return me->received < sizeof me->answer ? tina_io_recv(ctx, me->fd) : client_end(me, ctx);
}

/* ---- The program ---- */

static const tina_type types[TYPE_COUNT] = {
    [TYPE_LISTENER] = {.name = "listener", .init = listener_init, .handler = listener_handle, .size = sizeof(listener)},
    [TYPE_ACCEPTOR] = {.name = "acceptor", .init = acceptor_init, .handler = acceptor_handle, .size = sizeof(acceptor)},
    [TYPE_HOST] = {.name = "host", .init = host_init, .handler = host_handle, .size = 1},
    [TYPE_CONNECTION] = {.name = "connection",
                         .init = connection_init,
                         .handler = connection_handle,
                         .size = sizeof(connection),
                         .slot_count = CLIENTS},
    [TYPE_STORE] = {.name = "store", .init = store_init, .handler = store_handle, .size = sizeof(store)},
    [TYPE_CLIENT] =
        {.name = "client", .init = client_init, .handler = client_handle, .size = sizeof(client), .slot_count = CLIENTS},
};

/* docs: symmetric */
static const tina_child symmetric[] = {{.type = TYPE_STORE, .name = NAME_STORE}, {.type = TYPE_LISTENER}};
/* docs: end */

/* docs: trees */
static const tina_child receiving[] = {{.type = TYPE_STORE, .name = NAME_STORE}, {.type = TYPE_HOST, .name = NAME_HOST}};
static const tina_child accepting[] = {
    {.type = TYPE_STORE, .name = NAME_STORE}, {.type = TYPE_HOST, .name = NAME_HOST}, {.type = TYPE_ACCEPTOR}};
/* docs: end */

/* The rehearsal has clients as well, on shard 0. */
static void add_clients(tina_child *children, const tina_child *others, size_t count)
{
    memcpy(children, others, count * sizeof others[0]);
    for (size_t i = 0; i < CLIENTS; i++)
        children[count + i] = (tina_child){.type = TYPE_CLIENT, .restart = TINA_TEMPORARY};
}

static bool all_are_served(bool is_symmetric, tina_address address, uint32_t shards_min)
{
    tina_child first[3 + CLIENTS];
    size_t count = is_symmetric ? 2 : 3;
    add_clients(first, is_symmetric ? symmetric : accepting, count);
    const tina_child *others = is_symmetric ? symmetric : receiving;
    /* docs: shards */
    tina_shard_spec shards[SHARDS];
    for (size_t i = 0; i < SHARDS; i++)
        shards[i] = (tina_shard_spec){.root = {.children = others, .child_count = 2}};
    shards[0].root = (tina_group_spec){.children = first, .child_count = count + CLIENTS};
    /* docs: end */
    settings shared = {.address = address};
    tina_system_spec spec = {
        .types = types,
        .type_count = TYPE_COUNT,
        .shards = shards,
        .shard_count = SHARDS,
        .user = &shared,
        .buffer_count = 8 * CLIENTS,
        .development = true,
        .quiet = true,
    };
    if (tina_boot(&spec, NULL) != TINA_OK)
        return false;
    uint32_t served_by = 0;
    for (size_t i = 0; i < SHARDS; i++)
        served_by += shared.served[i] != 0;
    return shared.right_count == CLIENTS && served_by >= shards_min;
}

/* A port that is ours while the socket is open, and can be shared with it. */
static int reserve_port(tina_address *address)
{
    int on = 1;
    struct sockaddr_in host = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof host;
    int os_fd = socket(AF_INET, SOCK_STREAM, 0);
    if (os_fd < 0 || setsockopt(os_fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0 ||
        bind(os_fd, (const struct sockaddr *)&host, sizeof host) != 0 ||
        getsockname(os_fd, (struct sockaddr *)&host, &length) != 0)
        return -1;
    *address = tina_ipv4(127, 0, 0, 1, ntohs(host.sin_port));
    return os_fd;
}

int main(void)
{
    tina_address address;
    int os_fd = reserve_port(&address);
    bool is_right = os_fd >= 0 && all_are_served(true, address, 1) && all_are_served(false, address, 2);
    close(os_fd);
    return is_right ? 0 : 1;
}
