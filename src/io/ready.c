#include "io/ready.h"

#include "base/assert.h"
#include "base/bits.h"
#include "base/handle.h"
#include "io/attempt.h"
#include "os/sock_posix.h"

#include <errno.h>
#include <unistd.h>

/* ---- Opening ---- */

#define ALIGNMENT 64

static size_t fds_size(const tina__backend_config *config)
{
    return tina__align_up(config->fd_count * sizeof(tina__ready_fd), ALIGNMENT);
}

static size_t files_size(const tina__backend_config *config)
{
    return tina__align_up(tina__files_memory_size(config->file_threads), ALIGNMENT);
}

size_t tina__ready_memory_size(const tina__backend_config *config)
{
    return fds_size(config) + files_size(config) + config->buffer_count * sizeof(uint32_t);
}

tina_status tina__ready_open(tina__ready *ready, const tina__backend_config *config, void *memory, int *os_error)
{
    uint8_t *files = (uint8_t *)memory + fds_size(config);
    uint32_t *stack = (void *)(files + files_size(config));
    *ready = (tina__ready){
        .fds = memory,
        .fd_count = config->fd_count,
        .handed = TINA__NONE,
        .polls = tina__ready_polls_make(),
        .lent = tina__lent_make(config, stack),
    };
    return tina__files_open(&ready->files, config->file_threads, config->wake_fd, files, &ready->lent, os_error);
}

static tina__ready_fd *fd_at(tina__ready *ready, uint32_t slot)
{
    tina__assert(slot < ready->fd_count);
    return &ready->fds[slot];
}

static bool is_reading(const tina__io_request *request) { return tina__io_reads(request->kind); }

static tina__io_request **place_of(tina__ready_fd *fd, const tina__io_request *request)
{
    return is_reading(request) ? &fd->reader : &fd->writer;
}

static void finish(tina__ready *ready, tina__io_request *request, tina_status status, int os_error)
{
    tina__requests_finish(&ready->done, request, tina__completion_make(request, status, os_error));
}

/* ---- Trying ---- */

/* It is the peer that takes nothing now, and nobody will say when it does. */
static bool waits_for_peer(const tina__io_request *request)
{
    bool is_unix = request->peer != NULL && request->peer->family == TINA_UNIX;
    return is_unix && (request->kind == TINA__IO_CONNECT || request->kind == TINA__IO_SEND_TO);
}

/* True: the request is over; false: it would block. */
static bool try_request(tina__ready *ready, tina__ready_fd *fd, tina__io_request *request)
{
    tina__io_completion completion;
    if (tina__attempt(&ready->lent, fd, request, &completion)) {
        tina__requests_finish(&ready->done, request, completion);
        return true;
    }
    if (waits_for_peer(request)) {
        if (!fd->is_polled) /* left in its line by an earlier one, it is good for this one, too */
            tina__ready_polls_add(ready, (uint32_t)(fd - ready->fds));
    } else if (is_reading(request)) {
        fd->is_drained = true;
    } else {
        fd->is_full = true;
    }
    return false;
}

/* To the threads, which can tell what its socket takes. It stays its descriptor's writer. */
static void work_on(tina__ready *ready, tina__ready_fd *fd, tina__io_request *request)
{
    fd->has_news = false;
    request->backend_state = TINA__READY_WORKING;
    tina__files_submit(&ready->files, request);
}

static bool is_worth_trying(const tina__ready *ready, const tina__ready_fd *fd, const tina__io_request *request)
{
    if (request->kind == TINA__IO_CONNECT || request->no_wait || waits_for_peer(request))
        return true;
    /* Without a buffer an attempt says nothing: where nobody knows whether there is data, the watch will. */
    if (tina__io_fills(request->kind) && ready->lent.count == 0 && !fd->is_watched)
        return false;
    return !(fd->is_watched && (is_reading(request) ? fd->is_drained : fd->is_full));
}

/* A thread is not for finding out that nothing can be taken: before there is a watch, that is not known. */
static bool submit_sendfile(tina__ready *ready, tina__ready_fd *fd, tina__io_request *request)
{
    fd->writer = request;
    ready->waiting_count++;
    if (fd->is_watched && !fd->is_full)
        work_on(ready, fd, request);
    return true;
}

static bool needs_threads(const tina__io_request *request)
{
    return request->kind == TINA__IO_SENDFILE || tina__files_does(request);
}

