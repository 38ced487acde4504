/* The table of the made network: for each shard the requests, completions and buffers that are its own. */
#include "sim/net_inside.h"

#include <errno.h>

/* ---- Memory ----------------------------------------------------------------------------- */

static size_t memory_size(const tina__backend_config *config)
{
    return sizeof(tina__backend) + config->op_count * sizeof(tina__net_news) + config->buffer_count * sizeof(uint32_t);
}

tina__backend *tina__net_attach(tina__net *net, uint32_t shard, const tina__backend_config *config)
{
    tina__assert(shard < net->config.shard_count);
    tina__assert(net->shards[shard].backend == NULL);
    tina__backend *self = config->memory;
    *self = (tina__backend){
        .net = net,
        .shard = shard,
        .buffers = config->buffers,
        .annexes = config->annexes,
        .buffer_size = config->buffer_size,
        .buffer_count = config->buffer_count,
        .op_count = config->op_count,
        .news = (tina__net_news *)(void *)(self + 1),
    };
    self->lent = (uint32_t *)(void *)(self->news + config->op_count);
    net->shards[shard].backend = self;
    return self;
}

static tina_status open_backend(const tina__backend_config *config, tina__backend **backend, int *os_error, const char **why)
{
    (void)config;
    *backend = NULL;
    *os_error = 0;
    *why = "a made network is attached, not opened";
    return TINA_UNSUPPORTED;
}

/* ---- Requests ------------------------------------------------------------------------------ */

static void refuse(tina__backend *backend, uint32_t index, const tina__net_half *half, tina_status status, int os_error)
{
    uint32_t which = tina__io_reads(half->kind) ? TINA__NET_READS : TINA__NET_WRITES;
    tina__net_request_finish(backend->net, index, which, status, os_error);
}

static bool is_struck_by_error(tina__backend *backend, uint32_t index, const tina__net_half *half)
{
    int error = tina__net_request_strike(backend->net, backend->shard);
    if (error != 0)
        refuse(backend, index, half, TINA_SYSTEM_ERROR, error);
    return error != 0;
}

static bool is_of_a_connection(uint8_t kind)
{
    return kind == TINA__IO_RECEIVE || kind == TINA__IO_SEND || kind == TINA__IO_SENDFILE;
}

static bool is_struck_by_reset(tina__backend *backend, uint32_t index, const tina__net_half *half)
{
    tina__net *net = backend->net;
    bool is_connected = tina__net_at(net, index)->state == TINA__SOCKET_CONNECTED;
    if (!is_connected || !is_of_a_connection(half->kind))
        return false;
    if (!tina__net_strikes(&net->shards[backend->shard].resets, net->faults->rates.connection_reset))
        return false;
    net->faults->counts.connection_reset++;
    tina__net_stream_break(net, index, backend->shard);
    return true;
}

static void start_datagram(tina__backend *backend, uint32_t index, const tina__net_half *half, const tina_address *address)
{
    tina__net *net = backend->net;
    switch ((tina__io_kind)half->kind) {
    case TINA__IO_CONNECT: tina__net_datagram_connect(net, index, address); break;
    case TINA__IO_RECEIVE_FROM: tina__net_datagram_serve(net, index); break;
    case TINA__IO_SEND_TO: tina__net_datagram_send(net, index, address); break;
    default: refuse(backend, index, half, TINA_UNSUPPORTED, EOPNOTSUPP); break;
    }
}

static void start_sendfile(tina__backend *backend, uint32_t index, const tina__net_half *half)
{
    int error = tina__disk_strike(backend->net->disk, backend->shard, false);
    if (error != 0)
        refuse(backend, index, half, TINA_SYSTEM_ERROR, error);
    else
        tina__net_stream_send(backend->net, index);
}

static void start_stream(tina__backend *backend, uint32_t index, const tina__net_half *half, const tina_address *address)
{
    tina__net *net = backend->net;
    switch ((tina__io_kind)half->kind) {
    case TINA__IO_ACCEPT:
        if (tina__net_at(net, index)->state != TINA__SOCKET_LISTENING)
            refuse(backend, index, half, TINA_SYSTEM_ERROR, EINVAL);
        else
            tina__net_listener_serve(net, index);
        break;
    case TINA__IO_CONNECT: tina__net_connect_begin(net, index, address); break;
    case TINA__IO_RECEIVE: tina__net_stream_receive(net, index); break;
    case TINA__IO_SEND: tina__net_stream_send(net, index); break;
    case TINA__IO_SENDFILE: start_sendfile(backend, index, half); break;
    default: refuse(backend, index, half, TINA_UNSUPPORTED, EOPNOTSUPP); break;
    }
}

/* What only sockets know is asked of a file, or the other way round. */
static bool is_misdirected(tina__backend *backend, uint32_t index, const tina__net_half *half)
{
    bool is_file = tina__net_at(backend->net, index)->state == TINA__SOCKET_FILE;
    if (is_file == tina__net_file_is_asked(half->kind))
        return false;
    refuse(backend, index, half, TINA_SYSTEM_ERROR, is_file ? ENOTSOCK : EINVAL);
    return true;
}

