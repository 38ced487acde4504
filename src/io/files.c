#include "io/files.h"

#include "base/assert.h"
#include "base/handle.h"

/* In a request's backend_memory, behind where its completion will lie. */
typedef struct note {
    tina__io_completion completion;
    tina__io_request *previous; /* of those that wait */
    uint32_t place;             /* NONE: it waits */
} note;
TINA_STATIC_ASSERT(sizeof(note) <= 128, "fits into a request's backend_memory");

static note *note_of(const tina__io_request *request) { return request->backend_memory; }

/* ---- Opening ---- */

size_t tina__files_memory_size(uint32_t thread_count)
{
    if (thread_count == 0)
        return 0;
    size_t entries = thread_count * TINA__FILE_PLACES_PER_THREAD * sizeof(tina__files_entry);
    return tina__file_threads_memory_size(thread_count) + entries;
}

tina_status tina__files_open(tina__files *files, uint32_t thread_count, int wake_fd, void *memory, tina__lent *lent,
                             int *os_error)
{
    *files = (tina__files){.lent = lent};
    if (thread_count == 0)
        return TINA_OK;
    files->entries = (void *)((uint8_t *)memory + tina__file_threads_memory_size(thread_count));
    return tina__file_threads_open(thread_count, wake_fd, memory, &files->threads, os_error);
}

/* ---- Waiting for a place ---- */

static void push(tina__files *files, tina__io_request *request)
{
    *note_of(request) = (note){.previous = files->first == NULL ? NULL : files->last, .place = TINA__NONE};
    request->next = NULL;
    if (files->first == NULL)
        files->first = request;
    else
        files->last->next = request;
    files->last = request;
}

static void take_out(tina__files *files, tina__io_request *request)
{
    tina__io_request *previous = note_of(request)->previous;
    if (previous == NULL)
        files->first = request->next;
    else
        previous->next = request->next;
    if (request->next == NULL)
        files->last = previous;
    else
        note_of(request->next)->previous = previous;
}

/* False: no place is free. */
static bool give(tina__files *files, tina__io_request *request)
{
    tina__files_entry entry = {.request = request, .buffer = TINA__BUFFER_NONE};
    tina__io_request job = *request;
    void *into = NULL;
    if (request->kind == TINA__IO_READ) {
        entry.buffer = tina__lent_top(files->lent);
        into = tina__lent_data(files->lent, entry.buffer);
        job.size = tina__lent_wanted(files->lent, request);
    }
    uint32_t place = tina__file_threads_give(files->threads, &job, into);
    if (place == TINA__NONE)
        return false;
    if (request->kind == TINA__IO_READ)
        tina__lent_drop(files->lent);
    files->entries[place] = entry;
    note_of(request)->place = place;
    return true;
}

static bool is_starved(const tina__files *files, const tina__io_request *request)
{
    return request->kind == TINA__IO_READ && files->lent->count == 0;
}

/* Stops at a read without a buffer: it is for reap to say so. */
static void fill_places(tina__files *files)
{
    while (files->first != NULL && !is_starved(files, files->first)) {
        tina__io_request *request = files->first;
        if (!give(files, request))
            return;
        take_out(files, request);
    }
}

/* ---- The turn ---- */

bool tina__files_does(const tina__io_request *request)
{
    switch ((tina__io_kind)request->kind) {
    case TINA__IO_READ:
    case TINA__IO_WRITE: return request->fd_class == TINA__FD_FILE;
    case TINA__IO_STAT:
    case TINA__IO_SYNC:
    case TINA__IO_TRUNCATE:
    case TINA__IO_OPEN:
    case TINA__IO_RENAME:
    case TINA__IO_UNLINK: return true;
    default: return false;
    }
}

void tina__files_submit(tina__files *files, tina__io_request *request)
{
    push(files, request);
    fill_places(files);
}

bool tina__files_cancel(tina__files *files, tina__io_request *request)
{
    uint32_t place = note_of(request)->place;
    if (place == TINA__NONE) {
        take_out(files, request);
        fill_places(files); /* a read without a buffer may have stood before the others */
        return true;
    }
    if (!tina__file_threads_take_back(files->threads, place))
        return false;
    if (files->entries[place].buffer != TINA__BUFFER_NONE)
        tina__lent_push(files->lent, files->entries[place].buffer);
    fill_places(files);
    return true;
}

static tina__io_request *reap_starved(tina__files *files, tina__io_completion *completion)
{
    fill_places(files);
    tina__io_request *request = files->first;
    if (request == NULL || !is_starved(files, request))
        return NULL;
    take_out(files, request);
    *completion = tina__completion_make(request, TINA_BUSY, 0);
    return request;
}

/* What was read stays in its buffer; where nothing was, the buffer is lent as before. */
static void settle_buffer(tina__files *files, const tina__files_entry *entry, tina__io_completion *completion)
{
    if (entry->buffer == TINA__BUFFER_NONE)
        return;
    if (completion->status == TINA_OK && completion->size != 0)
        completion->buffer = entry->buffer;
    else
        tina__lent_push(files->lent, entry->buffer);
}

tina__io_request *tina__files_reap(tina__files *files, tina__io_completion *completion)
{
    if (files->threads == NULL)
        return NULL;
    uint32_t place = tina__file_threads_reap(files->threads);
    if (place == TINA__NONE)
        return reap_starved(files, completion);
    tina__files_entry *entry = &files->entries[place];
    tina__io_request *request = entry->request;
    *completion = *tina__file_threads_completion(files->threads, place);
    settle_buffer(files, entry, completion);
    if (completion->os_fd >= 0)
        entry->request = NULL;
    else
        tina__file_threads_free(files->threads, place);
    fill_places(files);
    return request;
}

void tina__files_hand_out(tina__files *files, const tina__io_request *request)
{
    const note *open = note_of(request);
    if (open->completion.os_fd < 0)
        return;
    tina__assert(files->entries[open->place].request == NULL);
    files->entries[open->place].is_handed = true;
    files->handed_count++;
}

void tina__files_hands_off(tina__files *files)
{
    if (files->handed_count == 0)
        return;
    uint32_t count = tina__file_threads_place_count(files->threads);
    for (uint32_t place = 0; place < count; place++) {
        if (!files->entries[place].is_handed)
            continue;
        files->entries[place].is_handed = false;
        tina__file_threads_free(files->threads, place);
    }
    files->handed_count = 0;
}

/* ---- Ending ---- */

bool tina__files_abandon(tina__files *files)
{
    if (files->threads == NULL)
        return true;
    uint32_t count = tina__file_threads_place_count(files->threads);
    for (uint32_t place = 0; place < count; place++)
        files->entries[place] = (tina__files_entry){.buffer = TINA__BUFFER_NONE};
    files->first = NULL;
    files->handed_count = 0;
    return tina__file_threads_abandon(files->threads);
}

void tina__files_close(tina__files *files)
{
    if (files->threads != NULL)
        (void)tina__file_threads_close(files->threads);
}
