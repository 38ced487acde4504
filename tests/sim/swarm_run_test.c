/* The runner, with a run that fails as it is told: every seed in a process of its own. */
#include "sim/fake_world.h"
#include "swarm/crew.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

enum { WORDS_MAX = 24, PATH = 64 };

static const char texts[] = "\"seen\"\0\"unseen\"\0\"unseen too\"\0a_variable";
static tina__points points;
static const tina__subject subject = {.make = fake_make, .simulate = fake_simulate, .points = &points};

static char *said, *complained; /* of the latest run */
static char folder[PATH], path[PATH + 16];

static int begin(void **state)
{
    (void)state;
    memset(&fake, 0, sizeof fake);
    fake.ticks = 1000;
    tina__points_list(&points, texts, texts + sizeof texts);
    snprintf(folder, sizeof folder, "/tmp/tina_swarm_XXXXXX");
    if (mkdtemp(folder) == NULL)
        return 1;
    snprintf(path, sizeof path, "%s/file", folder);
    return 0;
}

static void forget(void)
{
    free(said);
    free(complained);
    said = complained = NULL;
}

static int end(void **state)
{
    (void)state;
    forget();
    unlink(path);
    return rmdir(folder);
}

static int run_words(const char *const *words)
{
    char *arguments[WORDS_MAX] = {(char *)"./prog"};
    int count = 1;
    size_t size;
    forget();
    FILE *out = open_memstream(&said, &size), *err = open_memstream(&complained, &size);
    for (; words[count - 1] != NULL; count++)
        arguments[count] = (char *)words[count - 1];
    int result = tina__swarm_main(count, arguments, &subject, out, err);
    fclose(out);
    fclose(err);
    return result;
}

#define RUN(...) run_words((const char *const[]){__VA_ARGS__, NULL})

static void check_says(const char *what)
{
    if (strstr(said, what) == NULL)
        fail_msg("'%s' is not in:\n%s%s", what, said, complained);
}

static void check_complains(const char *what)
{
    if (strstr(complained, what) == NULL)
        fail_msg("'%s' is not in:\n%s", what, complained);
}

static const char *last_line(void)
{
    size_t length = strlen(said);
    assert_int_equal(said[length - 1], '\n');
    said[length - 1] = '\0';
    const char *before = strrchr(said, '\n');
    return before != NULL ? before + 1 : said;
}

static void check_command(const char *command) { assert_string_equal(last_line(), command); }

/* ---- What is well -------------------------------------------------------------------------- */

static void run_that_is_well_says_what_it_was(void **state)
{
    (void)state;
    assert_int_equal(RUN("--seed", "7"), 0);
    check_says("seed 7: well; end: ticks; 1000 ticks, 10000 events");
    check_says("faults: none\n");
    assert_string_equal(complained, "");
}

static void run_of_a_word_says_its_number(void **state)
{
    (void)state;
    assert_int_equal(RUN("--seed", "foobar"), 0);
    check_says("seed foobar is 9625390261332436968\n");
    check_says("seed 9625390261332436968: well");
}

static void swarm_that_is_well_is_summed_up(void **state)
{
    (void)state;
    fake.point = "seen";
    assert_int_equal(RUN("--seeds", "20", "--ticks", "100", "--jobs", "3"), 0);
    check_says("20 seeds, 0 failures\n");
    check_says("events: 40000, "); /* each twice */
    check_says("ends: ticks 20\n");
    check_says("never reached: unseen, unseen too\n"
               "points: and 1 whose names are not plain, which are not counted\n");
}

static void swarm_once_runs_each_once(void **state)
{
    (void)state;
    assert_int_equal(RUN("--seeds", "20", "--ticks", "100", "--once"), 0);
    check_says("events: 20000, ");
}

static void help_is_no_failure(void **state)
{
    (void)state;
    assert_int_equal(RUN("--help"), 0);
    check_says("usage: prog [options]");
}

/* ---- What fails ------------------------------------------------------------------------------- */

