/* What is chosen where a filter refuses io_uring, at whichever door. Each case in a child of its own: a filter stays. */
#define _GNU_SOURCE 1
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rig.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static const tina__backend_config small = {.op_count = 16, .fd_count = 8, .buffer_count = 4, .buffer_size = 256};

/* What a child saw. */
typedef struct outcome {
    bool is_filtered; /* otherwise this machine has no filters */
    bool serves;      /* a byte went through */
    uint8_t backend;
    uint16_t status;
    int os_error;
    size_t fds_left;
    char why[96];
} outcome;

static bool refuse(long system_call, int os_error)
{
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)system_call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ((uint32_t)os_error & SECCOMP_RET_DATA)),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {.len = sizeof program / sizeof program[0], .filter = program};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

static bool carries_a_byte(test_rig *rig)
{
    int other;
    rig_fd fd = rig_pair(rig, &other);
    rig_request *receive = rig_receive(rig, fd, 0);
    rig_submit(rig, receive);
    rig_turn(rig, 0);
    if (write(other, "x", 1) != 1)
        return false;
    for (int i = 0; i < RIG_WAITS_MAX && !rig_is_over(receive); i++)
        rig_turn(rig, RIG_PATIENCE_NS);
    return rig_is_over(receive) && receive->completion.status == TINA_OK && rig_data(rig, receive)[0] == 'x';
}

static outcome try_under_filter(uint8_t wanted, long system_call, int os_error)
{
    outcome seen = {0};
    seen.is_filtered = refuse(system_call, os_error);
    static test_rig rig; /* what it holds ends with the child */
    rig_try_open(&rig, wanted, small);
    seen.status = (uint16_t)rig.status;
    seen.os_error = rig.os_error;
    snprintf(seen.why, sizeof seen.why, "%s", rig.why);
    if (rig.status == TINA_OK) {
        seen.backend = rig.api->id;
        seen.serves = carries_a_byte(&rig);
    } else {
        seen.fds_left = tina_test_fd_count() - rig.fds_before;
    }
    return seen;
}

static outcome in_child(uint8_t wanted, long system_call, int os_error)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        outcome seen = try_under_filter(wanted, system_call, os_error);
        ssize_t written = write(ends[1], &seen, sizeof seen);
        _exit(written == sizeof seen ? 0 : 1);
    }
    close(ends[1]);
    outcome seen = {0};
    assert_int_equal(read(ends[0], &seen, sizeof seen), sizeof seen);
    close(ends[0]);
    int end;
    assert_int_equal(waitpid(child, &end, 0), child);
    assert_true(WIFEXITED(end) && WEXITSTATUS(end) == 0);
    if (!seen.is_filtered)
        skip();
    return seen;
}

static void falls_back(long system_call, int os_error, const char *call)
{
    outcome seen = in_child(TINA_BACKEND_AUTO, system_call, os_error);
    assert_int_equal(seen.status, TINA_OK);
    assert_int_equal(seen.backend, TINA_BACKEND_EPOLL);
    assert_int_equal(seen.os_error, os_error);
    assert_non_null(strstr(seen.why, call));
    assert_true(seen.serves);
}

static void fails_named(long system_call, int os_error, const char *call)
{
    outcome seen = in_child(TINA_BACKEND_URING, system_call, os_error);
    assert_int_equal(seen.status, TINA_UNSUPPORTED);
    assert_int_equal(seen.os_error, os_error);
    assert_non_null(strstr(seen.why, call));
    assert_int_equal(seen.fds_left, 0);
}

/* Whether a ring can be made here at all: otherwise setup is refused before anything else is. */
static void skip_without_uring(void)
{
    test_rig rig;
    rig_try_open(&rig, TINA_BACKEND_URING, small);
    if (rig.status != TINA_OK)
        skip();
    rig_close(&rig);
}

static void backend_auto_with_setup_denied_is_epoll(void **state)
{
    (void)state;
    falls_back(SYS_io_uring_setup, EPERM, "io_uring_setup");
}

static void backend_auto_with_setup_unknown_is_epoll(void **state)
{
    (void)state;
    falls_back(SYS_io_uring_setup, ENOSYS, "io_uring_setup");
}

static void backend_auto_with_enter_denied_is_epoll(void **state)
{
    (void)state;
    skip_without_uring();
    falls_back(SYS_io_uring_enter, EPERM, "io_uring_enter");
}

