/* Descriptors that are given: whose they are, whoever is full, dies or begins anew meanwhile, and that each is closed once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/rig.h"

#include "core/gift.h"
#include "core/inbound.h"
#include "core/route.h"
#include "os/trap.h"

#include <string.h>

#define TAG_NOISE (TINA_TAG_USER + 1)
#define NAME      7

static rig_plan plan;
static rig_actor giver, receiver, near; /* the giver and near live on shard 0, the receiver on shard 1 */

static rig_system *start_with(void (*change)(void))
{
    memset(&giver, 0, sizeof giver);
    memset(&receiver, 0, sizeof receiver);
    memset(&near, 0, sizeof near);
    rig_plan_init(&plan, 2, 1);
    rig_plan_child(&plan, 0, 0, &giver);
    rig_plan_child(&plan, 0, 0, &near);
    rig_plan_child(&plan, 1, 0, &receiver)->name = NAME;
    if (change != NULL)
        change();
    return rig_start(&plan);
}

static rig_system *start(void) { return start_with(NULL); }

/* ---- Steps ------------------------------------------------------------------------------------- */

static tina_effect give(rig_actor *me, tina_ctx *ctx)
{
    me->act.status = tina_fd_give(ctx, me->act.to, me->act.fd);
    return tina_receive();
}

/* Given, and on its way: the receiver's shard has not looked. */
static tina_fd give_half_way(rig_system *rig, tina_handle to)
{
    tina_fd fd = rig_socket(rig, &giver);
    giver.act.to = to;
    giver.act.fd = fd;
    rig_order(rig, &giver, give);
    rig_tick(rig, 0);
    assert_int_equal(giver.act.status, TINA_OK);
    assert_int_equal(rig_count_in_messages(rig), 1);
    return fd;
}

/* In a receive, so that it takes no mail. Returns the descriptor. */
static tina_fd park(rig_system *rig, rig_actor *actor)
{
    tina_fd fd = rig_socket(rig, actor);
    rig_io(rig, actor, &(tina_op){.kind = TINA_IO_RECV, .fd = fd});
    return fd;
}

static void unpark(rig_system *rig, tina_fd fd)
{
    rig_complete_receive(rig, tina__word_shard(fd.bits), rig_request_of(rig, fd, TINA__IO_RECEIVE), "x", 1);
    rig_settle(rig);
}

static tina_effect crash_on_io(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    (void)me;
    (void)ctx;
    return message->tag == TINA_IO_RECV ? tina_crash(1) : message->tag == TINA_TAG_SHUTDOWN ? tina_done() : tina_receive();
}

static void fill_the_mailbox(rig_system *rig, const rig_actor *actor)
{
    for (uint32_t i = 0; i < 32; i++)
        assert_true(rig_post(rig, actor->self, TAG_NOISE, NULL, 0));
    rig_settle(rig);
}

static void expect_open(const rig_system *rig, uint32_t on_first, uint32_t on_second)
{
    assert_int_equal(rig->backends[0].os_fd_count, on_first);
    assert_int_equal(rig->backends[1].os_fd_count, on_second);
    assert_int_equal(rig_count_in_messages(rig), 0);
    assert_int_equal(rig->shards[0]->descriptors.used, on_first);
    assert_int_equal(rig->shards[1]->descriptors.used, on_second);
}

/* It is that actor's: he may use it. */
static void expect_owner(rig_system *rig, rig_actor *actor, tina_fd fd)
{
    assert_int_equal(rig_io_start(rig, actor, &(tina_op){.kind = TINA_IO_RECV, .fd = fd}), TINA_OK);
    rig_io_cancel(rig, actor, fd, TINA_BOTH_HALVES);
    assert_int_equal(rig_saw_last(actor)->status, TINA_CANCELLED);
}

static void expect_stale(rig_system *rig, rig_actor *actor, tina_fd fd)
{
    assert_int_equal(rig_io_start(rig, actor, &(tina_op){.kind = TINA_IO_RECV, .fd = fd}), TINA_STALE_HANDLE);
}

