/* Timers as isolates see them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/rig.h"

#include <string.h>

#define TAG_A (TINA_TAG_USER + 1)
#define TAG_B (TINA_TAG_USER + 2)

static rig_plan plan;
static rig_actor a, b;

static rig_system *start(void)
{
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    rig_plan_init(&plan, 1, 2);
    plan.spec.message_count = 8;
    rig_plan_child(&plan, 0, 0, &a);
    rig_plan_child(&plan, 0, 1, &b);
    return rig_start(&plan);
}

static void timer_fires_never_early_and_within_a_step(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    for (uint64_t delay_ns = 1; delay_ns < 700 * RIG_MS; delay_ns = delay_ns * 3 + 12345) {
        rig_forget(&a);
        uint64_t start_ns = rig->now_ns;
        assert_int_equal(rig_timer(rig, &a, delay_ns, TAG_A), TINA_OK);
        while (a.seen_count == 0)
            rig_advance(rig, RIG_MS / 10);
        uint64_t took_ns = rig_saw_last(&a)->now_ns - start_ns;
        assert_true(took_ns >= delay_ns);
        assert_true(took_ns <= delay_ns + RIG_MS + RIG_MS / 10);
        assert_int_equal(rig_saw_last(&a)->tag, TAG_A);
        assert_int_equal(rig_saw_last(&a)->size, 0);
        assert_true(tina_handle_is_none(rig_saw_last(&a)->source));
    }
    assert_int_equal(rig_stats(rig, 0).timers.used, 0);
    rig_end(rig);
}

static void timer_due_is_when_the_shard_wants_to_tick(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    assert_int_equal(tina__shard_deadline_ns(rig->shards[0]), TINA_NONE_NS);
    rig_timer(rig, &a, 10 * RIG_MS, TAG_A);
    uint64_t due_ns = tina__shard_deadline_ns(rig->shards[0]);
    assert_true(due_ns >= rig->now_ns && due_ns <= rig->now_ns + 11 * RIG_MS);
    while (a.seen_count == 0) { /* a wheel may ask for a tick in between */
        rig->now_ns = tina__shard_deadline_ns(rig->shards[0]);
        rig_settle(rig);
    }
    assert_true(rig_saw_last(&a)->now_ns <= due_ns + 11 * RIG_MS);
    rig_end(rig);
}

static void cancel_before_the_expiry_is_true_once(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    rig_timer(rig, &a, 10 * RIG_MS, TAG_A);
    tina_timer timer = a.act.timer;
    assert_false(rig_timer_cancel(rig, &b, timer)); /* not its own */
    assert_true(rig_timer_cancel(rig, &a, timer));
    assert_false(rig_timer_cancel(rig, &a, timer));
    assert_int_equal(rig_stats(rig, 0).timers.used, 0);
    rig_advance(rig, 20 * RIG_MS);
    assert_int_equal(a.seen_count, 0);
    rig_end(rig);
}

static tina_effect cancel_at_first(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (me->seen_count == 1)
        me->act.is_true = tina_timer_cancel(ctx, me->act.timer);
    return tina_receive();
}

static void cancel_after_the_expiry_and_before_it_is_handled_prevents_it(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    rig_timer(rig, &a, 10 * RIG_MS, TAG_A);
    a.on = cancel_at_first;
    /* The mail comes first, and the timer expires in the same tick: it waits behind the mail. */
    assert_true(rig_post(rig, a.self, TAG_B, NULL, 0));
    rig_advance(rig, 20 * RIG_MS);
    assert_true(a.act.is_true);
    assert_int_equal(a.seen_count, 1);
    assert_int_equal(rig_saw_last(&a)->tag, TAG_B);
    assert_int_equal(rig_stats(rig, 0).timers.used, 0);
    rig_end(rig);
}

static void cancel_of_a_timer_in_its_own_handler_is_false(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    rig_timer(rig, &a, 10 * RIG_MS, TAG_A);
    a.on = cancel_at_first;
    a.act.is_true = true;
    rig_advance(rig, 20 * RIG_MS);
    assert_int_equal(a.seen_count, 1);
    assert_false(a.act.is_true);
    assert_int_equal(rig_stats(rig, 0).timers.used, 0);
    rig_end(rig);
}

