/*
 * Places: the room for an answer in the channel back. The shard's thread alone.
 *
 * A call, a watch, a given descriptor or a transfer to another shard holds one from
 * its request until its answer has come. Where nobody waits for that of a call or a
 * watch any more, the place has lapsed, and is asked back by a withdrawal, which is
 * answered like the request; gifts and transfers are answered where they arrive.
 *
 * Invariant: a place is in use exactly while an answer to it may still come.
 */
#ifndef TINA__CORE_PLACE_H
#define TINA__CORE_PLACE_H

#include "core/shard.h"

/*
 * A place for the answer that the waiter is to get, and the slot of the channel for its
 * request, with the place's number in correlation. TINA_OK; TINA_INVALID: there is
 * no such shard; TINA_SHARD_DOWN; TINA_CHANNEL_FULL.
 */
tina_status tina__place_claim(tina__shard *shard, uint8_t to_shard, tina__place_kind kind, uint32_t waiter, uint32_t *place,
                              tina_message **request);

/* Nobody waits for the answer any more. */
void tina__place_lapse(tina__shard *shard, uint8_t to_shard, uint32_t index);

/* The other side: room in the channel back for the answer to that call. It has a header, and no payload yet. */
tina_message *tina__place_answer(tina__shard *shard, uint8_t to_shard, uint32_t call, tina_tag tag);

/* An answer has come. Returns who waits for it, or NONE. */
uint32_t tina__place_answered(tina__peer *peer, uint32_t call);

/* Withdraws what has lapsed at that peer, as far as its channel has room. */
void tina__place_withdraw(tina__shard *shard, uint32_t to_shard);

/* No answer will come any more to any of that peer's: all are free. */
void tina__places_reset(tina__shard *shard, uint32_t to_shard);

#endif
