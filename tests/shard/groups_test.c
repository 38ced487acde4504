/*
 * Supervision as stories: what the flight recorder has to tell when children of
 * groups end. See support/story.h for how it is told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/supervise.h"
#include "support/rig.h"
#include "support/story.h"

#include <string.h>

#define TAG_A    (TINA_TAG_USER + 1)
#define TYPES    16
#define GROUPS   10
#define CHILDREN 8

/* ---- Trees ------------------------------------------------------------------------------------- */

static rig_plan plan;
static rig_actor actors[TYPES]; /* one for each letter from a on, and a type for each */
static rig_actor *actor_args[TYPES];
static tina_child members[GROUPS][CHILDREN];
static tina_group_spec *groups[GROUPS]; /* by number */
static tina_group_spec nested[GROUPS];
static story told;

#define ACTOR(letter) (&actors[(letter) - 'a'])

static void name_types(void)
{
    static char names[TYPES][2];
    for (size_t i = 0; i < TYPES; i++) {
        names[i][0] = (char)('a' + i);
        plan.types[i].name = names[i];
        plan.types[i].slot_count = 4;
        actor_args[i] = &actors[i];
    }
}

static uint8_t strategy_of(const char *text)
{
    return text[0] == 'a' ? TINA_ONE_FOR_ALL : text[0] == 'r' ? TINA_REST_FOR_ONE : TINA_ONE_FOR_ONE;
}

static uint8_t policy_of(char mark) { return mark == '~' ? TINA_TEMPORARY : mark == '?' ? TINA_TRANSIENT : TINA_PERMANENT; }

static void reset_plan(void)
{
    memset(actors, 0, sizeof actors);
    memset(members, 0, sizeof members);
    memset(nested, 0, sizeof nested);
    rig_plan_init(&plan, 2, TYPES);
    name_types();
    rig_plan_child(&plan, 1, TYPES - 1, &actors[TYPES - 1]);
}

static tina_child *add_child(uint32_t group)
{
    assert_true(groups[group]->child_count < CHILDREN);
    groups[group]->children = members[group];
    return &members[group][groups[group]->child_count++];
}

static void add_isolate(uint32_t group, char letter, uint8_t policy)
{
    *add_child(group) = (tina_child){
        .args = &actor_args[letter - 'a'],
        .args_size = sizeof actor_args[0],
        .type = (uint8_t)(letter - 'a'),
        .restart = policy,
        .name = (uint16_t)letter,
    };
}

static void begin_group(uint32_t group, const char *strategy)
{
    assert_true(group < GROUPS);
    groups[group] = group == 0 ? &plan.shards[0].root : &nested[group];
    *groups[group] = (tina_group_spec){
        .strategy = strategy_of(strategy),
        .restart_max = 100,
        .name = (uint16_t)(1000 + group),
    };
}

/*
 * Shard 0's tree as a text: "one(a all(b? c~))" is an isolate and a group in the
 * root. Behind either, ? makes it transient and ~ temporary. A second shard has the
 * last letter's actor alone.
 */
static void plan_tree(const char *text)
{
    uint32_t path[GROUPS];
    tina_child *records[GROUPS];
    uint32_t depth = 0, count = 0;
    reset_plan();
    for (const char *at = text; *at != '\0'; at++) {
        size_t length = strcspn(at, "(");
        if (strchr(" ?~", *at) != NULL)
            continue;
        if (*at == ')') {
            if (--depth != 0)
                records[depth]->restart = policy_of(at[1]);
        } else if (strcspn(at, " ?~)") < length) {
            add_isolate(path[depth - 1], *at, policy_of(at[1]));
        } else {
            begin_group(count, at);
            if (depth != 0) {
                records[depth] = add_child(path[depth - 1]);
                records[depth]->group = groups[count];
            }
            path[depth++] = count++;
            at += length;
        }
    }
    assert_int_equal(depth, 0);
}

/* Booted; its story so far is told. */
static rig_system *start_planned(void)
{
    rig_system *rig = rig_start(&plan);
    story_begin(&told, rig->shards[0]);
    return rig;
}

static rig_system *start(const char *text)
{
    plan_tree(text);
    return start_planned();
}

/* The same, just built: the story begins with its first event. */
static rig_system *start_raw(void)
{
    rig_system *rig = rig_start_raw(&plan);
    told = (story){.shard = rig->shards[0]};
    return rig;
}

static void boot(rig_system *rig)
{
    for (int tick = 0; tick < 1000 && tina__shard_is_booting(rig->shards[0]); tick++)
        (void)rig_tick(rig, 0);
}

/* ---- Scripts --------------------------------------------------------------------------------------- */

/* Inits that fail: the next act.call of them, by a crash, or, where act.is_true, by being done. */
static tina_effect fail_by_script(rig_actor *me, tina_ctx *ctx)
{
    (void)ctx;
    if (me->act.call == 0)
        return tina_receive();
    me->act.call--;
    return me->act.is_true ? tina_done() : tina_crash(0);
}

static void fail_inits(rig_actor *actor, uint32_t count)
{
    actor->on_init = fail_by_script;
    actor->act.call = count;
}

static tina_effect crash_on_message(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    (void)me;
    (void)ctx;
    return message->tag == TINA_TAG_SHUTDOWN ? tina_done() : tina_crash(0);
}

static tina_effect ignore_all(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    (void)me;
    (void)message;
    (void)ctx;
    return tina_receive();
}

/* In its first life it crashes after a millisecond: while a tree starts, no message gets in. */
static tina_effect crash_soon(rig_actor *me, tina_ctx *ctx)
{
    me->on = crash_on_message;
    if (me->init_count == 1)
        tina_ignore(tina_timer_start(ctx, RIG_MS, TAG_A, NULL));
    return tina_receive();
}

/* Something under way that the kernel does not give back before rig_cancel_wins. */
static void hold_a_receive(rig_system *rig, rig_actor *actor)
{
    rig->backends[0].holds_cancels = true;
    tina_op op = {.kind = TINA_IO_RECV, .fd = rig_socket(rig, actor)};
    assert_int_equal(rig_io_start(rig, actor, &op), TINA_OK);
}

static tina_spawn spawn_of(char letter, uint8_t restart, uint16_t group)
{
    return (tina_spawn){
        .type = (uint8_t)(letter - 'a'),
        .args = &actor_args[letter - 'a'],
        .args_size = sizeof actor_args[0],
        .restart = restart,
        .group = group,
    };
}

static tina_status spawn(rig_system *rig, char spawner, char letter, uint8_t restart, uint16_t group)
{
    tina_spawn order = spawn_of(letter, restart, group);
    return rig_spawn(rig, ACTOR(spawner), &order);
}

static tina_effect act_stop(rig_actor *me, tina_ctx *ctx)
{
    me->act.status = tina_stop_child(ctx, me->act.to, me->act.time_ns);
    return tina_receive();
}

static tina_status stop(rig_system *rig, char who, tina_handle child, uint64_t grace_ns)
{
    ACTOR(who)->act.to = child;
    ACTOR(who)->act.time_ns = grace_ns;
    rig_do(rig, ACTOR(who), act_stop);
    return ACTOR(who)->act.status;
}

/* ---- Starting ------------------------------------------------------------------------------------------ */

static void tree_starts_in_order_and_groups_in_their_places(void **unused)
{
    (void)unused;
    plan_tree("one(a all(b one(c)) rest(d) e)");
    rig_system *rig = start_raw();
    boot(rig);
    story_is(&told, "start a\n"
                    "start b\n"
                    "start c\n"
                    "up group 2\n"
                    "up group 1\n"
                    "start d\n"
                    "up group 3\n"
                    "start e\n"
                    "up root\n");
    rig_end(rig);
}

static void tree_of_empty_groups_is_up(void **unused)
{
    (void)unused;
    plan_tree("one(all() rest(one()))");
    rig_system *rig = start_raw();
    boot(rig);
    story_is(&told, "up group 1\n"
                    "up group 3\n"
                    "up group 2\n"
                    "up root\n");
    rig_end(rig);
}

static void tree_of_the_greatest_depth_starts_and_restarts(void **unused)
{
    (void)unused;
    plan_tree("one(one(one(one(one(one(one(one(a))))))))");
    for (uint32_t i = 1; i < TINA_GROUP_DEPTH_MAX; i++)
        groups[i]->restart_max = TINA_NONE;
    rig_system *rig = start_planned();
    rig_crash(rig, ACTOR('a'));
    story_is(&told, "end a: crash\n"
                    "escalate group 7\n"
                    "end group 7\n"
                    "escalate group 6\n"
                    "end group 6\n"
                    "escalate group 5\n"
                    "end group 5\n"
                    "escalate group 4\n"
                    "end group 4\n"
                    "escalate group 3\n"
                    "end group 3\n"
                    "escalate group 2\n"
                    "end group 2\n"
                    "escalate group 1\n"
                    "end group 1\n"
                    "again group 1\n"
                    "start a\n"
                    "up group 7\n"
                    "up group 6\n"
                    "up group 5\n"
                    "up group 4\n"
                    "up group 3\n"
                    "up group 2\n"
                    "up group 1\n");
    rig_end(rig);
}

