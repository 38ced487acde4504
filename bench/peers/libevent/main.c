/*
 * The suite's workloads on libevent, as its users would write them.
 *
 *     libevent echo [form=bufferevent|raw] [shards=1] | timers [count=1000000] | round_trip mode=sleep
 */
#include "workloads.h"

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(const struct parameters *given);
    } workloads[] = {{"echo", run_echo}, {"timers", run_timers}, {"round_trip", run_round_trip}};
    if (argc < 2)
        fail("usage: %s WORKLOAD [NAME=VALUE]...", argv[0]);
    struct parameters given = {.count = argc - 2, .texts = argv + 2};
    for (size_t i = 0; i < sizeof workloads / sizeof workloads[0]; i++) {
        if (is_text(argv[1], workloads[i].name))
            return workloads[i].run(&given);
    }
    not_here(argv[1]);
}
