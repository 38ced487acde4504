#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "support/victim.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define AN_HOUR_NS 3600000000000u
#define LETTER     0x1E77E5u
#define NEVER_SENT 0x6057u
#define SURVIVED   99 /* the reason of a crash */
#define BACKLOG    4096

static tina_test_sight *sight_of(tina_test_world *world, tina_ctx *ctx) { return &world->seen[tina_shard(ctx)]; }

/* What an isolate needs for the test to mean anything. */
static void must(tina_test_world *world, bool is_done, const char *what)
{
    const char *none = NULL;
    if (!is_done)
        atomic_compare_exchange_strong(&world->mishap, &none, what);
}

/* ---- Memory that is a pattern ---------------------------------------------------------------- */

static unsigned char pattern_at(uint8_t role, size_t i) { return (unsigned char)(i == 0 ? role : i * 7 + role); }

static void paint(unsigned char *bytes, size_t size, uint8_t role)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = pattern_at(role, i);
}

static bool is_painted(const unsigned char *bytes, size_t size, uint8_t role)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != pattern_at(role, i))
            return false;
    }
    return true;
}

static void inspect(const tina_test_world *world, tina_test_sight *sight, const unsigned char *self)
{
    const tina_type *type = &world->types[TINA_TEST_VICTIMS];
    uint8_t role = self == sight->structs[TINA_TEST_FRONT] ? TINA_TEST_FRONT : TINA_TEST_BEHIND;
    bool is_whole = is_painted(self, type->size, role) && is_painted(sight->working[role], type->working_size, role);
    tina_test_count_up(is_whole ? &sight->whole : &sight->spoilt);
}

/* ---- Victims ------------------------------------------------------------------------------------ */

static tina_fd open_socket(tina_test_world *world, tina_ctx *ctx)
{
    tina_fd fd = {0};
    must(world, tina_socket(ctx, TINA_IPV4, TINA_STREAM, &fd) == TINA_OK, "a socket");
    must(world, tina_setsockopt(ctx, fd, TINA_OPT_LINGER, 0) == TINA_OK, "its option");
    return fd;
}

static void accept_something(tina_test_world *world, tina_ctx *ctx)
{
    const tina_address anywhere = tina_ipv4(127, 0, 0, 1, 0);
    const tina_op accept = {.kind = TINA_IO_ACCEPT, .fd = open_socket(world, ctx)};
    must(world, tina_bind(ctx, accept.fd, &anywhere) == TINA_OK, "a name");
    must(world, tina_listen(ctx, accept.fd, 1) == TINA_OK, "to listen");
    must(world, tina_io_start(ctx, &accept) == TINA_OK, "an operation");
}

/* Effects that are made, and never returned. */
static void make_effects(tina_ctx *ctx, tina_handle to)
{
    static _Thread_local volatile uint8_t kind;
    const tina_op send = {.kind = TINA_IO_SEND, .data = &to, .size = sizeof to};
    kind = tina_call(ctx, to, TINA_TEST_TAG_QUESTION, &to, sizeof to, 0).kind;
    kind = tina_io(ctx, &send).kind;
    (void)kind;
}

