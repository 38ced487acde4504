#define _GNU_SOURCE 1
#include "io/file_threads.h"

#include "base/assert.h"
#include "base/handle.h"
#include "io/file_work.h"
#include "os/os.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#define STACK_SIZE       ((size_t)128 << 10)
#define PATIENCE_SECONDS 1

typedef enum place_state { FREE, QUEUED, RUNNING, DONE } place_state;

typedef struct place {
    tina__io_request job;
    tina__io_completion completion;
    void *into;
    uint32_t next; /* of the list that it is in */
    uint8_t state; /* FREE and from it: by the shard's thread */
} place;

typedef struct place_list {
    uint32_t first, last; /* last means nothing where first is NONE */
} place_list;

typedef struct helper {
    tina__os_thread thread;
    tina__file_threads *threads;
    bool has_ended; /* and was not joined; under the lock */
} helper;

struct tina__file_threads {
    pthread_mutex_t lock;
    pthread_cond_t work; /* something is queued, or the end has come */
    pthread_cond_t rest; /* nothing runs any more, or a thread has begun or ended */
    place_list queue;
    place_list done;
    uint32_t running_count;
    uint32_t live_count; /* threads */
    int wake_fd;
    bool is_ending;
    _Atomic bool has_done; /* written under the lock; read without it, to see whether taking it is worth while */
    /* The shard's thread's. */
    place_list reaped; /* was done when it last looked */
    uint32_t free_first;
    uint32_t place_count, thread_count;
    place *places;
    helper *helpers;
};

/* ---- Lists of places ---- */

static void push(tina__file_threads *threads, place_list *list, uint32_t index)
{
    threads->places[index].next = TINA__NONE;
    if (list->first == TINA__NONE)
        list->first = index;
    else
        threads->places[list->last].next = index;
    list->last = index;
}

static uint32_t pop(const tina__file_threads *threads, place_list *list)
{
    uint32_t index = list->first;
    if (index != TINA__NONE)
        list->first = threads->places[index].next;
    return index;
}

/* False: it is not there. */
static bool take_out(const tina__file_threads *threads, place_list *list, uint32_t index)
{
    uint32_t previous = TINA__NONE;
    for (uint32_t at = list->first; at != TINA__NONE; previous = at, at = threads->places[at].next) {
        if (at != index)
            continue;
        if (previous == TINA__NONE)
            list->first = threads->places[at].next;
        else
            threads->places[previous].next = threads->places[at].next;
        if (list->last == at)
            list->last = previous;
        return true;
    }
    return false;
}

static void free_all(tina__file_threads *threads)
{
    threads->queue.first = threads->done.first = threads->reaped.first = TINA__NONE;
    threads->free_first = TINA__NONE;
    for (uint32_t i = threads->place_count; i-- != 0;) {
        threads->places[i].state = FREE;
        threads->places[i].next = threads->free_first;
        threads->free_first = i;
    }
}

/* ---- A thread ---- */

static void close_brought(const place *one)
{
    if (one->job.kind == TINA__IO_OPEN && one->completion.os_fd >= 0)
        close(one->completion.os_fd);
}

/* Under the lock. */
static void settle(tina__file_threads *threads, uint32_t index)
{
    place *one = &threads->places[index];
    if (threads->is_ending) { /* and nobody looks any more: neither at it nor, perhaps, at the wake_fd */
        close_brought(one);
        one->state = FREE;
        return;
    }
    bool is_first = threads->done.first == TINA__NONE;
    one->state = DONE;
    push(threads, &threads->done, index);
    atomic_store_explicit(&threads->has_done, true, memory_order_relaxed);
    if (is_first)
        tina__os_event_signal(threads->wake_fd);
}

/* Under the lock, which is open while it works. */
static void work_on(tina__file_threads *threads, uint32_t index)
{
    place *one = &threads->places[index];
    one->state = RUNNING;
    threads->running_count++;
    pthread_mutex_unlock(&threads->lock);
    one->completion = tina__file_work(&one->job, one->into);
    pthread_mutex_lock(&threads->lock);
    settle(threads, index);
    if (--threads->running_count == 0)
        pthread_cond_signal(&threads->rest);
}

static void thread_body(void *argument)
{
    helper *self = argument;
    tina__file_threads *threads = self->threads;
    tina__os_unpin(); /* the shard that it works for keeps its core for itself */
    pthread_mutex_lock(&threads->lock);
    threads->live_count++;
    pthread_cond_signal(&threads->rest);
    while (!threads->is_ending) {
        uint32_t index = pop(threads, &threads->queue);
        if (index != TINA__NONE)
            work_on(threads, index);
        else
            pthread_cond_wait(&threads->work, &threads->lock);
    }
    threads->live_count--;
    self->has_ended = true;
    pthread_cond_signal(&threads->rest);
    pthread_mutex_unlock(&threads->lock);
}

/* ---- Opening ---- */

size_t tina__file_threads_memory_size(uint32_t thread_count)
{
    return sizeof(tina__file_threads) + thread_count * (TINA__FILE_PLACES_PER_THREAD * sizeof(place) + sizeof(helper));
}

