#include "lots.h"

void lots_begin(kv_lots *me) { me->count = me->said = me->held_count = me->held_size = me->lot_count = me->open_count = 0; }

kv_lot *lots_of(kv_lots *me, uint8_t partition)
{
    for (uint32_t i = 0; i < me->lot_count; i++) {
        if (me->lots[i].partition == partition)
            return &me->lots[i];
    }
    if (me->lot_count != 1 || me->lots[0].partition != LOTS_ANYWHERE)
        return NULL;
    me->lots[0].partition = partition;
    return &me->lots[0];
}

kv_lot *lots_open(kv_lots *me, uint8_t partition)
{
    if (me->lot_count == LOTS_MAX)
        return NULL;
    kv_lot *lot = &me->lots[me->lot_count++];
    *lot = (kv_lot){.partition = partition, .is_open = true};
    me->open_count++;
    return lot;
}

void lots_add(kv_lots *me, kv_lot *lot, uint32_t n)
{
    me->steps[n] = (lots_step){.lot = (uint8_t)(lot - me->lots)};
    lot->count++;
    if (n == me->count)
        me->count++;
}

uint32_t lots_room_of(const kv_lots *me, const kv_lot *lot)
{
    uint32_t shared = LOTS_HELD_MAX - me->lot_count * LOTS_ROOM_MIN;
    return LOTS_ROOM_MIN + shared * lot->count / me->count;
}

kv_lot *lots_find(kv_lots *me, uint32_t number)
{
    for (uint32_t i = 0; i < me->lot_count; i++) {
        if (me->lots[i].is_open && me->lots[i].number == number)
            return &me->lots[i];
    }
    return NULL;
}

void lots_close(kv_lots *me, kv_lot *lot)
{
    lot->is_open = false;
    me->open_count--;
}

static size_t sum_of(const uint16_t *sizes, uint32_t count)
{
    size_t sum = 0;
    for (uint32_t i = 0; i < count; i++)
        sum += sizes[i];
    return sum;
}

bool lots_take(kv_lots *me, kv_lot *lot, uint32_t done, const uint16_t *sizes, const uint8_t *bytes, size_t size,
               uint8_t *held)
{
    if (done > lot->count || size > LOTS_HELD_MAX - me->held_size || sum_of(sizes, done) != size)
        return false;
    memcpy(held + me->held_size, bytes, size);
    uint8_t index = (uint8_t)(lot - me->lots);
    uint32_t taken = 0;
    for (uint32_t n = me->said; taken < done; n++) {
        lots_step *step = &me->steps[n];
        if (step->lot != index)
            continue;
        *step = (lots_step){.at = (uint16_t)me->held_size, .size = sizes[taken], .lot = index, .is_held = true};
        me->held_size += sizes[taken++];
    }
    me->held_count += done;
    return true;
}

void lots_pass(kv_lots *me, uint32_t done) { me->said += done; }

uint32_t lots_say(kv_lots *me, const uint8_t *held, uint8_t *out)
{
    uint32_t size = 0;
    for (; lots_has_next(me); me->said++) {
        const lots_step *step = &me->steps[me->said];
        memcpy(out + size, held + step->at, step->size);
        size += step->size;
        me->held_count--;
    }
    return size;
}

uint32_t lots_gap(const kv_lots *me)
{
    uint32_t n = me->said;
    while (n < me->count && !me->steps[n].is_held)
        n++;
    return n - me->said;
}

bool lots_has_next(const kv_lots *me) { return me->said < me->count && me->steps[me->said].is_held; }

void lots_drop(kv_lots *me) { me->lot_count = me->open_count = 0; }
