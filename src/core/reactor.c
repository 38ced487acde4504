#include "core/reactor.h"

#include "core/buffers.h"
#include "core/io_ops.h"
#include "core/mailbox.h"
#include "core/stats.h"
#include "core/supervise.h"

static tina__operation *operation_at(const tina__shard *shard, uint32_t index)
{
    tina__assert(index < shard->p.operation_count);
    return &shard->p.operations[index];
}

static uint32_t index_of(const tina__shard *shard, const tina__operation *operation)
{
    return (uint32_t)(operation - shard->p.operations);
}

/* ---- Making ----------------------------------------------------------------------------- */

static void give_back(tina__shard *shard, tina__operation *operation, uint32_t index)
{
    tina__assert(operation->state != TINA__OPERATION_FREE);
    operation->state = TINA__OPERATION_FREE;
    tina__pool_give_at_hand(&shard->operations, index);
}

/* A staged one that is not started after all. */
static void unmake(tina__shard *shard, tina__operation *operation, uint32_t index)
{
    if (operation->buffer != TINA__NONE)
        tina__buffer_drop(shard, operation->buffer);
    give_back(shard, operation, index);
}

/* What was given back last is still in the cache. */
static uint32_t take_slot(tina__shard *shard)
{
    uint32_t index = tina__pool_at_hand(&shard->operations, &shard->p.operations->link, sizeof(tina__operation));
    if (tina__unlikely(index == TINA__NONE))
        return tina__pool_take(&shard->operations);
    tina__pool_take_at_hand(&shard->operations);
    return index;
}

static void take_deadline(tina__operation *operation, uint32_t index, uint64_t timeout_ns)
{
    operation->deadline.next = NULL; /* what a wipe left here is not armed any more */
    operation->has_deadline = timeout_ns != 0 && timeout_ns != TINA_NONE_NS;
    if (!operation->has_deadline)
        return;
    operation->deadline.deadline_ns = timeout_ns;
    operation->deadline.owner = index;
    operation->deadline.kind = TINA__NODE_OPERATION;
}

tina_status tina__operation_make(tina_ctx *frame, const tina_op *op, uint32_t *index)
{
    tina__shard *shard = frame->shard;
    const tina__op_row *row = tina__op_row_of(op->kind);
    if (row == NULL)
        return TINA_INVALID;
    uint32_t at = take_slot(shard);
    if (at == TINA__NONE)
        return TINA_POOL_EXHAUSTED;
    tina__operation *operation = operation_at(shard, at);
    *index = at;
    operation->request = (tina__io_request){
        .token = op->fd.bits, /* until it starts: what it is for */
        .os_fd = -1,
        .file_fd = -1,
        .slot = TINA__SLOT_NONE,
        .backend_memory = operation->backend_memory,
    };
    operation->user = op->user;
    operation->generation = tina__word_generation_next(operation->generation);
    operation->buffer = TINA__NONE;
    operation->accepted = TINA__NONE;
    operation->holder = TINA__NONE;
    operation->stop = TINA_OK;
    operation->kind = op->kind;
    operation->state = TINA__OPERATION_STAGED;
    take_deadline(operation, at, op->timeout_ns);
    tina_status status = row->make(frame, op, operation);
    if (tina__unlikely(status != TINA_OK))
        give_back(shard, operation, at);
    return status;
}

uint32_t tina__operation_unstage_any(tina_ctx *frame, uint64_t token)
{
    const tina__shard *shard = frame->shard;
    uint32_t *link = &frame->staged;
    while (*link != TINA__NONE) {
        tina__operation *operation = operation_at(shard, *link);
        if (tina__word_make(shard->id, *link, operation->generation) == token) {
            uint32_t index = *link;
            *link = operation->link;
            return index;
        }
        link = &operation->link;
    }
    return TINA__NONE;
}

void tina__operations_unstage_all(tina_ctx *frame)
{
    while (frame->staged != TINA__NONE) {
        uint32_t index = frame->staged;
        tina__operation *operation = operation_at(frame->shard, index);
        frame->staged = operation->link;
        unmake(frame->shard, operation, index);
    }
}

/* ---- Starting ------------------------------------------------------------------------------ */

static void link_operation(tina__shard *shard, tina__operation *operation, uint32_t index, tina__isolate *isolate)
{
    operation->isolate = tina__isolate_index(shard, isolate);
    operation->previous = TINA__NONE;
    operation->next = isolate->operations;
    if (isolate->operations != TINA__NONE)
        operation_at(shard, isolate->operations)->previous = index;
    isolate->operations = index;
}

