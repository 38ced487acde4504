/* Transfers to another shard: copied once, bounded, and reclaimed whoever dies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/rig.h"

#include "os/trap.h"

#include <string.h>

#define TAG_NOISE (TINA_TAG_USER + 1)
#define COUNT     4 /* of the plan's transfers */
#define SIZE      4096

static rig_plan plan;
static rig_actor sender, receiver, third; /* on shards 0, 1 and 2 */

/* What the reader saw last. */
static struct {
    size_t size;
    uint8_t byte;
    bool is_even; /* all its bytes were the same */
} got;

static tina_effect read_it(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    const void *data;
    (void)me;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (message->tag != TINA_TAG_TRANSFER)
        return tina_receive();
    assert_int_equal(tina_transfer_read(ctx, message, &data, &got.size), TINA_OK);
    const uint8_t *bytes = data;
    got.byte = got.size == 0 ? 0 : bytes[0];
    got.is_even = true;
    for (size_t i = 0; i < got.size; i++)
        got.is_even = got.is_even && bytes[i] == got.byte;
    return tina_receive();
}

static rig_system *start_with(void (*change)(void))
{
    memset(&sender, 0, sizeof sender);
    memset(&receiver, 0, sizeof receiver);
    memset(&third, 0, sizeof third);
    memset(&got, 0, sizeof got);
    rig_plan_init(&plan, 3, 1);
    rig_plan_child(&plan, 0, 0, &sender);
    rig_plan_child(&plan, 1, 0, &receiver);
    rig_plan_child(&plan, 2, 0, &third);
    receiver.on = read_it;
    third.on = read_it;
    if (change != NULL)
        change();
    return rig_start(&plan);
}

static rig_system *start(void) { return start_with(NULL); }

/* ---- Steps ----------------------------------------------------------------------------------- */

static tina_effect send(rig_actor *me, tina_ctx *ctx)
{
    tina_transfer transfer;
    void *data;
    me->act.status = tina_transfer_alloc(ctx, &transfer, &data, NULL);
    if (me->act.status != TINA_OK)
        return tina_receive();
    memset(data, (int)me->act.reason, SIZE);
    me->act.status = tina_transfer_send(ctx, me->act.to, transfer, me->act.size);
    if (me->act.status != TINA_OK)
        tina_transfer_free(ctx, transfer);
    return tina_receive();
}

/* Sent, and on its way: the receiver's shard has not looked. */
static void send_half_way(rig_system *rig, tina_handle to, uint8_t byte)
{
    sender.act.to = to;
    sender.act.reason = byte;
    sender.act.size = SIZE;
    rig_order(rig, &sender, send);
    rig_tick(rig, 0);
    assert_int_equal(sender.act.status, TINA_OK);
}

static void expect_used(const rig_system *rig, uint32_t on_first, uint32_t on_second)
{
    assert_int_equal(rig->shards[0]->transfers.used, on_first);
    assert_int_equal(rig->shards[1]->transfers.used, on_second);
}

static void expect_got(uint8_t byte, size_t size)
{
    assert_int_equal(got.size, size);
    assert_int_equal(got.byte, byte);
    assert_true(got.is_even);
}

static tina_fd park(rig_system *rig, rig_actor *actor)
{
    tina_fd fd = rig_socket(rig, actor);
    rig_io(rig, actor, &(tina_op){.kind = TINA_IO_RECV, .fd = fd});
    return fd;
}

static void wipe(rig_system *rig, size_t shard)
{
    rig_wipe(rig, shard);
    rig_tick(rig, shard);
}

/* ---- Arriving ----------------------------------------------------------------------------------- */

static void transfer_to_another_shard_arrives_whole(void **state)
{
    (void)state;
    rig_system *rig = start();
    const size_t sizes[] = {0, 1, 97, SIZE};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint8_t byte = (uint8_t)(i + 1);
        assert_int_equal(rig_transfer(rig, &sender, receiver.self, byte, sizes[i]), TINA_OK);
        expect_got(sizes[i] == 0 ? 0 : byte, sizes[i]);
        assert_int_equal(rig_saw_last(&receiver)->source.bits, sender.self.bits);
        expect_used(rig, 0, 0);
    }
    assert_int_equal(rig_stats(rig, 0).sent_remote, 4);
    assert_int_equal(rig_stats(rig, 1).received_remote, 4);
    rig_check_ledger(rig);
    rig_end(rig);
}

