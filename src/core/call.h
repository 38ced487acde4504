/*
 * Calls and their answers. The shard's thread alone.
 *
 * The caller's side of a call is a timer slot, which becomes the mail that
 * answers it. The callee's side is an owed record, linked to whoever has not
 * answered yet, so that its end fails the call at once. A call to another shard
 * holds a place in the channel back until its answer has come through it: a
 * reply, a failure, or, after a timeout, the word that the place is free. So an
 * answer always finds room, and a place is never used twice.
 *
 *   caller's shard                         callee's shard
 *   slot + place taken, request sent  -->  mail; owed
 *                                     <--  answer in the place's room; owed no more
 *   place free, slot is mail
 *
 *   timed out: slot is mail; place
 *   lapsed, withdrawal sent           -->  owed? no more, and an answer that says so; otherwise one is on its way
 *   place free                        <--
 *
 * A call has two numbers. Its own, which its caller knows, is made of its slot.
 * To another shard it travels with that of its place, so that the answer is found
 * again by what the channel back was promised.
 */
#ifndef TINA__CORE_CALL_H
#define TINA__CORE_CALL_H

#include "core/shard.h"

#define TINA__CALL_TIMEOUT_DEFAULT_NS 5000000000u

/* Sends a request of whoever runs in the frame. TINA_OK: *slot is the call's timer slot. Otherwise as tina_call_start, and nothing happened. */
tina_status tina__call_start(tina_ctx *caller, tina_handle to, tina_tag tag, const void *payload, size_t size,
                             uint64_t timeout_ns, uint32_t *slot);

/* What its answer will carry. */
static inline uint32_t tina__call_number(const tina__shard *shard, uint32_t slot)
{
    return tina__call_make(slot, shard->p.timer_generations[slot]);
}

/* Answers a call, as whoever runs in the frame. TINA_OK; TINA_STALE_HANDLE: nothing is owed to that caller by this isolate. */
tina_status tina__call_reply(tina_ctx *callee, tina_caller caller, tina_tag tag, const void *payload, size_t size);

/* The call ends without a reply: its slot becomes a TINA_TAG_CALL_FAILED. */
void tina__call_fail(tina__shard *shard, uint32_t slot, tina_status status);

/* The callee's shard has ended all that it held: the call's slot becomes a TINA_TAG_CALL_FAILED, its place is dealt with. */
void tina__call_lost(tina__shard *shard, uint32_t slot);

/* Lets go of the other side of a call or watch that is under way. */
void tina__call_forget(tina__shard *shard, const tina__timer_slot *slot);

/* The caller has ended: the call is forgotten, its slot is free. */
void tina__call_abandon(tina__shard *shard, uint32_t slot);

/* A request became mail, or asks to watch: from now on its receiver owes the answer. peer: NULL for this shard's own. */
void tina__owed_add(tina__shard *shard, tina__isolate *callee, const tina__peer *peer, const tina_message *request);

/* The same, for this shard's own watch in that slot. */
void tina__owed_add_watch(tina__shard *shard, tina__isolate *watched, uint32_t slot);

/* The isolate has ended, so (tina_end): its callers and who watched it are told. */
void tina__owed_end(tina__shard *shard, tina__isolate *callee, uint8_t end, uint8_t reason);

/* Nobody of that peer's waits for an answer any more. */
void tina__owed_forget(tina__shard *shard, const tina__peer *peer);

/* From channels: an answer; a withdrawal; a request to watch; one that was refused on arrival. */
void tina__call_answered(tina__shard *shard, tina__peer *peer, const tina_message *answer);
void tina__call_withdrawn(tina__shard *shard, tina__peer *peer, const tina_message *withdrawal);
void tina__call_watched(tina__shard *shard, tina__peer *peer, const tina_message *request);
void tina__call_refused(tina__shard *shard, tina__peer *peer, const tina_message *request, tina_status status);

/* Sends the withdrawals that are due, as far as the channels have room. True: some are left, for the next tick. */
bool tina__call_send_withdrawals(tina__shard *shard);

#endif
