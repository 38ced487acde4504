/*
 * The operations, a row each: which half of a descriptor they use, what they need
 * before they can start, and what their completion brings.
 */
#ifndef TINA__CORE_IO_OPS_H
#define TINA__CORE_IO_OPS_H

#include "core/shard.h"

typedef struct tina__op_row {
    tina_tag kind;
    uint8_t half;         /* TINA__READ, TINA__WRITE */
    uint8_t backend_kind; /* tina__io_kind */
    /* Checks what the user gave and takes it over. Not TINA_OK: nothing is held. */
    tina_status (*make)(tina_ctx *frame, const tina_op *op, tina__operation *operation);
    /* Takes what it needs while it is under way. Not TINA_OK: nothing more is held than before. */
    tina_status (*start)(tina__shard *shard, tina__operation *operation);
    /* The backend is done with a part of it. True: the rest has been set up in the request, submit it again. */
    bool (*advance)(tina__shard *shard, tina__operation *operation, const tina__io_completion *completion);
    /* It is over. owner: the isolate that gets result, or NULL: it ended, reclaim what the operation brought. */
    void (*finish)(tina__shard *shard, tina__operation *operation, const tina__io_completion *completion,
                   tina__isolate *owner, tina_io_result *result);
} tina__op_row;

/* NULL: there is no such operation. */
const tina__op_row *tina__op_row_of(tina_tag kind);

#endif
