/*
 * Isolates on three shards that send, call, reply, spawn and end at random, with
 * limits that they meet all the time, against what each of them was told. Every
 * message whose send said TINA_OK is seen by one handler once or found in a
 * counter; every call has one outcome; one sender's messages keep their order.
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

#define SHARDS       3u
#define TYPES        2u
#define SLOTS        12u
#define MESSAGES_MAX (1u << 22)
#define ROUND_COUNT  50
#define ROUND_STEPS  400
#define CALLS_MAX    8
#define KEPT_MAX     6
#define KNOWN_MAX    (SHARDS * TYPES * SLOTS + 16)
#define TIMEOUT_NS   (20 * RIG_MS)

enum { TAG_PLAIN = TINA_TAG_USER + 1, TAG_BEGUN, TAG_REQUEST, TAG_ANSWER, TAG_POST };

typedef struct player {
    uint32_t calls[CALLS_MAX]; /* numbers of those under way */
    uint32_t call_count;
    bool is_parked; /* in a call of its own: its outcome comes next, or the shutdown */
    tina_caller kept[KEPT_MAX];
    uint32_t kept_count;
    struct {
        tina_handle source;
        uint64_t number;
    } last[SHARDS][TYPES][SLOTS]; /* seen of each sender */
} player;

enum { UNSENT, ACCEPTED, SEEN };

static rig_plan plan;
static rig_system *rig;
static tina__prng prng;
static uint64_t seed;
static bool is_quiet;     /* nobody begins anything new */
static uint8_t *messages; /* by number: what became of it */
static uint64_t next_number, accepted, seen;
static tina_handle known[KNOWN_MAX]; /* handles: by slot those who live there or did, behind them anybody's */

static uint32_t below(uint32_t bound) { return (uint32_t)tina__prng_below(&prng, bound); }

static tina_handle someone(void)
{
    uint32_t dice = below(20);
    if (dice == 0)
        return tina_named((uint8_t)below(SHARDS + 1), (uint16_t)below(6));
    if (dice == 1)
        return (tina_handle){tina__prng_next(&prng)};
    return known[below(KNOWN_MAX)];
}

/* The next message's number: it counts as sent before the send is tried, for the receiver may not wait. */
static uint64_t number_take(void)
{
    assert_true(next_number < MESSAGES_MAX);
    return next_number++;
}

static void number_sent(uint64_t number, tina_status status)
{
    if (status != TINA_OK)
        return;
    assert_int_equal(messages[number], UNSENT);
    messages[number] = ACCEPTED;
    accepted++;
}

static void number_seen(const tina_message *message, uint64_t *number)
{
    assert_int_equal(message->size, sizeof *number);
    memcpy(number, message->payload, sizeof *number);
    assert_true(*number < next_number);
    assert_int_equal(messages[*number], ACCEPTED);
    messages[*number] = SEEN;
    seen++;
}

static void check_order(player *me, const tina_message *message, uint64_t number)
{
    tina_handle source = message->source;
    uint32_t slot = tina__handle_slot(source);
    assert_true(tina_handle_shard(source) < SHARDS && tina_handle_type(source) < TYPES && slot < SLOTS);
    tina_handle *who = &me->last[tina_handle_shard(source)][tina_handle_type(source)][slot].source;
    uint64_t *last = &me->last[tina_handle_shard(source)][tina_handle_type(source)][slot].number;
    if (tina_handle_equal(*who, source))
        assert_true(number > *last);
    *who = source;
    *last = number;
}

/* ---- What a player does ------------------------------------------------------------------------- */

static void do_send(tina_ctx *ctx)
{
    uint64_t number = number_take();
    number_sent(number, tina_send(ctx, someone(), TAG_PLAIN, &number, sizeof number));
}

static void do_begin(tina_ctx *ctx)
{
    uint64_t number = number_take();
    void *payload;
    tina_status status = tina_send_begin(ctx, someone(), TAG_BEGUN, sizeof number, &payload);
    for (uint32_t i = below(3); i != 0; i--)
        do_send(ctx);
    if (status != TINA_OK || below(3) == 0)
        return; /* what is open now makes the next begin of this call busy */
    memcpy(payload, &number, sizeof number);
    number_sent(number, TINA_OK);
    tina_send_commit(ctx);
}

static void do_call(player *me, tina_ctx *ctx)
{
    if (me->call_count == CALLS_MAX)
        return;
    uint64_t number = number_take();
    uint64_t timeout_ns = 1 + tina__prng_below(&prng, TIMEOUT_NS);
    tina_status status =
        tina_call_start(ctx, someone(), TAG_REQUEST, &number, sizeof number, timeout_ns, &me->calls[me->call_count]);
    number_sent(number, status);
    me->call_count += status == TINA_OK;
}

