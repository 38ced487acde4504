/*
 * Operations and descriptors, as objects.
 *
 * An operation lives from the moment a handler makes it until its completion has
 * been handled, or, where its isolate ended, until the kernel is done with it. A
 * descriptor lives from its opening until nothing is under way on it and it is
 * closed. Both are generational.
 *
 * A finished operation waits in its isolate's ring of done nodes. A node is an
 * operation's index, or, for a close, op_count plus twice the descriptor's plus
 * the half: so closing needs no operation, and never fails for want of one. Nor
 * does what was given to another shard and comes back, which uses the first half's.
 */
#ifndef TINA__CORE_OPERATION_H
#define TINA__CORE_OPERATION_H

#include "base/bits.h"
#include "base/handle.h"
#include "io/backend.h"
#include "mem/timer_wheel.h"

#include <tina/tina.h>

typedef enum tina__operation_state {
    TINA__OPERATION_FREE,
    TINA__OPERATION_STAGED,    /* made by a handler, not yet returned */
    TINA__OPERATION_SUBMITTED, /* the backend's, or about to be */
    TINA__OPERATION_STARVED,   /* waits for a buffer to receive into */
    TINA__OPERATION_DONE,      /* its message waits for its isolate, or is being handled */
} tina__operation_state;

/* Five lines, and a receive without a deadline reads four: of a thousand that are parked each line is a miss. */
typedef struct tina__operation {
    union {
        _Alignas(TINA__CACHE_LINE) tina_message message; /* DONE */
        uint8_t backend_memory[128];                     /* before */
        tina_address address;                            /* connect, sendto: to where, until the backend has read it */
    };
    tina__io_request request;
    uint64_t user;
    uint32_t generation;
    uint32_t link;           /* the pool's, the staged list's; next of the starved */
    uint32_t isolate;        /* NONE: it ended, the operation is the runtime's */
    uint32_t next, previous; /* the isolate's operations */
    uint32_t done_next;      /* STARVED: previous of the starved */
    uint32_t descriptor;     /* that it is on, or NONE: it has a path */
    uint32_t buffer;         /* held, or NONE */
    uint32_t accepted;       /* the descriptor kept for what an accept or an open brings, or NONE */
    uint32_t holder;         /* who waits until it is over, see core/supervise.h; or NONE */
    uint16_t stop;           /* tina_status that a cancelled completion gets; 0: not cancelled */
    tina_tag kind;
    uint8_t state;     /* tina__operation_state */
    bool has_deadline; /* the timer node is in use */
    uint8_t unused[2];

    tina__timer_node deadline; /* until it starts, deadline_ns is how long it may take */
    /* Of sends, writes and sendfiles alone. */
    uint64_t size;     /* bytes to send in all; 0: a sendfile to the file's end */
    uint64_t progress; /* bytes done */
    uint16_t part;
    uint16_t part_count; /* of those that the buffer's annex keeps; 0: everything is in the buffer */
    bool is_unreadable;  /* the rest's memory is gone */
    union {
        uint64_t part_offset;
        uint64_t file; /* sendfile: the file's handle until it starts, then its index */
    };
} tina__operation;
TINA_STATIC_ASSERT(offsetof(tina__operation, deadline) == 4 * TINA__CACHE_LINE, "what a receive needs is four lines");

enum { TINA__READ, TINA__WRITE }; /* the halves of a descriptor, as indexes */

typedef enum tina__descriptor_state {
    TINA__DESCRIPTOR_FREE,
    TINA__DESCRIPTOR_KEPT, /* for an accept or an open under way */
    TINA__DESCRIPTOR_OPEN,
    TINA__DESCRIPTOR_CLOSED,   /* a completion of the close waits for its isolate */
    TINA__DESCRIPTOR_GIVEN,    /* to another shard, which has not answered; see core/gift.h */
    TINA__DESCRIPTOR_RETURNED, /* what became of it, and it, if it came back, wait for its isolate */
} tina__descriptor_state;

typedef struct tina__descriptor {
    /* What every operation on it looks at, first. */
    uint32_t generation;
    int32_t os_fd;
    uint8_t state;    /* tina__descriptor_state */
    uint8_t fd_class; /* tina__fd_class */
    uint8_t told;     /* halves whose closer has its completion */
    uint8_t unused;
    /* By half. One whose owner has gone is over when nothing is under way in it. */
    uint32_t owner[2];             /* isolate, or NONE */
    uint32_t operation[2];         /* under way, or NONE */
    uint32_t next[2], previous[2]; /* the owner's halves: 2 x index + half */
    uint32_t link;                 /* the pool's */
    int32_t os_fd_check;           /* ~os_fd, where it is open: a wipe, whose memory may be damaged, closes nothing else */
    uint32_t holder[2];            /* by the first half that was let go: who waits until it is over, or NONE */
    uint32_t done_next[2];
    tina_handle closer[2]; /* who waits for the close of what it had, or none */
    union {
        uint64_t user[2]; /* of a started close */
        struct {          /* GIVEN, RETURNED */
            tina_handle giver;
            uint32_t place;   /* GIVEN: for the answer, in the peer's table */
            uint16_t verdict; /* RETURNED: tina_status */
            uint8_t to_shard;
        };
    };
} tina__descriptor;

#endif
