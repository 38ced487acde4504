/* What happens when a child ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/rig.h"

#include <string.h>

#define TAG_A (TINA_TAG_USER + 1)

static rig_plan plan;
static rig_actor a, b, c, child; /* a, b on shard 0, c on shard 1 */
static rig_actor *child_args = &child;

static void prepare(void)
{
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    memset(&c, 0, sizeof c);
    memset(&child, 0, sizeof child);
    rig_plan_init(&plan, 2, 3);
    rig_plan_child(&plan, 0, 0, &a);
    rig_plan_child(&plan, 0, 1, &b);
    rig_plan_child(&plan, 1, 1, &c);
}

static tina_spawn spawn_of(uint8_t restart)
{
    return (tina_spawn){.type = 2, .args = &child_args, .args_size = sizeof child_args, .restart = restart};
}

/* ---- Policies -------------------------------------------------------------------------------------- */

static const struct {
    uint8_t restart;
    bool after_done, after_crash;
} policies[] = {
    {TINA_PERMANENT, true, true},
    {TINA_TRANSIENT, false, true},
    {TINA_TEMPORARY, false, false},
};

static void static_child_is_restarted_by_its_policy(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < 3; i++) {
        for (int crashes = 0; crashes < 2; crashes++) {
            prepare();
            plan.children[0][0].restart = policies[i].restart;
            rig_system *rig = rig_start(&plan);
            tina_handle first = a.self;
            (crashes ? rig_crash : rig_done)(rig, &a);
            bool is_restarted = crashes ? policies[i].after_crash : policies[i].after_done;
            assert_int_equal(a.init_count, 1 + is_restarted);
            assert_int_equal(rig_stats(rig, 0).restarts, is_restarted);
            assert_int_equal(rig_stats(rig, 0).crashes, crashes);
            assert_int_equal(tina_handle_equal(first, a.self), !is_restarted);
            assert_int_equal(b.init_count, 1);
            rig_end(rig);
        }
    }
}

static void static_child_of_no_policy_is_permanent(void **unused)
{
    (void)unused;
    prepare();
    plan.children[0][0].restart = TINA_RESTART_DEFAULT;
    rig_system *rig = rig_start(&plan);
    rig_done(rig, &a);
    assert_int_equal(a.init_count, 2);
    rig_end(rig);
}

static void spawned_child_is_restarted_by_its_policy(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < 3; i++) {
        for (int crashes = 0; crashes < 2; crashes++) {
            prepare();
            rig_system *rig = rig_start(&plan);
            tina_spawn spawn = spawn_of(policies[i].restart);
            assert_int_equal(rig_spawn(rig, &a, &spawn), TINA_OK);
            rig_done(rig, &a); /* the spawner's end does not matter */
            (crashes ? rig_crash : rig_done)(rig, &child);
            bool is_restarted = crashes ? policies[i].after_crash : policies[i].after_done;
            assert_int_equal(child.init_count, 1 + is_restarted);
            assert_int_equal(rig->shards[0]->p.groups[TINA__GROUP_ROOT].dynamic_count, is_restarted);
            rig_end(rig);
        }
    }
}

static void spawned_child_of_no_policy_is_temporary(void **unused)
{
    (void)unused;
    prepare();
    rig_system *rig = rig_start(&plan);
    tina_spawn spawn = spawn_of(TINA_RESTART_DEFAULT);
    assert_int_equal(rig_spawn(rig, &a, &spawn), TINA_OK);
    rig_crash(rig, &child);
    assert_int_equal(child.init_count, 1);
    rig_end(rig);
}

static tina_effect fail_by_script(rig_actor *me, tina_ctx *ctx)
{
    (void)ctx;
    if (me->act.call == 0)
        return tina_receive();
    me->act.call--;
    return me->act.is_true ? tina_done() : tina_crash(7);
}

