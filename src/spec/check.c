#include "spec/check.h"

#include "base/assert.h"
#include "base/bits.h"
#include "spec/defaults.h"
#include "spec/tree.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    NAME_MAX_BYTES = 63,
    SIZE_MAX_BYTES = 16 << 20,
    MAILBOX_MAX = 65535,
    CHILDREN_MAX = 65535, /* of a shard, groups included */
    GROUPS_MAX = 32767,   /* of a shard, besides its root */
    NAMES = 65536,
    SLOT_TOTAL_MAX = (1 << 24) - 1,
    CHANNEL_MAX = 1 << 19,
    CHANNEL_SPECS_MAX = 65535,
    CPUS_MAX = 1024,
    GIB = 1 << 30,
    WATCHDOG_STALLS_MAX = 1000000,
    FILE_THREADS_MAX = 64,
    PATH_MAX_BYTES = 256, /* eight levels of children[65535].group, and what stands around them */
};

#define SECOND_NS         1000000000ull
#define WATCHDOG_LEAST_NS (SECOND_NS / 1000)
#define WATCHDOG_MOST_NS  (3600 * SECOND_NS)
#define BACKOFF_MOST_NS   (24 * 3600 * SECOND_NS)

/* Where the check stands, to be spelled out only when a rule is broken: [shards[shard].][tree][list[index].]field */
typedef struct place {
    tina_error *error;
    const tina_system_spec *spec;
    const char *list; /* NULL: none */
    size_t index;
    size_t shard;                /* NO_SHARD: none */
    const tina__tree_walk *tree; /* in one of its groups; NULL: not in a tree */
} place;

#define NO_SHARD SIZE_MAX

#define STATS_PATH_MAX 255 /* bytes */

static place in_list(const place *at, const char *list, size_t index)
{
    place inner = *at;
    inner.list = list;
    inner.index = index;
    return inner;
}

typedef struct path {
    char text[PATH_MAX_BYTES];
    size_t length;
} path;

static void __attribute__((format(printf, 2, 3))) add_to_path(path *to, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int more = vsnprintf(to->text + to->length, sizeof to->text - to->length, format, arguments);
    va_end(arguments);
    to->length += more < 0 ? 0 : (size_t)more;
    tina__assert(to->length < sizeof to->text);
}

/* As it stands in the spec: "root.", "root.children[2].group.". */
static void add_group(path *to, const tina__tree_walk *tree)
{
    add_to_path(to, "root.");
    for (uint32_t depth = 0; depth < tree->depth; depth++)
        add_to_path(to, "children[%zu].group.", tree->child[depth]);
}

static void add_place(path *to, const place *at, const char *field)
{
    if (at->shard != NO_SHARD)
        add_to_path(to, "shards[%zu].", at->shard);
    if (at->tree != NULL)
        add_group(to, at->tree);
    if (at->list != NULL)
        add_to_path(to, "%s[%zu]%s", at->list, at->index, field[0] != '\0' ? "." : "");
    add_to_path(to, "%s", field);
}

/* Into a zeroed error. Deep in a tree the end says more than the beginning. */
static void write_path(tina_error *error, const path *from)
{
    static const char cut[] = {'.', '.', '.'};
    size_t room = sizeof error->path - 1;
    if (from->length <= room) {
        memcpy(error->path, from->text, from->length);
        return;
    }
    memcpy(error->path, cut, sizeof cut);
    memcpy(error->path + sizeof cut, from->text + from->length - (room - sizeof cut), room - sizeof cut);
}

/* Always false. field is "" where the list's element itself is meant. */
static bool __attribute__((format(printf, 3, 4))) refuse(const place *at, const char *field, const char *format, ...)
{
    if (at->error == NULL)
        return false;
    path where = {.length = 0};
    memset(at->error, 0, sizeof *at->error);
    at->error->status = TINA_INVALID;
    add_place(&where, at, field);
    write_path(at->error, &where);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(at->error->message, sizeof at->error->message, format, arguments);
    va_end(arguments);
    return false;
}

static bool is_within(const place *at, const char *field, uint64_t value, uint64_t least, uint64_t most)
{
    if (value >= least && value <= most)
        return true;
    if (least == 0)
        return refuse(at, field, "must be at most %ju, not %ju", (uintmax_t)most, (uintmax_t)value);
    return refuse(at, field, "must be %ju to %ju, not %ju", (uintmax_t)least, (uintmax_t)most, (uintmax_t)value);
}