static void do_reply(player *me, tina_ctx *ctx)
{
    if (me->kept_count == 0)
        return;
    uint32_t index = below(me->kept_count);
    tina_caller caller = me->kept[index];
    if (below(4) != 0) /* now and then it answers twice */
        me->kept[index] = me->kept[--me->kept_count];
    uint64_t number = number_take();
    number_sent(number, tina_reply_to(ctx, caller, TAG_ANSWER, &number, sizeof number));
}

static void do_spawn(tina_ctx *ctx)
{
    tina_spawn spawn = {
        .type = (uint8_t)below(TYPES),
        .restart = (uint8_t)below(4),
        .group = below(4) == 0 ? TINA_GROUP_SELF : TINA_GROUP_ROOT,
    };
    tina_ignore(tina_spawn_child(ctx, &spawn, NULL));
}

static void act(player *me, tina_ctx *ctx)
{
    for (uint32_t i = below(4); i != 0; i--) {
        switch (below(8)) {
        case 0: do_call(me, ctx); break;
        case 1: do_reply(me, ctx); break;
        case 2: do_begin(ctx); break;
        case 3:
            if (below(4) == 0)
                do_spawn(ctx);
            break;
        default: do_send(ctx); break;
        }
    }
}

static tina_effect choose_effect(player *me, tina_ctx *ctx)
{
    uint32_t dice = below(400);
    if (dice < 4)
        return tina_crash(1);
    if (dice < 7)
        return tina_done();
    if (dice < 30)
        return tina_yield();
    if (dice < 60) {
        me->is_parked = true;
        /* Nobody answers: told at once, or after the timeout. Neither carries a number. */
        tina_handle self = tina_self(ctx);
        tina_handle to = dice % 2 == 0 ? (tina_handle){self.bits ^ 1} : self;
        return tina_call(ctx, to, TAG_POST, NULL, 0, 1 + tina__prng_below(&prng, TIMEOUT_NS));
    }
    return tina_receive();
}

/* ---- What it gets ----------------------------------------------------------------------------------- */

static void end_call(player *me, uint32_t call)
{
    for (uint32_t i = 0; i < me->call_count; i++) {
        if (me->calls[i] != call)
            continue;
        me->calls[i] = me->calls[--me->call_count];
        return;
    }
    fail_msg("a call has had two outcomes");
}

static void take(player *me, const tina_message *message)
{
    uint64_t number;
    if (me->is_parked && message->tag != TINA_TAG_SHUTDOWN) {
        assert_int_equal(message->tag, TINA_TAG_CALL_FAILED); /* and not a started one's, which waits */
        me->is_parked = false;
        return;
    }
    switch (message->tag) {
    case TAG_PLAIN:
        number_seen(message, &number);
        check_order(me, message, number);
        break;
    case TAG_BEGUN: number_seen(message, &number); break;
    case TAG_REQUEST:
        number_seen(message, &number);
        check_order(me, message, number);
        assert_true(tina_is_call(message));
        if (me->kept_count < KEPT_MAX)
            me->kept[me->kept_count++] = tina_message_caller(message);
        break;
    case TAG_ANSWER:
        number_seen(message, &number);
        end_call(me, message->correlation);
        break;
    case TINA_TAG_CALL_FAILED: end_call(me, message->correlation); break;
    default: break;
    }
}

static tina_effect player_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)args;
    (void)args_size;
    tina_handle me = tina_self(ctx);
    known[(tina_handle_shard(me) * TYPES + tina_handle_type(me)) * SLOTS + tina__handle_slot(me)] = me;
    known[SHARDS * TYPES * SLOTS + below(KNOWN_MAX - SHARDS * TYPES * SLOTS)] = me;
    if (is_quiet)
        return tina_receive();
    act(self, ctx);
    return below(20) == 0 ? tina_crash(2) : tina_receive();
}

static tina_effect player_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    player *me = self;
    take(me, message);
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (is_quiet) {
        me->kept_count = 0;
        return tina_receive();
    }
    act(me, ctx);
    return choose_effect(me, ctx);
}

/* ---- The run -------------------------------------------------------------------------------------------- */