static void init_of_a_static_child_that_fails_is_tried_again_by_its_policy(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < 3; i++) {
        for (int crashes = 0; crashes < 2; crashes++) {
            prepare();
            plan.children[0][0].restart = policies[i].restart;
            a.on_init = fail_by_script;
            a.act.call = 2;
            a.act.is_true = !crashes;
            rig_system *rig = rig_start(&plan);
            bool is_restarted = crashes ? policies[i].after_crash : policies[i].after_done;
            assert_int_equal(a.init_count, is_restarted ? 3 : 1);
            assert_int_equal(rig_stats(rig, 0).restarts, is_restarted ? 2 : 0);
            assert_int_equal(rig_stats(rig, 0).isolates, is_restarted ? 2 : 1);
            rig_end(rig);
        }
    }
}

static void init_of_a_spawned_child_that_fails_is_not_tried_again(void **unused)
{
    (void)unused;
    prepare();
    rig_system *rig = rig_start(&plan);
    child.on_init = fail_by_script;
    for (int i = 0; i < 100; i++) {
        child.act.call = 1;
        child.act.is_true = i % 2;
        tina_spawn spawn = spawn_of((uint8_t)(i % 4));
        assert_int_equal(rig_spawn(rig, &a, &spawn), TINA_INIT_FAILED);
    }
    assert_int_equal(child.init_count, 100);
    assert_int_equal(rig->shards[0]->p.groups[TINA__GROUP_ROOT].dynamic_count, 0);
    rig_end(rig);
}

static void child_of_an_unsupervised_spawner_cannot_be_restarted(void **unused)
{
    (void)unused;
    prepare();
    rig_system *rig = rig_start(&plan);
    tina_spawn spawn = spawn_of(TINA_TEMPORARY);
    spawn.group = TINA_GROUP_NONE;
    assert_int_equal(rig_spawn(rig, &a, &spawn), TINA_OK);
    rig_actor grandchild;
    memset(&grandchild, 0, sizeof grandchild);
    rig_actor *args = &grandchild;
    spawn = (tina_spawn){.type = 2, .args = &args, .args_size = sizeof args, .group = TINA_GROUP_SELF};
    assert_int_equal(rig_spawn(rig, &child, &spawn), TINA_OK);
    rig_crash(rig, &grandchild);
    spawn.restart = TINA_PERMANENT;
    assert_int_equal(rig_spawn(rig, &child, &spawn), TINA_INVALID);
    assert_int_equal(rig_stats(rig, 0).escalations, 0);
    rig_crash(rig, &child);
    rig_end(rig);
}

/* ---- Budgets -------------------------------------------------------------------------------------------- */

static void budget_allows_exactly_its_most_restarts_in_the_window(void **unused)
{
    (void)unused;
    for (uint32_t max = 0; max <= 5; max++) {
        prepare();
        plan.shards[0].root.restart_max = max == 0 ? TINA_NONE : max;
        plan.children[0][0].restart = TINA_PERMANENT;
        rig_system *rig = rig_start(&plan);
        for (uint32_t i = 1; i <= max; i++) {
            rig_crash(rig, &a);
            assert_int_equal(a.init_count, 1 + i);
            assert_int_equal(rig_stats(rig, 0).escalations, 0);
        }
        assert_int_equal(b.init_count, 1);
        rig_crash(rig, &a); /* one more: the shard is wiped and built again, with a fresh budget */
        assert_int_equal(rig_stats(rig, 0).escalations, 1);
        assert_int_equal(rig_stats(rig, 0).shard_restarts, 1);
        assert_int_equal(rig_stats(rig, 0).restarts, max);
        assert_int_equal(a.init_count, 2 + max);
        assert_int_equal(b.init_count, 2);
        assert_int_equal(c.init_count, 1);
        assert_int_equal(rig->shards[0]->state, TINA_SHARD_RUNNING);
        for (uint32_t i = 1; i <= max; i++)
            rig_crash(rig, &a);
        assert_int_equal(rig_stats(rig, 0).escalations, 1);
        rig_end(rig);
    }
}

