/* Simulation, and what handlers may ask of it. */
#include "sim/world.h"
#include "spec/check.h"
#include "spec/copy.h"
#include "spec/error.h"

#include <string.h>
#include <tina/sim.h>

static tina_status invalid(tina_error *error, const char *path, const char *message)
{
    tina__error_set(error, TINA_INVALID, 0, path, "%s", message);
    return TINA_INVALID;
}

static tina_status check_ratio(tina_error *error, const char *path, tina_ratio ratio)
{
    if (ratio.numerator <= (ratio.denominator == 0 ? 1 : ratio.denominator))
        return TINA_OK;
    return invalid(error, path, "must not be more than one");
}

static tina_status check_range(tina_error *error, const char *path, tina_range range)
{
    return range.min <= range.max ? TINA_OK : invalid(error, path, "its min must not be above its max");
}

static tina_status check_faults(const tina_faults *faults, tina_error *error)
{
    const struct {
        const char *path;
        tina_ratio ratio;
    } ratios[] = {
        {"faults.handler_crash", faults->handler_crash},
        {"faults.init_crash", faults->init_crash},
        {"faults.message_drop", faults->message_drop},
        {"faults.partition", faults->partition},
        {"faults.partition_heal", faults->partition_heal},
        {"faults.io_error", faults->io_error},
        {"faults.connection_reset", faults->connection_reset},
        {"faults.short_io", faults->short_io},
        {"faults.disk_error", faults->disk_error},
        {"faults.disk_torn_write", faults->disk_torn_write},
        {"faults.disk_lost_write", faults->disk_lost_write},
        {"faults.disk_bit_rot", faults->disk_bit_rot},
        {"faults.pool_empty", faults->pool_empty},
        {"faults.shard_stall", faults->shard_stall},
        {"faults.shard_fault", faults->shard_fault},
        {"faults.datagram_loss", faults->datagram_loss},
        {"faults.datagram_double", faults->datagram_double},
    };
    for (size_t i = 0; i < sizeof ratios / sizeof ratios[0]; i++) {
        if (check_ratio(error, ratios[i].path, ratios[i].ratio) != TINA_OK)
            return TINA_INVALID;
    }
    if (check_range(error, "faults.message_delay", faults->message_delay) != TINA_OK ||
        check_range(error, "faults.io_delay", faults->io_delay) != TINA_OK)
        return TINA_INVALID;
    return check_range(error, "faults.shard_stall_length", faults->shard_stall_length);
}

static tina_status check_config(const tina_sim_config *config, tina_error *error)
{
    if (config->checker_count != 0 && config->checkers == NULL)
        return invalid(error, "checkers", "must not be NULL where checker_count is not 0");
    for (size_t i = 0; i < config->checker_count; i++) {
        if (config->checkers[i] == NULL)
            return invalid(error, "checkers", "must all be functions");
    }
    return check_faults(&config->faults, error);
}

tina_status tina_simulate_sized(const tina_system_spec *spec, size_t spec_size, const tina_sim_config *config,
                                size_t config_size, tina_sim_report *report, size_t report_size, uint32_t api_version,
                                tina_error *error)
{
    tina_system_spec whole;
    tina_sim_config own;
    tina_sim_report result = {0};
    if (error != NULL)
        *error = (tina_error){0};
    if (spec == NULL || config == NULL)
        return invalid(error, spec == NULL ? "spec" : "config", "must not be NULL");
    if (api_version > TINA_API_VERSION || tina__spec_widen(spec, spec_size, &whole) != TINA_OK ||
        !tina__widen(config, config_size, &own, sizeof own))
        return invalid(error, "spec", "asks for what this library does not know: it was built with a newer header");
    tina_status status = tina__spec_check(&whole, error);
    if (status == TINA_OK)
        status = check_config(&own, error);
    if (status == TINA_OK && tina__trap_is_armed()) {
        tina__error_set(error, TINA_BUSY, 0, "", "a handler can't run a simulation");
        status = TINA_BUSY;
    }
    if (status == TINA_OK)
        status = tina__world_run(&whole, &own, &result, error);
    if (report != NULL)
        memcpy(report, &result, report_size < sizeof result ? report_size : sizeof result);
    return status;
}

bool tina_maybe(tina_ctx *ctx, tina_ratio ratio)
{
    const tina__probe *probe = ctx->shard->shared->probe;
    return probe != NULL && tina__fault_strikes(&probe->chances[ctx->shard->id], ratio);
}

void(tina_reached)(tina_ctx *ctx, const char *name)
{
    const tina__probe *probe = ctx->shard->shared->probe;
    if (probe != NULL && probe->on_reached != NULL)
        probe->on_reached(probe->user, name);
}
