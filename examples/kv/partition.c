/*
 * A partition: the isolate that owns a shard's keys. It takes batches of steps from
 * connections on any shard, and answers each with one reply.
 *
 * Of what is too large for a batch it remembers who sends it, or who fetches it: a guest,
 * who is watched, so that a value that nobody finishes is given back.
 */
#include "journal.h"
#include "lots.h"
#include "outbox.h"
#include "server.h"

enum {
    GUESTS_MAX = 256,
    SWEEP_SHARE = 64, /* of the table are looked through at once: all of it in some seconds */
};
#define RETRY_NS     MILLISECOND_NS
#define SWEEP_NS     (100 * MILLISECOND_NS)
#define LAST_CALL_NS (50 * MILLISECOND_NS)

typedef struct guest {
    tina_handle who;
    kv_entry *entry; /* NULL: there was no memory, or a piece was lost */
    uint32_t done;   /* bytes that have come or gone */
    bool is_reading;
    bool is_failed; /* no memory */
} guest;

typedef struct partition {
    kv_keeper keeper;
    kv_journal journal;
    guest guests[GUESTS_MAX];
    uint32_t guest_count;
    bool is_ready, is_retrying, is_sweeping, is_ending;
    uint64_t requests, requests_before;
    kv_outbox outbox;
} partition;

TINA_STATIC_ASSERT((int)LOTS_ROOM_MIN >= (int)KEEPER_LINE_MAX, "a step that says no value can always be done");

static kv_server *server_of(const tina_ctx *ctx) { return tina_user(ctx); }

/* ---- Guests ---------------------------------------------------------------------- */

static guest *guest_of(partition *me, tina_handle who)
{
    for (uint32_t i = 0; i < me->guest_count; i++) {
        if (tina_handle_equal(me->guests[i].who, who))
            return &me->guests[i];
    }
    return NULL;
}

static void drop_value(partition *me, guest *visitor)
{
    if (visitor->entry == NULL)
        return;
    if (visitor->is_reading)
        store_unpin(&me->keeper.store, visitor->entry);
    else
        store_drop(&me->keeper.store, visitor->entry);
    visitor->entry = NULL;
}

static void part_with(partition *me, guest *visitor, tina_ctx *ctx)
{
    drop_value(me, visitor);
    tina_unwatch(ctx, visitor->who);
    *visitor = me->guests[--me->guest_count];
}

/* NULL: there is no place for one more. */
static guest *welcome(partition *me, tina_handle who, tina_ctx *ctx)
{
    guest *old = guest_of(me, who);
    if (old != NULL)
        part_with(me, old, ctx);
    if (me->guest_count == GUESTS_MAX || tina_watch(ctx, who) != TINA_OK)
        return NULL;
    guest *visitor = &me->guests[me->guest_count++];
    *visitor = (guest){.who = who};
    return visitor;
}

/* ---- Replies ----------------------------------------------------------------------- */

static void retry_soon(partition *me, tina_ctx *ctx)
{
    if (!me->is_retrying)
        me->is_retrying = tina_timer_start(ctx, RETRY_NS, TAG_RETRY, NULL) == TINA_OK;
}

static void empty_outbox(partition *me, tina_ctx *ctx)
{
    if (!outbox_empty(&me->outbox, me->journal.safe, ctx))
        retry_soon(me, ctx);
}

static void post(partition *me, const parcel *sent, tina_ctx *ctx)
{
    if (!outbox_post(&me->outbox, sent, me->journal.safe, ctx))
        retry_soon(me, ctx);
}

static void answer(partition *me, tina_handle to, tina_transfer transfer, const void *data, uint32_t size, tina_ctx *ctx)
{
    post(me, &(parcel){.to = to, .transfer = transfer, .data = data, .size = size, .after = journal_end(&me->journal, ctx)},
         ctx);
}

static void say_busy(partition *me, tina_handle to, uint32_t round, tina_ctx *ctx)
{
    post(me, &(parcel){.to = to, .round = round}, ctx);
}

