/*
 * A program that keeps a log on the made disk: it appends records, syncs, and only
 * then takes them for written. Whatever ends it, when it begins again it reads back
 * all that it took for written; behind that there may be more, or pieces. One that
 * does not sync is found out.
 */
/* ctest: timeout 240 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <tina/tina.h>

#define SEEDS       200
#define TICKS       1500
#define SHARDS      2
#define BUFFER_SIZE 1024
#define BATCH_MAX   4
#define MS          1000000ull

/* ---- Records --------------------------------------------------------------------------------- */

typedef struct head {
    uint32_t number; /* from 1 */
    uint32_t size;   /* with the head */
    uint64_t check;
} head;

#define RECORD_MAX 1000 /* no more than a buffer, so that one read can bring it whole */

static uint8_t byte_of(uint32_t number, uint32_t at) { return (uint8_t)(number * 31 + at * 7 + 1); }

static uint64_t sum_of(uint32_t number, const uint8_t *data, uint32_t size)
{
    uint64_t sum = 0xCBF29CE484222325u ^ number;
    for (uint32_t i = 0; i < size; i++)
        sum = (sum ^ data[i]) * 0x100000001B3u;
    return sum;
}

static uint32_t make_record(uint8_t *into, uint32_t number, uint32_t data_size)
{
    uint8_t *data = into + sizeof(head);
    for (uint32_t i = 0; i < data_size; i++)
        data[i] = byte_of(number, i);
    head first = {number, (uint32_t)sizeof(head) + data_size, sum_of(number, data, data_size)};
    memcpy(into, &first, sizeof first);
    return first.size;
}

typedef enum found { WHOLE, CUT, BROKEN } found;

/* What lies at the beginning of these bytes. */
static found look_at_record(const uint8_t *bytes, uint64_t size, uint32_t number, uint32_t *record_size)
{
    head first;
    if (size < sizeof first)
        return CUT;
    memcpy(&first, bytes, sizeof first);
    if (first.number != number || first.size < sizeof first || first.size > RECORD_MAX)
        return BROKEN;
    if (size < first.size)
        return CUT;
    *record_size = first.size;
    uint32_t data_size = first.size - (uint32_t)sizeof first;
    return sum_of(number, bytes + sizeof first, data_size) == first.check ? WHOLE : BROKEN;
}

/* ---- The keeper of a log ------------------------------------------------------------------------- */

/* What outlives every shard: whoever was told that something is written remembers it. */
typedef struct witness {
    bool takes_it_for_written_too_early;
    uint32_t written[SHARDS]; /* records */
    uint32_t recoveries, tails, records;
    uint32_t wrong; /* records that were written and are not there */
} witness;

typedef enum phase { OPENS, MEASURES, READS, CUTS, WRITES, SYNCS } phase;

typedef struct keeper {
    phase now;
    tina_fd fd;
    uint64_t size; /* of the file */
    uint64_t end;  /* of the last whole record */
    uint32_t count;
    uint32_t record_size, batch;
    uint8_t record[RECORD_MAX];
} keeper;

static uint8_t shard_of(tina_ctx *ctx) { return tina_handle_shard(tina_self(ctx)); }

static tina_effect perform(keeper *self, tina_ctx *ctx)
{
    static const tina_tag kinds[] = {TINA_IO_OPEN,     TINA_IO_STAT,  TINA_IO_READ,
                                     TINA_IO_TRUNCATE, TINA_IO_WRITE, TINA_IO_SYNC};
    char path[16];
    snprintf(path, sizeof path, "logs/%u", shard_of(ctx));
    tina_op op = {.kind = kinds[self->now], .fd = self->fd};
    switch (self->now) {
    case OPENS:
        op.path = path;
        op.flags = TINA_OPEN_READ | TINA_OPEN_WRITE | TINA_OPEN_CREATE;
        break;
    case READS: op.offset = self->end; break;
    case CUTS: op.size = self->end; break;
    case WRITES:
        op.offset = self->end;
        op.data = self->record;
        op.size = self->record_size;
        break;
    case MEASURES:
    case SYNCS: break;
    }
    return tina_io(ctx, &op);
}

