/* Watches: on one shard and between two, every way that one can end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/rig.h"

#include <string.h>

#define TAG_ASK    (TINA_TAG_USER + 1)
#define TAG_ANSWER (TINA_TAG_USER + 2)
#define TAG_NOISE  (TINA_TAG_USER + 3)
#define NAME       7
#define DOWNS_MAX  8

/* A watcher: what it was told. */
typedef struct notices {
    uint32_t count;
    tina_down downs[DOWNS_MAX];
} notices;

static rig_plan plan;
static rig_actor watcher, other, target; /* other: with the watcher */
static notices told_watcher, told_other;
static uint8_t there; /* the target's shard */

static tina_effect note_down(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    (void)ctx;
    notices *told = me->data;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (message->tag != TINA_TAG_DOWN)
        return tina_receive();
    assert_int_equal(message->size, sizeof(tina_down));
    assert_int_equal(message->source.bits, 0);
    assert_int_equal(message->correlation, 0);
    assert_true(told->count < DOWNS_MAX);
    memcpy(&told->downs[told->count++], message->payload, sizeof(tina_down));
    return tina_receive();
}

static void prepare(uint8_t target_shard)
{
    memset(&watcher, 0, sizeof watcher);
    memset(&other, 0, sizeof other);
    memset(&target, 0, sizeof target);
    memset(&told_watcher, 0, sizeof told_watcher);
    memset(&told_other, 0, sizeof told_other);
    watcher.on = note_down;
    watcher.data = &told_watcher;
    other.on = note_down;
    other.data = &told_other;
    there = target_shard;
    rig_plan_init(&plan, 2, 2);
    plan.spec.watch_count = 8;
    rig_plan_child(&plan, 0, 1, &watcher);
    rig_plan_child(&plan, 0, 1, &other);
    rig_plan_child(&plan, target_shard, 0, &target)->name = NAME;
}

static void expect_down(const notices *told, uint32_t index, tina_handle who, tina_end end, uint8_t reason)
{
    assert_true(index < told->count);
    assert_true(tina_handle_equal(told->downs[index].who, who));
    assert_int_equal(told->downs[index].end, end);
    assert_int_equal(told->downs[index].reason, reason);
}

/* At rest nothing is held, for so many watches that go on. */
static void expect_watches(rig_system *rig, uint32_t count)
{
    uint32_t used = 0;
    uint32_t owed = 0;
    for (size_t i = 0; i < rig->shard_count; i++) {
        const tina__shard *shard = rig->shards[i];
        used += shard->watches.used;
        for (uint32_t k = 0; k < shard->p.owed_count; k++)
            owed += shard->p.owed[k].isolate != TINA__NONE;
        for (size_t k = 0; k < rig->shard_count; k++)
            if (k != i)
                assert_int_equal(shard->p.peers[k].place_pool.used, i == 0 && there != 0 ? count : 0);
    }
    assert_int_equal(used, count);
    assert_int_equal(owed, count);
    rig_check_ledger(rig);
}

/* So many notices are mail, and their targets' sides are over. */
static void expect_watches_mailed(const rig_system *rig, uint32_t count)
{
    assert_int_equal(rig->shards[0]->watches.used, count);
    for (size_t i = 0; i < rig->shard_count; i++) {
        for (uint32_t k = 0; k < rig->shards[i]->p.owed_count; k++)
            assert_true(rig->shards[i]->p.owed[k].isolate == TINA__NONE || !rig->shards[i]->p.owed[k].is_watch);
    }
}

static tina_effect unwatch_it(rig_actor *me, tina_ctx *ctx)
{
    tina_unwatch(ctx, me->act.to);
    return tina_receive();
}

static tina_effect end_it(rig_actor *me, tina_ctx *ctx)
{
    (void)me;
    (void)ctx;
    return tina_done();
}

/* Each case runs with the target on the watcher's shard, and on another. */
#define BOTH(name)                                                                                                          \
    static void name(void **unused)                                                                                         \
    {                                                                                                                       \
        (void)unused;                                                                                                       \
        for (uint8_t shard = 0; shard < 2; shard++) {                                                                       \
            prepare(shard);                                                                                                 \
            name##_case();                                                                                                  \
        }                                                                                                                   \
    }

/* ---- What is told ----------------------------------------------------------------------------- */

static void watch_of_one_that_is_done_tells_it_once_case(void)
{
    rig_system *rig = rig_start(&plan);
    tina_handle who = target.self;
    assert_int_equal(rig_watch(rig, &watcher, who), TINA_OK);
    rig_settle(rig);
    assert_int_equal(watcher.seen_count, 0);
    expect_watches(rig, 1);
    rig_done(rig, &target);
    assert_int_equal(watcher.seen_count, 1);
    expect_down(&told_watcher, 0, who, TINA_END_DONE, 0);
    expect_watches(rig, 0);
    rig_end(rig);
}
BOTH(watch_of_one_that_is_done_tells_it_once)

