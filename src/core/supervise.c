#include "core/supervise.h"

#include "core/log.h"
#include "core/lookup.h"
#include "core/stats.h"
#include "core/tree.h"

static bool may_start(const tina__shard *shard)
{
    bool is_over = shard->wipe != TINA__WIPE_NOT || shard->boot_failure != NULL;
    return (shard->state == TINA_SHARD_INIT || shard->state == TINA_SHARD_RUNNING) && !is_over;
}

static void note(tina__shard *shard, tina__event_kind kind, uint16_t group)
{
    tina_handle nobody = {0};
    tina__trace_add(shard->p.trace, shard->tick, kind, nobody, 0, 0, group);
}

/* ---- Ending others -------------------------------------------------------------------------- */

void tina__supervise_down(tina__shard *shard, uint32_t child, uint16_t group)
{
    if (child != TINA__NONE) {
        tina__child_stay_down(shard, child);
        return;
    }
    tina__supervise_forget(shard, group);
}

static void end_isolate(tina__shard *shard, uint32_t index, uint8_t end)
{
    tina__isolate *isolate = &shard->p.isolates[index];
    uint32_t child = isolate->child;
    uint16_t group = isolate->group;
    tina__isolate_end(shard, isolate, end, 0);
    tina__supervise_down(shard, child, group);
}

/* Everybody in it, but not in the groups inside. The last that was started ends first: children before their spawners. */
static void end_members(tina__shard *shard, uint16_t index, uint8_t end)
{
    tina__group *group = tina__group_at(shard, index);
    while (group->live_tail != TINA__NONE)
        end_isolate(shard, group->live_tail, end);
    tina__group_drop_returning(shard, group);
}

/* The group, and before it those inside: the last one first. */
static void end_group(tina__shard *shard, uint16_t index, uint8_t end)
{
    const tina__group *group = tina__group_at(shard, index);
    for (uint16_t i = group->last_inside + 1; i-- > index;) {
        tina__group *inside = tina__group_at(shard, i);
        if (inside->state == TINA__GROUP_DOWN)
            continue;
        note(shard, TINA__EVENT_GROUP_END, i);
        inside->state = TINA__GROUP_DOWN;
        tina__timer_wheel_cancel(shard->p.wheel, &inside->backoff);
        end_members(shard, i, end);
    }
    const tina__group *last = tina__group_at(shard, group->last_inside);
    for (uint32_t i = group->first_child; i < last->first_child + last->static_count; i++) {
        tina__child_at(shard, i)->state = TINA__CHILD_DOWN;
        tina__slot_keep_if(shard, tina__child_at(shard, i), group->may_begin_again);
    }
}

/* Those of a group from a record on. */
static void end_from(tina__shard *shard, tina__group *group, uint32_t first)
{
    for (uint32_t i = group->first_child + group->static_count; i-- > first;) {
        tina__child_record *child = tina__child_at(shard, i);
        if (!tina__child_is_group(child) || child->state != TINA__CHILD_UP)
            continue;
        end_group(shard, child->nested, TINA_END_STOPPED);
        child->state = TINA__CHILD_DOWN;
    }
    while (group->live_tail != TINA__NONE && shard->p.isolates[group->live_tail].child >= first)
        end_isolate(shard, group->live_tail, TINA_END_STOPPED);
}

/* ---- Starting others again -------------------------------------------------------------------- */

static void plan_child(tina__shard *shard, uint32_t index)
{
    tina__child_at(shard, index)->state = TINA__CHILD_PLANNED;
    tina__slot_keep_if(shard, tina__child_at(shard, index), true);
}

/* How long to wait, the restart having been counted: doubled with each in the window, and up to a quarter more by chance. */
static uint64_t backoff_of(tina__shard *shard, const tina__group *group)
{
    if (group->backoff_ns == 0)
        return 0;
    uint64_t wait_ns = group->backoff_ns;
    for (uint64_t i = 1; i < group->budget.sum && wait_ns < group->backoff_max_ns; i++)
        wait_ns *= 2;
    wait_ns = tina__min_u64(wait_ns, group->backoff_max_ns);
    return wait_ns + tina__prng_below(&shard->prng, wait_ns / 4 + 1);
}

