#define _GNU_SOURCE 1
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/fd_class.h"
#include "base/handle.h"
#include "io/file_threads.h"
#include "support/leaks.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define PLUG_SIZE (1u << 20) /* more than a socket holds */

/*
 * Threads, a file, and a socket that makes whoever sends the file to it wait: a
 * plug. What is behind the plug waits for as long as the test likes.
 */
typedef struct rig {
    tina__file_threads *threads;
    void *memory;
    int wake_fd;
    int file;
    int plug[2];
    size_t fds_before;
} rig;

static void open_rig(rig *self, uint32_t thread_count)
{
    int os_error;
    size_t size = (tina__file_threads_memory_size(thread_count) + 63) / 64 * 64;
    self->fds_before = tina_test_fd_count();
    self->memory = aligned_alloc(64, size);
    assert_non_null(self->memory);
    memset(self->memory, 0, size);
    self->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    self->file = memfd_create("tina", MFD_CLOEXEC);
    assert_int_equal(ftruncate(self->file, 8 * PLUG_SIZE), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, self->plug), 0);
    assert_int_equal(tina__file_threads_open(thread_count, self->wake_fd, self->memory, &self->threads, &os_error), TINA_OK);
}

static void release_rig(rig *self)
{
    close(self->wake_fd);
    close(self->file);
    close(self->plug[0]);
    close(self->plug[1]);
    free(self->memory);
    assert_int_equal(tina_test_fd_count(), self->fds_before);
}

static void close_rig(rig *self)
{
    assert_true(tina__file_threads_close(self->threads));
    release_rig(self);
}

/* ---- Requests ---- */

static tina__io_request a_write(const rig *self, const void *data, uint32_t size, uint64_t offset)
{
    return (tina__io_request){
        .token = offset, .kind = TINA__IO_WRITE, .os_fd = self->file, .data = data, .size = size, .offset = offset};
}

static tina__io_request a_plug(const rig *self)
{
    return (tina__io_request){
        .token = 77, .kind = TINA__IO_SENDFILE, .os_fd = self->plug[0], .file_fd = self->file, .size = PLUG_SIZE};
}

static tina__io_request an_open(const char *path)
{
    return (tina__io_request){.kind = TINA__IO_OPEN, .os_fd = -1, .data = path, .flags = TINA_OPEN_READ};
}

static uint32_t give(rig *self, tina__io_request request, void *into)
{
    uint32_t place = tina__file_threads_give(self->threads, &request, into);
    memset(&request, 0xEE, sizeof request); /* nobody looks at it any more */
    return place;
}

/* As a shard does: looks, sleeps until it is woken, reads the wake, looks again. */
static uint32_t await(rig *self)
{
    for (;;) {
        uint32_t place = tina__file_threads_reap(self->threads);
        if (place != TINA__NONE)
            return place;
        struct pollfd look = {.fd = self->wake_fd, .events = POLLIN};
        assert_int_equal(poll(&look, 1, 30000), 1);
        uint64_t count;
        assert_int_equal(read(self->wake_fd, &count, sizeof count), sizeof count);
    }
}

static tina__io_completion do_it(rig *self, tina__io_request request, void *into)
{
    uint32_t place = give(self, request, into);
    assert_int_equal(await(self), place);
    tina__io_completion completion = *tina__file_threads_completion(self->threads, place);
    tina__file_threads_free(self->threads, place);
    return completion;
}

/* All that a plug has sent. The body of a thread, or called. */
static void *pull_plug(void *argument)
{
    const rig *self = argument;
    char *bytes = malloc(PLUG_SIZE);
    size_t left = PLUG_SIZE;
    while (left != 0) {
        ssize_t size = read(self->plug[1], bytes, left);
        left = size > 0 ? left - (size_t)size : 0;
    }
    free(bytes);
    return NULL;
}

/* Until a thread is at it. */
static void await_plug(const rig *self)
{
    struct pollfd look = {.fd = self->plug[1], .events = POLLIN};
    assert_int_equal(poll(&look, 1, 30000), 1);
}

static uint32_t put_plug(rig *self)
{
    uint32_t place = give(self, a_plug(self), NULL);
    await_plug(self);
    return place;
}

/* ---- What they do ---- */

static void each_kind_does_what_is_asked(void **state)
{
    (void)state;
    rig self;
    open_rig(&self, 2);
    char text[8] = "";
    tina__io_completion done = do_it(&self, a_write(&self, "hello", 5, 100), NULL);
    assert_int_equal(done.status, TINA_OK);
    assert_int_equal(done.size, 5);
    assert_int_equal(done.token, 100);
    tina__io_request reading = {.kind = TINA__IO_READ, .os_fd = self.file, .size = 5, .offset = 100};
    done = do_it(&self, reading, text);
    assert_int_equal(done.status, TINA_OK);
    assert_int_equal(done.size, 5);
    assert_int_equal(done.buffer, TINA__BUFFER_NONE);
    assert_string_equal(text, "hello");
    done = do_it(&self, (tina__io_request){.kind = TINA__IO_TRUNCATE, .os_fd = self.file, .offset = 102}, NULL);
    assert_int_equal(done.status, TINA_OK);
    done = do_it(&self, (tina__io_request){.kind = TINA__IO_STAT, .os_fd = self.file}, NULL);
    assert_int_equal(done.size, 102);
    done = do_it(&self, (tina__io_request){.kind = TINA__IO_SYNC, .os_fd = self.file}, NULL);
    assert_int_equal(done.status, TINA_OK);
    done = do_it(&self, reading, text);
    assert_int_equal(done.size, 2);
    reading.offset = 102;
    done = do_it(&self, reading, text);
    assert_int_equal(done.status, TINA_OK);
    assert_int_equal(done.size, 0);
    close_rig(&self);
}

