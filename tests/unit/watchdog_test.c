/* What the watchdog decides: driven by hand, look by look. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "run/watchdog.h"

static const tina__watch_rule killing = {.period_ns = 25, .limit_ns = 200, .blocked_ns = 400, .kills = true};
static const tina__watch_rule reporting = {.period_ns = 25, .limit_ns = 200, .blocked_ns = 400};

static tina__watch_verdict judge(const tina__watch_rule *rule, tina__watch *watch, uint32_t turn, uint64_t cpu_ns,
                                 uint64_t now_ns)
{
    const tina__watch_look look = {.turn = turn, .cpu_ns = cpu_ns, .now_ns = now_ns};
    return tina__watch_judge(rule, watch, &look);
}

static tina__watch_verdict judge_blocked(const tina__watch_rule *rule, tina__watch *watch, uint32_t turn, uint64_t cpu_ns,
                                         uint64_t now_ns)
{
    const tina__watch_look look = {.turn = turn, .is_blocked = true, .cpu_ns = cpu_ns, .now_ns = now_ns};
    return tina__watch_judge(rule, watch, &look);
}

/* ---- The rule ---- */

static void rule_of_a_zeroed_spec_has_the_defaults(void **state)
{
    (void)state;
    const tina_system_spec spec = {0};
    tina__watch_rule rule = tina__watch_rule_of(&spec);
    assert_int_equal(rule.period_ns, 125000000);
    assert_int_equal(rule.limit_ns, 1000000000);
    assert_int_equal(rule.blocked_ns, 2000000000);
    assert_true(rule.kills);
}

static void rule_takes_what_the_spec_says(void **state)
{
    (void)state;
    const tina_system_spec spec = {.watchdog_interval_ns = 1000000, .watchdog_stalls = 1};
    tina__watch_rule rule = tina__watch_rule_of(&spec);
    assert_int_equal(rule.period_ns, 250000);
    assert_int_equal(rule.limit_ns, 1000000);
    assert_int_equal(rule.blocked_ns, 4000000);
    assert_true(rule.kills);
}

static void rule_at_the_spec_s_limits_does_not_overflow(void **state)
{
    (void)state;
    const tina_system_spec spec = {.watchdog_interval_ns = 3600000000000u, .watchdog_stalls = 1000000};
    tina__watch_rule rule = tina__watch_rule_of(&spec);
    assert_int_equal(rule.limit_ns / 1000000, 3600000000000u);
    assert_int_equal(rule.blocked_ns, 4 * 3600000000000u);
}

static void rule_without_stalls_or_signals_kills_nobody(void **state)
{
    (void)state;
    const tina_system_spec report_only = {.watchdog_stalls = TINA_NONE};
    tina__watch_rule rule = tina__watch_rule_of(&report_only);
    assert_false(rule.kills);
    assert_int_equal(rule.limit_ns, 1000000000);
    const tina_system_spec no_signals = {.watchdog_stalls = 3, .signals = TINA_SIGNALS_NONE};
    rule = tina__watch_rule_of(&no_signals);
    assert_false(rule.kills);
    assert_int_equal(rule.limit_ns, 1500000000);
}

/* ---- Runaways ---- */

static void judge_at_the_limit_reports_and_kills(void **state)
{
    (void)state;
    for (uint64_t step = 1; step <= 200; step++) {
        tina__watch watch = {0};
        uint64_t used = 0;
        assert_int_equal(judge(&killing, &watch, 7, 1000, 0), TINA__WATCH_FINE);
        while (used + step < 200) {
            used += step;
            assert_int_equal(judge(&killing, &watch, 7, 1000 + used, used), TINA__WATCH_FINE);
        }
        assert_int_equal(judge(&killing, &watch, 7, 1000 + used + step, used), TINA__WATCH_REPORT_AND_KILL);
    }
}

static void judge_of_a_turn_seen_first_is_fine_whatever_came_before(void **state)
{
    (void)state;
    tina__watch watch = {0};
    assert_int_equal(judge_blocked(&killing, &watch, 1, 1000000, 1000000), TINA__WATCH_FINE);
    assert_int_equal(judge_blocked(&killing, &watch, 3, 2000000, 2000000), TINA__WATCH_FINE);
    assert_int_equal(judge(&killing, &watch, 3, 2000199, 2000199), TINA__WATCH_FINE);
    assert_int_equal(judge(&killing, &watch, 5, 2000200, 2000200), TINA__WATCH_FINE);
    assert_int_equal(judge(&killing, &watch, 5, 2000399, 2000399), TINA__WATCH_FINE);
    assert_int_equal(judge(&killing, &watch, 5, 2000400, 2000400), TINA__WATCH_REPORT_AND_KILL);
}

