#include "run/system.h"

#include "core/gift.h"
#include "core/inbound.h"
#include "core/stats.h"
#include "run/crank.h"
#include "run/stats_page.h"
#include "run/system_make.h"
#include "run/watchdog.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define STUCK_GRACE_NS   5000000000u /* past the shutdown's timeout, before a thread counts as stuck */
#define ABANDON_GRACE_NS 1000000000u /* for the others, once one is stuck */
#define HELPER_STACK     65536       /* bytes */
#define UNDRAINED_NAMED  (sizeof((tina_end_report *)0)->undrained / sizeof(tina_handle))

/* ---- Its threads --------------------------------------------------------------------------------- */

static tina_status start_thread(tina__os_thread *thread, size_t stack_size, const char *name, void (*body)(void *),
                                void *argument, tina_error *error)
{
    int os_error = 0;
    tina_status status = tina__os_thread_start(thread, stack_size, name, body, argument, &os_error);
    if (status != TINA_OK)
        tina__error_set(error, status, os_error, "", "the system gives no thread: raise the process's limit, see ulimit -u");
    return status;
}

static tina_status start_helper(tina_system *system, tina_error *error)
{
    tina_status status = start_thread(&system->helper, HELPER_STACK, "tina helper", tina__helper_body, system, error);
    system->is_helper_started = status == TINA_OK;
    return status;
}

static tina_status start_threads(tina_system *system, tina_error *error)
{
    tina_status status = start_helper(system, error);
    for (size_t i = 0; i < system->shard_count && status == TINA_OK; i++) {
        char name[16];
        snprintf(name, sizeof name, "tina shard %u", (unsigned)i & 0xFF);
        tina__shard_thread *thread = &system->threads[i];
        status =
            start_thread(&thread->thread, system->plans[i].limits.stack_size, name, tina__shard_thread_body, thread, error);
        thread->is_started = status == TINA_OK;
    }
    return status;
}

static tina__boot_phase phase_of(const tina__shard_thread *thread)
{
    return (tina__boot_phase)atomic_load_explicit(&thread->phase, memory_order_acquire); /* with tina__thread_reach() */
}

static void open_gate(tina_system *system, tina__gate gate)
{
    atomic_store_explicit(&system->gate, gate, memory_order_release); /* with wait_for_gate() */
    tina__os_event_signal(system->gate_event);
}

/* Waits until every started shard has reached the phase, or one has failed. TINA_TIMED_OUT: neither by the deadline. */
static tina_status wait_for_all(tina_system *system, tina__boot_phase phase, uint64_t deadline_ns, tina_error *error)
{
    for (;;) {
        size_t reached = 0;
        for (size_t i = 0; i < system->shard_count; i++) {
            const tina__shard_thread *thread = &system->threads[i];
            tina__boot_phase now = phase_of(thread);
            if (now == TINA__BOOT_FAILED || (now == TINA__BOOT_ENDED && thread->error.status != TINA_OK)) {
                if (error != NULL)
                    *error = thread->error;
                return (tina_status)thread->error.status;
            }
            reached += now >= phase;
        }
        if (reached == system->shard_count)
            return TINA_OK;
        uint64_t now_ns = tina__os_now_ns();
        if (now_ns >= deadline_ns)
            return TINA_TIMED_OUT;
        tina__os_event_wait(system->news, deadline_ns - now_ns);
    }
}

/* A thread of ours, or the program's that turns it. */
static bool is_running(const tina_system *system, size_t shard)
{
    const tina__shard_thread *thread = &system->threads[shard];
    return (thread->is_started || system->crank != NULL) && phase_of(thread) != TINA__BOOT_ENDED;
}

static uint32_t count_running(const tina_system *system)
{
    uint32_t count = 0;
    for (size_t i = 0; i < system->shard_count; i++)
        count += is_running(system, i);
    return count;
}

/* Waits until every thread is about to return. Returns how many have not by the deadline. */
static uint32_t wait_for_end(tina_system *system, uint64_t deadline_ns)
{
    uint32_t running;
    while ((running = count_running(system)) != 0) {
        uint64_t now_ns = tina__os_now_ns();
        if (now_ns >= deadline_ns)
            break;
        tina__os_event_wait(system->news, deadline_ns == TINA_NONE_NS ? TINA_NONE_NS : deadline_ns - now_ns);
    }
    return running;
}

