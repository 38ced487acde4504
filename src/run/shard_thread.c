/* The thread of a shard: comes up, turns the shard's crank, sleeps when there is nothing to do. */
#include "core/stats.h"
#include "run/system.h"

/* ---- Coming up -------------------------------------------------------------------------- */

static void reach(tina__shard_thread *thread, tina__boot_phase phase)
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

static tina_status open_backend(tina__shard_thread *thread)
{
    const tina_system *system = thread->system;
    const tina__plan *plan = &system->plans[thread->index];
    void *base = system->bases[thread->index];
    tina__backend_config config = plan->backend;
    config.buffers = tina__plan_at(plan, base, TINA__REGION_BUFFERS);
    config.memory = tina__plan_at(plan, base, TINA__REGION_BACKEND);
    config.wake_fd = system->publics[thread->index].bell.wake_fd;
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
    tina__shard_attach(thread->shard, api, backend);
    return TINA_OK;
}

static tina_status come_up(tina__shard_thread *thread)
{
    tina_system *system = thread->system;
    tina_status status = pin(thread);
    if (status == TINA_OK)
        status = fault_in(thread);
    if (status != TINA_OK)
        return status;
    tina__build build = {
        .spec = system->spec,
        .plans = system->plans,
        .bases = system->bases,
        .shared = &system->shared,
        .shard = thread->index,
        .seed = tina__os_random(),
        .now_ns = tina__os_now_ns(),
    };
    thread->shard = tina__build_shard(&build);
    return open_backend(thread);
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

static void sleep_until_work(tina__shard *shard, uint64_t now_ns)
{
    tina__doorbell *bell = &shard->public->bell;
    if (!tina__doorbell_may_sleep(bell))
        return;
    uint64_t deadline_ns = tina__shard_deadline_ns(shard);
    uint64_t wait_ns = deadline_ns == TINA_NONE_NS ? TINA_NONE_NS : deadline_ns > now_ns ? deadline_ns - now_ns : 0;
    shard->api->flush(shard->backend, wait_ns);
    tina__doorbell_awake(bell);
    tina__count(shard, sleeps);
    tina__count_by(shard, idle_ns, tina__os_now_ns() - now_ns);
}

/*
 * One turn: tick, hand the I/O over, and sleep if nothing has happened for
 * spin_ns. *idle_since_ns: when it last did something; 0: just now.
 */
static void turn(tina__shard *shard, uint64_t spin_ns, uint64_t *idle_since_ns)
{
    uint64_t now_ns = tina__os_now_ns();
    if (tina__shard_tick(shard, now_ns) != 0) {
        *idle_since_ns = 0;
        shard->api->flush(shard->backend, 0);
        return;
    }
    if (*idle_since_ns == 0)
        *idle_since_ns = now_ns;
    if (now_ns - *idle_since_ns < spin_ns)
        shard->api->flush(shard->backend, 0);
    else
        sleep_until_work(shard, now_ns);
}

static void report_tree(tina__shard_thread *thread)
{
    if (thread->shard->boot_failure == NULL) {
        tina__shard_set_state(thread->shard, TINA_SHARD_RUNNING);
        reach(thread, TINA__BOOT_UP);
        return;
    }
    tina__error_set(&thread->error, TINA_INIT_FAILED, 0, "root",
                    "the init of type %s failed on shard %zu until the restart budget was used up",
                    thread->shard->boot_failure, thread->index);
    reach(thread, TINA__BOOT_FAILED);
}

static void run(tina__shard_thread *thread)
{
    tina__shard *shard = thread->shard;
    const tina_system *system = thread->system;
    uint64_t idle_since_ns = 0;
    tina__shard_boot(shard, tina__os_now_ns());
    while (tina__shard_is_booting(shard) && shard->state == TINA_SHARD_INIT)
        turn(shard, system->spin_ns, &idle_since_ns);
    if (shard->state == TINA_SHARD_INIT) {
        tina__stats_publish(shard);
        report_tree(thread);
    }
    while (!tina__shard_has_ended(shard))
        turn(shard, system->spin_ns, &idle_since_ns);
    tina__stats_publish(shard);
}

void tina__shard_thread_body(void *argument)
{
    tina__shard_thread *thread = argument;
    tina_system *system = thread->system;
    tina__broken_set(system->spec->on_broken, system->spec->log_user);
    bool is_ready = come_up(thread) == TINA_OK;
    reach(thread, is_ready ? TINA__BOOT_READY : TINA__BOOT_FAILED);
    if (wait_for_gate(system) && is_ready)
        run(thread);
    if (thread->shard != NULL && thread->shard->api != NULL)
        thread->shard->api->close(thread->shard->backend);
    reach(thread, TINA__BOOT_ENDED);
}
