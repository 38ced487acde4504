/*
 * The same seed gives the same run on every compiler, build type and machine: the
 * hashes below were made once, and each build has to come to the same. A change of
 * what the library does changes them; then `sim_golden --print` prints the new ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <tina/tina.h>

#include "support/town.h"

static const uint64_t golden[] = {
    0xa39928eff82a2a54, 0xfc1c37efda1f977e, 0x865029d215d2c1bc, 0xbae59cfc7dcefd39,
    0xcedf022cf4a6e326, 0xbd6a4a95e9e27176, 0x1d5b99f59861999d, 0x8ef1f9cda645447c,
};
#define SEEDS (sizeof golden / sizeof golden[0])

static uint64_t hash_of(uint64_t seed)
{
    town busy;
    town_init(&busy, 1 + seed % 4);
    tina_sim_config config = {.seed = seed, .ticks_max = 2000, .heal_at_tick = 1200, .stop_at_tick = 1500};
    if (seed % 2 == 0)
        config.faults = town_faults();
    tina_sim_report report;
    assert_int_equal(tina_simulate(&busy.spec, &config, &report, NULL), TINA_OK);
    assert_string_equal(report.violation, "");
    return report.trace_hash;
}

static void seeds_give_the_runs_that_they_always_gave(void **state)
{
    (void)state;
#ifdef TINA_HOSTILE
    skip(); /* its generations have fewer bits: its handles are others */
#endif
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        if (hash_of(seed) != golden[seed])
            print_error("seed %llu: another run than before\n", (unsigned long long)seed);
        assert_true(hash_of(seed) == golden[seed]);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--print") == 0) {
        for (uint64_t seed = 0; seed < SEEDS; seed++)
            printf("    0x%016llx,\n", (unsigned long long)hash_of(seed));
        return 0;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(seeds_give_the_runs_that_they_always_gave)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
