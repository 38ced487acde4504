#include "core/shard.h"

#include "core/buffers.h"
#include "core/call.h"
#include "core/damage.h"
#include "core/dispatch.h"
#include "core/fault.h"
#include "core/inbound.h"
#include "core/invariant.h"
#include "core/log.h"
#include "core/measure.h"
#include "core/peer.h"
#include "core/reactor.h"
#include "core/route.h"
#include "core/stats.h"
#include "core/supervise.h"
#include "core/timers.h"

#define AUDIT_EVERY      64 /* ticks, in builds that audit */
#define ESTRANGED_MAX_NS 100000000u
#define REUSE_DISTANCE   1024 /* freed slots that wait before one is used again, of what users have handles of */

/* ---- Making ------------------------------------------------------------------------------ */

static void init_types(tina__shard *shard)
{
    for (uint32_t i = 0; i < shard->p.type_count; i++) {
        tina__type *type = &shard->p.types[i];
        tina__pool_init(&type->pool, type->isolates, sizeof(tina__isolate), offsetof(tina__isolate, ready_next),
                        type->pool.limit, REUSE_DISTANCE);
        type->ready_head = TINA__NONE;
        type->ready_tail = TINA__NONE;
        type->ready_word = &shard->ready[type->id / 64];
        type->ready_bit = 1ull << (type->id % 64);
        type->handle_base = tina__handle_make(shard->id, type->id, 0, 0).bits;
        tina__damage_prepare(type);
    }
}

static void init_pools(tina__shard *shard)
{
    const tina__shard_parts *p = &shard->p;
    tina__pool_init(&shard->messages, p->mail, sizeof(tina_message), offsetof(tina_message, link), p->message_count, 0);
    tina__pool_init(&shard->timers, p->mail + p->message_count, sizeof(tina__timer_slot), offsetof(tina__timer_slot, link),
                    p->timer_count, REUSE_DISTANCE);
    tina__pool_init(&shard->watches, p->mail + p->message_count + p->timer_count, sizeof(tina__timer_slot),
                    offsetof(tina__timer_slot, link), p->watch_count, REUSE_DISTANCE);
    /* Nobody keeps an operation's token beyond its end: the one that is still in the cache is used again. */
    tina__pool_init(&shard->operations, p->operations, sizeof(tina__operation), offsetof(tina__operation, link),
                    p->operation_count, 0);
    tina__pool_init(&shard->descriptors, p->descriptors, sizeof(tina__descriptor), offsetof(tina__descriptor, link),
                    p->descriptor_count, REUSE_DISTANCE);
    tina__pool_init(&shard->buffers, p->buffer_links, sizeof(uint32_t), 0, p->buffer_count, 0);
    tina__pool_init(&shard->transfers, p->transfer_records, sizeof(tina__transfer_record),
                    offsetof(tina__transfer_record, link), p->transfer_count, REUSE_DISTANCE);
    for (uint32_t i = 0; i < p->owed_count; i++)
        p->owed[i].isolate = TINA__NONE;
}

/* The records behind the static children's are for spawned ones. */
static void init_children(tina__shard *shard)
{
    uint32_t static_count = shard->p.static_child_count;
    tina__pool_init(&shard->child_pool, shard->p.children, sizeof(tina__child_record), offsetof(tina__child_record, link),
                    shard->p.child_count, 0);
    for (uint32_t i = 0; i < static_count; i++)
        (void)tina__pool_take(&shard->child_pool);
    for (uint32_t i = 0; i < shard->p.group_count; i++) {
        shard->p.groups[i].live_head = TINA__NONE;
        shard->p.groups[i].live_tail = TINA__NONE;
    }
}

static void init_peers(tina__shard *shard)
{
    for (uint32_t i = 0; i < shard->shared->shard_count; i++) {
        tina__peer *peer = &shard->p.peers[i];
        peer->lapsed_head = TINA__NONE;
        peer->lapsed_tail = TINA__NONE;
        if (peer->in != NULL)
            tina__pool_init(&peer->place_pool, peer->places, sizeof(tina__place), offsetof(tina__place, link),
                            peer->in->answer_capacity, REUSE_DISTANCE);
    }
}

