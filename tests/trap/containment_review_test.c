/*
 * Where containment has to hold in the midst of something: a call into the runtime
 * that has no stack left, an init in a handler, a forked child, a boot that is being
 * undone, a log that nobody takes, a handler that hears of the end.
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

#define MS        1000000u
#define PLENTY    1000000u /* of restarts */
#define CALM      100u     /* looks in a row */
#define NAME      1
#define TAG_ACT   TINA_TAG_USER
#define TAG_CLOCK (TINA_TAG_USER + 1)

/* In a function that returns an int: 1, and told, where it does not hold within half a minute. */
#define AWAIT(condition)                                                                                                    \
    do {                                                                                                                    \
        unsigned looks_ = 0;                                                                                                \
        while (!(condition)) {                                                                                              \
            if (!tina_test_look_again(looks_++))                                                                            \
                CHECK(condition);                                                                                           \
        }                                                                                                                   \
    } while (0)

/* ---- A system of few, whose isolates count here ------------------------------------------------ */

typedef struct scenery {
    tina_test_count inits, strays;
    tina_test_count dumps;       /* heads of dumps that the sink got */
    tina_test_count ends, finds; /* that the watcher heard of; names that it found somebody by then */
    _Atomic bool is_over;        /* nobody is to loop any more */
    _Atomic bool is_silent;      /* the sink does not come back */
    _Atomic pid_t forked;
    pid_t program;
} scenery;

static scenery *seen; /* the test's children and theirs share it */

static tina_effect answer_the_end(const tina_message *message)
{
    return message->tag == TINA_TAG_SHUTDOWN ? tina_done() : tina_receive();
}

static tina_effect init_plainly(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size, (void)ctx;
    tina_test_count_up(&seen->inits);
    return tina_receive();
}

static void take_line(void *user, int shard, tina_level level, const char *line, size_t length)
{
    (void)user, (void)shard, (void)level;
    while (seen->is_silent)
        usleep(1000);
    if (memmem(line, length, "the last ", strlen("the last ")) != NULL)
        tina_test_count_up(&seen->dumps);
}

static tina_system_spec spec_of(const tina_type *types, size_t type_count, const tina_child *child)
{
    return (tina_system_spec){
        .types = types,
        .type_count = type_count,
        .shard_count = 1,
        .root = {.children = child, .child_count = 1, .restart_max = PLENTY},
        .shard_restart_max = 1000,
        .development = true,
        .log_sink = take_line,
    };
}

static tina_stats stats_of(tina_system *system)
{
    tina_stats stats = {0};
    tina_ignore(tina_shard_stats(system, 0, &stats));
    return stats;
}

static int ends_well(tina_system *system)
{
    tina_end_report report;
    tina_stop(system);
    CHECK(tina_join(system, &report) == TINA_OK);
    CHECK(report.undrained_count == 0 && report.stuck_shards == 0);
    CHECK(report.total.isolates == 0 && report.total.messages.used == 0 && report.total.timers.used == 0);
    return 0;
}

/* ---- Stacks that end in the runtime ---------------------------------------------------------------- */

typedef void call_fn(tina_ctx *ctx);

static void cancel_nothing(tina_ctx *ctx) { (void)tina_timer_cancel(ctx, (tina_timer){0}); }

static void send_to_oneself(tina_ctx *ctx)
{
    tina_ignore(tina_send(ctx, tina_self(ctx), TINA_TEST_TAG_LETTER, "letter", sizeof "letter"));
}

static void say_something(tina_ctx *ctx) { tina_log(ctx, TINA_LOG_DEBUG, "%d and %s", 1, "another"); }

static UNWATCHED unsigned descend_with(tina_ctx *ctx, call_fn *call, const volatile char *above)
{
    volatile char frame[64];
    frame[0] = *above;
    if (null != NULL) /* never: but no compiler knows that this has no end */
        return 0;
    call(ctx);
    return descend_with(ctx, call, frame) + (unsigned)frame[0];
}

static void deed_descend_and_cancel(const tina_test_scene *scene) { (void)descend_with(scene->ctx, cancel_nothing, "."); }
static void deed_descend_and_send(const tina_test_scene *scene) { (void)descend_with(scene->ctx, send_to_oneself, "."); }
static void deed_descend_and_log(const tina_test_scene *scene) { (void)descend_with(scene->ctx, say_something, "."); }