/* The one gift that it saw. */
static tina_fd expect_gift(const rig_actor *actor, tina_handle source)
{
    assert_int_equal(rig_count_tag(actor, TINA_TAG_FD), 1);
    const rig_seen *seen = rig_saw_last(actor);
    assert_int_equal(seen->tag, TINA_TAG_FD);
    assert_int_equal(seen->status, TINA_OK);
    assert_int_equal(seen->source.bits, source.bits);
    assert_true(seen->value != 0); /* whom it is connected to */
    return seen->fd;
}

/* The one notice that it is back, or lost. */
static void expect_back(const rig_actor *actor, tina_fd fd, tina_status status)
{
    assert_int_equal(rig_count_tag(actor, TINA_TAG_FD), 1);
    const rig_seen *seen = rig_saw_last(actor);
    assert_int_equal(seen->tag, TINA_TAG_FD);
    assert_int_equal(seen->status, status);
    assert_int_equal(seen->fd.bits, fd.bits);
    assert_true(tina_handle_is_none(seen->source));
    assert_int_equal(seen->value != 0, status != TINA_SHARD_DOWN);
}

static void wipe(rig_system *rig, size_t shard)
{
    rig_wipe(rig, shard);
    rig_tick(rig, shard);
}

/* ---- On one shard -------------------------------------------------------------------------------- */

static void gift_on_one_shard_is_its_receivers_at_once(void **state)
{
    (void)state;
    rig_system *rig = start();
    tina_fd fd = rig_socket(rig, &giver);
    uint64_t sent = rig_stats(rig, 0).sent_local;
    uint64_t delivered = rig_stats(rig, 0).delivered;
    assert_int_equal(rig_give(rig, &giver, near.self, fd), TINA_OK);
    assert_int_equal(rig_stats(rig, 0).sent_local, sent + 1);
    assert_int_equal(rig_stats(rig, 0).delivered, delivered + 2); /* the order, and the gift */
    tina_fd own = expect_gift(&near, giver.self);
    expect_stale(rig, &giver, fd);
    expect_owner(rig, &near, own);
    expect_open(rig, 1, 0);
    rig_end(rig);
}

static void gift_to_oneself_comes_by_a_new_handle(void **state)
{
    (void)state;
    rig_system *rig = start();
    tina_fd fd = rig_socket(rig, &giver);
    assert_int_equal(rig_give(rig, &giver, giver.self, fd), TINA_OK);
    tina_fd own = expect_gift(&giver, giver.self);
    assert_int_not_equal(own.bits, fd.bits);
    expect_owner(rig, &giver, own);
    rig_end(rig);
}

static void gift_on_one_shard_ends_with_whoever_has_it(void **state)
{
    (void)state;
    for (int dies_first = 0; dies_first < 2; dies_first++) {
        rig_system *rig = start();
        near.on = crash_on_io;
        tina_fd own = park(rig, &near);
        tina_fd fd = rig_socket(rig, &giver);
        assert_int_equal(rig_give(rig, &giver, near.self, fd), TINA_OK);
        rig_crash(rig, &giver);
        expect_open(rig, 2, 0); /* it is not the giver's any more */
        uint64_t died = rig_stats(rig, 0).died_with_owner;
        if (dies_first)
            unpark(rig, own);
        expect_open(rig, dies_first ? 0 : 2, 0);
        assert_int_equal(rig_stats(rig, 0).died_with_owner, died + (uint64_t)dies_first);
        rig_end(rig);
    }
}

static void gift_that_is_refused_stays_the_givers(void **state)
{
    (void)state;
    rig_system *rig = start();
    tina_fd fd = rig_socket(rig, &giver);
    tina_handle gone = near.self;
    gone.bits++;
    assert_int_equal(rig_give(rig, &giver, gone, fd), TINA_STALE_HANDLE);
    assert_int_equal(rig_give(rig, &giver, tina_named(99, 1), fd), TINA_INVALID);
    assert_int_equal(rig_give(rig, &giver, near.self, (tina_fd){fd.bits + 1}), TINA_STALE_HANDLE);
    assert_int_equal(rig_give(rig, &near, giver.self, fd), TINA_NOT_OWNER);
    assert_int_equal(rig_give(rig, &near, receiver.self, fd), TINA_NOT_OWNER);
    (void)park(rig, &near);
    fill_the_mailbox(rig, &near);
    assert_int_equal(rig_give(rig, &giver, near.self, fd), TINA_MAILBOX_FULL);
    assert_int_equal(rig_io_start(rig, &giver, &(tina_op){.kind = TINA_IO_RECV, .fd = fd}), TINA_OK);
    assert_int_equal(rig_give(rig, &giver, giver.self, fd), TINA_BUSY);
    assert_int_equal(rig_give(rig, &giver, receiver.self, fd), TINA_BUSY);
    rig_io_cancel(rig, &giver, fd, TINA_BOTH_HALVES);
    assert_int_equal(rig_count_tag(&giver, TINA_TAG_FD), 0);
    expect_owner(rig, &giver, fd);
    expect_open(rig, 2, 0);
    rig_end(rig);
}

