/*
 * The flight recorder: a ring of the shard's latest events, always there. Written
 * by the shard's thread alone, three words an event; an old one is written over.
 *
 * One mechanism for all that wants to know what happened in which order: the dump
 * that goes with a fault, the stories that tests compare, and whatever else reads
 * it. An event says what, to whom (an isolate of this shard), which tag or status,
 * and one word more.
 */
#ifndef TINA__CORE_TRACE_H
#define TINA__CORE_TRACE_H

#include "base/bits.h"
#include "base/handle.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <tina/types.h>

/* Behind each, what is in tag, detail and value besides who. An isolate is a handle's bits. */
typedef enum tina__event_kind {
    TINA__EVENT_NONE,
    TINA__EVENT_DISPATCH, /* tag; detail: payload size; value: from whom, or an operation's tina_status */
    TINA__EVENT_INIT,     /* detail: its name, or 0; value: who spawned it, or 0 */
    TINA__EVENT_UP,       /* its init has run */
    TINA__EVENT_END,      /* tag: tina_end; detail: reason */
    TINA__EVENT_REFUSED,  /* a send or call; tag; detail: tina_status; value: to whom */
    TINA__EVENT_ARRIVED,  /* refused on arrival; tag; detail: tina_status; value: from whom */
    TINA__EVENT_IO,       /* submitted; tag: the operation; value: its tina_fd's bits */
    TINA__EVENT_FAULT,    /* tag: tina__fault_kind; detail: signal; value: pc */
    TINA__EVENT_RESTART, /* a child, as it was, is to start again; tag: 1 where a group is, whose index is detail; value: after so many ns */
    TINA__EVENT_GROUP_END, /* a group is ended; value: its index */
    TINA__EVENT_ESCALATE,  /* a group is past its budget; value: its index */
    TINA__EVENT_GROUP_UP,  /* all static children of a group were started; value: its index */
    TINA__EVENT_STATE,     /* tag: tina_shard_state */
    TINA__EVENT_WIPE,      /* all that the shard held is ended; tag: tina__wipe */
    TINA__EVENT_PEER,      /* another shard began anew; tag: tina_shard_state; value: its index */
    TINA__EVENT_DOWN,      /* who is told of an end; tag: tina_end; value: who ended */
    TINA__EVENT_SENT,      /* accepted from it; tag; detail: payload size; value: to whom. Only where is_detailed */
    TINA__EVENT_IO_OVER,   /* an operation; tag; detail: tina_status; value: bytes done. Only where is_detailed */
    TINA__EVENT_LOST,      /* on the way to it; tag; value: from whom. Only where is_detailed, by who made it happen */
    TINA__EVENT_COUNT,
} tina__event_kind;

/* who: the handle, with the kind in place of the shard. */
typedef struct tina__event {
    uint64_t kind_and_who;
    uint32_t tick;
    uint16_t tag;
    uint16_t detail;
    uint64_t value;
} tina__event;
TINA_STATIC_ASSERT(sizeof(tina__event) == 24, "an event is three words");

typedef struct tina__trace {
    tina__event *next;   /* where the next event goes, unless that is stop */
    tina__event *stop;   /* the ring's end, or what is not to be written yet */
    tina__event *events; /* mask + 1 of them */
    uint64_t passed;     /* events of earlier rounds of the ring */
    uint32_t mask;
    bool is_detailed; /* also events that a flight recorder in production has no room for */
    /* Called before the event of that number is added: for who has to see every event before it is written over. */
    uint64_t full_at; /* UINT64_MAX: nobody; set by tina__trace_stop_at */
    void (*on_full)(void *user);
    void *user;
    /* The dump, which another thread reads while is_dumping: a copy of the latest events. */
    uint32_t dump_count;
    uint64_t dump_first;     /* number of the first of them */
    tina__event *dump;       /* mask + 1 of them */
    _Atomic bool is_dumping; /* set by the shard (release: the copy is there), cleared by the reader (release: it is read) */
} tina__trace;

/* events and dump: count of each, a power of two. Once: a reader of dumps may be at it from then on. */
void tina__trace_init(tina__trace *trace, tina__event *events, tina__event *dump, uint32_t count);

/* Events in all. */
static inline uint64_t tina__trace_written(const tina__trace *trace)
{
    return trace->passed + (uint64_t)(trace->next - trace->events);
}

/* on_full is called before the event of that number is added. It asks for another one. */
void tina__trace_stop_at(tina__trace *trace, uint64_t number);

/* At stop: the place of the next event. */
tina__event *tina__trace_go_on(tina__trace *trace);

static inline void tina__trace_add(tina__trace *trace, uint64_t tick, tina__event_kind kind, tina_handle who, uint16_t tag,
                                   uint16_t detail, uint64_t value)
{
    tina__event *event = trace->next;
    if (tina__unlikely(event == trace->stop))
        event = tina__trace_go_on(trace);
    trace->next = event + 1;
    event->kind_and_who = (uint64_t)kind << 56 | (who.bits << 8 >> 8);
    tina__pack_u32x2(&event->tick, (uint32_t)tick, (uint32_t)detail << 16 | tag); /* and tag, detail */
    event->value = value;
}

/* The same, where the trace is detailed. */
static inline void tina__trace_detail(tina__trace *trace, uint64_t tick, tina__event_kind kind, tina_handle who,
                                      uint16_t tag, uint16_t detail, uint64_t value)
{
    if (trace->is_detailed)
        tina__trace_add(trace, tick, kind, who, tag, detail, value);
}

/* Copies the latest `most` events for whoever reads dumps. False: the last copy has not been read yet. */
bool tina__trace_dump(tina__trace *trace, uint32_t most);

/* The event of that number, from 0; NULL: it is written over, or has not happened. */
const tina__event *tina__trace_at(const tina__trace *trace, uint64_t number);

static inline tina__event_kind tina__event_kind_of(const tina__event *event)
{
    return (tina__event_kind)(event->kind_and_who >> 56);
}
static inline uint32_t tina__event_type(const tina__event *event) { return (uint32_t)(event->kind_and_who >> 48) & 0xFF; }
static inline uint32_t tina__event_slot(const tina__event *event) { return (uint32_t)(event->kind_and_who >> 28) & 0xFFFFF; }
/* Nobody: the event is the shard's own. */
static inline bool tina__event_is_shards(const tina__event *event) { return event->kind_and_who << 8 == 0; }

/*
 * One event in words, such as "tick 17: worker/3 handles TINA_TAG_TIMER", whatever
 * its bytes are. shard: whose event it is; isolates of others are named with theirs.
 * type_names: by type. At most size bytes, with the final zero. Returns the length
 * of the whole text without it. size 0: text may be NULL.
 */
size_t tina__event_format(const tina__event *event, uint8_t shard, const char *const *type_names, uint32_t type_count,
                          char *text, size_t size);

/* "TINA_TAG_TIMER", "tag 0x100". text, size and the result as above. */
size_t tina__tag_format(tina_tag tag, char *text, size_t size);

#endif
