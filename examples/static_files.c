/*
 * A file server: HTTP/1.1 over sendfile.
 *
 * Shard 0 has the listener. It gives each connection to the shard that has the
 * fewest, where a desk takes it and hands it to an isolate of its own, or to another
 * desk if there is no room. That isolate reads a request, opens the file, asks for its
 * size, sends the head, has the kernel send the file, and closes it: a state for each
 * wait.
 *
 * Everything is bounded: connections (beyond them: 503), a request (http_request.h),
 * and time. A client has --timeout seconds for a whole head, for the next request, and
 * for each stretch of an answer, in which it must take at least a kibibyte a second.
 *
 * What is served lies below --root. No path names anything else: see path in
 * http_request.h. Symbolic links are followed, wherever they lead, so whoever may
 * write below the root decides what is served.
 *
 * What it leaves out: Date, since a handler has no clock of the day, only one that
 * counts; Last-Modified and ETag, since a file's size is all that is asked of the
 * kernel; and so all that depends on these. A folder is not found without its final
 * slash: nothing tells it from other things that are no files.
 */
#include "common.h"

#include "http_answer.h"
#include "http_request.h"

#include <errno.h>

enum { TYPE_LISTENER, TYPE_DESK, TYPE_CONNECTION, TYPE_COUNT };
enum { NAME_DESK = 1 };

enum {
    SPARE_FDS = 256, /* for listeners, and connections that are being given away, turned away or closed */
    BACKLOG = 4096,
    BUFFER_SIZE = 1024, /* bytes that are received at once, and of a path or a head that is sent */
    RATE_MIN = 1024,    /* bytes a second that a client takes, or is cut off */
    BUFFERS_MAX = 131072,
};
_Static_assert((int)HTTP_PATH_MAX <= (int)BUFFER_SIZE, "a path that is opened fits into a buffer");

#define PAUSE_NS   (SECOND_NS / 100)  /* until there may be a descriptor again */
#define RETRY_NS   (SECOND_NS / 1000) /* until there may be room in a channel again */
#define LOOK_NS    (SECOND_NS / 100)  /* how long a look at the shards' loads is good for */
#define LINGER_NS  (2 * SECOND_NS)    /* for the peer to see the end before what it still sends resets the connection */
#define REFUSAL_NS SECOND_NS          /* for a 503 to be sent */

typedef struct file_settings {
    tina_address address;
    uint32_t port; /* the listener's alone: what it chose for 0 outlives it */
    uint32_t shards, connections, timeout, backend, seconds;
    bool is_quiet, wants_stats;
} file_settings;

/* ---- A connection -------------------------------------------------------------- */

typedef enum connection_state {
    READING,   /* a request's head */
    DROPPING,  /* its body */
    OPENING,   /* the file */
    SIZING,    /* it */
    ANSWERING, /* with a head, or a refusal */
    SENDING,   /* the file */
    CLOSING,   /* it */
    LINGERING, /* until the peer has seen that it was the last answer */
} connection_state;

typedef struct connection {
    connection_state state;
    tina_fd fd;
    tina_fd file;          /* none: there is none open */
    uint64_t deadline_ns;  /* of what it waits for */
    uint64_t offset, left; /* of the file, to be sent */
    bool is_last;          /* no other request is read */
    bool is_ending;        /* the system is */
    uint16_t input_start, input_size;
    http_request request;
    uint8_t input[BUFFER_SIZE]; /* received: what lies behind the start belongs to the request, or to the next ones */
} connection;

static tina_effect next_request(connection *me, tina_ctx *ctx);

static bool is_last_answer(const connection *me) { return me->is_last || me->is_ending; }

/* For what comes next. Once the system ends, all that is left shares what was given last. */
static void give_time(connection *me, const tina_ctx *ctx)
{
    const file_settings *settings = tina_user(ctx);
    if (!me->is_ending)
        me->deadline_ns = tina_now(ctx) + settings->timeout * SECOND_NS;
}

