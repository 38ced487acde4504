/*
 * Messages between isolates of one shard.
 *
 *     messages bounce|bounce_types|ring|call|wait [seconds=S] [isolates=N] [tokens=N] [load=PERCENT]
 *              [slots=N] [types=N] [timers=N] [fds=N]
 */
#include "bench.h"

enum {
    TAG_BALL = TINA_TAG_USER,
    TAG_NEXT,
    TAG_START,
    TAG_TOKEN,
    TAG_QUESTION,
    TAG_ANSWER,
    TAG_JOB,
};

enum { BATCH = 1 << 16 }; /* messages between two looks at the clock */

static course the_course; /* of the one shard's thread, while it runs */

static void run_and_print_rate(tina_system_spec *spec, tina_type types[TINA_TYPES_MAX])
{
    reserve(spec, types);
    tina_stats total = run_system(spec);
    require(total.delivered >= the_course.ended_count, "fewer messages were delivered than were counted");
    print_figure("rate", course_rate(&the_course));
}

/* ---- bounce: one ball between two players of one type ---------------------------------- */

enum { NAME_PARTNER = 1 };

typedef struct player {
    uint64_t next; /* what the ball will have counted when it comes */
} player;

/* The ball counts its deliveries. */
static tina_effect strike(tina_ctx *ctx, tina_handle to, uint64_t count)
{
    if (tina_send(ctx, to, TAG_BALL, &count, sizeof count) != TINA_OK)
        return give_up(ctx, "the ball was refused");
    return tina_receive();
}

/* False: it is another ball than was awaited. */
static bool catch_ball(player *me, const tina_message *message, uint64_t *count)
{
    memcpy(count, message->payload, sizeof *count);
    bool is_next = *count == me->next;
    me->next += 2;
    return is_next;
}

/* The one with arguments serves. */
static tina_effect player_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)args;
    player *me = self;
    bool serves = args_size != 0;
    me->next = serves ? 2 : 1;
    return serves ? strike(ctx, tina_named(0, NAME_PARTNER), 1) : tina_receive();
}

static tina_effect player_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    uint64_t count;
    if (!catch_ball(self, message, &count))
        return give_up(ctx, "the ball does not count right");
    if (count % BATCH == 0 && course_is_over(&the_course, count)) {
        tina_stop_system(ctx);
        return tina_receive();
    }
    return strike(ctx, message->source, count + 1);
}

/* The same for two types: this one only gives the ball back. */
static tina_effect wall_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    uint64_t count;
    if (!catch_ball(self, message, &count))
        return give_up(ctx, "the ball does not count right");
    return strike(ctx, message->source, count + 1);
}

static void bounce(void)
{
    tina_type types[TINA_TYPES_MAX] = {
        {.name = "player", .init = player_init, .handler = player_handle, .size = sizeof(player), .slot_count = 2},
    };
    const tina_child players[] = {{.type = 0, .name = NAME_PARTNER}, {.type = 0, .args = "", .args_size = 1}};
    tina_system_spec spec = {
        .type_count = 1,
        .root = {.children = players, .child_count = 2},
        .shard_count = 1,
    };
    run_and_print_rate(&spec, types);
}

static void bounce_types(void)
{
    tina_type types[TINA_TYPES_MAX] = {
        {.name = "player", .init = player_init, .handler = player_handle, .size = sizeof(player), .slot_count = 1},
        {.name = "wall", .init = player_init, .handler = wall_handle, .size = sizeof(player), .slot_count = 1},
    };
    const tina_child players[] = {{.type = 1, .name = NAME_PARTNER}, {.type = 0, .args = "", .args_size = 1}};
    tina_system_spec spec = {
        .type_count = 2,
        .root = {.children = players, .child_count = 2},
        .shard_count = 1,
    };
    run_and_print_rate(&spec, types);
}

/* ---- ring: tokens go round, from each node to the next ---------------------------------
 *
 * The builder makes the nodes and tells each who is the next. Then a start goes
 * round once, and whoever has a token sends it behind. When the time is over, the
 * tokens are not sent on but counted.
 */

