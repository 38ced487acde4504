/*
 * One seed grows a tree of independent random streams, one for each concern and
 * each shard. A concern is appended to the list and never moved in it, so that a
 * change in one place does not shift the dice of another.
 */
#ifndef TINA__SIM_STREAMS_H
#define TINA__SIM_STREAMS_H

#include "base/prng.h"

typedef enum tina__stream {
    TINA__STREAM_SHARD,   /* tina_random, of a shard's first life */
    TINA__STREAM_LIVES,   /* seeds of the lives that follow */
    TINA__STREAM_MAYBE,   /* tina_maybe */
    TINA__STREAM_ORDER,   /* of the shards in a round */
    TINA__STREAM_HANDLER, /* crashes of handlers */
    TINA__STREAM_INIT,    /* and of inits */
    TINA__STREAM_DROP,    /* by source and destination */
    TINA__STREAM_DELAY,   /* by source and destination */
    TINA__STREAM_PARTITION,
    TINA__STREAM_POOL,
    TINA__STREAM_STALL,
    TINA__STREAM_WIPE,
    TINA__STREAM_NET, /* pieces, ports, windows */
    TINA__STREAM_IO_ERROR,
    TINA__STREAM_IO_RESET,
    TINA__STREAM_IO_SHORT,
    TINA__STREAM_IO_DELAY,
    TINA__STREAM_DATAGRAM_LOSS,
    TINA__STREAM_DATAGRAM_DOUBLE,
    TINA__STREAM_DISK_ERROR,
    TINA__STREAM_DISK_CRASH,
    TINA__STREAM_DISK_ROT,
} tina__stream;

/* The stream of a concern; index: the shard, or whatever else there are several of. */
void tina__stream_open(tina__prng *prng, uint64_t seed, tina__stream concern, uint32_t index);

#endif
