/*
 * examples/kv/round with real commands, without a server: a client's bytes become rounds,
 * the keepers of several partitions answer lots in any order and as far as they like, and
 * what the client is told has to be what one keeper says that is asked step by step.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keeper.h"
#include "round.h"

#include <cmocka.h>

enum { PARTITIONS_MAX = 11, MEMORY = 1024 * 1024, BATCH_SIZE = 16 * 1024 };
enum { COMMANDS = 600, KEYS = 40, WORDS_MAX = 12, VALUE_MAX = 9000, BYTES_MAX = COMMANDS * VALUE_MAX };
enum { NOW_MS = 1000000 };

typedef struct bytes {
    uint32_t size;
    uint8_t data[BYTES_MAX];
} bytes;

/* As much of a connection as a round needs. */
typedef struct connection {
    kv_round round;
    kv_deal deal;
    uint32_t taken; /* of what the client sends */
    int64_t sum;
    bool is_narrow;
    uint32_t of_several, gaps; /* rounds of several lots, and what they left out */
    uint8_t held[LOTS_HELD_MAX], batches[LOTS_MAX][BATCH_SIZE];
} connection;

static struct {
    uint32_t partition_count;
    bytes sent, told, expected;
    connection connection;
    kv_keeper keepers[PARTITIONS_MAX], whole; /* the partitions', and the one that knows all */
    uint8_t memory[PARTITIONS_MAX + 1][MEMORY] __attribute__((aligned(64)));
} it;

static uint32_t draw(uint32_t count) { return (uint32_t)rand() % count; }

static void append(bytes *to, const void *data, size_t size)
{
    assert_true(size <= BYTES_MAX - to->size);
    memcpy(to->data + to->size, data, size);
    to->size += (uint32_t)size;
}

/* ---- What the client sends ------------------------------------------------------------ */

static void send_number(char mark, size_t number)
{
    char line[24];
    append(&it.sent, line, (size_t)snprintf(line, sizeof line, "%c%zu\r\n", mark, number));
}

static void send_word(const void *word, size_t size)
{
    send_number('$', size);
    append(&it.sent, word, size);
    append(&it.sent, "\r\n", 2);
}

static void send_key(void)
{
    char key[16];
    send_word(key, (size_t)snprintf(key, sizeof key, "key%u", draw(KEYS)));
}

static void send_value(void)
{
    char value[VALUE_MAX];
    size_t size = draw(8) == 0 ? draw(VALUE_MAX) : draw(100);
    memset(value, 'a' + (int)draw(26), size);
    if (draw(3) == 0)
        size = (size_t)snprintf(value, sizeof value, "%u", draw(1000)); /* which can be counted on */
    send_word(value, size);
}

/* A word of letters, with its arguments: k is a key, v a value. */
static void send_command(const char *name, const char *arguments)
{
    send_number('*', 1 + strlen(arguments));
    send_word(name, strlen(name));
    for (; *arguments != '\0'; arguments++) {
        if (*arguments == 'k')
            send_key();
        else
            send_value();
    }
}

static void send_line(const char *format, ...)
{
    char line[64];
    va_list arguments;
    va_start(arguments, format);
    append(&it.sent, line, (size_t)vsnprintf(line, sizeof line, format, arguments));
    va_end(arguments);
    append(&it.sent, "\r\n", 2);
}

static void send_any(void)
{
    static const char *const commands[][2] = {
        {"GET", "k"},   {"GET", "k"},       {"SET", "kv"},    {"SET", "kv"},   {"INCR", "k"},      {"INCR", "k"},
        {"DECR", "k"},  {"DEL", "k"},       {"DEL", "kkk"},   {"EXISTS", "k"}, {"EXISTS", "kkkk"}, {"MGET", "kkkkkk"},
        {"MSET", "kv"}, {"MSET", "kvkvkv"}, {"STRLEN", "k"},  {"PING", ""},    {"ECHO", "v"},      {"NONSENSE", "kv"},
        {"GET", "kk"},  {"PERSIST", "k"},   {"EXPIRE", "kv"}, {"DBSIZE", ""},
    };
    uint32_t which = draw(sizeof commands / sizeof commands[0]);
    if (draw(200) == 0)
        send_command("FLUSHALL", "");
    if (draw(20) == 0)
        send_line("CLIENT GETNAME");
    if (draw(20) == 0)
        send_line("CLIENT SETNAME name%u", draw(KEYS));
    if (draw(50) == 0)
        send_line("HELLO 2 SETNAME name%u", draw(KEYS));
    send_command(commands[which][0], commands[which][1]);
}

