#include "run/system_make.h"

#include "run/crank.h"
#include "run/stats_page.h"
#include "run/watchdog.h"
#include "spec/copy.h"
#include "spec/mapping.h"

#include <stdlib.h>
#include <string.h>

#define CPUS_MAX        1024
#define INIT_TIMEOUT_NS 30000000000u
#define SPIN_NS         50000u
#define MEMORY_PERMILLE 900 /* of the memory that is left, by default */

/* ---- What it takes ------------------------------------------------------------------------ */

size_t tina__system_shard_count(const tina_system_spec *spec)
{
    uint16_t cpus[CPUS_MAX];
    size_t cores = tina__os_cpus(cpus, CPUS_MAX);
    size_t quota = tina__os_cpu_quota();
    return tina__spec_shard_count(spec, quota != 0 && quota < cores ? quota : cores);
}

uint64_t tina__system_init_timeout_ns(const tina_system_spec *spec)
{
    return spec->init_timeout_ns == 0 ? INIT_TIMEOUT_NS : spec->init_timeout_ns;
}

size_t tina__system_memory(const tina_system_spec *spec, size_t shard_count)
{
    size_t total = 0;
    for (size_t shard = 0; shard < shard_count; shard++) {
        tina__plan plan;
        if (!tina__plan_make(spec, shard, shard_count, tina__os_page_size(), &plan))
            return 0;
        total += tina__plan_memory(&plan);
    }
    return total;
}

static tina_status check_budget(const tina_system *system, tina_error *error)
{
    const tina_system_spec *spec = system->spec;
    uint64_t total = 0;
    for (size_t i = 0; i < system->shard_count; i++)
        total += tina__plan_memory(&system->plans[i]);
    uint64_t permille = spec->memory_permille == 0 ? MEMORY_PERMILLE : spec->memory_permille;
    uint64_t left = tina__os_memory_left();
    uint64_t allowed = left / 1000 * permille;
    if (spec->development || total <= allowed)
        return TINA_OK;
    tina__error_set(
        error, TINA_POOL_EXHAUSTED, 0, "memory_permille",
        "the spec takes %llu MiB; %llu permille of the %llu MiB that are left are %llu MiB: reserve fewer slots or buffers",
        (unsigned long long)(total >> 20), (unsigned long long)permille, (unsigned long long)(left >> 20),
        (unsigned long long)(allowed >> 20));
    return TINA_POOL_EXHAUSTED;
}

/* ---- Making and unmaking -------------------------------------------------------------------- */

static void choose_cpus(tina_system *system)
{
    const tina_system_spec *spec = system->spec;
    uint16_t cpus[CPUS_MAX];
    size_t count = tina__os_cpus(cpus, CPUS_MAX);
    system->is_pinned =
        !spec->external && !spec->unpinned && !spec->development && count != 0 && system->shard_count <= count;
    for (size_t i = 0; i < system->shard_count && system->is_pinned; i++)
        system->cpus[i] = spec->cpu_count != 0 ? spec->cpus[i % spec->cpu_count] : cpus[i];
    system->spin_ns = spec->spin_ns == TINA_NONE_NS ? 0 : spec->spin_ns == 0 ? SPIN_NS : spec->spin_ns;
    if (system->shard_count > count)
        system->spin_ns = 0; /* whoever polls keeps a core from a shard that has work */
}

static tina_status open_mapping(tina_system *system, size_t shard, tina_error *error)
{
    const tina__plan *plan = &system->plans[shard];
    int os_error = 0;
    tina_status status = tina__mapping_open(plan, &system->bases[shard], &os_error);
    if (status != TINA_OK)
        tina__error_set(error, status, os_error, "",
                        "shard %zu: the system gives no mapping of %zu bytes: raise ulimit -v or reserve less", shard,
                        plan->total);
    return status;
}

static tina_status open_events(tina_system *system, tina_error *error)
{
    int os_error = 0;
    tina_status status = tina__os_event_open(&system->news, &os_error);
    if (status == TINA_OK)
        status = tina__os_event_open(&system->gate_event, &os_error);
    if (status == TINA_OK)
        status = tina__os_event_open(&system->helper_bell.wake_fd, &os_error);
    for (size_t i = 0; i < system->shard_count && status == TINA_OK; i++)
        status = tina__os_event_open(&system->publics[i].bell.wake_fd, &os_error);
    if (status != TINA_OK)
        tina__error_set(error, status, os_error, "",
                        "no descriptor for waking shards: raise the process's limit, see ulimit -n");
    return status;
}

static void close_event(int event)
{
    if (event >= 0)
        tina__os_event_close(event);
}

/* Everything but the threads, which have ended. */
void tina__system_destroy(tina_system *system)
{
    close_event(system->news);
    close_event(system->gate_event);
    close_event(system->helper_bell.wake_fd);
    for (size_t i = 0; i < system->shard_count && system->publics != NULL; i++)
        close_event(system->publics[i].bell.wake_fd);
    for (size_t i = 0; i < system->shard_count && system->bases != NULL; i++) {
        if (system->threads == NULL || !system->threads[i].is_lost) /* of one that is lost, somebody may still write to it */
            tina__mapping_release(&system->plans[i], system->bases[i]);
    }
    if (system->has_trap)
        tina__trap_remove();
    for (size_t i = 0; i < system->shard_count && system->threads != NULL; i++)
        free(system->threads[i].lives.entries);
    tina__watchdog_close(system);
    tina__crank_close(system);
    tina__stats_page_close(system);
    tina__spec_free(system->spec);
    free(system->foreign);
    free(system->publics);
    free(system->plans);
    free(system->bases);
    free(system->threads);
    free(system->cpus);
    free(system);
}

