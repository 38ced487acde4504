#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/prng.h"

/* Runs body in a child process: does it end in an abort? */
static bool aborts(void (*body)(void))
{
    pid_t child = fork();
    if (child == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0});
        body();
        _exit(0);
    }
    int status = 0;
    return child > 0 && waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void prng_known_state_gives_the_published_stream(void **state)
{
    (void)state;
    /* xoshiro256** from the state 1, 2, 3, 4 */
    static const uint64_t expected[] = {11520, 0, 1509978240, 1215971899390074240};
    tina__prng prng = {{1, 2, 3, 4}};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        assert_true(tina__prng_next(&prng) == expected[i]);
}

static void prng_mix_gives_the_published_stream(void **state)
{
    (void)state;
    /* splitmix64 from the seed 0 */
    assert_true(tina__mix64(0) == 0xE220A8397B1DCDAFu);
    assert_true(tina__mix64(0x9E3779B97F4A7C15u) == 0x6E789E6AA1B965F4u);
    tina__prng prng;
    tina__prng_seed(&prng, 0);
    assert_true(prng.state[0] == 0xE220A8397B1DCDAFu);
    assert_true(prng.state[1] == 0x6E789E6AA1B965F4u);
    assert_true(prng.state[2] == 0x06C45D188009454Fu);
    assert_true(prng.state[3] == 0xF88BB8A8724C81ECu);
}

static void prng_same_seed_same_stream_and_other_seed_another(void **state)
{
    (void)state;
    tina__prng a, b, c;
    tina__prng_seed(&a, 42);
    tina__prng_seed(&b, 42);
    tina__prng_seed(&c, 43);
    int equal = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t value = tina__prng_next(&a);
        assert_true(value == tina__prng_next(&b));
        equal += value == tina__prng_next(&c);
    }
    assert_int_equal(equal, 0);
}

static void prng_copy_goes_on_as_the_original_does(void **state)
{
    (void)state;
    tina__prng prng;
    tina__prng_seed(&prng, 7);
    tina__prng_next(&prng);
    tina__prng copy = prng;
    for (int i = 0; i < 100; i++)
        assert_true(tina__prng_next(&prng) == tina__prng_next(&copy));
}

static void prng_below_stays_below_and_reaches_all(void **state)
{
    (void)state;
    tina__prng prng;
    tina__prng_seed(&prng, 1);
    for (uint64_t bound = 1; bound <= 64; bound++) {
        uint64_t seen = 0;
        for (int i = 0; i < 2000; i++) {
            uint64_t value = tina__prng_below(&prng, bound);
            assert_true(value < bound);
            seen |= 1ull << value;
        }
        assert_true(seen == UINT64_MAX >> (64 - bound));
    }
}

static void prng_below_a_huge_bound_has_no_bias(void **state)
{
    (void)state;
    /* With 3/4 of all values, a plain remainder would give the lowest third twice as often as each other. */
    tina__prng prng;
    tina__prng_seed(&prng, 1);
    uint64_t third = 1ull << 62;
    uint32_t counts[3] = {0};
    for (int i = 0; i < 30000; i++)
        counts[tina__prng_below(&prng, 3 * third) / third]++;
    for (int i = 0; i < 3; i++)
        assert_in_range(counts[i], 9500, 10500);
    for (int i = 0; i < 1000; i++)
        assert_true(tina__prng_below(&prng, UINT64_MAX) != UINT64_MAX);
}

static void prng_chance_strikes_as_often_as_it_says(void **state)
{
    (void)state;
    tina__prng prng;
    tina__prng_seed(&prng, 1);
    uint32_t hits = 0;
    for (int i = 0; i < 30000; i++)
        hits += tina__prng_chance(&prng, 1, 3);
    assert_in_range(hits, 9500, 10500);
}

static void prng_chance_without_a_doubt_takes_nothing_from_the_stream(void **state)
{
    (void)state;
    tina__prng prng, untouched;
    tina__prng_seed(&prng, 1);
    untouched = prng;
    assert_false(tina__prng_chance(&prng, 0, 5));
    assert_true(tina__prng_chance(&prng, 5, 5));
    assert_memory_equal(&prng, &untouched, sizeof prng);
}

static void draw_below_nothing(void)
{
    tina__prng prng;
    tina__prng_seed(&prng, 1);
    tina__prng_below(&prng, 0);
}

static void prng_below_nothing_aborts(void **state)
{
    (void)state;
    assert_true(aborts(draw_below_nothing));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prng_known_state_gives_the_published_stream),
        cmocka_unit_test(prng_mix_gives_the_published_stream),
        cmocka_unit_test(prng_same_seed_same_stream_and_other_seed_another),
        cmocka_unit_test(prng_copy_goes_on_as_the_original_does),
        cmocka_unit_test(prng_below_stays_below_and_reaches_all),
        cmocka_unit_test(prng_below_a_huge_bound_has_no_bias),
        cmocka_unit_test(prng_below_nothing_aborts),
        cmocka_unit_test(prng_chance_strikes_as_often_as_it_says),
        cmocka_unit_test(prng_chance_without_a_doubt_takes_nothing_from_the_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
