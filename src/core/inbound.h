/*
 * What comes from other shards and from outside, delivered. The shard's thread alone.
 *
 * A message is delivered, or refused and counted, or, while its receiver is full
 * and about to run, left where it is for at most TINA__STALL_TICKS_MAX ticks, so
 * that pressure reaches the sender instead of loss.
 */
#ifndef TINA__CORE_INBOUND_H
#define TINA__CORE_INBOUND_H

#include "core/shard.h"

/*
 * Takes the doorbell's bits: which channels, and whether the inbox, may hold
 * something. Where the control bit was rung, other shards' lives are looked at.
 */
void tina__inbound_listen(tina__shard *shard);

/* Drains the channels and the inbox that were rung or held back. Returns how many messages were dealt with. */
uint32_t tina__inbound_drain(tina__shard *shard);

/* Takes all that the channel from that shard holds: what finds no room is refused. */
void tina__inbound_take(tina__shard *shard, uint32_t from_shard);

#endif
