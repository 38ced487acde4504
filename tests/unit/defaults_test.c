/* Each derived number: the formula in its middle, and its ends. Explicit numbers in the hostile twin as well. */
#include "spec/defaults.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static tina_type types[3];
static tina_shard_spec shards[2];
static tina_system_spec spec;
static tina__limits limits;

static int rebuild(void **state)
{
    (void)state;
    memset(types, 0, sizeof types);
    memset(shards, 0, sizeof shards);
    spec = (tina_system_spec){.types = types, .type_count = 3};
    return 0;
}

static void set_slots(uint32_t a, uint32_t b, uint32_t c)
{
    types[0].slot_count = a;
    types[1].slot_count = b;
    types[2].slot_count = c;
}

static const tina__limits *derived(size_t shard_count)
{
    tina__limits_of(&spec, 0, shard_count, &limits);
    return &limits;
}

static void slots_are_summed_over_the_types(void **state)
{
    (void)state;
    set_slots(10, 0, 500);
    assert_int_equal(tina__limits_slots(&spec, 0, 0), 10);
    assert_int_equal(tina__limits_slots(&spec, 0, 1), 1);
    assert_int_equal(derived(1)->slot_total, 511);
}

static void slots_of_a_shard_override_the_types(void **state)
{
    (void)state;
    const uint32_t counts[] = {TINA_NONE, 7, 0};
    set_slots(10, 20, 30);
    spec.shards = shards;
    spec.shard_count = 2;
    shards[1].slot_counts = counts;
    assert_int_equal(tina__limits_slots(&spec, 0, 0), 10);
    assert_int_equal(tina__limits_slots(&spec, 1, 0), 0);
    assert_int_equal(tina__limits_slots(&spec, 1, 1), 7);
    assert_int_equal(tina__limits_slots(&spec, 1, 2), 30);
    tina__limits_of(&spec, 1, 2, &limits);
    assert_int_equal(limits.slot_total, 37);
}

static void mailbox_capacity_has_a_default(void **state)
{
    (void)state;
    assert_int_equal(tina__type_mailbox_capacity(&types[0]), 256);
    types[0].mailbox_capacity = 3;
    assert_int_equal(tina__type_mailbox_capacity(&types[0]), 3);
}

static void root_is_the_shards_own_or_the_common_one(void **state)
{
    (void)state;
    assert_ptr_equal(tina__spec_root(&spec, 0), &spec.root);
    assert_ptr_equal(tina__spec_root(&spec, 7), &spec.root);
    spec.shards = shards;
    spec.shard_count = 2;
    assert_ptr_equal(tina__spec_root(&spec, 1), &shards[1].root);
}

static void shard_count_is_that_of_the_spec_or_of_the_cores(void **state)
{
    (void)state;
    assert_int_equal(tina__spec_shard_count(&spec, 6), 6);
    assert_int_equal(tina__spec_shard_count(&spec, 0), 1);
    assert_int_equal(tina__spec_shard_count(&spec, 254), 254);
    assert_int_equal(tina__spec_shard_count(&spec, 255), 254);
    spec.shard_count = 3;
    assert_int_equal(tina__spec_shard_count(&spec, 6), 3);
}

/* Asked of both ends, which must agree. */
static uint32_t capacity_of(const tina_system_spec *of, size_t source, size_t destination, size_t shard_count)
{
    tina__channel_row written, read;
    tina__spec_channel_row(of, source, shard_count, &written);
    tina__spec_channel_row(of, destination, shard_count, &read);
    assert_int_equal(written.out[destination], read.in[source]);
    return read.in[source];
}

static void channel_capacity_is_that_of_the_last_match(void **state)
{
    (void)state;
    const tina_channel_spec channels[] = {
        {.source = -1, .destination = -1, .capacity = 10},
        {.source = 0, .destination = -1, .capacity = 11},
        {.source = -1, .destination = 2, .capacity = 12},
        {.source = 1, .destination = 0, .capacity = 13},
    };
    spec.channels = channels;
    spec.channel_spec_count = 4;
    assert_int_equal(capacity_of(&spec, 2, 0, 3), 10);
    assert_int_equal(capacity_of(&spec, 0, 1, 3), 11);
    assert_int_equal(capacity_of(&spec, 0, 2, 3), 12);
    assert_int_equal(capacity_of(&spec, 1, 0, 3), 13);
}

