#include "core/invariant.h"

#include "core/mailbox.h"
#include "core/reactor.h"
#include "core/timers.h"
#include "core/watch.h"

/* What a walk over the isolates has seen of each pool. */
typedef struct census {
    uint32_t live, queued;
    uint32_t messages;
    uint32_t timers;
    uint32_t watches, listed_watches;
    uint32_t owed;
    uint32_t operations, operations_under_way;
    uint32_t transfers;
    uint32_t halves;
    const char *broken;
} census;

static void expect(census *seen, bool is_true, const char *what)
{
    if (!is_true && seen->broken == NULL)
        seen->broken = what;
}

/* ---- What an isolate holds ------------------------------------------------------------ */

static void count_mail(const tina__shard *shard, const tina__isolate *isolate, census *seen)
{
    uint32_t ordinary = 0;
    uint32_t last = TINA__NONE;
    for (uint32_t index = isolate->inbox_head; index != TINA__NONE; index = shard->p.mail[index].link) {
        const tina_message *message = &shard->p.mail[index];
        last = index;
        if (index < shard->p.message_count) {
            ordinary++;
            seen->transfers += message->tag == TINA_TAG_TRANSFER;
        } else {
            /* Timers are counted with their owner's list; what has left it, here. */
            bool is_watch = tina__timer_is_watch(shard, index - shard->p.message_count);
            *(is_watch ? &seen->watches : &seen->timers) += message->reserved == TINA__TIMER_ANSWER;
        }
        if (ordinary > shard->p.message_count) {
            expect(seen, false, "a mailbox runs in a circle");
            return;
        }
    }
    expect(seen, ordinary == isolate->inbox_count, "a mailbox holds what it counts");
    expect(seen, isolate->inbox_head == TINA__NONE || isolate->inbox_tail == last, "a mailbox ends at its tail");
    seen->messages += ordinary;
}

static void count_watch(const tina__shard *shard, const tina__timer_slot *slot, uint32_t index, census *seen)
{
    expect(seen, slot->use == TINA__TIMER_WATCH || slot->use == TINA__TIMER_DOWN, "a listed watch is under way");
    expect(seen, slot->is_queued == (slot->use == TINA__TIMER_DOWN), "a watch is mail when its target is down");
    expect(seen, tina__watch_find(shard, slot->isolate, slot->target) == index, "a watch is in its bucket");
    seen->watches++;
    seen->listed_watches++;
}

static void count_timer(const tina__timer_slot *slot, census *seen)
{
    expect(seen, slot->use != TINA__TIMER_FREE && slot->use != TINA__TIMER_ANSWER, "a listed timer is under way");
    expect(seen, slot->is_queued || tina__timer_is_armed(&slot->node), "a timer is armed or mail");
    seen->timers++;
}

static void count_timers(const tina__shard *shard, const tina__isolate *isolate, uint32_t self, census *seen)
{
    for (uint32_t index = isolate->timers; index != TINA__NONE; index = tina__timer_at(shard, index)->next) {
        const tina__timer_slot *slot = tina__timer_at(shard, index);
        expect(seen, slot->isolate == self, "a timer is in its owner's list");
        if (tina__timer_is_watch(shard, index))
            count_watch(shard, slot, index, seen);
        else
            count_timer(slot, seen);
        if (seen->timers > shard->p.timer_count || seen->watches > shard->p.watch_count)
            return;
    }
    bool has_answer = isolate->state == TINA__ISOLATE_IN_CALL && (isolate->flags & TINA__ISOLATE_WOKEN) != 0;
    seen->timers += has_answer;
}

static void count_owed(const tina__shard *shard, const tina__isolate *isolate, uint32_t self, census *seen)
{
    uint32_t previous = TINA__NONE;
    for (uint32_t index = isolate->owed; index != TINA__NONE; index = shard->p.owed[index].next) {
        const tina__owed *owed = &shard->p.owed[index];
        expect(seen, owed->isolate == self, "what is owed is in its debtor's list");
        expect(seen, owed->previous == previous, "what is owed knows what stands before it");
        previous = index;
        if (++seen->owed > shard->p.owed_count)
            return;
    }
}

