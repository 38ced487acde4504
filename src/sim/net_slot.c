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

static void count_in(tina__net *net, uint32_t shard)
{
    ++*count_of(net, shard);
    if (shard != TINA__NET_NOBODY)
        net->shards[shard].socket_count++;
}

static void count_out(tina__net *net, uint32_t shard)
{
    tina__assert(*count_of(net, shard) != 0);
    --*count_of(net, shard);
    if (shard != TINA__NET_NOBODY)
        net->shards[shard].socket_count--;
}

uint32_t tina__net_slot_take(tina__net *net, uint32_t shard, uint8_t family)
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
        .shard = shard,
        .local = tina__net_endpoint_any(family, false),
        .listener = TINA__NONE,
    };
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
    tina__net_port_release(net, index);
    for (tina__net_thing thing = TINA__DUE_READER; thing <= TINA__DUE_RESET; thing++)
        tina__due_clear(&net->due, tina__net_thing_of(index, thing));
    count_out(net, socket->shard);
    socket->state = TINA__SOCKET_FREE;
    tina__pool_give_hot(&net->slots, index);
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
