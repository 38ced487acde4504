/* Prometheus text: numbers, labels that have to be escaped, histograms, and what happens where there is no room. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "metrics/writer.h"
#include "support/guard.h"

enum { ROOM = 8192 };

static char room[ROOM + 1];
static tina_metrics_writer writer;

static void begin(uint32_t capacity)
{
    memset(&writer, 0, sizeof writer);
    memset(room, '~', sizeof room);
    tina__metrics_write_into(&writer, room, capacity);
}

static void has_written(const char *text)
{
    assert_true(writer.size <= writer.capacity);
    room[writer.size] = '\0';
    assert_string_equal(room, text);
}

static void family_and_its_samples_are_lines(void **state)
{
    (void)state;
    const tina_metrics_label labels[] = {{"shard", "0"}, {"type", "echo"}};
    begin(ROOM);
    tina_metrics_family(&writer, "a_total", TINA_METRICS_COUNTER, "Some\nhelp with \\ and \"quotes\".");
    tina_metrics_number(&writer, NULL, 0, 0);
    tina_metrics_number(&writer, labels, 1, UINT64_MAX);
    tina_metrics_number(&writer, labels, 2, 10);
    tina_metrics_family(&writer, "b", TINA_METRICS_GAUGE, "");
    tina_metrics_seconds(&writer, NULL, 0, 1);
    has_written("# HELP a_total Some\\nhelp with \\\\ and \"quotes\".\n"
                "# TYPE a_total counter\n"
                "a_total 0\n"
                "a_total{shard=\"0\"} 18446744073709551615\n"
                "a_total{shard=\"0\",type=\"echo\"} 10\n"
                "# HELP b \n"
                "# TYPE b gauge\n"
                "b 0.000000001\n");
    assert_false(writer.is_cut);
}

static void times_are_seconds(void **state)
{
    (void)state;
    begin(ROOM);
    tina_metrics_family(&writer, "t", TINA_METRICS_GAUGE, "h");
    uint32_t start = writer.size;
    tina_metrics_seconds(&writer, NULL, 0, 0);
    tina_metrics_seconds(&writer, NULL, 0, 1500000000);
    tina_metrics_seconds(&writer, NULL, 0, 2000000000);
    tina_metrics_seconds(&writer, NULL, 0, 1000000001);
    tina_metrics_seconds(&writer, NULL, 0, UINT64_MAX);
    room[writer.size] = '\0';
    assert_string_equal(room + start, "t 0\nt 1.5\nt 2\nt 1.000000001\nt 18446744073.709551615\n");
}

static void says(const char *value, const char *text)
{
    const tina_metrics_label label = {"l", value};
    begin(ROOM);
    tina_metrics_family(&writer, "x", TINA_METRICS_GAUGE, "h");
    uint32_t start = writer.size;
    tina_metrics_number(&writer, &label, 1, 1);
    room[writer.size] = '\0';
    assert_string_equal(room + start, text);
}

static void labels_are_escaped(void **state)
{
    (void)state;
    says("", "x{l=\"\"} 1\n");
    says("a\\b", "x{l=\"a\\\\b\"} 1\n");
    says("a\"b\"", "x{l=\"a\\\"b\\\"\"} 1\n");
    says("a\nb", "x{l=\"a\\nb\"} 1\n");
    says("a,b={}", "x{l=\"a,b={}\"} 1\n");
}

static void what_is_no_utf8_becomes_question_marks(void **state)
{
    (void)state;
    says("gr\xC3\xBC\xC3\x9F \xE2\x82\xAC \xF0\x9F\x98\x80",
         "x{l=\"gr\xC3\xBC\xC3\x9F \xE2\x82\xAC \xF0\x9F\x98\x80\"} 1\n");
    says("\xFF", "x{l=\"?\"} 1\n");
    says("\x80", "x{l=\"?\"} 1\n");
    says("\xC3", "x{l=\"?\"} 1\n");       /* cut */
    says("\xC3\"", "x{l=\"?\\\"\"} 1\n"); /* what follows is not swallowed */
    says("\xC0\x80", "x{l=\"??\"} 1\n");  /* longer than it need be */
    says("\xE0\x80\xAF", "x{l=\"???\"} 1\n");
    says("\xED\xA0\x80", "x{l=\"???\"} 1\n");      /* half of a pair of UTF-16 */
    says("\xF4\x90\x80\x80", "x{l=\"????\"} 1\n"); /* behind the last */
    says("\xF0\x9F\x98", "x{l=\"???\"} 1\n");
}

