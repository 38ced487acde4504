/*
 * epoll, for kernels and containers that refuse io_uring. A descriptor is watched,
 * edge-triggered and for everything, from the first time that it would block until
 * it is closed. The watch is ended by itself then: where another process, or the
 * program, has a copy of the descriptor, it would outlive the closing, and wake us
 * for what is not ours any more.
 */
#define _GNU_SOURCE 1
#include "base/assert.h"
#include "base/bits.h"
#include "base/handle.h"
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
    bool is_lent;       /* epoll_fd is the config's poller */
    bool has_fine_wait; /* epoll_pwait2 */
    struct epoll_event events[EVENTS_MAX];
};

#define READY_OFFSET tina__align_up(sizeof(tina__backend), 64)

static size_t memory_size(const tina__backend_config *config) { return READY_OFFSET + tina__ready_memory_size(config); }

static tina_status open_failed(int *os_error, const char **why, const char *what)
{
    *os_error = errno;
    *why = what;
    return tina__sock_status(*os_error) == TINA_POOL_EXHAUSTED ? TINA_POOL_EXHAUSTED : TINA_UNSUPPORTED;
}

static void close_epoll(const tina__backend *self)
{
    if (!self->is_lent)
        close(self->epoll_fd);
}

static tina_status open_epoll(tina__backend *self, const tina__backend_config *config, int *os_error, const char **why)
{
    self->is_lent = config->has_poller;
    self->epoll_fd = config->has_poller ? config->poller : epoll_create1(EPOLL_CLOEXEC);
    if (self->epoll_fd < 0)
        return open_failed(os_error, why, "epoll_create1 is refused");
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = WAKE_WORD};
    int how = config->has_poller ? EPOLL_CTL_MOD : EPOLL_CTL_ADD; /* in a poller it is already */
    if (epoll_ctl(self->epoll_fd, how, config->wake_fd, &event) == 0)
        return TINA_OK;
    tina_status status = open_failed(os_error, why, "epoll_ctl is refused");
    close_epoll(self);
    return status;
}

