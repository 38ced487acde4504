/* Operations, descriptors and buffers. */
#include "core/census.h"
#include "core/io_ops.h"
#include "core/lookup.h"

static bool expect(tina__census *seen, bool is_true, const char *what) { return tina__census_expect(seen, is_true, what); }

static bool is_under_way(const tina__operation *operation)
{
    return operation->state == TINA__OPERATION_SUBMITTED || operation->state == TINA__OPERATION_STARVED;
}

/* ---- What an isolate holds ----------------------------------------------------------------------- */

static void see_operations(const tina__shard *shard, const tina__isolate *isolate, uint32_t self, uint32_t *done,
                           tina__census *seen)
{
    uint32_t previous = TINA__NONE;
    for (uint32_t index = isolate->operations; index != TINA__NONE;) {
        if (!expect(seen, index < shard->operations.fresh && seen->listed_operations < shard->p.operation_count,
                    "an isolate's list of operations ends"))
            return;
        const tina__operation *operation = &shard->p.operations[index];
        expect(seen, operation->isolate == self, "an operation is in its isolate's list");
        expect(seen, operation->previous == previous, "an operation knows what stands before it");
        expect(seen, operation->state >= TINA__OPERATION_SUBMITTED, "a listed operation has started");
        seen->listed_operations++;
        *done += operation->state == TINA__OPERATION_DONE;
        previous = index;
        index = operation->next;
    }
}

static void see_told(const tina__shard *shard, const tina__isolate *isolate, uint32_t node, tina__census *seen)
{
    uint32_t half = node % 2;
    const tina__descriptor *descriptor = &shard->p.descriptors[node / 2];
    if (descriptor->state == TINA__DESCRIPTOR_RETURNED) {
        seen->told_returned++;
        expect(seen, half == TINA__READ && tina__isolate_find(shard, descriptor->giver) == isolate,
               "what an isolate is told to have come back was its own");
        return;
    }
    expect(seen, (descriptor->told & (1u << half)) != 0 && tina__isolate_find(shard, descriptor->closer[half]) == isolate,
           "what an isolate is told to be closed was its own");
}

/* A close, or an operation, or what came back, whose message waits. Returns whether it is an operation. */
static bool see_done(const tina__shard *shard, const tina__isolate *isolate, uint32_t self, uint32_t node,
                     tina__census *seen)
{
    if (node < shard->p.operation_count) {
        const tina__operation *operation = &shard->p.operations[node];
        expect(seen, operation->isolate == self && operation->state == TINA__OPERATION_DONE,
               "what an isolate is told to be over is its own, and over");
        return true;
    }
    see_told(shard, isolate, node - shard->p.operation_count, seen);
    return false;
}

static uint32_t next_done(const tina__shard *shard, uint32_t node)
{
    if (node < shard->p.operation_count)
        return shard->p.operations[node].done_next;
    uint32_t half = node - shard->p.operation_count;
    return shard->p.descriptors[half / 2].done_next[half % 2];
}

/* The ring of what is over. Returns how many of it are operations. */
static uint32_t see_ring(const tina__shard *shard, const tina__isolate *isolate, uint32_t self, tina__census *seen)
{
    const uint32_t node_count = shard->p.operation_count + 2 * shard->p.descriptor_count;
    uint32_t length = 0;
    uint32_t operations = 0;
    uint32_t node = isolate->done_tail;
    if (node == TINA__NONE)
        return 0;
    do {
        if (!expect(seen, node < node_count && length++ < node_count, "the ring of what is over closes"))
            break;
        operations += see_done(shard, isolate, self, node, seen);
        node = next_done(shard, node);
    } while (node != isolate->done_tail);
    return operations;
}

static void see_halves(const tina__shard *shard, const tina__isolate *isolate, uint32_t self, tina__census *seen)
{
    uint32_t previous = TINA__NONE;
    for (uint32_t node = isolate->descriptors; node != TINA__NONE;) {
        if (!expect(seen, node / 2 < shard->descriptors.fresh && seen->listed_halves < 2 * shard->p.descriptor_count,
                    "an isolate's list of descriptors ends"))
            return;
        const tina__descriptor *descriptor = &shard->p.descriptors[node / 2];
        expect(seen, descriptor->state == TINA__DESCRIPTOR_OPEN, "an owned descriptor is open");
        expect(seen, descriptor->owner[node % 2] == self, "a descriptor is in its owner's list");
        expect(seen, descriptor->previous[node % 2] == previous, "a descriptor knows what stands before it");
        seen->listed_halves++;
        previous = node;
        node = descriptor->next[node % 2];
    }
}

