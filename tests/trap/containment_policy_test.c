/*
 * What a fault may cost beyond its isolate, and who decides: the type's containment,
 * the spec's on_abort and on_foreign_fault, TINA_SIGNALS_NONE, and whoever the
 * faulting thread belongs to.
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

#define OTHER_SHARD 1
#define HANDLED     42 /* the exit status of a program whose own handler was called */

static tina_test_world *world; /* of the case that is tried: a child inherits it */

/* ---- Cases ------------------------------------------------------------------------------------ */

typedef struct rule {
    const char *name;
    void (*commit)(const tina_test_scene *scene);
    uint8_t containment, on_abort, on_foreign_fault, signals;
    int number; /* of the signal that ends the process; 0: see is_shards */
    bool is_shards;
} rule;

static const rule rules[] = {
    {.name = "the type's containment is the shard",
     .commit = deed_write_null,
     .containment = TINA_CONTAIN_SHARD,
     .is_shards = true},
    {.name = "the type's containment is the shard, and the fault a full stack",
     .commit = deed_recurse,
     .containment = TINA_CONTAIN_SHARD,
     .is_shards = true},
    {.name = "the type's containment is the process",
     .commit = deed_write_null,
     .containment = TINA_CONTAIN_PROCESS,
     .number = SIGSEGV},
    {.name = "the type's containment is the process, and the fault an illegal instruction",
     .commit = deed_illegal_instruction,
     .containment = TINA_CONTAIN_PROCESS,
#if defined(__x86_64__)
     .number = SIGILL},
#else
     .number = SIGTRAP},
#endif
#if defined(__x86_64__)
    {.name = "the type's containment is the process, and the fault a division by zero",
     .commit = deed_divide_by_zero,
     .containment = TINA_CONTAIN_PROCESS,
     .number = SIGFPE},
#endif
    {.name = "the type's containment is the process, and the fault a full stack",
     .commit = deed_recurse,
     .containment = TINA_CONTAIN_PROCESS,
     .number = SIGSEGV},

    {.name = "abort, by default", .commit = deed_abort, .number = SIGABRT},
    {.name = "abort costs the isolate", .commit = deed_abort, .on_abort = TINA_SUSPECT_ISOLATE},
    {.name = "abort costs the shard", .commit = deed_abort, .on_abort = TINA_SUSPECT_SHARD, .is_shards = true},
    {.name = "abort costs the process", .commit = deed_abort, .on_abort = TINA_SUSPECT_PROCESS, .number = SIGABRT},
    {.name = "abort costs the isolate, but the type the shard",
     .commit = deed_abort,
     .on_abort = TINA_SUSPECT_ISOLATE,
     .containment = TINA_CONTAIN_SHARD,
     .is_shards = true},
    {.name = "abort costs the isolate, but the type the process",
     .commit = deed_abort,
     .on_abort = TINA_SUSPECT_ISOLATE,
     .containment = TINA_CONTAIN_PROCESS,
     .number = SIGABRT},

    {.name = "a foreign fault, by default", .commit = deed_copy_null},
    {.name = "a foreign fault costs the isolate", .commit = deed_copy_null, .on_foreign_fault = TINA_SUSPECT_ISOLATE},
    {.name = "a foreign fault costs the shard",
     .commit = deed_copy_null,
     .on_foreign_fault = TINA_SUSPECT_SHARD,
     .is_shards = true},
    {.name = "a foreign fault costs the process",
     .commit = deed_copy_null,
     .on_foreign_fault = TINA_SUSPECT_PROCESS,
     .number = SIGSEGV},
    {.name = "a foreign fault costs the shard, but the type the process",
     .commit = deed_copy_null,
     .on_foreign_fault = TINA_SUSPECT_SHARD,
     .containment = TINA_CONTAIN_PROCESS,
     .number = SIGSEGV},
    {.name = "a fault of its own costs the isolate, whatever foreign ones cost",
     .commit = deed_write_null,
     .on_foreign_fault = TINA_SUSPECT_PROCESS,
     .on_abort = TINA_SUSPECT_PROCESS},

    {.name = "no signals", .commit = deed_write_null, .signals = TINA_SIGNALS_NONE, .number = SIGSEGV},
    {.name = "no signals, and an abort",
     .commit = deed_abort,
     .on_abort = TINA_SUSPECT_ISOLATE,
     .signals = TINA_SIGNALS_NONE,
     .number = SIGABRT},
};

