/*
 * The shard: everything that one thread owns, and its tick.
 *
 * A shard is a pure machine: time comes as an argument, I/O through the
 * backend's table, other shards through channels and doorbells. Its thread, or
 * the simulator, turns it with tina__shard_tick. Nothing here allocates, blocks
 * or asks the operating system for anything.
 */
#ifndef TINA__CORE_SHARD_H
#define TINA__CORE_SHARD_H

#include "base/prng.h"
#include "base/tracepoint.h"
#include "core/group.h"
#include "core/isolate.h"
#include "core/message.h"
#include "core/operation.h"
#include "core/probe.h"
#include "core/trace.h"
#include "mem/doorbell.h"
#include "mem/log_ring.h"
#include "mem/mpsc.h"
#include "mem/pool.h"
#include "mem/spsc.h"
#include "os/trap.h"

#include <tina/tina.h>

#define TINA__INIT_DEPTH_MAX  8    /* inits in one another */
#define TINA__STAGE_MAX       64   /* messages carried by effects that are made and not yet returned, over all depths */
#define TINA__EXPIRE_MAX      4096 /* timers that become mail in one tick */
#define TINA__TIMERS_AHEAD    16   /* a free slot knows of one that was freed so many after it */
#define TINA__PUBLISH_EVERY   64   /* messages to one shard before they are published without waiting for the tick's end */
#define TINA__STALL_TICKS_MAX 2    /* how long a full receiver that is about to run holds back its channel */
#define TINA__COLLECT_MAX     64   /* completions taken from the backend at once */
#define TINA__STARVED_LISTS   2    /* operations that wait for a buffer: those on peers, and reads of files */

/* ---- What shards see of each other ---------------------------------------- */

/* One for each shard, in memory that all of them read. */
typedef struct tina__shard_public {
    _Alignas(TINA__CACHE_LINE) tina__doorbell bell;
    _Atomic uint32_t
        life; /* grows whenever all that the shard held ended at once, see core/peer.h; written by the shard alone */
    _Atomic uint8_t state; /* tina_shard_state; written by the shard alone */
    char line[TINA__CACHE_LINE - sizeof(uint32_t) - 1];
    const tina__type_record *types; /* what is counted of its types, which any thread may read. Set before it runs */
    _Atomic uint64_t idle;          /* see core/stats.h; written by the shard alone */
    _Atomic uint64_t idle_told;     /* the most of it that was ever told. Any thread */
    _Atomic uint64_t posts_refused; /* since its inbox was full. Any thread */
    tina__guard guard;              /* of the shard's thread */
} tina__shard_public;

typedef enum tina__stop {
    TINA__STOP_NOT,
    TINA__STOP_GRACEFUL,
    TINA__STOP_NOW,     /* do not wait for isolates */
    TINA__STOP_ABANDON, /* nor for other shards */
} tina__stop;

/* What all shards of a system share. Set before they run, apart from the words that say otherwise. */
typedef struct tina__shared {
    tina__shard_public *shards;
    uint8_t shard_count;
    void *user;
    uint64_t shutdown_timeout_ns;
    tina__doorbell *helper_bell;   /* the log has news */
    bool has_log;                  /* somebody reads it */
    const tina__probe *probe;      /* NULL: none */
    uint64_t (*clock_ns)(void);    /* for what is measured within a tick; NULL: no time passes there */
    uint8_t on_abort;              /* tina_suspect, never the default */
    uint8_t on_foreign_fault;      /* tina_suspect, never the default */
    _Atomic uint32_t revive;       /* how often quarantined shards were asked back. Any thread */
    _Atomic uint32_t stop;         /* tina__stop; only grows. Any thread */
    _Atomic uint32_t finish_phase; /* how many shards have finished, summed over the two rounds of the end */
} tina__shared;

/* ---- The parts of a shard -------------------------------------------------- */

typedef enum tina__place_state {
    TINA__PLACE_FREE,
    TINA__PLACE_WAITING,   /* for the answer */
    TINA__PLACE_LAPSED,    /* the call is over; listed, to be withdrawn */
    TINA__PLACE_ANSWERED,  /* the same, and the answer came meanwhile */
    TINA__PLACE_WITHDRAWN, /* the answer, or the word that there will be none, is on its way */
} tina__place_state;

typedef enum tina__place_kind {                    /* what waits for the answer */
                                TINA__PLACE_TIMER, /* the slot of a call or a watch */
                                TINA__PLACE_GIFT,  /* a descriptor that was given */
                                TINA__PLACE_TRANSFER,
} tina__place_kind;

