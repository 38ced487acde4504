/*
 * From a file to a socket, a piece at a time: the kernel puts it into a pipe, or
 * where there is little to send into a lent buffer, as an operation like any other,
 * since the disk may have to be waited for. When that is over it goes to the socket at once,
 * by a call that does not wait; what the socket does not take is thrown away, and
 * the request waits until the socket is writable before it begins again. So a
 * slow peer holds neither pipe nor buffer, and whatever ends a request finds
 * nothing to clean up but what its entry has brought.
 *
 * To give the second half to the kernel as well would put a second thread's work
 * and waking into each piece; the call costs less than the turn.
 *
 * Pipes are opened when they are first needed, and kept. One with bytes left in it
 * is closed: that is cheaper than to read it empty.
 */
#define _GNU_SOURCE 1
#include "io/uring_inside.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/*
 * A piece through a pipe costs a thread of the kernel's 15 to 30 us of work and
 * waking, whatever its size; 4 KiB through a buffer cost 4 us. They meet at about
 * READ_MAX. Large pieces go at about the speed of sendfile(2), and at a third of it
 * with the pipe's usual 64 KiB.
 */
#define PIPE_SIZE (256 * 1024) /* where the host grants it */
#define READ_MAX  (32 * 1024)

#define ALL_PIPES ((1u << TINA__URING_PIPES) - 1)
#define NO_PIPE   UINT32_MAX

/* In a request's backend_memory while it has a piece under way. */
typedef struct piece {
    uint32_t pipe; /* NO_PIPE: it goes through a buffer */
} piece;

/* ---- Pipes ---- */

static void close_pipe(tina__uring_pipe *pipe)
{
    if (pipe->read_fd < 0)
        return;
    close(pipe->read_fd);
    close(pipe->write_fd);
    pipe->read_fd = pipe->write_fd = -1;
}

void tina__uring_forget_pipes(tina__backend *backend)
{
    for (uint32_t i = 0; i < TINA__URING_PIPES; i++)
        backend->pipes[i].read_fd = backend->pipes[i].write_fd = -1;
    backend->free_pipes = ALL_PIPES;
}

void tina__uring_close_pipes(tina__backend *backend)
{
    for (uint32_t i = 0; i < TINA__URING_PIPES; i++)
        close_pipe(&backend->pipes[i]);
    backend->free_pipes = ALL_PIPES;
}

static bool open_pipe(tina__uring_pipe *pipe)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
        return false;
    (void)fcntl(ends[0], F_SETPIPE_SZ, PIPE_SIZE);
    pipe->read_fd = ends[0];
    pipe->write_fd = ends[1];
    return true;
}

/* An open one rather than one that has to be opened. NO_PIPE: none is free, or none can be opened. */
static uint32_t take_pipe(tina__backend *backend)
{
    uint32_t found = NO_PIPE;
    for (uint32_t left = backend->free_pipes; left != 0; left &= left - 1) {
        uint32_t index = tina__lowest_bit(left);
        bool is_open = backend->pipes[index].read_fd >= 0;
        if (is_open || found == NO_PIPE)
            found = index;
        if (is_open)
            break;
    }
    if (found == NO_PIPE || (backend->pipes[found].read_fd < 0 && !open_pipe(&backend->pipes[found])))
        return NO_PIPE;
    backend->free_pipes &= ~(1u << found);
    return found;
}

static void give_pipe_back(tina__backend *backend, uint32_t index, bool is_empty)
{
    if (!is_empty)
        close_pipe(&backend->pipes[index]);
    backend->free_pipes |= 1u << index;
}

/* ---- From the file ---- */

static bool may_splice(const tina__backend *backend, const tina__io_request *request)
{
    return (backend->tier & TINA__URING_SPLICE) != 0 && !tina__uring_is(request, TINA__URING_BY_BUFFER);
}

/* A pipe that can't be opened is waited for where others are in use, and given up otherwise. */
static bool find_pipe(tina__backend *backend, tina__io_request *request, uint32_t *pipe)
{
    *pipe = take_pipe(backend);
    if (*pipe != NO_PIPE)
        return true;
    tina__uring_set(request, TINA__URING_BY_BUFFER, backend->free_pipes == ALL_PIPES);
    return false;
}

