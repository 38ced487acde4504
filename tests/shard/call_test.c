/* Calls and their answers: on one shard and between two, every way that one can end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/rig.h"

#include <string.h>

#define TAG_ASK    (TINA_TAG_USER + 1)
#define TAG_ANSWER (TINA_TAG_USER + 2)
#define TAG_NOISE  (TINA_TAG_USER + 3)

static rig_plan plan;
static rig_actor caller, callee, other; /* callee: where the case wants it; other: with the caller */
static uint8_t there;                   /* the callee's shard */

static void prepare(uint8_t callee_shard)
{
    memset(&caller, 0, sizeof caller);
    memset(&callee, 0, sizeof callee);
    memset(&other, 0, sizeof other);
    there = callee_shard;
    rig_plan_init(&plan, 2, 2);
    rig_plan_child(&plan, 0, 0, &caller);
    rig_plan_child(&plan, 0, 0, &other);
    rig_plan_child(&plan, callee_shard, 1, &callee);
}

static void expect_failed(const rig_actor *actor, tina_status status)
{
    assert_int_equal(rig_saw_last(actor)->tag, TINA_TAG_CALL_FAILED);
    assert_int_equal(rig_saw_last(actor)->status, status);
}

/* At rest no call holds anything. */
static void expect_at_rest(rig_system *rig)
{
    for (size_t i = 0; i < rig->shard_count; i++) {
        const tina__shard *shard = rig->shards[i];
        assert_int_equal(shard->timers.used, 0);
        assert_int_equal(shard->p.wheel->count, 0);
        for (uint32_t k = 0; k < shard->p.owed_count; k++)
            assert_int_equal(shard->p.owed[k].isolate, TINA__NONE);
        for (size_t k = 0; k < rig->shard_count; k++)
            if (k != i)
                assert_int_equal(shard->p.peers[k].place_pool.used, 0);
    }
    rig_check_ledger(rig);
}

/* Each case runs with the callee on the caller's shard, and on another. */
#define BOTH(name)                                                                                                          \
    static void name(void **unused)                                                                                         \
    {                                                                                                                       \
        (void)unused;                                                                                                       \
        for (uint8_t shard = 0; shard < 2; shard++) {                                                                       \
            prepare(shard);                                                                                                 \
            name##_case();                                                                                                  \
        }                                                                                                                   \
    }

static tina_effect reply_at_once(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    (void)me;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    uint64_t value = 42;
    return tina_is_call(message) ? tina_reply(ctx, TAG_ANSWER, &value, sizeof value) : tina_receive();
}

static void call_that_is_answered_wakes_its_caller_case(void)
{
    rig_system *rig = rig_start(&plan);
    callee.on = reply_at_once;
    rig_call(rig, &caller, callee.self, TAG_ASK, RIG_MS);
    assert_int_equal(caller.seen_count, 1);
    assert_int_equal(rig_saw_last(&caller)->tag, TAG_ANSWER);
    assert_int_equal(rig_saw_last(&caller)->value, 42);
    assert_true(tina_handle_equal(rig_saw_last(&caller)->source, callee.self));
    assert_false(rig_saw_last(&caller)->is_call);
    expect_at_rest(rig);
    rig_advance(rig, 10000 * RIG_MS); /* its timeout is gone */
    assert_int_equal(caller.seen_count, 1);
    assert_int_equal(rig_total(rig).calls, 1);
    assert_int_equal(rig_total(rig).replies, 1);
    rig_end(rig);
}
BOTH(call_that_is_answered_wakes_its_caller)

static void call_parks_its_caller_until_then_case(void)
{
    rig_system *rig = rig_start(&plan);
    rig_call(rig, &caller, callee.self, TAG_ASK, 0);
    assert_int_equal(rig_send(rig, &other, caller.self, TAG_NOISE, 0), TINA_OK);
    assert_int_equal(caller.seen_count, 0);
    assert_int_equal(rig_reply_to(rig, &callee, rig_saw_last(&callee)->caller, TAG_ANSWER, 1), TINA_OK);
    assert_int_equal(rig_saw(&caller, 0)->tag, TAG_ANSWER);
    assert_int_equal(rig_saw(&caller, 1)->tag, TAG_NOISE);
    rig_end(rig);
}
BOTH(call_parks_its_caller_until_then)