static tina_effect await(const connection *me, tina_op *op, tina_ctx *ctx)
{
    uint64_t now = tina_now(ctx);
    op->timeout_ns = me->deadline_ns > now ? me->deadline_ns - now : 1;
    return tina_io(ctx, op);
}

static tina_effect receive(const connection *me, tina_ctx *ctx)
{
    tina_op op = {.kind = TINA_IO_RECV, .fd = me->fd, .size = BUFFER_SIZE};
    return await(me, &op, ctx);
}

/* The end of our side; the rest of the peer's is read and dropped for a while. */
static tina_effect linger(connection *me, tina_ctx *ctx)
{
    if (tina_socket_shutdown(ctx, me->fd, TINA_WRITE_HALF) != TINA_OK)
        return tina_done();
    me->state = LINGERING;
    me->deadline_ns = tina_now(ctx) + LINGER_NS;
    return receive(me, ctx);
}

/* The answer is out, or as much of it as there will be. */
static tina_effect finish_answer(connection *me, tina_ctx *ctx)
{
    if (!tina_fd_is_none(me->file)) {
        tina_fd file = me->file;
        me->file = (tina_fd){0};
        me->state = CLOSING;
        return tina_io_close(ctx, file);
    }
    return is_last_answer(me) ? linger(me, ctx) : next_request(me, ctx);
}

/* What it did not take would otherwise stay in the kernel for as long as it likes. */
static tina_effect cut_off(const connection *me, tina_ctx *ctx)
{
    tina_ignore(tina_setsockopt(ctx, me->fd, TINA_OPT_LINGER, 0));
    return tina_done();
}

/* ---- Its answers ---- */

static tina_effect send_answer(connection *me, const char *text, size_t size, tina_ctx *ctx)
{
    tina_op op = {.kind = TINA_IO_SEND, .fd = me->fd, .data = text, .size = size};
    me->state = ANSWERING;
    give_time(me, ctx);
    return await(me, &op, ctx);
}

static tina_effect refuse_file(connection *me, uint16_t status, uint64_t file_size, tina_ctx *ctx)
{
    char text[HTTP_ANSWER_MAX];
    me->left = 0;
    return send_answer(me, text, http_answer_refusal(&me->request, status, file_size, is_last_answer(me), text), ctx);
}

static tina_effect refuse(connection *me, uint16_t status, tina_ctx *ctx) { return refuse_file(me, status, 0, ctx); }

static tina_effect send_head(connection *me, http_span span, uint64_t file_size, tina_ctx *ctx)
{
    char text[HTTP_ANSWER_MAX];
    me->offset = span.offset;
    me->left = me->request.method == HTTP_HEAD ? 0 : span.size;
    if (me->left != 0) /* head and file share packets */
        tina_ignore(tina_setsockopt(ctx, me->fd, TINA_OPT_CORK, 1));
    return send_answer(me, text, http_answer_file(&me->request, span, file_size, is_last_answer(me), text), ctx);
}

static tina_effect send_file(connection *me, tina_ctx *ctx)
{
    tina_op op = {.kind = TINA_IO_SENDFILE, .fd = me->fd, .file = me->file, .offset = me->offset, .size = me->left};
    me->state = SENDING;
    give_time(me, ctx);
    return await(me, &op, ctx);
}

static tina_effect answered(connection *me, const tina_message *message, tina_ctx *ctx)
{
    if (message->io.status != TINA_OK)
        return cut_off(me, ctx);
    return me->left != 0 ? send_file(me, ctx) : finish_answer(me, ctx);
}

/* A stretch is over: all that is left, or its time. Whoever took enough in that time may go on. */
static tina_effect sent(connection *me, const tina_message *message, tina_ctx *ctx)
{
    const file_settings *settings = tina_user(ctx);
    bool is_steady = message->io.size >= (uint64_t)settings->timeout * RATE_MIN;
    me->offset += message->io.size;
    me->left -= message->io.size;
    if (me->left != 0 && message->io.status == TINA_TIMED_OUT && is_steady && !me->is_ending)
        return send_file(me, ctx);
    if (me->left != 0) /* too slow, or gone; or the file has become shorter, and it sees that bytes are missing */
        return cut_off(me, ctx);
    tina_ignore(tina_setsockopt(ctx, me->fd, TINA_OPT_CORK, 0));
    return finish_answer(me, ctx);
}

