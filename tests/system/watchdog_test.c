/* Handlers that never return, or nearly: what the watchdog does about them, and about nobody else. */
/* ctest: label stress */
/* ctest: alone */
/* ctest: timeout 600 */
/* ctest: not under thread */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/witness.h"

#include <dirent.h>
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MS          1000000u
#define INTERVAL_NS (20 * (uint64_t)MS)

enum { LINES_MAX = 512, SUSPECT = 1, NEIGHBOUR = 2 };

/* What a suspect is told to do. */
enum { TAG_SPIN = TINA_TAG_USER, TAG_MEASURE, TAG_SEND, TAG_SPAWN, TAG_BROOD, TAG_NAP, TAG_WORK, TAG_PING };

typedef struct line {
    int shard;
    tina_level level;
    char text[TINA_LOG_LINE_MAX];
} line;

typedef struct witness {
    line lines[LINES_MAX]; /* written by the helper thread, before it counts */
    tina_test_count line_count;
    tina_test_count inits, begun, finished, interrupted, pings;
    tina_test_count stuck_inits; /* how many inits are to hang */
    tina_test_count released;
    _Atomic uint64_t used_ns; /* CPU time of the handler call that is, or was, measured */
    uint64_t work_ns;         /* CPU time that a TAG_WORK takes */
    _Atomic uint32_t spawn_status;
} witness;

static void keep_line(void *user, int shard, tina_level level, const char *text, size_t length)
{
    witness *seen = user;
    uint64_t index = tina_test_counted(&seen->line_count);
    if (index >= LINES_MAX || length >= TINA_LOG_LINE_MAX)
        return;
    line *kept = &seen->lines[index];
    kept->shard = shard;
    kept->level = level;
    memcpy(kept->text, text, length);
    kept->text[length] = '\0';
    tina_test_count_up(&seen->line_count);
}

/* ---- What suspects do --------------------------------------------------------------------- */

static _Atomic bool is_over;

static __attribute__((noinline)) void spin(void)
{
    while (!atomic_load_explicit(&is_over, memory_order_relaxed))
        continue;
}

static uint64_t cpu_ns(void)
{
    struct timespec used;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}

/* Until the end, or for work_ns. */
static void measure(witness *seen, uint64_t work_ns)
{
    uint64_t start_ns = cpu_ns(), used_ns = 0;
    while (used_ns < work_ns) {
        used_ns = cpu_ns() - start_ns;
        atomic_store_explicit(&seen->used_ns, used_ns, memory_order_relaxed);
    }
}

static void nap(witness *seen)
{
    const struct timespec time = {.tv_nsec = 100 * MS};
    while (tina_test_counted(&seen->released) == 0) {
        if (nanosleep(&time, NULL) != 0)
            tina_test_count_up(&seen->interrupted);
    }
}

static void send_for_ever(tina_ctx *ctx)
{
    uint64_t sum = 0;
    while (!atomic_load_explicit(&is_over, memory_order_relaxed))
        sum += tina_send(ctx, tina_self(ctx), TAG_PING, &sum, sizeof sum) == TINA_OK;
}

static void spawn_one(witness *seen, tina_ctx *ctx)
{
    const tina_spawn spawn = {.type = 0, .group = TINA_GROUP_NONE};
    atomic_store(&seen->spawn_status, tina_spawn_child(ctx, &spawn, NULL));
}

static void do_what_it_says(witness *seen, const tina_message *message, tina_ctx *ctx)
{
    switch (message->tag) {
    case TAG_SPIN: spin(); break;
    case TAG_MEASURE: measure(seen, UINT64_MAX); break;
    case TAG_WORK: measure(seen, seen->work_ns); break;
    case TAG_SEND: send_for_ever(ctx); break;
    case TAG_SPAWN: spawn_one(seen, ctx); break;
    case TAG_BROOD:
        for (;;)
            spawn_one(seen, ctx);
    case TAG_NAP: nap(seen); break;
    default: break;
    }
}

