/*
 * tina_sim_main as a user has it. This program is one, where the environment's
 * TINA_TEST_PLAY says what is wrong with it; without it, it runs itself, and judges.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <tina/sim_main.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- The program: one isolate counts for another, on another shard ------------------------------- */

enum { TYPE_COUNTER, TYPE_READER };
enum { NAME_READER = 1 };
enum { TAG_TIME = TINA_TAG_USER, TAG_NUMBER };

#define MILLISECOND_NS 1000000u

typedef struct counter {
    uint32_t number;
} counter;

typedef struct reader {
    uint32_t latest, missing;
} reader;

static const char *played;  /* what is wrong */
static uint32_t remembered; /* which a program must not */

static bool plays(const char *what) { return strcmp(played, what) == 0; }

static tina_effect counter_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size;
    if (tina_timer_repeat(ctx, 5 * MILLISECOND_NS, TAG_TIME, NULL) != TINA_OK)
        return tina_crash(1);
    return tina_receive();
}

static void go_wrong(uint32_t number)
{
    if (plays("abort") && number == 40)
        abort();
    while (plays("hang") && number == 40) {
        (void)!write(STDOUT_FILENO, "!", 1);
        pause();
    }
}

static bool is_special(void) { return plays("memory") && ++remembered == 60; }

static tina_effect counter_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    counter *me = self;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    me->number++;
    go_wrong(me->number);
    tina_reached(ctx, "counted");
    if (me->number == UINT32_MAX)
        tina_reached(ctx, "counted too far");
    for (int times = is_special() ? 2 : 1; times > 0; times--)
        tina_ignore(tina_send(ctx, tina_named(1, NAME_READER), TAG_NUMBER, &me->number, sizeof me->number));
    return tina_receive();
}

static tina_effect reader_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size, (void)ctx;
    return tina_receive();
}

static tina_effect reader_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    reader *me = self;
    uint32_t number;
    (void)ctx;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    memcpy(&number, message->payload, sizeof number);
    if (me->latest != 0 && number > me->latest + 1 && me->missing == 0)
        me->missing = me->latest + 1;
    me->latest = number;
    return tina_receive();
}

static bool nothing_is_missing(const tina_sim *sim, uint64_t tick, char *why, size_t why_size, void *user)
{
    const reader *there = tina_sim_isolate(sim, 1, TYPE_READER, 0, NULL);
    (void)tick, (void)user;
    if (there == NULL || there->missing == 0)
        return true;
    snprintf(why, why_size, "number %u is missing", there->missing);
    return false;
}

static void make(uint64_t seed, tina_system_spec *spec, tina_sim_config *config)
{
    static const tina_type types[] = {
        [TYPE_COUNTER] = {.name = "counter", .init = counter_init, .handler = counter_handle, .size = sizeof(counter)},
        [TYPE_READER] = {.name = "reader", .init = reader_init, .handler = reader_handle, .size = sizeof(reader)},
    };
    static const tina_child children[] = {{.type = TYPE_COUNTER}, {.type = TYPE_READER, .name = NAME_READER}};
    static const tina_shard_spec shards[] = {{.root = {.children = &children[0], .child_count = 1}},
                                             {.root = {.children = &children[1], .child_count = 1}}};
    static const tina_checker_fn checkers[] = {nothing_is_missing};
    (void)seed;
    *spec = (tina_system_spec){.types = types, .type_count = 2, .shards = shards, .shard_count = 2};
    if (plays("spec"))
        spec->buffer_size = 1;
    config->ticks_max = 2000;
    config->checkers = checkers;
    config->checker_count = plays("loss");
}

/* ---- Running it -------------------------------------------------------------------------------------- */

enum { SAID = 65536 };

static char self[512], folder[64], said[SAID];

static int begin(void **state)
{
    (void)state;
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    snprintf(folder, sizeof folder, "/tmp/tina_sim_XXXXXX");
    return length > 0 && mkdtemp(folder) != NULL ? 0 : 1;
}

