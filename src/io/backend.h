/*
 * The contract of an I/O backend: what a port has to provide.
 *
 * A backend belongs to one shard and is called by that shard's thread alone,
 * except for open, which the same thread calls first. That thread has SIGPIPE
 * blocked. Data goes down in requests and comes up in completions; a backend calls
 * nothing above it.
 *
 * Requests. The reactor fills a tina__io_request and submits it. From then until
 * its completion has been collected the request, and the memory that it names,
 * belong to the backend and do not move. Each request gets exactly one
 * completion, with the same token, which is a word of base/handle.h, of the same
 * shard as all others. Requests on one descriptor may be: at most one that reads and
 * at most one that writes, at once.
 *
 * That read (tina__io_reads), of sockets:
 *
 *   ACCEPT        the completion's os_fd is the new descriptor, non-blocking and
 *                 closed on exec
 *   RECEIVE       at most size bytes into one of the lent buffers; the completion
 *                 names the buffer, which is the reactor's again, or NONE where there
 *                 was no data. At the peer's end: TINA_CLOSED. Where no buffer is
 *                 lent and there may be data: status TINA_BUSY; the reactor submits
 *                 it again when it has lent one
 *   RECEIVE_FROM  the same for one datagram, which may be empty: a buffer is named all
 *                 the same. Whom it is from is written, as a tina_address, into the
 *                 buffer's annex (family 0: not known); is_truncated: it was longer
 *
 * of files and pipes:
 *
 *   READ          as RECEIVE, from offset where fd_class is FILE. At a file's end
 *                 TINA_OK with size 0 and no buffer, at a pipe's TINA_CLOSED
 *   STAT          the completion's size is the file's; TINA_UNSUPPORTED: it is no
 *                 regular file and has none. data: 256 bytes that the backend may use
 *
 * That write, on sockets:
 *
 *   CONNECT       to *peer, which may lie in backend_memory: it is read first
 *   SEND          size bytes at data; the completion's size is what was taken, at
 *                 least 1 when its status is TINA_OK, and may be less than asked:
 *                 the reactor submits the rest. With no_wait set: TINA_BUSY where
 *                 not a single byte could be taken at once
 *   SEND_TO       one datagram, the same but for its rest: it goes as a whole. To
 *                 *peer, or where it is connected to (NULL)
 *   SENDFILE      size bytes from offset of file_fd on, to os_fd, as SEND; at the
 *                 file's end less, and then nothing: TINA_OK with size 0
 *
 * on files and pipes:
 *
 *   WRITE         as SEND, at offset where fd_class is FILE
 *   SYNC          all that was written, and the file's size, is on the disk
 *   TRUNCATE      the file is offset bytes long
 *
 * Without a descriptor (os_fd -1, slot NONE): data is a path, with a final zero.
 *
 *   OPEN          flags are TINA_OPEN_...; the completion's os_fd is the new
 *                 descriptor, closed on exec, and fd_class says what it is. Does not
 *                 wait for anybody at the other end of a pipe
 *   RENAME        the new path lies at data + size
 *   UNLINK
 *
 * A request that fails completes with a status and the host's errno; it never
 * takes the rest of its batch with it. There is no limit on how many requests
 * one submit may bring. What a backend can't do it completes as TINA_UNSUPPORTED.
 *
 * Cancel asks for the end of one request: its completion comes soon, as
 * TINA_CANCELLED or with what it did, if it was over already. What works on a disk
 * may take until the disk is done. Cancelling what has completed is harmless.
 *
 * Buffers. lend gives the backend a buffer of config.buffer_size bytes, at
 * config.buffers + index * config.buffer_size, to receive into; its annex lies at
 * config.annexes + index * TINA__ANNEX_SIZE. An idle connection holds none: a
 * buffer is taken only when there is data.
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
 * backend keeps what it knows. Descriptors move between shards: one backend lets
 * go of it, another takes it, with another slot; between the two it may lie in a
 * channel, and be closed from there (slot NONE: nobody knows anything of it).
 *
 * Time and randomness do not exist here, except for wait_ns, and for how long
 * abandon and close wait.
 */
#ifndef TINA__IO_BACKEND_H
#define TINA__IO_BACKEND_H

#include "base/fd_class.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tina/io.h>
#include <tina/spec.h>

#define TINA__BUFFER_NONE UINT32_MAX
#define TINA__SLOT_NONE   UINT32_MAX
#define TINA__ANNEX_SIZE  256 /* beside each buffer: a datagram's address; 8-byte aligned */

