/*
 * The io_uring backend from inside; for its own files alone. Each knows only those
 * above it:
 *
 *   uring_tier      what the kernel can do
 *   uring_buffers   the ring of provided buffers
 *   uring_datagram  datagrams with whom they are from
 *   uring_sendfile  from a file to a socket, through pipes
 *   uring_prepare   requests into entries
 *   uring_complete  entries back into completions
 *   uring_end       abandon and close
 *   uring           the table, opening, and the turn; how it works is told there
 */
#ifndef TINA__IO_URING_INSIDE_H
#define TINA__IO_URING_INSIDE_H

#include "base/assert.h"
#include "base/bits.h"
#include "base/handle.h"
#include "io/request_list.h"
#include "io/uring_tier.h"
#include "os/sock_posix.h"

#include <liburing.h>

#define TINA__URING_BUFFER_GROUP 0
#define TINA__URING_PIPES        16    /* that sendfiles may use at once */
#define TINA__URING_PLACES_MAX   32768 /* of a ring of provided buffers; what is lent beyond it follows when a place is free */

/* ---- Words: the kernel's user data ---- */

#define TINA__URING_KIND_SHIFT    56
#define TINA__URING_TOKEN_MASK    ((1ull << TINA__URING_KIND_SHIFT) - 1) /* what a word keeps of a token */
#define TINA__URING_POLL          (1ull << 63) /* it is not the operation itself, but a poll for it */
#define TINA__URING_OWN(number)   ((uint64_t)(number) << 32)
#define TINA__URING_OWN_NOP       TINA__URING_OWN(1)
#define TINA__URING_OWN_CANCEL    TINA__URING_OWN(2)
#define TINA__URING_OWN_WAKE_POLL TINA__URING_OWN(3)
#define TINA__URING_OWN_WAKE      TINA__URING_OWN(4)

static inline uint64_t tina__uring_word(const tina__io_request *request, bool is_poll)
{
    uint64_t word = (uint64_t)request->kind << TINA__URING_KIND_SHIFT | (request->token & TINA__URING_TOKEN_MASK);
    return is_poll ? word | TINA__URING_POLL : word;
}
static inline uint64_t tina__uring_word_token(uint64_t word) { return word & TINA__URING_TOKEN_MASK; }
static inline bool tina__uring_is_own(uint64_t word) { return tina__word_generation(word) == 0; }
static inline bool tina__uring_is_poll(uint64_t word) { return (word & TINA__URING_POLL) != 0; }
static inline uint8_t tina__uring_kind(uint64_t word)
{
    return (uint8_t)((word & ~TINA__URING_POLL) >> TINA__URING_KIND_SHIFT);
}
/* The watch of wake_fd is a pair of entries, of which exactly one completes: the second, or the first where it fails. */
static inline bool tina__uring_ends_watch(uint64_t word)
{
    return word == TINA__URING_OWN_WAKE || word == TINA__URING_OWN_WAKE_POLL;
}

/* ---- A request's backend_state: where it is, and what its next entry is ---- */

enum {
    TINA__URING_QUEUED = 0,
    TINA__URING_UNDER_WAY = 1, /* the kernel has an entry of it */
    TINA__URING_WAITING = 2,   /* in one of the lists of those that want something */
    TINA__URING_WHERE = 3,     /* mask of the above */
    TINA__URING_POLLS = 4,     /* the entry is a poll: what it is on can't go on yet */
    TINA__URING_CANCELLED = 8, /* its end was asked for */
    /* By kind. */
    TINA__URING_POLLED = 16,    /* READ of a pipe: there is something */
    TINA__URING_ENCODED = 16,   /* CONNECT, SEND_TO: backend_memory has the peer in the host's form */
    TINA__URING_BY_BUFFER = 16, /* SENDFILE: the file can't be spliced */
    TINA__URING_NAMED = 16,     /* RECEIVE_FROM: whom the next datagram is from is known, now for its bytes */
    TINA__URING_EMPTY = 32,     /* RECEIVE_FROM: there was one without bytes, now for a buffer */
    TINA__URING_PAUSE = 32,     /* CONNECT, SEND_TO: the lowest of three bits, how often the peer was full, at most 7 */
    TINA__URING_PAUSES = 7 * TINA__URING_PAUSE,
};

