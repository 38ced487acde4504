/* Effects: what was made and not returned never happened, what was not made in this call ends its isolate. */
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
static rig_actor a, b, c; /* c: on shard 1 */

static rig_system *start(void)
{
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    memset(&c, 0, sizeof c);
    rig_plan_init(&plan, 2, 2);
    plan.spec.channel_capacity = 200;
    plan.types[1].mailbox_capacity = 400;
    plan.spec.message_count = 1000;
    rig_plan_child(&plan, 0, 0, &a);
    rig_plan_child(&plan, 0, 1, &b);
    rig_plan_child(&plan, 1, 1, &c);
    return rig_start(&plan);
}

/* ---- Not returned ------------------------------------------------------------------------------- */

static tina_effect drop_effects(rig_actor *me, tina_ctx *ctx)
{
    for (int i = 0; i < 5; i++) {
        tina_effect call = tina_call(ctx, b.self, TAG_A, "x", 1, 0);
        tina_effect io = tina_io_send(ctx, me->act.fd, "hello", 5);
        tina_effect receive = tina_io_recv(ctx, me->act.fd);
        tina_effect reply = tina_reply(ctx, TAG_A, "x", 1);
        (void)call;
        (void)io;
        (void)receive;
        (void)reply;
    }
    return tina_receive();
}

static void effect_that_is_not_returned_never_happened(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    a.act.fd = rig_socket(rig, &a);
    for (int i = 0; i < 20; i++)
        rig_do(rig, &a, drop_effects);
    tina_stats stats = rig_stats(rig, 0);
    assert_int_equal(stats.ops.used, 0);
    assert_int_equal(stats.buffers.used, 0);
    assert_int_equal(stats.timers.used, 0);
    assert_int_equal(stats.calls, 0);
    assert_int_equal(stats.io_submitted, 0);
    assert_int_equal(stats.crashes, 0);
    assert_int_equal(b.seen_count, 0);
    rig_end(rig);
}

static tina_effect return_the_first_of_two(rig_actor *me, tina_ctx *ctx)
{
    if (me->act.reason == 0) {
        tina_effect first = tina_call(ctx, b.self, TAG_A, NULL, 0, 0);
        tina_effect second = tina_call(ctx, b.self, TAG_B, NULL, 0, 0);
        (void)second;
        return first;
    }
    tina_effect first = tina_io_send(ctx, me->act.fd, "first", 5);
    tina_effect second = tina_io_send(ctx, me->act.fd, "second", 6);
    (void)second;
    return first;
}

static tina_effect answer(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    (void)me;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (!tina_is_call(message))
        return tina_receive();
    uint64_t first = 1, second = 2;
    tina_effect effect = tina_reply(ctx, TAG_A, &first, 8);
    tina_effect other = tina_reply(ctx, TAG_B, &second, 8);
    (void)other;
    return effect;
}

static void effect_made_first_of_two_works_when_returned(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    b.on = answer;
    rig_do(rig, &a, return_the_first_of_two);
    assert_int_equal(b.seen_count, 1);
    assert_int_equal(rig_saw_last(&b)->tag, TAG_A);
    assert_int_equal(rig_saw_last(&a)->value, 1);
    a.act.reason = 1;
    a.act.fd = rig_socket(rig, &a);
    rig_do(rig, &a, return_the_first_of_two);
    tina__io_request *request = rig_request_of(rig, a.act.fd, TINA__IO_SEND);
    assert_memory_equal(request->data, "first", 5);
    assert_int_equal(rig_stats(rig, 0).ops.used, 1);
    rig_end(rig);
}

static tina_effect make_too_many(rig_actor *me, tina_ctx *ctx)
{
    (void)me;
    tina_effect effect = {0};
    for (int i = 0; i <= TINA__STAGE_MAX; i++)
        effect = tina_call(ctx, b.self, TAG_A, NULL, 0, 0);
    return effect;
}

static void effect_made_past_the_stages_fails_as_a_call(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    rig_do(rig, &a, make_too_many);
    assert_int_equal(rig_saw_last(&a)->tag, TINA_TAG_CALL_FAILED);
    assert_int_equal(rig_saw_last(&a)->status, TINA_POOL_EXHAUSTED);
    rig_end(rig);
}

/* ---- Not of this call ------------------------------------------------------------------------------ */

static tina_effect kept;

static tina_effect keep_effect(rig_actor *me, tina_ctx *ctx)
{
    switch (me->act.reason) {
    case 0: kept = tina_call(ctx, b.self, TAG_A, NULL, 0, 0); break;
    case 1: kept = tina_io_send(ctx, me->act.fd, "hello", 5); break;
    default: kept = tina_reply(ctx, TAG_A, NULL, 0); break;
    }
    return tina_receive();
}

