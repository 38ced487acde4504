/* Who runs when, and what it gets first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/rig.h"

#include "os/os.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define TAG_A (TINA_TAG_USER + 1)
#define TAG_B (TINA_TAG_USER + 2)

static rig_plan plan;
static rig_actor a, b, c; /* a, b: of type 0; c: of the last type */

static void prepare(size_t type_count)
{
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    memset(&c, 0, sizeof c);
    rig_plan_init(&plan, 1, type_count);
    rig_plan_child(&plan, 0, 0, &a);
    rig_plan_child(&plan, 0, 0, &b);
    rig_plan_child(&plan, 0, (uint8_t)(type_count - 1), &c);
}

static void post_number(rig_system *rig, const rig_actor *to, uint64_t number)
{
    assert_true(rig_post(rig, to->self, TAG_A, &number, sizeof number));
}

/* ---- Order ----------------------------------------------------------------------------------- */

static tina_effect send_ten(rig_actor *me, tina_ctx *ctx)
{
    for (uint64_t i = 0; i < 10; i++)
        assert_int_equal(tina_send(ctx, me->act.to, TAG_A, &i, sizeof i), TINA_OK);
    return tina_receive();
}

static void mail_of_one_sender_keeps_its_order(void **unused)
{
    (void)unused;
    prepare(2);
    rig_system *rig = rig_start(&plan);
    a.act.to = b.self;
    rig_do(rig, &a, send_ten);
    assert_int_equal(b.seen_count, 10);
    for (uint32_t i = 0; i < 10; i++) {
        assert_int_equal(rig_saw(&b, i)->value, i);
        assert_true(tina_handle_equal(rig_saw(&b, i)->source, a.self));
    }
    rig_end(rig);
}

static void mail_from_outside_has_no_source(void **unused)
{
    (void)unused;
    prepare(2);
    rig_system *rig = rig_start(&plan);
    post_number(rig, &a, 7);
    rig_settle(rig);
    assert_true(tina_handle_is_none(rig_saw_last(&a)->source));
    assert_int_equal(rig_saw_last(&a)->value, 7);
    rig_end(rig);
}

static tina_effect end_after_mail(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    (void)me;
    (void)ctx;
    return message->tag == TAG_A ? tina_done() : tina_receive();
}

static void next_message_of_everything_at_once_is_operation_shutdown_mail(void **unused)
{
    (void)unused;
    prepare(2);
    rig_system *rig = rig_start(&plan);
    a.on = end_after_mail;
    tina_fd fd = rig_socket(rig, &a);
    assert_int_equal(rig_io_start(rig, &a, &(tina_op){.kind = TINA_IO_RECV, .fd = fd}), TINA_OK);
    post_number(rig, &a, 1);
    rig_stop(rig, TINA__STOP_GRACEFUL);
    rig_complete_receive(rig, 0, rig_request_of(rig, fd, TINA__IO_RECEIVE), "12345678", 8);
    rig_tick(rig, 0);
    assert_int_equal(a.seen_count, 3);
    assert_int_equal(rig_saw(&a, 0)->tag, TINA_IO_RECV);
    assert_int_equal(rig_saw(&a, 1)->tag, TINA_TAG_SHUTDOWN);
    assert_int_equal(rig_saw(&a, 2)->tag, TAG_A);
    rig_end(rig);
}

static void turns_of_one_type_go_round_message_by_message(void **unused)
{
    (void)unused;
    prepare(2);
    rig_system *rig = rig_start(&plan);
    uint32_t first = rig->order + 1;
    for (uint64_t i = 0; i < 3; i++)
        post_number(rig, &a, i);
    for (uint64_t i = 0; i < 3; i++)
        post_number(rig, &b, i);
    rig_tick(rig, 0);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(rig_saw(&a, i)->order, first + 2 * i);
        assert_int_equal(rig_saw(&b, i)->order, first + 2 * i + 1);
    }
    rig_end(rig);
}

/* ---- Budgets ---------------------------------------------------------------------------------- */

