/* Boots that fail: the words, and that nothing of them stays. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/witness.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct witness {
    tina_test_count inits;
    tina_test_count failing; /* how many inits are to fail */
    tina_test_count released;
    uint8_t shard; /* where they fail */
} witness;

static tina_effect quiet_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size;
    witness *seen = tina_user(ctx);
    tina_test_count_up(&seen->inits);
    return tina_receive();
}

static tina_effect quiet_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self, (void)ctx;
    return message->tag == TINA_TAG_SHUTDOWN ? tina_done() : tina_receive();
}

/* Crashes on one shard as often as it is told to. */
static tina_effect fragile_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    witness *seen = tina_user(ctx);
    (void)quiet_init(self, args, args_size, ctx);
    if (tina_shard(ctx) != seen->shard || tina_test_counted(&seen->failing) == 0)
        return tina_receive();
    atomic_fetch_sub(&seen->failing, 1);
    return tina_crash(3);
}

static tina_effect hasty_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)quiet_init(self, args, args_size, ctx);
    return tina_done();
}

/* Never returns, unless it is released. */
static tina_effect endless_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    witness *seen = tina_user(ctx);
    (void)quiet_init(self, args, args_size, ctx);
    while (tina_shard(ctx) == seen->shard && tina_test_counted(&seen->released) == 0)
        usleep(1000);
    return tina_receive();
}

static const tina_type types[] = {
    {.name = "quiet", .init = quiet_init, .handler = quiet_handle, .size = 16, .slot_count = 2},
    {.name = "fragile", .init = fragile_init, .handler = quiet_handle, .size = 16, .slot_count = 2},
    {.name = "hasty", .init = hasty_init, .handler = quiet_handle, .size = 16, .slot_count = 2},
    {.name = "endless", .init = endless_init, .handler = quiet_handle, .size = 16, .slot_count = 2},
};
static const tina_child with_fragile[] = {{.type = 0}, {.type = 1}};
static const tina_child with_hasty[] = {{.type = 0}, {.type = 2}};
static const tina_child with_endless[] = {{.type = 0}, {.type = 3}};

static tina_system_spec make_spec(witness *seen, const tina_child *children)
{
    return (tina_system_spec){
        .types = types,
        .type_count = sizeof types / sizeof types[0],
        .root = {.children = children, .child_count = 2},
        .shard_count = 2,
        .user = seen,
    };
}

/* Boots it a few times, the last of which is looked at. */
static void assert_refused(const tina_system_spec *spec, tina_status status, tina_error *error)
{
    tina_test_holdings before;
    for (unsigned round = 0; round < 8; round++) {
        if (round == 4)
            tina_test_hold(&before);
        witness *seen = spec->user;
        atomic_store(&seen->failing, UINT64_MAX);
        tina_system *system = (tina_system *)-1;
        memset(error, 0xFF, sizeof *error);
        assert_int_equal(tina_start(spec, &system, error), status);
        assert_int_equal(error->status, status);
        assert_true(strlen(error->message) > 10);
    }
    tina_test_assert_same_holdings(&before);
}

