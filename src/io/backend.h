/*
 * The contract of an I/O backend: what a port has to provide.
 *
 * A backend belongs to one shard and is called by that shard's thread alone,
 * except for open, which the same thread calls first. Data goes down in
 * requests and comes up in completions; a backend calls nothing above it.
 *
 * Requests. The reactor fills a tina__io_request and submits it. From then until
 * its completion has been collected the request, and the memory that it names,
 * belong to the backend and do not move. Each request gets exactly one
 * completion, with the same token. Requests on one descriptor may be: at most
 * one that reads (accept, receive) and at most one that writes (connect, send),
 * at once.
 *
 *   ACCEPT   the completion's os_fd is the new descriptor, non-blocking and
 *            closed on exec; peer, where not NULL, is filled in
 *   CONNECT  to *peer
 *   RECEIVE  at most size bytes into one of the lent buffers; the completion
 *            names the buffer, which is the reactor's again, or NONE where there
 *            was no data. At the peer's end: TINA_CLOSED. Where no buffer is
 *            lent and there may be data: status TINA_BUSY; the reactor submits
 *            it again when it has lent one
 *   SEND     size bytes at data; the completion's size is what was taken, at
 *            least 1 when its status is TINA_OK, and may be less than asked:
 *            the reactor submits the rest. With no_wait set: TINA_BUSY where
 *            not a single byte could be taken at once
 *
 * A request that fails completes with a status and the host's errno; it never
 * takes the rest of its batch with it. There is no limit on how many requests
 * one submit may bring.
 *
 * Cancel asks for the end of one request: its completion comes soon, as
 * TINA_CANCELLED or with what it did, if it was over already. Cancelling what
 * has completed is harmless.
 *
 * Buffers. lend gives the backend a buffer of config.buffer_size bytes, at
 * config.buffers + index * config.buffer_size, to receive into. An idle
 * connection holds none: a buffer is taken only when there is data.
 *
 * The turn. submit queues; flush hands all that is queued to the kernel, lets it
 * finish what it can, and waits up to wait_ns for something to collect (0: does
 * not wait, and makes no system call where there is nothing to hand over or to
 * finish; TINA_NONE_NS: without limit). It returns early when wake_fd, an
 * eventfd, is readable; the backend reads it empty, and once it has, this flush
 * does not wait (any more): a wake that was read must not be waited for again.
 * collect takes completions off. A request may complete inside submit; its completion is still collected.
 * Completions may come in any order across descriptors.
 *
 * Descriptors. The synchronous calls below work on non-blocking sockets.
 * Before a request names an os_fd the first time, nothing need be said; before
 * the reactor closes one, no request on it is under way, and close tells the
 * backend to forget what it knows of it. slot is a number below config.fd_count
 * which the reactor gives each descriptor, unique while it is open: where a
 * backend keeps what it knows.
 *
 * Time and randomness do not exist here, except for wait_ns, and for how long
 * abandon waits.
 */
#ifndef TINA__IO_BACKEND_H
#define TINA__IO_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tina/io.h>
#include <tina/spec.h>

#define TINA__BUFFER_NONE UINT32_MAX

typedef enum tina__io_kind { TINA__IO_ACCEPT, TINA__IO_CONNECT, TINA__IO_RECEIVE, TINA__IO_SEND } tina__io_kind;

typedef struct tina__io_request {
    struct tina__io_request *next; /* whose it is: the reactor's list before submit, the backend's after */
    uint64_t token;                /* comes back with the completion */
    const void *data;              /* SEND */
    uint32_t size;                 /* SEND, RECEIVE */
    uint32_t slot;                 /* the descriptor's number */
    int32_t os_fd;
    uint8_t kind;          /* tina__io_kind */
    bool no_wait;          /* SEND */
    uint8_t backend_state; /* the backend's */
    tina_address *peer;    /* ACCEPT: out, may be NULL; CONNECT: in */
    void *backend_memory;  /* 128 bytes, 16-byte aligned, the backend's while it has the request (socket addresses) */
} tina__io_request;

