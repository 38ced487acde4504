#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tina/tina.h>

#include "support/town.h"

#define MS   1000000ull
#define S    (1000 * MS)
#define HOUR (3600 * S)

/* ---- A spec of one type whose handler is the test's ------------------------------------- */

typedef struct scene {
    tina_type type;
    tina_child child;
    tina_system_spec spec;
    tina_sim_config config;
    tina_sim_report report;
    tina_error error;
    uint64_t count; /* the handler's own */
    uint64_t last_ns;
    const void *found; /* by a checker */
    char text[512];
} scene;

static tina_effect just_receive(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self;
    (void)args;
    (void)args_size;
    (void)ctx;
    return tina_receive();
}

static tina_effect until_shutdown(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self;
    (void)ctx;
    return message->tag == TINA_TAG_SHUTDOWN ? tina_done() : tina_receive();
}

static void scene_init(scene *of, tina_init_fn init, tina_handler_fn handler)
{
    *of = (scene){
        .type = {.name = "actor", .init = init, .handler = handler, .size = 64, .slot_count = 4, .mailbox_capacity = 8},
        .child = {.name = 1},
        .spec = {.type_count = 1, .shard_count = 1, .message_count = 64, .timer_count = 16, .fd_count = 4, .op_count = 8},
        .config = {.seed = 1, .ticks_max = 1000},
    };
    of->spec.types = &of->type;
    of->spec.root = (tina_group_spec){.children = &of->child, .child_count = 1};
    of->spec.user = of;
}

static tina_sim_end scene_run(scene *of)
{
    assert_int_equal(tina_simulate(&of->spec, &of->config, &of->report, &of->error), TINA_OK);
    return (tina_sim_end)of->report.end;
}

/* ---- Time -------------------------------------------------------------------------------------- */

static tina_effect every_hour(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self;
    (void)args;
    (void)args_size;
    return tina_timer_repeat(ctx, HOUR, TINA_TAG_TIMER, NULL) == TINA_OK ? tina_receive() : tina_crash(1);
}

static tina_effect count_timers(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self;
    scene *ours = tina_user(ctx);
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    assert_int_equal(message->tag, TINA_TAG_TIMER);
    assert_true(tina_now(ctx) >= ours->last_ns + HOUR || ours->count == 0);
    ours->last_ns = tina_now(ctx);
    ours->count++;
    return tina_receive();
}

static void time_jumps_where_nobody_has_anything_to_do(void **state)
{
    (void)state;
    scene year;
    scene_init(&year, every_hour, count_timers);
    year.config.ticks_max = 365 * 24 * 10;
    assert_int_equal(scene_run(&year), TINA_SIM_TICKS);
    assert_true(year.report.now_ns >= 365 * 24 * HOUR);
    assert_true(year.count >= 365 * 24);
}

static tina_effect set_one_timer(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self;
    (void)args;
    (void)args_size;
    return tina_timer_start(ctx, HOUR, TINA_TAG_TIMER, NULL) == TINA_OK ? tina_receive() : tina_crash(1);
}

static void run_that_waits_for_a_timer_is_not_quiet(void **state)
{
    (void)state;
    scene one;
    scene_init(&one, set_one_timer, count_timers);
    one.config.stop_when_quiet = true;
    assert_int_equal(scene_run(&one), TINA_SIM_QUIET);
    assert_int_equal(one.count, 1);
    assert_true(one.report.now_ns >= HOUR);
}

static tina_effect wait_for_the_end_of_time(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self;
    (void)args;
    (void)args_size;
    return tina_timer_start(ctx, UINT64_MAX - 2 * S, TINA_TAG_TIMER, NULL) == TINA_OK ? tina_receive() : tina_crash(1);
}

static void timer_beyond_all_time_never_comes(void **state)
{
    (void)state;
    scene patient;
    scene_init(&patient, wait_for_the_end_of_time, count_timers);
    assert_int_equal(scene_run(&patient), TINA_SIM_QUIET);
    assert_int_equal(patient.count, 0);
    assert_true(patient.report.now_ns < S);
}

