#include "run/crank.h"

#include "core/fault.h"
#include "core/log.h"
#include "core/stats.h"
#include "run/system_make.h"
#include "run/watchdog.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#define TURNS_MAX 8 /* in one step, before the program has its turn */

static tina__shard_thread *thread_of(const tina_system *system) { return &system->threads[0]; }

static tina__doorbell *bell_of(const tina_system *system) { return &system->publics[0].bell; }

static bool has_ended(const tina_system *system)
{
    /* acquire, with tina__thread_reach: the shard is at rest for ever, whoever asks. */
    return atomic_load_explicit(&thread_of(system)->phase, memory_order_acquire) == TINA__BOOT_ENDED;
}

/* ---- Before anybody steps ------------------------------------------------------------------ */

tina_status tina__crank_open(tina_system *system, tina_error *error)
{
    int os_error = 0;
    tina__crank *crank = calloc(1, sizeof *crank);
    if (crank == NULL) {
        tina__error_set(error, TINA_POOL_EXHAUSTED, 0, "", "no memory for the system's own tables");
        return TINA_POOL_EXHAUSTED;
    }
    crank->poller = -1;
    system->crank = crank;
    tina_status status = tina__os_poller_open(bell_of(system)->wake_fd, &crank->poller, &os_error);
    if (status != TINA_OK)
        tina__error_set(error, status, os_error, "",
                        "no descriptor for the program to wait on: raise the process's limit, see ulimit -n");
    return status;
}

void tina__crank_close(tina_system *system)
{
    if (system->crank != NULL && system->crank->poller >= 0)
        tina__os_poller_close(system->crank->poller);
    free(system->crank);
    system->crank = NULL;
}

/* The kernel may bind it to the thread that opens it: so it is closed again. But what a spec names and can't be had is said now. */
static tina_status try_backend(tina_system *system)
{
    tina__shard_thread *thread = thread_of(system);
    tina_status status = tina__thread_open_backend(thread);
    if (status != TINA_OK)
        return status;
    thread->api->close(thread->backend);
    thread->api = NULL;
    thread->backend = NULL;
    const tina__plan *plan = &system->plans[0];
    memset(tina__plan_at(plan, system->bases[0], TINA__REGION_BACKEND), 0, plan->regions[TINA__REGION_BACKEND].size);
    return TINA_OK;
}

tina_status tina__crank_prepare(tina_system *system, tina_error *error)
{
    tina__shard_thread *thread = thread_of(system);
    tina_status status = tina__thread_build(thread);
    if (status == TINA_OK)
        status = try_backend(system);
    if (status != TINA_OK) {
        if (error != NULL)
            *error = thread->error;
        return status;
    }
    tina__thread_reach(thread, TINA__BOOT_READY);
    tina__os_event_signal(bell_of(system)->wake_fd); /* there is something to do: the tree */
    return TINA_OK;
}

/* ---- Whose it is ------------------------------------------------------------------------------ */

/* Never the same for two threads, also if one has ended before the other began. */
static uint64_t thread_number(void)
{
    static _Atomic uint64_t latest;
    static _Thread_local __attribute__((tls_model("initial-exec"))) uint64_t number;
    if (number == 0)
        number = atomic_fetch_add_explicit(&latest, 1, memory_order_relaxed) + 1;
    return number;
}

static bool claim(tina__crank *crank)
{
    uint64_t self = thread_number();
    uint64_t owner = atomic_load_explicit(&crank->owner, memory_order_relaxed); /* our own number nobody else stores */
    /* relaxed: how the system came to this thread is the program's own hand-over. */
    return owner == self || (owner == 0 && atomic_compare_exchange_strong_explicit(
                                               &crank->owner, &owner, self, memory_order_relaxed, memory_order_relaxed));
}

/* ---- Coming up ----------------------------------------------------------------------------------- */

/* The tree will not come up: the words go to the log, and the system ends. */
static tina_status fail(tina_system *system)
{
    tina__shard_thread *thread = thread_of(system);
    tina__log(thread->shard, NULL, TINA_LOG_ERROR, "%s", thread->error.message);
    system->crank->is_settled = true;
    tina__system_stop(system, TINA__STOP_NOW);
    return (tina_status)thread->error.status;
}

