/* What shards know of each other's lives: whatever was between two of them when one ends is settled, exactly once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/rig.h"

#include "core/call.h"
#include "core/lookup.h"
#include "core/route.h"

#include <string.h>

#define TAG_ASK    (TINA_TAG_USER + 1)
#define TAG_ANSWER (TINA_TAG_USER + 2)
#define TAG_NOISE  (TINA_TAG_USER + 3)
#define NAME       7
#define TIMEOUT_NS (10 * RIG_MS)
#define ROUNDS     20
#define NOTES_MAX  16

/* What a watcher was told, in order: DOWNs and notices of shards. */
typedef struct notes {
    uint32_t count;
    struct {
        tina_tag tag;
        tina_down down;
        uint8_t shard;
    } note[NOTES_MAX];
} notes;

static rig_plan plan;
static rig_actor near, other, far, third; /* near and other live on shard 0, far on 1, third on 2 */
static notes told_near, told_other, told_far;

static tina_effect reply_or_note(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    notes *told = me->data;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (tina_is_call(message) && me->act.is_true)
        return tina_reply(ctx, TAG_ANSWER, NULL, 0);
    if (message->tag == TINA_TAG_DOWN) {
        assert_true(told->count < NOTES_MAX);
        told->note[told->count].tag = message->tag;
        memcpy(&told->note[told->count++].down, message->payload, sizeof(tina_down));
    } else if (message->tag == TINA_TAG_SHARD_RESTARTED || message->tag == TINA_TAG_SHARD_QUARANTINED) {
        assert_true(told->count < NOTES_MAX);
        assert_int_equal(message->size, 1);
        assert_int_equal(message->source.bits, 0);
        told->note[told->count].tag = message->tag;
        told->note[told->count++].shard = message->payload[0];
    }
    return tina_receive();
}

static void prepare(void)
{
    near = (rig_actor){.on = reply_or_note, .data = &told_near};
    other = (rig_actor){.on = reply_or_note, .data = &told_other};
    far = (rig_actor){.on = reply_or_note, .data = &told_far};
    memset(&third, 0, sizeof third);
    memset(&told_near, 0, sizeof told_near);
    memset(&told_other, 0, sizeof told_other);
    memset(&told_far, 0, sizeof told_far);
    rig_plan_init(&plan, 3, 2);
    plan.spec.watch_count = 16;
    plan.spec.shard_restart_max = 1000;
    rig_plan_child(&plan, 0, 1, &near)->restart = TINA_PERMANENT;
    rig_plan_child(&plan, 0, 1, &other)->restart = TINA_PERMANENT;
    tina_child *child = rig_plan_child(&plan, 1, 0, &far);
    child->restart = TINA_PERMANENT;
    child->name = NAME;
    rig_plan_child(&plan, 2, 0, &third);
}

/* The shard's life ends now; the others do not know yet. */
static void end_life(rig_system *rig, size_t shard)
{
    rig_wipe(rig, shard);
    rig_tick(rig, shard);
    assert_int_equal(rig->shards[shard]->wipe, TINA__WIPE_NOT);
}

static void expect_at_rest(rig_system *rig)
{
    for (size_t i = 0; i < rig->shard_count; i++) {
        const tina__shard *shard = rig->shards[i];
        assert_int_equal(shard->timers.used, 0);
        assert_int_equal(shard->watches.used, 0);
        assert_int_equal(shard->p.wheel->count, 0);
        for (uint32_t k = 0; k < shard->p.owed_count; k++)
            assert_int_equal(shard->p.owed[k].isolate, TINA__NONE);
        for (size_t k = 0; k < rig->shard_count; k++) {
            if (k == i)
                continue;
            assert_int_equal(shard->p.peers[k].place_pool.used, 0);
            assert_false(shard->p.peers[k].is_estranged);
            assert_int_equal(shard->p.peers[k].life, rig->publics[k].life);
        }
    }
    rig_check_ledger(rig);
}

/* Both ways a call is answered, and a watch told. */
static void expect_good_terms(rig_system *rig)
{
    near.act.is_true = true;
    far.act.is_true = true;
    rig_forget(&near);
    rig_forget(&far);
    assert_int_equal(rig_call_start(rig, &near, far.self, TAG_ASK, 0), TINA_OK);
    assert_int_equal(rig_saw_last(&near)->tag, TAG_ANSWER);
    assert_int_equal(rig_call_start(rig, &far, near.self, TAG_ASK, 0), TINA_OK);
    assert_int_equal(rig_saw_last(&far)->tag, TAG_ANSWER);
    assert_int_equal(rig_watch(rig, &near, tina_named(1, 99)), TINA_OK);
    assert_int_equal(rig_saw_last(&near)->tag, TINA_TAG_DOWN);
    near.act.is_true = false;
    far.act.is_true = false;
    rig_forget(&near);
    rig_forget(&far);
    memset(&told_near, 0, sizeof told_near);
    memset(&told_far, 0, sizeof told_far);
    expect_at_rest(rig);
}

/* ---- Calls of a shard that lives on, in every stage ------------------------------------------------- */

static tina_effect start_call(rig_actor *me, tina_ctx *ctx)
{
    me->act.status = tina_call_start(ctx, me->act.to, TAG_ASK, NULL, 0, me->act.time_ns, NULL);
    return tina_receive();
}

