/*
 * Why `in` always has room for what passes, and for the wire's own answers. Let O
 * be what waits in `out` and I what `in` holds, together O + I, of which A are
 * answers (the wire's own included) and the others are ordinary.
 *
 * Answers: each has the credit of a place of the destination's that is in use, and
 * no place has two (core/place.h). The wire's own answer has that of a place whose
 * request it has lost, so that nobody else will answer it. Places are all freed at
 * once only when the source begins a new life: by then all its answers are in `in`
 * (tina__wires_rebuilt), and who frees the places has drained it; or when the
 * destination does: then it asks nothing of the source before it has read up to
 * the fence that the source has set behind the last answer to its old life. So
 * A <= answer_capacity.
 *
 * Ordinary ones: the source writes one only where written - head < capacity. With
 * h = read - I, written - h is O + I. h grows with what the destination takes and
 * with what is lost, stays as messages pass, and falls by one with an answer of
 * the wire's own; head is the highest h so far, since it can't go back. It is
 * above h by no more than there are answers of the wire's own in `in`: each adds
 * one to the distance, and whatever is taken, they too, takes one off while there
 * is any. So written - head >= O + I - A, which is how many ordinary ones there
 * are: they never become more than capacity.
 *
 * Together O + I <= capacity + answer_capacity, which is the room of either ring;
 * tina__spsc_claim_answer asserts it at each message. Where the wire has no answer
 * of its own under way, head is h: the source sees what it would see if the
 * destination read `out` itself.
 */
#include "sim/wire.h"

#include "core/gift.h"
#include "core/timers.h"
#include "sim/streams.h"

#include <stdlib.h>
#include <string.h>

#define COPY_STEP 32 /* bytes of payload that are copied at once */
TINA_STATIC_ASSERT(TINA_PAYLOAD_MAX % COPY_STEP == 0, "a payload is copied in whole steps");

static tina__wire *wire_at(const tina__wires *wires, uint32_t source, uint32_t destination)
{
    return &wires->wires[source * wires->shard_count + destination];
}

static uint32_t tail_of(const tina__spsc *ring) { return atomic_load_explicit(&ring->tail, memory_order_relaxed); }
static uint32_t head_of(const tina__spsc *ring) { return atomic_load_explicit(&ring->head, memory_order_relaxed); }

static tina_message *message_at(const tina__spsc *ring, uint32_t position) { return &ring->slots[position & ring->mask]; }

/* ---- Whose a message is ------------------------------------------------------------------- */

/* In the ledger. */
static bool is_counted(const tina_message *message)
{
    return (message->flags & TINA__MESSAGE_COUNTED) != 0 && message->tag != TINA__TAG_VOID;
}

/* One that may be late or lost. */
static bool is_users(const tina_message *message)
{
    return is_counted(message) && (message->flags & TINA__MESSAGE_ANSWER) == 0;
}

/* ---- The fence ----------------------------------------------------------------------------- */

/*
 * The source knows of a new life of the destination's, and the wire has not told
 * the destination: what passes until then is of the old time. The source has freed
 * its places, and what the wire knows of them means nothing any more.
 */
static bool has_fence(const tina__wire *wire)
{
    return atomic_load_explicit(&wire->out->fence_life, memory_order_relaxed) !=
           atomic_load_explicit(&wire->in.fence_life, memory_order_relaxed);
}

static void forget_lost(tina__wires *wires, tina__wire *wire)
{
    if (wire->lost_count == 0)
        return;
    const tina__wire *back = wire_at(wires, wire->destination, wire->source);
    memset(wire->is_lost, 0, back->in.answer_capacity * sizeof *wire->is_lost);
    wire->lost_count = 0;
}

/* All that was written before it has passed. */
static void pass_fence(tina__wires *wires, tina__wire *wire)
{
    tina__spsc_fence(&wire->in, atomic_load_explicit(&wire->out->fence_life, memory_order_relaxed));
    forget_lost(wires, wire);
}

