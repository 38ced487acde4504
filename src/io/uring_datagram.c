/*
 * Datagrams that are received with whom they are from.
 *
 * Of IP sockets by one RECVMSG, whose header and name lie in the request's
 * backend_memory. The name of a Unix socket is too long for that: there it is
 * waited for a datagram, then the name is looked at without taking it, and then
 * the bytes are received, which costs a fifth more.
 *
 * The kernel keeps the buffer for itself where there was a datagram without bytes.
 * Then the request reads one byte from a file of ours, only for the buffer that
 * this brings; while none is lent, it waits for one.
 */
#define _GNU_SOURCE 1
#include "io/uring_inside.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- Before ---- */

static bool is_local(tina__backend *backend, const tina__io_request *request)
{
    tina__assert(request->slot < backend->fd_count);
    uint8_t *family = &backend->families[request->slot];
    int found = 0;
    socklen_t size = sizeof found;
    if (*family == AF_UNSPEC && getsockopt(request->os_fd, SOL_SOCKET, SO_DOMAIN, &found, &size) == 0)
        *family = (uint8_t)found;
    return *family == AF_UNIX;
}

int tina__uring_open_byte(tina__backend *backend)
{
    backend->byte_fd = memfd_create("tina_byte", MFD_CLOEXEC);
    return backend->byte_fd >= 0 && ftruncate(backend->byte_fd, 1) == 0 ? 0 : -errno;
}

void tina__uring_close_byte(tina__backend *backend)
{
    if (backend->byte_fd >= 0)
        close(backend->byte_fd);
    backend->byte_fd = -1;
}

bool tina__uring_datagram_begin(tina__backend *backend, tina__io_request *request)
{
    bool has_begun = tina__uring_is(request, TINA__URING_NAMED | TINA__URING_EMPTY);
    if (!has_begun && is_local(backend, request))
        tina__uring_set(request, TINA__URING_POLLS, true);
    if (!tina__uring_is(request, TINA__URING_EMPTY) || tina__uring_free_buffers(backend) != 0)
        return true;
    tina__uring_wait(&backend->wants_buffer, request);
    return false;
}

static void prepare_header(const tina__backend *backend, struct io_uring_sqe *entry, const tina__io_request *request)
{
    tina__uring_header *self = request->backend_memory;
    *self = (tina__uring_header){
        .header = {.msg_name = self->name, .msg_namelen = sizeof self->name, .msg_iov = &self->part, .msg_iovlen = 1},
        .part = {.iov_len = tina__uring_room(backend, request)},
    };
    io_uring_prep_recvmsg(entry, request->os_fd, &self->header, 0);
    bool may_starve = tina__uring_free_buffers(backend) == 0; /* it would fail although there may be no data */
    if (may_starve)
        entry->ioprio |= IORING_RECVSEND_POLL_FIRST;
}

void tina__uring_datagram_prepare(const tina__backend *backend, struct io_uring_sqe *entry, const tina__io_request *request)
{
    if (tina__uring_is(request, TINA__URING_EMPTY))
        io_uring_prep_read(entry, backend->byte_fd, NULL, 1, 0);
    else if (tina__uring_is(request, TINA__URING_NAMED))
        io_uring_prep_recv(entry, request->os_fd, NULL, tina__uring_room(backend, request), MSG_DONTWAIT | MSG_TRUNC);
    else
        prepare_header(backend, entry, request);
    tina__uring_select_buffer(entry);
}

/* ---- After ---- */

bool tina__uring_datagram_name(tina__io_request *request, tina__io_completion *completion)
{
    tina__sock_address *host = request->backend_memory;
    host->length = sizeof host->bytes;
    ssize_t size;
    do {
        size = recvfrom(request->os_fd, NULL, 0, MSG_PEEK | MSG_DONTWAIT, &host->any, &host->length);
    } while (size < 0 && errno == EINTR);
    tina__uring_set(request, TINA__URING_NAMED, size >= 0);
    if (size >= 0 || errno == EAGAIN)
        return false;
    *completion = tina__uring_failure(request, errno);
    return true;
}

/* Who sent it; is_truncated: it was longer than size. */
static void read_name(const tina__io_request *request, uint32_t size, tina_address *from, bool *is_truncated, uint32_t room)
{
    if (tina__uring_is(request, TINA__URING_NAMED)) {
        tina__sock_decode_sender(request->os_fd, request->backend_memory, from);
        *is_truncated = size > room;
        return;
    }
    const tina__uring_header *self = request->backend_memory;
    tina__sock_address host = {.length = tina__min_u32(self->header.msg_namelen, sizeof self->name)};
    memcpy(host.bytes, self->name, host.length);
    tina__sock_decode_sender(request->os_fd, &host, from);
    *is_truncated = (self->header.msg_flags & MSG_TRUNC) != 0;
}

static void tell(const tina__backend *backend, tina__io_completion *completion, uint32_t buffer, const tina_address *from)
{
    memcpy(backend->annexes + (size_t)buffer * TINA__ANNEX_SIZE, from, sizeof *from);
    completion->buffer = buffer;
}

bool tina__uring_datagram_take(tina__backend *backend, tina__io_request *request, uint32_t size, uint32_t buffer,
                               tina__io_completion *completion)
{
    tina_address from;
    *completion = tina__completion_make(request, TINA_OK, 0);
    if (tina__uring_is(request, TINA__URING_EMPTY)) {
        tell(backend, completion, buffer, request->backend_memory);
        return true;
    }
    uint32_t room = tina__uring_room(backend, request);
    read_name(request, size, &from, &completion->is_truncated, room);
    if (buffer == TINA__BUFFER_NONE) {
        memcpy(request->backend_memory, &from, sizeof from);
        tina__uring_set(request, TINA__URING_EMPTY, true);
        return false;
    }
    completion->size = tina__min_u32(size, room);
    tell(backend, completion, buffer, &from);
    return true;
}
