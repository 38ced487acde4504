/*
 * Does a number of each thing that guard.sh knows the price of, on shards that one
 * thread turns by hand, under callgrind: what each took is dumped under the name of
 * the thing and how many there were.
 *
 *     valgrind --tool=callgrind --collect-atstart=no guard
 */
#include "stage.h"

#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <valgrind/callgrind.h>

enum { TAG_BALL = TINA_TAG_USER, TAG_HERE };
enum { NAME_OTHER = 1, NAME_SENDER };
enum { BATCH = 64, WARM_UP = 2 * BATCH, PATIENCE_MS = 10000, TURN_TICKS_MAX = 1000 };

#define MILLISECOND_NS 1000000ull
#define TICK_NS        1000ull /* that a tick is said to take */

static uint64_t done; /* how many there were */

static void tick(size_t shard)
{
    stage_tick(shard);
    stage_move_clock(TICK_NS);
}

static void turn_one(void) { tick(0); }

static void turn_both(void)
{
    tick(0);
    tick(1);
}

/* Its init does nothing more than to come back in the next tick. */
static tina_effect later_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size, (void)ctx;
    return tina_yield();
}

static tina_effect receive_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size, (void)ctx;
    return tina_receive();
}

/* What no thing cares about. */
static tina_system_spec spec_of(const tina_type *types, size_t type_count, const tina_child *children, size_t child_count)
{
    return (tina_system_spec){
        .types = types,
        .type_count = type_count,
        .root = {.children = children, .child_count = child_count, .dynamic_max = 256},
        .shard_count = 1,
        .message_count = 1024,
        .channel_capacity = 256,
        .timer_count = 256,
        .fd_count = 16,
        .op_count = 64,
        .buffer_count = 16,
        .file_threads = TINA_NONE,
        .backend = TINA_BACKEND_EPOLL,
        .development = true,
        .quiet = true,
    };
}

/* ---- local_message, local_two_types, remote_ball: one ball between two, alike or not, on one shard or on two ---- */

/* The one with arguments serves, in the next tick: the other is up by then. */
static tina_effect player_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)ctx;
    return args_size == 0 ? tina_receive() : tina_yield();
}

/* To the other on the last shard. Its shard may not be up yet. */
static tina_effect serve(tina_ctx *ctx)
{
    static const uint8_t ball[32];
    tina_handle other = tina_named((uint8_t)(tina_shard_count(ctx) - 1), NAME_OTHER);
    return tina_send(ctx, other, TAG_BALL, ball, sizeof ball) == TINA_OK ? tina_receive() : tina_yield();
}

static tina_effect player_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self;
    if (message->tag == TINA_TAG_RESUME)
        return serve(ctx);
    done++;
    return tina_send(ctx, message->source, TAG_BALL, message->payload, message->size) == TINA_OK ? tina_receive()
                                                                                                 : tina_crash(1);
}

static const tina_type player_types[] = {
    {.name = "player", .init = player_init, .handler = player_handle, .size = 16, .slot_count = 16},
    {.name = "another", .init = player_init, .handler = player_handle, .size = 16, .slot_count = 16},
};

static void begin_local(const tina_child *players)
{
    static tina_system_spec spec;
    spec = spec_of(player_types, 2, players, 2);
    stage_begin(&spec);
}

static void begin_local_message(void)
{
    static const tina_child players[] = {{.type = 0, .name = NAME_OTHER}, {.type = 0, .args = "", .args_size = 1}};
    begin_local(players);
}

static void begin_local_two_types(void)
{
    static const tina_child players[] = {{.type = 1, .name = NAME_OTHER}, {.type = 0, .args = "", .args_size = 1}};
    begin_local(players);
}

static void begin_remote_ball(void)
{
    static const tina_child server = {.type = 0, .args = "", .args_size = 1}, other = {.type = 0, .name = NAME_OTHER};
    static const tina_shard_spec shards[] = {{.root = {.children = &server, .child_count = 1}},
                                             {.root = {.children = &other, .child_count = 1}}};
    static tina_system_spec spec;
    spec = spec_of(player_types, 2, NULL, 0);
    spec.shards = shards;
    spec.shard_count = 2;
    stage_begin(&spec);
}

/* ---- call: a question to another isolate of the shard, its answer, and the next question --- */

static tina_effect caller_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self;
    stage_require(message->tag == TINA_TAG_RESUME || message->tag == TAG_BALL, "a call failed");
    done += message->tag == TAG_BALL;
    return tina_call(ctx, tina_named(0, NAME_OTHER), TAG_BALL, &done, sizeof done, 0);
}

static tina_effect callee_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self;
    return tina_reply(ctx, TAG_BALL, message->payload, message->size);
}

