/* What the helper makes of a shard's dump: lines for the sink, some at a time. */
#include "run/dump.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "support/guard.h"

#define SHARD   1
#define COUNT   256
#define AT_ONCE 64

/* ---- A system of two shards, of which the second has a log, a trace and nothing else ------------------ */

static struct {
    uint32_t count;
    int shard;
    tina_level level;
    char latest[TINA_LOG_LINE_MAX];
    char heading[TINA_LOG_LINE_MAX];
} lines;

static tina_type types[] = {{.name = "worker"}};
static tina_system_spec spec = {.types = types, .type_count = 1, .log_user = &lines};
static tina__plan plans[SHARD + 1];
static void *bases[SHARD + 1];
static tina_system machine;
static tina__shard_public publics[SHARD + 1];
static tina__trace *trace;
static tina_test_guard memory;
static tina__log_ring *log_ring;
static uint8_t log_bytes[1024];
static tina__dump progress;

static void keep_line(void *user, int shard, tina_level level, const char *line, size_t length)
{
    assert_ptr_equal(user, &lines);
    assert_in_range(length, 1, TINA_LOG_LINE_MAX - 1);
    memcpy(lines.latest, line, length);
    lines.latest[length] = '\0';
    if (line[0] != ' ')
        memcpy(lines.heading, lines.latest, length + 1);
    lines.shard = shard;
    lines.level = level;
    lines.count++;
}

/* The dump is the last region: who reads past it faults. */
static int make(void **state)
{
    (void)state;
    size_t events = COUNT * sizeof(tina__event);
    size_t first = sizeof(tina__log_ring) + tina__align_up(sizeof(tina__trace), TINA__CACHE_LINE);
    memory = tina_test_guard_make(first + 2 * events, TINA__CACHE_LINE);
    memset(&lines, 0, sizeof lines);
    bases[SHARD] = memory.data;
    plans[SHARD].limits.trace_count = COUNT;
    plans[SHARD].regions[TINA__REGION_LOG].offset = 0;
    plans[SHARD].regions[TINA__REGION_TRACE].offset = sizeof(tina__log_ring);
    plans[SHARD].regions[TINA__REGION_TRACE_EVENTS].offset = first;
    plans[SHARD].regions[TINA__REGION_TRACE_DUMP].offset = first + events;
    publics[SHARD].bell.wake_fd = -1; /* rung, but nobody sleeps */
    machine = (tina_system){
        .spec = &spec, .publics = publics, .plans = plans, .bases = bases, .shard_count = SHARD + 1, .log_sink = keep_line};
    trace = tina__plan_at(&plans[SHARD], bases[SHARD], TINA__REGION_TRACE);
    tina__trace_init(trace, tina__plan_at(&plans[SHARD], bases[SHARD], TINA__REGION_TRACE_EVENTS),
                     tina__plan_at(&plans[SHARD], bases[SHARD], TINA__REGION_TRACE_DUMP), COUNT);
    log_ring = tina__plan_at(&plans[SHARD], bases[SHARD], TINA__REGION_LOG);
    tina__log_ring_init(log_ring, log_bytes, sizeof log_bytes);
    progress = (tina__dump){0};
    return 0;
}

static int end(void **state)
{
    (void)state;
    tina_test_guard_free(&memory);
    return 0;
}

/* Events whose ticks are their numbers. */
static void add(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        tina__trace_add(trace, tina__trace_written(trace), TINA__EVENT_UP, tina__handle_make(SHARD, 0, 3, 1), 0, 0, 0);
}

static bool turn(void) { return tina__dump_turn(&machine, SHARD, &progress); }

static void dump_that_none_asked_for_is_not_written(void **state)
{
    (void)state;
    add(COUNT);
    assert_false(turn());
    assert_int_equal(lines.count, 0);
}

static void dump_of_a_fault_is_written_in_one_turn(void **state)
{
    (void)state;
    add(100);
    assert_true(tina__trace_dump(trace, 64));
    assert_true(atomic_load(&trace->is_dumping));
    assert_false(turn());
    assert_false(atomic_load(&trace->is_dumping));
    assert_int_equal(lines.count, 1 + 64);
    assert_int_equal(lines.shard, SHARD);
    assert_int_equal(lines.level, TINA_LOG_INFO);
    assert_string_equal(lines.heading, "the last 64 events:");
    assert_string_equal(lines.latest, "  tick 99: worker/3 is up");
}

