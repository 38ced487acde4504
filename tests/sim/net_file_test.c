/* Files behind the made network's table: every operation, what refuses, what is late, and what is left of each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "net_rig.h"
#include "sim/disk_inside.h"

#define READ   TINA_OPEN_READ
#define WRITE  TINA_OPEN_WRITE
#define CREATE (TINA_OPEN_READ | TINA_OPEN_WRITE | TINA_OPEN_CREATE)

static net_rig rig;
static const tina_ratio always = {1, 1};
static const tina_ratio never = {0, 1};

/* ---- Requests --------------------------------------------------------------------------- */

static net_request *prepare_open(uint32_t shard, const char *path, uint32_t flags)
{
    net_request *request = net_prepare(&rig, shard, TINA__IO_OPEN, -1);
    request->request.data = path;
    request->request.size = (uint32_t)strlen(path) + 1;
    request->request.flags = flags;
    request->request.mode = 0644;
    return request;
}

static net_request *open_it(uint32_t shard, const char *path, uint32_t flags)
{
    return net_submit(&rig, prepare_open(shard, path, flags));
}

static int file_open(uint32_t shard, const char *path, uint32_t flags)
{
    net_request *request = open_it(shard, path, flags);
    net_assert(request, TINA_OK, 0);
    assert_int_equal(request->completion.fd_class, TINA__FD_FILE);
    assert_in_range(request->completion.os_fd, 0, 2 * NET_SOCKETS);
    return request->completion.os_fd;
}

static net_request *prepare_read(uint32_t shard, int fd, uint64_t offset, uint32_t size)
{
    net_request *request = net_prepare(&rig, shard, TINA__IO_READ, fd);
    request->request.offset = offset;
    request->request.size = size;
    request->request.fd_class = TINA__FD_FILE;
    return request;
}

static net_request *read_it(uint32_t shard, int fd, uint64_t offset, uint32_t size)
{
    return net_submit(&rig, prepare_read(shard, fd, offset, size));
}

static net_request *write_it(uint32_t shard, int fd, uint64_t offset, const void *data, uint32_t size)
{
    net_request *request = net_prepare(&rig, shard, TINA__IO_WRITE, fd);
    request->request.offset = offset;
    request->request.data = data;
    request->request.size = size;
    request->request.fd_class = TINA__FD_FILE;
    return net_submit(&rig, request);
}

static void write_text(uint32_t shard, int fd, uint64_t offset, const char *text)
{
    net_assert_size(write_it(shard, fd, offset, text, (uint32_t)strlen(text)), (uint32_t)strlen(text));
}

static net_request *ask(uint32_t shard, uint8_t kind, int fd, uint64_t offset)
{
    net_request *request = net_prepare(&rig, shard, kind, fd);
    request->request.offset = offset;
    request->request.fd_class = TINA__FD_FILE;
    return net_submit(&rig, request);
}

static net_request *unlink_it(uint32_t shard, const char *path)
{
    net_request *request = net_prepare(&rig, shard, TINA__IO_UNLINK, -1);
    request->request.data = path;
    return net_submit(&rig, request);
}

static net_request *rename_it(uint32_t shard, const char *paths, uint32_t size)
{
    net_request *request = net_prepare(&rig, shard, TINA__IO_RENAME, -1);
    request->request.data = paths;
    request->request.size = size;
    return net_submit(&rig, request);
}

static net_request *send_file(uint32_t shard, int fd, int file, uint64_t offset, uint32_t size)
{
    net_request *request = net_prepare(&rig, shard, TINA__IO_SENDFILE, fd);
    request->request.file_fd = file;
    request->request.offset = offset;
    request->request.size = size;
    return net_submit(&rig, request);
}

static tina__disk_ledger disk(void)
{
    tina__disk_ledger ledger;
    tina__disk_read_ledger(tina__net_disk(rig.net), &ledger);
    return ledger;
}