static void budget_window_slides(void **unused)
{
    (void)unused;
    prepare();
    plan.shards[0].root.restart_max = 3;
    plan.shards[0].root.window_ns = 100 * RIG_MS;
    plan.children[0][0].restart = TINA_PERMANENT;
    rig_system *rig = rig_start(&plan);
    for (int i = 0; i < 50; i++) { /* never more than three in any 100 ms */
        rig_crash(rig, &a);
        rig_advance(rig, 34 * RIG_MS);
    }
    assert_int_equal(rig_stats(rig, 0).escalations, 0);
    assert_int_equal(rig_stats(rig, 0).restarts, 50);
    rig_crash(rig, &a);
    rig_advance(rig, RIG_MS);
    rig_crash(rig, &a); /* now there are */
    assert_int_equal(rig_stats(rig, 0).escalations, 1);
    rig_end(rig);
}

static void budget_is_spent_by_inits_that_fail(void **unused)
{
    (void)unused;
    prepare();
    plan.shards[0].root.restart_max = 3;
    plan.children[0][0].restart = TINA_PERMANENT;
    rig_system *rig = rig_start(&plan);
    a.on_init = fail_by_script;
    a.act.call = 2;
    rig_crash(rig, &a);
    assert_int_equal(rig_stats(rig, 0).restarts, 3);
    assert_int_equal(rig_stats(rig, 0).escalations, 0);
    rig_end(rig);
}

static void boot_whose_inits_fail_past_the_budget_says_of_which_type(void **unused)
{
    (void)unused;
    prepare();
    plan.types[0].name = "culprit";
    plan.shards[0].root.restart_max = 4;
    plan.children[0][0].restart = TINA_PERMANENT;
    a.on_init = fail_by_script;
    a.act.call = UINT32_MAX;
    rig_system *rig = rig_start_raw(&plan);
    for (int tick = 0; tick < 100 && tina__shard_is_booting(rig->shards[0]); tick++)
        (void)rig_tick(rig, 0);
    assert_non_null(rig->shards[0]->boot_failure);
    assert_string_equal(rig->shards[0]->boot_failure, "culprit");
    assert_int_equal(a.init_count, 5);
    rig_end(rig);
}

static tina_effect crash_by_order(rig_actor *me, tina_ctx *ctx)
{
    (void)me;
    (void)ctx;
    return tina_crash(1);
}

#define INITS_MAX 2 /* of one child, in one tick that dispatches nobody else */

static void init_that_always_fails_leaves_time_for_the_others(void **unused)
{
    (void)unused;
    prepare();
    plan.shards[0].root.restart_max = 1000000;
    plan.children[0][0].restart = TINA_PERMANENT;
    rig_system *rig = rig_start(&plan);
    a.on_init = fail_by_script;
    a.act.call = UINT32_MAX;
    rig_order(rig, &a, crash_by_order);
    for (uint32_t tick = 1; tick <= 100; tick++) {
        uint32_t before = a.init_count;
        assert_true(rig_post(rig, b.self, TAG_A, NULL, 0));
        assert_int_not_equal(rig_tick(rig, 0), 0);
        assert_in_range(a.init_count - before, tick == 1 ? 0 : 1, INITS_MAX);
        assert_int_equal(b.seen_count, tick);
    }
    assert_int_equal(rig_stats(rig, 0).escalations, 0);
    a.act.call = 0; /* at last it comes up */
    rig_settle(rig);
    assert_int_equal(rig_stats(rig, 0).isolates, 2);
    rig_end(rig);
}