static void watch_of_one_that_crashes_tells_its_reason_case(void)
{
    rig_system *rig = rig_start(&plan);
    tina_handle who = target.self;
    target.act.reason = 201;
    assert_int_equal(rig_watch(rig, &watcher, who), TINA_OK);
    rig_crash(rig, &target);
    assert_int_equal(told_watcher.count, 1);
    expect_down(&told_watcher, 0, who, TINA_END_CRASH, 201);
    rig_end(rig);
}
BOTH(watch_of_one_that_crashes_tells_its_reason)

static void watch_by_several_tells_each_case(void)
{
    rig_system *rig = rig_start(&plan);
    tina_handle who = target.self;
    assert_int_equal(rig_watch(rig, &watcher, who), TINA_OK);
    assert_int_equal(rig_watch(rig, &other, who), TINA_OK);
    expect_watches(rig, 2);
    rig_done(rig, &target);
    assert_int_equal(told_watcher.count, 1);
    assert_int_equal(told_other.count, 1);
    expect_watches(rig, 0);
    rig_end(rig);
}
BOTH(watch_by_several_tells_each)

static void watch_again_is_one_watch_case(void)
{
    rig_system *rig = rig_start(&plan);
    for (int i = 0; i < 20; i++)
        assert_int_equal(rig_watch(rig, &watcher, target.self), TINA_OK);
    expect_watches(rig, 1);
    rig_done(rig, &target);
    assert_int_equal(watcher.seen_count, 1);
    rig_end(rig);
}
BOTH(watch_again_is_one_watch)

static void watch_of_one_that_is_gone_tells_so_at_once_case(void)
{
    rig_system *rig = rig_start(&plan);
    tina_handle gone = target.self;
    tina_handle never = tina__handle_make(there, 0, 15, 1);
    tina_handle no_type = tina__handle_make(there, 77, 0, 1);
    rig_done(rig, &target);
    assert_int_equal(rig_watch(rig, &watcher, gone), TINA_OK);
    assert_int_equal(rig_watch(rig, &watcher, never), TINA_OK);
    assert_int_equal(rig_watch(rig, &watcher, no_type), TINA_OK);
    assert_int_equal(told_watcher.count, 3);
    expect_down(&told_watcher, 0, gone, TINA_END_GONE, 0);
    expect_down(&told_watcher, 1, never, TINA_END_GONE, 0);
    expect_down(&told_watcher, 2, no_type, TINA_END_GONE, 0);
    expect_watches(rig, 0);
    rig_end(rig);
}
BOTH(watch_of_one_that_is_gone_tells_so_at_once)

static void watch_of_a_name_means_who_has_it_case(void)
{
    plan.children[there][there == 0 ? 2 : 0].restart = TINA_PERMANENT;
    rig_system *rig = rig_start(&plan);
    tina_handle name = tina_named(there, NAME);
    tina_handle first = target.self;
    assert_int_equal(rig_watch(rig, &watcher, name), TINA_OK);
    assert_int_equal(rig_watch(rig, &watcher, first), TINA_OK); /* another watch: told as it was passed */
    expect_watches(rig, 2);
    rig_crash(rig, &target);
    assert_int_equal(target.init_count, 2);
    assert_int_equal(told_watcher.count, 2);
    bool is_name_first = tina_handle_equal(told_watcher.downs[0].who, name);
    expect_down(&told_watcher, is_name_first ? 0 : 1, name, TINA_END_CRASH, 0);
    expect_down(&told_watcher, is_name_first ? 1 : 0, first, TINA_END_CRASH, 0);
    assert_int_equal(rig_watch(rig, &watcher, name), TINA_OK); /* now of its next life */
    expect_watches(rig, 1);
    rig_crash(rig, &target);
    expect_down(&told_watcher, 2, name, TINA_END_CRASH, 0);
    rig_end(rig);
}
BOTH(watch_of_a_name_means_who_has_it)

static void watch_of_a_name_that_nobody_has_tells_gone_case(void)
{
    rig_system *rig = rig_start(&plan);
    tina_handle down = tina_named(there, NAME);
    tina_handle unknown = tina_named(there, NAME + 1);
    rig_done(rig, &target);
    assert_int_equal(rig_watch(rig, &watcher, down), TINA_OK);
    assert_int_equal(rig_watch(rig, &watcher, unknown), TINA_OK);
    assert_int_equal(told_watcher.count, 2);
    expect_down(&told_watcher, 0, down, TINA_END_GONE, 0);
    expect_down(&told_watcher, 1, unknown, TINA_END_GONE, 0);
    rig_end(rig);
}
BOTH(watch_of_a_name_that_nobody_has_tells_gone)

