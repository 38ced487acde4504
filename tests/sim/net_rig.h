/*
 * A made network with three shards, and requests that know what became of them.
 * After every step the net is looked at as a whole. Include it after <cmocka.h>.
 */
#ifndef TESTS_SIM_NET_RIG_H
#define TESTS_SIM_NET_RIG_H

#include "base/handle.h"
#include "sim/net_inside.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NET_SHARDS   3
#define NET_SOCKETS  40
#define NET_WINDOW   1000
#define NET_BUFFERS  8
#define NET_BUFFER   512
#define NET_REQUESTS 256
#define NET_ROUND_NS 1000000ull
#define NET_START_NS 5000000123ull
#define NET_WAITS    0xFFFF /* no status: it is not over */

typedef struct net_request {
    _Alignas(16) uint8_t memory[128];
    tina__io_request request;
    tina__io_completion completion;
    tina_address peer;
    uint8_t data[NET_BUFFER]; /* what was received */
    tina_address from;        /* and of a datagram, from whom */
    uint32_t shard;
    bool is_under_way;
} net_request;

typedef struct net_rig_shard {
    tina__backend *backend;
    tina__backend_config config;
} net_rig_shard;

typedef struct net_rig {
    tina__net *net;
    tina__faults faults;
    net_rig_shard shards[NET_SHARDS];
    net_request requests[NET_REQUESTS];
    uint32_t used;
    uint32_t unexpected;
    uint64_t now_ns;
    bool keeps_buffers; /* what was received into is not lent again */
} net_rig;

static const tina__backend_api *const api = &tina__net_backend;
static int os_error; /* of the last call that says one */

/* ---- Opening and closing ---- */

static inline void net_attach(net_rig *rig, uint32_t shard)
{
    tina__backend_config config = {
        .op_count = NET_REQUESTS, .fd_count = 64, .buffer_count = NET_BUFFERS, .buffer_size = NET_BUFFER};
    config.buffers = calloc(NET_BUFFERS, NET_BUFFER);
    config.annexes = calloc(NET_BUFFERS, TINA__ANNEX_SIZE);
    config.memory = calloc(1, api->memory_size(&config));
    assert_non_null(config.buffers);
    assert_non_null(config.annexes);
    assert_non_null(config.memory);
    rig->shards[shard].config = config;
    rig->shards[shard].backend = tina__net_attach(rig->net, shard, &config);
    for (uint32_t i = 0; i < NET_BUFFERS; i++)
        api->lend(rig->shards[shard].backend, i);
}

static inline void net_detach(net_rig *rig, uint32_t shard)
{
    const tina__backend_config *config = &rig->shards[shard].config;
    api->close(rig->shards[shard].backend);
    free(config->buffers);
    free(config->annexes);
    free(config->memory);
}

static inline void net_open_seeded(net_rig *rig, uint64_t seed)
{
    memset(rig, 0, sizeof *rig);
    rig->now_ns = NET_START_NS;
    tina__net_config config = {
        .seed = seed,
        .now_ns = rig->now_ns,
        .round_ns = NET_ROUND_NS,
        .shard_count = NET_SHARDS,
        .socket_count = NET_SOCKETS,
        .window_size = NET_WINDOW,
        .faults = &rig->faults,
    };
    rig->net = tina__net_make(&config);
    assert_non_null(rig->net);
    for (uint32_t i = 0; i < NET_SHARDS; i++)
        net_attach(rig, i);
}

static inline void net_open(net_rig *rig) { net_open_seeded(rig, 1); }

static inline void net_look(const net_rig *rig)
{
    const char *broken = tina__net_broken(rig->net);
    assert_string_equal(broken == NULL ? "" : broken, "");
}