/* 0 stands for the default. */
static bool is_default_or_within(const place *at, const char *field, uint64_t value, uint64_t least, uint64_t most)
{
    if (value == 0 || (value >= least && value <= most))
        return true;
    if (least <= 1)
        return is_within(at, field, value, 0, most);
    return refuse(at, field, "must be 0 or %ju to %ju, not %ju", (uintmax_t)least, (uintmax_t)most, (uintmax_t)value);
}

static bool is_none_or_at_most(const place *at, const char *field, uint32_t value, uint32_t most)
{
    if (value == TINA_NONE || value <= most)
        return true;
    return refuse(at, field, "must be at most %u or TINA_NONE, not %u", most, value);
}

static bool is_set(const place *at, const char *field, bool set) { return set || refuse(at, field, "must not be NULL"); }

/* A list may be NULL where it is empty. */
static bool list_is_there(const place *at, const char *field, const void *list, const char *count_field, size_t count)
{
    if (count == 0 || list != NULL)
        return true;
    return refuse(at, field, "must not be NULL where %s is %zu", count_field, count);
}

/* ---- Types ---- */

static bool type_name(const place *at, const tina_type *type)
{
    if (!is_set(at, "name", type->name != NULL))
        return false;
    size_t length = strnlen(type->name, NAME_MAX_BYTES + 1);
    if (length == 0)
        return refuse(at, "name", "must not be empty");
    return length <= NAME_MAX_BYTES || refuse(at, "name", "must be at most %d bytes long", NAME_MAX_BYTES);
}

static bool type_scratch_max(const place *at, const tina_type *type)
{
    uint32_t most = tina__spec_scratch_size(at->spec);
    if (type->scratch_max <= most)
        return true;
    return refuse(at, "scratch_max", "must be at most %u, the scratch_size, not %u", most, type->scratch_max);
}

static bool type_rules(const place *at, const tina_type *type)
{
    return type_name(at, type) && is_set(at, "init", type->init != NULL) && is_set(at, "handler", type->handler != NULL) &&
           is_within(at, "size", type->size, 1, SIZE_MAX_BYTES) &&
           is_within(at, "slot_count", type->slot_count, 0, TINA_SLOTS_MAX) &&
           is_within(at, "working_size", type->working_size, 0, GIB) && type_scratch_max(at, type) &&
           is_within(at, "mailbox_capacity", type->mailbox_capacity, 0, MAILBOX_MAX) &&
           is_within(at, "containment", type->containment, 0, TINA_CONTAIN_PROCESS);
}

static bool types_rules(const place *at)
{
    const tina_system_spec *spec = at->spec;
    if (!is_set(at, "types", spec->types != NULL) || !is_within(at, "type_count", spec->type_count, 1, TINA_TYPES_MAX))
        return false;
    for (size_t i = 0; i < spec->type_count; i++) {
        place inner = in_list(at, "types", i);
        if (!type_rules(&inner, &spec->types[i]))
            return false;
    }
    return true;
}

/* ---- Numbers ---- */

typedef struct number_rule {
    const char *field;
    size_t offset;
    uint32_t least, most; /* besides 0 */
    bool none_allowed;
} number_rule;

#define NUMBER(field) #field, offsetof(tina_system_spec, field)

static const number_rule number_rules[] = {
    {NUMBER(message_count), 1, TINA__COUNT_MAX, false},
    {NUMBER(channel_capacity), 1, CHANNEL_MAX, false},
    {NUMBER(inbox_capacity), 1, 1 << 20, false},
    {NUMBER(timer_count), 1, TINA__COUNT_MAX, true},
    {NUMBER(watch_count), 1, TINA__COUNT_MAX, true},
    {NUMBER(fd_count), 1, TINA__COUNT_MAX, true},
    {NUMBER(op_count), 1, TINA__COUNT_MAX, true},
    {NUMBER(buffer_count), 2, TINA__COUNT_MAX, true}, /* half of them are kept for receives */
    {NUMBER(buffer_size), 64, 16 << 20, false},
    {NUMBER(transfer_count), 1, TINA__COUNT_MAX, true},
    {NUMBER(transfer_size), 1, GIB, false},
    {NUMBER(scratch_size), 1, GIB, false},
    {NUMBER(stack_size), 16 << 10, GIB, false},
    {NUMBER(log_size), 1024, GIB, false},
    {NUMBER(trace_count), 16, 1 << 24, false},
    {NUMBER(file_threads), 1, FILE_THREADS_MAX, true},
    {NUMBER(memory_permille), 1, 1000, false},
};

