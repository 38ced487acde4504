#include "core/place.h"

#include "core/route.h"

tina_status tina__place_claim(tina__shard *shard, uint8_t to_shard, tina__place_kind kind, uint32_t waiter, uint32_t *taken,
                              tina_message **request)
{
    if (to_shard >= shard->shared->shard_count)
        return TINA_INVALID;
    if (tina__route_is_down(shard, to_shard))
        return TINA_SHARD_DOWN;
    tina__peer *peer = &shard->p.peers[to_shard];
    uint32_t index = peer->is_estranged ? TINA__NONE : tina__pool_take(&peer->place_pool);
    if (index == TINA__NONE)
        return TINA_CHANNEL_FULL;
    *request = tina__spsc_claim(peer->out);
    if (*request == NULL) {
        tina__pool_give_hot(&peer->place_pool, index);
        return TINA_CHANNEL_FULL;
    }
    tina__place *place = &peer->places[index];
    tina__assert(place->state == TINA__PLACE_FREE);
    place->sequence++;
    place->state = TINA__PLACE_WAITING;
    place->kind = (uint8_t)kind;
    place->waiter = waiter;
    *taken = index;
    (*request)->correlation = tina__call_make(index, place->sequence);
    return TINA_OK;
}

tina_message *tina__place_answer(tina__shard *shard, uint8_t to_shard, uint32_t call, tina_tag tag)
{
    tina_message *message = tina__spsc_claim_answer(shard->p.peers[to_shard].out);
    tina_handle nobody = {0};
    tina__route_fill(message, nobody, nobody, tag, NULL, 0, TINA__MESSAGE_ANSWER, call);
    return message;
}

void tina__place_lapse(tina__shard *shard, uint8_t to_shard, uint32_t index)
{
    tina__peer *peer = &shard->p.peers[to_shard];
    tina__place *place = &peer->places[index];
    tina__assert(place->state == TINA__PLACE_WAITING);
    place->state = TINA__PLACE_LAPSED;
    place->link = TINA__NONE;
    if (peer->lapsed_head == TINA__NONE)
        peer->lapsed_head = index;
    else
        peer->places[peer->lapsed_tail].link = index;
    peer->lapsed_tail = index;
    shard->lapsed[to_shard / 64] |= 1ull << (to_shard % 64);
}

static void place_free(tina__peer *peer, uint32_t index)
{
    tina__assert(peer->places[index].state != TINA__PLACE_FREE);
    peer->places[index].state = TINA__PLACE_FREE;
    tina__pool_give(&peer->place_pool, index);
}

uint32_t tina__place_answered(tina__peer *peer, uint32_t call)
{
    uint32_t index = tina__call_place(call);
    tina__assert(index < peer->in->answer_capacity);
    tina__place *place = &peer->places[index];
    tina__assert(call == tina__call_make(index, place->sequence));
    uint32_t waiter = place->state == TINA__PLACE_WAITING ? place->waiter : TINA__NONE;
    if (place->state == TINA__PLACE_LAPSED)
        place->state = TINA__PLACE_ANSWERED; /* the list that it is in gives it back */
    else
        place_free(peer, index);
    return waiter;
}

/* False: the channel is full. */
static bool withdraw(tina__shard *shard, uint32_t to_shard, uint32_t index)
{
    tina__peer *peer = &shard->p.peers[to_shard];
    tina__place *place = &peer->places[index];
    tina_message *message = tina__spsc_claim(peer->out);
    if (message == NULL)
        return false;
    tina_handle none = {0};
    uint32_t call = tina__call_make(index, place->sequence);
    tina__route_fill(message, none, none, TINA_TAG_CALL_FAILED, NULL, 0, TINA__MESSAGE_WITHDRAWN, call);
    tina__route_written(shard, to_shard);
    place->state = TINA__PLACE_WITHDRAWN;
    return true;
}

void tina__place_withdraw(tina__shard *shard, uint32_t to_shard)
{
    tina__peer *peer = &shard->p.peers[to_shard];
    while (peer->lapsed_head != TINA__NONE) {
        uint32_t index = peer->lapsed_head;
        uint32_t next = peer->places[index].link;
        if (peer->places[index].state == TINA__PLACE_ANSWERED)
            place_free(peer, index);
        else if (!withdraw(shard, to_shard, index))
            return;
        peer->lapsed_head = next;
    }
    shard->lapsed[to_shard / 64] &= ~(1ull << (to_shard % 64));
}

void tina__places_reset(tina__shard *shard, uint32_t to_shard)
{
    tina__peer *peer = &shard->p.peers[to_shard];
    for (uint32_t i = 0; i < peer->place_pool.fresh; i++) {
        if (peer->places[i].state != TINA__PLACE_FREE)
            place_free(peer, i);
    }
    peer->lapsed_head = TINA__NONE;
    shard->lapsed[to_shard / 64] &= ~(1ull << (to_shard % 64));
}
