/* Systems that come and go while threads post to them, stop them, and flood their logs. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/witness.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>

enum { TAG_ITEM = TINA_TAG_USER, TAG_FLOOD, POSTERS = 3 };

typedef struct witness {
    tina_test_count received, logged, lines, levels, done;
    uint64_t to_log;
} witness;

static tina_effect member_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size, (void)ctx;
    return tina_receive();
}

static tina_effect member_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self;
    witness *seen = tina_user(ctx);
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    tina_test_count_up(&seen->received);
    uint64_t dice = tina_random(ctx);
    tina_ignore(tina_send(ctx, tina_named((uint8_t)(dice % tina_shard_count(ctx)), 1), TAG_ITEM, NULL, 0));
    return dice % 50 == 0 ? tina_crash(1) : tina_receive();
}

static const tina_type types[] = {
    {.name = "member", .init = member_init, .handler = member_handle, .size = 16, .slot_count = 2, .mailbox_capacity = 16},
};
static const tina_child children[] = {{.type = 0, .name = 1}};

static tina_system_spec make_spec(witness *seen)
{
    return (tina_system_spec){
        .types = types,
        .type_count = 1,
        .root = {.children = children, .child_count = 1, .restart_max = 65535, .window_ns = 1000000},
        .shard_count = 2,
        .inbox_capacity = 16,
        .development = true,
        .user = seen,
    };
}

/* ---- Posting until it ends ---- */

typedef struct poster {
    pthread_t thread;
    tina_system *system;
    tina_test_count *started;
    uint64_t accepted, odd;
} poster;

static void *post_until_it_stops(void *argument)
{
    poster *me = argument;
    tina_test_count_up(me->started);
    for (uint64_t i = 0;; i++) {
        tina_status status = tina_post(me->system, tina_named((uint8_t)(i % 2), 1), TAG_ITEM, &i, sizeof i);
        if (status == TINA_OK)
            me->accepted++;
        else if (status == TINA_CHANNEL_FULL)
            sched_yield();
        else if (status == TINA_STOPPING || status == TINA_SHARD_DOWN)
            return NULL;
        else
            me->odd++;
    }
}

static void posts_that_race_the_end_are_counted_or_refused(void **state)
{
    (void)state;
    const unsigned rounds = tina_test_is_slow() ? 50 : 300;
    for (unsigned round = 0; round < rounds; round++) {
        witness seen = {0};
        tina_test_count started = 0;
        tina_system_spec spec = make_spec(&seen);
        tina_system *system = tina_test_start(&spec);
        poster posters[POSTERS];
        for (unsigned i = 0; i < POSTERS; i++) {
            posters[i] = (poster){.system = system, .started = &started};
            assert_int_equal(pthread_create(&posters[i].thread, NULL, post_until_it_stops, &posters[i]), 0);
        }
        tina_test_await(&started, 1 + round % POSTERS);
        if (round % 2 == 0)
            tina_test_await(&seen.received, 100);
        tina_stop(system);
        uint64_t accepted = 0;
        for (unsigned i = 0; i < POSTERS; i++) {
            assert_int_equal(pthread_join(posters[i].thread, NULL), 0);
            accepted += posters[i].accepted;
            assert_int_equal(posters[i].odd, 0);
        }
        tina_end_report report;
        tina_test_join(system, &report);
        assert_int_equal(report.total.posted, accepted);
    }
}

/* ---- Many that stop at once ---- */

typedef struct stopper {
    pthread_t thread;
    tina_system *system;
    tina_test_count *go;
} stopper;

static void *stop_when_told(void *argument)
{
    stopper *me = argument;
    while (tina_test_counted(me->go) == 0)
        sched_yield();
    tina_stop(me->system);
    return NULL;
}

static void stops_from_several_threads_at_once_are_one(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 50; round++) {
        witness seen = {0};
        tina_test_count go = 0;
        tina_system_spec spec = make_spec(&seen);
        tina_system *system = tina_test_start(&spec);
        stopper stoppers[POSTERS];
        for (unsigned i = 0; i < POSTERS; i++) {
            stoppers[i] = (stopper){.system = system, .go = &go};
            assert_int_equal(pthread_create(&stoppers[i].thread, NULL, stop_when_told, &stoppers[i]), 0);
        }
        assert_int_equal(tina_post(system, tina_named(0, 1), TAG_ITEM, NULL, 0), TINA_OK);
        tina_test_count_up(&go);
        for (unsigned i = 0; i < POSTERS; i++)
            assert_int_equal(pthread_join(stoppers[i].thread, NULL), 0);
        tina_test_join(system, NULL);
    }
}

/* Systems come and go on several threads; each judges its own by what it returns. */
typedef struct owner {
    pthread_t thread;
    unsigned rounds;
    uint64_t wrong;
} owner;