static void call_without_an_answer_times_out_case(void)
{
    rig_system *rig = rig_start(&plan);
    rig_call(rig, &caller, callee.self, TAG_ASK, 10 * RIG_MS);
    rig_advance(rig, 9 * RIG_MS);
    assert_int_equal(caller.seen_count, 0);
    rig_advance(rig, 2 * RIG_MS);
    assert_int_equal(caller.seen_count, 1);
    expect_failed(&caller, TINA_TIMED_OUT);
    expect_at_rest(rig);
    rig_end(rig);
}
BOTH(call_without_an_answer_times_out)

static void call_with_timeout_zero_times_out_after_five_seconds_case(void)
{
    rig_system *rig = rig_start(&plan);
    rig_call(rig, &caller, callee.self, TAG_ASK, 0);
    rig_advance(rig, 4999 * RIG_MS);
    assert_int_equal(caller.seen_count, 0);
    rig_advance(rig, 2 * RIG_MS);
    expect_failed(&caller, TINA_TIMED_OUT);
    rig_end(rig);
}
BOTH(call_with_timeout_zero_times_out_after_five_seconds)

static void call_to_a_stale_handle_fails_at_once_case(void)
{
    rig_system *rig = rig_start(&plan);
    tina_handle gone = callee.self;
    rig_done(rig, &callee);
    rig_call(rig, &caller, gone, TAG_ASK, 0);
    expect_failed(&caller, TINA_STALE_HANDLE);
    expect_at_rest(rig);
    rig_end(rig);
}
BOTH(call_to_a_stale_handle_fails_at_once)

static void call_to_a_full_mailbox_fails_at_once_case(void)
{
    plan.types[1].mailbox_capacity = 1;
    rig_system *rig = rig_start(&plan);
    rig_call(rig, &callee, other.self, TAG_ASK, 0); /* parked: its mail waits */
    assert_int_equal(rig_send(rig, &caller, callee.self, TAG_NOISE, 0), TINA_OK);
    rig_call(rig, &caller, callee.self, TAG_ASK, 0);
    expect_failed(&caller, TINA_MAILBOX_FULL);
    rig_end(rig);
}
BOTH(call_to_a_full_mailbox_fails_at_once)

static void call_to_a_shard_that_is_down_or_absent_fails_at_once(void **unused)
{
    (void)unused;
    prepare(1);
    rig_system *rig = rig_start(&plan);
    tina__shard_set_state(rig->shards[1], TINA_SHARD_QUARANTINED);
    rig_call(rig, &caller, callee.self, TAG_ASK, 0);
    expect_failed(&caller, TINA_SHARD_DOWN);
    assert_int_equal(rig_call_start(rig, &caller, callee.self, TAG_ASK, 0), TINA_SHARD_DOWN);
    assert_int_equal(rig_stats(rig, 0).shard_down, 2);
    tina__shard_set_state(rig->shards[1], TINA_SHARD_RUNNING);
    tina_handle absent = tina__handle_make(2, 0, 0, 1);
    rig_call(rig, &caller, absent, TAG_ASK, 0);
    expect_failed(&caller, TINA_INVALID);
    assert_int_equal(rig_call_start(rig, &caller, absent, TAG_ASK, 0), TINA_INVALID);
    expect_at_rest(rig);
    rig_end(rig);
}

