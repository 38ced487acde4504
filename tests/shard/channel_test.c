/* Between shards and from outside: order, fullness, patience, refusals on arrival, names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/rig.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>

#define TAG_A (TINA_TAG_USER + 1)
#define TAG_B (TINA_TAG_USER + 2)

static rig_plan plan;
static rig_actor a, b, c; /* a: on shard 0; b of type 0 and c of type 1: on shard 1 */

static void prepare(void)
{
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    memset(&c, 0, sizeof c);
    rig_plan_init(&plan, 2, 3);
    rig_plan_child(&plan, 0, 0, &a);
    rig_plan_child(&plan, 1, 0, &b);
    rig_plan_child(&plan, 1, 1, &c);
}

/* Sends numbers to act.to until act.call of them got through or one was refused. */
static tina_effect send_numbers(rig_actor *me, tina_ctx *ctx)
{
    uint64_t *next = me->data;
    me->act.status = TINA_OK;
    for (uint32_t i = 0; i < me->act.call && me->act.status == TINA_OK; i++) {
        me->act.status = tina_send(ctx, me->act.to, TAG_A, next, sizeof *next);
        *next += me->act.status == TINA_OK;
    }
    return tina_receive();
}

static void messages_to_another_shard_keep_their_order(void **unused)
{
    (void)unused;
    prepare();
    plan.spec.channel_capacity = 7;
    plan.types[0].mailbox_capacity = 100;
    rig_system *rig = rig_start(&plan);
    uint64_t next = 0;
    a.data = &next;
    a.act.to = b.self;
    uint32_t round = 0;
    while (next < RIG_SEEN_MAX) {
        a.act.call = 1 + round % 7;
        rig_order(rig, &a, send_numbers);
        rig_tick(rig, 0);
        if (round++ % 3 == 0)
            rig_tick(rig, 1);
    }
    rig_settle(rig);
    assert_int_equal(b.seen_count, next);
    for (uint32_t i = (uint32_t)next - RIG_SEEN_MAX; i < next; i++)
        assert_int_equal(rig_saw(&b, i)->value, i);
    rig_end(rig);
}

static void channel_that_is_full_tells_the_sender(void **unused)
{
    (void)unused;
    prepare();
    plan.spec.channel_capacity = 9;
    rig_system *rig = rig_start(&plan);
    uint64_t next = 0;
    a.data = &next;
    a.act.to = b.self;
    a.act.call = 100;
    for (uint32_t round = 1; round <= 5; round++) {
        rig_do(rig, &a, send_numbers);
        assert_int_equal(a.act.status, TINA_CHANNEL_FULL);
        assert_int_equal(next, 9 * round);
        assert_int_equal(b.seen_count, next);
        assert_int_equal(rig_stats(rig, 0).channel_full, round);
    }
    rig_end(rig);
}

static void inbox_that_is_full_tells_who_posts(void **unused)
{
    (void)unused;
    prepare();
    plan.spec.inbox_capacity = 5;
    rig_system *rig = rig_start(&plan);
    for (uint32_t round = 1; round <= 5; round++) {
        for (int i = 0; i < 5; i++)
            assert_true(rig_post(rig, b.self, TAG_A, NULL, 0));
        assert_false(rig_post(rig, b.self, TAG_A, NULL, 0));
        rig_settle(rig);
        assert_int_equal(b.seen_count, 5 * round);
    }
    rig_end(rig);
}

#define POSTS 20000

static void *post_without_pause(void *argument)
{
    rig_system *rig = argument;
    for (uint32_t i = 0; i < POSTS; i++) {
        while (!rig_post(rig, b.self, TAG_A, NULL, 0))
            sched_yield();
    }
    return NULL;
}

/* However fast others post, a tick has an end. */
static void inbox_gives_a_tick_no_more_than_it_has_room_for(void **unused)
{
    (void)unused;
    prepare();
    plan.spec.inbox_capacity = 8;
    rig_system *rig = rig_start(&plan);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, post_without_pause, rig), 0);
    uint64_t posted = 0;
    uint64_t most = 0;
    while (posted < POSTS) {
        rig_tick(rig, 1);
        uint64_t now = rig_stats(rig, 1).posted;
        most = now - posted > most ? now - posted : most;
        posted = now;
        if (most == 0)
            sched_yield();
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_in_range(most, 1, 8);
    rig_settle(rig);
    assert_int_equal(b.seen_count + rig_stats(rig, 1).arrived_full, POSTS);
    rig_end(rig);
}

