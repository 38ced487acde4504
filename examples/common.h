/* What the examples share: options from the command line, lines to standard output, how to run and end, and faults. */
#ifndef EXAMPLES_COMMON_H
#define EXAMPLES_COMMON_H

#define _POSIX_C_SOURCE 200809L /* kill; so whoever includes this does it first */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tina/tina.h>
#include <unistd.h>

#define SECOND_NS 1000000000ull

/* ---- Options ------------------------------------------------------------------- */

/* One of: a flag (is_set), a number within least..most, a word out of choices (its index), a text. */
typedef struct example_option {
    const char *name; /* with its dashes */
    const char *help;
    bool *is_set;
    uint32_t *number;
    uint32_t least, most;
    const char *const *choices; /* ends with NULL */
    const char **text;
} example_option;

static inline void print_help(const char *purpose, const example_option *options, size_t count)
{
    printf("%s\n\n", purpose);
    for (size_t i = 0; i < count; i++) {
        const char *value = options[i].is_set != NULL                               ? ""
                            : options[i].choices != NULL || options[i].text != NULL ? "X"
                                                                                    : "N";
        printf("  %-21s %-2s %s\n", options[i].name, value, options[i].help);
    }
    printf("  %-24s %s\n", "--help", "this text");
}

_Noreturn static inline void wrong_option(const char *name, const char *trouble)
{
    fprintf(stderr, "%s %s; --help lists what there is\n", name, trouble);
    exit(2);
}

static inline void take_number(const example_option *option, const char *value)
{
    char *end;
    unsigned long long number = strtoull(value, &end, 10);
    if (value[0] < '0' || value[0] > '9' || *end != '\0' || number < option->least || number > option->most) {
        char trouble[96];
        snprintf(trouble, sizeof trouble, "takes a number from %u to %u", option->least, option->most);
        wrong_option(option->name, trouble);
    }
    *option->number = (uint32_t)number;
}

static inline void take_choice(const example_option *option, const char *value)
{
    char trouble[96] = "takes one of:";
    for (uint32_t i = 0; option->choices[i] != NULL; i++) {
        if (strcmp(value, option->choices[i]) == 0) {
            *option->number = i;
            return;
        }
        size_t used = strlen(trouble);
        snprintf(trouble + used, sizeof trouble - used, " %s", option->choices[i]);
    }
    wrong_option(option->name, trouble);
}

static inline void take_option(const example_option *option, const char *value)
{
    if (value == NULL)
        wrong_option(option->name, "needs a value");
    else if (option->text != NULL)
        *option->text = value;
    else if (option->choices != NULL)
        take_choice(option, value);
    else
        take_number(option, value);
}

/* Ends the program where it can't go on: status 2, or 0 after --help. */
static inline void read_options(int argc, char **argv, const char *purpose, const example_option *options, size_t count)
{
    for (int i = 1; i < argc; i++) {
        size_t k = 0;
        while (k < count && strcmp(argv[i], options[k].name) != 0)
            k++;
        if (strcmp(argv[i], "--help") == 0) {
            print_help(purpose, options, count);
            exit(0);
        }
        if (k == count)
            wrong_option(argv[i], "is no option");
        else if (options[k].is_set != NULL)
            *options[k].is_set = true;
        else
            take_option(&options[k], argv[++i]); /* argv ends with NULL */
    }
}

/* ---- Lines --------------------------------------------------------------------- */

/* A log sink: one write a line, since stdio would allocate memory. */
static inline void print_line(void *user, int shard, tina_level level, const char *line, size_t length)
{
    (void)user;
    char text[TINA_LOG_LINE_MAX + 32] = "[tina] ";
    if (level == TINA_LOG_DEBUG)
        return;
    if (shard >= 0)
        snprintf(text, sizeof text, "[shard %d] ", shard);
    size_t size = strlen(text);
    memcpy(text + size, line, length);
    size += length;
    text[size++] = '\n';
    for (size_t done = 0; done < size;) {
        ssize_t more = write(STDOUT_FILENO, text + done, size - done);
        if (more <= 0)
            return; /* nobody reads us any more */
        done += (size_t)more;
    }
}

/* Says on standard error why a system did not run or end as it should. Returns the program's exit status. */
static inline int exit_status(tina_status status, const tina_error *error)
{
    if (status == TINA_OK)
        return 0;
    if (status == TINA_TIMED_OUT && error->status == TINA_OK)
        fprintf(stderr, "not everybody was done when the time for the shutdown was over\n");
    else
        fprintf(stderr, "%s: %s%s%s%s%s\n", tina_status_name(status), error->path, error->path[0] != '\0' ? " " : "",
                error->message, error->os_error != 0 ? ": " : "", error->os_error != 0 ? strerror(error->os_error) : "");
    return status == TINA_INVALID ? 2 : 1;
}

/* ---- The end ------------------------------------------------------------------- */

static inline void end_by_alarm(int signal)
{
    (void)signal;
    kill(getpid(), SIGTERM);
}

/* As if somebody sent a SIGTERM in so many seconds; 0: nobody does. An isolate could stop the system just as well, but
 * not from a quarantined shard. */
static inline void end_after(uint32_t seconds)
{
    signal(SIGALRM, end_by_alarm);
    alarm(seconds);
}

