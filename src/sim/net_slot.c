#include "sim/net_inside.h"

static void set_defaults(const tina__net *net, int32_t *options)
{
    for (int option = 0; option < TINA__NET_OPTIONS; option++)
        options[option] = 0;
    options[TINA_OPT_RCVBUF] = (int32_t)net->config.window_size;
    options[TINA_OPT_SNDBUF] = (int32_t)net->config.window_size;
    options[TINA_OPT_LINGER] = -1;
    options[TINA_OPT_KEEPIDLE] = 7200;
    options[TINA_OPT_KEEPINTVL] = 75;
    options[TINA_OPT_KEEPCNT] = 9;
}

/* Both kinds have as many places as may be open, so that neither keeps the other out. */
static uint32_t *count_of(tina__net *net, uint32_t shard)
{
    return shard == TINA__NET_NOBODY ? &net->unaccepted_count : &net->open_count;
}

/* Of those that are open. */
static uint32_t *share_of(tina__net *net, uint32_t shard)
{
    return shard == TINA__NET_MOVING ? &net->moving_count : &net->shards[shard].socket_count;
}

static void count_in(tina__net *net, uint32_t shard)
{
    ++*count_of(net, shard);
    if (shard != TINA__NET_NOBODY)
        ++*share_of(net, shard);
}

static void count_out(tina__net *net, uint32_t shard)
{
    tina__assert(*count_of(net, shard) != 0);
    --*count_of(net, shard);
    if (shard != TINA__NET_NOBODY)
        --*share_of(net, shard);
}

uint32_t tina__net_slot_take(tina__net *net, uint32_t shard, uint8_t family, uint8_t type)
{
    if (*count_of(net, shard) == net->config.socket_count)
        return TINA__NONE;
    uint32_t index = tina__pool_take(&net->slots);
    tina__assert(index != TINA__NONE);
    tina__net_socket *socket = tina__net_at(net, index);
    *socket = (tina__net_socket){
        .peer = TINA__NONE,
        .state = TINA__SOCKET_OPEN,
        .family = family,
        .type = type,
        .shard = shard,
        .life = ++net->life_count,
        .listener = TINA__NONE,
    };
    if (family != TINA_UNIX)
        socket->local = tina__net_endpoint_any(family, false);
    set_defaults(net, socket->options);
    count_in(net, shard);
    return index;
}

void tina__net_slot_give(tina__net *net, uint32_t index)
{
    tina__net_socket *socket = tina__net_at(net, index);
    tina__assert(socket->state != TINA__SOCKET_FREE);
    tina__assert(socket->halves[TINA__NET_READS].request == NULL);
    tina__assert(socket->halves[TINA__NET_WRITES].request == NULL);
    tina__assert(socket->listener == TINA__NONE);
    tina__assert(socket->line.count == 0);
    tina__assert(socket->queue.count == 0);
    tina__net_port_release(net, index);
    tina__net_name_release(net, index);
    for (tina__net_thing thing = TINA__DUE_READER; thing <= TINA__DUE_RESET; thing++)
        tina__due_clear(&net->due, tina__net_thing_of(index, thing));
    count_out(net, socket->shard);
    socket->state = TINA__SOCKET_FREE;
    tina__pool_give_hot(&net->slots, index);
}

void tina__net_slot_pass(tina__net *net, uint32_t index)
{
    const tina__net_socket *socket = tina__net_at(net, index);
    if (socket->state == TINA__SOCKET_FILE && socket->shard == TINA__NET_NOBODY)
        tina__net_slot_give(net, index);
}

bool tina__net_slot_accept(tina__net *net, uint32_t index, uint32_t shard)
{
    tina__net_socket *socket = tina__net_at(net, index);
    tina__assert(socket->shard == TINA__NET_NOBODY);
    if (net->open_count == net->config.socket_count)
        return false;
    count_out(net, socket->shard);
    socket->shard = shard;
    count_in(net, socket->shard);
    return true;
}

void tina__net_slot_move(tina__net *net, uint32_t index, uint32_t shard)
{
    tina__net_socket *socket = tina__net_at(net, index);
    tina__assert(socket->halves[TINA__NET_READS].request == NULL);
    tina__assert(socket->halves[TINA__NET_WRITES].request == NULL);
    tina__assert((socket->shard == TINA__NET_MOVING) != (shard == TINA__NET_MOVING));
    count_out(net, socket->shard);
    socket->shard = shard;
    count_in(net, socket->shard);
}

uint32_t tina__net_ref_get(const tina__net *net, tina__net_ref ref)
{
    if (ref.life == 0)
        return TINA__NONE;
    const tina__net_socket *socket = tina__net_at(net, ref.index);
    return socket->state != TINA__SOCKET_FREE && socket->life == ref.life ? ref.index : TINA__NONE;
}

/* ---- Lists --------------------------------------------------------------------- */

void tina__net_list_push(tina__net *net, tina__net_list *list, uint32_t listener, uint32_t index)
{
    tina__net_socket *socket = tina__net_at(net, index);
    tina__assert(socket->listener == TINA__NONE);
    socket->listener = listener;
    socket->next = TINA__NONE;
    socket->previous = list->count == 0 ? TINA__NONE : list->last;
    if (list->count++ == 0)
        list->first = index;
    else
        tina__net_at(net, list->last)->next = index;
    list->last = index;
}

void tina__net_list_remove(tina__net *net, tina__net_list *list, uint32_t index)
{
    tina__net_socket *socket = tina__net_at(net, index);
    tina__assert(socket->listener != TINA__NONE);
    tina__assert(list->count != 0);
    if (socket->previous == TINA__NONE)
        list->first = socket->next;
    else
        tina__net_at(net, socket->previous)->next = socket->next;
    if (socket->next == TINA__NONE)
        list->last = socket->previous;
    else
        tina__net_at(net, socket->next)->previous = socket->previous;
    list->count--;
    socket->listener = TINA__NONE;
}
