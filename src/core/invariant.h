/*
 * The structural checks of a shard: pools, lists and owners agree. O(what was
 * ever used); for audits and tests, on the shard's thread, between ticks or at
 * the end of one, when no handler runs.
 */
#ifndef TINA__CORE_INVARIANT_H
#define TINA__CORE_INVARIANT_H

#include "core/census.h"

/* NULL: the shard is sound; otherwise what is not, in a few words. Static storage. */
const char *tina__invariant_broken(const tina__shard *shard);

/* The same, with what was counted on the way: all of it where the shard is sound. */
const char *tina__invariant_census(const tina__shard *shard, tina__census *census);

#endif
