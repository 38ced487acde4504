#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/still_life.h"

#include "core/lookup.h"
#include "core/timers.h"

#include <stdlib.h>
#include <string.h>

#define MS   1000000ull
#define HOUR (3600000 * MS)
#define PORT 4000

enum { TYPE_SITTER, TYPE_MAYFLY, TYPE_HEART, TYPE_COUNT };
enum { TAG_ASK = TINA_TAG_USER, TAG_SAY, TAG_SOON, TAG_LATE };

/* ---- Who sits there --------------------------------------------------------------------------- */

typedef struct sitter {
    uint16_t role; /* its name; 0: the session */
    tina_fd fd;
} sitter;

static const uint8_t much[40000]; /* more than a window takes */

static tina_effect ask(tina_ctx *ctx, uint8_t shard)
{
    return tina_call(ctx, tina_named(shard, LIFE_SILENT), TAG_ASK, NULL, 0, HOUR);
}

static void expect_ok(tina_status status)
{
    if (status != TINA_OK)
        abort();
}

/* An operation that fails at once, and a close: both wait for their isolate from then on. */
static void leave_things_undone(tina_ctx *ctx)
{
    tina_fd fds[2];
    expect_ok(tina_socket(ctx, TINA_IPV4, TINA_STREAM, &fds[0]));
    expect_ok(tina_socket(ctx, TINA_IPV4, TINA_STREAM, &fds[1]));
    expect_ok(tina_io_start(ctx, &(tina_op){.kind = TINA_IO_RECV, .fd = fds[0]}));
    expect_ok(tina_io_start(ctx, &(tina_op){.kind = TINA_IO_CLOSE, .fd = fds[1]}));
}

static tina_effect begin_busy(tina_ctx *ctx)
{
    leave_things_undone(ctx);
    expect_ok(tina_timer_start(ctx, 2 * MS, TAG_SOON, NULL));
    expect_ok(tina_call_start(ctx, tina_named(0, LIFE_ECHO), TAG_ASK, NULL, 0, HOUR, NULL));
    return ask(ctx, 1);
}

static tina_effect begin_asker(tina_ctx *ctx)
{
    tina_transfer transfer;
    void *data;
    size_t capacity;
    expect_ok(tina_transfer_alloc(ctx, &transfer, &data, &capacity));
    for (uint8_t shard = 0; shard < 2; shard++) {
        tina_handle silent = tina_named(shard, LIFE_SILENT);
        expect_ok(tina_call_start(ctx, silent, TAG_ASK, NULL, 0, HOUR, NULL));
        expect_ok(tina_watch(ctx, silent));
    }
    expect_ok(tina_timer_start(ctx, HOUR, TAG_LATE, NULL));
    expect_ok(tina_timer_repeat(ctx, HOUR, TAG_LATE, NULL));
    return tina_receive();
}

static tina_effect begin_listener(sitter *me, tina_ctx *ctx)
{
    tina_address address = tina_ipv4(127, 0, 0, 1, PORT);
    expect_ok(tina_socket(ctx, TINA_IPV4, TINA_STREAM, &me->fd));
    expect_ok(tina_bind(ctx, me->fd, &address));
    expect_ok(tina_listen(ctx, me->fd, 4));
    return tina_io_accept(ctx, me->fd);
}

static tina_effect begin_client(sitter *me, tina_ctx *ctx)
{
    tina_address address = tina_ipv4(127, 0, 0, 1, PORT);
    expect_ok(tina_socket(ctx, TINA_IPV4, TINA_STREAM, &me->fd));
    return tina_io_connect(ctx, me->fd, &address, 0);
}

static tina_effect begin_session(sitter *me, const void *args, size_t args_size, tina_ctx *ctx)
{
    memcpy(&me->fd, args, args_size);
    expect_ok(tina_io_start(ctx, &(tina_op){.kind = TINA_IO_RECV, .fd = me->fd}));
    return ask(ctx, 0);
}

static tina_effect sitter_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    sitter *me = self;
    if (args_size == sizeof me->fd)
        return begin_session(me, args, args_size, ctx);
    memcpy(&me->role, args, sizeof me->role);
    switch (me->role) {
    case LIFE_LISTENER: return begin_listener(me, ctx);
    case LIFE_CLIENT: return begin_client(me, ctx);
    default: expect_ok(tina_timer_start(ctx, MS, TAG_SOON, NULL)); return tina_receive();
    }
}

