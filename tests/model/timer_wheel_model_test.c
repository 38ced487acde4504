/*
 * The wheel against a list that is searched from end to end: what is due, in
 * which order, and when to look again. Time moves by steps and by centuries.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/bits.h"
#include "base/prng.h"
#include "mem/timer_wheel.h"

#include <tina/version.h>

#define NODE_COUNT  64
#define ROUND_COUNT 300
#define ROUND_OPS   3000

typedef struct model_node {
    tina__timer_node node; /* first: an expired node is one of these */
    bool is_armed;
    bool is_due;
    bool is_far;    /* was started beyond the reach of the last level: it may come behind others of its step */
    uint64_t step;  /* the deadline, rounded up */
    uint64_t start; /* which start it was */
    uint64_t batch; /* which advance made it due */
} model_node;

static tina__timer_wheel wheel;
static model_node nodes[NODE_COUNT];
static uint32_t due[NODE_COUNT]; /* in the order in which they have to come */
static uint32_t due_count, armed_count;
static uint64_t now_ns, told_ns; /* the time, and what of it the wheel was told */
static uint64_t resolution_ns, start_count, batch_count;
static tina__prng prng;
static uint64_t seed;

static uint64_t below(uint64_t bound) { return tina__prng_below(&prng, bound); }

/* Of any magnitude: as likely below 2 as above 2^63. */
static uint64_t any_distance(void) { return tina__prng_next(&prng) >> below(64); }

static uint64_t rounded_up(uint64_t time_ns) { return time_ns / resolution_ns + (time_ns % resolution_ns != 0); }

static void due_remove(uint32_t at)
{
    due_count--;
    for (uint32_t i = at; i < due_count; i++)
        due[i] = due[i + 1];
}

static bool comes_before(uint32_t a, uint32_t b)
{
    if (nodes[a].batch != nodes[b].batch)
        return nodes[a].batch < nodes[b].batch;
    if (nodes[a].step != nodes[b].step)
        return nodes[a].step < nodes[b].step;
    return nodes[a].start < nodes[b].start;
}

static void due_add(uint32_t index)
{
    nodes[index].is_due = true;
    nodes[index].batch = batch_count;
    uint32_t at = due_count++;
    for (; at != 0 && comes_before(index, due[at - 1]); at--)
        due[at] = due[at - 1];
    due[at] = index;
}

static void model_start(uint32_t index, uint64_t deadline_ns)
{
    model_node *node = &nodes[index];
    node->is_armed = true;
    node->is_due = false;
    node->step = rounded_up(deadline_ns);
    node->start = start_count++;
    uint64_t step = told_ns / resolution_ns;
    node->is_far = node->step > step && (node->step >> 40) - (step >> 40) >= TINA__WHEEL_SLOTS;
    armed_count++;
    if (node->step <= step) {
        batch_count++; /* behind all that is due already */
        due_add(index);
    }
}

static void model_advance(void)
{
    told_ns = now_ns;
    batch_count++;
    for (uint32_t i = 0; i < NODE_COUNT; i++)
        if (nodes[i].is_armed && !nodes[i].is_due && nodes[i].step <= now_ns / resolution_ns)
            due_add(i);
}

static void model_forget(uint32_t index)
{
    for (uint32_t at = 0; nodes[index].is_due && at < due_count; at++)
        if (due[at] == index)
            due_remove(at);
    nodes[index].is_armed = false;
    nodes[index].is_due = false;
    armed_count--;
}

static void check_expired(const tina__timer_node *node)
{
    const model_node *got = (const model_node *)(const void *)node;
    uint32_t index = (uint32_t)(got - nodes);
    assert_true(index < NODE_COUNT);
    assert_true(got->is_armed);
    assert_true(got->is_due);
    assert_true(node->deadline_ns <= now_ns);
    assert_false(tina__timer_is_armed(node));
    const model_node *first = &nodes[due[0]];
    assert_true(got->batch == first->batch);
    assert_true(got->step == first->step);
    assert_true(got == first || got->is_far || first->is_far);
    assert_int_equal(node->owner, index + 1000);
    assert_int_equal(node->kind, index % 7);
    model_forget(index);
}

/* When nothing is due any more, nothing is late; and the time to look again is right. */
static void check_next(void)
{
    uint64_t next_ns = tina__timer_wheel_next_ns(&wheel);
    if (armed_count == 0) {
        assert_true(next_ns == TINA_NONE_NS);
        return;
    }
    assert_true(next_ns != TINA_NONE_NS);
    uint64_t earliest = UINT64_MAX;
    for (uint32_t i = 0; i < NODE_COUNT; i++)
        if (nodes[i].is_armed)
            earliest = tina__min_u64(earliest, nodes[i].step);
    uint64_t earliest_ns;
    if (!__builtin_mul_overflow(earliest, resolution_ns, &earliest_ns))
        assert_true(next_ns <= earliest_ns);
    if (due_count == 0 && told_ns < TINA_NONE_NS - 1)
        assert_true(next_ns > told_ns);
}