static void failure_by_violation_has_seed_first_and_command_last(void **state)
{
    (void)state;
    FILE *file = fopen(path, "w");
    fputs("message_drop = 1/2\nshard_stall = 1/2\nchannel_capacity = 9\n", file);
    fclose(file);
    fake.failure = FAKE_LOSS;
    char command[256];
    snprintf(command, sizeof command, "./prog --seed 5 --faults %s --ticks 50", path);
    assert_int_equal(RUN("--seed", "5", "--ticks", "50", "--faults", path), 1);
    assert_ptr_equal(strstr(said, "seed 5 failed: lost 1 of "), said);
    check_says("\n  message_drop = 1/2\n  shard_stall = 1/2\n  channel_capacity = 9\n  in tick 50, after ");
    check_command(command);
}

static void failure_by_signal_is_named_with_its_last_words(void **state)
{
    (void)state;
    fake.failure = FAKE_SEGV;
    fake.tick = 250;
    assert_int_equal(RUN("--seed", "5", "--swarm"), 1);
    check_says("seed 5 failed: it died of SIGSEGV (11)\n");
    check_says("  some time after tick 200\n");
    check_command("./prog --seed 5 --swarm");
    fake.failure = FAKE_ABORT;
    assert_int_equal(RUN("--seed", "5"), 1);
    check_says("it died of SIGABRT (6): libtina: broken invariant: 1 == 2 (fake.c:17)\n");
}

static void failure_by_exit_is_told(void **state)
{
    (void)state;
    fake.failure = FAKE_EXIT;
    fake.tick = 1;
    assert_int_equal(RUN("--seed", "5"), 1);
    check_says("seed 5 failed: it exited in the middle of the run, with status 7\n");
}

static void failure_by_hanging_is_ended(void **state)
{
    (void)state;
    fake.failure = FAKE_HANG;
    fake.tick = 300;
    fake.seed_modulus = 2;
    assert_int_equal(RUN("--seeds", "2", "--patience", "1"), 1);
    check_says("2 seeds, 1 failures\n");
    check_says("seed 2 failed: it hangs: nothing moved any more\n  some time after tick 200\n");
    check_command("./prog --seed 2 --patience 1");
}

static void failure_to_repeat_names_the_first_difference(void **state)
{
    (void)state;
    fake.failure = FAKE_MEMORY;
    assert_int_equal(RUN("--seed", "5"), 1);
    check_says("seed 5 failed: not repeatable: two runs with the same seed differ\n");
    check_says("the first event that differs is line 770 of --events:\n"
               "    first run:  event 77\n"
               "    second run: another 78\n");
    check_command("./prog --seed 5");
    assert_int_equal(RUN("--seed", "5", "--once"), 0);
}

/* Nothing of it is in the hash. */
static void failure_of_the_second_run_alone_is_one_to_repeat(void **state)
{
    (void)state;
    fake.failure = FAKE_OBJECTION;
    assert_int_equal(RUN("--seed", "5"), 1);
    check_says("seed 5 failed: not repeatable: two runs with the same seed differ\n");
    check_says("  their events are the same, but not what they came to\n");
    check_says("  the second run ended with: the second is not wanted\n");
    check_command("./prog --seed 5");
}

/* What began with limits that were too small has written events as well. */
static void failure_to_repeat_of_limits_drawn_again_names_the_first_difference(void **state)
{
    (void)state;
    fake.failure = FAKE_MEMORY;
    fake.messages_least = UINT32_MAX;
    assert_int_equal(RUN("--seed", "5", "--swarm"), 1);
    check_says("the first event that differs is line 7");
    check_says("    first run:  event 77\n"
               "    second run: another 78\n");
}

static void failure_is_told_also_where_another_spec_is_wrong(void **state)
{
    (void)state;
    fake.failure = FAKE_EXIT;
    fake.tick = 3;
    fake.seed_modulus = 2;
    fake.wrong_seed = 3;
    assert_int_equal(RUN("--seeds", "5", "--ticks", "20"), 2);
    check_says("seed 2 failed: it exited");
    check_complains("prog: seed 3: the spec or config is wrong: TINA_INVALID: buffer_size");
}

