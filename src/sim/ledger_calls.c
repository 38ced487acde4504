/*
 * Between two shards each place for an answer that a caller's shard has in use is
 * somewhere else, once: as the request on its way, or lost on it; as what is owed
 * by the callee's shard; or as the answer on its way back.
 */
#include "sim/ledger_inside.h"

static const tina__wire *wire_between(const tina__world *world, uint32_t source, uint32_t destination)
{
    return &world->wires.wires[source * world->shard_count + destination];
}

/* While one of the two has not dealt with the other's life, what one means is not what the other does. */
static bool is_settled(const tina__world *world, uint32_t one, uint32_t other)
{
    const tina__peer *peer = &world->shards[one].shard->p.peers[other];
    /* relaxed: one thread. */
    return !peer->is_estranged && peer->life == atomic_load_explicit(&world->publics[other].life, memory_order_relaxed);
}

#define REQUESTS (TINA__MESSAGE_CALL | TINA__MESSAGE_WATCH | TINA__MESSAGE_GIFT | TINA__MESSAGE_TRANSFER)

static uint64_t count_between(const tina__spsc *ring, uint32_t first, uint32_t end, bool is_answer)
{
    uint64_t count = 0;
    for (; first != end; first++) {
        uint16_t flags = ring->slots[first & ring->mask].flags;
        bool is_one = (flags & TINA__MESSAGE_ANSWER) != 0;
        count += is_answer ? is_one : !is_one && (flags & REQUESTS) != 0;
    }
    return count;
}

static uint64_t count_on_wire(const tina__wire *wire, bool is_answer)
{
    return count_between(wire->out, wire->out->read, wire->out->written, is_answer) +
           count_between(&wire->in, wire->in.read, wire->in.written, is_answer);
}

/* Those whose answer has come are only to be given back. */
static uint64_t count_places(const tina__peer *peer)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < peer->place_pool.fresh; i++)
        count += peer->places[i].state != TINA__PLACE_FREE && peer->places[i].state != TINA__PLACE_ANSWERED;
    return count;
}

static uint64_t count_owed(const tina__shard *callee, const tina__peer *caller, uint32_t place_count)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < place_count; i++)
        count += callee->p.owed[caller->owed_first + i].isolate != TINA__NONE;
    return count;
}

const char *tina__ledger_calls_broken(const tina__world *world, uint32_t caller, uint32_t callee)
{
    const tina__peer *there = &world->shards[caller].shard->p.peers[callee];
    const tina__peer *back = &world->shards[callee].shard->p.peers[caller];
    if (there->place_pool.fresh == 0 || !is_settled(world, caller, callee) || !is_settled(world, callee, caller))
        return NULL;
    const tina__wire *out = wire_between(world, caller, callee);
    const tina__wire *in = wire_between(world, callee, caller);
    uint64_t asked = count_on_wire(out, false) + out->lost_count;
    uint64_t owed = count_owed(world->shards[callee].shard, back, there->place_pool.fresh);
    uint64_t answered = count_on_wire(in, true);
    if (count_places(there) != asked + owed + answered)
        return "a place for an answer is asked with, owed, or answered, once";
    return NULL;
}
