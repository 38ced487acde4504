#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mem/log_ring.h"
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

#define SIZE     1024
#define LINE_MAX (SIZE / 2)

static tina__log_ring ring;
static tina_test_guard guard;

static void make(void)
{
    guard = tina_test_guard_make(SIZE, SIZE);
    tina__log_ring_init(&ring, guard.data, SIZE);
}

static void end(void) { tina_test_guard_free(&guard); }

static void expect(uint8_t expected_level, const char *expected, uint32_t expected_length)
{
    char line[LINE_MAX];
    uint8_t level;
    uint32_t length;
    assert_true(tina__log_ring_read(&ring, &level, line, sizeof line, &length));
    assert_int_equal(level, expected_level);
    assert_int_equal(length, expected_length);
    assert_memory_equal(line, expected, expected_length);
}

static void expect_nothing(void)
{
    char line[8];
    uint8_t level;
    uint32_t length;
    assert_false(tina__log_ring_read(&ring, &level, line, sizeof line, &length));
}

static void log_ring_read_when_empty_is_none(void **state)
{
    (void)state;
    make();
    expect_nothing();
    end();
}

static void log_ring_lines_of_any_length_come_back_in_order(void **state)
{
    (void)state;
    make();
    char line[LINE_MAX];
    for (uint32_t length = 0; length <= LINE_MAX; length++) {
        memset(line, 'a' + (int)(length % 26), sizeof line);
        assert_true(tina__log_ring_write(&ring, (uint8_t)(length % 6), line, length));
        expect((uint8_t)(length % 6), line, length);
    }
    expect_nothing();
    end();
}

static void log_ring_write_when_full_refuses_and_keeps_what_is_there(void **state)
{
    (void)state;
    make();
    static const char line[] = "eight by";
    uint32_t written = 0;
    while (tina__log_ring_write(&ring, 1, line, 8))
        written++;
    assert_int_equal(written, SIZE / 16); /* a header and eight bytes each: not a byte is lost */
    assert_false(tina__log_ring_write(&ring, 1, line, 0));
    expect(1, line, 8);
    assert_true(tina__log_ring_write(&ring, 2, "12345678", 8));
    assert_false(tina__log_ring_write(&ring, 1, line, 0));
    while (--written != 0)
        expect(1, line, 8);
    expect(2, "12345678", 8);
    expect_nothing();
    end();
}

static void log_ring_shorter_line_may_fit_where_a_longer_is_refused(void **state)
{
    (void)state;
    make();
    char line[LINE_MAX] = {0};
    assert_true(tina__log_ring_write(&ring, 0, line, LINE_MAX));
    assert_false(tina__log_ring_write(&ring, 0, line, LINE_MAX)); /* two headers do not fit as well */
    assert_true(tina__log_ring_write(&ring, 0, line, LINE_MAX - 16));
    assert_false(tina__log_ring_write(&ring, 0, line, 0));
    end();
}

static void log_ring_line_across_the_end_stays_whole(void **state)
{
    (void)state;
    make();
    char line[300];
    for (uint32_t i = 0; i < 50; i++) {
        for (uint32_t n = 0; n < sizeof line; n++)
            line[n] = (char)(i + n);
        assert_true(tina__log_ring_write(&ring, 3, line, sizeof line));
        expect(3, line, sizeof line);
    }
    end();
}

static void log_ring_read_into_less_room_cuts_that_line_only(void **state)
{
    (void)state;
    make();
    tina__log_ring_write(&ring, 4, "a long line", 11);
    tina__log_ring_write(&ring, 5, "next", 4);
    char line[7] = "......";
    uint8_t level;
    uint32_t length;
    assert_true(tina__log_ring_read(&ring, &level, line, 6, &length));
    assert_int_equal(length, 6);
    assert_int_equal(level, 4);
    assert_memory_equal(line, "a long\0", 7);
    expect(5, "next", 4);
    end();
}

static void write_a_line_over_half_the_ring(void)
{
    char line[LINE_MAX + 1] = {0};
    make();
    tina__log_ring_write(&ring, 0, line, sizeof line);
}

static void init_with_an_odd_size(void)
{
    uint8_t bytes[1];
    tina__log_ring_init(&ring, bytes, 1025);
}

static void init_with_less_than_a_kilobyte(void)
{
    uint8_t bytes[1];
    tina__log_ring_init(&ring, bytes, 512);
}

static void read_a_damaged_record(void)
{
    char line[8];
    uint8_t level;
    uint32_t length;
    make();
    tina__log_ring_write(&ring, 0, "line", 4);
    memset(guard.data, 0xFF, 8);
    tina__log_ring_read(&ring, &level, line, sizeof line, &length);
}

static void log_ring_line_over_half_the_ring_aborts(void **state)
{
    (void)state;
    assert_true(aborts(write_a_line_over_half_the_ring));
}

static void log_ring_init_with_a_wrong_size_aborts(void **state)
{
    (void)state;
    assert_true(aborts(init_with_an_odd_size));
    assert_true(aborts(init_with_less_than_a_kilobyte));
}

static void log_ring_damaged_record_aborts(void **state)
{
    (void)state;
    assert_true(aborts(read_a_damaged_record));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(log_ring_read_when_empty_is_none),
        cmocka_unit_test(log_ring_lines_of_any_length_come_back_in_order),
        cmocka_unit_test(log_ring_write_when_full_refuses_and_keeps_what_is_there),
        cmocka_unit_test(log_ring_shorter_line_may_fit_where_a_longer_is_refused),
        cmocka_unit_test(log_ring_line_across_the_end_stays_whole),
        cmocka_unit_test(log_ring_read_into_less_room_cuts_that_line_only),
        cmocka_unit_test(log_ring_line_over_half_the_ring_aborts),
        cmocka_unit_test(log_ring_init_with_a_wrong_size_aborts),
        cmocka_unit_test(log_ring_damaged_record_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
