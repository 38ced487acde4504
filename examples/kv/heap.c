#include "heap.h"

#include <assert.h>

/* Before each block. The units of the one before are what joins neighbours. */
typedef struct block {
    uint32_t units_before;
    uint32_t units : 31;
    uint32_t is_free : 1;
    heap_ref next, previous; /* only while it is free */
} block;

typedef struct place {
    uint32_t range, step;
} place;

static block *block_at(const kv_heap *heap, heap_ref ref) { return (block *)(void *)(heap->base + (size_t)ref * HEAP_UNIT); }

enum { STEP_BITS = 6, LOOKS = 16 };

/* Where a free block of so many units is listed. Below 128 each size has a list of its own. */
static place place_of(uint32_t units)
{
    if (units < HEAP_STEPS)
        return (place){0, units};
    uint32_t top = 31 - (uint32_t)__builtin_clz(units);
    return (place){top - STEP_BITS + 1, (units >> (top - STEP_BITS)) & (HEAP_STEPS - 1)};
}

/* The first list of which each block is large enough. */
static place place_for(uint32_t units)
{
    if (units >= HEAP_STEPS)
        units += (1u << (31 - (uint32_t)__builtin_clz(units) - STEP_BITS)) - 1;
    return place_of(units);
}

static void list(kv_heap *heap, heap_ref ref)
{
    block *me = block_at(heap, ref);
    place where = place_of(me->units);
    heap_ref *first = &heap->first[where.range][where.step];
    me->is_free = 1;
    me->previous = 0;
    me->next = *first;
    if (*first != 0)
        block_at(heap, *first)->previous = ref;
    *first = ref;
    heap->range_bits |= 1u << where.range;
    heap->step_bits[where.range] |= UINT64_C(1) << where.step;
}

static void unlist(kv_heap *heap, heap_ref ref)
{
    block *me = block_at(heap, ref);
    place where = place_of(me->units);
    me->is_free = 0;
    if (me->next != 0)
        block_at(heap, me->next)->previous = me->previous;
    if (me->previous != 0) {
        block_at(heap, me->previous)->next = me->next;
        return;
    }
    heap->first[where.range][where.step] = me->next;
    if (me->next != 0)
        return;
    heap->step_bits[where.range] &= ~(UINT64_C(1) << where.step);
    if (heap->step_bits[where.range] == 0)
        heap->range_bits &= ~(1u << where.range);
}

static heap_ref find(const kv_heap *heap, place where)
{
    if (where.range >= HEAP_RANGES)
        return 0;
    uint64_t steps = heap->step_bits[where.range] & (UINT64_MAX << where.step);
    if (steps == 0) {
        uint32_t ranges = heap->range_bits & (uint32_t)(UINT64_MAX << (where.range + 1));
        if (ranges == 0)
            return 0;
        where.range = (uint32_t)__builtin_ctz(ranges);
        steps = heap->step_bits[where.range];
    }
    return heap->first[where.range][__builtin_ctzll(steps)];
}

/* A unit at each end is never free: no block has to ask whether it has a neighbour. */
void heap_begin(kv_heap *heap, void *memory, size_t size)
{
    size_t units = size / HEAP_UNIT;
    *heap = (kv_heap){.base = memory};
    heap->unit_count = units > INT32_MAX ? INT32_MAX : (uint32_t)units;
    assert(heap->unit_count >= 3);
    uint32_t inner = heap->unit_count - 2;
    *block_at(heap, 0) = (block){.units = 1};
    *block_at(heap, 1) = (block){.units = inner & INT32_MAX, .units_before = 1};
    *block_at(heap, 1 + inner) = (block){.units = 1, .units_before = inner};
    list(heap, 1);
}

/* What a block does not need becomes a free one behind it. */
static void split(kv_heap *heap, heap_ref ref, uint32_t units)
{
    block *me = block_at(heap, ref);
    uint32_t rest = me->units - units;
    if (rest == 0)
        return;
    me->units = units & INT32_MAX;
    block *behind = block_at(heap, ref + units);
    behind->units = rest & INT32_MAX;
    behind->units_before = units;
    block_at(heap, ref + units + rest)->units_before = rest;
    list(heap, ref + units);
}

/* Large ones are rounded up by a thirtieth, so that one that was given back fits many others. */
static uint32_t rounded(uint32_t units)
{
    if (units < HEAP_STEPS)
        return units;
    uint32_t step = 1u << (31 - (uint32_t)__builtin_clz(units) - STEP_BITS + 1);
    return (units + step - 1) & ~(step - 1);
}

/* In the list where some are too small, a few looks: it has what was given back of the same size. */
static heap_ref find_near(const kv_heap *heap, uint32_t units)
{
    place near = place_of(units);
    heap_ref ref = near.range < HEAP_RANGES ? heap->first[near.range][near.step] : 0;
    for (uint32_t i = 0; i < LOOKS && ref != 0; i++) {
        if (block_at(heap, ref)->units >= units)
            return ref;
        ref = block_at(heap, ref)->next;
    }
    return 0;
}

heap_ref heap_take(kv_heap *heap, size_t size)
{
    if (size > (size_t)INT32_MAX * HEAP_UNIT / 2)
        return 0;
    uint32_t units = rounded((uint32_t)((size + HEAP_OVERHEAD + HEAP_UNIT - 1) / HEAP_UNIT));
    heap_ref ref = find_near(heap, units);
    if (ref == 0)
        ref = find(heap, place_for(units));
    if (ref == 0)
        return 0;
    unlist(heap, ref);
    split(heap, ref, units);
    heap->used_units += units;
    return ref;
}

void heap_give(kv_heap *heap, heap_ref ref)
{
    block *me = block_at(heap, ref);
    assert(ref != 0 && !me->is_free);
    heap->used_units -= me->units;
    uint32_t units = me->units;
    block *behind = block_at(heap, ref + units);
    if (behind->is_free) {
        unlist(heap, ref + units);
        units += behind->units;
    }
    block *before = block_at(heap, ref - me->units_before);
    if (before->is_free) {
        ref -= me->units_before;
        unlist(heap, ref);
        units += before->units;
        me = before;
    }
    me->units = units & INT32_MAX;
    block_at(heap, ref + units)->units_before = units;
    list(heap, ref);
}

size_t heap_room(const kv_heap *heap, heap_ref ref)
{
    return (size_t)block_at(heap, ref)->units * HEAP_UNIT - HEAP_OVERHEAD;
}
