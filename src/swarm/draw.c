#include "swarm/draw.h"

#include "base/assert.h"
#include "base/prng.h"

#include <string.h>

/* ---- Dice ---------------------------------------------------------------------------- */

/* FNV-1a, of the name: a knob keeps its stream wherever it stands in the table. */
static uint64_t hash_name(const char *name)
{
    uint64_t hash = 0xCBF29CE484222325u;
    for (; *name != '\0'; name++)
        hash = (hash ^ (uint8_t)*name) * 0x100000001B3u;
    return hash;
}

static tina__prng stream_of(uint64_t seed, tina__knob knob)
{
    tina__prng stream;
    tina__prng_seed(&stream, tina__mix64(seed) ^ hash_name(tina__knob_name(knob)));
    return stream;
}

static uint64_t draw_between(tina__prng *stream, uint64_t least, uint64_t most)
{
    return least + tina__prng_below(stream, most - least + 1);
}

static unsigned bit_length(uint64_t value) { return value == 0 ? 0 : 64 - (unsigned)__builtin_clzll(value); }

/* Each order of magnitude as likely as the next, as far as whole numbers can be. 1 <= least <= most < 2^63. */
static uint64_t draw_magnitude(tina__prng *stream, uint64_t least, uint64_t most)
{
    tina__assert(least >= 1);
    tina__assert(least <= most);
    uint64_t length = draw_between(stream, bit_length(least), bit_length(most));
    uint64_t low = 1ull << (length - 1), high = (low << 1) - 1;
    return draw_between(stream, low > least ? low : least, high < most ? high : most);
}

/* ---- Faults ---------------------------------------------------------------------------- */

/*
 * A ratio: one in so many. A range: its end. Zeroed: not drawn. Bit rot is not: who
 * keeps no checksums can't but be wrong.
 */
static const tina__bounds spans[TINA__KNOB_FIRST_LIMIT] = {
    [TINA__KNOB_HANDLER_CRASH] = {200, 1000000}, /* a budget of restarts is small: more often leaves nobody to talk to */
    [TINA__KNOB_INIT_CRASH] = {20, 5000},
    [TINA__KNOB_MESSAGE_DROP] = {20, 20000},
    [TINA__KNOB_PARTITION] = {100, 20000},
    [TINA__KNOB_PARTITION_HEAL] = {10, 2000},
    [TINA__KNOB_MESSAGE_DELAY] = {1, 100},
    [TINA__KNOB_IO_ERROR] = {20, 20000},
    [TINA__KNOB_CONNECTION_RESET] = {20, 20000},
    [TINA__KNOB_SHORT_IO] = {2, 2000},
    [TINA__KNOB_IO_DELAY] = {1, 100},
    [TINA__KNOB_DISK_ERROR] = {20, 20000},
    [TINA__KNOB_DISK_TORN_WRITE] = {2, 2000},
    [TINA__KNOB_DISK_LOST_WRITE] = {2, 2000},
    [TINA__KNOB_POOL_EMPTY] = {20, 20000},
    [TINA__KNOB_SHARD_STALL] = {50, 20000},
    [TINA__KNOB_SHARD_STALL_LENGTH] = {1, 100},
    [TINA__KNOB_SHARD_FAULT] = {1000, 100000},
    [TINA__KNOB_DATAGRAM_LOSS] = {5, 5000},
    [TINA__KNOB_DATAGRAM_DOUBLE] = {5, 5000},
};

static tina__setting draw_fault(tina__knob knob, tina__prng *stream)
{
    const tina__bounds *span = &spans[knob];
    uint64_t value = draw_magnitude(stream, span->least, span->most);
    if (tina__knob_form_of(knob) == TINA__FORM_RATIO)
        return (tina__setting){1, value};
    bool is_from_none = tina__prng_chance(stream, 1, 2);
    return (tina__setting){is_from_none ? 0 : draw_between(stream, 0, value), value};
}

/* A cut without an end is the end of the talk; a stall has a length. They go with what they belong to. */
static bool is_struck(tina__knob knob, tina__prng *stream, const tina__knobs *knobs)
{
    switch (knob) {
    case TINA__KNOB_PARTITION_HEAL: return tina__knob_is_on(knobs, TINA__KNOB_PARTITION);
    case TINA__KNOB_SHARD_STALL_LENGTH: return tina__knob_is_on(knobs, TINA__KNOB_SHARD_STALL);
    default: return tina__prng_chance(stream, 1, 2);
    }
}

