/*
 * io_uring: one ring for each shard, made and used by its thread alone.
 *
 * A request waits in the queue until flush hands it over; submissions[] leads from
 * a completion back to it. One enter in a turn hands over, lets the kernel finish
 * and waits. Where the kernel takes no more for now, what is left stays queued and
 * the next flush goes on: nothing is lost and nothing is refused.
 *
 * Most requests are one entry. The others go through the queue again for each of
 * theirs, one at a time; so a request has at most one entry with the kernel.
 *
 * Receives and reads take their buffer from a ring of provided ones when there is
 * data. They, and accepts, are asked for one at a time: of a multishot one the
 * kernel hands over all that has come before it can be told to stop, a whole
 * backlog or a buffer for each byte, whether or not anybody asks for it, and what
 * nobody has asked for would have to follow a descriptor that is given away.
 * Descriptors are not registered with the ring: an echo costs the same (a median of
 * 1.00 over 28 pairs of runs), and a registered socket would stay open after its
 * close until it is taken out.
 *
 * The kernel's user data is a word: the request's token, with its kind in place of
 * the shard, and whether it is a poll. One with a zero low half is of no request:
 * those are our own entries, whose completions nobody is told of.
 *
 * abandon must not trust the requests, and a fault may have come in the middle of
 * any function here. So it goes by what lies in our own memory and in the rings
 * alone: the words say what the kernel has and what an accept or an open brought.
 * They are written before anything of a request is looked at that may fault, and
 * whatever a collect took before it faulted is still in the ring.
 */
#define _GNU_SOURCE 1
#include "io/sockets.h"
#include "io/uring_inside.h"
#include "os/os.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define SUBMISSIONS_MAX 1024    /* entries of the submission ring; a longer batch goes over in parts */
#define COMPLETIONS_MAX 65536   /* the most that the kernel's completion ring takes; what is beyond it keeps in a list */
#define REFUSED_WAIT_NS 1000000 /* how soon to try again what the kernel did not take */

/* ---- Memory: the struct, tables by operation, by buffer, by descriptor, the page-aligned buffer ring ---- */

static size_t operations_size(const tina__backend_config *config)
{
    return config->op_count * (sizeof(tina__uring_submission) + sizeof(uint64_t));
}

static size_t tables_size(const tina__backend_config *config)
{
    return sizeof(tina__backend) + operations_size(config) + tina__uring_places_size(config) + config->fd_count;
}

static size_t memory_size(const tina__backend_config *config)
{
    return tables_size(config) + tina__os_page_size() + tina__uring_buffer_ring_size(config);
}

static void carve(tina__backend *self, const tina__backend_config *config)
{
    memset(self, 0, sizeof *self);
    self->submissions = (tina__uring_submission *)(void *)(self + 1);
    self->cancels = (uint64_t *)(void *)(self->submissions + config->op_count);
    uint8_t *places = (uint8_t *)(self + 1) + operations_size(config);
    self->families = places + tina__uring_places_size(config);
    uintptr_t buffer_ring = tina__align_up((uintptr_t)config->memory + tables_size(config), tina__os_page_size());
    tina__uring_carve_places(self, config, places, (void *)buffer_ring);
    self->op_count = config->op_count;
    self->fd_count = config->fd_count;
    self->buffers = config->buffers;
    self->annexes = config->annexes;
    self->buffer_count = config->buffer_count;
    self->buffer_size = config->buffer_size;
    self->wake_fd = config->wake_fd;
    self->has_poller = config->has_poller;
    self->byte_fd = -1;
    tina__uring_forget_pipes(self);
    tina__uring_forget_all(self);
}

/* ---- Opening ---- */