typedef struct tina__io_completion {
    uint64_t token;
    uint32_t size;    /* bytes done */
    uint32_t buffer;  /* RECEIVE: which, or TINA__BUFFER_NONE */
    int32_t os_fd;    /* ACCEPT: the new one, or -1 */
    int32_t os_error; /* errno, or 0 */
    uint16_t status;  /* tina_status */
} tina__io_completion;

typedef struct tina__backend tina__backend; /* each backend's own */

typedef struct tina__backend_config {
    uint8_t *buffers; /* page-aligned */
    uint32_t buffer_count;
    uint32_t buffer_size;
    uint32_t fd_count;
    uint32_t op_count;
    int wake_fd;
    void *memory; /* memory_size(config) bytes, zeroed, 64-byte aligned: all that the backend keeps of its own */
} tina__backend_config;

typedef struct tina__backend_api {
    const char *name;
    uint8_t id; /* tina_backend */
    size_t (*memory_size)(const tina__backend_config *config);
    /* TINA_OK, or why not; os_error and why (a few words, static) say more. Decides by doing an operation, not by probing. */
    tina_status (*open)(const tina__backend_config *config, tina__backend **backend, int *os_error, const char **why);
    /*
     * Ends everything at once, for a shard whose memory is made anew. The requests
     * may be damaged, and are not read; a fault may have cut any other call short,
     * and a collect that did not return has collected nothing.
     *
     * When it returns true, nothing is under way: no completion will come of what
     * was submitted, and the kernel touches neither requests nor buffers any more.
     * Completions that were not collected are dropped, and the descriptors that
     * accepts brought with them closed. No buffer is lent, and no end was asked
     * for. Descriptors stay open, for close_fd, and are not watched. A wake is not
     * lost: the next flush that may wait does not. Asks for no memory.
     *
     * False: the kernel did not let go within about a second. Then only close may
     * follow, and the memory has to stay where it is.
     */
    bool (*abandon)(tina__backend *backend);
    /* What is still under way ends as with abandon. */
    void (*close)(tina__backend *backend);

    void (*submit)(tina__backend *backend, tina__io_request *requests); /* a list, linked by next, in order */
    void (*cancel)(tina__backend *backend, tina__io_request *request);  /* one that was submitted and not collected */
    void (*lend)(tina__backend *backend, uint32_t buffer);
    void (*flush)(tina__backend *backend, uint64_t wait_ns);
    uint32_t (*collect)(tina__backend *backend, tina__io_completion *completions, uint32_t max);
    /* Ends the flush of the shard whose wake_fd that is; called by another shard, with its own backend. */
    void (*wake)(tina__backend *backend, int wake_fd);

    /* Synchronous. *os_error is the errno of a failure. */
    tina_status (*socket_open)(tina__backend *backend, int family, int type, int *os_fd, int *os_error);
    tina_status (*socket_bind)(tina__backend *backend, int os_fd, const tina_address *address, int *os_error);
    tina_status (*socket_listen)(tina__backend *backend, int os_fd, int backlog, int *os_error);
    tina_status (*socket_local)(tina__backend *backend, int os_fd, tina_address *address, int *os_error);
    tina_status (*socket_peer)(tina__backend *backend, int os_fd, tina_address *address, int *os_error);
    tina_status (*socket_set)(tina__backend *backend, int os_fd, int option, int value, int *os_error);
    tina_status (*socket_get)(tina__backend *backend, int os_fd, int option, int *value, int *os_error);
    tina_status (*socket_shutdown)(tina__backend *backend, int os_fd, int half, int *os_error);
    void (*close_fd)(tina__backend *backend, int os_fd, uint32_t slot);
} tina__backend_api;

extern const tina__backend_api tina__uring_backend;
extern const tina__backend_api tina__epoll_backend;

/*
 * Open the backend that the spec names. AUTO: io_uring, or epoll at once where
 * the kernel refuses it, in which case *why says what it refused ("" otherwise).
 * The memory must hold the larger of the two (tina__backend_memory).
 */
tina_status tina__backend_open(uint8_t wanted, const tina__backend_config *config, const tina__backend_api **api,
                               tina__backend **backend, int *os_error, const char **why);
size_t tina__backend_memory(uint8_t wanted, const tina__backend_config *config);

#endif
