#include "core/fault.h"

#include "core/damage.h"
#include "core/log.h"
#include "core/lookup.h"
#include "core/stats.h"

#include <stdio.h>

#define DUMP_EVENTS    64
#define DUMP_PERIOD_NS 1000000000u

/* ---- What it costs -------------------------------------------------------------------------- */

static bool is_in_users_code(const tina__shard *shard, const tina__fault *fault)
{
    uint32_t turn = atomic_load_explicit(&shard->guard->turn, memory_order_relaxed);
    return turn % 2 == 1 && !fault->is_changing;
}

/* Behind TINA_SUSPECT_DEFAULT the two name the same three in the same order. */
static tina_containment widened(tina_containment containment, uint8_t suspect)
{
    tina_containment other = (tina_containment)(suspect - TINA_SUSPECT_ISOLATE);
    return other > containment ? other : containment;
}

static tina_containment cost_of(const tina__shard *shard, const tina__fault *fault)
{
    if (fault->kind == TINA__FAULT_ABORT && !is_in_users_code(shard, fault))
        return TINA_CONTAIN_PROCESS; /* a broken invariant that was not to be contained */
    if (fault->kind == TINA__FAULT_BROKEN || !is_in_users_code(shard, fault) || shard->depth == 0 ||
        shard->depth > TINA__INIT_DEPTH_MAX + 1)
        return TINA_CONTAIN_SHARD;
    tina_containment containment = (tina_containment)shard->frames[shard->depth - 1].type->containment;
    if (fault->kind == TINA__FAULT_ABORT)
        return widened(containment, shard->shared->on_abort);
    if (fault->is_foreign)
        return widened(containment, shard->shared->on_foreign_fault);
    return containment;
}

bool tina__fault_is_fatal(const void *user, const tina__fault *fault)
{
    return cost_of(user, fault) == TINA_CONTAIN_PROCESS;
}

uint8_t tina__fault_end(const tina__fault *fault)
{
    return fault->kind == TINA__FAULT_KILLED ? TINA_END_KILLED : TINA_END_FAULT;
}

/* ---- Telling of it ----------------------------------------------------------------------------- */

static void describe(const tina__shard *shard, const tina__fault *fault, char *text, size_t size)
{
    text[0] = '\0';
    if (!shard->shared->has_log) /* finding the names takes its time */
        return;
    char where[128];
    char name[24];
    tina__trap_describe(fault->pc, where, sizeof where);
    switch (fault->kind) {
    case TINA__FAULT_BROKEN: snprintf(text, size, "%s", fault->what); break;
    case TINA__FAULT_ABORT: snprintf(text, size, "abort"); break;
    case TINA__FAULT_KILLED: snprintf(text, size, "killed by the watchdog in %s", where); break;
    default:
        snprintf(text, size, "%s at %#jx in %s%s", tina__trap_signal_name(fault->signal, name, sizeof name),
                 (uintmax_t)fault->address, where, fault->is_foreign ? "; suspect: a library may have held a lock" : "");
    }
}

/* The events before the first fault of a type, and then of one fault a second: more would be a storm. */
static void dump_some(tina__shard *shard, const tina__type *type)
{
    uint64_t *word = &shard->dumped_types[type->id / 64];
    uint64_t bit = 1ull << (type->id % 64);
    bool is_first = (*word & bit) == 0;
    bool is_time = shard->dumped_ns == 0 || shard->now_ns - shard->dumped_ns >= DUMP_PERIOD_NS;
    *word |= bit;
    if ((!is_first && !is_time) || !tina__trace_dump(shard->p.trace, DUMP_EVENTS)) {
        tina__count(shard, dumps_skipped);
        return;
    }
    shard->dumped_ns = shard->now_ns;
    shard->log_written++; /* the helper has something to do */
}

void tina__fault_dump_all(tina__shard *shard)
{
    shard->owes_dump = !tina__trace_dump(shard->p.trace, UINT32_MAX);
    shard->log_written++; /* the helper has something to do, in either case */
}

bool tina__fault_note(tina__shard *shard, const tina_ctx *frame, const tina__fault *fault)
{
    char text[256];
    describe(shard, fault, text, sizeof text);
    tina__log(shard, frame->isolate, TINA_LOG_ERROR, "faulted: %s", text);
    tina__count(shard, faults);
    tina__count_type(frame->type, faults);
    if (fault->kind == TINA__FAULT_KILLED)
        tina__count(shard, watchdog_kills);
    tina__trace_add(shard->p.trace, shard->tick, TINA__EVENT_FAULT, frame->self, fault->kind, (uint16_t)fault->signal,
                    fault->pc);
    tina__tracepoint_fault(shard->id, frame->self.bits, fault->kind, fault->pc);
    dump_some(shard, frame->type);
    const char *damage = tina__damage_around(frame->type, tina__isolate_slot(frame->type, frame->isolate));
    if (damage == NULL)
        damage = tina__damage_in_pools(shard, frame->type);
    if (damage == NULL)
        return true;
    tina__log(shard, frame->isolate, TINA_LOG_ERROR, "found at its fault: %s", damage);
    tina__fault_wipe(shard, TINA__WIPE_DAMAGE);
    return false;
}

/* ---- Taking it ------------------------------------------------------------------------------------ */

/* The guard is as between handlers again. */
static void lower_guard(tina__shard *shard)
{
    tina__guard *guard = shard->guard;
    if (atomic_load_explicit(&guard->turn, memory_order_relaxed) % 2 == 1)
        tina__guard_turn(guard);
    tina__guard_set(&guard->is_changing, false);
    tina__guard_set(&guard->is_kill_waiting, false);
}

void tina__fault_note_shards(tina__shard *shard)
{
    const tina__fault *fault = &shard->fault;
    char text[256];
    tina_handle nobody = {0};
    describe(shard, fault, text, sizeof text);
    tina__log(shard, NULL, TINA_LOG_ERROR, "a fault that costs the shard: %s", text);
    tina__count(shard, faults);
    tina__trace_add(shard->p.trace, shard->tick, TINA__EVENT_FAULT, nobody, fault->kind, (uint16_t)fault->signal, fault->pc);
    tina__tracepoint_fault(shard->id, nobody.bits, fault->kind, fault->pc);
}

bool tina__fault_is_isolates(tina__shard *shard, const tina__fault *fault)
{
    bool is_known = shard->wipe != TINA__WIPE_NOT; /* an init's trap has looked at it, and thrown it on */
    bool is_isolates = !is_known && !shard->is_settling && cost_of(shard, fault) == TINA_CONTAIN_ISOLATE;
    if (!is_isolates && !is_known) {
        shard->fault = *fault; /* told of by the wipe: here log and flight recorder may be what is broken */
        tina__fault_wipe(shard, TINA__WIPE_FAULT);
    }
    if (!is_isolates || shard->depth <= 1)
        lower_guard(shard);
    return is_isolates;
}

void tina__fault_wipe(tina__shard *shard, tina__wipe why)
{
    if (shard->wipe == TINA__WIPE_NOT)
        shard->wipe = (uint8_t)why;
}

_Noreturn void tina__fault_kill(tina__shard *shard)
{
    tina__guard_set(&shard->guard->is_kill_waiting, false);
    tina__fault fault = {.kind = TINA__FAULT_KILLED, .pc = (uintptr_t)__builtin_return_address(0)};
    tina__trap_throw(&fault);
}
