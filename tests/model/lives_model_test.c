/*
 * Isolates on three shards that send, call, watch and end at random, while the
 * lives of whole shards end in the middle of it, against what each of them was
 * told. Every call of an isolate that lives on has one outcome; every watch is
 * told once, or goes on with a target that lives; who lost a watch with a shard
 * hears of that shard once; the ledger balances.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/rig.h"

#include "core/lookup.h"
#include "core/timers.h"
#include "core/watch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define SHARDS       3u
#define TYPES        2u
#define SLOTS        8u
#define NAMES        4u
#define MESSAGES_MAX (1u << 21)
#define ROUND_COUNT  400
#define ROUND_STEPS  250
#define CALLS_MAX    8
#define WATCHES_MAX  6
#define KEPT_MAX     4
#define KNOWN_MAX    (SHARDS * TYPES * SLOTS)
#define LIVES_MAX    16
#define TIMEOUT_NS   (20 * RIG_MS)

enum { TAG_PLAIN = TINA_TAG_USER + 1, TAG_REQUEST, TAG_ANSWER, TAG_PARK };

typedef struct player {
    uint32_t calls[CALLS_MAX]; /* numbers of those under way */
    uint32_t call_count;
    bool is_parked; /* in a call of its own: its outcome comes next, or the shutdown */
    tina_caller kept[KEPT_MAX];
    uint32_t kept_count;
    tina_handle watches[WATCHES_MAX]; /* not told of yet */
    uint32_t watch_count;
    uint32_t lives[SHARDS][LIVES_MAX]; /* the latest of that shard's that took watches along */
    uint32_t life_count[SHARDS];
    uint32_t due[SHARDS]; /* notices of that shard that are still to come */
} player;

enum { UNSENT, ACCEPTED, SEEN };

static rig_plan plan;
static rig_system *rig;
static tina__prng prng;
static uint64_t seed;
static bool is_quiet;     /* nobody begins anything new */
static uint8_t *messages; /* by number: what became of it */
static uint64_t next_number;
static tina_handle known[KNOWN_MAX]; /* by slot: who lives there or did */
static struct {
    uint64_t lives, answers, failures, lost_calls, downs, lost_watches, notices;
} counts;

static uint32_t below(uint32_t bound) { return (uint32_t)tina__prng_below(&prng, bound); }

static tina_handle someone(void)
{
    if (below(4) == 0)
        return tina_named((uint8_t)below(SHARDS), (uint16_t)(1 + below(NAMES + 1)));
    return known[below(KNOWN_MAX)];
}

static uint64_t number_take(void)
{
    assert_true(next_number < MESSAGES_MAX);
    return next_number++;
}

static void number_sent(uint64_t number, tina_status status)
{
    if (status == TINA_OK)
        messages[number] = ACCEPTED;
}

static void number_seen(const tina_message *message)
{
    uint64_t number;
    assert_int_equal(message->size, sizeof number);
    memcpy(&number, message->payload, sizeof number);
    assert_true(number < next_number);
    assert_int_equal(messages[number], ACCEPTED);
    messages[number] = SEEN;
}

/* ---- What a player does ------------------------------------------------------------------------- */

static void do_send(tina_ctx *ctx)
{
    uint64_t number = number_take();
    number_sent(number, tina_send(ctx, someone(), TAG_PLAIN, &number, sizeof number));
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
    tina_caller caller = me->kept[--me->kept_count];
    uint64_t number = number_take();
    number_sent(number, tina_reply_to(ctx, caller, TAG_ANSWER, &number, sizeof number));
}

static uint32_t find_watch(const player *me, tina_handle target)
{
    uint32_t index = 0;
    while (index < me->watch_count && !tina_handle_equal(me->watches[index], target))
        index++;
    return index;
}

