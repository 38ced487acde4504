/*
 * Children of random policies that end at random, some of whose inits fail,
 * against the rules written down naively: who is up, how often each was started,
 * what was spent of the budgets, and when a shard is wiped or quarantined.
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

#define STATIC_COUNT  6u
#define DYNAMIC_COUNT 4u
#define CHILD_COUNT   (STATIC_COUNT + DYNAMIC_COUNT)
#define RUN_COUNT     200
#define EVENT_COUNT   150
#define RESTARTS_MAX  4096

/* ---- The model ------------------------------------------------------------------------------------ */

typedef struct model_budget {
    uint64_t when_ns[RESTARTS_MAX];
    uint32_t count, max;
    uint64_t window_ns;
} model_budget;

typedef struct model_child {
    uint8_t restart;
    bool is_up;
    uint32_t inits;
    uint32_t failures; /* how many of its next inits fail */
    bool fails_by_crash;
} model_child;

static model_child children[CHILD_COUNT];
static model_budget group_budget, shard_budget;
static uint64_t restarts, escalations, shard_restarts;
static bool is_quarantined;

static rig_plan plan;
static rig_system *rig;
static rig_actor actors[CHILD_COUNT];
static tina__prng prng;
static uint64_t seed;

static uint32_t below(uint32_t bound) { return (uint32_t)tina__prng_below(&prng, bound); }

static bool spend(model_budget *budget)
{
    uint32_t recent = 0;
    for (uint32_t i = 0; i < budget->count; i++)
        recent += rig->now_ns - budget->when_ns[i] < budget->window_ns;
    if (recent >= budget->max)
        return false;
    assert_true(budget->count < RESTARTS_MAX);
    budget->when_ns[budget->count++] = rig->now_ns;
    return true;
}

static bool wants_restart(const model_child *child, bool has_crashed)
{
    return child->restart == TINA_PERMANENT || (child->restart == TINA_TRANSIENT && has_crashed);
}

/* False: it failed. */
static bool model_init(model_child *child)
{
    child->inits++;
    child->is_up = child->failures == 0;
    if (child->failures != 0)
        child->failures--;
    return child->is_up;
}

/* False: the budget is used up. */
static bool model_exit(model_child *child, bool has_crashed)
{
    child->is_up = false;
    while (wants_restart(child, has_crashed)) {
        if (!spend(&group_budget))
            return false;
        restarts++;
        if (model_init(child))
            break;
        has_crashed = child->fails_by_crash;
    }
    return true;
}

/* False: the budget is used up. */
static bool model_start_tree(void)
{
    for (uint32_t i = 0; i < STATIC_COUNT; i++) {
        if (!model_init(&children[i]) && !model_exit(&children[i], children[i].fails_by_crash))
            return false;
    }
    return true;
}

static void model_escalate(void)
{
    do {
        escalations++;
        for (uint32_t i = 0; i < CHILD_COUNT; i++)
            children[i].is_up = false;
        group_budget.count = 0;
        if (!spend(&shard_budget)) {
            is_quarantined = true;
            return;
        }
        shard_restarts++;
    } while (!model_start_tree());
}

/* ---- The real ones ----------------------------------------------------------------------------------- */

static tina_effect fail_as_planned(rig_actor *me, tina_ctx *ctx)
{
    (void)ctx;
    if (me->act.call == 0)
        return tina_receive();
    me->act.call--;
    return me->act.is_true ? tina_crash(1) : tina_done();
}

static uint32_t random_max(void) { return below(6) == 0 ? TINA_NONE : 1 + below(5); }

static void init_budget(model_budget *budget, uint32_t max, uint64_t window_ns)
{
    budget->count = 0;
    budget->max = max == TINA_NONE ? 0 : max;
    budget->window_ns = window_ns;
}