/* relaxed: a reader may look while the shard begins anew. */
static void init_limits(tina__shard *shard)
{
    tina_stats *stats = &shard->stats;
    __atomic_store_n(&stats->messages.limit, shard->p.message_count, __ATOMIC_RELAXED);
    __atomic_store_n(&stats->timers.limit, shard->p.timer_count, __ATOMIC_RELAXED);
    __atomic_store_n(&stats->watches.limit, shard->p.watch_count, __ATOMIC_RELAXED);
    __atomic_store_n(&stats->ops.limit, shard->p.operation_count, __ATOMIC_RELAXED);
    __atomic_store_n(&stats->buffers.limit, shard->p.buffer_count, __ATOMIC_RELAXED);
    __atomic_store_n(&stats->fds.limit, shard->p.descriptor_count, __ATOMIC_RELAXED);
    __atomic_store_n(&stats->transfers.limit, shard->p.transfer_count, __ATOMIC_RELAXED);
}

void tina__shard_init(tina__shard *shard, uint8_t id, tina__shared *shared, const tina__shard_parts *parts, uint64_t seed,
                      uint64_t now_ns)
{
    shard->p = *parts;
    shard->id = id;
    shard->shared = shared;
    shard->public = &shared->shards[id];
    shard->guard = &shard->public->guard;
    shard->now_ns = now_ns;
    shard->yielded_head = TINA__NONE;
    for (uint32_t i = 0; i < TINA__STARVED_LISTS; i++) {
        shard->starved_head[i] = TINA__NONE;
        shard->starved_tail[i] = TINA__NONE;
    }
    for (uint32_t i = 0; i <= TINA__INIT_DEPTH_MAX; i++) {
        shard->frames[i].shard = shard;
        shard->frames[i].staged = TINA__NONE;
    }
    shard->submit_tail = &shard->submit_head;
    shard->drain_deadline_ns = TINA_NONE_NS;
    shard->revive_seen = atomic_load_explicit(&shared->revive, memory_order_relaxed);
    init_types(shard);
    tina__measure_init(shard);
    init_pools(shard);
    init_children(shard);
    init_peers(shard);
    init_limits(shard);
    tina__prng_seed(&shard->prng, seed);
}

void tina__shard_attach(tina__shard *shard, const tina__backend_api *api, tina__backend *backend)
{
    shard->api = api;
    shard->backend = backend;
    __atomic_store_n(&shard->stats.backend, api->id, __ATOMIC_RELAXED); /* a reader may look while the shard begins anew */
    (void)tina__buffers_lend(shard);
}

void tina__shard_set_state(tina__shard *shard, tina_shard_state state)
{
    tina_handle nobody = {0};
    shard->state = (uint8_t)state;
    tina__trace_add(shard->p.trace, shard->tick, TINA__EVENT_STATE, nobody, (uint16_t)state, 0, 0);
    /* release, with tina__peers_look: who sees a new life and then this sees the state that goes with the life. Where
     * peers only refuse early it would not matter: what they send nevertheless is counted on arrival. */
    atomic_store_explicit(&shard->public->state, (uint8_t)state, memory_order_release);
}

bool tina__shard_is_booting(const tina__shard *shard)
{
    return (shard->is_tree_due || tina__supervise_is_starting(shard)) && shard->boot_failure == NULL;
}

/* ---- The end -------------------------------------------------------------------------------- */

/* It holds nothing any more. What it gave to another shard, which may be stuck, it need not know for ever. */
static bool may_finish(const tina__shard *shard)
{
    bool is_abandoned = atomic_load_explicit(&shard->shared->stop, memory_order_relaxed) >= TINA__STOP_ABANDON;
    return tina__shard_is_empty(shard) || (is_abandoned && shard->live_count == 0 && shard->operations_under_way == 0 &&
                                           shard->descriptors.used == shard->given_count);
}

