/* Operations on files: those that name them by a path, and what only files know. */
#include "core/buffers.h"
#include "core/io_ops.h"
#include "core/stats.h"

#include <string.h>

#define OPEN_FLAGS                                                                                                          \
    (TINA_OPEN_READ | TINA_OPEN_WRITE | TINA_OPEN_CREATE | TINA_OPEN_TRUNCATE | TINA_OPEN_APPEND | TINA_OPEN_EXCLUSIVE |    \
     TINA_OPEN_DIRECT_SYNC)
#define MODE_DEFAULT 0644
#define MODE_MAX     07777

/* ---- Paths, which lie in a buffer while the operation is under way ------------------------------ */

/* A buffer like a send's that may wait: a disk that stands still must not keep peers from being answered. */
static tina_status borrow_buffer(tina__shard *shard, tina__operation *operation)
{
    if (tina__buffers_must_not_wait(shard))
        return TINA_POOL_EXHAUSTED;
    operation->buffer = tina__buffer_take(shard);
    return operation->buffer == TINA__NONE ? TINA_POOL_EXHAUSTED : TINA_OK;
}

/* With its final zero, behind what is there. False: it is none, or there is no room. */
static bool append_path(const tina__shard *shard, uint8_t *data, uint32_t *used, const char *path)
{
    if (path == NULL || path[0] == '\0')
        return false;
    size_t room = shard->p.buffer_size - *used;
    size_t size = strnlen(path, room) + 1;
    if (size > room)
        return false;
    memcpy(data + *used, path, size);
    *used += (uint32_t)size;
    return true;
}

/* new_path: NULL where there is but one. */
static tina_status take_paths(tina__shard *shard, tina__operation *operation, const char *path, const char *new_path)
{
    tina_status status = borrow_buffer(shard, operation);
    if (status != TINA_OK)
        return status;
    uint8_t *data = tina__buffer_data(shard, operation->buffer);
    uint32_t used = 0;
    bool is_taken = append_path(shard, data, &used, path);
    operation->request.data = data;
    operation->request.size = used;
    if (new_path != NULL)
        is_taken = is_taken && append_path(shard, data, &used, new_path);
    if (is_taken)
        return TINA_OK;
    tina__buffer_drop(shard, operation->buffer);
    operation->buffer = TINA__NONE;
    return TINA_INVALID;
}

void tina__path_finish(tina__shard *shard, tina__operation *operation, const tina__io_completion *completion,
                       tina__isolate *owner, tina_io_result *result)
{
    (void)completion;
    (void)owner;
    (void)result;
    tina__buffer_drop(shard, operation->buffer);
    operation->buffer = TINA__NONE;
}

static bool are_open_flags(uint32_t flags)
{
    if ((flags & (TINA_OPEN_READ | TINA_OPEN_WRITE)) == 0 || (flags & ~(uint32_t)OPEN_FLAGS) != 0)
        return false;
    if ((flags & TINA_OPEN_EXCLUSIVE) != 0 && (flags & TINA_OPEN_CREATE) == 0)
        return false;
    bool writes = (flags & TINA_OPEN_WRITE) != 0;
    return writes || (flags & (TINA_OPEN_TRUNCATE | TINA_OPEN_APPEND)) == 0;
}

tina_status tina__open_make(tina_ctx *frame, const tina_op *op, tina__operation *operation)
{
    if (!are_open_flags(op->flags) || op->mode > MODE_MAX)
        return TINA_INVALID;
    operation->request.flags = op->flags;
    operation->request.mode = op->mode == 0 ? MODE_DEFAULT : op->mode;
    return take_paths(frame->shard, operation, op->path, NULL);
}

tina_status tina__rename_make(tina_ctx *frame, const tina_op *op, tina__operation *operation)
{
    if (op->new_path == NULL)
        return TINA_INVALID;
    return take_paths(frame->shard, operation, op->path, op->new_path);
}

tina_status tina__unlink_make(tina_ctx *frame, const tina_op *op, tina__operation *operation)
{
    return take_paths(frame->shard, operation, op->path, NULL);
}

/* ---- On open ones ------------------------------------------------------------------------------------ */

/* What the kernel tells of a file, the backend may have written into the annex. */
tina_status tina__stat_make(tina_ctx *frame, const tina_op *op, tina__operation *operation)
{
    (void)op;
    tina_status status = borrow_buffer(frame->shard, operation);
    if (status == TINA_OK)
        operation->request.data = tina__buffer_annex(frame->shard, operation->buffer);
    return status;
}

tina_status tina__truncate_make(tina_ctx *frame, const tina_op *op, tina__operation *operation)
{
    (void)frame;
    if (op->size > INT64_MAX)
        return TINA_INVALID;
    operation->request.offset = op->size;
    return TINA_OK;
}

/* ---- From a file to a socket --------------------------------------------------------------------------- */

#define SENDFILE_PART (1u << 30) /* asked of the backend at once */

static void ask_for_next(tina__operation *operation)
{
    uint64_t left = operation->size == 0 ? SENDFILE_PART : operation->size - operation->progress;
    operation->request.size = (uint32_t)tina__min_u64(left, SENDFILE_PART);
}

tina_status tina__sendfile_make(tina_ctx *frame, const tina_op *op, tina__operation *operation)
{
    (void)frame;
    if (op->offset > INT64_MAX || op->size > INT64_MAX - op->offset)
        return TINA_INVALID;
    operation->size = op->size;
    operation->progress = 0;
    operation->file = op->file.bits;
    operation->request.offset = op->offset;
    ask_for_next(operation);
    return TINA_OK;
}

bool tina__sendfile_advance(tina__shard *shard, tina__operation *operation, const tina__io_completion *completion)
{
    operation->progress += completion->size;
    operation->request.offset += completion->size;
    tina__count_by(shard, bytes_out, completion->size);
    if (completion->status != TINA_OK || completion->size == 0 || operation->progress == operation->size)
        return false;
    ask_for_next(operation);
    return true;
}

void tina__sendfile_finish(tina__shard *shard, tina__operation *operation, const tina__io_completion *completion,
                           tina__isolate *owner, tina_io_result *result)
{
    (void)shard;
    (void)owner;
    result->size = operation->progress;
    bool is_at_end = completion->status == TINA_OK && operation->progress != operation->size;
    if (is_at_end && operation->size != 0 && result->status == TINA_OK)
        result->status = TINA_CLOSED; /* the file was shorter */
}
