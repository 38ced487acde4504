/*
 * The operations, a row each: which half of a descriptor they use, what each kind
 * of descriptor does for them, what they need before they can start, and what
 * their completion brings.
 */
#ifndef TINA__CORE_IO_OPS_H
#define TINA__CORE_IO_OPS_H

#include "core/shard.h"

#define TINA__HALF_NONE 2    /* of an operation without a descriptor */
#define TINA__IO_NONE   0xFF /* in a row: a descriptor of that class does not know the operation */

typedef struct tina__op_row {
    uint8_t half;             /* TINA__READ, TINA__WRITE, TINA__HALF_NONE */
    uint8_t backend_kinds[4]; /* tina__io_kind, or TINA__IO_NONE, by tina__fd_class; without a descriptor the first */
    /* Checks what the user gave and takes it over. Not TINA_OK: nothing is held. */
    tina_status (*make)(tina_ctx *frame, const tina_op *op, tina__operation *operation);
    /*
     * Takes what it needs while it is under way; the request's kind and class are
     * known. Not TINA_OK: nothing more is held than before. NULL: it needs nothing.
     */
    tina_status (*start)(tina__shard *shard, tina__operation *operation);
    /* The backend is done with a part of it. True: the rest has been set up in the request, submit it again. NULL: there are no parts. */
    bool (*advance)(tina__shard *shard, tina__operation *operation, const tina__io_completion *completion);
    /* It is over. owner: the isolate that gets result, or NULL: it ended, reclaim what the operation brought. */
    void (*finish)(tina__shard *shard, tina__operation *operation, const tina__io_completion *completion,
                   tina__isolate *owner, tina_io_result *result);
} tina__op_row;

#define TINA__OP_ROWS (TINA_IO_UNLINK + 1)
extern const tina__op_row tina__op_rows[TINA__OP_ROWS]; /* by kind; make is NULL where there is no such operation */

/* NULL: there is no such operation. */
static inline const tina__op_row *tina__op_row_of(tina_tag kind)
{
    return kind < TINA__OP_ROWS && tina__op_rows[kind].make != NULL ? &tina__op_rows[kind] : NULL;
}

/* ---- What the rows are made of ---- */

/* Send and its like (io_send.c). */
tina_status tina__send_make(tina_ctx *frame, const tina_op *op, tina__operation *operation);
tina_status tina__sendto_make(tina_ctx *frame, const tina_op *op, tina__operation *operation);
tina_status tina__send_start(tina__shard *shard, tina__operation *operation);
bool tina__send_advance(tina__shard *shard, tina__operation *operation, const tina__io_completion *completion);
void tina__send_finish(tina__shard *shard, tina__operation *operation, const tina__io_completion *completion,
                       tina__isolate *owner, tina_io_result *result);

/* Of files (io_file.c). */
tina_status tina__open_make(tina_ctx *frame, const tina_op *op, tina__operation *operation);
tina_status tina__rename_make(tina_ctx *frame, const tina_op *op, tina__operation *operation);
tina_status tina__unlink_make(tina_ctx *frame, const tina_op *op, tina__operation *operation);
tina_status tina__stat_make(tina_ctx *frame, const tina_op *op, tina__operation *operation);
tina_status tina__truncate_make(tina_ctx *frame, const tina_op *op, tina__operation *operation);
tina_status tina__sendfile_make(tina_ctx *frame, const tina_op *op, tina__operation *operation);
bool tina__sendfile_advance(tina__shard *shard, tina__operation *operation, const tina__io_completion *completion);
void tina__sendfile_finish(tina__shard *shard, tina__operation *operation, const tina__io_completion *completion,
                           tina__isolate *owner, tina_io_result *result);
/* It is over: what it borrowed for its path is free. */
void tina__path_finish(tina__shard *shard, tina__operation *operation, const tina__io_completion *completion,
                       tina__isolate *owner, tina_io_result *result);

/* What brings a descriptor (io_ops.c): it is kept from the start on. */
tina_status tina__opening_start(tina__shard *shard, tina__operation *operation);
void tina__opening_finish(tina__shard *shard, tina__operation *operation, const tina__io_completion *completion,
                          tina__isolate *owner, tina_io_result *result);

#endif
