#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/file.h"
#include "support/leaks.h"
#include "support/scratch.h"

static tina__file file;
static char path[64];

static int make(void **state)
{
    (void)state;
    tina_test_scratch_make(path);
    return 0;
}

static int end(void **state)
{
    (void)state;
    return unlink(path);
}

static void file_is(const char *expected)
{
    char *text = tina_test_scratch_read(path);
    assert_string_equal(text, expected);
    free(text);
}

static void json_is(const char *text, const char *expected)
{
    int os_error = -1;
    assert_int_equal(tina__file_open(&file, path, &os_error), TINA_OK);
    tina__file_print_json(&file, text);
    assert_int_equal(tina__file_close(&file, &os_error), TINA_OK);
    file_is(expected);
}

static void file_printed_and_closed_has_all_of_it(void **state)
{
    (void)state;
    int os_error = -1;
    assert_int_equal(tina__file_open(&file, path, &os_error), TINA_OK);
    assert_int_equal(os_error, 0);
    tina__file_print(&file, "%u and ", 1);
    tina__file_print(&file, "%s\n", "two");
    os_error = -1;
    assert_int_equal(tina__file_close(&file, &os_error), TINA_OK);
    assert_int_equal(os_error, 0);
    file_is("1 and two\n");
}

static void file_opened_again_begins_anew(void **state)
{
    (void)state;
    json_is("a long text", "a long text");
    json_is("short", "short");
}

static void file_longer_than_its_buffer_is_whole(void **state)
{
    (void)state;
    int os_error;
    size_t size = 0;
    assert_int_equal(tina__file_open(&file, path, &os_error), TINA_OK);
    for (uint32_t i = 0; i < 3 * TINA__FILE_BUFFER / 10; i++, size += 10)
        tina__file_print(&file, "%09u\n", i);
    assert_int_equal(tina__file_close(&file, &os_error), TINA_OK);
    char *text = tina_test_scratch_read(path);
    assert_int_equal(strlen(text), size);
    for (uint32_t i = 0; i < size / 10; i++)
        assert_int_equal(strtoul(text + (size_t)10 * i, NULL, 10), i);
    free(text);
}

static void file_open_where_it_can_not_be_says_why(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        tina_status status;
        int os_error;
    } cases[] = {
        {"/tmp/tina-test-no-such-directory/file", TINA_NOT_FOUND, ENOENT},
        {"", TINA_NOT_FOUND, ENOENT},
        {"/tmp", TINA_SYSTEM_ERROR, EISDIR},
        {"/dev/null/file", TINA_SYSTEM_ERROR, ENOTDIR},
    };
    size_t fds = tina_test_fd_count();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int os_error = -1;
        assert_int_equal(tina__file_open(&file, cases[i].path, &os_error), cases[i].status);
        assert_int_equal(os_error, cases[i].os_error);
    }
    assert_int_equal(tina_test_fd_count(), fds);
}

static void file_on_a_full_disk_says_so_when_closed(void **state)
{
    (void)state;
    static const uint32_t line_counts[] = {0, 1, 3 * TINA__FILE_BUFFER / 10}; /* none, what the buffer holds, more */
    size_t fds = tina_test_fd_count();
    for (size_t i = 0; i < sizeof line_counts / sizeof line_counts[0]; i++) {
        int os_error = -1;
        assert_int_equal(tina__file_open(&file, "/dev/full", &os_error), TINA_OK);
        for (uint32_t j = 0; j < line_counts[i]; j++)
            tina__file_print(&file, "%09u\n", j);
        bool is_full = line_counts[i] != 0;
        assert_int_equal(tina__file_close(&file, &os_error), is_full ? TINA_DISK_FULL : TINA_OK);
        assert_int_equal(os_error, is_full ? ENOSPC : 0);
    }
    assert_int_equal(tina_test_fd_count(), fds);
}

static void file_json_escapes_what_a_string_can_not_hold(void **state)
{
    (void)state;
    json_is("", "");
    json_is("plain/0 - text", "plain/0 - text");
    json_is("\"", "\\u0022");
    json_is("a\"b\\c", "a\\u0022b\\u005cc");
    json_is("\n\t\x01\x1f\x7f", "\\u000a\\u0009\\u0001\\u001f\\u007f");
}

static void file_json_keeps_utf8_and_replaces_what_is_none(void **state)
{
    (void)state;
    json_is("\xC3\xA4 \xE2\x82\xAC \xF0\x9F\x98\x80", "\xC3\xA4 \xE2\x82\xAC \xF0\x9F\x98\x80");
    json_is("\xED\x9F\xBF\xEE\x80\x80\xF4\x8F\xBF\xBF", "\xED\x9F\xBF\xEE\x80\x80\xF4\x8F\xBF\xBF");
#define NONE "\xEF\xBF\xBD"
    json_is("gr\xFC\xDF e", "gr" NONE NONE " e");     /* Latin-1 */
    json_is("cut \xE2\x82", "cut " NONE NONE);        /* the end comes too early */
    json_is("\x80\xBF", NONE NONE);                   /* no beginning */
    json_is("\xC0\xAF", NONE NONE);                   /* longer than it has to be */
    json_is("\xE0\x9F\xBF", NONE NONE NONE);          /* the same */
    json_is("\xF0\x8F\xBF\xBF", NONE NONE NONE NONE); /* the same */
    json_is("\xED\xA0\x80", NONE NONE NONE);          /* half of a pair */
    json_is("\xF4\x90\x80\x80", NONE NONE NONE NONE); /* above all */
    json_is("\xE2\"", NONE "\\u0022");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(file_printed_and_closed_has_all_of_it),
        cmocka_unit_test(file_opened_again_begins_anew),
        cmocka_unit_test(file_longer_than_its_buffer_is_whole),
        cmocka_unit_test(file_open_where_it_can_not_be_says_why),
        cmocka_unit_test(file_on_a_full_disk_says_so_when_closed),
        cmocka_unit_test(file_json_escapes_what_a_string_can_not_hold),
        cmocka_unit_test(file_json_keeps_utf8_and_replaces_what_is_none),
    };
    return cmocka_run_group_tests(tests, make, end);
}