static tina_effect send_five_and_end(rig_actor *me, tina_ctx *ctx)
{
    for (uint64_t i = 0; i < 5; i++)
        assert_int_equal(tina_send(ctx, me->act.to, TAG_NOISE, &i, sizeof i), TINA_OK);
    return tina_crash(1);
}

static void expect_noise_and_then_the_notice(rig_system *rig)
{
    assert_int_equal(rig_watch(rig, &watcher, target.self), TINA_OK);
    target.act.to = watcher.self;
    rig_do(rig, &target, send_five_and_end);
    assert_int_equal(watcher.seen_count, 6);
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(rig_saw(&watcher, i)->value, i);
    assert_int_equal(rig_saw(&watcher, 5)->tag, TINA_TAG_DOWN);
}

static void notice_comes_behind_what_the_target_sent_case(void)
{
    rig_system *rig = rig_start(&plan);
    expect_noise_and_then_the_notice(rig);
    rig_end(rig);
}
BOTH(notice_comes_behind_what_the_target_sent)

static void notice_comes_behind_what_a_full_mailbox_holds_back(void **unused)
{
    (void)unused;
    prepare(1);
    plan.types[1].mailbox_capacity = 2;
    rig_system *rig = rig_start(&plan);
    expect_noise_and_then_the_notice(rig);
    rig_end(rig);
}

static void notice_waits_while_its_watcher_is_parked_for_something_else_case(void)
{
    rig_system *rig = rig_start(&plan);
    assert_int_equal(rig_watch(rig, &watcher, target.self), TINA_OK);
    rig_call(rig, &watcher, other.self, TAG_ASK, 0);
    rig_done(rig, &target);
    assert_int_equal(watcher.seen_count, 0);
    assert_int_equal(rig_reply_to(rig, &other, rig_saw_last(&other)->caller, TAG_ANSWER, 0), TINA_OK);
    assert_int_equal(rig_saw(&watcher, 0)->tag, TAG_ANSWER);
    assert_int_equal(rig_saw(&watcher, 1)->tag, TINA_TAG_DOWN);
    rig_end(rig);
}
BOTH(notice_waits_while_its_watcher_is_parked_for_something_else)

static tina_effect fill_the_mailbox(rig_actor *me, tina_ctx *ctx)
{
    tina_status status;
    while ((status = tina_send(ctx, me->act.to, TAG_NOISE, NULL, 0)) == TINA_OK)
        ;
    me->act.status = status;
    return tina_receive();
}

static void notice_needs_no_room_in_the_mailbox_case(void)
{
    plan.types[1].mailbox_capacity = 8;
    rig_system *rig = rig_start(&plan);
    assert_int_equal(rig_watch(rig, &watcher, target.self), TINA_OK);
    rig_call(rig, &watcher, other.self, TAG_ASK, 0);
    other.act.to = watcher.self;
    rig_do(rig, &other, fill_the_mailbox);
    assert_int_equal(other.act.status, TINA_MAILBOX_FULL);
    rig_done(rig, &target);
    expect_watches_mailed(rig, 1);
    assert_int_equal(rig_reply_to(rig, &other, rig_saw_last(&other)->caller, TAG_ANSWER, 0), TINA_OK);
    assert_int_equal(watcher.seen_count, 10); /* the answer, the noise, the notice */
    assert_int_equal(rig_saw_last(&watcher)->tag, TINA_TAG_DOWN);
    rig_end(rig);
}
BOTH(notice_needs_no_room_in_the_mailbox)

/* ---- Unwatching ------------------------------------------------------------------------------------ */

/* How the watcher lets go: by saying so, or by its end. */
static tina_effect (*const ways_to_let_go[])(rig_actor *, tina_ctx *) = {unwatch_it, end_it};
#define WAY_COUNT (sizeof ways_to_let_go / sizeof ways_to_let_go[0])

/* Each case runs on one shard and between two, by each way. */
#define BOTH_WAYS(name)                                                                                                     \
    static void name(void **unused)                                                                                         \
    {                                                                                                                       \
        (void)unused;                                                                                                       \
        for (uint8_t run = 0; run < 2 * WAY_COUNT; run++) {                                                                 \
            prepare(run % 2);                                                                                               \
            name##_case(ways_to_let_go[run / 2]);                                                                           \
        }                                                                                                                   \
    }

static void expect_silence(rig_system *rig)
{
    assert_int_equal(told_watcher.count, 0);
    assert_int_equal(rig_count_tag(&watcher, TINA_TAG_DOWN), 0);
    expect_watches(rig, 0);
    rig_end(rig);
}

