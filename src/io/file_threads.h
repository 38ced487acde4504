/*
 * Threads that wait for the disk, so that a shard need not: a bounded pool of
 * them, each working on one request at a time.
 *
 * Requests go over in places, a fixed number of them, as copies: a thread never
 * looks at a request itself, so it does not mind what becomes of the memory that
 * it lies in. What the request names, a path or the bytes to write, it does read.
 *
 * All functions are the shard's thread's. What lies in the queue, in the line of
 * those that are done, and the counts, are kept under the lock; a place that a
 * thread works on is its own; one that was reaped is the shard's until it is given
 * back. Nothing is asserted under the lock: whoever fails an assertion may be
 * trapped, and would hold it for ever.
 *
 * The wake_fd is signalled when something is done and nothing was before; reaping
 * takes all that is done. So none is missed by who reaps before and after he waits
 * for that descriptor.
 *
 * The threads take no asynchronous signals, and are no shards: a fault in one of
 * them is the program's. They run on the cores of the thread that opened them.
 */
#ifndef TINA__IO_FILE_THREADS_H
#define TINA__IO_FILE_THREADS_H

#include "io/backend.h"

/* So many that a thread that has finished finds the next before the shard looks. */
#define TINA__FILE_PLACES_PER_THREAD 8

typedef struct tina__file_threads tina__file_threads;

size_t tina__file_threads_memory_size(uint32_t thread_count);
/* memory: that many bytes, zeroed, 64-byte aligned. thread_count is at least 1. Asks for memory, unlike all that follows. TINA_OK, or why no thread could be started. */
tina_status tina__file_threads_open(uint32_t thread_count, int wake_fd, void *memory, tina__file_threads **threads,
                                    int *os_error);

uint32_t tina__file_threads_place_count(const tina__file_threads *threads);
/* Puts a copy into a place, and returns it; NONE: none is free. into: see tina__file_work. */
uint32_t tina__file_threads_give(tina__file_threads *threads, const tina__io_request *request, void *into);
/* True: no thread has begun with it, and none will; its place is free. */
bool tina__file_threads_take_back(tina__file_threads *threads, uint32_t place);
/* The place of one that is done, in the order in which they were; NONE: there is none. Makes no system call then. */
uint32_t tina__file_threads_reap(tina__file_threads *threads);
/* Of one that was reaped. */
const tina__io_completion *tina__file_threads_completion(const tina__file_threads *threads, uint32_t place);
/* A place that was reaped is free. */
void tina__file_threads_free(tina__file_threads *threads, uint32_t place);

/*
 * What no thread has begun is dropped, and what one has begun waited for, up to
 * about a second. True: no thread does anything, every place is free, and the
 * descriptors that opens brought, also those in places that were reaped and not
 * freed, are closed. False: one is stuck; only close may follow.
 */
bool tina__file_threads_abandon(tina__file_threads *threads);
/*
 * The same, and the threads end. False: some did not within about a second; they
 * end with what they work on, and the memory has to stay for them, until another
 * close says that they have.
 */
bool tina__file_threads_close(tina__file_threads *threads);

#endif
