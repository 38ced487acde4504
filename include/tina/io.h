/*
 * Sockets, files, and operations on them. Every function with a ctx is called by a
 * handler or an init, on its shard's thread, and does not block; the address
 * functions may be called by any thread.
 */
#ifndef TINA_IO_H
#define TINA_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tina/types.h>

TINA_BEGIN_DECLS

/* ---- Addresses -------------------------------------------------------------- */

/* The address a.b.c.d:port; and one of 16 bytes in network order, with scope 0. port is in host byte order; 0: any. */
TINA_API tina_address tina_ipv4(uint8_t a, uint8_t b, uint8_t c, uint8_t d, uint16_t port);
TINA_API tina_address tina_ipv6(const uint8_t address[16], uint16_t port);

/*
 * The Unix socket of that path. Where it is empty, or longer than the 104 bytes that an address holds: family 0, which no
 * call takes.
 */
TINA_API tina_address tina_unix(const char *path);

/*
 * Read "127.0.0.1:80", "[::1]:80", "[fe80::1%2]:80", "unix:/run/x" or
 * "unix:@abstract" into *address. No names are looked up. TINA_OK; TINA_INVALID:
 * anything else, and *address is left alone.
 */
TINA_API TINA_MUST_USE tina_status tina_address_parse(const char *text, tina_address *address);

/*
 * Write the address as tina_address_parse reads it: at most size bytes, with the
 * final zero. Returns the length of the whole text without it. size 0: text may
 * be NULL.
 */
TINA_API size_t tina_address_format(const tina_address *address, char *text, size_t size);

/* ---- Sockets ------------------------------------------------------------------ */

/* How a socket carries bytes. */
typedef enum tina_socket_type {
    TINA_STREAM = 1,   /* in order, without boundaries: TCP, and Unix stream sockets */
    TINA_DATAGRAM = 2, /* in pieces: UDP, and Unix datagram sockets */
} tina_socket_type;

/* What tina_setsockopt sets: 0 or 1, unless it says otherwise. */
typedef enum tina_option {
    TINA_OPT_REUSEADDR, /* bind to an address even while connections that have ended still hold it */
    TINA_OPT_REUSEPORT, /* several sockets at one address, which share its connections or datagrams */
    TINA_OPT_KEEPALIVE, /* probe a silent peer */
    TINA_OPT_NODELAY,   /* send small pieces at once */
    TINA_OPT_CORK,      /* send whole packets only, while it is on */
    TINA_OPT_RCVBUF,    /* bytes, 1 to INT_MAX / 2; Linux takes, and tells, twice that */
    TINA_OPT_SNDBUF,    /* likewise */
    TINA_OPT_LINGER,    /* 0: closing resets the connection; -1: closing delivers what was sent, the default */
    TINA_OPT_V6ONLY,    /* an IPv6 socket that takes no IPv4 */
    TINA_OPT_KEEPIDLE,  /* seconds of silence before the first probe, 1 to 32,767 */
    TINA_OPT_KEEPINTVL, /* seconds between two probes, 1 to 32,767 */
    TINA_OPT_KEEPCNT,   /* probes without an answer before the connection is over, 1 to 127 */
} tina_option;

/*
 * A new socket, owned by this isolate and closed with it. family is TINA_IPV4,
 * TINA_IPV6 or TINA_UNIX.
 *
 * TINA_OK; TINA_INVALID: the family, the type, or fd is NULL; TINA_POOL_EXHAUSTED:
 * no descriptor is free, here or in the process; TINA_DENIED; TINA_UNSUPPORTED;
 * TINA_SYSTEM_ERROR.
 */
TINA_API TINA_MUST_USE tina_status tina_socket(tina_ctx *ctx, int family, tina_socket_type type, tina_fd *fd);

/*
 * Give a socket, of which this isolate owns at least one half, its address; port 0: one
 * that is free, see tina_local_address.
 *
 * TINA_OK; TINA_STALE_HANDLE; TINA_NOT_OWNER; TINA_INVALID: the address; TINA_DENIED;
 * TINA_UNSUPPORTED; TINA_SYSTEM_ERROR, such as an address that is in use. The errno of
 * the last and of TINA_DENIED is tina_os_error.
 */
TINA_API TINA_MUST_USE tina_status tina_bind(tina_ctx *ctx, tina_fd fd, const tina_address *address);

/*
 * Let a bound stream socket be connected to. backlog, as for listen(2): how many wait at
 * most to be accepted; the system's own limit may be lower. Statuses as tina_bind.
 */
TINA_API TINA_MUST_USE tina_status tina_listen(tina_ctx *ctx, tina_fd fd, int backlog);