static tina_effect call_wrongly(rig_actor *me, tina_ctx *ctx)
{
    static const uint8_t bytes[TINA_PAYLOAD_MAX + 1];
    switch (me->act.reason) {
    case 0: return tina_call(ctx, me->act.to, TINA_TAG_USER - 1, NULL, 0, 0);
    case 1: return tina_call(ctx, me->act.to, TAG_ASK, bytes, sizeof bytes, 0);
    case 2: return tina_call(ctx, me->act.to, TAG_ASK, NULL, 1, 0);
    default: return tina_call(ctx, me->act.to, TAG_ASK, bytes, TINA_PAYLOAD_MAX, 0);
    }
}

static void call_with_arguments_that_are_not_allowed_fails_at_once_case(void)
{
    rig_system *rig = rig_start(&plan);
    caller.act.to = callee.self;
    for (caller.act.reason = 0; caller.act.reason < 3; caller.act.reason++) {
        rig_do(rig, &caller, call_wrongly);
        expect_failed(&caller, TINA_INVALID);
    }
    assert_int_equal(callee.seen_count, 0);
    rig_do(rig, &caller, call_wrongly);
    assert_int_equal(rig_saw_last(&callee)->size, TINA_PAYLOAD_MAX);
    rig_end(rig);
}
BOTH(call_with_arguments_that_are_not_allowed_fails_at_once)

static void reply_that_comes_late_is_counted_and_its_place_is_free_again_case(void)
{
    rig_system *rig = rig_start(&plan);
    for (uint32_t round = 0; round < 200; round++) {
        rig_call(rig, &caller, callee.self, TAG_ASK, RIG_MS);
        tina_caller who = rig_saw_last(&callee)->caller;
        rig_advance(rig, 3 * RIG_MS);
        expect_failed(&caller, TINA_TIMED_OUT);
        assert_int_equal(rig_reply_to(rig, &callee, who, TAG_ANSWER, 1), TINA_STALE_HANDLE);
        expect_at_rest(rig);
    }
    assert_int_equal(caller.seen_count, 200);
    assert_int_equal(rig_stats(rig, there).stale_handle, 200);
    callee.on = reply_at_once;
    rig_call(rig, &caller, callee.self, TAG_ASK, 0);
    assert_int_equal(rig_saw_last(&caller)->tag, TAG_ANSWER);
    rig_end(rig);
}
BOTH(reply_that_comes_late_is_counted_and_its_place_is_free_again)

/* The timeout strikes while the reply is in the channel: one answer, and the place comes back once. */
static tina_effect reply_kept(rig_actor *me, tina_ctx *ctx)
{
    me->act.status = tina_reply_to(ctx, me->act.caller, TAG_ANSWER, NULL, 0);
    return tina_receive();
}

static void reply_in_the_channel_when_the_timeout_strikes_is_counted_late(void **unused)
{
    (void)unused;
    prepare(1);
    rig_system *rig = rig_start(&plan);
    for (uint32_t round = 1; round <= 200; round++) {
        rig_call(rig, &caller, callee.self, TAG_ASK, RIG_MS);
        callee.act.caller = rig_saw_last(&callee)->caller;
        rig_order(rig, &callee, reply_kept);
        rig->now_ns += 3 * RIG_MS;
        /* The caller's shard times out before it looks at its channels: the doorbell is rung after its tick began. */
        uint64_t bells = atomic_exchange(&rig->publics[0].bell.words[0], 0);
        rig_tick(rig, 1);
        assert_int_equal(callee.act.status, TINA_OK);
        bells |= atomic_exchange(&rig->publics[0].bell.words[0], 0);
        rig_tick(rig, 0);
        expect_failed(&caller, TINA_TIMED_OUT);
        atomic_fetch_or(&rig->publics[0].bell.words[0], bells);
        rig_settle(rig);
        assert_int_equal(caller.seen_count, round);
        assert_int_equal(rig_stats(rig, 0).replies_late, round);
        assert_int_equal(rig_stats(rig, 0).arrived_stale, round);
        expect_at_rest(rig);
    }
    rig_end(rig);
}