static void init_that_always_fails_holds_up_the_boot_and_nothing_else(void **unused)
{
    (void)unused;
    prepare();
    plan.shards[0].root.restart_max = 1000000;
    plan.children[0][1].restart = TINA_PERMANENT;
    rig_plan_child(&plan, 0, 2, &child);
    b.on_init = fail_by_script;
    b.act.call = UINT32_MAX;
    rig_system *rig = rig_start_raw(&plan);
    rig_order(rig, &c, crash_by_order);
    for (uint32_t tick = 1; tick <= 100; tick++) {
        assert_int_not_equal(rig_tick(rig, 0), 0);
        (void)rig_tick(rig, 1);
        assert_true(tina__shard_is_booting(rig->shards[0]));
        assert_in_range(b.init_count, tick, INITS_MAX * tick);
    }
    assert_int_equal(a.init_count, 1);
    assert_int_equal(child.init_count, 0);
    assert_null(c.todo); /* on the other shard it was done */
    b.act.call = 0;
    while (tina__shard_is_booting(rig->shards[0]))
        (void)rig_tick(rig, 0);
    assert_int_equal(child.init_count, 1);
    rig_end(rig);
}

static void shard_past_its_own_budget_is_quarantined(void **unused)
{
    (void)unused;
    prepare();
    plan.spec.shard_restart_max = 2;
    plan.shards[0].root.restart_max = TINA_NONE;
    plan.children[0][0].restart = TINA_PERMANENT;
    rig_system *rig = rig_start(&plan);
    tina_handle was = b.self;
    rig_crash(rig, &a);
    rig_crash(rig, &a);
    assert_int_equal(rig->shards[0]->state, TINA_SHARD_RUNNING);
    assert_int_equal(rig_stats(rig, 0).shard_restarts, 2);
    rig_call(rig, &c, b.self, TAG_A, 0);
    rig_crash(rig, &a);
    assert_int_equal(rig_stats(rig, 0).state, TINA_SHARD_QUARANTINED);
    assert_int_equal(rig_stats(rig, 0).isolates, 0);
    assert_int_equal(rig_stats(rig, 0).shard_restarts, 2);
    assert_int_equal(rig_saw_last(&c)->status, TINA_SHARD_DOWN); /* with its callee */
    assert_int_equal(rig_send(rig, &c, was, TAG_A, 0), TINA_SHARD_DOWN);
    assert_int_equal(rig_call_start(rig, &c, was, TAG_A, 0), TINA_SHARD_DOWN);
    assert_int_equal(rig_stats(rig, 1).shard_down, 2);
    assert_int_equal(c.init_count, 1); /* the rest goes on */
    assert_int_equal(rig_send(rig, &c, c.self, TAG_A, 0), TINA_OK);
    assert_true(rig_post(rig, was, TAG_A, NULL, 0)); /* as if it had come a moment earlier */
    rig_settle(rig);
    rig_check_ledger(rig);
    rig_end(rig);
}

static tina_effect spend_all(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    (void)ctx;
    return message->tag == TAG_A ? tina_crash(me->act.reason) : tina_done();
}

/* Two children in the same tick, with a budget of none: one escalation, and nobody runs between it and the wipe. */
static void escalation_stops_the_shard_at_once(void **unused)
{
    (void)unused;
    prepare();
    plan.shards[0].root.restart_max = TINA_NONE;
    plan.children[0][0].restart = TINA_PERMANENT;
    plan.children[0][1].restart = TINA_PERMANENT;
    rig_system *rig = rig_start(&plan);
    a.on = spend_all;
    b.on = spend_all;
    assert_true(rig_post(rig, a.self, TAG_A, NULL, 0));
    assert_true(rig_post(rig, b.self, TAG_A, NULL, 0));
    rig_settle(rig);
    assert_int_equal(a.seen_count, 1);
    assert_int_equal(b.seen_count, 0);
    assert_int_equal(rig_stats(rig, 0).escalations, 1);
    assert_int_equal(rig_stats(rig, 0).shard_restarts, 1);
    assert_int_equal(rig_stats(rig, 0).crashes, 1);
    assert_int_equal(a.init_count, 2);
    assert_int_equal(b.init_count, 2);
    rig_end(rig);
}

