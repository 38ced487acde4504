/* The books between shards, wires and net, and the memory of what slots were: each alarm rings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/still_life.h"

#include "core/census.h"
#include "core/gift.h"
#include "core/invariant.h"
#include "core/lookup.h"
#include "core/timers.h"
#include "sim/net_inside.h"

/* ---- Without damage --------------------------------------------------------------------------- */

static tina__census seen;

static void look(tina__world *world) { assert_null(tina__invariant_census(life_shard(world), &seen)); }

static void undamaged_life_is_sound_and_has_of_everything(void **state)
{
    (void)state;
    tina_sim_report report;
    still_life_run(look, &report);
    assert_string_equal(report.violation, "");
    assert_int_equal(report.end, TINA_SIM_TICKS);
    assert_int_equal(seen.live, 12);
    assert_int_equal(seen.messages, 3);
    assert_int_equal(seen.waiting, 4); /* an answer, too */
    assert_int_equal(seen.timer_mail, 1);
    assert_int_equal(seen.asked_here, 4);
    assert_int_equal(seen.asked_there, 3);
    assert_int_equal(seen.owed, 5);
    assert_int_equal(seen.transfers, 2);
    assert_int_equal(seen.accepts, 1);
    assert_int_equal(seen.requests, 3);
    assert_int_equal(seen.open, 4);
    assert_int_equal(seen.listed_operations, 5);
    assert_int_equal(seen.buffers_holding, 2);
    assert_int_equal(seen.slots_kept, 1);
}

/* ---- Messages ------------------------------------------------------------------------------------ */

static void lose_a_delivery(tina__world *world) { life_shard(world)->stats.delivered--; }
static void invent_a_post(tina__world *world) { life_shard(world)->stats.posted++; }
static void invent_a_send(tina__world *world) { life_shard(world)->stats.sent_remote++; }
static void invent_a_drop(tina__world *world) { world->faults.counts.message_drop++; }

static void lose_on_a_wire(tina__world *world)
{
    world->wires.wires[1].dropped++;
    world->faults.counts.message_drop++;
}

/* A request is there twice. */
static void lose_a_request_that_came(tina__world *world) { world->wires.wires[1].lost_count++; }

/* ---- I/O ------------------------------------------------------------------------------------------- */

static tina__backend *backend(tina__world *world) { return world->shards[0].backend; }

static void lose_a_request(tina__world *world) { backend(world)->request_count--; }
static void keep_a_buffer(tina__world *world) { backend(world)->lent_count--; }

static void close_behind_the_owner(tina__world *world)
{
    const tina__shard *shard = life_shard(world);
    uint32_t index = life_isolate(world, LIFE_BUSY)->descriptors / 2;
    tina__net_backend.close_fd(backend(world), shard->p.descriptors[index].os_fd, index);
}

static void share_a_descriptor(tina__world *world)
{
    tina__shard *shard = life_shard(world);
    tina__descriptor *listener = &shard->p.descriptors[life_isolate(world, LIFE_LISTENER)->descriptors / 2];
    tina__descriptor *busy = &shard->p.descriptors[life_isolate(world, LIFE_BUSY)->descriptors / 2];
    tina__net_backend.close_fd(backend(world), busy->os_fd, 0);
    busy->os_fd = listener->os_fd;
    busy->os_fd_check = listener->os_fd_check;
    busy->generation++; /* another one than it was */
}

static void leak_a_socket(tina__world *world)
{
    int os_fd, os_error;
    tina_ignore(tina__net_backend.socket_open(backend(world), TINA_IPV4, TINA_STREAM, &os_fd, &os_error));
}

/* No message carries it. */
static void let_go_of_a_socket(tina__world *world)
{
    int os_fd, os_error;
    tina_ignore(tina__net_backend.socket_open(backend(world), TINA_IPV4, TINA_STREAM, &os_fd, &os_error));
    tina__net_backend.let_go(backend(world), os_fd, 11);
}

/* It is still its owner's. */
static void give_and_keep(tina__world *world)
{
    const tina__shard *shard = life_shard(world);
    uint32_t index = life_isolate(world, LIFE_BUSY)->descriptors / 2;
    tina__gift gift = {.os_fd = shard->p.descriptors[index].os_fd};
    tina_message *message = tina__spsc_claim_answer(&world->wires.wires[1].in);
    *message = (tina_message){.tag = TINA_TAG_FD, .flags = TINA__MESSAGE_GIFT, .size = sizeof gift};
    memcpy(message->payload, &gift, sizeof gift);
}