static void names_are_opened_renamed_and_unlinked(void **state)
{
    (void)state;
    rig self;
    open_rig(&self, 1);
    char folder[] = "/tmp/tina-threads-XXXXXX", paths[128];
    assert_non_null(mkdtemp(folder));
    uint32_t first = (uint32_t)snprintf(paths, 64, "%s/a", folder) + 1;
    snprintf(paths + first, 64, "%s/b", folder);
    tina__io_request opening = an_open(paths);
    assert_int_equal(do_it(&self, opening, NULL).status, TINA_NOT_FOUND);
    opening.flags = TINA_OPEN_WRITE | TINA_OPEN_CREATE;
    opening.mode = 0600;
    tina__io_completion done = do_it(&self, opening, NULL);
    assert_int_equal(done.status, TINA_OK);
    assert_int_equal(done.fd_class, TINA__FD_FILE);
    close(done.os_fd);
    tina__io_request renaming = {.kind = TINA__IO_RENAME, .data = paths, .size = first};
    assert_int_equal(do_it(&self, renaming, NULL).status, TINA_OK);
    assert_int_equal(do_it(&self, renaming, NULL).status, TINA_NOT_FOUND);
    tina__io_request unlinking = {.kind = TINA__IO_UNLINK, .data = paths + first};
    assert_int_equal(do_it(&self, unlinking, NULL).status, TINA_OK);
    assert_int_equal(do_it(&self, unlinking, NULL).status, TINA_NOT_FOUND);
    assert_int_equal(rmdir(folder), 0);
    close_rig(&self);
}

static void sendfile_to_a_full_socket_does_not_wait(void **state)
{
    (void)state;
    rig self;
    open_rig(&self, 1);
    assert_int_equal(fcntl(self.plug[0], F_SETFL, O_NONBLOCK), 0);
    uint64_t sent = 0;
    tina__io_completion done;
    while ((done = do_it(&self, a_plug(&self), NULL)).status == TINA_OK)
        sent += done.size;
    assert_int_equal(done.status, TINA_BUSY);
    assert_in_range(sent, 1, PLUG_SIZE - 1);
    tina__io_request at_end = a_plug(&self);
    at_end.offset = 8 * PLUG_SIZE;
    done = do_it(&self, at_end, NULL);
    assert_int_equal(done.status, TINA_OK);
    assert_int_equal(done.size, 0);
    close(self.plug[1]);
    assert_int_equal(do_it(&self, a_plug(&self), NULL).status, TINA_RESET); /* and no signal */
    self.plug[1] = dup(self.plug[0]);
    close_rig(&self);
}

/* ---- Places ---- */

static void give_when_all_places_are_taken_is_refused(void **state)
{
    (void)state;
    rig self;
    open_rig(&self, 1);
    (void)put_plug(&self);
    uint32_t count = tina__file_threads_place_count(self.threads);
    assert_int_equal(count, TINA__FILE_PLACES_PER_THREAD);
    for (uint32_t i = 1; i < count; i++)
        assert_int_not_equal(give(&self, a_write(&self, "x", 1, i), NULL), TINA__NONE);
    assert_int_equal(give(&self, a_write(&self, "x", 1, count), NULL), TINA__NONE);
    assert_int_equal(tina__file_threads_reap(self.threads), TINA__NONE);
    pull_plug(&self);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t place = await(&self); /* in order: there is one thread */
        assert_int_equal(tina__file_threads_completion(self.threads, place)->token, i == 0 ? 77 : i);
        tina__file_threads_free(self.threads, place);
    }
    assert_int_not_equal(give(&self, a_write(&self, "x", 1, 0), NULL), TINA__NONE);
    close_rig(&self);
}

static void take_back_of_what_was_not_begun_undoes_it(void **state)
{
    (void)state;
    rig self;
    open_rig(&self, 1);
    uint32_t plug = put_plug(&self);
    uint32_t places[4];
    for (uint32_t i = 0; i < 4; i++)
        places[i] = give(&self, a_write(&self, "x", 1, i), NULL);
    assert_false(tina__file_threads_take_back(self.threads, plug));
    assert_true(tina__file_threads_take_back(self.threads, places[3])); /* the last, one from the middle, the first */
    assert_true(tina__file_threads_take_back(self.threads, places[1]));
    assert_true(tina__file_threads_take_back(self.threads, places[0]));
    pull_plug(&self);
    assert_int_equal(await(&self), plug);
    assert_int_equal(await(&self), places[2]);
    assert_false(tina__file_threads_take_back(self.threads, places[2])); /* it is done */
    char bytes[4];
    assert_int_equal(pread(self.file, bytes, 4, 0), 4);
    assert_memory_equal(bytes, "\0\0x\0", 4);
    close_rig(&self);
}

