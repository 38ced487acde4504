/* Each kind of fault alone is counted alone, all together are repeatable, and where none is asked for none strikes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <tina/tina.h>

#include "support/town.h"

#define TICKS 4000
#define SEEDS 8

static tina_sim_report run(uint64_t seed, const tina_faults *faults)
{
    town busy;
    town_init(&busy, 2 + seed % 3);
    tina_sim_config config = {.seed = seed, .ticks_max = TICKS, .stop_at_tick = TICKS * 3 / 4, .faults = *faults};
    config.check_every = 20;
    tina_sim_report report;
    tina_error error;
    assert_int_equal(tina_simulate(&busy.spec, &config, &report, &error), TINA_OK);
    if (report.violation[0] != '\0')
        print_error("seed %llu, round %llu: %s\n", (unsigned long long)seed, (unsigned long long)report.ticks,
                    report.violation);
    assert_string_equal(report.violation, "");
    assert_int_equal(busy.wrong, 0);
    return report;
}

static tina_sim_report run_twice(uint64_t seed, const tina_faults *faults)
{
    tina_sim_report first = run(seed, faults);
    tina_sim_report second = run(seed, faults);
    assert_true(first.trace_hash == second.trace_hash);
    assert_memory_equal(&first.faults, &second.faults, sizeof first.faults);
    assert_int_equal(first.ticks, second.ticks);
    assert_int_equal(first.now_ns, second.now_ns);
    return first;
}

/* ---- Alone ------------------------------------------------------------------------------------- */

typedef struct kind {
    const char *name;
    size_t rate, size; /* in tina_faults */
    size_t count;      /* in tina_fault_counts */
} kind;

#define KIND(field)                                                                                                         \
    {                                                                                                                       \
#field, offsetof(tina_faults, field), sizeof((tina_faults *)0)->field, offsetof(tina_fault_counts, field)           \
    }

static const kind kinds[] = {
    KIND(handler_crash),    KIND(init_crash), KIND(message_drop), KIND(partition),  KIND(message_delay), KIND(io_error),
    KIND(connection_reset), KIND(short_io),   KIND(io_delay),     KIND(pool_empty), KIND(shard_stall),   KIND(shard_fault),
};

static tina_faults only(const kind *of)
{
    tina_faults all = town_faults();
    tina_faults one = {0};
    memcpy((char *)&one + of->rate, (const char *)&all + of->rate, of->size);
    if (strcmp(of->name, "partition") == 0)
        one.partition_heal = all.partition_heal;
    if (strcmp(of->name, "init_crash") == 0) /* restarts are the occasion */
        one.init_crash = (tina_ratio){1, 10};
    return one;
}

static void fault_alone_is_counted_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        tina_faults one = only(&kinds[i]);
        uint64_t sum = 0;
        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
            tina_fault_counts counts = run_twice(seed, &one).faults;
            uint64_t *own = (uint64_t *)(void *)((char *)&counts + kinds[i].count);
            sum += *own;
            *own = 0;
            tina_fault_counts none = {0};
            assert_memory_equal(&counts, &none, sizeof counts);
        }
        if (sum == 0)
            print_error("%s never struck\n", kinds[i].name);
        assert_true(sum != 0);
    }
}

static void no_fault_is_counted_where_none_is_asked_for(void **state)
{
    (void)state;
    tina_faults none = {0};
    tina_fault_counts zero = {0};
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        tina_sim_report report = run_twice(seed, &none);
        assert_memory_equal(&report.faults, &zero, sizeof zero);
        assert_int_equal(report.end, TINA_SIM_STOPPED);
        assert_int_equal(report.total.faults, 0);
        assert_int_equal(report.total.shard_restarts, 0);
    }
}

/* ---- Together ------------------------------------------------------------------------------------- */

static void all_faults_together_are_repeatable(void **state)
{
    (void)state;
    tina_faults all = town_faults();
    for (uint64_t seed = 1; seed <= 4 * SEEDS; seed++) {
        tina_sim_report report = run_twice(seed, &all);
        assert_int_equal(report.end, TINA_SIM_STOPPED);
    }
}

static void other_seed_is_another_run(void **state)
{
    (void)state;
    tina_faults none = {0};
    assert_true(run(1, &none).trace_hash != run(4, &none).trace_hash);
}

static void healed_system_fails_no_more(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        town busy;
        town_init(&busy, 3);
        tina_sim_config config = {.seed = seed, .ticks_max = TICKS, .heal_at_tick = 1000, .stop_at_tick = TICKS / 2};
        config.faults = town_faults();
        tina_sim_report whole, before;
        assert_int_equal(tina_simulate(&busy.spec, &config, &whole, NULL), TINA_OK);
        assert_string_equal(whole.violation, "");
        config.ticks_max = 999; /* too few to heal in */
        town_init(&busy, 3);
        assert_int_equal(tina_simulate(&busy.spec, &config, &before, NULL), TINA_OK);
        assert_memory_equal(&whole.faults, &before.faults, sizeof whole.faults);
        assert_int_equal(whole.end, TINA_SIM_STOPPED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_fault_is_counted_where_none_is_asked_for),
        cmocka_unit_test(fault_alone_is_counted_alone),
        cmocka_unit_test(all_faults_together_are_repeatable),
        cmocka_unit_test(other_seed_is_another_run),
        cmocka_unit_test(healed_system_fails_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