static void transfer_on_its_way_counts_at_its_senders(void **state)
{
    (void)state;
    rig_system *rig = start();
    for (uint32_t i = 0; i < COUNT; i++) {
        send_half_way(rig, receiver.self, (uint8_t)i);
        expect_used(rig, i + 1, 0);
    }
    rig_order(rig, &sender, send);
    rig_tick(rig, 0);
    assert_int_equal(sender.act.status, TINA_POOL_EXHAUSTED);
    rig_settle(rig);
    assert_int_equal(rig_count_tag(&receiver, TINA_TAG_TRANSFER), COUNT);
    expect_got(COUNT - 1, SIZE);
    expect_used(rig, 0, 0);
    rig_end(rig);
}

static void transfer_that_is_too_large_or_to_nowhere_stays_the_senders(void **state)
{
    (void)state;
    rig_system *rig = start();
    assert_int_equal(rig_transfer(rig, &sender, receiver.self, 1, SIZE + 1), TINA_INVALID);
    assert_int_equal(rig_transfer(rig, &sender, tina_named(99, 1), 1, 1), TINA_INVALID);
    expect_used(rig, 0, 0);
    rig_end(rig);
}

static tina_effect keep_and_send_twice(rig_actor *me, tina_ctx *ctx)
{
    tina_transfer transfer;
    void *data;
    assert_int_equal(tina_transfer_alloc(ctx, &transfer, &data, NULL), TINA_OK);
    assert_int_equal(tina_transfer_send(ctx, me->act.to, transfer, 1), TINA_OK);
    me->act.status = tina_transfer_send(ctx, me->act.to, transfer, 1);
    tina_transfer_free(ctx, transfer); /* not its own any more */
    return tina_receive();
}

static void transfer_that_was_sent_is_its_senders_no_more(void **state)
{
    (void)state;
    rig_system *rig = start();
    sender.act.to = receiver.self;
    rig_order(rig, &sender, keep_and_send_twice);
    rig_tick(rig, 0);
    assert_int_equal(sender.act.status, TINA_NOT_OWNER);
    expect_used(rig, 1, 0);
    rig_settle(rig);
    assert_int_equal(rig_count_tag(&receiver, TINA_TAG_TRANSFER), 1);
    expect_used(rig, 0, 0);
    rig_end(rig);
}

/* ---- Refused -------------------------------------------------------------------------------------- */

static void transfer_to_somebody_gone_is_reclaimed(void **state)
{
    (void)state;
    rig_system *rig = start();
    tina_handle gone = receiver.self;
    gone.bits++;
    uint64_t stale = rig_stats(rig, 1).arrived_stale;
    assert_int_equal(rig_transfer(rig, &sender, gone, 1, SIZE), TINA_OK);
    assert_int_equal(rig_stats(rig, 1).arrived_stale, stale + 1);
    expect_used(rig, 0, 0);
    rig_end(rig);
}

static void transfer_to_a_full_mailbox_is_reclaimed(void **state)
{
    (void)state;
    rig_system *rig = start();
    (void)park(rig, &receiver);
    for (uint32_t i = 0; i < 32; i++)
        assert_true(rig_post(rig, receiver.self, TAG_NOISE, NULL, 0));
    rig_settle(rig);
    uint64_t full = rig_stats(rig, 1).arrived_full;
    assert_int_equal(rig_transfer(rig, &sender, receiver.self, 1, SIZE), TINA_OK);
    assert_int_equal(rig_stats(rig, 1).arrived_full, full + 1);
    expect_used(rig, 0, 0);
    rig_end(rig);
}

