/*
 * Random trees whose isolates end at random, against the rules written down
 * naively: after each end the two must have told the same story, event for event,
 * and agree on who is up, what was counted, and what became of the shard.
 *
 * The model knows no queue and no cursor. Each child is up, planned or neither; as
 * long as any is planned, the first one in the tree's order is started.
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

/* Where a step is dear there are fewer, unless TINA_SOAK is set. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(TINA_AUDIT)
#define IS_DEAR
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_DEAR
#endif
#endif
#ifdef IS_DEAR
#define STEP_COUNT 100000u
#else
#define STEP_COUNT 1000000u
#endif
#define STEP_COUNT_SOAK 10000000u
#define STEPS_PER_TREE  400u

#define STATIC_MAX    14u
#define DYNAMIC_COUNT 6u
#define ISOLATE_MAX   (STATIC_MAX + DYNAMIC_COUNT)
#define GROUP_MAX     8u
#define CHILD_MAX     (STATIC_MAX + GROUP_MAX)
#define NONE          UINT32_MAX
#define RESTARTS_MAX  1024
#define EVENTS_MAX    4096

static rig_plan plan;
static rig_system *rig;
static rig_actor actors[ISOLATE_MAX]; /* by isolate; each has a type of its own */
static tina__prng prng;
static uint64_t seed;

static uint32_t below(uint32_t bound) { return (uint32_t)tina__prng_below(&prng, bound); }

/* ---- The model: what there is ------------------------------------------------------------------- */

typedef struct model_budget {
    uint64_t when_ns[RESTARTS_MAX];
    uint32_t count, max;
    uint64_t window_ns;
} model_budget;

typedef struct model_child {
    uint32_t group, isolate; /* one of them is NONE */
} model_child;

typedef struct model_group {
    uint32_t parent; /* NONE: the root */
    uint8_t strategy, restart;
    model_child children[CHILD_MAX];
    uint32_t child_count;
    uint32_t dynamic_max, dynamic_count;
    uint32_t live[ISOLATE_MAX]; /* isolates, in the order in which they were started */
    uint32_t live_count;
    bool is_up, is_planned;
    model_budget budget;
} model_group;

typedef struct model_isolate {
    uint32_t group; /* NONE: nobody's */
    uint8_t restart;
    bool is_dynamic, is_up, is_planned;
    bool was_started;  /* since the shard began */
    uint32_t failures; /* how many of its next inits fail */
    bool fails_by_crash;
    uint32_t inits;
} model_isolate;

static model_group groups[GROUP_MAX];
static model_isolate isolates[ISOLATE_MAX];
static uint32_t group_count, static_count;
static model_budget shard_budget;
static uint64_t restarts, escalations, shard_restarts;
static bool is_quarantined;

/* ---- The story ------------------------------------------------------------------------------------- */

typedef enum event_kind { INIT = 1, UP, END, RESTART, RESTART_GROUP, ESCALATE, GROUP_END, WIPE } event_kind;

static uint32_t expected[EVENTS_MAX], expected_count;
static uint64_t told; /* of the shard's events */

static void expect(event_kind kind, uint32_t index)
{
    assert_true(expected_count < EVENTS_MAX);
    expected[expected_count++] = (uint32_t)kind << 16 | index;
}

/* 0: it is none of the story's. */
static uint32_t translate(const tina__event *event)
{
    uint32_t type = tina__event_type(event);
    switch (tina__event_kind_of(event)) {
    case TINA__EVENT_INIT: return (uint32_t)INIT << 16 | type;
    case TINA__EVENT_UP: return (uint32_t)UP << 16 | type;
    case TINA__EVENT_END: return (uint32_t)END << 16 | type;
    case TINA__EVENT_RESTART:
        return event->tag == 1 ? (uint32_t)RESTART_GROUP << 16 | event->detail : (uint32_t)RESTART << 16 | type;
    case TINA__EVENT_ESCALATE: return (uint32_t)ESCALATE << 16 | (uint32_t)event->value;
    case TINA__EVENT_GROUP_END: return (uint32_t)GROUP_END << 16 | (uint32_t)event->value;
    case TINA__EVENT_WIPE: return (uint32_t)WIPE << 16;
    default: return 0;
    }
}

