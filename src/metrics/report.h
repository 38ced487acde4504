/*
 * The whole answer, piece by piece: every family of the library's, then the program's
 * own. Between two pieces there is a cursor and no text, so that an answer of any
 * length takes one piece of memory. Each sample is read when it is written; those of
 * one histogram are read at once.
 *
 * Owned by the isolate that answers; called with the ctx of its handler call.
 */
#ifndef TINA__METRICS_REPORT_H
#define TINA__METRICS_REPORT_H

#include "metrics/writer.h"

enum { TINA__REPORT_PARTS_MAX = 65536 }; /* of the program's own, so that an answer ends */

typedef struct tina__report {
    uint64_t shared_names[4]; /* bits: types whose name another type has, too, so that it does not tell them apart */
    uint32_t family, shard, type, part; /* what is next */
    bool has_heading;                   /* of the family, it is written */
    bool has_warned;                    /* that something of the program's own was left out */
    tina_metrics_writer writer;
} tina__report;

void tina__report_begin(tina__report *report, tina_ctx *ctx);

/*
 * Writes the next piece, as much as fits, but *size bytes at most, of which there
 * must be TINA_METRICS_PART_MAX or more; *size becomes how many it is. False: it was
 * the last.
 */
bool tina__report_write(tina__report *report, const tina_metrics_args *args, char *text, uint32_t *size, tina_ctx *ctx);

#endif
