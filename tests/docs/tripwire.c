/* Isolates that ask the machine instead of the runtime, and the tripwire that catches them. Ends by itself; docs/ is cut from it. */
#include "../../examples/sim_tripwire.c" /* in a program of one's own it is linked in */

#include <sys/prctl.h>

enum { TYPE_GOOD, TYPE_CLOCK, TYPE_COPY, TYPE_CYCLES, TYPE_COUNT };

typedef struct worker {
    uint64_t seen;
    char *text;
} worker;

static tina_effect worker_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size;
    if (tina_timer_repeat(ctx, 1000000, TINA_TAG_TIMER, NULL) != TINA_OK)
        return tina_crash(1);
    return tina_receive();
}

static tina_effect good_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    worker *me = self;
    (void)message;
    me->seen = tina_now(ctx) + tina_random(ctx);
    me->text = tina_scratch(ctx, 16);
    return tina_receive();
}

/* docs: clock */
static tina_effect clock_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    worker *me = self;
    struct timespec now;
    (void)message, (void)ctx;
    clock_gettime(CLOCK_MONOTONIC, &now);
    me->seen = (uint64_t)now.tv_nsec;
    return tina_receive();
}
/* docs: end */

/* Not malloc itself, but what calls it. */
static tina_effect copy_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    worker *me = self;
    (void)message, (void)ctx;
    free(me->text);
    me->text = strdup("a copy");
    return tina_receive();
}

/* The processor's own clock is an instruction, which no function stands in front of. */
static tina_effect cycles_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    worker *me = self;
    (void)message, (void)ctx;
#ifdef __x86_64__
    me->seen = __builtin_ia32_rdtsc();
#else
    me->seen = 0;
#endif
    return tina_receive();
}

/* One isolate of that type, for a thousand rounds. */
static tina_sim_report run(uint8_t type)
{
    static const tina_type types[TYPE_COUNT] = {
        [TYPE_GOOD] = {.name = "good", .init = worker_init, .handler = good_handle, .size = sizeof(worker)},
        [TYPE_CLOCK] = {.name = "clock", .init = worker_init, .handler = clock_handle, .size = sizeof(worker)},
        [TYPE_COPY] = {.name = "copy", .init = worker_init, .handler = copy_handle, .size = sizeof(worker)},
        [TYPE_CYCLES] = {.name = "cycles", .init = worker_init, .handler = cycles_handle, .size = sizeof(worker)},
    };
    const tina_child children[] = {{.type = type}};
    static const tina_checker_fn checkers[] = {tripwire_check};
    tina_system_spec spec = {
        .types = types,
        .type_count = TYPE_COUNT,
        .shard_count = 1,
        .root = {.children = children, .child_count = 1, .restart_max = 1000000},
    };
    tina_sim_config config = {.seed = 1, .ticks_max = 1000, .checkers = checkers, .checker_count = 1};
    tina_sim_report report;
    tina_error error;
    tripwire_set(&spec);
    if (tina_simulate(&spec, &config, &report, &error) == TINA_OK)
        return report;
    printf("%s: %s\n", error.path, error.message);
    exit(1);
}

static bool says(uint8_t type, const char *violation)
{
    tina_sim_report report = run(type);
    printf("%s\n", report.violation[0] != '\0' ? report.violation : "all is well");
    return strcmp(report.violation, violation) == 0;
}

/* True also where cycles can't be forbidden: then there is nothing to see. */
static bool cycles_fault(void)
{
#ifdef __x86_64__
    /* docs: cycles */
    bool is_forbidden = prctl(PR_SET_TSC, PR_TSC_SIGSEGV) == 0;
    tina_sim_report report = run(TYPE_CYCLES);
    prctl(PR_SET_TSC, PR_TSC_ENABLE);
    /* docs: end */
    printf("%llu faults of an isolate that reads the processor's clock\n", (unsigned long long)report.total.faults);
    return !is_forbidden || report.total.faults > 0;
#else
    return run(TYPE_CYCLES).total.faults == 0;
#endif
}

int main(void)
{
    if (!tripwire_works())
        return says(TYPE_GOOD, "") ? 0 : 1;
    bool is_well = says(TYPE_GOOD, "");
    is_well = says(TYPE_CLOCK, "an isolate of type clock called clock_gettime") && is_well;
    is_well = says(TYPE_COPY, "an isolate of type copy called malloc") && is_well;
    return cycles_fault() && is_well ? 0 : 1;
}
