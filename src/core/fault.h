/*
 * What a fault costs: the one place that decides it. The shard's thread alone.
 *
 *   in a handler's or an init's own code      the isolate, or what its type's containment says
 *   by abort(), or in another library's code  what the spec says of these
 *   there, while the runtime changes things   the shard
 *   in the runtime itself                     the shard
 *
 * What ends the process is decided in the signal handler, before anything has
 * moved, so that a core dump shows the culprit.
 */
#ifndef TINA__CORE_FAULT_H
#define TINA__CORE_FAULT_H

#include "base/touch.h"
#include "core/shard.h"

/* For the guard: is the process to end? user is the shard. In a signal handler. */
bool tina__fault_is_fatal(const void *user, const tina__fault *fault);

/* An init in a handler, or the tick, has died of it. True: it costs the isolate; false: the shard, which is marked for it. */
bool tina__fault_is_isolates(tina__shard *shard, const tina__fault *fault);

/*
 * The isolate that ran in that frame died of the fault: counted, told of in the log
 * and the flight recorder. False: there is damage beyond it, and the shard is marked.
 */
bool tina__fault_note(tina__shard *shard, const tina_ctx *frame, const tina__fault *fault);

/* The fault that a wipe answers: counted and told of. */
void tina__fault_note_shards(tina__shard *shard);

/* How watchers and the supervisor see it: tina_end. */
uint8_t tina__fault_end(const tina__fault *fault);

/* The shard's isolates are to end, all of them, for this reason; the first one counts. */
void tina__fault_wipe(tina__shard *shard, tina__wipe why);

/* A dump of the whole flight recorder, as goes with a wipe: at once, or, while one is still being read, later. */
void tina__fault_dump_all(tina__shard *shard);

/* ---- Around what the runtime does for a handler ---- */

_Noreturn void tina__fault_kill(tina__shard *shard); /* the watchdog's kill, which waited */

/*
 * Before it: the stack is the user's memory too, and has to be enough for the change.
 * Tried here and not in a function: the call, though it is rare, would cost each
 * caller the registers that it has to save around it.
 */
static inline void tina__change_begin(tina__shard *shard)
{
    const uint8_t *here = __builtin_frame_address(0);
    if (__builtin_expect((uintptr_t)here < shard->guard->stack_floor, 0))
        tina__touch(here - TINA__STACK_RESERVE, TINA__STACK_RESERVE);
    tina__guard_set(&shard->guard->is_changing, true);
}

static inline void tina__change_end(tina__shard *shard)
{
    tina__guard *guard = shard->guard;
    tina__guard_set(&guard->is_changing, false);
    if (__builtin_expect(atomic_load_explicit(&guard->is_kill_waiting, memory_order_relaxed), 0))
        tina__fault_kill(shard);
}

#endif
