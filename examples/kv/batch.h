/*
 * What a connection asks a partition, and what it is told: several steps in one piece of
 * memory, and the replies to them, ready to be sent, in another.
 */
#ifndef KV_BATCH_H
#define KV_BATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { BATCH_STEPS_MAX = 128 }; /* in one batch */

typedef enum step_kind {
    STEP_TEXT, /* say the value, as it is */
    STEP_ECHO, /* say it as a bulk string */
    STEP_GET,
    STEP_SET,
    STEP_SET_SENT, /* set what was sent before, in pieces */
    STEP_DELETE,
    STEP_EXISTS,
    STEP_ADD,
    STEP_EXPIRE,
    STEP_PERSIST,
    STEP_TTL,
    STEP_PTTL,
    STEP_LENGTH,
    STEP_COUNT,
    STEP_CLEAR,
    STEP_INFO, /* alone in its batch; the reply is a kv_partition_info */
    STEP_KIND_COUNT,
} step_kind;

enum {
    STEP_NX = 1,     /* only where there is none; of an expiry: only where there is none */
    STEP_WITHIN = 1, /* of a get: in an array, where no error is said; it waits */
    STEP_XX = 2,
    STEP_OLD = 4,  /* of a set: say what was there; of an expiry: only a later one */
    STEP_KEEP = 8, /* of a set: keep the expiry; of an expiry: only an earlier one */
    STEP_ABSOLUTE = 16,
    STEP_EXPIRES = 32,
    STEP_ADDS = 64,  /* one of several of a command: its result is added to the sum */
    STEP_LAST = 128, /* the last of them: say the sum */
};

/* A step; behind it lie its key and its value. */
typedef struct kv_step {
    uint8_t kind;
    uint8_t flags;
    uint16_t key_size;
    uint32_t value_size;
    int64_t number; /* milliseconds of an expiry, or what is added */
} kv_step;

typedef enum request_kind {
    REQUEST_STEPS, /* number is the sum so far */
    REQUEST_LOT,   /* steps without a sum; number is how many bytes their answers may be, and each answer's size is told */
    REQUEST_BEGIN, /* a value follows in pieces: number is its size, the bytes are the key */
    REQUEST_PIECE, /* of it: number is where, the bytes are what */
} request_kind;

typedef struct kv_request {
    uint32_t round; /* the connection's number for it, which comes back */
    uint16_t count; /* of steps */
    uint16_t kind;
    int64_t number; /* what it is, the kind says */
} kv_request;

typedef enum reply_kind {
    REPLY_TEXT,  /* to be sent on */
    REPLY_LARGE, /* so too, and it is the begin of a value: more is to be fetched */
    REPLY_INFO,
} reply_kind;

/* Behind it come the answers; to a lot, the size of each of them first, as many uint16_t as steps were asked. */
typedef struct kv_reply {
    uint32_t round;
    uint16_t done; /* steps; the others were not begun */
    uint16_t kind;
    int64_t sum;      /* not said yet */
    uint64_t left;    /* of a large one: bytes to be fetched, behind those that are here */
    uint64_t next_at; /* and where they begin */
} kv_reply;

/* One partition's part of what INFO says. */
typedef struct kv_partition_info {
    uint64_t keys, expiring, expired, hits, misses, steps, clients;
    uint64_t memory_used, memory_size, live_bytes;
    uint64_t loading, log_size, log_synced, rewrites, log_failures;
} kv_partition_info;

/* A batch that is being written. */
typedef struct kv_batch {
    uint8_t *data;
    uint32_t size, capacity, count;
} kv_batch;

static inline void batch_begin(kv_batch *batch, void *data, size_t capacity)
{
    batch->data = data;
    batch->size = sizeof(kv_request);
    batch->capacity = (uint32_t)capacity;
    batch->count = 0;
}

/* False: there is no room. */
static inline bool batch_add(kv_batch *batch, const kv_step *what, const void *key, const void *value)
{
    uint32_t size = (uint32_t)sizeof *what + what->key_size + what->value_size;
    if (batch->count == BATCH_STEPS_MAX || size > batch->capacity - batch->size)
        return false;
    uint8_t *out = batch->data + batch->size;
    memcpy(out, what, sizeof *what);
    memcpy(out + sizeof *what, key, what->key_size);
    memcpy(out + sizeof *what + what->key_size, value, what->value_size);
    batch->size += size;
    batch->count++;
    return true;
}

#endif
