/* Sockets and operations. */
#include "core/effect.h"
#include "core/reactor.h"
#include "core/stats.h"

/* ---- Sockets ----------------------------------------------------------------------------- */

/* Keeps the errno of a failed call for tina_os_error. */
static tina_status noted(tina_ctx *ctx, tina_status status, int os_error)
{
    if (status == TINA_SYSTEM_ERROR || status == TINA_DENIED)
        ctx->os_error = os_error;
    return status;
}

/* The OS descriptor of a socket of which the isolate owns at least one half. */
static tina_status find_os_fd(const tina_ctx *ctx, tina_fd fd, int *os_fd)
{
    uint32_t index;
    tina_status status = tina__descriptor_find_any(ctx->shard, ctx->isolate, fd.bits, &index);
    if (status == TINA_OK)
        *os_fd = ctx->shard->p.descriptors[index].os_fd;
    return status;
}

tina_status tina_socket(tina_ctx *ctx, int family, tina_socket_type type, tina_fd *fd)
{
    tina__shard *shard = ctx->shard;
    if ((family != TINA_IPV4 && family != TINA_IPV6) || type != TINA_STREAM || fd == NULL)
        return TINA_INVALID;
    uint32_t index = tina__descriptor_keep(shard);
    if (index == TINA__NONE)
        return tina__stats_refused(shard, TINA_POOL_EXHAUSTED);
    int os_fd;
    int os_error = 0;
    tina_status status = shard->api->socket_open(shard->backend, family, (int)type, &os_fd, &os_error);
    if (status != TINA_OK) {
        tina__descriptor_give_back(shard, index);
        return noted(ctx, tina__stats_refused(shard, status), os_error);
    }
    tina__descriptor_open(shard, index, os_fd, ctx->isolate);
    *fd = tina__descriptor_handle(shard, index);
    return TINA_OK;
}

tina_status tina_bind(tina_ctx *ctx, tina_fd fd, const tina_address *address)
{
    int os_fd;
    int os_error = 0;
    if (address == NULL)
        return TINA_INVALID;
    tina_status status = find_os_fd(ctx, fd, &os_fd);
    if (status != TINA_OK)
        return status;
    status = ctx->shard->api->socket_bind(ctx->shard->backend, os_fd, address, &os_error);
    return noted(ctx, status, os_error);
}

tina_status tina_listen(tina_ctx *ctx, tina_fd fd, int backlog)
{
    int os_fd;
    int os_error = 0;
    tina_status status = find_os_fd(ctx, fd, &os_fd);
    if (status != TINA_OK)
        return status;
    status = ctx->shard->api->socket_listen(ctx->shard->backend, os_fd, backlog, &os_error);
    return noted(ctx, status, os_error);
}

tina_status tina_local_address(tina_ctx *ctx, tina_fd fd, tina_address *address)
{
    int os_fd;
    int os_error = 0;
    if (address == NULL)
        return TINA_INVALID;
    tina_status status = find_os_fd(ctx, fd, &os_fd);
    if (status != TINA_OK)
        return status;
    status = ctx->shard->api->socket_local(ctx->shard->backend, os_fd, address, &os_error);
    return noted(ctx, status, os_error);
}

tina_status tina_peer_address(tina_ctx *ctx, tina_fd fd, tina_address *address)
{
    int os_fd;
    int os_error = 0;
    if (address == NULL)
        return TINA_INVALID;
    tina_status status = find_os_fd(ctx, fd, &os_fd);
    if (status != TINA_OK)
        return status;
    status = ctx->shard->api->socket_peer(ctx->shard->backend, os_fd, address, &os_error);
    return noted(ctx, status, os_error);
}

tina_status tina_setsockopt(tina_ctx *ctx, tina_fd fd, tina_option option, int value)
{
    int os_fd;
    int os_error = 0;
    tina_status status = find_os_fd(ctx, fd, &os_fd);
    if (status != TINA_OK)
        return status;
    status = ctx->shard->api->socket_set(ctx->shard->backend, os_fd, (int)option, value, &os_error);
    return noted(ctx, status, os_error);
}

