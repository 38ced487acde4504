/* What changes the process (signals, faults, standard error) is tried in a child, whose end is judged. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "os/os.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <tina/version.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/witness.h"

/* ---- Children ---- */

/* A check in a child, or on another thread: the first that fails ends the child, or the function, with its line. */
#define CHECK(condition)                                                                                                    \
    do {                                                                                                                    \
        if (!(condition)) {                                                                                                 \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition);                                   \
            return 1;                                                                                                       \
        }                                                                                                                   \
    } while (0)

/* How the child ended, as waitpid tells. */
static int in_child(int (*body)(void))
{
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        static const int numbers[] = {SIGSEGV, SIGBUS, SIGTERM, SIGINT, SIGUSR2};
        for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
            signal(numbers[i], SIG_DFL);
        _exit(body());
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void passes_in_child(int (*body)(void))
{
    int status = in_child(body);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void dies_in_child(int (*body)(void), int number)
{
    int status = in_child(body);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), number);
}

/* ---- Time and randomness ---- */

static void now_does_not_go_back(void **state)
{
    (void)state;
    uint64_t before = tina__os_now_ns();
    assert_true(before != 0);
    for (int i = 0; i < 1000; i++) {
        uint64_t now = tina__os_now_ns();
        assert_true(now >= before);
        before = now;
    }
}

static void random_differs(void **state)
{
    (void)state;
    uint64_t values[4], ones = 0, zeros = 0;
    for (int i = 0; i < 4; i++) {
        values[i] = tina__os_random();
        for (int j = 0; j < i; j++)
            assert_true(values[i] != values[j]);
    }
    for (int i = 0; i < 64; i++) {
        uint64_t value = tina__os_random();
        ones |= value;
        zeros |= ~value;
    }
    assert_true(ones == UINT64_MAX);
    assert_true(zeros == UINT64_MAX);
}

/* ---- Memory ---- */

static uint8_t *reserve(size_t size)
{
    void *base = NULL;
    int os_error = 0;
    assert_int_equal(tina__os_reserve(size, &base, &os_error), TINA_OK);
    assert_non_null(base);
    return base;
}

static volatile uint8_t *touched; /* what a child touches, in vain */

static int touch(void)
{
    *touched = 1;
    return 0;
}

static void memory_that_is_opened_is_zero_and_writable(void **state)
{
    (void)state;
    size_t page = tina__os_page_size();
    uint8_t *base = reserve(8 * page);
    int os_error = 0;
    assert_int_equal((uintptr_t)base % page, 0);
    assert_int_equal(tina__os_open_memory(base + page, 3 * page, &os_error), TINA_OK);
    for (size_t i = page; i < 4 * page; i++) {
        assert_int_equal(base[i], 0);
        base[i] = 0xA5;
    }
    tina__os_release(base, 8 * page);
}

static void memory_that_is_not_opened_faults(void **state)
{
    (void)state;
    size_t page = tina__os_page_size();
    uint8_t *base = reserve(3 * page);
    int os_error = 0;
    assert_int_equal(tina__os_open_memory(base + page, page, &os_error), TINA_OK);
    touched = base + page - 1;
    dies_in_child(touch, SIGSEGV);
    touched = base + 2 * page;
    dies_in_child(touch, SIGSEGV);
    touched = base + page;
    passes_in_child(touch);
    tina__os_release(base, 3 * page);
    dies_in_child(touch, SIGSEGV);
}

static void memory_reserved_costs_nothing_however_large(void **state)
{
    (void)state;
    uint8_t *base = reserve((size_t)8 << 30);
    tina__os_release(base, (size_t)8 << 30);
}

static void memory_for_huge_pages_is_aligned_to_them(void **state)
{
    (void)state;
    size_t large = (size_t)2 << 20, size = large + tina__os_page_size(); /* a size that no kernel aligns by itself */
    uint8_t *bases[4];
    for (int i = 0; i < 4; i++) {
        bases[i] = reserve(size);
        assert_int_equal((uintptr_t)bases[i] % large, 0);
    }
    for (int i = 0; i < 4; i++)
        tina__os_release(bases[i], size);
}

