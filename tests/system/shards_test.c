/* Shards and the channels between them: order, counts, calls both ways, sleep and wake, idleness. */
/* ctest: label stress */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/witness.h"

#include <sched.h>
#include <string.h>
#include <time.h>

enum { TAG_ITEM = TINA_TAG_USER, TAG_START, TAG_TOKEN, TAG_QUESTION, TAG_ANSWER, SHARDS_MAX = 4 };

typedef struct witness {
    uint64_t goal; /* set before the start */
    tina_test_count sent[SHARDS_MAX], refused[SHARDS_MAX], received[SHARDS_MAX], disorder[SHARDS_MAX];
    tina_test_count failed, done;
} witness;

static witness *fresh(uint64_t goal)
{
    static witness seen;
    memset(&seen, 0, sizeof seen);
    seen.goal = tina_test_is_slow() ? goal / 10 : goal;
    return &seen;
}

static tina_effect waiting_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size, (void)ctx;
    return tina_receive();
}

/* ---- A stream from each shard to the next ---- */

typedef struct source {
    uint64_t next;
} source;

static tina_effect source_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size, (void)ctx;
    return tina_yield();
}

static tina_effect source_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    source *me = self;
    witness *seen = tina_user(ctx);
    uint8_t shard = tina_shard(ctx);
    tina_handle to = tina_named((uint8_t)((shard + 1) % tina_shard_count(ctx)), 1);
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    while (me->next < seen->goal) {
        tina_status status = tina_send(ctx, to, TAG_ITEM, &me->next, sizeof me->next);
        if (status != TINA_OK) {
            tina_test_count_up(status == TINA_CHANNEL_FULL ? &seen->refused[shard] : &seen->failed);
            return tina_yield();
        }
        me->next++;
    }
    atomic_store(&seen->sent[shard], me->next);
    tina_test_count_up(&seen->done);
    return tina_receive();
}

typedef struct sink {
    uint64_t next;
} sink;

static tina_effect sink_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    sink *me = self;
    witness *seen = tina_user(ctx);
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    uint64_t value;
    memcpy(&value, message->payload, sizeof value);
    if (value != me->next++)
        tina_test_count_up(&seen->disorder[tina_shard(ctx)]);
    atomic_store_explicit(&seen->received[tina_shard(ctx)], me->next, memory_order_release);
    return tina_receive();
}

/* Returns how often a channel was full. */
static uint64_t stream(size_t shards, uint32_t channel, uint32_t mailbox, uint64_t goal)
{
    witness *seen = fresh(goal);
    const tina_type types[] = {
        {.name = "sink", .init = waiting_init, .handler = sink_handle, .size = sizeof(sink), .mailbox_capacity = mailbox},
        {.name = "source", .init = source_init, .handler = source_handle, .size = sizeof(source)},
    };
    static const tina_child children[] = {{.type = 0, .name = 1}, {.type = 1}};
    tina_system_spec spec = {
        .types = types,
        .type_count = 2,
        .root = {.children = children, .child_count = 2},
        .shard_count = shards,
        .channel_capacity = channel,
        .message_count = 2048,
        .user = seen,
    };
    tina_system *system = tina_test_start(&spec);
    tina_test_await(&seen->done, shards);
    for (size_t i = 0; i < shards; i++)
        tina_test_await(&seen->received[i], seen->goal);
    tina_end_report report;
    tina_test_end(system, &report);
    assert_int_equal(tina_test_counted(&seen->failed), 0);
    uint64_t refused = 0;
    for (size_t i = 0; i < shards; i++) {
        assert_int_equal(tina_test_counted(&seen->disorder[i]), 0);
        assert_int_equal(tina_test_counted(&seen->received[i]), seen->goal);
        refused += tina_test_counted(&seen->refused[i]);
    }
    assert_int_equal(report.total.sent_remote, shards * seen->goal);
    assert_int_equal(report.total.received_remote, shards * seen->goal);
    assert_int_equal(report.total.channel_full, refused);
    assert_int_equal(report.total.arrived_full, 0);
    assert_int_equal(report.total.arrived_exhausted, 0);
    return refused;
}

static void stream_as_fast_as_it_can_arrives_whole_and_in_order(void **state)
{
    (void)state;
    stream(2, 1024, 0, 1000000);
}

