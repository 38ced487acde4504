/* What is counted and measured by type: exactly what is counted, and by chance, but rightly, what is measured. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/measure.h"
#include "support/rig.h"

#include <string.h>

#define TAG_A      (TINA_TAG_USER + 1)
#define HANDLER_NS 700u /* what a handler takes by the test's clock: in the bucket from 512 on */
#define TICKS      2000

static rig_plan plan;
static rig_actor a, b, c; /* of types 0, 1 and 2; c on the last shard */
static uint64_t clock_now_ns;

static void prepare(size_t shard_count)
{
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    memset(&c, 0, sizeof c);
    rig_plan_init(&plan, shard_count, 4);
    rig_plan_child(&plan, 0, 0, &a);
    rig_plan_child(&plan, 0, 1, &b);
    rig_plan_child(&plan, shard_count - 1, 2, &c);
}

static tina_type_stats type_stats(const rig_system *rig, size_t shard, uint8_t type)
{
    tina_type_stats stats;
    tina__type_read_stats(&rig->publics[shard].types[type], &stats);
    return stats;
}

/* Half of its readings are a handler's end. */
static uint64_t read_clock(void)
{
    clock_now_ns += HANDLER_NS;
    return clock_now_ns;
}

static uint64_t sum_of(const tina_histogram *histogram)
{
    uint64_t sum = 0;
    for (int i = 0; i < TINA_HISTOGRAM_BUCKETS; i++)
        sum += histogram->buckets[i];
    return sum;
}

/* ---- Counters ------------------------------------------------------------------------------ */

static void dispatches_of_each_type_are_counted(void **unused)
{
    (void)unused;
    prepare(1);
    rig_system *rig = rig_start(&plan);
    uint64_t before = type_stats(rig, 0, 1).dispatches;
    for (int i = 0; i < 200; i++)
        assert_int_equal(rig_send(rig, &a, b.self, TAG_A, 0), TINA_OK);
    assert_int_equal(type_stats(rig, 0, 1).dispatches - before, 200);
    uint64_t sum = 0;
    for (uint8_t type = 0; type < 4; type++)
        sum += type_stats(rig, 0, type).dispatches;
    assert_int_equal(sum, rig_stats(rig, 0).dispatches);
    assert_string_equal(type_stats(rig, 0, 1).name, plan.types[1].name);
    assert_int_equal(type_stats(rig, 0, 1).slots, 16);
    rig_end(rig);
}

static tina_effect fill_mailbox(rig_actor *me, tina_ctx *ctx)
{
    while ((me->act.status = tina_send(ctx, me->act.to, TAG_A, NULL, 0)) == TINA_OK)
        me->act.call++;
    return tina_receive();
}

static void full_mailbox_is_counted_by_its_type_here(void **unused)
{
    (void)unused;
    prepare(1);
    plan.types[1].mailbox_capacity = 5;
    rig_system *rig = rig_start(&plan);
    a.act.to = b.self;
    for (int i = 0; i < 100; i++) /* also while the short way into the mailboxes is closed */
        rig_do(rig, &a, fill_mailbox);
    assert_int_equal(a.act.call, 500);
    assert_int_equal(type_stats(rig, 0, 1).mailbox_full, 100);
    assert_int_equal(rig_stats(rig, 0).mailbox_full, 100);
    assert_int_equal(type_stats(rig, 0, 0).mailbox_full, 0);
    rig_end(rig);
}

static tina_effect send_ten(rig_actor *me, tina_ctx *ctx)
{
    for (int i = 0; i < 10; i++)
        assert_int_equal(tina_send(ctx, me->act.to, TAG_A, NULL, 0), TINA_OK);
    return tina_receive();
}

static tina_effect park_in_call(rig_actor *me, tina_ctx *ctx)
{
    return tina_call(ctx, me->act.to, TAG_A, NULL, 0, me->act.time_ns);
}

