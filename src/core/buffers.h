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

/* A buffer's word: how many users it has, and whether it counts among those that sends hold. */
#define TINA__BUFFER_USERS  127u
#define TINA__BUFFER_COUNTS 128u

static inline uint8_t *tina__buffer_data(const tina__shard *shard, uint32_t buffer)
{
    tina__assert(buffer < shard->p.buffer_count);
    return shard->p.buffers + (size_t)buffer * shard->p.buffer_size;
}

/* TINA__ANNEX_SIZE bytes: what belongs to an operation and is too large for it. Whose the buffer is, the annex is. */
static inline void *tina__buffer_annex(const tina__shard *shard, uint32_t buffer)
{
    tina__assert(buffer < shard->p.buffer_count);
    return shard->p.annexes + (size_t)buffer * TINA__ANNEX_SIZE;
}

/* For a send: a free one; NONE: the share is used up. */
uint32_t tina__buffer_take(tina__shard *shard);
/* For a send of what was received: one more user. False: the buffer has all the users it can. */
bool tina__buffer_share(tina__shard *shard, uint32_t buffer, bool may_wait);
/* Must a send that takes a buffer now be one that does not wait? */
static inline bool tina__buffers_must_not_wait(const tina__shard *shard)
{
    uint32_t share = shard->p.buffer_count / 2;
    return shard->buffers_sending >= share - tina__max_u32(share / 4, 1);
}

/* The backend filled one: its first user is the message. */
static inline void tina__buffer_received(tina__shard *shard, uint32_t buffer)
{
    tina__assert(buffer < shard->p.buffer_count);
    tina__assert(shard->buffers_lent != 0);
    tina__assert(shard->p.buffer_users[buffer] == 0);
    shard->buffers_lent--;
    shard->p.buffer_users[buffer] = 1;
}

/* One user less: a send is over, or what was received has been handled. */
static inline void tina__buffer_drop(tina__shard *shard, uint32_t buffer)
{
    uint8_t *users = &shard->p.buffer_users[buffer];
    tina__assert((*users & TINA__BUFFER_USERS) != 0);
    uint8_t left = (uint8_t)(*users - 1);
    bool is_free = (left & TINA__BUFFER_USERS) == 0;
    *users = is_free ? 0 : left;
    if (!is_free)
        return;
    shard->buffers_sending -= left != 0;
    tina__pool_give_hot(&shard->buffers, buffer);
}

/*
 * How many reads of files may be under way: each may hold a lent buffer for as long
 * as its disk takes, and receives need theirs.
 */
uint32_t tina__buffers_for_files(const tina__shard *shard);

/* Lends what may be lent. Returns how many. */
uint32_t tina__buffers_lend(tina__shard *shard);

#endif