static int end(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

/* In the folder, as a shell runs it; returns its exit status. */
static int run_command(const char *play, const char *command)
{
    char whole[2048];
    setenv("TINA_TEST_PLAY", play, 1);
    snprintf(whole, sizeof whole, "cd %s && %s 2>&1", folder, command);
    FILE *from = popen(whole, "r");
    assert_non_null(from);
    said[fread(said, 1, sizeof said - 1, from)] = '\0';
    int status = pclose(from);
    unsetenv("TINA_TEST_PLAY");
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int run(const char *play, const char *options)
{
    char command[1024];
    snprintf(command, sizeof command, "%s %s", self, options);
    return run_command(play, command);
}

static void check_says(const char *what)
{
    if (strstr(said, what) == NULL)
        fail_msg("'%s' is not in:\n%s", what, said);
}

/* Cuts what is said: that line alone is left. */
static const char *last_line(void)
{
    size_t length = strlen(said);
    assert_true(length > 0);
    said[length - 1] = '\0';
    const char *before = strrchr(said, '\n');
    return before != NULL ? before + 1 : said;
}

/* The command fails as it did, word for word. */
static void check_repeats(const char *play, const char *failure)
{
    char *command = strdup(last_line());
    assert_int_equal(run_command(play, command), 1);
    check_says(failure);
    assert_string_equal(last_line(), command);
    free(command);
}

static void failure_line(char *line, size_t size)
{
    const char *from = strstr(said, "seed ");
    for (const char *next = from; next != NULL; next = strstr(next + 1, "\nseed "))
        from = next;
    assert_non_null(from);
    from += from[0] == '\n';
    snprintf(line, size, "%.*s", (int)strcspn(from, "\n"), from);
}

static uint64_t number_behind(const char *what, const char *then)
{
    const char *at = strstr(said, what);
    at = at != NULL ? strstr(at, then) : NULL;
    assert_non_null(at);
    return strtoull(at + strlen(then), NULL, 10);
}

/* ---- What comes of it ------------------------------------------------------------------------------------ */

static void swarm_of_a_sound_program_is_well(void **state)
{
    (void)state;
    assert_int_equal(run("nothing", "--seeds 40 --swarm --ticks 1000"), 0);
    check_says("40 seeds, 0 failures\n");
    check_says("message_drop ");
    check_says("\nnever reached: ");
    check_says("counted too far");
    assert_null(strstr(said, "counted,"));
}

static void swarm_finds_a_loss_and_its_command_repeats_it(void **state)
{
    (void)state;
    char line[256];
    assert_int_equal(run("loss", "--seeds 40 --swarm"), 1);
    failure_line(line, sizeof line);
    check_says("is missing\n");
    check_repeats("loss", line);
}

static void shrinking_leaves_the_one_fault_that_it_takes(void **state)
{
    (void)state;
    char line[256];
    assert_int_equal(run("loss", "--seeds 40 --swarm --shrink --output small.faults"), 1);
    check_says("shrunk in ");
    uint64_t before = number_behind("shrunk in ", "events "), after = number_behind("events ", " -> ");
    assert_true(after * 10 <= before);
    assert_int_equal(number_behind("settings ", " -> "), 1);
    check_says("--faults small.faults --ticks ");
    failure_line(line, sizeof line);
    check_repeats("loss", line);
}

static void abort_of_a_handler_is_a_failure_of_its_seed(void **state)
{
    (void)state;
    assert_int_equal(run("abort", "--seeds 3"), 1);
    check_says("3 seeds, 3 failures\n");
    check_says("seed 1 failed: it died of SIGABRT (6)");
    check_repeats("abort", "seed 3 failed: it died of SIGABRT (6)");
}

static void hanging_handler_is_a_failure_of_its_seed(void **state)
{
    (void)state;
    assert_int_equal(run("hang", "--seed 3 --patience 1"), 1);
    check_says("seed 3 failed: it hangs: nothing moved any more\n");
}

/* What it has begun goes with it: the pipe that it shared with its output ends. */
static void runner_that_is_killed_takes_its_processes_along(void **state)
{
    (void)state;
    int output[2];
    char byte = 0;
    assert_int_equal(pipe(output), 0);
    pid_t runner = fork();
    if (runner == 0) {
        dup2(output[1], STDOUT_FILENO);
        close(output[0]);
        close(output[1]);
        setenv("TINA_TEST_PLAY", "hang", 1);
        execl(self, self, "--seed", "3", (char *)NULL);
        _exit(1);
    }
    close(output[1]);
    assert_int_equal(read(output[0], &byte, 1), 1);
    assert_int_equal(byte, '!'); /* the process of the run hangs now */
    kill(runner, SIGKILL);
    waitpid(runner, NULL, 0);
    struct pollfd end_of_output = {.fd = output[0], .events = POLLIN};
    assert_int_equal(poll(&end_of_output, 1, 10000), 1);
    assert_int_equal(read(output[0], &byte, 1), 0);
    close(output[0]);
}

static void memory_that_outlives_a_run_is_found_and_named(void **state)
{
    (void)state;
    assert_int_equal(run("memory", "--seed 9 --ticks 250"), 1);
    check_says("seed 9 failed: not repeatable: two runs with the same seed differ\n");
    check_says("the first event that differs is line ");
    check_repeats("memory", "seed 9 failed: not repeatable: two runs with the same seed differ\n");
}

static void spec_that_is_wrong_is_status_two(void **state)
{
    (void)state;
    assert_int_equal(run("spec", "--seeds 3 --swarm"), 2);
    check_says("seed 1: the spec or config is wrong: TINA_INVALID: buffer_size: must be 0 or 64 to 16777216, not 1\n");
}

static void timeline_and_events_are_written(void **state)
{
    (void)state;
    assert_int_equal(run("nothing", "--seed 3 --ticks 100 --trace timeline.json --events events.txt"), 0);
    assert_int_equal(run_command("nothing", "test -s timeline.json && test -s events.txt"), 0);
}

static void output_that_is_lost_is_status_two(void **state)
{
    (void)state;
    assert_int_equal(run("nothing", "--seed 3 --ticks 100 >/dev/full"), 2);
    assert_int_equal(run("loss", "--seeds 40 --swarm >/dev/full"), 2);
    assert_int_equal(run("nothing", "--seed 3 --ticks 100 >&-"), 2);
    assert_int_equal(run("nothing", "--seed 3 --ticks 100 --trace /dev/full"), 2);
    check_says("seed 3: a file can't be written: ");
    check_says(": trace_path");
    assert_int_equal(run("nothing", "--seed 3 --ticks 100 --events /dev/full"), 2);
}

static void standard_streams_that_are_closed_do_no_harm(void **state)
{
    (void)state;
    char command[1024];
    snprintf(command, sizeof command, "{ %s --seed 3 <&- 2>&-; }", self);
    assert_int_equal(run_command("abort", command), 1);
    check_says("seed 3 failed: it died of SIGABRT (6)");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(swarm_of_a_sound_program_is_well),
        cmocka_unit_test(swarm_finds_a_loss_and_its_command_repeats_it),
        cmocka_unit_test(shrinking_leaves_the_one_fault_that_it_takes),
        cmocka_unit_test(abort_of_a_handler_is_a_failure_of_its_seed),
        cmocka_unit_test(hanging_handler_is_a_failure_of_its_seed),
        cmocka_unit_test(runner_that_is_killed_takes_its_processes_along),
        cmocka_unit_test(memory_that_outlives_a_run_is_found_and_named),
        cmocka_unit_test(spec_that_is_wrong_is_status_two),
        cmocka_unit_test(timeline_and_events_are_written),
        cmocka_unit_test(output_that_is_lost_is_status_two),
        cmocka_unit_test(standard_streams_that_are_closed_do_no_harm),
    };
    played = getenv("TINA_TEST_PLAY");
    if (played != NULL)
        return tina_sim_main(argc, argv, make);
    return cmocka_run_group_tests(tests, begin, end);
}
