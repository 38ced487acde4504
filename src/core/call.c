#include "core/call.h"

#include "core/mailbox.h"
#include "core/place.h"
#include "core/route.h"
#include "core/stats.h"
#include "core/timers.h"
#include "core/watch.h"

#include <string.h>

/* ---- What is owed ---------------------------------------------------------- */

static uint32_t owed_index(const tina__peer *peer, uint32_t call)
{
    uint32_t place = tina__call_place(call);
    return peer == NULL ? place : peer->owed_first + place;
}

static inline void owed_link(tina__shard *shard, tina__isolate *callee, uint32_t index, tina_handle source, uint32_t call,
                             bool is_watch)
{
    tina__assert(index < shard->p.owed_count);
    tina__owed *owed = &shard->p.owed[index];
    tina__assert(owed->isolate == TINA__NONE);
    owed->source = source;
    tina__pack_u32x2(&owed->call, call, tina__isolate_index(shard, callee)); /* and isolate */
    tina__pack_u32x2(&owed->next, callee->owed, TINA__NONE);                 /* and previous */
    owed->is_watch = is_watch;
    if (callee->owed != TINA__NONE)
        shard->p.owed[callee->owed].previous = index;
    callee->owed = index;
}

void tina__owed_add(tina__shard *shard, tina__isolate *callee, const tina__peer *peer, const tina_message *request)
{
    bool is_watch = (request->flags & TINA__MESSAGE_WATCH) != 0;
    owed_link(shard, callee, owed_index(peer, request->correlation), request->source, request->correlation, is_watch);
}

void tina__owed_add_watch(tina__shard *shard, tina__isolate *watched, uint32_t slot)
{
    owed_link(shard, watched, slot, tina__timer_at(shard, slot)->destination, 0, true);
}

static inline void owed_remove(tina__shard *shard, uint32_t index)
{
    tina__owed *owed = &shard->p.owed[index];
    tina__isolate *callee = &shard->p.isolates[owed->isolate];
    if (owed->previous == TINA__NONE)
        callee->owed = owed->next;
    else
        shard->p.owed[owed->previous].next = owed->next;
    if (owed->next != TINA__NONE)
        shard->p.owed[owed->next].previous = owed->previous;
    owed->isolate = TINA__NONE;
}

/* ---- Answers into the channel back, where the place has kept their room ------ */

static void write_status(tina_message *message, tina_status status)
{
    memcpy(message->payload, &status, sizeof status);
    message->size = sizeof status;
}

static void answer_down(tina__shard *shard, uint8_t to_shard, uint32_t call, uint8_t end, uint8_t reason)
{
    tina_down down = {.end = end, .reason = reason}; /* the watcher's shard knows as whom it was watched */
    tina_message *message = tina__place_answer(shard, to_shard, call, TINA_TAG_DOWN);
    memcpy(message->payload, &down, sizeof down);
    message->size = sizeof down;
    tina__route_written(shard, to_shard);
}

static void answer_failure(tina__shard *shard, uint8_t to_shard, uint32_t call, tina_status status)
{
    tina_message *message = tina__place_answer(shard, to_shard, call, TINA_TAG_CALL_FAILED);
    write_status(message, status);
    tina__route_written(shard, to_shard);
}

/* ---- The caller's slot -------------------------------------------------------- */

/* The slot leaves the wheel and the owner's list, and is a message from here on: with no payload yet. */
static inline tina_message *slot_settle(tina__shard *shard, tina__isolate *caller, uint32_t index, tina_handle source,
                                        tina_tag tag, uint16_t flags, size_t size)
{
    tina__timer_slot *slot = tina__timer_at(shard, index);
    tina_message *message = (tina_message *)(void *)slot;
    tina__timer_wheel_cancel(shard->p.wheel, &slot->node);
    tina__timer_unlink_from(shard, caller, index);
    message->source = source;
    message->correlation = tina__call_number(shard, index);
    tina__pack_u16x4(&message->tag, tag, flags, (uint16_t)size, TINA__TIMER_ANSWER); /* and use */
    return message;
}

static tina__isolate *caller_of(const tina__shard *shard, uint32_t index)
{
    return &shard->p.isolates[tina__timer_at(shard, index)->isolate];
}

