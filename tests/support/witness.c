#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/witness.h"

#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#define LOOKS_MAX 30000u /* a millisecond each */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SLOW true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_SLOW true
#endif
#endif
#ifndef IS_SLOW
#define IS_SLOW false
#endif

bool tina_test_is_slow(void) { return IS_SLOW; }

/* ---- Waiting ---- */

bool tina_test_look_again(unsigned looks)
{
    if (looks >= LOOKS_MAX)
        return false;
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    return true;
}

bool tina_test_awaits(const tina_test_count *count, uint64_t at_least)
{
    unsigned looks = 0;
    while (tina_test_counted(count) < at_least) {
        if (!tina_test_look_again(looks++))
            return false;
    }
    return true;
}

void tina_test_fail_waiting(const char *what, const char *file, int line)
{
    print_error("waited in vain for: %s\n", what);
    _fail(file, line);
}

void tina_test_await_or_fail(const tina_test_count *count, uint64_t at_least, const char *what, const char *file, int line)
{
    if (tina_test_awaits(count, at_least))
        return;
    print_error("it is %llu of %llu\n", (unsigned long long)tina_test_counted(count), (unsigned long long)at_least);
    tina_test_fail_waiting(what, file, line);
}

int tina_test_reap(pid_t child)
{
    int status = 0;
    unsigned looks = 0;
    pid_t reaped;
    while ((reaped = waitpid(child, &status, WNOHANG)) == 0 && tina_test_look_again(looks++)) {
    }
    if (reaped == 0) {
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
        fail_msg("child %d did not end", (int)child);
    }
    assert_int_equal(reaped, child);
    return status;
}

/* ---- Systems ---- */

tina_system *tina_test_start(const tina_system_spec *spec)
{
    tina_error error;
    tina_system *system = NULL;
    tina_status status = tina_start(spec, &system, &error);
    if (status != TINA_OK)
        fail_msg("tina_start: %s, %s: %s", tina_status_name(status), error.path, error.message);
    return system;
}

static tina_effect probe_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size, (void)ctx;
    return tina_receive();
}

static tina_effect probe_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self, (void)ctx;
    return message->tag == TINA_TAG_SHUTDOWN ? tina_done() : tina_receive();
}

size_t tina_test_backends(uint8_t backends[2])
{
    const tina_type type = {.name = "probe", .init = probe_init, .handler = probe_handle, .size = 8};
    size_t count = 0;
    for (uint8_t backend = TINA_BACKEND_URING; backend <= TINA_BACKEND_EPOLL; backend++) {
        tina_system_spec spec = {.types = &type, .type_count = 1, .shard_count = 1, .backend = backend, .development = true};
        tina_system *system;
        tina_status status = tina_start(&spec, &system, NULL);
        assert_true(status == TINA_OK || status == TINA_UNSUPPORTED);
        if (status != TINA_OK)
            continue;
        tina_test_end(system, NULL);
        backends[count++] = backend;
    }
    return count;
}

static void assert_unused(const char *pool, tina_usage usage)
{
    if (usage.used != 0)
        fail_msg("%u of %u %s are used at the end", usage.used, usage.limit, pool);
    assert_true(usage.peak <= usage.limit);
}

void tina_test_assert_balanced(const tina_end_report *report)
{
    const tina_stats *total = &report->total;
    uint64_t accepted = total->sent_local + total->sent_remote + total->posted;
    uint64_t refused = total->arrived_full + total->arrived_stale + total->arrived_exhausted;
    uint64_t ended = total->delivered + refused + total->died_with_owner;
    if (accepted != ended) {
        print_error("accepted: %llu here, %llu there, %llu posted\n", (unsigned long long)total->sent_local,
                    (unsigned long long)total->sent_remote, (unsigned long long)total->posted);
        print_error("ended: %llu delivered, %llu full, %llu stale, %llu exhausted, %llu died\n",
                    (unsigned long long)total->delivered, (unsigned long long)total->arrived_full,
                    (unsigned long long)total->arrived_stale, (unsigned long long)total->arrived_exhausted,
                    (unsigned long long)total->died_with_owner);
    }
    assert_int_equal(accepted, ended);
    assert_unused("messages", total->messages);
    assert_unused("timers", total->timers);
    assert_unused("operations", total->ops);
    assert_unused("buffers", total->buffers);
    assert_unused("descriptors", total->fds);
    assert_unused("transfers", total->transfers);
    assert_int_equal(total->isolates, 0);
}

