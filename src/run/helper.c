/* The helper thread: takes the shards' log lines and dumps to the sink, is the watchdog, and writes the
   statistics page. Sleeps when there is nothing to do. */
#include "run/dump.h"
#include "run/stats_page.h"
#include "run/watchdog.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define LINES_AT_ONCE 64 /* of one shard, before the next has its turn */

static bool drain_shard(tina_system *system, size_t shard)
{
    tina__log_ring *ring = tina__plan_at(&system->plans[shard], system->bases[shard], TINA__REGION_LOG);
    char line[TINA_LOG_LINE_MAX];
    uint8_t level;
    uint32_t length;
    for (uint32_t left = LINES_AT_ONCE; left != 0; left--) {
        if (ring->bytes == NULL || !tina__log_ring_read(ring, &level, line, sizeof line, &length))
            return false;
        if (system->log_sink != NULL)
            system->log_sink(system->spec->log_user, (int)shard, (tina_level)level, line, length);
    }
    return true;
}

/* Lines, then of a dump. True: there is more. */
static bool turn(tina_system *system, size_t shard, tina__dump *dump)
{
    bool has_lines = drain_shard(system, shard);
    bool has_events = tina__dump_turn(system, shard, dump);
    return has_lines || has_events;
}

/* A turn for every shard. True: some have more. At the end only those that have ended count: others could go on for ever. */
static bool drain(tina_system *system, tina__dump *dumps, bool is_ending)
{
    bool any = false;
    for (size_t i = 0; i < system->shard_count; i++) {
        /* acquire: the ring is made once the shard is ready. */
        uint32_t phase = atomic_load_explicit(&system->threads[i].phase, memory_order_acquire);
        if (phase != TINA__BOOT_STARTED && turn(system, i, &dumps[i]) && (!is_ending || phase == TINA__BOOT_ENDED))
            any = true;
    }
    return any;
}

void tina__helper_body(void *argument)
{
    tina_system *system = argument;
    tina__dump dumps[TINA_SHARDS_MAX] = {0};
    tina__broken_set(system->spec->on_broken, system->spec->log_user);
    for (;;) {
        for (uint32_t word = 0; word < TINA__DOORBELL_WORDS; word++)
            (void)tina__doorbell_take(&system->helper_bell, word);
        /* acquire, with the join: lines that were written before the end are still taken. */
        bool is_ending = atomic_load_explicit(&system->is_helper_ending, memory_order_acquire);
        /* acquire, with the shard's thread: read before the drain, so that what it said is written. */
        bool is_aborting = atomic_load_explicit(&system->is_aborting, memory_order_acquire);
        bool any = drain(system, dumps, is_ending);
        if (is_ending && !any)
            return;
        if (!any && is_aborting)
            abort();
        uint64_t wait_ns = tina__min_u64(tina__watchdog_turn(system), tina__stats_page_turn(system));
        if (any || is_ending || !tina__doorbell_may_sleep(&system->helper_bell))
            continue;
        tina__os_event_wait(system->helper_bell.wake_fd, wait_ns);
        tina__doorbell_awake(&system->helper_bell);
    }
}

void tina__system_log(tina_system *system, tina_level level, const char *format, ...)
{
    if (system->log_sink == NULL)
        return;
    char line[TINA_LOG_LINE_MAX];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (length >= 0)
        system->log_sink(system->spec->log_user, -1, level, line,
                         (size_t)length < sizeof line ? (size_t)length : sizeof line - 1);
}
