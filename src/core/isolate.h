/*
 * An isolate as the scheduler sees it, and the type that it is one of.
 *
 * Owned by the shard, used by its thread alone. The scheduler's state of an
 * isolate is one cache line, apart from the user's struct. Everything that an
 * isolate holds hangs off its line in lists linked by index, so that its end
 * costs what it holds.
 *
 * Invariants: an isolate is in its type's ready queue, or on the list of those
 * that yielded, exactly while TINA__ISOLATE_QUEUED is set; a slot whose
 * generation differs from a handle's is another isolate or none; the lists of a slot
 * that has been used and is free are empty.
 */
#ifndef TINA__CORE_ISOLATE_H
#define TINA__CORE_ISOLATE_H

#include "base/bits.h"
#include "base/handle.h"
#include "mem/pool.h"

#include <tina/tina.h>

struct tina__shard;

typedef enum tina__isolate_state {
    TINA__ISOLATE_FREE,
    TINA__ISOLATE_STARTING, /* its init runs */
    TINA__ISOLATE_RECEIVING,
    TINA__ISOLATE_IN_IO,   /* awaited: a done node, see core/operation.h */
    TINA__ISOLATE_IN_CALL, /* awaited: the call's timer slot */
    TINA__ISOLATE_REFUSED, /* its operation or call failed at once; awaited and refused_tag say how */
    TINA__ISOLATE_YIELDED,
} tina__isolate_state;

enum {
    TINA__ISOLATE_QUEUED = 1,   /* in the ready queue, or on the list of those that yielded */
    TINA__ISOLATE_WOKEN = 2,    /* what it is parked for has come */
    TINA__ISOLATE_SHUTDOWN = 4, /* the notice of the shutdown is due */
    TINA__ISOLATE_REPEATS = 16, /* was told of a refusal while the notice of the shutdown was due */
    TINA__ISOLATE_DEAD = 8,     /* ended while it was queued: the slot is given back when the queue reaches it */
    TINA__ISOLATE_STOPPED = 32, /* asked to end by tina_stop_child: it is not restarted */
};

typedef struct tina__isolate {
    uint32_t generation;
    uint8_t state; /* tina__isolate_state. In another word than flags: read as one, they would wait for both to be written */
    uint8_t type;
    uint16_t group;                  /* index in the shard's groups */
    uint32_t inbox_head, inbox_tail; /* mail, linked by message.link */
    uint16_t inbox_count;            /* of it, what counts against the mailbox's capacity */
    uint8_t flags;
    uint8_t refused_tag;  /* REFUSED: what failed */
    uint32_t ready_next;  /* slot; while FREE: the pool's link */
    uint32_t operations;  /* list of all its operations */
    uint32_t done_tail;   /* finished ones, a ring linked by done_next; the tail's next is the first */
    uint32_t descriptors; /* list of the halves it owns */
    uint32_t timers;      /* list of its timers, calls under way and watches */
    uint32_t awaited;
    uint32_t owed;                     /* list of the calls it has not answered, and of those who watch it */
    uint32_t transfers;                /* list of those it is writing */
    uint32_t child;                    /* index in the shard's children, or NONE */
    uint32_t live_next, live_previous; /* its group's isolates, in the order in which they were started */
} tina__isolate;
TINA_STATIC_ASSERT(sizeof(tina__isolate) == TINA__CACHE_LINE, "an isolate is one line");

/* The message of a type's whose wait is measured, see core/measure.h. */
typedef struct tina__wait {
    uint64_t since_ns;
    uint32_t index; /* in the shard's mail; NONE: none */
    uint32_t skip;  /* how many messages pass before one is chosen */
} tina__wait;

/* What is counted of a type, for any thread to read, and outlives a life of its shard's; and what that takes. */
typedef struct tina__type_record {
    tina_type_stats stats;
    tina__wait wait;
    uint32_t stride; /* in a measured tick, one handler call in so many is timed, and stands for them */
    uint32_t until;  /* how many come before it */
} tina__type_record;

