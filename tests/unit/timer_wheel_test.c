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

#include "mem/timer_wheel.h"

#include <tina/version.h>

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

#define MS    1000000ull
#define YEAR  (365ull * 24 * 3600 * 1000 * MS)
#define REACH (1ull << 48) /* in steps */

static tina__timer_wheel wheel;

static void make(uint64_t now_ns) { tina__timer_wheel_init(&wheel, MS, now_ns); }

static void expect(tina__timer_node *node, uint64_t now_ns)
{
    assert_ptr_equal(tina__timer_wheel_expire(&wheel, now_ns), node);
}

static void timer_wheel_empty_has_no_next_and_expires_nothing(void **state)
{
    (void)state;
    make(5 * MS);
    assert_true(tina__timer_wheel_next_ns(&wheel) == TINA_NONE_NS);
    expect(NULL, 5 * MS);
    expect(NULL, 100 * YEAR);
    assert_true(tina__timer_wheel_next_ns(&wheel) == TINA_NONE_NS);
}

static void timer_wheel_start_expires_at_its_deadline_and_not_before(void **state)
{
    (void)state;
    make(0);
    tina__timer_node node = {0};
    tina__timer_wheel_start(&wheel, &node, 10 * MS);
    assert_true(tina__timer_is_armed(&node));
    assert_true(tina__timer_wheel_next_ns(&wheel) == 10 * MS);
    expect(NULL, 10 * MS - 1);
    expect(&node, 10 * MS);
    assert_false(tina__timer_is_armed(&node));
    expect(NULL, 10 * MS);
    assert_int_equal(wheel.count, 0);
}

static void timer_wheel_deadline_between_steps_is_rounded_up(void **state)
{
    (void)state;
    make(0);
    tina__timer_node node = {0};
    tina__timer_wheel_start(&wheel, &node, 10 * MS + 1);
    assert_true(tina__timer_wheel_next_ns(&wheel) == 11 * MS);
    expect(NULL, 11 * MS - 1);
    expect(&node, 11 * MS);
}

static void timer_wheel_deadline_that_has_passed_expires_at_once(void **state)
{
    (void)state;
    make(1000 * MS);
    tina__timer_node past = {0}, present = {0};
    tina__timer_wheel_start(&wheel, &past, 0);
    tina__timer_wheel_start(&wheel, &present, 1000 * MS);
    assert_true(tina__timer_wheel_next_ns(&wheel) <= 1000 * MS);
    expect(&past, 1000 * MS);
    expect(&present, 1000 * MS);
    expect(NULL, 1000 * MS);
}

static void timer_wheel_start_leaves_owner_and_kind_alone(void **state)
{
    (void)state;
    make(0);
    tina__timer_node node = {.owner = 77, .kind = 5};
    tina__timer_wheel_start(&wheel, &node, 5000 * MS);
    expect(&node, 5000 * MS);
    assert_int_equal(node.owner, 77);
    assert_int_equal(node.kind, 5);
    assert_true(node.deadline_ns == 5000 * MS);
}

static void timer_wheel_expired_node_can_be_started_again(void **state)
{
    (void)state;
    make(0);
    tina__timer_node node = {0};
    for (uint64_t i = 1; i <= 200; i++) {
        tina__timer_wheel_start(&wheel, &node, i * 7 * MS);
        expect(NULL, i * 7 * MS - 1);
        expect(&node, i * 7 * MS);
    }
}

static void timer_wheel_cancel_means_it_never_expires(void **state)
{
    (void)state;
    make(0);
    tina__timer_node node = {0}, other = {0};
    tina__timer_wheel_start(&wheel, &node, 10 * MS);
    tina__timer_wheel_start(&wheel, &other, 10 * MS);
    tina__timer_wheel_cancel(&wheel, &node);
    assert_false(tina__timer_is_armed(&node));
    expect(&other, 10 * MS);
    expect(NULL, 1000 * MS);
}

