#include "swarm/points.h"

#include "base/assert.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
    const tina__point *left = a, *right = b;
    uint32_t shared = left->length < right->length ? left->length : right->length;
    int order = memcmp(left->name, right->name, shared);
    return order != 0 ? order : (left->length > right->length) - (left->length < right->length);
}

/* One literal, without anything that the compiler would replace. */
static bool is_plain(const char *text, size_t length)
{
    return length > 2 && text[0] == '"' && text[length - 1] == '"' && memchr(text + 1, '"', length - 2) == NULL &&
           memchr(text, '\\', length) == NULL;
}

static void add(tina__points *points, const char *text, size_t length)
{
    if (length == 0)
        return;
    if (!is_plain(text, length)) {
        points->others++;
        return;
    }
    points->is_cut = points->is_cut || points->count == TINA__POINTS_MAX;
    if (points->count < TINA__POINTS_MAX)
        points->of[points->count++] = (tina__point){text + 1, (uint32_t)length - 2};
}

/* A point in a header is in the text once for each file. */
static void drop_doubles(tina__points *points)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < points->count; i++) {
        if (kept == 0 || compare(&points->of[kept - 1], &points->of[i]) != 0)
            points->of[kept++] = points->of[i];
    }
    points->count = kept;
}

void tina__points_list(tina__points *points, const char *texts, const char *end)
{
    memset(points, 0, sizeof *points);
    while (texts != end) {
        size_t length = strnlen(texts, (size_t)(end - texts));
        add(points, texts, length);
        texts += length != 0 ? length : 1;
    }
    qsort(points->of, points->count, sizeof points->of[0], compare);
    drop_doubles(points);
}

/* TINA__POINTS_MAX: none. */
static uint32_t find(const tina__points *points, const char *name)
{
    const tina__point wanted = {name, (uint32_t)strlen(name)};
    const tina__point *found = bsearch(&wanted, points->of, points->count, sizeof wanted, compare);
    return found == NULL ? TINA__POINTS_MAX : (uint32_t)(found - points->of);
}

void tina__points_mark(tina__points *points, tina__marks *marks, const char *name)
{
    size_t place = (uintptr_t)name / sizeof(void *) % TINA__POINT_CACHE;
    if (points->cache[place] != name) {
        points->cache[place] = name;
        points->cached[place] = (uint16_t)find(points, name);
    }
    uint32_t point = points->cached[place];
    if (point < points->count)
        marks->words[point / 64] |= 1ull << (point % 64);
}

void tina__marks_add(tina__marks *to, const tina__marks *more)
{
    for (size_t i = 0; i < sizeof to->words / sizeof to->words[0]; i++)
        to->words[i] |= more->words[i];
}

bool tina__marks_have(const tina__marks *marks, uint32_t point)
{
    tina__assert(point < TINA__POINTS_MAX);
    return (marks->words[point / 64] >> (point % 64) & 1) != 0;
}