static void start_system(void)
{
    memset(children, 0, sizeof children);
    memset(actors, 0, sizeof actors);
    restarts = escalations = shard_restarts = 0;
    is_quarantined = false;
    rig_plan_init(&plan, 1, 2);
    tina_group_spec *root = &plan.shards[0].root;
    root->restart_max = random_max();
    root->window_ns = (1 + below(200)) * RIG_MS;
    plan.spec.shard_restart_max = random_max();
    plan.spec.shard_restart_window_ns = (1 + below(2000)) * RIG_MS;
    init_budget(&group_budget, root->restart_max, root->window_ns);
    init_budget(&shard_budget, plan.spec.shard_restart_max, plan.spec.shard_restart_window_ns);
    for (uint32_t i = 0; i < CHILD_COUNT; i++) {
        children[i].restart = (uint8_t)(TINA_PERMANENT + below(3));
        actors[i].on_init = fail_as_planned;
    }
    for (uint32_t i = 0; i < STATIC_COUNT; i++)
        rig_plan_child(&plan, 0, (uint8_t)(i % 2), &actors[i])->restart = children[i].restart;
    rig = rig_start(&plan);
    assert_true(model_start_tree());
}

static void plan_failures(uint32_t index)
{
    children[index].failures = actors[index].act.call = below(3);
    children[index].fails_by_crash = actors[index].act.is_true = below(2) == 0;
}

static void end_one(uint32_t index)
{
    bool crashes = below(2) == 0;
    (crashes ? rig_crash : rig_done)(rig, &actors[index]);
    if (!model_exit(&children[index], crashes))
        model_escalate();
}

static void spawn_one(uint32_t index)
{
    model_child *child = &children[index];
    rig_actor *args = &actors[index];
    tina_spawn spawn = {.type = 1, .args = &args, .args_size = sizeof args, .restart = child->restart};
    for (uint32_t i = 0; i < STATIC_COUNT; i++) {
        if (!children[i].is_up)
            continue;
        tina_status status = rig_spawn(rig, &actors[i], &spawn);
        assert_int_equal(status, model_init(child) ? TINA_OK : TINA_INIT_FAILED);
        return;
    }
}

static void one_event(void)
{
    uint32_t index = below(CHILD_COUNT);
    if (below(8) == 0)
        plan_failures(below(CHILD_COUNT));
    if (children[index].is_up)
        end_one(index);
    else if (index >= STATIC_COUNT)
        spawn_one(index);
    if (below(2) == 0)
        rig_advance(rig, tina__prng_below(&prng, 60 * RIG_MS));
}

static void check(void)
{
    const tina__shard *shard = rig->shards[0];
    uint32_t up = 0;
    for (uint32_t i = 0; i < CHILD_COUNT; i++) {
        assert_int_equal(actors[i].init_count, children[i].inits);
        up += children[i].is_up;
    }
    tina_stats stats = rig_stats(rig, 0);
    assert_int_equal(stats.isolates, up);
    assert_int_equal(stats.restarts, restarts);
    assert_int_equal(stats.escalations, escalations);
    assert_int_equal(stats.shard_restarts, shard_restarts);
    assert_int_equal(stats.state, is_quarantined ? TINA_SHARD_QUARANTINED : TINA_SHARD_RUNNING);
    assert_int_equal(stats.spawns, stats.exits + up);
    assert_int_equal(shard->restarting, 0);
}

static void supervision_any_exits_agree_with_the_model(void **unused)
{
    (void)unused;
    tina__prng_seed(&prng, seed);
    uint32_t wiped = 0, quarantined = 0;
    for (uint32_t run = 0; run < RUN_COUNT; run++) {
        start_system();
        check();
        for (uint32_t event = 0; event < EVENT_COUNT && !is_quarantined; event++) {
            one_event();
            check();
        }
        wiped += shard_restarts != 0;
        quarantined += is_quarantined;
        rig_end(rig);
    }
    assert_true(wiped > RUN_COUNT / 10); /* the rare has been seen */
    assert_true(quarantined > RUN_COUNT / 10);
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
