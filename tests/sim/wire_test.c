/* Wires between shards: what may be late or lost and what never is, room, calls that are lost, cuts, lives, the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sim/wired.h"

#define TAG_NUMBER (TINA_TAG_USER + 1)
#define TAG_ASK    (TINA_TAG_USER + 2)
#define TAG_ANSWER (TINA_TAG_USER + 3)
#define TAG_BYTES  (TINA_TAG_USER + 4)
#define CAPACITY   9
#define SEED       7

static const tina_ratio never = {0, 1}, always = {1, 1};

static rig_plan plan;
static wired world;
static rig_actor near, beside, far; /* near and beside live on shard 0, far on shard 1 */
static uint64_t next_number;

static void prepare(void)
{
    memset(&near, 0, sizeof near);
    memset(&beside, 0, sizeof beside);
    memset(&far, 0, sizeof far);
    next_number = 0;
    rig_plan_init(&plan, 2, 1);
    rig_plan_child(&plan, 0, 0, &near);
    rig_plan_child(&plan, 0, 0, &beside);
    rig_plan_child(&plan, 1, 0, &far);
    plan.types[0].mailbox_capacity = 100;
    plan.spec.channel_capacity = CAPACITY;
}

static void start(void)
{
    prepare();
    wired_start(&world, &plan, SEED, true);
}

/* ---- What actors do ------------------------------------------------------------------------------ */

/* Until act.call of them got through or one was refused. */
static tina_effect send_numbers(rig_actor *me, tina_ctx *ctx)
{
    me->act.status = TINA_OK;
    for (uint32_t i = 0; i < me->act.call && me->act.status == TINA_OK; i++) {
        me->act.status = tina_send(ctx, me->act.to, TAG_NUMBER, &next_number, sizeof next_number);
        next_number += me->act.status == TINA_OK;
    }
    return tina_receive();
}

/* The tick comes to its end, and with it the shard's life. */
static tina_effect send_numbers_at_last(rig_actor *me, tina_ctx *ctx)
{
    ctx->shard->wipe = TINA__WIPE_BUDGET;
    return send_numbers(me, ctx);
}

static tina_status numbers(rig_actor *from, const rig_actor *to, uint32_t count)
{
    from->act.to = to->self;
    from->act.call = count;
    wired_do(&world, from, send_numbers);
    return from->act.status;
}

static tina_effect start_call(rig_actor *me, tina_ctx *ctx)
{
    me->act.status = tina_call_start(ctx, me->act.to, TAG_ASK, NULL, 0, me->act.time_ns, NULL);
    return tina_receive();
}

static tina_status ask(rig_actor *from, const rig_actor *to, uint64_t timeout_ns)
{
    from->act.to = to->self;
    from->act.time_ns = timeout_ns;
    wired_do(&world, from, start_call);
    return from->act.status;
}

static tina_effect start_watch(rig_actor *me, tina_ctx *ctx)
{
    me->act.status = tina_watch(ctx, me->act.to);
    return tina_receive();
}

static tina_status watch(rig_actor *from, const rig_actor *whom)
{
    from->act.to = whom->self;
    wired_do(&world, from, start_watch);
    return from->act.status;
}

static tina_effect reply_to_last(rig_actor *me, tina_ctx *ctx)
{
    me->act.status = tina_reply_to(ctx, rig_saw_last(me)->caller, TAG_ANSWER, NULL, 0);
    return tina_receive();
}

static uint8_t pattern(size_t size, size_t at) { return (uint8_t)(size * 3 + at * 7 + 1); }

/* act.size bytes. */
static tina_effect send_bytes(rig_actor *me, tina_ctx *ctx)
{
    uint8_t bytes[TINA_PAYLOAD_MAX];
    for (size_t i = 0; i < me->act.size; i++)
        bytes[i] = pattern(me->act.size, i);
    me->act.status = tina_send(ctx, me->act.to, TAG_BYTES, bytes, me->act.size);
    return tina_receive();
}

static tina_effect check_bytes(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    (void)me;
    (void)ctx;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    for (size_t i = 0; i < message->size; i++)
        assert_int_equal(message->payload[i], pattern(message->size, i));
    return tina_receive();
}

static tina_effect be_done(rig_actor *me, tina_ctx *ctx)
{
    (void)me;
    (void)ctx;
    return tina_done();
}

static tina_effect reply_at_once(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    (void)me;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    return tina_is_call(message) ? tina_reply(ctx, TAG_ANSWER, NULL, 0) : tina_receive();
}

/* ---- What came of it ------------------------------------------------------------------------------- */

static void expect_numbers(const rig_actor *actor, uint64_t first, uint64_t end)
{
    uint64_t expected = first;
    for (uint32_t i = 0; i < actor->seen_count; i++) {
        if (rig_saw(actor, i)->tag != TAG_NUMBER)
            continue;
        assert_int_equal(rig_saw(actor, i)->value, expected);
        expected++;
    }
    assert_int_equal(expected, end);
}