/* ---- Its files ---- */

static tina_effect open_file(connection *me, tina_ctx *ctx)
{
    tina_op op = {.kind = TINA_IO_OPEN, .path = me->request.path, .flags = TINA_OPEN_READ};
    me->state = OPENING;
    give_time(me, ctx);
    return await(me, &op, ctx);
}

static tina_effect opened(connection *me, const tina_message *message, tina_ctx *ctx)
{
    tina_op op = {.kind = TINA_IO_STAT, .fd = message->io.fd};
    bool is_no_name = message->io.os_error == ENAMETOOLONG || message->io.os_error == ELOOP;
    switch (message->io.status) {
    case TINA_OK: break;
    case TINA_NOT_FOUND: return refuse(me, 404, ctx);
    case TINA_DENIED: return refuse(me, 403, ctx);
    case TINA_POOL_EXHAUSTED: return refuse(me, 503, ctx);
    default: return refuse(me, is_no_name ? 404 : 500, ctx);
    }
    me->file = message->io.fd;
    me->state = SIZING;
    return await(me, &op, ctx);
}

static tina_effect sized(connection *me, const tina_message *message, tina_ctx *ctx)
{
    switch (message->io.status) {
    case TINA_OK: break;
    case TINA_INVALID:
    case TINA_UNSUPPORTED: return refuse(me, 404, ctx); /* a folder, a pipe, a device */
    case TINA_POOL_EXHAUSTED: return refuse(me, 503, ctx);
    default: return refuse(me, 500, ctx);
    }
    http_span span = http_request_span(&me->request, message->io.size);
    if (span.status == 416)
        return refuse_file(me, 416, message->io.size, ctx);
    return send_head(me, span, message->io.size, ctx);
}

/* ---- Its requests ---- */

static tina_effect answer(connection *me, tina_ctx *ctx)
{
    uint16_t status = me->request.status;
    me->is_last = !me->request.keeps_alive;
    return status == 200 ? open_file(me, ctx) : refuse(me, status, ctx);
}

/* The body that nobody asked for goes by; what is behind it is the next request. */
static tina_effect drop_body(connection *me, tina_ctx *ctx)
{
    uint16_t size = (uint16_t)(me->input_size - me->input_start);
    if (size > me->request.body_size)
        size = (uint16_t)me->request.body_size;
    me->input_start += size;
    me->request.body_size -= size;
    if (me->request.body_size == 0)
        return answer(me, ctx);
    me->state = DROPPING;
    return me->is_ending ? tina_done() : receive(me, ctx);
}

static tina_effect take_input(connection *me, tina_ctx *ctx)
{
    http_request *request = &me->request;
    bool is_new = request->head_size == 0;
    me->input_start +=
        (uint16_t)http_request_feed(request, me->input + me->input_start, (size_t)(me->input_size - me->input_start));
    if (is_new && request->head_size != 0)
        give_time(me, ctx); /* it was idle until now */
    if (request->status != 0)
        return drop_body(me, ctx);
    return me->is_ending ? tina_done() : receive(me, ctx);
}

static tina_effect next_request(connection *me, tina_ctx *ctx)
{
    http_request_begin(&me->request);
    me->state = READING;
    give_time(me, ctx);
    return take_input(me, ctx);
}

/* The peer's end or ours; or its time is over, of which it is told where it had begun. */
static tina_effect received_nothing(connection *me, const tina_message *message, tina_ctx *ctx)
{
    if (message->io.status != TINA_TIMED_OUT || me->request.head_size == 0)
        return tina_done();
    me->is_last = true;
    return refuse(me, 408, ctx);
}

static void keep_input(connection *me, const tina_message *message)
{
    memcpy(me->input, message->io.data, message->io.size);
    me->input_start = 0;
    me->input_size = (uint16_t)message->io.size;
}

