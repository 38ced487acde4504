/* Each limit: at it, one past it, and again when there is room. Nobody else is harmed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/rig.h"

#include <string.h>

#define TAG_A (TINA_TAG_USER + 1)

static rig_plan plan;
static rig_actor a, b, c; /* of types 0, 1 and 2 */

static void prepare(void)
{
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    memset(&c, 0, sizeof c);
    rig_plan_init(&plan, 1, 4);
    rig_plan_child(&plan, 0, 0, &a);
    rig_plan_child(&plan, 0, 1, &b);
    rig_plan_child(&plan, 0, 2, &c);
}

/* Fills b's mailbox, or empties the shard of messages: counts how many got through, then tries once more, to c. */
static tina_effect send_until_refused(rig_actor *me, tina_ctx *ctx)
{
    me->act.call = 0;
    while ((me->act.status = tina_send(ctx, b.self, TAG_A, NULL, 0)) == TINA_OK)
        me->act.call++;
    me->act.is_true = tina_send(ctx, c.self, TAG_A, NULL, 0) == TINA_OK;
    return tina_receive();
}

static void mailbox_at_its_capacity_refuses_one_more(void **unused)
{
    (void)unused;
    prepare();
    plan.types[1].mailbox_capacity = 5;
    rig_system *rig = rig_start(&plan);
    for (uint32_t round = 1; round <= 3; round++) {
        rig_do(rig, &a, send_until_refused);
        assert_int_equal(a.act.call, 5);
        assert_int_equal(a.act.status, TINA_MAILBOX_FULL);
        assert_true(a.act.is_true);
        assert_int_equal(b.seen_count, 5 * round);
        assert_int_equal(c.seen_count, round);
        assert_int_equal(rig_stats(rig, 0).mailbox_full, round);
    }
    rig_end(rig);
}

static void message_pool_that_is_empty_refuses_one_more(void **unused)
{
    (void)unused;
    prepare();
    plan.spec.message_count = 20;
    rig_system *rig = rig_start(&plan);
    for (uint32_t round = 1; round <= 3; round++) {
        rig_do(rig, &a, send_until_refused);
        assert_int_equal(a.act.call, 19); /* the order to send is the twentieth */
        assert_int_equal(a.act.status, TINA_POOL_EXHAUSTED);
        assert_false(a.act.is_true);
        assert_int_equal(rig_stats(rig, 0).pool_exhausted, 2 * round);
        assert_int_equal(rig_stats(rig, 0).messages.peak, 20);
        assert_int_equal(rig_stats(rig, 0).messages.used, 0);
    }
    rig_end(rig);
}

static tina_effect send_sizes_and_tags(rig_actor *me, tina_ctx *ctx)
{
    static const uint8_t bytes[TINA_PAYLOAD_MAX + 1];
    void *payload;
    assert_int_equal(tina_send(ctx, me->act.to, TAG_A, bytes, TINA_PAYLOAD_MAX), TINA_OK);
    assert_int_equal(tina_send(ctx, me->act.to, TAG_A, bytes, TINA_PAYLOAD_MAX + 1), TINA_INVALID);
    assert_int_equal(tina_send(ctx, me->act.to, TAG_A, NULL, 1), TINA_INVALID);
    assert_int_equal(tina_send(ctx, me->act.to, TINA_TAG_USER, NULL, 0), TINA_OK);
    assert_int_equal(tina_send(ctx, me->act.to, TINA_TAG_USER - 1, NULL, 0), TINA_INVALID);
    assert_int_equal(tina_send(ctx, me->act.to, TINA_TAG_TIMER, NULL, 0), TINA_INVALID);
    assert_int_equal(tina_send(ctx, me->act.to, 0, NULL, 0), TINA_INVALID);
    assert_int_equal(tina_send_begin(ctx, me->act.to, TAG_A, TINA_PAYLOAD_MAX + 1, &payload), TINA_INVALID);
    assert_int_equal(tina_send_begin(ctx, me->act.to, TINA_TAG_USER - 1, 1, &payload), TINA_INVALID);
    assert_int_equal(tina_call_start(ctx, me->act.to, TAG_A, bytes, TINA_PAYLOAD_MAX + 1, 0, NULL), TINA_INVALID);
    assert_int_equal(tina_call_start(ctx, me->act.to, TINA_TAG_USER - 1, NULL, 0, 0, NULL), TINA_INVALID);
    assert_int_equal(tina_timer_start(ctx, 0, TINA_TAG_USER - 1, NULL), TINA_INVALID);
    assert_int_equal(tina_timer_repeat(ctx, 0, TAG_A, NULL), TINA_INVALID);
    assert_int_equal(tina_timer_repeat(ctx, 1, TINA_TAG_SHUTDOWN, NULL), TINA_INVALID);
    tina_handle no_shard = {0xFEull << 56 | me->act.to.bits};
    assert_int_equal(tina_send(ctx, no_shard, TAG_A, NULL, 0), TINA_INVALID);
    return tina_receive();
}