/* ---- Each operation ------------------------------------------------------------------------ */

static void file_is_written_and_read_at_offsets(void **state)
{
    (void)state;
    net_open(&rig);
    int writer = file_open(0, "dir/x", CREATE);
    int reader = file_open(1, "./dir//x", READ);
    assert_int_not_equal(writer, reader);
    write_text(0, writer, 0, "hello world");
    write_text(0, writer, 6, "there");
    net_assert_text(read_it(1, reader, 0, 5), "hello");
    net_assert_text(read_it(1, reader, 6, 0), "there");
    net_request *end = read_it(1, reader, 11, 0);
    net_assert_size(end, 0);
    assert_int_equal(end->completion.buffer, TINA__BUFFER_NONE);
    net_assert_size(ask(1, TINA__IO_STAT, reader, 0), 11);
    net_assert(ask(0, TINA__IO_SYNC, writer, 0), TINA_OK, 0);
    net_assert(ask(0, TINA__IO_TRUNCATE, writer, 5), TINA_OK, 0);
    net_assert_size(ask(0, TINA__IO_STAT, writer, 0), 5);
    tina__net_ledger ledger = net_ledger(&rig);
    assert_int_equal(ledger.written, 16);
    assert_int_equal(ledger.read, 10);
    assert_int_equal(ledger.sent + ledger.received, 0);
    net_close(&rig);
}

static void file_larger_than_4_gib_has_its_size(void **state)
{
    (void)state;
    net_open(&rig);
    int fd = file_open(0, "x", CREATE);
    write_text(0, fd, 5ull << 30, "far");
    net_request *stat = ask(0, TINA__IO_STAT, fd, 0);
    net_assert(stat, TINA_OK, 0);
    assert_true(stat->completion.size == (5ull << 30) + 3);
    net_assert_text(read_it(0, fd, 5ull << 30, 0), "far");
    net_close(&rig);
}

static void names_are_changed_and_removed(void **state)
{
    (void)state;
    net_open(&rig);
    int fd = file_open(0, "old", CREATE);
    write_text(0, fd, 0, "text");
    net_assert(rename_it(1, "old\0new", 4), TINA_OK, 0);
    net_assert(open_it(0, "old", READ), TINA_NOT_FOUND, ENOENT);
    net_assert(rename_it(1, "old\0new", 4), TINA_NOT_FOUND, ENOENT);
    net_assert(unlink_it(0, "new"), TINA_OK, 0);
    net_assert(unlink_it(0, "new"), TINA_NOT_FOUND, ENOENT);
    net_assert_text(read_it(0, fd, 0, 0), "text");
    net_close_fd(&rig, 0, fd);
    assert_int_equal(disk().files, 0);
    assert_int_equal(net_ledger(&rig).sockets, 0);
    net_close(&rig);
}

static void open_that_fails_leaves_nothing(void **state)
{
    (void)state;
    net_open(&rig);
    net_close_fd(&rig, 0, file_open(0, "dir/x", CREATE));
    net_assert(open_it(0, "none", READ), TINA_NOT_FOUND, ENOENT);
    net_assert(open_it(0, "dir", WRITE), TINA_SYSTEM_ERROR, EISDIR);
    net_assert(open_it(0, "dir/x/y", READ), TINA_NOT_FOUND, ENOTDIR);
    net_assert(open_it(0, "dir/x", CREATE | TINA_OPEN_EXCLUSIVE), TINA_SYSTEM_ERROR, EEXIST);
    assert_int_equal(net_ledger(&rig).sockets, 0);
    assert_int_equal(disk().opens, 0);
    net_close(&rig);
}