/*
 * Shards that did not wait for each other may have left descriptors in channels. What
 * lies in those of a shard that is stuck or lost, stays there.
 */
static void sweep_gifts(tina_system *system)
{
    for (size_t i = 0; i < system->shard_count; i++) {
        if (phase_of(&system->threads[i]) != TINA__BOOT_ENDED || system->threads[i].is_lost ||
            system->threads[i].shard == NULL)
            continue;
        int32_t os_fd;
        while ((os_fd = tina__gift_left(system->threads[i].shard)) >= 0)
            (void)close(os_fd);
    }
}

static void end_helper(tina_system *system)
{
    if (!system->is_helper_started)
        return;
    atomic_store_explicit(&system->is_helper_ending, true, memory_order_release); /* with the helper's loop */
    if (tina__doorbell_ring(&system->helper_bell, TINA__DOORBELL_CONTROL))
        tina__os_event_signal(system->helper_bell.wake_fd);
    tina__os_thread_join(&system->helper);
    tina__stats_page_close(system); /* its writer has ended, whoever has not */
}

/* Joins the threads, which are about to return, and frees everything. The helper first: it asks the others. */
static void end_threads(tina_system *system)
{
    end_helper(system);
    for (size_t i = 0; i < system->shard_count; i++) {
        if (system->threads[i].is_started)
            tina__os_thread_join(&system->threads[i].thread);
    }
    tina__system_destroy(system);
}

/* ---- The boot report ------------------------------------------------------------------------------- */

static void report_shard(tina_system *system, size_t index)
{
    const tina__plan *plan = &system->plans[index];
    const tina__shard_thread *thread = &system->threads[index];
    char where[32];
    if (system->is_pinned)
        snprintf(where, sizeof where, "on core %u", system->cpus[index]);
    else
        snprintf(where, sizeof where, "%s", system->crank != NULL ? "on the program's own thread" : "not pinned");
    const char *backend = thread->backend_name;
    tina__system_log(system, TINA_LOG_INFO, "shard %zu: %s, %s, %.1f MiB%s", index, backend, where,
                     (double)tina__plan_memory(plan) / (1 << 20),
                     system->spec->development ? ", faulted in when used"
                     : thread->got_huge        ? ", in huge pages"
                                               : ", without huge pages");
    if (thread->note[0] != '\0')
        tina__system_log(system, TINA_LOG_WARN, "shard %zu: io_uring is refused (%s): using %s", index, thread->note,
                         backend);
    for (size_t i = 0; i < TINA__REGION_COUNT; i++) {
        const tina__region *region = &plan->regions[i];
        if (region->size >= tina__plan_memory(plan) / 100)
            tina__system_log(system, TINA_LOG_DEBUG, "shard %zu: %10.1f KiB %s", index, (double)region->size / 1024,
                             region->name);
    }
}

static void report_boot(tina_system *system)
{
    uint64_t fds = 0;
    tina__system_log(system, TINA_LOG_INFO, "libtina %s: %zu shard%s", tina_version(), system->shard_count,
                     system->shard_count == 1 ? "" : "s");
    for (size_t i = 0; i < system->shard_count; i++) {
        report_shard(system, i);
        fds += system->plans[i].limits.fd_count;
    }
    if (fds > tina__os_fd_limit())
        tina__system_log(system, TINA_LOG_WARN,
                         "%llu descriptors are reserved, but the process may open %llu: see ulimit -n",
                         (unsigned long long)fds, (unsigned long long)tina__os_fd_limit());
}

/* ---- Starting and ending ----------------------------------------------------------------------------- */

/* The helper has ended: the sink is this thread's. */
static void name_stuck(tina_system *system)
{
    for (size_t i = 0; i < system->shard_count; i++) {
        const tina__shard_thread *thread = &system->threads[i];
        if (!is_running(system, i))
            continue;
        tina_handle who = {__atomic_load_n(&thread->shard->frames[0].self.bits, __ATOMIC_RELAXED)}; /* a hint */
        bool runs = atomic_load_explicit(&system->publics[i].guard.turn, memory_order_relaxed) % 2 == 1 &&
                    tina_handle_type(who) < system->spec->type_count;
        tina__system_log(system, TINA_LOG_ERROR, "shard %zu %s%s%s", i,
                         system->crank != NULL && !runs ? "is not stepped any more" : "does not come back",
                         runs ? ": it is in a handler call of type " : "",
                         runs ? system->spec->types[tina_handle_type(who)].name : "");
    }
}

