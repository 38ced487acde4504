/* Children that handlers make, and those that they ask to end. */
#include "base/copy.h"
#include "core/lookup.h"
#include "core/mailbox.h"
#include "core/reactor.h"
#include "core/supervise.h"
#include "core/timers.h"

#include <string.h>

/* ---- Making --------------------------------------------------------------------------------- */

/* The index of the group of that name, or NONE. Names of groups stand behind those of children. */
static uint16_t find_name(const tina__shard *shard, uint16_t name)
{
    uint32_t entry = name < shard->p.name_count ? shard->p.names[shard->p.name_count + name] : 0;
    return entry != 0 ? (uint16_t)(entry - 1) : TINA__GROUP_NONE;
}

static uint16_t find_group(const tina_ctx *frame, uint16_t name)
{
    const tina__shard *shard = frame->shard;
    switch (name) {
    case TINA_GROUP_NONE: return tina__group_unsupervised(shard->p.group_count);
    case TINA_GROUP_SELF: return frame->isolate->group;
    case TINA_GROUP_ROOT: return TINA__GROUP_ROOT;
    default: return find_name(shard, name);
    }
}

static bool is_restarted(const tina_spawn *spawn)
{
    return spawn->restart == TINA_PERMANENT || spawn->restart == TINA_TRANSIENT;
}

/* Slots are kept for those that are to be started again; in a shutdown nobody is. */
static bool has_slot(const tina__shard *shard, uint8_t type)
{
    const tina__type *of = &shard->p.types[type];
    uint32_t kept = shard->state == TINA_SHARD_DRAINING ? 0 : of->restarting;
    return tina__pool_free_count(&of->pool) > kept;
}

static inline tina_status check_spawn(const tina_ctx *frame, const tina_spawn *spawn, uint16_t group)
{
    const tina__shard *shard = frame->shard;
    if (spawn->type >= shard->p.type_count || spawn->args_size > TINA_ARGS_MAX || spawn->restart > TINA_TEMPORARY ||
        spawn->handoff > TINA_HANDOFF_WRITE || (spawn->args == NULL && spawn->args_size != 0))
        return TINA_INVALID;
    if (shard->depth > TINA__INIT_DEPTH_MAX || group == TINA__GROUP_NONE)
        return TINA_INVALID;
    bool is_supervised = group != tina__group_unsupervised(shard->p.group_count);
    if (is_restarted(spawn) && (!tina_fd_is_none(spawn->fd) || !is_supervised))
        return TINA_INVALID; /* nobody would restart it */
    if (!has_slot(shard, spawn->type)) {
        tina__count_type(&shard->p.types[spawn->type], arena_full);
        return TINA_ARENA_FULL;
    }
    const tina__group *of = &shard->p.groups[group];
    return of->state != TINA__GROUP_DOWN && of->dynamic_count < of->dynamic_max ? TINA_OK : TINA_GROUP_FULL;
}

static uint8_t halves_of(uint8_t handoff)
{
    switch (handoff) {
    case TINA_HANDOFF_READ: return 1 << TINA__READ;
    case TINA_HANDOFF_WRITE: return 1 << TINA__WRITE;
    default: return 1 << TINA__READ | 1 << TINA__WRITE;
    }
}

/* The record of a spawned child that is to be restarted. NONE: there is none left. */
static uint32_t make_record(tina__shard *shard, const tina__start *start, uint8_t restart)
{
    uint32_t index = tina__pool_take(&shard->child_pool);
    if (index == TINA__NONE)
        return TINA__NONE;
    tina__child_record *child = &shard->p.children[index];
    *child = (tina__child_record){
        .isolate = TINA__NONE,
        .group = start->group,
        .nested = TINA__GROUP_NONE,
        .type = start->type,
        .restart = restart,
        .state = TINA__CHILD_UP,
        .args_size = (uint8_t)start->args_size,
        .was_started = true,
    };
    if (start->args_size != 0)
        memcpy(child->args, start->args, start->args_size);
    return index;
}

