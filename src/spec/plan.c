#include "spec/plan.h"

#define LINE TINA__CACHE_LINE

size_t tina__plan_struct_stride(const tina_type *type) { return tina__align_up(type->size, 16) + TINA__RED_ZONE; }

size_t tina__plan_working_stride(const tina_type *type)
{
    return type->working_size == 0 ? 0 : tina__align_up(type->working_size, 16) + TINA__WORKING_HEADER;
}

/* How many answers a shard can wait for: to calls, which take a timer each, to watches, and to what it gives and sends. */
static uint32_t answers_of(const tina__limits *limits)
{
    return limits->timer_count + limits->watch_count + limits->fd_count + limits->transfer_count;
}

void tina__plan_peers(const tina_system_spec *spec, size_t shard, size_t shard_count, tina__peer_plan *peers)
{
    tina__channel_row row;
    tina__limits limits;
    tina__spec_channel_row(spec, shard, shard_count, &row);
    tina__limits_of(spec, shard, shard_count, &limits);
    uint32_t own = answers_of(&limits);
    for (size_t peer = 0; peer < shard_count; peer++) {
        tina__limits_of(spec, peer, shard_count, &limits);
        peers[peer].in = row.in[peer];
        peers[peer].in_answers = tina__min_u32(row.in[peer], own);
        peers[peer].out_answers = tina__min_u32(row.out[peer], answers_of(&limits));
    }
}

/* ---- Sums over types, peers and children ----------------------------------------------- */

static size_t struct_bytes(const tina_system_spec *spec, size_t shard)
{
    size_t bytes = 0;
    for (size_t type = 0; type < spec->type_count; type++)
        bytes += tina__plan_struct_stride(&spec->types[type]) * tina__limits_slots(spec, shard, type);
    return bytes;
}

static size_t working_bytes(const tina_system_spec *spec, size_t shard)
{
    size_t bytes = 0;
    for (size_t type = 0; type < spec->type_count; type++)
        bytes += tina__plan_working_stride(&spec->types[type]) * tina__limits_slots(spec, shard, type);
    return bytes;
}

typedef struct peer_sums {
    size_t slots;  /* of the channels that this shard reads */
    size_t places; /* for answers to its calls */
    size_t owed;   /* to the calls of others */
} peer_sums;

static peer_sums sum_peers(const tina_system_spec *spec, size_t shard, size_t shard_count)
{
    peer_sums sums = {0};
    tina__peer_plan peers[TINA_SHARDS_MAX];
    tina__plan_peers(spec, shard, shard_count, peers);
    for (size_t peer = 0; peer < shard_count; peer++) {
        if (peer == shard)
            continue;
        sums.slots += tina__spsc_slot_count(peers[peer].in, peers[peer].in_answers);
        sums.places += peers[peer].in_answers;
        sums.owed += peers[peer].out_answers;
    }
    return sums;
}

/* What follows from the limits. */
static void fill_counts(const peer_sums *peers, tina__plan *plan)
{
    const tina__limits *limits = &plan->limits;
    plan->owed_count = (uint32_t)(limits->timer_count + limits->watch_count + peers->owed);
    plan->bucket_count = tina__power_of_two_up(limits->watch_count);
    plan->group_count = limits->group_count + 1;
    plan->backend = (tina__backend_config){
        .buffer_count = limits->buffer_count,
        .buffer_size = limits->buffer_size,
        .fd_count = limits->fd_count,
        .op_count = limits->op_count,
        .file_threads = limits->file_threads,
        .wake_fd = -1,
    };
}

/* ---- The table ------------------------------------------------------------------------------ */

