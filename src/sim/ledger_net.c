/* The completions that the net holds and shards do not know of yet. */
#include "sim/ledger_inside.h"

typedef struct reading {
    const tina__world *world;
    tina__ledger_untold *untold; /* by shard */
} reading;

static bool is_sending(tina_tag kind)
{
    return kind == TINA_IO_SEND || kind == TINA_IO_SENDTO || kind == TINA_IO_WRITE || kind == TINA_IO_SENDFILE;
}

static void add(void *user, uint32_t shard, const tina__io_completion *completion)
{
    const reading *of = user;
    const tina__shard *owner = of->world->shards[shard].shard;
    tina__ledger_untold *untold = &of->untold[shard];
    uint32_t index = tina__word_index(completion->token);
    untold->accepted += completion->os_fd >= 0;
    if (completion->buffer != TINA__BUFFER_NONE)
        untold->received += completion->size;
    else if (index < owner->p.operation_count && is_sending(owner->p.operations[index].kind))
        untold->sent += completion->size;
}

void tina__ledger_read_untold(const tina__world *world, tina__ledger_untold *untold)
{
    reading of = {world, untold};
    for (uint32_t i = 0; i < world->shard_count; i++)
        untold[i] = (tina__ledger_untold){0};
    tina__net_look_at_completions(world->net, add, &of);
}
