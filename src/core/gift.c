#include "core/gift.h"

#include "core/mailbox.h"
#include "core/place.h"
#include "core/reactor.h"
#include "core/route.h"
#include "core/stats.h"

#define BOTH_HALVES (1u << TINA__READ | 1u << TINA__WRITE)

static tina__descriptor *entry_at(const tina__shard *shard, uint32_t entry)
{
    tina__assert(entry < shard->p.descriptor_count);
    return &shard->p.descriptors[entry];
}

static void write_gift(tina_message *message, int32_t os_fd, uint8_t fd_class, tina_status status)
{
    tina__gift gift = {.os_fd = os_fd, .status = (uint16_t)status, .fd_class = fd_class};
    memcpy(message->payload, &gift, sizeof gift);
    message->size = sizeof gift;
}

static tina__gift read_gift(const tina_message *message)
{
    tina__gift gift;
    memcpy(&gift, message->payload, sizeof gift);
    return gift;
}

/* What its receiver reads: whom it is connected to is looked up when he does. */
static void write_mail(const tina__shard *shard, tina_message *mail, tina_handle source, tina_handle to, uint32_t entry)
{
    tina__route_fill(mail, source, to, TINA_TAG_FD, NULL, 0, TINA__MESSAGE_COUNTED | TINA__MESSAGE_FD, 0);
    mail->size = sizeof mail->io;
    mail->io = (tina_io_result){.fd = tina__descriptor_handle(shard, entry), .status = TINA_OK};
}

/* ---- Giving ------------------------------------------------------------------------------ */

static tina_status give_here(tina__shard *shard, tina_handle source, tina_handle to, uint64_t fd)
{
    uint32_t entry = tina__word_index(fd);
    tina__isolate *receiver = tina__isolate_find(shard, to);
    if (receiver == NULL)
        return TINA_STALE_HANDLE;
    uint32_t index;
    tina_status status = tina__mailbox_claim(shard, receiver, &index);
    if (status != TINA_OK)
        return status;
    tina__descriptor_move(shard, fd, BOTH_HALVES, receiver);
    tina__descriptor_rename(shard, entry);
    write_mail(shard, &shard->p.mail[index], source, to, entry);
    tina__mailbox_link(shard, receiver, index);
    tina__count(shard, sent_local);
    return TINA_OK;
}

static tina_status give_there(tina__shard *shard, tina_handle source, tina_handle to, uint64_t fd)
{
    uint8_t to_shard = tina_handle_shard(to);
    uint32_t entry = tina__word_index(fd);
    uint32_t place;
    tina_message *message;
    tina_status status = tina__place_claim(shard, to_shard, TINA__PLACE_GIFT, entry, &place, &message);
    if (status != TINA_OK)
        return status;
    tina__descriptor *given = entry_at(shard, entry);
    int32_t os_fd = tina__descriptor_part(shard, entry);
    given->giver = source;
    given->place = place;
    given->to_shard = to_shard;
    shard->given_count++;
    tina__route_fill(message, source, to, TINA_TAG_FD, NULL, 0, TINA__MESSAGE_COUNTED | TINA__MESSAGE_GIFT,
                     message->correlation);
    write_gift(message, os_fd, given->fd_class, TINA_OK);
    tina__count(shard, sent_remote);
    tina__route_written(shard, to_shard);
    return TINA_OK;
}

tina_status tina__gift_give(tina__shard *shard, tina__isolate *giver, tina_handle to, uint64_t fd)
{
    tina_handle source = tina__isolate_handle(shard, giver);
    tina__tracepoint_send(to.bits, TINA_TAG_FD, sizeof(tina_io_result));
    tina_status status = tina__descriptor_may_move(shard, giver, fd, BOTH_HALVES);
    if (status == TINA_OK)
        status = tina_handle_shard(to) == shard->id ? give_here(shard, source, to, fd) : give_there(shard, source, to, fd);
    if (status != TINA_OK)
        return tina__route_refused(shard, source, to, TINA_TAG_FD, status);
    tina__trace_detail(shard->p.trace, shard->tick, TINA__EVENT_SENT, source, TINA_TAG_FD, sizeof(tina_io_result), to.bits);
    return TINA_OK;
}

/* ---- Where it arrives ----------------------------------------------------------------------- */

static void close_loose(tina__shard *shard, int32_t os_fd)
{
    if (os_fd >= 0)
        shard->api->close_fd(shard->backend, os_fd, TINA__SLOT_NONE);
}

void tina__gift_drop(tina__shard *shard, tina_message *message) { close_loose(shard, tina__gift_take(message)); }

static void answer(tina__shard *shard, const tina__peer *peer, uint32_t call, int32_t os_fd, uint8_t fd_class,
                   tina_status status)
{
    uint8_t to_shard = (uint8_t)(peer - shard->p.peers);
    tina_message *message = tina__place_answer(shard, to_shard, call, TINA_TAG_FD);
    message->flags |= TINA__MESSAGE_GIFT;
    write_gift(message, os_fd, fd_class, status);
    tina__route_written(shard, to_shard);
}

