/*
 * What a walk over a whole shard counts. Several walkers add to one census; what
 * they found of a thing from its owners' side and from its pool's side must agree.
 * The shard's thread alone.
 *
 * The walkers believe nothing of what they read: an index is looked at before it is
 * used, a list that is longer than its pool is left.
 */
#ifndef TINA__CORE_CENSUS_H
#define TINA__CORE_CENSUS_H

#include "core/shard.h"

typedef struct tina__census {
    const char *broken; /* the first truth that does not hold, or NULL; static storage */

    /* Isolates. */
    uint32_t live;
    uint32_t dead; /* their slots are given back when a queue reaches them */
    uint32_t queued;

    /* Mail. */
    uint32_t messages;     /* of the pool */
    uint32_t waiting;      /* of these and of the answers, what users have sent */
    uint32_t timer_mail;   /* timers' and watches' slots that are mail, by the mailboxes */
    uint32_t timer_queued; /* and by what they say themselves */

    /* Slots of timers and watches. */
    uint32_t timers, watches;
    uint32_t listed_watches;
    uint32_t armed; /* nodes of the wheel, by those whose they are */

    /* Calls and watches under way, by their callers; what is owed, by the debtors. */
    uint32_t asked_here, asked_there;
    uint32_t owed, owed_here;

    /* I/O, by the isolates and by the pools. */
    uint32_t listed_operations;
    uint32_t owned_operations;
    uint32_t under_way; /* operations */
    uint32_t starved;
    uint32_t file_reads; /* of those under way and not starved */
    uint32_t accepts;    /* of those under way */
    uint32_t requests;   /* that the backend has */
    uint32_t listed_halves, owned_halves;
    uint32_t open;            /* descriptors, also those that came back and whose givers have not heard of it */
    uint32_t given;           /* to other shards */
    uint32_t returned;        /* from there, or lost, by the descriptors */
    uint32_t told_returned;   /* and by those who are told */
    uint32_t closing;         /* closes whose completion is to come */
    uint32_t buffers_holding; /* operations that hold a buffer */
    uint32_t held;            /* operations and descriptors that somebody waits for */

    uint32_t transfers; /* being written, or carried */
    uint32_t sent;      /* to other shards */
    uint32_t left;      /* the same, by a life that is over */

    /* Children's records. */
    uint32_t due;
    uint32_t slots_kept;
    uint64_t pending; /* what the records and groups wait for, each thing once */
} tina__census;

/* Gives is_true back. */
static inline bool tina__census_expect(tina__census *seen, bool is_true, const char *what)
{
    if (!is_true && seen->broken == NULL)
        seen->broken = what;
    return is_true;
}

/* The walkers. Pools are sound. */
void tina__census_timers(const tina__shard *shard, const tina__isolate *isolate, tina__census *seen);
void tina__census_owed(const tina__shard *shard, const tina__isolate *isolate, tina__census *seen);
void tina__census_time(const tina__shard *shard, tina__census *seen); /* all isolates and children were seen */

void tina__census_isolates_io(const tina__shard *shard, const tina__isolate *isolate, tina__census *seen);
void tina__census_io(const tina__shard *shard, tina__census *seen); /* all isolates were seen */

void tina__census_tree(const tina__shard *shard, tina__census *seen); /* isolates and I/O were seen */

#endif
