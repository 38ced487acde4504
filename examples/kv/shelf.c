#include "shelf.h"

uint32_t shelf_take(kv_shelf *me, uint32_t size)
{
    uint32_t at = me->end;
    bool is_around = at < me->first;
    if (!is_around && size > me->size - at) {
        at = 0;
        is_around = true;
    }
    if (is_around && size >= me->first - at) /* not all of it, or it would seem empty */
        return SHELF_NONE;
    me->end = at + size;
    return at;
}

void shelf_give(kv_shelf *me, uint32_t at, uint32_t size)
{
    me->first = at + size;
    if (me->first == me->end)
        me->first = me->end = 0;
}
