/* Timers, calls, watches and the wheel: each alarm rings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/still_life.h"

#include "core/lookup.h"
#include "core/timers.h"

#include <string.h>

static tina__isolate *echo(tina__world *world) { return life_isolate(world, LIFE_ECHO); }

static uint32_t index_of(tina__world *world, const tina__isolate *isolate)
{
    return tina__isolate_index(life_shard(world), isolate);
}

/* The asker's slot of that use, for that shard. */
static tina__timer_slot *slot_of(tina__world *world, tina__timer_use use, uint8_t to_shard)
{
    for (uint32_t i = life_isolate(world, LIFE_ASKER)->timers; i != TINA__NONE; i = life_slot(world, i)->next) {
        tina__timer_slot *slot = life_slot(world, i);
        bool is_asked = use == TINA__TIMER_CALL || use == TINA__TIMER_WATCH;
        if (slot->use == use && (!is_asked || tina_handle_shard(slot->target) == to_shard))
            return slot;
    }
    fail_msg("there is no such slot");
    return NULL;
}

static tina__timer_slot *once(tina__world *world) { return slot_of(world, TINA__TIMER_ONCE, 0); }
static tina__timer_slot *repeat(tina__world *world) { return slot_of(world, TINA__TIMER_REPEAT, 0); }

/* ---- Timers ------------------------------------------------------------------------------------------- */

static void disarm(tina__world *world, tina__timer_slot *slot)
{
    tina__timer_wheel_cancel(life_shard(world)->p.wheel, &slot->node);
}

static void disarm_a_timer(tina__world *world) { disarm(world, once(world)); }
static void disarm_one_that_repeats(tina__world *world) { disarm(world, repeat(world)); }
static void disarm_a_call(tina__world *world) { disarm(world, slot_of(world, TINA__TIMER_CALL, 1)); }

static void disarm_a_grace(tina__world *world)
{
    tina__timer_slot *slot = once(world);
    disarm(world, slot);
    slot->use = TINA__TIMER_GRACE;
}

static void free_and_keep(tina__world *world) { once(world)->use = TINA__TIMER_FREE; }
static void lose_the_timers(tina__world *world) { echo(world)->timers = 9999; }
static void give_one_away(tina__world *world) { once(world)->isolate = index_of(world, echo(world)); }
static void misplace_one(tina__world *world) { once(world)->previous++; }
static void outlive_the_owner(tina__world *world) { once(world)->destination.bits = 0; }

/* ---- Asked and owed -------------------------------------------------------------------------------------- */

static tina__owed *owed(tina__world *world) { return &life_shard(world)->p.owed[life_isolate(world, LIFE_SILENT)->owed]; }

static void ask_another(tina__world *world)
{
    tina__timer_slot *slot = life_slot(world, life_isolate(world, LIFE_CALLER)->awaited);
    slot->target = tina__isolate_handle(life_shard(world), echo(world));
}

static void wait_in_no_place(tina__world *world) { slot_of(world, TINA__TIMER_CALL, 1)->place = 9999; }

/* Of this shard's own, and of the other's. */
static void change_the_place(tina__world *world)
{
    owed(world)->is_watch = !owed(world)->is_watch;
    owed(world)->call ^= 1u << 31;
}

static void owe_nobody(tina__world *world) { owed(world)->source = tina__handle_make(77, 0, 0, 1); }
static void lose_the_debts(tina__world *world) { echo(world)->owed = 9999; }
static void change_the_debtor(tina__world *world) { owed(world)->isolate = index_of(world, echo(world)); }
static void misplace_a_debt(tina__world *world) { owed(world)->previous = 0; }

static void owe_what_nobody_asked(tina__world *world)
{
    const tina__shard *shard = life_shard(world);
    uint32_t slot = life_timer_used(world, TINA__TIMER_FREE);
    assert_true(slot < shard->timers.fresh);
    shard->p.owed[slot].isolate = index_of(world, echo(world));
}

static void owe_what_another_shard_asked(tina__world *world)
{
    const tina__shard *shard = life_shard(world);
    shard->p.owed[shard->p.peers[1].owed_first + shard->p.peers[1].out->answer_capacity - 1].isolate = 0;
}

/* ---- Places ------------------------------------------------------------------------------------------------ */

static uint32_t take_place(tina__world *world, tina__place_state state)
{
    tina__peer *peer = &life_shard(world)->p.peers[1];
    uint32_t index = tina__pool_take(&peer->place_pool);
    peer->places[index].state = (uint8_t)state;
    peer->places[index].link = TINA__NONE;
    return index;
}

