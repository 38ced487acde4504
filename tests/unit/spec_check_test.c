/* Each rule of a spec: what it refuses, in which words, and the last value that it lets pass. */
#include "spec/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

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

/* A spec that is right, rebuilt before each test, which then makes one thing wrong. */
static tina_type types[TINA_TYPES_MAX + 1];
static tina_child children[4];
static tina_shard_spec shards[2];
static tina_channel_spec channels[2];
static uint16_t cpus[2];
static uint8_t args[TINA_ARGS_MAX + 1];
static tina_system_spec spec;

static int rebuild(void **state)
{
    (void)state;
    for (size_t i = 0; i < TINA_TYPES_MAX + 1; i++)
        types[i] = (tina_type){.name = "type", .init = init, .handler = handle, .size = 8, .slot_count = 4};
    memset(children, 0, sizeof children);
    memset(shards, 0, sizeof shards);
    for (size_t i = 0; i < 2; i++) {
        channels[i] = (tina_channel_spec){.source = -1, .destination = -1, .capacity = 8};
        cpus[i] = 0;
    }
    spec = (tina_system_spec){.types = types, .type_count = 3, .root = {.children = children, .child_count = 4}};
    return 0;
}

static void use_shards(void)
{
    spec.shards = shards;
    spec.shard_count = 2;
    shards[0].root = spec.root;
    shards[1].root = spec.root;
}

static void accepts(void)
{
    tina_error error = {0};
    tina_status status = tina__spec_check(&spec, &error);
    assert_string_equal(error.message, "");
    assert_int_equal(status, TINA_OK);
}

static void refuses(const char *path, const char *message)
{
    tina_error error = {.os_error = 7};
    assert_int_equal(tina__spec_check(&spec, &error), TINA_INVALID);
    assert_int_equal(error.status, TINA_INVALID);
    assert_int_equal(error.os_error, 0);
    assert_string_equal(error.path, path);
    assert_string_equal(error.message, message);
    assert_int_equal(tina__spec_check(&spec, NULL), TINA_INVALID);
}

/* ---- The whole ---- */

static void spec_check_of_a_right_spec_accepts(void **state)
{
    (void)state;
    accepts();
    use_shards();
    accepts();
    assert_int_equal(tina__spec_check(&spec, NULL), TINA_OK);
}

static void spec_check_of_null_refuses(void **state)
{
    (void)state;
    tina_error error;
    assert_int_equal(tina__spec_check(NULL, &error), TINA_INVALID);
    assert_int_equal(error.status, TINA_INVALID);
    assert_string_equal(error.path, "spec");
    assert_string_equal(error.message, "must not be NULL");
    assert_int_equal(tina__spec_check(NULL, NULL), TINA_INVALID);
}

static void spec_check_of_a_zeroed_spec_refuses(void **state)
{
    (void)state;
    memset(&spec, 0, sizeof spec);
    refuses("types", "must not be NULL");
}

/* ---- Types ---- */

static void types_null_is_refused(void **state)
{
    (void)state;
    spec.types = NULL;
    refuses("types", "must not be NULL");
}

static void types_count_out_of_range_is_refused(void **state)
{
    (void)state;
    spec.type_count = 0;
    refuses("type_count", "must be 1 to 254, not 0");
    spec.type_count = 255;
    refuses("type_count", "must be 1 to 254, not 255");
    spec.type_count = 254;
    accepts();
    spec.type_count = 1;
    accepts();
}

static void type_name_missing_is_refused(void **state)
{
    (void)state;
    types[2].name = NULL;
    refuses("types[2].name", "must not be NULL");
    types[2].name = "";
    refuses("types[2].name", "must not be empty");
}

static void type_name_too_long_is_refused(void **state)
{
    (void)state;
    char name[65];
    memset(name, 'n', sizeof name);
    name[64] = '\0';
    types[1].name = name;
    refuses("types[1].name", "must be at most 63 bytes long");
    name[63] = '\0';
    accepts();
}

