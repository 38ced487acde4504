/*
 * A busy little system for simulations: on each shard citizens who send, call,
 * watch, spawn, set timers, hand transfers around and give sockets away, as their
 * shard's random stream has it, a server, and clients who connect to the next shard's server and
 * have their bytes echoed. It never ends by itself, and drains when it is told to.
 *
 * Every limit is set, so that the hostile twin has the same.
 */
#ifndef TINA_TEST_TOWN_H
#define TINA_TEST_TOWN_H

#include <tina/tina.h>

typedef struct town {
    tina_system_spec spec;
    _Atomic uint64_t wrong; /* bytes that came back as others than those that were sent */
} town;

/* The spec points into static memory and to the town. */
void town_init(town *of, size_t shard_count);

/* Every fault at a moderate rate. */
tina_faults town_faults(void);

#endif
