/*
 * epoll, for kernels and containers that refuse io_uring. A descriptor is watched,
 * edge-triggered and for everything, from the first time that it would block until
 * it is closed: one system call in its life.
 */
#define _GNU_SOURCE 1
#include "base/assert.h"
#include "base/bits.h"
#include "io/ready.h"
#include "io/sockets.h"

#include <errno.h>
#include <limits.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_MAX 256 /* taken from the kernel at once */
#define WAKE_WORD  UINT64_MAX

struct tina__backend {
    tina__ready ready;
    int epoll_fd;
    int wake_fd;
    bool has_fine_wait; /* epoll_pwait2 */
    struct epoll_event events[EVENTS_MAX];
};
TINA_STATIC_ASSERT(sizeof(tina__backend) % sizeof(void *) == 0, "what follows it is aligned");

static size_t memory_size(const tina__backend_config *config)
{
    return sizeof(tina__backend) + tina__ready_memory_size(config);
}

static tina_status open_failed(int *os_error, const char **why, const char *what)
{
    *os_error = errno;
    *why = what;
    return tina__sock_status(*os_error) == TINA_POOL_EXHAUSTED ? TINA_POOL_EXHAUSTED : TINA_UNSUPPORTED;
}

static tina_status open_backend(const tina__backend_config *config, tina__backend **backend, int *os_error, const char **why)
{
    tina__backend *self = config->memory;
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0)
        return open_failed(os_error, why, "epoll_create1 is refused");
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = WAKE_WORD};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, config->wake_fd, &event) != 0) {
        tina_status status = open_failed(os_error, why, "epoll_ctl is refused");
        close(epoll_fd);
        return status;
    }
    tina__ready_init(&self->ready, config, self + 1);
    self->epoll_fd = epoll_fd;
    self->wake_fd = config->wake_fd;
    self->has_fine_wait = true;
    *os_error = 0;
    *why = "";
    *backend = self;
    return TINA_OK;
}

/* ---- Requests ---- */

static uint64_t watch_word(uint32_t slot, uint32_t generation) { return (uint64_t)generation << 32 | slot; }

static void watch(tina__backend *backend, tina__io_request *request)
{
    tina__ready_fd *fd = &backend->ready.fds[request->slot];
    if (fd->is_watched)
        return;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP | EPOLLET,
                                .data.u64 = watch_word(request->slot, fd->generation)};
    int result = epoll_ctl(backend->epoll_fd, EPOLL_CTL_ADD, request->os_fd, &event);
    if (result != 0 && errno == EEXIST) /* a copy of an earlier descriptor of this number keeps its watch alive */
        result = epoll_ctl(backend->epoll_fd, EPOLL_CTL_MOD, request->os_fd, &event);
    if (result == 0) {
        fd->os_fd = request->os_fd;
        fd->is_watched = true;
        return;
    }
    int os_error = errno;
    /* ENOSPC is the user's limit on watches, not a disk. */
    tina_status status = os_error == ENOSPC ? TINA_POOL_EXHAUSTED : tina__sock_status(os_error);
    tina__ready_refuse(&backend->ready, request, status, os_error);
}

static void submit_one(tina__backend *backend, tina__io_request *request)
{
    if (tina__ready_submit(&backend->ready, request))
        watch(backend, request);
}

static void submit(tina__backend *backend, tina__io_request *requests)
{
    while (requests != NULL) {
        tina__io_request *request = requests;
        requests = request->next;
        submit_one(backend, request);
    }
}

static void cancel(tina__backend *backend, tina__io_request *request) { tina__ready_cancel(&backend->ready, request); }

static void lend(tina__backend *backend, uint32_t buffer) { tina__ready_lend(&backend->ready, buffer); }

static uint32_t collect(tina__backend *backend, tina__io_completion *completions, uint32_t max)
{
    uint32_t count = 0;
    while (count < max && backend->ready.done.first != NULL) {
        tina__io_request *request = tina__requests_pop(&backend->ready.done);
        if (tina__ready_goes_again(&backend->ready, request))
            submit_one(backend, request);
        else
            completions[count++] = tina__ready_hand_out(&backend->ready, request);
    }
    tina__ready_hands_off(&backend->ready);
    return count;
}

static void close_fd(tina__backend *backend, int os_fd, uint32_t slot)
{
    if (slot != TINA__SLOT_NONE)
        tina__ready_forget(&backend->ready, slot);
    close(os_fd);
}

