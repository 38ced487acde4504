/*
 * How many events a second a simulation comes to: pairs of isolates that send a
 * ball back and forth, on four shards, on one core, hashed, and checked every 100
 * rounds. Dense: a hundred pairs on, or between two, shards; sparse: one. The
 * partners of a pair are on two shards; local: on one. And an idle year.
 *
 *     pairs simulation [seconds=S]
 */
#include "../tina/bench.h"

#define SHARDS    4
#define PAIRS_MAX 100
#define MS        1000000ull
#define HOUR      (3600000 * MS)

enum { TAG_BALL = TINA_TAG_USER, TAG_SERVE };

/* A player's arguments. */
typedef struct seat {
    uint16_t name;
    bool is_across; /* the partner has the same name on the next shard; otherwise the next name on this one */
} seat;

typedef struct player {
    tina_handle partner;
    uint64_t balls;
} player;

static tina_effect player_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    player *me = self;
    seat own;
    memcpy(&own, args, args_size);
    uint8_t shard = tina_shard(ctx);
    bool serves = own.is_across ? shard % 2 == 0 : own.name % 2 == 1;
    uint16_t next = own.name % 2 == 1 ? own.name + 1 : own.name - 1;
    me->partner = own.is_across ? tina_named(shard ^ 1, own.name) : tina_named(shard, next);
    if (serves && tina_timer_start(ctx, 5 * MS, TAG_SERVE, NULL) != TINA_OK)
        return tina_crash(1);
    return tina_receive();
}

static tina_effect player_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    player *me = self;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    me->balls++;
    return tina_send(ctx, me->partner, TAG_BALL, &me->balls, sizeof me->balls) == TINA_OK ? tina_receive() : tina_crash(2);
}

/* Ends the program. */
static void stop_unfinished(const tina_sim_report *report)
{
    fprintf(stderr, "pairs: a run did not come to its end: %s\n", report->violation);
    exit(1);
}

/* The events of one run. pairs: on each shard, or between each two. */
static uint64_t play(uint32_t pairs, bool is_across, uint64_t rounds)
{
    static seat seats[2 * PAIRS_MAX];
    static tina_child children[2 * PAIRS_MAX];
    uint32_t players = is_across ? pairs : 2 * pairs;
    for (uint32_t i = 0; i < players; i++) {
        seats[i] = (seat){.name = (uint16_t)(i + 1), .is_across = is_across};
        children[i] = (tina_child){.args = &seats[i], .args_size = sizeof seats[i], .name = seats[i].name};
    }
    tina_type type = {"player", player_init, player_handle, sizeof(player), .slot_count = players};
    tina_system_spec spec = {.types = &type, .type_count = 1, .shard_count = SHARDS};
    spec.root = (tina_group_spec){.children = children, .child_count = players};
    tina_sim_config config = {.seed = 1, .ticks_max = rounds, .check_every = 100};
    tina_sim_report report;
    if (tina_simulate(&spec, &config, &report, NULL) != TINA_OK || report.end != TINA_SIM_TICKS)
        stop_unfinished(&report);
    if (report.events < rounds)
        stop_unfinished(&report);
    return report.events;
}

/* A workload's rate: of the runs that a quarter of the seconds has time for, and one before them to warm up. */
static void print_rate(const char *name, uint32_t pairs, bool is_across, uint64_t rounds)
{
    uint64_t length_ns = (uint64_t)(decimal_of("seconds", 1) * 1e9 / 4), events = 0, passed_ns = 0;
    play(pairs, is_across, rounds);
    uint64_t begun_ns = wall_ns();
    while (passed_ns == 0 || passed_ns < length_ns) {
        events += play(pairs, is_across, rounds);
        passed_ns = wall_ns() - begun_ns;
    }
    print_figure(name, (double)events * 1e9 / (double)passed_ns);
}

static tina_effect idle_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self;
    (void)args;
    (void)args_size;
    return tina_timer_repeat(ctx, HOUR, TINA_TAG_TIMER, NULL) == TINA_OK ? tina_receive() : tina_crash(1);
}

static tina_effect idle_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self;
    if (tina_now(ctx) > 365 * 24 * HOUR)
        tina_stop_system(ctx);
    return message->tag == TINA_TAG_SHUTDOWN ? tina_done() : tina_receive();
}

/* A year in which an isolate on each shard wakes every hour. */
static void print_idle_year(void)
{
    tina_child child = {.type = 0};
    tina_type type = {"idle", idle_init, idle_handle, 16, .slot_count = 1};
    tina_system_spec spec = {.types = &type, .type_count = 1, .shard_count = SHARDS};
    spec.root = (tina_group_spec){.children = &child, .child_count = 1};
    tina_sim_config config = {.seed = 1};
    tina_sim_report report;
    uint64_t begun_ns = wall_ns();
    if (tina_simulate(&spec, &config, &report, NULL) != TINA_OK || report.end != TINA_SIM_STOPPED ||
        report.now_ns < 365 * 24 * HOUR)
        stop_unfinished(&report);
    print_figure("idle_year_ns", (double)(wall_ns() - begun_ns));
}

static void simulation(void)
{
    print_rate("events_dense_per_second", 100, true, 2000);
    print_rate("events_sparse_per_second", 1, true, 20000);
    print_rate("events_dense_local_per_second", 100, false, 1000);
    print_rate("events_sparse_local_per_second", 1, false, 1000);
    print_idle_year();
}

int main(int argc, char **argv)
{
    static const workload workloads[] = {{"simulation", simulation}, {NULL, NULL}};
    return run_workload(argc, argv, workloads);
}
