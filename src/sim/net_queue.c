#include "sim/net_inside.h"

#include <string.h>

static uint8_t *window_of(const tina__net *net, uint32_t index) { return net->windows + index * net->window_stride; }

tina__net_datagram *tina__net_queue_at(const tina__net *net, uint32_t index, uint32_t number)
{
    tina__assert(number < TINA__NET_DATAGRAMS);
    size_t behind = tina__align_up(net->config.window_size, TINA__CACHE_LINE);
    return (tina__net_datagram *)(void *)(window_of(net, index) + behind) + number;
}

static tina__net_queue *queue_of(const tina__net *net, uint32_t index) { return &tina__net_at(net, index)->queue; }

/* ---- On the way ------------------------------------------------------------------- */

bool tina__net_queue_has_room(const tina__net *net, uint32_t to, uint32_t size)
{
    const tina__net_queue *queue = queue_of(net, to);
    return queue->count < TINA__NET_DATAGRAMS && size <= net->config.window_size - queue->size;
}

uint64_t tina__net_queue_last_ns(const tina__net *net, uint32_t to)
{
    const tina__net_queue *queue = queue_of(net, to);
    return queue->count == 0 ? 0 : tina__net_queue_at(net, to, queue->count - 1)->due_ns;
}

/* The next of those that have not arrived may be another than it was. */
static void set_due(tina__net *net, uint32_t to)
{
    const tina__net_queue *queue = queue_of(net, to);
    uint32_t thing = tina__net_thing_of(to, TINA__DUE_ARRIVAL);
    tina__due_clear(&net->due, thing);
    if (queue->arrived < queue->count)
        tina__due_set(&net->due, thing, tina__net_queue_at(net, to, queue->arrived)->due_ns);
}

/* Behind all that arrive no later. */
static void add(tina__net *net, uint32_t to, const tina__net_datagram *datagram)
{
    tina__net_queue *queue = queue_of(net, to);
    uint32_t number = queue->count++;
    for (; number > queue->arrived && tina__net_queue_at(net, to, number - 1)->due_ns > datagram->due_ns; number--)
        *tina__net_queue_at(net, to, number) = *tina__net_queue_at(net, to, number - 1);
    *tina__net_queue_at(net, to, number) = *datagram;
    queue->size += datagram->size;
}

void tina__net_queue_put(tina__net *net, uint32_t to, const uint8_t *data, uint32_t size, const tina_address *from,
                         uint64_t due_ns)
{
    tina__net_queue *queue = queue_of(net, to);
    tina__assert(tina__net_queue_has_room(net, to, size));
    if (size != 0)
        memcpy(window_of(net, to) + queue->size, data, size);
    tina__net_datagram datagram = {.due_ns = due_ns, .at = queue->size, .size = size, .from = *from};
    add(net, to, &datagram);
    tina__net_queue_arrive(net, to);
}

void tina__net_queue_arrive(tina__net *net, uint32_t to)
{
    tina__net_queue *queue = queue_of(net, to);
    while (queue->arrived < queue->count && tina__net_queue_at(net, to, queue->arrived)->due_ns <= net->now_ns)
        queue->arrived++;
    set_due(net, to);
}

/* ---- There -------------------------------------------------------------------------- */

/* What lay behind its bytes lies there now. */
static void remove_first(tina__net *net, uint32_t index)
{
    tina__net_queue *queue = queue_of(net, index);
    tina__net_datagram gone = *tina__net_queue_at(net, index, 0);
    uint8_t *bytes = window_of(net, index) + gone.at;
    queue->count--;
    queue->arrived--;
    queue->size -= gone.size;
    memmove(bytes, bytes + gone.size, queue->size - gone.at);
    for (uint32_t i = 0; i < queue->count; i++) {
        tina__net_datagram *datagram = tina__net_queue_at(net, index, i);
        *datagram = *tina__net_queue_at(net, index, i + 1);
        if (datagram->at > gone.at)
            datagram->at -= gone.size;
    }
}

uint32_t tina__net_queue_take(tina__net *net, uint32_t of, uint8_t *into, uint32_t space, tina_address *from)
{
    const tina__net_datagram *first = tina__net_queue_at(net, of, 0);
    tina__assert(queue_of(net, of)->arrived != 0);
    uint32_t whole = first->size;
    uint32_t size = tina__min_u32(whole, space);
    memcpy(into, window_of(net, of) + first->at, size);
    *from = first->from;
    net->received += size;
    net->lost += whole - size;
    net->datagrams.received++;
    remove_first(net, of);
    return whole;
}

void tina__net_queue_lose(tina__net *net, uint32_t to)
{
    tina__net_queue *queue = queue_of(net, to);
    net->lost += queue->size;
    net->datagrams.lost += queue->count;
    *queue = (tina__net_queue){0};
    set_due(net, to);
}