static void memory_beyond_the_address_space_is_refused(void **state)
{
    (void)state;
    const size_t sizes[] = {SIZE_MAX, SIZE_MAX / 2 + 1, SIZE_MAX / 2, (size_t)1 << 60};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        void *base = NULL;
        int os_error = 0;
        assert_int_equal(tina__os_reserve(sizes[i], &base, &os_error), TINA_POOL_EXHAUSTED);
        assert_int_equal(os_error, ENOMEM);
        assert_null(base);
    }
}

static void memory_that_was_not_reserved_can_not_be_opened(void **state)
{
    (void)state;
    size_t page = tina__os_page_size();
    uint8_t *base = reserve(page);
    tina__os_release(base, page);
    int os_error = 0;
    assert_int_equal(tina__os_open_memory(base, page, &os_error), TINA_POOL_EXHAUSTED);
    assert_int_equal(os_error, ENOMEM);
}

static size_t resident_pages(uint8_t *base, size_t size)
{
    size_t page = tina__os_page_size(), count = 0;
    unsigned char *pages = calloc(size / page, 1);
    assert_non_null(pages);
    assert_int_equal(mincore(base, size, pages), 0);
    for (size_t i = 0; i < size / page; i++)
        count += pages[i] & 1;
    free(pages);
    return count;
}

static void populate_faults_all_pages_in(void **state)
{
    (void)state;
    size_t page = tina__os_page_size(), size = 64 * page;
    uint8_t *base = reserve(size + 2 * page);
    int os_error = 0;
    bool got_huge = true;
    assert_int_equal(tina__os_open_memory(base + page, size, &os_error), TINA_OK);
    assert_int_equal(resident_pages(base + page, size), 0);
    assert_int_equal(tina__os_populate(base + page, size, false, &got_huge, &os_error), TINA_OK);
    assert_int_equal(resident_pages(base + page, size), 64);
    assert_false(got_huge);
    tina__os_release(base, size + 2 * page);
}

static void populate_keeps_what_is_there(void **state)
{
    (void)state;
    size_t page = tina__os_page_size();
    uint8_t *base = reserve(4 * page);
    int os_error = 0;
    bool got_huge;
    assert_int_equal(tina__os_open_memory(base, 4 * page, &os_error), TINA_OK);
    base[page] = 77;
    assert_int_equal(tina__os_populate(base, 4 * page, true, &got_huge, &os_error), TINA_OK);
    assert_false(got_huge); /* four pages are not enough for one */
    assert_int_equal(base[page], 77);
    tina__os_release(base, 4 * page);
}

static bool huge_pages_are_there(void)
{
    char text[64] = "";
    FILE *file = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "r");
    if (file == NULL)
        return false;
    bool is_read = fgets(text, sizeof text, file) != NULL;
    fclose(file);
    return is_read && strstr(text, "[never]") == NULL;
}

static void populate_with_huge_pages_says_whether_they_were_granted(void **state)
{
    (void)state;
    size_t size = (size_t)16 << 20;
    uint8_t *base = reserve(size);
    int os_error = 0;
    bool got_huge = false;
    assert_int_equal(tina__os_open_memory(base, size, &os_error), TINA_OK);
    assert_int_equal(tina__os_populate(base, size, true, &got_huge, &os_error), TINA_OK);
    assert_int_equal(resident_pages(base, size), size / tina__os_page_size());
    if (!huge_pages_are_there())
        assert_false(got_huge); /* where they are, a machine whose memory is in pieces may still refuse */
    tina__os_release(base, size);
}

static void populate_of_a_guard_is_refused(void **state)
{
    (void)state;
    size_t page = tina__os_page_size();
    uint8_t *base = reserve(page);
    int os_error = 0;
    bool got_huge = true;
    tina__os_release(base, page);
    assert_int_equal(tina__os_populate(base, page, false, &got_huge, &os_error), TINA_POOL_EXHAUSTED);
    assert_int_equal(os_error, ENOMEM);
    assert_false(got_huge);
}