/* Whatever is still open is closed. */
static inline void net_close(net_rig *rig)
{
    tina__net_ledger ledger;
    net_look(rig);
    for (uint32_t i = 0; i < NET_SHARDS; i++)
        assert_true(api->abandon(rig->shards[i].backend));
    for (int32_t fd = 0; fd < 2 * NET_SOCKETS; fd++)
        api->close_fd(rig->shards[0].backend, fd, 0);
    net_look(rig);
    tina__net_read_ledger(rig->net, &ledger);
    assert_int_equal(ledger.sockets, 0);
    assert_int_equal(ledger.on_their_way, 0);
    assert_int_equal(ledger.sent + ledger.doubled, ledger.received + ledger.lost);
    assert_int_equal(ledger.datagrams.on_their_way, 0);
    assert_int_equal(ledger.moving, 0);
    assert_true(tina__net_next_ns(rig->net) == TINA_NONE_NS);
    assert_int_equal(rig->unexpected, 0);
    for (uint32_t i = 0; i < NET_SHARDS; i++)
        net_detach(rig, i);
    tina__net_destroy(rig->net);
}

/* ---- Requests ---- */

static inline void net_note(net_rig *rig, uint32_t shard, const tina__io_completion *completion)
{
    net_request *request = &rig->requests[tina__word_index(completion->token)];
    const tina__backend_config *config = &rig->shards[shard].config;
    if (!request->is_under_way || request->request.token != completion->token || request->shard != shard) {
        rig->unexpected++;
        return;
    }
    request->is_under_way = false;
    request->completion = *completion;
    /* From the net itself, which knows it even where the client is gone already. */
    if (request->request.kind == TINA__IO_ACCEPT && completion->status == TINA_OK)
        tina__net_remote_write(tina__net_at(rig->net, (uint32_t)completion->os_fd), &request->peer);
    if (completion->buffer == TINA__BUFFER_NONE)
        return;
    memcpy(request->data, config->buffers + (size_t)completion->buffer * config->buffer_size, completion->size);
    if (request->request.kind == TINA__IO_RECEIVE_FROM)
        memcpy(&request->from, config->annexes + (size_t)completion->buffer * TINA__ANNEX_SIZE, sizeof request->from);
    if (!rig->keeps_buffers)
        api->lend(rig->shards[shard].backend, completion->buffer);
}

static inline void net_collect(net_rig *rig)
{
    tina__io_completion completions[3]; /* so few that it takes several collects */
    net_look(rig);
    for (uint32_t shard = 0; shard < NET_SHARDS; shard++) {
        while (tina__net_has_news(rig->shards[shard].backend)) {
            uint32_t count = api->collect(rig->shards[shard].backend, completions, 3);
            assert_in_range(count, 1, 3);
            for (uint32_t i = 0; i < count; i++)
                net_note(rig, shard, &completions[i]);
        }
    }
    net_look(rig);
}

static inline void net_pass(net_rig *rig, uint32_t rounds)
{
    for (uint32_t i = 0; i < rounds; i++) {
        rig->now_ns += NET_ROUND_NS;
        tina__net_advance(rig->net, rig->now_ns);
        net_collect(rig);
    }
}

static inline net_request *net_prepare(net_rig *rig, uint32_t shard, uint8_t kind, int fd)
{
    uint32_t index = rig->used;
    while (rig->requests[index % NET_REQUESTS].is_under_way)
        index++;
    index %= NET_REQUESTS;
    rig->used = index + 1;
    net_request *request = &rig->requests[index];
    uint32_t generation = tina__word_generation_next(tina__word_generation(request->request.token));
    request->shard = shard;
    request->completion = (tina__io_completion){.status = NET_WAITS, .os_fd = -1, .buffer = TINA__BUFFER_NONE};
    request->request = (tina__io_request){
        .token = tina__word_make((uint8_t)shard, index, generation),
        .os_fd = fd,
        .kind = kind,
        .peer = &request->peer,
        .backend_memory = request->memory,
    };
    return request;
}

static inline void net_submit_only(net_rig *rig, net_request *request)
{
    request->is_under_way = true;
    api->submit(rig->shards[request->shard].backend, &request->request);
}

static inline net_request *net_submit(net_rig *rig, net_request *request)
{
    net_submit_only(rig, request);
    net_collect(rig);
    return request;
}