static tina_effect suspect_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size;
    witness *seen = tina_user(ctx);
    tina_test_count_up(&seen->inits);
    if (tina_test_counted(&seen->stuck_inits) >= tina_test_counted(&seen->inits))
        spin();
    return tina_receive();
}

static tina_effect suspect_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self;
    witness *seen = tina_user(ctx);
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    tina_test_count_up(&seen->begun);
    do_what_it_says(seen, message, ctx);
    tina_test_count_up(&seen->finished);
    return tina_receive();
}

static tina_effect neighbour_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size, (void)ctx;
    return tina_receive();
}

static tina_effect neighbour_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self;
    witness *seen = tina_user(ctx);
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    tina_test_count_up(&seen->pings);
    return tina_receive();
}

static const tina_type types[] = {
    {.name = "suspect", .init = suspect_init, .handler = suspect_handle, .size = 16, .slot_count = 4},
    {.name = "neighbour", .init = neighbour_init, .handler = neighbour_handle, .size = 16, .slot_count = 2},
};
static const tina_child children[] = {{.type = 0, .name = SUSPECT}, {.type = 1, .name = NEIGHBOUR}};

static tina_system_spec spec_for(witness *seen, size_t shard_count)
{
    atomic_store(&is_over, false);
    return (tina_system_spec){
        .types = types,
        .type_count = 2,
        .root = {.children = children, .child_count = 2, .restart_max = 10000},
        .shard_count = shard_count,
        .user = seen,
        .watchdog_interval_ns = INTERVAL_NS,
        .log_sink = keep_line,
        .log_user = seen,
    };
}

static witness *new_witness(void)
{
    witness *seen = calloc(1, sizeof *seen);
    assert_non_null(seen);
    return seen;
}

/* ---- What the test sees ------------------------------------------------------------------------ */

static void tell(tina_system *system, uint8_t shard, uint16_t name, tina_tag tag)
{
    assert_int_equal(tina_post(system, tina_named(shard, name), tag, NULL, 0), TINA_OK);
}

static uint64_t kills(const tina_system *system, uint8_t shard) { return tina_test_stats(system, shard).watchdog_kills; }

static unsigned lines_with(const witness *seen, const char *text)
{
    unsigned count = 0;
    uint64_t line_count = tina_test_counted(&seen->line_count);
    for (uint64_t i = 0; i < line_count; i++)
        count += strstr(seen->lines[i].text, text) != NULL;
    return count;
}

static const line *line_with(const witness *seen, const char *text)
{
    uint64_t line_count = tina_test_counted(&seen->line_count);
    for (uint64_t i = 0; i < line_count; i++) {
        if (strstr(seen->lines[i].text, text) != NULL)
            return &seen->lines[i];
    }
    fail_msg("no line with '%s'", text);
    return NULL;
}

/* "...+0x12)", the last of the line: where in the program, if it is the program. */
static bool is_in_spin(const char *text)
{
    Dl_info program;
    const char *plus = strrchr(text, '+');
    assert_int_not_equal(dladdr((void *)(uintptr_t)spin, &program), 0);
    const char *name = strrchr(program.dli_fname, '/');
    if (plus == NULL || strstr(text, name == NULL ? program.dli_fname : name + 1) == NULL)
        return false;
    uintptr_t offset = (uintptr_t)strtoull(plus + 1, NULL, 16);
    uintptr_t start = (uintptr_t)spin - (uintptr_t)program.dli_fbase;
    return offset >= start && offset < start + 1024;
}

static bool has_frame_in_spin(const witness *seen)
{
    uint64_t line_count = tina_test_counted(&seen->line_count);
    for (uint64_t i = 0; i < line_count; i++) {
        if (strncmp(seen->lines[i].text, "  at ", 5) == 0 && is_in_spin(seen->lines[i].text))
            return true;
    }
    return false;
}