/* An outgoing request's place in the channel back. */
typedef struct tina__place {
    uint32_t waiter; /* WAITING: index, by kind */
    uint32_t link;   /* the pool's, or the list's of those to be withdrawn */
    uint32_t sequence;
    uint8_t state; /* tina__place_state */
    uint8_t kind;  /* tina__place_kind */
    uint8_t unused[2];
} tina__place;

/* A call that an isolate of this shard was given and has not answered, or a watch of it. */
typedef struct tina__owed {
    tina_handle source; /* the caller */
    uint32_t call;      /* its number */
    uint32_t isolate;   /* who owes; NONE: nothing is owed here */
    uint32_t next, previous;
    bool is_watch; /* answered by the end of the isolate alone */
} tina__owed;

/* Another shard, seen from this one. */
typedef struct tina__peer {
    tina__spsc *out;                 /* written by this shard */
    tina__spsc *in;                  /* read by this shard */
    const struct tina__shard *shard; /* for its counters, which any thread may read */
    const uint8_t *transfers;        /* its memory for them: read where a message names one */
    tina__place *places;
    tina__pool place_pool;
    uint32_t lapsed_head, lapsed_tail; /* LAPSED and ANSWERED places */
    uint32_t owed_first;               /* index of this peer's first among the shard's owed */
    uint32_t life;                     /* the other's, as far as this shard has dealt with it */
    bool is_estranged;                 /* it has not dealt with this shard's own life yet: see core/peer.h */
    uint8_t stalled;                   /* ticks that a full receiver has held back `in` */
} tina__peer;

typedef enum tina__transfer_state {
    TINA__TRANSFER_FREE,
    TINA__TRANSFER_WRITTEN, /* by its isolate */
    TINA__TRANSFER_CARRIED, /* by a message here */
    TINA__TRANSFER_SENT,    /* to another shard, which has not answered */
    TINA__TRANSFER_LEFT,    /* the same, by a life of this shard's that is over */
} tina__transfer_state;

typedef struct tina__transfer_record {
    uint32_t generation;
    uint32_t isolate; /* WRITTEN: the writer; otherwise NONE */
    uint32_t next, previous;
    uint32_t link;
    uint32_t size;
    uint32_t place; /* SENT: for the answer, in the peer's table */
    uint8_t state;  /* tina__transfer_state */
    uint8_t to_shard;
    uint8_t unused[2];
} tina__transfer_record;

/* A message that an effect carries until it is returned. */
typedef struct tina__stage {
    uint64_t sequence;
    tina_handle to; /* a call's */
    uint64_t timeout_ns;
    tina_tag tag;
    uint16_t size;
    uint8_t unused[4];
    uint8_t payload[TINA_PAYLOAD_MAX];
} tina__stage;
TINA_STATIC_ASSERT(sizeof(tina__stage) == 128, "stages lie a power of two apart");

typedef enum tina__mail_kind {                       /* where the message that is being handled lies */
                               TINA__MAIL_MESSAGE,   /* a slot of the pool. Also between handlers: it is not worth a store */
                               TINA__MAIL_NONE,      /* the shard's own */
                               TINA__MAIL_ANSWER,    /* the shard's own; a user's reply */
                               TINA__MAIL_WATCH,     /* the slot of a watch */
                               TINA__MAIL_OPERATION, /* the shard's own; what a finished operation brought is in a buffer */
} tina__mail_kind;

/* One handler call, or one init in it: what tina_ctx points to. */
struct tina_ctx {
    struct tina__shard *shard;
    tina__isolate *isolate;
    tina__type *type;
    tina_handle self;
    const tina_message *message; /* NULL in an init */
    uint32_t mail;               /* index, by mail_kind. MESSAGE: message says it. OPERATION: the buffer's, or NONE */
    uint8_t mail_kind;
    bool is_begun; /* a tina_send_begin is open */
    int os_error;
    uint32_t staged;         /* operations made and not returned, linked by link */
    uint32_t stage_first;    /* of the stages that are this frame's */
    uint32_t scratch_first;  /* where this frame's scratch begins */
    tina_message *begun;     /* the open message */
    uint32_t begun_index;    /* here: its slot in the pool */
    tina__isolate *begun_to; /* here: its receiver; NULL: on another shard */
    tina_tag begun_tag;
    uint8_t begun_shard;
    tina_address peer; /* where the message says whom a descriptor is connected to */
};

/* Why all that a shard holds is to end at once. Whoever turns the shard sees to it, after the tick. */
typedef enum tina__wipe {
    TINA__WIPE_NOT,
    TINA__WIPE_BUDGET, /* the root group is past its budget */
    TINA__WIPE_FAULT,  /* in the runtime, or one that is not to be contained in an isolate */
    TINA__WIPE_DAMAGE, /* a red zone or a pool is not as it was left */
} tina__wipe;

