/*
 * A hierarchical timing wheel (Varghese and Lauck, "Hashed and Hierarchical
 * Timing Wheels", 1987), with a bitmap of the occupied slots of each level.
 *
 * Owns its lists; the nodes are the callers' and do not move while they are
 * armed. One thread. Time is an argument and never goes back.
 *
 * Start and cancel are O(1), the next deadline is O(levels), expiry costs what
 * expires; a node moves down at most once per level. A node expires no sooner
 * than its deadline, and at most one resolution later than the advance that
 * passed it. Nodes that expire in one advance come in order of their deadlines'
 * resolution steps; within a step, in the order in which they were started or
 * moved into it.
 *
 * Invariant: a node is in a list exactly while tina__timer_is_armed.
 */
#ifndef TINA__MEM_TIMER_WHEEL_H
#define TINA__MEM_TIMER_WHEEL_H

#include "base/assert.h"
#include "base/bits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * 6 levels of 8 bits reach 2^48 steps, 8,900 years of 1 ms. Wide ones, because a node
 * that moves down is a line that was long out of the cache: of 1 ms, what expires
 * within a quarter of a second hardly ever moves, and within a minute once.
 */
#define TINA__WHEEL_LEVELS 6
#define TINA__WHEEL_SLOTS  256 /* per level */
#define TINA__WHEEL_LISTS  (TINA__WHEEL_LEVELS * TINA__WHEEL_SLOTS)

typedef struct tina__timer_node {
    struct tina__timer_node *next, *previous; /* next NULL: not armed */
    uint64_t deadline_ns;
    uint32_t owner; /* the caller's: which thing this node belongs to */
    uint32_t kind;  /* the caller's */
} tina__timer_node;

typedef struct tina__timer_wheel {
    uint64_t resolution_ns;
    uint64_t step;                             /* all steps up to this one have been expired */
    uint64_t step_end_ns;                      /* nothing more expires before */
    uint32_t occupied_words;                   /* a bit for each word of occupied that is not 0 */
    uint64_t occupied[TINA__WHEEL_LISTS / 64]; /* a bit for each slot that holds a node, level by level */
    tina__timer_node slots[TINA__WHEEL_LEVELS][TINA__WHEEL_SLOTS]; /* list heads; circular */
    tina__timer_node expired; /* passed, but not handed out yet: the budget was used up */
    uint32_t count;           /* armed, those on the expired list included */
} tina__timer_wheel;

/* resolution_ns is not 0. */
void tina__timer_wheel_init(tina__timer_wheel *wheel, uint64_t resolution_ns, uint64_t now_ns);

/* node is not armed; its owner and kind are left alone. A deadline that has passed expires at the next advance. */
void tina__timer_wheel_start(tina__timer_wheel *wheel, tina__timer_node *node, uint64_t deadline_ns);

/* The last node has left that list: if it is a slot's, that is marked no longer. */
static inline void tina__timer_wheel_unmark(tina__timer_wheel *wheel, const tina__timer_node *list)
{
    size_t index = (size_t)((const uint8_t *)list - (const uint8_t *)wheel->slots) / sizeof *list;
    if (index >= TINA__WHEEL_LISTS)
        return;
    wheel->occupied[index / 64] &= ~(1ull << index % 64);
    if (wheel->occupied[index / 64] == 0)
        wheel->occupied_words &= ~(1u << index / 64);
}

static inline bool tina__timer_is_armed(const tina__timer_node *node) { return node->next != 0; }

/* Disarms; a node that is not armed is left as it is. In a header: so short that a call would be half of it. */
static inline void tina__timer_wheel_cancel(tina__timer_wheel *wheel, tina__timer_node *node)
{
    tina__timer_node *next = node->next;
    if (next == NULL)
        return;
    tina__timer_node *previous = node->previous;
    tina__assert(wheel->count != 0);
    tina__assert(next->previous == node);
    tina__assert(previous->next == node);
    wheel->count--;
    next->previous = previous;
    previous->next = next;
    node->next = NULL;
    if (tina__unlikely(next == previous)) /* it stood alone: both are the list */
        tina__timer_wheel_unmark(wheel, next);
}

/*
 * Takes one node whose deadline is at or before now_ns, disarmed, or NULL: there
 * is none. Called in a loop, with the same now_ns, as often as the tick's budget
 * allows. Nodes may be started and cancelled between the calls.
 */
tina__timer_node *tina__timer_wheel_expire(tina__timer_wheel *wheel, uint64_t now_ns);

/* May there be one? In a header: asked in each tick, and nearly always there is none. */
static inline bool tina__timer_wheel_is_due(const tina__timer_wheel *wheel, uint64_t now_ns)
{
    return now_ns >= wheel->step_end_ns || wheel->expired.next != &wheel->expired;
}

/* When to call expire next: no later than the earliest deadline rounded up to its step; TINA_NONE_NS: nothing is armed. */
uint64_t tina__timer_wheel_next_ns(const tina__timer_wheel *wheel);

#endif