/* All of the receiver's shard's are in its mailbox. */
static void transfer_that_finds_none_free_is_reclaimed(void **state)
{
    (void)state;
    rig_system *rig = start();
    tina_fd fd = park(rig, &receiver);
    for (uint32_t i = 0; i < COUNT; i++)
        assert_int_equal(rig_transfer(rig, &sender, receiver.self, (uint8_t)i, SIZE), TINA_OK);
    expect_used(rig, 0, COUNT);
    uint64_t exhausted = rig_stats(rig, 1).arrived_exhausted;
    uint32_t used = tina__pool_taken(&rig->shards[1]->messages);
    assert_int_equal(rig_transfer(rig, &sender, receiver.self, 9, SIZE), TINA_OK);
    assert_int_equal(rig_stats(rig, 1).arrived_exhausted, exhausted + 1);
    assert_int_equal(tina__pool_taken(&rig->shards[1]->messages), used);
    expect_used(rig, 0, COUNT);
    rig_complete_receive(rig, 1, rig_request_of(rig, fd, TINA__IO_RECEIVE), "x", 1);
    rig_settle(rig);
    expect_got(COUNT - 1, SIZE);
    expect_used(rig, 0, 0);
    rig_end(rig);
}

/* One more than there is room for, in one tick. */
static void transfer_waits_for_a_receiver_that_is_about_to_run(void **state)
{
    (void)state;
    rig_system *rig = start();
    for (uint32_t round = 0; round < 20; round++) {
        rig_forget(&receiver);
        for (uint32_t i = 0; i < COUNT; i++)
            send_half_way(rig, receiver.self, (uint8_t)i);
        third.act = sender.act;
        rig_order(rig, &third, send);
        rig_tick(rig, 2);
        assert_int_equal(third.act.status, TINA_OK);
        rig_tick(rig, 1);
        assert_int_equal(rig_count_tag(&receiver, TINA_TAG_TRANSFER), COUNT);
        rig_settle(rig);
        assert_int_equal(rig_count_tag(&receiver, TINA_TAG_TRANSFER), COUNT + 1);
    }
    assert_int_equal(rig_stats(rig, 1).arrived_exhausted, 0);
    expect_used(rig, 0, 0);
    rig_end(rig);
}

static void narrow(void)
{
    plan.spec.channel_capacity = 2;
    plan.spec.transfer_count = COUNT;
}

static void transfer_without_room_for_it_or_its_answer_stays_the_senders(void **state)
{
    (void)state;
    rig_system *rig = start_with(narrow);
    send_half_way(rig, receiver.self, 1);
    send_half_way(rig, receiver.self, 2);
    rig_order(rig, &sender, send);
    rig_tick(rig, 0);
    assert_int_equal(sender.act.status, TINA_CHANNEL_FULL);
    expect_used(rig, 2, 0);
    rig_settle(rig);
    assert_int_equal(rig_count_tag(&receiver, TINA_TAG_TRANSFER), 2);
    expect_used(rig, 0, 0);
    rig_end(rig);
}

/* ---- Isolates and shards that end ------------------------------------------------------------------- */

static tina_effect send_and_crash(rig_actor *me, tina_ctx *ctx)
{
    (void)send(me, ctx);
    return tina_crash(1);
}

static void transfer_outlives_its_sender(void **state)
{
    (void)state;
    rig_system *rig = start();
    sender.act.to = receiver.self;
    sender.act.reason = 7;
    sender.act.size = SIZE;
    rig_do(rig, &sender, send_and_crash);
    expect_got(7, SIZE);
    expect_used(rig, 0, 0);
    rig_end(rig);
}

static void transfer_to_a_shard_that_began_anew_is_reclaimed(void **state)
{
    (void)state;
    rig_system *rig = start();
    send_half_way(rig, receiver.self, 1);
    wipe(rig, 1);
    rig_settle(rig);
    assert_int_equal(rig_count_tag(&receiver, TINA_TAG_TRANSFER), 0);
    expect_used(rig, 0, 0);
    assert_int_equal(rig_transfer(rig, &sender, receiver.self, 3, SIZE), TINA_OK);
    expect_got(3, SIZE);
    rig_end(rig);
}