static void end_of_the_caller_forgets_its_calls_case(void)
{
    rig_system *rig = rig_start(&plan);
    for (int i = 0; i < 3; i++)
        assert_int_equal(rig_call_start(rig, &caller, callee.self, TAG_ASK, 0), TINA_OK);
    assert_int_equal(callee.seen_count, 3);
    rig_crash(rig, &caller);
    expect_at_rest(rig);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(rig_reply_to(rig, &callee, rig_saw(&callee, i)->caller, TAG_ANSWER, 0), TINA_STALE_HANDLE);
    rig_end(rig);
}
BOTH(end_of_the_caller_forgets_its_calls)

static tina_effect crash_on_call(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    (void)me;
    (void)ctx;
    return tina_is_call(message) ? tina_crash(1) : tina_receive();
}

static void end_of_the_callee_while_it_handles_fails_the_call_at_once_case(void)
{
    rig_system *rig = rig_start(&plan);
    callee.on = crash_on_call;
    rig_call(rig, &caller, callee.self, TAG_ASK, 0);
    expect_failed(&caller, TINA_STALE_HANDLE);
    expect_at_rest(rig);
    rig_end(rig);
}
BOTH(end_of_the_callee_while_it_handles_fails_the_call_at_once)

static void end_of_the_callee_with_the_call_kept_fails_it_at_once_case(void)
{
    rig_system *rig = rig_start(&plan);
    for (int i = 0; i < 3; i++)
        rig_call_start(rig, &caller, callee.self, TAG_ASK, 0);
    rig_call(rig, &caller, callee.self, TAG_ASK, 0);
    assert_int_equal(callee.seen_count, 4);
    rig_done(rig, &callee);
    assert_int_equal(caller.seen_count, 4);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(rig_saw(&caller, i)->status, TINA_STALE_HANDLE);
    expect_at_rest(rig);
    rig_end(rig);
}
BOTH(end_of_the_callee_with_the_call_kept_fails_it_at_once)

static tina_effect call_three_times(rig_actor *me, tina_ctx *ctx)
{
    for (int i = 0; i < 3; i++)
        assert_int_equal(tina_call_start(ctx, me->act.to, TAG_ASK, NULL, 0, 0, NULL), TINA_OK);
    return tina_receive();
}

static void end_of_the_callee_with_the_call_in_its_mailbox_fails_it_at_once_case(void)
{
    rig_system *rig = rig_start(&plan);
    callee.on = crash_on_call; /* at the first; two more wait behind it */
    caller.act.to = callee.self;
    rig_do(rig, &caller, call_three_times);
    assert_int_equal(callee.seen_count, 1);
    assert_int_equal(caller.seen_count, 3);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(rig_saw(&caller, i)->status, TINA_STALE_HANDLE);
    assert_int_equal(rig_total(rig).died_with_owner, 2);
    expect_at_rest(rig);
    rig_end(rig);
}
BOTH(end_of_the_callee_with_the_call_in_its_mailbox_fails_it_at_once)

static void end_of_a_parked_callee_fails_the_calls_in_its_mailbox_case(void)
{
    rig_system *rig = rig_start(&plan);
    rig_call(rig, &callee, other.self, TAG_ASK, 0);
    rig_call(rig, &caller, callee.self, TAG_ASK, 0);
    assert_int_equal(callee.seen_count, 0);
    /* The shard is told to end everybody at once. */
    rig_stop(rig, TINA__STOP_NOW);
    rig_end(rig);
}
BOTH(end_of_a_parked_callee_fails_the_calls_in_its_mailbox)

