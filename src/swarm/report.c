#include "swarm/report.h"

#include "swarm/faults_file.h"

#include <inttypes.h>
#include <string.h>

/* ---- Sums -------------------------------------------------------------------------------- */

typedef struct counter {
    const char *name;
    size_t offset;
} counter;

#define COUNTER(field)                                                                                                      \
    {                                                                                                                       \
#field, offsetof(tina_fault_counts, field)                                                                          \
    }

static const counter counters[] = {
    COUNTER(handler_crash),   COUNTER(init_crash),      COUNTER(message_drop),     COUNTER(partition),
    COUNTER(message_delay),   COUNTER(io_error),        COUNTER(connection_reset), COUNTER(short_io),
    COUNTER(io_delay),        COUNTER(pool_empty),      COUNTER(shard_stall),      COUNTER(shard_fault),
    COUNTER(datagram_loss),   COUNTER(datagram_double), COUNTER(disk_error),       COUNTER(disk_torn_write),
    COUNTER(disk_lost_write), COUNTER(disk_bit_rot),
};

enum { COUNTER_COUNT = sizeof counters / sizeof counters[0] };
TINA_STATIC_ASSERT(sizeof(tina_fault_counts) == COUNTER_COUNT * sizeof(uint64_t), "each kind of fault is counted");

static const char *const end_names[] = {[TINA_SIM_TICKS] = "ticks",
                                        [TINA_SIM_QUIET] = "quiet",
                                        [TINA_SIM_VIOLATION] = "violation",
                                        [TINA_SIM_STOPPED] = "stopped"};

static uint64_t count_at(const tina_fault_counts *counts, const counter *of)
{
    uint64_t count;
    memcpy(&count, (const char *)counts + of->offset, sizeof count);
    return count;
}

static bool has_report(const tina__outcome *outcome)
{
    return outcome->verdict == TINA__WELL || outcome->verdict == TINA__VIOLATION || outcome->verdict == TINA__UNREPEATABLE;
}

void tina__totals_add(tina__totals *totals, const tina__case *what, const tina__outcome *outcome)
{
    totals->seeds++;
    totals->failures += tina__has_failed(outcome);
    tina__marks_add(&totals->marks, &outcome->marks);
    if (!has_report(outcome))
        return;
    totals->events += outcome->report.events * (what->is_once ? 1 : 2);
    if (outcome->report.end <= TINA_SIM_STOPPED)
        totals->ends[outcome->report.end]++;
    for (size_t i = 0; i < COUNTER_COUNT; i++) {
        uint64_t sum = count_at(&totals->faults, &counters[i]) + count_at(&outcome->report.faults, &counters[i]);
        memcpy((char *)&totals->faults + counters[i].offset, &sum, sizeof sum);
    }
}

static uint64_t events_a_second(const tina__totals *totals)
{
    uint64_t elapsed_ms = totals->elapsed_ns / 1000000;
    return elapsed_ms == 0 ? 0 : totals->events * 1000 / elapsed_ms;
}

static void print_faults(FILE *to, const tina_fault_counts *counts)
{
    const char *between = "faults: ";
    for (size_t i = 0; i < COUNTER_COUNT; i++) {
        uint64_t count = count_at(counts, &counters[i]);
        if (count == 0)
            continue;
        fprintf(to, "%s%s %" PRIu64, between, counters[i].name, count);
        between = ", ";
    }
    fputs(between[0] == ',' ? "\n" : "faults: none\n", to);
}

static void print_ends(FILE *to, const tina__totals *totals)
{
    const char *between = "ends: ";
    for (size_t i = 0; i <= TINA_SIM_STOPPED; i++) {
        if (totals->ends[i] == 0)
            continue;
        fprintf(to, "%s%s %" PRIu64, between, end_names[i], totals->ends[i]);
        between = ", ";
    }
    fputs(between[0] == ',' ? "\n" : "ends: none\n", to);
}

static void print_points(FILE *to, const tina__marks *marks, const tina__points *points)
{
    const char *between = "never reached: ";
    for (uint32_t i = 0; i < points->count; i++) {
        if (tina__marks_have(marks, i))
            continue;
        fprintf(to, "%s%.*s", between, (int)points->of[i].length, points->of[i].name);
        between = ", ";
    }
    if (between[0] == ',')
        fputc('\n', to);
    else if (points->count != 0)
        fprintf(to, "reached: every point of %" PRIu32 "\n", points->count);
    if (points->others != 0)
        fprintf(to, "points: and %" PRIu32 " whose names are not plain, which are not counted\n", points->others);
    if (points->is_cut)
        fprintf(to, "points: only the first %d were counted\n", TINA__POINTS_MAX);
}