static void run_in_which_nothing_will_ever_happen_ends(void **state)
{
    (void)state;
    scene idle;
    scene_init(&idle, just_receive, until_shutdown);
    assert_int_equal(scene_run(&idle), TINA_SIM_QUIET);
    assert_true(idle.report.ticks < 10);
}

/* ---- Ends ---------------------------------------------------------------------------------------- */

static void stop_at_a_round_drains_everybody_and_leaves_nothing(void **state)
{
    (void)state;
    town busy;
    town_init(&busy, 3);
    tina_sim_config config = {.seed = 5, .ticks_max = 10000, .stop_at_tick = 1000};
    tina_sim_report report;
    assert_int_equal(tina_simulate(&busy.spec, &config, &report, NULL), TINA_OK);
    assert_string_equal(report.violation, "");
    assert_int_equal(report.end, TINA_SIM_STOPPED);
    assert_in_range(report.ticks, 1000, 10000);
    assert_int_equal(report.total.isolates, 0);
    assert_int_equal(report.total.messages.used, 0);
    assert_int_equal(report.total.timers.used, 0);
    assert_int_equal(report.total.ops.used, 0);
    assert_int_equal(report.total.fds.used, 0);
    assert_int_equal(report.total.transfers.used, 0);
    assert_int_equal(busy.wrong, 0);
    assert_true(report.total.bytes_in > 10000);
}

static void stop_of_an_idle_run_comes_at_its_round(void **state)
{
    (void)state;
    scene idle;
    scene_init(&idle, just_receive, until_shutdown);
    idle.config.stop_at_tick = 500;
    assert_int_equal(scene_run(&idle), TINA_SIM_STOPPED);
    assert_in_range(idle.report.ticks, 500, 510);
}

static void stop_at_the_last_round_comes(void **state)
{
    (void)state;
    scene idle;
    scene_init(&idle, just_receive, until_shutdown);
    idle.config.stop_at_tick = idle.config.ticks_max;
    scene_run(&idle);
    assert_int_equal(idle.report.ticks, idle.config.ticks_max);
}

static tina_effect stop_everything(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    tina_stop_system(ctx);
    return tina_receive();
}

static void stop_from_a_handler_ends_the_run(void **state)
{
    (void)state;
    scene stopping;
    scene_init(&stopping, set_one_timer, stop_everything);
    assert_int_equal(scene_run(&stopping), TINA_SIM_STOPPED);
}

/* ---- Healing ---------------------------------------------------------------------------------------- */

static tina_effect never_rest(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self;
    (void)ctx;
    return message->tag == TINA_TAG_SHUTDOWN ? tina_done() : tina_yield();
}

static tina_effect begin_to_yield(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self;
    (void)args;
    (void)args_size;
    (void)ctx;
    return tina_yield();
}

static void healed_run_that_does_not_become_quiet_is_a_violation(void **state)
{
    (void)state;
    scene restless;
    scene_init(&restless, begin_to_yield, never_rest);
    restless.config.heal_at_tick = 500;
    assert_int_equal(scene_run(&restless), TINA_SIM_VIOLATION);
    assert_non_null(strstr(restless.report.violation, "not quiet"));
    assert_non_null(strstr(restless.report.violation, "shard 0"));
}

static void healed_run_whose_timers_only_repeat_is_quiet(void **state)
{
    (void)state;
    scene beating;
    scene_init(&beating, every_hour, count_timers);
    beating.config.heal_at_tick = 500;
    assert_int_equal(scene_run(&beating), TINA_SIM_TICKS);
    assert_string_equal(beating.report.violation, "");
}

static tina_effect every_round(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self;
    (void)args;
    (void)args_size;
    return tina_timer_repeat(ctx, MS, TINA_TAG_TIMER, NULL) == TINA_OK ? tina_receive() : tina_crash(1);
}

static void healed_run_with_a_timer_for_every_round_is_quiet(void **state)
{
    (void)state;
    scene beating;
    scene_init(&beating, every_round, until_shutdown);
    beating.config.heal_at_tick = 500;
    assert_int_equal(scene_run(&beating), TINA_SIM_TICKS);
    assert_string_equal(beating.report.violation, "");
}

