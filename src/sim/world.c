#include "sim/world.h"

#include "core/fault.h"
#include "core/stats.h"
#include "sim/chaos.h"
#include "sim/ledger.h"
#include "sim/quiet.h"
#include "sim/world_make.h"
#include "spec/error.h"

#include <stdio.h>
#include <stdlib.h>

#define LAST_NS (UINT64_MAX / 2) /* what is due later never comes: the clock must not wrap */

/* ---- Trouble ---------------------------------------------------------------------------- */

static void violate(tina__world *world, const char *what)
{
    if (world->violation[0] == '\0')
        snprintf(world->violation, sizeof world->violation, "%s", what);
}

/* An invariant of the library's does not hold: a real run would wipe the shard, and be glad; this one has found something. */
static void on_broken(void *user, const char *what)
{
    tina__world *world = user;
    violate(world, what);
    if (tina__trap_is_armed())
        tina__trap_throw(&(tina__fault){.kind = TINA__FAULT_BROKEN, .what = world->violation});
    if (world->spec->on_broken != NULL)
        world->spec->on_broken(world->spec->log_user, what);
}

/* ---- A shard's turn --------------------------------------------------------------------------------- */

static void pass_log(tina__world *world, uint32_t index)
{
    tina__log_ring *ring = world->shards[index].shard->p.log;
    char line[TINA_LOG_LINE_MAX];
    uint8_t level;
    uint32_t length;
    while (world->spec->log_sink != NULL && tina__log_ring_read(ring, &level, line, sizeof line, &length))
        world->spec->log_sink(world->spec->log_user, (int)index, (tina_level)level, line, length);
    /* relaxed: one thread. Nobody reads dumps: the events are all taken. */
    atomic_store_explicit(&world->shards[index].shard->p.trace->is_dumping, false, memory_order_relaxed);
}

/* What a fault costs is decided as in a real run. That the runtime has one is what a simulation is there to find. */
static void look_at_fault(tina__world *world, const tina__shard *shard)
{
    bool is_users = shard->depth != 0 && !shard->fault.is_changing;
    if (shard->wipe != TINA__WIPE_FAULT || is_users || shard->fault.kind == TINA__FAULT_BROKEN)
        return;
    char what[128];
    snprintf(what, sizeof what, "shard %u: the runtime faulted: signal %d", shard->id, (int)shard->fault.signal);
    violate(world, what);
}

static void wipe(void *argument) { tina__wipe_shard(argument); }

/* False: not even that was possible. Nothing of the shard is to be trusted any more. */
static bool begin_anew(tina__world *world, uint32_t index)
{
    tina__world_shard *ours = &world->shards[index];
    tina_shard_state now = (tina_shard_state)world->publics[index].state;
    tina__build build = tina__world_build(world, index, tina__prng_next(&ours->lives_stream));
    build.is_rebirth = true;
    tina__wipe_order order = {.build = &build, .shard = ours->shard, .api = &tina__net_backend, .backend = ours->backend};
    order.next = tina__lives_spend(&ours->lives, ours->shard, now, world->now_ns);
    tina__fault fault;
    if (!tina__trap_run(wipe, &order, &fault) || !order.has_let_go) {
        violate(world, "a shard could not be wiped");
        return false;
    }
    if (order.next == TINA_SHARD_QUARANTINED && world->spec->abort_on_quarantine)
        violate(world, "a shard is quarantined, and the spec says that the program ends then");
    tina__disk_crash(tina__net_disk(world->net), index); /* as if its machine had */
    tina__wires_rebuilt(&world->wires, index);
    return true;
}

/* As the booting thread does it. */
static void look_at_boot(tina__world *world, tina__shard *shard)
{
    if (shard->state != TINA_SHARD_INIT || tina__shard_is_booting(shard))
        return;
    if (shard->boot_failure != NULL) {
        world->boot_failure = shard->boot_failure;
        world->is_called_off = shard->is_called_off;
    } else
        tina__shard_set_state(shard, TINA_SHARD_RUNNING);
}