/* ---- What becomes of a message ---------------------------------------------------------------- */

typedef enum fate { PASSES, LOST, WAITS, ANSWERED } fate;

/*
 * The place in which its source waits for the answer; NULL: it waits no more, perhaps
 * in another life, or has given up what is of the destination's old time.
 */
static const tina__place *place_of(const tina__wires *wires, const tina__wire *wire, const tina_message *message)
{
    uint32_t index = tina__call_place(message->correlation);
    const tina__place *place = &wires->shards[wire->source]->p.peers[wire->destination].places[index];
    bool is_waiting = place->state == TINA__PLACE_WAITING;
    return is_waiting && tina__call_make(index, place->sequence) == message->correlation && !has_fence(wire) ? place : NULL;
}

/* Its caller would never withdraw it. The shard's tick may have ended in a fault: what it says is not taken on trust. */
static bool waits_for_ever(const tina__wires *wires, const tina__wire *wire, const tina_message *message)
{
    if ((message->flags & TINA__MESSAGE_CALL) == 0)
        return false;
    const tina__shard *caller = wires->shards[wire->source];
    const tina__place *place = place_of(wires, wire, message);
    return place != NULL && place->waiter < caller->p.timer_count &&
           tina__timer_at(caller, place->waiter)->node.deadline_ns == TINA_NONE_NS;
}

/* A descriptor that nobody would take back. */
static bool must_arrive(const tina__wires *wires, const tina__wire *wire, const tina_message *message)
{
    return (message->flags & TINA__MESSAGE_GIFT) != 0 && place_of(wires, wire, message) == NULL;
}

static bool is_dropped(const tina__wires *wires, tina__wire *wire)
{
    tina_ratio rate = wires->faults->rates.message_drop;
    return rate.numerator != 0 && !wires->is_healed && tina__fault_strikes(&wire->drops, rate);
}

/* A withdrawal of a request that was lost. */
static bool asks_back_lost(const tina__wire *wire, const tina_message *message)
{
    return wire->lost_count != 0 && (message->flags & TINA__MESSAGE_WITHDRAWN) != 0 &&
           wire->is_lost[tina__call_place(message->correlation)] && !has_fence(wire);
}

static fate fate_of(const tina__wires *wires, tina__wire *wire, const tina_message *message)
{
    if (!is_users(message))
        return asks_back_lost(wire, message) ? ANSWERED : PASSES;
    if (!wire->is_cut && !is_dropped(wires, wire))
        return PASSES;
    if (must_arrive(wires, wire, message))
        return PASSES;
    if (!waits_for_ever(wires, wire, message))
        return LOST;
    return wire->is_cut ? WAITS : PASSES;
}

static void copy_used(tina_message *to, const tina_message *from)
{
    memcpy(to, from, offsetof(tina_message, payload));
    for (size_t done = 0; done < from->size; done += COPY_STEP)
        memcpy(to->payload + done, from->payload + done, COPY_STEP);
}

static void ring(const tina__wires *wires, const tina__wire *wire)
{
    (void)tina__doorbell_ring(&wires->publics[wire->destination].bell, wire->source); /* nobody sleeps */
}

/*
 * What the destination's shard would have said. The answer overtakes what waits in
 * the `out` of the way back. Nobody can tell: it concerns a place to which no other
 * answer is under way, since the request never arrived; and no fence waits there,
 * because the source asks nothing in a life for which it has not read up to the
 * fence, and a later life waits for nothing. Should the destination have a new life
 * meanwhile, then the source has not dealt with it (that sets a fence on the way
 * there), and reads all of `in`, with this answer, before it does.
 */
