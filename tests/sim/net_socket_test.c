/* Addresses, ports and options of a made network: who may bind where, and who is found there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net_rig.h"

#include <limits.h>

static net_rig rig;

static tina_address ipv6(const char *text_of_bytes, uint16_t port)
{
    tina_address address = {.family = TINA_IPV6, .port = port};
    memcpy(address.ipv6, text_of_bytes, sizeof address.ipv6);
    return address;
}

#define IPV6_ANY    "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
#define IPV6_SELF   "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1"
#define IPV6_OTHER  "\x20\1\0\0\0\0\0\0\0\0\0\0\0\0\0\7"
#define MAPPED_ANY  "\0\0\0\0\0\0\0\0\0\0\xFF\xFF\0\0\0\0"
#define MAPPED_SELF "\0\0\0\0\0\0\0\0\0\0\xFF\xFF\x7F\0\0\1"

static int family_of(const tina_address *address) { return address->family; }

/* ---- Ports ------------------------------------------------------------------------------- */

static void bind_to_port_zero_chooses_a_free_one_each_time(void **state)
{
    (void)state;
    net_open(&rig);
    uint16_t ports[NET_SOCKETS];
    for (int i = 0; i < NET_SOCKETS; i++) {
        int fd = net_socket(&rig, 0, TINA_IPV4);
        assert_int_equal(net_bind(&rig, fd, net_loopback(0)), TINA_OK);
        ports[i] = net_local(&rig, fd).port;
        assert_true(ports[i] >= 32768);
        for (int k = 0; k < i; k++)
            assert_int_not_equal(ports[k], ports[i]);
    }
    net_close(&rig);
}

/* Around the end, past those that are somebody's, and none is lost. */
static void ports_come_around_and_are_free_once_they_are_closed(void **state)
{
    (void)state;
    net_open(&rig);
    int held = net_socket(&rig, 0, TINA_IPV4);
    assert_int_equal(net_bind(&rig, held, net_loopback(40000)), TINA_OK);
    uint32_t seen = 0;
    int os_fd = net_socket(&rig, 0, TINA_IPV4);
    for (int i = 0; i < 2 * 32767; i++) { /* all there are but the one that is held, twice */
        tina_address any = net_loopback(0);
        assert_int_equal(api->socket_bind(rig.shards[0].backend, os_fd, &any, &os_error), TINA_OK);
        seen += net_local(&rig, os_fd).port == 40001;
        api->close_fd(rig.shards[0].backend, os_fd, 0);
        assert_int_equal(api->socket_open(rig.shards[0].backend, TINA_IPV4, TINA_STREAM, &os_fd, &os_error), TINA_OK);
    }
    assert_int_equal(seen, 2);
    net_close(&rig);
}

typedef struct bind_case {
    tina_address first, second;
    int first_options, second_options; /* bits: 1 << option */
    bool listens;                      /* the first */
    bool is_free;
} bind_case;

enum {
    ADDR = 1 << TINA_OPT_REUSEADDR,
    PORT = 1 << TINA_OPT_REUSEPORT,
    V6ONLY = 1 << TINA_OPT_V6ONLY,
};

static int bind_with(tina_address address, int options, int *status)
{
    int fd = net_socket(&rig, 0, family_of(&address));
    for (int option = 0; option <= TINA_OPT_V6ONLY; option++) {
        if (options & (1 << option))
            net_set(&rig, fd, option, 1);
    }
    *status = (int)net_bind(&rig, fd, address);
    return fd;
}

