/* The thread of a shard: comes up, turns the shard's crank, sleeps when there is nothing to do. Parts of it are the crank's, too. */
#include "core/fault.h"
#include "core/log.h"
#include "core/stats.h"
#include "core/supervise.h"
#include "run/crank.h"
#include "run/system.h"
#include "run/watchdog.h"

#include <stdio.h>

#define LOOKS_PER_CLOCK  32        /* while a shard polls: a microsecond or less, by which a timer may then be late */
#define CLOCKS_PER_YIELD 8         /* so seldom that what comes is hardly ever late for it */
#define CROWDED_NS       20000u    /* a yield that takes longer: somebody else has had the core */
#define CROWDED_PAUSE_NS 10000000u /* for so long the shard does not poll then */

/* ---- Coming up -------------------------------------------------------------------------- */

void tina__thread_reach(tina__shard_thread *thread, tina__boot_phase phase)
{
    /* release, with the booting thread's look: it sees what this thread wrote before. */
    atomic_store_explicit(&thread->phase, phase, memory_order_release);
    tina__os_event_signal(thread->system->news);
}

static tina_status pin(tina__shard_thread *thread)
{
    const tina_system *system = thread->system;
    if (!system->is_pinned)
        return TINA_OK;
    int os_error = 0;
    uint16_t cpu = system->cpus[thread->index];
    tina_status status = tina__os_pin(cpu, &os_error);
    if (status != TINA_OK)
        tina__error_set(&thread->error, status, os_error, "cpus",
                        "shard %zu can't run on core %u; name cores that the process may use, or set unpinned",
                        thread->index, cpu);
    return status;
}

static tina_status fault_in(tina__shard_thread *thread)
{
    const tina_system *system = thread->system;
    const tina__plan *plan = &system->plans[thread->index];
    uint8_t *base = system->bases[thread->index];
    if (system->spec->development)
        return TINA_OK;
    int os_error = 0;
    bool got_huge[2] = {false, false};
    tina_status status = tina__os_populate(base + plan->user_offset, plan->user_size, true, &got_huge[0], &os_error);
    if (status == TINA_OK)
        status = tina__os_populate(base + plan->runtime_offset, plan->runtime_size, true, &got_huge[1], &os_error);
    if (status != TINA_OK)
        tina__error_set(&thread->error, status, os_error, "",
                        "shard %zu could not get its %zu bytes of memory: reserve fewer slots or buffers", thread->index,
                        tina__plan_memory(plan));
    thread->got_huge = got_huge[0] || got_huge[1];
    return status;
}

tina_status tina__thread_open_backend(tina__shard_thread *thread)
{
    const tina_system *system = thread->system;
    const tina__plan *plan = &system->plans[thread->index];
    void *base = system->bases[thread->index];
    tina__backend_config config = plan->backend;
    config.buffers = tina__plan_at(plan, base, TINA__REGION_BUFFERS);
    config.annexes = tina__plan_at(plan, base, TINA__REGION_ANNEXES);
    config.memory = tina__plan_at(plan, base, TINA__REGION_BACKEND);
    config.wake_fd = system->publics[thread->index].bell.wake_fd;
    config.has_poller = system->crank != NULL;
    config.poller = system->crank != NULL ? system->crank->poller : -1;
    const tina__backend_api *api;
    tina__backend *backend;
    int os_error = 0;
    const char *why = "";
    tina_status status = tina__backend_open(system->spec->backend, &config, &api, &backend, &os_error, &why);
    if (status != TINA_OK) {
        tina__error_set(&thread->error, status, os_error, "backend",
                        status == TINA_POOL_EXHAUSTED
                            ? "has no descriptor left (%s): raise ulimit -n"
                            : "can't be used here (%s): leave it at 0, or see the container's policy",
                        why);
        return status;
    }
    thread->note = why;
    thread->backend_name = api->name;
    thread->api = api;
    thread->backend = backend;
    return TINA_OK;
}

static tina__build build_of(const tina__shard_thread *thread)
{
    tina_system *system = thread->system;
    return (tina__build){
        .spec = system->spec,
        .plans = system->plans,
        .bases = system->bases,
        .shared = &system->shared,
        .shard = thread->index,
        .seed = tina__os_random(),
        .now_ns = tina__os_now_ns(),
    };
}