static tina_effect received(connection *me, const tina_message *message, tina_ctx *ctx)
{
    if (message->io.status != TINA_OK)
        return received_nothing(me, message, ctx);
    keep_input(me, message);
    return me->state == DROPPING ? drop_body(me, ctx) : take_input(me, ctx);
}

static tina_effect lingered(const connection *me, const tina_message *message, tina_ctx *ctx)
{
    return message->io.status == TINA_OK && !me->is_ending ? receive(me, ctx) : tina_done();
}

/* ---- Its life ---- */

static tina_effect connection_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    connection *me = self;
    memcpy(&me->fd, args, args_size);
    tina_ignore(tina_setsockopt(ctx, me->fd, TINA_OPT_NODELAY, 1)); /* without, it is slower */
    return next_request(me, ctx);
}

/* Between requests it is over. An answer that is under way has time to be finished. */
static tina_effect connection_finish(connection *me, tina_ctx *ctx)
{
    give_time(me, ctx);
    me->is_ending = true;
    if (me->state == READING || me->state == DROPPING || me->state == LINGERING)
        tina_io_cancel(ctx, me->fd, TINA_READ_HALF);
    return tina_receive();
}

static tina_effect connection_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    connection *me = self;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return connection_finish(me, ctx);
    switch (me->state) {
    case READING:
    case DROPPING: return received(me, message, ctx);
    case OPENING: return opened(me, message, ctx);
    case SIZING: return sized(me, message, ctx);
    case ANSWERING: return answered(me, message, ctx);
    case SENDING: return sent(me, message, ctx);
    case CLOSING: return finish_answer(me, ctx);
    case LINGERING: return lingered(me, message, ctx);
    }
    return tina_crash(1);
}

/* ---- Those for whom there is no room, at the listener and the desks --------------- */

/* A word, if it can be said at once; then its completion closes the socket. */
static void turn_away(tina_fd fd, tina_ctx *ctx)
{
    static const char text[] = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
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

/* It comes back: nobody took it. */
static void given_back(const tina_message *message, tina_ctx *ctx)
{
    if (message->io.status != TINA_SHARD_DOWN) /* lost with its shard */
        turn_away(message->io.fd, ctx);
}

/* Its isolates, as of its last tick; TINA_NONE: it is down. While it comes up, what is given to it waits. */
static uint32_t load_of(uint8_t shard, tina_ctx *ctx)
{
    tina_stats stats;
    if (tina_stats_of(ctx, shard, &stats) != TINA_OK)
        return TINA_NONE;
    return stats.state == TINA_SHARD_RUNNING || stats.state == TINA_SHARD_INIT ? stats.isolates : TINA_NONE;
}

/* ---- The desk: where a shard's connections arrive --------------------------------- */

static tina_effect desk_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size, (void)ctx;
    return tina_receive();
}

/* To the desk of the other shard that has the fewest. */
static bool give_on(tina_fd fd, tina_ctx *ctx)
{
    uint32_t least = TINA_NONE;
    uint8_t shard = 0;
    for (uint32_t i = 0; i < tina_shard_count(ctx); i++) {
        uint32_t load = i == tina_shard(ctx) ? TINA_NONE : load_of((uint8_t)i, ctx);
        if (load < least) {
            least = load;
            shard = (uint8_t)i;
        }
    }
    return least != TINA_NONE && tina_fd_give(ctx, tina_named(shard, NAME_DESK), fd) == TINA_OK;
}

/* The listener knows the loads of a while ago only: so there may be room elsewhere. But another desk has looked already. */
static void take(const tina_message *message, tina_ctx *ctx)
{
    tina_fd fd = message->io.fd;
    tina_spawn child = {.type = TYPE_CONNECTION, .fd = fd, .args = &fd, .args_size = sizeof fd};
    tina_status status = tina_spawn_child(ctx, &child, NULL);
    bool is_full = status == TINA_ARENA_FULL || status == TINA_GROUP_FULL;
    if (is_full && tina_handle_type(message->source) == TYPE_LISTENER && give_on(fd, ctx))
        return;
    if (status != TINA_OK)
        turn_away(fd, ctx);
}