/* ---- Wiping ----------------------------------------------------------------------------------------------- */

static void wipe_takes_everything_of_everybody(void **unused)
{
    (void)unused;
    prepare();
    plan.shards[0].root.restart_max = TINA_NONE;
    plan.children[0][0].restart = TINA_PERMANENT;
    rig_system *rig = rig_start(&plan);
    tina_spawn spawn = spawn_of(TINA_PERMANENT);
    rig_spawn(rig, &b, &spawn);
    spawn.group = TINA_GROUP_NONE;
    spawn.restart = TINA_TEMPORARY;
    rig_spawn(rig, &b, &spawn);
    rig->backends[0].holds_cancels = true;
    tina_fd fd = rig_socket(rig, &b);
    tina_op op = {.kind = TINA_IO_RECV, .fd = fd};
    rig_io_start(rig, &b, &op);
    rig_timer(rig, &b, RIG_MS, TAG_A);
    rig_call_start(rig, &b, c.self, TAG_A, 0);
    rig_call_start(rig, &c, b.self, TAG_A, 0);
    rig_forget(&b);
    rig_crash(rig, &a);
    assert_int_equal(rig_stats(rig, 0).timers.used, 0);
    assert_int_equal(rig_stats(rig, 0).fds.used, 0);
    assert_int_equal(rig->backends[0].os_fd_count, 0);
    assert_int_equal(rig_saw_last(&c)->tag, TINA_TAG_CALL_FAILED);
    assert_int_equal(rig_stats(rig, 0).isolates, 2); /* the static ones, not the spawned */
    assert_int_equal(a.init_count, 2);
    assert_int_equal(b.init_count, 2);
    assert_int_equal(child.init_count, 2);
    assert_int_equal(rig->shards[0]->p.groups[TINA__GROUP_ROOT].dynamic_count, 0);
    rig_advance(rig, 10 * RIG_MS);
    assert_int_equal(b.seen_count, 0);
    rig_end(rig);
}

/* ---- Before the next life ------------------------------------------------------------------------------------ */

static rig_system *looked_at;
static uint32_t fds_at_init;

static tina_effect count_fds(rig_actor *me, tina_ctx *ctx)
{
    (void)me;
    (void)ctx;
    fds_at_init = looked_at != NULL ? looked_at->backends[0].os_fd_count : 0;
    return tina_receive();
}

static void restart_waits_until_operations_are_reaped_and_sockets_closed(void **unused)
{
    (void)unused;
    for (int loses = 0; loses < 2; loses++) {
        prepare();
        looked_at = NULL;
        a.on_init = count_fds;
        plan.children[0][0].restart = TINA_PERMANENT;
        rig_system *rig = rig_start(&plan);
        looked_at = rig;
        rig->backends[0].holds_cancels = true;
        tina_fd listener = rig_socket(rig, &a);
        tina_fd other = rig_socket(rig, &a);
        tina_op accept = {.kind = TINA_IO_ACCEPT, .fd = listener};
        tina_op receive = {.kind = TINA_IO_RECV, .fd = other};
        rig_io_start(rig, &a, &accept);
        rig_io_start(rig, &a, &receive);
        tina__io_request *accepting = rig_request_of(rig, listener, TINA__IO_ACCEPT);
        rig_crash(rig, &a);
        assert_int_equal(a.init_count, 1);
        rig_complete(rig, 0, rig_request_of(rig, other, TINA__IO_RECEIVE), TINA_CANCELLED, 0);
        rig_settle(rig);
        assert_int_equal(a.init_count, 1);
        if (loses)
            rig_complete_accept(rig, 0, accepting);
        else
            rig_cancel_wins(rig, 0);
        rig_settle(rig);
        assert_int_equal(a.init_count, 2);
        assert_int_equal(fds_at_init, 0);
        rig_end(rig);
    }
}