static void stream_through_the_narrowest_places_arrives_whole_and_in_order(void **state)
{
    (void)state;
    stream(2, 2, 1, 50000);
    stream(2, 64, 4, 200000);
}

static void streams_around_more_shards_than_cores_arrive_whole_and_in_order(void **state)
{
    (void)state;
    stream(4, 256, 0, 200000);
}

/* Who finds the channel full lets the one run who can empty it: each does what it can, and neither uses up the core's time. */
static void streams_on_one_core_take_turns(void **state)
{
    (void)state;
    enum { GOAL = 50000 };
    cpu_set_t before, one;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    CPU_ZERO(&one);
    size_t core = 0;
    while (!CPU_ISSET(core, &before))
        core++;
    CPU_SET(core, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    uint64_t refused = stream(2, 16, 0, GOAL);
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
    assert_true(refused < 2 * GOAL);
}

/* ---- Tokens around a ring ---- */

static tina_effect station_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self;
    witness *seen = tina_user(ctx);
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    uint64_t hops;
    memcpy(&hops, message->payload, sizeof hops);
    tina_test_count_up(&seen->received[tina_shard(ctx)]);
    if (++hops == seen->goal) {
        tina_test_count_up(&seen->done);
        return tina_receive();
    }
    tina_handle next = tina_named((uint8_t)((tina_shard(ctx) + 1) % tina_shard_count(ctx)), 1);
    if (tina_send(ctx, next, TAG_TOKEN, &hops, sizeof hops) != TINA_OK)
        tina_test_count_up(&seen->failed);
    return tina_receive();
}

static void pass_tokens(size_t shards, uint64_t tokens, uint64_t hops, uint64_t spin_ns, uint8_t backend)
{
    witness *seen = fresh(hops);
    const tina_type types[] = {{.name = "station", .init = waiting_init, .handler = station_handle, .size = 8}};
    static const tina_child children[] = {{.type = 0, .name = 1}};
    tina_system_spec spec = {
        .types = types,
        .type_count = 1,
        .root = {.children = children, .child_count = 1},
        .shard_count = shards,
        .channel_capacity = 64,
        .inbox_capacity = 64,
        .spin_ns = spin_ns,
        .backend = backend,
        .user = seen,
    };
    tina_system *system = tina_test_start(&spec);
    uint64_t none = 0;
    for (uint64_t i = 0; i < tokens; i++)
        assert_int_equal(tina_post(system, tina_named((uint8_t)(i % shards), 1), TAG_TOKEN, &none, sizeof none), TINA_OK);
    tina_test_await(&seen->done, tokens);
    tina_end_report report;
    tina_test_end(system, &report);
    assert_int_equal(tina_test_counted(&seen->failed), 0);
    assert_int_equal(report.total.delivered, tokens * seen->goal);
    assert_int_equal(report.total.received_remote, tokens * (seen->goal - 1));
}

static void tokens_around_four_shards_all_come_round(void **state)
{
    (void)state;
    pass_tokens(4, 16, 20000, 0, TINA_BACKEND_AUTO);
}

static void sleeping_shards_are_woken_every_time(void **state)
{
    (void)state;
    uint8_t backends[2];
    size_t count = tina_test_backends(backends);
    for (size_t i = 0; i < count; i++)
        pass_tokens(2, 1, 20000, TINA_NONE_NS, backends[i]); /* 10,000 round trips, two wakes each */
}

/* ---- Calls both ways at once ---- */

enum { WINDOW = 32 };

typedef struct partner {
    uint64_t asked, answered;
    uint32_t open_count;
    uint32_t calls[WINDOW];
    uint64_t questions[WINDOW]; /* what calls[i] asked; UINT64_MAX: the place is free */
} partner;

static tina_effect partner_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)args, (void)args_size, (void)ctx;
    partner *me = self;
    for (unsigned i = 0; i < WINDOW; i++)
        me->questions[i] = UINT64_MAX;
    return tina_yield();
}