static void messages_are_published_with_the_tick_that_sent_them(void **unused)
{
    (void)unused;
    prepare();
    rig_system *rig = rig_start(&plan);
    uint64_t next = 0;
    a.data = &next;
    a.act.to = b.self;
    a.act.call = 3;
    rig_order(rig, &a, send_numbers);
    rig_tick(rig, 1);
    assert_int_equal(b.seen_count, 0);
    rig_tick(rig, 0);
    assert_int_equal(b.seen_count, 0);
    rig_tick(rig, 1);
    assert_int_equal(b.seen_count, 3);
    rig_end(rig);
}

static tina_effect watch_the_publishing(rig_actor *me, tina_ctx *ctx)
{
    const tina__spsc *channel = ctx->shard->p.peers[1].out;
    for (uint32_t i = 1; i <= 2 * TINA__PUBLISH_EVERY; i++) {
        assert_int_equal(tina_send(ctx, me->act.to, TAG_A, NULL, 0), TINA_OK);
        assert_int_equal(tina__spsc_unpublished(channel), i % TINA__PUBLISH_EVERY);
    }
    return tina_receive();
}

static void messages_are_published_sooner_when_they_are_many(void **unused)
{
    (void)unused;
    prepare();
    plan.spec.channel_capacity = 500;
    plan.types[0].mailbox_capacity = 500;
    rig_system *rig = rig_start(&plan);
    a.act.to = b.self;
    rig_do(rig, &a, watch_the_publishing);
    assert_int_equal(b.seen_count, 2 * TINA__PUBLISH_EVERY);
    rig_end(rig);
}

static void publishing_wakes_a_shard_that_sleeps_once(void **unused)
{
    (void)unused;
    prepare();
    rig_system *rig = rig_start(&plan);
    assert_int_equal(rig_send(rig, &a, b.self, TAG_A, 0), TINA_OK);
    assert_int_equal(rig->backends[0].wakes, 0); /* it was awake */
    assert_true(tina__doorbell_may_sleep(&rig->publics[1].bell));
    uint64_t next = 0;
    a.data = &next;
    a.act.to = b.self;
    a.act.call = 5;
    rig_order(rig, &a, send_numbers);
    rig_tick(rig, 0);
    assert_int_equal(rig->backends[0].wakes, 1);
    rig_order(rig, &a, send_numbers);
    rig_tick(rig, 0);
    assert_int_equal(rig->backends[0].wakes, 1);
    assert_int_equal(rig_stats(rig, 0).wakes, 1);
    assert_false(tina__doorbell_may_sleep(&rig->publics[1].bell));
    rig_end(rig);
}

/* ---- Refused on arrival ---------------------------------------------------------------------------- */

static void arrival_for_one_that_is_gone_is_counted(void **unused)
{
    (void)unused;
    prepare();
    rig_system *rig = rig_start(&plan);
    tina_handle gone = b.self;
    rig_done(rig, &b);
    assert_int_equal(rig_send(rig, &a, gone, TAG_A, 0), TINA_OK);
    assert_true(rig_post(rig, gone, TAG_A, NULL, 0));
    rig_settle(rig);
    assert_int_equal(rig_stats(rig, 1).arrived_stale, 2);
    assert_int_equal(rig_stats(rig, 1).replies_late, 0);
    rig_check_ledger(rig);
    rig_end(rig);
}

static void arrival_for_a_full_one_that_will_not_run_is_refused_at_once(void **unused)
{
    (void)unused;
    prepare();
    plan.types[0].mailbox_capacity = 2;
    rig_system *rig = rig_start(&plan);
    rig_call(rig, &b, a.self, TAG_B, TINA_NONE_NS); /* parked */
    for (int i = 0; i < 2; i++)
        assert_int_equal(rig_send(rig, &a, b.self, TAG_A, 0), TINA_OK);
    rig_tick(rig, 1);
    assert_int_equal(rig_send(rig, &a, b.self, TAG_A, 0), TINA_OK);
    assert_true(rig_post(rig, b.self, TAG_A, NULL, 0));
    rig_tick(rig, 1);
    assert_int_equal(rig_stats(rig, 1).arrived_full, 2);
    assert_int_equal(rig_send(rig, &a, c.self, TAG_A, 0), TINA_OK); /* its neighbour is fine */
    assert_int_equal(c.seen_count, 1);
    rig_check_ledger(rig);
    rig_end(rig);
}