void tina__census_isolates_io(const tina__shard *shard, const tina__isolate *isolate, tina__census *seen)
{
    const uint32_t self = tina__isolate_index(shard, isolate);
    uint32_t done = 0;
    see_operations(shard, isolate, self, &done, seen);
    bool has_come = isolate->state == TINA__ISOLATE_IN_IO && (isolate->flags & TINA__ISOLATE_WOKEN) != 0 &&
                    isolate->awaited < shard->p.operation_count;
    uint32_t told = see_ring(shard, isolate, self, seen) + has_come;
    expect(seen, done == told, "an isolate is told of each operation that is over");
    see_halves(shard, isolate, self, seen);
}

/* ---- Operations -------------------------------------------------------------------------------------- */

/* That somebody waits for it is counted by him, and by the groups around him. */
static void see_holder(const tina__shard *shard, uint32_t holder, tina__census *seen)
{
    if (holder == TINA__NONE)
        return;
    seen->held++;
    if (!expect(seen, holder < shard->p.child_count + shard->p.group_count, "what is not over is waited for in the tree"))
        return;
    bool is_record = holder < shard->p.child_count;
    uint32_t at = is_record ? shard->p.children[holder].group : holder - shard->p.child_count;
    expect(seen, !is_record || shard->p.children[holder].pending != 0, "a child knows that it has to wait");
    for (uint32_t left = TINA_GROUP_DEPTH_MAX; at < shard->p.group_count && left != 0; left--) {
        expect(seen, shard->p.groups[at].pending != 0, "a group knows that it has to wait");
        at = shard->p.groups[at].parent;
    }
}

static void see_accept(const tina__shard *shard, const tina__operation *operation, tina__census *seen)
{
    seen->accepts++;
    expect(seen,
           operation->accepted < shard->descriptors.fresh &&
               shard->p.descriptors[operation->accepted].state == TINA__DESCRIPTOR_KEPT,
           "an accept or an open keeps a descriptor for what it brings");
}

/* For what it sends or writes, or for a path. */
static bool holds_buffer(const tina__operation *operation)
{
    switch ((tina__io_kind)operation->request.kind) {
    case TINA__IO_SEND:
    case TINA__IO_SEND_TO:
    case TINA__IO_WRITE:
    case TINA__IO_STAT:
    case TINA__IO_OPEN:
    case TINA__IO_RENAME:
    case TINA__IO_UNLINK: return true;
    default: return false;
    }
}

static void see_place(const tina__shard *shard, uint32_t descriptor, uint32_t half, uint32_t index, tina__census *seen)
{
    if (half == TINA__HALF_NONE) {
        expect(seen, descriptor == TINA__NONE, "an operation on a path is on no descriptor");
        return;
    }
    if (!expect(seen, descriptor < shard->descriptors.fresh, "an operation under way is on a descriptor"))
        return;
    const tina__descriptor *on = &shard->p.descriptors[descriptor];
    expect(seen, on->state == TINA__DESCRIPTOR_OPEN && on->operation[half] == index,
           "an operation under way is on a descriptor");
}

static void see_under_way(const tina__shard *shard, const tina__operation *operation, uint32_t index, tina__census *seen)
{
    const tina__op_row *row = tina__op_row_of(operation->kind);
    seen->under_way++;
    bool is_starved = operation->state == TINA__OPERATION_STARVED;
    seen->starved += is_starved;
    seen->file_reads += !is_starved && tina__io_reads_file(&operation->request);
    seen->armed += tina__timer_is_armed(&operation->deadline);
    see_holder(shard, operation->holder, seen);
    if (!expect(seen, row != NULL, "an operation under way is of some kind"))
        return;
    see_place(shard, operation->descriptor, row->half, index, seen);
    if (operation->kind == TINA_IO_SENDFILE)
        see_place(shard, (uint32_t)operation->file, TINA__READ, index, seen);
    expect(seen, operation->isolate != TINA__NONE || operation->stop != TINA_OK,
           "an operation that is nobody's is cancelled");
    expect(seen, !holds_buffer(operation) || operation->buffer != TINA__NONE, "a send has a buffer");
    if (tina__io_opens(operation->request.kind))
        see_accept(shard, operation, seen);
}

static void see_operation(const tina__shard *shard, const tina__operation *operation, uint32_t index, tina__census *seen)
{
    expect(seen, operation->state != TINA__OPERATION_STAGED, "no operation is left that was made and not returned");
    if (is_under_way(operation))
        see_under_way(shard, operation, index, seen);
    else
        expect(seen, operation->isolate != TINA__NONE, "an operation that is nobody's is under way");
    seen->owned_operations += operation->isolate != TINA__NONE;
    if (operation->buffer == TINA__NONE)
        return;
    seen->buffers_holding++;
    expect(seen, operation->buffer < shard->buffers.fresh && shard->p.buffer_users[operation->buffer] != 0,
           "a buffer that an operation holds has users");
}

