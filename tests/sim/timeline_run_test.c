/*
 * The timelines of whole runs. sim_timeline_run pair|town FILE writes one, for
 * tests/blackbox/timeline.py to look at.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/pair.h"
#include "support/scratch.h"
#include "support/town.h"

static tina_status simulate_pair(const char *path, tina_sim_report *report, tina_error *error)
{
    tina_system_spec spec;
    tina_sim_config config;
    pair_init(&spec, &config);
    config.trace_path = path;
    return tina_simulate(&spec, &config, report, error);
}

/* With every fault there is. */
static tina_status simulate_town(const char *path, tina_sim_report *report, tina_error *error)
{
    static town busy;
    town_init(&busy, 3);
    tina_sim_config config = {
        .seed = 1, .ticks_max = 1500, .stop_at_tick = 1200, .faults = town_faults(), .trace_path = path};
    return tina_simulate(&busy.spec, &config, report, error);
}

typedef tina_status (*simulate_fn)(const char *path, tina_sim_report *report, tina_error *error);
static const struct {
    const char *name;
    simulate_fn simulate;
} runs[] = {{"pair", simulate_pair}, {"town", simulate_town}};
#define RUNS (sizeof runs / sizeof runs[0])

/* For free. */
static char *timeline_of(simulate_fn simulate, tina_sim_report *report)
{
    char path[64];
    tina_test_scratch_make(path);
    assert_int_equal(simulate(path, report, NULL), TINA_OK);
    char *text = tina_test_scratch_read(path);
    assert_int_equal(unlink(path), 0);
    return text;
}

static void timeline_of_two_runs_is_the_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < RUNS; i++) {
        tina_sim_report report;
        char *first = timeline_of(runs[i].simulate, &report);
        char *second = timeline_of(runs[i].simulate, &report);
        assert_string_equal(first, second);
        free(first);
        free(second);
    }
}

static void timeline_written_or_not_the_run_is_the_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < RUNS; i++) {
        tina_sim_report with, without;
        free(timeline_of(runs[i].simulate, &with));
        assert_int_equal(runs[i].simulate(NULL, &without, NULL), TINA_OK);
        assert_true(with.trace_hash == without.trace_hash);
        assert_true(with.now_ns == without.now_ns);
    }
}

static void timeline_that_can_not_be_written_is_told(void **state)
{
    (void)state;
    tina_sim_report report;
    tina_error error;
    const char *nowhere = "/tmp/tina-test-no-such-directory/timeline";
    assert_int_equal(simulate_pair(nowhere, &report, &error), TINA_NOT_FOUND);
    assert_non_null(strstr(error.message, nowhere));
    assert_int_equal(simulate_pair("/dev/full", &report, &error), TINA_DISK_FULL);
    assert_string_equal(error.path, "trace_path");
}

static int write_timeline(const char *name, const char *path)
{
    tina_sim_report report;
    tina_error error = {0};
    for (size_t i = 0; i < RUNS; i++) {
        if (strcmp(name, runs[i].name) == 0 && runs[i].simulate(path, &report, &error) == TINA_OK &&
            report.violation[0] == '\0')
            return 0;
    }
    fprintf(stderr, "no timeline of %s in %s: %s\n", name, path, error.message);
    return 1;
}

int main(int argc, char **argv)
{
    if (argc == 3)
        return write_timeline(argv[1], argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timeline_of_two_runs_is_the_same),
        cmocka_unit_test(timeline_written_or_not_the_run_is_the_same),
        cmocka_unit_test(timeline_that_can_not_be_written_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