static void payload_and_tag_past_their_limits_are_invalid(void **unused)
{
    (void)unused;
    prepare();
    rig_system *rig = rig_start(&plan);
    a.act.to = b.self;
    rig_do(rig, &a, send_sizes_and_tags);
    assert_int_equal(b.seen_count, 2);
    assert_int_equal(rig_saw(&b, 0)->size, TINA_PAYLOAD_MAX);
    assert_int_equal(rig_stats(rig, 0).messages.used, 0);
    rig_end(rig);
}

static tina_effect start_timers_until_refused(rig_actor *me, tina_ctx *ctx)
{
    me->act.call = 0;
    while ((me->act.status = tina_timer_start(ctx, RIG_MS, TAG_A, NULL)) == TINA_OK)
        me->act.call++;
    assert_int_equal(tina_timer_repeat(ctx, RIG_MS, TAG_A, NULL), TINA_POOL_EXHAUSTED);
    assert_int_equal(tina_call_start(ctx, b.self, TAG_A, NULL, 0, 0, NULL), TINA_POOL_EXHAUSTED);
    return tina_call(ctx, b.self, TAG_A, NULL, 0, 0);
}

static void timer_pool_that_is_empty_refuses_timers_and_calls(void **unused)
{
    (void)unused;
    prepare();
    plan.spec.timer_count = 10;
    rig_system *rig = rig_start(&plan);
    for (uint32_t round = 1; round <= 3; round++) {
        rig_forget(&a);
        rig_do(rig, &a, start_timers_until_refused);
        assert_int_equal(a.act.call, 10);
        assert_int_equal(a.act.status, TINA_POOL_EXHAUSTED);
        assert_int_equal(rig_saw_last(&a)->tag, TINA_TAG_CALL_FAILED);
        assert_int_equal(rig_saw_last(&a)->status, TINA_POOL_EXHAUSTED);
        assert_int_equal(rig_stats(rig, 0).pool_exhausted, 4 * round);
        rig_advance(rig, 3 * RIG_MS);
        assert_int_equal(a.seen_count, 11);
        assert_int_equal(rig_stats(rig, 0).timers.used, 0);
    }
    assert_int_equal(b.seen_count, 0);
    rig_end(rig);
}

/* ---- Transfers ------------------------------------------------------------------------------------ */

static tina_transfer transfers[8];

static tina_effect alloc_until_refused(rig_actor *me, tina_ctx *ctx)
{
    void *data;
    size_t capacity;
    me->act.call = 0;
    while ((me->act.status = tina_transfer_alloc(ctx, &transfers[me->act.call], &data, &capacity)) == TINA_OK) {
        assert_int_equal(capacity, 4096);
        memset(data, (int)me->act.call, capacity);
        me->act.call++;
    }
    return tina_receive();
}

