/*
 * The format of the append-only file: records, one behind the other. Pure: bytes in, bytes
 * out. docs/guides/kv.md describes it.
 *
 * Each record has a checksum over all of it. A file whose last record is not whole was cut
 * by a crash: what is before it counts, what is from there on does not.
 */
#ifndef KV_LOG_H
#define KV_LOG_H

#include "store.h"

enum {
    LOG_HEAD_SIZE = 32,
    LOG_RECORD_MAX = LOG_HEAD_SIZE + STORE_KEY_MAX + STORE_VALUE_MAX, /* bytes */
};

typedef enum log_kind {
    LOG_BEGIN = 1, /* the first of a file; its value is a log_identity */
    LOG_SET,
    LOG_DELETE,
    LOG_EXPIRE, /* at expires_ms, of a key that had no expiry */
    LOG_CLEAR,
    LOG_KIND_MAX = LOG_CLEAR,
} log_kind;

/* Of what a file is the log. */
typedef struct log_identity {
    uint8_t partition, partition_count;
} log_identity;

typedef struct log_record {
    uint8_t kind;
    uint64_t expires_ms;
    uint64_t synced; /* bytes of the file that were on the disk when the record was made */
    const uint8_t *key, *value;
    uint32_t key_size, value_size;
} log_record;

/* Bytes of a record. */
static inline uint32_t log_size_of(uint32_t key_size, uint32_t value_size) { return LOG_HEAD_SIZE + key_size + value_size; }

/* Writes a record to out, which has room for it. Returns its size. */
uint32_t log_put(uint8_t *out, const log_record *record);

typedef enum log_status {
    LOG_WHOLE,
    LOG_PART, /* it may be the begin of one */
    LOG_BAD,  /* it is none */
} log_status;

/* What lies at data. needed: of a whole one its size; of a part, the bytes without which nothing more can be said. */
log_status log_get(const uint8_t *data, size_t size, log_record *record, uint32_t *needed);

#endif
