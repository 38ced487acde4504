/*
 * A connection: the isolate that owns a client's socket. It reads commands, asks the
 * partitions, and sends what they answer, in order.
 *
 * It works in rounds: as many steps as there are, up to the end of the input; a request to
 * each partition that they need; a reply from each; one send. While a round is under way
 * nothing more is read, so that a client that does not read its replies is not read either.
 * What it holds is bounded: its input, a request to each of some partitions or their
 * replies, one send.
 *
 * What only one partition is asked is answered with what is sent on as it is. So are all
 * steps that the others have to wait for: of commands that add up what several partitions
 * say, of large values, and those that were not done where others behind them were.
 */
#include "info.h"
#include "round.h"
#include "server.h"

#include <stdio.h>
#include <string.h>

#define RETRY_NS   MILLISECOND_NS
#define TICK_NS    (1000 * MILLISECOND_NS)
#define ANSWER_NS  (30000 * MILLISECOND_NS) /* for a partition to answer: a disk may be slow */
#define SEND_NS    (30000 * MILLISECOND_NS) /* for a client to take a reply */
#define END_NS     (5000 * MILLISECOND_NS)  /* for what is under way when the server ends */
#define COMMAND_NS (60000 * MILLISECOND_NS) /* for it to go on with a command that it has begun, if not --timeout is less */

typedef struct connection {
    tina_fd fd;
    int64_t sum;                   /* of a command that goes on */
    uint64_t since_ns;             /* when what is waited for began */
    const char *last_words;        /* to be said when what is held is said; NULL: there are none */
    uint8_t *held;                 /* answers that wait for others; NULL: one partition is asked after the other */
    uint32_t number;               /* of the last request */
    uint32_t value_size, value_at; /* of a value that is sent in pieces; behind it comes a line end */
    uint64_t fetch_left, fetch_at; /* of a value that is fetched in pieces */
    uint8_t fetch_partition;
    bool is_sending_value, is_fetching, is_sending, is_receiving, is_retrying, is_ticking, is_last, is_ending;
    bool is_narrow; /* answers are too large to be held, so partitions are asked one by one, up to the end of the input */
    kv_info info;
    kv_round round;
} connection;

TINA_STATIC_ASSERT((int)LOTS_HELD_MAX <= (int)CHUNK_SIZE, "what is held is one send, which is copied");
TINA_STATIC_ASSERT(sizeof(kv_reply) + COMMAND_ECHO_MAX + RESP_INTEGER_MAX + 2 <= CHUNK_SIZE, "an echo fits into a reply");

static kv_server *server_of(const tina_ctx *ctx) { return tina_user(ctx); }

static tina_effect go_on(connection *me, tina_ctx *ctx);

static bool is_asking(const connection *me) { return me->round.lots.open_count != 0; }

/* A timer looks after what is waited for, and goes on only as long as there is something. */
static void tick(connection *me, tina_ctx *ctx)
{
    if (!me->is_ticking)
        me->is_ticking = tina_timer_start(ctx, TICK_NS, TAG_TICK, NULL) == TINA_OK;
}

static void begin_waiting(connection *me, tina_ctx *ctx)
{
    me->since_ns = tina_now(ctx);
    tick(me, ctx);
}

static tina_effect retry_soon(connection *me, tina_ctx *ctx)
{
    if (!me->is_retrying && tina_timer_start(ctx, RETRY_NS, TAG_RETRY, NULL) != TINA_OK)
        return tina_crash(END_NO_TIMER);
    me->is_retrying = true;
    tick(me, ctx);
    return tina_receive();
}

/* ---- The socket ---------------------------------------------------------------------- */

/* What it did not take would otherwise stay in the kernel for as long as it likes. */
static tina_effect cut_off(const connection *me, tina_ctx *ctx)
{
    tina_ignore(tina_setsockopt(ctx, me->fd, TINA_OPT_LINGER, 0));
    return tina_done();
}

static bool send_text(connection *me, const void *text, size_t size, tina_ctx *ctx)
{
    tina_op send = {.kind = TINA_IO_SEND, .fd = me->fd, .data = text, .size = size};
    me->is_sending = tina_io_start(ctx, &send) == TINA_OK;
    begin_waiting(me, ctx);
    return me->is_sending;
}