static void draw_faults(uint64_t seed, tina__knobs *knobs)
{
    for (tina__knob knob = 0; knob < TINA__KNOB_FIRST_LIMIT; knob++) {
        tina__prng stream = stream_of(seed, knob);
        if (spans[knob].most != 0 && !tina__knob_is_on(knobs, knob) && is_struck(knob, &stream, knobs))
            knobs->of[knob] = draw_fault(knob, &stream);
    }
}

/* ---- What limits are by default, and at least ------------------------------------------------- */

enum {
    MESSAGES_LEAST = 16,
    MESSAGES_MIN = 64,
    MESSAGES_MAX = 65536,
    MAILBOX = 256,
    CHANNEL_MESSAGES = 16384,
    CHANNEL_MIN = 64,
    CHANNEL_MAX = 1024,
    INBOX = 1024,
    SPARE = 64, /* more timers, watches and descriptors than slots */
    POOL_MAX = 65536,
    POOL_LEAST = 4,
    BUFFERS_MIN = 64,
    BUFFERS_MAX = 1024,
    BUFFER_LEAST = 64,
    BUFFER_SIZE = 4096,
    TRANSFERS_MIN = 16,
    TRANSFERS_MAX = 256,
    RESTARTS_LEAST = 3,
    RESTARTS_ENOUGH = 100000,
    RESOLUTION_LEAST = 20000,
    RESOLUTION_NS = 1000000,
    SHARD_COUNT = 2, /* where the spec leaves it open */
};

static uint64_t clamp(uint64_t value, uint64_t least, uint64_t most)
{
    return value < least ? least : value > most ? most : value;
}

static uint64_t larger(uint64_t a, uint64_t b) { return a > b ? a : b; }

/* Of the shard that has the most of it. */
typedef struct need {
    uint64_t slots, messages;
    uint64_t children; /* static ones */
} need;

static uint64_t slots_of(const tina_system_spec *spec, size_t shard, size_t type)
{
    const uint32_t *counts = spec->shards != NULL ? spec->shards[shard].slot_counts : NULL;
    uint32_t count = counts != NULL && counts[type] != 0 ? counts[type] : spec->types[type].slot_count;
    if (count == TINA_NONE)
        return 0;
    return count == 0 ? 1 : count;
}

/* Isolates in a tree of groups. A checked one is at most TINA_GROUP_DEPTH_MAX deep. */
static uint64_t count_children(const tina_group_spec *root)
{
    const tina_group_spec *groups[TINA_GROUP_DEPTH_MAX] = {root};
    size_t next[TINA_GROUP_DEPTH_MAX] = {0};
    size_t depth = 0;
    uint64_t count = 0;
    while (true) {
        if (next[depth] == groups[depth]->child_count) {
            if (depth-- == 0)
                return count;
            continue;
        }
        const tina_child *child = &groups[depth]->children[next[depth]++];
        if (child->group == NULL) {
            count++;
            continue;
        }
        tina__assert(depth + 1 < TINA_GROUP_DEPTH_MAX);
        groups[++depth] = child->group;
        next[depth] = 0;
    }
}

static need need_of(const tina_system_spec *spec, size_t shard)
{
    need found = {.children = count_children(spec->shards != NULL ? &spec->shards[shard].root : &spec->root)};
    for (size_t type = 0; type < spec->type_count; type++) {
        uint64_t slots = slots_of(spec, shard, type);
        uint32_t mailbox = spec->types[type].mailbox_capacity;
        found.slots += slots;
        found.messages += slots * (mailbox == 0 ? MAILBOX : mailbox);
    }
    return found;
}

static need need_most(const tina_system_spec *spec)
{
    need most = {0};
    for (size_t shard = 0; shard < (spec->shards != NULL ? spec->shard_count : 1); shard++) {
        need found = need_of(spec, shard);
        most.slots = larger(most.slots, found.slots);
        most.messages = larger(most.messages, found.messages);
        most.children = larger(most.children, found.children);
    }
    return most;
}

static uint64_t descriptor_count(const tina_system_spec *spec, const need *most)
{
    return spec->fd_count != 0 ? spec->fd_count : clamp(most->slots + SPARE, 0, POOL_MAX);
}

/* A pool of which each static child may want one at once. */
static tina__bounds pool_bounds(const need *most, uint64_t enough)
{
    return (tina__bounds){larger(POOL_LEAST, most->children), enough};
}