/* The watchdog may ask for the thread from here on. */
static void open_gate(tina_system *system)
{
    tina__os_thread_self(&thread_of(system)->thread);
    /* release, with tina__watchdog_turn: the thread's name is written. */
    atomic_store_explicit(&system->gate, TINA__GATE_OPEN, memory_order_release);
    tina__doorbell *bell = &system->helper_bell;
    if (tina__doorbell_ring(bell, TINA__DOORBELL_CONTROL))
        tina__os_event_signal(bell->wake_fd);
}

static tina_status begin(tina_system *system)
{
    tina__crank *crank = system->crank;
    tina__shard_thread *thread = thread_of(system);
    tina_status status = tina__thread_open_backend(thread);
    if (status != TINA_OK)
        return status;
    tina__shard_attach(thread->shard, thread->api, thread->backend);
    open_gate(system);
    uint64_t now_ns = tina__os_now_ns();
    crank->boot_deadline_ns = tina__add_saturating(now_ns, tina__system_init_timeout_ns(system->spec));
    crank->is_begun = true;
    tina__shard_boot(thread->shard, now_ns);
    return TINA_OK;
}

/* Is the tree up? Not TINA_OK, once: it will not be. */
static tina_status look_at_tree(tina_system *system, uint64_t now_ns)
{
    tina__crank *crank = system->crank;
    tina__shard_thread *thread = thread_of(system);
    if (crank->is_settled)
        return TINA_OK;
    if (thread->is_lost || tina__thread_is_booting(thread->shard)) {
        if (now_ns < crank->boot_deadline_ns)
            return TINA_OK;
        tina__error_set(&thread->error, TINA_TIMED_OUT, 0, "init_timeout_ns", "the tree was not up within init_timeout_ns");
        return fail(system);
    }
    crank->is_settled = true;
    tina__stats_publish(thread->shard);
    if (thread->shard->state == TINA_SHARD_DRAINING)
        return TINA_OK;
    tina__thread_report_tree(thread);
    return thread->error.status == TINA_OK ? TINA_OK : fail(system);
}

/* The tree is looked at before the first turn: one that was called off is drained by it. */
static tina_status come_up(tina_system *system)
{
    tina_status status = begin(system);
    return status == TINA_OK ? look_at_tree(system, tina__os_now_ns()) : fail(system);
}

/* ---- Turning ---------------------------------------------------------------------------------------- */

/* Posts need not signal any more, and the watchdog looks again. */
static void wake_up(tina_system *system)
{
    tina__crank *crank = system->crank;
    atomic_store_explicit(&crank->deadline_ns, 0, memory_order_relaxed);
    tina__doorbell_awake(bell_of(system));
    tina__watchdog_awake(system, 0);
    if (!crank->is_resting)
        return;
    crank->is_resting = false;
    tina__stats_busy(thread_of(system)->shard, tina__os_now_ns());
}

typedef struct nap {
    tina_system *system;
    uint64_t now_ns;
    uint64_t deadline_ns; /* out. 0: no rest, there is something */
} nap;

static uint64_t deadline_of(const tina_system *system, uint64_t now_ns, uint64_t backend_ns)
{
    const tina__crank *crank = system->crank;
    const tina__shard_thread *thread = thread_of(system);
    uint64_t deadline_ns = tina__add_saturating(now_ns, backend_ns);
    if (!thread->is_lost)
        deadline_ns = tina__min_u64(deadline_ns, tina__shard_deadline_ns(thread->shard));
    return crank->is_settled ? deadline_ns : tina__min_u64(deadline_ns, crank->boot_deadline_ns);
}

/* See crank.h for the order. */
static void come_to_rest(void *argument)
{
    nap *own = argument;
    const tina__shard_thread *thread = thread_of(own->system);
    tina__doorbell *bell = bell_of(own->system);
    tina__os_event_clear(bell->wake_fd);
    if (!tina__doorbell_may_sleep(bell))
        return;
    uint64_t backend_ns = thread->is_lost ? TINA_NONE_NS : thread->api->rest(thread->backend);
    uint64_t deadline_ns = deadline_of(own->system, own->now_ns, backend_ns);
    if (backend_ns != 0 && deadline_ns > own->now_ns)
        own->deadline_ns = deadline_ns;
    else
        tina__doorbell_awake(bell);
}

