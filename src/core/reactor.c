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

/* Of the descriptor that it is on; none: it has a path. */
static tina_fd handle_of(const tina__shard *shard, const tina__operation *operation)
{
    if (operation->descriptor == TINA__NONE)
        return (tina_fd){0};
    return tina__descriptor_handle(shard, operation->descriptor);
}

static uint32_t index_of(const tina__shard *shard, const tina__operation *operation)
{
    return (uint32_t)(operation - shard->p.operations);
}

/* ---- Making ----------------------------------------------------------------------------- */

static void give_back(tina__shard *shard, tina__operation *operation)
{
    tina__assert(operation->state != TINA__OPERATION_FREE);
    operation->state = TINA__OPERATION_FREE;
    tina__pool_give(&shard->operations, index_of(shard, operation));
}

/* A staged one that is not started after all. */
static void unmake(tina__shard *shard, tina__operation *operation)
{
    if (operation->buffer != TINA__NONE)
        tina__buffer_drop(shard, operation->buffer);
    give_back(shard, operation);
}

tina_status tina__operation_make(tina_ctx *frame, const tina_op *op, uint32_t *index)
{
    tina__shard *shard = frame->shard;
    const tina__op_row *row = tina__op_row_of(op->kind);
    if (row == NULL)
        return TINA_INVALID;
    *index = tina__pool_take(&shard->operations);
    if (*index == TINA__NONE)
        return TINA_POOL_EXHAUSTED;
    tina__operation *operation = operation_at(shard, *index);
    operation->generation = tina__word_generation_next(operation->generation);
    operation->state = TINA__OPERATION_STAGED;
    operation->kind = op->kind;
    operation->user = op->user;
    operation->request = (tina__io_request){
        .token = op->fd.bits, /* until it starts: what it is for */
        .os_fd = -1,
        .file_fd = -1,
        .slot = TINA__SLOT_NONE,
        .backend_memory = operation->backend_memory,
    };
    operation->deadline = (tina__timer_node){.owner = *index, .kind = TINA__NODE_OPERATION};
    operation->deadline.deadline_ns = op->timeout_ns; /* until it starts: how long */
    operation->size = 0;
    operation->progress = 0;
    operation->stop = TINA_OK;
    operation->buffer = TINA__NONE;
    operation->accepted = TINA__NONE;
    operation->holder = TINA__NONE;
    operation->part = 0;
    operation->part_count = 0;
    operation->part_offset = 0;
    operation->is_unreadable = false;
    tina_status status = row->make(frame, op, operation);
    if (status != TINA_OK)
        give_back(shard, operation);
    return status;
}

uint32_t tina__operation_unstage(tina_ctx *frame, uint64_t token)
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
        tina__operation *operation = operation_at(frame->shard, frame->staged);
        frame->staged = operation->link;
        unmake(frame->shard, operation);
    }
}

/* ---- Starting ------------------------------------------------------------------------------ */

