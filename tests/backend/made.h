/*
 * The far ends of connections on a made network: a second shard of it, which does
 * at once what a test elsewhere does by system calls. Include it after <cmocka.h>.
 */
#ifndef TESTS_BACKEND_MADE_H
#define TESTS_BACKEND_MADE_H

#include "base/handle.h"
#include "sim/net.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#define MADE_BUFFER 65536
#define MADE_WINDOW 20000 /* smaller than that, and no power of two */

typedef struct test_made {
    tina__net *net; /* NULL: the network is the kernel's */
    tina__faults faults;
    tina__backend *backend; /* of the far ends */
    tina__backend_config config;
    tina__io_request request;
    _Alignas(16) uint8_t request_memory[128];
    uint32_t generation;
    bool is_guest; /* the network and the far ends are another's */
} test_made;

enum { MADE_NEAR, MADE_FAR, MADE_BESIDE, MADE_SHARDS };

static inline void made_open(test_made *self, uint32_t near_fd_count)
{
    tina__net_config config = {
        .seed = 1,
        .now_ns = 1000000000,
        .round_ns = 1000000,
        .shard_count = MADE_SHARDS,
        .socket_count = 2 * near_fd_count + 64,
        .window_size = MADE_WINDOW,
        .faults = &self->faults,
    };
    self->net = tina__net_make(&config);
    assert_non_null(self->net);
    self->config = (tina__backend_config){.op_count = 2, .buffer_count = 1, .buffer_size = MADE_BUFFER, .fd_count = 64};
    self->config.buffers = malloc(MADE_BUFFER);
    self->config.memory = calloc(1, tina__net_backend.memory_size(&self->config));
    assert_non_null(self->config.buffers);
    assert_non_null(self->config.memory);
    self->backend = tina__net_attach(self->net, MADE_FAR, &self->config);
    tina__net_backend.lend(self->backend, 0);
}

/* A second backend of that network; it is closed before the first. */
static inline void made_join(test_made *self, const test_made *host)
{
    *self = *host;
    self->is_guest = true;
}

static inline void made_close(test_made *self)
{
    if (self->is_guest)
        return;
    tina__net_ledger ledger;
    tina__net_read_ledger(self->net, &ledger);
    assert_int_equal(ledger.sockets, 0);
    assert_null(tina__net_broken(self->net));
    tina__net_backend.close(self->backend);
    tina__net_destroy(self->net);
    free(self->config.memory);
    free(self->config.buffers);
}

static inline uint32_t made_socket_count(const test_made *self)
{
    tina__net_ledger ledger;
    tina__net_read_ledger(self->net, &ledger);
    return ledger.sockets;
}

/* What it comes to at once; TINA_CANCELLED: it would wait. */
static inline tina__io_completion made_do(test_made *self, uint8_t kind, int os_fd, const void *data, uint32_t size,
                                          tina_address *peer)
{
    tina__io_completion completion;
    self->generation = tina__word_generation_next(self->generation);
    self->request = (tina__io_request){
        .token = tina__word_make(MADE_FAR, 0, self->generation),
        .os_fd = os_fd,
        .kind = kind,
        .data = data,
        .size = size,
        .peer = peer,
        .backend_memory = self->request_memory,
    };
    tina__net_backend.submit(self->backend, &self->request);
    tina__net_backend.cancel(self->backend, &self->request);
    assert_int_equal(tina__net_backend.collect(self->backend, &completion, 1), 1);
    return completion;
}

static inline void made_send(test_made *self, int os_fd, const void *data, size_t size)
{
    tina__io_completion completion = made_do(self, TINA__IO_SEND, os_fd, data, (uint32_t)size, NULL);
    assert_int_equal(completion.status, TINA_OK);
    assert_int_equal(completion.size, size);
}

/* As read(2) returns it. */
static inline ssize_t made_receive(test_made *self, int os_fd, void *into, size_t size)
{
    tina__io_completion completion = made_do(self, TINA__IO_RECEIVE, os_fd, NULL, (uint32_t)size, NULL);
    if (completion.buffer != TINA__BUFFER_NONE) {
        memcpy(into, self->config.buffers, completion.size);
        tina__net_backend.lend(self->backend, completion.buffer);
        return (ssize_t)completion.size;
    }
    errno = completion.status == TINA_CANCELLED ? EAGAIN : completion.os_error;
    return completion.status == TINA_CLOSED ? 0 : -1;
}

static inline void made_drop(test_made *self, int os_fd) { tina__net_backend.close_fd(self->backend, os_fd, 0); }

static inline void made_connect(test_made *self, int os_fd, const tina_address *address)
{
    tina_address to = *address;
    assert_int_equal(made_do(self, TINA__IO_CONNECT, os_fd, NULL, 0, &to).status, TINA_OK);
}

static inline int made_socket(tina__backend *backend)
{
    int os_fd, os_error;
    assert_int_equal(tina__net_backend.socket_open(backend, TINA_IPV4, TINA_STREAM, &os_fd, &os_error), TINA_OK);
    return os_fd;
}

/* A connected pair: near is that backend's. */
static inline void made_pair(test_made *self, tina__backend *backend, int *near, int *far)
{
    tina_address address;
    int os_error;
    int listener = made_socket(self->backend);
    *near = made_socket(backend);
    assert_int_equal(tina__net_backend.socket_listen(self->backend, listener, 1, &os_error), TINA_OK);
    assert_int_equal(tina__net_backend.socket_local(self->backend, listener, &address, &os_error), TINA_OK);
    made_connect(self, *near, &address);
    *far = made_do(self, TINA__IO_ACCEPT, listener, NULL, 0, NULL).os_fd;
    assert_true(*far >= 0);
    made_drop(self, listener);
}

#endif
