/* The runner's command line, its files of faults, its points. */
#include "swarm/crew.h"
#include "swarm/faults_file.h"
#include "swarm/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { WORDS_MAX = 16, TEXT = 4096 };

static char error[256];
static tina__options options;

static bool read_options(const char *const *words)
{
    char *arguments[WORDS_MAX] = {(char *)"./folder/prog"};
    int count = 1;
    for (; words[count - 1] != NULL; count++)
        arguments[count] = (char *)words[count - 1];
    error[0] = '\0';
    return tina__options_read(&options, count, arguments, error, sizeof error);
}

#define READ(...) read_options((const char *const[]){__VA_ARGS__})

static void options_none_are_seed_one_on_every_core(void **state)
{
    (void)state;
    assert_true(READ(NULL));
    assert_int_equal(options.seed, 1);
    assert_int_equal(options.seeds, 0);
    assert_int_equal(options.jobs, tina__crew_jobs());
    assert_string_equal(tina__program_name(&options), "prog");
}

static void options_all_are_read(void **state)
{
    (void)state;
    assert_true(READ("--seed", "0x10", "--seeds", "20", "--jobs", "3", "--swarm", "--ticks", "77", "--heal", NULL));
    assert_int_equal(options.seed, 16);
    assert_int_equal(options.seeds, 20);
    assert_int_equal(options.jobs, 3);
    assert_int_equal(options.ticks, 77);
    assert_true(options.draws);
    assert_true(options.heals);
    assert_true(READ("--heal-at", "6", NULL));
    assert_int_equal(options.heal_at, 6);
    assert_true(READ("--faults", "none", "--once", "--trace", "t", "--events", "e", "--shrink", "--output", "o", NULL));
    assert_true(options.is_faultless);
    assert_true(options.is_once);
    assert_true(options.shrinks);
    assert_string_equal(options.trace_path, "t");
    assert_string_equal(options.events_path, "e");
    assert_string_equal(options.output_path, "o");
}

static void options_wrong_say_what_would_be_right(void **state)
{
    (void)state;
    assert_false(READ("--sed", "1", NULL));
    assert_non_null(strstr(error, "'--sed'"));
    assert_false(READ("--seeds", NULL));
    assert_string_equal(error, "--seeds wants N");
    assert_false(READ("--seeds", "0", NULL));
    assert_non_null(strstr(error, "a number from 1 to"));
    assert_false(READ("--jobs", "257", NULL));
    assert_string_equal(error, "--jobs must be a number from 1 to 256, not '257'");
    assert_false(READ("--ticks", "12x", NULL));
    assert_false(READ("--seed", "", NULL));
    assert_false(READ("--seeds", "2", "--trace", "t", NULL));
    assert_false(READ("--output", "o", NULL));
    assert_false(READ("--shrink", "--output", "none", NULL));
    assert_non_null(strstr(error, "--output must not be none"));
    assert_false(READ("--trace", "f", "--events", "f", NULL));
    assert_string_equal(error, "--trace, --events and --output must be different files");
    assert_false(READ("--trace", "f", "--shrink", "--output", "f", NULL));
}

static void seed_words_that_are_no_numbers_are_hashed(void **state)
{
    (void)state;
    assert_true(tina__seed_of("18446744073709551615") == UINT64_MAX);
    assert_true(tina__seed_of("0xffffffffffffffff") == UINT64_MAX);
    assert_int_equal(tina__seed_of("0"), 0);
    /* FNV-1a's published values. */
    assert_true(tina__seed_of("a") == 0xAF63DC4C8601EC8Cu);
    assert_true(tina__seed_of("foobar") == 0x85944171F73967E8u);
    /* Too large for a number, and a commit's hash. */
    assert_true(tina__seed_of("18446744073709551616") != 0);
    assert_true(tina__seed_of("8905b44") != tina__seed_of("8905b45"));
    assert_true(tina__seed_of("0x") != 0);
}

static void command_is_what_a_shell_reads_back(void **state)
{
    (void)state;
    char text[TEXT] = "";
    FILE *to = fmemopen(text, sizeof text, "w");
    const tina__case drawn = {.seed = 12, .source = TINA__DRAWN, .ticks = 500, .heals = true, .is_once = true};
    const tina__case given = {.seed = 13, .source = TINA__GIVEN};
    const tina__case healing = {.seed = 14, .ticks = 9, .heal_at = 7};
    assert_true(READ(NULL));
    tina__command_print(to, &options, &drawn, NULL);
    tina__command_print(to, &options, &given, NULL);
    tina__command_print(to, &options, &healing, NULL);
    options.program = "my prog";
    tina__command_print(to, &options, &given, "it's");
    fclose(to);
    assert_string_equal(text, "./folder/prog --seed 12 --swarm --ticks 500 --heal --once\n"
                              "./folder/prog --seed 13 --faults none\n"
                              "./folder/prog --seed 14 --ticks 9 --heal-at 7\n"
                              "'my prog' --seed 13 --faults 'it'\\''s'\n");
}

