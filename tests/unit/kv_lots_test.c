/*
 * examples/kv/lots against a model: in whatever order lots are answered, and however much of
 * them, each step is done once, those of a partition in their order, and the client is told
 * all answers in theirs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lots.h"

#include <cmocka.h>

enum { STEPS = 300, ANSWER_MAX = 6000, FIRST_NUMBER = 100 };

/* A step, as its partition sees it. Its answer is made of its place. */
typedef struct model_step {
    uint8_t partition;
    uint16_t size; /* of the answer */
    bool is_done;
} model_step;

static struct {
    kv_lots lots;
    uint32_t base; /* the place of the round's first step */
    model_step steps[STEPS];
    uint32_t dealt[LOTS_MAX][BATCH_STEPS_MAX]; /* places of each lot's steps */
    uint8_t held[LOTS_HELD_MAX];
    uint32_t told; /* bytes that the client has */
    uint8_t text[STEPS * ANSWER_MAX], expected[STEPS * ANSWER_MAX];
} it;

static uint32_t draw(uint32_t count) { return (uint32_t)rand() % count; }

static uint32_t put_answer(uint8_t *out, uint32_t place)
{
    for (uint32_t i = 0; i < it.steps[place].size; i++)
        out[i] = (uint8_t)(place * 7 + i);
    return it.steps[place].size;
}

/* Once, and when all before it that are that partition's are done. */
static void do_step(uint32_t place)
{
    for (uint32_t before = 0; before < place; before++)
        assert_true(it.steps[before].partition != it.steps[place].partition || it.steps[before].is_done);
    assert_false(it.steps[place].is_done);
    it.steps[place].is_done = true;
}

static kv_lot *lot_of(uint32_t place, bool is_one)
{
    uint8_t partition = it.steps[place].partition;
    kv_lot *lot = lots_of(&it.lots, partition);
    if (lot != NULL || (is_one && it.lots.lot_count == 1))
        return lot;
    bool is_first = it.lots.lot_count == 0;
    lot = lots_open(&it.lots, is_first ? LOTS_ANYWHERE : partition);
    return is_first ? lots_of(&it.lots, partition) : lot; /* whoever may answer anywhere may be that one */
}

/* The round's steps from n on, up to end. Returns the first that it has no lot for. */
static uint32_t deal(uint32_t n, uint32_t end, bool is_one)
{
    for (; n < end; n++) {
        kv_lot *lot = lot_of(it.base + n, is_one);
        if (lot == NULL)
            return n;
        it.dealt[lot - it.lots.lots][lot->count] = it.base + n;
        lots_add(&it.lots, lot, n);
    }
    return n;
}

/* As many of its steps as there is room for, or fewer. */
static void answer(kv_lot *lot)
{
    static uint8_t bytes[LOTS_HELD_MAX];
    uint16_t sizes[BATCH_STEPS_MAX];
    uint32_t room = lots_room_of(&it.lots, lot), size = 0, done = 0;
    uint32_t most = draw(4) == 0 ? draw(lot->count + 1u) : lot->count;
    for (; done < most; done++) {
        uint32_t place = it.dealt[lot - it.lots.lots][done];
        if (it.steps[place].size > room - size)
            break;
        do_step(place);
        sizes[done] = it.steps[place].size;
        size += put_answer(bytes + size, place);
    }
    lots_close(&it.lots, lot);
    assert_true(lots_take(&it.lots, lot, done, sizes, bytes, size, it.held));
}

static void answer_all_in_any_order(void)
{
    for (uint32_t i = 0; i < it.lots.lot_count; i++)
        it.lots.lots[i].number = FIRST_NUMBER + i;
    while (it.lots.open_count != 0) {
        kv_lot *lot = lots_find(&it.lots, FIRST_NUMBER + draw(it.lots.lot_count));
        if (lot != NULL) /* otherwise it has answered */
            answer(lot);
    }
}

/* One partition's first steps of it, as many as it likes. */
static void fill_gap(void)
{
    uint32_t from = it.lots.said, gap = lots_gap(&it.lots);
    assert_true(gap != 0 && from + gap < it.lots.count);
    lots_drop(&it.lots);
    uint32_t done = 1 + draw(deal(from, from + gap, true) - from);
    for (uint32_t n = from; n < from + done; n++) {
        do_step(it.base + n);
        it.told += put_answer(it.text + it.told, it.base + n);
    }
    lots_close(&it.lots, &it.lots.lots[0]);
    lots_pass(&it.lots, done);
}