static void restart_keeps_a_slot_of_its_type(void **unused)
{
    (void)unused;
    prepare();
    plan.types[0].slot_count = 2;
    plan.children[0][0].restart = TINA_PERMANENT;
    rig_system *rig = rig_start(&plan);
    rig->backends[0].holds_cancels = true;
    tina_fd fd = rig_socket(rig, &a);
    tina_op receive = {.kind = TINA_IO_RECV, .fd = fd};
    rig_io_start(rig, &a, &receive);
    rig_crash(rig, &a);
    tina_spawn spawn = spawn_of(TINA_TEMPORARY);
    spawn.type = 0;
    assert_int_equal(rig_spawn(rig, &b, &spawn), TINA_OK);
    assert_int_equal(rig_spawn(rig, &b, &spawn), TINA_ARENA_FULL); /* the last is a's */
    rig_cancel_wins(rig, 0);
    rig_settle(rig);
    assert_int_equal(a.init_count, 2);
    rig_end(rig);
}

static tina_effect exhaust_everything(rig_actor *me, tina_ctx *ctx)
{
    static uint8_t byte;
    while (tina_timer_start(ctx, 1000 * RIG_MS, TAG_A, NULL) == TINA_OK) {
    }
    while (tina_send(ctx, me->act.to, TAG_A, NULL, 0) == TINA_OK) {
    }
    tina_fd fd;
    while (tina_socket(ctx, TINA_IPV4, TINA_STREAM, &fd) == TINA_OK) {
        tina_op op = {.kind = TINA_IO_SEND, .fd = fd, .data = &byte, .size = 1};
        tina_ignore(tina_io_start(ctx, &op));
        op.kind = TINA_IO_RECV;
        tina_ignore(tina_io_start(ctx, &op));
    }
    return tina_receive();
}

static void restart_works_when_every_pool_is_empty(void **unused)
{
    (void)unused;
    prepare();
    plan.spec.message_count = 8;
    plan.spec.op_count = 8;
    plan.spec.log_size = 1024;
    plan.children[0][0].restart = TINA_PERMANENT;
    rig_system *rig = rig_start(&plan);
    tina_spawn spawn = spawn_of(TINA_TEMPORARY);
    rig_spawn(rig, &a, &spawn);
    rig_timer(rig, &a, RIG_MS, TAG_A);
    a.on = spend_all; /* crashes when its timer fires */
    rig_call(rig, &child, c.self, TAG_A, TINA_NONE_NS);
    b.act.to = child.self; /* which is parked */
    rig_do(rig, &b, exhaust_everything);
    assert_true(rig_post(rig, child.self, TAG_A, NULL, 0)); /* in place of the order to b */
    rig_settle(rig);
    tina_stats stats = rig_stats(rig, 0);
    assert_int_equal(stats.messages.used, stats.messages.limit);
    assert_int_equal(stats.timers.used, stats.timers.limit);
    assert_int_equal(stats.ops.used, stats.ops.limit);
    assert_int_equal(stats.fds.used, stats.fds.limit);
    rig_advance(rig, 3 * RIG_MS);
    assert_int_equal(a.init_count, 2);
    assert_int_equal(rig_stats(rig, 0).restarts, 1);
    rig_end(rig);
}

