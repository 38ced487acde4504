/*
 * One backend with all that a reactor would give it, and requests that keep count
 * of their completions. Waiting is bounded: what has not completed by then fails
 * the test. The far ends of connections are played by plain system calls, or on a
 * made network by what stands in for them. Include it after <cmocka.h>.
 */
#ifndef TESTS_BACKEND_RIG_H
#define TESTS_BACKEND_RIG_H

#include "base/assert.h"
#include "base/bits.h"
#include "base/handle.h"
#include "io/backend.h"
#include "made.h"
#include "support/leaks.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define RIG_PATIENCE_NS 100000000ull /* one wait */
#define RIG_WAITS_MAX   300
#define RIG_SHARD       7

typedef struct rig_request {
    _Alignas(16) uint8_t memory[128];
    tina__io_request request;
    tina__io_completion completion;
    tina_address peer;
    uint32_t generation;
    uint32_t submitted, completed;
} rig_request;

typedef struct rig_fd {
    int os_fd;
    uint32_t slot;
} rig_fd;

typedef struct test_rig {
    const tina__backend_api *api;
    tina__backend *backend;
    tina__backend_config config;
    test_made made;
    rig_request *requests; /* config.op_count of them; taken one after the other */
    uint32_t used;
    uint32_t *free_slots;
    uint32_t free_slot_count;
    uint32_t submitted, completed;
    uint32_t unexpected; /* completions of no request that was under way */
    uint32_t held;       /* buffers that a completion named, not lent again yet */
    size_t fds_before;
    tina_status status; /* of the opening */
    int os_error;
    const char *why;
} test_rig;

/* ---- Opening and closing ---- */

static inline void *rig_pages(size_t size)
{
    size_t whole = tina__align_up(size == 0 ? 1 : size, 4096);
    void *pages = aligned_alloc(4096, whole);
    assert_non_null(pages);
    return memset(pages, 0, whole);
}

static inline bool rig_is_made(const test_rig *rig) { return rig->made.net != NULL; }

/* Open descriptors, wherever they are. */
static inline size_t rig_fd_count(const test_rig *rig)
{
    return rig_is_made(rig) ? made_socket_count(&rig->made) : tina_test_fd_count();
}

static inline void rig_release(test_rig *rig)
{
    if (rig_is_made(rig))
        made_close(&rig->made);
    free(rig->config.memory);
    free(rig->config.buffers);
    free(rig->config.annexes);
    free(rig->requests);
    free(rig->free_slots);
    close(rig->config.wake_fd);
}

static inline size_t rig_memory_size(uint8_t wanted, const tina__backend_config *config)
{
    return wanted == TINA_BACKEND_SIM ? tina__net_backend.memory_size(config) : tina__backend_memory(wanted, config);
}

static inline tina_status rig_open_backend(test_rig *rig, uint8_t wanted)
{
    if (wanted != TINA_BACKEND_SIM)
        return tina__backend_open(wanted, &rig->config, &rig->api, &rig->backend, &rig->os_error, &rig->why);
    made_open(&rig->made, rig->config.fd_count);
    rig->api = &tina__net_backend;
    rig->backend = tina__net_attach(rig->made.net, MADE_NEAR, &rig->config);
    return TINA_OK;
}

/* rig->status says whether it worked; all buffers are lent. config: the counts and buffer_size alone. */
static inline void rig_try_open(test_rig *rig, uint8_t wanted, tina__backend_config config)
{
    memset(rig, 0, sizeof *rig);
    rig->fds_before = tina_test_fd_count();
    config.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    config.buffers = rig_pages((size_t)config.buffer_count * config.buffer_size);
    config.annexes = rig_pages((size_t)config.buffer_count * TINA__ANNEX_SIZE);
    config.memory = rig_pages(rig_memory_size(wanted, &config));
    rig->config = config;
    rig->requests = rig_pages(config.op_count * sizeof(rig_request));
    rig->free_slots = rig_pages(config.fd_count * sizeof(uint32_t));
    for (uint32_t i = 0; i < config.fd_count; i++)
        rig->free_slots[rig->free_slot_count++] = config.fd_count - 1 - i;
    for (uint32_t i = 0; i < config.op_count; i++)
        rig->requests[i].generation = 1;
    rig->status = rig_open_backend(rig, wanted);
    if (rig->status != TINA_OK) {
        rig_release(rig);
        return;
    }
    for (uint32_t i = 0; i < config.buffer_count; i++)
        rig->api->lend(rig->backend, i);
}