static void recover(keeper *self, tina_ctx *ctx)
{
    witness *seen = tina_user(ctx);
    seen->recoveries++;
    seen->tails += self->end != self->size;
    seen->wrong += self->count < seen->written[shard_of(ctx)];
    self->now = CUTS;
}

/* A read may bring less than there is: then it is asked for again. */
static void read_back(keeper *self, const tina_io_result *io, tina_ctx *ctx)
{
    uint32_t size = 0;
    switch (look_at_record(io->data, io->size, self->count + 1, &size)) {
    case WHOLE:
        self->end += size;
        self->count++;
        break;
    case CUT:
        if (self->end + io->size >= self->size)
            recover(self, ctx);
        break;
    case BROKEN: recover(self, ctx); break;
    }
}

static void begin_record(keeper *self, tina_ctx *ctx)
{
    self->now = WRITES;
    uint32_t data_size = (uint32_t)tina_random(ctx) % (RECORD_MAX - sizeof(head) + 1);
    self->record_size = make_record(self->record, self->count + 1, data_size);
}

static void take_for_written(const keeper *self, tina_ctx *ctx)
{
    witness *seen = tina_user(ctx);
    seen->records += self->count - seen->written[shard_of(ctx)];
    seen->written[shard_of(ctx)] = self->count;
}

static void go_on_writing(keeper *self, tina_ctx *ctx)
{
    const witness *seen = tina_user(ctx);
    self->end += self->record_size;
    self->count++;
    if (seen->takes_it_for_written_too_early)
        take_for_written(self, ctx);
    if (self->batch-- == 0)
        self->now = SYNCS;
    else
        begin_record(self, ctx);
}

static void begin_batch(keeper *self, tina_ctx *ctx)
{
    self->batch = (uint32_t)tina_random(ctx) % BATCH_MAX;
    begin_record(self, ctx);
}

static void go_on(keeper *self, const tina_io_result *io, tina_ctx *ctx)
{
    switch (self->now) {
    case OPENS:
        self->fd = io->fd;
        self->now = MEASURES;
        break;
    case MEASURES:
        self->size = io->size;
        self->now = READS;
        break;
    case READS: read_back(self, io, ctx); break;
    case CUTS: begin_batch(self, ctx); break;
    case WRITES: go_on_writing(self, ctx); break;
    case SYNCS:
        take_for_written(self, ctx);
        begin_batch(self, ctx);
        break;
    }
}

static tina_effect keeper_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)args;
    (void)args_size;
    keeper *me = self;
    *me = (keeper){.now = OPENS};
    return perform(me, ctx);
}

/* What fails is done again. */
static tina_effect keeper_handler(void *self, const tina_message *message, tina_ctx *ctx)
{
    keeper *me = self;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (message->io.status == TINA_OK)
        go_on(me, &message->io, ctx);
    return perform(me, ctx);
}

/* ---- Runs -------------------------------------------------------------------------------------------- */

static tina_sim_report run(uint64_t seed, const tina_faults *faults, witness *seen)
{
    tina_type type = {.name = "keeper",
                      .init = keeper_init,
                      .handler = keeper_handler,
                      .size = sizeof(keeper),
                      .slot_count = 2,
                      .mailbox_capacity = 4};
    tina_child child = {.name = 1};
    tina_system_spec spec = {
        .types = &type,
        .type_count = 1,
        .shard_count = SHARDS,
        .root = {.children = &child, .child_count = 1, .restart_max = 1000, .window_ns = 1000 * MS},
        .user = seen,
        .fd_count = 4,
        .op_count = 8,
        .buffer_count = 8,
        .buffer_size = BUFFER_SIZE,
        .shard_restart_max = 1000,
        .shard_restart_window_ns = 1000 * MS,
    };
    tina_sim_config config = {.seed = seed, .ticks_max = TICKS, .faults = *faults, .check_every = 50};
    tina_sim_report report;
    tina_error error;
    tina_status status = tina_simulate(&spec, &config, &report, &error);
    if (status != TINA_OK)
        print_error("%s: %s\n", error.path, error.message);
    assert_int_equal(status, TINA_OK);
    if (report.violation[0] != '\0')
        print_error("seed %llu: %s\n", (unsigned long long)seed, report.violation);
    assert_string_equal(report.violation, "");
    return report;
}

