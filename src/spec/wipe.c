#include "spec/wipe.h"

#include "core/fault.h"
#include "core/log.h"
#include "core/peer.h"
#include "core/reactor.h"
#include "core/stats.h"
#include "core/supervise.h"
#include "core/transfer.h"

#include <string.h>

#define SHARD_RESTART_WINDOW_S 30

/* ---- Lives ------------------------------------------------------------------------------------- */

void tina__lives_init(tina__budget *lives, struct tina__budget_entry *entries, const tina_system_spec *spec)
{
    tina__budget_init(lives, entries, spec->shard_restart_max, spec->shard_restart_window_ns, SHARD_RESTART_WINDOW_S);
}

tina_shard_state tina__lives_spend(tina__budget *lives, const tina__shard *shard, tina_shard_state now, uint64_t now_ns)
{
    if (now == TINA_SHARD_DRAINING || now == TINA_SHARD_ENDED)
        return now;
    if (shard->was_revived)
        tina__budget_reset(lives);
    return tina__budget_spend(lives, now_ns) ? now : TINA_SHARD_QUARANTINED;
}

static void *region(const tina__build *build, tina__region_id id)
{
    return tina__plan_at(&build->plans[build->shard], build->bases[build->shard], id);
}

/* ---- What ends ------------------------------------------------------------------------------- */

static bool is_ours(const tina__descriptor *descriptor)
{
    bool is_open = descriptor->state == TINA__DESCRIPTOR_OPEN || descriptor->state == TINA__DESCRIPTOR_RETURNED;
    return is_open && descriptor->os_fd == ~descriptor->os_fd_check;
}

/* A descriptor whose number and its check agree is one of ours: the memory may be damaged. */
static void close_descriptors(const tina__build *build, const tina__shard *shard)
{
    tina__descriptor *descriptors = region(build, TINA__REGION_DESCRIPTORS);
    uint32_t count = build->plans[build->shard].limits.fd_count;
    for (uint32_t i = 0; i < count; i++) {
        if (is_ours(&descriptors[i]))
            shard->api->close_fd(shard->backend, descriptors[i].os_fd, i);
        descriptors[i].state = TINA__DESCRIPTOR_FREE;
    }
}

/* What accepts and opens had brought when a fault kept it from its isolates. */
static void close_collected(tina__shard *shard)
{
    while (shard->collected_done < tina__min_u32(shard->collected_count, TINA__COLLECT_MAX)) {
        const tina__io_completion *completion = &shard->collected[shard->collected_done++];
        if (completion->os_fd >= 0)
            shard->api->close_fd(shard->backend, completion->os_fd, TINA__SLOT_NONE);
    }
}

/* An isolate that lives when a draining shard is wiped has not ended by itself. */
static void write_down(const tina__build *build, tina__shard *shard, size_t type, uint32_t first, uint32_t slots)
{
    const tina__isolate *isolates = (const tina__isolate *)region(build, TINA__REGION_ISOLATES) + first;
    for (uint32_t slot = 0; slot < slots; slot++) {
        if (isolates[slot].state == TINA__ISOLATE_FREE || isolates[slot].generation == 0)
            continue;
        if (shard->undrained_count < sizeof shard->undrained / sizeof shard->undrained[0])
            shard->undrained[shard->undrained_count] =
                tina__handle_make(shard->id, (uint8_t)type, slot, isolates[slot].generation);
        shard->undrained_count++;
    }
}

static void count_undrained(const tina__build *build, tina__shard *shard)
{
    uint32_t first = 0;
    if (shard->state != TINA_SHARD_DRAINING)
        return;
    for (size_t type = 0; type < build->spec->type_count; type++) {
        uint32_t slots = tina__limits_slots(build->spec, build->shard, type);
        write_down(build, shard, type, first, slots);
        first += slots;
    }
}