static void answer_for(const tina__wires *wires, const tina__wire *wire, const tina_message *request, tina_tag tag,
                       uint16_t flags, const void *payload, uint16_t size)
{
    tina__wire *back = wire_at(wires, wire->destination, wire->source);
    tina__assert(!has_fence(back));
    tina_message *answer = tina__spsc_claim_answer(&back->in);
    answer->source.bits = 0;
    answer->destination.bits = 0;
    answer->correlation = request->correlation;
    answer->tag = tag;
    answer->flags = (uint16_t)(TINA__MESSAGE_ANSWER | flags);
    answer->reserved = 0;
    answer->size = size;
    if (size != 0)
        memcpy(answer->payload, payload, size);
    tina__spsc_publish(&back->in);
    ring(wires, back);
}

/* A withdrawal of what was lost. */
static void answer_lost(const tina__wires *wires, tina__wire *wire, const tina_message *withdrawal)
{
    tina_status status = TINA_TIMED_OUT;
    answer_for(wires, wire, withdrawal, TINA_TAG_CALL_FAILED, 0, &status, sizeof status);
    wire->is_lost[tina__call_place(withdrawal->correlation)] = false;
    wire->lost_count--;
}

/* As if the receiver had been full. */
static void return_gift(const tina__wires *wires, const tina__wire *wire, tina_message *message)
{
    tina__gift gift;
    memcpy(&gift, message->payload, sizeof gift);
    gift.os_fd = tina__gift_take(message);
    gift.status = TINA_MAILBOX_FULL;
    answer_for(wires, wire, message, message->tag, TINA__MESSAGE_GIFT, &gift, sizeof gift);
}

static void lose_request(tina__wire *wire, const tina_message *message)
{
    uint32_t place = tina__call_place(message->correlation);
    if (has_fence(wire))
        return;
    tina__assert(!wire->is_lost[place]);
    wire->is_lost[place] = true;
    wire->lost_count++;
}

static void lose(tina__wires *wires, tina__wire *wire, tina_message *message)
{
    const tina__shard *receiver = wires->shards[wire->destination];
    tina__trace_detail(receiver->p.trace, receiver->tick, TINA__EVENT_LOST, message->destination, message->tag, 0,
                       message->source.bits);
    if (wire->is_cut) {
        wire->cut_off++;
    } else {
        wire->dropped++;
        wires->faults->counts.message_drop++;
    }
    if (message->flags & TINA__MESSAGE_CALL)
        lose_request(wire, message);
    else if (message->flags & TINA__MESSAGE_GIFT)
        return_gift(wires, wire, message);
    else if ((message->flags & TINA__MESSAGE_TRANSFER) != 0 && place_of(wires, wire, message) != NULL)
        answer_for(wires, wire, message, message->tag, TINA__MESSAGE_TRANSFER, NULL, 0);
}

/* ---- From ring to ring ---------------------------------------------------------------------------- */

/* What is new draws its delay. */
static void see(const tina__wires *wires, tina__wire *wire)
{
    const tina__spsc *out = wire->out;
    uint32_t tail = tail_of(out);
    tina_range range = wires->is_healed ? (tina_range){0} : wires->faults->rates.message_delay;
    for (; wire->seen != tail; wire->seen++) {
        bool may_be_late = is_users(message_at(out, wire->seen));
        uint64_t delay = may_be_late ? tina__fault_draw(&wire->delays, range) : 0;
        wires->faults->counts.message_delay += delay != 0;
        wire->due_ns[wire->seen & out->mask] = tina__add_saturating(wires->now_ns, delay * wires->round_ns);
    }
}

/* What it carries lies in one ring only. */
static void pass(tina__wire *wire, tina_message *message)
{
    copy_used(tina__spsc_claim_answer(&wire->in), message);
    (void)tina__gift_take(message);
}

