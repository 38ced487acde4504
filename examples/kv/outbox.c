#include "outbox.h"

#include <string.h>

void outbox_begin(kv_outbox *me) { me->shelf = (kv_shelf){.size = OUTBOX_SHELF_SIZE}; }

/* What waits is put away, where there is room for it. */
static void shelve(kv_outbox *me, parcel *sent, tina_ctx *ctx)
{
    uint32_t at = sent->size == 0 ? SHELF_NONE : shelf_take(&me->shelf, sent->size);
    if (at == SHELF_NONE)
        return;
    memcpy(me->bytes + at, sent->data, sent->size);
    tina_transfer_free(ctx, sent->transfer);
    sent->data = me->bytes + at;
    sent->is_shelved = true;
}

/* ---- Sending: each is false where there is no room now, and then nothing has changed ------- */

static bool send_busy(const parcel *sent, tina_ctx *ctx)
{
    const fetch busy = {.round = sent->round};
    switch (tina_send(ctx, sent->to, TAG_BUSY, &busy, sizeof busy)) {
    case TINA_MAILBOX_FULL:
    case TINA_CHANNEL_FULL:
    case TINA_POOL_EXHAUSTED: return false;
    default: return true;
    }
}

/* On false it is still the sender's. */
static bool send_transfer(const parcel *sent, tina_transfer transfer, tina_ctx *ctx)
{
    switch (tina_transfer_send(ctx, sent->to, transfer, sent->size)) {
    case TINA_OK: return true;
    case TINA_MAILBOX_FULL:
    case TINA_CHANNEL_FULL:
    case TINA_POOL_EXHAUSTED: return false;
    default: tina_transfer_free(ctx, transfer); return true; /* whoever asked is gone */
    }
}

static bool send_shelved(const parcel *sent, tina_ctx *ctx)
{
    tina_transfer transfer;
    void *data;
    if (tina_transfer_alloc(ctx, &transfer, &data, NULL) != TINA_OK)
        return false;
    memcpy(data, sent->data, sent->size);
    if (send_transfer(sent, transfer, ctx))
        return true;
    tina_transfer_free(ctx, transfer);
    return false;
}

static bool send_parcel(const parcel *sent, tina_ctx *ctx)
{
    if (sent->size == 0)
        return send_busy(sent, ctx);
    return sent->is_shelved ? send_shelved(sent, ctx) : send_transfer(sent, sent->transfer, ctx);
}

/* ---- The box ---------------------------------------------------------------------------- */

bool outbox_empty(kv_outbox *me, uint64_t safe, tina_ctx *ctx)
{
    while (me->count != 0 && me->parcels[me->first].after <= safe) {
        const parcel *sent = &me->parcels[me->first];
        if (!send_parcel(sent, ctx))
            return false;
        if (sent->is_shelved)
            shelf_give(&me->shelf, (uint32_t)((const uint8_t *)sent->data - me->bytes), sent->size);
        me->first = (me->first + 1) % OUTBOX_MAX;
        me->count--;
    }
    return true;
}

bool outbox_post(kv_outbox *me, const parcel *sent, uint64_t safe, tina_ctx *ctx)
{
    bool is_safe = sent->after <= safe;
    if (me->count == 0 && is_safe && send_parcel(sent, ctx))
        return true;
    if (me->count == OUTBOX_MAX) {
        if (sent->size != 0)
            tina_transfer_free(ctx, sent->transfer);
        return true; /* it is told that it was lost when it asks */
    }
    parcel *kept = &me->parcels[(me->first + me->count++) % OUTBOX_MAX];
    *kept = *sent;
    shelve(me, kept, ctx);
    return !is_safe;
}

bool outbox_has(const kv_outbox *me, tina_handle to)
{
    for (uint32_t i = 0; i < me->count; i++) {
        if (tina_handle_equal(me->parcels[(me->first + i) % OUTBOX_MAX].to, to))
            return true;
    }
    return false;
}
