#include "spec/copy.h"

#include "base/assert.h"
#include "base/bits.h"
#include "spec/tree.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/*
 * The block is laid out twice by the same functions: first with no base, which
 * only measures, then into the block. So the two can't disagree.
 */
typedef struct layout {
    uint8_t *base; /* NULL: measuring */
    size_t used;
} layout;

/* Where the copy lies; NULL while measuring, and for nothing. */
static void *add(layout *to, const void *from, size_t count, size_t size)
{
    if (from == NULL || count * size == 0)
        return NULL;
    size_t start = tina__align_up(to->used, alignof(max_align_t));
    to->used = start + count * size;
    return to->base != NULL ? memcpy(to->base + start, from, count * size) : NULL;
}

static const tina_type *add_types(layout *to, const tina_system_spec *spec)
{
    tina_type *types = add(to, spec->types, spec->type_count, sizeof *types);
    for (size_t i = 0; i < spec->type_count; i++) {
        const char *name = add(to, spec->types[i].name, strlen(spec->types[i].name) + 1, 1);
        if (types != NULL)
            types[i].name = name;
    }
    return types;
}

static tina_child *add_children(layout *to, const tina_group_spec *group)
{
    tina_child *children = add(to, group->children, group->child_count, sizeof *children);
    for (size_t i = 0; i < group->child_count; i++) {
        bool has_args = group->children[i].group == NULL;
        const void *args = has_args ? add(to, group->children[i].args, group->children[i].args_size, 1) : NULL;
        if (children != NULL)
            children[i].args = args;
    }
    return children;
}

/* The children of a root, and the groups among them with theirs. Each copy is entered in that of its parent's child. */
static const tina_child *add_tree(layout *to, const tina_group_spec *root)
{
    tina_child *children[TINA_GROUP_DEPTH_MAX]; /* the copies of those of the groups where the walk stands */
    tina__tree_walk walk;
    tina__tree_begin(&walk, root);
    children[0] = add_children(to, root);
    for (const tina_group_spec *group; (group = tina__tree_next(&walk)) != NULL;) {
        tina_group_spec *copy = add(to, group, 1, sizeof *copy);
        children[walk.depth] = add_children(to, group);
        if (copy == NULL)
            continue;
        copy->children = children[walk.depth];
        children[walk.depth - 1][walk.child[walk.depth - 1]].group = copy;
    }
    return children[0];
}

static const tina_shard_spec *add_shards(layout *to, const tina_system_spec *spec)
{
    size_t count = spec->shards != NULL ? spec->shard_count : 0;
    tina_shard_spec *shards = add(to, spec->shards, count, sizeof *shards);
    for (size_t i = 0; i < count; i++) {
        const tina_child *children = add_tree(to, &spec->shards[i].root);
        const uint32_t *slot_counts = add(to, spec->shards[i].slot_counts, spec->type_count, sizeof *slot_counts);
        if (shards == NULL)
            continue;
        shards[i].root.children = children;
        shards[i].slot_counts = slot_counts;
    }
    return shards;
}

/* root is not read where there are shards, and so not checked either. */
static tina_group_spec add_root(layout *to, const tina_system_spec *spec)
{
    if (spec->shards != NULL)
        return (tina_group_spec){0};
    tina_group_spec root = spec->root;
    root.children = add_tree(to, &spec->root);
    return root;
}

static tina_system_spec *lay_out(layout *to, const tina_system_spec *spec)
{
    tina_system_spec *copy = add(to, spec, 1, sizeof *spec);
    tina_system_spec inner = *spec;
    inner.types = add_types(to, spec);
    inner.shards = add_shards(to, spec);
    inner.root = add_root(to, spec);
    inner.channels = add(to, spec->channels, spec->channel_spec_count, sizeof *spec->channels);
    if (spec->stats_path != NULL)
        inner.stats_path = add(to, spec->stats_path, strlen(spec->stats_path) + 1, 1);
    inner.cpus = add(to, spec->cpus, spec->cpu_count, sizeof *spec->cpus);
    if (copy != NULL)
        *copy = inner;
    return copy;
}

static bool is_zero(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != 0)
            return false;
    }
    return true;
}

bool tina__widen(const void *given, size_t given_size, void *whole, size_t whole_size)
{
    size_t known = given_size < whole_size ? given_size : whole_size;
    if (!is_zero((const uint8_t *)given + known, given_size - known))
        return false;
    memset(whole, 0, whole_size);
    memcpy(whole, given, known);
    return true;
}

tina_status tina__spec_widen(const tina_system_spec *spec, size_t spec_size, tina_system_spec *whole)
{
    return spec != NULL && tina__widen(spec, spec_size, whole, sizeof *whole) ? TINA_OK : TINA_INVALID;
}

tina_status tina__spec_copy(const tina_system_spec *spec, size_t spec_size, tina_system_spec **copy)
{
    tina_system_spec whole;
    tina_status status = tina__spec_widen(spec, spec_size, &whole);
    if (status != TINA_OK)
        return status;
    layout measured = {0};
    lay_out(&measured, &whole);
    layout filled = {.base = malloc(measured.used)};
    if (filled.base == NULL)
        return TINA_POOL_EXHAUSTED;
    *copy = lay_out(&filled, &whole);
    tina__assert(filled.used == measured.used);
    tina__assert((void *)*copy == (void *)filled.base);
    return TINA_OK;
}

void tina__spec_free(tina_system_spec *copy) { free(copy); }
