/*
 * The ledger from inside; for its own files alone. What each shard holds has been
 * counted (core/census.h) when the sums look at it.
 */
#ifndef TINA__SIM_LEDGER_INSIDE_H
#define TINA__SIM_LEDGER_INSIDE_H

#include "core/census.h"
#include "sim/ledger.h"

/* What was seen of a slot at the last check. */
typedef struct tina__slot_memory {
    uint32_t generation; /* 0: never used */
    uint32_t what;       /* whose it was, in a number; NONE: nobody's */
} tina__slot_memory;

typedef struct tina__shard_memory {
    tina__slot_memory *isolates, *descriptors, *operations, *timers, *transfers;
} tina__shard_memory;

/* What the net has done for a shard that has not collected it yet. */
typedef struct tina__ledger_untold {
    uint64_t sent, received; /* bytes */
    uint32_t accepted;       /* sockets */
} tina__ledger_untold;

/* How far two books of the same bytes are apart: by what nobody could count, and by no more. */
typedef struct tina__ledger_gap {
    uint64_t bytes;
    uint64_t losses; /* how often something went uncounted, when it was that wide */
} tina__ledger_gap;

struct tina__ledger {
    tina__census *census;         /* by shard, as are those that follow */
    tina__net_holdings *holdings; /* of its backend */
    tina__ledger_untold *untold;
    tina__shard_memory *memories;
    tina__slot_memory *slots; /* all of the memories' */
    tina__ledger_gap sent, received;
};

/* Each: NULL, or what does not hold, in a few words. Static storage. */

/* ledger_slots: nothing takes the place of another unnoticed. Remembers what it sees. */
size_t tina__ledger_slot_count(const tina__shard *shard);
void tina__ledger_remember(tina__shard_memory *memory, const tina__shard *shard, tina__slot_memory *slots);
const char *tina__ledger_slots_broken(tina__shard_memory *memory, const tina__shard *shard);

/* ledger_net: all shards'. */
void tina__ledger_read_untold(const tina__world *world, tina__ledger_untold *untold);

/* ledger_sums: what one side has given, the other has. */
const char *tina__ledger_shard_broken(const tina__ledger *ledger, const tina__world *world, uint32_t index);
const char *tina__ledger_messages_broken(const tina__world *world);
const char *tina__ledger_bytes_broken(tina__ledger *ledger, const tina__world *world);

/* ledger_gifts: what lies in messages is nobody else's. */
const char *tina__ledger_gifts_broken(const tina__world *world);

/* ledger_calls: each place for an answer is on its way, or owed, somewhere. */
const char *tina__ledger_calls_broken(const tina__world *world, uint32_t caller, uint32_t callee);

#endif