static void full_mailbox_is_counted_by_its_type_on_arrival(void **unused)
{
    (void)unused;
    prepare(2);
    plan.types[2].mailbox_capacity = 4;
    rig_system *rig = rig_start(&plan);
    c.act.to = a.self; /* who does not answer: c is parked, and its mailbox fills */
    c.act.time_ns = RIG_MS;
    rig_do(rig, &c, park_in_call);
    a.act.to = c.self;
    rig_do(rig, &a, send_ten);
    assert_int_equal(type_stats(rig, 1, 2).mailbox_full, 6);
    assert_int_equal(rig_stats(rig, 1).arrived_full, 6);
    rig_advance(rig, 2 * RIG_MS);
    assert_int_equal(rig_stats(rig, 1).calls_timed_out, 1);
    rig_end(rig);
}

static tina_effect crash(rig_actor *me, tina_ctx *ctx)
{
    (void)me, (void)ctx;
    return tina_crash(7);
}

static void lives_of_each_type_are_counted(void **unused)
{
    (void)unused;
    prepare(1);
    plan.types[3].slot_count = 3;
    plan.children[0][1].restart = TINA_PERMANENT;
    rig_system *rig = rig_start(&plan);
    rig_actor children[4];
    memset(children, 0, sizeof children);
    for (int i = 0; i < 4; i++) {
        rig_actor *child = &children[i];
        tina_spawn spawn = {.type = 3, .args = &child, .args_size = sizeof child};
        assert_int_equal(rig_spawn(rig, &a, &spawn), i < 3 ? TINA_OK : TINA_ARENA_FULL);
    }
    rig_done(rig, &children[0]);
    rig_do(rig, &children[1], crash);
    rig_do(rig, &b, crash);
    tina_type_stats stats = type_stats(rig, 0, 3);
    assert_int_equal(stats.spawns, 3);
    assert_int_equal(stats.exits, 2);
    assert_int_equal(stats.crashes, 1);
    assert_int_equal(stats.isolates, 1);
    assert_int_equal(stats.peak, 3);
    assert_int_equal(stats.slots, 3);
    assert_int_equal(stats.arena_full, 1);
    assert_int_equal(rig_stats(rig, 0).arena_full, 1);
    assert_int_equal(type_stats(rig, 0, 1).restarts, 1);
    assert_int_equal(type_stats(rig, 0, 1).crashes, 1);
    rig_end(rig);
}

static tina_effect refuse_init(rig_actor *me, tina_ctx *ctx)
{
    (void)me, (void)ctx;
    return tina_crash(1);
}

static void spawns_that_come_to_nothing_are_counted_by_why(void **unused)
{
    (void)unused;
    prepare(1);
    plan.shards[0].root.dynamic_max = 1;
    rig_system *rig = rig_start(&plan);
    rig_actor child = {.on_init = refuse_init}, *at = &child;
    tina_spawn spawn = {.type = 3, .args = &at, .args_size = sizeof at};
    assert_int_equal(rig_spawn(rig, &a, &spawn), TINA_INIT_FAILED);
    child.on_init = NULL;
    assert_int_equal(rig_spawn(rig, &a, &spawn), TINA_OK);
    assert_int_equal(rig_spawn(rig, &a, &spawn), TINA_GROUP_FULL);
    assert_int_equal(rig_stats(rig, 0).init_failed, 1);
    assert_int_equal(rig_stats(rig, 0).group_full, 1);
    rig_end(rig);
}

static void wiped_shard_has_none_of_its_isolates_left(void **unused)
{
    (void)unused;
    prepare(1);
    rig_system *rig = rig_start(&plan);
    for (int i = 0; i < TICKS; i++) /* a message may be chosen, and never come */
        (void)rig_send(rig, &a, b.self, TAG_A, 0);
    uint64_t waits = type_stats(rig, 0, 1).wait_ns.count;
    rig_wipe(rig, 0);
    rig_settle(rig);
    for (uint8_t type = 0; type < 3; type++) {
        tina_type_stats stats = type_stats(rig, 0, type);
        assert_int_equal(stats.spawns - stats.exits, stats.isolates);
        assert_int_equal(stats.isolates, 1);
        assert_int_equal(stats.peak, 1);
    }
    for (int i = 0; i < TICKS; i++)
        (void)rig_send(rig, &a, b.self, TAG_A, 0);
    assert_true(type_stats(rig, 0, 1).wait_ns.count > waits);
    rig_end(rig);
}

