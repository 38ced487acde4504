#include "support/pair.h"

#define NAME_OF_SERVER 5
#define PERIOD_NS      2000000u /* two rounds */

typedef struct server {
    uint32_t ping_count;
} server;

typedef struct client {
    uint32_t timer_count;
} client;

static tina_effect server_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size, (void)ctx;
    return tina_receive();
}

static tina_effect server_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    server *me = self;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (++me->ping_count == 3)
        return tina_crash(7);
    tina_ignore(tina_send(ctx, message->source, PAIR_PONG, NULL, 0));
    return tina_receive();
}

static void ping(tina_ctx *ctx)
{
    uint64_t now_ns = tina_now(ctx);
    tina_ignore(tina_send(ctx, tina_named(0, NAME_OF_SERVER), PAIR_PING, &now_ns, sizeof now_ns));
}

static tina_effect client_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size;
    ping(ctx);
    return tina_timer_repeat(ctx, PERIOD_NS, TINA_TAG_TIMER, NULL) == TINA_OK ? tina_receive() : tina_crash(1);
}

static tina_effect client_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    client *me = self;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (message->tag == TINA_TAG_TIMER && ++me->timer_count == 5)
        tina_stop_system(ctx);
    else if (message->tag == TINA_TAG_TIMER)
        ping(ctx);
    return tina_receive();
}

void pair_init(tina_system_spec *spec, tina_sim_config *config)
{
    static const tina_type types[] = {
        {.name = "server", .init = server_init, .handler = server_handle, .size = sizeof(server), .mailbox_capacity = 8},
        {.name = "client", .init = client_init, .handler = client_handle, .size = sizeof(client), .mailbox_capacity = 8},
    };
    static const tina_child servers[] = {{.type = 0, .name = NAME_OF_SERVER}};
    static const tina_child clients[] = {{.type = 1}};
    static const tina_shard_spec shards[] = {
        {.root = {.children = servers, .child_count = 1}},
        {.root = {.children = clients, .child_count = 1}},
    };
    *spec = (tina_system_spec){
        .types = types,
        .type_count = 2,
        .shards = shards,
        .shard_count = 2,
        .message_count = 16,
        .channel_capacity = 8,
        .timer_count = 4,
        .watch_count = 4,
        .fd_count = TINA_NONE,
        .op_count = TINA_NONE,
        .buffer_count = TINA_NONE,
        .transfer_count = TINA_NONE,
    };
    *config = (tina_sim_config){.seed = 1, .ticks_max = 1000, .keep_shard_order = true};
}
