/* Isolates, their mail and what they are parked for; queues and pools: each alarm rings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/still_life.h"

#include "core/lookup.h"

#include <string.h>

static tina__isolate *echo(tina__world *world) { return life_isolate(world, LIFE_ECHO); }
static tina__isolate *busy(tina__world *world) { return life_isolate(world, LIFE_BUSY); }
static tina__isolate *listener(tina__world *world) { return life_isolate(world, LIFE_LISTENER); }

static tina__type *type_of(tina__world *world, uint32_t type) { return &life_shard(world)->p.types[type]; }

static uint32_t index_of(tina__world *world, const tina__isolate *isolate)
{
    return tina__isolate_index(life_shard(world), isolate);
}

/* ---- Mail ------------------------------------------------------------------------------------------- */

/* The first of the busy one's that is a message of the pool, with that tag; 0: any. */
static tina_message *mail(tina__world *world, tina_tag tag)
{
    const tina__shard *shard = life_shard(world);
    for (uint32_t i = busy(world)->inbox_head; i != TINA__NONE; i = shard->p.mail[i].link) {
        if (i < shard->p.message_count && (tag == 0 || shard->p.mail[i].tag == tag))
            return &shard->p.mail[i];
    }
    fail_msg("there is no such mail");
    return NULL;
}

static tina__timer_slot *timer_mail(tina__world *world)
{
    uint32_t index = 0;
    while (!life_slot(world, index)->is_queued || life_slot(world, index)->use != TINA__TIMER_ONCE)
        index++;
    return life_slot(world, index);
}

static void uncount_a_message(tina__world *world) { mail(world, 0)->flags = 0; }
static void unqueue_a_timer(tina__world *world) { timer_mail(world)->is_queued = false; }
static void give_away_a_timer(tina__world *world) { timer_mail(world)->isolate = index_of(world, echo(world)); }
static void misplace_a_timer(tina__world *world) { timer_mail(world)->mail_previous++; }
static void misaddress_mail(tina__world *world) { mail(world, 0)->destination = tina_named(0, LIFE_ECHO); }
static void miscount_mail(tina__world *world) { busy(world)->inbox_count++; }
static void shrink_a_mailbox(tina__world *world) { type_of(world, 0)->mailbox_capacity = 2; }
static void lose_the_tail(tina__world *world) { busy(world)->inbox_tail = busy(world)->inbox_head; }

static void make_mail_a_circle(tina__world *world)
{
    life_shard(world)->p.mail[busy(world)->inbox_tail].link = busy(world)->inbox_head;
}

static void queue_a_repeating_timer(tina__world *world)
{
    life_slot(world, life_timer_used(world, TINA__TIMER_REPEAT))->is_queued = true;
}

/* ---- Transfers ----------------------------------------------------------------------------------------- */

static tina__transfer_record *written(tina__world *world)
{
    return &life_shard(world)->p.transfer_records[life_isolate(world, LIFE_ASKER)->transfers];
}

static tina__transfer_record *carried(tina__world *world)
{
    tina_transfer transfer;
    memcpy(&transfer, mail(world, TINA_TAG_TRANSFER)->payload, sizeof transfer);
    return &life_shard(world)->p.transfer_records[tina__word_index(transfer.bits)];
}

static void carry_a_stale_transfer(tina__world *world) { mail(world, TINA_TAG_TRANSFER)->payload[0]++; }
static void write_what_is_carried(tina__world *world) { carried(world)->isolate = 0; }
static void lose_the_writers_list(tina__world *world) { life_isolate(world, LIFE_ASKER)->transfers = 99; }
static void change_the_writer(tina__world *world) { written(world)->isolate++; }
static void misplace_a_transfer(tina__world *world) { written(world)->previous = 0; }
static void write_what_is_free(tina__world *world) { written(world)->state = TINA__TRANSFER_FREE; }
static void carry_what_is_written(tina__world *world) { carried(world)->state = TINA__TRANSFER_WRITTEN; }

/* As if it were on its way to the other shard, in that life or the one before. */
static tina__transfer_record *send(tina__world *world, tina__transfer_state state)
{
    tina__shard *shard = life_shard(world);
    tina__transfer_record *record = &shard->p.transfer_records[tina__pool_take(&shard->transfers)];
    *record = (tina__transfer_record){.generation = 1, .isolate = TINA__NONE, .state = (uint8_t)state, .to_shard = 1};
    return record;
}