/* Nothing may be under way, held or open. */
static inline void rig_close(test_rig *rig)
{
    assert_int_equal(rig->submitted, rig->completed);
    assert_int_equal(rig->unexpected, 0);
    assert_int_equal(rig->held, 0);
    assert_int_equal(rig->free_slot_count, rig->config.fd_count);
    rig->api->close(rig->backend);
    rig_release(rig);
    assert_int_equal(tina_test_fd_count(), rig->fds_before);
}

/* ---- Descriptors ---- */

static inline rig_fd rig_adopt(test_rig *rig, int os_fd)
{
    assert_true(os_fd >= 0);
    assert_true(rig->free_slot_count != 0);
    return (rig_fd){.os_fd = os_fd, .slot = rig->free_slots[--rig->free_slot_count]};
}

static inline void rig_close_fd(test_rig *rig, rig_fd fd)
{
    rig->api->close_fd(rig->backend, fd.os_fd, fd.slot);
    rig->free_slots[rig->free_slot_count++] = fd.slot;
}

/* A connected pair; the test plays the other end. */
static inline rig_fd rig_pair(test_rig *rig, int *other)
{
    int ends[2];
    if (rig_is_made(rig))
        made_pair(&rig->made, rig->backend, &ends[0], &ends[1]);
    else
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    *other = ends[1];
    return rig_adopt(rig, ends[0]);
}

static inline rig_fd rig_socket(test_rig *rig, int family)
{
    int os_fd, os_error;
    assert_int_equal(rig->api->socket_open(rig->backend, family, TINA_STREAM, &os_fd, &os_error), TINA_OK);
    return rig_adopt(rig, os_fd);
}

/* Bound to a free port of the loopback. */
static inline rig_fd rig_bound(test_rig *rig, int family, tina_address *address)
{
    static const uint8_t loopback[16] = {[15] = 1};
    tina_address wanted = {.family = (uint8_t)family};
    if (family == TINA_IPV6)
        memcpy(wanted.ipv6, loopback, sizeof loopback);
    else
        memcpy(wanted.ipv4, (uint8_t[]){127, 0, 0, 1}, 4);
    rig_fd fd = rig_socket(rig, family);
    int os_error;
    assert_int_equal(rig->api->socket_bind(rig->backend, fd.os_fd, &wanted, &os_error), TINA_OK);
    assert_int_equal(rig->api->socket_local(rig->backend, fd.os_fd, address, &os_error), TINA_OK);
    return fd;
}

static inline rig_fd rig_listener(test_rig *rig, int family, int backlog, tina_address *address)
{
    rig_fd fd = rig_bound(rig, family, address);
    int os_error;
    assert_int_equal(rig->api->socket_listen(rig->backend, fd.os_fd, backlog, &os_error), TINA_OK);
    return fd;
}

/* As many descriptors as the process may have, at most count. */
static inline uint32_t rig_descriptors_for_us(uint8_t wanted, uint32_t count)
{
    if (wanted == TINA_BACKEND_SIM)
        return count;
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return limit.rlim_cur < count + 100 ? (uint32_t)limit.rlim_cur - 100 : count;
}

/* ---- Other ends: descriptors that the backend under test has no request on ---- */

static inline void rig_feed(test_rig *rig, int os_fd, const void *data, size_t size)
{
    if (rig_is_made(rig))
        made_send(&rig->made, os_fd, data, size);
    else
        assert_int_equal(write(os_fd, data, size), size);
}

/* As read(2) returns it; does not wait where the descriptor does not. */
static inline ssize_t rig_read(test_rig *rig, int os_fd, void *into, size_t size)
{
    return rig_is_made(rig) ? made_receive(&rig->made, os_fd, into, size) : read(os_fd, into, size);
}

/* Until there is something to read. */
static inline void rig_await_input(test_rig *rig, int os_fd)
{
    struct pollfd ready = {.fd = os_fd, .events = POLLIN};
    if (!rig_is_made(rig))
        assert_int_equal(poll(&ready, 1, 10000), 1);
}

static inline void rig_drop(test_rig *rig, int os_fd)
{
    if (rig_is_made(rig))
        made_drop(&rig->made, os_fd);
    else
        close(os_fd);
}

