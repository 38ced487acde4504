/*
 * The supervision tree's data: groups, their budgets, and the records of their
 * children. Owned by the shard; made by spec/build.c. The policy is supervise.c.
 *
 * Groups are numbered from the root inwards, each before those inside it, and the
 * records of their static children stand in that order: so the groups inside one,
 * and all their records, are those right behind its own. The last group is of those
 * that nobody supervises. Behind the static children's records are those of spawned
 * children that are to be restarted.
 */
#ifndef TINA__CORE_GROUP_H
#define TINA__CORE_GROUP_H

#include "base/handle.h"
#include "mem/timer_wheel.h"

#include <tina/ctx.h>
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

#define TINA__GROUP_ROOT 0
#define TINA__GROUP_NONE UINT16_MAX /* no index */

static inline uint16_t tina__group_unsupervised(uint32_t group_count) { return (uint16_t)(group_count - 1); }

typedef enum tina__group_state {
    TINA__GROUP_DOWN,     /* nobody in it lives, nobody is started */
    TINA__GROUP_WAITING,  /* to start again from its cursor on, when what was ended there is over and the back-off too */
    TINA__GROUP_STARTING, /* the child at its cursor is to start, or on its way */
    TINA__GROUP_UP,       /* all static children were started, whatever became of them */
} tina__group_state;

typedef struct tina__group {
    uint16_t name;
    uint16_t parent;      /* or NONE */
    uint16_t last_inside; /* the last of the groups inside it; itself: there are none */
    uint8_t strategy;     /* tina_strategy */
    uint8_t state;        /* tina__group_state */
    bool is_queued;       /* among what is due */
    bool may_begin_again; /* its parent's policies allow that it is started more than once */
    uint32_t record;      /* its own, among its parent's children; or NONE */
    uint32_t first_child, static_count;
    uint32_t cursor; /* of the static children: see state */
    uint32_t dynamic_max, dynamic_count;
    uint32_t pending;              /* operations and descriptors of the dead in it and inside it that are not over */
    uint32_t live_head, live_tail; /* isolates, in the order in which they were started */
    uint32_t returning;            /* its children in that state */
    uint32_t link;                 /* of what is due */
    uint32_t due_head, due_tail;   /* the root's: what is to start, in the whole tree */
    uint64_t backoff_ns, backoff_max_ns;
    tina__timer_node backoff;
    tina__budget budget;
} tina__group;

typedef enum tina__child_state {
    TINA__CHILD_FREE,
    TINA__CHILD_DOWN,      /* a static child that is down, until its group starts it again, if ever */
    TINA__CHILD_PLANNED,   /* a static child that its group will start when its turn comes */
    TINA__CHILD_UP,        /* its init has begun; a group: it has begun to start */
    TINA__CHILD_RETURNING, /* is started again by itself, when what it held is over and the back-off too */
    TINA__CHILD_LEAVING,   /* a spawned child that is down for good; something it held is not over yet */
} tina__child_state;

/* A static child, an isolate or a group; or a spawned one that is to be restarted. */
typedef struct tina__child_record {
    uint32_t isolate;        /* or NONE */
    uint32_t link;           /* the pool's, that of what is due */
    uint32_t next, previous; /* RETURNING: of its group's */
    uint32_t pending;        /* operations and descriptors of its last life that are not over */
    uint16_t group;
    uint16_t nested; /* the group that it is, or NONE */
    uint16_t name;
    uint8_t type;
    uint8_t restart; /* tina_restart, never the default */
    uint8_t state;   /* tina__child_state */
    uint8_t args_size;
    bool is_static;
    bool is_queued;   /* among what is due */
    bool keeps_slot;  /* of its type, while it is not up */
    bool was_started; /* since the shard began */
    tina_handle who;  /* its latest life */
    tina__timer_node backoff;
    _Alignas(16) uint8_t args[TINA_ARGS_MAX]; /* the init may read any struct there */
} tina__child_record;

#endif
