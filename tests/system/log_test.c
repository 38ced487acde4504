/* Where lines go: the sink, from one thread; without a sink, a counter; under tina_boot, standard error. */
/* ctest: label stress */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/witness.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LINES_MAX = 256, TAG_LOG = TINA_TAG_USER, TAG_STOP };

typedef struct line {
    int shard;
    tina_level level;
    size_t length;
    char text[TINA_LOG_LINE_MAX];
} line;

typedef struct witness {
    line lines[LINES_MAX]; /* written by the helper thread, before it counts */
    tina_test_count line_count;
    tina_test_count handled;
} witness;

static void keep_line(void *user, int shard, tina_level level, const char *text, size_t length)
{
    witness *seen = user;
    uint64_t index = tina_test_counted(&seen->line_count);
    if (index < LINES_MAX) {
        line *kept = &seen->lines[index];
        kept->shard = shard;
        kept->level = level;
        kept->length = length;
        memcpy(kept->text, text, length);
        kept->text[length < sizeof kept->text ? length : sizeof kept->text - 1] = '\0';
    }
    tina_test_count_up(&seen->line_count);
}

static tina_effect talker_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size, (void)ctx;
    return tina_receive();
}

static tina_effect talker_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self;
    witness *seen = tina_user(ctx);
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (message->tag == TAG_STOP)
        tina_stop_system(ctx);
    tina_log(ctx, (tina_level)message->payload[0], "hello %u from %s", message->payload[1], "here");
    tina_test_count_up(&seen->handled);
    return tina_receive();
}

static const tina_type types[] = {
    {.name = "talker", .init = talker_init, .handler = talker_handle, .size = 16, .slot_count = 2},
};
static const tina_child children[] = {{.type = 0, .name = 1}};

static tina_system_spec make_spec(witness *seen)
{
    return (tina_system_spec){
        .types = types,
        .type_count = 1,
        .root = {.children = children, .child_count = 1},
        .shard_count = 2,
        .user = seen,
    };
}

static void sink_gets_the_shards_lines_with_their_levels(void **state)
{
    (void)state;
    static witness seen;
    memset(&seen, 0, sizeof seen);
    tina_system_spec spec = make_spec(&seen);
    spec.log_sink = keep_line;
    spec.log_user = &seen;
    tina_system *system = tina_test_start(&spec);
    uint64_t count = 0;
    for (uint8_t level = TINA_LOG_ERROR; level <= TINA_LOG_DEBUG; level++) {
        for (uint8_t shard = 0; shard < 2; shard++) {
            uint8_t payload[2] = {level, shard};
            assert_int_equal(tina_post(system, tina_named(shard, 1), TAG_LOG, payload, sizeof payload), TINA_OK);
            tina_test_await(&seen.line_count, count + 1);
            const line *got = &seen.lines[count++];
            char expected[64];
            snprintf(expected, sizeof expected, "talker/0: hello %u from here", shard);
            assert_int_equal(got->shard, shard);
            assert_int_equal(got->level, level);
            assert_int_equal(got->length, strlen(expected));
            assert_string_equal(got->text, expected);
        }
    }
    tina_end_report report;
    tina_test_end(system, &report);
    assert_int_equal(report.total.log_dropped, 0);
    assert_int_equal(tina_test_counted(&seen.line_count), count); /* tina_start gives no report of its own */
}

static void lines_before_the_end_are_not_lost(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 50; round++) {
        static witness seen;
        memset(&seen, 0, sizeof seen);
        tina_system_spec spec = make_spec(&seen);
        spec.log_sink = keep_line;
        spec.log_user = &seen;
        tina_system *system = tina_test_start(&spec);
        uint8_t payload[2] = {TINA_LOG_INFO, 7};
        assert_int_equal(tina_post(system, tina_named(1, 1), TAG_STOP, payload, sizeof payload), TINA_OK);
        tina_test_join(system, NULL);
        assert_int_equal(tina_test_counted(&seen.line_count), 1);
    }
}