/* False: there is something to do. */
static bool rest(tina_system *system, uint64_t now_ns)
{
    tina__crank *crank = system->crank;
    nap own = {.system = system, .now_ns = now_ns};
    tina__fault fault;
    if (!tina__trap_run(come_to_rest, &own, &fault)) {
        tina__doorbell_awake(bell_of(system));
        (void)tina__fault_is_isolates(thread_of(system)->shard, &fault); /* never: no handler runs */
        return false;
    }
    if (own.deadline_ns == 0)
        return false;
    crank->is_resting = true;
    tina__count(thread_of(system)->shard, sleeps);
    tina__stats_idle(thread_of(system)->shard, now_ns);
    atomic_store_explicit(&crank->deadline_ns, own.deadline_ns, memory_order_relaxed); /* a hint for who waits */
    return true;
}

/* A shard that is lost does nothing but end. */
static bool is_over(const tina_system *system)
{
    const tina__shard_thread *thread = thread_of(system);
    if (thread->is_lost) /* acquire, with tina__system_stop */
        return atomic_load_explicit(&system->shared.stop, memory_order_acquire) != TINA__STOP_NOT;
    return tina__shard_has_ended(thread->shard);
}

static uint32_t turn_once(tina_system *system, uint64_t now_ns)
{
    tina__shard_thread *thread = thread_of(system);
    if (thread->is_lost) {
        for (uint32_t word = 0; word < TINA__DOORBELL_WORDS; word++)
            (void)tina__doorbell_take(bell_of(system), word);
        return 0;
    }
    uint32_t work = tina__shard_tick(thread->shard, now_ns);
    if (!tina__thread_mend(thread))
        tina__thread_lose(thread);
    return work;
}

/* Until nothing is left to do, or the program is to have its turn, for which the poller is readable then. */
static tina_status turn_some(tina_system *system, uint32_t *work)
{
    tina_status status = TINA_OK;
    for (uint32_t turns = 0; turns < TURNS_MAX && status == TINA_OK; turns++) {
        uint64_t now_ns = tina__os_now_ns();
        uint32_t done = turn_once(system, now_ns);
        *work += done;
        status = look_at_tree(system, now_ns);
        if (is_over(system) || (status == TINA_OK && done == 0 && rest(system, now_ns)))
            return status;
    }
    tina__os_event_signal(bell_of(system)->wake_fd);
    return status;
}

/* True: step on. False: the time is over, or the program has handled a signal. */
static bool wait_for_work(const tina_system *system, uint64_t end_ns)
{
    const tina__crank *crank = system->crank;
    uint64_t deadline_ns = atomic_load_explicit(&crank->deadline_ns, memory_order_relaxed); /* our own word */
    if (!crank->is_resting || end_ns == 0)
        return false;
    if (!tina__os_poller_wait(crank->poller, tina__min_u64(deadline_ns, end_ns)))
        return false;
    return end_ns == TINA_NONE_NS || tina__os_now_ns() < end_ns;
}

/* The time at which a wait ends; 0: it does not wait. */
static uint64_t end_of(uint64_t timeout_ns)
{
    bool is_limited = timeout_ns != 0 && timeout_ns != TINA_NONE_NS;
    return is_limited ? tina__add_saturating(tina__os_now_ns(), timeout_ns) : timeout_ns;
}

static tina_status turn(tina_system *system, uint64_t timeout_ns, uint32_t *work)
{
    uint64_t end_ns = end_of(timeout_ns);
    tina_status status;
    do {
        wake_up(system);
        status = turn_some(system, work);
    } while (status == TINA_OK && *work == 0 && !is_over(system) && wait_for_work(system, end_ns));
    return status;
}

/* ---- The end ------------------------------------------------------------------------------------------ */