/* ---- Strategies ------------------------------------------------------------------------------------------ */

static void one_for_one_restarts_who_crashed(void **unused)
{
    (void)unused;
    rig_system *rig = start("one(a b c)");
    ACTOR('b')->act.reason = 7;
    rig_crash(rig, ACTOR('b'));
    story_is(&told, "end b: crash 7\n"
                    "again b\n"
                    "start b\n");
    assert_int_equal(rig_stats(rig, 0).restarts, 1);
    rig_end(rig);
}

static void one_for_all_restarts_all(void **unused)
{
    (void)unused;
    rig_system *rig = start("all(a b c)");
    rig_crash(rig, ACTOR('b'));
    story_is(&told, "end b: crash\n"
                    "again b\n"
                    "end c: stopped\n"
                    "end a: stopped\n"
                    "start a\n"
                    "start b\n"
                    "start c\n"
                    "up root\n");
    assert_int_equal(rig_stats(rig, 0).restarts, 3);
    assert_int_equal(rig_stats(rig, 0).crashes, 1);
    rig_end(rig);
}

static void rest_for_one_restarts_those_behind(void **unused)
{
    (void)unused;
    rig_system *rig = start("rest(a b c d)");
    rig_crash(rig, ACTOR('b'));
    story_is(&told, "end b: crash\n"
                    "again b\n"
                    "end d: stopped\n"
                    "end c: stopped\n"
                    "start b\n"
                    "start c\n"
                    "start d\n"
                    "up root\n");
    rig_crash(rig, ACTOR('d'));
    story_is(&told, "end d: crash\n"
                    "again d\n"
                    "start d\n"
                    "up root\n");
    rig_end(rig);
}

static void scope_ends_its_groups_first_and_starts_them_in_their_places(void **unused)
{
    (void)unused;
    rig_system *rig = start("rest(a b one(c d) all(e rest(f)) g)");
    rig_crash(rig, ACTOR('b'));
    story_is(&told, "end b: crash\n"
                    "again b\n"
                    "end group 3\n"
                    "end f: stopped\n"
                    "end group 2\n"
                    "end e: stopped\n"
                    "end group 1\n"
                    "end d: stopped\n"
                    "end c: stopped\n"
                    "end g: stopped\n"
                    "start b\n"
                    "start c\n"
                    "start d\n"
                    "up group 1\n"
                    "start e\n"
                    "start f\n"
                    "up group 3\n"
                    "up group 2\n"
                    "start g\n"
                    "up root\n");
    rig_end(rig);
}

static void strategy_of_a_group_ends_at_its_border(void **unused)
{
    (void)unused;
    rig_system *rig = start("all(a all(b c) d)");
    rig_crash(rig, ACTOR('c'));
    story_is(&told, "end c: crash\n"
                    "again c\n"
                    "end b: stopped\n"
                    "start b\n"
                    "start c\n"
                    "up group 1\n");
    rig_end(rig);
}

/* ---- Policies ----------------------------------------------------------------------------------------------- */

static void end_that_wants_no_restart_touches_nobody(void **unused)
{
    (void)unused;
    const char *trees[] = {"one(a b? c~)", "all(a b? c~)", "rest(b? c~ a)"};
    for (size_t i = 0; i < 3; i++) {
        rig_system *rig = start(trees[i]);
        rig_done(rig, ACTOR('b'));
        rig_crash(rig, ACTOR('c'));
        story_is(&told, "end b: done\n"
                        "end c: crash\n");
        assert_int_equal(rig_stats(rig, 0).isolates, 1);
        rig_end(rig);
    }
}

static void transient_that_was_done_comes_up_again_with_its_scope(void **unused)
{
    (void)unused;
    rig_system *rig = start("all(a b? c)");
    rig_done(rig, ACTOR('b'));
    rig_crash(rig, ACTOR('a'));
    story_is(&told, "end b: done\n"
                    "end a: crash\n"
                    "again a\n"
                    "end c: stopped\n"
                    "start a\n"
                    "start b\n"
                    "start c\n"
                    "up root\n");
    rig_end(rig);
}

static void temporary_is_ended_with_its_scope_and_stays_down(void **unused)
{
    (void)unused;
    rig_system *rig = start("rest(a b~ one(c)~ d)");
    rig_crash(rig, ACTOR('a'));
    story_is(&told, "end a: crash\n"
                    "again a\n"
                    "end group 1\n"
                    "end c: stopped\n"
                    "end d: stopped\n"
                    "end b: stopped\n"
                    "start a\n"
                    "start d\n"
                    "up root\n");
    rig_end(rig);
}

static void temporary_comes_up_again_with_a_group_that_begins_again(void **unused)
{
    (void)unused;
    plan_tree("one(all(a b~))");
    groups[1]->restart_max = TINA_NONE;
    rig_system *rig = start_planned();
    rig_done(rig, ACTOR('b'));
    rig_crash(rig, ACTOR('a'));
    story_is(&told, "end b: done\n"
                    "end a: crash\n"
                    "escalate group 1\n"
                    "end group 1\n"
                    "again group 1\n"
                    "start a\n"
                    "start b\n"
                    "up group 1\n");
    rig_end(rig);
}

static void group_of_any_policy_is_restarted_but_a_temporary_one(void **unused)
{
    (void)unused;
    const char *trees[] = {"one(one(a) b)", "one(one(a)? b)"};
    for (size_t i = 0; i < 2; i++) {
        plan_tree(trees[i]);
        groups[1]->restart_max = TINA_NONE;
        rig_system *rig = start_planned();
        rig_crash(rig, ACTOR('a'));
        story_is(&told, "end a: crash\n"
                        "escalate group 1\n"
                        "end group 1\n"
                        "again group 1\n"
                        "start a\n"
                        "up group 1\n");
        rig_end(rig);
    }
    plan_tree("all(one(a c)~ b)");
    groups[1]->restart_max = TINA_NONE;
    rig_system *rig = start_planned();
    rig_crash(rig, ACTOR('a'));
    story_is(&told, "end a: crash\n"
                    "escalate group 1\n"
                    "end group 1\n"
                    "end c: stopped\n");
    assert_int_equal(rig_stats(rig, 0).isolates, 1);
    rig_end(rig);
}

/* ---- Budgets ------------------------------------------------------------------------------------------------- */

static void group_past_its_budget_is_its_parents_failure(void **unused)
{
    (void)unused;
    plan_tree("rest(a one(b c) d)");
    groups[1]->restart_max = 2;
    rig_system *rig = start_planned();
    rig_crash(rig, ACTOR('b'));
    rig_crash(rig, ACTOR('c'));
    story_is(&told, "end b: crash\n"
                    "again b\n"
                    "start b\n"
                    "end c: crash\n"
                    "again c\n"
                    "start c\n");
    rig_crash(rig, ACTOR('b'));
    story_is(&told, "end b: crash\n"
                    "escalate group 1\n"
                    "end group 1\n"
                    "end c: stopped\n"
                    "again group 1\n"
                    "end d: stopped\n"
                    "start b\n"
                    "start c\n"
                    "up group 1\n"
                    "start d\n"
                    "up root\n");
    assert_int_equal(rig_stats(rig, 0).escalations, 1);
    assert_int_equal(rig_stats(rig, 0).restarts, 5);
    rig_end(rig);
}

static void budget_of_a_group_that_begins_again_is_new(void **unused)
{
    (void)unused;
    plan_tree("one(one(a) b)");
    groups[1]->restart_max = 2;
    groups[0]->restart_max = 3;
    rig_system *rig = start_planned();
    for (int i = 0; i < 3 * 3 + 2; i++)
        rig_crash(rig, ACTOR('a'));
    assert_int_equal(rig_stats(rig, 0).escalations, 3);
    assert_int_equal(ACTOR('b')->init_count, 1);
    rig_crash(rig, ACTOR('a')); /* one more for both */
    assert_int_equal(rig_stats(rig, 0).escalations, 5);
    assert_int_equal(ACTOR('b')->init_count, 2);
    rig_end(rig);
}