static void healing_that_leaves_no_round_demands_nothing(void **state)
{
    (void)state;
    scene restless;
    scene_init(&restless, begin_to_yield, never_rest);
    restless.config.heal_at_tick = restless.config.ticks_max;
    assert_int_equal(scene_run(&restless), TINA_SIM_TICKS);
}

static void healed_run_brings_quarantined_shards_back(void **state)
{
    (void)state;
    town busy;
    town_init(&busy, 2);
    busy.spec.shard_restart_max = TINA_NONE;
    tina_sim_config config = {.seed = 3, .ticks_max = 4000, .heal_at_tick = 2000, .stop_at_tick = 3000};
    config.faults.shard_fault = (tina_ratio){1, 50};
    tina_sim_report report;
    assert_int_equal(tina_simulate(&busy.spec, &config, &report, NULL), TINA_OK);
    assert_string_equal(report.violation, "");
    assert_int_equal(report.end, TINA_SIM_STOPPED);
    assert_int_equal(report.faults.shard_fault, 2); /* then both were down */
}

/* ---- Checkers ----------------------------------------------------------------------------------------- */

static bool find_actor(const tina_sim *sim, uint64_t tick, char *why, size_t why_size, void *user)
{
    scene *ours = user;
    tina_handle handle;
    (void)tick;
    (void)why;
    (void)why_size;
    ours->found = tina_sim_isolate(sim, 0, 0, 0, &handle);
    ours->count++;
    return tina_sim_isolate(sim, 0, 0, 1, NULL) == NULL && tina_sim_isolate(sim, 1, 0, 0, NULL) == NULL &&
           tina_sim_isolate(sim, 0, 1, 0, NULL) == NULL && tina_sim_isolate(sim, 0, 0, UINT32_MAX, NULL) == NULL &&
           tina_handle_shard(handle) == 0 && tina_handle_type(handle) == 0;
}

static const tina_checker_fn finding[] = {find_actor};

static void checkers_see_who_lives(void **state)
{
    (void)state;
    scene looked;
    scene_init(&looked, begin_to_yield, never_rest);
    looked.config.checkers = finding;
    looked.config.checker_count = 1;
    looked.config.checker_user = &looked;
    looked.config.check_every = 10;
    assert_int_equal(scene_run(&looked), TINA_SIM_TICKS);
    assert_non_null(looked.found);
    assert_int_equal(looked.count, 100);
}

static bool object(const tina_sim *sim, uint64_t tick, char *why, size_t why_size, void *user)
{
    (void)sim;
    (void)user;
    strncpy(why, "the till is short", why_size);
    return tick < 300;
}

static bool break_down(const tina_sim *sim, uint64_t tick, char *why, size_t why_size, void *user)
{
    (void)sim;
    (void)tick;
    (void)why;
    (void)why_size;
    *(volatile int *)user = 1; /* nothing is mapped there */
    return true;
}

static void checker_that_objects_ends_the_run_with_its_words(void **state)
{
    (void)state;
    static const tina_checker_fn objecting[] = {object};
    scene looked;
    scene_init(&looked, begin_to_yield, never_rest);
    looked.config.checkers = objecting;
    looked.config.checker_count = 1;
    assert_int_equal(scene_run(&looked), TINA_SIM_VIOLATION);
    assert_string_equal(looked.report.violation, "the till is short");
    assert_int_equal(looked.report.ticks, 300);
}

static void checker_that_faults_is_a_violation(void **state)
{
    (void)state;
    static const tina_checker_fn faulting[] = {break_down};
    scene looked;
    scene_init(&looked, begin_to_yield, never_rest);
    looked.config.checkers = faulting;
    looked.config.checker_count = 1;
    looked.config.checker_user = (void *)(uintptr_t)64;
    assert_int_equal(scene_run(&looked), TINA_SIM_VIOLATION);
    assert_string_equal(looked.report.violation, "a checker faulted");
}

static bool give_up(const tina_sim *sim, uint64_t tick, char *why, size_t why_size, void *user)
{
    (void)sim;
    (void)tick;
    (void)why;
    (void)why_size;
    (void)user;
    abort();
}

