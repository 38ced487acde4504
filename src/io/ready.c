#define _GNU_SOURCE 1
#include "io/ready.h"

#include "base/assert.h"
#include "base/bits.h"
#include "base/handle.h"
#include "os/sock_posix.h"

#include <errno.h>
#include <unistd.h>

/* A request's backend_state. */
enum { FRESH, CONNECTING, STARVED };

size_t tina__ready_memory_size(const tina__backend_config *config)
{
    return config->fd_count * sizeof(tina__ready_fd) + config->buffer_count * sizeof(uint32_t);
}

void tina__ready_init(tina__ready *ready, const tina__backend_config *config, void *memory)
{
    *ready = (tina__ready){
        .fds = memory,
        .fd_count = config->fd_count,
        .handed = TINA__NONE,
        .buffers = config->buffers,
        .buffer_size = config->buffer_size,
        .buffer_count = config->buffer_count,
    };
    ready->lent = (uint32_t *)(void *)(ready->fds + config->fd_count);
}

static tina__ready_fd *fd_at(tina__ready *ready, uint32_t slot)
{
    tina__assert(slot < ready->fd_count);
    return &ready->fds[slot];
}

static bool is_reading(const tina__io_request *request) { return tina__io_reads(request->kind); }

static tina__io_request **place_of(tina__ready_fd *fd, const tina__io_request *request)
{
    return is_reading(request) ? &fd->reader : &fd->writer;
}

static void finish(tina__ready *ready, tina__io_request *request, tina_status status, int os_error)
{
    tina__requests_finish(&ready->done, request, tina__completion_make(request, status, os_error));
}

static void fail(tina__ready *ready, tina__io_request *request, int os_error)
{
    finish(ready, request, tina__sock_status(os_error), os_error);
}

static bool would_block(int os_error) { return os_error == EAGAIN || os_error == EWOULDBLOCK; }

/* ---- One attempt of each kind. True: the request is over; false: it would block ---- */