static void budget_that_all_groups_have_used_up_costs_the_shard(void **unused)
{
    (void)unused;
    plan_tree("one(all(a rest(b c)) d)");
    for (size_t i = 0; i < 3; i++)
        groups[i]->restart_max = TINA_NONE;
    rig_system *rig = start_planned();
    rig_crash(rig, ACTOR('b'));
    story_is(&told, "end b: crash\n"
                    "escalate group 2\n"
                    "end group 2\n"
                    "end c: stopped\n"
                    "escalate group 1\n"
                    "end group 1\n"
                    "end a: stopped\n"
                    "escalate root\n"
                    "wipe\n"
                    "start a\n"
                    "start b\n"
                    "start c\n"
                    "up group 2\n"
                    "up group 1\n"
                    "start d\n"
                    "up root\n");
    rig_end(rig);
}

static void budget_is_paid_at_the_crash(void **unused)
{
    (void)unused;
    plan_tree("one(a b)");
    groups[0]->restart_max = 1;
    rig_system *rig = start_planned();
    hold_a_receive(rig, ACTOR('a'));
    rig_crash(rig, ACTOR('a'));
    rig_crash(rig, ACTOR('b'));
    story_is(&told, "end a: crash\n"
                    "again a\n"
                    "end b: crash\n"
                    "escalate root\n"
                    "wipe\n"
                    "start a\n"
                    "start b\n"
                    "up root\n");
    rig_end(rig);
}

/* ---- Back-off ------------------------------------------------------------------------------------------------- */

#define BACKOFF (16 * RIG_MS)

/* Not before wait_ns, and at most a quarter later. */
static void expect_restart_after(rig_system *rig, const rig_actor *actor, uint64_t wait_ns)
{
    uint32_t inits = actor->init_count;
    rig_advance(rig, wait_ns - 1);
    assert_int_equal(actor->init_count, inits);
    rig_advance(rig, wait_ns / 4 + 1 + RIG_MS);
    assert_int_equal(actor->init_count, inits + 1);
}

static void backoff_doubles_within_the_window_up_to_its_most(void **unused)
{
    (void)unused;
    plan_tree("one(a b)");
    groups[0]->backoff_ns = BACKOFF;
    groups[0]->backoff_max_ns = 5 * BACKOFF;
    groups[0]->window_ns = 1000 * BACKOFF;
    rig_system *rig = start_planned();
    const uint64_t waits[] = {1, 2, 4, 5, 5};
    for (size_t i = 0; i < 5; i++) {
        rig_crash(rig, ACTOR(i % 2 == 0 ? 'a' : 'b')); /* the window is the group's */
        expect_restart_after(rig, ACTOR(i % 2 == 0 ? 'a' : 'b'), waits[i] * BACKOFF);
    }
    rig_advance(rig, 1000 * BACKOFF);
    rig_crash(rig, ACTOR('a'));
    expect_restart_after(rig, ACTOR('a'), BACKOFF);
    rig_end(rig);
}

static void backoff_without_a_most_has_one(void **unused)
{
    (void)unused;
    plan_tree("one(a)");
    groups[0]->backoff_ns = BACKOFF;
    groups[0]->window_ns = 100000 * BACKOFF;
    rig_system *rig = start_planned();
    for (uint64_t i = 0; i < 9; i++) {
        rig_crash(rig, ACTOR('a'));
        expect_restart_after(rig, ACTOR('a'), (i < 6 ? 1ull << i : 64) * BACKOFF);
    }
    rig_end(rig);
}

static void backoff_varies_by_chance(void **unused)
{
    (void)unused;
    plan_tree("one(a b c d)");
    groups[0]->backoff_ns = groups[0]->backoff_max_ns = 400 * RIG_MS;
    rig_system *rig = start_planned();
    uint64_t waits[4];
    for (size_t i = 0; i < 4; i++)
        rig_crash(rig, &actors[i]);
    for (size_t i = 0; i < 4; i++) {
        const tina__child_record *child = &rig->shards[0]->p.children[i];
        assert_true(tina__timer_is_armed(&child->backoff));
        waits[i] = child->backoff.deadline_ns - rig->now_ns;
        assert_in_range(waits[i], 400 * RIG_MS, 500 * RIG_MS);
    }
    assert_true(waits[0] != waits[1] || waits[1] != waits[2] || waits[2] != waits[3]);
    rig_end(rig);
}

static void backoff_of_a_scope_is_one_for_all(void **unused)
{
    (void)unused;
    plan_tree("all(a b)");
    groups[0]->backoff_ns = BACKOFF;
    rig_system *rig = start_planned();
    rig_crash(rig, ACTOR('b'));
    story_is(&told, "end b: crash\n"
                    "again b later\n"
                    "end a: stopped\n");
    expect_restart_after(rig, ACTOR('a'), BACKOFF);
    story_is(&told, "start a\n"
                    "start b\n"
                    "up root\n");
    rig_end(rig);
}

static void backoff_of_a_scope_begins_again_with_each_crash_in_it(void **unused)
{
    (void)unused;
    plan_tree("rest(a b c)");
    groups[0]->backoff_ns = BACKOFF;
    rig_system *rig = start_planned();
    rig_crash(rig, ACTOR('c'));
    rig_advance(rig, BACKOFF / 2);
    rig_crash(rig, ACTOR('a'));
    story_is(&told, "end c: crash\n"
                    "again c later\n"
                    "end a: crash\n"
                    "again a later\n"
                    "end b: stopped\n");
    expect_restart_after(rig, ACTOR('a'), 2 * BACKOFF);
    story_is(&told, "start a\n"
                    "start b\n"
                    "start c\n"
                    "up root\n");
    rig_end(rig);
}

static void backoff_of_a_group_is_its_parents(void **unused)
{
    (void)unused;
    plan_tree("one(a one(b))");
    groups[0]->backoff_ns = BACKOFF;
    groups[1]->restart_max = TINA_NONE;
    groups[1]->backoff_ns = 1000 * BACKOFF;
    rig_system *rig = start_planned();
    rig_crash(rig, ACTOR('b'));
    story_is(&told, "end b: crash\n"
                    "escalate group 1\n"
                    "end group 1\n"
                    "again group 1 later\n");
    expect_restart_after(rig, ACTOR('b'), BACKOFF);
    rig_end(rig);
}

static void backoff_of_a_group_that_ends_is_dropped(void **unused)
{
    (void)unused;
    plan_tree("rest(a one(b c) all(d e))");
    groups[1]->backoff_ns = groups[2]->backoff_ns = BACKOFF;
    rig_system *rig = start_planned();
    assert_int_equal(spawn(rig, 'c', 'f', TINA_PERMANENT, TINA_GROUP_SELF), TINA_OK);
    rig_crash(rig, ACTOR('b'));
    rig_crash(rig, ACTOR('f'));
    rig_crash(rig, ACTOR('d'));
    rig_crash(rig, ACTOR('a'));
    story_is(&told, "start f\n"
                    "end b: crash\n"
                    "again b later\n"
                    "end f: crash\n"
                    "again f later\n"
                    "end d: crash\n"
                    "again d later\n"
                    "end e: stopped\n"
                    "end a: crash\n"
                    "again a\n"
                    "end group 2\n"
                    "end group 1\n"
                    "end c: stopped\n"
                    "start a\n"
                    "start b\n"
                    "start c\n"
                    "up group 1\n"
                    "start d\n"
                    "start e\n"
                    "up group 2\n"
                    "up root\n");
    assert_int_equal(rig->shards[0]->p.wheel->count, 0);
    rig_advance(rig, 100 * BACKOFF);
    story_is(&told, "");
    assert_int_equal(rig->shards[0]->p.groups[1].dynamic_count, 0);
    rig_end(rig);
}

/* All back-offs are over in the same tick. Who comes first uses up the budget, and the others are in the queue. */
static void child_that_is_due_when_its_group_ends_is_dropped(void **unused)
{
    (void)unused;
    plan_tree("one(a one(b))");
    groups[1]->restart_max = 3;
    groups[1]->backoff_ns = BACKOFF;
    rig_system *rig = start_planned();
    uint32_t records = rig->shards[0]->child_pool.used;
    assert_int_equal(spawn(rig, 'a', 'c', TINA_PERMANENT, 1001), TINA_OK);
    assert_int_equal(spawn(rig, 'a', 'd', TINA_PERMANENT, 1001), TINA_OK);
    rig_crash(rig, ACTOR('b'));
    rig_crash(rig, ACTOR('c'));
    rig_crash(rig, ACTOR('d'));
    fail_inits(ACTOR('b'), 1);
    story_begin(&told, rig->shards[0]);
    rig_advance(rig, 6 * BACKOFF);
    story_is(&told, "fail b: crash\n"
                    "escalate group 1\n"
                    "end group 1\n"
                    "again group 1\n"
                    "start b\n"
                    "up group 1\n");
    assert_int_equal(rig->shards[0]->child_pool.used, records);
    assert_true(tina__pool_is_sound(&rig->shards[0]->child_pool));
    rig_end(rig);
}

