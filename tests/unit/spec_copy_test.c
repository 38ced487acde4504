#include "spec/copy.h"

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

static tina_type types[2];
static char names[2][16];
static uint8_t args[2][TINA_ARGS_MAX];
static tina_child children[2][2];
static uint32_t slot_counts[2];
static tina_child inner_children[2][2];
static tina_group_spec groups[2];
static tina_shard_spec shards[2];
static tina_channel_spec channels[2];
static uint16_t cpus[3];
static int user;
static tina_system_spec spec;

static int rebuild(void **state)
{
    (void)state;
    strcpy(names[0], "listener");
    strcpy(names[1], "connection");
    memset(args, 0xA5, sizeof args);
    for (size_t i = 0; i < 2; i++) {
        types[i] = (tina_type){.name = names[i], .init = init, .handler = handle, .size = 24 + i};
        children[0][i] = (tina_child){.args = args[i], .args_size = 1 + i * 62, .type = (uint8_t)i};
        children[0][i].name = (uint16_t)(9 + i);
        children[1][i] = (tina_child){.type = (uint8_t)i};
        slot_counts[i] = 5 + (uint32_t)i;
        shards[i] = (tina_shard_spec){.root = {.children = children[i], .child_count = 2, .window_ns = 77}};
        channels[i] = (tina_channel_spec){.source = (int32_t)i, .destination = -1, .capacity = 3};
    }
    shards[1].slot_counts = slot_counts;
    for (size_t i = 0; i < 3; i++)
        cpus[i] = (uint16_t)(2 * i);
    spec = (tina_system_spec){
        .types = types,
        .type_count = 2,
        .shards = shards,
        .shard_count = 2,
        .channels = channels,
        .channel_spec_count = 2,
        .cpus = cpus,
        .cpu_count = 3,
        .user = &user,
        .message_count = 100,
        .timer_resolution_ns = 5000,
    };
    return 0;
}

/* What the original points to, made unrecognizable: a copy must not see it. */
static void spoil(void)
{
    memset(types, 0xEE, sizeof types);
    memset(names, 0xEE, sizeof names);
    memset(args, 0xEE, sizeof args);
    memset(children, 0xEE, sizeof children);
    memset(slot_counts, 0xEE, sizeof slot_counts);
    memset(inner_children, 0xEE, sizeof inner_children);
    memset(groups, 0xEE, sizeof groups);
    memset(shards, 0xEE, sizeof shards);
    memset(channels, 0xEE, sizeof channels);
    memset(cpus, 0xEE, sizeof cpus);
    memset(&spec, 0xEE, sizeof spec);
}

static tina_system_spec *copy_and_spoil(void)
{
    tina_system_spec *copy = NULL;
    assert_int_equal(tina__spec_check(&spec, NULL), TINA_OK);
    assert_int_equal(tina__spec_copy(&spec, sizeof spec, &copy), TINA_OK);
    assert_non_null(copy);
    spoil();
    return copy;
}

static void spec_copy_keeps_the_types(void **state)
{
    (void)state;
    tina_system_spec *copy = copy_and_spoil();
    assert_int_equal(copy->type_count, 2);
    assert_string_equal(copy->types[0].name, "listener");
    assert_string_equal(copy->types[1].name, "connection");
    assert_int_equal(copy->types[1].size, 25);
    assert_true(copy->types[1].init == init);
    assert_true(copy->types[1].handler == handle);
    tina__spec_free(copy);
}

static void spec_copy_keeps_the_shards_and_their_children(void **state)
{
    (void)state;
    tina_system_spec *copy = copy_and_spoil();
    uint8_t expected[63];
    memset(expected, 0xA5, sizeof expected);
    const tina_group_spec *root = &copy->shards[0].root;
    assert_int_equal(root->child_count, 2);
    assert_int_equal(root->window_ns, 77);
    assert_int_equal(root->children[1].name, 10);
    assert_int_equal(root->children[1].args_size, 63);
    assert_memory_equal(root->children[0].args, expected, 1);
    assert_memory_equal(root->children[1].args, expected, 63);
    assert_null(copy->shards[1].root.children[1].args);
    assert_int_equal(copy->shards[1].root.children[1].type, 1);
    assert_null(copy->shards[0].slot_counts);
    assert_int_equal(copy->shards[1].slot_counts[0], 5);
    assert_int_equal(copy->shards[1].slot_counts[1], 6);
    tina__spec_free(copy);
}

/* One in the other, and the inner one once more beside it. */
static void nest_groups(void)
{
    types[0].slot_count = 4;
    types[1].slot_count = 9;
    for (size_t i = 0; i < 2; i++) {
        groups[i] = (tina_group_spec){.children = inner_children[i], .child_count = 2, .restart_max = 20 + (uint32_t)i};
        inner_children[i][0] = (tina_child){.args = args[0], .args_size = 3, .type = 1};
        inner_children[i][1] = (tina_child){.type = 1};
    }
    inner_children[0][1] = (tina_child){.group = &groups[1], .restart = TINA_TRANSIENT};
    children[1][0] = (tina_child){.group = &groups[0]};
    /* Of a group, neither is used. */
    children[1][1] = (tina_child){.group = &groups[1], .args = (const void *)1, .args_size = 1000};
    shards[1].slot_counts = NULL;
}

