/* Timers, calls and watches: slots, what is owed, the places for answers, the wheel. */
#include "core/census.h"
#include "core/lookup.h"
#include "core/timers.h"
#include "core/watch.h"

static bool expect(tina__census *seen, bool is_true, const char *what) { return tina__census_expect(seen, is_true, what); }

/* ---- The caller's side ------------------------------------------------------------------------ */

static void see_asked_here(const tina__shard *shard, const tina__timer_slot *slot, uint32_t index, tina__census *seen)
{
    const tina__isolate *target = tina__isolate_find(shard, slot->target);
    uint32_t debtor = shard->p.owed[index].isolate;
    seen->asked_here++;
    expect(seen, target != NULL && debtor == tina__isolate_index(shard, target),
           "what is asked of an isolate is owed by it");
}

static void see_asked_there(const tina__shard *shard, const tina__timer_slot *slot, uint32_t index, tina__census *seen)
{
    uint8_t to_shard = tina_handle_shard(slot->target);
    seen->asked_there++;
    if (!expect(seen, to_shard < shard->shared->shard_count && slot->place < shard->p.peers[to_shard].place_pool.fresh,
                "who waits for another shard has a place for the answer"))
        return;
    const tina__place *place = &shard->p.peers[to_shard].places[slot->place];
    expect(seen, place->state == TINA__PLACE_WAITING && place->kind == TINA__PLACE_TIMER && place->waiter == index,
           "who waits for another shard has a place for the answer");
}

static void see_asked(const tina__shard *shard, const tina__timer_slot *slot, uint32_t index, tina__census *seen)
{
    if (tina_handle_shard(slot->target) == shard->id)
        see_asked_here(shard, slot, index, seen);
    else
        see_asked_there(shard, slot, index, seen);
}

static void see_watch(const tina__shard *shard, const tina__timer_slot *slot, uint32_t index, tina__census *seen)
{
    expect(seen, slot->use == TINA__TIMER_WATCH || slot->use == TINA__TIMER_DOWN, "a listed watch is under way");
    expect(seen, slot->is_queued == (slot->use == TINA__TIMER_DOWN), "a watch is mail when its target is down");
    expect(seen, tina__watch_find(shard, slot->isolate, slot->target) == index, "a watch is in its bucket");
    seen->watches++;
    seen->listed_watches++;
    if (slot->use == TINA__TIMER_WATCH)
        see_asked(shard, slot, index, seen);
}

/* A single timer is armed until it is mail; a repeating one always is. */
static void see_timer(const tina__shard *shard, const tina__timer_slot *slot, uint32_t index, tina__census *seen)
{
    bool is_armed = tina__timer_is_armed(&slot->node);
    seen->timers++;
    seen->armed += is_armed;
    switch (slot->use) {
    case TINA__TIMER_ONCE: expect(seen, is_armed != slot->is_queued, "a timer is armed or mail"); break;
    case TINA__TIMER_REPEAT: expect(seen, is_armed, "a timer that repeats is armed"); break;
    case TINA__TIMER_GRACE: expect(seen, is_armed && !slot->is_queued, "an isolate's grace ends"); break;
    case TINA__TIMER_CALL:
        expect(seen, is_armed && !slot->is_queued, "a call times out");
        see_asked(shard, slot, index, seen);
        break;
    default: expect(seen, false, "a listed timer is under way"); break;
    }
}

void tina__census_timers(const tina__shard *shard, const tina__isolate *isolate, tina__census *seen)
{
    const uint32_t self = tina__isolate_index(shard, isolate);
    const uint32_t slot_count = shard->p.timer_count + shard->p.watch_count;
    uint32_t previous = TINA__NONE;
    uint32_t length = 0;
    for (uint32_t index = isolate->timers; index != TINA__NONE;) {
        if (!expect(seen, index < slot_count && length++ < slot_count, "an isolate's list of timers ends"))
            return;
        const tina__timer_slot *slot = tina__timer_at(shard, index);
        expect(seen, slot->isolate == self, "a timer is in its owner's list");
        expect(seen, slot->previous == previous, "a timer knows what stands before it");
        expect(seen, tina__isolate_find(shard, slot->destination) == isolate, "a timer's owner is alive");
        seen->timer_queued += slot->is_queued;
        if (tina__timer_is_watch(shard, index))
            see_watch(shard, slot, index, seen);
        else
            see_timer(shard, slot, index, seen);
        previous = index;
        index = slot->next;
    }
}

/* ---- The callee's side -------------------------------------------------------------------------- */