static tina_effect receive(connection *me, tina_ctx *ctx)
{
    if (me->is_ending)
        return me->is_sending ? tina_receive() : tina_done();
    command_forget(&me->round.plan, &me->round.input);
    uint32_t room = COMMAND_INPUT_MAX - me->round.input.size;
    tina_op receive = {.kind = TINA_IO_RECV, .fd = me->fd, .size = room};
    if (!me->is_receiving) {
        me->is_receiving = tina_io_start(ctx, &receive) == TINA_OK;
        if (!me->is_receiving)
            return retry_soon(me, ctx);
        if (me->round.plan.command != 0 || me->round.input.size != 0 || me->is_sending_value || server_of(ctx)->timeout != 0)
            begin_waiting(me, ctx);
    }
    return tina_receive();
}

/* ---- Asking --------------------------------------------------------------------------- */

static bool send_request(uint8_t partition, tina_transfer transfer, size_t size, tina_ctx *ctx)
{
    if (tina_transfer_send(ctx, tina_named(partition, NAME_PARTITION), transfer, size) == TINA_OK)
        return true;
    tina_transfer_free(ctx, transfer);
    return false;
}

/* ---- Values in pieces ------------------------------------------------------------------- */

static bool send_value_part(connection *me, const kv_request *request, const uint8_t *bytes, size_t size, tina_ctx *ctx)
{
    tina_transfer transfer;
    void *data;
    if (tina_transfer_alloc(ctx, &transfer, &data, NULL) != TINA_OK)
        return false;
    memcpy(data, request, sizeof *request);
    memcpy((uint8_t *)data + sizeof *request, bytes, size);
    return send_request(me->round.value_partition, transfer, sizeof *request + size, ctx);
}

/* What is there of it goes on its way; then its line end is dropped. */
static tina_effect send_value(connection *me, tina_ctx *ctx)
{
    kv_request request = {.round = me->number, .kind = REQUEST_PIECE, .number = me->value_at};
    uint32_t there = me->round.input.size - me->round.plan.used, left = me->value_size - me->value_at;
    uint32_t size = there < left ? there : left;
    if (size > CHUNK_SIZE - sizeof request)
        size = CHUNK_SIZE - sizeof request;
    if (size != 0 && !send_value_part(me, &request, me->round.input.bytes + me->round.plan.used, size, ctx))
        return retry_soon(me, ctx);
    me->value_at += size;
    me->round.plan.used += (uint16_t)size;
    if (me->value_at < me->value_size || me->round.input.size - me->round.plan.used < 2)
        return me->round.plan.used == me->round.input.size || me->value_at == me->value_size ? receive(me, ctx)
                                                                                             : go_on(me, ctx);
    me->round.plan.used += 2;
    me->is_sending_value = false;
    return go_on(me, ctx);
}

static tina_effect begin_value(connection *me, const kv_next *next, tina_ctx *ctx)
{
    kv_request request = {.round = me->number, .kind = REQUEST_BEGIN, .number = next->step.value_size};
    me->round.value_partition = next->partition;
    if (!send_value_part(me, &request, next->key, next->step.key_size, ctx)) {
        me->round.plan = me->round.begin;
        return retry_soon(me, ctx);
    }
    me->value_size = next->step.value_size;
    me->value_at = 0;
    me->is_sending_value = true;
    return send_value(me, ctx);
}

static tina_effect fetch_more(connection *me, tina_ctx *ctx)
{
    fetch wanted = {.round = ++me->number, .offset = me->fetch_at};
    if (tina_send(ctx, tina_named(me->fetch_partition, NAME_PARTITION), TAG_FETCH, &wanted, sizeof wanted) != TINA_OK)
        return retry_soon(me, ctx);
    lots_drop(&me->round.lots);
    lots_open(&me->round.lots, me->fetch_partition)->number = wanted.round;
    me->is_fetching = true;
    begin_waiting(me, ctx);
    return tina_receive();
}

/* ---- A round ------------------------------------------------------------------------------ */