static void let_go_of_a_watch_under_way_is_silence_case(tina_effect (*let_go)(rig_actor *, tina_ctx *))
{
    rig_system *rig = rig_start(&plan);
    assert_int_equal(rig_watch(rig, &watcher, target.self), TINA_OK);
    watcher.act.to = target.self;
    rig_do(rig, &watcher, let_go);
    expect_watches(rig, 0);
    rig_done(rig, &target);
    expect_silence(rig);
}
BOTH_WAYS(let_go_of_a_watch_under_way_is_silence)

static tina_effect watch_and_unwatch(rig_actor *me, tina_ctx *ctx)
{
    assert_int_equal(tina_watch(ctx, me->act.to), TINA_OK);
    tina_unwatch(ctx, me->act.to);
    tina_unwatch(ctx, me->act.to);
    return tina_receive();
}

static tina_effect watch_and_end(rig_actor *me, tina_ctx *ctx)
{
    assert_int_equal(tina_watch(ctx, me->act.to), TINA_OK);
    return tina_done();
}

static void let_go_before_the_request_has_arrived_is_silence_case(tina_effect (*let_go)(rig_actor *, tina_ctx *))
{
    rig_system *rig = rig_start(&plan);
    watcher.act.to = target.self;
    rig_do(rig, &watcher, let_go == unwatch_it ? watch_and_unwatch : watch_and_end);
    expect_watches(rig, 0);
    rig_done(rig, &target);
    expect_silence(rig);
}
BOTH_WAYS(let_go_before_the_request_has_arrived_is_silence)

/* The notice is mail, behind the order that makes the watcher let go: both came while it was parked. */
static void let_go_while_the_notice_is_mail_is_silence_case(tina_effect (*let_go)(rig_actor *, tina_ctx *))
{
    rig_system *rig = rig_start(&plan);
    assert_int_equal(rig_watch(rig, &watcher, target.self), TINA_OK);
    rig_call(rig, &watcher, other.self, TAG_ASK, 0);
    watcher.act.to = target.self;
    rig_order(rig, &watcher, let_go);
    rig_done(rig, &target);
    expect_watches_mailed(rig, 1);
    assert_int_equal(rig_reply_to(rig, &other, rig_saw_last(&other)->caller, TAG_ANSWER, 0), TINA_OK);
    assert_null(watcher.todo);
    assert_int_equal(watcher.seen_count, 1);
    expect_silence(rig);
}
BOTH_WAYS(let_go_while_the_notice_is_mail_is_silence)

/* The target's shard has told, and the watcher's has not looked yet: the doorbell is rung after its tick began. */
static void let_go_while_the_notice_is_in_the_channel_is_silence(void **unused)
{
    (void)unused;
    for (size_t way = 0; way < WAY_COUNT; way++) {
        prepare(1);
        rig_system *rig = rig_start(&plan);
        assert_int_equal(rig_watch(rig, &watcher, target.self), TINA_OK);
        rig_order(rig, &target, end_it);
        rig_tick(rig, 1);
        uint64_t bells = atomic_exchange(&rig->publics[0].bell.words[0], 0);
        assert_int_not_equal(bells, 0);
        watcher.act.to = target.self;
        rig_order(rig, &watcher, ways_to_let_go[way]);
        rig_tick(rig, 0);
        assert_null(watcher.todo);
        atomic_fetch_or(&rig->publics[0].bell.words[0], bells);
        rig_settle(rig);
        expect_silence(rig);
    }
}

static tina_effect unwatch_at_the_notice(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    if (message->tag == TINA_TAG_DOWN) {
        tina_down down;
        tina_unwatch(ctx, me->act.to);
        memcpy(&down, message->payload, sizeof down);
        assert_true(tina_handle_equal(down.who, me->act.to));
        assert_int_equal(tina_watch(ctx, me->act.to), TINA_OK); /* a new one: told again */
    }
    return message->tag == TINA_TAG_SHUTDOWN || me->seen_count == 4 ? tina_done() : tina_receive();
}

static void watch_while_the_notice_is_handled_is_a_new_one_case(void)
{
    rig_system *rig = rig_start(&plan);
    assert_int_equal(rig_watch(rig, &watcher, target.self), TINA_OK);
    watcher.on = unwatch_at_the_notice;
    watcher.act.to = target.self;
    rig_done(rig, &target);
    assert_int_equal(watcher.seen_count, 4); /* down, gone, gone, gone; then it ends, with one more under way */
    expect_watches(rig, 0);
    rig_end(rig);
}
BOTH(watch_while_the_notice_is_handled_is_a_new_one)

