/* The nouns: handles, messages, effects, and the two functions that make an isolate. */
#ifndef TINA_TYPES_H
#define TINA_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tina/status.h>
#include <tina/version.h>

TINA_BEGIN_DECLS

/* ---- Identity ----------------------------------------------------------- */

/* An isolate. shard:8 | type:8 | slot:20 | generation:28. Shard 255 and type 255 are reserved. Zeroed: none. */
typedef struct tina_handle {
    uint64_t bits; /* all of it in one word, for the functions below */
} tina_handle;

/* An open descriptor owned by an isolate: shard, index, generation; never an OS descriptor. */
typedef struct tina_fd {
    uint64_t bits; /* the runtime's; 0: none */
} tina_fd;

/* A timer that was started: shard, index, generation. */
typedef struct tina_timer {
    uint64_t bits; /* the runtime's; 0: none */
} tina_timer;

/* A large payload: shard, index, generation. */
typedef struct tina_transfer {
    uint64_t bits; /* the runtime's; 0: none */
} tina_transfer;

/* The shard of an isolate, from 0. None of these functions says whether it is alive. Any thread. */
static inline uint8_t tina_handle_shard(tina_handle handle) { return (uint8_t)(handle.bits >> 56); }
/* The type of an isolate, its index in the spec's types; 255: the handle is a name. Any thread. */
static inline uint8_t tina_handle_type(tina_handle handle) { return (uint8_t)(handle.bits >> 48); }
/* Whether two handles are the same; a name never equals the handle of the isolate that has it. Any thread. */
static inline bool tina_handle_equal(tina_handle a, tina_handle b) { return a.bits == b.bits; }
/* Whether a handle is none: zeroed. Any thread. */
static inline bool tina_handle_is_none(tina_handle handle) { return handle.bits == 0; }
/* Whether a descriptor is none: zeroed. Any thread. */
static inline bool tina_fd_is_none(tina_fd fd) { return fd.bits == 0; }

/*
 * The address of a named static child of a shard's supervision tree: type 255,
 * slot = name, generation 0. It is resolved where the message arrives, so it
 * stays valid across restarts: no check-in message, no registry, no lock. Names
 * are given in the spec (tina_child.name, 1..65535, unique per shard). While the
 * child is down it is a stale handle. It never equals the child's own handle.
 * Any thread.
 */
static inline tina_handle tina_named(uint8_t shard, uint16_t name)
{
    tina_handle handle = {((uint64_t)shard << 56) | ((uint64_t)255 << 48) | ((uint64_t)name << 28)};
    return handle;
}

/* ---- Messages ----------------------------------------------------------- */

typedef uint16_t tina_tag; /* what a message is about: TINA_TAG_USER and above are the program's to choose */

#define TINA_PAYLOAD_MAX 96 /* bytes of a message's payload */
#define TINA_ARGS_MAX    64 /* bytes of a child's arguments */

/* What a message is about. Tags below TINA_TAG_USER belong to the runtime: sending one is TINA_INVALID. */
enum {
    TINA_TAG_CALL_FAILED = 0x0001,     /* a call could not be delivered, or got no reply in time: payload is a tina_status */
    TINA_TAG_TIMER = 0x0002,           /* a tag for isolates with one timer; any tag of the program's will do */
    TINA_TAG_SHUTDOWN = 0x0003,        /* the system is stopping: finish, then tina_done() */
    TINA_TAG_TRANSFER = 0x0004,        /* read it with tina_transfer_read */
    TINA_TAG_SHARD_RESTARTED = 0x0005, /* a watched isolate's shard began anew: payload is its index, a uint8_t */
    TINA_TAG_SHARD_QUARANTINED = 0x0006, /* the same, but it stays down: sends to it are TINA_SHARD_DOWN */
    TINA_TAG_DOWN = 0x0007,              /* a watched isolate ended: payload is a tina_down */
    TINA_TAG_RESUME = 0x0008,            /* after tina_yield */
    TINA_TAG_FD = 0x0009,                /* a descriptor was given: message->io says which, see tina_fd_give */
    TINA_IO_READ = 0x0010,     /* a read of a file or a pipe is over; from here to TINA_IO_UNLINK, see message->io */
    TINA_IO_WRITE = 0x0011,    /* a write to a file or a pipe */
    TINA_IO_ACCEPT = 0x0012,   /* message->io.fd is the new one */
    TINA_IO_CONNECT = 0x0013,  /* a socket is connected, or says why not */
    TINA_IO_SEND = 0x0014,     /* all of it is sent, or the status says why not */
    TINA_IO_RECV = 0x0015,     /* message->io.data is what came */
    TINA_IO_SENDTO = 0x0016,   /* a datagram is sent */
    TINA_IO_RECVFROM = 0x0017, /* a datagram has come, from message->io.peer */
    TINA_IO_CLOSE = 0x0018,    /* a descriptor is closed */
    TINA_IO_SENDFILE = 0x0019, /* a file, or a part of one, is sent */
    TINA_IO_OPEN = 0x001A,     /* message->io.fd is the new one */
    TINA_IO_SYNC = 0x001B,     /* what was written to a file is on the disk */
    TINA_IO_STAT = 0x001C,     /* message->io.size is the file's */
    TINA_IO_TRUNCATE = 0x001D, /* a file has its new size */
    TINA_IO_RENAME = 0x001E,   /* a file has its new name */
    TINA_IO_UNLINK = 0x001F,   /* a file has lost that name */
    TINA_TAG_USER = 0x0100,    /* the first of the program's own */
};

