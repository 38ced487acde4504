/*
 * I/O as isolates see it: operations made, started, finished and taken back. The
 * shard's thread alone; the kernel's side is the backend's.
 *
 * Nothing is abandoned: an operation whose isolate has ended is cancelled and
 * stays the runtime's until the backend says that it is over; what it brought
 * then is reclaimed. A descriptor is closed when nothing is under way on it.
 */
#ifndef TINA__CORE_REACTOR_H
#define TINA__CORE_REACTOR_H

#include "core/shard.h"

/* ---- Operations ---- */

/* Makes an operation from what the user gave; it is staged, and in no list. The descriptor is looked at when it starts. */
tina_status tina__operation_make(tina_ctx *frame, const tina_op *op, uint32_t *index);

/* Starts a staged one for the frame's isolate. Not TINA_OK: it is given back. */
tina_status tina__operation_start(tina_ctx *frame, uint32_t index);

/* Takes the staged operation of that token off the frame's list; NONE: it is not there. Nearly always it is the only one. */
uint32_t tina__operation_unstage_any(tina_ctx *frame, uint64_t token);
static inline uint32_t tina__operation_unstage(tina_ctx *frame, uint64_t token)
{
    const tina__shard *shard = frame->shard;
    uint32_t first = frame->staged;
    if (first >= shard->p.operation_count ||
        tina__word_make(shard->id, first, shard->p.operations[first].generation) != token)
        return tina__operation_unstage_any(frame, token);
    frame->staged = shard->p.operations[first].link;
    return first;
}
void tina__operations_unstage_all(tina_ctx *frame);

/* Ends it as soon as may be, with that status unless it is over already. */
void tina__operation_cancel(tina__shard *shard, uint32_t index, tina_status stop);

/* Its deadline has passed. */
void tina__operation_deadline(tina__shard *shard, uint32_t index);

/*
 * The message of one that is over, for the frame that is to handle it: a copy, so that
 * its slot is free before the handler runs. *buffer is what it brought, or NONE: the
 * frame's, until the message was handled.
 */
const tina_message *tina__operation_message(tina_ctx *frame, uint32_t index, uint32_t *buffer);

/* Of a message that brings a descriptor: who is at its other end, for the frame that is to handle it. */
void tina__look_up_peer(tina_ctx *frame, tina_message *message);

/* Such a message was handled. */
void tina__operation_handled(tina__shard *shard, uint32_t buffer);

/* The isolate has ended: takes all its operations back. */
void tina__operations_end(tina__shard *shard, tina__isolate *isolate);

/* Where a done node keeps the next. */
static inline uint32_t *tina__done_next(const tina__shard *shard, uint32_t node)
{
    if (node < shard->p.operation_count)
        return &shard->p.operations[node].done_next;
    uint32_t half = node - shard->p.operation_count;
    return &shard->p.descriptors[half / 2].done_next[half % 2];
}

/* The first of the isolate's done nodes; there is one. */
uint32_t tina__done_pop(tina__shard *shard, tina__isolate *isolate);
void tina__done_push(tina__shard *shard, tina__isolate *isolate, uint32_t node);

/* Cancels what is under way in those halves of an isolate's own descriptor. */
void tina__descriptor_cancel(tina__shard *shard, tina__isolate *isolate, uint64_t fd, uint8_t halves);

/* ---- The turn ---- */

uint32_t tina__reactor_collect(tina__shard *shard); /* completions, to their isolates. Returns how many */
uint32_t tina__reactor_submit(tina__shard *shard);  /* hands over what was started. Returns how many */

/* ---- Descriptors (descriptor.c) ---- */

tina_fd tina__descriptor_handle(const tina__shard *shard, uint32_t index);

/* The descriptor that the handle means, if the isolate owns all of those halves: TINA_OK; TINA_STALE_HANDLE; TINA_NOT_OWNER. */
tina_status tina__descriptor_find(const tina__shard *shard, const tina__isolate *isolate, uint64_t fd, uint8_t halves,
                                  uint32_t *index);
/* The same where one half is enough: for calls on the whole socket. */
tina_status tina__descriptor_find_any(const tina__shard *shard, const tina__isolate *isolate, uint64_t fd, uint32_t *index);

/* A free one, kept; then opened for an isolate, or given back. NONE: all are in use. One that was returned is opened again likewise. */
uint32_t tina__descriptor_keep(tina__shard *shard);
void tina__descriptor_open(tina__shard *shard, uint32_t index, int32_t os_fd, uint8_t fd_class, tina__isolate *owner);
void tina__descriptor_give_back(tina__shard *shard, uint32_t index);

/*
 * Closes what the isolate owns of it. TINA_OK: a completion will come; awaited: the
 * isolate is parked for it, and its done node is written there; NULL: it goes to
 * the done ring. TINA_STALE_HANDLE; TINA_NOT_OWNER.
 */
tina_status tina__descriptor_close(tina__shard *shard, tina__isolate *isolate, uint64_t fd, uint64_t user,
                                   uint32_t *awaited);
const tina_message *tina__descriptor_closed_message(tina__shard *shard, uint32_t node, tina_handle self);
void tina__descriptor_handled(tina__shard *shard, uint32_t node);

/* An operation on it is over, or an owner let go: closes it if nobody is left. Nothing to be done while both halves have owners. */
void tina__descriptor_settle(tina__shard *shard, uint32_t index);
static inline bool tina__descriptor_has_owners(const tina__descriptor *descriptor)
{
    return descriptor->owner[TINA__READ] != TINA__NONE && descriptor->owner[TINA__WRITE] != TINA__NONE;
}

/* The isolate has ended: closes what it owned. */
void tina__descriptors_end(tina__shard *shard, tina__isolate *isolate);

/* Handing halves over to a child: TINA_OK; TINA_STALE_HANDLE; TINA_NOT_OWNER; TINA_BUSY. */
tina_status tina__descriptor_may_move(const tina__shard *shard, const tina__isolate *from, uint64_t fd, uint8_t halves);
void tina__descriptor_move(tina__shard *shard, uint64_t fd, uint8_t halves, tina__isolate *to);
/* Handles of it that there are mean nothing any more. */
void tina__descriptor_rename(tina__shard *shard, uint32_t index);
/* An open one goes to another shard; both halves are one isolate's, and nothing is under way. Returns the system's number of it. */
int32_t tina__descriptor_part(tina__shard *shard, uint32_t index);
/* The child's init failed: what it still owns of them is the parent's again. */
void tina__descriptor_return(tina__shard *shard, uint64_t fd, uint8_t halves, tina__isolate *from, tina__isolate *to);

#endif