static tina_effect return_kept(rig_actor *me, tina_ctx *ctx)
{
    tina_effect old = kept;
    (void)keep_effect(me, ctx); /* its stage and its operation are another's now */
    return old;
}

static void effect_of_an_earlier_call_crashes_its_isolate_alone(void **unused)
{
    (void)unused;
    for (uint8_t kind = 0; kind < 3; kind++) {
        rig_system *rig = start();
        a.act.fd = rig_socket(rig, &a);
        a.act.reason = kind;
        rig_do(rig, &a, keep_effect);
        assert_int_equal(rig_stats(rig, 0).ops.used, 0);
        rig_do(rig, &a, return_kept);
        assert_int_equal(rig_stats(rig, 0).crashes, 1);
        assert_int_equal(rig_stats(rig, 0).isolates, 1);
        assert_non_null(strstr(rig->log, "another handler call"));
        assert_int_equal(b.seen_count, 0);
        assert_int_equal(rig_send(rig, &b, b.self, TAG_A, 0), TINA_OK);
        assert_int_equal(b.seen_count, 1);
        rig_end(rig);
    }
}

static tina_effect return_nothing(rig_actor *me, tina_ctx *ctx)
{
    (void)ctx;
    return (tina_effect){.kind = me->act.reason};
}

static void effect_that_is_none_crashes_its_isolate(void **unused)
{
    (void)unused;
    static const uint8_t kinds[] = {0, 100, 255};
    for (size_t i = 0; i < sizeof kinds; i++) {
        rig_system *rig = start();
        a.act.reason = kinds[i];
        rig_do(rig, &a, return_nothing);
        assert_int_equal(rig_stats(rig, 0).crashes, 1);
        assert_int_equal(rig_stats(rig, 0).isolates, 1);
        assert_non_null(strstr(rig->log, "no effect"));
        rig_end(rig);
    }
}

/* ---- Messages begun ---------------------------------------------------------------------------------- */

static tina_effect begin_and_commit(rig_actor *me, tina_ctx *ctx)
{
    uint64_t *payload;
    uint64_t *second;
    tina_send_commit(ctx); /* none is open */
    assert_int_equal(tina_send_begin(ctx, me->act.to, TAG_A, 8, (void **)&payload), TINA_OK);
    assert_int_equal((uintptr_t)payload % 16, 0);
    assert_int_equal(tina_send_begin(ctx, me->act.to, TAG_A, 8, (void **)&second), TINA_BUSY);
    *payload = 5;
    tina_send_commit(ctx);
    tina_send_commit(ctx);
    assert_int_equal(tina_send_begin(ctx, me->act.to, TAG_B, 8, (void **)&payload), TINA_OK);
    *payload = 6;
    tina_send_commit(ctx);
    return tina_receive();
}

static void send_begun_and_committed_arrives(void **unused)
{
    (void)unused;
    for (int remote = 0; remote < 2; remote++) {
        rig_system *rig = start();
        const rig_actor *to = remote ? &c : &b;
        a.act.to = to->self;
        rig_do(rig, &a, begin_and_commit);
        assert_int_equal(to->seen_count, 2);
        assert_int_equal(rig_saw(to, 0)->value, 5);
        assert_int_equal(rig_saw(to, 1)->value, 6);
        assert_int_equal(rig_saw(to, 1)->tag, TAG_B);
        assert_true(tina_handle_equal(rig_saw(to, 0)->source, a.self));
        rig_end(rig);
    }
}

/* act.call sends between the begin and, where act.is_true, the commit. */
static tina_effect begin_with_sends_between(rig_actor *me, tina_ctx *ctx)
{
    uint64_t *payload;
    uint64_t number = 0;
    assert_int_equal(tina_send(ctx, me->act.to, TAG_A, &number, 8), TINA_OK);
    assert_int_equal(tina_send_begin(ctx, me->act.to, TAG_B, 8, (void **)&payload), TINA_OK);
    for (number = 1; number <= me->act.call; number++)
        assert_int_equal(tina_send(ctx, me->act.to, TAG_A, &number, 8), TINA_OK);
    *payload = 99;
    if (me->act.is_true)
        tina_send_commit(ctx);
    assert_int_equal(tina_send(ctx, me->act.to, TAG_A, &number, 8), TINA_OK);
    return tina_receive();
}

