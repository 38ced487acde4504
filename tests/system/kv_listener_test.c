/*
 * examples/kv where it can never listen, since a shard is lost before its partition was
 * ready: the program says which, and ends as a failure, instead of waiting for ever.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/witness.h"

#include <stdlib.h>
#include <string.h>

#include "server.h"
#include "store.h"

enum { SHARDS = 3, LOST_SHARD = 2 };

static struct {
    kv_server server; /* the first: what the server's isolates take the user pointer for */
    tina_test_count named;
    uint8_t memory[SHARDS * STORE_MEMORY_MIN] __attribute__((aligned(64)));
} it;

static void read_line(void *user, int shard, tina_level level, const char *line, size_t length)
{
    (void)user, (void)shard;
    static const char expected[] = "shard 2 is quarantined";
    for (size_t i = 0; level == TINA_LOG_ERROR && i + sizeof expected - 1 <= length; i++) {
        if (memcmp(line + i, expected, sizeof expected - 1) == 0)
            tina_test_count_up(&it.named);
    }
}

/* A partition that is never ready: the others' wait, that of the lost shard crashes again and again. */
static tina_effect stuck_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size;
    if (tina_timer_start(ctx, MILLISECOND_NS, TINA_TAG_TIMER, NULL) != TINA_OK)
        return tina_crash(END_NO_TIMER);
    return tina_receive();
}

static tina_effect stuck_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    return tina_shard(ctx) == LOST_SHARD ? tina_crash(END_LOG_FAILED) : tina_receive();
}

static void shard_that_is_lost_before_it_listens_ends_the_program(void **state)
{
    (void)state;
    tina_system_spec spec;
    tina_system *system;
    it.server.partition_count = SHARDS;
    it.server.connections = 4;
    it.server.memory = it.memory;
    it.server.memory_size = STORE_MEMORY_MIN;
    it.server.address = tina_ipv4(127, 0, 0, 1, 0);
    kv_server_spec(&it.server, &spec);
    it.server.types[TYPE_PARTITION].init = stuck_init;
    it.server.types[TYPE_PARTITION].handler = stuck_handle;
    for (uint32_t i = 0; i < SHARDS; i++)
        it.server.shards[i].root.restart_max = 1;
    spec.shard_restart_max = 1;
    spec.signals = TINA_SIGNALS_FAULTS;
    spec.development = true;
    spec.log_sink = read_line;
    assert_int_equal(tina_start(&spec, &system, NULL), TINA_OK);
    assert_int_equal(tina_join(system, NULL), TINA_OK); /* nobody else stops it */
    assert_true(atomic_load(&it.server.has_failed));
    assert_int_equal(tina_test_counted(&it.named), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shard_that_is_lost_before_it_listens_ends_the_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
