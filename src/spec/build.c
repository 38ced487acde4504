#include "spec/build.h"

#include "core/measure.h"
#include "spec/tree.h"

#include <string.h>

#define SHUTDOWN_TIMEOUT_NS 30000000000u

static void *region(const tina__build *build, tina__region_id id)
{
    return tina__plan_at(&build->plans[build->shard], build->bases[build->shard], id);
}

static void build_types(const tina__build *build)
{
    const tina_system_spec *spec = build->spec;
    tina__type *types = region(build, TINA__REGION_TYPES);
    tina__isolate *isolates = region(build, TINA__REGION_ISOLATES);
    uint8_t *structs = region(build, TINA__REGION_STRUCTS);
    uint8_t *working = region(build, TINA__REGION_WORKING);
    uint32_t first = 0;
    for (size_t i = 0; i < spec->type_count; i++) {
        const tina_type *type = &spec->types[i];
        uint32_t slots = tina__limits_slots(spec, build->shard, i);
        types[i] = (tina__type){
            .handler = type->handler,
            .init = type->init,
            .name = type->name,
            .id = (uint8_t)i,
            .structs = structs,
            .isolates = isolates + first,
            .stride = tina__plan_struct_stride(type),
            .size = type->size,
            .first = first,
            .containment = type->containment,
            .budget_per_tick = 256u * (type->weight == 0 ? 1u : type->weight),
            .mailbox_capacity = tina__type_mailbox_capacity(type),
            .scratch_max = type->scratch_max == 0 ? tina__spec_scratch_size(spec) : type->scratch_max,
            .working_size = type->working_size,
            .working = working,
            .working_stride = tina__plan_working_stride(type),
            .pool.limit = slots,
        };
        first += slots;
        structs += types[i].stride * slots;
        working += types[i].working_stride * slots;
    }
}

/* ---- The tree ---- */

static void build_child(const tina__build *build, uint32_t index, const tina_child *child, uint16_t group)
{
    tina__child_record *record = (tina__child_record *)region(build, TINA__REGION_CHILDREN) + index;
    *record = (tina__child_record){
        .isolate = TINA__NONE,
        .group = group,
        .nested = TINA__GROUP_NONE,
        .restart = child->restart == TINA_RESTART_DEFAULT ? TINA_PERMANENT : child->restart,
        .state = TINA__CHILD_DOWN,
        .is_static = true,
    };
    if (child->group != NULL)
        return; /* build_nested says the rest */
    record->type = child->type;
    record->name = child->name;
    record->args_size = (uint8_t)child->args_size;
    if (child->args_size != 0)
        memcpy(record->args, child->args, child->args_size);
    if (child->name != 0)
        ((uint32_t *)region(build, TINA__REGION_NAMES))[child->name] = index + 1;
}

/* Its place in its parent, of which the walk knows. Whether it may begin again: if its record is started again, or its parent is. */
static void build_nested(const tina__build *build, const tina__tree_walk *walk)
{
    tina__group *groups = region(build, TINA__REGION_GROUPS);
    uint16_t index = (uint16_t)walk->index[walk->depth];
    uint16_t parent = (uint16_t)walk->index[walk->depth - 1];
    tina__group *group = &groups[index];
    group->parent = parent;
    group->record = groups[parent].first_child + (uint32_t)walk->child[walk->depth - 1];
    tina__child_record *record = (tina__child_record *)region(build, TINA__REGION_CHILDREN) + group->record;
    record->nested = index;
    group->may_begin_again = record->restart != TINA_TEMPORARY || groups[parent].may_begin_again;
    for (uint32_t depth = 0; depth < walk->depth; depth++)
        groups[walk->index[depth]].last_inside = index;
}

static void clear_group(tina__group *group, uint16_t index)
{
    group->parent = TINA__GROUP_NONE;
    group->last_inside = index;
    group->record = TINA__NONE;
    group->live_head = TINA__NONE;
    group->live_tail = TINA__NONE;
    group->returning = TINA__NONE;
    group->due_head = TINA__NONE;
    group->due_tail = TINA__NONE;
}