/* What the books still have open died with its owners: the ledger balances without looking at what may be damaged. */
static void close_books(tina__shard *shard)
{
    tina_stats *stats = &shard->stats;
    uint64_t accepted = stats->sent_local + stats->received_remote + stats->posted;
    uint64_t ended =
        stats->arrived_full + stats->arrived_stale + stats->arrived_exhausted + stats->delivered + stats->died_with_owner;
    uint64_t open = accepted > ended ? accepted - ended : 0;
    uint64_t handled = shard->handled - shard->handled_otherwise;
    uint64_t delivered = handled < open ? handled : open;
    tina__count_by(shard, delivered, delivered);
    tina__count_by(shard, died_with_owner, open - delivered);
    uint64_t under_way = stats->io_submitted - stats->io_completed;
    tina__count_by(shard, io_completed, under_way);
    tina__count_by(shard, io_cancelled, under_way);
    tina__count_by(shard, exits, stats->spawns - stats->exits);
    tina__count_by(shard, dispatches, shard->handled);
    for (uint32_t i = 0; i < shard->p.type_count; i++) {
        tina_type_stats *type = &shard->p.type_records[i].stats;
        __atomic_store_n(&type->exits, type->spawns, __ATOMIC_RELAXED);
    }
}

/* ---- What the next life inherits ------------------------------------------------------------------ */

typedef struct legacy {
    uint64_t tick;
    uint64_t drain_deadline_ns;
    uint32_t undrained_count;
    tina_handle undrained[8];
    uint8_t finish_round;
    uint32_t revive_seen;
    uint64_t dumped_types[TINA__DOORBELL_WORDS];
    uint64_t dumped_ns;
    bool owes_dump;
    uint64_t log_written;
    const char *boot_failure;
} legacy;

static void keep(const tina__shard *shard, legacy *kept)
{
    *kept = (legacy){
        .tick = shard->tick,
        .drain_deadline_ns = shard->drain_deadline_ns,
        .undrained_count = shard->undrained_count,
        .finish_round = shard->finish_round,
        .revive_seen = shard->revive_seen,
        .dumped_ns = shard->dumped_ns,
        .owes_dump = shard->owes_dump,
        .log_written = shard->log_written,
        .boot_failure = shard->boot_failure,
    };
    memcpy(kept->undrained, shard->undrained, sizeof kept->undrained);
    memcpy(kept->dumped_types, shard->dumped_types, sizeof kept->dumped_types);
}

static void inherit(tina__shard *shard, const legacy *kept)
{
    shard->tick = kept->tick;
    shard->drain_deadline_ns = kept->drain_deadline_ns;
    shard->undrained_count = kept->undrained_count;
    shard->finish_round = kept->finish_round;
    shard->revive_seen = kept->revive_seen;
    shard->dumped_ns = kept->dumped_ns;
    shard->owes_dump = kept->owes_dump;
    shard->log_written = kept->log_written;
    shard->boot_failure = kept->boot_failure;
    memcpy(shard->undrained, kept->undrained, sizeof shard->undrained);
    memcpy(shard->dumped_types, kept->dumped_types, sizeof shard->dumped_types);
}

/* No handle of the old life means anything in the new one. Slots that were never used stay untouched. */
static void outdate_handles(const tina__build *build)
{
    const tina__limits *limits = &build->plans[build->shard].limits;
    tina__isolate *isolates = region(build, TINA__REGION_ISOLATES);
    for (uint32_t i = 0; i < limits->slot_total; i++) {
        if (isolates[i].generation == 0)
            continue;
        isolates[i].generation = tina__generation_next(isolates[i].generation);
        isolates[i].state = TINA__ISOLATE_FREE;
        isolates[i].flags = 0;
    }
    tina__transfer_record *transfers = region(build, TINA__REGION_TRANSFER_RECORDS);
    for (uint32_t i = 0; i < limits->transfer_count; i++) {
        if (transfers[i].generation == 0)
            continue;
        bool may_be_read = transfers[i].state == TINA__TRANSFER_SENT || transfers[i].state == TINA__TRANSFER_LEFT;
        transfers[i].generation = tina__word_generation_next(transfers[i].generation);
        transfers[i].isolate = TINA__NONE;
        transfers[i].state = may_be_read ? TINA__TRANSFER_LEFT : TINA__TRANSFER_FREE;
    }
    /* These get a new generation whenever they are taken: it is enough that they are free. */
    tina__operation *operations = region(build, TINA__REGION_OPERATIONS);
    for (uint32_t i = 0; i < limits->op_count; i++) {
        if (operations[i].state != TINA__OPERATION_FREE)
            operations[i].state = TINA__OPERATION_FREE;
    }
    tina_message *mail = region(build, TINA__REGION_MAIL);
    for (uint32_t i = 0; i < limits->timer_count + limits->watch_count; i++) {
        tina__timer_slot *slot = (tina__timer_slot *)(void *)&mail[limits->message_count + i];
        if (slot->use != TINA__TIMER_FREE)
            slot->use = TINA__TIMER_FREE;
    }
}