/* The suspect on that shard is told to run away, is killed, and works again; its neighbour never stopped. */
static void runs_away_and_comes_back(tina_system *system, witness *seen, uint8_t shard, tina_tag how)
{
    uint64_t kills_before = kills(system, shard);
    uint64_t inits = tina_test_counted(&seen->inits), begun = tina_test_counted(&seen->begun);
    uint64_t finished = tina_test_counted(&seen->finished), pings = tina_test_counted(&seen->pings);
    tell(system, shard, SUSPECT, how);
    tina_test_await(&seen->begun, begun + 1);
    tell(system, shard, NEIGHBOUR, TAG_PING);
    tina_test_await(&seen->inits, inits + 1);
    tina_test_await(&seen->pings, pings + 1);
    tell(system, shard, SUSPECT, TAG_PING);
    tina_test_await(&seen->finished, finished + 1);
    tina_test_await_that(kills(system, shard) == kills_before + 1);
}

/* ---- Runaways ------------------------------------------------------------------------------------ */

static void loop_in_a_handler_is_reported_and_killed_alone(void **state)
{
    (void)state;
    witness *seen = new_witness();
    tina_system_spec spec = spec_for(seen, 1);
    tina_system *system = tina_test_start(&spec);
    runs_away_and_comes_back(system, seen, 0, TAG_SPIN);
    tina_test_await_that(lines_with(seen, "faulted: killed by the watchdog") == 1);
    const line *report = line_with(seen, "the watchdog kills it");
    assert_int_equal(report->shard, 0);
    assert_int_equal(report->level, TINA_LOG_ERROR);
    assert_ptr_equal(strstr(report->text, "suspect/0: "), report->text);
    assert_int_equal(lines_with(seen, "the watchdog kills it"), 1);
    assert_true(has_frame_in_spin(seen));
    tina_test_end(system, NULL);
    free(seen);
}

static void loop_of_runtime_calls_is_killed(void **state)
{
    (void)state;
    witness *seen = new_witness();
    tina_system_spec spec = spec_for(seen, 1);
    tina_system *system = tina_test_start(&spec);
    runs_away_and_comes_back(system, seen, 0, TAG_SEND);
    tina_test_end(system, NULL);
    free(seen);
}

static void loop_after_loop_is_killed(void **state)
{
    (void)state;
    witness *seen = new_witness();
    tina_system_spec spec = spec_for(seen, 1);
    spec.watchdog_interval_ns = 2 * MS;
    tina_system *system = tina_test_start(&spec);
    for (int i = 0; i < 50; i++)
        runs_away_and_comes_back(system, seen, 0, i % 2 == 0 ? TAG_SPIN : TAG_SEND);
    assert_int_equal(kills(system, 0), 50);
    tina_test_end(system, NULL);
    free(seen);
}

static void loops_on_two_shards_are_killed_both(void **state)
{
    (void)state;
    witness *seen = new_witness();
    tina_system_spec spec = spec_for(seen, 2);
    tina_system *system = tina_test_start(&spec);
    tell(system, 0, SUSPECT, TAG_SPIN);
    tell(system, 1, SUSPECT, TAG_SPIN);
    tina_test_await(&seen->inits, 4);
    tina_test_await_that(kills(system, 0) == 1);
    tina_test_await_that(kills(system, 1) == 1);
    tina_test_end(system, NULL);
    free(seen);
}

