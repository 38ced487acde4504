/*
 * A channel between two threads: every message that was claimed arrives once, in
 * order and whole; an answer with a credit always finds room.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "base/prng.h"
#include "mem/spsc.h"
#include "support/guard.h"

#if defined(__SANITIZE_THREAD__)
#define MESSAGE_COUNT 200000u
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define MESSAGE_COUNT 200000u
#endif
#endif
#ifndef MESSAGE_COUNT
#define MESSAGE_COUNT 10000000u
#endif

typedef struct shared_channel {
    tina__spsc ring;
    _Atomic uint32_t credits;                   /* of answers: the producer spends them, the consumer gives them back */
    uint32_t refused;                           /* the producer's */
    uint32_t received, answers_received, wrong; /* the consumer's */
} shared_channel;

static void fill(tina_message *message, uint32_t number, bool is_answer)
{
    message->correlation = number;
    message->flags = is_answer;
    message->size = (uint16_t)(8 + number % (TINA_PAYLOAD_MAX - 8));
    memset(message->payload, (int)(number % 251), message->size);
}

static bool is_whole(const tina_message *message, uint32_t number)
{
    return message->correlation == number && message->size == 8 + number % (TINA_PAYLOAD_MAX - 8) &&
           message->payload[0] == number % 251 && message->payload[message->size - 1] == number % 251;
}

static tina_message *claim(shared_channel *channel, tina__prng *prng, bool *is_answer)
{
    *is_answer = tina__prng_below(prng, 4) == 0 && atomic_load_explicit(&channel->credits, memory_order_acquire) != 0;
    if (!*is_answer)
        return tina__spsc_claim(&channel->ring);
    atomic_fetch_sub_explicit(&channel->credits, 1, memory_order_relaxed);
    return tina__spsc_claim_answer(&channel->ring);
}

static void *produce(void *argument)
{
    shared_channel *channel = argument;
    tina__prng prng;
    tina__prng_seed(&prng, 1);
    for (uint32_t number = 0; number < MESSAGE_COUNT;) {
        bool is_answer;
        tina_message *message = claim(channel, &prng, &is_answer);
        if (message != NULL)
            fill(message, number++, is_answer);
        if (message == NULL || tina__prng_below(&prng, 16) == 0)
            tina__spsc_publish(&channel->ring);
        if (message == NULL) {
            channel->refused++;
            sched_yield();
        }
    }
    tina__spsc_publish(&channel->ring);
    return NULL;
}

/* A credit goes back only behind the release: who has it finds the place free. */
static void give_back(shared_channel *channel, uint32_t *answers)
{
    tina__spsc_release(&channel->ring);
    atomic_fetch_add_explicit(&channel->credits, *answers, memory_order_release);
    *answers = 0;
}

static void consume(shared_channel *channel)
{
    tina__prng prng;
    tina__prng_seed(&prng, 2);
    uint32_t answers = 0;
    while (channel->received < MESSAGE_COUNT) {
        const tina_message *message = tina__spsc_peek(&channel->ring);
        if (message == NULL) {
            give_back(channel, &answers);
            sched_yield();
            continue;
        }
        channel->wrong += !is_whole(message, channel->received);
        answers += message->flags;
        channel->answers_received += message->flags;
        channel->received++;
        tina__spsc_take(&channel->ring);
        if (tina__prng_below(&prng, 16) == 0)
            give_back(channel, &answers);
    }
    give_back(channel, &answers);
}

static void run(uint32_t capacity, uint32_t answer_capacity)
{
    static shared_channel channel;
    uint32_t slot_count = tina__spsc_slot_count(capacity, answer_capacity);
    tina_test_guard guard = tina_test_guard_make(slot_count * sizeof(tina_message), sizeof(tina_message));
    memset(&channel, 0, sizeof channel);
    tina__spsc_init(&channel.ring, guard.data, capacity, answer_capacity);
    atomic_init(&channel.credits, answer_capacity);

    pthread_t producer;
    assert_int_equal(pthread_create(&producer, NULL, produce, &channel), 0);
    consume(&channel);
    assert_int_equal(pthread_join(producer, NULL), 0);

    assert_int_equal(channel.wrong, 0);
    assert_null(tina__spsc_peek(&channel.ring));
    assert_int_equal(atomic_load(&channel.credits), answer_capacity);
    if (answer_capacity != 0)
        assert_int_not_equal(channel.answers_received, 0);
    print_message("%u messages, %u of them answers, %u refusals\n", channel.received, channel.answers_received,
                  channel.refused);
    tina_test_guard_free(&guard);
}

static void spsc_two_threads_lose_nothing(void **state)
{
    (void)state;
    run(64, 16);
}

static void spsc_two_threads_and_an_odd_capacity_lose_nothing(void **state)
{
    (void)state;
    run(11, 2);
}

static void spsc_two_threads_and_no_answers_lose_nothing(void **state)
{
    (void)state;
    run(1000, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spsc_two_threads_lose_nothing),
        cmocka_unit_test(spsc_two_threads_and_an_odd_capacity_lose_nothing),
        cmocka_unit_test(spsc_two_threads_and_no_answers_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
