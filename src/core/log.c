#include "core/log.h"

#include "core/stats.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- Words: by hand, since of the standard's functions each would cost more than the crash that a line tells of ---- */

typedef struct writer {
    char text[TINA_LOG_LINE_MAX];
    uint32_t length;
} writer;

static void put(writer *to, const char *text, size_t size)
{
    size_t room = sizeof to->text - 1 - to->length;
    size_t taken = size < room ? size : room;
    memcpy(to->text + to->length, text, taken);
    to->length += (uint32_t)taken;
}

static void put_number(writer *to, uint32_t number)
{
    char digits[10];
    uint32_t first = sizeof digits;
    do {
        digits[--first] = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    put(to, digits + first, sizeof digits - first);
}

/* "type/slot: " */
static void put_isolate(writer *to, const tina__shard *shard, const tina__isolate *isolate)
{
    const tina__type *type = &shard->p.types[isolate->type];
    put(to, type->name, strlen(type->name));
    put(to, "/", 1);
    put_number(to, tina__isolate_slot(type, isolate));
    put(to, ": ", 2);
}

/* ---- Lines ---- */

/* Nobody reads it: no line is even made. */
static bool is_shed(tina__shard *shard)
{
    if (shard->shared->has_log)
        return false;
    tina__count(shard, log_dropped);
    return true;
}

static void write_line(tina__shard *shard, tina_level level, const writer *line)
{
    if (tina__log_ring_write(shard->p.log, (uint8_t)level, line->text, line->length))
        shard->log_written++;
    else
        tina__count(shard, log_dropped);
}

void tina__log_text(tina__shard *shard, const tina__isolate *isolate, tina_level level, const char *text, size_t size)
{
    if (is_shed(shard))
        return;
    writer line;
    line.length = 0;
    if (isolate != NULL)
        put_isolate(&line, shard, isolate);
    put(&line, text, size);
    write_line(shard, level, &line);
}

void tina__log_crash(tina__shard *shard, const tina__isolate *isolate, uint8_t reason)
{
    static const char text[] = "crashed, reason ";
    if (is_shed(shard))
        return;
    writer line;
    line.length = 0;
    put_isolate(&line, shard, isolate);
    put(&line, text, sizeof text - 1);
    put_number(&line, reason);
    write_line(shard, TINA_LOG_WARN, &line);
}

void tina__log(tina__shard *shard, const tina__isolate *isolate, tina_level level, const char *format, ...)
{
    if (is_shed(shard))
        return;
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