static void judge_between_handlers_is_fine_for_ever(void **state)
{
    (void)state;
    tina__watch watch = {0};
    for (uint64_t i = 0; i < 100; i++)
        assert_int_equal(judge_blocked(&killing, &watch, 8, i * 1000, i * 1000), TINA__WATCH_FINE);
    assert_int_equal(judge(&killing, &watch, 9, 100000, 100000), TINA__WATCH_FINE);
    assert_int_equal(judge(&killing, &watch, 9, 100199, 100000), TINA__WATCH_FINE);
}

static void judge_asks_again_once_the_turn_has_used_a_period_more(void **state)
{
    (void)state;
    tina__watch watch = {0};
    judge(&killing, &watch, 1, 0, 0);
    assert_int_equal(judge(&killing, &watch, 1, 230, 0), TINA__WATCH_REPORT_AND_KILL);
    assert_int_equal(judge(&killing, &watch, 1, 230, 1000), TINA__WATCH_FINE);
    assert_int_equal(judge(&killing, &watch, 1, 254, 1000), TINA__WATCH_FINE);
    for (uint64_t i = 1; i <= 50; i++) {
        assert_int_equal(judge(&killing, &watch, 1, 230 + 25 * i, 1000), TINA__WATCH_KILL);
        assert_int_equal(judge(&killing, &watch, 1, 254 + 25 * i, 1000), TINA__WATCH_FINE);
    }
    assert_int_equal(judge(&killing, &watch, 3, 5000, 1000), TINA__WATCH_FINE);
    assert_int_equal(judge(&killing, &watch, 3, 5200, 1000), TINA__WATCH_REPORT_AND_KILL);
}

static void judge_that_only_reports_does_so_once_a_turn(void **state)
{
    (void)state;
    tina__watch watch = {0};
    for (uint32_t turn = 1; turn < 20; turn += 2) {
        assert_int_equal(judge(&reporting, &watch, turn, 0, 0), TINA__WATCH_FINE);
        assert_int_equal(judge(&reporting, &watch, turn, 199, 0), TINA__WATCH_FINE);
        assert_int_equal(judge(&reporting, &watch, turn, 200, 0), TINA__WATCH_REPORT);
        for (uint64_t i = 0; i < 20; i++)
            assert_int_equal(judge_blocked(&reporting, &watch, turn, 200 + 100 * i, 1000), TINA__WATCH_FINE);
    }
}

static void judge_of_a_machine_that_is_busy_elsewhere_is_fine(void **state)
{
    (void)state;
    tina__watch watch = {0};
    for (uint64_t i = 0; i < 200; i++)
        assert_int_equal(judge(&killing, &watch, 1, i, i * 1000), TINA__WATCH_FINE);
}

/* ---- Blocked ones ---- */

static void judge_of_a_blocked_one_past_its_time_reports_once(void **state)
{
    (void)state;
    tina__watch watch = {0};
    for (uint32_t turn = 1; turn < 20; turn += 2) {
        assert_int_equal(judge_blocked(&killing, &watch, turn, 0, 1000), TINA__WATCH_FINE);
        assert_int_equal(judge_blocked(&killing, &watch, turn, 199, 1400), TINA__WATCH_FINE);
        assert_int_equal(judge_blocked(&killing, &watch, turn, 199, 1401), TINA__WATCH_REPORT_BLOCKED);
        for (uint64_t i = 0; i < 20; i++)
            assert_int_equal(judge_blocked(&killing, &watch, turn, 199, 1402 + 100 * i), TINA__WATCH_FINE);
    }
}

static void judge_of_a_blocked_one_that_runs_away_later_kills(void **state)
{
    (void)state;
    tina__watch watch = {0};
    judge(&killing, &watch, 1, 0, 0);
    assert_int_equal(judge(&killing, &watch, 1, 10, 5000), TINA__WATCH_FINE);
    assert_int_equal(judge_blocked(&killing, &watch, 1, 10, 6000), TINA__WATCH_REPORT_BLOCKED);
    assert_int_equal(judge(&killing, &watch, 1, 210, 7000), TINA__WATCH_REPORT_AND_KILL);
    assert_int_equal(judge_blocked(&killing, &watch, 1, 210, 9000), TINA__WATCH_FINE);
}

/* ---- All of it, against what the history says ---- */

enum { DEPTH = 5 };