static void failure_that_can_not_be_written_is_told(void **state)
{
    (void)state;
    fake.failure = FAKE_EXIT;
    fake.tick = 3;
    assert_int_equal(RUN("--seed", "5", "--ticks", "20", "--shrink", "--output", "/dev/full"), 1);
    check_complains("prog: /dev/full can't be written: ");
    check_says("shrunk in ");
    check_command("./prog --seed 5 --faults /dev/full --ticks 3");
}

static void failure_by_signal_is_named_where_ends_were_ignored(void **state)
{
    (void)state;
    fake.failure = FAKE_SEGV;
    fake.tick = 3;
    signal(SIGCHLD, SIG_IGN);
    int result = RUN("--seed", "5", "--ticks", "20");
    assert_ptr_equal(signal(SIGCHLD, SIG_DFL), SIG_IGN);
    assert_int_equal(result, 1);
    check_says("seed 5 failed: it died of SIGSEGV (11)");
}

/* It holds the pipe that says when a run's process ends. */
static void process_left_behind_by_a_run_is_not_waited_for(void **state)
{
    (void)state;
    assert_int_equal(pipe(fake.leash), 0);
    assert_int_equal(RUN("--seeds", "4", "--ticks", "20"), 0);
    close(fake.leash[0]);
    close(fake.leash[1]);
}

static void failure_of_boot_is_a_failure(void **state)
{
    (void)state;
    fake.failure = FAKE_NEVER_BOOT;
    assert_int_equal(RUN("--seed", "5", "--swarm"), 1);
    check_says("seed 5 failed: TINA_INIT_FAILED: no room for 0\n");
}

/* ---- What the swarm draws ---------------------------------------------------------------------- */

static void limits_too_small_to_boot_are_drawn_again(void **state)
{
    (void)state;
    fake.messages_least = 100;
    assert_int_equal(RUN("--seeds", "100", "--swarm", "--ticks", "10"), 0);
}

static void faults_none_is_none(void **state)
{
    (void)state;
    fake.failure = FAKE_LOSS;
    assert_int_equal(RUN("--seeds", "50", "--swarm", "--faults", "none"), 0);
    check_says("faults: none\n");
}

/* ---- Many --------------------------------------------------------------------------------------- */

static const char *without_speed(void)
{
    char *from = strstr(said, "events: ");
    char *to = strchr(from, '\n');
    memmove(from, to, strlen(to) + 1);
    return said;
}

static void swarm_is_the_same_whatever_the_number_of_jobs(void **state)
{
    (void)state;
    fake.failure = FAKE_EXIT;
    fake.tick = 3;
    fake.seed_modulus = 7;
    assert_int_equal(RUN("--seeds", "1000", "--ticks", "20", "--swarm", "--jobs", "1"), 1);
    char *alone = strdup(without_speed());
    assert_int_equal(RUN("--seeds", "1000", "--ticks", "20", "--swarm", "--jobs", "8"), 1);
    assert_string_equal(without_speed(), alone);
    free(alone);
    check_says("70 seeds, 10 failures\n"); /* the tenth of them is the last */
    check_says("seed 70 failed: ");
}

static void swarm_goes_on_behind_a_failure(void **state)
{
    (void)state;
    fake.failure = FAKE_SEGV;
    fake.tick = 3;
    fake.seed_modulus = 100;
    assert_int_equal(RUN("--seeds", "150", "--ticks", "20"), 1);
    check_says("150 seeds, 1 failures\n");
    check_says("ends: ticks 149\n");
}

/* ---- What is wrong -------------------------------------------------------------------------------- */

static void arguments_wrong_are_status_two(void **state)
{
    (void)state;
    assert_int_equal(RUN("--what"), 2);
    check_complains("prog: '--what' is no option; see --help\n");
    assert_int_equal(RUN("--faults", "/nowhere/file"), 2);
    check_complains("prog: /nowhere/file can't be read: No such file or directory\n");
    assert_int_equal(RUN("--trace", "/nowhere/file"), 2);
    check_complains("prog: /nowhere/file can't be written: No such file or directory\n");
}

