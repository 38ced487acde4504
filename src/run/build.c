#include "run/build.h"

#include <string.h>

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

static void build_tree(const tina__build *build)
{
    const tina_system_spec *spec = build->spec;
    const tina_group_spec *root = tina__spec_root(spec, build->shard);
    tina__group *groups = region(build, TINA__REGION_GROUPS);
    tina__child_record *children = region(build, TINA__REGION_CHILDREN);
    uint32_t *names = region(build, TINA__REGION_NAMES);
    tina__group *group = &groups[TINA__GROUP_ROOT];
    group->name = root->name;
    group->static_count = (uint32_t)root->child_count;
    group->dynamic_max = build->plans[build->shard].limits.dynamic_max;
    tina__budget_init(&group->budget, region(build, TINA__REGION_BUDGETS), root->restart_max, root->window_ns, 5);
    groups[TINA__GROUP_UNSUPERVISED].dynamic_max = UINT32_MAX;
    for (size_t i = 0; i < root->child_count; i++) {
        const tina_child *child = &root->children[i];
        children[i] = (tina__child_record){
            .isolate = TINA__NONE,
            .name = child->name,
            .type = child->type,
            .restart = child->restart == TINA_RESTART_DEFAULT ? TINA_PERMANENT : child->restart,
            .state = TINA__CHILD_DOWN,
            .args_size = (uint8_t)child->args_size,
            .is_static = true,
        };
        if (child->args_size != 0)
            memcpy(children[i].args, child->args, child->args_size);
        if (child->name != 0)
            names[child->name] = (uint32_t)i + 1;
    }
}

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
    uint32_t owed_first = plan->limits.timer_count;
    for (size_t i = 0; i < shard_count; i++) {
        if (i == self)
            continue;
        uint32_t capacity = plans[i].in;
        uint32_t answers = plans[i].in_answers;
        tina__peer *peer = &peers[i];
        peer->in = tina__plan_channel(plan, build->bases[self], i, self);
        peer->out = tina__plan_channel(&build->plans[i], build->bases[i], self, i);
        peer->places = places;
        peer->owed_first = owed_first;
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
        .slot_count = limits->slot_total,
        .isolates = region(build, TINA__REGION_ISOLATES),
        .message_count = limits->message_count,
        .timer_count = limits->timer_count,
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
        .buffer_links = region(build, TINA__REGION_BUFFER_LINKS),
        .buffer_users = region(build, TINA__REGION_BUFFER_USERS),
        .transfer_count = limits->transfer_count,
        .transfer_size = limits->transfer_size,
        .transfer_stride = plan->regions[TINA__REGION_TRANSFERS].stride,
        .transfers = region(build, TINA__REGION_TRANSFERS),
        .transfer_records = region(build, TINA__REGION_TRANSFER_RECORDS),
        .child_count = limits->child_count + limits->restartable_count,
        .children = region(build, TINA__REGION_CHILDREN),
        .name_count = plan->name_count,
        .names = region(build, TINA__REGION_NAMES),
        .scratch_size = limits->scratch_size,
        .scratch = region(build, TINA__REGION_SCRATCH),
        .peers = region(build, TINA__REGION_PEERS),
        .inbox = region(build, TINA__REGION_INBOX),
        .log = region(build, TINA__REGION_LOG),
        .wheel = region(build, TINA__REGION_WHEEL),
        .groups = region(build, TINA__REGION_GROUPS),
    };
    struct tina__budget_entry *entries = region(build, TINA__REGION_BUDGETS);
    entries += tina__budget_entry_count(tina__spec_root(build->spec, build->shard)->restart_max);
    tina__budget_init(&parts->budget, entries, build->spec->shard_restart_max, build->spec->shard_restart_window_ns, 30);
}

tina__shard *tina__build_shard(const tina__build *build)
{
    const tina__limits *limits = &build->plans[build->shard].limits;
    tina__shard_parts parts;
    build_types(build);
    build_tree(build);
    build_peers(build);
    build_parts(build, &parts);
    tina__mpsc_init(parts.inbox, region(build, TINA__REGION_INBOX_SLOTS), limits->inbox_capacity);
    tina__log_ring_init(parts.log, region(build, TINA__REGION_LOG_BYTES), limits->log_size);
    tina__timer_wheel_init(parts.wheel, limits->timer_resolution_ns, build->now_ns);
    tina__shard *shard = region(build, TINA__REGION_SHARD);
    tina__shard_init(shard, (uint8_t)build->shard, build->shared, &parts, build->seed, build->now_ns);
    return shard;
}