static void miscount_sockets(tina__world *world) { world->net->open_count--; }
static void invent_bytes(tina__world *world) { world->net->sent++; }
static void forget_sent_bytes(tina__world *world) { life_shard(world)->stats.bytes_out--; }
static void forget_received_bytes(tina__world *world) { life_shard(world)->stats.bytes_in--; }
static void invent_received_bytes(tina__world *world) { life_shard(world)->stats.bytes_in += 100000; }

/* ---- What slots were --------------------------------------------------------------------------------- */

#ifndef TINA_HOSTILE /* whose generations have too few bits to tell */
/* Of one that is free: nobody else looks. */
static void turn_back_an_isolate(tina__world *world)
{
    tina__isolate *dead = life_shard(world)->p.types[1].isolates;
    assert_int_equal(dead->state, TINA__ISOLATE_FREE);
    dead->generation--;
}

static void turn_back_a_descriptor(tina__world *world)
{
    life_shard(world)->p.descriptors[life_isolate(world, LIFE_LISTENER)->descriptors / 2].generation--;
}

static void turn_back_an_operation(tina__world *world)
{
    life_shard(world)->p.operations[life_operation_of(world, LIFE_BUSY, TINA_IO_RECV)].generation--;
}

static void turn_back_a_timer(tina__world *world) { life_shard(world)->p.timer_generations[0]--; }

static void turn_back_a_transfer(tina__world *world)
{
    life_shard(world)->p.transfer_records[life_isolate(world, LIFE_ASKER)->transfers].generation--;
}

/* The two in the group change places, and records, and everything but their generations. */
static void swap_isolates(tina__world *world)
{
    tina__shard *shard = life_shard(world);
    tina__isolate *first = life_isolate(world, LIFE_FIRST);
    tina__isolate *second = life_isolate(world, LIFE_SECOND);
    tina__group *group = &shard->p.groups[LIFE_GROUP];
    tina__child_record *record = &shard->p.children[first->child];
    tina__child_record *next = &shard->p.children[second->child];
    uint32_t child = first->child;
    first->child = second->child;
    second->child = child;
    record->isolate = group->live_head = tina__isolate_index(shard, second);
    next->isolate = group->live_tail = tina__isolate_index(shard, first);
    record->who = tina__isolate_handle(shard, second);
    next->who = tina__isolate_handle(shard, first);
    second->live_next = group->live_tail;
    second->live_previous = TINA__NONE;
    first->live_next = TINA__NONE;
    first->live_previous = group->live_head;
}

static void swap_descriptors(tina__world *world)
{
    tina__shard *shard = life_shard(world);
    tina__descriptor *listener = &shard->p.descriptors[life_isolate(world, LIFE_LISTENER)->descriptors / 2];
    tina__descriptor *busy = &shard->p.descriptors[life_isolate(world, LIFE_BUSY)->descriptors / 2];
    int32_t os_fd = listener->os_fd;
    listener->os_fd = busy->os_fd;
    busy->os_fd = os_fd;
    listener->os_fd_check = ~listener->os_fd;
    busy->os_fd_check = ~busy->os_fd;
}

static void reuse_an_operation(tina__world *world)
{
    tina__operation *over = &life_shard(world)->p.operations[life_operation_of(world, LIFE_BUSY, TINA_IO_RECV)];
    over->descriptor++;
}

static void reuse_a_timer(tina__world *world)
{
    tina__shard *shard = life_shard(world);
    uint32_t index = life_timer_used(world, TINA__TIMER_ONCE);
    tina__isolate *echo = life_isolate(world, LIFE_ECHO);
    tina__timer_slot *slot = life_slot(world, index);
    while (slot->isolate != tina__isolate_index(shard, life_isolate(world, LIFE_ASKER)) || slot->use != TINA__TIMER_ONCE)
        slot = life_slot(world, ++index);
    tina__timer_unlink(shard, index);
    slot->isolate = tina__isolate_index(shard, echo);
    slot->destination = tina__isolate_handle(shard, echo);
    slot->next = slot->previous = TINA__NONE;
    echo->timers = index;
}

static void reuse_a_transfer(tina__world *world)
{
    tina__shard *shard = life_shard(world);
    tina__isolate *asker = life_isolate(world, LIFE_ASKER);
    tina__isolate *echo = life_isolate(world, LIFE_ECHO);
    echo->transfers = asker->transfers;
    shard->p.transfer_records[echo->transfers].isolate = tina__isolate_index(shard, echo);
    asker->transfers = TINA__NONE;
}

#endif