static tina_effect desk_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self;
    switch (message->tag) {
    case TINA_TAG_FD:
        if (message->io.status == TINA_OK)
            take(message, ctx);
        else
            given_back(message, ctx);
        return tina_receive();
    case TINA_IO_SEND: turned_away(message, ctx); return tina_receive();
    case TINA_TAG_SHUTDOWN: return tina_done(); /* what is given from here on is closed */
    default: return tina_receive();
    }
}

/* ---- The listener -------------------------------------------------------------- */

typedef struct listener {
    tina_fd fd;
    tina_fd waiting; /* accepted, for a shard whose channel or mailbox was full; none: there is none */
    uint64_t looked_ns;
    uint32_t loads[TINA_SHARDS_MAX]; /* isolates of each, and what was given to it since; TINA_NONE: it is down */
    bool is_accepting;
    bool is_ending;
} listener;

static tina_effect pause_for(uint64_t delay_ns, tina_ctx *ctx)
{
    if (tina_timer_start(ctx, delay_ns, TINA_TAG_TIMER, NULL) != TINA_OK)
        return tina_crash(1);
    return tina_receive();
}

/* Started, not returned as an effect: meanwhile it hears of those that come back. */
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
        status = tina_listen(ctx, me->fd, BACKLOG);
    if (status == TINA_OK)
        status = tina_local_address(ctx, me->fd, address);
    return status;
}

static tina_effect listener_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)args, (void)args_size;
    listener *me = self;
    file_settings *settings = tina_user(ctx);
    tina_address address = settings->address;
    char text[64];
    address.port = (uint16_t)settings->port;
    tina_status status = open_socket(me, &address, ctx);
    tina_address_format(&address, text, sizeof text);
    if (status != TINA_OK) {
        tina_log(ctx, TINA_LOG_ERROR, "cannot listen on %s: %s %s", text, tina_status_name(status),
                 strerror(tina_os_error(ctx)));
        return tina_crash(2);
    }
    settings->port = address.port;
    tina_log(ctx, TINA_LOG_INFO, "listening on %s", text);
    return accept_next(me, ctx);
}

/* A look at the counters tells of the ticks that are over. In a burst nothing would be seen of what was just given. */
static void look_around(listener *me, tina_ctx *ctx)
{
    if (me->looked_ns != 0 && tina_now(ctx) - me->looked_ns < LOOK_NS)
        return;
    me->looked_ns = tina_now(ctx);
    for (uint32_t i = 0; i < tina_shard_count(ctx); i++)
        me->loads[i] = load_of((uint8_t)i, ctx);
}

/* This one where all others are down. */
static uint8_t least_loaded(const listener *me, const tina_ctx *ctx)
{
    uint8_t least = 0;
    for (uint32_t i = 1; i < tina_shard_count(ctx); i++) {
        if (me->loads[i] < me->loads[least])
            least = (uint8_t)i;
    }
    return least;
}

/* Where a burst is too much for a channel, the next ones wait in the kernel until this one is given. */
static tina_effect give_away(listener *me, tina_fd fd, tina_ctx *ctx)
{
    look_around(me, ctx);
    uint8_t shard = least_loaded(me, ctx);
    switch (tina_fd_give(ctx, tina_named(shard, NAME_DESK), fd)) {
    case TINA_OK: me->loads[shard] += me->loads[shard] != TINA_NONE; return accept_next(me, ctx);
    case TINA_CHANNEL_FULL:
    case TINA_MAILBOX_FULL:
    case TINA_POOL_EXHAUSTED: me->waiting = fd; return pause_for(RETRY_NS, ctx);
    default: turn_away(fd, ctx); return accept_next(me, ctx);
    }
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

/* The accept that is under way may still bring somebody, who is closed with the listener. */
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
    case TINA_TAG_TIMER: return go_on(me, ctx);
    case TINA_TAG_FD: given_back(message, ctx); return tina_receive();
    case TINA_IO_SEND: turned_away(message, ctx); return tina_receive();
    case TINA_TAG_SHUTDOWN: return listener_finish(me, ctx);
    default: return tina_receive();
    }
}

