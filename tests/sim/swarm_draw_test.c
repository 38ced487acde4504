/* What the swarm draws from a seed. */
#include "swarm/draw.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { SEEDS = 2000 };

static tina_effect init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size, (void)ctx;
    return (tina_effect){0};
}

static tina_effect handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self, (void)message, (void)ctx;
    return (tina_effect){0};
}

static const tina_type types[] = {
    {.name = "one", .init = init, .handler = handle, .size = 8, .slot_count = 100},
    {.name = "two", .init = init, .handler = handle, .size = 8, .mailbox_capacity = 10},
};
static const tina_child inner_children[] = {{.type = 0}, {.type = 0}};
static const tina_group_spec inner = {.children = inner_children, .child_count = 2};
static const tina_child children[] = {{.type = 1}, {.group = &inner}, {.type = 0}, {.group = &inner}};
static const tina_system_spec plain = {
    .types = types, .type_count = 2, .shard_count = 4, .root = {.children = children, .child_count = 4}};

static tina__bounds bounds[TINA__KNOB_COUNT];

static void check_bounds(tina__knob knob, uint64_t least, uint64_t most)
{
    assert_int_equal(bounds[knob].least, least);
    assert_int_equal(bounds[knob].most, most);
}

static void bounds_are_the_trees_needs_and_the_defaults(void **state)
{
    (void)state;
    assert_int_equal(tina_spec_check(&plain, NULL), TINA_OK);
    tina__limit_bounds(&plain, bounds);
    check_bounds(TINA__KNOB_MESSAGE_COUNT, 16, 100 * 256 + 10);
    check_bounds(TINA__KNOB_CHANNEL_CAPACITY, 1, 1024);
    check_bounds(TINA__KNOB_TIMER_COUNT, 6, 165); /* six children, 101 slots and 64 */
    check_bounds(TINA__KNOB_WATCH_COUNT, 6, 165);
    check_bounds(TINA__KNOB_FD_COUNT, 6, 165);
    check_bounds(TINA__KNOB_OP_COUNT, 6, 330);
    check_bounds(TINA__KNOB_BUFFER_COUNT, 4, 165);
    check_bounds(TINA__KNOB_BUFFER_SIZE, 64, 4096);
    check_bounds(TINA__KNOB_TRANSFER_COUNT, 1, 101);
    check_bounds(TINA__KNOB_MESSAGE_DROP, 0, 0);
}

static void bounds_are_those_of_the_largest_shard(void **state)
{
    (void)state;
    static const uint32_t counts[] = {1000, TINA_NONE};
    static const tina_child child = {.type = 0};
    const tina_shard_spec shards[] = {{.root = {.children = children, .child_count = 4}},
                                      {.root = {.children = &child, .child_count = 1}, .slot_counts = counts}};
    tina_system_spec spec = plain;
    spec.shards = shards;
    spec.shard_count = 2;
    assert_int_equal(tina_spec_check(&spec, NULL), TINA_OK);
    tina__limit_bounds(&spec, bounds);
    check_bounds(TINA__KNOB_TIMER_COUNT, 6, 1064);
}

static void bounds_what_the_spec_gives_is_not_ours(void **state)
{
    (void)state;
    tina_system_spec spec = plain;
    spec.message_count = 7;
    spec.fd_count = TINA_NONE;
    tina__limit_bounds(&spec, bounds);
    check_bounds(TINA__KNOB_MESSAGE_COUNT, 0, 0);
    check_bounds(TINA__KNOB_FD_COUNT, 0, 0);
    check_bounds(TINA__KNOB_OP_COUNT, 0, 0);
    check_bounds(TINA__KNOB_BUFFER_COUNT, 0, 0);
    check_bounds(TINA__KNOB_BUFFER_SIZE, 0, 0);
}

static tina__knobs draw(uint64_t seed, uint32_t attempt)
{
    tina__knobs knobs;
    tina_sim_config config = {.seed = seed};
    tina__draw(seed, attempt, &plain, &config, &knobs);
    return knobs;
}