static void directory_is_synced_and_has_nothing_to_read(void **state)
{
    (void)state;
    net_open(&rig);
    int client, server;
    net_pair(&rig, &client, &server);
    int file = file_open(0, "dir/new", CREATE);
    net_assert(rename_it(0, "dir/new\0dir/x", 8), TINA_OK, 0);
    int directory = file_open(0, "dir", READ);
    net_assert(ask(0, TINA__IO_SYNC, directory, 0), TINA_OK, 0);
    net_assert(ask(0, TINA__IO_STAT, directory, 0), TINA_UNSUPPORTED, 0);
    net_assert(read_it(0, directory, 0, 0), TINA_SYSTEM_ERROR, EISDIR);
    net_assert(ask(0, TINA__IO_TRUNCATE, directory, 0), TINA_SYSTEM_ERROR, EINVAL);
    net_assert(write_it(0, directory, 0, "x", 1), TINA_SYSTEM_ERROR, EBADF);
    net_assert(send_file(0, client, directory, 0, 1), TINA_SYSTEM_ERROR, EINVAL);
    net_close_fd(&rig, 0, directory);
    net_close_fd(&rig, 0, file);
    assert_int_equal(disk().opens, 0);
    net_close(&rig);
}

static void open_without_a_descriptor_creates_nothing(void **state)
{
    (void)state;
    net_open(&rig);
    for (int i = 0; i < NET_SOCKETS; i++)
        net_socket(&rig, 0, TINA_IPV4);
    net_assert(open_it(0, "x", CREATE), TINA_POOL_EXHAUSTED, EMFILE);
    assert_int_equal(disk().files, 0);
    net_assert(unlink_it(0, "x"), TINA_NOT_FOUND, ENOENT);
    net_close(&rig);
}

static void wrong_access_is_refused(void **state)
{
    (void)state;
    net_open(&rig);
    int writer = file_open(0, "x", WRITE | TINA_OPEN_CREATE);
    int reader = file_open(0, "x", READ);
    net_assert(read_it(0, writer, 0, 0), TINA_SYSTEM_ERROR, EBADF);
    net_assert(write_it(0, reader, 0, "x", 1), TINA_SYSTEM_ERROR, EBADF);
    net_assert(ask(0, TINA__IO_TRUNCATE, reader, 0), TINA_SYSTEM_ERROR, EINVAL);
    net_assert(ask(0, TINA__IO_SYNC, reader, 0), TINA_OK, 0);
    net_assert(read_it(0, 2 * NET_SOCKETS, 0, 0), TINA_SYSTEM_ERROR, EBADF);
    net_close(&rig);
}

static void file_is_no_socket_and_no_socket_a_file(void **state)
{
    (void)state;
    net_open(&rig);
    tina_address address;
    int file = file_open(0, "x", CREATE);
    int socket = net_socket(&rig, 0, TINA_IPV4);
    net_assert(net_receive(&rig, 0, file, 0), TINA_SYSTEM_ERROR, ENOTSOCK);
    net_assert(net_send(&rig, 0, file, "x", 1), TINA_SYSTEM_ERROR, ENOTSOCK);
    net_assert(net_accept(&rig, 0, file), TINA_SYSTEM_ERROR, ENOTSOCK);
    net_assert(net_connect(&rig, 0, file, net_loopback(1)), TINA_SYSTEM_ERROR, ENOTSOCK);
    net_assert(send_file(0, file, file, 0, 1), TINA_SYSTEM_ERROR, ENOTSOCK);
    assert_int_equal(api->socket_local(rig.shards[0].backend, file, &address, &os_error), TINA_SYSTEM_ERROR);
    assert_int_equal(os_error, ENOTSOCK);
    assert_int_equal(net_shutdown(&rig, 0, file, TINA_BOTH_HALVES), TINA_SYSTEM_ERROR);
    static const uint8_t kinds[] = {TINA__IO_READ, TINA__IO_STAT, TINA__IO_WRITE, TINA__IO_SYNC, TINA__IO_TRUNCATE};
    for (size_t i = 0; i < sizeof kinds; i++)
        net_assert(ask(0, kinds[i], socket, 0), TINA_SYSTEM_ERROR, EINVAL);
    net_close(&rig);
}

