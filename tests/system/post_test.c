/* Messages from outside. */
/* ctest: label stress */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/witness.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

enum { TAG_NUMBER = TINA_TAG_USER, TAG_HOLD, POSTERS = 4 };

typedef struct witness {
    tina_test_count messages, disorder, odd, held, released;
    uint64_t next[POSTERS]; /* by poster; of the receiving shard */
} witness;

typedef struct number {
    uint32_t poster;
    uint64_t value;
} number;

static tina_effect counter_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size, (void)ctx;
    return tina_receive();
}

static tina_effect counter_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self;
    witness *seen = tina_user(ctx);
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (message->tag == TAG_HOLD) {
        tina_test_count_up(&seen->held);
        while (tina_test_counted(&seen->released) == 0)
            usleep(100);
        return tina_receive();
    }
    if (!tina_handle_is_none(message->source) || tina_is_call(message))
        tina_test_count_up(&seen->odd);
    number sent;
    memcpy(&sent, message->payload, sizeof sent);
    if (message->size == sizeof sent && sent.poster < POSTERS && sent.value != seen->next[sent.poster]++)
        tina_test_count_up(&seen->disorder);
    tina_test_count_up(&seen->messages);
    return tina_receive();
}

static const tina_type types[] = {
    {.name = "counter", .init = counter_init, .handler = counter_handle, .size = 16, .slot_count = 2},
};
static const tina_child children[] = {{.type = 0, .name = 1}};

static tina_system_spec make_spec(witness *seen)
{
    return (tina_system_spec){
        .types = types,
        .type_count = 1,
        .root = {.children = children, .child_count = 1},
        .shard_count = 2,
        .user = seen,
    };
}

/* ---- Several threads ---- */

typedef struct poster {
    pthread_t thread;
    tina_system *system;
    uint32_t index;
    uint64_t count;    /* to be accepted */
    uint64_t accepted; /* when it is over */
    uint64_t odd;      /* statuses that should not be */
} poster;

static void *post_all(void *argument)
{
    poster *me = argument;
    while (me->accepted < me->count) {
        number next = {.poster = me->index, .value = me->accepted};
        tina_status status = tina_post(me->system, tina_named(1, 1), TAG_NUMBER, &next, sizeof next);
        if (status == TINA_OK)
            me->accepted++;
        else if (status == TINA_CHANNEL_FULL)
            sched_yield();
        else
            break;
    }
    return NULL;
}

static void posts_from_several_threads_all_arrive_or_are_refused(void **state)
{
    (void)state;
    static witness seen;
    memset(&seen, 0, sizeof seen);
    const uint64_t each = tina_test_is_slow() ? 20000 : 200000;
    tina_system_spec spec = make_spec(&seen);
    tina_system *system = tina_test_start(&spec);
    poster posters[POSTERS];
    for (uint32_t i = 0; i < POSTERS; i++) {
        posters[i] = (poster){.system = system, .index = i, .count = each};
        assert_int_equal(pthread_create(&posters[i].thread, NULL, post_all, &posters[i]), 0);
    }
    for (uint32_t i = 0; i < POSTERS; i++) {
        assert_int_equal(pthread_join(posters[i].thread, NULL), 0);
        assert_int_equal(posters[i].accepted, each);
    }
    tina_end_report report;
    tina_test_end(system, &report);
    assert_int_equal(report.total.posted, POSTERS * each);
    assert_int_equal(tina_test_counted(&seen.messages), report.total.delivered);
    assert_int_equal(tina_test_counted(&seen.odd), 0);
    if (report.total.arrived_full == 0 && report.total.arrived_exhausted == 0)
        assert_int_equal(tina_test_counted(&seen.disorder), 0);
}

/* ---- Limits ---- */

static void inbox_at_its_limit_refuses_and_then_serves_again(void **state)
{
    (void)state;
    static witness seen;
    memset(&seen, 0, sizeof seen);
    tina_system_spec spec = make_spec(&seen);
    spec.inbox_capacity = 8;
    tina_system *system = tina_test_start(&spec);
    assert_int_equal(tina_post(system, tina_named(1, 1), TAG_HOLD, NULL, 0), TINA_OK);
    tina_test_await(&seen.held, 1);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(tina_post(system, tina_named(1, 1), TAG_NUMBER, NULL, 0), TINA_OK);
    assert_int_equal(tina_post(system, tina_named(1, 1), TAG_NUMBER, NULL, 0), TINA_CHANNEL_FULL);
    assert_int_equal(tina_post(system, tina_named(0, 1), TAG_NUMBER, NULL, 0), TINA_OK); /* the other shard's is its own */
    atomic_store(&seen.released, 1);
    tina_test_await(&seen.messages, 9);
    assert_int_equal(tina_post(system, tina_named(1, 1), TAG_NUMBER, NULL, 0), TINA_OK);
    tina_test_await(&seen.messages, 10);
    tina_test_end(system, NULL);
}

