/*
 * In place of tina_simulate: a run that is nothing but dice, and fails as the test
 * wishes. Each tick is ten events, and one more if messages are dropped at a rate.
 */
#ifndef TINA_TEST_FAKE_WORLD_H
#define TINA_TEST_FAKE_WORLD_H

#include "base/prng.h"
#include "swarm/swarm.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef enum fake_failure {
    FAKE_NONE,
    FAKE_LOSS,      /* a violation, when a message was dropped while a shard stood still */
    FAKE_UNREST,    /* the same, when a message was dropped or there was little time to heal */
    FAKE_SEGV,      /* it dies */
    FAKE_ABORT,     /* it dies, and says why */
    FAKE_EXIT,      /* the process is over */
    FAKE_HANG,      /* nothing moves any more */
    FAKE_MEMORY,    /* the second run in a process is another */
    FAKE_OBJECTION, /* a checker objects to the second run in a process, which is the same */
    FAKE_NEVER_BOOT /* init fails */
} fake_failure;

static struct {
    fake_failure failure;
    uint64_t seed_modulus, seed_rest; /* it fails with these seeds; modulus 0: with all */
    uint64_t tick;                    /* when it dies */
    uint64_t ticks;                   /* make's */
    int runs;                         /* in this process */
    const char *point;                /* that is reached */
    const char *events_path;          /* make's */
    uint64_t wrong_seed;              /* of which make makes a wrong spec; 0: of none */
    uint32_t messages_least;          /* drawn smaller, it does not boot, which is an event, too */
    bool is_quiet;                    /* there are no events */
    _Atomic uint32_t *luck;           /* not NULL: FAKE_MEMORY strikes one process in three; shared */
    int leash[2];                     /* not 0: a pipe. A run leaves a process behind, until the pipe ends */
} fake = {.ticks = 1000};

static tina_effect fake_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size, (void)ctx;
    return (tina_effect){0};
}

static tina_effect fake_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self, (void)message, (void)ctx;
    return (tina_effect){0};
}

static bool fake_object(const tina_sim *sim, uint64_t tick, char *why, size_t why_size, void *user)
{
    (void)sim, (void)user;
    snprintf(why, why_size, "the second is not wanted");
    return fake.runs < 2 || tick < fake.ticks;
}

static void fake_make(uint64_t seed, tina_system_spec *spec, tina_sim_config *config)
{
    static const tina_type type = {.name = "one", .init = fake_init, .handler = fake_handle, .size = 8, .slot_count = 100};
    static const tina_child child = {.type = 0};
    static const tina_checker_fn objecting[] = {fake_object};
    *spec = (tina_system_spec){.types = &type, .type_count = 1, .root = {.children = &child, .child_count = 1}};
    config->ticks_max = fake.ticks;
    config->events_path = fake.events_path;
    config->checkers = objecting;
    config->checker_count = fake.failure == FAKE_OBJECTION;
    if (fake.wrong_seed != 0 && seed == fake.wrong_seed)
        spec->buffer_size = 3;
}

/* It holds whatever the run held. */
static void fake_leave_behind(void)
{
    char byte;
    if (fake.leash[1] == 0 || fork() != 0)
        return;
    close(fake.leash[1]);
    (void)!read(fake.leash[0], &byte, 1);
    _exit(0);
}

/* A handler of its own, such as a test program's, would not let it die. */
static void fake_die(int number)
{
    signal(number, SIG_DFL);
    raise(number);
}

static void fake_fail(const tina_system_spec *spec, uint64_t tick)
{
    if (fake.failure < FAKE_SEGV || fake.failure > FAKE_HANG || tick != fake.tick)
        return;
    if (fake.failure == FAKE_SEGV)
        fake_die(SIGSEGV);
    if (fake.failure == FAKE_EXIT)
        _exit(7);
    while (fake.failure == FAKE_HANG)
        pause();
    spec->on_broken(spec->log_user, "libtina: broken invariant: 1 == 2 (fake.c:17)");
    fake_die(SIGABRT);
}

static bool fake_is_to_fail(uint64_t seed)
{
    return fake.failure != FAKE_NONE && (fake.seed_modulus == 0 || seed % fake.seed_modulus == fake.seed_rest);
}

typedef struct fake_run {
    const tina_system_spec *spec;
    const tina_sim_config *config;
    tina_sim_report *report;
    FILE *events;
    bool fails, is_lucky;
    tina__prng drop, stall;
} fake_run;

static bool fake_chance(tina__prng *stream, tina_ratio ratio)
{
    return tina__prng_chance(stream, ratio.numerator, ratio.denominator);
}

