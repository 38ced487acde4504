/*
 * A system of two shards in which, after a while, everything waits for something
 * that does not come: a call, a watch, an accept, a receive, a send, mail that
 * nobody reads, a timer, a restart. On the first shard nothing moves any more, so
 * that a test can damage it and nobody but the checkers notices. On the other a
 * heart keeps the rounds coming.
 */
#ifndef TINA_TEST_STILL_LIFE_H
#define TINA_TEST_STILL_LIFE_H

#include "sim/world.h"

#include <tina/tina.h>

/* Who is there: the names of the first shard's children; SILENT and ECHO are on the other, too. */
enum {
    LIFE_SILENT = 1, /* is asked, and does not answer: by the caller, the busy one, the asker, the session; and from there */
    LIFE_ECHO,       /* answers at once */
    LIFE_CALLER,     /* is parked in a call to SILENT here */
    LIFE_BUSY,       /* is parked in a call to SILENT there; has mail of each kind, an operation and a close that are over */
    LIFE_FRIEND,     /* has sent it the mail */
    LIFE_ASKER,      /* waits for calls here and there, watches here and there, has timers, writes a transfer */
    LIFE_LISTENER,   /* is parked in an accept; has spawned the session, temporary, that has received and not looked */
    LIFE_CLIENT,     /* is parked in a receive with a deadline, and sends more than is taken */
    LIFE_SPAWNER,    /* has a child that waits for its restart */
    LIFE_FIRST,      /* these two in a group of their own, which starts in order */
    LIFE_SECOND,
    LIFE_NAMES,
};
enum { LIFE_GROUP = 1 }; /* the group's name; its index is the same */

/* Plants damage, or just looks. Outside of any tick. */
typedef void (*life_fn)(tina__world *world);

/* Runs; after ROUNDS_STILL rounds plant is called, once, and the next check comes a round later. NULL: nothing is planted. */
#define ROUNDS_STILL 60
void still_life_run(life_fn plant, tina_sim_report *report);

/* One alarm: what is done, and what is said of it. */
typedef struct life_alarm {
    const char *name;
    life_fn plant;
    const char *expected; /* the end of the violation */
} life_alarm;

/* Runs a test for each of the alarms, as cmocka's run of a group. Returns how many failed. */
int still_life_ring(const char *group, const life_alarm *alarms, size_t count);

/* ---- For those who plant: of the first shard ---- */

tina__shard *life_shard(tina__world *world);
tina__isolate *life_isolate(tina__world *world, uint16_t name);
tina__child_record *life_record(tina__world *world, uint16_t name);
tina__isolate *life_session(tina__world *world);
tina__timer_slot *life_slot(tina__world *world, uint32_t index);
/* The first slot in use of that kind; there is one. */
uint32_t life_timer_used(tina__world *world, tina__timer_use use);
uint32_t life_operation_of(tina__world *world, uint16_t name, tina_tag kind);

#endif
