#include "core/isolate.h"

#include "core/call.h"
#include "core/damage.h"
#include "core/dispatch.h"
#include "core/fault.h"
#include "core/log.h"
#include "core/mailbox.h"
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

static void live_link(tina__shard *shard, tina__isolate *isolate)
{
    tina__group *group = &shard->p.groups[isolate->group];
    uint32_t index = tina__isolate_index(shard, isolate);
    isolate->live_next = TINA__NONE;
    isolate->live_previous = group->live_tail;
    if (group->live_tail == TINA__NONE)
        group->live_head = index;
    else
        shard->p.isolates[group->live_tail].live_next = index;
    group->live_tail = index;
    shard->live_count++;
}

static void live_unlink(tina__shard *shard, tina__isolate *isolate)
{
    tina__group *group = &shard->p.groups[isolate->group];
    if (isolate->live_previous == TINA__NONE)
        group->live_head = isolate->live_next;
    else
        shard->p.isolates[isolate->live_previous].live_next = isolate->live_next;
    if (isolate->live_next == TINA__NONE)
        group->live_tail = isolate->live_previous;
    else
        shard->p.isolates[isolate->live_next].live_previous = isolate->live_previous;
    shard->live_count--;
}

/* ---- Beginning ---------------------------------------------------------------------- */

/* Looked for wherever a slot changes hands. What is found costs the shard, after this handler. */
static void look_for_damage(tina__shard *shard, const tina__type *type, uint32_t slot, const char *when)
{
    const char *damage = tina__damage_around(type, slot);
    if (damage == NULL || shard->wipe != TINA__WIPE_NOT)
        return;
    tina__log(shard, &type->isolates[slot], TINA_LOG_ERROR, "found %s: %s", when, damage);
    tina__fault_wipe(shard, TINA__WIPE_DAMAGE);
}

static tina__isolate *take_slot(tina__shard *shard, const tina__start *start)
{
    tina__type *type = &shard->p.types[start->type];
    uint32_t fresh = type->pool.fresh;
    uint32_t slot = tina__pool_take(&type->pool);
    if (slot == TINA__NONE)
        return NULL;
    if (slot == fresh)
        tina__damage_paint(type, slot);
    look_for_damage(shard, type, slot, "when it was to begin");
    tina__isolate *isolate = &type->isolates[slot];
    uint32_t generation = isolate->generation == 0 ? 1 : isolate->generation;
    *isolate = (tina__isolate){
        .generation = generation,
        .state = TINA__ISOLATE_STARTING,
        .flags = TINA__ISOLATE_QUEUED, /* it runs: nothing that comes meanwhile queues it */
        .type = start->type,
        .group = start->group,
        .inbox_head = TINA__NONE,
        .operations = TINA__NONE,
        .done_tail = TINA__NONE,
        .descriptors = TINA__NONE,
        .timers = TINA__NONE,
        .awaited = TINA__NONE,
        .owed = TINA__NONE,
        .transfers = TINA__NONE,
        .child = start->child,
    };
    memset(tina__isolate_self(type, slot), 0, type->size);
    if (type->working_size != 0)
        *tina__isolate_working(type, slot) = 0; /* here, not at the end: a wipe ends nobody one by one */
    return isolate;
}

/* The init did not make it: what it was handed is its parent's again. */
static void end_unborn(tina__shard *shard, const tina__start *start, tina__isolate *isolate, tina__ending ending)
{
    tina__isolate *parent = tina__isolate_find(shard, start->parent);
    if (start->fd != 0 && parent != NULL)
        tina__descriptor_return(shard, start->fd, start->halves, isolate, parent);
    tina__isolate_end(shard, isolate, ending.end, ending.reason);
}

