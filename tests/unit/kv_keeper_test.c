/*
 * examples/kv from a client's bytes to the replies, without a server: the parser makes
 * steps, the keeper runs them. Then the log that it wrote is read into another keeper, which
 * has to come to the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "keeper.h"

#include <cmocka.h>

enum { MEMORY = 4 * 1024 * 1024, BATCH_SIZE = 16 * 1024, LOG_SIZE = 1024 * 1024 };

typedef struct rig {
    kv_keeper keeper;
    log_buffer log;
    kv_plan plan;
    kv_client client;
    kv_input input;
    int64_t sum; /* of a command that goes on */
    uint64_t now_ms;
    uint32_t reply_size; /* of a whole reply */
    void *memory;
    uint8_t batch[BATCH_SIZE], reply[BATCH_SIZE + 1], log_bytes[LOG_SIZE];
} rig;

static rig it;

static int set_up(void **state)
{
    (void)state;
    memset(&it, 0, sizeof it);
    it.memory = aligned_alloc(64, MEMORY);
    assert_non_null(it.memory);
    it.log = (log_buffer){.data = it.log_bytes, .capacity = LOG_SIZE};
    it.keeper.log = &it.log;
    it.now_ms = 1000000;
    it.reply_size = BATCH_SIZE;
    it.client.partition_count = 1;
    store_begin(&it.keeper.store, it.memory, MEMORY, (hash_key){5, 6});
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(it.memory);
    return 0;
}

/* Of all steps that the input has, one batch after the other, as a connection does. */
static void run(const void *text, size_t size, char *replies, size_t room)
{
    char scratch[COMMAND_TEXT_MAX];
    size_t used = 0;
    kv_next next;
    memcpy(it.input.bytes + it.input.size, text, size);
    it.input.size += (uint32_t)size;
    for (bool goes_on = true; goes_on;) {
        kv_batch batch;
        kv_plan before = it.plan;
        batch_begin(&batch, it.batch, sizeof it.batch);
        command_next(&it.plan, &it.client, &it.input, scratch, &next);
        goes_on = next.kind != NEXT_MORE && next.kind != NEXT_END;
        if (next.kind != NEXT_STEP)
            continue;
        assert_true(batch_add(&batch, &next.step, next.key, next.value));
        kv_request request = {.count = 1, .number = it.sum};
        memcpy(it.batch, &request, sizeof request);
        keeper_run result = {.now_ms = it.now_ms, .out = it.reply, .out_capacity = it.reply_size};
        keeper_serve(&it.keeper, it.batch, batch.size, &result);
        if (result.reply.done == 0) {
            it.plan = before;
            break;
        }
        it.sum = result.reply.sum;
        assert_true(used + result.out_size < room);
        memcpy(replies + used, it.reply, result.out_size);
        used += result.out_size;
    }
    replies[used] = '\0';
    command_forget(&it.plan, &it.input);
}

static void answers(const char *command, const char *expected)
{
    char replies[BATCH_SIZE];
    run(command, strlen(command), replies, sizeof replies);
    if (strcmp(replies, expected) != 0)
        fail_msg("%s is answered by %s instead of %s", command, replies, expected);
}

#define LOADING "-LOADING Redis is loading the dataset in memory\r\n"
#define OOM     "-OOM command not allowed when used memory > 'maxmemory'.\r\n"

static void strings_are_set_and_read(void **state)
{
    (void)state;
    answers("SET a 1\r\n", "+OK\r\n");
    answers("GET a\r\n", "$1\r\n1\r\n");
    answers("GET b\r\n", "$-1\r\n");
    answers("SET a 2 NX\r\n", "$-1\r\n");
    answers("SET b 2 XX\r\n", "$-1\r\n");
    answers("SET a 3 XX GET\r\n", "$1\r\n1\r\n");
    answers("SET c 3 GET\r\n", "$-1\r\n");
    answers("STRLEN a\r\n", ":1\r\n");
    answers("SET a \"\"\r\nGET a\r\n", "+OK\r\n$0\r\n\r\n");
    answers("SET a b FOO\r\n", "-ERR syntax error\r\n");
    answers("SET a b NX XX\r\n", "-ERR syntax error\r\n");
    answers("SET a b EX\r\n", "-ERR syntax error\r\n");
    answers("SET a b EX 1 KEEPTTL\r\n", "-ERR syntax error\r\n");
}

