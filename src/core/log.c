#include "core/log.h"

#include "core/stats.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void tina__log_text(tina__shard *shard, const tina__isolate *isolate, tina_level level, const char *text, size_t size)
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
    size_t room = sizeof line - (size_t)start - 1;
    size_t taken = size < room ? size : room;
    memcpy(line + start, text, taken);
    if (tina__log_ring_write(shard->p.log, (uint8_t)level, line, (uint32_t)((size_t)start + taken)))
        shard->log_written++;
    else
        tina__count(shard, log_dropped);
}

void tina__log(tina__shard *shard, const tina__isolate *isolate, tina_level level, const char *format, ...)
{
    char text[TINA_LOG_LINE_MAX];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    tina__log_text(shard, isolate, level, text, size < 0 ? 0 : tina__min_u32((uint32_t)size, sizeof text - 1));
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