/* The killed call used at least its limit; at least one of several, at most an interval more. */
static void kill_comes_at_the_limit_of_cpu_time(void **state)
{
    (void)state;
    witness *seen = new_witness();
    tina_system_spec spec = spec_for(seen, 1);
    spec.watchdog_interval_ns = 200 * MS;
    spec.watchdog_stalls = 1;
    uint64_t limit_ns = spec.watchdog_interval_ns, least_ns = UINT64_MAX;
    tina_system *system = tina_test_start(&spec);
    for (int i = 0; i < 20 && least_ns > limit_ns + spec.watchdog_interval_ns; i++) {
        runs_away_and_comes_back(system, seen, 0, TAG_MEASURE);
        uint64_t used_ns = atomic_load(&seen->used_ns);
        assert_true(used_ns + MS >= limit_ns); /* the last of it was not written down */
        least_ns = used_ns < least_ns ? used_ns : least_ns;
    }
    assert_true(least_ns <= limit_ns + spec.watchdog_interval_ns);
    tina_test_end(system, NULL);
    free(seen);
}

static void loop_in_the_init_of_a_static_child_is_killed(void **state)
{
    (void)state;
    witness *seen = new_witness();
    tina_system_spec spec = spec_for(seen, 1);
    tina_test_count_up(&seen->stuck_inits);
    tina_system *system = tina_test_start(&spec); /* the second try is up */
    assert_int_equal(tina_test_counted(&seen->inits), 2);
    tina_test_await_that(kills(system, 0) == 1);
    assert_true(has_frame_in_spin(seen));
    tell(system, 0, SUSPECT, TAG_PING);
    tina_test_await(&seen->finished, 1);
    tina_test_end(system, NULL);
    free(seen);
}

static void loop_in_the_init_of_a_spawned_child_fails_that_spawn(void **state)
{
    (void)state;
    witness *seen = new_witness();
    tina_system_spec spec = spec_for(seen, 1);
    tina_system *system = tina_test_start(&spec);
    tina_test_count_up(&seen->stuck_inits);
    tina_test_count_up(&seen->stuck_inits);
    tell(system, 0, SUSPECT, TAG_SPAWN);
    tina_test_await(&seen->finished, 1); /* the spawner goes on */
    assert_int_equal(atomic_load(&seen->spawn_status), TINA_INIT_FAILED);
    tina_test_await_that(kills(system, 0) == 1);
    assert_int_equal(tina_test_counted(&seen->inits), 2);
    tell(system, 0, SUSPECT, TAG_SPAWN);
    tina_test_await(&seen->finished, 2);
    assert_int_equal(atomic_load(&seen->spawn_status), TINA_OK);
    tina_test_end(system, NULL);
    free(seen);
}

static void handler_that_never_stops_spawning_what_hangs_is_killed_too(void **state)
{
    (void)state;
    witness *seen = new_witness();
    tina_system_spec spec = spec_for(seen, 1);
    tina_system *system = tina_test_start(&spec);
    for (int i = 0; i < 3; i++)
        tina_test_count_up(&seen->stuck_inits);
    tell(system, 0, SUSPECT, TAG_BROOD);
    tell(system, 0, NEIGHBOUR, TAG_PING);
    tina_test_await(&seen->pings, 1);
    tina_test_await(&seen->inits, 4);
    tina_test_await_that(kills(system, 0) == 3); /* two inits, and with the second of them the handler */
    tell(system, 0, SUSPECT, TAG_PING);
    tina_test_await(&seen->finished, 1);
    tina_test_end(system, NULL);
    free(seen);
}

/* ---- Reports only ------------------------------------------------------------------------------------- */

/* Nothing happens to a handler that goes on for as many looks as make two intervals. */
static void goes_on_after_its_report(tina_system *system, witness *seen)
{
    tina_test_await_that(lines_with(seen, "the watchdog only reports it") == 1);
    uint64_t start_ns = atomic_load(&seen->used_ns);
    tina_test_await_that(atomic_load(&seen->used_ns) > start_ns + 2 * INTERVAL_NS);
    assert_int_equal(lines_with(seen, "the watchdog"), 1);
    assert_int_equal(kills(system, 0), 0);
    assert_int_equal(tina_test_counted(&seen->inits), 1);
}

