#include "sim/net_inside.h"

#include <errno.h>

static void finish(tina__net *net, uint32_t index, uint32_t half, tina__net_outcome what)
{
    tina__net_request_finish(net, index, half, what.status, what.os_error);
}

/* What a reset left behind is told once. */
static int take_error(tina__net_socket *socket)
{
    int error = socket->error;
    socket->error = 0;
    return error;
}

/* ---- Receiving ---------------------------------------------------------------------- */

typedef struct filling {
    uint32_t buffer, size;
} filling;

/* Into the buffer that was lent last. */
static filling take(tina__net *net, uint32_t index, const tina__net_half *half)
{
    tina__backend *backend = net->shards[half->shard].backend;
    uint32_t size = tina__min_u32(half->size, tina__net_at(net, index)->arrived);
    size = tina__net_shorten(net, half->shard, size);
    uint32_t buffer = backend->lent[backend->lent_count - 1];
    tina__net_pipe_take(net, index, backend->buffers + (size_t)buffer * backend->buffer_size, size);
    backend->lent_count--;
    backend->taken_count++;
    return (filling){buffer, size};
}

static void tell_filling(tina__io_completion *completion, filling what)
{
    completion->buffer = what.buffer;
    completion->size = what.size;
}

static void receive(tina__net *net, uint32_t index, const tina__net_half *half)
{
    if (net->shards[half->shard].backend->lent_count == 0) {
        tina__net_request_starve(net, index);
        return;
    }
    filling what = take(net, index, half);
    tell_filling(tina__net_request_finish(net, index, TINA__NET_READS, TINA_OK, 0), what);
}

/* What a receive comes to where nothing has arrived. False: it waits. */
static bool receive_nothing(tina__net_socket *socket, tina__net_outcome *what)
{
    bool may_come = socket->state != TINA__SOCKET_OPEN && socket->state != TINA__SOCKET_LISTENING;
    if (!socket->has_ended && socket->error != 0)
        *what = (tina__net_outcome){TINA_RESET, take_error(socket)};
    else if (socket->has_ended || socket->is_read_shut)
        *what = (tina__net_outcome){TINA_CLOSED, 0};
    else if (!may_come)
        *what = (tina__net_outcome){TINA_SYSTEM_ERROR, ENOTCONN};
    else
        return false;
    return true;
}

/* Whether it is over. */
static bool serve_reader(tina__net *net, uint32_t index)
{
    tina__net_socket *socket = tina__net_at(net, index);
    const tina__net_half *half = &socket->halves[TINA__NET_READS];
    tina__net_outcome what;
    if (half->state != TINA__HALF_WAITS || half->kind != TINA__IO_RECEIVE)
        return false;
    if (socket->arrived != 0)
        receive(net, index, half);
    else if (receive_nothing(socket, &what))
        finish(net, index, TINA__NET_READS, what);
    else
        return false;
    return true;
}

/* ---- Resets ------------------------------------------------------------------------- */

/*
 * A reset has come. What has arrived can still be read, as Linux has it; after an
 * end, a reset is only seen by those who send.
 */
static void suffer_reset(tina__net *net, uint32_t index)
{
    tina__net_socket *socket = tina__net_at(net, index);
    tina__assert(socket->state == TINA__SOCKET_CONNECTED);
    tina__assert(socket->peer == TINA__NONE);
    tina__net_pipe_arrive(net, index);
    tina__net_pipe_lose_coming(net, index);
    tina__due_clear(&net->due, tina__net_thing_of(index, TINA__DUE_RESET));
    socket->state = TINA__SOCKET_BROKEN;
    socket->error = socket->has_ended ? EPIPE : ECONNRESET;
    socket->is_read_shut = true;
    socket->is_write_shut = true;
    if (socket->is_port_ours)
        tina__net_port_release(net, index);
}

