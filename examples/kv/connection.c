/*
 * A connection: the isolate that owns a client's socket. It reads commands, asks the
 * partitions, and sends what they answer, in order.
 *
 * It works in rounds: as many steps as one partition can be asked at once, up to the end of
 * the input; one request; one reply; one send. While a round is under way nothing more is
 * read, so that a client that does not read its replies is not read either. What it holds
 * is bounded: its input, one request or one reply, one send.
 */
#include "command.h"
#include "info.h"
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
    kv_client client;
    kv_plan plan, begin; /* now, and before the round */
    int64_t sum;         /* of a command that goes on */
    uint64_t since_ns;   /* when what is waited for began */
    uint32_t round, asked_count;
    uint32_t value_size, value_at; /* of a value that is sent in pieces; behind it comes a line end */
    uint64_t fetch_left, fetch_at; /* of a value that is fetched in pieces */
    uint8_t asked, value_partition;
    bool is_sending_value, is_asking, is_fetching, is_sending, is_receiving, is_retrying, is_ticking, is_last, is_ending;
    kv_info info;
    kv_plan marks[BATCH_STEPS_MAX]; /* behind each step of the round */
    kv_input input;
} connection;

static kv_server *server_of(const tina_ctx *ctx) { return tina_user(ctx); }

static tina_effect go_on(connection *me, tina_ctx *ctx);

static tina_effect retry_soon(connection *me, tina_ctx *ctx)
{
    if (!me->is_retrying && tina_timer_start(ctx, RETRY_NS, TAG_RETRY, NULL) != TINA_OK)
        return tina_crash(1);
    me->is_retrying = true;
    return tina_receive();
}

