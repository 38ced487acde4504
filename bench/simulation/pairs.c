/*
 * How many events a second a simulation comes to: pairs of isolates that send a
 * ball back and forth, on four shards, on one core, hashed, and checked every 100
 * rounds. The partners of a pair are on one shard, or on two. And an idle year.
 *
 *     pairs [TURNS]     default: 5; the median of so many
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <tina/tina.h>

#define SHARDS    4
#define PAIRS_MAX 100
#define MS        1000000ull
#define HOUR      (3600000 * MS)
#define TURNS_MAX 101

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

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Events a second of one run, in millions. pairs: on each shard, or between each two. */
static double play(uint32_t pairs, bool is_across, uint64_t rounds)
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
    double start = seconds_now();
    if (tina_simulate(&spec, &config, &report, NULL) != TINA_OK || report.end != TINA_SIM_TICKS) {
        fprintf(stderr, "pairs: the run did not come to its end: %s\n", report.violation);
        exit(1);
    }
    return (double)report.events / (seconds_now() - start) / 1e6;
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

/* Seconds for a year in which an isolate on each shard wakes every hour. */
static double idle_year(void)
{
    tina_child child = {.type = 0};
    tina_type type = {"idle", idle_init, idle_handle, 16, .slot_count = 1};
    tina_system_spec spec = {.types = &type, .type_count = 1, .shard_count = SHARDS};
    spec.root = (tina_group_spec){.children = &child, .child_count = 1};
    tina_sim_config config = {.seed = 1};
    tina_sim_report report;
    double start = seconds_now();
    if (tina_simulate(&spec, &config, &report, NULL) != TINA_OK || report.end != TINA_SIM_STOPPED ||
        report.now_ns < 365 * 24 * HOUR) {
        fprintf(stderr, "pairs: the year did not come to its end\n");
        exit(1);
    }
    return seconds_now() - start;
}

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static void tell(const char *what, uint32_t pairs, bool is_across, uint64_t rounds, int turns)
{
    double values[TURNS_MAX];
    for (int i = 0; i < turns; i++)
        values[i] = play(pairs, is_across, rounds);
    qsort(values, (size_t)turns, sizeof values[0], compare);
    printf("%-40s %6.2f M events/s (%.2f to %.2f)\n", what, values[turns / 2], values[0], values[turns - 1]);
}

int main(int argc, char **argv)
{
    int turns = argc > 1 ? atoi(argv[1]) : 5;
    if (turns < 1 || turns > TURNS_MAX) {
        fprintf(stderr, "usage: pairs [TURNS], 1 to %d\n", TURNS_MAX);
        return 2;
    }
    tell("a hundred pairs on each of four shards", 100, false, 10000, turns);
    tell("one pair on each of four shards", 1, false, 10000, turns);
    tell("a hundred pairs between two shards each", 100, true, 20000, turns);
    tell("one pair between two shards each", 1, true, 200000, turns);
    printf("%-40s %6.3f s\n", "an idle year", idle_year());
    return 0;
}