static void type_functions_missing_are_refused(void **state)
{
    (void)state;
    types[0].init = NULL;
    refuses("types[0].init", "must not be NULL");
    types[0].init = init;
    types[1].handler = NULL;
    refuses("types[1].handler", "must not be NULL");
}

static void type_size_out_of_range_is_refused(void **state)
{
    (void)state;
    types[1].size = 0;
    refuses("types[1].size", "must be 1 to 16777216, not 0");
    types[1].size = (16 << 20) + 1;
    refuses("types[1].size", "must be 1 to 16777216, not 16777217");
    types[1].size = 16 << 20;
    accepts();
    types[1].size = 1;
    accepts();
}

static void type_slot_count_too_large_is_refused(void **state)
{
    (void)state;
    types[2].slot_count = 2000000;
    refuses("types[2].slot_count", "must be at most 1048575, not 2000000");
    types[2].slot_count = TINA_NONE;
    refuses("types[2].slot_count", "must be at most 1048575, not 4294967295");
    types[2].slot_count = 1048575;
    accepts();
    types[2].slot_count = 0;
    accepts();
}

static void type_mailbox_capacity_too_large_is_refused(void **state)
{
    (void)state;
    types[0].mailbox_capacity = 65536;
    refuses("types[0].mailbox_capacity", "must be at most 65535, not 65536");
    types[0].mailbox_capacity = 65535;
    accepts();
}

static void type_working_size_too_large_is_refused(void **state)
{
    (void)state;
    types[0].working_size = (1u << 30) + 1;
    refuses("types[0].working_size", "must be at most 1073741824, not 1073741825");
    types[0].working_size = 1u << 30;
    accepts();
}

static void type_scratch_max_over_the_scratch_is_refused(void **state)
{
    (void)state;
    types[1].scratch_max = 65537;
    refuses("types[1].scratch_max", "must be at most 65536, the scratch_size, not 65537");
    types[1].scratch_max = 65536;
    accepts();
    spec.scratch_size = 100;
    types[1].scratch_max = 101;
    refuses("types[1].scratch_max", "must be at most 100, the scratch_size, not 101");
    types[1].scratch_max = 100;
    accepts();
}

static void type_containment_unknown_is_refused(void **state)
{
    (void)state;
    types[1].containment = TINA_CONTAIN_PROCESS + 1;
    refuses("types[1].containment", "must be at most 2, not 3");
    types[1].containment = TINA_CONTAIN_PROCESS;
    accepts();
}

/* ---- Numbers ---- */

typedef struct number_case {
    uint32_t *field;
    const char *path;
    uint32_t least, most;
    bool none;
    const char *too_small; /* NULL: nothing is, as 0 is the default */
    const char *too_large;
} number_case;

static const number_case number_cases[] = {
    {&spec.message_count, "message_count", 1, 1048575, false, NULL, "must be at most 1048575, not 1048576"},
    {&spec.channel_capacity, "channel_capacity", 1, 524288, false, NULL, "must be at most 524288, not 524289"},
    {&spec.inbox_capacity, "inbox_capacity", 1, 1048576, false, NULL, "must be at most 1048576, not 1048577"},
    {&spec.timer_count, "timer_count", 1, 1048575, true, NULL, "must be at most 1048575 or TINA_NONE, not 1048576"},
    {&spec.watch_count, "watch_count", 1, 1048575, true, NULL, "must be at most 1048575 or TINA_NONE, not 1048576"},
    {&spec.fd_count, "fd_count", 1, 1048575, true, NULL, "must be at most 1048575 or TINA_NONE, not 1048576"},
    {&spec.op_count, "op_count", 1, 1048575, true, NULL, "must be at most 1048575 or TINA_NONE, not 1048576"},
    {&spec.buffer_count, "buffer_count", 2, 1048575, true, "must be 0 or 2 to 1048575, not 1",
     "must be at most 1048575 or TINA_NONE, not 1048576"},
    {&spec.buffer_size, "buffer_size", 64, 16777216, false, "must be 0 or 64 to 16777216, not 63",
     "must be 0 or 64 to 16777216, not 16777217"},
    {&spec.transfer_count, "transfer_count", 1, 1048575, true, NULL, "must be at most 1048575 or TINA_NONE, not 1048576"},
    {&spec.transfer_size, "transfer_size", 1, 1073741824, false, NULL, "must be at most 1073741824, not 1073741825"},
    {&spec.scratch_size, "scratch_size", 1, 1073741824, false, NULL, "must be at most 1073741824, not 1073741825"},
    {&spec.stack_size, "stack_size", 16384, 1073741824, false, "must be 0 or 16384 to 1073741824, not 16383",
     "must be 0 or 16384 to 1073741824, not 1073741825"},
    {&spec.log_size, "log_size", 1024, 1073741824, false, "must be 0 or 1024 to 1073741824, not 1023",
     "must be 0 or 1024 to 1073741824, not 1073741825"},
    {&spec.trace_count, "trace_count", 16, 16777216, false, "must be 0 or 16 to 16777216, not 15",
     "must be 0 or 16 to 16777216, not 16777217"},
    {&spec.watchdog_stalls, "watchdog_stalls", 1, 1000000, true, NULL, "must be at most 1000000 or TINA_NONE, not 1000001"},
    {&spec.memory_permille, "memory_permille", 1, 1000, false, NULL, "must be at most 1000, not 1001"},
};