static void backend_auto_with_register_denied_is_epoll(void **state)
{
    (void)state;
    skip_without_uring();
    falls_back(SYS_io_uring_register, EACCES, "io_uring_register");
}

static void backend_uring_with_setup_denied_is_unsupported(void **state)
{
    (void)state;
    fails_named(SYS_io_uring_setup, EPERM, "io_uring_setup");
}

static void backend_uring_with_setup_unknown_is_unsupported(void **state)
{
    (void)state;
    fails_named(SYS_io_uring_setup, ENOSYS, "io_uring_setup");
}

static void backend_uring_with_enter_denied_is_unsupported(void **state)
{
    (void)state;
    skip_without_uring();
    fails_named(SYS_io_uring_enter, EPERM, "io_uring_enter");
}

static void backend_uring_with_register_denied_is_unsupported(void **state)
{
    (void)state;
    skip_without_uring();
    fails_named(SYS_io_uring_register, EPERM, "io_uring_register");
}

static void backend_auto_where_nothing_is_refused_is_uring(void **state)
{
    (void)state;
    skip_without_uring();
    test_rig rig;
    rig_try_open(&rig, TINA_BACKEND_AUTO, small);
    assert_int_equal(rig.status, TINA_OK);
    assert_int_equal(rig.api->id, TINA_BACKEND_URING);
    assert_int_equal(rig.os_error, 0);
    assert_string_equal(rig.why, "");
    rig_close(&rig);
}

static void backend_epoll_with_fine_waits_unknown_still_waits(void **state)
{
    (void)state;
    outcome seen = in_child(TINA_BACKEND_EPOLL, SYS_epoll_pwait2, ENOSYS);
    assert_int_equal(seen.status, TINA_OK);
    assert_int_equal(seen.backend, TINA_BACKEND_EPOLL);
    assert_true(seen.serves);
}

/* ---- A filter that comes late ---- */

enum { CHILD_SAYS_SO, CHILD_SAYS_NOTHING, CHILD_NO_FILTER };

static int abandon_under_filter(long system_call)
{
    static test_rig rig; /* what it holds ends with the child */
    rig_try_open(&rig, TINA_BACKEND_URING, small);
    int other;
    rig_submit(&rig, rig_receive(&rig, rig_pair(&rig, &other), 0));
    rig_turn(&rig, 0);
    if (!refuse(system_call, EPERM))
        return CHILD_NO_FILTER;
    bool has_let_go = rig.api->abandon(rig.backend);
    rig.api->close(rig.backend);
    return has_let_go ? CHILD_SAYS_NOTHING : CHILD_SAYS_SO;
}

static void abandon_says_so(long system_call)
{
    skip_without_uring();
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(abandon_under_filter(system_call));
    int end;
    assert_int_equal(waitpid(child, &end, 0), child);
    assert_true(WIFEXITED(end));
    if (WEXITSTATUS(end) == CHILD_NO_FILTER)
        skip();
    assert_int_equal(WEXITSTATUS(end), CHILD_SAYS_SO);
}

static void abandon_with_enter_denied_says_that_it_failed(void **state)
{
    (void)state;
    abandon_says_so(SYS_io_uring_enter);
}

static void abandon_with_register_denied_says_that_it_failed(void **state)
{
    (void)state;
    abandon_says_so(SYS_io_uring_register);
}

static void backend_that_does_not_exist_is_invalid(void **state)
{
    (void)state;
    test_rig rig;
    rig_try_open(&rig, 99, small);
    assert_int_equal(rig.status, TINA_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(backend_auto_with_setup_denied_is_epoll),
        cmocka_unit_test(backend_auto_with_setup_unknown_is_epoll),
        cmocka_unit_test(backend_auto_with_enter_denied_is_epoll),
        cmocka_unit_test(backend_auto_with_register_denied_is_epoll),
        cmocka_unit_test(backend_uring_with_setup_denied_is_unsupported),
        cmocka_unit_test(backend_uring_with_setup_unknown_is_unsupported),
        cmocka_unit_test(backend_uring_with_enter_denied_is_unsupported),
        cmocka_unit_test(backend_uring_with_register_denied_is_unsupported),
        cmocka_unit_test(backend_auto_where_nothing_is_refused_is_uring),
        cmocka_unit_test(backend_epoll_with_fine_waits_unknown_still_waits),
        cmocka_unit_test(abandon_with_enter_denied_says_that_it_failed),
        cmocka_unit_test(abandon_with_register_denied_says_that_it_failed),
        cmocka_unit_test(backend_that_does_not_exist_is_invalid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
