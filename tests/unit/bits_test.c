#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bits.h"

static void bits_lowest_and_highest_of_every_single_bit(void **state)
{
    (void)state;
    for (uint32_t bit = 0; bit < 64; bit++) {
        assert_int_equal(tina__lowest_bit(1ull << bit), bit);
        assert_int_equal(tina__highest_bit(1ull << bit), bit);
        assert_int_equal(tina__lowest_bit(UINT64_MAX << bit), bit);
        assert_int_equal(tina__highest_bit(UINT64_MAX >> bit), 63 - bit);
    }
}

static void bits_power_of_two_is_told_from_its_neighbours(void **state)
{
    (void)state;
    assert_false(tina__is_power_of_two(0));
    assert_true(tina__is_power_of_two(1));
    assert_true(tina__is_power_of_two(2));
    for (uint32_t bit = 2; bit < 64; bit++) {
        assert_true(tina__is_power_of_two(1ull << bit));
        assert_false(tina__is_power_of_two((1ull << bit) - 1));
        assert_false(tina__is_power_of_two((1ull << bit) + 1));
    }
}

static void bits_power_of_two_up_is_the_smallest_that_is_not_below(void **state)
{
    (void)state;
    assert_int_equal(tina__power_of_two_up(0), 1);
    assert_int_equal(tina__power_of_two_up(1), 1);
    assert_int_equal(tina__power_of_two_up(2), 2);
    assert_int_equal(tina__power_of_two_up(3), 4);
    for (uint32_t bit = 2; bit < 31; bit++) {
        assert_int_equal(tina__power_of_two_up(1u << bit), 1u << bit);
        assert_int_equal(tina__power_of_two_up((1u << bit) - 1), 1u << bit);
        assert_int_equal(tina__power_of_two_up((1u << bit) + 1), 2u << bit);
    }
    assert_int_equal(tina__power_of_two_up(1u << 31), 1u << 31);
}

static void bits_align_up_rounds_to_the_next(void **state)
{
    (void)state;
    for (size_t value = 0; value < 300; value++) {
        size_t aligned = tina__align_up(value, 64);
        assert_int_equal(aligned % 64, 0);
        assert_true(aligned >= value);
        assert_true(aligned < value + 64);
        assert_int_equal(tina__align_up(value, 1), value);
    }
}

static void bits_min_and_max_take_either_order(void **state)
{
    (void)state;
    assert_int_equal(tina__min_u32(1, UINT32_MAX), 1);
    assert_int_equal(tina__min_u32(UINT32_MAX, 1), 1);
    assert_int_equal(tina__max_u32(1, UINT32_MAX), UINT32_MAX);
    assert_int_equal(tina__max_u32(UINT32_MAX, 1), UINT32_MAX);
    assert_true(tina__min_u64(1, UINT64_MAX) == 1);
    assert_true(tina__min_u64(UINT64_MAX, 1) == 1);
    assert_true(tina__max_u64(1, UINT64_MAX) == UINT64_MAX);
    assert_true(tina__max_u64(UINT64_MAX, 1) == UINT64_MAX);
}

static void bits_add_saturating_stops_at_the_largest(void **state)
{
    (void)state;
    assert_true(tina__add_saturating(1, 2) == 3);
    assert_true(tina__add_saturating(UINT64_MAX - 1, 1) == UINT64_MAX);
    assert_true(tina__add_saturating(UINT64_MAX, 0) == UINT64_MAX);
    assert_true(tina__add_saturating(UINT64_MAX, 1) == UINT64_MAX);
    assert_true(tina__add_saturating(1, UINT64_MAX) == UINT64_MAX);
    assert_true(tina__add_saturating(UINT64_MAX, UINT64_MAX) == UINT64_MAX);
}

typedef struct pair {
    uint32_t first, second;
} pair;

static void bits_container_of_finds_the_whole(void **state)
{
    (void)state;
    pair whole;
    assert_ptr_equal(TINA__CONTAINER_OF(&whole.second, pair, second), &whole);
    assert_ptr_equal(TINA__CONTAINER_OF(&whole.first, pair, first), &whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bits_lowest_and_highest_of_every_single_bit),
        cmocka_unit_test(bits_power_of_two_is_told_from_its_neighbours),
        cmocka_unit_test(bits_power_of_two_up_is_the_smallest_that_is_not_below),
        cmocka_unit_test(bits_align_up_rounds_to_the_next),
        cmocka_unit_test(bits_min_and_max_take_either_order),
        cmocka_unit_test(bits_add_saturating_stops_at_the_largest),
        cmocka_unit_test(bits_container_of_finds_the_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
