/*
 * Watches: who is told when an isolate ends. The shard's thread alone.
 *
 * The watcher's side is a slot behind the timers' in the shard's mail, which
 * becomes the notice; so a notice never wants for room. It is listed with its
 * watcher's timers, and found again by watcher and target in a table of buckets.
 * The target's side is an owed record, as that of a call: a watch is a call that
 * the end of the target answers. To another shard it holds a place in the channel
 * back.
 *
 *   WATCH   in its bucket and its watcher's list; the target's side may answer
 *   DOWN    the same, and mail; the target's side is over
 *   ENDING  the notice is being handled
 *   ANSWER  mail once more: what became of the target's shard
 */
#ifndef TINA__CORE_WATCH_H
#define TINA__CORE_WATCH_H

#include "core/shard.h"

/* Statuses as tina_watch. */
tina_status tina__watch_start(tina__shard *shard, tina__isolate *watcher, tina_handle target);
void tina__watch_stop(tina__shard *shard, tina__isolate *watcher, tina_handle target);

/* The slot of that isolate's watch of that target, or NONE. */
uint32_t tina__watch_find(const tina__shard *shard, uint32_t watcher, tina_handle target);

/* The target has ended: the slot becomes its notice. */
void tina__watch_ended(tina__shard *shard, uint32_t slot, uint8_t end, uint8_t reason);

/*
 * The same with all of the target's shard, whose next life that is; its place is
 * dealt with. The first of these notices that an isolate gets becomes the one that
 * says so, behind the others.
 */
void tina__watch_lost(tina__shard *shard, uint32_t slot, uint32_t life, tina_tag notice);

/* The notice is about to be handled; it was handled. */
void tina__watch_delivered(tina__shard *shard, uint32_t slot);
void tina__watch_handled(tina__shard *shard, uint32_t slot);

/* The watch is over, its slot is free, or, where it is still to say something of the target's shard, says it. */
void tina__watch_end(tina__shard *shard, uint32_t slot);

#endif
