/*
 * What libtina's programs of the suite share: arguments, clocks, figures, the
 * course of a run, and running a system to its end.
 *
 *     PROGRAM WORKLOAD [NAME=VALUE]...
 *
 * prints its figures as lines "NAME VALUE". Status 1: something went wrong, and
 * standard error says what; 77: the program has no such workload.
 */
#ifndef BENCH_TINA_BENCH_H
#define BENCH_TINA_BENCH_H

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <tina/tina.h>

#define SECOND_NS  1000000000ull
#define WARM_UP_NS (SECOND_NS / 20)

/* ---- Arguments ------------------------------------------------------------------ */

static char **bench_arguments; /* those behind the workload; ends with NULL */

/* What was given as NAME=VALUE; fallback where it was not. */
static inline const char *word_of(const char *name, const char *fallback)
{
    size_t length = strlen(name);
    for (char **argument = bench_arguments; *argument != NULL; argument++) {
        if (strncmp(*argument, name, length) == 0 && (*argument)[length] == '=')
            return *argument + length + 1;
    }
    return fallback;
}

static inline bool is_word(const char *name, const char *fallback, const char *value)
{
    return strcmp(word_of(name, fallback), value) == 0;
}

static inline double decimal_of(const char *name, double fallback)
{
    const char *word = word_of(name, NULL);
    if (word == NULL)
        return fallback;
    char *end;
    double value = strtod(word, &end);
    if (end == word || *end != '\0' || !(value >= 0 && value < 1e15)) {
        fprintf(stderr, "%s=%s: a number, please\n", name, word);
        exit(1);
    }
    return value;
}

static inline uint32_t number_of(const char *name, uint32_t fallback)
{
    double value = decimal_of(name, fallback);
    return value < UINT32_MAX ? (uint32_t)value : UINT32_MAX - 1;
}

/* ---- Trouble ------------------------------------------------------------------------ */

/* What must be so, or the program ends. Not for handlers: see give_up. */
static inline void require(bool is_so, const char *otherwise)
{
    if (is_so)
        return;
    fprintf(stderr, "%s\n", otherwise);
    exit(1);
}

/* ---- Clocks ------------------------------------------------------------------------ */

static inline uint64_t clock_ns(clockid_t id)
{
    struct timespec time;
    clock_gettime(id, &time);
    return (uint64_t)time.tv_sec * SECOND_NS + (uint64_t)time.tv_nsec;
}

static inline uint64_t wall_ns(void) { return clock_ns(CLOCK_MONOTONIC); }
static inline uint64_t thread_cpu_ns(void) { return clock_ns(CLOCK_THREAD_CPUTIME_ID); }

/* ---- Figures ------------------------------------------------------------------------ */

static inline void print_figure(const char *name, double value) { printf("%s %.10g\n", name, value); }

static inline int compare_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Of sorted values, the one that a share of permille does not go beyond. */
static inline double quantile(const uint32_t *sorted, size_t count, size_t permille)
{
    return sorted[(count - 1) * permille / 1000];
}

/* ---- The course of a run ---------------------------------------------------------------
 *
 * Warm-up, then the seconds that count. One isolate looks at the clock once a
 * batch, which is a millisecond or so of work; main reads the course at the end.
 */

typedef struct course {
    uint64_t length_ns;
    uint64_t first_ns; /* the first look at the clock */
    uint64_t begun_ns, begun_count;
    uint64_t ended_ns, ended_count;
} course;

static inline uint64_t seconds_ns(void) { return (uint64_t)(decimal_of("seconds", 1) * 1e9); }

/* So much has been done by now: is the time over? */
static inline bool course_is_over(course *me, uint64_t count)
{
    uint64_t now = wall_ns();
    if (me->first_ns == 0) {
        me->first_ns = now;
        me->length_ns = seconds_ns();
    } else if (me->begun_ns == 0 && now - me->first_ns >= WARM_UP_NS) {
        me->begun_ns = now;
        me->begun_count = count;
    }
    me->ended_ns = now;
    me->ended_count = count;
    return me->begun_ns != 0 && now > me->begun_ns && now - me->begun_ns >= me->length_ns;
}