static void unlink_operation(tina__shard *shard, tina__operation *operation)
{
    if (operation->previous == TINA__NONE)
        shard->p.isolates[operation->isolate].operations = operation->next;
    else
        operation_at(shard, operation->previous)->next = operation->next;
    if (operation->next != TINA__NONE)
        operation_at(shard, operation->next)->previous = operation->previous;
    operation->isolate = TINA__NONE;
}

/* Behind what else goes to the backend with this tick. It is no read of a file. */
static void hand_in(tina__shard *shard, tina__operation *operation)
{
    operation->state = TINA__OPERATION_SUBMITTED;
    operation->request.next = NULL;
    *shard->submit_tail = &operation->request;
    shard->submit_tail = &operation->request.next;
}

/* The same, whatever it is. */
static void queue_request(tina__shard *shard, tina__operation *operation)
{
    shard->file_reads += tina__io_reads_file(&operation->request);
    hand_in(shard, operation);
}

/* ---- Receives and reads that wait for a buffer ------------------------------------------------ */

static uint32_t starved_list(const tina__operation *operation) { return tina__io_reads_file(&operation->request) ? 1 : 0; }

/* link: the next; done_next: the previous. */
static void starved_push(tina__shard *shard, tina__operation *operation)
{
    uint32_t index = index_of(shard, operation);
    uint32_t list = starved_list(operation);
    operation->state = TINA__OPERATION_STARVED;
    operation->link = TINA__NONE;
    operation->done_next = shard->starved_tail[list];
    if (shard->starved_tail[list] == TINA__NONE)
        shard->starved_head[list] = index;
    else
        operation_at(shard, shard->starved_tail[list])->link = index;
    shard->starved_tail[list] = index;
}

static void starved_remove(tina__shard *shard, tina__operation *operation)
{
    uint32_t list = starved_list(operation);
    if (operation->done_next == TINA__NONE)
        shard->starved_head[list] = operation->link;
    else
        operation_at(shard, operation->done_next)->link = operation->link;
    if (operation->link == TINA__NONE)
        shard->starved_tail[list] = operation->done_next;
    else
        operation_at(shard, operation->link)->done_next = operation->done_next;
}

/* Returns how many more may be fed. */
static uint32_t feed(tina__shard *shard, uint32_t list, uint32_t most)
{
    for (; most != 0 && shard->starved_head[list] != TINA__NONE; most--) {
        tina__operation *operation = operation_at(shard, shard->starved_head[list]);
        starved_remove(shard, operation);
        queue_request(shard, operation);
    }
    return most;
}

/*
 * As many of them as there are buffers with the backend, those apart that files may
 * hold, get another try, the longest waiting first. Not only as many as are lent
 * just now: a buffer may have gone back between the moment when one starved and the
 * word of it.
 */
static void feed_starved(tina__shard *shard)
{
    uint32_t lent = shard->buffers_lent - tina__min_u32(shard->file_reads, shard->buffers_lent);
    uint32_t for_files = tina__buffers_for_files(shard);
    lent = feed(shard, 0, lent);
    (void)feed(shard, 1, tina__min_u32(lent, for_files - tina__min_u32(shard->file_reads, for_files)));
}

/* ---- Where it is to be done ---------------------------------------------------------------- */

/* A half of a descriptor of the isolate's, with nothing under way in it. */
static inline tina_status find_half(const tina__shard *shard, const tina__isolate *isolate, uint64_t fd, uint32_t half,
                                    uint32_t *index)
{
    uint32_t at = tina__word_index(fd);
    if (tina__word_shard(fd) != shard->id || at >= shard->p.descriptor_count)
        return TINA_STALE_HANDLE;
    const tina__descriptor *descriptor = &shard->p.descriptors[at];
    if (descriptor->generation != tina__word_generation(fd) || descriptor->state != TINA__DESCRIPTOR_OPEN)
        return TINA_STALE_HANDLE;
    if (descriptor->owner[half] != tina__isolate_index(shard, isolate))
        return TINA_NOT_OWNER;
    *index = at;
    return descriptor->operation[half] == TINA__NONE ? TINA_OK : TINA_BUSY;
}

