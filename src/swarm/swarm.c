#include "swarm/swarm.h"

#include "swarm/crew.h"
#include "swarm/faults_file.h"
#include "swarm/pulse.h"
#include "swarm/report.h"
#include "swarm/shrink.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WELL = 0, FAILED = 1, WRONG = 2, FAILURES_MAX = 10, PATH_MAX_BYTES = 1024 };

#define PROGRESS_NS 200000000u /* between two lines */

typedef struct failure {
    tina__case what;
    tina__outcome outcome;
} failure;

typedef struct sweep {
    const tina__subject *subject;
    tina__options options;
    tina__knobs given;
    FILE *out, *err;
    bool is_terminal;
    uint64_t begun_ns, told_ns;
    uint64_t handed; /* seeds */
    tina__totals totals;
    failure *failures; /* FAILURES_MAX */
    uint32_t failure_count;
    tina__case latest;
    tina__outcome latest_outcome;
} sweep;

static int wrong(const sweep *at, const char *what)
{
    fprintf(at->err, "%s: %s\n", tina__program_name(&at->options), what);
    return WRONG;
}

/* ---- Over the seeds ------------------------------------------------------------------------- */

static uint64_t seed_count(const sweep *at) { return at->options.seeds != 0 ? at->options.seeds : 1; }

static bool next_seed(void *user, tina__case *what)
{
    sweep *at = user;
    const tina__options *options = &at->options;
    if (at->handed == seed_count(at))
        return false;
    *what = (tina__case){
        .seed = options->seed + at->handed++,
        .ticks = options->ticks,
        .source = options->faults_path != NULL ? TINA__GIVEN
                  : options->draws             ? TINA__DRAWN
                                               : TINA__AS_MADE,
        .heals = options->heals,
        .heal_at = options->heal_at,
        .is_once = options->is_once,
        .knobs = at->given,
        .is_alone = options->seeds == 0,
        .trace_path = options->trace_path,
        .events_path = options->events_path,
    };
    return true;
}

static void tell(void *user)
{
    sweep *at = user;
    uint64_t now_ns = tina__wall_ns();
    at->totals.elapsed_ns = now_ns - at->begun_ns;
    if (!at->is_terminal || at->options.seeds == 0 || now_ns - at->told_ns < PROGRESS_NS)
        return;
    at->told_ns = now_ns;
    tina__progress_print(at->err, &at->totals, seed_count(at));
}

static void clear_line(const sweep *at)
{
    if (at->is_terminal)
        fputs("\r\033[K", at->err);
}

/* At once to who looks on; whole at the end. */
static void announce(const sweep *at, const failure *failed)
{
    char text[TINA__FAILURE_TEXT];
    if (!at->is_terminal || at->options.seeds == 0)
        return;
    tina__failure_text(&failed->outcome, text);
    clear_line(at);
    fprintf(at->err, "seed %" PRIu64 " failed: %s\n", failed->what.seed, text);
}

static bool take_outcome(void *user, const tina__case *what, const tina__outcome *outcome)
{
    sweep *at = user;
    tina__totals_add(&at->totals, what, outcome);
    at->latest = *what;
    at->latest_outcome = *outcome;
    if (outcome->verdict == TINA__WRONG)
        return false;
    if (!tina__has_failed(outcome))
        return true;
    failure *failed = &at->failures[at->failure_count++];
    *failed = (failure){*what, *outcome};
    announce(at, failed);
    return at->failure_count < (at->options.shrinks ? 1 : FAILURES_MAX);
}

/* False: no processes, or no memory. */
static bool run_seeds(sweep *at)
{
    const tina__work work = {.next = next_seed, .take = take_outcome, .wait = tell, .user = at};
    tina__crew *crew = tina__crew_open(at->subject, at->options.jobs, at->options.patience_s);
    if (crew == NULL)
        return false;
    at->begun_ns = tina__wall_ns();
    bool is_done = tina__crew_work(crew, &work);
    at->totals.elapsed_ns = tina__wall_ns() - at->begun_ns;
    clear_line(at);
    tina__crew_close(crew);
    return is_done;
}

