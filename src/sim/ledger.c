#include "sim/ledger.h"

#include "core/damage.h"
#include "core/invariant.h"
#include "sim/ledger_inside.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- Making --------------------------------------------------------------------------------- */

static bool allocate(tina__ledger *ledger, const tina__world *world)
{
    size_t slot_count = 0;
    for (uint32_t i = 0; i < world->shard_count; i++)
        slot_count += tina__ledger_slot_count(world->shards[i].shard);
    ledger->census = calloc(world->shard_count, sizeof *ledger->census);
    ledger->holdings = calloc(world->shard_count, sizeof *ledger->holdings);
    ledger->untold = calloc(world->shard_count, sizeof *ledger->untold);
    ledger->memories = calloc(world->shard_count, sizeof *ledger->memories);
    ledger->slots = calloc(slot_count + 1, sizeof *ledger->slots);
    return ledger->census != NULL && ledger->holdings != NULL && ledger->untold != NULL && ledger->memories != NULL &&
           ledger->slots != NULL;
}

tina__ledger *tina__ledger_make(const tina__world *world)
{
    tina__ledger *ledger = calloc(1, sizeof *ledger);
    if (ledger == NULL)
        return NULL;
    if (!allocate(ledger, world)) {
        tina__ledger_destroy(ledger);
        return NULL;
    }
    tina__slot_memory *slots = ledger->slots;
    for (uint32_t i = 0; i < world->shard_count; i++) {
        tina__ledger_remember(&ledger->memories[i], world->shards[i].shard, slots);
        slots += tina__ledger_slot_count(world->shards[i].shard);
    }
    return ledger;
}

void tina__ledger_destroy(tina__ledger *ledger)
{
    if (ledger == NULL)
        return;
    free(ledger->slots);
    free(ledger->memories);
    free(ledger->untold);
    free(ledger->holdings);
    free(ledger->census);
    free(ledger);
}

/* ---- One shard --------------------------------------------------------------------------------- */

/* Each look is at a slot and its two neighbours. */
static const char *find_damage(const tina__shard *shard)
{
    for (uint32_t i = 0; i < shard->p.type_count; i++) {
        const tina__type *type = &shard->p.types[i];
        for (uint32_t slot = 1; slot <= type->pool.fresh; slot += 3) {
            const char *damage = tina__damage_around(type, tina__min_u32(slot, type->pool.fresh - 1));
            if (damage != NULL)
                return damage;
        }
    }
    return NULL;
}

static const char *look_at_shard(tina__ledger *ledger, const tina__world *world, uint32_t index)
{
    const tina__world_shard *ours = &world->shards[index];
    const char *broken = tina__invariant_census(ours->shard, &ledger->census[index]);
    if (broken == NULL)
        broken = find_damage(ours->shard);
    if (broken == NULL)
        broken = tina__ledger_slots_broken(&ledger->memories[index], ours->shard);
    if (broken != NULL)
        return broken;
    tina__net_read_holdings(ours->backend, &ledger->holdings[index]);
    return tina__ledger_shard_broken(ledger, world, index);
}

/* ---- All of them -------------------------------------------------------------------------------- */

static const char *look_between(tina__ledger *ledger, const tina__world *world)
{
    const char *broken = tina__ledger_messages_broken(world);
    if (broken == NULL)
        broken = tina__ledger_bytes_broken(ledger, world);
    if (broken == NULL)
        broken = tina__ledger_gifts_broken(world);
    return broken != NULL ? broken : tina__net_broken(world->net);
}

static const char *look_at_calls(const tina__world *world, char *text, size_t size)
{
    for (uint32_t i = 0; i < world->shard_count * world->shard_count; i++) {
        uint32_t caller = i / world->shard_count;
        uint32_t callee = i % world->shard_count;
        const char *broken = caller == callee ? NULL : tina__ledger_calls_broken(world, caller, callee);
        if (broken == NULL)
            continue;
        snprintf(text, size, "shards %u and %u: %s", caller, callee, broken);
        return text;
    }
    return NULL;
}

/* A shard that could not boot is left as it is, with all that it holds. */
static bool is_lost(const tina__world *world)
{
    for (uint32_t i = 0; i < world->shard_count; i++) {
        if (world->shards[i].shard->wipe != TINA__WIPE_NOT)
            return true;
    }
    return false;
}

const char *tina__ledger_broken(tina__ledger *ledger, const tina__world *world, char *text, size_t size)
{
    if (is_lost(world))
        return NULL;
    tina__ledger_read_untold(world, ledger->untold);
    for (uint32_t i = 0; i < world->shard_count; i++) {
        const char *broken = look_at_shard(ledger, world, i);
        if (broken == NULL)
            continue;
        snprintf(text, size, "shard %u: %s", i, broken);
        return text;
    }
    const char *broken = look_between(ledger, world);
    if (broken == NULL)
        return look_at_calls(world, text, size);
    snprintf(text, size, "all shards: %s", broken);
    return text;
}