/* The settled slot goes to its owner: it wakes who is parked for it, or is mail. */
static inline void slot_deliver(tina__shard *shard, tina__isolate *caller, uint32_t index)
{
    if (caller->state == TINA__ISOLATE_IN_CALL && caller->awaited == index)
        tina__isolate_wake(shard, caller);
    else
        tina__mailbox_link(shard, caller, shard->p.message_count + index);
}

void tina__call_forget(tina__shard *shard, const tina__timer_slot *slot)
{
    uint8_t to_shard = tina_handle_shard(slot->target);
    if (to_shard == shard->id) {
        uint32_t index = slot->node.owner;
        if (shard->p.owed[index].isolate != TINA__NONE)
            owed_remove(shard, index);
        return;
    }
    tina__place_lapse(shard, to_shard, slot->place);
}

static void slot_fail(tina__shard *shard, uint32_t index, tina_status status)
{
    tina_handle nobody = {0};
    tina__isolate *caller = caller_of(shard, index);
    write_status(slot_settle(shard, caller, index, nobody, TINA_TAG_CALL_FAILED, 0, 0), status);
    slot_deliver(shard, caller, index);
}

void tina__call_fail(tina__shard *shard, uint32_t index, tina_status status)
{
    tina__call_forget(shard, tina__timer_at(shard, index));
    slot_fail(shard, index, status);
}

void tina__call_lost(tina__shard *shard, uint32_t index) { slot_fail(shard, index, TINA_SHARD_DOWN); }

void tina__call_abandon(tina__shard *shard, uint32_t index)
{
    tina__timer_slot *slot = tina__timer_at(shard, index);
    tina__call_forget(shard, slot);
    tina__timer_wheel_cancel(shard->p.wheel, &slot->node);
    tina__timer_unlink(shard, index);
    tina__timer_give(shard, index);
}

static inline void slot_answer(tina__shard *shard, uint32_t index, tina_handle source, tina_tag tag, uint16_t flags,
                               const void *payload, size_t size)
{
    tina__isolate *caller = caller_of(shard, index);
    tina_message *message = slot_settle(shard, caller, index, source, tag, flags, size);
    tina__copy_small(message->payload, payload, size);
    slot_deliver(shard, caller, index);
}

/* ---- Calling --------------------------------------------------------------------- */

#define REQUEST (TINA__MESSAGE_COUNTED | TINA__MESSAGE_CALL)

/* Where it is neither of the plain cases. */
static __attribute__((noinline)) tina_status request_otherwise(tina__shard *shard, tina_handle source, tina_handle to,
                                                               tina_tag tag, const void *payload, size_t size, uint32_t slot)
{
    tina__isolate *callee = tina__isolate_find(shard, to);
    if (callee == NULL)
        return TINA_STALE_HANDLE;
    uint32_t index;
    tina_status status = tina__mailbox_claim(shard, callee, &index);
    if (status != TINA_OK)
        return status;
    uint32_t call = tina__call_number(shard, slot);
    tina__route_fill(&shard->p.mail[index], source, to, tag, payload, size, REQUEST, call);
    owed_link(shard, callee, slot, source, call, false);
    tina__mailbox_link(shard, callee, index);
    tina__count(shard, sent_local);
    return TINA_OK;
}

static inline tina_status request_here(tina__shard *shard, tina_handle source, tina_handle to, tina_tag tag,
                                       const void *payload, size_t size, uint32_t slot)
{
    uint32_t call = tina__call_number(shard, slot);
    uint32_t index = tina__route_write(shard, source, to, tag, payload, size, REQUEST, call);
    tina__isolate *callee = index == TINA__NONE ? NULL : tina__route_deliver(shard, to, index);
    if (callee == NULL && index != TINA__NONE)
        callee = tina__route_deliver_named(shard, to, index);
    if (tina__unlikely(callee == NULL))
        return request_otherwise(shard, source, to, tag, payload, size, slot);
    owed_link(shard, callee, slot, source, call, false);
    return TINA_OK;
}

static tina_status request_there(tina__shard *shard, tina_tag tag, const void *payload, size_t size, tina__timer_slot *slot)
{
    uint8_t to_shard = tina_handle_shard(slot->target);
    tina_message *message;
    tina_status status = tina__place_claim(shard, to_shard, TINA__PLACE_TIMER, slot->node.owner, &slot->place, &message);
    if (status != TINA_OK)
        return status;
    tina__route_fill(message, slot->destination, slot->target, tag, payload, size, REQUEST, message->correlation);
    tina__count(shard, sent_remote);
    tina__route_written(shard, to_shard);
    return TINA_OK;
}

