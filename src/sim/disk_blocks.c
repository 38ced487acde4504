#include "sim/disk_inside.h"

#include <string.h>

static uint64_t key_of(uint32_t node, uint32_t number) { return (uint64_t)node << 32 | number; }

uint32_t *tina__disk_chain_of(const tina__disk *disk, uint32_t node, uint32_t number)
{
    return &disk->chains[tina__mix64(key_of(node, number)) & disk->chain_mask];
}

static uint32_t find_block(const tina__disk *disk, uint32_t node, uint32_t number)
{
    for (uint32_t place = *tina__disk_chain_of(disk, node, number); place != 0;) {
        const tina__disk_block *block = &disk->blocks[place - 1];
        if (block->node == node && block->number == number)
            return place - 1;
        place = block->next_in_chain;
    }
    return TINA__NONE;
}

static uint32_t number_of(uint64_t offset) { return (uint32_t)(offset / TINA__DISK_BLOCK_SIZE); }

tina__disk_piece tina__disk_piece_at(const tina__disk *disk, uint32_t node, uint64_t offset, uint64_t size)
{
    uint32_t within = (uint32_t)(offset % TINA__DISK_BLOCK_SIZE);
    uint32_t block = find_block(disk, node, number_of(offset));
    return (tina__disk_piece){
        .data = block == TINA__NONE ? NULL : tina__disk_block_data(disk, block) + within,
        .size = (uint32_t)tina__min_u64(size, TINA__DISK_BLOCK_SIZE - within),
    };
}

/* ---- Taking and giving ----------------------------------------------------------------- */

static bool add_block(tina__disk *disk, uint32_t index, uint32_t number)
{
    uint32_t taken = tina__pool_take(&disk->block_pool);
    if (taken == TINA__NONE)
        return false;
    tina__disk_node *node = tina__disk_node_at(disk, index);
    uint32_t *chain = tina__disk_chain_of(disk, index, number);
    disk->blocks[taken] = (tina__disk_block){
        .node = index,
        .number = number,
        .next_in_chain = *chain,
        .next_in_node = node->first_block,
    };
    *chain = taken + 1;
    node->first_block = taken;
    node->block_count++;
    memset(tina__disk_block_data(disk, taken), 0, TINA__DISK_BLOCK_SIZE);
    return true;
}

uint32_t tina__disk_fill_holes(tina__disk *disk, uint32_t node, uint64_t offset, uint32_t size)
{
    uint32_t filled = 0;
    while (filled < size) {
        tina__disk_piece piece = tina__disk_piece_at(disk, node, offset + filled, size - filled);
        if (piece.data == NULL && !add_block(disk, node, number_of(offset + filled)))
            break;
        filled += piece.size;
    }
    return filled;
}

static void unchain(tina__disk *disk, uint32_t index)
{
    const tina__disk_block *block = &disk->blocks[index];
    uint32_t *place = tina__disk_chain_of(disk, block->node, block->number);
    while (*place != index + 1) {
        tina__assert(*place != 0);
        place = &disk->blocks[*place - 1].next_in_chain;
    }
    *place = block->next_in_chain;
}

static void cut_blocks(tina__disk *disk, tina__disk_node *node, uint64_t size)
{
    uint32_t *place = &node->first_block;
    while (*place != TINA__NONE) {
        uint32_t index = *place;
        tina__disk_block *block = &disk->blocks[index];
        if ((uint64_t)block->number * TINA__DISK_BLOCK_SIZE < size) {
            place = &block->next_in_node;
            continue;
        }
        *place = block->next_in_node;
        unchain(disk, index);
        block->node = TINA__NONE;
        node->block_count--;
        tina__pool_give_hot(&disk->block_pool, index);
    }
}

void tina__disk_cut(tina__disk *disk, uint32_t index, uint64_t size)
{
    tina__disk_node *node = tina__disk_node_at(disk, index);
    cut_blocks(disk, node, size);
    node->size = size;
    if (size % TINA__DISK_BLOCK_SIZE == 0)
        return;
    tina__disk_piece rest = tina__disk_piece_at(disk, index, size, TINA__DISK_BLOCK_SIZE);
    if (rest.data != NULL)
        memset(rest.data, 0, rest.size);
}