static void memory_left_is_at_most_the_machines(void **state)
{
    (void)state;
    uint64_t machine = (uint64_t)sysconf(_SC_PHYS_PAGES) * tina__os_page_size();
    assert_in_range(tina__os_memory_left(), 1, machine);
}

/* ---- Cores ---- */

static void cpus_are_those_of_the_affinity(void **state)
{
    (void)state;
    uint16_t cpus[1024];
    cpu_set_t set;
    assert_int_equal(sched_getaffinity(0, sizeof set, &set), 0);
    size_t count = tina__os_cpus(cpus, 1024);
    assert_int_equal(count, CPU_COUNT(&set));
    for (size_t i = 0; i < count; i++) {
        assert_true(CPU_ISSET(cpus[i], &set));
        assert_true(i == 0 || cpus[i] > cpus[i - 1]);
    }
}

static void cpus_beyond_the_room_are_counted_only(void **state)
{
    (void)state;
    uint16_t all[1024], some[2] = {0xEEEE, 0xEEEE};
    size_t count = tina__os_cpus(all, 1024);
    assert_int_equal(tina__os_cpus(some, 1), count);
    assert_int_equal(some[0], all[0]);
    assert_int_equal(some[1], 0xEEEE);
    assert_int_equal(tina__os_cpus(NULL, 0), count);
}

static int pin_and_look(void)
{
    uint16_t cpus[1024], after[2];
    size_t count = tina__os_cpus(cpus, 1024);
    uint16_t last = cpus[count - 1];
    int os_error = 7;
    CHECK(tina__os_pin(last, &os_error) == TINA_OK);
    CHECK(sched_getcpu() == last);
    CHECK(tina__os_cpus(after, 2) == 1);
    CHECK(after[0] == last);
    return 0;
}

static int pin_where_there_is_no_core(void)
{
    const uint16_t cpus[] = {1023, 8191, 8192, 65535};
    size_t count = tina__os_cpus(NULL, 0);
    for (size_t i = 0; i < sizeof cpus / sizeof cpus[0]; i++) {
        int os_error = 0;
        CHECK(tina__os_pin(cpus[i], &os_error) == TINA_SYSTEM_ERROR);
        CHECK(os_error == EINVAL);
    }
    CHECK(tina__os_cpus(NULL, 0) == count);
    return 0;
}

/* A thread of a pinned one begins where that is; unpinned it may run where the process may. */
static void count_before_and_after(void *argument)
{
    size_t *counts = argument;
    int os_error;
    uint16_t first;
    (void)tina__os_cpus(&first, 1);
    counts[0] = tina__os_pin(first, &os_error) == TINA_OK ? tina__os_cpus(NULL, 0) : 0;
    tina__os_unpin();
    counts[1] = tina__os_cpus(NULL, 0);
}

static void unpin_lets_the_thread_run_where_the_process_may(void **state)
{
    (void)state;
    size_t counts[2];
    int os_error;
    tina__os_thread thread;
    assert_int_equal(tina__os_thread_start(&thread, 65536, "unpinned", count_before_and_after, counts, &os_error), TINA_OK);
    tina__os_thread_join(&thread);
    assert_int_equal(counts[0], 1);
    assert_int_equal(counts[1], tina__os_cpus(NULL, 0));
}

static void pin_moves_the_thread(void **state)
{
    (void)state;
    passes_in_child(pin_and_look);
}

static void pin_to_no_core_is_refused(void **state)
{
    (void)state;
    passes_in_child(pin_where_there_is_no_core);
}

static void cpu_quota_is_whole_cores(void **state)
{
    (void)state;
    assert_in_range(tina__os_cpu_quota(), 0, 8192);
}

static void fd_limit_is_the_soft_one(void **state)
{
    (void)state;
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur == RLIM_INFINITY)
        assert_true(tina__os_fd_limit() == UINT64_MAX);
    else
        assert_int_equal(tina__os_fd_limit(), limit.rlim_cur);
}

/* ---- Threads ---- */

typedef struct observed {
    void *argument;
    char name[32];
    sigset_t mask;
    size_t stack_size;
} observed;