static void *start_and_end(void *argument)
{
    owner *me = argument;
    for (unsigned round = 0; round < me->rounds; round++) {
        witness seen = {0};
        tina_system_spec spec = make_spec(&seen);
        /* liburing maps its rings past the thread sanitizer's eyes: it takes two threads' rings, one after the
         * other at one address, for one. */
        spec.backend = tina_test_is_slow() ? TINA_BACKEND_EPOLL : TINA_BACKEND_AUTO;
        spec.signals = round % 2 == 0 ? TINA_SIGNALS_ALL : TINA_SIGNALS_AUTO;
        tina_system *system;
        if (tina_start(&spec, &system, NULL) != TINA_OK) {
            me->wrong++;
            continue;
        }
        me->wrong += tina_post(system, tina_named(1, 1), TAG_ITEM, NULL, 0) != TINA_OK;
        tina_stop(system);
        tina_end_report report;
        me->wrong += tina_join(system, &report) != TINA_OK;
        me->wrong += report.total.posted != 1;
    }
    return NULL;
}

static void systems_come_and_go_on_several_threads(void **state)
{
    (void)state;
    owner owners[POSTERS];
    for (unsigned i = 0; i < POSTERS; i++) {
        owners[i] = (owner){.rounds = tina_test_is_slow() ? 20 : 100};
        assert_int_equal(pthread_create(&owners[i].thread, NULL, start_and_end, &owners[i]), 0);
    }
    for (unsigned i = 0; i < POSTERS; i++) {
        assert_int_equal(pthread_join(owners[i].thread, NULL), 0);
        assert_int_equal(owners[i].wrong, 0);
    }
}

/* ---- A flood of lines ---- */

static void take_line(void *user, int shard, tina_level level, const char *line, size_t length)
{
    witness *seen = user;
    (void)shard;
    tina_test_count_up(&seen->lines);
    if (level != TINA_LOG_DEBUG || length != strlen("flooder/0: line 00000000 of many") || line[0] != 'f')
        tina_test_count_up(&seen->levels);
}

static tina_effect flooder_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size, (void)ctx;
    return tina_yield();
}

static tina_effect flooder_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    uint64_t *count = self;
    witness *seen = tina_user(ctx);
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    for (unsigned i = 0; i < 64 && *count < seen->to_log; i++)
        tina_log(ctx, TINA_LOG_DEBUG, "line %08llu of many", (unsigned long long)(*count)++);
    if (*count < seen->to_log)
        return tina_yield();
    tina_test_count_up(&seen->done);
    return tina_receive();
}

static void flood_of_lines_is_taken_or_counted(void **state)
{
    (void)state;
    const tina_type flooders[] = {
        {.name = "flooder", .init = flooder_init, .handler = flooder_handle, .size = sizeof(uint64_t)},
    };
    witness seen = {.to_log = tina_test_is_slow() ? 20000 : 200000};
    tina_system_spec spec = make_spec(&seen);
    spec.types = flooders;
    spec.log_sink = take_line;
    spec.log_user = &seen;
    spec.log_size = 4096;
    tina_system *system = tina_test_start(&spec);
    tina_test_await(&seen.done, 2);
    tina_end_report report;
    tina_test_end(system, &report);
    assert_int_equal(tina_test_counted(&seen.lines) + report.total.log_dropped, 2 * seen.to_log);
    assert_int_equal(tina_test_counted(&seen.levels), 0);
}

/* ---- Counters that are read all the while ---- */

static void counters_read_by_another_thread_only_grow(void **state)
{
    (void)state;
    witness seen = {0};
    tina_system_spec spec = make_spec(&seen);
    tina_system *system = tina_test_start(&spec);
    uint64_t goal = tina_test_is_slow() ? 20000 : 200000;
    uint64_t delivered[2] = {0, 0}, dispatches[2] = {0, 0};
    for (uint64_t i = 0; tina_test_counted(&seen.received) < goal; i++) {
        uint8_t shard = i % 2;
        tina_stats stats = tina_test_stats(system, shard);
        assert_true(stats.delivered >= delivered[shard]);
        assert_true(stats.dispatches >= dispatches[shard]);
        assert_true(stats.messages.used <= stats.messages.limit);
        delivered[shard] = stats.delivered;
        dispatches[shard] = stats.dispatches;
        tina_ignore(tina_post(system, tina_named(shard, 1), TAG_ITEM, NULL, 0));
    }
    tina_test_end(system, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(posts_that_race_the_end_are_counted_or_refused),
        cmocka_unit_test(stops_from_several_threads_at_once_are_one),
        cmocka_unit_test(systems_come_and_go_on_several_threads),
        cmocka_unit_test(flood_of_lines_is_taken_or_counted),
        cmocka_unit_test(counters_read_by_another_thread_only_grow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
