/*
 * Messages that were sent and wait for their dispatch, for the arrows of a timeline.
 * Nothing of a message says which dispatch is its own: it is the first by its
 * sender, its receiver and its tag. Holds the latest sends; older ones have missed
 * their dispatch. One thread.
 */
#ifndef TINA__SIM_SENDS_H
#define TINA__SIM_SENDS_H

#include "base/handle.h"

#define TINA__SENDS_MAX 65536

typedef struct tina__sent {
    tina_handle source;
    tina_handle to; /* or a name */
    uint64_t at_ns;
    uint32_t thread_id;    /* of the timeline's */
    uint32_t older, newer; /* in its bucket */
    tina_tag tag;
    bool waits;
} tina__sent;

typedef struct tina__sends_bucket {
    uint32_t oldest, newest;
} tina__sends_bucket;

typedef struct tina__sends {
    uint64_t count; /* in all */
    tina__sent sent[TINA__SENDS_MAX];
    tina__sends_bucket buckets[TINA__SENDS_MAX];
} tina__sends;

/* Who handles a message. */
typedef struct tina__sends_receiver {
    tina_handle self;
    uint16_t name;          /* of the child that it is; 0: none */
    uint64_t heir_since_ns; /* what was sent to a name before that waited for another, and has ended with it */
} tina__sends_receiver;

/* Zeroed before. */
void tina__sends_init(tina__sends *sends);

void tina__sends_add(tina__sends *sends, tina_handle source, tina_handle to, tina_tag tag, uint64_t at_ns,
                     uint32_t thread_id);

/* The send of a message that is handled now: it waits no longer. NULL: it is not known. Valid until the next add. */
const tina__sent *tina__sends_take(tina__sends *sends, tina_handle source, const tina__sends_receiver *receiver,
                                   tina_tag tag);

/* A message will never be handled. */
void tina__sends_forget(tina__sends *sends, tina_handle source, tina_handle to, tina_tag tag);

#endif
