/* Isolates, their mail and what they wait for, and the whole. Times, I/O and the tree have files of their own. */
#include "core/invariant.h"

#include "core/mailbox.h"
#include "core/timers.h"

#include <string.h>

static bool expect(tina__census *seen, bool is_true, const char *what) { return tina__census_expect(seen, is_true, what); }

/* ---- Transfers ----------------------------------------------------------------------------- */

static void see_carried(const tina__shard *shard, const tina_message *message, tina__census *seen)
{
    tina_transfer transfer;
    memcpy(&transfer, message->payload, sizeof transfer);
    uint32_t index = tina__word_index(transfer.bits);
    seen->transfers++;
    if (!expect(seen, index < shard->transfers.fresh, "a transfer that is carried is in use"))
        return;
    const tina__transfer_record *record = &shard->p.transfer_records[index];
    expect(seen, record->generation == tina__word_generation(transfer.bits), "a transfer that is carried is in use");
    expect(seen, record->isolate == TINA__NONE, "a transfer is carried or written, not both");
    expect(seen, record->state == TINA__TRANSFER_CARRIED, "a transfer knows what it is");
}

static void see_written(const tina__shard *shard, const tina__isolate *isolate, uint32_t self, tina__census *seen)
{
    uint32_t previous = TINA__NONE;
    for (uint32_t index = isolate->transfers; index != TINA__NONE;) {
        if (!expect(seen, index < shard->transfers.fresh && seen->transfers < shard->p.transfer_count,
                    "the list of what an isolate writes ends"))
            return;
        const tina__transfer_record *record = &shard->p.transfer_records[index];
        expect(seen, record->isolate == self, "a transfer is in its writer's list");
        expect(seen, record->previous == previous, "a transfer knows what stands before it");
        expect(seen, record->state == TINA__TRANSFER_WRITTEN, "a transfer knows what it is");
        seen->transfers++;
        previous = index;
        index = record->next;
    }
}

static void see_sent(const tina__shard *shard, const tina__transfer_record *record, uint32_t index, tina__census *seen)
{
    seen->sent++;
    if (!expect(seen,
                record->to_shard < shard->shared->shard_count &&
                    record->place < shard->p.peers[record->to_shard].place_pool.fresh,
                "a transfer that was sent has a place for the answer"))
        return;
    const tina__place *place = &shard->p.peers[record->to_shard].places[record->place];
    expect(seen, place->state == TINA__PLACE_WAITING && place->kind == TINA__PLACE_TRANSFER && place->waiter == index,
           "a transfer that was sent has a place for the answer");
}

/* Of an old life: kept only while somebody may read it. */
static void see_left(const tina__shard *shard, const tina__transfer_record *record, tina__census *seen)
{
    seen->left++;
    expect(seen, record->to_shard < shard->shared->shard_count && shard->p.peers[record->to_shard].is_estranged,
           "a transfer that an old life has sent is free when nobody reads it");
}

static void see_transfers(const tina__shard *shard, tina__census *seen)
{
    for (uint32_t i = 0; i < shard->transfers.fresh; i++) {
        const tina__transfer_record *record = &shard->p.transfer_records[i];
        if (record->state == TINA__TRANSFER_SENT)
            see_sent(shard, record, i, seen);
        else if (record->state == TINA__TRANSFER_LEFT)
            see_left(shard, record, seen);
    }
    expect(seen, seen->transfers + seen->sent + seen->left == shard->transfers.used, "every transfer in use is somebody's");
    expect(seen, seen->left == shard->transfers_left, "every transfer that an old life has sent is counted");
}

/* ---- Mail ---------------------------------------------------------------------------------- */

static void see_message(const tina__shard *shard, const tina_message *message, tina__census *seen)
{
    seen->messages++;
    expect(seen, (message->flags & TINA__MESSAGE_COUNTED) != 0, "a message of the pool is a user's");
    if (message->tag == TINA_TAG_TRANSFER)
        see_carried(shard, message, seen);
}

/* An answer is in no list but the mailbox; other slots are in their owner's, too, and are counted there. */
static void see_slot(const tina__shard *shard, const tina__isolate *isolate, uint32_t index, uint32_t previous,
                     tina__census *seen)
{
    const tina__timer_slot *slot = tina__timer_at(shard, index);
    if (slot->use == TINA__TIMER_ANSWER) {
        *(tina__timer_is_watch(shard, index) ? &seen->watches : &seen->timers) += 1;
        return;
    }
    seen->timer_mail++;
    expect(seen, slot->is_queued, "a timer that is mail knows it");
    expect(seen, slot->isolate == tina__isolate_index(shard, isolate), "a timer is its owner's mail");
    expect(seen, previous == TINA__NONE || slot->mail_previous == previous,
           "a timer knows what stands before it in the mailbox");
}