static void calls_at_once_are_answered_each_with_its_number_case(void)
{
    rig_system *rig = rig_start(&plan);
    uint32_t numbers[20];
    for (uint32_t i = 0; i < 20; i++) {
        assert_int_equal(rig_call_start(rig, &caller, callee.self, TAG_ASK, 0), TINA_OK);
        numbers[i] = caller.act.call;
        for (uint32_t k = 0; k < i; k++)
            assert_int_not_equal(numbers[i], numbers[k]);
    }
    for (uint32_t i = 20; i-- > 0;)
        assert_int_equal(rig_reply_to(rig, &callee, rig_saw(&callee, i)->caller, TAG_ANSWER, i), TINA_OK);
    assert_int_equal(caller.seen_count, 20);
    for (uint32_t i = 0; i < 20; i++) {
        assert_int_equal(rig_saw(&caller, i)->correlation, numbers[19 - i]);
        assert_int_equal(rig_saw(&caller, i)->value, 19 - i);
    }
    expect_at_rest(rig);
    rig_end(rig);
}
BOTH(calls_at_once_are_answered_each_with_its_number)

static void reply_a_second_time_is_refused_case(void)
{
    rig_system *rig = rig_start(&plan);
    rig_call(rig, &caller, callee.self, TAG_ASK, 0);
    tina_caller who = rig_saw_last(&callee)->caller;
    assert_int_equal(rig_reply_to(rig, &callee, who, TINA_TAG_USER - 1, 0), TINA_INVALID);
    assert_int_equal(rig_reply_to(rig, &callee, who, TAG_ANSWER, 1), TINA_OK);
    assert_int_equal(rig_reply_to(rig, &callee, who, TAG_ANSWER, 2), TINA_STALE_HANDLE);
    assert_int_equal(caller.seen_count, 1);
    expect_at_rest(rig);
    rig_end(rig);
}
BOTH(reply_a_second_time_is_refused)

static void reply_by_another_than_the_callee_is_refused_case(void)
{
    rig_system *rig = rig_start(&plan);
    rig_call(rig, &caller, callee.self, TAG_ASK, 0);
    tina_caller who = rig_saw_last(&callee)->caller;
    assert_int_equal(rig_reply_to(rig, &other, who, TAG_ANSWER, 1), TINA_STALE_HANDLE);
    assert_int_equal(caller.seen_count, 0);
    assert_int_equal(rig_reply_to(rig, &callee, who, TAG_ANSWER, 1), TINA_OK);
    assert_int_equal(caller.seen_count, 1);
    rig_end(rig);
}
BOTH(reply_by_another_than_the_callee_is_refused)

static tina_effect reply_always(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    (void)me;
    return message->tag == TINA_TAG_SHUTDOWN ? tina_done() : tina_reply(ctx, TAG_ANSWER, NULL, 0);
}

static void reply_to_a_message_that_is_no_call_crashes_the_replier_alone_case(void)
{
    rig_system *rig = rig_start(&plan);
    callee.on = reply_always;
    assert_int_equal(rig_send(rig, &caller, callee.self, TAG_ASK, 0), TINA_OK);
    assert_int_equal(rig_total(rig).crashes, 1);
    assert_int_equal(rig_total(rig).exits, 1);
    assert_int_equal(caller.seen_count, 0);
    assert_non_null(strstr(rig->log, "no call"));
    rig_end(rig);
}
BOTH(reply_to_a_message_that_is_no_call_crashes_the_replier_alone)

static tina_effect reply_wrongly(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    (void)me;
    return tina_is_call(message) ? tina_reply(ctx, TAG_ANSWER, NULL, 3) : tina_done();
}

static void reply_with_arguments_that_are_not_allowed_crashes_the_replier_case(void)
{
    rig_system *rig = rig_start(&plan);
    callee.on = reply_wrongly;
    rig_call(rig, &caller, callee.self, TAG_ASK, 0);
    expect_failed(&caller, TINA_STALE_HANDLE);
    rig_end(rig);
}
BOTH(reply_with_arguments_that_are_not_allowed_crashes_the_replier)

static tina_effect reply_to_random(rig_actor *me, tina_ctx *ctx)
{
    for (uint32_t i = 0; i < 200000; i++) {
        tina_caller who = {{tina_random(ctx)}, (uint32_t)tina_random(ctx)};
        if (i % 2 == 0)
            who.source.bits &= ~(0xFEull << 56); /* a shard that there is */
        if (i % 4 == 0)
            who.correlation &= 0x3FFFF;
        assert_int_equal(tina_reply_to(ctx, who, TAG_ANSWER, NULL, 0), TINA_STALE_HANDLE);
    }
    (void)me;
    return tina_receive();
}