static void wrong_arguments_are_refused(void **state)
{
    (void)state;
    static witness seen;
    memset(&seen, 0, sizeof seen);
    uint8_t payload[TINA_PAYLOAD_MAX + 1] = {0};
    tina_system_spec spec = make_spec(&seen);
    tina_system *system = tina_test_start(&spec);
    tina_handle to = tina_named(0, 1);
    assert_int_equal(tina_post(system, to, TINA_TAG_USER - 1, NULL, 0), TINA_INVALID);
    assert_int_equal(tina_post(system, to, TINA_TAG_SHUTDOWN, NULL, 0), TINA_INVALID);
    assert_int_equal(tina_post(system, to, TAG_NUMBER, payload, TINA_PAYLOAD_MAX + 1), TINA_INVALID);
    assert_int_equal(tina_post(system, to, TAG_NUMBER, NULL, 1), TINA_INVALID);
    assert_int_equal(tina_post(system, tina_named(2, 1), TAG_NUMBER, NULL, 0), TINA_INVALID);
    assert_int_equal(tina_post(system, tina_named(255, 1), TAG_NUMBER, NULL, 0), TINA_INVALID);
    assert_int_equal(tina_post(system, to, TAG_NUMBER, payload, TINA_PAYLOAD_MAX), TINA_OK);
    tina_test_await(&seen.messages, 1);
    tina_end_report report;
    tina_test_end(system, &report);
    assert_int_equal(report.total.posted, 1);
    assert_int_equal(report.total.delivered, 1);
}

static void post_after_the_stop_is_refused(void **state)
{
    (void)state;
    static witness seen;
    memset(&seen, 0, sizeof seen);
    tina_system_spec spec = make_spec(&seen);
    tina_system *system = tina_test_start(&spec);
    tina_stop(system);
    assert_int_equal(tina_post(system, tina_named(0, 1), TAG_NUMBER, NULL, 0), TINA_STOPPING);
    tina_end_report report;
    tina_test_join(system, &report);
    assert_int_equal(report.total.posted, 0);
}

/* ---- Handles that nobody gave out ---- */

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void random_handles_by_the_million_do_no_harm(void **state)
{
    (void)state;
    static witness seen;
    memset(&seen, 0, sizeof seen);
    const uint64_t count = tina_test_is_slow() ? 100000 : 2000000;
    uint64_t random = 20;
    tina_system_spec spec = make_spec(&seen);
    tina_system *system = tina_test_start(&spec);
    uint64_t accepted = 0;
    for (uint64_t i = 0; i < count; i++) {
        tina_handle to = {.bits = next_random(&random)};
        switch (i % 4) {
        case 0: break;                                                           /* anything */
        case 1: to.bits &= ~(0xFEull << 56); break;                              /* a shard that exists */
        case 2: to.bits &= ~(0xFEull << 56 | 0xFFull << 48); break;              /* its only type */
        default: to.bits &= ~(0xFEull << 56 | 0xFFull << 48 | 0xFFFFEull << 28); /* and a slot that it has */
        }
        tina_status status = tina_post(system, to, TAG_NUMBER, NULL, 0);
        if (status == TINA_OK)
            accepted++;
        else if (status == TINA_CHANNEL_FULL)
            sched_yield();
        else
            assert_int_equal(status, TINA_INVALID);
    }
    assert_true(accepted > count / 100);
    tina_test_await_that(tina_post(system, tina_named(0, 1), TAG_NUMBER, NULL, 0) == TINA_OK);
    tina_end_report report;
    tina_test_end(system, &report);
    assert_int_equal(report.total.posted, accepted + 1);
    assert_int_equal(report.total.crashes, 0);
    assert_true(report.total.arrived_stale > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(posts_from_several_threads_all_arrive_or_are_refused),
        cmocka_unit_test(inbox_at_its_limit_refuses_and_then_serves_again),
        cmocka_unit_test(wrong_arguments_are_refused),
        cmocka_unit_test(post_after_the_stop_is_refused),
        cmocka_unit_test(random_handles_by_the_million_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
