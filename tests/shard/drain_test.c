/* The end of a system. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/rig.h"

#include <string.h>

#define TAG_A (TINA_TAG_USER + 1)
#define TAG_B (TINA_TAG_USER + 2)

#define SHARDS 3

static rig_plan plan;
static rig_actor actors[SHARDS][4]; /* by shard */
static rig_actor child;
static rig_actor *child_args = &child;

static void prepare(void)
{
    memset(actors, 0, sizeof actors);
    memset(&child, 0, sizeof child);
    rig_plan_init(&plan, SHARDS, 2);
    for (size_t i = 0; i < SHARDS; i++) {
        for (size_t k = 0; k < 4; k++)
            rig_plan_child(&plan, i, (uint8_t)(k % 2), &actors[i][k]);
    }
}

static void expect_one_notice_each(void)
{
    for (size_t i = 0; i < SHARDS; i++) {
        for (size_t k = 0; k < 4; k++)
            assert_int_equal(rig_count_tag(&actors[i][k], TINA_TAG_SHUTDOWN), 1);
    }
}

static tina_effect note_that_it_is_shutting_down(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    if (message->tag != TINA_TAG_SHUTDOWN)
        return tina_receive();
    me->act.is_true = tina_is_shutting_down(ctx);
    return tina_done();
}

static void stop_gives_everybody_one_notice(void **unused)
{
    (void)unused;
    prepare();
    rig_system *rig = rig_start(&plan);
    actors[0][0].on = note_that_it_is_shutting_down;
    rig_call(rig, &actors[0][1], actors[1][0].self, TAG_A, TINA_NONE_NS); /* parked ones too */
    rig_end(rig);
    expect_one_notice_each();
    assert_true(actors[0][0].act.is_true);
}

static tina_effect stop_the_system(rig_actor *me, tina_ctx *ctx)
{
    (void)me;
    assert_false(tina_is_shutting_down(ctx));
    tina_stop_system(ctx);
    tina_stop_system(ctx);
    return tina_receive();
}

static void stop_from_a_handler_drains_all_shards(void **unused)
{
    (void)unused;
    prepare();
    rig_system *rig = rig_start(&plan);
    for (size_t i = 0; i < SHARDS; i++)
        assert_true(tina__doorbell_may_sleep(&rig->publics[i].bell));
    rig_do(rig, &actors[1][2], stop_the_system);
    assert_int_equal(rig->backends[1].wakes > 0, true); /* the others slept */
    for (size_t i = 0; i < SHARDS; i++)
        assert_true(tina__shard_has_ended(rig->shards[i]));
    rig_end(rig);
    expect_one_notice_each();
}

static tina_effect stop_again(rig_actor *me, tina_ctx *ctx)
{
    (void)me;
    tina_stop_system(ctx);
    return tina_receive();
}

static tina_effect stay(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    (void)me;
    (void)message;
    (void)ctx;
    return tina_receive();
}

static void stop_again_by_a_handler_does_not_soften_a_hurried_stop(void **unused)
{
    (void)unused;
    prepare();
    rig_system *rig = rig_start(&plan);
    actors[0][0].on = stay;
    rig_order(rig, &actors[0][0], stop_again);
    rig_stop(rig, TINA__STOP_NOW);
    rig_tick(rig, 0);
    assert_null(actors[0][0].todo);
    assert_int_equal(rig->shared.stop, TINA__STOP_NOW);
    rig_end(rig);
}

/* ---- Those who stay ------------------------------------------------------------------------------- */

static void drain_past_its_deadline_tears_the_rest_down_and_reports_it(void **unused)
{
    (void)unused;
    prepare();
    rig_system *rig = rig_start(&plan);
    actors[0][1].on = actors[0][3].on = stay;
    rig_stop(rig, TINA__STOP_GRACEFUL);
    rig_settle(rig);
    assert_int_equal(rig->shards[0]->live_count, 2);
    assert_true(tina__shard_deadline_ns(rig->shards[0]) <= rig->now_ns + 1000 * RIG_MS);
    rig_advance(rig, 999 * RIG_MS);
    assert_int_equal(rig->shards[0]->live_count, 2);
    assert_false(tina__shard_has_ended(rig->shards[1])); /* they end together */
    rig_advance(rig, 2 * RIG_MS);
    const tina__shard *shard = rig->shards[0];
    assert_int_equal(shard->undrained_count, 2);
    assert_true(tina_handle_equal(shard->undrained[0], actors[0][3].self)); /* the youngest first */
    assert_true(tina_handle_equal(shard->undrained[1], actors[0][1].self));
    assert_int_equal(rig->shards[1]->undrained_count, 0);
    assert_true(tina__shard_has_ended(rig->shards[1]));
    rig_end(rig);
}