typedef struct descent {
    const char *name;
    void (*commit)(const tina_test_scene *scene);
} descent;

static const descent descents[] = {
    {"a timer is cancelled at each level", deed_descend_and_cancel},
    {"something is sent at each level", deed_descend_and_send},
    {"something is logged at each level", deed_descend_and_log},
};

static tina_test_world *world; /* of the case that is tried: a child inherits it */

/* Lines of the log are not judged: some descents fill it. */
static bool costs_the_isolate(void)
{
    TINA_TEST_EXPECT(world, tina_test_world_readies(world, 0));
    tina_test_moment before = tina_test_world_now(world);
    TINA_TEST_EXPECT(world, tina_test_world_begins(world, 0));
    TINA_TEST_AWAIT(world, tina_test_world_now(world).shards[0].stats.faults != before.shards[0].stats.faults);
    TINA_TEST_EXPECT(world, tina_test_world_readies(world, 0));
    tina_test_moment after = tina_test_world_now(world);
    TINA_TEST_EXPECT(world, after.shards[0].stats.faults == before.shards[0].stats.faults + 1);
    TINA_TEST_EXPECT(world, after.shards[0].stats.shard_restarts == 0);
    TINA_TEST_EXPECT(world, after.shards[0].inits[TINA_TEST_ANSWERER] == 1);
    TINA_TEST_EXPECT(world, after.shards[0].survivors == 0);
    TINA_TEST_EXPECT(world, tina_test_world_talks(world, 0) && tina_test_world_is_whole(world, 0));
    return true;
}

static int descends_three_times(void)
{
    CHECK(tina_test_world_start(world));
    for (unsigned round = 1; round <= 3; round++)
        CHECK(costs_the_isolate());
    CHECK(tina_test_world_end(world));
    return 0;
}

static unsigned try_descent(const descent *of, tina_test_place place)
{
    world = tina_test_world_make(1);
    world->name = of->name;
    world->place = place;
    world->deed = of->commit;
    int status = end_of(start_child(descends_three_times));
    if (status != 0)
        print_error("%s, in place %d: ends with status %#x\n", of->name, place, (unsigned)status);
    tina_test_world_free(world);
    return status != 0;
}

static void recursion_through_the_runtime_costs_the_isolate(void **state)
{
    (void)state;
    unsigned failed = 0;
    for (size_t i = 0; i < LENGTH(descents); i++) {
        for (int place = 0; place < TINA_TEST_PLACE_COUNT; place++)
            failed += try_descent(&descents[i], (tina_test_place)place);
    }
    assert_int_equal(failed, 0);
}

/* ---- Spawns without end -------------------------------------------------------------------------------- */

#define KILLS 100u

enum { SPAWNER, DONE_AT_ONCE, CRASHES_AT_ONCE };
static uint8_t spawned_type;

static tina_effect init_to_go_on(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)init_plainly(self, args, args_size, ctx);
    return tina_yield();
}

static tina_effect spawn_for_ever(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self;
    while (message->tag != TINA_TAG_SHUTDOWN && !seen->is_over)
        tina_ignore(tina_spawn_child(ctx, &(tina_spawn){.type = spawned_type, .group = TINA_GROUP_NONE}, NULL));
    return answer_the_end(message);
}

static tina_effect init_to_be_done(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size, (void)ctx;
    return tina_done();
}

static tina_effect init_to_crash(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size, (void)ctx;
    return tina_crash(1);
}

static tina_effect handle_plainly(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self, (void)ctx;
    return answer_the_end(message);
}

