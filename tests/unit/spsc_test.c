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

#include "mem/spsc.h"
#include "support/guard.h"

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

static tina__spsc ring;
static tina_test_guard guard;

static void make(uint32_t capacity, uint32_t answer_capacity)
{
    uint32_t slot_count = tina__spsc_slot_count(capacity, answer_capacity);
    guard = tina_test_guard_make(slot_count * sizeof(tina_message), sizeof(tina_message));
    tina__spsc_init(&ring, guard.data, capacity, answer_capacity);
}

static void end(void) { tina_test_guard_free(&guard); }

static uint32_t take_all(void)
{
    uint32_t count = 0;
    for (; tina__spsc_peek(&ring) != NULL; count++)
        tina__spsc_take(&ring);
    return count;
}

static void spsc_slot_count_is_the_next_power_of_two(void **state)
{
    (void)state;
    assert_int_equal(tina__spsc_slot_count(1, 0), 1);
    assert_int_equal(tina__spsc_slot_count(3, 1), 4);
    assert_int_equal(tina__spsc_slot_count(4, 1), 8);
    assert_int_equal(tina__spsc_slot_count(1000, 24), 1024);
}

static void spsc_push_when_full_refuses(void **state)
{
    (void)state;
    make(3, 0); /* four slots, of which three are used at once */
    for (int i = 0; i < 3; i++)
        assert_non_null(tina__spsc_claim(&ring));
    assert_null(tina__spsc_claim(&ring));
    assert_null(tina__spsc_claim(&ring));
    assert_int_equal(tina__spsc_unpublished(&ring), 3);
    end();
}

static void spsc_push_after_release_has_room_again(void **state)
{
    (void)state;
    make(2, 0);
    tina__spsc_claim(&ring);
    tina__spsc_claim(&ring);
    tina__spsc_publish(&ring);
    assert_non_null(tina__spsc_peek(&ring));
    tina__spsc_take(&ring);
    assert_null(tina__spsc_claim(&ring)); /* taken, and not given back yet */
    tina__spsc_release(&ring);
    assert_non_null(tina__spsc_claim(&ring));
    assert_null(tina__spsc_claim(&ring));
    end();
}

static void spsc_peek_before_publish_sees_nothing(void **state)
{
    (void)state;
    make(4, 0);
    tina__spsc_claim(&ring);
    assert_null(tina__spsc_peek(&ring));
    tina__spsc_publish(&ring);
    assert_int_equal(tina__spsc_unpublished(&ring), 0);
    assert_non_null(tina__spsc_peek(&ring));
    end();
}

static void spsc_publish_of_several_shows_all_in_order(void **state)
{
    (void)state;
    make(5, 0);
    for (uint32_t i = 0; i < 5; i++)
        tina__spsc_claim(&ring)->correlation = i;
    tina__spsc_publish(&ring);
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(tina__spsc_peek(&ring)->correlation, i);
        tina__spsc_take(&ring);
    }
    assert_null(tina__spsc_peek(&ring));
    end();
}

static void spsc_publish_of_nothing_shows_nothing(void **state)
{
    (void)state;
    make(1, 1);
    tina__spsc_publish(&ring);
    tina__spsc_release(&ring);
    assert_null(tina__spsc_peek(&ring));
    end();
}

static void spsc_answers_find_room_where_messages_are_refused(void **state)
{
    (void)state;
    make(2, 3);
    tina__spsc_claim(&ring);
    tina__spsc_claim(&ring);
    assert_null(tina__spsc_claim(&ring));
    for (int i = 0; i < 3; i++)
        assert_non_null(tina__spsc_claim_answer(&ring));
    assert_null(tina__spsc_claim(&ring));
    tina__spsc_publish(&ring);
    assert_int_equal(take_all(), 5);
    end();
}

static void spsc_answers_in_the_messages_places_hold_messages_back(void **state)
{
    (void)state;
    make(2, 2);
    tina__spsc_claim_answer(&ring);
    tina__spsc_claim_answer(&ring);
    assert_null(tina__spsc_claim(&ring));
    tina__spsc_publish(&ring);
    assert_int_equal(take_all(), 2);
    tina__spsc_release(&ring);
    assert_non_null(tina__spsc_claim(&ring));
    end();
}

static void spsc_positions_that_wrap_change_nothing(void **state)
{
    (void)state;
    make(3, 1);
    uint32_t start = UINT32_MAX - 5;
    atomic_store(&ring.tail, start);
    atomic_store(&ring.head, start);
    ring.written = ring.head_copy = ring.read = ring.tail_copy = start;
    for (uint32_t i = 0; i < 20; i++) {
        for (uint32_t n = 0; n < 3; n++)
            tina__spsc_claim(&ring)->correlation = i * 3 + n;
        assert_null(tina__spsc_claim(&ring));
        tina__spsc_publish(&ring);
        assert_int_equal(tina__spsc_peek(&ring)->correlation, i * 3);
        assert_int_equal(take_all(), 3);
        tina__spsc_release(&ring);
    }
    end();
}

