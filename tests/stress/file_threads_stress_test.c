/*
 * Threads for files under load: each byte that was written is read back, whatever
 * is taken back or abandoned between; and files that go to sockets through the
 * epoll backend arrive whole, while readers are slow and edges come at any moment.
 */
#define _GNU_SOURCE 1
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bits.h"
#include "base/fd_class.h"
#include "base/handle.h"
#include "base/prng.h"
#include "io/file_threads.h"
#include "support/leaks.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#if defined(__SANITIZE_THREAD__)
#define STEP_COUNT 20000u
#define FILE_SIZE  (1u << 20)
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define STEP_COUNT 20000u
#define FILE_SIZE  (1u << 20)
#endif
#endif
#ifndef STEP_COUNT
#define STEP_COUNT 200000u
#define FILE_SIZE  (8u << 20)
#endif

#define THREAD_COUNT 4
#define BLOCK_COUNT  64
#define BLOCK_SIZE   512

/* ---- Blocks of a file, written and read ---- */

typedef struct block {
    uint8_t data[BLOCK_SIZE]; /* what is written, or where to it is read */
    uint32_t place;           /* NONE: nothing is under way */
    uint8_t kind;
    uint8_t content; /* of the block in the file */
    bool is_known;   /* the content: nothing that may have been written was given up */
} block;

typedef struct blocks {
    tina__file_threads *threads;
    int wake_fd;
    int file;
    tina__prng random;
    block all[BLOCK_COUNT];
    uint32_t under_way, wrong, compared;
} blocks;

static void *zeroed(size_t size)
{
    void *memory = aligned_alloc(4096, tina__align_up(size, 4096));
    assert_non_null(memory);
    return memset(memory, 0, tina__align_up(size, 4096));
}

static void begin(blocks *self, uint32_t index)
{
    block *one = &self->all[index];
    one->kind = tina__prng_below(&self->random, 2) == 0 ? TINA__IO_READ : TINA__IO_WRITE;
    if (one->kind == TINA__IO_WRITE)
        memset(one->data, (int)tina__prng_below(&self->random, 256), BLOCK_SIZE);
    tina__io_request request = {
        .token = index,
        .kind = one->kind,
        .os_fd = self->file,
        .data = one->data,
        .size = BLOCK_SIZE,
        .offset = (uint64_t)index * BLOCK_SIZE,
    };
    one->place = tina__file_threads_give(self->threads, &request, one->data);
    self->under_way += one->place != TINA__NONE;
}

static void finish(blocks *self, uint32_t place)
{
    tina__io_completion done = *tina__file_threads_completion(self->threads, place);
    tina__file_threads_free(self->threads, place);
    block *one = &self->all[done.token];
    self->wrong += one->place != place || done.status != TINA_OK || done.size != BLOCK_SIZE;
    one->place = TINA__NONE;
    self->under_way--;
    if (one->kind == TINA__IO_READ && one->is_known) {
        for (uint32_t i = 0; i < BLOCK_SIZE; i++)
            self->wrong += one->data[i] != one->content;
        self->compared++;
    }
    if (one->kind == TINA__IO_WRITE) {
        one->content = one->data[0];
        one->is_known = true;
    }
}

static void wait_for_wake(const blocks *self)
{
    struct pollfd look = {.fd = self->wake_fd, .events = POLLIN};
    uint64_t count;
    assert_int_equal(poll(&look, 1, 60000), 1);
    assert_int_equal(read(self->wake_fd, &count, sizeof count), sizeof count);
}

/* Until there is something, if there is anything to wait for. */
static void reap(blocks *self)
{
    uint32_t before = self->under_way;
    while (self->under_way == before && before != 0) {
        for (uint32_t place; (place = tina__file_threads_reap(self->threads)) != TINA__NONE;)
            finish(self, place);
        if (self->under_way == before)
            wait_for_wake(self);
    }
}

static void take_back(blocks *self, uint32_t index)
{
    block *one = &self->all[index];
    if (one->place == TINA__NONE || !tina__file_threads_take_back(self->threads, one->place))
        return;
    one->place = TINA__NONE;
    self->under_way--;
}

static void abandon(blocks *self)
{
    assert_true(tina__file_threads_abandon(self->threads));
    assert_int_equal(tina__file_threads_reap(self->threads), TINA__NONE);
    for (uint32_t i = 0; i < BLOCK_COUNT; i++) {
        block *one = &self->all[i];
        if (one->place != TINA__NONE && one->kind == TINA__IO_WRITE)
            one->is_known = false;
        one->place = TINA__NONE;
    }
    self->under_way = 0;
}

static void step(blocks *self)
{
    uint32_t index = (uint32_t)tina__prng_below(&self->random, BLOCK_COUNT);
    uint32_t dice = (uint32_t)tina__prng_below(&self->random, 1000);
    if (dice == 0)
        abandon(self);
    else if (dice < 100)
        take_back(self, index);
    else if (self->all[index].place == TINA__NONE)
        begin(self, index);
    if (dice % 16 == 15)
        reap(self);
}