/* ---- Inits that fail ------------------------------------------------------------------------------------------ */

static void init_that_fails_holds_up_those_behind_it(void **unused)
{
    (void)unused;
    const char *trees[] = {"one(a b c)", "rest(a b c)"};
    for (size_t i = 0; i < 2; i++) {
        plan_tree(trees[i]);
        fail_inits(ACTOR('b'), 2);
        rig_system *rig = start_raw();
        boot(rig);
        story_is(&told, "start a\n"
                        "fail b: crash\n"
                        "again b\n"
                        "fail b: crash\n"
                        "again b\n"
                        "start b\n"
                        "start c\n"
                        "up root\n");
        assert_int_equal(rig_stats(rig, 0).restarts, 2);
        rig_end(rig);
    }
}

static void init_that_fails_in_one_for_all_begins_anew_at_the_first(void **unused)
{
    (void)unused;
    plan_tree("all(a b c~ d e)");
    fail_inits(ACTOR('d'), 1);
    rig_system *rig = start_raw();
    boot(rig);
    story_is(&told, "start a\n"
                    "start b\n"
                    "start c\n"
                    "fail d: crash\n"
                    "again d\n"
                    "end c: stopped\n"
                    "end b: stopped\n"
                    "end a: stopped\n"
                    "start a\n"
                    "start b\n"
                    "start d\n"
                    "start e\n"
                    "up root\n");
    rig_end(rig);
}

static void init_that_fails_without_a_restart_is_passed_over(void **unused)
{
    (void)unused;
    const char *trees[] = {"one(a? b~ c)", "all(a? b~ c)", "rest(a? b~ c)"};
    for (size_t i = 0; i < 3; i++) {
        plan_tree(trees[i]);
        fail_inits(ACTOR('a'), 1);
        ACTOR('a')->act.is_true = true;
        fail_inits(ACTOR('b'), 1);
        rig_system *rig = start_raw();
        boot(rig);
        story_is(&told, "fail a: done\n"
                        "fail b: crash\n"
                        "start c\n"
                        "up root\n");
        rig_end(rig);
    }
}

static void init_that_fails_past_a_groups_budget_escalates(void **unused)
{
    (void)unused;
    plan_tree("one(a rest(b c) d)");
    groups[1]->restart_max = 1;
    fail_inits(ACTOR('c'), 3);
    rig_system *rig = start_raw();
    boot(rig);
    story_is(&told, "start a\n"
                    "start b\n"
                    "fail c: crash\n"
                    "again c\n"
                    "fail c: crash\n"
                    "escalate group 1\n"
                    "end group 1\n"
                    "end b: stopped\n"
                    "again group 1\n"
                    "start b\n"
                    "fail c: crash\n"
                    "again c\n"
                    "start c\n"
                    "up group 1\n"
                    "start d\n"
                    "up root\n");
    rig_end(rig);
}

static void init_that_fails_in_a_temporary_group_does_not_hold_up_its_parent(void **unused)
{
    (void)unused;
    plan_tree("one(a one(b c)~ d)");
    groups[1]->restart_max = TINA_NONE;
    fail_inits(ACTOR('c'), 1);
    rig_system *rig = start_raw();
    boot(rig);
    story_is(&told, "start a\n"
                    "start b\n"
                    "fail c: crash\n"
                    "escalate group 1\n"
                    "end group 1\n"
                    "end b: stopped\n"
                    "start d\n"
                    "up root\n");
    rig_end(rig);
}

static void init_that_fails_waits_for_the_backoff(void **unused)
{
    (void)unused;
    const char *trees[] = {"one(a b)", "rest(a b)", "all(a b)"};
    for (size_t i = 0; i < 3; i++) {
        plan_tree(trees[i]);
        groups[0]->backoff_ns = BACKOFF;
        fail_inits(ACTOR('a'), 1);
        rig_system *rig = start_raw();
        rig_settle(rig);
        story_is(&told, "fail a: crash\n"
                        "again a later\n");
        assert_true(tina__shard_is_booting(rig->shards[0]));
        rig_advance(rig, 2 * BACKOFF);
        story_is(&told, "start a\n"
                        "start b\n"
                        "up root\n");
        assert_false(tina__shard_is_booting(rig->shards[0]));
        rig_end(rig);
    }
}

static void init_that_always_fails_is_tried_once_a_call(void **unused)
{
    (void)unused;
    const char *trees[] = {"one(a)", "rest(a)", "all(a)", "one(one(a))", "all(rest(a))"};
    for (size_t i = 0; i < 5; i++) {
        plan_tree(trees[i]);
        groups[0]->restart_max = 1000000;
        groups[1]->restart_max = i < 4 ? 1000000 : TINA_NONE;
        fail_inits(ACTOR('a'), UINT32_MAX);
        rig_system *rig = start_raw();
        for (uint32_t call = 1; call <= 100; call++) {
            assert_int_equal(tina__supervise_advance(rig->shards[0]), 1);
            assert_int_equal(ACTOR('a')->init_count, 1 + call);
        }
        ACTOR('a')->act.call = 0;
        boot(rig);
        assert_int_equal(ACTOR('a')->init_count, 102);
        rig_end(rig);
    }
}

static void child_that_crashes_while_its_group_starts_comes_back_by_itself(void **unused)
{
    (void)unused;
    plan_tree("one(a b c)");
    groups[0]->backoff_ns = BACKOFF;
    fail_inits(ACTOR('b'), 1);
    ACTOR('a')->on_init = crash_soon;
    rig_system *rig = start_raw();
    rig_settle(rig);
    rig_advance(rig, 2 * RIG_MS);
    rig_advance(rig, 4 * BACKOFF);
    story_is(&told, "start a\n"
                    "fail b: crash\n"
                    "again b later\n"
                    "end a: crash\n"
                    "again a later\n"
                    "start b\n"
                    "start c\n"
                    "up root\n"
                    "start a\n");
    rig_end(rig);
}

static void child_that_comes_back_while_a_group_behind_it_starts_changes_no_turn(void **unused)
{
    (void)unused;
    plan_tree("one(a one(b) c)");
    groups[1]->backoff_ns = BACKOFF;
    fail_inits(ACTOR('b'), 1);
    ACTOR('a')->on_init = crash_soon;
    rig_system *rig = start_raw();
    rig_settle(rig);
    rig_advance(rig, 2 * RIG_MS);
    story_is(&told, "start a\n"
                    "fail b: crash\n"
                    "again b later\n"
                    "end a: crash\n"
                    "again a\n"
                    "start a\n");
    rig_advance(rig, 4 * BACKOFF);
    story_is(&told, "start b\n"
                    "up group 1\n"
                    "start c\n"
                    "up root\n");
    rig_end(rig);
}

static void child_that_crashes_while_its_scope_starts_takes_the_scope_along(void **unused)
{
    (void)unused;
    plan_tree("rest(a b c)");
    groups[0]->backoff_ns = BACKOFF;
    fail_inits(ACTOR('c'), 1);
    ACTOR('a')->on_init = crash_soon;
    rig_system *rig = start_raw();
    rig_settle(rig);
    rig_advance(rig, 2 * RIG_MS);
    rig_advance(rig, 4 * BACKOFF);
    story_is(&told, "start a\n"
                    "start b\n"
                    "fail c: crash\n"
                    "again c later\n"
                    "end a: crash\n"
                    "again a later\n"
                    "end b: stopped\n"
                    "start a\n"
                    "start b\n"
                    "start c\n"
                    "up root\n");
    rig_end(rig);
}

/* ---- Until it is over -------------------------------------------------------------------------------------------- */

static void restart_of_one_waits_for_its_own_operations_alone(void **unused)
{
    (void)unused;
    rig_system *rig = start("one(a b)");
    hold_a_receive(rig, ACTOR('a'));
    rig_crash(rig, ACTOR('a'));
    rig_crash(rig, ACTOR('b'));
    story_is(&told, "end a: crash\n"
                    "again a\n"
                    "end b: crash\n"
                    "again b\n"
                    "start b\n");
    rig_cancel_wins(rig, 0);
    rig_settle(rig);
    story_is(&told, "start a\n");
    rig_end(rig);
}