/* One of everything that an isolate can hold; the connection, if any, it has already. */
static void take_hold(tina_test_scene *scene)
{
    tina_test_world *world = scene->world;
    tina_ctx *ctx = scene->ctx;
    tina_handle mute = tina_named(tina_shard(ctx), TINA_TEST_MUTE + 1);
    tina_handle answerer = tina_named(tina_shard(ctx), TINA_TEST_ANSWERER + 1);
    uint64_t letter = NEVER_SENT;
    uint32_t call;
    void *open = NULL;
    must(world, tina_timer_start(ctx, AN_HOUR_NS, TINA_TAG_TIMER, NULL) == TINA_OK, "a timer");
    must(world, tina_timer_repeat(ctx, AN_HOUR_NS, TINA_TAG_TIMER, NULL) == TINA_OK, "a timer that repeats");
    must(world, tina_send(ctx, tina_self(ctx), TINA_TEST_TAG_LETTER, &letter, sizeof letter) == TINA_OK, "mail");
    must(world, tina_call_start(ctx, mute, TINA_TEST_TAG_QUESTION, NULL, 0, AN_HOUR_NS, &call) == TINA_OK, "a call");
    must(world, tina_watch(ctx, mute) == TINA_OK, "a watch");
    must(world, tina_scratch(ctx, 64) != NULL, "scratch memory");
    accept_something(world, ctx);
    make_effects(ctx, mute);
    must(world, tina_send_begin(ctx, answerer, TINA_TEST_TAG_LETTER, sizeof letter, &open) == TINA_OK, "a send");
    tina_status status = tina_transfer_alloc(ctx, &scene->transfer, &scene->transfer_data, &scene->transfer_size);
    must(world, status == TINA_OK, "a transfer");
    scene->letter = open;
    if (open != NULL)
        *scene->letter = NEVER_SENT;
}

static tina_effect die(tina_test_scene *scene)
{
    take_hold(scene);
    scene->world->deed(scene);
    tina_test_count_up(&scene->sight->survivors);
    return tina_crash(SURVIVED);
}

static tina_effect be_armed(tina_test_scene *scene)
{
    tina_test_world *world = scene->world;
    tina_ctx *ctx = scene->ctx;
    tina_test_count_up(&scene->sight->armed);
    if (atomic_load(&scene->sight->storm) == 0)
        return tina_receive();
    atomic_fetch_sub(&scene->sight->storm, 1);
    scene->sight->is_prepared = true;
    if (world->prepare != NULL)
        return world->prepare(scene);
    must(world, tina_send(ctx, tina_self(ctx), TINA_TEST_TAG_DIE, NULL, 0) == TINA_OK, "to tell itself");
    return tina_receive();
}

static void connect_to_test(tina_test_world *world, tina_ctx *ctx)
{
    const tina_address address = tina_ipv4(127, 0, 0, 1, world->port);
    const tina_op connect = {.kind = TINA_IO_CONNECT, .fd = open_socket(world, ctx), .address = &address};
    must(world, tina_io_start(ctx, &connect) == TINA_OK, "a connect");
}

static bool is_doomed(tina_test_sight *sight, uint8_t role)
{
    if (role != TINA_TEST_CULPRIT || atomic_load(&sight->dooms) == 0)
        return role == TINA_TEST_DOOMED;
    atomic_fetch_sub(&sight->dooms, 1);
    return true;
}

static tina_effect victim_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    tina_test_world *world = tina_user(ctx);
    tina_test_scene scene = {.ctx = ctx, .self = self, .world = world, .sight = sight_of(world, ctx)};
    const tina_type *type = &world->types[TINA_TEST_VICTIMS];
    uint8_t role = args_size == 1 ? *(const uint8_t *)args : TINA_TEST_DOOMED;
    tina_test_count_up(&scene.sight->inits[role]);
    scene.working = type->working_size == 0 ? NULL : tina_working(ctx, type->working_size);
    must(world, type->working_size == 0 || scene.working != NULL, "working memory");
    scene.sight->structs[role] = self;
    scene.sight->working[role] = scene.working;
    paint(self, type->size, role);
    if (scene.working != NULL)
        paint(scene.working, type->working_size, role);
    if (is_doomed(scene.sight, role))
        return die(&scene);
    if (role != TINA_TEST_CULPRIT)
        return tina_receive();
    scene.sight->is_prepared = false;
    if (!world->has_connection)
        return be_armed(&scene);
    connect_to_test(world, ctx);
    return tina_receive();
}

static void receive(tina_test_scene *scene)
{
    const tina_op op = {.kind = TINA_IO_RECV, .fd = scene->message->io.fd};
    must(scene->world, scene->message->io.status == TINA_OK, "a connection");
    must(scene->world, tina_io_start(scene->ctx, &op) == TINA_OK, "a receive");
}