static tina_effect park_in_call(rig_actor *me, tina_ctx *ctx)
{
    return tina_call(ctx, me->act.to, TAG_ASK, NULL, 0, me->act.time_ns);
}

/* near's shard has asked; far's has not looked. */
static void ask(rig_system *rig, tina_effect (*how)(rig_actor *, tina_ctx *))
{
    near.act.to = far.self;
    near.act.time_ns = TIMEOUT_NS;
    rig_order(rig, &near, how);
    rig_tick(rig, 0);
    assert_null(near.todo);
}

/* Every stage ends with far's life. Returns the tag that near has to see, once; 0: it has seen it. */
typedef tina_tag stage_fn(rig_system *rig);

static tina_tag request_in_the_channel(rig_system *rig)
{
    ask(rig, start_call);
    end_life(rig, 1);
    return TINA_TAG_CALL_FAILED;
}

static tina_tag request_in_the_channel_of_one_that_is_parked(rig_system *rig)
{
    ask(rig, park_in_call);
    end_life(rig, 1);
    return TINA_TAG_CALL_FAILED;
}

static tina_tag request_in_a_mailbox(rig_system *rig)
{
    rig_call(rig, &far, third.self, TAG_ASK, 0); /* parked: its mail waits */
    ask(rig, start_call);
    rig_settle(rig);
    end_life(rig, 1);
    return TINA_TAG_CALL_FAILED;
}

static tina_tag request_kept(rig_system *rig)
{
    ask(rig, start_call);
    rig_settle(rig);
    assert_true(rig_saw_last(&far)->is_call);
    end_life(rig, 1);
    return TINA_TAG_CALL_FAILED;
}

/* Between two ticks, so that nothing is published. */
static void answer_as_far(rig_system *rig, tina_caller who)
{
    tina__isolate *callee = tina__isolate_find(rig->shards[1], far.self);
    tina_ctx frame = {.shard = rig->shards[1], .isolate = callee, .self = far.self};
    assert_int_equal(tina__call_reply(&frame, who, TAG_ANSWER, NULL, 0), TINA_OK);
}

static tina_tag answer_not_published(rig_system *rig)
{
    ask(rig, start_call);
    rig_settle(rig);
    answer_as_far(rig, rig_saw_last(&far)->caller);
    end_life(rig, 1);
    return TINA_TAG_CALL_FAILED;
}

static tina_effect answer(rig_actor *me, tina_ctx *ctx)
{
    me->act.status = tina_reply_to(ctx, me->act.caller, TAG_ANSWER, NULL, 0);
    return tina_receive();
}

static void far_answers(rig_system *rig)
{
    far.act.caller = rig_saw_last(&far)->caller;
    rig_order(rig, &far, answer);
    rig_tick(rig, 1);
    assert_int_equal(far.act.status, TINA_OK);
}

static tina_tag answer_in_the_channel(rig_system *rig)
{
    ask(rig, start_call);
    rig_settle(rig);
    far_answers(rig);
    end_life(rig, 1);
    return TAG_ANSWER;
}

/* The clock passes the timeout, and near's shard ticks without looking at its channels. */
static void time_out(rig_system *rig)
{
    rig->now_ns += 2 * TIMEOUT_NS;
    uint64_t bells = atomic_exchange(&rig->publics[0].bell.words[0], 0);
    rig_tick(rig, 0);
    assert_int_equal(rig_saw_last(&near)->status, TINA_TIMED_OUT);
    atomic_fetch_or(&rig->publics[0].bell.words[0], bells);
}

static tina_tag withdrawal_in_the_channel(rig_system *rig)
{
    ask(rig, start_call);
    rig_settle(rig);
    time_out(rig);
    end_life(rig, 1);
    return 0;
}

static tina_tag withdrawal_and_request_in_the_channel(rig_system *rig)
{
    ask(rig, start_call);
    time_out(rig);
    end_life(rig, 1);
    return 0;
}

static tina_tag withdrawal_and_answer_in_the_channels(rig_system *rig)
{
    ask(rig, start_call);
    rig_settle(rig);
    far_answers(rig);
    time_out(rig);
    end_life(rig, 1);
    return 0;
}

static tina_tag withdrawal_answered(rig_system *rig)
{
    ask(rig, start_call);
    rig_settle(rig);
    time_out(rig);
    rig_tick(rig, 1);
    end_life(rig, 1);
    return 0;
}

static tina_effect fill_the_channel(rig_actor *me, tina_ctx *ctx)
{
    while (tina_send(ctx, me->act.to, TAG_NOISE, NULL, 0) == TINA_OK)
        ;
    return tina_receive();
}

/* Timed out, but the channel has no room for the withdrawal. */
static tina_tag place_lapsed(rig_system *rig)
{
    ask(rig, start_call);
    rig_settle(rig);
    rig_order(rig, &near, fill_the_channel);
    rig_tick(rig, 0);
    time_out(rig);
    assert_int_not_equal(rig->shards[0]->lapsed[0], 0);
    end_life(rig, 1);
    return 0;
}