bool tina__shard_is_empty(const tina__shard *shard)
{
    return shard->live_count == 0 && shard->operations_under_way == 0 && shard->descriptors.used == 0;
}

bool tina__shard_has_ended(const tina__shard *shard) { return shard->finish_round == 3; }

static void begin_drain(tina__shard *shard)
{
    tina__supervise_stop(shard);
    tina__shard_set_state(shard, TINA_SHARD_DRAINING);
    shard->drain_deadline_ns = tina__add_saturating(shard->now_ns, shard->shared->shutdown_timeout_ns);
    tina__dispatch_announce_shutdown(shard);
}

void tina__shard_ring_everybody(tina__shard *shard)
{
    for (uint32_t i = 0; i < shard->shared->shard_count; i++) {
        tina__doorbell *bell = &shard->shared->shards[i].bell;
        if (i != shard->id && tina__doorbell_ring(bell, TINA__DOORBELL_CONTROL))
            shard->api->wake(shard->backend, bell->wake_fd);
    }
}

void tina__shard_stop_system(tina__shard *shard)
{
    uint32_t running = TINA__STOP_NOT;
    shard->is_called_off |= shard->state == TINA_SHARD_INIT;
    /* release, with take_control. A stop that is under way stays what it is. */
    atomic_compare_exchange_strong_explicit(&shard->shared->stop, &running, TINA__STOP_GRACEFUL, memory_order_release,
                                            memory_order_relaxed);
    (void)tina__doorbell_ring(&shard->public->bell, TINA__DOORBELL_CONTROL);
    tina__shard_ring_everybody(shard);
}

static void finish_one_round(tina__shard *shard)
{
    (void)tina__route_publish(shard);
    shard->finish_round++;
    /* acq_rel, with finish_advance: who sees the count sees what we published before. */
    uint32_t finished = atomic_fetch_add_explicit(&shard->shared->finish_phase, 1, memory_order_acq_rel) + 1;
    if (finished % shard->shared->shard_count == 0)
        tina__shard_ring_everybody(shard);
}

/*
 * The shards end together, so that no message between them is lost uncounted. A
 * shard that is empty enters the first round; when all have, nobody sends any
 * more but answers. Each then drains its channels, publishes the answers and
 * enters the second; when all have, it drains once more, and nothing is left.
 */
static uint32_t finish_advance(tina__shard *shard)
{
    uint32_t rounds_needed = shard->finish_round * (uint32_t)shard->shared->shard_count;
    if (shard->finish_round == 0) {
        if (!may_finish(shard))
            return 0;
        tina__shard_set_state(shard, TINA_SHARD_ENDED);
        finish_one_round(shard);
        return 1;
    }
    /* acquire, with finish_one_round */
    bool is_reached = atomic_load_explicit(&shard->shared->finish_phase, memory_order_acquire) >= rounds_needed;
    if (!is_reached && atomic_load_explicit(&shard->shared->stop, memory_order_relaxed) < TINA__STOP_ABANDON)
        return 0;
    tina__inbound_listen(shard);
    (void)tina__inbound_drain(shard);
    if (shard->finish_round == 1)
        finish_one_round(shard);
    else
        shard->finish_round = 3;
    return 1;
}

static uint32_t drain_advance(tina__shard *shard)
{
    bool is_hurried = atomic_load_explicit(&shard->shared->stop, memory_order_relaxed) >= TINA__STOP_NOW;
    if (shard->live_count != 0 && (is_hurried || shard->now_ns >= shard->drain_deadline_ns)) {
        tina__supervise_end_all(shard, TINA_END_STOPPED);
        return 1;
    }
    return finish_advance(shard);
}

