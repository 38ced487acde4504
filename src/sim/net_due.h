/*
 * What is due when: a heap of things by their time, and among those of one time by
 * the order in which they were set. A thing is a number below the heap's size, set
 * at most once.
 */
#ifndef TINA__SIM_NET_DUE_H
#define TINA__SIM_NET_DUE_H

#include "base/handle.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct tina__due_entry {
    uint64_t at_ns;
    uint64_t order;
    uint32_t thing;
} tina__due_entry;

typedef struct tina__due {
    tina__due_entry *entries; /* none is before the one at half its place */
    uint32_t *places;         /* by thing: where it stands in entries, from 1; 0: it is not set */
    uint32_t count;
    uint64_t order; /* of the last that was set */
} tina__due;

/* It is not set. */
void tina__due_set(tina__due *due, uint32_t thing, uint64_t at_ns);
/* One that is not set is left as it is. */
void tina__due_clear(tina__due *due, uint32_t thing);
/* The first that is due by now, cleared; NONE: nothing is. */
uint32_t tina__due_take(tina__due *due, uint64_t now_ns);

static inline bool tina__due_is_set(const tina__due *due, uint32_t thing) { return due->places[thing] != 0; }

/* TINA_NONE_NS: nothing is set. */
static inline uint64_t tina__due_next_ns(const tina__due *due)
{
    return due->count == 0 ? TINA_NONE_NS : due->entries[0].at_ns;
}

/* O(n), for checkers. */
bool tina__due_is_sound(const tina__due *due);

#endif
