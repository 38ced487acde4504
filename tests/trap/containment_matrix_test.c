/*
 * What a fault costs: each of them in a handler, in an init and in a spawned child's
 * init, in a child process. Exactly the one that it hit ends and comes back, or the
 * one spawn fails; its neighbours, the rest of its shard, and what the shard's pools
 * hold, are as before. And again.
 */
/* ctest: not under thread */
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

#define ROUNDS 3

static tina_test_world *world; /* of the case that is tried: a child inherits it */

/* ---- Faults ------------------------------------------------------------------------------------ */

typedef struct deed {
    const char *name;
    void (*commit)(const tina_test_scene *scene);
    bool is_suspect; /* its code is the C library's */
} deed;

static const deed deeds[] = {
    {"null read", deed_read_null, false},
    {"null write", deed_write_null, false},
    {"write to unmapped memory", deed_write_unmapped, false},
    {"write to no address", deed_write_nowhere, false},
    {"write into a closed page", deed_write_closed, false},
    {"write before the handlers' memory", deed_write_before_structs, false},
    {"write behind the handlers' memory", deed_write_behind_transfers, false},
    {"call through null", deed_call_null, false},
    {"stack overflow by recursion", deed_recurse, false},
    {"stack overflow by one large frame", deed_large_frame, false},
#if defined(__x86_64__) /* other machines give 0 */
    {"division by zero", deed_divide_by_zero, false},
#endif
    {"illegal instruction", deed_illegal_instruction, false},
    {"memcpy from null", deed_copy_null, true},
    {"raise", deed_raise, true},
    {"abort", deed_abort, false},
};

static bool is_suspect;

static int goes_through_it(void)
{
    CHECK(tina_test_world_start(world));
    for (unsigned round = 1; round <= ROUNDS; round++) {
        uint64_t suspects = tina_test_counted(&world->lines[TINA_TEST_LINE_SUSPECT]);
        CHECK(tina_test_world_round(world, 0, TINA_TEST_FAULTS));
        CHECK(tina_test_counted(&world->lines[TINA_TEST_LINE_SUSPECT]) == suspects + is_suspect);
    }
    CHECK(tina_test_world_end(world));
    return 0;
}

static bool passes(const char *name, int (*body)(void))
{
    int status = end_of(start_child(body));
    if (status != 0)
        print_error("%s, in place %d: %s %d\n", name, world->place, WIFSIGNALED(status) ? "died of signal" : "exit status",
                    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    return status == 0;
}

static unsigned try_deed(const deed *tried, tina_test_place place)
{
    world = tina_test_world_make(1);
    world->name = tried->name;
    world->place = place;
    world->deed = tried->commit;
    world->has_connection = true;
    world->spec.on_abort = TINA_SUSPECT_ISOLATE;
    is_suspect = tried->is_suspect;
    unsigned failed = !passes(tried->name, goes_through_it);
    tina_test_world_free(world);
    return failed;
}

static void try_all(tina_test_place place)
{
    unsigned failed = 0;
    for (size_t i = 0; i < LENGTH(deeds); i++)
        failed += try_deed(&deeds[i], place);
    assert_int_equal(failed, 0);
}

static void fault_in_a_handler_costs_its_isolate(void **state)
{
    (void)state;
    try_all(TINA_TEST_IN_HANDLER);
}

static void fault_in_an_init_costs_that_life(void **state)
{
    (void)state;
    try_all(TINA_TEST_IN_INIT);
}

static void fault_in_a_spawned_childs_init_costs_that_spawn(void **state)
{
    (void)state;
    try_all(TINA_TEST_IN_SPAWN);
}

/* ---- The endless loop --------------------------------------------------------------------------------- */

#define INTERVAL_NS ((uint64_t)100000000)
#define STALLS      2u

static uint64_t cpu_ns(void)
{
    struct timespec used;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}

static void deed_loop(const tina_test_scene *scene)
{
    atomic_store(&scene->sight->loop_ns, cpu_ns());
    while (null == NULL)
        continue;
}

static int is_killed_in_time(void)
{
    const tina_test_sight *sight = &world->seen[0];
    CHECK(tina_test_world_start(world));
    for (unsigned round = 1; round <= ROUNDS; round++) {
        CHECK(tina_test_world_round(world, 0, TINA_TEST_IS_KILLED));
        uint64_t loop_ns = atomic_load(&sight->loop_ns), answered_ns = atomic_load(&sight->answered_ns);
        CHECK(loop_ns != 0);
        CHECK(answered_ns > loop_ns);
        CHECK(answered_ns - loop_ns <= (STALLS + 1) * INTERVAL_NS);
    }
    CHECK(tina_test_world_end(world));
    return 0;
}

static void endless_loop_costs_its_isolate_in_time(void **state)
{
    (void)state;
    unsigned failed = 0;
    for (tina_test_place place = 0; place < TINA_TEST_PLACE_COUNT; place++) {
        world = tina_test_world_make(1);
        world->name = "endless loop";
        world->place = place;
        world->deed = deed_loop;
        world->spec.watchdog_interval_ns = INTERVAL_NS;
        world->spec.watchdog_stalls = STALLS;
        failed += !passes(world->name, is_killed_in_time);
        tina_test_world_free(world);
    }
    assert_int_equal(failed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fault_in_a_handler_costs_its_isolate),
        cmocka_unit_test(fault_in_an_init_costs_that_life),
        cmocka_unit_test(fault_in_a_spawned_childs_init_costs_that_spawn),
        cmocka_unit_test(endless_loop_costs_its_isolate_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