static void dump_of_the_whole_recorder_takes_turns(void **state)
{
    (void)state;
    add(3 * COUNT);
    assert_true(tina__trace_dump(trace, UINT32_MAX));
    for (uint32_t written = AT_ONCE; written < COUNT; written += AT_ONCE) {
        char expected[64];
        assert_true(turn());
        assert_true(atomic_load(&trace->is_dumping));
        assert_int_equal(lines.count, 1 + written);
        snprintf(expected, sizeof expected, "  tick %u: worker/3 is up", 2 * COUNT + written - 1);
        assert_string_equal(lines.latest, expected);
    }
    assert_false(turn());
    assert_int_equal(lines.count, 1 + COUNT);
    assert_string_equal(lines.heading, "the last 256 events:");
    assert_string_equal(lines.latest, "  tick 767: worker/3 is up");
}

static void dump_after_a_dump_begins_anew(void **state)
{
    (void)state;
    add(COUNT);
    assert_true(tina__trace_dump(trace, AT_ONCE + 1));
    assert_true(turn());
    add(1);
    assert_false(tina__trace_dump(trace, 1));
    assert_false(turn());
    lines.count = 0;
    assert_true(tina__trace_dump(trace, 1));
    assert_false(turn());
    assert_int_equal(lines.count, 2);
    assert_string_equal(lines.heading, "the last 1 event:");
    assert_string_equal(lines.latest, "  tick 256: worker/3 is up");
}

/* The line of the fault that the dump goes with, and those before it, come first; not those that follow. */
static void dump_waits_for_the_log_lines_before_it(void **state)
{
    (void)state;
    char line[8];
    uint8_t level;
    uint32_t length;
    add(3);
    assert_true(tina__log_ring_write(log_ring, TINA_LOG_WARN, "old", 3));
    assert_true(tina__log_ring_write(log_ring, TINA_LOG_ERROR, "fault", 5));
    assert_true(tina__trace_dump(trace, 64));
    assert_true(turn());
    assert_true(tina__log_ring_write(log_ring, TINA_LOG_WARN, "new", 3));
    assert_true(tina__log_ring_read(log_ring, &level, line, sizeof line, &length));
    assert_true(turn());
    assert_int_equal(lines.count, 0);
    assert_true(tina__log_ring_read(log_ring, &level, line, sizeof line, &length));
    assert_false(turn());
    assert_int_equal(lines.count, 1 + 3);
}

static void dump_without_a_sink_is_over_at_once(void **state)
{
    (void)state;
    machine.log_sink = NULL;
    add(COUNT);
    assert_true(tina__trace_dump(trace, COUNT));
    assert_false(turn());
    assert_false(atomic_load(&trace->is_dumping));
    assert_int_equal(lines.count, 0);
    assert_int_equal(progress.written, 0);
}

/* A shard that wrote wildly may have hit its own recorder: the helper belongs to all shards and must not suffer. */
static void dump_of_a_damaged_recorder_stays_in_its_region(void **state)
{
    (void)state;
    add(COUNT);
    assert_true(tina__trace_dump(trace, COUNT));
    memset(trace, 0xAA, offsetof(tina__trace, is_dumping));
    while (turn()) {
    }
    assert_int_equal(lines.count, 1 + COUNT);
    assert_false(atomic_load(&trace->is_dumping));
}

static void dump_that_shrinks_under_way_is_over(void **state)
{
    (void)state;
    add(COUNT);
    assert_true(tina__trace_dump(trace, COUNT));
    assert_true(turn());
    trace->dump_count = 3;
    assert_false(turn());
    assert_int_equal(lines.count, 1 + AT_ONCE);
    assert_int_equal(progress.written, 0);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, make, end)
    const struct CMUnitTest tests[] = {
        TEST(dump_that_none_asked_for_is_not_written),        TEST(dump_of_a_fault_is_written_in_one_turn),
        TEST(dump_of_the_whole_recorder_takes_turns),         TEST(dump_after_a_dump_begins_anew),
        TEST(dump_waits_for_the_log_lines_before_it),         TEST(dump_without_a_sink_is_over_at_once),
        TEST(dump_of_a_damaged_recorder_stays_in_its_region), TEST(dump_that_shrinks_under_way_is_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