static void leak_a_place(tina__world *world) { (void)take_place(world, TINA__PLACE_FREE); }
static void wait_and_be_gone(tina__world *world) { (void)take_place(world, TINA__PLACE_WAITING); }
static void wait_as(tina__world *world, uint8_t kind)
{
    uint32_t index = take_place(world, TINA__PLACE_WAITING);
    life_shard(world)->p.peers[1].places[index].kind = kind;
}

static void wait_for_no_gift(tina__world *world) { wait_as(world, TINA__PLACE_GIFT); }
static void wait_for_no_transfer(tina__world *world) { wait_as(world, TINA__PLACE_TRANSFER); }
static void wait_for_what_is_nothing(tina__world *world) { wait_as(world, 77); }
static void lapse_unlisted(tina__world *world) { (void)take_place(world, TINA__PLACE_LAPSED); }
static void lapse_unmarked(tina__world *world)
{
    life_shard(world)->p.peers[1].lapsed_head = take_place(world, TINA__PLACE_LAPSED);
}
static void lapse_nothing(tina__world *world) { life_shard(world)->p.peers[1].lapsed_head = 9999; }
static void damage_places(tina__world *world) { life_shard(world)->p.peers[1].place_pool.listed++; }

/* Asked with, owed and answered nowhere. */
static void lose_an_answer(tina__world *world) { (void)take_place(world, TINA__PLACE_WITHDRAWN); }

/* ---- Watches ------------------------------------------------------------------------------------------------- */

static uint32_t *empty_bucket(tina__world *world)
{
    uint32_t *bucket = life_shard(world)->p.buckets;
    while (*bucket != 0)
        bucket++;
    return bucket;
}

static void list_what_is_no_watch(tina__world *world) { slot_of(world, TINA__TIMER_WATCH, 0)->use = TINA__TIMER_ONCE; }
static void queue_a_watch(tina__world *world) { slot_of(world, TINA__TIMER_WATCH, 0)->is_queued = true; }
static void lose_a_bucket(tina__world *world) { *empty_bucket(world) = 9999; }

static void empty_the_buckets(tina__world *world)
{
    memset(life_shard(world)->p.buckets, 0, life_shard(world)->p.bucket_count * sizeof(uint32_t));
}

/* One that was never used. */
static void watch_nothing(tina__world *world)
{
    const tina__shard *shard = life_shard(world);
    *empty_bucket(world) = shard->p.timer_count + shard->watches.fresh + 1;
}

/* ---- The wheel -------------------------------------------------------------------------------------------------- */

static tina__timer_node *deadline(tina__world *world)
{
    return &life_shard(world)->p.operations[life_operation_of(world, LIFE_CLIENT, TINA_IO_RECV)].deadline;
}

static void break_a_list(tina__world *world) { deadline(world)->next = NULL; }
static void misplace_a_node(tina__world *world) { deadline(world)->next->previous = deadline(world)->next; }
static void change_the_nodes_owner(tina__world *world) { deadline(world)->owner++; }
static void let_one_pass(tina__world *world) { deadline(world)->deadline_ns = 1; }

static void mark_an_empty_slot(tina__world *world)
{
    tina__timer_wheel *wheel = life_shard(world)->p.wheel;
    wheel->occupied[TINA__WHEEL_LISTS / 64 - 1] |= 1;
    wheel->occupied_words |= 1u << (TINA__WHEEL_LISTS / 64 - 1);
}

static void unmark_all_words(tina__world *world) { life_shard(world)->p.wheel->occupied_words = 0; }
static void miscount_the_wheel(tina__world *world) { life_shard(world)->p.wheel->count++; }

static void arm_outside_the_wheel(tina__world *world)
{
    const tina__shard *shard = life_shard(world);
    tina__timer_node *node = &shard->p.operations[life_operation_of(world, LIFE_LISTENER, TINA_IO_ACCEPT)].deadline;
    node->next = node->previous = node;
}