static tina_effect send_and_free_transfers(rig_actor *me, tina_ctx *ctx)
{
    assert_int_equal(tina_transfer_send(ctx, b.self, transfers[0], 4097), TINA_INVALID);
    assert_int_equal(tina_transfer_send(ctx, me->act.to, transfers[0], 1), TINA_STALE_HANDLE);
    assert_int_equal(tina_transfer_send(ctx, tina__handle_make(200, 0, 0, 1), transfers[0], 1), TINA_INVALID);
    assert_int_equal(tina_transfer_send(ctx, b.self, transfers[0], 4096), TINA_OK);
    assert_int_equal(tina_transfer_send(ctx, b.self, transfers[0], 1), TINA_NOT_OWNER);
    tina_transfer_free(ctx, transfers[0]); /* the receiver's: ignored */
    tina_transfer_free(ctx, transfers[1]);
    tina_transfer_free(ctx, transfers[1]);
    assert_int_equal(tina_transfer_send(ctx, b.self, transfers[1], 1), TINA_STALE_HANDLE);
    return tina_receive();
}

static tina_effect steal_transfer(rig_actor *me, tina_ctx *ctx)
{
    tina_transfer_free(ctx, transfers[2]);
    me->act.status = tina_transfer_send(ctx, b.self, transfers[2], 1);
    return tina_receive();
}

static tina_effect read_transfer(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    const void *data;
    size_t size;
    if (message->tag != TINA_TAG_TRANSFER) {
        assert_int_equal(tina_transfer_read(ctx, message, &data, &size), TINA_INVALID);
        return message->tag == TINA_TAG_SHUTDOWN ? tina_done() : tina_receive();
    }
    assert_int_equal(tina_transfer_read(ctx, message, &data, &size), TINA_OK);
    me->act.size = size;
    me->act.call = *(const uint8_t *)data;
    return tina_receive();
}

static void transfer_pool_that_is_empty_refuses_one_more(void **unused)
{
    (void)unused;
    prepare();
    rig_system *rig = rig_start(&plan);
    b.on = read_transfer;
    rig_do(rig, &a, alloc_until_refused);
    assert_int_equal(a.act.call, 4);
    assert_int_equal(a.act.status, TINA_POOL_EXHAUSTED);
    assert_int_equal(rig_stats(rig, 0).pool_exhausted, 1);
    rig_do(rig, &c, steal_transfer);
    assert_int_equal(c.act.status, TINA_NOT_OWNER);
    a.act.to = (tina_handle){a.self.bits ^ 1};
    rig_do(rig, &a, send_and_free_transfers);
    assert_int_equal(b.act.size, 4096);
    assert_int_equal(b.act.call, 0);
    assert_int_equal(rig_stats(rig, 0).transfers.used, 2);
    rig_do(rig, &a, alloc_until_refused);
    assert_int_equal(a.act.call, 2);
    rig_crash(rig, &a); /* takes what it was writing along */
    assert_int_equal(rig_stats(rig, 0).transfers.used, 0);
    rig_do(rig, &c, alloc_until_refused);
    assert_int_equal(c.act.call, 4);
    rig_end(rig);
}

static tina_message kept_message;

static tina_effect keep_and_read_again(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    const void *data;
    size_t size;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (me->seen_count > 1)
        assert_int_equal(tina_transfer_read(ctx, &kept_message, &data, &size), TINA_STALE_HANDLE);
    if (message->tag != TINA_TAG_TRANSFER)
        return tina_receive();
    assert_int_equal(tina_transfer_read(ctx, message, &data, &size), TINA_OK);
    assert_int_equal(size, 10);
    kept_message = *message;
    return tina_receive();
}

static tina_effect send_one_transfer(rig_actor *me, tina_ctx *ctx)
{
    tina_transfer transfer;
    void *data;
    (void)me;
    assert_int_equal(tina_transfer_alloc(ctx, &transfer, &data, NULL), TINA_OK);
    assert_int_equal(tina_transfer_send(ctx, b.self, transfer, 10), TINA_OK);
    return tina_receive();
}

