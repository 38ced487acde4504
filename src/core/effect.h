/*
 * Effects: made by a handler, carried out when it returns them. The shard's
 * thread alone.
 *
 * What an effect carries waits in a stage (messages) or as a staged operation,
 * both of the frame in which it was made. What was not returned is given back
 * when the frame ends.
 */
#ifndef TINA__CORE_EFFECT_H
#define TINA__CORE_EFFECT_H

#include "core/shard.h"

typedef enum tina__effect_kind { /* 0 is no effect: a handler that forgot to return one crashes */
                                 TINA__EFFECT_RECEIVE = 1,
                                 TINA__EFFECT_DONE,
                                 TINA__EFFECT_CRASH, /* reason */
                                 TINA__EFFECT_YIELD,
                                 TINA__EFFECT_CALL,  /* token: its stage; argument: the stage's sequence */
                                 TINA__EFFECT_REPLY, /* the same */
                                 TINA__EFFECT_IO,    /* argument: the staged operation's token */
                                 TINA__EFFECT_CLOSE, /* argument: the descriptor */
                                 TINA__EFFECT_REFUSED, /* reason: the status; reserved: what failed; argument: the descriptor, or 0 */
} tina__effect_kind;

tina_effect tina__effect_call(tina_ctx *frame, tina_handle to, tina_tag tag, const void *payload, size_t size,
                              uint64_t timeout_ns);
tina_effect tina__effect_reply(tina_ctx *frame, tina_tag tag, const void *payload, size_t size);
tina_effect tina__effect_io(tina_ctx *frame, const tina_op *op);

/* Carries it out for the frame's isolate. False: the isolate is to end; *ending says how. */
bool tina__effect_apply_other(tina_ctx *frame, tina_effect effect, tina__ending *ending);

static inline bool tina__effect_apply(tina_ctx *frame, tina_effect effect, tina__ending *ending)
{
    if (effect.kind != TINA__EFFECT_RECEIVE)
        return tina__effect_apply_other(frame, effect, ending);
    frame->isolate->state = TINA__ISOLATE_RECEIVING;
    return true;
}

/* Whether there is nothing to carry out: it goes on receiving, as nearly always. A look is cheaper than a store. */
static inline bool tina__effect_is_plain(const tina__isolate *isolate, tina_effect effect)
{
    return effect.kind == TINA__EFFECT_RECEIVE && isolate->state == TINA__ISOLATE_RECEIVING;
}

#endif
