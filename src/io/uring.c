/*
 * io_uring: one ring for each shard, made and used by its thread alone.
 *
 * A request waits in the queue until flush hands it over; submissions[] leads from
 * a completion back to it. One enter in a turn hands over, lets the kernel finish
 * and waits. Where the kernel takes no more for now, what is left stays queued and
 * the next flush goes on: nothing is lost and nothing is refused.
 *
 * Receives take their buffer from a ring of provided ones when there is data.
 *
 * The kernel's user data is a word: the request's token, with its kind in place of
 * the shard. One with a zero low half is of no request: those are our own entries,
 * whose completions nobody is told of.
 *
 * abandon must not trust the requests, and a fault may have come in the middle of
 * any function here. So it goes by what lies in our own memory and in the rings
 * alone: the words say what the kernel has and what an accept brought. They are
 * written before anything of a request is looked at that may fault, and whatever a
 * collect took before it faulted is still in the ring.
 */
#define _GNU_SOURCE 1
#include "base/assert.h"
#include "base/bits.h"
#include "base/handle.h"
#include "io/request_list.h"
#include "io/sockets.h"
#include "os/os.h"

#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SUBMISSIONS_MAX  1024  /* entries of the submission ring; a longer batch goes over in parts */
#define COMPLETIONS_MAX  65536 /* the most that the kernel's completion ring takes; what is beyond it keeps in a list */
#define PLACES_MAX       32768 /* of a ring of provided buffers; what is lent beyond it follows when a place is free */
#define BUFFER_GROUP     0
#define REFUSED_WAIT_NS  1000000    /* how soon to try again what the kernel did not take */
#define LET_GO_NS        1000000000 /* how long abandon waits for the kernel in all */
#define PASS_WAIT_NS     10000000   /* and how long before it asks again */
#define KIND_SHIFT       56
#define TOKEN_MASK       ((1ull << KIND_SHIFT) - 1) /* what a word keeps of a token */
#define OWN_WORD(number) ((uint64_t)(number) << 32)
#define OWN_NOP          OWN_WORD(1)
#define OWN_CANCEL       OWN_WORD(2)
#define OWN_WAKE_POLL    OWN_WORD(3)
#define OWN_WAKE         OWN_WORD(4)

/* A request's backend_state. */
enum { QUEUED, QUEUED_CANCELLED, UNDER_WAY, CANCEL_ASKED };

typedef struct submission {
    tina__io_request *request; /* NULL: none was submitted, or it is over */
    uint64_t word;             /* the user data of the entry that the kernel has, or is about to get; 0: none */
} submission;

struct tina__backend {
    struct io_uring ring;
    struct io_uring_buf_ring *buffer_ring;
    tina__request_list queue; /* not handed over yet */
    tina__request_list done;  /* over without the kernel */
    submission *submissions;  /* by their token's index */
    uint64_t *cancels; /* words of requests under way whose end was asked for: each at most once, so op_count are enough */
    uint32_t cancel_count;
    uint32_t op_count;
    uint8_t *buffers;
    uint32_t buffer_count;
    uint32_t buffer_size;
    uint32_t lent_count; /* what a completion took counts as lent until it was collected */
    int buffer_mask;
    uint32_t *buffer_of;   /* which buffer lies in each place; the kernel names places */
    uint16_t *free_places; /* a stack */
    uint32_t free_place_count;
    uint32_t *spare; /* a stack: lent buffers for which the ring has no place */
    uint32_t spare_count;
    int wake_fd;
    bool is_wake_watched;
    uint64_t wake_value;
};

/* ---- Memory: the struct, tables by operation, tables by buffer, the page-aligned buffer ring ---- */

static uint32_t count_places(const tina__backend_config *config)
{
    return tina__power_of_two_up(tina__min_u32(config->buffer_count, PLACES_MAX));
}

static uint32_t count_spare(const tina__backend_config *config)
{
    return config->buffer_count > PLACES_MAX ? config->buffer_count - PLACES_MAX : 0;
}

static size_t tables_size(const tina__backend_config *config)
{
    size_t by_operation = config->op_count * (sizeof(submission) + sizeof(uint64_t));
    size_t by_place = count_places(config) * (sizeof(uint32_t) + sizeof(uint16_t));
    return sizeof(tina__backend) + by_operation + by_place + count_spare(config) * sizeof(uint32_t);
}