static tina_effect hoard_messages(rig_actor *me, tina_ctx *ctx)
{
    while (tina_send(ctx, me->act.to, TAG_A, NULL, 0) == TINA_OK) {
    }
    return tina_receive();
}

static void arrival_at_a_shard_without_free_messages_is_counted(void **unused)
{
    (void)unused;
    prepare();
    plan.spec.message_count = 8;
    rig_system *rig = rig_start(&plan);
    rig_call(rig, &b, a.self, TAG_B, TINA_NONE_NS); /* parked */
    c.act.to = b.self;
    rig_do(rig, &c, hoard_messages);
    assert_int_equal(rig_stats(rig, 1).messages.used, 7);
    assert_int_equal(rig_send(rig, &a, b.self, TAG_A, 0), TINA_OK);
    assert_int_equal(rig_stats(rig, 1).messages.used, 8);
    assert_int_equal(rig_send(rig, &a, c.self, TAG_A, 0), TINA_OK);
    assert_int_equal(rig_call_start(rig, &a, c.self, TAG_A, 0), TINA_OK);
    assert_true(rig_post(rig, c.self, TAG_A, NULL, 0));
    rig_settle(rig);
    assert_int_equal(c.seen_count, 0);
    assert_int_equal(rig_stats(rig, 1).arrived_exhausted, 3);
    assert_int_equal(rig_saw_last(&a)->tag, TINA_TAG_CALL_FAILED);
    assert_int_equal(rig_saw_last(&a)->status, TINA_POOL_EXHAUSTED);
    rig_check_ledger(rig);
    rig_end(rig);
}

/* ---- Patience ------------------------------------------------------------------------------------------ */

static bool are_busy;

/* One of very many that always have mail. */
static tina_effect be_busy(void *self, const tina_message *message, tina_ctx *ctx)
{
    rig_actor *me = *(rig_actor **)self;
    if (me != NULL)
        return rig_actor_handle(self, message, ctx);
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (are_busy)
        assert_int_equal(tina_send(ctx, tina_self(ctx), TAG_A, NULL, 0), TINA_OK);
    return tina_receive();
}

static tina_effect spawn_busy_ones(rig_actor *me, tina_ctx *ctx)
{
    for (uint32_t i = 0; i < me->act.call; i++) {
        tina_handle child;
        assert_int_equal(tina_spawn_child(ctx, &(tina_spawn){.type = 0}, &child), TINA_OK);
        assert_int_equal(tina_send(ctx, child, TAG_A, NULL, 0), TINA_OK);
    }
    return tina_receive();
}

/* b is one of count that are always ready, and has room for one message: it runs every count / 256 ticks. */
static rig_system *start_busy(uint32_t count)
{
    prepare();
    plan.types[0].handler = be_busy;
    plan.types[0].mailbox_capacity = 1;
    plan.types[0].slot_count = 3000;
    plan.spec.message_count = 4000;
    plan.shards[1].root.dynamic_max = 3000;
    rig_system *rig = rig_start(&plan);
    are_busy = true;
    c.act.call = count;
    rig_order(rig, &c, spawn_busy_ones);
    for (int i = 0; i < 20; i++)
        rig_tick(rig, 1);
    return rig;
}

static void end_busy(rig_system *rig)
{
    are_busy = false;
    rig_settle(rig);
    rig_check_ledger(rig);
    rig_end(rig);
}

static void three_for_b_one_for_c(rig_system *rig, bool by_post)
{
    uint64_t next = 0;
    const tina_handle to[4] = {b.self, b.self, b.self, c.self};
    for (int i = 0; i < 4; i++, next++) {
        if (by_post) {
            assert_true(rig_post(rig, to[i], TAG_B, &next, sizeof next));
            continue;
        }
        a.act.to = to[i];
        a.act.call = 1;
        a.data = &next;
        rig_order(rig, &a, send_numbers);
        rig_tick(rig, 0);
        next--;
    }
}

