#include "os/os.h"
#include "sim/net_inside.h"
#include "sim/streams.h"

#include <stdlib.h>

/* ---- Making ------------------------------------------------------------------------ */

/*
 * Windows begin a few cache lines further on than their size says: were they all a
 * power of two apart, the first bytes of all of them would want the same places in
 * the cache.
 */
#define WINDOW_SPACE (3 * (size_t)TINA__CACHE_LINE)
#define QUEUE_SIZE   (TINA__NET_DATAGRAMS * sizeof(tina__net_datagram)) /* behind each */

TINA_STATIC_ASSERT(QUEUE_SIZE % TINA__CACHE_LINE == 0, "a window begins at a cache line");

/* As many as may be open, and as many again that wait to be accepted. */
static size_t count_places(const tina__net *net) { return 2 * (size_t)net->config.socket_count; }

static size_t windows_size(const tina__net *net)
{
    return tina__align_up(count_places(net) * net->window_stride, tina__os_page_size());
}

/* Far more than is ever touched: a mapping takes memory only for what is. */
static bool map_windows(tina__net *net)
{
    int os_error;
    void *base;
    net->window_stride = tina__align_up(net->config.window_size, TINA__CACHE_LINE) + QUEUE_SIZE + WINDOW_SPACE;
    if (net->config.socket_count == 0)
        return true;
    if (tina__os_reserve(windows_size(net), &base, &os_error) != TINA_OK)
        return false;
    net->windows = base;
    return tina__os_open_memory(base, windows_size(net), &os_error) == TINA_OK;
}

static bool make_disk(tina__net *net)
{
    tina__disk_config config = {
        .seed = net->config.seed, .shard_count = net->config.shard_count, .faults = net->config.faults};
    net->disk = tina__disk_make(&config);
    return net->disk != NULL;
}

static bool allocate(tina__net *net)
{
    size_t places = count_places(net);
    size_t things = places * TINA__DUE_THINGS;
    net->shards = calloc(net->config.shard_count, sizeof *net->shards);
    net->sockets = calloc(places + 1, sizeof *net->sockets);
    net->late = calloc(2 * places + 1, sizeof *net->late);
    net->due.entries = calloc(things + 1, sizeof *net->due.entries);
    net->due.places = calloc(things + 1, sizeof *net->due.places);
    net->ports = calloc(2 * TINA__NET_PORTS, sizeof *net->ports);
    return net->shards != NULL && net->sockets != NULL && net->late != NULL && net->due.entries != NULL &&
           net->due.places != NULL && net->ports != NULL && map_windows(net) && make_disk(net);
}

static void open_streams(tina__net *net)
{
    tina__stream_open(&net->stream, net->config.seed, TINA__STREAM_NET, 0);
    for (uint32_t i = 0; i < net->config.shard_count; i++) {
        tina__stream_open(&net->shards[i].errors, net->config.seed, TINA__STREAM_IO_ERROR, i);
        tina__stream_open(&net->shards[i].resets, net->config.seed, TINA__STREAM_IO_RESET, i);
        tina__stream_open(&net->shards[i].shorts, net->config.seed, TINA__STREAM_IO_SHORT, i);
        tina__stream_open(&net->shards[i].delays, net->config.seed, TINA__STREAM_IO_DELAY, i);
        tina__stream_open(&net->shards[i].losses, net->config.seed, TINA__STREAM_DATAGRAM_LOSS, i);
        tina__stream_open(&net->shards[i].doubles, net->config.seed, TINA__STREAM_DATAGRAM_DOUBLE, i);
    }
}

tina__net *tina__net_make(const tina__net_config *config)
{
    tina__assert(config->window_size != 0);
    tina__assert(config->window_size <= 1u << 30);
    tina__assert(config->socket_count <= INT32_MAX / 2);
    tina__net *net = calloc(1, sizeof *net);
    if (net == NULL)
        return NULL;
    net->config = *config;
    net->now_ns = config->now_ns;
    net->faults = config->faults;
    if (!allocate(net)) {
        tina__net_destroy(net);
        return NULL;
    }
    tina__pool_init(&net->slots, net->sockets, sizeof *net->sockets, offsetof(tina__net_socket, link),
                    2 * config->socket_count, 0);
    open_streams(net);
    return net;
}

void tina__net_destroy(tina__net *net)
{
    if (net == NULL)
        return;
    free(net->shards);
    free(net->sockets);
    if (net->windows != NULL)
        tina__os_release(net->windows, windows_size(net));
    free(net->late);
    free(net->due.entries);
    free(net->due.places);
    free(net->ports);
    tina__disk_destroy(net->disk);
    free(net);
}

tina__disk *tina__net_disk(const tina__net *net) { return net->disk; }

/* ---- Time --------------------------------------------------------------------------- */

static void arrive(tina__net *net, uint32_t index)
{
    if (tina__net_is_datagram(tina__net_at(net, index))) {
        tina__net_queue_arrive(net, index);
        tina__net_datagram_serve(net, index);
        return;
    }
    tina__net_pipe_arrive(net, index);
    tina__net_stream_serve(net, index);
}

static void be_told_no(tina__net *net, uint32_t index)
{
    if (tina__net_is_datagram(tina__net_at(net, index)))
        tina__net_datagram_refuse(net, index);
    else
        tina__net_stream_reset(net, index);
}

static void happen(tina__net *net, uint32_t index, tina__net_thing thing)
{
    switch (thing) {
    case TINA__DUE_READER: tina__net_request_tell(net, index, TINA__NET_READS); break;
    case TINA__DUE_WRITER:
        if (tina__net_at(net, index)->state == TINA__SOCKET_CONNECTING)
            tina__net_connect_arrive(net, index);
        else
            tina__net_request_tell(net, index, TINA__NET_WRITES);
        break;
    case TINA__DUE_ARRIVAL: arrive(net, index); break;
    case TINA__DUE_RESET: be_told_no(net, index); break;
    }
}

void tina__net_advance(tina__net *net, uint64_t now_ns)
{
    tina__assert(now_ns >= net->now_ns);
    net->now_ns = now_ns;
    for (uint32_t thing; (thing = tina__due_take(&net->due, now_ns)) != TINA__NONE;)
        happen(net, thing / TINA__DUE_THINGS, (tina__net_thing)(thing % TINA__DUE_THINGS));
}

uint64_t tina__net_next_ns(const tina__net *net) { return tina__due_next_ns(&net->due); }