static void restart_of_a_scope_waits_for_everybody_in_it(void **unused)
{
    (void)unused;
    const char *trees[] = {"all(a b c)", "rest(a b c)", "rest(a all(b c))"};
    for (size_t i = 0; i < 3; i++) {
        plan_tree(trees[i]);
        rig_system *rig = start_planned();
        hold_a_receive(rig, ACTOR('c'));
        rig_crash(rig, ACTOR('a'));
        assert_int_equal(rig_stats(rig, 0).isolates, 0);
        assert_int_equal(ACTOR('a')->init_count, 1);
        rig_cancel_wins(rig, 0);
        rig_settle(rig);
        assert_int_equal(rig_stats(rig, 0).isolates, 3);
        rig_end(rig);
    }
}

static void restart_of_a_scope_waits_for_the_backoff_and_the_operations(void **unused)
{
    (void)unused;
    for (int operations_last = 0; operations_last < 2; operations_last++) {
        plan_tree("all(a b)");
        groups[0]->backoff_ns = BACKOFF;
        rig_system *rig = start_planned();
        hold_a_receive(rig, ACTOR('b'));
        rig_crash(rig, ACTOR('a'));
        if (operations_last)
            rig_advance(rig, 2 * BACKOFF);
        else
            rig_cancel_wins(rig, 0);
        rig_settle(rig);
        assert_int_equal(ACTOR('a')->init_count, 1);
        if (operations_last)
            rig_cancel_wins(rig, 0);
        else
            rig_advance(rig, 2 * BACKOFF);
        rig_settle(rig);
        assert_int_equal(ACTOR('a')->init_count, 2);
        rig_end(rig);
    }
}

/* An isolate without a record of its own, in a group in a group. */
static void restart_of_a_group_waits_for_who_was_spawned_inside(void **unused)
{
    (void)unused;
    plan_tree("one(a all(b one(c)))");
    groups[1]->restart_max = TINA_NONE;
    rig_system *rig = start_planned();
    assert_int_equal(spawn(rig, 'c', 'd', TINA_TEMPORARY, TINA_GROUP_SELF), TINA_OK);
    hold_a_receive(rig, ACTOR('d'));
    rig_crash(rig, ACTOR('d'));
    rig_crash(rig, ACTOR('c')); /* waits for nobody but itself */
    story_is(&told, "start d\n"
                    "end d: crash\n"
                    "end c: crash\n"
                    "again c\n"
                    "start c\n");
    rig_crash(rig, ACTOR('b'));
    rig_crash(rig, ACTOR('a')); /* in another group */
    story_is(&told, "end b: crash\n"
                    "escalate group 1\n"
                    "end group 2\n"
                    "end c: stopped\n"
                    "end group 1\n"
                    "again group 1\n"
                    "end a: crash\n"
                    "again a\n"
                    "start a\n");
    rig_cancel_wins(rig, 0);
    rig_settle(rig);
    story_is(&told, "start b\n"
                    "start c\n"
                    "up group 2\n"
                    "up group 1\n");
    rig_end(rig);
}

static void record_of_a_spawned_child_is_free_when_what_it_held_is_over(void **unused)
{
    (void)unused;
    rig_system *rig = start("one(a)");
    uint32_t before = rig->shards[0]->child_pool.used;
    assert_int_equal(spawn(rig, 'a', 'b', TINA_TRANSIENT, TINA_GROUP_ROOT), TINA_OK);
    hold_a_receive(rig, ACTOR('b'));
    rig_done(rig, ACTOR('b'));
    assert_int_equal(rig->shards[0]->p.groups[0].dynamic_count, 0);
    assert_int_equal(rig->shards[0]->child_pool.used, before + 1);
    rig_cancel_wins(rig, 0);
    rig_settle(rig);
    assert_int_equal(rig->shards[0]->child_pool.used, before);
    rig_end(rig);
}

/* Its slot is still in the queue of those that are ready. */
static void restart_of_a_scope_works_with_the_last_slots(void **unused)
{
    (void)unused;
    plan_tree("all(a b)");
    plan.types[0].slot_count = plan.types[1].slot_count = 1;
    rig_system *rig = start_planned();
    ACTOR('a')->on = crash_on_message;
    ACTOR('b')->on = crash_on_message;
    for (int i = 0; i < 50; i++) {
        assert_true(rig_post(rig, ACTOR('a')->self, TAG_A, NULL, 0));
        assert_true(rig_post(rig, ACTOR('b')->self, TAG_A, NULL, 0));
        rig_settle(rig);
        assert_int_equal(rig_stats(rig, 0).isolates, 2);
        assert_int_equal(ACTOR('a')->init_count, 2 + i);
        assert_int_equal(ACTOR('b')->init_count, 2 + i);
    }
    rig_end(rig);
}

/* Nobody may take its slot but itself: not even a child that nobody supervises. */
static void expect_slot_is_kept(rig_system *rig, char letter)
{
    assert_int_equal(spawn(rig, 'a', letter, TINA_TEMPORARY, TINA_GROUP_NONE), TINA_ARENA_FULL);
}

static void plan_single_slots(const char *tree)
{
    plan_tree(tree);
    for (size_t i = 0; i < TYPES; i++)
        plan.types[i].slot_count = 1;
}

static void slot_is_kept_for_who_comes_up_with_others(void **unused)
{
    (void)unused;
    plan_single_slots("all(a b?)");
    rig_system *rig = start_planned();
    rig_done(rig, ACTOR('b'));
    expect_slot_is_kept(rig, 'b');
    rig_crash(rig, ACTOR('a'));
    assert_int_equal(ACTOR('b')->init_count, 2);
    rig_end(rig);
}

static void slot_is_kept_for_who_comes_up_with_its_group(void **unused)
{
    (void)unused;
    plan_single_slots("one(a one(b c?))");
    groups[1]->restart_max = TINA_NONE;
    groups[0]->backoff_ns = BACKOFF;
    rig_system *rig = start_planned();
    rig_done(rig, ACTOR('c'));
    expect_slot_is_kept(rig, 'c');
    rig_crash(rig, ACTOR('b'));
    expect_slot_is_kept(rig, 'b');
    expect_slot_is_kept(rig, 'c');
    rig_advance(rig, 2 * BACKOFF);
    assert_int_equal(ACTOR('c')->init_count, 2);
    rig_end(rig);
}

static void slot_is_kept_for_who_comes_up_with_a_group_around_its_own(void **unused)
{
    (void)unused;
    plan_single_slots("one(a one(b one(c)~))");
    groups[1]->restart_max = TINA_NONE;
    groups[2]->restart_max = TINA_NONE;
    rig_system *rig = start_planned();
    rig_crash(rig, ACTOR('c'));
    expect_slot_is_kept(rig, 'c');
    rig_crash(rig, ACTOR('b'));
    assert_int_equal(ACTOR('c')->init_count, 2);
    rig_end(rig);
}

static void slot_of_who_never_comes_up_again_is_free(void **unused)
{
    (void)unused;
    plan_single_slots("one(a b? c~)");
    rig_system *rig = start_planned();
    for (char letter = 'b'; letter <= 'c'; letter++) {
        rig_done(rig, ACTOR(letter));
        assert_int_equal(spawn(rig, 'a', letter, TINA_TEMPORARY, TINA_GROUP_ROOT), TINA_OK);
    }
    rig_end(rig);
}

static void slots_of_a_group_that_is_down_for_good_are_free(void **unused)
{
    (void)unused;
    plan_single_slots("one(a one(b all(c))~)");
    groups[1]->restart_max = TINA_NONE;
    rig_system *rig = start_planned();
    rig_crash(rig, ACTOR('b'));
    assert_int_equal(rig_stats(rig, 0).isolates, 1);
    assert_int_equal(spawn(rig, 'a', 'b', TINA_TEMPORARY, TINA_GROUP_ROOT), TINA_OK);
    assert_int_equal(spawn(rig, 'a', 'c', TINA_TEMPORARY, TINA_GROUP_ROOT), TINA_OK);
    rig_end(rig);
}

/* ---- Spawning into groups ------------------------------------------------------------------------------------------- */