static void loop_is_only_reported_where_the_spec_says_so(void **state)
{
    (void)state;
    witness *seen = new_witness();
    tina_system_spec spec = spec_for(seen, 1);
    spec.watchdog_stalls = TINA_NONE;
    seen->work_ns = 10 * INTERVAL_NS;
    tina_system *system = tina_test_start(&spec);
    tell(system, 0, SUSPECT, TAG_WORK);
    goes_on_after_its_report(system, seen);
    assert_true(lines_with(seen, "  at ") > 0);
    tina_test_await(&seen->finished, 1);
    tina_test_end(system, NULL);
    free(seen);
}

static void loop_is_only_reported_where_no_signal_may_be_sent(void **state)
{
    (void)state;
    witness *seen = new_witness();
    tina_system_spec spec = spec_for(seen, 1);
    spec.signals = TINA_SIGNALS_NONE;
    seen->work_ns = 10 * INTERVAL_NS;
    tina_system *system = tina_test_start(&spec);
    tell(system, 0, SUSPECT, TAG_WORK);
    goes_on_after_its_report(system, seen);
    assert_int_equal(lines_with(seen, "  at "), 0);
    tina_test_await(&seen->finished, 1);
    tina_test_end(system, NULL);
    free(seen);
}

static void without_a_watchdog_nobody_looks(void **state)
{
    (void)state;
    witness *seen = new_witness();
    tina_system_spec spec = spec_for(seen, 1);
    spec.watchdog_interval_ns = TINA_NONE_NS;
    seen->work_ns = 10 * INTERVAL_NS;
    tina_system *system = tina_test_start(&spec);
    tell(system, 0, SUSPECT, TAG_WORK);
    tina_test_await(&seen->finished, 1);
    assert_int_equal(kills(system, 0), 0);
    assert_int_equal(lines_with(seen, "watchdog"), 0);
    tina_test_end(system, NULL);
    free(seen);
}

/* ---- Those that wait ------------------------------------------------------------------------------------- */

static void handler_that_sleeps_is_reported_and_left_alone(void **state)
{
    (void)state;
    witness *seen = new_witness();
    tina_system_spec spec = spec_for(seen, 1);
    tina_system *system = tina_test_start(&spec);
    tell(system, 0, SUSPECT, TAG_NAP);
    tina_test_await_that(lines_with(seen, "blocked in") == 1);
    tina_test_count_up(&seen->released);
    tina_test_await(&seen->finished, 1);
    const line *report = line_with(seen, "blocked in");
    assert_int_equal(report->shard, 0);
    assert_int_equal(report->level, TINA_LOG_WARN);
    assert_ptr_equal(strstr(report->text, "suspect/0: "), report->text);
    assert_non_null(strstr(report->text, "nanosleep (system call "));
    assert_int_equal(tina_test_counted(&seen->interrupted), 0);
    assert_int_equal(tina_test_counted(&seen->inits), 1);
    assert_int_equal(kills(system, 0), 0);
    tina_test_end(system, NULL);
    free(seen);
}

/* ---- Nobody else ------------------------------------------------------------------------------------------ */

enum { BUSY_MAX = 64 };

/* Two processes for each core, that want all of it. */
static size_t start_busy_processes(pid_t busy[BUSY_MAX])
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    size_t count = cores > 0 && cores < BUSY_MAX / 2 ? 2 * (size_t)cores : BUSY_MAX;
    for (size_t i = 0; i < count; i++) {
        busy[i] = fork();
        assert_true(busy[i] >= 0);
        if (busy[i] == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL); /* whatever becomes of the test */
            spin();
            _exit(0);
        }
    }
    return count;
}

static void end_busy_processes(const pid_t *busy, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        kill(busy[i], SIGKILL);
        assert_true(WIFSIGNALED(tina_test_reap(busy[i])));
    }
}

