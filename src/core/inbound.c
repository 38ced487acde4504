#include "core/inbound.h"

#include "core/call.h"
#include "core/gift.h"
#include "core/mailbox.h"
#include "core/peer.h"
#include "core/reactor.h"
#include "core/route.h"
#include "core/stats.h"
#include "core/transfer.h"

void tina__inbound_listen(tina__shard *shard)
{
    const uint64_t control = 1ull << (TINA__DOORBELL_CONTROL % 64);
    for (uint32_t word = 0; word < TINA__DOORBELL_WORDS; word++) {
        uint64_t rung = tina__doorbell_take(&shard->public->bell, word);
        if (rung != 0)
            shard->pending[word] |= rung;
    }
    /* Most of what the control bit is about is looked at in every tick. */
    if (tina__unlikely((shard->pending[TINA__DOORBELL_CONTROL / 64] & control) != 0)) {
        shard->pending[TINA__DOORBELL_CONTROL / 64] &= ~control;
        tina__peers_look(shard);
    }
}

/* Would a full receiver have room soon? It is about to run, or, where the pool is empty, somebody is. */
static bool is_worth_waiting(const tina__shard *shard, const tina__isolate *receiver, tina_status status)
{
    if (status == TINA_MAILBOX_FULL)
        return (receiver->flags & TINA__ISOLATE_QUEUED) != 0;
    return tina__is_anybody_ready(shard);
}

static void trace_refusal(tina__shard *shard, const tina_message *message, tina_status status)
{
    tina__trace_add(shard->p.trace, shard->tick, TINA__EVENT_ARRIVED, message->destination, message->tag, (uint16_t)status,
                    message->source.bits);
}

static void refuse(tina__shard *shard, tina__peer *peer, tina_message *message, tina_status status)
{
    trace_refusal(shard, message, status);
    switch (status) {
    case TINA_MAILBOX_FULL: tina__count(shard, arrived_full); break;
    case TINA_POOL_EXHAUSTED: tina__count(shard, arrived_exhausted); break;
    default: tina__count(shard, arrived_stale); break;
    }
    if (message->flags & TINA__MESSAGE_CALL)
        tina__call_refused(shard, peer, message, status);
    else if (message->flags & TINA__MESSAGE_GIFT)
        tina__gift_refuse(shard, peer, message, status);
    else if (message->flags & TINA__MESSAGE_TRANSFER)
        tina__transfer_refuse(shard, peer, message);
}

/* Room for the message, and for what it carries: its index and that of the descriptor or transfer. */
static tina_status claim(tina__shard *shard, tina__isolate *receiver, const tina_message *message, uint32_t *index,
                         uint32_t *carried)
{
    tina_status status = tina__mailbox_try_claim(shard, receiver, index);
    if (status != TINA_OK || (message->flags & (TINA__MESSAGE_GIFT | TINA__MESSAGE_TRANSFER)) == 0)
        return status;
    bool is_gift = (message->flags & TINA__MESSAGE_GIFT) != 0;
    *carried = is_gift ? tina__descriptor_keep(shard) : tina__pool_take(&shard->transfers);
    if (*carried != TINA__NONE)
        return TINA_OK;
    tina__mailbox_unclaim(shard, receiver, *index);
    return TINA_POOL_EXHAUSTED;
}

static void fill(tina__shard *shard, tina__peer *peer, tina_message *message, tina__isolate *receiver, tina_message *mail,
                 uint32_t carried)
{
    if (message->flags & TINA__MESSAGE_GIFT) {
        tina__gift_open(shard, peer, message, receiver, carried, mail);
        return;
    }
    if (message->flags & TINA__MESSAGE_TRANSFER) {
        tina__transfer_copy(shard, peer, message, carried, mail);
        return;
    }
    tina__route_fill(mail, message->source, message->destination, message->tag, message->payload, message->size,
                     message->flags, message->correlation);
    if (mail->flags & TINA__MESSAGE_CALL)
        tina__owed_add(shard, receiver, peer, mail);
}