static void begin_call(void)
{
    static const tina_type types[] = {
        {.name = "caller", .init = later_init, .handler = caller_handle, .size = 16, .slot_count = 1},
        {.name = "callee", .init = receive_init, .handler = callee_handle, .size = 16, .slot_count = 1},
    };
    static const tina_child children[] = {{.type = 0}, {.type = 1, .name = NAME_OTHER}};
    static tina_system_spec spec;
    spec = spec_of(types, 2, children, 2);
    stage_begin(&spec);
}

/* ---- remote_message: one way between two shards, 64 in a tick ------------------------- */

static tina_effect sender_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    static const uint8_t payload[32];
    tina_handle *to = self;
    if (message->tag == TAG_HERE)
        *to = message->source;
    for (int i = 0; i < BATCH; i++) {
        if (tina_send(ctx, *to, TAG_BALL, payload, sizeof payload) != TINA_OK)
            return tina_crash(1);
    }
    return tina_yield();
}

static tina_effect receiver_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self;
    if (message->tag == TINA_TAG_RESUME)
        return tina_send(ctx, tina_named(0, NAME_SENDER), TAG_HERE, NULL, 0) == TINA_OK ? tina_receive() : tina_yield();
    done++;
    return tina_receive();
}

static void begin_stream(void)
{
    static const tina_type types[] = {
        {.name = "sender", .init = receive_init, .handler = sender_handle, .size = sizeof(tina_handle), .slot_count = 1},
        {.name = "receiver",
         .init = later_init,
         .handler = receiver_handle,
         .size = 16,
         .slot_count = 1,
         .mailbox_capacity = 2 * BATCH},
    };
    static const tina_child sender = {.type = 0, .name = NAME_SENDER}, receiver = {.type = 1};
    static const tina_shard_spec shards[] = {{.root = {.children = &sender, .child_count = 1}},
                                             {.root = {.children = &receiver, .child_count = 1}}};
    static tina_system_spec spec;
    spec = spec_of(types, 2, NULL, 0);
    spec.shards = shards;
    spec.shard_count = 2;
    stage_begin(&spec);
}

/* ---- timer_fire, timer_cancel: 64 are under way at once --------------------------------- */

#define ROUND_NS (100 * MILLISECOND_NS) /* longer than any that is waited for */

static tina_effect waiter_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    uint32_t *left = self;
    if (message->tag == TINA_TAG_TIMER) {
        done++;
        return --*left == 0 ? tina_yield() : tina_receive();
    }
    for (*left = 0; *left < BATCH; ++*left) {
        if (tina_timer_start(ctx, (1 + *left) * 3 * MILLISECOND_NS / 2, TINA_TAG_TIMER, NULL) != TINA_OK)
            return tina_crash(1);
    }
    return tina_receive();
}

static tina_effect canceller_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    tina_timer timers[BATCH];
    (void)self, (void)message;
    for (uint32_t i = 0; i < BATCH; i++) {
        if (tina_timer_start(ctx, (1000 + i * 37) * MILLISECOND_NS, TINA_TAG_TIMER, &timers[i]) != TINA_OK)
            return tina_crash(1);
    }
    for (uint32_t i = 0; i < BATCH; i++)
        done += tina_timer_cancel(ctx, timers[i]);
    return tina_yield();
}

static void begin_timers(tina_handler_fn handler)
{
    static const tina_child child = {.type = 0};
    static tina_type type;
    static tina_system_spec spec;
    type = (tina_type){.name = "waiter", .init = later_init, .handler = handler, .size = 16, .slot_count = 1};
    spec = spec_of(&type, 1, &child, 1);
    stage_begin(&spec);
}

static void begin_fire(void) { begin_timers(waiter_handle); }
static void begin_cancel(void) { begin_timers(canceller_handle); }

static void turn_round(void)
{
    tick(0);
    stage_move_clock(ROUND_NS);
}

/* ---- isolate_life: from its spawn through one turn to its end, 64 at once ----------------- */

static tina_effect parent_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self, (void)message;
    for (int i = 0; i < BATCH; i++) {
        if (tina_spawn_child(ctx, &(tina_spawn){.type = 1}, NULL) != TINA_OK)
            return tina_crash(1);
    }
    return tina_yield();
}

static tina_effect mayfly_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self, (void)message, (void)ctx;
    done++;
    return tina_done();
}

static void begin_lives(void)
{
    static const tina_type types[] = {
        {.name = "parent", .init = later_init, .handler = parent_handle, .size = 16, .slot_count = 1},
        {.name = "mayfly", .init = later_init, .handler = mayfly_handle, .size = 16, .slot_count = 1000},
    };
    static const tina_child parent = {.type = 0};
    static tina_system_spec spec;
    spec = spec_of(types, 2, &parent, 1);
    stage_begin(&spec);
}

