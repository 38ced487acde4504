/* From a run that fails, the smallest that fails the same way. */
#include "sim/fake_world.h"
#include "swarm/failure.h"
#include "swarm/shrink.h"
#include "swarm/trials.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>

#include <cmocka.h>

enum { JOBS = 2, PATIENCE_S = 20, TICKS = 3000 };

static tina__points points;
static const tina__subject subject = {.make = fake_make, .simulate = fake_simulate, .points = &points};

static tina__case first;
static tina__outcome outcome;
static tina__shrunk shrunk;
static int left; /* cases to hand out */

static int begin(void **state)
{
    (void)state;
    memset(&fake, 0, sizeof fake);
    fake.ticks = TICKS;
    first = (tina__case){.seed = 5, .source = TINA__GIVEN};
    first.knobs.of[TINA__KNOB_MESSAGE_DROP] = (tina__setting){1, 30};
    first.knobs.of[TINA__KNOB_SHARD_STALL] = (tina__setting){1, 40};
    first.knobs.of[TINA__KNOB_SHARD_STALL_LENGTH] = (tina__setting){3, 60};
    first.knobs.of[TINA__KNOB_PARTITION] = (tina__setting){1, 100};
    first.knobs.of[TINA__KNOB_PARTITION_HEAL] = (tina__setting){1, 100};
    first.knobs.of[TINA__KNOB_IO_ERROR] = (tina__setting){1, 100};
    first.knobs.of[TINA__KNOB_CHANNEL_CAPACITY].first = 7;
    first.knobs.of[TINA__KNOB_MESSAGE_COUNT].first = 300;
    return 0;
}

static bool next(void *user, tina__case *what)
{
    *what = *(const tina__case *)user;
    return left-- > 0;
}

static bool take(void *user, const tina__case *what, const tina__outcome *came)
{
    (void)user, (void)what;
    outcome = *came;
    return true;
}

/* In a process of its own, like all that may fail. */
static void run(const tina__case *what)
{
    tina__crew *crew = tina__crew_open(&subject, JOBS, PATIENCE_S);
    const tina__work work = {.next = next, .take = take, .user = (void *)(uintptr_t)what};
    assert_non_null(crew);
    left = 1;
    assert_true(tina__crew_work(crew, &work));
    tina__crew_close(crew);
}

static bool shrink_on(uint32_t jobs)
{
    tina__crew *crew = tina__crew_open(&subject, jobs, PATIENCE_S);
    assert_non_null(crew);
    bool is_done = tina__shrink(crew, &first, &outcome, NULL, &shrunk);
    tina__crew_close(crew);
    return is_done;
}

static void shrink(void)
{
    run(&first);
    assert_true(tina__has_failed(&outcome));
    tina__outcome failure = outcome;
    assert_true(shrink_on(JOBS));
    run(&shrunk.what);
    assert_true(tina__is_same_failure(&outcome, &failure));
}

static bool is_on(tina__knob knob) { return tina__knob_is_on(&shrunk.what.knobs, knob); }

static void violation_is_left_with_what_it_needs(void **state)
{
    (void)state;
    fake.failure = FAKE_LOSS;
    shrink();
    assert_true(is_on(TINA__KNOB_MESSAGE_DROP));
    assert_true(is_on(TINA__KNOB_SHARD_STALL));
    assert_false(is_on(TINA__KNOB_PARTITION));
    assert_false(is_on(TINA__KNOB_PARTITION_HEAL));
    assert_false(is_on(TINA__KNOB_IO_ERROR));
    assert_false(is_on(TINA__KNOB_CHANNEL_CAPACITY));
    assert_false(is_on(TINA__KNOB_MESSAGE_COUNT));
    assert_true(shrunk.what.knobs.of[TINA__KNOB_SHARD_STALL_LENGTH].second < 60);
    assert_true(shrunk.after.events * 10 <= shrunk.before.events);
    assert_true(shrunk.after.ticks * 10 <= shrunk.before.ticks);
    assert_int_equal(shrunk.before.knobs, 8);
    assert_in_range(shrunk.after.knobs, 2, 3);
}

static void violation_with_another_text_is_another(void **state)
{
    (void)state;
    const tina__outcome one = {.verdict = TINA__VIOLATION, .text = "lost 17 of -3, at 0x1F2e"};
    tina__outcome two = {.verdict = TINA__VIOLATION, .text = "lost 1 of 40000, at 0xA"};
    assert_true(tina__is_same_failure(&one, &two));
    strcpy(two.text, "lost 17 of -3, at noon");
    assert_false(tina__is_same_failure(&one, &two));
    strcpy(two.text, "lost 17 of -3, at 0x1F2e or so");
    assert_false(tina__is_same_failure(&one, &two));
    two = one;
    two.verdict = TINA__SIGNALLED;
    assert_false(tina__is_same_failure(&one, &two));
}

static void crash_is_cut_to_its_tick(void **state)
{
    (void)state;
    fake.failure = FAKE_ABORT;
    fake.tick = 1234;
    shrink();
    assert_int_equal(shrunk.what.ticks, 1234);
    assert_int_equal(shrunk.after.knobs, 0);
    assert_int_equal(shrunk.after.events, 12000); /* as far as the last check */
}