/* And then its answer comes all the same. */
static tina_tag place_lapsed_and_answered(rig_system *rig)
{
    ask(rig, start_call);
    rig_settle(rig);
    far.act.caller = rig_saw_last(&far)->caller;
    rig_order(rig, &near, fill_the_channel);
    rig_tick(rig, 0);
    time_out(rig);
    answer_as_far(rig, far.act.caller);
    end_life(rig, 1);
    return 0;
}

static void call_in_any_stage_has_one_outcome_when_the_other_life_ends(void **unused)
{
    (void)unused;
    static stage_fn *const stages[] = {
        request_in_the_channel,
        request_in_the_channel_of_one_that_is_parked,
        request_in_a_mailbox,
        request_kept,
        answer_not_published,
        answer_in_the_channel,
        withdrawal_in_the_channel,
        withdrawal_and_request_in_the_channel,
        withdrawal_and_answer_in_the_channels,
        withdrawal_answered,
        place_lapsed,
        place_lapsed_and_answered,
    };
    for (size_t i = 0; i < sizeof stages / sizeof stages[0]; i++) {
        prepare();
        rig_system *rig = rig_start(&plan);
        for (uint32_t round = 0; round < ROUNDS; round++) {
            tina_tag tag = stages[i](rig);
            rig_settle(rig);
            assert_int_equal(near.seen_count, 1);
            if (tag != 0)
                assert_int_equal(rig_saw_last(&near)->tag, tag);
            if (tag == TINA_TAG_CALL_FAILED)
                assert_int_equal(rig_saw_last(&near)->status, TINA_SHARD_DOWN);
            rig_advance(rig, 10000 * RIG_MS);
            assert_int_equal(near.seen_count, 1);
            expect_at_rest(rig);
            expect_good_terms(rig);
            assert_int_equal(far.init_count, round + 2);
        }
        rig_end(rig);
    }
}

/* ---- Calls of the shard whose life ends --------------------------------------------------------------- */

/* far's shard has asked near's; near's has not looked. */
static void be_asked(rig_system *rig)
{
    far.act.to = near.self;
    far.act.time_ns = TIMEOUT_NS;
    rig_order(rig, &far, start_call);
    rig_tick(rig, 1);
    assert_int_equal(far.act.status, TINA_OK);
}

static tina_status near_answers(rig_system *rig)
{
    return rig_reply_to(rig, &near, rig_saw_last(&near)->caller, TAG_ANSWER, 0);
}

static void request_of_an_ended_life_is_delivered_and_its_answer_stale(void **unused)
{
    (void)unused;
    prepare();
    rig_system *rig = rig_start(&plan);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        be_asked(rig);
        end_life(rig, 1);
        rig_settle(rig);
        assert_int_equal(near.seen_count, 1); /* it was published before */
        assert_int_equal(near_answers(rig), TINA_STALE_HANDLE);
        assert_int_equal(far.seen_count, 0);
        expect_good_terms(rig);
    }
    rig_end(rig);
}

static void request_kept_when_its_callers_life_ends_is_owed_no_more(void **unused)
{
    (void)unused;
    prepare();
    rig_system *rig = rig_start(&plan);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        be_asked(rig);
        rig_settle(rig);
        end_life(rig, 1);
        rig_settle(rig);
        assert_int_equal(near_answers(rig), TINA_STALE_HANDLE);
        assert_int_equal(far.seen_count, 0);
        expect_good_terms(rig);
    }
    rig_end(rig);
}

/* The answer crosses the end of its caller's life: the next life takes it for nothing of its own. */
static void answer_to_an_ended_life_is_counted_late(void **unused)
{
    (void)unused;
    prepare();
    rig_system *rig = rig_start(&plan);
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        be_asked(rig);
        rig_settle(rig);
        near.act.caller = rig_saw_last(&near)->caller;
        rig_order(rig, &near, answer);
        rig_tick(rig, 0);
        assert_int_equal(near.act.status, TINA_OK);
        end_life(rig, 1);
        rig_settle(rig);
        assert_int_equal(far.seen_count, 0);
        assert_int_equal(rig_stats(rig, 1).replies_late, round);
        expect_good_terms(rig);
    }
    rig_end(rig);
}

/* So is one that is sent after the end, by a shard that has not looked yet. */
static void answer_to_an_ended_life_by_one_that_does_not_know_is_counted_late(void **unused)
{
    (void)unused;
    prepare();
    rig_system *rig = rig_start(&plan);
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        be_asked(rig);
        rig_settle(rig);
        end_life(rig, 1);
        uint64_t control = atomic_exchange(&rig->publics[0].bell.words[3], 0);
        near.act.caller = rig_saw_last(&near)->caller;
        rig_order(rig, &near, answer);
        rig_tick(rig, 0);
        assert_int_equal(near.act.status, TINA_OK);
        atomic_fetch_or(&rig->publics[0].bell.words[3], control);
        rig_settle(rig);
        assert_int_equal(rig_stats(rig, 1).replies_late, round);
        expect_good_terms(rig);
    }
    rig_end(rig);
}

