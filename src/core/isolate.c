#include "core/isolate.h"

#include "core/call.h"
#include "core/damage.h"
#include "core/dispatch.h"
#include "core/fault.h"
#include "core/log.h"
#include "core/mailbox.h"
#include "core/measure.h"
#include "core/reactor.h"
#include "core/stats.h"
#include "core/supervise.h"
#include "core/timers.h"
#include "core/transfer.h"

#include <string.h>

/* ---- Finding --------------------------------------------------------------------- */

tina__isolate *tina__isolate_find_named(const tina__shard *shard, tina_handle handle)
{
    uint32_t name = tina__handle_slot(handle);
    if (!tina__handle_is_named(handle) || tina__handle_generation(handle) != 0)
        return NULL;
    if (name >= shard->p.name_count || shard->p.names[name] == 0)
        return NULL;
    uint32_t isolate = shard->p.children[shard->p.names[name] - 1].isolate;
    return isolate == TINA__NONE ? NULL : &shard->p.isolates[isolate];
}

/* ---- Its group's list ------------------------------------------------------------- */

static inline void live_link(tina__shard *shard, tina__isolate *isolate)
{
    tina__group *group = &shard->p.groups[isolate->group];
    uint32_t index = tina__isolate_index(shard, isolate);
    uint32_t last = group->live_tail;
    tina__pack_u32x2(&isolate->live_next, TINA__NONE, last); /* and live_previous */
    if (last == TINA__NONE)
        group->live_head = index;
    else
        shard->p.isolates[last].live_next = index;
    group->live_tail = index;
    shard->live_count++;
}

static inline void live_unlink(tina__shard *shard, const tina__isolate *isolate)
{
    tina__group *group = &shard->p.groups[isolate->group];
    uint32_t next = isolate->live_next, previous = isolate->live_previous;
    if (previous == TINA__NONE)
        group->live_head = next;
    else
        shard->p.isolates[previous].live_next = next;
    if (next == TINA__NONE)
        group->live_tail = previous;
    else
        shard->p.isolates[next].live_previous = previous;
    shard->live_count--;
}

/* ---- Beginning ---------------------------------------------------------------------- */

static __attribute__((noinline)) void take_damage(tina__shard *shard, const tina__type *type, uint32_t slot,
                                                  const char *when)
{
    if (shard->wipe != TINA__WIPE_NOT)
        return;
    tina__log(shard, &type->isolates[slot], TINA_LOG_ERROR, "found %s: %s", when, tina__damage_around(type, slot));
    tina__fault_wipe(shard, TINA__WIPE_DAMAGE);
}

/* Looked for wherever a slot changes hands. What is found costs the shard, after this handler. */
static inline void look_for_damage(tina__shard *shard, const tina__type *type, uint32_t slot, const char *when)
{
    if (tina__unlikely(tina__is_damaged(type, slot)))
        take_damage(shard, type, slot, when);
}

/* Is there none in any of its lists? */
static bool holds_nothing(const tina__isolate *isolate)
{
    return (isolate->inbox_head & isolate->operations & isolate->done_tail & isolate->descriptors & isolate->timers &
            isolate->owed & isolate->transfers) == TINA__NONE;
}

/* A slot that was never used in this life of the shard's. What it gets here it keeps, or has again when it is free again. */
static __attribute__((noinline)) void open_slot(const tina__type *type, uint32_t slot)
{
    tina__isolate *isolate = &type->isolates[slot];
    *isolate = (tina__isolate){
        .generation = isolate->generation == 0 ? 1 : isolate->generation,
        .type = type->id,
        .inbox_head = TINA__NONE,
        .operations = TINA__NONE,
        .done_tail = TINA__NONE,
        .descriptors = TINA__NONE,
        .timers = TINA__NONE,
        .owed = TINA__NONE,
        .transfers = TINA__NONE,
    };
    tina__damage_paint(type, slot);
}

static tina__isolate *take_slot(tina__shard *shard, tina__type *type, const tina__start *start)
{
    uint32_t fresh = type->pool.fresh;
    uint32_t slot = tina__pool_take(&type->pool);
    if (slot == TINA__NONE)
        return NULL;
    if (slot == fresh)
        open_slot(type, slot);
    look_for_damage(shard, type, slot, "when it was to begin");
    tina__isolate *isolate = &type->isolates[slot];
    tina__audit(holds_nothing(isolate));
    isolate->state = TINA__ISOLATE_STARTING;
    isolate->group = start->group;
    isolate->flags = TINA__ISOLATE_QUEUED; /* it runs: nothing that comes meanwhile queues it */
    isolate->child = start->child;
    memset(tina__isolate_self(type, slot), 0, type->size);
    if (type->working_size != 0)
        *tina__isolate_working(type, slot) = 0; /* here, not at the end: a wipe ends nobody one by one */
    return isolate;
}

/* The init failed: what the isolate was handed is its parent's again. */
static void end_unborn(tina__shard *shard, const tina__start *start, tina__isolate *isolate, tina__ending ending)
{
    tina__isolate *parent = tina__isolate_find(shard, start->parent);
    if (start->fd != 0 && parent != NULL)
        tina__descriptor_return(shard, start->fd, start->halves, isolate, parent);
    tina__isolate_end(shard, isolate, ending.end, ending.reason);
}