static void checker_that_aborts_is_a_violation(void **state)
{
    (void)state;
    static const tina_checker_fn aborting[] = {give_up};
    scene looked;
    scene_init(&looked, begin_to_yield, never_rest);
    looked.config.checkers = aborting;
    looked.config.checker_count = 1;
    assert_int_equal(scene_run(&looked), TINA_SIM_VIOLATION);
    assert_string_equal(looked.report.violation, "a checker faulted");
}

static bool fill_up(const tina_sim *sim, uint64_t tick, char *why, size_t why_size, void *user)
{
    (void)sim;
    (void)tick;
    (void)user;
    memset(why, 'x', why_size);
    return false;
}

static void checker_that_fills_its_text_is_cut(void **state)
{
    (void)state;
    static const tina_checker_fn filling[] = {fill_up};
    scene looked;
    scene_init(&looked, begin_to_yield, never_rest);
    looked.config.checkers = filling;
    looked.config.checker_count = 1;
    assert_int_equal(scene_run(&looked), TINA_SIM_VIOLATION);
    assert_int_equal(strlen(looked.report.violation), sizeof looked.report.violation - 1);
}

/* ---- What a config must be ------------------------------------------------------------------------------ */

static void refuse(scene *of, const char *path)
{
    assert_int_equal(tina_simulate(&of->spec, &of->config, &of->report, &of->error), TINA_INVALID);
    assert_string_equal(of->error.path, path);
    assert_int_not_equal(of->error.message[0], '\0');
}

static void config_that_is_wrong_is_refused_by_name(void **state)
{
    (void)state;
    scene wrong;
    scene_init(&wrong, just_receive, until_shutdown);
    wrong.config.faults.message_drop = (tina_ratio){3, 2};
    refuse(&wrong, "faults.message_drop");
    wrong.config.faults.message_drop = (tina_ratio){2, 0};
    refuse(&wrong, "faults.message_drop");
    wrong.config.faults.message_drop = (tina_ratio){0};
    wrong.config.faults.io_delay = (tina_range){5, 4};
    refuse(&wrong, "faults.io_delay");
    wrong.config.faults.io_delay = (tina_range){0};
    wrong.config.checker_count = 1;
    refuse(&wrong, "checkers");
    wrong.config.checker_count = 0;
    wrong.type.size = 0;
    refuse(&wrong, "types[0].size");
    assert_int_equal(tina_simulate(NULL, &wrong.config, NULL, NULL), TINA_INVALID);
    assert_int_equal(tina_simulate(&wrong.spec, NULL, NULL, NULL), TINA_INVALID);
}

static void config_with_a_path_that_cannot_be_written_says_so(void **state)
{
    (void)state;
    scene wrong;
    scene_init(&wrong, just_receive, until_shutdown);
    wrong.config.events_path = "/nowhere/at/all";
    assert_int_equal(tina_simulate(&wrong.spec, &wrong.config, &wrong.report, &wrong.error), TINA_NOT_FOUND);
    assert_non_null(strstr(wrong.error.message, "/nowhere/at/all"));
}

static tina_effect fail_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self;
    (void)args;
    (void)args_size;
    (void)ctx;
    return tina_crash(1);
}

static void boot_that_fails_is_no_run(void **state)
{
    (void)state;
    scene failing;
    scene_init(&failing, fail_init, until_shutdown);
    assert_int_equal(tina_simulate(&failing.spec, &failing.config, &failing.report, &failing.error), TINA_INIT_FAILED);
    assert_non_null(strstr(failing.error.message, "actor"));
}

static tina_effect simulate_within(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self;
    (void)message;
    scene *ours = tina_user(ctx);
    tina_sim_config config = {.ticks_max = 1};
    ours->count = 1 + (uint64_t)tina_simulate(&ours->spec, &config, NULL, NULL);
    return tina_receive();
}

static void simulation_within_a_handler_is_refused(void **state)
{
    (void)state;
    scene outer;
    scene_init(&outer, set_one_timer, simulate_within);
    scene_run(&outer);
    assert_int_equal(outer.count, 1 + TINA_BUSY);
}

static void simulate_from_a_line(void *user, int shard, tina_level level, const char *line, size_t length)
{
    (void)shard;
    (void)level;
    (void)line;
    (void)length;
    scene *ours = user;
    tina_sim_config config = {.ticks_max = 1};
    ours->count = 1 + (uint64_t)tina_simulate(&ours->spec, &config, NULL, NULL);
}

