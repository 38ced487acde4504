/*
 * A TCP echo server, and a few clients to watch it with.
 *
 * A listener accepts and gives each connection an isolate of its own, which
 * sends back what it receives, from the very buffer it was received in. With
 * --serve, every shard has a listener on the same port and the kernel spreads
 * the connections.
 *
 * Without, it tells a story. Shard 0 listens, and clients on all shards ping it.
 * One on the last shard, the chaos client, dies every few round trips, in the way
 * that --fault says, and is restarted, until the budget of its group is used up:
 * then its shard begins anew, and when it has done so too often, it is quarantined.
 * The clients on the other shards go on all the while. SIGUSR2 brings it back.
 */
#include "common.h"

enum { TYPE_LISTENER, TYPE_CONNECTION, TYPE_CLIENT, TYPE_CHAOS, TYPE_METRICS, TYPE_COUNT };
enum { NAME_LISTENER = 1 };
enum {
    TAG_ASK_PORT = TINA_TAG_USER, /* a call to shard 0's listener */
    TAG_PORT,                     /* its reply: a uint16_t */
    TAG_LISTENING,                /* to shard 0's listener: one more listens */
    TAG_TIME_TO_ASK,
};

enum {
    CLIENTS_PER_SHARD = 2,
    SCRAPERS = 8,   /* of the metrics, at once */
    SPARE_FDS = 64, /* for listeners, clients, and connections that are just being closed */
    BACKLOG = 4096,
    BUFFERS_MAX = 32768,
    CRASH_BY_DESIGN = 42,
};

#define RETRY_NS   (SECOND_NS / 20)
#define PAUSE_NS   (SECOND_NS / 100) /* until there may be a descriptor again */
#define DRAIN_NS   (2 * SECOND_NS)   /* what a peer has for reading the rest when the system stops */
#define TIMEOUT_NS (5 * SECOND_NS)   /* of what a client waits for */
#define PING_NS    SECOND_NS
#define CHAOS_NS   (SECOND_NS / 5)  /* the chaos client pings faster: nobody wants to wait for the story */
#define WINDOW_NS  (60 * SECOND_NS) /* of both budgets */

/* Read by everybody, written by nobody once the system runs; but for the port. */
typedef struct echo_settings {
    tina_address address;
    const char *metrics; /* where they are served; NULL: nowhere */
    uint32_t port; /* shard 0's listener's alone: what it chose for 0 outlives it, so that it comes back to where it was */
    uint32_t shards, crash_after, fault, restart_max, shard_restart_max, seconds, backend, connections, buffers;
    const char *stats_page;
    bool is_server, is_quiet, wants_stats, aborts_on_quarantine;
} echo_settings;

static bool tells_story(const tina_ctx *ctx)
{
    const echo_settings *settings = tina_user(ctx);
    return !settings->is_server && !settings->is_quiet;
}

/* ---- A connection -------------------------------------------------------------- */

typedef struct connection {
    tina_fd fd;
    bool is_ending;
} connection;

static tina_effect connection_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    connection *me = self;
    memcpy(&me->fd, args, args_size);
    tina_ignore(tina_setsockopt(ctx, me->fd, TINA_OPT_NODELAY, 1)); /* without, it is an echo all the same */
    if (tells_story(ctx))
        tina_log(ctx, TINA_LOG_INFO, "connected");
    return tina_io_recv(ctx, me->fd);
}

/* What is received by now is still echoed, if the peer reads it in time. */
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
        if (message->io.status == TINA_OK)
            return tina_io_send(ctx, me->fd, message->io.data, message->io.size);
        if (tells_story(ctx) && !me->is_ending)
            tina_log(ctx, TINA_LOG_INFO, "over: %s", tina_status_name(message->io.status));
        return tina_done(); /* the peer's end, or it broke; done closes the socket */
    case TINA_IO_SEND:
        if (message->io.status != TINA_OK || me->is_ending)
            return tina_done();
        return tina_io_recv(ctx, me->fd);
    case TINA_TAG_SHUTDOWN: return connection_finish(me, ctx);
    case TINA_TAG_TIMER: return tina_done();
    default: return tina_receive();
    }
}

/* ---- The listener -------------------------------------------------------------- */

typedef struct listener {
    tina_fd fd;
    uint64_t told_ns; /* when it last spoke of those it refused */
    uint32_t refused_count;
    uint32_t listening_count; /* shard 0's: listeners that are there */
    uint16_t port;
    bool is_accepting;
    bool is_ending;
} listener;

