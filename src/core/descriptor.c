/* Descriptors: owned by halves, closed when nothing is under way and nobody is left. */
#include "core/gift.h"
#include "core/mailbox.h"
#include "core/reactor.h"
#include "core/stats.h"
#include "core/supervise.h"

static tina__descriptor *descriptor_at(const tina__shard *shard, uint32_t index)
{
    tina__assert(index < shard->p.descriptor_count);
    return &shard->p.descriptors[index];
}

tina_fd tina__descriptor_handle(const tina__shard *shard, uint32_t index)
{
    return (tina_fd){tina__word_make(shard->id, index, descriptor_at(shard, index)->generation)};
}

/* ---- Finding ------------------------------------------------------------------------------ */

static tina__descriptor *find_live(const tina__shard *shard, uint64_t fd, uint32_t *index)
{
    *index = tina__word_index(fd);
    if (tina__word_shard(fd) != shard->id || *index >= shard->p.descriptor_count)
        return NULL;
    tina__descriptor *descriptor = descriptor_at(shard, *index);
    bool is_live = descriptor->state == TINA__DESCRIPTOR_OPEN && descriptor->generation == tina__word_generation(fd);
    return is_live ? descriptor : NULL;
}

static uint8_t halves_owned(const tina__shard *shard, const tina__descriptor *descriptor, const tina__isolate *isolate)
{
    uint32_t owner = tina__isolate_index(shard, isolate);
    uint8_t halves = 0;
    for (uint32_t half = TINA__READ; half <= TINA__WRITE; half++) {
        if (descriptor->owner[half] == owner)
            halves |= (uint8_t)(1u << half);
    }
    return halves;
}

tina_status tina__descriptor_find(const tina__shard *shard, const tina__isolate *isolate, uint64_t fd, uint8_t halves,
                                  uint32_t *index)
{
    const tina__descriptor *descriptor = find_live(shard, fd, index);
    if (descriptor == NULL)
        return TINA_STALE_HANDLE;
    return (halves_owned(shard, descriptor, isolate) & halves) == halves ? TINA_OK : TINA_NOT_OWNER;
}

tina_status tina__descriptor_find_any(const tina__shard *shard, const tina__isolate *isolate, uint64_t fd, uint32_t *index)
{
    const tina__descriptor *descriptor = find_live(shard, fd, index);
    if (descriptor == NULL)
        return TINA_STALE_HANDLE;
    return halves_owned(shard, descriptor, isolate) != 0 ? TINA_OK : TINA_NOT_OWNER;
}

/* ---- Owners -------------------------------------------------------------------------------- */

/* A half's place in its owner's list: 2 x index + half. */
static void link_half(tina__shard *shard, uint32_t index, uint32_t half, tina__isolate *owner)
{
    tina__descriptor *descriptor = descriptor_at(shard, index);
    uint32_t node = 2 * index + half;
    descriptor->owner[half] = tina__isolate_index(shard, owner);
    descriptor->previous[half] = TINA__NONE;
    descriptor->next[half] = owner->descriptors;
    if (owner->descriptors != TINA__NONE)
        descriptor_at(shard, owner->descriptors / 2)->previous[owner->descriptors % 2] = node;
    owner->descriptors = node;
}

static void unlink_half(tina__shard *shard, uint32_t index, uint32_t half)
{
    tina__descriptor *descriptor = descriptor_at(shard, index);
    uint32_t next = descriptor->next[half];
    uint32_t previous = descriptor->previous[half];
    if (previous == TINA__NONE)
        shard->p.isolates[descriptor->owner[half]].descriptors = next;
    else
        descriptor_at(shard, previous / 2)->next[previous % 2] = next;
    if (next != TINA__NONE)
        descriptor_at(shard, next / 2)->previous[next % 2] = previous;
    descriptor->owner[half] = TINA__NONE;
}

uint32_t tina__descriptor_keep(tina__shard *shard)
{
    uint32_t index = tina__pool_take(&shard->descriptors);
    if (index == TINA__NONE)
        return TINA__NONE;
    tina__descriptor *descriptor = descriptor_at(shard, index);
    *descriptor = (tina__descriptor){
        .generation = tina__word_generation_next(descriptor->generation),
        .os_fd = -1,
        .owner = {TINA__NONE, TINA__NONE},
        .operation = {TINA__NONE, TINA__NONE},
        .holder = {TINA__NONE, TINA__NONE},
        .state = TINA__DESCRIPTOR_KEPT,
    };
    return index;
}

