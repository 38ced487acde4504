/* The ready sinks: what they write to standard error, as a child's, and to a logger of the test's own. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/scratch.h"
#include "support/witness.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { TEXT_MAX = 16384 };

/* ---- A child's standard error ---- */

typedef void (*job)(void *argument);

/* The journal tells whose descriptor is its own in the environment; wrong: another than this one. */
static void claim_the_journal(bool is_wrong)
{
    struct stat found;
    char text[64];
    if (fstat(STDERR_FILENO, &found) != 0)
        _exit(1);
    snprintf(text, sizeof text, "%llu:%llu", (unsigned long long)found.st_dev,
             (unsigned long long)found.st_ino + (is_wrong ? 1 : 0));
    if (setenv("JOURNAL_STREAM", text, 1) != 0)
        _exit(1);
}

static void said_in_child(job body, void *argument, char text[TEXT_MAX])
{
    int out[2];
    assert_int_equal(pipe(out), 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        dup2(out[1], STDERR_FILENO);
        unsetenv("JOURNAL_STREAM");
        body(argument);
        _exit(0);
    }
    close(out[1]);
    size_t length = 0;
    ssize_t got;
    while (length < TEXT_MAX - 1 && (got = read(out[0], text + length, TEXT_MAX - 1 - length)) > 0)
        length += (size_t)got;
    text[length] = '\0';
    close(out[0]);
    int status = tina_test_reap(child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void say_all(void (*sink)(void *, int, tina_level, const char *, size_t), void *user)
{
    static const char line[] = "echo/7: hello, and no more";
    size_t length = strlen("echo/7: hello");
    for (int level = TINA_LOG_ERROR; level <= TINA_LOG_DEBUG; level++)
        sink(user, 3, (tina_level)level, line, length);
    for (int level = TINA_LOG_ERROR; level <= TINA_LOG_DEBUG; level++)
        sink(user, -1, (tina_level)level, "boot", 4);
}

static void say_to_stderr(void *user) { say_all(tina_log_to_stderr, user); }

static void say_to_syslog(void *user) { say_all(tina_log_to_syslog, user); }

static void say_to_journal(void *user)
{
    claim_the_journal(false);
    say_all(tina_log_to_syslog, user);
}

static void say_beside_the_journal(void *user)
{
    claim_the_journal(true);
    say_all(tina_log_to_syslog, user);
}

static const char plain[] = "[shard 3] error: echo/7: hello\n"
                            "[shard 3] warn: echo/7: hello\n"
                            "[shard 3] info: echo/7: hello\n"
                            "[shard 3] debug: echo/7: hello\n"
                            "[tina] error: boot\n"
                            "[tina] warn: boot\n"
                            "[tina] info: boot\n";

static void stderr_lines_name_shard_and_level(void **state)
{
    (void)state;
    static char text[TEXT_MAX];
    said_in_child(say_to_stderr, NULL, text);
    assert_string_equal(text, plain);
}

static void journal_lines_begin_with_their_severity(void **state)
{
    (void)state;
    static char text[TEXT_MAX];
    said_in_child(say_to_journal, NULL, text);
    assert_string_equal(text, "<3>[shard 3] echo/7: hello\n"
                              "<4>[shard 3] echo/7: hello\n"
                              "<6>[shard 3] echo/7: hello\n"
                              "<7>[shard 3] echo/7: hello\n"
                              "<3>[tina] boot\n"
                              "<4>[tina] boot\n"
                              "<6>[tina] boot\n");
}

static void say_two_lines(void *user)
{
    static const char line[] = "echo/7: got a\n<0>b";
    claim_the_journal(false);
    tina_log_to_syslog(user, 3, TINA_LOG_INFO, line, sizeof line - 1);
}

static void what_is_logged_begins_no_entry_of_the_journal(void **state)
{
    (void)state;
    static char text[TEXT_MAX];
    said_in_child(say_two_lines, NULL, text);
    assert_string_equal(text, "<6>[shard 3] echo/7: got a <0>b\n");
}

static void without_a_logger_lines_go_to_stderr(void **state)
{
    (void)state;
    static char text[TEXT_MAX];
    char nowhere[] = "/nowhere/there/is/a/logger";
    char longer[300];
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    said_in_child(say_to_syslog, nowhere, text);
    assert_string_equal(text, plain);
    said_in_child(say_beside_the_journal, nowhere, text); /* standard error is not what the journal gave */
    assert_string_equal(text, plain);
    said_in_child(say_to_syslog, longer, text);
    assert_string_equal(text, plain);
}

static void longest_line_is_whole(void **state)
{
    (void)state;
    char line[TINA_LOG_LINE_MAX];
    memset(line, 'x', sizeof line);
    int ends[2], before = dup(STDERR_FILENO);
    char text[1024] = "";
    assert_int_equal(pipe(ends), 0);
    fflush(stderr);
    dup2(ends[1], STDERR_FILENO);
    tina_log_to_stderr(NULL, 253, TINA_LOG_ERROR, line, sizeof line);
    dup2(before, STDERR_FILENO);
    ssize_t size = read(ends[0], text, sizeof text);
    assert_int_equal(size, strlen("[shard 253] error: ") + sizeof line + 1);
    assert_int_equal(text[size - 1], '\n');
    close(ends[0]);
    close(ends[1]);
    close(before);
}

/* ---- A logger ---- */

static int open_logger(struct sockaddr_un *address)
{
    char path[64];
    tina_test_scratch_make(path);
    unlink(path); /* its name is ours, and a socket takes its place */
    address->sun_family = AF_UNIX;
    strcpy(address->sun_path, path);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)address, sizeof *address), 0);
    return fd;
}