tina_status tina_getsockopt(tina_ctx *ctx, tina_fd fd, tina_option option, int *value)
{
    int os_fd;
    int os_error = 0;
    if (value == NULL)
        return TINA_INVALID;
    tina_status status = find_os_fd(ctx, fd, &os_fd);
    if (status != TINA_OK)
        return status;
    status = ctx->shard->api->socket_get(ctx->shard->backend, os_fd, (int)option, value, &os_error);
    return noted(ctx, status, os_error);
}

/* TINA_READ_HALF is 1 << TINA__READ, TINA_WRITE_HALF is 1 << TINA__WRITE. */
TINA_STATIC_ASSERT(TINA_READ_HALF == 1 << TINA__READ && TINA_WRITE_HALF == 1 << TINA__WRITE,
                   "the halves' bits are the public ones");

tina_status tina_socket_shutdown(tina_ctx *ctx, tina_fd fd, tina_half half)
{
    tina__shard *shard = ctx->shard;
    uint32_t index;
    int os_error = 0;
    if (half < TINA_READ_HALF || half > TINA_BOTH_HALVES)
        return TINA_INVALID;
    tina_status status = tina__descriptor_find(shard, ctx->isolate, fd.bits, (uint8_t)half, &index);
    if (status != TINA_OK)
        return status;
    status = shard->api->socket_shutdown(shard->backend, shard->p.descriptors[index].os_fd, (int)half, &os_error);
    if (status == TINA_OK)
        tina__descriptor_cancel(shard, ctx->isolate, fd.bits, (uint8_t)half);
    return noted(ctx, status, os_error);
}

int tina_os_error(const tina_ctx *ctx) { return ctx->os_error; }

/* ---- Operations ------------------------------------------------------------------------------- */

tina_effect tina_io(tina_ctx *ctx, const tina_op *op) { return tina__effect_io(ctx, op); }

tina_status tina_io_start(tina_ctx *ctx, const tina_op *op)
{
    uint32_t index;
    if (op->kind == TINA_IO_CLOSE)
        return tina__descriptor_close(ctx->shard, ctx->isolate, op->fd.bits, op->user, NULL);
    tina_status status = tina__operation_make(ctx, op, &index);
    if (status == TINA_OK)
        status = tina__operation_start(ctx->shard, ctx->isolate, index);
    return status == TINA_OK ? TINA_OK : tina__stats_refused(ctx->shard, status);
}

void tina_io_cancel(tina_ctx *ctx, tina_fd fd, tina_half half)
{
    tina__descriptor_cancel(ctx->shard, ctx->isolate, fd.bits, (uint8_t)half);
}

tina_effect tina_io_accept(tina_ctx *ctx, tina_fd fd)
{
    return tina__effect_io(ctx, &(tina_op){.kind = TINA_IO_ACCEPT, .fd = fd});
}

tina_effect tina_io_connect(tina_ctx *ctx, tina_fd fd, const tina_address *address, uint64_t timeout_ns)
{
    return tina__effect_io(ctx, &(tina_op){.kind = TINA_IO_CONNECT, .fd = fd, .address = address, .timeout_ns = timeout_ns});
}

tina_effect tina_io_recv(tina_ctx *ctx, tina_fd fd)
{
    return tina__effect_io(ctx, &(tina_op){.kind = TINA_IO_RECV, .fd = fd});
}

tina_effect tina_io_send(tina_ctx *ctx, tina_fd fd, const void *data, size_t size)
{
    return tina__effect_io(ctx, &(tina_op){.kind = TINA_IO_SEND, .fd = fd, .data = data, .size = size});
}

tina_effect tina_io_close(tina_ctx *ctx, tina_fd fd)
{
    return tina__effect_io(ctx, &(tina_op){.kind = TINA_IO_CLOSE, .fd = fd});
}