/* ---- Files of faults -------------------------------------------------------------------------- */

static tina__knobs knobs;

static bool read_faults(const char *text)
{
    FILE *from = fmemopen((char *)text, strlen(text), "r");
    error[0] = '\0';
    bool is_read = tina__faults_read(from, &knobs, error);
    fclose(from);
    return is_read;
}

static void faults_file_is_read_as_it_was_written(void **state)
{
    (void)state;
    static const char written[] = "message_drop = 1/250\n"
                                  "message_delay = 3..12\n"
                                  "shard_fault = 2/4000000000\n"
                                  "channel_capacity = 4\n"
                                  "timer_resolution_ns = 20000000000\n"
                                  "keep_shard_order = 1\n";
    char text[TEXT] = "";
    assert_true(read_faults(written));
    FILE *to = fmemopen(text, sizeof text, "w");
    tina__faults_write(to, &knobs, "");
    fclose(to);
    assert_string_equal(text, written);
}

static void faults_file_comments_and_blanks_are_skipped(void **state)
{
    (void)state;
    assert_true(read_faults("# all of it\n\n  io_error=1/3   # often\r\n\t\nop_count =  9"));
    assert_int_equal(knobs.of[TINA__KNOB_IO_ERROR].first, 1);
    assert_int_equal(knobs.of[TINA__KNOB_IO_ERROR].second, 3);
    assert_int_equal(knobs.of[TINA__KNOB_OP_COUNT].first, 9);
    assert_false(tina__knob_is_on(&knobs, TINA__KNOB_MESSAGE_DROP));
}

static void check_refused(const char *text, const char *why)
{
    assert_false(read_faults(text));
    assert_string_equal(error, why);
}

static void faults_file_wrong_lines_are_refused(void **state)
{
    (void)state;
    check_refused("io_error = 1/3\nmessage_dorp = 1/3\n",
                  "2: 'message_dorp' is no field of tina_faults and no limit of tina_system_spec that can be set here");
    check_refused("9 = 1", "1: '9' is no field of tina_faults and no limit of tina_system_spec that can be set here");
    check_refused("io_error 1/3", "1: behind io_error must come '='");
    check_refused("io_error = 1", "1: io_error must be a ratio, such as 1/1000");
    check_refused("io_error = 3/2", "1: io_error must be at most 1/1");
    check_refused("io_error = 1/4294967296", "1: io_error must be a ratio, such as 1/1000");
    check_refused("io_delay = 3", "1: io_delay must be a range, such as 3..10");
    check_refused("io_delay = 3..2", "1: io_delay must not end below where it begins");
    check_refused("op_count = 4294967296", "1: op_count must be a number of at most 4294967295");
    check_refused("keep_shard_order = 7", "1: keep_shard_order must be a number of at most 1");
    check_refused("op_count = -1", "1: op_count must be a number of at most 4294967295");
    check_refused("op_count = 1 2", "1: nothing may come behind the value of op_count");
    check_refused("op_count = 1\n\nop_count = 1", "3: op_count stands in line 1 already");
}

static void faults_file_long_line_is_refused(void **state)
{
    (void)state;
    char text[600];
    memset(text, ' ', sizeof text);
    text[sizeof text - 1] = '\0';
    check_refused(text, "1: a line must be shorter than 255 bytes");
}

/* ---- Knobs --------------------------------------------------------------------------------------- */

static void knobs_put_is_what_was_taken(void **state)
{
    (void)state;
    tina_sim_config config = {0}, other = {0};
    tina_system_spec spec = {.message_count = 5, .op_count = 6};
    config.faults.message_drop = (tina_ratio){1, 9};
    config.faults.io_delay = (tina_range){2, 3};
    config.faults.pool_empty = (tina_ratio){1, 0};
    config.faults.short_io = (tina_ratio){0, 7};
    tina__knobs_take(&knobs, &config);
    assert_false(tina__knob_is_on(&knobs, TINA__KNOB_SHORT_IO));
    knobs.of[TINA__KNOB_OP_COUNT].first = 60;
    knobs.of[TINA__KNOB_TIMER_RESOLUTION_NS].first = 70;
    tina__knobs_put(&knobs, &spec, &other);
    assert_int_equal(other.faults.message_drop.denominator, 9);
    assert_int_equal(other.faults.io_delay.max, 3);
    assert_int_equal(other.faults.pool_empty.denominator, 1);
    assert_int_equal(spec.message_count, 5);
    assert_int_equal(spec.op_count, 60);
    assert_int_equal(spec.timer_resolution_ns, 70);
    assert_int_equal(tina__knob_limit_in(TINA__KNOB_TIMER_RESOLUTION_NS, &spec), 70);
}

