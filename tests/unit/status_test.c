#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <tina/status.h>

#include <cmocka.h>

static void status_name_of_each_status_is_its_enumerator(void **state)
{
    (void)state;
    assert_string_equal(tina_status_name(TINA_OK), "TINA_OK");
    assert_string_equal(tina_status_name(TINA_MAILBOX_FULL), "TINA_MAILBOX_FULL");
    assert_string_equal(tina_status_name(TINA_TIMED_OUT), "TINA_TIMED_OUT");
    assert_string_equal(tina_status_name(TINA_SYSTEM_ERROR), "TINA_SYSTEM_ERROR");
}

static void status_name_of_each_status_is_its_own(void **state)
{
    (void)state;
    for (int i = 0; i <= TINA_SYSTEM_ERROR; i++) {
        assert_non_null(tina_status_name((tina_status)i));
        assert_string_not_equal(tina_status_name((tina_status)i), "TINA_UNKNOWN");
        for (int j = 0; j < i; j++)
            assert_string_not_equal(tina_status_name((tina_status)i), tina_status_name((tina_status)j));
    }
}

static void status_name_of_what_is_no_status_is_unknown(void **state)
{
    (void)state;
    unsigned numbers[] = {TINA_SYSTEM_ERROR + 1, 65535, 0x80000000u, UINT32_MAX};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        assert_string_equal(tina_status_name((tina_status)numbers[i]), "TINA_UNKNOWN");
}

static void version_is_that_of_the_header(void **state)
{
    (void)state;
    char parts[32];
    snprintf(parts, sizeof parts, "%d.%d.%d", TINA_VERSION_MAJOR, TINA_VERSION_MINOR, TINA_VERSION_PATCH);
    assert_string_equal(tina_version(), TINA_VERSION);
    assert_string_equal(tina_version(), parts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(status_name_of_each_status_is_its_enumerator),
        cmocka_unit_test(status_name_of_each_status_is_its_own),
        cmocka_unit_test(status_name_of_what_is_no_status_is_unknown),
        cmocka_unit_test(version_is_that_of_the_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