static void transfer_that_was_handled_before_is_stale(void **unused)
{
    (void)unused;
    prepare();
    plan.spec.transfer_count = 1; /* the same slot each time */
    rig_system *rig = rig_start(&plan);
    b.on = keep_and_read_again;
    rig_do(rig, &a, send_one_transfer);
    assert_int_equal(rig_send(rig, &a, b.self, TAG_A, 0), TINA_OK);
    rig_do(rig, &a, send_one_transfer);
    assert_int_equal(b.seen_count, 3);
    assert_int_equal(rig_stats(rig, 0).transfers.used, 0);
    rig_end(rig);
}

static tina_effect send_transfer_and_end_receiver(rig_actor *me, tina_ctx *ctx)
{
    void *data;
    (void)me;
    assert_int_equal(tina_send(ctx, b.self, TAG_A, NULL, 0), TINA_OK);
    assert_int_equal(tina_transfer_alloc(ctx, &transfers[0], &data, NULL), TINA_OK);
    assert_int_equal(tina_transfer_send(ctx, b.self, transfers[0], 10), TINA_OK);
    return tina_receive();
}

static tina_effect done_at_once(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    (void)me;
    (void)message;
    (void)ctx;
    return tina_done();
}

static void transfer_whose_receiver_ends_is_taken_back(void **unused)
{
    (void)unused;
    prepare();
    rig_system *rig = rig_start(&plan);
    b.on = done_at_once;
    rig_do(rig, &a, send_transfer_and_end_receiver);
    assert_int_equal(rig_stats(rig, 0).transfers.used, 0);
    assert_int_equal(rig_stats(rig, 0).died_with_owner, 1);
    rig_end(rig);
}

/* ---- Children ---------------------------------------------------------------------------------------- */

static tina_effect spawn_until_refused(rig_actor *me, tina_ctx *ctx)
{
    me->act.call = 0;
    while ((me->act.status = tina_spawn_child(ctx, &me->act.spawn, &me->act.child)) == TINA_OK)
        me->act.call++;
    return tina_receive();
}

static tina_effect end_child(rig_actor *me, tina_ctx *ctx)
{
    assert_int_equal(tina_send(ctx, me->act.child, TAG_A, NULL, 0), TINA_OK);
    return tina_receive();
}

static void slots_that_are_all_taken_are_arena_full(void **unused)
{
    (void)unused;
    prepare();
    plan.types[3].slot_count = 6;
    static rig_actor child;
    memset(&child, 0, sizeof child);
    child.on = done_at_once;
    rig_actor *args = &child;
    rig_system *rig = rig_start(&plan);
    a.act.spawn = (tina_spawn){.type = 3, .args = &args, .args_size = sizeof args};
    rig_do(rig, &a, spawn_until_refused);
    assert_int_equal(a.act.call, 6);
    assert_int_equal(a.act.status, TINA_ARENA_FULL);
    a.act.child = child.self;
    rig_do(rig, &a, end_child);
    rig_do(rig, &a, spawn_until_refused);
    assert_int_equal(a.act.call, 1);
    a.act.spawn.group = TINA_GROUP_NONE;
    rig_do(rig, &a, spawn_until_refused);
    assert_int_equal(a.act.call, 0);
    assert_int_equal(a.act.status, TINA_ARENA_FULL);
    rig_end(rig);
}

static void group_at_its_most_dynamic_children_is_group_full(void **unused)
{
    (void)unused;
    prepare();
    plan.shards[0].root.dynamic_max = 5;
    static rig_actor child;
    memset(&child, 0, sizeof child);
    child.on = done_at_once;
    rig_actor *args = &child;
    rig_system *rig = rig_start(&plan);
    for (int round = 0; round < 3; round++) {
        a.act.spawn = (tina_spawn){.type = 3, .args = &args, .args_size = sizeof args};
        rig_do(rig, &a, spawn_until_refused);
        assert_int_equal(a.act.call, round == 0 ? 5 : 1);
        assert_int_equal(a.act.status, TINA_GROUP_FULL);
        a.act.child = child.self;
        rig_do(rig, &a, end_child);
    }
    /* Nobody's children are not in the group. */
    a.act.spawn.group = TINA_GROUP_NONE;
    rig_do(rig, &a, spawn_until_refused);
    assert_int_equal(a.act.status, TINA_ARENA_FULL);
    assert_int_equal(a.act.call, 12);
    rig_end(rig);
}

