/*
 * A tripwire for simulations. It rings where the code of an isolate asks the machine
 * for what it has to ask the runtime for, or a run can't be repeated: time, chance
 * and memory. To be copied: two files, linked into the simulation's program.
 *
 * It works by being the program's clock_gettime, malloc and so on, and noticing who
 * calls: so it also catches what the C library does for an isolate, as in strdup or
 * fopen. It knows the usual doors, not every one. Sanitizers are the program's malloc already; under one it never rings.
 */
#ifndef EXAMPLES_SIM_TRIPWIRE_H
#define EXAMPLES_SIM_TRIPWIRE_H

#include <tina/tina.h>

/* The last line of make: the spec's types get handlers and inits that are watched. */
void tripwire_set(tina_system_spec *spec);

/* The first of the config's checkers: nobody has stepped on it since it was set. */
bool tripwire_check(const tina_sim *sim, uint64_t tick, char *why, size_t why_size, void *user);

/* Whether it is there at all. */
bool tripwire_works(void);

#endif
