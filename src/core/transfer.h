/*
 * Transfers: large payloads that move by reference on one shard. The shard's
 * thread alone. A transfer belongs to the isolate that writes it, or to the
 * message that carries it, and is free otherwise.
 */
#ifndef TINA__CORE_TRANSFER_H
#define TINA__CORE_TRANSFER_H

#include "core/shard.h"

tina_status tina__transfer_alloc(tina__shard *shard, tina__isolate *owner, tina_transfer *transfer, void **data);
tina_status tina__transfer_send(tina__shard *shard, tina__isolate *owner, tina_handle to, tina_transfer transfer,
                                size_t size);
tina_status tina__transfer_read(tina__shard *shard, const tina_message *message, const void **data, size_t *size);
void tina__transfer_free(tina__shard *shard, tina__isolate *owner, tina_transfer transfer);

/* The message that carried it is given back. */
void tina__transfer_release(tina__shard *shard, const tina_message *message);

/* Takes back what an isolate that has ended was writing. */
void tina__transfers_end(tina__shard *shard, tina__isolate *owner);

#endif
