/* One host, with every address there is. */
#include "sim/net_inside.h"

#include <string.h>

#define PORT_FIRST 32768 /* of those that the net chooses; the last is the highest there is */

/* ---- Addresses ------------------------------------------------------------------- */

static const uint8_t mapped[12] = {[10] = 0xFF, [11] = 0xFF}; /* how IPv4 begins */
static const uint8_t zeros[16];

bool tina__net_endpoint_is_ipv4(const tina__net_endpoint *endpoint)
{
    return memcmp(endpoint->ip, mapped, sizeof mapped) == 0;
}

bool tina__net_endpoint_make(const tina_address *address, bool is_v6only, tina__net_endpoint *endpoint)
{
    *endpoint = (tina__net_endpoint){.port = address->port};
    if (address->family == TINA_IPV4) {
        memcpy(endpoint->ip, mapped, sizeof mapped);
        memcpy(endpoint->ip + sizeof mapped, address->ipv4, sizeof address->ipv4);
    } else if (address->family == TINA_IPV6) {
        memcpy(endpoint->ip, address->ipv6, sizeof endpoint->ip);
        endpoint->scope = address->scope;
        endpoint->has_all_ipv6 = memcmp(endpoint->ip, zeros, sizeof zeros) == 0;
    } else {
        return false;
    }
    bool is_zero_ipv4 = tina__net_endpoint_is_ipv4(endpoint) && memcmp(endpoint->ip + sizeof mapped, zeros, 4) == 0;
    endpoint->has_all_ipv4 = is_zero_ipv4 || (endpoint->has_all_ipv6 && !is_v6only);
    return true;
}

tina__net_endpoint tina__net_endpoint_any(uint8_t family, bool is_v6only)
{
    tina_address any = {.family = family};
    tina__net_endpoint endpoint;
    bool is_known = tina__net_endpoint_make(&any, is_v6only, &endpoint);
    tina__assert(is_known);
    return endpoint;
}

void tina__net_endpoint_write(const tina__net_endpoint *endpoint, uint8_t family, tina_address *address)
{
    *address = (tina_address){.family = family, .port = endpoint->port};
    if (family == TINA_IPV4) {
        memcpy(address->ipv4, endpoint->ip + sizeof mapped, sizeof address->ipv4);
        return;
    }
    memcpy(address->ipv6, endpoint->ip, sizeof address->ipv6);
    address->scope = endpoint->scope;
}

bool tina__net_endpoint_is_any(const tina__net_endpoint *endpoint)
{
    return endpoint->has_all_ipv4 || endpoint->has_all_ipv6;
}

static bool is_loopback_ipv4(const tina__net_endpoint *endpoint)
{
    return tina__net_endpoint_is_ipv4(endpoint) && endpoint->ip[sizeof mapped] == 127;
}

static tina__net_endpoint loopback(bool is_ipv4, uint16_t port)
{
    static const uint8_t ipv4[16] = {[10] = 0xFF, [11] = 0xFF, [12] = 127, [15] = 1};
    static const uint8_t ipv6[16] = {[15] = 1};
    tina__net_endpoint endpoint = {.port = port};
    memcpy(endpoint.ip, is_ipv4 ? ipv4 : ipv6, sizeof endpoint.ip);
    return endpoint;
}

tina__net_endpoint tina__net_endpoint_target(const tina_address *address)
{
    tina__net_endpoint target;
    bool is_known = tina__net_endpoint_make(address, false, &target);
    tina__assert(is_known);
    return tina__net_endpoint_is_any(&target) ? loopback(!target.has_all_ipv6, target.port) : target;
}

bool tina__net_endpoint_is_out_of_reach(const tina__net_socket *socket, const tina__net_endpoint *target)
{
    bool has_ipv6_only = socket->family == TINA_IPV6 && socket->options[TINA_OPT_V6ONLY] != 0;
    return has_ipv6_only && tina__net_endpoint_is_ipv4(target);
}

tina__net_endpoint tina__net_endpoint_source(const tina__net_endpoint *own, const tina__net_endpoint *target)
{
    if (!tina__net_endpoint_is_any(own))
        return *own;
    if (is_loopback_ipv4(target))
        return loopback(true, own->port);
    tina__net_endpoint source = *target;
    source.port = own->port;
    return source;
}

/* one is a single address. */
static bool takes(const tina__net_endpoint *endpoint, const tina__net_endpoint *one)
{
    if (tina__net_endpoint_is_any(endpoint))
        return tina__net_endpoint_is_ipv4(one) ? endpoint->has_all_ipv4 : endpoint->has_all_ipv6;
    return memcmp(endpoint->ip, one->ip, sizeof one->ip) == 0 && endpoint->scope == one->scope;
}

static bool overlap(const tina__net_endpoint *a, const tina__net_endpoint *b)
{
    if (!tina__net_endpoint_is_any(a))
        return takes(b, a);
    if (!tina__net_endpoint_is_any(b))
        return takes(a, b);
    return (a->has_all_ipv4 && b->has_all_ipv4) || (a->has_all_ipv6 && b->has_all_ipv6);
}

/* ---- Who has a port ----------------------------------------------------------------- */