void tina__gift_open(tina__shard *shard, tina__peer *peer, tina_message *gift, tina__isolate *receiver, uint32_t entry,
                     tina_message *mail)
{
    int32_t os_fd = tina__gift_take(gift);
    tina__descriptor_open(shard, entry, os_fd, read_gift(gift).fd_class, receiver);
    shard->api->take_over(shard->backend, os_fd);
    write_mail(shard, mail, gift->source, gift->destination, entry);
    answer(shard, peer, gift->correlation, -1, 0, TINA_OK);
}

void tina__gift_refuse(tina__shard *shard, const tina__peer *peer, tina_message *gift, tina_status status)
{
    int32_t os_fd = tina__gift_take(gift);
    answer(shard, peer, gift->correlation, os_fd, read_gift(gift).fd_class, status);
}

/* ---- What became of it ------------------------------------------------------------------------ */

static void free_entry(tina__shard *shard, uint32_t entry)
{
    tina__assert(shard->given_count != 0);
    shard->given_count--;
    tina__descriptor_give_back(shard, entry);
}

/* os_fd: what came back, or -1. */
static void return_to_giver(tina__shard *shard, uint32_t entry, int32_t os_fd, tina_status status)
{
    tina__descriptor *given = entry_at(shard, entry);
    tina__assert(given->state == TINA__DESCRIPTOR_GIVEN);
    tina__isolate *giver = tina__isolate_find(shard, given->giver);
    if (giver == NULL) {
        close_loose(shard, os_fd);
        free_entry(shard, entry);
        return;
    }
    if (os_fd >= 0) {
        given->os_fd = os_fd;
        given->os_fd_check = ~os_fd;
        shard->api->take_over(shard->backend, os_fd);
    }
    given->state = TINA__DESCRIPTOR_RETURNED;
    given->verdict = (uint16_t)status;
    shard->given_count--;
    tina__done_push(shard, giver, shard->p.operation_count + 2 * entry);
}

void tina__gift_answered(tina__shard *shard, tina__peer *peer, tina_message *message)
{
    tina__gift gift = read_gift(message);
    uint32_t entry = tina__place_answered(peer, message->correlation);
    int32_t os_fd = tina__gift_take(message);
    if (gift.status == TINA_OK)
        free_entry(shard, entry);
    else
        return_to_giver(shard, entry, os_fd, (tina_status)gift.status);
}

void tina__gift_lost(tina__shard *shard, uint32_t entry) { return_to_giver(shard, entry, -1, TINA_SHARD_DOWN); }

bool tina__gift_is_back(const tina__shard *shard, uint32_t node)
{
    if (node < shard->p.operation_count)
        return false;
    return entry_at(shard, (node - shard->p.operation_count) / 2)->state == TINA__DESCRIPTOR_RETURNED;
}

const tina_message *tina__gift_back_message(tina_ctx *frame, uint32_t node)
{
    tina__shard *shard = frame->shard;
    uint32_t entry = (node - shard->p.operation_count) / 2;
    tina__descriptor *given = entry_at(shard, entry);
    tina_message *notice = &shard->notice;
    *notice = (tina_message){.destination = frame->self, .tag = TINA_TAG_FD, .size = sizeof notice->io};
    notice->io.fd = tina__descriptor_handle(shard, entry);
    notice->io.status = given->verdict;
    if (given->os_fd >= 0)
        tina__descriptor_open(shard, entry, given->os_fd, given->fd_class, frame->isolate);
    else
        tina__descriptor_give_back(shard, entry);
    tina__look_up_peer(frame, notice);
    return notice;
}

void tina__gift_forget(tina__shard *shard, uint32_t entry)
{
    const tina__descriptor *given = entry_at(shard, entry);
    if (given->os_fd >= 0)
        shard->api->close_fd(shard->backend, given->os_fd, entry);
    tina__descriptor_give_back(shard, entry);
}

/* ---- The end -------------------------------------------------------------------------------------- */

static int32_t left_by(const tina__spsc *in)
{
    uint32_t tail = atomic_load_explicit(&in->tail, memory_order_acquire); /* with tina__spsc_publish */
    for (uint32_t position = in->read; position != tail; position++) {
        int32_t os_fd = tina__gift_take(&in->slots[position & in->mask]);
        if (os_fd >= 0)
            return os_fd;
    }
    return -1;
}

int32_t tina__gift_left(tina__shard *shard)
{
    for (uint32_t i = 0; i < shard->shared->shard_count; i++) {
        int32_t os_fd = i == shard->id ? -1 : left_by(shard->p.peers[i].in);
        if (os_fd >= 0)
            return os_fd;
    }
    return -1;
}