static const rule *tried;

/* ---- In the child --------------------------------------------------------------------------------- */

static int costs_the_shard(void)
{
    CHECK(tina_test_world_readies(world, 0));
    tina_test_moment before = tina_test_world_now(world);
    CHECK(tina_test_world_begins(world, 0));
    CHECK(tina_test_world_was_wiped(world, 0, &before));
    tina_test_moment after = tina_test_world_now(world);
    CHECK(after.shards[0].stats.faults == before.shards[0].stats.faults + 1);
    CHECK(after.shards[0].survivors == before.shards[0].survivors);
    return 0;
}

static int waits_for_its_end(void)
{
    CHECK(tina_test_world_readies(world, 0) && tina_test_world_talks(world, OTHER_SHARD));
    CHECK(tina_test_world_begins(world, 0));
    unsigned looks = 0;
    while (tina_test_look_again(looks++))
        continue;
    return 1;
}

static int obeys_the_rule(void)
{
    CHECK(tina_test_world_start(world));
    if (tried->number != 0)
        return waits_for_its_end();
    for (unsigned round = 1; round <= 3; round++) {
        if (tried->is_shards)
            CHECK(costs_the_shard() == 0);
        else
            CHECK(tina_test_world_round(world, 0, TINA_TEST_FAULTS));
    }
    CHECK(tina_test_world_end(world));
    return 0;
}

/* ---- Judging --------------------------------------------------------------------------------------- */

static bool is_end(int status)
{
    if (tried->number == 0)
        return WIFEXITED(status) && WEXITSTATUS(status) == 0;
    return WIFSIGNALED(status) && WTERMSIG(status) == tried->number;
}

/* What the process still saw before it ended: nobody else faulted, nothing began anew. */
static bool was_the_first(void)
{
    for (size_t role = 0; role < TINA_TEST_CHILD_COUNT; role++) {
        uint64_t more = role == TINA_TEST_CULPRIT && world->place == TINA_TEST_IN_INIT ? 2 : 1;
        if (tina_test_counted(&world->seen[0].inits[role]) != more ||
            tina_test_counted(&world->seen[OTHER_SHARD].inits[role]) != 1)
            return false;
    }
    return tina_test_counted(&world->seen[0].survivors) == 0 && tina_test_counted(&world->seen[0].spawned) == 0;
}

static unsigned try_rule(const rule *of, tina_test_place place)
{
    world = tina_test_world_make(2);
    world->name = of->name;
    world->place = place;
    world->deed = of->commit;
    world->types[TINA_TEST_VICTIMS].containment = of->containment;
    world->spec.on_abort = of->on_abort;
    world->spec.on_foreign_fault = of->on_foreign_fault;
    world->spec.signals = of->signals;
    tried = of;
    int status = end_of(start_child(obeys_the_rule));
    bool is_right = is_end(status) && (of->number == 0 || was_the_first());
    if (!is_right)
        print_error("%s, in place %d: ends with status %#x\n", of->name, place, (unsigned)status);
    tina_test_world_free(world);
    return !is_right;
}

static void try_all(tina_test_place place)
{
    unsigned failed = 0;
    for (size_t i = 0; i < LENGTH(rules); i++)
        failed += try_rule(&rules[i], place);
    assert_int_equal(failed, 0);
}

static void fault_in_a_handler_costs_what_the_rules_say(void **state)
{
    (void)state;
    try_all(TINA_TEST_IN_HANDLER);
}

static void fault_in_an_init_costs_what_the_rules_say(void **state)
{
    (void)state;
    try_all(TINA_TEST_IN_INIT);
}

static void fault_in_a_spawned_childs_init_costs_what_the_rules_say(void **state)
{
    (void)state;
    try_all(TINA_TEST_IN_SPAWN);
}