/* The file of a sendfile: from here on its index. */
static tina_status find_file(const tina__shard *shard, const tina__isolate *isolate, tina__operation *operation)
{
    uint32_t file;
    tina_status status = find_half(shard, isolate, operation->file, TINA__READ, &file);
    if (status != TINA_OK)
        return status;
    if (shard->p.descriptors[file].fd_class != TINA__FD_FILE)
        return TINA_INVALID;
    operation->file = file;
    operation->request.file_fd = shard->p.descriptors[file].os_fd;
    return TINA_OK;
}

/* On which descriptor, and what that makes of it for the backend. *on: it; NULL: none. */
static tina_status find_place(const tina__shard *shard, const tina__isolate *isolate, tina__operation *operation,
                              const tina__op_row *row, tina__descriptor **on)
{
    uint32_t index;
    *on = NULL;
    operation->descriptor = TINA__NONE;
    if (row->half == TINA__HALF_NONE) {
        operation->request.kind = row->backend_kinds[0];
        return TINA_OK;
    }
    tina_status status = find_half(shard, isolate, operation->request.token, row->half, &index);
    if (status != TINA_OK)
        return status;
    tina__descriptor *descriptor = &shard->p.descriptors[index];
    uint8_t fd_class = descriptor->fd_class;
    uint8_t kind = row->backend_kinds[fd_class];
    if (kind == TINA__IO_NONE)
        return TINA_INVALID;
    *on = descriptor;
    operation->descriptor = index;
    operation->request.kind = kind;
    operation->request.fd_class = fd_class;
    operation->request.slot = index;
    operation->request.os_fd = descriptor->os_fd;
    return operation->kind == TINA_IO_SENDFILE ? find_file(shard, isolate, operation) : TINA_OK;
}

/* Its place in what it is on; NONE: none any more. on: NULL: it is on nothing. */
static void occupy(tina__shard *shard, const tina__operation *operation, const tina__op_row *row, tina__descriptor *on,
                   uint32_t index)
{
    if (on != NULL)
        on->operation[row->half] = index;
    if (tina__unlikely(operation->kind == TINA_IO_SENDFILE))
        shard->p.descriptors[operation->file].operation[TINA__READ] = index;
}

/* A read of a file has to wait where others have all the buffers that such may have. */
static void queue_or_wait(tina__shard *shard, tina__operation *operation)
{
    if (shard->file_reads >= tina__buffers_for_files(shard))
        starved_push(shard, operation);
    else
        queue_request(shard, operation);
}

tina_status tina__operation_start(tina_ctx *frame, uint32_t index)
{
    tina__shard *shard = frame->shard;
    tina__isolate *isolate = frame->isolate;
    tina__operation *operation = operation_at(shard, index);
    tina__assert(operation->state == TINA__OPERATION_STAGED);
    const tina__op_row *row = &tina__op_rows[operation->kind];
    uint64_t fd = operation->request.token;
    tina__descriptor *on;
    tina_status status = find_place(shard, isolate, operation, row, &on);
    if (status == TINA_OK && row->start != NULL)
        status = row->start(shard, operation);
    if (tina__unlikely(status != TINA_OK)) {
        unmake(shard, operation, index);
        return status;
    }
    operation->request.token = tina__word_make(shard->id, index, operation->generation);
    occupy(shard, operation, row, on, index);
    link_operation(shard, operation, index, isolate);
    if (tina__unlikely(tina__io_reads_file(&operation->request)))
        queue_or_wait(shard, operation);
    else
        hand_in(shard, operation);
    shard->operations_under_way++;
    tina__count(shard, io_submitted);
    tina__trace_add(shard->p.trace, shard->tick, TINA__EVENT_IO, frame->self, operation->kind, 0, on == NULL ? 0 : fd);
    if (tina__unlikely(operation->has_deadline))
        tina__timer_wheel_start(shard->p.wheel, &operation->deadline,
                                tina__add_saturating(shard->now_ns, operation->deadline.deadline_ns));
    return TINA_OK;
}

/* ---- Finishing -------------------------------------------------------------------------------- */

void tina__done_push(tina__shard *shard, tina__isolate *isolate, uint32_t node)
{
    uint32_t *next = tina__done_next(shard, node);
    if (isolate->done_tail == TINA__NONE) {
        *next = node;
    } else {
        uint32_t *tail_next = tina__done_next(shard, isolate->done_tail);
        *next = *tail_next;
        *tail_next = node;
    }
    isolate->done_tail = node;
    tina__isolate_notify(shard, isolate);
}