/* Counts and memory, decided by the plan. Everything is zeroed. */
typedef struct tina__shard_parts {
    uint32_t type_count;
    tina__type *types;
    tina__type_record *type_records;
    uint32_t slot_count; /* over all types */
    tina__isolate *isolates;
    uint32_t message_count;
    uint32_t timer_count;
    uint32_t watch_count;
    tina_message *mail; /* message_count, timer_count and watch_count of them */
    uint32_t *timer_generations;
    uint32_t owed_count;
    tina__owed *owed;
    uint32_t operation_count;
    tina__operation *operations;
    uint32_t descriptor_count;
    tina__descriptor *descriptors;
    uint32_t buffer_count;
    uint32_t buffer_size;
    uint8_t *buffers;
    uint8_t *annexes; /* TINA__ANNEX_SIZE bytes for each buffer */
    uint32_t *buffer_links;
    uint8_t *buffer_users;
    uint32_t transfer_count;
    uint32_t transfer_size;
    size_t transfer_stride;
    uint8_t *transfers;
    tina__transfer_record *transfer_records;
    uint32_t child_count, static_child_count;
    tina__child_record *children; /* the static ones first */
    uint32_t bucket_count;        /* of watches, by what they watch: a power of two */
    uint32_t *buckets;
    uint32_t group_count;
    uint32_t name_count; /* one more than the highest name */
    uint32_t *names;     /* child index + 1 by name, then group index + 1 by name; 0: none */
    uint32_t scratch_size;
    uint8_t *scratch;
    tina__peer *peers; /* by shard */
    tina__mpsc *inbox;
    tina__log_ring *log;
    tina__timer_wheel *wheel;
    tina__group *groups; /* group_count of them */
    tina__trace *trace;
} tina__shard_parts;

typedef struct tina__shard {
    tina__shard_parts p;
    tina__shared *shared;
    tina__shard_public *public;
    const tina__backend_api *api;
    tina__backend *backend;
    uint8_t id;
    uint8_t state; /* tina_shard_state: what public->state says */

    uint64_t now_ns;
    uint64_t tick;
    tina__guard *guard; /* public->guard */

    /* The tick's progress, which outlives a fault in it. */
    uint32_t step;
    uint32_t work;
    uint8_t wipe;                                /* tina__wipe */
    bool is_settling;                            /* a fault is being dealt with: another one now is the runtime's */
    tina__fault fault;                           /* of an isolate, to be dealt with; kind NONE: there is none */
    uint32_t killed_turn;                        /* in which an init was last killed */
    uint32_t cursor;                             /* the type whose turn it is to dispatch */
    uint64_t dumped_types[TINA__DOORBELL_WORDS]; /* whose first fault was dumped */
    uint64_t dumped_ns;                          /* when the last fault was; 0: none */
    bool owes_dump;                              /* a dump of everything, while the one before it is still being read */

    /* Dispatch. */
    uint64_t ready[TINA__DOORBELL_WORDS];     /* types with ready isolates, and the one whose turn it is */
    uint64_t exhausted[TINA__DOORBELL_WORDS]; /* types whose budget is used up in this tick */
    uint32_t handled;                         /* handlers that ran, and are not counted yet */
    uint32_t handled_otherwise;               /* of these, with no message of a user's */
    tina__type *turn;                         /* the type that has its turn, or NULL */
    uint32_t turn_begin;                      /* handled, when it began */
    bool has_exhausted;
    uint32_t yielded_head, yielded_tail; /* isolate indexes */
    uint32_t stage_used, scratch_used;   /* kept and put back as a pair around each init */
    uint32_t depth;                      /* frames in use; the handler's is the first */
    struct tina_ctx frames[TINA__INIT_DEPTH_MAX + 1];
    _Alignas(TINA__CACHE_LINE) tina_message notice; /* shutdown, resume, refusals, timers, what an operation came to */

    /* Mail. */
    tina__pool messages;
    tina__pool timers;                         /* slots behind the messages */
    tina__pool watches;                        /* slots behind the timers */
    uint32_t freed_timers[TINA__TIMERS_AHEAD]; /* the latest */
    uint32_t freed_timer_count;
    tina__stage stages[TINA__STAGE_MAX];
    uint64_t stage_sequence;
    uint32_t begun_count;                   /* open tina_send_begins, over all frames */
    uint64_t dirty[TINA__DOORBELL_WORDS];   /* peers with something written and not published */
    uint64_t pending[TINA__DOORBELL_WORDS]; /* peers whose channel may hold something; bit INBOX: the inbox */
    uint64_t lapsed[TINA__DOORBELL_WORDS];  /* peers with places to be withdrawn */

    /* I/O. */
    tina__pool operations;
    tina__pool descriptors;
    uint32_t given_count; /* descriptors in GIVEN */
    tina__pool buffers;
    uint32_t buffers_lent;    /* with the backend */
    uint32_t buffers_sending; /* held by sends */
    tina__io_request *submit_head, **submit_tail;
    uint32_t starved_head[TINA__STARVED_LISTS], starved_tail[TINA__STARVED_LISTS];
    uint32_t
        file_reads; /* with the backend, or about to be: each may hold one of the lent buffers for as long as a disk takes */
    uint32_t operations_under_way;                    /* submitted and not over */
    tina__io_completion collected[TINA__COLLECT_MAX]; /* here, so that a wipe finds what a fault kept from its isolates */
    uint32_t collected_count, collected_done;

    /* Memory. */
    tina__pool transfers;
    uint32_t transfers_left; /* of an earlier life, see core/transfer.h */

    /* Supervision. */
    tina__pool child_pool; /* of the spawned ones */
    uint32_t live_count;
    bool is_tree_due; /* it begins when the other shards know of this life, or at the deadline */
    bool was_revived; /* since the last wipe: its budget begins anew with the next */
    uint64_t tree_deadline_ns;
    uint64_t init_failed_tick; /* the latest in which an init of the supervisor's failed */
    uint32_t revive_seen;      /* of shared->revive */
    const char *boot_failure;  /* the type whose init failed past the budget while booting, or called the boot off */
    bool is_called_off; /* somebody told the system to stop while this shard booted: no init that fails is tried again */

    /* The end. */
    uint64_t drain_deadline_ns;
    uint32_t undrained_count;
    tina_handle undrained[8];
    uint8_t finish_round; /* 0: running; 1, 2: the rounds of the end */

    /* What is measured, see core/measure.h. */
    uint64_t turned[TINA__DOORBELL_WORDS]; /* types that have had turns which are not counted yet */
    uint32_t measure_ticks_left;           /* until one is measured */
    tina__prng measure_chances;

    tina__prng prng;
    uint64_t log_written; /* lines since the helper was last rung */
    tina_stats stats;
} tina__shard;