static tina_faults all_but_rot(void)
{
    return (tina_faults){
        .handler_crash = {1, 300},
        .io_error = {1, 100},
        .short_io = {1, 5},
        .io_delay = {0, 2},
        .disk_error = {1, 30},
        .disk_torn_write = {1, 3},
        .disk_lost_write = {1, 3},
        .shard_fault = {1, 100},
    };
}

static void add(tina_fault_counts *sum, const tina_fault_counts *counts)
{
    sum->disk_error += counts->disk_error;
    sum->disk_torn_write += counts->disk_torn_write;
    sum->disk_lost_write += counts->disk_lost_write;
    sum->shard_fault += counts->shard_fault;
}

static void synced_records_survive_every_crash(void **state)
{
    (void)state;
    tina_faults faults = all_but_rot();
    tina_fault_counts sum = {0};
    witness total = {0};
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        witness seen = {0};
        tina_sim_report report = run(seed, &faults, &seen);
        if (seen.wrong != 0)
            print_error("seed %llu\n", (unsigned long long)seed);
        assert_int_equal(seen.wrong, 0);
        add(&sum, &report.faults);
        total.recoveries += seen.recoveries;
        total.tails += seen.tails;
        total.records += seen.records;
    }
    assert_true(sum.disk_error > SEEDS);
    assert_true(sum.disk_torn_write > SEEDS);
    assert_true(sum.disk_lost_write > SEEDS);
    assert_true(sum.shard_fault > SEEDS);
    assert_true(total.recoveries > SEEDS);
    assert_true(total.tails > SEEDS);
    assert_true(total.records > 10 * SEEDS);
}

static void log_without_syncs_is_found_out(void **state)
{
    (void)state;
    tina_faults faults = all_but_rot();
    uint32_t found_out = 0;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        witness seen = {.takes_it_for_written_too_early = true};
        (void)run(seed, &faults, &seen);
        found_out += seen.wrong != 0;
    }
    assert_in_range(found_out, 5, 10); /* where it was wiped at the wrong time */
}

static void log_that_rots_is_found_out(void **state)
{
    (void)state;
    tina_faults faults = all_but_rot();
    faults.disk_bit_rot = (tina_ratio){1, 50};
    witness seen = {0};
    tina_sim_report report = run(1, &faults, &seen);
    assert_int_not_equal(report.faults.disk_bit_rot, 0);
    assert_int_not_equal(seen.wrong, 0);
}

static void wiped_shard_loses_nothing_without_a_rate(void **state)
{
    (void)state;
    tina_faults faults = {.shard_fault = {1, 50}};
    witness seen = {.takes_it_for_written_too_early = true};
    tina_sim_report report = run(1, &faults, &seen);
    assert_int_not_equal(report.faults.shard_fault, 0);
    assert_int_equal(seen.wrong, 0);
}

static void same_seed_leaves_the_same_disk(void **state)
{
    (void)state;
    tina_faults faults = all_but_rot();
    faults.disk_bit_rot = (tina_ratio){1, 50};
    witness seen[2] = {{0}, {0}};
    tina_sim_report first = run(7, &faults, &seen[0]);
    tina_sim_report second = run(7, &faults, &seen[1]);
    assert_true(first.trace_hash == second.trace_hash);
    assert_memory_equal(&first.faults, &second.faults, sizeof first.faults);
    assert_memory_equal(&seen[0], &seen[1], sizeof seen[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(synced_records_survive_every_crash), cmocka_unit_test(log_without_syncs_is_found_out),
        cmocka_unit_test(log_that_rots_is_found_out),         cmocka_unit_test(wiped_shard_loses_nothing_without_a_rate),
        cmocka_unit_test(same_seed_leaves_the_same_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
