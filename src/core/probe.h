/*
 * What handlers may ask of the world that runs them for the sake of a test: a
 * chance, and to have it noted that a point was reached. A system that simply runs
 * has none.
 */
#ifndef TINA__CORE_PROBE_H
#define TINA__CORE_PROBE_H

#include "base/prng.h"

typedef struct tina__probe {
    tina__prng *chances;                              /* by shard */
    void (*on_reached)(void *user, const char *name); /* NULL: nobody wants to know */
    void *user;
} tina__probe;

#endif
