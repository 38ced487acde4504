/* Each kind of fault alone is counted alone, all together are repeatable, and where none is asked for none strikes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <tina/tina.h>

#include "support/town.h"

#define TICKS 4000
#define SEEDS 8
#define MS    1000000ull

/* ---- The coast: files and datagrams, of which the town has none -------------------------------- */

#define PORT      8000
#define PAGE_SIZE 2000
#define BOOK_SIZE 8192

enum { TYPE_SCRIBE, TYPE_BEACON, TYPE_COUNT };
enum { TAG_WAKE = TINA_TAG_USER };

static uint32_t below(tina_ctx *ctx, uint32_t bound) { return (uint32_t)(tina_random(ctx) >> 32) % bound; }

typedef struct scribe {
    tina_fd fd;
    uint32_t read; /* a sum of all that was: it decides what comes next, so that no other byte goes unseen */
    uint8_t page[PAGE_SIZE];
} scribe;

static tina_effect scribe_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self;
    (void)args;
    (void)args_size;
    char path[] = "books/0";
    path[sizeof path - 2] = (char)('0' + tina_shard(ctx));
    tina_op open = {.kind = TINA_IO_OPEN, .path = path};
    open.flags = TINA_OPEN_READ | TINA_OPEN_WRITE | TINA_OPEN_CREATE;
    return tina_io(ctx, &open);
}

static tina_effect scribe_go_on(scribe *me, tina_ctx *ctx)
{
    tina_op op = {.kind = TINA_IO_SYNC, .fd = me->fd};
    uint32_t choice = below(ctx, 4);
    uint32_t offset = (below(ctx, BOOK_SIZE) + me->read) % BOOK_SIZE;
    if (choice == 0)
        return tina_io(ctx, &op);
    op.kind = choice == 1 ? TINA_IO_READ : TINA_IO_WRITE;
    op.offset = offset;
    op.size = choice == 1 ? 0 : 1 + below(ctx, PAGE_SIZE);
    op.data = choice == 1 ? NULL : me->page;
    memset(me->page, (int)(me->read & 0x7F), sizeof me->page);
    return tina_io(ctx, &op);
}

static tina_effect scribe_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    scribe *me = self;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (message->io.status != TINA_OK)
        return tina_crash(1);
    if (message->tag == TINA_IO_OPEN)
        me->fd = message->io.fd;
    for (uint64_t i = 0; message->tag == TINA_IO_READ && i < message->io.size; i++)
        me->read = me->read * 31 + message->io.data[i];
    return scribe_go_on(me, ctx);
}

typedef struct beacon {
    tina_fd fd;
} beacon;

static tina_address beacon_address(uint8_t shard) { return tina_ipv4(127, 0, 0, 1, (uint16_t)(PORT + shard)); }

static tina_effect watch_out(beacon *me, tina_ctx *ctx)
{
    tina_op op = {.kind = TINA_IO_RECVFROM, .fd = me->fd};
    return tina_io_start(ctx, &op) == TINA_OK ? tina_receive() : tina_crash(2);
}

static tina_effect beacon_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    beacon *me = self;
    (void)args;
    (void)args_size;
    tina_address address = beacon_address(tina_shard(ctx));
    if (tina_socket(ctx, TINA_IPV4, TINA_DATAGRAM, &me->fd) != TINA_OK || tina_bind(ctx, me->fd, &address) != TINA_OK ||
        tina_timer_repeat(ctx, 3 * MS, TAG_WAKE, NULL) != TINA_OK)
        return tina_crash(3);
    return watch_out(me, ctx);
}

static tina_effect beacon_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    beacon *me = self;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (message->tag == TINA_IO_RECVFROM)
        return watch_out(me, ctx);
    if (message->tag != TAG_WAKE)
        return tina_receive();
    tina_address address = beacon_address((uint8_t)below(ctx, tina_shard_count(ctx)));
    tina_op op = {.kind = TINA_IO_SENDTO, .fd = me->fd, .address = &address, .data = &address, .size = sizeof address};
    tina_ignore(tina_io_start(ctx, &op));
    return tina_receive();
}

