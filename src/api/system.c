/* Checking a spec, running it, and looking at it from outside. */
#include "core/route.h"
#include "core/stats.h"
#include "os/trap.h"
#include "run/crank.h"
#include "run/system_make.h"
#include "spec/check.h"
#include "spec/copy.h"
#include "spec/error.h"

#include <tina/log.h>

/* The caller's spec as this library knows it, checked. */
static tina_status take_spec(const tina_system_spec *spec, size_t spec_size, uint32_t api_version, tina_system_spec *whole,
                             tina_error *error)
{
    if (error != NULL)
        *error = (tina_error){0};
    if (spec == NULL) {
        tina__error_set(error, TINA_INVALID, 0, "spec", "must not be NULL");
        return TINA_INVALID;
    }
    if (api_version > TINA_API_VERSION || tina__spec_widen(spec, spec_size, whole) != TINA_OK) {
        tina__error_set(error, TINA_INVALID, 0, "spec",
                        "asks for what libtina %s does not know: it was built with a newer header", TINA_VERSION);
        return TINA_INVALID;
    }
    return tina__spec_check(whole, error);
}

tina_status tina_spec_check_sized(const tina_system_spec *spec, size_t spec_size, uint32_t api_version, tina_error *error)
{
    tina_system_spec whole;
    return take_spec(spec, spec_size, api_version, &whole, error);
}

size_t tina_spec_memory_sized(const tina_system_spec *spec, size_t spec_size, uint32_t api_version)
{
    tina_system_spec whole;
    if (take_spec(spec, spec_size, api_version, &whole, NULL) != TINA_OK)
        return 0;
    return tina__system_memory(&whole, tina__system_shard_count(&whole));
}

/* ---- Running ------------------------------------------------------------------------------ */

tina_status tina_start_sized(const tina_system_spec *spec, size_t spec_size, uint32_t api_version, tina_system **system,
                             tina_error *error)
{
    tina_system_spec whole;
    tina_status status = take_spec(spec, spec_size, api_version, &whole, error);
    if (status != TINA_OK)
        return status;
    if (system == NULL) {
        tina__error_set(error, TINA_INVALID, 0, "system", "must not be NULL");
        return TINA_INVALID;
    }
    *system = NULL;
    if (whole.signals == TINA_SIGNALS_AUTO)
        whole.signals = TINA_SIGNALS_FAULTS;
    return tina__system_start(&whole, false, system, error);
}

tina_status tina_boot_sized(const tina_system_spec *spec, size_t spec_size, uint32_t api_version, tina_error *error)
{
    tina_system_spec whole;
    tina_status status = take_spec(spec, spec_size, api_version, &whole, error);
    if (status != TINA_OK)
        return status;
    if (whole.external && tina__trap_is_taken()) { /* nobody could step it */
        tina__error_set(error, TINA_BUSY, 0, "external", "can't be booted from inside a handler");
        return TINA_BUSY;
    }
    if (whole.signals == TINA_SIGNALS_AUTO)
        whole.signals = TINA_SIGNALS_ALL;
    if (whole.log_sink == NULL)
        whole.log_sink = tina_log_to_stderr;
    tina_system *system;
    status = tina__system_start(&whole, !whole.quiet, &system, error);
    if (status != TINA_OK)
        return status;
    tina_status came_up = whole.external ? tina__crank_run_out(system, error) : TINA_OK;
    status = tina__system_join(system, NULL);
    return came_up != TINA_OK ? came_up : status;
}

void tina_stop(tina_system *system) { tina__system_stop(system, TINA__STOP_GRACEFUL); }

tina_status tina_join_sized(tina_system *system, tina_end_report *report, size_t report_size)
{
    tina_end_report whole;
    tina_status status = tina__system_join(system, &whole);
    if (report != NULL)
        __builtin_memcpy(report, &whole, report_size < sizeof whole ? report_size : sizeof whole);
    return status;
}

/* ---- Turned by the program ---------------------------------------------------------------------- */

