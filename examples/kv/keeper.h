/*
 * A partition's keys and what may be done with them: steps in, replies and records of the
 * log out. Pure: no isolate, no clock, no file.
 */
#ifndef KV_KEEPER_H
#define KV_KEEPER_H

#include "batch.h"
#include "log.h"
#include "resp.h"

enum { KEEPER_LINE_MAX = 256 }; /* bytes of a reply that is no value */

/* What is to be appended: bytes, with room up to the capacity. NULL data: nothing is kept. */
typedef struct log_buffer {
    uint8_t *data;
    uint32_t size, capacity;
    uint64_t synced; /* which its records say */
} log_buffer;

typedef struct kv_keeper {
    kv_store store;
    log_buffer *log;
    const char *refusal; /* of what would change something; NULL: nothing is refused */
    bool is_loading;     /* nothing is known yet */
    uint64_t hits, misses, steps;
} kv_keeper;

/* A batch that is run: what it says, and what it leaves for later. */
typedef struct keeper_run {
    uint64_t now_ms;
    uint8_t *out; /* replies go here */
    uint32_t out_size, out_capacity;
    uint16_t *sizes;     /* of a lot: each reply's, is written here; no value is begun that does not fit. Otherwise NULL */
    kv_entry *sent;      /* a value that came in pieces; NULL once it was used */
    bool is_sent_failed; /* it did not come as a whole */
    kv_entry *large;     /* set: a value whose begin is in out, pinned */
    uint32_t large_done; /* bytes of it that are in out */
    bool is_changed;     /* something was logged, or would have been */
    bool is_short;       /* the log had no room */
    kv_reply reply;
} keeper_run;

/* Runs the steps of a request, of which size bytes lie at data, until they are done or there is no room for more. */
void keeper_serve(kv_keeper *me, const uint8_t *data, size_t size, keeper_run *run);

/* Applies a record of the log. False: there is no memory for it. */
bool keeper_apply(kv_keeper *me, const log_record *record, uint64_t now_ms);

/* A value that comes in pieces: room for it. NULL: there is no memory. */
kv_entry *keeper_expect(kv_keeper *me, const uint8_t *key, uint32_t key_size, uint32_t value_size);

#endif