static void claim_an_answer_without_a_credit(void)
{
    make(1, 1);
    tina__spsc_claim(&ring);
    tina__spsc_claim_answer(&ring);
    tina__spsc_claim_answer(&ring);
}

static void init_with_no_capacity(void)
{
    tina_message slot;
    tina__spsc_init(&ring, &slot, 0, 1);
}

static void spsc_answer_without_a_credit_aborts(void **state)
{
    (void)state;
    assert_true(aborts(claim_an_answer_without_a_credit));
}

static void spsc_init_with_no_capacity_aborts(void **state)
{
    (void)state;
    assert_true(aborts(init_with_no_capacity));
}

/* ---- Lives ---- */

static void spsc_roll_back_forgets_what_is_not_published(void **state)
{
    (void)state;
    make(4, 0);
    tina__spsc_claim(&ring)->tag = 1;
    tina__spsc_publish(&ring);
    tina__spsc_claim(&ring)->tag = 2;
    tina__spsc_claim(&ring)->tag = 3;
    assert_int_equal(tina__spsc_unpublished(&ring), 2);
    assert_int_equal(tina__spsc_unpublished_at(&ring, 0)->tag, 2);
    assert_int_equal(tina__spsc_unpublished_at(&ring, 1)->tag, 3);
    tina__spsc_roll_back(&ring);
    assert_int_equal(tina__spsc_unpublished(&ring), 0);
    tina__spsc_claim(&ring)->tag = 4;
    tina__spsc_publish(&ring);
    assert_int_equal(tina__spsc_peek(&ring)->tag, 1);
    tina__spsc_take(&ring);
    assert_int_equal(tina__spsc_peek(&ring)->tag, 4);
    end();
}

static void spsc_fence_is_passed_when_all_before_it_is_read(void **state)
{
    (void)state;
    make(4, 0);
    for (uint32_t life = 1; life < 20; life++) { /* past the wrap of the positions in the hostile twin */
        tina__spsc_claim(&ring)->tag = 1;
        tina__spsc_claim(&ring)->tag = 2;
        tina__spsc_publish(&ring);
        assert_false(tina__spsc_is_past_fence(&ring, life)); /* none was set for that life */
        tina__spsc_fence(&ring, life);
        assert_false(tina__spsc_is_past_fence(&ring, life));
        tina__spsc_claim(&ring)->tag = 3;
        tina__spsc_publish(&ring);
        for (tina_tag tag = 1; tag <= 2; tag++) {
            assert_false(tina__spsc_is_past_fence(&ring, life));
            assert_int_equal(tina__spsc_peek(&ring)->tag, tag);
            tina__spsc_take(&ring);
        }
        assert_int_equal(tina__spsc_peek(&ring)->tag, 3);
        assert_true(tina__spsc_is_past_fence(&ring, life));
        assert_false(tina__spsc_is_past_fence(&ring, life + 1));
        tina__spsc_take(&ring);
        assert_true(tina__spsc_is_past_fence(&ring, life));
        tina__spsc_release(&ring);
    }
    end();
}

static void spsc_fence_publishes_so_that_no_roll_back_comes_before_it(void **state)
{
    (void)state;
    make(4, 0);
    (void)tina__spsc_claim(&ring);
    tina__spsc_fence(&ring, 1);
    tina__spsc_roll_back(&ring);
    assert_int_equal(take_all(), 1);
    assert_true(tina__spsc_is_past_fence(&ring, 1));
    end();
}

static void spsc_fence_of_a_life_that_has_one_stays_where_it_is(void **state)
{
    (void)state;
    make(4, 0);
    (void)tina__spsc_claim(&ring);
    tina__spsc_fence(&ring, 1);
    (void)tina__spsc_claim(&ring);
    tina__spsc_publish(&ring);
    tina__spsc_fence(&ring, 1);
    assert_non_null(tina__spsc_peek(&ring));
    tina__spsc_take(&ring);
    assert_true(tina__spsc_is_past_fence(&ring, 1));
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spsc_slot_count_is_the_next_power_of_two),
        cmocka_unit_test(spsc_push_when_full_refuses),
        cmocka_unit_test(spsc_push_after_release_has_room_again),
        cmocka_unit_test(spsc_peek_before_publish_sees_nothing),
        cmocka_unit_test(spsc_publish_of_several_shows_all_in_order),
        cmocka_unit_test(spsc_publish_of_nothing_shows_nothing),
        cmocka_unit_test(spsc_answers_find_room_where_messages_are_refused),
        cmocka_unit_test(spsc_answers_in_the_messages_places_hold_messages_back),
        cmocka_unit_test(spsc_positions_that_wrap_change_nothing),
        cmocka_unit_test(spsc_answer_without_a_credit_aborts),
        cmocka_unit_test(spsc_init_with_no_capacity_aborts),
        cmocka_unit_test(spsc_roll_back_forgets_what_is_not_published),
        cmocka_unit_test(spsc_fence_is_passed_when_all_before_it_is_read),
        cmocka_unit_test(spsc_fence_publishes_so_that_no_roll_back_comes_before_it),
        cmocka_unit_test(spsc_fence_of_a_life_that_has_one_stays_where_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