static tina_effect say_something(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self;
    (void)message;
    tina_log(ctx, TINA_LOG_INFO, "something");
    return tina_receive();
}

static void simulation_within_a_log_sink_is_refused(void **state)
{
    (void)state;
    scene outer;
    scene_init(&outer, set_one_timer, say_something);
    outer.spec.log_sink = simulate_from_a_line;
    outer.spec.log_user = &outer;
    scene_run(&outer);
    assert_int_equal(outer.count, 1 + TINA_BUSY);
}

/* ---- Booting ------------------------------------------------------------------------------------------------ */

static tina_effect need_a_connection(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (message->tag != TINA_IO_CONNECT)
        return tina_receive();
    scene *ours = tina_user(ctx);
    ours->count = 1 + message->io.status;
    return tina_receive();
}

static tina_effect connect_at_once(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self;
    (void)args;
    (void)args_size;
    tina_fd fd;
    tina_address nobody = tina_ipv4(127, 0, 0, 1, 1);
    if (tina_socket(ctx, TINA_IPV4, TINA_STREAM, &fd) != TINA_OK)
        return tina_crash(1);
    return tina_io_connect(ctx, fd, &nobody, 0);
}

static void faults_do_not_strike_before_every_tree_is_up(void **state)
{
    (void)state;
    scene booting;
    scene_init(&booting, connect_at_once, need_a_connection);
    booting.config.faults.io_error = (tina_ratio){1, 1};
    booting.config.faults.init_crash = (tina_ratio){1, 1};
    scene_run(&booting);
    assert_int_equal(booting.count, 1 + TINA_REFUSED);
    assert_int_equal(booting.report.faults.io_error, 0);
    assert_int_equal(booting.report.faults.init_crash, 0);
}

/* ---- The hash ------------------------------------------------------------------------------------------------- */

#define SENDS 4000 /* more than a flight recorder holds */

static tina_effect send_to_nobody(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self;
    scene *ours = tina_user(ctx);
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    for (uint32_t i = 0; i < SENDS; i++) {
        tina_tag tag = i < ours->last_ns ? TINA_TAG_USER + 1 : TINA_TAG_USER;
        ours->count += tina_send(ctx, tina_named(0, 77), tag, NULL, 0) == TINA_STALE_HANDLE;
    }
    return tina_receive();
}

static void hash_sees_every_event_of_a_tick_however_many(void **state)
{
    (void)state;
    uint64_t hashes[2];
    for (uint32_t i = 0; i < 2; i++) {
        scene loud;
        scene_init(&loud, set_one_timer, send_to_nobody);
        loud.spec.trace_count = 64;
        loud.last_ns = i; /* the very first is another */
        scene_run(&loud);
        assert_int_equal(loud.count, SENDS);
        hashes[i] = loud.report.trace_hash;
    }
    assert_true(hashes[0] != hashes[1]);
}

/* ---- Isolates that fault ---------------------------------------------------------------------------------- */

static tina_effect fault_once(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)message;
    scene *ours = tina_user(ctx);
    if (ours->count++ < 2)
        *(volatile int *)(uintptr_t)(ours->last_ns + 64) = 1; /* nothing is mapped there */
    (void)self;
    return tina_receive();
}

static void fault_of_an_isolate_is_contained(void **state)
{
    (void)state;
    scene faulting;
    scene_init(&faulting, set_one_timer, fault_once);
    assert_int_equal(scene_run(&faulting), TINA_SIM_QUIET);
    assert_int_equal(faulting.report.total.faults, 2);
    assert_int_equal(faulting.report.total.restarts, 2);
    assert_int_equal(faulting.count, 3);
}

static void quarantine_where_the_program_is_to_end_is_a_violation(void **state)
{
    (void)state;
    scene faulting;
    scene_init(&faulting, set_one_timer, fault_once);
    faulting.type.containment = TINA_CONTAIN_SHARD;
    faulting.spec.shard_restart_max = TINA_NONE;
    faulting.spec.abort_on_quarantine = true;
    assert_int_equal(scene_run(&faulting), TINA_SIM_VIOLATION);
    assert_non_null(strstr(faulting.report.violation, "quarantined"));
}