static void observe(void *argument)
{
    observed *seen = argument;
    seen->argument = argument;
    pthread_getname_np(pthread_self(), seen->name, sizeof seen->name);
    pthread_sigmask(SIG_SETMASK, NULL, &seen->mask);
    pthread_attr_t attributes;
    if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
        pthread_attr_getstacksize(&attributes, &seen->stack_size);
        pthread_attr_destroy(&attributes);
    }
}

static observed observe_thread(size_t stack_size, const char *name)
{
    observed seen = {0};
    tina__os_thread thread;
    int os_error = 0;
    assert_int_equal(tina__os_thread_start(&thread, stack_size, name, observe, &seen, &os_error), TINA_OK);
    tina__os_thread_join(&thread);
    assert_ptr_equal(seen.argument, &seen);
    return seen;
}

static void thread_has_its_name_and_stack(void **state)
{
    (void)state;
    observed seen = observe_thread(512 * 1024, "tina/7");
    assert_string_equal(seen.name, "tina/7");
    assert_true(seen.stack_size >= 512 * 1024);
}

static void thread_with_a_long_name_has_its_beginning(void **state)
{
    (void)state;
    observed seen = observe_thread(256 * 1024, "a name that is far too long");
    assert_string_equal(seen.name, "a name that is ");
}

static void thread_with_the_smallest_stack_runs(void **state)
{
    (void)state;
    observed seen = observe_thread(0, "small");
    assert_string_equal(seen.name, "small");
}

static void thread_blocks_all_but_the_faults(void **state)
{
    (void)state;
    static const int open[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};
    static const int blocked[] = {SIGPIPE, SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD, SIGALRM, SIGPROF};
    sigset_t before, after;
    sigset_t segv;
    sigemptyset(&segv);
    sigaddset(&segv, SIGSEGV); /* blocked here, and open there nevertheless */
    pthread_sigmask(SIG_BLOCK, &segv, NULL);
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    observed seen = observe_thread(256 * 1024, "mask");
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    pthread_sigmask(SIG_UNBLOCK, &segv, NULL);
    for (size_t i = 0; i < sizeof open / sizeof open[0]; i++)
        assert_int_equal(sigismember(&seen.mask, open[i]), 0);
    for (size_t i = 0; i < sizeof blocked / sizeof blocked[0]; i++) {
        assert_int_equal(sigismember(&seen.mask, blocked[i]), 1);
        assert_int_equal(sigismember(&after, blocked[i]), sigismember(&before, blocked[i]));
    }
    assert_int_equal(sigismember(&after, SIGSEGV), 1);
}

static void wait_for_ever(void *argument)
{
    (void)argument;
    for (;;)
        pause();
}

static int others_are_there; /* an event */

/* As a frame of half a MiB would that touches no page on its way. */
static void step_over_the_end(void *argument)
{
    tina__os_event_wait(others_are_there, TINA_NONE_NS);
    pthread_attr_t attributes;
    void *lowest = argument;
    size_t size;
    if (pthread_getattr_np(pthread_self(), &attributes) == 0)
        pthread_attr_getstack(&attributes, &lowest, &size);
    *(volatile char *)((char *)lowest - (512 << 10)) = 1;
}

static int step_over_the_end_of_a_stack(void)
{
    tina__os_thread stepper, others[4]; /* whose stacks lie below the stepper's */
    int os_error = 0;
    CHECK(tina__os_event_open(&others_are_there, &os_error) == TINA_OK);
    CHECK(tina__os_thread_start(&stepper, 256 * 1024, "step", step_over_the_end, NULL, &os_error) == TINA_OK);
    for (size_t i = 0; i < 4; i++)
        CHECK(tina__os_thread_start(&others[i], 256 * 1024, "wait", wait_for_ever, NULL, &os_error) == TINA_OK);
    tina__os_event_signal(others_are_there);
    tina__os_thread_join(&stepper);
    return 0;
}

static void thread_that_steps_over_the_end_of_its_stack_faults(void **state)
{
    (void)state;
    dies_in_child(step_over_the_end_of_a_stack, SIGSEGV);
}