static int is_killed_again_and_again(void)
{
    const tina_type types[] = {
        [SPAWNER] = {.name = "spawner", .init = init_to_go_on, .handler = spawn_for_ever, .size = 8},
        [DONE_AT_ONCE] = {.name = "done", .init = init_to_be_done, .handler = handle_plainly, .size = 8, .slot_count = 4},
        [CRASHES_AT_ONCE] = {.name = "crash", .init = init_to_crash, .handler = handle_plainly, .size = 8, .slot_count = 4},
    };
    tina_system_spec spec = spec_of(types, LENGTH(types), &(tina_child){.type = SPAWNER});
    tina_system *system = NULL;
    spec.watchdog_interval_ns = 4 * MS;
    spec.watchdog_stalls = 1;
    CHECK(tina_start(&spec, &system, NULL) == TINA_OK);
    AWAIT(stats_of(system).watchdog_kills >= KILLS && tina_test_counted(&seen->inits) > KILLS / 2);
    seen->is_over = true;
    CHECK(stats_of(system).shard_restarts == 0);
    CHECK(stats_of(system).faults == stats_of(system).watchdog_kills);
    return ends_well(system);
}

static int spawns_who_are_done(void)
{
    spawned_type = DONE_AT_ONCE;
    return is_killed_again_and_again();
}

static int spawns_who_crash(void)
{
    spawned_type = CRASHES_AT_ONCE;
    return is_killed_again_and_again();
}

/* ---- Forks ------------------------------------------------------------------------------------------------ */

static void (*forked_deed)(const tina_test_scene *scene);

static void count_strays(void)
{
    if (getpid() != seen->program)
        tina_test_count_up(&seen->strays);
}

static tina_effect init_with_a_clock(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    count_strays();
    if (tina_timer_repeat(ctx, MS, TAG_CLOCK, NULL) != TINA_OK)
        return tina_crash(1);
    return init_plainly(self, args, args_size, ctx);
}

static tina_effect fork_when_told(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self, (void)ctx;
    count_strays();
    if (message->tag != TAG_ACT)
        return answer_the_end(message);
    pid_t child = fork();
    if (child == 0) {
        forked_deed(NULL);
        _exit(0);
    }
    seen->forked = child;
    return tina_receive();
}

/* -1: it does not end by itself. */
static int end_of_the_forked(void)
{
    int status = -1;
    unsigned looks = 0;
    pid_t child = seen->forked;
    while (waitpid(child, &status, WNOHANG) == 0) {
        if (tina_test_counted(&seen->strays) == 0 && tina_test_look_again(looks++))
            continue;
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
        return -1;
    }
    return status;
}

static int forks(int number)
{
    const tina_type type = {.name = "forker", .init = init_with_a_clock, .handler = fork_when_told, .size = 8};
    tina_system_spec spec = spec_of(&type, 1, &(tina_child){.name = NAME});
    tina_system *system = NULL;
    seen->program = getpid();
    spec.backend = TINA_BACKEND_EPOLL; /* a ring would be shared with the child */
    spec.on_abort = TINA_SUSPECT_ISOLATE;
    CHECK(tina_start(&spec, &system, NULL) == TINA_OK);
    for (unsigned round = 1; round <= 3; round++) {
        seen->forked = 0;
        CHECK(tina_post(system, tina_named(0, NAME), TAG_ACT, NULL, 0) == TINA_OK);
        AWAIT(seen->forked != 0);
        int status = end_of_the_forked();
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == number);
        CHECK(tina_test_counted(&seen->strays) == 0);
    }
    CHECK(stats_of(system).faults == 0 && tina_test_counted(&seen->inits) == 1);
    return ends_well(system);
}

static int forks_who_faults(void)
{
    forked_deed = deed_write_null;
    return forks(SIGSEGV);
}

static int forks_who_aborts(void)
{
    forked_deed = deed_abort;
    return forks(SIGABRT);
}

/* ---- Boots that fail ----------------------------------------------------------------------------------------- */

static tina_effect init_to_fail_or_loop(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size;
    while (tina_shard(ctx) != 0)
        tina_test_count_up(&seen->inits);
    return tina_crash(1);
}

/* Set once, a handler has a flag of the C library's that one which never was set lacks. */
static void set_default_handlers(void)
{
    static const int stopping[] = {SIGTERM, SIGINT, SIGPIPE, SIGUSR1, SIGUSR2};
    for (size_t i = 0; i < LENGTH(stopping); i++)
        set_handler(stopping[i], SIG_DFL, 0);
}

static bool is_as_before(const tina_test_holdings *before)
{
    tina_test_holdings now;
    tina_test_hold(&now);
    return now.fds == before->fds && now.threads == before->threads && tina_test_has_same_handlers(&now, before);
}