static void start(tina__backend *backend, uint32_t index, const tina__io_request *request)
{
    const tina_address *address = request->peer;
    const tina__net_half *half = tina__net_request_begin(backend, index, request);
    if (is_struck_by_error(backend, index, half) || is_struck_by_reset(backend, index, half))
        return;
    if (is_misdirected(backend, index, half))
        return;
    if (tina__net_file_is_asked(half->kind))
        tina__net_file_start(backend->net, index, !tina__io_reads(half->kind));
    else if (tina__net_is_datagram(tina__net_at(backend->net, index)))
        start_datagram(backend, index, half, address);
    else
        start_stream(backend, index, half, address);
}

/* There is no such socket. */
static void refuse_unknown(tina__backend *backend, uint64_t token)
{
    tina__net_news *news = tina__net_news_add(backend);
    news->completion = tina__net_completion(token, TINA_SYSTEM_ERROR, EBADF);
    news->starved = TINA__NONE;
}

static void submit(tina__backend *backend, tina__io_request *requests)
{
    while (requests != NULL) {
        const tina__io_request *request = requests;
        requests = request->next;
        if (!tina__io_has_fd(request->kind))
            tina__net_file_start_named(backend, request);
        else if (tina__net_slot_is_open(backend->net, request->os_fd))
            start(backend, (uint32_t)request->os_fd, request);
        else
            refuse_unknown(backend, request->token);
    }
}

/* It is to wait no more; its completion is the caller's. */
static void stop_waiting(tina__net *net, uint32_t index)
{
    const tina__net_socket *socket = tina__net_at(net, index);
    if (tina__net_is_datagram(socket))
        tina__net_datagram_withdraw(net, index);
    else if (socket->state == TINA__SOCKET_CONNECTING || socket->state == TINA__SOCKET_IN_LINE)
        tina__net_connect_withdraw(net, index);
}

static void cancel_half(tina__net *net, uint32_t index, uint32_t which)
{
    tina__net_socket *socket = tina__net_at(net, index);
    tina__net_half *half = &socket->halves[which];
    switch ((tina__net_half_state)half->state) {
    case TINA__HALF_WAITS:
        if (which == TINA__NET_WRITES)
            stop_waiting(net, index);
        tina__net_request_finish_now(net, index, which, TINA_CANCELLED, 0);
        break;
    case TINA__HALF_LATE: tina__net_request_tell(net, index, which); break;
    case TINA__HALF_STARVED: half->state = TINA__HALF_GIVEN_UP; break;
    case TINA__HALF_GIVEN_UP:
    case TINA__HALF_IDLE: break;
    }
}

/* Where it is under way, if it is; one with a path is where a place was free. */
static uint32_t find_place(const tina__net *net, const tina__io_request *request)
{
    if (tina__io_has_fd(request->kind))
        return tina__net_slot_is_open(net, request->os_fd) ? (uint32_t)request->os_fd : TINA__NONE;
    for (uint32_t index = 0; index < net->slots.fresh; index++) {
        if (net->sockets[index].halves[TINA__NET_WRITES].request == request)
            return index;
    }
    return TINA__NONE;
}

static void cancel(tina__backend *backend, tina__io_request *request)
{
    tina__net *net = backend->net;
    uint32_t index = find_place(net, request);
    if (index == TINA__NONE)
        return;
    for (uint32_t which = TINA__NET_READS; which <= TINA__NET_WRITES; which++) {
        if (tina__net_at(net, index)->halves[which].request == request)
            cancel_half(net, index, which);
    }
}

static void lend(tina__backend *backend, uint32_t buffer)
{
    tina__assert(buffer < backend->buffer_count);
    tina__assert(backend->lent_count + backend->taken_count < backend->buffer_count);
    backend->lent[backend->lent_count++] = buffer;
}

/* ---- Completions ------------------------------------------------------------------------------ */

static tina__net_news *news_at(const tina__backend *backend, uint32_t number)
{
    uint32_t at = backend->news_first + number;
    return &backend->news[at < backend->op_count ? at : at - backend->op_count];
}

static void feed(tina__net *net, uint32_t index, tina__io_completion *completion)
{
    const tina__net_socket *socket = tina__net_at(net, index);
    if (socket->state == TINA__SOCKET_FILE)
        tina__net_file_feed(net, index, completion);
    else if (tina__net_is_datagram(socket))
        tina__net_datagram_feed(net, index, completion);
    else
        tina__net_stream_feed(net, index, completion);
}

/* A receive that starved gets what there is by now. */
static void settle(tina__backend *backend, tina__net_news *news)
{
    tina__net *net = backend->net;
    uint32_t index = news->starved;
    tina__net_half *half = &tina__net_at(net, index)->halves[TINA__NET_READS];
    news->starved = TINA__NONE;
    if (half->state == TINA__HALF_STARVED && backend->lent_count != 0) {
        feed(net, index, &news->completion);
        return;
    }
    if (half->state == TINA__HALF_GIVEN_UP)
        news->completion.status = TINA_CANCELLED;
    *half = (tina__net_half){0};
}