/* ---- Handlers -------------------------------------------------------------------------------- */

static void handlers_of_some_ticks_are_timed(void **unused)
{
    (void)unused;
    prepare(1);
    rig_system *rig = rig_start(&plan);
    rig->shared.clock_ns = read_clock;
    tina_type_stats before = type_stats(rig, 0, 1);
    for (int i = 0; i < TICKS; i++)
        assert_int_equal(rig_send(rig, &a, b.self, TAG_A, 0), TINA_OK);
    tina_type_stats stats = type_stats(rig, 0, 1);
    uint64_t count = stats.handler_ns.count - before.handler_ns.count;
    assert_int_equal(stats.sample_every, TINA__MEASURE_EVERY);
    assert_in_range(count, TICKS / TINA__MEASURE_EVERY / 4, TICKS / TINA__MEASURE_EVERY * 4);
    assert_int_equal(stats.handler_ns.sum_ns - before.handler_ns.sum_ns, count * HANDLER_NS);
    assert_int_equal(stats.handler_ns.buckets[9] - before.handler_ns.buckets[9], count);
    assert_int_equal(sum_of(&stats.handler_ns), stats.handler_ns.count);
    rig_end(rig);
}

static tina_effect send_to_self(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (me->seen_count < TICKS * 256)
        assert_int_equal(tina_send(ctx, me->self, TAG_A, NULL, 0), TINA_OK);
    return tina_receive();
}

/* Where a tick has many calls, few are timed, and stand for all. */
static void handlers_of_busy_ticks_stand_for_others(void **unused)
{
    (void)unused;
    prepare(1);
    rig_system *rig = rig_start(&plan);
    rig->shared.clock_ns = read_clock;
    b.on = send_to_self;
    assert_true(rig_post(rig, b.self, TAG_A, NULL, 0));
    uint64_t clock_before_ns = clock_now_ns;
    while (!rig_settle_within(rig, TICKS)) {
    }
    tina_type_stats stats = type_stats(rig, 0, 1);
    uint64_t readings = (clock_now_ns - clock_before_ns) / HANDLER_NS;
    assert_true(stats.dispatches >= TICKS * 256);
    assert_in_range(stats.handler_ns.count, stats.dispatches / TINA__MEASURE_EVERY / 2,
                    stats.dispatches / TINA__MEASURE_EVERY * 2);
    assert_int_equal(stats.handler_ns.sum_ns, stats.handler_ns.count * HANDLER_NS);
    assert_true(readings < stats.handler_ns.count / 4);
    rig_end(rig);
}

/* ---- Waits ------------------------------------------------------------------------------------- */

static void send_often(rig_system *rig, rig_actor *to)
{
    for (int i = 0; i < TICKS; i++)
        assert_int_equal(rig_send(rig, &a, to->self, TAG_A, 0), TINA_OK);
}

/* Half of b's messages are handled at once, and half when its call has timed out. */
static void waits_are_timed_from_the_mailbox_to_the_handler(void **unused)
{
    (void)unused;
    prepare(1);
    rig_system *rig = rig_start(&plan);
    b.act.to = a.self; /* who does not answer */
    b.act.time_ns = 5 * RIG_MS;
    for (int i = 0; i < TICKS; i++) {
        rig_do(rig, &b, park_in_call);
        assert_int_equal(rig_send(rig, &c, b.self, TAG_A, 0), TINA_OK);
        rig_advance(rig, 5 * RIG_MS);
    }
    tina_histogram waits = type_stats(rig, 0, 1).wait_ns;
    assert_in_range(waits.count, TICKS / TINA__MEASURE_EVERY / 4, TICKS * 3 / TINA__MEASURE_EVERY * 4);
    assert_int_equal(sum_of(&waits), waits.count);
    assert_int_equal(waits.buckets[0] + waits.buckets[22], waits.count); /* none, or 4.2 ms to 8.4 ms */
    assert_in_range(waits.buckets[22], waits.count / 4, waits.count * 3 / 4);
    assert_int_equal(waits.sum_ns, waits.buckets[22] * 5 * RIG_MS);
    rig_end(rig);
}

