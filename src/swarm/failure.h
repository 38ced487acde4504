/* What went wrong in a run, in words, and whether two went wrong the same way. */
#ifndef TINA__SWARM_FAILURE_H
#define TINA__SWARM_FAILURE_H

#include "swarm/run.h"

#define TINA__FAILURE_TEXT 512
/* In one line. */
void tina__failure_text(const tina__outcome *outcome, char text[TINA__FAILURE_TEXT]);

/* The same verdict, and the same words up to the numbers in them. */
bool tina__is_same_failure(const tina__outcome *a, const tina__outcome *b);

#endif