/* Of the one slot that there is another timer is made, and the message still speaks of the first. */
static tina_effect use_again(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    if (message->tag != TAG_A)
        return message->tag == TINA_TAG_SHUTDOWN ? tina_done() : tina_receive();
    me->act.is_true = tina_timer_cancel(ctx, me->act.timer);
    assert_int_equal(tina_timer_start(ctx, 10 * RIG_MS, TAG_B, &me->act.timer), TINA_OK);
    assert_int_equal(message->tag, TAG_A);
    assert_int_equal(message->source.bits, 0);
    assert_true(tina_handle_equal(message->destination, tina_self(ctx)));
    assert_int_equal(message->correlation, 0);
    assert_int_equal(message->size, 0);
    return tina_receive();
}

static void timer_that_fired_is_free_in_its_own_handler(void **unused)
{
    (void)unused;
    for (int repeats = 0; repeats < 2; repeats++) {
        memset(&a, 0, sizeof a);
        rig_plan_init(&plan, 1, 1);
        plan.spec.timer_count = 1;
        rig_plan_child(&plan, 0, 0, &a);
        rig_system *rig = rig_start(&plan);
        a.on = use_again;
        assert_int_equal((repeats ? rig_repeat : rig_timer)(rig, &a, 10 * RIG_MS, TAG_A), TINA_OK);
        rig_advance(rig, 15 * RIG_MS);
        assert_int_equal(a.act.is_true, repeats);
        rig_advance(rig, 15 * RIG_MS);
        assert_int_equal(a.seen_count, 2);
        assert_int_equal(rig_saw_last(&a)->tag, TAG_B);
        assert_int_equal(rig_stats(rig, 0).timers.used, 0);
        rig_end(rig);
    }
}

static void repeat_comes_every_period(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    uint64_t start_ns = rig->now_ns;
    assert_int_equal(rig_repeat(rig, &a, 10 * RIG_MS, TAG_A), TINA_OK);
    for (uint32_t i = 0; i < 1000; i++)
        rig_advance(rig, RIG_MS);
    assert_in_range(a.seen_count, 99, 100);
    for (uint32_t i = 0; i < a.seen_count; i++) {
        assert_int_equal(rig_saw(&a, i)->correlation, 0);
        uint64_t due_ns = start_ns + (i + 1) * 10 * RIG_MS;
        assert_true(rig_saw(&a, i)->now_ns >= due_ns); /* no drift */
        assert_true(rig_saw(&a, i)->now_ns <= due_ns + 2 * RIG_MS);
    }
    assert_int_equal(rig_stats(rig, 0).timers_fired, a.seen_count);
    rig_end(rig);
}

static void repeat_that_was_missed_is_counted_in_the_next(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    rig_repeat(rig, &a, 10 * RIG_MS, TAG_A);
    rig_advance(rig, 55 * RIG_MS); /* five are due */
    assert_int_equal(a.seen_count, 1);
    assert_int_equal(rig_saw_last(&a)->correlation, 4);
    rig_advance(rig, 10 * RIG_MS);
    assert_int_equal(a.seen_count, 2);
    assert_int_equal(rig_saw_last(&a)->correlation, 0);
    assert_int_equal(rig_stats(rig, 0).timer_overruns, 4);
    rig_end(rig);
}

static void repeat_undelivered_is_one_message_that_counts(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    rig_repeat(rig, &a, 10 * RIG_MS, TAG_A);
    rig_call(rig, &a, b.self, TAG_B, 1000 * RIG_MS); /* parked */
    for (int i = 0; i < 7; i++)
        rig_advance(rig, 10 * RIG_MS);
    rig_advance(rig, 5 * RIG_MS);
    assert_int_equal(a.seen_count, 0);
    rig_reply_to(rig, &b, rig_saw_last(&b)->caller, TAG_B, 0);
    assert_int_equal(a.seen_count, 2);
    assert_int_equal(rig_saw_last(&a)->tag, TAG_A);
    assert_int_equal(rig_saw_last(&a)->correlation, 6);
    assert_int_equal(rig_stats(rig, 0).timer_overruns, 6);
    rig_end(rig);
}