/* The same for a request: it is dropped by the next life, and fails when its shard looks. */
static void request_to_an_ended_life_by_one_that_does_not_know_fails(void **unused)
{
    (void)unused;
    prepare();
    rig_system *rig = rig_start(&plan);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        tina_handle name = tina_named(1, NAME);
        end_life(rig, 1);
        uint64_t control = atomic_exchange(&rig->publics[0].bell.words[3], 0);
        near.act.to = name;
        rig_order(rig, &near, start_call);
        rig_tick(rig, 0);
        assert_int_equal(near.act.status, TINA_OK);
        rig_tick(rig, 1);
        atomic_fetch_or(&rig->publics[0].bell.words[3], control);
        rig_settle(rig);
        assert_int_equal(far.seen_count, 0);
        assert_int_equal(near.seen_count, 1);
        assert_int_equal(rig_saw_last(&near)->status, TINA_SHARD_DOWN);
        expect_good_terms(rig);
    }
    rig_end(rig);
}

/* ---- Estranged --------------------------------------------------------------------------------------------- */

static tina_effect try_everything(rig_actor *me, tina_ctx *ctx)
{
    assert_int_equal(tina_call_start(ctx, me->act.to, TAG_ASK, NULL, 0, 0, NULL), TINA_CHANNEL_FULL);
    assert_int_equal(tina_watch(ctx, me->act.to), TINA_CHANNEL_FULL);
    assert_int_equal(tina_send(ctx, me->act.to, TAG_NOISE, NULL, 0), TINA_OK);
    return tina_receive();
}

static void new_life_sends_but_neither_calls_nor_watches_until_it_is_known(void **unused)
{
    (void)unused;
    prepare();
    rig_system *rig = rig_start(&plan);
    end_life(rig, 1);
    rig_tick(rig, 1);
    assert_int_equal(far.init_count, 1); /* it waits for the others */
    rig->now_ns += RIG_MS * 100;
    rig_tick(rig, 1); /* but not for ever */
    assert_int_equal(far.init_count, 2);
    far.act.to = near.self;
    rig_order(rig, &far, try_everything);
    rig_tick(rig, 1);
    assert_null(far.todo);
    assert_true(rig->shards[1]->p.peers[0].is_estranged);
    rig_settle(rig);
    assert_int_equal(near.seen_count, 1);
    assert_int_equal(rig_saw_last(&near)->tag, TAG_NOISE);
    expect_good_terms(rig);
    rig_end(rig);
}

/* near's shard knows and asks at once; far's has not read up to the fence: behind it all is of the new time. */
static void call_behind_the_fence_is_answered(void **unused)
{
    (void)unused;
    prepare();
    rig_system *rig = rig_start(&plan);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        ask(rig, start_call); /* before the fence */
        end_life(rig, 1);
        rig->now_ns += RIG_MS * 100;
        rig_tick(rig, 1); /* its tree is up */
        far.act.is_true = true;
        ask(rig, start_call); /* the order comes behind the look */
        assert_int_equal(rig_saw_last(&near)->status, TINA_SHARD_DOWN);
        rig_settle(rig);
        assert_int_equal(near.seen_count, 2);
        assert_int_equal(rig_saw_last(&near)->tag, TAG_ANSWER);
        assert_int_equal(far.seen_count, 1);
        expect_good_terms(rig);
    }
    rig_end(rig);
}

static void lives_that_end_while_estranged_end_calls_and_watches_once(void **unused)
{
    (void)unused;
    prepare();
    rig_system *rig = rig_start(&plan);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        tina_handle who = far.self;
        assert_int_equal(rig_watch(rig, &near, who), TINA_OK);
        ask(rig, start_call);
        for (int i = 0; i < 3; i++) {
            end_life(rig, 1);
            rig_tick(rig, 1);
        }
        rig_settle(rig);
        assert_int_equal(near.seen_count, 3);
        assert_int_equal(rig_saw(&near, 0)->status, TINA_SHARD_DOWN);
        assert_int_equal(told_near.count, 2);
        assert_int_equal(told_near.note[0].down.end, TINA_END_SHARD);
        assert_int_equal(told_near.note[1].tag, TINA_TAG_SHARD_RESTARTED);
        expect_good_terms(rig);
    }
    rig_end(rig);
}

/* Between the look of the one and the reading of the other the other's life ends once more. */
static void life_that_ends_before_the_fence_is_read_waits_for_the_next(void **unused)
{
    (void)unused;
    prepare();
    rig_system *rig = rig_start(&plan);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        end_life(rig, 1);
        ask(rig, start_call); /* looks first: the request is behind a fence that nobody will read */
        assert_int_equal(near.act.status, TINA_OK);
        end_life(rig, 1);
        rig_tick(rig, 1);
        assert_true(rig->shards[1]->p.peers[0].is_estranged);
        assert_int_equal(far.seen_count, 0);
        rig_settle(rig);
        assert_int_equal(near.seen_count, 1);
        assert_int_equal(rig_saw_last(&near)->status, TINA_SHARD_DOWN);
        expect_good_terms(rig);
    }
    rig_end(rig);
}

/* ---- Both at once ---------------------------------------------------------------------------------------------- */