/* A connection that is not the backend's. */
static inline int rig_dial(test_rig *rig, const tina_address *address)
{
    int os_fd;
    if (rig_is_made(rig)) {
        os_fd = made_socket(rig->made.backend);
        made_connect(&rig->made, os_fd, address);
        return os_fd;
    }
    struct sockaddr_in host = {.sin_family = AF_INET, .sin_port = htons(address->port)};
    memcpy(&host.sin_addr, address->ipv4, sizeof address->ipv4);
    os_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(os_fd, (struct sockaddr *)&host, sizeof host), 0);
    return os_fd;
}

/* The other side of it is closed: the end comes, in order or as a reset. Closes it. */
static inline void rig_assert_ended(test_rig *rig, int os_fd)
{
    rig_await_input(rig, os_fd);
    char byte;
    ssize_t size = rig_read(rig, os_fd, &byte, 1);
    assert_true(size == 0 || (size < 0 && errno == ECONNRESET));
    rig_drop(rig, os_fd);
}

/* ---- Requests ---- */

static inline rig_request *rig_prepare(test_rig *rig, uint8_t kind, rig_fd fd)
{
    assert_true(rig->used < rig->config.op_count);
    uint32_t index = rig->used++;
    rig_request *request = &rig->requests[index];
    request->request = (tina__io_request){
        .token = tina__word_make(RIG_SHARD, index, request->generation),
        .slot = fd.slot,
        .os_fd = fd.os_fd,
        .kind = kind,
        .backend_memory = request->memory,
    };
    return request;
}

static inline rig_request *rig_accept(test_rig *rig, rig_fd fd)
{
    return rig_prepare(rig, TINA__IO_ACCEPT, fd);
}

static inline rig_request *rig_connect(test_rig *rig, rig_fd fd, const tina_address *address)
{
    rig_request *request = rig_prepare(rig, TINA__IO_CONNECT, fd);
    request->peer = *address;
    request->request.peer = &request->peer;
    return request;
}

static inline rig_request *rig_receive(test_rig *rig, rig_fd fd, uint32_t size)
{
    rig_request *request = rig_prepare(rig, TINA__IO_RECEIVE, fd);
    request->request.size = size;
    return request;
}

static inline rig_request *rig_send(test_rig *rig, rig_fd fd, const void *data, uint32_t size)
{
    rig_request *request = rig_prepare(rig, TINA__IO_SEND, fd);
    request->request.data = data;
    request->request.size = size;
    return request;
}

/* Requests that go over in one batch are chained with rig_chain, and given to rig_submit_list by their first. */
static inline void rig_chain(rig_request *first, rig_request *second) { first->request.next = &second->request; }

static inline void rig_submit_list(test_rig *rig, rig_request *first)
{
    for (tina__io_request *request = &first->request; request != NULL; request = request->next) {
        TINA__CONTAINER_OF(request, rig_request, request)->submitted++;
        rig->submitted++;
    }
    rig->api->submit(rig->backend, &first->request);
}

static inline void rig_submit(test_rig *rig, rig_request *request)
{
    request->request.next = NULL;
    rig_submit_list(rig, request);
}

/* The same request once more, as a new operation. */
static inline void rig_renew(rig_request *request)
{
    assert_int_equal(request->submitted, request->completed);
    request->generation = tina__word_generation_next(request->generation);
    request->request.token = tina__word_make(RIG_SHARD, tina__word_index(request->request.token), request->generation);
}

static inline void rig_cancel(test_rig *rig, rig_request *request) { rig->api->cancel(rig->backend, &request->request); }

/* ---- Completions ---- */

static inline void rig_note(test_rig *rig, const tina__io_completion *completion)
{
    uint32_t index = tina__word_index(completion->token);
    rig_request *request = index < rig->used ? &rig->requests[index] : NULL;
    if (request == NULL || request->request.token != completion->token || request->submitted != request->completed + 1) {
        rig->unexpected++;
        return;
    }
    request->completion = *completion;
    if (request->request.kind == TINA__IO_ACCEPT && completion->status == TINA_OK) {
        int os_error;
        if (rig->api->socket_peer(rig->backend, completion->os_fd, &request->peer, &os_error) != TINA_OK)
            request->peer.family = 0;
    }
    request->completed++;
    rig->completed++;
    rig->held += completion->buffer != TINA__BUFFER_NONE;
}