/* What is not its death. */
static tina_effect live_on(tina_test_scene *scene)
{
    switch (scene->message->tag) {
    case TINA_TAG_SHUTDOWN:
    case TINA_TEST_TAG_LEAVE: return tina_done();
    case TINA_TEST_TAG_CRASH: return tina_crash(1);
    case TINA_TEST_TAG_INSPECT: inspect(scene->world, scene->sight, scene->self); break;
    case TINA_IO_CONNECT:
        scene->sight->connection = scene->message->io.fd;
        receive(scene);
        return tina_yield(); /* when it comes back, the kernel has the receive */
    case TINA_IO_RECV: receive(scene); break;
    case TINA_TAG_RESUME: return be_armed(scene);
    case TINA_TEST_TAG_DO:
        scene->world->deed(scene);
        tina_test_count_up(&scene->sight->done);
        break;
    default: break;
    }
    return tina_receive();
}

static tina_effect victim_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    tina_test_world *world = tina_user(ctx);
    tina_test_sight *sight = sight_of(world, ctx);
    tina_test_scene scene = {.ctx = ctx, .message = message, .self = self, .world = world, .sight = sight};
    bool is_culprit = self == sight->structs[TINA_TEST_CULPRIT];
    scene.working = sight->working[is_culprit ? TINA_TEST_CULPRIT : TINA_TEST_BEHIND];
    bool is_deadly = is_culprit && sight->is_prepared && message->tag == world->deadly;
    return is_deadly || message->tag == TINA_TEST_TAG_DIE ? die(&scene) : live_on(&scene);
}

/* ---- The others ----------------------------------------------------------------------------------- */

typedef struct other {
    uint8_t role;
    tina_fd socket; /* the parent's, which it hands to its children */
    uint64_t left;  /* of them to spawn */
} other;

static tina_effect other_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    other *me = self;
    tina_test_world *world = tina_user(ctx);
    must(world, args_size == 1, "a role");
    me->role = *(const uint8_t *)args;
    tina_test_count_up(&sight_of(world, ctx)->inits[me->role]);
    if (me->role == TINA_TEST_PARENT)
        me->socket = open_socket(world, ctx);
    return tina_receive();
}

/* The spawner has all its own afterwards: the letter that it has begun, scratch, the descriptor that it handed over. */
static void spawn_one(const other *me, tina_test_world *world, tina_ctx *ctx)
{
    const uint8_t role = TINA_TEST_DOOMED;
    const tina_spawn spawn = {.type = TINA_TEST_VICTIMS, .args = &role, .args_size = 1, .fd = me->socket};
    tina_handle answerer = tina_named(tina_shard(ctx), TINA_TEST_ANSWERER + 1);
    const uint64_t letter = LETTER;
    void *open;
    tina_address address;
    unsigned char *scratch = tina_scratch(ctx, 256);
    bool is_begun = tina_send_begin(ctx, answerer, TINA_TEST_TAG_LETTER, sizeof letter, &open) == TINA_OK;
    must(world, scratch != NULL && is_begun, "to begin a letter");
    if (scratch == NULL || !is_begun)
        return;
    paint(scratch, 256, role);
    memcpy(open, &letter, sizeof letter);
    must(world, tina_spawn_child(ctx, &spawn, NULL) == TINA_INIT_FAILED, "an init that fails");
    must(world, is_painted(scratch, 256, role), "its scratch memory back");
    must(world, tina_local_address(ctx, me->socket, &address) == TINA_OK, "its socket back");
    tina_send_commit(ctx);
    tina_test_count_up(&sight_of(world, ctx)->spawned);
}

static void spawn_some(other *me, const tina_message *message, tina_test_world *world, tina_ctx *ctx)
{
    if (message->size == sizeof me->left && me->left == 0)
        memcpy(&me->left, message->payload, sizeof me->left);
    spawn_one(me, world, ctx);
    me->left--;
}

