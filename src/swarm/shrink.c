#include "swarm/shrink.h"

#include "base/assert.h"
#include "swarm/failure.h"

#include <inttypes.h>

enum {
    RUNS_MAX = 400,
    RUNS_MAX_HANGING = 60, /* each costs our patience */
    SEEDS_A_CHANGE = 4,
    SEEDS_A_SEARCH = 16,
    SEARCHES = 4,
    WORTHWHILE = 10, /* so many times shorter, and it need not be made shorter still in another way */
    LOWERINGS = 4,   /* of one rate: to a sixteenth */
};

#define ANY_COST UINT64_MAX

typedef struct shrinker {
    tina__crew *crew;
    FILE *progress;
    tina__shrunk *best;
    tina__outcome wanted; /* the failure */
    uint64_t first_seed;  /* the others count up from it */
    uint32_t other_seeds; /* that were used */
    uint32_t runs_max;
    bool is_stuck; /* no processes */
    /* A change that is being tried: */
    tina__case change;
    uint32_t left;     /* runs of it that are still to begin */
    bool keeps_seed;   /* in the first of them */
    uint64_t cost_max; /* what it may cost to be worth it */
    bool has_found;
    tina__case found;
    tina__outcome found_outcome;
} shrinker;

/* ---- Sizes --------------------------------------------------------------------------------------- */

static bool has_events(const tina__outcome *outcome)
{
    return outcome->verdict == TINA__VIOLATION || outcome->verdict == TINA__UNREPEATABLE || outcome->verdict == TINA__WELL;
}

static uint64_t cost_of(const tina__outcome *outcome)
{
    return has_events(outcome) ? outcome->report.events : outcome->tick;
}

/* It has failed by then, if time has not jumped. */
static uint64_t ticks_of(const tina__outcome *outcome)
{
    uint64_t ticks = has_events(outcome) ? outcome->report.ticks : outcome->tick + outcome->check_every;
    return ticks < outcome->ticks_max && ticks != 0 ? ticks : outcome->ticks_max;
}

static uint32_t count_knobs(const tina__knobs *knobs)
{
    uint32_t count = 0;
    for (tina__knob knob = 0; knob <= TINA__KNOB_LAST_LIMIT; knob++)
        count += tina__knob_is_on(knobs, knob);
    return count;
}

/* ---- Trying ------------------------------------------------------------------------------------------ */

static bool next_run(void *user, tina__case *what)
{
    shrinker *at = user;
    if (at->left == 0 || at->best->runs >= at->runs_max)
        return false;
    *what = at->change;
    if (!at->keeps_seed)
        what->seed = at->first_seed + ++at->other_seeds;
    at->keeps_seed = false;
    at->left--;
    at->best->runs++;
    return true;
}

static bool take_run(void *user, const tina__case *what, const tina__outcome *outcome)
{
    shrinker *at = user;
    uint64_t cost = cost_of(outcome);
    bool is_worth_it = tina__is_same_failure(outcome, &at->wanted) && cost <= at->cost_max;
    if (is_worth_it && (!at->has_found || cost < cost_of(&at->found_outcome))) {
        at->has_found = true;
        at->found = *what;
        at->found_outcome = *outcome;
    }
    return true;
}

static void tell(const shrinker *at)
{
    const tina__shrunk *best = at->best;
    if (at->progress == NULL)
        return;
    fprintf(at->progress,
            "\r\033[K%" PRIu32 " runs: seed %" PRIu64 ", %" PRIu64 " ticks, %" PRIu64 " %s, %" PRIu32 " settings",
            best->runs, best->what.seed, best->what.ticks, cost_of(&best->outcome),
            has_events(&best->outcome) ? "events" : "ticks to the last check", count_knobs(&best->what.knobs));
    fflush(at->progress);
}

/* Runs it so many times, with its seed first if that is wanted, and keeps the cheapest. False: none was worth it. */
static bool try(shrinker *at, const tina__case *change, uint32_t runs, bool keeps_seed, uint64_t cost_max)
{
    const tina__work work = {.next = next_run, .take = take_run, .user = at};
    at->change = *change;
    at->left = runs;
    at->keeps_seed = keeps_seed;
    at->cost_max = cost_max;
    at->has_found = false;
    at->is_stuck = at->is_stuck || !tina__crew_work(at->crew, &work);
    if (at->is_stuck || !at->has_found)
        return false;
    at->best->what = at->found;
    at->best->outcome = at->found_outcome;
    tell(at);
    return true;
}

