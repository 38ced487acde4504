/*
 * Sends and receives of datagrams. Over Unix sockets they are neither lost nor in
 * another order than they were sent; where there is no room, senders wait in line.
 * Over IP nobody waits: see net_flight.
 */
#include "sim/net_inside.h"

#include <errno.h>

static void finish(tina__net *net, uint32_t index, uint32_t half, tina__net_outcome what)
{
    tina__net_request_finish(net, index, half, what.status, what.os_error);
}

static tina__net_outcome failed(tina_status status, int os_error) { return (tina__net_outcome){status, os_error}; }

static const tina__net_outcome all_is_well = {TINA_OK, 0};

/* ---- Receiving ---------------------------------------------------------------------- */

/* Into the buffer that was lent last. */
static void take(tina__net *net, uint32_t index, const tina__net_half *half, tina__io_completion *completion)
{
    tina__backend *backend = net->shards[half->shard].backend;
    uint32_t space = half->size;
    uint32_t buffer = backend->lent[backend->lent_count - 1];
    void *annex = backend->annexes + (size_t)buffer * TINA__ANNEX_SIZE;
    uint32_t whole =
        tina__net_queue_take(net, index, backend->buffers + (size_t)buffer * backend->buffer_size, space, annex);
    backend->lent_count--;
    backend->taken_count++;
    completion->buffer = buffer;
    completion->size = tina__min_u32(whole, space);
    completion->is_truncated = whole > space;
}

/* What a receive comes to that gets no datagram. False: it waits. */
static bool receive_nothing(tina__net_socket *socket, tina__net_outcome *what)
{
    if (socket->error != 0)
        *what = failed(TINA_REFUSED, socket->error);
    else if (socket->queue.arrived == 0 && socket->is_read_shut)
        *what = failed(TINA_CLOSED, 0);
    else
        return false;
    socket->error = 0;
    return true;
}

static void receive(tina__net *net, uint32_t index, const tina__net_half *half)
{
    if (net->shards[half->shard].backend->lent_count == 0) {
        tina__net_request_starve(net, index);
        return;
    }
    tina__io_completion taken;
    take(net, index, half, &taken);
    tina__io_completion *completion = tina__net_request_finish(net, index, TINA__NET_READS, TINA_OK, 0);
    completion->buffer = taken.buffer;
    completion->size = taken.size;
    completion->is_truncated = taken.is_truncated;
}

static void serve_reader(tina__net *net, uint32_t index)
{
    tina__net_socket *socket = tina__net_at(net, index);
    const tina__net_half *half = &socket->halves[TINA__NET_READS];
    tina__net_outcome what;
    if (half->state != TINA__HALF_WAITS)
        return;
    if (receive_nothing(socket, &what))
        finish(net, index, TINA__NET_READS, what);
    else if (socket->queue.arrived != 0)
        receive(net, index, half);
}

void tina__net_datagram_feed(tina__net *net, uint32_t index, tina__io_completion *completion)
{
    tina__net_socket *socket = tina__net_at(net, index);
    tina__net_half *half = &socket->halves[TINA__NET_READS];
    tina__net_outcome what = all_is_well;
    if (!receive_nothing(socket, &what))
        take(net, index, half, completion);
    completion->status = (uint16_t)what.status;
    completion->os_error = what.os_error;
    *half = (tina__net_half){0};
    tina__net_datagram_serve(net, index);
}

void tina__net_datagram_refuse(tina__net *net, uint32_t index)
{
    tina__net_at(net, index)->error = ECONNREFUSED;
    serve_reader(net, index);
}

/* ---- Over IP ------------------------------------------------------------------------- */

static void finish_send(tina__net *net, uint32_t index)
{
    uint32_t size = tina__net_at(net, index)->halves[TINA__NET_WRITES].size;
    tina__net_request_finish(net, index, TINA__NET_WRITES, TINA_OK, 0)->size = size;
}

static void send_over_ip(tina__net *net, uint32_t index, const tina_address *to)
{
    uint32_t receiver;
    tina__net_outcome what = tina__net_flight_start(net, index, to, &receiver);
    if (what.status != TINA_OK) {
        finish(net, index, TINA__NET_WRITES, what);
        return;
    }
    finish_send(net, index);
    serve_reader(net, receiver == TINA__NONE ? index : receiver); /* it may know already that nobody was there */
}

/* ---- Over Unix sockets ------------------------------------------------------------------ */

/* Whom that name, or the connection, leads to. NONE, and why. */
static uint32_t find_target(tina__net *net, tina__net_socket *socket, const tina_address *to, tina__net_outcome *why)
{
    if (to != NULL) {
        tina__net_name name = tina__net_name_of(to);
        return tina__net_name_find(net, &name, TINA_DATAGRAM, why);
    }
    if (socket->state != TINA__SOCKET_CONNECTED) {
        *why = failed(TINA_SYSTEM_ERROR, ENOTCONN);
        return TINA__NONE;
    }
    uint32_t found = tina__net_ref_get(net, socket->unix_end.target);
    if (found == TINA__NONE) {
        *why = failed(TINA_REFUSED, ECONNREFUSED);
        socket->state = TINA__SOCKET_OPEN;
    }
    return found;
}

/* One that is connected takes only what comes from there. */
static bool may_send(const tina__net *net, uint32_t from, const tina__net_socket *to)
{
    return to->state != TINA__SOCKET_CONNECTED || tina__net_ref_get(net, to->unix_end.target) == from;
}

static tina__net_outcome refusal_of_address(const tina_address *to)
{
    if (!tina__net_is_address(to))
        return failed(TINA_INVALID, 0);
    if (to->family != TINA_UNIX || to->length == 0)
        return failed(TINA_SYSTEM_ERROR, EINVAL);
    return all_is_well;
}

