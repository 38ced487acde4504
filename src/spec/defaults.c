#include "spec/defaults.h"

#include "base/assert.h"
#include "base/bits.h"
#include "core/group.h"
#include "spec/tree.h"

#ifdef TINA_HOSTILE
enum {
    MESSAGES_MIN = 64,
    MESSAGES_MAX = 64,
    CHANNEL_MIN = 2,
    CHANNEL_MAX = 2,
    INBOX = 4,
    TIMERS_SPARE = 4,
    FDS_SPARE = 16,
    OPS_SPARE = 0,
    BUFFERS_MIN = 4,
    BUFFERS_MAX = 4,
    TRANSFERS_MIN = 2,
    TRANSFERS_MAX = 2,
    LOG_SIZE = 1024,
};
#else
enum {
    MESSAGES_MIN = 64,
    MESSAGES_MAX = 65536,
    CHANNEL_MIN = 64,
    CHANNEL_MAX = 1024,
    INBOX = 1024,
    TIMERS_SPARE = 64,
    FDS_SPARE = 64,
    OPS_SPARE = 8192,
    BUFFERS_MIN = 64,
    BUFFERS_MAX = 1024,
    TRANSFERS_MIN = 16,
    TRANSFERS_MAX = 256,
    LOG_SIZE = 65536,
};
#endif

enum {
    MAILBOX = 256,
    CHANNEL_MESSAGES = 16384, /* that one shard's channels hold together, by default */
    TIMERS_MAX = 65536,
    WATCHES_MAX = 8192,
    FDS_MAX = 65536,
    BUFFER_SIZE = 4096,
    TRANSFER_SIZE = 4096,
    SCRATCH_SIZE = 65536,
    STACK_SIZE = 256 * 1024,
    TIMER_RESOLUTION_NS = 1000000,
    RESTARTABLE_MAX = 4096,
    TRACE_COUNT = 1024,
    FILE_THREADS = 2,
};

static uint32_t clamp(uint64_t value, uint64_t least, uint64_t most)
{
    return (uint32_t)tina__min_u64(tina__max_u64(value, least), most);
}

static uint32_t given_or(uint32_t given, uint32_t derived)
{
    if (given == TINA_NONE)
        return 0;
    return given != 0 ? given : derived;
}

uint32_t tina__limits_slots(const tina_system_spec *spec, size_t shard, size_t type)
{
    const uint32_t *counts = spec->shards != NULL ? spec->shards[shard].slot_counts : NULL;
    uint32_t own = given_or(spec->types[type].slot_count, 1);
    return counts != NULL ? given_or(counts[type], own) : own;
}

uint32_t tina__type_mailbox_capacity(const tina_type *type) { return given_or(type->mailbox_capacity, MAILBOX); }

uint32_t tina__spec_scratch_size(const tina_system_spec *spec) { return given_or(spec->scratch_size, SCRATCH_SIZE); }

const tina_group_spec *tina__spec_root(const tina_system_spec *spec, size_t shard)
{
    return spec->shards != NULL ? &spec->shards[shard].root : &spec->root;
}

size_t tina__spec_shard_count(const tina_system_spec *spec, size_t core_count)
{
    if (spec->external)
        return 1;
    return spec->shard_count != 0 ? spec->shard_count : clamp(core_count, 1, TINA_SHARDS_MAX);
}

static uint32_t default_channel_capacity(const tina_system_spec *spec, size_t shard_count)
{
    return given_or(spec->channel_capacity, clamp(CHANNEL_MESSAGES / shard_count, CHANNEL_MIN, CHANNEL_MAX));
}

static bool end_matches(int32_t end, size_t shard) { return end < 0 || (size_t)end == shard; }

/* One end of a spec, seen from the shard at its other end: who of the others is still without a capacity gets it. */
static void fill_row(uint32_t *capacities, size_t shard_count, int32_t other, uint32_t capacity)
{
    size_t first = other < 0 ? 0 : (size_t)other;
    size_t last = other < 0 ? shard_count : first + 1;
    for (size_t i = first; i < last; i++) {
        if (capacities[i] == 0)
            capacities[i] = capacity;
    }
}

void tina__spec_channel_row(const tina_system_spec *spec, size_t shard, size_t shard_count, tina__channel_row *row)
{
    *row = (tina__channel_row){0};
    bool is_in_done = false, is_out_done = false;
    for (size_t i = spec->channel_spec_count; i > 0 && !(is_in_done && is_out_done); i--) {
        const tina_channel_spec *channel = &spec->channels[i - 1];
        if (!is_in_done && end_matches(channel->destination, shard)) {
            fill_row(row->in, shard_count, channel->source, channel->capacity);
            is_in_done = channel->source < 0;
        }
        if (!is_out_done && end_matches(channel->source, shard)) {
            fill_row(row->out, shard_count, channel->destination, channel->capacity);
            is_out_done = channel->destination < 0;
        }
    }
    fill_row(row->in, shard_count, -1, default_channel_capacity(spec, shard_count));
    fill_row(row->out, shard_count, -1, default_channel_capacity(spec, shard_count));
}