/* A lot that could not be sent is as one that its partition was too busy for. */
static tina_effect ask(connection *me, const kv_deal *deal, const tina_transfer *transfers, tina_ctx *ctx)
{
    kv_lots *lots = &me->round.lots;
    bool is_one = lots->lot_count == 1;
    for (uint32_t i = 0; i < lots->lot_count; i++) {
        kv_lot *lot = &lots->lots[i];
        kv_request request = {.round = ++me->number, .count = lot->count, .kind = is_one ? REQUEST_STEPS : REQUEST_LOT};
        request.number = is_one ? me->sum : lots_room_of(lots, lot);
        memcpy(deal->batches[i].data, &request, sizeof request);
        lot->number = request.round;
        if (lot->partition == LOTS_ANYWHERE)
            lot->partition = tina_shard(ctx);
        if (!send_request(lot->partition, transfers[i], deal->batches[i].size, ctx))
            lots_close(lots, lot);
    }
    if (!is_asking(me)) {
        round_settle(&me->round);
        return retry_soon(me, ctx);
    }
    begin_waiting(me, ctx);
    return tina_receive();
}

static tina_effect begin_round(connection *me, tina_ctx *ctx)
{
    tina_transfer transfers[LOTS_MAX];
    void *data;
    size_t capacity;
    kv_deal deal;
    if (tina_transfer_alloc(ctx, &transfers[0], &data, &capacity) != TINA_OK)
        return retry_soon(me, ctx);
    bool is_loading = !kv_is_ready(server_of(ctx));
    round_begin(&me->round, &deal, is_loading, me->is_narrow || me->held == NULL, data, capacity);
    round_wish wish = round_deal(&me->round, &deal);
    while (wish == ROUND_LOT &&
           tina_transfer_alloc(ctx, &transfers[me->round.lots.lot_count], &data, &capacity) == TINA_OK) {
        round_open(&me->round, &deal, data, capacity);
        wish = round_deal(&me->round, &deal);
    }
    if (round_has_steps(&me->round, &deal))
        return ask(me, &deal, transfers, ctx);
    lots_drop(&me->round.lots);
    tina_transfer_free(ctx, transfers[0]);
    switch (wish) {
    case ROUND_VALUE: return begin_value(me, &deal.next, ctx);
    case ROUND_END: me->is_last = true; return me->is_sending ? tina_receive() : tina_done();
    default: return receive(me, ctx);
    }
}

/* What is held ahead of a gap, or of the end. Where not even the first step was done, a partition has to be asked alone. */
static tina_effect say_held(connection *me, tina_ctx *ctx)
{
    uint8_t *text = tina_scratch(ctx, LOTS_HELD_MAX);
    uint32_t size = lots_say(&me->round.lots, me->held, text);
    me->is_narrow |= me->round.lots.said == 0;
    round_settle(&me->round);
    if (!round_is_over(&me->round))
        tina_reached(ctx, "answers are held behind one that is missing");
    if (size != 0 && !send_text(me, text, size, ctx))
        return tina_done(); /* there is no buffer for it, and no place where it could wait */
    return go_on(me, ctx);
}

static tina_effect say_last_words(connection *me, tina_ctx *ctx)
{
    me->is_last = true;
    return send_text(me, me->last_words, strlen(me->last_words), ctx) ? tina_receive() : tina_done();
}

/* One thing at a time. A receive may be under way beside a send, but what it brings waits for the send. */
static tina_effect go_on(connection *me, tina_ctx *ctx)
{
    const kv_round *round = &me->round;
    bool is_said = round_is_over(round) && me->fetch_left == 0 && me->last_words == NULL;
    bool is_over = me->is_last || (me->is_ending && is_said);
    if (is_asking(me) || (is_over && me->is_sending))
        return tina_receive();
    if (is_over)
        return tina_done();
    if (me->is_retrying || me->is_receiving)
        return tina_receive();
    if (me->is_sending)
        return is_said && round->plan.used == round->input.size && round->plan.command == 0 ? receive(me, ctx)
                                                                                            : tina_receive();
    if (me->fetch_left != 0)
        return fetch_more(me, ctx);
    if (me->is_sending_value)
        return send_value(me, ctx);
    if (lots_has_next(&round->lots))
        return say_held(me, ctx);
    return me->last_words != NULL ? say_last_words(me, ctx) : begin_round(me, ctx);
}

/* ---- What comes ------------------------------------------------------------------------------ */

static void take_info(connection *me, const uint8_t *data, size_t size)
{
    kv_partition_info part;
    memcpy(&part, data, sizeof part < size ? sizeof part : size);
    info_add(&me->info, &part);
}

static tina_effect send_info(connection *me, tina_ctx *ctx)
{
    char text[INFO_TEXT_MAX];
    const kv_server *server = server_of(ctx);
    size_t size = info_write(&me->info, server, tina_now(ctx), text);
    me->info = (kv_info){0};
    if (!send_text(me, text, size, ctx))
        return tina_done();
    return go_on(me, ctx);
}