/* An answer that waits here is not lost; nor is one that was sent, which has arrived by then. */
static void tell_if_lost(const partition *me, const tina_message *message, tina_ctx *ctx)
{
    if (outbox_has(&me->outbox, message->source))
        return;
    tina_ignore(tina_send(ctx, message->source, TAG_LOST, message->payload, message->size)); /* or when it asks again */
}

/* ---- Values in pieces ----------------------------------------------------------------- */

static void begin_value(partition *me, tina_handle from, const kv_request *request, const uint8_t *key, size_t size,
                        tina_ctx *ctx)
{
    if (size > STORE_KEY_MAX || request->number < 0 || request->number > STORE_VALUE_MAX)
        return;
    guest *visitor = welcome(me, from, ctx);
    if (visitor == NULL)
        return;
    visitor->entry = keeper_expect(&me->keeper, key, (uint32_t)size, (uint32_t)request->number);
    visitor->is_failed = visitor->entry == NULL;
}

static void take_piece(partition *me, tina_handle from, const kv_request *request, const uint8_t *piece, size_t size)
{
    guest *visitor = guest_of(me, from);
    if (visitor == NULL || visitor->entry == NULL || visitor->is_reading)
        return;
    if (request->number != visitor->done || size > visitor->entry->value_size - visitor->done) {
        drop_value(me, visitor); /* one was lost on the way */
        return;
    }
    memcpy(entry_value(visitor->entry) + visitor->done, piece, size);
    visitor->done += (uint32_t)size;
}

/* The value, and the line end behind it, from offset on. */
static uint32_t copy_value(kv_entry *entry, uint32_t offset, uint8_t *out, uint32_t room)
{
    uint32_t size = entry->value_size - (offset < entry->value_size ? offset : entry->value_size);
    if (size > room)
        size = room;
    memcpy(out, entry_value(entry) + offset, size);
    for (offset += size; size < room && offset < entry->value_size + 2; offset++)
        out[size++] = offset == entry->value_size ? '\r' : '\n';
    return size;
}

static void send_piece(partition *me, const tina_message *message, tina_ctx *ctx)
{
    fetch wanted;
    tina_transfer transfer;
    void *data;
    size_t capacity;
    memcpy(&wanted, message->payload, sizeof wanted);
    guest *visitor = guest_of(me, message->source);
    if (visitor == NULL || !visitor->is_reading || visitor->done != wanted.offset)
        return;
    if (tina_transfer_alloc(ctx, &transfer, &data, &capacity) != TINA_OK) {
        say_busy(me, message->source, wanted.round, ctx);
        return;
    }
    kv_reply reply = {.round = wanted.round, .done = 1};
    visitor->done +=
        copy_value(visitor->entry, visitor->done, (uint8_t *)data + sizeof reply, (uint32_t)(capacity - sizeof reply));
    uint32_t size = (uint32_t)(sizeof reply + visitor->done - wanted.offset);
    reply.left = visitor->entry->value_size + 2 - visitor->done;
    reply.next_at = visitor->done;
    memcpy(data, &reply, sizeof reply);
    if (reply.left == 0)
        part_with(me, visitor, ctx);
    answer(me, message->source, transfer, data, size, ctx);
}

/* ---- Steps ------------------------------------------------------------------------------ */

/* Clients of this shard's desk; their keys may be anywhere. */
static uint32_t clients_here(tina_ctx *ctx)
{
    tina_type_stats stats;
    return tina_type_stats_of(ctx, tina_shard(ctx), TYPE_CONNECTION, &stats) == TINA_OK ? stats.isolates : 0;
}

static void tell_info(const partition *me, keeper_run *run, tina_ctx *ctx)
{
    const kv_keeper *keys = &me->keeper;
    kv_partition_info info = {
        .keys = keys->store.count,
        .expiring = keys->store.expiring_count,
        .expired = keys->store.expired_count,
        .hits = keys->hits,
        .misses = keys->misses,
        .steps = keys->steps,
        .clients = clients_here(ctx),
        .memory_used = store_used(&keys->store),
        .memory_size = keys->store.memory_size,
        .live_bytes = keys->store.live_bytes,
        .loading = keys->is_loading,
        .log_size = me->journal.size,
        .log_synced = me->journal.synced,
        .rewrites = me->journal.rewrites,
        .log_failures = me->journal.failures,
    };
    memcpy(run->out, &info, sizeof info);
    run->out_size = sizeof info;
    run->reply.kind = REPLY_INFO;
    run->reply.done = 1;
}

