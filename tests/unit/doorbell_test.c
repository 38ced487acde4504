#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mem/doorbell.h"

static void doorbell_ring_when_awake_needs_no_wake(void **state)
{
    (void)state;
    tina__doorbell bell = {.wake_fd = -1};
    assert_false(tina__doorbell_ring(&bell, 0));
    assert_false(tina__doorbell_ring(&bell, 0));
}

static void doorbell_each_bit_is_taken_once(void **state)
{
    (void)state;
    tina__doorbell bell = {.wake_fd = -1};
    for (uint32_t bit = 0; bit < TINA__DOORBELL_WORDS * 64; bit++) {
        tina__doorbell_ring(&bell, bit);
        tina__doorbell_ring(&bell, bit);
        for (uint32_t word = 0; word < TINA__DOORBELL_WORDS; word++)
            assert_true(tina__doorbell_take(&bell, word) == (word == bit / 64 ? 1ull << (bit % 64) : 0));
        assert_true(tina__doorbell_take(&bell, bit / 64) == 0);
    }
}

static void doorbell_bits_of_a_word_are_taken_at_once(void **state)
{
    (void)state;
    tina__doorbell bell = {.wake_fd = -1};
    tina__doorbell_ring(&bell, TINA__DOORBELL_CONTROL);
    tina__doorbell_ring(&bell, TINA__DOORBELL_INBOX);
    tina__doorbell_ring(&bell, 192);
    assert_true(tina__doorbell_take(&bell, 3) == (3ull << 62 | 1));
}

static void doorbell_rung_before_the_sleep_keeps_awake(void **state)
{
    (void)state;
    for (uint32_t bit = 0; bit < TINA__DOORBELL_WORDS * 64; bit += 51) {
        tina__doorbell bell = {.wake_fd = -1};
        tina__doorbell_ring(&bell, bit);
        assert_false(tina__doorbell_may_sleep(&bell));
        assert_false(tina__doorbell_ring(&bell, bit)); /* it is awake, and looks again by itself */
    }
}

static void doorbell_first_ring_of_a_sleep_wakes_and_no_other(void **state)
{
    (void)state;
    tina__doorbell bell = {.wake_fd = -1};
    for (int i = 0; i < 3; i++) {
        assert_true(tina__doorbell_may_sleep(&bell));
        assert_true(tina__doorbell_ring(&bell, 7));
        assert_false(tina__doorbell_ring(&bell, 8));
        assert_false(tina__doorbell_ring(&bell, 7));
        tina__doorbell_awake(&bell);
        assert_true(tina__doorbell_take(&bell, 0) == 3u << 7);
    }
}

static void doorbell_ring_after_waking_for_another_reason_needs_no_wake(void **state)
{
    (void)state;
    tina__doorbell bell = {.wake_fd = -1};
    assert_true(tina__doorbell_may_sleep(&bell));
    tina__doorbell_awake(&bell); /* a timer, a completion */
    assert_false(tina__doorbell_ring(&bell, 100));
    assert_false(tina__doorbell_may_sleep(&bell));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(doorbell_ring_when_awake_needs_no_wake),
        cmocka_unit_test(doorbell_each_bit_is_taken_once),
        cmocka_unit_test(doorbell_bits_of_a_word_are_taken_at_once),
        cmocka_unit_test(doorbell_rung_before_the_sleep_keeps_awake),
        cmocka_unit_test(doorbell_first_ring_of_a_sleep_wakes_and_no_other),
        cmocka_unit_test(doorbell_ring_after_waking_for_another_reason_needs_no_wake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
