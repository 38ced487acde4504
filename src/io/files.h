/*
 * Requests on files: from a backend of readiness to its threads, and back. The
 * shard's thread alone; what lies behind the threads' lock is in file_threads.
 *
 * A request waits here, linked through itself, until the threads have a place for
 * it. A read takes its buffer only then: a disk that stands still must not hold
 * those that peers are received into.
 *
 * What an open brought is noted with its place, which stays taken until the
 * completion was collected: abandon must not trust the requests.
 */
#ifndef TINA__IO_FILES_H
#define TINA__IO_FILES_H

#include "io/file_threads.h"
#include "io/lent.h"
#include "io/request_list.h"

typedef struct tina__files_entry {
    tina__io_request *request; /* with the threads; NULL: an open that is over and was not collected yet */
    uint32_t buffer;           /* of a read */
    bool is_handed;            /* to a collect that has not returned */
} tina__files_entry;

typedef struct tina__files {
    tina__file_threads *threads;    /* NULL: there are none */
    tina__files_entry *entries;     /* by place */
    tina__io_request *first, *last; /* that wait for a place; last means nothing where first is NULL */
    uint32_t handed_count;
    tina__lent *lent;
} tina__files;

size_t tina__files_memory_size(uint32_t thread_count);
/* memory: that many bytes, zeroed, 64-byte aligned. As tina__file_threads_open; without threads TINA_OK. */
tina_status tina__files_open(tina__files *files, uint32_t thread_count, int wake_fd, void *memory, tina__lent *lent,
                             int *os_error);

/* Is it for the threads? */
bool tina__files_does(const tina__io_request *request);
void tina__files_submit(tina__files *files, tina__io_request *request);
/* True: it was not begun, and is the caller's again. */
bool tina__files_cancel(tina__files *files, tina__io_request *request);
/*
 * The next that is over; NULL: there is none. A read that found no buffer: TINA_BUSY.
 * Fills the places that have become free.
 */
tina__io_request *tina__files_reap(tina__files *files, tina__io_completion *completion);

/* The completion of an open is handed out; the caller's for good with hands_off. */
void tina__files_hand_out(tina__files *files, const tina__io_request *request);
void tina__files_hands_off(tina__files *files);

/* As of file_threads. Buffers are not given back. */
bool tina__files_abandon(tina__files *files);
void tina__files_close(tina__files *files);

#endif