static inline bool tina__uring_is_in(const tina__io_request *request, uint8_t where)
{
    return (request->backend_state & TINA__URING_WHERE) == where;
}
static inline void tina__uring_put_in(tina__io_request *request, uint8_t where)
{
    request->backend_state = (uint8_t)((request->backend_state & ~TINA__URING_WHERE) | where);
}
static inline bool tina__uring_is(const tina__io_request *request, uint8_t flag)
{
    return (request->backend_state & flag) != 0;
}
static inline void tina__uring_set(tina__io_request *request, uint8_t flag, bool is_so)
{
    request->backend_state = (uint8_t)(is_so ? request->backend_state | flag : request->backend_state & ~flag);
}

/* What a request's backend_memory is, but for tina__sock_address of CONNECT, SEND_TO, and RECEIVE_FROM that is NAMED. */

/* RECEIVE_FROM of IP sockets. The kernel reads the part when the entry goes over, and writes the name when it is over. */
typedef struct tina__uring_header {
    struct msghdr header;
    union {
        struct iovec part;
        uint8_t name[sizeof(struct sockaddr_in6)];
    };
} tina__uring_header;
TINA_STATIC_ASSERT(sizeof(tina__uring_header) <= 128, "fits into a request's backend_memory");

/* ---- The backend ---- */

typedef struct tina__uring_submission {
    tina__io_request *request; /* NULL: none was submitted, or it is over */
    uint64_t word;             /* the user data of the entry that the kernel has, or is about to get; 0: none */
} tina__uring_submission;

typedef struct tina__uring_pipe {
    int read_fd, write_fd; /* -1: not open */
} tina__uring_pipe;

struct tina__backend {
    struct io_uring ring;
    struct io_uring_buf_ring *buffer_ring;
    uint32_t tier;
    tina__request_list queue; /* not handed over yet */
    tina__request_list reads;
    tina__request_list later;            /* receives of it that wait until completed ones have been collected */
    tina__request_list done;             /* over without the kernel */
    tina__request_list wants_pipe;       /* sendfiles; as many are queued again as there are free pipes */
    tina__request_list wants_share;      /* sendfiles; likewise, of the buffers that they may hold */
    tina__request_list wants_buffer;     /* what fills one; likewise */
    bool has_cancelled_waiter;           /* in one of those three */
    bool has_cancelled_queued;           /* maybe in later */
    bool has_starved_waiter;             /* in wants_buffer: to be told TINA_BUSY if none is lent any more */
    uint64_t token_shard;                /* what a word does not have of a token */
    tina__uring_submission *submissions; /* by their token's index */
    uint64_t *cancels; /* words of requests under way whose end was asked for: each at most once, so op_count are enough */
    uint32_t cancel_count;
    uint32_t op_count;
    uint32_t fd_count;
    uint8_t *buffers;
    uint8_t *annexes;
    uint32_t buffer_count;
    uint32_t buffer_size;
    uint32_t lent_count;     /* what a completion took counts as lent until it was collected */
    uint32_t taker_count;    /* entries under way that take a lent buffer, now or when there is data */
    uint32_t holding_count;  /* of these, those that may hold one though they have no data yet */
    uint32_t sendfile_count; /* of those, sendfiles */
    int buffer_mask;
    uint32_t *buffer_of;   /* which buffer lies in each place; the kernel names places */
    uint16_t *free_places; /* a stack */
    uint32_t free_place_count;
    uint32_t *spare; /* a stack: lent buffers that nobody needs in the ring */
    uint32_t spare_count;
    uint8_t *families; /* by slot: the host's, of those that datagrams were received on; 0: not known */
    tina__uring_pipe pipes[TINA__URING_PIPES];
    uint32_t free_pipes;       /* a bit each */
    int byte_fd;               /* a file of one byte: to read it is to get a buffer */
    struct msghdr send_header; /* of a SENDMSG that the kernel has not taken yet */
    struct iovec send_part;
    int wake_fd;
    bool is_wake_watched;
    uint64_t wake_value;
};