static void see_mail(const tina__shard *shard, const tina__isolate *isolate, tina__census *seen)
{
    const uint32_t slot_count = shard->p.message_count + shard->p.timer_count + shard->p.watch_count;
    uint32_t ordinary = 0;
    uint32_t length = 0;
    uint32_t last = TINA__NONE;
    for (uint32_t index = isolate->inbox_head; index != TINA__NONE; index = shard->p.mail[index].link) {
        if (!expect(seen, index < slot_count && length++ < slot_count, "a mailbox ends"))
            return;
        const tina_message *message = &shard->p.mail[index];
        expect(seen, tina__isolate_find(shard, message->destination) == isolate, "mail is for whoever has it");
        seen->waiting += (message->flags & TINA__MESSAGE_COUNTED) != 0;
        if (index < shard->p.message_count) {
            ordinary++;
            see_message(shard, message, seen);
        } else {
            see_slot(shard, isolate, index - shard->p.message_count, last, seen);
        }
        last = index;
    }
    expect(seen, ordinary == isolate->inbox_count, "a mailbox holds what it counts");
    expect(seen, ordinary <= shard->p.types[isolate->type].mailbox_capacity, "a mailbox keeps to its capacity");
    expect(seen, last == TINA__NONE || isolate->inbox_tail == last, "a mailbox ends at its tail");
}

/* ---- What it is parked for -------------------------------------------------------------------- */

static void see_call_awaited(const tina__shard *shard, const tina__isolate *isolate, bool has_come, tina__census *seen)
{
    if (!expect(seen, isolate->awaited < shard->p.timer_count, "who is parked for a call has one"))
        return;
    const tina__timer_slot *slot = tina__timer_at(shard, isolate->awaited);
    expect(seen, slot->use == (has_come ? TINA__TIMER_ANSWER : TINA__TIMER_CALL), "who is parked for a call has one");
    expect(seen, tina__isolate_find(shard, slot->destination) == isolate,
           "the call that an isolate is parked for is its own");
    if (!has_come)
        return;
    seen->timers++;
    seen->waiting += (slot->flags & TINA__MESSAGE_COUNTED) != 0;
}

static void see_close_awaited(const tina__shard *shard, const tina__isolate *isolate, bool has_come, tina__census *seen)
{
    uint32_t node = isolate->awaited - shard->p.operation_count;
    if (!expect(seen, node / 2 < shard->p.descriptor_count, "who is parked for an operation has one"))
        return;
    const tina__descriptor *descriptor = &shard->p.descriptors[node / 2];
    bool is_told = (descriptor->told & (1u << node % 2)) != 0;
    expect(seen, tina__isolate_find(shard, descriptor->closer[node % 2]) == isolate,
           "the close that an isolate is parked for is its own");
    expect(seen, is_told == has_come, "who is parked is woken when its operation is over");
}

static void see_operation_awaited(const tina__shard *shard, const tina__isolate *isolate, bool has_come, tina__census *seen)
{
    if (isolate->awaited >= shard->p.operation_count) {
        see_close_awaited(shard, isolate, has_come, seen);
        return;
    }
    const tina__operation *operation = &shard->p.operations[isolate->awaited];
    expect(seen, operation->isolate == tina__isolate_index(shard, isolate),
           "the operation that an isolate is parked for is its own");
    expect(seen, (operation->state == TINA__OPERATION_DONE) == has_come,
           "who is parked is woken when its operation is over");
}

static void see_parked(const tina__shard *shard, const tina__isolate *isolate, tina__census *seen)
{
    bool is_woken = (isolate->flags & TINA__ISOLATE_WOKEN) != 0;
    switch (isolate->state) {
    case TINA__ISOLATE_RECEIVING: expect(seen, !is_woken, "who is parked for nothing is not woken"); break;
    case TINA__ISOLATE_IN_IO: see_operation_awaited(shard, isolate, is_woken, seen); break;
    case TINA__ISOLATE_IN_CALL: see_call_awaited(shard, isolate, is_woken, seen); break;
    case TINA__ISOLATE_REFUSED: expect(seen, is_woken, "who was refused is woken"); break;
    case TINA__ISOLATE_YIELDED:
        expect(seen, (isolate->flags & TINA__ISOLATE_QUEUED) != 0, "who has yielded is queued");
        break;
    default: expect(seen, false, "an isolate is parked, in a way that there is"); break;
    }
}

/* ---- Isolates ------------------------------------------------------------------------------------ */

/* A slot that is nobody's. */
static void see_vacant(const tina__isolate *isolate, tina__census *seen)
{
    bool is_queued = (isolate->flags & TINA__ISOLATE_QUEUED) != 0;
    bool is_dead = (isolate->flags & TINA__ISOLATE_DEAD) != 0;
    expect(seen, is_queued == is_dead, "who has ended is queued only until a queue reaches it");
    seen->dead += is_dead;
}

static void see_isolate(const tina__shard *shard, const tina__type *type, const tina__isolate *isolate, tina__census *seen)
{
    uint32_t self = tina__isolate_index(shard, isolate);
    bool is_queued = (isolate->flags & TINA__ISOLATE_QUEUED) != 0;
    seen->queued += is_queued;
    if (isolate->state == TINA__ISOLATE_FREE) {
        see_vacant(isolate, seen);
        return;
    }
    seen->live++;
    expect(seen, isolate->type == type->id && isolate->generation != 0,
           "who is alive is of its slot's type, and can be told from others");
    expect(seen, is_queued || !tina__isolate_has_work(isolate), "an isolate with something to do is queued");
    see_parked(shard, isolate, seen);
    see_mail(shard, isolate, seen);
    see_written(shard, isolate, self, seen);
    tina__census_timers(shard, isolate, seen);
    tina__census_owed(shard, isolate, seen);
    tina__census_isolates_io(shard, isolate, seen);
}

