/*
 * A system in one thread, turned by hand: real shards, made from a spec as boot
 * makes them, with a clock that stands still until the test moves it and a
 * backend that does what the test says. Every request, buffer and descriptor of
 * the backend is accounted for; at the end so is every slot of every pool and
 * every message of the ledger.
 *
 * Isolates are actors: the test owns an actor's script and its record of what it
 * saw, and its isolates find both through their arguments. Include it after
 * <cmocka.h>; everything here may fail the test.
 */
#ifndef TINA_TEST_RIG_H
#define TINA_TEST_RIG_H

#include "core/shard.h"
#include "spec/wipe.h"

#include <tina/tina.h>

#define RIG_SHARDS_MAX   4
#define RIG_TYPES_MAX    80
#define RIG_CHILDREN_MAX 16
#define RIG_SEEN_MAX     256
#define RIG_REQUESTS_MAX 512
#define RIG_OS_FDS_MAX   512
#define RIG_MS           1000000ull
#define RIG_NONE         TINA__NONE

/* ---- Actors ------------------------------------------------------------------------------- */

/* What a handler call got. */
typedef struct rig_seen {
    tina_tag tag;
    uint16_t status; /* of a failed call, of an operation */
    uint32_t correlation;
    tina_handle source;
    tina_caller caller;
    bool is_call;
    uint64_t value; /* the first 8 bytes of the payload, or of what was received */
    uint64_t size;  /* of the payload; of an operation: bytes done */
    tina_fd fd;
    uint64_t user;
    uint64_t now_ns, tick;
    uint32_t order; /* over all actors of a rig, from 1 */
} rig_seen;

typedef struct rig_actor {
    /* The script. NULL: receive; the notice of a shutdown is answered with done. */
    tina_effect (*on_init)(struct rig_actor *me, tina_ctx *ctx);
    tina_effect (*on)(struct rig_actor *me, const tina_message *message, tina_ctx *ctx);
    tina_effect (*todo)(struct rig_actor *me, tina_ctx *ctx); /* once; see rig_do */
    void *data;                                               /* the test's own */

    /* The record. */
    tina_handle self; /* of its latest life */
    uint32_t init_count;
    uint32_t seen_count;
    rig_seen seen[RIG_SEEN_MAX]; /* a ring: use rig_saw */

    /* What rig_send and the like are to do, and what came of it. */
    struct {
        tina_handle to;
        tina_tag tag;
        const void *payload;
        size_t size;
        uint64_t time_ns;
        tina_op op;
        tina_spawn spawn;
        tina_fd fd;
        tina_half half;
        tina_caller caller;
        tina_timer timer;
        uint8_t reason;
        tina_status status;
        uint32_t call;
        tina_handle child;
        bool is_true;
    } act;
} rig_actor;

/* How many messages an actor saw, the one at index, the latest, and whether there was one with that tag. */
const rig_seen *rig_saw(const rig_actor *actor, uint32_t index);
const rig_seen *rig_saw_last(const rig_actor *actor);
uint32_t rig_count_tag(const rig_actor *actor, tina_tag tag);
void rig_forget(rig_actor *actor);

/* ---- A system to be ------------------------------------------------------------------------- */

/* Sizes are set, small and explicit, so that the hostile twin has the same. */
typedef struct rig_plan {
    tina_system_spec spec;
    tina_type types[RIG_TYPES_MAX]; /* actors all; 16 slots each at first */
    tina_shard_spec shards[RIG_SHARDS_MAX];
    tina_child children[RIG_SHARDS_MAX][RIG_CHILDREN_MAX];
    rig_actor *args[RIG_SHARDS_MAX][RIG_CHILDREN_MAX];
} rig_plan;

void rig_plan_init(rig_plan *plan, size_t shard_count, size_t type_count);
/* One more static child, temporary at first. The result may be changed. */
tina_child *rig_plan_child(rig_plan *plan, size_t shard, uint8_t type, rig_actor *actor);

tina_effect rig_actor_init(void *self, const void *args, size_t args_size, tina_ctx *ctx);
tina_effect rig_actor_handle(void *self, const tina_message *message, tina_ctx *ctx);

/* ---- A system ---------------------------------------------------------------------------------- */

/* A request that the backend has. */
typedef struct rig_request {
    tina__io_request *request; /* NULL: the place is free */
    uint64_t token;
    bool is_cancelled; /* its cancel was asked for, and is held back */
} rig_request;

/* Who has a descriptor of the system's: nobody, a message in a channel, or that shard. */
typedef enum rig_holder { RIG_CLOSED, RIG_IN_A_MESSAGE, RIG_HELD_BY } rig_holder;

struct tina__backend {
    uint32_t shard;
    tina__backend_config config;
    rig_request requests[RIG_REQUESTS_MAX];
    uint32_t request_count;
    uint64_t submitted; /* in all */
    tina__io_completion completions[RIG_REQUESTS_MAX];
    uint32_t completion_count;
    uint32_t *lent; /* buffers, the first lent first */
    uint32_t lent_count;
    uint8_t os_fds[RIG_OS_FDS_MAX]; /* those that it has opened: rig_holder */
    uint8_t shut[RIG_OS_FDS_MAX];   /* their halves that were shut down */
    uint32_t os_fd_count;           /* that it holds, whoever has opened them */
    uint32_t wakes;
    bool holds_cancels;        /* a cancel waits for rig_cancel_wins or a completion; otherwise it wins at once */
    tina_status socket_status; /* what synchronous calls say */
};