#define NUMBER_CASES (sizeof number_cases / sizeof number_cases[0])

static void number_at_its_bounds_is_accepted(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUMBER_CASES; i++) {
        *number_cases[i].field = number_cases[i].least;
        accepts();
        *number_cases[i].field = number_cases[i].most;
        accepts();
        *number_cases[i].field = 0;
    }
}

static void number_past_its_bounds_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUMBER_CASES; i++) {
        const number_case *number = &number_cases[i];
        *number->field = number->most + 1;
        refuses(number->path, number->too_large);
        *number->field = number->least - 1;
        if (number->too_small != NULL)
            refuses(number->path, number->too_small);
        else
            accepts();
        *number->field = 0;
    }
}

static void number_none_is_accepted_where_there_may_be_none(void **state)
{
    (void)state;
    spec.fd_count = TINA_NONE; /* without which operations and buffers are needed */
    for (size_t i = 0; i < NUMBER_CASES; i++) {
        tina_error error;
        uint32_t before = *number_cases[i].field;
        *number_cases[i].field = TINA_NONE;
        assert_int_equal(tina__spec_check(&spec, &error), number_cases[i].none ? TINA_OK : TINA_INVALID);
        if (!number_cases[i].none)
            assert_string_equal(error.path, number_cases[i].path);
        *number_cases[i].field = before;
    }
}

static void descriptors_without_operations_or_buffers_are_refused(void **state)
{
    (void)state;
    spec.op_count = TINA_NONE;
    refuses("op_count", "must not be TINA_NONE where fd_count is not");
    spec.op_count = 0;
    spec.buffer_count = TINA_NONE;
    refuses("buffer_count", "must not be TINA_NONE where fd_count is not");
    spec.fd_count = TINA_NONE;
    accepts();
}

static void timer_resolution_out_of_range_is_refused(void **state)
{
    (void)state;
    spec.timer_resolution_ns = 999;
    refuses("timer_resolution_ns", "must be 0 or 1000 to 1000000000, not 999");
    spec.timer_resolution_ns = 1000000001;
    refuses("timer_resolution_ns", "must be 0 or 1000 to 1000000000, not 1000000001");
    spec.timer_resolution_ns = 1000;
    accepts();
    spec.timer_resolution_ns = 1000000000;
    accepts();
}

static void watchdog_interval_out_of_range_is_refused(void **state)
{
    (void)state;
    spec.watchdog_interval_ns = 999999;
    refuses("watchdog_interval_ns", "must be 0, TINA_NONE_NS or 1000000 to 3600000000000, not 999999");
    spec.watchdog_interval_ns = 3600000000001;
    refuses("watchdog_interval_ns", "must be 0, TINA_NONE_NS or 1000000 to 3600000000000, not 3600000000001");
    spec.watchdog_interval_ns = 1000000;
    accepts();
    spec.watchdog_interval_ns = 3600000000000;
    accepts();
    spec.watchdog_interval_ns = TINA_NONE_NS;
    accepts();
}