static void half_a_descriptor_is_not_given(void **state)
{
    (void)state;
    rig_system *rig = start();
    rig_actor *child = &receiver; /* any record will do */
    tina_fd fd = rig_socket(rig, &giver);
    tina_spawn spawn = {.fd = fd, .handoff = TINA_HANDOFF_READ, .args = &child, .args_size = sizeof child};
    assert_int_equal(rig_spawn(rig, &giver, &spawn), TINA_OK);
    assert_int_equal(rig_give(rig, &giver, near.self, fd), TINA_NOT_OWNER);
    assert_int_equal(rig_give(rig, &giver, tina_named(1, NAME), fd), TINA_NOT_OWNER);
    rig_end(rig);
}

/* ---- To another shard ------------------------------------------------------------------------------ */

static void gift_to_another_shard_is_its_receivers(void **state)
{
    (void)state;
    rig_system *rig = start();
    for (int by_name = 0; by_name < 2; by_name++) {
        rig_forget(&receiver);
        tina_handle to = by_name ? tina_named(1, NAME) : receiver.self;
        tina_fd fd = give_half_way(rig, to);
        expect_stale(rig, &giver, fd);
        rig_settle(rig);
        assert_int_equal(rig_count_tag(&giver, TINA_TAG_FD), 0);
        tina_fd own = expect_gift(&receiver, giver.self);
        assert_int_equal(tina__word_shard(own.bits), 1);
        expect_open(rig, 0, (uint32_t)by_name + 1);
        expect_owner(rig, &receiver, own);
    }
    assert_int_equal(rig_stats(rig, 0).sent_remote, 2);
    assert_int_equal(rig_stats(rig, 1).received_remote, 2);
    rig_end(rig);
}

static void gift_goes_around_and_comes_home(void **state)
{
    (void)state;
    rig_system *rig = start();
    tina_fd fd = rig_socket(rig, &giver);
    for (uint32_t round = 0; round < 3000; round++) { /* more than the pools have slots, and places */
        rig_forget(&receiver);
        rig_forget(&giver);
        assert_int_equal(rig_give(rig, &giver, receiver.self, fd), TINA_OK);
        fd = expect_gift(&receiver, giver.self);
        assert_int_equal(rig_give(rig, &receiver, giver.self, fd), TINA_OK);
        fd = expect_gift(&giver, receiver.self);
    }
    expect_open(rig, 1, 0);
    rig_end(rig);
}

static void gift_that_nobody_takes_comes_back(void **state)
{
    (void)state;
    rig_system *rig = start();
    tina_handle gone = receiver.self;
    gone.bits++;
    uint64_t stale = rig_stats(rig, 1).arrived_stale;
    tina_fd fd = give_half_way(rig, gone);
    rig_settle(rig);
    expect_back(&giver, fd, TINA_STALE_HANDLE);
    assert_int_equal(rig_stats(rig, 1).arrived_stale, stale + 1);
    expect_open(rig, 1, 0);
    expect_owner(rig, &giver, fd);
    rig_end(rig);
}

static void gift_to_a_full_mailbox_comes_back(void **state)
{
    (void)state;
    rig_system *rig = start();
    (void)park(rig, &receiver);
    fill_the_mailbox(rig, &receiver);
    uint64_t full = rig_stats(rig, 1).arrived_full;
    tina_fd fd = give_half_way(rig, receiver.self);
    rig_settle(rig);
    expect_back(&giver, fd, TINA_MAILBOX_FULL);
    assert_int_equal(rig_stats(rig, 1).arrived_full, full + 1);
    expect_owner(rig, &giver, fd);
    rig_end(rig);
}