static tina_effect parent_handle(other *me, const tina_message *message, tina_test_world *world, tina_ctx *ctx)
{
    if (message->tag != TINA_TEST_TAG_SPAWN && message->tag != TINA_TAG_RESUME)
        return tina_receive();
    spawn_some(me, message, world, ctx);
    return me->left == 0 ? tina_receive() : tina_yield();
}

static uint64_t cpu_ns(void)
{
    struct timespec used;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}

static tina_effect answer(const tina_message *message, tina_test_sight *sight, tina_ctx *ctx)
{
    if (message->tag == TINA_TEST_TAG_LETTER) {
        uint64_t letter;
        memcpy(&letter, message->payload, sizeof letter);
        if (letter != 0)
            tina_test_count_up(letter == LETTER ? &sight->letters : &sight->ghosts);
        return tina_receive();
    }
    if (atomic_load(&sight->loop_ns) != 0 && atomic_load(&sight->answered_ns) == 0)
        atomic_store(&sight->answered_ns, cpu_ns());
    return tina_reply(ctx, TINA_TEST_TAG_ANSWER, message->payload, message->size);
}

static tina_effect ask(const tina_message *message, tina_test_world *world, tina_test_sight *sight, tina_ctx *ctx)
{
    uint8_t shard = tina_shard(ctx);
    tina_down down;
    switch (message->tag) {
    case TINA_TEST_TAG_ASK:
        must(world, tina_watch(ctx, tina_named(shard, TINA_TEST_CULPRIT + 1)) == TINA_OK, "a watch of the culprit");
        return tina_call(ctx, tina_named(shard, TINA_TEST_ANSWERER + 1), TINA_TEST_TAG_QUESTION, "why", 3, 0);
    case TINA_TEST_TAG_ANSWER: {
        bool is_right = message->size == 3 && memcmp(message->payload, "why", 3) == 0;
        tina_test_count_up(is_right ? &sight->answers : &sight->in_vain);
        break;
    }
    case TINA_TAG_CALL_FAILED: tina_test_count_up(&sight->in_vain); break;
    case TINA_TAG_DOWN:
        memcpy(&down, message->payload, sizeof down);
        tina_test_count_up(&sight->downs[down.end]);
        break;
    default: break;
    }
    return tina_receive();
}

static tina_effect other_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    other *me = self;
    tina_test_world *world = tina_user(ctx);
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    switch (me->role) {
    case TINA_TEST_PARENT: return parent_handle(me, message, world, ctx);
    case TINA_TEST_ANSWERER: return answer(message, sight_of(world, ctx), ctx);
    case TINA_TEST_ASKER: return ask(message, world, sight_of(world, ctx), ctx);
    default: return tina_receive();
    }
}

/* ---- The log -------------------------------------------------------------------------------------- */

static const char *const phrases[TINA_TEST_LINE_COUNT] = {
    [TINA_TEST_LINE_FAULT] = "faulted: ",
    [TINA_TEST_LINE_SUSPECT] = "; suspect",
    [TINA_TEST_LINE_SHARDS_FAULT] = "a fault that costs the shard",
    [TINA_TEST_LINE_DAMAGE] = ": found ",
    [TINA_TEST_LINE_ANEW] = "begins anew",
    [TINA_TEST_LINE_QUARANTINED] = "is quarantined",
    [TINA_TEST_LINE_BACK] = "comes back from quarantine",
    [TINA_TEST_LINE_DUMP] = "the last ",
};