/* Where it stands says to whom it is owed. */
static void see_owed(const tina__shard *shard, const tina__owed *owed, uint32_t index, tina__census *seen)
{
    uint8_t from = tina_handle_shard(owed->source);
    if (from == shard->id) {
        seen->owed_here++;
        expect(seen,
               index < shard->p.timer_count + shard->p.watch_count && owed->is_watch == tina__timer_is_watch(shard, index),
               "what is owed is in its caller's place");
        return;
    }
    if (!expect(seen, from < shard->shared->shard_count, "what is owed is owed to somebody"))
        return;
    const tina__peer *peer = &shard->p.peers[from];
    uint32_t place = tina__call_place(owed->call);
    expect(seen, place < peer->out->answer_capacity && index == peer->owed_first + place,
           "what is owed is in its caller's place");
}

void tina__census_owed(const tina__shard *shard, const tina__isolate *isolate, tina__census *seen)
{
    const uint32_t self = tina__isolate_index(shard, isolate);
    uint32_t previous = TINA__NONE;
    for (uint32_t index = isolate->owed; index != TINA__NONE;) {
        if (!expect(seen, index < shard->p.owed_count && seen->owed < shard->p.owed_count,
                    "the list of what an isolate owes ends"))
            return;
        const tina__owed *owed = &shard->p.owed[index];
        expect(seen, owed->isolate == self, "what is owed is in its debtor's list");
        expect(seen, owed->previous == previous, "what is owed knows what stands before it");
        see_owed(shard, owed, index, seen);
        seen->owed++;
        previous = index;
        index = owed->next;
    }
}

static uint32_t count_owed(const tina__shard *shard, uint32_t first, uint32_t count)
{
    uint32_t owed = 0;
    for (uint32_t i = first; i < first + count; i++)
        owed += shard->p.owed[i].isolate != TINA__NONE;
    return owed;
}

/* Of the shard's own slots only those that were ever used; how many places its peers have used, they know. */
static void see_debts(const tina__shard *shard, tina__census *seen)
{
    uint32_t owed = count_owed(shard, 0, shard->timers.fresh);
    owed += count_owed(shard, shard->p.timer_count, shard->watches.fresh);
    expect(seen, owed == seen->owed_here && owed == seen->asked_here, "what is owed here is waited for");
    for (uint32_t i = 0; i < shard->shared->shard_count; i++) {
        const tina__peer *peer = &shard->p.peers[i];
        if (i != shard->id)
            owed += count_owed(shard, peer->owed_first, peer->out->answer_capacity);
    }
    expect(seen, owed == seen->owed, "what is owed is owed by somebody who lives");
}

/* ---- Places ---------------------------------------------------------------------------------------- */

#define PLACE_KINDS (TINA__PLACE_TRANSFER + 1)

static void see_lapsed(const tina__shard *shard, uint32_t index, uint32_t lapsed, tina__census *seen)
{
    const tina__peer *peer = &shard->p.peers[index];
    uint32_t length = 0;
    for (uint32_t i = peer->lapsed_head; i != TINA__NONE; i = peer->places[i].link) {
        if (!expect(seen, i < peer->place_pool.fresh && length < lapsed, "the list of places to be withdrawn ends"))
            return;
        length++;
    }
    bool is_marked = (shard->lapsed[index / 64] >> (index % 64) & 1) != 0;
    expect(seen, length == lapsed, "a place that has lapsed is to be withdrawn");
    expect(seen, lapsed == 0 || is_marked, "a peer is marked while it has places to be withdrawn");
}

/* Counts into waiting, by kind, those that are waited for. */
static void see_places(const tina__shard *shard, uint32_t index, uint32_t *waiting, tina__census *seen)
{
    const tina__peer *peer = &shard->p.peers[index];
    uint32_t used = 0;
    uint32_t lapsed = 0;
    for (uint32_t i = 0; i < peer->place_pool.fresh; i++) {
        uint32_t state = peer->places[i].state;
        used += state != TINA__PLACE_FREE;
        lapsed += state == TINA__PLACE_LAPSED || state == TINA__PLACE_ANSWERED;
        if (state == TINA__PLACE_WAITING && expect(seen, peer->places[i].kind < PLACE_KINDS, "a place is of some kind"))
            waiting[peer->places[i].kind]++;
    }
    expect(seen, used == peer->place_pool.used, "every place in use is waited for, or on its way back");
    expect(seen, tina__pool_is_sound(&peer->place_pool), "the pool of places is sound");
    see_lapsed(shard, index, lapsed, seen);
}

