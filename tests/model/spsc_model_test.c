/*
 * A channel, both sides on one thread, against a naive queue with three marks in
 * it: given back, published, written. Positions start just below their wrap.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/prng.h"
#include "mem/spsc.h"
#include "support/guard.h"

#define CAPACITY_MAX 40
#define ANSWERS_MAX  20
#define ROUND_COUNT  500
#define ROUND_OPS    4000
#define SERIAL_MAX   (ROUND_OPS + 1)

static tina__spsc ring;
static bool is_answer[SERIAL_MAX]; /* of the n-th message */
static uint32_t capacity, answer_capacity;
static uint32_t released, consumed, published, written; /* messages, since the round began */
static uint32_t answers_under_way;                      /* those that hold a credit */
static tina__prng prng;
static uint64_t seed;

static uint32_t below(uint32_t bound) { return (uint32_t)tina__prng_below(&prng, bound); }

static void fill(tina_message *message, bool answer)
{
    memset(message->payload, (int)(written & 0xFF), sizeof message->payload);
    message->correlation = written;
    message->size = sizeof message->payload;
    is_answer[written] = answer;
    written++;
}

static void some_claim(void)
{
    tina_message *message = tina__spsc_claim(&ring);
    assert_int_equal(message == NULL, written - released >= capacity);
    if (message != NULL)
        fill(message, false);
}

static void some_answer(void)
{
    if (answers_under_way == answer_capacity)
        return;
    tina_message *message = tina__spsc_claim_answer(&ring);
    assert_non_null(message);
    answers_under_way++;
    fill(message, true);
}

static void some_publish(void)
{
    tina__spsc_publish(&ring);
    published = written;
}

/* Looking is free: the same message as often as one looks. */
static void some_peek_and_take(void)
{
    const tina_message *message = tina__spsc_peek(&ring);
    assert_int_equal(message == NULL, consumed == published);
    if (message == NULL)
        return;
    assert_ptr_equal(message, tina__spsc_peek(&ring));
    assert_int_equal(message->correlation, consumed);
    assert_int_equal(message->size, sizeof message->payload);
    for (uint32_t i = 0; i < sizeof message->payload; i++)
        assert_int_equal(message->payload[i], consumed & 0xFF);
    if (below(8) == 0)
        return;
    tina__spsc_take(&ring);
    consumed++;
}

static void some_release(void)
{
    tina__spsc_release(&ring);
    for (; released != consumed; released++)
        answers_under_way -= is_answer[released];
}

static void positions_start_at(uint32_t position)
{
    atomic_store_explicit(&ring.tail, position, memory_order_relaxed);
    atomic_store_explicit(&ring.head, position, memory_order_relaxed);
    ring.written = ring.head_copy = ring.read = ring.tail_copy = position;
}

/* Rounds lean to one side or the other, so that rings run full and run dry. */
static void one_op(uint32_t lean)
{
    if (below(100) < lean) {
        if (below(3) == 0)
            some_answer();
        else
            some_claim();
    } else {
        some_peek_and_take();
    }
    if (below(5) == 0)
        some_publish();
    if (below(5) == 0)
        some_release();
}

static void one_round(void)
{
    capacity = below(8) == 0 ? 1 : 1 + below(CAPACITY_MAX);
    answer_capacity = below(ANSWERS_MAX + 1);
    released = consumed = published = written = answers_under_way = 0;
    uint32_t slot_count = tina__spsc_slot_count(capacity, answer_capacity);
    tina_test_guard guard = tina_test_guard_make(slot_count * sizeof(tina_message), sizeof(tina_message));
    tina__spsc_init(&ring, guard.data, capacity, answer_capacity);
    positions_start_at(UINT32_MAX - below(ROUND_OPS / 2));
    uint32_t lean = 50;
    for (uint32_t op = 0; op < ROUND_OPS; op++) {
        if (op % 100 == 0)
            lean = below(101);
        one_op(lean);
        assert_int_equal(tina__spsc_unpublished(&ring), written - published);
    }
    tina_test_guard_free(&guard);
}

static void spsc_any_operations_agree_with_the_model(void **state)
{
    (void)state;
    tina__prng_seed(&prng, seed);
    for (uint32_t round = 0; round < ROUND_COUNT; round++)
        one_round();
}

int main(int argc, char **argv)
{
    if (argc > 1)
        seed = strtoull(argv[1], NULL, 0);
    else if (getrandom(&seed, sizeof seed, 0) != sizeof seed)
        return EXIT_FAILURE;
    fprintf(stderr, "seed %" PRIu64 "\n", seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spsc_any_operations_agree_with_the_model),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fprintf(stderr, "to repeat: %s %" PRIu64 "\n", argv[0], seed);
    return failed;
}