/* What it was not asked for, or did not do, is the next one's. */
static void run_round(void)
{
    uint32_t left = STEPS - it.base;
    lots_begin(&it.lots);
    deal(0, left < BATCH_STEPS_MAX ? left : BATCH_STEPS_MAX, false);
    answer_all_in_any_order();
    for (;;) {
        it.told += lots_say(&it.lots, it.held, it.text + it.told);
        assert_false(lots_has_next(&it.lots));
        if (lots_are_over(&it.lots))
            break;
        fill_gap();
    }
    it.base += it.lots.said;
    for (uint32_t place = 0; place < STEPS; place++)
        assert_int_equal(it.steps[place].is_done, place < it.base);
}

static void run(uint32_t partitions, uint32_t answer_max)
{
    uint32_t expected = 0;
    memset(&it, 0, sizeof it);
    for (uint32_t place = 0; place < STEPS; place++) {
        it.steps[place] = (model_step){.partition = (uint8_t)draw(partitions), .size = (uint16_t)draw(answer_max)};
        expected += put_answer(it.expected + expected, place);
    }
    while (it.base < STEPS)
        run_round();
    assert_int_equal(it.told, expected);
    assert_memory_equal(it.text, it.expected, expected);
}

static void lots_in_any_order_are_told_in_order(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 100; seed++) {
        print_message("seed %u\n", seed);
        srand(seed);
        run(1 + draw(2 * LOTS_MAX), draw(2) == 0 ? 40 : 1 + draw(LOTS_ROOM_MIN - 1));
        run(2 + draw(2), LOTS_ROOM_MIN);
    }
}

/* Where nothing fits into a lot's share, nothing is done: whoever asks has to ask one alone. */
static void what_is_too_large_for_a_lot_is_not_done(void **state)
{
    (void)state;
    memset(&it, 0, sizeof it);
    for (uint32_t place = 0; place < STEPS; place++)
        it.steps[place] = (model_step){.partition = place % 2, .size = ANSWER_MAX};
    lots_begin(&it.lots);
    deal(0, BATCH_STEPS_MAX, false);
    srand(1);
    answer_all_in_any_order();
    assert_int_equal(it.lots.held_count, 2); /* of each half of the room, one */
    assert_int_equal(lots_say(&it.lots, it.held, it.text), 2 * ANSWER_MAX);
    assert_true(lots_are_over(&it.lots));
    assert_int_equal(it.lots.said, 2);
}

static void rooms_are_shared_by_steps_and_fit(void **state)
{
    (void)state;
    for (uint32_t count = 1; count <= LOTS_MAX; count++) {
        lots_begin(&it.lots);
        for (uint8_t i = 0; i < count; i++)
            lots_add(&it.lots, lots_open(&it.lots, i), i);
        for (uint32_t n = count; n < BATCH_STEPS_MAX; n++)
            lots_add(&it.lots, &it.lots.lots[0], n);
        uint32_t sum = 0;
        for (uint32_t i = 0; i < count; i++) {
            uint32_t room = lots_room_of(&it.lots, &it.lots.lots[i]);
            assert_true(room >= LOTS_ROOM_MIN && room <= lots_room_of(&it.lots, &it.lots.lots[0]));
            sum += room;
        }
        assert_true(sum <= LOTS_HELD_MAX && sum > LOTS_HELD_MAX - LOTS_MAX);
        assert_true(count < LOTS_MAX || lots_open(&it.lots, LOTS_MAX) == NULL);
    }
}

static void answers_that_cannot_be_are_refused(void **state)
{
    (void)state;
    uint16_t sizes[] = {10, 20, 30};
    uint8_t bytes[60] = {0};
    lots_begin(&it.lots);
    kv_lot *lot = lots_open(&it.lots, 0);
    lots_add(&it.lots, lot, 0);
    lots_add(&it.lots, lot, 1);
    assert_false(lots_take(&it.lots, lot, 3, sizes, bytes, 60, it.held));
    assert_false(lots_take(&it.lots, lot, 2, sizes, bytes, 31, it.held));
    it.lots.held_size = LOTS_HELD_MAX - 29;
    assert_false(lots_take(&it.lots, lot, 2, sizes, bytes, 30, it.held));
    assert_int_equal(it.lots.held_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lots_in_any_order_are_told_in_order),
        cmocka_unit_test(what_is_too_large_for_a_lot_is_not_done),
        cmocka_unit_test(rooms_are_shared_by_steps_and_fit),
        cmocka_unit_test(answers_that_cannot_be_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
