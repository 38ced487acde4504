#define _GNU_SOURCE 1
#include "io/attempt.h"

#include "os/sock_posix.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static bool would_block(void) { return errno == EAGAIN || errno == EWOULDBLOCK; }

static bool over(const tina__io_request *request, tina_status status, int os_error, tina__io_completion *completion)
{
    *completion = tina__completion_make(request, status, os_error);
    return true;
}

/* By errno: over, or it would block. */
static bool failed(const tina__io_request *request, tina__io_completion *completion)
{
    if (would_block())
        return false;
    return over(request, tina__sock_status(errno), errno, completion);
}

/* ---- Connections ---- */

static bool try_accept(tina__ready_fd *fd, const tina__io_request *request, tina__io_completion *completion)
{
    int os_fd;
    do {
        os_fd = accept4(request->os_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    } while (os_fd < 0 && errno == EINTR);
    if (os_fd < 0)
        return failed(request, completion);
    fd->accepted = os_fd;
    fd->has_accepted = true;
    over(request, TINA_OK, 0, completion);
    completion->os_fd = os_fd;
    return true;
}

/* A connection that was begun: an event alone does not say that it stands. */
static bool look_after_connect(const tina__io_request *request, tina__io_completion *completion)
{
    int os_error = 0;
    socklen_t length = sizeof os_error;
    if (getsockopt(request->os_fd, SOL_SOCKET, SO_ERROR, &os_error, &length) != 0)
        os_error = errno;
    if (os_error == 0) {
        tina__sock_address host = {.length = sizeof host.bytes};
        if (getpeername(request->os_fd, &host.any, &host.length) == 0)
            return over(request, TINA_OK, 0, completion);
        if (errno == ENOTCONN)
            return false;
        os_error = errno;
    }
    return over(request, tina__sock_status(os_error), os_error, completion);
}

static bool try_connect(tina__io_request *request, tina__io_completion *completion)
{
    if (request->backend_state == TINA__READY_CONNECTING)
        return look_after_connect(request, completion);
    tina__sock_address host;
    if (!tina__sock_encode(request->peer, &host))
        return over(request, TINA_INVALID, 0, completion);
    if (connect(request->os_fd, &host.any, host.length) == 0)
        return over(request, TINA_OK, 0, completion);
    /* Interrupted or begun earlier, it goes on all the same. */
    if (errno == EINPROGRESS || errno == EALREADY || errno == EINTR) {
        request->backend_state = TINA__READY_CONNECTING;
        return false;
    }
    return failed(request, completion);
}

/* ---- Pipes and devices ---- */

/* Is that the answer of something that can't be asked not to wait? Older kernels do not know the call, or not this use of it. */
static bool is_unknown(void) { return errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL || errno == ESPIPE; }

/* Or it has an end or an error to tell. False sets errno. */
static bool may(int os_fd, short event)
{
    struct pollfd look = {.fd = os_fd, .events = event};
    if (poll(&look, 1, 0) == 1)
        return true;
    errno = EAGAIN;
    return false;
}

static ssize_t read_pipe(tina__ready_fd *fd, int os_fd, void *data, size_t size)
{
    struct iovec part = {.iov_base = data, .iov_len = size};
    if (!fd->is_plain) {
        ssize_t taken = preadv2(os_fd, &part, 1, -1, RWF_NOWAIT);
        if (taken >= 0 || !is_unknown())
            return taken;
        fd->is_plain = true;
    }
    return may(os_fd, POLLIN) ? read(os_fd, data, size) : -1;
}

/*
 * A pipe that says that it may be written to has room for this much. A terminal
 * promises nothing, and was made not to wait when it was adopted.
 */
#define PLAIN_WRITE_MAX ((size_t)PIPE_BUF)

static ssize_t write_pipe(tina__ready_fd *fd, int os_fd, const void *data, size_t size)
{
    struct iovec part = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};
    if (!fd->is_plain) {
        ssize_t taken = pwritev2(os_fd, &part, 1, -1, RWF_NOWAIT);
        if (taken >= 0 || !is_unknown())
            return taken;
        fd->is_plain = true;
    }
    return may(os_fd, POLLOUT) ? write(os_fd, data, size < PLAIN_WRITE_MAX ? size : PLAIN_WRITE_MAX) : -1;
}