/* ---- Memory --------------------------------------------------------------------------------------------- */

static void write_behind(tina__world *world)
{
    const tina__type *type = &life_shard(world)->p.types[0];
    uint8_t *self = tina__isolate_self(type, tina__isolate_slot(type, life_isolate(world, LIFE_ECHO)));
    self[type->stride - 1] ^= 1;
}

static void write_before_working_memory(tina__world *world)
{
    const tina__type *type = &life_shard(world)->p.types[1];
    type->working[0] ^= 1;
}

#define LEDGER "every message is delivered, refused, waits, or has died with its owner"
#define ZONE   "shard 0: somebody wrote behind the end of an isolate's memory"

static const life_alarm alarms[] = {
    {"message_uncounted_rings", lose_a_delivery, "shard 0: " LEDGER},
    {"message_from_nowhere_rings", invent_a_post, "shard 0: " LEDGER},
    {"message_that_never_left_rings", invent_a_send,
     "all shards: every message to another shard has arrived, is on its way, or was lost"},
    {"message_lost_twice_rings", lose_on_a_wire,
     "all shards: every message to another shard has arrived, is on its way, or was lost"},
    {"drop_that_was_none_rings", invent_a_drop, "all shards: a message that was lost to chance is counted as a fault"},
    {"request_lost_and_owed_rings", lose_a_request_that_came,
     "shards 0 and 1: a place for an answer is asked with, owed, or answered, once"},
    {"operation_lost_by_the_net_rings", lose_a_request,
     "shard 0: every operation under way is with the net, or waits to be submitted"},
    {"buffer_kept_by_the_net_rings", keep_a_buffer, "shard 0: the net has the buffers that were lent to it"},
    {"socket_closed_behind_its_owner_rings", close_behind_the_owner,
     "shard 0: an open descriptor is open in the net, and the shard's"},
    {"socket_shared_rings", share_a_descriptor, "shard 0: every open socket of the shard is one descriptor's"},
    {"socket_leaked_rings", leak_a_socket, "shard 0: every open socket of the shard is one descriptor's"},
    {"socket_between_shards_in_no_message_rings", let_go_of_a_socket,
     "all shards: a descriptor between two shards lies in one message"},
    {"socket_in_a_message_and_owned_rings", give_and_keep,
     "all shards: a descriptor between two shards lies in one message"},
    {"sockets_miscounted_by_the_net_rings", miscount_sockets, "all shards: open sockets are miscounted"},
    {"bytes_from_nowhere_ring", invent_bytes,
     "all shards: every byte that was sent was received, is on its way, or was lost with its connection"},
    {"bytes_sent_uncounted_ring", forget_sent_bytes, "all shards: the net has the bytes that the shards have sent"},
    {"bytes_received_uncounted_ring", forget_received_bytes,
     "all shards: the shards have the bytes that the net has delivered"},
    {"bytes_received_too_many_ring", invent_received_bytes,
     "all shards: the shards have the bytes that the net has delivered"},
#ifndef TINA_HOSTILE
    {"generation_of_an_isolate_turned_back_rings", turn_back_an_isolate, "shard 0: the generations of isolates only grow"},
    {"generation_of_a_descriptor_turned_back_rings", turn_back_a_descriptor,
     "shard 0: the generations of descriptors only grow"},
    {"generation_of_an_operation_turned_back_rings", turn_back_an_operation,
     "shard 0: the generations of operations only grow"},
    {"generation_of_a_timer_turned_back_rings", turn_back_a_timer, "shard 0: the generations of timers only grow"},
    {"generation_of_a_transfer_turned_back_rings", turn_back_a_transfer, "shard 0: the generations of transfers only grow"},
    {"isolate_swapped_rings", swap_isolates, "shard 0: an isolate of the same generation is the same"},
    {"descriptor_swapped_rings", swap_descriptors, "shard 0: a descriptor of the same generation is the same"},
    {"operation_given_twice_rings", reuse_an_operation, "shard 0: an operation of the same generation is the same"},
    {"timer_given_twice_rings", reuse_a_timer, "shard 0: a timer of the same generation is the same"},
    {"transfer_given_twice_rings", reuse_a_transfer, "shard 0: a transfer of the same generation is the same"},
#endif
    {"red_zone_rings", write_behind, ZONE},
    {"red_zone_before_working_memory_rings", write_before_working_memory, ZONE},
};

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(undamaged_life_is_sound_and_has_of_everything)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return failed + still_life_ring("alarms", alarms, sizeof alarms / sizeof alarms[0]);
}
