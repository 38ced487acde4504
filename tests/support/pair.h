/*
 * Two that talk in a made world: the client, on shard 1, pings the server, on shard
 * 0, every other round. The server answers, but crashes of its third ping, and is
 * started again. The client's fifth timer stops the system.
 *
 * Every limit is set, so that the hostile twin has the same.
 */
#ifndef TINA_TEST_PAIR_H
#define TINA_TEST_PAIR_H

#include <tina/tina.h>

enum { PAIR_PING = TINA_TAG_USER, PAIR_PONG };

/* Points into static memory. No faults; the run ends by itself. */
void pair_init(tina_system_spec *spec, tina_sim_config *config);

#endif
