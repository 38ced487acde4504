#include "swarm/run.h"

#include "base/assert.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TICKS_MAX   1000000u /* tina_sim_config's own defaults */
#define CHECK_EVERY 100u

/* ---- Between the user's functions and the library ------------------------------------------ */

/* What stands in their place hands on, with what was theirs. */
typedef struct watcher {
    const tina__subject *subject;
    tina__outcome *outcome;
    tina_sim_config config; /* as it was without us */
    tina_system_spec spec;
} watcher;

static void beat(tina__outcome *outcome) { atomic_fetch_add_explicit(&outcome->beat, 1, memory_order_relaxed); }

static bool check(const tina_sim *sim, uint64_t tick, char *why, size_t why_size, void *user)
{
    const watcher *watch = user;
    const tina_sim_config *theirs = &watch->config;
    watch->outcome->tick = tick;
    beat(watch->outcome);
    for (size_t i = 0; i < theirs->checker_count; i++) {
        snprintf(why, why_size, "checker %zu", i);
        if (!theirs->checkers[i](sim, tick, why, why_size, theirs->checker_user))
            return false;
    }
    return true;
}

static void reached(void *user, const char *name)
{
    const watcher *watch = user;
    tina__points_mark(watch->subject->points, &watch->outcome->marks, name);
    if (watch->config.on_reached != NULL)
        watch->config.on_reached(watch->config.reached_user, name);
}

static void log_line(void *user, int shard, tina_level level, const char *line, size_t length)
{
    const watcher *watch = user;
    watch->spec.log_sink(watch->spec.log_user, shard, level, line, length);
}

static void broken(void *user, const char *what)
{
    const watcher *watch = user;
    snprintf(watch->outcome->text, sizeof watch->outcome->text, "%s", what);
    if (watch->spec.on_broken != NULL)
        watch->spec.on_broken(watch->spec.log_user, what);
}

static const tina_checker_fn our_checkers[] = {check};

static void stand_between(watcher *watch, tina_system_spec *spec, tina_sim_config *config)
{
    watch->spec = *spec;
    watch->config = *config;
    spec->log_user = watch;
    spec->log_sink = spec->log_sink != NULL ? log_line : NULL;
    spec->on_broken = broken;
    config->checkers = our_checkers;
    config->checker_count = 1;
    config->checker_user = watch;
    config->on_reached = reached;
    config->reached_user = watch;
}

/* ---- What a run is given -------------------------------------------------------------------------- */

static void settle_ticks(const tina__case *what, tina_sim_config *config)
{
    if (what->ticks != 0)
        config->ticks_max = what->ticks;
    if (config->ticks_max == 0)
        config->ticks_max = TICKS_MAX;
    if (what->heal_at != 0)
        config->heal_at_tick = what->heal_at;
    else if (what->heals)
        config->heal_at_tick = config->ticks_max - config->ticks_max / 4;
}

/* A timeline is that of the first run, and not written over. Files of make's that several would write, none writes. */
static void settle_paths(const tina__case *what, bool is_second, tina_sim_config *config)
{
    if (!what->is_alone)
        config->trace_path = config->events_path = NULL;
    if (is_second)
        config->trace_path = config->events_path = NULL;
    else if (what->trace_path != NULL)
        config->trace_path = what->trace_path;
    if (what->events_path != NULL)
        config->events_path = is_second == what->writes_second ? what->events_path : NULL;
}

/* A spec that is wrong is drawn nothing for: tina_simulate will say what is wrong. */
static void settle_knobs(const tina__case *what, uint32_t attempt, tina_system_spec *spec, tina_sim_config *config,
                         tina__outcome *outcome)
{
    bool is_right = tina_spec_check(spec, NULL) == TINA_OK;
    memset(outcome->bounds, 0, sizeof outcome->bounds);
    if (is_right)
        tina__limit_bounds(spec, outcome->bounds);
    if (what->source == TINA__GIVEN)
        outcome->knobs = what->knobs;
    else if (what->source == TINA__DRAWN && is_right)
        tina__draw(config->seed, attempt, spec, config, &outcome->knobs);
    else
        tina__knobs_take(&outcome->knobs, config);
    tina__knobs_put(&outcome->knobs, spec, config);
}

/* Healing that never begins demands nothing. */
static bool heals_in_time(const tina__case *what, const tina_sim_config *config, tina_error *error)
{
    bool is_wanted = what->heals || what->heal_at != 0;
    if (!is_wanted || config->heal_at_tick < config->ticks_max)
        return true;
    snprintf(error->path, sizeof error->path, "heal_at_tick");
    snprintf(error->message, sizeof error->message, "must be below the %" PRIu64 " rounds of the run, not %" PRIu64,
             config->ticks_max, config->heal_at_tick);
    return false;
}