static tina_effect spawn_twelve(rig_actor *me, tina_ctx *ctx)
{
    (void)me;
    for (int i = 0; i < 12; i++)
        assert_int_equal(
            tina_spawn_child(ctx, &(tina_spawn){.type = 1, .args = &child_args, .args_size = sizeof child_args}, NULL),
            TINA_OK);
    return tina_receive();
}

static void stop_now_waits_for_nobody_and_counts_them_all(void **unused)
{
    (void)unused;
    prepare();
    rig_system *rig = rig_start(&plan);
    for (size_t k = 0; k < 4; k++)
        actors[0][k].on = stay;
    child.on = stay;
    rig_do(rig, &actors[0][0], spawn_twelve);
    rig_stop(rig, TINA__STOP_NOW);
    rig_settle(rig);
    assert_int_equal(rig->shards[0]->undrained_count, 16);
    rig_end(rig);
}

static tina_effect chatter(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_receive();
    tina_ignore(tina_send(ctx, me->act.to, TAG_A, NULL, 0));
    return tina_receive();
}

static void drain_of_those_who_never_stop_talking_ends_at_its_deadline(void **unused)
{
    (void)unused;
    prepare();
    rig_system *rig = rig_start(&plan);
    actors[0][0].on = actors[1][0].on = chatter;
    actors[0][0].act.to = actors[1][0].self;
    actors[1][0].act.to = actors[0][0].self;
    assert_true(rig_post(rig, actors[0][0].self, TAG_A, NULL, 0));
    assert_false(rig_settle_within(rig, 50));
    rig_stop(rig, TINA__STOP_GRACEFUL);
    assert_false(rig_settle_within(rig, 50));
    assert_int_equal(rig->shards[0]->live_count, 1);
    rig->now_ns += 1001 * RIG_MS;
    rig_settle(rig);
    assert_int_equal(rig->shards[0]->undrained_count + rig->shards[1]->undrained_count, 2);
    rig_end(rig);
}

/* What they try is refused before they have been parked at all. */
static tina_effect retry_call(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    return tina_call(ctx, me->act.to, TAG_A, NULL, 0, 0);
}

static tina_effect retry_accept(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    return tina_io_accept(ctx, me->act.fd);
}

static void drain_reaches_those_who_try_for_ever_what_is_refused(void **unused)
{
    (void)unused;
    for (int accepts = 0; accepts < 2; accepts++) {
        prepare();
        plan.spec.fd_count = 1; /* the listener's: none is left for what it would accept */
        rig_system *rig = rig_start(&plan);
        rig_actor *actor = &actors[0][0];
        actor->act.to = actors[0][1].self;
        rig_done(rig, &actors[0][1]);
        assert_false(tina_fd_is_none(rig_socket(rig, actor)));
        actor->on = accepts ? retry_accept : retry_call;
        assert_true(rig_post(rig, actor->self, TAG_A, NULL, 0));
        assert_false(rig_settle_within(rig, 50));
        assert_int_equal(rig_saw_last(actor)->tag, accepts ? TINA_IO_ACCEPT : TINA_TAG_CALL_FAILED);
        assert_int_equal(rig_saw_last(actor)->status, accepts ? TINA_POOL_EXHAUSTED : TINA_STALE_HANDLE);
        rig_stop(rig, TINA__STOP_GRACEFUL);
        assert_true(rig_settle_within(rig, 100));
        assert_int_equal(rig_count_tag(actor, TINA_TAG_SHUTDOWN), 1);
        assert_int_equal(rig_saw_last(actor)->tag, TINA_TAG_SHUTDOWN);
        assert_int_equal(rig->shards[0]->undrained_count, 0);
        rig_end(rig);
    }
}

