#include "core/io_ops.h"

#include "core/buffers.h"
#include "core/reactor.h"
#include "core/stats.h"

#include <errno.h>
#include <string.h>

static bool is_over_at_once(tina__shard *shard, tina__operation *operation, const tina__io_completion *completion)
{
    (void)shard;
    (void)operation;
    (void)completion;
    return false;
}

static tina_status needs_nothing(tina__shard *shard, tina__operation *operation)
{
    (void)shard;
    (void)operation;
    return TINA_OK;
}

/* ---- Accept ---------------------------------------------------------------------------- */

static tina_status accept_make(tina_ctx *frame, const tina_op *op, tina__operation *operation)
{
    (void)frame;
    (void)op;
    operation->request.peer = &operation->address;
    return TINA_OK;
}

static tina_status accept_start(tina__shard *shard, tina__operation *operation)
{
    operation->accepted = tina__descriptor_keep(shard);
    return operation->accepted == TINA__NONE ? TINA_POOL_EXHAUSTED : TINA_OK;
}

static void accept_finish(tina__shard *shard, tina__operation *operation, const tina__io_completion *completion,
                          tina__isolate *owner, tina_io_result *result)
{
    uint32_t index = operation->accepted;
    operation->accepted = TINA__NONE;
    if (completion->os_fd < 0) {
        tina__descriptor_give_back(shard, index);
        return;
    }
    if (owner == NULL) {
        shard->api->close_fd(shard->backend, completion->os_fd, index);
        tina__descriptor_give_back(shard, index);
        return;
    }
    tina__descriptor_open(shard, index, completion->os_fd, owner);
    result->fd = tina__descriptor_handle(shard, index);
    result->peer = &operation->address;
}

/* ---- Connect ----------------------------------------------------------------------------- */

static tina_status connect_make(tina_ctx *frame, const tina_op *op, tina__operation *operation)
{
    (void)frame;
    if (op->address == NULL || (op->address->family != TINA_IPV4 && op->address->family != TINA_IPV6))
        return TINA_INVALID;
    operation->address = *op->address;
    operation->request.peer = &operation->address;
    return TINA_OK;
}

static void connect_finish(tina__shard *shard, tina__operation *operation, const tina__io_completion *completion,
                           tina__isolate *owner, tina_io_result *result)
{
    (void)shard;
    (void)operation;
    (void)completion;
    (void)owner;
    (void)result;
}

/* ---- Receive ------------------------------------------------------------------------------- */

static tina_status receive_make(tina_ctx *frame, const tina_op *op, tina__operation *operation)
{
    uint32_t whole = frame->shard->p.buffer_size;
    operation->request.size = op->size == 0 || op->size > whole ? whole : (uint32_t)op->size;
    return TINA_OK;
}

static void receive_finish(tina__shard *shard, tina__operation *operation, const tina__io_completion *completion,
                           tina__isolate *owner, tina_io_result *result)
{
    if (completion->buffer == TINA__BUFFER_NONE)
        return;
    if (owner == NULL) {
        tina__buffer_drop(shard, completion->buffer);
        return;
    }
    operation->buffer = completion->buffer;
    result->data = tina__buffer_data(shard, completion->buffer);
    tina__count_by(shard, bytes_in, completion->size);
}

/* ---- Send ------------------------------------------------------------------------------------ */

/* Copies as much as fits from where the parts stand into the operation's buffer, and asks for it. */
static void send_next_chunk(tina__shard *shard, tina__operation *operation)
{
    uint8_t *data = tina__buffer_data(shard, operation->buffer);
    uint32_t filled = 0;
    while (operation->part < operation->part_count && filled < shard->p.buffer_size) {
        const tina_bytes *part = &operation->parts[operation->part];
        uint64_t left = part->size - operation->part_offset;
        uint32_t size = (uint32_t)tina__min_u64(left, shard->p.buffer_size - filled);
        if (size != 0)
            memcpy(data + filled, (const uint8_t *)part->data + operation->part_offset, size);
        filled += size;
        operation->part_offset += size;
        if (operation->part_offset == part->size) {
            operation->part++;
            operation->part_offset = 0;
        }
    }
    operation->request.data = data;
    operation->request.size = filled;
}

static tina_status copy_parts(const tina_op *op, tina__operation *operation)
{
    tina_bytes whole = {op->data, op->size};
    const tina_bytes *parts = op->parts != NULL ? op->parts : &whole;
    uint32_t count = op->parts != NULL ? op->part_count : 1;
    if (count == 0 || count > TINA_PARTS_MAX)
        return TINA_INVALID;
    for (uint32_t i = 0; i < count; i++) {
        if (parts[i].data == NULL && parts[i].size != 0)
            return TINA_INVALID;
        if (parts[i].size > UINT64_MAX - operation->size)
            return TINA_INVALID;
        operation->size += parts[i].size;
        operation->parts[i] = parts[i];
    }
    operation->part_count = (uint8_t)count;
    return operation->size == 0 ? TINA_INVALID : TINA_OK;
}