static void see_all_operations(const tina__shard *shard, tina__census *seen)
{
    uint32_t used = 0;
    for (uint32_t i = 0; i < shard->operations.fresh; i++) {
        if (shard->p.operations[i].state == TINA__OPERATION_FREE)
            continue;
        used++;
        see_operation(shard, &shard->p.operations[i], i, seen);
    }
    expect(seen, used == tina__pool_taken(&shard->operations), "every operation in use is somebody's or under way");
    expect(seen, seen->owned_operations == seen->listed_operations, "every operation that has an isolate is in its list");
    expect(seen, seen->under_way == shard->operations_under_way, "every operation under way is counted");
}

/* ---- Operations that the backend does not have --------------------------------------------------------- */

static bool is_a_request(const tina__shard *shard, const tina__io_request *request)
{
    uintptr_t offset = (uintptr_t)request - (uintptr_t)shard->p.operations - offsetof(tina__operation, request);
    return offset % sizeof(tina__operation) == 0 && offset / sizeof(tina__operation) < shard->operations.fresh;
}

static void see_submit_list(const tina__shard *shard, tina__census *seen)
{
    uint32_t left = seen->under_way - seen->starved;
    for (const tina__io_request *request = shard->submit_head; request != NULL; request = request->next) {
        if (!expect(seen, left != 0 && is_a_request(shard, request), "the list of what is to be submitted ends"))
            return;
        left--;
    }
    seen->requests = left;
}

static uint32_t see_starved_list(const tina__shard *shard, uint32_t list, tina__census *seen)
{
    uint32_t length = 0;
    uint32_t last = TINA__NONE;
    for (uint32_t index = shard->starved_head[list]; index != TINA__NONE; index = shard->p.operations[index].link) {
        if (!expect(seen, index < shard->operations.fresh && length++ < seen->under_way, "the list of the starved ends"))
            return length;
        expect(seen, shard->p.operations[index].state == TINA__OPERATION_STARVED, "who is listed as starved is");
        last = index;
    }
    expect(seen, shard->starved_tail[list] == last, "the list of the starved ends at its tail");
    return length;
}

static void see_starved(const tina__shard *shard, tina__census *seen)
{
    uint32_t length = 0;
    for (uint32_t list = 0; list < TINA__STARVED_LISTS; list++)
        length += see_starved_list(shard, list, seen);
    expect(seen, length == seen->starved, "who is starved is listed");
    expect(seen, shard->file_reads == seen->file_reads, "the reads of files that the backend has are counted");
}

/* ---- Descriptors ------------------------------------------------------------------------------------------ */

static void see_closer(const tina__shard *shard, const tina__descriptor *descriptor, uint32_t half, tina__census *seen)
{
    if (tina_handle_is_none(descriptor->closer[half]))
        return;
    bool is_told = (descriptor->told & (1u << half)) != 0;
    seen->closing += !is_told;
    expect(seen, !is_told || tina__isolate_find(shard, descriptor->closer[half]) != NULL,
           "who was told of a close is alive");
}

static bool is_alive(const tina__shard *shard, uint32_t isolate)
{
    return isolate < shard->p.slot_count && shard->p.isolates[isolate].state != TINA__ISOLATE_FREE;
}

static void see_half(const tina__shard *shard, const tina__descriptor *descriptor, uint32_t index, uint32_t half,
                     tina__census *seen)
{
    uint32_t owner = descriptor->owner[half];
    uint32_t operation = descriptor->operation[half];
    seen->owned_halves += owner != TINA__NONE;
    expect(seen, owner == TINA__NONE || is_alive(shard, owner), "the owner of a descriptor is alive");
    if (operation == TINA__NONE)
        return;
    if (!expect(seen, operation < shard->operations.fresh && is_under_way(&shard->p.operations[operation]),
                "what a descriptor waits for is under way on it"))
        return;
    const tina__operation *on = &shard->p.operations[operation];
    expect(seen, on->descriptor == index || (on->kind == TINA_IO_SENDFILE && on->file == index),
           "what a descriptor waits for is under way on it");
}

static void see_open(const tina__shard *shard, const tina__descriptor *descriptor, uint32_t index, tina__census *seen)
{
    seen->open++;
    expect(seen, descriptor->os_fd >= 0 && descriptor->os_fd == ~descriptor->os_fd_check,
           "an open descriptor names the system's");
    bool is_wanted = false;
    for (uint32_t half = TINA__READ; half <= TINA__WRITE; half++) {
        see_half(shard, descriptor, index, half, seen);
        see_holder(shard, descriptor->holder[half], seen);
        is_wanted = is_wanted || descriptor->owner[half] != TINA__NONE || descriptor->operation[half] != TINA__NONE;
    }
    expect(seen, is_wanted, "a descriptor that nobody owns is closed when nothing is under way on it");
}

