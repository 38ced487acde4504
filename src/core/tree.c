#include "core/tree.h"

#include "core/supervise.h"

/* ---- What is due ---------------------------------------------------------------------------- */

static uint32_t *link_of(const tina__shard *shard, uint32_t place)
{
    uint32_t records = shard->p.child_count;
    return place < records ? &tina__child_at(shard, place)->link : &tina__group_at(shard, place - records)->link;
}

static bool *queued_of(const tina__shard *shard, uint32_t place)
{
    uint32_t records = shard->p.child_count;
    return place < records ? &tina__child_at(shard, place)->is_queued : &tina__group_at(shard, place - records)->is_queued;
}

void tina__due_push(tina__shard *shard, uint32_t place)
{
    tina__group *root = tina__group_at(shard, TINA__GROUP_ROOT);
    if (*queued_of(shard, place))
        return;
    *queued_of(shard, place) = true;
    *link_of(shard, place) = TINA__NONE;
    if (root->due_head == TINA__NONE)
        root->due_head = place;
    else
        *link_of(shard, root->due_tail) = place;
    root->due_tail = place;
}

/* ---- Until it is over -------------------------------------------------------------------------- */

uint32_t tina__supervise_holder(const tina__shard *shard, const tina__isolate *isolate)
{
    if (isolate->child != TINA__NONE)
        return isolate->child;
    bool is_supervised = isolate->group != tina__group_unsupervised(shard->p.group_count);
    return is_supervised ? tina__place_of_group(shard, isolate->group) : TINA__NONE;
}

static uint16_t group_of(const tina__shard *shard, uint32_t place)
{
    uint32_t records = shard->p.child_count;
    return place < records ? tina__child_at(shard, place)->group : (uint16_t)(place - records);
}

void tina__supervise_hold(tina__shard *shard, uint32_t holder)
{
    if (holder == TINA__NONE)
        return;
    if (holder < shard->p.child_count)
        tina__child_at(shard, holder)->pending++;
    for (uint16_t at = group_of(shard, holder); at != TINA__GROUP_NONE; at = tina__group_at(shard, at)->parent)
        tina__group_at(shard, at)->pending++;
}

/* The record of a spawned child that is down for good: when nothing refers to it any more. */
static void free_if_over(tina__shard *shard, uint32_t index)
{
    tina__child_record *child = tina__child_at(shard, index);
    if (child->pending != 0 || child->is_queued)
        return;
    child->state = TINA__CHILD_FREE;
    tina__pool_give(&shard->child_pool, index);
}

static bool may_return(const tina__shard *shard, const tina__child_record *child)
{
    if (child->state != TINA__CHILD_RETURNING || tina__timer_is_armed(&child->backoff))
        return false;
    return (tina__child_is_group(child) ? tina__group_at(shard, child->nested)->pending : child->pending) == 0;
}

static void child_is_over(tina__shard *shard, uint32_t index)
{
    const tina__child_record *child = tina__child_at(shard, index);
    if (may_return(shard, child))
        tina__due_push(shard, index);
    else if (child->state == TINA__CHILD_LEAVING)
        free_if_over(shard, index);
}

static void group_is_over(tina__shard *shard, uint16_t index)
{
    tina__group *group = tina__group_at(shard, index);
    if (group->state != TINA__GROUP_WAITING || group->pending != 0 || tina__timer_is_armed(&group->backoff))
        return;
    group->state = TINA__GROUP_STARTING;
    tina__due_push(shard, tina__place_of_group(shard, index));
}

void tina__supervise_release(tina__shard *shard, uint32_t holder)
{
    if (holder == TINA__NONE)
        return;
    uint16_t at = group_of(shard, holder);
    if (holder < shard->p.child_count) {
        tina__assert(tina__child_at(shard, holder)->pending != 0);
        if (--tina__child_at(shard, holder)->pending == 0)
            child_is_over(shard, holder);
    }
    for (; at != TINA__GROUP_NONE; at = tina__group_at(shard, at)->parent) {
        tina__group *group = tina__group_at(shard, at);
        tina__assert(group->pending != 0);
        if (--group->pending != 0)
            continue;
        group_is_over(shard, at);
        if (group->record != TINA__NONE)
            child_is_over(shard, group->record);
    }
}