static __attribute__((noinline)) tina_status start_failed(tina_ctx *caller, uint32_t slot, tina_handle to, tina_tag tag,
                                                          tina_status status)
{
    tina__shard *shard = caller->shard;
    if (slot != TINA__NONE) {
        tina__timer_unlink(shard, slot);
        tina__timer_give(shard, slot);
    }
    tina__route_trace_refusal(shard, caller->self, to, tag, status);
    return status;
}

tina_status tina__call_start(tina_ctx *caller, tina_handle to, tina_tag tag, const void *payload, size_t size,
                             uint64_t timeout_ns, uint32_t *index)
{
    tina__shard *shard = caller->shard;
    tina__tracepoint_send(to.bits, tag, size);
    *index = tina__timer_take_for(shard, caller->isolate, caller->self, TINA__TIMER_CALL, 0);
    if (*index == TINA__NONE)
        return start_failed(caller, TINA__NONE, to, tag, TINA_POOL_EXHAUSTED);
    tina__timer_slot *slot = tina__timer_at(shard, *index);
    slot->target = to;
    tina_status status;
    if (tina_handle_shard(to) == shard->id)
        status = request_here(shard, caller->self, to, tag, payload, size, *index);
    else
        status = request_there(shard, tag, payload, size, slot);
    if (status != TINA_OK)
        return start_failed(caller, *index, to, tag, status);
    if (timeout_ns == 0)
        timeout_ns = TINA__CALL_TIMEOUT_DEFAULT_NS;
    tina__timer_wheel_start(shard->p.wheel, &slot->node, tina__add_saturating(shard->now_ns, timeout_ns));
    tina__count(shard, calls);
    tina__trace_detail(shard->p.trace, shard->tick, TINA__EVENT_SENT, caller->self, tag, (uint16_t)size, to.bits);
    return TINA_OK;
}

/* ---- Answering ------------------------------------------------------------------- */

/* Does this isolate owe that caller the answer of that index? */
static inline bool is_owed(const tina__shard *shard, const tina__isolate *callee, tina_caller caller, uint32_t index)
{
    const tina__owed *owed = &shard->p.owed[index];
    return owed->isolate == tina__isolate_index(shard, callee) && owed->call == caller.correlation && !owed->is_watch &&
           tina_handle_equal(owed->source, caller.source);
}

static inline void count_reply(tina_ctx *callee, tina_caller caller, tina_tag tag, size_t size)
{
    tina__shard *shard = callee->shard;
    tina__count(shard, replies);
    tina__tracepoint_send(caller.source.bits, tag, size);
    tina__trace_detail(shard->p.trace, shard->tick, TINA__EVENT_SENT, callee->self, tag, (uint16_t)size, caller.source.bits);
}

static inline tina_status reply_here(tina_ctx *callee, tina_caller caller, tina_tag tag, const void *payload, size_t size)
{
    tina__shard *shard = callee->shard;
    uint32_t index = tina__call_place(caller.correlation);
    if (index >= shard->p.timer_count || !is_owed(shard, callee->isolate, caller, index))
        return TINA_STALE_HANDLE;
    owed_remove(shard, index);
    count_reply(callee, caller, tag, size);
    slot_answer(shard, index, callee->self, tag, TINA__MESSAGE_COUNTED, payload, size);
    tina__count(shard, sent_local);
    return TINA_OK;
}

static __attribute__((noinline)) tina_status reply_there(tina_ctx *callee, tina_caller caller, tina_tag tag,
                                                         const void *payload, size_t size)
{
    tina__shard *shard = callee->shard;
    uint8_t to_shard = tina_handle_shard(caller.source);
    if (to_shard >= shard->shared->shard_count)
        return TINA_STALE_HANDLE;
    const tina__peer *peer = &shard->p.peers[to_shard];
    uint32_t index = owed_index(peer, caller.correlation);
    if (tina__call_place(caller.correlation) >= peer->out->answer_capacity ||
        !is_owed(shard, callee->isolate, caller, index))
        return TINA_STALE_HANDLE;
    owed_remove(shard, index);
    count_reply(callee, caller, tag, size);
    tina_message *message = tina__place_answer(shard, to_shard, caller.correlation, tag);
    message->source = callee->self;
    message->destination = caller.source;
    message->flags |= TINA__MESSAGE_COUNTED;
    message->size = (uint16_t)size;
    tina__copy_small(message->payload, payload, size);
    tina__count(shard, sent_remote);
    tina__route_written(shard, to_shard);
    return TINA_OK;
}