/* ---- What came of it ------------------------------------------------------------------------------ */

static void print_failure(const sweep *at, const failure *failed, const char *faults_path)
{
    tina__difference difference;
    bool is_unrepeatable = failed->outcome.verdict == TINA__UNREPEATABLE;
    if (is_unrepeatable)
        tina__compare(at->subject, &failed->what, &failed->outcome, at->options.patience_s, &difference);
    tina__failure_print(at->out, &at->options, &failed->what, &failed->outcome, is_unrepeatable ? &difference : NULL,
                        faults_path);
}

static const char *given_path(const sweep *at) { return at->options.is_faultless ? NULL : at->options.faults_path; }

static void name_output(const sweep *at, const tina__case *what, char path[PATH_MAX_BYTES])
{
    if (at->options.output_path != NULL)
        snprintf(path, PATH_MAX_BYTES, "%s", at->options.output_path);
    else
        snprintf(path, PATH_MAX_BYTES, "%s-%" PRIu64 ".faults", tina__program_name(&at->options), what->seed);
}

static bool write_faults(const tina__case *what, const tina__outcome *outcome, const char *path)
{
    char text[TINA__FAILURE_TEXT];
    FILE *to = fopen(path, "w");
    if (to == NULL)
        return false;
    tina__failure_text(outcome, text);
    fprintf(to, "# seed %" PRIu64 ": %s\n", what->seed, text);
    tina__faults_write(to, &what->knobs, "");
    bool is_whole = !ferror(to);
    return fclose(to) == 0 && is_whole;
}

static void print_sizes(FILE *to, const tina__shrunk *shrunk)
{
    const tina__size *before = &shrunk->before, *after = &shrunk->after;
    fprintf(to,
            "shrunk in %" PRIu32 " runs: ticks %" PRIu64 " -> %" PRIu64 ", events %" PRIu64 " -> %" PRIu64
            ", settings %" PRIu32 " -> %" PRIu32 "\n",
            shrunk->runs, before->ticks, after->ticks, before->events, after->events, before->knobs, after->knobs);
}

static int wrong_path(const sweep *at, const char *path, const char *what)
{
    char why[PATH_MAX_BYTES + 128];
    snprintf(why, sizeof why, "%s can't be %s: %s", path, what, strerror(errno));
    return wrong(at, why);
}

/* What cannot be written is not lost: the settings stand in what is printed. */
static int print_shrunk(const sweep *at, const tina__shrunk *shrunk, const char *name)
{
    failure smallest = {shrunk->what, shrunk->outcome};
    if (!write_faults(&shrunk->what, &shrunk->outcome, name))
        (void)wrong_path(at, name, "written");
    print_sizes(at->out, shrunk);
    print_failure(at, &smallest, name);
    return FAILED;
}

static int shrink_failure(const sweep *at, const failure *failed)
{
    char path[PATH_MAX_BYTES];
    tina__shrunk shrunk;
    uint32_t patience_s = tina__shrink_patience_s(&failed->outcome, at->options.patience_s);
    tina__crew *crew = tina__crew_open(at->subject, at->options.jobs, patience_s);
    if (crew == NULL)
        return wrong(at, "no memory");
    bool is_done = tina__shrink(crew, &failed->what, &failed->outcome, at->is_terminal ? at->err : NULL, &shrunk);
    tina__crew_close(crew);
    clear_line(at);
    if (!is_done) {
        fprintf(at->out, "not shrunk: it did not fail the same way again\n");
        print_failure(at, failed, given_path(at));
        return FAILED;
    }
    name_output(at, &shrunk.what, path);
    return print_shrunk(at, &shrunk, path);
}

static int print_wrong(const sweep *at)
{
    char why[TINA__FAILURE_TEXT];
    const tina__outcome *outcome = &at->latest_outcome;
    snprintf(why, sizeof why, "seed %" PRIu64 ": %s: %s", at->latest.seed,
             outcome->number == TINA_INVALID ? "the spec or config is wrong" : "a file can't be written", outcome->text);
    return wrong(at, why);
}