/* By that shard's doing; not before that time. */
static void send_reset(tina__net *net, uint32_t to, uint32_t by_shard, uint64_t after_ns)
{
    uint32_t thing = tina__net_thing_of(to, TINA__DUE_RESET);
    if (tina__net_at(net, to)->state != TINA__SOCKET_CONNECTED || tina__due_is_set(&net->due, thing))
        return;
    uint64_t due_ns = tina__max_u64(tina__add_saturating(net->now_ns, tina__net_delay(net, by_shard)), after_ns);
    if (due_ns <= net->now_ns)
        suffer_reset(net, to);
    else
        tina__due_set(&net->due, thing, due_ns);
}

/* Behind all that was sent before it. */
static void send_reset_in_order(tina__net *net, uint32_t to, uint32_t by_shard)
{
    send_reset(net, to, by_shard, tina__net_pipe_last_ns(net, to));
}

/* ---- Sending ------------------------------------------------------------------------ */

/* Bytes of its own, or of a file. */
static void put(tina__net *net, uint32_t to, const tina__net_half *half, uint32_t size)
{
    uint64_t delay_ns = tina__net_delay(net, half->shard);
    if (half->kind == TINA__IO_SENDFILE)
        tina__net_file_put(net, to, half, size, delay_ns);
    else
        tina__net_pipe_put(net, to, half->data, size, delay_ns);
}

/* To a peer that is there. False: it waits for room. */
static bool send_some(tina__net *net, uint32_t index, uint32_t peer, const tina__net_half *half, uint32_t offered)
{
    uint32_t room = tina__net_pipe_room(net, tina__net_at(net, peer));
    if (room == 0) {
        if (half->no_wait)
            finish(net, index, TINA__NET_WRITES, (tina__net_outcome){TINA_BUSY, 0});
        return half->no_wait;
    }
    uint32_t size = tina__net_shorten(net, half->shard, tina__min_u32(offered, room));
    put(net, peer, half, size);
    tina__net_request_finish(net, index, TINA__NET_WRITES, TINA_OK, 0)->size = size;
    return true;
}

/* A peer that has closed: its host takes the bytes, throws them away, and says so. */
static void send_in_vain(tina__net *net, uint32_t index, const tina__net_half *half, uint32_t size)
{
    net->sent += size;
    net->lost += size;
    tina__net_request_finish(net, index, TINA__NET_WRITES, TINA_OK, 0)->size = size;
    send_reset_in_order(net, index, half->shard);
}

/* There is nobody who reads, and between sockets of one host that is known at once. */
static bool is_in_vain(const tina__net *net, const tina__net_socket *socket)
{
    bool is_unix = tina__net_is_unix(socket) && socket->state != TINA__SOCKET_OPEN;
    return is_unix && (socket->peer == TINA__NONE || tina__net_at(net, socket->peer)->is_read_shut);
}

/* What there is to send goes on. Of a file it may be nothing. Whether it is over. */
static bool send_on(tina__net *net, uint32_t index, const tina__net_half *half)
{
    uint32_t peer = tina__net_at(net, index)->peer;
    uint32_t offered = half->size;
    int error = 0;
    if (half->kind == TINA__IO_SENDFILE)
        offered = tina__net_file_left(net, half, &error);
    if (offered == 0)
        finish(net, index, TINA__NET_WRITES, (tina__net_outcome){error == 0 ? TINA_OK : TINA_SYSTEM_ERROR, error});
    else if (peer == TINA__NONE)
        send_in_vain(net, index, half, offered);
    else
        return send_some(net, index, peer, half, offered);
    return true;
}

static bool is_sending(const tina__net_half *half)
{
    return half->state == TINA__HALF_WAITS && (half->kind == TINA__IO_SEND || half->kind == TINA__IO_SENDFILE);
}

/* Whether it is over. */
static bool serve_writer(tina__net *net, uint32_t index)
{
    tina__net_socket *socket = tina__net_at(net, index);
    const tina__net_half *half = &socket->halves[TINA__NET_WRITES];
    if (!is_sending(half))
        return false;
    if (is_in_vain(net, socket))
        finish(net, index, TINA__NET_WRITES, (tina__net_outcome){TINA_RESET, EPIPE});
    else if (socket->error != 0)
        finish(net, index, TINA__NET_WRITES, (tina__net_outcome){TINA_RESET, take_error(socket)});
    else if (tina__net_is_unix(socket) && socket->state == TINA__SOCKET_OPEN)
        finish(net, index, TINA__NET_WRITES, (tina__net_outcome){TINA_SYSTEM_ERROR, ENOTCONN});
    else if (socket->is_write_shut || socket->state != TINA__SOCKET_CONNECTED)
        finish(net, index, TINA__NET_WRITES, (tina__net_outcome){TINA_RESET, EPIPE});
    else
        return send_on(net, index, half);
    return true;
}