static const life_alarm alarms[] = {
    {"timer_lost_by_the_wheel_rings", disarm_a_timer, "shard 0: a timer is armed or mail"},
    {"timer_that_repeats_no_more_rings", disarm_one_that_repeats, "shard 0: a timer that repeats is armed"},
    {"grace_without_an_end_rings", disarm_a_grace, "shard 0: an isolate's grace ends"},
    {"call_without_a_timeout_rings", disarm_a_call, "shard 0: a call times out"},
    {"timer_freed_in_its_list_rings", free_and_keep, "shard 0: a listed timer is under way"},
    {"timers_list_lost_rings", lose_the_timers, "shard 0: an isolate's list of timers ends"},
    {"timer_of_another_rings", give_one_away, "shard 0: a timer is in its owner's list"},
    {"timer_misplaced_rings", misplace_one, "shard 0: a timer knows what stands before it"},
    {"timer_that_outlives_its_owner_rings", outlive_the_owner, "shard 0: a timer's owner is alive"},
    {"call_owed_by_another_rings", ask_another, "shard 0: what is asked of an isolate is owed by it"},
    {"call_without_a_place_rings", wait_in_no_place, "shard 0: who waits for another shard has a place for the answer"},
    {"debt_in_a_wrong_place_rings", change_the_place, "shard 0: what is owed is in its caller's place"},
    {"debt_to_nobody_rings", owe_nobody, "shard 0: what is owed is owed to somebody"},
    {"debts_list_lost_rings", lose_the_debts, "shard 0: the list of what an isolate owes ends"},
    {"debt_of_another_rings", change_the_debtor, "shard 0: what is owed is in its debtor's list"},
    {"debt_misplaced_rings", misplace_a_debt, "shard 0: what is owed knows what stands before it"},
    {"debt_that_nobody_waits_for_rings", owe_what_nobody_asked, "shard 0: what is owed here is waited for"},
    {"debt_of_nobody_rings", owe_what_another_shard_asked, "shard 0: what is owed is owed by somebody who lives"},
    {"place_leaked_rings", leak_a_place, "shard 0: every place in use is waited for, or on its way back"},
    {"place_of_nobody_rings", wait_and_be_gone, "shard 0: a place is waited for by somebody who lives"},
    {"place_of_no_gift_rings", wait_for_no_gift, "shard 0: a place of a gift is that of a descriptor that was given"},
    {"place_of_no_transfer_rings", wait_for_no_transfer, "shard 0: a place of a transfer is that of one that was sent"},
    {"place_of_no_kind_rings", wait_for_what_is_nothing, "shard 0: a place is of some kind"},
    {"place_lapsed_and_unlisted_rings", lapse_unlisted, "shard 0: a place that has lapsed is to be withdrawn"},
    {"place_lapsed_and_unmarked_rings", lapse_unmarked, "shard 0: a peer is marked while it has places to be withdrawn"},
    {"places_list_lost_rings", lapse_nothing, "shard 0: the list of places to be withdrawn ends"},
    {"pool_of_places_rings", damage_places, "shard 0: the pool of places is sound"},
    {"answer_lost_rings", lose_an_answer, "shards 0 and 1: a place for an answer is asked with, owed, or answered, once"},
    {"watch_that_is_none_rings", list_what_is_no_watch, "shard 0: a listed watch is under way"},
    {"watch_that_is_mail_too_soon_rings", queue_a_watch, "shard 0: a watch is mail when its target is down"},
    {"watch_without_a_bucket_rings", empty_the_buckets, "shard 0: a watch is in its bucket"},
    {"bucket_without_an_end_rings", lose_a_bucket, "shard 0: a bucket of watches ends"},
    {"bucket_of_no_watch_rings", watch_nothing, "shard 0: the buckets hold the watches"},
    {"wheels_list_broken_rings", break_a_list, "shard 0: a list of the wheel ends"},
    {"wheels_node_misplaced_rings", misplace_a_node, "shard 0: a timer in the wheel knows its neighbours"},
    {"wheels_node_of_another_rings", change_the_nodes_owner, "shard 0: what is in the wheel is somebody's"},
    {"wheels_node_forgotten_rings", let_one_pass, "shard 0: no timer in the wheel is overdue"},
    {"wheels_slot_marked_rings", mark_an_empty_slot, "shard 0: a slot of the wheel that is marked holds somebody"},
    {"wheels_words_unmarked_rings", unmark_all_words, "shard 0: a word of the wheel's bitmap that is marked marks somebody"},
    {"wheel_miscounted_rings", miscount_the_wheel, "shard 0: the wheel holds what it counts"},
    {"node_armed_outside_the_wheel_rings", arm_outside_the_wheel, "shard 0: who is armed is in the wheel"},
};

int main(void) { return still_life_ring("alarms", alarms, sizeof alarms / sizeof alarms[0]); }
