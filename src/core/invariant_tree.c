/* The supervision tree: its shape, which never changes, and who of it is up. */
#include "core/census.h"
#include "core/lookup.h"

static bool expect(tina__census *seen, bool is_true, const char *what) { return tina__census_expect(seen, is_true, what); }

static uint32_t unsupervised(const tina__shard *shard) { return shard->p.group_count - 1; }

static bool is_group(const tina__child_record *child) { return child->nested != TINA__GROUP_NONE; }

/* ---- The shape ------------------------------------------------------------------------------- */

/* A group in a group: numbered from the root inwards, each right behind the one around it. */
static void see_nested(const tina__shard *shard, const tina__group *group, uint32_t index, tina__census *seen)
{
    if (!expect(seen, group->parent < index && group->record < shard->p.static_child_count, "a group is in a group"))
        return;
    const tina__group *parent = &shard->p.groups[group->parent];
    const tina__child_record *record = &shard->p.children[group->record];
    expect(seen, group->last_inside <= parent->last_inside, "what is inside a group is inside those around it");
    expect(seen, record->nested == index && record->group == group->parent, "a group is a child of the group around it");
}

static void see_shape(const tina__shard *shard, uint32_t index, uint32_t first_child, tina__census *seen)
{
    const tina__group *group = &shard->p.groups[index];
    bool is_nested = index != TINA__GROUP_ROOT && index != unsupervised(shard);
    expect(seen, group->last_inside >= index && group->last_inside < shard->p.group_count,
           "the groups inside one are behind it");
    expect(seen, group->first_child == first_child && group->static_count <= shard->p.static_child_count - first_child,
           "the children of the groups stand in order");
    expect(seen, group->cursor <= group->static_count, "a group starts its own children");
    if (is_nested)
        see_nested(shard, group, index, seen);
    else
        expect(seen, group->parent == TINA__GROUP_NONE && group->record == TINA__NONE, "the root is in no group");
}

/* ---- Who lives ---------------------------------------------------------------------------------- */

/* Where an end or a start strikes all behind somebody, those who live stand in the order of their records. */
static void see_order(const tina__group *group, const tina__isolate *isolate, uint32_t *last, tina__census *seen)
{
    if (group->strategy == TINA_ONE_FOR_ONE)
        return;
    expect(seen, isolate->child != TINA__NONE && (*last == TINA__NONE || isolate->child > *last),
           "who lives in a group that starts in order stands in order");
    *last = isolate->child;
}

/* Returns how many of them were spawned. */
static uint32_t see_living(const tina__shard *shard, uint32_t index, uint32_t *live, tina__census *seen)
{
    const tina__group *group = &shard->p.groups[index];
    uint32_t previous = TINA__NONE;
    uint32_t last = TINA__NONE;
    uint32_t spawned = 0;
    for (uint32_t at = group->live_head; at != TINA__NONE;) {
        if (!expect(seen, at < shard->p.slot_count && ++*live <= shard->live_count, "a group's list of who lives ends"))
            return spawned;
        const tina__isolate *isolate = &shard->p.isolates[at];
        expect(seen, isolate->state != TINA__ISOLATE_FREE, "who is in a group's list lives");
        expect(seen, isolate->group == index, "an isolate is in its group's list");
        expect(seen, isolate->live_previous == previous, "an isolate knows who stands before it in its group");
        expect(seen,
               isolate->child == TINA__NONE ||
                   (isolate->child < shard->child_pool.fresh && shard->p.children[isolate->child].isolate == at),
               "an isolate and its record know each other");
        see_order(group, isolate, &last, seen);
        spawned += isolate->child == TINA__NONE || isolate->child >= shard->p.static_child_count;
        previous = at;
        at = isolate->live_next;
    }
    expect(seen, group->live_tail == previous, "a group's list of who lives ends at its tail");
    return spawned;
}

/* Returns how many of them were spawned. */
static uint32_t see_returning(const tina__shard *shard, uint32_t index, uint32_t *returning, tina__census *seen)
{
    uint32_t previous = TINA__NONE;
    uint32_t spawned = 0;
    for (uint32_t at = shard->p.groups[index].returning; at != TINA__NONE;) {
        if (!expect(seen, at < shard->child_pool.fresh && ++*returning <= shard->p.child_count,
                    "a group's list of who returns ends"))
            return spawned;
        const tina__child_record *child = &shard->p.children[at];
        expect(seen, child->state == TINA__CHILD_RETURNING && child->group == index, "who is listed as returning does");
        expect(seen, child->previous == previous, "who returns knows what stands before it");
        spawned += !child->is_static;
        previous = at;
        at = child->next;
    }
    return spawned;
}