static void build_group(const tina__build *build, uint16_t index, const tina_group_spec *spec, uint32_t first_child,
                        struct tina__budget_entry *entries)
{
    const tina__limits *limits = &build->plans[build->shard].limits;
    tina__group *group = (tina__group *)region(build, TINA__REGION_GROUPS) + index;
    clear_group(group, index);
    group->name = spec->name;
    group->strategy = spec->strategy;
    group->first_child = first_child;
    group->static_count = (uint32_t)spec->child_count;
    group->dynamic_max = tina__group_dynamic_max(spec, limits->slot_total);
    group->backoff_ns = spec->backoff_ns;
    group->backoff_max_ns = spec->backoff_max_ns != 0 ? spec->backoff_max_ns : 64 * spec->backoff_ns;
    tina__budget_init(&group->budget, entries, spec->restart_max, spec->window_ns, 5);
    for (size_t i = 0; i < spec->child_count; i++)
        build_child(build, first_child + (uint32_t)i, &spec->children[i], index);
    if (spec->name != 0)
        ((uint32_t *)region(build, TINA__REGION_NAMES))[limits->name_count + spec->name] = index + 1u;
}

static void build_tree(const tina__build *build)
{
    const tina__plan *plan = &build->plans[build->shard];
    const tina_group_spec *root = tina__spec_root(build->spec, build->shard);
    struct tina__budget_entry *entries = region(build, TINA__REGION_BUDGETS);
    uint32_t first_child = 0;
    tina__tree_walk walk;
    tina__tree_begin(&walk, root);
    for (const tina_group_spec *group = root; group != NULL; group = tina__tree_next(&walk)) {
        build_group(build, (uint16_t)walk.index[walk.depth], group, first_child, entries);
        if (walk.depth != 0)
            build_nested(build, &walk);
        first_child += (uint32_t)group->child_count;
        entries += tina__budget_entry_count(group->restart_max);
    }
    uint16_t unsupervised = tina__group_unsupervised(plan->group_count);
    tina__group *group = (tina__group *)region(build, TINA__REGION_GROUPS) + unsupervised;
    clear_group(group, unsupervised);
    group->first_child = first_child;
    group->dynamic_max = UINT32_MAX;
    group->state = TINA__GROUP_UP;
}

/* ---- Its neighbours ---- */

/* The channels that this shard reads lie here; those that it writes, in the mappings of their readers. */
static void build_peers(const tina__build *build)
{
    size_t self = build->shard;
    size_t shard_count = build->shared->shard_count;
    tina__peer_plan plans[TINA_SHARDS_MAX];
    tina__plan_peers(build->spec, self, shard_count, plans);
    const tina__plan *plan = &build->plans[self];
    tina__peer *peers = region(build, TINA__REGION_PEERS);
    tina__place *places = region(build, TINA__REGION_PLACES);
    tina_message *slots = region(build, TINA__REGION_CHANNEL_SLOTS);
    uint32_t owed_first = plan->limits.timer_count + plan->limits.watch_count;
    for (size_t i = 0; i < shard_count; i++) {
        tina__peer *peer = &peers[i];
        peer->shard = tina__plan_at(&build->plans[i], build->bases[i], TINA__REGION_SHARD);
        peer->transfers = tina__plan_at(&build->plans[i], build->bases[i], TINA__REGION_TRANSFERS);
        if (i == self)
            continue;
        uint32_t capacity = plans[i].in;
        uint32_t answers = plans[i].in_answers;
        peer->in = tina__plan_channel(plan, build->bases[self], i, self);
        peer->out = tina__plan_channel(&build->plans[i], build->bases[i], self, i);
        peer->places = places;
        peer->owed_first = owed_first;
        if (!build->is_rebirth)
            tina__spsc_init(peer->in, slots, capacity, answers);
        slots += tina__spsc_slot_count(capacity, answers);
        places += answers;
        owed_first += plans[i].out_answers;
    }
}

