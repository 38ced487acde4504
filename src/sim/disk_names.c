#include "sim/disk_inside.h"

#include <errno.h>
#include <string.h>

/* ---- Paths ------------------------------------------------------------------------------ */

/* FNV-1a; never 0. */
uint64_t tina__disk_hash(const char *name)
{
    uint64_t hash = 0xCBF29CE484222325u;
    for (; *name != '\0'; name++)
        hash = (hash ^ (uint8_t)*name) * 0x100000001B3u;
    return hash == 0 ? 1 : hash;
}

static size_t part_length(const char *path)
{
    size_t length = 0;
    while (path[length] != '\0' && path[length] != '/')
        length++;
    return length;
}

static bool is_dot(const char *part, size_t length) { return length == 1 && part[0] == '.'; }

int tina__disk_normalize(const char *path, char name[TINA__DISK_PATH_MAX])
{
    size_t used = 0;
    bool is_directory = true;
    name[0] = '\0';
    if (path[0] == '\0')
        return ENOENT;
    if (path[0] == '/')
        name[used++] = '/';
    while (*path != '\0') {
        size_t length = part_length(path);
        is_directory = length == 0 || is_dot(path, length);
        if (!is_directory) {
            bool follows = used != 0 && name[used - 1] != '/';
            if (used + follows + length >= TINA__DISK_PATH_MAX)
                return ENAMETOOLONG;
            if (follows)
                name[used++] = '/';
            memcpy(name + used, path, length);
            used += length;
        }
        path += length;
        if (*path == '/') {
            is_directory = true;
            path++;
        }
    }
    name[used] = '\0';
    return is_directory ? EISDIR : 0;
}

/* ---- Nodes -------------------------------------------------------------------------------- */

uint32_t tina__disk_find(const tina__disk *disk, const char *name)
{
    uint64_t hash = tina__disk_hash(name);
    for (uint32_t i = 0; i < disk->node_pool.fresh; i++) {
        if (disk->hashes[i] == hash && strcmp(disk->nodes[i].path, name) == 0)
            return i;
    }
    return TINA__NONE;
}

uint32_t tina__disk_find_directory(const tina__disk *disk)
{
    for (uint32_t i = 0; i < disk->node_pool.fresh; i++) {
        if (disk->nodes[i].kind == TINA__DISK_DIRECTORY)
            return i;
    }
    return TINA__NONE;
}

static bool lies_below(const char *path, const char *name, size_t length)
{
    return strncmp(path, name, length) == 0 && path[length] == '/';
}

int tina__disk_why_not_there(const tina__disk *disk, const char *name)
{
    size_t length = strlen(name);
    for (uint32_t i = 0; i < disk->node_pool.fresh; i++) {
        const char *path = disk->nodes[i].path;
        if (disk->hashes[i] == 0)
            continue;
        if (lies_below(path, name, length))
            return EISDIR;
        if (lies_below(name, path, strlen(path)))
            return ENOTDIR;
    }
    return ENOENT;
}

void tina__disk_node_name(tina__disk *disk, uint32_t node, const char *name)
{
    disk->hashes[node] = name[0] == '\0' ? 0 : tina__disk_hash(name);
    memcpy(tina__disk_node_at(disk, node)->path, name, strlen(name) + 1);
}

uint32_t tina__disk_node_make(tina__disk *disk, const char *name, uint8_t kind)
{
    uint32_t index = tina__pool_take(&disk->node_pool);
    if (index == TINA__NONE)
        return TINA__NONE;
    tina__disk_node *node = tina__disk_node_at(disk, index);
    node->size = 0;
    node->opens = 0;
    node->first_block = TINA__NONE;
    node->block_count = 0;
    node->unsynced = 0;
    node->socket = TINA__NONE;
    node->kind = kind;
    tina__disk_node_name(disk, index, name);
    return index;
}

void tina__disk_node_settle(tina__disk *disk, uint32_t index)
{
    tina__disk_node *node = tina__disk_node_at(disk, index);
    tina__assert(node->kind != TINA__DISK_FREE);
    if (node->opens != 0 || node->path[0] != '\0')
        return;
    tina__disk_records_drop(disk, index);
    tina__disk_cut(disk, index, 0);
    tina__assert(node->block_count == 0);
    node->kind = TINA__DISK_FREE;
    tina__pool_give_hot(&disk->node_pool, index);
}