uint32_t tina__done_pop(tina__shard *shard, tina__isolate *isolate)
{
    uint32_t *tail_next = tina__done_next(shard, isolate->done_tail);
    uint32_t first = *tail_next;
    if (first == isolate->done_tail)
        isolate->done_tail = TINA__NONE;
    else
        *tail_next = *tina__done_next(shard, first);
    return first;
}

/* The status that the isolate sees: a cancelled operation tells who cancelled it. */
static tina_status final_status(const tina__operation *operation, const tina__io_completion *completion)
{
    tina_status status = (tina_status)completion->status;
    if (operation->stop != TINA_OK && (status == TINA_CANCELLED || status == TINA_BUSY))
        return (tina_status)operation->stop;
    return status;
}

static void count_failure(tina__shard *shard, tina_status status)
{
    if (status == TINA_CANCELLED || status == TINA_TIMED_OUT)
        tina__count(shard, io_cancelled);
    else if (status != TINA_CLOSED)
        tina__count(shard, io_failed);
}

static void trace_over(tina__shard *shard, const tina__operation *operation, const tina__isolate *owner,
                       const tina_io_result *result)
{
    tina_handle who = owner == NULL ? (tina_handle){0} : tina__isolate_handle(shard, owner);
    tina__trace_add(shard->p.trace, shard->tick, TINA__EVENT_IO_OVER, who, operation->kind, result->status, result->size);
}

/* Its isolate gets the message, which is around the result; whose it is, is written when it is handled. */
static void deliver(tina__shard *shard, tina__operation *operation, uint32_t index, tina__isolate *isolate)
{
    tina_message *message = &operation->message;
    message->source.bits = 0;
    message->correlation = 0;
    tina__pack_u16x4(&message->tag, operation->kind, 0, sizeof message->io, 0); /* tag, flags, size, reserved */
    operation->state = TINA__OPERATION_DONE;
    if (tina__likely(isolate->state == TINA__ISOLATE_IN_IO && isolate->awaited == index))
        tina__isolate_wake(shard, isolate);
    else
        tina__done_push(shard, isolate, index);
}

static void settle(tina__shard *shard, const tina__descriptor *on)
{
    if (tina__unlikely(on != NULL && !tina__descriptor_has_owners(on)))
        tina__descriptor_settle(shard, (uint32_t)(on - shard->p.descriptors));
}

/*
 * The operation is over: its descriptor is free for the next, what it brought goes to
 * its isolate or is reclaimed. The message begins where the backend's memory was.
 */
static void finish(tina__shard *shard, tina__operation *operation, uint32_t index, const tina__io_completion *completion)
{
    const tina__op_row *row = &tina__op_rows[operation->kind];
    tina__isolate *owner = operation->isolate == TINA__NONE ? NULL : &shard->p.isolates[operation->isolate];
    tina_io_result nobodys;
    tina_io_result *result = owner == NULL ? &nobodys : &operation->message.io;
    tina__descriptor *on = operation->descriptor == TINA__NONE ? NULL : &shard->p.descriptors[operation->descriptor];
    const tina__descriptor *file = operation->kind == TINA_IO_SENDFILE ? &shard->p.descriptors[operation->file] : NULL;
    uint32_t holder = operation->holder;
    if (tina__unlikely(operation->has_deadline))
        tina__timer_wheel_cancel(shard->p.wheel, &operation->deadline);
    result->size = completion->size;
    result->fd.bits = on == NULL ? 0 : tina__word_make(shard->id, operation->descriptor, on->generation);
    result->data = NULL;
    result->peer = NULL;
    result->user = operation->user;
    result->os_error = completion->os_error;
    result->status = (uint16_t)final_status(operation, completion);
    result->flags = 0;
    row->finish(shard, operation, completion, owner, result);
    occupy(shard, operation, row, on, TINA__NONE);
    shard->operations_under_way--;
    tina__count(shard, io_completed);
    if (result->status != TINA_OK)
        count_failure(shard, (tina_status)result->status);
    if (tina__unlikely(shard->p.trace->is_detailed))
        trace_over(shard, operation, owner, result);
    if (tina__likely(owner != NULL)) {
        deliver(shard, operation, index, owner);
    } else {
        tina__count(shard, io_late);
        give_back(shard, operation, index);
    }
    settle(shard, on);
    settle(shard, file);
    if (tina__unlikely(holder != TINA__NONE))
        tina__supervise_release(shard, holder);
}