static tina_effect ask(partner *me, tina_ctx *ctx)
{
    witness *seen = tina_user(ctx);
    tina_handle to = tina_named((uint8_t)(1 - tina_shard(ctx)), 1);
    for (unsigned i = 0; i < WINDOW && me->asked < seen->goal; i++) {
        if (me->questions[i] != UINT64_MAX)
            continue;
        tina_status status =
            tina_call_start(ctx, to, TAG_QUESTION, &me->asked, sizeof me->asked, 600000000000u, &me->calls[i]);
        if (status != TINA_OK) {
            tina_test_count_up(status == TINA_CHANNEL_FULL ? &seen->refused[tina_shard(ctx)] : &seen->failed);
            return me->open_count == 0 ? tina_yield() : tina_receive();
        }
        me->questions[i] = me->asked++;
        me->open_count++;
    }
    return tina_receive();
}

static void take_answer(partner *me, const tina_message *message, witness *seen)
{
    uint64_t answer;
    memcpy(&answer, message->payload, sizeof answer);
    for (unsigned i = 0; i < WINDOW; i++) {
        if (me->questions[i] == UINT64_MAX || me->calls[i] != message->correlation)
            continue;
        if (answer != ~me->questions[i])
            tina_test_count_up(&seen->failed);
        me->questions[i] = UINT64_MAX;
        me->open_count--;
        if (++me->answered == seen->goal)
            tina_test_count_up(&seen->done);
        return;
    }
    tina_test_count_up(&seen->failed);
}

static tina_effect partner_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    partner *me = self;
    witness *seen = tina_user(ctx);
    switch (message->tag) {
    case TINA_TAG_SHUTDOWN: return tina_done();
    case TAG_QUESTION: {
        uint64_t question;
        memcpy(&question, message->payload, sizeof question);
        question = ~question;
        return tina_reply(ctx, TAG_ANSWER, &question, sizeof question);
    }
    case TAG_ANSWER: take_answer(me, message, seen); break;
    case TINA_TAG_CALL_FAILED: tina_test_count_up(&seen->failed); break;
    default: break;
    }
    return ask(me, ctx);
}

static void calls_both_ways_at_once_are_all_answered(void **state)
{
    (void)state;
    witness *seen = fresh(500000);
    const tina_type types[] = {
        {.name = "partner", .init = partner_init, .handler = partner_handle, .size = sizeof(partner)},
    };
    static const tina_child children[] = {{.type = 0, .name = 1}};
    tina_system_spec spec = {
        .types = types,
        .type_count = 1,
        .root = {.children = children, .child_count = 1},
        .shard_count = 2,
        .timer_count = 1024,
        .channel_capacity = 24, /* less than the window: some are refused */
        .message_count = 1024,
        .user = seen,
    };
    tina_system *system = tina_test_start(&spec);
    tina_test_await(&seen->done, 2);
    tina_end_report report;
    tina_test_end(system, &report);
    assert_int_equal(tina_test_counted(&seen->failed), 0);
    assert_int_equal(report.total.calls, 2 * seen->goal);
    assert_int_equal(report.total.replies, 2 * seen->goal);
    assert_int_equal(report.total.replies_late, 0);
    assert_int_equal(report.total.crashes, 0);
}

/* Parked in a call to one that serves: a million in all, one at a time. */
typedef struct caller {
    uint64_t done;
} caller;

static tina_effect call_next(caller *me, tina_ctx *ctx)
{
    return tina_call(ctx, tina_named((uint8_t)(1 - tina_shard(ctx)), 1), TAG_QUESTION, &me->done, sizeof me->done,
                     600000000000u);
}

static tina_effect caller_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)args, (void)args_size;
    return call_next(self, ctx);
}

static tina_effect caller_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    caller *me = self;
    witness *seen = tina_user(ctx);
    uint64_t answer;
    switch (message->tag) {
    case TINA_TAG_SHUTDOWN: return tina_done();
    case TAG_ANSWER:
        memcpy(&answer, message->payload, sizeof answer);
        if (answer != ~me->done)
            tina_test_count_up(&seen->failed);
        me->done++;
        break;
    default: tina_test_count_up(&seen->refused[tina_shard(ctx)]); break;
    }
    if (me->done < seen->goal)
        return call_next(me, ctx);
    tina_test_count_up(&seen->done);
    return tina_receive();
}

