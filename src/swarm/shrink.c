#include "swarm/shrink.h"

#include "base/assert.h"
#include "swarm/edits.h"
#include "swarm/trials.h"

enum {
    RUNS_MAX = 400,
    RUNS_MAX_HANGING = 60, /* each costs our patience */
    SEEDS_A_CHANGE = 4,
    SEEDS_A_SEARCH = 16,
    SEARCHES = 4,
    CONFIRMATIONS = 8, /* of what is not repeatable, and so may not be seen in one of them */
    WORTHWHILE = 10,   /* so many times shorter, and it need not be made shorter still in another way */
    LOWERINGS = 4,     /* of one rate: to a sixteenth */
};

/* ---- Changes ---------------------------------------------------------------------------------------------- */

static bool try_change(tina__trials *at, const tina__case *change, uint64_t cost_max)
{
    return tina__try(at, change, SEEDS_A_CHANGE, true, cost_max);
}

static bool change_one(tina__trials *at, tina__edit_fn edit, tina__knob knob, uint64_t cost_max)
{
    tina__case change = at->best;
    return edit(&change.knobs, knob, &at->outcome.bounds[knob]) && try_change(at, &change, cost_max);
}

static bool change_all(tina__trials *at, tina__edit_fn edit, tina__knob first, tina__knob last, uint64_t cost_max)
{
    tina__case change = at->best;
    bool is_change = false;
    for (tina__knob knob = first; knob <= last; knob++)
        is_change |= edit(&change.knobs, knob, &at->outcome.bounds[knob]);
    return is_change && try_change(at, &change, cost_max);
}

/* ---- Steps ---------------------------------------------------------------------------------------------------- */

/* All at once, or one after the other. */
static void drop(tina__trials *at, tina__knob first, tina__knob last, uint64_t cost_max)
{
    if (change_all(at, tina__edit_off, first, last, cost_max))
        return;
    for (tina__knob knob = first; knob <= last; knob++)
        change_one(at, tina__edit_off, knob, cost_max);
}

static void order_shards(tina__trials *at, uint64_t cost_max)
{
    tina__case change = at->best;
    change.knobs.of[TINA__KNOB_KEEP_SHARD_ORDER].first = 1;
    if (!tina__knob_is_on(&at->best.knobs, TINA__KNOB_KEEP_SHARD_ORDER))
        try_change(at, &change, cost_max);
}

/* What has failed before anything healed. */
static void drop_healing(tina__trials *at, uint64_t cost_max)
{
    tina__case change = at->best;
    change.heals = false;
    change.heal_at = 0;
    if (at->best.heal_at != 0 && !at->outcome.heals_anyhow)
        try_change(at, &change, cost_max);
}

static void drop_what_is_not_needed(tina__trials *at, uint64_t cost_max)
{
    drop_healing(at, cost_max);
    drop(at, 0, TINA__KNOB_FIRST_LIMIT - 1, cost_max);
    drop(at, TINA__KNOB_FIRST_LIMIT, TINA__KNOB_LAST_LIMIT, cost_max);
    order_shards(at, cost_max);
}

static void sharpen(tina__trials *at)
{
    for (tina__knob knob = 0; knob < TINA__KNOB_FIRST_LIMIT; knob++) {
        while (change_one(at, tina__edit_more_often, knob, tina__cost_of(&at->outcome) / 2))
            continue;
    }
}

/* What follows the failure is not run any more. Healing that had not begun does not matter. */
static void end_with_the_failure(tina__trials *at)
{
    tina__case *what = &at->best;
    uint64_t ticks = tina__ticks_of(&at->outcome);
    if (at->wanted.verdict != TINA__VIOLATION || (what->heal_at != 0 && ticks >= what->heal_at))
        return;
    what->ticks = ticks;
    what->heal_at = 0;
}

/* Whoever heals keeps its time for that: with less, a sound system would not be quiet either. */
static uint64_t rest_of(const tina__case *what) { return what->heal_at != 0 ? what->ticks - what->heal_at : 0; }

static void set_ticks(tina__case *what, uint64_t ticks)
{
    uint64_t rest = rest_of(what);
    tina__assert(ticks > rest);
    what->ticks = ticks;
    if (what->heal_at != 0)
        what->heal_at = ticks - rest;
}

