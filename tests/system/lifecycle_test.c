/* Coming up, ending, and leaving the process as it was. */
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

#define CORES_MAX 128

/* What the isolates of this file tell. */
typedef struct witness {
    tina_test_count inits, messages, ends;
    tina_test_count core_count[4]; /* by shard: how many cores its thread may use */
    tina_test_count core[4];       /* the first of them */
} witness;

typedef struct member {
    unsigned char filler[64];
} member;

static tina_effect member_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size;
    witness *seen = tina_user(ctx);
    cpu_set_t set;
    uint8_t shard = tina_shard(ctx);
    if (shard < 4 && sched_getaffinity(0, sizeof set, &set) == 0) {
        for (unsigned core = CORES_MAX; core-- > 0;) {
            if (CPU_ISSET(core, &set))
                atomic_store(&seen->core[shard], core);
        }
        atomic_store(&seen->core_count[shard], (uint64_t)CPU_COUNT(&set));
    }
    tina_test_count_up(&seen->inits);
    return tina_receive();
}

static tina_effect member_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self;
    witness *seen = tina_user(ctx);
    if (message->tag == TINA_TAG_SHUTDOWN) {
        tina_test_count_up(&seen->ends);
        return tina_done();
    }
    tina_test_count_up(&seen->messages);
    return tina_receive();
}

static const tina_type types[] = {
    {.name = "member", .init = member_init, .handler = member_handle, .size = sizeof(member), .slot_count = 4},
};
static const tina_child children[] = {{.type = 0, .name = 1}, {.type = 0}};

static tina_system_spec make_spec(witness *seen, size_t shard_count)
{
    return (tina_system_spec){
        .types = types,
        .type_count = 1,
        .root = {.children = children, .child_count = 2},
        .shard_count = shard_count,
        .user = seen,
    };
}

/* ---- Up and down ---- */

static void start_returns_when_every_tree_is_up(void **state)
{
    (void)state;
    witness seen = {0};
    tina_system_spec spec = make_spec(&seen, 2);
    tina_system *system = tina_test_start(&spec);
    assert_int_equal(tina_test_counted(&seen.inits), 4);
    for (uint8_t shard = 0; shard < 2; shard++) {
        tina_stats stats = tina_test_stats(system, shard);
        assert_int_equal(stats.state, TINA_SHARD_RUNNING);
        assert_int_equal(stats.isolates, 2);
    }
    tina_stats none;
    assert_int_equal(tina_shard_stats(system, 2, &none), TINA_INVALID);
    tina_end_report report;
    tina_test_end(system, &report);
    assert_int_equal(tina_test_counted(&seen.ends), 4);
    assert_int_equal(report.total.state, TINA_SHARD_ENDED);
    assert_int_equal(report.total.spawns, 4);
    assert_int_equal(report.total.exits, 4);
}

static void stop_twice_is_as_once(void **state)
{
    (void)state;
    witness seen = {0};
    tina_system_spec spec = make_spec(&seen, 2);
    tina_system *system = tina_test_start(&spec);
    tina_stop(system);
    tina_stop(system);
    tina_test_end(system, NULL);
    assert_int_equal(tina_test_counted(&seen.ends), 4);
}

static void boot_and_end_many_times_leaves_the_process_as_it_was(void **state)
{
    (void)state;
    uint8_t backends[2];
    size_t backend_count = tina_test_backends(backends);
    witness seen = {0};
    tina_test_holdings before;
    const unsigned rounds = tina_test_is_slow() ? 100 : 1000, warm = 20;
    for (unsigned round = 0; round < rounds + warm; round++) {
        if (round == warm) /* the C library keeps stacks and arenas of threads that have ended */
            tina_test_hold(&before);
        tina_system_spec spec = make_spec(&seen, 2);
        spec.backend = backends[round % backend_count];
        spec.signals = round % 3 == 0 ? TINA_SIGNALS_ALL : TINA_SIGNALS_AUTO;
        tina_system *system = tina_test_start(&spec);
        assert_int_equal(tina_post(system, tina_named(1, 1), TINA_TAG_USER, "x", 1), TINA_OK);
        tina_test_end(system, NULL);
    }
    tina_test_assert_same_holdings(&before);
    assert_int_equal(tina_test_counted(&seen.inits), 4 * (rounds + warm));
    assert_int_equal(tina_test_counted(&seen.ends), 4 * (rounds + warm));
}