/* Everybody is there. */
static tina_effect begin(const sitter *me, tina_ctx *ctx)
{
    tina_spawn mayfly = {.type = TYPE_MAYFLY, .restart = TINA_TRANSIENT};
    switch (me->role) {
    case LIFE_CALLER: return ask(ctx, 0);
    case LIFE_BUSY: return begin_busy(ctx);
    case LIFE_ASKER: return tina_shard(ctx) == 0 ? begin_asker(ctx) : ask(ctx, 0);
    case LIFE_FRIEND: expect_ok(tina_timer_start(ctx, 10 * MS, TAG_SAY, NULL)); break;
    case LIFE_SPAWNER: expect_ok(tina_spawn_child(ctx, &mayfly, NULL)); break;
    default: break;
    }
    return tina_receive();
}

static void send_mail(tina_ctx *ctx)
{
    tina_transfer transfer;
    void *data;
    size_t capacity;
    tina_handle busy = tina_named(0, LIFE_BUSY);
    expect_ok(tina_send(ctx, busy, TAG_SAY, NULL, 0));
    expect_ok(tina_transfer_alloc(ctx, &transfer, &data, &capacity));
    expect_ok(tina_transfer_send(ctx, busy, transfer, 1));
    expect_ok(tina_send(ctx, busy, TAG_SAY, NULL, 0));
}

static tina_effect take_connection(const sitter *me, const tina_message *message, tina_ctx *ctx)
{
    tina_spawn session = {.type = TYPE_SITTER, .fd = message->io.fd, .args = &message->io.fd, .args_size = sizeof(tina_fd)};
    expect_ok(tina_spawn_child(ctx, &session, NULL));
    return tina_io_accept(ctx, me->fd);
}

static tina_effect use_connection(const sitter *me, tina_ctx *ctx)
{
    expect_ok(tina_io_start(ctx, &(tina_op){.kind = TINA_IO_SEND, .fd = me->fd, .data = much, .size = sizeof much}));
    return tina_io(ctx, &(tina_op){.kind = TINA_IO_RECV, .fd = me->fd, .timeout_ns = HOUR});
}

static tina_effect sitter_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    const sitter *me = self;
    switch (message->tag) {
    case TINA_TAG_SHUTDOWN: return tina_done();
    case TAG_SOON: return begin(me, ctx);
    case TAG_SAY: send_mail(ctx); return tina_receive();
    case TAG_ASK: return me->role == LIFE_ECHO ? tina_reply(ctx, TAG_SAY, NULL, 0) : tina_receive();
    case TINA_IO_ACCEPT: return take_connection(me, message, ctx);
    case TINA_IO_CONNECT: return use_connection(me, ctx);
    default: return tina_receive();
    }
}

/* ---- Who does not ------------------------------------------------------------------------------- */

static tina_effect mayfly_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self;
    (void)args;
    (void)args_size;
    expect_ok(tina_timer_start(ctx, MS, TAG_SOON, NULL));
    return tina_receive();
}

static tina_effect mayfly_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self;
    (void)message;
    (void)ctx;
    return tina_crash(1);
}

static tina_effect heart_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self;
    (void)args;
    (void)args_size;
    expect_ok(tina_timer_repeat(ctx, MS, TAG_SOON, NULL));
    return tina_receive();
}

static tina_effect heart_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self;
    (void)ctx;
    return message->tag == TINA_TAG_SHUTDOWN ? tina_done() : tina_receive();
}

/* ---- The whole ------------------------------------------------------------------------------------ */

static const tina_type types[TYPE_COUNT] = {
    [TYPE_SITTER] = {"sitter", sitter_init, sitter_handle, sizeof(sitter), .slot_count = 16, .mailbox_capacity = 8},
    [TYPE_MAYFLY] = {"mayfly", mayfly_init, mayfly_handle, 24, .slot_count = 4, .mailbox_capacity = 4, .working_size = 64},
    [TYPE_HEART] = {"heart", heart_init, heart_handle, 16, .slot_count = 1, .mailbox_capacity = 4},
};

#define SITTER(of)                                                                                                          \
    {                                                                                                                       \
        .type = TYPE_SITTER, .name = of, .args = &(const uint16_t){of}, .args_size = sizeof(uint16_t),                      \
        .restart = TINA_TEMPORARY                                                                                           \
    }

static const tina_child pair[] = {SITTER(LIFE_FIRST), SITTER(LIFE_SECOND)};
static const tina_group_spec group = {.children = pair, .child_count = 2, .name = LIFE_GROUP, .strategy = TINA_ONE_FOR_ALL};

static const tina_child here[] = {
    SITTER(LIFE_SILENT), SITTER(LIFE_ECHO),     SITTER(LIFE_CALLER), SITTER(LIFE_BUSY),    SITTER(LIFE_FRIEND),
    SITTER(LIFE_ASKER),  SITTER(LIFE_LISTENER), SITTER(LIFE_CLIENT), SITTER(LIFE_SPAWNER), {.group = &group},
};
static const tina_child there[] = {SITTER(LIFE_SILENT), SITTER(LIFE_ECHO), SITTER(LIFE_ASKER), {.type = TYPE_HEART}};