static uint64_t a_tenth_less(uint64_t cost) { return cost - cost / 10 - (cost != 0); }

static uint64_t a_quarter_more(uint64_t cost) { return cost + cost / 4; }

static void search_seeds(tina__trials *at)
{
    for (uint32_t i = 0; i < SEARCHES && tina__cost_of(&at->outcome) != 0; i++) {
        tina__case change = at->best;
        if (!tina__try(at, &change, SEEDS_A_SEARCH, false, a_tenth_less(tina__cost_of(&at->outcome))))
            return;
        end_with_the_failure(at);
    }
}

/* With a tenth fewer ticks, what fails is smaller, and what does not costs little. */
static void search_seeds_with_what_is_left(tina__trials *at)
{
    while (at->runs < at->runs_max && !at->is_stuck) {
        tina__case change = at->best;
        uint64_t rest = rest_of(&change), ticks = change.ticks - rest;
        if (ticks < 2)
            return;
        set_ticks(&change, rest + ticks - ticks / 10 - (ticks < 10));
        if (tina__try(at, &change, SEEDS_A_SEARCH, false, tina__cost_of(&at->outcome)))
            end_with_the_failure(at);
    }
}

/* A failure is seen at the next check only: in a run of half the length, earlier. */
static void halve_ticks(tina__trials *at)
{
    bool is_shorter = true;
    while (is_shorter) {
        tina__case change = at->best;
        uint64_t rest = rest_of(&change), half = (change.ticks - rest) / 2;
        if (half == 0)
            return;
        set_ticks(&change, rest + half);
        is_shorter = tina__try(at, &change, SEEDS_A_SEARCH, true, TINA__ANY_COST);
        end_with_the_failure(at);
    }
}

static bool try_ticks(tina__trials *at, uint64_t ticks)
{
    tina__case change = at->best;
    set_ticks(&change, ticks);
    return tina__try(at, &change, 1, true, TINA__ANY_COST);
}

/* The last tick at which all was well, as far as is known. */
static uint64_t ticks_without_failure(const tina__trials *at)
{
    const tina__outcome *outcome = &at->outcome;
    if (at->best.heal_at != 0 || at->wanted.verdict == TINA__UNREPEATABLE)
        return rest_of(&at->best);
    if (at->wanted.verdict != TINA__VIOLATION)
        return outcome->tick;
    return outcome->report.ticks > outcome->check_every ? outcome->report.ticks - outcome->check_every : 0;
}

/* A run up to a tick is the beginning of a longer one: it fails from some tick on. */
static void cut_ticks(tina__trials *at)
{
    uint64_t well = ticks_without_failure(at);
    uint64_t check_every = at->outcome.check_every;
    if (at->best.ticks > well + check_every)
        try_ticks(at, well + check_every);
    while (well + 1 < at->best.ticks && at->runs < at->runs_max && !at->is_stuck) {
        uint64_t middle = well + (at->best.ticks - well) / 2;
        if (!try_ticks(at, middle))
            well = middle;
    }
}

static void lower_rates(tina__trials *at)
{
    for (tina__knob knob = 0; knob < TINA__KNOB_FIRST_LIMIT; knob++) {
        for (uint32_t i = 0; i < LOWERINGS && change_one(at, tina__edit_less_often, knob, tina__cost_of(&at->outcome)); i++)
            continue;
        for (uint32_t i = 0; i < LOWERINGS && change_one(at, tina__edit_narrower, knob, tina__cost_of(&at->outcome)); i++)
            continue;
    }
}

static void tighten_limits(tina__trials *at)
{
    for (tina__knob knob = TINA__KNOB_FIRST_LIMIT; knob <= TINA__KNOB_LAST_LIMIT; knob++)
        change_one(at, tina__edit_tighter, knob, a_tenth_less(tina__cost_of(&at->outcome)));
}

static void make_short(tina__trials *at)
{
    sharpen(at);
    end_with_the_failure(at);
    search_seeds(at);
    halve_ticks(at);
    cut_ticks(at);
}

/* As few kinds of fault as it takes, and with these as short as can be. */
static void make_simple_first(tina__trials *at)
{
    drop_what_is_not_needed(at, TINA__ANY_COST);
    make_short(at);
}

/* What is not needed may still make it happen sooner: it goes as far as the run stays short. */
static void make_short_first(tina__trials *at)
{
    make_short(at);
    drop_what_is_not_needed(at, a_quarter_more(tina__cost_of(&at->outcome)));
}

