#include "core/log.h"

#include "core/stats.h"

#include <stdio.h>

void tina__log_arguments(tina__shard *shard, const tina__isolate *isolate, tina_level level, const char *format,
                         va_list arguments)
{
    if (!shard->shared->has_log) {
        tina__count(shard, log_dropped);
        return;
    }
    char line[TINA_LOG_LINE_MAX];
    int start = 0;
    if (isolate != NULL) {
        const tina__type *type = &shard->p.types[isolate->type];
        start = snprintf(line, sizeof line, "%s/%u: ", type->name, tina__isolate_slot(type, isolate));
    }
    int more = vsnprintf(line + start, sizeof line - (size_t)start, format, arguments);
    uint32_t length = (uint32_t)start + (more < 0 ? 0 : (uint32_t)more);
    length = tina__min_u32(length, sizeof line - 1);
    if (tina__log_ring_write(shard->p.log, (uint8_t)level, line, length))
        shard->log_written++;
    else
        tina__count(shard, log_dropped);
}

void tina__log(tina__shard *shard, const tina__isolate *isolate, tina_level level, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    tina__log_arguments(shard, isolate, level, format, arguments);
    va_end(arguments);
}

void tina__log_flush(tina__shard *shard)
{
    if (shard->log_written == 0)
        return;
    shard->log_written = 0;
    tina__doorbell *bell = shard->shared->helper_bell;
    if (tina__doorbell_ring(bell, shard->id))
        shard->api->wake(shard->backend, bell->wake_fd);
}