static void parked_calls_both_ways_never_lock(void **state)
{
    (void)state;
    witness *seen = fresh(tina_test_is_slow() ? 1000 : 5000);
    const tina_type types[] = {
        {.name = "server", .init = waiting_init, .handler = partner_handle, .size = sizeof(partner)},
        {.name = "caller", .init = caller_init, .handler = caller_handle, .size = sizeof(caller), .slot_count = 8},
    };
    static const tina_child children[] = {{.type = 0, .name = 1},
                                          {.type = 1},
                                          {.type = 1},
                                          {.type = 1},
                                          {.type = 1},
                                          {.type = 1},
                                          {.type = 1},
                                          {.type = 1},
                                          {.type = 1}};
    tina_system_spec spec = {
        .types = types,
        .type_count = 2,
        .root = {.children = children, .child_count = 9},
        .shard_count = 2,
        .timer_count = 64,
        .channel_capacity = 4, /* fewer than callers */
        .message_count = 64,
        .user = seen,
    };
    tina_system *system = tina_test_start(&spec);
    tina_test_await(&seen->done, 16);
    tina_end_report report;
    tina_test_end(system, &report);
    assert_int_equal(tina_test_counted(&seen->failed), 0);
    assert_true(report.total.replies >= 16 * seen->goal);
}

/* ---- Crashes under traffic ---- */

typedef struct unruly {
    uint64_t handled;
} unruly;

enum { UNRULY_COUNT = 6 };

static void send_somewhere(tina_ctx *ctx, unsigned copies)
{
    witness *seen = tina_user(ctx);
    for (unsigned i = 0; i < copies; i++) {
        uint64_t dice = tina_random(ctx);
        tina_handle to = tina_named((uint8_t)(dice % tina_shard_count(ctx)), (uint16_t)(1 + (dice >> 8) % UNRULY_COUNT));
        if (tina_send(ctx, to, TAG_ITEM, &dice, sizeof dice) == TINA_OK)
            tina_test_count_up(&seen->sent[tina_shard(ctx)]);
        else
            tina_test_count_up(&seen->refused[tina_shard(ctx)]);
    }
}

static tina_effect unruly_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size;
    /* Traffic never dies out: each new life sends, and a timer does. */
    if (tina_timer_repeat(ctx, 200000, TINA_TAG_TIMER, NULL) != TINA_OK)
        tina_test_count_up(&((witness *)tina_user(ctx))->failed);
    send_somewhere(ctx, 2);
    return tina_receive();
}

static tina_effect unruly_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self;
    witness *seen = tina_user(ctx);
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (message->tag == TAG_ITEM)
        tina_test_count_up(&seen->received[tina_shard(ctx)]);
    uint64_t dice = tina_random(ctx);
    send_somewhere(ctx, dice % 3 == 0 ? 2 : 1);
    if (dice % 97 == 0)
        return tina_crash(9);
    if (dice % 89 == 0)
        return tina_done(); /* permanent: it comes back too */
    if (dice % 83 == 0)
        tina_ignore(tina_spawn_child(ctx, &(tina_spawn){.type = 1, .group = TINA_GROUP_NONE}, NULL));
    return tina_receive();
}

static tina_effect brief_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    if (message->tag == TINA_TAG_TIMER)
        return tina_crash(1);
    return unruly_handle(self, message, ctx);
}

static void crashes_under_traffic_lose_no_count(void **state)
{
    (void)state;
    witness *seen = fresh(400000);
    const tina_type types[] = {
        {.name = "unruly",
         .init = unruly_init,
         .handler = unruly_handle,
         .size = sizeof(unruly),
         .slot_count = UNRULY_COUNT,
         .mailbox_capacity = 8},
        {.name = "brief", .init = unruly_init, .handler = brief_handle, .size = sizeof(unruly), .slot_count = 4},
    };
    tina_child children[UNRULY_COUNT];
    for (unsigned i = 0; i < UNRULY_COUNT; i++)
        children[i] = (tina_child){.type = 0, .name = (uint16_t)(i + 1)};
    tina_system_spec spec = {
        .types = types,
        .type_count = 2,
        .root = {.children = children, .child_count = UNRULY_COUNT, .restart_max = 65535, .window_ns = 1000000},
        .shard_count = 2,
        .channel_capacity = 32,
        .message_count = 40, /* fewer than all mailboxes together: the pool runs out too */
        .user = seen,
    };
    tina_system *system = tina_test_start(&spec);
    tina_test_await(&seen->received[0], seen->goal);
    tina_test_await(&seen->received[1], seen->goal);
    tina_end_report report;
    tina_test_end(system, &report);
    const tina_stats *total = &report.total;
    assert_int_equal(tina_test_counted(&seen->failed), 0);
    assert_int_equal(tina_test_counted(&seen->sent[0]) + tina_test_counted(&seen->sent[1]),
                     total->sent_local + total->sent_remote);
    assert_int_equal(tina_test_counted(&seen->refused[0]) + tina_test_counted(&seen->refused[1]),
                     total->mailbox_full + total->pool_exhausted + total->stale_handle + total->channel_full +
                         total->shard_down);
    assert_true(total->crashes > 100);
    assert_true(total->restarts > 100);
    assert_int_equal(total->escalations, 0);
    assert_int_equal(total->spawns, total->exits);
}

