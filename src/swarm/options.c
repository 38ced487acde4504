#include "swarm/options.h"

#include "swarm/crew.h"

#include <inttypes.h>
#include <string.h>

enum { PATIENCE_S = 60, PATIENCE_MAX_S = 1000000 };

/* ---- Numbers ---------------------------------------------------------------------- */

static unsigned digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    if (c >= 'a' && c <= 'f')
        return (unsigned)(c - 'a') + 10;
    if (c >= 'A' && c <= 'F')
        return (unsigned)(c - 'A') + 10;
    return 16;
}

/* False: not a number of that base, or more than 64 bits. */
static bool read_digits(const char *text, unsigned base, uint64_t *number)
{
    *number = 0;
    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        unsigned digit = digit_of(*text);
        if (digit >= base || *number > (UINT64_MAX - digit) / base)
            return false;
        *number = *number * base + digit;
    }
    return true;
}

static bool read_number(const char *text, uint64_t *number)
{
    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
        return read_digits(text + 2, 16, number);
    return read_digits(text, 10, number);
}

uint64_t tina__seed_of(const char *word)
{
    uint64_t number;
    if (read_number(word, &number))
        return number;
    number = 0xCBF29CE484222325u;
    for (; *word != '\0'; word++)
        number = (number ^ (uint8_t)*word) * 0x100000001B3u;
    return number;
}

/* ---- Words ------------------------------------------------------------------------------ */

typedef enum form { FLAG, NUMBER, NUMBER_32, TEXT } form;

typedef struct word {
    const char *name, *value, *help;
    size_t offset; /* in tina__options */
    uint64_t most; /* of a number; the least is 1 */
    form form;
} word;

#define AT(field) offsetof(tina__options, field)

static const word words[] = {
    {"--seed", "WORD", "run this seed: decimal, 0x..., or any word, such as a commit's hash; default: 1", AT(seed_word), 0,
     TEXT},
    {"--seeds", "N", "run N seeds, from --seed on, spread over the cores", AT(seeds), UINT64_MAX, NUMBER},
    {"--jobs", "N", "processes at once; default: one per core", AT(jobs), TINA__JOBS_MAX, NUMBER_32},
    {"--swarm", NULL, "draw every fault rate and every limit that the program left open from the seed", AT(draws), 0, FLAG},
    {"--ticks", "N", "rounds of each run, instead of the program's", AT(ticks), UINT64_MAX, NUMBER},
    {"--faults", "FILE", "fault rates and limits from a file, instead of the program's; none: no faults at all",
     AT(faults_path), 0, TEXT},
    {"--heal", NULL, "after three quarters of the rounds nothing fails any more: all must become quiet", AT(heals), 0, FLAG},
    {"--heal-at", "N", "the same, after N rounds", AT(heal_at), UINT64_MAX, NUMBER},
    {"--once", NULL, "run each seed once, without comparing a second run", AT(is_once), 0, FLAG},
    {"--trace", "FILE", "write the timeline of the run, for Perfetto and chrome://tracing (one seed)", AT(trace_path), 0,
     TEXT},
    {"--events", "FILE", "write its events in words (one seed)", AT(events_path), 0, TEXT},
    {"--shrink", NULL, "make of a failing run the smallest that fails the same way", AT(shrinks), 0, FLAG},
    {"--output", "FILE", "where --shrink writes its faults; default: PROGRAM-SEED.faults", AT(output_path), 0, TEXT},
    {"--patience", "SECONDS", "end a run in which nothing moves for so long; default: 60", AT(patience_s), PATIENCE_MAX_S,
     NUMBER_32},
    {"--help", NULL, "print this", AT(wants_help), 0, FLAG},
};

enum { WORD_COUNT = sizeof words / sizeof words[0] };

void tina__options_help(FILE *to, const char *program)
{
    fprintf(to, "usage: %s [options]\nRuns simulations, and looks for seeds that fail.\n\n", program);
    for (size_t i = 0; i < WORD_COUNT; i++) {
        const char *value = words[i].value != NULL ? words[i].value : "";
        fprintf(to, "  %s %-*s %s\n", words[i].name, 19 - (int)strlen(words[i].name), value, words[i].help);
    }
    fprintf(to, "\nExit status: 0: every run was well; 1: one failed; 2: the arguments, or a spec, are wrong.\n");
}

static const word *find_word(const char *name)
{
    for (size_t i = 0; i < WORD_COUNT; i++) {
        if (strcmp(words[i].name, name) == 0)
            return &words[i];
    }
    return NULL;
}