static void build_parts(const tina__build *build, tina__shard_parts *parts)
{
    const tina__plan *plan = &build->plans[build->shard];
    const tina__limits *limits = &plan->limits;
    *parts = (tina__shard_parts){
        .type_count = (uint32_t)build->spec->type_count,
        .types = region(build, TINA__REGION_TYPES),
        .type_records = region(build, TINA__REGION_TYPE_RECORDS),
        .slot_count = limits->slot_total,
        .isolates = region(build, TINA__REGION_ISOLATES),
        .message_count = limits->message_count,
        .timer_count = limits->timer_count,
        .watch_count = limits->watch_count,
        .bucket_count = plan->bucket_count,
        .buckets = region(build, TINA__REGION_WATCH_BUCKETS),
        .mail = region(build, TINA__REGION_MAIL),
        .timer_generations = region(build, TINA__REGION_TIMER_GENERATIONS),
        .owed_count = plan->owed_count,
        .owed = region(build, TINA__REGION_OWED),
        .operation_count = limits->op_count,
        .operations = region(build, TINA__REGION_OPERATIONS),
        .descriptor_count = limits->fd_count,
        .descriptors = region(build, TINA__REGION_DESCRIPTORS),
        .buffer_count = limits->buffer_count,
        .buffer_size = limits->buffer_size,
        .buffers = region(build, TINA__REGION_BUFFERS),
        .annexes = region(build, TINA__REGION_ANNEXES),
        .buffer_links = region(build, TINA__REGION_BUFFER_LINKS),
        .buffer_users = region(build, TINA__REGION_BUFFER_USERS),
        .transfer_count = limits->transfer_count,
        .transfer_size = limits->transfer_size,
        .transfer_stride = plan->regions[TINA__REGION_TRANSFERS].stride,
        .transfers = region(build, TINA__REGION_TRANSFERS),
        .transfer_records = region(build, TINA__REGION_TRANSFER_RECORDS),
        .child_count = limits->child_count + limits->restartable_count,
        .static_child_count = limits->child_count,
        .children = region(build, TINA__REGION_CHILDREN),
        .name_count = limits->name_count,
        .names = region(build, TINA__REGION_NAMES),
        .scratch_size = limits->scratch_size,
        .scratch = region(build, TINA__REGION_SCRATCH),
        .peers = region(build, TINA__REGION_PEERS),
        .inbox = region(build, TINA__REGION_INBOX),
        .log = region(build, TINA__REGION_LOG),
        .wheel = region(build, TINA__REGION_WHEEL),
        .group_count = plan->group_count,
        .groups = region(build, TINA__REGION_GROUPS),
        .trace = region(build, TINA__REGION_TRACE),
    };
}

static void build_type_records(const tina__build *build)
{
    const tina_system_spec *spec = build->spec;
    tina__type_record *records = region(build, TINA__REGION_TYPE_RECORDS);
    build->shared->shards[build->shard].types = records;
    for (size_t i = 0; i < spec->type_count; i++) {
        tina_type_stats *stats = &records[i].stats;
        stats->slots = tina__limits_slots(spec, build->shard, i);
        stats->sample_every = TINA__MEASURE_EVERY;
        memcpy(stats->name, spec->types[i].name, tina__min_u64(strlen(spec->types[i].name), sizeof stats->name - 1));
    }
}

/* What others hold on to, from the boot to the end. */
static void build_lasting(const tina__build *build, const tina__shard_parts *parts)
{
    const tina__limits *limits = &build->plans[build->shard].limits;
    tina__mpsc_init(parts->inbox, region(build, TINA__REGION_INBOX_SLOTS), limits->inbox_capacity);
    tina__log_ring_init(parts->log, region(build, TINA__REGION_LOG_BYTES), limits->log_size);
    tina__trace_init(parts->trace, region(build, TINA__REGION_TRACE_EVENTS), region(build, TINA__REGION_TRACE_DUMP),
                     limits->trace_count);
    build_type_records(build);
}

void tina__build_shared(const tina_system_spec *spec, tina__shard_public *publics, size_t shard_count, tina__shared *shared)
{
    shared->shards = publics;
    shared->shard_count = (uint8_t)shard_count;
    shared->user = spec->user;
    shared->shutdown_timeout_ns = spec->shutdown_timeout_ns == 0 ? SHUTDOWN_TIMEOUT_NS : spec->shutdown_timeout_ns;
    shared->has_log = spec->log_sink != NULL;
    shared->on_abort = spec->on_abort == TINA_SUSPECT_DEFAULT ? TINA_SUSPECT_PROCESS : spec->on_abort;
    shared->on_foreign_fault =
        spec->on_foreign_fault == TINA_SUSPECT_DEFAULT ? TINA_SUSPECT_ISOLATE : spec->on_foreign_fault;
}

void tina__build_locate(const tina__build *build, tina__shard *shard)
{
    build_parts(build, &shard->p);
    shard->shared = build->shared;
    shard->public = &build->shared->shards[build->shard];
    shard->id = (uint8_t)build->shard;
}

tina__shard *tina__build_shard(const tina__build *build)
{
    const tina__limits *limits = &build->plans[build->shard].limits;
    tina__shard_parts parts;
    build_types(build);
    build_tree(build);
    build_peers(build);
    build_parts(build, &parts);
    if (!build->is_rebirth)
        build_lasting(build, &parts);
    tina__timer_wheel_init(parts.wheel, limits->timer_resolution_ns, build->now_ns);
    tina__shard *shard = region(build, TINA__REGION_SHARD);
    tina__shard_init(shard, (uint8_t)build->shard, build->shared, &parts, build->seed, build->now_ns);
    if (!build->is_rebirth)
        tina__shard_set_state(shard, TINA_SHARD_INIT);
    return shard;
}
