#include "mem/timer_wheel.h"

#include "base/assert.h"
#include "base/bits.h"

/*
 * A step is a number of LEVELS digits in base SLOTS, and a node lies at the
 * highest digit in which its step differs from the wheel's, in the slot of that
 * digit's value. So:
 *
 * - Everything at a level comes before everything at the levels above it, and
 *   within a level in the order of the slots. The next thing to do is the lowest
 *   bit of the lowest level that has one: no scan.
 * - Time may jump to anywhere before that, and all nodes still lie right.
 * - When time comes to the start of a slot above the lowest level, its nodes
 *   agree with the wheel in one more digit, and move down. Whoever is started
 *   for the same step later lies behind them: a step keeps the order of starts.
 *
 * The last level has no digit above it, so its slots are a ring that begins
 * behind the wheel's own digit. What lies beyond its reach waits in the ring's
 * last slot, and is placed anew when time comes there.
 */

#define LEVEL_BITS 6
#define LAST_LEVEL (TINA__WHEEL_LEVELS - 1)
#define LAST_SHIFT (LAST_LEVEL * LEVEL_BITS)
#define SLOT_MASK  (TINA__WHEEL_SLOTS - 1)

TINA_STATIC_ASSERT(TINA__WHEEL_SLOTS == 1 << LEVEL_BITS, "a digit names a slot");
TINA_STATIC_ASSERT(TINA__WHEEL_SLOTS == 64, "a level's bitmap is one word");
TINA_STATIC_ASSERT(LAST_SHIFT + LEVEL_BITS < 64, "the reach fits in a step");

/* A slot that holds nodes, and the step at which it is due. */
typedef struct place {
    uint32_t level, slot;
    uint64_t step;
} place;

static void list_init(tina__timer_node *list)
{
    list->next = list;
    list->previous = list;
}

static bool list_is_empty(const tina__timer_node *list) { return list->next == list; }

static void list_append(tina__timer_node *list, tina__timer_node *node)
{
    node->next = list;
    node->previous = list->previous;
    list->previous->next = node;
    list->previous = node;
}

static void list_remove(tina__timer_node *node)
{
    tina__assert(node->next->previous == node);
    tina__assert(node->previous->next == node);
    node->next->previous = node->previous;
    node->previous->next = node->next;
    node->next = NULL;
    node->previous = NULL;
}

/* All of from goes to the end of list; from, which is not empty, becomes so. */
static void list_splice(tina__timer_node *list, tina__timer_node *from)
{
    from->next->previous = list->previous;
    list->previous->next = from->next;
    from->previous->next = list;
    list->previous = from->previous;
    list_init(from);
}

static uint64_t step_up(const tina__timer_wheel *wheel, uint64_t time_ns)
{
    return time_ns / wheel->resolution_ns + (time_ns % wheel->resolution_ns != 0);
}

static place place_of(const tina__timer_wheel *wheel, uint64_t step)
{
    tina__assert(step > wheel->step);
    uint32_t level = tina__highest_bit(step ^ wheel->step) / LEVEL_BITS;
    if (level < LAST_LEVEL)
        return (place){level, (uint32_t)(step >> (level * LEVEL_BITS)) & SLOT_MASK, step};

    uint64_t here = wheel->step >> LAST_SHIFT;
    uint64_t there = tina__min_u64(step >> LAST_SHIFT, here + SLOT_MASK);
    return (place){LAST_LEVEL, (uint32_t)there & SLOT_MASK, step};
}

/* Into the slot of its deadline, or among the expired. */
static void insert(tina__timer_wheel *wheel, tina__timer_node *node)
{
    uint64_t step = step_up(wheel, node->deadline_ns);
    if (step <= wheel->step) {
        list_append(&wheel->expired, node);
        return;
    }
    place at = place_of(wheel, step);
    node->level = (uint8_t)at.level;
    node->slot = (uint8_t)at.slot;
    list_append(&wheel->slots[at.level][at.slot], node);
    wheel->occupied[at.level] |= 1ull << at.slot;
}

/* An expired node keeps the numbers of the slot that it came from; that slot's bit is then already right. */
static void detach(tina__timer_wheel *wheel, tina__timer_node *node)
{
    tina__assert(wheel->count != 0);
    wheel->count--;
    list_remove(node);
    if (list_is_empty(&wheel->slots[node->level][node->slot]))
        wheel->occupied[node->level] &= ~(1ull << node->slot);
}