/* ---- Groups ----------------------------------------------------------------------------------------- */

/* What a group waits for is at least what those in it do. */
static void see_group_pending(const tina__shard *shard, const tina__group *group, tina__census *seen)
{
    uint64_t inside = 0;
    for (uint32_t i = group->first_child; i < group->first_child + group->static_count; i++) {
        const tina__child_record *child = &shard->p.children[i];
        inside += is_group(child) && child->nested < shard->p.group_count ? shard->p.groups[child->nested].pending
                                                                          : child->pending;
    }
    expect(seen, group->pending >= inside, "a group waits for all that those in it wait for");
}

static void see_group(const tina__shard *shard, uint32_t index, uint32_t *live, uint32_t *returning, tina__census *seen)
{
    const tina__group *group = &shard->p.groups[index];
    uint32_t spawned = see_living(shard, index, live, seen);
    spawned += see_returning(shard, index, returning, seen);
    expect(seen, spawned == group->dynamic_count, "a group counts its spawned children");
    expect(seen, group->dynamic_count <= group->dynamic_max, "a group keeps to its limit");
    bool is_down = group->state == TINA__GROUP_DOWN;
    expect(seen, !is_down || (group->live_head == TINA__NONE && group->returning == TINA__NONE),
           "nobody lives or returns in a group that is down");
    bool is_armed = tina__timer_is_armed(&group->backoff);
    expect(seen, !is_armed || group->state == TINA__GROUP_WAITING, "a group that backs off waits");
    seen->armed += is_armed;
    seen->due += group->is_queued;
    see_group_pending(shard, group, seen);
}

/* Their shape first: what follows goes by it. */
static void see_groups(const tina__shard *shard, uint32_t *returning, tina__census *seen)
{
    uint32_t first_child = 0;
    uint32_t live = 0;
    for (uint32_t i = 0; i < shard->p.group_count && seen->broken == NULL; i++) {
        see_shape(shard, i, first_child, seen);
        first_child += shard->p.groups[i].static_count;
    }
    expect(seen, first_child == shard->p.static_child_count, "every static child is in a group");
    for (uint32_t i = 0; i < shard->p.group_count && seen->broken == NULL; i++)
        see_group(shard, i, &live, returning, seen);
    expect(seen, live == shard->live_count, "the groups hold who is alive");
    expect(seen, shard->p.groups[TINA__GROUP_ROOT].pending == seen->held, "the tree waits for what is not over");
}

/* ---- Records ------------------------------------------------------------------------------------------ */

static void see_up(const tina__shard *shard, const tina__child_record *child, uint32_t index, tina__census *seen)
{
    if (!expect(seen, child->isolate < shard->p.slot_count, "a child that is up lives"))
        return;
    const tina__isolate *isolate = &shard->p.isolates[child->isolate];
    expect(seen, isolate->state != TINA__ISOLATE_FREE, "a child that is up lives");
    expect(seen, isolate->child == index && isolate->type == child->type && isolate->group == child->group,
           "a child that is up is what its record says");
    expect(seen, tina_handle_equal(child->who, tina__isolate_handle(shard, isolate)),
           "a child's record knows its latest life");
}

static void see_group_record(const tina__shard *shard, const tina__child_record *child, uint32_t index, tina__census *seen)
{
    if (!expect(seen, child->nested < shard->p.group_count && shard->p.groups[child->nested].record == index,
                "a group is a child of the group around it"))
        return;
    bool is_up = shard->p.groups[child->nested].state != TINA__GROUP_DOWN;
    expect(seen, is_up == (child->state == TINA__CHILD_UP), "a group is down unless its record is up");
    expect(seen, !child->keeps_slot && child->isolate == TINA__NONE, "a group is no isolate");
}

static void see_isolates_record(const tina__shard *shard, const tina__child_record *child, uint32_t index,
                                tina__census *seen)
{
    if (!expect(seen, child->type < shard->p.type_count, "a child is of a type"))
        return;
    if (child->state == TINA__CHILD_UP)
        see_up(shard, child, index, seen);
    else
        expect(seen, child->isolate == TINA__NONE, "a child that is down has no isolate");
    bool must_keep = child->state == TINA__CHILD_PLANNED || child->state == TINA__CHILD_RETURNING;
    expect(seen, child->keeps_slot || !must_keep, "a child that is to start keeps a slot");
    expect(seen, !child->keeps_slot || child->state != TINA__CHILD_UP, "a child that is up keeps no slot");
    seen->slots_kept += child->keeps_slot;
}