static void gift_without_a_free_descriptor_comes_back(void **state)
{
    (void)state;
    rig_system *rig = start();
    for (uint32_t i = 0; i < 16; i++)
        assert_int_not_equal(rig_socket(rig, &receiver).bits, 0);
    uint64_t exhausted = rig_stats(rig, 1).arrived_exhausted;
    uint64_t used = tina__pool_taken(&rig->shards[1]->messages);
    tina_fd fd = give_half_way(rig, receiver.self);
    rig_settle(rig);
    expect_back(&giver, fd, TINA_POOL_EXHAUSTED);
    assert_int_equal(rig_stats(rig, 1).arrived_exhausted, exhausted + 1);
    assert_int_equal(tina__pool_taken(&rig->shards[1]->messages), used);
    expect_owner(rig, &giver, fd);
    rig_end(rig);
}

static tina_effect give_many(rig_actor *me, tina_ctx *ctx)
{
    for (me->act.call = 0; me->act.call < 16; me->act.call++) {
        tina_fd fd;
        assert_int_equal(tina_socket(ctx, TINA_IPV4, TINA_STREAM, &fd), TINA_OK);
        me->act.status = tina_fd_give(ctx, me->act.to, fd);
        if (me->act.status != TINA_OK)
            break;
    }
    return tina_receive();
}

static void narrow(void) { plan.spec.channel_capacity = 4; }

static void gift_without_room_for_it_or_its_answer_stays_the_givers(void **state)
{
    (void)state;
    rig_system *rig = start_with(narrow);
    giver.act.to = receiver.self;
    rig_order(rig, &giver, give_many);
    rig_tick(rig, 0);
    assert_int_equal(giver.act.call, 4);
    assert_int_equal(giver.act.status, TINA_CHANNEL_FULL);
    rig_settle(rig);
    assert_int_equal(rig_count_tag(&giver, TINA_TAG_FD), 0);
    assert_int_equal(rig_count_tag(&receiver, TINA_TAG_FD), 4);
    expect_open(rig, 1, 4);
    rig_end(rig);
}

/* ---- Isolates that end -------------------------------------------------------------------------------- */

static tina_effect give_and_crash(rig_actor *me, tina_ctx *ctx)
{
    me->act.status = tina_fd_give(ctx, me->act.to, me->act.fd);
    return tina_crash(1);
}

static void gift_outlives_its_giver(void **state)
{
    (void)state;
    rig_system *rig = start();
    giver.act.fd = rig_socket(rig, &giver);
    giver.act.to = receiver.self;
    rig_do(rig, &giver, give_and_crash);
    tina_fd own = expect_gift(&receiver, giver.self);
    expect_open(rig, 0, 1);
    expect_owner(rig, &receiver, own);
    rig_end(rig);
}

static void gift_that_comes_back_to_nobody_is_closed(void **state)
{
    (void)state;
    rig_system *rig = start();
    giver.act.fd = rig_socket(rig, &giver);
    giver.act.to = receiver.self;
    giver.act.to.bits++;
    rig_do(rig, &giver, give_and_crash);
    assert_int_equal(giver.act.status, TINA_OK);
    expect_open(rig, 0, 0);
    rig_end(rig);
}

static tina_effect give_and_park(rig_actor *me, tina_ctx *ctx)
{
    me->act.status = tina_fd_give(ctx, me->act.to, me->act.fd);
    return tina_io(ctx, &me->act.op);
}

/* It waits for its giver, who has something else to do. */
static void gift_that_is_back_waits_for_its_giver_or_ends_with_him(void **state)
{
    (void)state;
    for (int dies = 0; dies < 2; dies++) {
        rig_system *rig = start();
        giver.on = dies ? crash_on_io : NULL;
        tina_fd other = rig_socket(rig, &giver);
        tina_fd fd = rig_socket(rig, &giver);
        giver.act.fd = fd;
        giver.act.op = (tina_op){.kind = TINA_IO_RECV, .fd = other};
        giver.act.to = receiver.self;
        giver.act.to.bits++;
        rig_do(rig, &giver, give_and_park);
        expect_open(rig, 2, 0);
        assert_int_equal(rig_count_tag(&giver, TINA_TAG_FD), 0);
        unpark(rig, other);
        expect_open(rig, dies ? 0 : 2, 0);
        if (!dies) {
            expect_back(&giver, fd, TINA_STALE_HANDLE);
            expect_owner(rig, &giver, fd);
        }
        rig_end(rig);
    }
}

