/* How much memory a spec takes, what takes it, and how much of it was used. Ends by itself; docs/ is cut from it. */
#include <inttypes.h>
#include <stdio.h>
#include <tina/tina.h>

enum { NAME_DESK = 1 };
enum { TAG_WORK = TINA_TAG_USER };
enum { WORKERS = 1000, JOBS = 300 };

/* ---- A desk that makes a worker for each job ---- */

typedef struct desk {
    uint32_t made;
} desk;

static tina_effect desk_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size, (void)ctx;
    return tina_receive();
}

static tina_effect desk_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    desk *me = self;
    tina_spawn worker = {.type = 1};
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (tina_spawn_child(ctx, &worker, NULL) == TINA_OK && ++me->made == JOBS)
        tina_stop_system(ctx);
    return tina_receive();
}

typedef struct worker {
    uint8_t state[500];
} worker;

static tina_effect worker_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size;
    return tina_timer_start(ctx, 1000000000, TINA_TAG_TIMER, NULL) == TINA_OK ? tina_receive() : tina_crash(1);
}

static tina_effect worker_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self, (void)message, (void)ctx;
    return tina_done();
}

/* ---- Before it runs ---- */

/* docs: memory */
/* What one more of something costs: the spec's memory with it, less the spec's memory without. */
static size_t cost_of_slots(tina_system_spec spec, tina_type *type, uint32_t more)
{
    size_t before = tina_spec_memory(&spec);
    type->slot_count += more;
    size_t after = tina_spec_memory(&spec);
    type->slot_count -= more;
    return after - before;
}

static bool print_memory(const tina_system_spec *spec, tina_type *type)
{
    tina_error error;
    if (tina_spec_check(spec, &error) != TINA_OK) {
        fprintf(stderr, "%s: %s\n", error.path, error.message);
        return false;
    }
    printf("in all: %zu KiB\n", tina_spec_memory(spec) / 1024);
    printf("a thousand slots of type %s: %zu KiB\n", type->name, cost_of_slots(*spec, type, 1000) / 1024);
    return true;
}
/* docs: end */

/* ---- When it has run ---- */

/* docs: peaks */
static void print_pool(const char *name, tina_usage pool)
{
    printf("%-9s %6" PRIu32 " of %6" PRIu32 "\n", name, pool.peak, pool.limit);
}

static void print_peaks(const tina_stats *stats)
{
    print_pool("messages", stats->messages);
    print_pool("timers", stats->timers);
    print_pool("watches", stats->watches);
    print_pool("ops", stats->ops);
    print_pool("buffers", stats->buffers);
    print_pool("fds", stats->fds);
    print_pool("transfers", stats->transfers);
    printf("refused: %" PRIu64 " for a pool, %" PRIu64 " for a mailbox, %" PRIu64 " for a channel, %" PRIu64 " spawns\n",
           stats->pool_exhausted, stats->mailbox_full, stats->channel_full, stats->arena_full);
}
/* docs: end */

int main(void)
{
    tina_type types[] = {
        {.name = "desk", .init = desk_init, .handler = desk_handle, .size = sizeof(desk), .mailbox_capacity = JOBS},
        {.name = "worker",
         .init = worker_init,
         .handler = worker_handle,
         .size = sizeof(worker),
         .slot_count = WORKERS,
         .mailbox_capacity = 4},
    };
    const tina_child children[] = {{.type = 0, .name = NAME_DESK}};
    tina_system_spec spec = {
        .types = types,
        .type_count = 2,
        .shard_count = 1,
        .root = {.children = children, .child_count = 1},
        .fd_count = TINA_NONE,
        .development = true,
    };
    tina_system *system;
    tina_end_report report;
    if (!print_memory(&spec, &types[1]) || tina_start(&spec, &system, NULL) != TINA_OK)
        return 1;
    for (int i = 0; i < JOBS; i++)
        tina_ignore(tina_post(system, tina_named(0, NAME_DESK), TAG_WORK, NULL, 0));
    if (tina_join(system, &report) != TINA_OK)
        return 1;
    print_peaks(&report.total);
    return report.total.timers.peak >= JOBS && report.total.arena_full == 0 ? 0 : 1;
}