void tina__totals_print(FILE *to, const tina__totals *totals, const tina__points *points)
{
    fprintf(to, "%" PRIu64 " seeds, %" PRIu64 " failures\n", totals->seeds, totals->failures);
    fprintf(to, "events: %" PRIu64 ", %" PRIu64 " a second\n", totals->events, events_a_second(totals));
    print_ends(to, totals);
    print_faults(to, &totals->faults);
    print_points(to, &totals->marks, points);
}

void tina__progress_print(FILE *to, const tina__totals *totals, uint64_t seeds)
{
    fprintf(to, "\r\033[K%" PRIu64 " of %" PRIu64 " seeds, %" PRIu64 " failures, %" PRIu64 " events/s", totals->seeds, seeds,
            totals->failures, events_a_second(totals));
    fflush(to);
}

/* ---- One run ---------------------------------------------------------------------------------- */

void tina__run_print(FILE *to, const tina__case *what, const tina__outcome *outcome)
{
    const tina_sim_report *report = &outcome->report;
    const char *end = report->end <= TINA_SIM_STOPPED ? end_names[report->end] : "?";
    fprintf(to, "seed %" PRIu64 ": well; end: %s; %" PRIu64 " ticks, %" PRIu64 " events, %" PRIu64 " ms of made time\n",
            what->seed, end, report->ticks, report->events, report->now_ns / 1000000);
    print_faults(to, &report->faults);
    fprintf(to, "hash: %016" PRIx64 "\n", report->trace_hash);
}

/* ---- A failure ---------------------------------------------------------------------------------- */

static void print_moment(FILE *to, const tina__outcome *outcome)
{
    const char *run = outcome->is_second ? " of the second run" : "";
    if (outcome->verdict == TINA__VIOLATION)
        fprintf(to, "  in tick %" PRIu64 ", after %" PRIu64 " events\n", outcome->report.ticks, outcome->report.events);
    else if (outcome->verdict == TINA__UNREPEATABLE)
        fprintf(to, "  within %" PRIu64 " ticks, %" PRIu64 " events\n", outcome->report.ticks, outcome->report.events);
    else if (outcome->verdict != TINA__REFUSED)
        fprintf(to, "  some time after tick %" PRIu64 "%s\n", outcome->tick, run);
}

static void print_difference(FILE *to, const tina__outcome *outcome, const tina__difference *difference)
{
    bool has_same_events = outcome->report.trace_hash == outcome->second_hash;
    fprintf(to, "  hashes: %016" PRIx64 " and %016" PRIx64 "\n", outcome->report.trace_hash, outcome->second_hash);
    if (has_same_events && !difference->is_found) {
        fprintf(to, "  their events are the same, but not what they came to\n");
    } else if (difference->is_found) {
        const char *over = "(no more events)";
        fprintf(to, "  the first event that differs is line %" PRIu64 " of --events:\n", difference->line);
        fprintf(to, "    first run:  %s\n", difference->first[0] != '\0' ? difference->first : over);
        fprintf(to, "    second run: %s\n", difference->second[0] != '\0' ? difference->second : over);
    } else {
        fprintf(to, "  run again, to see where they part, they did not\n");
    }
    fprintf(to,
            "  mostly that is: time, randomness or threads of the machine's (see tina_now, tina_random), something that\n"
            "  outlives a run (static variables, files), the order of pointers or of a hash, memory that was never set\n");
}

static void print_both_ends(FILE *to, const tina__outcome *outcome)
{
    if (outcome->text[0] != '\0')
        fprintf(to, "  the first run ended with: %s\n", outcome->text);
    if (outcome->second_text[0] != '\0')
        fprintf(to, "  the second run ended with: %s\n", outcome->second_text);
}

void tina__failure_print(FILE *to, const tina__options *options, const tina__case *what, const tina__outcome *outcome,
                         const tina__difference *difference, const char *faults_path)
{
    char text[TINA__FAILURE_TEXT];
    tina__failure_text(outcome, text);
    fprintf(to, "seed %" PRIu64 " failed: %s\n", what->seed, text);
    tina__faults_write(to, &outcome->knobs, "  ");
    print_moment(to, outcome);
    if (difference != NULL)
        print_difference(to, outcome, difference);
    if (outcome->verdict == TINA__UNREPEATABLE)
        print_both_ends(to, outcome);
    fputs("again with:\n", to);
    tina__command_print(to, options, what, faults_path);
}
