#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "base/assert.h"
#include "base/bits.h"
#include "os/os.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static tina_status failed(int error, int *os_error)
{
    *os_error = error;
    if (error == ENOMEM || error == EAGAIN)
        return TINA_POOL_EXHAUSTED;
    return error == EPERM || error == EACCES ? TINA_DENIED : TINA_SYSTEM_ERROR;
}

uint64_t tina__os_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t now_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    return now_ns != 0 ? now_ns : 1;
}

void tina__os_yield(void) { sched_yield(); }

void tina__os_sleep(uint64_t ns)
{
    struct timespec left = {.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)};
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        continue;
}

uint64_t tina__os_fd_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return UINT64_MAX;
    return limit.rlim_cur;
}

/* ---- Memory ---- */

size_t tina__os_page_size(void) { return (size_t)sysconf(_SC_PAGESIZE); }

/* Where a large mapping begins: huge pages need it, and not every kernel sees to it. */
#define LARGE_ALIGNMENT ((size_t)2 << 20)

static void trim(uint8_t *mapped, size_t mapped_size, uint8_t *base, size_t size)
{
    size_t before = (size_t)(base - mapped);
    size_t after = mapped_size - before - size;
    if (before > 0)
        munmap(mapped, before);
    if (after > 0)
        munmap(base + size, after);
}

tina_status tina__os_reserve(size_t size, void **base, int *os_error)
{
    if (size > SIZE_MAX / 2)
        return failed(ENOMEM, os_error);
    size_t whole = tina__align_up(size, tina__os_page_size());
    size_t surplus = whole >= LARGE_ALIGNMENT ? LARGE_ALIGNMENT : 0;
    void *mapped = mmap(NULL, whole + surplus, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED)
        return failed(errno, os_error);
    uint8_t *aligned = mapped;
    if (surplus > 0)
        aligned += -(uintptr_t)mapped & (LARGE_ALIGNMENT - 1);
    trim(mapped, whole + surplus, aligned, whole);
    *base = aligned;
    return TINA_OK;
}

tina_status tina__os_open_memory(void *base, size_t size, int *os_error)
{
    return mprotect(base, size, PROT_READ | PROT_WRITE) == 0 ? TINA_OK : failed(errno, os_error);
}

void tina__os_release(void *base, size_t size)
{
    int result = munmap(base, tina__align_up(size, tina__os_page_size()));
    tina__assert(result == 0);
}

/* ---- Threads ---- */

enum { NAME_SIZE = 16 };

typedef struct thread_start {
    void (*body)(void *argument);
    void *argument;
    char name[NAME_SIZE];
} thread_start;

TINA_STATIC_ASSERT(sizeof(pthread_t) <= sizeof(uint64_t), "a thread fits its word");

static void *thread_main(void *argument)
{
    thread_start start = *(thread_start *)argument;
    free(argument);
    pthread_setname_np(pthread_self(), start.name);
    start.body(start.argument);
    return NULL;
}

/* All but those that a thread raises by what it does. */
static sigset_t asynchronous_signals(void)
{
    static const int synchronous[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};
    sigset_t set;
    sigfillset(&set);
    for (size_t i = 0; i < sizeof synchronous / sizeof synchronous[0]; i++)
        sigdelset(&set, synchronous[i]);
    return set;
}

static size_t usable_stack_size(size_t size)
{
    long least = sysconf(_SC_THREAD_STACK_MIN);
    size = tina__align_up(size, tina__os_page_size());
    return least > 0 && (size_t)least > size ? tina__align_up((size_t)least, tina__os_page_size()) : size;
}

/*
 * Below a stack lies a guard, so that its overflow faults. A frame larger than the
 * guard steps over it and writes into what lies beyond: hence more than the usual
 * page of it, which costs address space only. Code with frames larger than this
 * is compiled with -fstack-clash-protection, which touches each page on its way.
 */
#define STACK_GUARD_SIZE ((size_t)1 << 20)

