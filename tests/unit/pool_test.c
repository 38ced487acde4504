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

#include "mem/pool.h"

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

#define LIMIT 5

typedef struct item {
    uint32_t content;
    uint32_t link;
} item;

static item items[LIMIT];
static tina__pool pool;

static void make(uint32_t limit, uint32_t reuse_distance)
{
    tina__pool_init(&pool, items, sizeof(item), offsetof(item, link), limit, reuse_distance);
}

static void take_all(void)
{
    while (tina__pool_take(&pool) != TINA__NONE)
        continue;
}

static void pool_take_at_the_limit_works_and_one_past_it_is_refused(void **state)
{
    (void)state;
    make(LIMIT, 0);
    for (uint32_t i = 0; i < LIMIT; i++) {
        assert_int_equal(tina__pool_free_count(&pool), LIMIT - i);
        assert_int_equal(tina__pool_take(&pool), i);
    }
    assert_int_equal(tina__pool_take(&pool), TINA__NONE);
    assert_int_equal(tina__pool_free_count(&pool), 0);
    assert_int_equal(pool.used, LIMIT);
    tina__pool_give(&pool, 3);
    assert_int_equal(tina__pool_take(&pool), 3);
    assert_int_equal(tina__pool_take(&pool), TINA__NONE);
}

static void pool_of_nothing_refuses(void **state)
{
    (void)state;
    make(0, 0);
    assert_int_equal(tina__pool_take(&pool), TINA__NONE);
    assert_true(tina__pool_is_sound(&pool));
}

static void pool_without_distance_reuses_at_once(void **state)
{
    (void)state;
    make(LIMIT, 0);
    uint32_t first = tina__pool_take(&pool);
    tina__pool_give(&pool, first);
    assert_int_equal(tina__pool_take(&pool), first);
    assert_int_equal(pool.fresh, 1);
}

static void pool_give_hot_comes_back_first(void **state)
{
    (void)state;
    make(LIMIT, 0);
    take_all();
    tina__pool_give(&pool, 1);
    tina__pool_give_hot(&pool, 4);
    tina__pool_give(&pool, 0);
    assert_int_equal(tina__pool_take(&pool), 4);
    assert_int_equal(tina__pool_take(&pool), 1);
    assert_int_equal(tina__pool_take(&pool), 0);
}

static void pool_with_distance_reuses_none_before_so_many_wait(void **state)
{
    (void)state;
    make(LIMIT, 2);
    for (uint32_t i = 0; i < 3; i++)
        tina__pool_give(&pool, tina__pool_take(&pool));
    assert_int_equal(pool.fresh, 3); /* each time one that was never used, until three wait */
    assert_int_equal(tina__pool_take(&pool), 0);
    assert_int_equal(tina__pool_take(&pool), 3);
}

static void pool_with_distance_and_no_other_left_reuses(void **state)
{
    (void)state;
    make(LIMIT, LIMIT);
    take_all();
    tina__pool_give(&pool, 2);
    tina__pool_give(&pool, 1);
    assert_int_equal(tina__pool_take(&pool), 2);
    assert_int_equal(tina__pool_take(&pool), 1);
    assert_int_equal(tina__pool_take(&pool), TINA__NONE);
}

static void pool_take_of_a_used_slot_leaves_its_content(void **state)
{
    (void)state;
    make(1, 0);
    items[tina__pool_take(&pool)].content = 77;
    tina__pool_give(&pool, 0);
    assert_int_equal(items[tina__pool_take(&pool)].content, 77);
}

static void pool_peak_remembers_the_most(void **state)
{
    (void)state;
    make(LIMIT, 0);
    tina__pool_take(&pool);
    tina__pool_take(&pool);
    tina__pool_give(&pool, 0);
    tina__pool_give(&pool, 1);
    tina__pool_take(&pool);
    assert_int_equal(pool.used, 1);
    assert_int_equal(pool.peak, 2);
}

static void pool_withheld_hands_out_nothing_and_takes_back(void **state)
{
    (void)state;
    for (uint32_t distance = 0; distance <= 2; distance++) {
        for (uint32_t taken = 0; taken <= LIMIT; taken++) {
            make(LIMIT, distance);
            for (uint32_t i = 0; i < taken; i++)
                (void)tina__pool_take(&pool);
            tina__pool_withhold(&pool);
            assert_int_equal(tina__pool_take(&pool), TINA__NONE);
            assert_int_equal(tina__pool_free_count(&pool), 0);
            if (taken != 0)
                tina__pool_give(&pool, 0);
            assert_int_equal(tina__pool_take(&pool), TINA__NONE);
            assert_true(tina__pool_is_sound(&pool));
            tina__pool_release(&pool);
            take_all();
            assert_int_equal(pool.used, LIMIT);
        }
    }
}

static void pool_init_touches_no_slot(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < LIMIT; i++)
        items[i] = (item){i, 1000 + i};
    make(LIMIT, 0);
    take_all();
    for (uint32_t i = 0; i < LIMIT; i++) {
        assert_int_equal(items[i].content, i);
        assert_int_equal(items[i].link, 1000 + i);
    }
}