/* The thread is the program's again, and the poller is readable for ever. */
static void finish(tina_system *system)
{
    tina__crank *crank = system->crank;
    tina__shard_thread *thread = thread_of(system);
    tina__os_event_signal(bell_of(system)->wake_fd);
    if (thread->is_trapped)
        tina__trap_host_no_more();
    thread->is_trapped = false;
    atomic_store_explicit(&crank->deadline_ns, 0, memory_order_relaxed);
    tina__thread_reach(thread, TINA__BOOT_ENDED);
    tina__watchdog_let_go(system);
}

static void close_shard(tina_system *system)
{
    tina__shard_thread *thread = thread_of(system);
    tina__fault fault; /* as with a shard's thread: the backend may be what is damaged */
    tina__stats_publish(thread->shard);
    if (thread->api != NULL)
        (void)tina__trap_run(tina__thread_close_backend, thread, &fault);
}

/* ---- A step ---------------------------------------------------------------------------------------------- */

/* What the thread needs before it can be stepped on. */
static tina_status host(tina_system *system)
{
    tina__crank *crank = system->crank;
    if (crank->is_hosted)
        return TINA_OK;
    tina_status status = tina__thread_enter_trap(thread_of(system), tina__trap_host);
    crank->is_hosted = status == TINA_OK;
    return status;
}

/* With the thread in the trap's care. *is_ending: this was the last. */
static tina_status visit(tina_system *system, uint64_t timeout_ns, uint32_t *work, bool *is_ending)
{
    tina_status status = TINA_OK;
    if (!system->crank->is_begun) {
        status = come_up(system);
        *work = 1;
    }
    *is_ending = !system->crank->is_begun;
    if (status == TINA_OK) {
        status = turn(system, timeout_ns, work);
        *is_ending = is_over(system);
    }
    if (*is_ending)
        close_shard(system);
    return status == TINA_OK && *is_ending ? TINA_STOPPING : status;
}

static tina_status step(tina_system *system, uint64_t timeout_ns, uint32_t *work)
{
    tina__shard_thread *thread = thread_of(system);
    tina_status status = host(system);
    if (status != TINA_OK) {
        (void)fail(system);
        finish(system);
        return status;
    }
    bool is_ending = false;
    tina__trap_arrive(thread->is_trapped ? &system->publics[0].guard : NULL);
    tina__broken_set(tina__thread_on_broken, thread);
    status = visit(system, timeout_ns, work, &is_ending);
    tina__broken_set(NULL, NULL);
    tina__trap_depart();
    if (is_ending)
        finish(system);
    return status;
}

tina_status tina__crank_step(tina_system *system, uint64_t timeout_ns, uint32_t *work)
{
    tina__crank *crank = system->crank;
    *work = 0;
    if (tina__trap_is_taken())
        return TINA_BUSY;
    if (has_ended(system))
        return TINA_STOPPING;
    if (!claim(crank))
        return TINA_NOT_OWNER;
    /* relaxed: it is this thread's, and a signal's handler that steps on it comes between two of its instructions. */
    if (atomic_exchange_explicit(&crank->is_turning, true, memory_order_relaxed))
        return TINA_BUSY;
    tina_status status = step(system, timeout_ns, work);
    /* release, with tina__crank_await_leave. The last look at the system: whoever joins may free it now. */
    atomic_store_explicit(&crank->is_turning, false, memory_order_release);
    return status;
}

/* ---- Joining ------------------------------------------------------------------------------------------------ */

tina_status tina__crank_run_out(tina_system *system, tina_error *error)
{
    uint32_t work;
    tina_status first = TINA_OK;
    for (;;) {
        tina_status status = tina__crank_step(system, TINA_NONE_NS, &work);
        if (status == TINA_STOPPING)
            return first;
        if (status == TINA_BUSY || status == TINA_NOT_OWNER)
            return status;
        if (status == TINA_OK || first != TINA_OK)
            continue;
        first = status;
        if (error != NULL)
            *error = thread_of(system)->error;
    }
}

void tina__crank_await_leave(const tina_system *system)
{
    /* acquire, with the last step. */
    while (atomic_load_explicit(&system->crank->is_turning, memory_order_acquire))
        sched_yield();
}