static void gift_that_is_back_is_closed_with_its_shard(void **state)
{
    (void)state;
    rig_system *rig = start();
    tina_fd other = rig_socket(rig, &giver);
    giver.act.fd = rig_socket(rig, &giver);
    giver.act.op = (tina_op){.kind = TINA_IO_RECV, .fd = other};
    giver.act.to = receiver.self;
    giver.act.to.bits++;
    rig_do(rig, &giver, give_and_park);
    wipe(rig, 0);
    rig_settle(rig);
    expect_open(rig, 0, 0);
    rig_end(rig);
}

static void gift_dies_with_a_receiver_who_has_not_handled_it(void **state)
{
    (void)state;
    rig_system *rig = start();
    receiver.on = crash_on_io;
    tina_fd own = park(rig, &receiver);
    (void)give_half_way(rig, receiver.self);
    rig_settle(rig);
    expect_open(rig, 0, 2);
    uint64_t died = rig_stats(rig, 1).died_with_owner;
    unpark(rig, own);
    expect_open(rig, 0, 0);
    assert_int_equal(rig_stats(rig, 1).died_with_owner, died + 1);
    assert_int_equal(rig_count_tag(&giver, TINA_TAG_FD), 0);
    rig_end(rig);
}

/* ---- Shards that begin anew ----------------------------------------------------------------------------- */

static void gift_to_a_shard_that_began_anew_is_lost(void **state)
{
    (void)state;
    rig_system *rig = start();
    tina_fd fd = give_half_way(rig, receiver.self);
    wipe(rig, 1);
    rig_settle(rig);
    expect_back(&giver, fd, TINA_SHARD_DOWN);
    expect_stale(rig, &giver, fd);
    expect_open(rig, 0, 0);
    rig_forget(&giver);
    (void)give_half_way(rig, receiver.self); /* the way is open again */
    rig_settle(rig);
    (void)expect_gift(&receiver, giver.self);
    expect_open(rig, 0, 1);
    rig_end(rig);
}

static void gift_that_was_taken_ends_with_its_new_shard(void **state)
{
    (void)state;
    rig_system *rig = start();
    (void)give_half_way(rig, receiver.self);
    rig_tick(rig, 1); /* taken, and said so */
    assert_int_equal(rig->backends[1].os_fd_count, 1);
    wipe(rig, 1);
    rig_settle(rig);
    assert_int_equal(rig_count_tag(&giver, TINA_TAG_FD), 0);
    expect_open(rig, 0, 0);
    rig_end(rig);
}

static tina_effect break_on_fd(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    (void)me;
    (void)ctx;
    if (message->tag == TINA_TAG_FD)
        tina__trap_throw(&(tina__fault){.kind = TINA__FAULT_BROKEN, .what = "planted"});
    return message->tag == TINA_TAG_SHUTDOWN ? tina_done() : tina_receive();
}

/* The answer was written and not published. */
static void gift_that_was_taken_in_the_tick_of_a_wipe_is_lost(void **state)
{
    (void)state;
    rig_system *rig = start();
    receiver.on = break_on_fd;
    tina_fd fd = give_half_way(rig, receiver.self);
    rig_settle(rig);
    assert_int_equal(rig_count_tag(&receiver, TINA_TAG_FD), 1);
    expect_back(&giver, fd, TINA_SHARD_DOWN);
    expect_open(rig, 0, 0);
    rig_end(rig);
}

/* Likewise one that goes back. */
static tina_effect break_now(rig_actor *me, tina_ctx *ctx)
{
    (void)me;
    (void)ctx;
    tina__trap_throw(&(tina__fault){.kind = TINA__FAULT_BROKEN, .what = "planted"});
}

