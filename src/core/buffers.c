/* The shard's I/O buffers: who holds them, and how many the backend may have. See reactor.h. */
#include "core/buffers.h"

#include "core/stats.h"

uint8_t *tina__buffer_data(const tina__shard *shard, uint32_t buffer)
{
    tina__assert(buffer < shard->p.buffer_count);
    return shard->p.buffers + (size_t)buffer * shard->p.buffer_size;
}

void *tina__buffer_annex(const tina__shard *shard, uint32_t buffer)
{
    tina__assert(buffer < shard->p.buffer_count);
    return shard->p.annexes + (size_t)buffer * TINA__ANNEX_SIZE;
}

static uint32_t send_share(const tina__shard *shard) { return shard->p.buffer_count / 2; }

bool tina__buffers_must_not_wait(const tina__shard *shard)
{
    uint32_t share = send_share(shard);
    return shard->buffers_sending >= share - tina__max_u32(share / 4, 1);
}

/* A buffer's word: how many users it has, and whether it counts among those that sends hold. */
#define USERS_MAX 127u
#define COUNTS    128u

static void count_buffer(tina__shard *shard, uint32_t buffer)
{
    if (shard->p.buffer_users[buffer] & COUNTS)
        return;
    shard->p.buffer_users[buffer] |= COUNTS;
    shard->buffers_sending++;
}

uint32_t tina__buffer_take(tina__shard *shard)
{
    if (shard->buffers_sending >= send_share(shard))
        return TINA__NONE;
    uint32_t buffer = tina__pool_take(&shard->buffers);
    if (buffer == TINA__NONE)
        return TINA__NONE;
    shard->p.buffer_users[buffer] = 1;
    count_buffer(shard, buffer);
    return buffer;
}

bool tina__buffer_share(tina__shard *shard, uint32_t buffer, bool may_wait)
{
    uint32_t users = shard->p.buffer_users[buffer] & USERS_MAX;
    tina__assert(users != 0);
    if (users == USERS_MAX)
        return false;
    shard->p.buffer_users[buffer]++;
    if (may_wait)
        count_buffer(shard, buffer);
    return true;
}

void tina__buffer_received(tina__shard *shard, uint32_t buffer)
{
    tina__assert(buffer < shard->p.buffer_count);
    tina__assert(shard->buffers_lent != 0);
    tina__assert(shard->p.buffer_users[buffer] == 0);
    shard->buffers_lent--;
    shard->p.buffer_users[buffer] = 1;
}

void tina__buffer_drop(tina__shard *shard, uint32_t buffer)
{
    tina__assert((shard->p.buffer_users[buffer] & USERS_MAX) != 0);
    if ((--shard->p.buffer_users[buffer] & USERS_MAX) != 0)
        return;
    if (shard->p.buffer_users[buffer] & COUNTS)
        shard->buffers_sending--;
    shard->p.buffer_users[buffer] = 0;
    tina__pool_give_hot(&shard->buffers, buffer);
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