/* enter: tina__trap_enter, or what is like it */
tina_status tina__thread_enter_trap(tina__shard_thread *thread, tina_status (*enter)(tina__guard *guard, int *os_error))
{
    tina_system *system = thread->system;
    tina__guard *guard = &system->publics[thread->index].guard;
    guard->is_fatal = tina__fault_is_fatal;
    guard->user = thread->shard;
    guard->foreign = system->foreign;
    guard->foreign_count = system->foreign_count;
    if (!system->has_trap)
        return TINA_OK;
    int os_error = 0;
    tina_status status = enter(guard, &os_error);
    thread->is_trapped = status == TINA_OK;
    if (status != TINA_OK)
        tina__error_set(&thread->error, status, os_error, "", "shard %zu: no memory for the stack that faults are taken on",
                        thread->index);
    return status;
}

tina_status tina__thread_build(tina__shard_thread *thread)
{
    tina_status status = fault_in(thread);
    if (status != TINA_OK)
        return status;
    tina__build build = build_of(thread);
    thread->shard = tina__build_shard(&build);
    return TINA_OK;
}

static tina_status come_up(tina__shard_thread *thread)
{
    tina_status status = pin(thread);
    if (status == TINA_OK)
        status = tina__thread_build(thread);
    if (status == TINA_OK)
        status = tina__thread_open_backend(thread);
    if (status != TINA_OK)
        return status;
    tina__shard_attach(thread->shard, thread->api, thread->backend);
    return tina__thread_enter_trap(thread, tina__trap_enter);
}

/* True: every shard is ready, go on. */
static bool wait_for_gate(tina_system *system)
{
    uint32_t gate;
    /* acquire, with the booting thread: all shards' channels are made. */
    while ((gate = atomic_load_explicit(&system->gate, memory_order_acquire)) == TINA__GATE_CLOSED)
        tina__os_event_wait(system->gate_event, TINA_NONE_NS);
    tina__os_event_signal(system->gate_event); /* for the next that waits */
    return gate == TINA__GATE_OPEN;
}

/* ---- Running ------------------------------------------------------------------------------- */

typedef struct nap {
    tina__shard_thread *thread;
    uint64_t now_ns;
} nap;

static void sleep_until_work(void *argument)
{
    const nap *own = argument;
    tina__shard_thread *thread = own->thread;
    tina__shard *shard = thread->shard;
    tina__doorbell *bell = &shard->public->bell;
    if (!tina__doorbell_may_sleep(bell))
        return;
    uint64_t deadline_ns = tina__shard_deadline_ns(shard);
    uint64_t wait_ns = deadline_ns == TINA_NONE_NS ? TINA_NONE_NS
                       : deadline_ns > own->now_ns ? deadline_ns - own->now_ns
                                                   : 0;
    tina__count(shard, sleeps); /* before it: whoever looks meanwhile sees that it sleeps */
    shard->api->flush(shard->backend, wait_ns);
    tina__doorbell_awake(bell);
    tina__watchdog_awake(thread->system, shard->id);
}

/* Lets others have the core. Did somebody take it? */
static bool is_crowded(void)
{
    uint64_t start_ns = tina__os_now_ns();
    tina__os_yield();
    return tina__os_now_ns() - start_ns > CROWDED_NS;
}

/*
 * Looks whether there may be something to do, until there is, or the time has come.
 * A look takes a few nanoseconds, a turn that does nothing some two hundred: what
 * comes meanwhile waits less.
 *
 * Who has to share its core lets the others have it, now and then: what they do may
 * be what is waited for. If somebody takes it, the shard does not poll there for a
 * while: who sleeps is woken before those who have run, and who has polled its share
 * away is not. Beside a job that keeps the core busy that halves an echo's median.
 */
static void poll_until(tina__shard_thread *thread, uint64_t end_ns)
{
    const tina__doorbell *bell = &thread->shard->public->bell;
    if (thread->api->has_news == NULL)
        return;
    uint64_t now_ns;
    for (uint32_t clock = 1; (now_ns = tina__os_now_ns()) < end_ns; clock++) {
        for (uint32_t look = 0; look < LOOKS_PER_CLOCK; look++) {
            if (tina__doorbell_is_rung(bell) || thread->api->has_news(thread->backend))
                return;
            tina__os_relax();
        }
        if (clock % CLOCKS_PER_YIELD == 0 && is_crowded()) {
            thread->polls_after_ns = now_ns + CROWDED_PAUSE_NS;
            return;
        }
    }
}