static void count_operations(const tina__shard *shard, const tina__isolate *isolate, uint32_t self, census *seen)
{
    for (uint32_t index = isolate->operations; index != TINA__NONE; index = shard->p.operations[index].next) {
        const tina__operation *operation = &shard->p.operations[index];
        expect(seen, operation->isolate == self, "an operation is in its isolate's list");
        expect(seen, operation->state >= TINA__OPERATION_SUBMITTED, "a listed operation has started");
        seen->operations++;
        seen->operations_under_way += operation->state != TINA__OPERATION_DONE;
        if (seen->operations > shard->p.operation_count)
            return;
    }
}

static void count_halves(const tina__shard *shard, const tina__isolate *isolate, uint32_t self, census *seen)
{
    for (uint32_t node = isolate->descriptors; node != TINA__NONE;) {
        const tina__descriptor *descriptor = &shard->p.descriptors[node / 2];
        expect(seen, descriptor->state == TINA__DESCRIPTOR_OPEN, "an owned descriptor is open");
        expect(seen, descriptor->owner[node % 2] == self, "a descriptor is in its owner's list");
        seen->halves++;
        if (seen->halves > 2 * shard->p.descriptor_count)
            return;
        node = descriptor->next[node % 2];
    }
}

static void count_isolate(const tina__shard *shard, const tina__isolate *isolate, census *seen)
{
    uint32_t self = tina__isolate_index(shard, isolate);
    seen->queued += (isolate->flags & TINA__ISOLATE_QUEUED) != 0;
    if (isolate->state == TINA__ISOLATE_FREE)
        return;
    seen->live++;
    expect(seen, (isolate->flags & TINA__ISOLATE_QUEUED) != 0 || !tina__isolate_has_work(isolate),
           "an isolate with something to do is queued");
    count_mail(shard, isolate, seen);
    count_timers(shard, isolate, self, seen);
    count_owed(shard, isolate, self, seen);
    count_operations(shard, isolate, self, seen);
    count_halves(shard, isolate, self, seen);
    for (uint32_t index = isolate->transfers; index != TINA__NONE; index = shard->p.transfer_records[index].next) {
        expect(seen, shard->p.transfer_records[index].isolate == self, "a transfer is in its writer's list");
        seen->transfers++;
        if (seen->transfers > shard->p.transfer_count)
            return;
    }
}

/* ---- The shard's own lists --------------------------------------------------------------- */

static uint32_t queue_length(const tina__shard *shard, census *seen)
{
    uint32_t length = 0;
    for (uint32_t i = 0; i < shard->p.type_count; i++) {
        const tina__type *type = &shard->p.types[i];
        bool is_marked = (shard->ready[i / 64] >> (i % 64) & 1) != 0;
        expect(seen, is_marked == (type->ready_head != TINA__NONE), "a type is marked ready while its queue holds somebody");
        for (uint32_t slot = type->ready_head; slot != TINA__NONE; slot = type->isolates[slot].ready_next) {
            if (++length > shard->p.slot_count)
                return length;
        }
    }
    for (uint32_t index = shard->yielded_head; index != TINA__NONE; index = shard->p.isolates[index].ready_next) {
        if (++length > shard->p.slot_count)
            return length;
    }
    return length;
}

static void check_groups(const tina__shard *shard, census *seen)
{
    uint32_t live = 0;
    for (uint16_t group = 0; group < shard->p.group_count; group++) {
        for (uint32_t index = shard->p.groups[group].live_head; index != TINA__NONE;) {
            const tina__isolate *isolate = &shard->p.isolates[index];
            expect(seen, isolate->group == group, "an isolate is in its group's list");
            if (++live > shard->p.slot_count)
                return;
            index = isolate->live_next;
        }
    }
    expect(seen, live == shard->live_count, "the groups hold who is alive");
}

static void check_buffers(const tina__shard *shard, census *seen)
{
    uint32_t with_users = 0;
    for (uint32_t i = 0; i < shard->p.buffer_count; i++)
        with_users += shard->p.buffer_users[i] != 0;
    expect(seen, with_users + shard->buffers_lent == shard->buffers.used, "a buffer is free, lent, or has users");
    expect(seen, shard->buffers_sending <= shard->p.buffer_count / 2, "sends keep to their share of the buffers");
}

