/* Sockets and operations. */
#include "base/touch.h"
#include "core/effect.h"
#include "core/fault.h"
#include "core/gift.h"
#include "core/reactor.h"
#include "core/stats.h"

#include <limits.h>
#include <string.h>

/* ---- Sockets ----------------------------------------------------------------------------- */

/* A call on an open socket: between begin_call, which finds it, and end_call. */
typedef struct socket_call {
    tina_ctx *ctx;
    const tina__backend_api *api;
    tina__backend *backend;
    int os_fd;
    int os_error;
} socket_call;

/* TINA_OK; TINA_STALE_HANDLE; TINA_NOT_OWNER: the isolate owns no half of it. */
static tina_status begin_call(tina_ctx *ctx, tina_fd fd, socket_call *call)
{
    const tina__shard *shard = ctx->shard;
    uint32_t index;
    tina_status status = tina__descriptor_find_any(shard, ctx->isolate, fd.bits, &index);
    if (status != TINA_OK)
        return status;
    *call = (socket_call){.ctx = ctx, .api = shard->api, .backend = shard->backend};
    call->os_fd = shard->p.descriptors[index].os_fd;
    tina__change_begin(ctx->shard);
    return TINA_OK;
}

/* Keeps the errno of a failed call for tina_os_error. */
static tina_status end_call(const socket_call *call, tina_status status)
{
    if (status == TINA_SYSTEM_ERROR || status == TINA_DENIED)
        call->ctx->os_error = call->os_error;
    tina__change_end(call->ctx->shard);
    return status;
}

static tina_status open_socket(tina_ctx *ctx, int family, tina_socket_type type, tina_fd *fd)
{
    tina__shard *shard = ctx->shard;
    uint32_t index = tina__descriptor_keep(shard);
    if (index == TINA__NONE)
        return tina__stats_refused(shard, TINA_POOL_EXHAUSTED);
    int os_fd;
    int os_error = 0;
    tina_status status = shard->api->socket_open(shard->backend, family, (int)type, &os_fd, &os_error);
    if (status != TINA_OK) {
        tina__descriptor_give_back(shard, index);
        ctx->os_error = os_error;
        return tina__stats_refused(shard, status);
    }
    tina__descriptor_open(shard, index, os_fd, type == TINA_DATAGRAM ? TINA__FD_DATAGRAM : TINA__FD_STREAM, ctx->isolate);
    *fd = tina__descriptor_handle(shard, index);
    return TINA_OK;
}

tina_status tina_socket(tina_ctx *ctx, int family, tina_socket_type type, tina_fd *fd)
{
    if (family < TINA_IPV4 || family > TINA_UNIX || (type != TINA_STREAM && type != TINA_DATAGRAM) || fd == NULL)
        return TINA_INVALID;
    tina__touch_result(fd, sizeof *fd);
    tina__change_begin(ctx->shard);
    tina_status status = open_socket(ctx, family, type, fd);
    tina__change_end(ctx->shard);
    return status;
}

tina_status tina_bind(tina_ctx *ctx, tina_fd fd, const tina_address *address)
{
    if (address == NULL)
        return TINA_INVALID;
    tina_address copy = *address;
    socket_call call;
    tina_status status = begin_call(ctx, fd, &call);
    if (status != TINA_OK)
        return status;
    return end_call(&call, call.api->socket_bind(call.backend, call.os_fd, &copy, &call.os_error));
}

tina_status tina_listen(tina_ctx *ctx, tina_fd fd, int backlog)
{
    socket_call call;
    tina_status status = begin_call(ctx, fd, &call);
    if (status != TINA_OK)
        return status;
    return end_call(&call, call.api->socket_listen(call.backend, call.os_fd, backlog, &call.os_error));
}

tina_status tina_local_address(tina_ctx *ctx, tina_fd fd, tina_address *address)
{
    if (address == NULL)
        return TINA_INVALID;
    tina__touch_result(address, sizeof *address);
    socket_call call;
    tina_status status = begin_call(ctx, fd, &call);
    if (status != TINA_OK)
        return status;
    return end_call(&call, call.api->socket_local(call.backend, call.os_fd, address, &call.os_error));
}