void tina_test_join(tina_system *system, tina_end_report *report)
{
    tina_end_report own;
    tina_status status = tina_join(system, &own);
    if (status != TINA_OK)
        print_error("undrained %u, stuck %u\n", own.undrained_count, own.stuck_shards);
    assert_int_equal(status, TINA_OK);
    assert_int_equal(own.undrained_count, 0);
    assert_int_equal(own.stuck_shards, 0);
    tina_test_assert_balanced(&own);
    if (report != NULL)
        *report = own;
}

void tina_test_end(tina_system *system, tina_end_report *report)
{
    tina_stop(system);
    tina_test_join(system, report);
}

tina_stats tina_test_stats(const tina_system *system, uint8_t shard)
{
    tina_stats stats;
    assert_int_equal(tina_shard_stats(system, shard, &stats), TINA_OK);
    return stats;
}

/* ---- What the process holds ---- */

static size_t thread_count(void)
{
    size_t count = 0;
    DIR *tasks = opendir("/proc/self/task");
    assert_non_null(tasks);
    for (struct dirent *entry; (entry = readdir(tasks)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(tasks);
    return count;
}

void tina_test_hold(tina_test_holdings *now)
{
    memset(now, 0, sizeof *now);
    now->threads = thread_count();
    now->fds = tina_test_fd_count();
    for (int number = 1; number < NSIG; number++)
        sigaction(number, NULL, &now->handlers[number]);
    assert_int_equal(sigaltstack(NULL, &now->handler_stack), 0);
    assert_int_equal(sched_getaffinity(0, sizeof now->cores, (cpu_set_t *)(void *)now->cores), 0);
    sigset_t blocked;
    memset(&blocked, 0, sizeof blocked);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &blocked), 0);
    memcpy(now->blocked, &blocked, sizeof blocked < sizeof now->blocked ? sizeof blocked : sizeof now->blocked);
    now->mappings = tina_test_mapping_count();
    now->mapped = tina_test_look_at_mappings();
}

static bool is_same_action(const struct sigaction *a, const struct sigaction *b)
{
    for (int number = 1; number < NSIG; number++) {
        if (sigismember(&a->sa_mask, number) != sigismember(&b->sa_mask, number))
            return false;
    }
    return a->sa_handler == b->sa_handler && a->sa_flags == b->sa_flags;
}

bool tina_test_has_same_handlers(const tina_test_holdings *now, const tina_test_holdings *before)
{
    for (int number = 1; number < NSIG; number++) {
        if (!is_same_action(&now->handlers[number], &before->handlers[number]))
            return false;
    }
    return now->handler_stack.ss_sp == before->handler_stack.ss_sp &&
           now->handler_stack.ss_flags == before->handler_stack.ss_flags;
}

/* What the C library once needed it may keep: but not more with each cycle. Leaks of it are LeakSanitizer's to find. */
#define HEAP_SLACK (1024u * 1024u)

static void assert_same_mappings(const tina_test_holdings *now, const tina_test_holdings *before)
{
    assert_int_equal(now->mappings, before->mappings);
    for (size_t kind = 0; kind < TINA_TEST_MAPPED_KINDS; kind++) {
        assert_int_equal(now->mapped.count[kind], before->mapped.count[kind]);
        if (kind == TINA_TEST_MAPPED_HEAP)
            assert_true(now->mapped.bytes[kind] <= before->mapped.bytes[kind] + HEAP_SLACK);
        else if (kind != TINA_TEST_MAPPED_STACK)
            assert_int_equal(now->mapped.bytes[kind], before->mapped.bytes[kind]);
    }
}

void tina_test_assert_same_holdings(const tina_test_holdings *before)
{
    tina_test_await_that(thread_count() == before->threads);
    tina_test_holdings now;
    tina_test_hold(&now);
    assert_int_equal(now.fds, before->fds);
    assert_true(tina_test_has_same_handlers(&now, before));
    assert_memory_equal(now.cores, before->cores, sizeof now.cores);
    assert_memory_equal(now.blocked, before->blocked, sizeof now.blocked);
    if (!IS_SLOW) /* a sanitizer maps memory of its own */
        assert_same_mappings(&now, before);
}
