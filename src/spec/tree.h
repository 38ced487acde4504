/*
 * The groups of a supervision tree as the spec has them, in the order in which a
 * shard numbers them: from the root inwards, each before those inside it. Pure;
 * any thread.
 */
#ifndef TINA__SPEC_TREE_H
#define TINA__SPEC_TREE_H

#include <stdint.h>
#include <tina/spec.h>

/* Where a walk stands: at path[depth], which has the number index[depth], inside those before it. */
typedef struct tina__tree_walk {
    const tina_group_spec *path[TINA_GROUP_DEPTH_MAX];
    uint32_t index[TINA_GROUP_DEPTH_MAX];
    size_t
        child[TINA_GROUP_DEPTH_MAX]; /* above: which child of path[i] path[i + 1] is. At depth: where to look for it from */
    uint32_t depth;
    uint32_t count; /* groups so far */
} tina__tree_walk;

/* At the root. */
void tina__tree_begin(tina__tree_walk *walk, const tina_group_spec *root);

/*
 * The next group, or NULL: there is none. The children of the group where the walk
 * stands are read now: a walk over a spec that is not checked yet looks at them first.
 */
const tina_group_spec *tina__tree_next(tina__tree_walk *walk);

#endif