static const tina_type coast_types[TYPE_COUNT] = {
    [TYPE_SCRIBE] = {"scribe", scribe_init, scribe_handle, sizeof(scribe), .mailbox_capacity = 4},
    [TYPE_BEACON] = {"beacon", beacon_init, beacon_handle, sizeof(beacon), .mailbox_capacity = 4},
};
static const tina_child coast_children[] = {{.type = TYPE_SCRIBE}, {.type = TYPE_BEACON}};

/* Within the town's limits. */
static void coast_init(town *of, size_t shard_count)
{
    town_init(of, shard_count);
    of->spec.types = coast_types;
    of->spec.type_count = TYPE_COUNT;
    of->spec.root.children = coast_children;
    of->spec.root.child_count = sizeof coast_children / sizeof coast_children[0];
}

/* ---- Runs ------------------------------------------------------------------------------------- */

typedef void (*program)(town *of, size_t shard_count);

static const program programs[] = {town_init, coast_init};
#define PROGRAMS (sizeof programs / sizeof programs[0])

static tina_sim_report run(program init, uint64_t seed, const tina_faults *faults)
{
    town busy;
    init(&busy, 2 + seed % 3);
    tina_sim_config config = {.seed = seed, .ticks_max = TICKS, .stop_at_tick = TICKS * 3 / 4, .faults = *faults};
    config.check_every = 20;
    tina_sim_report report;
    tina_error error;
    assert_int_equal(tina_simulate(&busy.spec, &config, &report, &error), TINA_OK);
    if (report.violation[0] != '\0')
        print_error("seed %llu, round %llu: %s\n", (unsigned long long)seed, (unsigned long long)report.ticks,
                    report.violation);
    assert_string_equal(report.violation, "");
    assert_int_equal(busy.wrong, 0);
    return report;
}

static tina_sim_report run_twice(program init, uint64_t seed, const tina_faults *faults)
{
    tina_sim_report first = run(init, seed, faults);
    tina_sim_report second = run(init, seed, faults);
    assert_true(first.trace_hash == second.trace_hash);
    assert_memory_equal(&first.faults, &second.faults, sizeof first.faults);
    assert_int_equal(first.ticks, second.ticks);
    assert_int_equal(first.now_ns, second.now_ns);
    return first;
}

/* ---- Alone ------------------------------------------------------------------------------------- */

typedef struct kind {
    const char *name;
    size_t rate, size; /* in tina_faults */
    size_t count;      /* in tina_fault_counts */
    program init;
} kind;

#define KIND(field, init)                                                                                                   \
    {                                                                                                                       \
#field, offsetof(tina_faults, field), sizeof((tina_faults *)0)->field, offsetof(tina_fault_counts, field), init     \
    }
#define IN_TOWN(field)      KIND(field, town_init)
#define ON_THE_COAST(field) KIND(field, coast_init)

static const kind kinds[] = {
    IN_TOWN(handler_crash),
    IN_TOWN(init_crash),
    IN_TOWN(message_drop),
    IN_TOWN(partition),
    IN_TOWN(message_delay),
    IN_TOWN(io_error),
    IN_TOWN(connection_reset),
    IN_TOWN(short_io),
    IN_TOWN(io_delay),
    IN_TOWN(pool_empty),
    IN_TOWN(shard_stall),
    IN_TOWN(shard_fault),
    ON_THE_COAST(datagram_loss),
    ON_THE_COAST(datagram_double),
    ON_THE_COAST(disk_error),
    ON_THE_COAST(disk_torn_write),
    ON_THE_COAST(disk_lost_write),
    ON_THE_COAST(disk_bit_rot),
};
#define KINDS (sizeof kinds / sizeof kinds[0])
TINA_STATIC_ASSERT(sizeof(tina_fault_counts) == KINDS * sizeof(uint64_t), "each kind has its row");

