#include "core/transfer.h"

#include "core/mailbox.h"
#include "core/place.h"
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
    record->isolate = TINA__NONE;
    record->state = TINA__TRANSFER_FREE;
    tina__pool_give(&shard->transfers, index);
}

static tina_transfer handle_of(const tina__shard *shard, uint32_t index)
{
    return (tina_transfer){tina__word_make(shard->id, index, shard->p.transfer_records[index].generation)};
}

/* One that was taken from the pool. */
static tina__transfer_record *begin(tina__shard *shard, uint32_t index, tina__transfer_state state)
{
    tina__transfer_record *record = &shard->p.transfer_records[index];
    if (record->generation == 0)
        record->generation = 1;
    record->isolate = TINA__NONE;
    record->state = (uint8_t)state;
    return record;
}

tina_status tina__transfer_alloc(tina__shard *shard, tina__isolate *owner, tina_transfer *transfer, void **data)
{
    uint32_t index = tina__pool_take(&shard->transfers);
    if (index == TINA__NONE)
        return tina__stats_refused(shard, TINA_POOL_EXHAUSTED);
    tina__transfer_record *record = begin(shard, index, TINA__TRANSFER_WRITTEN);
    record->isolate = tina__isolate_index(shard, owner);
    record->previous = TINA__NONE;
    record->next = owner->transfers;
    if (owner->transfers != TINA__NONE)
        shard->p.transfer_records[owner->transfers].previous = index;
    owner->transfers = index;
    *transfer = handle_of(shard, index);
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

/* It is its writer's no more. */
static void hand_over(tina__shard *shard, uint32_t index, size_t size, tina__transfer_state state)
{
    shard->p.transfer_records[index].size = (uint32_t)size;
    unlink_transfer(shard, index);
    shard->p.transfer_records[index].state = (uint8_t)state;
}

static tina_status send_here(tina__shard *shard, tina_handle source, tina_handle to, uint32_t index, size_t size)
{
    tina_transfer transfer = handle_of(shard, index);
    tina_status status = tina__route_send(shard, source, to, TINA_TAG_TRANSFER, &transfer, sizeof transfer);
    if (status == TINA_OK)
        hand_over(shard, index, size, TINA__TRANSFER_CARRIED);
    return status;
}

static tina_status send_there(tina__shard *shard, tina_handle source, tina_handle to, uint32_t index, size_t size)
{
    uint8_t to_shard = tina_handle_shard(to);
    tina__transfer_record *record = &shard->p.transfer_records[index];
    tina__parcel parcel = {.index = index, .size = (uint32_t)size};
    tina_message *message;
    tina_status status = tina__place_claim(shard, to_shard, TINA__PLACE_TRANSFER, index, &record->place, &message);
    if (status != TINA_OK)
        return tina__route_refused(shard, source, to, TINA_TAG_TRANSFER, status);
    hand_over(shard, index, size, TINA__TRANSFER_SENT);
    record->to_shard = to_shard;
    tina__route_fill(message, source, to, TINA_TAG_TRANSFER, &parcel, sizeof parcel,
                     TINA__MESSAGE_COUNTED | TINA__MESSAGE_TRANSFER, message->correlation);
    tina__count(shard, sent_remote);
    tina__route_written(shard, to_shard);
    tina__trace_detail(shard->p.trace, shard->tick, TINA__EVENT_SENT, source, TINA_TAG_TRANSFER, sizeof parcel, to.bits);
    return TINA_OK;
}

tina_status tina__transfer_send(tina__shard *shard, tina__isolate *owner, tina_handle to, tina_transfer transfer,
                                size_t size)
{
    uint32_t index;
    tina_handle source = tina__isolate_handle(shard, owner);
    tina_status status = find_owned(shard, owner, transfer, &index);
    if (status != TINA_OK)
        return status;
    if (size > shard->p.transfer_size)
        return TINA_INVALID;
    tina__tracepoint_send(to.bits, TINA_TAG_TRANSFER, size);
    return tina_handle_shard(to) == shard->id ? send_here(shard, source, to, index, size)
                                              : send_there(shard, source, to, index, size);
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

/* ---- Between shards ------------------------------------------------------------------------ */

static void answer(tina__shard *shard, const tina__peer *peer, uint32_t call)
{
    uint8_t to_shard = (uint8_t)(peer - shard->p.peers);
    tina_message *message = tina__place_answer(shard, to_shard, call, TINA_TAG_TRANSFER);
    message->flags |= TINA__MESSAGE_TRANSFER;
    tina__route_written(shard, to_shard);
}

void tina__transfer_copy(tina__shard *shard, const tina__peer *peer, const tina_message *message, uint32_t index,
                         tina_message *mail)
{
    tina__parcel parcel;
    memcpy(&parcel, message->payload, sizeof parcel);
    tina__assert(parcel.size <= shard->p.transfer_size);
    /* Strides are the same on all shards. The channel's publish and peek order what was written before these reads. */
    memcpy(transfer_data(shard, index), peer->transfers + (size_t)parcel.index * shard->p.transfer_stride, parcel.size);
    begin(shard, index, TINA__TRANSFER_CARRIED)->size = parcel.size;
    tina_transfer transfer = handle_of(shard, index);
    tina__route_fill(mail, message->source, message->destination, TINA_TAG_TRANSFER, &transfer, sizeof transfer,
                     TINA__MESSAGE_COUNTED, 0);
    answer(shard, peer, message->correlation);
}

void tina__transfer_refuse(tina__shard *shard, const tina__peer *peer, const tina_message *message)
{
    answer(shard, peer, message->correlation);
}

void tina__transfer_answered(tina__shard *shard, tina__peer *peer, const tina_message *message)
{
    tina__transfer_over(shard, tina__place_answered(peer, message->correlation));
}

void tina__transfer_over(tina__shard *shard, uint32_t index)
{
    tina__assert(index < shard->p.transfer_count);
    tina__assert(shard->p.transfer_records[index].state == TINA__TRANSFER_SENT);
    give_back(shard, index);
}

void tina__transfers_leave(tina__shard *shard)
{
    uint32_t end = 0;
    const tina__transfer_record *records = shard->p.transfer_records;
    for (uint32_t i = 0; i < shard->p.transfer_count; i++) {
        if (records[i].state == TINA__TRANSFER_LEFT)
            end = i + 1;
    }
    for (uint32_t i = 0; i < end; i++)
        (void)tina__pool_take(&shard->transfers); /* never used in this life: one after the other */
    for (uint32_t i = 0; i < end; i++) {
        if (records[i].state == TINA__TRANSFER_LEFT)
            shard->transfers_left++;
        else
            tina__pool_give(&shard->transfers, i);
    }
    shard->transfers.peak = shard->transfers.used;
}

void tina__transfers_give_up(tina__shard *shard, const tina__peer *peer)
{
    for (uint32_t i = 0; i < shard->transfers.fresh && shard->transfers_left != 0; i++) {
        const tina__transfer_record *record = &shard->p.transfer_records[i];
        if (record->state != TINA__TRANSFER_LEFT || &shard->p.peers[record->to_shard] != peer)
            continue;
        shard->transfers_left--;
        give_back(shard, i);
    }
}