static tina_effect cancel_at_third(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (me->seen_count == 3) {
        me->act.is_true = tina_timer_cancel(ctx, me->act.timer);
        assert_int_equal(message->tag, TAG_A); /* still readable */
        assert_false(tina_timer_cancel(ctx, me->act.timer));
    }
    return tina_receive();
}

static void repeat_cancelled_in_its_own_handler_comes_no_more(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    rig_repeat(rig, &a, 10 * RIG_MS, TAG_A);
    a.on = cancel_at_third;
    for (int i = 0; i < 20; i++)
        rig_advance(rig, 10 * RIG_MS);
    assert_int_equal(a.seen_count, 3);
    assert_true(a.act.is_true);
    assert_int_equal(rig_stats(rig, 0).timers.used, 0);
    rig_end(rig);
}

static void repeat_cancelled_while_it_waits_comes_no_more(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    rig_repeat(rig, &a, 10 * RIG_MS, TAG_A);
    a.on = cancel_at_first;
    assert_true(rig_post(rig, a.self, TAG_B, NULL, 0));
    rig_advance(rig, 35 * RIG_MS);
    rig_advance(rig, 35 * RIG_MS);
    assert_int_equal(a.seen_count, 1);
    assert_true(a.act.is_true);
    assert_int_equal(rig_stats(rig, 0).timers.used, 0);
    rig_end(rig);
}

static tina_effect end_at_timer(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    (void)me;
    (void)ctx;
    return message->tag == TAG_A || message->tag == TINA_TAG_SHUTDOWN ? tina_done() : tina_receive();
}

static void end_takes_the_timers_along(void **unused)
{
    (void)unused;
    for (int in_handler = 0; in_handler < 2; in_handler++) {
        rig_system *rig = start();
        rig_timer(rig, &a, 50 * RIG_MS, TAG_B);
        rig_repeat(rig, &a, 10 * RIG_MS, TAG_A);
        rig_timer(rig, &a, 10 * RIG_MS, TAG_A);
        a.on = in_handler ? end_at_timer : NULL;
        rig_advance(rig, 20 * RIG_MS);
        if (!in_handler)
            rig_crash(rig, &a);
        assert_int_equal(rig_stats(rig, 0).timers.used, 0);
        assert_int_equal(rig->shards[0]->p.wheel->count, 0);
        rig_end(rig);
    }
}

static void handle_of_a_timer_whose_slot_is_used_again_is_stale(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    rig_timer(rig, &a, RIG_MS, TAG_A);
    tina_timer old = a.act.timer;
    rig_advance(rig, 3 * RIG_MS);
    for (int i = 0; i < 200; i++) { /* past the 64 slots */
        rig_timer(rig, &a, 100 * RIG_MS, TAG_B);
        tina_timer timer = a.act.timer;
        assert_false(rig_timer_cancel(rig, &a, old));
        assert_true(rig_timer_cancel(rig, &a, timer));
    }
    rig_end(rig);
}

static tina_effect exhaust_messages(rig_actor *me, tina_ctx *ctx)
{
    assert_int_equal(tina_timer_start(ctx, 0, TAG_A, NULL), TINA_OK);
    assert_int_equal(tina_timer_start(ctx, 10 * RIG_MS, TAG_A, NULL), TINA_OK);
    while (tina_send(ctx, b.self, TAG_B, NULL, 0) == TINA_OK)
        me->act.call++;
    return tina_receive();
}

static void expiry_needs_no_free_message(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    rig_call(rig, &b, a.self, TAG_B, TINA_NONE_NS); /* parked: what it is sent stays */
    a.act.call = 0;
    rig_do(rig, &a, exhaust_messages);
    assert_int_equal(a.act.call, 7);
    rig_advance(rig, 20 * RIG_MS);
    assert_int_equal(rig_stats(rig, 0).messages.used, 7);
    assert_true(rig_post(rig, b.self, TAG_B, NULL, 0));
    assert_int_equal(rig_count_tag(&a, TAG_A), 2);
    rig_end(rig);
}