static void full_disk_is_told(void **state)
{
    (void)state;
    net_open(&rig);
    static const uint8_t large[TINA__DISK_WRITE_MAX];
    tina__disk *full = tina__net_disk(rig.net);
    int fd = file_open(0, "x", CREATE);
    tina__disk_file file = tina__net_at(rig.net, (uint32_t)fd)->file;
    uint64_t size = 0;
    uint32_t done;
    while (tina__disk_write(full, 0, file, size, large, sizeof large, &done) == 0)
        size += done;
    net_assert(write_it(0, fd, size, "x", 1), TINA_DISK_FULL, ENOSPC);
    char path[16];
    int error = 0;
    for (int i = 0; error == 0; i++) {
        snprintf(path, sizeof path, "%d", i);
        error = tina__disk_open(full, path, CREATE, &file);
        if (error == 0)
            tina__disk_close(full, file);
    }
    net_assert(open_it(0, "one more", CREATE), TINA_DISK_FULL, ENOSPC);
    net_close(&rig);
}

static void hundreds_of_requests_with_paths_at_once_all_complete(void **state)
{
    (void)state;
    net_open(&rig);
    rig.faults.rates.io_delay = (tina_range){1, 3};
    net_request *requests[NET_REQUESTS - 1];
    for (int i = 0; i < NET_REQUESTS - 1; i++)
        requests[i] = unlink_it(0, "x");
    net_pass(&rig, 3);
    for (int i = 0; i < NET_REQUESTS - 1; i++)
        net_assert(requests[i], TINA_NOT_FOUND, ENOENT);
    net_close(&rig);
}

/* ---- Buffers ---------------------------------------------------------------------------------- */

static void read_without_a_buffer_is_asked_again(void **state)
{
    (void)state;
    net_open(&rig);
    int fd = file_open(0, "x", CREATE);
    write_text(0, fd, 0, "abc");
    rig.keeps_buffers = true;
    for (int i = 0; i < NET_BUFFERS; i++)
        net_assert_text(read_it(0, fd, 0, 0), "abc");
    net_request *starved = read_it(0, fd, 0, 0);
    net_assert(starved, TINA_BUSY, 0);
    net_assert_size(read_it(0, fd, 3, 0), 0); /* the end needs none */
    net_close(&rig);
}

static void read_that_starved_gets_what_is_there_when_it_is_collected(void **state)
{
    (void)state;
    for (int cut = 0; cut < 2; cut++) {
        net_open(&rig);
        int fd = file_open(0, "x", CREATE);
        write_text(0, fd, 0, "abc");
        rig.keeps_buffers = true;
        for (int i = 0; i < NET_BUFFERS; i++)
            net_assert_text(read_it(0, fd, 0, 0), "abc");
        net_request *starving = prepare_read(0, fd, 1, 0);
        net_submit_only(&rig, starving);
        if (cut)
            assert_int_equal(tina__disk_truncate(tina__net_disk(rig.net), tina__net_at(rig.net, (uint32_t)fd)->file, 1), 0);
        api->lend(rig.shards[0].backend, 0);
        net_collect(&rig);
        if (cut)
            net_assert_size(starving, 0);
        else
            net_assert_text(starving, "bc");
        net_close(&rig);
    }
}

/* ---- Late, cancelled, abandoned ------------------------------------------------------------------ */

