/* Red zones: every byte behind a struct is looked at, none of the struct's own, around a slot and no farther. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/damage.h"
#include "support/guard.h"

#include <string.h>

enum { SLOTS = 5, LARGEST = 64, WORKING_SIZE = 32 };

typedef struct field {
    tina_test_guard structs, working;
    tina__type type;
} field;

/* The last slot's zone ends where a closed page begins. */
static void lay_out(field *made, size_t size, uint32_t working_size)
{
    size_t stride = tina__align_up(size, 16) + TINA__RED_ZONE;
    size_t working_stride = WORKING_SIZE + TINA__WORKING_HEADER;
    made->structs = tina_test_guard_make(stride * SLOTS, 16);
    made->working = tina_test_guard_make(working_stride * SLOTS, 16);
    made->type = (tina__type){
        .structs = made->structs.data,
        .stride = stride,
        .size = size,
        .working = made->working.data,
        .working_size = working_size,
        .working_stride = working_stride,
        .pool = {.fresh = SLOTS, .limit = SLOTS},
    };
    tina__damage_prepare(&made->type);
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        tina__damage_paint(&made->type, slot);
}

static void clear_away(field *made)
{
    tina_test_guard_free(&made->structs);
    tina_test_guard_free(&made->working);
}

/* Who sees what is written there: slots as bits. */
static unsigned seen_from(const field *of)
{
    unsigned seen = 0;
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        seen |= (unsigned)(tina__damage_around(&of->type, slot) != NULL) << slot;
    return seen;
}

/* The slot and its neighbours. */
static unsigned around(uint32_t slot) { return (7u << slot >> 1) & ((1u << SLOTS) - 1); }

static void damage_is_each_byte_behind_a_struct_and_none_of_it(void **state)
{
    (void)state;
    for (size_t size = 1; size <= LARGEST; size++) {
        field made;
        lay_out(&made, size, 0);
        assert_int_equal(seen_from(&made), 0);
        for (uint32_t slot = 0; slot < SLOTS; slot++) {
            uint8_t *bytes = tina__isolate_self(&made.type, slot);
            for (size_t i = 0; i < made.type.stride; i++) {
                bytes[i] ^= 1;
                assert_int_equal(seen_from(&made), i < size ? 0 : around(slot));
                bytes[i] ^= 1;
            }
        }
        clear_away(&made);
    }
}

static void damage_is_each_byte_before_working_memory_and_none_of_it(void **state)
{
    (void)state;
    field made;
    lay_out(&made, 24, WORKING_SIZE);
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        uint8_t *bytes = made.type.working + made.type.working_stride * slot;
        for (size_t i = 0; i < made.type.working_stride; i++) {
            bytes[i] ^= 0x80;
            assert_int_equal(seen_from(&made), i < 8 ? around(slot) : 0);
            bytes[i] ^= 0x80;
        }
    }
    clear_away(&made);
}

/* A slot that was never used has no zones yet. */
static void damage_is_not_looked_for_where_no_slot_was_used(void **state)
{
    (void)state;
    for (uint32_t fresh = 1; fresh < SLOTS; fresh++) {
        field made;
        lay_out(&made, 40, WORKING_SIZE);
        made.type.pool.fresh = fresh;
        size_t used = made.type.stride * fresh;
        memset(made.type.structs + used, 0, made.type.stride * SLOTS - used);
        memset(made.type.working + made.type.working_stride * fresh, 0, made.type.working_stride * (SLOTS - fresh));
        for (uint32_t slot = 0; slot < fresh; slot++)
            assert_null(tina__damage_around(&made.type, slot));
        clear_away(&made);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damage_is_each_byte_behind_a_struct_and_none_of_it),
        cmocka_unit_test(damage_is_each_byte_before_working_memory_and_none_of_it),
        cmocka_unit_test(damage_is_not_looked_for_where_no_slot_was_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