static void several_keys_are_one_answer(void **state)
{
    (void)state;
    answers("MSET a 1 b 2 c 3\r\n", "+OK\r\n");
    answers("MGET a x c\r\n", "*3\r\n$1\r\n1\r\n$-1\r\n$1\r\n3\r\n");
    answers("EXISTS a a x\r\n", ":2\r\n");
    answers("DEL a b x\r\n", ":2\r\n");
    answers("DBSIZE\r\n", ":1\r\n");
    answers("FLUSHALL\r\nDBSIZE\r\n", "+OK\r\n:0\r\n");
    answers("MSET a 1 b\r\n", "-ERR wrong number of arguments for 'mset' command\r\n");
}

static void numbers_are_added(void **state)
{
    (void)state;
    answers("INCR n\r\nINCRBY n 41\r\nDECR n\r\nDECRBY n 50\r\n", ":1\r\n:42\r\n:41\r\n:-9\r\n");
    answers("SET n 9223372036854775807\r\nINCR n\r\n", "+OK\r\n-ERR increment or decrement would overflow\r\n");
    answers("SET n x\r\nINCR n\r\n", "+OK\r\n-ERR value is not an integer or out of range\r\n");
    answers("SET n 01\r\nINCR n\r\n", "+OK\r\n-ERR value is not an integer or out of range\r\n");
    answers("INCRBY n 1.5\r\n", "-ERR value is not an integer or out of range\r\n");
    answers("DECRBY n -9223372036854775808\r\n", "-ERR decrement would overflow\r\n");
}

static void keys_expire(void **state)
{
    (void)state;
    answers("SET a 1 EX 10\r\nTTL a\r\nPTTL a\r\n", "+OK\r\n:10\r\n:10000\r\n");
    it.now_ms += 9999;
    answers("GET a\r\nTTL a\r\n", "$1\r\n1\r\n:0\r\n");
    it.now_ms += 1;
    answers("GET a\r\nTTL a\r\n", "$-1\r\n:-2\r\n");
    answers("SET a 1\r\nTTL a\r\nEXPIRE a 5\r\nSET a 2 KEEPTTL\r\nTTL a\r\nPERSIST a\r\nTTL a\r\n",
            "+OK\r\n:-1\r\n:1\r\n+OK\r\n:5\r\n:1\r\n:-1\r\n");
    answers("EXPIRE a 5 XX\r\nEXPIRE a 5 NX\r\nEXPIRE a 3 GT\r\nEXPIRE a 3 LT\r\nTTL a\r\n",
            ":0\r\n:1\r\n:0\r\n:1\r\n:3\r\n");
    answers("EXPIRE a -1\r\nEXISTS a\r\n", ":1\r\n:0\r\n");
    answers("SET a 1 EX 0\r\n", "-ERR invalid expire time in 'set' command\r\n");
    answers("SET a 1 EX 9223372036854775807\r\n", "-ERR invalid expire time in 'set' command\r\n");
    answers("EXPIRE a 9223372036854775807\r\n", "-ERR invalid expire time in 'expire' command\r\n");
}

static void wrong_commands_are_told_so(void **state)
{
    (void)state;
    answers("FOO a b\r\n", "-ERR unknown command 'FOO', with args beginning with: 'a' 'b' \r\n");
    answers("get\r\n", "-ERR wrong number of arguments for 'get' command\r\n");
    answers("SELECT 1\r\n", "-ERR DB index is out of range\r\n");
    answers("CLIENT FOO\r\n", "-ERR unknown subcommand 'FOO'. Try CLIENT HELP.\r\n");
    answers("*1\r\n$4\r\nPING\r\n*2\r\n!", "+PONG\r\n-ERR Protocol error: expected '$', got '!'\r\n");
    answers("PING\r\n", ""); /* that was the end */
}

