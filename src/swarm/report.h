/* What the runs came to, in words. One thread. */
#ifndef TINA__SWARM_REPORT_H
#define TINA__SWARM_REPORT_H

#include "swarm/compare.h"
#include "swarm/failure.h"
#include "swarm/options.h"

#include <stdio.h>

/* Sums over runs. */
typedef struct tina__totals {
    uint64_t seeds, failures;
    uint64_t events; /* of all runs, the second ones too */
    uint64_t elapsed_ns;
    uint64_t ends[TINA_SIM_STOPPED + 1]; /* by tina_sim_end; who died has none */
    tina_fault_counts faults;            /* of the first runs */
    tina__marks marks;
} tina__totals;

void tina__totals_add(tina__totals *totals, const tina__case *what, const tina__outcome *outcome);
void tina__totals_print(FILE *to, const tina__totals *totals, const tina__points *points);
/* A line without an end, for a terminal. seeds: of how many. */
void tina__progress_print(FILE *to, const tina__totals *totals, uint64_t seeds);

/* One run that was well. */
void tina__run_print(FILE *to, const tina__case *what, const tina__outcome *outcome);
/*
 * A failure: its seed first, the command that repeats it last. difference: of a run
 * that could not be repeated, else NULL. faults_path: see tina__command_print.
 */
void tina__failure_print(FILE *to, const tina__options *options, const tina__case *what, const tina__outcome *outcome,
                         const tina__difference *difference, const char *faults_path);

#endif