/* ---- What one keeper says, step by step --------------------------------------------------- */

static uint32_t receive(kv_round *round, uint32_t taken, uint32_t most)
{
    kv_input *input = &round->input;
    uint32_t size = COMMAND_INPUT_MAX - input->size, left = it.sent.size - taken;
    size = size < left ? size : left;
    size = size < most ? size : most;
    memcpy(input->bytes + input->size, it.sent.data + taken, size);
    input->size += size;
    return taken + size;
}

static void say_step_by_step(void)
{
    static kv_round reader;
    static uint8_t batch_bytes[BATCH_SIZE], reply[2 * BATCH_SIZE];
    char text[COMMAND_TEXT_MAX];
    kv_next next = {.kind = NEXT_MORE};
    uint32_t taken = 0;
    int64_t sum = 0;
    memset(&reader, 0, sizeof reader);
    reader.client.partition_count = 1;
    while (next.kind != NEXT_MORE || taken < it.sent.size) {
        command_forget(&reader.plan, &reader.input);
        taken = receive(&reader, taken, UINT32_MAX);
        command_next(&reader.plan, &reader.client, &reader.input, text, &next);
        if (next.kind != NEXT_STEP)
            continue;
        command_taken(&next, &reader.client);
        kv_batch batch;
        batch_begin(&batch, batch_bytes, sizeof batch_bytes);
        assert_true(batch_add(&batch, &next.step, next.key, next.value));
        kv_request request = {.count = 1, .number = sum};
        memcpy(batch_bytes, &request, sizeof request);
        keeper_run run = {.now_ms = NOW_MS, .out = reply, .out_capacity = sizeof reply};
        keeper_serve(&it.whole, batch_bytes, batch.size, &run);
        assert_int_equal(run.reply.done, 1);
        sum = run.reply.sum;
        append(&it.expected, reply, run.out_size);
    }
}

/* ---- What several say ------------------------------------------------------------------------ */

static void serve_alone(connection *me)
{
    uint8_t reply[BATCH_SIZE];
    kv_lot *lot = &me->round.lots.lots[0];
    uint8_t partition = lot->partition == LOTS_ANYWHERE ? 0 : lot->partition;
    kv_request request = {.count = lot->count, .number = me->sum};
    memcpy(me->batches[0], &request, sizeof request);
    keeper_run run = {.now_ms = NOW_MS, .out = reply, .out_capacity = sizeof reply};
    keeper_serve(&it.keepers[partition], me->batches[0], me->deal.batches[0].size, &run);
    assert_true(run.reply.done != 0);
    me->sum = run.reply.sum;
    append(&it.told, reply, run.out_size);
    lots_close(&me->round.lots, lot);
    lots_pass(&me->round.lots, run.reply.done);
}

static void serve_lot(connection *me, kv_lot *lot)
{
    uint8_t reply[LOTS_HELD_MAX];
    uint16_t sizes[BATCH_STEPS_MAX];
    uint32_t index = (uint32_t)(lot - me->round.lots.lots), room = lots_room_of(&me->round.lots, lot);
    kv_request request = {.count = lot->count, .kind = REQUEST_LOT, .number = room};
    lots_close(&me->round.lots, lot);
    if (draw(10) == 0)
        return; /* it is too busy */
    memcpy(me->batches[index], &request, sizeof request);
    keeper_run run = {.now_ms = NOW_MS, .out = reply, .sizes = sizes, .out_capacity = draw(10) == 0 ? room / 2 : room};
    keeper_serve(&it.keepers[lot->partition], me->batches[index], me->deal.batches[index].size, &run);
    assert_true(lots_take(&me->round.lots, lot, run.reply.done, sizes, reply, run.out_size, me->held));
}