static void check_story(void)
{
    const tina__trace *trace = rig->shards[0]->p.trace;
    uint32_t count = 0;
    for (; told < tina__trace_written(trace); told++) {
        const tina__event *event = tina__trace_at(trace, told);
        assert_non_null(event);
        uint32_t is = translate(event);
        if (is == 0)
            continue;
        if (count == expected_count || is != expected[count]) {
            fprintf(stderr, "event %u is %x, not %x\n", count, is, count < expected_count ? expected[count] : 0);
            fail();
        }
        count++;
    }
    assert_int_equal(count, expected_count);
    expected_count = 0;
}

/* ---- The model: what happens --------------------------------------------------------------------------- */

static bool spend(model_budget *budget)
{
    uint32_t recent = 0;
    for (uint32_t i = 0; i < budget->count; i++)
        recent += rig->now_ns - budget->when_ns[i] < budget->window_ns;
    if (recent >= budget->max)
        return false;
    if (budget->count == RESTARTS_MAX) { /* the oldest are long out of the window */
        memmove(budget->when_ns, budget->when_ns + RESTARTS_MAX / 2, sizeof budget->when_ns / 2);
        budget->count /= 2;
    }
    budget->when_ns[budget->count++] = rig->now_ns;
    return true;
}

static void go_down(uint32_t index)
{
    model_isolate *isolate = &isolates[index];
    isolate->is_up = false;
    isolate->is_planned = false;
    if (isolate->is_dynamic && isolate->group != NONE)
        groups[isolate->group].dynamic_count--;
}

static void leave_live(uint32_t index)
{
    model_group *group = &groups[isolates[index].group];
    uint32_t i = 0;
    while (group->live[i] != index)
        i++;
    group->live_count--;
    memmove(&group->live[i], &group->live[i + 1], (group->live_count - i) * sizeof group->live[0]);
}

static void end_isolate(uint32_t index)
{
    expect(END, index);
    leave_live(index);
    go_down(index);
}

static void end_group(uint32_t index)
{
    model_group *group = &groups[index];
    for (uint32_t i = group->child_count; i-- > 0;) {
        model_child child = group->children[i];
        if (child.group != NONE && groups[child.group].is_up)
            end_group(child.group);
        if (child.group != NONE)
            groups[child.group].is_planned = false;
        else
            isolates[child.isolate].is_planned = false;
    }
    expect(GROUP_END, index);
    group->is_up = false;
    while (group->live_count != 0)
        end_isolate(group->live[group->live_count - 1]);
    for (uint32_t i = static_count; i < ISOLATE_MAX; i++) {
        if (isolates[i].group == index && isolates[i].is_planned)
            go_down(i);
    }
}

static void plan_child(model_child child)
{
    if (child.group != NONE)
        groups[child.group].is_planned = true;
    else
        isolates[child.isolate].is_planned = true;
}

static void begin_group(uint32_t index)
{
    groups[index].is_up = true;
    groups[index].is_planned = false;
    groups[index].budget.count = 0;
    for (uint32_t i = 0; i < groups[index].child_count; i++)
        plan_child(groups[index].children[i]);
}

static uint8_t policy_of(model_child child)
{
    return child.group != NONE ? groups[child.group].restart : isolates[child.isolate].restart;
}

/* An index among its group's children; NONE: it was spawned. */
static uint32_t place_of(const model_group *group, model_child child)
{
    for (uint32_t i = 0; i < group->child_count; i++) {
        if (group->children[i].group == child.group && group->children[i].isolate == child.isolate)
            return i;
    }
    return NONE;
}

static void end_from(model_group *group, uint32_t first)
{
    for (uint32_t i = group->child_count; i-- > first;) {
        if (group->children[i].group != NONE && groups[group->children[i].group].is_up)
            end_group(group->children[i].group);
    }
    for (uint32_t i = group->live_count; i-- > 0;) {
        model_child child = {NONE, group->live[i]};
        if (place_of(group, child) >= first)
            end_isolate(group->live[i]);
    }
    for (uint32_t i = first; i < group->child_count; i++) {
        if (policy_of(group->children[i]) != TINA_TEMPORARY)
            plan_child(group->children[i]);
    }
}

static void wipe(void)
{
    expect(WIPE, 0);
    for (uint32_t i = 0; i < ISOLATE_MAX; i++)
        isolates[i].is_up = isolates[i].is_planned = isolates[i].was_started = false;
    for (uint32_t i = 0; i < group_count; i++) {
        groups[i].is_up = groups[i].is_planned = false;
        groups[i].dynamic_count = groups[i].live_count = 0;
    }
    is_quarantined = !spend(&shard_budget);
    if (is_quarantined)
        return;
    shard_restarts++;
    begin_group(0);
}