/* Shard 0's listener may have taken any port. It may not be there yet, too: then the call fails, and one asks again. */
static tina_effect ask_port(tina_ctx *ctx)
{
    return tina_call(ctx, tina_named(0, NAME_LISTENER), TAG_ASK_PORT, NULL, 0, SECOND_NS);
}

static uint16_t port_of(const tina_message *message)
{
    uint16_t port = 0;
    memcpy(&port, message->payload, sizeof port);
    return port;
}

static tina_effect ask_later(tina_ctx *ctx)
{
    if (tina_timer_start(ctx, RETRY_NS, TAG_TIME_TO_ASK, NULL) != TINA_OK)
        return tina_crash(1);
    return tina_receive();
}

static tina_effect accept_later(tina_ctx *ctx)
{
    if (tina_timer_start(ctx, PAUSE_NS, TINA_TAG_TIMER, NULL) != TINA_OK)
        return tina_crash(2);
    return tina_receive();
}

/* Started, not returned as an effect: it answers calls meanwhile. */
static tina_effect accept_next(listener *me, tina_ctx *ctx)
{
    if (me->is_ending)
        return tina_done();
    tina_op accept = {.kind = TINA_IO_ACCEPT, .fd = me->fd};
    me->is_accepting = tina_io_start(ctx, &accept) == TINA_OK;
    return me->is_accepting ? tina_receive() : accept_later(ctx);
}

static tina_status open_socket(listener *me, const tina_address *address, bool is_shared, tina_ctx *ctx)
{
    tina_status status = tina_socket(ctx, address->family, TINA_STREAM, &me->fd);
    if (status == TINA_OK)
        status = tina_setsockopt(ctx, me->fd, TINA_OPT_REUSEADDR, 1);
    if (status == TINA_OK && is_shared)
        status = tina_setsockopt(ctx, me->fd, TINA_OPT_REUSEPORT, 1);
    if (status == TINA_OK)
        status = tina_bind(ctx, me->fd, address);
    if (status == TINA_OK)
        status = tina_listen(ctx, me->fd, BACKLOG);
    return status;
}

static void count_listening(listener *me, uint32_t all, tina_ctx *ctx)
{
    const echo_settings *settings = tina_user(ctx);
    tina_address address = settings->address;
    char text[64];
    if (++me->listening_count != all)
        return;
    address.port = me->port;
    tina_address_format(&address, text, sizeof text);
    tina_log(ctx, TINA_LOG_INFO, "listening on %s", text);
}

static tina_effect listen_on(listener *me, uint16_t port, tina_ctx *ctx)
{
    echo_settings *settings = tina_user(ctx);
    uint32_t all = settings->is_server ? settings->shards : 1;
    tina_address address = settings->address;
    char text[64];
    address.port = port;
    tina_status status = open_socket(me, &address, all > 1, ctx);
    if (status == TINA_OK)
        status = tina_local_address(ctx, me->fd, &address);
    if (status != TINA_OK) {
        tina_address_format(&address, text, sizeof text);
        tina_log(ctx, TINA_LOG_ERROR, "cannot listen on %s: %s %s", text, tina_status_name(status),
                 strerror(tina_os_error(ctx)));
        return tina_crash(3);
    }
    me->port = address.port;
    if (tina_shard(ctx) == 0) {
        settings->port = address.port;
        count_listening(me, all, ctx);
    } else {
        tina_ignore(tina_send(ctx, tina_named(0, NAME_LISTENER), TAG_LISTENING, NULL, 0));
    }
    return accept_next(me, ctx);
}

static tina_effect listener_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)args, (void)args_size;
    const echo_settings *settings = tina_user(ctx);
    return tina_shard(ctx) == 0 ? listen_on(self, (uint16_t)settings->port, ctx) : ask_port(ctx);
}

/* There is no isolate for it. Its client sees the end at once, and can try again. */
static tina_effect refuse(listener *me, tina_fd fd, tina_ctx *ctx)
{
    me->refused_count++;
    if (me->told_ns == 0 || tina_now(ctx) - me->told_ns >= SECOND_NS) {
        tina_log(ctx, TINA_LOG_WARN, "refused %u: as many are connected as --connections allows", me->refused_count);
        me->told_ns = tina_now(ctx);
        me->refused_count = 0;
    }
    return tina_io_close(ctx, fd);
}

