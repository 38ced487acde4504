/*
 * The reader of the shards' flight recorders: takes what a shard has dumped to the
 * log sink, a line for each event. For the helper thread alone.
 */
#ifndef TINA__RUN_DUMP_H
#define TINA__RUN_DUMP_H

#include "run/system.h"

/* How far the dump of a shard has got. Zeroed before the first turn, and when one is over. */
typedef struct tina__dump {
    uint64_t log_position; /* up to there the shard's log lines come first */
    uint32_t written;      /* events */
    bool is_known;
} tina__dump;

/*
 * Writes some of what the shard has dumped, if it has, not so much that other
 * shards' lines wait for long; nothing yet, while log lines that are older than the
 * dump have not been taken. True: there is more.
 */
bool tina__dump_turn(const tina_system *system, size_t shard, tina__dump *dump);

#endif