static tina_effect break_on_transfer(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    (void)me;
    (void)ctx;
    if (message->tag == TINA_TAG_TRANSFER)
        tina__trap_throw(&(tina__fault){.kind = TINA__FAULT_BROKEN, .what = "planted"});
    return message->tag == TINA_TAG_SHUTDOWN ? tina_done() : tina_receive();
}

/* The answer was written and not published. */
static void transfer_that_was_copied_in_the_tick_of_a_wipe_is_reclaimed(void **state)
{
    (void)state;
    rig_system *rig = start();
    receiver.on = break_on_transfer;
    send_half_way(rig, receiver.self, 1);
    rig_settle(rig);
    assert_int_equal(rig_count_tag(&receiver, TINA_TAG_TRANSFER), 1);
    expect_used(rig, 0, 0);
    rig_end(rig);
}

static tina_effect send_and_break(rig_actor *me, tina_ctx *ctx)
{
    (void)send(me, ctx);
    tina__trap_throw(&(tina__fault){.kind = TINA__FAULT_BROKEN, .what = "planted"});
}

static void transfer_that_was_not_published_is_free_when_the_others_know(void **state)
{
    (void)state;
    rig_system *rig = start();
    sender.act.to = receiver.self;
    sender.act.size = SIZE;
    rig_order(rig, &sender, send_and_break);
    rig_tick(rig, 0);
    expect_used(rig, 1, 0);
    rig_settle(rig);
    assert_int_equal(rig_count_tag(&receiver, TINA_TAG_TRANSFER), 0);
    expect_used(rig, 0, 0);
    rig_end(rig);
}

static tina_effect take_all(rig_actor *me, tina_ctx *ctx)
{
    tina_transfer transfer;
    void *data;
    for (me->act.call = 0; tina_transfer_alloc(ctx, &transfer, &data, NULL) == TINA_OK; me->act.call++)
        memset(data, 0xEE, SIZE);
    return tina_receive();
}

/* The new life has all but those that another shard may still read, which is so until that has dealt with it. */
static void transfer_that_was_published_is_read_whatever_its_senders_shard_does(void **state)
{
    (void)state;
    rig_system *rig = start();
    send_half_way(rig, receiver.self, 5);
    send_half_way(rig, third.self, 6);
    wipe(rig, 0);
    expect_used(rig, 2, 0);
    wipe(rig, 0); /* nor does the life after that */
    expect_used(rig, 2, 0);
    rig_tick(rig, 2);
    rig_tick(rig, 2);
    expect_got(6, SIZE);
    rig->now_ns += 200 * RIG_MS; /* shard 1 is busy, and the tree waits no longer */
    for (uint32_t tick = 0; tick < 5; tick++)
        rig_tick(rig, 0);
    expect_used(rig, 1, 0);
    rig_order(rig, &sender, take_all);
    rig_tick(rig, 0);
    assert_int_equal(sender.act.call, COUNT - 1);
    rig_tick(rig, 1);
    expect_got(5, SIZE);
    rig_settle(rig);
    expect_used(rig, COUNT - 1, 0);
    rig_end(rig);
}

static void transfer_between_two_shards_that_begin_anew_is_reclaimed(void **state)
{
    (void)state;
    for (size_t first = 0; first < 2; first++) {
        rig_system *rig = start();
        send_half_way(rig, receiver.self, 1);
        wipe(rig, first);
        wipe(rig, 1 - first);
        rig_settle(rig);
        assert_int_equal(rig_count_tag(&receiver, TINA_TAG_TRANSFER), 0);
        expect_used(rig, 0, 0);
        rig_end(rig);
    }
}

/* It will never say that it has dealt with anything. */
static void transfer_to_a_shard_that_is_lost_is_reclaimed(void **state)
{
    (void)state;
    rig_system *rig = start();
    send_half_way(rig, receiver.self, 1);
    wipe(rig, 0);
    expect_used(rig, 1, 0);
    rig->publics[1].state = TINA_SHARD_QUARANTINED;
    rig->publics[1].life++;
    (void)tina__doorbell_ring(&rig->publics[0].bell, TINA__DOORBELL_CONTROL);
    rig_tick(rig, 0);
    expect_used(rig, 0, 0);
    rig->publics[1].state = TINA_SHARD_RUNNING; /* for the end */
    rig_end(rig);
}