static void do_watch(player *me, tina_ctx *ctx)
{
    tina_handle target = someone();
    uint32_t index = find_watch(me, target);
    if (index == WATCHES_MAX)
        return;
    tina_status status = tina_watch(ctx, target);
    if (index < me->watch_count)
        assert_int_equal(status, TINA_OK); /* it is one already */
    else if (status == TINA_OK)
        me->watches[me->watch_count++] = target;
}

static bool knows_life(const player *me, uint8_t shard, uint32_t life)
{
    for (uint32_t i = 0; i < LIVES_MAX; i++) {
        if (me->lives[shard][i] == life)
            return true;
    }
    return false;
}

/* The first of the notices that a life took along: one of its shard is to follow. */
static void carries(player *me, const tina__timer_slot *slot)
{
    uint8_t shard = tina_handle_shard(slot->target);
    assert_false(knows_life(me, shard, slot->life));
    me->lives[shard][me->life_count[shard]++ % LIVES_MAX] = slot->life;
    me->due[shard]++;
}

static void do_unwatch(player *me, tina_ctx *ctx)
{
    if (me->watch_count == 0)
        return;
    uint32_t index = below(me->watch_count);
    uint32_t slot_index = tina__watch_find(ctx->shard, tina__isolate_index(ctx->shard, ctx->isolate), me->watches[index]);
    assert_int_not_equal(slot_index, TINA__NONE);
    const tina__timer_slot *slot = tina__timer_at(ctx->shard, slot_index);
    if (slot->use == TINA__TIMER_DOWN && slot->notice != 0)
        carries(me, slot);
    tina_unwatch(ctx, me->watches[index]);
    me->watches[index] = me->watches[--me->watch_count];
}

static void do_spawn(tina_ctx *ctx)
{
    tina_spawn spawn = {.type = (uint8_t)below(TYPES), .restart = (uint8_t)below(4)};
    tina_ignore(tina_spawn_child(ctx, &spawn, NULL));
}

static void act(player *me, tina_ctx *ctx)
{
    for (uint32_t i = below(4); i != 0; i--) {
        switch (below(10)) {
        case 0:
        case 1: do_call(me, ctx); break;
        case 2:
        case 3: do_reply(me, ctx); break;
        case 4:
        case 5: do_watch(me, ctx); break;
        case 6: do_unwatch(me, ctx); break;
        case 7:
            if (below(6) == 0)
                do_spawn(ctx);
            break;
        default: do_send(ctx); break;
        }
    }
}

static tina_effect choose_effect(player *me, tina_ctx *ctx)
{
    uint32_t dice = below(100);
    if (dice == 0)
        return tina_crash(1);
    if (dice == 1)
        return tina_done();
    if (dice < 6)
        return tina_yield();
    if (dice < 20) {
        me->is_parked = true;
        return tina_call(ctx, someone(), TAG_PARK, NULL, 0, 1 + tina__prng_below(&prng, TIMEOUT_NS));
    }
    return tina_receive();
}

/* ---- What it gets ----------------------------------------------------------------------------------- */

static void keep(player *me, const tina_message *message)
{
    assert_true(tina_is_call(message));
    if (me->kept_count < KEPT_MAX)
        me->kept[me->kept_count++] = tina_message_caller(message);
}

static void take_outcome(const tina_message *message)
{
    if (message->tag == TAG_ANSWER) {
        number_seen(message);
        counts.answers++;
        return;
    }
    tina_status status;
    assert_int_equal(message->tag, TINA_TAG_CALL_FAILED);
    memcpy(&status, message->payload, sizeof status);
    counts.failures++;
    counts.lost_calls += status == TINA_SHARD_DOWN;
}

static void end_call(player *me, const tina_message *message)
{
    take_outcome(message);
    for (uint32_t i = 0; i < me->call_count; i++) {
        if (me->calls[i] != message->correlation)
            continue;
        me->calls[i] = me->calls[--me->call_count];
        return;
    }
    fail_msg("a call has had two outcomes");
}