static void channel_capacity_without_a_match_is_the_default(void **state)
{
    (void)state;
    const tina_channel_spec channels[] = {{.source = 0, .destination = 1, .capacity = 10}};
    spec.channels = channels;
    spec.channel_spec_count = 1;
    spec.channel_capacity = 99;
    assert_int_equal(capacity_of(&spec, 0, 1, 2), 10);
    assert_int_equal(capacity_of(&spec, 1, 0, 2), 99);
    assert_int_equal(derived(2)->channel_capacity, 99);
}

static void numbers_that_are_given_are_taken(void **state)
{
    (void)state;
    spec.message_count = 1;
    spec.channel_capacity = 2;
    spec.inbox_capacity = 3;
    spec.timer_count = 4;
    spec.fd_count = 1048575;
    spec.op_count = 6;
    spec.buffer_count = 7;
    spec.buffer_size = 128;
    spec.transfer_count = 8;
    spec.transfer_size = 9;
    spec.scratch_size = 10;
    spec.stack_size = 16384;
    spec.log_size = 2048;
    spec.timer_resolution_ns = 1000;
    derived(2);
    assert_int_equal(limits.message_count, 1);
    assert_int_equal(limits.channel_capacity, 2);
    assert_int_equal(limits.inbox_capacity, 3);
    assert_int_equal(limits.timer_count, 4);
    assert_int_equal(limits.fd_count, 1048575);
    assert_int_equal(limits.op_count, 6);
    assert_int_equal(limits.buffer_count, 7);
    assert_int_equal(limits.buffer_size, 128);
    assert_int_equal(limits.transfer_count, 8);
    assert_int_equal(limits.transfer_size, 9);
    assert_int_equal(limits.scratch_size, 10);
    assert_int_equal(tina__spec_scratch_size(&spec), 10);
    assert_int_equal(limits.stack_size, 16384);
    assert_int_equal(limits.log_size, 2048);
    assert_int_equal(limits.timer_resolution_ns, 1000);
}

static void numbers_that_are_none_are_zero(void **state)
{
    (void)state;
    spec.timer_count = TINA_NONE;
    spec.fd_count = TINA_NONE;
    spec.transfer_count = TINA_NONE;
    derived(1);
    assert_int_equal(limits.timer_count, 0);
    assert_int_equal(limits.fd_count, 0);
    assert_int_equal(limits.op_count, 0); /* no descriptor needs one */
    assert_int_equal(limits.buffer_count, 0);
    assert_int_equal(limits.transfer_count, 0);
}

static void sizes_are_rounded_up(void **state)
{
    (void)state;
    spec.buffer_size = 65;
    spec.log_size = 1025;
    derived(1);
    assert_int_equal(limits.buffer_size, 128);
    assert_int_equal(limits.log_size, 2048);
    spec.buffer_size = 64;
    spec.log_size = 1u << 30;
    derived(1);
    assert_int_equal(limits.buffer_size, 64);
    assert_int_equal(limits.log_size, 1u << 30);
}

static void sizes_have_defaults(void **state)
{
    (void)state;
    derived(1);
    assert_int_equal(limits.buffer_size, 4096);
    assert_int_equal(limits.transfer_size, 4096);
    assert_int_equal(limits.scratch_size, 65536);
    assert_int_equal(limits.stack_size, 262144);
    assert_int_equal(limits.timer_resolution_ns, 1000000);
}