static void allow_one_life(void) { plan.spec.shard_restart_max = TINA_NONE; }

static void transfer_to_a_quarantined_shard_is_reclaimed_or_refused(void **state)
{
    (void)state;
    rig_system *rig = start_with(allow_one_life);
    send_half_way(rig, receiver.self, 1);
    wipe(rig, 1);
    rig_settle(rig);
    expect_used(rig, 0, 0);
    assert_int_equal(rig_transfer(rig, &sender, receiver.self, 1, 1), TINA_SHARD_DOWN);
    expect_used(rig, 0, 0);
    rig_end(rig);
}

static void transfer_on_its_way_at_the_end_is_reclaimed(void **state)
{
    (void)state;
    rig_system *rig = start();
    send_half_way(rig, receiver.self, 1);
    rig_stop(rig, TINA__STOP_GRACEFUL);
    rig_end(rig);
}

/* ---- Counters of other shards -------------------------------------------------------------------------- */

static tina_stats own, other;
static tina_status of_own, of_other, of_none, of_null;

static tina_effect look(rig_actor *me, tina_ctx *ctx)
{
    (void)me;
    of_own = tina_stats_of(ctx, 0, &own);
    of_other = tina_stats_of(ctx, 1, &other);
    of_none = tina_stats_of(ctx, 3, &own);
    of_null = tina_stats_of(ctx, 0, NULL);
    return tina_receive();
}

static void stats_of_any_shard_are_there_for_a_handler(void **state)
{
    (void)state;
    rig_system *rig = start();
    for (uint32_t i = 0; i < 3; i++)
        assert_int_not_equal(rig_socket(rig, &receiver).bits, 0);
    assert_int_not_equal(rig_socket(rig, &sender).bits, 0);
    rig_do(rig, &sender, look);
    assert_int_equal(of_own, TINA_OK);
    assert_int_equal(of_other, TINA_OK);
    assert_int_equal(of_none, TINA_INVALID);
    assert_int_equal(of_null, TINA_INVALID);
    assert_int_equal(own.fds.used, 1);
    assert_int_equal(other.fds.used, 3);
    assert_int_equal(other.fds.limit, 16);
    assert_int_equal(other.isolates, 1);
    assert_int_equal(other.state, TINA_SHARD_RUNNING);
    assert_int_equal(other.posted, rig_stats(rig, 1).posted);
    rig_end(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transfer_to_another_shard_arrives_whole),
        cmocka_unit_test(transfer_on_its_way_counts_at_its_senders),
        cmocka_unit_test(transfer_that_is_too_large_or_to_nowhere_stays_the_senders),
        cmocka_unit_test(transfer_that_was_sent_is_its_senders_no_more),
        cmocka_unit_test(transfer_to_somebody_gone_is_reclaimed),
        cmocka_unit_test(transfer_to_a_full_mailbox_is_reclaimed),
        cmocka_unit_test(transfer_that_finds_none_free_is_reclaimed),
        cmocka_unit_test(transfer_waits_for_a_receiver_that_is_about_to_run),
        cmocka_unit_test(transfer_without_room_for_it_or_its_answer_stays_the_senders),
        cmocka_unit_test(transfer_outlives_its_sender),
        cmocka_unit_test(transfer_to_a_shard_that_began_anew_is_reclaimed),
        cmocka_unit_test(transfer_that_was_copied_in_the_tick_of_a_wipe_is_reclaimed),
        cmocka_unit_test(transfer_that_was_not_published_is_free_when_the_others_know),
        cmocka_unit_test(transfer_that_was_published_is_read_whatever_its_senders_shard_does),
        cmocka_unit_test(transfer_between_two_shards_that_begin_anew_is_reclaimed),
        cmocka_unit_test(transfer_to_a_shard_that_is_lost_is_reclaimed),
        cmocka_unit_test(transfer_to_a_quarantined_shard_is_reclaimed_or_refused),
        cmocka_unit_test(transfer_on_its_way_at_the_end_is_reclaimed),
        cmocka_unit_test(stats_of_any_shard_are_there_for_a_handler),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