static void let_go(tina__backend *backend, int os_fd, uint32_t slot)
{
    if (backend->ready.fds[slot].is_watched)
        epoll_ctl(backend->epoll_fd, EPOLL_CTL_DEL, os_fd, NULL);
    tina__ready_forget(&backend->ready, slot);
}

/* ---- Ending everything ---- */

static bool abandon(tina__backend *backend)
{
    for (uint32_t slot = 0; slot < backend->ready.fd_count; slot++) {
        const tina__ready_fd *fd = &backend->ready.fds[slot];
        if (fd->is_watched)
            epoll_ctl(backend->epoll_fd, EPOLL_CTL_DEL, fd->os_fd, NULL);
    }
    tina__ready_abandon(&backend->ready);
    tina__os_event_signal(backend->wake_fd); /* whoever did so may have been read, and not been heard */
    return true;
}

static void close_backend(tina__backend *backend)
{
    tina__ready_abandon(&backend->ready);
    close(backend->epoll_fd);
}

/* ---- The turn ---- */

/* Rounded up: to wake early would be to wake twice. */
static int milliseconds(uint64_t wait_ns)
{
    if (wait_ns == TINA_NONE_NS)
        return -1;
    return (int)tina__min_u64(wait_ns / 1000000 + (wait_ns % 1000000 != 0), INT_MAX);
}

static int wait_for_events(tina__backend *backend, uint64_t wait_ns)
{
    if (wait_ns != 0 && wait_ns != TINA_NONE_NS && backend->has_fine_wait) {
        struct timespec wait = {.tv_sec = (time_t)(wait_ns / 1000000000), .tv_nsec = (long)(wait_ns % 1000000000)};
        int count = epoll_pwait2(backend->epoll_fd, backend->events, EVENTS_MAX, &wait, NULL);
        if (count >= 0 || errno == EINTR)
            return count;
        backend->has_fine_wait = false; /* an old kernel, or a filter that does not know it */
    }
    return epoll_wait(backend->epoll_fd, backend->events, EVENTS_MAX, milliseconds(wait_ns));
}

static void empty_wake(tina__backend *backend)
{
    uint64_t count;
    ssize_t ignored = read(backend->wake_fd, &count, sizeof count);
    (void)ignored;
}

static void handle_event(tina__backend *backend, uint64_t word, uint32_t events)
{
    if (word == WAKE_WORD) {
        empty_wake(backend);
        return;
    }
    uint32_t slot = (uint32_t)word;
    if (backend->ready.fds[slot].generation != (uint32_t)(word >> 32))
        return;
    bool is_over = (events & (EPOLLHUP | EPOLLERR)) != 0;
    tina__ready_tell(&backend->ready, slot,
                     (tina__ready_event){
                         .may_read = is_over || (events & (EPOLLIN | EPOLLPRI | EPOLLRDHUP)) != 0,
                         .may_write = is_over || (events & EPOLLOUT) != 0,
                         .is_ending = is_over || (events & (EPOLLPRI | EPOLLRDHUP)) != 0,
                     });
}

static void flush(tina__backend *backend, uint64_t wait_ns)
{
    if (backend->ready.done.first != NULL)
        wait_ns = 0;
    if (wait_ns == 0 && backend->ready.waiting_count == 0)
        return;
    /* All that is ready now; what becomes ready meanwhile must not keep us here for ever. */
    uint32_t rounds_left = backend->ready.fd_count / EVENTS_MAX + 1;
    int count;
    do {
        count = wait_for_events(backend, wait_ns);
        for (int i = 0; i < count; i++)
            handle_event(backend, backend->events[i].data.u64, backend->events[i].events);
        wait_ns = 0;
    } while (count == EVENTS_MAX && --rounds_left != 0);
}

const tina__backend_api tina__epoll_backend = {
    .name = "epoll",
    .id = TINA_BACKEND_EPOLL,
    .memory_size = memory_size,
    .open = open_backend,
    .abandon = abandon,
    .close = close_backend,
    .submit = submit,
    .cancel = cancel,
    .lend = lend,
    .flush = flush,
    .collect = collect,
    .wake = wake_shard,
    .socket_open = socket_open,
    .socket_bind = socket_bind,
    .socket_listen = socket_listen,
    .socket_local = socket_local,
    .socket_peer = socket_peer,
    .socket_set = socket_set,
    .socket_get = socket_get,
    .socket_shutdown = socket_shutdown,
    .adopt = adopt,
    .close_fd = close_fd,
    .let_go = let_go,
    .take_over = take_over,
};
