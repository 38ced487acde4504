/* Operations, descriptors and buffers: each alarm rings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/still_life.h"

#include "core/lookup.h"
#include "core/reactor.h"

static tina__isolate *echo(tina__world *world) { return life_isolate(world, LIFE_ECHO); }
static tina__isolate *busy(tina__world *world) { return life_isolate(world, LIFE_BUSY); }

static uint32_t index_of(tina__world *world, const tina__isolate *isolate)
{
    return tina__isolate_index(life_shard(world), isolate);
}

/* ---- Operations --------------------------------------------------------------------------------------- */

static tina__operation *operation_of(tina__world *world, uint16_t name, tina_tag kind)
{
    return &life_shard(world)->p.operations[life_operation_of(world, name, kind)];
}

static tina__operation *over(tina__world *world) { return operation_of(world, LIFE_BUSY, TINA_IO_RECV); }
static tina__operation *accept_of(tina__world *world) { return operation_of(world, LIFE_LISTENER, TINA_IO_ACCEPT); }
static tina__operation *send_of(tina__world *world) { return operation_of(world, LIFE_CLIENT, TINA_IO_SEND); }
static tina__operation *receive_of(tina__world *world) { return operation_of(world, LIFE_CLIENT, TINA_IO_RECV); }

/* Out of its isolate's list. */
static void unlink_operation(tina__world *world, tina__operation *operation)
{
    tina__shard *shard = life_shard(world);
    if (operation->previous == TINA__NONE)
        shard->p.isolates[operation->isolate].operations = operation->next;
    else
        shard->p.operations[operation->previous].next = operation->next;
    if (operation->next != TINA__NONE)
        shard->p.operations[operation->next].previous = operation->previous;
}

static void lose_the_list(tina__world *world) { echo(world)->operations = 9999; }
static void give_one_away(tina__world *world) { over(world)->isolate = index_of(world, echo(world)); }
static void misplace_one(tina__world *world) { over(world)->previous = 0; }
static void unstart_one(tina__world *world) { over(world)->state = TINA__OPERATION_STAGED; }
static void resume_one(tina__world *world) { over(world)->state = TINA__OPERATION_SUBMITTED; }
static void move_one(tina__world *world) { accept_of(world)->descriptor++; }
static void keep_nothing(tina__world *world) { accept_of(world)->accepted = TINA__NONE; }
static void take_the_buffer(tina__world *world) { send_of(world)->buffer = TINA__NONE; }
static void free_the_buffer(tina__world *world) { life_shard(world)->p.buffer_users[send_of(world)->buffer] = 0; }
static void miscount_them(tina__world *world) { life_shard(world)->operations_under_way++; }
static void miscount_submissions(tina__world *world) { life_shard(world)->stats.io_submitted++; }

static void orphan_one(tina__world *world)
{
    tina__operation *operation = send_of(world);
    unlink_operation(world, operation);
    operation->isolate = TINA__NONE;
}

static void unlist_one(tina__world *world) { unlink_operation(world, send_of(world)); }

static void leave_one_staged(tina__world *world)
{
    tina__shard *shard = life_shard(world);
    shard->p.operations[tina__pool_take(&shard->operations)].state = TINA__OPERATION_STAGED;
}

static void leak_one(tina__world *world) { (void)tina__pool_take(&life_shard(world)->operations); }

/* ---- What is over --------------------------------------------------------------------------------------- */

static tina__descriptor *closed(tina__world *world)
{
    tina__descriptor *descriptor = life_shard(world)->p.descriptors;
    while (descriptor->state != TINA__DESCRIPTOR_CLOSED)
        descriptor++;
    return descriptor;
}

static void untell_a_close(tina__world *world) { closed(world)->told = 0; }
static void open_the_ring(tina__world *world) { over(world)->done_next = 9999; }

static void untell_an_operation(tina__world *world)
{
    uint32_t own = life_operation_of(world, LIFE_BUSY, TINA_IO_RECV);
    uint32_t node = tina__done_pop(life_shard(world), busy(world));
    if (node == own)
        node = tina__done_pop(life_shard(world), busy(world));
    busy(world)->done_tail = TINA__NONE;
    tina__done_push(life_shard(world), busy(world), node);
}

static void orphan_one_that_is_over(tina__world *world)
{
    tina__operation *operation = over(world);
    untell_an_operation(world);
    unlink_operation(world, operation);
    operation->isolate = TINA__NONE;
}

/* ---- Who waits for it ------------------------------------------------------------------------------------- */