static void end_watch(player *me, const tina_message *message)
{
    const tina__timer_slot *slot = (const tina__timer_slot *)(const void *)message;
    tina_down down;
    memcpy(&down, message->payload, sizeof down);
    uint32_t index = find_watch(me, down.who);
    if (index == me->watch_count)
        fail_msg("a watch was told twice");
    me->watches[index] = me->watches[--me->watch_count];
    counts.downs++;
    if (down.end != TINA_END_SHARD) {
        assert_int_equal(slot->notice, 0);
        return;
    }
    counts.lost_watches++;
    if (slot->notice != 0)
        carries(me, slot);
    assert_true(knows_life(me, tina_handle_shard(down.who), slot->life)); /* the first of them came first */
}

static void take_shard_notice(player *me, const tina_message *message)
{
    assert_true(message->payload[0] < SHARDS);
    assert_int_not_equal(me->due[message->payload[0]], 0);
    me->due[message->payload[0]]--;
    counts.notices++;
}

static void take(player *me, const tina_message *message)
{
    if (me->is_parked && message->tag != TINA_TAG_SHUTDOWN) {
        me->is_parked = false;
        take_outcome(message); /* and not a started one's, which waits */
        return;
    }
    switch (message->tag) {
    case TAG_PLAIN: number_seen(message); break;
    case TAG_REQUEST:
        number_seen(message);
        keep(me, message);
        break;
    case TAG_PARK: keep(me, message); break;
    case TAG_ANSWER:
    case TINA_TAG_CALL_FAILED: end_call(me, message); break;
    case TINA_TAG_DOWN: end_watch(me, message); break;
    case TINA_TAG_SHARD_RESTARTED:
    case TINA_TAG_SHARD_QUARANTINED: take_shard_notice(me, message); break;
    default: break;
    }
}

