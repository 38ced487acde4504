/*
 * The fence of a channel under two threads: the reader's life ends again and
 * again, the writer learns of it at some time, and what the reader takes for its
 * own was written by one that knew its life, all of it and nothing else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mem/spsc.h"
#include "support/guard.h"

#include <pthread.h>
#include <sched.h>

#define MESSAGES   400000u
#define LIFE_EVERY 37u
#define CAPACITY   16u

static tina__spsc ring;
static _Atomic uint32_t life;
static _Atomic bool is_over;
static uint32_t strangers, missing, lives_known; /* the reader's findings */

/* Each message says which life its writer knew, and how many were written for that life before it. */
static void *write_all(void *unused)
{
    uint32_t known = 0;
    uint32_t written = 0;
    for (uint32_t i = 0; !atomic_load_explicit(&is_over, memory_order_relaxed); i++) {
        uint32_t now = atomic_load_explicit(&life, memory_order_acquire);
        if (now != known) {
            tina__spsc_fence(&ring, now);
            known = now;
            written = 0;
        }
        tina_message *message = tina__spsc_claim(&ring);
        if (message == NULL) {
            tina__spsc_publish(&ring);
            sched_yield();
            continue;
        }
        message->correlation = known;
        message->link = written++;
        if (i % 3 == 0)
            tina__spsc_publish(&ring);
    }
    return unused;
}

static void take_one(const tina_message *message, uint32_t own, bool is_estranged, uint32_t *expected)
{
    if ((message->correlation == own) == is_estranged)
        strangers++;
    if (is_estranged)
        return;
    if (message->link != (*expected)++)
        missing++;
}

static void *read_all(void *unused)
{
    bool is_estranged = false;
    uint32_t own = 0;
    uint32_t expected = 0;
    for (uint32_t taken = 0; taken < MESSAGES;) {
        const tina_message *message = tina__spsc_peek(&ring);
        if (is_estranged && tina__spsc_is_past_fence(&ring, own)) {
            is_estranged = false;
            expected = 0;
            lives_known++;
        }
        if (message == NULL) {
            tina__spsc_release(&ring);
            sched_yield();
            continue;
        }
        take_one(message, own, is_estranged, &expected);
        tina__spsc_take(&ring);
        if (++taken % LIFE_EVERY == 0) {
            tina__spsc_release(&ring);
            is_estranged = true;
            atomic_store_explicit(&life, ++own, memory_order_release);
        }
    }
    atomic_store_explicit(&is_over, true, memory_order_relaxed);
    return unused;
}

static void fence_parts_what_was_written_for_each_life(void **unused)
{
    (void)unused;
    uint32_t slot_count = tina__spsc_slot_count(CAPACITY, 0);
    tina_test_guard guard = tina_test_guard_make(slot_count * sizeof(tina_message), sizeof(tina_message));
    tina__spsc_init(&ring, guard.data, CAPACITY, 0);
    pthread_t writer, reader;
    assert_int_equal(pthread_create(&writer, NULL, write_all, NULL), 0);
    assert_int_equal(pthread_create(&reader, NULL, read_all, NULL), 0);
    assert_int_equal(pthread_join(reader, NULL), 0);
    assert_int_equal(pthread_join(writer, NULL), 0);
    assert_int_equal(strangers, 0);
    assert_int_equal(missing, 0);
    assert_int_not_equal(lives_known, 0);
    tina_test_guard_free(&guard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fence_parts_what_was_written_for_each_life),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