/* A quarantined shard holds nothing: its tree starts as when it booted. */
static uint32_t look_for_revival(tina__shard *shard)
{
    uint32_t asked = atomic_load_explicit(&shard->shared->revive, memory_order_relaxed); /* only a count */
    if (asked == shard->revive_seen)
        return 0;
    shard->revive_seen = asked;
    if (shard->state != TINA_SHARD_QUARANTINED)
        return 0;
    shard->was_revived = true;
    tina__log(shard, NULL, TINA_LOG_WARN, "comes back from quarantine");
    tina__shard_set_state(shard, TINA_SHARD_RUNNING);
    tina__supervise_begin(shard);
    return 1;
}

/* The control word: have we been told to stop, or to come back? */
static uint32_t take_control(tina__shard *shard)
{
    bool is_draining = shard->state == TINA_SHARD_DRAINING || shard->state == TINA_SHARD_ENDED;
    /* acquire: whatever the stopping thread did before is seen. */
    if (!is_draining && atomic_load_explicit(&shard->shared->stop, memory_order_acquire) != TINA__STOP_NOT) {
        begin_drain(shard);
        return 1;
    }
    return is_draining ? drain_advance(shard) : look_for_revival(shard);
}

/* ---- The tick --------------------------------------------------------------------------------- */

/*
 * A tree that begins anew first waits until the other shards know, since its inits
 * may want to call or watch there; but not for ever: one of them may be busy. Until
 * then messages stay where they are: names outlive a life.
 */
static uint32_t begin_tree(tina__shard *shard)
{
    if (!shard->is_tree_due)
        return 0;
    if (shard->now_ns < shard->tree_deadline_ns && !tina__peers_know(shard))
        return 0;
    shard->is_tree_due = false;
    tina__supervise_begin(shard);
    return 1;
}

void tina__shard_plan_tree(tina__shard *shard)
{
    shard->is_tree_due = true;
    shard->tree_deadline_ns = tina__add_saturating(shard->now_ns, ESTRANGED_MAX_NS);
}

static uint32_t flush_log(tina__shard *shard)
{
    if (shard->owes_dump)
        tina__fault_dump_all(shard);
    tina__log_flush(shard);
    return 0;
}

static uint32_t listen_inbound(tina__shard *shard)
{
    if (tina__doorbell_is_rung(&shard->public->bell))
        tina__inbound_listen(shard);
    return 0;
}

static uint32_t drain_inbound(tina__shard *shard)
{
    return tina__is_any_set(shard->pending, TINA__DOORBELL_WORDS) ? tina__inbound_drain(shard) : 0;
}

static uint32_t supervise(tina__shard *shard)
{
    tina__assert(shard->depth == 0);
    return tina__supervise_is_due(shard) ? tina__supervise_advance(shard) : 0;
}

static uint32_t send_withdrawals(tina__shard *shard)
{
    return tina__is_any_set(shard->lapsed, TINA__DOORBELL_WORDS) && tina__call_send_withdrawals(shard) ? 1 : 0;
}

static uint32_t publish(tina__shard *shard)
{
    tina__assert(shard->begun_count == 0); /* in each tick: who damages it is not to go on */
    return tina__is_any_set(shard->dirty, TINA__DOORBELL_WORDS) ? tina__route_publish(shard) : 0;
}

/* What this tick has left undone keeps the shard awake. */
static uint32_t look_ahead(tina__shard *shard) { return tina__supervise_is_due(shard) ? 1 : 0; }

static uint32_t publish_stats(tina__shard *shard)
{
    if (shard->work != 0)
        tina__stats_publish(shard);
    else
        tina__measure_idle(shard);
    return 0;
}

static uint32_t flush_backend(tina__shard *shard)
{
    if (shard->api != NULL)
        shard->api->flush(shard->backend, 0);
    return 0;
}

static uint32_t audit(tina__shard *shard)
{
    (void)shard;
    tina__audit(shard->tick % AUDIT_EVERY != 0 || tina__invariant_broken(shard) == NULL);
    return 0;
}

