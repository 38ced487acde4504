/* Requests into entries of the submission ring; cancels, too, and what is waited for. */
#define _GNU_SOURCE 1
#include "io/uring_inside.h"

#include "io/uring_new.h"
#include "os/file_posix.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- Entries, by kind ---- */

static void prepare_receive(const tina__backend *backend, struct io_uring_sqe *entry, const tina__io_request *request)
{
    io_uring_prep_recv(entry, request->os_fd, NULL, tina__uring_room(backend, request), 0);
    tina__uring_select_buffer(entry);
    bool may_starve = tina__uring_free_buffers(backend) == 0; /* it would fail although there may be no data */
    if (may_starve)
        entry->ioprio |= IORING_RECVSEND_POLL_FIRST;
}

/* A file is read and written where the request says, a pipe where it stands. */
static uint64_t place_in_file(const tina__io_request *request)
{
    return request->fd_class == TINA__FD_FILE ? request->offset : UINT64_MAX;
}

static void prepare_read(const tina__backend *backend, struct io_uring_sqe *entry, const tina__io_request *request)
{
    io_uring_prep_read(entry, request->os_fd, NULL, tina__uring_room(backend, request), place_in_file(request));
    tina__uring_select_buffer(entry);
}

static void prepare_send(const tina__backend *backend, struct io_uring_sqe *entry, const tina__io_request *request)
{
    bool goes_on = (backend->tier & TINA__URING_WAIT_ALL) != 0;
    int how = request->no_wait ? MSG_DONTWAIT : goes_on ? MSG_WAITALL : 0;
    io_uring_prep_send(entry, request->os_fd, request->data, request->size, MSG_NOSIGNAL | how);
}

static bool needs_header(const tina__backend *backend, const tina__io_request *request)
{
    bool is_addressed = request->kind == TINA__IO_SEND_TO && request->peer != NULL;
    return is_addressed && (backend->tier & TINA__URING_SEND_ADDR) == 0;
}