static uint8_t long_args[TINA_ARGS_MAX + 1];
static size_t got_args;

static tina_effect note_args(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self;
    (void)ctx;
    got_args = args_size;
    return args_size == 0 || (memcmp(args, long_args, args_size) == 0 && (uintptr_t)args % 16 == 0) ? tina_receive()
                                                                                                    : tina_crash(1);
}

static tina_effect shut_down(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self;
    (void)ctx;
    return message->tag == TINA_TAG_SHUTDOWN ? tina_done() : tina_crash(0);
}

static void arguments_past_their_size_are_invalid(void **unused)
{
    (void)unused;
    prepare();
    plan.types[3].init = note_args;
    plan.types[3].handler = shut_down;
    for (size_t i = 0; i < sizeof long_args; i++)
        long_args[i] = (uint8_t)i;
    rig_system *rig = rig_start(&plan);
    tina_spawn spawn = {.type = 3, .args = long_args, .args_size = TINA_ARGS_MAX};
    assert_int_equal(rig_spawn(rig, &a, &spawn), TINA_OK);
    assert_int_equal(got_args, TINA_ARGS_MAX);
    spawn.restart = TINA_PERMANENT;
    assert_int_equal(rig_spawn(rig, &a, &spawn), TINA_OK);
    assert_int_equal(rig_send(rig, &a, a.act.child, TAG_A, 0), TINA_OK); /* crashes, comes back with the same */
    assert_int_equal(rig_stats(rig, 0).restarts, 1);
    spawn.args_size = TINA_ARGS_MAX + 1;
    assert_int_equal(rig_spawn(rig, &a, &spawn), TINA_INVALID);
    spawn = (tina_spawn){.type = 3, .args_size = 1};
    assert_int_equal(rig_spawn(rig, &a, &spawn), TINA_INVALID);
    spawn = (tina_spawn){.type = 4};
    assert_int_equal(rig_spawn(rig, &a, &spawn), TINA_INVALID);
    spawn = (tina_spawn){.type = 3, .restart = TINA_TEMPORARY + 1};
    assert_int_equal(rig_spawn(rig, &a, &spawn), TINA_INVALID);
    spawn = (tina_spawn){.type = 3, .handoff = TINA_HANDOFF_WRITE + 1};
    assert_int_equal(rig_spawn(rig, &a, &spawn), TINA_INVALID);
    spawn = (tina_spawn){.type = 3, .group = 77};
    assert_int_equal(rig_spawn(rig, &a, &spawn), TINA_INVALID);
    spawn = (tina_spawn){.type = 3, .group = TINA_GROUP_NONE, .restart = TINA_PERMANENT};
    assert_int_equal(rig_spawn(rig, &a, &spawn), TINA_INVALID);
    rig_end(rig);
}

/* ---- Inits in inits ----------------------------------------------------------------------------------- */

static uint32_t deepest;
static tina_status deepest_status;

static tina_effect spawn_deeper(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self;
    (void)args_size;
    uint32_t depth = *(const uint32_t *)args + 1;
    uint8_t *scratch = tina_scratch(ctx, 64);
    assert_non_null(scratch);
    memset(scratch, (int)depth, 64);
    if (depth > deepest)
        deepest = depth;
    tina_spawn spawn = {.type = 3, .args = &depth, .args_size = sizeof depth};
    tina_status status = tina_spawn_child(ctx, &spawn, NULL);
    if (depth == deepest)
        deepest_status = status;
    for (uint32_t i = 0; i < 64; i++)
        assert_int_equal(scratch[i], depth); /* the deeper ones had their own */
    return tina_receive();
}

static void inits_in_inits_go_eight_deep(void **unused)
{
    (void)unused;
    prepare();
    plan.types[3].init = spawn_deeper;
    plan.types[3].handler = shut_down;
    plan.types[3].scratch_max = 64;
    rig_system *rig = rig_start(&plan);
    uint32_t depth = 0;
    tina_spawn spawn = {.type = 3, .args = &depth, .args_size = sizeof depth};
    deepest = 0;
    assert_int_equal(rig_spawn(rig, &a, &spawn), TINA_OK);
    assert_int_equal(deepest, 8);
    assert_int_equal(deepest_status, TINA_INVALID);
    assert_int_equal(rig->shards[0]->live_count, 3 + 8);
    rig_end(rig);
}