#define TIMES 1000

/* Each time it wakes, which is from a call, its timer has expired behind its back. */
static tina_effect park_and_cancel(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (message->tag == TINA_TAG_CALL_FAILED)
        assert_true(tina_timer_cancel(ctx, me->act.timer));
    else
        assert_int_equal(message->tag, TAG_B);
    assert_int_equal(tina_timer_start(ctx, RIG_MS, TAG_A, &me->act.timer), TINA_OK);
    return tina_call(ctx, b.self, TAG_B, NULL, 0, 3 * RIG_MS);
}

static void cancel_of_an_expired_timer_again_and_again_holds_no_slot(void **unused)
{
    (void)unused;
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    rig_plan_init(&plan, 1, 2);
    plan.spec.timer_count = 8;
    rig_plan_child(&plan, 0, 0, &a);
    rig_plan_child(&plan, 0, 1, &b);
    rig_system *rig = rig_start(&plan);
    a.on = park_and_cancel;
    assert_true(rig_post(rig, a.self, TAG_B, NULL, 0));
    rig_settle(rig);
    for (uint32_t i = 1; i <= TIMES; i++) {
        rig_forget(&b);
        assert_int_equal(rig_timer(rig, &b, RIG_MS, TAG_A), TINA_OK);
        rig_advance(rig, 5 * RIG_MS);
        assert_int_equal(a.seen_count, 1 + i);
        assert_int_equal(rig_count_tag(&b, TAG_A), 1);
        assert_int_equal(rig_stats(rig, 0).timers.used, 2); /* its next timer and its next call */
    }
    rig_end(rig);
}

/* ---- Mail around timers that are cancelled ------------------------------------------------------- */

#define ITEMS    5 /* in the mailbox, mail and expired timers */
#define TAG_ITEM (TINA_TAG_USER + 16)
#define TAG_END  (TAG_ITEM + ITEMS)

static struct {
    uint32_t timers;    /* which items are timers: a set of bits */
    uint32_t cancelled; /* which of these are cancelled */
    bool repeats, backwards;
    tina_timer started[ITEMS];
} box;

static bool has(uint32_t set, uint32_t item) { return (set >> item & 1) != 0; }

static tina_effect start_and_park(rig_actor *me, tina_ctx *ctx)
{
    (void)me;
    for (uint32_t i = 0; i < ITEMS; i++) {
        if (!has(box.timers, i))
            continue;
        uint64_t delay_ns = (i + 1) * 10 * RIG_MS;
        tina_tag tag = (tina_tag)(TAG_ITEM + i);
        assert_int_equal(box.repeats ? tina_timer_repeat(ctx, delay_ns, tag, &box.started[i])
                                     : tina_timer_start(ctx, delay_ns, tag, &box.started[i]),
                         TINA_OK);
    }
    return tina_call(ctx, b.self, TAG_A, NULL, 0, 1000 * RIG_MS);
}

static tina_effect cancel_some(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (message->tag == TAG_END) {
        for (uint32_t i = 0; i < ITEMS; i++)
            if (has(box.timers, i))
                assert_int_equal(tina_timer_cancel(ctx, box.started[i]), box.repeats && !has(box.cancelled, i));
    }
    if (message->tag != TAG_B)
        return tina_receive();
    for (uint32_t i = 0; i < ITEMS; i++) {
        uint32_t item = box.backwards ? ITEMS - 1 - i : i;
        if (has(box.cancelled, item))
            assert_true(tina_timer_cancel(ctx, box.started[item]));
    }
    assert_int_equal(tina_send(ctx, me->self, TAG_END, NULL, 0), TINA_OK);
    return tina_receive();
}