/* Wipes are the occasion. */
static bool strikes_in_wipes(const kind *of)
{
    return strcmp(of->name, "disk_torn_write") == 0 || strcmp(of->name, "disk_lost_write") == 0;
}

static tina_faults only(const kind *of)
{
    tina_faults all = town_faults();
    tina_faults one = {0};
    memcpy((char *)&one + of->rate, (const char *)&all + of->rate, of->size);
    if (strcmp(of->name, "partition") == 0)
        one.partition_heal = all.partition_heal;
    if (strcmp(of->name, "init_crash") == 0) /* restarts are the occasion */
        one.init_crash = (tina_ratio){1, 10};
    if (strikes_in_wipes(of))
        one.shard_fault = all.shard_fault;
    return one;
}

static void fault_alone_is_counted_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < KINDS; i++) {
        tina_faults one = only(&kinds[i]);
        uint64_t sum = 0;
        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
            tina_fault_counts counts = run_twice(kinds[i].init, seed, &one).faults;
            uint64_t *own = (uint64_t *)(void *)((char *)&counts + kinds[i].count);
            sum += *own;
            *own = 0;
            if (strikes_in_wipes(&kinds[i]))
                counts.shard_fault = 0;
            tina_fault_counts none = {0};
            assert_memory_equal(&counts, &none, sizeof counts);
        }
        if (sum == 0)
            print_error("%s never struck\n", kinds[i].name);
        assert_true(sum != 0);
    }
}

static void no_fault_is_counted_where_none_is_asked_for(void **state)
{
    (void)state;
    tina_faults none = {0};
    tina_fault_counts zero = {0};
    for (uint64_t seed = 1; seed <= PROGRAMS * SEEDS; seed++) {
        tina_sim_report report = run_twice(programs[seed % PROGRAMS], seed, &none);
        assert_memory_equal(&report.faults, &zero, sizeof zero);
        assert_int_equal(report.end, TINA_SIM_STOPPED);
        assert_int_equal(report.total.faults, 0);
        assert_int_equal(report.total.shard_restarts, 0);
    }
}

/* ---- Together ------------------------------------------------------------------------------------- */

static void all_faults_together_are_repeatable(void **state)
{
    (void)state;
    tina_faults all = town_faults();
    for (uint64_t seed = 1; seed <= PROGRAMS * 4 * SEEDS; seed++) {
        tina_sim_report report = run_twice(programs[seed % PROGRAMS], seed, &all);
        assert_int_equal(report.end, TINA_SIM_STOPPED);
    }
}

static void other_seed_is_another_run(void **state)
{
    (void)state;
    tina_faults none = {0};
    for (size_t i = 0; i < PROGRAMS; i++)
        assert_true(run(programs[i], 1, &none).trace_hash != run(programs[i], 4, &none).trace_hash);
}

static tina_sim_report run_until(program init, uint64_t seed, uint64_t ticks_max)
{
    town busy;
    init(&busy, 3);
    tina_sim_config config = {.seed = seed, .ticks_max = ticks_max, .heal_at_tick = 1000, .stop_at_tick = TICKS / 2};
    config.faults = town_faults();
    tina_sim_report report;
    assert_int_equal(tina_simulate(&busy.spec, &config, &report, NULL), TINA_OK);
    assert_string_equal(report.violation, "");
    return report;
}

static void healed_system_fails_no_more(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= PROGRAMS * SEEDS; seed++) {
        program init = programs[seed % PROGRAMS];
        tina_sim_report whole = run_until(init, seed, TICKS);
        tina_sim_report before = run_until(init, seed, 999); /* too few to heal in */
        assert_memory_equal(&whole.faults, &before.faults, sizeof whole.faults);
        assert_int_equal(whole.end, TINA_SIM_STOPPED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_fault_is_counted_where_none_is_asked_for),
        cmocka_unit_test(fault_alone_is_counted_alone),
        cmocka_unit_test(all_faults_together_are_repeatable),
        cmocka_unit_test(other_seed_is_another_run),
        cmocka_unit_test(healed_system_fails_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
