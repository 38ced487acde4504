/*
 * Isolates that do any I/O at any time, hand descriptors over and end, against a
 * backend that completes anything at any time, also what was cancelled. After
 * every few steps the shard is sound; each operation that was accepted has one
 * completion unless its isolate ended; in the end nothing is left.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/rig.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define RUN_COUNT   60
#define STEP_COUNT  1500
#define KNOWN_MAX   24
#define STARTED_MAX 64
#define TAG_POKE    (TINA_TAG_USER + 1)

typedef struct player {
    uint64_t started[STARTED_MAX]; /* users of operations under way */
    uint32_t started_count;
    bool is_parked; /* in an operation */
    tina_fd mine[4];
} player;

static rig_plan plan;
static rig_system *rig;
static tina__prng prng;
static uint64_t seed;
static bool is_quiet;
static uint64_t next_user, completed;
static tina_fd known[KNOWN_MAX]; /* descriptors of the living and the dead */
static uint8_t large[5000];

static uint32_t below(uint32_t bound) { return (uint32_t)tina__prng_below(&prng, bound); }

static tina_fd any_fd(const player *me) { return below(4) == 0 ? known[below(KNOWN_MAX)] : me->mine[below(4)]; }

static void know(player *me, tina_fd fd)
{
    known[below(KNOWN_MAX)] = fd;
    me->mine[below(4)] = fd;
}

static tina_op any_op(const player *me, const tina_message *message)
{
    static const tina_tag kinds[] = {TINA_IO_RECV, TINA_IO_RECV,   TINA_IO_SEND,    TINA_IO_SEND,
                                     TINA_IO_SEND, TINA_IO_ACCEPT, TINA_IO_CONNECT, TINA_IO_CLOSE};
    static tina_address address;
    address = tina_ipv4(127, 0, 0, 1, 1);
    tina_op op = {
        .kind = kinds[below(8)],
        .fd = any_fd(me),
        .data = large,
        .size = below(3) == 0 ? 1 + below(sizeof large) : 1 + below(200),
        .timeout_ns = below(3) == 0 ? 1 + below(10 * RIG_MS) : 0,
        .address = &address,
        .user = ++next_user,
    };
    bool has_data = message != NULL && message->tag == TINA_IO_RECV && message->io.data != NULL;
    if (op.kind == TINA_IO_SEND && has_data && below(2) == 0) {
        op.data = message->io.data;
        op.size = message->io.size;
    }
    return op;
}

static void start_one(player *me, const tina_message *message, tina_ctx *ctx)
{
    tina_op op = any_op(me, message);
    if (me->started_count == STARTED_MAX || tina_io_start(ctx, &op) != TINA_OK)
        return;
    me->started[me->started_count++] = op.user;
}

static void open_one(player *me, tina_ctx *ctx)
{
    tina_fd fd;
    if (tina_socket(ctx, TINA_IPV4, TINA_STREAM, &fd) == TINA_OK)
        know(me, fd);
}

static void act(player *me, const tina_message *message, tina_ctx *ctx)
{
    for (uint32_t i = below(4); i != 0; i--) {
        switch (below(8)) {
        case 0: open_one(me, ctx); break;
        case 1: tina_io_cancel(ctx, any_fd(me), (tina_half)(1 + below(3))); break;
        case 2: tina_ignore(tina_socket_shutdown(ctx, any_fd(me), (tina_half)(1 + below(3)))); break;
        case 3:
            tina_ignore(
                tina_spawn_child(ctx, &(tina_spawn){.type = 1, .fd = any_fd(me), .handoff = (uint8_t)below(3)}, NULL));
            break;
        default: start_one(me, message, ctx); break;
        }
    }
}

static tina_effect choose_effect(player *me, const tina_message *message, tina_ctx *ctx)
{
    uint32_t dice = below(100);
    if (dice < 3)
        return tina_crash(1);
    if (dice < 5)
        return tina_done();
    if (dice < 25) {
        tina_op op = any_op(me, message);
        op.user = 0;
        /* Who waits for a buffer while what it has received waits for it could hold the last one for good. */
        if (op.kind == TINA_IO_RECV && me->started_count != 0)
            return tina_receive();
        me->is_parked = true;
        return tina_io(ctx, &op);
    }
    return tina_receive();
}

static void take_completion(player *me, const tina_message *message)
{
    completed++;
    if (message->tag == TINA_IO_ACCEPT && message->io.status == TINA_OK)
        know(me, message->io.fd);
    if (message->io.user == 0) {
        assert_true(me->is_parked);
        me->is_parked = false;
        return;
    }
    assert_false(me->is_parked); /* started ones wait until it receives */
    for (uint32_t i = 0; i < me->started_count; i++) {
        if (me->started[i] == message->io.user) {
            me->started[i] = me->started[--me->started_count];
            return;
        }
    }
    fail_msg("an operation completed twice, or was not this isolate's");
}

static tina_effect player_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)args;
    (void)args_size;
    player *me = self;
    open_one(me, ctx);
    act(me, NULL, ctx);
    return below(10) == 0 ? tina_crash(2) : tina_receive();
}