enum { NODES_PER_TURN = 256 }; /* as many as are told their next in a tick, so that no messages heap up */

typedef struct node {
    tina_handle next;
    uint32_t index;
    bool is_started;
} node;

typedef struct token {
    uint32_t number;
    uint32_t place; /* the index of the node that it goes to */
} token;

typedef struct builder {
    tina_handle first, last;
    uint32_t built;
} builder;

/* Of the one shard's thread. */
static struct {
    uint32_t nodes, tokens;
    uint64_t deliveries;
    uint64_t tokens_back, numbers_back; /* at the end: how many came in, and the sum of their numbers */
    bool is_over;
} the_ring;

static tina_effect node_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)ctx;
    node *me = self;
    memcpy(&me->index, args, args_size);
    return tina_receive();
}

static tina_effect node_pass(const node *me, uint32_t number, tina_ctx *ctx)
{
    token next = {.number = number, .place = me->index + 1 < the_ring.nodes ? me->index + 1 : 0};
    if (tina_send(ctx, me->next, TAG_TOKEN, &next, sizeof next) != TINA_OK)
        return give_up(ctx, "a token was refused");
    return tina_receive();
}

/* Tokens are spread evenly: the node where number * nodes / tokens steps up has one. */
static tina_effect node_start(node *me, tina_ctx *ctx)
{
    if (me->is_started)
        return tina_receive(); /* the start has come round */
    me->is_started = true;
    if (tina_send(ctx, me->next, TAG_START, NULL, 0) != TINA_OK)
        return give_up(ctx, "the start was refused");
    uint64_t number = ((uint64_t)me->index * the_ring.tokens + the_ring.nodes - 1) / the_ring.nodes;
    bool has_token = number < the_ring.tokens && number * the_ring.nodes / the_ring.tokens == me->index;
    return has_token ? node_pass(me, (uint32_t)number, ctx) : tina_receive();
}

static tina_effect node_keep(uint32_t number, tina_ctx *ctx)
{
    the_ring.numbers_back += number;
    if (++the_ring.tokens_back < the_ring.tokens)
        return tina_receive();
    if (the_ring.numbers_back != (uint64_t)the_ring.tokens * (the_ring.tokens - 1) / 2)
        return give_up(ctx, "they are not the tokens that were sent");
    tina_stop_system(ctx);
    return tina_receive();
}

static tina_effect node_take(const node *me, const tina_message *message, tina_ctx *ctx)
{
    token came;
    memcpy(&came, message->payload, sizeof came);
    if (came.place != me->index)
        return give_up(ctx, "a token came to the wrong node");
    if (!the_ring.is_over && ++the_ring.deliveries % BATCH == 0)
        the_ring.is_over = course_is_over(&the_course, the_ring.deliveries);
    return the_ring.is_over ? node_keep(came.number, ctx) : node_pass(me, came.number, ctx);
}

static tina_effect node_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    node *me = self;
    switch (message->tag) {
    case TAG_TOKEN: return node_take(me, message, ctx);
    case TAG_START: return node_start(me, ctx);
    case TAG_NEXT: memcpy(&me->next, message->payload, sizeof me->next); return tina_receive();
    case TINA_TAG_SHUTDOWN: return tina_done();
    default: return tina_receive();
    }
}

static tina_effect builder_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size, (void)ctx;
    return tina_yield();
}

static bool builder_add(builder *me, tina_ctx *ctx)
{
    tina_handle next;
    tina_spawn spawn = {.type = 0, .args = &me->built, .args_size = sizeof me->built};
    if (tina_spawn_child(ctx, &spawn, &next) != TINA_OK)
        return false;
    if (me->built++ == 0)
        me->first = next;
    else if (tina_send(ctx, me->last, TAG_NEXT, &next, sizeof next) != TINA_OK)
        return false;
    me->last = next;
    return true;
}