static void complete(tina__shard *shard, const tina__io_completion *completion)
{
    uint32_t index = tina__word_index(completion->token);
    tina__operation *operation = operation_at(shard, index);
    tina__assert(operation->state == TINA__OPERATION_SUBMITTED);
    tina__assert(operation->generation == tina__word_generation(completion->token));
    shard->file_reads -= tina__io_reads_file(&operation->request);
    if (completion->buffer != TINA__BUFFER_NONE)
        tina__buffer_received(shard, completion->buffer);
    if (completion->status == TINA_BUSY && tina__io_fills(operation->request.kind) && operation->stop == TINA_OK) {
        starved_push(shard, operation);
        return;
    }
    const tina__op_row *row = &tina__op_rows[operation->kind];
    if (row->advance == NULL || !row->advance(shard, operation, completion)) {
        finish(shard, operation, index, completion);
    } else if (operation->stop == TINA_OK) {
        queue_request(shard, operation);
    } else { /* the cancel lost against this part only: the rest is not done */
        tina__io_completion cancelled = *completion;
        cancelled.status = TINA_CANCELLED;
        finish(shard, operation, index, &cancelled);
    }
}

/* ---- Ending them early --------------------------------------------------------------------------- */

static void hand_over(tina__shard *shard)
{
    if (shard->submit_head == NULL)
        return;
    tina__io_request *requests = shard->submit_head;
    shard->submit_head = NULL;
    shard->submit_tail = &shard->submit_head;
    shard->api->submit(shard->backend, requests);
}

void tina__operation_cancel(tina__shard *shard, uint32_t index, tina_status stop)
{
    tina__operation *operation = operation_at(shard, index);
    if (operation->stop != TINA_OK)
        return; /* under way already */
    operation->stop = (uint16_t)stop;
    if (operation->state == TINA__OPERATION_STARVED) {
        starved_remove(shard, operation);
        tina__io_completion completion = {.buffer = TINA__BUFFER_NONE, .os_fd = -1, .status = TINA_CANCELLED};
        finish(shard, operation, index, &completion);
        return;
    }
    tina__assert(operation->state == TINA__OPERATION_SUBMITTED);
    hand_over(shard); /* only what the backend has can be cancelled */
    shard->api->cancel(shard->backend, &operation->request);
}

void tina__operation_deadline(tina__shard *shard, uint32_t index) { tina__operation_cancel(shard, index, TINA_TIMED_OUT); }

void tina__descriptor_cancel(tina__shard *shard, tina__isolate *isolate, uint64_t fd, uint8_t halves)
{
    for (uint32_t half = TINA__READ; half <= TINA__WRITE; half++) {
        uint32_t index;
        if ((halves & (1u << half)) == 0 ||
            tina__descriptor_find(shard, isolate, fd, (uint8_t)(1u << half), &index) != TINA_OK)
            continue;
        uint32_t operation = shard->p.descriptors[index].operation[half];
        if (operation != TINA__NONE)
            tina__operation_cancel(shard, operation, TINA_CANCELLED);
    }
}

/* A finished operation is not needed any more: its buffer, its slot. */
static void reclaim_done(tina__shard *shard, uint32_t index)
{
    tina__operation *operation = operation_at(shard, index);
    if (operation->buffer != TINA__NONE)
        tina__buffer_drop(shard, operation->buffer);
    operation->buffer = TINA__NONE;
    unlink_operation(shard, operation);
    give_back(shard, operation, index);
}

/* Who is at the other end of what it brought; not known where that is over already. */
void tina__look_up_peer(tina_ctx *frame, tina_message *message)
{
    uint32_t index;
    const tina__shard *shard = frame->shard;
    int os_error;
    frame->peer.family = 0;
    message->io.peer = &frame->peer;
    if (tina__descriptor_find_any(shard, frame->isolate, message->io.fd.bits, &index) != TINA_OK)
        return;
    tina_status status = shard->api->socket_peer(shard->backend, shard->p.descriptors[index].os_fd, &frame->peer, &os_error);
    if (status != TINA_OK)
        frame->peer.family = 0;
}

