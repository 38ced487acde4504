/* Requests that keep count of their completions. Part of rig.h. */
#ifndef TESTS_BACKEND_RIG_REQUESTS_H
#define TESTS_BACKEND_RIG_REQUESTS_H

#include "rig_open.h"

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
        .fd_class = fd.fd_class,
        .kind = kind,
        .backend_memory = request->memory,
    };
    return request;
}

static inline rig_request *rig_accept(test_rig *rig, rig_fd fd) { return rig_prepare(rig, TINA__IO_ACCEPT, fd); }

static inline rig_request *rig_connect(test_rig *rig, rig_fd fd, const tina_address *address)
{
    rig_request *request = rig_prepare(rig, TINA__IO_CONNECT, fd);
    request->peer = *address;
    request->request.peer = &request->peer;
    return request;
}

/* size 0: a whole buffer. */
static inline rig_request *rig_fill_buffer(test_rig *rig, uint8_t kind, rig_fd fd, uint32_t size)
{
    rig_request *request = rig_prepare(rig, kind, fd);
    request->request.size = size == 0 ? rig->config.buffer_size : size;
    return request;
}

static inline rig_request *rig_receive(test_rig *rig, rig_fd fd, uint32_t size)
{
    return rig_fill_buffer(rig, TINA__IO_RECEIVE, fd, size);
}

static inline rig_request *rig_receive_from(test_rig *rig, rig_fd fd, uint32_t size)
{
    return rig_fill_buffer(rig, TINA__IO_RECEIVE_FROM, fd, size);
}

/* Of a pipe, offset is 0. */
static inline rig_request *rig_read_at(test_rig *rig, rig_fd fd, uint64_t offset, uint32_t size)
{
    rig_request *request = rig_fill_buffer(rig, TINA__IO_READ, fd, size);
    request->request.offset = offset;
    return request;
}

static inline rig_request *rig_take_from(test_rig *rig, uint8_t kind, rig_fd fd, const void *data, uint32_t size)
{
    rig_request *request = rig_prepare(rig, kind, fd);
    request->request.data = data;
    request->request.size = size;
    return request;
}

static inline rig_request *rig_send(test_rig *rig, rig_fd fd, const void *data, uint32_t size)
{
    return rig_take_from(rig, TINA__IO_SEND, fd, data, size);
}

/* to NULL: where it is connected to. */
static inline rig_request *rig_send_to(test_rig *rig, rig_fd fd, const void *data, uint32_t size, const tina_address *to)
{
    rig_request *request = rig_take_from(rig, TINA__IO_SEND_TO, fd, data, size);
    if (to != NULL) {
        request->peer = *to;
        request->request.peer = &request->peer;
    }
    return request;
}

static inline rig_request *rig_write_at(test_rig *rig, rig_fd fd, uint64_t offset, const void *data, uint32_t size)
{
    rig_request *request = rig_take_from(rig, TINA__IO_WRITE, fd, data, size);
    request->request.offset = offset;
    return request;
}

static inline rig_request *rig_sendfile(test_rig *rig, rig_fd fd, rig_fd file, uint64_t offset, uint32_t size)
{
    rig_request *request = rig_prepare(rig, TINA__IO_SENDFILE, fd);
    request->request.file_fd = file.os_fd;
    request->request.offset = offset;
    request->request.size = size;
    return request;
}

static inline rig_request *rig_stat(test_rig *rig, rig_fd fd)
{
    rig_request *request = rig_prepare(rig, TINA__IO_STAT, fd);
    request->request.data = request->annex;
    return request;
}

static inline rig_request *rig_sync(test_rig *rig, rig_fd fd) { return rig_prepare(rig, TINA__IO_SYNC, fd); }

static inline rig_request *rig_truncate(test_rig *rig, rig_fd fd, uint64_t size)
{
    rig_request *request = rig_prepare(rig, TINA__IO_TRUNCATE, fd);
    request->request.offset = size;
    return request;
}

static inline rig_request *rig_by_path(test_rig *rig, uint8_t kind, const char *path, const char *new_path)
{
    rig_request *request = rig_prepare(rig, kind, (rig_fd){.os_fd = -1, .slot = TINA__SLOT_NONE});
    size_t size = strlen(path) + 1;
    size_t new_size = new_path == NULL ? 0 : strlen(new_path) + 1;
    assert_true(size + new_size <= sizeof request->paths);
    memcpy(request->paths, path, size);
    if (new_path != NULL)
        memcpy(request->paths + size, new_path, new_size);
    request->request.data = request->paths;
    request->request.size = (uint32_t)size;
    return request;
}

static inline rig_request *rig_open(test_rig *rig, const char *path, uint32_t flags)
{
    rig_request *request = rig_by_path(rig, TINA__IO_OPEN, path, NULL);
    request->request.flags = flags;
    request->request.mode = 0644;
    return request;
}

static inline rig_request *rig_rename(test_rig *rig, const char *path, const char *new_path)
{
    return rig_by_path(rig, TINA__IO_RENAME, path, new_path);
}

static inline rig_request *rig_unlink(test_rig *rig, const char *path)
{
    return rig_by_path(rig, TINA__IO_UNLINK, path, NULL);
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

/* As a program waits in a loop of its own. What comes though the poller said nothing all the while is late. */
static inline void rig_wait_at_poller(test_rig *rig, uint64_t wait_ns)
{
    rig->api->flush(rig->backend, 0);
    tina__os_event_clear(rig->config.wake_fd);
    uint64_t limit_ns = rig->api->rest(rig->backend);
    struct pollfd wanted = {.fd = rig->config.poller, .events = POLLIN};
    if (limit_ns != 0)
        (void)tina__os_poller_wait(rig->config.poller, tina__os_now_ns() + tina__min_u64(limit_ns, wait_ns));
    bool is_told = limit_ns < wait_ns || poll(&wanted, 1, 0) == 1;
    uint32_t before = rig->completed;
    rig->api->flush(rig->backend, 0);
    rig_collect(rig);
    rig->late += !is_told && rig->completed != before;
}

static inline void rig_turn(test_rig *rig, uint64_t wait_ns)
{
    if (rig->config.has_poller && wait_ns != 0) {
        rig_wait_at_poller(rig, wait_ns);
        return;
    }
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

/* Whom the datagram is from. */
static inline const tina_address *rig_from(const test_rig *rig, const rig_request *request)
{
    assert_int_not_equal(request->completion.buffer, TINA__BUFFER_NONE);
    return (const void *)(rig->config.annexes + (size_t)request->completion.buffer * TINA__ANNEX_SIZE);
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

#endif
