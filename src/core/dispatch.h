/*
 * Running handlers: who is next, with which message, and what became of it. The
 * shard's thread alone.
 *
 * Types take turns in their order; a type keeps the turn while it has ready
 * isolates and budget left, and the turns go round until no type has both. Within
 * a type isolates run in the order in which they became ready, one message a
 * turn. An isolate gets its finished operations first, then the notice of the
 * shutdown, then its mail in the order of its arrival.
 */
#ifndef TINA__CORE_DISPATCH_H
#define TINA__CORE_DISPATCH_H

#include "core/shard.h"

/* Runs what is ready, within the budgets. Goes on where a fault has stopped it. Returns how many isolates had their turn. */
uint32_t tina__dispatch(tina__shard *shard);

/* The handler that was running died of the fault: its isolate ends, or the shard is marked to. */
void tina__dispatch_settle(tina__shard *shard, const tina__fault *fault);

/* Runs an init in a frame of its own. False: it is to end; *ending says how. A fault that costs more than it is thrown on. */
bool tina__dispatch_init(tina__shard *shard, tina__isolate *isolate, tina_handle self, const tina__start *start,
                         tina__ending *ending);

/* A new tick: new budgets, and those that yielded in the last tick are ready in this one. Returns how many. */
uint32_t tina__dispatch_resume(tina__shard *shard);

/* Every live isolate gets the notice of the shutdown. */
void tina__dispatch_announce_shutdown(tina__shard *shard);

#endif