static void memory_that_is_full_is_told(void **state)
{
    (void)state;
    char value[9000], command[9100], replies[BATCH_SIZE];
    int count = 0;
    memset(value, 'v', sizeof value);
    it.keeper.log = NULL;
    do {
        int size =
            snprintf(command, sizeof command, "*3\r\n$3\r\nSET\r\n$4\r\n%04d\r\n$9000\r\n%.9000s\r\n", count++, value);
        run(command, (size_t)size, replies, sizeof replies);
    } while (strcmp(replies, "+OK\r\n") == 0);
    assert_string_equal(replies, OOM);
    assert_in_range(count, 400, MEMORY / 9000);
    answers("DEL 0001\r\nSET x y\r\n", ":1\r\n+OK\r\n");
}

static void refusal_stops_what_changes(void **state)
{
    (void)state;
    answers("SET a 1\r\n", "+OK\r\n");
    it.keeper.refusal = "-MISCONF no\r\n";
    answers("SET a 2\r\nINCR a\r\nDEL a b\r\nMSET a 1 b 2\r\nEXPIRE a 1\r\nFLUSHALL\r\n",
            "-MISCONF no\r\n-MISCONF no\r\n-MISCONF no\r\n-MISCONF no\r\n-MISCONF no\r\n-MISCONF no\r\n");
    answers("GET a\r\nEXISTS a\r\n", "$1\r\n1\r\n:1\r\n");
    it.keeper.refusal = NULL;
    it.keeper.is_loading = true;
    answers("GET a\r\nPING\r\n", LOADING "+PONG\r\n");
}

/* While a partition is loading, a command of several keys is not begun. */
static void command_of_several_is_refused_as_a_whole(void **state)
{
    (void)state;
    it.client.is_loading = true;
    answers("MGET a b c\r\nDBSIZE\r\nMSET a 1 b 2\r\nDEL a b\r\nEXISTS a\r\nFLUSHALL\r\nPING\r\n",
            LOADING LOADING LOADING LOADING LOADING LOADING "+PONG\r\n");
    it.client.is_loading = false;
    answers("DBSIZE\r\n", ":0\r\n");
}

/* It may also begin to load when a part of the command is done. */
static void command_that_was_begun_fails_as_a_whole(void **state)
{
    (void)state;
    answers("MSET a 1 b 2\r\n*3\r\n$3\r\nDEL\r\n$1\r\na\r\n", "+OK\r\n");
    it.keeper.is_loading = true;
    answers("$1\r\nb\r\n*5\r\n$4\r\nMSET\r\n$1\r\na\r\n$1\r\n1\r\n", LOADING);
    it.keeper.is_loading = false;
    answers("$1\r\nb\r\n$1\r\n2\r\nGET b\r\n*3\r\n$4\r\nMGET\r\n$1\r\na\r\n", LOADING "$1\r\n2\r\n*2\r\n$-1\r\n");
    it.keeper.is_loading = true;
    answers("$1\r\nb\r\n", "");
    it.keeper.is_loading = false;
    answers("", "$1\r\n2\r\n");
}

static void log_without_room_does_nothing(void **state)
{
    (void)state;
    it.log.capacity = LOG_HEAD_SIZE + 2;
    answers("SET a 1\r\n", "+OK\r\n");
    answers("SET b 2\r\n", "");
    assert_int_equal(it.keeper.store.count, 1);
    it.log.size = 0; /* it was written */
    answers("", "+OK\r\n");
}

/* What is larger than a reply is begun, pinned, and stays as it was. */
static void large_value_is_begun(void **state)
{
    (void)state;
    kv_step get = {.kind = STEP_GET, .key_size = 1};
    kv_batch batch;
    kv_entry *entry = keeper_expect(&it.keeper, (const uint8_t *)"a", 1, 20000);
    assert_non_null(entry);
    memset(entry_value(entry), 'v', 20000);
    store_link(&it.keeper.store, entry);
    batch_begin(&batch, it.batch, sizeof it.batch);
    assert_true(batch_add(&batch, &get, "a", ""));
    assert_true(batch_add(&batch, &get, "a", ""));
    kv_request request = {.count = 2};
    memcpy(it.batch, &request, sizeof request);
    keeper_run result = {.now_ms = 1, .out = it.reply, .out_capacity = BATCH_SIZE};
    keeper_serve(&it.keeper, it.batch, batch.size, &result);
    assert_int_equal(result.reply.done, 1);
    assert_ptr_equal(result.large, entry);
    assert_int_equal(result.large_done, BATCH_SIZE - strlen("$20000\r\n"));
    assert_memory_equal(it.reply, "$20000\r\nvvv", 11);
    answers("DEL a\r\n", ":1\r\n");
    assert_int_equal(entry_value(entry)[19999], 'v');
    store_unpin(&it.keeper.store, entry);
}