static void eight_systems_live_at_once(void **state)
{
    (void)state;
    enum { SYSTEMS = 8 };
    static witness seen[SYSTEMS];
    tina_system *systems[SYSTEMS];
    memset(seen, 0, sizeof seen);
    for (size_t i = 0; i < SYSTEMS; i++) {
        tina_system_spec spec = make_spec(&seen[i], 2);
        spec.signals = TINA_SIGNALS_ALL;
        systems[i] = tina_test_start(&spec);
    }
    for (size_t i = 0; i < SYSTEMS; i++) {
        for (size_t k = 0; k <= i; k++)
            assert_int_equal(tina_post(systems[i], tina_named(k % 2, 1), TINA_TAG_USER, NULL, 0), TINA_OK);
        /* One message at a time is under way: an inbox of four has room. */
        if (i % 4 == 3)
            tina_test_await(&seen[i].messages, i + 1);
    }
    for (size_t i = 0; i < SYSTEMS; i++)
        tina_test_await(&seen[i].messages, i + 1);
    for (size_t i = 0; i < SYSTEMS; i++)
        tina_test_end(systems[i], NULL);
    for (size_t i = 0; i < SYSTEMS; i++)
        assert_int_equal(tina_test_counted(&seen[i].messages), i + 1);
}

static tina_effect early_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    if (tina_shard(ctx) == 0)
        tina_stop_system(ctx);
    return member_init(self, args, args_size, ctx);
}

static void stop_asked_for_before_everything_is_up_ends_cleanly(void **state)
{
    (void)state;
    const tina_type early[] = {
        {.name = "early", .init = early_init, .handler = member_handle, .size = sizeof(member), .slot_count = 4},
    };
    for (unsigned round = 0; round < 50; round++) {
        witness seen = {0};
        tina_system_spec spec = make_spec(&seen, 4);
        spec.types = early;
        tina_system *system = tina_test_start(&spec);
        tina_test_join(system, NULL); /* nobody else stops it */
        assert_int_equal(tina_test_counted(&seen.inits), 8);
        assert_int_equal(tina_test_counted(&seen.ends), 8);
    }
}

static tina_effect quitter_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)member_init(self, args, args_size, ctx);
    tina_stop_system(ctx);
    return tina_crash(1);
}

static void init_that_stops_the_system_and_fails_calls_the_start_off(void **state)
{
    (void)state;
    const tina_type quitter[] = {
        {.name = "quitter", .init = quitter_init, .handler = member_handle, .size = sizeof(member), .slot_count = 4},
    };
    const tina_child quitters[] = {{.type = 0, .restart = TINA_TEMPORARY}, {.type = 0}};
    for (unsigned round = 0; round < 20; round++) {
        witness seen = {0};
        tina_system_spec spec = make_spec(&seen, 1);
        tina_system *system;
        tina_error error;
        spec.types = quitter;
        spec.root.restart_max = 1000000;
        spec.root.children = quitters;
        if (round % 2 != 0)
            spec.root.child_count = 1; /* which would not be started again anyway */
        assert_int_equal(tina_start(&spec, &system, &error), TINA_INIT_FAILED);
        assert_non_null(strstr(error.message, "quitter"));
        assert_int_equal(tina_test_counted(&seen.inits), 1); /* neither again, nor another */
    }
}

static tina_effect stopper_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    if (message->tag != TINA_TAG_SHUTDOWN)
        tina_stop_system(ctx);
    return member_handle(self, message, ctx);
}

static void a_handler_may_stop_the_system(void **state)
{
    (void)state;
    const tina_type stopper[] = {
        {.name = "stopper", .init = member_init, .handler = stopper_handle, .size = sizeof(member), .slot_count = 4},
    };
    witness seen = {0};
    tina_system_spec spec = make_spec(&seen, 2);
    spec.types = stopper;
    tina_system *system = tina_test_start(&spec);
    assert_int_equal(tina_post(system, tina_named(1, 1), TINA_TAG_USER, NULL, 0), TINA_OK);
    tina_test_join(system, NULL);
    assert_int_equal(tina_test_counted(&seen.ends), 4);
}

static void boot_blocks_until_a_handler_stops_the_system(void **state)
{
    (void)state;
    const tina_type early[] = {
        {.name = "early", .init = early_init, .handler = member_handle, .size = sizeof(member), .slot_count = 4},
    };
    tina_test_holdings before;
    for (unsigned round = 0; round < 3; round++) {
        witness seen = {0};
        tina_system_spec spec = make_spec(&seen, 2);
        spec.types = early;
        spec.quiet = true;
        assert_int_equal(tina_boot(&spec, NULL), TINA_OK);
        assert_int_equal(tina_test_counted(&seen.ends), 4);
        if (round == 1)
            tina_test_hold(&before);
    }
    tina_test_assert_same_holdings(&before);
}

/* ---- Where threads run ---- */

static size_t allowed_cores(uint16_t *cores)
{
    cpu_set_t set;
    size_t count = 0;
    assert_int_equal(sched_getaffinity(0, sizeof set, &set), 0);
    for (uint16_t core = 0; core < CORES_MAX; core++) {
        if (CPU_ISSET(core, &set))
            cores[count++] = core;
    }
    return count;
}

static void run_briefly(const tina_system_spec *spec) { tina_test_end(tina_test_start(spec), NULL); }