static void expect_last(const rig_actor *actor, tina_tag tag, tina_status status)
{
    assert_int_equal(rig_saw_last(actor)->tag, tag);
    if (tag == TINA_TAG_CALL_FAILED)
        assert_int_equal(rig_saw_last(actor)->status, status);
}

static void expect_quiet(void)
{
    assert_true(tina__wires_next_ns(&world.wires) == TINA_NONE_NS);
    assert_int_equal(wired_ledger(&world).on_their_way, 0);
    assert_int_equal(world.wires.cut_count, 0);
    wired_rounds(&world, 1);
    assert_int_equal(world.wires.busy_count, 0);
}

/* Cuts that way; perhaps the other way, too. */
static void cut(uint32_t source, uint32_t destination)
{
    world.faults.rates.partition = always;
    while (!wired_wire(&world, source, destination)->is_cut)
        tina__wires_advance(&world.wires, world.rig->now_ns);
    world.faults.rates.partition = never;
}

/* Its life ends with a tick of its own, and nobody else has looked yet. */
static void wipe(uint32_t shard)
{
    rig_wipe(world.rig, shard);
    (void)wired_turn(&world, shard);
}

/* ---- Late ----------------------------------------------------------------------------------------------- */

static void order_is_kept_whatever_the_delays(void **unused)
{
    (void)unused;
    start();
    world.faults.rates.message_delay = (tina_range){0, 5};
    for (uint32_t round = 0; round < 40; round++) {
        tina_ignore(numbers(&near, &far, 1 + round % 3)); /* the channel may be full */
        wired_rounds(&world, 1 + round % 2);
    }
    assert_true(world.faults.counts.message_delay != 0);
    assert_true(world.faults.counts.message_delay < next_number); /* 0 is a delay, too */
    wired_rounds(&world, 5);
    expect_numbers(&far, 0, next_number);
    expect_quiet();
    wired_end(&world);
}

static void message_comes_in_the_round_in_which_it_is_due(void **unused)
{
    (void)unused;
    start();
    world.faults.rates.message_delay = (tina_range){3, 3};
    assert_int_equal(numbers(&near, &far, 1), TINA_OK);
    assert_true(tina__wires_next_ns(&world.wires) == world.rig->now_ns + 3 * WIRED_ROUND_NS);
    wired_rounds(&world, 2);
    assert_int_equal(far.seen_count, 0);
    assert_int_equal(wired_ledger(&world).on_their_way, 1);
    wired_rounds(&world, 1);
    assert_int_equal(far.seen_count, 1);
    assert_int_equal(world.faults.counts.message_delay, 1);
    expect_quiet();
    wired_end(&world);
}

/* What the runtime says to itself draws no delay, and overtakes nobody. */
static void notice_waits_behind_what_its_isolate_sent(void **unused)
{
    (void)unused;
    start();
    assert_int_equal(watch(&near, &far), TINA_OK);
    world.faults.rates.message_delay = (tina_range){4, 4};
    assert_int_equal(numbers(&far, &near, 2), TINA_OK);
    wired_do(&world, &far, be_done);
    wired_rounds(&world, 3);
    assert_int_equal(near.seen_count, 0);
    wired_rounds(&world, 1);
    assert_int_equal(near.seen_count, 3);
    expect_last(&near, TINA_TAG_DOWN, TINA_OK);
    wired_rounds(&world, 1);
    assert_int_equal(watch(&near, &far), TINA_OK); /* it is gone: the word of it is not late */
    assert_int_equal(near.seen_count, 4);
    wired_end(&world);
}

static void nothing_is_under_way_at_rest(void **unused)
{
    (void)unused;
    start();
    far.on = reply_at_once;
    expect_quiet();
    assert_int_equal(numbers(&near, &far, CAPACITY), TINA_OK);
    assert_int_equal(ask(&near, &far, RIG_MS), TINA_OK);
    assert_int_equal(world.wires.busy_count, 0);
    expect_last(&near, TAG_ANSWER, TINA_OK);
    expect_quiet();
    wired_end(&world);
}

static void message_arrives_as_it_was_sent(void **unused)
{
    (void)unused;
    start();
    far.on = check_bytes;
    near.act.to = far.self;
    for (size_t size = 0; size <= TINA_PAYLOAD_MAX; size++) {
        near.act.size = size;
        wired_do(&world, &near, send_bytes);
        assert_int_equal(near.act.status, TINA_OK);
        assert_int_equal(rig_saw_last(&far)->size, size);
        assert_true(tina_handle_equal(rig_saw_last(&far)->source, near.self));
    }
    wired_end(&world);
}

/* ---- Room --------------------------------------------------------------------------------------------------- */