static void lives_of_both_that_end_at_once_leave_nothing(void **unused)
{
    (void)unused;
    for (uint32_t order = 0; order < 4; order++) {
        prepare();
        rig_system *rig = rig_start(&plan);
        for (uint32_t round = 0; round < ROUNDS; round++) {
            assert_int_equal(rig_watch(rig, &near, far.self), TINA_OK);
            assert_int_equal(rig_watch(rig, &far, near.self), TINA_OK);
            ask(rig, start_call);
            be_asked(rig);
            if (round % 2 == 0)
                rig_settle(rig);
            rig_forget(&near);
            rig_forget(&far);
            end_life(rig, order % 2);
            if (order >= 2)
                rig_tick(rig, order % 2);
            end_life(rig, 1 - order % 2);
            rig_settle(rig);
            assert_int_equal(near.seen_count, 0);
            assert_int_equal(far.seen_count, 0);
            expect_good_terms(rig);
            assert_int_equal(near.init_count, round + 2);
        }
        rig_end(rig);
    }
}

static void lives_of_all_that_end_at_once_leave_nothing(void **unused)
{
    (void)unused;
    prepare();
    plan.children[2][0].restart = TINA_PERMANENT;
    rig_system *rig = rig_start(&plan);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        ask(rig, start_call);
        be_asked(rig);
        assert_int_equal(rig_call_start(rig, &third, far.self, TAG_ASK, 0), TINA_OK);
        for (size_t i = 0; i < 3; i++)
            rig_wipe(rig, i);
        rig_settle(rig);
        rig_forget(&near);
        rig_forget(&far);
        expect_good_terms(rig);
    }
    rig_end(rig);
}

/* ---- Watches ------------------------------------------------------------------------------------------------------ */

static tina_effect watch_it(rig_actor *me, tina_ctx *ctx)
{
    assert_int_equal(tina_watch(ctx, me->act.to), TINA_OK);
    return tina_receive();
}

static tina_effect unwatch_it(rig_actor *me, tina_ctx *ctx)
{
    tina_unwatch(ctx, me->act.to);
    return tina_receive();
}

static void expect_lost(const notes *told, uint32_t index, tina_handle who)
{
    assert_true(index < told->count);
    assert_int_equal(told->note[index].tag, TINA_TAG_DOWN);
    assert_true(tina_handle_equal(told->note[index].down.who, who));
    assert_int_equal(told->note[index].down.end, TINA_END_SHARD);
    assert_int_equal(told->note[index].down.reason, 0);
}

static void expect_shard_notice(const notes *told, uint32_t index, tina_tag tag)
{
    assert_true(index < told->count);
    assert_int_equal(told->note[index].tag, tag);
    assert_int_equal(told->note[index].shard, 1);
}

/* near watches far by its handle and its name, other by its handle. */
static void watch_all(rig_system *rig)
{
    assert_int_equal(rig_watch(rig, &near, far.self), TINA_OK);
    assert_int_equal(rig_watch(rig, &near, tina_named(1, NAME)), TINA_OK);
    assert_int_equal(rig_watch(rig, &other, far.self), TINA_OK);
}

static void watches_of_a_shard_that_begins_anew_tell_each_and_then_once_of_the_shard(void **unused)
{
    (void)unused;
    prepare();
    rig_system *rig = rig_start(&plan);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        tina_handle who = far.self;
        watch_all(rig);
        end_life(rig, 1);
        rig_settle(rig);
        assert_int_equal(told_near.count, 3);
        assert_int_equal(told_other.count, 2);
        bool is_name_first = tina_handle_equal(told_near.note[0].down.who, tina_named(1, NAME));
        expect_lost(&told_near, is_name_first ? 1 : 0, who);
        expect_lost(&told_near, is_name_first ? 0 : 1, tina_named(1, NAME));
        expect_shard_notice(&told_near, 2, TINA_TAG_SHARD_RESTARTED);
        expect_lost(&told_other, 0, who);
        expect_shard_notice(&told_other, 1, TINA_TAG_SHARD_RESTARTED);
        memset(&told_other, 0, sizeof told_other);
        expect_good_terms(rig);
    }
    rig_end(rig);
}

static void life_that_ends_is_news_to_watchers_alone(void **unused)
{
    (void)unused;
    prepare();
    rig_system *rig = rig_start(&plan);
    assert_int_equal(rig_watch(rig, &near, far.self), TINA_OK);
    rig_unwatch(rig, &near, far.self);
    assert_int_equal(rig_watch(rig, &other, third.self), TINA_OK);
    end_life(rig, 1);
    rig_settle(rig);
    assert_int_equal(told_near.count, 0);
    assert_int_equal(told_other.count, 0);
    assert_int_equal(rig->shards[0]->watches.used, 1);
    rig_end(rig);
}

/* What the target sent before comes first, whether its shard has been looked at or not. */
static tina_effect send_noise(rig_actor *me, tina_ctx *ctx)
{
    for (int i = 0; i < 3; i++)
        assert_int_equal(tina_send(ctx, me->act.to, TAG_NOISE, NULL, 0), TINA_OK);
    return tina_receive();
}

static void notice_of_a_lost_life_comes_behind_what_it_sent(void **unused)
{
    (void)unused;
    prepare();
    plan.types[1].mailbox_capacity = 3;
    rig_system *rig = rig_start(&plan);
    assert_int_equal(rig_watch(rig, &near, far.self), TINA_OK);
    far.act.to = near.self;
    rig_order(rig, &far, send_noise);
    rig_tick(rig, 1);
    end_life(rig, 1);
    rig_settle(rig);
    assert_int_equal(near.seen_count, 5);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(rig_saw(&near, i)->tag, TAG_NOISE);
    assert_int_equal(rig_saw(&near, 3)->tag, TINA_TAG_DOWN);
    assert_int_equal(rig_saw(&near, 4)->tag, TINA_TAG_SHARD_RESTARTED);
    rig_end(rig);
}

