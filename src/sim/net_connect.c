/*
 * From listening to an accepted connection. A connection stands from the moment
 * when it lies in its listener's backlog: the client may send before anybody has
 * accepted it. Where the backlog is full, clients wait in line, as they do where a
 * kernel ignores them until there is room; when the listener ends, they find
 * another that listens there, or are refused.
 */
#include "sim/net_inside.h"

#include <errno.h>
#include <string.h>

static void finish_connect(tina__net *net, uint32_t index, tina_status status, int os_error)
{
    tina__net_request_finish_now(net, index, TINA__NET_WRITES, status, os_error);
}

/* ---- Where from ---------------------------------------------------------------------- */

bool tina__net_connect_bind(tina__net *net, uint32_t index)
{
    tina__net_socket *socket = tina__net_at(net, index);
    if (socket->has_port || tina__net_is_unix(socket))
        return true;
    socket->local = tina__net_endpoint_any(socket->family, socket->options[TINA_OPT_V6ONLY] != 0);
    socket->local.port = tina__net_port_choose(net, socket);
    if (socket->local.port == 0)
        return false;
    tina__net_port_hold(net, index);
    return true;
}

/* ---- On the way ------------------------------------------------------------------------ */

static tina_status refusal(const tina__net_socket *socket, const tina_address *address, int *os_error)
{
    bool is_listening_unix = tina__net_is_unix(socket) && socket->state == TINA__SOCKET_LISTENING;
    *os_error = 0;
    if (!tina__net_is_address(address))
        return TINA_INVALID;
    if (address->family != socket->family && socket->family == TINA_IPV4) {
        *os_error = EAFNOSUPPORT;
        return TINA_UNSUPPORTED;
    }
    if (is_listening_unix || (address->family == TINA_UNIX && address->length == 0))
        *os_error = EINVAL;
    else if (socket->state != TINA__SOCKET_OPEN)
        *os_error = EISCONN;
    else if (address->family != socket->family)
        *os_error = EINVAL;
    return *os_error == 0 ? TINA_OK : TINA_SYSTEM_ERROR;
}

void tina__net_connect_begin(tina__net *net, uint32_t index, const tina_address *address)
{
    tina__net_socket *socket = tina__net_at(net, index);
    int os_error;
    tina_status status = refusal(socket, address, &os_error);
    if (status != TINA_OK) {
        finish_connect(net, index, status, os_error);
        return;
    }
    if (tina__net_is_unix(socket))
        socket->unix_end.peer_name = tina__net_name_of(address);
    else
        socket->remote = tina__net_endpoint_target(address);
    if (tina__net_endpoint_is_out_of_reach(socket, &socket->remote)) {
        finish_connect(net, index, TINA_NOT_FOUND, ENETUNREACH);
        return;
    }
    bool had_port = socket->has_port;
    if (!tina__net_connect_bind(net, index)) {
        finish_connect(net, index, TINA_NOT_FOUND, EADDRNOTAVAIL);
        return;
    }
    socket->is_port_ours = socket->has_port && !had_port;
    socket->state = TINA__SOCKET_CONNECTING;
    uint64_t delay_ns = tina__net_delay(net, socket->halves[TINA__NET_WRITES].shard);
    if (delay_ns == 0)
        tina__net_connect_arrive(net, index);
    else
        tina__due_set(&net->due, tina__net_thing_of(index, TINA__DUE_WRITER), tina__add_saturating(net->now_ns, delay_ns));
}

void tina__net_connect_withdraw(tina__net *net, uint32_t index)
{
    tina__net_socket *socket = tina__net_at(net, index);
    tina__due_clear(&net->due, tina__net_thing_of(index, TINA__DUE_WRITER));
    if (socket->state == TINA__SOCKET_IN_LINE)
        tina__net_list_remove(net, &tina__net_at(net, socket->listener)->line, index);
    if (socket->is_port_ours) {
        tina__net_port_release(net, index);
        socket->local = tina__net_endpoint_any(socket->family, socket->options[TINA_OPT_V6ONLY] != 0);
    }
    socket->is_port_ours = false;
    socket->state = TINA__SOCKET_OPEN;
}

static void refuse(tina__net *net, uint32_t index, tina__net_outcome why)
{
    tina__net_connect_withdraw(net, index);
    finish_connect(net, index, why.status, why.os_error);
    tina__net_stream_serve(net, index); /* a receive may wait for what will not be */
}

/* ---- There ------------------------------------------------------------------------------- */

/* Linux lets one more wait than it was asked for. */
static bool has_room(const tina__net_socket *listener) { return listener->backlog.count <= listener->backlog_max; }