static inline void print_usage(const char *name, const tina_usage *usage)
{
    printf(" %s=%u/%u/%u", name, usage->used, usage->peak, usage->limit);
}

/* Used, at the most, and the limit of each pool, then where all messages went. */
static inline void print_stats(const tina_end_report *report)
{
    const tina_stats *total = &report->total;
    printf("stats: isolates=%u undrained=%u stuck=%u", total->isolates, report->undrained_count, report->stuck_shards);
    print_usage("messages", &total->messages);
    print_usage("timers", &total->timers);
    print_usage("watches", &total->watches);
    print_usage("ops", &total->ops);
    print_usage("buffers", &total->buffers);
    print_usage("fds", &total->fds);
    print_usage("transfers", &total->transfers);
#define PRINT(counter) printf(" " #counter "=%llu", (unsigned long long)total->counter)
    PRINT(sent_local), PRINT(sent_remote), PRINT(posted);
    PRINT(delivered), PRINT(arrived_full), PRINT(arrived_stale), PRINT(arrived_exhausted), PRINT(died_with_owner);
    PRINT(spawns), PRINT(exits), PRINT(crashes), PRINT(faults), PRINT(watchdog_kills), PRINT(restarts);
    PRINT(shard_restarts), PRINT(io_submitted), PRINT(io_completed), PRINT(io_failed), PRINT(bytes_in), PRINT(bytes_out);
#undef PRINT
    printf("\n");
}

/* tina_boot, or the same in two steps, for the report of the second. Returns the program's exit status. */
static inline int run_system(const tina_system_spec *spec, bool wants_stats)
{
    tina_error error = {0};
    if (!wants_stats)
        return exit_status(tina_boot(spec, &error), &error);
    tina_system *system;
    tina_status status = tina_start(spec, &system, &error);
    if (status != TINA_OK)
        return exit_status(status, &error);
    tina_end_report report;
    status = tina_join(system, &report);
    print_stats(&report);
    return exit_status(status, &error);
}

/* ---- Faults -------------------------------------------------------------------- */

/* How somebody may die on purpose. */
enum { FAULT_CRASH, FAULT_SEGV, FAULT_STACK, FAULT_DIV, FAULT_LOOP, FAULT_ABORT, FAULT_MEMCPY };

static const char *const fault_names[] = {"crash", "segv", "stack", "div", "loop", "abort", "memcpy", NULL};

static inline const char *fault_story(uint32_t fault)
{
    static const char *const stories[] = {
        [FAULT_CRASH] = "a crash of its own will",
        [FAULT_SEGV] = "a write to a null pointer",
        [FAULT_STACK] = "a recursion without end",
        [FAULT_DIV] = "a division by zero",
        [FAULT_LOOP] = "a loop without end",
        [FAULT_ABORT] = "an abort",
        [FAULT_MEMCPY] = "a memcpy from a null pointer",
    };
    return stories[fault];
}

/* Not to be reported by a sanitizer, nor seen through by the compiler: that is also why all of it is volatile. */
#define ON_PURPOSE __attribute__((noinline, no_sanitize("address"), no_sanitize("undefined")))

static volatile int fault_zero, fault_any = 7;

ON_PURPOSE static void write_to_null(void)
{
    volatile int *volatile nowhere = NULL;
    *nowhere = 1;
}

/* What is read of the frame after the call keeps the call from becoming a loop. */
ON_PURPOSE static int fall(const volatile char *above)
{
    volatile char frame[512];
    frame[0] = *above;
    return fault_zero == 0 ? fall(frame) + frame[0] : 0;
}

/* On x86. Other processors have a result for it. */
ON_PURPOSE static void divide_by_zero(tina_ctx *ctx)
{
    fault_any = fault_any / fault_zero;
    tina_log(ctx, TINA_LOG_INFO, "which is no fault on this processor, so it takes a trap");
    __builtin_trap();
}

ON_PURPOSE static void loop_for_ever(void)
{
    while (fault_zero == 0) {
    }
}

ON_PURPOSE static void copy_from_null(void)
{
    void *(*volatile copy)(void *, const void *, size_t) = memcpy;
    const void *volatile nowhere = NULL;
    char bytes[64];
    copy(bytes, nowhere, sizeof bytes);
}

/* Dies of it: what is returned is the crash, and otherwise never seen. */
static inline tina_effect die_of(uint32_t fault, uint8_t reason, tina_ctx *ctx)
{
    switch (fault) {
    case FAULT_SEGV: write_to_null(); break;
    case FAULT_STACK: fall(""); break;
    case FAULT_DIV: divide_by_zero(ctx); break;
    case FAULT_LOOP: loop_for_ever(); break;
    case FAULT_ABORT: abort();
    case FAULT_MEMCPY: copy_from_null(); break;
    default: break;
    }
    return tina_crash(reason);
}

/* What a system needs so that the fault costs the isolate, and soon enough to be watched. */
static inline void prepare_for(uint32_t fault, tina_system_spec *spec)
{
    if (fault == FAULT_ABORT)
        spec->on_abort = TINA_SUSPECT_ISOLATE; /* nothing is half done where it aborts, and no lock is held */
    if (fault == FAULT_LOOP)
        spec->watchdog_interval_ns = SECOND_NS / 10;
}

#endif
