/*
 * Messages between two shards, which are two threads on two cores.
 *
 *     shards stream     [seconds=S] [capacity=N] [mailbox=N] [weight=N]
 *     shards round_trip [seconds=S] [mode=spin|sleep]
 *                       [slots=N] [types=N] [timers=N] [fds=N]
 */
#include "bench.h"

enum { TAG_GO = TINA_TAG_USER, TAG_NUMBER, TAG_ASK, TAG_MORE, TAG_ENOUGH, TAG_PING, TAG_PONG };
enum { SHARD_NEAR, SHARD_FAR, SHARD_COUNT };
enum { NAME_NEAR = 1, NAME_FAR };
enum { BATCH = 1 << 16 }; /* messages between two looks at the clock */

static tina_effect wait_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size, (void)ctx;
    return tina_receive();
}

/* Each side on its shard, alone. It begins when both are up. */
static tina_stats run_two(tina_system_spec *spec, tina_type types[TINA_TYPES_MAX])
{
    const tina_child near = {.type = 0, .name = NAME_NEAR}, far = {.type = 1, .name = NAME_FAR};
    const tina_shard_spec shards[SHARD_COUNT] = {
        [SHARD_NEAR] = {.root = {.children = &near, .child_count = 1}},
        [SHARD_FAR] = {.root = {.children = &far, .child_count = 1}},
    };
    spec->type_count = 2;
    reserve(spec, types);
    spec->shards = shards;
    spec->shard_count = SHARD_COUNT;
    tina_system *system = start_system(spec);
    tina_status status = tina_post(system, tina_named(SHARD_NEAR, NAME_NEAR), TAG_GO, NULL, 0);
    require(status == TINA_OK, "it can't begin");
    return end_system(system);
}

/* ---- stream: numbers one way, as fast as the channel takes them -------------------------
 *
 * After a while the sender asks whether it was enough, behind all that it sent:
 * then nothing is on its way when the system stops.
 */

static course the_course; /* of the receiver's thread, while it runs */

typedef struct sender {
    uint64_t ask_ns; /* when it asks next */
    uint64_t sent;
} sender;

static tina_effect sender_ask(sender *me, tina_ctx *ctx)
{
    me->ask_ns = tina_now(ctx) + WARM_UP_NS;
    return tina_call(ctx, tina_named(SHARD_FAR, NAME_FAR), TAG_ASK, &me->sent, sizeof me->sent, 0);
}

/* As many as the channel has room for. Full: come back in the next tick, when the other side may have taken some. */
static tina_effect sender_send(sender *me, tina_ctx *ctx)
{
    tina_status status = TINA_OK;
    if (tina_now(ctx) >= me->ask_ns)
        return sender_ask(me, ctx);
    while (status == TINA_OK) {
        status = tina_send(ctx, tina_named(SHARD_FAR, NAME_FAR), TAG_NUMBER, &me->sent, sizeof me->sent);
        me->sent += status == TINA_OK;
    }
    return status == TINA_CHANNEL_FULL ? tina_yield() : give_up(ctx, tina_status_name(status));
}

static tina_effect sender_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    sender *me = self;
    switch (message->tag) {
    case TAG_GO: me->ask_ns = tina_now(ctx) + 2 * WARM_UP_NS + seconds_ns(); return sender_send(me, ctx);
    case TINA_TAG_RESUME:
    case TINA_TAG_CALL_FAILED: /* there was no room for the question */
    case TAG_MORE: return sender_send(me, ctx);
    case TAG_ENOUGH: tina_stop_system(ctx); return tina_receive();
    case TINA_TAG_SHUTDOWN: return tina_done();
    default: return tina_receive();
    }
}

typedef struct receiver {
    uint64_t received;
    bool had_enough;
} receiver;

static tina_effect receiver_take(receiver *me, uint64_t number, tina_ctx *ctx)
{
    if (number != me->received++)
        return give_up(ctx, "a number was lost, or came twice");
    if (me->received % BATCH == 0 && !me->had_enough)
        me->had_enough = course_is_over(&the_course, me->received);
    return tina_receive();
}

static tina_effect receiver_answer(const receiver *me, uint64_t sent, tina_ctx *ctx)
{
    if (sent != me->received)
        return give_up(ctx, "not all numbers came");
    return tina_reply(ctx, me->had_enough ? TAG_ENOUGH : TAG_MORE, NULL, 0);
}

