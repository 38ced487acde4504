/*
 * A round: the steps that a connection asks at once, in the order of their commands, dealt
 * out to lots, one for each partition that is asked; and their answers, put back in order.
 * Pure: who asks, and when, is the connection's.
 *
 * A partition answers the first steps of its lot, and perhaps not all of them. So there may
 * be a gap, behind which another lot's answers have come: those are held until the gap is
 * filled, and what they answer is not asked again.
 */
#ifndef KV_LOTS_H
#define KV_LOTS_H

#include "batch.h"

enum {
    LOTS_MAX = 8,              /* partitions that are asked at once */
    LOTS_HELD_MAX = 16 * 1024, /* bytes of answers that are held */
    LOTS_ROOM_MIN = 256,       /* bytes that each lot may be answered with, at least */
    LOTS_ANYWHERE = UINT8_MAX, /* the partition of a lot that any may answer */
};

typedef struct kv_lot {
    uint32_t number; /* of its request, which comes back */
    uint16_t count;  /* of its steps */
    uint8_t partition;
    bool is_open; /* its answers are to come */
} kv_lot;

/* What is known of a step. */
typedef struct lots_step {
    uint16_t at, size; /* of its answer, among those that are held */
    uint8_t lot;
    bool is_held;
} lots_step;

typedef struct kv_lots {
    uint32_t count;      /* of steps */
    uint32_t said;       /* steps: the client has their answers, or is being sent them */
    uint32_t held_count; /* steps behind those whose answers have come */
    uint32_t held_size;  /* bytes */
    uint32_t lot_count, open_count;
    kv_lot lots[LOTS_MAX];
    lots_step steps[BATCH_STEPS_MAX];
} kv_lots;

/* No steps, no lots. */
void lots_begin(kv_lots *me);

/* The lot of that partition, which may be one of which it was not known yet. NULL: there is none. */
kv_lot *lots_of(kv_lots *me, uint8_t partition);

/* A new one. NULL: there are as many as can be. */
kv_lot *lots_open(kv_lots *me, uint8_t partition);

/* The n-th step is the next of that lot: the one behind all others, or one of a gap. */
void lots_add(kv_lots *me, kv_lot *lot, uint32_t n);

/* How many bytes the answers to a lot of several may be, so that those of all of them can be held: more where it has more steps. */
uint32_t lots_room_of(const kv_lots *me, const kv_lot *lot);

/* The lot whose answers are to come under that number. NULL: there is none. */
kv_lot *lots_find(kv_lots *me, uint32_t number);

/* Nothing more comes to a lot. */
void lots_close(kv_lots *me, kv_lot *lot);

/*
 * Some answers to a lot, which are held from now on: to its first done steps, one behind
 * the other, with their sizes. held: LOTS_HELD_MAX bytes. False: there can't be so many.
 */
bool lots_take(kv_lots *me, kv_lot *lot, uint32_t done, const uint16_t *sizes, const uint8_t *bytes, size_t size,
               uint8_t *held);

/* So many steps from the gap on are answered otherwise. */
void lots_pass(kv_lots *me, uint32_t done);

/* What is held ahead of a gap is written to out, at most LOTS_HELD_MAX bytes, and is said with that. Returns the bytes. */
uint32_t lots_say(kv_lots *me, const uint8_t *held, uint8_t *out);

/* Steps that nobody has answered, from the first that is not said to the next that is held. */
uint32_t lots_gap(const kv_lots *me);

/* Whether the answer to the first that is not said is held. */
bool lots_has_next(const kv_lots *me);

/* No answer to any lot is waited for any more; lots that are opened next are of what is missing. */
void lots_drop(kv_lots *me);

/* Nothing of it is asked or held. Steps behind those that are said are as if they had never been in it. */
static inline bool lots_are_over(const kv_lots *me) { return me->open_count == 0 && me->held_count == 0; }

#endif