static void assert_says(const tina_error *error, const char *path, const char *words)
{
    assert_string_equal(error->path, path);
    if (strstr(error->message, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", error->message, words);
}

/* ---- Trees that do not come up ---- */

static void init_that_crashes_past_the_budget_fails_the_boot(void **state)
{
    (void)state;
    tina_error error;
    for (uint8_t shard = 0; shard < 2; shard++) {
        witness seen = {.shard = shard};
        tina_system_spec spec = make_spec(&seen, with_fragile);
        assert_refused(&spec, TINA_INIT_FAILED, &error);
        assert_says(&error, "root", "fragile");
        assert_says(&error, "root", shard == 0 ? "shard 0" : "shard 1");
    }
}

static void init_that_is_done_at_once_fails_the_boot(void **state)
{
    (void)state;
    tina_error error;
    witness seen = {0};
    tina_system_spec spec = make_spec(&seen, with_hasty);
    assert_refused(&spec, TINA_INIT_FAILED, &error);
    assert_says(&error, "root", "hasty");
}

static void init_that_crashes_within_the_budget_is_tried_again(void **state)
{
    (void)state;
    witness seen = {.shard = 1};
    tina_system_spec spec = make_spec(&seen, with_fragile);
    spec.root.restart_max = 2;
    atomic_store(&seen.failing, 2);
    tina_system *system = tina_test_start(&spec);
    assert_int_equal(tina_test_counted(&seen.inits), 4 + 2);
    tina_end_report report;
    tina_test_end(system, &report);
    assert_int_equal(report.total.restarts, 2);

    atomic_store(&seen.failing, 3); /* one more than the budget */
    tina_error error;
    assert_int_equal(tina_start(&spec, &system, &error), TINA_INIT_FAILED);
}

static void without_a_budget_the_first_crash_of_an_init_fails_the_boot(void **state)
{
    (void)state;
    witness seen = {.shard = 0};
    tina_system_spec spec = make_spec(&seen, with_fragile);
    spec.root.restart_max = TINA_NONE;
    spec.shard_count = 1;
    atomic_store(&seen.failing, 1);
    tina_system *system;
    assert_int_equal(tina_start(&spec, &system, NULL), TINA_INIT_FAILED);
    assert_int_equal(tina_test_counted(&seen.failing), 0);
}

static bool is_alone(void)
{
    tina_test_holdings now;
    tina_test_hold(&now);
    return now.threads == 1;
}

/* Its memory stays with the thread that did not come back in time: in a child, so that nothing of it outlives the test. */
static int child_with_late_init(void)
{
    witness seen = {.shard = 1};
    tina_system_spec spec = make_spec(&seen, with_endless);
    spec.init_timeout_ns = 20000000;
    tina_error error;
    tina_system *system;
    if (tina_start(&spec, &system, &error) != TINA_TIMED_OUT)
        return 1;
    if (strcmp(error.path, "init_timeout_ns") != 0 || strstr(error.message, "20 ms") == NULL)
        return 2;
    atomic_store(&seen.released, 1);
    unsigned looks = 0;
    while (!is_alone() && tina_test_look_again(looks++)) {
    }
    return is_alone() ? 0 : 3;
}

static int child_with_endless_init(void)
{
    witness seen = {.shard = 1};
    tina_system_spec spec = make_spec(&seen, with_endless);
    spec.init_timeout_ns = 20000000;
    spec.quiet = true;
    tina_error error;
    if (tina_boot(&spec, &error) != TINA_TIMED_OUT)
        return 1;
    return strcmp(error.path, "init_timeout_ns") == 0 ? 0 : 2;
}

static void assert_child_succeeds(int (*body)(void))
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        _exit(body());
    int status = tina_test_reap(child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void init_that_comes_back_late_is_undone(void **state)
{
    (void)state;
    assert_child_succeeds(child_with_late_init);
}

static void init_that_never_returns_times_the_boot_out(void **state)
{
    (void)state;
    assert_child_succeeds(child_with_endless_init);
}

/* ---- What the machine does not give ---- */

static void memory_over_the_budget_is_refused_with_words(void **state)
{
    (void)state;
    const tina_type large[] = {
        {.name = "large", .init = quiet_init, .handler = quiet_handle, .size = 16 << 20, .slot_count = 1000000},
    };
    witness seen = {0};
    tina_system_spec spec = make_spec(&seen, NULL);
    spec.root.child_count = 0;
    spec.types = large;
    spec.type_count = 1;
    tina_error error;
    assert_true(tina_spec_memory(&spec) > (size_t)16 << 40);
    assert_refused(&spec, TINA_POOL_EXHAUSTED, &error);
    assert_says(&error, "memory_permille", "MiB");
}

static void memory_over_the_named_share_is_refused(void **state)
{
    (void)state;
    witness seen = {0};
    tina_system_spec spec = make_spec(&seen, with_fragile);
    tina_test_end(tina_test_start(&spec), NULL);
    const tina_type larger[] = {
        {.name = "larger", .init = quiet_init, .handler = quiet_handle, .size = 1 << 20, .slot_count = 512},
    };
    spec.types = larger; /* half a GiB a shard; 1 permille of a machine is less */
    spec.type_count = 1;
    spec.root.child_count = 0;
    spec.memory_permille = 1;
    tina_error error;
    assert_refused(&spec, TINA_POOL_EXHAUSTED, &error);
    assert_says(&error, "memory_permille", "1 permille");
}

static void no_descriptor_for_the_system_is_refused(void **state)
{
    (void)state;
    struct rlimit before, few;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    witness seen = {0};
    tina_system_spec spec = make_spec(&seen, with_fragile);
    tina_test_end(tina_test_start(&spec), NULL);
    /* Each limit between nothing and enough: however far the boot got, it is undone. */
    for (rlim_t more = 0;; more++) {
        tina_test_holdings now;
        tina_test_hold(&now);
        few = (struct rlimit){.rlim_cur = now.fds + 1 + more, .rlim_max = before.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
        tina_system *system;
        tina_error error;
        tina_status status = tina_start(&spec, &system, &error);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        if (status == TINA_OK) {
            tina_test_end(system, NULL);
            break;
        }
        assert_true(status == TINA_POOL_EXHAUSTED || status == TINA_SYSTEM_ERROR || status == TINA_UNSUPPORTED);
        assert_true(error.message[0] != '\0');
        assert_true(more < 64);
        tina_test_holdings after;
        tina_test_await_that((tina_test_hold(&after), after.threads == now.threads));
        assert_int_equal(after.fds, now.fds);
    }
}

static void wrong_spec_is_refused_with_its_field(void **state)
{
    (void)state;
    witness seen = {0};
    tina_system_spec spec = make_spec(&seen, with_fragile);
    tina_system *system;
    tina_error error;
    spec.shard_count = TINA_SHARDS_MAX + 1;
    assert_int_equal(tina_start(&spec, &system, &error), TINA_INVALID);
    assert_string_equal(error.path, "shard_count");
    assert_int_equal(tina_boot(&spec, &error), TINA_INVALID);
    assert_int_equal(tina_start(NULL, &system, &error), TINA_INVALID);
    spec.shard_count = 1;
    assert_int_equal(tina_start(&spec, NULL, &error), TINA_INVALID);
    assert_string_equal(error.path, "system");
    assert_int_equal(tina_test_counted(&seen.inits), 0);
}

/* ---- The backend ---- */

static int refuse_uring(void)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof rules / sizeof rules[0], .filter = rules};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return -1;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static int child_without_uring(void)
{
    if (refuse_uring() != 0)
        return 1;
    witness seen = {0};
    tina_system_spec spec = make_spec(&seen, with_fragile);
    spec.backend = TINA_BACKEND_URING;
    tina_system *system;
    tina_error error;
    if (tina_start(&spec, &system, &error) != TINA_UNSUPPORTED)
        return 2;
    if (strcmp(error.path, "backend") != 0 || error.message[0] == '\0')
        return 3;
    spec.backend = TINA_BACKEND_AUTO;
    if (tina_start(&spec, &system, &error) != TINA_OK)
        return 4;
    tina_stats stats;
    if (tina_shard_stats(system, 1, &stats) != TINA_OK || stats.backend != TINA_BACKEND_EPOLL)
        return 5;
    tina_stop(system);
    return tina_join(system, NULL) == TINA_OK ? 0 : 6;
}

static void backend_of_another_system_is_unsupported(void **state)
{
    (void)state;
    static const uint8_t elsewhere[] = {TINA_BACKEND_KQUEUE, TINA_BACKEND_IOCP};
    for (size_t i = 0; i < sizeof elsewhere; i++) {
        witness seen = {0};
        tina_system_spec spec = make_spec(&seen, with_fragile);
        spec.backend = elsewhere[i];
        tina_system *system;
        tina_error error;
        assert_int_equal(tina_spec_check(&spec, &error), TINA_OK);
        assert_int_equal(tina_start(&spec, &system, &error), TINA_UNSUPPORTED);
        assert_int_equal(error.status, TINA_UNSUPPORTED);
        assert_string_equal(error.path, "backend");
        assert_int_equal(tina_boot(&spec, &error), TINA_UNSUPPORTED);
    }
}

static void named_backend_is_used_or_refused(void **state)
{
    (void)state;
    uint8_t backends[2];
    size_t count = tina_test_backends(backends);
    assert_true(count >= 1);
    for (size_t i = 0; i < count; i++) {
        witness seen = {0};
        tina_system_spec spec = make_spec(&seen, with_fragile);
        spec.backend = backends[i];
        tina_system *system = tina_test_start(&spec);
        assert_int_equal(tina_test_stats(system, 0).backend, backends[i]);
        assert_int_equal(tina_test_stats(system, 1).backend, backends[i]);
        tina_test_end(system, NULL);
    }
    assert_child_succeeds(child_without_uring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(init_that_crashes_past_the_budget_fails_the_boot),
        cmocka_unit_test(init_that_is_done_at_once_fails_the_boot),
        cmocka_unit_test(init_that_crashes_within_the_budget_is_tried_again),
        cmocka_unit_test(without_a_budget_the_first_crash_of_an_init_fails_the_boot),
        cmocka_unit_test(init_that_comes_back_late_is_undone),
        cmocka_unit_test(init_that_never_returns_times_the_boot_out),
        cmocka_unit_test(memory_over_the_budget_is_refused_with_words),
        cmocka_unit_test(memory_over_the_named_share_is_refused),
        cmocka_unit_test(no_descriptor_for_the_system_is_refused),
        cmocka_unit_test(wrong_spec_is_refused_with_its_field),
        cmocka_unit_test(backend_of_another_system_is_unsupported),
        cmocka_unit_test(named_backend_is_used_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