static void full_receiver_about_to_run_holds_its_channel_back_at_most_two_ticks(void **unused)
{
    (void)unused;
    for (int by_post = 0; by_post < 2; by_post++) {
        rig_system *rig = start_busy(2048);
        rig_forget(&c);
        three_for_b_one_for_c(rig, by_post);
        /* The first is b's mail, the second waits for two ticks and is refused, the third, with new patience, too. */
        static const uint64_t refused[] = {0, 0, 1, 1, 2};
        for (uint32_t tick = 0; tick < 5; tick++) {
            rig_tick(rig, 1);
            assert_int_equal(b.seen_count, 0);
            assert_int_equal(rig_stats(rig, 1).arrived_full, refused[tick]);
            assert_int_equal(c.seen_count, tick == 4); /* what comes behind keeps its order */
        }
        end_busy(rig);
        assert_int_equal(rig_count_tag(&b, by_post ? TAG_B : TAG_A), 1);
    }
}

static void full_receiver_that_runs_in_time_loses_nothing(void **unused)
{
    (void)unused;
    for (int by_post = 0; by_post < 2; by_post++) {
        rig_system *rig = start_busy(400);
        three_for_b_one_for_c(rig, by_post);
        for (uint32_t tick = 0; tick < 10; tick++)
            rig_tick(rig, 1);
        assert_int_equal(rig_stats(rig, 1).arrived_full, 0);
        assert_int_equal(b.seen_count, 3);
        end_busy(rig);
    }
}

/* ---- Any handle at all ------------------------------------------------------------------------------------- */

static tina_effect send_to_random(rig_actor *me, tina_ctx *ctx)
{
    for (uint32_t i = 0; i < 1000; i++) {
        tina_handle to = {tina_random(ctx)};
        if (i % 4 != 0)
            to.bits &= 0x01FFFFFFFFFFFFFFu; /* a shard that there is */
        if (i % 4 == 2)
            to.bits &= 0xFF03FFFFFFFFFFFFu; /* a type that there is */
        if (i % 4 == 3)
            to.bits |= 0x00FF000000000000u; /* a name */
        me->act.status = i % 16 != 5 ? tina_send(ctx, to, TAG_A, &to, sizeof to)
                                     : tina_call_start(ctx, to, TAG_A, &to, sizeof to, 0, NULL);
        if (me->act.status == TINA_OK)
            me->act.call++;
        else
            assert_true(me->act.status == TINA_INVALID || me->act.status == TINA_STALE_HANDLE ||
                        me->act.status == TINA_CHANNEL_FULL);
    }
    return tina_receive();
}

static void random_handles_by_the_million_do_no_harm(void **unused)
{
    (void)unused;
    prepare();
    rig_system *rig = rig_start(&plan);
    a.act.call = 0;
    for (uint32_t i = 0; i < 1000; i++)
        rig_do(rig, &a, send_to_random);
    assert_true(a.act.call > 10000);
    assert_int_equal(b.seen_count + c.seen_count, 0);
    assert_int_equal(rig_stats(rig, 1).arrived_stale, a.act.call);
    rig_check_ledger(rig);
    rig_end(rig);
}

static void random_handles_from_outside_do_no_harm(void **unused)
{
    (void)unused;
    prepare();
    rig_system *rig = rig_start(&plan);
    for (uint64_t i = 0; i < 200000; i++) {
        tina_handle to = {tina__mix64(i) & 0x01FFFFFFFFFFFFFFu};
        if (i % 3 == 0)
            to.bits |= 0x00FF000000000000u;
        if (!rig_post(rig, to, TAG_A, &i, sizeof i)) {
            rig_settle(rig);
            assert_true(rig_post(rig, to, TAG_A, &i, sizeof i));
        }
    }
    rig_settle(rig);
    assert_int_equal(rig_total(rig).arrived_stale, 200000);
    assert_int_equal(a.seen_count + b.seen_count + c.seen_count, 0);
    rig_end(rig);
}

/* ---- Names ------------------------------------------------------------------------------------------------------ */