/* One turn: tick, and sleep if nothing has happened for spin_ns. *idle_since_ns: when it last did something; 0: just now. */
static void turn(tina__shard_thread *thread, uint64_t *idle_since_ns)
{
    uint64_t now_ns = tina__os_now_ns();
    uint64_t refusals = thread->shard->stats.channel_full;
    tina__stats_busy(thread->shard, now_ns);
    if (tina__shard_tick(thread->shard, now_ns) != 0) {
        *idle_since_ns = 0;
        /* Only another shard can make room, which may wait for this core. */
        if (thread->shard->stats.channel_full != refusals)
            tina__os_yield();
        return;
    }
    tina__stats_idle(thread->shard, now_ns);
    if (*idle_since_ns == 0)
        *idle_since_ns = now_ns;
    uint64_t spin_end_ns = tina__add_saturating(*idle_since_ns, thread->system->spin_ns);
    if (now_ns < spin_end_ns && now_ns >= thread->polls_after_ns) {
        poll_until(thread, tina__min_u64(spin_end_ns, tina__shard_deadline_ns(thread->shard)));
        return;
    }
    nap own = {thread, now_ns};
    tina__fault fault;
    if (!tina__trap_run(sleep_until_work, &own, &fault))
        (void)tina__fault_is_isolates(thread->shard, &fault); /* never: no handler runs */
}

/* ---- Beginning anew ------------------------------------------------------------------------ */

static void wipe(void *argument) { tina__wipe_shard(argument); }

/* The rounds in which the shards end together are counted: one that is lost takes its part. */
static bool may_finish(const tina_system *system, uint32_t round)
{
    bool is_stopping = atomic_load_explicit(&system->shared.stop, memory_order_acquire) != TINA__STOP_NOT;
    uint32_t finished = atomic_load_explicit(&system->shared.finish_phase, memory_order_acquire);
    return is_stopping && finished >= round * system->shard_count;
}

void tina__thread_lose(tina__shard_thread *thread)
{
    tina_system *system = thread->system;
    tina__shard_public *public = &system->publics[thread->index];
    /* release, with tina__peers_look. */
    atomic_store_explicit(&public->state, (uint8_t)TINA_SHARD_QUARANTINED, memory_order_release);
    atomic_fetch_add_explicit(&public->life, 1, memory_order_release);
    tina__system_ring(system);
    thread->is_lost = true;
}

/* The shard is lost, memory and all: it holds the others up no more, and does nothing until the end. */
static void give_up(tina__shard_thread *thread)
{
    tina_system *system = thread->system;
    tina__doorbell *bell = &system->publics[thread->index].bell;
    uint32_t round = 0;
    tina__thread_lose(thread);
    while (round < 2 && atomic_load_explicit(&system->shared.stop, memory_order_acquire) < TINA__STOP_ABANDON) {
        for (uint32_t word = 0; word < TINA__DOORBELL_WORDS; word++)
            (void)tina__doorbell_take(bell, word);
        if (may_finish(system, round)) {
            round++;
            atomic_fetch_add_explicit(&system->shared.finish_phase, 1, memory_order_acq_rel); /* with the other shards' */
            tina__system_ring(system);
        } else if (tina__doorbell_may_sleep(bell)) {
            tina__os_event_wait(bell->wake_fd, TINA_NONE_NS);
            tina__doorbell_awake(bell);
        }
    }
}

/* The shard is marked to be wiped. False: not even that was possible. */
static bool begin_anew(tina__shard_thread *thread)
{
    tina_system *system = thread->system;
    tina_shard_state now = (tina_shard_state)system->publics[thread->index].state;
    tina__build build = build_of(thread);
    build.is_rebirth = true;
    tina__wipe_order order = {.build = &build, .shard = thread->shard, .api = thread->api, .backend = thread->backend};
    order.next = tina__lives_spend(&thread->lives, thread->shard, now, build.now_ns);
    tina__fault fault;
    if (!tina__trap_run(wipe, &order, &fault) || !order.has_let_go)
        return false;
    if (order.next == TINA_SHARD_QUARANTINED && system->spec->abort_on_quarantine)
        atomic_store_explicit(&system->is_aborting, true,
                              memory_order_release); /* with the helper, which writes the lines first */
    return true;
}

