/*
 * Timers of one isolate: many are started and cancelled, then as many started
 * and waited for.
 *
 *     timers timers [seconds=S] [count=N] [slots=N] [types=N] [timers=N] [fds=N]
 *
 * start_cancel_rate: timers that were started and cancelled, by the time of both.
 * fire_cpu_ns: the thread's CPU time from the first start to the last expiry, by
 * timer. Both are totals over all rounds but the first.
 */
#include "bench.h"

#define MILLISECOND_NS (SECOND_NS / 1000)

enum { TAG_CANCELLED = TINA_TAG_USER, TAG_FIRED }; /* and 99 more: the tag is the delay's class */
enum { TIMERS_PER_TURN = 10000, CLASSES = 100, COUNT_MAX = TINA_SLOTS_MAX };

/* Of the one shard's thread. */
static struct {
    uint32_t count;
    uint64_t start_cancel_ns, fire_cpu_ns, rounds; /* of the rounds that count */
} the_timers;

static tina_timer names[COUNT_MAX];

/* The same spread in every run, and in every other program of the suite. */
static uint32_t hash(uint32_t number) { return number * 2654435761u; }
static uint64_t long_delay_ns(uint32_t number) { return SECOND_NS + hash(number) % 1000000 * MILLISECOND_NS; }
static uint32_t class_of(uint32_t number) { return hash(number) % CLASSES; }
static uint64_t short_delay_ns(uint32_t class) { return (1 + class) * MILLISECOND_NS; }

typedef enum step { STEP_START, STEP_CANCEL, STEP_FIRE } step;

typedef struct owner {
    step step;
    uint32_t done; /* of this step */
    uint32_t fired;
    uint32_t left[CLASSES]; /* of each class, started and not fired yet */
    uint32_t rounds;
    uint64_t over_ns;
    uint64_t begun_ns;     /* the first start of the first two steps */
    uint64_t begun_cpu_ns; /* of the third */
    uint64_t fire_ns;      /* no timer of the third fires sooner than its delay behind this */
} owner;

static tina_effect owner_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)args, (void)args_size, (void)ctx;
    owner *me = self;
    me->over_ns = wall_ns() + seconds_ns();
    return tina_yield();
}

/* One turn's worth of a step; false: something was refused. */
static bool start_some(owner *me, uint32_t end, tina_ctx *ctx)
{
    tina_status status = TINA_OK;
    if (me->done == 0)
        me->begun_ns = wall_ns();
    for (; status == TINA_OK && me->done < end; me->done++)
        status = tina_timer_start(ctx, long_delay_ns(me->done), TAG_CANCELLED, &names[me->done]);
    return status == TINA_OK;
}

static bool cancel_some(owner *me, uint32_t end, tina_ctx *ctx)
{
    bool was_there = true;
    for (; was_there && me->done < end; me->done++)
        was_there = tina_timer_cancel(ctx, names[me->done]);
    if (me->done == the_timers.count && me->rounds > 0)
        the_timers.start_cancel_ns += wall_ns() - me->begun_ns;
    return was_there;
}

static bool fire_some(owner *me, uint32_t end, tina_ctx *ctx)
{
    tina_status status = TINA_OK;
    if (me->done == 0) {
        me->begun_cpu_ns = thread_cpu_ns();
        me->fire_ns = tina_now(ctx);
    }
    for (; status == TINA_OK && me->done < end; me->done++) {
        uint32_t class = class_of(me->done);
        me->left[class]++;
        status = tina_timer_start(ctx, short_delay_ns(class), (tina_tag)(TAG_FIRED + class), NULL);
    }
    return status == TINA_OK;
}

/* The timers that expire meanwhile wait until all are started. */
static tina_effect owner_go_on(owner *me, tina_ctx *ctx)
{
    static bool (*const steps[])(owner *, uint32_t, tina_ctx *) = {
        [STEP_START] = start_some, [STEP_CANCEL] = cancel_some, [STEP_FIRE] = fire_some};
    uint32_t left = the_timers.count - me->done;
    uint32_t end = me->done + (left < TIMERS_PER_TURN ? left : TIMERS_PER_TURN);
    if (!steps[me->step](me, end, ctx))
        return give_up(ctx, me->step == STEP_CANCEL ? "a timer was not there to be cancelled" : "a timer was refused");
    if (me->done < the_timers.count)
        return tina_yield();
    if (me->step == STEP_FIRE)
        return tina_receive();
    me->done = 0;
    me->step++;
    return tina_yield();
}

/* At least one round counts besides the first, which is the warm-up. */
static tina_effect owner_end_round(owner *me, tina_ctx *ctx)
{
    if (me->rounds > 0) {
        the_timers.fire_cpu_ns += thread_cpu_ns() - me->begun_cpu_ns;
        the_timers.rounds++;
    }
    if (me->rounds++ > 0 && wall_ns() >= me->over_ns) {
        tina_stop_system(ctx);
        return tina_receive();
    }
    me->step = STEP_START;
    me->done = me->fired = 0;
    return tina_yield();
}

static tina_effect owner_fired(owner *me, uint32_t class, tina_ctx *ctx)
{
    if (class >= CLASSES || me->left[class]-- == 0)
        return give_up(ctx, "a timer fired twice, or though it was cancelled");
    if (tina_now(ctx) < me->fire_ns + short_delay_ns(class))
        return give_up(ctx, "a timer fired too early");
    return ++me->fired < the_timers.count ? tina_receive() : owner_end_round(me, ctx);
}

static tina_effect owner_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    switch (message->tag) {
    case TINA_TAG_RESUME: return owner_go_on(self, ctx);
    case TINA_TAG_SHUTDOWN: return tina_done();
    default: return owner_fired(self, (uint32_t)message->tag - TAG_FIRED, ctx);
    }
}

static void timers(void)
{
    the_timers.count = number_of("count", 1000000);
    require(the_timers.count > 0 && the_timers.count <= COUNT_MAX, "count= 1 to 1048575");
    tina_type types[TINA_TYPES_MAX] = {
        {.name = "owner", .init = owner_init, .handler = owner_handle, .size = sizeof(owner), .slot_count = 1},
    };
    const tina_child child = {.type = 0};
    tina_system_spec spec = {
        .type_count = 1,
        .root = {.children = &child, .child_count = 1},
        .shard_count = 1,
        .timer_count = the_timers.count,
    };
    reserve(&spec, types);
    memset(names, 1, sizeof names); /* no page is to be fetched while the clock runs */
    run_system(&spec);
    uint64_t counted = the_timers.rounds * the_timers.count;
    print_figure("start_cancel_rate", (double)counted * 1e9 / (double)the_timers.start_cancel_ns);
    print_figure("fire_cpu_ns", (double)the_timers.fire_cpu_ns / (double)counted);
}

int main(int argc, char **argv)
{
    static const workload workloads[] = {{"timers", timers}, {NULL, NULL}};
    return run_workload(argc, argv, workloads);
}
