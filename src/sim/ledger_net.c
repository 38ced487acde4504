/* The one part of the ledger that looks into the net: at completions, in the net's hands, of which shards do not know yet. */
#include "sim/ledger_inside.h"
#include "sim/net_inside.h"

static void add(const tina__shard *shard, const tina__io_completion *completion, tina__ledger_untold *untold)
{
    uint32_t index = tina__word_index(completion->token);
    untold->accepted += completion->os_fd >= 0;
    if (completion->buffer != TINA__BUFFER_NONE)
        untold->received += completion->size;
    else if (index < shard->p.operation_count && shard->p.operations[index].kind == TINA_IO_SEND)
        untold->sent += completion->size;
}

/* Those that are late lie with their socket. */
static void add_late(const tina__world *world, uint32_t socket, tina__ledger_untold *untold)
{
    for (uint32_t half = TINA__NET_READS; half <= TINA__NET_WRITES; half++) {
        const tina__net_half *at = &world->net->sockets[socket].halves[half];
        if (at->state == TINA__HALF_LATE)
            add(world->shards[at->shard].shard, &world->net->late[2 * socket + half], &untold[at->shard]);
    }
}

static void add_news(const tina__shard *shard, const tina__backend *backend, tina__ledger_untold *untold)
{
    for (uint32_t i = 0; i < backend->news_count; i++)
        add(shard, &backend->news[(backend->news_first + i) % backend->op_count].completion, untold);
}

void tina__ledger_read_untold(const tina__world *world, tina__ledger_untold *untold)
{
    for (uint32_t i = 0; i < world->shard_count; i++) {
        untold[i] = (tina__ledger_untold){0};
        add_news(world->shards[i].shard, world->shards[i].backend, &untold[i]);
    }
    for (uint32_t i = 0; i < world->net->slots.fresh; i++) {
        if (world->net->sockets[i].state != TINA__SOCKET_FREE)
            add_late(world, i, untold);
    }
}