static void histogram_is_cumulative(void **state)
{
    (void)state;
    tina_histogram histogram = {.count = 999, .sum_ns = 1500000000}; /* the count may be read at another time */
    histogram.buckets[0] = 1;
    histogram.buckets[7] = 2;  /* below 256 ns */
    histogram.buckets[8] = 4;  /* not */
    histogram.buckets[29] = 8; /* below 1.07 s */
    histogram.buckets[31] = 16;
    const tina_metrics_label label = {"type", "a"};
    begin(ROOM);
    tina_metrics_family(&writer, "h_seconds", TINA_METRICS_HISTOGRAM, "h");
    uint32_t start = writer.size;
    tina_metrics_histogram(&writer, &label, 1, &histogram);
    room[writer.size] = '\0';
    assert_string_equal(room + start, "h_seconds_bucket{type=\"a\",le=\"0.000000256\"} 3\n"
                                      "h_seconds_bucket{type=\"a\",le=\"0.000001024\"} 7\n"
                                      "h_seconds_bucket{type=\"a\",le=\"0.000004096\"} 7\n"
                                      "h_seconds_bucket{type=\"a\",le=\"0.000016384\"} 7\n"
                                      "h_seconds_bucket{type=\"a\",le=\"0.000065536\"} 7\n"
                                      "h_seconds_bucket{type=\"a\",le=\"0.000262144\"} 7\n"
                                      "h_seconds_bucket{type=\"a\",le=\"0.001048576\"} 7\n"
                                      "h_seconds_bucket{type=\"a\",le=\"0.004194304\"} 7\n"
                                      "h_seconds_bucket{type=\"a\",le=\"0.016777216\"} 7\n"
                                      "h_seconds_bucket{type=\"a\",le=\"0.067108864\"} 7\n"
                                      "h_seconds_bucket{type=\"a\",le=\"0.268435456\"} 7\n"
                                      "h_seconds_bucket{type=\"a\",le=\"1.073741824\"} 15\n"
                                      "h_seconds_bucket{type=\"a\",le=\"+Inf\"} 31\n"
                                      "h_seconds_sum{type=\"a\"} 1.5\n"
                                      "h_seconds_count{type=\"a\"} 31\n");
    begin(ROOM);
    tina_metrics_family(&writer, "h", TINA_METRICS_HISTOGRAM, "h");
    tina_metrics_histogram(&writer, NULL, 0, &histogram);
    room[writer.size] = '\0';
    assert_non_null(strstr(room, "\nh_bucket{le=\"+Inf\"} 31\nh_sum 1.5\nh_count 31\n"));
}

/* Whatever the room, what is there is whole lines, and nothing is written behind it. */
static void line_without_room_is_left_out(void **state)
{
    (void)state;
    const tina_metrics_label label = {"l", "some \"text\""};
    const tina_histogram histogram = {.count = 1, .sum_ns = 5};
    for (uint32_t capacity = 1; capacity == 1 || writer.is_cut; capacity++) {
        tina_test_guard guard = tina_test_guard_make(capacity, 1);
        char *exact = guard.data;
        memset(&writer, 0, sizeof writer);
        tina__metrics_write_into(&writer, exact, capacity);
        tina_metrics_family(&writer, "a_total", TINA_METRICS_COUNTER, "Help.");
        tina_metrics_number(&writer, &label, 1, 12345);
        tina_metrics_seconds(&writer, &label, 1, 12345);
        tina_metrics_family(&writer, "b", TINA_METRICS_HISTOGRAM, "Help.");
        tina_metrics_histogram(&writer, &label, 1, &histogram);
        assert_true(writer.size <= capacity);
        assert_true(writer.size == 0 || exact[writer.size - 1] == '\n');
        assert_true(capacity < ROOM);
        tina_test_guard_free(&guard);
    }
}

static void samples_without_a_heading_are_left_out(void **state)
{
    (void)state;
    char name[TINA_METRICS_NAME_MAX + 2];
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = '\0';
    begin(ROOM);
    tina_metrics_number(&writer, NULL, 0, 1);
    assert_true(writer.is_cut);
    tina_metrics_family(&writer, name, TINA_METRICS_GAUGE, "h"); /* too long */
    tina_metrics_number(&writer, NULL, 0, 1);
    tina_metrics_family(&writer, "", TINA_METRICS_GAUGE, "h");
    tina_metrics_seconds(&writer, NULL, 0, 1);
    has_written("");
    name[TINA_METRICS_NAME_MAX] = '\0';
    tina_metrics_family(&writer, name, TINA_METRICS_GAUGE, "h");
    assert_int_not_equal(writer.size, 0);
}

/* A family may go on in the next piece. */
static void family_outlives_its_memory(void **state)
{
    (void)state;
    begin(ROOM);
    tina_metrics_family(&writer, "a", TINA_METRICS_GAUGE, "h");
    tina__metrics_write_into(&writer, room, ROOM);
    tina_metrics_number(&writer, NULL, 0, 7);
    has_written("a 7\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(family_and_its_samples_are_lines),
        cmocka_unit_test(times_are_seconds),
        cmocka_unit_test(labels_are_escaped),
        cmocka_unit_test(what_is_no_utf8_becomes_question_marks),
        cmocka_unit_test(histogram_is_cumulative),
        cmocka_unit_test(line_without_room_is_left_out),
        cmocka_unit_test(samples_without_a_heading_are_left_out),
        cmocka_unit_test(family_outlives_its_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