typedef struct rig_system {
    rig_plan *plan;
    size_t shard_count;
    uint64_t now_ns;
    uint32_t order;
    tina__shared shared;
    tina__doorbell helper_bell;
    tina__shard_public *publics;
    tina__plan plans[RIG_SHARDS_MAX];
    void *bases[RIG_SHARDS_MAX];
    tina__shard *shards[RIG_SHARDS_MAX];
    tina__budget lives[RIG_SHARDS_MAX];
    struct tina__budget_entry entries[RIG_SHARDS_MAX][TINA__BUDGET_ENTRIES_MAX];
    struct tina__backend backends[RIG_SHARDS_MAX];
    char log[TINA_LOG_LINE_MAX + 1]; /* the latest line */
} rig_system;

/* Checks the spec, builds and boots the shards. The tree is up, the shards are settled. */
rig_system *rig_start(rig_plan *plan);
/* The same, without settling: not even booted completely where inits fail. */
rig_system *rig_start_raw(rig_plan *plan);
/* Stops the system if that has not been done, lets cancels win, and checks that nothing is left and nothing uncounted. */
void rig_end(rig_system *rig);

uint32_t rig_tick(rig_system *rig, size_t shard);
/* Ticks all shards until none does anything. */
void rig_settle(rig_system *rig);
/* The same, at most so many ticks each; false: something went on. */
bool rig_settle_within(rig_system *rig, uint32_t ticks);
/* Moves the clock, in one step, and settles. */
void rig_advance(rig_system *rig, uint64_t ns);
void rig_stop(rig_system *rig, tina__stop how);
tina_stats rig_stats(const rig_system *rig, size_t shard);
tina_stats rig_total(const rig_system *rig);
/* All pools and lists agree with each other. */
void rig_check_sound(const rig_system *rig);
/* How many descriptors of the system's lie in channels. */
uint32_t rig_count_in_messages(const rig_system *rig);
/* Nothing is in a channel: the ledger balances. */
void rig_check_ledger(const rig_system *rig);

/* All that the shard holds ends at once, with its next tick, as after a fault in the runtime. */
void rig_wipe(rig_system *rig, size_t shard);
/* Brings quarantined shards back. */
void rig_revive(rig_system *rig);

bool rig_post(rig_system *rig, tina_handle to, tina_tag tag, const void *payload, size_t size);

/* ---- Orders to an actor: each runs in a handler call of its own, by a post, and settles -------- */

enum { RIG_TAG_DO = 0xFFFF };

/* Posts the order, and does not tick. */
void rig_order(rig_system *rig, rig_actor *actor, tina_effect (*todo)(rig_actor *me, tina_ctx *ctx));
/* The actor runs todo, and the system settles. */
void rig_do(rig_system *rig, rig_actor *actor, tina_effect (*todo)(rig_actor *me, tina_ctx *ctx));

tina_status rig_send(rig_system *rig, rig_actor *actor, tina_handle to, tina_tag tag, uint64_t value);
void rig_call(rig_system *rig, rig_actor *actor, tina_handle to, tina_tag tag, uint64_t timeout_ns);
tina_status rig_call_start(rig_system *rig, rig_actor *actor, tina_handle to, tina_tag tag, uint64_t timeout_ns);
tina_status rig_reply_to(rig_system *rig, rig_actor *actor, tina_caller caller, tina_tag tag, uint64_t value);
tina_status rig_timer(rig_system *rig, rig_actor *actor, uint64_t delay_ns, tina_tag tag);
tina_status rig_repeat(rig_system *rig, rig_actor *actor, uint64_t period_ns, tina_tag tag);
bool rig_timer_cancel(rig_system *rig, rig_actor *actor, tina_timer timer);
tina_status rig_spawn(rig_system *rig, rig_actor *actor, const tina_spawn *spawn);
void rig_done(rig_system *rig, rig_actor *actor);
void rig_crash(rig_system *rig, rig_actor *actor);
tina_fd rig_socket(rig_system *rig, rig_actor *actor);
void rig_io(rig_system *rig, rig_actor *actor, const tina_op *op);
tina_status rig_io_start(rig_system *rig, rig_actor *actor, const tina_op *op);
void rig_io_cancel(rig_system *rig, rig_actor *actor, tina_fd fd, tina_half half);

tina_status rig_watch(rig_system *rig, rig_actor *actor, tina_handle target);
void rig_unwatch(rig_system *rig, rig_actor *actor, tina_handle target);

tina_status rig_give(rig_system *rig, rig_actor *actor, tina_handle to, tina_fd fd);
/* Begins a transfer whose every byte is that, and sends so many of them. Where it is refused, it is freed. */
tina_status rig_transfer(rig_system *rig, rig_actor *actor, tina_handle to, uint8_t byte, size_t size);

/* ---- The backend's side of operations. What they complete is collected by the next tick. -------- */

/* The request under way of that kind on that descriptor, or NULL. */
tina__io_request *rig_request_of(rig_system *rig, tina_fd fd, tina__io_kind kind);
/* The latest that the backend got and has, or NULL. */
tina__io_request *rig_request_last(rig_system *rig, size_t shard);
uint32_t rig_request_count(const rig_system *rig, size_t shard);
bool rig_is_cancelled(const rig_system *rig, size_t shard, const tina__io_request *request);

void rig_complete(rig_system *rig, size_t shard, tina__io_request *request, tina_status status, uint32_t size);
/* Into a lent buffer: TINA_OK. Where none is lent: the request completes with TINA_BUSY. */
void rig_complete_receive(rig_system *rig, size_t shard, tina__io_request *request, const void *data, uint32_t size);
void rig_complete_accept(rig_system *rig, size_t shard, tina__io_request *request);
void rig_complete_open(rig_system *rig, size_t shard, tina__io_request *request, tina__fd_class fd_class);
/* All cancels that are held back win. */
void rig_cancel_wins(rig_system *rig, size_t shard);

#endif