static void timer_wheel_cancel_of_the_last_leaves_nothing_to_wait_for(void **state)
{
    (void)state;
    static const uint64_t distances[] = {1, 63, 64, 4096, 1u << 20, REACH - 1, REACH + 5};
    for (size_t i = 0; i < sizeof distances / sizeof distances[0]; i++) {
        make(0);
        tina__timer_node node = {0};
        tina__timer_wheel_start(&wheel, &node, distances[i] > UINT64_MAX / MS ? UINT64_MAX : distances[i] * MS);
        tina__timer_wheel_cancel(&wheel, &node);
        assert_true(tina__timer_wheel_next_ns(&wheel) == TINA_NONE_NS);
        assert_int_equal(wheel.occupied_words, 0);
        for (uint32_t word = 0; word < TINA__WHEEL_LISTS / 64; word++)
            assert_true(wheel.occupied[word] == 0);
    }
}

static void timer_wheel_cancel_of_what_is_not_armed_changes_nothing(void **state)
{
    (void)state;
    make(0);
    tina__timer_node node = {0};
    tina__timer_wheel_cancel(&wheel, &node);
    tina__timer_wheel_start(&wheel, &node, MS);
    tina__timer_wheel_cancel(&wheel, &node);
    tina__timer_wheel_cancel(&wheel, &node);
    assert_int_equal(wheel.count, 0);
}

static void timer_wheel_cancel_after_it_passed_and_before_it_was_taken_is_real(void **state)
{
    (void)state;
    make(0);
    tina__timer_node nodes[3] = {0};
    for (int i = 0; i < 3; i++)
        tina__timer_wheel_start(&wheel, &nodes[i], 10 * MS);
    expect(&nodes[0], 10 * MS);
    assert_true(tina__timer_wheel_next_ns(&wheel) <= 10 * MS);
    tina__timer_wheel_cancel(&wheel, &nodes[1]);
    expect(&nodes[2], 10 * MS);
    expect(NULL, 10 * MS);
}

/* An expired node remembers a slot that others may have come to use. */
static void timer_wheel_cancel_of_a_passed_node_leaves_its_old_slot_alone(void **state)
{
    (void)state;
    make(0);
    tina__timer_node first = {0}, passed = {0}, later = {0};
    tina__timer_wheel_start(&wheel, &first, 10 * MS);
    tina__timer_wheel_start(&wheel, &passed, 10 * MS);
    expect(&first, 64 * MS);
    tina__timer_wheel_start(&wheel, &later, (64 + 10) * MS);
    tina__timer_wheel_cancel(&wheel, &passed);
    assert_true(tina__timer_wheel_next_ns(&wheel) == 74 * MS);
    expect(&later, 74 * MS);
}

static void timer_wheel_several_come_in_order_of_their_steps(void **state)
{
    (void)state;
    static const uint64_t deadlines[] = {70000, 3, 64, 5000, 63, 65, 4096, 4095, 1, 300000};
    static const int order[] = {8, 1, 4, 2, 5, 7, 6, 3, 0, 9};
    make(0);
    tina__timer_node nodes[10] = {0};
    for (int i = 0; i < 10; i++)
        tina__timer_wheel_start(&wheel, &nodes[i], deadlines[i] * MS);
    for (int i = 0; i < 10; i++)
        expect(&nodes[order[i]], YEAR);
    expect(NULL, YEAR);
}

static void timer_wheel_one_step_keeps_the_order_of_starts(void **state)
{
    (void)state;
    make(0);
    tina__timer_node nodes[4] = {0};
    uint64_t step = 100000;
    tina__timer_wheel_start(&wheel, &nodes[0], step * MS);
    expect(NULL, (step - 5000) * MS); /* each starts one level lower than the one before */
    tina__timer_wheel_start(&wheel, &nodes[1], step * MS - 5);
    expect(NULL, (step - 100) * MS);
    tina__timer_wheel_start(&wheel, &nodes[2], step * MS - 2);
    expect(NULL, (step - 1) * MS);
    tina__timer_wheel_start(&wheel, &nodes[3], step * MS - 9);
    for (int i = 0; i < 4; i++)
        expect(&nodes[i], step * MS);
}