static void take_line(void *user, int shard, tina_level level, const char *line, size_t length)
{
    tina_test_world *world = user;
    (void)level;
    if (length > 2 && line[0] == ' ' && line[1] == ' ')
        return; /* a dump's event, or a backtrace's frame */
    pthread_mutex_lock(&world->log_lock);
    char *kept = world->kept[world->kept_count++ % TINA_TEST_LINES_KEPT];
    int start = snprintf(kept, TINA_LOG_LINE_MAX, "[%d] ", shard);
    snprintf(kept + start, TINA_LOG_LINE_MAX - (size_t)start, "%.*s", (int)length, line);
    for (size_t i = 0; i < TINA_TEST_LINE_COUNT; i++) {
        if (strstr(kept, phrases[i]) != NULL)
            tina_test_count_up(&world->lines[i]);
    }
    pthread_mutex_unlock(&world->log_lock);
}

/* ---- What does not hold ---------------------------------------------------------------------------- */

static const char *const place_names[] = {
    [TINA_TEST_IN_HANDLER] = "a handler",
    [TINA_TEST_IN_INIT] = "an init",
    [TINA_TEST_IN_SPAWN] = "a spawned child's init",
};

static void print_usage(const char *name, tina_usage usage) { fprintf(stderr, " %s %u", name, usage.used); }

static void print_stats(const tina_test_world *world, uint8_t shard)
{
    tina_stats stats;
    if (tina_shard_stats(world->system, shard, &stats) != TINA_OK)
        return;
    fprintf(stderr,
            "  shard %u: state %u, isolates %u, faults %llu, crashes %llu, restarts %llu, shard_restarts %llu; used:", shard,
            stats.state, stats.isolates, (unsigned long long)stats.faults, (unsigned long long)stats.crashes,
            (unsigned long long)stats.restarts, (unsigned long long)stats.shard_restarts);
    print_usage("messages", stats.messages);
    print_usage("timers", stats.timers);
    print_usage("watches", stats.watches);
    print_usage("ops", stats.ops);
    print_usage("buffers", stats.buffers);
    print_usage("fds", stats.fds);
    print_usage("transfers", stats.transfers);
    fprintf(stderr, "\n");
}

bool tina_test_complain(tina_test_world *world, const char *what, const char *file, int line)
{
    const char *mishap = atomic_load(&world->mishap);
    fprintf(stderr, "%s, in %s: %s:%d: not so: %s\n", world->name, place_names[world->place], file, line, what);
    if (mishap != NULL)
        fprintf(stderr, "  an isolate did not get %s\n", mishap);
    for (uint8_t shard = 0; world->system != NULL && shard < world->spec.shard_count; shard++)
        print_stats(world, shard);
    pthread_mutex_lock(&world->log_lock);
    uint64_t first = world->kept_count > TINA_TEST_LINES_KEPT ? world->kept_count - TINA_TEST_LINES_KEPT : 0;
    for (uint64_t i = first; i < world->kept_count; i++)
        fprintf(stderr, "  log: %s\n", world->kept[i % TINA_TEST_LINES_KEPT]);
    pthread_mutex_unlock(&world->log_lock);
    return false;
}

#define EXPECT(condition) TINA_TEST_EXPECT(world, condition)
#define AWAIT(condition)  TINA_TEST_AWAIT(world, condition)

/* ---- Its life ------------------------------------------------------------------------------------------ */

static void set_types(tina_test_world *world)
{
    world->types[TINA_TEST_VICTIMS] = (tina_type){
        .name = "victim",
        .init = victim_init,
        .handler = victim_handle,
        .size = 40,
        .slot_count = 3,
        .working_size = 64,
        .mailbox_capacity = 16,
    };
    world->types[TINA_TEST_OTHERS] = (tina_type){
        .name = "other",
        .init = other_init,
        .handler = other_handle,
        .size = sizeof(other),
        .slot_count = 4,
        .mailbox_capacity = 256,
    };
}

static void set_children(tina_test_world *world)
{
    static const uint8_t roles[] = {0, 1, 2, 3, 4, 5, 6};
    for (uint8_t role = 0; role < TINA_TEST_CHILD_COUNT; role++) {
        bool is_victim = role >= TINA_TEST_FRONT && role <= TINA_TEST_BEHIND;
        world->children[role] = (tina_child){
            .type = is_victim ? TINA_TEST_VICTIMS : TINA_TEST_OTHERS,
            .name = (uint16_t)(role + 1),
            .args = &roles[role],
            .args_size = 1,
        };
    }
}