/* ---- The system ---------------------------------------------------------------- */

/* As many as three for each connection: of these eighths three may hold what its peer does not take. */
static uint32_t buffers_for(uint32_t connections)
{
    uint32_t count = connections * 3 + 64;
    return count < BUFFERS_MAX ? count : BUFFERS_MAX;
}

static int run(file_settings *settings)
{
    const tina_type types[TYPE_COUNT] = {
        [TYPE_LISTENER] = {.name = "listener", .init = listener_init, .handler = listener_handle, .size = sizeof(listener)},
        [TYPE_DESK] = {.name = "desk", .init = desk_init, .handler = desk_handle, .size = 1, .mailbox_capacity = 1024},
        [TYPE_CONNECTION] = {.name = "connection",
                             .init = connection_init,
                             .handler = connection_handle,
                             .size = sizeof(connection),
                             .slot_count = settings->connections,
                             .mailbox_capacity = 1}, /* nobody writes to it */
    };
    const tina_child first[] = {{.type = TYPE_DESK, .name = NAME_DESK}, {.type = TYPE_LISTENER}};
    tina_shard_spec shards[TINA_SHARDS_MAX] = {{.root = {.children = first, .child_count = 2}}};
    for (uint32_t i = 1; i < settings->shards; i++)
        shards[i].root = (tina_group_spec){.children = first, .child_count = 1};
    tina_system_spec spec = {
        .types = types,
        .type_count = TYPE_COUNT,
        .shards = shards,
        .shard_count = settings->shards,
        .user = settings,
        .fd_count = 2 * settings->connections + SPARE_FDS, /* the socket and the file of each */
        .op_count = 2 * (settings->connections + SPARE_FDS),
        .buffer_count = buffers_for(settings->connections),
        .buffer_size = BUFFER_SIZE,
        .backend = (uint8_t)settings->backend,
        .signals = TINA_SIGNALS_ALL,
        .shutdown_timeout_ns = (settings->timeout + 10) * SECOND_NS, /* more than any connection takes to end */
        .quiet = settings->is_quiet,
        .log_sink = print_line,
    };
    end_after(settings->seconds);
    return run_system(&spec, settings->wants_stats);
}

int main(int argc, char **argv)
{
    static const char *const backends[] = {"auto", "uring", "epoll", NULL};
    static file_settings settings = {.shards = 2, .connections = 1024, .timeout = 10};
    const char *host = "127.0.0.1", *root = ".";
    const example_option options[] = {
        {"--root", "the folder that is served; the current one", .text = &root},
        {"--host", "the address to listen on: 127.0.0.1, or [::1] (brackets for IPv6)", .text = &host},
        {"--port", "0: any, which is printed", .number = &settings.port, .most = 65535},
        {"--shards", "threads; 2", .number = &settings.shards, .least = 1, .most = TINA_SHARDS_MAX},
        {"--connections", "at once, per shard; 1024", .number = &settings.connections, .least = 1, .most = 200000},
        {"--timeout", "seconds for a request, the next one, and to take a stretch of an answer; 10",
         .number = &settings.timeout, .least = 1, .most = 3600},
        {"--seconds", "how long to run; 0: until SIGTERM or SIGINT", .number = &settings.seconds, .most = 1000000000},
        {"--backend", "auto, uring or epoll", .number = &settings.backend, .choices = backends},
        {"--stats", "at the end, print what was used and where the messages went", .is_set = &settings.wants_stats},
        {"--quiet", "only what is needed or wrong", .is_set = &settings.is_quiet},
    };
    read_options(argc, argv, "static_files: serves the files of a folder over HTTP/1.1", options,
                 sizeof options / sizeof options[0]);
    char address[300];
    snprintf(address, sizeof address, "%s:0", host);
    if (tina_address_parse(address, &settings.address) != TINA_OK)
        wrong_option("--host", "takes a numeric address, such as 127.0.0.1 or [::1]");
    if (chdir(root) != 0) /* paths are looked for from here */
        wrong_option("--root", "takes a folder that may be entered");
    return run(&settings);
}
