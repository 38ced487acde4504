/* The shard's I/O buffers: who holds them, and how many the backend may have. See buffers.h. */
#include "core/buffers.h"

static uint32_t send_share(const tina__shard *shard) { return shard->p.buffer_count / 2; }

/* Among those that sends hold, unless it is counted already. */
static void count_buffer(tina__shard *shard, uint8_t *users)
{
    shard->buffers_sending += (*users & TINA__BUFFER_COUNTS) == 0;
    *users |= TINA__BUFFER_COUNTS;
}

uint32_t tina__buffer_take(tina__shard *shard)
{
    if (shard->buffers_sending >= send_share(shard))
        return TINA__NONE;
    uint32_t buffer = tina__pool_take(&shard->buffers);
    if (buffer == TINA__NONE)
        return TINA__NONE;
    shard->p.buffer_users[buffer] = 1;
    count_buffer(shard, &shard->p.buffer_users[buffer]);
    return buffer;
}

bool tina__buffer_share(tina__shard *shard, uint32_t buffer, bool may_wait)
{
    uint8_t *users = &shard->p.buffer_users[buffer];
    tina__assert((*users & TINA__BUFFER_USERS) != 0);
    if ((*users & TINA__BUFFER_USERS) == TINA__BUFFER_USERS)
        return false;
    (*users)++;
    if (may_wait)
        count_buffer(shard, users);
    return true;
}

uint32_t tina__buffers_for_files(const tina__shard *shard) { return tina__max_u32(shard->p.buffer_count / 4, 1); }

uint32_t tina__buffers_lend(tina__shard *shard)
{
    uint32_t count = 0;
    /* What sends may still take stays behind. */
    uint32_t kept = send_share(shard) - tina__min_u32(shard->buffers_sending, send_share(shard));
    while (tina__pool_free_count(&shard->buffers) > kept) {
        uint32_t buffer = tina__pool_take(&shard->buffers);
        shard->api->lend(shard->backend, buffer);
        shard->buffers_lent++;
        count++;
    }
    return count;
}
