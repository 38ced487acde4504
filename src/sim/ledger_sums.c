/* What one side has given, the other has: messages, operations, buffers, descriptors, bytes. */
#include "sim/ledger_inside.h"

/* ---- One shard ------------------------------------------------------------------------------ */

static const char *look_at_messages(const tina__shard *shard, const tina__census *census)
{
    const tina_stats *stats = &shard->stats;
    uint64_t accepted = stats->sent_local + stats->received_remote + stats->posted;
    uint64_t refused = stats->arrived_full + stats->arrived_stale + stats->arrived_exhausted;
    uint64_t ended = stats->delivered + refused + stats->died_with_owner;
    return accepted == ended + census->waiting ? NULL
                                               : "every message is delivered, refused, waits, or has died with its owner";
}

static const char *look_at_operations(const tina__shard *shard, const tina__census *census,
                                      const tina__net_holdings *holdings)
{
    if (census->requests != holdings->requests + holdings->completions)
        return "every operation under way is with the net, or waits to be submitted";
    if (shard->buffers_lent != holdings->buffers)
        return "the net has the buffers that were lent to it";
    return NULL;
}

/* What an accept under way has brought is open before it is anybody's. */
static const char *look_at_descriptors(const tina__shard *shard, const tina__census *census,
                                       const tina__net_holdings *holdings, const tina__net *net)
{
    for (uint32_t i = 0; i < shard->descriptors.fresh; i++) {
        const tina__descriptor *descriptor = &shard->p.descriptors[i];
        if (descriptor->state == TINA__DESCRIPTOR_OPEN && !tina__net_is_open(net, descriptor->os_fd, shard->id))
            return "an open descriptor is open in the net, and the shard's";
    }
    if (holdings->sockets < census->open || holdings->sockets > census->open + census->accepts)
        return "every open socket of the shard is one descriptor's";
    return NULL;
}

const char *tina__ledger_shard_broken(const tina__shard *shard, const tina__census *census,
                                      const tina__net_holdings *holdings, const tina__net *net)
{
    const char *broken = look_at_messages(shard, census);
    if (broken == NULL)
        broken = look_at_operations(shard, census, holdings);
    return broken != NULL ? broken : look_at_descriptors(shard, census, holdings, net);
}

/* ---- Between shards ------------------------------------------------------------------------------ */

const char *tina__ledger_messages_broken(const tina__world *world)
{
    uint64_t sent = 0;
    uint64_t received = 0;
    for (uint32_t i = 0; i < world->shard_count; i++) {
        sent += world->shards[i].shard->stats.sent_remote;
        received += world->shards[i].shard->stats.received_remote;
    }
    tina__wires_ledger wires;
    tina__wires_read_ledger(&world->wires, &wires);
    if (wires.dropped != world->faults.counts.message_drop)
        return "a message that was lost to chance is counted as a fault";
    if (sent != received + wires.on_their_way + wires.dropped + wires.cut_off)
        return "every message to another shard has arrived, is on its way, or was lost";
    return NULL;
}

/* ---- Bytes ------------------------------------------------------------------------------------------- */

typedef struct sums {
    uint64_t out, in;
    uint64_t lives; /* that have ended, with completions that nobody collects */
    uint64_t late;  /* operations that outlived their isolate: what they brought is nobody's */
    uint32_t sends, receives;
    uint32_t sockets;
} sums;

static sums sum_up(const tina__ledger *ledger, const tina__world *world)
{
    sums sum = {0};
    for (uint32_t i = 0; i < world->shard_count; i++) {
        const tina_stats *stats = &world->shards[i].shard->stats;
        sum.out += stats->bytes_out;
        sum.in += stats->bytes_in;
        sum.lives += atomic_load_explicit(&world->publics[i].life, memory_order_relaxed); /* one thread */
        sum.late += stats->io_late;
        sum.sends += ledger->census[i].sends;
        sum.receives += ledger->census[i].receives;
        sum.sockets += ledger->holdings[i].sockets;
    }
    return sum;
}

/*
 * The net's book is never behind the shards', who count what has been collected, and
 * not what was lost with its collector. Exactly by that much it may be ahead, which
 * shows when nothing is under way.
 */
static bool is_balanced(tina__ledger_gap *gap, uint64_t net, uint64_t shards, uint64_t losses, bool is_at_rest)
{
    if (net < shards)
        return false;
    bool has_lost = gap->losses != losses;
    if (is_at_rest && !has_lost && net - shards != gap->bytes)
        return false;
    if (is_at_rest)
        *gap = (tina__ledger_gap){.bytes = net - shards, .losses = losses};
    return true;
}

const char *tina__ledger_bytes_broken(tina__ledger *ledger, const tina__world *world)
{
    tina__net_ledger net;
    tina__net_read_ledger(world->net, &net);
    sums sum = sum_up(ledger, world);
    if (net.sent != net.received + net.on_their_way + net.lost)
        return "every byte that was sent was received, is on its way, or was lost with its connection";
    if (!is_balanced(&ledger->sent, net.sent, sum.out, sum.lives, sum.sends == 0))
        return "the net has the bytes that the shards have sent";
    if (!is_balanced(&ledger->received, net.received, sum.in, sum.lives + sum.late, sum.receives == 0))
        return "the shards have the bytes that the net has delivered";
    if (sum.sockets > net.sockets)
        return "every socket of a shard's is open in the net";
    return NULL;
}