void tina__descriptor_open(tina__shard *shard, uint32_t index, int32_t os_fd, uint8_t fd_class, tina__isolate *owner)
{
    tina__descriptor *descriptor = descriptor_at(shard, index);
    tina__assert(descriptor->state == TINA__DESCRIPTOR_KEPT || descriptor->state == TINA__DESCRIPTOR_RETURNED);
    descriptor->state = TINA__DESCRIPTOR_OPEN;
    descriptor->os_fd = os_fd;
    descriptor->os_fd_check = ~os_fd;
    descriptor->fd_class = fd_class;
    link_half(shard, index, TINA__READ, owner);
    link_half(shard, index, TINA__WRITE, owner);
}

void tina__descriptor_give_back(tina__shard *shard, uint32_t index)
{
    descriptor_at(shard, index)->state = TINA__DESCRIPTOR_FREE;
    tina__pool_give(&shard->descriptors, index);
}

/* ---- Closing -------------------------------------------------------------------------------- */

/* Is nothing under way in the halves that nobody owns any more? */
static bool is_settled(const tina__descriptor *descriptor)
{
    for (uint32_t half = TINA__READ; half <= TINA__WRITE; half++) {
        if (descriptor->owner[half] == TINA__NONE && descriptor->operation[half] != TINA__NONE)
            return false;
    }
    return true;
}

static bool has_closer(const tina__descriptor *descriptor)
{
    return !tina_handle_is_none(descriptor->closer[TINA__READ]) || !tina_handle_is_none(descriptor->closer[TINA__WRITE]);
}

/* The entry is free when it is closed and every completion of its closes has been handled. */
static void free_if_over(tina__shard *shard, uint32_t index)
{
    if (descriptor_at(shard, index)->state == TINA__DESCRIPTOR_CLOSED && !has_closer(descriptor_at(shard, index)))
        tina__descriptor_give_back(shard, index);
}

static void tell_closer(tina__shard *shard, uint32_t index, uint32_t half)
{
    tina__descriptor *descriptor = descriptor_at(shard, index);
    if (tina_handle_is_none(descriptor->closer[half]) || (descriptor->told & (1u << half)) != 0)
        return;
    tina__count(shard, io_completed);
    tina__isolate *closer = tina__isolate_find(shard, descriptor->closer[half]);
    if (closer == NULL) {
        descriptor->closer[half].bits = 0;
        return;
    }
    descriptor->told |= (uint8_t)(1u << half);
    uint32_t node = shard->p.operation_count + 2 * index + half;
    if (closer->state == TINA__ISOLATE_IN_IO && closer->awaited == node)
        tina__isolate_wake(shard, closer);
    else
        tina__done_push(shard, closer, node);
}

void tina__descriptor_settle(tina__shard *shard, uint32_t index)
{
    tina__descriptor *descriptor = descriptor_at(shard, index);
    if (descriptor->state != TINA__DESCRIPTOR_OPEN || !is_settled(descriptor))
        return;
    if (descriptor->owner[TINA__READ] == TINA__NONE && descriptor->owner[TINA__WRITE] == TINA__NONE) {
        shard->api->close_fd(shard->backend, descriptor->os_fd, index);
        descriptor->os_fd = -1;
        descriptor->state = TINA__DESCRIPTOR_CLOSED;
    }
    const uint32_t holders[2] = {descriptor->holder[TINA__READ], descriptor->holder[TINA__WRITE]};
    descriptor->holder[TINA__READ] = TINA__NONE;
    descriptor->holder[TINA__WRITE] = TINA__NONE;
    tell_closer(shard, index, TINA__READ);
    tell_closer(shard, index, TINA__WRITE);
    free_if_over(shard, index);
    tina__supervise_release(shard, holders[TINA__READ]);
    tina__supervise_release(shard, holders[TINA__WRITE]);
}

/*
 * The owner lets go of what it owns: what is under way there is cancelled, where
 * the other half is still somebody's the peer sees this one end, and the owner's
 * next life waits until all that is over.
 */
static void drop_halves(tina__shard *shard, uint32_t index, uint8_t halves, uint32_t holder)
{
    tina__descriptor *descriptor = descriptor_at(shard, index);
    descriptor->holder[tina__lowest_bit(halves)] = holder;
    tina__supervise_hold(shard, holder);
    for (uint32_t half = TINA__READ; half <= TINA__WRITE; half++) {
        if (halves & (1u << half))
            unlink_half(shard, index, half);
    }
    for (uint32_t half = TINA__READ; half <= TINA__WRITE; half++) {
        if ((halves & (1u << half)) != 0 && descriptor->operation[half] != TINA__NONE)
            tina__operation_cancel(shard, descriptor->operation[half], TINA_CANCELLED);
    }
    if (descriptor->owner[TINA__READ] != TINA__NONE || descriptor->owner[TINA__WRITE] != TINA__NONE) {
        int os_error;
        tina_ignore(shard->api->socket_shutdown(shard->backend, descriptor->os_fd, halves, &os_error));
    }
    tina__descriptor_settle(shard, index);
}

