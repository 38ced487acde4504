/* The runner whole, with the library's tina_simulate or another in its place. The main thread. */
#ifndef TINA__SWARM_SWARM_H
#define TINA__SWARM_SWARM_H

#include "swarm/run.h"

#include <stdio.h>

/* Returns what main is to return. out: what it says; err: what is wrong with its arguments, and progress if it is a terminal. */
int tina__swarm_main(int argc, char **argv, const tina__subject *subject, FILE *out, FILE *err);

#endif
