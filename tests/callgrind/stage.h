/*
 * A system's shards on one thread, turned by hand, so that a run takes the same
 * instructions each time: they are made as boot makes them, in the trap's care and
 * on the epoll backend, with a clock that stands until it is moved. Under callgrind
 * their ticks are what is collected, and nothing else. One stage at a time; what
 * fails ends the program.
 */
#ifndef TINA_CALLGRIND_STAGE_H
#define TINA_CALLGRIND_STAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tina/tina.h>

#define STAGE_SHARDS_MAX 2

/* The trees are up when it returns. The spec stays the caller's, and stays until the end. */
void stage_begin(const tina_system_spec *spec);
void stage_end(void);

void stage_tick(size_t shard);
void stage_move_clock(uint64_t ns);

/* Ends the program with a word unless it holds. */
void stage_require(bool holds, const char *what);

#endif