static tina_status run_attempt(const tina__subject *subject, const tina__case *what, uint32_t attempt,
                               tina__outcome *outcome, tina_sim_report *report, tina_error *error)
{
    tina_system_spec spec = {0};
    tina_sim_config config = {.seed = what->seed};
    watcher watch = {.subject = subject, .outcome = outcome};
    subject->make(what->seed, &spec, &config);
    outcome->heals_anyhow = config.heal_at_tick != 0;
    settle_ticks(what, &config);
    settle_paths(what, outcome->is_second, &config);
    settle_knobs(what, attempt, &spec, &config, outcome);
    outcome->ticks_max = config.ticks_max;
    outcome->heal_at = config.heal_at_tick;
    outcome->check_every = config.check_every != 0 ? config.check_every : CHECK_EVERY;
    outcome->tick = 0;
    stand_between(&watch, &spec, &config);
    beat(outcome);
    *report = (tina_sim_report){0};
    *error = (tina_error){0};
    if (!heals_in_time(what, &watch.config, error))
        return TINA_INVALID;
    return subject->simulate(&spec, &config, report, error);
}

static bool has_limits(const tina__knobs *knobs)
{
    for (tina__knob knob = TINA__KNOB_FIRST_LIMIT; knob <= TINA__KNOB_LAST_LIMIT; knob++) {
        if (tina__knob_is_on(knobs, knob))
            return true;
    }
    return false;
}

/* It did not even begin, and limits that were drawn may be why. */
static bool may_be_drawn_again(const tina__case *what, const tina__outcome *outcome, tina_status status)
{
    bool is_refusal = status == TINA_INVALID || status == TINA_POOL_EXHAUSTED || status == TINA_INIT_FAILED;
    return is_refusal && what->source == TINA__DRAWN && has_limits(&outcome->knobs);
}

/* ---- What it came to ------------------------------------------------------------------------------- */

static void say(tina__outcome *outcome, tina__verdict verdict, int number, const char *text)
{
    outcome->number = number;
    snprintf(outcome->text, sizeof outcome->text, "%s", text);
    outcome->verdict = (uint8_t)verdict;
}

/* "": it ended well. */
static void say_end(tina_status status, const tina_sim_report *report, const tina_error *error,
                    char text[TINA__OUTCOME_TEXT])
{
    if (status == TINA_OK)
        snprintf(text, TINA__OUTCOME_TEXT, "%s", report->end == TINA_SIM_VIOLATION ? report->violation : "");
    else
        snprintf(text, TINA__OUTCOME_TEXT, "%s: %s%s%s", tina_status_name(status), error->path,
                 error->path[0] != '\0' ? ": " : "", error->message);
}

/* Not what was run is to blame, but what it was to be run with. */
static bool is_wrong(tina_status status, const tina_error *error)
{
    return status == TINA_INVALID || strcmp(error->path, "trace_path") == 0 || strcmp(error->path, "events_path") == 0;
}

static void judge(tina__outcome *outcome, tina_status status, const tina_error *error)
{
    char text[TINA__OUTCOME_TEXT];
    say_end(status, &outcome->report, error, text);
    if (status != TINA_OK)
        say(outcome, is_wrong(status, error) ? TINA__WRONG : TINA__REFUSED, (int)status, text);
    else if (outcome->report.end == TINA_SIM_VIOLATION)
        say(outcome, TINA__VIOLATION, 0, outcome->report.violation);
    else
        say(outcome, TINA__WELL, 0, "");
}

/* The hash is of events alone: what a checker remembers, it does not show. */
static bool is_same_run(const tina_sim_report *first, tina_status status, const tina_sim_report *second)
{
    return status == TINA_OK && second->trace_hash == first->trace_hash && second->end == first->end &&
           second->ticks == first->ticks && strcmp(second->violation, first->violation) == 0;
}

/* Of two runs that differ, it does not matter what they came to. */
static void judge_second(tina__outcome *outcome, tina__verdict first, tina_status status, const tina_sim_report *second,
                         const tina_error *error)
{
    outcome->second_hash = second->trace_hash;
    say_end(status, second, error, outcome->second_text);
    outcome->verdict = (uint8_t)(is_same_run(&outcome->report, status, second) ? first : TINA__UNREPEATABLE);
}

void tina__run(const tina__subject *subject, const tina__case *what, tina__outcome *outcome)
{
    tina_error error;
    tina_sim_report second;
    uint32_t attempt = 0;
    tina_status status = run_attempt(subject, what, attempt, outcome, &outcome->report, &error);
    while (may_be_drawn_again(what, outcome, status) && attempt + 1 < TINA__DRAWS_MAX)
        status = run_attempt(subject, what, ++attempt, outcome, &outcome->report, &error);
    judge(outcome, status, &error);
    tina__verdict first = outcome->verdict;
    if (status != TINA_OK || what->is_once)
        return;
    outcome->is_second = true;
    outcome->verdict = TINA__UNDECIDED;
    status = run_attempt(subject, what, attempt, outcome, &second, &error);
    judge_second(outcome, first, status, &second, &error);
}