static inline net_request *net_connect(net_rig *rig, uint32_t shard, int fd, tina_address to)
{
    net_request *request = net_prepare(rig, shard, TINA__IO_CONNECT, fd);
    request->peer = to;
    return net_submit(rig, request);
}

static inline net_request *net_accept(net_rig *rig, uint32_t shard, int fd)
{
    return net_submit(rig, net_prepare(rig, shard, TINA__IO_ACCEPT, fd));
}

static inline net_request *net_receive(net_rig *rig, uint32_t shard, int fd, uint32_t size)
{
    net_request *request = net_prepare(rig, shard, TINA__IO_RECEIVE, fd);
    request->request.size = size;
    return net_submit(rig, request);
}

static inline net_request *net_send(net_rig *rig, uint32_t shard, int fd, const void *data, uint32_t size)
{
    net_request *request = net_prepare(rig, shard, TINA__IO_SEND, fd);
    request->request.data = data;
    request->request.size = size;
    return net_submit(rig, request);
}

static inline net_request *net_receive_from(net_rig *rig, uint32_t shard, int fd, uint32_t size)
{
    net_request *request = net_prepare(rig, shard, TINA__IO_RECEIVE_FROM, fd);
    request->request.size = size;
    return net_submit(rig, request);
}

/* to NULL: where it is connected to. */
static inline net_request *net_prepare_send_to(net_rig *rig, uint32_t shard, int fd, const tina_address *to,
                                               const void *data, uint32_t size)
{
    net_request *request = net_prepare(rig, shard, TINA__IO_SEND_TO, fd);
    if (to == NULL)
        request->request.peer = NULL;
    else
        request->peer = *to;
    request->request.data = data;
    request->request.size = size;
    return request;
}

static inline net_request *net_send_to(net_rig *rig, uint32_t shard, int fd, const tina_address *to, const char *text)
{
    return net_submit(rig, net_prepare_send_to(rig, shard, fd, to, text, (uint32_t)strlen(text)));
}

static inline void net_cancel(net_rig *rig, net_request *request)
{
    api->cancel(rig->shards[request->shard].backend, &request->request);
    net_collect(rig);
}

static inline void net_close_fd(net_rig *rig, uint32_t shard, int fd)
{
    api->close_fd(rig->shards[shard].backend, fd, 0);
    net_collect(rig);
}

static inline void net_assert(const net_request *request, int status, int error)
{
    assert_int_equal(request->completion.status, status);
    if (status != NET_WAITS)
        assert_int_equal(request->completion.os_error, error);
}

static inline void net_assert_size(const net_request *request, uint32_t size)
{
    net_assert(request, TINA_OK, 0);
    assert_int_equal(request->completion.size, size);
}

static inline void net_assert_text(const net_request *request, const char *text)
{
    net_assert_size(request, (uint32_t)strlen(text));
    assert_memory_equal(request->data, text, strlen(text));
}

/* ---- Sockets ---- */

static inline int net_socket_of(net_rig *rig, uint32_t shard, int family, int type)
{
    int fd;
    assert_int_equal(api->socket_open(rig->shards[shard].backend, family, type, &fd, &os_error), TINA_OK);
    assert_int_equal(os_error, 0);
    return fd;
}

static inline int net_socket(net_rig *rig, uint32_t shard, int family)
{
    return net_socket_of(rig, shard, family, TINA_STREAM);
}

static inline tina_status net_bind(net_rig *rig, int fd, tina_address address)
{
    return api->socket_bind(rig->shards[0].backend, fd, &address, &os_error);
}

static inline tina_status net_listen(net_rig *rig, int fd, int backlog)
{
    tina_status status = api->socket_listen(rig->shards[0].backend, fd, backlog, &os_error);
    net_collect(rig);
    return status;
}

static inline void net_set(net_rig *rig, int fd, int option, int value)
{
    assert_int_equal(api->socket_set(rig->shards[0].backend, fd, option, value, &os_error), TINA_OK);
}