static tina_status open_backend(const tina__backend_config *config, tina__backend **backend, int *os_error, const char **why)
{
    tina__backend *self = config->memory;
    *os_error = 0;
    *why = "";
    tina_status status = open_epoll(self, config, os_error, why);
    if (status != TINA_OK)
        return status;
    status = tina__ready_open(&self->ready, config, (uint8_t *)self + READY_OFFSET, os_error);
    if (status != TINA_OK) {
        *why = "a thread for files does not start";
        close_epoll(self);
        return status;
    }
    self->wake_fd = config->wake_fd;
    self->has_fine_wait = true;
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
        tina__ready_watched(&backend->ready, request);
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

static void lend(tina__backend *backend, uint32_t buffer) { tina__lent_push(&backend->ready.lent, buffer); }

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

static void end_watch(const tina__backend *backend, uint32_t slot)
{
    const tina__ready_fd *fd = &backend->ready.fds[slot];
    if (fd->is_watched)
        epoll_ctl(backend->epoll_fd, EPOLL_CTL_DEL, fd->os_fd, NULL);
}

static void let_go(tina__backend *backend, int os_fd, uint32_t slot)
{
    (void)os_fd;
    end_watch(backend, slot);
    tina__ready_forget(&backend->ready, slot);
}

static void close_fd(tina__backend *backend, int os_fd, uint32_t slot)
{
    if (slot != TINA__SLOT_NONE)
        let_go(backend, os_fd, slot);
    close(os_fd);
}

/* ---- Ending everything ---- */

static bool abandon(tina__backend *backend)
{
    for (uint32_t slot = 0; slot < backend->ready.fd_count; slot++)
        end_watch(backend, slot);
    bool is_quiet = tina__ready_abandon(&backend->ready);
    tina__os_event_signal(backend->wake_fd); /* whoever did so may have been read, and not been heard */
    return is_quiet;
}

static void close_backend(tina__backend *backend)
{
    tina__ready_close(&backend->ready);
    close_epoll(backend);
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

/* True: it was the wake. */
static bool handle_event(tina__backend *backend, uint64_t word, uint32_t events)
{
    if (word == WAKE_WORD) {
        empty_wake(backend);
        return true;
    }
    uint32_t slot = (uint32_t)word;
    if (backend->ready.fds[slot].generation != (uint32_t)(word >> 32))
        return false;
    bool is_over = (events & (EPOLLHUP | EPOLLERR)) != 0;
    tina__ready_tell(&backend->ready, slot,
                     (tina__ready_event){
                         .may_read = is_over || (events & (EPOLLIN | EPOLLPRI | EPOLLRDHUP)) != 0,
                         .may_write = is_over || (events & EPOLLOUT) != 0,
                         .is_ending = is_over || (events & (EPOLLPRI | EPOLLRDHUP)) != 0,
                     });
    return false;
}

/* All that is ready now; what becomes ready meanwhile must not keep us here for ever. True: woken, or interrupted. */
static bool handle_events(tina__backend *backend, uint64_t wait_ns)
{
    uint32_t rounds_left = backend->ready.fd_count / EVENTS_MAX + 1;
    bool is_woken = false;
    int count;
    do {
        count = wait_for_events(backend, wait_ns);
        for (int i = 0; i < count; i++)
            is_woken |= handle_event(backend, backend->events[i].data.u64, backend->events[i].events);
        wait_ns = 0;
    } while (count == EVENTS_MAX && --rounds_left != 0);
    return is_woken || count < 0;
}

static void turn_ready(tina__ready *ready) { tina__ready_turn(ready, ready->polls.count != 0 ? tina__os_now_ns() : 0); }

/* Before it waits, and after: what a thread has done in between has signalled the wake_fd. */
static bool turn(tina__backend *backend, uint64_t wait_ns)
{
    if (backend->ready.polls.count != 0 && wait_ns != 0)
        wait_ns = tina__min_u64(wait_ns, tina__ready_polls_wait(&backend->ready, tina__os_now_ns()));
    bool is_woken = handle_events(backend, wait_ns);
    turn_ready(&backend->ready);
    return is_woken || backend->ready.done.first != NULL;
}

/* The time at which a wait ends, or 0 and NONE as they are. */
static uint64_t end_of(uint64_t wait_ns)
{
    bool is_limited = wait_ns != 0 && wait_ns != TINA_NONE_NS;
    return is_limited ? tina__add_saturating(tina__os_now_ns(), wait_ns) : wait_ns;
}

static uint64_t left_until(uint64_t end_ns)
{
    if (end_ns == 0 || end_ns == TINA_NONE_NS)
        return end_ns;
    uint64_t now_ns = tina__os_now_ns();
    return now_ns < end_ns ? end_ns - now_ns : 0;
}

/* An event may bring nothing to collect, as for data that nobody wants to receive yet: then it waits on. */
static void flush(tina__backend *backend, uint64_t wait_ns)
{
    turn_ready(&backend->ready);
    if (backend->ready.done.first != NULL)
        wait_ns = 0;
    if (wait_ns == 0 && backend->ready.waiting_count == 0)
        return;
    uint64_t end_ns = end_of(wait_ns);
    do {
        if (turn(backend, wait_ns))
            return;
        wait_ns = left_until(end_ns);
    } while (wait_ns != 0);
}

/*
 * The watches are edge-triggered: what was told is taken here, also of those who want
 * nothing now, so that the poller is not readable because of it for ever. A wake that
 * came since the poller's watcher looked may be taken with it, and counts as news.
 */
static uint64_t rest(tina__backend *backend)
{
    bool is_woken = handle_events(backend, 0);
    uint64_t now_ns = backend->ready.polls.count != 0 ? tina__os_now_ns() : 0;
    tina__ready_turn(&backend->ready, now_ns);
    if (is_woken || backend->ready.done.first != NULL)
        return 0;
    return backend->ready.polls.count != 0 ? tina__ready_polls_wait(&backend->ready, now_ns) : TINA_NONE_NS;
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
    .rest = rest,
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