/* ---- The alarm: each damage is planted, and seen ---- */

static void make_with_three_free(void)
{
    make(LIMIT, 0);
    take_all();
    tina__pool_give(&pool, 4);
    tina__pool_give(&pool, 0);
    tina__pool_give(&pool, 2);
    assert_true(tina__pool_is_sound(&pool));
}

static void pool_audit_sees_a_slot_that_was_given_twice(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        make_with_three_free();
        tina__pool_give(&pool, (uint32_t[]){4, 0, 2}[i]);
        assert_false(tina__pool_is_sound(&pool));
        make_with_three_free();
        tina__pool_give_hot(&pool, (uint32_t[]){4, 0, 2}[i]);
        assert_false(tina__pool_is_sound(&pool));
    }
}

static void pool_audit_sees_a_damaged_link(void **state)
{
    (void)state;
    make_with_three_free();
    items[4].link = 3; /* a slot that is in use */
    items[3].link = 1;
    assert_false(tina__pool_is_sound(&pool));
    make_with_three_free();
    items[0].link = LIMIT;
    assert_false(tina__pool_is_sound(&pool));
    make_with_three_free();
    items[0].link = 4; /* a circle */
    assert_false(tina__pool_is_sound(&pool));
}

static void pool_audit_sees_counts_that_do_not_add_up(void **state)
{
    (void)state;
    make_with_three_free();
    pool.used++;
    assert_false(tina__pool_is_sound(&pool));
    make_with_three_free();
    pool.listed--;
    pool.used++; /* the sum is right, and the list too long */
    assert_false(tina__pool_is_sound(&pool));
    make_with_three_free();
    pool.peak = pool.used - 1;
    assert_false(tina__pool_is_sound(&pool));
    make_with_three_free();
    pool.fresh = LIMIT + 1;
    pool.used++;
    pool.peak++;
    assert_false(tina__pool_is_sound(&pool));
}

static void pool_audit_sees_a_wrong_end(void **state)
{
    (void)state;
    make_with_three_free();
    pool.tail = 1;
    assert_false(tina__pool_is_sound(&pool));
    make_with_three_free();
    pool.tail = 4;
    assert_false(tina__pool_is_sound(&pool));
    make_with_three_free();
    pool.head = 0;
    assert_false(tina__pool_is_sound(&pool));
}

static void give_twice(void)
{
    make(LIMIT, 0);
    tina__pool_take(&pool);
    tina__pool_give(&pool, 0);
    tina__pool_give(&pool, 0);
}

static void give_hot_twice(void)
{
    make(LIMIT, 0);
    tina__pool_take(&pool);
    tina__pool_give_hot(&pool, 0);
    tina__pool_give_hot(&pool, 0);
}

static void give_what_was_never_taken(void)
{
    make(LIMIT, 0);
    tina__pool_take(&pool);
    tina__pool_give(&pool, 1);
}

static void give_nothing(void)
{
    make(LIMIT, 0);
    tina__pool_take(&pool);
    tina__pool_give_hot(&pool, TINA__NONE);
}

static void pool_give_of_what_is_not_taken_aborts(void **state)
{
    (void)state;
    assert_true(aborts(give_twice));
    assert_true(aborts(give_hot_twice));
    assert_true(aborts(give_what_was_never_taken));
    assert_true(aborts(give_nothing));
}

static void init_with_a_link_outside(void) { tina__pool_init(&pool, items, sizeof(item), sizeof(item), LIMIT, 0); }

static void pool_init_with_a_link_outside_its_slot_aborts(void **state)
{
    (void)state;
    assert_true(aborts(init_with_a_link_outside));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pool_take_at_the_limit_works_and_one_past_it_is_refused),
        cmocka_unit_test(pool_of_nothing_refuses),
        cmocka_unit_test(pool_without_distance_reuses_at_once),
        cmocka_unit_test(pool_give_hot_comes_back_first),
        cmocka_unit_test(pool_with_distance_reuses_none_before_so_many_wait),
        cmocka_unit_test(pool_with_distance_and_no_other_left_reuses),
        cmocka_unit_test(pool_take_of_a_used_slot_leaves_its_content),
        cmocka_unit_test(pool_peak_remembers_the_most),
        cmocka_unit_test(pool_withheld_hands_out_nothing_and_takes_back),
        cmocka_unit_test(pool_init_touches_no_slot),
        cmocka_unit_test(pool_audit_sees_a_slot_that_was_given_twice),
        cmocka_unit_test(pool_audit_sees_a_damaged_link),
        cmocka_unit_test(pool_audit_sees_counts_that_do_not_add_up),
        cmocka_unit_test(pool_audit_sees_a_wrong_end),
        cmocka_unit_test(pool_give_of_what_is_not_taken_aborts),
        cmocka_unit_test(pool_init_with_a_link_outside_its_slot_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
