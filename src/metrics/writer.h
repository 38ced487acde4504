/*
 * Prometheus text (exposition format 0.0.4) into memory of a fixed size. A line is
 * whole or not there at all, and so is a family's heading. By hand: what the
 * standard's functions print of a number depends on the locale.
 *
 * One thread at a time: the isolate's that owns the memory.
 */
#ifndef TINA__METRICS_WRITER_H
#define TINA__METRICS_WRITER_H

#include <tina/metrics.h>

struct tina_metrics_writer {
    char *text;
    uint32_t size, capacity;
    bool is_cut;                            /* there was no room for something */
    char family[TINA_METRICS_NAME_MAX + 1]; /* "": none, or its heading had no room */
};

/* Into memory of so many bytes; the family that was begun stays. */
void tina__metrics_write_into(tina_metrics_writer *writer, char *text, uint32_t capacity);

#endif
