/* What the examples share: options from the command line, lines to standard output, and an end after so many seconds. */
#ifndef EXAMPLES_COMMON_H
#define EXAMPLES_COMMON_H

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
        printf("  %-14s %-2s %s\n", options[i].name, value, options[i].help);
    }
    printf("  %-17s %s\n", "--help", "this text");
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

/* An isolate that stops the system after some seconds: its arguments, a uint32_t. */
static inline tina_effect stopwatch_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self;
    uint32_t seconds = 0;
    if (args_size != sizeof seconds)
        return tina_crash(1);
    memcpy(&seconds, args, sizeof seconds);
    if (tina_timer_start(ctx, seconds * SECOND_NS, TINA_TAG_TIMER, NULL) != TINA_OK)
        return tina_crash(2);
    return tina_receive();
}

static inline tina_effect stopwatch_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (message->tag == TINA_TAG_TIMER)
        tina_stop_system(ctx);
    return tina_receive();
}

#endif