static int start_where_memory_is_short(void)
{
    observed seen = {0};
    tina__os_thread thread;
    int os_error = 0;
    char text[256] = "";
    FILE *file = fopen("/proc/self/statm", "r"); /* its first number: pages in use */
    CHECK(file != NULL);
    CHECK(fgets(text, sizeof text, file) != NULL);
    fclose(file);
    rlim_t used = strtoul(text, NULL, 10) * tina__os_page_size();
    struct rlimit little = {used + (2560 << 10), RLIM_INFINITY};
    CHECK(setrlimit(RLIMIT_AS, &little) == 0);
    /* Larger than any stack that was used before and is kept. */
    CHECK(tina__os_thread_start(&thread, 2048 * 1024, "short", observe, &seen, &os_error) == TINA_OK);
    tina__os_thread_join(&thread);
    CHECK(seen.argument == &seen);
    return 0;
}

static void thread_without_room_for_the_wide_guard_has_a_narrow_one(void **state)
{
    (void)state;
    if (tina_test_is_slow()) /* sanitizers need memory themselves */
        skip();
    passes_in_child(start_where_memory_is_short);
}

static void thread_that_does_not_fit_is_refused(void **state)
{
    (void)state;
    observed seen = {0};
    tina__os_thread thread;
    int os_error = 0;
    assert_int_equal(tina__os_thread_start(&thread, (size_t)1 << 60, "large", observe, &seen, &os_error),
                     TINA_POOL_EXHAUSTED);
    assert_true(os_error == EAGAIN || os_error == ENOMEM);
    assert_null(seen.argument);
}

/* ---- Waking ---- */

static bool is_readable(int event)
{
    struct pollfd wanted = {.fd = event, .events = POLLIN};
    return poll(&wanted, 1, 0) == 1;
}

static int open_event(void)
{
    int event = -1, os_error = 0;
    assert_int_equal(tina__os_event_open(&event, &os_error), TINA_OK);
    assert_true(event >= 0);
    return event;
}

static void event_is_readable_from_signal_to_wait(void **state)
{
    (void)state;
    int event = open_event();
    assert_false(is_readable(event));
    tina__os_event_signal(event);
    tina__os_event_signal(event);
    assert_true(is_readable(event));
    tina__os_event_wait(event, TINA_NONE_NS);
    assert_false(is_readable(event));
    tina__os_event_close(event);
}

static void event_wait_without_time_returns(void **state)
{
    (void)state;
    int event = open_event();
    tina__os_event_wait(event, 0);
    tina__os_event_signal(event);
    tina__os_event_wait(event, 0);
    assert_false(is_readable(event));
    tina__os_event_close(event);
}

static void event_wait_lasts_as_long_as_asked(void **state)
{
    (void)state;
    int event = open_event();
    uint64_t before = tina__os_now_ns();
    tina__os_event_wait(event, 3000000);
    assert_true(tina__os_now_ns() - before >= 3000000);
    tina__os_event_close(event);
}

static void event_wait_of_centuries_is_ended_by_a_signal(void **state)
{
    (void)state;
    int event = open_event();
    tina__os_event_signal(event);
    tina__os_event_wait(event, TINA_NONE_NS - 1);
    assert_false(is_readable(event));
    tina__os_event_close(event);
}

static void signal_the_event(void *argument) { tina__os_event_signal(*(int *)argument); }

static void event_wait_is_ended_by_another_thread(void **state)
{
    (void)state;
    int event = open_event(), os_error = 0;
    tina__os_thread thread;
    assert_int_equal(tina__os_thread_start(&thread, 65536, "signal", signal_the_event, &event, &os_error), TINA_OK);
    tina__os_event_wait(event, TINA_NONE_NS);
    tina__os_thread_join(&thread);
    assert_false(is_readable(event));
    tina__os_event_close(event);
}

static void event_signal_at_the_end_of_its_counter_does_not_block(void **state)
{
    (void)state;
    int event = open_event();
    uint64_t most = UINT64_MAX - 1;
    assert_int_equal(write(event, &most, sizeof most), sizeof most);
    errno = 77;
    tina__os_event_signal(event);
    assert_int_equal(errno, 77);
    assert_true(is_readable(event));
    tina__os_event_close(event);
}