static void fill_table(const tina_system_spec *spec, size_t shard, size_t shard_count, size_t page_size,
                       const peer_sums *peers, tina__plan *plan)
{
    const tina__limits *limits = &plan->limits;
    const tina__region table[TINA__REGION_COUNT] = {
        [TINA__REGION_STRUCTS] = {"isolates' structs", struct_bytes(spec, shard), 1, LINE, 0, 0},
        [TINA__REGION_WORKING] = {"working memory", working_bytes(spec, shard), 1, LINE, 0, 0},
        [TINA__REGION_SCRATCH] = {"scratch memory", limits->scratch_size, 1, LINE, 0, 0},
        [TINA__REGION_TRANSFERS] = {"transfers", limits->transfer_count, tina__align_up(limits->transfer_size, LINE), LINE,
                                    0, 0},
        [TINA__REGION_SHARD] = {"the shard", 1, sizeof(tina__shard), LINE, 0, 0},
        [TINA__REGION_TYPES] = {"types", spec->type_count, sizeof(tina__type), LINE, 0, 0},
        [TINA__REGION_TYPE_RECORDS] = {"types' counters", spec->type_count, sizeof(tina__type_record), LINE, 0, 0},
        [TINA__REGION_ISOLATES] = {"isolates", limits->slot_total, sizeof(tina__isolate), LINE, 0, 0},
        [TINA__REGION_MAIL] = {"messages, timers and watches",
                               (size_t)limits->message_count + limits->timer_count + limits->watch_count,
                               sizeof(tina_message), 128, 0, 0},
        [TINA__REGION_WATCH_BUCKETS] = {"watches' buckets", plan->bucket_count, sizeof(uint32_t), LINE, 0, 0},
        [TINA__REGION_TIMER_GENERATIONS] = {"timers' generations", limits->timer_count, sizeof(uint32_t), LINE, 0, 0},
        [TINA__REGION_OWED] = {"calls to answer", plan->owed_count, sizeof(tina__owed), LINE, 0, 0},
        [TINA__REGION_OPERATIONS] = {"operations", limits->op_count, sizeof(tina__operation), LINE, 0, 0},
        [TINA__REGION_DESCRIPTORS] = {"descriptors", limits->fd_count, sizeof(tina__descriptor), LINE, 0, 0},
        [TINA__REGION_BUFFERS] = {"I/O buffers", limits->buffer_count, limits->buffer_size, page_size, 0, 0},
        [TINA__REGION_ANNEXES] = {"buffers' annexes", limits->buffer_count, TINA__ANNEX_SIZE, LINE, 0, 0},
        [TINA__REGION_BUFFER_LINKS] = {"buffers' links", limits->buffer_count, sizeof(uint32_t), LINE, 0, 0},
        [TINA__REGION_BUFFER_USERS] = {"buffers' users", limits->buffer_count, 1, LINE, 0, 0},
        [TINA__REGION_TRANSFER_RECORDS] = {"transfers' records", limits->transfer_count, sizeof(tina__transfer_record), LINE,
                                           0, 0},
        [TINA__REGION_CHILDREN] = {"children", (size_t)limits->child_count + limits->restartable_count,
                                   sizeof(tina__child_record), LINE, 0, 0},
        [TINA__REGION_NAMES] = {"names of children, and of groups", 2 * (size_t)limits->name_count, sizeof(uint32_t), LINE,
                                0, 0},
        [TINA__REGION_GROUPS] = {"groups", plan->group_count, sizeof(tina__group), LINE, 0, 0},
        [TINA__REGION_BUDGETS] = {"restart budgets", limits->budget_entries, sizeof(struct tina__budget_entry), LINE, 0, 0},
        [TINA__REGION_PEERS] = {"peers", shard_count, sizeof(tina__peer), LINE, 0, 0},
        [TINA__REGION_PLACES] = {"places for answers", peers->places, sizeof(tina__place), LINE, 0, 0},
        [TINA__REGION_CHANNELS] = {"channels", shard_count - 1, sizeof(tina__spsc), LINE, 0, 0},
        [TINA__REGION_CHANNEL_SLOTS] = {"messages in channels", peers->slots, sizeof(tina_message), 128, 0, 0},
        [TINA__REGION_INBOX] = {"inbox", 1, sizeof(tina__mpsc), LINE, 0, 0},
        [TINA__REGION_INBOX_SLOTS] = {"messages in the inbox", limits->inbox_capacity, sizeof(tina__mpsc_slot), 128, 0, 0},
        [TINA__REGION_LOG] = {"log", 1, sizeof(tina__log_ring), LINE, 0, 0},
        [TINA__REGION_LOG_BYTES] = {"log lines", limits->log_size, 1, LINE, 0, 0},
        [TINA__REGION_TRACE] = {"flight recorder", 1, sizeof(tina__trace), LINE, 0, 0},
        [TINA__REGION_TRACE_EVENTS] = {"its events", limits->trace_count, sizeof(tina__event), LINE, 0, 0},
        [TINA__REGION_TRACE_DUMP] = {"its dump", limits->trace_count, sizeof(tina__event), LINE, 0, 0},
        [TINA__REGION_WHEEL] = {"timer wheel", 1, sizeof(tina__timer_wheel), LINE, 0, 0},
        [TINA__REGION_BACKEND] = {"I/O backend", tina__backend_memory(spec->backend, &plan->backend), 1, page_size, 0, 0},
    };
    for (size_t i = 0; i < TINA__REGION_COUNT; i++)
        plan->regions[i] = table[i];
}

/* Lays the regions first..last one behind the other from offset on; returns where they end. */
static size_t lay(tina__plan *plan, size_t first, size_t last, size_t offset)
{
    for (size_t i = first; i < last; i++) {
        tina__region *region = &plan->regions[i];
        offset = tina__align_up(offset, region->alignment);
        region->offset = offset;
        region->size = region->count * region->stride;
        offset += region->size;
    }
    return offset;
}

#define MAPPING_MAX ((size_t)1 << 46) /* half of a 47-bit address space */

static bool fits(const tina__plan *plan)
{
    size_t bytes = 0;
    for (size_t i = 0; i < TINA__REGION_COUNT; i++) {
        size_t size;
        if (__builtin_mul_overflow(plan->regions[i].count, plan->regions[i].stride, &size) || size > MAPPING_MAX - bytes)
            return false;
        bytes += size;
    }
    return true;
}

bool tina__plan_make(const tina_system_spec *spec, size_t shard, size_t shard_count, size_t page_size, tina__plan *plan)
{
    tina__limits_of(spec, shard, shard_count, &plan->limits);
    peer_sums peers = sum_peers(spec, shard, shard_count);
    fill_counts(&peers, plan);
    fill_table(spec, shard, shard_count, page_size, &peers, plan);
    if (!fits(plan))
        return false;
    plan->user_offset = page_size;
    size_t end = lay(plan, TINA__REGION_STRUCTS, TINA__REGION_FIRST_RUNTIME, plan->user_offset);
    plan->user_size = tina__align_up(end, page_size) - plan->user_offset;
    plan->runtime_offset = plan->user_offset + plan->user_size + page_size;
    end = lay(plan, TINA__REGION_FIRST_RUNTIME, TINA__REGION_COUNT, plan->runtime_offset);
    plan->runtime_size = tina__align_up(end, page_size) - plan->runtime_offset;
    plan->total = plan->runtime_offset + plan->runtime_size + page_size;
    return true;
}

size_t tina__plan_memory(const tina__plan *plan) { return plan->user_size + plan->runtime_size; }

tina__spsc *tina__plan_channel(const tina__plan *plan, void *base, size_t source, size_t destination)
{
    tina__spsc *channels = tina__plan_at(plan, base, TINA__REGION_CHANNELS);
    return &channels[source < destination ? source : source - 1];
}