static void timer_wheel_started_while_expiring_comes_behind_what_is_due(void **state)
{
    (void)state;
    make(0);
    tina__timer_node nodes[3] = {0};
    for (uint32_t i = 0; i < 3; i++)
        tina__timer_wheel_start(&wheel, &nodes[i], (i + 1) * MS);
    expect(&nodes[0], 5 * MS);
    tina__timer_wheel_start(&wheel, &nodes[0], 0);
    expect(&nodes[1], 5 * MS);
    expect(&nodes[2], 5 * MS);
    expect(&nodes[0], 5 * MS);
    expect(NULL, 5 * MS);
}

static void timer_wheel_nodes_over_the_budget_come_with_the_next_call(void **state)
{
    (void)state;
    make(0);
    tina__timer_node nodes[3] = {0};
    for (int i = 0; i < 3; i++)
        tina__timer_wheel_start(&wheel, &nodes[i], MS);
    expect(&nodes[0], 2 * MS);
    assert_int_equal(wheel.count, 2);
    assert_true(tina__timer_wheel_next_ns(&wheel) <= 2 * MS);
    expect(&nodes[1], 9 * MS);
    expect(&nodes[2], 9 * MS);
}

/* However far away: as many looks as there are levels, and the deadline is met to the step. */
static void timer_wheel_next_leads_to_the_deadline_within_the_levels(void **state)
{
    (void)state;
    for (uint32_t bit = 0; bit < 44; bit++) {
        uint64_t begin = 123456789 * MS;
        make(begin);
        tina__timer_node node = {0};
        uint64_t deadline = begin + (1ull << bit) * MS;
        tina__timer_wheel_start(&wheel, &node, deadline);
        uint64_t now = begin;
        tina__timer_node *got = NULL;
        for (uint32_t looks = 0; got == NULL; looks++) {
            assert_in_range(looks, 0, TINA__WHEEL_LEVELS);
            uint64_t next = tina__timer_wheel_next_ns(&wheel);
            assert_true(next > now);
            assert_true(next <= deadline);
            now = next;
            got = tina__timer_wheel_expire(&wheel, now);
        }
        assert_true(now == deadline);
    }
}

static void timer_wheel_jump_of_years_expires_all(void **state)
{
    (void)state;
    make(0);
    tina__timer_node soon = {0}, late = {0}, next_day = {0};
    tina__timer_wheel_start(&wheel, &late, 400 * YEAR);
    tina__timer_wheel_start(&wheel, &soon, 3 * MS);
    expect(&soon, 500 * YEAR);
    tina__timer_wheel_start(&wheel, &next_day, 500 * YEAR + 24 * 3600 * 1000 * MS);
    expect(&late, 500 * YEAR);
    expect(NULL, 500 * YEAR);
    expect(&next_day, 501 * YEAR);
}

static void timer_wheel_deadline_at_the_end_of_time_never_expires_early(void **state)
{
    (void)state;
    make(0);
    tina__timer_node never = {0};
    tina__timer_wheel_start(&wheel, &never, UINT64_MAX);
    assert_true(tina__timer_wheel_next_ns(&wheel) != TINA_NONE_NS);
    expect(NULL, 500 * YEAR);
    assert_true(tina__timer_wheel_next_ns(&wheel) != TINA_NONE_NS);
    expect(NULL, UINT64_MAX); /* its step ends beyond the end of time */
    assert_true(tina__timer_is_armed(&never));
    tina__timer_wheel_cancel(&wheel, &never);
    assert_true(tina__timer_wheel_next_ns(&wheel) == TINA_NONE_NS);
}

static void timer_wheel_deadline_beyond_the_reach_is_met_to_the_step(void **state)
{
    (void)state;
    static const uint64_t distances[] = {REACH - 1, REACH, REACH + 1, 2 * REACH - 1, 1000 * REACH + 12345};
    for (uint64_t begin = 0; begin < 2 * REACH; begin += REACH - 7) {
        tina__timer_wheel_init(&wheel, 1, begin);
        tina__timer_node nodes[5] = {0};
        for (int i = 0; i < 5; i++)
            tina__timer_wheel_start(&wheel, &nodes[i], begin + distances[i]);
        for (int i = 0; i < 5; i++) {
            expect(NULL, begin + distances[i] - 1);
            assert_true(tina__timer_wheel_next_ns(&wheel) == begin + distances[i]);
            expect(&nodes[i], begin + distances[i]);
        }
    }
}