/* Write into *address where a socket is bound, or whom it is connected to. Statuses as tina_bind. */
TINA_API TINA_MUST_USE tina_status tina_local_address(tina_ctx *ctx, tina_fd fd, tina_address *address);
TINA_API TINA_MUST_USE tina_status tina_peer_address(tina_ctx *ctx, tina_fd fd, tina_address *address);

/* Set or ask an option of a socket, see tina_option. Statuses as tina_bind; TINA_INVALID: the option or its value. */
TINA_API TINA_MUST_USE tina_status tina_setsockopt(tina_ctx *ctx, tina_fd fd, tina_option option, int value);
TINA_API TINA_MUST_USE tina_status tina_getsockopt(tina_ctx *ctx, tina_fd fd, tina_option option, int *value);

/* A descriptor's directions. */
typedef enum tina_half {
    TINA_READ_HALF = 1,   /* what it receives */
    TINA_WRITE_HALF = 2,  /* what it sends */
    TINA_BOTH_HALVES = 3, /* the two of them */
} tina_half;

/*
 * End one direction of a connection or both. What is under way in a half that is
 * shut down completes with TINA_CANCELLED, or with what it did. Statuses as tina_bind;
 * TINA_NOT_OWNER where not all of those halves are this isolate's.
 */
TINA_API TINA_MUST_USE tina_status tina_socket_shutdown(tina_ctx *ctx, tina_fd fd, tina_half half);

/* ---- Descriptors from elsewhere, and to elsewhere ------------------------------- */

/*
 * Take over a descriptor that the program opened: a pipe, standard input, an
 * inherited socket, a file. From here on it is this isolate's, and closed with it.
 * A socket becomes non-blocking; of anything else no flag is changed, since others
 * may share it: a terminal is opened anew, not to wait, under the same number.
 *
 * A descriptor is adopted once: a number that was adopted twice is closed twice, and
 * by the second time may be another's. What the library has opened itself must not
 * be adopted. A child whose init adopts a number that the program keeps for it must
 * be TINA_TEMPORARY: started again, it would adopt what was closed, or what has that
 * number by then.
 *
 * TINA_OK; TINA_INVALID: os_fd is not open, or fd is NULL; TINA_POOL_EXHAUSTED: no
 * descriptor is free; TINA_UNSUPPORTED: nothing that can be read or written, a
 * terminal that may not be opened anew, or in simulation. Where it is not TINA_OK,
 * os_fd stays the program's.
 */
TINA_API TINA_MUST_USE tina_status tina_fd_adopt(tina_ctx *ctx, intptr_t os_fd, tina_fd *fd);

/*
 * Give a descriptor, both halves of it and nothing in flight, to an isolate on any
 * shard: it gets a TINA_TAG_FD whose message->io.fd is the descriptor, by a new
 * handle and from then on its own; source is the giver, message->io.peer whom it
 * is connected to. What had come and was not received goes with it.
 *
 * TINA_OK: it is not this isolate's any more. On this shard the receiver owns it at
 * once. On another it may still be refused where it arrives: then this isolate gets a
 * TINA_TAG_FD itself, with its own handle and message->io.status saying why:
 * TINA_STALE_HANDLE, TINA_MAILBOX_FULL or TINA_POOL_EXHAUSTED: the descriptor is its
 * own again; TINA_SHARD_DOWN: it was lost with the receiver's shard. Whoever has
 * ended by then, it is closed.
 *
 * TINA_STALE_HANDLE: that isolate or descriptor; TINA_NOT_OWNER: of both halves;
 * TINA_BUSY: something is under way on it; TINA_MAILBOX_FULL; TINA_CHANNEL_FULL;
 * TINA_POOL_EXHAUSTED: no message; TINA_SHARD_DOWN; TINA_INVALID: there is no such
 * shard. Then it stays this isolate's.
 */
TINA_API TINA_MUST_USE tina_status tina_fd_give(tina_ctx *ctx, tina_handle to, tina_fd fd);

/* The errno of the last TINA_SYSTEM_ERROR or TINA_DENIED of a call in this handler call; 0: there was none. */
TINA_API int tina_os_error(const tina_ctx *ctx);

/* ---- Operations ------------------------------------------------------------------ */

#define TINA_PARTS_MAX 8 /* pieces of one send or write */

enum {
    TINA_OPEN_READ = 1,         /* to read it; one of these two, or both */
    TINA_OPEN_WRITE = 2,        /* to write it */
    TINA_OPEN_CREATE = 4,       /* where there is none */
    TINA_OPEN_TRUNCATE = 8,     /* to nothing */
    TINA_OPEN_APPEND = 16,      /* each write goes to the end, whatever its offset */
    TINA_OPEN_EXCLUSIVE = 32,   /* with CREATE: fail where there is one */
    TINA_OPEN_DIRECT_SYNC = 64, /* a write is over when it has reached the disk, as after a sync */
};