static bool number(const place *at, const number_rule *rule)
{
    uint32_t value;
    memcpy(&value, (const char *)at->spec + rule->offset, sizeof value);
    if (rule->none_allowed && (value == TINA_NONE || (value != 0 && value > rule->most)))
        return is_none_or_at_most(at, rule->field, value, rule->most);
    return is_default_or_within(at, rule->field, value, rule->least, rule->most);
}

static bool numbers_rules(const place *at)
{
    for (size_t i = 0; i < sizeof number_rules / sizeof number_rules[0]; i++) {
        if (!number(at, &number_rules[i]))
            return false;
    }
    return is_default_or_within(at, "timer_resolution_ns", at->spec->timer_resolution_ns, 1000, SECOND_NS);
}

static bool watchdog_rules(const place *at)
{
    uint64_t interval_ns = at->spec->watchdog_interval_ns;
    if (!is_none_or_at_most(at, "watchdog_stalls", at->spec->watchdog_stalls, WATCHDOG_STALLS_MAX))
        return false;
    if (interval_ns == 0 || interval_ns == TINA_NONE_NS ||
        (interval_ns >= WATCHDOG_LEAST_NS && interval_ns <= WATCHDOG_MOST_NS))
        return true;
    return refuse(at, "watchdog_interval_ns", "must be 0, TINA_NONE_NS or %ju to %ju, not %ju", (uintmax_t)WATCHDOG_LEAST_NS,
                  (uintmax_t)WATCHDOG_MOST_NS, (uintmax_t)interval_ns);
}

static bool has_any(const place *at, const char *field, uint32_t count)
{
    return count != TINA_NONE || refuse(at, field, "must not be TINA_NONE where fd_count is not");
}

/* A descriptor without operations or buffers would be deaf. */
static bool descriptors_can_work(const place *at)
{
    const tina_system_spec *spec = at->spec;
    if (spec->fd_count == TINA_NONE)
        return true;
    return has_any(at, "op_count", spec->op_count) && has_any(at, "buffer_count", spec->buffer_count);
}

static bool choices_rules(const place *at)
{
    return is_within(at, "backend", at->spec->backend, 0, TINA_BACKEND_IOCP) &&
           is_within(at, "signals", at->spec->signals, 0, TINA_SIGNALS_NONE) &&
           is_within(at, "on_abort", at->spec->on_abort, 0, TINA_SUSPECT_PROCESS) &&
           is_within(at, "on_foreign_fault", at->spec->on_foreign_fault, 0, TINA_SUSPECT_PROCESS);
}

/* ---- Shards ---- */

static bool shard_count(const place *at)
{
    if (at->spec->external && at->spec->shard_count > 1)
        return refuse(at, "shard_count", "must be 1 or 0 where external is set, not %zu", at->spec->shard_count);
    if (at->spec->shards != NULL && at->spec->shard_count == 0)
        return refuse(at, "shard_count", "must be 1 to %d where shards is not NULL, not 0", TINA_SHARDS_MAX);
    return is_within(at, "shard_count", at->spec->shard_count, 0, TINA_SHARDS_MAX);
}

static bool slot_counts(const place *at, const uint32_t *counts)
{
    for (size_t type = 0; counts != NULL && type < at->spec->type_count; type++) {
        place inner = in_list(at, "slot_counts", type);
        if (!is_none_or_at_most(&inner, "", counts[type], TINA_SLOTS_MAX))
            return false;
    }
    return true;
}

static size_t shard_number(const place *at) { return at->shard != NO_SHARD ? at->shard : 0; }

static bool slot_total(const place *at, const uint32_t *counts)
{
    uint64_t total = 0;
    for (size_t type = 0; type < at->spec->type_count; type++)
        total += tina__limits_slots(at->spec, shard_number(at), type);
    if (total <= SLOT_TOTAL_MAX)
        return true;
    place types = *at;
    if (counts == NULL)
        types.shard = NO_SHARD;
    return refuse(&types, counts != NULL ? "slot_counts" : "types", "must make at most %d slots together, not %ju",
                  SLOT_TOTAL_MAX, (uintmax_t)total);
}

/* ---- Children ---- */

static bool child_type(const place *at, const tina_child *child)
{
    return is_within(at, "type", child->type, 0, at->spec->type_count - 1);
}

static bool child_args(const place *at, const tina_child *child)
{
    return is_within(at, "args_size", child->args_size, 0, TINA_ARGS_MAX) &&
           list_is_there(at, "args", child->args, "args_size", child->args_size);
}