static tina_effect builder_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    builder *me = self;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    for (uint32_t i = 0; i < NODES_PER_TURN && me->built < the_ring.nodes; i++) {
        if (!builder_add(me, ctx))
            return give_up(ctx, "a node could not be added");
    }
    if (me->built < the_ring.nodes)
        return tina_yield();
    if (tina_send(ctx, me->last, TAG_NEXT, &me->first, sizeof me->first) != TINA_OK ||
        tina_send(ctx, me->first, TAG_START, NULL, 0) != TINA_OK)
        return give_up(ctx, "the ring could not be closed");
    return tina_receive();
}

/* Sized: as many messages as tokens, and those that build the ring; nothing is read or timed. */
static void ring(void)
{
    the_ring.nodes = number_of("isolates", 1000);
    the_ring.tokens = number_of("tokens", 100);
    require(the_ring.tokens > 0 && the_ring.tokens <= the_ring.nodes, "tokens= at least 1, at most isolates=");
    tina_type types[TINA_TYPES_MAX] = {
        {.name = "node", .init = node_init, .handler = node_handle, .size = sizeof(node), .slot_count = the_ring.nodes},
        {.name = "builder", .init = builder_init, .handler = builder_handle, .size = sizeof(builder)},
    };
    const tina_child child = {.type = 1};
    tina_system_spec spec = {
        .type_count = 2,
        .root = {.children = &child, .child_count = 1},
        .shard_count = 1,
        .message_count = the_ring.tokens + 4 * NODES_PER_TURN,
        .timer_count = TINA_NONE,
        .watch_count = TINA_NONE,
        .fd_count = TINA_NONE,
        .op_count = TINA_NONE,
        .buffer_count = TINA_NONE,
        .transfer_count = TINA_NONE,
    };
    run_and_print_rate(&spec, types);
}

/* ---- call: a question and its answer, one after the other -------------------------------- */

enum { NAME_ANSWERER = 1 };

typedef struct asker {
    uint64_t answered;
} asker;

static tina_effect ask(const asker *me, tina_ctx *ctx)
{
    return tina_call(ctx, tina_named(0, NAME_ANSWERER), TAG_QUESTION, &me->answered, sizeof me->answered, 0);
}

static tina_effect asker_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)args, (void)args_size;
    return ask(self, ctx);
}

static tina_effect asker_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    asker *me = self;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    uint64_t answer = 0;
    if (message->tag == TAG_ANSWER)
        memcpy(&answer, message->payload, sizeof answer);
    if (answer != ++me->answered)
        return give_up(ctx, "a call was not answered, or wrongly");
    if (answer % BATCH != 0 || !course_is_over(&the_course, answer))
        return ask(me, ctx);
    tina_stop_system(ctx);
    return tina_receive();
}

static tina_effect answerer_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size, (void)ctx;
    return tina_receive();
}

static tina_effect answerer_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    uint64_t number;
    memcpy(&number, message->payload, sizeof number);
    number++;
    return tina_reply(ctx, TAG_ANSWER, &number, sizeof number);
}

static void call(void)
{
    tina_type types[TINA_TYPES_MAX] = {
        {.name = "asker", .init = asker_init, .handler = asker_handle, .size = sizeof(asker), .slot_count = 1},
        {.name = "answerer", .init = answerer_init, .handler = answerer_handle, .size = 1},
    };
    const tina_child children[] = {{.type = 1, .name = NAME_ANSWERER}, {.type = 0}};
    tina_system_spec spec = {
        .type_count = 2,
        .root = {.children = children, .child_count = 2},
        .shard_count = 1,
    };
    run_and_print_rate(&spec, types);
}

/* ---- wait: how long a message waits on a busy shard --------------------------------------
 *
 * The pacer sends jobs, at random and as often as their work takes load= of the
 * time; each worker works for a while on each of its own. Working, and being idle,
 * is to look at the thread's CPU clock until the time has come. Where that clock
 * steps on by more than STALL_NS between two such looks, with nothing between them,
 * the machine was away with an interrupt: that time is left out, and told as
 * stalled_share. What the machine takes elsewhere counts.
 */

enum { WORKERS = 64, WORK_NS = 2000, STALL_NS = 5000, WAITS_MAX = 1 << 24 };