/* ---- Memory ------------------------------------------------------------------------------------------------ */

static tina_effect take_scratch(rig_actor *me, tina_ctx *ctx)
{
    (void)me;
    uint8_t *first = tina_scratch(ctx, 100);
    uint8_t *second = tina_scratch(ctx, 100);
    assert_non_null(first);
    assert_non_null(second);
    assert_int_equal((uintptr_t)first % 16, 0);
    assert_int_equal((uintptr_t)second % 16, 0);
    assert_true(second >= first + 100);
    assert_null(tina_scratch(ctx, 257 - 224));
    assert_null(tina_scratch(ctx, SIZE_MAX));
    uint8_t *last = tina_scratch(ctx, 256 - 224);
    assert_non_null(last);
    memset(first, 1, 256);
    assert_null(tina_scratch(ctx, 1));
    return tina_receive();
}

static void scratch_at_its_limit_gives_no_more_until_the_next_call(void **unused)
{
    (void)unused;
    prepare();
    plan.types[0].scratch_max = 256;
    rig_system *rig = rig_start(&plan);
    for (int i = 0; i < 3; i++)
        rig_do(rig, &a, take_scratch);
    rig_end(rig);
}

static tina_effect take_all_scratch(rig_actor *me, tina_ctx *ctx)
{
    (void)me;
    assert_null(tina_scratch(ctx, 4097));
    void *all = tina_scratch(ctx, 4096);
    assert_non_null(all);
    memset(all, 1, 4096);
    assert_null(tina_scratch(ctx, 1));
    return tina_receive();
}

static void scratch_without_a_limit_of_the_type_is_all_of_the_shards(void **unused)
{
    (void)unused;
    prepare();
    rig_system *rig = rig_start(&plan);
    rig_do(rig, &a, take_all_scratch);
    rig_end(rig);
}

static uint8_t *kept;

static tina_effect take_working(rig_actor *me, tina_ctx *ctx)
{
    (void)me;
    kept = tina_working(ctx, 50);
    assert_non_null(kept);
    assert_int_equal((uintptr_t)kept % 16, 0);
    for (int i = 0; i < 50; i++)
        assert_int_equal(kept[i], 0);
    memset(kept, 0xEE, 50);
    assert_null(tina_working(ctx, 101 - 64));
    assert_null(tina_working(ctx, SIZE_MAX));
    uint8_t *more = tina_working(ctx, 100 - 64);
    assert_non_null(more);
    memset(more, 0xEE, 100 - 64);
    return tina_receive();
}

static tina_effect look_at_working_and_reset(rig_actor *me, tina_ctx *ctx)
{
    (void)me;
    assert_int_equal(kept[49], 0xEE);
    assert_null(tina_working(ctx, 16));
    tina_working_reset(ctx);
    return tina_receive();
}

static tina_effect have_no_working(rig_actor *me, tina_ctx *ctx)
{
    (void)me;
    assert_null(tina_working(ctx, 1));
    tina_working_reset(ctx);
    return tina_receive();
}

static void working_memory_lasts_until_the_reset_or_the_end(void **unused)
{
    (void)unused;
    prepare();
    plan.types[0].working_size = 100;
    plan.children[0][0].restart = TINA_PERMANENT;
    rig_system *rig = rig_start(&plan);
    rig_do(rig, &a, take_working);
    rig_do(rig, &a, look_at_working_and_reset);
    rig_do(rig, &a, take_working); /* zeroed again */
    rig_crash(rig, &a);
    rig_do(rig, &a, take_working);
    rig_do(rig, &b, have_no_working);
    rig_end(rig);
}

/* ---- I/O --------------------------------------------------------------------------------------------------- */

