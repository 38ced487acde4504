/*
 * The workloads that this program has, one file each. Each returns the exit status.
 */
#ifndef WORKLOADS_H
#define WORKLOADS_H

#include "../../floors/common.h"

int run_echo(const struct parameters *given);
int run_timers(const struct parameters *given);
int run_round_trip(const struct parameters *given);

#endif
