/*
 * An inbox that several threads push to: each one's messages arrive once, in its
 * order and whole.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "mem/mpsc.h"
#include "support/guard.h"

#define PRODUCER_COUNT 3

#if defined(__SANITIZE_THREAD__)
#define PUSH_COUNT 50000u
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define PUSH_COUNT 50000u
#endif
#endif
#ifndef PUSH_COUNT
#define PUSH_COUNT 500000u
#endif

static tina__mpsc queue;

typedef struct push_thread {
    pthread_t thread;
    uint32_t number;
    uint64_t refused;
} push_thread;

static uint16_t size_of(uint32_t number) { return (uint16_t)(1 + number % TINA_PAYLOAD_MAX); }

static void *produce(void *argument)
{
    push_thread *producer = argument;
    tina_message message = {.tag = (tina_tag)producer->number};
    for (uint32_t number = 0; number < PUSH_COUNT; number++) {
        message.correlation = number;
        message.size = size_of(number);
        memset(message.payload, (int)((number + producer->number) % 251), message.size);
        for (; !tina__mpsc_push(&queue, &message); producer->refused++)
            sched_yield();
    }
    return NULL;
}

static bool is_whole(const tina_message *message, uint32_t number)
{
    uint32_t expected = (number + message->tag) % 251;
    return message->correlation == number && message->size == size_of(number) && message->payload[0] == expected &&
           message->payload[message->size - 1] == expected;
}

static uint32_t consume(void)
{
    uint32_t next[PRODUCER_COUNT] = {0};
    uint32_t wrong = 0;
    for (uint32_t received = 0; received < PRODUCER_COUNT * PUSH_COUNT;) {
        const tina_message *message = tina__mpsc_peek(&queue);
        if (message == NULL) {
            sched_yield();
            continue;
        }
        if (message->tag < PRODUCER_COUNT)
            wrong += !is_whole(message, next[message->tag]++);
        else
            wrong++;
        tina__mpsc_take(&queue);
        received++;
    }
    return wrong;
}

static void run(uint32_t capacity)
{
    tina_test_guard guard = tina_test_guard_make(capacity * sizeof(tina__mpsc_slot), sizeof(tina__mpsc_slot));
    tina__mpsc_init(&queue, guard.data, capacity);
    push_thread producers[PRODUCER_COUNT] = {0};
    for (uint32_t i = 0; i < PRODUCER_COUNT; i++) {
        producers[i].number = i;
        assert_int_equal(pthread_create(&producers[i].thread, NULL, produce, &producers[i]), 0);
    }
    uint32_t wrong = consume();
    uint64_t refused = 0;
    for (uint32_t i = 0; i < PRODUCER_COUNT; i++) {
        assert_int_equal(pthread_join(producers[i].thread, NULL), 0);
        refused += producers[i].refused;
    }
    assert_int_equal(wrong, 0);
    assert_null(tina__mpsc_peek(&queue));
    print_message("%u messages from %u threads, %llu refusals\n", PRODUCER_COUNT * PUSH_COUNT, PRODUCER_COUNT,
                  (unsigned long long)refused);
    tina_test_guard_free(&guard);
}

static void mpsc_many_threads_lose_nothing(void **state)
{
    (void)state;
    run(64);
}

static void mpsc_many_threads_and_an_odd_capacity_lose_nothing(void **state)
{
    (void)state;
    run(7);
}

static void mpsc_many_threads_and_one_slot_lose_nothing(void **state)
{
    (void)state;
    run(1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mpsc_many_threads_lose_nothing),
        cmocka_unit_test(mpsc_many_threads_and_an_odd_capacity_lose_nothing),
        cmocka_unit_test(mpsc_many_threads_and_one_slot_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