static void shards_are_pinned_to_the_cores_in_order(void **state)
{
    (void)state;
    uint16_t cores[CORES_MAX];
    size_t count = allowed_cores(cores);
    size_t shards = count < 4 ? count : 4;
    witness seen = {0};
    tina_system_spec spec = make_spec(&seen, shards);
    run_briefly(&spec);
    for (size_t i = 0; i < shards; i++) {
        assert_int_equal(tina_test_counted(&seen.core_count[i]), 1);
        assert_int_equal(tina_test_counted(&seen.core[i]), cores[i]);
    }
}

static void shards_are_pinned_to_the_named_cores(void **state)
{
    (void)state;
    uint16_t cores[CORES_MAX];
    size_t count = allowed_cores(cores);
    uint16_t last = cores[count - 1];
    witness seen = {0};
    tina_system_spec spec = make_spec(&seen, 1);
    spec.cpus = &last;
    spec.cpu_count = 1;
    run_briefly(&spec);
    assert_int_equal(tina_test_counted(&seen.core_count[0]), 1);
    assert_int_equal(tina_test_counted(&seen.core[0]), last);
}

static void a_core_that_is_not_ours_is_refused_with_words(void **state)
{
    (void)state;
    uint16_t cores[CORES_MAX];
    size_t count = allowed_cores(cores);
    uint16_t beyond = (uint16_t)(cores[count - 1] + 1);
    witness seen = {0};
    tina_system_spec spec = make_spec(&seen, 1);
    spec.cpus = &beyond;
    spec.cpu_count = 1;
    run_briefly(
        &(tina_system_spec){.types = types, .type_count = 1, .root = spec.root, .shard_count = 1, .user = &seen}); /* warm */
    tina_test_holdings before;
    tina_test_hold(&before);
    tina_system *system = NULL;
    tina_error error;
    assert_int_not_equal(tina_start(&spec, &system, &error), TINA_OK);
    assert_string_equal(error.path, "cpus");
    assert_non_null(strstr(error.message, "core"));
    tina_test_assert_same_holdings(&before);
}

static void unpinned_shards_may_run_anywhere(void **state)
{
    (void)state;
    uint16_t cores[CORES_MAX];
    size_t count = allowed_cores(cores);
    witness seen = {0};
    tina_system_spec spec = make_spec(&seen, 2);
    spec.unpinned = true;
    run_briefly(&spec);
    assert_int_equal(tina_test_counted(&seen.core_count[0]), count);
    assert_int_equal(tina_test_counted(&seen.core_count[1]), count);
}

static void more_shards_than_cores_are_not_pinned(void **state)
{
    (void)state;
    uint16_t cores[CORES_MAX];
    size_t count = allowed_cores(cores);
    witness seen = {0};
    tina_system_spec spec = make_spec(&seen, count + 1);
    run_briefly(&spec);
    assert_int_equal(tina_test_counted(&seen.core_count[0]), count);
}

static void development_mode_serves_unpinned(void **state)
{
    (void)state;
    uint16_t cores[CORES_MAX];
    size_t count = allowed_cores(cores);
    witness seen = {0};
    tina_system_spec spec = make_spec(&seen, 1);
    spec.development = true;
    tina_system *system = tina_test_start(&spec);
    assert_int_equal(tina_post(system, tina_named(0, 1), TINA_TAG_USER, NULL, 0), TINA_OK);
    tina_test_await(&seen.messages, 1);
    tina_test_end(system, NULL);
    assert_int_equal(tina_test_counted(&seen.core_count[0]), count);
}

static void no_shard_count_means_one_for_each_core(void **state)
{
    (void)state;
    uint16_t cores[CORES_MAX];
    size_t count = allowed_cores(cores);
    witness seen = {0};
    tina_system_spec spec = make_spec(&seen, 0);
    run_briefly(&spec);
    assert_true(tina_test_counted(&seen.inits) >= 2);
    assert_true(tina_test_counted(&seen.inits) <= 2 * count); /* fewer where a quota says so */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(start_returns_when_every_tree_is_up),
        cmocka_unit_test(stop_twice_is_as_once),
        cmocka_unit_test(boot_and_end_many_times_leaves_the_process_as_it_was),
        cmocka_unit_test(eight_systems_live_at_once),
        cmocka_unit_test(stop_asked_for_before_everything_is_up_ends_cleanly),
        cmocka_unit_test(init_that_stops_the_system_and_fails_calls_the_start_off),
        cmocka_unit_test(a_handler_may_stop_the_system),
        cmocka_unit_test(boot_blocks_until_a_handler_stops_the_system),
        cmocka_unit_test(shards_are_pinned_to_the_cores_in_order),
        cmocka_unit_test(shards_are_pinned_to_the_named_cores),
        cmocka_unit_test(a_core_that_is_not_ours_is_refused_with_words),
        cmocka_unit_test(unpinned_shards_may_run_anywhere),
        cmocka_unit_test(more_shards_than_cores_are_not_pinned),
        cmocka_unit_test(development_mode_serves_unpinned),
        cmocka_unit_test(no_shard_count_means_one_for_each_core),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