/* As Linux sees it: those that may reuse an address share it while none of them listens, those that may reuse the port always. */
static bool share(const tina__net_socket *self, const tina__net_socket *other)
{
    if (self->options[TINA_OPT_REUSEADDR] && other->options[TINA_OPT_REUSEADDR] && other->state != TINA__SOCKET_LISTENING)
        return true;
    return self->options[TINA_OPT_REUSEPORT] && other->options[TINA_OPT_REUSEPORT];
}

bool tina__net_port_conflicts(const tina__net *net, uint32_t index)
{
    const tina__net_socket *self = tina__net_at(net, index);
    uint32_t first = tina__net_ports_of(net, self)[self->local.port];
    for (uint32_t place = first; place != 0;) {
        const tina__net_socket *other = tina__net_at(net, place - 1);
        if (other != self && !share(self, other) && overlap(&self->local, &other->local))
            return true;
        place = other->port_next == first ? 0 : other->port_next;
    }
    return false;
}

uint16_t tina__net_port_choose(tina__net *net, const tina__net_socket *socket)
{
    const uint32_t *ports = tina__net_ports_of(net, socket);
    for (uint32_t tried = PORT_FIRST; tried < TINA__NET_PORTS; tried++) {
        uint32_t port = net->next_port < PORT_FIRST ? PORT_FIRST : net->next_port;
        net->next_port = (port + 1) % TINA__NET_PORTS;
        if (ports[port] == 0)
            return (uint16_t)port;
    }
    return 0;
}

/* The list is a circle, by places from 1: its last is the one before its first. */
void tina__net_port_hold(tina__net *net, uint32_t index)
{
    tina__net_socket *self = tina__net_at(net, index);
    tina__net_port_release(net, index);
    uint32_t *first = &tina__net_ports_of(net, self)[self->local.port];
    uint32_t next = *first == 0 ? index + 1 : *first;
    if (*first == 0)
        self->port_previous = index + 1;
    else
        self->port_previous = tina__net_at(net, next - 1)->port_previous;
    self->port_next = next;
    tina__net_at(net, self->port_previous - 1)->port_next = index + 1;
    tina__net_at(net, next - 1)->port_previous = index + 1;
    self->has_port = true;
    if (*first == 0 || self->state == TINA__SOCKET_LISTENING)
        *first = index + 1;
}

void tina__net_port_release(tina__net *net, uint32_t index)
{
    tina__net_socket *self = tina__net_at(net, index);
    if (!self->has_port)
        return;
    uint32_t *first = &tina__net_ports_of(net, self)[self->local.port];
    tina__net_at(net, self->port_previous - 1)->port_next = self->port_next;
    tina__net_at(net, self->port_next - 1)->port_previous = self->port_previous;
    if (*first == index + 1)
        *first = self->port_next == index + 1 ? 0 : self->port_next;
    self->has_port = false;
}

/* ---- Whom it leads to ------------------------------------------------------------------ */

static bool is_same(const tina__net_endpoint *a, const tina__net_endpoint *b)
{
    return memcmp(a->ip, b->ip, sizeof a->ip) == 0 && a->scope == b->scope && a->port == b->port;
}

typedef struct search {
    uint32_t first; /* who has the port */
    const tina__net_endpoint *target, *from;
} search;

/* 0: it does not take it; one that has just this address comes before one that has all. */
static uint32_t rank_of_address(const tina__net_socket *socket, const search *of)
{
    if (!takes(&socket->local, of->target))
        return 0;
    return tina__net_endpoint_is_any(&socket->local) ? 1 : 2;
}

/* A socket for datagrams that is connected gets all that comes from there, and nothing else. */
static uint32_t rank(const tina__net_socket *socket, const search *of)
{
    uint32_t its_rank = rank_of_address(socket, of);
    if (its_rank == 0 || socket->state != TINA__SOCKET_CONNECTED)
        return its_rank;
    return is_same(&socket->remote, of->from) ? 2 + its_rank : 0;
}

typedef struct choice {
    uint32_t rank;
    uint32_t count; /* of that rank */
    uint32_t found; /* the last of these that was wanted */
} choice;

/* Of those of the highest rank, the one that so many are before. */
static choice look(const tina__net *net, const search *of, uint32_t wanted)
{
    choice best = {.found = TINA__NONE};
    for (uint32_t place = of->first; place != 0;) {
        const tina__net_socket *socket = tina__net_at(net, place - 1);
        if (!tina__net_is_datagram(socket) && socket->state != TINA__SOCKET_LISTENING)
            break; /* those who listen stand first */
        uint32_t its_rank = rank(socket, of);
        if (its_rank > best.rank)
            best = (choice){.rank = its_rank, .found = TINA__NONE};
        if (its_rank != 0 && its_rank == best.rank && best.count++ == wanted)
            best.found = place - 1;
        place = socket->port_next == of->first ? 0 : socket->port_next;
    }
    return best;
}

static uint32_t choose(tina__net *net, const search *of)
{
    choice best = look(net, of, 0);
    if (best.count > 1)
        best = look(net, of, (uint32_t)tina__prng_below(&net->stream, best.count));
    return best.found;
}

uint32_t tina__net_port_listener(tina__net *net, const tina__net_endpoint *target)
{
    search of = {.first = net->ports[target->port], .target = target};
    return choose(net, &of);
}

uint32_t tina__net_port_receiver(tina__net *net, const tina__net_endpoint *target, const tina__net_endpoint *from)
{
    search of = {.first = net->ports[TINA__NET_PORTS + target->port], .target = target, .from = from};
    return choose(net, &of);
}