/* Its number lies in the message that carries it, and nowhere else. */
static void see_given(const tina__shard *shard, const tina__descriptor *descriptor, uint32_t index, tina__census *seen)
{
    seen->given++;
    expect(seen, descriptor->os_fd != ~descriptor->os_fd_check, "a descriptor that was given names none of the system's");
    expect(seen, descriptor->owner[TINA__READ] == TINA__NONE && descriptor->owner[TINA__WRITE] == TINA__NONE,
           "a descriptor that was given is nobody's here");
    if (!expect(seen,
                descriptor->to_shard < shard->shared->shard_count &&
                    descriptor->place < shard->p.peers[descriptor->to_shard].place_pool.fresh,
                "a descriptor that was given has a place for the answer"))
        return;
    const tina__place *place = &shard->p.peers[descriptor->to_shard].places[descriptor->place];
    expect(seen, place->state == TINA__PLACE_WAITING && place->kind == TINA__PLACE_GIFT && place->waiter == index,
           "a descriptor that was given has a place for the answer");
}

static void see_returned(const tina__shard *shard, const tina__descriptor *descriptor, tina__census *seen)
{
    bool has_come = descriptor->os_fd >= 0;
    seen->returned++;
    seen->open += has_come;
    expect(seen, !has_come || descriptor->os_fd == ~descriptor->os_fd_check, "an open descriptor names the system's");
    expect(seen, tina__isolate_find(shard, descriptor->giver) != NULL, "who is told of what came back is alive");
}

static void see_descriptor(const tina__shard *shard, const tina__descriptor *descriptor, uint32_t index, tina__census *seen)
{
    bool has_closer =
        !tina_handle_is_none(descriptor->closer[TINA__READ]) || !tina_handle_is_none(descriptor->closer[TINA__WRITE]);
    see_closer(shard, descriptor, TINA__READ, seen);
    see_closer(shard, descriptor, TINA__WRITE, seen);
    switch (descriptor->state) {
    case TINA__DESCRIPTOR_OPEN: see_open(shard, descriptor, index, seen); break;
    case TINA__DESCRIPTOR_GIVEN: see_given(shard, descriptor, index, seen); break;
    case TINA__DESCRIPTOR_RETURNED: see_returned(shard, descriptor, seen); break;
    case TINA__DESCRIPTOR_CLOSED:
        expect(seen, has_closer, "a closed descriptor is free when its close has been handled");
        break;
    default: break;
    }
}

static void see_descriptors(const tina__shard *shard, tina__census *seen)
{
    uint32_t used = 0;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < shard->descriptors.fresh; i++) {
        const tina__descriptor *descriptor = &shard->p.descriptors[i];
        used += descriptor->state != TINA__DESCRIPTOR_FREE;
        kept += descriptor->state == TINA__DESCRIPTOR_KEPT;
        if (descriptor->state != TINA__DESCRIPTOR_FREE)
            see_descriptor(shard, descriptor, i, seen);
    }
    expect(seen, used == shard->descriptors.used, "every descriptor in use is kept, open, given or closed");
    expect(seen, kept == seen->accepts, "a descriptor is kept for an accept");
    expect(seen, seen->given == shard->given_count, "every descriptor that was given is counted");
    expect(seen, seen->returned == seen->told_returned, "a giver is told of each descriptor that came back");
    expect(seen, seen->owned_halves == seen->listed_halves, "every half of a descriptor that has an owner is in his list");
}

/* ---- Buffers --------------------------------------------------------------------------------------------- */

static void see_buffers(const tina__shard *shard, tina__census *seen)
{
    uint32_t with_users = 0;
    for (uint32_t i = 0; i < shard->buffers.fresh; i++)
        with_users += shard->p.buffer_users[i] != 0;
    expect(seen, with_users + shard->buffers_lent == shard->buffers.used, "a buffer is free, lent, or has users");
    expect(seen, with_users <= seen->buffers_holding, "the users of a buffer are operations");
    expect(seen, shard->buffers_sending <= shard->p.buffer_count / 2, "sends keep to their share of the buffers");
    expect(seen, shard->buffers_sending <= with_users, "a buffer that sends hold has users");
}

/* ---- The whole ---------------------------------------------------------------------------------------------- */

void tina__census_io(const tina__shard *shard, tina__census *seen)
{
    see_all_operations(shard, seen);
    see_submit_list(shard, seen);
    see_starved(shard, seen);
    see_descriptors(shard, seen);
    see_buffers(shard, seen);
    uint64_t open = shard->stats.io_submitted - shard->stats.io_completed;
    expect(seen, open == (uint64_t)seen->under_way + seen->closing, "what was submitted and not completed is under way");
}