static void unrepeatable_is_cut_to_where_they_part(void **state)
{
    (void)state;
    fake.failure = FAKE_MEMORY;
    shrink();
    assert_int_equal(shrunk.what.ticks, 77);
    assert_int_equal(shrunk.after.knobs, 0);
    assert_false(shrunk.what.is_once);
}

/* With less time to heal, a sound system would fail that way too. */
static void unrest_keeps_the_time_to_heal(void **state)
{
    (void)state;
    fake.failure = FAKE_UNREST;
    first.heals = true;
    shrink();
    assert_int_equal(shrunk.what.ticks - shrunk.what.heal_at, TICKS / 4);
    assert_in_range(shrunk.what.heal_at, 2, 20);
    assert_int_equal(shrunk.after.knobs, 1);
    assert_true(is_on(TINA__KNOB_MESSAGE_DROP));
}

static void healing_that_does_not_matter_is_dropped(void **state)
{
    (void)state;
    fake.failure = FAKE_LOSS;
    first.heals = true;
    shrink();
    assert_int_equal(shrunk.what.heal_at, 0);
    assert_false(shrunk.what.heals);
    assert_true(shrunk.what.ticks < TICKS / 10);
}

static void other_seeds_are_tried_and_said(void **state)
{
    (void)state;
    fake.failure = FAKE_LOSS;
    fake.seed_modulus = 5;
    shrink();
    assert_int_equal(shrunk.what.seed % 5, 0);
    assert_int_equal(shrunk.what.source, TINA__GIVEN);
    assert_true(shrunk.after.events < shrunk.before.events);
}

static void shrinking_is_the_same_whatever_the_number_of_jobs(void **state)
{
    (void)state;
    fake.failure = FAKE_LOSS;
    run(&first);
    assert_true(shrink_on(1));
    tina__shrunk alone = shrunk;
    assert_true(shrink_on(5));
    assert_int_equal(alone.runs, shrunk.runs);
    assert_int_equal(alone.what.seed, shrunk.what.seed);
    assert_int_equal(alone.what.ticks, shrunk.what.ticks);
    assert_memory_equal(&alone.what.knobs, &shrunk.what.knobs, sizeof alone.what.knobs);
    assert_in_range(shrunk.runs, 10, 302);
}

static void what_does_not_fail_again_is_not_shrunk(void **state)
{
    (void)state;
    fake.failure = FAKE_LOSS;
    run(&first);
    fake.failure = FAKE_NONE;
    assert_false(shrink_on(JOBS));
}

/* It shows one time in three, and a doubt is no reason to throw away what was found. */
static void unrepeatable_at_times_is_shrunk_all_the_same(void **state)
{
    (void)state;
    _Atomic uint32_t *luck = mmap(NULL, sizeof *luck, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(luck != MAP_FAILED);
    fake.failure = FAKE_MEMORY;
    fake.luck = luck;
    run(&first);
    assert_int_equal(outcome.verdict, TINA__UNREPEATABLE);
    assert_true(shrink_on(1));
    assert_int_equal(shrunk.outcome.verdict, TINA__UNREPEATABLE);
    assert_true(shrunk.after.ticks < shrunk.before.ticks);
    munmap(luck, sizeof *luck);
}

/* A program of timers alone has no events by which a run could be called smaller. */
static void violation_without_events_is_cut_in_ticks(void **state)
{
    (void)state;
    fake.failure = FAKE_LOSS;
    fake.is_quiet = true;
    shrink();
    assert_int_equal(shrunk.before.events, 0);
    assert_true(shrunk.after.ticks * 10 <= shrunk.before.ticks);
}

static void cost_is_events_and_then_ticks(void **state)
{
    (void)state;
    tina__outcome one = {.verdict = TINA__VIOLATION, .report = {.events = 10, .ticks = 90}}, two = one;
    two.report.ticks = 80;
    assert_true(tina__cost_of(&two) < tina__cost_of(&one));
    two.report.events = 11;
    assert_true(tina__cost_of(&two) > tina__cost_of(&one));
    one.report.events = one.report.ticks = UINT64_MAX;
    assert_true(tina__cost_of(&two) < tina__cost_of(&one));
    assert_true(tina__cost_of(&one) < TINA__ANY_COST);
}

static void hanging_is_waited_for_less(void **state)
{
    (void)state;
    const tina__outcome hanging = {.verdict = TINA__HANGING}, violation = {.verdict = TINA__VIOLATION};
    assert_int_equal(tina__shrink_patience_s(&hanging, 60), 3);
    assert_int_equal(tina__shrink_patience_s(&hanging, 1), 1);
    assert_int_equal(tina__shrink_patience_s(&violation, 60), 60);
}

#define TEST(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(violation_is_left_with_what_it_needs),
        TEST(violation_with_another_text_is_another),
        TEST(crash_is_cut_to_its_tick),
        TEST(unrepeatable_is_cut_to_where_they_part),
        TEST(unrest_keeps_the_time_to_heal),
        TEST(healing_that_does_not_matter_is_dropped),
        TEST(other_seeds_are_tried_and_said),
        TEST(shrinking_is_the_same_whatever_the_number_of_jobs),
        TEST(what_does_not_fail_again_is_not_shrunk),
        TEST(unrepeatable_at_times_is_shrunk_all_the_same),
        TEST(violation_without_events_is_cut_in_ticks),
        TEST(cost_is_events_and_then_ticks),
        TEST(hanging_is_waited_for_less),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