static const tina_shard_spec shards[] = {
    {.root = {.children = here, .child_count = sizeof here / sizeof here[0], .backoff_ns = HOUR, .dynamic_max = 8}},
    {.root = {.children = there, .child_count = sizeof there / sizeof there[0]}},
};

typedef struct visit {
    life_fn plant;
    bool is_over;
} visit;

static bool visitor(const tina_sim *sim, uint64_t tick, char *why, size_t why_size, void *user)
{
    visit *of = user;
    (void)why;
    (void)why_size;
    if (tick < ROUNDS_STILL || of->is_over || of->plant == NULL)
        return true;
    of->is_over = true;
    of->plant((tina__world *)(uintptr_t)sim);
    return true;
}

void still_life_run(life_fn plant, tina_sim_report *report)
{
    static const tina_checker_fn checkers[] = {visitor};
    visit ours = {.plant = plant};
    const tina_system_spec spec = {
        .types = types,
        .type_count = TYPE_COUNT,
        .shards = shards,
        .shard_count = 2,
        .message_count = 32,
        .channel_capacity = 16,
        .inbox_capacity = 4,
        .timer_count = 32,
        .watch_count = 8,
        .fd_count = 12,
        .op_count = 16,
        .buffer_count = 8,
        .buffer_size = 1024,
        .transfer_count = 4,
        .transfer_size = 256,
    };
    const tina_sim_config config = {
        .seed = 1,
        .ticks_max = ROUNDS_STILL + 2,
        .check_every = 1,
        .checkers = checkers,
        .checker_count = 1,
        .checker_user = &ours,
    };
    tina_error error;
    tina_status status = tina_simulate(&spec, &config, report, &error);
    if (status != TINA_OK)
        fail_msg("%s %s", error.path, error.message);
}

/* ---- Alarms ----------------------------------------------------------------------------------------- */

static void ring(void **state)
{
    const life_alarm *alarm = *state;
    tina_sim_report report;
    still_life_run(alarm->plant, &report);
    size_t length = strlen(report.violation);
    size_t expected = strlen(alarm->expected);
    if (report.end != TINA_SIM_VIOLATION || length < expected ||
        strcmp(report.violation + length - expected, alarm->expected) != 0)
        fail_msg("said \"%s\", not \"%s\"", report.violation, alarm->expected);
    assert_int_equal(report.ticks, ROUNDS_STILL + 1);
}

int still_life_ring(const char *group_name, const life_alarm *alarms, size_t count)
{
    struct CMUnitTest *tests = calloc(count, sizeof *tests);
    if (tests == NULL)
        abort();
    for (size_t i = 0; i < count; i++)
        tests[i] = (struct CMUnitTest){alarms[i].name, ring, NULL, NULL, (void *)(uintptr_t)&alarms[i]};
    int failed = _cmocka_run_group_tests(group_name, tests, count, NULL, NULL);
    free(tests);
    return failed;
}

/* ---- For those who plant -------------------------------------------------------------------------------- */

tina__shard *life_shard(tina__world *world) { return world->shards[0].shard; }

tina__isolate *life_isolate(tina__world *world, uint16_t name)
{
    tina__isolate *isolate = tina__isolate_find(life_shard(world), tina_named(0, name));
    assert_non_null(isolate);
    return isolate;
}

tina__child_record *life_record(tina__world *world, uint16_t name)
{
    return &life_shard(world)->p.children[life_isolate(world, name)->child];
}

tina__isolate *life_session(tina__world *world)
{
    tina__shard *shard = life_shard(world);
    tina__isolate *last = &shard->p.isolates[shard->p.groups[TINA__GROUP_ROOT].live_tail];
    assert_int_equal(last->child, TINA__NONE);
    return last;
}

tina__timer_slot *life_slot(tina__world *world, uint32_t index) { return tina__timer_at(life_shard(world), index); }

uint32_t life_timer_used(tina__world *world, tina__timer_use use)
{
    const tina__shard *shard = life_shard(world);
    for (uint32_t i = 0; i < shard->p.timer_count + shard->p.watch_count; i++) {
        if (tina__timer_at(shard, i)->use == use)
            return i;
    }
    fail_msg("there is no such timer");
    return TINA__NONE;
}

uint32_t life_operation_of(tina__world *world, uint16_t name, tina_tag kind)
{
    const tina__shard *shard = life_shard(world);
    for (uint32_t i = life_isolate(world, name)->operations; i != TINA__NONE; i = shard->p.operations[i].next) {
        if (shard->p.operations[i].kind == kind)
            return i;
    }
    fail_msg("there is no such operation");
    return TINA__NONE;
}