static void timer_wheel_last_nanosecond_can_expire(void **state)
{
    (void)state;
    tina__timer_wheel_init(&wheel, 1, UINT64_MAX - 100);
    tina__timer_node node = {0};
    tina__timer_wheel_start(&wheel, &node, UINT64_MAX);
    expect(NULL, UINT64_MAX - 1);
    expect(&node, UINT64_MAX);
}

static void start_what_is_armed(void)
{
    make(0);
    tina__timer_node node = {0};
    tina__timer_wheel_start(&wheel, &node, MS);
    tina__timer_wheel_start(&wheel, &node, 2 * MS);
}

static void go_back_in_time(void)
{
    make(0);
    tina__timer_wheel_expire(&wheel, 10 * MS);
    tina__timer_wheel_expire(&wheel, 8 * MS);
}

static void init_without_a_resolution(void) { tina__timer_wheel_init(&wheel, 0, 0); }

static void cancel_a_damaged_node(void)
{
    make(0);
    tina__timer_node node = {0}, other = {0};
    tina__timer_wheel_start(&wheel, &node, MS);
    tina__timer_wheel_start(&wheel, &other, MS);
    node.next = &node;
    tina__timer_wheel_cancel(&wheel, &node);
}

static void timer_wheel_start_of_what_is_armed_aborts(void **state)
{
    (void)state;
    assert_true(aborts(start_what_is_armed));
}

static void timer_wheel_time_that_goes_back_aborts(void **state)
{
    (void)state;
    assert_true(aborts(go_back_in_time));
}

static void timer_wheel_init_without_a_resolution_aborts(void **state)
{
    (void)state;
    assert_true(aborts(init_without_a_resolution));
}

static void timer_wheel_cancel_of_a_damaged_node_aborts(void **state)
{
    (void)state;
    assert_true(aborts(cancel_a_damaged_node));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timer_wheel_empty_has_no_next_and_expires_nothing),
        cmocka_unit_test(timer_wheel_start_expires_at_its_deadline_and_not_before),
        cmocka_unit_test(timer_wheel_deadline_between_steps_is_rounded_up),
        cmocka_unit_test(timer_wheel_deadline_that_has_passed_expires_at_once),
        cmocka_unit_test(timer_wheel_start_leaves_owner_and_kind_alone),
        cmocka_unit_test(timer_wheel_expired_node_can_be_started_again),
        cmocka_unit_test(timer_wheel_cancel_means_it_never_expires),
        cmocka_unit_test(timer_wheel_cancel_of_the_last_leaves_nothing_to_wait_for),
        cmocka_unit_test(timer_wheel_cancel_of_what_is_not_armed_changes_nothing),
        cmocka_unit_test(timer_wheel_cancel_after_it_passed_and_before_it_was_taken_is_real),
        cmocka_unit_test(timer_wheel_cancel_of_a_passed_node_leaves_its_old_slot_alone),
        cmocka_unit_test(timer_wheel_several_come_in_order_of_their_steps),
        cmocka_unit_test(timer_wheel_one_step_keeps_the_order_of_starts),
        cmocka_unit_test(timer_wheel_started_while_expiring_comes_behind_what_is_due),
        cmocka_unit_test(timer_wheel_nodes_over_the_budget_come_with_the_next_call),
        cmocka_unit_test(timer_wheel_next_leads_to_the_deadline_within_the_levels),
        cmocka_unit_test(timer_wheel_jump_of_years_expires_all),
        cmocka_unit_test(timer_wheel_deadline_at_the_end_of_time_never_expires_early),
        cmocka_unit_test(timer_wheel_deadline_beyond_the_reach_is_met_to_the_step),
        cmocka_unit_test(timer_wheel_last_nanosecond_can_expire),
        cmocka_unit_test(timer_wheel_start_of_what_is_armed_aborts),
        cmocka_unit_test(timer_wheel_time_that_goes_back_aborts),
        cmocka_unit_test(timer_wheel_init_without_a_resolution_aborts),
        cmocka_unit_test(timer_wheel_cancel_of_a_damaged_node_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
