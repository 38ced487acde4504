/*
 * A descriptor that was given to another shard, and is no shard's, lies in one message
 * on a wire; and what lies there is no shard's.
 */
#include "core/gift.h"
#include "sim/ledger_inside.h"

/* The positions of a ring that somebody will still read. */
typedef struct stretch {
    const tina__spsc *ring;
    uint32_t first, end;
} stretch;

static int32_t gift_at(const stretch *of, uint32_t position)
{
    const tina_message *message = &of->ring->slots[position & of->ring->mask];
    tina__gift gift;
    memcpy(&gift, message->payload, sizeof gift);
    return (message->flags & TINA__MESSAGE_GIFT) != 0 ? gift.os_fd : -1;
}

/* Returns how many there are; *broken: one is not on its way. */
static uint32_t count(const tina__world *world, const stretch *of, bool *broken)
{
    uint32_t found = 0;
    for (uint32_t position = of->first; position != of->end; position++) {
        int32_t os_fd = gift_at(of, position);
        found += os_fd >= 0;
        *broken = *broken || (os_fd >= 0 && !tina__net_is_moving(world->net, os_fd));
    }
    return found;
}

static uint32_t count_on_wire(const tina__world *world, const tina__wire *wire, bool *broken)
{
    const stretch out = {wire->out, wire->out->read, wire->out->written};
    const stretch in = {&wire->in, wire->in.read, wire->in.written};
    return count(world, &out, broken) + count(world, &in, broken);
}

const char *tina__ledger_gifts_broken(const tina__world *world)
{
    uint32_t found = 0;
    bool is_broken = false;
    tina__net_ledger net;
    tina__net_read_ledger(world->net, &net);
    for (uint32_t i = 0; i < world->shard_count * world->shard_count; i++) {
        if (i / world->shard_count != i % world->shard_count)
            found += count_on_wire(world, &world->wires.wires[i], &is_broken);
    }
    return found == net.moving && !is_broken ? NULL : "a descriptor between two shards lies in one message";
}