typedef struct chunk {
    tina__shard *shard;
    tina__operation *operation;
} chunk;

static void copy_chunk(void *argument)
{
    chunk *next = argument;
    send_next_chunk(next->shard, next->operation);
}

/*
 * A later chunk comes from the isolate's memory while it is parked. Where that
 * memory is gone by now, which costs nobody but this operation, the trap says so.
 */
static bool send_later_chunk(tina__shard *shard, tina__operation *operation)
{
    chunk next = {shard, operation};
    tina__fault fault;
    operation->is_unreadable = !tina__trap_run(copy_chunk, &next, &fault);
    tina__guard_set(&shard->guard->is_changing, false);
    return !operation->is_unreadable;
}

/* Is it what the message that is being handled has brought? Then its buffer can be sent as it is. */
static bool is_received_data(const tina_ctx *frame, const tina__operation *operation, uint32_t *buffer)
{
    const tina__shard *shard = frame->shard;
    if (frame->mail_kind != TINA__MAIL_OPERATION || operation->part_count != 1)
        return false;
    *buffer = shard->p.operations[frame->mail].buffer;
    if (*buffer == TINA__NONE)
        return false;
    uintptr_t start = (uintptr_t)tina__buffer_data(shard, *buffer);
    uintptr_t data = (uintptr_t)operation->parts[0].data;
    return data >= start && data - start <= shard->p.buffer_size && operation->size <= shard->p.buffer_size - (data - start);
}

static tina_status send_make(tina_ctx *frame, const tina_op *op, tina__operation *operation)
{
    tina__shard *shard = frame->shard;
    tina_status status = copy_parts(op, operation);
    if (status != TINA_OK)
        return status;
    uint32_t buffer;
    if (is_received_data(frame, operation, &buffer)) {
        operation->request.no_wait = tina__buffers_must_not_wait(shard);
        if (!tina__buffer_share(shard, buffer, !operation->request.no_wait))
            return TINA_POOL_EXHAUSTED;
        operation->buffer = buffer;
        operation->request.data = operation->parts[0].data;
        operation->request.size = (uint32_t)operation->size;
        operation->part = operation->part_count;
        return TINA_OK;
    }
    operation->request.no_wait = tina__buffers_must_not_wait(shard);
    operation->buffer = tina__buffer_take(shard);
    if (operation->buffer == TINA__NONE)
        return TINA_POOL_EXHAUSTED;
    send_next_chunk(shard, operation);
    return TINA_OK;
}

static bool send_advance(tina__shard *shard, tina__operation *operation, const tina__io_completion *completion)
{
    operation->progress += completion->size;
    tina__count_by(shard, bytes_out, completion->size);
    if (completion->status != TINA_OK || operation->progress == operation->size)
        return false;
    if (operation->stop != TINA_OK)
        return true; /* there is a rest, and nobody to take it from */
    if (completion->size < operation->request.size) {
        operation->request.data = (const uint8_t *)operation->request.data + completion->size;
        operation->request.size -= completion->size;
    } else {
        tina__assert(operation->part < operation->part_count);
        return send_later_chunk(shard, operation);
    }
    return true;
}

static void send_finish(tina__shard *shard, tina__operation *operation, const tina__io_completion *completion,
                        tina__isolate *owner, tina_io_result *result)
{
    (void)owner;
    tina__buffer_drop(shard, operation->buffer);
    operation->buffer = TINA__NONE;
    result->size = operation->progress;
    if (completion->status == TINA_BUSY) /* it was one that must not wait */
        result->status = TINA_POOL_EXHAUSTED;
    if (operation->is_unreadable) {
        result->status = TINA_INVALID;
        result->os_error = EFAULT;
    }
}

/* ---- The table ---------------------------------------------------------------------------------- */

static const tina__op_row rows[] = {
    {TINA_IO_ACCEPT, TINA__READ, TINA__IO_ACCEPT, accept_make, accept_start, is_over_at_once, accept_finish},
    {TINA_IO_CONNECT, TINA__WRITE, TINA__IO_CONNECT, connect_make, needs_nothing, is_over_at_once, connect_finish},
    {TINA_IO_SEND, TINA__WRITE, TINA__IO_SEND, send_make, needs_nothing, send_advance, send_finish},
    {TINA_IO_RECV, TINA__READ, TINA__IO_RECEIVE, receive_make, needs_nothing, is_over_at_once, receive_finish},
};

const tina__op_row *tina__op_row_of(tina_tag kind)
{
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].kind == kind)
            return &rows[i];
    }
    return NULL;
}