tina_status tina_peer_address(tina_ctx *ctx, tina_fd fd, tina_address *address)
{
    if (address == NULL)
        return TINA_INVALID;
    tina__touch_result(address, sizeof *address);
    socket_call call;
    tina_status status = begin_call(ctx, fd, &call);
    if (status != TINA_OK)
        return status;
    return end_call(&call, call.api->socket_peer(call.backend, call.os_fd, address, &call.os_error));
}

tina_status tina_setsockopt(tina_ctx *ctx, tina_fd fd, tina_option option, int value)
{
    socket_call call;
    tina_status status = begin_call(ctx, fd, &call);
    if (status != TINA_OK)
        return status;
    return end_call(&call, call.api->socket_set(call.backend, call.os_fd, (int)option, value, &call.os_error));
}

tina_status tina_getsockopt(tina_ctx *ctx, tina_fd fd, tina_option option, int *value)
{
    if (value == NULL)
        return TINA_INVALID;
    tina__touch_result(value, sizeof *value);
    socket_call call;
    tina_status status = begin_call(ctx, fd, &call);
    if (status != TINA_OK)
        return status;
    return end_call(&call, call.api->socket_get(call.backend, call.os_fd, (int)option, value, &call.os_error));
}

/* TINA_READ_HALF is 1 << TINA__READ, TINA_WRITE_HALF is 1 << TINA__WRITE. */
TINA_STATIC_ASSERT(TINA_READ_HALF == 1 << TINA__READ && TINA_WRITE_HALF == 1 << TINA__WRITE,
                   "the halves' bits are the public ones");

tina_status tina_socket_shutdown(tina_ctx *ctx, tina_fd fd, tina_half half)
{
    uint32_t index;
    if (half < TINA_READ_HALF || half > TINA_BOTH_HALVES)
        return TINA_INVALID;
    tina_status status = tina__descriptor_find(ctx->shard, ctx->isolate, fd.bits, (uint8_t)half, &index);
    socket_call call;
    if (status == TINA_OK)
        status = begin_call(ctx, fd, &call);
    if (status != TINA_OK)
        return status;
    status = call.api->socket_shutdown(call.backend, call.os_fd, (int)half, &call.os_error);
    if (status == TINA_OK)
        tina__descriptor_cancel(ctx->shard, ctx->isolate, fd.bits, (uint8_t)half);
    return end_call(&call, status);
}

static tina_status adopt(tina_ctx *ctx, int os_fd, tina_fd *fd)
{
    tina__shard *shard = ctx->shard;
    uint32_t index = tina__descriptor_keep(shard);
    if (index == TINA__NONE)
        return tina__stats_refused(shard, TINA_POOL_EXHAUSTED);
    uint8_t fd_class;
    tina_status status = shard->api->adopt(shard->backend, os_fd, &fd_class, &ctx->os_error);
    if (status != TINA_OK) {
        tina__descriptor_give_back(shard, index);
        return tina__stats_refused(shard, status);
    }
    tina__descriptor_open(shard, index, os_fd, fd_class, ctx->isolate);
    *fd = tina__descriptor_handle(shard, index);
    return TINA_OK;
}

tina_status tina_fd_adopt(tina_ctx *ctx, intptr_t os_fd, tina_fd *fd)
{
    if (os_fd < 0 || os_fd > INT_MAX || fd == NULL)
        return TINA_INVALID;
    tina__touch_result(fd, sizeof *fd);
    tina__change_begin(ctx->shard);
    tina_status status = adopt(ctx, (int)os_fd, fd);
    tina__change_end(ctx->shard);
    return status;
}

tina_status tina_fd_give(tina_ctx *ctx, tina_handle to, tina_fd fd)
{
    tina__change_begin(ctx->shard);
    tina_status status = tina__gift_give(ctx->shard, ctx->isolate, to, fd.bits);
    tina__change_end(ctx->shard);
    return status;
}

int tina_os_error(const tina_ctx *ctx) { return ctx->os_error; }

/* ---- Operations ------------------------------------------------------------------------------- */

