/*
 * Writes beyond an isolate's own memory: what runs over an end of its struct, or of
 * its working memory, is found at the next fault, end or beginning of it or of a
 * neighbour, and costs the shard: the other shard notices nothing.
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

static tina_test_world *world; /* of the case that is tried: a child inherits it */

/* ---- Writing ----------------------------------------------------------------------------------- */

typedef enum where { BEHIND_STRUCT, BEFORE_STRUCT, BEHIND_WORKING } where;

/* Who writes, and what finds it. */
typedef struct finder {
    const char *name;
    where where;
    tina_test_role writer;
    tina_test_role other; /* who faults or ends afterwards; the parent: spawns */
    bool is_fault;
} finder;

static const finder finders[] = {
    {"behind its struct, then its fault", BEHIND_STRUCT, TINA_TEST_CULPRIT, TINA_TEST_CULPRIT, true},
    {"behind its struct, then its end", BEHIND_STRUCT, TINA_TEST_CULPRIT, TINA_TEST_CULPRIT, false},
    {"behind its struct, then a fault in the slot before", BEHIND_STRUCT, TINA_TEST_CULPRIT, TINA_TEST_FRONT, true},
    {"behind its struct, then an end in the slot before", BEHIND_STRUCT, TINA_TEST_CULPRIT, TINA_TEST_FRONT, false},
    {"behind its struct, then a fault in the slot behind", BEHIND_STRUCT, TINA_TEST_CULPRIT, TINA_TEST_BEHIND, true},
    {"behind its struct, then an end in the slot behind", BEHIND_STRUCT, TINA_TEST_CULPRIT, TINA_TEST_BEHIND, false},
    {"behind its struct, then a spawn in the slot behind", BEHIND_STRUCT, TINA_TEST_BEHIND, TINA_TEST_PARENT, false},
    {"before its struct, then its fault", BEFORE_STRUCT, TINA_TEST_CULPRIT, TINA_TEST_CULPRIT, true},
    {"before its struct, then its end", BEFORE_STRUCT, TINA_TEST_CULPRIT, TINA_TEST_CULPRIT, false},
    {"before its struct, then an end in the slot before", BEFORE_STRUCT, TINA_TEST_CULPRIT, TINA_TEST_FRONT, false},
    {"behind its working memory, then its fault", BEHIND_WORKING, TINA_TEST_CULPRIT, TINA_TEST_CULPRIT, true},
    {"behind its working memory, then its end", BEHIND_WORKING, TINA_TEST_CULPRIT, TINA_TEST_CULPRIT, false},
    {"behind its working memory, then an end in the slot behind", BEHIND_WORKING, TINA_TEST_CULPRIT, TINA_TEST_BEHIND,
     false},
};

static const size_t sizes[] = {1, 15, 16, 33, 48, 100};
static const size_t overruns[] = {1, 2, 8, 15, 16};
static const unsigned char fillings[] = {0x00, 0xFF};

static const finder *tried;
static size_t overrun;
static unsigned char filling;

static UNWATCHED void fill(volatile unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = filling;
}

static void write_beyond(const tina_test_scene *scene)
{
    const tina_type *type = &world->types[TINA_TEST_VICTIMS];
    switch (tried->where) {
    case BEHIND_STRUCT: fill(scene->self + type->size, overrun); break;
    case BEFORE_STRUCT: fill(scene->self - overrun, overrun); break;
    default: fill(scene->working + type->working_size, overrun); break;
    }
}

static void write_or_fault(const tina_test_scene *scene)
{
    if (scene->self == scene->sight->structs[tried->writer])
        write_beyond(scene);
    if (tried->is_fault && scene->self == scene->sight->structs[tried->other])
        deed_write_null(scene);
}

/* ---- In the child ------------------------------------------------------------------------------------ */

static bool is_found_by_itself(void) { return tried->is_fault && tried->writer == tried->other; /* in one handler call */ }

static int writes_and_is_found(void)
{
    uint64_t done = tina_test_counted(&world->seen[0].done);
    CHECK(tina_test_world_tell(world, 0, tried->writer, TINA_TEST_TAG_DO, 0));
    if (is_found_by_itself())
        return 0;
    unsigned looks = 0;
    while (tina_test_counted(&world->seen[0].done) == done)
        CHECK(tina_test_look_again(looks++));
    if (tried->other == TINA_TEST_PARENT)
        CHECK(tina_test_world_tell(world, 0, TINA_TEST_PARENT, TINA_TEST_TAG_SPAWN, 1));
    else
        CHECK(tina_test_world_tell(world, 0, tried->other, tried->is_fault ? TINA_TEST_TAG_DO : TINA_TEST_TAG_CRASH, 0));
    return 0;
}

static bool is_told(uint64_t lines_before)
{
    TINA_TEST_AWAIT(world, tina_test_counted(&world->lines[TINA_TEST_LINE_DAMAGE]) == lines_before + 1);
    return true;
}

static int costs_the_shard(void)
{
    CHECK(tina_test_world_readies(world, 0));
    tina_test_moment before = tina_test_world_now(world);
    CHECK(writes_and_is_found() == 0);
    CHECK(tina_test_world_was_wiped(world, 0, &before));
    CHECK(is_told(before.lines[TINA_TEST_LINE_DAMAGE]));
    CHECK(tina_test_world_now(world).shards[0].stats.faults == before.shards[0].stats.faults + tried->is_fault);
    return 0;
}

static int goes_through_it(void)
{
    char name[128];
    world->name = name;
    CHECK(tina_test_world_start(world));
    for (size_t i = 0; i < LENGTH(overruns) * LENGTH(fillings); i++) {
        overrun = overruns[i / LENGTH(fillings)];
        filling = fillings[i % LENGTH(fillings)];
        snprintf(name, sizeof name, "%zu bytes of %#x %s of %zu", overrun, filling, tried->name,
                 world->types[TINA_TEST_VICTIMS].size);
        CHECK(costs_the_shard() == 0);
    }
    CHECK(tina_test_world_end(world));
    return 0;
}

/* ---- Trying ----------------------------------------------------------------------------------------------- */

static unsigned try_finder(const finder *of, size_t size)
{
    world = tina_test_world_make(2);
    world->types[TINA_TEST_VICTIMS].size = size;
    world->types[TINA_TEST_VICTIMS].slot_count = 4; /* one to spawn into */
    world->deed = write_or_fault;
    tried = of;
    int status = end_of(start_child(goes_through_it));
    if (status != 0)
        print_error("a write %s of %zu bytes: ends with status %#x\n", of->name, size, (unsigned)status);
    tina_test_world_free(world);
    return status != 0;
}

static void write_beyond_the_own_memory_is_found_and_costs_the_shard(void **state)
{
    (void)state;
    unsigned failed = 0;
    for (size_t i = 0; i < LENGTH(finders); i++) {
        for (size_t k = 0; k < LENGTH(sizes); k++)
            failed += try_finder(&finders[i], sizes[k]);
    }
    assert_int_equal(failed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(write_beyond_the_own_memory_is_found_and_costs_the_shard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
