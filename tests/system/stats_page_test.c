/* The statistics page: what it says, whom it replaces, and that nobody who has the file can harm the system. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/page.h"
#include "support/witness.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define TAG_A TINA_TAG_USER

static char directory[64], path[96], other_path[96];
static tina_test_count seen;

static tina_effect member_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size, (void)ctx;
    return tina_receive();
}

static tina_effect member_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self, (void)ctx;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    tina_test_count_up(&seen);
    return tina_receive();
}

static const tina_type types[] = {
    {.name = "first", .init = member_init, .handler = member_handle, .size = 8, .slot_count = 4},
    {.name = "second", .init = member_init, .handler = member_handle, .size = 8, .slot_count = 7},
};
static const tina_child children[] = {{.type = 0, .name = 1}, {.type = 1, .name = 2}};

static tina_system_spec spec_of(void)
{
    return (tina_system_spec){
        .types = types,
        .type_count = 2,
        .root = {.children = children, .child_count = 2},
        .shard_count = 2,
        .development = true,
        .stats_path = path,
    };
}

static int set_up(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/tina-page-XXXXXX");
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/stats", directory);
    snprintf(other_path, sizeof other_path, "%s/other", directory);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    (void)unlink(path);
    (void)unlink(other_path);
    (void)rmdir(other_path);
    assert_int_equal(rmdir(directory), 0); /* nothing else was left in it */
    return 0;
}

/* ---- Reading it ------------------------------------------------------------------------------ */

static bool read_at(int fd, void *bytes, size_t size, size_t offset)
{
    return pread(fd, bytes, size, (off_t)offset) == (ssize_t)size;
}