/* After all that a shard does: what it has said goes out. */
static void settle(tina__world *world, uint32_t index)
{
    tina__world_shard *ours = &world->shards[index];
    look_at_boot(world, ours->shard);
    ours->deadline_ns = tina__shard_deadline_ns(ours->shard);
    tina__record_take(&world->record, ours->shard, world->now_ns);
    tina__wires_send(&world->wires, index, world->now_ns);
    pass_log(world, index);
}

static bool tick(tina__world *world, uint32_t index)
{
    tina__world_shard *ours = &world->shards[index];
    tina__pool *empty = tina__chaos_empty_pool(world, ours->shard);
    ours->is_awake = tina__shard_tick(ours->shard, world->now_ns) != 0;
    if (empty != NULL)
        tina__pool_release(empty);
    if (ours->shard->wipe == TINA__WIPE_NOT || ours->shard->boot_failure != NULL)
        return true;
    look_at_fault(world, ours->shard);
    return begin_anew(world, index);
}

static void turn(tina__world *world, uint32_t index)
{
    tina__world_shard *ours = &world->shards[index];
    if (!tina__quiet_is_due(world, ours) || tina__chaos_stalls(world, index))
        return;
    if (world->is_trapped)
        tina__trap_use(&world->publics[index].guard);
    bool is_whole;
    if (tina__chaos_wipes(world, index)) {
        ours->shard->fault = (tina__fault){.kind = TINA__FAULT_BROKEN, .what = "injected"};
        tina__fault_wipe(ours->shard, TINA__WIPE_FAULT);
        is_whole = begin_anew(world, index);
        ours->is_awake = true;
    } else {
        is_whole = tick(world, index);
    }
    if (is_whole)
        settle(world, index);
}

/* ---- Rounds ------------------------------------------------------------------------------------------- */

static void shuffle(tina__world *world)
{
    for (uint32_t i = world->shard_count; i > 1 && !world->config.keep_shard_order; i--) {
        uint32_t other = (uint32_t)tina__prng_below(&world->order_stream, i);
        uint32_t moved = world->order[i - 1];
        world->order[i - 1] = world->order[other];
        world->order[other] = moved;
    }
}

static void ring_everybody(tina__world *world)
{
    for (uint32_t i = 0; i < world->shard_count; i++)
        (void)tina__doorbell_ring(&world->publics[i].bell, TINA__DOORBELL_CONTROL);
}

/* Nothing strikes any more, and who was quarantined comes back, as an operator would have it. */
static void heal(tina__world *world)
{
    world->is_healed = true;
    tina__chaos_heal(world);
    tina__wires_heal(&world->wires);
    atomic_fetch_add_explicit(&world->shared.revive, 1, memory_order_relaxed);
    ring_everybody(world);
}

static void stop(tina__world *world)
{
    world->is_stopping = true;
    tina__shard_stop_system(world->shards[0].shard); /* whoever asks: it is the same for all */
}

static bool is_time(uint64_t at_tick, const tina__world *world) { return at_tick != 0 && world->tick >= at_tick; }

/* One that leaves no round is none. */
static uint64_t heal_tick(const tina__world *world)
{
    return world->config.heal_at_tick < world->config.ticks_max ? world->config.heal_at_tick : 0;
}

static bool is_everybody_up(const tina__world *world)
{
    for (uint32_t i = 0; i < world->shard_count; i++) {
        if (world->shards[i].shard->state == TINA_SHARD_INIT)
            return false;
    }
    return true;
}

/* Every shard's tree is up: from here on the world is as bad as it was asked to be. */
static void begin_chaos(tina__world *world)
{
    world->is_booted = true;
    if (!world->is_healed)
        world->faults.rates = world->config.faults;
}