tina_status tina__isolate_start(tina__shard *shard, const tina__start *start, tina__isolate **started, uint8_t *end)
{
    tina__ending ending;
    tina__isolate *isolate = take_slot(shard, start);
    if (isolate == NULL)
        return TINA_ARENA_FULL;
    live_link(shard, isolate);
    tina__count(shard, spawns);
    if (start->child != TINA__NONE) { /* so that its name works in its own init */
        shard->p.children[start->child].isolate = tina__isolate_index(shard, isolate);
        shard->p.children[start->child].who = tina__isolate_handle(shard, isolate);
    }
    if (start->fd != 0)
        tina__descriptor_move(shard, start->fd, start->halves, isolate);
    tina_handle self = tina__isolate_handle(shard, isolate);
    uint16_t name = start->child == TINA__NONE ? 0 : shard->p.children[start->child].name;
    tina__trace_add(shard->p.trace, shard->tick, TINA__EVENT_INIT, self, 0, name, start->parent.bits);
    if (!tina__dispatch_init(shard, isolate, start->args, start->args_size, &ending)) {
        *end = ending.end;
        end_unborn(shard, start, isolate, ending);
        return TINA_INIT_FAILED;
    }
    tina__trace_add(shard->p.trace, shard->tick, TINA__EVENT_UP, self, 0, 0, 0);
    if (shard->state == TINA_SHARD_DRAINING)
        isolate->flags |= TINA__ISOLATE_SHUTDOWN;
    tina__isolate_notify(shard, isolate);
    *started = isolate;
    return TINA_OK;
}

/* ---- The end ---------------------------------------------------------------------------- */

/* What it was parked for had come, and it had not run yet: in no list but its own word. */
static void end_awaited(tina__shard *shard, const tina__isolate *isolate)
{
    if ((isolate->flags & TINA__ISOLATE_WOKEN) == 0)
        return;
    if (isolate->state == TINA__ISOLATE_IN_CALL) {
        if (tina__timer_at(shard, isolate->awaited)->flags & TINA__MESSAGE_COUNTED)
            tina__count(shard, died_with_owner);
        tina__timer_free(shard, isolate->awaited);
    } else if (isolate->state == TINA__ISOLATE_IN_IO && isolate->awaited >= shard->p.operation_count) {
        tina__descriptor_handled(shard, isolate->awaited);
    }
}

void tina__isolate_end(tina__shard *shard, tina__isolate *isolate, uint8_t end, uint8_t reason)
{
    tina__type *type = &shard->p.types[isolate->type];
    tina__assert(isolate->state != TINA__ISOLATE_FREE);
    tina__trace_add(shard->p.trace, shard->tick, TINA__EVENT_END, tina__isolate_handle(shard, isolate), end, reason, 0);
    look_for_damage(shard, type, tina__isolate_slot(type, isolate), "when it ended");
    end_awaited(shard, isolate);
    isolate->state = TINA__ISOLATE_FREE;
    isolate->generation = tina__generation_next(isolate->generation);
    tina__mailbox_clear(shard, isolate);
    tina__operations_end(shard, isolate);
    tina__descriptors_end(shard, isolate);
    tina__timers_end(shard, isolate);
    tina__owed_end(shard, isolate, end, reason);
    tina__transfers_end(shard, isolate);
    live_unlink(shard, isolate);
    if (isolate->child != TINA__NONE)
        shard->p.children[isolate->child].isolate = TINA__NONE;
    tina__count(shard, exits);
    if (isolate->flags & TINA__ISOLATE_QUEUED) {
        isolate->flags = TINA__ISOLATE_QUEUED | TINA__ISOLATE_DEAD;
        return;
    }
    isolate->flags = 0;
    tina__pool_give(&type->pool, tina__isolate_slot(type, isolate));
}

void tina__isolate_exit(tina__shard *shard, tina__isolate *isolate, uint8_t end, uint8_t reason)
{
    uint32_t child = isolate->child;
    uint16_t group = isolate->group;
    bool is_stopped = (isolate->flags & TINA__ISOLATE_STOPPED) != 0;
    tina__isolate_end(shard, isolate, end, reason);
    tina__supervise_exit(shard, child, group, end, is_stopped);
}