typedef struct wait_totals {
    uint64_t at_ns; /* when they were so */
    uint64_t sent, handled, work_ns, stalled_ns;
} wait_totals;

/* Of the one shard's thread. */
static struct {
    double load;
    wait_totals now, begun, ended; /* begun: when the warm-up was over */
    uint64_t looked_ns;            /* the wall clock at the last look */
    uint64_t away_ns;              /* by how much the wall clock is ahead of the thread's CPU clock */
    uint32_t waited_ns[WAITS_MAX];
    size_t waits;
} the_waits;

/*
 * The thread's CPU clock is a system call, the wall clock is not: as long as that
 * one does not step, the thread has its core, and both go on alike. Behind a step
 * the CPU clock says how much of it was the thread's. Time never goes back, even
 * where the thread was without its core for less than a step.
 */
static uint64_t cpu_ns(void)
{
    uint64_t now_ns = wall_ns();
    if (now_ns - the_waits.looked_ns > STALL_NS) {
        uint64_t before_ns = the_waits.looked_ns - the_waits.away_ns, thread_ns = thread_cpu_ns();
        now_ns = wall_ns();
        the_waits.away_ns = now_ns - (thread_ns > before_ns ? thread_ns : before_ns);
    }
    the_waits.looked_ns = now_ns;
    return now_ns - the_waits.away_ns;
}

/* The same without the stalls. */
static uint64_t own_ns(void) { return cpu_ns() - the_waits.now.stalled_ns; }

static uint64_t look_until(uint64_t end_ns)
{
    uint64_t last_ns = cpu_ns(), now_ns = last_ns;
    while (now_ns - the_waits.now.stalled_ns < end_ns) {
        now_ns = cpu_ns();
        if (now_ns - last_ns > STALL_NS)
            the_waits.now.stalled_ns += now_ns - last_ns;
        last_ns = now_ns;
    }
    return now_ns - the_waits.now.stalled_ns;
}

typedef struct job {
    uint64_t sent_ns;
    uint64_t worker;
} job;

typedef struct worker {
    uint32_t index;
} worker;

static tina_effect worker_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)ctx;
    worker *me = self;
    memcpy(&me->index, args, args_size);
    return tina_receive();
}

static tina_effect worker_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    uint64_t begun_ns = own_ns();
    const worker *me = self;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    job came;
    memcpy(&came, message->payload, sizeof came);
    if (came.worker != me->index)
        return give_up(ctx, "a job came to the wrong worker");
    if (the_waits.begun.at_ns != 0 && the_waits.waits < WAITS_MAX)
        the_waits.waited_ns[the_waits.waits++] = (uint32_t)(begun_ns - came.sent_ns);
    the_waits.now.work_ns += look_until(begun_ns + WORK_NS) - begun_ns;
    the_waits.now.handled++;
    return tina_receive();
}

typedef struct pacer {
    tina_handle workers[WORKERS];
    uint64_t due_ns, warm_ns, over_ns;
} pacer;

static tina_effect pacer_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)args, (void)args_size;
    pacer *me = self;
    for (uint32_t i = 0; i < WORKERS; i++) {
        tina_spawn spawn = {.type = 0, .args = &i, .args_size = sizeof i};
        if (tina_spawn_child(ctx, &spawn, &me->workers[i]) != TINA_OK)
            return tina_crash(1);
    }
    me->due_ns = own_ns();
    me->warm_ns = me->due_ns + WARM_UP_NS;
    me->over_ns = me->warm_ns + seconds_ns();
    return tina_yield();
}

/* Exponential, near enough, with a mean of 1: the binary logarithm of a random number, its fraction as a straight line. */
static double random_gap(tina_ctx *ctx)
{
    uint64_t number = tina_random(ctx) | 1;
    int zeros = __builtin_clzll(number);
    double mantissa = (double)(number << zeros) / 9223372036854775808.0; /* 1 to 2 */
    return (zeros + 2 - mantissa) / 1.5;
}