static uint64_t wakes(const rig *self)
{
    uint64_t count;
    return read(self->wake_fd, &count, sizeof count) == sizeof count ? count : 0;
}

static void wake_comes_once_for_all_that_is_done_until_it_was_reaped(void **state)
{
    (void)state;
    rig self;
    open_rig(&self, 1);
    uint32_t first = put_plug(&self);
    uint32_t second = give(&self, a_write(&self, "x", 1, 0), NULL);
    uint32_t third = give(&self, a_plug(&self), NULL);
    assert_int_equal(wakes(&self), 0);
    pull_plug(&self);
    await_plug(&self); /* the thread is at the third, so the others are done */
    assert_int_equal(wakes(&self), 1);
    assert_int_equal(tina__file_threads_reap(self.threads), first);
    assert_int_equal(tina__file_threads_reap(self.threads), second);
    assert_int_equal(tina__file_threads_reap(self.threads), TINA__NONE);
    pull_plug(&self);
    assert_int_equal(await(&self), third); /* woken anew, or it would wait for ever */
    close_rig(&self);
}

/* ---- Ending ---- */

static void abandon_drops_what_waits_and_waits_for_what_runs(void **state)
{
    (void)state;
    rig self;
    open_rig(&self, 1);
    (void)put_plug(&self);
    (void)give(&self, a_write(&self, "x", 1, 0), NULL);
    pthread_t puller;
    assert_int_equal(pthread_create(&puller, NULL, pull_plug, &self), 0);
    assert_true(tina__file_threads_abandon(self.threads));
    assert_int_equal(pthread_join(puller, NULL), 0);
    assert_int_equal(tina__file_threads_reap(self.threads), TINA__NONE);
    char byte = 'y';
    assert_int_equal(pread(self.file, &byte, 1, 0), 1);
    assert_int_equal(byte, 0);
    /* And all places are free. */
    for (uint32_t i = 0; i < TINA__FILE_PLACES_PER_THREAD; i++)
        assert_int_not_equal(give(&self, a_write(&self, "x", 1, 0), NULL), TINA__NONE);
    for (uint32_t i = 0; i < TINA__FILE_PLACES_PER_THREAD; i++)
        (void)await(&self);
    close_rig(&self);
}

static void abandon_closes_what_opens_brought(void **state)
{
    (void)state;
    rig self;
    open_rig(&self, 1);
    size_t fds = tina_test_fd_count();
    (void)give(&self, an_open("/"), NULL);
    (void)give(&self, an_open("/tmp"), NULL);
    uint32_t reaped = await(&self);
    assert_int_not_equal(tina__file_threads_completion(self.threads, reaped)->os_fd, -1);
    uint32_t taken = await(&self);
    int os_fd = tina__file_threads_completion(self.threads, taken)->os_fd;
    tina__file_threads_free(self.threads, taken); /* somebody else's by now */
    (void)give(&self, an_open("/"), NULL);
    assert_true(tina__file_threads_abandon(self.threads));
    assert_int_equal(tina_test_fd_count(), fds + 1);
    close(os_fd);
    (void)give(&self, an_open("/"), NULL);
    close_rig(&self); /* the same, whether it had begun or not */
}

/* It ends when it can, in memory that is still there, and wakes nobody. */
static void abandon_of_a_thread_that_is_stuck_gives_up(void **state)
{
    (void)state;
    rig self;
    open_rig(&self, 2);
    (void)put_plug(&self);
    assert_false(tina__file_threads_abandon(self.threads));
    assert_false(tina__file_threads_close(self.threads)); /* the other has ended */
    pull_plug(&self);
    assert_true(tina__file_threads_close(self.threads));
    assert_int_equal(wakes(&self), 0);
    release_rig(&self);
}

static void open_with_many_threads_ends_them_all(void **state)
{
    (void)state;
    rig self;
    for (int i = 0; i < 8; i++) {
        open_rig(&self, 64);
        close_rig(&self);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_does_what_is_asked),
        cmocka_unit_test(names_are_opened_renamed_and_unlinked),
        cmocka_unit_test(sendfile_to_a_full_socket_does_not_wait),
        cmocka_unit_test(give_when_all_places_are_taken_is_refused),
        cmocka_unit_test(take_back_of_what_was_not_begun_undoes_it),
        cmocka_unit_test(wake_comes_once_for_all_that_is_done_until_it_was_reaped),
        cmocka_unit_test(abandon_drops_what_waits_and_waits_for_what_runs),
        cmocka_unit_test(abandon_closes_what_opens_brought),
        cmocka_unit_test(abandon_of_a_thread_that_is_stuck_gives_up),
        cmocka_unit_test(open_with_many_threads_ends_them_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
