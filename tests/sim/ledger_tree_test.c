/* The supervision tree: each alarm rings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/still_life.h"

#include "core/lookup.h"
#include "core/tree.h"

#define FAR_NS (1ull << 60)

static tina__group *root(tina__world *world) { return life_shard(world)->p.groups; }
static tina__group *inner(tina__world *world) { return &life_shard(world)->p.groups[LIFE_GROUP]; }
static tina__isolate *first(tina__world *world) { return life_isolate(world, LIFE_FIRST); }
static tina__isolate *second(tina__world *world) { return life_isolate(world, LIFE_SECOND); }
static tina__child_record *echo(tina__world *world) { return life_record(world, LIFE_ECHO); }
static tina__child_record *mayfly(tina__world *world) { return tina__child_at(life_shard(world), root(world)->returning); }
static tina__child_record *nested(tina__world *world) { return tina__child_at(life_shard(world), inner(world)->record); }

static uint32_t index_of(tina__world *world, const tina__isolate *isolate)
{
    return tina__isolate_index(life_shard(world), isolate);
}

/* ---- The shape ------------------------------------------------------------------------------------------- */

static void hang_below_nobody(tina__world *world) { inner(world)->parent = 5; }
static void narrow_the_root(tina__world *world) { root(world)->last_inside = 0; }
static void change_the_record(tina__world *world) { inner(world)->record = 0; }
static void turn_inside_out(tina__world *world) { inner(world)->last_inside = 0; }
static void move_the_children(tina__world *world) { inner(world)->first_child++; }
static void run_past_the_end(tina__world *world) { root(world)->cursor = 99; }
static void hang_the_root(tina__world *world) { root(world)->parent = 1; }

static void lose_a_child(tina__world *world)
{
    inner(world)->static_count--;
    inner(world)->cursor--;
    (inner(world) + 1)->first_child--;
}

/* ---- Who lives -------------------------------------------------------------------------------------------- */

static void list(tina__world *world, tina__isolate *one, tina__isolate *other)
{
    inner(world)->live_head = index_of(world, one);
    inner(world)->live_tail = index_of(world, other);
    one->live_previous = TINA__NONE;
    one->live_next = index_of(world, other);
    other->live_previous = index_of(world, one);
    other->live_next = TINA__NONE;
}

static void change_the_order(tina__world *world) { list(world, second(world), first(world)); }
static void lose_the_living(tina__world *world) { inner(world)->live_head = 9999; }
static void list_a_dead(tina__world *world) { inner(world)->live_head = life_shard(world)->p.types[1].first; }
static void change_the_group(tina__world *world) { first(world)->group = TINA__GROUP_ROOT; }
static void misplace_one_who_lives(tina__world *world) { second(world)->live_previous = TINA__NONE; }
static void forget_ones_record(tina__world *world)
{
    life_record(world, LIFE_FIRST)->isolate = index_of(world, second(world));
}
static void lose_the_tail(tina__world *world) { inner(world)->live_tail = index_of(world, first(world)); }

/* Orphaned in silence. */
static void unlist_one_who_lives(tina__world *world)
{
    inner(world)->live_tail = inner(world)->live_head;
    first(world)->live_next = TINA__NONE;
}

/* ---- Who returns -------------------------------------------------------------------------------------------- */

static void lose_who_returns(tina__world *world) { root(world)->returning = 9999; }
static void return_and_be_down(tina__world *world) { mayfly(world)->state = TINA__CHILD_DOWN; }
static void misplace_who_returns(tina__world *world) { mayfly(world)->previous = 0; }

static void unlist_who_returns(tina__world *world)
{
    root(world)->returning = TINA__NONE;
    root(world)->dynamic_count--;
}

static void come_up_and_not_live(tina__world *world)
{
    tina__child_record *child = mayfly(world);
    unlist_who_returns(world);
    tina__timer_wheel_cancel(life_shard(world)->p.wheel, &child->backoff);
    child->state = TINA__CHILD_UP;
}

/* ---- Groups -------------------------------------------------------------------------------------------------- */

static void back_off(tina__world *world, tina__timer_node *node)
{
    tina__timer_wheel_start(life_shard(world)->p.wheel, node, FAR_NS);
}