/* What a tick does, in order. */
#define STEPS(X)                                                                                                            \
    X(LISTEN, listen_inbound)                                                                                               \
    X(CONTROL, take_control)                                                                                                \
    X(DRAIN, drain_inbound)                                                                                                 \
    X(COLLECT, tina__reactor_collect)                                                                                       \
    X(TIMERS, tina__timers_advance)                                                                                         \
    X(RESUME, tina__dispatch_resume)                                                                                        \
    X(TREE, begin_tree)                                                                                                     \
    X(SUPERVISE, supervise)                                                                                                 \
    X(DISPATCH, tina__dispatch)                                                                                             \
    X(AHEAD, look_ahead)                                                                                                    \
    X(SUBMIT, tina__reactor_submit)                                                                                         \
    X(WITHDRAW, send_withdrawals)                                                                                           \
    X(PUBLISH, publish)                                                                                                     \
    X(LOG, flush_log)                                                                                                       \
    X(STATS, publish_stats)                                                                                                 \
    X(FLUSH, flush_backend)                                                                                                 \
    X(AUDIT, audit)

#define STEP_NAME(name, function) STEP_##name,
enum { STEPS(STEP_NAME) STEP_COUNT };

/* After a fault no step of a shard that is to be wiped is safe; after a used-up budget the tick comes to its end. */
static bool may_go_on(const tina__shard *shard) { return shard->wipe < TINA__WIPE_FAULT; }

/* A fault finds in memory how far the tick has come. */
static inline void note_step(tina__shard *shard, uint32_t step)
{
    atomic_signal_fence(memory_order_seq_cst);
    shard->step = step;
    atomic_signal_fence(memory_order_seq_cst);
}

#define STEP_TAKE(name, function)                                                                                           \
    case STEP_##name:                                                                                                       \
        shard->work += function(shard);                                                                                     \
        note_step(shard, STEP_##name + 1);                                                                                  \
        if (tina__unlikely(!may_go_on(shard)))                                                                              \
            return;                                                                                                         \
        __attribute__((fallthrough));

/* The tick's body. A fault leaves it; what it was about goes on, from what the shard knows, when it is run again. */
static void run_steps(void *argument)
{
    tina__shard *shard = argument;
    if (shard->is_settling && may_go_on(shard)) {
        tina__dispatch_settle(shard, &shard->fault);
        shard->is_settling = false;
    }
    if (!may_go_on(shard))
        return;
    switch (shard->step) {
        STEPS(STEP_TAKE)
    default: break;
    }
}

static void take_steps(tina__shard *shard, uint32_t first)
{
    tina__fault fault;
    shard->step = first;
    shard->work = 0;
    while (!tina__trap_run(run_steps, shard, &fault)) {
        shard->work++;
        if (tina__fault_is_isolates(shard, &fault)) {
            shard->fault = fault;
            shard->is_settling = true;
        }
    }
}

void tina__shard_boot(tina__shard *shard, uint64_t now_ns)
{
    shard->now_ns = now_ns;
    shard->tick++;
    tina__supervise_begin(shard);
    take_steps(shard, STEP_SUPERVISE); /* nothing is taken in before there is somebody to get it */
}

uint32_t tina__shard_tick(tina__shard *shard, uint64_t now_ns)
{
    shard->now_ns = now_ns;
    shard->tick++;
    tina__count(shard, ticks);
    take_steps(shard, 0);
    if (shard->wipe != TINA__WIPE_NOT && shard->boot_failure == NULL)
        return 1;
    return shard->work;
}

uint64_t tina__shard_deadline_ns(const tina__shard *shard)
{
    uint64_t timer_ns = tina__timer_wheel_next_ns(shard->p.wheel);
    if (shard->is_tree_due)
        timer_ns = tina__min_u64(timer_ns, shard->tree_deadline_ns);
    return shard->live_count == 0 ? timer_ns : tina__min_u64(timer_ns, shard->drain_deadline_ns);
}
