#include "mem/timer_wheel.h"

#include "base/assert.h"
#include "base/bits.h"

#include <string.h>

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

#define LEVEL_BITS 8
#define LAST_LEVEL (TINA__WHEEL_LEVELS - 1)
#define LAST_SHIFT (LAST_LEVEL * LEVEL_BITS)
#define SLOT_MASK  (TINA__WHEEL_SLOTS - 1)

TINA_STATIC_ASSERT(TINA__WHEEL_SLOTS == 1 << LEVEL_BITS, "a digit names a slot");
TINA_STATIC_ASSERT(TINA__WHEEL_SLOTS % 64 == 0 && TINA__WHEEL_LISTS / 64 <= 32,
                   "a word has a bit for each word of the bitmap");
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

static inline __attribute__((always_inline)) place place_of(const tina__timer_wheel *wheel, uint64_t step)
{
    tina__assert(step > wheel->step);
    uint32_t level = tina__highest_bit(step ^ wheel->step) / LEVEL_BITS;
    if (level < LAST_LEVEL)
        return (place){level, (uint32_t)(step >> (level * LEVEL_BITS)) & SLOT_MASK, step};

    uint64_t here = wheel->step >> LAST_SHIFT;
    uint64_t there = tina__min_u64(step >> LAST_SHIFT, here + SLOT_MASK);
    return (place){LAST_LEVEL, (uint32_t)there & SLOT_MASK, step};
}

/* ---- Which slots hold nodes ---------------------------------------------------- */

static void mark(tina__timer_wheel *wheel, const tina__timer_node *list)
{
    size_t index = (size_t)(list - &wheel->slots[0][0]);
    wheel->occupied[index / 64] |= 1ull << index % 64;
    wheel->occupied_words |= 1u << index / 64;
}

/* The first occupied one of these words' slots, which there is, counted from the lowest level's first. */
static uint32_t first_slot(const tina__timer_wheel *wheel, uint32_t words)
{
    uint32_t word = tina__lowest_bit(words);
    return word * 64 + tina__lowest_bit(wheel->occupied[word]);
}

/* The ring begins behind the wheel's own digit, within a word: what is left of that word comes first. */
static uint32_t first_slot_in_last_level(const tina__timer_wheel *wheel)
{
    uint32_t first = LAST_LEVEL * TINA__WHEEL_SLOTS + ((uint32_t)((wheel->step >> LAST_SHIFT) + 1) & SLOT_MASK);
    uint64_t rest = wheel->occupied[first / 64] >> first % 64;
    if (rest != 0)
        return first + tina__lowest_bit(rest);
    uint32_t behind = wheel->occupied_words & (uint32_t)(~0ull << (first / 64 + 1));
    return first_slot(wheel, behind != 0 ? behind : wheel->occupied_words);
}

/* The slot that is due next. False: all slots are empty. */
static bool next_place(const tina__timer_wheel *wheel, place *next)
{
    if (wheel->occupied_words == 0)
        return false;
    uint32_t index = first_slot(wheel, wheel->occupied_words);
    uint32_t level = index / TINA__WHEEL_SLOTS;
    if (level == LAST_LEVEL)
        index = first_slot_in_last_level(wheel);
    uint32_t slot = index % TINA__WHEEL_SLOTS;
    uint32_t shift = level * LEVEL_BITS;
    uint64_t here = wheel->step >> shift;
    tina__assert(slot != (here & SLOT_MASK));
    tina__assert(level == LAST_LEVEL || slot > (here & SLOT_MASK));
    uint64_t there = here + ((slot - (uint32_t)here) & SLOT_MASK);
    *next = (place){level, slot, there << shift};
    return true;
}

/* ---- Moving -------------------------------------------------------------------- */

/* Into the slot of its deadline, or among the expired. */
static inline void insert(tina__timer_wheel *wheel, tina__timer_node *node)
{
    uint64_t step = step_up(wheel, node->deadline_ns);
    if (step <= wheel->step) {
        list_append(&wheel->expired, node);
        return;
    }
    place at = place_of(wheel, step);
    tina__timer_node *list = &wheel->slots[at.level][at.slot];
    if (list_is_empty(list))
        mark(wheel, list);
    list_append(list, node);
}

/* The wheel's step is the slot's: its nodes move down, or are expired. */
static void empty_slot(tina__timer_wheel *wheel, uint32_t level, uint32_t slot)
{
    tina__timer_node *list = &wheel->slots[level][slot];
    tina__assert(!list_is_empty(list));
    tina__timer_wheel_unmark(wheel, list);
    if (level == 0) {
        list_splice(&wheel->expired, list);
        return;
    }
    tina__timer_node *node = list->next;
    list_init(list);
    while (node != list) {
        tina__timer_node *next = node->next;
        __builtin_prefetch(next);
        insert(wheel, node);
        node = next;
    }
}

static void set_step(tina__timer_wheel *wheel, uint64_t step)
{
    wheel->step = step;
    if (__builtin_mul_overflow(step + 1, wheel->resolution_ns, &wheel->step_end_ns))
        wheel->step_end_ns = UINT64_MAX;
}

static void advance(tina__timer_wheel *wheel, uint64_t step)
{
    place next;
    while (wheel->step < step && next_place(wheel, &next) && next.step <= step) {
        wheel->step = next.step;
        empty_slot(wheel, next.level, next.slot);
    }
    set_step(wheel, step);
}

void tina__timer_wheel_init(tina__timer_wheel *wheel, uint64_t resolution_ns, uint64_t now_ns)
{
    tina__assert(resolution_ns != 0);
    wheel->resolution_ns = resolution_ns;
    set_step(wheel, now_ns / resolution_ns);
    wheel->count = 0;
    list_init(&wheel->expired);
    wheel->occupied_words = 0;
    memset(wheel->occupied, 0, sizeof wheel->occupied);
    for (uint32_t level = 0; level < TINA__WHEEL_LEVELS; level++) {
        for (uint32_t slot = 0; slot < TINA__WHEEL_SLOTS; slot++)
            list_init(&wheel->slots[level][slot]);
    }
}

void tina__timer_wheel_start(tina__timer_wheel *wheel, tina__timer_node *node, uint64_t deadline_ns)
{
    tina__assert(!tina__timer_is_armed(node));
    tina__assert(wheel->count != UINT32_MAX);
    node->deadline_ns = deadline_ns;
    wheel->count++;
    insert(wheel, node);
}

tina__timer_node *tina__timer_wheel_expire(tina__timer_wheel *wheel, uint64_t now_ns)
{
    if (now_ns >= wheel->step_end_ns)
        advance(wheel, now_ns / wheel->resolution_ns);
    tina__assert(now_ns >= wheel->step * wheel->resolution_ns); /* it never goes back */
    if (list_is_empty(&wheel->expired))
        return NULL;
    tina__timer_node *node = wheel->expired.next;
    tina__assert(node->deadline_ns <= now_ns);
    tina__timer_wheel_cancel(wheel, node);
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