/* Something is waited for from now on; a timer looks after it, which goes on only as long as there is something. */
static void begin_waiting(connection *me, tina_ctx *ctx)
{
    me->since_ns = tina_now(ctx);
    if (!me->is_ticking)
        me->is_ticking = tina_timer_start(ctx, TICK_NS, TAG_TICK, NULL) == TINA_OK;
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

/* The last words. */
static tina_effect end_with(connection *me, const char *text, tina_ctx *ctx)
{
    me->is_last = true;
    me->is_asking = false;
    if (me->is_sending || !send_text(me, text, strlen(text), ctx))
        return tina_done();
    return tina_receive();
}

static tina_effect receive(connection *me, tina_ctx *ctx)
{
    if (me->is_ending)
        return me->is_sending ? tina_receive() : tina_done();
    command_forget(&me->plan, &me->input);
    uint32_t room = COMMAND_INPUT_MAX - me->input.size;
    tina_op receive = {.kind = TINA_IO_RECV, .fd = me->fd, .size = room};
    if (!me->is_receiving) {
        me->is_receiving = tina_io_start(ctx, &receive) == TINA_OK;
        if (!me->is_receiving)
            return retry_soon(me, ctx);
        if (me->plan.command != 0 || me->input.size != 0 || me->is_sending_value || server_of(ctx)->timeout != 0)
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

static tina_effect ask(connection *me, uint8_t partition, tina_transfer transfer, kv_batch *batch, tina_ctx *ctx)
{
    kv_request request = {.round = ++me->round, .count = (uint16_t)batch->count, .kind = REQUEST_STEPS, .number = me->sum};
    memcpy(batch->data, &request, sizeof request);
    me->asked = partition;
    me->asked_count = batch->count;
    if (!send_request(partition, transfer, batch->size, ctx)) {
        me->plan = me->begin;
        return retry_soon(me, ctx);
    }
    me->is_asking = true;
    begin_waiting(me, ctx);
    return tina_receive();
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
    return send_request(me->value_partition, transfer, sizeof *request + size, ctx);
}

/* What is there of it goes on its way; then its line end is dropped. */
static tina_effect send_value(connection *me, tina_ctx *ctx)
{
    kv_request request = {.round = me->round, .kind = REQUEST_PIECE, .number = me->value_at};
    uint32_t there = me->input.size - me->plan.used, left = me->value_size - me->value_at;
    uint32_t size = there < left ? there : left;
    if (size > CHUNK_SIZE - sizeof request)
        size = CHUNK_SIZE - sizeof request;
    if (size != 0 && !send_value_part(me, &request, me->input.bytes + me->plan.used, size, ctx))
        return retry_soon(me, ctx);
    me->value_at += size;
    me->plan.used += (uint16_t)size;
    if (me->value_at < me->value_size || me->input.size - me->plan.used < 2)
        return me->plan.used == me->input.size || me->value_at == me->value_size ? receive(me, ctx) : go_on(me, ctx);
    me->plan.used += 2;
    me->is_sending_value = false;
    return go_on(me, ctx);
}

static tina_effect begin_value(connection *me, const kv_next *next, tina_ctx *ctx)
{
    kv_request request = {.round = me->round, .kind = REQUEST_BEGIN, .number = next->step.value_size};
    me->value_partition = next->partition;
    if (!send_value_part(me, &request, next->key, next->step.key_size, ctx)) {
        me->plan = me->begin;
        return retry_soon(me, ctx);
    }
    me->value_size = next->step.value_size;
    me->value_at = 0;
    me->is_sending_value = true;
    return send_value(me, ctx);
}

static tina_effect fetch_more(connection *me, tina_ctx *ctx)
{
    fetch wanted = {.round = ++me->round, .offset = me->fetch_at};
    if (tina_send(ctx, tina_named(me->asked, NAME_PARTITION), TAG_FETCH, &wanted, sizeof wanted) != TINA_OK)
        return retry_soon(me, ctx);
    me->is_asking = me->is_fetching = true;
    begin_waiting(me, ctx);
    return tina_receive();
}

/* ---- A round ------------------------------------------------------------------------------ */

typedef enum planned { PLANNED_ASK, PLANNED_RECEIVE, PLANNED_VALUE, PLANNED_END } planned;

/* A round as it is put together. */
typedef struct building {
    kv_batch batch;
    uint8_t partition;
    bool has_partition;
    kv_next next;
    char text[COMMAND_TEXT_MAX];
} building;

/* True: the step is part of the round. */
static bool add_step(connection *me, building *made)
{
    kv_next *next = &made->next;
    uint8_t partition = next->step.kind == STEP_SET_SENT ? me->value_partition : next->partition;
    if (!next->is_anywhere && made->has_partition && partition != made->partition)
        return false;
    if ((next->is_alone && made->batch.count != 0) || !batch_add(&made->batch, &next->step, next->key, next->value))
        return false;
    if (!next->is_anywhere) {
        made->partition = partition;
        made->has_partition = true;
    }
    me->marks[made->batch.count - 1] = me->plan;
    return true;
}

static planned plan_round(connection *me, building *made)
{
    for (;;) {
        kv_plan before = me->plan;
        command_next(&me->plan, &me->client, &me->input, made->text, &made->next);
        switch (made->next.kind) {
        case NEXT_NOTHING: continue;
        case NEXT_MORE: return PLANNED_RECEIVE;
        case NEXT_FULL:
            if (made->batch.count != 0)
                return PLANNED_ASK;
            command_forget(&me->plan, &me->input);
            me->begin = me->plan;
            continue;
        case NEXT_END: return PLANNED_END;
        case NEXT_LARGE:
            if (made->batch.count == 0)
                return PLANNED_VALUE;
            me->plan = before;
            return PLANNED_ASK;
        case NEXT_STEP:
            if (!add_step(me, made)) {
                me->plan = before;
                return PLANNED_ASK;
            }
            if (made->next.is_alone)
                return PLANNED_ASK;
        }
    }
}

static tina_effect begin_round(connection *me, tina_ctx *ctx)
{
    tina_transfer transfer;
    void *data;
    size_t capacity;
    building made;
    if (tina_transfer_alloc(ctx, &transfer, &data, &capacity) != TINA_OK)
        return retry_soon(me, ctx);
    made.partition = tina_shard(ctx);
    made.has_partition = false;
    batch_begin(&made.batch, data, capacity);
    me->client.is_loading = !kv_is_ready(server_of(ctx));
    command_forget(&me->plan, &me->input);
    me->begin = me->plan;
    planned what = plan_round(me, &made);
    if (made.batch.count != 0)
        return ask(me, made.partition, transfer, &made.batch, ctx);
    tina_transfer_free(ctx, transfer);
    switch (what) {
    case PLANNED_VALUE: return begin_value(me, &made.next, ctx);
    case PLANNED_END: me->is_last = true; return me->is_sending ? tina_receive() : tina_done();
    default: return receive(me, ctx);
    }
}

/* One thing at a time. A receive may be under way beside a send, but what it brings waits for the send. */
static tina_effect go_on(connection *me, tina_ctx *ctx)
{
    bool is_over = me->is_last || me->is_ending;
    if (me->is_asking || (is_over && me->is_sending))
        return tina_receive();
    if (is_over && me->fetch_left == 0)
        return tina_done();
    if (me->is_retrying || me->is_receiving)
        return tina_receive();
    if (me->is_sending)
        return me->plan.used == me->input.size && me->plan.command == 0 && me->fetch_left == 0 ? receive(me, ctx)
                                                                                               : tina_receive();
    if (me->fetch_left != 0)
        return fetch_more(me, ctx);
    if (me->is_sending_value)
        return send_value(me, ctx);
    return begin_round(me, ctx);
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

static tina_effect take_reply(connection *me, const tina_message *message, tina_ctx *ctx)
{
    const void *data;
    size_t size;
    kv_reply reply;
    if (tina_transfer_read(ctx, message, &data, &size) != TINA_OK || size < sizeof reply)
        return tina_receive();
    memcpy(&reply, data, sizeof reply);
    if (!me->is_asking || reply.round != me->round)
        return tina_receive(); /* of a round that was given up */
    const uint8_t *text = (const uint8_t *)data + sizeof reply;
    size -= sizeof reply;
    me->is_asking = false;
    if (!me->is_fetching) {
        me->sum = reply.sum;
        if (reply.done < me->asked_count)
            me->plan = me->marks[reply.done - 1];
    }
    me->is_fetching = false;
    me->fetch_left = reply.left;
    me->fetch_at = reply.next_at;
    if (reply.kind == REPLY_INFO) {
        take_info(me, text, size);
        return me->plan.command == 0 ? send_info(me, ctx) : go_on(me, ctx);
    }
    if (size != 0 && !send_text(me, text, size, ctx))
        return tina_done(); /* there is no buffer for it, and no place where it could wait */
    return go_on(me, ctx);
}

static tina_effect received(connection *me, const tina_message *message, tina_ctx *ctx)
{
    me->is_receiving = false;
    me->since_ns = tina_now(ctx);
    if (message->io.status != TINA_OK)
        return me->is_sending && message->io.status == TINA_CANCELLED ? tina_receive() : tina_done();
    memcpy(me->input.bytes + me->input.size, message->io.data, message->io.size);
    me->input.size += (uint32_t)message->io.size;
    return go_on(me, ctx);
}

static tina_effect sent(connection *me, const tina_message *message, tina_ctx *ctx)
{
    me->is_sending = false;
    return message->io.status == TINA_OK ? go_on(me, ctx) : cut_off(me, ctx);
}

static tina_effect ask_again(connection *me, const tina_message *message, tina_ctx *ctx)
{
    fetch busy;
    memcpy(&busy, message->payload, sizeof busy);
    if (!me->is_asking || busy.round != me->round)
        return tina_receive();
    me->is_asking = false;
    if (!me->is_fetching)
        me->plan = me->begin;
    me->is_fetching = false;
    return retry_soon(me, ctx);
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
    return me->is_asking && told.round == me->round ? answer_is_lost(me, ctx) : tina_receive();
}

/* The partition says nothing if it still has it. What it answered before comes before. */
static tina_effect ask_whether_lost(connection *me, tina_ctx *ctx)
{
    fetch about = {.round = me->round};
    switch (tina_send(ctx, tina_named(me->asked, NAME_PARTITION), TAG_PROBE, &about, sizeof about)) {
    case TINA_STALE_HANDLE:
    case TINA_SHARD_DOWN: return answer_is_lost(me, ctx);
    default: return tina_receive();
    }
}

/* ---- Time --------------------------------------------------------------------------------------- */

/* How long what is under way may take; 0: for ever. */
static uint64_t patience(const connection *me, const tina_ctx *ctx)
{
    if (me->is_ending)
        return END_NS;
    if (me->is_asking || me->is_retrying)
        return ANSWER_NS;
    if (me->is_sending)
        return SEND_NS;
    uint64_t idle_ns = server_of(ctx)->timeout * 1000 * MILLISECOND_NS;
    bool is_within = me->plan.command != 0 || me->input.size != me->plan.used || me->is_sending_value;
    return is_within && (idle_ns == 0 || idle_ns > COMMAND_NS) ? COMMAND_NS : idle_ns;
}

static tina_effect look_at_the_time(connection *me, tina_ctx *ctx)
{
    uint64_t most = patience(me, ctx);
    me->is_ticking = false;
    if (most == 0)
        return tina_receive();
    if (tina_now(ctx) - me->since_ns >= most) {
        if (me->is_asking && !me->is_fetching)
            return end_with(me, "-ERR no answer in time: it may have been done or not\r\n", ctx);
        return cut_off(me, ctx);
    }
    me->is_ticking = tina_timer_start(ctx, TICK_NS, TAG_TICK, NULL) == TINA_OK;
    return me->is_asking ? ask_whether_lost(me, ctx) : tina_receive();
}

/* ---- Its life ------------------------------------------------------------------------------------- */

static tina_effect connection_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    connection *me = self;
    const kv_server *server = server_of(ctx);
    memcpy(&me->fd, args, args_size);
    me->client.id = tina_self(ctx).bits & INT64_MAX;
    me->client.partition_count = (uint8_t)server->partition_count;
    me->client.is_logged = server->dir != NULL;
    me->client.memory_max = server->memory_size * server->partition_count;
    tina_ignore(tina_setsockopt(ctx, me->fd, TINA_OPT_NODELAY, 1)); /* without, it is slower */
    return receive(me, ctx);
}

/* Between commands it is over. A round that is under way is finished. */
static tina_effect connection_finish(connection *me, tina_ctx *ctx)
{
    me->is_ending = true;
    if (!me->is_asking && !me->is_sending)
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
    .mailbox_capacity = 16,
};