/* Its first step says what it is. */
static bool is_info(const uint8_t *data, size_t size)
{
    return size >= sizeof(kv_request) + sizeof(kv_step) && data[sizeof(kv_request)] == STEP_INFO;
}

/* Whoever fetches the rest of a value is a guest. False: there is no place for one. */
static bool keep_large(partition *me, tina_handle from, keeper_run *run, tina_ctx *ctx)
{
    guest *visitor = welcome(me, from, ctx);
    if (visitor == NULL) {
        store_unpin(&me->keeper.store, run->large);
        return false;
    }
    visitor->entry = run->large;
    visitor->is_reading = true;
    visitor->done = run->large_done;
    run->reply.kind = REPLY_LARGE;
    run->reply.left = run->large->value_size + 2 - run->large_done;
    run->reply.next_at = run->large_done;
    return true;
}

/* A value that came in pieces is the first step's, or nobody's. */
static void serve(partition *me, tina_handle from, const uint8_t *data, size_t size, keeper_run *run, tina_ctx *ctx)
{
    guest *visitor = me->guest_count == 0 ? NULL : guest_of(me, from);
    bool is_sent = visitor != NULL && !visitor->is_reading;
    bool is_whole = is_sent && visitor->entry != NULL && visitor->done == visitor->entry->value_size;
    run->sent = is_whole ? visitor->entry : NULL;
    run->is_sent_failed = is_sent && visitor->is_failed;
    keeper_serve(&me->keeper, data, size, run);
    if (is_whole && run->sent == NULL)
        visitor->entry = NULL; /* it is the store's now */
    if (visitor != NULL && run->reply.done != 0)
        part_with(me, visitor, ctx);
}

/* Where what comes of it goes. Returns the bytes ahead of the replies. */
static uint32_t lay_out(keeper_run *run, const kv_request *request, uint8_t *out, uint32_t capacity)
{
    uint32_t head = sizeof run->reply;
    if (request->kind == REQUEST_LOT) {
        run->sizes = (uint16_t *)(void *)(out + head);
        head += request->count * (uint32_t)sizeof *run->sizes;
    }
    run->out = out + head;
    run->out_capacity = capacity - head;
    if (request->kind == REQUEST_LOT && request->number < run->out_capacity)
        run->out_capacity = (uint32_t)request->number;
    return head;
}

static void take_steps(partition *me, tina_handle from, const uint8_t *data, size_t size, tina_ctx *ctx)
{
    tina_transfer transfer;
    void *out;
    size_t capacity;
    kv_request request;
    memcpy(&request, data, sizeof request);
    if (tina_transfer_alloc(ctx, &transfer, &out, &capacity) != TINA_OK) {
        say_busy(me, from, request.round, ctx);
        return;
    }
    keeper_run run = {.now_ms = kv_now_ms(server_of(ctx), ctx), .reply = {.round = request.round}};
    uint32_t head = lay_out(&run, &request, out, (uint32_t)capacity);
    if (is_info(data, size))
        tell_info(me, &run, ctx);
    else
        serve(me, from, data, size, &run, ctx);
    if (run.reply.done == 0 || (run.large != NULL && !keep_large(me, from, &run, ctx))) {
        tina_transfer_free(ctx, transfer);
        say_busy(me, from, request.round, ctx);
        return;
    }
    memcpy(out, &run.reply, sizeof run.reply);
    answer(me, from, transfer, out, head + run.out_size, ctx);
}

static void take_request(partition *me, const tina_message *message, tina_ctx *ctx)
{
    const void *data;
    size_t size;
    kv_request request;
    if (tina_transfer_read(ctx, message, &data, &size) != TINA_OK || size < sizeof request)
        return;
    memcpy(&request, data, sizeof request);
    const uint8_t *rest = (const uint8_t *)data + sizeof request;
    me->requests++;
    switch (request.kind) {
    case REQUEST_STEPS:
    case REQUEST_LOT: take_steps(me, message->source, data, size, ctx); return;
    case REQUEST_BEGIN: begin_value(me, message->source, &request, rest, size - sizeof request, ctx); return;
    case REQUEST_PIECE: take_piece(me, message->source, &request, rest, size - sizeof request); return;
    default: return;
    }
}