/* ---- Children ---------------------------------------------------------------------------------------- */

static tina_effect spawn_at_shutdown(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    if (message->tag != TINA_TAG_SHUTDOWN)
        return tina_receive();
    tina_spawn spawn = {.type = 1, .args = &child_args, .args_size = sizeof child_args, .restart = me->act.reason};
    me->act.status = tina_spawn_child(ctx, &spawn, NULL);
    return tina_done();
}

static void child_spawned_while_draining_gets_its_notice_after_its_init(void **unused)
{
    (void)unused;
    for (uint8_t restart = 0; restart <= TINA_TEMPORARY; restart++) {
        prepare();
        rig_system *rig = rig_start(&plan);
        actors[0][0].on = spawn_at_shutdown;
        actors[0][0].act.reason = restart;
        rig_end(rig);
        assert_int_equal(actors[0][0].act.status, TINA_OK);
        assert_int_equal(child.init_count, 1);
        assert_int_equal(child.seen_count, 1);
        assert_int_equal(rig_saw_last(&child)->tag, TINA_TAG_SHUTDOWN);
    }
}

static tina_effect crash_at_shutdown(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    (void)me;
    (void)ctx;
    return message->tag == TINA_TAG_SHUTDOWN ? tina_crash(1) : tina_receive();
}

static void child_that_ends_while_draining_is_not_restarted(void **unused)
{
    (void)unused;
    prepare();
    for (size_t k = 0; k < 4; k++)
        plan.children[0][k].restart = TINA_PERMANENT;
    rig_system *rig = rig_start(&plan);
    for (size_t k = 0; k < 4; k++)
        actors[0][k].on = crash_at_shutdown;
    rig_end(rig);
    for (size_t k = 0; k < 4; k++)
        assert_int_equal(actors[0][k].init_count, 1);
}

static void restart_that_waits_when_the_stop_comes_is_given_up(void **unused)
{
    (void)unused;
    prepare();
    plan.children[0][0].restart = TINA_PERMANENT;
    rig_system *rig = rig_start(&plan);
    rig->backends[0].holds_cancels = true;
    tina_fd fd = rig_socket(rig, &actors[0][0]);
    tina_op op = {.kind = TINA_IO_RECV, .fd = fd};
    rig_io_start(rig, &actors[0][0], &op);
    rig_crash(rig, &actors[0][0]);
    rig_stop(rig, TINA__STOP_GRACEFUL);
    rig_settle(rig);
    assert_false(tina__shard_has_ended(rig->shards[0])); /* the kernel has its buffer still */
    rig_end(rig);
    assert_int_equal(actors[0][0].init_count, 1);
}

static void wipe_while_everybody_drains_is_not_followed_by_a_tree_and_counts_who_had_not_ended(void **unused)
{
    (void)unused;
    prepare();
    plan.children[0][0].restart = TINA_PERMANENT;
    rig_system *rig = rig_start(&plan);
    for (size_t k = 0; k < 4; k++)
        actors[0][k].on = stay;
    rig_io_start(rig, &actors[0][1], &(tina_op){.kind = TINA_IO_RECV, .fd = rig_socket(rig, &actors[0][1])});
    rig_stop(rig, TINA__STOP_GRACEFUL);
    rig_settle(rig);
    rig_wipe(rig, 0);
    rig_settle(rig);
    assert_int_equal(rig->shards[0]->undrained_count, 4);
    rig_end(rig);
    for (size_t k = 0; k < 4; k++)
        assert_int_equal(actors[0][k].init_count, 1);
}

/* ---- Nothing uncounted ------------------------------------------------------------------------------------ */

