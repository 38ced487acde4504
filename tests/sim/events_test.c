/* What config.events_path gets: every event in words, and the same in each run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <unistd.h>

#include "support/pair.h"
#include "support/scratch.h"
#include "support/town.h"

/* The events of a run. For free. */
static char *events_of(const tina_system_spec *spec, tina_sim_config config, tina_sim_report *report)
{
    char path[64];
    tina_test_scratch_make(path);
    config.events_path = path;
    assert_int_equal(tina_simulate(spec, &config, report, NULL), TINA_OK);
    char *text = tina_test_scratch_read(path);
    assert_int_equal(unlink(path), 0);
    return text;
}

static void events_of_a_pair_tell_its_story(void **state)
{
    (void)state;
    tina_system_spec spec;
    tina_sim_config config;
    tina_sim_report report;
    pair_init(&spec, &config);
    char *text = events_of(&spec, config, &report);
    assert_int_equal(report.end, TINA_SIM_STOPPED);
    tina_test_text_is(text, "0.000000 s shard 0: tick 0: the shard is coming up\n"
                            "0.000000 s shard 0: tick 1: server/0 runs its init\n"
                            "0.000000 s shard 0: tick 1: server/0 is up\n"
                            "0.000000 s shard 0: tick 1: the root group is up\n"
                            "0.000000 s shard 0: tick 1: the shard is running\n"
                            "0.000000 s shard 1: tick 0: the shard is coming up\n"
                            "0.000000 s shard 1: tick 1: client/0 runs its init\n"
                            "0.000000 s shard 1: tick 1: client/0 sends tag 0x100 to shard 0 name 5 (8 bytes)\n"
                            "0.000000 s shard 1: tick 1: client/0 is up\n"
                            "0.000000 s shard 1: tick 1: the root group is up\n"
                            "0.000000 s shard 1: tick 1: the shard is running\n"
                            "0.001000 s shard 0: tick 2: server/0 handles tag 0x100 from shard 1 client/0 (8 bytes)\n"
                            "0.001000 s shard 0: tick 2: server/0 sends tag 0x101 to shard 1 client/0\n"
                            "0.001000 s shard 1: tick 2: client/0 handles tag 0x101 from shard 0 server/0\n"
                            "0.002000 s shard 1: tick 3: client/0 handles TINA_TAG_TIMER\n"
                            "0.002000 s shard 1: tick 3: client/0 sends tag 0x100 to shard 0 name 5 (8 bytes)\n"
                            "0.003000 s shard 0: tick 4: server/0 handles tag 0x100 from shard 1 client/0 (8 bytes)\n"
                            "0.003000 s shard 0: tick 4: server/0 sends tag 0x101 to shard 1 client/0\n"
                            "0.003000 s shard 1: tick 4: client/0 handles tag 0x101 from shard 0 server/0\n"
                            "0.004000 s shard 1: tick 5: client/0 handles TINA_TAG_TIMER\n"
                            "0.004000 s shard 1: tick 5: client/0 sends tag 0x100 to shard 0 name 5 (8 bytes)\n"
                            "0.005000 s shard 0: tick 6: server/0 handles tag 0x100 from shard 1 client/0 (8 bytes)\n"
                            "0.005000 s shard 0: tick 6: server/0 ends: TINA_END_CRASH, reason 7\n"
                            "0.005000 s shard 0: tick 6: server/0 is to start again\n"
                            "0.005000 s shard 0: tick 6: server/0 runs its init\n"
                            "0.005000 s shard 0: tick 6: server/0 is up\n"
                            "0.006000 s shard 1: tick 7: client/0 handles TINA_TAG_TIMER\n"
                            "0.006000 s shard 1: tick 7: client/0 sends tag 0x100 to shard 0 name 5 (8 bytes)\n"
                            "0.007000 s shard 0: tick 8: server/0 handles tag 0x100 from shard 1 client/0 (8 bytes)\n"
                            "0.007000 s shard 0: tick 8: server/0 sends tag 0x101 to shard 1 client/0\n"
                            "0.007000 s shard 1: tick 8: client/0 handles tag 0x101 from shard 0 server/0\n"
                            "0.008000 s shard 1: tick 9: client/0 handles TINA_TAG_TIMER\n"
                            "0.008000 s shard 1: tick 9: client/0 sends tag 0x100 to shard 0 name 5 (8 bytes)\n"
                            "0.009000 s shard 0: tick 10: server/0 handles tag 0x100 from shard 1 client/0 (8 bytes)\n"
                            "0.009000 s shard 0: tick 10: server/0 sends tag 0x101 to shard 1 client/0\n"
                            "0.009000 s shard 1: tick 10: client/0 handles tag 0x101 from shard 0 server/0\n"
                            "0.010000 s shard 1: tick 11: client/0 handles TINA_TAG_TIMER\n"
                            "0.011000 s shard 0: tick 12: the shard is draining\n"
                            "0.011000 s shard 0: tick 12: server/0 handles TINA_TAG_SHUTDOWN\n"
                            "0.011000 s shard 0: tick 12: server/0 ends: TINA_END_DONE\n"
                            "0.011000 s shard 1: tick 12: the shard is draining\n"
                            "0.011000 s shard 1: tick 12: client/0 handles TINA_TAG_SHUTDOWN\n"
                            "0.011000 s shard 1: tick 12: client/0 ends: TINA_END_DONE\n"
                            "0.012000 s shard 0: tick 13: the shard has ended\n"
                            "0.012000 s shard 1: tick 13: the shard has ended\n");
    free(text);
}

static char *events_of_town(uint64_t seed, tina_sim_report *report)
{
    static town busy;
    town_init(&busy, 3);
    tina_sim_config config = {.seed = seed, .ticks_max = 300, .faults = town_faults()};
    return events_of(&busy.spec, config, report);
}

static void events_of_two_runs_are_the_same_for_a_seed(void **state)
{
    (void)state;
    tina_sim_report first, second, other;
    char *text = events_of_town(1, &first);
    char *again = events_of_town(1, &second);
    char *different = events_of_town(2, &other);
    assert_true(first.trace_hash == second.trace_hash);
    assert_string_equal(text, again);
    assert_true(first.trace_hash != other.trace_hash);
    assert_string_not_equal(text, different);
    free(text);
    free(again);
    free(different);
}

/* That they are written changes nothing. */
static void events_unwritten_have_the_same_hash(void **state)
{
    (void)state;
    static town busy;
    tina_sim_report written, unwritten;
    free(events_of_town(1, &written));
    town_init(&busy, 3);
    tina_sim_config config = {.seed = 1, .ticks_max = 300, .faults = town_faults()};
    assert_int_equal(tina_simulate(&busy.spec, &config, &unwritten, NULL), TINA_OK);
    assert_true(written.trace_hash == unwritten.trace_hash);
}

static void events_on_a_full_disk_are_told(void **state)
{
    (void)state;
    tina_system_spec spec;
    tina_sim_config config;
    tina_error error;
    pair_init(&spec, &config);
    config.events_path = "/dev/full";
    assert_int_equal(tina_simulate(&spec, &config, NULL, &error), TINA_DISK_FULL);
    assert_int_equal(error.status, TINA_DISK_FULL);
    assert_string_equal(error.path, "events_path");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_of_a_pair_tell_its_story),
        cmocka_unit_test(events_of_two_runs_are_the_same_for_a_seed),
        cmocka_unit_test(events_unwritten_have_the_same_hash),
        cmocka_unit_test(events_on_a_full_disk_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