static tina__bounds io_bounds(tina__knob knob, const tina_system_spec *spec, const need *most)
{
    uint64_t fds = descriptor_count(spec, most);
    if (fds == TINA_NONE)
        return (tina__bounds){0};
    switch (knob) {
    case TINA__KNOB_FD_COUNT: return pool_bounds(most, fds);
    case TINA__KNOB_OP_COUNT: return pool_bounds(most, 2 * fds);
    case TINA__KNOB_BUFFER_COUNT: return (tina__bounds){POOL_LEAST, clamp(fds, BUFFERS_MIN, BUFFERS_MAX)};
    default: return (tina__bounds){BUFFER_LEAST, BUFFER_SIZE};
    }
}

static tina__bounds bounds_of(tina__knob knob, const tina_system_spec *spec, const need *most)
{
    uint64_t shard_count = spec->shard_count != 0 ? spec->shard_count : SHARD_COUNT;
    switch (knob) {
    case TINA__KNOB_MESSAGE_COUNT:
        return (tina__bounds){larger(MESSAGES_LEAST, 2 * most->children), clamp(most->messages, MESSAGES_MIN, MESSAGES_MAX)};
    case TINA__KNOB_CHANNEL_CAPACITY:
        return (tina__bounds){1, clamp(CHANNEL_MESSAGES / shard_count, CHANNEL_MIN, CHANNEL_MAX)};
    case TINA__KNOB_INBOX_CAPACITY: return (tina__bounds){1, INBOX};
    case TINA__KNOB_TIMER_COUNT:
    case TINA__KNOB_WATCH_COUNT: return pool_bounds(most, clamp(most->slots + SPARE, 0, POOL_MAX));
    case TINA__KNOB_TRANSFER_COUNT: return (tina__bounds){1, clamp(most->slots, TRANSFERS_MIN, TRANSFERS_MAX)};
    case TINA__KNOB_SHARD_RESTART_MAX: return (tina__bounds){RESTARTS_LEAST, RESTARTS_ENOUGH};
    case TINA__KNOB_TIMER_RESOLUTION_NS: return (tina__bounds){RESOLUTION_LEAST, RESOLUTION_NS};
    default: return io_bounds(knob, spec, most);
    }
}

void tina__limit_bounds(const tina_system_spec *spec, tina__bounds bounds[TINA__KNOB_COUNT])
{
    need most = need_most(spec);
    for (tina__knob knob = 0; knob < TINA__KNOB_COUNT; knob++) {
        bounds[knob] = (tina__bounds){0};
        if (tina__knob_is_limit(knob) && tina__knob_limit_in(knob, spec) == 0)
            bounds[knob] = bounds_of(knob, spec, &most);
        if (bounds[knob].least >= bounds[knob].most)
            bounds[knob] = (tina__bounds){0};
    }
}

/* ---- Limits ---------------------------------------------------------------------------------------- */

/* A shard that is wiped again and again is soon given up: where wipes are drawn, mostly not. */
static bool is_limited(tina__knob knob, tina__prng *stream, const tina__knobs *knobs)
{
    if (knob != TINA__KNOB_SHARD_RESTART_MAX)
        return tina__prng_chance(stream, 1, 2);
    return tina__knob_is_on(knobs, TINA__KNOB_SHARD_FAULT) && tina__prng_chance(stream, 3, 4);
}

/* As large as by default, or larger: not a limit any more. */
static uint64_t widen(tina__knob knob, uint64_t value, uint32_t attempt, uint64_t most)
{
    if (knob == TINA__KNOB_SHARD_RESTART_MAX)
        return value;
    value <<= 3 * attempt;
    return value < most ? value : 0;
}

static void draw_limits(uint64_t seed, uint32_t attempt, const tina_system_spec *spec, tina__knobs *knobs)
{
    tina__bounds bounds[TINA__KNOB_COUNT];
    tina__limit_bounds(spec, bounds);
    for (tina__knob knob = TINA__KNOB_FIRST_LIMIT; knob <= TINA__KNOB_LAST_LIMIT; knob++) {
        tina__prng stream = stream_of(seed, knob);
        if (bounds[knob].most == 0 || !is_limited(knob, &stream, knobs))
            continue;
        uint64_t value = draw_magnitude(&stream, bounds[knob].least, bounds[knob].most);
        knobs->of[knob].first = widen(knob, value, attempt, bounds[knob].most);
    }
}

void tina__draw(uint64_t seed, uint32_t attempt, const tina_system_spec *spec, const tina_sim_config *config,
                tina__knobs *knobs)
{
    tina__assert(attempt < TINA__DRAWS_MAX);
    tina__knobs_take(knobs, config);
    draw_faults(seed, knobs);
    if (attempt < TINA__DRAWS_MAX - 1)
        draw_limits(seed, attempt, spec, knobs);
}
