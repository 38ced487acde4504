/*
 * Damage: memory that is not as the runtime left it. Found by looking, in constant
 * time: at the red zones of an isolate and of its neighbours whenever one of them
 * begins, ends or faults; at the heads of the pools when one faults. The shard's
 * thread alone.
 */
#ifndef TINA__CORE_DAMAGE_H
#define TINA__CORE_DAMAGE_H

#include "core/shard.h"

/* What is damaged, in a few words, or NULL. */
const char *tina__damage_around(const tina__type *type, uint32_t slot);
const char *tina__damage_in_pools(const tina__shard *shard, const tina__type *type);

/* A slot that has never been used gets its zones. */
void tina__damage_paint(const tina__type *type, uint32_t slot);

#endif
