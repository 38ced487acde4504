/*
 * The trap is tried in children: cmocka takes over fault signals itself, and how a
 * process ends is part of what is tried. A child that hangs is ended by an alarm.
 * Include it after <cmocka.h>.
 */
#ifndef TESTS_TRAP_CHILD_H
#define TESTS_TRAP_CHILD_H

#include "os/trap.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef __has_feature
#define __has_feature(feature) 0
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define IS_THREAD_SANITIZED 1
#else
#define IS_THREAD_SANITIZED 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define IS_SANITIZED 1
#else
#define IS_SANITIZED IS_THREAD_SANITIZED
#endif

/* For code that does on purpose what sanitizers look for. */
#define UNWATCHED __attribute__((noinline, no_sanitize("address"), no_sanitize("thread"), no_sanitize("undefined"), unused))

#define LENGTH(array) (sizeof(array) / sizeof(array)[0])

static const int trapped_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGURG};

/* ---- Children ---- */

#ifndef CHILD_PATIENCE_S
#define CHILD_PATIENCE_S 100
#endif

/* A check in a child, or on another thread: the first that fails ends the child, or the function, with its line. */
#define CHECK(condition)                                                                                                    \
    do {                                                                                                                    \
        if (!(condition)) {                                                                                                 \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition);                                   \
            return 1;                                                                                                       \
        }                                                                                                                   \
    } while (0)

static inline void set_handler(int number, void (*handler)(int), unsigned flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = (int)flags};
    sigaction(number, &action, NULL);
}

/* Becomes a child whose signals nobody handles. */
static inline void be_a_child(int (*body)(void))
{
    for (size_t i = 0; i < LENGTH(trapped_signals); i++)
        set_handler(trapped_signals[i], SIG_DFL, 0);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    alarm(CHILD_PATIENCE_S * (IS_SANITIZED ? 3 : 1));
    _exit(body());
}

static inline pid_t start_child(int (*body)(void))
{
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        be_a_child(body);
    return child;
}

/* As waitpid tells. */
static inline int end_of(pid_t child)
{
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static inline void assert_dies(pid_t child, int number)
{
    int status = end_of(child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), number);
}

static inline void passes_in_child(int (*body)(void))
{
    int status = end_of(start_child(body));
    if (WIFSIGNALED(status))
        print_error("the child died of signal %d\n", WTERMSIG(status));
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static inline void dies_in_child(int (*body)(void), int number) { assert_dies(start_child(body), number); }

/* ---- A thread in the trap's care ---- */

static inline int enter(tina__guard *guard)
{
    int os_error = 0;
    CHECK(tina__trap_install(&os_error) == TINA_OK);
    CHECK(tina__trap_enter(guard, &os_error) == TINA_OK);
    return 0;
}

static inline int leave(void)
{
    CHECK(!tina__trap_is_armed());
    tina__trap_leave();
    tina__trap_remove();
    return 0;
}

/* ---- Memory that faults ---- */

static inline volatile char *closed_page(void)
{
    return mmap(NULL, (size_t)sysconf(_SC_PAGESIZE), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static inline void open_page(volatile char *page)
{
    mprotect((void *)(uintptr_t)page, (size_t)sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE);
}

/* ---- Faults ---- */

static volatile char *volatile null; /* stays NULL, which no compiler knows */

static UNWATCHED void read_null(void *argument)
{
    (void)argument;
    (void)*null;
}

static UNWATCHED void write_to(void *page)
{
    volatile char *touched = page;
    *touched = 1;
}

static UNWATCHED void do_nothing(void *argument) { (void)argument; }

#endif