static int open_event_without_descriptors(void)
{
    struct rlimit none = {0, 0};
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    int event = -1, os_error = 0;
    CHECK(tina__os_event_open(&event, &os_error) == TINA_POOL_EXHAUSTED);
    CHECK(os_error == EMFILE);
    CHECK(event == -1);
    return 0;
}

static void event_without_a_descriptor_is_refused(void **state)
{
    (void)state;
    passes_in_child(open_event_without_descriptors);
}

/* ---- Print ---- */

static int print_into_a_pipe(void)
{
    int ends[2];
    CHECK(pipe(ends) == 0);
    CHECK(dup2(ends[1], STDERR_FILENO) == STDERR_FILENO);
    tina__os_print_error("a line, of which not all", 6);
    tina__os_print_error("", 0);
    char text[64] = "";
    if (read(ends[0], text, sizeof text - 1) != 8 || strcmp(text, "a line\n\n") != 0)
        return 1;
    return 0;
}

static void print_error_writes_a_line(void **state)
{
    (void)state;
    passes_in_child(print_into_a_pipe);
}

/* ---- Signals ---- */

static _Atomic int stops, revivals, plain_calls, info_calls;

static void count_stop(void)
{
    atomic_fetch_add(&stops, 1);
    errno = EBADF;
}

static void count_revive(void)
{
    atomic_fetch_add(&revivals, 1);
    errno = EBADF;
}

static void count_plain(int number)
{
    (void)number;
    atomic_fetch_add(&plain_calls, 1);
}

static void count_info(int number, siginfo_t *info, void *context)
{
    if (info->si_signo == number && info->si_pid == getpid() && context != NULL)
        atomic_fetch_add(&info_calls, 1);
}

static void install_plain(int number, void (*handler)(int), int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    sigaction(number, &action, NULL);
}

static bool plain_is_installed(int number)
{
    struct sigaction now;
    sigaction(number, NULL, &now);
    return (now.sa_flags & SA_SIGINFO) == 0 && now.sa_handler == count_plain;
}

static int take_and_raise(void)
{
    tina__os_signals_take(count_stop, count_revive);
    errno = 77;
    kill(getpid(), SIGTERM);
    CHECK(errno == 77);
    CHECK(atomic_load(&stops) == 1);
    kill(getpid(), SIGINT);
    CHECK(atomic_load(&stops) == 2);
    CHECK(atomic_load(&revivals) == 0);
    kill(getpid(), SIGUSR2);
    CHECK(errno == 77);
    CHECK(atomic_load(&stops) == 2);
    CHECK(atomic_load(&revivals) == 1);
    tina__os_signals_release();
    return 0;
}

static int take_release_and_ask_to_revive(void)
{
    tina__os_signals_take(count_stop, count_revive);
    tina__os_signals_release();
    kill(getpid(), SIGUSR2);
    return 0;
}

static int take_release_and_raise(void)
{
    tina__os_signals_take(count_stop, count_revive);
    tina__os_signals_release();
    kill(getpid(), SIGTERM);
    return 0;
}

static int take_twice_release_once_and_raise(void)
{
    tina__os_signals_take(count_stop, count_revive);
    tina__os_signals_take(count_stop, count_revive);
    tina__os_signals_release();
    kill(getpid(), SIGINT);
    CHECK(atomic_load(&stops) == 1);
    tina__os_signals_release();
    kill(getpid(), SIGINT);
    return 0;
}