static void link_operation(tina__shard *shard, tina__operation *operation, tina__isolate *isolate)
{
    uint32_t index = index_of(shard, operation);
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

/* Behind what else goes to the backend with this tick. */
static void queue_request(tina__shard *shard, tina__operation *operation)
{
    operation->state = TINA__OPERATION_SUBMITTED;
    operation->request.next = NULL;
    shard->file_reads += tina__io_reads_file(&operation->request);
    *shard->submit_tail = &operation->request;
    shard->submit_tail = &operation->request.next;
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
    (void)tina__buffers_lend(shard);
    uint32_t lent = shard->buffers_lent - tina__min_u32(shard->file_reads, shard->buffers_lent);
    uint32_t for_files = tina__buffers_for_files(shard);
    lent = feed(shard, 0, lent);
    (void)feed(shard, 1, tina__min_u32(lent, for_files - tina__min_u32(shard->file_reads, for_files)));
}

/* ---- Where it is to be done ---------------------------------------------------------------- */

/* A half of a descriptor of the isolate's, with nothing under way in it. */
static tina_status find_half(const tina__shard *shard, const tina__isolate *isolate, uint64_t fd, uint32_t half,
                             uint32_t *index)
{
    tina_status status = tina__descriptor_find(shard, isolate, fd, (uint8_t)(1u << half), index);
    if (status != TINA_OK)
        return status;
    return shard->p.descriptors[*index].operation[half] == TINA__NONE ? TINA_OK : TINA_BUSY;
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

/* On which descriptor, and what that makes of it for the backend. */
static tina_status find_place(const tina__shard *shard, const tina__isolate *isolate, tina__operation *operation,
                              const tina__op_row *row)
{
    operation->descriptor = TINA__NONE;
    operation->request.kind = row->backend_kinds[0];
    if (row->half == TINA__HALF_NONE)
        return TINA_OK;
    uint32_t index;
    tina_status status = find_half(shard, isolate, operation->request.token, row->half, &index);
    if (status != TINA_OK)
        return status;
    const tina__descriptor *descriptor = &shard->p.descriptors[index];
    if (row->backend_kinds[descriptor->fd_class] == TINA__IO_NONE)
        return TINA_INVALID;
    operation->descriptor = index;
    operation->request.kind = row->backend_kinds[descriptor->fd_class];
    operation->request.fd_class = descriptor->fd_class;
    operation->request.slot = index;
    operation->request.os_fd = descriptor->os_fd;
    return operation->kind == TINA_IO_SENDFILE ? find_file(shard, isolate, operation) : TINA_OK;
}

/* Its place in what it is on; NONE: none any more. */
static void occupy(tina__shard *shard, const tina__operation *operation, const tina__op_row *row, uint32_t index)
{
    if (operation->descriptor == TINA__NONE)
        return;
    shard->p.descriptors[operation->descriptor].operation[row->half] = index;
    if (operation->kind == TINA_IO_SENDFILE)
        shard->p.descriptors[operation->file].operation[TINA__READ] = index;
}

tina_status tina__operation_start(tina__shard *shard, tina__isolate *isolate, uint32_t index)
{
    tina__operation *operation = operation_at(shard, index);
    tina__assert(operation->state == TINA__OPERATION_STAGED);
    const tina__op_row *row = tina__op_row_of(operation->kind);
    tina_status status = find_place(shard, isolate, operation, row);
    if (status == TINA_OK)
        status = row->start(shard, operation);
    if (status != TINA_OK) {
        unmake(shard, operation);
        return status;
    }
    operation->request.token = tina__word_make(shard->id, index, operation->generation);
    occupy(shard, operation, row, index);
    link_operation(shard, operation, isolate);
    if (tina__io_reads_file(&operation->request) && shard->file_reads >= tina__buffers_for_files(shard))
        starved_push(shard, operation);
    else
        queue_request(shard, operation);
    shard->operations_under_way++;
    tina__count(shard, io_submitted);
    tina__trace_add(shard->p.trace, shard->tick, TINA__EVENT_IO, tina__isolate_handle(shard, isolate), operation->kind, 0,
                    handle_of(shard, operation).bits);
    uint64_t timeout_ns = operation->deadline.deadline_ns;
    if (timeout_ns != 0 && timeout_ns != TINA_NONE_NS)
        tina__timer_wheel_start(shard->p.wheel, &operation->deadline, tina__add_saturating(shard->now_ns, timeout_ns));
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

static void count_completion(tina__shard *shard, tina_status status)
{
    tina__count(shard, io_completed);
    if (status == TINA_CANCELLED || status == TINA_TIMED_OUT)
        tina__count(shard, io_cancelled);
    else if (status != TINA_OK && status != TINA_CLOSED)
        tina__count(shard, io_failed);
}

/* The message that its isolate gets. It lies where the backend's memory was. */
static void write_message(tina__shard *shard, tina__operation *operation, const tina_io_result *result)
{
    const tina__isolate *isolate = &shard->p.isolates[operation->isolate];
    operation->message = (tina_message){
        .destination = tina__isolate_handle(shard, isolate),
        .tag = operation->kind,
        .size = sizeof operation->message.io,
    };
    operation->message.io = *result;
}

static void deliver(tina__shard *shard, tina__operation *operation)
{
    tina__isolate *isolate = &shard->p.isolates[operation->isolate];
    uint32_t index = index_of(shard, operation);
    operation->state = TINA__OPERATION_DONE;
    if (isolate->state == TINA__ISOLATE_IN_IO && isolate->awaited == index)
        tina__isolate_wake(shard, isolate);
    else
        tina__done_push(shard, isolate, index);
}

/* The operation is over: its descriptor is free for the next, what it brought goes to its isolate or is reclaimed. */
static void finish(tina__shard *shard, tina__operation *operation, const tina__io_completion *completion)
{
    const tina__op_row *row = tina__op_row_of(operation->kind);
    tina__isolate *owner = operation->isolate == TINA__NONE ? NULL : &shard->p.isolates[operation->isolate];
    tina__timer_wheel_cancel(shard->p.wheel, &operation->deadline);
    tina_io_result result = {
        .size = completion->size,
        .fd = handle_of(shard, operation),
        .user = operation->user,
        .os_error = completion->os_error,
        .status = (uint16_t)final_status(operation, completion),
    };
    row->finish(shard, operation, completion, owner, &result);
    occupy(shard, operation, row, TINA__NONE);
    shard->operations_under_way--;
    count_completion(shard, (tina_status)result.status);
    tina_handle who = owner == NULL ? (tina_handle){0} : tina__isolate_handle(shard, owner);
    tina__trace_detail(shard->p.trace, shard->tick, TINA__EVENT_IO_OVER, who, operation->kind, result.status, result.size);
    uint32_t descriptor = operation->descriptor;
    uint32_t file = operation->kind == TINA_IO_SENDFILE ? (uint32_t)operation->file : TINA__NONE;
    uint32_t holder = operation->holder;
    if (owner != NULL) {
        write_message(shard, operation, &result);
        deliver(shard, operation);
    } else {
        tina__count(shard, io_late);
        give_back(shard, operation);
    }
    if (descriptor != TINA__NONE)
        tina__descriptor_settle(shard, descriptor);
    if (file != TINA__NONE)
        tina__descriptor_settle(shard, file);
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
    if (!tina__op_row_of(operation->kind)->advance(shard, operation, completion)) {
        finish(shard, operation, completion);
    } else if (operation->stop == TINA_OK) {
        queue_request(shard, operation);
    } else { /* the cancel lost against this part only: the rest is not done */
        tina__io_completion cancelled = *completion;
        cancelled.status = TINA_CANCELLED;
        finish(shard, operation, &cancelled);
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
        finish(shard, operation, &completion);
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
static void reclaim_done(tina__shard *shard, tina__operation *operation)
{
    if (operation->buffer != TINA__NONE)
        tina__buffer_drop(shard, operation->buffer);
    operation->buffer = TINA__NONE;
    unlink_operation(shard, operation);
    give_back(shard, operation);
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

const tina_message *tina__operation_message(tina_ctx *frame, uint32_t index)
{
    tina__operation *operation = operation_at(frame->shard, index);
    tina__assert(operation->state == TINA__OPERATION_DONE);
    if (operation->kind == TINA_IO_ACCEPT && operation->message.io.status == TINA_OK)
        tina__look_up_peer(frame, &operation->message);
    return &operation->message;
}

void tina__operation_handled(tina__shard *shard, uint32_t index) { reclaim_done(shard, operation_at(shard, index)); }

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
            reclaim_done(shard, operation); /* an accepted descriptor is the isolate's, and ends with those */
            continue;
        }
        unlink_operation(shard, operation);
        operation->holder = tina__supervise_holder(shard, isolate);
        tina__supervise_hold(shard, operation->holder);
        tina__operation_cancel(shard, index, TINA_CANCELLED);
    }
}

/* ---- The turn -------------------------------------------------------------------------------------- */

uint32_t tina__reactor_collect(tina__shard *shard)
{
    if (shard->api == NULL)
        return 0;
    uint32_t total = 0;
    do {
        shard->collected_done = 0;
        shard->collected_count = shard->api->collect(shard->backend, shard->collected, TINA__COLLECT_MAX);
        while (shard->collected_done < shard->collected_count)
            complete(shard, &shard->collected[shard->collected_done++]);
        total += shard->collected_count;
    } while (shard->collected_count == TINA__COLLECT_MAX && total < shard->p.operation_count);
    return total;
}

uint32_t tina__reactor_submit(tina__shard *shard)
{
    feed_starved(shard);
    if (shard->submit_head == NULL)
        return 0;
    hand_over(shard);
    return 1;
}
