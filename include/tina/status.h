/* What a call came to: one enumeration for refusals of every kind, and the longer story of a failed boot. */
#ifndef TINA_STATUS_H
#define TINA_STATUS_H

#include <stdint.h>
#include <tina/version.h>

TINA_BEGIN_DECLS

/* What a call, or an operation, came to. */
typedef enum tina_status {
    TINA_OK = 0,         /* what was asked for is done, or will be */
    TINA_MAILBOX_FULL,   /* the receiver's mailbox is at capacity */
    TINA_CHANNEL_FULL,   /* the channel to the receiver's shard, or its inbox, is full */
    TINA_POOL_EXHAUSTED, /* no free message, operation, buffer, timer, descriptor or transfer */
    TINA_STALE_HANDLE,   /* that isolate, descriptor, timer or transfer is gone */
    TINA_SHARD_DOWN,     /* the receiver's shard is quarantined or has ended */
    TINA_ARENA_FULL,     /* every slot of that type is taken */
    TINA_GROUP_FULL,     /* the supervision group has its most dynamic children */
    TINA_INIT_FAILED,    /* the child's init crashed, or was done at once */
    TINA_NOT_OWNER,      /* the descriptor or transfer belongs to another isolate */
    TINA_BUSY,           /* that direction of the descriptor, or that staging area, is in use */
    TINA_INVALID,        /* an argument is out of range */
    TINA_UNSUPPORTED,    /* not on this platform or backend */
    TINA_STOPPING,       /* the system is shutting down: posts from outside */
    TINA_TIMED_OUT,      /* a deadline of the program's own passed */
    TINA_CANCELLED,      /* by tina_io_cancel, shutdown of the descriptor, or the end of the system */
    TINA_CLOSED,         /* the peer ended its side: a receive at its end */
    TINA_REFUSED,        /* nobody listens there */
    TINA_RESET,          /* the peer broke the connection */
    TINA_NOT_FOUND,      /* no such file or address */
    TINA_DENIED,         /* the operating system forbids it */
    TINA_DISK_FULL,      /* no space is left on the device */
    TINA_SYSTEM_ERROR,   /* anything else the operating system says: see os_error */
} tina_status;

/* The enumerator's name, "TINA_OK" and so on; "TINA_UNKNOWN" for what is none. Static storage. Any thread. */
TINA_API const char *tina_status_name(tina_status status);

/* Says that a status is dropped on purpose. */
static inline void tina_ignore(tina_status status) { (void)status; }

/* What was wrong, where, in words a user can act on. Every pointer to one may be NULL. */
typedef struct tina_error {
    uint16_t status;   /* tina_status */
    int32_t os_error;  /* errno, or 0 */
    char path[64];     /* e.g. "types[2].slot_count" */
    char message[192]; /* e.g. "must be at most 1048575, not 2000000" */
} tina_error;

TINA_END_DECLS
#endif