/* Who a handle means. While a channel is drained nobody begins and nobody ends, and many messages in a row are for one. */
typedef struct found {
    tina_handle handle;
    tina__isolate *isolate; /* NULL: nobody */
} found;

/*
 * The plainest case alone, as in core/route.h: an ordinary message for an isolate
 * that lives and has room, and a message at hand. False: it is another case, and
 * nothing has happened. last: whom the message before this one was for.
 */
static inline bool deliver_plainly(tina__shard *shard, tina_message *message, found *last)
{
    if (tina__unlikely(message->flags != TINA__MESSAGE_COUNTED || message->tag == TINA__TAG_VOID))
        return false;
    if (!tina_handle_equal(message->destination, last->handle))
        *last = (found){message->destination, tina__isolate_find(shard, message->destination)};
    tina__isolate *receiver = last->isolate;
    if (tina__unlikely(receiver == NULL))
        return false;
    tina__type *type = &shard->p.types[receiver->type];
    if (tina__unlikely(!tina__mailbox_has_room(type, receiver)))
        return false;
    uint32_t index = tina__pool_at_hand(&shard->messages, &shard->p.mail[0].link, sizeof(tina_message));
    if (tina__unlikely(index == TINA__NONE))
        return false;
    tina__route_fill(&shard->p.mail[index], message->source, message->destination, message->tag, message->payload,
                     message->size, TINA__MESSAGE_COUNTED, 0);
    tina__pool_take_at_hand(&shard->messages);
    receiver->inbox_count++;
    tina__mailbox_link_to(shard, type, receiver, tina__isolate_slot(type, receiver), index);
    return true;
}

/* False: the message is to stay where it is. peer: NULL for the inbox. */
static bool deliver(tina__shard *shard, tina__peer *peer, tina_message *message, bool may_stall)
{
    tina__isolate *receiver = tina__isolate_find(shard, message->destination);
    if (receiver == NULL) {
        refuse(shard, peer, message, TINA_STALE_HANDLE);
        return true;
    }
    uint32_t index;
    uint32_t carried = TINA__NONE;
    tina_status status = claim(shard, receiver, message, &index, &carried);
    if (status != TINA_OK) {
        if (may_stall && is_worth_waiting(shard, receiver, status))
            return false;
        if (status == TINA_MAILBOX_FULL)
            tina__count_type(&shard->p.types[receiver->type], mailbox_full);
        refuse(shard, peer, message, status);
        return true;
    }
    fill(shard, peer, message, receiver, &shard->p.mail[index], carried);
    tina__mailbox_link(shard, receiver, index);
    return true;
}

/* What one life asked of another means nothing to the next. */
static void drop(tina__shard *shard, tina_message *message)
{
    tina__gift_drop(shard, message);
    if ((message->flags & TINA__MESSAGE_COUNTED) == 0)
        return;
    trace_refusal(shard, message, TINA_STALE_HANDLE);
    tina__count(shard, arrived_stale);
    if (message->flags & TINA__MESSAGE_ANSWER)
        tina__count(shard, replies_late);
}

static void take_answer(tina__shard *shard, tina__peer *peer, tina_message *answer)
{
    if (answer->flags & TINA__MESSAGE_GIFT)
        tina__gift_answered(shard, peer, answer);
    else if (answer->flags & TINA__MESSAGE_TRANSFER)
        tina__transfer_answered(shard, peer, answer);
    else
        tina__call_answered(shard, peer, answer);
}

/* What is asked and answered; anything else outlives a life. */
#define OF_A_LIFE                                                                                                           \
    (TINA__MESSAGE_CALL | TINA__MESSAGE_ANSWER | TINA__MESSAGE_WITHDRAWN | TINA__MESSAGE_WATCH | TINA__MESSAGE_GIFT |       \
     TINA__MESSAGE_TRANSFER)