static void suspects_unknown_are_refused(void **state)
{
    (void)state;
    spec.on_abort = TINA_SUSPECT_PROCESS + 1;
    refuses("on_abort", "must be at most 3, not 4");
    spec.on_abort = TINA_SUSPECT_PROCESS;
    accepts();
    spec.on_foreign_fault = TINA_SUSPECT_PROCESS + 1;
    refuses("on_foreign_fault", "must be at most 3, not 4");
    spec.on_foreign_fault = TINA_SUSPECT_PROCESS;
    accepts();
}

static void backend_unknown_is_refused(void **state)
{
    (void)state;
    spec.backend = TINA_BACKEND_SIM;
    refuses("backend", "must be at most 4, not 5");
    spec.backend = TINA_BACKEND_IOCP; /* right in itself: whether it is there, boot says */
    accepts();
}

static void signals_unknown_is_refused(void **state)
{
    (void)state;
    spec.signals = TINA_SIGNALS_NONE + 1;
    refuses("signals", "must be at most 3, not 4");
    spec.signals = TINA_SIGNALS_NONE;
    accepts();
}

/* ---- Shards ---- */

static void shard_count_too_large_is_refused(void **state)
{
    (void)state;
    spec.shard_count = 255;
    refuses("shard_count", "must be at most 254, not 255");
    spec.shard_count = 254;
    accepts();
}

static void shard_count_missing_where_shards_are_given_is_refused(void **state)
{
    (void)state;
    use_shards();
    spec.shard_count = 0;
    refuses("shard_count", "must be 1 to 254 where shards is not NULL, not 0");
    spec.shard_count = 1;
    accepts();
}

static void slot_counts_too_large_are_refused(void **state)
{
    (void)state;
    uint32_t counts[] = {4, 2000000, 0};
    use_shards();
    shards[1].slot_counts = counts;
    refuses("shards[1].slot_counts[1]", "must be at most 1048575 or TINA_NONE, not 2000000");
    counts[1] = 1048575;
    accepts();
    counts[1] = TINA_NONE;
    accepts();
}

static void slots_of_a_shard_too_many_together_are_refused(void **state)
{
    (void)state;
    spec.type_count = 17;
    for (size_t i = 0; i < 16; i++)
        types[i].slot_count = 1048575;
    types[16].slot_count = 16;
    refuses("types", "must make at most 16777215 slots together, not 16777216");
    types[16].slot_count = 15;
    accepts();

    uint32_t counts[17] = {0};
    use_shards();
    shards[1].slot_counts = counts;
    counts[16] = 16;
    refuses("shards[1].slot_counts", "must make at most 16777215 slots together, not 16777216");
    counts[16] = 15;
    accepts();
    types[16].slot_count = 16;
    refuses("types", "must make at most 16777215 slots together, not 16777216");
}

/* ---- Groups ---- */

static void group_strategy_unknown_is_refused(void **state)
{
    (void)state;
    spec.root.strategy = TINA_REST_FOR_ONE + 1;
    refuses("root.strategy", "must be at most 2, not 3");
    spec.root.strategy = TINA_REST_FOR_ONE;
    accepts();
}

static void group_name_reserved_is_refused(void **state)
{
    (void)state;
    spec.root.name = TINA_GROUP_NONE;
    refuses("root.name", "must be at most 65533, not 65535");
    spec.root.name = TINA_GROUP_SELF;
    refuses("root.name", "must be at most 65533, not 65534");
    spec.root.name = TINA_GROUP_SELF - 1;
    accepts();
}

