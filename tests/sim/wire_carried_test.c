/*
 * Descriptors and transfers on wires: what is late, lost or before a cut comes back
 * to whoever gave or sent it. And isolates on three shards that give descriptors away,
 * send transfers, close and end at random, over wires that delay, lose and cut at
 * random, while the lives of whole shards end in the middle of it: who was told that a
 * descriptor is his can use it, each is closed once, a transfer is read as it was
 * written, and when all is healed and quiet nothing is on its way.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sim/wired.h"

#include "core/gift.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

static const tina_ratio never = {0, 1}, always = {1, 1};

static rig_plan plan;
static wired world;

/* ---- One at a time ----------------------------------------------------------------------------- */

static rig_actor near, far; /* on shards 0 and 1 */

static void start(void)
{
    memset(&near, 0, sizeof near);
    memset(&far, 0, sizeof far);
    rig_plan_init(&plan, 2, 1);
    rig_plan_child(&plan, 0, 0, &near);
    rig_plan_child(&plan, 1, 0, &far);
    wired_start(&world, &plan, 7, true);
}

static tina_effect open_and_give(rig_actor *me, tina_ctx *ctx)
{
    assert_int_equal(tina_socket(ctx, TINA_IPV4, TINA_STREAM, &me->act.fd), TINA_OK);
    me->act.status = tina_fd_give(ctx, me->act.to, me->act.fd);
    return tina_receive();
}

static void give(void)
{
    near.act.to = far.self;
    wired_do(&world, &near, open_and_give);
    assert_int_equal(near.act.status, TINA_OK);
}

static tina_effect fill_and_send(rig_actor *me, tina_ctx *ctx)
{
    tina_transfer transfer;
    void *data;
    assert_int_equal(tina_transfer_alloc(ctx, &transfer, &data, NULL), TINA_OK);
    memset(data, 7, 100);
    me->act.status = tina_transfer_send(ctx, me->act.to, transfer, 100);
    return tina_receive();
}

static void send_one(void)
{
    near.act.to = far.self;
    wired_do(&world, &near, fill_and_send);
    assert_int_equal(near.act.status, TINA_OK);
}

static void cut(uint32_t source, uint32_t destination)
{
    world.faults.rates.partition = always;
    while (!wired_wire(&world, source, destination)->is_cut)
        tina__wires_advance(&world.wires, world.rig->now_ns);
    world.faults.rates.partition = never;
}

static void wipe(uint32_t shard)
{
    rig_wipe(world.rig, shard);
    (void)wired_turn(&world, shard);
}

static void expect_back(tina_status status)
{
    const rig_seen *seen = rig_saw_last(&near);
    assert_int_equal(seen->tag, TINA_TAG_FD);
    assert_int_equal(seen->status, status);
    assert_int_equal(seen->fd.bits, near.act.fd.bits);
}

static void expect_open(uint32_t on_first, uint32_t on_second)
{
    assert_int_equal(world.rig->backends[0].os_fd_count, on_first);
    assert_int_equal(world.rig->backends[1].os_fd_count, on_second);
    assert_int_equal(rig_count_in_messages(world.rig), 0);
    assert_int_equal(wired_places(&world, 0, 1), 0);
}

static void gift_lost_to_chance_comes_back(void **unused)
{
    (void)unused;
    start();
    world.faults.rates.message_drop = always;
    for (uint32_t i = 1; i <= 10; i++) {
        give();
        expect_back(TINA_MAILBOX_FULL);
        expect_open(i, 0);
    }
    assert_int_equal(wired_ledger(&world).dropped, 10);
    assert_int_equal(far.seen_count, 0);
    wired_end(&world);
}

static void gift_into_a_cut_comes_back(void **unused)
{
    (void)unused;
    start();
    cut(0, 1);
    give();
    expect_back(TINA_MAILBOX_FULL);
    expect_open(1, 0);
    assert_int_equal(wired_ledger(&world).cut_off, 1);
    wired_end(&world);
}

