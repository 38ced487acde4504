/* A shard that begins anew: what its inits may rely on, who hears what meanwhile, and what each life costs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/rig.h"

#include "os/trap.h"

#include <string.h>

#define TAG_ASK    (TINA_TAG_USER + 1)
#define TAG_ANSWER (TINA_TAG_USER + 2)
#define TAG_NOISE  (TINA_TAG_USER + 3)
#define NAME       7
#define BACKOFF_NS (10 * RIG_MS)
#define SENDS      5
#define BUDGET     3

static rig_plan plan;
static rig_actor near, failing, far; /* near and failing live on shard 0, far on shard 1 */

static void prepare(void)
{
    memset(&near, 0, sizeof near);
    memset(&failing, 0, sizeof failing);
    memset(&far, 0, sizeof far);
    rig_plan_init(&plan, 2, 2);
}

/* The shard's life ends with its next tick, and what follows is settled. */
static void end_life(rig_system *rig, size_t shard)
{
    rig_wipe(rig, shard);
    rig_settle(rig);
}

static void expect_running_after(rig_system *rig, size_t shard, uint64_t restarts)
{
    assert_int_equal(rig->publics[shard].state, TINA_SHARD_RUNNING);
    assert_int_equal(rig_stats(rig, shard).shard_restarts, restarts);
}

/* ---- Inits that need another shard ------------------------------------------------------------ */

static tina_effect watch_and_call(rig_actor *me, tina_ctx *ctx)
{
    me->act.status = tina_watch(ctx, tina_named(1, NAME));
    if (me->act.status == TINA_OK)
        me->act.status = tina_call_start(ctx, tina_named(1, NAME), TAG_ASK, NULL, 0, 0, NULL);
    return me->act.status == TINA_OK ? tina_receive() : tina_crash(1);
}

static tina_effect answer(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    (void)me;
    if (tina_is_call(message))
        return tina_reply(ctx, TAG_ANSWER, NULL, 0);
    return message->tag == TINA_TAG_SHUTDOWN ? tina_done() : tina_receive();
}

/* The budgets are so small that an init which fails once or twice would be seen. */
static rig_system *start_with_an_init_that_needs_far(void)
{
    prepare();
    near.on_init = watch_and_call;
    far.on = answer;
    rig_plan_child(&plan, 0, 0, &near)->restart = TINA_PERMANENT;
    rig_plan_child(&plan, 1, 0, &far)->name = NAME;
    plan.shards[0].root.restart_max = 1;
    plan.spec.shard_restart_max = BUDGET;
    return rig_start(&plan);
}

static void init_that_watches_and_calls_another_shard_works_in_each_life(void **state)
{
    (void)state;
    rig_system *rig = start_with_an_init_that_needs_far();
    for (uint32_t life = 1; life <= BUDGET; life++) {
        rig_forget(&near);
        rig_wipe(rig, 0);
        for (uint32_t tick = 0; tick < 5; tick++) /* before the other looks */
            rig_tick(rig, 0);
        rig_settle(rig);
        assert_int_equal(near.init_count, 1 + life);
        assert_int_equal(near.act.status, TINA_OK);
        assert_int_equal(rig_count_tag(&near, TAG_ANSWER), 1);
        assert_int_equal(rig->shards[0]->watches.used, 1);
        expect_running_after(rig, 0, life);
        rig_check_ledger(rig);
    }
    rig_end(rig);
}

static void tree_waits_for_a_busy_shard_but_not_for_ever(void **state)
{
    (void)state;
    prepare();
    rig_plan_child(&plan, 0, 0, &near);
    rig_plan_child(&plan, 1, 0, &far);
    rig_system *rig = rig_start(&plan);
    rig_wipe(rig, 0);
    rig_tick(rig, 0);
    for (uint32_t tick = 0; tick < 10; tick++)
        rig_tick(rig, 0);
    assert_int_equal(near.init_count, 1);
    uint64_t deadline_ns = tina__shard_deadline_ns(rig->shards[0]);
    assert_int_not_equal(deadline_ns, TINA_NONE_NS); /* it wakes up by itself */
    rig->now_ns = deadline_ns;
    rig_tick(rig, 0);
    assert_int_equal(near.init_count, 2);
    rig_settle(rig);
    rig_end(rig);
}