static void spawn_finds_its_group_by_name(void **unused)
{
    (void)unused;
    plan_tree("one(a one(b one(c)) rest(d))");
    groups[1]->dynamic_max = 2;
    rig_system *rig = start_planned();
    const tina__group *of = rig->shards[0]->p.groups;
    assert_int_equal(spawn(rig, 'a', 'e', TINA_TEMPORARY, 1002), TINA_OK);
    assert_int_equal(spawn(rig, 'c', 'e', TINA_TEMPORARY, TINA_GROUP_SELF), TINA_OK);
    assert_int_equal(of[2].dynamic_count, 2);
    assert_int_equal(spawn(rig, 'c', 'e', TINA_TEMPORARY, 1000), TINA_OK);
    assert_int_equal(spawn(rig, 'c', 'e', TINA_TEMPORARY, TINA_GROUP_ROOT), TINA_OK);
    assert_int_equal(of[0].dynamic_count, 2);
    assert_int_equal(spawn(rig, 'd', 'f', TINA_TEMPORARY, 1001), TINA_OK);
    assert_int_equal(spawn(rig, 'd', 'f', TINA_PERMANENT, 1001), TINA_OK);
    assert_int_equal(spawn(rig, 'd', 'f', TINA_TEMPORARY, 1001), TINA_GROUP_FULL);
    assert_int_equal(spawn(rig, 'd', 'f', TINA_TEMPORARY, TINA_GROUP_SELF), TINA_GROUP_FULL); /* not one_for_one */
    assert_int_equal(spawn(rig, 'd', 'f', TINA_TEMPORARY, 1003), TINA_GROUP_FULL);
    assert_int_equal(spawn(rig, 'd', 'f', TINA_TEMPORARY, 1004), TINA_INVALID);
    assert_int_equal(spawn(rig, 'd', 'f', TINA_TEMPORARY, 'a'), TINA_INVALID); /* that is a child */
    assert_int_equal(spawn(rig, 'd', 'f', TINA_TEMPORARY, 9999), TINA_INVALID);
    rig_end(rig);
}

static void spawned_children_are_restarted_in_their_group_and_end_with_it(void **unused)
{
    (void)unused;
    plan_tree("one(a one(b))");
    groups[1]->restart_max = 1;
    rig_system *rig = start_planned();
    assert_int_equal(spawn(rig, 'a', 'c', TINA_PERMANENT, 1001), TINA_OK);
    assert_int_equal(spawn(rig, 'a', 'd', TINA_TEMPORARY, 1001), TINA_OK);
    rig_done(rig, ACTOR('c'));
    story_is(&told, "start c\n"
                    "start d\n"
                    "end c: done\n"
                    "again c\n"
                    "start c\n");
    rig_crash(rig, ACTOR('c'));
    story_is(&told, "end c: crash\n"
                    "escalate group 1\n"
                    "end group 1\n"
                    "end d: stopped\n"
                    "end b: stopped\n"
                    "again group 1\n"
                    "start b\n"
                    "up group 1\n");
    assert_int_equal(rig->shards[0]->p.groups[1].dynamic_count, 0);
    rig_end(rig);
}

static void spawn_into_a_group_that_is_down_is_refused(void **unused)
{
    (void)unused;
    plan_tree("one(a one(b))");
    groups[1]->restart_max = TINA_NONE;
    groups[0]->backoff_ns = BACKOFF;
    rig_system *rig = start_planned();
    rig_crash(rig, ACTOR('b'));
    assert_int_equal(spawn(rig, 'a', 'c', TINA_TEMPORARY, 1001), TINA_GROUP_FULL);
    rig_advance(rig, 2 * BACKOFF);
    assert_int_equal(spawn(rig, 'a', 'c', TINA_TEMPORARY, 1001), TINA_OK);
    rig_end(rig);
}

static tina_effect spawn_in_init(rig_actor *me, tina_ctx *ctx)
{
    me->act.status = tina_spawn_child(ctx, &me->act.spawn, NULL);
    return tina_receive();
}

static void spawn_in_an_init_is_told_in_its_place(void **unused)
{
    (void)unused;
    plan_tree("one(a one(b c))");
    ACTOR('b')->on_init = spawn_in_init;
    ACTOR('b')->act.spawn = spawn_of('d', TINA_PERMANENT, TINA_GROUP_SELF);
    rig_system *rig = start_raw();
    boot(rig);
    assert_int_equal(ACTOR('b')->act.status, TINA_OK);
    story_is(&told, "start a\n"
                    "start b\n"
                    "start d\n"
                    "start c\n"
                    "up group 1\n"
                    "up root\n");
    rig_crash(rig, ACTOR('d'));
    story_is(&told, "end d: crash\n"
                    "again d\n"
                    "start d\n");
    rig_end(rig);
}

/* ---- Asked to end ------------------------------------------------------------------------------------------------------- */

static void stopped_child_gets_its_notice_and_is_not_restarted(void **unused)
{
    (void)unused;
    const char *trees[] = {"one(a b c)", "all(a b c)", "rest(a b c)"};
    for (size_t i = 0; i < 3; i++) {
        rig_system *rig = start(trees[i]);
        assert_int_equal(stop(rig, 'a', ACTOR('b')->self, 10 * RIG_MS), TINA_OK);
        story_is(&told, "end b: done\n");
        assert_int_equal(rig_count_tag(ACTOR('b'), TINA_TAG_SHUTDOWN), 1);
        assert_int_equal(rig_stats(rig, 0).timers.used, 0);
        rig_advance(rig, 100 * RIG_MS);
        story_is(&told, "");
        rig_end(rig);
    }
}

static void stopped_child_that_crashes_is_not_restarted(void **unused)
{
    (void)unused;
    rig_system *rig = start("all(a b)");
    ACTOR('b')->on = ignore_all;
    assert_int_equal(stop(rig, 'a', ACTOR('b')->self, TINA_NONE_NS), TINA_OK);
    rig_advance(rig, 1000000 * RIG_MS);
    story_is(&told, ""); /* it has all the time */
    assert_int_equal(rig_stats(rig, 0).timers.used, 0);
    rig_crash(rig, ACTOR('b'));
    story_is(&told, "end b: crash\n");
    rig_end(rig);
}

static void stopped_child_that_does_not_end_is_ended(void **unused)
{
    (void)unused;
    rig_system *rig = start("rest(a b c)");
    ACTOR('b')->on = ignore_all;
    assert_int_equal(stop(rig, 'a', ACTOR('b')->self, 10 * RIG_MS), TINA_OK);
    rig_advance(rig, 10 * RIG_MS - 1);
    story_is(&told, "");
    rig_advance(rig, RIG_MS);
    story_is(&told, "end b: stopped\n");
    assert_int_equal(rig_stats(rig, 0).timers.used, 0);
    assert_int_equal(rig_stats(rig, 0).crashes, 0);
    rig_end(rig);
}

static void stopped_child_comes_up_again_with_its_scope(void **unused)
{
    (void)unused;
    rig_system *rig = start("all(a b)");
    assert_int_equal(stop(rig, 'a', ACTOR('b')->self, 0), TINA_OK);
    rig_crash(rig, ACTOR('a'));
    story_is(&told, "end b: done\n"
                    "end a: crash\n"
                    "again a\n"
                    "start a\n"
                    "start b\n"
                    "up root\n");
    rig_crash(rig, ACTOR('b')); /* a new life */
    assert_int_equal(ACTOR('b')->init_count, 3);
    rig_end(rig);
}

static void stop_asked_again_is_due_at_the_earlier_time(void **unused)
{
    (void)unused;
    rig_system *rig = start("one(a b c d e)");
    const struct {
        char who;
        uint64_t first_ns, second_ns, ends_ns;
    } cases[] = {
        {'b', 10 * RIG_MS, 50 * RIG_MS, 10 * RIG_MS},
        {'c', 50 * RIG_MS, 20 * RIG_MS, 20 * RIG_MS},
        {'d', TINA_NONE_NS, 30 * RIG_MS, 30 * RIG_MS},
        {'e', 40 * RIG_MS, TINA_NONE_NS, 40 * RIG_MS},
    };
    for (size_t i = 0; i < 4; i++) {
        rig_actor *actor = ACTOR(cases[i].who);
        actor->on = ignore_all;
        assert_int_equal(stop(rig, 'a', actor->self, cases[i].first_ns), TINA_OK);
        assert_int_equal(stop(rig, 'a', actor->self, cases[i].second_ns), TINA_OK);
        assert_int_equal(rig_count_tag(actor, TINA_TAG_SHUTDOWN), 1);
    }
    assert_int_equal(rig_stats(rig, 0).timers.used, 4);
    const char *stories[] = {"end b: stopped\n", "end c: stopped\n", "end d: stopped\n", "end e: stopped\n"};
    for (size_t i = 0; i < 4; i++) { /* at the end of each turn a millisecond has passed since the time */
        rig_advance(rig, (i == 0 ? 10 : 9) * RIG_MS - 1);
        story_is(&told, "");
        rig_advance(rig, RIG_MS + 1);
        story_is(&told, stories[i]);
    }
    rig_end(rig);
}