static void operation_takes_effect_at_once_and_is_told_late(void **state)
{
    (void)state;
    net_open(&rig);
    rig.faults.rates.io_delay = (tina_range){2, 2};
    net_request *open = open_it(0, "x", CREATE);
    net_assert(open, NET_WAITS, 0);
    assert_int_equal(disk().files, 1);
    assert_int_equal(net_holdings(&rig, 0).requests, 1);
    net_pass(&rig, 2);
    net_assert(open, TINA_OK, 0);
    int fd = open->completion.os_fd;
    net_request *write = write_it(0, fd, 0, "abc", 3);
    net_request *read = read_it(1, fd, 0, 0);
    net_request *other = unlink_it(2, "x");
    net_assert(write, NET_WAITS, 0);
    net_assert(read, NET_WAITS, 0);
    net_assert(other, NET_WAITS, 0);
    assert_int_equal(disk().files, 1); /* which has no name any more */
    net_pass(&rig, 2);
    net_assert_size(write, 3);
    net_assert_text(read, "abc");
    net_assert(other, TINA_OK, 0);
    assert_int_equal(net_ledger(&rig).sockets, 1);
    assert_int_equal(rig.faults.counts.io_delay, 4);
    net_close(&rig);
}

static void cancel_brings_what_was_done_at_once(void **state)
{
    (void)state;
    net_open(&rig);
    rig.faults.rates.io_delay = (tina_range){5, 5};
    net_request *open = open_it(0, "x", CREATE);
    net_request *missing = open_it(0, "y", READ);
    net_request *name = rename_it(0, "x\0z", 2);
    net_cancel(&rig, open);
    net_cancel(&rig, missing);
    net_cancel(&rig, name);
    net_assert(open, TINA_OK, 0);
    net_assert(missing, TINA_NOT_FOUND, ENOENT);
    net_assert(name, TINA_OK, 0);
    net_request *sync = ask(0, TINA__IO_SYNC, open->completion.os_fd, 0);
    net_cancel(&rig, sync);
    net_assert(sync, TINA_OK, 0);
    net_cancel(&rig, sync); /* what has completed */
    net_cancel(&rig, name);
    assert_int_equal(net_ledger(&rig).sockets, 1);
    net_close(&rig);
}

static void abandoned_requests_leave_nothing_open(void **state)
{
    (void)state;
    net_open(&rig);
    int kept = file_open(0, "kept", CREATE);
    net_request *told = prepare_open(0, "told", CREATE);
    net_submit_only(&rig, told); /* its completion is there, and nobody collects it */
    rig.faults.rates.io_delay = (tina_range){5, 5};
    net_request *late[] = {prepare_open(0, "late", CREATE), prepare_open(0, "none", READ),
                           net_prepare(&rig, 0, TINA__IO_UNLINK, -1)};
    late[2]->request.data = "nothing";
    for (size_t i = 0; i < sizeof late / sizeof late[0]; i++)
        net_submit_only(&rig, late[i]);
    assert_int_equal(disk().opens, 3);
    assert_true(api->abandon(rig.shards[0].backend));
    net_look(&rig);
    assert_int_equal(disk().opens, 1);
    assert_int_equal(disk().files, 3);
    assert_int_equal(net_holdings(&rig, 0).sockets, 1);
    assert_true(tina__net_is_open(rig.net, kept, 0));
    net_close(&rig);
}

static void file_moves_between_shards(void **state)
{
    (void)state;
    net_open(&rig);
    int fd = file_open(0, "x", CREATE);
    write_text(0, fd, 0, "abc");
    api->let_go(rig.shards[0].backend, fd, 0);
    net_look(&rig);
    net_assert(read_it(0, fd, 0, 0), TINA_SYSTEM_ERROR, EBADF);
    api->take_over(rig.shards[2].backend, fd);
    net_assert_text(read_it(2, fd, 0, 0), "abc");
    assert_int_equal(net_holdings(&rig, 2).sockets, 1);
    api->let_go(rig.shards[2].backend, fd, 0);
    api->close_fd(rig.shards[1].backend, fd, TINA__SLOT_NONE);
    net_look(&rig);
    assert_int_equal(disk().opens, 0);
    net_close(&rig);
}

/* ---- Faults -------------------------------------------------------------------------------------- */

