/*
 * Does a given number of one thing on one shard and ends: cost.sh counts its
 * instructions, for two numbers, and so knows what one of them takes.
 *
 *     cost messages|spawns COUNT SLOTS TYPES FDS
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tina/tina.h>

enum { TAG_BALL = TINA_TAG_USER, TAG_PARTNER };

static uint64_t left; /* of the shard's thread, once it runs */

typedef struct player {
    tina_handle partner;
} player;

static tina_effect player_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    player *me = self;
    if (args_size == 0) /* the first: the other one serves */
        return tina_receive();
    memcpy(&me->partner, args, sizeof me->partner);
    return tina_send(ctx, me->partner, TAG_BALL, &me->partner, sizeof me->partner) == TINA_OK ? tina_receive()
                                                                                              : tina_crash(1);
}

static tina_effect player_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    player *me = self;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (tina_handle_is_none(me->partner))
        me->partner = message->source;
    if (left-- == 0) {
        tina_stop_system(ctx);
        return tina_receive();
    }
    return tina_send(ctx, me->partner, TAG_BALL, message->payload, message->size) == TINA_OK ? tina_receive()
                                                                                             : tina_crash(1);
}

/* Makes the players; or, for spawns, one short-lived child after the other. */
static tina_effect parent_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args_size;
    uint8_t second = *(const uint8_t *)args;
    tina_handle first;
    if (second == 0)
        return tina_yield();
    if (tina_spawn_child(ctx, &(tina_spawn){.type = 1}, &first) != TINA_OK)
        return tina_crash(1);
    tina_spawn spawn = {.type = second, .args = &first, .args_size = sizeof first};
    return tina_spawn_child(ctx, &spawn, NULL) == TINA_OK ? tina_receive() : tina_crash(1);
}

static tina_effect parent_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self;
    if (message->tag != TINA_TAG_RESUME)
        return tina_done();
    for (unsigned i = 0; i < 64 && left > 0; i++, left--) {
        if (tina_spawn_child(ctx, &(tina_spawn){.type = 3}, NULL) != TINA_OK)
            return tina_crash(1);
    }
    if (left > 0)
        return tina_yield();
    tina_stop_system(ctx);
    return tina_receive();
}

/* Ends in its first turn. */
static tina_effect mayfly_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size, (void)ctx;
    return tina_yield();
}

static tina_effect mayfly_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self, (void)message, (void)ctx;
    return tina_done();
}

int main(int argc, char **argv)
{
    if (argc != 6)
        return 2;
    bool is_spawning = strcmp(argv[1], "spawns") == 0;
    left = strtoull(argv[2], NULL, 10);
    uint32_t slots = (uint32_t)strtoul(argv[3], NULL, 10);
    uint8_t second = is_spawning ? 0 : (uint8_t)strtoul(argv[4], NULL, 10);
    tina_type types[] = {
        {.name = "parent", .init = parent_init, .handler = parent_handle, .size = sizeof(player)},
        {.name = "left", .init = player_init, .handler = player_handle, .size = sizeof(player), .slot_count = slots},
        {.name = "right", .init = player_init, .handler = player_handle, .size = sizeof(player), .slot_count = slots},
        {.name = "mayfly", .init = mayfly_init, .handler = mayfly_handle, .size = sizeof(player), .slot_count = slots},
    };
    tina_child parent = {.type = 0, .args = &second, .args_size = sizeof second};
    tina_system_spec spec = {
        .types = types,
        .type_count = sizeof types / sizeof types[0],
        .root = {.children = &parent, .child_count = 1, .dynamic_max = 256},
        .shard_count = 1,
        .message_count = 1024,
        .timer_count = 64,
        .fd_count = (uint32_t)strtoul(argv[5], NULL, 10),
        .op_count = 64,
        .buffer_count = 16,
        .backend = TINA_BACKEND_EPOLL,
        .development = true,
        .quiet = true,
    };
    tina_error error;
    if (tina_boot(&spec, &error) == TINA_OK)
        return 0;
    fprintf(stderr, "%s: %s\n", error.path, error.message);
    return 1;
}
