/*
 * The suite's workloads on CAF, as its users would write them.
 *
 *     caf bounce | bounce_types | ring [isolates=1000] [tokens=100] | call | stream |
 *         round_trip mode=sleep|spin | spawn [descriptors=0] [at_once=64] |
 *         restart [kind=effect] [victims=100] | idle [isolates=1000]
 */
#include "bench.hpp"

#include <cstdio>

int main(int argc, char **argv)
{
    static const std::map<std::string, int (*)(const bench::parameters &)> workloads = {
        {"bounce", bench::run_bounce}, {"bounce_types", bench::run_bounce_types},
        {"ring", bench::run_ring},     {"call", bench::run_call},
        {"stream", bench::run_stream}, {"round_trip", bench::run_round_trip},
        {"spawn", bench::run_spawn},   {"restart", bench::run_restart},
        {"idle", bench::run_idle},
    };
    if (argc < 2)
        bench::fail("usage: caf WORKLOAD [NAME=VALUE]...");
    auto found = workloads.find(argv[1]);
    if (found == workloads.end()) {
        std::fprintf(stderr, "this program has no workload %s\n", argv[1]);
        return bench::not_here;
    }
    return found->second(bench::parameters(argc - 2, argv + 2));
}