static void children_static_and_dynamic_are_counted(void **state)
{
    (void)state;
    set_slots(1000, 1000, 8000);
    const tina_child children[3] = {{0}};
    spec.root = (tina_group_spec){.children = children, .child_count = 3};
    derived(1);
    assert_int_equal(limits.group_count, 1);
    assert_int_equal(limits.child_count, 3);
    assert_int_equal(tina__group_dynamic_max(&spec.root, limits.slot_total), 10000);
    assert_int_equal(limits.restartable_count, 4096);

    spec.root.dynamic_max = 9000;
    derived(1);
    assert_int_equal(tina__group_dynamic_max(&spec.root, limits.slot_total), 9000);
    assert_int_equal(limits.restartable_count, 9000);

    spec.root.dynamic_max = 20000; /* more than can be alive */
    derived(1);
    assert_int_equal(tina__group_dynamic_max(&spec.root, limits.slot_total), 10000);
    assert_int_equal(limits.restartable_count, 10000);

    spec.root.dynamic_max = TINA_NONE;
    derived(1);
    assert_int_equal(tina__group_dynamic_max(&spec.root, limits.slot_total), 0);
    assert_int_equal(limits.restartable_count, 0);

    spec.root.dynamic_max = 0;
    set_slots(5, 6, 7);
    derived(1);
    assert_int_equal(limits.restartable_count, 18);
}

static void groups_without_dynamic_children_have_none_by_default(void **state)
{
    (void)state;
    spec.root = (tina_group_spec){.strategy = TINA_ONE_FOR_ALL};
    derived(1);
    assert_int_equal(tina__group_dynamic_max(&spec.root, limits.slot_total), 0);
    assert_int_equal(limits.restartable_count, 0);
    spec.root.strategy = TINA_REST_FOR_ONE;
    assert_int_equal(tina__group_dynamic_max(&spec.root, limits.slot_total), 0);
}

static void groups_are_summed_over_the_tree(void **state)
{
    (void)state;
    const tina_child leaves[2] = {{.name = 70}, {.name = 3}};
    const tina_group_spec inner = {.children = leaves, .child_count = 2, .name = 9, .restart_max = 10, .dynamic_max = 5};
    const tina_child middle[2] = {{.group = &inner, .name = 5000}, {.name = 8}}; /* a group's name stands in its spec */
    const tina_group_spec outer = {.children = middle, .child_count = 2, .strategy = TINA_REST_FOR_ONE};
    const tina_child children[3] = {{.name = 1}, {.group = &outer}, {.group = &inner}};
    set_slots(100, 100, 9000);
    spec.root = (tina_group_spec){.children = children, .child_count = 3, .restart_max = TINA_NONE};
    derived(1);
    assert_int_equal(limits.group_count, 4);
    assert_int_equal(limits.child_count, 3 + 2 + 2 + 2);
    assert_int_equal(limits.budget_entries, 1 + 4 + 11 + 11);
    assert_int_equal(limits.name_count, 71);
    assert_int_equal(limits.restartable_count, 4096 + 5 + 5);
}

static void numbers_of_the_largest_spec_stay_legal(void **state)
{
    (void)state;
    static tina_type all[TINA_TYPES_MAX];
    for (size_t i = 0; i < TINA_TYPES_MAX; i++)
        all[i] = (tina_type){.slot_count = TINA_SLOTS_MAX, .mailbox_capacity = 65535};
    spec.types = all;
    spec.type_count = TINA_TYPES_MAX;
    spec.fd_count = TINA__COUNT_MAX;
    derived(TINA_SHARDS_MAX);
    assert_in_range(limits.message_count, 1, TINA__COUNT_MAX);
    assert_in_range(limits.timer_count, 1, TINA__COUNT_MAX);
    assert_in_range(limits.op_count, 1, TINA__COUNT_MAX);
    assert_in_range(limits.buffer_count, 2, TINA__COUNT_MAX);
    assert_in_range(limits.transfer_count, 1, TINA__COUNT_MAX);
    assert_in_range(limits.channel_capacity, 1, 1 << 19);
}

#ifdef TINA_HOSTILE

static void numbers_in_the_hostile_twin_are_small(void **state)
{
    (void)state;
    set_slots(1000, 1000, 1000);
    derived(2);
    assert_int_equal(limits.message_count, 64);
    assert_int_equal(limits.channel_capacity, 2);
    assert_int_equal(limits.inbox_capacity, 4);
    assert_int_equal(limits.timer_count, 3004);
    assert_int_equal(limits.fd_count, 3016);
    assert_int_equal(limits.op_count, 3016);
    assert_int_equal(limits.buffer_count, 4);
    assert_int_equal(limits.transfer_count, 2);
    assert_int_equal(limits.log_size, 1024);
}