static void start_system(void)
{
    static tina_channel_spec channels[] = {{0, 1, 3}, {2, -1, 40}};
    rig_plan_init(&plan, SHARDS, TYPES);
    for (size_t i = 0; i < TYPES; i++) {
        plan.types[i].init = player_init;
        plan.types[i].handler = player_handle;
        plan.types[i].size = sizeof(player);
        plan.types[i].slot_count = SLOTS;
        plan.types[i].mailbox_capacity = 3 + (uint32_t)i * 5;
    }
    for (size_t i = 0; i < SHARDS; i++) {
        for (uint16_t k = 0; k < 5; k++) {
            tina_child *child = rig_plan_child(&plan, i, (uint8_t)(k % TYPES), NULL);
            child->args_size = 0;
            child->args = NULL;
            child->restart = TINA_PERMANENT;
            child->name = (uint16_t)(k + 1);
        }
        plan.shards[i].root.restart_max = 1000000;
    }
    plan.spec.message_count = 16;
    plan.spec.channel_capacity = 6;
    plan.spec.inbox_capacity = 8;
    plan.spec.timer_count = 24;
    plan.spec.channels = channels;
    plan.spec.channel_spec_count = 2;
    rig = rig_start(&plan);
}

static void post_something(void)
{
    uint64_t number = number_take();
    tina_handle to = known[below(KNOWN_MAX)];
    if (below(4) == 0)
        to = tina_named((uint8_t)below(SHARDS), (uint16_t)(1 + below(5)));
    /* Posts are of no order: several threads may send them. */
    if (rig_post(rig, to, TAG_BEGUN, &number, sizeof number))
        number_sent(number, TINA_OK);
}

static uint64_t lost_by_the_counters(const tina_stats *total)
{
    return total->arrived_full + total->arrived_stale + total->arrived_exhausted + total->died_with_owner;
}

/* Calls to oneself carry no number: the counters know them, the model does not. */
static void check_round(void)
{
    is_quiet = true;
    rig_settle(rig);
    rig_advance(rig, 2 * TIMEOUT_NS);
    rig_advance(rig, 2 * TIMEOUT_NS);
    rig_check_ledger(rig);
    tina_stats total = rig_total(rig);
    assert_int_equal(total.messages.used, 0);
    assert_int_equal(total.timers.used, 0);
    uint64_t unnumbered = total.sent_local + total.sent_remote + total.posted - accepted;
    assert_in_range(seen + lost_by_the_counters(&total), accepted, accepted + unnumbered);
    assert_int_equal(total.delivered + lost_by_the_counters(&total), accepted + unnumbered);
    for (size_t i = 0; i < SHARDS; i++) {
        const tina__shard *shard = rig->shards[i];
        for (uint32_t k = 0; k < shard->p.slot_count; k++) {
            const tina__isolate *isolate = &shard->p.isolates[k];
            if (isolate->state == TINA__ISOLATE_FREE)
                continue;
            const tina__type *type = &shard->p.types[isolate->type];
            const player *me = tina__isolate_self(type, tina__isolate_slot(type, isolate));
            assert_int_equal(me->call_count, 0);
            assert_false(me->is_parked);
        }
        for (size_t k = 0; k < SHARDS; k++) {
            if (k != i)
                assert_int_equal(shard->p.peers[k].place_pool.used, 0);
        }
    }
    is_quiet = false;
}

static void ipc_any_conversation_agrees_with_what_was_said(void **unused)
{
    (void)unused;
    tina__prng_seed(&prng, seed);
    messages = calloc(MESSAGES_MAX, 1);
    assert_non_null(messages);
    start_system();
    for (uint32_t round = 0; round < ROUND_COUNT; round++) {
        for (uint32_t step = 0; step < ROUND_STEPS; step++) {
            if (below(2) == 0)
                post_something();
            if (below(3) == 0)
                rig->now_ns += tina__prng_below(&prng, 3 * RIG_MS);
            rig_tick(rig, below(SHARDS));
        }
        check_round();
    }
    tina_stats total = rig_total(rig);
    fprintf(stderr,
            "accepted %" PRIu64 ", seen %" PRIu64 ", full %" PRIu64 ", stale %" PRIu64 ", exhausted %" PRIu64
            ", died %" PRIu64 ", late %" PRIu64 "\n",
            accepted, seen, total.arrived_full, total.arrived_stale, total.arrived_exhausted, total.died_with_owner,
            total.replies_late);
    rig_end(rig);
    free(messages);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        seed = strtoull(argv[1], NULL, 0);
    else if (getrandom(&seed, sizeof seed, 0) != sizeof seed)
        return EXIT_FAILURE;
    fprintf(stderr, "seed %" PRIu64 "\n", seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ipc_any_conversation_agrees_with_what_was_said),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fprintf(stderr, "to repeat: %s %" PRIu64 "\n", argv[0], seed);
    return failed;
}