static void gift_that_is_late_arrives(void **unused)
{
    (void)unused;
    start();
    world.faults.rates.message_delay = (tina_range){5, 5};
    give();
    wired_rounds(&world, 4);
    assert_int_equal(rig_count_in_messages(world.rig), 1);
    wired_rounds(&world, 1);
    assert_int_equal(rig_count_tag(&far, TINA_TAG_FD), 1);
    expect_open(0, 1);
    wired_end(&world);
}

/* Nobody is there who would take it back. */
static void gift_of_a_life_that_is_over_passes_where_everything_else_is_lost(void **unused)
{
    (void)unused;
    for (int is_cut = 0; is_cut < 2; is_cut++) {
        start();
        world.faults.rates.message_delay = (tina_range){100, 100};
        give();
        if (is_cut)
            cut(0, 1);
        else
            world.faults.rates.message_drop = always;
        wipe(0);
        wired_settle(&world);
        assert_int_equal(rig_count_tag(&far, TINA_TAG_FD), 1);
        expect_open(0, 1);
        wired_end(&world);
    }
}

/* It waits on the wire while its giver learns that it is lost, and is closed at the other end. */
static void gift_that_is_late_for_a_life_is_closed(void **unused)
{
    (void)unused;
    for (int is_dropped = 0; is_dropped < 2; is_dropped++) {
        start();
        world.faults.rates.message_delay = (tina_range){5, 5};
        give();
        wipe(1);
        wired_settle(&world);
        expect_back(TINA_SHARD_DOWN);
        assert_int_equal(rig_count_in_messages(world.rig), 1);
        world.faults.rates.message_drop = is_dropped ? always : never;
        wired_rounds(&world, 5);
        expect_open(0, 0);
        assert_int_equal(rig_count_tag(&far, TINA_TAG_FD), 0);
        wired_end(&world);
    }
}

static void gift_lost_on_its_way_to_a_life_that_ends_comes_back(void **unused)
{
    (void)unused;
    start();
    world.faults.rates.message_drop = always;
    near.act.to = far.self;
    rig_order(world.rig, &near, open_and_give);
    (void)wired_turn(&world, 0);
    wipe(1);
    wired_settle(&world);
    expect_back(TINA_MAILBOX_FULL);
    expect_open(1, 0);
    wired_end(&world);
}

static void transfer_that_is_lost_is_its_senders_shards_again(void **unused)
{
    (void)unused;
    for (int is_cut = 0; is_cut < 2; is_cut++) {
        start();
        world.faults.rates.message_drop = is_cut ? never : always;
        if (is_cut)
            cut(0, 1);
        for (uint32_t i = 0; i < 20; i++) { /* more than there are */
            send_one();
            assert_int_equal(world.rig->shards[0]->transfers.used, 0);
            assert_int_equal(wired_places(&world, 0, 1), 0);
        }
        assert_int_equal(far.seen_count, 0);
        wired_end(&world);
    }
}

static void transfer_of_a_life_that_is_over_is_free_when_that_is_known(void **unused)
{
    (void)unused;
    start();
    world.faults.rates.message_delay = (tina_range){100, 100};
    send_one();
    world.faults.rates.message_drop = always;
    wipe(0);
    assert_int_equal(world.rig->shards[0]->transfers.used, 1);
    wired_settle(&world);
    assert_int_equal(world.rig->shards[0]->transfers.used, 0);
    wired_end(&world);
}

/* ---- At random ------------------------------------------------------------------------------------ */

#define SHARDS      3u
#define NAMES       3u /* children of each shard */
#define PLAYERS     (SHARDS * NAMES)
#define STEP_COUNT  1500
#define QUIET_STEPS 300
#define SEED_COUNT  20
#define KNOWN_MAX   32
#define BYTES_MAX   4096

enum { TAG_TICK = TINA_TAG_USER, TAG_PLAIN };