/* Its own end was on its way already: it is told as such, and what became of its shard is no news. */
static tina_effect crash(rig_actor *me, tina_ctx *ctx)
{
    (void)me;
    (void)ctx;
    return tina_crash(3);
}

static void notice_in_the_channel_when_the_life_ends_says_what_it_said(void **unused)
{
    (void)unused;
    prepare();
    rig_system *rig = rig_start(&plan);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        assert_int_equal(rig_watch(rig, &near, far.self), TINA_OK);
        rig_order(rig, &far, crash);
        rig_tick(rig, 1);
        end_life(rig, 1);
        rig_settle(rig);
        assert_int_equal(told_near.count, 1);
        assert_int_equal(told_near.note[0].down.end, TINA_END_CRASH);
        assert_int_equal(told_near.note[0].down.reason, 3);
        expect_good_terms(rig);
    }
    rig_end(rig);
}

static void watch_in_any_stage_is_told_once_when_the_other_life_ends(void **unused)
{
    (void)unused;
    for (uint32_t stage = 0; stage < 3; stage++) {
        prepare();
        rig_system *rig = rig_start(&plan);
        for (uint32_t round = 0; round < ROUNDS; round++) {
            tina_handle who = far.self;
            near.act.to = who;
            rig_order(rig, &near, watch_it);
            rig_tick(rig, 0); /* the request is in the channel */
            if (stage == 1)
                rig_settle(rig); /* it is known */
            if (stage == 2) {
                rig_order(rig, &near, unwatch_it); /* its withdrawal is in the channel */
                rig_tick(rig, 0);
            }
            end_life(rig, 1);
            rig_settle(rig);
            assert_int_equal(told_near.count, stage == 2 ? 0 : 2);
            if (stage != 2) {
                expect_lost(&told_near, 0, who);
                expect_shard_notice(&told_near, 1, TINA_TAG_SHARD_RESTARTED);
            }
            expect_good_terms(rig);
        }
        rig_end(rig);
    }
}

/* near is parked, an order waits in its mailbox, and behind it come two notices and what became of the shard. */
static void let_notices_wait_behind(rig_system *rig, tina_effect (*todo)(rig_actor *, tina_ctx *))
{
    assert_int_equal(rig_watch(rig, &near, far.self), TINA_OK);
    assert_int_equal(rig_watch(rig, &near, tina_named(1, NAME)), TINA_OK);
    near.act.to = far.self;
    rig_call(rig, &near, other.self, TAG_ASK, 0);
    near.act.to = far.self;
    rig_order(rig, &near, todo);
    rig_settle(rig);
    end_life(rig, 1);
    rig_settle(rig);
    assert_int_equal(near.seen_count, 0);
    assert_int_equal(rig_reply_to(rig, &other, rig_saw_last(&other)->caller, TAG_ANSWER, 0), TINA_OK);
    assert_null(near.todo);
    rig_forget(&other);
}

static tina_effect unwatch_the_name(rig_actor *me, tina_ctx *ctx)
{
    (void)me;
    tina_unwatch(ctx, tina_named(1, NAME));
    return tina_receive();
}

static tina_effect unwatch_both(rig_actor *me, tina_ctx *ctx)
{
    tina_unwatch(ctx, me->act.to);
    tina_unwatch(ctx, tina_named(1, NAME));
    return tina_receive();
}

static void unwatch_of_lost_ones_leaves_what_became_of_their_shard(void **unused)
{
    (void)unused;
    tina_effect (*const todos[])(rig_actor *, tina_ctx *) = {unwatch_it, unwatch_the_name, unwatch_both};
    for (uint32_t i = 0; i < 3; i++) {
        prepare();
        rig_system *rig = rig_start(&plan);
        for (uint32_t round = 0; round < ROUNDS; round++) {
            tina_handle who = far.self;
            let_notices_wait_behind(rig, todos[i]);
            uint32_t left = i == 2 ? 0 : 1;
            assert_int_equal(told_near.count, left + 1);
            if (left != 0)
                expect_lost(&told_near, 0, i == 0 ? tina_named(1, NAME) : who);
            expect_shard_notice(&told_near, left, TINA_TAG_SHARD_RESTARTED);
            expect_good_terms(rig);
        }
        rig_end(rig);
    }
}

static void end_of_a_watcher_with_lost_ones_leaves_nothing(void **unused)
{
    (void)unused;
    prepare();
    rig_system *rig = rig_start(&plan);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        let_notices_wait_behind(rig, crash);
        assert_int_equal(told_near.count, 0);
        assert_int_equal(near.init_count, round + 2);
        expect_good_terms(rig);
    }
    rig_end(rig);
}

/* It ends between the notices and the one of the shard, which is mail by then. */
static tina_effect crash_at_the_second_notice(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    (void)ctx;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    return rig_count_tag(me, TINA_TAG_DOWN) == 2 ? tina_crash(0) : tina_receive();
}