/* Its record knows it already in its init, so that its name works there. Returns the name, or 0. */
static uint16_t name_child(tina__shard *shard, uint32_t index, const tina__isolate *isolate, tina_handle self)
{
    tina__child_record *child = &shard->p.children[index];
    child->isolate = tina__isolate_index(shard, isolate);
    child->who = self;
    return child->name;
}

tina_status tina__isolate_start(tina__shard *shard, const tina__start *start, tina_handle *started, uint8_t *end)
{
    tina__type *type = &shard->p.types[start->type];
    tina__isolate *isolate = take_slot(shard, type, start);
    if (isolate == NULL)
        return TINA_ARENA_FULL;
    live_link(shard, isolate);
    tina__count(shard, spawns);
    tina__count_type(type, spawns);
    tina__measure_peak(type);
    tina_handle self = tina__handle_of_slot(type->handle_base, tina__isolate_slot(type, isolate), isolate->generation);
    *started = self;
    uint16_t name = start->child == TINA__NONE ? 0 : name_child(shard, start->child, isolate, self);
    if (start->fd != 0)
        tina__descriptor_move(shard, start->fd, start->halves, isolate);
    tina__trace_add(shard->p.trace, shard->tick, TINA__EVENT_INIT, self, 0, name, start->parent.bits);
    tina__ending ending;
    if (!tina__dispatch_init(shard, isolate, self, start, &ending)) {
        *end = ending.end;
        end_unborn(shard, start, isolate, ending);
        return TINA_INIT_FAILED;
    }
    tina__trace_add(shard->p.trace, shard->tick, TINA__EVENT_UP, self, 0, 0, 0);
    if (shard->state == TINA_SHARD_DRAINING) {
        isolate->flags |= TINA__ISOLATE_SHUTDOWN;
        tina__isolate_notify(shard, isolate);
    }
    return TINA_OK;
}

/* ---- The end ---------------------------------------------------------------------------- */

/* What it was parked for had come, and it had not run yet: in no list but its own word. */
static __attribute__((noinline)) void end_awaited(tina__shard *shard, const tina__isolate *isolate)
{
    if (isolate->state == TINA__ISOLATE_IN_CALL) {
        if (tina__timer_at(shard, isolate->awaited)->flags & TINA__MESSAGE_COUNTED)
            tina__count(shard, died_with_owner);
        tina__timer_free(shard, isolate->awaited);
    } else if (isolate->state == TINA__ISOLATE_IN_IO && isolate->awaited >= shard->p.operation_count) {
        tina__descriptor_handled(shard, isolate->awaited);
    }
}

static __attribute__((noinline)) void end_holdings(tina__shard *shard, tina__isolate *isolate, uint8_t end, uint8_t reason)
{
    tina__mailbox_clear(shard, isolate);
    tina__operations_end(shard, isolate);
    tina__descriptors_end(shard, isolate);
    tina__timers_end(shard, isolate);
    tina__owed_end(shard, isolate, end, reason);
    tina__transfers_end(shard, isolate);
    tina__assert(holds_nothing(isolate)); /* as the slot's next isolate wants it */
}

/* Inlined in both callers: as a function, it would save its registers once more at each end. */
static inline __attribute__((always_inline)) void end_life(tina__shard *shard, tina__isolate *isolate, uint8_t end,
                                                           uint8_t reason)
{
    tina__type *type = &shard->p.types[isolate->type];
    uint32_t slot = tina__isolate_slot(type, isolate);
    tina_handle self = tina__handle_of_slot(type->handle_base, slot, isolate->generation);
    tina__assert(isolate->state != TINA__ISOLATE_FREE);
    tina__trace_add(shard->p.trace, shard->tick, TINA__EVENT_END, self, end, reason, 0);
    look_for_damage(shard, type, slot, "when it ended");
    if (isolate->flags & TINA__ISOLATE_WOKEN)
        end_awaited(shard, isolate);
    isolate->state = TINA__ISOLATE_FREE;
    isolate->generation = tina__generation_next(isolate->generation);
    if (!holds_nothing(isolate)) /* nearly always it does: one look for all lists */
        end_holdings(shard, isolate, end, reason);
    live_unlink(shard, isolate);
    if (isolate->child != TINA__NONE)
        shard->p.children[isolate->child].isolate = TINA__NONE;
    tina__count(shard, exits);
    tina__count_type(type, exits);
    if (isolate->flags & TINA__ISOLATE_QUEUED) {
        isolate->flags = TINA__ISOLATE_QUEUED | TINA__ISOLATE_DEAD;
        return;
    }
    isolate->flags = 0;
    tina__pool_give(&type->pool, slot);
}

void tina__isolate_end(tina__shard *shard, tina__isolate *isolate, uint8_t end, uint8_t reason)
{
    end_life(shard, isolate, end, reason);
}

void tina__isolate_exit(tina__shard *shard, tina__isolate *isolate, uint8_t end, uint8_t reason)
{
    bool is_stopped = (isolate->flags & TINA__ISOLATE_STOPPED) != 0;
    tina__assert(shard->depth == 0);
    end_life(shard, isolate, end, reason);
    if (isolate->child == TINA__NONE) /* whose it was, its record still says */
        tina__supervise_forget(shard, isolate->group);
    else
        tina__supervise_exit(shard, isolate->child, end, is_stopped);
}
