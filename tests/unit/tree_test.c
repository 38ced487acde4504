#include "spec/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void tree_of_one_group_is_its_root(void **state)
{
    (void)state;
    const tina_child isolates[2] = {{0}};
    const tina_group_spec root = {.children = isolates, .child_count = 2};
    tina__tree_walk walk;
    tina__tree_begin(&walk, &root);
    assert_int_equal(walk.depth, 0);
    assert_ptr_equal(walk.path[0], &root);
    assert_null(tina__tree_next(&walk));
    assert_int_equal(walk.count, 1);
}

static void tree_is_walked_from_the_root_inwards(void **state)
{
    (void)state;
    const tina_group_spec empty = {0};
    const tina_child inner_children[3] = {{0}, {.group = &empty}, {.group = &empty}};
    const tina_group_spec inner = {.children = inner_children, .child_count = 3};
    const tina_child children[4] = {{.group = &inner}, {0}, {.group = &empty}, {0}};
    const tina_group_spec root = {.children = children, .child_count = 4};
    const struct {
        const tina_group_spec *group;
        uint32_t depth;
        size_t child; /* of its parent */
    } expected[] = {{&inner, 1, 0}, {&empty, 2, 1}, {&empty, 2, 2}, {&empty, 1, 2}};
    tina__tree_walk walk;
    tina__tree_begin(&walk, &root);
    for (uint32_t i = 0; i < 4; i++) {
        assert_ptr_equal(tina__tree_next(&walk), expected[i].group);
        assert_int_equal(walk.depth, expected[i].depth);
        assert_ptr_equal(walk.path[walk.depth], expected[i].group);
        assert_int_equal(walk.index[walk.depth], i + 1);
        assert_int_equal(walk.child[walk.depth - 1], expected[i].child);
    }
    assert_null(tina__tree_next(&walk));
    assert_int_equal(walk.count, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tree_of_one_group_is_its_root),
        cmocka_unit_test(tree_is_walked_from_the_root_inwards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