bool tina__uring_sendfile_holds(const tina__io_request *request)
{
    return ((const piece *)request->backend_memory)->pipe == NO_PIPE;
}

/* A disk that stands still must leave the others buffers to receive into. */
uint32_t tina__uring_sendfile_share(const tina__backend *backend)
{
    uint32_t share = tina__max_u32(backend->buffer_count / 4, 1);
    return share - tina__min_u32(share, backend->sendfile_count);
}

bool tina__uring_sendfile_begin(tina__backend *backend, tina__io_request *request)
{
    piece *self = request->backend_memory;
    self->pipe = NO_PIPE;
    bool is_small = request->size <= tina__max_u32(backend->buffer_size, READ_MAX);
    bool has_buffer = tina__uring_free_buffers(backend) != 0 && tina__uring_sendfile_share(backend) != 0;
    if (may_splice(backend, request) && !(is_small && has_buffer) && find_pipe(backend, request, &self->pipe))
        return true;
    bool is_for_pipe = may_splice(backend, request) && !(is_small && has_buffer);
    if (!is_for_pipe && has_buffer)
        return true;
    tina__uring_wait(is_for_pipe ? &backend->wants_pipe : &backend->wants_share, request);
    return false;
}

void tina__uring_sendfile_prepare(tina__backend *backend, struct io_uring_sqe *entry, const tina__io_request *request)
{
    const piece *self = request->backend_memory;
    if (self->pipe == NO_PIPE) {
        uint32_t size = tina__min_u32(request->size, backend->buffer_size);
        io_uring_prep_read(entry, request->file_fd, NULL, size, request->offset);
        tina__uring_select_buffer(entry);
        return;
    }
    tina__assert(self->pipe < TINA__URING_PIPES);
    uint32_t size = tina__min_u32(request->size, PIPE_SIZE);
    int write_fd = backend->pipes[self->pipe].write_fd;
    io_uring_prep_splice(entry, request->file_fd, (int64_t)request->offset, write_fd, -1, size, 0);
}

/* ---- To the socket ---- */

/* What the socket took of size bytes at once; or -errno. */
static int pass_on(const tina__backend *backend, const tina__io_request *request, uint32_t size, uint32_t buffer)
{
    const piece *self = request->backend_memory;
    ssize_t sent;
    do {
        if (self->pipe == NO_PIPE) {
            const uint8_t *data = backend->buffers + (size_t)buffer * backend->buffer_size;
            sent = send(request->os_fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        } else {
            int read_fd = backend->pipes[self->pipe].read_fd;
            sent = splice(read_fd, NULL, request->os_fd, NULL, size, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        }
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : (int)sent;
}

/* False: nothing is over, it is to be tried again. is_starved: it found no buffer, and sent nothing. */
static bool settle(tina__io_request *request, int result, bool is_starved, tina__io_completion *completion)
{
    bool is_cancelled = tina__uring_is(request, TINA__URING_CANCELLED);
    bool is_refused = result == -EINVAL && !tina__uring_is(request, TINA__URING_BY_BUFFER);
    bool is_again = result == -EAGAIN || result == -EINTR || is_starved || is_refused;
    if (is_again && !is_cancelled) {
        tina__uring_set(request, TINA__URING_POLLS, result == -EAGAIN);
        tina__uring_set(request, TINA__URING_BY_BUFFER, is_refused || tina__uring_is(request, TINA__URING_BY_BUFFER));
        return false;
    }
    if (result < 0) {
        *completion = tina__uring_failure(request, -result);
        return true;
    }
    *completion = tina__completion_make(request, TINA_OK, 0);
    completion->size = (uint32_t)result;
    return true;
}

bool tina__uring_sendfile_take(tina__backend *backend, tina__io_request *request, int result, uint32_t buffer,
                               tina__io_completion *completion)
{
    uint32_t pipe = ((const piece *)request->backend_memory)->pipe;
    int sent = result > 0 ? pass_on(backend, request, (uint32_t)result, buffer) : result;
    if (pipe != NO_PIPE) {
        tina__assert(pipe < TINA__URING_PIPES);
        give_pipe_back(backend, pipe, result <= 0 || sent == result);
    }
    return settle(request, sent, result == -ENOBUFS, completion);
}