static void send_without_a_place(tina__world *world) { send(world, TINA__TRANSFER_SENT)->place = 9999; }
static void send_in_anothers_place(tina__world *world) { send(world, TINA__TRANSFER_SENT)->place = 0; }
static void leave_to_who_knows(tina__world *world) { (void)send(world, TINA__TRANSFER_LEFT); }
static void miscount_what_is_left(tina__world *world) { life_shard(world)->transfers_left++; }

/* ---- What they are parked for ----------------------------------------------------------------------------- */

static void lose_a_call(tina__world *world) { life_isolate(world, LIFE_CALLER)->awaited = 9999; }
static void lose_an_operation(tina__world *world) { listener(world)->awaited = 9999; }
static void await_anothers_call(tina__world *world) { life_isolate(world, LIFE_CALLER)->awaited = busy(world)->awaited; }

static void await_anothers_operation(tina__world *world)
{
    listener(world)->awaited = life_operation_of(world, LIFE_CLIENT, TINA_IO_RECV);
}

static void await_anothers_close(tina__world *world)
{
    listener(world)->awaited = life_shard(world)->p.operation_count + listener(world)->descriptors;
}

/* The lost wake. */
static void finish_and_do_not_wake(tina__world *world)
{
    life_shard(world)->p.operations[listener(world)->awaited].state = TINA__OPERATION_DONE;
}

static void wake_for_nothing(tina__world *world) { echo(world)->flags = TINA__ISOLATE_WOKEN | TINA__ISOLATE_QUEUED; }
static void refuse_and_do_not_wake(tina__world *world) { echo(world)->state = TINA__ISOLATE_REFUSED; }
static void yield_and_do_not_queue(tina__world *world) { echo(world)->state = TINA__ISOLATE_YIELDED; }
static void start_for_ever(tina__world *world) { echo(world)->state = TINA__ISOLATE_STARTING; }

/* ---- Slots and queues ----------------------------------------------------------------------------------------- */

static void bury_nobody(tina__world *world) { type_of(world, 1)->isolates[0].flags = TINA__ISOLATE_DEAD; }
static void change_the_type(tina__world *world) { echo(world)->type = 1; }
static void notify_and_do_not_queue(tina__world *world) { echo(world)->flags = TINA__ISOLATE_SHUTDOWN; }
static void lose_a_slot(tina__world *world) { echo(world)->state = TINA__ISOLATE_FREE; }
static void mark_a_type(tina__world *world) { life_shard(world)->ready[0] |= 1; }
static void mark_as_queued(tina__world *world) { echo(world)->flags = TINA__ISOLATE_QUEUED; }

static void queue(tina__world *world, uint32_t slot, uint32_t tail)
{
    mark_a_type(world);
    type_of(world, 0)->ready_head = slot;
    type_of(world, 0)->ready_tail = tail;
    echo(world)->ready_next = TINA__NONE;
}

static void queue_nobody(tina__world *world) { queue(world, 9999, 9999); }

static void queue_and_do_not_mark(tina__world *world)
{
    uint32_t slot = tina__isolate_slot(type_of(world, 0), echo(world));
    queue(world, slot, slot);
}

static void queue_before_the_tail(tina__world *world)
{
    uint32_t slot = tina__isolate_slot(type_of(world, 0), echo(world));
    mark_as_queued(world);
    queue(world, slot, slot + 1);
}

static void yield_nobody(tina__world *world) { life_shard(world)->yielded_head = 9999; }

static void list_one_who_has_not_yielded(tina__world *world)
{
    mark_as_queued(world);
    echo(world)->ready_next = TINA__NONE;
    life_shard(world)->yielded_head = life_shard(world)->yielded_tail = index_of(world, echo(world));
}

static void yield_before_the_tail(tina__world *world)
{
    list_one_who_has_not_yielded(world);
    echo(world)->state = TINA__ISOLATE_YIELDED;
    life_shard(world)->yielded_tail++;
}

/* ---- Pools ---------------------------------------------------------------------------------------------------------- */

static void give_a_message_twice(tina__world *world)
{
    tina__pool *pool = &life_shard(world)->messages;
    tina__pool_give_hot(pool, pool->at_hand < pool->limit ? pool->at_hand : pool->head);
}

