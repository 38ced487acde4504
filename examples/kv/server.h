/*
 * The server: what it is made of, as a spec for tina_boot or tina_simulate.
 *
 * Each shard has a partition, which owns the keys that belong to it, and a desk, which
 * takes connections in; the first has the listener, too. Each connection is an isolate.
 */
#ifndef KV_SERVER_H
#define KV_SERVER_H

#include "hash.h"

#include <stdatomic.h>
#include <tina/metrics.h>
#include <tina/tina.h>

enum {
    TYPE_LISTENER,
    TYPE_DESK,
    TYPE_CONNECTION,
    TYPE_PARTITION,
    TYPE_COUNT,
    TYPE_METRICS = TYPE_COUNT
}; /* where asked for */
enum { NAME_DESK = 1, NAME_PARTITION = 2, NAME_GROUP = 3 };

enum {
    TAG_FETCH = TINA_TAG_USER, /* connection to partition: the next piece of a large value; fetch */
    TAG_BUSY,                  /* partition to connection: nothing was done, ask again; fetch, without an offset */
    TAG_PROBE,                 /* connection to partition: is there still an answer to come? fetch, without an offset */
    TAG_LOST,                  /* partition to connection: there is none */
    TAG_RETRY,                 /* timers: what could not be done a moment ago */
    TAG_TICK,                  /* whether something takes too long */
    TAG_SWEEP,                 /* for what has expired */
    TAG_LOG,                   /* the journal's */
};

/* Why an isolate ends of its own will. */
enum { END_LOG_FAILED = 1, END_LOG_UNREADABLE, END_NO_TIMER, END_BAD_REPLY, END_NOT_LISTENING };

typedef struct fetch {
    uint32_t round;
    uint64_t offset;
} fetch;

enum {
    CHUNK_SIZE = 16 * 1024, /* bytes that are received, asked, answered and sent at once */
    PARTITIONS_MAX = 64,
    CONNECTIONS_DEFAULT = 1000, /* of a shard */
};

#define MILLISECOND_NS 1000000ull

typedef enum sync_policy { SYNC_ALWAYS, SYNC_SECOND, SYNC_NEVER } sync_policy;

/* What the server is told, and what its isolates see of it: nothing here changes once it runs, but for the port. */
typedef struct kv_server {
    tina_address address;
    uint32_t port;       /* the listener's alone: what it chose for 0 outlives it */
    uint64_t started_ns; /* likewise: when it began to listen */
    uint32_t partition_count, connections, backend, timeout, seconds;
    uint32_t sync;        /* sync_policy */
    uint64_t memory_size; /* bytes of each partition's keys and values */
    uint8_t *memory;      /* partition_count times that; each partition touches its own alone */
    hash_key secret;
    uint64_t epoch_ms;         /* the time of day when tina_now was 0 */
    const char *dir;           /* of the logs; NULL: nothing is kept */
    tina_metrics_args metrics; /* its address NULL: none are served */
    uint64_t rewrite_min;      /* bytes of a log, below which it is not written anew */
    bool is_quiet, wants_stats;
    _Atomic uint64_t ready;             /* a bit for each partition, its own to set: it has read its log */
    _Atomic bool has_failed;            /* a log or the port can't be used, or a shard is lost at once: the program ends */
    uint64_t failed_ns[PARTITIONS_MAX]; /* each partition's own: when its log failed, which outlives it */

    /* The rest is kv_server_spec's. */
    tina_type types[TYPE_COUNT + 1];
    tina_child children[5]; /* the listener last */
    tina_group_spec group;
    tina_shard_spec shards[PARTITIONS_MAX];
} kv_server;

/* Fills in the spec of a server, whose memory has been set; it points into the server. */
void kv_server_spec(kv_server *server, tina_system_spec *spec);

static inline uint64_t kv_now_ms(const kv_server *server, const tina_ctx *ctx)
{
    return server->epoch_ms + tina_now(ctx) / MILLISECOND_NS;
}

/* Whether all partitions have read their logs. */
static inline bool kv_is_ready(kv_server *server)
{
    /* Relaxed: nothing is read on the strength of it; a partition that is asked too early says so itself. */
    return atomic_load_explicit(&server->ready, memory_order_relaxed) == UINT64_MAX >> (64 - server->partition_count);
}

/* The program ends, and fails. Why, the log says. */
static inline void kv_give_up(kv_server *server, tina_ctx *ctx)
{
    atomic_store_explicit(&server->has_failed, true, memory_order_relaxed); /* read when all threads have ended */
    tina_stop_system(ctx);
}

/* The isolates. */
extern const tina_type listener_type, desk_type, connection_type, partition_type;

#endif