/* All from a record on are planned again, but temporary ones that have had their life. */
static void restart_from(tina__shard *shard, uint16_t index, uint32_t first, uint64_t wait_ns)
{
    tina__group *group = tina__group_at(shard, index);
    end_from(shard, group, first);
    for (uint32_t i = first; i < group->first_child + group->static_count; i++) {
        if (tina__child_at(shard, i)->restart != TINA_TEMPORARY)
            plan_child(shard, i);
    }
    tina__assert(first - group->first_child <= group->cursor); /* nobody behind it has begun to start */
    group->cursor = first - group->first_child;
    tina__group_wait(shard, index, wait_ns);
}

/* For people: what the crash's own line does not say. */
static __attribute__((noinline)) void log_restart(tina__shard *shard, const tina__child_record *child, uint64_t wait_ns)
{
    static const char *const with[] = {
        [TINA_ONE_FOR_ONE] = "",
        [TINA_ONE_FOR_ALL] = ", with all of its group",
        [TINA_REST_FOR_ONE] = ", with those of its group behind it",
    };
    uint8_t strategy = tina__group_at(shard, child->group)->strategy;
    unsigned long long wait_ms = wait_ns / 1000000;
    if (tina__child_is_group(child))
        tina__log(shard, NULL, TINA_LOG_INFO, "group %u starts again in %llu ms%s", child->nested, wait_ms, with[strategy]);
    else
        tina__log(shard, NULL, TINA_LOG_INFO, "a child of type %s starts again in %llu ms%s",
                  shard->p.types[child->type].name, wait_ms, with[strategy]);
}

static void restart(tina__shard *shard, uint32_t index)
{
    const tina__child_record *child = tina__child_at(shard, index);
    const tina__group *group = tina__group_at(shard, child->group);
    uint64_t wait_ns = backoff_of(shard, group);
    bool is_group = tina__child_is_group(child);
    if (is_group || group->strategy != TINA_ONE_FOR_ONE || wait_ns != 0)
        log_restart(shard, child, wait_ns);
    tina__trace_add(shard->p.trace, shard->tick, TINA__EVENT_RESTART, child->who, is_group, is_group ? child->nested : 0,
                    wait_ns);
    if (group->strategy == TINA_ONE_FOR_ONE)
        tina__child_return(shard, index, wait_ns);
    else
        restart_from(shard, child->group, group->strategy == TINA_ONE_FOR_ALL ? group->first_child : index, wait_ns);
}

/* ---- What does not ------------------------------------------------------------------------------------ */

/* A group is past its budget. culprit: the type of the child whose failure was one too many. */
static void give_up(tina__shard *shard, uint16_t group, const char *culprit)
{
    note(shard, TINA__EVENT_ESCALATE, group);
    tina__count(shard, escalations);
    if (group != TINA__GROUP_ROOT) {
        tina__log(shard, NULL, TINA_LOG_WARN, "the restart budget of group %u is used up by a child of type %s", group,
                  culprit);
        end_group(shard, group, TINA_END_STOPPED);
        return;
    }
    tina__log(shard, NULL, TINA_LOG_ERROR, "the restart budget is used up by a child of type %s", culprit);
    shard->wipe = TINA__WIPE_BUDGET;
    if (shard->state == TINA_SHARD_INIT)
        shard->boot_failure = culprit;
}

/*
 * A child that is to be started again has ended, with all inside it. Its group's
 * budget pays for it. Past the budget the group is ended, which is a failure of its
 * parent's child, and so on, up to the root.
 */
static void fail(tina__shard *shard, uint32_t index)
{
    const char *culprit = shard->p.types[tina__child_at(shard, index)->type].name;
    for (;;) {
        uint16_t at = tina__child_at(shard, index)->group;
        tina__group *group = tina__group_at(shard, at);
        if (tina__budget_spend(&group->budget, shard->now_ns)) {
            restart(shard, index);
            return;
        }
        tina__child_stay_down(shard, index);
        give_up(shard, at, culprit);
        if (at == TINA__GROUP_ROOT)
            return;
        index = group->record;
        if (tina__child_at(shard, index)->restart == TINA_TEMPORARY) {
            tina__child_stay_down(shard, index);
            tina__due_push(shard, tina__place_of_group(shard, group->parent)); /* which may have waited for it */
            return;
        }
    }
}

static bool wants_restart(const tina__child_record *child, uint8_t end)
{
    return child->restart == TINA_PERMANENT || (child->restart == TINA_TRANSIENT && end != TINA_END_DONE);
}

