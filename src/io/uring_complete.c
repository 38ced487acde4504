/* Entries of the completion ring back into what the requests came to, or into their next entry. */
#define _GNU_SOURCE 1
#include "io/uring_inside.h"

#include "os/file_posix.h"

#include <errno.h>
#include <sys/stat.h>

#define ENTRIES_MAX 256 /* in one collect: many may want no more than to be tried again, and would hold up the others */

/* ---- What it came to ---- */

tina__io_completion tina__uring_failure(const tina__io_request *request, int os_error)
{
    if (os_error == EAGAIN && request->no_wait)
        return tina__completion_make(request, TINA_BUSY, 0);
    bool is_starved = os_error == ENOBUFS && tina__io_fills(request->kind);
    bool did_nothing = is_starved || os_error == EINTR || os_error == EAGAIN;
    if (os_error == ECANCELED || (did_nothing && tina__uring_is(request, TINA__URING_CANCELLED)))
        return tina__completion_make(request, TINA_CANCELLED, 0);
    if (is_starved)
        return tina__completion_make(request, TINA_BUSY, 0);
    return tina__completion_make(request, tina__sock_status(os_error), os_error);
}

/* Received or read into a buffer. At a file's end there is nothing, and that is no failure. */
static void fill_in(const tina__io_request *request, uint32_t size, uint32_t buffer, tina__io_completion *completion)
{
    completion->status = size == 0 && !tina__io_reads_file(request) ? TINA_CLOSED : TINA_OK;
    completion->buffer = size == 0 ? TINA__BUFFER_NONE : buffer;
    completion->size = size;
}

/* Nothing at all would be asked for again and again. */
static void write_in(const tina__io_request *request, uint32_t size, tina__io_completion *completion)
{
    completion->size = size;
    if (size == 0 && request->size != 0)
        *completion = tina__completion_make(request, TINA_SYSTEM_ERROR, EIO);
}

static void stat_in(const tina__io_request *request, tina__io_completion *completion)
{
    const struct statx *about = request->data;
    if (S_ISREG(about->stx_mode))
        completion->size = about->stx_size;
    else
        completion->status = TINA_UNSUPPORTED;
}

static void open_in(int os_fd, tina__io_completion *completion)
{
    completion->os_fd = os_fd;
    completion->fd_class = tina__file_settle(os_fd);
}

static tina__io_completion success(const tina__io_request *request, int result, uint32_t buffer)
{
    tina__io_completion completion = tina__completion_make(request, TINA_OK, 0);
    switch ((tina__io_kind)request->kind) {
    case TINA__IO_ACCEPT: completion.os_fd = result; break;
    case TINA__IO_OPEN: open_in(result, &completion); break;
    case TINA__IO_RECEIVE:
    case TINA__IO_READ: fill_in(request, (uint32_t)result, buffer, &completion); break;
    case TINA__IO_STAT: stat_in(request, &completion); break;
    case TINA__IO_SEND:
    case TINA__IO_SEND_TO: completion.size = (uint32_t)result; break;
    case TINA__IO_WRITE: write_in(request, (uint32_t)result, &completion); break;
    default: break;
    }
    return completion;
}

/* ---- Whether it is over ---- */

/* It would wait until what it is on is ready, and the kernel would not. */
static bool is_to_wait(const tina__io_request *request, int result)
{
    bool may_wait = tina__io_has_fd(request->kind) && request->fd_class != TINA__FD_FILE;
    return result == -EAGAIN && may_wait && !request->no_wait;
}

/*
 * Whether it goes over once more, unless somebody wants its end: it was interrupted,
 * was sent away though it is willing to wait, or found no buffer where one is lent:
 * its submitter, told TINA_BUSY, would wait for the next to be lent. A datagram that
 * was taken already waits here for a buffer.
 */
static bool goes_again(const tina__backend *backend, tina__io_request *request, int result)
{
    if (tina__uring_is(request, TINA__URING_CANCELLED))
        return false;
    if (result == -ENOBUFS && tina__io_fills(request->kind))
        return backend->lent_count != 0 || tina__uring_is(request, TINA__URING_EMPTY);
    if (!is_to_wait(request, result))
        return result == -EINTR;
    if (tina__io_reads(request->kind))
        tina__uring_set(request, TINA__URING_POLLED | TINA__URING_NAMED, false);
    tina__uring_set(request, TINA__URING_POLLS, true);
    if (request->kind == TINA__IO_CONNECT || request->kind == TINA__IO_SEND_TO)
        tina__uring_count_pause(request);
    return true;
}

/* Or the time after which it is to be tried again. */
static bool take_poll(tina__io_request *request, int result, tina__io_completion *completion)
{
    bool is_cancelled = tina__uring_is(request, TINA__URING_CANCELLED);
    if (result == -EINTR && !is_cancelled)
        return false;
    if (is_cancelled || (result < 0 && result != -ETIME)) {
        *completion = tina__uring_failure(request, is_cancelled ? ECANCELED : -result);
        return true;
    }
    tina__uring_set(request, TINA__URING_POLLS, false);
    if (request->kind == TINA__IO_RECEIVE_FROM)
        return tina__uring_datagram_name(request, completion);
    if (request->kind == TINA__IO_READ)
        tina__uring_set(request, TINA__URING_POLLED, true);
    return false;
}