static void channel_is_as_full_as_one_ring(void **unused)
{
    (void)unused;
    start();
    for (uint32_t round = 1; round <= 5; round++) {
        assert_int_equal(numbers(&near, &far, 100), TINA_CHANNEL_FULL);
        assert_int_equal(next_number, CAPACITY * round);
        assert_int_equal(far.seen_count, next_number);
    }
    expect_quiet();
    wired_end(&world);
}

static void channel_is_full_while_its_messages_are_late(void **unused)
{
    (void)unused;
    start();
    world.faults.rates.message_delay = (tina_range){2, 2};
    for (uint32_t round = 1; round <= 5; round++) {
        assert_int_equal(numbers(&near, &far, 100), TINA_CHANNEL_FULL);
        assert_int_equal(numbers(&near, &far, 1), TINA_CHANNEL_FULL);
        assert_int_equal(next_number, CAPACITY * round);
        wired_rounds(&world, 2);
        expect_numbers(&far, 0, next_number);
    }
    wired_end(&world);
}

/* Answers have their own places, also beside a channel that is full of what is late. */
static void answers_have_room_beside_what_is_late(void **unused)
{
    (void)unused;
    start();
    for (uint32_t i = 0; i < CAPACITY; i++)
        assert_int_equal(ask(&near, &far, RIG_MS * 100), TINA_OK);
    assert_int_equal(ask(&near, &far, RIG_MS), TINA_CHANNEL_FULL);
    world.faults.rates.message_delay = (tina_range){2, 2};
    assert_int_equal(numbers(&far, &near, 100), TINA_CHANNEL_FULL);
    wired_do(&world, &far, be_done);
    wired_rounds(&world, 2);
    assert_int_equal(near.seen_count, 2 * CAPACITY);
    expect_last(&near, TINA_TAG_CALL_FAILED, TINA_STALE_HANDLE);
    assert_int_equal(wired_places(&world, 0, 1), 0);
    wired_end(&world);
}

/* ---- Lost ----------------------------------------------------------------------------------------------------- */

static void message_that_is_lost_is_counted_and_leaves_its_room(void **unused)
{
    (void)unused;
    start();
    world.faults.rates.message_drop = always;
    for (uint32_t round = 1; round <= 5; round++) {
        assert_int_equal(numbers(&near, &far, 100), TINA_CHANNEL_FULL); /* full till the tick ends, as ever */
        assert_int_equal(next_number, CAPACITY * round);
    }
    assert_int_equal(far.seen_count, 0);
    assert_int_equal(wired_ledger(&world).dropped, next_number);
    assert_int_equal(rig_stats(world.rig, 0).sent_remote, next_number);
    world.faults.rates.message_drop = never;
    assert_int_equal(numbers(&near, &far, 1), TINA_OK);
    expect_numbers(&far, CAPACITY * 5, next_number);
    wired_end(&world);
}

static void some_are_lost_and_the_others_keep_their_order(void **unused)
{
    (void)unused;
    start();
    world.faults.rates.message_drop = (tina_ratio){1, 3};
    for (uint32_t round = 0; round < 100; round++)
        assert_int_equal(numbers(&near, &far, 2), TINA_OK);
    uint64_t last = 0;
    for (uint32_t i = 0; i < far.seen_count; i++) {
        assert_true(i == 0 || rig_saw(&far, i)->value > last);
        last = rig_saw(&far, i)->value;
    }
    assert_true(far.seen_count > 200 / 3);
    assert_true(far.seen_count < 200);
    assert_int_equal(far.seen_count + wired_ledger(&world).dropped, 200);
    wired_end(&world);
}

static void answers_and_notices_are_never_lost(void **unused)
{
    (void)unused;
    start();
    assert_int_equal(ask(&near, &far, 100 * RIG_MS), TINA_OK);
    assert_int_equal(ask(&beside, &far, RIG_MS), TINA_OK);
    world.faults.rates.message_drop = always;
    cut(0, 1);
    cut(1, 0);
    wired_rounds(&world, 2); /* beside has given up: that is said, and answered */
    expect_last(&beside, TINA_TAG_CALL_FAILED, TINA_TIMED_OUT);
    assert_int_equal(wired_places(&world, 0, 1), 1);
    assert_int_equal(watch(&near, &far), TINA_OK);
    wired_do(&world, &far, be_done); /* which fails near's call, and tells of its end */
    assert_int_equal(near.seen_count, 2);
    assert_int_equal(rig_count_tag(&near, TINA_TAG_CALL_FAILED), 1);
    assert_int_equal(rig_count_tag(&near, TINA_TAG_DOWN), 1);
    assert_int_equal(wired_places(&world, 0, 1), 0);
    wired_end(&world);
}

static void reply_passes_where_everything_else_is_lost(void **unused)
{
    (void)unused;
    start();
    assert_int_equal(ask(&near, &far, 100 * RIG_MS), TINA_OK);
    world.faults.rates.message_drop = always;
    cut(1, 0);
    wired_do(&world, &far, reply_to_last);
    assert_int_equal(far.act.status, TINA_OK);
    expect_last(&near, TAG_ANSWER, TINA_OK);
    wired_end(&world);
}