/* ---- What has expired ---------------------------------------------------------------------- */

static void sweep_later(partition *me, tina_ctx *ctx)
{
    if (!me->is_sweeping && me->keeper.store.expiring_count != 0)
        me->is_sweeping = tina_timer_start(ctx, SWEEP_NS, TAG_SWEEP, NULL) == TINA_OK;
}

/* ---- Its life ------------------------------------------------------------------------------ */

static void note_if_ready(partition *me, tina_ctx *ctx)
{
    if (me->is_ready || me->keeper.is_loading)
        return;
    me->is_ready = true;
    atomic_fetch_or_explicit(&server_of(ctx)->ready, UINT64_C(1) << tina_shard(ctx), memory_order_relaxed);
}

static tina_effect partition_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)args, (void)args_size;
    partition *me = self;
    kv_server *server = server_of(ctx);
    atomic_fetch_and_explicit(&server->ready, ~(UINT64_C(1) << tina_shard(ctx)), memory_order_relaxed);
    uint8_t *memory = server->memory + (size_t)tina_shard(ctx) * server->memory_size;
    store_begin(&me->keeper.store, memory, server->memory_size, server->secret);
    outbox_begin(&me->outbox);
    journal_begin(&me->journal, &me->keeper, ctx);
    note_if_ready(me, ctx);
    return tina_receive();
}

/* It serves those who still ask; when nobody has for a while, it is done. */
static tina_effect last_call(partition *me, tina_ctx *ctx)
{
    bool is_kept = journal_finish(&me->journal, &me->keeper, ctx) || me->keeper.refusal != NULL;
    bool is_idle = me->is_ending && me->requests == me->requests_before && (me->outbox.count == 0 || !me->journal.is_ready);
    me->is_ending = true;
    me->requests_before = me->requests;
    if ((is_idle && is_kept) || tina_timer_start(ctx, LAST_CALL_NS, TAG_TICK, NULL) != TINA_OK)
        return tina_done();
    return tina_receive();
}

static tina_effect hear(partition *me, journal_news news, tina_ctx *ctx)
{
    if (news == JOURNAL_FAILED)
        return tina_crash(END_LOG_FAILED);
    note_if_ready(me, ctx);
    if (news == JOURNAL_SAFE)
        empty_outbox(me, ctx);
    return tina_receive();
}

static tina_effect partition_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    partition *me = self;
    tina_down down;
    guest *visitor;
    switch (message->tag) {
    case TINA_TAG_TRANSFER: take_request(me, message, ctx); break;
    case TAG_FETCH: send_piece(me, message, ctx); break;
    case TAG_PROBE: tell_if_lost(me, message, ctx); break;
    case TAG_RETRY:
        me->is_retrying = false;
        empty_outbox(me, ctx);
        break;
    case TAG_SWEEP:
        me->is_sweeping = false;
        store_sweep(&me->keeper.store, store_bucket_count(&me->keeper.store) / SWEEP_SHARE, kv_now_ms(server_of(ctx), ctx));
        break;
    case TINA_TAG_DOWN:
        memcpy(&down, message->payload, sizeof down);
        visitor = guest_of(me, down.who);
        if (visitor != NULL)
            part_with(me, visitor, ctx);
        break;
    case TAG_TICK:
    case TINA_TAG_SHUTDOWN: return last_call(me, ctx);
    case TAG_LOG: return hear(me, journal_tick(&me->journal, &me->keeper, ctx), ctx);
    default: return hear(me, journal_done(&me->journal, &me->keeper, message, ctx), ctx);
    }
    journal_push(&me->journal, &me->keeper, ctx);
    sweep_later(me, ctx);
    return tina_receive();
}

const tina_type partition_type = {
    .name = "partition",
    .init = partition_init,
    .handler = partition_handle,
    .size = sizeof(partition),
    .mailbox_capacity = 65535,
};