static tina_effect greet_oneself(rig_actor *me, tina_ctx *ctx)
{
    me->act.status = tina_send(ctx, tina_named(tina_shard(ctx), 9), TAG_B, NULL, 0);
    return tina_receive();
}

static void name_means_the_child_across_its_lives(void **unused)
{
    (void)unused;
    prepare();
    plan.children[1][0].name = 9;
    plan.children[1][0].restart = TINA_TRANSIENT;
    b.on_init = greet_oneself;
    rig_system *rig = rig_start(&plan);
    assert_int_equal(b.act.status, TINA_OK);
    assert_int_equal(b.seen_count, 1); /* in its own init its name works */
    tina_handle name = tina_named(1, 9);
    rig_forget(&b);
    tina_handle first = b.self;
    assert_false(tina_handle_equal(name, first));
    assert_int_equal(rig_send(rig, &a, name, TAG_A, 1), TINA_OK);
    assert_int_equal(rig_send(rig, &c, name, TAG_A, 2), TINA_OK);
    rig_crash(rig, &b);
    assert_false(tina_handle_equal(first, b.self));
    assert_int_equal(rig_send(rig, &a, name, TAG_A, 3), TINA_OK);
    assert_int_equal(rig_send(rig, &c, name, TAG_A, 4), TINA_OK);
    assert_true(rig_post(rig, name, TAG_A, NULL, 0));
    rig_settle(rig);
    assert_int_equal(rig_count_tag(&b, TAG_A), 5);
    /* While it is down, for good or not, it is stale. */
    rig_done(rig, &b);
    uint64_t before = rig_stats(rig, 1).arrived_stale;
    assert_int_equal(rig_send(rig, &c, name, TAG_A, 5), TINA_STALE_HANDLE);
    assert_int_equal(rig_send(rig, &a, name, TAG_A, 6), TINA_OK);
    assert_int_equal(rig_stats(rig, 1).arrived_stale, before + 1);
    assert_int_equal(rig_send(rig, &a, tina_named(0, 9), TAG_A, 7), TINA_STALE_HANDLE); /* a name of another shard */
    assert_int_equal(rig_send(rig, &c, tina_named(1, 65535), TAG_A, 8), TINA_STALE_HANDLE);
    rig_end(rig);
}

static void call_to_a_name_is_answered(void **unused)
{
    (void)unused;
    prepare();
    plan.children[1][0].name = 1;
    rig_system *rig = rig_start(&plan);
    for (int remote = 0; remote < 2; remote++) {
        rig_actor *from = remote ? &a : &c;
        rig_call(rig, from, tina_named(1, 1), TAG_A, 0);
        assert_int_equal(rig_reply_to(rig, &b, rig_saw_last(&b)->caller, TAG_B, 3), TINA_OK);
        assert_int_equal(rig_saw_last(from)->tag, TAG_B);
        assert_true(tina_handle_equal(rig_saw_last(from)->source, b.self));
    }
    rig_end(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_to_another_shard_keep_their_order),
        cmocka_unit_test(channel_that_is_full_tells_the_sender),
        cmocka_unit_test(inbox_that_is_full_tells_who_posts),
        cmocka_unit_test(messages_are_published_with_the_tick_that_sent_them),
        cmocka_unit_test(messages_are_published_sooner_when_they_are_many),
        cmocka_unit_test(publishing_wakes_a_shard_that_sleeps_once),
        cmocka_unit_test(arrival_for_one_that_is_gone_is_counted),
        cmocka_unit_test(arrival_for_a_full_one_that_will_not_run_is_refused_at_once),
        cmocka_unit_test(arrival_at_a_shard_without_free_messages_is_counted),
        cmocka_unit_test(full_receiver_about_to_run_holds_its_channel_back_at_most_two_ticks),
        cmocka_unit_test(full_receiver_that_runs_in_time_loses_nothing),
        cmocka_unit_test(random_handles_by_the_million_do_no_harm),
        cmocka_unit_test(random_handles_from_outside_do_no_harm),
        cmocka_unit_test(name_means_the_child_across_its_lives),
        cmocka_unit_test(call_to_a_name_is_answered),
        cmocka_unit_test(inbox_gives_a_tick_no_more_than_it_has_room_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