/* Where each end is, as the other sees it. */
static void place_ends(tina__net *net, tina__net_socket *client, uint32_t index, const tina__net_socket *listener)
{
    tina__net_socket *end = tina__net_at(net, index);
    if (tina__net_is_unix(client)) {
        client->unix_end.peer_name = listener->unix_end.name;
        end->unix_end.name = listener->unix_end.name;
        end->unix_end.peer_name = client->unix_end.name;
        return;
    }
    client->local = tina__net_endpoint_source(&client->local, &client->remote);
    end->local = client->remote;
    end->remote = client->local;
    end->is_port_ours = true;
    tina__net_port_hold(net, index);
}

/* The client is in no line. */
static void establish(tina__net *net, uint32_t index, uint32_t listener)
{
    tina__net_socket *client = tina__net_at(net, index);
    const tina__net_socket *parent = tina__net_at(net, listener);
    uint32_t end = tina__net_slot_take(net, TINA__NET_NOBODY, parent->family, TINA_STREAM);
    if (end == TINA__NONE) { /* the table is full */
        refuse(net, index, (tina__net_outcome){TINA_REFUSED, ECONNREFUSED});
        return;
    }
    tina__net_socket *other = tina__net_at(net, end);
    memcpy(other->options, parent->options, sizeof other->options);
    place_ends(net, client, end, parent);
    other->state = TINA__SOCKET_CONNECTED;
    other->peer = index;
    client->peer = end;
    client->state = TINA__SOCKET_CONNECTED;
    tina__net_list_push(net, &tina__net_at(net, listener)->backlog, listener, end);
    finish_connect(net, index, TINA_OK, 0);
}

/* NONE, and why. */
static uint32_t find_listener(tina__net *net, const tina__net_socket *client, tina__net_outcome *why)
{
    *why = (tina__net_outcome){TINA_REFUSED, ECONNREFUSED};
    if (!tina__net_is_unix(client))
        return tina__net_port_listener(net, &client->remote);
    uint32_t found = tina__net_name_find(net, &client->unix_end.peer_name, TINA_STREAM, why);
    bool listens = found != TINA__NONE && tina__net_at(net, found)->state == TINA__SOCKET_LISTENING;
    return listens ? found : TINA__NONE;
}

void tina__net_connect_arrive(tina__net *net, uint32_t index)
{
    tina__net_socket *client = tina__net_at(net, index);
    tina__assert(client->state == TINA__SOCKET_CONNECTING);
    tina__net_outcome why;
    uint32_t listener = find_listener(net, client, &why);
    if (listener == TINA__NONE) {
        refuse(net, index, why);
        return;
    }
    client->state = TINA__SOCKET_IN_LINE;
    tina__net_list_push(net, &tina__net_at(net, listener)->line, listener, index);
    tina__net_listener_serve(net, listener);
}

/* ---- Accepting ------------------------------------------------------------------------------ */

static bool accept_one(tina__net *net, uint32_t index)
{
    tina__net_socket *listener = tina__net_at(net, index);
    const tina__net_half *half = &listener->halves[TINA__NET_READS];
    if (half->state != TINA__HALF_WAITS || half->kind != TINA__IO_ACCEPT || listener->backlog.count == 0)
        return false;
    uint32_t end = listener->backlog.first;
    if (!tina__net_slot_accept(net, end, half->shard)) {
        tina__net_request_finish(net, index, TINA__NET_READS, TINA_POOL_EXHAUSTED, EMFILE);
        return true;
    }
    tina__net_list_remove(net, &listener->backlog, end);
    tina__net_request_finish(net, index, TINA__NET_READS, TINA_OK, 0)->os_fd = (int32_t)end;
    return true;
}

static bool admit_one(tina__net *net, uint32_t index)
{
    tina__net_socket *listener = tina__net_at(net, index);
    if (listener->line.count == 0 || !has_room(listener))
        return false;
    uint32_t client = listener->line.first;
    tina__net_list_remove(net, &listener->line, client);
    tina__net_at(net, client)->state = TINA__SOCKET_CONNECTING;
    establish(net, client, index);
    return true;
}

void tina__net_listener_serve(tina__net *net, uint32_t index)
{
    bool has_moved;
    do {
        has_moved = accept_one(net, index);
        has_moved |= admit_one(net, index);
    } while (has_moved);
}

void tina__net_listener_end(tina__net *net, uint32_t index, uint32_t by_shard)
{
    tina__net_socket *listener = tina__net_at(net, index);
    listener->state = TINA__SOCKET_OPEN;
    if (listener->has_port)
        tina__net_port_hold(net, index); /* behind those who listen */
    while (listener->backlog.count != 0) {
        uint32_t end = listener->backlog.first;
        tina__net_list_remove(net, &listener->backlog, end);
        tina__net_stream_close(net, end, true, by_shard);
        tina__net_slot_give(net, end);
    }
    while (listener->line.count != 0) {
        uint32_t client = listener->line.first;
        tina__net_list_remove(net, &listener->line, client);
        tina__net_at(net, client)->state = TINA__SOCKET_CONNECTING;
        tina__net_connect_arrive(net, client);
    }
}