static bool try_change(shrinker *at, const tina__case *change, uint64_t cost_max)
{
    return try(at, change, SEEDS_A_CHANGE, true, cost_max);
}

/* ---- Changes ---------------------------------------------------------------------------------------------- */

/* Returns false where there is nothing to change. */
typedef bool (*edit_fn)(const shrinker *at, tina__knobs *knobs, tina__knob knob);

static bool is_part_of_another(tina__knob knob)
{
    return knob == TINA__KNOB_PARTITION_HEAL || knob == TINA__KNOB_SHARD_STALL_LENGTH;
}

static bool turn_off(const shrinker *at, tina__knobs *knobs, tina__knob knob)
{
    (void)at;
    if (!tina__knob_is_on(knobs, knob) || is_part_of_another(knob) || knob == TINA__KNOB_KEEP_SHARD_ORDER)
        return false;
    knobs->of[knob] = (tina__setting){0};
    if (knob == TINA__KNOB_PARTITION)
        knobs->of[TINA__KNOB_PARTITION_HEAL] = (tina__setting){0};
    if (knob == TINA__KNOB_SHARD_STALL)
        knobs->of[TINA__KNOB_SHARD_STALL_LENGTH] = (tina__setting){0};
    return true;
}

static bool is_rate(const tina__knobs *knobs, tina__knob knob)
{
    return tina__knob_form_of(knob) == TINA__FORM_RATIO && tina__knob_is_on(knobs, knob) && !is_part_of_another(knob);
}

static bool strike_more_often(const shrinker *at, tina__knobs *knobs, tina__knob knob)
{
    (void)at;
    tina__setting *rate = &knobs->of[knob];
    if (!is_rate(knobs, knob) || rate->second / rate->first < 16)
        return false;
    rate->second /= 8;
    return true;
}

static bool strike_less_often(const shrinker *at, tina__knobs *knobs, tina__knob knob)
{
    (void)at;
    tina__setting *rate = &knobs->of[knob];
    if (!is_rate(knobs, knob) || rate->second > UINT32_MAX / 2)
        return false;
    rate->second *= 2;
    return true;
}

static bool narrow(const shrinker *at, tina__knobs *knobs, tina__knob knob)
{
    (void)at;
    tina__setting *range = &knobs->of[knob];
    if (tina__knob_form_of(knob) != TINA__FORM_RANGE || range->second < 2)
        return false;
    if (range->first == range->second)
        range->first /= 2;
    range->second = range->first + (range->second - range->first) / 2;
    return range->second != 0;
}

static bool limit(const shrinker *at, tina__knobs *knobs, tina__knob knob)
{
    const tina__bounds *bounds = &at->best->outcome.bounds[knob];
    if (!tina__knob_is_limit(knob) || bounds->most == 0 || knob == TINA__KNOB_SHARD_RESTART_MAX ||
        knob == TINA__KNOB_TIMER_RESOLUTION_NS)
        return false;
    uint64_t now = tina__knob_is_on(knobs, knob) ? knobs->of[knob].first : bounds->most;
    uint64_t less = now / 8 > bounds->least ? now / 8 : bounds->least;
    knobs->of[knob].first = less;
    return less < now;
}

static bool change_one(shrinker *at, edit_fn edit, tina__knob knob, uint64_t cost_max)
{
    tina__case change = at->best->what;
    return edit(at, &change.knobs, knob) && try_change(at, &change, cost_max);
}

static bool change_all(shrinker *at, edit_fn edit, tina__knob first, tina__knob last, uint64_t cost_max)
{
    tina__case change = at->best->what;
    bool is_change = false;
    for (tina__knob knob = first; knob <= last; knob++)
        is_change |= edit(at, &change.knobs, knob);
    return is_change && try_change(at, &change, cost_max);
}

/* ---- Steps ---------------------------------------------------------------------------------------------------- */

/* All at once, or one after the other. */
static void drop(shrinker *at, tina__knob first, tina__knob last, uint64_t cost_max)
{
    if (change_all(at, turn_off, first, last, cost_max))
        return;
    for (tina__knob knob = first; knob <= last; knob++)
        change_one(at, turn_off, knob, cost_max);
}

static void order_shards(shrinker *at, uint64_t cost_max)
{
    tina__case change = at->best->what;
    change.knobs.of[TINA__KNOB_KEEP_SHARD_ORDER].first = 1;
    if (!tina__knob_is_on(&at->best->what.knobs, TINA__KNOB_KEEP_SHARD_ORDER))
        try_change(at, &change, cost_max);
}

