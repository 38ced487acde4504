#include "sim/chaos.h"

#define INJECTED_SIGNAL 11 /* that an injected fault tells of: a bad address */

/* ---- Crashes -------------------------------------------------------------------------------- */

static tina__world *world_of(const tina_ctx *ctx)
{
    return (tina__world *)(void *)((uint8_t *)ctx->shard->shared - offsetof(tina__world, shared));
}

/* A fault that isolates of the type do not survive, or nobody contains, is not for injection. */
static bool may_fault(const tina__world *world, const tina_ctx *ctx)
{
    return world->has_trap && ctx->type->containment == TINA_CONTAIN_ISOLATE;
}

typedef enum way { /* in which one crashes */
                   BEFORE,
                   BEFORE_TOO,
                   AFTER, /* what it did is done, but for the effect */
                   FAULT,
                   WAY_COUNT,
} way;

static _Noreturn void fault(void)
{
    tina__fault injected = {.kind = TINA__FAULT_SIGNAL, .signal = INJECTED_SIGNAL};
    tina__trap_throw(&injected);
}

static way draw_way(tina__world *world, const tina_ctx *ctx, tina__prng *stream)
{
    way drawn = (way)tina__prng_below(stream, WAY_COUNT);
    return drawn == FAULT && !may_fault(world, ctx) ? BEFORE : drawn;
}

static tina_effect crashing_handler(void *self, const tina_message *message, tina_ctx *ctx)
{
    tina__world *world = world_of(ctx);
    tina__prng *stream = &world->shards[ctx->shard->id].handler;
    tina_handler_fn handler = world->types[ctx->type->id].handler;
    if (!tina__fault_strikes(stream, world->faults.rates.handler_crash))
        return handler(self, message, ctx);
    world->faults.counts.handler_crash++;
    way drawn = draw_way(world, ctx, stream);
    if (drawn == AFTER) {
        tina_effect dropped = handler(self, message, ctx);
        (void)dropped;
    } else if (drawn == FAULT) {
        fault();
    }
    return tina_crash(0);
}

static tina_effect crashing_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    tina__world *world = world_of(ctx);
    tina__prng *stream = &world->shards[ctx->shard->id].init;
    tina_init_fn init = world->types[ctx->type->id].init;
    if (!tina__fault_strikes(stream, world->faults.rates.init_crash))
        return init(self, args, args_size, ctx);
    world->faults.counts.init_crash++;
    way drawn = draw_way(world, ctx, stream);
    if (drawn == AFTER) {
        tina_effect dropped = init(self, args, args_size, ctx);
        (void)dropped;
    } else if (drawn == FAULT) {
        fault();
    }
    return tina_crash(0);
}

void tina__chaos_arm(tina__world *world)
{
    tina_type *types = (tina_type *)(uintptr_t)world->spec->types; /* our copy */
    for (size_t i = 0; i < world->spec->type_count; i++) {
        if (world->config.faults.handler_crash.numerator != 0)
            types[i].handler = crashing_handler;
        if (world->config.faults.init_crash.numerator != 0)
            types[i].init = crashing_init;
    }
}

/* ---- Pools ------------------------------------------------------------------------------------- */

tina__pool *tina__chaos_empty_pool(tina__world *world, tina__shard *shard)
{
    if (!tina__fault_strikes(&world->pool_stream, world->faults.rates.pool_empty))
        return NULL;
    tina__pool *const pools[] = {&shard->messages,    &shard->timers,  &shard->watches,  &shard->operations,
                                 &shard->descriptors, &shard->buffers, &shard->transfers};
    tina__pool *pool = pools[tina__prng_below(&world->pool_stream, sizeof pools / sizeof pools[0])];
    if (pool->limit == 0)
        return NULL; /* it is empty as it is */
    world->faults.counts.pool_empty++;
    tina__pool_withhold(pool);
    return pool;
}

/* ---- Shards -------------------------------------------------------------------------------------- */

bool tina__chaos_stalls(tina__world *world, uint32_t index)
{
    tina__world_shard *ours = &world->shards[index];
    if (world->tick < ours->stalled_until)
        return true;
    if (!tina__fault_strikes(&world->stall_stream, world->faults.rates.shard_stall))
        return false;
    uint32_t length = tina__fault_draw(&world->stall_stream, world->faults.rates.shard_stall_length);
    ours->stalled_until = world->tick + (length == 0 ? 1 : length);
    world->faults.counts.shard_stall++;
    tina__record_mark(&world->record, (uint8_t)index, "the shard stalls", world->now_ns);
    return true;
}

bool tina__chaos_wipes(tina__world *world, uint32_t index)
{
    uint8_t state = world->shards[index].shard->state;
    if (state != TINA_SHARD_RUNNING && state != TINA_SHARD_DRAINING)
        return false;
    if (!tina__fault_strikes(&world->wipe_stream, world->faults.rates.shard_fault))
        return false;
    world->faults.counts.shard_fault++;
    tina__record_mark(&world->record, (uint8_t)index, "a fault in the runtime is injected", world->now_ns);
    return true;
}

void tina__chaos_heal(tina__world *world)
{
    world->faults.rates = (tina_faults){0};
    for (uint32_t i = 0; i < world->shard_count; i++)
        world->shards[i].stalled_until = 0;
}