static inline tina__uring_submission *tina__uring_place(tina__backend *backend, const tina__io_request *request)
{
    uint32_t index = tina__word_index(request->token);
    tina__assert(index < backend->op_count);
    return &backend->submissions[index];
}

static inline bool tina__uring_has_room(struct io_uring *ring, unsigned count)
{
    if (io_uring_sq_space_left(ring) >= count)
        return true;
    io_uring_submit(ring); /* how much it took is seen in the ring */
    return io_uring_sq_space_left(ring) >= count;
}

/* Hands over and waits for something to collect. Negative: it brought nothing, -errno. */
static inline int tina__uring_turn(struct io_uring *ring, uint64_t wait_ns)
{
    if (wait_ns == TINA_NONE_NS)
        return io_uring_submit_and_wait(ring, 1);
    struct __kernel_timespec wait = {.tv_sec = (long long)(wait_ns / 1000000000),
                                     .tv_nsec = (long long)(wait_ns % 1000000000)};
    struct io_uring_cqe *first;
    return io_uring_submit_and_wait_timeout(ring, &first, 1, &wait, NULL);
}

static inline uint32_t tina__uring_pauses(const tina__io_request *request)
{
    return (request->backend_state & TINA__URING_PAUSES) / TINA__URING_PAUSE;
}
static inline void tina__uring_count_pause(tina__io_request *request)
{
    bool is_longest = (request->backend_state & TINA__URING_PAUSES) == TINA__URING_PAUSES;
    request->backend_state = (uint8_t)(request->backend_state + (is_longest ? 0 : TINA__URING_PAUSE));
}

/* Back to the end of the queue, for its next entry. */
static inline void tina__uring_queue(tina__backend *backend, tina__io_request *request)
{
    tina__uring_put_in(request, TINA__URING_QUEUED);
    tina__requests_push(tina__io_reads(request->kind) ? &backend->reads : &backend->queue, request);
}

static inline void tina__uring_wait(tina__request_list *waiters, tina__io_request *request)
{
    tina__uring_put_in(request, TINA__URING_WAITING);
    tina__requests_push(waiters, request);
}

/* How much may be received into a buffer. */
static inline uint32_t tina__uring_room(const tina__backend *backend, const tina__io_request *request)
{
    return request->size == 0 ? backend->buffer_size : tina__min_u32(request->size, backend->buffer_size);
}

/* Lent ones that are in the ring or may be, and that no entry under way may hold: a disk lets go of those when it likes. */
static inline uint32_t tina__uring_free_buffers(const tina__backend *backend)
{
    uint32_t in_ring = backend->lent_count - backend->spare_count;
    uint32_t may_be = tina__min_u32(backend->lent_count, in_ring + backend->free_place_count);
    return may_be - tina__min_u32(may_be, backend->holding_count);
}

static inline void tina__uring_select_buffer(struct io_uring_sqe *entry)
{
    entry->flags |= IOSQE_BUFFER_SELECT;
    entry->buf_group = TINA__URING_BUFFER_GROUP;
}

/* ---- Buffers (uring_buffers.c) ---- */

size_t tina__uring_places_size(const tina__backend_config *config); /* of the tables by place */
size_t tina__uring_buffer_ring_size(const tina__backend_config *config);
void tina__uring_carve_places(tina__backend *backend, const tina__backend_config *config, void *tables, void *buffer_ring);
void tina__uring_forget_buffers(tina__backend *backend);  /* none is lent */
int tina__uring_register_buffers(tina__backend *backend); /* 0, or -errno */
void tina__uring_lend(tina__backend *backend, uint32_t buffer);
/* One more entry goes over that takes a buffer. */
void tina__uring_add_taker(tina__backend *backend);
/* The buffer that an entry brought, or NONE. It is lent no more. */
uint32_t tina__uring_take_buffer(tina__backend *backend, const struct io_uring_cqe *result);

