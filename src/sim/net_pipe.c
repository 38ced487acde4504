#include "sim/net_inside.h"

#include <string.h>

static uint8_t *window_of(const tina__net *net, uint32_t index) { return net->windows + index * net->window_stride; }

static uint32_t held(const tina__net_socket *socket) { return socket->arrived + socket->coming; }

static void copy_in(const tina__net *net, uint32_t to, const uint8_t *data, uint32_t size)
{
    const tina__net_socket *socket = tina__net_at(net, to);
    uint32_t window_size = net->config.window_size;
    uint32_t at = socket->first + held(socket);
    if (at >= window_size)
        at -= window_size;
    uint32_t part = tina__min_u32(size, window_size - at);
    memcpy(window_of(net, to) + at, data, part);
    if (part < size)
        memcpy(window_of(net, to), data + part, size - part);
}

/* ---- On the way ------------------------------------------------------------------- */

static tina__net_piece *piece_at(tina__net_socket *socket, uint32_t number)
{
    return &socket->pieces[(socket->piece_first + number) % TINA__NET_PIECES];
}

static uint64_t last_due_ns(tina__net_socket *socket)
{
    return socket->piece_count == 0 ? 0 : piece_at(socket, socket->piece_count - 1u)->due_ns;
}

uint64_t tina__net_pipe_last_ns(const tina__net *net, uint32_t to)
{
    tina__net_socket *socket = tina__net_at(net, to);
    return socket->is_end_coming ? socket->end_due_ns : last_due_ns(socket);
}

/* Only what comes next is set: what follows it is due no sooner. */
static void set_due(tina__net *net, uint32_t to)
{
    tina__net_socket *socket = tina__net_at(net, to);
    uint32_t thing = tina__net_thing_of(to, TINA__DUE_ARRIVAL);
    if (tina__due_is_set(&net->due, thing))
        return;
    if (socket->piece_count != 0)
        tina__due_set(&net->due, thing, piece_at(socket, 0)->due_ns);
    else if (socket->is_end_coming)
        tina__due_set(&net->due, thing, socket->end_due_ns);
}

/* Nothing overtakes what was sent before it. */
static void add_piece(tina__net_socket *socket, uint32_t size, uint64_t due_ns)
{
    uint64_t before_ns = last_due_ns(socket);
    if (socket->piece_count == TINA__NET_PIECES || (socket->piece_count != 0 && due_ns <= before_ns)) {
        tina__net_piece *last = piece_at(socket, socket->piece_count - 1u);
        last->size += size;
        last->due_ns = tina__max_u64(due_ns, before_ns);
        return;
    }
    *piece_at(socket, socket->piece_count++) = (tina__net_piece){.due_ns = due_ns, .size = size};
}

void tina__net_pipe_put(tina__net *net, uint32_t to, const uint8_t *data, uint32_t size, uint64_t delay_ns)
{
    tina__net_socket *socket = tina__net_at(net, to);
    tina__assert(size <= tina__net_pipe_room(net, socket));
    tina__assert(!socket->is_end_coming);
    copy_in(net, to, data, size);
    net->sent += size;
    if (delay_ns == 0 && socket->piece_count == 0) {
        socket->arrived += size;
        return;
    }
    socket->coming += size;
    add_piece(socket, size, tina__add_saturating(net->now_ns, delay_ns));
    set_due(net, to);
}

void tina__net_pipe_end(tina__net *net, uint32_t to, uint64_t delay_ns)
{
    tina__net_socket *socket = tina__net_at(net, to);
    tina__assert(!socket->is_end_coming);
    if (delay_ns == 0 && socket->piece_count == 0) {
        socket->has_ended = true;
        return;
    }
    socket->is_end_coming = true;
    socket->end_due_ns = tina__max_u64(tina__add_saturating(net->now_ns, delay_ns), last_due_ns(socket));
    set_due(net, to);
}

void tina__net_pipe_arrive(tina__net *net, uint32_t to)
{
    tina__net_socket *socket = tina__net_at(net, to);
    while (socket->piece_count != 0 && piece_at(socket, 0)->due_ns <= net->now_ns) {
        uint32_t size = piece_at(socket, 0)->size;
        tina__assert(size <= socket->coming);
        socket->coming -= size;
        socket->arrived += size;
        socket->piece_first = (uint8_t)((socket->piece_first + 1) % TINA__NET_PIECES);
        socket->piece_count--;
    }
    if (socket->piece_count == 0 && socket->is_end_coming && socket->end_due_ns <= net->now_ns) {
        socket->is_end_coming = false;
        socket->has_ended = true;
    }
    set_due(net, to);
}

/* ---- There -------------------------------------------------------------------------- */

/* An empty window begins at its first byte again, which is still in the cache. */
static void pass(const tina__net *net, tina__net_socket *socket, uint32_t size)
{
    socket->first += size;
    if (socket->first >= net->config.window_size)
        socket->first -= net->config.window_size;
    socket->arrived -= size;
    if (held(socket) == 0)
        socket->first = 0;
}

void tina__net_pipe_take(tina__net *net, uint32_t from, uint8_t *into, uint32_t size)
{
    tina__net_socket *socket = tina__net_at(net, from);
    tina__assert(size <= socket->arrived);
    const uint8_t *window = window_of(net, from);
    uint32_t part = tina__min_u32(size, net->config.window_size - socket->first);
    memcpy(into, window + socket->first, part);
    if (part < size)
        memcpy(into + part, window, size - part);
    net->received += size;
    pass(net, socket, size);
}

/* ---- Lost --------------------------------------------------------------------------- */

void tina__net_pipe_lose_coming(tina__net *net, uint32_t to)
{
    tina__net_socket *socket = tina__net_at(net, to);
    net->lost += socket->coming;
    socket->coming = 0;
    socket->piece_count = 0;
    socket->is_end_coming = false;
    tina__due_clear(&net->due, tina__net_thing_of(to, TINA__DUE_ARRIVAL));
}

void tina__net_pipe_lose(tina__net *net, uint32_t to)
{
    tina__net_socket *socket = tina__net_at(net, to);
    tina__net_pipe_lose_coming(net, to);
    net->lost += socket->arrived;
    socket->arrived = 0;
    socket->first = 0;
}