static void wait_nowhere(tina__world *world) { accept_of(world)->holder = 99999; }
static void wait_in_a_record(tina__world *world) { accept_of(world)->holder = echo(world)->child; }
static void wait_in_a_group(tina__world *world) { accept_of(world)->holder = life_shard(world)->p.child_count; }

/* ---- Where they are --------------------------------------------------------------------------------------- */

static void submit_what_is_none(tina__world *world)
{
    static tina__io_request none;
    life_shard(world)->submit_head = &none;
}

/* It is with the net, and starves. */
static void starve(tina__world *world) { receive_of(world)->state = TINA__OPERATION_STARVED; }
static void starve_nobody(tina__world *world) { life_shard(world)->starved_head[0] = 9999; }

static void list_as_starved(tina__world *world)
{
    receive_of(world)->link = TINA__NONE;
    life_shard(world)->starved_head[0] = life_operation_of(world, LIFE_CLIENT, TINA_IO_RECV);
}

static void starve_before_the_tail(tina__world *world)
{
    list_as_starved(world);
    starve(world);
}

/* ---- Descriptors --------------------------------------------------------------------------------------------- */

/* The busy one's, on which nothing is under way. */
static tina__descriptor *idle(tina__world *world) { return &life_shard(world)->p.descriptors[busy(world)->descriptors / 2]; }

static void abandon(tina__world *world, uint32_t owner)
{
    idle(world)->owner[TINA__READ] = idle(world)->owner[TINA__WRITE] = owner;
    busy(world)->descriptors = TINA__NONE;
}

static void lose_the_descriptors(tina__world *world) { echo(world)->descriptors = 9999; }
static void close_an_owned_one(tina__world *world) { idle(world)->state = TINA__DESCRIPTOR_CLOSED; }
static void change_the_owner(tina__world *world) { idle(world)->owner[TINA__READ]++; }
static void misplace_a_half(tina__world *world) { idle(world)->previous[busy(world)->descriptors % 2] = 1; }
static void leave_it_to_a_dead(tina__world *world) { abandon(world, life_shard(world)->p.types[1].first); }
static void leave_it_to_nobody(tina__world *world) { abandon(world, TINA__NONE); }
static void forget_the_number(tina__world *world) { idle(world)->os_fd_check = 0; }

static void wait_for_what_is_over(tina__world *world)
{
    idle(world)->operation[TINA__READ] = life_operation_of(world, LIFE_BUSY, TINA_IO_RECV);
}

static void unlist_a_half(tina__world *world)
{
    tina__descriptor *descriptor = idle(world);
    uint32_t next = descriptor->next[busy(world)->descriptors % 2];
    descriptor->previous[next % 2] = TINA__NONE;
    busy(world)->descriptors = next;
}

static void tell_a_stale_closer(tina__world *world)
{
    idle(world)->closer[TINA__READ] = tina__handle_make(0, 1, 3, 1);
    idle(world)->told = 1 << TINA__READ;
}

static void keep_a_closed_one(tina__world *world)
{
    tina__shard *shard = life_shard(world);
    shard->p.descriptors[tina__pool_take(&shard->descriptors)].state = TINA__DESCRIPTOR_CLOSED;
}

static void leak_a_descriptor(tina__world *world) { (void)tina__pool_take(&life_shard(world)->descriptors); }
static void keep_one_for_nobody(tina__world *world) { (void)tina__descriptor_keep(life_shard(world)); }

/* ---- Given ones ------------------------------------------------------------------------------------------------- */

static uint32_t take_place(tina__world *world, tina__place_kind kind, uint32_t waiter)
{
    tina__peer *peer = &life_shard(world)->p.peers[1];
    uint32_t index = tina__pool_take(&peer->place_pool);
    peer->places[index] = (tina__place){.waiter = waiter, .state = TINA__PLACE_WAITING, .kind = (uint8_t)kind};
    return index;
}

/* As if it were on its way to the other shard. */
static tina__descriptor *give(tina__world *world)
{
    tina__shard *shard = life_shard(world);
    uint32_t index = tina__descriptor_keep(shard);
    tina__descriptor *descriptor = &shard->p.descriptors[index];
    descriptor->state = TINA__DESCRIPTOR_GIVEN;
    descriptor->os_fd_check = -1;
    descriptor->place = take_place(world, TINA__PLACE_GIFT, index);
    descriptor->to_shard = 1;
    shard->given_count++;
    return descriptor;
}

