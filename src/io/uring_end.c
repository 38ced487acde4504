/*
 * Ending everything. The requests may be damaged and are not looked at: the words
 * say what the kernel has, and what it brings (see uring.c).
 */
#define _GNU_SOURCE 1
#include "io/uring_inside.h"

#include "os/os.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define LET_GO_NS    1000000000 /* how long abandon waits for the kernel in all */
#define PASS_WAIT_NS 10000000   /* and how long before it asks again */

/* What the kernel has not taken yet it will never see. */
static void drop_entries(tina__backend *backend)
{
    struct io_uring_sq *entries = &backend->ring.sq;
    unsigned head = *entries->khead; /* only our own enters move it */
    for (unsigned at = head; at != entries->sqe_tail; at++) {
        uint64_t word = entries->sqes[at & *entries->kring_mask].user_data;
        if (!tina__uring_is_own(word))
            backend->submissions[tina__word_index(word)].word = 0;
        else if (tina__uring_ends_watch(word))
            backend->is_wake_watched = false;
    }
    *entries->ktail = head;
    entries->sqe_head = head;
    entries->sqe_tail = head;
}

static uint32_t count_under_way(const tina__backend *backend)
{
    uint32_t count = backend->is_wake_watched;
    for (uint32_t i = 0; i < backend->op_count; i++)
        count += backend->submissions[i].word != 0;
    return count;
}

/* Nobody is told of it. True: one less is under way; false: it was our own, or taken by a collect that faulted. */
static bool discard(tina__backend *backend, const struct io_uring_cqe *result)
{
    uint64_t word = result->user_data;
    if (tina__uring_is_own(word)) {
        bool was_watched = backend->is_wake_watched;
        backend->is_wake_watched = was_watched && !tina__uring_ends_watch(word);
        return was_watched != backend->is_wake_watched;
    }
    if (tina__io_opens(tina__uring_kind(word)) && !tina__uring_is_poll(word) && result->res >= 0)
        close(result->res);
    uint32_t index = tina__word_index(word);
    if (index >= backend->op_count || backend->submissions[index].word != word)
        return false;
    backend->submissions[index].word = 0;
    return true;
}

static uint32_t discard_completions(tina__backend *backend)
{
    uint32_t ended = 0;
    unsigned seen = 0;
    unsigned head;
    struct io_uring_cqe *result;
    io_uring_for_each_cqe(&backend->ring, head, result)
    {
        ended += discard(backend, result);
        seen++;
    }
    io_uring_cq_advance(&backend->ring, seen);
    return ended;
}

static bool ask_for_end(tina__backend *backend, uint64_t word)
{
    if (!tina__uring_has_room(&backend->ring, 1))
        return false;
    tina__uring_prepare_cancel(io_uring_get_sqe(&backend->ring), word);
    return true;
}

/* One by one: the kernel's cancel of all looks through all for each of them, which takes it minutes for ten thousand. */
static void ask_for_every_end(tina__backend *backend)
{
    bool has_asked = !backend->is_wake_watched || ask_for_end(backend, TINA__URING_OWN_WAKE_POLL);
    for (uint32_t i = 0; i < backend->op_count && has_asked; i++) {
        if (backend->submissions[i].word != 0)
            has_asked = ask_for_end(backend, backend->submissions[i].word);
    }
}

/* An enter that brought nothing: it may bring something yet. */
static bool is_passing(int result)
{
    return result == -ETIME || result == -EINTR || result == -EAGAIN || result == -EBUSY || result == -ENOMEM;
}

/* Until nothing is under way, or what is does not end for a while. False: the kernel refuses to turn. */
static bool await_ends(tina__backend *backend)
{
    int result = 0;
    for (uint32_t left = count_under_way(backend); left != 0 && result >= 0;) {
        result = tina__uring_turn(&backend->ring, PASS_WAIT_NS);
        left -= discard_completions(backend);
    }
    return result >= 0 || is_passing(result);
}

/* One pass is not always enough: what the kernel was just about to try again can't be found, and may then wait once more. */
static bool end_all(tina__backend *backend)
{
    drop_entries(backend);
    discard_completions(backend);
    uint64_t give_up_ns = tina__os_now_ns() + LET_GO_NS;
    bool may_end = true;
    while (count_under_way(backend) != 0 && may_end) {
        may_end = tina__os_now_ns() < give_up_ns; /* looked at before the pass: one is made, however late it is */
        ask_for_every_end(backend);
        may_end &= await_ends(backend);
    }
    return count_under_way(backend) == 0;
}

void tina__uring_forget_all(tina__backend *backend)
{
    backend->queue.first = NULL;
    backend->reads.first = NULL;
    backend->later.first = NULL;
    backend->done.first = NULL;
    backend->wants_pipe.first = NULL;
    backend->wants_share.first = NULL;
    backend->wants_buffer.first = NULL;
    backend->has_cancelled_waiter = false;
    backend->has_cancelled_queued = false;
    backend->has_starved_waiter = false;
    backend->cancel_count = 0;
    memset(backend->families, 0, backend->fd_count);
    tina__uring_forget_buffers(backend);
}

bool tina__uring_abandon(tina__backend *backend)
{
    if (!end_all(backend))
        return false;
    io_uring_unregister_buf_ring(&backend->ring, TINA__URING_BUFFER_GROUP);
    if (tina__uring_register_buffers(backend) < 0)
        return false;
    memset(backend->submissions, 0, backend->op_count * sizeof *backend->submissions);
    tina__uring_close_pipes(backend);
    tina__uring_forget_all(backend);
    tina__os_event_signal(backend->wake_fd); /* whoever did so may have been read, and not been heard */
    return true;
}

void tina__uring_close(tina__backend *backend)
{
    (void)end_all(backend); /* where the kernel does not let go here, it does with the ring */
    io_uring_unregister_buf_ring(&backend->ring, TINA__URING_BUFFER_GROUP);
    io_uring_queue_exit(&backend->ring);
    tina__uring_close_pipes(backend);
    tina__uring_close_byte(backend);
}