enum { TINA_IPV4 = 1, TINA_IPV6 = 2, TINA_UNIX = 3 };

/*
 * The address of a socket. Made by tina_ipv4, tina_ipv6, tina_unix or
 * tina_address_parse. A Unix address is the first length bytes of path, without a
 * final zero; length 0: a socket without a name. One that begins with a zero byte is
 * in Linux's abstract namespace.
 */
typedef struct tina_address {
    uint8_t family; /* TINA_IPV4, TINA_IPV6, TINA_UNIX; 0: not known */
    uint8_t length; /* of path, for TINA_UNIX */
    uint16_t port;  /* host byte order */
    uint32_t scope; /* IPv6 */
    union {
        uint8_t ipv4[4];
        uint8_t ipv6[16];
        char path[104];
    };
} tina_address;

/* What an operation came to. */
typedef struct tina_io_result {
    uint64_t size;            /* bytes that were done, even if the operation then failed */
    tina_fd fd;               /* the descriptor it was for; for accept, open and give, the new one */
    const uint8_t *data;      /* receive, read: the bytes, valid during this handler call only */
    const tina_address *peer; /* accept, recvfrom, give: who; family 0: not known. Valid during this handler call only */
    uint64_t user;            /* tina_op.user; 0 for a close that was an effect */
    int32_t os_error;         /* the host's errno where the kernel failed it, else 0 */
    uint16_t status;          /* tina_status; a receive at the peer's end is TINA_CLOSED */
    uint16_t flags;           /* TINA_IO_TRUNCATED */
} tina_io_result;

enum { TINA_IO_TRUNCATED = 1 }; /* the datagram was longer than what was delivered of it */

/* Everything a handler ever receives: two cache lines, owned by the runtime, valid during this call only. */
typedef struct tina_message {
    tina_handle source;      /* none: from the runtime, or from outside (tina_post) */
    tina_handle destination; /* this isolate, by its own handle or by its name */
    uint32_t correlation;    /* of a call; of a repeating timer, its overruns */
    uint32_t link;           /* the runtime's */
    tina_tag tag;            /* what it is about: TINA_TAG_..., TINA_IO_..., or the program's own */
    uint16_t flags;          /* the runtime's */
    uint16_t size;           /* payload bytes in use */
    uint16_t reserved;       /* the runtime's */
    union {
        uint8_t payload[TINA_PAYLOAD_MAX]; /* 16-byte aligned: messages lie on 128-byte lines */
        tina_io_result io;                 /* where tag is a TINA_IO_ one, or TINA_TAG_FD */
    };
} tina_message;
TINA_STATIC_ASSERT(sizeof(tina_message) == 128, "a message is two cache lines");

/* ---- Isolates ------------------------------------------------------------ */

/* The runtime as one handler call sees it. Valid during this call only. */
typedef struct tina_ctx tina_ctx;

/*
 * What an isolate does next. Made by the functions of <tina/ctx.h> and <tina/io.h>,
 * never by hand. What it carries is copied when it is made; it takes effect when it is
 * returned. One that is made and not returned does nothing.
 */
typedef struct tina_effect {
    uint8_t kind;      /* all of these are the runtime's */
    uint8_t reason;    /* likewise */
    uint16_t reserved; /* likewise */
    uint32_t token;    /* likewise */
    uint64_t argument; /* likewise */
} tina_effect;
TINA_STATIC_ASSERT(sizeof(tina_effect) == 16, "an effect is returned in two registers");

/*
 * Runs once, before any message, on the shard's thread. self is zeroed; args are a
 * copy of what was given, 16-byte aligned, valid during this call only.
 */
typedef tina_effect (*tina_init_fn)(void *self, const void *args, size_t args_size, tina_ctx *ctx);
/*
 * Runs once for each message, on the shard's thread; it must not block. There is no
 * function for the end: the runtime takes back what an isolate holds.
 */
typedef tina_effect (*tina_handler_fn)(void *self, const tina_message *message, tina_ctx *ctx);

TINA_END_DECLS
#endif
