/* Datagrams in whole simulations: isolates on two shards, one of which answers all that comes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <tina/tina.h>

#define PING_COUNT 200
#define PERIOD_NS  2000000u /* two rounds */

/* ---- A server and a client ------------------------------------------------------------------- */

typedef struct side {
    tina_fd fd;
    uint32_t sent, received;
    uint32_t last, overtaken; /* by another */
} side;

/* A run is one thread. */
static struct run {
    uint8_t family;
    side server, client; /* as they ended */
} run;

static tina_address address_of_server(void)
{
    return run.family == TINA_UNIX ? tina_unix("/run/server") : tina_ipv4(127, 0, 0, 1, 7000);
}

static tina_address address_of_client(void)
{
    return run.family == TINA_UNIX ? tina_unix("/run/client") : tina_ipv4(127, 0, 0, 1, 7001);
}

static tina_effect receive(side *me, tina_ctx *ctx)
{
    tina_op op = {.kind = TINA_IO_RECVFROM, .fd = me->fd};
    return tina_io_start(ctx, &op) == TINA_OK ? tina_receive() : tina_crash(2);
}

static bool open_socket(side *me, tina_address address, tina_ctx *ctx)
{
    return tina_socket(ctx, run.family, TINA_DATAGRAM, &me->fd) == TINA_OK && tina_bind(ctx, me->fd, &address) == TINA_OK;
}

static void note(side *me, const tina_message *message)
{
    uint32_t number = 0;
    if (message->io.status != TINA_OK || message->io.size != sizeof number)
        return;
    memcpy(&number, message->io.data, sizeof number);
    me->received++;
    me->overtaken += number < me->last;
    me->last = number;
}

static tina_effect server_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)args, (void)args_size;
    return open_socket(self, address_of_server(), ctx) ? receive(self, ctx) : tina_crash(1);
}

static tina_effect server_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    side *me = self;
    run.server = *me;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (message->tag != TINA_IO_RECVFROM)
        return tina_receive();
    note(me, message);
    if (message->io.status == TINA_OK) {
        tina_op answer = {.kind = TINA_IO_SENDTO,
                          .fd = me->fd,
                          .data = message->io.data,
                          .size = message->io.size,
                          .address = message->io.peer};
        me->sent += tina_io_start(ctx, &answer) == TINA_OK;
    }
    return receive(me, ctx);
}

static tina_effect client_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)args, (void)args_size;
    if (!open_socket(self, address_of_client(), ctx))
        return tina_crash(1);
    if (tina_timer_repeat(ctx, PERIOD_NS, TINA_TAG_TIMER, NULL) != TINA_OK)
        return tina_crash(1);
    return receive(self, ctx);
}

static void ping(side *me, tina_ctx *ctx)
{
    tina_address to = address_of_server();
    tina_op op = {.kind = TINA_IO_SENDTO, .fd = me->fd, .data = &me->sent, .size = sizeof me->sent, .address = &to};
    if (me->sent < PING_COUNT && tina_io_start(ctx, &op) == TINA_OK)
        me->sent++;
}

static tina_effect client_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    side *me = self;
    run.client = *me;
    switch (message->tag) {
    case TINA_TAG_SHUTDOWN: return tina_done();
    case TINA_TAG_TIMER: ping(me, ctx); return tina_receive();
    case TINA_IO_RECVFROM: note(me, message); return receive(me, ctx);
    default: return tina_receive();
    }
}

static tina_sim_report simulate(uint8_t family, uint64_t seed, const tina_faults *faults)
{
    static const tina_type types[] = {
        {.name = "server", .init = server_init, .handler = server_handle, .size = sizeof(side), .mailbox_capacity = 8},
        {.name = "client", .init = client_init, .handler = client_handle, .size = sizeof(side), .mailbox_capacity = 8},
    };
    static const tina_child servers[] = {{.type = 0}};
    static const tina_child clients[] = {{.type = 1}};
    static const tina_shard_spec shards[] = {
        {.root = {.children = servers, .child_count = 1}},
        {.root = {.children = clients, .child_count = 1}},
    };
    tina_system_spec spec = {.types = types, .type_count = 2, .shards = shards, .shard_count = 2};
    tina_sim_config config = {.seed = seed,
                              .ticks_max = 2 * PING_COUNT + 300,
                              .stop_at_tick = 2 * PING_COUNT + 100,
                              .check_every = 1,
                              .faults = *faults};
    tina_sim_report report;
    run = (struct run){.family = family};
    assert_int_equal(tina_simulate(&spec, &config, &report, NULL), TINA_OK);
    assert_string_equal(report.violation, "");
    assert_int_equal(report.end, TINA_SIM_STOPPED);
    return report;
}

/* Twice: it is the same. */
static tina_sim_report repeated(uint8_t family, uint64_t seed, const tina_faults *faults)
{
    tina_sim_report first = simulate(family, seed, faults);
    tina_sim_report second = simulate(family, seed, faults);
    assert_true(first.trace_hash == second.trace_hash);
    assert_memory_equal(&first.faults, &second.faults, sizeof first.faults);
    return first;
}

/* ---- Runs ------------------------------------------------------------------------------------- */

static void datagrams_without_faults_are_all_answered_in_order(void **state)
{
    (void)state;
    const uint8_t families[] = {TINA_IPV4, TINA_UNIX};
    tina_faults none = {0};
    for (int i = 0; i < 2; i++) {
        repeated(families[i], 1, &none);
        assert_int_equal(run.server.received, PING_COUNT);
        assert_int_equal(run.client.received, PING_COUNT);
        assert_int_equal(run.client.overtaken, 0);
    }
}

static void datagrams_lost_and_doubled_are_counted(void **state)
{
    (void)state;
    tina_faults faults = {.datagram_loss = {1, 5}};
    tina_sim_report report = repeated(TINA_IPV4, 2, &faults);
    assert_in_range(report.faults.datagram_loss, PING_COUNT / 10, PING_COUNT);
    assert_int_equal(report.faults.datagram_loss, PING_COUNT - run.client.received);
    faults = (tina_faults){.datagram_double = {1, 5}};
    report = repeated(TINA_IPV4, 3, &faults);
    assert_in_range(report.faults.datagram_double, PING_COUNT / 10, PING_COUNT);
    assert_true(run.server.received > PING_COUNT);
    assert_true(run.client.received > run.server.received);
}

static void datagrams_are_overtaken_where_they_are_late(void **state)
{
    (void)state;
    tina_faults faults = {.io_delay = {0, 20}};
    repeated(TINA_IPV4, 4, &faults);
    assert_true(run.server.overtaken != 0);
    repeated(TINA_UNIX, 4, &faults);
    assert_true(run.client.received != 0);
    assert_int_equal(run.server.overtaken + run.client.overtaken, 0);
}

static void datagrams_over_unix_sockets_are_never_lost(void **state)
{
    (void)state;
    tina_faults faults = {.datagram_loss = {1, 1}, .datagram_double = {1, 1}};
    tina_sim_report report = repeated(TINA_UNIX, 5, &faults);
    assert_int_equal(run.client.received, PING_COUNT);
    assert_int_equal(report.faults.datagram_loss + report.faults.datagram_double, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(datagrams_without_faults_are_all_answered_in_order),
        cmocka_unit_test(datagrams_lost_and_doubled_are_counted),
        cmocka_unit_test(datagrams_are_overtaken_where_they_are_late),
        cmocka_unit_test(datagrams_over_unix_sockets_are_never_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