static bool try_accept(tina__ready *ready, tina__ready_fd *fd, tina__io_request *request)
{
    int os_fd;
    do {
        os_fd = accept4(request->os_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    } while (os_fd < 0 && errno == EINTR);
    if (os_fd < 0) {
        if (would_block(errno))
            return false;
        fail(ready, request, errno);
        return true;
    }
    fd->accepted = os_fd;
    fd->has_accepted = true;
    tina__io_completion completion = tina__completion_make(request, TINA_OK, 0);
    completion.os_fd = os_fd;
    tina__requests_finish(&ready->done, request, completion);
    return true;
}

/* A connection that was begun: an event alone does not say that it stands. */
static bool look_after_connect(tina__ready *ready, tina__io_request *request)
{
    int os_error = 0;
    socklen_t length = sizeof os_error;
    if (getsockopt(request->os_fd, SOL_SOCKET, SO_ERROR, &os_error, &length) != 0)
        os_error = errno;
    if (os_error == 0) {
        tina__sock_address host = {.length = sizeof host.bytes};
        if (getpeername(request->os_fd, &host.any, &host.length) == 0) {
            finish(ready, request, TINA_OK, 0);
            return true;
        }
        if (errno == ENOTCONN)
            return false;
        os_error = errno;
    }
    fail(ready, request, os_error);
    return true;
}

static bool try_connect(tina__ready *ready, tina__io_request *request)
{
    if (request->backend_state == CONNECTING)
        return look_after_connect(ready, request);
    tina__sock_address host;
    if (!tina__sock_encode(request->peer, &host)) {
        finish(ready, request, TINA_INVALID, 0);
        return true;
    }
    if (connect(request->os_fd, &host.any, host.length) == 0) {
        finish(ready, request, TINA_OK, 0);
        return true;
    }
    /* Interrupted or begun earlier, it goes on all the same. */
    if (errno == EINPROGRESS || errno == EALREADY || errno == EINTR) {
        request->backend_state = CONNECTING;
        return false;
    }
    fail(ready, request, errno);
    return true;
}

static bool try_receive(tina__ready *ready, tina__ready_fd *fd, tina__io_request *request)
{
    if (ready->lent_count == 0) {
        request->backend_state = STARVED;
        finish(ready, request, TINA_BUSY, 0);
        return true;
    }
    uint32_t buffer = ready->lent[ready->lent_count - 1];
    uint32_t size = request->size == 0 ? ready->buffer_size : tina__min_u32(request->size, ready->buffer_size);
    ssize_t taken;
    do {
        taken = recv(request->os_fd, ready->buffers + (size_t)buffer * ready->buffer_size, size, MSG_DONTWAIT);
    } while (taken < 0 && errno == EINTR);
    if (taken < 0 && would_block(errno))
        return false;
    if (taken < 0) {
        fail(ready, request, errno);
        return true;
    }
    if (taken == 0) {
        finish(ready, request, TINA_CLOSED, 0);
        return true;
    }
    ready->lent_count--;
    fd->is_drained = fd->is_watched && !fd->is_ending && (size_t)taken < size;
    tina__io_completion completion = tina__completion_make(request, TINA_OK, 0);
    completion.size = (uint32_t)taken;
    completion.buffer = buffer;
    tina__requests_finish(&ready->done, request, completion);
    return true;
}

static bool try_send(tina__ready *ready, tina__ready_fd *fd, tina__io_request *request)
{
    ssize_t taken;
    do {
        taken = send(request->os_fd, request->data, request->size, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (taken < 0 && errno == EINTR);
    if (taken < 0 && would_block(errno)) {
        if (!request->no_wait)
            return false;
        finish(ready, request, TINA_BUSY, 0);
        return true;
    }
    if (taken < 0) {
        fail(ready, request, errno);
        return true;
    }
    fd->is_full = fd->is_watched && !fd->is_ending && (size_t)taken < request->size;
    tina__io_completion completion = tina__completion_make(request, TINA_OK, 0);
    completion.size = (uint32_t)taken;
    tina__requests_finish(&ready->done, request, completion);
    return true;
}

static bool try_request(tina__ready *ready, tina__ready_fd *fd, tina__io_request *request)
{
    bool is_over = false;
    switch ((tina__io_kind)request->kind) {
    case TINA__IO_ACCEPT: is_over = try_accept(ready, fd, request); break;
    case TINA__IO_CONNECT: is_over = try_connect(ready, request); break;
    case TINA__IO_RECEIVE: is_over = try_receive(ready, fd, request); break;
    case TINA__IO_SEND: is_over = try_send(ready, fd, request); break;
    default:
        finish(ready, request, TINA_UNSUPPORTED, 0);
        is_over = true;
        break;
    }
    if (!is_over && is_reading(request))
        fd->is_drained = true;
    if (!is_over && !is_reading(request))
        fd->is_full = true;
    return is_over;
}

/* ---- Waiting ---- */

static bool is_worth_trying(const tina__ready *ready, const tina__ready_fd *fd, const tina__io_request *request)
{
    if (request->kind == TINA__IO_CONNECT || request->no_wait)
        return true;
    /* Without a buffer an attempt says nothing: where nobody knows whether there is data, the watch will. */
    if (request->kind == TINA__IO_RECEIVE && ready->lent_count == 0 && !fd->is_watched)
        return false;
    return !(fd->is_watched && (is_reading(request) ? fd->is_drained : fd->is_full));
}

bool tina__ready_submit(tina__ready *ready, tina__io_request *request)
{
    if (!tina__io_has_fd(request->kind)) {
        finish(ready, request, TINA_UNSUPPORTED, 0);
        return false;
    }
    tina__ready_fd *fd = fd_at(ready, request->slot);
    tina__io_request **place = place_of(fd, request);
    tina__assert(*place == NULL);
    request->backend_state = FRESH;
    if (is_worth_trying(ready, fd, request) && try_request(ready, fd, request))
        return false;
    *place = request;
    ready->waiting_count++;
    return true;
}

static bool stop_waiting(tina__ready *ready, tina__io_request *request)
{
    tina__io_request **place = place_of(fd_at(ready, request->slot), request);
    if (*place != request)
        return false;
    tina__assert(ready->waiting_count != 0);
    *place = NULL;
    ready->waiting_count--;
    return true;
}

void tina__ready_refuse(tina__ready *ready, tina__io_request *request, tina_status status, int os_error)
{
    bool was_waiting = stop_waiting(ready, request);
    tina__assert(was_waiting);
    finish(ready, request, status, os_error);
}

void tina__ready_cancel(tina__ready *ready, tina__io_request *request)
{
    if (stop_waiting(ready, request)) {
        finish(ready, request, TINA_CANCELLED, 0);
    } else if (request->backend_state == STARVED) {
        request->backend_state = FRESH;
        ((tina__io_completion *)request->backend_memory)->status = TINA_CANCELLED;
    }
}

static void retry(tina__ready *ready, tina__ready_fd *fd, tina__io_request **place)
{
    if (*place == NULL || !try_request(ready, fd, *place))
        return;
    *place = NULL;
    ready->waiting_count--;
}

void tina__ready_tell(tina__ready *ready, uint32_t slot, tina__ready_event event)
{
    tina__ready_fd *fd = fd_at(ready, slot);
    fd->is_ending |= event.is_ending;
    if (event.may_read) {
        fd->is_drained = false;
        retry(ready, fd, &fd->reader);
    }
    if (event.may_write) {
        fd->is_full = false;
        retry(ready, fd, &fd->writer);
    }
}

bool tina__ready_goes_again(const tina__ready *ready, const tina__io_request *request)
{
    return request->backend_state == STARVED && ready->lent_count != 0;
}

tina__io_completion tina__ready_hand_out(tina__ready *ready, const tina__io_request *request)
{
    if (!tina__io_has_fd(request->kind))
        return tina__requests_completion(request);
    tina__ready_fd *fd = fd_at(ready, request->slot);
    if (request->kind == TINA__IO_ACCEPT && fd->has_accepted) {
        fd->next_handed = ready->handed;
        ready->handed = request->slot;
    }
    return tina__requests_completion(request);
}

void tina__ready_hands_off(tina__ready *ready)
{
    for (; ready->handed != TINA__NONE; ready->handed = ready->fds[ready->handed].next_handed)
        ready->fds[ready->handed].has_accepted = false;
}

void tina__ready_lend(tina__ready *ready, uint32_t buffer)
{
    tina__assert(buffer < ready->buffer_count);
    tina__assert(ready->lent_count < ready->buffer_count);
    ready->lent[ready->lent_count++] = buffer;
}

void tina__ready_forget(tina__ready *ready, uint32_t slot)
{
    tina__ready_fd *fd = fd_at(ready, slot);
    tina__assert(fd->reader == NULL);
    tina__assert(fd->writer == NULL);
    *fd = (tina__ready_fd){.generation = fd->generation + 1};
}

static void abandon_fd(tina__ready_fd *fd)
{
    if (fd->has_accepted)
        close(fd->accepted);
    *fd = (tina__ready_fd){.generation = fd->generation + 1};
}

void tina__ready_abandon(tina__ready *ready)
{
    for (uint32_t slot = 0; slot < ready->fd_count; slot++)
        abandon_fd(&ready->fds[slot]);
    ready->waiting_count = 0;
    ready->done.first = NULL;
    ready->handed = TINA__NONE;
    ready->lent_count = 0;
}
