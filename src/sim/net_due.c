#include "sim/net_due.h"

#include "base/assert.h"

static bool is_before(const tina__due_entry *a, const tina__due_entry *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

static void place(tina__due *due, uint32_t at, tina__due_entry entry)
{
    due->entries[at] = entry;
    due->places[entry.thing] = at + 1;
}

static void move_up(tina__due *due, uint32_t at, tina__due_entry entry)
{
    while (at != 0 && is_before(&entry, &due->entries[(at - 1) / 2])) {
        place(due, at, due->entries[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    place(due, at, entry);
}

static void move_down(tina__due *due, uint32_t at, tina__due_entry entry)
{
    for (uint32_t child; (child = 2 * at + 1) < due->count; at = child) {
        if (child + 1 < due->count && is_before(&due->entries[child + 1], &due->entries[child]))
            child++;
        if (!is_before(&due->entries[child], &entry))
            break;
        place(due, at, due->entries[child]);
    }
    place(due, at, entry);
}

void tina__due_set(tina__due *due, uint32_t thing, uint64_t at_ns)
{
    tina__assert(due->places[thing] == 0);
    move_up(due, due->count++, (tina__due_entry){.at_ns = at_ns, .order = ++due->order, .thing = thing});
}

void tina__due_clear(tina__due *due, uint32_t thing)
{
    if (due->places[thing] == 0)
        return;
    uint32_t at = due->places[thing] - 1;
    tina__assert(at < due->count);
    due->places[thing] = 0;
    tina__due_entry last = due->entries[--due->count];
    if (at == due->count)
        return;
    if (at != 0 && is_before(&last, &due->entries[(at - 1) / 2]))
        move_up(due, at, last);
    else
        move_down(due, at, last);
}

uint32_t tina__due_take(tina__due *due, uint64_t now_ns)
{
    if (due->count == 0 || due->entries[0].at_ns > now_ns)
        return TINA__NONE;
    uint32_t thing = due->entries[0].thing;
    tina__due_clear(due, thing);
    return thing;
}

bool tina__due_is_sound(const tina__due *due)
{
    for (uint32_t i = 0; i < due->count; i++) {
        if (due->places[due->entries[i].thing] != i + 1)
            return false;
        if (i != 0 && is_before(&due->entries[i], &due->entries[(i - 1) / 2]))
            return false;
    }
    return true;
}