typedef enum tina__io_kind {
    TINA__IO_ACCEPT,
    TINA__IO_RECEIVE,
    TINA__IO_RECEIVE_FROM,
    TINA__IO_READ,
    TINA__IO_STAT,
    TINA__IO_CONNECT,
    TINA__IO_SEND,
    TINA__IO_SEND_TO,
    TINA__IO_SENDFILE,
    TINA__IO_WRITE,
    TINA__IO_SYNC,
    TINA__IO_TRUNCATE,
    TINA__IO_OPEN,
    TINA__IO_RENAME,
    TINA__IO_UNLINK,
} tina__io_kind;

static inline bool tina__io_reads(uint8_t kind) { return kind <= TINA__IO_STAT; }
static inline bool tina__io_has_fd(uint8_t kind) { return kind < TINA__IO_OPEN; }
static inline bool tina__io_opens(uint8_t kind) { return kind == TINA__IO_ACCEPT || kind == TINA__IO_OPEN; }
/* It takes one of the lent buffers. */
static inline bool tina__io_fills(uint8_t kind) { return kind >= TINA__IO_RECEIVE && kind <= TINA__IO_READ; }

typedef struct tina__io_request {
    struct tina__io_request *next; /* whose it is: the reactor's list before submit, the backend's after */
    uint64_t token;                /* comes back with the completion */
    const void *data;
    uint32_t size;
    uint32_t slot; /* the descriptor's number */
    int32_t os_fd;
    int32_t file_fd; /* SENDFILE */
    union {
        uint64_t offset; /* READ, WRITE, SENDFILE; TRUNCATE: the new size */
        struct {
            uint32_t flags, mode; /* OPEN */
        };
    };
    const tina_address *peer; /* CONNECT, SEND_TO */
    void *backend_memory;     /* 128 bytes, 16-byte aligned, the backend's while it has the request (socket addresses) */
    uint8_t kind;             /* tina__io_kind */
    uint8_t fd_class;         /* tina__fd_class of os_fd */
    uint8_t backend_state;    /* the backend's */
    bool no_wait;             /* SEND, SEND_TO */
} tina__io_request;

/* It takes a buffer before there is data: how long it has it is the disk's to say. */
static inline bool tina__io_reads_file(const tina__io_request *request)
{
    return request->kind == TINA__IO_READ && request->fd_class == TINA__FD_FILE;
}

typedef struct tina__io_completion {
    uint64_t token;
    uint64_t size;    /* bytes done; STAT: the file's */
    uint32_t buffer;  /* RECEIVE, RECEIVE_FROM, READ: which, or TINA__BUFFER_NONE */
    int32_t os_fd;    /* ACCEPT, OPEN: the new one, or -1 */
    int32_t os_error; /* errno, or 0 */
    uint16_t status;  /* tina_status */
    uint8_t fd_class; /* OPEN: of the new one; an accept's is a stream */
    bool is_truncated;
} tina__io_completion;

typedef struct tina__backend tina__backend; /* each backend's own */

typedef struct tina__backend_config {
    uint8_t *buffers; /* page-aligned */
    uint8_t *annexes;
    uint32_t buffer_count;
    uint32_t buffer_size;
    uint32_t fd_count;
    uint32_t op_count;
    uint32_t
        file_threads; /* for backends whose kernel does not work on files by itself; 0: none, files are TINA_UNSUPPORTED */
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
     * accepts and opens brought with them closed. No buffer is lent, and no end was
     * asked for. Descriptors stay open, for close_fd, and are not watched. A wake is
     * not lost: the next flush that may wait does not. Asks for no memory.
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
    /*
     * May a flush and a collect find something? A look that asks the kernel nothing,
     * for a shard that polls. NULL: only they can tell.
     */
    bool (*has_news)(const tina__backend *backend);
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
    /* What an os_fd of the program's is; a socket becomes non-blocking. Otherwise as above; it stays the program's then. */
    tina_status (*adopt)(tina__backend *backend, int os_fd, uint8_t *fd_class, int *os_error);
    void (*close_fd)(tina__backend *backend, int os_fd, uint32_t slot); /* slot NONE: see above */
    void (*let_go)(tina__backend *backend, int os_fd,
                   uint32_t slot);                        /* nothing is under way; it stays open, for another backend */
    void (*take_over)(tina__backend *backend, int os_fd); /* that another has let go of */
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
