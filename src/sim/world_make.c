#include "sim/world_make.h"

#include "core/fault.h"
#include "os/os.h"
#include "sim/chaos.h"
#include "sim/ledger.h"
#include "sim/streams.h"
#include "spec/copy.h"
#include "spec/error.h"
#include "spec/mapping.h"

#include <stdlib.h>
#include <string.h>

#define SHARD_COUNT 2 /* by default: the least that shows what is between shards */
#define TICKS_MAX   1000000
#define CHECK_EVERY 100
#define START_NS    1000000000u /* when the made clock begins; its 0 means none */
#define WINDOW_SIZE 16384       /* of a made connection */

tina_status tina__world_no_memory(tina_error *error)
{
    tina__error_set(error, TINA_POOL_EXHAUSTED, 0, "", "no memory for a simulated system of this size");
    return TINA_POOL_EXHAUSTED;
}

/* ---- The spec ------------------------------------------------------------------- */

/* Where a default would come from the machine, it is ours. */
static tina_status take_spec(tina__world *world, const tina_system_spec *spec)
{
    tina_system_spec own = *spec;
    if (own.shard_count == 0)
        own.shard_count = own.external ? 1 : SHARD_COUNT;
    own.backend = TINA_BACKEND_SIM;
    if (tina__spec_copy(&own, sizeof own, &world->spec) != TINA_OK)
        return TINA_POOL_EXHAUSTED;
    world->shard_count = (uint32_t)own.shard_count;
    return TINA_OK;
}

static void take_config(tina__world *world, const tina_sim_config *config)
{
    world->config = *config;
    if (config->ticks_max == 0)
        world->config.ticks_max = TICKS_MAX;
    if (config->check_every == 0)
        world->config.check_every = CHECK_EVERY;
    world->next_check = world->config.check_every;
    world->start_ns = world->now_ns = START_NS;
}

static tina_status copy_types(tina__world *world)
{
    size_t count = world->spec->type_count;
    world->types = calloc(count, sizeof *world->types);
    world->type_names = calloc(count, sizeof *world->type_names);
    if (world->types == NULL || world->type_names == NULL)
        return TINA_POOL_EXHAUSTED;
    for (size_t i = 0; i < count; i++) {
        world->types[i] = world->spec->types[i];
        world->type_names[i] = world->spec->types[i].name;
    }
    return TINA_OK;
}

/* ---- Memory ------------------------------------------------------------------------ */

static tina_status allocate(tina__world *world)
{
    uint32_t count = world->shard_count;
    world->publics = aligned_alloc(TINA__CACHE_LINE, count * sizeof *world->publics);
    world->plans = calloc(count, sizeof *world->plans);
    world->bases = calloc(count, sizeof *world->bases);
    world->shards = calloc(count, sizeof *world->shards);
    world->shard_list = calloc(count, sizeof(tina__shard *));
    world->order = calloc(count, sizeof *world->order);
    world->maybe_streams = calloc(count, sizeof *world->maybe_streams);
    if (world->publics == NULL || world->plans == NULL || world->bases == NULL || world->shards == NULL ||
        world->shard_list == NULL || world->order == NULL || world->maybe_streams == NULL)
        return TINA_POOL_EXHAUSTED;
    memset(world->publics, 0, count * sizeof *world->publics);
    for (uint32_t i = 0; i < count; i++) {
        world->publics[i].bell.wake_fd = -1;
        world->order[i] = i;
    }
    return TINA_OK;
}

static tina_status open_mappings(tina__world *world, tina_error *error)
{
    for (uint32_t i = 0; i < world->shard_count; i++) {
        if (!tina__plan_make(world->spec, i, world->shard_count, tina__os_page_size(), &world->plans[i])) {
            tina__error_set(error, TINA_INVALID, 0, "types", "shard %u does not fit into an address space", i);
            return TINA_INVALID;
        }
        int os_error = 0;
        tina_status status = tina__mapping_open(&world->plans[i], &world->bases[i], &os_error);
        if (status != TINA_OK) {
            tina__error_set(error, status, os_error, "", "shard %u: the system gives no mapping of %zu bytes", i,
                            world->plans[i].total);
            return status;
        }
    }
    return TINA_OK;
}

/* ---- Chance ------------------------------------------------------------------------- */

