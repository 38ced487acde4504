#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/handle.h"
#include "base/prng.h"

static void handle_parts_come_back_as_they_went_in(void **state)
{
    (void)state;
    tina__prng prng;
    tina__prng_seed(&prng, 1);
    for (int i = 0; i < 10000; i++) {
        uint8_t shard = (uint8_t)tina__prng_next(&prng);
        uint8_t type = (uint8_t)tina__prng_next(&prng);
        uint32_t slot = (uint32_t)tina__prng_below(&prng, 1u << TINA__SLOT_BITS);
        uint32_t generation = (uint32_t)tina__prng_next(&prng) & TINA__GENERATION_MASK;
        tina_handle handle = tina__handle_make(shard, type, slot, generation);
        assert_int_equal(tina_handle_shard(handle), shard);
        assert_int_equal(tina_handle_type(handle), type);
        assert_int_equal(tina__handle_slot(handle), slot);
        assert_int_equal(tina__handle_generation(handle), generation);
    }
}

static void handle_parts_at_their_limits_do_not_touch_each_other(void **state)
{
    (void)state;
    assert_true(tina__handle_make(255, 0, 0, 0).bits == 0xFF00000000000000u);
    assert_true(tina__handle_make(0, 255, 0, 0).bits == 0x00FF000000000000u);
    assert_true(tina__handle_make(0, 0, (1u << TINA__SLOT_BITS) - 1, 0).bits == 0x0000FFFFF0000000u);
    assert_true(tina__handle_make(0, 0, 0, TINA__GENERATION_MASK).bits == TINA__GENERATION_MASK);
}

static void handle_of_the_first_isolate_is_not_none(void **state)
{
    (void)state;
    assert_true(tina_handle_is_none((tina_handle){0}));
    assert_false(tina_handle_is_none(tina__handle_make(0, 0, 0, tina__generation_next(0))));
}

static void handle_equal_means_every_bit(void **state)
{
    (void)state;
    tina_handle handle = tina__handle_make(1, 2, 3, 4);
    assert_true(tina_handle_equal(handle, tina__handle_make(1, 2, 3, 4)));
    for (uint32_t bit = 0; bit < 64; bit++)
        assert_false(tina_handle_equal(handle, (tina_handle){handle.bits ^ (1ull << bit)}));
}

static void handle_of_a_name_is_told_from_an_isolates(void **state)
{
    (void)state;
    tina_handle named = tina_named(3, 65535);
    assert_true(tina__handle_is_named(named));
    assert_int_equal(tina_handle_shard(named), 3);
    assert_int_equal(tina__handle_slot(named), 65535);
    assert_int_equal(tina__handle_generation(named), 0);
    assert_false(tina__handle_is_named(tina__handle_make(3, 254, 65535, 1)));
    assert_false(tina_handle_is_none(tina_named(0, 1)));
}

static void handle_generation_skips_zero_where_it_wraps(void **state)
{
    (void)state;
    assert_int_equal(tina__generation_next(0), 1);
    assert_int_equal(tina__generation_next(1), 2);
    assert_int_equal(tina__generation_next(TINA__GENERATION_MASK - 1), TINA__GENERATION_MASK);
    assert_int_equal(tina__generation_next(TINA__GENERATION_MASK), 1);
    assert_int_equal(tina__word_generation_next(0), 1);
    assert_int_equal(tina__word_generation_next(TINA__WORD_GENERATION_MASK - 1), TINA__WORD_GENERATION_MASK);
    assert_int_equal(tina__word_generation_next(TINA__WORD_GENERATION_MASK), 1);
}

static void handle_word_parts_come_back_as_they_went_in(void **state)
{
    (void)state;
    tina__prng prng;
    tina__prng_seed(&prng, 2);
    for (int i = 0; i < 10000; i++) {
        uint8_t shard = (uint8_t)tina__prng_next(&prng);
        uint32_t index = (uint32_t)tina__prng_below(&prng, 1u << TINA__INDEX_BITS);
        uint32_t generation = (uint32_t)tina__prng_next(&prng) & TINA__WORD_GENERATION_MASK;
        uint64_t word = tina__word_make(shard, index, generation);
        assert_int_equal(tina__word_shard(word), shard);
        assert_int_equal(tina__word_index(word), index);
        assert_int_equal(tina__word_generation(word), generation);
    }
    assert_true(tina__word_make(255, (1u << TINA__INDEX_BITS) - 1, UINT32_MAX) == UINT64_MAX);
}

static void handle_call_keeps_its_place_and_wraps_its_sequence(void **state)
{
    (void)state;
    uint32_t place = (1u << TINA__PLACE_BITS) - 1;
    uint32_t sequences = 1u << TINA__SEQUENCE_BITS;
    assert_int_equal(tina__call_place(tina__call_make(place, 0)), place);
    assert_int_equal(tina__call_place(tina__call_make(place, UINT32_MAX)), place);
    assert_int_equal(tina__call_make(5, sequences), tina__call_make(5, 0));
    assert_int_not_equal(tina__call_make(5, sequences - 1), tina__call_make(5, 0));
    assert_int_not_equal(tina__call_make(5, 1), tina__call_make(6, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handle_parts_come_back_as_they_went_in),
        cmocka_unit_test(handle_parts_at_their_limits_do_not_touch_each_other),
        cmocka_unit_test(handle_of_the_first_isolate_is_not_none),
        cmocka_unit_test(handle_equal_means_every_bit),
        cmocka_unit_test(handle_of_a_name_is_told_from_an_isolates),
        cmocka_unit_test(handle_generation_skips_zero_where_it_wraps),
        cmocka_unit_test(handle_word_parts_come_back_as_they_went_in),
        cmocka_unit_test(handle_call_keeps_its_place_and_wraps_its_sequence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