/* In order: what is due waits behind what is not. */
static void pass_up_to(tina__wires *wires, tina__wire *wire, uint32_t position, uint64_t until_ns)
{
    tina__spsc *out = wire->out;
    for (; out->read != position && wire->due_ns[out->read & out->mask] <= until_ns; out->read++) {
        tina_message *message = message_at(out, out->read);
        switch (fate_of(wires, wire, message)) {
        case PASSES: pass(wire, message); break;
        case LOST: lose(wires, wire, message); break;
        case ANSWERED: answer_lost(wires, wire, message); break;
        case WAITS: return;
        }
    }
}

/* See the top of the file. */
static void give_back(tina__wire *wire)
{
    tina__spsc *out = wire->out;
    wire->given = head_of(&wire->in);
    uint32_t position = out->read - (wire->in.written - wire->given);
    if ((int32_t)(position - head_of(out)) > 0)
        atomic_store_explicit(&out->head, position, memory_order_release); /* as tina__spsc_release */
}

static bool is_busy(const tina__wire *wire) { return wire->is_cut || wire->out->read != wire->seen; }

static void list(tina__wires *wires, tina__wire *wire)
{
    if (wire->is_listed)
        return;
    wire->is_listed = true;
    wires->busy[wires->busy_count++] = wire;
}

/* What is due until then passes. */
static void forward(tina__wires *wires, tina__wire *wire, uint64_t until_ns)
{
    uint32_t written = wire->in.written;
    bool was_fenced = has_fence(wire);
    see(wires, wire);
    if (was_fenced) {
        pass_up_to(wires, wire, wire->out->fence, until_ns);
        if (wire->out->read == wire->out->fence)
            pass_fence(wires, wire);
    }
    bool is_fenced = has_fence(wire);
    if (!is_fenced)
        pass_up_to(wires, wire, wire->seen, until_ns);
    tina__spsc_publish(&wire->in);
    give_back(wire);
    if (wire->in.written != written || is_fenced != was_fenced)
        ring(wires, wire);
    if (is_busy(wire))
        list(wires, wire);
}

/* The busy ones, in the order in which they became so; those that no longer are leave the list. */
static void forward_busy(tina__wires *wires, uint64_t until_ns)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < wires->busy_count; i++) {
        tina__wire *wire = wires->busy[i];
        forward(wires, wire, until_ns);
        wire->is_listed = is_busy(wire);
        if (wire->is_listed)
            wires->busy[kept++] = wire;
    }
    wires->busy_count = kept;
}

/* ---- Partitions -------------------------------------------------------------------------------------- */

static void cut(tina__wires *wires, uint32_t source, uint32_t destination)
{
    tina__wire *wire = wire_at(wires, source, destination);
    if (wire->is_cut)
        return;
    wire->is_cut = true;
    wires->cut_count++;
    list(wires, wire);
}

static void mend(tina__wires *wires, tina__wire *wire)
{
    wire->is_cut = false;
    wires->cut_count--;
}

static void end_cuts(tina__wires *wires, tina_ratio rate)
{
    if (wires->cut_count == 0 || rate.numerator == 0)
        return;
    for (uint32_t i = 0; i < wires->busy_count; i++) {
        if (wires->busy[i]->is_cut && tina__fault_strikes(&wires->partitions, rate))
            mend(wires, wires->busy[i]);
    }
}

/* Any two, one way or both. */
static void begin_cut(tina__wires *wires, tina_ratio rate)
{
    if (wires->shard_count < 2 || rate.numerator == 0 || !tina__fault_strikes(&wires->partitions, rate))
        return;
    uint32_t source = (uint32_t)tina__prng_below(&wires->partitions, wires->shard_count);
    uint32_t destination = (uint32_t)tina__prng_below(&wires->partitions, wires->shard_count - 1);
    destination += destination >= source;
    bool is_both_ways = tina__prng_below(&wires->partitions, 2) != 0;
    uint32_t cut_before = wires->cut_count;
    cut(wires, source, destination);
    if (is_both_ways)
        cut(wires, destination, source);
    wires->faults->counts.partition += wires->cut_count != cut_before;
}

/* ---- Making --------------------------------------------------------------------------------------------- */