static tina_effect receiver_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    uint64_t number;
    memcpy(&number, message->payload, sizeof number);
    return message->tag == TAG_NUMBER ? receiver_take(self, number, ctx) : receiver_answer(self, number, ctx);
}

static void stream(void)
{
    tina_type types[TINA_TYPES_MAX] = {
        {.name = "sender", .init = wait_init, .handler = sender_handle, .size = sizeof(sender)},
        {.name = "receiver",
         .init = wait_init,
         .handler = receiver_handle,
         .size = sizeof(receiver),
         .mailbox_capacity = number_of("mailbox", 0),
         .weight = (uint16_t)number_of("weight", 0)},
    };
    tina_system_spec spec = {.channel_capacity = number_of("capacity", 0)};
    tina_stats total = run_two(&spec, types);
    require(total.delivered >= the_course.ended_count, "fewer messages were delivered than were counted");
    print_figure("rate", course_rate(&the_course));
}

/* ---- round_trip: there and back, each one timed ------------------------------------------ */

enum { TRIPS_MAX = 1 << 24 };

/* Of the near side's thread, while it runs. */
static struct {
    uint32_t took_ns[TRIPS_MAX];
    size_t count;
} the_trips;

typedef struct near_side {
    uint64_t warm_ns, over_ns; /* when trips begin to count, and when they don't any more */
    uint64_t sent_ns;
    uint64_t number;
} near_side;

static tina_effect near_send(near_side *me, tina_handle to, tina_ctx *ctx)
{
    me->sent_ns = wall_ns();
    if (tina_send(ctx, to, TAG_PING, &me->number, sizeof me->number) != TINA_OK)
        return give_up(ctx, "a ping was refused");
    return tina_receive();
}

static tina_effect near_go(near_side *me, tina_ctx *ctx)
{
    me->warm_ns = wall_ns() + WARM_UP_NS;
    me->over_ns = me->warm_ns + seconds_ns();
    return near_send(me, tina_named(SHARD_FAR, NAME_FAR), ctx);
}

static tina_effect near_pong(near_side *me, const tina_message *message, tina_ctx *ctx)
{
    uint64_t now = wall_ns(), number;
    memcpy(&number, message->payload, sizeof number);
    if (number != ++me->number)
        return give_up(ctx, "it is not the pong to that ping");
    if (me->sent_ns >= me->warm_ns)
        the_trips.took_ns[the_trips.count++] = (uint32_t)(now - me->sent_ns);
    if (the_trips.count < TRIPS_MAX && (the_trips.count == 0 || now < me->over_ns))
        return near_send(me, message->source, ctx);
    tina_stop_system(ctx);
    return tina_receive();
}

static tina_effect near_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    switch (message->tag) {
    case TAG_GO: return near_go(self, ctx);
    case TAG_PONG: return near_pong(self, message, ctx);
    case TINA_TAG_SHUTDOWN: return tina_done();
    default: return tina_receive();
    }
}

static tina_effect far_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    uint64_t number;
    memcpy(&number, message->payload, sizeof number);
    number++;
    if (tina_send(ctx, message->source, TAG_PONG, &number, sizeof number) != TINA_OK)
        return give_up(ctx, "a pong was refused");
    return tina_receive();
}

static double mean_of(const uint32_t *values, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += values[i];
    return sum / (double)count;
}

/* A shard with nothing to do polls for a long time, or sleeps at once. */
static void round_trip(void)
{
    tina_type types[TINA_TYPES_MAX] = {
        {.name = "near side", .init = wait_init, .handler = near_handle, .size = sizeof(near_side)},
        {.name = "far side", .init = wait_init, .handler = far_handle, .size = 1},
    };
    bool sleeps = is_word("mode", "spin", "sleep");
    tina_system_spec spec = {.spin_ns = sleeps ? TINA_NONE_NS : 3600 * SECOND_NS};
    memset(the_trips.took_ns, 1, sizeof the_trips.took_ns); /* no page is to be fetched during a trip */
    run_two(&spec, types);
    qsort(the_trips.took_ns, the_trips.count, sizeof the_trips.took_ns[0], compare_u32);
    print_figure("p50_ns", quantile(the_trips.took_ns, the_trips.count, 500));
    print_figure("p99_ns", quantile(the_trips.took_ns, the_trips.count, 990));
    print_figure("mean_ns", mean_of(the_trips.took_ns, the_trips.count));
}

int main(int argc, char **argv)
{
    static const workload workloads[] = {{"stream", stream}, {"round_trip", round_trip}, {NULL, NULL}};
    return run_workload(argc, argv, workloads);
}