/* What has failed before anything healed. */
static void drop_healing(shrinker *at, uint64_t cost_max)
{
    tina__case change = at->best->what;
    change.heals = false;
    if (at->best->what.heals)
        try_change(at, &change, cost_max);
}

static void drop_what_is_not_needed(shrinker *at, uint64_t cost_max)
{
    drop_healing(at, cost_max);
    drop(at, 0, TINA__KNOB_FIRST_LIMIT - 1, cost_max);
    drop(at, TINA__KNOB_FIRST_LIMIT, TINA__KNOB_LAST_LIMIT, cost_max);
    order_shards(at, cost_max);
}

static void sharpen(shrinker *at)
{
    for (tina__knob knob = 0; knob < TINA__KNOB_FIRST_LIMIT; knob++) {
        while (change_one(at, strike_more_often, knob, cost_of(&at->best->outcome) / 2))
            continue;
    }
}

/* What follows the failure is not run any more. Who heals does so after three quarters of whatever there is. */
static void end_with_the_failure(shrinker *at)
{
    if (at->wanted.verdict == TINA__VIOLATION && !at->best->what.heals)
        at->best->what.ticks = ticks_of(&at->best->outcome);
}

static uint64_t a_tenth_less(uint64_t cost) { return cost - cost / 10 - (cost != 0); }

static uint64_t a_quarter_more(uint64_t cost) { return cost + cost / 4; }

static void search_seeds(shrinker *at)
{
    for (uint32_t i = 0; i < SEARCHES; i++) {
        tina__case change = at->best->what;
        if (!try(at, &change, SEEDS_A_SEARCH, false, a_tenth_less(cost_of(&at->best->outcome))))
            return;
        end_with_the_failure(at);
    }
}

/* A failure is seen at the next check only: in a run of half the length, earlier. */
static void halve_ticks(shrinker *at)
{
    tina__case change = at->best->what;
    for (change.ticks /= 2; change.ticks != 0 && try(at, &change, SEEDS_A_SEARCH, true, ANY_COST); change.ticks /= 2) {
        end_with_the_failure(at);
        change = at->best->what;
    }
}

static bool try_ticks(shrinker *at, uint64_t ticks)
{
    tina__case change = at->best->what;
    change.ticks = ticks;
    return try(at, &change, 1, true, ANY_COST);
}

/* The last tick at which all was well, as far as is known. */
static uint64_t ticks_without_failure(const shrinker *at)
{
    const tina__outcome *outcome = &at->best->outcome;
    if (at->best->what.heals || at->wanted.verdict == TINA__UNREPEATABLE)
        return 0;
    if (at->wanted.verdict != TINA__VIOLATION)
        return outcome->tick;
    return outcome->report.ticks > outcome->check_every ? outcome->report.ticks - outcome->check_every : 0;
}

/* A run up to a tick is the beginning of a longer one: it fails from some tick on. */
static void cut_ticks(shrinker *at)
{
    uint64_t well = ticks_without_failure(at);
    uint64_t check_every = at->best->outcome.check_every;
    if (at->best->what.ticks > well + check_every)
        try_ticks(at, well + check_every);
    while (well + 1 < at->best->what.ticks && at->best->runs < at->runs_max && !at->is_stuck) {
        uint64_t middle = well + (at->best->what.ticks - well) / 2;
        if (!try_ticks(at, middle))
            well = middle;
    }
}

static void lower_rates(shrinker *at)
{
    for (tina__knob knob = 0; knob < TINA__KNOB_FIRST_LIMIT; knob++) {
        for (uint32_t i = 0; i < LOWERINGS && change_one(at, strike_less_often, knob, cost_of(&at->best->outcome)); i++)
            continue;
        for (uint32_t i = 0; i < LOWERINGS && change_one(at, narrow, knob, cost_of(&at->best->outcome)); i++)
            continue;
    }
}

static void tighten_limits(shrinker *at)
{
    for (tina__knob knob = TINA__KNOB_FIRST_LIMIT; knob <= TINA__KNOB_LAST_LIMIT; knob++)
        change_one(at, limit, knob, a_tenth_less(cost_of(&at->best->outcome)));
}

static void make_short(shrinker *at)
{
    sharpen(at);
    end_with_the_failure(at);
    search_seeds(at);
    halve_ticks(at);
    cut_ticks(at);
}

/* As few kinds of fault as it takes, and with these as short as can be. */
static void make_simple_first(shrinker *at)
{
    drop_what_is_not_needed(at, ANY_COST);
    make_short(at);
}

