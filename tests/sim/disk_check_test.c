/* Every truth about the made disk has a damage that it finds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "disk_rig.h"

static disk_rig rig;
static tina__disk *disk;
static tina__disk_file file, directory;
static uint32_t socket_node;

/* A file of two blocks with three unsynced writes, an empty one, a socket, and a directory that is open. */
static void furnish(void)
{
    disk_make_small(&rig);
    disk = rig.disk;
    file = disk_open(&rig, "x", DISK_CREATE);
    disk_text(&rig, 0, file, 0, "abc");
    disk_text(&rig, 1, file, 1, "def");
    disk_text(&rig, 0, file, TINA__DISK_BLOCK_SIZE, "ghi");
    disk_close(&rig, disk_open(&rig, "empty", DISK_CREATE));
    assert_int_equal(tina__disk_socket_bind(disk, "socket", 3, &socket_node), 0);
    directory = disk_open(&rig, "/", DISK_READ);
    disk_look(&rig);
}

static tina__disk_node *node(void) { return &disk->nodes[file.node]; }
static tina__disk_node *empty(void) { return &disk->nodes[tina__disk_find(disk, "empty")]; }
static tina__disk_record *record(uint32_t number) { return tina__disk_record_at(disk, number); }

static void nobody_opens(void)
{
    node()->opens = 0;
    disk->open_count = 0;
    tina__disk_node_name(disk, file.node, "");
}
static void hash_differs(void) { disk->hashes[file.node]++; }
static void name_is_double(void) { tina__disk_node_name(disk, tina__disk_find(disk, "empty"), "x"); }
static void size_is_too_large(void) { node()->size = TINA__DISK_FILE_MAX + 1; }
static void socket_has_a_size(void) { disk->nodes[socket_node].size = 1; }
static void socket_is_unbound(void) { disk->nodes[socket_node].opens = 0; }
static void file_is_a_socket(void) { empty()->socket = 1; }
static void directory_has_a_name(void) { tina__disk_node_name(disk, directory.node, "directory"); }
static void directory_has_a_size(void) { disk->nodes[directory.node].size = 1; }
static void block_is_another_files(void) { disk->blocks[node()->first_block].node = tina__disk_find(disk, "empty"); }
static void block_lies_behind_the_end(void) { disk->blocks[node()->first_block].number = 9; }
static void blocks_are_more_than_counted(void) { node()->block_count--; }
static void blocks_run_in_a_circle(void) { disk->blocks[node()->first_block].next_in_node = node()->first_block; }
static void byte_lies_behind_the_end(void)
{
    tina__disk_piece piece = tina__disk_piece_at(disk, file.node, node()->size, 100);
    piece.data[99] = 1;
}
static void record_lies_upon_another(void) { record(1)->at = record(0)->at; }
static void record_lies_behind_all(void) { record(2)->at = disk->config.unsynced_size - 1; }
static void record_is_nobodys(void) { record(0)->node = disk->node_pool.fresh; }
static void record_is_of_no_shard(void) { record(0)->shard = DISK_SHARDS; }
static void record_is_empty(void) { record(0)->size = 0; }
static void record_lies_behind_its_file(void) { record(2)->offset += 1; }
static void record_has_shrunk_its_file(void) { record(2)->size_before = node()->size + 1; }
static void record_has_lost_its_block(void)
{
    node()->size += TINA__DISK_BLOCK_SIZE;
    record(2)->offset += TINA__DISK_BLOCK_SIZE;
}
static void records_are_miscounted(void) { node()->unsynced--; }
static void records_are_miscounted_in_all(void) { disk->unsynced_count++; }
static void record_is_counted_by_no_file(void)
{
    disk->unsynced_count -= node()->unsynced;
    node()->unsynced = 0;
}
static void openings_are_miscounted(void) { disk->open_count++; }
static void files_are_miscounted(void) { disk->node_pool.used++; }
static void blocks_are_miscounted(void) { disk->block_pool.used++; }
static void node_is_free_but_not_listed(void)
{
    uint32_t index = tina__disk_find(disk, "empty");
    tina__disk_node_name(disk, index, "");
    disk->nodes[index].kind = TINA__DISK_FREE;
}
static void block_is_free_but_not_listed(void)
{
    node()->first_block = disk->blocks[node()->first_block].next_in_node;
    node()->block_count--;
    tina__disk_records_drop(disk, file.node);
}
static void block_is_in_no_chain(void) { *tina__disk_chain_of(disk, file.node, 1) = 0; }

