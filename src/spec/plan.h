/*
 * How much memory a shard takes and where each part of it lies: one table, summed
 * in the open. Validation, tina_spec_memory, the budget, carving and the boot
 * report all read it. Pure; any thread.
 *
 * A shard's mapping: a guard page, what handlers may write (structs, working
 * memory, scratch, transfers), a guard page, what the runtime keeps, a guard page.
 */
#ifndef TINA__SPEC_PLAN_H
#define TINA__SPEC_PLAN_H

#include "core/shard.h"
#include "spec/defaults.h"

typedef enum tina__region_id {
    /* The handlers'. */
    TINA__REGION_STRUCTS, /* by type */
    TINA__REGION_WORKING, /* by type */
    TINA__REGION_SCRATCH,
    TINA__REGION_TRANSFERS,
    /* The runtime's. */
    TINA__REGION_SHARD,
    TINA__REGION_TYPES,
    TINA__REGION_TYPE_RECORDS,
    TINA__REGION_ISOLATES,
    TINA__REGION_MAIL,
    TINA__REGION_TIMER_GENERATIONS,
    TINA__REGION_WATCH_BUCKETS,
    TINA__REGION_OWED,
    TINA__REGION_OPERATIONS,
    TINA__REGION_DESCRIPTORS,
    TINA__REGION_BUFFERS,
    TINA__REGION_ANNEXES,
    TINA__REGION_BUFFER_LINKS,
    TINA__REGION_BUFFER_USERS,
    TINA__REGION_TRANSFER_RECORDS,
    TINA__REGION_CHILDREN,
    TINA__REGION_NAMES,
    TINA__REGION_GROUPS,
    TINA__REGION_BUDGETS,
    TINA__REGION_PEERS,
    TINA__REGION_PLACES,
    TINA__REGION_CHANNELS,
    TINA__REGION_CHANNEL_SLOTS,
    TINA__REGION_INBOX,
    TINA__REGION_INBOX_SLOTS,
    TINA__REGION_LOG,
    TINA__REGION_LOG_BYTES,
    TINA__REGION_TRACE,
    TINA__REGION_TRACE_EVENTS,
    TINA__REGION_TRACE_DUMP,
    TINA__REGION_WHEEL,
    TINA__REGION_BACKEND,
    TINA__REGION_COUNT,
} tina__region_id;

#define TINA__REGION_FIRST_RUNTIME TINA__REGION_SHARD

typedef struct tina__region {
    const char *name;
    size_t count, stride, alignment;
    size_t offset, size; /* in the mapping */
} tina__region;

typedef struct tina__plan {
    tina__limits limits;
    uint32_t group_count; /* those of the tree, and that of the unsupervised */
    uint32_t owed_count;
    uint32_t bucket_count;
    tina__backend_config backend; /* its counts; no pointers yet */
    tina__region regions[TINA__REGION_COUNT];
    size_t user_offset, user_size;       /* page-aligned */
    size_t runtime_offset, runtime_size; /* page-aligned */
    size_t total;                        /* of the mapping, guards included */
} tina__plan;

/* spec has passed tina__spec_check. False: it does not fit into an address space. */
bool tina__plan_make(const tina_system_spec *spec, size_t shard, size_t shard_count, size_t page_size, tina__plan *plan);

/* What it takes of the machine's memory: the mapping without its guards. */
size_t tina__plan_memory(const tina__plan *plan);

/* A shard's channels: how many messages each holds, and beyond, how many answers: to its own calls, and of its own. */
typedef struct tina__peer_plan {
    uint32_t in, in_answers, out_answers;
} tina__peer_plan;
void tina__plan_peers(const tina_system_spec *spec, size_t shard, size_t shard_count, tina__peer_plan *peers);

/* Where the channel from source lies in the mapping of the shard that reads it. */
tina__spsc *tina__plan_channel(const tina__plan *plan, void *base, size_t source, size_t destination);

static inline void *tina__plan_at(const tina__plan *plan, void *base, tina__region_id id)
{
    return (uint8_t *)base + plan->regions[id].offset;
}

/* A type's bytes per slot: its struct, and the red zone behind it; its working memory, with its header; 0: none. */
size_t tina__plan_struct_stride(const tina_type *type);
size_t tina__plan_working_stride(const tina_type *type);

#endif