static void end_of_a_watcher_before_it_hears_of_the_shard_leaves_nothing(void **unused)
{
    (void)unused;
    prepare();
    rig_system *rig = rig_start(&plan);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        near.on = crash_at_the_second_notice;
        assert_int_equal(rig_watch(rig, &near, far.self), TINA_OK);
        assert_int_equal(rig_watch(rig, &near, tina_named(1, NAME)), TINA_OK);
        end_life(rig, 1);
        rig_settle(rig);
        assert_int_equal(near.init_count, round + 2);
        assert_int_equal(rig_count_tag(&near, TINA_TAG_SHARD_RESTARTED), 0);
        near.on = reply_or_note;
        expect_good_terms(rig);
    }
    rig_end(rig);
}

static void lives_of_two_shards_tell_of_each(void **unused)
{
    (void)unused;
    prepare();
    plan.children[2][0].restart = TINA_PERMANENT;
    rig_system *rig = rig_start(&plan);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        assert_int_equal(rig_watch(rig, &near, far.self), TINA_OK);
        assert_int_equal(rig_watch(rig, &near, third.self), TINA_OK);
        end_life(rig, 1);
        end_life(rig, 2);
        rig_settle(rig);
        assert_int_equal(told_near.count, 4);
        assert_int_equal(told_near.note[0].tag, TINA_TAG_DOWN);
        assert_int_equal(told_near.note[1].tag, TINA_TAG_DOWN);
        assert_int_equal(told_near.note[2].tag, TINA_TAG_SHARD_RESTARTED);
        assert_int_equal(told_near.note[3].tag, TINA_TAG_SHARD_RESTARTED);
        assert_int_equal(told_near.note[2].shard + told_near.note[3].shard, 3);
        expect_good_terms(rig);
    }
    rig_end(rig);
}

/* ---- Messages, quarantine -------------------------------------------------------------------------------------------- */

static tina_effect send_to_the_name(rig_actor *me, tina_ctx *ctx)
{
    uint64_t value = 5;
    me->act.status = tina_send(ctx, tina_named(1, NAME), TAG_NOISE, &value, sizeof value);
    return tina_receive();
}

static void message_to_a_name_outlives_the_life_that_it_was_sent_to(void **unused)
{
    (void)unused;
    prepare();
    rig_system *rig = rig_start(&plan);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        rig_order(rig, &near, send_to_the_name);
        rig_tick(rig, 0);
        assert_int_equal(near.act.status, TINA_OK);
        end_life(rig, 1);
        rig_settle(rig);
        assert_int_equal(far.seen_count, 1);
        assert_int_equal(rig_saw_last(&far)->value, 5);
        expect_good_terms(rig);
    }
    rig_end(rig);
}

static void message_to_a_name_by_one_that_does_not_know_is_delivered(void **unused)
{
    (void)unused;
    prepare();
    rig_system *rig = rig_start(&plan);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        end_life(rig, 1);
        rig->now_ns += RIG_MS * 100;
        rig_tick(rig, 1); /* its tree is up */
        uint64_t control = atomic_exchange(&rig->publics[0].bell.words[3], 0);
        rig_order(rig, &near, send_to_the_name);
        rig_tick(rig, 0);
        assert_int_equal(near.act.status, TINA_OK);
        rig_tick(rig, 1);
        assert_true(rig->shards[1]->p.peers[0].is_estranged);
        assert_int_equal(far.seen_count, 1);
        atomic_fetch_or(&rig->publics[0].bell.words[3], control);
        rig_settle(rig);
        assert_int_equal(far.seen_count, 1);
        assert_int_equal(rig_saw_last(&far)->value, 5);
        expect_good_terms(rig);
    }
    rig_end(rig);
}

/* near's shard knows; far's tree waits for that of third, which does not yet. Whoever has a name then is told of nobody's end. */
static void watch_of_a_name_waits_until_the_tree_is_up(void **unused)
{
    (void)unused;
    prepare();
    rig_system *rig = rig_start(&plan);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        end_life(rig, 1);
        rig_tick(rig, 0); /* up to here goes the fence */
        near.act.to = tina_named(1, NAME);
        rig_order(rig, &near, watch_it);
        rig_tick(rig, 0);
        rig_tick(rig, 1); /* it reads up to the fence, and what is behind it */
        assert_true(rig->shards[1]->is_tree_due);
        rig_settle(rig);
        assert_int_equal(told_near.count, 0);
        rig_order(rig, &far, crash);
        rig_settle(rig);
        assert_int_equal(told_near.count, 1);
        assert_int_equal(told_near.note[0].down.end, TINA_END_CRASH);
        expect_good_terms(rig);
    }
    rig_end(rig);
}

