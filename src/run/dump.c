#include "run/dump.h"

#include "core/trace.h"

#include <stdio.h>

#define EVENTS_AT_ONCE 64 /* of one shard, before the next has its turn: all of the dump that goes with a fault */

static void *region(const tina_system *system, size_t shard, tina__region_id id)
{
    return tina__plan_at(&system->plans[shard], system->bases[shard], id);
}

static void write_line(const tina_system *system, size_t shard, const char *line, size_t length)
{
    system->log_sink(system->spec->log_user, (int)shard, TINA_LOG_INFO, line, length);
}

static void write_heading(const tina_system *system, size_t shard, uint32_t count)
{
    char line[64];
    int length = snprintf(line, sizeof line, "the last %u event%s:", count, count == 1 ? "" : "s");
    write_line(system, shard, line, (size_t)length);
}

static void write_events(const tina_system *system, size_t shard, const tina__event *events, uint32_t count)
{
    const tina_system_spec *spec = system->spec;
    const char *names[TINA_TYPES_MAX];
    char line[TINA_LOG_LINE_MAX] = "  ";
    for (size_t i = 0; i < spec->type_count; i++)
        names[i] = spec->types[i].name;
    for (uint32_t i = 0; i < count; i++) {
        size_t length =
            2 + tina__event_format(&events[i], (uint8_t)shard, names, (uint32_t)spec->type_count, line + 2, sizeof line - 2);
        write_line(system, shard, line, length < sizeof line ? length : sizeof line - 1);
    }
}

/*
 * How many events wait. The dump may be that of a shard whose memory was damaged:
 * where it lies and how much fits is asked of the plan, not of the shard.
 */
static uint32_t event_count(const tina_system *system, size_t shard)
{
    const tina__trace *trace = region(system, shard, TINA__REGION_TRACE);
    return tina__min_u32(trace->dump_count, system->plans[shard].limits.trace_count);
}

static bool is_waiting(const tina_system *system, size_t shard)
{
    const tina__trace *trace = region(system, shard, TINA__REGION_TRACE);
    /* acquire, with tina__trace_dump: the copy is there, and so are the log lines from before it. */
    return atomic_load_explicit(&trace->is_dumping, memory_order_acquire);
}

static void let_go(const tina_system *system, size_t shard)
{
    tina__trace *trace = region(system, shard, TINA__REGION_TRACE);
    /* release, with tina__trace_dump: our reads of the copy come before the shard's next writes over it. */
    atomic_store_explicit(&trace->is_dumping, false, memory_order_release);
    /* It may owe another one, and sleep. */
    tina__doorbell *bell = &system->publics[shard].bell;
    if (tina__doorbell_ring(bell, TINA__DOORBELL_CONTROL))
        tina__os_event_signal(bell->wake_fd);
}

/* All lines from before the dump, such as that of the fault which it goes with, are written. */
static bool is_next(const tina_system *system, size_t shard, tina__dump *dump)
{
    const tina__log_ring *log = region(system, shard, TINA__REGION_LOG);
    if (!dump->is_known) {
        dump->is_known = true;
        dump->log_position = atomic_load_explicit(&log->tail, memory_order_relaxed); /* is_waiting has acquired */
    }
    return atomic_load_explicit(&log->head, memory_order_relaxed) >= dump->log_position; /* written by this thread */
}

/* True: there is more. */
static bool write_some(const tina_system *system, size_t shard, tina__dump *dump)
{
    const tina__event *events = region(system, shard, TINA__REGION_TRACE_DUMP);
    uint32_t count = event_count(system, shard);
    uint32_t first = tina__min_u32(dump->written, count);
    dump->written = first + tina__min_u32(count - first, EVENTS_AT_ONCE);
    if (first == 0)
        write_heading(system, shard, count);
    write_events(system, shard, events + first, dump->written - first);
    return dump->written < count;
}

bool tina__dump_turn(const tina_system *system, size_t shard, tina__dump *dump)
{
    if (!is_waiting(system, shard))
        return false;
    if (system->log_sink != NULL && (!is_next(system, shard, dump) || write_some(system, shard, dump)))
        return true;
    *dump = (tina__dump){0};
    let_go(system, shard);
    return false;
}
