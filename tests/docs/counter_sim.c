/*
 * A counter that others add to by calls, under simulation. Each addition counts once,
 * whatever is lost, late or crashes. docs/guides/writing_simulation_tests.md is cut
 * from it. With NAIVE it is the version that the guide begins with, which does not hold.
 */
/* docs: head */
#include <stdio.h>
#include <string.h>
#include <tina/sim_main.h>

#define MILLISECOND_NS 1000000ull

enum { TYPE_COUNTER, TYPE_ADDER, TYPE_REFEREE, TYPE_COUNT };
enum { NAME_COUNTER = 1, ADDERS_MAX = 4, ADDITIONS = 100 };
enum { TAG_ADD = TINA_TAG_USER, TAG_ADDED, TAG_GO_ON };
/* docs: end */

/* docs: disk */
/* What survives a crash: a disk, as it were. Each field has one writer. */
typedef struct tally {
    uint32_t adder_count;
    uint32_t sum;                  /* the counter's */
    uint32_t added[ADDERS_MAX];    /* the counter's: each adder's last addition */
    uint32_t asked[ADDERS_MAX];    /* each adder's: the number of the addition that it has asked for */
    uint32_t answered[ADDERS_MAX]; /* each adder's: of the last that was answered */
} tally;

typedef struct addition {
    uint32_t adder, number;
} addition;
/* docs: end */

/* ---- The counter ---- */

#ifdef NAIVE

/* docs: naive */
static void count(tally *disk, const addition *asked, tina_ctx *ctx)
{
    (void)asked, (void)ctx;
    disk->sum++;
}
/* docs: end */

#else

/* docs: count */
/* Who got no answer asks again: what comes twice is counted once. */
static void count(tally *disk, const addition *asked, tina_ctx *ctx)
{
    if (asked->number <= disk->added[asked->adder]) {
        tina_reached(ctx, "an addition comes twice");
        return;
    }
    disk->added[asked->adder] = asked->number;
    disk->sum++;
}
/* docs: end */

#endif

/* docs: counter */
typedef struct counter {
    uint32_t answers; /* in this life */
} counter;

static tina_effect counter_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size, (void)ctx;
    return tina_receive();
}

static tina_effect counter_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    counter *me = self;
    addition asked;
    switch (message->tag) {
    case TAG_ADD:
        memcpy(&asked, message->payload, sizeof asked);
        count(tina_user(ctx), &asked, ctx);
        if (tina_maybe(ctx, (tina_ratio){1, 500}))
            return tina_crash(1); /* counted, and nobody was told */
        me->answers++;
        return tina_reply(ctx, TAG_ADDED, &me->answers, sizeof me->answers);
    case TINA_TAG_SHUTDOWN: return tina_done();
    default: return tina_receive();
    }
}
/* docs: end */

/* ---- Who adds ---- */

/* docs: adder */
typedef struct adder {
    uint32_t index;
} adder;

static tina_effect pause_for(uint64_t pause_ns, tina_ctx *ctx)
{
    if (tina_timer_start(ctx, pause_ns, TAG_GO_ON, NULL) != TINA_OK)
        return tina_crash(1); /* the restart goes on */
    return tina_receive();
}

static tina_effect adder_go_on(const adder *me, tina_ctx *ctx)
{
    tally *disk = tina_user(ctx);
    if (disk->answered[me->index] == ADDITIONS)
        return tina_receive(); /* for good */
    disk->asked[me->index] = disk->answered[me->index] + 1;
    addition next = {.adder = me->index, .number = disk->asked[me->index]};
    return tina_call(ctx, tina_named(0, NAME_COUNTER), TAG_ADD, &next, sizeof next, 50 * MILLISECOND_NS);
}

static tina_effect adder_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    adder *me = self;
    memcpy(&me->index, args, args_size);
    return adder_go_on(me, ctx);
}