static void hears(int logger, const char *expected)
{
    char text[1024];
    ssize_t size = recv(logger, text, sizeof text - 1, 0);
    assert_true(size > 0);
    text[size] = '\0';
    assert_string_equal(text, expected);
}

static void logger_gets_priority_name_and_number(void **state)
{
    (void)state;
    struct sockaddr_un address = {0};
    int logger = open_logger(&address);
    tina_test_holdings before;
    tina_test_hold(&before);
    say_to_syslog(address.sun_path);
    tina_test_assert_same_holdings(&before);
    static const unsigned priorities[] = {27, 28, 30, 31}; /* facility daemon */
    char expected[256];
    for (int i = 0; i < 4; i++) {
        snprintf(expected, sizeof expected, "<%u>%s[%ld]: [shard 3] echo/7: hello", priorities[i],
                 program_invocation_short_name, (long)getpid());
        hears(logger, expected);
    }
    for (int i = 0; i < 3; i++) {
        snprintf(expected, sizeof expected, "<%u>%s[%ld]: [tina] boot", priorities[i], program_invocation_short_name,
                 (long)getpid());
        hears(logger, expected);
    }
    close(logger);
    unlink(address.sun_path);
}

/* Nobody takes its lines: those beyond what the kernel keeps go to standard error, and nothing waits. */
static void say_much(void *user)
{
    for (unsigned i = 0; i < 5000; i++)
        tina_log_to_syslog(user, 0, TINA_LOG_INFO, "line", 4);
}

static void full_logger_holds_nobody_up(void **state)
{
    (void)state;
    static char text[TEXT_MAX];
    struct sockaddr_un address = {0};
    int logger = open_logger(&address), size = 1;
    setsockopt(logger, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    said_in_child(say_much, address.sun_path, text);
    assert_non_null(strstr(text, "[shard 0] info: line\n"));
    close(logger);
    unlink(address.sun_path);
}

/* ---- In a system ---- */

static tina_effect talker_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size;
    tina_log(ctx, TINA_LOG_WARN, "about to end");
    tina_stop_system(ctx);
    return tina_receive();
}

static tina_effect talker_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self, (void)ctx;
    return message->tag == TINA_TAG_SHUTDOWN ? tina_done() : tina_receive();
}

static void boot_with_the_sink(void *argument)
{
    static const tina_type types[] = {{.name = "talker", .init = talker_init, .handler = talker_handle, .size = 16}};
    static const tina_child children[] = {{.type = 0}};
    const tina_system_spec spec = {.types = types,
                                   .type_count = 1,
                                   .root = {.children = children, .child_count = 1},
                                   .shard_count = 1,
                                   .quiet = true,
                                   .log_sink = tina_log_to_syslog,
                                   .log_user = argument};
    claim_the_journal(false);
    if (tina_boot(&spec, NULL) != TINA_OK)
        _exit(1);
}

static void isolates_lines_say_whose_they_are(void **state)
{
    (void)state;
    static char text[TEXT_MAX];
    said_in_child(boot_with_the_sink, NULL, text);
    assert_string_equal(text, "<4>[shard 0] talker/0: about to end\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stderr_lines_name_shard_and_level),
        cmocka_unit_test(journal_lines_begin_with_their_severity),
        cmocka_unit_test(what_is_logged_begins_no_entry_of_the_journal),
        cmocka_unit_test(without_a_logger_lines_go_to_stderr),
        cmocka_unit_test(longest_line_is_whole),
        cmocka_unit_test(logger_gets_priority_name_and_number),
        cmocka_unit_test(full_logger_holds_nobody_up),
        cmocka_unit_test(isolates_lines_say_whose_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