/* ---- Both ----------------------------------------------------------------------------- */

void tina__net_stream_receive(tina__net *net, uint32_t index)
{
    uint32_t peer = tina__net_at(net, index)->peer;
    if (serve_reader(net, index) && peer != TINA__NONE)
        serve_writer(net, peer);
}

void tina__net_stream_send(tina__net *net, uint32_t index)
{
    uint32_t peer = tina__net_at(net, index)->peer;
    if (serve_writer(net, index) && peer != TINA__NONE)
        serve_reader(net, peer);
}

/* Each can be over once, and who is not waits for one of the others: so this ends. */
void tina__net_stream_serve(tina__net *net, uint32_t index)
{
    bool has_moved;
    do {
        has_moved = serve_reader(net, index);
        has_moved |= serve_writer(net, index);
        uint32_t peer = tina__net_at(net, index)->peer;
        if (peer == TINA__NONE)
            continue;
        has_moved |= serve_reader(net, peer);
        has_moved |= serve_writer(net, peer);
    } while (has_moved);
}

void tina__net_stream_feed(tina__net *net, uint32_t index, tina__io_completion *completion)
{
    tina__net_socket *socket = tina__net_at(net, index);
    tina__net_half *half = &socket->halves[TINA__NET_READS];
    tina__net_outcome what = {TINA_OK, 0};
    if (socket->arrived != 0) {
        tell_filling(completion, take(net, index, half));
    } else {
        bool is_over = receive_nothing(socket, &what);
        tina__assert(is_over); /* what had arrived goes only when the connection breaks */
    }
    completion->status = (uint16_t)what.status;
    completion->os_error = what.os_error;
    *half = (tina__net_half){0};
    tina__net_stream_serve(net, index);
}

/* ---- Ends ------------------------------------------------------------------------------- */

void tina__net_stream_end(tina__net *net, uint32_t index, uint32_t by_shard)
{
    tina__net_pipe_end(net, index, tina__net_delay(net, by_shard));
    tina__net_stream_serve(net, index);
}

void tina__net_stream_reset(tina__net *net, uint32_t index)
{
    suffer_reset(net, index);
    tina__net_stream_serve(net, index);
}

/* Each end is on its own. */
static uint32_t part(tina__net *net, uint32_t index)
{
    tina__net_socket *socket = tina__net_at(net, index);
    uint32_t peer = socket->peer;
    socket->peer = TINA__NONE;
    if (peer != TINA__NONE)
        tina__net_at(net, peer)->peer = TINA__NONE;
    return peer;
}

void tina__net_stream_break(tina__net *net, uint32_t index, uint32_t by_shard)
{
    uint32_t peer = part(net, index);
    tina__net_pipe_lose(net, index);
    tina__net_at(net, index)->has_ended = false;
    suffer_reset(net, index);
    tina__net_stream_serve(net, index);
    if (peer == TINA__NONE)
        return;
    send_reset(net, peer, by_shard, 0);
    tina__net_stream_serve(net, peer);
}

void tina__net_stream_close(tina__net *net, uint32_t index, bool is_rude, uint32_t by_shard)
{
    const tina__net_socket *socket = tina__net_at(net, index);
    bool has_unread = socket->arrived + socket->coming != 0;
    uint32_t peer = part(net, index);
    tina__net_pipe_lose(net, index);
    if (peer == TINA__NONE)
        return;
    if (is_rude || has_unread)
        send_reset_in_order(net, peer, by_shard);
    else if (!socket->is_write_shut)
        tina__net_pipe_end(net, peer, tina__net_delay(net, by_shard));
    tina__net_stream_serve(net, peer);
}
