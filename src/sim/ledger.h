/*
 * The checkers of a run: what must hold of all shards together, whenever none of
 * them is in a tick. Each shard's own structure (core/invariant.h), and across
 * shards, wires and net: messages, bytes, descriptors, buffers, operations, timers
 * and transfers are conserved; generations only grow; every owner is alive; the
 * tree has its shape. O(what is alive or was ever used). One thread.
 */
#ifndef TINA__SIM_LEDGER_H
#define TINA__SIM_LEDGER_H

#include "sim/world.h"

typedef struct tina__ledger tina__ledger;

/* NULL: no memory. Keeps what it has to remember from one check to the next. */
tina__ledger *tina__ledger_make(const tina__world *world);
void tina__ledger_destroy(tina__ledger *ledger); /* NULL: does nothing */

/* NULL: all is well; or what does not hold, in at most size bytes at text. */
const char *tina__ledger_broken(tina__ledger *ledger, const tina__world *world, char *text, size_t size);

#endif