static void damage_timers(tina__world *world) { life_shard(world)->timers.listed++; }
static void damage_watches(tina__world *world) { life_shard(world)->watches.used--; }
static void damage_operations(tina__world *world) { life_shard(world)->operations.used++; }
static void damage_descriptors(tina__world *world) { life_shard(world)->descriptors.fresh++; }
static void damage_buffers(tina__world *world) { life_shard(world)->buffers.listed++; }
static void damage_transfers(tina__world *world) { life_shard(world)->transfers.peak = 0; }
static void damage_records(tina__world *world) { life_shard(world)->child_pool.used++; }
static void damage_slots(tina__world *world) { type_of(world, 2)->pool.fresh = 2; }

static void leak_a_message(tina__world *world) { (void)tina__pool_take(&life_shard(world)->messages); }
static void leak_a_timer(tina__world *world) { (void)tina__pool_take(&life_shard(world)->timers); }
static void leak_a_watch(tina__world *world) { (void)tina__pool_take(&life_shard(world)->watches); }
static void leak_a_transfer(tina__world *world) { (void)tina__pool_take(&life_shard(world)->transfers); }
static void miscount_the_living(tina__world *world) { life_shard(world)->live_count++; }

/* ---- Left behind ---------------------------------------------------------------------------------------------------- */

static void leave_an_effect(tina__world *world) { life_shard(world)->stage_used = 1; }
static void leave_scratch(tina__world *world) { life_shard(world)->scratch_used = 16; }
static void leave_a_message_begun(tina__world *world) { life_shard(world)->begun_count = 1; }
static void leave_a_completion(tina__world *world)
{
    life_shard(world)->collected_count = life_shard(world)->collected_done + 1;
}