static bool child_has_slot(const place *at, const tina_child *child, uint32_t *used)
{
    uint32_t slots = tina__limits_slots(at->spec, shard_number(at), child->type);
    if (++used[child->type] <= slots)
        return true;
    if (slots == 0)
        return refuse(at, "type", "must not be %u: that type has no slots on this shard", child->type);
    return refuse(at, "type", "must not be %u again: raise that type's slot_count, which is %u on this shard", child->type,
                  slots);
}

/* What the groups of one tree have used up together. */
typedef struct tree_state {
    tina__tree_walk walk;
    uint64_t child_names[NAMES / 64]; /* bits */
    uint64_t group_names[NAMES / 64];
    uint32_t used[TINA_TYPES_MAX]; /* slots */
    size_t child_count;
    size_t nested_count; /* groups */
} tree_state;

/* Marks a name. False: it was marked before. */
static bool mark(uint64_t *names, uint16_t name)
{
    uint64_t bit = 1ull << (name % 64);
    bool is_new = name == 0 || (names[name / 64] & bit) == 0;
    names[name / 64] |= bit;
    return is_new;
}

/* The first child of that name, as a walk stands in its group. */
static size_t first_named(tina__tree_walk *walk, const tina_group_spec *root, uint16_t name)
{
    tina__tree_begin(walk, root);
    for (const tina_group_spec *group = root; group != NULL; group = tina__tree_next(walk)) {
        for (size_t i = 0; i < group->child_count; i++) {
            if (group->children[i].group == NULL && group->children[i].name == name)
                return i;
        }
    }
    return 0;
}

static bool child_name(const place *at, const tina_child *child, tree_state *state)
{
    if (mark(state->child_names, child->name))
        return true;
    tina__tree_walk walk;
    path first = {.length = 0};
    size_t index = first_named(&walk, state->walk.path[0], child->name);
    add_group(&first, &walk);
    return refuse(at, "name", "must be unique on its shard: %schildren[%zu] has %u too", first.text, index, child->name);
}

static bool isolate_rules(const place *at, const tina_child *child, tree_state *state)
{
    return child_type(at, child) && child_args(at, child) && child_name(at, child, state) &&
           child_has_slot(at, child, state->used);
}

static bool nested_rules(const place *at, tree_state *state)
{
    if (state->walk.depth + 1 == TINA_GROUP_DEPTH_MAX)
        return refuse(at, "group", "must be NULL: groups are at most %d in one another", TINA_GROUP_DEPTH_MAX);
    return ++state->nested_count <= GROUPS_MAX ||
           refuse(at, "group", "must be NULL: a shard has at most %d groups besides its root", GROUPS_MAX);
}

static bool child_rules(const place *at, const tina_child *child, tree_state *state)
{
    if (!is_within(at, "restart", child->restart, 0, TINA_TEMPORARY))
        return false;
    return child->group != NULL ? nested_rules(at, state) : isolate_rules(at, child, state);
}

static bool children_rules(const place *at, const tina_group_spec *group, tree_state *state)
{
    for (size_t i = 0; i < group->child_count; i++) {
        place inner = in_list(at, "children", i);
        if (!child_rules(&inner, &group->children[i], state))
            return false;
    }
    return true;
}

/* Over all groups: one that is many times in a tree would otherwise be walked for ever. */
static bool group_child_count(const place *at, const tina_group_spec *group, tree_state *state)
{
    size_t left = CHILDREN_MAX - state->child_count;
    if (group->child_count > left && left != CHILDREN_MAX)
        return refuse(at, "child_count", "must be at most %zu, not %zu: a shard has at most %d children", left,
                      group->child_count, CHILDREN_MAX);
    state->child_count += group->child_count;
    return is_within(at, "child_count", group->child_count, 0, CHILDREN_MAX) &&
           list_is_there(at, "children", group->children, "child_count", group->child_count);
}

static bool group_name(const place *at, uint16_t name, tree_state *state)
{
    if (!is_within(at, "name", name, 0, TINA_GROUP_SELF - 1))
        return false;
    return mark(state->group_names, name) ||
           refuse(at, "name", "must be unique on its shard: another group has %u too", name);
}

static bool group_dynamic_max(const place *at, const tina_group_spec *group)
{
    if (group->strategy == TINA_ONE_FOR_ONE)
        return is_none_or_at_most(at, "dynamic_max", group->dynamic_max, SLOT_TOTAL_MAX);
    return group->dynamic_max == 0 || group->dynamic_max == TINA_NONE ||
           refuse(at, "dynamic_max", "must be 0 or TINA_NONE where strategy is not TINA_ONE_FOR_ONE, not %u",
                  group->dynamic_max);
}