static int chain_to_those_before(void)
{
    struct sigaction action = {.sa_sigaction = count_info, .sa_flags = SA_SIGINFO};
    sigaction(SIGINT, &action, NULL);
    install_plain(SIGTERM, count_plain, SA_RESTART);
    install_plain(SIGUSR2, count_plain, SA_RESTART);
    tina__os_signals_take(count_stop, count_revive);
    kill(getpid(), SIGTERM);
    kill(getpid(), SIGINT);
    CHECK(atomic_load(&stops) == 2);
    CHECK(atomic_load(&plain_calls) == 1);
    kill(getpid(), SIGUSR2);
    CHECK(atomic_load(&revivals) == 1);
    CHECK(atomic_load(&plain_calls) == 2);
    CHECK(atomic_load(&info_calls) == 1);
    tina__os_signals_release();
    CHECK(plain_is_installed(SIGTERM));
    CHECK(plain_is_installed(SIGUSR2));
    struct sigaction now;
    sigaction(SIGINT, NULL, &now);
    CHECK(now.sa_sigaction == count_info);
    kill(getpid(), SIGTERM);
    CHECK(atomic_load(&stops) == 2);
    return 0;
}

static int take_over_ignored(void)
{
    install_plain(SIGTERM, SIG_IGN, 0);
    tina__os_signals_take(count_stop, count_revive);
    kill(getpid(), SIGTERM);
    CHECK(atomic_load(&stops) == 1);
    tina__os_signals_release();
    kill(getpid(), SIGTERM);
    return 0;
}

static int leave_what_somebody_changed(void)
{
    tina__os_signals_take(count_stop, count_revive);
    install_plain(SIGTERM, count_plain, 0);
    tina__os_signals_release();
    CHECK(plain_is_installed(SIGTERM));
    kill(getpid(), SIGTERM);
    CHECK(atomic_load(&stops) == 0);
    CHECK(atomic_load(&plain_calls) == 1);
    kill(getpid(), SIGINT); /* which nobody changed, and which ends us again */
    return 0;
}

static struct sigaction below; /* who was there before the program put itself on top */

static void count_and_chain(int number, siginfo_t *info, void *context)
{
    atomic_fetch_add(&plain_calls, 1);
    if (below.sa_sigaction != NULL)
        below.sa_sigaction(number, info, context);
}

static int take_over_who_chains_to_us(void)
{
    tina__os_signals_take(count_stop, count_revive);
    struct sigaction on_top = {.sa_sigaction = count_and_chain, .sa_flags = SA_SIGINFO};
    sigaction(SIGTERM, &on_top, &below);
    tina__os_signals_release();
    kill(getpid(), SIGTERM); /* reaches us through the program's, and nobody listens */
    CHECK(atomic_load(&plain_calls) == 1);
    CHECK(atomic_load(&stops) == 0);
    tina__os_signals_take(count_stop, count_revive);
    kill(getpid(), SIGTERM);
    CHECK(atomic_load(&plain_calls) == 2);
    CHECK(atomic_load(&stops) == 1);
    tina__os_signals_release();
    struct sigaction now;
    sigaction(SIGTERM, NULL, &now);
    CHECK(now.sa_sigaction == count_and_chain);
    return 0;
}

static int calls_are_not_interrupted(void)
{
    install_plain(SIGINT, count_plain, 0); /* whose program counts on EINTR */
    tina__os_signals_take(count_stop, count_revive);
    struct sigaction now;
    sigaction(SIGTERM, NULL, &now);
    CHECK((now.sa_flags & SA_RESTART) != 0);
    sigaction(SIGINT, NULL, &now);
    CHECK((now.sa_flags & SA_RESTART) == 0);
    tina__os_signals_release();
    return 0;
}

static int wait_through_a_signal(void)
{
    int event = -1, os_error = 0;
    CHECK(tina__os_event_open(&event, &os_error) == TINA_OK);
    install_plain(SIGALRM, count_plain, 0);
    uint64_t before = tina__os_now_ns();
    ualarm(1000, 0);
    tina__os_event_wait(event, 20000000);
    CHECK(tina__os_now_ns() - before >= 20000000);
    tina__os_event_close(event);
    return 0;
}

static void event_wait_goes_on_after_a_signal(void **state)
{
    (void)state;
    passes_in_child(wait_through_a_signal);
}

static void signals_taken_call_their_handlers(void **state)
{
    (void)state;
    passes_in_child(take_and_raise);
}

static void signals_released_end_the_process_again(void **state)
{
    (void)state;
    dies_in_child(take_release_and_raise, SIGTERM);
    dies_in_child(take_release_and_ask_to_revive, SIGUSR2);
}