/* ---- Chance and points ---------------------------------------------------------------------------------------- */

static tina_effect take_chances(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self;
    (void)message;
    scene *ours = tina_user(ctx);
    ours->count += tina_maybe(ctx, (tina_ratio){1, 4});
    assert_false(tina_maybe(ctx, (tina_ratio){0, 4}));
    assert_true(tina_maybe(ctx, (tina_ratio){1, 0}));
    tina_reached(ctx, "here");
    return tina_yield();
}

static void note(void *user, const char *name)
{
    scene *ours = user;
    assert_string_equal(name, "here");
    ours->last_ns++;
}

static void maybe_strikes_and_points_are_told(void **state)
{
    (void)state;
    scene chancy;
    scene_init(&chancy, begin_to_yield, take_chances);
    chancy.config.on_reached = note;
    chancy.config.reached_user = &chancy;
    assert_int_equal(scene_run(&chancy), TINA_SIM_TICKS);
    assert_in_range(chancy.last_ns, 990, 1001);
    assert_in_range(chancy.count, 180, 320);
}

/* ---- The log ------------------------------------------------------------------------------------------------------ */

static tina_effect speak(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self;
    (void)args;
    (void)args_size;
    tina_log(ctx, TINA_LOG_INFO, "hello");
    return tina_receive();
}

static void take_line(void *user, int shard, tina_level level, const char *line, size_t length)
{
    scene *ours = user;
    if (level == TINA_LOG_INFO)
        snprintf(ours->text, sizeof ours->text, "%d %.*s", shard, (int)length, line);
}

static void log_lines_go_to_the_sink(void **state)
{
    (void)state;
    scene talking;
    scene_init(&talking, speak, until_shutdown);
    talking.spec.log_sink = take_line;
    talking.spec.log_user = &talking;
    scene_run(&talking);
    assert_string_equal(talking.text, "0 actor/0: hello");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(time_jumps_where_nobody_has_anything_to_do),
        cmocka_unit_test(run_that_waits_for_a_timer_is_not_quiet),
        cmocka_unit_test(run_in_which_nothing_will_ever_happen_ends),
        cmocka_unit_test(timer_beyond_all_time_never_comes),
        cmocka_unit_test(stop_at_the_last_round_comes),
        cmocka_unit_test(healed_run_with_a_timer_for_every_round_is_quiet),
        cmocka_unit_test(healing_that_leaves_no_round_demands_nothing),
        cmocka_unit_test(checker_that_aborts_is_a_violation),
        cmocka_unit_test(checker_that_fills_its_text_is_cut),
        cmocka_unit_test(simulation_within_a_log_sink_is_refused),
        cmocka_unit_test(faults_do_not_strike_before_every_tree_is_up),
        cmocka_unit_test(hash_sees_every_event_of_a_tick_however_many),
        cmocka_unit_test(stop_at_a_round_drains_everybody_and_leaves_nothing),
        cmocka_unit_test(stop_of_an_idle_run_comes_at_its_round),
        cmocka_unit_test(stop_from_a_handler_ends_the_run),
        cmocka_unit_test(healed_run_that_does_not_become_quiet_is_a_violation),
        cmocka_unit_test(healed_run_whose_timers_only_repeat_is_quiet),
        cmocka_unit_test(healed_run_brings_quarantined_shards_back),
        cmocka_unit_test(checkers_see_who_lives),
        cmocka_unit_test(checker_that_objects_ends_the_run_with_its_words),
        cmocka_unit_test(checker_that_faults_is_a_violation),
        cmocka_unit_test(config_that_is_wrong_is_refused_by_name),
        cmocka_unit_test(config_with_a_path_that_cannot_be_written_says_so),
        cmocka_unit_test(boot_that_fails_is_no_run),
        cmocka_unit_test(simulation_within_a_handler_is_refused),
        cmocka_unit_test(fault_of_an_isolate_is_contained),
        cmocka_unit_test(quarantine_where_the_program_is_to_end_is_a_violation),
        cmocka_unit_test(maybe_strikes_and_points_are_told),
        cmocka_unit_test(log_lines_go_to_the_sink),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