static inline double course_rate(const course *me)
{
    require(me->begun_ns != 0 && me->ended_count > me->begun_count, "too little was done in that time to be measured");
    return (double)(me->ended_count - me->begun_count) * 1e9 / (double)(me->ended_ns - me->begun_ns);
}

/* ---- Running a system ------------------------------------------------------------------ */

static _Atomic(const char *) bench_trouble;

/* Something is wrong: main says so at the end. What comes of it is not told. */
static inline tina_effect give_up(tina_ctx *ctx, const char *why)
{
    const char *none = NULL;
    atomic_compare_exchange_strong(&bench_trouble, &none, why);
    tina_stop_system(ctx);
    return tina_receive();
}

static inline tina_effect spare_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size, (void)ctx;
    return tina_receive();
}

static inline tina_effect spare_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self, (void)ctx;
    return message->tag == TINA_TAG_SHUTDOWN ? tina_done() : tina_receive();
}

/* A pool's size with so many besides; its default stays where none are asked for. */
static inline uint32_t with_spare(uint32_t count, uint32_t spare)
{
    if (spare == 0)
        return count;
    return (count == 0 || count == TINA_NONE ? 64 : count) + spare;
}

/*
 * Reserve what slots=, types=, timers= and fds= ask for, besides what the program
 * needs: more slots of the first type, and the rest. types has room for as many as
 * there may be.
 */
static inline void reserve(tina_system_spec *spec, tina_type types[TINA_TYPES_MAX])
{
    uint32_t slots = number_of("slots", 0), spare_types = number_of("types", 0), fds = number_of("fds", 0);
    if (slots != 0)
        types[0].slot_count += slots;
    for (; spare_types > 0 && spec->type_count < TINA_TYPES_MAX; spare_types--) {
        types[spec->type_count++] =
            (tina_type){.name = "spare", .init = spare_init, .handler = spare_handle, .size = sizeof(uint64_t)};
    }
    spec->timer_count = with_spare(spec->timer_count, number_of("timers", 0));
    if (fds != 0 && spec->fd_count == TINA_NONE)
        spec->op_count = spec->buffer_count = 64;
    spec->fd_count = with_spare(spec->fd_count, fds);
    spec->types = types;
}

/* The process may have that many, as after "ulimit -n", where it is allowed to. */
static inline void allow_descriptors(uint32_t count)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < count)
        limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* Every message that a send accepted was handled, or died with an isolate; none was refused where it arrived. */
static inline bool has_lost(const tina_stats *total)
{
    return total->arrived_full + total->arrived_stale + total->arrived_exhausted != 0 ||
           total->sent_local + total->sent_remote + total->posted != total->delivered + total->died_with_owner;
}

/* Ends the program where the system can't start. */
static inline tina_system *start_system(const tina_system_spec *spec)
{
    tina_system *system;
    tina_error error = {0};
    bool has_started = tina_start(spec, &system, &error) == TINA_OK;
    if (!has_started)
        fprintf(stderr, "%s %s: ", error.path, error.message);
    require(has_started, "the system can't start");
    return system;
}

/* Waits for the end; ends the program where it is not the right one. */
static inline tina_stats end_system(tina_system *system)
{
    tina_end_report report = {0};
    tina_status status = tina_join(system, &report);
    const char *trouble = atomic_load(&bench_trouble);
    require(trouble == NULL, trouble);
    require(status == TINA_OK, "not everybody ended");
    require(!has_lost(&report.total), "messages were lost");
    return report.total;
}

static inline tina_stats run_system(const tina_system_spec *spec) { return end_system(start_system(spec)); }

/* ---- Workloads --------------------------------------------------------------------------- */

typedef struct workload {
    const char *name;
    void (*run)(void);
} workload;

/* The last workload has no name. Returns the program's exit status. */
static inline int run_workload(int argc, char **argv, const workload *workloads)
{
    if (argc < 2) {
        fprintf(stderr, "%s WORKLOAD [NAME=VALUE]...\n", argv[0]);
        return 1;
    }
    bench_arguments = argv + 2;
    for (; workloads->name != NULL; workloads++) {
        if (strcmp(argv[1], workloads->name) == 0) {
            workloads->run();
            return 0;
        }
    }
    fprintf(stderr, "%s: no such workload here\n", argv[1]);
    return 77;
}

#endif
