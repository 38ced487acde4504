/* Transfers from each shard to each other, and what a shard sees of another's counters, while all of them are busy. */
/* ctest: label stress */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/witness.h"

#include <string.h>

enum { SHARDS = 3, NAME_READER = 1, SIZE_MAX_HERE = 3000, TRANSFERS = 12 };
enum { TYPE_READER, TYPE_WRITER, TYPE_COUNT };

typedef struct witness {
    uint64_t goal;                                              /* of each writer: set before the start */
    tina_test_count read[SHARDS][SHARDS], wrong, refused, done; /* read: by source and reader */
} witness;

/* What a transfer begins with; the bytes behind are as the number says. */
typedef struct label {
    uint64_t number;
    uint32_t from, size;
} label;

/* ---- Readers ------------------------------------------------------------------------------ */

static tina_effect reader_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size, (void)ctx;
    return tina_receive();
}

static bool is_whole(const label *text, const uint8_t *bytes, size_t size)
{
    bool is_even = text->from < SHARDS && text->size == size;
    for (size_t i = sizeof *text; i < size && is_even; i++)
        is_even = bytes[i] == (uint8_t)(text->number + text->from);
    return is_even;
}

static tina_effect reader_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self;
    witness *seen = tina_user(ctx);
    const void *data;
    size_t size;
    label text;
    if (message->tag != TINA_TAG_TRANSFER)
        return message->tag == TINA_TAG_SHUTDOWN ? tina_done() : tina_receive();
    if (tina_transfer_read(ctx, message, &data, &size) != TINA_OK || size < sizeof text) {
        tina_test_count_up(&seen->wrong);
        return tina_receive();
    }
    memcpy(&text, data, sizeof text);
    if (is_whole(&text, data, size) && tina_test_counted(&seen->read[text.from][tina_shard(ctx)]) == text.number)
        tina_test_count_up(&seen->read[text.from][tina_shard(ctx)]);
    else
        tina_test_count_up(&seen->wrong);
    return tina_receive();
}

/* ---- Writers -------------------------------------------------------------------------------- */

typedef struct writer {
    uint64_t next[SHARDS]; /* number of the next, to each shard */
} writer;

static tina_effect writer_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size, (void)ctx;
    return tina_yield();
}

/* What was accepted is not to be refused on arrival: one at a time, so that the other shard has room for those of all. */
static bool has_room(uint8_t shard, uint64_t next, tina_ctx *ctx)
{
    witness *seen = tina_user(ctx);
    return next == tina_test_counted(&seen->read[tina_shard(ctx)][shard]);
}

static bool send_to(writer *me, uint8_t shard, tina_ctx *ctx)
{
    witness *seen = tina_user(ctx);
    tina_transfer transfer;
    void *data;
    if (me->next[shard] == seen->goal || !has_room(shard, me->next[shard], ctx))
        return false;
    if (tina_transfer_alloc(ctx, &transfer, &data, NULL) != TINA_OK)
        return false;
    label text = {.number = me->next[shard], .from = tina_shard(ctx)};
    text.size = (uint32_t)(sizeof text + tina_random(ctx) % (SIZE_MAX_HERE - sizeof text));
    memset(data, (uint8_t)(text.number + text.from), text.size);
    memcpy(data, &text, sizeof text);
    if (tina_transfer_send(ctx, tina_named(shard, NAME_READER), transfer, text.size) != TINA_OK) {
        tina_transfer_free(ctx, transfer);
        tina_test_count_up(&seen->refused);
        return false;
    }
    me->next[shard]++;
    return true;
}

static void look_at_the_others(tina_ctx *ctx)
{
    witness *seen = tina_user(ctx);
    for (uint8_t shard = 0; shard < SHARDS; shard++) {
        tina_stats stats;
        bool is_sound = tina_stats_of(ctx, shard, &stats) == TINA_OK && stats.transfers.limit == TRANSFERS &&
                        stats.transfers.used <= TRANSFERS && stats.isolates <= 2;
        if (!is_sound)
            tina_test_count_up(&seen->wrong);
    }
}

static tina_effect writer_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    writer *me = self;
    witness *seen = tina_user(ctx);
    bool is_done = true;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    look_at_the_others(ctx);
    for (uint8_t shard = 0; shard < SHARDS; shard++) {
        while (send_to(me, shard, ctx))
            continue;
        is_done = is_done && me->next[shard] == seen->goal;
    }
    if (!is_done)
        return tina_yield();
    tina_test_count_up(&seen->done);
    return tina_receive();
}

/* ---- The test -------------------------------------------------------------------------------- */

static void transfers_between_busy_shards_arrive_whole_and_in_order(void **state)
{
    (void)state;
    static witness seen;
    static const tina_type types[TYPE_COUNT] = {
        {.name = "reader", .init = reader_init, .handler = reader_handle, .size = 8, .mailbox_capacity = 64},
        {.name = "writer", .init = writer_init, .handler = writer_handle, .size = sizeof(writer)},
    };
    static const tina_child children[] = {{.type = TYPE_READER, .name = NAME_READER}, {.type = TYPE_WRITER}};
    memset(&seen, 0, sizeof seen);
    seen.goal = tina_test_is_slow() ? 2000 : 20000;
    tina_system_spec spec = {
        .types = types,
        .type_count = TYPE_COUNT,
        .root = {.children = children, .child_count = 2},
        .shard_count = SHARDS,
        .transfer_count = TRANSFERS,
        .transfer_size = SIZE_MAX_HERE,
        .user = &seen,
        .development = true,
    };
    tina_system *system = tina_test_start(&spec);
    for (uint32_t i = 0; i < SHARDS * SHARDS; i++)
        tina_test_await(&seen.read[i / SHARDS][i % SHARDS], seen.goal);
    tina_test_await(&seen.done, SHARDS);
    tina_end_report report;
    tina_test_end(system, &report);
    assert_int_equal(tina_test_counted(&seen.wrong), 0);
    assert_int_equal(report.total.transfers.used, 0);
    assert_int_equal(report.total.arrived_exhausted, 0);
    assert_int_equal(report.total.arrived_full, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transfers_between_busy_shards_arrive_whole_and_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