/* It does not wait in the kernel: one that tries a datagram again may send it without the bytes that it had copied before. */
static void prepare_send_to(tina__backend *backend, struct io_uring_sqe *entry, const tina__io_request *request)
{
    tina__sock_address *host = request->backend_memory;
    if (needs_header(backend, request)) {
        backend->send_part = (struct iovec){(void *)(uintptr_t)request->data, request->size};
        backend->send_header = (struct msghdr){
            .msg_name = &host->any, .msg_namelen = host->length, .msg_iov = &backend->send_part, .msg_iovlen = 1};
        io_uring_prep_sendmsg(entry, request->os_fd, &backend->send_header, MSG_NOSIGNAL | MSG_DONTWAIT);
        return;
    }
    io_uring_prep_send(entry, request->os_fd, request->data, request->size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (request->peer != NULL) {
        entry->addr2 = (uintptr_t)&host->any;
        entry->addr_len = (uint16_t)host->length;
    }
}

static void prepare_stat(struct io_uring_sqe *entry, const tina__io_request *request)
{
    struct statx *about = (struct statx *)(uintptr_t)request->data;
    TINA_STATIC_ASSERT(sizeof *about <= 256, "fits into what a request has for it");
    io_uring_prep_statx(entry, request->os_fd, "", AT_EMPTY_PATH, STATX_TYPE | STATX_SIZE, about);
}

static void prepare_rename(struct io_uring_sqe *entry, const tina__io_request *request)
{
    const char *path = request->data;
    io_uring_prep_renameat(entry, AT_FDCWD, path, AT_FDCWD, path + request->size, 0);
}

static bool has_peer(const tina__io_request *request)
{
    return request->kind == TINA__IO_CONNECT || (request->kind == TINA__IO_SEND_TO && request->peer != NULL);
}

static bool is_peer_local(const tina__io_request *request)
{
    const tina__sock_address *host = request->backend_memory;
    return has_peer(request) && host->any.sa_family == AF_UNIX;
}

/*
 * No poll tells that a Unix socket which others have filled has room again, and an
 * unconnected one is always writable: they are tried again after a while.
 */
static bool can_poll(const tina__io_request *request)
{
    return request->kind != TINA__IO_CONNECT && !is_peer_local(request);
}

/* The more often it was full, the longer it is left alone: many that are stuck have to cost little. */
static void prepare_pause(struct io_uring_sqe *entry, const tina__io_request *request)
{
    static const struct __kernel_timespec pauses[] = {
        {.tv_nsec = 1000000},  {.tv_nsec = 2000000},  {.tv_nsec = 5000000},   {.tv_nsec = 10000000},
        {.tv_nsec = 25000000}, {.tv_nsec = 50000000}, {.tv_nsec = 100000000},
    };
    uint32_t count = tina__uring_pauses(request);
    tina__assert(count != 0);
    io_uring_prep_timeout(entry, (struct __kernel_timespec *)(uintptr_t)&pauses[count - 1], 0, 0);
}

static void prepare_poll(struct io_uring_sqe *entry, const tina__io_request *request)
{
    if (can_poll(request))
        io_uring_prep_poll_add(entry, request->os_fd, tina__io_reads(request->kind) ? POLLIN : POLLOUT);
    else
        prepare_pause(entry, request);
}

static void prepare(tina__backend *backend, struct io_uring_sqe *entry, const tina__io_request *request)
{
    const tina__sock_address *host = request->backend_memory;
    int fd = request->os_fd;
    switch ((tina__io_kind)request->kind) {
    case TINA__IO_ACCEPT: io_uring_prep_accept(entry, fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC); break;
    case TINA__IO_RECEIVE: prepare_receive(backend, entry, request); break;
    case TINA__IO_RECEIVE_FROM: tina__uring_datagram_prepare(backend, entry, request); break;
    case TINA__IO_READ: prepare_read(backend, entry, request); break;
    case TINA__IO_STAT: prepare_stat(entry, request); break;
    case TINA__IO_CONNECT: io_uring_prep_connect(entry, fd, &host->any, host->length); break;
    case TINA__IO_SEND: prepare_send(backend, entry, request); break;
    case TINA__IO_SEND_TO: prepare_send_to(backend, entry, request); break;
    case TINA__IO_SENDFILE: tina__uring_sendfile_prepare(backend, entry, request); break;
    case TINA__IO_WRITE: io_uring_prep_write(entry, fd, request->data, request->size, place_in_file(request)); break;
    case TINA__IO_SYNC: io_uring_prep_fsync(entry, fd, 0); break;
    case TINA__IO_TRUNCATE: io_uring_prep_rw(TINA__URING_OP_FTRUNCATE, entry, fd, NULL, 0, request->offset); break;
    case TINA__IO_OPEN:
        io_uring_prep_openat(entry, AT_FDCWD, request->data, tina__file_open_flags(request->flags), request->mode);
        break;
    case TINA__IO_RENAME: prepare_rename(entry, request); break;
    case TINA__IO_UNLINK: io_uring_prep_unlinkat(entry, AT_FDCWD, request->data, 0); break;
    }
}

/* An entry for the request, which is known to be in the ring before more of the request is read. */
static struct io_uring_sqe *claim_entry(tina__backend *backend, const tina__io_request *request)
{
    tina__uring_submission *place = tina__uring_place(backend, request);
    uint64_t word = tina__uring_word(request, tina__uring_is(request, TINA__URING_POLLS));
    tina__assert(place->request == request);
    tina__assert(place->word == 0);
    struct io_uring_sqe *entry = io_uring_get_sqe(&backend->ring);
    io_uring_sqe_set_data64(entry, word);
    place->word = word;
    atomic_signal_fence(memory_order_seq_cst); /* with abandon, after a fault in what follows */
    return entry;
}

/* ---- Before they get one ---- */

static void finish(tina__backend *backend, tina__io_request *request, tina_status status, int os_error)
{
    tina__uring_place(backend, request)->request = NULL;
    tina__requests_finish(&backend->done, request, tina__completion_make(request, status, os_error));
}

/* Into the host's form, once: where it lies may be where the host's form is to be. False: it is no address. */
static bool encode_peer(tina__io_request *request)
{
    if (!has_peer(request) || tina__uring_is(request, TINA__URING_ENCODED))
        return true;
    tina_address peer = *request->peer;
    tina__uring_set(request, TINA__URING_ENCODED, true);
    return tina__sock_encode(&peer, request->backend_memory);
}

/* The kernel would take the largest offset for where the file stands. */
static bool is_far(const tina__io_request *request)
{
    bool has_offset = request->kind == TINA__IO_READ || request->kind == TINA__IO_WRITE;
    return has_offset && request->fd_class == TINA__FD_FILE && request->offset > INT64_MAX;
}

static void finish_call(tina__backend *backend, tina__io_request *request, int os_error)
{
    finish(backend, request, os_error == 0 ? TINA_OK : tina__sock_status(os_error), os_error);
}

/*
 * A Unix socket is connected at once or not at all. The kernel's own operation would
 * wait for it to be writable, which it always is, and then keep a thread with it.
 * False: its listener is full.
 */
static bool connect_at_once(tina__backend *backend, tina__io_request *request)
{
    const tina__sock_address *host = request->backend_memory;
    int os_error = connect(request->os_fd, &host->any, host->length) == 0 ? 0 : errno;
    if (os_error != EAGAIN) {
        finish_call(backend, request, os_error);
        return true;
    }
    tina__uring_set(request, TINA__URING_POLLS, true);
    tina__uring_count_pause(request);
    return false;
}

/* What has no operation here is done at once. False: it has one, or a pause is its next. */
static bool do_at_once(tina__backend *backend, tina__io_request *request)
{
    if (request->kind == TINA__IO_CONNECT && is_peer_local(request))
        return !tina__uring_is(request, TINA__URING_POLLS) && connect_at_once(backend, request);
    if (request->kind != TINA__IO_TRUNCATE || (backend->tier & TINA__URING_FTRUNCATE) != 0)
        return false;
    finish_call(backend, request, ftruncate(request->os_fd, (off_t)request->offset) == 0 ? 0 : errno);
    return true;
}

/* A read takes its buffer at once, data or not. While there is none it is polled, as a receive is. */
static void poll_pipe(const tina__backend *backend, tina__io_request *request)
{
    bool is_pipe = request->fd_class == TINA__FD_PIPE;
    if (is_pipe && tina__uring_free_buffers(backend) == 0 && !tina__uring_is(request, TINA__URING_POLLED))
        tina__uring_set(request, TINA__URING_POLLS, true);
}

/* False: it is over, or waits for something of ours. */
static bool is_ready(tina__backend *backend, tina__io_request *request)
{
    if (tina__uring_is(request, TINA__URING_CANCELLED)) {
        finish(backend, request, TINA_CANCELLED, 0);
        return false;
    }
    if (!encode_peer(request)) {
        finish(backend, request, TINA_INVALID, 0);
        return false;
    }
    if (is_far(request)) {
        finish(backend, request, TINA_SYSTEM_ERROR, EINVAL);
        return false;
    }
    if (request->kind == TINA__IO_RECEIVE_FROM)
        return tina__uring_datagram_begin(backend, request);
    if (request->kind == TINA__IO_SENDFILE && !tina__uring_is(request, TINA__URING_POLLS))
        return tina__uring_sendfile_begin(backend, request);
    if (request->kind == TINA__IO_READ)
        poll_pipe(backend, request);
    return !do_at_once(backend, request);
}

/* ---- Handing over ---- */

/* The two of a pair go over together or not at all: a chain does not reach over two submissions. */
bool tina__uring_watch_wake(tina__backend *backend)
{
    if (backend->is_wake_watched)
        return true;
    if (!tina__uring_has_room(&backend->ring, 2))
        return false;
    struct io_uring_sqe *poll_entry = io_uring_get_sqe(&backend->ring);
    io_uring_prep_poll_add(poll_entry, backend->wake_fd, POLLIN);
    poll_entry->flags |= IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data64(poll_entry, TINA__URING_OWN_WAKE_POLL);
    struct io_uring_sqe *read_entry = io_uring_get_sqe(&backend->ring);
    io_uring_prep_read(read_entry, backend->wake_fd, &backend->wake_value, sizeof backend->wake_value, 0);
    io_uring_sqe_set_data64(read_entry, TINA__URING_OWN_WAKE);
    backend->is_wake_watched = true;
    return true;
}

void tina__uring_prepare_cancel(struct io_uring_sqe *entry, uint64_t word)
{
    io_uring_prep_cancel64(entry, word, 0);
    entry->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data64(entry, TINA__URING_OWN_CANCEL);
}

static bool hand_over_cancels(tina__backend *backend)
{
    while (backend->cancel_count != 0) {
        if (!tina__uring_has_room(&backend->ring, 1))
            return false;
        tina__uring_prepare_cancel(io_uring_get_sqe(&backend->ring), backend->cancels[--backend->cancel_count]);
    }
    return true;
}

/* Its end was asked for, or no buffer is lent any more for it to wait for. A taken datagram waits on. */
static bool is_to_be_told(const tina__backend *backend, const tina__io_request *request)
{
    bool is_starved = tina__io_fills(request->kind) && !tina__uring_is(request, TINA__URING_EMPTY);
    return tina__uring_is(request, TINA__URING_CANCELLED) || (is_starved && backend->lent_count == 0);
}

/* Those of them who are to be told go to the queue. */
static void sweep(tina__backend *backend, tina__request_list *waiters)
{
    tina__request_list all = *waiters;
    waiters->first = NULL;
    for (tina__io_request *request; (request = tina__requests_pop(&all)) != NULL;) {
        if (is_to_be_told(backend, request))
            tina__uring_queue(backend, request);
        else
            tina__requests_push(waiters, request);
    }
}

static void end_waiters(tina__backend *backend)
{
    bool is_dry = backend->has_starved_waiter && backend->lent_count == 0;
    if (!backend->has_cancelled_waiter && !is_dry)
        return;
    backend->has_cancelled_waiter = false;
    backend->has_starved_waiter = backend->has_starved_waiter && !is_dry;
    sweep(backend, &backend->wants_pipe);
    sweep(backend, &backend->wants_share);
    sweep(backend, &backend->wants_buffer);
}

static void wake_some(tina__backend *backend, tina__request_list *waiters, uint32_t most)
{
    for (; most != 0 && waiters->first != NULL; most--)
        tina__uring_queue(backend, tina__requests_pop(waiters));
}

/*
 * How many receives may go over. Where completed ones have all the buffers, more would
 * only be sent away, and be tried again; those buffers come back when they are
 * collected. Where nothing is to be collected, whoever is under way waits for a peer.
 */
static uint32_t count_receives(const tina__backend *backend)
{
    if (io_uring_cq_ready(&backend->ring) == 0)
        return UINT32_MAX;
    uint32_t buffers = tina__uring_free_buffers(backend);
    return buffers - tina__min_u32(buffers, backend->taker_count);
}

/* By what there is now, and not by what has come: nothing is lost if one that was woken has no use for it any more. */
static void wake_waiters(tina__backend *backend)
{
    uint32_t buffers = tina__uring_free_buffers(backend);
    wake_some(backend, &backend->wants_pipe, (uint32_t)__builtin_popcount(backend->free_pipes));
    wake_some(backend, &backend->wants_buffer, buffers);
    wake_some(backend, &backend->wants_share, tina__min_u32(buffers, tina__uring_sendfile_share(backend)));
    wake_some(backend, &backend->later, backend->has_cancelled_queued ? UINT32_MAX : count_receives(backend));
    backend->has_cancelled_queued = false;
}

/* There is one header for all: whose entry names it, goes over before the next may change it. */
static bool can_go(tina__backend *backend, const tina__io_request *request)
{
    struct io_uring *ring = &backend->ring;
    if (needs_header(backend, request) && io_uring_sq_ready(ring) != 0) {
        io_uring_submit(ring);
        if (io_uring_sq_ready(ring) != 0)
            return false;
    }
    return tina__uring_has_room(ring, 1);
}

/* Nearly all are: nothing has to be looked at. */
static bool is_plain(const tina__io_request *request)
{
    bool is_on_stream = request->kind == TINA__IO_RECEIVE || request->kind == TINA__IO_SEND;
    return is_on_stream && request->backend_state == 0;
}

static bool is_too_soon(const tina__backend *backend, const tina__io_request *request)
{
    return request->kind == TINA__IO_RECEIVE && !tina__uring_is(request, TINA__URING_CANCELLED) &&
           count_receives(backend) == 0;
}

static bool hand_over_list(tina__backend *backend, tina__request_list *queue)
{
    while (queue->first != NULL) {
        if (!can_go(backend, queue->first))
            return false;
        tina__io_request *request = tina__requests_pop(queue);
        if (is_too_soon(backend, request)) {
            tina__requests_push(&backend->later, request);
            continue;
        }
        if (!is_plain(request) && !is_ready(backend, request))
            continue;
        struct io_uring_sqe *entry = claim_entry(backend, request);
        if (tina__uring_is(request, TINA__URING_POLLS)) {
            prepare_poll(entry, request);
        } else {
            prepare(backend, entry, request);
            tina__uring_count_in(backend, request);
        }
        tina__uring_put_in(request, TINA__URING_UNDER_WAY);
    }
    return true;
}

bool tina__uring_hand_over(tina__backend *backend)
{
    end_waiters(backend);
    wake_waiters(backend);
    return hand_over_cancels(backend) && hand_over_list(backend, &backend->queue) &&
           hand_over_list(backend, &backend->reads);
}