/* What a transfer begins with; each byte behind is as the number says. */
typedef struct label {
    uint32_t to, number, size;
} label;

/* A child, over all its lives; what it knows of the current one is cleared with it. */
typedef struct player {
    rig_actor actor;
    uint32_t index;
    tina_fd known[KNOWN_MAX]; /* it was told that they are its own */
    uint32_t known_count;
} player;

static player players[PLAYERS];
static tina__prng prng;
static uint64_t first_seed;
static uint32_t seed_count = SEED_COUNT;
static bool is_quiet;
static uint64_t digest; /* of all that anybody saw */
static struct {
    uint64_t steps, lives, opened, given, got, back, lost, transfers, read;
} counts;

static uint32_t below(uint32_t bound) { return (uint32_t)tina__prng_below(&prng, bound); }

static void mix(uint64_t word) { digest = tina__mix64(digest ^ word); }

/* Under its name, or as the one that was seen there last. */
static tina_handle someone(uint32_t *index)
{
    *index = below(PLAYERS);
    if (below(2) == 0)
        return tina_named((uint8_t)(*index / NAMES), (uint16_t)(1 + *index % NAMES));
    return players[*index].actor.self;
}

static void know(player *me, tina_fd fd)
{
    assert_int_not_equal(me->known_count, KNOWN_MAX);
    me->known[me->known_count++] = fd;
}

static void do_open(player *me, tina_ctx *ctx)
{
    tina_fd fd;
    tina_status status = tina_socket(ctx, TINA_IPV4, TINA_STREAM, &fd);
    mix(status);
    if (status != TINA_OK)
        return;
    know(me, fd);
    counts.opened++;
}

/* One that it knows, which is its own. 0: it knows none. */
static tina_fd take_known(player *me, tina_ctx *ctx)
{
    tina_address address;
    if (me->known_count == 0)
        return (tina_fd){0};
    uint32_t index = below(me->known_count);
    tina_fd fd = me->known[index];
    assert_int_equal(tina_peer_address(ctx, fd, &address), TINA_OK);
    me->known[index] = me->known[--me->known_count];
    return fd;
}

static void do_give(player *me, tina_ctx *ctx)
{
    uint32_t to;
    tina_handle whom = someone(&to);
    tina_fd fd = take_known(me, ctx);
    if (tina_fd_is_none(fd))
        return;
    tina_status status = tina_fd_give(ctx, whom, fd);
    mix(status);
    counts.given += status == TINA_OK;
    if (status != TINA_OK)
        know(me, fd);
}

static void do_close(player *me, tina_ctx *ctx)
{
    tina_fd fd = take_known(me, ctx);
    if (!tina_fd_is_none(fd))
        assert_int_equal(tina_io_start(ctx, &(tina_op){.kind = TINA_IO_CLOSE, .fd = fd}), TINA_OK);
}

static void do_transfer(tina_ctx *ctx)
{
    tina_transfer transfer;
    void *data;
    uint32_t to;
    tina_handle whom = someone(&to);
    tina_status status = tina_transfer_alloc(ctx, &transfer, &data, NULL);
    mix(status);
    if (status != TINA_OK)
        return;
    label text = {.to = to, .number = below(256), .size = (uint32_t)sizeof text + below(BYTES_MAX - sizeof text)};
    memset(data, (int)text.number, BYTES_MAX);
    memcpy(data, &text, sizeof text);
    status = tina_transfer_send(ctx, whom, transfer, text.size);
    mix(status);
    counts.transfers += status == TINA_OK;
    if (status != TINA_OK)
        tina_transfer_free(ctx, transfer);
}

static void act(player *me, tina_ctx *ctx)
{
    uint32_t whom;
    for (uint32_t i = below(4); i != 0; i--) {
        switch (below(8)) {
        case 0: do_open(me, ctx); break;
        case 1: do_close(me, ctx); break;
        case 2: do_transfer(ctx); break;
        case 3: mix(tina_send(ctx, someone(&whom), TAG_PLAIN, NULL, 0)); break;
        default: do_give(me, ctx); break;
        }
    }
}