void tina__supervise_timer(tina__shard *shard, const tina__timer_node *node)
{
    if (node->kind == TINA__NODE_CHILD)
        child_is_over(shard, node->owner);
    else
        group_is_over(shard, (uint16_t)node->owner);
}

/* Is what stood in the queue still to start? */
static bool is_due(tina__shard *shard, uint32_t place)
{
    if (place >= shard->p.child_count)
        return tina__group_at(shard, place - shard->p.child_count)->state == TINA__GROUP_STARTING;
    if (tina__child_at(shard, place)->state == TINA__CHILD_LEAVING)
        free_if_over(shard, place);
    return may_return(shard, tina__child_at(shard, place));
}

uint32_t tina__due_pop(tina__shard *shard)
{
    tina__group *root = tina__group_at(shard, TINA__GROUP_ROOT);
    uint32_t place = root->due_head;
    root->due_head = *link_of(shard, place);
    *queued_of(shard, place) = false;
    return is_due(shard, place) ? place : TINA__NONE;
}

/* ---- Down, and on the way back ------------------------------------------------------------------- */

/* A static child that is down may come up with others of its group, or with all of it. */
static bool may_come_back(const tina__shard *shard, const tina__child_record *child)
{
    const tina__group *group = tina__group_at(shard, child->group);
    return group->may_begin_again || (group->strategy != TINA_ONE_FOR_ONE && child->restart != TINA_TEMPORARY);
}

void tina__child_stay_down(tina__shard *shard, uint32_t index)
{
    tina__child_record *child = tina__child_at(shard, index);
    if (child->is_static) {
        child->state = TINA__CHILD_DOWN;
        tina__slot_keep_if(shard, child, may_come_back(shard, child));
        return;
    }
    tina__slot_keep_if(shard, child, false);
    tina__group_at(shard, child->group)->dynamic_count--;
    child->state = TINA__CHILD_LEAVING;
    free_if_over(shard, index);
}

static void back_off(tina__shard *shard, tina__timer_node *node, uint64_t wait_ns, tina__timer_kind kind, uint32_t owner)
{
    if (tina__timer_is_armed(node))
        tina__timer_wheel_cancel(shard->p.wheel, node);
    node->kind = (uint16_t)kind;
    node->owner = owner;
    if (wait_ns != 0)
        tina__timer_wheel_start(shard->p.wheel, node, tina__add_saturating(shard->now_ns, wait_ns));
}

void tina__child_return(tina__shard *shard, uint32_t index, uint64_t wait_ns)
{
    tina__child_record *child = tina__child_at(shard, index);
    tina__group *group = tina__group_at(shard, child->group);
    child->state = TINA__CHILD_RETURNING;
    tina__slot_keep_if(shard, child, true);
    child->previous = TINA__NONE;
    child->next = group->returning;
    if (group->returning != TINA__NONE)
        tina__child_at(shard, group->returning)->previous = index;
    group->returning = index;
    back_off(shard, &child->backoff, wait_ns, TINA__NODE_CHILD, index);
    child_is_over(shard, index);
}

void tina__child_returned(tina__shard *shard, uint32_t index)
{
    const tina__child_record *child = tina__child_at(shard, index);
    tina__assert(child->state == TINA__CHILD_RETURNING);
    if (child->previous == TINA__NONE)
        tina__group_at(shard, child->group)->returning = child->next;
    else
        tina__child_at(shard, child->previous)->next = child->next;
    if (child->next != TINA__NONE)
        tina__child_at(shard, child->next)->previous = child->previous;
}

void tina__group_drop_returning(tina__shard *shard, tina__group *group)
{
    while (group->returning != TINA__NONE) {
        uint32_t index = group->returning;
        tina__child_returned(shard, index);
        tina__timer_wheel_cancel(shard->p.wheel, &tina__child_at(shard, index)->backoff);
        tina__child_stay_down(shard, index);
    }
}

void tina__group_wait(tina__shard *shard, uint16_t index, uint64_t wait_ns)
{
    tina__group *group = tina__group_at(shard, index);
    group->state = TINA__GROUP_WAITING;
    back_off(shard, &group->backoff, wait_ns, TINA__NODE_GROUP, index);
    group_is_over(shard, index);
}