/* Everything is counted out, so that the hostile twin's limits are not what is tried here. */
static void set_spec(tina_test_world *world, size_t shard_count)
{
    world->spec = (tina_system_spec){
        .types = world->types,
        .type_count = TINA_TEST_TYPE_COUNT,
        .shard_count = shard_count,
        .root = {.children = world->children, .child_count = TINA_TEST_CHILD_COUNT, .restart_max = 1000000},
        .shard_restart_max = 1000,
        .user = world,
        .message_count = 512,
        .inbox_capacity = 64,
        .channel_capacity = 64,
        .timer_count = 64,
        .watch_count = 64,
        .fd_count = 256,
        .op_count = 256,
        .buffer_count = 16,
        .transfer_count = 1,
        .log_size = 65536,
        .trace_count = 256,
        .development = true,
        .log_sink = take_line,
        .log_user = world,
    };
}

tina_test_world *tina_test_world_make(size_t shard_count)
{
    tina_test_world *world = mmap(NULL, sizeof *world, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (world == MAP_FAILED)
        abort();
    pthread_mutex_init(&world->log_lock, NULL);
    world->name = "";
    world->listener = -1;
    set_types(world);
    set_children(world);
    set_spec(world, shard_count);
    return world;
}

void tina_test_world_free(tina_test_world *world) { munmap(world, sizeof *world); }

/* Nobody accepts there: that a connection stands is enough. */
static bool listen_for_culprits(tina_test_world *world)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    world->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT(world->listener >= 0);
    EXPECT(bind(world->listener, (struct sockaddr *)&address, sizeof address) == 0);
    EXPECT(listen(world->listener, BACKLOG) == 0);
    EXPECT(getsockname(world->listener, (struct sockaddr *)&address, &size) == 0);
    world->port = ntohs(address.sin_port);
    return true;
}

bool tina_test_world_start(tina_test_world *world)
{
    tina_error error = {0};
    if (!listen_for_culprits(world))
        return false;
    if (world->place == TINA_TEST_IN_SPAWN) /* where it makes room for others, and stays away */
        world->children[TINA_TEST_CULPRIT].restart = TINA_TRANSIENT;
    if (tina_start(&world->spec, &world->system, &error) != TINA_OK) {
        fprintf(stderr, "tina_start: %s: %s\n", error.path, error.message);
        EXPECT(false);
    }
    for (size_t shard = 0; shard < world->spec.shard_count; shard++)
        AWAIT(tina_test_counted(&world->seen[shard].armed) == 1);
    return true;
}

static bool is_balanced(const tina_stats *total)
{
    uint64_t accepted = total->sent_local + total->sent_remote + total->posted;
    uint64_t refused = total->arrived_full + total->arrived_stale + total->arrived_exhausted;
    return accepted == total->delivered + refused + total->died_with_owner;
}

static bool is_unused(const tina_stats *total)
{
    return total->messages.used + total->timers.used + total->watches.used + total->ops.used + total->buffers.used +
               total->fds.used + total->transfers.used + total->isolates ==
           0;
}

bool tina_test_world_end(tina_test_world *world)
{
    const tina_end_report *report = &world->report;
    tina_stop(world->system);
    tina_status status = tina_join(world->system, &world->report);
    world->system = NULL;
    if (world->listener >= 0)
        close(world->listener);
    world->listener = -1;
    EXPECT(status == TINA_OK);
    EXPECT(report->undrained_count == 0 && report->stuck_shards == 0);
    EXPECT(is_balanced(&report->total));
    EXPECT(is_unused(&report->total));
    EXPECT(report->total.spawns == report->total.exits);
    EXPECT(world->mishap == NULL);
    return true;
}