static void unwatch_of_what_is_not_watched_is_nothing_case(void)
{
    rig_system *rig = rig_start(&plan);
    rig_unwatch(rig, &watcher, target.self);
    rig_unwatch(rig, &watcher, (tina_handle){0});
    rig_unwatch(rig, &watcher, tina__handle_make(200, 0, 0, 1));
    assert_int_equal(rig_watch(rig, &other, target.self), TINA_OK);
    rig_unwatch(rig, &watcher, target.self);           /* another's */
    rig_unwatch(rig, &other, tina_named(there, NAME)); /* another name for it */
    expect_watches(rig, 1);
    rig_done(rig, &target);
    assert_int_equal(told_other.count, 1);
    rig_end(rig);
}
BOTH(unwatch_of_what_is_not_watched_is_nothing)

static void watch_after_an_unwatch_tells_case(void)
{
    rig_system *rig = rig_start(&plan);
    for (int i = 0; i < 300; i++) {
        assert_int_equal(rig_watch(rig, &watcher, target.self), TINA_OK);
        rig_unwatch(rig, &watcher, target.self);
    }
    assert_int_equal(rig_watch(rig, &watcher, target.self), TINA_OK);
    expect_watches(rig, 1);
    rig_done(rig, &target);
    assert_int_equal(told_watcher.count, 1);
    expect_watches(rig, 0);
    rig_end(rig);
}
BOTH(watch_after_an_unwatch_tells)

/* ---- Who watches whom ------------------------------------------------------------------------------- */

static void watch_of_oneself_is_never_told(void **unused)
{
    (void)unused;
    prepare(0);
    rig_system *rig = rig_start(&plan);
    assert_int_equal(rig_watch(rig, &watcher, watcher.self), TINA_OK);
    assert_int_equal(rig_watch(rig, &watcher, target.self), TINA_OK);
    expect_watches(rig, 2);
    rig_crash(rig, &watcher);
    expect_watches(rig, 0);
    rig_end(rig);
}

static void watches_of_each_other_tell_who_is_left_case(void)
{
    target.on = note_down;
    target.data = &told_other;
    rig_system *rig = rig_start(&plan);
    tina_handle who = watcher.self;
    assert_int_equal(rig_watch(rig, &watcher, target.self), TINA_OK);
    assert_int_equal(rig_watch(rig, &target, watcher.self), TINA_OK);
    rig_crash(rig, &watcher);
    assert_int_equal(told_other.count, 1);
    expect_down(&told_other, 0, who, TINA_END_CRASH, 0);
    rig_done(rig, &target);
    assert_int_equal(told_watcher.count, 0);
    expect_watches(rig, 0);
    rig_end(rig);
}
BOTH(watches_of_each_other_tell_who_is_left)

static tina_effect watch_and_crash_in_init(rig_actor *me, tina_ctx *ctx)
{
    me->act.status = tina_watch(ctx, me->act.to);
    return tina_crash(1);
}

static void watch_of_an_init_that_fails_ends_with_it_case(void)
{
    rig_system *rig = rig_start(&plan);
    rig_actor child = {.on_init = watch_and_crash_in_init, .act.to = target.self};
    rig_actor *argument = &child;
    tina_spawn spawn = {.type = 1, .args = &argument, .args_size = sizeof argument};
    assert_int_equal(rig_spawn(rig, &watcher, &spawn), TINA_INIT_FAILED);
    assert_int_equal(child.act.status, TINA_OK);
    rig_settle(rig);
    expect_watches(rig, 0);
    rig_end(rig);
}
BOTH(watch_of_an_init_that_fails_ends_with_it)

static void watch_is_no_call_that_its_target_could_answer_case(void)
{
    rig_system *rig = rig_start(&plan);
    assert_int_equal(rig_watch(rig, &watcher, target.self), TINA_OK);
    for (uint32_t index = 0; index < rig->shards[there]->p.owed_count; index++) {
        tina_caller forged = {.source = watcher.self, .correlation = rig->shards[there]->p.owed[index].call};
        assert_int_equal(rig_reply_to(rig, &target, forged, TAG_ANSWER, 0), TINA_STALE_HANDLE);
        forged.correlation = tina__call_make(index, 0);
        assert_int_equal(rig_reply_to(rig, &target, forged, TAG_ANSWER, 0), TINA_STALE_HANDLE);
    }
    rig_done(rig, &target);
    assert_int_equal(told_watcher.count, 1);
    rig_end(rig);
}
BOTH(watch_is_no_call_that_its_target_could_answer)

static void shutdown_ends_watches_on_both_sides_case(void)
{
    rig_system *rig = rig_start(&plan);
    assert_int_equal(rig_watch(rig, &watcher, target.self), TINA_OK);
    assert_int_equal(rig_watch(rig, &target, other.self), TINA_OK);
    rig_stop(rig, TINA__STOP_NOW);
    rig_end(rig);
}
BOTH(shutdown_ends_watches_on_both_sides)