/* The mean gap that brings the load, by how long the jobs took so far. */
static double mean_gap_ns(void)
{
    const wait_totals *now = &the_waits.now;
    double job_ns = now->handled > 0 ? (double)now->work_ns / (double)now->handled : 2 * WORK_NS;
    return job_ns / the_waits.load;
}

/* False: there is no room. Then it stays due. */
static bool pacer_send(pacer *me, uint64_t now_ns, tina_ctx *ctx)
{
    job next = {.sent_ns = now_ns, .worker = tina_random(ctx) % WORKERS};
    if (tina_send(ctx, me->workers[next.worker], TAG_JOB, &next, sizeof next) != TINA_OK)
        return false;
    me->due_ns += (uint64_t)(mean_gap_ns() * random_gap(ctx));
    the_waits.now.sent++;
    return true;
}

static tina_effect pacer_finish(tina_ctx *ctx)
{
    if (the_waits.now.handled < the_waits.now.sent)
        return tina_yield();
    tina_stop_system(ctx);
    return tina_receive();
}

/* Once a tick: sends what is due. Where nobody has anything to do, that is what comes next. */
static tina_effect pacer_turn(pacer *me, tina_ctx *ctx)
{
    bool is_idle = the_waits.now.handled == the_waits.now.sent, has_room = true;
    uint64_t now_ns = is_idle ? look_until(me->due_ns) : own_ns();
    if (now_ns >= me->over_ns)
        return pacer_finish(ctx);
    the_waits.now.at_ns = now_ns;
    if (the_waits.begun.at_ns == 0 && now_ns >= me->warm_ns)
        the_waits.begun = the_waits.now;
    the_waits.ended = the_waits.now;
    while (has_room && me->due_ns <= now_ns)
        has_room = pacer_send(me, now_ns, ctx);
    return tina_yield();
}

static tina_effect pacer_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    return message->tag == TINA_TAG_SHUTDOWN ? tina_done() : pacer_turn(self, ctx);
}

static void print_waits(void)
{
    const wait_totals *begun = &the_waits.begun, *ended = &the_waits.ended;
    double time_ns = (double)(ended->at_ns - begun->at_ns), stalled_ns = (double)(ended->stalled_ns - begun->stalled_ns);
    require(begun->at_ns != 0 && the_waits.waits > 0 && time_ns > 0, "nothing was measured");
    qsort(the_waits.waited_ns, the_waits.waits, sizeof the_waits.waited_ns[0], compare_u32);
    print_figure("p50_ns", quantile(the_waits.waited_ns, the_waits.waits, 500));
    print_figure("p99_ns", quantile(the_waits.waited_ns, the_waits.waits, 990));
    print_figure("p999_ns", quantile(the_waits.waited_ns, the_waits.waits, 999));
    print_figure("load_share", (double)(ended->work_ns - begun->work_ns) / time_ns);
    print_figure("stalled_share", stalled_ns / (time_ns + stalled_ns));
}

static void wait(void)
{
    the_waits.load = decimal_of("load", 50) / 100;
    require(the_waits.load > 0 && the_waits.load < 1, "load= more than 0, less than 100");
    tina_type types[TINA_TYPES_MAX] = {
        {.name = "worker", .init = worker_init, .handler = worker_handle, .size = sizeof(worker), .slot_count = WORKERS},
        {.name = "pacer", .init = pacer_init, .handler = pacer_handle, .size = sizeof(pacer)},
    };
    const tina_child child = {.type = 1};
    tina_system_spec spec = {
        .type_count = 2,
        .root = {.children = &child, .child_count = 1},
        .shard_count = 1,
    };
    reserve(&spec, types);
    memset(the_waits.waited_ns, 1, sizeof the_waits.waited_ns); /* no page is to be fetched while the clock runs */
    run_system(&spec);
    print_waits();
}

int main(int argc, char **argv)
{
    static const workload workloads[] = {
        {"bounce", bounce}, {"bounce_types", bounce_types}, {"ring", ring}, {"call", call}, {"wait", wait}, {NULL, NULL},
    };
    return run_workload(argc, argv, workloads);
}