static void blocks_are_read_as_they_were_written(void **state)
{
    (void)state;
    size_t fds_before = tina_test_fd_count();
    blocks *self = zeroed(sizeof *self);
    void *memory = zeroed(tina__file_threads_memory_size(THREAD_COUNT));
    int os_error;
    self->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    self->file = memfd_create("tina", MFD_CLOEXEC);
    assert_int_equal(ftruncate(self->file, BLOCK_COUNT * BLOCK_SIZE), 0);
    tina__prng_seed(&self->random, 5);
    for (uint32_t i = 0; i < BLOCK_COUNT; i++)
        self->all[i] = (block){.place = TINA__NONE, .is_known = true};
    assert_int_equal(tina__file_threads_open(THREAD_COUNT, self->wake_fd, memory, &self->threads, &os_error), TINA_OK);
    for (uint32_t i = 0; i < STEP_COUNT; i++)
        step(self);
    while (self->under_way != 0)
        reap(self);
    assert_true(tina__file_threads_close(self->threads));
    assert_int_equal(self->wrong, 0);
    assert_true(self->compared > STEP_COUNT / 100);
    close(self->wake_fd);
    close(self->file);
    free(memory);
    free(self);
    assert_int_equal(tina_test_fd_count(), fds_before);
}

/* ---- Files to sockets ---- */

#define SENDER_COUNT 4

typedef struct sender {
    tina__io_request request;
    _Alignas(16) uint8_t memory[128];
    pthread_t reader;
    int ends[2];
    uint64_t received, sum; /* the reader's */
} sender;

/* As it comes, and now and then not at once. */
static void *read_all(void *argument)
{
    sender *self = argument;
    uint8_t bytes[4096];
    ssize_t size;
    for (uint32_t turn = 0; (size = read(self->ends[1], bytes, 1 + tina__mix64(turn) % sizeof bytes)) > 0; turn++) {
        for (ssize_t i = 0; i < size; i++)
            self->sum += bytes[i] * (self->received + (uint64_t)i + 1);
        self->received += (uint64_t)size;
        for (uint64_t pause = tina__mix64(turn) % 64; pause > 58; pause--)
            sched_yield();
    }
    return NULL;
}

static void submit_rest(const tina__backend_api *api, tina__backend *backend, sender *self)
{
    self->request.next = NULL;
    self->request.size = (uint32_t)(FILE_SIZE - self->request.offset);
    api->submit(backend, &self->request);
}

/* Returns how many have come to their end. */
static uint32_t go_on(const tina__backend_api *api, tina__backend *backend, sender *senders)
{
    tina__io_completion completions[SENDER_COUNT];
    uint32_t over = 0;
    uint32_t count = api->collect(backend, completions, SENDER_COUNT);
    for (uint32_t i = 0; i < count; i++) {
        sender *one = &senders[completions[i].token];
        assert_int_equal(completions[i].status, TINA_OK);
        assert_in_range(completions[i].size, 1, FILE_SIZE - one->request.offset);
        one->request.offset += completions[i].size;
        if (one->request.offset == FILE_SIZE)
            over++;
        else
            submit_rest(api, backend, one);
    }
    return over;
}

static int make_file(uint64_t *sum)
{
    int file = memfd_create("tina", MFD_CLOEXEC);
    uint8_t *bytes = malloc(FILE_SIZE);
    assert_non_null(bytes);
    for (uint32_t i = 0; i < FILE_SIZE; i++) {
        bytes[i] = (uint8_t)tina__mix64(i);
        *sum += bytes[i] * ((uint64_t)i + 1);
    }
    assert_int_equal(write(file, bytes, FILE_SIZE), FILE_SIZE);
    free(bytes);
    return file;
}

static void open_sender(sender *self, uint32_t index, int file)
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, self->ends), 0);
    self->request = (tina__io_request){
        .token = index,
        .slot = index,
        .os_fd = self->ends[0],
        .file_fd = file,
        .kind = TINA__IO_SENDFILE,
        .fd_class = TINA__FD_STREAM,
        .backend_memory = self->memory,
    };
    assert_int_equal(pthread_create(&self->reader, NULL, read_all, self), 0);
}

static void close_sender(const tina__backend_api *api, tina__backend *backend, sender *self, uint64_t sum)
{
    api->close_fd(backend, self->ends[0], self->request.slot);
    assert_int_equal(pthread_join(self->reader, NULL), 0);
    assert_int_equal(self->received, FILE_SIZE);
    assert_int_equal(self->sum, sum);
    close(self->ends[1]);
}

static void files_arrive_whole_at_slow_readers(void **state)
{
    (void)state;
    size_t fds_before = tina_test_fd_count();
    const tina__backend_api *api = &tina__epoll_backend;
    tina__backend_config config = {.fd_count = SENDER_COUNT, .op_count = SENDER_COUNT, .file_threads = 2};
    config.memory = zeroed(api->memory_size(&config));
    config.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    tina__backend *backend;
    int os_error;
    const char *why;
    assert_int_equal(api->open(&config, &backend, &os_error, &why), TINA_OK);
    uint64_t sum = 0;
    int file = make_file(&sum);
    sender *senders = zeroed(SENDER_COUNT * sizeof *senders);
    for (uint32_t i = 0; i < SENDER_COUNT; i++) {
        uint8_t fd_class;
        open_sender(&senders[i], i, file);
        assert_int_equal(api->adopt(backend, senders[i].ends[0], &fd_class, &os_error), TINA_OK);
        submit_rest(api, backend, &senders[i]);
    }
    for (uint32_t over = 0; over < SENDER_COUNT;) {
        api->flush(backend, TINA_NONE_NS);
        over += go_on(api, backend, senders);
    }
    for (uint32_t i = 0; i < SENDER_COUNT; i++)
        close_sender(api, backend, &senders[i], sum);
    api->close(backend);
    close(file);
    close(config.wake_fd);
    free(config.memory);
    free(senders);
    assert_int_equal(tina_test_fd_count(), fds_before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_read_as_they_were_written),
        cmocka_unit_test(files_arrive_whole_at_slow_readers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
