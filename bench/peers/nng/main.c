/*
 * The suite's workloads on nng, as its users would write them: two threads and two
 * sockets in one process, over inproc. The threads are not pinned: nng carries each
 * message with threads of its own, and those would wait behind pinned ones.
 *
 *     nng stream | round_trip mode=sleep|spin
 */
#include "workloads.h"

int main(int argc, char **argv)
{
    if (argc < 2)
        fail("usage: %s WORKLOAD [NAME=VALUE]...", argv[0]);
    struct parameters given = {.count = argc - 2, .texts = argv + 2};
    if (is_text(argv[1], "stream"))
        return run_stream(&given);
    if (is_text(argv[1], "round_trip"))
        return run_round_trip(&given);
    not_here(argv[1]);
}
