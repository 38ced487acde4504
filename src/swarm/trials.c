#include "swarm/trials.h"

#include "swarm/failure.h"

#include <inttypes.h>

/* ---- Sizes --------------------------------------------------------------------------------------- */

bool tina__has_events(const tina__outcome *outcome)
{
    return outcome->verdict == TINA__VIOLATION || outcome->verdict == TINA__UNREPEATABLE || outcome->verdict == TINA__WELL;
}

enum { TICK_BITS = 20 };

static uint64_t at_most(uint64_t value, uint32_t bits) { return value >> bits == 0 ? value : (1ull << bits) - 1; }

/* Timers are no events: of a program that does nothing else, ticks are all there is to see. */
uint64_t tina__cost_of(const tina__outcome *outcome)
{
    uint64_t events = tina__has_events(outcome) ? outcome->report.events : 0;
    uint64_t ticks = tina__has_events(outcome) ? outcome->report.ticks : outcome->tick;
    return at_most(events, 63 - TICK_BITS) << TICK_BITS | at_most(ticks, TICK_BITS);
}

uint64_t tina__ticks_of(const tina__outcome *outcome)
{
    uint64_t ticks = tina__has_events(outcome) ? outcome->report.ticks : outcome->tick + outcome->check_every;
    return ticks < outcome->ticks_max && ticks != 0 ? ticks : outcome->ticks_max;
}

uint32_t tina__count_on(const tina__knobs *knobs)
{
    uint32_t count = 0;
    for (tina__knob knob = 0; knob <= TINA__KNOB_LAST_LIMIT; knob++)
        count += tina__knob_is_on(knobs, knob);
    return count;
}

/* ---- Trying ------------------------------------------------------------------------------------------ */

static bool next_run(void *user, tina__case *what)
{
    tina__trials *at = user;
    if (at->left == 0 || at->runs >= at->runs_max)
        return false;
    *what = at->change;
    if (!at->keeps_seed)
        what->seed = at->first_seed + ++at->other_seeds;
    at->keeps_seed = false;
    at->left--;
    at->runs++;
    return true;
}

static bool take_run(void *user, const tina__case *what, const tina__outcome *outcome)
{
    tina__trials *at = user;
    uint64_t cost = tina__cost_of(outcome);
    bool is_worth_it = tina__is_same_failure(outcome, &at->wanted) && cost <= at->cost_max;
    if (is_worth_it && (!at->has_found || cost < tina__cost_of(&at->found_outcome))) {
        at->has_found = true;
        at->found = *what;
        at->found_outcome = *outcome;
    }
    return true;
}

static void tell(const tina__trials *at)
{
    if (at->progress == NULL)
        return;
    bool has_events = tina__has_events(&at->outcome);
    fprintf(at->progress,
            "\r\033[K%" PRIu32 " runs: seed %" PRIu64 ", %" PRIu64 " ticks, %" PRIu64 " %s, %" PRIu32 " settings", at->runs,
            at->best.seed, at->best.ticks, has_events ? at->outcome.report.events : at->outcome.tick,
            has_events ? "events" : "ticks to the last check", tina__count_on(&at->best.knobs));
    fflush(at->progress);
}

bool tina__try(tina__trials *at, const tina__case *change, uint32_t runs, bool keeps_seed, uint64_t cost_max)
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
    at->best = at->found;
    at->outcome = at->found_outcome;
    tell(at);
    return true;
}