static inline void rig_collect(test_rig *rig)
{
    tina__io_completion completions[16];
    uint32_t count;
    do {
        count = rig->api->collect(rig->backend, completions, 16);
        for (uint32_t i = 0; i < count; i++)
            rig_note(rig, &completions[i]);
    } while (count != 0);
}

/* Returns its argument, a rig; NULL: it did not work. The body of a thread, or called. */
static inline void *rig_wake(void *argument)
{
    const test_rig *rig = argument;
    uint64_t one = 1;
    ssize_t written = write(rig->config.wake_fd, &one, sizeof one);
    return written == sizeof one ? argument : NULL;
}

static inline void rig_turn(test_rig *rig, uint64_t wait_ns)
{
    rig->api->flush(rig->backend, wait_ns);
    rig_collect(rig);
}

static inline bool rig_is_over(const rig_request *request) { return request->completed == request->submitted; }

static inline void rig_await(test_rig *rig, rig_request *request)
{
    for (int i = 0; i < RIG_WAITS_MAX && !rig_is_over(request); i++)
        rig_turn(rig, RIG_PATIENCE_NS);
    assert_true(rig_is_over(request));
}

static inline void rig_await_all(test_rig *rig)
{
    /* Each turn that completes anything is progress, so only the others are counted. */
    for (int i = 0; i < RIG_WAITS_MAX && rig->completed != rig->submitted;) {
        uint32_t before = rig->completed;
        rig_turn(rig, RIG_PATIENCE_NS);
        i += rig->completed == before;
    }
    assert_int_equal(rig->completed, rig->submitted);
}

/* Submits it, and waits for it; returns its status. */
static inline int rig_do(test_rig *rig, rig_request *request)
{
    rig_submit(rig, request);
    rig_await(rig, request);
    return request->completion.status;
}

static inline const uint8_t *rig_data(const test_rig *rig, const rig_request *request)
{
    assert_int_not_equal(request->completion.buffer, TINA__BUFFER_NONE);
    return rig->config.buffers + (size_t)request->completion.buffer * rig->config.buffer_size;
}

/* Gives the buffer of its completion back, where it has one. */
static inline void rig_lend_back(test_rig *rig, rig_request *request)
{
    if (request->completion.buffer == TINA__BUFFER_NONE)
        return;
    rig->api->lend(rig->backend, request->completion.buffer);
    request->completion.buffer = TINA__BUFFER_NONE;
    rig->held--;
}

/* ---- What several tests need ---- */

/* A connection over the loopback: client and what the listener accepted for it. */
static inline void rig_connected(test_rig *rig, int family, rig_fd *client, rig_fd *server)
{
    tina_address address;
    rig_fd listener = rig_listener(rig, family, 8, &address);
    *client = rig_socket(rig, family);
    rig_request *accepting = rig_accept(rig, listener);
    rig_request *connecting = rig_connect(rig, *client, &address);
    rig_submit(rig, accepting);
    rig_submit(rig, connecting);
    rig_await_all(rig);
    assert_int_equal(connecting->completion.status, TINA_OK);
    assert_int_equal(accepting->completion.status, TINA_OK);
    *server = rig_adopt(rig, accepting->completion.os_fd);
    rig_close_fd(rig, listener);
}

/* Sends until not a byte more is taken at once. */
static inline void rig_fill(test_rig *rig, rig_request *send_, uint64_t *sent)
{
    send_->request.no_wait = true;
    do {
        assert_int_equal(rig_do(rig, send_) == TINA_OK || send_->completion.status == TINA_BUSY, true);
        *sent += send_->completion.size;
        rig_renew(send_);
    } while (send_->completion.status == TINA_OK);
}

/* ---- Abandoning ---- */

/* All requests are over without a completion and may be taken anew; no buffer is held or lent. Descriptors stay open. */
static inline void rig_abandon(test_rig *rig)
{
    assert_true(rig->api->abandon(rig->backend));
    for (uint32_t i = 0; i < rig->used; i++) {
        rig_request *request = &rig->requests[i];
        uint32_t generation = tina__word_generation_next(request->generation);
        *request = (rig_request){.generation = generation};
    }
    rig->used = 0;
    rig->completed = rig->submitted;
    rig->held = 0;
}

static inline void rig_lend_all(test_rig *rig)
{
    for (uint32_t i = 0; i < rig->config.buffer_count; i++)
        rig->api->lend(rig->backend, i);
}

#endif
