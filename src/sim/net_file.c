#include "sim/net_inside.h"

#include <errno.h>

/* A file's bytes go to a connection in parts of this size. */
#define PART_SIZE 4096

bool tina__net_file_is_asked(uint8_t kind)
{
    switch ((tina__io_kind)kind) {
    case TINA__IO_READ:
    case TINA__IO_STAT:
    case TINA__IO_WRITE:
    case TINA__IO_SYNC:
    case TINA__IO_TRUNCATE:
    case TINA__IO_OPEN:
    case TINA__IO_RENAME:
    case TINA__IO_UNLINK: return true;
    case TINA__IO_ACCEPT:
    case TINA__IO_RECEIVE:
    case TINA__IO_RECEIVE_FROM:
    case TINA__IO_CONNECT:
    case TINA__IO_SEND:
    case TINA__IO_SEND_TO:
    case TINA__IO_SENDFILE: return false;
    }
    return false;
}

static tina__disk_file file_at(const tina__net *net, uint32_t index)
{
    const tina__net_socket *socket = tina__net_at(net, index);
    tina__assert(socket->state == TINA__SOCKET_FILE);
    return socket->file;
}

static tina_status status_of(int error)
{
    switch (error) {
    case 0: return TINA_OK;
    case ENOENT:
    case ENOTDIR: return TINA_NOT_FOUND;
    case ENOSPC: return TINA_DISK_FULL;
    case EMFILE: return TINA_POOL_EXHAUSTED;
    default: return TINA_SYSTEM_ERROR;
    }
}

static tina__io_completion *finish(tina__net *net, uint32_t index, uint32_t half, int error)
{
    return tina__net_request_finish(net, index, half, status_of(error), error);
}

/* ---- Reading ------------------------------------------------------------------------- */

static int why_unreadable(const tina__net *net, tina__disk_file file)
{
    if ((file.flags & TINA_OPEN_READ) == 0)
        return EBADF;
    return tina__disk_is_directory(net->disk, file) ? EISDIR : 0;
}

static uint64_t left_from(const tina__net *net, tina__disk_file file, uint64_t offset)
{
    uint64_t size = tina__disk_size(net->disk, file);
    return offset < size ? size - offset : 0;
}

typedef struct filling {
    uint32_t buffer, size;
} filling;

/* Into the buffer that was lent last. */
static filling fill(tina__net *net, uint32_t index, const tina__net_half *half)
{
    tina__backend *backend = net->shards[half->shard].backend;
    tina__disk_file file = file_at(net, index);
    uint32_t size = (uint32_t)tina__min_u64(half->size, left_from(net, file, half->offset));
    filling what = {.buffer = backend->lent[backend->lent_count - 1]};
    size = tina__net_shorten(net, half->shard, size);
    uint8_t *into = backend->buffers + (size_t)what.buffer * backend->buffer_size;
    int error = tina__disk_read(net->disk, half->shard, file, half->offset, into, size, &what.size);
    tina__assert(error == 0); /* it was asked before there was a buffer */
    backend->lent_count--;
    backend->taken_count++;
    net->read += what.size;
    return what;
}

static void tell_filling(tina__io_completion *completion, filling what)
{
    completion->buffer = what.buffer;
    completion->size = what.size;
}

static void start_read(tina__net *net, uint32_t index, const tina__net_half *half)
{
    tina__disk_file file = file_at(net, index);
    int error = why_unreadable(net, file);
    if (error != 0) {
        finish(net, index, TINA__NET_READS, error);
    } else if (left_from(net, file, half->offset) == 0) {
        finish(net, index, TINA__NET_READS, 0);
    } else if (net->shards[half->shard].backend->lent_count == 0) {
        tina__net_request_starve(net, index);
    } else {
        filling what = fill(net, index, half);
        tell_filling(finish(net, index, TINA__NET_READS, 0), what);
    }
}

void tina__net_file_feed(tina__net *net, uint32_t index, tina__io_completion *completion)
{
    tina__net_half *half = &tina__net_at(net, index)->halves[TINA__NET_READS];
    if (left_from(net, file_at(net, index), half->offset) != 0)
        tell_filling(completion, fill(net, index, half));
    completion->status = TINA_OK;
    *half = (tina__net_half){0};
}

static void start_stat(tina__net *net, uint32_t index)
{
    tina__disk_file file = file_at(net, index);
    if (tina__disk_is_directory(net->disk, file))
        tina__net_request_finish(net, index, TINA__NET_READS, TINA_UNSUPPORTED, 0);
    else
        finish(net, index, TINA__NET_READS, 0)->size = tina__disk_size(net->disk, file);
}

/* ---- Writing ------------------------------------------------------------------------- */

static void start_write(tina__net *net, uint32_t index, const tina__net_half *half)
{
    uint32_t size = tina__net_shorten(net, half->shard, half->size);
    uint32_t done;
    int error = tina__disk_write(net->disk, half->shard, file_at(net, index), half->offset, half->data, size, &done);
    net->written += done;
    finish(net, index, TINA__NET_WRITES, error)->size = done;
}

static void start_sync(tina__net *net, uint32_t index)
{
    tina__disk_sync(net->disk, file_at(net, index));
    finish(net, index, TINA__NET_WRITES, 0);
}