static void go_back(tina__trials *at, const tina__trials *before)
{
    at->best = before->best;
    at->outcome = before->outcome;
}

/* Short first, if that is much shorter than simple first was. */
static void try_the_other_way(tina__trials *at, const tina__trials *begun)
{
    tina__trials simple = *at;
    go_back(at, begun);
    make_short_first(at);
    if (tina__cost_of(&at->outcome) > tina__cost_of(&simple.outcome) / 2)
        go_back(at, &simple);
}

static void shrink(tina__trials *at)
{
    tina__trials begun = *at;
    make_simple_first(at);
    if (tina__cost_of(&at->outcome) > tina__cost_of(&begun.outcome) / WORTHWHILE)
        try_the_other_way(at, &begun);
    tighten_limits(at);
    lower_rates(at);
    drop_what_is_not_needed(at, a_quarter_more(tina__cost_of(&at->outcome)));
    end_with_the_failure(at);
    cut_ticks(at);
    search_seeds_with_what_is_left(at);
}

/* ---- The whole ---------------------------------------------------------------------------------------------------- */

/* Who died has not said how many there were: those of the run that is just too short to fail. */
static uint64_t count_events(tina__trials *at)
{
    if (tina__has_events(&at->outcome) || at->outcome.tick == 0)
        return at->outcome.report.events;
    tina__trials aside = *at;
    tina__case shorter = at->best;
    shorter.ticks = at->outcome.tick;
    shorter.is_once = true;
    if (shorter.heal_at >= shorter.ticks)
        shorter.heal_at = 0;
    aside.progress = NULL;
    aside.wanted = (tina__outcome){.verdict = TINA__WELL};
    aside.runs_max++; /* this one is always there */
    bool is_well = tina__try(&aside, &shorter, 1, true, TINA__ANY_COST);
    at->runs = aside.runs;
    return is_well ? aside.outcome.report.events : 0;
}

static tina__size size_of_best(tina__trials *at)
{
    return (tina__size){tina__ticks_of(&at->outcome), count_events(at), tina__count_on(&at->outcome.knobs)};
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
    whole.heal_at = outcome->heal_at < whole.ticks ? outcome->heal_at : 0;
    whole.heals = false;
    whole.is_alone = false;
    whole.trace_path = whole.events_path = NULL;
    whole.is_once = what->is_once || is_seen_at_once(outcome);
    return whole;
}

/* What is not repeatable does not fail each time. */
static bool fails_at_last(tina__trials *at, const tina__case *what)
{
    uint32_t left = at->wanted.verdict == TINA__UNREPEATABLE ? CONFIRMATIONS : 1;
    at->runs_max += left; /* these are always there */
    while (left > 0 && !tina__try(at, what, 1, true, TINA__ANY_COST))
        left--;
    return left > 0;
}

/* As it was run at first, if that fails too: until now a second run was saved where it shows nothing. Else once. */
static void run_as_at_first(tina__trials *at, bool is_once)
{
    tina__case last = at->best;
    last.is_once = is_once;
    (void)fails_at_last(at, &last);
}

bool tina__shrink(tina__crew *crew, const tina__case *what, const tina__outcome *outcome, FILE *progress,
                  tina__shrunk *shrunk)
{
    tina__assert(tina__has_failed(outcome));
    tina__trials at = {
        .crew = crew,
        .progress = progress,
        .wanted = *outcome,
        .first_seed = what->seed,
        .runs_max = outcome->verdict == TINA__HANGING ? RUNS_MAX_HANGING : RUNS_MAX,
    };
    tina__case whole = say_all(what, outcome);
    if (!fails_at_last(&at, &whole))
        return false;
    shrunk->before = size_of_best(&at);
    shrink(&at);
    shrunk->after = size_of_best(&at);
    run_as_at_first(&at, what->is_once);
    shrunk->what = at.best;
    shrunk->outcome = at.outcome;
    shrunk->runs = at.runs;
    return true;
}

uint32_t tina__shrink_patience_s(const tina__outcome *outcome, uint32_t patience_s)
{
    if (outcome->verdict != TINA__HANGING)
        return patience_s;
    return patience_s / 20 > 1 ? patience_s / 20 : 1;
}