/* The ring from source to destination, as production made it. */
static tina__spsc *channel(tina__shard *const *shards, uint32_t source, uint32_t destination)
{
    return shards[source]->p.peers[destination].out;
}

typedef struct sums {
    size_t wires, slots, places;
} sums;

static sums sum_up(tina__shard *const *shards, uint32_t shard_count)
{
    sums sum = {.wires = (size_t)shard_count * shard_count};
    for (uint32_t i = 0; i < sum.wires; i++) {
        if (i / shard_count == i % shard_count)
            continue;
        const tina__spsc *out = channel(shards, i / shard_count, i % shard_count);
        sum.slots += out->mask + 1u;
        sum.places += out->answer_capacity;
    }
    return sum;
}

/* The rest of the memory, part by part. */
typedef struct parts {
    tina_message *slots;
    uint64_t *due_ns;
    bool *is_lost;
} parts;

static void make_wire(const tina__wires *wires, uint32_t source, uint32_t destination, uint64_t seed, parts *rest)
{
    tina__wire *wire = wire_at(wires, source, destination);
    tina__spsc *out = channel(wires->shards, source, destination);
    tina__assert(out->read == head_of(out));
    tina__assert(atomic_load_explicit(&out->fence_life, memory_order_relaxed) == 0); /* no life has ended yet */
    *wire = (tina__wire){
        .source = (uint8_t)source,
        .destination = (uint8_t)destination,
        .out = out,
        .seen = out->read,
        .due_ns = rest->due_ns,
        .is_lost = rest->is_lost,
    };
    tina__spsc_init(&wire->in, rest->slots, out->capacity, out->answer_capacity);
    wire->given = head_of(&wire->in);
    tina__stream_open(&wire->drops, seed, TINA__STREAM_DROP, source * 256 + destination);
    tina__stream_open(&wire->delays, seed, TINA__STREAM_DELAY, source * 256 + destination);
    rest->slots += out->mask + 1u;
    rest->due_ns += out->mask + 1u;
    rest->is_lost += channel(wires->shards, destination, source)->answer_capacity;
    wires->shards[destination]->p.peers[source].in = &wire->in;
}

tina_status tina__wires_make(tina__wires *wires, tina__shard *const *shards, uint32_t shard_count, tina__faults *faults,
                             uint64_t seed, uint64_t round_ns)
{
    sums sum = sum_up(shards, shard_count);
    size_t size = sum.slots * (sizeof(tina_message) + sizeof(uint64_t)) + sum.places * sizeof(bool) +
                  sum.wires * (sizeof(tina__wire) + sizeof(tina__wire *));
    uint8_t *memory = aligned_alloc(sizeof(tina_message), tina__align_up(size, sizeof(tina_message)));
    if (memory == NULL)
        return TINA_POOL_EXHAUSTED;
    *wires = (tina__wires){
        .shards = shards,
        .shard_count = shard_count,
        .publics = shards[0]->shared->shards,
        .faults = faults,
        .round_ns = round_ns,
        .memory = memory,
    };
    parts rest = {.slots = (tina_message *)(void *)memory};
    wires->wires = (tina__wire *)(void *)(rest.slots + sum.slots);
    wires->busy = (tina__wire **)(void *)(wires->wires + sum.wires);
    rest.due_ns = (uint64_t *)(void *)(wires->busy + sum.wires);
    rest.is_lost = (bool *)(rest.due_ns + sum.slots);
    memset(rest.is_lost, 0, sum.places * sizeof(bool));
    tina__stream_open(&wires->partitions, seed, TINA__STREAM_PARTITION, 0);
    for (uint32_t i = 0; i < sum.wires; i++) {
        if (i / shard_count != i % shard_count)
            make_wire(wires, i / shard_count, i % shard_count, seed, &rest);
    }
    return TINA_OK;
}

void tina__wires_destroy(tina__wires *wires)
{
    free(wires->memory);
    *wires = (tina__wires){0};
}

