/*
 * What was seen of each slot at the last check. A slot that has been given to
 * somebody else has another generation, and generations only grow.
 *
 * Isolates and transfers get a new one when they end; timers, operations and
 * descriptors, when they are taken.
 */
#include "core/lookup.h"
#include "core/timers.h"
#include "sim/ledger_inside.h"

size_t tina__ledger_slot_count(const tina__shard *shard)
{
    const tina__shard_parts *p = &shard->p;
    return (size_t)p->slot_count + p->descriptor_count + p->operation_count + p->timer_count + p->transfer_count;
}

void tina__ledger_remember(tina__shard_memory *memory, const tina__shard *shard, tina__slot_memory *slots)
{
    const tina__shard_parts *p = &shard->p;
    memory->isolates = slots;
    memory->descriptors = memory->isolates + p->slot_count;
    memory->operations = memory->descriptors + p->descriptor_count;
    memory->timers = memory->operations + p->operation_count;
    memory->transfers = memory->timers + p->timer_count;
}

/* ---- Then and now -------------------------------------------------------------------------- */

#define BITS_MIN 20 /* of fewer, a slot may have gone through all generations between two checks */

/* Round the end of its bits, too. */
static bool has_grown(uint32_t before, uint32_t now, uint32_t mask)
{
    return before == 0 || ((now - before) & mask) <= mask / 2;
}

static bool is_same(const tina__slot_memory *before, uint32_t generation)
{
    return before->generation != 0 && before->generation == generation;
}

static tina__slot_memory see(tina__slot_memory *memory, uint32_t generation, uint32_t what)
{
    tina__slot_memory before = *memory;
    *memory = (tina__slot_memory){.generation = generation, .what = what};
    return before;
}

/* ---- Of each kind ------------------------------------------------------------------------------ */

/* A record of its own says most; others, which group spawned them. */
static uint32_t what_isolate(const tina__isolate *isolate)
{
    if (isolate->state == TINA__ISOLATE_FREE)
        return TINA__NONE;
    return isolate->child != TINA__NONE ? isolate->child : 1u << 31 | isolate->group;
}

static const char *look_at_isolates(tina__slot_memory *memory, const tina__shard *shard, const tina__type *type)
{
    for (uint32_t slot = 0; slot < type->pool.fresh; slot++) {
        const tina__isolate *isolate = &type->isolates[slot];
        uint32_t what = what_isolate(isolate);
        tina__slot_memory before = see(&memory[tina__isolate_index(shard, isolate)], isolate->generation, what);
        if (!has_grown(before.generation, isolate->generation, TINA__GENERATION_MASK))
            return "the generations of isolates only grow";
        if (is_same(&before, isolate->generation) && before.what != TINA__NONE && before.what != what)
            return "an isolate of the same generation is the same";
    }
    return NULL;
}

static const char *look_at_all_isolates(tina__slot_memory *memory, const tina__shard *shard)
{
    const char *broken = NULL;
    for (uint32_t i = 0; i < shard->p.type_count && broken == NULL; i++)
        broken = look_at_isolates(memory, shard, &shard->p.types[i]);
    return broken;
}

static uint32_t what_descriptor(const tina__descriptor *descriptor)
{
    if (descriptor->state == TINA__DESCRIPTOR_FREE)
        return TINA__NONE;
    return descriptor->state == TINA__DESCRIPTOR_OPEN ? (uint32_t)descriptor->os_fd : 1u << 31 | descriptor->state;
}

static bool is_number(uint32_t what) { return what >> 31 == 0; }

/* Kept, then open, then closed. */
static const char *look_at_descriptors(tina__slot_memory *memory, const tina__shard *shard)
{
    for (uint32_t i = 0; i < shard->descriptors.fresh; i++) {
        const tina__descriptor *descriptor = &shard->p.descriptors[i];
        uint32_t what = what_descriptor(descriptor);
        tina__slot_memory before = see(&memory[i], descriptor->generation, what);
        if (!has_grown(before.generation, descriptor->generation, TINA__WORD_GENERATION_MASK))
            return "the generations of descriptors only grow";
        if (!is_same(&before, descriptor->generation) || before.what == what)
            continue;
        if (before.what == TINA__NONE || (is_number(before.what) && is_number(what)))
            return "a descriptor of the same generation is the same";
    }
    return NULL;
}

static const char *look_at_operations(tina__slot_memory *memory, const tina__shard *shard)
{
    for (uint32_t i = 0; i < shard->operations.fresh; i++) {
        const tina__operation *operation = &shard->p.operations[i];
        uint32_t what = operation->state == TINA__OPERATION_FREE ? TINA__NONE : operation->descriptor;
        tina__slot_memory before = see(&memory[i], operation->generation, what);
        if (!has_grown(before.generation, operation->generation, TINA__WORD_GENERATION_MASK))
            return "the generations of operations only grow";
        if (is_same(&before, operation->generation) && what != TINA__NONE && before.what != what)
            return "an operation of the same generation is the same";
    }
    return NULL;
}

/* Its owner, of which the header speaks, whatever the slot is at the moment. */
static uint32_t what_timer(const tina__timer_slot *slot)
{
    if (slot->use == TINA__TIMER_FREE)
        return TINA__NONE;
    uint64_t bits = slot->destination.bits;
    return (uint32_t)(bits ^ bits >> 32) & ~(1u << 31);
}

static const char *look_at_timers(tina__slot_memory *memory, const tina__shard *shard)
{
    for (uint32_t i = 0; i < shard->timers.fresh; i++) {
        uint32_t generation = shard->p.timer_generations[i];
        uint32_t what = what_timer(tina__timer_at(shard, i));
        tina__slot_memory before = see(&memory[i], generation, what);
        if (!has_grown(before.generation, generation, TINA__WORD_GENERATION_MASK))
            return "the generations of timers only grow";
        if (is_same(&before, generation) && what != TINA__NONE && before.what != what)
            return "a timer of the same generation is the same";
    }
    return NULL;
}

/* Who writes it; one that is free or carried is nobody's. */
static const char *look_at_transfers(tina__slot_memory *memory, const tina__shard *shard)
{
    for (uint32_t i = 0; i < shard->transfers.fresh; i++) {
        const tina__transfer_record *record = &shard->p.transfer_records[i];
        tina__slot_memory before = see(&memory[i], record->generation, record->isolate);
        if (!has_grown(before.generation, record->generation, TINA__WORD_GENERATION_MASK))
            return "the generations of transfers only grow";
        bool has_writers = before.what != TINA__NONE && record->isolate != TINA__NONE;
        if (is_same(&before, record->generation) && has_writers && before.what != record->isolate)
            return "a transfer of the same generation is the same";
    }
    return NULL;
}

const char *tina__ledger_slots_broken(tina__shard_memory *memory, const tina__shard *shard)
{
    if (TINA__GENERATION_BITS < BITS_MIN || TINA__WORD_GENERATION_BITS < BITS_MIN)
        return NULL;
    const char *broken = look_at_all_isolates(memory->isolates, shard);
    if (broken == NULL)
        broken = look_at_descriptors(memory->descriptors, shard);
    if (broken == NULL)
        broken = look_at_operations(memory->operations, shard);
    if (broken == NULL)
        broken = look_at_timers(memory->timers, shard);
    return broken != NULL ? broken : look_at_transfers(memory->transfers, shard);
}