static void open_streams(tina__world *world)
{
    uint64_t seed = world->config.seed;
    tina__stream_open(&world->order_stream, seed, TINA__STREAM_ORDER, 0);
    tina__stream_open(&world->pool_stream, seed, TINA__STREAM_POOL, 0);
    tina__stream_open(&world->stall_stream, seed, TINA__STREAM_STALL, 0);
    tina__stream_open(&world->wipe_stream, seed, TINA__STREAM_WIPE, 0);
    for (uint32_t i = 0; i < world->shard_count; i++) {
        tina__stream_open(&world->shards[i].lives_stream, seed, TINA__STREAM_LIVES, i);
        tina__stream_open(&world->shards[i].handler, seed, TINA__STREAM_HANDLER, i);
        tina__stream_open(&world->shards[i].init, seed, TINA__STREAM_INIT, i);
        tina__stream_open(&world->maybe_streams[i], seed, TINA__STREAM_MAYBE, i);
    }
    world->probe = (tina__probe){
        .chances = world->maybe_streams,
        .on_reached = world->config.on_reached,
        .user = world->config.reached_user,
    };
}

static uint64_t first_seed(const tina__world *world, uint32_t index)
{
    tina__prng stream;
    tina__stream_open(&stream, world->config.seed, TINA__STREAM_SHARD, index);
    return tina__prng_next(&stream);
}

/* ---- The shards ------------------------------------------------------------------------ */

tina__build tina__world_build(tina__world *world, uint32_t index, uint64_t seed)
{
    return (tina__build){
        .spec = world->spec,
        .plans = world->plans,
        .bases = world->bases,
        .shared = &world->shared,
        .shard = index,
        .seed = seed,
        .now_ns = world->now_ns,
    };
}

static tina_status make_net(tina__world *world)
{
    uint32_t sockets = 0;
    for (uint32_t i = 0; i < world->shard_count; i++)
        sockets += world->plans[i].limits.fd_count;
    tina__net_config config = {
        .seed = world->config.seed,
        .now_ns = world->now_ns,
        .round_ns = world->round_ns,
        .shard_count = world->shard_count,
        .socket_count = sockets,
        .window_size = WINDOW_SIZE,
        .faults = &world->faults,
    };
    world->net = tina__net_make(&config);
    return world->net == NULL ? TINA_POOL_EXHAUSTED : TINA_OK;
}

static tina_status attach(tina__world *world, uint32_t index)
{
    tina__world_shard *ours = &world->shards[index];
    tina__backend_config config = world->plans[index].backend;
    config.buffers = tina__plan_at(&world->plans[index], world->bases[index], TINA__REGION_BUFFERS);
    config.annexes = tina__plan_at(&world->plans[index], world->bases[index], TINA__REGION_ANNEXES);
    size_t size = tina__align_up(tina__net_backend.memory_size(&config), TINA__CACHE_LINE);
    config.memory = ours->backend_memory = aligned_alloc(TINA__CACHE_LINE, size == 0 ? TINA__CACHE_LINE : size);
    if (config.memory == NULL)
        return TINA_POOL_EXHAUSTED;
    memset(config.memory, 0, size);
    ours->backend = tina__net_attach(world->net, index, &config);
    tina__shard_attach(ours->shard, &tina__net_backend, ours->backend);
    return TINA_OK;
}

static tina_status make_lives(tina__world *world, uint32_t index)
{
    tina__world_shard *ours = &world->shards[index];
    ours->lives_entries = calloc(tina__budget_entry_count(world->spec->shard_restart_max), sizeof *ours->lives_entries);
    if (ours->lives_entries == NULL)
        return TINA_POOL_EXHAUSTED;
    tina__lives_init(&ours->lives, ours->lives_entries, world->spec);
    return TINA_OK;
}

/* In the middle of a tick that has more events than the recorder holds. */
static void take_early(void *user)
{
    const tina__world_shard *ours = user;
    tina__record_take(&ours->world->record, ours->shard, ours->world->now_ns);
}