static tina_effect accepted(listener *me, const tina_message *message, tina_ctx *ctx)
{
    me->is_accepting = false;
    switch (message->io.status) {
    case TINA_OK: break;
    case TINA_RESET: return accept_next(me, ctx); /* it left before its turn came */
    default: return me->is_ending ? tina_done() : accept_later(ctx);
    }
    tina_fd fd = message->io.fd;
    tina_spawn child = {.type = TYPE_CONNECTION, .fd = fd, .args = &fd, .args_size = sizeof fd};
    if (tina_spawn_child(ctx, &child, NULL) != TINA_OK)
        return refuse(me, fd, ctx);
    return accept_next(me, ctx);
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
    const echo_settings *settings = tina_user(ctx);
    switch (message->tag) {
    case TINA_IO_ACCEPT: return accepted(me, message, ctx);
    case TINA_IO_CLOSE: return accept_next(me, ctx);
    case TINA_TAG_TIMER: return accept_next(me, ctx);
    case TINA_TAG_SHUTDOWN: return listener_finish(me, ctx);
    case TAG_ASK_PORT: return tina_reply(ctx, TAG_PORT, &me->port, sizeof me->port);
    case TAG_PORT: return listen_on(me, port_of(message), ctx);
    case TINA_TAG_CALL_FAILED: return ask_later(ctx);
    case TAG_TIME_TO_ASK: return ask_port(ctx);
    case TAG_LISTENING: count_listening(me, settings->shards, ctx); return tina_receive();
    default: return tina_receive();
    }
}

/* ---- A client ------------------------------------------------------------------ */

typedef struct client {
    tina_fd fd;
    uint64_t sent_ns;
    uint32_t round_trips; /* in this life */
    uint32_t ping_size;
    uint32_t echoed_size;
    char ping[32];
} client;

static bool is_chaos(const tina_ctx *ctx) { return tina_handle_type(tina_self(ctx)) == TYPE_CHAOS; }

static tina_effect client_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size;
    const echo_settings *settings = tina_user(ctx);
    if (tells_story(ctx) && is_chaos(ctx) && settings->crash_after != 0)
        tina_log(ctx, TINA_LOG_INFO, "lives, until round trip %u", settings->crash_after);
    else if (tells_story(ctx))
        tina_log(ctx, TINA_LOG_INFO, "lives");
    return ask_port(ctx);
}

static tina_effect client_wait(uint64_t delay_ns, tina_tag tag, tina_ctx *ctx)
{
    if (tina_timer_start(ctx, delay_ns, tag, NULL) != TINA_OK)
        return tina_crash(1);
    return tina_receive();
}

static tina_effect client_connect(client *me, uint16_t port, tina_ctx *ctx)
{
    const echo_settings *settings = tina_user(ctx);
    tina_address address = settings->address;
    address.port = port;
    if (tina_socket(ctx, address.family, TINA_STREAM, &me->fd) != TINA_OK)
        return client_wait(SECOND_NS, TAG_TIME_TO_ASK, ctx);
    return tina_io_connect(ctx, me->fd, &address, TIMEOUT_NS);
}

static tina_effect chaos_die(const client *me, tina_ctx *ctx)
{
    const echo_settings *settings = tina_user(ctx);
    if (tells_story(ctx))
        tina_log(ctx, TINA_LOG_INFO, "round trip %u, and now %s", me->round_trips, fault_story(settings->fault));
    return die_of(settings->fault, CRASH_BY_DESIGN, ctx);
}

static tina_effect client_ping(client *me, tina_ctx *ctx)
{
    const echo_settings *settings = tina_user(ctx);
    if (is_chaos(ctx) && settings->crash_after != 0 && me->round_trips >= settings->crash_after)
        return chaos_die(me, ctx);
    me->ping_size = (uint32_t)snprintf(me->ping, sizeof me->ping, "ping %u", me->round_trips + 1);
    me->echoed_size = 0;
    me->sent_ns = tina_now(ctx);
    return tina_io_send(ctx, me->fd, me->ping, me->ping_size);
}

static tina_effect client_await_echo(const client *me, tina_ctx *ctx)
{
    tina_op receive = {.kind = TINA_IO_RECV, .fd = me->fd, .timeout_ns = TIMEOUT_NS};
    receive.size = me->ping_size - me->echoed_size;
    return tina_io(ctx, &receive);
}

static tina_effect client_echoed(client *me, const tina_message *message, tina_ctx *ctx)
{
    if (memcmp(message->io.data, me->ping + me->echoed_size, message->io.size) != 0) {
        tina_log(ctx, TINA_LOG_ERROR, "got something else than it sent");
        return tina_crash(2);
    }
    me->echoed_size += (uint32_t)message->io.size;
    if (me->echoed_size < me->ping_size)
        return client_await_echo(me, ctx);
    me->round_trips++;
    if (tells_story(ctx))
        tina_log(ctx, TINA_LOG_INFO, "%s came back after %llu us", me->ping,
                 (unsigned long long)(tina_now(ctx) - me->sent_ns) / 1000);
    return client_wait(is_chaos(ctx) ? CHAOS_NS : PING_NS, TINA_TAG_TIMER, ctx);
}