static void take_fd(player *me, const tina_message *message)
{
    bool is_gift = !tina_handle_is_none(message->source);
    assert_true(is_gift == (message->io.status == TINA_OK));
    counts.got += is_gift;
    counts.back += !is_gift && message->io.status != TINA_SHARD_DOWN;
    counts.lost += message->io.status == TINA_SHARD_DOWN;
    if (message->io.status != TINA_SHARD_DOWN)
        know(me, message->io.fd);
    mix(message->io.status);
}

static void take_transfer(const player *me, const tina_message *message, tina_ctx *ctx)
{
    const void *data;
    size_t size;
    label text;
    assert_int_equal(tina_transfer_read(ctx, message, &data, &size), TINA_OK);
    memcpy(&text, data, sizeof text);
    assert_int_equal(text.to, me->index);
    assert_int_equal(text.size, size);
    const uint8_t *bytes = data;
    for (size_t i = sizeof text; i < size; i++)
        assert_int_equal(bytes[i], text.number);
    counts.read++;
}

static tina_effect handle(rig_actor *actor, const tina_message *message, tina_ctx *ctx)
{
    player *me = actor->data;
    mix(tina_now(ctx) ^ message->tag);
    mix(message->source.bits ^ message->size);
    if (message->tag == TINA_TAG_FD)
        take_fd(me, message);
    else if (message->tag == TINA_TAG_TRANSFER)
        take_transfer(me, message, ctx);
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (is_quiet)
        return tina_receive();
    act(me, ctx);
    uint32_t dice = below(60);
    return dice == 0 ? tina_crash(1) : dice == 1 ? tina_done() : dice == 2 ? tina_yield() : tina_receive();
}

static tina_effect begin(rig_actor *actor, tina_ctx *ctx)
{
    player *me = actor->data;
    me->known_count = 0;
    if (tina_timer_repeat(ctx, 2 * RIG_MS, TAG_TICK, NULL) != TINA_OK)
        return tina_crash(1);
    return tina_receive();
}

static void start_players(uint64_t seed, bool has_wires)
{
    static tina_channel_spec channels[] = {{0, 1, 5}, {2, -1, 30}};
    tina__prng_seed(&prng, seed);
    memset(players, 0, sizeof players);
    rig_plan_init(&plan, SHARDS, 1);
    for (uint32_t i = 0; i < PLAYERS; i++) {
        players[i].index = i;
        players[i].actor.on_init = begin;
        players[i].actor.on = handle;
        players[i].actor.data = &players[i];
        tina_child *child = rig_plan_child(&plan, i / NAMES, 0, &players[i].actor);
        child->restart = TINA_PERMANENT;
        child->name = (uint16_t)(1 + i % NAMES);
    }
    for (uint32_t i = 0; i < SHARDS; i++)
        plan.shards[i].root.restart_max = 1000000;
    plan.types[0].mailbox_capacity = 4;
    plan.spec.message_count = 12;
    plan.spec.channel_capacity = 10;
    plan.spec.fd_count = 12;
    plan.spec.shard_restart_max = 4;
    plan.spec.shard_restart_window_ns = 100 * RIG_MS;
    plan.spec.channels = channels;
    plan.spec.channel_spec_count = sizeof channels / sizeof channels[0];
    is_quiet = false;
    digest = 0;
    wired_start(&world, &plan, seed, has_wires);
}

static void heal(void)
{
    is_quiet = true;
    memset(&world.faults.rates, 0, sizeof world.faults.rates);
    if (world.has_wires)
        tina__wires_heal(&world.wires);
    atomic_fetch_add(&world.rig->shared.revive, 1);
    for (uint32_t step = 0; step < QUIET_STEPS; step++) {
        wired_round_of_all(&world);
    }
}