static bool group_backoff(const place *at, const tina_group_spec *group)
{
    if (!is_within(at, "backoff_ns", group->backoff_ns, 0, BACKOFF_MOST_NS) ||
        !is_within(at, "backoff_max_ns", group->backoff_max_ns, 0, BACKOFF_MOST_NS))
        return false;
    return group->backoff_max_ns == 0 || group->backoff_max_ns >= group->backoff_ns ||
           refuse(at, "backoff_max_ns", "must be 0 or at least backoff_ns, %ju, not %ju", (uintmax_t)group->backoff_ns,
                  (uintmax_t)group->backoff_max_ns);
}

static bool group_rules(const place *at, const tina_group_spec *group, tree_state *state)
{
    return group_child_count(at, group, state) && group_name(at, group->name, state) &&
           is_within(at, "strategy", group->strategy, 0, TINA_REST_FOR_ONE) && group_dynamic_max(at, group) &&
           group_backoff(at, group) && children_rules(at, group, state);
}

static bool tree_rules(const place *at, const tina_group_spec *root)
{
    tree_state state = {0};
    place inner = *at;
    inner.tree = &state.walk;
    tina__tree_begin(&state.walk, root);
    for (const tina_group_spec *group = root; group != NULL; group = tina__tree_next(&state.walk)) {
        if (!group_rules(&inner, group, &state))
            return false;
    }
    return true;
}

static bool shards_rules(const place *at)
{
    const tina_system_spec *spec = at->spec;
    if (spec->shards == NULL)
        return slot_total(at, NULL) && tree_rules(at, &spec->root);
    for (size_t i = 0; i < spec->shard_count; i++) {
        const tina_shard_spec *shard = &spec->shards[i];
        place inner = *at;
        inner.shard = i;
        if (!slot_counts(&inner, shard->slot_counts) || !slot_total(&inner, shard->slot_counts) ||
            !tree_rules(&inner, &shard->root))
            return false;
    }
    return true;
}

/* ---- Channels and cores ---- */

static bool channel_end(const place *at, const char *field, int32_t end)
{
    size_t count = at->spec->shard_count != 0 ? at->spec->shard_count : TINA_SHARDS_MAX;
    if (end >= -1 && end < (int32_t)count)
        return true;
    return refuse(at, field, "must be -1 to %zu, not %d", count - 1, end);
}

static bool channels_rules(const place *at)
{
    const tina_system_spec *spec = at->spec;
    if (!is_within(at, "channel_spec_count", spec->channel_spec_count, 0, CHANNEL_SPECS_MAX) ||
        !list_is_there(at, "channels", spec->channels, "channel_spec_count", spec->channel_spec_count))
        return false;
    for (size_t i = 0; i < spec->channel_spec_count; i++) {
        const tina_channel_spec *channel = &spec->channels[i];
        place inner = in_list(at, "channels", i);
        if (!channel_end(&inner, "source", channel->source) || !channel_end(&inner, "destination", channel->destination) ||
            !is_within(&inner, "capacity", channel->capacity, 1, CHANNEL_MAX))
            return false;
    }
    return true;
}

static bool cpus_rules(const place *at)
{
    const tina_system_spec *spec = at->spec;
    if (!is_within(at, "cpu_count", spec->cpu_count, 0, CPUS_MAX) ||
        !list_is_there(at, "cpus", spec->cpus, "cpu_count", spec->cpu_count))
        return false;
    for (size_t i = 0; i < spec->cpu_count; i++) {
        place inner = in_list(at, "cpus", i);
        if (!is_within(&inner, "", spec->cpus[i], 0, CPUS_MAX - 1))
            return false;
    }
    return true;
}

/* ---- The statistics page ---- */

static bool stats_path_rule(const place *at)
{
    const char *given = at->spec->stats_path;
    size_t length = given != NULL ? strnlen(given, STATS_PATH_MAX + 1) : 1;
    return (length >= 1 && length <= STATS_PATH_MAX) ||
           refuse(at, "stats_path", "must be 1 to %d bytes long", STATS_PATH_MAX);
}

static bool (*const rules[])(const place *at) = {
    numbers_rules, watchdog_rules, descriptors_can_work, choices_rules, types_rules,
    shard_count,   shards_rules,   channels_rules,       cpus_rules,    stats_path_rule,
};

tina_status tina__spec_check(const tina_system_spec *spec, tina_error *error)
{
    place at = {.error = error, .spec = spec, .shard = NO_SHARD};
    if (!is_set(&at, "spec", spec != NULL))
        return TINA_INVALID;
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if (!rules[i](&at))
            return TINA_INVALID;
    }
    return TINA_OK;
}
