/*
 * The numbers that a spec leaves at 0, and the questions that boot asks of a spec.
 *
 * Pure functions of a spec that has passed tina__spec_check; any thread. Sums
 * saturate. An explicit number is taken as it is, TINA_NONE as 0 where the spec
 * allows it; a 0 is derived:
 *
 *   slot_total           the slots of all types on this shard; a type's 0 is 1
 *   message_count        slots times mailbox capacity, summed over the types; 64 .. 65,536
 *   channel_capacity     16,384 / shard_count; 64 .. 1,024
 *   inbox_capacity       1,024
 *   timer_count          slot_total + 64; at most 65,536
 *   watch_count          slot_total + 64; at most 8,192
 *   fd_count             slot_total + 64; at most 65,536
 *   op_count             one for each descriptor, and a second one for up to 8,192 of them; at most 1,048,575
 *   buffer_count         fd_count; 64 .. 1,024; none without descriptors
 *   buffer_size          4,096; any size is rounded up to 64
 *   transfer_count       slot_total; 16 .. 256
 *   transfer_size        4,096
 *   scratch_size         65,536
 *   stack_size           262,144
 *   log_size             65,536; any size is rounded up to a power of two
 *   file_threads         2, where there are descriptors
 *   trace_count          1,024; any count is rounded up to a power of two
 *   timer_resolution_ns  1,000,000
 *   dynamic_max          slot_total; 0 where the strategy is not one_for_one
 *   restartable_count    the sum of the groups' dynamic_max, of those that are given, and 4,096 for the others;
 *                        at most slot_total
 *
 * In the hostile twin the derived numbers are the smallest that a working program
 * can do with, so that every run meets the limits: 64 messages, channels of 2, an
 * inbox of 4, slot_total + 4 timers and watches, slot_total + 16 descriptors, as many
 * operations, 4 buffers, 2 transfers, 1,024 bytes of log.
 */
#ifndef TINA__SPEC_DEFAULTS_H
#define TINA__SPEC_DEFAULTS_H

#include <stddef.h>
#include <stdint.h>
#include <tina/spec.h>

#define TINA__COUNT_MAX 1048575u /* of any pool of a shard */

typedef struct tina__limits {
    uint32_t slot_total;
    uint32_t message_count;
    uint32_t channel_capacity; /* where no channel spec says otherwise */
    uint32_t inbox_capacity;
    uint32_t timer_count;
    uint32_t watch_count;
    uint32_t trace_count;
    uint32_t file_threads;
    uint32_t fd_count;
    uint32_t op_count;
    uint32_t buffer_count;
    uint32_t buffer_size;
    uint32_t transfer_count;
    uint32_t transfer_size;
    uint32_t scratch_size;
    uint32_t stack_size;
    uint32_t log_size;
    uint64_t timer_resolution_ns;
    uint32_t group_count;       /* of the tree, the root included */
    uint32_t child_count;       /* static children of all groups, groups included */
    uint32_t restartable_count; /* spawned children that may be restarted: those that need an entry in the tree */
    uint32_t budget_entries;    /* of all groups */
    uint32_t name_count;        /* one more than the highest name of a child or a group */
} tina__limits;

/* One shard's numbers. shard is below shard_count, which is not 0. */
void tina__limits_of(const tina_system_spec *spec, size_t shard, size_t shard_count, tina__limits *out);

/* How many isolates of a type may be alive on a shard. A 0 in a shard's slot_counts means the type's own. */
uint32_t tina__limits_slots(const tina_system_spec *spec, size_t shard, size_t type);

uint32_t tina__type_mailbox_capacity(const tina_type *type); /* 0: 256 */
uint32_t tina__spec_scratch_size(const tina_system_spec *spec);

/* The supervision tree of a shard. */
const tina_group_spec *tina__spec_root(const tina_system_spec *spec, size_t shard);

/* How many spawned children of a group may be alive at once, where the shard has so many slots. */
uint32_t tina__group_dynamic_max(const tina_group_spec *group, uint32_t slot_total);

/*
 * Messages in all channels that a shard reads (in, by source) and writes (out, by
 * destination): the last channel spec that matches each, or the default.
 */
typedef struct tina__channel_row {
    uint32_t in[TINA_SHARDS_MAX], out[TINA_SHARDS_MAX];
} tina__channel_row;
void tina__spec_channel_row(const tina_system_spec *spec, size_t shard, size_t shard_count, tina__channel_row *row);

/* How many shards the system has: the spec's number, or one for each of core_count cores; one that is external. 1 .. 254. */
size_t tina__spec_shard_count(const tina_system_spec *spec, size_t core_count);

#endif