void tina__supervise_exit(tina__shard *shard, uint32_t index, uint8_t end, bool is_stopped)
{
    const tina__child_record *child = tina__child_at(shard, index);
    tina__assert(shard->depth == 0);
    tina__assert(child->state == TINA__CHILD_UP);
    if (may_start(shard) && !is_stopped && wants_restart(child, end))
        fail(shard, index);
    else
        tina__child_stay_down(shard, index);
}

/* ---- Starting ------------------------------------------------------------------------------------------- */

static const char *init_failure(uint8_t end)
{
    switch (end) {
    case TINA_END_DONE: return "returned tina_done, which counts as a failure";
    case TINA_END_FAULT: return "faulted";
    case TINA_END_KILLED: return "was killed by the watchdog";
    default: return "crashed";
    }
}

/* What an init ran into that calls the start off is not cured by another try. What is up ends with the system. */
static void init_failed(tina__shard *shard, uint32_t index, uint8_t end)
{
    const tina__type *type = &shard->p.types[tina__child_at(shard, index)->type];
    shard->init_failed_tick = shard->tick;
    tina__log(shard, NULL, TINA_LOG_WARN, "the init of a child of type %s %s", type->name, init_failure(end));
    if (!shard->is_called_off || shard->state != TINA_SHARD_INIT) {
        tina__supervise_exit(shard, index, end, false);
        return;
    }
    tina__child_stay_down(shard, index);
    shard->boot_failure = type->name;
}

/* Its init runs. What became of it says its state. */
static void start_isolate(tina__shard *shard, uint32_t index)
{
    tina__child_record *child = tina__child_at(shard, index);
    const tina__type *type = &shard->p.types[child->type];
    tina__start start = {
        .args = child->args,
        .args_size = child->args_size,
        .type = child->type,
        .group = child->group,
        .child = index,
    };
    tina__slot_keep_if(shard, child, false);
    child->state = TINA__CHILD_UP;
    if (child->was_started) {
        tina__count(shard, restarts);
        tina__count_type(type, restarts);
        tina__tracepoint_restart(shard->id, child->type, type->name);
    }
    child->was_started = true;
    tina_handle self;
    uint8_t end = TINA_END_CRASH;
    tina_status status = tina__isolate_start(shard, &start, &self, &end);
    if (status == TINA_OK)
        return;
    tina__assert(status == TINA_INIT_FAILED); /* there was a slot */
    init_failed(shard, index, end);
}

/* All its static children, from the first one on. */
static void begin_group(tina__shard *shard, uint16_t index)
{
    tina__group *group = tina__group_at(shard, index);
    tina__assert(group->state == TINA__GROUP_DOWN);
    tina__assert(group->live_head == TINA__NONE);
    group->state = TINA__GROUP_STARTING;
    group->cursor = 0;
    tina__budget_reset(&group->budget);
    for (uint32_t i = 0; i < group->static_count; i++)
        plan_child(shard, group->first_child + i);
}

/* The group is up. Returns its parent's index, or NONE. */
static uint16_t come_up(tina__shard *shard, uint16_t index)
{
    tina__group *group = tina__group_at(shard, index);
    group->state = TINA__GROUP_UP;
    note(shard, TINA__EVENT_GROUP_UP, index);
    return group->parent;
}

/*
 * The child at a group's cursor has its turn. Returns the group to go on with: the
 * same one, the one that the child is, or NONE: it has to wait.
 */
static uint16_t step(tina__shard *shard, uint16_t at, uint32_t *started)
{
    tina__group *group = tina__group_at(shard, at);
    uint32_t index = group->first_child + group->cursor;
    tina__child_record *child = tina__child_at(shard, index);
    switch (child->state) {
    case TINA__CHILD_RETURNING: return TINA__GROUP_NONE; /* the group goes on with it */
    case TINA__CHILD_PLANNED: break;
    default:
        if (child->state == TINA__CHILD_UP && tina__child_is_group(child) &&
            tina__group_at(shard, child->nested)->state != TINA__GROUP_UP)
            return TINA__GROUP_NONE;
        group->cursor++;
        return at;
    }
    if (tina__child_is_group(child)) {
        child->state = TINA__CHILD_UP;
        begin_group(shard, child->nested);
        return child->nested;
    }
    if (!tina__slot_is_free(shard, child)) {
        tina__due_push(shard, tina__place_of_group(shard, at));
        return TINA__GROUP_NONE;
    }
    start_isolate(shard, index);
    ++*started;
    return at;
}