static void without_a_sink_lines_are_counted(void **state)
{
    (void)state;
    static witness seen;
    memset(&seen, 0, sizeof seen);
    tina_system_spec spec = make_spec(&seen);
    tina_system *system = tina_test_start(&spec);
    uint8_t payload[2] = {TINA_LOG_INFO, 0};
    for (uint64_t i = 1; i <= 5; i++) {
        assert_int_equal(tina_post(system, tina_named(0, 1), TAG_LOG, payload, sizeof payload), TINA_OK);
        tina_test_await(&seen.handled, i);
    }
    tina_end_report report;
    tina_test_end(system, &report);
    assert_int_equal(report.total.log_dropped, 5);
}

/* ---- The boot report, as a child's standard error ---- */

/* Its init ends the boot that it is part of. */
static tina_effect ender_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size;
    tina_log(ctx, TINA_LOG_WARN, "about to end");
    tina_stop_system(ctx);
    return tina_receive();
}

static int boot_and_end(bool is_quiet, witness *seen)
{
    static const tina_type enders[] = {{.name = "ender", .init = ender_init, .handler = talker_handle, .size = 16}};
    tina_system_spec spec = make_spec(seen);
    spec.types = enders;
    spec.shard_count = 1;
    spec.fd_count = 1000000; /* more than a process may open: the report says so */
    spec.op_count = 64;
    spec.buffer_count = 64;
    spec.development = true;
    spec.quiet = is_quiet;
    return tina_boot(&spec, NULL) == TINA_OK ? 0 : 1;
}

/* What a boot writes to standard error. */
static void boot_in_child(bool is_quiet, char *text, size_t size)
{
    int out[2];
    assert_int_equal(pipe(out), 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        static witness seen;
        dup2(out[1], STDERR_FILENO);
        _exit(boot_and_end(is_quiet, &seen));
    }
    close(out[1]);
    size_t length = 0;
    ssize_t got;
    while (length < size - 1 && (got = read(out[0], text + length, size - 1 - length)) > 0)
        length += (size_t)got;
    text[length] = '\0';
    close(out[0]);
    int status = tina_test_reap(child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void boot_reports_to_standard_error(void **state)
{
    (void)state;
    static char text[16384];
    boot_in_child(false, text, sizeof text);
    static const char *const expected[] = {
        "[tina] info: libtina " TINA_VERSION ": 1 shard\n",
        ", not pinned, ",
        "[tina] warn: 1000000 descriptors are reserved",
        "[shard 0] warn: ender/0: about to end\n",
    };
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        if (strstr(text, expected[i]) == NULL)
            fail_msg("\"%s\" is not in:\n%s", expected[i], text);
    }
    assert_null(strstr(text, "debug"));
}

static void quiet_boot_reports_nothing_but_the_shards_lines(void **state)
{
    (void)state;
    static char text[16384];
    boot_in_child(true, text, sizeof text);
    assert_string_equal(text, "[shard 0] warn: ender/0: about to end\n");
}

static void boot_reports_to_a_sink_with_the_memory_plan(void **state)
{
    (void)state;
    static witness seen;
    memset(&seen, 0, sizeof seen);
    static const tina_type enders[] = {{.name = "ender", .init = ender_init, .handler = talker_handle, .size = 16}};
    tina_system_spec spec = make_spec(&seen);
    spec.types = enders;
    spec.shard_count = 1;
    spec.log_sink = keep_line;
    spec.log_user = &seen;
    assert_int_equal(tina_boot(&spec, NULL), TINA_OK);
    uint64_t count = tina_test_counted(&seen.line_count);
    unsigned systems = 0, plans = 0;
    assert_true(count <= LINES_MAX);
    for (uint64_t i = 0; i < count; i++) {
        systems += seen.lines[i].shard == -1;
        plans += seen.lines[i].level == TINA_LOG_DEBUG && strstr(seen.lines[i].text, "KiB") != NULL;
    }
    assert_true(systems >= 2);
    assert_true(plans >= 1);
    assert_int_equal(count - systems, 1); /* the ender's line, behind the report */
    assert_int_equal(seen.lines[count - 1].shard, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sink_gets_the_shards_lines_with_their_levels),
        cmocka_unit_test(lines_before_the_end_are_not_lost),
        cmocka_unit_test(without_a_sink_lines_are_counted),
        cmocka_unit_test(boot_reports_to_standard_error),
        cmocka_unit_test(quiet_boot_reports_nothing_but_the_shards_lines),
        cmocka_unit_test(boot_reports_to_a_sink_with_the_memory_plan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