/* Work is deferred to our own enters, so that nothing interrupts a handler. Kernels before 6.1 know a lesser form of it. */
static int open_ring(tina__backend *self, uint32_t allowed)
{
    static const struct {
        unsigned flags;
        uint32_t tier;
    } ways[] = {
        {IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG, TINA__URING_DEFER},
        {IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG, TINA__URING_COOP},
        {0, 0},
    };
    /* Each operation and its cancel may complete, and so may the wake. */
    uint64_t completions = tina__min_u64((uint64_t)self->op_count * 2 + 4, COMPLETIONS_MAX);
    unsigned submissions = tina__power_of_two_up((uint32_t)tina__min_u64(completions, SUBMISSIONS_MAX));
    int result = -EINVAL;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0] && result == -EINVAL; i++) {
        if ((ways[i].tier & ~allowed) != 0)
            continue;
        struct io_uring_params params = {
            .flags = ways[i].flags | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE,
            .cq_entries = tina__power_of_two_up((uint32_t)completions),
        };
        result = io_uring_queue_init_params(submissions, &self->ring, &params);
    }
    return result;
}

/* Some filters let a ring be made and refuse its use: only an operation shows it. */
static int round_trip(struct io_uring *ring)
{
    struct io_uring_sqe *entry = io_uring_get_sqe(ring);
    io_uring_prep_nop(entry);
    io_uring_sqe_set_data64(entry, TINA__URING_OWN_NOP);
    int result;
    do {
        result = io_uring_submit_and_wait(ring, 1);
    } while (result == -EINTR);
    if (result < 0)
        return result;
    struct io_uring_cqe *completion;
    if (io_uring_peek_cqe(ring, &completion) != 0)
        return -EIO;
    result = completion->user_data == TINA__URING_OWN_NOP ? completion->res : -EIO;
    io_uring_cqe_seen(ring, completion);
    return result;
}

static tina_status open_failed(int result, const char *what, int *os_error, const char **why)
{
    *os_error = -result;
    *why = what;
    bool is_out_of_fds = result == -EMFILE || result == -ENFILE;
    return is_out_of_fds ? TINA_POOL_EXHAUSTED : TINA_UNSUPPORTED;
}

/* 0, or -errno of what *why names. */
static int try_ring(tina__backend *self, const char **why)
{
    *why = "io_uring_enter is refused";
    int result = round_trip(&self->ring);
    if (result < 0)
        return result;
    *why = "io_uring_register of a buffer ring is refused";
    result = tina__uring_register_buffers(self);
    if (result < 0)
        return result;
    *why = "memfd_create is refused";
    result = tina__uring_open_byte(self);
    if (result < 0 || !self->has_poller)
        return result;
    *why = "io_uring_register of an eventfd is refused";
    return io_uring_register_eventfd(&self->ring, self->wake_fd);
}

static tina_status open_backend(const tina__backend_config *config, tina__backend **backend, int *os_error, const char **why)
{
    tina__backend *self = config->memory;
    carve(self, config);
    uint32_t allowed = tina__uring_tier_allowed();
    int result = open_ring(self, allowed);
    if (result != 0)
        return open_failed(result, "io_uring_setup is refused", os_error, why);
    result = try_ring(self, why);
    if (result < 0) {
        io_uring_queue_exit(&self->ring);
        tina__uring_close_byte(self);
        return open_failed(result, *why, os_error, why);
    }
    io_uring_register_ring_fd(&self->ring); /* saves each enter a look-up; without it all works the same */
    self->tier = tina__uring_tier_find(&self->ring, allowed);
    *os_error = 0;
    *why = "";
    *backend = self;
    return TINA_OK;
}

/* ---- The table's functions ---- */

static void submit(tina__backend *backend, tina__io_request *requests)
{
    while (requests != NULL) {
        tina__io_request *request = requests;
        requests = request->next;
        tina__uring_submission *place = tina__uring_place(backend, request);
        tina__assert(place->request == NULL);
        place->request = request;
        request->backend_state = 0;
        backend->token_shard = request->token & ~TINA__URING_TOKEN_MASK;
        tina__uring_queue(backend, request);
    }
}