/* One that gets a descriptor, or that is to be restarted. */
static __attribute__((noinline)) tina_status prepare(const tina_ctx *frame, uint8_t handoff, uint8_t restart,
                                                     tina__start *start)
{
    if (start->fd != 0) {
        start->halves = halves_of(handoff);
        return tina__descriptor_may_move(frame->shard, frame->isolate, start->fd, start->halves);
    }
    start->child = make_record(frame->shard, start, restart);
    return start->child == TINA__NONE ? TINA_GROUP_FULL : TINA_OK;
}

tina_status tina__supervise_spawn(tina_ctx *frame, const tina_spawn *given, tina_handle *handle)
{
    tina__shard *shard = frame->shard;
    const tina_spawn spawn = *given; /* the user's: read once */
    uint16_t group = find_group(frame, spawn.group);
    tina_status status = check_spawn(frame, &spawn, group);
    if (status != TINA_OK)
        return status;
    uint8_t args[TINA_ARGS_MAX] __attribute__((aligned(16)));
    tina__copy_small(args, spawn.args, spawn.args_size);
    tina__start start = {
        .args = args,
        .args_size = spawn.args_size,
        .parent = frame->self,
        .fd = spawn.fd.bits,
        .type = spawn.type,
        .group = group,
        .child = TINA__NONE,
    };
    if (spawn.fd.bits != 0 || is_restarted(&spawn)) {
        status = prepare(frame, spawn.handoff, spawn.restart, &start);
        if (status != TINA_OK)
            return status;
    }
    shard->p.groups[group].dynamic_count++;
    tina_handle self;
    uint8_t end;
    status = tina__isolate_start(shard, &start, &self, &end);
    if (status != TINA_OK) {
        tina__supervise_down(shard, start.child, group);
        return status;
    }
    if (handle != NULL)
        *handle = self;
    return TINA_OK;
}

/* ---- Asking to end ----------------------------------------------------------------------------- */

static tina__timer_slot *find_grace(const tina__shard *shard, const tina__isolate *isolate)
{
    for (uint32_t index = isolate->timers; index != TINA__NONE;) {
        tina__timer_slot *slot = tina__timer_at(shard, index);
        if (slot->use == TINA__TIMER_GRACE)
            return slot;
        index = slot->next;
    }
    return NULL;
}

/* False: no timer is free. The earlier of two times counts. */
static bool start_grace(tina__shard *shard, tina__isolate *isolate, uint64_t grace_ns)
{
    uint64_t deadline_ns = tina__add_saturating(shard->now_ns, grace_ns);
    tina__timer_slot *slot = isolate->flags & TINA__ISOLATE_STOPPED ? find_grace(shard, isolate) : NULL;
    if (slot == NULL) {
        uint32_t index = tina__timer_take(shard, isolate, TINA__TIMER_GRACE);
        if (index == TINA__NONE)
            return false;
        slot = tina__timer_at(shard, index);
    } else if (slot->node.deadline_ns <= deadline_ns) {
        return true;
    }
    tina__timer_wheel_cancel(shard->p.wheel, &slot->node);
    tina__timer_wheel_start(shard->p.wheel, &slot->node, deadline_ns);
    return true;
}

tina_status tina__supervise_stop_child(tina__shard *shard, tina_handle child, uint64_t grace_ns)
{
    if (tina_handle_shard(child) != shard->id)
        return TINA_INVALID;
    tina__isolate *isolate = tina__isolate_find(shard, child);
    if (isolate == NULL)
        return TINA_STALE_HANDLE;
    if (grace_ns != TINA_NONE_NS && !start_grace(shard, isolate, grace_ns))
        return TINA_POOL_EXHAUSTED;
    if ((isolate->flags & TINA__ISOLATE_STOPPED) != 0)
        return TINA_OK;
    isolate->flags |= TINA__ISOLATE_STOPPED;
    if (shard->state != TINA_SHARD_DRAINING) /* in a shutdown it has its notice */
        isolate->flags |= TINA__ISOLATE_SHUTDOWN;
    tina__isolate_notify(shard, isolate);
    return TINA_OK;
}

void tina__supervise_grace_over(tina__shard *shard, uint32_t isolate)
{
    tina__isolate_exit(shard, &shard->p.isolates[isolate], TINA_END_STOPPED, 0);
}
