/* examples/kv/shelf against a list of the pieces that are out: none lies on another, and room that is free is found again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "shelf.h"

#include <cmocka.h>

enum { SIZE = 100, PIECES_MAX = SIZE };

static struct {
    kv_shelf shelf;
    uint32_t at[PIECES_MAX], size[PIECES_MAX]; /* the oldest first */
    uint32_t count;
} it;

static void begin(void)
{
    it.count = 0;
    it.shelf = (kv_shelf){.size = SIZE};
}

static bool take(uint32_t size)
{
    uint32_t at = shelf_take(&it.shelf, size);
    if (at == SHELF_NONE)
        return false;
    assert_true(at <= SIZE && size <= SIZE - at);
    for (uint32_t i = 0; i < it.count; i++)
        assert_true(at + size <= it.at[i] || it.at[i] + it.size[i] <= at);
    it.at[it.count] = at;
    it.size[it.count++] = size;
    return true;
}

static void give(void)
{
    shelf_give(&it.shelf, it.at[0], it.size[0]);
    it.count--;
    for (uint32_t i = 0; i < it.count; i++) {
        it.at[i] = it.at[i + 1];
        it.size[i] = it.size[i + 1];
    }
}

static void pieces_never_lie_on_each_other(void **state)
{
    (void)state;
    uint32_t refused = 0, around = 0;
    begin();
    srand(1);
    for (uint32_t i = 0; i < 200000; i++) {
        uint32_t most = 1 + (uint32_t)rand() % (i % 1000 < 500 ? 10 : 60);
        if (rand() % 2 == 0)
            refused += !take(most);
        else if (it.count != 0)
            give();
        around += it.shelf.end < it.shelf.first;
    }
    assert_true(refused > 1000 && around > 1000);
}

static void whole_of_it_can_be_taken_again_and_again(void **state)
{
    (void)state;
    begin();
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(take(SIZE));
        assert_false(take(1));
        give();
    }
    assert_false(take(SIZE + 1));
}

static void what_is_free_ahead_is_used_when_the_end_is_taken(void **state)
{
    (void)state;
    begin();
    assert_true(take(40) && take(60));
    assert_false(take(1));
    give();
    assert_false(take(40)); /* it would end where what is there begins */
    assert_true(take(39));
    assert_false(take(1));
    give();
    assert_true(take(60)); /* behind it, where the oldest was */
    assert_false(take(2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_never_lie_on_each_other),
        cmocka_unit_test(whole_of_it_can_be_taken_again_and_again),
        cmocka_unit_test(what_is_free_ahead_is_used_when_the_end_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