static void forget_news(tina__backend *backend, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (news_at(backend, i)->completion.buffer != TINA__BUFFER_NONE)
            backend->taken_count--;
    }
    backend->news_count -= count;
    backend->news_first += count;
    if (backend->news_first >= backend->op_count)
        backend->news_first -= backend->op_count;
    if (backend->news_count == 0)
        backend->news_first = 0; /* what lies there is still in the cache */
}

/* Nothing is taken off before all of it is written: a fault on the way has collected nothing. */
static uint32_t collect(tina__backend *backend, tina__io_completion *completions, uint32_t max)
{
    uint32_t count = 0;
    for (; count < max && count < backend->news_count; count++) {
        tina__net_news *news = news_at(backend, count);
        if (news->starved != TINA__NONE)
            settle(backend, news);
        completions[count] = news->completion;
    }
    forget_news(backend, count);
    return count;
}

bool tina__net_has_news(const tina__backend *backend) { return backend->news_count != 0; }

/* In a world, which moves the time, nobody waits. */
static void flush(tina__backend *backend, uint64_t wait_ns)
{
    tina__net *net = backend->net;
    if (wait_ns == 0)
        return;
    uint64_t until_ns = tina__add_saturating(net->now_ns, wait_ns);
    while (backend->news_count == 0 && tina__net_next_ns(net) <= until_ns && tina__net_next_ns(net) != TINA_NONE_NS)
        tina__net_advance(net, tina__net_next_ns(net));
    if (backend->news_count == 0 && wait_ns != TINA_NONE_NS)
        tina__net_advance(net, until_ns);
}

static void wake(tina__backend *backend, int wake_fd)
{
    (void)backend; /* nobody sleeps */
    (void)wake_fd;
}

/* ---- Ending everything --------------------------------------------------------------------------- */

static void close_accepted(tina__backend *backend, int32_t os_fd)
{
    if (os_fd >= 0)
        tina__net_socket_close(backend->net, (uint32_t)os_fd, backend->shard);
}

static void abandon_half(tina__backend *backend, uint32_t index, uint32_t which)
{
    tina__net *net = backend->net;
    const tina__net_half *half = &tina__net_at(net, index)->halves[which];
    if (half->request == NULL || half->shard != backend->shard)
        return;
    if (which == TINA__NET_WRITES)
        stop_waiting(net, index);
    close_accepted(backend, tina__net_request_drop(net, index, which));
}

static bool abandon(tina__backend *backend)
{
    for (uint32_t index = 0; index < backend->net->slots.fresh; index++) {
        abandon_half(backend, index, TINA__NET_READS);
        abandon_half(backend, index, TINA__NET_WRITES);
    }
    for (uint32_t i = 0; i < backend->news_count; i++)
        close_accepted(backend, news_at(backend, i)->completion.os_fd);
    backend->request_count = 0;
    backend->news_first = 0;
    backend->news_count = 0;
    backend->lent_count = 0;
    backend->taken_count = 0;
    return true;
}

static void close_backend(tina__backend *backend)
{
    (void)abandon(backend);
    backend->net->shards[backend->shard].backend = NULL;
}

static void close_fd(tina__backend *backend, int os_fd, uint32_t slot)
{
    (void)slot;
    if (tina__net_slot_is_open(backend->net, os_fd) || tina__net_slot_is_moving(backend->net, os_fd))
        tina__net_socket_close(backend->net, (uint32_t)os_fd, backend->shard);
}

static tina_status adopt(tina__backend *backend, int os_fd, uint8_t *fd_class, int *os_error)
{
    (void)backend;
    (void)os_fd;
    (void)fd_class;
    *os_error = 0;
    return TINA_UNSUPPORTED; /* the world outside is not made */
}

static void let_go(tina__backend *backend, int os_fd, uint32_t slot)
{
    (void)slot;
    tina__assert(tina__net_is_open(backend->net, os_fd, backend->shard));
    tina__net_slot_move(backend->net, (uint32_t)os_fd, TINA__NET_MOVING);
}

static void take_over(tina__backend *backend, int os_fd)
{
    tina__assert(tina__net_slot_is_moving(backend->net, os_fd));
    tina__net_slot_move(backend->net, (uint32_t)os_fd, backend->shard);
}

const tina__backend_api tina__net_backend = {
    .name = "simulation",
    .id = TINA_BACKEND_SIM,
    .memory_size = memory_size,
    .open = open_backend,
    .abandon = abandon,
    .close = close_backend,
    .submit = submit,
    .cancel = cancel,
    .lend = lend,
    .flush = flush,
    .collect = collect,
    .wake = wake,
    .socket_open = tina__net_socket_open,
    .socket_bind = tina__net_socket_bind,
    .socket_listen = tina__net_socket_listen,
    .socket_local = tina__net_socket_local,
    .socket_peer = tina__net_socket_peer,
    .socket_set = tina__net_socket_set,
    .socket_get = tina__net_socket_get,
    .socket_shutdown = tina__net_socket_shutdown,
    .adopt = adopt,
    .close_fd = close_fd,
    .let_go = let_go,
    .take_over = take_over,
};