/* ---- Sendfile (uring_sendfile.c) ---- */

bool tina__uring_sendfile_holds(
    const tina__io_request *request); /* its entry: a lent buffer, while the disk is waited for */
uint32_t tina__uring_sendfile_share(const tina__backend *backend); /* how many more of them may hold one */
/* What the next piece needs. False: it waits for a pipe or a buffer. */
bool tina__uring_sendfile_begin(tina__backend *backend, tina__io_request *request);
void tina__uring_sendfile_prepare(tina__backend *backend, struct io_uring_sqe *entry, const tina__io_request *request);
/* A piece has come, or not. False: it goes on. */
bool tina__uring_sendfile_take(tina__backend *backend, tina__io_request *request, int result, uint32_t buffer,
                               tina__io_completion *completion);
void tina__uring_forget_pipes(tina__backend *backend); /* of a backend that has none open */
void tina__uring_close_pipes(tina__backend *backend);  /* nothing is under way */

/* ---- Entries that take a buffer, and those that may hold it before they have data ---- */

static inline bool tina__uring_takes(const tina__io_request *request)
{
    return tina__io_fills(request->kind) || (request->kind == TINA__IO_SENDFILE && tina__uring_sendfile_holds(request));
}

static inline bool tina__uring_holds(const tina__io_request *request)
{
    if (request->kind == TINA__IO_READ)
        return request->fd_class == TINA__FD_FILE;
    return request->kind == TINA__IO_SENDFILE && tina__uring_sendfile_holds(request);
}
static inline void tina__uring_count_holder(tina__backend *backend, const tina__io_request *request, bool is_more)
{
    if (!tina__uring_holds(request))
        return;
    uint32_t one = is_more ? 1 : UINT32_MAX; /* or one less */
    backend->holding_count += one;
    backend->sendfile_count += request->kind == TINA__IO_SENDFILE ? one : 0;
}

/* An entry, no poll, goes over. */
static inline void tina__uring_count_in(tina__backend *backend, const tina__io_request *request)
{
    tina__uring_count_holder(backend, request, true);
    if (tina__uring_takes(request))
        tina__uring_add_taker(backend);
}

/* It has come back, and what it may have taken is still in its place. */
static inline void tina__uring_count_out(tina__backend *backend, const tina__io_request *request)
{
    tina__uring_count_holder(backend, request, false);
    backend->taker_count -= tina__uring_takes(request);
}

/* ---- Datagrams with whom they are from (uring_datagram.c) ---- */

int tina__uring_open_byte(tina__backend *backend); /* 0, or -errno */
void tina__uring_close_byte(tina__backend *backend);
/* Says whether it polls. False: it waits for a buffer. */
bool tina__uring_datagram_begin(tina__backend *backend, tina__io_request *request);
void tina__uring_datagram_prepare(const tina__backend *backend, struct io_uring_sqe *entry, const tina__io_request *request);
/* The poll of a Unix socket says that one is there. False: it goes on. */
bool tina__uring_datagram_name(tina__io_request *request, tina__io_completion *completion);
/* The entry has brought one, of size bytes. False: it goes on. */
bool tina__uring_datagram_take(tina__backend *backend, tina__io_request *request, uint32_t size, uint32_t buffer,
                               tina__io_completion *completion);

/* ---- Handing over and taking back (uring_prepare.c, uring_complete.c) ---- */

/* Both false: the kernel takes no more for now. */
bool tina__uring_watch_wake(tina__backend *backend);
bool tina__uring_hand_over(tina__backend *backend);
void tina__uring_prepare_cancel(struct io_uring_sqe *entry, uint64_t word);
uint32_t tina__uring_collect(tina__backend *backend, tina__io_completion *completions, uint32_t max);
/* Of a request that the kernel failed. */
tina__io_completion tina__uring_failure(const tina__io_request *request, int os_error);

/* ---- The end (uring_end.c) ---- */

void tina__uring_forget_all(tina__backend *backend);
bool tina__uring_abandon(tina__backend *backend);
void tina__uring_close(tina__backend *backend);

#endif