/* What failed is closed; a second later it asks for the port again, which may be another one by then. */
static tina_effect client_lost(const client *me, const tina_message *message, tina_ctx *ctx)
{
    tina_log(ctx, TINA_LOG_WARN, "lost its connection: %s", tina_status_name(message->io.status));
    return tina_io_close(ctx, me->fd);
}

static tina_effect client_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    client *me = self;
    bool is_io = message->tag == TINA_IO_CONNECT || message->tag == TINA_IO_SEND || message->tag == TINA_IO_RECV;
    if (is_io && message->io.status != TINA_OK)
        return client_lost(me, message, ctx);
    switch (message->tag) {
    case TAG_PORT: return client_connect(me, port_of(message), ctx);
    case TINA_TAG_CALL_FAILED: return client_wait(RETRY_NS, TAG_TIME_TO_ASK, ctx);
    case TAG_TIME_TO_ASK: return ask_port(ctx);
    case TINA_IO_CONNECT: return client_ping(me, ctx);
    case TINA_IO_SEND: return client_await_echo(me, ctx);
    case TINA_IO_RECV: return client_echoed(me, message, ctx);
    case TINA_IO_CLOSE: return client_wait(SECOND_NS, TAG_TIME_TO_ASK, ctx);
    case TINA_TAG_TIMER: return client_ping(me, ctx);
    case TINA_TAG_SHUTDOWN: return tina_done();
    default: return tina_receive();
    }
}

/* ---- The system ---------------------------------------------------------------- */

enum { CHILDREN_MAX = 1 + CLIENTS_PER_SHARD + 1 + 1 };

typedef struct child_list {
    tina_child children[CHILDREN_MAX];
    size_t count;
} child_list;

static void add_child(child_list *tree, tina_child child) { tree->children[tree->count++] = child; }

static void plant(child_list *tree, uint32_t shard, const echo_settings *settings)
{
    bool is_last = shard == settings->shards - 1;
    static tina_metrics_args metrics;
    metrics.address = settings->metrics;
    if (settings->metrics != NULL) /* on each shard: one that is quarantined answers no more */
        add_child(tree, (tina_child){.type = TYPE_METRICS, .args = &metrics, .args_size = sizeof metrics});
    if (settings->is_server || shard == 0)
        add_child(tree, (tina_child){.type = TYPE_LISTENER, .name = NAME_LISTENER});
    for (uint32_t i = 0; i < CLIENTS_PER_SHARD && !settings->is_server; i++)
        add_child(tree, (tina_child){.type = TYPE_CLIENT});
    if (is_last && !settings->is_server)
        add_child(tree, (tina_child){.type = TYPE_CHAOS});
}

/* Every connection may have one send under way, which keeps one of the three eighths of the buffers that may wait. */
static uint32_t buffers_for(uint32_t connections)
{
    uint32_t count = connections * 3 + 8;
    return count < BUFFERS_MAX ? count : BUFFERS_MAX;
}

static void tell_beginning(const echo_settings *settings)
{
    printf("Watch shard %u: its chaos client will use up the budget. kill -USR2 %ld brings the shard back.\n",
           settings->shards - 1, (long)getpid());
    fflush(stdout); /* before the lines of the log, which go around it */
}

