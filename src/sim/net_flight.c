/*
 * A datagram over IP. It is sent to whoever has the port at that moment, and may be
 * lost on its way, or for want of room there; nobody is told, except a connected
 * socket of that there was nobody at all, as by the answer that a host sends then:
 * its next operation fails.
 */
#include "sim/net_inside.h"

#include <errno.h>

static tina__net_outcome failed(tina_status status, int os_error) { return (tina__net_outcome){status, os_error}; }

static const tina__net_outcome all_is_well = {TINA_OK, 0};

/* ---- What becomes of it ------------------------------------------------------------------- */

static void send_refusal(tina__net *net, uint32_t index, uint64_t delay_ns)
{
    uint32_t thing = tina__net_thing_of(index, TINA__DUE_RESET);
    if (delay_ns == 0)
        tina__net_at(net, index)->error = ECONNREFUSED;
    else if (!tina__due_is_set(&net->due, thing))
        tina__due_set(&net->due, thing, tina__add_saturating(net->now_ns, delay_ns));
}

typedef struct flight {
    uint32_t sender, receiver; /* NONE: nobody is there */
    const tina__net_half *half;
    tina__net_endpoint from;
    bool is_connected; /* it goes where its sender is connected to */
} flight;

static void lose(tina__net *net, uint32_t size)
{
    net->lost += size;
    net->datagrams.lost++;
}

static void arrive(tina__net *net, const flight *of)
{
    uint64_t delay_ns = tina__net_delay(net, of->half->shard);
    bool has_room = of->receiver != TINA__NONE && tina__net_queue_has_room(net, of->receiver, of->half->size);
    if (!has_room) {
        lose(net, of->half->size);
        if (of->receiver == TINA__NONE && of->is_connected)
            send_refusal(net, of->sender, delay_ns);
        return;
    }
    tina_address from;
    tina__net_endpoint_write(&of->from, tina__net_at(net, of->receiver)->family, &from);
    tina__net_queue_put(net, of->receiver, of->half->data, of->half->size, &from,
                        tina__add_saturating(net->now_ns, delay_ns));
}

static bool is_struck(tina__prng *stream, tina_ratio rate, uint64_t *count)
{
    bool is_struck = tina__net_strikes(stream, rate);
    *count += is_struck;
    return is_struck;
}

/* It is counted once it is where it is going: before that nothing has happened. */
static void fly(tina__net *net, const flight *of)
{
    tina__net_shard *shard = &net->shards[of->half->shard];
    const tina_faults *rates = &net->faults->rates;
    tina_fault_counts *counts = &net->faults->counts;
    bool is_lost = is_struck(&shard->losses, rates->datagram_loss, &counts->datagram_loss);
    if (is_lost)
        lose(net, of->half->size);
    else
        arrive(net, of);
    net->sent += of->half->size;
    net->datagrams.sent++;
    if (is_lost || !is_struck(&shard->doubles, rates->datagram_double, &counts->datagram_double))
        return;
    arrive(net, of);
    net->doubled += of->half->size;
    net->datagrams.doubled++;
}

/* ---- Where to ------------------------------------------------------------------------------ */

/* What can't be, whoever may be there. */
static tina__net_outcome refusal(const tina__net_socket *socket, const tina_address *to)
{
    if (to == NULL)
        return socket->state == TINA__SOCKET_CONNECTED ? all_is_well : failed(TINA_SYSTEM_ERROR, EDESTADDRREQ);
    if (!tina__net_is_address(to))
        return failed(TINA_INVALID, 0);
    if (socket->family == TINA_IPV4 && to->family != TINA_IPV4)
        return failed(TINA_UNSUPPORTED, EAFNOSUPPORT);
    if (to->family == TINA_UNIX || to->port == 0)
        return failed(TINA_SYSTEM_ERROR, EINVAL);
    return all_is_well;
}

static uint32_t size_max(const tina__net *net, const tina__net_endpoint *target)
{
    return tina__min_u32(net->config.window_size, tina__net_endpoint_is_ipv4(target) ? 65507 : 65527);
}

/* Where to, and from where. */
static tina__net_outcome find_way(tina__net *net, uint32_t index, const tina_address *to, flight *of)
{
    const tina__net_socket *socket = tina__net_at(net, index);
    tina__net_outcome what = refusal(socket, to);
    if (what.status != TINA_OK)
        return what;
    tina__net_endpoint target = to == NULL ? socket->remote : tina__net_endpoint_target(to);
    if (socket->halves[TINA__NET_WRITES].size > size_max(net, &target))
        return failed(TINA_SYSTEM_ERROR, EMSGSIZE);
    if (tina__net_endpoint_is_out_of_reach(socket, &target))
        return failed(TINA_NOT_FOUND, ENETUNREACH);
    if (!tina__net_connect_bind(net, index))
        return failed(TINA_NOT_FOUND, EADDRNOTAVAIL);
    of->is_connected = to == NULL;
    of->from = tina__net_endpoint_source(&socket->local, &target);
    of->receiver = tina__net_port_receiver(net, &target, &of->from);
    return all_is_well;
}

tina__net_outcome tina__net_flight_start(tina__net *net, uint32_t index, const tina_address *to, uint32_t *receiver)
{
    flight of = {.sender = index, .half = &tina__net_at(net, index)->halves[TINA__NET_WRITES]};
    tina__net_outcome what = find_way(net, index, to, &of);
    if (what.status != TINA_OK)
        return what;
    fly(net, &of);
    *receiver = of.receiver;
    return all_is_well;
}

tina__net_outcome tina__net_flight_connect(tina__net *net, uint32_t index, const tina_address *to)
{
    tina__net_socket *socket = tina__net_at(net, index);
    tina__net_outcome what = refusal(socket, to);
    if (what.status != TINA_OK)
        return what;
    tina__net_endpoint target = tina__net_endpoint_target(to);
    if (tina__net_endpoint_is_out_of_reach(socket, &target))
        return failed(TINA_NOT_FOUND, ENETUNREACH);
    if (!tina__net_connect_bind(net, index))
        return failed(TINA_NOT_FOUND, EADDRNOTAVAIL);
    socket->remote = target;
    socket->local = tina__net_endpoint_source(&socket->local, &target);
    socket->state = TINA__SOCKET_CONNECTED;
    return all_is_well;
}
