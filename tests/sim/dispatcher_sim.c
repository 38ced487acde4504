/*
 * The isolates of examples/task_dispatcher.c in a made world: the dispatcher on the
 * first shard, its workers on all of them, some of which die of their jobs.
 *
 * What the checkers demand: no job is done or lost twice, and whoever the dispatcher
 * counts on is there, or it will soon be told.
 */
int task_dispatcher_main(int argc, char **argv);
#define main task_dispatcher_main
#include "../../examples/task_dispatcher.c"
#undef main

#include "draw.h"

#include <tina/sim_main.h>

enum { SHARDS_HERE_MAX = 4, WORKERS_PER_SHARD_MAX = 6 };

#define MILLISECOND_NS 1000000ull
#define PATIENCE       50 /* checks in a row for which somebody may be counted on who is gone */

/* The spec's user pointer, to the example's isolates their settings; and what the checkers remember. */
typedef struct dispatch_run {
    dispatch_settings settings;
    uint32_t workers_per_shard;
    tina_handle gone[WORKERS_MAX]; /* by number: counted on although it is gone */
    uint32_t gone_for[WORKERS_MAX];
} dispatch_run;

/* Whether anything gets done is no checker's to say: in some runs nothing does. A swarm has to come by here. */
static tina_effect dispatcher_seen(void *self, const tina_message *message, tina_ctx *ctx)
{
    if (message->tag == TAG_DONE)
        tina_reached(ctx, "a job is done");
    if (message->tag == TINA_TAG_DOWN)
        tina_reached(ctx, "a worker is lost");
    return dispatcher_handle(self, message, ctx);
}

/* ---- What must hold ------------------------------------------------------------ */

static bool check_jobs(const tina_sim *sim, uint64_t tick, char *why, size_t why_size, void *user)
{
    (void)tick, (void)user;
    const dispatcher *seen = tina_sim_isolate(sim, 0, TYPE_DISPATCHER, 0, NULL);
    if (seen == NULL || seen->next_job == 0) /* it is gone, or about to begin */
        return true;
    snprintf(why, why_size, "%u jobs were given, and %u are done and %u lost", seen->next_job - 1, seen->done_count,
             seen->lost_count);
    return seen->done_count + seen->lost_count < seen->next_job;
}

static bool is_there(const tina_sim *sim, tina_handle who)
{
    for (uint32_t slot = 0; slot < WORKERS_PER_SHARD_MAX; slot++) {
        tina_handle living;
        if (tina_sim_isolate(sim, tina_handle_shard(who), TYPE_WORKER, slot, &living) != NULL &&
            tina_handle_equal(living, who))
            return true;
    }
    return false;
}

static bool check_watches(const tina_sim *sim, uint64_t tick, char *why, size_t why_size, void *user)
{
    (void)tick;
    dispatch_run *run = user;
    const dispatcher *seen = tina_sim_isolate(sim, 0, TYPE_DISPATCHER, 0, NULL);
    for (uint32_t i = 0; i < run->settings.workers; i++) {
        tina_handle known = seen == NULL ? (tina_handle){0} : seen->workers[i].handle;
        bool is_gone = !tina_handle_is_none(known) && !is_there(sim, known);
        bool is_same = tina_handle_equal(known, run->gone[i]);
        run->gone[i] = known;
        run->gone_for[i] = !is_gone ? 0 : is_same ? run->gone_for[i] + 1 : 1;
        snprintf(why, why_size, "the dispatcher was never told that worker %u is gone", i);
        if (run->gone_for[i] > PATIENCE)
            return false;
    }
    return true;
}

/* ---- The simulation ------------------------------------------------------------ */

static void choose(dispatch_run *run, uint32_t shards, uint64_t *state)
{
    memset(run, 0, sizeof *run);
    run->workers_per_shard = draw(state, 1, WORKERS_PER_SHARD_MAX);
    run->settings.workers = shards * run->workers_per_shard;
    run->settings.crash_every = draw(state, 0, 10);
    run->settings.fault = draw(state, FAULT_CRASH, FAULT_SEGV);
    if (draw(state, 0, 9) == 0) /* all of a stack takes its time */
        run->settings.fault = FAULT_STACK;
    run->settings.is_quiet = true;
}

/* The dispatcher on the first shard, workers on all. */
static void grow(const dispatch_run *run, uint32_t shard_count, tina_shard_spec *shards, uint64_t *state)
{
    static tina_child children[SHARDS_HERE_MAX][1 + WORKERS_PER_SHARD_MAX];
    static uint32_t numbers[SHARDS_HERE_MAX * WORKERS_PER_SHARD_MAX];
    uint32_t restart_max = draw(state, 3, 50);
    for (uint32_t shard = 0; shard < shard_count; shard++) {
        tina_child *next = children[shard];
        if (shard == 0)
            *next++ = (tina_child){.type = TYPE_DISPATCHER, .name = NAME_DISPATCHER};
        for (uint32_t i = 0; i < run->workers_per_shard; i++) {
            uint32_t *number = &numbers[shard * run->workers_per_shard + i];
            *number = shard * run->workers_per_shard + i;
            *next++ = (tina_child){.type = TYPE_WORKER, .args = number, .args_size = sizeof *number};
        }
        shards[shard].root = (tina_group_spec){.children = children[shard],
                                               .child_count = (size_t)(next - children[shard]),
                                               .restart_max = restart_max,
                                               .backoff_ns = MILLISECOND_NS};
    }
}

static void make(uint64_t seed, tina_system_spec *spec, tina_sim_config *config)
{
    static const tina_type types[TYPE_COUNT] = {
        [TYPE_DISPATCHER] = {.name = "dispatcher",
                             .init = dispatcher_init,
                             .handler = dispatcher_seen,
                             .size = sizeof(dispatcher)},
        [TYPE_WORKER] = {.name = "worker",
                         .init = worker_init,
                         .handler = worker_handle,
                         .size = sizeof(worker),
                         .slot_count = WORKERS_PER_SHARD_MAX},
    };
    static const tina_checker_fn checkers[] = {check_jobs, check_watches};
    static tina_shard_spec shards[SHARDS_HERE_MAX];
    static dispatch_run run;
    spec->shard_count = draw(&seed, 1, SHARDS_HERE_MAX);
    choose(&run, (uint32_t)spec->shard_count, &seed);
    grow(&run, (uint32_t)spec->shard_count, shards, &seed);
    spec->types = types;
    spec->type_count = TYPE_COUNT;
    spec->shards = shards;
    spec->user = &run;
    spec->fd_count = TINA_NONE; /* no I/O */
    config->ticks_max = 20000;
    config->checkers = checkers;
    config->checker_count = sizeof checkers / sizeof checkers[0];
    config->checker_user = &run;
    config->stop_at_tick = draw(&seed, 15100, 18000); /* by themselves they never come to an end */
}

int main(int argc, char **argv) { return tina_sim_main(argc, argv, make); }
