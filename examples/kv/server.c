#include "server.h"
#include "round.h"

enum {
    SPARE = 64,   /* descriptors, operations and the like, besides those of connections */
    SCRAPERS = 8, /* of the metrics, at once */
};

#define SPIN_NS (MILLISECOND_NS / 50)

/* Connections are in a group of their own: whatever becomes of them, nobody else is ended with them. */
static void plant(kv_server *server)
{
    server->group = (tina_group_spec){.name = NAME_GROUP, .dynamic_max = 0};
    server->children[0] = (tina_child){.type = TYPE_PARTITION, .name = NAME_PARTITION};
    server->children[1] = (tina_child){.group = &server->group};
    server->children[2] = (tina_child){.type = TYPE_DESK, .name = NAME_DESK};
    uint32_t count = 3;
    if (server->metrics.address != NULL) /* on each shard: one that is quarantined answers no more */
        server->children[count++] =
            (tina_child){.type = TYPE_METRICS, .args = &server->metrics, .args_size = sizeof server->metrics};
    server->children[count] = (tina_child){.type = TYPE_LISTENER};
    for (uint32_t i = 0; i < server->partition_count; i++)
        server->shards[i].root = (tina_group_spec){
            .children = server->children,
            .child_count = i == 0 ? count + 1 : count,
            .restart_max = 100,
            .window_ns = 10000 * MILLISECOND_NS,
            .backoff_ns = MILLISECOND_NS,
        };
}

static void cast(kv_server *server)
{
    server->types[TYPE_LISTENER] = listener_type;
    server->types[TYPE_DESK] = desk_type;
    server->types[TYPE_CONNECTION] = connection_type;
    server->types[TYPE_CONNECTION].slot_count = server->connections;
    server->types[TYPE_CONNECTION].working_size = server->partition_count > 1 ? LOTS_HELD_MAX : 0;
    server->types[TYPE_PARTITION] = partition_type;
    server->types[TYPE_METRICS] = tina_metrics_type(SCRAPERS);
}

/* Of each pair, so that all of them together do not grow with the square of the shards. */
static uint32_t channel_capacity(uint32_t partition_count)
{
    uint32_t capacity = 8192 / partition_count;
    return capacity < 1024 ? capacity : 1024;
}

void kv_server_spec(kv_server *server, tina_system_spec *spec)
{
    uint32_t connections = server->connections;
    bool has_metrics = server->metrics.address != NULL;
    uint32_t scrapers = has_metrics ? SCRAPERS + 1 : 0; /* and who listens to them */
    cast(server);
    plant(server);
    *spec = (tina_system_spec){
        .types = server->types,
        .type_count = has_metrics ? TYPE_COUNT + 1 : TYPE_COUNT,
        .shards = server->shards,
        .shard_count = server->partition_count,
        .user = server,
        .channel_capacity = channel_capacity(server->partition_count),
        .message_count = 4 * connections + 1024,
        .timer_count = 3 * connections + scrapers + 256,
        .watch_count = 512, /* of those whose values come or go in pieces */
        .fd_count = connections + scrapers + SPARE,
        .op_count = 3 * connections + 2 * scrapers + 4 * SPARE,
        .buffer_count = 3 * connections + scrapers + SPARE, /* so that all may be slow readers at once */
        .buffer_size = CHUNK_SIZE,
        .transfer_count = 2 * connections + SPARE,
        .transfer_size = CHUNK_SIZE,
        .backend = (uint8_t)server->backend,
        .signals = TINA_SIGNALS_ALL,
        .quiet = server->is_quiet,
        /* One shard alone has nobody to answer at once; several ask each other all the time, and answer soon. */
        .spin_ns = server->partition_count == 1 ? TINA_NONE_NS : SPIN_NS,
    };
}