/* The shard's and the types' records of one moment; false: it is being written. */
static bool read_page(const char *from, tina__page *page, tina_stats *shards, tina_type_stats *of_types)
{
    uint64_t sequence = 1;
    int fd = open(from, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    bool is_read = read_at(fd, page, sizeof *page, 0) && page->sequence % 2 == 0 &&
                   read_at(fd, shards, 2 * sizeof *shards, tina__page_shard_at(0)) &&
                   read_at(fd, of_types, 4 * sizeof *of_types, tina__page_type_at(2, 2, 0, 0)) &&
                   read_at(fd, &sequence, sizeof sequence, offsetof(tina__page, sequence));
    close(fd);
    return is_read && sequence == page->sequence;
}

static bool has_dispatched(uint64_t second_of_shard_1)
{
    tina__page page;
    tina_stats shards[2];
    tina_type_stats of_types[4];
    return read_page(path, &page, shards, of_types) && of_types[3].dispatches >= second_of_shard_1;
}

static void page_has_what_the_system_says(void **state)
{
    (void)state;
    tina_system_spec spec = spec_of();
    tina_system *system = tina_test_start(&spec);
    for (int i = 0; i < 100; i++) {
        while (tina_post(system, tina_named(1, 2), TAG_A, NULL, 0) != TINA_OK) { /* full */
        }
    }
    tina_test_await_that(has_dispatched(100));
    tina__page page;
    tina_stats shards[2];
    tina_type_stats of_types[4];
    tina_test_await_that(read_page(path, &page, shards, of_types));
    assert_memory_equal(page.magic, TINA__PAGE_MAGIC, sizeof page.magic);
    assert_int_equal(page.writer, getpid());
    assert_int_equal(page.shard_count, 2);
    assert_int_equal(page.type_count, 2);
    assert_true(page.written_ns > page.started_ns);
    assert_string_equal(page.library, tina_version());
    assert_string_equal(of_types[0].name, "first");
    assert_string_equal(of_types[3].name, "second");
    assert_int_equal(of_types[3].slots, 7);
    assert_int_equal(of_types[3].isolates, 1);
    assert_int_equal(shards[0].state, TINA_SHARD_RUNNING);
    assert_int_equal(shards[1].posted, 100);
    struct stat about;
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(about.st_size, tina__page_size(2, 2));
    assert_int_equal(about.st_mode & 0133, 0); /* nobody else may write it */
    tina_test_end(system, NULL);
    assert_int_equal(access(path, F_OK), -1); /* and it is gone */
}

/* Its shards sleep, and are told to have been idle all the time that they have slept so far. */
static void sleeping_shard_is_idle(void **state)
{
    (void)state;
    tina_system_spec spec = spec_of();
    spec.stats_path = NULL;
    tina_system *system = tina_test_start(&spec);
    tina_test_await_that(tina_test_stats(system, 0).sleeps > 0); /* the one that lasts, too */
    tina_stats before = tina_test_stats(system, 0);
    tina_test_await_that(tina_test_stats(system, 0).idle_ns >= before.idle_ns + 20000000);
    uint64_t last_ns = 0;
    for (int i = 0; i < 2000; i++) {
        tina_test_await_that(tina_post(system, tina_named(0, 1), TAG_A, NULL, 0) == TINA_OK); /* the inbox may be full */
        for (int k = 0; k < 20; k++) {
            uint64_t idle_ns = tina_test_stats(system, 0).idle_ns;
            assert_true(idle_ns >= last_ns); /* it never goes back */
            last_ns = idle_ns;
        }
        if (i % 500 == 0)
            tina_test_await_that(tina_test_stats(system, 0).messages.used == 0);
    }
    tina_test_end(system, NULL);
}

static void types_are_told_from_outside_as_in_the_page(void **state)
{
    (void)state;
    tina_system_spec spec = spec_of();
    spec.stats_path = NULL;
    tina_system *system = tina_test_start(&spec);
    tina_type_stats stats;
    assert_int_equal(tina_post(system, tina_named(0, 2), TAG_A, NULL, 0), TINA_OK);
    tina_test_await_that(tina_shard_type_stats(system, 0, 1, &stats) == TINA_OK && stats.dispatches == 1);
    assert_string_equal(stats.name, "second");
    assert_int_equal(tina_shard_type_stats(system, 2, 0, &stats), TINA_INVALID);
    assert_int_equal(tina_shard_type_stats(system, 0, 2, &stats), TINA_INVALID);
    assert_int_equal(tina_shard_type_stats(system, 0, 0, NULL), TINA_INVALID);
    tina_test_end(system, NULL);
}

/* ---- What was there before ----------------------------------------------------------------------- */

static void refused(const char *at, tina_status status, const char *words)
{
    tina_test_holdings before;
    tina_test_hold(&before);
    tina_system_spec spec = spec_of();
    spec.stats_path = at;
    tina_system *system = NULL;
    tina_error error;
    assert_int_equal(tina_start(&spec, &system, &error), status);
    assert_string_equal(error.path, "stats_path");
    if (strstr(error.message, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", error.message, words);
    tina_test_assert_same_holdings(&before);
}

static void write_file(const char *at, const char *text)
{
    FILE *file = fopen(at, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void what_is_no_page_is_left_alone(void **state)
{
    (void)state;
    char text[64] = {0};
    write_file(path, "my letters");
    refused(path, TINA_INVALID, "exists already");
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(text, sizeof text, file));
    assert_string_equal(text, "my letters");
    fclose(file);
}

static void symbolic_link_is_refused(void **state)
{
    (void)state;
    write_file(other_path, "");
    assert_int_equal(symlink(other_path, path), 0);
    refused(path, TINA_INVALID, "is a symbolic link");
}

static void file_that_has_another_name_is_left_alone(void **state)
{
    (void)state;
    struct stat about;
    write_file(other_path, "");
    assert_int_equal(link(other_path, path), 0);
    refused(path, TINA_INVALID, "is another file's name, too");
    assert_int_equal(stat(other_path, &about), 0);
    assert_int_equal(about.st_size, 0);
}

/* In a process of its own, which the limit would end. */
static void limit_on_the_size_of_files_is_said(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        struct rlimit limit = {.rlim_cur = 100, .rlim_max = RLIM_INFINITY};
        tina_system_spec spec = spec_of();
        tina_system *system;
        _exit(setrlimit(RLIMIT_FSIZE, &limit) == 0 && tina_start(&spec, &system, NULL) == TINA_DISK_FULL ? 0 : 1);
    }
    assert_true(child > 0);
    assert_int_equal(tina_test_reap(child), 0);
    assert_int_equal(access(path, F_OK), -1);
}

static void what_is_no_file_is_refused(void **state)
{
    (void)state;
    assert_int_equal(mkdir(other_path, 0700), 0);
    refused(other_path, TINA_INVALID, "is no regular file");
    assert_int_equal(mkfifo(path, 0600), 0);
    refused(path, TINA_INVALID, "is no regular file");
}

static void directory_that_is_not_there_is_named(void **state)
{
    (void)state;
    char deep[128];
    snprintf(deep, sizeof deep, "%s/none/stats", directory);
    refused(deep, TINA_NOT_FOUND, "a directory that does not exist");
}

static void length_is_checked(void **state)
{
    (void)state;
    char longest[257];
    memset(longest, 'a', 256);
    longest[256] = '\0';
    refused(longest, TINA_INVALID, "1 to 255 bytes");
    refused("", TINA_INVALID, "1 to 255 bytes");
}

static void page_of_a_running_system_is_refused(void **state)
{
    (void)state;
    tina_system_spec spec = spec_of();
    tina_system *system = tina_test_start(&spec);
    refused(path, TINA_INVALID, "of a system that runs");
    assert_int_equal(access(path, F_OK), 0);
    tina_test_end(system, NULL);
    system = tina_test_start(&spec); /* and is free again */
    tina_test_end(system, NULL);
}

/* A system of another process, which is killed. */
static void leave_a_page(void)
{
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        tina_system_spec spec = spec_of();
        tina_system *system;
        if (tina_start(&spec, &system, NULL) != TINA_OK || write(ready[1], "", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    assert_true(child > 0);
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    refused(path, TINA_INVALID, "of a system that runs");
    kill(child, SIGKILL);
    (void)tina_test_reap(child);
}

static void page_of_a_killed_system_is_taken_over(void **state)
{
    (void)state;
    leave_a_page();
    assert_int_equal(access(path, F_OK), 0);
    tina_system_spec spec = spec_of();
    tina_system *system = tina_test_start(&spec);
    tina__page page;
    tina_stats shards[2];
    tina_type_stats of_types[4];
    tina_test_await_that(read_page(path, &page, shards, of_types) && page.written_ns != 0);
    assert_int_equal(page.writer, getpid());
    tina_test_end(system, NULL);
}

/* ---- What others do to it --------------------------------------------------------------------------- */

static bool is_whole(void)
{
    struct stat about;
    return stat(path, &about) == 0 && about.st_size == (off_t)tina__page_size(2, 2) && has_dispatched(0);
}

static void shortened_page_is_written_again(void **state)
{
    (void)state;
    tina_system_spec spec = spec_of();
    tina_system *system = tina_test_start(&spec);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(truncate(path, i % 2 == 0 ? 0 : 50), 0);
        tina_test_await_that(is_whole());
    }
    tina_test_end(system, NULL);
}

static void what_took_its_place_is_left_alone(void **state)
{
    (void)state;
    tina_system_spec spec = spec_of();
    tina_system *system = tina_test_start(&spec);
    assert_int_equal(unlink(path), 0);
    write_file(path, "somebody else's");
    tina_test_end(system, NULL);
    assert_int_equal(access(path, F_OK), 0);
}

static tina_effect broken_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size, (void)ctx;
    return tina_crash(1);
}

static void failed_boot_leaves_no_page(void **state)
{
    (void)state;
    tina_test_holdings before;
    tina_test_hold(&before);
    tina_system_spec spec = spec_of();
    tina_type broken[] = {types[0], types[1]};
    broken[1].init = broken_init;
    spec.types = broken;
    tina_system *system;
    assert_int_equal(tina_start(&spec, &system, NULL), TINA_INIT_FAILED);
    assert_int_equal(access(path, F_OK), -1);
    tina_test_assert_same_holdings(&before);
}

static void start_and_end_leave_nothing(void **state)
{
    (void)state;
    tina_system_spec spec = spec_of();
    tina_test_end(tina_test_start(&spec), NULL); /* what is allocated once, is */
    tina_test_holdings before;
    tina_test_hold(&before);
    for (int i = 0; i < 10; i++)
        tina_test_end(tina_test_start(&spec), NULL);
    tina_test_assert_same_holdings(&before);
}

static void full_inbox_is_counted(void **state)
{
    (void)state;
    tina_system_spec spec = spec_of();
    spec.inbox_capacity = 4;
    tina_system *system = tina_test_start(&spec);
    uint64_t refused_count = 0;
    for (int i = 0; i < 100000 && refused_count < 3; i++)
        refused_count += tina_post(system, tina_named(0, 1), TAG_A, NULL, 0) == TINA_CHANNEL_FULL;
    assert_int_equal(tina_test_stats(system, 0).inbox_full, refused_count);
    tina_test_end(system, NULL);
}

/* ---- Faults ------------------------------------------------------------------------------------------- */

enum { TAG_FAULT = TAG_A + 1, FAULTS = 300 };

static tina_effect faulty_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    static volatile uintptr_t nowhere = 64;
    if (message->tag == TAG_FAULT)
        *(volatile int *)nowhere = 1;
    return member_handle(self, message, ctx);
}

static tina_type_stats first_type(const tina_system *system)
{
    tina_type_stats stats;
    assert_int_equal(tina_shard_type_stats(system, 0, 0, &stats), TINA_OK);
    return stats;
}

static void post_and_await(tina_system *system, tina_tag tag)
{
    tina_type_stats before = first_type(system);
    while (tina_post(system, tina_named(0, 1), tag, NULL, 0) != TINA_OK) {
    }
    tina_test_await_that(first_type(system).dispatches > before.dispatches && first_type(system).isolates == 1);
}

/* Some of them in ticks that are measured. */
static void faults_are_counted_and_measuring_goes_on(void **state)
{
    (void)state;
    tina_type faulty[] = {types[0], types[1]};
    faulty[0].handler = faulty_handle;
    tina_system_spec spec = spec_of();
    spec.shard_count = 1;
    spec.stats_path = NULL;
    spec.types = faulty;
    spec.root.restart_max = 1000000;
    tina_system *system = tina_test_start(&spec);
    for (int i = 0; i < FAULTS; i++)
        post_and_await(system, TAG_FAULT);
    tina_type_stats before = first_type(system);
    assert_int_equal(before.faults, FAULTS);
    assert_int_equal(before.restarts, FAULTS);
    assert_int_equal(before.dispatches, FAULTS);
    for (int i = 0; i < FAULTS; i++)
        post_and_await(system, TAG_A);
    assert_true(first_type(system).handler_ns.count > before.handler_ns.count);
    tina_test_end(system, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(page_has_what_the_system_says),
        TEST(sleeping_shard_is_idle),
        TEST(types_are_told_from_outside_as_in_the_page),
        TEST(what_is_no_page_is_left_alone),
        TEST(symbolic_link_is_refused),
        TEST(file_that_has_another_name_is_left_alone),
        TEST(limit_on_the_size_of_files_is_said),
        TEST(what_is_no_file_is_refused),
        TEST(directory_that_is_not_there_is_named),
        TEST(length_is_checked),
        TEST(page_of_a_running_system_is_refused),
        TEST(page_of_a_killed_system_is_taken_over),
        TEST(shortened_page_is_written_again),
        TEST(what_took_its_place_is_left_alone),
        TEST(failed_boot_leaves_no_page),
        TEST(start_and_end_leave_nothing),
        TEST(full_inbox_is_counted),
        TEST(faults_are_counted_and_measuring_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
