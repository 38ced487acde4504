#include "core/transfer.h"

#include "core/mailbox.h"
#include "core/route.h"
#include "core/stats.h"

#include <string.h>

static void *transfer_data(const tina__shard *shard, uint32_t index)
{
    return shard->p.transfers + (size_t)index * shard->p.transfer_stride;
}

static void unlink_transfer(tina__shard *shard, uint32_t index)
{
    tina__transfer_record *record = &shard->p.transfer_records[index];
    if (record->previous == TINA__NONE)
        shard->p.isolates[record->isolate].transfers = record->next;
    else
        shard->p.transfer_records[record->previous].next = record->next;
    if (record->next != TINA__NONE)
        shard->p.transfer_records[record->next].previous = record->previous;
    record->isolate = TINA__NONE;
}

static void give_back(tina__shard *shard, uint32_t index)
{
    tina__transfer_record *record = &shard->p.transfer_records[index];
    record->generation = tina__word_generation_next(record->generation);
    tina__pool_give(&shard->transfers, index);
}

tina_status tina__transfer_alloc(tina__shard *shard, tina__isolate *owner, tina_transfer *transfer, void **data)
{
    uint32_t index = tina__pool_take(&shard->transfers);
    if (index == TINA__NONE)
        return tina__stats_refused(shard, TINA_POOL_EXHAUSTED);
    tina__transfer_record *record = &shard->p.transfer_records[index];
    if (record->generation == 0)
        record->generation = 1;
    record->isolate = tina__isolate_index(shard, owner);
    record->previous = TINA__NONE;
    record->next = owner->transfers;
    if (owner->transfers != TINA__NONE)
        shard->p.transfer_records[owner->transfers].previous = index;
    owner->transfers = index;
    transfer->bits = tina__word_make(shard->id, index, record->generation);
    *data = transfer_data(shard, index);
    return TINA_OK;
}

/* The record that the handle means, or NULL. */
static tina__transfer_record *find_transfer(const tina__shard *shard, tina_transfer transfer)
{
    uint32_t index = tina__word_index(transfer.bits);
    if (tina__word_shard(transfer.bits) != shard->id || index >= shard->p.transfer_count)
        return NULL;
    tina__transfer_record *record = &shard->p.transfer_records[index];
    return record->generation != 0 && record->generation == tina__word_generation(transfer.bits) ? record : NULL;
}

/* The index of a transfer that the owner is writing. */
static tina_status find_owned(const tina__shard *shard, const tina__isolate *owner, tina_transfer transfer, uint32_t *index)
{
    const tina__transfer_record *record = find_transfer(shard, transfer);
    if (record == NULL)
        return TINA_STALE_HANDLE;
    if (record->isolate != tina__isolate_index(shard, owner))
        return TINA_NOT_OWNER;
    *index = tina__word_index(transfer.bits);
    return TINA_OK;
}

tina_status tina__transfer_send(tina__shard *shard, tina__isolate *owner, tina_handle to, tina_transfer transfer,
                                size_t size)
{
    uint32_t index;
    tina_status status = find_owned(shard, owner, transfer, &index);
    if (status != TINA_OK)
        return status;
    if (size > shard->p.transfer_size)
        return TINA_INVALID;
    if (tina_handle_shard(to) != shard->id)
        return tina_handle_shard(to) < shard->shared->shard_count ? TINA_UNSUPPORTED : TINA_INVALID;
    status = tina__route_send(shard, tina__isolate_handle(shard, owner), to, TINA_TAG_TRANSFER, &transfer, sizeof transfer);
    if (status != TINA_OK)
        return status;
    shard->p.transfer_records[index].size = (uint32_t)size;
    unlink_transfer(shard, index);
    return TINA_OK;
}

/* The transfer that a message carries, or NULL: it is a copy of a message that was handled before. */
static tina__transfer_record *find_carried(const tina__shard *shard, const tina_message *message)
{
    tina_transfer transfer;
    memcpy(&transfer, message->payload, sizeof transfer);
    return find_transfer(shard, transfer);
}

tina_status tina__transfer_read(tina__shard *shard, const tina_message *message, const void **data, size_t *size)
{
    if (message->tag != TINA_TAG_TRANSFER)
        return TINA_INVALID;
    const tina__transfer_record *record = find_carried(shard, message);
    if (record == NULL)
        return TINA_STALE_HANDLE;
    *data = transfer_data(shard, (uint32_t)(record - shard->p.transfer_records));
    *size = record->size;
    return TINA_OK;
}

void tina__transfer_free(tina__shard *shard, tina__isolate *owner, tina_transfer transfer)
{
    uint32_t index;
    if (find_owned(shard, owner, transfer, &index) != TINA_OK)
        return;
    unlink_transfer(shard, index);
    give_back(shard, index);
}

void tina__transfer_release(tina__shard *shard, const tina_message *message)
{
    const tina__transfer_record *record = find_carried(shard, message);
    tina__assert(record != NULL);
    give_back(shard, (uint32_t)(record - shard->p.transfer_records));
}

void tina__transfers_end(tina__shard *shard, tina__isolate *owner)
{
    while (owner->transfers != TINA__NONE) {
        uint32_t index = owner->transfers;
        unlink_transfer(shard, index);
        give_back(shard, index);
    }
}
