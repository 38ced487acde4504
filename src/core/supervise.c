#include "core/supervise.h"

#include "core/dispatch.h"
#include "core/log.h"
#include "core/mailbox.h"
#include "core/reactor.h"
#include "core/stats.h"

#include <string.h>

#define TRIES_IN_ORDER 1024 /* of inits that fail, before the tree goes on without them */

static tina__child_record *record_of(tina__shard *shard, uint32_t child)
{
    tina__assert(child < shard->p.child_count);
    return &shard->p.children[child];
}

static bool may_restart(const tina__shard *shard)
{
    return (shard->state == TINA_SHARD_INIT || shard->state == TINA_SHARD_RUNNING) && !shard->wipe.is_under_way;
}

static bool wants_restart(const tina__child_record *child, uint8_t end)
{
    return child->restart == TINA_PERMANENT || (child->restart == TINA_TRANSIENT && end != TINA__END_DONE);
}

/* A child that is to start keeps a slot of its type. */
static void keep_slot(tina__shard *shard, const tina__child_record *child)
{
    shard->p.types[child->type].restarting++;
    shard->restarting++;
}

static void use_slot(tina__shard *shard, const tina__child_record *child)
{
    tina__assert(shard->p.types[child->type].restarting != 0);
    shard->p.types[child->type].restarting--;
    shard->restarting--;
}

/* ---- Exits ------------------------------------------------------------------------------ */

/* The child stays down. Its record is free again, unless the spec made it. */
static void stay_down(tina__shard *shard, uint32_t index)
{
    tina__child_record *child = record_of(shard, index);
    if (child->is_static) {
        child->state = TINA__CHILD_DOWN;
        return;
    }
    child->state = TINA__CHILD_FREE;
    shard->p.groups[child->group].dynamic_count--;
    tina__pool_give(&shard->child_pool, index);
}

/* Nothing that its last life held is under way any more. */
static void child_is_over(tina__shard *shard, uint32_t index)
{
    tina__child_record *child = record_of(shard, index);
    if (child->is_restarting && !may_restart(shard)) {
        child->is_restarting = false;
        use_slot(shard, child);
    }
    if (!child->is_restarting) {
        stay_down(shard, index);
        return;
    }
    child->state = TINA__CHILD_DUE;
    child->link = TINA__NONE;
    if (shard->restart_head == TINA__NONE)
        shard->restart_head = index;
    else
        shard->p.children[shard->restart_tail].link = index;
    shard->restart_tail = index;
}

void tina__supervise_exit(tina__shard *shard, uint32_t index, uint16_t group, uint8_t end)
{
    if (index == TINA__NONE) {
        shard->p.groups[group].dynamic_count--;
        return;
    }
    tina__child_record *child = record_of(shard, index);
    tina__assert(child->state == TINA__CHILD_UP);
    child->state = TINA__CHILD_ENDING;
    child->is_restarting = may_restart(shard) && wants_restart(child, end);
    if (child->is_restarting)
        keep_slot(shard, child);
    if (child->pending == 0)
        child_is_over(shard, index);
}

void tina__supervise_hold(tina__shard *shard, uint32_t child)
{
    if (child != TINA__NONE)
        record_of(shard, child)->pending++;
}

void tina__supervise_release(tina__shard *shard, uint32_t index)
{
    if (index == TINA__NONE)
        return;
    tina__child_record *child = record_of(shard, index);
    tina__assert(child->pending != 0);
    if (--child->pending == 0 && child->state == TINA__CHILD_ENDING)
        child_is_over(shard, index);
}

/* ---- Starting ---------------------------------------------------------------------------- */

static void start_child(tina__shard *shard, uint32_t index)
{
    tina__child_record *child = record_of(shard, index);
    use_slot(shard, child);
    child->state = TINA__CHILD_UP;
    tina__start start = {
        .args = child->args,
        .args_size = child->args_size,
        .type = child->type,
        .group = child->group,
        .child = index,
    };
    tina__isolate *isolate;
    uint8_t end = TINA__END_CRASH;
    tina_status status = tina__isolate_start(shard, &start, &isolate, &end);
    tina__assert(status != TINA_ARENA_FULL); /* a slot was kept for it */
    if (status == TINA_OK)
        return;
    tina__log(shard, NULL, TINA_LOG_WARN, "the init of a child of type %s %s", shard->p.types[child->type].name,
              end == TINA__END_DONE ? "was done at once" : "crashed");
    tina__supervise_exit(shard, index, child->group, end);
}

static uint32_t pop_due(tina__shard *shard)
{
    uint32_t index = shard->restart_head;
    shard->restart_head = record_of(shard, index)->link;
    return index;
}

static void drop_due(tina__shard *shard)
{
    while (shard->restart_head != TINA__NONE) {
        uint32_t index = pop_due(shard);
        use_slot(shard, record_of(shard, index));
        stay_down(shard, index);
    }
}