static bool put_number(const word *of, const char *value, void *field, char *error, size_t error_size)
{
    uint64_t number;
    if (!read_number(value, &number) || number < 1 || number > of->most) {
        snprintf(error, error_size, "%s must be a number from 1 to %" PRIu64 ", not '%s'", of->name, of->most, value);
        return false;
    }
    if (of->form == NUMBER)
        *(uint64_t *)field = number;
    else
        *(uint32_t *)field = (uint32_t)number;
    return true;
}

static bool put_word(const word *of, const char *value, tina__options *options, char *error, size_t error_size)
{
    void *field = (char *)options + of->offset;
    switch (of->form) {
    case FLAG: *(bool *)field = true; return true;
    case TEXT: *(const char **)field = value; return true;
    default: return put_number(of, value, field, error, error_size);
    }
}

/* ---- The whole ------------------------------------------------------------------------------ */

static bool refuse(char *error, size_t error_size, const char *what)
{
    snprintf(error, error_size, "%s", what);
    return false;
}

static bool is_same(const char *a, const char *b) { return a != NULL && b != NULL && strcmp(a, b) == 0; }

static bool fits_together(tina__options *options, char *error, size_t error_size)
{
    if (options->seed_word != NULL && options->seed_word[0] == '\0')
        return refuse(error, error_size, "--seed must not be empty");
    if (options->seeds != 0 && (options->trace_path != NULL || options->events_path != NULL))
        return refuse(error, error_size, "--trace and --events are of one seed: not with --seeds");
    if (is_same(options->trace_path, options->events_path) || is_same(options->trace_path, options->output_path) ||
        is_same(options->events_path, options->output_path))
        return refuse(error, error_size, "--trace, --events and --output must be different files");
    if (is_same(options->output_path, "none"))
        return refuse(error, error_size, "--output must not be none: for --faults, that means no faults; ./none is a file");
    if (options->output_path != NULL && !options->shrinks)
        return refuse(error, error_size, "--output is where --shrink writes: not without it");
    return true;
}

bool tina__options_read(tina__options *options, int argc, char **argv, char *error, size_t error_size)
{
    *options = (tina__options){.program = argc > 0 ? argv[0] : "", .jobs = tina__crew_jobs(), .patience_s = PATIENCE_S};
    for (int i = 1; i < argc; i++) {
        const word *found = find_word(argv[i]);
        if (found == NULL) {
            snprintf(error, error_size, "'%s' is no option; see --help", argv[i]);
            return false;
        }
        if (found->value != NULL && i + 1 == argc) {
            snprintf(error, error_size, "%s wants %s", found->name, found->value);
            return false;
        }
        const char *value = found->value != NULL ? argv[++i] : NULL;
        if (!put_word(found, value, options, error, error_size))
            return false;
    }
    options->seed = options->seed_word != NULL ? tina__seed_of(options->seed_word) : 1;
    options->is_faultless = options->faults_path != NULL && strcmp(options->faults_path, "none") == 0;
    return fits_together(options, error, error_size);
}

const char *tina__program_name(const tina__options *options)
{
    const char *slash = strrchr(options->program, '/');
    return slash != NULL ? slash + 1 : options->program;
}

/* ---- Commands ---------------------------------------------------------------------------------- */

static const char harmless[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./+,:=@%";

/* As one word for a shell. */
static void print_word(FILE *to, const char *text)
{
    if (text[0] != '\0' && text[strspn(text, harmless)] == '\0') {
        fputs(text, to);
        return;
    }
    fputc('\'', to);
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            fputs("'\\''", to);
        else
            fputc(*text, to);
    }
    fputc('\'', to);
}

void tina__command_print(FILE *to, const tina__options *options, const tina__case *what, const char *faults_path)
{
    print_word(to, options->program);
    fprintf(to, " --seed %" PRIu64, what->seed);
    if (what->source == TINA__DRAWN)
        fputs(" --swarm", to);
    if (what->source == TINA__GIVEN) {
        fputs(" --faults ", to);
        print_word(to, faults_path != NULL ? faults_path : "none");
    }
    if (what->ticks != 0)
        fprintf(to, " --ticks %" PRIu64, what->ticks);
    if (what->heal_at != 0)
        fprintf(to, " --heal-at %" PRIu64, what->heal_at);
    else if (what->heals)
        fputs(" --heal", to);
    if (what->is_once)
        fputs(" --once", to);
    if (options->patience_s != PATIENCE_S)
        fprintf(to, " --patience %" PRIu32, options->patience_s);
    fputc('\n', to);
}
