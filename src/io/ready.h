/*
 * Readiness into completions: the part of a backend that is the same for every
 * kernel which says when a descriptor may be tried, instead of doing what it was
 * asked. It owns the requests that wait, what is known of each descriptor, the
 * lent buffers and the completions that were not collected yet. It makes the
 * socket calls; it never asks the kernel for readiness: that is its user's, who
 * watches the descriptors that it names and tells it of events.
 *
 * One thread. Waiting and completed requests are linked through themselves.
 *
 * A watch is edge-triggered: an event comes after each change, and when the watch
 * begins if there is anything to tell already. So once a descriptor is watched
 * and has refused, trying it again before an event is useless, and is not done.
 *
 * Invariants: a request is in one place, with its descriptor or in done;
 * waiting_count is the number of readers and writers over all descriptors. What an
 * accept brought is also noted with the descriptor that it came by, for abandon,
 * which must not trust the requests.
 */
#ifndef TINA__IO_READY_H
#define TINA__IO_READY_H

#include "io/request_list.h"

typedef struct tina__ready_fd {
    tina__io_request *reader, *writer; /* NULL: nobody waits */
    uint32_t generation;               /* of the descriptors that had this slot: tells late events apart */
    int32_t os_fd;                     /* that is watched */
    int32_t accepted;                  /* brought by an accept that was not collected yet */
    uint32_t next_handed;              /* see tina__ready.handed */
    bool has_accepted;
    bool is_watched;
    bool is_drained; /* a read would block; means something only while it is watched */
    bool is_full;    /* likewise a write */
    bool is_ending;  /* an end, an error or urgent data: a short read or write no longer says that the rest would block */
} tina__ready_fd;

typedef struct tina__ready {
    tina__ready_fd *fds;
    uint32_t fd_count;
    uint32_t waiting_count;
    tina__request_list done;
    uint32_t handed; /* a list: slots whose accepted is in the hands of a collect that has not returned; NONE: empty */
    uint8_t *buffers;
    uint32_t buffer_size, buffer_count;
    uint32_t *lent; /* a stack: the last that came back is still in the cache */
    uint32_t lent_count;
} tina__ready;

typedef struct tina__ready_event {
    bool may_read, may_write;
    bool is_ending; /* see above */
} tina__ready_event;

size_t tina__ready_memory_size(const tina__backend_config *config);
/* memory: that many bytes, zeroed, 8-byte aligned. */
void tina__ready_init(tina__ready *ready, const tina__backend_config *config, void *memory);

/* Tries it. False: it has completed. True: it waits, and its descriptor has to be watched. */
bool tina__ready_submit(tina__ready *ready, tina__io_request *request);
/*
 * A request taken off done found no buffer, but there is one by now: it is to be
 * submitted once more. Its submitter, told TINA_BUSY, would wait for the next to be
 * lent.
 */
bool tina__ready_goes_again(const tina__ready *ready, const tina__io_request *request);
/* The completion of a request taken off done. The caller's for good with hands_off, when its collect is about to return. */
tina__io_completion tina__ready_hand_out(tina__ready *ready, const tina__io_request *request);
void tina__ready_hands_off(tina__ready *ready);
/* The descriptor of a waiting request cannot be watched: the request fails. */
void tina__ready_refuse(tina__ready *ready, tina__io_request *request, tina_status status, int os_error);
void tina__ready_cancel(tina__ready *ready, tina__io_request *request);
void tina__ready_tell(tina__ready *ready, uint32_t slot, tina__ready_event event);
void tina__ready_lend(tina__ready *ready, uint32_t buffer);
/* The descriptor is about to be closed: its slot begins anew. */
void tina__ready_forget(tina__ready *ready, uint32_t slot);
/* Nothing waits, nothing is done, no buffer is lent, nothing is watched: its user has ended that. What accepts brought is closed. */
void tina__ready_abandon(tina__ready *ready);

#endif
