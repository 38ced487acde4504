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

#include <stdbool.h>
#include <stdint.h>

#define TINA__WHEEL_LEVELS 8
#define TINA__WHEEL_SLOTS  64 /* per level: 8 levels of 6 bits reach 2^48 steps, 8,900 years of 1 ms */

typedef struct tina__timer_node {
    struct tina__timer_node *next, *previous; /* NULL: not armed */
    uint64_t deadline_ns;
    uint32_t owner; /* the caller's: which thing this node belongs to */
    uint16_t kind;  /* the caller's */
    uint8_t level, slot;
} tina__timer_node;

typedef struct tina__timer_wheel {
    uint64_t resolution_ns;
    uint64_t step;                                                 /* all steps up to this one have been expired */
    uint64_t occupied[TINA__WHEEL_LEVELS];                         /* a bit for each slot that holds a node */
    tina__timer_node slots[TINA__WHEEL_LEVELS][TINA__WHEEL_SLOTS]; /* list heads; circular */
    tina__timer_node expired; /* passed, but not handed out yet: the budget was used up */
    uint32_t count;           /* armed, those on the expired list included */
} tina__timer_wheel;

/* resolution_ns is not 0. */
void tina__timer_wheel_init(tina__timer_wheel *wheel, uint64_t resolution_ns, uint64_t now_ns);

/* node is not armed; its owner and kind are left alone. A deadline that has passed expires at the next advance. */
void tina__timer_wheel_start(tina__timer_wheel *wheel, tina__timer_node *node, uint64_t deadline_ns);

/* Disarms; a node that is not armed is left as it is. */
void tina__timer_wheel_cancel(tina__timer_wheel *wheel, tina__timer_node *node);

/*
 * Takes one node whose deadline is at or before now_ns, disarmed, or NULL: there
 * is none. Called in a loop, with the same now_ns, as often as the tick's budget
 * allows. Nodes may be started and cancelled between the calls.
 */
tina__timer_node *tina__timer_wheel_expire(tina__timer_wheel *wheel, uint64_t now_ns);

/* When to call expire next: no later than the earliest deadline rounded up to its step; TINA_NONE_NS: nothing is armed. */
uint64_t tina__timer_wheel_next_ns(const tina__timer_wheel *wheel);

static inline bool tina__timer_is_armed(const tina__timer_node *node) { return node->next != 0; }

#endif