typedef struct damage {
    void (*plant)(void);
    const char *alarm;
} damage;

static const damage damages[] = {
    {nobody_opens, "a file that nobody names or opens is still there"},
    {hash_differs, "a name is not what it is looked up by"},
    {name_is_double, "two files have one name"},
    {size_is_too_large, "a file is larger than it may be"},
    {socket_has_a_size, "a socket's name is no socket's"},
    {socket_is_unbound, "a socket's name is no socket's"},
    {file_is_a_socket, "a file is somebody's socket"},
    {directory_has_a_name, "a directory has a name or a size"},
    {directory_has_a_size, "a directory has a name or a size"},
    {block_is_another_files, "an unsynced write has lost a block"},
    {block_lies_behind_the_end, "an unsynced write has lost a block"},
    {blocks_are_more_than_counted, "a file's blocks are not its own"},
    {blocks_run_in_a_circle, "a file's blocks are not its own"},
    {byte_lies_behind_the_end, "something lies behind a file's end"},
    {record_lies_upon_another, "unsynced writes lie upon each other"},
    {record_lies_behind_all, "unsynced writes lie upon each other"},
    {record_is_nobodys, "an unsynced write is nobody's"},
    {record_is_of_no_shard, "an unsynced write is nobody's"},
    {record_is_empty, "an unsynced write is empty"},
    {record_lies_behind_its_file, "an unsynced write lies behind its file's end"},
    {record_has_shrunk_its_file, "an unsynced write has made its file smaller"},
    {record_has_lost_its_block, "an unsynced write has lost a block"},
    {records_are_miscounted, "a file's unsynced writes are miscounted"},
    {records_are_miscounted_in_all, "unsynced writes are miscounted"},
    {record_is_counted_by_no_file, "an unsynced write is no file's"},
    {openings_are_miscounted, "openings of files are miscounted"},
    {files_are_miscounted, "the free list of files is not in order"},
    {blocks_are_miscounted, "the free list of blocks is not in order"},
    {node_is_free_but_not_listed, "files are miscounted"},
    {block_is_free_but_not_listed, "blocks in use are not in files"},
    {block_is_in_no_chain, "an unsynced write has lost a block"},
};

static void disk_damage_is_found_by_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
        furnish();
        damages[i].plant();
        const char *alarm = tina__disk_broken(disk);
        assert_string_equal(alarm == NULL ? "nothing is wrong" : alarm, damages[i].alarm);
        tina__disk_destroy(disk);
    }
}

/* Where no write is unsynced that would notice first. */
static const damage synced_damages[] = {
    {block_is_another_files, "a file's blocks are not its own"},
    {block_lies_behind_the_end, "a file's blocks are not its own"},
    {block_is_in_no_chain, "a block can't be found"},
};

static void synced_disk_damage_is_found_by_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof synced_damages / sizeof synced_damages[0]; i++) {
        furnish();
        disk_sync(&rig, file);
        synced_damages[i].plant();
        const char *alarm = tina__disk_broken(disk);
        assert_string_equal(alarm == NULL ? "nothing is wrong" : alarm, synced_damages[i].alarm);
        tina__disk_destroy(disk);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(disk_damage_is_found_by_name),
        cmocka_unit_test(synced_disk_damage_is_found_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
