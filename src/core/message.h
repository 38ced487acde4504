/*
 * What the runtime keeps in a message, and where messages lie.
 *
 * A shard's mail is one array: message_count messages that sends take from a
 * pool, then a slot for each timer or call. The link of a mailbox is an index in
 * it, so an expired timer and the answer to a call are mail without taking a
 * message: they can't be starved.
 */
#ifndef TINA__CORE_MESSAGE_H
#define TINA__CORE_MESSAGE_H

#include "mem/timer_wheel.h"

#include <tina/types.h>

enum {                              /* message.flags */
       TINA__MESSAGE_COUNTED = 1,   /* a user's: in the ledger */
       TINA__MESSAGE_CALL = 2,      /* wants an answer */
       TINA__MESSAGE_ANSWER = 4,    /* in a channel: belongs into the caller's slot */
       TINA__MESSAGE_WITHDRAWN = 8, /* in a channel: the call timed out, its place is wanted back */
};

#define TINA__TAG_VOID 0 /* in a channel: begun and not committed */

typedef enum tina__timer_use { /* message.reserved of a timer slot */
                               TINA__TIMER_FREE,
                               TINA__TIMER_ONCE,
                               TINA__TIMER_REPEAT,
                               TINA__TIMER_CALL,   /* until its answer or its failure is mail */
                               TINA__TIMER_ANSWER, /* is mail, or being handled */
                               TINA__TIMER_ENDING, /* being handled for the last time */
} tina__timer_use;

/* A timer or a call: a message whose payload holds the book-keeping until it becomes mail. */
typedef struct tina__timer_slot {
    tina_handle source;
    tina_handle destination;
    uint32_t correlation;
    uint32_t link;
    tina_tag tag;
    uint16_t flags;
    uint16_t size;
    uint16_t use; /* tina__timer_use */
    tina__timer_node node;
    uint64_t period_ns;
    tina_handle target;      /* a call's */
    uint32_t next, previous; /* the owner's timers */
    uint32_t isolate;        /* the owner */
    uint32_t place;          /* a remote call's, in the peer's table */
    uint32_t mail_previous;  /* in the mailbox: what stands before it, unless it is the first */
    bool is_queued;          /* in the mailbox */
    uint8_t unused[27];
} tina__timer_slot;
TINA_STATIC_ASSERT(sizeof(tina__timer_slot) == sizeof(tina_message), "a timer is a message");
TINA_STATIC_ASSERT(offsetof(tina__timer_slot, use) == offsetof(tina_message, reserved), "the headers are the same");
TINA_STATIC_ASSERT(offsetof(tina__timer_slot, node) == offsetof(tina_message, payload), "the payload holds the rest");

typedef enum tina__timer_kind { TINA__NODE_TIMER, TINA__NODE_OPERATION } tina__timer_kind; /* tina__timer_node.kind */

#endif