static uint32_t slot_total(const tina_system_spec *spec, size_t shard)
{
    uint64_t total = 0;
    for (size_t type = 0; type < spec->type_count; type++)
        total += tina__limits_slots(spec, shard, type);
    return clamp(total, 0, UINT32_MAX);
}

static uint32_t message_count(const tina_system_spec *spec, size_t shard)
{
    uint64_t total = 0; /* 254 types of 20 bits of slots and 16 of capacity: no overflow */
    for (size_t type = 0; type < spec->type_count; type++)
        total += (uint64_t)tina__limits_slots(spec, shard, type) * tina__type_mailbox_capacity(&spec->types[type]);
    return given_or(spec->message_count, clamp(total, MESSAGES_MIN, MESSAGES_MAX));
}

static void io_limits(const tina_system_spec *spec, tina__limits *out)
{
    out->fd_count = given_or(spec->fd_count, clamp((uint64_t)out->slot_total + FDS_SPARE, 0, FDS_MAX));
    uint32_t second_ops = tina__min_u32(out->fd_count, OPS_SPARE);
    out->op_count = given_or(spec->op_count, clamp((uint64_t)out->fd_count + second_ops, 0, TINA__COUNT_MAX));
    uint32_t buffers = out->fd_count != 0 ? clamp(out->fd_count, BUFFERS_MIN, BUFFERS_MAX) : 0;
    out->buffer_count = given_or(spec->buffer_count, buffers);
    out->buffer_size = (uint32_t)tina__align_up(given_or(spec->buffer_size, BUFFER_SIZE), TINA__CACHE_LINE);
}

uint32_t tina__group_dynamic_max(const tina_group_spec *group, uint32_t slot_total)
{
    if (group->strategy != TINA_ONE_FOR_ONE)
        return 0;
    return tina__min_u32(given_or(group->dynamic_max, slot_total), slot_total);
}

static uint32_t highest_name(const tina_group_spec *group)
{
    uint32_t highest = group->name;
    for (size_t i = 0; i < group->child_count; i++) {
        if (group->children[i].group == NULL)
            highest = tina__max_u32(highest, group->children[i].name);
    }
    return highest;
}

static void tree_limits(const tina_group_spec *root, tina__limits *out)
{
    uint64_t restartable = 0;
    bool has_default = false;
    tina__tree_walk walk;
    out->child_count = 0;
    out->budget_entries = 0;
    out->name_count = 0;
    tina__tree_begin(&walk, root);
    for (const tina_group_spec *group = root; group != NULL; group = tina__tree_next(&walk)) {
        out->child_count += (uint32_t)group->child_count;
        out->budget_entries += tina__budget_entry_count(group->restart_max);
        out->name_count = tina__max_u32(out->name_count, highest_name(group) + 1);
        if (group->dynamic_max == 0)
            has_default |= group->strategy == TINA_ONE_FOR_ONE;
        else
            restartable += tina__group_dynamic_max(group, out->slot_total);
    }
    out->group_count = walk.count;
    out->restartable_count = clamp(restartable + (has_default ? RESTARTABLE_MAX : 0), 0, out->slot_total);
}

void tina__limits_of(const tina_system_spec *spec, size_t shard, size_t shard_count, tina__limits *out)
{
    tina__assert(shard < shard_count);
    tina__assert(shard_count <= TINA_SHARDS_MAX);
    out->slot_total = slot_total(spec, shard);
    out->message_count = message_count(spec, shard);
    out->channel_capacity = default_channel_capacity(spec, shard_count);
    out->inbox_capacity = given_or(spec->inbox_capacity, INBOX);
    out->timer_count = given_or(spec->timer_count, clamp((uint64_t)out->slot_total + TIMERS_SPARE, 0, TIMERS_MAX));
    out->watch_count = given_or(spec->watch_count, clamp((uint64_t)out->slot_total + TIMERS_SPARE, 0, WATCHES_MAX));
    io_limits(spec, out);
    out->transfer_count = given_or(spec->transfer_count, clamp(out->slot_total, TRANSFERS_MIN, TRANSFERS_MAX));
    out->transfer_size = given_or(spec->transfer_size, TRANSFER_SIZE);
    out->scratch_size = tina__spec_scratch_size(spec);
    out->stack_size = given_or(spec->stack_size, STACK_SIZE);
    out->log_size = tina__power_of_two_up(given_or(spec->log_size, LOG_SIZE));
    out->file_threads = out->fd_count != 0 ? given_or(spec->file_threads, FILE_THREADS) : 0;
    out->trace_count = tina__power_of_two_up(given_or(spec->trace_count, TRACE_COUNT));
    out->timer_resolution_ns = spec->timer_resolution_ns != 0 ? spec->timer_resolution_ns : TIMER_RESOLUTION_NS;
    tree_limits(tina__spec_root(spec, shard), out);
}