static void check_owed(const tina__shard *shard, census *seen)
{
    uint32_t owed = 0;
    for (uint32_t i = 0; i < shard->p.owed_count; i++)
        owed += shard->p.owed[i].isolate != TINA__NONE;
    expect(seen, owed == seen->owed, "what is owed is owed by somebody who lives");
}

static void check_buckets(const tina__shard *shard, census *seen)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < shard->p.bucket_count; i++) {
        for (uint32_t link = shard->p.buckets[i]; link != 0; link = tina__timer_at(shard, link - 1)->bucket_next) {
            if (++found > shard->p.watch_count)
                break;
        }
    }
    expect(seen, found == seen->listed_watches, "the buckets hold the watches");
}

static void check_places(const tina__shard *shard, uint32_t index, census *seen)
{
    const tina__peer *peer = &shard->p.peers[index];
    uint32_t used = 0;
    for (uint32_t i = 0; i < peer->place_pool.fresh; i++) {
        const tina__place *place = &peer->places[i];
        used += place->state != TINA__PLACE_FREE;
        if (place->state != TINA__PLACE_WAITING)
            continue;
        const tina__timer_slot *slot = tina__timer_at(shard, place->timer);
        expect(seen, slot->use == TINA__TIMER_CALL || slot->use == TINA__TIMER_WATCH,
               "who waits for an answer is under way");
        expect(seen, slot->place == i && tina_handle_shard(slot->target) == index, "a place knows who waits for it");
    }
    expect(seen, used == peer->place_pool.used, "every place in use is waited for, or on its way back");
    expect(seen, tina__pool_is_sound(&peer->place_pool), "the pool of places is sound");
}

static void check_peers(const tina__shard *shard, census *seen)
{
    for (uint32_t i = 0; i < shard->shared->shard_count; i++) {
        if (i != shard->id)
            check_places(shard, i, seen);
    }
}

static void check_pools(const tina__shard *shard, census *seen)
{
    expect(seen, tina__pool_is_sound(&shard->messages), "the pool of messages is sound");
    expect(seen, tina__pool_is_sound(&shard->timers), "the pool of timers is sound");
    expect(seen, tina__pool_is_sound(&shard->watches), "the pool of watches is sound");
    expect(seen, tina__pool_is_sound(&shard->operations), "the pool of operations is sound");
    expect(seen, tina__pool_is_sound(&shard->descriptors), "the pool of descriptors is sound");
    expect(seen, tina__pool_is_sound(&shard->buffers), "the pool of buffers is sound");
    expect(seen, tina__pool_is_sound(&shard->transfers), "the pool of transfers is sound");
    expect(seen, tina__pool_is_sound(&shard->child_pool), "the pool of children's records is sound");
    for (uint32_t i = 0; i < shard->p.type_count; i++)
        expect(seen, tina__pool_is_sound(&shard->p.types[i].pool), "the pool of a type's slots is sound");
}

const char *tina__invariant_broken(const tina__shard *shard)
{
    census seen = {0};
    tina__assert(shard->depth == 0);
    check_pools(shard, &seen);
    for (uint32_t i = 0; i < shard->p.type_count && seen.broken == NULL; i++) {
        const tina__type *type = &shard->p.types[i];
        for (uint32_t slot = 0; slot < type->pool.fresh; slot++)
            count_isolate(shard, &type->isolates[slot], &seen);
    }
    expect(&seen, seen.queued == queue_length(shard, &seen), "who is marked as queued is in a queue");
    expect(&seen, seen.live == shard->live_count, "who is alive is counted");
    expect(&seen, seen.messages == shard->messages.used, "every message in use is somebody's mail");
    expect(&seen, seen.timers == shard->timers.used, "every timer in use is somebody's");
    expect(&seen, seen.watches == shard->watches.used, "every watch in use is somebody's");
    expect(&seen, seen.transfers == shard->transfers.used, "every transfer in use is somebody's");
    /* Those that are nobody's any more are the runtime's, until the backend is done with them. */
    expect(&seen, seen.operations_under_way <= shard->operations_under_way, "every operation under way is counted");
    expect(&seen, seen.operations + (shard->operations_under_way - seen.operations_under_way) == shard->operations.used,
           "every operation in use is somebody's or under way");
    check_owed(shard, &seen);
    check_buckets(shard, &seen);
    check_peers(shard, &seen);
    check_groups(shard, &seen);
    check_buffers(shard, &seen);
    return seen.broken;
}