static void escalate(tina__shard *shard, const tina__child_record *child)
{
    const char *type = shard->p.types[child->type].name;
    tina__log(shard, NULL, TINA_LOG_ERROR, "the restart budget is used up by a child of type %s", type);
    tina__count(shard, escalations);
    shard->wipe.is_wanted = true;
    if (shard->state == TINA_SHARD_INIT)
        shard->boot_failure = type;
    drop_due(shard);
}

uint32_t tina__supervise_restart(tina__shard *shard)
{
    tina__assert(shard->depth == 0);
    uint32_t last = shard->restart_tail;
    uint32_t count = 0;
    bool is_last = false;
    while (shard->restart_head != TINA__NONE && !is_last) {
        if (!may_restart(shard)) {
            drop_due(shard);
            break;
        }
        uint32_t index = shard->restart_head;
        const tina__child_record *child = record_of(shard, index);
        if (!tina__budget_spend(&shard->p.groups[child->group].budget, shard->now_ns)) {
            escalate(shard, child);
            break;
        }
        is_last = index == last;
        pop_due(shard);
        tina__count(shard, restarts);
        count++;
        start_child(shard, index);
    }
    return count;
}

void tina__supervise_start_tree(tina__shard *shard)
{
    const tina__group *root = &shard->p.groups[TINA__GROUP_ROOT];
    /* Slots for all of them first, so that what an early child spawns can't take a later one's. */
    for (uint32_t i = 0; i < root->static_count; i++)
        keep_slot(shard, record_of(shard, root->first_child + i));
    uint32_t tries = 0;
    for (uint32_t i = 0; i < root->static_count; i++) {
        if (!shard->wipe.is_wanted)
            start_child(shard, root->first_child + i);
        else
            use_slot(shard, record_of(shard, root->first_child + i));
        /* The next one starts when this one is up; one that does not come up is left to the ticks. */
        for (; shard->restart_head != TINA__NONE && tries < TRIES_IN_ORDER; tries++)
            (void)tina__supervise_restart(shard);
    }
}

/* ---- Spawning ------------------------------------------------------------------------------ */

static tina_status find_group(const tina_ctx *frame, uint16_t name, uint16_t *group)
{
    const tina__shard *shard = frame->shard;
    if (name == TINA_GROUP_NONE)
        *group = TINA__GROUP_UNSUPERVISED;
    else if (name == TINA_GROUP_SELF)
        *group = frame->isolate->group;
    else if (name == TINA_GROUP_ROOT || name == shard->p.groups[TINA__GROUP_ROOT].name)
        *group = TINA__GROUP_ROOT;
    else
        return TINA_INVALID;
    return TINA_OK;
}

static tina_status check_spawn(const tina_ctx *frame, const tina_spawn *spawn, uint16_t *group)
{
    const tina__shard *shard = frame->shard;
    if (spawn->type >= shard->p.type_count || spawn->args_size > TINA_ARGS_MAX || spawn->restart > TINA_TEMPORARY ||
        spawn->handoff > TINA_HANDOFF_WRITE || (spawn->args == NULL && spawn->args_size != 0))
        return TINA_INVALID;
    if (shard->depth > TINA__INIT_DEPTH_MAX)
        return TINA_INVALID;
    tina_status status = find_group(frame, spawn->group, group);
    if (status != TINA_OK)
        return status;
    bool is_restarted = spawn->restart == TINA_PERMANENT || spawn->restart == TINA_TRANSIENT;
    if (is_restarted && (!tina_fd_is_none(spawn->fd) || *group == TINA__GROUP_UNSUPERVISED))
        return TINA_INVALID; /* nobody would restart it */
    const tina__type *type = &shard->p.types[spawn->type];
    if (tina__pool_free_count(&type->pool) <= type->restarting)
        return TINA_ARENA_FULL;
    const tina__group *of = &shard->p.groups[*group];
    return of->dynamic_count < of->dynamic_max ? TINA_OK : TINA_GROUP_FULL;
}

static uint8_t halves_of(const tina_spawn *spawn)
{
    switch (spawn->handoff) {
    case TINA_HANDOFF_READ: return 1 << TINA__READ;
    case TINA_HANDOFF_WRITE: return 1 << TINA__WRITE;
    default: return 1 << TINA__READ | 1 << TINA__WRITE;
    }
}

