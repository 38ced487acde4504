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

static bool is_shards(const tina__shard *shard, const tina__descriptor *descriptor, const tina__net *net)
{
    bool is_open = descriptor->state == TINA__DESCRIPTOR_OPEN ||
                   (descriptor->state == TINA__DESCRIPTOR_RETURNED && descriptor->os_fd >= 0);
    return !is_open || tina__net_is_open(net, descriptor->os_fd, shard->id);
}

/* What an accept has brought is open before it is anybody's. */
static const char *look_at_descriptors(const tina__shard *shard, const tina__net *net, uint32_t open, uint32_t sockets)
{
    for (uint32_t i = 0; i < shard->descriptors.fresh; i++) {
        if (!is_shards(shard, &shard->p.descriptors[i], net))
            return "an open descriptor is open in the net, and the shard's";
    }
    return open == sockets ? NULL : "every open socket of the shard is one descriptor's";
}

const char *tina__ledger_shard_broken(const tina__ledger *ledger, const tina__world *world, uint32_t index)
{
    const tina__shard *shard = world->shards[index].shard;
    const tina__census *census = &ledger->census[index];
    const tina__net_holdings *holdings = &ledger->holdings[index];
    const char *broken = look_at_messages(shard, census);
    if (broken == NULL)
        broken = look_at_operations(shard, census, holdings);
    if (broken == NULL)
        broken = look_at_descriptors(shard, world->net, census->open + ledger->untold[index].accepted, holdings->sockets);
    return broken;
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
    uint64_t out, in; /* what shards count, or will when they collect it */
    uint64_t lives;   /* that have ended, with completions that nobody collects */
    uint64_t late;    /* operations that outlived their isolate: what they brought is nobody's */
} sums;

static sums sum_up(const tina__ledger *ledger, const tina__world *world)
{
    sums sum = {0};
    for (uint32_t i = 0; i < world->shard_count; i++) {
        const tina_stats *stats = &world->shards[i].shard->stats;
        sum.out += stats->bytes_out + ledger->untold[i].sent;
        sum.in += stats->bytes_in + ledger->untold[i].received;
        sum.lives += atomic_load_explicit(&world->publics[i].life, memory_order_relaxed); /* one thread */
        sum.late += stats->io_late;
    }
    return sum;
}

/*
 * The net's book and the shards' are as far apart as they were, unless something
 * was lost with its collector since; nobody knows how much that was.
 */
static bool is_balanced(tina__ledger_gap *gap, uint64_t net, uint64_t shards, uint64_t losses)
{
    if (losses != gap->losses)
        *gap = (tina__ledger_gap){.bytes = net - shards, .losses = losses};
    return net >= shards && net - shards == gap->bytes;
}

const char *tina__ledger_bytes_broken(tina__ledger *ledger, const tina__world *world)
{
    tina__net_ledger net;
    tina__net_read_ledger(world->net, &net);
    sums sum = sum_up(ledger, world);
    if (net.sent + net.doubled != net.received + net.on_their_way + net.lost)
        return "every byte that was sent was received, is on its way, or was lost with its connection";
    if (!is_balanced(&ledger->sent, net.sent + net.written, sum.out, sum.lives))
        return "the net has the bytes that the shards have sent";
    if (!is_balanced(&ledger->received, net.received + net.read, sum.in, sum.lives + sum.late))
        return "the shards have the bytes that the net has delivered";
    return NULL;
}