bool tina__ready_submit(tina__ready *ready, tina__io_request *request)
{
    request->backend_state = TINA__READY_FRESH;
    if (needs_threads(request) && ready->files.threads == NULL) {
        finish(ready, request, TINA_UNSUPPORTED, 0);
        return false;
    }
    if (tina__files_does(request)) {
        request->backend_state = TINA__READY_WORKING;
        tina__files_submit(&ready->files, request);
        return false;
    }
    tina__ready_fd *fd = fd_at(ready, request->slot);
    tina__io_request **place = place_of(fd, request);
    tina__assert(*place == NULL);
    if (request->kind == TINA__IO_SENDFILE)
        return submit_sendfile(ready, fd, request);
    if (!fd->is_polled)
        fd->poll_line = 0;
    if (is_worth_trying(ready, fd, request) && try_request(ready, fd, request))
        return false;
    *place = request;
    ready->waiting_count++;
    return true;
}

/* ---- Waiting ---- */

static bool stop_waiting(tina__ready *ready, tina__io_request *request)
{
    tina__io_request **place = place_of(fd_at(ready, request->slot), request);
    if (*place != request)
        return false;
    tina__assert(ready->waiting_count != 0);
    *place = NULL;
    ready->waiting_count--;
    return true;
}

static void retry(tina__ready *ready, tina__ready_fd *fd, tina__io_request **place)
{
    if (*place == NULL || !try_request(ready, fd, *place))
        return;
    *place = NULL;
    ready->waiting_count--;
}

void tina__ready_watched(tina__ready *ready, const tina__io_request *request)
{
    tina__ready_fd *fd = fd_at(ready, request->slot);
    fd->os_fd = request->os_fd;
    fd->is_watched = true;
    fd->is_exact = request->fd_class == TINA__FD_STREAM && tina__sock_is_tcp(request->os_fd);
}

/* What can't be watched since nobody waits for it, as /dev/null, says that it may be used when it is looked at. */
static bool never_waits(tina__ready *ready, tina__io_request *request)
{
    tina__ready_fd *fd = fd_at(ready, request->slot);
    tina__io_request **place = place_of(fd, request);
    fd->is_plain = true;
    retry(ready, fd, place);
    return *place == NULL;
}

void tina__ready_refuse(tina__ready *ready, tina__io_request *request, tina_status status, int os_error)
{
    if (request->fd_class == TINA__FD_PIPE && os_error == EPERM && never_waits(ready, request))
        return;
    bool was_waiting = stop_waiting(ready, request);
    tina__assert(was_waiting);
    finish(ready, request, status, os_error);
}

/* With the threads, or waiting for one. What has begun ends with what it does. */
static void cancel_work(tina__ready *ready, tina__io_request *request)
{
    if (!tina__files_cancel(&ready->files, request)) {
        request->backend_state = TINA__READY_STOPPING;
        return;
    }
    request->backend_state = TINA__READY_FRESH;
    if (request->kind == TINA__IO_SENDFILE)
        (void)stop_waiting(ready, request);
    finish(ready, request, TINA_CANCELLED, 0);
}

void tina__ready_cancel(tina__ready *ready, tina__io_request *request)
{
    if (request->backend_state == TINA__READY_WORKING) {
        cancel_work(ready, request);
    } else if (request->backend_state == TINA__READY_STARVED) {
        request->backend_state = TINA__READY_FRESH;
        ((tina__io_completion *)request->backend_memory)->status = TINA_CANCELLED;
    } else if (request->backend_state != TINA__READY_STOPPING && tina__io_has_fd(request->kind) &&
               stop_waiting(ready, request)) {
        finish(ready, request, TINA_CANCELLED, 0);
    }
}

/* ---- What wakes them ---- */

static void tell_writer(tina__ready *ready, tina__ready_fd *fd)
{
    tina__io_request *writer = fd->writer;
    fd->is_full = false;
    if (writer != NULL && waits_for_peer(writer))
        return; /* maybe the attempt in vain itself, which lets go of memory: to try now would be to try for ever */
    if (writer == NULL || writer->kind != TINA__IO_SENDFILE)
        retry(ready, fd, &fd->writer);
    else if (writer->backend_state == TINA__READY_FRESH)
        work_on(ready, fd, writer);
    else
        fd->has_news = true;
}

void tina__ready_tell(tina__ready *ready, uint32_t slot, tina__ready_event event)
{
    tina__ready_fd *fd = fd_at(ready, slot);
    fd->is_ending |= event.is_ending;
    if (event.may_read) {
        fd->is_drained = false;
        retry(ready, fd, &fd->reader);
    }
    if (event.may_write)
        tell_writer(ready, fd);
}