/* Who waits knows his place: so there are as many of the one as of the other. */
static void see_peers(const tina__shard *shard, tina__census *seen)
{
    uint32_t waiting[PLACE_KINDS] = {0};
    for (uint32_t i = 0; i < shard->shared->shard_count; i++) {
        if (i != shard->id)
            see_places(shard, i, waiting, seen);
    }
    expect(seen, waiting[TINA__PLACE_TIMER] == seen->asked_there, "a place is waited for by somebody who lives");
    expect(seen, waiting[TINA__PLACE_GIFT] == seen->given, "a place of a gift is that of a descriptor that was given");
    expect(seen, waiting[TINA__PLACE_TRANSFER] == seen->sent, "a place of a transfer is that of one that was sent");
}

/* ---- Watches ---------------------------------------------------------------------------------------- */

static void see_buckets(const tina__shard *shard, tina__census *seen)
{
    uint32_t found = 0;
    uint32_t bucket_count = shard->watches.fresh == 0 ? 0 : shard->p.bucket_count; /* never a watch: all are empty */
    for (uint32_t i = 0; i < bucket_count; i++) {
        for (uint32_t link = shard->p.buckets[i]; link != 0; link = tina__timer_at(shard, link - 1)->bucket_next) {
            if (!expect(seen, link - 1 < shard->p.timer_count + shard->p.watch_count && found++ < shard->p.watch_count,
                        "a bucket of watches ends"))
                return;
        }
    }
    expect(seen, found == seen->listed_watches, "the buckets hold the watches");
}

/* ---- The wheel ---------------------------------------------------------------------------------------- */

/* The node that is really there. */
static const tina__timer_node *node_of(const tina__shard *shard, tina__timer_kind kind, uint32_t owner)
{
    switch (kind) {
    case TINA__NODE_TIMER: return owner < shard->p.timer_count ? &tina__timer_at(shard, owner)->node : NULL;
    case TINA__NODE_OPERATION: return owner < shard->p.operation_count ? &shard->p.operations[owner].deadline : NULL;
    case TINA__NODE_CHILD: return owner < shard->p.child_count ? &shard->p.children[owner].backoff : NULL;
    case TINA__NODE_GROUP: return owner < shard->p.group_count ? &shard->p.groups[owner].backoff : NULL;
    default: return NULL;
    }
}

/* Returns how many nodes are in the list. earliest_ns: none of them may be due before. */
static uint32_t see_list(const tina__shard *shard, const tina__timer_node *list, uint64_t earliest_ns, tina__census *seen)
{
    uint32_t length = 0;
    for (const tina__timer_node *node = list->next; node != list; node = node->next) {
        if (!expect(seen, length++ < shard->p.wheel->count && node->next != NULL, "a list of the wheel ends"))
            return length;
        expect(seen, node->next->previous == node, "a timer in the wheel knows its neighbours");
        expect(seen, node_of(shard, (tina__timer_kind)node->kind, node->owner) == node,
               "what is in the wheel is somebody's");
        expect(seen, node->deadline_ns >= earliest_ns, "no timer in the wheel is overdue");
    }
    return length;
}

/* The slots that a word of the bitmap marks. Returns how many nodes are in them. */
static uint32_t see_slots(const tina__shard *shard, uint32_t word, tina__census *seen)
{
    const tina__timer_wheel *wheel = shard->p.wheel;
    const tina__timer_node *first = &wheel->slots[word * 64 / TINA__WHEEL_SLOTS][word * 64 % TINA__WHEEL_SLOTS];
    uint64_t passed_ns = wheel->step * wheel->resolution_ns;
    uint32_t count = 0;
    for (uint64_t bits = wheel->occupied[word]; bits != 0 && seen->broken == NULL; bits &= bits - 1) {
        const tina__timer_node *list = first + tina__lowest_bit(bits);
        expect(seen, list->next != list, "a slot of the wheel that is marked holds somebody");
        count += see_list(shard, list, passed_ns + 1, seen);
    }
    return count;
}

static void see_wheel(const tina__shard *shard, tina__census *seen)
{
    const tina__timer_wheel *wheel = shard->p.wheel;
    uint32_t count = see_list(shard, &wheel->expired, 0, seen);
    for (uint32_t word = 0; word < TINA__WHEEL_LISTS / 64; word++) {
        bool is_marked = (wheel->occupied_words >> word & 1) != 0;
        expect(seen, is_marked == (wheel->occupied[word] != 0),
               "a word of the wheel's bitmap that is marked marks somebody");
        count += see_slots(shard, word, seen);
    }
    expect(seen, count == wheel->count, "the wheel holds what it counts");
    expect(seen, count == seen->armed, "who is armed is in the wheel");
}

void tina__census_time(const tina__shard *shard, tina__census *seen)
{
    see_debts(shard, seen);
    see_peers(shard, seen);
    see_buckets(shard, seen);
    see_wheel(shard, seen);
}
