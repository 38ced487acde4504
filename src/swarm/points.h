/*
 * The names that the calls of tina_reached in a program have left in its text, and
 * which of them a run came by. The list is made once, before anything runs; marks
 * are a run's own.
 */
#ifndef TINA__SWARM_POINTS_H
#define TINA__SWARM_POINTS_H

#include <stdbool.h>
#include <stdint.h>

enum { TINA__POINTS_MAX = 1024, TINA__POINT_CACHE = 256 };

typedef struct tina__point {
    const char *name; /* not terminated: its quotation mark follows */
    uint32_t length;
} tina__point;

typedef struct tina__points {
    uint32_t count;
    uint32_t others;                      /* places with names that are not plain */
    bool is_cut;                          /* there were more than that */
    tina__point of[TINA__POINTS_MAX];     /* in alphabetical order, each once */
    const char *cache[TINA__POINT_CACHE]; /* a name as it was given, by its place in memory */
    uint16_t cached[TINA__POINT_CACHE];
} tina__points;

typedef struct tina__marks {
    uint64_t words[TINA__POINTS_MAX / 64];
} tina__marks;

/* texts .. end: NUL-terminated, with zeros between, each the argument as it was written. Only plain "..." are names, the others are counted. */
void tina__points_list(tina__points *points, const char *texts, const char *end);

/* A name that is not in the list is none of ours. */
void tina__points_mark(tina__points *points, tina__marks *marks, const char *name);
void tina__marks_add(tina__marks *to, const tina__marks *more);
bool tina__marks_have(const tina__marks *marks, uint32_t point);

#endif