/* A reader and a writer of one socket, of which the first is restarted. */
static void restart_of_half_an_owner_waits_for_its_own_half_alone(void **unused)
{
    (void)unused;
    prepare();
    plan.children[0][0].restart = TINA_PERMANENT;
    rig_system *rig = rig_start(&plan);
    rig->backends[0].holds_cancels = true;
    tina_fd fd = rig_socket(rig, &a);
    tina_spawn spawn = spawn_of(TINA_TEMPORARY);
    spawn.fd = fd;
    spawn.handoff = TINA_HANDOFF_READ;
    assert_int_equal(rig_spawn(rig, &a, &spawn), TINA_OK);
    tina_op receive = {.kind = TINA_IO_RECV, .fd = fd};
    tina_op send = {.kind = TINA_IO_SEND, .fd = fd, .data = "x", .size = 1};
    rig_io_start(rig, &child, &receive);
    rig_io_start(rig, &a, &send);
    rig_crash(rig, &a);
    assert_int_equal(a.init_count, 1);
    rig_complete(rig, 0, rig_request_of(rig, fd, TINA__IO_SEND), TINA_CANCELLED, 0);
    rig_settle(rig);
    assert_int_equal(a.init_count, 2);
    assert_int_equal(rig->backends[0].os_fd_count, 1); /* the reader's still */
    rig_complete_receive(rig, 0, rig_request_of(rig, fd, TINA__IO_RECEIVE), "y", 1);
    rig_settle(rig);
    assert_int_equal(rig_saw_last(&child)->tag, TINA_IO_RECV);
    rig_end(rig);
}

static void restart_of_half_an_owner_whose_other_half_died_first_waits_for_the_close(void **unused)
{
    (void)unused;
    prepare();
    looked_at = NULL;
    a.on_init = count_fds;
    plan.children[0][0].restart = TINA_PERMANENT;
    rig_system *rig = rig_start(&plan);
    looked_at = rig;
    rig->backends[0].holds_cancels = true;
    tina_fd fd = rig_socket(rig, &a);
    tina_spawn spawn = spawn_of(TINA_TEMPORARY);
    spawn.fd = fd;
    spawn.handoff = TINA_HANDOFF_READ;
    assert_int_equal(rig_spawn(rig, &a, &spawn), TINA_OK);
    tina_op receive = {.kind = TINA_IO_RECV, .fd = fd};
    rig_io_start(rig, &child, &receive);
    rig_crash(rig, &child);
    rig_crash(rig, &a);
    assert_int_equal(a.init_count, 1);
    rig_cancel_wins(rig, 0);
    rig_settle(rig);
    assert_int_equal(a.init_count, 2);
    assert_int_equal(fds_at_init, 0);
    rig_end(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(static_child_is_restarted_by_its_policy),
        cmocka_unit_test(static_child_of_no_policy_is_permanent),
        cmocka_unit_test(spawned_child_is_restarted_by_its_policy),
        cmocka_unit_test(spawned_child_of_no_policy_is_temporary),
        cmocka_unit_test(init_of_a_static_child_that_fails_is_tried_again_by_its_policy),
        cmocka_unit_test(init_of_a_spawned_child_that_fails_is_not_tried_again),
        cmocka_unit_test(child_of_an_unsupervised_spawner_cannot_be_restarted),
        cmocka_unit_test(budget_allows_exactly_its_most_restarts_in_the_window),
        cmocka_unit_test(budget_window_slides),
        cmocka_unit_test(budget_is_spent_by_inits_that_fail),
        cmocka_unit_test(boot_whose_inits_fail_past_the_budget_says_of_which_type),
        cmocka_unit_test(shard_past_its_own_budget_is_quarantined),
        cmocka_unit_test(escalation_stops_the_shard_at_once),
        cmocka_unit_test(wipe_takes_everything_of_everybody),
        cmocka_unit_test(restart_waits_until_operations_are_reaped_and_sockets_closed),
        cmocka_unit_test(restart_keeps_a_slot_of_its_type),
        cmocka_unit_test(restart_works_when_every_pool_is_empty),
        cmocka_unit_test(restart_of_half_an_owner_waits_for_its_own_half_alone),
        cmocka_unit_test(restart_of_half_an_owner_whose_other_half_died_first_waits_for_the_close),
        cmocka_unit_test(init_that_always_fails_leaves_time_for_the_others),
        cmocka_unit_test(init_that_always_fails_holds_up_the_boot_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