static void wait_for_a_child(tina__world *world) { echo(world)->pending = 1; }
static void wait_for_a_spawned_one(tina__world *world) { mayfly(world)->pending = 1; }
static void wait_for_nothing(tina__world *world) { root(world)->pending = 1; }
static void miscount_the_spawned(tina__world *world) { root(world)->dynamic_count++; }
static void lower_the_limit(tina__world *world) { root(world)->dynamic_max = 1; }
static void take_a_group_down(tina__world *world) { inner(world)->state = TINA__GROUP_DOWN; }
static void back_off_and_be_up(tina__world *world) { back_off(world, &inner(world)->backoff); }

/* The two go to the root, and their group is down; their records stay. */
static void evict(tina__world *world)
{
    tina__shard *shard = life_shard(world);
    first(world)->group = second(world)->group = TINA__GROUP_ROOT;
    first(world)->live_previous = root(world)->live_tail;
    shard->p.isolates[root(world)->live_tail].live_next = index_of(world, first(world));
    root(world)->live_tail = index_of(world, second(world));
    inner(world)->live_head = inner(world)->live_tail = TINA__NONE;
    inner(world)->state = TINA__GROUP_DOWN;
    nested(world)->state = TINA__CHILD_DOWN;
}

/* ---- Records ------------------------------------------------------------------------------------------------- */

static void change_the_type(tina__world *world) { echo(world)->type = 1; }
static void forget_the_life(tina__world *world) { echo(world)->who.bits ^= 1; }
static void lower_the_groups_record(tina__world *world) { nested(world)->state = TINA__CHILD_DOWN; }
static void keep_a_groups_slot(tina__world *world) { nested(world)->keeps_slot = true; }
static void have_no_type(tina__world *world) { echo(world)->type = 200; }
static void be_down_and_live(tina__world *world) { mayfly(world)->isolate = 0; }
static void keep_no_slot(tina__world *world) { mayfly(world)->keeps_slot = false; }
static void keep_a_slot(tina__world *world) { echo(world)->keeps_slot = true; }
static void have_no_group(tina__world *world) { echo(world)->group = 99; }
static void be_spawned(tina__world *world) { echo(world)->is_static = false; }
static void be_in_another_group(tina__world *world) { echo(world)->group = LIFE_GROUP; }
static void back_off_and_live(tina__world *world) { back_off(world, &echo(world)->backoff); }
static void leak_a_record(tina__world *world) { (void)tina__pool_take(&life_shard(world)->child_pool); }

/* ---- Names, slots, what is due ---------------------------------------------------------------------------------- */

static void forget_a_name(tina__world *world) { life_shard(world)->p.names[LIFE_ECHO] = 0; }
static void rename_a_group(tina__world *world)
{
    life_shard(world)->p.names[life_shard(world)->p.name_count + LIFE_GROUP] = 1;
}
static void keep_too_many(tina__world *world) { life_shard(world)->p.types[1].restarting = 100; }
static void keep_one_for_nobody(tina__world *world) { life_shard(world)->p.types[0].restarting++; }
static void be_due_and_unlisted(tina__world *world) { echo(world)->is_queued = true; }
static void list_nobody(tina__world *world) { root(world)->due_head = 99999; }

static void list_what_is_not_due(tina__world *world)
{
    echo(world)->link = TINA__NONE;
    root(world)->due_head = root(world)->due_tail = life_isolate(world, LIFE_ECHO)->child;
}

static void list_before_the_tail(tina__world *world)
{
    be_due_and_unlisted(world);
    list_what_is_not_due(world);
    root(world)->due_tail++;
}

