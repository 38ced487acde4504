/* What there is to tell, as data: each family's name, its sentence, and where its samples are read. Constant: any thread. */
#ifndef TINA__METRICS_FAMILIES_H
#define TINA__METRICS_FAMILIES_H

#include <tina/metrics.h>

/* Once; once for each shard, from tina_stats; or once for each type on each shard, from tina_type_stats. */
enum { TINA__FROM_SYSTEM, TINA__FROM_SHARD, TINA__FROM_TYPE };

/* What is read: a number of 64 or 32 bits; nanoseconds; a tina_histogram; whether the shard is in the row's state. */
enum { TINA__READ_64, TINA__READ_32, TINA__READ_NS, TINA__READ_HISTOGRAM, TINA__READ_STATE };

/* One sample of several that differ in a label. */
typedef struct tina__family_row {
    const char *value; /* of the label */
    uint16_t offset;
} tina__family_row;

typedef struct tina__family {
    const char *name, *help;
    uint8_t kind;    /* tina_metrics_kind */
    uint8_t source;  /* TINA__FROM_... */
    uint8_t reading; /* TINA__READ_... */
    uint16_t offset; /* in the source's struct; in what a row's offset names, where there are rows */
    const char *label;
    const tina__family_row *rows; /* NULL: one sample, without that label */
    uint32_t row_count;
} tina__family;

extern const tina__family tina__families[];
extern const uint32_t tina__family_count;

#endif
