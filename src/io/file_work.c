#define _GNU_SOURCE 1
#include "io/file_work.h"

#include "io/request_list.h"
#include "os/file_posix.h"
#include "os/sock_posix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

static tina__io_completion failed(const tina__io_request *request)
{
    return tina__completion_make(request, tina__sock_status(errno), errno);
}

static tina__io_completion done(const tina__io_request *request, long long result)
{
    if (result < 0)
        return failed(request);
    tina__io_completion completion = tina__completion_make(request, TINA_OK, 0);
    completion.size = (uint64_t)result;
    return completion;
}

static tina__io_completion do_read(const tina__io_request *request, void *into)
{
    ssize_t taken;
    do {
        taken = pread(request->os_fd, into, request->size, (off_t)request->offset);
    } while (taken < 0 && errno == EINTR);
    return done(request, taken);
}

static tina__io_completion do_write(const tina__io_request *request)
{
    ssize_t taken;
    do {
        taken = pwrite(request->os_fd, request->data, request->size, (off_t)request->offset);
    } while (taken < 0 && errno == EINTR);
    if (taken == 0) /* it would be asked for the same again and again */
        return tina__completion_make(request, TINA_SYSTEM_ERROR, EIO);
    return done(request, taken);
}

static tina__io_completion do_sync(const tina__io_request *request)
{
    int result;
    do {
        result = fsync(request->os_fd);
    } while (result != 0 && errno == EINTR);
    return done(request, result);
}

static tina__io_completion do_stat(const tina__io_request *request)
{
    struct stat about;
    if (fstat(request->os_fd, &about) != 0)
        return failed(request);
    if (!S_ISREG(about.st_mode))
        return tina__completion_make(request, TINA_UNSUPPORTED, 0);
    return done(request, about.st_size);
}

static tina__io_completion do_truncate(const tina__io_request *request)
{
    int result;
    do {
        result = ftruncate(request->os_fd, (off_t)request->offset);
    } while (result != 0 && errno == EINTR);
    return done(request, result);
}

static tina__io_completion do_open(const tina__io_request *request)
{
    int os_fd;
    do {
        os_fd = open(request->data, tina__file_open_flags(request->flags), request->mode);
    } while (os_fd < 0 && errno == EINTR);
    if (os_fd < 0)
        return failed(request);
    tina__io_completion completion = tina__completion_make(request, TINA_OK, 0);
    completion.os_fd = os_fd;
    completion.fd_class = tina__file_settle(os_fd);
    return completion;
}

static tina__io_completion do_rename(const tina__io_request *request)
{
    const char *path = request->data;
    return done(request, rename(path, path + request->size));
}

static tina__io_completion do_sendfile(const tina__io_request *request)
{
    size_t size = request->size < TINA__SENDFILE_MAX ? request->size : TINA__SENDFILE_MAX;
    off_t offset = (off_t)request->offset;
    ssize_t taken;
    do {
        taken = sendfile(request->os_fd, request->file_fd, &offset, size);
    } while (taken < 0 && errno == EINTR);
    if (taken < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return tina__completion_make(request, TINA_BUSY, 0);
    return done(request, taken);
}

tina__io_completion tina__file_work(const tina__io_request *request, void *into)
{
    switch ((tina__io_kind)request->kind) {
    case TINA__IO_READ: return do_read(request, into);
    case TINA__IO_WRITE: return do_write(request);
    case TINA__IO_SYNC: return do_sync(request);
    case TINA__IO_STAT: return do_stat(request);
    case TINA__IO_TRUNCATE: return do_truncate(request);
    case TINA__IO_OPEN: return do_open(request);
    case TINA__IO_RENAME: return do_rename(request);
    case TINA__IO_UNLINK: return done(request, unlink(request->data));
    case TINA__IO_SENDFILE: return do_sendfile(request);
    default: return tina__completion_make(request, TINA_UNSUPPORTED, 0);
    }
}