static bool are_alike(const tina__prng *a, const tina__prng *b) { return memcmp(a, b, sizeof *a) == 0; }

static void each_wire_has_dice_of_its_own(void **unused)
{
    (void)unused;
    start();
    const tina__wire *there = wired_wire(&world, 0, 1);
    const tina__wire *back = wired_wire(&world, 1, 0);
    assert_false(are_alike(&there->drops, &back->drops));
    assert_false(are_alike(&there->delays, &back->delays));
    assert_false(are_alike(&there->drops, &there->delays));
    world.faults.rates.message_drop = (tina_ratio){1, 2};
    world.faults.rates.message_delay = (tina_range){0, 9};
    tina__prng before = back->drops;
    assert_int_equal(numbers(&near, &far, 5), TINA_OK);
    assert_true(are_alike(&back->drops, &before));
    wired_end(&world);
}

/* ---- Calls that are lost ------------------------------------------------------------------------------------------ */

static void call_that_is_lost_times_out_and_its_place_comes_back(void **unused)
{
    (void)unused;
    start();
    world.faults.rates.message_drop = always;
    for (uint32_t round = 0; round < 1000; round++) {
        rig_forget(&near);
        for (uint32_t i = 0; i < CAPACITY; i++)
            assert_int_equal(ask(&near, &far, RIG_MS), TINA_OK);
        assert_int_equal(ask(&near, &far, RIG_MS), TINA_CHANNEL_FULL);
        wired_rounds(&world, 2);
        assert_int_equal(rig_count_tag(&near, TINA_TAG_CALL_FAILED), CAPACITY);
        expect_last(&near, TINA_TAG_CALL_FAILED, TINA_TIMED_OUT);
        assert_int_equal(wired_places(&world, 0, 1), 0);
    }
    assert_int_equal(far.seen_count, 0);
    assert_int_equal(wired_wire(&world, 0, 1)->lost_count, 0);
    wired_end(&world);
}

static void call_that_is_lost_keeps_its_place_until_its_withdrawal_has_passed(void **unused)
{
    (void)unused;
    start();
    world.faults.rates.message_drop = always;
    assert_int_equal(ask(&near, &far, RIG_MS), TINA_OK);
    world.faults.rates.message_drop = never;
    world.faults.rates.message_delay = (tina_range){10, 10};
    assert_int_equal(numbers(&beside, &far, 1), TINA_OK);
    wired_rounds(&world, 9);
    expect_last(&near, TINA_TAG_CALL_FAILED, TINA_TIMED_OUT);
    assert_int_equal(wired_places(&world, 0, 1), 1);
    wired_rounds(&world, 1);
    assert_int_equal(wired_places(&world, 0, 1), 0);
    assert_int_equal(near.seen_count, 1);
    wired_end(&world);
}

static void call_that_is_late_times_out_and_its_answer_is_late(void **unused)
{
    (void)unused;
    start();
    far.on = reply_at_once;
    world.faults.rates.message_delay = (tina_range){5, 5};
    assert_int_equal(ask(&near, &far, 2 * RIG_MS), TINA_OK);
    wired_rounds(&world, 4);
    expect_last(&near, TINA_TAG_CALL_FAILED, TINA_TIMED_OUT);
    wired_rounds(&world, 10);
    assert_int_equal(near.seen_count, 1);
    assert_int_equal(wired_places(&world, 0, 1), 0);
    wired_end(&world);
}

static void caller_that_ends_gives_up_its_lost_call(void **unused)
{
    (void)unused;
    start();
    world.faults.rates.message_drop = always;
    assert_int_equal(ask(&near, &far, 1000 * RIG_MS), TINA_OK);
    wired_do(&world, &near, be_done);
    assert_int_equal(wired_places(&world, 0, 1), 0);
    wired_end(&world);
}

static void call_that_waits_for_ever_is_not_lost_to_chance(void **unused)
{
    (void)unused;
    start();
    far.on = reply_at_once;
    world.faults.rates.message_drop = always;
    assert_int_equal(ask(&beside, &far, RIG_MS), TINA_OK);
    assert_int_equal(ask(&near, &far, TINA_NONE_NS), TINA_OK);
    expect_last(&near, TAG_ANSWER, TINA_OK);
    assert_int_equal(far.seen_count, 1);
    assert_int_equal(wired_ledger(&world).dropped, 1);
    wired_end(&world);
}

