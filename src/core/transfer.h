/*
 * Transfers: large payloads. The shard's thread alone. A transfer belongs to the
 * isolate that writes it, or to the message that carries it, and is free otherwise.
 *
 * On one shard it moves by reference. To another shard a message names it, and
 * holds a place in the channel back:
 *
 *   sender's shard                        receiver's shard
 *   SENT: nobody writes it any more  -->  stays until there is room, for two ticks;
 *                                         copied, once, into a transfer here; or refused
 *   free                             <--  answered, either way
 *
 * So a slot is used again only when the other shard reads it no more. A receiver's
 * shard that begins a new life reads nothing that was sent to the old one, and those
 * slots are free when the sender's hears of it. A sender's shard that begins a new
 * life leaves its slots as they are (LEFT): what it has published is still read,
 * until the other shard has dealt with the new life.
 */
#ifndef TINA__CORE_TRANSFER_H
#define TINA__CORE_TRANSFER_H

#include "core/shard.h"

/* The payload of a transfer in a channel. */
typedef struct tina__parcel {
    uint32_t index; /* among its sender's shard's */
    uint32_t size;
} tina__parcel;

tina_status tina__transfer_alloc(tina__shard *shard, tina__isolate *owner, tina_transfer *transfer, void **data);
tina_status tina__transfer_send(tina__shard *shard, tina__isolate *owner, tina_handle to, tina_transfer transfer,
                                size_t size);
tina_status tina__transfer_read(tina__shard *shard, const tina_message *message, const void **data, size_t *size);
void tina__transfer_free(tina__shard *shard, tina__isolate *owner, tina_transfer transfer);

/* The message that carried it is given back. */
void tina__transfer_release(tina__shard *shard, const tina_message *message);

/* Takes back what an isolate that has ended was writing. */
void tina__transfers_end(tina__shard *shard, tina__isolate *owner);

/* ---- Between shards ---- */

/* One has arrived: copied into that transfer, which was taken for it, for the receiver, whose message that is; answered. */
void tina__transfer_copy(tina__shard *shard, const tina__peer *peer, const tina_message *message, uint32_t index,
                         tina_message *mail);

/* One has arrived and is refused: its sender's shard may use it again. */
void tina__transfer_refuse(tina__shard *shard, const tina__peer *peer, const tina_message *message);

/* The answer has come; and: the other shard reads that one no more. */
void tina__transfer_answered(tina__shard *shard, tina__peer *peer, const tina_message *answer);
void tina__transfer_over(tina__shard *shard, uint32_t index);

/* The shard was built anew: what its old life had sent stays taken. */
void tina__transfers_leave(tina__shard *shard);

/* That peer reads what an old life has sent to it no more. */
void tina__transfers_give_up(tina__shard *shard, const tina__peer *peer);

#endif
