#include "store.h"

#include <assert.h>
#include <string.h>

enum { PINS_MAX = 0x3fff };
enum { BYTES_PER_BUCKET = 64 }; /* of memory: about the smallest kv_entry */

static uint32_t bucket_count_for(size_t size)
{
    uint32_t count = 64;
    while (count < (1u << 30) && (size_t)count * 2 * BYTES_PER_BUCKET <= size)
        count *= 2;
    return count;
}

static void empty(kv_store *store)
{
    uint8_t *memory = (uint8_t *)store->buckets;
    size_t table_size = sizeof *store->buckets * store_bucket_count(store);
    memset(memory, 0, table_size);
    heap_begin(&store->heap, memory + table_size, store->memory_size - table_size);
    store->count = store->expiring_count = store->live_bytes = 0;
}

void store_begin(kv_store *store, void *memory, size_t size, hash_key secret)
{
    assert(size >= STORE_MEMORY_MIN);
    *store = (kv_store){.buckets = memory, .secret = secret, .memory_size = size};
    store->bucket_mask = bucket_count_for(size) - 1;
    empty(store);
}

kv_key store_key_of(const kv_store *store, const void *data, size_t size)
{
    return (kv_key){.data = data, .size = (uint32_t)size, .hash = (uint32_t)hash_bytes(store->secret, data, size)};
}

static kv_entry *at(const kv_store *store, heap_ref ref) { return ref == 0 ? NULL : heap_at(&store->heap, ref); }

static heap_ref *bucket_of(kv_store *store, uint32_t hash) { return &store->buckets[hash & store->bucket_mask]; }

void store_touch_bucket(const kv_store *store, kv_key key)
{
    __builtin_prefetch(&store->buckets[key.hash & store->bucket_mask]);
}

void store_touch_entry(const kv_store *store, kv_key key)
{
    heap_ref first = store->buckets[key.hash & store->bucket_mask];
    if (first == 0)
        return;
    const uint8_t *entry = heap_at(&store->heap, first);
    __builtin_prefetch(entry);
    __builtin_prefetch(entry + 64); /* a line of the cache further: a key, and a small value */
}

/* Where the reference to it is kept; *place is 0 where there is none. */
static heap_ref *find_place(kv_store *store, kv_key key)
{
    heap_ref *place = bucket_of(store, key.hash);
    for (kv_entry *found = at(store, *place); found != NULL; found = at(store, *place)) {
        if (found->hash == key.hash && found->key_size == key.size && memcmp(entry_key(found), key.data, key.size) == 0)
            return place;
        place = &found->next;
    }
    return place;
}

static uint64_t size_of(const kv_entry *entry) { return (uint64_t)entry->key_size + entry->value_size; }

static void release(kv_store *store, kv_entry *entry)
{
    store->loose_count--;
    heap_give(&store->heap, heap_ref_of(&store->heap, entry));
}

static void unlink_at(kv_store *store, heap_ref *place)
{
    kv_entry *gone = at(store, *place);
    *place = gone->next;
    gone->is_linked = 0;
    store->count--;
    store->live_bytes -= size_of(gone);
    store->expiring_count -= gone->expires_ms != 0;
    store->loose_count++;
    if (gone->pins == 0)
        release(store, gone);
}

static bool has_expired(const kv_entry *entry, uint64_t now_ms)
{
    return entry->expires_ms != 0 && entry->expires_ms <= now_ms;
}

kv_entry *store_find(kv_store *store, kv_key key, uint64_t now_ms)
{
    heap_ref *place = find_place(store, key);
    kv_entry *found = at(store, *place);
    if (found == NULL || !has_expired(found, now_ms))
        return found;
    unlink_at(store, place);
    store->expired_count++;
    return NULL;
}

kv_entry *store_make(kv_store *store, kv_key key, size_t value_size)
{
    heap_ref ref = heap_take(&store->heap, sizeof(kv_entry) + key.size + value_size);
    kv_entry *made = at(store, ref);
    if (made == NULL)
        return NULL;
    *made = (kv_entry){.hash = key.hash, .key_size = (uint16_t)key.size, .value_size = (uint32_t)value_size};
    memcpy(entry_key(made), key.data, key.size);
    store->loose_count++;
    return made;
}

void store_link(kv_store *store, kv_entry *entry)
{
    kv_key key = {.data = entry_key(entry), .size = entry->key_size, .hash = entry->hash};
    heap_ref *place = find_place(store, key);
    assert(!entry->is_linked);
    if (*place != 0)
        unlink_at(store, place);
    heap_ref *bucket = bucket_of(store, entry->hash);
    entry->next = *bucket;
    *bucket = heap_ref_of(&store->heap, entry);
    entry->is_linked = 1;
    entry->is_marked = store->mark;
    store->loose_count--;
    store->count++;
    store->live_bytes += size_of(entry);
    store->expiring_count += entry->expires_ms != 0;
}

void store_drop(kv_store *store, kv_entry *entry)
{
    assert(!entry->is_linked);
    release(store, entry);
}

void store_remove(kv_store *store, kv_entry *entry)
{
    assert(entry->is_linked);
    kv_key key = {.data = entry_key(entry), .size = entry->key_size, .hash = entry->hash};
    unlink_at(store, find_place(store, key));
}

void store_expire_at(kv_store *store, kv_entry *entry, uint64_t expires_ms)
{
    if (entry->is_linked)
        store->expiring_count += (uint64_t)(expires_ms != 0) - (uint64_t)(entry->expires_ms != 0);
    entry->expires_ms = expires_ms;
}

bool store_pin(kv_store *store, kv_entry *entry)
{
    (void)store;
    if (entry->pins == PINS_MAX)
        return false;
    entry->pins = (entry->pins + 1) & PINS_MAX;
    return true;
}

void store_unpin(kv_store *store, kv_entry *entry)
{
    assert(entry->pins != 0);
    entry->pins = (entry->pins - 1) & PINS_MAX;
    if (entry->pins == 0 && !entry->is_linked)
        release(store, entry);
}

static bool is_pinned_anywhere(kv_store *store)
{
    for (uint32_t i = 0; i < store_bucket_count(store); i++) {
        for (kv_entry *each = store_next(store, i, NULL); each != NULL; each = store_next(store, i, each)) {
            if (each->pins != 0)
                return true;
        }
    }
    return false;
}

/* Where somebody holds on to an entry, one by one; else by starting over. */
void store_clear(kv_store *store)
{
    if (store->loose_count == 0 && !is_pinned_anywhere(store)) {
        empty(store);
        return;
    }
    for (uint32_t i = 0; i < store_bucket_count(store); i++) {
        while (store->buckets[i] != 0)
            unlink_at(store, &store->buckets[i]);
    }
}

uint32_t store_sweep(kv_store *store, uint32_t bucket_count, uint64_t now_ms)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < bucket_count; i++) {
        heap_ref *place = &store->buckets[store->sweep_at];
        for (kv_entry *each = at(store, *place); each != NULL; each = at(store, *place)) {
            if (has_expired(each, now_ms)) {
                unlink_at(store, place);
                count++;
            } else {
                place = &each->next;
            }
        }
        store->sweep_at = (store->sweep_at + 1) & store->bucket_mask;
    }
    store->expired_count += count;
    return count;
}

kv_entry *store_next(kv_store *store, uint32_t bucket, const kv_entry *entry)
{
    return at(store, entry == NULL ? store->buckets[bucket] : entry->next);
}

size_t store_used(const kv_store *store)
{
    return sizeof *store->buckets * store_bucket_count(store) + heap_used(&store->heap);
}