static void call_that_waits_for_ever_waits_before_a_cut(void **unused)
{
    (void)unused;
    start();
    far.on = reply_at_once;
    cut(0, 1);
    assert_int_equal(ask(&near, &far, TINA_NONE_NS), TINA_OK);
    assert_int_equal(numbers(&beside, &far, 1), TINA_OK);
    wired_rounds(&world, 10);
    assert_int_equal(far.seen_count, 0);
    assert_int_equal(wired_ledger(&world).on_their_way, 2);
    assert_true(tina__wires_next_ns(&world.wires) == TINA_NONE_NS); /* nobody heals it */
    world.faults.rates.partition_heal = (tina_ratio){1, 1000000};
    assert_true(tina__wires_next_ns(&world.wires) == world.rig->now_ns + WIRED_ROUND_NS);
    world.faults.rates.partition_heal = always;
    wired_rounds(&world, 1);
    expect_last(&near, TAG_ANSWER, TINA_OK);
    assert_int_equal(far.seen_count, 2); /* what came behind it was not lost, either */
    expect_quiet();
    wired_end(&world);
}

static void call_that_waits_before_a_cut_is_lost_when_its_caller_ends(void **unused)
{
    (void)unused;
    start();
    cut(0, 1);
    assert_int_equal(ask(&near, &far, TINA_NONE_NS), TINA_OK);
    wired_rounds(&world, 2);
    wired_do(&world, &near, be_done);
    assert_int_equal(wired_places(&world, 0, 1), 0);
    assert_int_equal(wired_ledger(&world).cut_off, 1);
    assert_int_equal(wired_ledger(&world).on_their_way, 0);
    wired_end(&world);
}

/* ---- Cuts --------------------------------------------------------------------------------------------------------------- */

/* Through a cut nothing comes of what users send; the other way all does. */
static void expect_cut(const rig_actor *to, bool is_cut, uint64_t lost_before)
{
    assert_int_equal(to->seen_count, is_cut ? 0 : 3);
    assert_int_equal(wired_ledger(&world).cut_off - lost_before, is_cut ? 3 : 0);
}

static void partition_cuts_one_way_or_both_and_heals(void **unused)
{
    (void)unused;
    uint32_t seen[2][2] = {{0}};
    for (uint64_t seed = 1; seed <= 32; seed++) {
        prepare();
        wired_start(&world, &plan, seed, true);
        world.faults.rates.partition = always;
        wired_rounds(&world, 1);
        world.faults.rates.partition = never;
        bool is_cut_there = wired_wire(&world, 0, 1)->is_cut;
        bool is_cut_back = wired_wire(&world, 1, 0)->is_cut;
        seen[is_cut_there][is_cut_back]++;
        assert_int_equal(world.faults.counts.partition, 1);
        assert_int_equal(numbers(&near, &far, 3), TINA_OK);
        expect_cut(&far, is_cut_there, 0);
        uint64_t lost = wired_ledger(&world).cut_off;
        assert_int_equal(numbers(&far, &near, 3), TINA_OK);
        expect_cut(&near, is_cut_back, lost);
        world.faults.rates.partition_heal = always;
        wired_rounds(&world, 1);
        assert_int_equal(numbers(&near, &far, 1), TINA_OK);
        assert_int_equal(numbers(&far, &near, 1), TINA_OK);
        assert_int_equal(rig_saw_last(&far)->value, 6);
        assert_int_equal(rig_saw_last(&near)->value, 7);
        expect_quiet();
        wired_end(&world);
    }
    assert_int_equal(seen[false][false], 0);
    assert_int_not_equal(seen[false][true], 0);
    assert_int_not_equal(seen[true][false], 0);
    assert_int_not_equal(seen[true][true], 0);
}

static void partition_stays_where_nothing_heals_it(void **unused)
{
    (void)unused;
    start();
    cut(0, 1);
    wired_rounds(&world, 100);
    assert_int_equal(numbers(&near, &far, 3), TINA_OK);
    assert_int_equal(far.seen_count, 0);
    tina__wires_heal(&world.wires);
    assert_int_equal(numbers(&near, &far, 1), TINA_OK);
    expect_numbers(&far, 3, 4);
    expect_quiet();
    wired_end(&world);
}

static void call_into_a_cut_times_out_and_its_place_comes_back(void **unused)
{
    (void)unused;
    start();
    cut(0, 1);
    cut(1, 0);
    for (uint32_t round = 0; round < 100; round++) {
        assert_int_equal(ask(&near, &far, RIG_MS), TINA_OK);
        wired_rounds(&world, 2);
        expect_last(&near, TINA_TAG_CALL_FAILED, TINA_TIMED_OUT);
        assert_int_equal(wired_places(&world, 0, 1), 0);
    }
    assert_int_equal(near.seen_count, 100);
    wired_end(&world);
}

/* ---- Healed ----------------------------------------------------------------------------------------------------------------- */

static void heal_lets_everything_pass_from_then_on(void **unused)
{
    (void)unused;
    start();
    world.faults.rates.message_delay = (tina_range){100, 100};
    assert_int_equal(numbers(&near, &far, 3), TINA_OK);
    assert_int_equal(ask(&near, &far, TINA_NONE_NS), TINA_OK);
    world.faults.rates.message_drop = always;
    cut(0, 1);
    tina__wires_heal(&world.wires);
    wired_settle(&world);
    assert_int_equal(far.seen_count, 4);
    world.faults.rates.partition = always;
    wired_rounds(&world, 3);
    assert_int_equal(numbers(&near, &far, 3), TINA_OK);
    assert_int_equal(far.seen_count, 7);
    expect_numbers(&far, 0, 6);
    expect_quiet();
    wired_end(&world);
}