static void group_dynamic_max_too_large_is_refused(void **state)
{
    (void)state;
    spec.root.dynamic_max = 1 << 24;
    refuses("root.dynamic_max", "must be at most 16777215 or TINA_NONE, not 16777216");
    spec.root.dynamic_max = (1 << 24) - 1;
    accepts();
    spec.root.dynamic_max = TINA_NONE;
    accepts();
}

static void group_dynamic_max_where_none_can_be_is_refused(void **state)
{
    (void)state;
    for (uint8_t strategy = TINA_ONE_FOR_ALL; strategy <= TINA_REST_FOR_ONE; strategy++) {
        spec.root.strategy = strategy;
        spec.root.dynamic_max = 1;
        refuses("root.dynamic_max", "must be 0 or TINA_NONE where strategy is not TINA_ONE_FOR_ONE, not 1");
        spec.root.dynamic_max = TINA_NONE;
        accepts();
        spec.root.dynamic_max = 0;
        accepts();
    }
}

static void group_backoff_out_of_range_is_refused(void **state)
{
    (void)state;
    spec.root.backoff_ns = 86400000000001;
    refuses("root.backoff_ns", "must be at most 86400000000000, not 86400000000001");
    spec.root.backoff_ns = 86400000000000;
    accepts();
    spec.root.backoff_max_ns = 86400000000001;
    refuses("root.backoff_max_ns", "must be at most 86400000000000, not 86400000000001");
    spec.root.backoff_ns = 100;
    spec.root.backoff_max_ns = 99;
    refuses("root.backoff_max_ns", "must be 0 or at least backoff_ns, 100, not 99");
    spec.root.backoff_max_ns = 100;
    accepts();
    spec.root.backoff_ns = 0;
    accepts();
}

/* ---- Groups in one another ---- */

static tina_child nested_children[TINA_GROUP_DEPTH_MAX][2];
static tina_group_spec nested[TINA_GROUP_DEPTH_MAX];

/* In the root's last child: each with an isolate, and, but for the last one, a group. */
static void nest(size_t count)
{
    children[3] = (tina_child){.group = &nested[0]};
    types[1].slot_count = TINA_GROUP_DEPTH_MAX;
    for (size_t i = 0; i < count; i++) {
        nested[i] = (tina_group_spec){.children = nested_children[i], .child_count = 2};
        nested_children[i][0] = (tina_child){.type = 1};
        nested_children[i][1] = (tina_child){.group = &nested[i + 1]};
    }
    nested[count - 1].child_count = 1;
}

static void group_in_a_group_is_checked(void **state)
{
    (void)state;
    nest(2);
    accepts();
    nested[1].strategy = 3;
    refuses("root.children[3].group.children[1].group.strategy", "must be at most 2, not 3");
    nested[1].strategy = 0;
    nested_children[0][0].type = 5;
    refuses("root.children[3].group.children[0].type", "must be at most 2, not 5");
    use_shards();
    refuses("shards[0].root.children[3].group.children[0].type", "must be at most 2, not 5");
    nested_children[0][0].type = 1;
    nested[0].children = NULL;
    refuses("shards[0].root.children[3].group.children", "must not be NULL where child_count is 2");
}

static void group_in_a_group_has_no_use_for_what_an_isolate_has(void **state)
{
    (void)state;
    nest(1);
    children[3].type = 250;
    children[3].args_size = 1000;
    children[0].name = 7;
    children[3].name = 7;
    accepts();
    children[3].restart = TINA_TEMPORARY + 1;
    refuses("root.children[3].restart", "must be at most 3, not 4");
}

static void groups_too_deep_are_refused(void **state)
{
    (void)state;
    nest(TINA_GROUP_DEPTH_MAX - 1);
    accepts();
    nest(TINA_GROUP_DEPTH_MAX);
    refuses("....group.children[1].group.children[1].group.children[1].group",
            "must be NULL: groups are at most 8 in one another");
}

static void group_in_itself_is_refused(void **state)
{
    (void)state;
    nest(1);
    nested_children[0][0] = (tina_child){.group = &nested[0]};
    refuses("....group.children[0].group.children[0].group.children[0].group",
            "must be NULL: groups are at most 8 in one another");
}