/* Is anybody in a ready queue? Not asked while a type has its turn. */
static inline bool tina__is_anybody_ready(const tina__shard *shard)
{
    return tina__is_any_set(shard->ready, TINA__DOORBELL_WORDS);
}

/* ---- Its life ---------------------------------------------------------------- */

/*
 * Makes a shard of its parts: pools, types (their static fields are filled in),
 * groups and children must have been set up in the parts. No isolate runs yet.
 */
void tina__shard_init(tina__shard *shard, uint8_t id, tina__shared *shared, const tina__shard_parts *parts, uint64_t seed,
                      uint64_t now_ns);

/* Attach the backend, and lend it buffers. */
void tina__shard_attach(tina__shard *shard, const tina__backend_api *api, tina__backend *backend);

/*
 * Starts the static children in order. Those whose init fails are tried again, in
 * ticks, within the budget: the tree is up when is_booting says no; boot_failure
 * names the type that used the budget up.
 */
void tina__shard_boot(tina__shard *shard, uint64_t now_ns);
bool tina__shard_is_booting(const tina__shard *shard);

/* After a wipe: the tree begins in a tick that follows, when the other shards know of the new life. */
void tina__shard_plan_tree(tina__shard *shard);

/*
 * One turn. Returns how much it did; 0: there is nothing to do before the next
 * deadline. Where it leaves shard->wipe set, whoever turns the shard ends all that it
 * holds and builds it anew before the next turn.
 */
uint32_t tina__shard_tick(tina__shard *shard, uint64_t now_ns);

/* When the shard has to tick again if nothing else happens; TINA_NONE_NS: never. */
uint64_t tina__shard_deadline_ns(const tina__shard *shard);

/* The graceful stop of the whole system, from a handler of this shard. */
void tina__shard_stop_system(tina__shard *shard);

/* Nobody is left, and everything that was held is over. */
bool tina__shard_is_empty(const tina__shard *shard);

/* The shard has ended: tick it no more. */
bool tina__shard_has_ended(const tina__shard *shard);

/* Wakes every other shard, to look at what all of them share. */
void tina__shard_ring_everybody(tina__shard *shard);

void tina__shard_set_state(tina__shard *shard, tina_shard_state state);

/* The counters, with what is derived from the pools. now_ns: for how long it is idle; 0: as when it was busy last. Any thread may copy them at any time, also while the shard begins anew. */
void tina__shard_read_stats(const tina__shard *shard, tina__shard_public *public, uint64_t now_ns, tina_stats *stats);
/* The same for one of its types. */
void tina__type_read_stats(const tina__type_record *record, tina_type_stats *stats);

#endif