static tina_effect adder_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    adder *me = self;
    tally *disk = tina_user(ctx);
    switch (message->tag) {
    case TAG_ADDED:
        disk->answered[me->index] = disk->asked[me->index];
        return pause_for(tina_random(ctx) % (20 * MILLISECOND_NS), ctx);
    case TINA_TAG_CALL_FAILED: return pause_for(10 * MILLISECOND_NS, ctx); /* which does not say that it was not counted */
    case TAG_GO_ON: return adder_go_on(me, ctx);
    case TINA_TAG_SHUTDOWN: return tina_done();
    default: return tina_receive();
    }
}
/* docs: end */

/* ---- Who looks that all is done ---- */

/* docs: referee */
static tina_effect referee_look(tina_ctx *ctx)
{
    const tally *disk = tina_user(ctx);
    for (uint32_t i = 0; i < disk->adder_count; i++) {
        if (disk->answered[i] < ADDITIONS)
            return pause_for(100 * MILLISECOND_NS, ctx);
    }
    return tina_receive();
}

static tina_effect referee_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size;
    return referee_look(ctx);
}

static tina_effect referee_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self;
    return message->tag == TINA_TAG_SHUTDOWN ? tina_done() : referee_look(ctx);
}
/* docs: end */

/* ---- The simulation ---- */

/* docs: checker */
static bool check_sum(const tina_sim *sim, uint64_t tick, char *why, size_t why_size, void *user)
{
    (void)sim, (void)tick;
    const tally *disk = user;
    uint32_t asked = 0, answered = 0;
    for (uint32_t i = 0; i < disk->adder_count; i++) {
        asked += disk->asked[i];
        answered += disk->answered[i];
    }
    snprintf(why, why_size, "%u additions were asked for, %u were answered, and the sum is %u", asked, answered, disk->sum);
    return answered <= disk->sum && disk->sum <= asked;
}
/* docs: end */

/* docs: make */
static void make(uint64_t seed, tina_system_spec *spec, tina_sim_config *config)
{
    static const tina_type types[TYPE_COUNT] = {
        [TYPE_COUNTER] = {.name = "counter", .init = counter_init, .handler = counter_handle, .size = sizeof(counter)},
        [TYPE_ADDER] =
            {.name = "adder", .init = adder_init, .handler = adder_handle, .size = sizeof(adder), .slot_count = ADDERS_MAX},
        [TYPE_REFEREE] = {.name = "referee", .init = referee_init, .handler = referee_handle, .size = 1},
    };
    static const tina_child counters[] = {{.type = TYPE_COUNTER, .name = NAME_COUNTER}};
    static const uint32_t indices[ADDERS_MAX] = {0, 1, 2, 3};
    static tina_child adders[ADDERS_MAX + 1] = {{.type = TYPE_REFEREE}};
    static tina_shard_spec shards[2];
    static const tina_checker_fn checkers[] = {check_sum};
    static tally disk;
    disk = (tally){.adder_count = 1 + (uint32_t)(seed % ADDERS_MAX)};
    for (uint32_t i = 0; i < disk.adder_count; i++)
        adders[1 + i] = (tina_child){.type = TYPE_ADDER, .args = &indices[i], .args_size = sizeof indices[i]};
    shards[0].root = (tina_group_spec){.children = counters, .child_count = 1, .restart_max = 100};
    shards[1].root = (tina_group_spec){.children = adders, .child_count = 1 + disk.adder_count, .restart_max = 100};
    spec->types = types;
    spec->type_count = TYPE_COUNT;
    spec->shards = shards;
    spec->shard_count = 2;
    spec->user = &disk;
    config->ticks_max = 20000;
    config->checkers = checkers;
    config->checker_count = 1;
    config->checker_user = &disk;
    config->faults.handler_crash = (tina_ratio){1, 500};
    config->faults.message_drop = (tina_ratio){1, 100};
    config->faults.message_delay = (tina_range){0, 5};
}

int main(int argc, char **argv) { return tina_sim_main(argc, argv, make); }
/* docs: end */