/* Eight levels of groups that are each in the next one many times over: found out, not walked. */
static void groups_with_too_many_children_together_are_refused(void **state)
{
    (void)state;
    enum { WIDTH = 60 };
    static tina_child wide[TINA_GROUP_DEPTH_MAX][WIDTH];
    for (size_t i = 0; i < TINA_GROUP_DEPTH_MAX - 1; i++) {
        nested[i] = (tina_group_spec){.children = wide[i], .child_count = WIDTH};
        for (size_t j = 0; j < WIDTH; j++)
            wide[i][j] = (tina_child){.group = i < TINA_GROUP_DEPTH_MAX - 2 ? &nested[i + 1] : NULL, .type = 2};
    }
    types[2].slot_count = TINA_SLOTS_MAX;
    children[3] = (tina_child){.group = &nested[0]};
    tina_error error;
    assert_int_equal(tina__spec_check(&spec, &error), TINA_INVALID);
    assert_string_equal(error.message, "must be at most 11, not 60: a shard has at most 65535 children");
}

static void groups_too_many_are_refused(void **state)
{
    (void)state;
    tina_child *many = calloc(32768, sizeof *many);
    assert_non_null(many);
    for (size_t i = 0; i < 32768; i++)
        many[i].group = &nested[0];
    nested[0] = (tina_group_spec){0};
    spec.root.children = many;
    spec.root.child_count = 32768;
    refuses("root.children[32767].group", "must be NULL: a shard has at most 32767 groups besides its root");
    spec.root.child_count = 32767;
    accepts();
    free(many);
}

static void names_of_children_in_different_groups_are_unique(void **state)
{
    (void)state;
    nest(2);
    nested_children[0][0].name = 7;
    nested_children[1][0].name = 7;
    refuses("root.children[3].group.children[1].group.children[0].name",
            "must be unique on its shard: root.children[3].group.children[0] has 7 too");
    nested_children[1][0].name = 8;
    accepts();
}

static void names_of_groups_are_unique(void **state)
{
    (void)state;
    nest(2);
    spec.root.name = 7;
    nested_children[0][0].name = 7; /* a child's is something else */
    nested[1].name = 8;
    accepts();
    nested[1].name = 7;
    refuses("root.children[3].group.children[1].group.name", "must be unique on its shard: another group has 7 too");
}

static void children_of_all_groups_share_the_slots(void **state)
{
    (void)state;
    nest(2);
    types[1].slot_count = 2;
    accepts();
    types[1].slot_count = 1;
    refuses("root.children[3].group.children[1].group.children[0].type",
            "must not be 1 again: raise that type's slot_count, which is 1 on this shard");
}

/* ---- Children ---- */

static void children_null_is_refused(void **state)
{
    (void)state;
    spec.root.children = NULL;
    refuses("root.children", "must not be NULL where child_count is 4");
    spec.root.child_count = 0;
    accepts();
}

static void children_too_many_are_refused(void **state)
{
    (void)state;
    tina_child *many = calloc(65536, sizeof *many);
    assert_non_null(many);
    for (size_t i = 0; i < 65536; i++)
        many[i].name = (uint16_t)(65535 - i); /* unique, the last has none */
    types[0].slot_count = 65536;
    spec.root.children = many;
    spec.root.child_count = 65536;
    refuses("root.child_count", "must be at most 65535, not 65536");
    spec.root.child_count = 65535;
    accepts();
    many[65534].name = many[0].name;
    refuses("root.children[65534].name", "must be unique on its shard: root.children[0] has 65535 too");
    free(many);
}

static void child_type_unknown_is_refused(void **state)
{
    (void)state;
    children[1].type = 3;
    refuses("root.children[1].type", "must be at most 2, not 3");
    children[1].type = 2;
    accepts();
}

static void child_args_too_large_are_refused(void **state)
{
    (void)state;
    use_shards();
    tina_child own[] = {{.args = args, .args_size = TINA_ARGS_MAX + 1}};
    shards[1].root = (tina_group_spec){.children = own, .child_count = 1};
    refuses("shards[1].root.children[0].args_size", "must be at most 64, not 65");
    own[0].args_size = TINA_ARGS_MAX;
    accepts();
}