/* Time for those that are asked to come back at once; where the watchdog kills who does not, it has had its chance then. */
static uint64_t abandon_grace_ns(const tina_system *system)
{
    const tina_system_spec *spec = system->spec;
    if (system->watchdog == NULL || !system->has_trap || spec->watchdog_stalls == TINA_NONE)
        return ABANDON_GRACE_NS;
    tina__watch_rule rule = tina__watch_rule_of(spec);
    return tina__add_saturating(ABANDON_GRACE_NS, 2 * (rule.limit_ns + 4 * rule.period_ns)); /* a busy machine gives half */
}

/* Undoes a boot that failed with its threads running. A thread that does not come back keeps the memory. */
static void undo(tina_system *system, bool is_gate_open)
{
    if (!is_gate_open)
        open_gate(system, TINA__GATE_ABORT);
    tina__signals_remove(system);
    tina__system_stop(system, TINA__STOP_NOW);
    /* Behind the closed gate no handler has run: every thread comes back by itself. */
    uint64_t deadline_ns = is_gate_open ? tina__os_now_ns() + abandon_grace_ns(system) : TINA_NONE_NS;
    if (wait_for_end(system, deadline_ns) == 0) {
        sweep_gifts(system);
        end_threads(system);
        return;
    }
    tina__system_stop(system, TINA__STOP_ABANDON);
    end_helper(system);
    name_stuck(system);
}

static tina_status come_up(tina_system *system, bool report, tina_error *error)
{
    uint64_t timeout_ns = tina__system_init_timeout_ns(system->spec);
    uint64_t deadline_ns = tina__add_saturating(tina__os_now_ns(), timeout_ns);
    bool is_gate_open = false;
    tina_status status = start_threads(system, error);
    if (status == TINA_OK)
        status = wait_for_all(system, TINA__BOOT_READY, deadline_ns, error);
    if (status == TINA_OK) {
        if (report) /* no shard has said anything yet: the helper and this thread are not in the sink at once */
            report_boot(system);
        open_gate(system, TINA__GATE_OPEN);
        is_gate_open = true;
        status = wait_for_all(system, TINA__BOOT_UP, deadline_ns, error);
    }
    if (status == TINA_TIMED_OUT)
        tina__error_set(error, status, 0, "init_timeout_ns", "not every shard was up within %llu ms",
                        (unsigned long long)((timeout_ns + 999999) / 1000000));
    if (status != TINA_OK)
        undo(system, is_gate_open);
    return status;
}

/* The tree comes up when somebody steps. */
static tina_status come_up_external(tina_system *system, bool report, tina_error *error)
{
    tina_status status = tina__crank_prepare(system, error);
    if (status == TINA_OK)
        status = start_helper(system, error);
    if (status == TINA_OK && report)
        report_boot(system);
    if (status == TINA_OK)
        return TINA_OK;
    tina__signals_remove(system);
    end_threads(system);
    return status;
}

static tina_status take_signals(tina_system *system, tina_error *error)
{
    if (tina__signals_add(system))
        return TINA_OK;
    tina__error_set(error, TINA_POOL_EXHAUSTED, 0, "signals", "at most 64 systems at once can be stopped by signals");
    return TINA_POOL_EXHAUSTED;
}

tina_status tina__system_start(const tina_system_spec *spec, bool report, tina_system **out, tina_error *error)
{
    tina_system *system;
    tina_status status = tina__system_make(spec, &system, error);
    if (status != TINA_OK)
        return status;
    /* Before anything runs: a signal that comes while the trees come up stops them as one that comes later. */
    if (spec->signals == TINA_SIGNALS_ALL && (status = take_signals(system, error)) != TINA_OK) {
        tina__system_destroy(system);
        return status;
    }
    status = system->crank != NULL ? come_up_external(system, report, error) : come_up(system, report, error);
    if (status != TINA_OK)
        return status;
    *out = system;
    return TINA_OK;
}

void tina__system_ring(tina_system *system)
{
    for (size_t i = 0; i < system->shard_count; i++) {
        tina__doorbell *bell = &system->publics[i].bell;
        if (tina__doorbell_ring(bell, TINA__DOORBELL_CONTROL))
            tina__os_event_signal(bell->wake_fd);
    }
}