/* ---- A child that never comes up ------------------------------------------------------------------ */

static tina_effect fail_but_the_first_time(rig_actor *me, tina_ctx *ctx)
{
    (void)ctx;
    return me->init_count > 1 ? tina_crash(1) : tina_receive();
}

static void child_that_never_comes_up_leaves_the_others_in_touch(void **state)
{
    (void)state;
    prepare();
    failing.on_init = fail_but_the_first_time;
    rig_plan_child(&plan, 0, 0, &near)->name = NAME;
    rig_plan_child(&plan, 0, 0, &failing)->restart = TINA_PERMANENT;
    rig_plan_child(&plan, 1, 0, &far);
    plan.shards[0].root.restart_max = 1000000;
    plan.shards[0].root.backoff_ns = BACKOFF_NS;
    rig_system *rig = rig_start(&plan);
    end_life(rig, 0);
    uint32_t tries = failing.init_count;
    for (uint32_t round = 1; round <= 100; round++) { /* more than a channel or an inbox holds */
        assert_int_equal(rig_send(rig, &far, tina_named(0, NAME), TAG_NOISE, round), TINA_OK);
        assert_true(rig_post(rig, tina_named(0, NAME), TAG_NOISE, &round, sizeof round));
        rig_advance(rig, 2 * BACKOFF_NS);
        assert_int_equal(near.seen_count, 2 * round);
    }
    assert_int_equal(near.init_count, 2);
    assert_true(failing.init_count > tries);
    expect_running_after(rig, 0, 1);
    rig_end(rig);
}

static tina_effect crash_now(rig_actor *me, tina_ctx *ctx)
{
    (void)me;
    (void)ctx;
    return tina_crash(1);
}

#define BUSY 8

static void init_that_fails_is_tried_once_a_tick_however_many_run(void **state)
{
    static rig_actor busy[BUSY];
    (void)state;
    prepare();
    memset(busy, 0, sizeof busy);
    failing.on_init = fail_but_the_first_time;
    rig_plan_child(&plan, 0, 0, &failing)->restart = TINA_PERMANENT;
    for (size_t i = 0; i < BUSY; i++)
        rig_plan_child(&plan, 0, (uint8_t)(i % 2), &busy[i]);
    plan.shards[0].root.restart_max = 1000000;
    rig_system *rig = rig_start(&plan);
    rig_order(rig, &failing, crash_now);
    for (uint32_t tick = 1; tick <= 10; tick++) {
        for (size_t i = 0; i < BUSY; i++)
            assert_true(rig_post(rig, busy[i].self, TAG_NOISE, NULL, 0));
        rig_tick(rig, 0);
        assert_int_equal(failing.init_count, 1 + tick);
        for (size_t i = 0; i < BUSY; i++)
            assert_int_equal(busy[i].seen_count, tick);
    }
    failing.on_init = NULL;
    rig_settle(rig);
    assert_int_equal(failing.init_count, 12);
    rig_end(rig);
}

/* ---- What a life takes with it -------------------------------------------------------------------- */

/* To another shard, which is not told before the tick's end, and to the own one. */
static tina_effect send_and_break(rig_actor *me, tina_ctx *ctx)
{
    (void)me;
    for (unsigned i = 0; i < SENDS; i++) {
        assert_int_equal(tina_send(ctx, far.self, TAG_NOISE, NULL, 0), TINA_OK);
        assert_int_equal(tina_send(ctx, failing.self, TAG_NOISE, NULL, 0), TINA_OK);
    }
    tina__trap_throw(&(tina__fault){.kind = TINA__FAULT_BROKEN, .what = "planted"});
}

