/*
 * The workloads that this program has, one file each, and the pair of sockets that
 * both use. A workload returns the exit status.
 */
#ifndef WORKLOADS_H
#define WORKLOADS_H

#include "../../floors/common.h"

#include <nng/nng.h>

int run_stream(const struct parameters *given);
int run_round_trip(const struct parameters *given);

/* Two connected sockets, one for each thread. */
struct pair {
    nng_socket here;
    nng_socket there;
};

struct pair open_pair(void);
void close_pair(struct pair pair);

/* For nng's calls: ends the program where the status is not 0. */
void must(int status, const char *what);

/* A message is one number. */
uint64_t message_number(nng_msg *message);
void message_set_number(nng_msg *message, uint64_t number);

#endif