static void waits_on_arrival_from_another_shard_are_timed(void **unused)
{
    (void)unused;
    prepare(2);
    rig_system *rig = rig_start(&plan);
    send_often(rig, &c);
    assert_in_range(type_stats(rig, 1, 2).wait_ns.count, TICKS / TINA__MEASURE_EVERY / 4, TICKS / TINA__MEASURE_EVERY * 4);
    rig_end(rig);
}

/* Whichever dies, another one is chosen. */
static void message_that_dies_with_its_owner_is_not_waited_for(void **unused)
{
    (void)unused;
    prepare(1);
    plan.children[0][1].restart = TINA_PERMANENT;
    plan.shards[0].root.restart_max = UINT32_MAX - 1;
    rig_system *rig = rig_start(&plan);
    for (int i = 0; i < TICKS / 10; i++) {
        rig_order(rig, &b, crash);
        assert_true(rig_post(rig, b.self, TAG_A, NULL, 0));
        rig_settle(rig);
        rig_advance(rig, 1);
    }
    assert_int_equal(type_stats(rig, 0, 1).crashes, TICKS / 10);
    uint64_t count = type_stats(rig, 0, 1).wait_ns.count;
    send_often(rig, &b);
    assert_true(type_stats(rig, 0, 1).wait_ns.count >= count + TICKS / TINA__MEASURE_EVERY / 4);
    rig_end(rig);
}

/* An isolate that is parked for long does not keep those of the others from being measured. */
static void message_that_waits_for_long_makes_room_for_another(void **unused)
{
    (void)unused;
    prepare(1);
    rig_actor other;
    memset(&other, 0, sizeof other);
    rig_plan_child(&plan, 0, 1, &other);
    rig_system *rig = rig_start(&plan);
    const tina__wait *wait = &rig->publics[0].types[1].wait;
    b.act.to = a.self;
    b.act.time_ns = 1000000 * RIG_MS;
    rig_do(rig, &b, park_in_call);
    while (wait->index == RIG_NONE) { /* until one of b's is chosen */
        assert_int_equal(rig_send(rig, &a, b.self, TAG_A, 0), TINA_OK);
        assert_int_equal(rig_send(rig, &a, other.self, TAG_A, 0), TINA_OK);
    }
    uint64_t count = type_stats(rig, 0, 1).wait_ns.count;
    send_often(rig, &other);
    assert_int_equal(type_stats(rig, 0, 1).wait_ns.count, count); /* b's is waited for */
    rig_advance(rig, 11000 * RIG_MS);
    send_often(rig, &other);
    assert_true(type_stats(rig, 0, 1).wait_ns.count >= count + TICKS / TINA__MEASURE_EVERY / 4);
    assert_int_equal(type_stats(rig, 0, 1).wait_ns.buckets[TINA_HISTOGRAM_BUCKETS - 1], 1);
    rig_end(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dispatches_of_each_type_are_counted),
        cmocka_unit_test(full_mailbox_is_counted_by_its_type_here),
        cmocka_unit_test(full_mailbox_is_counted_by_its_type_on_arrival),
        cmocka_unit_test(lives_of_each_type_are_counted),
        cmocka_unit_test(spawns_that_come_to_nothing_are_counted_by_why),
        cmocka_unit_test(wiped_shard_has_none_of_its_isolates_left),
        cmocka_unit_test(handlers_of_some_ticks_are_timed),
        cmocka_unit_test(handlers_of_busy_ticks_stand_for_others),
        cmocka_unit_test(waits_are_timed_from_the_mailbox_to_the_handler),
        cmocka_unit_test(waits_on_arrival_from_another_shard_are_timed),
        cmocka_unit_test(message_that_dies_with_its_owner_is_not_waited_for),
        cmocka_unit_test(message_that_waits_for_long_makes_room_for_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