static void touch_path(const tina__shard *shard, const char *path)
{
    if (path != NULL)
        tina__touch(path, strnlen(path, shard->p.buffer_size));
}

static void touch_parts(const tina_op *op)
{
    if (op->part_count > TINA_PARTS_MAX)
        return;
    for (uint32_t i = 0; i < op->part_count; i++) {
        if (op->parts[i].data != NULL)
            tina__touch(op->parts[i].data, op->parts[i].size);
    }
}

/* What was received is sent on as it is, and need not be looked at: it may be out of the cache. */
static bool is_in_buffers(const tina__shard *shard, const void *data, size_t size)
{
    size_t all = (size_t)shard->p.buffer_count * shard->p.buffer_size;
    size_t offset = (size_t)((uintptr_t)data - (uintptr_t)shard->p.buffers);
    return offset < all && size <= all - offset;
}

/* All that an operation points to, before anything is done about it. */
static inline void touch_op(const tina__shard *shard, const tina_op *op)
{
    if (op->address != NULL)
        tina__touch(op->address, sizeof *op->address);
    touch_path(shard, op->path);
    touch_path(shard, op->new_path);
    if (op->parts != NULL)
        touch_parts(op);
    else if (op->data != NULL && !is_in_buffers(shard, op->data, op->size))
        tina__touch(op->data, op->size);
}

/* Inline: of an operation that is known here, nothing is looked for that is not there. */
static inline tina_effect make_effect(tina_ctx *ctx, const tina_op *op)
{
    touch_op(ctx->shard, op);
    tina__change_begin(ctx->shard);
    tina_effect effect = tina__effect_io(ctx, op);
    tina__change_end(ctx->shard);
    return effect;
}

tina_effect tina_io(tina_ctx *ctx, const tina_op *op)
{
    tina_op copy = *op;
    return make_effect(ctx, &copy);
}

static tina_status start(tina_ctx *ctx, const tina_op *op)
{
    uint32_t index;
    if (op->kind == TINA_IO_CLOSE)
        return tina__descriptor_close(ctx->shard, ctx->isolate, op->fd.bits, op->user, NULL);
    tina_status status = tina__operation_make(ctx, op, &index);
    if (status == TINA_OK)
        status = tina__operation_start(ctx, index);
    return status == TINA_OK ? TINA_OK : tina__stats_refused(ctx->shard, status);
}

tina_status tina_io_start(tina_ctx *ctx, const tina_op *op)
{
    tina_op copy = *op;
    touch_op(ctx->shard, &copy);
    tina__change_begin(ctx->shard);
    tina_status status = start(ctx, &copy);
    tina__change_end(ctx->shard);
    return status;
}

void tina_io_cancel(tina_ctx *ctx, tina_fd fd, tina_half half)
{
    tina__change_begin(ctx->shard);
    tina__descriptor_cancel(ctx->shard, ctx->isolate, fd.bits, (uint8_t)half);
    tina__change_end(ctx->shard);
}

tina_effect tina_io_accept(tina_ctx *ctx, tina_fd fd)
{
    return make_effect(ctx, &(tina_op){.kind = TINA_IO_ACCEPT, .fd = fd});
}

tina_effect tina_io_connect(tina_ctx *ctx, tina_fd fd, const tina_address *address, uint64_t timeout_ns)
{
    return make_effect(ctx, &(tina_op){.kind = TINA_IO_CONNECT, .fd = fd, .address = address, .timeout_ns = timeout_ns});
}

tina_effect tina_io_recv(tina_ctx *ctx, tina_fd fd) { return make_effect(ctx, &(tina_op){.kind = TINA_IO_RECV, .fd = fd}); }

tina_effect tina_io_send(tina_ctx *ctx, tina_fd fd, const void *data, size_t size)
{
    return make_effect(ctx, &(tina_op){.kind = TINA_IO_SEND, .fd = fd, .data = data, .size = size});
}

tina_effect tina_io_close(tina_ctx *ctx, tina_fd fd)
{
    return make_effect(ctx, &(tina_op){.kind = TINA_IO_CLOSE, .fd = fd});
}