static void send_begun_to_another_shard_keeps_its_place_among_others(void **unused)
{
    (void)unused;
    static const uint32_t between[] = {0, 3, TINA__PUBLISH_EVERY - 3, TINA__PUBLISH_EVERY, 2 * TINA__PUBLISH_EVERY};
    for (size_t i = 0; i < sizeof between / sizeof between[0]; i++) {
        for (int committed = 0; committed < 2; committed++) {
            rig_system *rig = start();
            a.act.to = c.self;
            a.act.call = between[i];
            a.act.is_true = committed;
            rig_do(rig, &a, begin_with_sends_between);
            assert_int_equal(c.seen_count, between[i] + 2 + (uint32_t)committed);
            uint32_t next = 0;
            for (uint32_t k = 0; k < c.seen_count; k++) {
                if (committed && k == 1)
                    assert_int_equal(rig_saw(&c, k)->value, 99);
                else
                    assert_int_equal(rig_saw(&c, k)->value, next++);
            }
            assert_int_equal(rig_stats(rig, 0).sent_remote, c.seen_count);
            assert_int_equal(rig_stats(rig, 1).received_remote, c.seen_count);
            rig_end(rig);
        }
    }
}

static tina_effect begin_and_forget(rig_actor *me, tina_ctx *ctx)
{
    void *payload;
    assert_int_equal(tina_send_begin(ctx, me->act.to, TAG_A, 96, &payload), TINA_OK);
    memset(payload, 0xEE, 96);
    return tina_receive();
}

static void send_begun_and_not_committed_never_happened(void **unused)
{
    (void)unused;
    for (int remote = 0; remote < 2; remote++) {
        rig_system *rig = start();
        const rig_actor *to = remote ? &c : &b;
        a.act.to = to->self;
        for (int i = 0; i < 1000; i++) /* more than the mailbox or the channel has room for */
            rig_do(rig, &a, begin_and_forget);
        assert_int_equal(to->seen_count, 0);
        assert_int_equal(rig_total(rig).messages.used, 0);
        assert_int_equal(rig_send(rig, &a, to->self, TAG_B, 1), TINA_OK);
        assert_int_equal(to->seen_count, 1);
        rig_end(rig);
    }
}

/* ---- Operations that there are not -------------------------------------------------------------- */

static void io_of_a_kind_that_is_no_operation_crashes_its_isolate_alone(void **unused)
{
    (void)unused;
    static const tina_tag kinds[] = {0x0101, 0x0112, TAG_A, 0xFF15, 0x0000, TINA_TAG_SHUTDOWN, 0x000F, 0x0020};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        rig_system *rig = start();
        tina_op op = {.kind = kinds[i], .fd = rig_socket(rig, &a)};
        rig_io(rig, &a, &op);
        assert_int_equal(a.seen_count, 0);
        assert_int_equal(rig_stats(rig, 0).crashes, 1);
        assert_int_equal(rig_stats(rig, 0).isolates, 1);
        assert_int_equal(rig_stats(rig, 0).ops.used, 0);
        assert_int_equal(rig_send(rig, &b, a.self, TAG_A, 0), TINA_STALE_HANDLE);
        assert_int_equal(rig_send(rig, &b, b.self, TAG_A, 0), TINA_OK);
        rig_end(rig);
    }
}

static tina_effect keep_io_status(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    (void)ctx;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    me->act.status = (tina_status)message->io.status;
    return tina_receive();
}

static void io_of_an_operation_that_is_not_known_is_invalid(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    tina_op op = {.kind = 0x1F, .fd = rig_socket(rig, &a)};
    a.on = keep_io_status;
    rig_io(rig, &a, &op);
    assert_int_equal(a.seen_count, 1);
    assert_int_equal(rig_saw_last(&a)->tag, 0x1F);
    assert_int_equal(a.act.status, TINA_INVALID);
    assert_int_equal(rig_stats(rig, 0).crashes, 0);
    rig_end(rig);
}

static tina_effect begin_and_crash(rig_actor *me, tina_ctx *ctx)
{
    (void)begin_and_forget(me, ctx);
    return tina_crash(1);
}

static void send_begun_to_oneself_and_dropped_by_a_crash_leaves_nothing(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    a.act.to = a.self;
    rig_do(rig, &a, begin_and_crash);
    assert_int_equal(rig_stats(rig, 0).messages.used, 0);
    rig_end(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(effect_that_is_not_returned_never_happened),
        cmocka_unit_test(effect_made_first_of_two_works_when_returned),
        cmocka_unit_test(effect_made_past_the_stages_fails_as_a_call),
        cmocka_unit_test(effect_of_an_earlier_call_crashes_its_isolate_alone),
        cmocka_unit_test(effect_that_is_none_crashes_its_isolate),
        cmocka_unit_test(send_begun_and_committed_arrives),
        cmocka_unit_test(send_begun_to_another_shard_keeps_its_place_among_others),
        cmocka_unit_test(send_begun_and_not_committed_never_happened),
        cmocka_unit_test(send_begun_to_oneself_and_dropped_by_a_crash_leaves_nothing),
        cmocka_unit_test(io_of_a_kind_that_is_no_operation_crashes_its_isolate_alone),
        cmocka_unit_test(io_of_an_operation_that_is_not_known_is_invalid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