static inline int net_get(net_rig *rig, int fd, int option)
{
    int value;
    assert_int_equal(api->socket_get(rig->shards[0].backend, fd, option, &value, &os_error), TINA_OK);
    return value;
}

static inline tina_address net_local(net_rig *rig, int fd)
{
    tina_address address;
    assert_int_equal(api->socket_local(rig->shards[0].backend, fd, &address, &os_error), TINA_OK);
    return address;
}

static inline tina_status net_shutdown(net_rig *rig, uint32_t shard, int fd, int half)
{
    tina_status status = api->socket_shutdown(rig->shards[shard].backend, fd, half, &os_error);
    net_collect(rig);
    return status;
}

static inline tina_address net_ipv4(uint8_t a, uint8_t b, uint8_t c, uint8_t d, uint16_t port)
{
    return (tina_address){.family = TINA_IPV4, .port = port, .ipv4 = {a, b, c, d}};
}

/* Of a Unix socket. */
static inline tina_address net_name(const char *path)
{
    tina_address address = {.family = TINA_UNIX, .length = (uint8_t)strlen(path)};
    memcpy(address.path, path, address.length);
    return address;
}

static inline tina_address net_abstract(const char *name)
{
    tina_address address = {.family = TINA_UNIX, .length = (uint8_t)(1 + strlen(name))};
    memcpy(address.path + 1, name, strlen(name));
    return address;
}

static inline bool net_is_same(const tina_address *a, const tina_address *b)
{
    if (a->family != b->family)
        return false;
    if (a->family == TINA_UNIX)
        return a->length == b->length && memcmp(a->path, b->path, a->length) == 0;
    return a->port == b->port && memcmp(a->ipv6, b->ipv6, a->family == TINA_IPV4 ? 4 : 16) == 0;
}

static inline void net_assert_address(tina_address address, tina_address expected)
{
    assert_true(net_is_same(&address, &expected));
}

static inline tina_address net_loopback(uint16_t port) { return net_ipv4(127, 0, 0, 1, port); }

/* Of shard 1, on every address of IPv4. */
static inline int net_listener(net_rig *rig, int backlog, tina_address *address)
{
    int fd = net_socket(rig, 1, TINA_IPV4);
    assert_int_equal(net_listen(rig, fd, backlog), TINA_OK);
    *address = net_loopback(net_local(rig, fd).port);
    return fd;
}

/* A socket for datagrams, with a port or a name of the net's choice. */
static inline int net_datagram(net_rig *rig, uint32_t shard, int family, tina_address *address)
{
    int fd = net_socket_of(rig, shard, family, TINA_DATAGRAM);
    tina_address any = {.family = (uint8_t)family};
    if (family == TINA_IPV4)
        any = net_loopback(0);
    if (family == TINA_IPV6)
        any.ipv6[15] = 1;
    assert_int_equal(net_bind(rig, fd, any), TINA_OK);
    *address = net_local(rig, fd);
    return fd;
}

/* client is of shard 0, server of shard 1. No faults meanwhile. */
static inline void net_pair(net_rig *rig, int *client, int *server)
{
    tina_address address;
    tina__faults faults = rig->faults;
    rig->faults = (tina__faults){0};
    int listener = net_listener(rig, 1, &address);
    *client = net_socket(rig, 0, TINA_IPV4);
    net_assert(net_connect(rig, 0, *client, address), TINA_OK, 0);
    net_request *accepted = net_accept(rig, 1, listener);
    net_assert(accepted, TINA_OK, 0);
    *server = accepted->completion.os_fd;
    net_close_fd(rig, 1, listener);
    rig->faults = faults;
}

static inline tina__net_ledger net_ledger(const net_rig *rig)
{
    tina__net_ledger ledger;
    tina__net_read_ledger(rig->net, &ledger);
    return ledger;
}

static inline tina__net_holdings net_holdings(const net_rig *rig, uint32_t shard)
{
    tina__net_holdings holdings;
    tina__net_read_holdings(rig->shards[shard].backend, &holdings);
    return holdings;
}

#endif