static void stop_of_who_is_not_there_is_refused(void **unused)
{
    (void)unused;
    rig_system *rig = start("one(a b~)");
    tina_handle b = ACTOR('b')->self;
    assert_int_equal(stop(rig, 'a', ACTOR('p')->self, 0), TINA_INVALID); /* on the other shard */
    rig_done(rig, ACTOR('b'));
    assert_int_equal(stop(rig, 'a', b, 0), TINA_STALE_HANDLE);
    assert_int_equal(stop(rig, 'a', tina_named(0, 'b'), 0), TINA_STALE_HANDLE);
    assert_int_equal(stop(rig, 'a', tina_named(0, 999), 0), TINA_STALE_HANDLE);
    assert_int_equal(stop(rig, 'a', (tina_handle){0}, 0), TINA_STALE_HANDLE);
    rig_end(rig);
}

static void stop_finds_names_and_who_asks(void **unused)
{
    (void)unused;
    rig_system *rig = start("one(a one(b))");
    assert_int_equal(stop(rig, 'a', tina_named(0, 'b'), 0), TINA_OK);
    story_is(&told, "end b: done\n");
    assert_int_equal(stop(rig, 'a', ACTOR('a')->self, 0), TINA_OK);
    story_is(&told, "end a: done\n");
    rig_end(rig);
}

static void stop_without_a_timer_changes_nothing(void **unused)
{
    (void)unused;
    plan_tree("one(a b)");
    plan.spec.timer_count = 1;
    rig_system *rig = start_planned();
    assert_int_equal(rig_timer(rig, ACTOR('a'), 1000 * RIG_MS, TAG_A), TINA_OK);
    assert_int_equal(stop(rig, 'a', ACTOR('b')->self, RIG_MS), TINA_POOL_EXHAUSTED);
    rig_crash(rig, ACTOR('b'));
    assert_int_equal(ACTOR('b')->init_count, 2);
    assert_int_equal(stop(rig, 'a', ACTOR('b')->self, TINA_NONE_NS), TINA_OK); /* which needs none */
    assert_int_equal(rig_stats(rig, 0).isolates, 1);
    rig_end(rig);
}

static tina_effect ask_to_stop_twice(rig_actor *me, tina_ctx *ctx)
{
    tina_ignore(tina_stop_child(ctx, me->act.to, 0));
    me->act.status = tina_stop_child(ctx, me->act.to, 0);
    return tina_crash(0);
}

static void stop_by_one_that_crashes_holds(void **unused)
{
    (void)unused;
    rig_system *rig = start("all(a one(b))");
    ACTOR('b')->on = ignore_all;
    ACTOR('a')->act.to = ACTOR('b')->self;
    rig_do(rig, ACTOR('a'), ask_to_stop_twice);
    assert_int_equal(ACTOR('a')->act.status, TINA_OK);
    assert_int_equal(rig_stats(rig, 0).timers.used, 0);
    story_is(&told, "end a: crash\n"
                    "again a\n"
                    "end group 1\n"
                    "end b: stopped\n"
                    "start a\n"
                    "start b\n"
                    "up group 1\n"
                    "up root\n");
    ACTOR('b')->on = NULL;
    rig_end(rig);
}

static void stop_of_a_spawned_child_frees_its_place(void **unused)
{
    (void)unused;
    plan_tree("one(a)");
    groups[0]->dynamic_max = 1;
    rig_system *rig = start_planned();
    for (int i = 0; i < 20; i++) {
        uint8_t policy = i % 2 == 0 ? TINA_PERMANENT : TINA_TEMPORARY;
        assert_int_equal(spawn(rig, 'a', 'b', policy, TINA_GROUP_ROOT), TINA_OK);
        ACTOR('b')->on = i % 3 == 0 ? ignore_all : NULL;
        assert_int_equal(stop(rig, 'a', ACTOR('b')->self, RIG_MS), TINA_OK);
        rig_advance(rig, 2 * RIG_MS);
        assert_int_equal(rig_stats(rig, 0).isolates, 1);
    }
    rig_end(rig);
}

/* ---- With every pool empty ------------------------------------------------------------------------------------------------ */

static tina_effect exhaust_everything(rig_actor *me, tina_ctx *ctx)
{
    static uint8_t byte;
    while (tina_timer_start(ctx, 1000 * RIG_MS, TAG_A, NULL) == TINA_OK) {
    }
    tina_ignore(tina_watch(ctx, me->act.to)); /* the one that there is */
    while (tina_send(ctx, me->act.to, TAG_A, NULL, 0) == TINA_OK) {
    }
    tina_transfer transfer;
    void *data;
    while (tina_transfer_alloc(ctx, &transfer, &data, NULL) == TINA_OK) {
    }
    tina_fd fd;
    while (tina_socket(ctx, TINA_IPV4, TINA_STREAM, &fd) == TINA_OK) {
        tina_op op = {.kind = TINA_IO_SEND, .fd = fd, .data = &byte, .size = 1};
        tina_ignore(tina_io_start(ctx, &op));
        op.kind = TINA_IO_RECV;
        tina_ignore(tina_io_start(ctx, &op));
    }
    return tina_receive();
}

static void plan_to_exhaust(void)
{
    plan.spec.message_count = 8;
    plan.spec.op_count = 8;
    plan.spec.watch_count = 1;
    plan.spec.log_size = 1024;
}

/* The hog takes it all. Its messages lie with one that is parked and does not take them. */
static void exhaust(rig_system *rig, char hog, char parked)
{
    rig_call(rig, ACTOR(parked), ACTOR('p')->self, TAG_A, TINA_NONE_NS);
    ACTOR(hog)->act.to = ACTOR(parked)->self;
    rig_do(rig, ACTOR(hog), exhaust_everything);
    assert_true(rig_post(rig, ACTOR(parked)->self, TAG_A, NULL, 0)); /* in place of the order to the hog */
    rig_settle(rig);
    tina_stats stats = rig_stats(rig, 0);
    assert_int_equal(stats.messages.used, stats.messages.limit);
    assert_int_equal(stats.timers.used, stats.timers.limit);
    assert_int_equal(stats.ops.used, stats.ops.limit);
    assert_int_equal(stats.fds.used, stats.fds.limit);
    assert_int_equal(stats.transfers.used, stats.transfers.limit);
    assert_int_equal(stats.watches.used, stats.watches.limit);
}

static void every_strategy_works_when_every_pool_is_empty(void **unused)
{
    (void)unused;
    const struct {
        const char *tree, *story;
    } cases[] = {
        {"one(n o one(a b c))", "end b: crash\nagain b\nstart b\n"},
        {"one(n o all(a b c))",
         "end b: crash\nagain b\nend c: stopped\nend a: stopped\nstart a\nstart b\nstart c\nup group 1\n"},
        {"one(n o rest(a b c))", "end b: crash\nagain b\nend c: stopped\nstart b\nstart c\nup group 1\n"},
    };
    for (size_t i = 0; i < 3; i++) {
        plan_tree(cases[i].tree);
        plan_to_exhaust();
        rig_system *rig = start_planned();
        rig_timer(rig, ACTOR('b'), RIG_MS, TAG_A);
        ACTOR('b')->on = crash_on_message;
        exhaust(rig, 'o', 'n');
        rig_advance(rig, 3 * RIG_MS);
        story_is(&told, cases[i].story);
        rig_end(rig);
    }
}

static void escalation_and_backoff_work_when_every_pool_is_empty(void **unused)
{
    (void)unused;
    plan_tree("one(n o all(a one(b)))");
    plan_to_exhaust();
    groups[2]->restart_max = TINA_NONE;
    groups[1]->backoff_ns = BACKOFF;
    rig_system *rig = start_planned();
    rig_timer(rig, ACTOR('b'), RIG_MS, TAG_A);
    ACTOR('b')->on = crash_on_message;
    exhaust(rig, 'o', 'n');
    rig_advance(rig, 3 * RIG_MS);
    story_is(&told, "end b: crash\n"
                    "escalate group 2\n"
                    "end group 2\n"
                    "again group 2 later\n"
                    "end a: stopped\n");
    rig_advance(rig, 2 * BACKOFF);
    story_is(&told, "start a\n"
                    "start b\n"
                    "up group 2\n"
                    "up group 1\n");
    rig_end(rig);
}

/* ---- The end of the whole ---------------------------------------------------------------------------------------------------- */