static int leaves_nothing_of_a_failed_boot(uint64_t watchdog_interval_ns)
{
    const tina_type type = {.name = "it", .init = init_to_fail_or_loop, .handler = handle_plainly, .size = 8};
    tina_system_spec spec = spec_of(&type, 1, &(tina_child){.type = 0});
    tina_test_holdings before;
    spec.shard_count = 2;
    spec.root.restart_max = 3;
    spec.signals = TINA_SIGNALS_ALL;
    spec.watchdog_interval_ns = watchdog_interval_ns;
    set_default_handlers();
    tina_test_hold(&before);
    for (unsigned round = 1; round <= 2; round++) {
        tina_system *system = NULL;
        CHECK(tina_start(&spec, &system, NULL) == TINA_INIT_FAILED);
        AWAIT(is_as_before(&before)); /* a thread may be on its way out */
    }
    return 0;
}

static int fails_to_boot_and_loops(void) { return leaves_nothing_of_a_failed_boot(20 * MS); }
/* The watchdog takes longer than others are given to come back. */
static int fails_to_boot_and_loops_for_long(void) { return leaves_nothing_of_a_failed_boot(0); }

static tina_effect init_to_fault_soon(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size;
    return tina_send(ctx, tina_self(ctx), TINA_TAG_USER, NULL, 0) == TINA_OK ? tina_receive() : tina_crash(1);
}

static tina_effect handle_by_a_fault(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self, (void)message, (void)ctx;
    deed_write_null(NULL);
    return tina_receive();
}

static tina_effect init_to_call_off(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size;
    tina_stop_system(ctx);
    return tina_crash(1);
}

/* The shard is lost in the tick in which its start was called off. */
static int comes_to_its_end_called_off_and_faulted(void)
{
    const tina_type types[] = {
        {.name = "it",
         .init = init_to_fault_soon,
         .handler = handle_by_a_fault,
         .size = 8,
         .slot_count = 1,
         .containment = TINA_CONTAIN_SHARD},
        {.name = "other", .init = init_to_call_off, .handler = handle_plainly, .size = 8, .slot_count = 1},
    };
    const tina_child children[] = {{.type = 0}, {.type = 1}};
    tina_system_spec spec = spec_of(types, 2, children);
    tina_test_holdings before;
    spec.root.child_count = 2;
    set_default_handlers();
    tina_test_hold(&before);
    tina_system *system = NULL;
    CHECK(tina_start(&spec, &system, NULL) == TINA_INIT_FAILED);
    AWAIT(is_as_before(&before));
    return 0;
}

/* ---- Logs that nobody takes -------------------------------------------------------------------------------------- */

#define WIPES     4u
#define TICKS_MAX 100000u /* of one that sleeps: far fewer; one that spins has as many in a moment */

static tina_effect fault_when_told(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self, (void)ctx;
    if (message->tag == TAG_ACT)
        deed_write_null(NULL);
    return answer_the_end(message);
}

/* One that spins has done something in nearly every millisecond. */
static bool is_calm(tina_system *system)
{
    uint64_t ticks = stats_of(system).ticks;
    for (unsigned look = 0; look < CALM; look++) {
        (void)tina_test_look_again(0);
        if (stats_of(system).ticks != ticks)
            return false;
    }
    return true;
}

static int sleeps_though_nobody_takes_the_log(void)
{
    const tina_type type = {
        .name = "bomb", .init = init_plainly, .handler = fault_when_told, .size = 8, .containment = TINA_CONTAIN_SHARD};
    tina_system_spec spec = spec_of(&type, 1, &(tina_child){.name = NAME});
    tina_system *system = NULL;
    CHECK(tina_start(&spec, &system, NULL) == TINA_OK);
    seen->is_silent = true;
    for (unsigned wipe = 1; wipe <= WIPES; wipe++) {
        CHECK(tina_post(system, tina_named(0, NAME), TAG_ACT, NULL, 0) == TINA_OK);
        AWAIT(stats_of(system).shard_restarts == wipe && tina_test_counted(&seen->inits) == 1 + wipe);
    }
    AWAIT(is_calm(system));
    CHECK(stats_of(system).ticks < TICKS_MAX);
    seen->is_silent = false;
    AWAIT(tina_test_counted(&seen->dumps) >= 2); /* the first, and one that was owed */
    AWAIT(is_calm(system));
    return ends_well(system);
}