static void reply_to_random_callers_is_refused_case(void)
{
    rig_system *rig = rig_start(&plan);
    rig_call(rig, &caller, callee.self, TAG_ASK, TINA_NONE_NS);
    rig_do(rig, &other, reply_to_random);
    assert_int_equal(caller.seen_count, 0);
    rig_end(rig);
}
BOTH(reply_to_random_callers_is_refused)

static void call_to_oneself_times_out_then_is_mail(void **unused)
{
    (void)unused;
    prepare(0);
    rig_system *rig = rig_start(&plan);
    rig_call(rig, &caller, caller.self, TAG_ASK, RIG_MS);
    assert_int_equal(caller.seen_count, 0);
    rig_advance(rig, 3 * RIG_MS);
    assert_int_equal(rig_saw(&caller, 0)->status, TINA_TIMED_OUT);
    assert_int_equal(rig_saw(&caller, 1)->tag, TAG_ASK);
    assert_int_equal(rig_reply_to(rig, &caller, rig_saw(&caller, 1)->caller, TAG_ANSWER, 0), TINA_STALE_HANDLE);
    /* A started one can be answered by oneself. */
    caller.on = reply_at_once;
    rig_forget(&caller);
    assert_int_equal(rig_call_start(rig, &caller, caller.self, TAG_ASK, 0), TINA_OK);
    assert_int_equal(rig_saw_last(&caller)->tag, TAG_ANSWER);
    expect_at_rest(rig);
    rig_end(rig);
}

static tina_effect end_at_answer(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    (void)me;
    (void)ctx;
    return message->tag == TAG_ANSWER ? tina_done() : tina_receive();
}

static void shutdown_overtakes_a_call_whose_answer_comes_as_mail_case(void)
{
    rig_system *rig = rig_start(&plan);
    caller.on = callee.on = end_at_answer;
    rig_call(rig, &caller, callee.self, TAG_ASK, 0);
    tina_caller who = rig_saw_last(&callee)->caller;
    rig_stop(rig, TINA__STOP_GRACEFUL);
    rig_settle(rig);
    assert_int_equal(rig_saw_last(&caller)->tag, TINA_TAG_SHUTDOWN);
    assert_int_equal(rig_reply_to(rig, &callee, who, TAG_ANSWER, 8), TINA_OK);
    assert_int_equal(rig_saw_last(&caller)->tag, TAG_ANSWER);
    assert_int_equal(rig_saw_last(&caller)->value, 8);
    rig_done(rig, &callee);
    rig_end(rig);
}
BOTH(shutdown_overtakes_a_call_whose_answer_comes_as_mail)

/* ---- Room for answers ---------------------------------------------------------------------------------- */

static tina_effect fill_channel(rig_actor *me, tina_ctx *ctx)
{
    me->act.call = 0;
    while ((me->act.status = tina_send(ctx, me->act.to, TAG_NOISE, NULL, 0)) == TINA_OK)
        me->act.call++;
    for (uint32_t i = 0; i < me->seen_count; i++) {
        if (rig_saw(me, i)->is_call)
            assert_int_equal(tina_reply_to(ctx, rig_saw(me, i)->caller, TAG_ANSWER, NULL, 0), TINA_OK);
    }
    return tina_receive();
}

static void answers_have_room_when_the_channel_back_is_full(void **unused)
{
    (void)unused;
    prepare(1);
    plan.spec.channel_capacity = 8;
    rig_system *rig = rig_start(&plan);
    for (int i = 0; i < 8; i++)
        assert_int_equal(rig_call_start(rig, &caller, callee.self, TAG_ASK, 0), TINA_OK);
    callee.act.to = other.self;
    rig_do(rig, &callee, fill_channel);
    assert_int_equal(callee.act.status, TINA_CHANNEL_FULL);
    assert_int_equal(callee.act.call, 8);
    assert_int_equal(rig_count_tag(&caller, TAG_ANSWER), 8);
    assert_int_equal(rig_count_tag(&other, TAG_NOISE), 8);
    expect_at_rest(rig);
    rig_end(rig);
}