void tina__system_stop(tina_system *system, tina__stop how)
{
    uint32_t now = atomic_load_explicit(&system->shared.stop, memory_order_relaxed);
    /* release, with the shards' look at it. It only grows. */
    while (now < how && !atomic_compare_exchange_weak_explicit(&system->shared.stop, &now, how, memory_order_release,
                                                               memory_order_relaxed)) {
    }
    tina__system_ring(system);
    tina__os_event_signal(system->news);
}

void tina__system_revive(tina_system *system)
{
    atomic_fetch_add_explicit(&system->shared.revive, 1, memory_order_relaxed); /* only a count */
    tina__system_ring(system);
}

/* How long the threads have to come back, from the moment when they were asked to. */
static uint64_t patience_of(const tina_system *system, uint32_t stop)
{
    if (stop >= TINA__STOP_NOW)
        return abandon_grace_ns(system);
    return tina__add_saturating(system->shared.shutdown_timeout_ns, STUCK_GRACE_NS);
}

/* Waits for the end. Returns how many threads are stuck. */
static uint32_t await_end(tina_system *system)
{
    uint32_t known = TINA__STOP_NOT;
    uint64_t deadline_ns = TINA_NONE_NS;
    while (count_running(system) != 0) {
        uint64_t now_ns = tina__os_now_ns();
        uint32_t stop = atomic_load_explicit(&system->shared.stop, memory_order_acquire); /* with tina__system_stop */
        if (stop != known)
            deadline_ns = tina__min_u64(deadline_ns, tina__add_saturating(now_ns, patience_of(system, stop)));
        known = stop;
        if (now_ns >= deadline_ns)
            break;
        tina__os_event_wait(system->news, deadline_ns == TINA_NONE_NS ? TINA_NONE_NS : deadline_ns - now_ns);
    }
    if (count_running(system) == 0)
        return 0;
    tina__system_stop(system, TINA__STOP_ABANDON);
    return wait_for_end(system, tina__os_now_ns() + ABANDON_GRACE_NS);
}

/*
 * What was posted while the shards ended came too late for them: it is counted
 * here, so that every post that was accepted is found again.
 */
static void sweep_inboxes(tina_system *system)
{
    /* acq_rel, with tina_post: who begins after this look sees the stop. */
    while (atomic_fetch_add_explicit(&system->posting, 0, memory_order_acq_rel) != 0)
        sched_yield();
    for (size_t i = 0; i < system->shard_count; i++) {
        if (phase_of(&system->threads[i]) != TINA__BOOT_ENDED)
            continue;
        tina__inbound_listen(system->threads[i].shard);
        (void)tina__inbound_drain(system->threads[i].shard);
    }
}

static void fill_report(const tina_system *system, uint32_t stuck, tina_end_report *report)
{
    *report = (tina_end_report){.stuck_shards = stuck};
    for (size_t i = 0; i < system->shard_count; i++)
        report->stuck_shards += phase_of(&system->threads[i]) == TINA__BOOT_ENDED && system->threads[i].is_lost;
    for (size_t i = 0; i < system->shard_count; i++) {
        const tina__shard *shard = system->threads[i].shard;
        tina_stats stats;
        tina__shard_read_stats(shard, &system->publics[i], 0, &stats);
        tina__stats_add(&report->total, &stats);
        if (phase_of(&system->threads[i]) != TINA__BOOT_ENDED)
            continue;
        for (uint32_t k = 0; k < shard->undrained_count; k++) {
            if (report->undrained_count < UNDRAINED_NAMED && k < UNDRAINED_NAMED)
                report->undrained[report->undrained_count] = shard->undrained[k];
            report->undrained_count++;
        }
    }
    report->total.state = TINA_SHARD_ENDED;
}

tina_status tina__system_join(tina_system *system, tina_end_report *report)
{
    if (system->crank != NULL && tina__crank_run_out(system, NULL) == TINA_BUSY)
        return TINA_BUSY;
    uint32_t stuck = await_end(system);
    if (system->crank != NULL && stuck == 0)
        tina__crank_await_leave(system);
    sweep_gifts(system);
    sweep_inboxes(system);
    tina_end_report own;
    fill_report(system, stuck, &own);
    if (report != NULL)
        *report = own;
    tina__signals_remove(system);
    if (stuck == 0) {
        end_threads(system);
    } else {
        end_helper(system); /* the sink is the user's: what a stuck thread still logs goes nowhere */
        name_stuck(system);
    }
    return own.stuck_shards == 0 && own.undrained_count == 0 ? TINA_OK : TINA_TIMED_OUT;
}