static const life_alarm alarms[] = {
    {"message_that_is_nobodys_rings", uncount_a_message, "shard 0: a message of the pool is a user's"},
    {"timer_mail_that_does_not_know_it_rings", unqueue_a_timer, "shard 0: a timer that is mail knows it"},
    {"timer_mail_of_another_rings", give_away_a_timer, "shard 0: a timer is its owner's mail"},
    {"timer_mail_misplaced_rings", misplace_a_timer, "shard 0: a timer knows what stands before it in the mailbox"},
    {"timer_that_is_no_mail_rings", queue_a_repeating_timer, "shard 0: a timer that says so is mail"},
    {"mail_for_another_rings", misaddress_mail, "shard 0: mail is for whoever has it"},
    {"mailbox_miscounted_rings", miscount_mail, "shard 0: a mailbox holds what it counts"},
    {"mailbox_over_capacity_rings", shrink_a_mailbox, "shard 0: a mailbox keeps to its capacity"},
    {"mailbox_without_its_tail_rings", lose_the_tail, "shard 0: a mailbox ends at its tail"},
    {"mailbox_in_a_circle_rings", make_mail_a_circle, "shard 0: a mailbox ends"},
    {"transfer_carried_stale_rings", carry_a_stale_transfer, "shard 0: a transfer that is carried is in use"},
    {"transfer_carried_and_written_rings", write_what_is_carried, "shard 0: a transfer is carried or written, not both"},
    {"transfer_list_lost_rings", lose_the_writers_list, "shard 0: the list of what an isolate writes ends"},
    {"transfer_of_another_rings", change_the_writer, "shard 0: a transfer is in its writer's list"},
    {"transfer_written_and_free_rings", write_what_is_free, "shard 0: a transfer knows what it is"},
    {"transfer_carried_as_written_rings", carry_what_is_written, "shard 0: a transfer knows what it is"},
    {"transfer_sent_without_a_place_rings", send_without_a_place,
     "shard 0: a transfer that was sent has a place for the answer"},
    {"transfer_sent_in_anothers_place_rings", send_in_anothers_place,
     "shard 0: a transfer that was sent has a place for the answer"},
    {"transfer_left_for_nobody_rings", leave_to_who_knows,
     "shard 0: a transfer that an old life has sent is free when nobody reads it"},
    {"transfers_left_miscounted_ring", miscount_what_is_left,
     "shard 0: every transfer that an old life has sent is counted"},
    {"transfer_misplaced_rings", misplace_a_transfer, "shard 0: a transfer knows what stands before it"},
    {"call_awaited_that_is_none_rings", lose_a_call, "shard 0: who is parked for a call has one"},
    {"call_awaited_of_another_rings", await_anothers_call, "shard 0: the call that an isolate is parked for is its own"},
    {"operation_awaited_that_is_none_rings", lose_an_operation, "shard 0: who is parked for an operation has one"},
    {"operation_awaited_of_another_rings", await_anothers_operation,
     "shard 0: the operation that an isolate is parked for is its own"},
    {"close_awaited_of_another_rings", await_anothers_close, "shard 0: the close that an isolate is parked for is its own"},
    {"wake_lost_rings", finish_and_do_not_wake, "shard 0: who is parked is woken when its operation is over"},
    {"wake_for_nothing_rings", wake_for_nothing, "shard 0: who is parked for nothing is not woken"},
    {"refusal_untold_rings", refuse_and_do_not_wake, "shard 0: who was refused is woken"},
    {"yield_forgotten_rings", yield_and_do_not_queue, "shard 0: who has yielded is queued"},
    {"start_without_an_end_rings", start_for_ever, "shard 0: an isolate is parked, in a way that there is"},
    {"vacant_slot_that_is_dead_rings", bury_nobody, "shard 0: who has ended is queued only until a queue reaches it"},
    {"isolate_of_another_type_rings", change_the_type,
     "shard 0: who is alive is of its slot's type, and can be told from others"},
    {"isolate_notified_and_not_queued_rings", notify_and_do_not_queue, "shard 0: an isolate with something to do is queued"},
    {"slot_leaked_rings", lose_a_slot, "shard 0: every slot in use is somebody's"},
    {"type_ready_without_anybody_rings", mark_a_type, "shard 0: a type is marked ready while its queue holds somebody"},
    {"isolate_queued_nowhere_rings", mark_as_queued, "shard 0: who is marked as queued is in a queue"},
    {"queue_of_nobody_rings", queue_nobody, "shard 0: a ready queue ends"},
    {"queue_of_one_who_is_not_marked_rings", queue_and_do_not_mark, "shard 0: who is in a queue is marked as queued"},
    {"queue_without_its_tail_rings", queue_before_the_tail, "shard 0: a ready queue ends at its tail"},
    {"yielded_nobody_rings", yield_nobody, "shard 0: the list of those that yielded ends"},
    {"yielded_who_has_not_rings", list_one_who_has_not_yielded,
     "shard 0: who is on the list of those that yielded has yielded"},
    {"yielded_without_its_tail_rings", yield_before_the_tail, "shard 0: the list of those that yielded ends at its tail"},
    {"pool_of_messages_rings", give_a_message_twice, "shard 0: the pool of messages is sound"},
    {"pool_of_timers_rings", damage_timers, "shard 0: the pool of timers is sound"},
    {"pool_of_watches_rings", damage_watches, "shard 0: the pool of watches is sound"},
    {"pool_of_operations_rings", damage_operations, "shard 0: the pool of operations is sound"},
    {"pool_of_descriptors_rings", damage_descriptors, "shard 0: the pool of descriptors is sound"},
    {"pool_of_buffers_rings", damage_buffers, "shard 0: the pool of buffers is sound"},
    {"pool_of_transfers_rings", damage_transfers, "shard 0: the pool of transfers is sound"},
    {"pool_of_records_rings", damage_records, "shard 0: the pool of children's records is sound"},
    {"pool_of_slots_rings", damage_slots, "shard 0: the pool of a type's slots is sound"},
    {"message_leaked_rings", leak_a_message, "shard 0: every message in use is somebody's mail"},
    {"timer_leaked_rings", leak_a_timer, "shard 0: every timer in use is somebody's"},
    {"watch_leaked_rings", leak_a_watch, "shard 0: every watch in use is somebody's"},
    {"transfer_leaked_rings", leak_a_transfer, "shard 0: every transfer in use is somebody's"},
    {"living_miscounted_ring", miscount_the_living, "shard 0: who is alive is counted"},
    {"effect_left_rings", leave_an_effect, "shard 0: no effect is left that was made and not returned"},
    {"scratch_left_rings", leave_scratch, "shard 0: no scratch memory is left in use"},
    {"message_left_begun_rings", leave_a_message_begun, "shard 0: no message is left begun"},
    {"completion_left_rings", leave_a_completion, "shard 0: every completion that was collected was dealt with"},
};

int main(void) { return still_life_ring("alarms", alarms, sizeof alarms / sizeof alarms[0]); }