/* ---- Lives -------------------------------------------------------------------------------------------------------------------- */

/* Asks far until it is answered: within so many rounds. */
static void expect_answer_within(uint32_t rounds)
{
    far.on = reply_at_once;
    for (uint32_t round = 0; round < rounds; round++) {
        rig_forget(&near);
        wired_rounds(&world, 1);
        tina_status status = ask(&near, &far, TINA_NONE_NS);
        if (status == TINA_OK && near.seen_count != 0 && rig_saw_last(&near)->tag == TAG_ANSWER)
            return;
    }
    fail_msg("no answer");
}

static void request_to_an_old_life_does_not_reach_the_new_one(void **unused)
{
    (void)unused;
    start();
    world.faults.rates.message_delay = (tina_range){10, 10};
    assert_int_equal(ask(&near, &far, 100 * RIG_MS), TINA_OK);
    assert_int_equal(numbers(&near, &far, 1), TINA_OK);
    wipe(1);
    wired_settle(&world);
    expect_last(&near, TINA_TAG_CALL_FAILED, TINA_SHARD_DOWN);
    assert_int_equal(wired_places(&world, 0, 1), 0);
    assert_true(world.rig->shards[1]->p.peers[0].is_estranged); /* near's shard knows, but the word of it is late */
    uint64_t stale = rig_stats(world.rig, 1).arrived_stale;
    wired_rounds(&world, 10);
    assert_int_equal(far.init_count, 2);
    assert_int_equal(far.seen_count, 0);
    assert_int_equal(rig_stats(world.rig, 1).arrived_stale - stale, 2); /* the number was for who lived there */
    assert_false(world.rig->shards[1]->p.peers[0].is_estranged);
    world.faults.rates.message_delay = (tina_range){0, 0};
    expect_answer_within(2);
    expect_quiet();
    wired_end(&world);
}

/* Nothing but the fence comes through: that, too, is worth a ring. */
static void fence_behind_what_is_lost_is_heard(void **unused)
{
    (void)unused;
    start();
    world.faults.rates.message_delay = (tina_range){10, 10};
    assert_int_equal(numbers(&near, &far, 1), TINA_OK);
    wipe(1);
    wired_settle(&world);
    world.faults.rates.message_drop = always;
    wired_rounds(&world, 10);
    assert_int_equal(wired_ledger(&world).dropped, 1);
    assert_int_equal(far.init_count, 2);
    assert_false(world.rig->shards[1]->p.peers[0].is_estranged);
    wired_end(&world);
}

static void what_a_life_has_sent_comes_before_its_end(void **unused)
{
    (void)unused;
    start();
    assert_int_equal(watch(&near, &far), TINA_OK);
    assert_int_equal(ask(&beside, &far, TINA_NONE_NS), TINA_OK);
    world.faults.rates.message_delay = (tina_range){50, 50};
    assert_int_equal(numbers(&far, &near, 3), TINA_OK);
    far.act.caller = rig_saw(&far, 0)->caller;
    wired_do(&world, &far, reply_to_last);
    assert_int_equal(near.seen_count + beside.seen_count, 0);
    wipe(1);
    wired_settle(&world);
    expect_numbers(&near, 0, 3);
    assert_int_equal(near.seen_count, 5);
    assert_int_equal(rig_saw(&near, 3)->tag, TINA_TAG_DOWN);
    expect_last(&near, TINA_TAG_SHARD_RESTARTED, TINA_OK);
    expect_last(&beside, TAG_ANSWER, TINA_OK);
    world.faults.rates.message_delay = (tina_range){0, 0};
    assert_int_equal(far.init_count, 2);
    assert_int_equal(numbers(&far, &near, 1), TINA_OK); /* nothing is before it any more */
    assert_int_equal(near.seen_count, 6);
    wired_end(&world);
}

static void what_the_last_tick_published_comes_before_the_end(void **unused)
{
    (void)unused;
    start();
    world.faults.rates.message_delay = (tina_range){50, 50};
    far.act.to = near.self;
    far.act.call = 3;
    rig_order(world.rig, &far, send_numbers_at_last);
    (void)wired_turn(&world, 1);
    assert_int_equal(world.rig->publics[1].life, 1);
    wired_settle(&world);
    expect_numbers(&near, 0, 3);
    wired_end(&world);
}

static void what_a_life_has_sent_into_a_cut_is_lost_with_it(void **unused)
{
    (void)unused;
    start();
    cut(1, 0);
    assert_int_equal(ask(&far, &near, TINA_NONE_NS), TINA_OK); /* waits, but not beyond its caller's life */
    assert_int_equal(numbers(&far, &near, 2), TINA_OK);
    wipe(1);
    assert_int_equal(wired_ledger(&world).cut_off, 3);
    wired_settle(&world);
    assert_int_equal(near.seen_count, 0);
    tina__wires_heal(&world.wires);
    expect_answer_within(2);
    expect_quiet();
    wired_end(&world);
}