static size_t memory_size(const tina__backend_config *config)
{
    size_t page_size = tina__os_page_size();
    size_t buffer_ring_size = tina__align_up(count_places(config) * sizeof(struct io_uring_buf), page_size);
    return tables_size(config) + page_size + buffer_ring_size;
}

static void forget_all(tina__backend *self)
{
    self->queue.first = NULL;
    self->done.first = NULL;
    self->cancel_count = 0;
    self->lent_count = 0;
    self->spare_count = 0;
    self->free_place_count = 0;
    for (int place = self->buffer_mask; place >= 0; place--)
        self->free_places[self->free_place_count++] = (uint16_t)place;
}

static void carve(tina__backend *self, const tina__backend_config *config)
{
    memset(self, 0, sizeof *self);
    self->submissions = (submission *)(void *)(self + 1);
    self->cancels = (uint64_t *)(void *)(self->submissions + config->op_count);
    uint32_t place_count = count_places(config);
    self->buffer_of = (uint32_t *)(void *)(self->cancels + config->op_count);
    self->spare = self->buffer_of + place_count;
    self->free_places = (uint16_t *)(void *)(self->spare + count_spare(config));
    uintptr_t buffer_ring = tina__align_up((uintptr_t)config->memory + tables_size(config), tina__os_page_size());
    self->buffer_ring = (struct io_uring_buf_ring *)buffer_ring;
    self->op_count = config->op_count;
    self->buffers = config->buffers;
    self->buffer_count = config->buffer_count;
    self->buffer_size = config->buffer_size;
    self->buffer_mask = io_uring_buf_ring_mask(place_count);
    self->wake_fd = config->wake_fd;
    forget_all(self);
}

/* ---- Opening ---- */