static void child_args_missing_are_refused(void **state)
{
    (void)state;
    children[3].args_size = 5;
    refuses("root.children[3].args", "must not be NULL where args_size is 5");
    children[3].args = args;
    accepts();
}

static void child_restart_unknown_is_refused(void **state)
{
    (void)state;
    children[2].restart = TINA_TEMPORARY + 1;
    refuses("root.children[2].restart", "must be at most 3, not 4");
    children[2].restart = TINA_TEMPORARY;
    accepts();
}

static void child_name_taken_is_refused(void **state)
{
    (void)state;
    children[0].name = 65535;
    children[1].name = 7;
    children[3].name = 7;
    refuses("root.children[3].name", "must be unique on its shard: root.children[1] has 7 too");
    children[3].name = 6;
    accepts();
    use_shards(); /* each of which has names of its own */
    accepts();
}

static void children_more_than_slots_are_refused(void **state)
{
    (void)state;
    types[0].slot_count = 3;
    refuses("root.children[3].type", "must not be 0 again: raise that type's slot_count, which is 3 on this shard");
    children[3].type = 1;
    accepts();
    types[0].slot_count = 0; /* one */
    refuses("root.children[1].type", "must not be 0 again: raise that type's slot_count, which is 1 on this shard");
}

static void children_of_a_type_without_slots_on_their_shard_are_refused(void **state)
{
    (void)state;
    uint32_t counts[] = {4, TINA_NONE, 4};
    use_shards();
    shards[1].slot_counts = counts;
    accepts();
    tina_child own[] = {{.type = 0}, {.type = 1}};
    shards[1].root = (tina_group_spec){.children = own, .child_count = 2};
    refuses("shards[1].root.children[1].type", "must not be 1: that type has no slots on this shard");
    counts[1] = 1;
    accepts();
}

static void root_is_not_looked_at_where_there_are_shards(void **state)
{
    (void)state;
    use_shards();
    spec.root = (tina_group_spec){.strategy = 9, .child_count = 9};
    accepts();
}

/* ---- Channels and cores ---- */

static void channels_null_is_refused(void **state)
{
    (void)state;
    spec.channel_spec_count = 2;
    refuses("channels", "must not be NULL where channel_spec_count is 2");
    spec.channels = channels;
    accepts();
}

static void channels_too_many_are_refused(void **state)
{
    (void)state;
    spec.channel_spec_count = 65536;
    refuses("channel_spec_count", "must be at most 65535, not 65536");
}

static void channel_end_that_is_no_shard_is_refused(void **state)
{
    (void)state;
    spec.channels = channels;
    spec.channel_spec_count = 2;
    spec.shard_count = 3;
    channels[1].source = 3;
    refuses("channels[1].source", "must be -1 to 2, not 3");
    channels[1].source = -2;
    refuses("channels[1].source", "must be -1 to 2, not -2");
    channels[1].source = 2;
    accepts();
    channels[0].destination = 3;
    refuses("channels[0].destination", "must be -1 to 2, not 3");
    channels[0].destination = 2;
    accepts();
}

static void channel_end_where_the_machine_decides_is_any_shard(void **state)
{
    (void)state;
    spec.channels = channels;
    spec.channel_spec_count = 2;
    channels[0].source = 254;
    refuses("channels[0].source", "must be -1 to 253, not 254");
    channels[0].source = 253;
    accepts();
}

static void channel_capacity_out_of_range_is_refused(void **state)
{
    (void)state;
    spec.channels = channels;
    spec.channel_spec_count = 2;
    channels[1].capacity = 0;
    refuses("channels[1].capacity", "must be 1 to 524288, not 0");
    channels[1].capacity = 524289;
    refuses("channels[1].capacity", "must be 1 to 524288, not 524289");
    channels[1].capacity = 524288;
    accepts();
    channels[1].capacity = 1;
    accepts();
}

