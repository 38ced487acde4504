/* Threads that post to, stop, revive and look at a system while the program steps it: nothing is lost, and every wait ends. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/own_loop.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>

enum { NAME_COUNTER = 1, TAG_NUMBER = TINA_TAG_USER, POSTERS = 4 };

typedef struct witness {
    tina_test_count messages, disorder;
    uint64_t next[POSTERS]; /* by poster; the stepping thread's */
} witness;

typedef struct number {
    uint32_t poster;
    uint64_t value;
} number;

static witness seen;
static uint8_t backend;

static tina_effect counter_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size, (void)ctx;
    return tina_receive();
}

static tina_effect counter_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self, (void)ctx;
    number sent;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    memcpy(&sent, message->payload, sizeof sent);
    if (sent.value != seen.next[sent.poster]++)
        tina_test_count_up(&seen.disorder);
    tina_test_count_up(&seen.messages);
    return tina_receive();
}

static const tina_type types[] = {
    {.name = "counter", .init = counter_init, .handler = counter_handle, .size = 16, .mailbox_capacity = 4096},
};
static const tina_child children[] = {{.type = 0, .name = NAME_COUNTER}};

static tina_test_loop start(void)
{
    memset(&seen, 0, sizeof seen);
    tina_system_spec spec = {
        .types = types,
        .type_count = 1,
        .root = {.children = children, .child_count = 1},
        .external = true,
        .backend = backend,
        .message_count = 8192,
        .inbox_capacity = 64,
        .fd_count = TINA_NONE,
    };
    return (tina_test_loop){.system = tina_test_start(&spec)};
}

/* ---- Posting ---- */

typedef struct poster {
    pthread_t thread;
    tina_system *system;
    uint32_t index;
    uint64_t count, accepted;
    bool is_polite; /* one message at a time: each finds the shard at rest, or about to rest */
} poster;

static void *post_all(void *argument)
{
    poster *me = argument;
    while (me->accepted < me->count) {
        number next = {.poster = me->index, .value = me->accepted};
        tina_status status = tina_post(me->system, tina_named(0, NAME_COUNTER), TAG_NUMBER, &next, sizeof next);
        if (status == TINA_OK)
            me->accepted++;
        else if (status == TINA_CHANNEL_FULL)
            sched_yield();
        else
            break;
        if (me->is_polite && status == TINA_OK && !tina_test_awaits(&seen.messages, me->accepted))
            break;
        tina_stats stats;
        tina_ignore(tina_shard_stats(me->system, 0, &stats));
    }
    return NULL;
}

static void post_from(uint32_t poster_count, uint64_t each, bool is_polite)
{
    tina_test_loop loop = start();
    poster posters[POSTERS];
    for (uint32_t i = 0; i < poster_count; i++) {
        posters[i] = (poster){.system = loop.system, .index = i, .count = each, .is_polite = is_polite};
        assert_int_equal(pthread_create(&posters[i].thread, NULL, post_all, &posters[i]), 0);
    }
    tina_test_loop_until(&loop, &seen.messages, poster_count * each);
    for (uint32_t i = 0; i < poster_count; i++) {
        assert_int_equal(pthread_join(posters[i].thread, NULL), 0);
        assert_int_equal(posters[i].accepted, each);
    }
    tina_end_report report;
    tina_test_loop_end(&loop, &report);
    assert_int_equal(report.total.posted, poster_count * each);
    assert_int_equal(report.total.delivered, poster_count * each);
    assert_int_equal(tina_test_counted(&seen.disorder), 0);
}

static void posts_of_four_threads_all_arrive_in_order(void **state)
{
    (void)state;
    post_from(POSTERS, tina_test_is_slow() ? 20000 : 100000, false);
}

static void one_post_at_a_time_always_wakes(void **state)
{
    (void)state;
    post_from(1, tina_test_is_slow() ? 500 : 2000, true);
}

/* ---- Revivals and the stop ---- */

typedef struct meddler {
    pthread_t thread;
    tina_system *system;
    tina_test_count *ended;
} meddler;

static void *meddle(void *argument)
{
    meddler *me = argument;
    for (unsigned i = 0; i < 200; i++) {
        uint64_t deadline_ns;
        tina_ignore(tina_revive(me->system));
        (void)tina_pollfd(me->system, &deadline_ns);
        sched_yield();
    }
    tina_stop(me->system);
    tina_test_count_up(me->ended);
    return NULL;
}

static void a_stop_from_anywhere_ends_the_loop(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 50; round++) {
        tina_test_count ended = 0;
        tina_test_loop loop = start();
        meddler meddlers[POSTERS];
        for (unsigned i = 0; i < POSTERS; i++) {
            meddlers[i] = (meddler){.system = loop.system, .ended = &ended};
            assert_int_equal(pthread_create(&meddlers[i].thread, NULL, meddle, &meddlers[i]), 0);
        }
        tina_test_loop_run_out(&loop);
        for (unsigned i = 0; i < POSTERS; i++)
            assert_int_equal(pthread_join(meddlers[i].thread, NULL), 0);
        assert_int_equal(tina_test_counted(&ended), POSTERS);
        tina_test_join(loop.system, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(posts_of_four_threads_all_arrive_in_order),
        cmocka_unit_test(one_post_at_a_time_always_wakes),
        cmocka_unit_test(a_stop_from_anywhere_ends_the_loop),
    };
    return tina_test_on_each_backend(&backend, tests, sizeof tests / sizeof tests[0]);
}