static void io_error_and_disk_error_strike_what_has_done_nothing(void **state)
{
    (void)state;
    net_open(&rig);
    int fd = file_open(0, "x", CREATE);
    rig.faults.rates.io_error = always;
    net_assert(write_it(0, fd, 0, "abc", 3), TINA_SYSTEM_ERROR, EIO);
    net_assert(open_it(0, "y", CREATE), TINA_SYSTEM_ERROR, EIO);
    net_assert(unlink_it(0, "x"), TINA_SYSTEM_ERROR, EIO);
    rig.faults.rates.io_error = never;
    rig.faults.rates.disk_error = always;
    net_assert(read_it(0, fd, 0, 0), TINA_SYSTEM_ERROR, EIO);
    net_assert(ask(0, TINA__IO_STAT, fd, 0), TINA_SYSTEM_ERROR, EIO);
    net_assert(ask(0, TINA__IO_SYNC, fd, 0), TINA_SYSTEM_ERROR, EIO);
    net_assert(ask(0, TINA__IO_TRUNCATE, fd, 9), TINA_SYSTEM_ERROR, EIO);
    net_assert(unlink_it(0, "x"), TINA_SYSTEM_ERROR, EIO);
    net_assert(rename_it(0, "x\0y", 2), TINA_SYSTEM_ERROR, EIO);
    net_assert(open_it(0, "x", READ), TINA_SYSTEM_ERROR, EIO);
    assert_int_equal(rig.faults.counts.io_error, 3);
    assert_int_equal(rig.faults.counts.disk_error, 7);
    rig.faults.rates.disk_error = never;
    net_assert_size(ask(0, TINA__IO_STAT, fd, 0), 0);
    assert_int_equal(disk().files, 1);
    net_close(&rig);
}

static void disk_error_of_a_write_may_be_a_full_disk(void **state)
{
    (void)state;
    net_open(&rig);
    int fd = file_open(0, "x", CREATE);
    rig.faults.rates.disk_error = always;
    uint32_t full = 0;
    for (int i = 0; i < 32; i++) {
        full += write_it(0, fd, 0, "x", 1)->completion.status == TINA_DISK_FULL;
        full += open_it(0, "y", CREATE)->completion.status == TINA_DISK_FULL;
    }
    assert_in_range(full, 16, 48);
    assert_int_equal(rig.faults.counts.disk_error, 64);
    net_close(&rig);
}

static void short_io_reads_and_writes_less(void **state)
{
    (void)state;
    net_open(&rig);
    static const uint8_t data[NET_BUFFER];
    int fd = file_open(0, "x", CREATE);
    rig.faults.rates.short_io = always;
    for (int i = 0; i < 32; i++) {
        net_request *write = write_it(0, fd, 0, data, NET_BUFFER);
        net_assert(write, TINA_OK, 0);
        assert_in_range(write->completion.size, 1, NET_BUFFER - 1);
        net_request *read = read_it(0, fd, 0, 0);
        net_assert(read, TINA_OK, 0);
        assert_in_range(read->completion.size, 1, NET_BUFFER - 1);
    }
    net_assert_size(write_it(0, fd, 0, data, 1), 1);
    net_close(&rig);
}

/* ---- What checkers find ------------------------------------------------------------------------------- */

static void file_that_nobody_has_is_found(void **state)
{
    (void)state;
    net_open(&rig);
    tina__disk_file file;
    assert_int_equal(tina__disk_open(tina__net_disk(rig.net), "x", CREATE, &file), 0);
    assert_string_equal(tina__net_broken(rig.net), "files are open that nobody has");
    tina__disk_close(tina__net_disk(rig.net), file);
    net_close(&rig);
}