/* ---- Limits ------------------------------------------------------------------------------------------- */

static void watch_of_a_shard_that_is_absent_is_invalid(void **unused)
{
    (void)unused;
    prepare(1);
    rig_system *rig = rig_start(&plan);
    assert_int_equal(rig_watch(rig, &watcher, tina__handle_make(2, 0, 0, 1)), TINA_INVALID);
    assert_int_equal(rig_watch(rig, &watcher, tina_named(255, 1)), TINA_INVALID);
    expect_watches(rig, 0);
    rig_end(rig);
}

static void watch_of_a_shard_that_is_down_is_refused(void **unused)
{
    (void)unused;
    prepare(1);
    rig_system *rig = rig_start(&plan);
    tina__shard_set_state(rig->shards[1], TINA_SHARD_QUARANTINED);
    assert_int_equal(rig_watch(rig, &watcher, target.self), TINA_SHARD_DOWN);
    assert_int_equal(rig_stats(rig, 0).shard_down, 1);
    tina__shard_set_state(rig->shards[1], TINA_SHARD_RUNNING);
    expect_watches(rig, 0);
    rig_end(rig);
}

static void watch_when_all_are_taken_is_refused_case(void)
{
    plan.spec.watch_count = 3;
    rig_system *rig = rig_start(&plan);
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < 2; i++)
            assert_int_equal(rig_watch(rig, &other, i == 0 ? watcher.self : other.self), TINA_OK);
        assert_int_equal(rig_watch(rig, &watcher, target.self), TINA_OK);
        assert_int_equal(rig_watch(rig, &watcher, other.self), TINA_POOL_EXHAUSTED);
        assert_int_equal(rig_watch(rig, &watcher, target.self), TINA_OK); /* it is one already */
        for (uint32_t i = 0; i < 2; i++)
            rig_unwatch(rig, &other, i == 0 ? watcher.self : other.self);
        rig_unwatch(rig, &watcher, target.self);
    }
    tina_stats stats = rig_stats(rig, 0);
    assert_int_equal(stats.pool_exhausted, 3);
    assert_int_equal(stats.watches.limit, 3);
    assert_int_equal(stats.watches.peak, 3);
    assert_int_equal(stats.watches.used, 0);
    rig_end(rig);
}
BOTH(watch_when_all_are_taken_is_refused)

static void watch_where_there_are_none_is_refused_case(void)
{
    plan.spec.watch_count = TINA_NONE;
    rig_system *rig = rig_start(&plan);
    assert_int_equal(rig_watch(rig, &watcher, target.self), TINA_POOL_EXHAUSTED);
    rig_unwatch(rig, &watcher, target.self);
    rig_end(rig);
}
BOTH(watch_where_there_are_none_is_refused)

static void watch_without_room_for_its_answer_is_refused(void **unused)
{
    (void)unused;
    prepare(1);
    static tina_channel_spec channels[] = {{1, 0, 2}};
    plan.spec.channels = channels;
    plan.spec.channel_spec_count = 1;
    rig_system *rig = rig_start(&plan);
    assert_int_equal(rig_watch(rig, &watcher, target.self), TINA_OK);
    assert_int_equal(rig_watch(rig, &other, target.self), TINA_OK);
    assert_int_equal(rig_watch(rig, &watcher, tina_named(1, NAME)), TINA_CHANNEL_FULL);
    assert_int_equal(rig_call_start(rig, &watcher, target.self, TAG_ASK, 0), TINA_CHANNEL_FULL);
    expect_watches(rig, 2);
    rig_unwatch(rig, &watcher, target.self);
    assert_int_equal(rig_watch(rig, &watcher, tina_named(1, NAME)), TINA_OK);
    rig_done(rig, &target);
    assert_int_equal(told_watcher.count, 1);
    assert_int_equal(told_other.count, 1);
    expect_watches(rig, 0);
    rig_end(rig);
}

/* The channel there is full; then what is to be withdrawn waits, and the shard does not sleep over it. */
static tina_effect fill_and_watch(rig_actor *me, tina_ctx *ctx)
{
    while (tina_send(ctx, me->act.to, TAG_NOISE, NULL, 0) == TINA_OK)
        ;
    me->act.status = tina_watch(ctx, tina_named(1, NAME));
    tina_unwatch(ctx, me->act.to);
    return tina_receive();
}