static void see_name(const tina__shard *shard, const tina__child_record *child, uint32_t index, tina__census *seen)
{
    expect(seen, child->name == 0 || (child->name < shard->p.name_count && shard->p.names[child->name] == index + 1),
           "a name means the child that has it");
}

static void see_record(const tina__shard *shard, uint32_t index, uint32_t *returning, tina__census *seen)
{
    const tina__child_record *child = &shard->p.children[index];
    if (!expect(seen, child->group < shard->p.group_count, "a child is in a group"))
        return;
    const tina__group *group = &shard->p.groups[child->group];
    bool is_armed = tina__timer_is_armed(&child->backoff);
    bool is_static = index < shard->p.static_child_count;
    expect(seen, child->is_static == is_static, "static children stand before spawned ones");
    expect(seen, !is_static || index - group->first_child < group->static_count, "a child is in its group");
    expect(seen, !is_armed || child->state == TINA__CHILD_RETURNING, "a child that backs off returns");
    expect(seen, group->state != TINA__GROUP_DOWN || child->state == TINA__CHILD_DOWN || child->state == TINA__CHILD_LEAVING,
           "the children of a group that is down are down");
    if (is_group(child))
        see_group_record(shard, child, index, seen);
    else
        see_isolates_record(shard, child, index, seen);
    see_name(shard, child, index, seen);
    seen->armed += is_armed;
    seen->due += child->is_queued;
    seen->pending += child->pending;
    *returning -= child->state == TINA__CHILD_RETURNING;
}

/* returning: how many the groups' lists hold. */
static void see_records(const tina__shard *shard, uint32_t returning, tina__census *seen)
{
    uint32_t used = 0;
    for (uint32_t i = 0; i < shard->child_pool.fresh && seen->broken == NULL; i++) {
        if (shard->p.children[i].state == TINA__CHILD_FREE)
            continue;
        used++;
        see_record(shard, i, &returning, seen);
    }
    if (seen->broken != NULL)
        return;
    expect(seen, used == shard->child_pool.used, "every record in use is somebody's");
    expect(seen, returning == 0, "who returns is listed");
    expect(seen, seen->pending <= seen->held, "the children wait for what is not over");
}

/* ---- Names, slots, what is due --------------------------------------------------------------------------- */

static void see_group_names(const tina__shard *shard, tina__census *seen)
{
    const uint32_t *names = shard->p.names + shard->p.name_count;
    for (uint32_t i = 0; i < shard->p.group_count; i++) {
        uint32_t name = shard->p.groups[i].name;
        expect(seen, name == 0 || (name < shard->p.name_count && names[name] == i + 1),
               "a name means the group that has it");
    }
}

/* In a shutdown nobody is started again. */
static void see_slots(const tina__shard *shard, tina__census *seen)
{
    bool must_be_free = shard->state == TINA_SHARD_INIT || shard->state == TINA_SHARD_RUNNING;
    uint32_t kept = 0;
    uint32_t room = seen->dead; /* on their way back */
    for (uint32_t i = 0; i < shard->p.type_count; i++) {
        const tina__type *type = &shard->p.types[i];
        kept += type->restarting;
        expect(seen, !must_be_free || type->restarting <= tina__pool_free_count(&type->pool) + room,
               "the slots that are kept are free");
    }
    expect(seen, kept == seen->slots_kept, "a slot is kept for a child that is to start");
}

static void see_due(const tina__shard *shard, tina__census *seen)
{
    const tina__group *root = &shard->p.groups[TINA__GROUP_ROOT];
    const uint32_t records = shard->p.child_count;
    uint32_t length = 0;
    uint32_t last = TINA__NONE;
    for (uint32_t place = root->due_head; place != TINA__NONE;) {
        if (!expect(seen, place < records + shard->p.group_count && length++ < records + shard->p.group_count,
                    "the list of what is due ends"))
            return;
        bool is_record = place < records;
        expect(seen, is_record ? shard->p.children[place].is_queued : shard->p.groups[place - records].is_queued,
               "what is listed as due is");
        last = place;
        place = is_record ? shard->p.children[place].link : shard->p.groups[place - records].link;
    }
    expect(seen, length == seen->due, "what is due is listed");
    expect(seen, last == TINA__NONE || root->due_tail == last, "the list of what is due ends at its tail");
}

void tina__census_tree(const tina__shard *shard, tina__census *seen)
{
    uint32_t returning = 0;
    see_groups(shard, &returning, seen);
    if (seen->broken == NULL)
        see_records(shard, returning, seen);
    see_group_names(shard, seen);
    see_slots(shard, seen);
    see_due(shard, seen);
}