static void operation_on_a_file_that_waits_is_found(void **state)
{
    (void)state;
    net_open(&rig);
    int fd = (int)tina__net_slot_take(rig.net, 0, TINA_IPV4, TINA_STREAM);
    tina__net_socket *socket = tina__net_at(rig.net, (uint32_t)fd);
    socket->state = TINA__SOCKET_FILE;
    socket->halves[TINA__NET_READS].state = TINA__HALF_WAITS;
    assert_string_equal(tina__net_broken(rig.net), "an operation on a file waits");
    socket->halves[TINA__NET_READS].state = TINA__HALF_IDLE;
    socket->state = TINA__SOCKET_OPEN;
    net_close(&rig);
}

static void damage_of_the_disk_is_the_nets_too(void **state)
{
    (void)state;
    net_open(&rig);
    int fd = file_open(0, "x", CREATE);
    uint32_t node = tina__net_at(rig.net, (uint32_t)fd)->file.node;
    tina__disk_node_at(tina__net_disk(rig.net), node)->unsynced++;
    assert_string_equal(tina__net_broken(rig.net), "a file's unsynced writes are miscounted");
    tina__disk_node_at(tina__net_disk(rig.net), node)->unsynced--;
    net_close(&rig);
}

/* ---- From a file to a connection --------------------------------------------------------------------- */

static void sendfile_goes_as_far_as_there_is_room_and_file(void **state)
{
    (void)state;
    net_open(&rig);
    int client, server;
    uint8_t data[3 * NET_WINDOW];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7 + i / 256);
    net_pair(&rig, &client, &server);
    int file = file_open(0, "x", CREATE);
    net_assert_size(write_it(0, file, 0, data, sizeof data), sizeof data);
    uint64_t sent = 0, received = 0;
    net_request *sending = send_file(0, client, file, 0, UINT32_MAX);
    net_assert_size(sending, NET_WINDOW);
    sent = NET_WINDOW;
    while (received < sizeof data) {
        if (sending->completion.status != NET_WAITS)
            sending = send_file(0, client, file, sent, UINT32_MAX);
        net_request *read = net_receive(&rig, 1, server, 0);
        net_assert(read, TINA_OK, 0);
        assert_memory_equal(read->data, data + received, read->completion.size);
        received += read->completion.size;
        if (sending->completion.status != NET_WAITS) {
            net_assert(sending, TINA_OK, 0);
            sent += sending->completion.size;
        }
    }
    assert_int_equal(sent, sizeof data);
    net_assert_size(send_file(0, client, file, sent, UINT32_MAX), 0);
    net_assert_size(send_file(0, client, file, 10, 5), 5);
    assert_int_equal(net_ledger(&rig).sent, sizeof data + 5);
    assert_int_equal(net_ledger(&rig).read, 0);
    net_close(&rig);
}

static void sendfile_that_waits_is_cancelled_or_reset(void **state)
{
    (void)state;
    for (int closes = 0; closes < 2; closes++) {
        net_open(&rig);
        int client, server;
        uint8_t data[NET_WINDOW] = {0};
        net_pair(&rig, &client, &server);
        int file = file_open(0, "x", CREATE);
        net_assert_size(write_it(0, file, 0, data, sizeof data), sizeof data);
        net_assert_size(send_file(0, client, file, 0, NET_WINDOW), NET_WINDOW);
        net_request *waiting = send_file(0, client, file, 0, 1);
        net_assert(waiting, NET_WAITS, 0);
        if (closes) {
            net_close_fd(&rig, 1, server); /* which has not read */
            net_assert(waiting, TINA_RESET, ECONNRESET);
        } else {
            net_cancel(&rig, waiting);
            net_assert(waiting, TINA_CANCELLED, 0);
        }
        net_close(&rig);
    }
}

static void sendfile_to_one_that_has_closed_is_lost(void **state)
{
    (void)state;
    net_open(&rig);
    int client, server;
    net_pair(&rig, &client, &server);
    int file = file_open(0, "x", CREATE);
    write_text(0, file, 0, "abc");
    net_close_fd(&rig, 1, server);
    net_assert_size(send_file(0, client, file, 0, 100), 3);
    assert_int_equal(net_ledger(&rig).lost, 3);
    net_assert(send_file(0, client, file, 0, 100), TINA_RESET, EPIPE);
    net_close(&rig);
}