static void fault_behind_sends_that_were_not_published_leaves_the_ledger_balanced(void **state)
{
    (void)state;
    prepare();
    rig_plan_child(&plan, 0, 0, &near);
    rig_plan_child(&plan, 0, 0, &failing);
    rig_plan_child(&plan, 1, 0, &far);
    rig_system *rig = rig_start(&plan);
    uint64_t sent = rig_stats(rig, 0).sent_remote;
    for (uint32_t life = 1; life <= 2; life++) {
        rig_order(rig, &near, send_and_break);
        rig_settle(rig);
        assert_null(near.todo);
        assert_int_equal(far.seen_count, 0);
        assert_int_equal(failing.seen_count, 0);
        assert_int_equal(rig_stats(rig, 0).sent_remote, sent);
        expect_running_after(rig, 0, life);
        rig_check_ledger(rig);
    }
    assert_int_equal(rig_send(rig, &near, far.self, TAG_NOISE, 0), TINA_OK);
    assert_int_equal(far.seen_count, 1);
    assert_int_equal(rig_stats(rig, 0).sent_remote, sent + 1);
    rig_end(rig);
}

static tina_effect stay(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    (void)me;
    (void)message;
    (void)ctx;
    return tina_receive();
}

/* One of each type stays, behind one in the same type that leaves. */
static void wipe_in_the_drain_writes_down_who_had_not_ended(void **state)
{
    static rig_actor leaving[2];
    (void)state;
    prepare();
    memset(leaving, 0, sizeof leaving);
    near.on = stay;
    failing.on = stay;
    rig_plan_child(&plan, 0, 0, &leaving[0]);
    rig_plan_child(&plan, 0, 0, &near);
    rig_plan_child(&plan, 0, 1, &leaving[1]);
    rig_plan_child(&plan, 0, 1, &failing);
    rig_plan_child(&plan, 1, 0, &far);
    rig_system *rig = rig_start(&plan);
    rig_stop(rig, TINA__STOP_GRACEFUL);
    rig_settle(rig);
    assert_int_equal(rig->publics[0].state, TINA_SHARD_DRAINING);
    assert_int_equal(rig->shards[0]->live_count, 2);
    end_life(rig, 0);
    assert_int_equal(rig->shards[0]->undrained_count, 2);
    assert_int_equal(rig->shards[0]->undrained[0].bits, near.self.bits);
    assert_int_equal(rig->shards[0]->undrained[1].bits, failing.self.bits);
    assert_int_equal(rig->shards[1]->undrained_count, 0);
    rig_end(rig);
}

/* ---- Budgets ------------------------------------------------------------------------------------------ */

/* All that the budget allows, and one more. */
static void use_up_lives(rig_system *rig, size_t shard, uint64_t before)
{
    for (uint32_t life = 1; life <= BUDGET; life++) {
        end_life(rig, shard);
        expect_running_after(rig, shard, before + life);
    }
    end_life(rig, shard);
    assert_int_equal(rig->publics[shard].state, TINA_SHARD_QUARANTINED);
}

static void revival_renews_the_budget_of_who_was_quarantined_alone(void **state)
{
    (void)state;
    prepare();
    rig_plan_child(&plan, 0, 0, &near);
    rig_plan_child(&plan, 1, 0, &far);
    plan.spec.shard_restart_max = BUDGET;
    rig_system *rig = rig_start(&plan);
    for (uint32_t life = 1; life <= BUDGET; life++) {
        end_life(rig, 0);
        expect_running_after(rig, 0, life);
    }
    use_up_lives(rig, 1, 0);
    rig_revive(rig); /* shard 0 runs: it has nothing left, as before */
    expect_running_after(rig, 1, BUDGET);
    end_life(rig, 0);
    assert_int_equal(rig->publics[0].state, TINA_SHARD_QUARANTINED);
    use_up_lives(rig, 1, BUDGET);
    rig_revive(rig);
    use_up_lives(rig, 0, BUDGET);
    rig_end(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(init_that_watches_and_calls_another_shard_works_in_each_life),
        cmocka_unit_test(tree_waits_for_a_busy_shard_but_not_for_ever),
        cmocka_unit_test(child_that_never_comes_up_leaves_the_others_in_touch),
        cmocka_unit_test(init_that_fails_is_tried_once_a_tick_however_many_run),
        cmocka_unit_test(fault_behind_sends_that_were_not_published_leaves_the_ledger_balanced),
        cmocka_unit_test(wipe_in_the_drain_writes_down_who_had_not_ended),
        cmocka_unit_test(revival_renews_the_budget_of_who_was_quarantined_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
