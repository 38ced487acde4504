/*
 * Does a number of one thing on one shard, and says how much CPU time of the
 * shard's thread one of them took, in picoseconds. run.sh links it with the
 * library in several forms and compares.
 *
 *     price message|life COUNT
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <tina/tina.h>

enum { TAG_BALL = TINA_TAG_USER, TYPE_PLAYER = 0, TYPE_PARENT, TYPE_MAYFLY, WALL = 1, SPAWNS_PER_TURN = 64 };

/* Of the shard's thread, while it runs. */
static uint64_t left;
static uint64_t begun_ns, used_ns;

static uint64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static tina_effect finish(tina_ctx *ctx)
{
    used_ns = cpu_ns() - begun_ns;
    tina_stop_system(ctx);
    return tina_receive();
}

/* ---- Messages: two players, one ball ---- */

static tina_effect play(tina_ctx *ctx, tina_handle to)
{
    return tina_send(ctx, to, TAG_BALL, &to, sizeof to) == TINA_OK ? tina_receive() : tina_crash(1);
}

/* The one with arguments serves. */
static tina_effect player_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args;
    if (args_size == 0)
        return tina_receive();
    begun_ns = cpu_ns();
    return play(ctx, tina_named(0, WALL));
}

static tina_effect player_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    return left-- == 0 ? finish(ctx) : play(ctx, message->source);
}

/* ---- Lives: a parent, one short-lived child after the other ---- */

static tina_effect parent_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size, (void)ctx;
    begun_ns = cpu_ns();
    return tina_yield();
}

static tina_effect parent_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self;
    if (message->tag != TINA_TAG_RESUME)
        return tina_done();
    for (unsigned i = 0; i < SPAWNS_PER_TURN && left > 0; i++, left--) {
        if (tina_spawn_child(ctx, &(tina_spawn){.type = TYPE_MAYFLY}, NULL) != TINA_OK)
            return tina_crash(1);
    }
    return left > 0 ? tina_yield() : finish(ctx);
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

/* ---- The run ---- */

/* In place of tina__trap_run, where the program is linked with --wrap for it. */
bool __wrap_tina__trap_run(void (*body)(void *argument), void *argument, void *fault);
bool __wrap_tina__trap_run(void (*body)(void *argument), void *argument, void *fault)
{
    (void)fault;
    body(argument);
    return true;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    bool is_of_lives = strcmp(argv[1], "life") == 0;
    uint64_t count = strtoull(argv[2], NULL, 10);
    left = count;
    tina_type types[] = {
        [TYPE_PLAYER] = {.name = "player", .init = player_init, .handler = player_handle, .size = 64, .slot_count = 2},
        [TYPE_PARENT] = {.name = "parent", .init = parent_init, .handler = parent_handle, .size = 64},
        [TYPE_MAYFLY] = {.name = "mayfly", .init = mayfly_init, .handler = mayfly_handle, .size = 64, .slot_count = 1000},
    };
    tina_child players[] = {{.type = TYPE_PLAYER, .name = WALL}, {.type = TYPE_PLAYER, .args = "", .args_size = 1}};
    tina_child parent = {.type = TYPE_PARENT};
    tina_system_spec spec = {
        .types = types,
        .type_count = sizeof types / sizeof types[0],
        .root = {.children = is_of_lives ? &parent : players, .child_count = is_of_lives ? 1 : 2, .dynamic_max = 256},
        .shard_count = 1,
        .fd_count = 16,
        .op_count = 16,
        .buffer_count = 16,
        .backend = TINA_BACKEND_EPOLL,
        .development = true, /* the caller pins */
        .quiet = true,
    };
    tina_error error;
    if (tina_boot(&spec, &error) != TINA_OK) {
        fprintf(stderr, "%s: %s\n", error.path, error.message);
        return 1;
    }
    printf("%llu\n", (unsigned long long)(used_ns * 1000 / count));
    return 0;
}
