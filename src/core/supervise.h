/*
 * Supervision: what happens when a child ends. The shard's thread alone.
 *
 * Exits are queued and handled between handlers: no recursion, no message, no
 * allocation, so it works when every pool is empty. A child is started again
 * only when all that its last life held is over.
 */
#ifndef TINA__CORE_SUPERVISE_H
#define TINA__CORE_SUPERVISE_H

#include "core/shard.h"

/* A child has ended. child: its record, or NONE for a temporary one; end: tina__end. */
void tina__supervise_exit(tina__shard *shard, uint32_t child, uint16_t group, uint8_t end);

/* One more thing that a dead child held is not over; and: it is. child may be NONE. */
void tina__supervise_hold(tina__shard *shard, uint32_t child);
void tina__supervise_release(tina__shard *shard, uint32_t child);

/* Starts what is due by now, once; an init that fails comes up again in the next call. Returns how many. */
uint32_t tina__supervise_restart(tina__shard *shard);

/* Starts the static children in order. */
void tina__supervise_start_tree(tina__shard *shard);

/* The tools of tina_spawn_child. */
tina_status tina__supervise_spawn(tina_ctx *frame, const tina_spawn *spawn, tina_handle *child);

/* Ends every isolate of the shard. Those that the end of a drain strikes are written down. */
void tina__supervise_end_all(tina__shard *shard, uint8_t end);

/* The wipe of a shard whose root is past its budget. Returns how much it did. */
uint32_t tina__supervise_wipe(tina__shard *shard);

/* Nothing is restarted any more. */
void tina__supervise_stop(tina__shard *shard);

#endif