static uint32_t find_receiver(tina__net *net, uint32_t index, const tina_address *to, tina__net_outcome *why)
{
    *why = to == NULL ? all_is_well : refusal_of_address(to);
    if (why->status != TINA_OK)
        return TINA__NONE;
    uint32_t found = find_target(net, tina__net_at(net, index), to, why);
    if (found == TINA__NONE)
        return TINA__NONE;
    const tina__net_socket *receiver = tina__net_at(net, found);
    if (!may_send(net, index, receiver))
        *why = failed(TINA_DENIED, EPERM);
    else if (receiver->is_read_shut)
        *why = failed(TINA_RESET, EPIPE);
    return why->status == TINA_OK ? found : TINA__NONE;
}

/* There is room. Nothing overtakes what was sent before it. */
static void deliver(tina__net *net, uint32_t index, uint32_t to)
{
    const tina__net_socket *sender = tina__net_at(net, index);
    const tina__net_half *half = &sender->halves[TINA__NET_WRITES];
    uint64_t due_ns = tina__add_saturating(net->now_ns, tina__net_delay(net, half->shard));
    tina_address from;
    tina__net_local_write(sender, &from);
    tina__net_queue_put(net, to, half->data, half->size, &from, tina__max_u64(due_ns, tina__net_queue_last_ns(net, to)));
    net->sent += half->size;
    net->datagrams.sent++;
}

/* Behind those who wait there already. */
static void stand_in_line(tina__net *net, uint32_t index, uint32_t receiver)
{
    if (tina__net_at(net, index)->halves[TINA__NET_WRITES].no_wait)
        finish(net, index, TINA__NET_WRITES, failed(TINA_BUSY, 0));
    else
        tina__net_list_push(net, &tina__net_at(net, receiver)->line, receiver, index);
}

static void send_over_unix(tina__net *net, uint32_t index, const tina_address *to)
{
    uint32_t size = tina__net_at(net, index)->halves[TINA__NET_WRITES].size;
    tina__net_outcome why;
    uint32_t receiver = find_receiver(net, index, to, &why);
    if (receiver == TINA__NONE) {
        finish(net, index, TINA__NET_WRITES, why);
    } else if (size > net->config.window_size) {
        finish(net, index, TINA__NET_WRITES, failed(TINA_SYSTEM_ERROR, EMSGSIZE));
    } else if (tina__net_at(net, receiver)->line.count != 0 || !tina__net_queue_has_room(net, receiver, size)) {
        stand_in_line(net, index, receiver);
    } else {
        deliver(net, index, receiver);
        finish_send(net, index);
        serve_reader(net, receiver);
    }
}

static void serve_line(tina__net *net, uint32_t index)
{
    tina__net_list *line = &tina__net_at(net, index)->line;
    while (line->count != 0) {
        uint32_t sender = line->first;
        if (!tina__net_queue_has_room(net, index, tina__net_at(net, sender)->halves[TINA__NET_WRITES].size))
            return;
        deliver(net, sender, index);
        tina__net_list_remove(net, line, sender);
        finish_send(net, sender);
    }
}

/* Whoever stood behind it may fit. */
void tina__net_datagram_withdraw(tina__net *net, uint32_t index)
{
    uint32_t receiver = tina__net_at(net, index)->listener;
    if (receiver == TINA__NONE)
        return;
    tina__net_list_remove(net, &tina__net_at(net, receiver)->line, index);
    tina__net_datagram_serve(net, receiver);
}

void tina__net_datagram_end_line(tina__net *net, uint32_t index, tina_status status, int os_error)
{
    tina__net_list *line = &tina__net_at(net, index)->line;
    while (line->count != 0) {
        uint32_t sender = line->first;
        tina__net_list_remove(net, line, sender);
        finish(net, sender, TINA__NET_WRITES, failed(status, os_error));
    }
}

/* ---- All of them ------------------------------------------------------------------------ */

void tina__net_datagram_send(tina__net *net, uint32_t index, const tina_address *address)
{
    tina__net_socket *socket = tina__net_at(net, index);
    int error = socket->error;
    socket->error = 0;
    if (error != 0)
        finish(net, index, TINA__NET_WRITES, failed(TINA_REFUSED, error));
    else if (socket->is_write_shut)
        finish(net, index, TINA__NET_WRITES, failed(TINA_RESET, EPIPE));
    else if (tina__net_is_unix(socket))
        send_over_unix(net, index, address);
    else
        send_over_ip(net, index, address);
}

/* A sender that there is room for now makes no room: so twice is enough. */
void tina__net_datagram_serve(tina__net *net, uint32_t index)
{
    serve_reader(net, index);
    serve_line(net, index);
    serve_reader(net, index);
}

static tina__net_outcome connect_over_unix(tina__net *net, uint32_t index, const tina_address *to)
{
    tina__net_socket *socket = tina__net_at(net, index);
    tina__net_outcome why;
    uint32_t found = find_receiver(net, index, to, &why);
    if (found == TINA__NONE)
        return why;
    socket->unix_end.target = tina__net_ref_to(net, found);
    socket->unix_end.peer_name = tina__net_at(net, found)->unix_end.name;
    socket->state = TINA__SOCKET_CONNECTED;
    return all_is_well;
}

void tina__net_datagram_connect(tina__net *net, uint32_t index, const tina_address *address)
{
    bool is_unix = tina__net_is_unix(tina__net_at(net, index));
    finish(net, index, TINA__NET_WRITES,
           is_unix ? connect_over_unix(net, index, address) : tina__net_flight_connect(net, index, address));
}

void tina__net_datagram_close(tina__net *net, uint32_t index)
{
    tina__net_queue_lose(net, index);
    tina__net_datagram_end_line(net, index, TINA_REFUSED, ECONNREFUSED);
}