static void check_bitmaps(void)
{
    for (uint32_t word = 0; word < TINA__WHEEL_LISTS / 64; word++)
        assert_int_equal(wheel.occupied[word] != 0, (wheel.occupied_words >> word) & 1);
    for (uint32_t i = 0; i < TINA__WHEEL_LISTS; i++) {
        const tina__timer_node *list = &wheel.slots[i / TINA__WHEEL_SLOTS][i % TINA__WHEEL_SLOTS];
        assert_int_equal(list->next != list, (wheel.occupied[i / 64] >> i % 64) & 1);
    }
}

static uint64_t any_deadline(void)
{
    switch (below(16)) {
    case 0: return now_ns;
    case 1: return now_ns - tina__min_u64(now_ns, any_distance());
    case 2: return UINT64_MAX - below(3);
    case 3: return tina__add_saturating(now_ns - now_ns % resolution_ns, resolution_ns);
    case 4:
    case 5:
    case 6: return tina__add_saturating(now_ns, below(100) * resolution_ns); /* many in one step */
    default: return tina__add_saturating(now_ns, any_distance());
    }
}

static void some_start(void)
{
    uint32_t index = (uint32_t)below(NODE_COUNT);
    if (nodes[index].is_armed)
        return;
    uint64_t deadline_ns = any_deadline();
    tina__timer_wheel_start(&wheel, &nodes[index].node, deadline_ns);
    assert_true(tina__timer_is_armed(&nodes[index].node));
    model_start(index, deadline_ns);
}

static void some_cancel(void)
{
    uint32_t index = (uint32_t)below(NODE_COUNT);
    tina__timer_wheel_cancel(&wheel, &nodes[index].node);
    assert_false(tina__timer_is_armed(&nodes[index].node));
    if (nodes[index].is_armed)
        model_forget(index);
}

static uint64_t any_later_time(void)
{
    uint64_t next_ns = tina__timer_wheel_next_ns(&wheel);
    switch (below(8)) {
    case 0: return now_ns;
    case 1: return tina__add_saturating(now_ns, any_distance());
    case 2:
    case 3: return next_ns < TINA_NONE_NS - 1 ? tina__max_u64(now_ns, next_ns) : now_ns;
    case 4: return next_ns < TINA_NONE_NS - 1 && next_ns > now_ns ? next_ns - 1 : now_ns;
    default: return tina__add_saturating(now_ns, below(10 * resolution_ns) >> below(4));
    }
}

static void some_advance(void)
{
    now_ns = any_later_time();
    uint64_t budget = below(2) == 0 ? UINT64_MAX : below(5);
    if (budget != 0)
        model_advance();
    for (; budget != 0; budget--) {
        tina__timer_node *node = tina__timer_wheel_expire(&wheel, now_ns);
        if (node == NULL) {
            assert_int_equal(due_count, 0);
            break;
        }
        assert_true(due_count != 0);
        check_expired(node);
        if (below(4) == 0)
            some_start();
        if (below(8) == 0)
            some_cancel();
    }
}

static void round_begin(void)
{
    static const uint64_t resolutions[] = {1, 7, 1000, 1000000, 1u << 20, 1000000000};
    resolution_ns = resolutions[below(sizeof resolutions / sizeof resolutions[0])];
    now_ns = below(3) == 0 ? 0 : any_distance();
    if (below(8) == 0)
        now_ns = UINT64_MAX - now_ns;
    told_ns = now_ns;
    tina__timer_wheel_init(&wheel, resolution_ns, now_ns);
    due_count = 0;
    armed_count = 0;
    for (uint32_t i = 0; i < NODE_COUNT; i++)
        nodes[i] = (model_node){.node = {.owner = i + 1000, .kind = (uint16_t)(i % 7)}};
}

static void one_round(void)
{
    round_begin();
    for (uint32_t op = 0; op < ROUND_OPS; op++) {
        switch (below(8)) {
        case 0:
        case 1:
        case 2:
        case 3: some_start(); break;
        case 4: some_cancel(); break;
        default: some_advance(); break;
        }
        assert_int_equal(wheel.count, armed_count);
        check_next();
        if (op % 64 == 0)
            check_bitmaps();
    }
}

static void timer_wheel_any_operations_agree_with_the_model(void **state)
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
        cmocka_unit_test(timer_wheel_any_operations_agree_with_the_model),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fprintf(stderr, "to repeat: %s %" PRIu64 "\n", argv[0], seed);
    return failed;
}