static void messages_that_were_not_published_never_were(void **unused)
{
    (void)unused;
    prepare();
    rig_system *rig = rig_start(&plan);
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        tina__shard *shard = rig->shards[1];
        uint64_t sent = rig_stats(rig, 1).sent_remote; /* what the checks have sent */
        uint64_t value = 1;
        for (int i = 0; i < 5; i++)
            assert_int_equal(tina__route_send(shard, far.self, near.self, TAG_NOISE, &value, sizeof value), TINA_OK);
        tina_message *begun = tina__spsc_claim(shard->p.peers[0].out); /* not sent: nobody has counted it */
        tina__route_fill(begun, far.self, near.self, TINA__TAG_VOID, NULL, 0, TINA__MESSAGE_COUNTED, 0);
        end_life(rig, 1);
        rig_settle(rig);
        assert_int_equal(near.seen_count, 0);
        assert_int_equal(rig_stats(rig, 1).sent_remote, sent);
        assert_int_equal(rig_stats(rig, 1).died_with_owner, 0);
        expect_good_terms(rig);
    }
    rig_end(rig);
}

/* The old life had heard of them, and had not taken them yet. */
static void posts_outlive_the_life_that_was_told_of_them(void **unused)
{
    (void)unused;
    prepare();
    rig_system *rig = rig_start(&plan);
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        assert_true(rig_post(rig, tina_named(1, NAME), TAG_NOISE, NULL, 0));
        atomic_store(&rig->publics[1].bell.words[TINA__DOORBELL_INBOX / 64], 0);
        end_life(rig, 1);
        rig_settle(rig);
        assert_int_equal(rig_stats(rig, 1).posted, round);
        expect_at_rest(rig);
    }
    rig_end(rig);
}

static void quarantine_is_told_to_watchers_and_callers_and_a_revival_is_good(void **unused)
{
    (void)unused;
    prepare();
    plan.spec.shard_restart_max = TINA_NONE;
    rig_system *rig = rig_start(&plan);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        tina_handle who = far.self;
        assert_int_equal(rig_watch(rig, &near, who), TINA_OK);
        assert_int_equal(rig_call_start(rig, &near, who, TAG_ASK, 0), TINA_OK);
        rig_order(rig, &near, send_to_the_name); /* it finds nobody */
        rig_tick(rig, 0);
        end_life(rig, 1);
        rig_settle(rig);
        assert_int_equal(rig->publics[1].state, TINA_SHARD_QUARANTINED);
        assert_int_equal(rig_saw(&near, 0)->status, TINA_SHARD_DOWN);
        assert_int_equal(told_near.count, 2);
        expect_lost(&told_near, 0, who);
        expect_shard_notice(&told_near, 1, TINA_TAG_SHARD_QUARANTINED);
        assert_int_equal(rig_watch(rig, &near, who), TINA_SHARD_DOWN);
        assert_int_equal(rig_call_start(rig, &near, who, TAG_ASK, 0), TINA_SHARD_DOWN);
        assert_int_equal(rig_send(rig, &near, who, TAG_NOISE, 0), TINA_SHARD_DOWN);
        expect_at_rest(rig);
        rig_revive(rig);
        assert_int_equal(far.init_count, round + 2);
        expect_good_terms(rig);
    }
    rig_end(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(call_in_any_stage_has_one_outcome_when_the_other_life_ends),
        cmocka_unit_test(request_of_an_ended_life_is_delivered_and_its_answer_stale),
        cmocka_unit_test(request_kept_when_its_callers_life_ends_is_owed_no_more),
        cmocka_unit_test(answer_to_an_ended_life_is_counted_late),
        cmocka_unit_test(answer_to_an_ended_life_by_one_that_does_not_know_is_counted_late),
        cmocka_unit_test(request_to_an_ended_life_by_one_that_does_not_know_fails),
        cmocka_unit_test(new_life_sends_but_neither_calls_nor_watches_until_it_is_known),
        cmocka_unit_test(call_behind_the_fence_is_answered),
        cmocka_unit_test(lives_that_end_while_estranged_end_calls_and_watches_once),
        cmocka_unit_test(life_that_ends_before_the_fence_is_read_waits_for_the_next),
        cmocka_unit_test(lives_of_both_that_end_at_once_leave_nothing),
        cmocka_unit_test(lives_of_all_that_end_at_once_leave_nothing),
        cmocka_unit_test(watches_of_a_shard_that_begins_anew_tell_each_and_then_once_of_the_shard),
        cmocka_unit_test(life_that_ends_is_news_to_watchers_alone),
        cmocka_unit_test(notice_of_a_lost_life_comes_behind_what_it_sent),
        cmocka_unit_test(notice_in_the_channel_when_the_life_ends_says_what_it_said),
        cmocka_unit_test(watch_in_any_stage_is_told_once_when_the_other_life_ends),
        cmocka_unit_test(unwatch_of_lost_ones_leaves_what_became_of_their_shard),
        cmocka_unit_test(end_of_a_watcher_with_lost_ones_leaves_nothing),
        cmocka_unit_test(end_of_a_watcher_before_it_hears_of_the_shard_leaves_nothing),
        cmocka_unit_test(lives_of_two_shards_tell_of_each),
        cmocka_unit_test(message_to_a_name_outlives_the_life_that_it_was_sent_to),
        cmocka_unit_test(message_to_a_name_by_one_that_does_not_know_is_delivered),
        cmocka_unit_test(watch_of_a_name_waits_until_the_tree_is_up),
        cmocka_unit_test(messages_that_were_not_published_never_were),
        cmocka_unit_test(posts_outlive_the_life_that_was_told_of_them),
        cmocka_unit_test(quarantine_is_told_to_watchers_and_callers_and_a_revival_is_good),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