static void signals_taken_twice_are_released_by_the_second(void **state)
{
    (void)state;
    dies_in_child(take_twice_release_once_and_raise, SIGINT);
}

static void signals_chain_to_who_was_there(void **state)
{
    (void)state;
    passes_in_child(chain_to_those_before);
}

static void signals_that_were_ignored_are_heard_and_ignored_again(void **state)
{
    (void)state;
    passes_in_child(take_over_ignored);
}

static void signals_that_somebody_changed_stay_theirs(void **state)
{
    (void)state;
    dies_in_child(leave_what_somebody_changed, SIGINT);
}

static void signals_in_a_ring_of_chains_end(void **state)
{
    (void)state;
    passes_in_child(take_over_who_chains_to_us);
}

static void signals_interrupt_no_call_that_did_not_expect_it(void **state)
{
    (void)state;
    passes_in_child(calls_are_not_interrupted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(now_does_not_go_back),
        cmocka_unit_test(random_differs),
        cmocka_unit_test(memory_that_is_opened_is_zero_and_writable),
        cmocka_unit_test(memory_that_is_not_opened_faults),
        cmocka_unit_test(memory_reserved_costs_nothing_however_large),
        cmocka_unit_test(memory_for_huge_pages_is_aligned_to_them),
        cmocka_unit_test(memory_beyond_the_address_space_is_refused),
        cmocka_unit_test(memory_that_was_not_reserved_can_not_be_opened),
        cmocka_unit_test(populate_faults_all_pages_in),
        cmocka_unit_test(populate_keeps_what_is_there),
        cmocka_unit_test(populate_with_huge_pages_says_whether_they_were_granted),
        cmocka_unit_test(populate_of_a_guard_is_refused),
        cmocka_unit_test(memory_left_is_at_most_the_machines),
        cmocka_unit_test(cpus_are_those_of_the_affinity),
        cmocka_unit_test(cpus_beyond_the_room_are_counted_only),
        cmocka_unit_test(pin_moves_the_thread),
        cmocka_unit_test(pin_to_no_core_is_refused),
        cmocka_unit_test(unpin_lets_the_thread_run_where_the_process_may),
        cmocka_unit_test(cpu_quota_is_whole_cores),
        cmocka_unit_test(fd_limit_is_the_soft_one),
        cmocka_unit_test(thread_has_its_name_and_stack),
        cmocka_unit_test(thread_with_a_long_name_has_its_beginning),
        cmocka_unit_test(thread_with_the_smallest_stack_runs),
        cmocka_unit_test(thread_blocks_all_but_the_faults),
        cmocka_unit_test(thread_that_steps_over_the_end_of_its_stack_faults),
        cmocka_unit_test(thread_without_room_for_the_wide_guard_has_a_narrow_one),
        cmocka_unit_test(thread_that_does_not_fit_is_refused),
        cmocka_unit_test(event_is_readable_from_signal_to_wait),
        cmocka_unit_test(event_wait_without_time_returns),
        cmocka_unit_test(event_wait_lasts_as_long_as_asked),
        cmocka_unit_test(event_wait_of_centuries_is_ended_by_a_signal),
        cmocka_unit_test(event_wait_is_ended_by_another_thread),
        cmocka_unit_test(event_signal_at_the_end_of_its_counter_does_not_block),
        cmocka_unit_test(event_without_a_descriptor_is_refused),
        cmocka_unit_test(event_wait_goes_on_after_a_signal),
        cmocka_unit_test(print_error_writes_a_line),
        cmocka_unit_test(signals_taken_call_their_handlers),
        cmocka_unit_test(signals_released_end_the_process_again),
        cmocka_unit_test(signals_taken_twice_are_released_by_the_second),
        cmocka_unit_test(signals_chain_to_who_was_there),
        cmocka_unit_test(signals_that_were_ignored_are_heard_and_ignored_again),
        cmocka_unit_test(signals_that_somebody_changed_stay_theirs),
        cmocka_unit_test(signals_in_a_ring_of_chains_end),
        cmocka_unit_test(signals_interrupt_no_call_that_did_not_expect_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
