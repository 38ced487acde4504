/*
 * One case: what make says for a seed, with what the options, the swarm or a file
 * make of it, run once or twice; and what came of it.
 *
 * It runs in a process of its own (crew.h). The outcome lies in memory that the
 * process which waits for it sees too, and is written as the run goes: who dies in
 * the middle has said how far it came.
 */
#ifndef TINA__SWARM_RUN_H
#define TINA__SWARM_RUN_H

#include "swarm/draw.h"
#include "swarm/points.h"

#include <stdatomic.h>
#include <tina/sim_main.h>

typedef tina_status (*tina__simulate_fn)(const tina_system_spec *spec, const tina_sim_config *config,
                                         tina_sim_report *report, tina_error *error);

/* What is put to the test; the same for all cases. */
typedef struct tina__subject {
    tina_sim_make_fn make;
    tina__simulate_fn simulate;
    tina__points *points;
} tina__subject;

typedef enum tina__source {
    TINA__AS_MADE, /* make says what goes wrong */
    TINA__DRAWN,   /* and the seed says the rest */
    TINA__GIVEN,   /* the case's knobs */
} tina__source;

typedef struct tina__case {
    uint64_t seed;
    uint64_t ticks;                       /* 0: make's */
    uint8_t source;                       /* tina__source */
    bool heals;                           /* after three quarters of the ticks, or at: */
    uint64_t heal_at;                     /* 0: not said */
    bool is_once;                         /* no second run */
    bool writes_second;                   /* events_path is the second run's, otherwise the first's */
    tina__knobs knobs;                    /* where they are given */
    bool is_alone;                        /* nobody else writes the files that make names: they are written */
    const char *trace_path, *events_path; /* NULL: make's, or none */
} tina__case;

typedef enum tina__verdict {
    TINA__UNDECIDED, /* it still runs, or died */
    TINA__WELL,
    TINA__VIOLATION,    /* of an invariant; text: which */
    TINA__UNREPEATABLE, /* the second run was another */
    TINA__REFUSED,      /* tina_simulate has failed; number: its tina_status; text: why */
    TINA__WRONG,        /* what was asked for can't be run; number: its tina_status; text: why: TINA_INVALID: make's spec
                           or config, or what a file or the options made of it; others: a file that can't be written */
    TINA__SIGNALLED,    /* it died; number: by which signal; text: what its last words were, if any */
    TINA__EXITED,       /* in the middle of a run; number: its status */
    TINA__HANGING,      /* it was ended: nothing moved any more */
} tina__verdict;

#define TINA__OUTCOME_TEXT 320

typedef struct tina__outcome {
    _Atomic uint64_t beat; /* goes up as long as it moves; relaxed: nothing is read because of it */
    uint8_t verdict;       /* tina__verdict; another process reads it, and the rest, when this one has ended */
    bool is_second;        /* that is as far as it came */
    int number;            /* see tina__verdict */
    char text[TINA__OUTCOME_TEXT];
    uint64_t tick;                         /* of the latest check */
    uint64_t ticks_max;                    /* of the config, none left open */
    uint64_t heal_at;                      /* the same; 0: never */
    bool heals_anyhow;                     /* because make says so */
    uint32_t check_every;                  /* the same */
    tina__knobs knobs;                     /* what struck, and the limits that were not make's */
    tina__bounds bounds[TINA__KNOB_COUNT]; /* what limits of make's spec may be set to; of a wrong spec zeroed */
    tina_sim_report report;                /* of the first run; zeroed where there is none */
    uint64_t second_hash;
    char second_text[TINA__OUTCOME_TEXT]; /* what the second run ended with; "": well */
    tina__marks marks;
} tina__outcome;

/* Runs it, and says what it came to. outcome is zeroed. */
void tina__run(const tina__subject *subject, const tina__case *what, tina__outcome *outcome);

static inline bool tina__has_failed(const tina__outcome *outcome)
{
    return outcome->verdict != TINA__WELL && outcome->verdict != TINA__WRONG;
}

#endif
