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
    if (socket->has_port)
        return true;
    socket->local = tina__net_endpoint_any(socket->family, socket->options[TINA_OPT_V6ONLY] != 0);
    socket->local.port = tina__net_port_choose(net);
    if (socket->local.port == 0)
        return false;
    tina__net_port_hold(net, index);
    return true;
}

static bool is_loopback_ipv4(const tina__net_endpoint *endpoint)
{
    static const uint8_t start[13] = {[10] = 0xFF, [11] = 0xFF, [12] = 127};
    return memcmp(endpoint->ip, start, sizeof start) == 0;
}

static tina__net_endpoint loopback(bool is_ipv4, uint16_t port)
{
    static const uint8_t ipv4[16] = {[10] = 0xFF, [11] = 0xFF, [12] = 127, [15] = 1};
    static const uint8_t ipv6[16] = {[15] = 1};
    tina__net_endpoint endpoint = {.port = port};
    memcpy(endpoint.ip, is_ipv4 ? ipv4 : ipv6, sizeof endpoint.ip);
    return endpoint;
}

/* What a host puts as its own address on the way to one that is its own, too. */
static tina__net_endpoint source_for(const tina__net_endpoint *target, uint16_t port)
{
    if (is_loopback_ipv4(target))
        return loopback(true, port);
    tina__net_endpoint source = *target;
    source.port = port;
    return source;
}

/* ---- On the way ------------------------------------------------------------------------ */

static tina_status refusal(const tina__net_socket *socket, const tina_address *address, int *os_error)
{
    *os_error = 0;
    if (address->family != TINA_IPV4 && address->family != TINA_IPV6)
        return TINA_INVALID;
    if (address->family != socket->family && socket->family == TINA_IPV4) {
        *os_error = EAFNOSUPPORT;
        return TINA_UNSUPPORTED;
    }
    if (socket->state != TINA__SOCKET_OPEN)
        *os_error = EISCONN;
    else if (address->family != socket->family)
        *os_error = EINVAL;
    return *os_error == 0 ? TINA_OK : TINA_SYSTEM_ERROR;
}

/* A socket that takes IPv6 only has no way to the other. */
static bool is_out_of_reach(const tina__net_socket *socket)
{
    bool has_ipv6_only = socket->family == TINA_IPV6 && socket->options[TINA_OPT_V6ONLY] != 0;
    return has_ipv6_only && tina__net_endpoint_is_ipv4(&socket->remote);
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
    bool is_known = tina__net_endpoint_make(address, false, &socket->remote);
    tina__assert(is_known);
    if (tina__net_endpoint_is_any(&socket->remote))
        socket->remote = loopback(!socket->remote.has_all_ipv6, address->port);
    if (is_out_of_reach(socket)) {
        finish_connect(net, index, TINA_NOT_FOUND, ENETUNREACH);
        return;
    }
    bool had_port = socket->has_port;
    if (!tina__net_connect_bind(net, index)) {
        finish_connect(net, index, TINA_NOT_FOUND, EADDRNOTAVAIL);
        return;
    }
    socket->is_port_ours = !had_port;
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

static void refuse(tina__net *net, uint32_t index)
{
    tina__net_connect_withdraw(net, index);
    finish_connect(net, index, TINA_REFUSED, ECONNREFUSED);
    tina__net_stream_serve(net, index); /* a receive may wait for what will not be */
}

/* ---- There ------------------------------------------------------------------------------- */

/* Linux lets one more wait than it was asked for. */
static bool has_room(const tina__net_socket *listener) { return listener->backlog.count <= listener->backlog_max; }

/* The listener's end of a connection; NONE: the table is full. */
static uint32_t make_end(tina__net *net, uint32_t listener, const tina__net_endpoint *local,
                         const tina__net_endpoint *remote)
{
    const tina__net_socket *parent = tina__net_at(net, listener);
    uint32_t index = tina__net_slot_take(net, TINA__NET_NOBODY, parent->family);
    if (index == TINA__NONE)
        return TINA__NONE;
    tina__net_socket *end = tina__net_at(net, index);
    memcpy(end->options, parent->options, sizeof end->options);
    end->state = TINA__SOCKET_CONNECTED;
    end->local = *local;
    end->remote = *remote;
    end->is_port_ours = true;
    tina__net_port_hold(net, index);
    return index;
}

/* The client is in no line. */
static void establish(tina__net *net, uint32_t index, uint32_t listener)
{
    tina__net_socket *client = tina__net_at(net, index);
    tina__net_endpoint local = client->local;
    if (tina__net_endpoint_is_any(&local))
        local = source_for(&client->remote, local.port);
    uint32_t end = make_end(net, listener, &client->remote, &local);
    if (end == TINA__NONE) {
        refuse(net, index);
        return;
    }
    tina__net_at(net, end)->peer = index;
    client->local = local;
    client->peer = end;
    client->state = TINA__SOCKET_CONNECTED;
    tina__net_list_push(net, &tina__net_at(net, listener)->backlog, listener, end);
    finish_connect(net, index, TINA_OK, 0);
}

void tina__net_connect_arrive(tina__net *net, uint32_t index)
{
    tina__net_socket *client = tina__net_at(net, index);
    tina__assert(client->state == TINA__SOCKET_CONNECTING);
    uint32_t listener = tina__net_port_listener(net, &client->remote);
    if (listener == TINA__NONE) {
        refuse(net, index);
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

void tina__net_listener_end(tina__net *net, uint32_t index)
{
    tina__net_socket *listener = tina__net_at(net, index);
    listener->state = TINA__SOCKET_OPEN;
    tina__net_port_hold(net, index); /* behind those who listen */
    while (listener->backlog.count != 0) {
        uint32_t end = listener->backlog.first;
        tina__net_list_remove(net, &listener->backlog, end);
        tina__net_stream_close(net, end, true, listener->shard);
        tina__net_slot_give(net, end);
    }
    while (listener->line.count != 0) {
        uint32_t client = listener->line.first;
        tina__net_list_remove(net, &listener->line, client);
        tina__net_at(net, client)->state = TINA__SOCKET_CONNECTING;
        tina__net_connect_arrive(net, client);
    }
}