/* A child that is to be started again has ended. */
static void fail_child(model_child child, uint32_t in)
{
    model_group *group = &groups[in];
    if (spend(&group->budget)) {
        expect(child.group != NONE ? RESTART_GROUP : RESTART, child.group != NONE ? child.group : child.isolate);
        if (group->strategy == TINA_ONE_FOR_ONE)
            plan_child(child);
        else
            end_from(group, group->strategy == TINA_ONE_FOR_ALL ? 0 : place_of(group, child));
        return;
    }
    expect(ESCALATE, in);
    escalations++;
    if (child.isolate != NONE)
        go_down(child.isolate);
    if (in == 0) {
        wipe();
        return;
    }
    end_group(in);
    if (group->restart != TINA_TEMPORARY)
        fail_child((model_child){in, NONE}, group->parent);
}

/* It has ended, by itself or in its init, and is in no list any more. */
static void has_ended(uint32_t index, bool has_crashed, bool is_stopped)
{
    model_isolate *isolate = &isolates[index];
    bool wants = isolate->restart == TINA_PERMANENT || (isolate->restart == TINA_TRANSIENT && has_crashed);
    if (isolate->group == NONE || is_stopped || !wants) {
        go_down(index);
        return;
    }
    isolate->is_up = false;
    fail_child((model_child){NONE, index}, isolate->group);
}

/* True: it is up. */
static bool run_init(uint32_t index)
{
    model_isolate *isolate = &isolates[index];
    expect(INIT, index);
    isolate->inits++;
    isolate->is_planned = false;
    isolate->was_started = true;
    if (isolate->failures != 0) {
        isolate->failures--;
        expect(END, index);
        return false;
    }
    expect(UP, index);
    isolate->is_up = true;
    if (isolate->group != NONE)
        groups[isolate->group].live[groups[isolate->group].live_count++] = index;
    return true;
}

static void start_isolate(uint32_t index)
{
    restarts += isolates[index].was_started;
    if (!run_init(index))
        has_ended(index, isolates[index].fails_by_crash, false);
}

/* The first one in the tree's order that is planned. False: there is none. */
static bool start_one(uint32_t in)
{
    const model_group *group = &groups[in];
    for (uint32_t i = 0; i < group->child_count; i++) {
        model_child child = group->children[i];
        if (child.group != NONE && groups[child.group].is_planned) {
            begin_group(child.group);
            return true;
        }
        if (child.group != NONE && groups[child.group].is_up && start_one(child.group))
            return true;
        if (child.isolate != NONE && isolates[child.isolate].is_planned) {
            start_isolate(child.isolate);
            return true;
        }
    }
    for (uint32_t i = static_count; i < ISOLATE_MAX; i++) {
        if (isolates[i].group == in && isolates[i].is_planned) {
            start_isolate(i);
            return true;
        }
    }
    return false;
}

static void settle(void)
{
    while (!is_quarantined && start_one(0)) {
    }
}

/* ---- The real ones ----------------------------------------------------------------------------------------- */

static tina_group_spec specs[GROUP_MAX];
static tina_child children[GROUP_MAX][CHILD_MAX];
static rig_actor *actor_args[ISOLATE_MAX];

static tina_effect fail_as_planned(rig_actor *me, tina_ctx *ctx)
{
    (void)ctx;
    if (me->act.call == 0)
        return tina_receive();
    me->act.call--;
    return me->act.is_true ? tina_crash(1) : tina_done();
}

static uint32_t random_max(void) { return below(5) == 0 ? TINA_NONE : 1 + below(6); }

static void init_budget(model_budget *budget, uint32_t max, uint64_t window_ns)
{
    budget->count = 0;
    budget->max = max == TINA_NONE ? 0 : max;
    budget->window_ns = window_ns;
}

/* Mostly permanent: else nobody would be left soon. */
static uint8_t random_policy(void) { return below(2) == 0 ? TINA_PERMANENT : (uint8_t)(TINA_PERMANENT + below(3)); }

/* Groups are numbered as they are met from the root on, each before those inside it. */
static uint32_t add_group(uint32_t parent)
{
    uint32_t index = group_count++;
    model_group *group = &groups[index];
    tina_group_spec *spec = &specs[index];
    memset(group, 0, sizeof *group);
    group->parent = parent;
    group->strategy = (uint8_t)below(3);
    group->restart = random_policy();
    *spec = (tina_group_spec){
        .children = children[index],
        .name = (uint16_t)(1 + index),
        .strategy = group->strategy,
        .restart_max = random_max(),
        .window_ns = (1 + below(200)) * RIG_MS,
    };
    init_budget(&group->budget, spec->restart_max, spec->window_ns);
    if (group->strategy == TINA_ONE_FOR_ONE)
        group->dynamic_max = spec->dynamic_max = 1 + below(DYNAMIC_COUNT);
    return index;
}