/* At its end everybody sends to, and calls, everybody, including those who are gone. */
static tina_effect say_goodbye(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    if (message->tag != TINA_TAG_SHUTDOWN)
        return tina_is_call(message) && tina_random(ctx) % 2 == 0 ? tina_reply(ctx, TAG_B, NULL, 0) : tina_receive();
    for (size_t i = 0; i < SHARDS; i++) {
        for (size_t k = 0; k < 4; k++) {
            tina_ignore(tina_send(ctx, actors[i][k].self, TAG_A, NULL, 0));
            tina_ignore(tina_call_start(ctx, actors[i][k].self, TAG_A, NULL, 0, 0, NULL));
            if (me->seen_count != 0 && rig_saw(me, 0)->is_call)
                tina_ignore(tina_reply_to(ctx, rig_saw(me, 0)->caller, TAG_B, NULL, 0));
        }
    }
    return tina_done();
}

static void end_leaves_no_message_uncounted(void **unused)
{
    (void)unused;
    for (uint32_t round = 0; round < 50; round++) {
        prepare();
        rig_system *rig = rig_start(&plan);
        for (size_t i = 0; i < SHARDS; i++) {
            for (size_t k = 0; k < 4; k++)
                actors[i][k].on = say_goodbye;
        }
        for (size_t i = 0; i < SHARDS; i++)
            rig_call_start(rig, &actors[i][0], actors[(i + 1) % SHARDS][1].self, TAG_A, 0);
        rig_stop(rig, TINA__STOP_GRACEFUL);
        /* Some shards get far ahead of others. */
        for (uint32_t tick = 0; tick < 30; tick++) {
            rig_tick(rig, (round + tick / (1 + round % 7)) % SHARDS);
            (void)rig_post(rig, actors[tick % SHARDS][round % 4].self, TAG_A, NULL, 0);
        }
        rig_end(rig); /* checks the ledger */
    }
}

static tina_effect send_once(rig_actor *me, tina_ctx *ctx)
{
    me->act.status = tina_send(ctx, me->act.to, TAG_A, NULL, 0);
    return tina_done();
}

static void end_waits_for_the_slowest_shard(void **unused)
{
    (void)unused;
    prepare();
    rig_system *rig = rig_start(&plan);
    actors[2][0].on = stay;
    actors[2][0].act.to = actors[0][0].self;
    rig_stop(rig, TINA__STOP_GRACEFUL);
    for (uint32_t tick = 0; tick < 20; tick++) {
        rig_tick(rig, 0);
        rig_tick(rig, 1);
    }
    assert_int_equal(rig_stats(rig, 0).state, TINA_SHARD_ENDED);
    assert_false(tina__shard_has_ended(rig->shards[0]));
    rig_order(rig, &actors[2][0], send_once);
    rig_tick(rig, 2);
    assert_int_equal(actors[2][0].act.status, TINA_SHARD_DOWN);
    rig_end(rig);
}

static void end_that_is_abandoned_waits_for_no_other_shard(void **unused)
{
    (void)unused;
    prepare();
    rig_system *rig = rig_start(&plan);
    rig_stop(rig, TINA__STOP_ABANDON);
    for (uint32_t tick = 0; tick < 20; tick++)
        rig_tick(rig, 0);
    assert_true(tina__shard_has_ended(rig->shards[0]));
    rig_end(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stop_gives_everybody_one_notice),
        cmocka_unit_test(stop_from_a_handler_drains_all_shards),
        cmocka_unit_test(stop_again_by_a_handler_does_not_soften_a_hurried_stop),
        cmocka_unit_test(drain_past_its_deadline_tears_the_rest_down_and_reports_it),
        cmocka_unit_test(stop_now_waits_for_nobody_and_counts_them_all),
        cmocka_unit_test(drain_of_those_who_never_stop_talking_ends_at_its_deadline),
        cmocka_unit_test(child_spawned_while_draining_gets_its_notice_after_its_init),
        cmocka_unit_test(child_that_ends_while_draining_is_not_restarted),
        cmocka_unit_test(restart_that_waits_when_the_stop_comes_is_given_up),
        cmocka_unit_test(wipe_while_everybody_drains_is_not_followed_by_a_tree_and_counts_who_had_not_ended),
        cmocka_unit_test(end_leaves_no_message_uncounted),
        cmocka_unit_test(end_waits_for_the_slowest_shard),
        cmocka_unit_test(end_that_is_abandoned_waits_for_no_other_shard),
        cmocka_unit_test(drain_reaches_those_who_try_for_ever_what_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