/*
 * Starts the children of a group in order, into the groups inside and out again,
 * until one fails or has to wait. What failed is queued, and so not tried twice.
 */
static uint32_t go_on(tina__shard *shard, uint16_t at)
{
    uint32_t started = 0;
    while (at != TINA__GROUP_NONE && may_start(shard)) {
        const tina__group *group = tina__group_at(shard, at);
        if (group->state != TINA__GROUP_STARTING || group->is_queued)
            break;
        at = group->cursor == group->static_count ? come_up(shard, at) : step(shard, at, &started);
    }
    return started;
}

/* One that returns. */
static uint32_t start_child(tina__shard *shard, uint32_t index)
{
    tina__child_record *child = tina__child_at(shard, index);
    uint16_t group = child->group;
    if (tina__child_is_group(child)) {
        tina__child_returned(shard, index);
        child->state = TINA__CHILD_UP;
        begin_group(shard, child->nested);
        return go_on(shard, child->nested);
    }
    if (!tina__slot_is_free(shard, child)) {
        tina__due_push(shard, index);
        return 0;
    }
    tina__child_returned(shard, index);
    start_isolate(shard, index);
    return 1 + go_on(shard, group); /* where it may have waited for this child */
}

uint32_t tina__supervise_advance(tina__shard *shard)
{
    uint32_t last = tina__due_last(shard);
    uint32_t count = 0;
    bool is_last = false;
    tina__assert(shard->depth == 0);
    while (tina__supervise_is_due(shard) && !is_last && may_start(shard)) {
        is_last = tina__due_first(shard) == last;
        uint32_t place = tina__due_pop(shard);
        if (place == TINA__NONE)
            continue;
        if (place < shard->p.child_count)
            count += start_child(shard, place);
        else
            count += go_on(shard, (uint16_t)(place - shard->p.child_count));
    }
    return count;
}

/* ---- The whole tree ---------------------------------------------------------------------------------------- */

void tina__supervise_begin(tina__shard *shard)
{
    tina__assert(tina__group_at(shard, TINA__GROUP_ROOT)->state == TINA__GROUP_DOWN);
    for (uint32_t i = 0; i < shard->p.static_child_count; i++) {
        tina__child_at(shard, i)->was_started = false;
        tina__slot_keep_if(shard, tina__child_at(shard, i), true);
    }
    begin_group(shard, TINA__GROUP_ROOT);
    tina__due_push(shard, tina__place_of_group(shard, TINA__GROUP_ROOT));
}

bool tina__supervise_is_starting(const tina__shard *shard)
{
    uint8_t state = tina__group_at(shard, TINA__GROUP_ROOT)->state;
    return state == TINA__GROUP_STARTING || state == TINA__GROUP_WAITING;
}

static void empty_queue(tina__shard *shard)
{
    while (tina__supervise_is_due(shard))
        (void)tina__due_pop(shard);
}

void tina__supervise_stop(tina__shard *shard)
{
    for (uint32_t i = 0; i < shard->p.group_count; i++) {
        tina__group *group = tina__group_at(shard, i);
        tina__timer_wheel_cancel(shard->p.wheel, &group->backoff);
        tina__group_drop_returning(shard, group);
        if (group->state != TINA__GROUP_DOWN)
            group->state = TINA__GROUP_UP; /* with whom it has */
    }
    empty_queue(shard);
}

static void write_down_undrained(tina__shard *shard)
{
    for (uint32_t group = shard->p.group_count; group-- > 0;) {
        uint32_t index = tina__group_at(shard, group)->live_tail;
        for (; index != TINA__NONE; index = shard->p.isolates[index].live_previous) {
            const tina__isolate *isolate = &shard->p.isolates[index];
            if (shard->undrained_count < sizeof shard->undrained / sizeof shard->undrained[0])
                shard->undrained[shard->undrained_count] = tina__isolate_handle(shard, isolate);
            shard->undrained_count++;
            tina__log(shard, isolate, TINA_LOG_WARN, "did not end by itself before the shutdown's deadline");
        }
    }
}

void tina__supervise_end_all(tina__shard *shard, uint8_t end)
{
    if (end == TINA_END_STOPPED)
        write_down_undrained(shard);
    end_members(shard, tina__group_unsupervised(shard->p.group_count), end);
    end_group(shard, TINA__GROUP_ROOT, end);
    empty_queue(shard);
}
