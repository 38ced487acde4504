/*
 * Damage to the runtime's own memory, which no user's pointer leads to and a wild
 * one may hit all the same: the runtime faults, an assertion breaks, or the next
 * audit finds it. It costs the shard. Past the budget the shard is quarantined, and
 * comes back as often as it is asked to. The other shard notices nothing.
 */
/* ctest: not under thread */
/* ctest: label stress */
/* ctest: timeout 600 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/shard.h"
#include "support/leaks.h"
#include "trap/child.h"
#include "trap/deeds.h"

#define BAD ((void *)8)

static tina_test_world *world; /* of the case that is tried: a child inherits it */

/* ---- Damage ------------------------------------------------------------------------------------- */

/* The runtime follows what it finds there. */
static void damage_operations(tina__shard *shard) { shard->submit_head = BAD; }
static void damage_wheel(tina__shard *shard) { shard->p.wheel = BAD; }
static void damage_inbox(tina__shard *shard) { shard->p.inbox = BAD; }
static void damage_groups(tina__shard *shard) { shard->p.groups = BAD; }
static void damage_types(tina__shard *shard) { shard->p.types = BAD; }
static void damage_trace(tina__shard *shard) { shard->p.trace = BAD; }
static void damage_log(tina__shard *shard) { shard->p.log = BAD; }
static void damage_backend(tina__shard *shard) { shard->api = BAD; }

/* So does the wipe. */
static void damage_backends_memory(tina__shard *shard) { memset(shard->backend, 0xF0, 256); }

/* An audit finds it. */
static void damage_messages(tina__shard *shard) { shard->messages.listed++; }
static void damage_timers(tina__shard *shard) { shard->timers.used = UINT32_MAX; }
static void damage_watches(tina__shard *shard) { shard->watches.fresh = shard->watches.limit + 1; }
static void damage_descriptors(tina__shard *shard) { shard->descriptors.peak = 0; }
static void damage_buffers(tina__shard *shard) { shard->buffers.used--; }
static void damage_transfers(tina__shard *shard) { shard->transfers.used++; }
static void damage_slots(tina__shard *shard) { shard->p.types[TINA_TEST_VICTIMS].pool.used = 0; }
static void damage_list(tina__shard *shard)
{
    shard->operations.head = UINT32_MAX;
    shard->operations.used--;
    shard->operations.listed++;
}

#ifndef TINA_AUDIT /* builds that audit end the process at a broken assertion */
static void damage_frame(tina__shard *shard) { shard->frames[0].isolate = BAD; }
static void damage_depth(tina__shard *shard) { shard->depth = 0; }
static void damage_begun(tina__shard *shard) { shard->begun_count = 1; }
#endif

typedef struct damage {
    const char *name;
    void (*make)(tina__shard *shard);
    bool is_audited; /* a fault of the culprit's own brings the audit */
} damage;

static const damage damages[] = {
    {"the queue of operations", damage_operations, false},
    {"the timer wheel", damage_wheel, false},
    {"the inbox", damage_inbox, false},
    {"the groups", damage_groups, false},
    {"the types", damage_types, false},
    {"the flight recorder", damage_trace, false},
    {"the log", damage_log, true},
    {"the backend", damage_backend, false},
    {"the pool of messages", damage_messages, true},
    {"the pool of timers", damage_timers, true},
    {"the pool of watches", damage_watches, true},
    {"the pool of descriptors", damage_descriptors, true},
    {"the pool of buffers", damage_buffers, true},
    {"the pool of transfers", damage_transfers, true},
    {"the list of free operations", damage_list, true},
    {"the pool of a type's slots", damage_slots, true},
#ifndef TINA_AUDIT
    {"the frame", damage_frame, false},
    {"the depth of frames", damage_depth, false},
    {"the count of open sends", damage_begun, false},
#endif
};

static const damage *tried;

static void do_damage(const tina_test_scene *scene)
{
    tried->make(scene->ctx->shard);
    if (tried->is_audited)
        deed_write_null(scene);
}

/* ---- In the child ---------------------------------------------------------------------------------- */

static tina_stats stats(uint8_t shard) { return tina_test_world_now(world).shards[shard].stats; }

/* The damage is done; then something comes in. */
static int breaks(void)
{
    uint64_t done = tina_test_counted(&world->seen[0].done);
    unsigned looks = 0;
    CHECK(tina_test_world_tell(world, 0, TINA_TEST_CULPRIT, TINA_TEST_TAG_DO, 0));
    while (!tried->is_audited && tina_test_counted(&world->seen[0].done) == done)
        CHECK(tina_test_look_again(looks++));
    tina_ignore(tina_post(world->system, tina_named(0, TINA_TEST_MUTE + 1), TINA_TEST_TAG_LETTER, NULL, 0));
    return 0;
}

static int is_wiped(void)
{
    CHECK(tina_test_world_readies(world, 0));
    tina_test_moment before = tina_test_world_now(world);
    CHECK(breaks() == 0);
    CHECK(tina_test_world_was_wiped(world, 0, &before));
    CHECK(stats(0).faults == before.shards[0].stats.faults + 1);
    return 0;
}

static bool is_in_state(uint8_t state)
{
    TINA_TEST_AWAIT(world, stats(0).state == state);
    return true;
}

static bool is_empty(void)
{
    TINA_TEST_AWAIT(world, stats(0).isolates == 0);
    return true;
}