/* False: it goes on. */
static bool take_result(tina__backend *backend, tina__io_request *request, int result, uint32_t buffer,
                        tina__io_completion *completion)
{
    if (request->kind == TINA__IO_SENDFILE)
        return tina__uring_sendfile_take(backend, request, result, buffer, completion);
    if (goes_again(backend, request, result))
        return false;
    if (result < 0) {
        *completion = tina__uring_failure(request, -result);
        return true;
    }
    if (request->kind == TINA__IO_RECEIVE_FROM)
        return tina__uring_datagram_take(backend, request, (uint32_t)result, buffer, completion);
    *completion = success(request, result, buffer);
    return true;
}

/* Where others hold all buffers that are lent, only what they let go can help it. */
static void go_on(tina__backend *backend, tina__io_request *request, int result)
{
    bool is_starved = result == -ENOBUFS && tina__io_fills(request->kind);
    if (!is_starved || tina__uring_free_buffers(backend) != 0) {
        tina__uring_queue(backend, request);
        return;
    }
    tina__uring_wait(&backend->wants_buffer, request);
    backend->has_starved_waiter = true;
}

static tina__uring_submission *find_place(tina__backend *backend, uint64_t word)
{
    uint32_t index = tina__word_index(word);
    tina__assert(index < backend->op_count);
    tina__uring_submission *place = &backend->submissions[index];
    tina__assert(place->word == word);
    tina__assert(place->request != NULL);
    tina__assert((place->request->token & TINA__URING_TOKEN_MASK) == tina__uring_word_token(word));
    return place;
}

/*
 * Nearly all entries: bytes came to a stream, or went. Then nothing has to be known of
 * the request, and it is not looked at: of a thousand that are parked each is out of
 * the cache. False: it is another entry.
 */
static bool take_plain(tina__backend *backend, const struct io_uring_cqe *result, tina__io_completion *completion)
{
    uint64_t word = result->user_data;
    uint64_t kind = word >> TINA__URING_KIND_SHIFT;
    bool is_receive = kind == TINA__IO_RECEIVE && (result->flags & IORING_CQE_F_BUFFER) != 0;
    if (result->res <= 0 || !(is_receive || kind == TINA__IO_SEND))
        return false;
    uint32_t index = tina__word_index(word);
    tina__assert(index < backend->op_count);
    tina__uring_submission *place = &backend->submissions[index];
    tina__assert(place->word == word);
    tina__assert(place->request != NULL);
    place->word = 0;
    place->request = NULL;
    backend->taker_count -= is_receive;
    *completion = (tina__io_completion){
        .token = backend->token_shard | tina__uring_word_token(word),
        .size = (uint32_t)result->res,
        .buffer = is_receive ? tina__uring_take_buffer(backend, result) : TINA__BUFFER_NONE,
        .os_fd = -1,
        .status = TINA_OK,
    };
    return true;
}

/* False: nobody is to be told. */
static bool take(tina__backend *backend, const struct io_uring_cqe *result, tina__io_completion *completion)
{
    uint64_t word = result->user_data;
    if (tina__uring_is_own(word)) {
        if (tina__uring_ends_watch(word))
            backend->is_wake_watched = false;
        return false;
    }
    tina__uring_submission *place = find_place(backend, word);
    tina__io_request *request = place->request;
    place->word = 0;
    if (!tina__uring_is_poll(word))
        tina__uring_count_out(backend, request);
    uint32_t buffer = tina__uring_take_buffer(backend, result);
    bool is_over = tina__uring_is_poll(word) ? take_poll(request, result->res, completion)
                                             : take_result(backend, request, result->res, buffer, completion);
    if (is_over)
        place->request = NULL;
    else
        go_on(backend, request, result->res);
    if (buffer != TINA__BUFFER_NONE && !(is_over && completion->buffer == buffer))
        tina__uring_lend(backend, buffer);
    return is_over;
}

uint32_t tina__uring_collect(tina__backend *backend, tina__io_completion *completions, uint32_t max)
{
    uint32_t count = 0;
    while (count < max && backend->done.first != NULL)
        completions[count++] = tina__requests_completion(tina__requests_pop(&backend->done));
    unsigned seen = 0;
    unsigned head;
    struct io_uring_cqe *result;
    io_uring_for_each_cqe(&backend->ring, head, result)
    {
        if (count == max || seen == ENTRIES_MAX)
            break;
        count += take_plain(backend, result, &completions[count]) || take(backend, result, &completions[count]) ? 1 : 0;
        seen++;
    }
    io_uring_cq_advance(&backend->ring, seen);
    return count;
}