static place place_in_last_level(const tina__timer_wheel *wheel)
{
    uint64_t here = wheel->step >> LAST_SHIFT;
    uint64_t occupied = wheel->occupied[LAST_LEVEL];
    uint32_t first = (uint32_t)(here + 1) & SLOT_MASK;
    uint64_t ring = (occupied >> first) | (occupied << (-first & SLOT_MASK));
    uint64_t there = here + 1 + tina__lowest_bit(ring);
    tina__assert(there <= here + SLOT_MASK);
    return (place){LAST_LEVEL, (uint32_t)there & SLOT_MASK, there << LAST_SHIFT};
}

/* The slot that is due next. False: all slots are empty. */
static bool next_place(const tina__timer_wheel *wheel, place *next)
{
    uint32_t level = 0;
    while (level < LAST_LEVEL && wheel->occupied[level] == 0)
        level++;
    if (wheel->occupied[level] == 0)
        return false;
    if (level == LAST_LEVEL) {
        *next = place_in_last_level(wheel);
        return true;
    }
    uint32_t shift = level * LEVEL_BITS;
    uint32_t slot = tina__lowest_bit(wheel->occupied[level]);
    tina__assert(slot > ((wheel->step >> shift) & SLOT_MASK));
    uint64_t above = wheel->step >> (shift + LEVEL_BITS);
    *next = (place){level, slot, (above << LEVEL_BITS | slot) << shift};
    return true;
}

/* The wheel's step is the slot's: its nodes move down, or are expired. */
static void empty_slot(tina__timer_wheel *wheel, uint32_t level, uint32_t slot)
{
    tina__timer_node *list = &wheel->slots[level][slot];
    tina__assert(!list_is_empty(list));
    wheel->occupied[level] &= ~(1ull << slot);
    if (level == 0) {
        list_splice(&wheel->expired, list);
        return;
    }
    tina__timer_node moving;
    list_init(&moving);
    list_splice(&moving, list);
    while (!list_is_empty(&moving)) {
        tina__timer_node *node = moving.next;
        list_remove(node);
        insert(wheel, node);
    }
}

static void advance(tina__timer_wheel *wheel, uint64_t step)
{
    tina__assert(step >= wheel->step);
    place next;
    while (wheel->step < step && next_place(wheel, &next) && next.step <= step) {
        wheel->step = next.step;
        empty_slot(wheel, next.level, next.slot);
    }
    wheel->step = step;
}

void tina__timer_wheel_init(tina__timer_wheel *wheel, uint64_t resolution_ns, uint64_t now_ns)
{
    tina__assert(resolution_ns != 0);
    wheel->resolution_ns = resolution_ns;
    wheel->step = now_ns / resolution_ns;
    wheel->count = 0;
    list_init(&wheel->expired);
    for (uint32_t level = 0; level < TINA__WHEEL_LEVELS; level++) {
        wheel->occupied[level] = 0;
        for (uint32_t slot = 0; slot < TINA__WHEEL_SLOTS; slot++)
            list_init(&wheel->slots[level][slot]);
    }
}

void tina__timer_wheel_start(tina__timer_wheel *wheel, tina__timer_node *node, uint64_t deadline_ns)
{
    tina__assert(!tina__timer_is_armed(node));
    tina__assert(wheel->count != UINT32_MAX);
    node->deadline_ns = deadline_ns;
    node->level = 0;
    node->slot = 0;
    wheel->count++;
    insert(wheel, node);
}

void tina__timer_wheel_cancel(tina__timer_wheel *wheel, tina__timer_node *node)
{
    if (tina__timer_is_armed(node))
        detach(wheel, node);
}

tina__timer_node *tina__timer_wheel_expire(tina__timer_wheel *wheel, uint64_t now_ns)
{
    advance(wheel, now_ns / wheel->resolution_ns);
    if (list_is_empty(&wheel->expired))
        return NULL;
    tina__timer_node *node = wheel->expired.next;
    tina__assert(node->deadline_ns <= now_ns);
    detach(wheel, node);
    return node;
}

uint64_t tina__timer_wheel_next_ns(const tina__timer_wheel *wheel)
{
    if (!list_is_empty(&wheel->expired))
        return 0;
    place next;
    if (!next_place(wheel, &next))
        return TINA_NONE_NS;
    /* A step that lies beyond the end of time is still armed, and never due. */
    uint64_t time_ns;
    if (__builtin_mul_overflow(next.step, wheel->resolution_ns, &time_ns))
        return TINA_NONE_NS - 1;
    return tina__min_u64(time_ns, TINA_NONE_NS - 1);
}