static void knobs_have_the_names_of_their_fields(void **state)
{
    (void)state;
    assert_int_equal(tina__knob_find("message_drop", 12), TINA__KNOB_MESSAGE_DROP);
    assert_int_equal(tina__knob_find("message_dro", 11), TINA__KNOB_COUNT);
    assert_int_equal(tina__knob_find("", 0), TINA__KNOB_COUNT);
    for (tina__knob knob = 0; knob < TINA__KNOB_COUNT; knob++)
        assert_int_equal(tina__knob_find(tina__knob_name(knob), strlen(tina__knob_name(knob))), knob);
}

/* ---- Points ---------------------------------------------------------------------------------------- */

static bool has_point(const tina__points *points, uint32_t index, const char *name)
{
    return points->of[index].length == strlen(name) && memcmp(points->of[index].name, name, strlen(name)) == 0;
}

static void points_only_plain_literals_count(void **state)
{
    (void)state;
    static const char texts[] = "\"b\"\0\0\0variable\0\"a\" \"c\"\0\"x\\n\"\0\"\"\0\"b\"\0\"a b\"";
    tina__points *points = malloc(sizeof *points);
    assert_non_null(points);
    tina__points_list(points, texts, texts + sizeof texts);
    assert_int_equal(points->count, 2);
    assert_int_equal(points->others, 4);
    assert_true(has_point(points, 0, "a b"));
    assert_true(has_point(points, 1, "b"));
    tina__points_list(points, NULL, NULL);
    assert_int_equal(points->count, 0);
    free(points);
}

static void points_marked_are_known_by_their_text(void **state)
{
    (void)state;
    static const char texts[] = "\"one\"\0\"two\"\0\"three\"";
    char again[] = "three";
    tina__points *points = malloc(sizeof *points);
    tina__marks marks = {0}, sum = {0};
    assert_non_null(points);
    tina__points_list(points, texts, texts + sizeof texts);
    for (int i = 0; i < 3; i++)
        tina__points_mark(points, &marks, again);
    tina__points_mark(points, &marks, "nowhere");
    tina__marks_add(&sum, &marks);
    assert_false(tina__marks_have(&sum, 0));
    assert_true(tina__marks_have(&sum, 1)); /* in alphabetical order */
    assert_false(tina__marks_have(&sum, 2));
    free(points);
}

static void points_too_many_are_cut_and_told(void **state)
{
    (void)state;
    enum { COUNT = TINA__POINTS_MAX + 1, SIZE = 8 };
    char *texts = calloc(COUNT, SIZE);
    tina__points *points = malloc(sizeof *points);
    assert_non_null(texts);
    assert_non_null(points);
    for (int i = 0; i < COUNT; i++)
        snprintf(texts + i * SIZE, SIZE, "\"%04u\"", (unsigned)i % 10000);
    tina__points_list(points, texts, texts + COUNT * SIZE);
    assert_int_equal(points->count, TINA__POINTS_MAX);
    assert_true(points->is_cut);
    free(points);
    free(texts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_none_are_seed_one_on_every_core),
        cmocka_unit_test(options_all_are_read),
        cmocka_unit_test(options_wrong_say_what_would_be_right),
        cmocka_unit_test(seed_words_that_are_no_numbers_are_hashed),
        cmocka_unit_test(command_is_what_a_shell_reads_back),
        cmocka_unit_test(faults_file_is_read_as_it_was_written),
        cmocka_unit_test(faults_file_comments_and_blanks_are_skipped),
        cmocka_unit_test(faults_file_wrong_lines_are_refused),
        cmocka_unit_test(faults_file_long_line_is_refused),
        cmocka_unit_test(knobs_put_is_what_was_taken),
        cmocka_unit_test(knobs_have_the_names_of_their_fields),
        cmocka_unit_test(points_only_plain_literals_count),
        cmocka_unit_test(points_marked_are_known_by_their_text),
        cmocka_unit_test(points_too_many_are_cut_and_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