static void call_without_a_place_for_its_answer_fails_with_channel_full(void **unused)
{
    (void)unused;
    prepare(1);
    static tina_channel_spec channels[] = {{1, 0, 3}};
    plan.spec.channels = channels;
    plan.spec.channel_spec_count = 1;
    rig_system *rig = rig_start(&plan);
    for (int i = 0; i < 3; i++)
        assert_int_equal(rig_call_start(rig, &caller, callee.self, TAG_ASK, 0), TINA_OK);
    assert_int_equal(rig_call_start(rig, &caller, callee.self, TAG_ASK, 0), TINA_CHANNEL_FULL);
    assert_int_equal(rig_stats(rig, 0).channel_full, 1);
    rig_call(rig, &other, callee.self, TAG_ASK, 0);
    expect_failed(&other, TINA_CHANNEL_FULL);
    assert_int_equal(rig_stats(rig, 0).timers.used, 3);
    assert_int_equal(rig_reply_to(rig, &callee, rig_saw(&callee, 1)->caller, TAG_ANSWER, 0), TINA_OK);
    assert_int_equal(rig_call_start(rig, &caller, callee.self, TAG_ASK, 0), TINA_OK);
    rig_end(rig);
}

/* ---- To several shards at once ------------------------------------------------------------------------------ */

#define CALLEES 3

/* One caller, and a callee on each of three shards. */
static void prepare_callees(rig_actor callees[CALLEES])
{
    memset(&caller, 0, sizeof caller);
    memset(callees, 0, CALLEES * sizeof *callees);
    rig_plan_init(&plan, CALLEES, 2);
    rig_plan_child(&plan, 0, 0, &caller);
    for (size_t i = 0; i < CALLEES; i++)
        rig_plan_child(&plan, i, 1, &callees[i]);
}

static void start_a_call_to_each(rig_system *rig, const rig_actor callees[CALLEES], uint32_t numbers[CALLEES])
{
    for (size_t i = 0; i < CALLEES; i++) {
        assert_int_equal(rig_call_start(rig, &caller, callees[i].self, TAG_ASK, RIG_MS), TINA_OK);
        numbers[i] = caller.act.call;
        for (size_t k = 0; k < i; k++)
            assert_int_not_equal(numbers[i], numbers[k]);
    }
}

static void calls_to_several_shards_have_a_number_each(void **unused)
{
    (void)unused;
    static rig_actor callees[CALLEES];
    uint32_t numbers[CALLEES];
    prepare_callees(callees);
    rig_system *rig = rig_start(&plan);
    for (size_t silent = 0; silent < CALLEES; silent++) {
        rig_forget(&caller);
        start_a_call_to_each(rig, callees, numbers);
        for (size_t i = CALLEES; i-- > 0;) {
            if (i == silent)
                continue;
            assert_int_equal(rig_reply_to(rig, &callees[i], rig_saw_last(&callees[i])->caller, TAG_ANSWER, i), TINA_OK);
            assert_int_equal(rig_saw_last(&caller)->value, i);
            assert_int_equal(rig_saw_last(&caller)->correlation, numbers[i]);
        }
        rig_advance(rig, 3 * RIG_MS);
        assert_int_equal(caller.seen_count, CALLEES);
        expect_failed(&caller, TINA_TIMED_OUT);
        assert_int_equal(rig_saw_last(&caller)->correlation, numbers[silent]);
    }
    start_a_call_to_each(rig, callees, numbers);
    for (size_t i = 0; i < CALLEES; i++) {
        rig_done(rig, &callees[i]);
        expect_failed(&caller, TINA_STALE_HANDLE);
        assert_int_equal(rig_saw_last(&caller)->correlation, numbers[i]);
    }
    expect_at_rest(rig);
    rig_end(rig);
}