tina_status tina__descriptor_close(tina__shard *shard, tina__isolate *isolate, uint64_t fd, uint64_t user, uint32_t *awaited)
{
    uint32_t index;
    tina_status status = tina__descriptor_find_any(shard, isolate, fd, &index);
    if (status != TINA_OK)
        return status;
    tina__descriptor *descriptor = descriptor_at(shard, index);
    uint8_t halves = halves_owned(shard, descriptor, isolate);
    uint32_t first = tina__lowest_bit(halves);
    descriptor->closer[first] = tina__isolate_handle(shard, isolate);
    descriptor->user[first] = user;
    descriptor->told &= (uint8_t) ~(1u << first);
    if (awaited != NULL)
        *awaited = shard->p.operation_count + 2 * index + first;
    tina__count(shard, io_submitted);
    drop_halves(shard, index, halves, tina__supervise_holder(shard, isolate));
    return TINA_OK;
}

const tina_message *tina__descriptor_closed_message(tina__shard *shard, uint32_t node, tina_handle self)
{
    uint32_t index = (node - shard->p.operation_count) / 2;
    uint32_t half = (node - shard->p.operation_count) % 2;
    tina_message *notice = &shard->notice;
    *notice = (tina_message){.destination = self, .tag = TINA_IO_CLOSE, .size = sizeof notice->io};
    notice->io.fd = tina__descriptor_handle(shard, index);
    notice->io.user = descriptor_at(shard, index)->user[half];
    tina__descriptor_handled(shard, node); /* before the handler runs: it may want another */
    return notice;
}

void tina__descriptor_handled(tina__shard *shard, uint32_t node)
{
    uint32_t index = (node - shard->p.operation_count) / 2;
    if (descriptor_at(shard, index)->state == TINA__DESCRIPTOR_RETURNED) {
        tina__gift_forget(shard, index);
        return;
    }
    descriptor_at(shard, index)->closer[(node - shard->p.operation_count) % 2].bits = 0;
    free_if_over(shard, index);
}

/* ---- With its isolate --------------------------------------------------------------------------- */

void tina__descriptors_end(tina__shard *shard, tina__isolate *isolate)
{
    while (isolate->descriptors != TINA__NONE) {
        uint32_t index = isolate->descriptors / 2;
        drop_halves(shard, index, halves_owned(shard, descriptor_at(shard, index), isolate),
                    tina__supervise_holder(shard, isolate));
    }
}

tina_status tina__descriptor_may_move(const tina__shard *shard, const tina__isolate *from, uint64_t fd, uint8_t halves)
{
    uint32_t index;
    tina_status status = tina__descriptor_find(shard, from, fd, halves, &index);
    if (status != TINA_OK)
        return status;
    for (uint32_t half = TINA__READ; half <= TINA__WRITE; half++) {
        if ((halves & (1u << half)) != 0 && descriptor_at(shard, index)->operation[half] != TINA__NONE)
            return TINA_BUSY;
    }
    return TINA_OK;
}

void tina__descriptor_move(tina__shard *shard, uint64_t fd, uint8_t halves, tina__isolate *to)
{
    uint32_t index = tina__word_index(fd);
    for (uint32_t half = TINA__READ; half <= TINA__WRITE; half++) {
        if (halves & (1u << half)) {
            unlink_half(shard, index, half);
            link_half(shard, index, half, to);
        }
    }
}

void tina__descriptor_rename(tina__shard *shard, uint32_t index)
{
    tina__descriptor *descriptor = descriptor_at(shard, index);
    descriptor->generation = tina__word_generation_next(descriptor->generation);
}

int32_t tina__descriptor_part(tina__shard *shard, uint32_t index)
{
    tina__descriptor *descriptor = descriptor_at(shard, index);
    int32_t os_fd = descriptor->os_fd;
    tina__assert(descriptor->state == TINA__DESCRIPTOR_OPEN);
    tina__assert(!has_closer(descriptor)); /* who owns both halves has let go of neither */
    shard->api->let_go(shard->backend, os_fd, index);
    unlink_half(shard, index, TINA__READ);
    unlink_half(shard, index, TINA__WRITE);
    descriptor->state = TINA__DESCRIPTOR_GIVEN;
    descriptor->os_fd = -1;
    descriptor->os_fd_check = -1;
    return os_fd;
}

void tina__descriptor_return(tina__shard *shard, uint64_t fd, uint8_t halves, tina__isolate *from, tina__isolate *to)
{
    uint32_t index;
    const tina__descriptor *descriptor = find_live(shard, fd, &index);
    if (descriptor != NULL)
        tina__descriptor_move(shard, fd, halves & halves_owned(shard, descriptor, from), to);
}