/* Work is deferred to our own enters, so that nothing interrupts a handler. Kernels before 6.1 know a lesser form of it. */
static int open_ring(tina__backend *self)
{
    static const unsigned flag_sets[] = {
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
        IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
        0,
    };
    /* Each operation and its cancel may complete, and so may the wake. */
    uint64_t completions = tina__min_u64((uint64_t)self->op_count * 2 + 4, COMPLETIONS_MAX);
    unsigned submissions = tina__power_of_two_up((uint32_t)tina__min_u64(completions, SUBMISSIONS_MAX));
    int result = -EINVAL;
    for (size_t i = 0; i < sizeof flag_sets / sizeof flag_sets[0] && result == -EINVAL; i++) {
        struct io_uring_params params = {
            .flags = flag_sets[i] | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE,
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
    io_uring_sqe_set_data64(entry, OWN_NOP);
    int result;
    do {
        result = io_uring_submit_and_wait(ring, 1);
    } while (result == -EINTR);
    if (result < 0)
        return result;
    struct io_uring_cqe *completion;
    if (io_uring_peek_cqe(ring, &completion) != 0)
        return -EIO;
    result = completion->user_data == OWN_NOP ? completion->res : -EIO;
    io_uring_cqe_seen(ring, completion);
    return result;
}

static int register_buffers(tina__backend *self)
{
    io_uring_buf_ring_init(self->buffer_ring);
    struct io_uring_buf_reg registration = {
        .ring_addr = (uintptr_t)self->buffer_ring,
        .ring_entries = (unsigned)self->buffer_mask + 1,
        .bgid = BUFFER_GROUP,
    };
    return io_uring_register_buf_ring(&self->ring, &registration, 0);
}

static tina_status open_failed(int result, const char *what, int *os_error, const char **why)
{
    *os_error = -result;
    *why = what;
    bool is_out_of_fds = result == -EMFILE || result == -ENFILE;
    return is_out_of_fds ? TINA_POOL_EXHAUSTED : TINA_UNSUPPORTED;
}

static tina_status open_backend(const tina__backend_config *config, tina__backend **backend, int *os_error, const char **why)
{
    tina__backend *self = config->memory;
    carve(self, config);
    int result = open_ring(self);
    if (result != 0)
        return open_failed(result, "io_uring_setup is refused", os_error, why);
    result = round_trip(&self->ring);
    if (result < 0) {
        io_uring_queue_exit(&self->ring);
        return open_failed(result, "io_uring_enter is refused", os_error, why);
    }
    result = register_buffers(self);
    if (result < 0) {
        io_uring_queue_exit(&self->ring);
        return open_failed(result, "io_uring_register of a buffer ring is refused", os_error, why);
    }
    io_uring_register_ring_fd(&self->ring); /* saves each enter a look-up; without it all works the same */
    *os_error = 0;
    *why = "";
    *backend = self;
    return TINA_OK;
}

/* ---- Handing over ---- */

static bool has_room(struct io_uring *ring, unsigned count)
{
    if (io_uring_sq_space_left(ring) >= count)
        return true;
    io_uring_submit(ring); /* how much it took is seen in the ring */
    return io_uring_sq_space_left(ring) >= count;
}

static submission *submission_of(tina__backend *backend, const tina__io_request *request)
{
    uint32_t index = tina__word_index(request->token);
    tina__assert(index < backend->op_count);
    return &backend->submissions[index];
}

static uint64_t word_of(const tina__io_request *request)
{
    return (uint64_t)request->kind << KIND_SHIFT | (request->token & TOKEN_MASK);
}
static bool is_own(uint64_t word) { return tina__word_generation(word) == 0; }
static tina__io_kind kind_of(uint64_t word) { return (tina__io_kind)(word >> KIND_SHIFT); }
/* The watch of wake_fd is a pair of entries, of which exactly one completes: the second, or the first where it fails. */
static bool ends_watch(uint64_t word) { return word == OWN_WAKE || word == OWN_WAKE_POLL; }

static void prepare_accept(struct io_uring_sqe *entry, const tina__io_request *request)
{
    io_uring_prep_accept(entry, request->os_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

static void prepare_receive(const tina__backend *backend, struct io_uring_sqe *entry, const tina__io_request *request)
{
    uint32_t size = request->size == 0 ? backend->buffer_size : tina__min_u32(request->size, backend->buffer_size);
    io_uring_prep_recv(entry, request->os_fd, NULL, size, 0);
    entry->flags |= IOSQE_BUFFER_SELECT;
    entry->buf_group = BUFFER_GROUP;
    if (backend->lent_count == 0) /* otherwise it would fail for want of a buffer although there may be no data */
        entry->ioprio |= IORING_RECVSEND_POLL_FIRST;
}

static void prepare(const tina__backend *backend, struct io_uring_sqe *entry, const tina__io_request *request)
{
    const tina__sock_address *host = request->backend_memory;
    switch ((tina__io_kind)request->kind) {
    case TINA__IO_ACCEPT: prepare_accept(entry, request); break;
    case TINA__IO_CONNECT: io_uring_prep_connect(entry, request->os_fd, &host->any, host->length); break;
    case TINA__IO_RECEIVE: prepare_receive(backend, entry, request); break;
    case TINA__IO_SEND:
        io_uring_prep_send(entry, request->os_fd, request->data, request->size,
                           MSG_NOSIGNAL | (request->no_wait ? MSG_DONTWAIT : 0));
        break;
    default: break;
    }
}

/* An entry for the request, which is known to be in the ring before more of the request is read. */
static struct io_uring_sqe *claim_entry(tina__backend *backend, const tina__io_request *request)
{
    submission *place = submission_of(backend, request);
    uint64_t word = word_of(request);
    tina__assert(place->request == request);
    tina__assert(place->word == 0);
    struct io_uring_sqe *entry = io_uring_get_sqe(&backend->ring);
    io_uring_sqe_set_data64(entry, word);
    place->word = word;
    atomic_signal_fence(memory_order_seq_cst); /* with abandon, after a fault in what follows */
    return entry;
}

/* The two of a pair go over together or not at all: a chain does not reach over two submissions. */
static bool watch_wake(tina__backend *backend)
{
    if (backend->is_wake_watched)
        return true;
    if (!has_room(&backend->ring, 2))
        return false;
    struct io_uring_sqe *poll_entry = io_uring_get_sqe(&backend->ring);
    io_uring_prep_poll_add(poll_entry, backend->wake_fd, POLLIN);
    poll_entry->flags |= IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data64(poll_entry, OWN_WAKE_POLL);
    struct io_uring_sqe *read_entry = io_uring_get_sqe(&backend->ring);
    io_uring_prep_read(read_entry, backend->wake_fd, &backend->wake_value, sizeof backend->wake_value, 0);
    io_uring_sqe_set_data64(read_entry, OWN_WAKE);
    backend->is_wake_watched = true;
    return true;
}

static void prepare_cancel(struct io_uring_sqe *entry, uint64_t word)
{
    io_uring_prep_cancel64(entry, word, 0);
    entry->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data64(entry, OWN_CANCEL);
}

static bool hand_over_cancels(tina__backend *backend)
{
    while (backend->cancel_count != 0) {
        if (!has_room(&backend->ring, 1))
            return false;
        prepare_cancel(io_uring_get_sqe(&backend->ring), backend->cancels[--backend->cancel_count]);
    }
    return true;
}

static void finish(tina__backend *backend, tina__io_request *request, tina_status status)
{
    submission_of(backend, request)->request = NULL;
    tina__requests_finish(&backend->done, request, tina__completion_make(request, status, 0));
}

/* Only kinds with an address can be wrong in themselves. */
static bool is_sound(const tina__io_request *request)
{
    if (request->kind != TINA__IO_CONNECT)
        return true;
    tina_address peer = *request->peer; /* which may lie where the host's form is to be */
    return tina__sock_encode(&peer, request->backend_memory);
}

static bool is_known(const tina__io_request *request)
{
    return request->kind == TINA__IO_ACCEPT || request->kind == TINA__IO_CONNECT || request->kind == TINA__IO_RECEIVE ||
           request->kind == TINA__IO_SEND;
}

static bool hand_over_requests(tina__backend *backend)
{
    while (backend->queue.first != NULL) {
        if (!has_room(&backend->ring, 1))
            return false;
        tina__io_request *request = tina__requests_pop(&backend->queue);
        if (request->backend_state == QUEUED_CANCELLED) {
            finish(backend, request, TINA_CANCELLED);
        } else if (!is_known(request)) {
            finish(backend, request, TINA_UNSUPPORTED);
        } else if (!is_sound(request)) {
            finish(backend, request, TINA_INVALID);
        } else {
            prepare(backend, claim_entry(backend, request), request);
            request->backend_state = UNDER_WAY;
        }
    }
    return true;
}

/* ---- The table's functions ---- */

static void submit(tina__backend *backend, tina__io_request *requests)
{
    while (requests != NULL) {
        tina__io_request *request = requests;
        requests = request->next;
        submission *place = submission_of(backend, request);
        tina__assert(place->request == NULL);
        place->request = request;
        request->backend_state = QUEUED;
        tina__requests_push(&backend->queue, request);
    }
}

static void cancel(tina__backend *backend, tina__io_request *request)
{
    const submission *place = submission_of(backend, request);
    if (place->request != request)
        return;
    if (request->backend_state == QUEUED)
        request->backend_state = QUEUED_CANCELLED;
    if (request->backend_state != UNDER_WAY)
        return;
    tina__assert(backend->cancel_count < backend->op_count);
    request->backend_state = CANCEL_ASKED;
    backend->cancels[backend->cancel_count++] = place->word;
}

/* A place is in use until its completion was collected: completions need not come in the order of the places. */
static void put_in_ring(tina__backend *backend, uint32_t buffer)
{
    uint16_t place = backend->free_places[--backend->free_place_count];
    backend->buffer_of[place] = buffer;
    io_uring_buf_ring_add(backend->buffer_ring, backend->buffers + (size_t)buffer * backend->buffer_size,
                          backend->buffer_size, place, backend->buffer_mask, 0);
    io_uring_buf_ring_advance(backend->buffer_ring, 1);
}

static void lend(tina__backend *backend, uint32_t buffer)
{
    tina__assert(buffer < backend->buffer_count);
    tina__assert(backend->lent_count < backend->buffer_count);
    backend->lent_count++;
    if (backend->free_place_count != 0)
        put_in_ring(backend, buffer);
    else
        backend->spare[backend->spare_count++] = buffer;
}

static bool kernel_has_work(const struct io_uring *ring)
{
    unsigned flags = __atomic_load_n(ring->sq.kflags, __ATOMIC_RELAXED); /* a hint: what is missed now is seen next turn */
    return io_uring_sq_ready(ring) != 0 || (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

/* Negative: it brought nothing, -errno. */
static int wait_for_one(struct io_uring *ring, uint64_t wait_ns)
{
    if (wait_ns == TINA_NONE_NS)
        return io_uring_submit_and_wait(ring, 1);
    struct __kernel_timespec wait = {.tv_sec = (long long)(wait_ns / 1000000000),
                                     .tv_nsec = (long long)(wait_ns % 1000000000)};
    struct io_uring_cqe *first;
    return io_uring_submit_and_wait_timeout(ring, &first, 1, &wait, NULL);
}

static void flush(tina__backend *backend, uint64_t wait_ns)
{
    struct io_uring *ring = &backend->ring;
    bool is_watched = wait_ns == 0 || watch_wake(backend);
    bool is_handed_over = hand_over_cancels(backend) && hand_over_requests(backend);
    bool has_any = backend->done.first != NULL || io_uring_cq_ready(ring) != 0;
    if (wait_ns != 0 && !has_any)
        wait_for_one(ring, is_watched && is_handed_over ? wait_ns : tina__min_u64(wait_ns, REFUSED_WAIT_NS));
    else if (kernel_has_work(ring))
        io_uring_submit_and_get_events(ring);
}

/* ---- Completions ---- */

/* The buffer that a completion names; one without data goes back. */
static uint32_t take_buffer(tina__backend *backend, const struct io_uring_cqe *result)
{
    if ((result->flags & IORING_CQE_F_BUFFER) == 0)
        return TINA__BUFFER_NONE;
    uint32_t place = result->flags >> IORING_CQE_BUFFER_SHIFT;
    tina__assert(place <= (uint32_t)backend->buffer_mask);
    tina__assert(backend->lent_count != 0);
    uint32_t buffer = backend->buffer_of[place];
    backend->free_places[backend->free_place_count++] = (uint16_t)place;
    backend->lent_count--;
    if (backend->spare_count != 0)
        put_in_ring(backend, backend->spare[--backend->spare_count]);
    if (result->res > 0)
        return buffer;
    lend(backend, buffer);
    return TINA__BUFFER_NONE;
}

static tina__io_completion failure(const tina__io_request *request, int os_error)
{
    if (os_error == EAGAIN && request->no_wait)
        return tina__completion_make(request, TINA_BUSY, 0);
    bool is_starved = os_error == ENOBUFS && request->kind == TINA__IO_RECEIVE;
    bool did_nothing = is_starved || os_error == EINTR || os_error == EAGAIN;
    if (os_error == ECANCELED || (did_nothing && request->backend_state == CANCEL_ASKED))
        return tina__completion_make(request, TINA_CANCELLED, 0);
    if (is_starved)
        return tina__completion_make(request, TINA_BUSY, 0);
    return tina__completion_make(request, tina__sock_status(os_error), os_error);
}

static tina__io_completion success(const tina__io_request *request, int result, uint32_t buffer)
{
    tina__io_completion completion = tina__completion_make(request, TINA_OK, 0);
    switch ((tina__io_kind)request->kind) {
    case TINA__IO_ACCEPT: completion.os_fd = result; break;
    case TINA__IO_CONNECT: break;
    case TINA__IO_RECEIVE:
        completion.status = result == 0 ? TINA_CLOSED : TINA_OK;
        completion.buffer = buffer;
        completion.size = (uint32_t)result;
        break;
    case TINA__IO_SEND: completion.size = (uint32_t)result; break;
    default: break;
    }
    return completion;
}

/*
 * Whether it goes over once more, unless somebody wants its end: it was interrupted,
 * was sent away though it is willing to wait, or found no buffer where there is one
 * by now. Its submitter, told TINA_BUSY, would wait for the next to be lent.
 */
static bool goes_again(const tina__backend *backend, const tina__io_request *request, int result)
{
    if (request->backend_state == CANCEL_ASKED)
        return false;
    if (result == -ENOBUFS && request->kind == TINA__IO_RECEIVE)
        return backend->lent_count != 0;
    return result == -EINTR || (result == -EAGAIN && !request->no_wait);
}

/* False: nobody is to be told. */
static bool take(tina__backend *backend, const struct io_uring_cqe *result, tina__io_completion *completion)
{
    if (is_own(result->user_data)) {
        if (ends_watch(result->user_data))
            backend->is_wake_watched = false;
        return false;
    }
    uint32_t index = tina__word_index(result->user_data);
    tina__assert(index < backend->op_count);
    submission *place = &backend->submissions[index];
    tina__assert(place->word == result->user_data);
    tina__io_request *request = place->request;
    tina__assert(request != NULL);
    tina__assert((request->token & TOKEN_MASK) == (result->user_data & TOKEN_MASK));
    place->word = 0;
    uint32_t buffer = take_buffer(backend, result);
    if (goes_again(backend, request, result->res)) {
        request->backend_state = QUEUED;
        tina__requests_push(&backend->queue, request);
        return false;
    }
    place->request = NULL;
    *completion = result->res < 0 ? failure(request, -result->res) : success(request, result->res, buffer);
    return true;
}

static uint32_t collect(tina__backend *backend, tina__io_completion *completions, uint32_t max)
{
    uint32_t count = 0;
    while (count < max && backend->done.first != NULL)
        completions[count++] = tina__requests_completion(tina__requests_pop(&backend->done));
    unsigned seen = 0;
    unsigned head;
    struct io_uring_cqe *result;
    io_uring_for_each_cqe(&backend->ring, head, result)
    {
        if (count == max)
            break;
        count += take(backend, result, &completions[count]) ? 1 : 0;
        seen++;
    }
    io_uring_cq_advance(&backend->ring, seen);
    return count;
}

/* ---- Ending everything ---- */

/* What the kernel has not taken yet it will never see. */
static void drop_entries(tina__backend *backend)
{
    struct io_uring_sq *entries = &backend->ring.sq;
    unsigned head = *entries->khead; /* only our own enters move it */
    for (unsigned at = head; at != entries->sqe_tail; at++) {
        uint64_t word = entries->sqes[at & *entries->kring_mask].user_data;
        if (!is_own(word))
            backend->submissions[tina__word_index(word)].word = 0;
        else if (ends_watch(word))
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
    if (is_own(word)) {
        bool was_watched = backend->is_wake_watched;
        backend->is_wake_watched = was_watched && !ends_watch(word);
        return was_watched != backend->is_wake_watched;
    }
    if (kind_of(word) == TINA__IO_ACCEPT && result->res >= 0)
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
    if (!has_room(&backend->ring, 1))
        return false;
    prepare_cancel(io_uring_get_sqe(&backend->ring), word);
    return true;
}

/* One by one: the kernel's cancel of all looks through all for each of them, which takes it minutes for ten thousand. */
static void ask_for_every_end(tina__backend *backend)
{
    bool has_asked = !backend->is_wake_watched || ask_for_end(backend, OWN_WAKE_POLL);
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
        result = wait_for_one(&backend->ring, PASS_WAIT_NS);
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

static bool abandon(tina__backend *backend)
{
    if (!end_all(backend))
        return false;
    io_uring_unregister_buf_ring(&backend->ring, BUFFER_GROUP);
    if (register_buffers(backend) < 0)
        return false;
    memset(backend->submissions, 0, backend->op_count * sizeof *backend->submissions);
    forget_all(backend);
    tina__os_event_signal(backend->wake_fd); /* whoever did so may have been read, and not been heard */
    return true;
}

static void close_backend(tina__backend *backend)
{
    (void)end_all(backend); /* where the kernel does not let go here, it does with the ring */
    io_uring_unregister_buf_ring(&backend->ring, BUFFER_GROUP);
    io_uring_queue_exit(&backend->ring);
}

static void close_fd(tina__backend *backend, int os_fd, uint32_t slot)
{
    (void)backend;
    (void)slot;
    close(os_fd);
}

static void let_go(tina__backend *backend, int os_fd, uint32_t slot)
{
    (void)backend;
    (void)os_fd;
    (void)slot;
}

const tina__backend_api tina__uring_backend = {
    .name = "io_uring",
    .id = TINA_BACKEND_URING,
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
