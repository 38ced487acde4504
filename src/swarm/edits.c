#include "swarm/edits.h"

static bool is_part_of_another(const tina__knobs *knobs, tina__knob knob)
{
    return (knob == TINA__KNOB_PARTITION_HEAL && tina__knob_is_on(knobs, TINA__KNOB_PARTITION)) ||
           (knob == TINA__KNOB_SHARD_STALL_LENGTH && tina__knob_is_on(knobs, TINA__KNOB_SHARD_STALL));
}

bool tina__edit_off(tina__knobs *knobs, tina__knob knob, const tina__bounds *bounds)
{
    (void)bounds;
    if (!tina__knob_is_on(knobs, knob) || is_part_of_another(knobs, knob) || knob == TINA__KNOB_KEEP_SHARD_ORDER)
        return false;
    knobs->of[knob] = (tina__setting){0};
    if (knob == TINA__KNOB_PARTITION)
        knobs->of[TINA__KNOB_PARTITION_HEAL] = (tina__setting){0};
    if (knob == TINA__KNOB_SHARD_STALL)
        knobs->of[TINA__KNOB_SHARD_STALL_LENGTH] = (tina__setting){0};
    return true;
}

static bool is_rate(const tina__knobs *knobs, tina__knob knob)
{
    return tina__knob_form_of(knob) == TINA__FORM_RATIO && tina__knob_is_on(knobs, knob) && !is_part_of_another(knobs, knob);
}

bool tina__edit_more_often(tina__knobs *knobs, tina__knob knob, const tina__bounds *bounds)
{
    (void)bounds;
    tina__setting *rate = &knobs->of[knob];
    if (!is_rate(knobs, knob) || rate->second / rate->first < 16)
        return false;
    rate->second /= 8;
    return true;
}

bool tina__edit_less_often(tina__knobs *knobs, tina__knob knob, const tina__bounds *bounds)
{
    (void)bounds;
    tina__setting *rate = &knobs->of[knob];
    if (!is_rate(knobs, knob) || rate->second > UINT32_MAX / 2)
        return false;
    rate->second *= 2;
    return true;
}

bool tina__edit_narrower(tina__knobs *knobs, tina__knob knob, const tina__bounds *bounds)
{
    (void)bounds;
    tina__setting *range = &knobs->of[knob];
    if (tina__knob_form_of(knob) != TINA__FORM_RANGE || range->second < 2)
        return false;
    if (range->first == range->second)
        range->first /= 2;
    range->second = range->first + (range->second - range->first) / 2;
    return range->second != 0;
}

bool tina__edit_tighter(tina__knobs *knobs, tina__knob knob, const tina__bounds *bounds)
{
    if (!tina__knob_is_limit(knob) || bounds->most == 0 || knob == TINA__KNOB_SHARD_RESTART_MAX ||
        knob == TINA__KNOB_TIMER_RESOLUTION_NS)
        return false;
    uint64_t now = tina__knob_is_on(knobs, knob) ? knobs->of[knob].first : bounds->most;
    uint64_t less = now / 8 > bounds->least ? now / 8 : bounds->least;
    knobs->of[knob].first = less;
    return less < now;
}