static void spec_copy_keeps_nested_groups(void **state)
{
    (void)state;
    nest_groups();
    tina_system_spec *copy = copy_and_spoil();
    assert_null(copy->shards[0].root.children[0].group);
    const tina_child *of_root = copy->shards[1].root.children;
    const tina_group_spec *outer = of_root[0].group;
    assert_int_equal(outer->restart_max, 20);
    assert_int_equal(outer->child_count, 2);
    assert_int_equal(outer->children[0].args_size, 3);
    assert_int_equal(*(const uint8_t *)outer->children[0].args, 0xA5);
    assert_int_equal(outer->children[1].restart, TINA_TRANSIENT);
    const tina_group_spec *inner[2] = {outer->children[1].group, of_root[1].group};
    assert_null(of_root[1].args);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(inner[i]->restart_max, 21);
        assert_int_equal(inner[i]->children[0].type, 1);
        assert_int_equal(*(const uint8_t *)inner[i]->children[0].args, 0xA5);
        assert_null(inner[i]->children[1].group);
    }
    tina__spec_free(copy);
}

static void spec_copy_keeps_the_root(void **state)
{
    (void)state;
    spec.shards = NULL;
    spec.root = (tina_group_spec){.children = children[0], .child_count = 2, .restart_max = 4};
    tina_system_spec *copy = copy_and_spoil();
    assert_null(copy->shards);
    assert_int_equal(copy->root.restart_max, 4);
    assert_int_equal(copy->root.children[0].name, 9);
    assert_int_equal(*(const uint8_t *)copy->root.children[0].args, 0xA5);
    tina__spec_free(copy);
}

static void spec_copy_drops_a_root_that_nobody_reads(void **state)
{
    (void)state;
    spec.root = (tina_group_spec){.children = NULL, .child_count = 1000, .strategy = 9};
    tina_system_spec *copy = copy_and_spoil();
    assert_int_equal(copy->root.child_count, 0);
    tina__spec_free(copy);
}

static void spec_copy_keeps_the_rest(void **state)
{
    (void)state;
    tina_system_spec *copy = copy_and_spoil();
    assert_int_equal(copy->channel_spec_count, 2);
    assert_int_equal(copy->channels[1].source, 1);
    assert_int_equal(copy->channels[1].capacity, 3);
    assert_int_equal(copy->cpu_count, 3);
    assert_int_equal(copy->cpus[2], 4);
    assert_ptr_equal(copy->user, &user);
    assert_int_equal(copy->message_count, 100);
    assert_int_equal(copy->timer_resolution_ns, 5000);
    tina__spec_free(copy);
}

static void spec_copy_of_a_copy_is_accepted(void **state)
{
    (void)state;
    tina_system_spec *copy = copy_and_spoil(), *second = NULL;
    assert_int_equal(tina__spec_check(copy, NULL), TINA_OK);
    assert_int_equal(tina__spec_copy(copy, sizeof *copy, &second), TINA_OK);
    tina__spec_free(copy);
    assert_string_equal(second->types[1].name, "connection");
    tina__spec_free(second);
}

static void spec_copy_of_empty_lists_has_none(void **state)
{
    (void)state;
    spec.shards = NULL;
    spec.root = (tina_group_spec){.children = children[0]};
    spec.channel_spec_count = 0;
    spec.cpu_count = 0;
    tina_system_spec *copy = copy_and_spoil();
    assert_null(copy->root.children);
    assert_null(copy->channels);
    assert_null(copy->cpus);
    tina__spec_free(copy);
}

static void spec_copy_of_an_older_struct_zeroes_what_it_lacks(void **state)
{
    (void)state;
    /* Ends in the middle of the allocation, so that a sanitizer sees a read beyond. */
    size_t size = offsetof(tina_system_spec, message_count);
    tina_system_spec *older = malloc(size);
    assert_non_null(older);
    memcpy(older, &spec, size);
    tina_system_spec *copy = NULL;
    assert_int_equal(tina__spec_copy(older, size, &copy), TINA_OK);
    free(older);
    assert_int_equal(copy->cpu_count, 3);
    assert_ptr_equal(copy->user, &user);
    assert_int_equal(copy->message_count, 0);
    assert_int_equal(copy->timer_resolution_ns, 0);
    assert_null(copy->log_user);
    tina__spec_free(copy);
}

typedef struct newer_spec {
    tina_system_spec spec;
    uint64_t unknown;
} newer_spec;

static void spec_copy_of_a_newer_struct_refuses_what_it_does_not_know(void **state)
{
    (void)state;
    newer_spec newer = {.spec = spec, .unknown = 1};
    tina_system_spec *copy = NULL;
    assert_int_equal(tina__spec_copy(&newer.spec, sizeof newer, &copy), TINA_INVALID);
    assert_null(copy);
    newer.unknown = 0;
    assert_int_equal(tina__spec_copy(&newer.spec, sizeof newer, &copy), TINA_OK);
    assert_int_equal(copy->message_count, 100);
    tina__spec_free(copy);
}

static void spec_copy_of_null_is_invalid(void **state)
{
    (void)state;
    tina_system_spec *copy = NULL;
    assert_int_equal(tina__spec_copy(NULL, sizeof spec, &copy), TINA_INVALID);
    assert_null(copy);
    tina__spec_free(NULL);
}

#define TEST(name) cmocka_unit_test_setup(name, rebuild)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(spec_copy_keeps_the_types),
        TEST(spec_copy_keeps_the_shards_and_their_children),
        TEST(spec_copy_keeps_nested_groups),
        TEST(spec_copy_keeps_the_root),
        TEST(spec_copy_drops_a_root_that_nobody_reads),
        TEST(spec_copy_keeps_the_rest),
        TEST(spec_copy_of_a_copy_is_accepted),
        TEST(spec_copy_of_empty_lists_has_none),
        TEST(spec_copy_of_an_older_struct_zeroes_what_it_lacks),
        TEST(spec_copy_of_a_newer_struct_refuses_what_it_does_not_know),
        TEST(spec_copy_of_null_is_invalid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