/* ---- Threads that are no shard's ------------------------------------------------------------------------ */

static void *fault_on_a_thread(void *argument)
{
    (void)argument;
    read_null(NULL);
    return NULL;
}

/* After a fault that was contained, so that the trap is known to stand. */
static int another_thread_faults(void)
{
    pthread_t thread;
    CHECK(tina_test_world_start(world));
    CHECK(tina_test_world_round(world, 0, TINA_TEST_FAULTS));
    CHECK(pthread_create(&thread, NULL, fault_on_a_thread, NULL) == 0);
    pthread_join(thread, NULL);
    return 1;
}

static int this_thread_faults(void)
{
    CHECK(tina_test_world_start(world));
    CHECK(tina_test_world_round(world, 0, TINA_TEST_FAULTS));
    read_null(NULL);
    return 1;
}

static void end_as_handled(int number)
{
    (void)number;
    _exit(HANDLED);
}

static int own_handler_is_called(void)
{
    set_handler(SIGSEGV, end_as_handled, 0);
    return another_thread_faults();
}

static sigjmp_buf way_out;

static void leave_by_it(int number)
{
    (void)number;
    siglongjmp(way_out, 1);
}

/* A program that deals with its own faults by itself goes on, and so does the system. */
static int own_handler_may_jump(void)
{
    set_handler(SIGSEGV, leave_by_it, 0);
    CHECK(tina_test_world_start(world));
    for (unsigned round = 1; round <= 3; round++) {
        CHECK(tina_test_world_round(world, 0, TINA_TEST_FAULTS));
        if (sigsetjmp(way_out, 1) == 0) {
            read_null(NULL);
            return 1;
        }
    }
    CHECK(tina_test_world_end(world));
    return 0;
}

static void fault_in_the_sink(void *user, int shard, tina_level level, const char *line, size_t length)
{
    (void)user, (void)shard, (void)level, (void)line, (void)length;
    read_null(NULL);
}

static int sink_faults(void)
{
    world->spec.log_sink = fault_in_the_sink;
    CHECK(tina_test_world_start(world));
    CHECK(tina_test_world_tell(world, 0, TINA_TEST_CULPRIT, TINA_TEST_TAG_CRASH, 0));
    unsigned looks = 0;
    while (tina_test_look_again(looks++))
        continue;
    return 1;
}

typedef struct stranger {
    const char *name;
    int (*body)(void);
    int number; /* of the signal that ends the process; 0: see exit_status */
    int exit_status;
} stranger;

static void fault_of_another_thread_is_the_programs(void **state)
{
    (void)state;
    static const stranger strangers[] = {
        {"a thread of the program's faults", another_thread_faults, SIGSEGV, 0},
        {"the main thread faults", this_thread_faults, SIGSEGV, 0},
        {"the log sink faults", sink_faults, SIGSEGV, 0},
        {"a thread faults, and the program has a handler", own_handler_is_called, 0, HANDLED},
        {"a thread faults, and the program's handler jumps", own_handler_may_jump, 0, 0},
    };
    unsigned failed = 0;
    for (size_t i = 0; i < LENGTH(strangers); i++) {
        world = tina_test_world_make(1);
        world->name = strangers[i].name;
        world->deed = deed_write_null;
        int status = end_of(start_child(strangers[i].body));
        bool is_right = strangers[i].number != 0 ? WIFSIGNALED(status) && WTERMSIG(status) == strangers[i].number
                                                 : WIFEXITED(status) && WEXITSTATUS(status) == strangers[i].exit_status;
        if (!is_right)
            print_error("%s: ends with status %#x\n", strangers[i].name, (unsigned)status);
        failed += !is_right;
        tina_test_world_free(world);
    }
    assert_int_equal(failed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fault_in_a_handler_costs_what_the_rules_say),
        cmocka_unit_test(fault_in_an_init_costs_what_the_rules_say),
        cmocka_unit_test(fault_in_a_spawned_childs_init_costs_what_the_rules_say),
        cmocka_unit_test(fault_of_another_thread_is_the_programs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
