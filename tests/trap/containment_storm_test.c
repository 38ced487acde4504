/*
 * Faults without end: as many in a row as it takes, of those that cost little. Each
 * is counted and has its line in the log; dumps are few; nothing piles up.
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

#include "trap/child.h"
#include "trap/deeds.h"

#define MANY      100000u
#define SOME      20000u
#define FEW       10000u
#define PATIENCE  20u /* half minutes */
#define SECOND_NS 1000000000u

static tina_test_world *world; /* of the case that is tried: a child inherits it */

#ifdef TINA_AUDIT
#define IS_AUDITED true
#else
#define IS_AUDITED false
#endif

static uint64_t fault_count(void)
{
    if (tina_test_is_slow() || IS_AUDITED)
        return FEW;
    return world->place == TINA_TEST_IN_HANDLER || getenv("TINA_SOAK") != NULL ? MANY : SOME;
}

static tina_stats stats(void) { return tina_test_world_now(world).shards[0].stats; }

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

/* ---- In the child ---------------------------------------------------------------------------------- */

/* The first of them; each brings the next. */
static bool begins(uint64_t count)
{
    tina_test_sight *sight = &world->seen[0];
    switch (world->place) {
    case TINA_TEST_IN_HANDLER:
        atomic_store(&sight->storm, count - 1);
        return tina_test_world_tell(world, 0, TINA_TEST_CULPRIT, TINA_TEST_TAG_DIE, 0);
    case TINA_TEST_IN_INIT:
        atomic_store(&sight->dooms, count);
        return tina_test_world_tell(world, 0, TINA_TEST_CULPRIT, TINA_TEST_TAG_CRASH, 0);
    default: return tina_test_world_tell(world, 0, TINA_TEST_PARENT, TINA_TEST_TAG_SPAWN, count);
    }
}

static bool comes_to(uint64_t faults)
{
    for (unsigned i = 0; i < PATIENCE; i++) {
        unsigned looks = 0;
        while (stats().faults < faults && world->mishap == NULL && tina_test_look_again(looks++))
            continue;
    }
    TINA_TEST_EXPECT(world, stats().faults == faults);
    return true;
}

/* One for each, written or counted as dropped. */
static bool lines_are(uint64_t count)
{
    TINA_TEST_AWAIT(world, tina_test_counted(&world->lines[TINA_TEST_LINE_FAULT]) + stats().log_dropped >= count);
    TINA_TEST_EXPECT(world, tina_test_counted(&world->lines[TINA_TEST_LINE_FAULT]) <= count);
    return true;
}

/* The first of the type, then one a second. */
static bool dumps_are_few(uint64_t count, uint64_t began_ns)
{
    uint64_t skipped = stats().dumps_skipped;
    TINA_TEST_AWAIT(world, tina_test_counted(&world->lines[TINA_TEST_LINE_DUMP]) + skipped == count);
    TINA_TEST_EXPECT(world, count - skipped <= 2 + (now_ns() - began_ns) / SECOND_NS);
    return true;
}

static int goes_through_it(void)
{
    const uint64_t count = fault_count();
    const uint64_t began_ns = now_ns();
    CHECK(tina_test_world_start(world));
    CHECK(tina_test_world_readies(world, 0));
    CHECK(begins(count));
    CHECK(comes_to(count));
    CHECK(tina_test_world_talks(world, 0) && tina_test_world_is_whole(world, 0) && tina_test_world_rests(world, 0));
    CHECK(lines_are(count));
    CHECK(dumps_are_few(count, began_ns));
    CHECK(stats().shard_restarts == 0 && stats().escalations == 0);
    CHECK(tina_test_counted(&world->seen[0].ghosts) == 0);
    CHECK(tina_test_world_end(world));
    return 0;
}

/* ---- Trying ------------------------------------------------------------------------------------------- */

typedef struct deed {
    const char *name;
    void (*commit)(const tina_test_scene *scene);
} deed;

static const deed deeds[] = {
    {"null writes", deed_write_null},
    {"memcpys from null", deed_copy_null},
    {"illegal instructions", deed_illegal_instruction},
};

static void try_all(tina_test_place place)
{
    unsigned failed = 0;
    for (size_t i = 0; i < LENGTH(deeds); i++) {
        world = tina_test_world_make(1);
        world->name = deeds[i].name;
        world->place = place;
        world->deed = deeds[i].commit;
        int status = end_of(start_child(goes_through_it));
        if (status != 0)
            print_error("%s: ends with status %#x\n", deeds[i].name, (unsigned)status);
        failed += status != 0;
        tina_test_world_free(world);
    }
    assert_int_equal(failed, 0);
}

static void faults_in_handlers_go_on_and_on(void **state)
{
    (void)state;
    try_all(TINA_TEST_IN_HANDLER);
}

static void faults_in_inits_go_on_and_on(void **state)
{
    (void)state;
    try_all(TINA_TEST_IN_INIT);
}

static void faults_in_spawned_childrens_inits_go_on_and_on(void **state)
{
    (void)state;
    try_all(TINA_TEST_IN_SPAWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(faults_in_handlers_go_on_and_on),
        cmocka_unit_test(faults_in_inits_go_on_and_on),
        cmocka_unit_test(faults_in_spawned_childrens_inits_go_on_and_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
