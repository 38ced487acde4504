#include "spec/tree.h"

#include "base/assert.h"

#include <string.h>

void tina__tree_begin(tina__tree_walk *walk, const tina_group_spec *root)
{
    memset(walk, 0, sizeof *walk);
    walk->path[0] = root;
    walk->count = 1;
}

static const tina_group_spec *enter(tina__tree_walk *walk, const tina_group_spec *group)
{
    tina__assert(walk->depth + 1 < TINA_GROUP_DEPTH_MAX);
    walk->depth++;
    walk->path[walk->depth] = group;
    walk->index[walk->depth] = walk->count++;
    walk->child[walk->depth] = 0;
    return group;
}

const tina_group_spec *tina__tree_next(tina__tree_walk *walk)
{
    for (;;) {
        const tina_group_spec *at = walk->path[walk->depth];
        for (size_t *child = &walk->child[walk->depth]; *child < at->child_count; (*child)++) {
            if (at->children[*child].group != NULL)
                return enter(walk, at->children[*child].group);
        }
        if (walk->depth == 0)
            return NULL;
        walk->depth--;
        walk->child[walk->depth]++;
    }
}