static void sendfile_of_what_is_no_file_is_refused(void **state)
{
    (void)state;
    net_open(&rig);
    int client, server;
    net_pair(&rig, &client, &server);
    int writer = file_open(0, "x", WRITE | TINA_OPEN_CREATE);
    net_assert(send_file(0, client, server, 0, 1), TINA_SYSTEM_ERROR, EBADF);
    net_assert(send_file(0, client, -1, 0, 1), TINA_SYSTEM_ERROR, EBADF);
    net_assert(send_file(0, client, writer, 0, 1), TINA_SYSTEM_ERROR, EBADF);
    rig.faults.rates.disk_error = always;
    net_assert(send_file(0, client, writer, 0, 1), TINA_SYSTEM_ERROR, EIO);
    rig.faults.rates.disk_error = never;
    rig.faults.rates.connection_reset = always;
    net_assert(send_file(0, client, writer, 0, 1), TINA_RESET, ECONNRESET);
    net_close(&rig);
}

static void sendfile_is_late_and_in_order(void **state)
{
    (void)state;
    net_open(&rig);
    int client, server;
    net_pair(&rig, &client, &server);
    int file = file_open(0, "x", CREATE);
    write_text(0, file, 0, "file ");
    rig.faults.rates.io_delay = (tina_range){2, 2};
    net_request *sent = send_file(0, client, file, 0, 5);
    net_assert(sent, NET_WAITS, 0);
    net_pass(&rig, 2);
    net_assert_size(sent, 5);
    rig.faults.rates.io_delay = (tina_range){0, 0};
    net_assert_size(net_send(&rig, 0, client, "bytes", 5), 5);
    net_assert_text(net_receive(&rig, 1, server, 0), "file bytes");
    net_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(file_is_written_and_read_at_offsets),
        cmocka_unit_test(file_larger_than_4_gib_has_its_size),
        cmocka_unit_test(names_are_changed_and_removed),
        cmocka_unit_test(open_that_fails_leaves_nothing),
        cmocka_unit_test(directory_is_synced_and_has_nothing_to_read),
        cmocka_unit_test(open_without_a_descriptor_creates_nothing),
        cmocka_unit_test(wrong_access_is_refused),
        cmocka_unit_test(file_is_no_socket_and_no_socket_a_file),
        cmocka_unit_test(full_disk_is_told),
        cmocka_unit_test(hundreds_of_requests_with_paths_at_once_all_complete),
        cmocka_unit_test(read_without_a_buffer_is_asked_again),
        cmocka_unit_test(read_that_starved_gets_what_is_there_when_it_is_collected),
        cmocka_unit_test(operation_takes_effect_at_once_and_is_told_late),
        cmocka_unit_test(cancel_brings_what_was_done_at_once),
        cmocka_unit_test(abandoned_requests_leave_nothing_open),
        cmocka_unit_test(file_moves_between_shards),
        cmocka_unit_test(io_error_and_disk_error_strike_what_has_done_nothing),
        cmocka_unit_test(disk_error_of_a_write_may_be_a_full_disk),
        cmocka_unit_test(short_io_reads_and_writes_less),
        cmocka_unit_test(file_that_nobody_has_is_found),
        cmocka_unit_test(operation_on_a_file_that_waits_is_found),
        cmocka_unit_test(damage_of_the_disk_is_the_nets_too),
        cmocka_unit_test(sendfile_goes_as_far_as_there_is_room_and_file),
        cmocka_unit_test(sendfile_that_waits_is_cancelled_or_reset),
        cmocka_unit_test(sendfile_to_one_that_has_closed_is_lost),
        cmocka_unit_test(sendfile_of_what_is_no_file_is_refused),
        cmocka_unit_test(sendfile_is_late_and_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