/* ---- As the world turns ----------------------------------------------------------------------------------- */

void tina__wires_advance(tina__wires *wires, uint64_t now_ns)
{
    wires->now_ns = now_ns;
    if (!wires->is_healed) {
        end_cuts(wires, wires->faults->rates.partition_heal);
        begin_cut(wires, wires->faults->rates.partition);
    }
    forward_busy(wires, now_ns);
}

void tina__wires_send(tina__wires *wires, uint32_t shard, uint64_t now_ns)
{
    wires->now_ns = now_ns;
    if (atomic_load_explicit(&wires->publics[shard].state, memory_order_relaxed) == TINA_SHARD_ENDED)
        tina__wires_heal(wires);
    for (uint32_t other = 0; other < wires->shard_count; other++) {
        if (other == shard)
            continue;
        tina__wire *from = wire_at(wires, shard, other);
        if (tail_of(from->out) != from->seen || has_fence(from))
            forward(wires, from, now_ns);
        tina__wire *to = wire_at(wires, other, shard);
        if (head_of(&to->in) != to->given)
            give_back(to);
    }
}

void tina__wires_rebuilt(tina__wires *wires, uint32_t shard)
{
    for (uint32_t other = 0; other < wires->shard_count; other++) {
        if (other == shard)
            continue;
        wires->shards[shard]->p.peers[other].in = &wire_at(wires, other, shard)->in;
        tina__wire *from = wire_at(wires, shard, other);
        forward(wires, from, TINA_NONE_NS);
        tina__assert(from->out->read == from->seen); /* nobody is left who waits for ever */
        forget_lost(wires, from);
    }
}

void tina__wires_heal(tina__wires *wires)
{
    if (wires->is_healed)
        return;
    wires->is_healed = true;
    for (uint32_t i = 0; i < wires->busy_count; i++) {
        if (wires->busy[i]->is_cut)
            mend(wires, wires->busy[i]);
    }
    forward_busy(wires, TINA_NONE_NS);
}

/* Of one that holds something back. */
static uint64_t next_ns_of(const tina__wires *wires, const tina__wire *wire)
{
    uint64_t due_ns = wire->due_ns[wire->out->read & wire->out->mask];
    if (due_ns > wires->now_ns)
        return due_ns;
    bool may_heal = wires->faults->rates.partition_heal.numerator != 0; /* it waits before a cut */
    return may_heal ? tina__add_saturating(wires->now_ns, wires->round_ns) : TINA_NONE_NS;
}

uint64_t tina__wires_next_ns(const tina__wires *wires)
{
    uint64_t next_ns = TINA_NONE_NS;
    for (uint32_t i = 0; i < wires->busy_count; i++) {
        const tina__wire *wire = wires->busy[i];
        if (wire->out->read != wire->seen)
            next_ns = tina__min_u64(next_ns, next_ns_of(wires, wire));
    }
    return next_ns;
}

/* ---- For checkers --------------------------------------------------------------------------------------------- */

static uint64_t count_between(const tina__spsc *messages, uint32_t first, uint32_t end)
{
    uint64_t count = 0;
    for (; first != end; first++)
        count += is_counted(message_at(messages, first));
    return count;
}

void tina__wires_read_ledger(const tina__wires *wires, tina__wires_ledger *ledger)
{
    *ledger = (tina__wires_ledger){0};
    for (uint32_t i = 0; i < wires->shard_count * wires->shard_count; i++) {
        const tina__wire *wire = &wires->wires[i];
        if (i / wires->shard_count == i % wires->shard_count)
            continue;
        ledger->on_their_way += count_between(wire->out, wire->out->read, wire->out->written);
        ledger->on_their_way += count_between(&wire->in, wire->in.read, wire->in.written);
        ledger->dropped += wire->dropped;
        ledger->cut_off += wire->cut_off;
    }
}