const tina_message *tina__operation_message(tina_ctx *frame, uint32_t index, uint32_t *buffer)
{
    tina__shard *shard = frame->shard;
    tina__operation *operation = operation_at(shard, index);
    tina_message *notice = &shard->notice;
    tina__assert(operation->state == TINA__OPERATION_DONE);
    memcpy(notice, &operation->message, offsetof(tina_message, io) + sizeof notice->io);
    notice->destination = frame->self;
    if (operation->kind == TINA_IO_ACCEPT && notice->io.status == TINA_OK)
        tina__look_up_peer(frame, notice);
    *buffer = operation->buffer;
    operation->buffer = TINA__NONE;
    unlink_operation(shard, operation);
    give_back(shard, operation, index);
    return notice;
}

void tina__operation_handled(tina__shard *shard, uint32_t buffer)
{
    if (buffer != TINA__NONE)
        tina__buffer_drop(shard, buffer);
}

void tina__operations_end(tina__shard *shard, tina__isolate *isolate)
{
    while (isolate->done_tail != TINA__NONE) {
        uint32_t node = tina__done_pop(shard, isolate);
        if (node >= shard->p.operation_count)
            tina__descriptor_handled(shard, node);
    }
    while (isolate->operations != TINA__NONE) {
        uint32_t index = isolate->operations;
        tina__operation *operation = operation_at(shard, index);
        if (operation->state == TINA__OPERATION_DONE) {
            reclaim_done(shard, index); /* an accepted descriptor is the isolate's, and ends with those */
            continue;
        }
        unlink_operation(shard, operation);
        operation->holder = tina__supervise_holder(shard, isolate);
        tina__supervise_hold(shard, operation->holder);
        tina__operation_cancel(shard, index, TINA_CANCELLED);
    }
}

/* ---- The turn -------------------------------------------------------------------------------------- */

#define FETCH_OPERATION 8 /* completions ahead */
#define FETCH_HOLDERS   4

/* Of a thousand connections all is out of the cache, and known before it is needed: the operation, */
static void fetch_operation(const tina__shard *shard, uint32_t at)
{
    if (at >= shard->collected_count)
        return;
    const tina__operation *operation = operation_at(shard, tina__word_index(shard->collected[at].token));
    __builtin_prefetch(&operation->generation);
    __builtin_prefetch(&operation->message, 1);
    __builtin_prefetch(&operation->message.io.data, 1);
}

static void fetch_descriptor(const tina__descriptor *descriptor)
{
    __builtin_prefetch(&descriptor->generation, 1);
    __builtin_prefetch(&descriptor->operation[TINA__WRITE], 1);
}

/* and what it leads to. */
static void fetch_holders(const tina__shard *shard, uint32_t at)
{
    if (at >= shard->collected_count)
        return;
    const tina__operation *operation = operation_at(shard, tina__word_index(shard->collected[at].token));
    if (operation->isolate != TINA__NONE)
        __builtin_prefetch(&shard->p.isolates[operation->isolate], 1);
    if (operation->descriptor != TINA__NONE)
        fetch_descriptor(&shard->p.descriptors[operation->descriptor]);
    if (shard->collected[at].buffer != TINA__BUFFER_NONE)
        __builtin_prefetch(tina__buffer_data(shard, shard->collected[at].buffer));
}

static void complete_collected(tina__shard *shard)
{
    if (shard->collected_count == 0)
        return;
    for (uint32_t at = 0; at < FETCH_OPERATION; at++)
        fetch_operation(shard, at);
    for (uint32_t at = 0; at < FETCH_HOLDERS; at++)
        fetch_holders(shard, at);
    while (shard->collected_done < shard->collected_count) {
        fetch_operation(shard, shard->collected_done + FETCH_OPERATION);
        fetch_holders(shard, shard->collected_done + FETCH_HOLDERS);
        complete(shard, &shard->collected[shard->collected_done++]);
    }
}

uint32_t tina__reactor_collect(tina__shard *shard)
{
    if (shard->api == NULL)
        return 0;
    uint32_t total = 0;
    do {
        shard->collected_done = 0;
        shard->collected_count = shard->api->collect(shard->backend, shard->collected, TINA__COLLECT_MAX);
        complete_collected(shard);
        total += shard->collected_count;
    } while (shard->collected_count == TINA__COLLECT_MAX && total < shard->p.operation_count);
    return total;
}

uint32_t tina__reactor_submit(tina__shard *shard)
{
    (void)tina__buffers_lend(shard);
    if (tina__unlikely(shard->starved_head[0] != TINA__NONE || shard->starved_head[1] != TINA__NONE))
        feed_starved(shard);
    if (shard->submit_head == NULL)
        return 0;
    hand_over(shard);
    return 1;
}
