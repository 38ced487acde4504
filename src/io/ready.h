/*
 * Readiness into completions: the part of a backend that is the same for every
 * kernel which says when a descriptor may be tried, instead of doing what it was
 * asked. It owns the requests that wait, what is known of each descriptor, the
 * lent buffers, the threads for files and the completions that were not collected
 * yet. It tries (io/attempt.h); it never asks the kernel for readiness: that is its
 * user's, who watches the descriptors that it names and tells it of events.
 *
 * One thread. Waiting and completed requests are linked through themselves.
 *
 * A watch is edge-triggered: an event comes after each change, and when the watch
 * begins if there is anything to tell already. So once a descriptor is watched
 * and has refused, trying it again before an event is useless, and is not done.
 *
 * No event tells that a Unix socket which others have filled takes something again
 * from a sender or a client that is not connected to it. Who waits for that is
 * polled: tried again in a turn when it is time (io/ready_polls.h), and by nothing
 * else; the user sees to it that there is a turn then.
 *
 * A sendfile waits here until its socket may take something, and goes to the
 * threads then; meanwhile it keeps its place. An event that comes while a thread
 * works is remembered: what the thread found before it is no longer so.
 *
 * Invariants: a request is in one place, with its descriptor, with the files or in
 * done; waiting_count is the number of readers and writers over all descriptors.
 * What an accept brought is also noted with the descriptor that it came by, for
 * abandon, which must not trust the requests.
 */
#ifndef TINA__IO_READY_H
#define TINA__IO_READY_H

#include "io/files.h"
#include "io/lent.h"
#include "io/ready_polls.h"
#include "io/request_list.h"

/* A request's backend_state. */
enum {
    TINA__READY_FRESH,
    TINA__READY_CONNECTING,
    TINA__READY_STARVED, /* completed for want of a buffer */
    TINA__READY_WORKING, /* with the threads, or in the line for them */
    TINA__READY_STOPPING /* likewise, and it was cancelled */
};

typedef struct tina__ready_fd {
    tina__io_request *reader, *writer; /* NULL: nobody waits */
    uint32_t generation;               /* of the descriptors that had this slot: tells late events apart */
    int32_t os_fd;                     /* that is watched */
    int32_t accepted;                  /* brought by an accept that was not collected yet */
    uint32_t next_handed;              /* see tina__ready.handed */
    uint32_t next_polled;              /* see tina__ready.polls */
    bool has_accepted;
    bool is_watched;
    bool is_drained;   /* a read would block; means something only while it is watched */
    bool is_full;      /* likewise a write */
    bool is_exact;     /* watched TCP: a short read or write says that the rest would block; others stop where they like */
    bool is_ending;    /* an end, an error or urgent data: it no longer does */
    bool is_plain;     /* a pipe or a device that does not know how to read or write without waiting */
    bool is_polled;    /* in one of those lines */
    bool has_news;     /* it may be written to, said an event since its sendfile went to the threads */
    uint8_t poll_line; /* in which it is or would be */
} tina__ready_fd;
TINA_STATIC_ASSERT(sizeof(tina__ready_fd) <= 48, "what a descriptor costs, for a million of them");

typedef struct tina__ready {
    tina__ready_fd *fds;
    uint32_t fd_count;
    uint32_t waiting_count;
    tina__request_list done;
    uint32_t handed; /* a list: slots whose accepted is in the hands of a collect that has not returned; NONE: empty */
    tina__ready_polls polls; /* slots whose writer no event will tell of, and some whose writer is gone */
    tina__lent lent;
    tina__files files;
} tina__ready;

typedef struct tina__ready_event {
    bool may_read, may_write;
    bool is_ending; /* see above */
} tina__ready_event;

size_t tina__ready_memory_size(const tina__backend_config *config);
/* memory: that many bytes, zeroed, 64-byte aligned. TINA_OK, or why the threads could not be started. */
tina_status tina__ready_open(tina__ready *ready, const tina__backend_config *config, void *memory, int *os_error);

/* Tries it. False: it has completed, or is with the files. True: it waits, and its descriptor has to be watched. */
bool tina__ready_submit(tina__ready *ready, tina__io_request *request);
/* Its descriptor is watched from here on. */
void tina__ready_watched(tina__ready *ready, const tina__io_request *request);
/* The descriptor of a waiting request cannot be watched. Where it is of a kind that never makes anybody wait, the request is done; else it fails. */
void tina__ready_refuse(tina__ready *ready, tina__io_request *request, tina_status status, int os_error);
/*
 * A request taken off done found no buffer, but there is one by now: it is to be
 * submitted once more. Its submitter, told TINA_BUSY, would wait for the next to be
 * lent.
 */
bool tina__ready_goes_again(const tina__ready *ready, const tina__io_request *request);
/* The completion of a request taken off done. The caller's for good with hands_off, when its collect is about to return. */
tina__io_completion tina__ready_hand_out(tina__ready *ready, const tina__io_request *request);
void tina__ready_hands_off(tina__ready *ready);
void tina__ready_cancel(tina__ready *ready, tina__io_request *request);
void tina__ready_tell(tina__ready *ready, uint32_t slot, tina__ready_event event);
/* What comes without an event: from the threads, and from those that are polled. now_ns means nothing while nobody is. */
void tina__ready_turn(tina__ready *ready, uint64_t now_ns);
/* The descriptor is about to be closed, or goes elsewhere: its slot begins anew. */
void tina__ready_forget(tina__ready *ready, uint32_t slot);
/*
 * Nothing waits, nothing is done, no buffer is lent, nothing is watched: its user
 * has ended that. What accepts and opens brought is closed. False: a thread is
 * stuck; only close may follow.
 */
bool tina__ready_abandon(tina__ready *ready);
void tina__ready_close(tina__ready *ready);

#endif