static void gift_that_goes_back_in_the_tick_of_a_wipe_is_lost(void **state)
{
    (void)state;
    rig_system *rig = start();
    tina_handle gone = receiver.self;
    gone.bits++;
    tina_fd fd = give_half_way(rig, gone);
    rig_order(rig, &receiver, break_now);
    rig_settle(rig);
    expect_back(&giver, fd, TINA_SHARD_DOWN);
    expect_open(rig, 0, 0);
    rig_end(rig);
}

static tina_effect give_and_break(rig_actor *me, tina_ctx *ctx)
{
    me->act.status = tina_fd_give(ctx, me->act.to, me->act.fd);
    tina__trap_throw(&(tina__fault){.kind = TINA__FAULT_BROKEN, .what = "planted"});
}

static void gift_that_was_not_published_is_closed_with_its_givers_shard(void **state)
{
    (void)state;
    rig_system *rig = start();
    for (uint32_t life = 0; life < 3; life++) {
        giver.act.fd = rig_socket(rig, &giver);
        giver.act.to = receiver.self;
        rig_order(rig, &giver, give_and_break);
        rig_settle(rig);
        assert_int_equal(giver.act.status, TINA_OK);
        expect_open(rig, 0, 0);
        rig_check_ledger(rig);
    }
    assert_int_equal(rig_count_tag(&receiver, TINA_TAG_FD), 0);
    rig_end(rig);
}

static void gift_that_was_published_outlives_its_givers_shard(void **state)
{
    (void)state;
    rig_system *rig = start();
    tina_handle by = giver.self;
    (void)give_half_way(rig, receiver.self);
    wipe(rig, 0);
    rig_settle(rig);
    (void)expect_gift(&receiver, by);
    assert_int_equal(rig_count_tag(&giver, TINA_TAG_FD), 0);
    expect_open(rig, 0, 1);
    rig_end(rig);
}

/* Read before the wipe, and after it. */
static void gift_that_comes_back_to_a_new_life_is_closed(void **state)
{
    (void)state;
    for (int reads_first = 0; reads_first < 2; reads_first++) {
        rig_system *rig = start();
        tina_handle gone = receiver.self;
        gone.bits++;
        (void)give_half_way(rig, gone);
        if (reads_first)
            rig_tick(rig, 1);
        wipe(rig, 0);
        rig_settle(rig);
        assert_int_equal(rig_count_tag(&giver, TINA_TAG_FD), 0);
        expect_open(rig, 0, 0);
        rig_end(rig);
    }
}

static void gift_between_two_shards_that_begin_anew_is_closed(void **state)
{
    (void)state;
    for (size_t first = 0; first < 2; first++) {
        rig_system *rig = start();
        (void)give_half_way(rig, receiver.self);
        wipe(rig, first);
        wipe(rig, 1 - first);
        rig_settle(rig);
        assert_int_equal(rig_count_tag(&giver, TINA_TAG_FD), 0);
        assert_int_equal(rig_count_tag(&receiver, TINA_TAG_FD), 0);
        expect_open(rig, 0, 0);
        rig_end(rig);
    }
}

static void allow_one_life(void) { plan.spec.shard_restart_max = TINA_NONE; }

static void gift_to_a_quarantined_shard_is_lost_or_refused(void **state)
{
    (void)state;
    rig_system *rig = start_with(allow_one_life);
    tina_fd fd = give_half_way(rig, receiver.self);
    wipe(rig, 1);
    assert_int_equal(rig->publics[1].state, TINA_SHARD_QUARANTINED);
    rig_settle(rig);
    expect_back(&giver, fd, TINA_SHARD_DOWN);
    expect_open(rig, 0, 0);
    fd = rig_socket(rig, &giver);
    assert_int_equal(rig_give(rig, &giver, receiver.self, fd), TINA_SHARD_DOWN);
    expect_owner(rig, &giver, fd);
    rig_revive(rig);
    rig_forget(&giver);
    assert_int_equal(rig_give(rig, &giver, receiver.self, fd), TINA_OK);
    (void)expect_gift(&receiver, giver.self);
    rig_end(rig);
}

/* ---- The end ---------------------------------------------------------------------------------------------- */

static void gift_on_its_way_at_the_end_is_closed(void **state)
{
    (void)state;
    rig_system *rig = start();
    (void)give_half_way(rig, receiver.self);
    rig_stop(rig, TINA__STOP_GRACEFUL);
    rig_end(rig);
}