/* False: the message is to stay where it is. */
static bool take_message(tina__shard *shard, tina__peer *peer, tina_message *message, bool may_stall)
{
    if (peer->is_estranged && (message->flags & OF_A_LIFE) != 0) {
        drop(shard, message);
        return true;
    }
    if (message->flags & TINA__MESSAGE_ANSWER) {
        take_answer(shard, peer, message);
        return true;
    }
    if (message->flags & TINA__MESSAGE_WITHDRAWN) {
        tina__call_withdrawn(shard, peer, message);
        return true;
    }
    if (message->tag == TINA__TAG_VOID)
        return true;
    if (shard->is_tree_due && may_stall)
        return false; /* nobody is there yet */
    if (message->flags & TINA__MESSAGE_WATCH) {
        tina__call_watched(shard, peer, message);
        return true;
    }
    return deliver(shard, peer, message, may_stall && peer->stalled < TINA__STALL_TICKS_MAX);
}

/* The next message, or NULL. The last one before the fence was the last of the old time. */
static tina_message *next_message(tina__shard *shard, tina__peer *peer)
{
    tina_message *message = tina__spsc_peek(peer->in);
    if (peer->is_estranged) {
        uint32_t life = atomic_load_explicit(&shard->public->life, memory_order_relaxed); /* our own word */
        peer->is_estranged = !tina__spsc_is_past_fence(peer->in, life);
        if (!peer->is_estranged)
            tina__transfers_give_up(shard, peer);
    }
    return message;
}

/* True: nothing is left in it. */
static bool drain_channel(tina__shard *shard, tina__peer *peer, bool may_stall, uint32_t *count)
{
    tina_message *message;
    found last = {.isolate = NULL}; /* the handle that is none means nobody */
    while ((message = next_message(shard, peer)) != NULL) {
        bool is_plain = !peer->is_estranged && !shard->is_tree_due && deliver_plainly(shard, message, &last);
        if (!is_plain && !take_message(shard, peer, message, may_stall))
            break;
        if (message->flags & TINA__MESSAGE_COUNTED && message->tag != TINA__TAG_VOID)
            tina__count(shard, received_remote);
        tina__spsc_take(peer->in);
        peer->stalled = 0; /* the patience is for one message: the next has its own */
        (*count)++;
    }
    tina__spsc_release(peer->in);
    if (message == NULL)
        return true;
    peer->stalled += !shard->is_tree_due;
    return false;
}

/*
 * The same for posts, at most an inbox full of them, since others may post as
 * fast as they are taken. The shard's own entry among its peers keeps their
 * patience.
 */
static bool drain_inbox(tina__shard *shard, uint32_t *count)
{
    tina__peer *self = &shard->p.peers[shard->id];
    if (shard->is_tree_due)
        return false; /* as in a channel */
    for (uint32_t left = shard->p.inbox->capacity; left != 0; left--) {
        tina_message *message = tina__mpsc_peek(shard->p.inbox);
        if (message == NULL)
            return true;
        if (!deliver(shard, NULL, message, self->stalled < TINA__STALL_TICKS_MAX)) {
            self->stalled++;
            return false;
        }
        tina__count(shard, posted);
        tina__mpsc_take(shard->p.inbox);
        self->stalled = 0;
        (*count)++;
    }
    return false;
}

uint32_t tina__inbound_drain(tina__shard *shard)
{
    uint32_t count = 0;
    for (uint32_t word = 0; word < TINA__DOORBELL_WORDS; word++) {
        for (uint64_t bits = shard->pending[word]; bits != 0; bits &= bits - 1) {
            uint32_t bit = word * 64 + tina__lowest_bit(bits);
            bool is_drained = bit == TINA__DOORBELL_INBOX ? drain_inbox(shard, &count)
                                                          : drain_channel(shard, &shard->p.peers[bit], true, &count);
            if (is_drained)
                shard->pending[word] &= ~(1ull << (bit % 64));
            else
                count += !shard->is_tree_due; /* not idle: it is tried again next tick */
        }
    }
    return count;
}

void tina__inbound_take(tina__shard *shard, uint32_t from_shard)
{
    uint32_t count = 0;
    (void)drain_channel(shard, &shard->p.peers[from_shard], false, &count);
}