static void start_truncate(tina__net *net, uint32_t index, const tina__net_half *half)
{
    finish(net, index, TINA__NET_WRITES, tina__disk_truncate(net->disk, file_at(net, index), half->offset));
}

void tina__net_file_start(tina__net *net, uint32_t index, uint32_t which)
{
    const tina__net_half *half = &tina__net_at(net, index)->halves[which];
    int error = tina__disk_strike(net->disk, half->shard, half->kind == TINA__IO_WRITE);
    if (error != 0) {
        finish(net, index, which, error);
        return;
    }
    switch ((tina__io_kind)half->kind) {
    case TINA__IO_READ: start_read(net, index, half); break;
    case TINA__IO_STAT: start_stat(net, index); break;
    case TINA__IO_WRITE: start_write(net, index, half); break;
    case TINA__IO_SYNC: start_sync(net, index); break;
    case TINA__IO_TRUNCATE: start_truncate(net, index, half); break;
    default: tina__assert(false); break;
    }
}

/* ---- By a path ------------------------------------------------------------------------- */

/* The descriptor comes first: what can't have one creates and truncates nothing. */
static int open_file(tina__net *net, uint32_t index, uint32_t shard, const tina__io_request *request)
{
    if (net->open_count == net->config.socket_count)
        return EMFILE;
    tina__disk_file file;
    int error = tina__disk_open(net->disk, request->data, request->flags, &file);
    if (error != 0)
        return error;
    tina__net_at(net, index)->file = file;
    bool is_accepted = tina__net_slot_accept(net, index, shard);
    tina__assert(is_accepted);
    return 0;
}

static int do_named(tina__net *net, uint32_t index, uint32_t shard, const tina__io_request *request)
{
    const char *path = request->data;
    int error =
        tina__disk_strike(net->disk, shard, tina__io_opens(request->kind) && (request->flags & TINA_OPEN_CREATE) != 0);
    if (error != 0)
        return error;
    switch ((tina__io_kind)request->kind) {
    case TINA__IO_OPEN: return index == TINA__NONE ? EMFILE : open_file(net, index, shard, request);
    case TINA__IO_RENAME: return tina__disk_rename(net->disk, path, path + request->size);
    case TINA__IO_UNLINK: return tina__disk_unlink(net->disk, path);
    default: return EINVAL;
    }
}

/* There is no place for it to be late in: it is told at once. */
static void tell_at_once(tina__backend *backend, uint64_t token, int error)
{
    tina__net_news *news = tina__net_news_add(backend);
    news->completion = tina__net_completion(token, status_of(error), error);
    news->starved = TINA__NONE;
}

void tina__net_file_start_named(tina__backend *backend, const tina__io_request *request)
{
    tina__net *net = backend->net;
    uint32_t shard = backend->shard;
    uint32_t index = tina__net_slot_take(net, TINA__NET_NOBODY, TINA_UNIX, TINA_STREAM);
    if (index == TINA__NONE) {
        tell_at_once(backend, request->token, do_named(net, index, shard, request));
        return;
    }
    tina__net_at(net, index)->state = TINA__SOCKET_FILE;
    tina__net_request_begin(backend, index, request);
    int error = tina__net_request_strike(net, shard);
    if (error == 0)
        error = do_named(net, index, shard, request);
    tina__io_completion *completion = finish(net, index, TINA__NET_WRITES, error);
    if (error == 0 && request->kind == TINA__IO_OPEN) {
        completion->os_fd = (int32_t)index;
        completion->fd_class = TINA__FD_FILE;
    }
}

void tina__net_file_close(tina__net *net, uint32_t index)
{
    tina__disk_close(net->disk, file_at(net, index));
    tina__net_slot_give(net, index);
}

/* ---- From a file to a connection -------------------------------------------------------- */

/* False: that number is none. */
static bool find_file(const tina__net *net, int32_t os_fd, tina__disk_file *file)
{
    if (!tina__net_slot_is_open(net, os_fd) || net->sockets[os_fd].state != TINA__SOCKET_FILE)
        return false;
    *file = net->sockets[os_fd].file;
    return true;
}

uint32_t tina__net_file_left(tina__net *net, const tina__net_half *half, int *error)
{
    tina__disk_file file;
    *error = find_file(net, half->file, &file) ? why_unreadable(net, file) : EBADF;
    if (*error == EISDIR)
        *error = EINVAL; /* as the kernel has it */
    return *error != 0 ? 0 : (uint32_t)tina__min_u64(half->size, left_from(net, file, half->offset));
}

void tina__net_file_put(tina__net *net, uint32_t to, const tina__net_half *half, uint32_t size, uint64_t delay_ns)
{
    uint8_t part[PART_SIZE];
    tina__disk_file file;
    bool is_file = find_file(net, half->file, &file);
    tina__assert(is_file);
    for (uint32_t done = 0; done < size;) {
        uint32_t got = tina__min_u32(size - done, PART_SIZE);
        int error = tina__disk_read(net->disk, half->shard, file, half->offset + done, part, got, &got);
        tina__assert(error == 0);
        tina__assert(got != 0);
        tina__net_pipe_put(net, to, part, got, delay_ns);
        done += got;
    }
}