/* guard_size: 0 for the system's own. */
static int create_guarded(pthread_t *thread, size_t stack_size, size_t guard_size, thread_start *start)
{
    pthread_attr_t attributes;
    int error = pthread_attr_init(&attributes);
    if (error != 0)
        return error;
    error = pthread_attr_setstacksize(&attributes, usable_stack_size(stack_size));
    if (error == 0 && guard_size != 0)
        error = pthread_attr_setguardsize(&attributes, guard_size);
    if (error == 0) {
        /* Inherited: so there is no moment in which the thread has another mask. */
        sigset_t blocked = asynchronous_signals(), before;
        pthread_sigmask(SIG_SETMASK, &blocked, &before);
        error = pthread_create(thread, &attributes, thread_main, start);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    pthread_attr_destroy(&attributes);
    return error;
}

static int create(pthread_t *thread, size_t stack_size, thread_start *start)
{
    int error = create_guarded(thread, stack_size, STACK_GUARD_SIZE, start);
    return error == 0 ? 0 : create_guarded(thread, stack_size, 0, start);
}

tina_status tina__os_thread_start(tina__os_thread *thread, size_t stack_size, const char *name, void (*body)(void *),
                                  void *argument, int *os_error)
{
    thread_start *start = malloc(sizeof *start);
    if (start == NULL)
        return failed(ENOMEM, os_error);
    start->body = body;
    start->argument = argument;
    snprintf(start->name, sizeof start->name, "%s", name);
    pthread_t created;
    int error = create(&created, stack_size, start);
    if (error != 0) {
        free(start);
        return failed(error, os_error);
    }
    memset(thread, 0, sizeof *thread);
    memcpy(&thread->bits[0], &created, sizeof created);
    return TINA_OK;
}

void tina__os_thread_join(tina__os_thread *thread)
{
    pthread_t joined;
    memcpy(&joined, &thread->bits[0], sizeof joined);
    int error = pthread_join(joined, NULL);
    tina__assert(error == 0);
}

bool tina__os_thread_cpu_ns(const tina__os_thread *thread, uint64_t *cpu_ns)
{
    pthread_t asked;
    memcpy(&asked, &thread->bits[0], sizeof asked);
    clockid_t clock;
    struct timespec used;
    if (pthread_getcpuclockid(asked, &clock) != 0 || clock_gettime(clock, &used) != 0)
        return false;
    *cpu_ns = (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
    return true;
}

/* ---- Print ---- */

#define PRINT_PATIENCE_MS 100

/* A pipe whose reader has gone must not end the program: the signal is kept off this thread, and taken back if it came. */
static ssize_t write_without_sigpipe(const struct iovec *parts, int count)
{
    sigset_t sigpipe, before, pending;
    sigemptyset(&sigpipe);
    sigaddset(&sigpipe, SIGPIPE);
    sigpending(&pending);
    bool was_pending = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &sigpipe, &before);
    ssize_t written;
    do
        written = writev(STDERR_FILENO, parts, count);
    while (written < 0 && errno == EINTR);
    struct timespec at_once = {0};
    if (written < 0 && errno == EPIPE && !was_pending)
        sigtimedwait(&sigpipe, NULL, &at_once);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return written;
}

bool tina__os_print_error(const char *line, size_t length)
{
    static _Atomic bool is_clogged; /* nobody reads: the first line waits a little, those behind it don't */
    struct pollfd wanted = {.fd = STDERR_FILENO, .events = POLLOUT};
    int patience_ms = atomic_load_explicit(&is_clogged, memory_order_relaxed) ? 0 : PRINT_PATIENCE_MS;
    bool is_ready = poll(&wanted, 1, patience_ms) == 1;
    atomic_store_explicit(&is_clogged, !is_ready, memory_order_relaxed);
    if (!is_ready)
        return false;
    char newline[] = "\n";
    struct iovec parts[] = {{.iov_base = (void *)(uintptr_t)line, .iov_len = length}, {.iov_base = newline, .iov_len = 1}};
    return write_without_sigpipe(parts, 2) >= 0;
}