/* All of what is to be sent, or its begin. */
static tina_effect take_text(connection *me, const kv_reply *reply, const uint8_t *text, size_t size, tina_ctx *ctx)
{
    if (!me->is_fetching) {
        me->sum = reply->sum;
        lots_pass(&me->round.lots, reply->done);
        round_settle(&me->round);
    }
    me->is_fetching = false;
    me->fetch_left = reply->left;
    me->fetch_at = reply->next_at;
    if (reply->kind == REPLY_INFO) {
        take_info(me, text, size);
        return me->round.plan.command == 0 ? send_info(me, ctx) : go_on(me, ctx);
    }
    if (size != 0 && !send_text(me, text, size, ctx))
        return tina_done();
    return go_on(me, ctx);
}

static tina_effect take_answers(connection *me, kv_lot *lot, const kv_reply *reply, const uint8_t *data, size_t size,
                                tina_ctx *ctx)
{
    size_t head = lot->count * sizeof(uint16_t);
    const uint16_t *sizes = (const void *)data;
    if (size < head || !lots_take(&me->round.lots, lot, reply->done, sizes, data + head, size - head, me->held))
        return tina_crash(END_BAD_REPLY);
    return is_asking(me) ? tina_receive() : say_held(me, ctx);
}

static tina_effect take_reply(connection *me, const tina_message *message, tina_ctx *ctx)
{
    const void *data;
    size_t size;
    kv_reply reply;
    if (tina_transfer_read(ctx, message, &data, &size) != TINA_OK || size < sizeof reply)
        return tina_receive();
    memcpy(&reply, data, sizeof reply);
    kv_lot *lot = lots_find(&me->round.lots, reply.round);
    if (lot == NULL)
        return tina_receive(); /* of a round that was given up */
    const uint8_t *rest = (const uint8_t *)data + sizeof reply;
    lots_close(&me->round.lots, lot);
    if (me->round.lots.lot_count > 1)
        return take_answers(me, lot, &reply, rest, size - sizeof reply, ctx);
    me->fetch_partition = lot->partition;
    return take_text(me, &reply, rest, size - sizeof reply, ctx);
}

static tina_effect received(connection *me, const tina_message *message, tina_ctx *ctx)
{
    me->is_receiving = me->is_narrow = false;
    me->since_ns = tina_now(ctx);
    if (message->io.status != TINA_OK)
        return me->is_sending && message->io.status == TINA_CANCELLED ? tina_receive() : tina_done();
    memcpy(me->round.input.bytes + me->round.input.size, message->io.data, message->io.size);
    me->round.input.size += (uint32_t)message->io.size;
    return go_on(me, ctx);
}

static tina_effect sent(connection *me, const tina_message *message, tina_ctx *ctx)
{
    me->is_sending = false;
    return message->io.status == TINA_OK ? go_on(me, ctx) : cut_off(me, ctx);
}

/* Nothing of that lot was done. */
static tina_effect ask_again(connection *me, const tina_message *message, tina_ctx *ctx)
{
    fetch busy;
    memcpy(&busy, message->payload, sizeof busy);
    kv_lot *lot = lots_find(&me->round.lots, busy.round);
    if (lot == NULL)
        return tina_receive();
    lots_close(&me->round.lots, lot);
    if (me->round.lots.lot_count > 1)
        return is_asking(me) ? tina_receive() : say_held(me, ctx);
    me->is_fetching = false;
    round_settle(&me->round);
    return retry_soon(me, ctx);
}

/* What is held is said before, and what is still to come not waited for. */
static tina_effect end_with(connection *me, const char *text, tina_ctx *ctx)
{
    if (me->round.lots.held_count != 0)
        tina_reached(ctx, "a partition has not answered, and others have");
    me->last_words = text;
    lots_drop(&me->round.lots);
    return go_on(me, ctx);
}

/* It was begun anew, or the request never came: what was asked may have been done or not. */
static tina_effect answer_is_lost(connection *me, tina_ctx *ctx)
{
    if (me->is_fetching || me->fetch_left != 0)
        return cut_off(me, ctx); /* in the middle of a value */
    return end_with(me, "-ERR the partition has lost the request: it may have been done or not\r\n", ctx);
}