static void faults_file_wrong_is_told_with_its_line(void **state)
{
    (void)state;
    char why[256];
    FILE *file = fopen(path, "w");
    fputs("\nmessage_drop = often\n", file);
    fclose(file);
    snprintf(why, sizeof why, "prog: %s:2: message_drop must be a ratio, such as 1/1000\n", path);
    assert_int_equal(RUN("--faults", path), 2);
    assert_string_equal(complained, why);
}

static void spec_wrong_is_status_two(void **state)
{
    (void)state;
    FILE *file = fopen(path, "w");
    fputs("buffer_size = 3\n", file);
    fclose(file);
    assert_int_equal(RUN("--seeds", "4", "--faults", path), 2);
    check_complains("prog: seed 1: the spec or config is wrong: TINA_INVALID: buffer_size: must be 0 or 64 to");
}

static void healing_that_never_begins_is_refused(void **state)
{
    (void)state;
    assert_int_equal(RUN("--seed", "5", "--heal-at", "1000"), 2);
    check_complains("prog: seed 5: the spec or config is wrong: "
                    "TINA_INVALID: heal_at_tick: must be below the 1000 rounds of the run, not 1000\n");
    assert_int_equal(RUN("--seed", "5", "--heal", "--ticks", "3"), 2);
    assert_int_equal(RUN("--seed", "5", "--heal-at", "999"), 0);
}

static void output_of_no_failure_is_not_there(void **state)
{
    (void)state;
    assert_int_equal(RUN("--seed", "5", "--shrink", "--output", path), 0);
    assert_int_not_equal(access(path, F_OK), 0);
    FILE *file = fopen(path, "w");
    fclose(file);
    assert_int_equal(RUN("--seed", "5", "--shrink", "--output", path), 0);
    assert_int_equal(access(path, F_OK), 0);
}

static void files_of_make_are_those_of_one_seed(void **state)
{
    (void)state;
    fake.events_path = path;
    assert_int_equal(RUN("--seeds", "3", "--ticks", "20"), 0);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_equal(RUN("--seed", "5", "--ticks", "20"), 0);
    assert_int_equal(access(path, F_OK), 0);
}

static void events_are_those_of_the_first_run(void **state)
{
    (void)state;
    struct stat before, after;
    assert_int_equal(RUN("--seed", "5", "--events", path, "--once"), 0);
    assert_int_equal(stat(path, &before), 0);
    assert_int_equal(RUN("--seed", "5", "--events", path), 0);
    assert_int_equal(stat(path, &after), 0);
    assert_true(before.st_size > 0);
    assert_int_equal(before.st_size, after.st_size);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(run_that_is_well_says_what_it_was),
        TEST(run_of_a_word_says_its_number),
        TEST(swarm_that_is_well_is_summed_up),
        TEST(swarm_once_runs_each_once),
        TEST(help_is_no_failure),
        TEST(failure_by_violation_has_seed_first_and_command_last),
        TEST(failure_by_signal_is_named_with_its_last_words),
        TEST(failure_by_exit_is_told),
        TEST(failure_by_hanging_is_ended),
        TEST(failure_to_repeat_names_the_first_difference),
        TEST(failure_of_the_second_run_alone_is_one_to_repeat),
        TEST(failure_to_repeat_of_limits_drawn_again_names_the_first_difference),
        TEST(failure_is_told_also_where_another_spec_is_wrong),
        TEST(failure_that_can_not_be_written_is_told),
        TEST(failure_by_signal_is_named_where_ends_were_ignored),
        TEST(process_left_behind_by_a_run_is_not_waited_for),
        TEST(failure_of_boot_is_a_failure),
        TEST(limits_too_small_to_boot_are_drawn_again),
        TEST(faults_none_is_none),
        TEST(swarm_is_the_same_whatever_the_number_of_jobs),
        TEST(swarm_goes_on_behind_a_failure),
        TEST(arguments_wrong_are_status_two),
        TEST(faults_file_wrong_is_told_with_its_line),
        TEST(spec_wrong_is_status_two),
        TEST(healing_that_never_begins_is_refused),
        TEST(output_of_no_failure_is_not_there),
        TEST(files_of_make_are_those_of_one_seed),
        TEST(events_are_those_of_the_first_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
