/* A rig whose shards talk through wires. Include it after <cmocka.h>; everything here may fail the test. */
#ifndef TINA_TEST_WIRED_H
#define TINA_TEST_WIRED_H

#include "support/rig.h"

#include "core/invariant.h"
#include "core/stats.h"
#include "sim/wire.h"

#include <string.h>

#define WIRED_ROUND_NS   RIG_MS
#define WIRED_ROUNDS_MAX 100000

typedef struct wired {
    rig_system *rig;
    tina__wires wires;
    tina__faults faults;
    bool has_wires;                                 /* false: as in production, to compare */
    uint32_t heads[RIG_SHARDS_MAX][RIG_SHARDS_MAX]; /* by source and destination: where they were last seen */
} wired;

static inline void wired_start(wired *world, rig_plan *plan, uint64_t seed, bool has_wires)
{
    memset(world, 0, sizeof *world);
    world->rig = rig_start(plan);
    world->has_wires = has_wires;
    if (!has_wires)
        return;
    uint32_t shard_count = (uint32_t)world->rig->shard_count;
    assert_int_equal(tina__wires_make(&world->wires, world->rig->shards, shard_count, &world->faults, seed, WIRED_ROUND_NS),
                     TINA_OK);
    for (uint32_t i = 0; i < shard_count * shard_count; i++) {
        if (i / shard_count != i % shard_count)
            world->heads[i / shard_count][i % shard_count] = world->wires.wires[i].out->head;
    }
}

/* ---- Looking ------------------------------------------------------------------------------------ */

static inline tina__wires_ledger wired_ledger(const wired *world)
{
    tina__wires_ledger ledger = {0};
    if (world->has_wires)
        tina__wires_read_ledger(&world->wires, &ledger);
    return ledger;
}

static inline tina__wire *wired_wire(wired *world, uint32_t source, uint32_t destination)
{
    return &world->wires.wires[source * world->wires.shard_count + destination];
}

/* Calls and watches of that shard's at the other that are not over. */
static inline uint32_t wired_places(const wired *world, uint32_t shard, uint32_t at)
{
    return world->rig->shards[shard]->p.peers[at].place_pool.used;
}

/* Every message that was sent to another shard is found again. */
static inline void wired_check_ledger(const wired *world)
{
    tina_stats total = rig_total(world->rig);
    tina__wires_ledger ledger = wired_ledger(world);
    if (world->has_wires)
        assert_int_equal(total.sent_remote, total.received_remote + ledger.on_their_way + ledger.dropped + ledger.cut_off);
    assert_int_equal(ledger.dropped, world->faults.counts.message_drop);
}

/* Positions stand in order, and none goes back. */
static inline void wired_check_rings(wired *world)
{
    for (uint32_t i = 0; i < world->rig->shard_count * world->rig->shard_count; i++) {
        uint32_t source = i / world->wires.shard_count;
        uint32_t destination = i % world->wires.shard_count;
        const tina__wire *wire = wired_wire(world, source, destination);
        if (source == destination)
            continue;
        uint32_t *head = &world->heads[source][destination];
        assert_true(wire->out->head - *head <= wire->out->mask + 1);
        *head = wire->out->head;
        assert_true(wire->out->read - *head <= wire->out->tail - *head);
        assert_true(wire->seen == wire->out->tail);
        assert_true(wire->in.tail == wire->in.written);
        assert_true(wire->out->tail - *head <= wire->out->capacity + wire->out->answer_capacity);
        assert_ptr_equal(world->rig->shards[destination]->p.peers[source].in, &wire->in);
    }
}

/* ---- Turning ---------------------------------------------------------------------------------------- */

static inline uint32_t wired_turn(wired *world, uint32_t shard)
{
    uint32_t life = world->rig->publics[shard].life;
    uint32_t work = rig_tick(world->rig, shard);
    if (!world->has_wires)
        return work;
    if (world->rig->publics[shard].life != life)
        tina__wires_rebuilt(&world->wires, shard);
    tina__wires_send(&world->wires, shard, world->rig->now_ns);
    wired_check_rings(world);
    wired_check_ledger(world);
    return work;
}

static inline uint32_t wired_turn_all(wired *world)
{
    uint32_t work = 0;
    for (uint32_t i = 0; i < world->rig->shard_count; i++)
        work += wired_turn(world, i);
    return work;
}