static tina_effect lost(connection *me, const tina_message *message, tina_ctx *ctx)
{
    fetch told;
    memcpy(&told, message->payload, sizeof told);
    return lots_find(&me->round.lots, told.round) != NULL ? answer_is_lost(me, ctx) : tina_receive();
}

/* A partition says nothing if it still has it. What it answered before comes before. */
static tina_effect ask_whether_lost(connection *me, tina_ctx *ctx)
{
    for (uint32_t i = 0; i < me->round.lots.lot_count; i++) {
        const kv_lot *lot = &me->round.lots.lots[i];
        fetch about = {.round = lot->number};
        if (!lot->is_open)
            continue;
        switch (tina_send(ctx, tina_named(lot->partition, NAME_PARTITION), TAG_PROBE, &about, sizeof about)) {
        case TINA_STALE_HANDLE:
        case TINA_SHARD_DOWN: return answer_is_lost(me, ctx);
        default: break;
        }
    }
    return tina_receive();
}

/* ---- Time --------------------------------------------------------------------------------------- */

/* How long what is under way may take; 0: for ever. */
static uint64_t patience(const connection *me, const tina_ctx *ctx)
{
    if (me->is_ending)
        return END_NS;
    if (is_asking(me) || me->is_retrying)
        return ANSWER_NS;
    if (me->is_sending)
        return SEND_NS;
    uint64_t idle_ns = server_of(ctx)->timeout * 1000 * MILLISECOND_NS;
    bool is_within = me->round.plan.command != 0 || me->round.input.size != me->round.plan.used || me->is_sending_value;
    return is_within && (idle_ns == 0 || idle_ns > COMMAND_NS) ? COMMAND_NS : idle_ns;
}

static tina_effect look_at_the_time(connection *me, tina_ctx *ctx)
{
    uint64_t most = patience(me, ctx);
    me->is_ticking = false;
    if (most == 0)
        return tina_receive();
    if (tina_now(ctx) - me->since_ns >= most) {
        if (is_asking(me) && !me->is_fetching)
            return end_with(me, "-ERR no answer in time: it may have been done or not\r\n", ctx);
        return cut_off(me, ctx);
    }
    tick(me, ctx);
    return is_asking(me) ? ask_whether_lost(me, ctx) : tina_receive();
}

/* ---- Its life ------------------------------------------------------------------------------------- */

static tina_effect connection_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    connection *me = self;
    const kv_server *server = server_of(ctx);
    memcpy(&me->fd, args, args_size);
    me->round.client.id = tina_self(ctx).bits & INT64_MAX;
    me->round.client.partition_count = (uint8_t)server->partition_count;
    me->round.client.is_logged = server->dir != NULL;
    me->round.client.memory_max = server->memory_size * server->partition_count;
    if (server->partition_count > 1)
        me->held = tina_working(ctx, LOTS_HELD_MAX);
    tina_ignore(tina_setsockopt(ctx, me->fd, TINA_OPT_NODELAY, 1)); /* without, it is slower */
    return receive(me, ctx);
}

/* Between commands it is over. A round that is under way is finished. */
static tina_effect connection_finish(connection *me, tina_ctx *ctx)
{
    me->is_ending = true;
    if (round_is_over(&me->round) && !is_asking(me) && !me->is_sending)
        return tina_done();
    begin_waiting(me, ctx);
    if (me->is_receiving)
        tina_io_cancel(ctx, me->fd, TINA_READ_HALF);
    return tina_receive();
}

static tina_effect connection_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    connection *me = self;
    switch (message->tag) {
    case TINA_IO_RECV: return received(me, message, ctx);
    case TINA_TAG_TRANSFER: return take_reply(me, message, ctx);
    case TINA_IO_SEND: return sent(me, message, ctx);
    case TAG_BUSY: return ask_again(me, message, ctx);
    case TAG_RETRY: me->is_retrying = false; return go_on(me, ctx);
    case TAG_TICK: return look_at_the_time(me, ctx);
    case TAG_LOST: return lost(me, message, ctx);
    case TINA_TAG_SHUTDOWN: return connection_finish(me, ctx);
    default: return tina_receive();
    }
}

const tina_type connection_type = {
    .name = "connection",
    .init = connection_init,
    .handler = connection_handle,
    .size = sizeof(connection),
    .scratch_max = LOTS_HELD_MAX,
    .mailbox_capacity = 32, /* two of each partition that is asked, and timers */
};