static tina_effect player_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    player *me = self;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (message->tag != TAG_POKE)
        take_completion(me, message);
    if (is_quiet)
        return tina_receive();
    act(me, message, ctx);
    return choose_effect(me, message, ctx);
}

/* ---- The kernel ------------------------------------------------------------------------------------- */

static void complete_any(void)
{
    struct tina__backend *backend = &rig->backends[0];
    if (backend->request_count == 0)
        return;
    tina__io_request *request = backend->requests[below(backend->request_count)].request;
    if (below(6) == 0) {
        static const tina_status failures[] = {TINA_RESET, TINA_CLOSED, TINA_SYSTEM_ERROR};
        rig_complete(rig, 0, request, failures[below(3)], 0);
        return;
    }
    switch (request->kind) {
    case TINA__IO_ACCEPT: rig_complete_accept(rig, 0, request); break;
    case TINA__IO_RECEIVE: rig_complete_receive(rig, 0, request, large, 1 + below(request->size)); break;
    case TINA__IO_SEND:
        if (request->no_wait && below(2) == 0)
            rig_complete(rig, 0, request, TINA_BUSY, 0);
        else
            rig_complete(rig, 0, request, TINA_OK, 1 + below(request->size));
        break;
    default: rig_complete(rig, 0, request, TINA_OK, 0); break;
    }
}

static void complete_all(void)
{
    for (uint32_t i = 0; i < 100000 && rig->backends[0].request_count != 0; i++) {
        complete_any();
        rig_settle(rig);
    }
    assert_int_equal(rig->backends[0].request_count, 0);
}

/* ---- The run -------------------------------------------------------------------------------------------- */

static void start_system(void)
{
    static const uint32_t buffer_counts[] = {2, 4, 9, 40};
    rig_plan_init(&plan, 1, 2);
    for (size_t i = 0; i < 2; i++) {
        plan.types[i].init = player_init;
        plan.types[i].handler = player_handle;
        plan.types[i].size = sizeof(player);
    }
    for (uint32_t i = 0; i < 6; i++) {
        tina_child *child = rig_plan_child(&plan, 0, 0, NULL);
        child->args = NULL;
        child->args_size = 0;
        child->name = (uint16_t)(i + 1);
        child->restart = TINA_PERMANENT;
    }
    plan.shards[0].root.restart_max = 1000000;
    plan.spec.fd_count = 4 + below(20);
    plan.spec.op_count = 3 + below(30);
    plan.spec.buffer_count = buffer_counts[below(4)];
    memset(known, 0, sizeof known);
    is_quiet = false;
    rig = rig_start_raw(&plan);
    rig->backends[0].holds_cancels = true;
    for (uint32_t i = 0; tina__shard_is_booting(rig->shards[0]); i++) {
        assert_true(i < 1000);
        rig_tick(rig, 0);
        rig_cancel_wins(rig, 0);
    }
    tina__shard_set_state(rig->shards[0], TINA_SHARD_RUNNING);
}

static void check_quiet(void)
{
    is_quiet = true;
    rig_cancel_wins(rig, 0);
    rig_settle(rig);
    complete_all();
    rig_advance(rig, 100 * RIG_MS);
    complete_all();
    const tina__shard *shard = rig->shards[0];
    for (uint32_t i = 0; i < shard->p.slot_count; i++) {
        const tina__isolate *isolate = &shard->p.isolates[i];
        if (isolate->state == TINA__ISOLATE_FREE)
            continue;
        const tina__type *type = &shard->p.types[isolate->type];
        const player *me = tina__isolate_self(type, tina__isolate_slot(type, isolate));
        assert_int_equal(me->started_count, 0);
        assert_false(me->is_parked);
    }
    assert_int_equal(tina__pool_taken(&shard->operations), 0);
    assert_int_equal(shard->buffers_sending, 0);
    is_quiet = false;
}

static void io_of_any_kind_at_any_time_leaves_nothing(void **unused)
{
    (void)unused;
    tina__prng_seed(&prng, seed);
    for (uint32_t run = 0; run < RUN_COUNT; run++) {
        start_system();
        for (uint32_t step = 0; step < STEP_COUNT; step++) {
            for (uint32_t i = below(3); i != 0; i--)
                complete_any();
            if (below(3) == 0)
                (void)rig_post(rig, tina_named(0, (uint16_t)(1 + below(6))), TAG_POKE, NULL, 0);
            if (below(4) == 0)
                rig_cancel_wins(rig, 0);
            if (below(4) == 0)
                rig->now_ns += below(3 * RIG_MS);
            rig_tick(rig, 0);
            if (step % 16 == 0)
                rig_check_sound(rig);
            if (step % 500 == 499)
                check_quiet();
        }
        rig_end(rig);
    }
    assert_true(completed > RUN_COUNT * STEP_COUNT / 20);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        seed = strtoull(argv[1], NULL, 0);
    else if (getrandom(&seed, sizeof seed, 0) != sizeof seed)
        return EXIT_FAILURE;
    fprintf(stderr, "seed %" PRIu64 "\n", seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(io_of_any_kind_at_any_time_leaves_nothing),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fprintf(stderr, "to repeat: %s %" PRIu64 "\n", argv[0], seed);
    return failed;
}
