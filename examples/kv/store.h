/*
 * One partition's keys and values: a hash table over a heap, all within memory that is
 * given once. It knows nothing of isolates, sockets or files, and no clock: the time is
 * an argument, in milliseconds since 1970.
 *
 * An entry is in the table, or is not yet (it is being filled), or not any more
 * (somebody still reads it): then it is given back with the last pin.
 */
#ifndef KV_STORE_H
#define KV_STORE_H

#include "hash.h"
#include "heap.h"

#include <stdbool.h>

enum {
    STORE_KEY_MAX = 4096,         /* bytes */
    STORE_VALUE_MAX = 512 * 1024, /* bytes */
    STORE_MEMORY_MIN = 64 * 1024, /* bytes */
};

typedef struct kv_entry {
    heap_ref next;       /* in its bucket */
    uint32_t hash;       /* its lower half */
    uint64_t expires_ms; /* 0: never */
    uint32_t value_size;
    uint16_t key_size;
    uint16_t pins : 14;
    uint16_t is_marked : 1; /* as the store's mark: a walk has been here, or it is newer than the walk */
    uint16_t is_linked : 1;
} kv_entry;

typedef struct kv_store {
    kv_heap heap;
    hash_key secret;
    heap_ref *buckets;
    uint32_t bucket_mask;
    bool mark;               /* of the walk that goes on; turned by whoever begins one */
    uint32_t sweep_at;       /* the bucket that is looked at next for what has expired */
    uint32_t loose_count;    /* entries that are not in the table */
    uint64_t count;          /* entries in the table */
    uint64_t expiring_count; /* of them, those that will expire */
    uint64_t expired_count;  /* that did, ever */
    uint64_t live_bytes;     /* of keys and values in the table */
    size_t memory_size;
} kv_store;

/* A key with its hash, as most calls want it. */
typedef struct kv_key {
    const void *data;
    uint32_t size;
    uint32_t hash;
} kv_key;

/* memory: 16-byte aligned, at least STORE_MEMORY_MIN bytes; the caller's, and only the store's to touch. */
void store_begin(kv_store *store, void *memory, size_t size, hash_key secret);

kv_key store_key_of(const kv_store *store, const void *data, size_t size);

/* For keys that are looked up in a moment: what is met on the way is fetched meanwhile. The first for all, then the second. */
void store_touch_bucket(const kv_store *store, kv_key key);
void store_touch_entry(const kv_store *store, kv_key key);

static inline uint8_t *entry_key(kv_entry *entry) { return (uint8_t *)(entry + 1); }
static inline uint8_t *entry_value(kv_entry *entry) { return (uint8_t *)(entry + 1) + entry->key_size; }

/* NULL: there is none, or it has expired, and is then removed. */
kv_entry *store_find(kv_store *store, kv_key key, uint64_t now_ms);

/* An entry with that key, room for a value, and no expiry, not yet in the table. NULL: no memory. */
kv_entry *store_make(kv_store *store, kv_key key, size_t value_size);

/* Put one that was made into the table, instead of one of the same key. */
void store_link(kv_store *store, kv_entry *entry);

/* Give back one that was made and not linked. */
void store_drop(kv_store *store, kv_entry *entry);

/* Take one out of the table. */
void store_remove(kv_store *store, kv_entry *entry);
void store_expire_at(kv_store *store, kv_entry *entry, uint64_t expires_ms);

/* While it is pinned, its bytes stay where they are, as they are. False: as many pins as can be. */
bool store_pin(kv_store *store, kv_entry *entry);
void store_unpin(kv_store *store, kv_entry *entry);

/* Remove all. */
void store_clear(kv_store *store);

/* Look through the next so many buckets for what has expired. Returns how many entries had. */
uint32_t store_sweep(kv_store *store, uint32_t bucket_count, uint64_t now_ms);

/* To walk over all entries: those of a bucket from NULL on, buckets from 0 to the count. */
static inline uint32_t store_bucket_count(const kv_store *store) { return store->bucket_mask + 1; }
kv_entry *store_next(kv_store *store, uint32_t bucket, const kv_entry *entry);

/* Bytes in use, and of the whole. */
size_t store_used(const kv_store *store);

#endif