static void withdrawal_without_room_is_sent_as_soon_as_there_is_some(void **unused)
{
    (void)unused;
    prepare(1);
    plan.spec.channel_capacity = 4;
    rig_system *rig = rig_start(&plan);
    assert_int_equal(rig_watch(rig, &watcher, target.self), TINA_OK);
    watcher.act.to = target.self;
    rig_order(rig, &watcher, fill_and_watch);
    rig_tick(rig, 0);
    assert_int_equal(watcher.act.status, TINA_CHANNEL_FULL);
    for (int i = 0; i < 10; i++)
        assert_int_not_equal(rig_tick(rig, 0), 0);
    assert_int_equal(rig->shards[0]->p.peers[1].place_pool.used, 1);
    rig_settle(rig);
    expect_watches(rig, 0);
    assert_int_equal(rig_tick(rig, 0), 0);
    rig_end(rig);
}

/* ---- Many ----------------------------------------------------------------------------------------------- */

#define MANY 1000u
enum { TAG_END = TINA_TAG_USER + 10, TAG_WATCH, TAG_UNWATCH };

static tina_handle many[MANY];
static uint32_t many_count, many_downs;

/* Ends, watches and unwatches as it is told, and counts what it hears. */
static tina_effect many_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self;
    (void)args;
    (void)args_size;
    many[many_count++] = tina_self(ctx);
    return tina_receive();
}

static tina_effect many_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self;
    tina_handle who;
    memcpy(&who, message->payload, sizeof who);
    switch (message->tag) {
    case TAG_WATCH: assert_int_equal(tina_watch(ctx, who), TINA_OK); return tina_receive();
    case TAG_UNWATCH: tina_unwatch(ctx, who); return tina_receive();
    case TINA_TAG_DOWN: many_downs++; return tina_receive();
    case TAG_END:
    case TINA_TAG_SHUTDOWN: return tina_done();
    default: return tina_receive();
    }
}

static tina_effect spawn_many(rig_actor *me, tina_ctx *ctx)
{
    (void)me;
    tina_spawn spawn = {.type = 2};
    while (many_count < MANY)
        assert_int_equal(tina_spawn_child(ctx, &spawn, NULL), TINA_OK);
    return tina_receive();
}

/* many are on shard 0. */
static rig_system *start_many(void)
{
    many_count = 0;
    many_downs = 0;
    rig_plan_init(&plan, 2, 3);
    plan.types[2] = (tina_type){
        .name = "many", .init = many_init, .handler = many_handle, .size = 8, .slot_count = MANY, .mailbox_capacity = 4000};
    plan.shards[0].root.dynamic_max = MANY;
    plan.spec.watch_count = 2 * MANY;
    plan.spec.message_count = 4000;
    plan.spec.inbox_capacity = 2048;
    plan.spec.channel_capacity = 2048;
    rig_plan_child(&plan, 0, 1, &watcher);
    rig_plan_child(&plan, 0, 1, &other);
    rig_plan_child(&plan, there, 0, &target);
    rig_system *rig = rig_start(&plan);
    rig_do(rig, &other, spawn_many);
    assert_int_equal(many_count, MANY);
    return rig;
}

/* Whoever looks for a watch looks at few. */
static void expect_short_buckets(const tina__shard *shard)
{
    for (uint32_t i = 0; i < shard->p.bucket_count; i++) {
        uint32_t length = 0;
        for (uint32_t link = shard->p.buckets[i]; link != 0; length++) {
            const tina_message *slot = &shard->p.mail[shard->p.message_count + link - 1];
            link = ((const tina__timer_slot *)(const void *)slot)->bucket_next;
        }
        assert_true(length <= 10);
    }
}

static void tell_many(rig_system *rig, tina_tag tag, tina_handle who)
{
    for (uint32_t i = 0; i < MANY; i++)
        assert_true(rig_post(rig, many[i], tag, &who, sizeof who));
    rig_settle(rig);
}

static void watches_of_one_by_a_thousand_tell_all_case(void)
{
    rig_system *rig = start_many();
    tell_many(rig, TAG_WATCH, target.self);
    expect_watches(rig, MANY);
    expect_short_buckets(rig->shards[0]);
    tell_many(rig, TAG_UNWATCH, target.self);
    expect_watches(rig, 0);
    tell_many(rig, TAG_WATCH, target.self);
    rig_done(rig, &target);
    assert_int_equal(many_downs, MANY);
    expect_watches(rig, 0);
    rig_end(rig);
}
BOTH(watches_of_one_by_a_thousand_tell_all)

static tina_effect watch_many(rig_actor *me, tina_ctx *ctx)
{
    (void)me;
    for (uint32_t i = 0; i < MANY; i++)
        assert_int_equal(tina_watch(ctx, many[i]), TINA_OK);
    return tina_receive();
}

static tina_effect unwatch_many(rig_actor *me, tina_ctx *ctx)
{
    (void)me;
    for (uint32_t i = 0; i < MANY; i++)
        tina_unwatch(ctx, many[i]);
    return tina_receive();
}