static void run_round(tina__world *world)
{
    world->tick++;
    if (!world->is_healed && is_time(heal_tick(world), world))
        heal(world);
    if (!world->is_stopping && is_time(world->config.stop_at_tick, world))
        stop(world);
    tina__net_advance(world->net, world->now_ns);
    tina__wires_advance(&world->wires, world->now_ns);
    shuffle(world);
    for (uint32_t i = 0; i < world->shard_count && world->violation[0] == '\0'; i++)
        turn(world, world->order[i]);
    if (!world->is_booted && is_everybody_up(world))
        begin_chaos(world);
    if (world->is_healed && !world->was_quiet) {
        char why[1];
        world->was_quiet = tina__quiet_is_healthy(world, why, sizeof why);
    }
}

/* ---- Checking ------------------------------------------------------------------------------------------- */

static void check(void *argument)
{
    tina__world *world = argument;
    char text[sizeof world->violation] = "";
    if (tina__ledger_broken(world->ledger, world, text, sizeof text) != NULL) {
        violate(world, text);
        return;
    }
    for (size_t i = 0; i < world->config.checker_count; i++) {
        snprintf(text, sizeof text, "checker %zu", i);
        if (!world->config.checkers[i](world, world->tick, text, sizeof text, world->config.checker_user)) {
            text[sizeof text - 1] = '\0';
            violate(world, text);
            return;
        }
    }
}

static void check_all(tina__world *world)
{
    tina__fault fault;
    if (world->is_trapped)
        tina__trap_use(&world->guard); /* no shard has a say in what becomes of it */
    if (world->violation[0] == '\0' && !tina__trap_run(check, world, &fault))
        violate(world, "a checker faulted");
    world->checked = world->tick;
    world->next_check = tina__add_saturating(world->tick, world->config.check_every);
}

/* ---- The end ---------------------------------------------------------------------------------------------- */

static bool has_everybody_ended(const tina__world *world)
{
    for (uint32_t i = 0; i < world->shard_count; i++) {
        if (!tina__shard_has_ended(world->shards[i].shard))
            return false;
    }
    return true;
}

/* The round to go to at once, because nothing happens before it; 0: there is none. */
static uint64_t next_turning_point(const tina__world *world)
{
    const tina_sim_config *config = &world->config;
    uint64_t next = TINA_NONE_NS;
    if (!world->is_healed && heal_tick(world) != 0)
        next = heal_tick(world);
    if (!world->is_stopping && config->stop_at_tick != 0)
        next = tina__min_u64(next, config->stop_at_tick);
    return next <= config->ticks_max ? next : 0;
}

/* Nobody has anything to do now: time jumps. False: nothing will ever happen, *end says which end that is. */
static bool jump(tina__world *world, tina_sim_end *end)
{
    uint64_t next_ns = tina__quiet_next_ns(world);
    if (next_ns < LAST_NS) {
        world->now_ns = tina__max_u64(world->now_ns + world->round_ns, next_ns);
        return true;
    }
    uint64_t turning_point = next_turning_point(world);
    *end = TINA_SIM_QUIET;
    if (world->config.stop_when_quiet || turning_point == 0)
        return false;
    world->tick = turning_point - 1;
    world->now_ns += world->round_ns;
    return true;
}

/* Time until the next round. False: the run is over. */
static bool go_on(tina__world *world, tina_sim_end *end)
{
    *end = TINA_SIM_VIOLATION;
    if (world->violation[0] != '\0' || world->boot_failure != NULL)
        return false;
    *end = TINA_SIM_STOPPED;
    if (has_everybody_ended(world))
        return false;
    *end = TINA_SIM_TICKS;
    if (world->tick >= world->config.ticks_max)
        return false;
    if (!tina__quiet_is_busy(world))
        return jump(world, end);
    world->now_ns += world->round_ns;
    return true;
}

/* Demanded of a run that has healed and has neither ended nor been quiet since. */
static void look_for_unrest(tina__world *world)
{
    char why[128];
    if (!world->is_healed || world->was_quiet || tina__quiet_is_healthy(world, why, sizeof why))
        return;
    char what[sizeof world->violation];
    snprintf(what, sizeof what, "not quiet %llu rounds after everything healed: %s",
             (unsigned long long)(world->tick - world->config.heal_at_tick), why);
    violate(world, what);
}

