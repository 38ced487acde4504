#include "sim/record.h"

#include <stdlib.h>

#define EVENT_TEXT_MAX 256

/* ---- The files that the config asks for ------------------------------------------------- */

static tina_status open_events(tina__record *record, const char *path, int *os_error)
{
    tina__file *file = malloc(sizeof *file);
    if (file == NULL)
        return TINA_POOL_EXHAUSTED;
    tina_status status = tina__file_open(file, path, os_error);
    if (status == TINA_OK)
        record->events = file;
    else
        free(file);
    return status;
}

tina_status tina__record_open(tina__record *record, const tina_sim_config *config, uint32_t shard_count,
                              const char *const *type_names, uint32_t type_count, const char **path, int *os_error)
{
    *os_error = 0;
    *path = "";
    record->shard_count = shard_count;
    record->type_names = type_names;
    record->type_count = type_count;
    record->taken = calloc(shard_count, sizeof *record->taken);
    if (record->taken == NULL)
        return TINA_POOL_EXHAUSTED;
    tina_status status = TINA_OK;
    if (config->events_path != NULL) {
        *path = config->events_path;
        status = open_events(record, config->events_path, os_error);
    }
    if (status == TINA_OK && config->trace_path != NULL) {
        *path = config->trace_path;
        status = tina__timeline_open(config->trace_path, shard_count, type_names, type_count, &record->timeline, os_error);
    }
    return status;
}

static tina_status close_events(tina__record *record, int *os_error)
{
    if (record->events == NULL)
        return TINA_OK;
    tina_status status = tina__file_close(record->events, os_error);
    free(record->events);
    record->events = NULL;
    return status;
}

tina_status tina__record_close(tina__record *record, const char **path, int *os_error)
{
    *os_error = 0;
    tina_status of_events = close_events(record, os_error);
    int timeline_error = 0;
    tina_status of_timeline = tina__timeline_close(record->timeline, &timeline_error);
    record->timeline = NULL;
    free(record->taken);
    record->taken = NULL;
    *path = of_events != TINA_OK ? "events_path" : "trace_path";
    if (of_events != TINA_OK)
        return of_events;
    *os_error = timeline_error;
    return of_timeline;
}

/* ---- The hash ------------------------------------------------------------------------------ */

/* Odd constants: each word of an event goes through a bijection of its own, the sum through the hash's. */
static uint64_t mixed(uint64_t hash, uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t sum = a * 0x9E3779B97F4A7C15u + b * 0xD6E8FEB86659FD93u + c * 0xA0761D6478BD642Fu;
    hash = (hash ^ sum ^ (sum >> 32)) * 0xE7037ED1A0B428DBu;
    return hash ^ (hash >> 29);
}

static uint64_t with_event(uint64_t hash, const tina__event *event)
{
    uint64_t small = (uint64_t)event->tick | (uint64_t)event->tag << 32 | (uint64_t)event->detail << 48;
    bool is_hosts = tina__event_kind_of(event) == TINA__EVENT_FAULT; /* a program counter */
    return mixed(hash, event->kind_and_who, small, is_hosts ? 0 : event->value);
}

/* ---- Words ----------------------------------------------------------------------------------- */

static void print_time(tina__record *record, uint64_t now_ns)
{
    uint64_t us = (now_ns - record->start_ns) / 1000;
    tina__file_print(record->events, "%llu.%06llu s ", (unsigned long long)(us / 1000000),
                     (unsigned long long)(us % 1000000));
}

static void print_event(tina__record *record, uint8_t shard, const tina__event *event, uint64_t now_ns)
{
    char text[EVENT_TEXT_MAX];
    tina__event shown = *event;
    if (tina__event_kind_of(event) == TINA__EVENT_FAULT)
        shown.value = 0; /* two machines' words are to be the same */
    tina__event_format(&shown, shard, record->type_names, record->type_count, text, sizeof text);
    for (char *byte = text; *byte != '\0'; byte++) {
        if ((unsigned char)*byte < ' ')
            *byte = '?'; /* of a type's name: an event is a line */
    }
    print_time(record, now_ns);
    tina__file_print(record->events, "shard %u: %s\n", shard, text);
}

/* ---- Taking ------------------------------------------------------------------------------------ */

static void show(tina__record *record, uint8_t shard, const tina__event *event, uint64_t now_ns)
{
    if (record->events != NULL)
        print_event(record, shard, event, now_ns);
    if (record->timeline != NULL)
        tina__timeline_add(record->timeline, shard, event, now_ns, record->round_ns);
}

void tina__record_take(tina__record *record, const tina__shard *shard, uint64_t now_ns)
{
    tina__trace *trace = shard->p.trace;
    uint64_t first = record->taken[shard->id];
    tina__assert(tina__trace_written(trace) - first <= (uint64_t)trace->mask + 1);
    record->taken[shard->id] = tina__trace_written(trace);
    tina__trace_stop_at(trace, tina__trace_written(trace) + trace->mask + 1);
    if (first == tina__trace_written(trace))
        return;
    bool is_shown = record->events != NULL || record->timeline != NULL;
    uint64_t hash = mixed(record->hash, shard->id, now_ns, 0);
    for (uint64_t number = first; number < tina__trace_written(trace); number++) {
        const tina__event *event = &trace->events[number & trace->mask];
        hash = with_event(hash, event);
        if (is_shown)
            show(record, shard->id, event, now_ns);
    }
    record->hash = hash;
}

void tina__record_mark(tina__record *record, uint8_t shard, const char *what, uint64_t now_ns)
{
    if (record->events != NULL) {
        print_time(record, now_ns);
        tina__file_print(record->events, "shard %u: %s\n", shard, what);
    }
    if (record->timeline != NULL)
        tina__timeline_mark(record->timeline, shard, what, now_ns);
}
