/*
 * The shard's I/O buffers. The shard's thread alone.
 *
 * A buffer is free, lent to the backend for receiving, or has users: a received
 * message that is waited for or handled, and any number of sends. Half of the
 * buffers may have sends as users (the send share); what they don't need of it
 * stays free, and everything else is lent. The last quarter of the send share is
 * for sends that must not wait: they are over in the same tick or fail, so that
 * peers who never read can't keep others from being answered. One that must not
 * wait and sends what was received from the buffer that it came in keeps that
 * buffer for a moment longer, and does not count.
 *
 * Invariant: lent + free + (those with users) = buffer_count.
 */
#ifndef TINA__CORE_BUFFERS_H
#define TINA__CORE_BUFFERS_H

#include "core/shard.h"

uint8_t *tina__buffer_data(const tina__shard *shard, uint32_t buffer);
/* TINA__ANNEX_SIZE bytes: what belongs to an operation and is too large for it. Whose the buffer is, the annex is. */
void *tina__buffer_annex(const tina__shard *shard, uint32_t buffer);

/* For a send: a free one; NONE: the share is used up. */
uint32_t tina__buffer_take(tina__shard *shard);
/* For a send of what was received: one more user. False: the buffer has all the users it can. */
bool tina__buffer_share(tina__shard *shard, uint32_t buffer, bool may_wait);
/* Must a send that takes a buffer now be one that does not wait? */
bool tina__buffers_must_not_wait(const tina__shard *shard);
/* The backend filled one: its first user is the message. */
void tina__buffer_received(tina__shard *shard, uint32_t buffer);
/* One user less: a send is over, or what was received has been handled. */
void tina__buffer_drop(tina__shard *shard, uint32_t buffer);

/*
 * How many reads of files may be under way: each may hold a lent buffer for as long
 * as its disk takes, and receives need theirs.
 */
uint32_t tina__buffers_for_files(const tina__shard *shard);

/* Lends what may be lent. Returns how many. */
uint32_t tina__buffers_lend(tina__shard *shard);

#endif