static void boot(tina__world *world)
{
    for (uint32_t i = 0; i < world->shard_count; i++) {
        if (world->is_trapped)
            tina__trap_use(&world->publics[i].guard);
        tina__shard_boot(world->shards[i].shard, world->now_ns);
        world->shards[i].is_awake = true;
        settle(world, i);
    }
}

/* In a trap of its own: a truth of the made world's that does not hold is a finding, too. */
static void run_rounds(void *argument)
{
    tina__world *world = argument;
    boot(world);
    while (go_on(world, &world->end)) {
        run_round(world);
        if (world->tick >= world->next_check)
            check_all(world);
    }
    if (world->end == TINA_SIM_TICKS)
        look_for_unrest(world);
    if (world->checked != world->tick)
        check_all(world);
}

static tina_sim_end run(tina__world *world)
{
    tina__fault fault;
    if (!tina__trap_run(run_rounds, world, &fault))
        violate(world, "the made world faulted");
    return world->violation[0] == '\0' ? world->end : TINA_SIM_VIOLATION;
}

/* ---- The report ---------------------------------------------------------------------------------------------- */

static void fill_report(const tina__world *world, tina_sim_end end, tina_sim_report *report)
{
    *report = (tina_sim_report){
        .end = (uint8_t)end,
        .ticks = world->tick,
        .trace_hash = world->record.hash,
        .faults = world->faults.counts,
        .now_ns = world->now_ns - world->start_ns,
    };
    snprintf(report->violation, sizeof report->violation, "%s", world->violation);
    for (uint32_t i = 0; i < world->shard_count; i++) {
        tina_stats stats;
        tina__stats_publish(world->shards[i].shard);
        tina__shard_read_stats(world->shards[i].shard, &world->publics[i], 0, &stats);
        tina__stats_add(&report->total, &stats);
    }
    report->total.backend = TINA_BACKEND_SIM;
    report->events = report->total.delivered + report->total.io_completed;
}

static tina_status close_record(tina__world *world, tina_error *error)
{
    const char *path = "";
    int os_error = 0;
    tina_status status = tina__record_close(&world->record, &path, &os_error);
    if (status != TINA_OK)
        tina__error_set(error, status, os_error, path, "could not be written whole");
    return status;
}

tina_status tina__world_run(const tina_system_spec *spec, const tina_sim_config *config, tina_sim_report *report,
                            tina_error *error)
{
    tina__world *world = calloc(1, sizeof *world);
    if (world == NULL)
        return tina__world_no_memory(error);
    tina_status status = tina__world_make(world, spec, config, error);
    if (status == TINA_OK) {
        tina__broken_set(on_broken, world);
        fill_report(world, run(world), report);
        tina__broken_set(NULL, NULL);
        if (world->boot_failure != NULL) {
            status = TINA_INIT_FAILED;
            tina__error_set(error, status, 0, "root", "the init of type %s failed %s: see the log", world->boot_failure,
                            world->is_called_off ? "and called the start off" : "until the restart budget was used up");
        }
    }
    tina_status closed = close_record(world, status == TINA_OK ? error : NULL);
    tina__world_destroy(world);
    return status == TINA_OK ? closed : status;
}

/* ---- For checkers ---------------------------------------------------------------------------------------------- */

const void *tina_sim_isolate(const tina_sim *sim, uint8_t shard, uint8_t type, uint32_t slot, tina_handle *handle)
{
    if (shard >= sim->shard_count || type >= sim->spec->type_count)
        return NULL;
    const tina__shard *at = sim->shards[shard].shard;
    const tina__type *of = &at->p.types[type];
    if (slot >= of->pool.fresh || of->isolates[slot].state == TINA__ISOLATE_FREE)
        return NULL;
    if (handle != NULL)
        *handle = tina__handle_make(shard, type, slot, of->isolates[slot].generation);
    return tina__isolate_self(of, slot);
}