static tina_effect player_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)args;
    (void)args_size;
    tina_handle me = tina_self(ctx);
    known[(tina_handle_shard(me) * TYPES + tina_handle_type(me)) * SLOTS + tina__handle_slot(me)] = me;
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
    static tina_channel_spec channels[] = {{0, 1, 3}, {2, -1, 30}};
    rig_plan_init(&plan, SHARDS, TYPES);
    for (size_t i = 0; i < TYPES; i++) {
        plan.types[i].init = player_init;
        plan.types[i].handler = player_handle;
        plan.types[i].size = sizeof(player);
        plan.types[i].slot_count = SLOTS;
        plan.types[i].mailbox_capacity = 3 + (uint32_t)i * 5;
    }
    for (size_t i = 0; i < SHARDS; i++) {
        for (uint16_t k = 0; k < NAMES; k++) {
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
    plan.spec.watch_count = 20;
    plan.spec.shard_restart_max = 5;
    plan.spec.shard_restart_window_ns = 100 * RIG_MS;
    plan.spec.channels = channels;
    plan.spec.channel_spec_count = 2;
    rig = rig_start(&plan);
}

static void post_something(void)
{
    uint64_t number = number_take();
    messages[number] = ACCEPTED;
    if (!rig_post(rig, someone(), TAG_PLAIN, &number, sizeof number))
        messages[number] = UNSENT;
}

/* Now and then what was rung after a tick began is seen in the next one. */
static void tick(uint32_t shard)
{
    if (below(4) != 0) {
        rig_tick(rig, shard);
        return;
    }
    tina__doorbell *bell = &rig->publics[shard].bell;
    uint32_t word = below(2) == 0 ? 0 : TINA__DOORBELL_CONTROL / 64;
    uint64_t bits = atomic_exchange(&bell->words[word], 0);
    rig_tick(rig, shard);
    atomic_fetch_or(&bell->words[word], bits);
}

static void step(void)
{
    if (below(2) == 0)
        post_something();
    if (below(3) == 0)
        rig->now_ns += tina__prng_below(&prng, 3 * RIG_MS);
    if (below(60) == 0) {
        rig_wipe(rig, below(SHARDS));
        counts.lives++;
    }
    if (below(30) == 0)
        atomic_fetch_add(&rig->shared.revive, 1);
    tick(below(SHARDS));
}

/* ---- What must be true when all is quiet ------------------------------------------------------------------ */

static void check_watch(const tina__shard *shard, uint32_t isolate, tina_handle target)
{
    uint32_t index = tina__watch_find(shard, isolate, target);
    assert_int_not_equal(index, TINA__NONE);
    assert_int_equal(tina__timer_at(shard, index)->use, TINA__TIMER_WATCH);
    const tina__shard *of = rig->shards[tina_handle_shard(target)];
    assert_non_null(tina__isolate_find(of, target));
}

/* Returns how many watches it has. */
static uint32_t check_player(const tina__shard *shard, uint32_t index)
{
    const tina__isolate *isolate = &shard->p.isolates[index];
    if (isolate->state == TINA__ISOLATE_FREE)
        return 0;
    const tina__type *type = &shard->p.types[isolate->type];
    const player *me = tina__isolate_self(type, tina__isolate_slot(type, isolate));
    assert_int_equal(me->call_count, 0);
    assert_false(me->is_parked);
    for (uint32_t i = 0; i < SHARDS; i++)
        assert_int_equal(me->due[i], 0);
    for (uint32_t i = 0; i < me->watch_count; i++)
        check_watch(shard, index, me->watches[i]);
    return me->watch_count;
}

static void check_peers(const tina__shard *shard)
{
    for (uint32_t i = 0; i < SHARDS; i++) {
        if (i == shard->id)
            continue;
        assert_false(shard->p.peers[i].is_estranged);
        assert_int_equal(shard->p.peers[i].life, rig->publics[i].life);
    }
}

static void check_round(void)
{
    uint32_t watches = 0;
    uint32_t owed = 0;
    is_quiet = true;
    rig_settle(rig);
    rig_revive(rig);
    rig_advance(rig, 2 * TIMEOUT_NS);
    rig_advance(rig, 2 * TIMEOUT_NS);
    rig_check_ledger(rig);
    tina_stats total = rig_total(rig);
    assert_int_equal(total.messages.used, 0);
    assert_int_equal(total.timers.used, 0);
    for (size_t i = 0; i < SHARDS; i++) {
        const tina__shard *shard = rig->shards[i];
        assert_int_equal(shard->state, TINA_SHARD_RUNNING);
        check_peers(shard);
        for (uint32_t k = 0; k < shard->p.slot_count; k++)
            watches += check_player(shard, k);
        for (uint32_t k = 0; k < shard->p.owed_count; k++)
            owed += shard->p.owed[k].isolate != TINA__NONE;
    }
    assert_int_equal(total.watches.used, watches);
    assert_int_equal(owed, watches);
    is_quiet = false;
}

static void lives_that_end_at_any_time_leave_one_outcome_for_each(void **unused)
{
    (void)unused;
    tina__prng_seed(&prng, seed);
    messages = calloc(MESSAGES_MAX, 1);
    assert_non_null(messages);
    start_system();
    for (uint32_t round = 0; round < ROUND_COUNT; round++) {
        for (uint32_t i = 0; i < ROUND_STEPS; i++)
            step();
        check_round();
    }
    fprintf(stderr,
            "lives %" PRIu64 ", answers %" PRIu64 ", failures %" PRIu64 " (%" PRIu64 " of lost calls), ends told %" PRIu64
            " (%" PRIu64 " of lost watches), shards told %" PRIu64 "\n",
            counts.lives, counts.answers, counts.failures, counts.lost_calls, counts.downs, counts.lost_watches,
            counts.notices);
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
        cmocka_unit_test(lives_that_end_at_any_time_leave_one_outcome_for_each),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fprintf(stderr, "to repeat: %s %" PRIu64 "\n", argv[0], seed);
    return failed;
}