static void shutdown_restarts_nothing_and_drops_what_waits(void **unused)
{
    (void)unused;
    plan_tree("one(a all(b c) one(d e) rest(f g))");
    groups[1]->backoff_ns = groups[2]->backoff_ns = BACKOFF;
    rig_system *rig = start_planned();
    hold_a_receive(rig, ACTOR('f'));
    rig_crash(rig, ACTOR('b'));
    rig_crash(rig, ACTOR('d'));
    rig_crash(rig, ACTOR('f'));
    story_begin(&told, rig->shards[0]);
    ACTOR('e')->on = ignore_all;
    rig_stop(rig, TINA__STOP_GRACEFUL);
    rig_settle(rig);
    story_is(&told, "end a: done\n");
    rig_crash(rig, ACTOR('e'));
    rig_cancel_wins(rig, 0);
    rig_advance(rig, 100 * BACKOFF);
    story_is(&told, "end e: crash\n");
    rig_end(rig);
}

static tina_effect spawn_at_shutdown(rig_actor *me, const tina_message *message, tina_ctx *ctx)
{
    (void)message;
    me->act.status = tina_spawn_child(ctx, &me->act.spawn, NULL);
    return tina_done();
}

static void shutdown_keeps_no_slots(void **unused)
{
    (void)unused;
    plan_tree("one(a all(b c))");
    plan.types[1].slot_count = 1;
    groups[1]->backoff_ns = BACKOFF;
    rig_system *rig = start_planned();
    rig_crash(rig, ACTOR('b'));
    ACTOR('a')->on = spawn_at_shutdown;
    ACTOR('a')->act.spawn = spawn_of('b', TINA_TEMPORARY, TINA_GROUP_ROOT);
    rig_stop(rig, TINA__STOP_GRACEFUL);
    rig_settle(rig);
    assert_int_equal(ACTOR('a')->act.status, TINA_OK);
    assert_int_equal(ACTOR('b')->init_count, 2);
    rig_end(rig);
}

static void deadline_of_the_shutdown_ends_who_is_left_groups_inside_first(void **unused)
{
    (void)unused;
    rig_system *rig = start("one(a one(b) c)");
    for (char who = 'a'; who <= 'c'; who++)
        ACTOR(who)->on = ignore_all;
    rig_stop(rig, TINA__STOP_GRACEFUL);
    rig_settle(rig);
    story_is(&told, "");
    rig_advance(rig, 2000 * RIG_MS);
    story_is(&told, "end group 1\n"
                    "end b: stopped\n"
                    "end root\n"
                    "end c: stopped\n"
                    "end a: stopped\n");
    assert_int_equal(rig->shards[0]->undrained_count, 3);
    assert_true(tina_handle_equal(rig->shards[0]->undrained[0], ACTOR('b')->self));
    rig_end(rig);
}

/* A child that is stopped while all are told of the shutdown hears of it once. */
static void stop_and_shutdown_are_one_notice(void **unused)
{
    (void)unused;
    rig_system *rig = start("one(a b)");
    ACTOR('a')->on = ignore_all;
    ACTOR('b')->on = ignore_all;
    rig_stop(rig, TINA__STOP_GRACEFUL);
    rig_settle(rig);
    assert_int_equal(stop(rig, 'a', ACTOR('b')->self, 10 * RIG_MS), TINA_OK);
    assert_int_equal(rig_count_tag(ACTOR('b'), TINA_TAG_SHUTDOWN), 1);
    rig_advance(rig, 11 * RIG_MS);
    story_is(&told, "end b: stopped\n");
    rig_done(rig, ACTOR('a'));
    rig_end(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tree_starts_in_order_and_groups_in_their_places),
        cmocka_unit_test(tree_of_empty_groups_is_up),
        cmocka_unit_test(tree_of_the_greatest_depth_starts_and_restarts),
        cmocka_unit_test(one_for_one_restarts_who_crashed),
        cmocka_unit_test(one_for_all_restarts_all),
        cmocka_unit_test(rest_for_one_restarts_those_behind),
        cmocka_unit_test(scope_ends_its_groups_first_and_starts_them_in_their_places),
        cmocka_unit_test(strategy_of_a_group_ends_at_its_border),
        cmocka_unit_test(end_that_wants_no_restart_touches_nobody),
        cmocka_unit_test(transient_that_was_done_comes_up_again_with_its_scope),
        cmocka_unit_test(temporary_is_ended_with_its_scope_and_stays_down),
        cmocka_unit_test(temporary_comes_up_again_with_a_group_that_begins_again),
        cmocka_unit_test(group_of_any_policy_is_restarted_but_a_temporary_one),
        cmocka_unit_test(group_past_its_budget_is_its_parents_failure),
        cmocka_unit_test(budget_of_a_group_that_begins_again_is_new),
        cmocka_unit_test(budget_that_all_groups_have_used_up_costs_the_shard),
        cmocka_unit_test(budget_is_paid_at_the_crash),
        cmocka_unit_test(backoff_doubles_within_the_window_up_to_its_most),
        cmocka_unit_test(backoff_without_a_most_has_one),
        cmocka_unit_test(backoff_varies_by_chance),
        cmocka_unit_test(backoff_of_a_scope_is_one_for_all),
        cmocka_unit_test(backoff_of_a_scope_begins_again_with_each_crash_in_it),
        cmocka_unit_test(backoff_of_a_group_is_its_parents),
        cmocka_unit_test(backoff_of_a_group_that_ends_is_dropped),
        cmocka_unit_test(child_that_is_due_when_its_group_ends_is_dropped),
        cmocka_unit_test(init_that_fails_holds_up_those_behind_it),
        cmocka_unit_test(init_that_fails_in_one_for_all_begins_anew_at_the_first),
        cmocka_unit_test(init_that_fails_without_a_restart_is_passed_over),
        cmocka_unit_test(init_that_fails_past_a_groups_budget_escalates),
        cmocka_unit_test(init_that_fails_in_a_temporary_group_does_not_hold_up_its_parent),
        cmocka_unit_test(init_that_fails_waits_for_the_backoff),
        cmocka_unit_test(init_that_always_fails_is_tried_once_a_call),
        cmocka_unit_test(child_that_crashes_while_its_group_starts_comes_back_by_itself),
        cmocka_unit_test(child_that_comes_back_while_a_group_behind_it_starts_changes_no_turn),
        cmocka_unit_test(child_that_crashes_while_its_scope_starts_takes_the_scope_along),
        cmocka_unit_test(restart_of_one_waits_for_its_own_operations_alone),
        cmocka_unit_test(restart_of_a_scope_waits_for_everybody_in_it),
        cmocka_unit_test(restart_of_a_scope_waits_for_the_backoff_and_the_operations),
        cmocka_unit_test(restart_of_a_group_waits_for_who_was_spawned_inside),
        cmocka_unit_test(record_of_a_spawned_child_is_free_when_what_it_held_is_over),
        cmocka_unit_test(restart_of_a_scope_works_with_the_last_slots),
        cmocka_unit_test(slot_is_kept_for_who_comes_up_with_others),
        cmocka_unit_test(slot_is_kept_for_who_comes_up_with_its_group),
        cmocka_unit_test(slot_is_kept_for_who_comes_up_with_a_group_around_its_own),
        cmocka_unit_test(slot_of_who_never_comes_up_again_is_free),
        cmocka_unit_test(slots_of_a_group_that_is_down_for_good_are_free),
        cmocka_unit_test(spawn_finds_its_group_by_name),
        cmocka_unit_test(spawned_children_are_restarted_in_their_group_and_end_with_it),
        cmocka_unit_test(spawn_into_a_group_that_is_down_is_refused),
        cmocka_unit_test(spawn_in_an_init_is_told_in_its_place),
        cmocka_unit_test(stopped_child_gets_its_notice_and_is_not_restarted),
        cmocka_unit_test(stopped_child_that_crashes_is_not_restarted),
        cmocka_unit_test(stopped_child_that_does_not_end_is_ended),
        cmocka_unit_test(stopped_child_comes_up_again_with_its_scope),
        cmocka_unit_test(stop_asked_again_is_due_at_the_earlier_time),
        cmocka_unit_test(stop_of_who_is_not_there_is_refused),
        cmocka_unit_test(stop_finds_names_and_who_asks),
        cmocka_unit_test(stop_without_a_timer_changes_nothing),
        cmocka_unit_test(stop_by_one_that_crashes_holds),
        cmocka_unit_test(stop_of_a_spawned_child_frees_its_place),
        cmocka_unit_test(every_strategy_works_when_every_pool_is_empty),
        cmocka_unit_test(escalation_and_backoff_work_when_every_pool_is_empty),
        cmocka_unit_test(shutdown_restarts_nothing_and_drops_what_waits),
        cmocka_unit_test(shutdown_keeps_no_slots),
        cmocka_unit_test(deadline_of_the_shutdown_ends_who_is_left_groups_inside_first),
        cmocka_unit_test(stop_and_shutdown_are_one_notice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
