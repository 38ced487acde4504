/* Sends and writes: what is small is copied when they are made, the rest in chunks as it goes. */
#include "core/buffers.h"
#include "core/io_ops.h"
#include "core/stats.h"

#include <errno.h>
#include <string.h>

/* Copies as much as fits from where the parts stand into the operation's buffer, and asks for it. */
static void copy_next(tina__shard *shard, tina__operation *operation, const tina_bytes *parts)
{
    uint8_t *data = tina__buffer_data(shard, operation->buffer);
    uint32_t filled = 0;
    while (operation->part < operation->part_count && filled < shard->p.buffer_size) {
        const tina_bytes *part = &parts[operation->part];
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

/* ---- Making ------------------------------------------------------------------------------- */

/* Whole: one piece. */
static tina_status take_whole(const tina_op *op, tina__operation *operation, tina_bytes *parts)
{
    if ((op->data == NULL && op->size != 0) || op->size > INT64_MAX)
        return TINA_INVALID;
    parts[0] = (tina_bytes){op->data, op->size};
    operation->size = op->size;
    operation->part_count = 1;
    return TINA_OK;
}

static tina_status take_parts(const tina_op *op, tina__operation *operation, tina_bytes *parts)
{
    if (op->part_count == 0 || op->part_count > TINA_PARTS_MAX)
        return TINA_INVALID;
    operation->size = 0;
    for (uint32_t i = 0; i < op->part_count; i++) {
        parts[i] = op->parts[i];
        if (parts[i].data == NULL && parts[i].size != 0)
            return TINA_INVALID;
        if (parts[i].size > INT64_MAX - operation->size)
            return TINA_INVALID;
        operation->size += parts[i].size;
    }
    operation->part_count = (uint16_t)op->part_count;
    return TINA_OK;
}

/* Is it what the message that is being handled has brought? Then its buffer can be sent as it is. */
static bool is_received_data(const tina_ctx *frame, const tina__operation *operation, const tina_bytes *parts,
                             uint32_t *buffer)
{
    const tina__shard *shard = frame->shard;
    if (frame->mail_kind != TINA__MAIL_OPERATION || operation->part_count != 1)
        return false;
    *buffer = frame->mail;
    if (*buffer == TINA__NONE)
        return false;
    uintptr_t start = (uintptr_t)tina__buffer_data(shard, *buffer);
    uintptr_t data = (uintptr_t)parts[0].data;
    return data >= start && data - start <= shard->p.buffer_size && operation->size <= shard->p.buffer_size - (data - start);
}

static tina_status share(tina__shard *shard, tina__operation *operation, const tina_bytes *whole, uint32_t buffer)
{
    if (!tina__buffer_share(shard, buffer, !operation->request.no_wait))
        return TINA_POOL_EXHAUSTED;
    operation->buffer = buffer;
    operation->request.data = whole->data;
    operation->request.size = (uint32_t)operation->size;
    operation->part_count = 0;
    return TINA_OK;
}

tina_status tina__send_make(tina_ctx *frame, const tina_op *op, tina__operation *operation)
{
    tina__shard *shard = frame->shard;
    tina_bytes parts[TINA_PARTS_MAX];
    tina_status status = op->parts == NULL ? take_whole(op, operation, parts) : take_parts(op, operation, parts);
    if (status != TINA_OK)
        return status;
    operation->progress = 0;
    operation->part = 0;
    operation->part_offset = 0;
    operation->is_unreadable = false;
    operation->request.offset = op->offset;
    operation->request.no_wait = tina__buffers_must_not_wait(shard);
    uint32_t buffer;
    if (is_received_data(frame, operation, parts, &buffer))
        return share(shard, operation, parts, buffer);
    operation->buffer = tina__buffer_take(shard);
    if (operation->buffer == TINA__NONE)
        return TINA_POOL_EXHAUSTED;
    copy_next(shard, operation, parts);
    if (operation->part == operation->part_count)
        operation->part_count = 0;
    else
        memcpy(tina__buffer_annex(shard, operation->buffer), parts, operation->part_count * sizeof parts[0]);
    operation->part = operation->part_count == 0 ? 0 : operation->part;
    return TINA_OK;
}
TINA_STATIC_ASSERT(TINA_PARTS_MAX * sizeof(tina_bytes) <= TINA__ANNEX_SIZE, "an annex holds the parts of a send");

tina_status tina__sendto_make(tina_ctx *frame, const tina_op *op, tina__operation *operation)
{
    tina_status status = tina__send_make(frame, op, operation);
    if (status != TINA_OK || op->address == NULL)
        return status;
    operation->address = *op->address;
    operation->request.peer = &operation->address;
    return TINA_OK;
}

/* Only now it is known what the descriptor is. */
tina_status tina__send_start(tina__shard *shard, tina__operation *operation)
{
    bool is_datagram = operation->request.kind == TINA__IO_SEND_TO;
    if (is_datagram ? operation->size > shard->p.buffer_size : operation->size == 0)
        return TINA_INVALID;
    bool is_write = operation->request.kind == TINA__IO_WRITE;
    bool is_file = operation->request.fd_class == TINA__FD_FILE;
    if (is_file && (operation->request.offset > INT64_MAX || operation->size > INT64_MAX - operation->request.offset))
        return TINA_INVALID;
    if (is_write && operation->request.no_wait)
        return TINA_POOL_EXHAUSTED; /* what is left is for sends that are over at once, which no write can promise */
    return TINA_OK;
}

/* ---- Going on --------------------------------------------------------------------------------- */

typedef struct chunk {
    tina__shard *shard;
    tina__operation *operation;
} chunk;

static void copy_chunk(void *argument)
{
    const chunk *next = argument;
    copy_next(next->shard, next->operation, tina__buffer_annex(next->shard, next->operation->buffer));
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

bool tina__send_advance(tina__shard *shard, tina__operation *operation, const tina__io_completion *completion)
{
    operation->progress += completion->size;
    operation->request.offset += completion->size;
    tina__count_by(shard, bytes_out, completion->size);
    if (completion->status != TINA_OK || operation->progress == operation->size)
        return false;
    if (operation->stop != TINA_OK)
        return true; /* there is a rest, and nobody to take it from */
    if (completion->size < operation->request.size) {
        operation->request.data = (const uint8_t *)operation->request.data + completion->size;
        operation->request.size -= (uint32_t)completion->size;
    } else {
        tina__assert(operation->part < operation->part_count);
        return send_later_chunk(shard, operation);
    }
    return true;
}

void tina__send_finish(tina__shard *shard, tina__operation *operation, const tina__io_completion *completion,
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
