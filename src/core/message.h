/*
 * What the runtime keeps in a message, and where messages lie.
 *
 * A shard's mail is one array: message_count messages that sends take from a
 * pool, then a slot for each timer or call, then one for each watch. The link of a
 * mailbox is an index in it, so an expired timer, the answer to a call and the
 * notice of an end are mail without taking a message: they can't be starved.
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
       TINA__MESSAGE_WATCH = 16,    /* in a channel: wants to know of its receiver's end */
       TINA__MESSAGE_GIFT = 32,     /* in a channel: carries a descriptor of the system's, or answers one; see core/gift.h */
       TINA__MESSAGE_FD = 128,      /* in a mailbox: its tag is TINA_TAG_FD */
       TINA__MESSAGE_TIMED = 256,   /* in a mailbox: its wait is measured, see core/measure.h */
       TINA__MESSAGE_TRANSFER = 64, /* in a channel: names a transfer of its sender's shard, or answers one */
};

/* The tags of operations, known ones and not: a completion of any of them is taken for nothing else. */
static inline bool tina__tag_is_io(tina_tag tag) { return tag >= 0x10 && tag < 0x20; }

#define TINA__TAG_VOID 0 /* in a channel: begun and not committed */

typedef enum tina__timer_use {
    TINA__TIMER_FREE,
    TINA__TIMER_ONCE,
    TINA__TIMER_REPEAT,
    TINA__TIMER_CALL,   /* until its answer or its failure is mail */
    TINA__TIMER_ANSWER, /* is mail, or being handled */
    TINA__TIMER_ENDING, /* a watch's notice, which is being handled */
    TINA__TIMER_GRACE,  /* until its owner, which was asked to end, is ended */
    TINA__TIMER_WATCH,  /* a watch, until its notice is mail */
    TINA__TIMER_DOWN,   /* its notice is mail */
} tina__timer_use;

/*
 * A timer, a call or a watch: a message that holds the book-keeping in its header
 * and its payload until it is one. A timer that expires never becomes one: what its
 * owner gets is a copy. What its start and its cancel touch is in the first line: a
 * million timers are in no cache, so it is lines that they cost.
 */
typedef struct tina__timer_slot {
    uint32_t next, previous; /* the owner's timers. FREE: next is the slot that was freed some time later, or any other */
    tina_handle destination; /* the owner */
    uint32_t isolate;        /* the owner's index */
    uint32_t link;
    tina_tag tag;
    uint16_t flags;
    uint16_t size;
    uint8_t use;    /* tina__timer_use */
    bool is_queued; /* in the mailbox */
    tina__timer_node node;
    uint64_t period_ns;
    tina_handle target;                    /* a call's or a watch's */
    uint32_t overruns;                     /* of one that repeats: periods that its next message makes up for */
    uint32_t place;                        /* a remote call's or watch's, in the peer's table */
    uint32_t mail_previous;                /* in the mailbox: what stands before it, unless it is the first */
    uint32_t bucket_next, bucket_previous; /* a watch's */
    uint32_t life;                         /* DOWN: with which life of the target's shard it came; 0: with none */
    tina_tag notice;                       /* DOWN: what the slot becomes when that is handled; 0: nothing */
    uint8_t unused[22];
} tina__timer_slot;
TINA_STATIC_ASSERT(sizeof(tina__timer_slot) == sizeof(tina_message), "a timer is a message");
TINA_STATIC_ASSERT(offsetof(tina__timer_slot, destination) == offsetof(tina_message, destination),
                   "the headers are the same");
TINA_STATIC_ASSERT(offsetof(tina__timer_slot, link) == offsetof(tina_message, link), "the headers are the same");
TINA_STATIC_ASSERT(offsetof(tina__timer_slot, use) == offsetof(tina_message, reserved), "the headers are the same");
TINA_STATIC_ASSERT(offsetof(tina__timer_slot, node) == offsetof(tina_message, payload), "the payload holds the rest");

typedef enum tina__timer_kind { /* tina__timer_node.kind: whose it is; owner is its index */
                                TINA__NODE_TIMER,
                                TINA__NODE_OPERATION,
                                TINA__NODE_CHILD, /* a record that backs off */
                                TINA__NODE_GROUP, /* a group that does */
} tina__timer_kind;

#endif