static tina_child *add_child(uint32_t group, model_child child)
{
    groups[group].children[groups[group].child_count++] = child;
    return &children[group][specs[group].child_count++];
}

static void add_isolate(uint32_t group)
{
    uint32_t index = static_count++;
    isolates[index].group = group;
    *add_child(group, (model_child){NONE, index}) = (tina_child){
        .args = &actor_args[index],
        .args_size = sizeof actor_args[0],
        .type = (uint8_t)index,
        .restart = isolates[index].restart,
    };
}

static void fill_group(uint32_t group, uint32_t depth)
{
    uint32_t count = below(5) + (depth == 1);
    for (uint32_t i = 0; i < count; i++) {
        if (below(3) == 0 && group_count < GROUP_MAX && depth < TINA_GROUP_DEPTH_MAX) {
            uint32_t nested = add_group(group);
            tina_child *child = add_child(group, (model_child){nested, NONE});
            *child = (tina_child){.group = &specs[nested], .restart = groups[nested].restart};
            fill_group(nested, depth + 1);
        } else if (static_count < STATIC_MAX) {
            add_isolate(group);
        }
    }
}

static void start_system(void)
{
    memset(isolates, 0, sizeof isolates);
    memset(actors, 0, sizeof actors);
    memset(children, 0, sizeof children);
    restarts = escalations = shard_restarts = 0;
    group_count = static_count = 0;
    is_quarantined = false;
    rig_plan_init(&plan, 1, ISOLATE_MAX);
    for (uint32_t i = 0; i < ISOLATE_MAX; i++) {
        isolates[i] = (model_isolate){.group = NONE, .restart = random_policy()};
        actors[i].on_init = fail_as_planned;
        actor_args[i] = &actors[i];
        plan.types[i].slot_count = 1;
    }
    fill_group(add_group(NONE), 1);
    for (uint32_t i = static_count; i < ISOLATE_MAX; i++)
        isolates[i].is_dynamic = true;
    plan.shards[0].root = specs[0];
    plan.spec.trace_count = EVENTS_MAX;
    plan.spec.shard_restart_max = random_max();
    plan.spec.shard_restart_window_ns = (1 + below(2000)) * RIG_MS;
    init_budget(&shard_budget, plan.spec.shard_restart_max, plan.spec.shard_restart_window_ns);
    told = 0;
    rig = rig_start(&plan);
    begin_group(0);
    settle();
}

/* ---- What can happen ------------------------------------------------------------------------------------------ */

/* NONE: there is nobody. */
static uint32_t random_live(void)
{
    uint32_t start = below(ISOLATE_MAX);
    for (uint32_t i = 0; i < ISOLATE_MAX; i++) {
        if (isolates[(start + i) % ISOLATE_MAX].is_up)
            return (start + i) % ISOLATE_MAX;
    }
    return NONE;
}

static void plan_failures(void)
{
    uint32_t index = below(ISOLATE_MAX);
    isolates[index].failures = actors[index].act.call = below(4);
    isolates[index].fails_by_crash = actors[index].act.is_true = below(2) == 0;
}

static void ended_by_itself(uint32_t index, bool has_crashed, bool is_stopped)
{
    expect(END, index);
    if (isolates[index].group != NONE)
        leave_live(index);
    has_ended(index, has_crashed, is_stopped);
    settle();
}

static void end_one(void)
{
    uint32_t index = random_live();
    bool crashes = below(3) != 0;
    (crashes ? rig_crash : rig_done)(rig, &actors[index]);
    ended_by_itself(index, crashes, false);
}

static tina_effect act_stop(rig_actor *me, tina_ctx *ctx)
{
    me->act.status = tina_stop_child(ctx, me->act.to, 0);
    return tina_receive();
}

static void stop_one(void)
{
    uint32_t asks = random_live(), index = random_live();
    actors[asks].act.to = actors[index].self;
    rig_do(rig, &actors[asks], act_stop);
    assert_int_equal(actors[asks].act.status, TINA_OK);
    ended_by_itself(index, false, true);
}