static int run(echo_settings *settings)
{
    const tina_type types[TYPE_COUNT] = {
        [TYPE_LISTENER] = {.name = "listener", .init = listener_init, .handler = listener_handle, .size = sizeof(listener)},
        [TYPE_CONNECTION] = {.name = "connection",
                             .init = connection_init,
                             .handler = connection_handle,
                             .size = sizeof(connection),
                             .slot_count = settings->connections,
                             .mailbox_capacity = 1}, /* nobody writes to it */
        [TYPE_CLIENT] = {.name = "client",
                         .init = client_init,
                         .handler = client_handle,
                         .size = sizeof(client),
                         .slot_count = CLIENTS_PER_SHARD},
        [TYPE_CHAOS] = {.name = "chaos client", .init = client_init, .handler = client_handle, .size = sizeof(client)},
        [TYPE_METRICS] = TINA_METRICS_TYPE(SCRAPERS),
    };
    static child_list trees[TINA_SHARDS_MAX];
    static tina_shard_spec shards[TINA_SHARDS_MAX];
    for (uint32_t i = 0; i < settings->shards; i++) {
        plant(&trees[i], i, settings);
        shards[i].root.children = trees[i].children;
        shards[i].root.child_count = trees[i].count;
        shards[i].root.restart_max = settings->restart_max != 0 ? settings->restart_max : TINA_NONE;
        shards[i].root.window_ns = WINDOW_NS;
    }
    tina_system_spec spec = {
        .types = types,
        .type_count = settings->metrics != NULL ? TYPE_COUNT : TYPE_METRICS,
        .shards = shards,
        .shard_count = settings->shards,
        .user = settings,
        .fd_count = settings->connections + SPARE_FDS,
        .op_count = 2 * (settings->connections + SPARE_FDS),
        .buffer_count = settings->buffers != 0 ? settings->buffers : buffers_for(settings->connections),
        .backend = (uint8_t)settings->backend,
        .signals = TINA_SIGNALS_ALL,
        .abort_on_quarantine = settings->aborts_on_quarantine,
        .shard_restart_max = settings->shard_restart_max != 0 ? settings->shard_restart_max : TINA_NONE,
        .shard_restart_window_ns = WINDOW_NS,
        .trace_count = settings->is_server ? 0 : 16, /* what is dumped is still to be read */
        .quiet = settings->is_quiet,
        .log_sink = print_line,
        .stats_path = settings->stats_page,
    };
    prepare_for(settings->fault, &spec);
    if (!settings->is_server && !settings->is_quiet && settings->crash_after != 0)
        tell_beginning(settings);
    end_after(settings->seconds);
    return run_system(&spec, settings->wants_stats);
}

int main(int argc, char **argv)
{
    static const char *const backends[] = {"auto", "uring", "epoll", NULL};
    static echo_settings settings = {
        .shards = 2, .crash_after = 3, .restart_max = 2, .shard_restart_max = 2, .connections = 1024};
    const char *host = "127.0.0.1";
    const example_option options[] = {
        {"--serve", "the server alone, a listener on every shard", .is_set = &settings.is_server},
        {"--host", "the address to listen on: 127.0.0.1, or [::1] (brackets for IPv6)", .text = &host},
        {"--port", "0: any, which is printed", .number = &settings.port, .most = 65535},
        {"--shards", "threads; 2", .number = &settings.shards, .least = 1, .most = TINA_SHARDS_MAX},
        {"--connections", "at once, per shard; 1024", .number = &settings.connections, .least = 1, .most = 500000},
        {"--buffers", "for I/O, per shard; 0: enough for all --connections", .number = &settings.buffers,
         .most = BUFFERS_MAX},
        {"--crash-after", "round trips of the chaos client's life; 3; 0: it never dies", .number = &settings.crash_after,
         .most = 1000000000},
        {"--fault", "how it dies: crash, segv, stack, div, loop, abort or memcpy; crash", .number = &settings.fault,
         .choices = fault_names},
        {"--restart-max", "restarts of its shard's isolates within a minute; one more restarts the shard; 2",
         .number = &settings.restart_max, .most = 1000000},
        {"--shard-restart-max", "restarts of a shard within a minute; one more quarantines it; 2",
         .number = &settings.shard_restart_max, .most = 1000000},
        {"--abort-on-quarantine", "end rather than go on without a shard", .is_set = &settings.aborts_on_quarantine},
        {"--seconds", "how long to run; 0: until SIGTERM or SIGINT", .number = &settings.seconds, .most = 1000000000},
        {"--metrics", "serve Prometheus metrics there, such as 127.0.0.1:9464", .text = &settings.metrics},
        {"--backend", "auto, uring or epoll", .number = &settings.backend, .choices = backends},
        {"--stats", "at the end, print what was used and where the messages went", .is_set = &settings.wants_stats},
        {"--stats-page", "a file to keep for tinatop to read while it runs", .text = &settings.stats_page},
        {"--quiet", "only what is needed or wrong", .is_set = &settings.is_quiet},
    };
    read_options(argc, argv, "tcp_echo: an echo server on isolates, and clients to watch it with", options,
                 sizeof options / sizeof options[0]);
    char address[300];
    snprintf(address, sizeof address, "%s:0", host);
    if (tina_address_parse(address, &settings.address) != TINA_OK)
        wrong_option("--host", "takes a numeric address, such as 127.0.0.1 or [::1]");
    return run(&settings);
}