static void bind_conflicts_as_it_does_with_linux(void **state)
{
    (void)state;
    const tina_address any = net_ipv4(0, 0, 0, 0, 80), self = net_loopback(80), other = net_ipv4(10, 0, 0, 1, 80);
    const tina_address any6 = ipv6(IPV6_ANY, 80), self6 = ipv6(IPV6_SELF, 80), other6 = ipv6(IPV6_OTHER, 80);
    const tina_address mapped_any = ipv6(MAPPED_ANY, 80), mapped = ipv6(MAPPED_SELF, 80);
    tina_address scoped = ipv6(IPV6_OTHER, 80);
    scoped.scope = 3;
    const bind_case cases[] = {
        {self, self, 0, 0, false, false},
        {self, other, 0, 0, false, true},
        {self, net_loopback(81), 0, 0, false, true},
        {any, self, 0, 0, false, false},
        {self, any, 0, 0, false, false},
        {any, any, 0, 0, false, false},
        /* Reuse of the address: both say so, and nobody listens. */
        {self, self, ADDR, ADDR, false, true},
        {self, self, ADDR, 0, false, false},
        {self, self, 0, ADDR, false, false},
        {self, self, ADDR, ADDR, true, false},
        {any, self, ADDR, ADDR, true, false},
        {other, self, ADDR, ADDR, true, true},
        /* Reuse of the port: both say so. */
        {self, self, PORT, PORT, true, true},
        {self, self, PORT, 0, true, false},
        {self, self, ADDR, PORT, false, false},
        {self, self, ADDR | PORT, ADDR | PORT, true, true},
        /* Two families. */
        {any, any6, 0, 0, false, false},
        {any6, any, 0, 0, false, false},
        {any6, self, 0, 0, false, false},
        {any, any6, 0, V6ONLY, false, true},
        {any6, any, V6ONLY, 0, false, true},
        {any6, self6, V6ONLY, 0, false, false},
        {self6, any6, 0, 0, false, false},
        {self6, self, 0, 0, false, true},
        {self6, other6, 0, 0, false, true},
        {other6, scoped, 0, 0, false, true},
        {self, mapped, 0, 0, false, false},
        {mapped, any, 0, 0, false, false},
        {mapped_any, other, 0, 0, false, false},
        {mapped_any, self6, 0, 0, false, true},
        {any6, any6, PORT | V6ONLY, PORT, true, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int status;
        net_open(&rig);
        int first = bind_with(cases[i].first, cases[i].first_options, &status);
        assert_int_equal(status, TINA_OK);
        if (cases[i].listens)
            assert_int_equal(net_listen(&rig, first, 1), TINA_OK);
        int second = bind_with(cases[i].second, cases[i].second_options, &status);
        if (status != (cases[i].is_free ? TINA_OK : TINA_SYSTEM_ERROR))
            print_error("case %zu\n", i);
        assert_int_equal(status, cases[i].is_free ? TINA_OK : TINA_SYSTEM_ERROR);
        assert_int_equal(os_error, cases[i].is_free ? 0 : EADDRINUSE);
        /* Once the first is closed, nothing is in the way. */
        net_close_fd(&rig, 0, first);
        if (!cases[i].is_free)
            assert_int_equal(net_bind(&rig, second, cases[i].second), TINA_OK);
        net_close(&rig);
    }
}

static void bind_fails_where_it_makes_no_sense(void **state)
{
    (void)state;
    net_open(&rig);
    int fd = net_socket(&rig, 0, TINA_IPV4);
    int fd6 = net_socket(&rig, 0, TINA_IPV6);
    assert_int_equal(net_bind(&rig, fd, (tina_address){.family = 9}), TINA_INVALID);
    assert_int_equal(os_error, 0);
    assert_int_equal(net_bind(&rig, fd, ipv6(IPV6_SELF, 0)), TINA_UNSUPPORTED);
    assert_int_equal(os_error, EAFNOSUPPORT);
    assert_int_equal(net_bind(&rig, fd6, net_loopback(0)), TINA_SYSTEM_ERROR);
    assert_int_equal(os_error, EINVAL);
    assert_int_equal(net_bind(&rig, fd, net_loopback(0)), TINA_OK);
    assert_int_equal(net_bind(&rig, fd, net_loopback(0)), TINA_SYSTEM_ERROR); /* twice */
    assert_int_equal(os_error, EINVAL);
    assert_int_equal(net_bind(&rig, 77, net_loopback(0)), TINA_SYSTEM_ERROR);
    assert_int_equal(os_error, EBADF);
    int client, server;
    net_pair(&rig, &client, &server);
    assert_int_equal(net_bind(&rig, client, net_loopback(0)), TINA_SYSTEM_ERROR);
    assert_int_equal(os_error, EINVAL);
    assert_int_equal(net_listen(&rig, client, 1), TINA_SYSTEM_ERROR);
    assert_int_equal(os_error, EINVAL);
    assert_int_equal(net_listen(&rig, 77, 1), TINA_SYSTEM_ERROR);
    assert_int_equal(os_error, EBADF);
    int out;
    assert_int_equal(api->socket_open(rig.shards[0].backend, 9, TINA_STREAM, &out, &os_error), TINA_INVALID);
    assert_int_equal(api->socket_open(rig.shards[0].backend, TINA_IPV4, 9, &out, &os_error), TINA_INVALID);
    net_close(&rig);
}

static void listen_where_another_listens_by_now_is_in_use(void **state)
{
    (void)state;
    net_open(&rig);
    int status;
    int first = bind_with(net_loopback(80), ADDR, &status);
    int second = bind_with(net_loopback(80), ADDR, &status);
    assert_int_equal(status, TINA_OK);
    assert_int_equal(net_listen(&rig, first, 1), TINA_OK);
    assert_int_equal(net_listen(&rig, second, 1), TINA_SYSTEM_ERROR);
    assert_int_equal(os_error, EADDRINUSE);
    net_close_fd(&rig, 0, first);
    assert_int_equal(net_listen(&rig, second, 1), TINA_OK);
    net_close(&rig);
}

/* The restart of a listener that forgot to say that it may reuse its address. */
static void bind_finds_the_port_taken_while_connections_of_it_last(void **state)
{
    (void)state;
    net_open(&rig);
    int status;
    int listener = bind_with(net_loopback(80), 0, &status);
    assert_int_equal(net_listen(&rig, listener, 1), TINA_OK);
    int client = net_socket(&rig, 0, TINA_IPV4);
    net_assert(net_connect(&rig, 0, client, net_loopback(80)), TINA_OK, 0);
    int server = net_accept(&rig, 1, listener)->completion.os_fd;
    net_close_fd(&rig, 0, listener);
    int next = bind_with(net_loopback(80), 0, &status);
    assert_int_equal(status, TINA_SYSTEM_ERROR);
    assert_int_equal(os_error, EADDRINUSE);
    net_set(&rig, next, TINA_OPT_REUSEADDR, 1);
    assert_int_equal(net_bind(&rig, next, net_loopback(80)), TINA_SYSTEM_ERROR); /* it takes two */
    net_set(&rig, client, TINA_OPT_LINGER, 0);
    net_close_fd(&rig, 0, client);
    assert_int_equal(net_bind(&rig, next, net_loopback(80)), TINA_OK); /* a connection that was reset is over */
    net_close_fd(&rig, 1, server);
    net_close(&rig);
}

/* ---- Who is found -------------------------------------------------------------------------- */

static int listen_at(tina_address address, int options)
{
    int status;
    int fd = bind_with(address, options, &status);
    assert_int_equal(status, TINA_OK);
    assert_int_equal(net_listen(&rig, fd, 30), TINA_OK);
    return fd;
}

/* Which of the listeners a connection to that address comes to; -1: it is refused. */
static int found(const int *listeners, int count, tina_address address)
{
    int client = net_socket(&rig, 0, family_of(&address));
    net_request *connecting = net_connect(&rig, 0, client, address);
    if (connecting->completion.status != TINA_OK) {
        net_assert(connecting, TINA_REFUSED, ECONNREFUSED);
        net_close_fd(&rig, 0, client);
        return -1;
    }
    int which = -1;
    for (int i = 0; i < count; i++) {
        net_request *accepting = net_accept(&rig, 1, listeners[i]);
        if (accepting->completion.status == TINA_OK) {
            assert_int_equal(which, -1);
            which = i;
            net_close_fd(&rig, 1, accepting->completion.os_fd);
        } else {
            net_cancel(&rig, accepting);
        }
    }
    net_close_fd(&rig, 0, client);
    return which;
}

static void connect_finds_the_listener_of_the_address_first(void **state)
{
    (void)state;
    net_open(&rig);
    const int listeners[] = {
        listen_at(net_ipv4(0, 0, 0, 0, 80), ADDR | PORT),
        listen_at(net_ipv4(10, 0, 0, 1, 80), ADDR | PORT),
        listen_at(ipv6(IPV6_ANY, 80), V6ONLY),
        listen_at(ipv6(IPV6_ANY, 81), 0),
        listen_at(ipv6(IPV6_OTHER, 82), 0),
        listen_at(ipv6(MAPPED_SELF, 83), 0),
    };
    const int count = sizeof listeners / sizeof listeners[0];
    assert_int_equal(found(listeners, count, net_loopback(80)), 0);
    assert_int_equal(found(listeners, count, net_ipv4(192, 168, 7, 9, 80)), 0);
    assert_int_equal(found(listeners, count, net_ipv4(10, 0, 0, 1, 80)), 1);
    assert_int_equal(found(listeners, count, ipv6(IPV6_SELF, 80)), 2);
    assert_int_equal(found(listeners, count, ipv6(IPV6_OTHER, 80)), 2);
    assert_int_equal(found(listeners, count, ipv6(MAPPED_SELF, 80)), 0);
    assert_int_equal(found(listeners, count, net_loopback(81)), 3);
    assert_int_equal(found(listeners, count, ipv6(IPV6_OTHER, 81)), 3);
    assert_int_equal(found(listeners, count, ipv6(IPV6_OTHER, 82)), 4);
    assert_int_equal(found(listeners, count, ipv6(IPV6_SELF, 82)), -1);
    assert_int_equal(found(listeners, count, net_loopback(82)), -1);
    assert_int_equal(found(listeners, count, net_loopback(83)), 5);
    assert_int_equal(found(listeners, count, net_ipv4(127, 0, 0, 2, 83)), -1);
    /* To no address in particular: to this host's own. */
    assert_int_equal(found(listeners, count, net_ipv4(0, 0, 0, 0, 83)), 5);
    assert_int_equal(found(listeners, count, ipv6(IPV6_ANY, 80)), 2);
    net_close(&rig);
}

static uint64_t shares(uint64_t seed, int *by_first)
{
    uint64_t story = 1;
    net_open_seeded(&rig, seed);
    int listeners[3];
    for (int i = 0; i < 3; i++)
        listeners[i] = listen_at(net_loopback(80), PORT);
    int counts[3] = {0};
    for (int i = 0; i < 90; i++) {
        int which = found(listeners, 3, net_loopback(80));
        counts[which]++;
        story = tina__mix64(story ^ (uint64_t)which);
    }
    for (int i = 0; i < 3; i++)
        assert_in_range(counts[i], 10, 60);
    *by_first = counts[0];
    net_close(&rig);
    return story;
}

static void connections_to_a_shared_port_are_shared_by_the_seed(void **state)
{
    (void)state;
    int count;
    uint64_t story = shares(7, &count);
    assert_true(shares(7, &count) == story);
    assert_true(shares(8, &count) != story);
}

/* ---- Addresses that are told ------------------------------------------------------------------ */

static void addresses_of_both_ends_mirror_each_other(void **state)
{
    (void)state;
    const struct {
        tina_address at, to, from, seen_from;
    } cases[] = {
        {net_ipv4(0, 0, 0, 0, 80), net_loopback(80), net_loopback(0), net_loopback(0)},
        {net_ipv4(0, 0, 0, 0, 80), net_ipv4(127, 0, 0, 9, 80), net_loopback(0), net_loopback(0)},
        {net_ipv4(0, 0, 0, 0, 80), net_ipv4(10, 1, 2, 3, 80), net_ipv4(10, 1, 2, 3, 0), net_ipv4(10, 1, 2, 3, 0)},
        {ipv6(IPV6_ANY, 80), ipv6(IPV6_OTHER, 80), ipv6(IPV6_OTHER, 0), ipv6(IPV6_OTHER, 0)},
        {ipv6(IPV6_ANY, 80), net_loopback(80), net_loopback(0), ipv6(MAPPED_SELF, 0)},
        {net_ipv4(0, 0, 0, 0, 80), ipv6(MAPPED_SELF, 80), ipv6(MAPPED_SELF, 0), net_loopback(0)},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        net_open(&rig);
        int listener = listen_at(cases[i].at, 0);
        int client = net_socket(&rig, 0, family_of(&cases[i].to));
        tina_address nowhere = net_local(&rig, client);
        assert_int_equal(nowhere.port, 0);
        assert_int_equal(nowhere.family, cases[i].to.family);
        net_assert(net_connect(&rig, 0, client, cases[i].to), TINA_OK, 0);
        net_request *accepted = net_accept(&rig, 1, listener);
        tina_address local = net_local(&rig, client), peer;
        tina_address expected = cases[i].from;
        expected.port = local.port;
        assert_memory_equal(&local, &expected, sizeof local);
        assert_int_equal(api->socket_peer(rig.shards[0].backend, client, &peer, &os_error), TINA_OK);
        assert_memory_equal(&peer, &cases[i].to, sizeof peer);
        expected = cases[i].seen_from;
        expected.port = local.port;
        assert_memory_equal(&accepted->peer, &expected, sizeof expected);
        assert_int_equal(api->socket_peer(rig.shards[1].backend, accepted->completion.os_fd, &peer, &os_error), TINA_OK);
        assert_memory_equal(&peer, &expected, sizeof expected);
        assert_int_equal(net_local(&rig, accepted->completion.os_fd).port, 80);
        net_close(&rig);
    }
}

static void addresses_that_are_not_known_are_refused(void **state)
{
    (void)state;
    net_open(&rig);
    int fd = net_socket(&rig, 0, TINA_IPV4);
    int fd6 = net_socket(&rig, 0, TINA_IPV6);
    tina_address address;
    assert_int_equal(api->socket_peer(rig.shards[0].backend, fd, &address, &os_error), TINA_SYSTEM_ERROR);
    assert_int_equal(os_error, ENOTCONN);
    assert_int_equal(api->socket_local(rig.shards[0].backend, 77, &address, &os_error), TINA_SYSTEM_ERROR);
    assert_int_equal(os_error, EBADF);
    net_assert(net_connect(&rig, 0, fd, (tina_address){.family = 9}), TINA_INVALID, 0);
    net_assert(net_connect(&rig, 0, fd, ipv6(IPV6_SELF, 80)), TINA_UNSUPPORTED, EAFNOSUPPORT);
    net_assert(net_connect(&rig, 0, fd6, net_loopback(80)), TINA_SYSTEM_ERROR, EINVAL);
    net_set(&rig, fd6, TINA_OPT_V6ONLY, 1);
    net_assert(net_connect(&rig, 0, fd6, ipv6(MAPPED_SELF, 80)), TINA_NOT_FOUND, ENETUNREACH);
    net_close(&rig);
}

/* A client that is bound keeps its address, also when it is refused. */
static void connect_from_a_bound_socket_comes_from_there(void **state)
{
    (void)state;
    net_open(&rig);
    int listener = listen_at(net_loopback(80), 0);
    int client = net_socket(&rig, 0, TINA_IPV4);
    assert_int_equal(net_bind(&rig, client, net_ipv4(127, 0, 0, 5, 4000)), TINA_OK);
    net_assert(net_connect(&rig, 0, client, net_loopback(81)), TINA_REFUSED, ECONNREFUSED);
    assert_int_equal(net_local(&rig, client).port, 4000);
    net_assert(net_connect(&rig, 0, client, net_loopback(80)), TINA_OK, 0);
    net_request *accepted = net_accept(&rig, 1, listener);
    tina_address expected = net_ipv4(127, 0, 0, 5, 4000);
    assert_memory_equal(&accepted->peer, &expected, sizeof expected);
    net_close(&rig);
}

static void connect_without_a_free_port_fails(void **state)
{
    (void)state;
    net_open(&rig);
    int fd = net_socket(&rig, 0, TINA_IPV4);
    uint32_t *ports = rig.net->ports;
    for (uint32_t port = 32768; port < TINA__NET_PORTS; port++)
        ports[port] = 1;
    net_request *connecting = net_prepare(&rig, 0, TINA__IO_CONNECT, fd);
    connecting->peer = net_loopback(80);
    net_submit_only(&rig, connecting);
    tina_address any = net_loopback(0);
    assert_int_equal(api->socket_bind(rig.shards[0].backend, fd, &any, &os_error), TINA_SYSTEM_ERROR);
    assert_int_equal(os_error, EADDRINUSE);
    assert_int_equal(api->socket_listen(rig.shards[0].backend, fd, 1, &os_error), TINA_SYSTEM_ERROR);
    assert_int_equal(os_error, EADDRINUSE);
    memset(ports, 0, TINA__NET_PORTS * sizeof *ports);
    net_collect(&rig);
    net_assert(connecting, TINA_NOT_FOUND, EADDRNOTAVAIL);
    net_close(&rig);
}

/* ---- Options ------------------------------------------------------------------------------------ */

static void options_are_kept_within_their_ranges(void **state)
{
    (void)state;
    const struct {
        int option, before, min, max;
    } rows[] = {
        {TINA_OPT_REUSEADDR, 0, 0, 1},
        {TINA_OPT_REUSEPORT, 0, 0, 1},
        {TINA_OPT_KEEPALIVE, 0, 0, 1},
        {TINA_OPT_NODELAY, 0, 0, 1},
        {TINA_OPT_CORK, 0, 0, 1},
        {TINA_OPT_RCVBUF, NET_WINDOW, 1, INT_MAX / 2},
        {TINA_OPT_SNDBUF, NET_WINDOW, 1, INT_MAX / 2},
        {TINA_OPT_LINGER, -1, -1, 0},
        {TINA_OPT_V6ONLY, 0, 0, 1},
        {TINA_OPT_KEEPIDLE, 7200, 1, 32767},
        {TINA_OPT_KEEPINTVL, 75, 1, 32767},
        {TINA_OPT_KEEPCNT, 9, 1, 127},
    };
    net_open(&rig);
    int fd = net_socket(&rig, 0, TINA_IPV6);
    const tina__backend_api *table = api;
    tina__backend *backend = rig.shards[0].backend;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int factor = rows[i].option == TINA_OPT_RCVBUF || rows[i].option == TINA_OPT_SNDBUF ? 2 : 1;
        assert_int_equal(net_get(&rig, fd, rows[i].option), rows[i].before);
        net_set(&rig, fd, rows[i].option, rows[i].min);
        assert_int_equal(net_get(&rig, fd, rows[i].option), rows[i].min * factor);
        net_set(&rig, fd, rows[i].option, rows[i].max);
        assert_int_equal(net_get(&rig, fd, rows[i].option), rows[i].max * factor);
        assert_int_equal(table->socket_set(backend, fd, rows[i].option, rows[i].min - 1, &os_error), TINA_INVALID);
        assert_int_equal(table->socket_set(backend, fd, rows[i].option, rows[i].max + 1, &os_error), TINA_INVALID);
        assert_int_equal(os_error, 0);
    }
    int value;
    assert_int_equal(table->socket_set(backend, fd, -1, 0, &os_error), TINA_INVALID);
    assert_int_equal(table->socket_set(backend, fd, TINA_OPT_KEEPCNT + 1, 1, &os_error), TINA_INVALID);
    assert_int_equal(table->socket_get(backend, fd, TINA_OPT_KEEPCNT + 1, &value, &os_error), TINA_INVALID);
    assert_int_equal(table->socket_set(backend, 77, TINA_OPT_NODELAY, 1, &os_error), TINA_SYSTEM_ERROR);
    assert_int_equal(os_error, EBADF);
    assert_int_equal(table->socket_get(backend, 77, TINA_OPT_NODELAY, &value, &os_error), TINA_SYSTEM_ERROR);
    net_close(&rig);
}