static void see_type(const tina__shard *shard, const tina__type *type, tina__census *seen)
{
    uint32_t before = seen->live + seen->dead;
    for (uint32_t slot = 0; slot < type->pool.fresh && seen->broken == NULL; slot++)
        see_isolate(shard, type, &type->isolates[slot], seen);
    expect(seen, seen->broken != NULL || seen->live + seen->dead - before == type->pool.used,
           "every slot in use is somebody's");
}

/* ---- Queues ----------------------------------------------------------------------------------------- */

static void see_ready(const tina__shard *shard, const tina__type *type, uint32_t *length, tina__census *seen)
{
    bool is_marked = (shard->ready[type->id / 64] >> (type->id % 64) & 1) != 0;
    expect(seen, is_marked == (type->ready_head != TINA__NONE), "a type is marked ready while its queue holds somebody");
    uint32_t last = TINA__NONE;
    for (uint32_t slot = type->ready_head; slot != TINA__NONE; slot = type->isolates[slot].ready_next) {
        if (!expect(seen, slot < type->pool.fresh && ++*length <= shard->p.slot_count, "a ready queue ends"))
            return;
        expect(seen, (type->isolates[slot].flags & TINA__ISOLATE_QUEUED) != 0, "who is in a queue is marked as queued");
        last = slot;
    }
    expect(seen, last == TINA__NONE || type->ready_tail == last, "a ready queue ends at its tail");
}

static void see_yielded(const tina__shard *shard, uint32_t *length, tina__census *seen)
{
    uint32_t last = TINA__NONE;
    for (uint32_t index = shard->yielded_head; index != TINA__NONE; index = shard->p.isolates[index].ready_next) {
        if (!expect(seen, index < shard->p.slot_count && ++*length <= shard->p.slot_count,
                    "the list of those that yielded ends"))
            return;
        const tina__isolate *isolate = &shard->p.isolates[index];
        bool has_yielded = isolate->state == TINA__ISOLATE_YIELDED || (isolate->flags & TINA__ISOLATE_DEAD) != 0;
        expect(seen, has_yielded && (isolate->flags & TINA__ISOLATE_QUEUED) != 0,
               "who is on the list of those that yielded has yielded");
        last = index;
    }
    expect(seen, last == TINA__NONE || shard->yielded_tail == last, "the list of those that yielded ends at its tail");
}

static void see_queues(const tina__shard *shard, tina__census *seen)
{
    uint32_t length = 0;
    for (uint32_t i = 0; i < shard->p.type_count; i++)
        see_ready(shard, &shard->p.types[i], &length, seen);
    see_yielded(shard, &length, seen);
    expect(seen, seen->queued == length, "who is marked as queued is in a queue");
}

/* ---- The whole ----------------------------------------------------------------------------------------- */

static void see_pools(const tina__shard *shard, tina__census *seen)
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

/* What a handler call, and the turn that collects, leave behind: nothing. */
static void see_rest(const tina__shard *shard, tina__census *seen)
{
    expect(seen, shard->stage_used == 0, "no effect is left that was made and not returned");
    expect(seen, shard->scratch_used == 0, "no scratch memory is left in use");
    expect(seen, shard->begun_count == 0, "no message is left begun");
    expect(seen, shard->collected_done == shard->collected_count, "every completion that was collected was dealt with");
}

static void see_totals(const tina__shard *shard, tina__census *seen)
{
    expect(seen, seen->live == shard->live_count, "who is alive is counted");
    expect(seen, seen->messages == tina__pool_taken(&shard->messages), "every message in use is somebody's mail");
    expect(seen, seen->timers == shard->timers.used, "every timer in use is somebody's");
    expect(seen, seen->watches == shard->watches.used, "every watch in use is somebody's");
    expect(seen, seen->timer_mail == seen->timer_queued, "a timer that says so is mail");
}

const char *tina__invariant_census(const tina__shard *shard, tina__census *seen)
{
    *seen = (tina__census){0};
    tina__assert(shard->depth == 0);
    see_rest(shard, seen);
    see_pools(shard, seen);
    for (uint32_t i = 0; i < shard->p.type_count && seen->broken == NULL; i++)
        see_type(shard, &shard->p.types[i], seen);
    static void (*const walkers[])(const tina__shard *, tina__census *) = {
        see_queues, see_totals, see_transfers, tina__census_io, tina__census_tree, tina__census_time,
    };
    for (size_t i = 0; i < sizeof walkers / sizeof walkers[0] && seen->broken == NULL; i++)
        walkers[i](shard, seen);
    return seen->broken;
}

const char *tina__invariant_broken(const tina__shard *shard)
{
    tina__census seen;
    return tina__invariant_census(shard, &seen);
}