tina_status tina__call_reply(tina_ctx *callee, tina_caller caller, tina_tag tag, const void *payload, size_t size)
{
    bool is_here = tina_handle_shard(caller.source) == callee->shard->id;
    return is_here ? reply_here(callee, caller, tag, payload, size) : reply_there(callee, caller, tag, payload, size);
}

void tina__owed_end(tina__shard *shard, tina__isolate *callee, uint8_t end, uint8_t reason)
{
    while (callee->owed != TINA__NONE) {
        uint32_t index = callee->owed;
        tina__owed *owed = &shard->p.owed[index];
        uint8_t to_shard = tina_handle_shard(owed->source);
        bool is_here = to_shard == shard->id;
        owed_remove(shard, index);
        if (owed->is_watch && is_here)
            tina__watch_ended(shard, index, end, reason);
        else if (owed->is_watch)
            answer_down(shard, to_shard, owed->call, end, reason);
        else if (is_here)
            slot_fail(shard, index, TINA_STALE_HANDLE);
        else
            answer_failure(shard, to_shard, owed->call, TINA_STALE_HANDLE);
    }
}

void tina__owed_forget(tina__shard *shard, const tina__peer *peer)
{
    for (uint32_t i = 0; i < peer->out->answer_capacity; i++) {
        if (shard->p.owed[peer->owed_first + i].isolate != TINA__NONE)
            owed_remove(shard, peer->owed_first + i);
    }
}

/* ---- From the channels --------------------------------------------------------------- */

void tina__call_answered(tina__shard *shard, tina__peer *peer, const tina_message *answer)
{
    uint32_t slot = tina__place_answered(peer, answer->correlation);
    uint16_t counted = answer->flags & TINA__MESSAGE_COUNTED;
    if (slot == TINA__NONE && counted) {
        tina__count(shard, arrived_stale);
        tina__count(shard, replies_late);
        tina__trace_add(shard->p.trace, shard->tick, TINA__EVENT_ARRIVED, answer->destination, answer->tag,
                        TINA_STALE_HANDLE, answer->source.bits);
    } else if (slot != TINA__NONE && tina__timer_is_watch(shard, slot)) {
        tina_down down;
        memcpy(&down, answer->payload, sizeof down);
        tina__watch_ended(shard, slot, down.end, down.reason);
    } else if (slot != TINA__NONE) {
        slot_answer(shard, slot, answer->source, answer->tag, counted, answer->payload, answer->size);
    }
}

bool tina__call_send_withdrawals(tina__shard *shard)
{
    uint64_t left = 0;
    for (uint32_t word = 0; word < TINA__DOORBELL_WORDS; word++) {
        for (uint64_t bits = shard->lapsed[word]; bits != 0; bits &= bits - 1)
            tina__place_withdraw(shard, word * 64 + tina__lowest_bit(bits));
        left |= shard->lapsed[word];
    }
    return left != 0;
}

void tina__call_withdrawn(tina__shard *shard, tina__peer *peer, const tina_message *withdrawal)
{
    uint32_t index = owed_index(peer, withdrawal->correlation);
    tina__assert(index < shard->p.owed_count);
    const tina__owed *owed = &shard->p.owed[index];
    if (owed->isolate == TINA__NONE || owed->call != withdrawal->correlation)
        return; /* answered: it is on its way */
    owed_remove(shard, index);
    answer_failure(shard, (uint8_t)(peer - shard->p.peers), withdrawal->correlation, TINA_TIMED_OUT);
}

void tina__call_refused(tina__shard *shard, tina__peer *peer, const tina_message *request, tina_status status)
{
    answer_failure(shard, (uint8_t)(peer - shard->p.peers), request->correlation, status);
}

void tina__call_watched(tina__shard *shard, tina__peer *peer, const tina_message *request)
{
    tina__isolate *watched = tina__isolate_find(shard, request->destination);
    if (watched != NULL)
        tina__owed_add(shard, watched, peer, request);
    else
        answer_down(shard, (uint8_t)(peer - shard->p.peers), request->correlation, TINA_END_GONE, 0);
}