/* Limits twice as far as the dice say when their default comes out. */
static void draw_each_kind_strikes_in_about_half_of_the_runs(void **state)
{
    (void)state;
    uint32_t counts[TINA__KNOB_COUNT] = {0};
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        tina__knobs knobs = draw(seed, 0);
        for (tina__knob knob = 0; knob < TINA__KNOB_COUNT; knob++)
            counts[knob] += tina__knob_is_on(&knobs, knob);
    }
    for (tina__knob knob = 0; knob <= TINA__KNOB_LAST_LIMIT; knob++) {
        if (knob == TINA__KNOB_DISK_BIT_ROT) /* which no program is asked to survive */
            assert_int_equal(counts[knob], 0);
        else
            assert_in_range(counts[knob], SEEDS * 3 / 10, SEEDS * 7 / 10);
    }
    assert_int_equal(counts[TINA__KNOB_KEEP_SHARD_ORDER], 0);
}

static void draw_goes_together_what_belongs_together(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        tina__knobs knobs = draw(seed, 0);
        assert_int_equal(tina__knob_is_on(&knobs, TINA__KNOB_PARTITION),
                         tina__knob_is_on(&knobs, TINA__KNOB_PARTITION_HEAL));
        assert_int_equal(tina__knob_is_on(&knobs, TINA__KNOB_SHARD_STALL),
                         tina__knob_is_on(&knobs, TINA__KNOB_SHARD_STALL_LENGTH));
        assert_true(knobs.of[TINA__KNOB_MESSAGE_DELAY].first <= knobs.of[TINA__KNOB_MESSAGE_DELAY].second);
    }
}

static void draw_every_draw_is_a_legal_spec(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        tina_system_spec spec = plain;
        tina_sim_config config = {0};
        tina__knobs knobs = draw(seed, (uint32_t)(seed % TINA__DRAWS_MAX));
        tina__knobs_put(&knobs, &spec, &config);
        assert_int_equal(tina_spec_check(&spec, NULL), TINA_OK);
    }
}

static void draw_is_the_seeds_alone(void **state)
{
    (void)state;
    tina__knobs first = draw(42, 0), again = draw(42, 0), other = draw(43, 0);
    assert_memory_equal(&first, &again, sizeof first);
    assert_memory_not_equal(&first, &other, sizeof first);
}

/* Another knob of make's does not shift what the others get. */
static void draw_keeps_what_make_has_set(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 100; seed++) {
        tina__knobs with, without = draw(seed, 0);
        tina_sim_config config = {.seed = seed};
        tina_system_spec spec = plain;
        spec.op_count = 33;
        config.faults.handler_crash = (tina_ratio){3, 4};
        tina__draw(seed, 0, &spec, &config, &with);
        assert_int_equal(with.of[TINA__KNOB_HANDLER_CRASH].second, 4);
        assert_false(tina__knob_is_on(&with, TINA__KNOB_OP_COUNT));
        with.of[TINA__KNOB_HANDLER_CRASH] = without.of[TINA__KNOB_HANDLER_CRASH];
        with.of[TINA__KNOB_OP_COUNT] = without.of[TINA__KNOB_OP_COUNT];
        assert_memory_equal(&with, &without, sizeof with);
    }
}

static void draw_again_is_never_smaller_and_at_last_makes(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        tina__knobs earlier = draw(seed, 0);
        for (uint32_t attempt = 1; attempt < TINA__DRAWS_MAX; attempt++) {
            tina__knobs later = draw(seed, attempt);
            for (tina__knob knob = TINA__KNOB_FIRST_LIMIT; knob <= TINA__KNOB_LAST_LIMIT; knob++) {
                bool is_last = attempt == TINA__DRAWS_MAX - 1;
                uint64_t value = later.of[knob].first;
                assert_true(is_last ? value == 0 : value == 0 || value >= earlier.of[knob].first);
            }
            assert_memory_equal(later.of, earlier.of, TINA__KNOB_FIRST_LIMIT * sizeof later.of[0]);
            earlier = later;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounds_are_the_trees_needs_and_the_defaults),
        cmocka_unit_test(bounds_are_those_of_the_largest_shard),
        cmocka_unit_test(bounds_what_the_spec_gives_is_not_ours),
        cmocka_unit_test(draw_each_kind_strikes_in_about_half_of_the_runs),
        cmocka_unit_test(draw_goes_together_what_belongs_together),
        cmocka_unit_test(draw_every_draw_is_a_legal_spec),
        cmocka_unit_test(draw_is_the_seeds_alone),
        cmocka_unit_test(draw_keeps_what_make_has_set),
        cmocka_unit_test(draw_again_is_never_smaller_and_at_last_makes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
