/*
 * The supervisor: what happens when a child ends. The shard's thread alone.
 *
 * Exits are handled between handlers, from what the children's own records say: no
 * recursion, no message, no allocation, so it works when every pool is empty. A
 * child is started again only when all that its last life held is over; a group,
 * when all that anybody in it held is.
 *
 * Groups are numbered from the root inwards, each before those inside it: so the
 * groups inside one are those right behind it.
 */
#ifndef TINA__CORE_SUPERVISE_H
#define TINA__CORE_SUPERVISE_H

#include "core/tree.h"

/* The static children are to be started, in order, by the calls of tina__supervise_advance that follow. */
void tina__supervise_begin(tina__shard *shard);

/* The tree is not up yet. */
bool tina__supervise_is_starting(const tina__shard *shard);

/*
 * A child with a record has ended, and is no longer in any list. end: tina_end;
 * is_stopped: it was asked to, and nobody takes it for a failure.
 */
void tina__supervise_exit(tina__shard *shard, uint32_t child, uint8_t end, bool is_stopped);

/* The same of one without: its group has one member less. In the header: most that are spawned end so. */
static inline void tina__supervise_forget(tina__shard *shard, uint16_t group)
{
    tina__group *of = &shard->p.groups[group];
    tina__assert(of->dynamic_count != 0);
    of->dynamic_count--;
}

/* Of either, where nobody is to be started again: a spawned child whose init failed, one that is ended with others. */
void tina__supervise_down(tina__shard *shard, uint32_t child, uint16_t group);

/*
 * Who waits until what an isolate held is over: its record or, where it has none,
 * its group. One more thing is not over; and: it is. NONE: nobody waits.
 */
uint32_t tina__supervise_holder(const tina__shard *shard, const tina__isolate *isolate);
void tina__supervise_hold(tina__shard *shard, uint32_t holder);
void tina__supervise_release(tina__shard *shard, uint32_t holder);

/* Starts what is due, each child once; what fails comes up again in the next call. Returns how much it did. */
uint32_t tina__supervise_advance(tina__shard *shard);

/* There is something for tina__supervise_advance to do. */
static inline bool tina__supervise_is_due(const tina__shard *shard) { return tina__due_first(shard) != TINA__NONE; }

/* A back-off is over: the timer node's kind is TINA__NODE_CHILD or TINA__NODE_GROUP, its owner the index. */
void tina__supervise_timer(tina__shard *shard, const tina__timer_node *node);

/* The tools of tina_spawn_child and tina_stop_child. */
tina_status tina__supervise_spawn(tina_ctx *frame, const tina_spawn *spawn, tina_handle *child);
tina_status tina__supervise_stop_child(tina__shard *shard, tina_handle child, uint64_t grace_ns);

/* An isolate that was asked to end has not, and its time is over. */
void tina__supervise_grace_over(tina__shard *shard, uint32_t isolate);

/* Ends every isolate of the shard. Those that the end of a drain strikes (TINA_END_STOPPED) are written down. */
void tina__supervise_end_all(tina__shard *shard, uint8_t end);

/* Nothing is restarted any more. */
void tina__supervise_stop(tina__shard *shard);

#endif