tina_status tina_step(tina_system *system, uint64_t timeout_ns, uint32_t *work)
{
    uint32_t done = 0;
    tina_status status = system->crank != NULL ? tina__crank_step(system, timeout_ns, &done) : TINA_INVALID;
    if (work != NULL)
        *work = done;
    return status;
}

int tina_pollfd(const tina_system *system, uint64_t *deadline_ns)
{
    const tina__crank *crank = system->crank;
    if (deadline_ns != NULL) /* relaxed: a time, and no more */
        *deadline_ns = crank != NULL ? atomic_load_explicit(&crank->deadline_ns, memory_order_relaxed) : TINA_NONE_NS;
    return crank != NULL ? crank->poller : -1;
}

/* ---- From outside ------------------------------------------------------------------------------ */

static tina_status refuse_post(tina__shard_public *public)
{
    atomic_fetch_add_explicit(&public->posts_refused, 1, memory_order_relaxed);
    return TINA_CHANNEL_FULL;
}

static tina_status post(tina_system *system, tina_handle to, tina_tag tag, const void *payload, size_t size)
{
    uint8_t shard = tina_handle_shard(to);
    /* acquire, with the stop: once it was asked for, nothing new is let in. */
    if (atomic_load_explicit(&system->shared.stop, memory_order_acquire) != TINA__STOP_NOT)
        return TINA_STOPPING;
    uint8_t state = atomic_load_explicit(&system->publics[shard].state, memory_order_relaxed);
    if (state == TINA_SHARD_QUARANTINED || state == TINA_SHARD_ENDED)
        return TINA_SHARD_DOWN;
    tina_message message;
    tina__route_fill(&message, (tina_handle){0}, to, tag, payload, size, TINA__MESSAGE_COUNTED, 0);
    if (!tina__mpsc_push(tina__plan_at(&system->plans[shard], system->bases[shard], TINA__REGION_INBOX), &message))
        return refuse_post(&system->publics[shard]);
    tina__doorbell *bell = &system->publics[shard].bell;
    if (tina__doorbell_ring(bell, TINA__DOORBELL_INBOX))
        tina__os_event_signal(bell->wake_fd);
    return TINA_OK;
}

tina_status tina_revive(tina_system *system)
{
    if (atomic_load_explicit(&system->shared.stop, memory_order_relaxed) != TINA__STOP_NOT)
        return TINA_STOPPING;
    tina__system_revive(system);
    return TINA_OK;
}

tina_status tina_post(tina_system *system, tina_handle to, tina_tag tag, const void *payload, size_t size)
{
    if (tag < TINA_TAG_USER || size > TINA_PAYLOAD_MAX || (payload == NULL && size != 0) ||
        tina_handle_shard(to) >= system->shard_count)
        return TINA_INVALID;
    /* acq_rel, with the join's look: either it sees us and waits, or we see that the system stops. */
    atomic_fetch_add_explicit(&system->posting, 1, memory_order_acq_rel);
    tina_status status = post(system, to, tag, payload, size);
    atomic_fetch_sub_explicit(&system->posting, 1, memory_order_release); /* with the same */
    return status;
}

tina_status tina_shard_stats_sized(const tina_system *system, uint8_t shard, tina_stats *stats, size_t stats_size)
{
    if (shard >= system->shard_count || stats == NULL)
        return TINA_INVALID;
    tina_stats whole;
    tina__shard_read_stats(system->threads[shard].shard, &system->publics[shard], tina__os_now_ns(), &whole);
    __builtin_memcpy(stats, &whole, stats_size < sizeof whole ? stats_size : sizeof whole);
    return TINA_OK;
}

tina_status tina_shard_type_stats_sized(const tina_system *system, uint8_t shard, uint8_t type, tina_type_stats *stats,
                                        size_t stats_size)
{
    if (shard >= system->shard_count || type >= system->spec->type_count || stats == NULL)
        return TINA_INVALID;
    tina_type_stats whole;
    tina__type_read_stats(&system->publics[shard].types[type], &whole);
    __builtin_memcpy(stats, &whole, stats_size < sizeof whole ? stats_size : sizeof whole);
    return TINA_OK;
}
