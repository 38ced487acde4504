/*
 * Short lives on one shard: children that are spawned and end, and victims that
 * crash and are started again.
 *
 *     lives spawn   [seconds=S] [at_once=N] [descriptors=N]
 *     lives restart [seconds=S] [kind=effect|segfault] [victims=N] [descriptors=N]
 *                   [slots=N] [types=N] [timers=N] [fds=N]
 *
 * The descriptors are held open by another isolate of the shard meanwhile.
 */
#include "bench.h"

enum {
    TYPE_SHORT,  /* who lives shortly */
    TYPE_LEADER, /* who makes them */
    TYPE_KEEPER, /* who keeps descriptors */
    TYPE_COUNT,
};
enum { TAG_DIE = TINA_TAG_USER };
enum { SPARE_FDS = 64, VICTIMS_MAX = 4096 };
enum { BATCH = 1 << 14 }; /* lives between two looks at the clock */

static course the_course; /* of the one shard's thread, while it runs */

/* So that all of them have their turn in one tick: a weight of 1 is 256 turns. */
static uint16_t weight_for(uint32_t count) { return (uint16_t)((count + 255) / 256); }

/* ---- The keeper ----------------------------------------------------------------------- */

/* Its sockets end with it; it needs none of their names. */
static tina_effect keeper_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self;
    uint32_t count = 0;
    tina_fd fd;
    memcpy(&count, args, args_size);
    for (uint32_t i = 0; i < count; i++) {
        if (tina_socket(ctx, TINA_IPV4, TINA_DATAGRAM, &fd) != TINA_OK)
            return tina_crash(1);
    }
    return tina_receive();
}

static tina_effect keeper_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self, (void)ctx;
    return message->tag == TINA_TAG_SHUTDOWN ? tina_done() : tina_receive();
}

static const tina_type keeper = {.name = "keeper", .init = keeper_init, .handler = keeper_handle, .size = 1};

/* ---- spawn: one child after the other, each with a number that it hands in -------------- */

/* Of the one shard's thread. */
static struct {
    uint32_t at_once;
    uint64_t ended, sum; /* children, and what they handed in */
} the_lives;

typedef struct mayfly {
    uint64_t number;
} mayfly;

static tina_effect mayfly_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)ctx;
    mayfly *me = self;
    memcpy(&me->number, args, args_size);
    return tina_yield();
}

/* Its first turn is its last. */
static tina_effect mayfly_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)message, (void)ctx;
    const mayfly *me = self;
    the_lives.ended++;
    the_lives.sum += me->number;
    return tina_done();
}

typedef struct parent {
    uint64_t spawned;
} parent;

static tina_effect yield_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size, (void)ctx;
    return tina_yield();
}

/* When it comes back, those of its last turn have ended. */
static tina_effect parent_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    parent *me = self;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (me->spawned % BATCH == 0 && course_is_over(&the_course, the_lives.ended)) {
        tina_stop_system(ctx);
        return tina_receive();
    }
    for (uint32_t i = 0; i < the_lives.at_once; i++) {
        uint64_t number = ++me->spawned;
        tina_spawn child = {.type = TYPE_SHORT, .args = &number, .args_size = sizeof number};
        if (tina_spawn_child(ctx, &child, NULL) != TINA_OK)
            return give_up(ctx, "a child was refused");
    }
    return tina_yield();
}

static void spawn(void)
{
    uint32_t descriptors = number_of("descriptors", 0);
    the_lives.at_once = number_of("at_once", 64);
    require(the_lives.at_once > 0 && BATCH % the_lives.at_once == 0, "at_once= a power of two up to 16384");
    tina_type types[TINA_TYPES_MAX] = {
        [TYPE_SHORT] = {.name = "mayfly",
                        .init = mayfly_init,
                        .handler = mayfly_handle,
                        .size = sizeof(mayfly),
                        .slot_count = 2 * the_lives.at_once,
                        .weight = weight_for(the_lives.at_once)},
        [TYPE_LEADER] = {.name = "parent", .init = yield_init, .handler = parent_handle, .size = sizeof(parent)},
        [TYPE_KEEPER] = keeper,
    };
    const tina_child children[] = {{.type = TYPE_KEEPER, .args = &descriptors, .args_size = sizeof descriptors},
                                   {.type = TYPE_LEADER}};
    tina_system_spec spec = {
        .type_count = TYPE_COUNT,
        .root = {.children = children, .child_count = 2},
        .shard_count = 1,
        .fd_count = descriptors + SPARE_FDS,
    };
    allow_descriptors(descriptors + SPARE_FDS);
    reserve(&spec, types);
    tina_stats total = run_system(&spec);
    bool is_right = the_lives.sum == the_lives.ended * (the_lives.ended + 1) / 2 && total.fds.peak >= descriptors;
    require(is_right, "not all children lived, or not all descriptors were open");
    print_figure("rate", course_rate(&the_course));
}