/* ---- Ends that are heard of ---------------------------------------------------------------------------------------- */

#define ENDS 20u

static tina_effect watch_it_fault(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (message->tag == TINA_TAG_DOWN) {
        tina_test_count_up(&seen->ends);
        if (tina_send(ctx, tina_named(0, NAME), TAG_CLOCK, NULL, 0) == TINA_OK)
            tina_test_count_up(&seen->finds);
    }
    if (tina_test_counted(&seen->ends) < ENDS) {
        tina_ignore(tina_watch(ctx, tina_named(0, NAME)));
        tina_ignore(tina_send(ctx, tina_named(0, NAME), TAG_ACT, NULL, 0));
    }
    return tina_receive();
}

static int hears_when_it_is_up_again(void)
{
    const tina_type types[] = {
        {.name = "bomb", .init = init_plainly, .handler = fault_when_told, .size = 8},
        {.name = "watcher", .init = init_plainly, .handler = watch_it_fault, .size = 8},
    };
    const tina_child children[] = {{.name = NAME}, {.name = NAME + 1, .type = 1}};
    tina_system_spec spec = spec_of(types, 2, children);
    tina_system *system = NULL;
    spec.root.child_count = 2;
    spec.root.restart_max = PLENTY;
    CHECK(tina_start(&spec, &system, NULL) == TINA_OK);
    CHECK(tina_post(system, tina_named(0, NAME + 1), TAG_CLOCK, NULL, 0) == TINA_OK);
    AWAIT(tina_test_counted(&seen->ends) == ENDS);
    AWAIT(tina_test_counted(&seen->finds) == ENDS);
    return ends_well(system);
}

/* ---- Cases ------------------------------------------------------------------------------------------------------ */

static void passes(int (*const *bodies)(void), size_t count)
{
    for (size_t i = 0; i < count; i++) {
        seen = mmap(NULL, sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        assert_ptr_not_equal(seen, MAP_FAILED);
        passes_in_child(bodies[i]);
        munmap(seen, sizeof *seen);
    }
}

#define PASSES(...)                                                                                                         \
    do {                                                                                                                    \
        static int (*const bodies_[])(void) = {__VA_ARGS__};                                                                \
        passes(bodies_, LENGTH(bodies_));                                                                                   \
    } while (0)

static void spawns_without_end_never_cost_the_shard(void **state)
{
    (void)state;
    PASSES(spawns_who_are_done, spawns_who_crash);
}

static void fault_in_a_handlers_forked_child_ends_that_child(void **state)
{
    (void)state;
    PASSES(forks_who_faults, forks_who_aborts);
}

static void boot_that_fails_beside_an_init_that_loops_leaves_nothing(void **state)
{
    (void)state;
    PASSES(fails_to_boot_and_loops, fails_to_boot_and_loops_for_long);
}

static void fault_in_a_start_that_is_called_off_leaves_nothing(void **state)
{
    (void)state;
    PASSES(comes_to_its_end_called_off_and_faulted);
}

static void shard_whose_log_nobody_takes_sleeps_after_wipes(void **state)
{
    (void)state;
    PASSES(sleeps_though_nobody_takes_the_log);
}

static void end_by_a_fault_is_heard_of_when_the_restart_is_done(void **state)
{
    (void)state;
    PASSES(hears_when_it_is_up_again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recursion_through_the_runtime_costs_the_isolate),
        cmocka_unit_test(spawns_without_end_never_cost_the_shard),
        cmocka_unit_test(fault_in_a_handlers_forked_child_ends_that_child),
        cmocka_unit_test(boot_that_fails_beside_an_init_that_loops_leaves_nothing),
        cmocka_unit_test(fault_in_a_start_that_is_called_off_leaves_nothing),
        cmocka_unit_test(shard_whose_log_nobody_takes_sleeps_after_wipes),
        cmocka_unit_test(end_by_a_fault_is_heard_of_when_the_restart_is_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