static void watches_of_a_thousand_by_one_tell_each(void **unused)
{
    (void)unused;
    prepare(1);
    watcher.on = NULL;
    target.on = NULL;
    rig_system *rig = start_many();
    rig_do(rig, &watcher, watch_many);
    rig_do(rig, &target, watch_many);
    assert_int_equal(rig->shards[0]->watches.used, MANY);
    assert_int_equal(rig->shards[1]->watches.used, MANY);
    expect_short_buckets(rig->shards[0]);
    expect_short_buckets(rig->shards[1]);
    rig_do(rig, &watcher, unwatch_many);
    rig_do(rig, &target, unwatch_many);
    rig_do(rig, &watcher, watch_many);
    rig_do(rig, &target, watch_many);
    tell_many(rig, TAG_END, (tina_handle){0});
    assert_int_equal(watcher.seen_count, MANY);
    assert_int_equal(target.seen_count, MANY);
    assert_int_equal(rig_total(rig).watches.used, 0);
    rig_end(rig);
}

/* ---- The trace -------------------------------------------------------------------------------------------- */

static void trace_tells_who_was_told_of_whose_end_case(void)
{
    rig_system *rig = rig_start(&plan);
    tina_handle who = target.self;
    assert_int_equal(rig_watch(rig, &watcher, who), TINA_OK);
    target.act.reason = 9;
    rig_crash(rig, &target);
    const tina__trace *trace = rig->shards[0]->p.trace;
    uint32_t count = 0;
    for (uint64_t number = 0; number < tina__trace_written(trace); number++) {
        const tina__event *event = tina__trace_at(trace, number);
        if (event == NULL || tina__event_kind_of(event) != TINA__EVENT_DOWN)
            continue;
        count++;
        assert_int_equal(tina__event_slot(event), tina__handle_slot(watcher.self));
        assert_int_equal(event->tag, TINA_END_CRASH);
        assert_int_equal(event->detail, 9);
        assert_int_equal(event->value, who.bits);
    }
    assert_int_equal(count, 1);
    rig_end(rig);
}
BOTH(trace_tells_who_was_told_of_whose_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(watch_of_one_that_is_done_tells_it_once),
        cmocka_unit_test(watch_of_one_that_crashes_tells_its_reason),
        cmocka_unit_test(watch_by_several_tells_each),
        cmocka_unit_test(watch_again_is_one_watch),
        cmocka_unit_test(watch_of_one_that_is_gone_tells_so_at_once),
        cmocka_unit_test(watch_of_a_name_means_who_has_it),
        cmocka_unit_test(watch_of_a_name_that_nobody_has_tells_gone),
        cmocka_unit_test(notice_comes_behind_what_the_target_sent),
        cmocka_unit_test(notice_comes_behind_what_a_full_mailbox_holds_back),
        cmocka_unit_test(notice_waits_while_its_watcher_is_parked_for_something_else),
        cmocka_unit_test(notice_needs_no_room_in_the_mailbox),
        cmocka_unit_test(let_go_of_a_watch_under_way_is_silence),
        cmocka_unit_test(let_go_before_the_request_has_arrived_is_silence),
        cmocka_unit_test(let_go_while_the_notice_is_mail_is_silence),
        cmocka_unit_test(let_go_while_the_notice_is_in_the_channel_is_silence),
        cmocka_unit_test(watch_while_the_notice_is_handled_is_a_new_one),
        cmocka_unit_test(unwatch_of_what_is_not_watched_is_nothing),
        cmocka_unit_test(watch_after_an_unwatch_tells),
        cmocka_unit_test(watch_of_oneself_is_never_told),
        cmocka_unit_test(watches_of_each_other_tell_who_is_left),
        cmocka_unit_test(watch_of_an_init_that_fails_ends_with_it),
        cmocka_unit_test(watch_is_no_call_that_its_target_could_answer),
        cmocka_unit_test(shutdown_ends_watches_on_both_sides),
        cmocka_unit_test(watch_of_a_shard_that_is_absent_is_invalid),
        cmocka_unit_test(watch_of_a_shard_that_is_down_is_refused),
        cmocka_unit_test(watch_when_all_are_taken_is_refused),
        cmocka_unit_test(watch_where_there_are_none_is_refused),
        cmocka_unit_test(watch_without_room_for_its_answer_is_refused),
        cmocka_unit_test(withdrawal_without_room_is_sent_as_soon_as_there_is_some),
        cmocka_unit_test(watches_of_one_by_a_thousand_tell_all),
        cmocka_unit_test(watches_of_a_thousand_by_one_tell_each),
        cmocka_unit_test(trace_tells_who_was_told_of_whose_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