/* Each descriptor is somebody's, who knows it. */
static void check_quiet(void)
{
    uint32_t known = 0;
    uint32_t open = 0;
    assert_int_equal(wired_ledger(&world).on_their_way, 0);
    assert_int_equal(rig_count_in_messages(world.rig), 0);
    for (uint32_t i = 0; i < PLAYERS; i++)
        known += players[i].known_count;
    for (uint32_t i = 0; i < SHARDS; i++) {
        const tina__shard *shard = world.rig->shards[i];
        open += world.rig->backends[i].os_fd_count;
        assert_int_equal(shard->descriptors.used, world.rig->backends[i].os_fd_count);
        assert_int_equal(shard->transfers.used, 0);
        for (uint32_t k = 0; k < SHARDS; k++)
            assert_int_equal(k == i ? 0 : shard->p.peers[k].place_pool.used, 0);
    }
    assert_int_equal(known, open);
}

static uint64_t run(uint64_t seed, bool has_wires, bool has_faults, bool is_healing)
{
    start_players(seed, has_wires);
    for (uint32_t step = 0; step < STEP_COUNT; step++) {
        if (has_faults && step % 100 == 0)
            wired_draw_faults(&world, &prng);
        wired_round_of_some(&world, &prng, &counts.lives);
        counts.steps++;
    }
    if (is_healing) {
        heal();
        check_quiet();
    }
    is_quiet = true;
    wired_end(&world);
    return digest;
}

static void faults_at_any_time_leave_each_with_one_owner(void **unused)
{
    (void)unused;
    for (uint32_t i = 0; i < seed_count; i++) {
        fprintf(stderr, "seed %" PRIu64 "\n", first_seed + i);
        (void)run(first_seed + i, true, true, true);
    }
    fprintf(stderr,
            "steps %" PRIu64 ", lives %" PRIu64 ", opened %" PRIu64 ", given %" PRIu64 ", got %" PRIu64
            ", came back %" PRIu64 ", lost %" PRIu64 ", transfers %" PRIu64 ", read %" PRIu64 "\n",
            counts.steps, counts.lives, counts.opened, counts.given, counts.got, counts.back, counts.lost, counts.transfers,
            counts.read);
}

static void end_in_the_middle_of_faults_leaves_nothing(void **unused)
{
    (void)unused;
    for (uint32_t i = 0; i < seed_count; i++)
        (void)run(first_seed + i, true, true, false);
}

static void wires_without_faults_are_as_none(void **unused)
{
    (void)unused;
    for (uint32_t i = 0; i < seed_count; i++) {
        uint64_t without = run(first_seed + i, false, false, i % 2 == 0);
        assert_true(run(first_seed + i, true, false, i % 2 == 0) == without);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        first_seed = strtoull(argv[1], NULL, 0);
        seed_count = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 0) : 1;
    } else if (getrandom(&first_seed, sizeof first_seed, 0) != sizeof first_seed) {
        return EXIT_FAILURE;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gift_lost_to_chance_comes_back),
        cmocka_unit_test(gift_into_a_cut_comes_back),
        cmocka_unit_test(gift_that_is_late_arrives),
        cmocka_unit_test(gift_of_a_life_that_is_over_passes_where_everything_else_is_lost),
        cmocka_unit_test(gift_that_is_late_for_a_life_is_closed),
        cmocka_unit_test(gift_lost_on_its_way_to_a_life_that_ends_comes_back),
        cmocka_unit_test(transfer_that_is_lost_is_its_senders_shards_again),
        cmocka_unit_test(transfer_of_a_life_that_is_over_is_free_when_that_is_known),
        cmocka_unit_test(faults_at_any_time_leave_each_with_one_owner),
        cmocka_unit_test(end_in_the_middle_of_faults_leaves_nothing),
        cmocka_unit_test(wires_without_faults_are_as_none),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fprintf(stderr, "to repeat: %s %" PRIu64 " %" PRIu32 "\n", argv[0], first_seed, seed_count);
    return failed;
}