/* is_lost: its counters too are left as they are. */
static int is_quarantined(bool is_lost)
{
    CHECK(tina_test_world_readies(world, 0));
    tina_test_moment before = tina_test_world_now(world);
    CHECK(breaks() == 0);
    CHECK(is_in_state(TINA_SHARD_QUARANTINED));
    CHECK(is_lost || is_empty());
    CHECK(stats(0).shard_restarts == before.shards[0].stats.shard_restarts);
    CHECK(tina_post(world->system, tina_named(0, TINA_TEST_ASKER + 1), TINA_TEST_TAG_ASK, NULL, 0) == TINA_SHARD_DOWN);
    CHECK(tina_test_world_talks(world, 1) && tina_test_world_is_whole(world, 1));
    CHECK(stats(1).faults == 0);
    return 0;
}

static bool began(const tina_test_moment *before)
{
    for (size_t role = 0; role < TINA_TEST_CHILD_COUNT; role++) {
        TINA_TEST_AWAIT(world, tina_test_counted(&world->seen[0].inits[role]) > before->shards[0].inits[role]);
        TINA_TEST_EXPECT(world, tina_test_counted(&world->seen[0].inits[role]) == before->shards[0].inits[role] + 1);
    }
    return true;
}

static int is_revived(void)
{
    tina_test_moment before = tina_test_world_now(world);
    CHECK(tina_revive(world->system) == TINA_OK);
    CHECK(is_in_state(TINA_SHARD_RUNNING));
    CHECK(began(&before));
    CHECK(tina_test_world_readies(world, 0) && tina_test_world_is_whole(world, 0));
    return 0;
}

/* ---- Cases -------------------------------------------------------------------------------------------- */

static int is_wiped_three_times(void)
{
    CHECK(tina_test_world_start(world));
    for (unsigned round = 1; round <= 3; round++)
        CHECK(is_wiped() == 0);
    CHECK(tina_test_world_end(world));
    return 0;
}

static int four_in_a_row_are_one_too_many(void)
{
    world->spec.shard_restart_max = 3;
    CHECK(tina_test_world_start(world));
    for (unsigned life = 1; life <= 2; life++) { /* each with its whole budget */
        for (unsigned round = 1; round <= 3; round++)
            CHECK(is_wiped() == 0);
        CHECK(is_quarantined(false) == 0);
        CHECK(is_revived() == 0);
    }
    CHECK(tina_test_world_end(world));
    return 0;
}

static int comes_back_from_it(void)
{
    const unsigned rounds = tina_test_is_slow() ? 100 : 1000;
    size_t fds = 0, mappings = 0;
    world->spec.shard_restart_max = TINA_NONE;
    world->has_connection = true;
    CHECK(tina_test_world_start(world));
    for (unsigned round = 0; round <= rounds; round++) {
        CHECK(is_quarantined(false) == 0);
        CHECK(is_revived() == 0);
        if (round == 0) { /* what is loaded once is loaded */
            fds = tina_test_fd_count();
            mappings = tina_test_mapping_count();
        }
    }
    CHECK(tina_test_fd_count() == fds);
    CHECK(IS_SANITIZED || tina_test_mapping_count() == mappings);
    CHECK(tina_test_world_end(world));
    return 0;
}

static int ends_while_quarantined(void)
{
    world->spec.shard_restart_max = TINA_NONE;
    CHECK(tina_test_world_start(world));
    CHECK(is_quarantined(false) == 0);
    CHECK(tina_test_world_end(world));
    return 0;
}

/* Not even the wipe works: the shard is left where it is, and the system ends without it. */
static int is_given_up(void)
{
    world->spec.shutdown_timeout_ns = 1000000;
    CHECK(tina_test_world_start(world));
    CHECK(is_quarantined(true) == 0);
    CHECK(tina_revive(world->system) == TINA_OK);
    CHECK(tina_test_world_talks(world, 1) && tina_test_world_is_whole(world, 1));
    CHECK(stats(0).state == TINA_SHARD_QUARANTINED);
    tina_stop(world->system);
    CHECK(tina_join(world->system, &world->report) == TINA_TIMED_OUT);
    CHECK(world->report.stuck_shards == 1);
    return 0;
}

static unsigned try_damage(const damage *of, int (*body)(void))
{
    world = tina_test_world_make(2);
    world->name = of->name;
    world->deed = do_damage;
    tried = of;
    int status = end_of(start_child(body));
    if (status != 0)
        print_error("damage to %s: ends with status %#x\n", of->name, (unsigned)status);
    tina_test_world_free(world);
    return status != 0;
}

static void damage_to_the_runtime_costs_the_shard(void **state)
{
    (void)state;
    unsigned failed = 0;
    for (size_t i = 0; i < LENGTH(damages); i++)
        failed += try_damage(&damages[i], is_wiped_three_times);
    assert_int_equal(failed, 0);
}

static void wipes_past_the_budget_quarantine_the_shard(void **state)
{
    (void)state;
    unsigned failed = 0;
    for (size_t i = 0; i < LENGTH(damages); i++)
        failed += try_damage(&damages[i], four_in_a_row_are_one_too_many);
    assert_int_equal(failed, 0);
}

static void revived_shard_works_a_thousand_times(void **state)
{
    (void)state;
    assert_int_equal(try_damage(&damages[0], comes_back_from_it), 0);
}

static void stop_finds_a_quarantined_shard_at_its_end(void **state)
{
    (void)state;
    assert_int_equal(try_damage(&damages[0], ends_while_quarantined), 0);
}

static void damage_to_the_backend_itself_gives_the_shard_up(void **state)
{
    static const damage of = {"the backend's memory", damage_backends_memory, false};
    (void)state;
    assert_int_equal(try_damage(&of, is_given_up), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damage_to_the_runtime_costs_the_shard),
        cmocka_unit_test(wipes_past_the_budget_quarantine_the_shard),
        cmocka_unit_test(revived_shard_works_a_thousand_times),
        cmocka_unit_test(stop_finds_a_quarantined_shard_at_its_end),
        cmocka_unit_test(damage_to_the_backend_itself_gives_the_shard_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