/* A place of a new life may be that of a request which an old life has lost. */
static void lost_calls_are_forgotten_with_their_callers_life(void **unused)
{
    (void)unused;
    start();
    world.faults.rates.message_drop = always;
    assert_int_equal(ask(&near, &far, TINA_NONE_NS - 1), TINA_OK); /* which saturates: it waits for ever */
    for (uint32_t i = 1; i < CAPACITY; i++)
        assert_int_equal(ask(&near, &far, 1000 * RIG_MS), TINA_OK);
    assert_int_equal(wired_wire(&world, 0, 1)->lost_count, CAPACITY - 1);
    wipe(0);
    assert_int_equal(wired_wire(&world, 0, 1)->lost_count, 0);
    wired_settle(&world);
    assert_int_equal(near.init_count, 2);
    rig_forget(&near);
    for (uint32_t i = 0; i < CAPACITY; i++)
        assert_int_equal(ask(&near, &far, RIG_MS), TINA_OK);
    wired_rounds(&world, 2);
    assert_int_equal(rig_count_tag(&near, TINA_TAG_CALL_FAILED), CAPACITY);
    assert_int_equal(wired_places(&world, 0, 1), 0);
    wired_end(&world);
}

/*
 * The withdrawal of a lost request is late, the callee's shard begins anew
 * meanwhile, and the place has its next request: the old withdrawal is not answered.
 */
static void lost_calls_are_forgotten_with_their_callees_life(void **unused)
{
    (void)unused;
    prepare();
    plan.spec.timer_count = 3; /* and so many places */
    plan.spec.watch_count = TINA_NONE;
    wired_start(&world, &plan, SEED, true);
    world.faults.rates.message_drop = always;
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(ask(&near, &far, RIG_MS), TINA_OK);
    assert_int_equal(ask(&near, &far, RIG_MS), TINA_POOL_EXHAUSTED);
    world.faults.rates.message_drop = never;
    world.faults.rates.message_delay = (tina_range){20, 20};
    assert_int_equal(numbers(&beside, &far, 1), TINA_OK);
    wired_rounds(&world, 3);
    assert_int_equal(wired_places(&world, 0, 1), 3); /* withdrawn, behind the number */
    assert_int_equal(wired_wire(&world, 0, 1)->lost_count, 3);
    wipe(1);
    wired_settle(&world);
    assert_int_equal(wired_places(&world, 0, 1), 0);
    rig_forget(&near);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(ask(&near, &far, 30 * RIG_MS), TINA_OK);
    assert_int_equal(wired_places(&world, 0, 1), 3);
    wired_rounds(&world, 17); /* the number has passed, and with it all withdrawals */
    assert_int_equal(wired_wire(&world, 0, 1)->lost_count, 0);
    assert_int_equal(wired_places(&world, 0, 1), 3);
    wired_rounds(&world, 3);
    assert_int_equal(rig_count_tag(&near, TINA_TAG_CALL_FAILED), 3); /* they were for who lived there */
    expect_last(&near, TINA_TAG_CALL_FAILED, TINA_STALE_HANDLE);
    assert_int_equal(wired_places(&world, 0, 1), 0);
    wired_end(&world);
}

/* Between the callee's new life and its caller's look at it, a withdrawal is answered as ever. */
static void withdrawal_of_a_lost_call_is_answered_before_the_new_life_is_seen(void **unused)
{
    (void)unused;
    start();
    world.faults.rates.message_drop = always;
    assert_int_equal(ask(&near, &far, RIG_MS), TINA_OK);
    world.faults.rates.message_drop = never;
    world.faults.rates.message_delay = (tina_range){3, 3};
    assert_int_equal(numbers(&beside, &far, 1), TINA_OK);
    wired_rounds(&world, 2); /* withdrawn, behind the number */
    wipe(1);
    wired_advance(&world); /* the withdrawal passes; shard 0 has not ticked */
    assert_int_equal(wired_wire(&world, 0, 1)->lost_count, 0);
    wired_settle(&world);
    assert_int_equal(wired_places(&world, 0, 1), 0);
    world.faults.rates.message_delay = (tina_range){0, 0};
    expect_answer_within(2);
    wired_end(&world);
}