static tina_effect open_until_refused(rig_actor *me, tina_ctx *ctx)
{
    me->act.call = 0;
    while ((me->act.status = tina_socket(ctx, TINA_IPV6, TINA_STREAM, &me->act.fd)) == TINA_OK)
        me->act.call++;
    assert_int_equal(tina_socket(ctx, 99, TINA_STREAM, &me->act.fd), TINA_INVALID);
    return tina_receive();
}

static void descriptors_that_are_all_open_refuse_one_more(void **unused)
{
    (void)unused;
    prepare();
    rig_system *rig = rig_start(&plan);
    tina_fd first = rig_socket(rig, &a);
    rig_do(rig, &a, open_until_refused);
    assert_int_equal(a.act.call, 15);
    assert_int_equal(a.act.status, TINA_POOL_EXHAUSTED);
    tina_op accept = {.kind = TINA_IO_ACCEPT, .fd = first};
    assert_int_equal(rig_io_start(rig, &a, &accept), TINA_POOL_EXHAUSTED);
    rig_io(rig, &a, &accept);
    assert_int_equal(rig_saw_last(&a)->status, TINA_POOL_EXHAUSTED);
    assert_int_equal(rig_stats(rig, 0).ops.used, 0);
    tina_op close = {.kind = TINA_IO_CLOSE, .fd = a.act.fd};
    rig_io(rig, &a, &close);
    rig_crash(rig, &a);
    assert_int_equal(rig_stats(rig, 0).fds.used, 0);
    rig_do(rig, &b, open_until_refused);
    assert_int_equal(b.act.call, 16);
    rig_end(rig);
}

static void operations_that_are_all_under_way_refuse_one_more(void **unused)
{
    (void)unused;
    prepare();
    plan.spec.op_count = 2;
    rig_system *rig = rig_start(&plan);
    tina_fd fds[3];
    for (size_t i = 0; i < 3; i++)
        fds[i] = rig_socket(rig, &a);
    tina_op op = {.kind = TINA_IO_RECV};
    for (size_t i = 0; i < 3; i++) {
        op.fd = fds[i];
        assert_int_equal(rig_io_start(rig, &a, &op), i < 2 ? TINA_OK : TINA_POOL_EXHAUSTED);
    }
    rig_io(rig, &a, &op);
    assert_int_equal(rig_saw_last(&a)->status, TINA_POOL_EXHAUSTED);
    rig_io_cancel(rig, &a, fds[0], TINA_READ_HALF);
    assert_int_equal(rig_io_start(rig, &a, &op), TINA_OK);
    rig_end(rig);
}

static tina_effect start_again(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    tina_op op = {.kind = TINA_IO_RECV, .fd = message->io.fd};
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (message->tag == TINA_IO_RECV)
        me->act.status = tina_io_start(ctx, &op);
    return tina_receive();
}

static tina_effect answer_calls(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    (void)me;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    return tina_is_call(message) ? tina_reply(ctx, TINA_TAG_USER, "an answer", 9) : tina_receive();
}

/* Calls once more for each answer. */
static tina_effect ask_again(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (++me->act.call > 5)
        return tina_receive();
    uint32_t call = 0;
    tina_status called = tina_call_start(ctx, me->act.to, TINA_TAG_USER, NULL, 0, 0, &call);
    bool is_answer = message->size == 9;
    assert_true(!is_answer || memcmp(message->payload, "an answer", 9) == 0);
    assert_int_equal(called, TINA_OK);
    return tina_receive();
}

static void answer_that_is_handled_has_left_its_place(void **unused)
{
    (void)unused;
    prepare();
    plan.spec.timer_count = 1;
    rig_system *rig = rig_start(&plan);
    a.on = ask_again;
    b.on = answer_calls;
    a.act.to = b.self;
    a.act.call = 0;
    assert_int_equal(rig_send(rig, &b, a.self, TINA_TAG_USER, 0), TINA_OK);
    rig_settle(rig);
    assert_true(a.act.call > 5);
    assert_int_equal(rig_stats(rig, 0).timers.used, 0);
    rig_end(rig);
}