static void handlers_within_their_limit_live_however_busy_the_machine(void **state)
{
    (void)state;
    witness *seen = new_witness();
    pid_t busy[BUSY_MAX];
    uint64_t rounds = getenv("TINA_SOAK") != NULL ? 1000 : 20; /* a minute or more */
    tina_system_spec spec = spec_for(seen, 1);
    seen->work_ns = 2 * INTERVAL_NS / 10 * 9;
    size_t busy_count = start_busy_processes(busy);
    tina_system *system = tina_test_start(&spec);
    for (uint64_t i = 1; i <= rounds; i++) {
        tell(system, 0, SUSPECT, TAG_WORK);
        tina_test_await(&seen->finished, i);
    }
    assert_int_equal(kills(system, 0), 0);
    assert_int_equal(tina_test_counted(&seen->inits), 1);
    assert_int_equal(tina_test_counted(&seen->line_count), 0);
    runs_away_and_comes_back(system, seen, 0, TAG_SPIN);
    end_busy_processes(busy, busy_count);
    tina_test_end(system, NULL);
    free(seen);
}

/* How often the thread of that name has gone to sleep. */
static uint64_t voluntary_switches(const char *name)
{
    char path[300], text[2048] = "";
    uint64_t switches = 0;
    DIR *tasks = opendir("/proc/self/task");
    assert_non_null(tasks);
    for (struct dirent *task; (task = readdir(tasks)) != NULL;) {
        snprintf(path, sizeof path, "/proc/self/task/%s/status", task->d_name);
        FILE *file = fopen(path, "re");
        if (file == NULL)
            continue;
        text[fread(text, 1, sizeof text - 1, file)] = '\0';
        fclose(file);
        const char *is = strstr(text, name), *found = strstr(text, "\nvoluntary_ctxt_switches:");
        if (is != NULL && found != NULL)
            switches += strtoull(found + sizeof "\nvoluntary_ctxt_switches:" - 1, NULL, 10);
    }
    closedir(tasks);
    return switches;
}

/* Soon there is a time in which it would have looked 20 times, and has not woken up once. */
static void await_quiet_helper(void)
{
    uint64_t before = 0, now = voluntary_switches("\ttina helper");
    assert_true(now > 0);
    for (int i = 0; i < 100 && now != before; i++) {
        before = now;
        nanosleep(&(struct timespec){.tv_nsec = 5 * (long)INTERVAL_NS}, NULL);
        now = voluntary_switches("\ttina helper");
    }
    assert_int_equal(now, before);
}

static void system_that_is_idle_is_not_looked_at(void **state)
{
    (void)state;
    witness *seen = new_witness();
    tina_system_spec spec = spec_for(seen, 2);
    tina_system *system = tina_test_start(&spec);
    for (uint8_t shard = 0; shard < 2; shard++) {
        await_quiet_helper();
        runs_away_and_comes_back(system, seen, shard, TAG_SPIN); /* and once it is not, it is seen */
    }
    await_quiet_helper();
    tina_test_end(system, NULL);
    free(seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loop_in_a_handler_is_reported_and_killed_alone),
        cmocka_unit_test(loop_of_runtime_calls_is_killed),
        cmocka_unit_test(loop_after_loop_is_killed),
        cmocka_unit_test(loops_on_two_shards_are_killed_both),
        cmocka_unit_test(kill_comes_at_the_limit_of_cpu_time),
        cmocka_unit_test(loop_in_the_init_of_a_static_child_is_killed),
        cmocka_unit_test(loop_in_the_init_of_a_spawned_child_fails_that_spawn),
        cmocka_unit_test(handler_that_never_stops_spawning_what_hangs_is_killed_too),
        cmocka_unit_test(loop_is_only_reported_where_the_spec_says_so),
        cmocka_unit_test(loop_is_only_reported_where_no_signal_may_be_sent),
        cmocka_unit_test(without_a_watchdog_nobody_looks),
        cmocka_unit_test(handler_that_sleeps_is_reported_and_left_alone),
        cmocka_unit_test(handlers_within_their_limit_live_however_busy_the_machine),
        cmocka_unit_test(system_that_is_idle_is_not_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
