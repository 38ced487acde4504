/*
 * What the library asks of an operating system, apart from I/O: the contract of
 * a port. Everything here is called while booting or ending, or by the loop of a
 * shard's thread between ticks; never by a shard's core.
 *
 * Functions that can fail return a tina_status and put the errno into *os_error.
 */
#ifndef TINA__OS_OS_H
#define TINA__OS_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tina/status.h>

/* ---- Time and randomness ---- */

uint64_t tina__os_now_ns(void); /* monotonic; not 0 */

/* Between two looks of a thread that polls: leaves the core to its sibling for a moment. */
static inline void tina__os_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}
/* The same after a while: to whoever else wants the core; where nobody does, it returns at once. */
void tina__os_yield(void);
void tina__os_sleep(uint64_t ns);
uint64_t tina__os_random(void); /* 64 bits from the kernel, for seeds */

/* ---- Memory ----
 *
 * A mapping is reserved whole, unreadable; stretches of it are then opened. What
 * is not opened is a guard: touching it faults.
 */

size_t tina__os_page_size(void);
tina_status tina__os_reserve(size_t size, void **base, int *os_error);
tina_status tina__os_open_memory(void *base, size_t size, int *os_error); /* readable, writable, zero; page-aligned */
void tina__os_release(void *base, size_t size);
/* Fault all of it in, on the calling thread's node. huge: ask for huge pages first; *got_huge says whether they were granted. */
tina_status tina__os_populate(void *base, size_t size, bool huge, bool *got_huge, int *os_error);
/* Bytes that this process may still take: the smaller of the machine's and of every ancestor cgroup's (v1 and v2). */
uint64_t tina__os_memory_left(void);

/* ---- Cores ---- */

/* The cores that the process may run on, ascending; at most max are written; returns how many there are. */
size_t tina__os_cpus(uint16_t *cpus, size_t max);
/* The cgroup's CPU quota in whole cores, rounded up; 0: none. */
size_t tina__os_cpu_quota(void);
/* Pin the calling thread to a core, and read it back. */
tina_status tina__os_pin(uint16_t cpu, int *os_error);
/* The calling thread may run wherever the process may: where its first thread does. */
void tina__os_unpin(void);
/* The process's soft limit on open descriptors. */
uint64_t tina__os_fd_limit(void);

/* ---- Threads ----
 *
 * A thread starts with every asynchronous signal blocked, and with SIGPIPE
 * blocked, so that the program's own threads get its signals. Its overflowing
 * stack faults, as long as no frame is larger than 1 MiB.
 */

typedef struct tina__os_thread {
    uint64_t bits[2];
} tina__os_thread;

tina_status tina__os_thread_start(tina__os_thread *thread, size_t stack_size, const char *name, void (*body)(void *),
                                  void *argument, int *os_error);
void tina__os_thread_join(tina__os_thread *thread);

/* What follows is asked from any thread, of one that was not joined. */

/* The CPU time that the thread has used. False: it has ended. */
bool tina__os_thread_cpu_ns(const tina__os_thread *thread, uint64_t *cpu_ns);
/* The thread waits in the kernel, and not just for a core: in what goes to where, "futex (system call 202)". False also where the kernel does not tell. */
bool tina__os_thread_is_blocked(const tina__os_thread *thread, char *where, size_t size);

/* ---- Waking ----
 *
 * An event is a descriptor that is readable once it was signalled, until it is
 * cleared. Signalling is async-signal-safe and possible from any thread.
 */

tina_status tina__os_event_open(int *event, int *os_error);
void tina__os_event_close(int event);
void tina__os_event_signal(int event);
/* Waits up to wait_ns (TINA_NONE_NS: without limit), then clears it. */
void tina__os_event_wait(int event, uint64_t wait_ns);

/* ---- The end of the world outside ---- */

/* A line and a newline to standard error, in one write. False: nobody reads there; waits at most a moment, and raises no SIGPIPE. */
bool tina__os_print_error(const char *line, size_t length);

/*
 * SIGTERM and SIGINT call on_stop, SIGUSR2 calls on_revive; whoever handled them
 * before is chained to. Counted: the first take installs, the last release puts
 * back what was there, unless somebody changed it since. Both are async-signal-safe,
 * and every take names the same two.
 */
void tina__os_signals_take(void (*on_stop)(void), void (*on_revive)(void));
void tina__os_signals_release(void);

#endif