/* ---- A million of them -------------------------------------------------------------------------------------- */

#define TIMEOUT_NS (600000 * RIG_MS)

static tina_effect call_until_enough(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (message->tag != TAG_ANSWER)
        return tina_receive();
    if (me->act.time_ns-- == 0)
        return tina_receive();
    return tina_call(ctx, me->act.to, TAG_ASK, NULL, 0, TIMEOUT_NS);
}

static void million_calls_with_a_long_timeout_run_on_1024_timers_case(void)
{
    uint64_t count = there == 0 ? 1000000 : 100000;
    plan.spec.timer_count = 1024;
    rig_system *rig = rig_start(&plan);
    callee.on = reply_at_once;
    caller.on = call_until_enough;
    caller.act.time_ns = count;
    caller.act.to = callee.self;
    assert_int_equal(rig_send(rig, &other, caller.self, TAG_ANSWER, 0), TINA_OK);
    while (caller.act.time_ns != UINT64_MAX)
        (void)rig_settle_within(rig, 1000);
    rig_settle(rig);
    assert_int_equal(rig_total(rig).calls, count);
    assert_int_equal(rig_total(rig).replies, count);
    assert_true(rig_stats(rig, 0).timers.peak <= 2); /* the next call is made while the answer is being handled */
    assert_int_equal(caller.seen_count, count + 1);
    expect_at_rest(rig);
    rig_end(rig);
}
BOTH(million_calls_with_a_long_timeout_run_on_1024_timers)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(call_that_is_answered_wakes_its_caller),
        cmocka_unit_test(call_parks_its_caller_until_then),
        cmocka_unit_test(call_without_an_answer_times_out),
        cmocka_unit_test(call_with_timeout_zero_times_out_after_five_seconds),
        cmocka_unit_test(call_to_a_stale_handle_fails_at_once),
        cmocka_unit_test(call_to_a_full_mailbox_fails_at_once),
        cmocka_unit_test(call_to_a_shard_that_is_down_or_absent_fails_at_once),
        cmocka_unit_test(call_with_arguments_that_are_not_allowed_fails_at_once),
        cmocka_unit_test(reply_that_comes_late_is_counted_and_its_place_is_free_again),
        cmocka_unit_test(reply_in_the_channel_when_the_timeout_strikes_is_counted_late),
        cmocka_unit_test(end_of_the_caller_forgets_its_calls),
        cmocka_unit_test(end_of_the_callee_while_it_handles_fails_the_call_at_once),
        cmocka_unit_test(end_of_the_callee_with_the_call_kept_fails_it_at_once),
        cmocka_unit_test(end_of_the_callee_with_the_call_in_its_mailbox_fails_it_at_once),
        cmocka_unit_test(end_of_a_parked_callee_fails_the_calls_in_its_mailbox),
        cmocka_unit_test(calls_at_once_are_answered_each_with_its_number),
        cmocka_unit_test(reply_a_second_time_is_refused),
        cmocka_unit_test(reply_by_another_than_the_callee_is_refused),
        cmocka_unit_test(reply_to_a_message_that_is_no_call_crashes_the_replier_alone),
        cmocka_unit_test(reply_with_arguments_that_are_not_allowed_crashes_the_replier),
        cmocka_unit_test(reply_to_random_callers_is_refused),
        cmocka_unit_test(call_to_oneself_times_out_then_is_mail),
        cmocka_unit_test(shutdown_overtakes_a_call_whose_answer_comes_as_mail),
        cmocka_unit_test(answers_have_room_when_the_channel_back_is_full),
        cmocka_unit_test(call_without_a_place_for_its_answer_fails_with_channel_full),
        cmocka_unit_test(million_calls_with_a_long_timeout_run_on_1024_timers),
        cmocka_unit_test(calls_to_several_shards_have_a_number_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