/* What is being handled is over: of a pool that is used up there is one more. */
static void operation_that_is_handled_has_left_its_place(void **unused)
{
    (void)unused;
    prepare();
    plan.spec.op_count = 2;
    rig_system *rig = rig_start(&plan);
    tina_op op = {.kind = TINA_IO_RECV};
    for (size_t i = 0; i < 2; i++) {
        op.fd = rig_socket(rig, &a);
        assert_int_equal(rig_io_start(rig, &a, &op), TINA_OK);
    }
    a.on = start_again;
    for (size_t i = 0; i < 5; i++) {
        a.act.status = TINA_INVALID;
        rig_io_cancel(rig, &a, op.fd, TINA_READ_HALF);
        assert_int_equal(a.act.status, TINA_OK);
        assert_int_equal(rig_stats(rig, 0).ops.used, 2);
    }
    rig_end(rig);
}

static tina_effect open_again(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (message->tag == TINA_IO_CLOSE)
        me->act.status = tina_socket(ctx, TINA_IPV4, TINA_STREAM, &me->act.fd);
    return tina_receive();
}

static void descriptor_whose_close_is_handled_has_left_its_place(void **unused)
{
    (void)unused;
    prepare();
    rig_system *rig = rig_start(&plan);
    rig_do(rig, &a, open_until_refused);
    a.on = open_again;
    for (size_t i = 0; i < 5; i++) {
        tina_op close = {.kind = TINA_IO_CLOSE, .fd = a.act.fd};
        a.act.status = TINA_INVALID;
        rig_io(rig, &a, &close);
        assert_int_equal(a.act.status, TINA_OK);
    }
    rig_end(rig);
}

static void spec_without_descriptors_refuses_all_io(void **unused)
{
    (void)unused;
    prepare();
    plan.spec.fd_count = TINA_NONE;
    plan.spec.op_count = TINA_NONE;
    plan.spec.buffer_count = TINA_NONE;
    rig_system *rig = rig_start(&plan);
    rig_do(rig, &a, open_until_refused);
    assert_int_equal(a.act.call, 0);
    tina_op op = {.kind = TINA_IO_RECV, .fd = {1}};
    assert_int_equal(rig_io_start(rig, &a, &op), TINA_POOL_EXHAUSTED);
    rig_io(rig, &a, &op);
    assert_int_equal(rig_saw_last(&a)->status, TINA_POOL_EXHAUSTED);
    rig_end(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mailbox_at_its_capacity_refuses_one_more),
        cmocka_unit_test(message_pool_that_is_empty_refuses_one_more),
        cmocka_unit_test(payload_and_tag_past_their_limits_are_invalid),
        cmocka_unit_test(timer_pool_that_is_empty_refuses_timers_and_calls),
        cmocka_unit_test(transfer_pool_that_is_empty_refuses_one_more),
        cmocka_unit_test(transfer_whose_receiver_ends_is_taken_back),
        cmocka_unit_test(slots_that_are_all_taken_are_arena_full),
        cmocka_unit_test(group_at_its_most_dynamic_children_is_group_full),
        cmocka_unit_test(arguments_past_their_size_are_invalid),
        cmocka_unit_test(inits_in_inits_go_eight_deep),
        cmocka_unit_test(scratch_at_its_limit_gives_no_more_until_the_next_call),
        cmocka_unit_test(scratch_without_a_limit_of_the_type_is_all_of_the_shards),
        cmocka_unit_test(working_memory_lasts_until_the_reset_or_the_end),
        cmocka_unit_test(descriptors_that_are_all_open_refuse_one_more),
        cmocka_unit_test(operations_that_are_all_under_way_refuse_one_more),
        cmocka_unit_test(answer_that_is_handled_has_left_its_place),
        cmocka_unit_test(operation_that_is_handled_has_left_its_place),
        cmocka_unit_test(descriptor_whose_close_is_handled_has_left_its_place),
        cmocka_unit_test(spec_without_descriptors_refuses_all_io),
        cmocka_unit_test(transfer_that_was_handled_before_is_stale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