/* By name, as its spawner's, or nobody's. */
static uint32_t random_group(uint32_t spawner, tina_spawn *spawn)
{
    uint32_t choice = below(group_count + 2);
    if (choice == group_count) {
        spawn->group = TINA_GROUP_SELF;
        return isolates[spawner].group;
    }
    spawn->group = choice < group_count ? (uint16_t)(1 + choice) : TINA_GROUP_NONE;
    return choice < group_count ? choice : NONE;
}

static tina_status spawn_in_model(uint32_t index, uint32_t in)
{
    model_isolate *isolate = &isolates[index];
    if (in == NONE && isolate->restart != TINA_TEMPORARY)
        return TINA_INVALID;
    if (in != NONE && (!groups[in].is_up || groups[in].dynamic_count >= groups[in].dynamic_max))
        return TINA_GROUP_FULL;
    isolate->group = in;
    if (in != NONE)
        groups[in].dynamic_count++;
    if (run_init(index))
        return TINA_OK;
    go_down(index);
    return TINA_INIT_FAILED;
}

static void spawn_one(void)
{
    uint32_t index = static_count + below(ISOLATE_MAX - static_count);
    uint32_t spawner = random_live();
    if (isolates[index].is_up)
        return;
    isolates[index].restart = random_policy();
    tina_spawn spawn = {
        .type = (uint8_t)index,
        .args = &actor_args[index],
        .args_size = sizeof actor_args[0],
        .restart = isolates[index].restart,
    };
    uint32_t in = random_group(spawner, &spawn);
    tina_status status = rig_spawn(rig, &actors[spawner], &spawn);
    assert_int_equal(status, spawn_in_model(index, in));
}

static void revive(void)
{
    rig_revive(rig);
    is_quarantined = false;
    shard_budget.count = 0;
    begin_group(0);
    settle();
}

/* False: nobody is left to whom anything could happen. */
static bool one_step(void)
{
    if (below(8) == 0)
        plan_failures();
    if (below(2) == 0)
        rig_advance(rig, tina__prng_below(&prng, 60 * RIG_MS));
    if (is_quarantined) {
        revive();
        return true;
    }
    if (random_live() == NONE)
        return false;
    switch (below(16)) {
    case 0: stop_one(); break;
    case 1:
    case 2:
    case 3: spawn_one(); break;
    default: end_one(); break;
    }
    return true;
}

static void check(void)
{
    uint32_t up = 0;
    check_story();
    assert_true(tina__pool_is_sound(&rig->shards[0]->child_pool));
    for (uint32_t i = 0; i < ISOLATE_MAX; i++) {
        assert_int_equal(actors[i].init_count, isolates[i].inits);
        up += isolates[i].is_up;
    }
    for (uint32_t i = 0; i < group_count; i++)
        assert_int_equal(rig->shards[0]->p.groups[i].dynamic_count, groups[i].dynamic_count);
    tina_stats stats = rig_stats(rig, 0);
    assert_int_equal(stats.isolates, up);
    assert_int_equal(stats.restarts, restarts);
    assert_int_equal(stats.escalations, escalations);
    assert_int_equal(stats.shard_restarts, shard_restarts);
    assert_int_equal(stats.state, is_quarantined ? TINA_SHARD_QUARANTINED : TINA_SHARD_RUNNING);
    assert_int_equal(stats.spawns, stats.exits + up);
}

static void supervision_any_exits_agree_with_the_model(void **unused)
{
    (void)unused;
    uint32_t steps = getenv("TINA_SOAK") != NULL ? STEP_COUNT_SOAK : STEP_COUNT;
    uint32_t escalated = 0, wiped = 0, quarantined = 0, runs = 0;
    tina__prng_seed(&prng, seed);
    for (uint32_t step = 0; step < steps; runs++) {
        start_system();
        check();
        for (uint32_t i = 0; i < STEPS_PER_TREE && one_step(); i++, step++) {
            check();
            quarantined += is_quarantined;
        }
        escalated += escalations > shard_restarts;
        wiped += shard_restarts != 0;
        rig_end(rig);
    }
    assert_true(escalated > runs / 10); /* the rare has been seen */
    assert_true(wiped > runs / 10);
    assert_true(quarantined > runs / 10);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        seed = strtoull(argv[1], NULL, 0);
    else if (getrandom(&seed, sizeof seed, 0) != sizeof seed)
        return EXIT_FAILURE;
    fprintf(stderr, "seed %" PRIu64 "\n", seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(supervision_any_exits_agree_with_the_model),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fprintf(stderr, "to repeat: %s %" PRIu64 "\n", argv[0], seed);
    return failed;
}
