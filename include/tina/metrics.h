/*
 * A metrics isolate: it serves what the system counts as Prometheus text over HTTP.
 *
 * A program adds a type and a child:
 *
 *     static const tina_type types[] = {
 *         ...
 *         [TYPE_METRICS] = TINA_METRICS_TYPE(8),
 *     };
 *     static const tina_metrics_args metrics = {.address = "127.0.0.1:9464"};
 *     static const tina_child children[] = {
 *         ...
 *         {.type = TYPE_METRICS, .args = &metrics, .args_size = sizeof metrics},
 *     };
 *
 * and GET http://127.0.0.1:9464/metrics brings the counters of every shard, type and
 * pool. docs/guides/metrics.md lists them. It may be a child on one shard or on
 * several: each answers for the whole system, and where one's shard is quarantined,
 * the others go on.
 */
#ifndef TINA_METRICS_H
#define TINA_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tina/ctx.h>
#include <tina/spec.h>
#include <tina/system.h>
#include <tina/types.h>

TINA_BEGIN_DECLS

/* ---- The isolate ------------------------------------------------------------ */

/* Where metrics are written. Valid during one call of tina_metrics_args.extra. */
typedef struct tina_metrics_writer tina_metrics_writer;

#define TINA_METRICS_PART_MAX 4096 /* bytes of one part of a program's own metrics */

/*
 * The child's args. They are copied, but what they point to stays the program's, and
 * there, until the system has ended.
 */
typedef struct tina_metrics_args {
    /*
     * Where to listen: TCP over IPv4 or IPv6, as tina_address_parse reads it. Port 0:
     * any; the log says which. The port is shared with the same child of other shards.
     */
    const char *address;
    uint64_t timeout_ns; /* for a request to come whole, and again for its answer to be taken; 0: 10 s */
    /*
     * Writes metrics of the program's own, behind the library's: called with part 0, 1, 2
     * and so on, until it returns false. A part is at most TINA_METRICS_PART_MAX bytes;
     * lines beyond are left out, and the log says so. It is called by a handler, so it
     * must not block; a fault in it costs that one answer. NULL: there are none.
     */
    bool (*extra)(tina_metrics_writer *writer, uint32_t part, void *user);
    void *user; /* for extra */
} tina_metrics_args;

#define TINA_METRICS_SIZE         8192 /* bytes of each of these isolates */
#define TINA_METRICS_SCRAPERS_MAX 64   /* connected at once, on a shard */

/*
 * A tina_type, as an initializer: scrapers is how many may be connected at once on a
 * shard, 1 to TINA_METRICS_SCRAPERS_MAX; more wait to be accepted. Where all are
 * taken and somebody waits, those that are idle, or have not moved for a second, are
 * disconnected. Each needs a descriptor, two operations and, while it is answered, a
 * buffer and a timer; so does the listener.
 */
#define TINA_METRICS_TYPE(scrapers)                                                                                         \
    {                                                                                                                       \
        "tina_metrics", tina_metrics_init, tina_metrics_handle, TINA_METRICS_SIZE, (scrapers) + 1, 0, 0, 16, 0, 0           \
    }

/* The isolate's own: for a table of types, through TINA_METRICS_TYPE. */
TINA_API TINA_MUST_USE tina_effect tina_metrics_init(void *self, const void *args, size_t args_size, tina_ctx *ctx);
TINA_API TINA_MUST_USE tina_effect tina_metrics_handle(void *self, const tina_message *message, tina_ctx *ctx);

/* The same as a value, for tables that are filled by a program. scrapers: 1 to TINA_METRICS_SCRAPERS_MAX. Any thread. */
static inline tina_type tina_metrics_type(uint32_t scrapers)
{
    tina_type type = TINA_METRICS_TYPE(scrapers);
    return type;
}

/* ---- A program's own metrics ------------------------------------------------- */

/* What kind of number a family is. */
typedef enum tina_metrics_kind {
    TINA_METRICS_COUNTER,   /* only grows */
    TINA_METRICS_GAUGE,     /* goes up and down */
    TINA_METRICS_HISTOGRAM, /* how often, by how long */
} tina_metrics_kind;

#define TINA_METRICS_NAME_MAX 80 /* bytes of a family's name */

/* What tells one sample of a family from another. */
typedef struct tina_metrics_label {
    const char *name;  /* letters, digits and underscores */
    const char *value; /* any text: it is escaped, and what is no UTF-8 becomes question marks */
} tina_metrics_label;

/*
 * Begin a family: name is letters, digits and underscores and, by Prometheus's
 * conventions, a counter's ends in _total and says its unit before that (_seconds,
 * _bytes); help is one sentence. Each name once in an answer. What follows are its
 * samples, also those of the next parts. Called within tina_metrics_args.extra.
 */
TINA_API void tina_metrics_family(tina_metrics_writer *writer, const char *name, tina_metrics_kind kind, const char *help);

/*
 * Write one sample of the family that was begun last, of a counter or a gauge: a
 * number; or a time, which is written in seconds. labels may be NULL where
 * label_count is 0; each sample of a family has other labels. Called within
 * tina_metrics_args.extra.
 */
TINA_API void tina_metrics_number(tina_metrics_writer *writer, const tina_metrics_label *labels, size_t label_count,
                                  uint64_t number);
TINA_API void tina_metrics_seconds(tina_metrics_writer *writer, const tina_metrics_label *labels, size_t label_count,
                                   uint64_t ns);

/*
 * The same of a histogram, in seconds: twelve buckets from 256 ns to 1.07 s, each four
 * times the one before, and one for all. It takes some 1,000 bytes, and as often as
 * 15 times its labels. Called within tina_metrics_args.extra.
 */
TINA_API void tina_metrics_histogram(tina_metrics_writer *writer, const tina_metrics_label *labels, size_t label_count,
                                     const tina_histogram *histogram);

TINA_END_DECLS
#endif