/* ---- The whole ---------------------------------------------------------------------------------------- */

static const tina__region_id rebuilt[] = {
    TINA__REGION_TYPES,    TINA__REGION_WATCH_BUCKETS, TINA__REGION_OWED,   TINA__REGION_BUFFER_LINKS,
    TINA__REGION_CHILDREN, TINA__REGION_BUFFER_USERS,  TINA__REGION_NAMES,  TINA__REGION_GROUPS,
    TINA__REGION_BUDGETS,  TINA__REGION_PEERS,         TINA__REGION_PLACES, TINA__REGION_WHEEL,
};

/* All but the counters, which others may be reading. */
static void clear_shard(tina__shard *shard)
{
    uint8_t *bytes = (uint8_t *)shard;
    size_t start = offsetof(tina__shard, stats);
    size_t end = start + sizeof shard->stats;
    memset(bytes, 0, start);
    memset(bytes + end, 0, sizeof *shard - end);
}

static void clear(const tina__build *build, tina__shard *shard)
{
    const tina__plan *plan = &build->plans[build->shard];
    for (size_t i = 0; i < sizeof rebuilt / sizeof rebuilt[0]; i++)
        memset(region(build, rebuilt[i]), 0, plan->regions[rebuilt[i]].size);
    clear_shard(shard);
}

static const char *const reasons[] = {
    [TINA__WIPE_NOT] = "",
    [TINA__WIPE_BUDGET] = "its restart budget is used up",
    [TINA__WIPE_FAULT] = "of a fault that an isolate can't answer for",
    [TINA__WIPE_DAMAGE] = "its memory is damaged",
};

static void tell(tina__shard *shard)
{
    tina_handle nobody = {0};
    uint8_t why = shard->wipe <= TINA__WIPE_DAMAGE ? shard->wipe : TINA__WIPE_DAMAGE;
    if (why == TINA__WIPE_FAULT)
        tina__fault_note_shards(shard);
    tina__trace_add(shard->p.trace, shard->tick, TINA__EVENT_WIPE, nobody, why, 0, 0);
    tina__log(shard, NULL, TINA_LOG_ERROR, "ends all its %llu isolates, because %s",
              (unsigned long long)(shard->stats.spawns - shard->stats.exits), reasons[why]);
    tina__fault_dump_all(shard);
}

static void begin(tina__shard *shard)
{
    if (shard->state == TINA_SHARD_QUARANTINED) {
        tina__log(shard, NULL, TINA_LOG_ERROR,
                  "is quarantined: it began anew too often; SIGUSR2 or tina_revive bring it back");
    } else if (shard->state == TINA_SHARD_INIT || shard->state == TINA_SHARD_RUNNING) {
        tina__log(shard, NULL, TINA_LOG_WARN, "begins anew");
        tina__count(shard, shard_restarts);
        tina__shard_plan_tree(shard);
    }
}

void tina__wipe_shard(tina__wipe_order *order)
{
    const tina__build *build = order->build;
    tina__shard *shard = order->shard;
    legacy kept;
    tina__build_locate(build, shard);
    shard->api = order->api;
    shard->backend = order->backend;
    tell(shard);
    order->has_let_go = shard->api->abandon(shard->backend);
    if (!order->has_let_go)
        return;
    close_collected(shard);
    close_descriptors(build, shard);
    count_undrained(build, shard);
    tina__count_by(shard, sent_remote, -tina__peers_cut_off(shard)); /* they never were */
    close_books(shard);
    keep(shard, &kept);
    clear(build, shard);
    outdate_handles(build);
    (void)tina__build_shard(build);
    tina__transfers_leave(shard);
    inherit(shard, &kept);
    tina__shard_attach(shard, order->api, order->backend);
    tina__shard_set_state(shard, order->next);
    tina__peers_begin_life(shard);
    tina__shard_ring_everybody(shard);
    begin(shard);
    tina__stats_publish(shard);
}
