/* A keyed hash of bytes: for the store's table, for the choice of a partition, and for the log's checksums. */
#ifndef KV_HASH_H
#define KV_HASH_H

#include <stddef.h>
#include <stdint.h>

typedef struct hash_key {
    uint64_t low, high;
} hash_key;

/* SipHash-1-3: who does not know the key can't choose bytes whose hashes collide. The same on every machine. */
uint64_t hash_bytes(hash_key key, const void *data, size_t size);

#endif