bool tina__thread_mend(tina__shard_thread *thread)
{
    const tina__shard *shard = thread->shard;
    bool is_boot_over = shard->state == TINA_SHARD_INIT && shard->wipe == TINA__WIPE_BUDGET;
    return shard->wipe == TINA__WIPE_NOT || is_boot_over || begin_anew(thread);
}

/* ---- The whole ------------------------------------------------------------------------------- */

void tina__thread_report_tree(tina__shard_thread *thread)
{
    const tina__shard *shard = thread->shard;
    if (shard->state == TINA_SHARD_INIT && shard->boot_failure == NULL) {
        tina__shard_set_state(thread->shard, TINA_SHARD_RUNNING);
        tina__thread_reach(thread, TINA__BOOT_UP);
        return;
    }
    if (shard->boot_failure != NULL && shard->is_called_off)
        tina__error_set(&thread->error, TINA_INIT_FAILED, 0, "root",
                        "the init of type %s failed on shard %zu and called the start off: see the log", shard->boot_failure,
                        thread->index);
    else if (shard->boot_failure != NULL)
        tina__error_set(&thread->error, TINA_INIT_FAILED, 0, "root",
                        "the init of type %s failed on shard %zu until the restart budget was used up: see the log",
                        shard->boot_failure, thread->index);
    else
        tina__error_set(&thread->error, TINA_INIT_FAILED, 0, "root", "shard %zu faulted while it booted: see the log",
                        thread->index);
    tina__thread_reach(thread, TINA__BOOT_FAILED);
}

/* Turns the shard for as long as the condition says. False: it is lost. */
static bool run_while(tina__shard_thread *thread, bool (*condition)(const tina__shard *shard))
{
    tina__shard *shard = thread->shard;
    uint64_t idle_since_ns = 0;
    while (condition(shard)) {
        turn(thread, &idle_since_ns);
        if (!tina__thread_mend(thread))
            return false;
    }
    return true;
}

bool tina__thread_is_booting(const tina__shard *shard)
{
    return shard->state == TINA_SHARD_INIT && tina__shard_is_booting(shard);
}

static bool is_running(const tina__shard *shard) { return !tina__shard_has_ended(shard); }

static bool run(tina__shard_thread *thread)
{
    tina__shard *shard = thread->shard;
    tina__shard_boot(shard, tina__os_now_ns());
    if (!run_while(thread, tina__thread_is_booting))
        return false;
    tina__stats_publish(shard);
    if (shard->state != TINA_SHARD_DRAINING)
        tina__thread_report_tree(thread);
    if (!run_while(thread, is_running))
        return false;
    tina__stats_publish(shard);
    return true;
}

/* An invariant does not hold: in the tick it costs the shard, elsewhere the process. Builds that audit want to know at once. */
void tina__thread_on_broken(void *argument, const char *what)
{
    tina__shard_thread *thread = argument;
    const tina_system_spec *spec = thread->system->spec;
#ifndef TINA_AUDIT
    if (tina__trap_is_armed()) {
        snprintf(thread->broken, sizeof thread->broken, "%s", what);
        tina__trap_throw(&(tina__fault){.kind = TINA__FAULT_BROKEN, .what = thread->broken});
    }
#endif
    if (spec->on_broken != NULL)
        spec->on_broken(spec->log_user, what);
}

/* Where the kernel, or a thread that works on a file, does not let go, the shard's memory has to stay where it is. */
void tina__thread_close_backend(void *argument)
{
    tina__shard_thread *thread = argument;
    if (!thread->is_lost && !thread->api->abandon(thread->backend))
        thread->is_lost = true;
    thread->api->close(thread->backend);
}

void tina__shard_thread_body(void *argument)
{
    tina__shard_thread *thread = argument;
    tina_system *system = thread->system;
    tina__broken_set(tina__thread_on_broken, thread);
    bool is_ready = come_up(thread) == TINA_OK;
    tina__thread_reach(thread, is_ready ? TINA__BOOT_READY : TINA__BOOT_FAILED);
    if (wait_for_gate(system) && is_ready && !run(thread))
        give_up(thread);
    tina__fault fault; /* the backend of a shard that is lost may be what is damaged: then its descriptors stay open */
    if (thread->api != NULL)
        (void)tina__trap_run(tina__thread_close_backend, thread, &fault);
    if (thread->is_trapped)
        tina__trap_leave();
    tina__thread_reach(thread, TINA__BOOT_ENDED);
}
