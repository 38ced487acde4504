#include "core/io_ops.h"

#include "core/buffers.h"
#include "core/reactor.h"
#include "core/stats.h"

static tina_status takes_nothing(tina_ctx *frame, const tina_op *op, tina__operation *operation)
{
    (void)frame;
    (void)op;
    (void)operation;
    return TINA_OK;
}

static void brings_nothing(tina__shard *shard, tina__operation *operation, const tina__io_completion *completion,
                           tina__isolate *owner, tina_io_result *result)
{
    (void)shard;
    (void)operation;
    (void)completion;
    (void)owner;
    (void)result;
}

/* ---- Accept and open ---------------------------------------------------------------------- */

tina_status tina__opening_start(tina__shard *shard, tina__operation *operation)
{
    operation->accepted = tina__descriptor_keep(shard);
    return operation->accepted == TINA__NONE ? TINA_POOL_EXHAUSTED : TINA_OK;
}

void tina__opening_finish(tina__shard *shard, tina__operation *operation, const tina__io_completion *completion,
                          tina__isolate *owner, tina_io_result *result)
{
    uint32_t index = operation->accepted;
    operation->accepted = TINA__NONE;
    if (operation->buffer != TINA__NONE)
        tina__path_finish(shard, operation, completion, owner, result);
    if (completion->os_fd < 0) {
        tina__descriptor_give_back(shard, index);
        return;
    }
    if (owner == NULL) {
        shard->api->close_fd(shard->backend, completion->os_fd, TINA__SLOT_NONE);
        tina__descriptor_give_back(shard, index);
        return;
    }
    tina__descriptor_open(shard, index, completion->os_fd, completion->fd_class, owner);
    result->fd = tina__descriptor_handle(shard, index);
}

/* ---- Connect ----------------------------------------------------------------------------- */

static tina_status connect_make(tina_ctx *frame, const tina_op *op, tina__operation *operation)
{
    (void)frame;
    if (op->address == NULL)
        return TINA_INVALID;
    operation->address = *op->address;
    operation->request.peer = &operation->address;
    return TINA_OK;
}

/* ---- Receive and read ------------------------------------------------------------------------ */

static tina_status receive_make(tina_ctx *frame, const tina_op *op, tina__operation *operation)
{
    uint32_t whole = frame->shard->p.buffer_size;
    operation->request.size = op->size == 0 || op->size > whole ? whole : (uint32_t)op->size;
    operation->request.offset = op->offset;
    return TINA_OK;
}

static tina_status read_start(tina__shard *shard, tina__operation *operation)
{
    (void)shard;
    return tina__io_reads_file(&operation->request) && operation->request.offset > INT64_MAX ? TINA_INVALID : TINA_OK;
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
    result->flags = completion->is_truncated ? TINA_IO_TRUNCATED : 0;
    if (operation->request.kind == TINA__IO_RECEIVE_FROM)
        result->peer = tina__buffer_annex(shard, completion->buffer);
    tina__count_by(shard, bytes_in, completion->size);
}

/* ---- The table ---------------------------------------------------------------------------------- */

#define NO TINA__IO_NONE

/* By kind. What each kind of descriptor does for it: a stream, a datagram socket, a pipe, a file. */
const tina__op_row tina__op_rows[TINA__OP_ROWS] = {
    [TINA_IO_ACCEPT] =
        {TINA__READ, {TINA__IO_ACCEPT, NO, NO, NO}, takes_nothing, tina__opening_start, NULL, tina__opening_finish},
    [TINA_IO_CONNECT] =
        {TINA__WRITE, {TINA__IO_CONNECT, TINA__IO_CONNECT, NO, NO}, connect_make, NULL, NULL, brings_nothing},
    [TINA_IO_SEND] = {TINA__WRITE,
                      {TINA__IO_SEND, TINA__IO_SEND_TO, TINA__IO_WRITE, NO},
                      tina__send_make,
                      tina__send_start,
                      tina__send_advance,
                      tina__send_finish},
    [TINA_IO_RECV] =
        {TINA__READ, {TINA__IO_RECEIVE, TINA__IO_RECEIVE_FROM, TINA__IO_READ, NO}, receive_make, NULL, NULL, receive_finish},
    [TINA_IO_SENDTO] = {TINA__WRITE,
                        {NO, TINA__IO_SEND_TO, NO, NO},
                        tina__sendto_make,
                        tina__send_start,
                        tina__send_advance,
                        tina__send_finish},
    [TINA_IO_RECVFROM] = {TINA__READ, {NO, TINA__IO_RECEIVE_FROM, NO, NO}, receive_make, NULL, NULL, receive_finish},
    [TINA_IO_READ] = {TINA__READ,
                      {TINA__IO_RECEIVE, TINA__IO_RECEIVE_FROM, TINA__IO_READ, TINA__IO_READ},
                      receive_make,
                      read_start,
                      NULL,
                      receive_finish},
    [TINA_IO_WRITE] = {TINA__WRITE,
                       {TINA__IO_SEND, TINA__IO_SEND_TO, TINA__IO_WRITE, TINA__IO_WRITE},
                       tina__send_make,
                       tina__send_start,
                       tina__send_advance,
                       tina__send_finish},
    [TINA_IO_SENDFILE] = {TINA__WRITE,
                          {TINA__IO_SENDFILE, NO, NO, NO},
                          tina__sendfile_make,
                          NULL,
                          tina__sendfile_advance,
                          tina__sendfile_finish},
    [TINA_IO_STAT] = {TINA__READ, {NO, NO, NO, TINA__IO_STAT}, tina__stat_make, NULL, NULL, tina__path_finish},
    [TINA_IO_SYNC] = {TINA__WRITE, {NO, NO, NO, TINA__IO_SYNC}, takes_nothing, NULL, NULL, brings_nothing},
    [TINA_IO_TRUNCATE] = {TINA__WRITE, {NO, NO, NO, TINA__IO_TRUNCATE}, tina__truncate_make, NULL, NULL, brings_nothing},
    [TINA_IO_OPEN] = {TINA__HALF_NONE, {TINA__IO_OPEN}, tina__open_make, tina__opening_start, NULL, tina__opening_finish},
    [TINA_IO_RENAME] = {TINA__HALF_NONE, {TINA__IO_RENAME}, tina__rename_make, NULL, NULL, tina__path_finish},
    [TINA_IO_UNLINK] = {TINA__HALF_NONE, {TINA__IO_UNLINK}, tina__unlink_make, NULL, NULL, tina__path_finish},
};