static void give_without_a_place(tina__world *world) { give(world)->place = 9999; }
static void give_to_no_shard(tina__world *world) { give(world)->to_shard = 77; }
static void give_in_anothers_place(tina__world *world) { give(world)->place = take_place(world, TINA__PLACE_TRANSFER, 0); }
static void give_and_own(tina__world *world) { give(world)->owner[TINA__WRITE] = index_of(world, echo(world)); }

static void give_and_keep_the_number(tina__world *world)
{
    tina__descriptor *descriptor = give(world);
    descriptor->os_fd = 7;
    descriptor->os_fd_check = ~7;
}

static void miscount_the_given(tina__world *world)
{
    give(world);
    life_shard(world)->given_count--;
}

/* As if it had come back. */
static tina__descriptor *take_back(tina__world *world, tina_handle giver)
{
    tina__shard *shard = life_shard(world);
    tina__descriptor *descriptor = &shard->p.descriptors[tina__descriptor_keep(shard)];
    descriptor->state = TINA__DESCRIPTOR_RETURNED;
    descriptor->giver = giver;
    return descriptor;
}

static void return_to_a_dead(tina__world *world) { (void)take_back(world, tina__handle_make(0, 1, 3, 1)); }

static void return_and_do_not_tell(tina__world *world)
{
    (void)take_back(world, tina__isolate_handle(life_shard(world), echo(world)));
}

static void return_and_tell_another(tina__world *world)
{
    tina__shard *shard = life_shard(world);
    const tina__descriptor *descriptor = take_back(world, tina__isolate_handle(shard, echo(world)));
    tina__done_push(shard, busy(world), shard->p.operation_count + 2 * (uint32_t)(descriptor - shard->p.descriptors));
}

static void return_without_a_number(tina__world *world)
{
    take_back(world, tina__isolate_handle(life_shard(world), echo(world)))->os_fd = 3;
}

/* ---- Buffers ----------------------------------------------------------------------------------------------------- */

static void leak_a_buffer(tina__world *world) { (void)tina__pool_take(&life_shard(world)->buffers); }

/* While it is sent from. */
static void give_a_buffer_back(tina__world *world)
{
    tina__pool_give_hot(&life_shard(world)->buffers, send_of(world)->buffer);
}

static void keep_a_buffer(tina__world *world)
{
    tina__shard *shard = life_shard(world);
    shard->p.buffer_users[tina__pool_take(&shard->buffers)] = 1;
}

static void send_from_all_buffers(tina__world *world)
{
    life_shard(world)->buffers_sending = life_shard(world)->p.buffer_count;
}
static void send_from_nowhere(tina__world *world) { life_shard(world)->buffers_sending = 3; }