#else

static void messages_follow_the_mailboxes(void **state)
{
    (void)state;
    set_slots(10, 20, 1);
    types[0].mailbox_capacity = 5;
    types[1].mailbox_capacity = 7;
    assert_int_equal(derived(1)->message_count, 10 * 5 + 20 * 7 + 256);
    set_slots(1, 1, 1);
    types[2].mailbox_capacity = 1;
    assert_int_equal(derived(1)->message_count, 64);
    types[2].mailbox_capacity = 65;
    assert_int_equal(derived(1)->message_count, 77);
    set_slots(1048575, 1048575, 1048575);
    types[2].mailbox_capacity = 65535;
    assert_int_equal(derived(1)->message_count, 65536);
}

static void channels_share_their_memory_among_the_shards(void **state)
{
    (void)state;
    assert_int_equal(derived(1)->channel_capacity, 1024);
    assert_int_equal(derived(16)->channel_capacity, 1024);
    assert_int_equal(derived(32)->channel_capacity, 512);
    assert_int_equal(derived(254)->channel_capacity, 64);
}

static void pools_follow_the_slots(void **state)
{
    (void)state;
    set_slots(100, 1, 1);
    derived(1);
    assert_int_equal(limits.inbox_capacity, 1024);
    assert_int_equal(limits.timer_count, 166);
    assert_int_equal(limits.fd_count, 166);
    assert_int_equal(limits.op_count, 332);
    assert_int_equal(limits.buffer_count, 166);
    assert_int_equal(limits.transfer_count, 102);
    assert_int_equal(limits.log_size, 65536);
}

static void pools_of_few_slots_have_their_least(void **state)
{
    (void)state;
    set_slots(1, 1, 1);
    derived(1);
    assert_int_equal(limits.timer_count, 67);
    assert_int_equal(limits.buffer_count, 67);
    assert_int_equal(limits.transfer_count, 16);
    spec.fd_count = 5;
    derived(1);
    assert_int_equal(limits.op_count, 10);
    assert_int_equal(limits.buffer_count, 64);
}

static void pools_of_many_slots_have_their_most(void **state)
{
    (void)state;
    set_slots(1048575, 1, 1);
    derived(1);
    assert_int_equal(limits.timer_count, 65536);
    assert_int_equal(limits.fd_count, 65536);
    assert_int_equal(limits.watch_count, 8192);
    assert_int_equal(limits.op_count, 65536 + 8192);
    assert_int_equal(limits.buffer_count, 1024);
    assert_int_equal(limits.transfer_count, 256);
    spec.fd_count = 1048575;
    assert_int_equal(derived(1)->op_count, 1048575);
}

#endif

#define TEST(name) cmocka_unit_test_setup(name, rebuild)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(slots_are_summed_over_the_types),
        TEST(slots_of_a_shard_override_the_types),
        TEST(mailbox_capacity_has_a_default),
        TEST(root_is_the_shards_own_or_the_common_one),
        TEST(shard_count_is_that_of_the_spec_or_of_the_cores),
        TEST(channel_capacity_is_that_of_the_last_match),
        TEST(channel_capacity_without_a_match_is_the_default),
        TEST(numbers_that_are_given_are_taken),
        TEST(numbers_that_are_none_are_zero),
        TEST(sizes_are_rounded_up),
        TEST(sizes_have_defaults),
        TEST(children_static_and_dynamic_are_counted),
        TEST(groups_without_dynamic_children_have_none_by_default),
        TEST(groups_are_summed_over_the_tree),
        TEST(numbers_of_the_largest_spec_stay_legal),
#ifdef TINA_HOSTILE
        TEST(numbers_in_the_hostile_twin_are_small),
#else
        TEST(messages_follow_the_mailboxes),
        TEST(channels_share_their_memory_among_the_shards),
        TEST(pools_follow_the_slots),
        TEST(pools_of_few_slots_have_their_least),
        TEST(pools_of_many_slots_have_their_most),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
