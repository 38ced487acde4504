/*
 * The supervision tree's data: groups, their budgets, and the children that are
 * to be restarted. Owned by the shard. The policy is supervise.c.
 */
#ifndef TINA__CORE_GROUP_H
#define TINA__CORE_GROUP_H

#include "base/handle.h"

#include <tina/spec.h>

#define TINA__BUDGET_ENTRIES_MAX 1024

/* Restarts within a sliding window. More than the ring has entries for: the newest entry counts for several. */
typedef struct tina__budget {
    struct tina__budget_entry {
        uint64_t when_ns;
        uint64_t count;
    } * entries;
    uint32_t entry_count; /* of the ring */
    uint32_t first, used;
    uint64_t sum; /* of the counts in use */
    uint64_t max;
    uint64_t window_ns;
} tina__budget;

static inline uint32_t tina__budget_entry_count(uint32_t restart_max)
{
    uint32_t max = restart_max == TINA_NONE ? 0 : restart_max == 0 ? 3 : restart_max;
    return max < TINA__BUDGET_ENTRIES_MAX ? max + 1 : TINA__BUDGET_ENTRIES_MAX;
}

/* restart_max and window_ns as in a spec; entries: tina__budget_entry_count of them. */
void tina__budget_init(tina__budget *budget, struct tina__budget_entry *entries, uint32_t restart_max, uint64_t window_ns,
                       uint32_t default_window_s);
void tina__budget_reset(tina__budget *budget);
/* Counts one restart at now_ns. False: it is one too many. */
bool tina__budget_spend(tina__budget *budget, uint64_t now_ns);

typedef struct tina__group {
    uint16_t name;
    tina__budget budget;
    uint32_t first_child, static_count; /* the static children, in order */
    uint32_t dynamic_max, dynamic_count;
    uint32_t live_head, live_tail; /* isolates, in the order in which they were started */
} tina__group;

enum { TINA__GROUP_ROOT, TINA__GROUP_UNSUPERVISED, TINA__GROUP_COUNT }; /* indexes of a shard's groups */

typedef enum tina__child_state {
    TINA__CHILD_FREE,
    TINA__CHILD_UP,
    TINA__CHILD_ENDING, /* down for good, or until it is restarted; something it held is not over yet */
    TINA__CHILD_DUE,    /* in the restart queue */
    TINA__CHILD_DOWN,   /* a static child that is not restarted */
} tina__child_state;

/* A static child, or a spawned one that is to be restarted. */
typedef struct tina__child_record {
    uint32_t isolate; /* or NONE */
    uint32_t link;    /* the pool's, the restart queue's */
    uint32_t pending; /* operations and descriptors of its last life that are not over */
    uint16_t group;
    uint16_t name;
    uint8_t type;
    uint8_t restart;
    uint8_t state;
    uint8_t args_size;
    bool is_static;
    bool is_restarting;                       /* ENDING: towards a restart */
    _Alignas(16) uint8_t args[TINA_ARGS_MAX]; /* the init may read any struct there */
} tina__child_record;

#endif
