#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <tina/ctx.h>

#include <cmocka.h>

static void key_shard_is_the_same_on_every_machine(void **state)
{
    (void)state;
    assert_int_equal(tina_key_shard(0, 254), 224);
    assert_int_equal(tina_key_shard(1, 254), 143);
    assert_int_equal(tina_key_shard(0x123456789ABCDEF0u, 254), 21);
    assert_int_equal(tina_key_shard(UINT64_MAX, 254), 227);
    assert_int_equal(tina_key_shard(42, 7), 5);
}

static void key_shard_is_below_the_count(void **state)
{
    (void)state;
    for (int count = 1; count <= 255; count++) {
        for (uint64_t key = 0; key < 1000; key++)
            assert_true(tina_key_shard(key << 13, (uint8_t)count) < count);
    }
}

static void key_shard_of_one_shard_and_of_none_is_the_first(void **state)
{
    (void)state;
    for (uint64_t key = 0; key < 1000; key++) {
        assert_int_equal(tina_key_shard(key, 0), 0);
        assert_int_equal(tina_key_shard(key, 1), 0);
    }
}

/* Keys as they come: counted up, in steps, in the upper half. Each shard gets its share within a tenth. */
static void key_shard_spreads_regular_keys_evenly(void **state)
{
    (void)state;
    const int shifts[] = {0, 4, 12, 32, 48};
    for (size_t s = 0; s < sizeof shifts / sizeof shifts[0]; s++) {
        int counts[6] = {0};
        for (uint64_t key = 0; key < 60000; key++)
            counts[tina_key_shard(key << shifts[s], 6)]++;
        for (int shard = 0; shard < 6; shard++)
            assert_in_range(counts[shard], 9000, 11000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(key_shard_is_the_same_on_every_machine),
        cmocka_unit_test(key_shard_is_below_the_count),
        cmocka_unit_test(key_shard_of_one_shard_and_of_none_is_the_first),
        cmocka_unit_test(key_shard_spreads_regular_keys_evenly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