static tina_status allocate(tina_system *system, const tina_system_spec *spec)
{
    system->news = system->gate_event = system->helper_bell.wake_fd = -1;
    if (tina__spec_copy(spec, sizeof *spec, &system->spec) != TINA_OK)
        return TINA_POOL_EXHAUSTED;
    size_t count = tina__system_shard_count(system->spec);
    system->publics = aligned_alloc(TINA__CACHE_LINE, count * sizeof *system->publics);
    system->plans = calloc(count, sizeof *system->plans);
    system->bases = calloc(count, sizeof *system->bases);
    system->threads = calloc(count, sizeof *system->threads);
    system->cpus = calloc(count, sizeof *system->cpus);
    if (system->publics == NULL || system->plans == NULL || system->bases == NULL || system->threads == NULL ||
        system->cpus == NULL)
        return TINA_POOL_EXHAUSTED;
    system->shard_count = count;
    memset(system->publics, 0, count * sizeof *system->publics);
    for (size_t i = 0; i < count; i++) {
        system->publics[i].bell.wake_fd = -1;
        system->threads[i] = (tina__shard_thread){.system = system, .index = i, .backend_name = "", .note = ""};
    }
    return TINA_OK;
}

static tina_status make_lives(tina_system *system)
{
    const tina_system_spec *spec = system->spec;
    for (size_t i = 0; i < system->shard_count; i++) {
        struct tina__budget_entry *entries = calloc(tina__budget_entry_count(spec->shard_restart_max), sizeof *entries);
        if (entries == NULL)
            return TINA_POOL_EXHAUSTED;
        tina__lives_init(&system->threads[i].lives, entries, spec);
    }
    return TINA_OK;
}

static tina_status plan_all(tina_system *system, tina_error *error)
{
    for (size_t i = 0; i < system->shard_count; i++) {
        if (!tina__plan_make(system->spec, i, system->shard_count, tina__os_page_size(), &system->plans[i])) {
            tina__error_set(error, TINA_INVALID, 0, "types", "shard %zu does not fit into an address space", i);
            return TINA_INVALID;
        }
    }
    return TINA_OK;
}

static void fill_shared(tina_system *system)
{
    const tina_system_spec *spec = system->spec;
    tina__build_shared(spec, system->publics, system->shard_count, &system->shared);
    system->shared.clock_ns = tina__os_now_ns;
    system->shared.helper_bell = &system->helper_bell;
    system->log_sink = spec->log_sink;
}

/* What is neither the program, nor this library, nor where a type's functions are. */
static void find_foreign_code(tina_system *system)
{
    const tina_system_spec *spec = system->spec;
    const void *own[2 * TINA_TYPES_MAX];
    size_t count = 0;
    for (size_t i = 0; i < spec->type_count; i++) {
        own[count++] = (const void *)(uintptr_t)spec->types[i].init;
        own[count++] = (const void *)(uintptr_t)spec->types[i].handler;
    }
    system->foreign = tina__trap_foreign_code(own, count, &system->foreign_count);
}

static tina_status set_trap(tina_system *system, tina_error *error)
{
    if (system->spec->signals == TINA_SIGNALS_NONE)
        return TINA_OK;
    int os_error = 0;
    tina_status status = tina__trap_install(&os_error);
    if (status != TINA_OK) {
        tina__error_set(error, status, os_error, "signals", "the system refuses handlers for faults");
        return status;
    }
    system->has_trap = true;
    find_foreign_code(system);
    return TINA_OK;
}

static tina_status prepare(tina_system *system, tina_error *error)
{
    tina_status status = plan_all(system, error);
    if (status == TINA_OK)
        status = check_budget(system, error);
    if (status == TINA_OK)
        status = open_events(system, error);
    if (status == TINA_OK && system->spec->external)
        status = tina__crank_open(system, error);
    for (size_t i = 0; i < system->shard_count && status == TINA_OK; i++)
        status = open_mapping(system, i, error);
    if (status != TINA_OK)
        return status;
    choose_cpus(system);
    fill_shared(system);
    if (make_lives(system) != TINA_OK || tina__watchdog_open(system) != TINA_OK) {
        tina__error_set(error, TINA_POOL_EXHAUSTED, 0, "", "no memory for the system's own tables");
        return TINA_POOL_EXHAUSTED;
    }
    status = set_trap(system, error);
    return status == TINA_OK ? tina__stats_page_open(system, error) : status;
}

tina_status tina__system_make(const tina_system_spec *spec, tina_system **out, tina_error *error)
{
    tina_system *system = calloc(1, sizeof *system);
    if (system == NULL || allocate(system, spec) != TINA_OK) {
        tina__error_set(error, TINA_POOL_EXHAUSTED, 0, "", "no memory for the system's own tables");
        if (system != NULL)
            tina__system_destroy(system);
        return TINA_POOL_EXHAUSTED;
    }
    tina_status status = prepare(system, error);
    if (status != TINA_OK) {
        tina__system_destroy(system);
        return status;
    }
    *out = system;
    return TINA_OK;
}
