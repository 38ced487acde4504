#include "sim/net_inside.h"

/* No two datagrams have a byte in common. */
static bool is_apart(const tina__net *net, uint32_t index, uint32_t number)
{
    const tina__net_datagram *self = tina__net_queue_at(net, index, number);
    for (uint32_t i = 0; i < number; i++) {
        const tina__net_datagram *other = tina__net_queue_at(net, index, i);
        if (self->at < other->at + other->size && other->at < self->at + self->size)
            return false;
    }
    return true;
}

typedef struct survey {
    uint64_t size;
    bool is_apart, is_in_order, is_on_time;
} survey;

static survey look(const tina__net *net, uint32_t index)
{
    const tina__net_queue *queue = &net->sockets[index].queue;
    survey seen = {.is_apart = true, .is_in_order = true, .is_on_time = true};
    uint64_t due_ns = 0;
    for (uint32_t i = 0; i < queue->count; i++) {
        const tina__net_datagram *datagram = tina__net_queue_at(net, index, i);
        seen.size += datagram->size;
        seen.is_apart &= datagram->at + datagram->size <= queue->size && is_apart(net, index, i);
        seen.is_in_order &= datagram->due_ns >= due_ns;
        seen.is_on_time &= (datagram->due_ns <= net->now_ns) == (i < queue->arrived);
        due_ns = datagram->due_ns;
    }
    return seen;
}

static const char *check_queue(const tina__net *net, uint32_t index)
{
    const tina__net_queue *queue = &net->sockets[index].queue;
    bool fits = queue->count <= TINA__NET_DATAGRAMS && queue->size <= net->config.window_size;
    if (!fits || queue->arrived > queue->count)
        return "a queue holds more than fits";
    survey seen = look(net, index);
    const tina__net_truth truths[] = {
        {seen.size == queue->size, "datagrams in a queue are not its size"},
        {seen.is_apart, "two datagrams lie in one place"},
        {seen.is_in_order, "a datagram stands behind a later one"},
        {seen.is_on_time, "a datagram has arrived too early, or too late"},
        {(queue->arrived < queue->count) == tina__due_is_set(&net->due, tina__net_thing_of(index, TINA__DUE_ARRIVAL)),
         "a datagram on its way is not due"},
    };
    return tina__net_first_broken(truths, sizeof truths / sizeof truths[0]);
}

const char *tina__net_check_datagram(const tina__net *net, uint32_t index)
{
    const tina__net_socket *self = &net->sockets[index];
    const tina__net_half *reader = &self->halves[TINA__NET_READS];
    bool receives = reader->state == TINA__HALF_WAITS;
    const char *broken = check_queue(net, index);
    if (broken != NULL)
        return broken;
    bool has_state = self->state == TINA__SOCKET_OPEN || self->state == TINA__SOCKET_CONNECTED;
    bool is_line_sound = tina__net_list_is_sound(net, &self->line, index, false);
    uint32_t first_size =
        !is_line_sound || self->line.count == 0 ? UINT32_MAX : net->sockets[self->line.first].halves[TINA__NET_WRITES].size;
    const tina__net_truth truths[] = {
        {has_state && self->peer == TINA__NONE && self->backlog.count == 0, "a socket for datagrams has a connection"},
        {!receives || (self->queue.arrived == 0 && self->error == 0 && !self->is_read_shut),
         "a receive waits for a datagram that is there"},
        {is_line_sound, "a line of senders is not in order"},
        {first_size == UINT32_MAX || !tina__net_queue_has_room(net, index, first_size),
         "a sender waits in line although there is room"},
        {tina__net_waits_in_line(self) == (self->listener != TINA__NONE), "a sender that waits is in no line"},
    };
    return tina__net_first_broken(truths, sizeof truths / sizeof truths[0]);
}
