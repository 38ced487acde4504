/* The pool against a set of what is in use and a list of what was given back: which slot comes next, and what it holds. */
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
#include "mem/pool.h"
#include "support/guard.h"

#define LIMIT_MAX   200
#define ROUND_COUNT 300
#define ROUND_OPS   3000

typedef struct item {
    uint64_t before; /* around the link: what the last user left has to be there still */
    uint32_t link;
    uint32_t behind;
} item;

static tina__pool pool;
static item *items;
static uint64_t marks[LIMIT_MAX];   /* what was last written to each slot; 0: nothing yet */
static uint32_t taken[LIMIT_MAX];   /* the slots in use, in no order */
static uint32_t waiting[LIMIT_MAX]; /* the slots that were given back, the next one first */
static uint32_t limit, distance, taken_count, waiting_count, fresh, peak;
static tina__prng prng;
static uint64_t seed;

static uint32_t below(uint32_t bound) { return (uint32_t)tina__prng_below(&prng, bound); }

static void list_insert(uint32_t *list, uint32_t *count, uint32_t at, uint32_t index)
{
    memmove(&list[at + 1], &list[at], (*count - at) * sizeof list[0]);
    list[at] = index;
    ++*count;
}

static uint32_t list_remove(uint32_t *list, uint32_t *count, uint32_t at)
{
    uint32_t index = list[at];
    --*count;
    memmove(&list[at], &list[at + 1], (*count - at) * sizeof list[0]);
    return index;
}

static uint32_t model_take(void)
{
    if (waiting_count > distance)
        return list_remove(waiting, &waiting_count, 0);
    if (fresh < limit)
        return fresh++;
    return waiting_count != 0 ? list_remove(waiting, &waiting_count, 0) : TINA__NONE;
}

static void some_take(void)
{
    uint32_t index = tina__pool_take(&pool);
    assert_int_equal(index, model_take());
    if (index == TINA__NONE)
        return;
    list_insert(taken, &taken_count, taken_count, index);
    if (taken_count > peak)
        peak = taken_count;
    assert_true(items[index].before == marks[index]);
    assert_int_equal(items[index].behind, (uint32_t)marks[index]);
    marks[index] = tina__prng_next(&prng);
    items[index] = (item){marks[index], TINA__NONE, (uint32_t)marks[index]};
}

static void some_give(void)
{
    if (taken_count == 0)
        return;
    uint32_t index = list_remove(taken, &taken_count, below(taken_count));
    if (below(4) == 0) {
        tina__pool_give_hot(&pool, index);
        list_insert(waiting, &waiting_count, 0, index);
    } else {
        tina__pool_give(&pool, index);
        list_insert(waiting, &waiting_count, waiting_count, index);
    }
}

static void check(void)
{
    assert_int_equal(pool.used, taken_count);
    assert_int_equal(pool.listed, waiting_count);
    assert_int_equal(pool.fresh, fresh);
    assert_int_equal(pool.peak, peak);
    assert_int_equal(tina__pool_free_count(&pool), limit - taken_count);
    assert_true(tina__pool_is_sound(&pool));
}

static void one_round(void)
{
    limit = below(8) == 0 ? 1 : 1 + below(LIMIT_MAX);
    distance = below(3) == 0 ? 0 : below(limit + 2);
    taken_count = waiting_count = fresh = peak = 0;
    memset(marks, 0, sizeof marks);
    tina_test_guard guard = tina_test_guard_make(limit * sizeof(item), sizeof(item));
    items = guard.data;
    tina__pool_init(&pool, items, sizeof(item), offsetof(item, link), limit, distance);
    uint32_t bias = below(101); /* how many takes there are for each hundred operations: some pools stay empty, some full */
    for (uint32_t op = 0; op < ROUND_OPS; op++) {
        if (below(100) < bias)
            some_take();
        else
            some_give();
        if (op % 200 == 0)
            bias = below(101);
        check();
    }
    tina_test_guard_free(&guard);
}

static void pool_any_operations_agree_with_the_model(void **state)
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
        cmocka_unit_test(pool_any_operations_agree_with_the_model),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fprintf(stderr, "to repeat: %s %" PRIu64 "\n", argv[0], seed);
    return failed;
}