/* ---- echo_round_trip: 64 bytes over TCP, one connection ------------------------------------ */

static int client_fd, server_fd; /* the latter is the connection's once it runs, and here to be waited for */

/* A plain connection on the loopback. */
static void connect_both(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    client_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    stage_require(bind(listener, (struct sockaddr *)&address, size) == 0 && listen(listener, 1) == 0 &&
                      getsockname(listener, (struct sockaddr *)&address, &size) == 0,
                  "it can't listen");
    stage_require(connect(client_fd, (struct sockaddr *)&address, size) == 0, "it can't connect");
    server_fd = accept(listener, NULL, NULL);
    stage_require(server_fd >= 0, "it can't accept");
    close(listener);
}

static tina_effect echo_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    tina_fd *fd = self;
    (void)args, (void)args_size;
    return tina_fd_adopt(ctx, server_fd, fd) == TINA_OK ? tina_io_recv(ctx, *fd) : tina_crash(1);
}

static tina_effect echo_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    const tina_fd *fd = self;
    if (message->io.status != TINA_OK)
        return tina_crash(1);
    if (message->tag == TINA_IO_RECV)
        return tina_io_send(ctx, *fd, message->io.data, message->io.size);
    done++;
    return tina_io_recv(ctx, *fd);
}

static void begin_echo(void)
{
    static const tina_type types[] = {
        {.name = "connection", .init = echo_init, .handler = echo_handle, .size = sizeof(tina_fd), .slot_count = 16},
    };
    static const tina_child connection = {.type = 0, .restart = TINA_TEMPORARY};
    static tina_system_spec spec;
    connect_both();
    spec = spec_of(types, 1, &connection, 1);
    stage_begin(&spec);
}

/* The kernel may take a moment to carry bytes over: no tick passes meanwhile. */
static void await_bytes(int fd)
{
    struct pollfd entry = {.fd = fd, .events = POLLIN};
    stage_require(poll(&entry, 1, PATIENCE_MS) == 1, "nothing comes");
}

static void turn_echo(void)
{
    char bytes[64] = {0};
    uint64_t target = done + 1;
    stage_require(write(client_fd, bytes, sizeof bytes) == (ssize_t)sizeof bytes, "the request is not taken");
    await_bytes(server_fd);
    for (int i = 0; i < TURN_TICKS_MAX && done < target; i++)
        tick(0);
    stage_require(done == target, "there is no answer");
    await_bytes(client_fd);
    stage_require(read(client_fd, bytes, sizeof bytes) == (ssize_t)sizeof bytes, "the answer is not whole");
}

static void end_echo(void)
{
    stage_end();
    close(client_fd);
    close(server_fd);
}

/* ---- Measuring ------------------------------------------------------------------------------- */

typedef struct thing {
    const char *name;
    uint64_t count;
    void (*begin)(void);
    void (*turn)(void);
    void (*end)(void);
} thing;

static void do_at_least(const thing *one, uint64_t count)
{
    uint64_t target = done + count;
    for (uint64_t turn = 0; done < target; turn++) {
        stage_require(turn <= count + TURN_TICKS_MAX, one->name); /* nothing happens any more */
        one->turn();
    }
}

static void measure(const thing *one)
{
    char label[64];
    one->begin();
    do_at_least(one, WARM_UP);
    uint64_t before = done;
    CALLGRIND_ZERO_STATS;
    do_at_least(one, one->count);
    snprintf(label, sizeof label, "%s %" PRIu64, one->name, done - before);
    CALLGRIND_DUMP_STATS_AT(label);
    one->end();
}

int main(void)
{
    static const thing things[] = {
        {"local_message", 51200, begin_local_message, turn_one, stage_end},
        {"local_two_types", 51200, begin_local_two_types, turn_one, stage_end},
        {"call", 25600, begin_call, turn_one, stage_end},
        {"remote_message", 51200, begin_stream, turn_both, stage_end},
        {"remote_ball", 5120, begin_remote_ball, turn_both, stage_end},
        {"timer_fire", 25600, begin_fire, turn_round, stage_end},
        {"timer_cancel", 25600, begin_cancel, turn_one, stage_end},
        {"isolate_life", 12800, begin_lives, turn_one, stage_end},
        {"echo_round_trip", 1000, begin_echo, turn_echo, end_echo},
    };
    for (size_t i = 0; i < sizeof things / sizeof things[0]; i++)
        measure(&things[i]);
    return 0;
}
