/* The memory of examples/kv: the heap and the table, beside naive models, and at their limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store.h"

#include <cmocka.h>

enum { MEMORY = 1024 * 1024, BLOCKS = 400, KEYS = 200 };

static uint64_t random_state;

static uint32_t draw(uint32_t below)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % below;
}

static void *aligned(size_t size)
{
    void *memory = aligned_alloc(64, size);
    assert_non_null(memory);
    return memory;
}

/* ---- The heap ---- */

static void heap_blocks_keep_their_bytes(void **state)
{
    (void)state;
    void *memory = aligned(MEMORY);
    heap_ref refs[BLOCKS] = {0};
    size_t sizes[BLOCKS];
    kv_heap heap;
    heap_begin(&heap, memory, MEMORY);
    random_state = 1;
    for (int turn = 0; turn < 50000; turn++) {
        uint32_t i = draw(BLOCKS);
        if (refs[i] != 0) {
            const uint8_t *bytes = heap_at(&heap, refs[i]);
            for (size_t k = 0; k < sizes[i]; k++)
                assert_int_equal(bytes[k], (uint8_t)i);
            heap_give(&heap, refs[i]);
            refs[i] = 0;
            continue;
        }
        sizes[i] = draw(draw(20) == 0 ? 60000 : 500);
        refs[i] = heap_take(&heap, sizes[i]);
        if (refs[i] != 0) {
            assert_true(heap_room(&heap, refs[i]) >= sizes[i]);
            memset(heap_at(&heap, refs[i]), (int)i, sizes[i]);
        }
    }
    for (int i = 0; i < BLOCKS; i++) {
        if (refs[i] != 0)
            heap_give(&heap, refs[i]);
    }
    assert_int_equal(heap_used(&heap), 0);
    assert_int_not_equal(heap_take(&heap, MEMORY * 9 / 10), 0); /* all has become one again */
    free(memory);
}

static void heap_that_is_full_says_so(void **state)
{
    (void)state;
    void *memory = aligned(4096);
    kv_heap heap;
    heap_begin(&heap, memory, 4096);
    uint32_t count = 0;
    heap_ref last = 0;
    for (heap_ref ref; (ref = heap_take(&heap, 100)) != 0; count++)
        last = ref;
    assert_in_range(count, 4096 / 112 - 2, 4096 / 112);
    assert_int_equal(heap_take(&heap, SIZE_MAX / 2), 0);
    heap_give(&heap, last);
    assert_int_equal(heap_take(&heap, 100), last);
    free(memory);
}

/* ---- The table ---- */

static kv_key key_of(kv_store *store, const char *text) { return store_key_of(store, text, strlen(text)); }

static kv_entry *put(kv_store *store, const char *key, const char *value)
{
    kv_entry *entry = store_make(store, key_of(store, key), strlen(value));
    assert_non_null(entry);
    memcpy(entry_value(entry), value, strlen(value));
    store_link(store, entry);
    return entry;
}

static void begin(kv_store *store, size_t size) { store_begin(store, aligned(size), size, (hash_key){3, 4}); }

static void store_finds_what_a_model_has(void **state)
{
    (void)state;
    kv_store store;
    char model[KEYS][16] = {{0}};
    begin(&store, MEMORY);
    random_state = 2;
    for (int turn = 0; turn < 50000; turn++) {
        char key[16];
        uint32_t i = draw(KEYS);
        snprintf(key, sizeof key, "key-%u", i);
        kv_entry *found = store_find(&store, key_of(&store, key), 1);
        assert_int_equal(found != NULL, model[i][0] != '\0');
        if (found != NULL)
            assert_memory_equal(entry_value(found), model[i], found->value_size);
        if (draw(3) == 0 && found != NULL) {
            store_remove(&store, found);
            model[i][0] = '\0';
        } else {
            snprintf(model[i], sizeof model[i], "%.*s", 1 + (int)draw(9), "abcdefghij");
            put(&store, key, model[i]);
        }
    }
    uint64_t count = 0;
    for (int i = 0; i < KEYS; i++)
        count += model[i][0] != '\0';
    assert_int_equal(store.count, count);
    store_clear(&store);
    assert_int_equal(store.count + store.live_bytes, 0);
    free(store.buckets);
}

static void entry_that_expired_is_gone(void **state)
{
    (void)state;
    kv_store store;
    begin(&store, MEMORY);
    store_expire_at(&store, put(&store, "a", "1"), 100);
    store_expire_at(&store, put(&store, "b", "2"), 100);
    put(&store, "c", "3");
    assert_int_equal(store.expiring_count, 2);
    assert_non_null(store_find(&store, key_of(&store, "a"), 99));
    assert_null(store_find(&store, key_of(&store, "a"), 100));
    assert_int_equal(store_sweep(&store, store_bucket_count(&store), 100), 1);
    assert_int_equal(store.count, 1);
    assert_int_equal(store.expiring_count, 0);
    assert_int_equal(store.expired_count, 2);
    free(store.buckets);
}

static void entry_that_is_pinned_outlives_its_place(void **state)
{
    (void)state;
    kv_store store;
    begin(&store, MEMORY);
    kv_entry *old = put(&store, "a", "old");
    assert_true(store_pin(&store, old));
    put(&store, "a", "new");
    assert_memory_equal(entry_value(old), "old", 3);
    store_clear(&store);
    assert_memory_equal(entry_value(old), "old", 3);
    size_t used = store_used(&store);
    store_unpin(&store, old);
    assert_true(store_used(&store) < used);
    assert_int_equal(store.loose_count, 0);
    free(store.buckets);
}

static void store_that_is_full_refuses_and_goes_on(void **state)
{
    (void)state;
    kv_store store;
    char key[16];
    begin(&store, STORE_MEMORY_MIN);
    uint32_t count = 0;
    for (;; count++) {
        snprintf(key, sizeof key, "%u", count);
        kv_entry *entry = store_make(&store, key_of(&store, key), 1000);
        if (entry == NULL)
            break;
        store_link(&store, entry);
    }
    assert_in_range(count, 50, 64);
    store_remove(&store, store_find(&store, key_of(&store, "7"), 0));
    assert_non_null(store_make(&store, key_of(&store, key), 1000));
    free(store.buckets);
}

static void hash_depends_on_key_and_bytes(void **state)
{
    (void)state;
    const uint8_t bytes[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    const hash_key key = {0x0706050403020100u, 0x0f0e0d0c0b0a0908u};
    assert_int_not_equal(hash_bytes(key, bytes, 9), hash_bytes(key, bytes, 10));
    assert_int_not_equal(hash_bytes(key, bytes, 9), hash_bytes((hash_key){1, 2}, bytes, 9));
    assert_int_equal(hash_bytes(key, bytes, 9), hash_bytes(key, bytes, 9));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heap_blocks_keep_their_bytes),
        cmocka_unit_test(heap_that_is_full_says_so),
        cmocka_unit_test(store_finds_what_a_model_has),
        cmocka_unit_test(entry_that_expired_is_gone),
        cmocka_unit_test(entry_that_is_pinned_outlives_its_place),
        cmocka_unit_test(store_that_is_full_refuses_and_goes_on),
        cmocka_unit_test(hash_depends_on_key_and_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
