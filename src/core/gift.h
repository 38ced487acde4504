/*
 * Gifts: descriptors that are given to isolates. The shard's thread alone.
 *
 * On one shard both halves move to the receiver at once, and a message says so. To
 * another shard the system's descriptor itself lies in the message:
 *
 *   giver's shard                            receiver's shard
 *   place taken; entry GIVEN; written   -->  stays until there is room, for two ticks
 *                                            opened for the receiver, its mail
 *   entry free                          <--  taken
 *                                            or refused: gone, full, no descriptor free
 *   entry RETURNED: its giver is told,  <--  returned, with the descriptor
 *   OPEN again when he hears of it
 *
 * Who closes it, whoever dies:
 *
 * A system's descriptor that lies in a message is the reader's of that channel, from
 * the moment when it is written, in requests and answers alike. It is in one place
 * only: an entry that has given it no longer names it, so that no wipe closes it
 * there; whoever reads it takes it out of the slot first (-1 stays behind), so that
 * a life that ends in the middle leaves nothing for the next to close again, and
 * what an old slot still holds is nobody's.
 *
 * - What is not published never was, and no other thread sees it: the writer, who is
 *   wiped, closes it (core/peer.c).
 * - What is published is read once, by the life that then is, or by one of the
 *   reader's next: those are estranged until they have read up to the fence, and
 *   drop gifts and answers of before, closing what these hold.
 * - A giver's shard that begins anew forgets its entries: the message, or the answer,
 *   is in the channel, and closed or owned by who reads it. A receiver's shard that
 *   does: the giver's takes what it had still answered, and counts what is left as
 *   lost (TINA_SHARD_DOWN): it was the receiver's, who has closed it, or lies before
 *   the fence, where the new life closes it.
 * - A quarantined shard still reads its channels; one that has ended does until all
 *   have, and an end without waiting leaves the rest to whoever joins the threads.
 */
#ifndef TINA__CORE_GIFT_H
#define TINA__CORE_GIFT_H

#include "core/shard.h"

#include <string.h>

/* The payload of a gift in a channel, and of its answer. */
typedef struct tina__gift {
    int32_t os_fd;   /* -1: none, or taken out */
    uint16_t status; /* of an answer: TINA_OK: taken; otherwise why not */
    uint8_t fd_class;
    uint8_t unused;
} tina__gift;

/* Takes the descriptor out of a message in a channel: it is the caller's now. -1: there is none. */
static inline int32_t tina__gift_take(tina_message *message)
{
    tina__gift gift;
    if ((message->flags & TINA__MESSAGE_GIFT) == 0)
        return -1;
    memcpy(&gift, message->payload, sizeof gift);
    int32_t os_fd = gift.os_fd;
    gift.os_fd = -1;
    memcpy(message->payload, &gift, sizeof gift);
    return os_fd;
}

/* The statuses are tina_fd_give's. */
tina_status tina__gift_give(tina__shard *shard, tina__isolate *giver, tina_handle to, uint64_t fd);

/* A message in a channel that nobody will get, or that never was: what it carries is closed. */
void tina__gift_drop(tina__shard *shard, tina_message *message);

/* It has arrived: opened, in that entry that was kept for it, for the receiver, whose message that is; answered. */
void tina__gift_open(tina__shard *shard, tina__peer *peer, tina_message *gift, tina__isolate *receiver, uint32_t entry,
                     tina_message *mail);

/* It has arrived, and goes back. */
void tina__gift_refuse(tina__shard *shard, const tina__peer *peer, tina_message *gift, tina_status status);

/* The answer has come. */
void tina__gift_answered(tina__shard *shard, tina__peer *peer, tina_message *answer);

/* None will come: the receiver's shard has begun a new life. */
void tina__gift_lost(tina__shard *shard, uint32_t entry);

/* Is the done node one of what came back? Its message, for the frame that is to handle it: from then on it is the isolate's. */
bool tina__gift_is_back(const tina__shard *shard, uint32_t node);
const tina_message *tina__gift_back_message(tina_ctx *frame, uint32_t node);

/* It came back, and its giver has ended before he heard of it. */
void tina__gift_forget(tina__shard *shard, uint32_t entry);

/* After the shard's end: takes one out of what it has not read; -1: there is none left. */
int32_t tina__gift_left(tina__shard *shard);

#endif
