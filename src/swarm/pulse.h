/* Whether another process still moves, by the beats in its outcome. One thread. */
#ifndef TINA__SWARM_PULSE_H
#define TINA__SWARM_PULSE_H

#include "swarm/run.h"

typedef struct tina__pulse {
    uint64_t beat, since_ns; /* the latest, and when it was seen first */
} tina__pulse;

uint64_t tina__wall_ns(void);

void tina__pulse_begin(tina__pulse *pulse);
/* Only time without a beat counts, and all that it decides is when to give up. */
bool tina__pulse_is_gone(tina__pulse *pulse, const tina__outcome *outcome, uint64_t patience_ns);

/* Outcomes that processes share, zeroed. NULL: no memory. */
tina__outcome *tina__outcomes_open(size_t count);
void tina__outcomes_close(tina__outcome *outcomes, size_t count);

#endif