/* ---- A yielding isolate ---- */

static tina_effect restless_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self;
    witness *seen = tina_user(ctx);
    tina_test_count_up(&seen->received[0]);
    return message->tag == TINA_TAG_SHUTDOWN ? tina_done() : tina_yield();
}

static void shutdown_reaches_one_that_always_yields(void **state)
{
    (void)state;
    witness *seen = fresh(0);
    const tina_type types[] = {{.name = "restless", .init = source_init, .handler = restless_handle, .size = 8}};
    static const tina_child children[] = {{.type = 0}};
    tina_system_spec spec = {
        .types = types,
        .type_count = 1,
        .root = {.children = children, .child_count = 1},
        .shard_count = 1,
        .shutdown_timeout_ns = 2000000000,
        .user = seen,
    };
    tina_system *system = tina_test_start(&spec);
    tina_test_await(&seen->received[0], 100);
    tina_test_end(system, NULL);
}

/* ---- Idleness ---- */

static uint64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t ticks(const tina_system *system)
{
    return tina_test_stats(system, 0).ticks + tina_test_stats(system, 1).ticks;
}

static bool is_still(const tina_system *system)
{
    uint64_t before = ticks(system);
    for (unsigned i = 0; i < 20; i++)
        (void)tina_test_look_again(i);
    return ticks(system) == before;
}

static void idle_shards_do_not_tick_and_are_woken(void **state)
{
    (void)state;
    uint8_t backends[2];
    size_t count = tina_test_backends(backends);
    for (size_t i = 0; i < count; i++) {
        witness *seen = fresh(10);
        const tina_type types[] = {{.name = "station", .init = waiting_init, .handler = station_handle, .size = 8}};
        static const tina_child children[] = {{.type = 0, .name = 1}};
        tina_system_spec spec = {
            .types = types,
            .type_count = 1,
            .root = {.children = children, .child_count = 1},
            .shard_count = 2,
            .backend = backends[i],
            .user = seen,
        };
        seen->goal = 10;
        tina_system *system = tina_test_start(&spec);
        tina_test_await_that(is_still(system));
        uint64_t ticks_before = ticks(system), cpu_before = cpu_ns();
        nanosleep(&(struct timespec){.tv_sec = 3}, NULL);
        uint64_t used = cpu_ns() - cpu_before;
        assert_int_equal(ticks(system), ticks_before);
        assert_true(used < (tina_test_is_slow() ? 150000000 : 15000000)); /* half a percent of a core */
        uint64_t none = 0;
        assert_int_equal(tina_post(system, tina_named(1, 1), TAG_TOKEN, &none, sizeof none), TINA_OK);
        tina_test_await(&seen->done, 1);
        tina_test_end(system, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stream_as_fast_as_it_can_arrives_whole_and_in_order),
        cmocka_unit_test(stream_through_the_narrowest_places_arrives_whole_and_in_order),
        cmocka_unit_test(streams_around_more_shards_than_cores_arrive_whole_and_in_order),
        cmocka_unit_test(streams_on_one_core_take_turns),
        cmocka_unit_test(tokens_around_four_shards_all_come_round),
        cmocka_unit_test(sleeping_shards_are_woken_every_time),
        cmocka_unit_test(calls_both_ways_at_once_are_all_answered),
        cmocka_unit_test(parked_calls_both_ways_never_lock),
        cmocka_unit_test(crashes_under_traffic_lose_no_count),
        cmocka_unit_test(shutdown_reaches_one_that_always_yields),
        cmocka_unit_test(idle_shards_do_not_tick_and_are_woken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
