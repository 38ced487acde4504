#include "round.h"

static kv_plan plan_at(const kv_round *me, uint32_t n) { return n == 0 ? me->begin : me->marks[n - 1]; }

void round_begin(kv_round *me, kv_deal *deal, bool is_loading, bool is_one, void *data, size_t capacity)
{
    bool is_new = round_is_over(me);
    if (is_new) {
        me->client.is_loading = is_loading; /* what fills a gap has to be read as it was before */
        command_forget(&me->plan, &me->input);
        me->begin = me->plan;
        lots_begin(&me->lots);
    } else {
        me->plan = plan_at(me, me->lots.said);
        lots_drop(&me->lots);
    }
    deal->at = me->lots.said;
    deal->end = is_new ? BATCH_STEPS_MAX : deal->at + lots_gap(&me->lots);
    deal->is_within = command_is_within(&me->plan);
    deal->is_one = is_one || !is_new;
    deal->partition = LOTS_ANYWHERE;
    deal->last = &me->lots.lots[0];
    round_open(me, deal, data, capacity);
}

void round_settle(kv_round *me)
{
    if (round_is_over(me) || !lots_are_over(&me->lots))
        return;
    me->plan = plan_at(me, me->lots.said);
    lots_begin(&me->lots);
}

void round_open(kv_round *me, kv_deal *deal, void *data, size_t capacity)
{
    batch_begin(&deal->batches[me->lots.lot_count], data, capacity);
    lots_open(&me->lots, deal->partition);
}

/* What can be answered anywhere goes with the step before. NULL: the lot is not there yet. */
static kv_lot *lot_of_next(kv_round *me, kv_deal *deal)
{
    const kv_next *next = &deal->next;
    if (next->is_anywhere)
        return deal->last;
    deal->partition = next->step.kind == STEP_SET_SENT ? me->value_partition : next->partition;
    return lots_of(&me->lots, deal->partition);
}

typedef enum added { ADDED, ADDED_NOT, ADDED_LATER } added;

/* A command that adds up is part of a round of one lot, if it is not over with its first step. */
static added add_next(kv_round *me, kv_deal *deal)
{
    const kv_step *step = &deal->next.step;
    bool is_part = step->flags & STEP_ADDS && (deal->is_within || !(step->flags & STEP_LAST));
    if (deal->at == deal->end || (is_part && me->lots.lot_count > 1) || (deal->next.is_alone && round_has_steps(me, deal)))
        return ADDED_NOT;
    deal->is_one |= is_part;
    kv_lot *lot = lot_of_next(me, deal);
    if (lot == NULL)
        return deal->is_one || me->lots.lot_count == LOTS_MAX ? ADDED_NOT : ADDED_LATER;
    if (!batch_add(&deal->batches[lot - me->lots.lots], step, deal->next.key, deal->next.value))
        return ADDED_NOT;
    deal->is_within = is_part && !(step->flags & STEP_LAST);
    deal->last = lot;
    lots_add(&me->lots, lot, deal->at);
    me->marks[deal->at++] = me->plan;
    return ADDED;
}

/* Where it is not added, it is as good as not read. */
static added take_next(kv_round *me, kv_deal *deal, const kv_plan *before)
{
    added how = add_next(me, deal);
    if (how != ADDED)
        me->plan = *before;
    return how;
}

round_wish round_deal(kv_round *me, kv_deal *deal)
{
    for (;;) {
        kv_plan before = me->plan;
        command_next(&me->plan, &me->client, &me->input, deal->text, &deal->next);
        switch (deal->next.kind) {
        case NEXT_NOTHING: continue;
        case NEXT_MORE: return ROUND_RECEIVE;
        case NEXT_FULL:
            if (round_has_steps(me, deal))
                return ROUND_ASK;
            command_forget(&me->plan, &me->input);
            me->begin = me->plan;
            continue;
        case NEXT_END: return ROUND_END;
        case NEXT_LARGE:
            if (!round_has_steps(me, deal))
                return ROUND_VALUE;
            me->plan = before;
            return ROUND_ASK;
        case NEXT_STEP:
            switch (take_next(me, deal, &before)) {
            case ADDED_LATER: return ROUND_LOT;
            case ADDED_NOT: return ROUND_ASK;
            case ADDED:
                command_taken(&deal->next, &me->client);
                if (deal->next.is_alone)
                    return ROUND_ASK;
            }
        }
    }
}