static tina_effect give_at_the_end(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    if (message->tag != TINA_TAG_SHUTDOWN)
        return tina_receive();
    me->act.status = tina_fd_give(ctx, me->act.to, me->act.fd);
    return tina_done();
}

/* As whoever joins the threads does it. */
static void close_what_is_left(rig_system *rig, size_t shard)
{
    int32_t os_fd = tina__gift_left(rig->shards[shard]);
    assert_true(os_fd >= 0);
    assert_int_equal(tina__gift_left(rig->shards[shard]), -1);
    rig->shards[shard]->api->close_fd(rig->shards[shard]->backend, os_fd, TINA__SLOT_NONE);
    for (size_t i = rig->shard_count; i-- != 0;) {
        tina__inbound_listen(rig->shards[i]);
        (void)tina__inbound_drain(rig->shards[i]);
        (void)tina__route_publish(rig->shards[i]);
    }
}

static void gift_that_an_end_without_waiting_has_left_is_found(void **state)
{
    (void)state;
    rig_system *rig = start();
    giver.act.fd = rig_socket(rig, &giver);
    giver.act.to = receiver.self;
    giver.on = give_at_the_end;
    rig_stop(rig, TINA__STOP_ABANDON);
    for (uint32_t tick = 0; tick < 10; tick++)
        rig_tick(rig, 1);
    assert_true(tina__shard_has_ended(rig->shards[1]));
    rig->publics[1].state = TINA_SHARD_RUNNING; /* its peer has looked just before */
    for (uint32_t tick = 0; tick < 10; tick++)
        rig_tick(rig, 0);
    assert_int_equal(giver.act.status, TINA_OK);
    assert_true(tina__shard_has_ended(rig->shards[0]));
    assert_int_equal(rig_count_in_messages(rig), 1);
    close_what_is_left(rig, 1);
    expect_open(rig, 0, 0);
    rig_end(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gift_on_one_shard_is_its_receivers_at_once),
        cmocka_unit_test(gift_to_oneself_comes_by_a_new_handle),
        cmocka_unit_test(gift_on_one_shard_ends_with_whoever_has_it),
        cmocka_unit_test(gift_that_is_refused_stays_the_givers),
        cmocka_unit_test(half_a_descriptor_is_not_given),
        cmocka_unit_test(gift_to_another_shard_is_its_receivers),
        cmocka_unit_test(gift_goes_around_and_comes_home),
        cmocka_unit_test(gift_that_nobody_takes_comes_back),
        cmocka_unit_test(gift_to_a_full_mailbox_comes_back),
        cmocka_unit_test(gift_without_a_free_descriptor_comes_back),
        cmocka_unit_test(gift_without_room_for_it_or_its_answer_stays_the_givers),
        cmocka_unit_test(gift_outlives_its_giver),
        cmocka_unit_test(gift_that_comes_back_to_nobody_is_closed),
        cmocka_unit_test(gift_that_is_back_waits_for_its_giver_or_ends_with_him),
        cmocka_unit_test(gift_that_is_back_is_closed_with_its_shard),
        cmocka_unit_test(gift_dies_with_a_receiver_who_has_not_handled_it),
        cmocka_unit_test(gift_to_a_shard_that_began_anew_is_lost),
        cmocka_unit_test(gift_that_was_taken_ends_with_its_new_shard),
        cmocka_unit_test(gift_that_was_taken_in_the_tick_of_a_wipe_is_lost),
        cmocka_unit_test(gift_that_goes_back_in_the_tick_of_a_wipe_is_lost),
        cmocka_unit_test(gift_that_was_not_published_is_closed_with_its_givers_shard),
        cmocka_unit_test(gift_that_was_published_outlives_its_givers_shard),
        cmocka_unit_test(gift_that_comes_back_to_a_new_life_is_closed),
        cmocka_unit_test(gift_between_two_shards_that_begin_anew_is_closed),
        cmocka_unit_test(gift_to_a_quarantined_shard_is_lost_or_refused),
        cmocka_unit_test(gift_on_its_way_at_the_end_is_closed),
        cmocka_unit_test(gift_that_an_end_without_waiting_has_left_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