static void option_for_ipv6_alone_has_its_own_rules(void **state)
{
    (void)state;
    net_open(&rig);
    tina__backend *backend = rig.shards[0].backend;
    int fd = net_socket(&rig, 0, TINA_IPV4);
    int value;
    assert_int_equal(api->socket_set(backend, fd, TINA_OPT_V6ONLY, 1, &os_error), TINA_UNSUPPORTED);
    assert_int_equal(os_error, ENOPROTOOPT);
    assert_int_equal(api->socket_get(backend, fd, TINA_OPT_V6ONLY, &value, &os_error), TINA_UNSUPPORTED);
    assert_int_equal(os_error, EOPNOTSUPP);
    fd = net_socket(&rig, 0, TINA_IPV6);
    assert_int_equal(net_bind(&rig, fd, ipv6(IPV6_ANY, 0)), TINA_OK);
    assert_int_equal(api->socket_set(backend, fd, TINA_OPT_V6ONLY, 1, &os_error), TINA_SYSTEM_ERROR);
    assert_int_equal(os_error, EINVAL);
    net_close(&rig);
}

static void options_of_a_listener_are_those_of_what_it_accepts(void **state)
{
    (void)state;
    net_open(&rig);
    int listener = listen_at(net_loopback(80), 0);
    net_set(&rig, listener, TINA_OPT_NODELAY, 1);
    net_set(&rig, listener, TINA_OPT_KEEPIDLE, 55);
    net_assert(net_connect(&rig, 0, net_socket(&rig, 0, TINA_IPV4), net_loopback(80)), TINA_OK, 0);
    int server = net_accept(&rig, 1, listener)->completion.os_fd;
    assert_int_equal(net_get(&rig, server, TINA_OPT_NODELAY), 1);
    assert_int_equal(net_get(&rig, server, TINA_OPT_KEEPIDLE), 55);
    net_close_fd(&rig, 1, server);
    int fresh = net_socket(&rig, 0, TINA_IPV4); /* in the same place */
    assert_int_equal(fresh, server);
    assert_int_equal(net_get(&rig, fresh, TINA_OPT_NODELAY), 0);
    net_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bind_to_port_zero_chooses_a_free_one_each_time),
        cmocka_unit_test(ports_come_around_and_are_free_once_they_are_closed),
        cmocka_unit_test(bind_conflicts_as_it_does_with_linux),
        cmocka_unit_test(bind_fails_where_it_makes_no_sense),
        cmocka_unit_test(listen_where_another_listens_by_now_is_in_use),
        cmocka_unit_test(bind_finds_the_port_taken_while_connections_of_it_last),
        cmocka_unit_test(connect_finds_the_listener_of_the_address_first),
        cmocka_unit_test(connections_to_a_shared_port_are_shared_by_the_seed),
        cmocka_unit_test(addresses_of_both_ends_mirror_each_other),
        cmocka_unit_test(addresses_that_are_not_known_are_refused),
        cmocka_unit_test(connect_from_a_bound_socket_comes_from_there),
        cmocka_unit_test(connect_without_a_free_port_fails),
        cmocka_unit_test(options_are_kept_within_their_ranges),
        cmocka_unit_test(option_for_ipv6_alone_has_its_own_rules),
        cmocka_unit_test(options_of_a_listener_are_those_of_what_it_accepts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