static bool is_over(const tina__watch_rule *rule, const tina__watch_look *looks, int first, int at)
{
    return looks[at].cpu_ns - looks[first].cpu_ns >= rule->limit_ns;
}

static bool is_too_long_blocked(const tina__watch_rule *rule, const tina__watch_look *looks, int first, int at)
{
    return looks[at].is_blocked && looks[at].now_ns - looks[first].now_ns > rule->blocked_ns;
}

static tina__watch_verdict expected_runaway(const tina__watch_rule *rule, const tina__watch_look *looks, int first, int last)
{
    int asked = first;
    while (!is_over(rule, looks, first, asked))
        asked++;
    if (asked == last)
        return rule->kills ? TINA__WATCH_REPORT_AND_KILL : TINA__WATCH_REPORT;
    for (int i = asked + 1; i < last; i++) {
        if (looks[i].cpu_ns - looks[asked].cpu_ns >= rule->period_ns)
            asked = i;
    }
    bool is_again = looks[last].cpu_ns - looks[asked].cpu_ns >= rule->period_ns;
    return rule->kills && is_again ? TINA__WATCH_KILL : TINA__WATCH_FINE;
}

static tina__watch_verdict expected(const tina__watch_rule *rule, const tina__watch_look *looks, int last)
{
    int first = last;
    while (first > 0 && looks[first - 1].turn == looks[last].turn)
        first--;
    if (looks[last].turn % 2 == 0)
        return TINA__WATCH_FINE;
    if (is_over(rule, looks, first, last))
        return expected_runaway(rule, looks, first, last);
    if (!is_too_long_blocked(rule, looks, first, last))
        return TINA__WATCH_FINE;
    for (int i = first; i < last; i++) {
        if (is_too_long_blocked(rule, looks, first, i))
            return TINA__WATCH_FINE;
    }
    return TINA__WATCH_REPORT_BLOCKED;
}

/* One of 12 ways to go on: the turn stays, ends, or the next begins; CPU time passes or not; it is blocked or not. */
static tina__watch_look next_look(const tina__watch_look *before, unsigned way)
{
    tina__watch_look look = *before;
    uint32_t turns[] = {look.turn, (look.turn + 1) & ~1u, (look.turn + 1) | 1u};
    look.turn = turns[way % 3];
    look.cpu_ns += way / 3 % 2;
    look.is_blocked = way / 6 % 2 != 0;
    look.now_ns += 1;
    return look;
}

static void judge_agrees_with_the_history(void **state)
{
    (void)state;
    unsigned long long ways_count = 1;
    for (int i = 0; i < DEPTH; i++)
        ways_count *= 12;
    for (unsigned long long path = 0; path < 2 * ways_count; path++) {
        const tina__watch_rule rule = {.period_ns = 1, .limit_ns = 2, .blocked_ns = 2, .kills = path >= ways_count};
        tina__watch_look looks[DEPTH + 1] = {{.turn = 1, .cpu_ns = 100, .now_ns = 100}};
        tina__watch watch = {0};
        unsigned long long ways = path % ways_count;
        for (int i = 0; i <= DEPTH; i++) {
            tina__watch_verdict verdict = tina__watch_judge(&rule, &watch, &looks[i]);
            if (verdict != expected(&rule, looks, i))
                fail_msg("path %llu, look %d: %d, not %d", path, i, verdict, expected(&rule, looks, i));
            if (i < DEPTH)
                looks[i + 1] = next_look(&looks[i], (unsigned)(ways % 12));
            ways /= 12;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rule_of_a_zeroed_spec_has_the_defaults),
        cmocka_unit_test(rule_takes_what_the_spec_says),
        cmocka_unit_test(rule_at_the_spec_s_limits_does_not_overflow),
        cmocka_unit_test(rule_without_stalls_or_signals_kills_nobody),
        cmocka_unit_test(judge_at_the_limit_reports_and_kills),
        cmocka_unit_test(judge_of_a_turn_seen_first_is_fine_whatever_came_before),
        cmocka_unit_test(judge_between_handlers_is_fine_for_ever),
        cmocka_unit_test(judge_asks_again_once_the_turn_has_used_a_period_more),
        cmocka_unit_test(judge_that_only_reports_does_so_once_a_turn),
        cmocka_unit_test(judge_of_a_machine_that_is_busy_elsewhere_is_fine),
        cmocka_unit_test(judge_of_a_blocked_one_past_its_time_reports_once),
        cmocka_unit_test(judge_of_a_blocked_one_that_runs_away_later_kills),
        cmocka_unit_test(judge_agrees_with_the_history),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