/* A piece of memory to send or write: as tina_op.data and tina_op.size. */
typedef struct tina_bytes {
    const void *data; /* where it begins */
    size_t size;      /* bytes; at least 1 */
} tina_bytes;

/* What an operation is to do. docs/reference/io.md has a row for each kind: its fields, its results, its errors. */
typedef struct tina_op {
    tina_tag kind; /* TINA_IO_ACCEPT ... */
    tina_fd fd;    /* not of open, rename and unlink */
    /*
     * send, write: up to buffer_size bytes in all, any readable memory, copied when
     * the operation is made; larger, this isolate's struct, its working memory or
     * static memory, unchanged until the completion; or message->io.data, which
     * is then kept, not copied. At least 1 byte. All of it is sent, or the status
     * says why not, and message->io.size how much was.
     * sendto, or a send to a datagram socket: one datagram, at most buffer_size; 0
     * bytes are one, too.
     * recv, read, recvfrom: size is the most to deliver (0: a whole buffer). Of a
     * stream the rest is the next receive's; of a datagram it is lost, and said so.
     * sendfile: size is how much of the file from offset on. truncate: its new size.
     */
    const void *data;
    size_t size;                 /* bytes: of data, of the file, or the most to receive, see above */
    const tina_bytes *parts;     /* send, sendto, write: several pieces instead of data, in one operation */
    uint32_t part_count;         /* with parts: 1 to TINA_PARTS_MAX */
    uint64_t offset;             /* read, write, sendfile: where in the file; not of pipes */
    uint64_t timeout_ns;         /* 0: none; past it the status is TINA_TIMED_OUT */
    const tina_address *address; /* connect, sendto (NULL: where it is connected to): copied when the operation is made */
    const char *path, *new_path; /* open, unlink, rename: shorter than buffer_size, of a rename together; copied likewise */
    uint32_t flags;              /* open: TINA_OPEN_... */
    uint32_t mode;               /* open with CREATE: 0: 0644; less the process's umask */
    tina_fd file;                /* sendfile: the file; fd is the socket */
    uint64_t user;               /* handed back in message->io.user; not of a close that is an effect */
} tina_op;

/*
 * As an effect: submit, park, and wake with its completion, a message whose tag is
 * the kind. An operation that can't be submitted completes with the status that
 * says why: those of tina_io_start.
 */
TINA_API TINA_MUST_USE tina_effect tina_io(tina_ctx *ctx, const tina_op *op);

/*
 * As an action: submit and go on; its completion comes as a message while the
 * isolate is in tina_receive(). At most one reading operation (accept, recv,
 * recvfrom, read, stat, and sendfile of its file) and one writing one (connect,
 * send, sendto, write, sync, truncate, and sendfile of its socket) per descriptor: a
 * connection may read, write and take messages at once. Submitted to the kernel at
 * the end of the tick.
 *
 * TINA_OK: exactly one completion will come, unless the isolate ends first.
 * TINA_INVALID: the kind or an argument, or a descriptor that does not know that
 * operation; TINA_STALE_HANDLE; TINA_NOT_OWNER: the half that the operation needs;
 * TINA_BUSY: one is under way in that half; TINA_POOL_EXHAUSTED: no operation,
 * (accept, open) descriptor or (what carries data or a path) buffer. A close needs
 * none of these, and at least one half.
 */
TINA_API TINA_MUST_USE tina_status tina_io_start(tina_ctx *ctx, const tina_op *op);

/*
 * What is under way in that half, or both, completes with TINA_CANCELLED, or with
 * what it did. A descriptor or half that is not this isolate's is left alone.
 */
TINA_API void tina_io_cancel(tina_ctx *ctx, tina_fd fd, tina_half half);

/*
 * The common ones, in a line: tina_io with the fields that are given and no deadline but
 * the connect's (0: none).
 */
TINA_API TINA_MUST_USE tina_effect tina_io_accept(tina_ctx *ctx, tina_fd fd);
TINA_API TINA_MUST_USE tina_effect tina_io_connect(tina_ctx *ctx, tina_fd fd, const tina_address *address,
                                                   uint64_t timeout_ns);
TINA_API TINA_MUST_USE tina_effect tina_io_recv(tina_ctx *ctx, tina_fd fd);
TINA_API TINA_MUST_USE tina_effect tina_io_send(tina_ctx *ctx, tina_fd fd, const void *data, size_t size);

/*
 * Likewise: close, park, and wake with TINA_IO_CLOSE. It never fails for want of a slot,
 * and cancels what is under way; what is cancelled has its completion too.
 */
TINA_API TINA_MUST_USE tina_effect tina_io_close(tina_ctx *ctx, tina_fd fd);

TINA_END_DECLS
#endif