static tina_effect pass_on(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    uint64_t left;
    memcpy(&left, message->payload, sizeof left);
    if (left-- != 0)
        assert_int_equal(tina_send(ctx, me->act.to, TAG_A, &left, sizeof left), TINA_OK);
    return tina_receive();
}

static void budget_of_a_type_is_256_times_its_weight_each_tick(void **unused)
{
    (void)unused;
    prepare(2);
    plan.types[1].weight = 2;
    rig_system *rig = rig_start(&plan);
    a.on = c.on = pass_on;
    a.act.to = a.self;
    c.act.to = c.self;
    post_number(rig, &a, 1000);
    post_number(rig, &c, 1000);
    rig_tick(rig, 0);
    assert_int_equal(a.seen_count, 256);
    assert_int_equal(c.seen_count, 512);
    rig_tick(rig, 0);
    assert_int_equal(a.seen_count, 512);
    assert_int_equal(c.seen_count, 1001);
    rig_settle(rig);
    assert_int_equal(a.seen_count, 1001);
    rig_end(rig);
}

static void budget_used_up_by_one_type_leaves_the_others_theirs(void **unused)
{
    (void)unused;
    prepare(2);
    rig_system *rig = rig_start(&plan);
    a.on = pass_on;
    a.act.to = a.self;
    post_number(rig, &a, 100000);
    for (uint32_t i = 0; i < 10; i++) {
        post_number(rig, &c, i);
        rig_tick(rig, 0);
        assert_int_equal(c.seen_count, i + 1);
    }
    assert_int_equal(a.seen_count, 2560);
    rig_settle(rig);
    rig_end(rig);
}

static void conversation_of_two_types_costs_no_tick_a_turn(void **unused)
{
    (void)unused;
    prepare(2);
    rig_system *rig = rig_start(&plan);
    a.on = c.on = pass_on;
    a.act.to = c.self;
    c.act.to = a.self;
    post_number(rig, &a, 199);
    rig_tick(rig, 0);
    assert_int_equal(a.seen_count, 100);
    assert_int_equal(c.seen_count, 100);
    rig_end(rig);
}

static void conversation_across_the_words_of_the_ready_types_costs_no_tick_a_turn(void **unused)
{
    (void)unused;
    prepare(75);
    rig_actor *actors = calloc(10, sizeof *actors);
    for (uint8_t i = 0; i < 10; i++)
        rig_plan_child(&plan, 0, (uint8_t)(60 + i), &actors[i]);
    rig_system *rig = rig_start(&plan);
    rig_actor *ring[13] = {&a, &c, &b};
    for (size_t i = 0; i < 10; i++)
        ring[3 + i] = &actors[i];
    for (size_t i = 0; i < 13; i++) {
        ring[i]->on = pass_on;
        ring[i]->act.to = ring[(i + 1) % 13]->self;
    }
    post_number(rig, &a, 13 * 90 - 1);
    rig_tick(rig, 0);
    for (size_t i = 0; i < 13; i++)
        assert_int_equal(ring[i]->seen_count, 90);
    assert_false(tina__is_anybody_ready(rig->shards[0]));
    rig_end(rig);
    free(actors);
}

/* ---- Yielding ----------------------------------------------------------------------------------- */

static tina_effect yield_always(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    (void)ctx;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    return me->seen_count < 5 ? tina_yield() : tina_receive();
}

static void yield_comes_back_in_the_next_tick_not_in_this_one(void **unused)
{
    (void)unused;
    prepare(2);
    rig_system *rig = rig_start(&plan);
    a.on = yield_always;
    post_number(rig, &a, 0);
    for (uint32_t i = 1; i <= 5; i++) {
        rig_tick(rig, 0);
        assert_int_equal(a.seen_count, i);
        assert_int_equal(rig_saw_last(&a)->tag, i == 1 ? TAG_A : TINA_TAG_RESUME);
        assert_int_equal(rig_saw_last(&a)->tick, rig_saw(&a, 0)->tick + i - 1);
    }
    assert_int_equal(rig_tick(rig, 0), 0);
    rig_end(rig);
}