typedef struct tina__type {
    /* What dispatch reads, first. */
    tina_handler_fn handler;
    uint8_t *structs;        /* the users' structs, stride apart */
    tina__isolate *isolates; /* this type's slots */
    size_t stride;           /* the struct, and a red zone behind it */
    uint32_t ready_head, ready_tail;
    uint32_t budget; /* dispatches left in budget_tick */
    uint32_t budget_per_tick;
    uint64_t budget_tick;
    uint64_t *ready_word; /* of the shard's ready types, the one with this type's bit */
    uint64_t ready_bit;
    uint64_t handle_base;  /* its isolates' handles without slot and generation */
    uint32_t first;        /* index of slot 0 among all the shard's isolates */
    uint32_t mailbox_room; /* mailbox_capacity, or 0: messages take the long way, see core/measure.h */
    uint8_t id;
    uint8_t containment; /* tina_containment */

    uint32_t mailbox_capacity;
    uint32_t scratch_max;
    uint32_t working_size;
    uint8_t *working; /* working_size for each slot, with its header */
    size_t working_stride;
    size_t size;
    uint32_t restarting; /* children that wait for a restart: that many slots are theirs */
    tina_init_fn init;
    tina__pool pool;
    const char *name;
    uint64_t filling_bits[2]; /* of the two words before a red zone, what is not the struct's: see core/damage.c */
    tina__type_record *record;
    uint8_t unused[16]; /* types lie a power of two apart: each message looks two of them up */
} tina__type;
TINA_STATIC_ASSERT(sizeof(tina__type) == 256, "types lie a power of two apart");

#define TINA__RED_ZONE       16 /* bytes at least behind each isolate's struct */
#define TINA__WORKING_HEADER 16 /* bytes before each isolate's working memory: a red zone, and how much of it is in use */
#define TINA__REFUSED_NO_FD  0xFFFFFFu /* REFUSED: in place of a descriptor's index */

static inline uint32_t tina__isolate_slot(const tina__type *type, const tina__isolate *isolate)
{
    return (uint32_t)(isolate - type->isolates);
}

static inline void *tina__isolate_self(const tina__type *type, uint32_t slot) { return type->structs + type->stride * slot; }

/* How much of its working memory is in use. The memory begins behind this word. */
static inline uint32_t *tina__isolate_working(const tina__type *type, uint32_t slot)
{
    uint8_t *header = type->working + type->working_stride * slot;
    return (uint32_t *)(void *)(header + TINA__WORKING_HEADER) - 1;
}

/* How an isolate ended. */
typedef struct tina__ending {
    uint8_t end; /* tina_end */
    uint8_t reason;
} tina__ending;

typedef struct tina__start {
    const void *args;
    size_t args_size;
    tina_handle parent; /* who spawns; none: the supervisor */
    uint64_t fd;        /* handed over; 0: none */
    uint8_t halves;     /* of it, as bits: 1 << TINA__READ, 1 << TINA__WRITE */
    uint8_t type;
    uint16_t group;
    uint32_t child; /* or NONE */
} tina__start;

/*
 * Takes a slot and runs the init in a frame of its own. TINA_OK: *started lives;
 * TINA_ARENA_FULL; TINA_INIT_FAILED: it has ended already (*end says how) and
 * what it was handed is its parent's again. Says nothing to the supervisor.
 */
tina_status tina__isolate_start(struct tina__shard *shard, const tina__start *start, tina_handle *started, uint8_t *end);

/*
 * The end of an isolate: all that it holds is given back, or left with the
 * runtime until the kernel is done with it; who watched it is told the end
 * (tina_end) and reason. Its slot is free, unless it is queued.
 */
void tina__isolate_end(struct tina__shard *shard, tina__isolate *isolate, uint8_t end, uint8_t reason);

/* The same, and its supervisor learns of it. Not while it runs. */
void tina__isolate_exit(struct tina__shard *shard, tina__isolate *isolate, uint8_t end, uint8_t reason);

#endif