static int print_result(const sweep *at)
{
    bool is_wrong = at->latest_outcome.verdict == TINA__WRONG;
    if (at->options.seeds != 0 && !is_wrong)
        tina__totals_print(at->out, &at->totals, at->subject->points);
    else if (at->failure_count == 0 && !is_wrong)
        tina__run_print(at->out, &at->latest, &at->latest_outcome);
    for (uint32_t i = 0; i < at->failure_count; i++)
        print_failure(at, &at->failures[i], given_path(at));
    if (is_wrong)
        return print_wrong(at);
    if (at->failure_count == 0)
        return WELL;
    return at->options.shrinks ? shrink_failure(at, &at->failures[0]) : FAILED;
}

/* ---- Before it begins --------------------------------------------------------------------------------- */

static int read_faults(sweep *at)
{
    char error[TINA__FAULTS_FILE_ERROR], why[PATH_MAX_BYTES + TINA__FAULTS_FILE_ERROR];
    const char *path = given_path(at);
    if (path == NULL)
        return WELL;
    FILE *from = fopen(path, "r");
    if (from == NULL)
        return wrong_path(at, path, "read");
    bool is_read = tina__faults_read(from, &at->given, error);
    fclose(from);
    if (is_read)
        return WELL;
    snprintf(why, sizeof why, "%s:%s", path, error);
    return wrong(at, why);
}

/* Better now than after the run. What was not there is not there afterwards: perhaps nothing will be written. */
static int try_path(const sweep *at, const char *path)
{
    if (path == NULL)
        return WELL;
    struct stat there;
    bool is_new = lstat(path, &there) != 0;
    FILE *file = fopen(path, "a");
    if (file == NULL)
        return wrong_path(at, path, "written");
    fclose(file);
    if (is_new)
        unlink(path);
    return WELL;
}

static int prepare(sweep *at)
{
    int result = read_faults(at);
    if (result == WELL)
        result = try_path(at, at->options.trace_path);
    if (result == WELL)
        result = try_path(at, at->options.events_path);
    if (result == WELL)
        result = try_path(at, at->options.output_path);
    return result;
}

static void print_word(const sweep *at)
{
    const char *word = at->options.seed_word;
    if (word != NULL && word[strspn(word, "0123456789")] != '\0')
        fprintf(at->out, "seed %s is %" PRIu64 "\n", word, at->options.seed);
}

static int run_all(sweep *at)
{
    char why[128];
    int result = prepare(at);
    if (result != WELL)
        return result;
    print_word(at);
    if (run_seeds(at))
        return print_result(at);
    snprintf(why, sizeof why, "no process could be started: %s", strerror(errno));
    return wrong(at, why);
}

/* Whoever started us may have left it ignored, and then how a process has ended is lost. */
static void hear_of_processes(struct sigaction *before)
{
    const struct sigaction as_ever = {.sa_handler = SIG_DFL};
    (void)sigaction(SIGCHLD, &as_ever, before);
}

int tina__swarm_main(int argc, char **argv, const tina__subject *subject, FILE *out, FILE *err)
{
    char error[256];
    struct sigaction before;
    sweep *at = calloc(1, sizeof *at);
    failure *failures = calloc(FAILURES_MAX, sizeof *failures);
    int result = WRONG;
    if (at == NULL || failures == NULL) {
        fprintf(err, "no memory\n");
        goto out;
    }
    *at = (sweep){.subject = subject, .out = out, .err = err, .failures = failures};
    at->is_terminal = isatty(fileno(err)) != 0;
    if (!tina__options_read(&at->options, argc, argv, error, sizeof error))
        result = wrong(at, error);
    else if (at->options.wants_help)
        tina__options_help(out, tina__program_name(&at->options)), result = WELL;
    else {
        hear_of_processes(&before);
        result = run_all(at);
        (void)sigaction(SIGCHLD, &before, NULL);
    }
out:
    free(failures);
    free(at);
    return result;
}