/* What is not needed may still make it happen sooner: it goes as far as the run stays short. */
static void make_short_first(shrinker *at)
{
    make_short(at);
    drop_what_is_not_needed(at, a_quarter_more(cost_of(&at->best->outcome)));
}

/* The simpler one, unless the other is much shorter. */
static void choose(shrinker *at, const tina__shrunk *simple)
{
    uint32_t runs = at->best->runs;
    if (cost_of(&at->best->outcome) > cost_of(&simple->outcome) / 2)
        *at->best = *simple;
    at->best->runs = runs;
}

static void shrink(shrinker *at)
{
    tina__shrunk begun = *at->best;
    make_simple_first(at);
    if (cost_of(&at->best->outcome) > cost_of(&begun.outcome) / WORTHWHILE) {
        tina__shrunk simple = *at->best;
        begun.runs = simple.runs;
        *at->best = begun;
        make_short_first(at);
        choose(at, &simple);
    }
    tighten_limits(at);
    lower_rates(at);
    drop_what_is_not_needed(at, a_quarter_more(cost_of(&at->best->outcome)));
    end_with_the_failure(at);
    cut_ticks(at);
}

/* ---- The whole ---------------------------------------------------------------------------------------------------- */

/* Who died has not said how many there were: those of the run that is just too short to fail. */
static uint64_t count_events(shrinker *at, const tina__case *what, const tina__outcome *outcome)
{
    if (has_events(outcome) || outcome->tick == 0)
        return outcome->report.events;
    tina__outcome wanted = at->wanted;
    tina__shrunk best = *at->best;
    uint32_t runs_max = at->runs_max;
    tina__case shorter = *what;
    shorter.ticks = outcome->tick;
    shorter.is_once = true;
    at->wanted = (tina__outcome){.verdict = TINA__WELL};
    at->runs_max = at->best->runs + 1; /* this one is always there */
    uint64_t events = try(at, &shorter, 1, true, ANY_COST) ? at->best->outcome.report.events : 0;
    best.runs = at->best->runs;
    *at->best = best;
    at->runs_max = runs_max;
    at->wanted = wanted;
    return events;
}

static tina__size size_of(shrinker *at, const tina__case *what, const tina__outcome *outcome)
{
    return (tina__size){ticks_of(outcome), count_events(at, what, outcome), count_knobs(&outcome->knobs)};
}

/* A second run is needed only for what a second run shows. */
static bool is_seen_at_once(const tina__outcome *outcome)
{
    return outcome->verdict != TINA__UNREPEATABLE && (!outcome->is_second || outcome->verdict == TINA__VIOLATION);
}

/* As it was, only with everything said that was drawn or made. */
static tina__case say_all(const tina__case *what, const tina__outcome *outcome)
{
    tina__case whole = *what;
    whole.source = TINA__GIVEN;
    whole.knobs = outcome->knobs;
    whole.ticks = outcome->ticks_max;
    whole.trace_path = whole.events_path = NULL;
    whole.is_once = what->is_once || is_seen_at_once(outcome);
    return whole;
}

/* As the command will run it: until now a second run was saved where it shows nothing. */
static bool fails_as_it_will_be_run(shrinker *at, bool is_once)
{
    tina__case last = at->best->what;
    last.is_once = is_once;
    at->runs_max = at->best->runs + 1;
    return try(at, &last, 1, true, ANY_COST);
}

bool tina__shrink(tina__crew *crew, const tina__case *what, const tina__outcome *outcome, FILE *progress,
                  tina__shrunk *shrunk)
{
    tina__assert(tina__has_failed(outcome));
    *shrunk = (tina__shrunk){.what = *what, .outcome = *outcome};
    shrinker at = {
        .crew = crew,
        .progress = progress,
        .best = shrunk,
        .wanted = *outcome,
        .first_seed = what->seed,
        .runs_max = outcome->verdict == TINA__HANGING ? RUNS_MAX_HANGING : RUNS_MAX,
    };
    tina__case whole = say_all(what, outcome);
    if (!try(&at, &whole, 1, true, ANY_COST))
        return false;
    shrunk->before = size_of(&at, &shrunk->what, &shrunk->outcome);
    shrink(&at);
    shrunk->after = size_of(&at, &shrunk->what, &shrunk->outcome);
    return fails_as_it_will_be_run(&at, what->is_once);
}

uint32_t tina__shrink_patience_s(const tina__outcome *outcome, uint32_t patience_s)
{
    if (outcome->verdict != TINA__HANGING)
        return patience_s;
    return patience_s / 20 > 1 ? patience_s / 20 : 1;
}