static const life_alarm alarms[] = {
    {"operations_list_lost_rings", lose_the_list, "shard 0: an isolate's list of operations ends"},
    {"operation_of_another_rings", give_one_away, "shard 0: an operation is in its isolate's list"},
    {"operation_misplaced_rings", misplace_one, "shard 0: an operation knows what stands before it"},
    {"operation_listed_too_soon_rings", unstart_one, "shard 0: a listed operation has started"},
    {"operation_told_too_soon_rings", resume_one, "shard 0: what an isolate is told to be over is its own, and over"},
    {"operation_never_told_rings", untell_an_operation, "shard 0: an isolate is told of each operation that is over"},
    {"operation_moved_rings", move_one, "shard 0: an operation under way is on a descriptor"},
    {"operation_orphaned_rings", orphan_one, "shard 0: an operation that is nobody's is cancelled"},
    {"operation_orphaned_and_over_rings", orphan_one_that_is_over, "shard 0: an operation that is nobody's is under way"},
    {"operation_in_no_list_rings", unlist_one, "shard 0: every operation that has an isolate is in its list"},
    {"operation_left_staged_rings", leave_one_staged, "shard 0: no operation is left that was made and not returned"},
    {"operation_leaked_rings", leak_one, "shard 0: every operation in use is somebody's or under way"},
    {"operations_miscounted_ring", miscount_them, "shard 0: every operation under way is counted"},
    {"submissions_miscounted_ring", miscount_submissions, "shard 0: what was submitted and not completed is under way"},
    {"accept_without_room_rings", keep_nothing, "shard 0: an accept or an open keeps a descriptor for what it brings"},
    {"send_without_a_buffer_rings", take_the_buffer, "shard 0: a send has a buffer"},
    {"send_from_a_free_buffer_rings", free_the_buffer, "shard 0: a buffer that an operation holds has users"},
    {"close_told_of_another_rings", untell_a_close, "shard 0: what an isolate is told to be closed was its own"},
    {"ring_of_what_is_over_rings", open_the_ring, "shard 0: the ring of what is over closes"},
    {"holder_outside_the_tree_rings", wait_nowhere, "shard 0: what is not over is waited for in the tree"},
    {"holder_who_does_not_know_rings", wait_in_a_record, "shard 0: a child knows that it has to wait"},
    {"group_that_does_not_know_rings", wait_in_a_group, "shard 0: a group knows that it has to wait"},
    {"request_from_nowhere_rings", submit_what_is_none, "shard 0: the list of what is to be submitted ends"},
    {"starved_nobody_rings", starve_nobody, "shard 0: the list of the starved ends"},
    {"starved_who_is_not_rings", list_as_starved, "shard 0: who is listed as starved is"},
    {"starved_and_forgotten_rings", starve, "shard 0: who is starved is listed"},
    {"starved_without_its_tail_rings", starve_before_the_tail, "shard 0: the list of the starved ends at its tail"},
    {"descriptors_list_lost_rings", lose_the_descriptors, "shard 0: an isolate's list of descriptors ends"},
    {"descriptor_closed_and_owned_rings", close_an_owned_one, "shard 0: an owned descriptor is open"},
    {"descriptor_of_another_rings", change_the_owner, "shard 0: a descriptor is in its owner's list"},
    {"descriptor_misplaced_rings", misplace_a_half, "shard 0: a descriptor knows what stands before it"},
    {"descriptor_of_a_dead_rings", leave_it_to_a_dead, "shard 0: the owner of a descriptor is alive"},
    {"descriptor_of_nobody_rings", leave_it_to_nobody,
     "shard 0: a descriptor that nobody owns is closed when nothing is under way on it"},
    {"descriptor_without_a_number_rings", forget_the_number, "shard 0: an open descriptor names the system's"},
    {"descriptor_that_waits_for_what_is_over_rings", wait_for_what_is_over,
     "shard 0: what a descriptor waits for is under way on it"},
    {"descriptor_in_no_list_rings", unlist_a_half, "shard 0: every half of a descriptor that has an owner is in his list"},
    {"descriptor_whose_closer_is_dead_rings", tell_a_stale_closer, "shard 0: who was told of a close is alive"},
    {"descriptor_closed_for_ever_rings", keep_a_closed_one,
     "shard 0: a closed descriptor is free when its close has been handled"},
    {"descriptor_leaked_rings", leak_a_descriptor, "shard 0: every descriptor in use is kept, open, given or closed"},
    {"descriptor_kept_for_nobody_rings", keep_one_for_nobody, "shard 0: a descriptor is kept for an accept"},
    {"descriptor_given_without_a_place_rings", give_without_a_place,
     "shard 0: a descriptor that was given has a place for the answer"},
    {"descriptor_given_to_no_shard_rings", give_to_no_shard,
     "shard 0: a descriptor that was given has a place for the answer"},
    {"descriptor_given_in_anothers_place_rings", give_in_anothers_place,
     "shard 0: a descriptor that was given has a place for the answer"},
    {"descriptor_given_and_owned_rings", give_and_own, "shard 0: a descriptor that was given is nobody's here"},
    {"descriptor_given_and_kept_rings", give_and_keep_the_number,
     "shard 0: a descriptor that was given names none of the system's"},
    {"descriptors_given_miscounted_ring", miscount_the_given, "shard 0: every descriptor that was given is counted"},
    {"descriptor_returned_to_a_dead_rings", return_to_a_dead, "shard 0: who is told of what came back is alive"},
    {"descriptor_returned_and_not_told_rings", return_and_do_not_tell,
     "shard 0: a giver is told of each descriptor that came back"},
    {"descriptor_returned_to_another_rings", return_and_tell_another,
     "shard 0: what an isolate is told to have come back was its own"},
    {"descriptor_returned_without_a_number_rings", return_without_a_number,
     "shard 0: an open descriptor names the system's"},
    {"buffer_leaked_rings", leak_a_buffer, "shard 0: a buffer is free, lent, or has users"},
    {"buffer_given_twice_rings", give_a_buffer_back, "shard 0: a buffer is free, lent, or has users"},
    {"buffer_kept_for_nobody_rings", keep_a_buffer, "shard 0: the users of a buffer are operations"},
    {"sends_past_their_share_ring", send_from_all_buffers, "shard 0: sends keep to their share of the buffers"},
    {"sends_from_nowhere_ring", send_from_nowhere, "shard 0: a buffer that sends hold has users"},
};

int main(void) { return still_life_ring("alarms", alarms, sizeof alarms / sizeof alarms[0]); }