/* What is queued or waits is ended by the next flush. */
static void cancel(tina__backend *backend, tina__io_request *request)
{
    const tina__uring_submission *place = tina__uring_place(backend, request);
    if (place->request != request || tina__uring_is(request, TINA__URING_CANCELLED))
        return;
    tina__uring_set(request, TINA__URING_CANCELLED, true);
    if (tina__uring_is_in(request, TINA__URING_WAITING))
        backend->has_cancelled_waiter = true;
    else if (!tina__uring_is_in(request, TINA__URING_UNDER_WAY))
        backend->has_cancelled_queued = true;
    if (!tina__uring_is_in(request, TINA__URING_UNDER_WAY))
        return;
    tina__assert(backend->cancel_count < backend->op_count);
    backend->cancels[backend->cancel_count++] = place->word;
}

/* The kernel has put something off until we enter. A hint: what is missed now is seen next turn. */
static bool has_put_off(const struct io_uring *ring)
{
    unsigned flags = __atomic_load_n(ring->sq.kflags, __ATOMIC_RELAXED);
    return (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

static bool kernel_has_work(const struct io_uring *ring) { return io_uring_sq_ready(ring) != 0 || has_put_off(ring); }

static bool has_news(const tina__backend *backend)
{
    const struct io_uring *ring = &backend->ring;
    return backend->done.first != NULL || io_uring_cq_ready(ring) != 0 || kernel_has_work(ring);
}

/*
 * Under a poller the kernel signals wake_fd itself with each completion, and where the
 * work on one is put off until we enter, with that work. It does so after what it tells
 * of is in the ring: who has read wake_fd empty before this look sees all that was
 * signalled until then, and the rest is signalled yet.
 */
static uint64_t rest(tina__backend *backend)
{
    const struct io_uring *ring = &backend->ring;
    unsigned flags = __atomic_load_n(ring->sq.kflags, __ATOMIC_ACQUIRE); /* with the kernel, as above */
    bool has_work = (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
    if (has_work || backend->done.first != NULL || io_uring_cq_ready(ring) != 0)
        return 0;
    bool is_handed_over = io_uring_sq_ready(ring) == 0 && backend->queue.first == NULL && backend->cancel_count == 0;
    return is_handed_over ? TINA_NONE_NS : REFUSED_WAIT_NS;
}

static void flush(tina__backend *backend, uint64_t wait_ns)
{
    struct io_uring *ring = &backend->ring;
    bool is_watched = wait_ns == 0 || tina__uring_watch_wake(backend);
    bool is_handed_over = tina__uring_hand_over(backend);
    bool has_any = backend->done.first != NULL || io_uring_cq_ready(ring) != 0;
    if (wait_ns != 0 && !has_any)
        tina__uring_turn(ring, is_watched && is_handed_over ? wait_ns : tina__min_u64(wait_ns, REFUSED_WAIT_NS));
    else if (kernel_has_work(ring))
        io_uring_submit_and_get_events(ring);
}

/* Where nothing else is there, what was put off is for this turn: the flush would leave it to the next. */
static uint32_t collect(tina__backend *backend, tina__io_completion *completions, uint32_t max)
{
    struct io_uring *ring = &backend->ring;
    if (backend->done.first == NULL && io_uring_cq_ready(ring) == 0 && has_put_off(ring))
        io_uring_get_events(ring);
    return tina__uring_collect(backend, completions, max);
}

static void let_go(tina__backend *backend, int os_fd, uint32_t slot)
{
    (void)os_fd;
    if (slot < backend->fd_count)
        backend->families[slot] = 0;
}

static void close_fd(tina__backend *backend, int os_fd, uint32_t slot)
{
    let_go(backend, os_fd, slot);
    close(os_fd);
}

const tina__backend_api tina__uring_backend = {
    .name = "io_uring",
    .id = TINA_BACKEND_URING,
    .memory_size = memory_size,
    .open = open_backend,
    .abandon = tina__uring_abandon,
    .close = tina__uring_close,
    .submit = submit,
    .cancel = cancel,
    .lend = tina__uring_lend,
    .flush = flush,
    .collect = collect,
    .has_news = has_news,
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