static void fake_event(fake_run *run, const char *what, uint64_t value)
{
    run->report->trace_hash = tina__mix64(run->report->trace_hash ^ value);
    run->report->events += !fake.is_quiet;
    if (run->events != NULL)
        fprintf(run->events, "%s %llu\n", what, (unsigned long long)value);
}

static void fake_tick(fake_run *run, uint64_t tick)
{
    run->report->ticks = tick;
    for (uint64_t i = 0; i < 9; i++)
        fake_event(run, "tick", tick);
    bool is_second = run->fails && fake.failure == FAKE_MEMORY && fake.runs == 2 && !run->is_lucky;
    fake_event(run, is_second && tick == 77 ? "another" : "event", is_second && tick >= 77 ? tick + 1 : tick);
    bool is_healed = run->config->heal_at_tick != 0 && tick >= run->config->heal_at_tick;
    bool is_dropped = !is_healed && fake_chance(&run->drop, run->config->faults.message_drop);
    bool is_stalled = fake_chance(&run->stall, run->config->faults.shard_stall);
    run->report->faults.message_drop += is_dropped;
    run->report->faults.shard_stall += is_stalled;
    if (is_dropped)
        fake_event(run, "drop", tick);
    if (run->fails && fake.failure == FAKE_LOSS && is_dropped && is_stalled)
        snprintf(run->report->violation, sizeof run->report->violation, "lost 1 of %llu", (unsigned long long)tick);
}

static void fake_look_for_unrest(fake_run *run)
{
    uint64_t heal_at = run->config->heal_at_tick, ticks = run->report->ticks;
    if (!run->fails || fake.failure != FAKE_UNREST || heal_at == 0 || heal_at > ticks)
        return;
    if (ticks - heal_at < 100 || run->report->faults.message_drop != 0)
        snprintf(run->report->violation, sizeof run->report->violation, "not quiet after %llu rounds",
                 (unsigned long long)(ticks - heal_at));
}

static void fake_check(fake_run *run)
{
    char why[64] = "";
    const tina_sim_config *config = run->config;
    for (size_t i = 0; i < config->checker_count; i++) {
        if (!config->checkers[i](NULL, run->report->ticks, why, sizeof why, config->checker_user))
            snprintf(run->report->violation, sizeof run->report->violation, "%s", why);
    }
}

static void fake_go(fake_run *run)
{
    bool is_over = false;
    uint32_t check_every = run->config->check_every != 0 ? run->config->check_every : 100;
    for (uint64_t tick = 1; !is_over; tick++) {
        char violation[sizeof run->report->violation];
        fake_tick(run, tick);
        if (run->fails)
            fake_fail(run->spec, tick);
        is_over = tick == run->config->ticks_max;
        if (!is_over && tick % check_every != 0)
            continue;
        memcpy(violation, run->report->violation, sizeof violation);
        fake_check(run);
        is_over = is_over || violation[0] != '\0' || run->report->violation[0] != '\0';
    }
    if (run->report->violation[0] == '\0')
        fake_look_for_unrest(run);
    run->report->end = run->report->violation[0] != '\0' ? TINA_SIM_VIOLATION : TINA_SIM_TICKS;
}

static bool fake_boots(const tina_system_spec *spec, tina_error *error)
{
    bool fails = fake.failure == FAKE_NEVER_BOOT || (spec->message_count != 0 && spec->message_count < fake.messages_least);
    if (fails)
        snprintf(error->message, sizeof error->message, "no room for %u", spec->message_count);
    return !fails;
}

static tina_status fake_simulate(const tina_system_spec *spec, const tina_sim_config *config, tina_sim_report *report,
                                 tina_error *error)
{
    fake_run run = {.spec = spec, .config = config, .report = report, .fails = fake_is_to_fail(config->seed)};
    *report = (tina_sim_report){0};
    if (tina_spec_check(spec, error) != TINA_OK)
        return TINA_INVALID;
    if (config->events_path != NULL)
        run.events = fopen(config->events_path, "w");
    if (!fake_boots(spec, error)) {
        fake_event(&run, "no boot", 0);
        if (run.events != NULL)
            fclose(run.events);
        return TINA_INIT_FAILED;
    }
    fake.runs++;
    run.is_lucky = fake.luck != NULL && fake.runs == 2 && atomic_fetch_add(fake.luck, 1) % 3 != 0;
    fake_leave_behind();
    tina__prng_seed(&run.drop, config->seed);
    tina__prng_seed(&run.stall, config->seed + 1000000);
    if (fake.point != NULL)
        config->on_reached(config->reached_user, fake.point);
    fake_go(&run);
    if (run.events != NULL)
        fclose(run.events);
    return TINA_OK;
}

#endif