static void expect_all_but_the_cancelled(rig_system *rig)
{
    rig_forget(&a);
    rig_forget(&b);
    rig_order(rig, &a, start_and_park);
    rig_settle(rig);
    for (uint32_t i = 0; i < ITEMS; i++) {
        if (!has(box.timers, i))
            assert_true(rig_post(rig, a.self, (tina_tag)(TAG_ITEM + i), NULL, 0));
        rig_advance(rig, 5 * RIG_MS);
        rig_advance(rig, 5 * RIG_MS + RIG_MS / 2);
    }
    assert_int_equal(a.seen_count, 0);
    assert_int_equal(rig_reply_to(rig, &b, rig_saw_last(&b)->caller, TAG_B, 0), TINA_OK);
    uint32_t index = 0;
    assert_int_equal(rig_saw(&a, index++)->tag, TAG_B);
    for (uint32_t i = 0; i < ITEMS; i++) {
        if (!has(box.cancelled, i))
            assert_int_equal(rig_saw(&a, index++)->tag, TAG_ITEM + i);
    }
    assert_int_equal(rig_saw(&a, index++)->tag, TAG_END);
    assert_int_equal(a.seen_count, index);
    assert_int_equal(rig_stats(rig, 0).timers.used, 0);
    assert_int_equal(rig_stats(rig, 0).messages.used, 0);
}

static void cancel_of_expired_timers_keeps_the_order_of_the_rest(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    a.on = cancel_some;
    for (box.timers = 0; box.timers < 1u << ITEMS; box.timers++) {
        for (box.cancelled = 0; box.cancelled <= box.timers; box.cancelled++) {
            if ((box.cancelled & ~box.timers) != 0)
                continue;
            for (uint32_t how = 0; how < 4; how++) {
                box.backwards = how % 2 != 0;
                box.repeats = how / 2 != 0;
                expect_all_but_the_cancelled(rig);
            }
        }
    }
    rig_end(rig);
}

#define MANY 10000

static tina_effect start_many(rig_actor *me, tina_ctx *ctx)
{
    (void)me;
    for (int i = 0; i < MANY; i++)
        assert_int_equal(tina_timer_start(ctx, RIG_MS, TAG_A, NULL), TINA_OK);
    return tina_receive();
}

static void expiry_of_very_many_at_once_is_spread_over_ticks(void **unused)
{
    (void)unused;
    memset(&a, 0, sizeof a);
    rig_plan_init(&plan, 1, 1);
    plan.spec.timer_count = MANY;
    plan.types[0].weight = 100;
    rig_plan_child(&plan, 0, 0, &a);
    rig_system *rig = rig_start(&plan);
    rig_do(rig, &a, start_many);
    rig->now_ns += 5 * RIG_MS;
    rig_tick(rig, 0);
    assert_int_equal(a.seen_count, TINA__EXPIRE_MAX);
    assert_true(tina__shard_deadline_ns(rig->shards[0]) <= rig->now_ns);
    rig_settle(rig);
    assert_int_equal(a.seen_count, MANY);
    rig_end(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timer_fires_never_early_and_within_a_step),
        cmocka_unit_test(timer_due_is_when_the_shard_wants_to_tick),
        cmocka_unit_test(cancel_before_the_expiry_is_true_once),
        cmocka_unit_test(cancel_after_the_expiry_and_before_it_is_handled_prevents_it),
        cmocka_unit_test(cancel_of_a_timer_in_its_own_handler_is_false),
        cmocka_unit_test(timer_that_fired_is_free_in_its_own_handler),
        cmocka_unit_test(repeat_comes_every_period),
        cmocka_unit_test(repeat_that_was_missed_is_counted_in_the_next),
        cmocka_unit_test(repeat_undelivered_is_one_message_that_counts),
        cmocka_unit_test(repeat_cancelled_in_its_own_handler_comes_no_more),
        cmocka_unit_test(repeat_cancelled_while_it_waits_comes_no_more),
        cmocka_unit_test(end_takes_the_timers_along),
        cmocka_unit_test(handle_of_a_timer_whose_slot_is_used_again_is_stale),
        cmocka_unit_test(expiry_needs_no_free_message),
        cmocka_unit_test(expiry_of_very_many_at_once_is_spread_over_ticks),
        cmocka_unit_test(cancel_of_an_expired_timer_again_and_again_holds_no_slot),
        cmocka_unit_test(cancel_of_expired_timers_keeps_the_order_of_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