static const life_alarm alarms[] = {
    {"group_below_nobody_rings", hang_below_nobody, "shard 0: a group is in a group"},
    {"group_outside_its_parent_rings", narrow_the_root, "shard 0: what is inside a group is inside those around it"},
    {"group_of_another_record_rings", change_the_record, "shard 0: a group is a child of the group around it"},
    {"group_inside_out_rings", turn_inside_out, "shard 0: the groups inside one are behind it"},
    {"group_with_others_children_rings", move_the_children, "shard 0: the children of the groups stand in order"},
    {"group_past_its_end_rings", run_past_the_end, "shard 0: a group starts its own children"},
    {"root_in_a_group_rings", hang_the_root, "shard 0: the root is in no group"},
    {"child_in_no_group_rings", lose_a_child, "shard 0: every static child is in a group"},
    {"living_in_another_order_ring", change_the_order, "shard 0: who lives in a group that starts in order stands in order"},
    {"livings_list_lost_rings", lose_the_living, "shard 0: a group's list of who lives ends"},
    {"living_who_are_dead_ring", list_a_dead, "shard 0: who is in a group's list lives"},
    {"living_in_another_group_ring", change_the_group, "shard 0: an isolate is in its group's list"},
    {"living_misplaced_ring", misplace_one_who_lives, "shard 0: an isolate knows who stands before it in its group"},
    {"living_without_a_record_ring", forget_ones_record, "shard 0: an isolate and its record know each other"},
    {"livings_list_without_its_tail_rings", lose_the_tail, "shard 0: a group's list of who lives ends at its tail"},
    {"living_in_no_list_ring", unlist_one_who_lives, "shard 0: the groups hold who is alive"},
    {"returning_list_lost_rings", lose_who_returns, "shard 0: a group's list of who returns ends"},
    {"returning_who_do_not_ring", return_and_be_down, "shard 0: who is listed as returning does"},
    {"returning_misplaced_ring", misplace_who_returns, "shard 0: who returns knows what stands before it"},
    {"returning_and_unlisted_ring", unlist_who_returns, "shard 0: who returns is listed"},
    {"child_up_and_not_alive_rings", come_up_and_not_live, "shard 0: a child that is up lives"},
    {"group_that_does_not_wait_rings", wait_for_a_child, "shard 0: a group waits for all that those in it wait for"},
    {"child_that_waits_for_nothing_rings", wait_for_a_spawned_one, "shard 0: the children wait for what is not over"},
    {"tree_that_waits_for_nothing_rings", wait_for_nothing, "shard 0: the tree waits for what is not over"},
    {"spawned_miscounted_ring", miscount_the_spawned, "shard 0: a group counts its spawned children"},
    {"spawned_past_the_limit_ring", lower_the_limit, "shard 0: a group keeps to its limit"},
    {"group_down_with_somebody_rings", take_a_group_down, "shard 0: nobody lives or returns in a group that is down"},
    {"group_up_that_backs_off_rings", back_off_and_be_up, "shard 0: a group that backs off waits"},
    {"group_down_with_children_up_rings", evict, "shard 0: the children of a group that is down are down"},
    {"child_of_another_type_rings", change_the_type, "shard 0: a child that is up is what its record says"},
    {"child_of_another_life_rings", forget_the_life, "shard 0: a child's record knows its latest life"},
    {"group_up_with_its_record_down_rings", lower_the_groups_record, "shard 0: a group is down unless its record is up"},
    {"group_with_a_slot_rings", keep_a_groups_slot, "shard 0: a group is no isolate"},
    {"child_of_no_type_rings", have_no_type, "shard 0: a child is of a type"},
    {"child_down_and_alive_rings", be_down_and_live, "shard 0: a child that is down has no isolate"},
    {"child_that_keeps_no_slot_rings", keep_no_slot, "shard 0: a child that is to start keeps a slot"},
    {"child_up_that_keeps_a_slot_rings", keep_a_slot, "shard 0: a child that is up keeps no slot"},
    {"child_of_no_group_rings", have_no_group, "shard 0: a child is in a group"},
    {"child_static_and_spawned_rings", be_spawned, "shard 0: static children stand before spawned ones"},
    {"child_of_another_group_rings", be_in_another_group, "shard 0: a child is in its group"},
    {"child_up_that_backs_off_rings", back_off_and_live, "shard 0: a child that backs off returns"},
    {"record_leaked_rings", leak_a_record, "shard 0: every record in use is somebody's"},
    {"name_forgotten_rings", forget_a_name, "shard 0: a name means the child that has it"},
    {"name_of_another_group_rings", rename_a_group, "shard 0: a name means the group that has it"},
    {"slots_kept_too_many_ring", keep_too_many, "shard 0: the slots that are kept are free"},
    {"slot_kept_for_nobody_rings", keep_one_for_nobody, "shard 0: a slot is kept for a child that is to start"},
    {"due_and_unlisted_rings", be_due_and_unlisted, "shard 0: what is due is listed"},
    {"due_list_lost_rings", list_nobody, "shard 0: the list of what is due ends"},
    {"due_and_not_rings", list_what_is_not_due, "shard 0: what is listed as due is"},
    {"due_list_without_its_tail_rings", list_before_the_tail, "shard 0: the list of what is due ends at its tail"},
};

int main(void) { return still_life_ring("alarms", alarms, sizeof alarms / sizeof alarms[0]); }