/* A thread is done with it. Where the socket took nothing: it waits again, unless an event came meanwhile. */
static void settle_sendfile(tina__ready *ready, tina__io_request *request, uint8_t state, tina__io_completion *completion)
{
    tina__ready_fd *fd = fd_at(ready, request->slot);
    if (completion->status == TINA_BUSY && state == TINA__READY_WORKING) {
        fd->is_full = !fd->has_news;
        if (fd->has_news)
            work_on(ready, fd, request);
        return;
    }
    if (completion->status == TINA_BUSY)
        completion->status = TINA_CANCELLED;
    bool was_waiting = stop_waiting(ready, request);
    tina__assert(was_waiting);
    tina__requests_finish(&ready->done, request, *completion);
}

static void reap_files(tina__ready *ready)
{
    tina__io_completion completion;
    tina__io_request *request;
    while ((request = tina__files_reap(&ready->files, &completion)) != NULL) {
        uint8_t state = request->backend_state;
        bool is_starved = completion.status == TINA_BUSY && tina__io_fills(request->kind);
        request->backend_state = is_starved ? TINA__READY_STARVED : TINA__READY_FRESH;
        if (request->kind == TINA__IO_SENDFILE)
            settle_sendfile(ready, request, state, &completion);
        else
            tina__requests_finish(&ready->done, request, completion);
    }
}

static void retry_polled(tina__ready *ready, uint64_t now_ns)
{
    uint32_t slots[TINA__READY_POLL_MAX];
    uint32_t count = ready->polls.count == 0 ? 0 : tina__ready_polls_take(ready, now_ns, slots);
    for (uint32_t i = 0; i < count; i++) {
        tina__ready_fd *fd = fd_at(ready, slots[i]);
        if (fd->writer != NULL && waits_for_peer(fd->writer))
            retry(ready, fd, &fd->writer);
    }
}

void tina__ready_turn(tina__ready *ready, uint64_t now_ns)
{
    reap_files(ready);
    retry_polled(ready, now_ns);
}

/* ---- Collecting ---- */

bool tina__ready_goes_again(const tina__ready *ready, const tina__io_request *request)
{
    return request->backend_state == TINA__READY_STARVED && ready->lent.count != 0;
}

tina__io_completion tina__ready_hand_out(tina__ready *ready, const tina__io_request *request)
{
    if (request->kind == TINA__IO_OPEN) {
        tina__files_hand_out(&ready->files, request);
    } else if (request->kind == TINA__IO_ACCEPT && fd_at(ready, request->slot)->has_accepted) {
        ready->fds[request->slot].next_handed = ready->handed;
        ready->handed = request->slot;
    }
    return tina__requests_completion(request);
}

void tina__ready_hands_off(tina__ready *ready)
{
    for (; ready->handed != TINA__NONE; ready->handed = ready->fds[ready->handed].next_handed)
        ready->fds[ready->handed].has_accepted = false;
    tina__files_hands_off(&ready->files);
}

/* ---- Ending ---- */

void tina__ready_forget(tina__ready *ready, uint32_t slot)
{
    tina__ready_fd *fd = fd_at(ready, slot);
    tina__assert(fd->reader == NULL);
    tina__assert(fd->writer == NULL);
    tina__assert(!fd->has_accepted);
    *fd = (tina__ready_fd){
        .generation = fd->generation + 1,
        .is_polled = fd->is_polled, /* it stays in its line until it is looked at */
        .next_polled = fd->next_polled,
        .poll_line = fd->poll_line,
    };
}

static void abandon_fds(tina__ready *ready)
{
    for (uint32_t slot = 0; slot < ready->fd_count; slot++) {
        tina__ready_fd *fd = &ready->fds[slot];
        if (fd->has_accepted)
            close(fd->accepted);
        *fd = (tina__ready_fd){.generation = fd->generation + 1};
    }
}

bool tina__ready_abandon(tina__ready *ready)
{
    abandon_fds(ready);
    ready->waiting_count = 0;
    ready->done.first = NULL;
    ready->handed = TINA__NONE;
    ready->polls = tina__ready_polls_make();
    ready->lent.count = 0;
    return tina__files_abandon(&ready->files);
}

void tina__ready_close(tina__ready *ready)
{
    abandon_fds(ready);
    tina__files_close(&ready->files);
}