static void both_shards_begin_anew_at_once(void **unused)
{
    (void)unused;
    start();
    world.faults.rates.message_delay = (tina_range){5, 5};
    for (uint32_t round = 0; round < 20; round++) {
        tina_ignore(ask(&near, &far, TINA_NONE_NS));
        tina_ignore(ask(&far, &near, TINA_NONE_NS));
        tina_ignore(numbers(&near, &far, 1));
        tina_ignore(numbers(&far, &near, 1));
        wipe(round % 2);
        wipe(1 - round % 2);
        for (uint32_t waited = 0; near.init_count < round + 2 || far.init_count < round + 2; waited++) {
            assert_true(waited < 100);
            wired_rounds(&world, 1);
        }
    }
    world.faults.rates.message_delay = (tina_range){0, 0};
    wired_rounds(&world, 10);
    expect_answer_within(3);
    expect_quiet();
    wired_end(&world);
}

/* ---- The end ---------------------------------------------------------------------------------------------------------------------- */

static void end_of_the_system_does_not_wait_for_what_is_late(void **unused)
{
    (void)unused;
    start();
    world.faults.rates.message_delay = (tina_range){1000000, 1000000};
    assert_int_equal(numbers(&near, &far, 5), TINA_OK);
    assert_int_equal(ask(&near, &far, TINA_NONE_NS), TINA_OK);
    assert_int_equal(numbers(&far, &near, 5), TINA_OK);
    wired_end(&world);
}

static void end_of_the_system_ends_its_cuts(void **unused)
{
    (void)unused;
    start();
    world.faults.rates.partition = always;
    world.faults.rates.message_drop = (tina_ratio){1, 2};
    wired_rounds(&world, 50);
    assert_int_equal(world.wires.cut_count, 2);
    assert_int_equal(ask(&near, &far, TINA_NONE_NS), TINA_OK);
    assert_int_equal(ask(&far, &near, TINA_NONE_NS), TINA_OK);
    assert_int_equal(numbers(&near, &far, 5), TINA_OK);
    wired_end(&world);
}

static void one_shard_has_no_wires(void **unused)
{
    (void)unused;
    memset(&near, 0, sizeof near);
    rig_plan_init(&plan, 1, 1);
    rig_plan_child(&plan, 0, 0, &near);
    wired_start(&world, &plan, SEED, true);
    world.faults.rates.partition = always;
    wired_rounds(&world, 3);
    expect_quiet();
    wired_end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_is_kept_whatever_the_delays),
        cmocka_unit_test(message_comes_in_the_round_in_which_it_is_due),
        cmocka_unit_test(notice_waits_behind_what_its_isolate_sent),
        cmocka_unit_test(nothing_is_under_way_at_rest),
        cmocka_unit_test(message_arrives_as_it_was_sent),
        cmocka_unit_test(channel_is_as_full_as_one_ring),
        cmocka_unit_test(channel_is_full_while_its_messages_are_late),
        cmocka_unit_test(answers_have_room_beside_what_is_late),
        cmocka_unit_test(message_that_is_lost_is_counted_and_leaves_its_room),
        cmocka_unit_test(some_are_lost_and_the_others_keep_their_order),
        cmocka_unit_test(answers_and_notices_are_never_lost),
        cmocka_unit_test(reply_passes_where_everything_else_is_lost),
        cmocka_unit_test(each_wire_has_dice_of_its_own),
        cmocka_unit_test(call_that_is_lost_times_out_and_its_place_comes_back),
        cmocka_unit_test(call_that_is_lost_keeps_its_place_until_its_withdrawal_has_passed),
        cmocka_unit_test(call_that_is_late_times_out_and_its_answer_is_late),
        cmocka_unit_test(caller_that_ends_gives_up_its_lost_call),
        cmocka_unit_test(call_that_waits_for_ever_is_not_lost_to_chance),
        cmocka_unit_test(call_that_waits_for_ever_waits_before_a_cut),
        cmocka_unit_test(call_that_waits_before_a_cut_is_lost_when_its_caller_ends),
        cmocka_unit_test(partition_cuts_one_way_or_both_and_heals),
        cmocka_unit_test(partition_stays_where_nothing_heals_it),
        cmocka_unit_test(call_into_a_cut_times_out_and_its_place_comes_back),
        cmocka_unit_test(heal_lets_everything_pass_from_then_on),
        cmocka_unit_test(request_to_an_old_life_does_not_reach_the_new_one),
        cmocka_unit_test(fence_behind_what_is_lost_is_heard),
        cmocka_unit_test(what_a_life_has_sent_comes_before_its_end),
        cmocka_unit_test(what_the_last_tick_published_comes_before_the_end),
        cmocka_unit_test(what_a_life_has_sent_into_a_cut_is_lost_with_it),
        cmocka_unit_test(lost_calls_are_forgotten_with_their_callers_life),
        cmocka_unit_test(lost_calls_are_forgotten_with_their_callees_life),
        cmocka_unit_test(withdrawal_of_a_lost_call_is_answered_before_the_new_life_is_seen),
        cmocka_unit_test(both_shards_begin_anew_at_once),
        cmocka_unit_test(end_of_the_system_does_not_wait_for_what_is_late),
        cmocka_unit_test(end_of_the_system_ends_its_cuts),
        cmocka_unit_test(one_shard_has_no_wires),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