/* The record of a spawned child that is to be restarted. NONE: there is none left. */
static uint32_t make_record(tina__shard *shard, const tina_spawn *spawn, uint16_t group)
{
    uint32_t index = tina__pool_take(&shard->child_pool);
    if (index == TINA__NONE)
        return TINA__NONE;
    tina__child_record *child = record_of(shard, index);
    *child = (tina__child_record){
        .isolate = TINA__NONE,
        .group = group,
        .type = spawn->type,
        .restart = spawn->restart,
        .state = TINA__CHILD_UP,
        .args_size = (uint8_t)spawn->args_size,
    };
    if (spawn->args_size != 0)
        memcpy(child->args, spawn->args, spawn->args_size);
    return index;
}

static void spawn_failed(tina__shard *shard, uint32_t child, uint16_t group)
{
    if (child == TINA__NONE) {
        shard->p.groups[group].dynamic_count--;
        return;
    }
    tina__child_record *record = record_of(shard, child);
    record->state = TINA__CHILD_ENDING;
    if (record->pending == 0)
        child_is_over(shard, child);
}

tina_status tina__supervise_spawn(tina_ctx *frame, const tina_spawn *spawn, tina_handle *handle)
{
    tina__shard *shard = frame->shard;
    uint16_t group = 0;
    tina_status status = check_spawn(frame, spawn, &group);
    if (status != TINA_OK)
        return status;
    tina__start start = {
        .args_size = spawn->args_size,
        .parent = frame->self,
        .fd = spawn->fd.bits,
        .halves = halves_of(spawn),
        .type = spawn->type,
        .group = group,
        .child = TINA__NONE,
    };
    if (start.fd != 0) {
        status = tina__descriptor_may_move(shard, frame->isolate, start.fd, start.halves);
        if (status != TINA_OK)
            return status;
    }
    uint8_t args[TINA_ARGS_MAX] __attribute__((aligned(16)));
    if (spawn->args_size != 0)
        memcpy(args, spawn->args, spawn->args_size);
    start.args = args;
    if (spawn->restart == TINA_PERMANENT || spawn->restart == TINA_TRANSIENT) {
        start.child = make_record(shard, spawn, group);
        if (start.child == TINA__NONE)
            return TINA_GROUP_FULL;
    }
    shard->p.groups[group].dynamic_count++;
    tina__isolate *isolate;
    uint8_t end;
    status = tina__isolate_start(shard, &start, &isolate, &end);
    if (status != TINA_OK) {
        spawn_failed(shard, start.child, group);
        return status;
    }
    if (handle != NULL)
        *handle = tina__isolate_handle(shard, isolate);
    return TINA_OK;
}

/* ---- The whole shard -------------------------------------------------------------------------- */

static void end_one(tina__shard *shard, tina__isolate *isolate, uint8_t end)
{
    if (end == TINA__END_STOPPED) {
        if (shard->undrained_count < sizeof shard->undrained / sizeof shard->undrained[0])
            shard->undrained[shard->undrained_count] = tina__isolate_handle(shard, isolate);
        shard->undrained_count++;
        tina__log(shard, isolate, TINA_LOG_WARN, "did not end by itself before the shutdown's deadline");
    }
    uint32_t child = isolate->child;
    uint16_t group = isolate->group;
    tina__isolate_end(shard, isolate);
    tina__supervise_exit(shard, child, group, end);
}

void tina__supervise_end_all(tina__shard *shard, uint8_t end)
{
    /* The last that was started ends first: children before those that spawned them. */
    for (uint32_t group = TINA__GROUP_COUNT; group-- > 0;) {
        while (shard->p.groups[group].live_tail != TINA__NONE)
            end_one(shard, &shard->p.isolates[shard->p.groups[group].live_tail], end);
    }
}

void tina__supervise_stop(tina__shard *shard)
{
    drop_due(shard);
    shard->wipe.is_wanted = false;
    shard->wipe.is_under_way = false;
}

static void rebuild(tina__shard *shard)
{
    shard->wipe.is_under_way = false;
    tina__budget_reset(&shard->p.groups[TINA__GROUP_ROOT].budget);
    if (!tina__budget_spend(&shard->p.budget, shard->now_ns)) {
        tina__log(shard, NULL, TINA_LOG_ERROR, "quarantined: it was restarted too often");
        tina__shard_set_state(shard, TINA_SHARD_QUARANTINED);
        return;
    }
    tina__log(shard, NULL, TINA_LOG_WARN, "restarts");
    tina__count(shard, shard_restarts);
    tina__supervise_start_tree(shard);
}

uint32_t tina__supervise_wipe(tina__shard *shard)
{
    if (shard->wipe.is_wanted) {
        shard->wipe.is_wanted = false;
        shard->wipe.is_under_way = true;
        tina__supervise_end_all(shard, TINA__END_SHARD);
        return 1;
    }
    if (shard->boot_failure != NULL) /* whoever boots takes the system down */
        return 0;
    if (!shard->wipe.is_under_way || !tina__shard_is_empty(shard) || !tina__dispatch_is_quiet(shard))
        return 0;
    rebuild(shard);
    return 1;
}