/* A round of made time begins. */
static inline void wired_advance(wired *world)
{
    world->rig->now_ns += WIRED_ROUND_NS;
    if (world->has_wires)
        tina__wires_advance(&world->wires, world->rig->now_ns);
}

/* ---- At random: one draw a statement, since in which order a statement draws is the compiler's choice ---- */

static inline uint32_t wired_below(tina__prng *prng, uint32_t bound) { return (uint32_t)tina__prng_below(prng, bound); }

static inline void wired_draw_faults(wired *world, tina__prng *prng)
{
    tina_faults *rates = &world->faults.rates;
    rates->message_drop = (tina_ratio){wired_below(prng, 4), 8};
    rates->message_delay.min = wired_below(prng, 2);
    rates->message_delay.max = wired_below(prng, 20);
    rates->partition = (tina_ratio){wired_below(prng, 3), 100};
    rates->partition_heal = (tina_ratio){wired_below(prng, 3), 60};
}

static inline void wired_turn_sound(wired *world, uint32_t shard)
{
    (void)wired_turn(world, shard);
    const char *broken = tina__invariant_broken(world->rig->shards[shard]);
    if (broken != NULL)
        fail_msg("shard %u is not sound: %s", (unsigned)shard, broken);
}

static inline void wired_round_of_all(wired *world)
{
    wired_advance(world);
    for (uint32_t i = 0; i < world->rig->shard_count; i++)
        wired_turn_sound(world, i);
}

/* Most shards get their turn, in some order; now and then a life ends, in a tick of its own or an ordinary one. */
static inline void wired_round_of_some(wired *world, tina__prng *prng, uint64_t *lives)
{
    uint32_t shard_count = (uint32_t)world->rig->shard_count;
    wired_advance(world);
    if (wired_below(prng, 40) == 0) {
        tina__shard *shard = world->rig->shards[wired_below(prng, shard_count)];
        shard->wipe = wired_below(prng, 2) == 0 ? TINA__WIPE_FAULT : TINA__WIPE_BUDGET;
        (*lives)++;
    }
    if (wired_below(prng, 40) == 0)
        atomic_fetch_add(&world->rig->shared.revive, 1);
    uint32_t first = wired_below(prng, shard_count);
    for (uint32_t i = 0; i < shard_count; i++) {
        if (wired_below(prng, 8) != 0)
            wired_turn_sound(world, (first + i) % shard_count);
    }
}

/* All that can happen without time happens. */
static inline void wired_settle(wired *world)
{
    uint32_t rounds = 0;
    while (wired_turn_all(world) != 0)
        assert_true(rounds++ < WIRED_ROUNDS_MAX);
    rig_check_sound(world->rig);
}

static inline void wired_rounds(wired *world, uint32_t count)
{
    for (; count != 0; count--) {
        wired_advance(world);
        wired_settle(world);
    }
}

/* The actor runs todo, and what follows from it without time. */
static inline void wired_do(wired *world, rig_actor *actor, tina_effect (*todo)(rig_actor *me, tina_ctx *ctx))
{
    rig_order(world->rig, actor, todo);
    wired_settle(world);
    assert_null(actor->todo);
}

/* ---- The end -------------------------------------------------------------------------------------------- */

static inline bool wired_has_ended(const wired *world)
{
    for (size_t i = 0; i < world->rig->shard_count; i++) {
        if (!tina__shard_has_ended(world->rig->shards[i]))
            return false;
    }
    return true;
}

/* The system stops in rounds, whatever is on its way; nothing is left, and all is counted. */
static inline void wired_end(wired *world)
{
    rig_stop(world->rig, TINA__STOP_GRACEFUL);
    for (uint32_t round = 0; !wired_has_ended(world); round++) {
        assert_true(round < WIRED_ROUNDS_MAX);
        wired_advance(world);
        (void)wired_turn_all(world);
    }
    tina__wires_ledger ledger = wired_ledger(world);
    assert_int_equal(ledger.on_their_way, 0);
    /* What the wires have lost is written off, for the rig's own books. */
    tina__count_by(world->rig->shards[0], arrived_stale, ledger.dropped + ledger.cut_off);
    if (world->has_wires)
        tina__wires_destroy(&world->wires);
    rig_end(world->rig);
}

#endif
