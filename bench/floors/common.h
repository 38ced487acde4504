/*
 * What the floors and the load generator share: parameters of the form
 * NAME=VALUE, failing with a word, clocks, cores, the loop that measures a
 * rate, and a histogram. Programs include it and nothing else of each other.
 */
#ifndef BENCH_COMMON_H
#define BENCH_COMMON_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CACHE_LINE_SIZE = 64, STATUS_NOT_HERE = 77 };

static const uint64_t second_ns = 1000000000u;
static const uint64_t warm_up_ns = 50000000u;

/* ---- Failing ---- */

__attribute__((noreturn, format(printf, 1, 2))) static inline void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

/* For calls that return something negative and leave the reason in errno. */
static inline int check(int result, const char *what)
{
    if (result < 0)
        fail("%s: %s", what, strerror(errno));
    return result;
}

__attribute__((noreturn)) static inline void not_here(const char *workload)
{
    fprintf(stderr, "this program has no workload %s of that kind\n", workload);
    exit(STATUS_NOT_HERE);
}

/* ---- Parameters: the last of a name counts, unknown names are ignored ---- */

struct parameters {
    int count;
    char **texts;
};

static inline const char *parameter(const struct parameters *given, const char *name, const char *otherwise)
{
    size_t length = strlen(name);
    for (int i = given->count - 1; i >= 0; i--) {
        if (strncmp(given->texts[i], name, length) == 0 && given->texts[i][length] == '=')
            return given->texts[i] + length + 1;
    }
    return otherwise;
}

static inline double real_parameter(const struct parameters *given, const char *name, double otherwise)
{
    const char *text = parameter(given, name, NULL);
    if (text == NULL)
        return otherwise;
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= 0))
        fail("%s=%s: a number of zero or more is wanted", name, text);
    return value;
}

static inline uint64_t count_parameter(const struct parameters *given, const char *name, uint64_t least, uint64_t most,
                                       uint64_t otherwise)
{
    const char *text = parameter(given, name, NULL);
    if (text == NULL)
        return otherwise;
    char *end;
    errno = 0;
    uint64_t value = strtoull(text, &end, 10);
    if (end == text || *end != '\0' || *text == '-' || errno != 0 || value < least || value > most)
        fail("%s=%s: a whole number from %llu to %llu is wanted", name, text, (unsigned long long)least,
             (unsigned long long)most);
    return value;
}

static inline bool is_text(const char *one, const char *other) { return strcmp(one, other) == 0; }

/* ---- Clocks ---- */

static inline uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    if (clock_gettime(clock, &now) != 0)
        fail("clock_gettime: %s", strerror(errno));
    return (uint64_t)now.tv_sec * second_ns + (uint64_t)now.tv_nsec;
}

static inline uint64_t now_ns(void) { return clock_ns(CLOCK_MONOTONIC); }

/*
 * The cheapest counter that goes forward evenly: the processor's, or the
 * clock's nanoseconds where there is none. The fence keeps the reading from
 * being taken before the work that it ends is done. A user compares it with
 * the clock over the whole run to learn how long a count is.
 */
static inline uint64_t ticks(void)
{
#if defined(__x86_64__)
    __builtin_ia32_lfence();
    return __builtin_ia32_rdtsc();
#else
    return now_ns();
#endif
}

/* Between two looks of a thread that waits awake. */
static inline void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* ---- Cores ---- */

/* Pins the calling thread to the n-th core, from 0, of those that the process was given. */
static inline void pin_to_allowed_core(int n)
{
    static cpu_set_t allowed; /* as the process began: the first caller pins later */
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&lock);
    if (CPU_COUNT(&allowed) == 0)
        check(sched_getaffinity(0, sizeof allowed, &allowed), "sched_getaffinity");
    pthread_mutex_unlock(&lock);
    for (size_t core = 0; core < CPU_SETSIZE; core++) {
        if (CPU_ISSET(core, &allowed) && n-- == 0) {
            cpu_set_t one;
            CPU_ZERO(&one);
            CPU_SET(core, &one);
            check(sched_setaffinity(0, sizeof one, &one), "sched_setaffinity");
            return;
        }
    }
    fail("two cores are wanted, and fewer are allowed");
}

/* ---- Rates ---- */

/* Repeats a batch, which returns how many operations it did: first to warm up, then for so many seconds. */
static inline double measure_rate(double seconds, uint64_t (*batch)(void *of), void *of)
{
    uint64_t warm_ns = now_ns() + warm_up_ns;
    do {
        batch(of);
    } while (now_ns() < warm_ns);
    uint64_t begun_ns = now_ns(), elapsed_ns, count = 0;
    do {
        count += batch(of);
        elapsed_ns = now_ns() - begun_ns;
    } while ((double)elapsed_ns < seconds * 1e9);
    return (double)count * 1e9 / (double)elapsed_ns;
}

/* ---- Histogram: 512 steps for each doubling, so that a value is known to 0.2 % ---- */

enum { HISTOGRAM_BITS = 9, HISTOGRAM_STEPS = 1 << HISTOGRAM_BITS, HISTOGRAM_SIZE = 32 * HISTOGRAM_STEPS };

static const uint64_t histogram_most = ((uint64_t)1 << 40) - 1;

struct histogram {
    uint64_t count, sum, most;
    uint32_t counts[HISTOGRAM_SIZE];
};

static inline size_t histogram_step(uint64_t value)
{
    if (value > histogram_most)
        value = histogram_most;
    if (value < HISTOGRAM_STEPS)
        return (size_t)value;
    size_t shift = (size_t)(63 - __builtin_clzll(value)) - HISTOGRAM_BITS;
    return shift * HISTOGRAM_STEPS + (size_t)(value >> shift);
}

static inline void histogram_add(struct histogram *histogram, uint64_t value)
{
    histogram->counts[histogram_step(value)]++;
    histogram->count++;
    histogram->sum += value;
    if (value > histogram->most)
        histogram->most = value;
}

/* The middle of the step in which the given share of the values ends; 0 where there are none. */
static inline uint64_t histogram_quantile(const struct histogram *histogram, double share)
{
    double wanted = share * (double)histogram->count;
    uint64_t seen = 0;
    for (size_t step = 0; step < HISTOGRAM_SIZE; step++) {
        seen += histogram->counts[step];
        if (seen == 0 || (double)seen < wanted)
            continue;
        size_t shift = step < 2 * HISTOGRAM_STEPS ? 0 : step / HISTOGRAM_STEPS - 1;
        uint64_t middle = ((uint64_t)(step - shift * HISTOGRAM_STEPS) << shift) + (((uint64_t)1 << shift) >> 1);
        return middle < histogram->most ? middle : histogram->most;
    }
    return 0;
}

static inline double histogram_mean(const struct histogram *histogram)
{
    return histogram->count > 0 ? (double)histogram->sum / (double)histogram->count : 0;
}

/* ---- Figures ---- */

static inline void figure(const char *name, double value) { printf("%s %.*f\n", name, value < 1000 ? 6 : 0, value); }

#endif