/* ---- restart: victims crash when they are told, their supervisor starts them again ------- */

/* Of the one shard's thread. */
static struct {
    uint32_t victims;
    bool is_segfault;
    uint64_t starts;
} the_crashes;

typedef struct victim {
    uint32_t name;
} victim;

static tina_effect victim_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)ctx;
    victim *me = self;
    memcpy(&me->name, args, args_size);
    the_crashes.starts++;
    return tina_receive();
}

/* On purpose: no sanitizer is to stop it, no compiler to see it. */
__attribute__((noinline, no_sanitize("address", "undefined"))) static void write_to_null(void)
{
    volatile int *volatile nowhere = NULL;
    *nowhere = 1;
}

static tina_effect victim_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    const victim *me = self;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    uint64_t name;
    memcpy(&name, message->payload, sizeof name);
    if (name != me->name)
        return give_up(ctx, "another one was meant");
    if (the_crashes.is_segfault)
        write_to_null();
    return tina_crash(1);
}

typedef struct teller {
    uint64_t told;
} teller;

/* When it comes back, those that it told in its last turn have been started again. */
static tina_effect teller_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    teller *me = self;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (the_crashes.starts != me->told + the_crashes.victims)
        return give_up(ctx, "not all victims were started again");
    if (course_is_over(&the_course, me->told)) {
        tina_stop_system(ctx);
        return tina_receive();
    }
    for (uint64_t name = 1; name <= the_crashes.victims; name++, me->told++) {
        if (tina_send(ctx, tina_named(0, (uint16_t)name), TAG_DIE, &name, sizeof name) != TINA_OK)
            return give_up(ctx, "a victim is not there");
    }
    return tina_yield();
}

/* The same children in every run: victims named 1 to count. */
static const tina_child *list_victims(uint32_t count)
{
    static uint32_t names[VICTIMS_MAX];
    static tina_child victims[VICTIMS_MAX];
    for (uint32_t i = 0; i < count; i++) {
        names[i] = i + 1;
        victims[i] =
            (tina_child){.type = TYPE_SHORT, .name = (uint16_t)names[i], .args = &names[i], .args_size = sizeof names[i]};
    }
    return victims;
}

static void read_restart_arguments(void)
{
    the_crashes.victims = number_of("victims", 100);
    the_crashes.is_segfault = is_word("kind", "effect", "segfault");
    require(the_crashes.victims > 0 && the_crashes.victims <= VICTIMS_MAX, "victims= 1 to 4096");
    if (the_crashes.is_segfault || is_word("kind", "effect", "effect"))
        return;
    fprintf(stderr, "kind= effect or segfault\n");
    exit(77);
}

static void check_restarts(const tina_stats *total, uint32_t descriptors)
{
    uint64_t ends = the_crashes.is_segfault ? total->faults : total->crashes;
    bool is_right = ends == the_course.ended_count && total->restarts == ends && total->fds.peak >= descriptors;
    require(is_right, "not all crashes were counted, or not all descriptors were open");
}

/* The victims have a group of their own, whose budget does not end. */
static void restart(void)
{
    read_restart_arguments();
    uint32_t descriptors = number_of("descriptors", 0), count = the_crashes.victims;
    tina_type types[TINA_TYPES_MAX] = {
        [TYPE_SHORT] = {.name = "victim",
                        .init = victim_init,
                        .handler = victim_handle,
                        .size = sizeof(victim),
                        .slot_count = count,
                        .weight = weight_for(count)},
        [TYPE_LEADER] = {.name = "teller", .init = yield_init, .handler = teller_handle, .size = sizeof(teller)},
        [TYPE_KEEPER] = keeper,
    };
    const tina_group_spec group = {.children = list_victims(count), .child_count = count, .restart_max = UINT32_MAX - 1};
    const tina_child children[] = {{.type = TYPE_KEEPER, .args = &descriptors, .args_size = sizeof descriptors},
                                   {.group = &group},
                                   {.type = TYPE_LEADER}};
    tina_system_spec spec = {
        .type_count = TYPE_COUNT,
        .root = {.children = children, .child_count = 3},
        .shard_count = 1,
        .fd_count = descriptors + SPARE_FDS,
    };
    allow_descriptors(descriptors + SPARE_FDS);
    reserve(&spec, types);
    tina_stats total = run_system(&spec);
    check_restarts(&total, descriptors);
    print_figure("rate", course_rate(&the_course));
}

int main(int argc, char **argv)
{
    static const workload workloads[] = {{"spawn", spawn}, {"restart", restart}, {NULL, NULL}};
    return run_workload(argc, argv, workloads);
}