static tina_effect yield_forever(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    (void)me;
    (void)message;
    (void)ctx;
    return tina_yield();
}

static void yield_again_and_again_hears_of_the_shutdown_in_place_of_a_resume(void **unused)
{
    (void)unused;
    prepare(2);
    rig_system *rig = rig_start(&plan);
    a.on = yield_forever;
    post_number(rig, &a, 0);
    rig_tick(rig, 0);
    rig_tick(rig, 0);
    rig_stop(rig, TINA__STOP_GRACEFUL);
    rig_tick(rig, 0);
    rig_tick(rig, 0);
    assert_int_equal(a.seen_count, 4);
    assert_int_equal(rig_saw(&a, 1)->tag, TINA_TAG_RESUME);
    assert_int_equal(rig_saw(&a, 2)->tag, TINA_TAG_SHUTDOWN);
    assert_int_equal(rig_saw(&a, 3)->tag, TINA_TAG_RESUME);
    rig->now_ns += 2000 * RIG_MS;
    rig_end(rig);
}

static void yielded_isolate_that_is_torn_down_is_buried(void **unused)
{
    (void)unused;
    prepare(2);
    rig_system *rig = rig_start(&plan);
    a.on = yield_forever;
    post_number(rig, &a, 0);
    rig_tick(rig, 0);
    rig_stop(rig, TINA__STOP_NOW);
    rig_tick(rig, 0); /* hears of the stop */
    assert_int_equal(a.seen_count, 2);
    rig_tick(rig, 0);
    assert_int_equal(rig->shards[0]->live_count, 0);
    rig_end(rig);
    assert_int_equal(a.seen_count, 2);
}

/* ---- Idle slots -------------------------------------------------------------------------------------- */

static size_t resident_pages(const rig_system *rig)
{
    size_t page = tina__os_page_size();
    size_t count = rig->plans[0].total / page;
    unsigned char *map = calloc(count, 1);
    assert_non_null(map);
    assert_int_equal(mincore(rig->bases[0], rig->plans[0].total, map), 0);
    size_t resident = 0;
    for (size_t i = 0; i < count; i++)
        resident += map[i] & 1;
    free(map);
    return resident;
}

static void idle_million_of_slots_is_not_walked(void **unused)
{
    (void)unused;
    prepare(2);
    plan.types[1].slot_count = 1000000;
    rig_system *rig = rig_start(&plan);
    size_t before = resident_pages(rig);
    for (uint32_t i = 0; i < 100; i++) {
        assert_int_equal(rig_tick(rig, 0), 0);
        post_number(rig, &c, i);
        assert_true(rig_tick(rig, 0) != 0);
    }
    assert_int_equal(c.seen_count, 100);
    assert_true(resident_pages(rig) - before < 64);
    rig_stop(rig, TINA__STOP_GRACEFUL);
    for (uint32_t i = 0; i < 10; i++)
        rig_tick(rig, 0);
    assert_true(tina__shard_has_ended(rig->shards[0]));
    assert_true(resident_pages(rig) - before < 64);
    rig_end(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mail_of_one_sender_keeps_its_order),
        cmocka_unit_test(mail_from_outside_has_no_source),
        cmocka_unit_test(next_message_of_everything_at_once_is_operation_shutdown_mail),
        cmocka_unit_test(turns_of_one_type_go_round_message_by_message),
        cmocka_unit_test(budget_of_a_type_is_256_times_its_weight_each_tick),
        cmocka_unit_test(budget_used_up_by_one_type_leaves_the_others_theirs),
        cmocka_unit_test(conversation_of_two_types_costs_no_tick_a_turn),
        cmocka_unit_test(conversation_across_the_words_of_the_ready_types_costs_no_tick_a_turn),
        cmocka_unit_test(yield_comes_back_in_the_next_tick_not_in_this_one),
        cmocka_unit_test(yield_again_and_again_hears_of_the_shutdown_in_place_of_a_resume),
        cmocka_unit_test(yielded_isolate_that_is_torn_down_is_buried),
        cmocka_unit_test(idle_million_of_slots_is_not_walked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