static tina_status make_shard(tina__world *world, uint32_t index)
{
    tina__build build = tina__world_build(world, index, first_seed(world, index));
    tina__world_shard *ours = &world->shards[index];
    ours->shard = world->shard_list[index] = tina__build_shard(&build);
    tina__trace *trace = ours->shard->p.trace;
    trace->is_detailed = true;
    trace->on_full = take_early;
    tina__trace_stop_at(trace, (uint64_t)trace->mask + 1); /* nothing was written yet: an init may write that much */
    trace->user = ours;
    ours->world = world;
    tina__guard *guard = &world->publics[index].guard;
    guard->is_fatal = tina__fault_is_fatal;
    guard->user = ours->shard;
    tina_status status = attach(world, index);
    return status == TINA_OK ? make_lives(world, index) : status;
}

static tina_status make_shards(tina__world *world)
{
    tina__build_shared(world->spec, world->publics, world->shard_count, &world->shared);
    world->shared.helper_bell = &world->helper_bell;
    world->shared.probe = &world->probe;
    tina_status status = make_net(world);
    for (uint32_t i = 0; i < world->shard_count && status == TINA_OK; i++)
        status = make_shard(world, i);
    if (status == TINA_OK)
        status = tina__wires_make(&world->wires, world->shard_list, world->shard_count, &world->faults, world->config.seed,
                                  world->round_ns);
    if (status != TINA_OK)
        return status;
    world->ledger = tina__ledger_make(world);
    return world->ledger == NULL ? TINA_POOL_EXHAUSTED : TINA_OK;
}

/* ---- The whole ---------------------------------------------------------------------------- */

static tina_status set_trap(tina__world *world, tina_error *error)
{
    if (world->spec->signals == TINA_SIGNALS_NONE)
        return TINA_OK;
    int os_error = 0;
    tina_status status = tina__trap_install(&os_error);
    world->has_trap = status == TINA_OK;
    if (status == TINA_OK)
        status = tina__trap_enter(&world->guard, &os_error);
    world->is_trapped = status == TINA_OK;
    if (status != TINA_OK)
        tina__error_set(error, status, os_error, "signals", "the system refuses handlers for faults, or a stack for them");
    return status;
}

static tina_status open_record(tina__world *world, tina_error *error)
{
    const char *path = "";
    int os_error = 0;
    world->record.start_ns = world->start_ns;
    world->record.round_ns = world->round_ns;
    tina_status status = tina__record_open(&world->record, &world->config, world->shard_count, world->type_names,
                                           (uint32_t)world->spec->type_count, &path, &os_error);
    if (status != TINA_OK)
        tina__error_set(error, status, os_error, "config", "%s can't be written", path);
    return status;
}

tina_status tina__world_make(tina__world *world, const tina_system_spec *spec, const tina_sim_config *config,
                             tina_error *error)
{
    if (take_spec(world, spec) != TINA_OK || copy_types(world) != TINA_OK || allocate(world) != TINA_OK)
        return tina__world_no_memory(error);
    take_config(world, config);
    open_streams(world);
    tina__chaos_arm(world);
    tina_status status = open_mappings(world, error);
    if (status != TINA_OK)
        return status;
    world->round_ns = world->plans[0].limits.timer_resolution_ns;
    status = set_trap(world, error);
    if (status != TINA_OK)
        return status;
    status = open_record(world, error);
    if (status != TINA_OK)
        return status;
    return make_shards(world) == TINA_OK ? TINA_OK : tina__world_no_memory(error);
}

void tina__world_destroy(tina__world *world)
{
    tina__ledger_destroy(world->ledger);
    tina__wires_destroy(&world->wires);
    for (uint32_t i = 0; i < world->shard_count && world->shards != NULL; i++) {
        if (world->shards[i].backend != NULL)
            tina__net_backend.close(world->shards[i].backend);
        free(world->shards[i].backend_memory);
        free(world->shards[i].lives_entries);
    }
    tina__net_destroy(world->net);
    if (world->is_trapped)
        tina__trap_leave();
    if (world->has_trap)
        tina__trap_remove();
    for (uint32_t i = 0; i < world->shard_count && world->bases != NULL; i++)
        tina__mapping_release(&world->plans[i], world->bases[i]);
    free(world->maybe_streams);
    free(world->order);
    free(world->shard_list);
    free(world->shards);
    free(world->bases);
    free(world->plans);
    free(world->publics);
    free(world->type_names);
    free(world->types);
    tina__spec_free(world->spec);
    free(world);
}