static void serve_lots(connection *me)
{
    kv_lots *lots = &me->round.lots;
    assert_int_equal(me->sum, 0);
    me->of_several++;
    while (lots->open_count != 0) {
        kv_lot *lot = &lots->lots[draw(lots->lot_count)];
        if (lot->is_open)
            serve_lot(me, lot);
    }
    uint8_t text[LOTS_HELD_MAX];
    append(&it.told, text, lots_say(lots, me->held, text));
    me->is_narrow |= lots->said == 0;
    me->gaps += lots->held_count != 0;
}

static round_wish make_round(connection *me)
{
    round_begin(&me->round, &me->deal, false, me->is_narrow, me->batches[0], BATCH_SIZE);
    round_wish wish = round_deal(&me->round, &me->deal);
    while (wish == ROUND_LOT && draw(20) != 0) {
        round_open(&me->round, &me->deal, me->batches[me->round.lots.lot_count], BATCH_SIZE);
        wish = round_deal(&me->round, &me->deal);
    }
    return wish;
}

/* A round, or what is missing of one, and what is held ahead of the next gap. */
static void run_round(connection *me)
{
    kv_lots *lots = &me->round.lots;
    round_wish wish = make_round(me);
    if (!round_has_steps(&me->round, &me->deal)) {
        assert_int_equal(wish, ROUND_RECEIVE);
        lots_drop(lots);
        command_forget(&me->round.plan, &me->round.input);
        me->taken = receive(&me->round, me->taken, 1 + draw(2000));
        me->is_narrow = false;
        return;
    }
    if (lots->lot_count > 1)
        serve_lots(me);
    else
        serve_alone(me);
    round_settle(&me->round);
    if (!lots_has_next(lots))
        return;
    uint8_t text[LOTS_HELD_MAX];
    append(&it.told, text, lots_say(lots, me->held, text));
    round_settle(&me->round);
}

static void say_in_rounds(void)
{
    connection *me = &it.connection;
    kv_round *round = &me->round;
    while (me->taken < it.sent.size || !round_is_over(round) || round->plan.used != round->input.size ||
           round->plan.command != 0)
        run_round(me);
}

/* ---- Both -------------------------------------------------------------------------------------- */

static void begin(unsigned seed, uint32_t partition_count)
{
    srand(seed);
    memset(&it, 0, sizeof it);
    it.partition_count = partition_count;
    it.connection.round.client.partition_count = (uint8_t)partition_count;
    for (uint32_t i = 0; i < partition_count; i++)
        store_begin(&it.keepers[i].store, it.memory[i], MEMORY, (hash_key){seed, i});
    store_begin(&it.whole.store, it.memory[PARTITIONS_MAX], MEMORY, (hash_key){seed, seed});
}

static void compare(void)
{
    say_step_by_step();
    say_in_rounds();
    uint32_t at = 0;
    while (at < it.told.size && at < it.expected.size && it.told.data[at] == it.expected.data[at])
        at++;
    if (at != it.told.size || at != it.expected.size)
        fail_msg("byte %u of %u is another: %.60s instead of %.60s", at, it.expected.size, (char *)it.told.data + at,
                 (char *)it.expected.data + at);
}

static void rounds_say_what_one_partition_says(void **state)
{
    (void)state;
    uint32_t of_several = 0, gaps = 0;
    for (unsigned seed = 1; seed <= 60; seed++) {
        print_message("seed %u\n", seed);
        begin(seed, 1 + seed % PARTITIONS_MAX);
        for (uint32_t i = 0; i < COMMANDS; i++)
            send_any();
        compare();
        assert_true((it.connection.of_several != 0) == (it.partition_count > 1));
        of_several += it.connection.of_several;
        gaps += it.connection.gaps;
    }
    assert_true(of_several > 1000);
    assert_true(gaps > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rounds_say_what_one_partition_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