/* Without a reader it raises a signal, which no call can be told not to. A thread that lets it come must not see it. */
static ssize_t write_pipe_quietly(tina__ready_fd *fd, int os_fd, const void *data, size_t size)
{
    sigset_t sigpipe, before;
    sigemptyset(&sigpipe);
    sigaddset(&sigpipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &sigpipe, &before);
    ssize_t taken = write_pipe(fd, os_fd, data, size);
    if (sigismember(&before, SIGPIPE) == 1)
        return taken;
    int os_error = errno;
    struct timespec at_once = {0};
    if (taken < 0 && os_error == EPIPE)
        sigtimedwait(&sigpipe, NULL, &at_once);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = os_error;
    return taken;
}

/* ---- What comes ---- */

static ssize_t fill(const tina__lent *lent, uint32_t buffer, tina__ready_fd *fd, const tina__io_request *request,
                    bool *is_truncated)
{
    uint8_t *data = tina__lent_data(lent, buffer);
    uint32_t size = tina__lent_wanted(lent, request);
    if (request->kind == TINA__IO_RECEIVE)
        return recv(request->os_fd, data, size, MSG_DONTWAIT);
    if (request->kind == TINA__IO_RECEIVE_FROM)
        return tina__sock_receive_from(request->os_fd, data, size, tina__lent_annex(lent, buffer), is_truncated);
    return read_pipe(fd, request->os_fd, data, size);
}

static bool try_fill(tina__lent *lent, tina__ready_fd *fd, tina__io_request *request, tina__io_completion *completion)
{
    if (lent->count == 0) {
        request->backend_state = TINA__READY_STARVED;
        return over(request, TINA_BUSY, 0, completion);
    }
    uint32_t buffer = tina__lent_top(lent);
    bool is_truncated = false;
    ssize_t taken;
    do {
        taken = fill(lent, buffer, fd, request, &is_truncated);
    } while (taken < 0 && errno == EINTR);
    if (taken < 0)
        return failed(request, completion);
    if (taken == 0 && request->kind != TINA__IO_RECEIVE_FROM)
        return over(request, TINA_CLOSED, 0, completion);
    tina__lent_drop(lent);
    fd->is_drained = fd->is_exact && !fd->is_ending && (size_t)taken < tina__lent_wanted(lent, request);
    over(request, TINA_OK, 0, completion);
    completion->size = (uint64_t)taken;
    completion->buffer = buffer;
    completion->is_truncated = is_truncated;
    return true;
}

/* ---- What goes ---- */

static ssize_t put(tina__ready_fd *fd, const tina__io_request *request)
{
    if (request->kind == TINA__IO_SEND)
        return send(request->os_fd, request->data, request->size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (request->kind == TINA__IO_SEND_TO)
        return tina__sock_send_to(request->os_fd, request->data, request->size, request->peer);
    return write_pipe_quietly(fd, request->os_fd, request->data, request->size);
}

static bool has_address(const tina__io_request *request)
{
    tina__sock_address host;
    bool is_needed = request->kind == TINA__IO_SEND_TO && request->peer != NULL;
    return !is_needed || tina__sock_encode(request->peer, &host);
}

static bool try_put(tina__ready_fd *fd, const tina__io_request *request, tina__io_completion *completion)
{
    if (!has_address(request))
        return over(request, TINA_INVALID, 0, completion);
    ssize_t taken;
    do {
        taken = put(fd, request);
    } while (taken < 0 && errno == EINTR);
    if (taken < 0 && would_block() && request->no_wait)
        return over(request, TINA_BUSY, 0, completion);
    if (taken < 0)
        return failed(request, completion);
    if (taken == 0 && request->size != 0) /* it would be asked for the same again and again */
        return over(request, TINA_SYSTEM_ERROR, EIO, completion);
    fd->is_full = fd->is_exact && !fd->is_ending && (size_t)taken < request->size;
    over(request, TINA_OK, 0, completion);
    completion->size = (uint64_t)taken;
    return true;
}

bool tina__attempt(tina__lent *lent, tina__ready_fd *fd, tina__io_request *request, tina__io_completion *completion)
{
    switch ((tina__io_kind)request->kind) {
    case TINA__IO_ACCEPT: return try_accept(fd, request, completion);
    case TINA__IO_CONNECT: return try_connect(request, completion);
    case TINA__IO_RECEIVE:
    case TINA__IO_RECEIVE_FROM:
    case TINA__IO_READ: return try_fill(lent, fd, request, completion);
    case TINA__IO_SEND:
    case TINA__IO_SEND_TO:
    case TINA__IO_WRITE: return try_put(fd, request, completion);
    default: return over(request, TINA_UNSUPPORTED, 0, completion);
    }
}
