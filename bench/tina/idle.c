/*
 * Isolates that do nothing: the memory and the CPU time that they take.
 *
 *     idle idle [isolates=N] [seconds=S] [slots=N] [types=N] [timers=N] [fds=N]
 *
 * rss_bytes: of the process, when it has been idle for that long; planned_bytes:
 * what the library said beforehand that the system takes; cpu_share: the
 * process's CPU time meanwhile, by the time.
 */
#include "bench.h"

#include <unistd.h>

enum { TAG_HERE = TINA_TAG_USER };
enum { PER_TURN = 256 };

/* Set when all isolates are there and have handled a message; main waits for it. */
static atomic_bool is_everybody_there;

static uint32_t isolates; /* set before the system starts */

typedef struct idler {
    tina_handle parent;
} idler;

static tina_effect idler_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    idler *me = self;
    memcpy(&me->parent, args, args_size);
    return tina_send(ctx, me->parent, TAG_HERE, NULL, 0) == TINA_OK ? tina_receive() : tina_crash(1);
}

static tina_effect idler_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self, (void)ctx;
    return message->tag == TINA_TAG_SHUTDOWN ? tina_done() : tina_receive();
}

typedef struct parent {
    uint32_t spawned, here;
} parent;

static tina_effect parent_go_on(parent *me, tina_ctx *ctx)
{
    tina_handle self = tina_self(ctx);
    tina_spawn child = {.type = 0, .args = &self, .args_size = sizeof self};
    for (uint32_t i = 0; i < PER_TURN && me->spawned < isolates; i++, me->spawned++) {
        if (tina_spawn_child(ctx, &child, NULL) != TINA_OK)
            return give_up(ctx, "an isolate could not be spawned");
    }
    return tina_receive();
}

static tina_effect parent_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)args, (void)args_size;
    return parent_go_on(self, ctx);
}

/* The next ones when those of the last turn have said that they are there. */
static tina_effect parent_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    parent *me = self;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (++me->here == isolates)
        atomic_store(&is_everybody_there, true);
    return me->here == me->spawned ? parent_go_on(me, ctx) : tina_receive();
}

static void sleep_for(uint64_t ns)
{
    struct timespec time = {.tv_sec = (time_t)(ns / SECOND_NS), .tv_nsec = (long)(ns % SECOND_NS)};
    nanosleep(&time, NULL);
}

static void await_everybody(void)
{
    while (!atomic_load(&is_everybody_there) && atomic_load(&bench_trouble) == NULL)
        sleep_for(SECOND_NS / 1000);
}

static double rss_bytes(void)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    require(file != NULL && fscanf(file, "%*u %lu", &pages) == 1, "/proc/self/statm can't be read");
    fclose(file);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

/* Sized: idle isolates need nothing but their slots. */
static void idle(void)
{
    isolates = number_of("isolates", 1000);
    require(isolates > 0, "isolates= at least 1");
    tina_type types[TINA_TYPES_MAX] = {
        {.name = "idler", .init = idler_init, .handler = idler_handle, .size = sizeof(idler), .slot_count = isolates},
        {.name = "parent", .init = parent_init, .handler = parent_handle, .size = sizeof(parent)},
    };
    const tina_child child = {.type = 1};
    tina_system_spec spec = {
        .type_count = 2,
        .root = {.children = &child, .child_count = 1},
        .shard_count = 1,
        .message_count = 2 * PER_TURN,
        .timer_count = TINA_NONE,
        .watch_count = TINA_NONE,
        .fd_count = TINA_NONE,
        .op_count = TINA_NONE,
        .buffer_count = TINA_NONE,
        .transfer_count = TINA_NONE,
    };
    reserve(&spec, types);
    tina_system *system = start_system(&spec);
    await_everybody();
    uint64_t begun_ns = wall_ns(), begun_cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    sleep_for(seconds_ns());
    double idle_ns = (double)(wall_ns() - begun_ns);
    double cpu_ns = (double)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - begun_cpu_ns);
    double resident = rss_bytes();
    tina_stop(system);
    tina_stats total = end_system(system);
    require(total.spawns >= isolates, "not all isolates were there");
    print_figure("rss_bytes", resident);
    print_figure("planned_bytes", (double)tina_spec_memory(&spec));
    print_figure("cpu_share", cpu_ns / idle_ns);
}

int main(int argc, char **argv)
{
    static const workload workloads[] = {{"idle", idle}, {NULL, NULL}};
    return run_workload(argc, argv, workloads);
}
