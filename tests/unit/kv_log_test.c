/* The records of examples/kv's log: what was written is read, and nothing else is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "log.h"

#include <cmocka.h>

static const log_record sample = {.kind = LOG_SET,
                                  .expires_ms = 0x1122334455667788u,
                                  .key = (const uint8_t *)"the key",
                                  .key_size = 7,
                                  .value = (const uint8_t *)"and its value",
                                  .value_size = 13};

static void record_is_read_as_it_was_written(void **state)
{
    (void)state;
    uint8_t bytes[128];
    log_record record;
    uint32_t needed, size = log_put(bytes, &sample);
    assert_int_equal(size, log_size_of(7, 13));
    assert_int_equal(log_get(bytes, sizeof bytes, &record, &needed), LOG_WHOLE);
    assert_int_equal(needed, size);
    assert_int_equal(record.kind, LOG_SET);
    assert_int_equal(record.expires_ms, sample.expires_ms);
    assert_memory_equal(record.key, "the key", 7);
    assert_memory_equal(record.value, "and its value", 13);
}

static void record_that_is_cut_is_a_part(void **state)
{
    (void)state;
    uint8_t bytes[128];
    log_record record;
    uint32_t needed, size = log_put(bytes, &sample);
    for (uint32_t i = 0; i < size; i++) {
        assert_int_equal(log_get(bytes, i, &record, &needed), LOG_PART);
        assert_true(needed > i && needed <= size);
    }
}

static void bit_that_was_changed_is_noticed(void **state)
{
    (void)state;
    uint8_t bytes[128];
    log_record record;
    uint32_t needed, size = log_put(bytes, &sample);
    for (uint32_t i = 0; i < size * 8; i++) {
        bytes[i / 8] ^= (uint8_t)(1u << i % 8);
        assert_int_not_equal(log_get(bytes, size, &record, &needed), LOG_WHOLE);
        bytes[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    assert_int_equal(log_get(bytes, size, &record, &needed), LOG_WHOLE);
}

static void zeros_and_text_are_no_records(void **state)
{
    (void)state;
    uint8_t bytes[64] = {0};
    log_record record;
    uint32_t needed;
    assert_int_equal(log_get(bytes, sizeof bytes, &record, &needed), LOG_BAD);
    memset(bytes, 'a', sizeof bytes);
    assert_int_equal(log_get(bytes, sizeof bytes, &record, &needed), LOG_BAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(record_is_read_as_it_was_written),
        cmocka_unit_test(record_that_is_cut_is_a_part),
        cmocka_unit_test(bit_that_was_changed_is_noticed),
        cmocka_unit_test(zeros_and_text_are_no_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