/* ---- The log ---- */

static void read_log_into(kv_keeper *other)
{
    uint32_t at = 0, needed;
    log_record record;
    while (log_get(it.log_bytes + at, it.log.size - at, &record, &needed) == LOG_WHOLE) {
        assert_true(keeper_apply(other, &record, it.now_ms));
        at += needed;
    }
    assert_int_equal(at, it.log.size);
}

static void log_comes_to_the_same(void **state)
{
    (void)state;
    static const char *const commands[] = {
        "SET k%u %u\r\n",     "INCRBY k%u %u\r\n",   "DEL k%u %u\r\n",  "EXPIRE k%u %u\r\n",
        "PEXPIRE k%u %u\r\n", "SET k%u %u EX 7\r\n", "PERSIST k%u\r\n",
    };
    char command[64], replies[256];
    uint64_t word = 3;
    for (int i = 0; i < 5000; i++) {
        word = word * 6364136223846793005u + 1442695040888963407u;
        uint32_t kind = (uint32_t)(word >> 33) % 7, key = (uint32_t)(word >> 40) % 50, number = (uint32_t)(word >> 50) % 60;
        if (i == 2500)
            answers("FLUSHALL\r\n", "+OK\r\n");
        snprintf(command, sizeof command, commands[kind], key, number);
        run(command, strlen(command), replies, sizeof replies);
        it.now_ms += 10;
    }
    kv_keeper other = {0};
    void *memory = aligned_alloc(64, MEMORY);
    store_begin(&other.store, memory, MEMORY, (hash_key){7, 8});
    read_log_into(&other);
    uint32_t count = 0;
    for (uint32_t i = 0; i < 50; i++) {
        int size = snprintf(command, sizeof command, "k%u", i);
        kv_entry *here = store_find(&it.keeper.store, store_key_of(&it.keeper.store, command, (size_t)size), it.now_ms);
        kv_entry *there = store_find(&other.store, store_key_of(&other.store, command, (size_t)size), it.now_ms);
        assert_int_equal(here == NULL, there == NULL);
        if (here == NULL)
            continue;
        assert_int_equal(here->expires_ms, there->expires_ms);
        assert_int_equal(here->value_size, there->value_size);
        assert_memory_equal(entry_value(here), entry_value(there), here->value_size);
        count++;
    }
    assert_true(count > 10);
    free(memory);
}

/* What has expired when the log is read was still to live when its expiry was changed. */
static void log_that_is_read_late_has_later_expiries(void **state)
{
    (void)state;
    answers("SET a 1 EX 5\r\nPERSIST a\r\nSET b 2 EX 5\r\nEXPIRE b 100\r\nSET c 3\r\nEXPIRE c 5\r\nSET d 4 EX 5\r\n",
            "+OK\r\n:1\r\n+OK\r\n:1\r\n+OK\r\n:1\r\n+OK\r\n");
    it.now_ms += 50000;
    kv_keeper other = {0};
    void *memory = aligned_alloc(64, MEMORY);
    store_begin(&other.store, memory, MEMORY, (hash_key){7, 8});
    read_log_into(&other);
    assert_int_equal(other.store.count, 2);
    assert_non_null(store_find(&other.store, store_key_of(&other.store, "a", 1), it.now_ms));
    assert_non_null(store_find(&other.store, store_key_of(&other.store, "b", 1), it.now_ms));
    free(memory);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(strings_are_set_and_read),
        TEST(several_keys_are_one_answer),
        TEST(numbers_are_added),
        TEST(keys_expire),
        TEST(wrong_commands_are_told_so),
        TEST(memory_that_is_full_is_told),
        TEST(refusal_stops_what_changes),
        TEST(command_of_several_is_refused_as_a_whole),
        TEST(command_that_was_begun_fails_as_a_whole),
        TEST(log_without_room_does_nothing),
        TEST(large_value_is_begun),
        TEST(log_comes_to_the_same),
        TEST(log_that_is_read_late_has_later_expiries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