static void cpus_null_is_refused(void **state)
{
    (void)state;
    spec.cpu_count = 2;
    refuses("cpus", "must not be NULL where cpu_count is 2");
    spec.cpus = cpus;
    accepts();
}

static void cpus_too_many_are_refused(void **state)
{
    (void)state;
    spec.cpus = cpus;
    spec.cpu_count = 1025;
    refuses("cpu_count", "must be at most 1024, not 1025");
}

static void cpu_too_large_is_refused(void **state)
{
    (void)state;
    spec.cpus = cpus;
    spec.cpu_count = 2;
    cpus[1] = 1024;
    refuses("cpus[1]", "must be at most 1023, not 1024");
    cpus[1] = 1023;
    accepts();
}

#define TEST(name) cmocka_unit_test_setup(name, rebuild)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(spec_check_of_a_right_spec_accepts),
        TEST(spec_check_of_null_refuses),
        TEST(spec_check_of_a_zeroed_spec_refuses),
        TEST(types_null_is_refused),
        TEST(types_count_out_of_range_is_refused),
        TEST(type_name_missing_is_refused),
        TEST(type_name_too_long_is_refused),
        TEST(type_functions_missing_are_refused),
        TEST(type_size_out_of_range_is_refused),
        TEST(type_slot_count_too_large_is_refused),
        TEST(type_mailbox_capacity_too_large_is_refused),
        TEST(type_working_size_too_large_is_refused),
        TEST(type_scratch_max_over_the_scratch_is_refused),
        TEST(type_containment_unknown_is_refused),
        TEST(number_at_its_bounds_is_accepted),
        TEST(number_past_its_bounds_is_refused),
        TEST(number_none_is_accepted_where_there_may_be_none),
        TEST(descriptors_without_operations_or_buffers_are_refused),
        TEST(timer_resolution_out_of_range_is_refused),
        TEST(watchdog_interval_out_of_range_is_refused),
        TEST(suspects_unknown_are_refused),
        TEST(backend_unknown_is_refused),
        TEST(signals_unknown_is_refused),
        TEST(shard_count_too_large_is_refused),
        TEST(shard_count_missing_where_shards_are_given_is_refused),
        TEST(slot_counts_too_large_are_refused),
        TEST(slots_of_a_shard_too_many_together_are_refused),
        TEST(group_strategy_unknown_is_refused),
        TEST(group_name_reserved_is_refused),
        TEST(group_dynamic_max_too_large_is_refused),
        TEST(group_dynamic_max_where_none_can_be_is_refused),
        TEST(group_backoff_out_of_range_is_refused),
        TEST(group_in_a_group_is_checked),
        TEST(group_in_a_group_has_no_use_for_what_an_isolate_has),
        TEST(groups_too_deep_are_refused),
        TEST(group_in_itself_is_refused),
        TEST(groups_with_too_many_children_together_are_refused),
        TEST(groups_too_many_are_refused),
        TEST(names_of_children_in_different_groups_are_unique),
        TEST(names_of_groups_are_unique),
        TEST(children_of_all_groups_share_the_slots),
        TEST(children_null_is_refused),
        TEST(children_too_many_are_refused),
        TEST(child_type_unknown_is_refused),
        TEST(child_args_too_large_are_refused),
        TEST(child_args_missing_are_refused),
        TEST(child_restart_unknown_is_refused),
        TEST(child_name_taken_is_refused),
        TEST(children_more_than_slots_are_refused),
        TEST(children_of_a_type_without_slots_on_their_shard_are_refused),
        TEST(root_is_not_looked_at_where_there_are_shards),
        TEST(channels_null_is_refused),
        TEST(channels_too_many_are_refused),
        TEST(channel_end_that_is_no_shard_is_refused),
        TEST(channel_end_where_the_machine_decides_is_any_shard),
        TEST(channel_capacity_out_of_range_is_refused),
        TEST(cpus_null_is_refused),
        TEST(cpus_too_many_are_refused),
        TEST(cpu_too_large_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