static void init_condition(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

/* All of them, so that none begins, which needs memory, when everybody else has long begun. */
static void await_threads(tina__file_threads *threads)
{
    pthread_mutex_lock(&threads->lock);
    while (threads->live_count != threads->thread_count)
        pthread_cond_wait(&threads->rest, &threads->lock);
    pthread_mutex_unlock(&threads->lock);
}

static tina_status start_threads(tina__file_threads *threads, uint32_t wanted, int *os_error)
{
    tina_status status = TINA_OK;
    while (status == TINA_OK && threads->thread_count < wanted) {
        helper *one = &threads->helpers[threads->thread_count];
        one->threads = threads;
        status = tina__os_thread_start(&one->thread, STACK_SIZE, "tina-file", thread_body, one, os_error);
        threads->thread_count += status == TINA_OK;
    }
    await_threads(threads);
    return status;
}

tina_status tina__file_threads_open(uint32_t thread_count, int wake_fd, void *memory, tina__file_threads **threads,
                                    int *os_error)
{
    tina__file_threads *self = memory;
    tina__assert(thread_count != 0);
    self->wake_fd = wake_fd;
    self->place_count = thread_count * TINA__FILE_PLACES_PER_THREAD;
    self->places = (place *)(void *)(self + 1);
    self->helpers = (helper *)(void *)(self->places + self->place_count);
    free_all(self);
    pthread_mutex_init(&self->lock, NULL);
    init_condition(&self->work);
    init_condition(&self->rest);
    tina_status status = start_threads(self, thread_count, os_error);
    if (status == TINA_OK)
        *threads = self;
    else
        (void)tina__file_threads_close(self); /* they have nothing to be stuck with */
    return status;
}

/* ---- Giving and taking ---- */

uint32_t tina__file_threads_place_count(const tina__file_threads *threads) { return threads->place_count; }

uint32_t tina__file_threads_give(tina__file_threads *threads, const tina__io_request *request, void *into)
{
    uint32_t index = threads->free_first;
    if (index == TINA__NONE)
        return TINA__NONE;
    place *one = &threads->places[index];
    tina__assert(one->state == FREE);
    threads->free_first = one->next;
    one->job = *request;
    one->into = into;
    one->state = QUEUED;
    pthread_mutex_lock(&threads->lock);
    push(threads, &threads->queue, index);
    pthread_cond_signal(&threads->work);
    pthread_mutex_unlock(&threads->lock);
    return index;
}

void tina__file_threads_free(tina__file_threads *threads, uint32_t index)
{
    tina__assert(index < threads->place_count);
    tina__assert(threads->places[index].state == DONE);
    threads->places[index].state = FREE;
    threads->places[index].next = threads->free_first;
    threads->free_first = index;
}

bool tina__file_threads_take_back(tina__file_threads *threads, uint32_t index)
{
    tina__assert(index < threads->place_count);
    pthread_mutex_lock(&threads->lock);
    bool is_mine = take_out(threads, &threads->queue, index);
    pthread_mutex_unlock(&threads->lock);
    if (!is_mine)
        return false;
    threads->places[index].state = DONE;
    tina__file_threads_free(threads, index);
    return true;
}

uint32_t tina__file_threads_reap(tina__file_threads *threads)
{
    /* relaxed: where it is missed, the wake_fd is signalled, or about to be; what is read then, the lock hands over. */
    bool is_worth_while = atomic_load_explicit(&threads->has_done, memory_order_relaxed);
    if (threads->reaped.first == TINA__NONE && is_worth_while) {
        pthread_mutex_lock(&threads->lock);
        threads->reaped = threads->done;
        threads->done.first = TINA__NONE;
        atomic_store_explicit(&threads->has_done, false, memory_order_relaxed);
        pthread_mutex_unlock(&threads->lock);
    }
    return pop(threads, &threads->reaped);
}

const tina__io_completion *tina__file_threads_completion(const tina__file_threads *threads, uint32_t index)
{
    tina__assert(index < threads->place_count);
    tina__assert(threads->places[index].state == DONE);
    return &threads->places[index].completion;
}

/* ---- Ending ---- */

static struct timespec end_of_patience(void)
{
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += PATIENCE_SECONDS;
    return end;
}

/* Under the lock. Waits until *count is 0; false: it does not become so. */
static bool await_none(tina__file_threads *threads, const uint32_t *count)
{
    struct timespec end = end_of_patience();
    int error = 0;
    while (*count != 0 && error != ETIMEDOUT)
        error = pthread_cond_timedwait(&threads->rest, &threads->lock, &end);
    return *count == 0;
}

static void close_all_brought(tina__file_threads *threads)
{
    for (uint32_t i = 0; i < threads->place_count; i++) {
        if (threads->places[i].state != DONE)
            continue;
        close_brought(&threads->places[i]);
        threads->places[i].state = FREE;
    }
}

bool tina__file_threads_abandon(tina__file_threads *threads)
{
    pthread_mutex_lock(&threads->lock);
    threads->queue.first = TINA__NONE;
    bool is_quiet = await_none(threads, &threads->running_count);
    threads->is_ending = threads->is_ending || !is_quiet; /* what one brings late is not for us */
    if (is_quiet) {
        close_all_brought(threads);
        free_all(threads);
        atomic_store_explicit(&threads->has_done, false, memory_order_relaxed);
    }
    pthread_mutex_unlock(&threads->lock);
    return is_quiet;
}

/* Under the lock: whoever says that he has ended does not need it any more. */
static void join_ended(tina__file_threads *threads)
{
    for (uint32_t i = 0; i < threads->thread_count; i++) {
        if (!threads->helpers[i].has_ended)
            continue;
        tina__os_thread_join(&threads->helpers[i].thread);
        threads->helpers[i].has_ended = false;
    }
}

bool tina__file_threads_close(tina__file_threads *threads)
{
    pthread_mutex_lock(&threads->lock);
    threads->queue.first = TINA__NONE;
    threads->is_ending = true;
    pthread_cond_broadcast(&threads->work);
    bool is_over = await_none(threads, &threads->live_count);
    join_ended(threads);
    close_all_brought(threads);
    pthread_mutex_unlock(&threads->lock);
    if (is_over) {
        pthread_cond_destroy(&threads->rest);
        pthread_cond_destroy(&threads->work);
        pthread_mutex_destroy(&threads->lock);
    }
    return is_over;
}
