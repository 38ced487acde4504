/*
 * Where two runs of a case part: the first line of their events that differs. Each
 * runs in a process of its own and writes its events into a pipe; they are read in
 * step, so that a run of any length takes no memory.
 */
#ifndef TINA__SWARM_COMPARE_H
#define TINA__SWARM_COMPARE_H

#include "swarm/run.h"

enum { TINA__EVENT_TEXT = 256 };

typedef struct tina__difference {
    bool is_found;                /* false: this time they were the same, or they could not be run */
    uint64_t line;                /* from 1 on */
    char first[TINA__EVENT_TEXT]; /* "": that run had ended */
    char second[TINA__EVENT_TEXT];
} tina__difference;

/* The first run of one process with the second run of another, with what was drawn when it failed with this outcome. */
void tina__compare(const tina__subject *subject, const tina__case *what, const tina__outcome *outcome, uint32_t patience_s,
                   tina__difference *difference);

#endif
