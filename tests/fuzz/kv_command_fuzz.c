/*
 * The parser of examples/kv, from bytes to steps, fed with anything: as much at once as
 * fits, where it is little byte by byte, and in pieces that its own bytes say, which must make no difference.
 * And whatever comes, a step is within its limits, and there is always room to go on.
 */
#include "../../examples/kv/call.c"
#include "../../examples/kv/command.c"
#include "../../examples/kv/hash.c"
#include "../../examples/kv/resp.c"
#include "../../examples/kv/session.c"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                                                    \
    do {                                                                                                                    \
        if (!(condition))                                                                                                   \
            abort();                                                                                                        \
    } while (false)

enum { PARTITIONS = 3, BYTEWISE_MAX = 1024 };

/* As a connection reads: what was taken goes, and more comes behind the rest. */
typedef struct reader {
    kv_plan plan;
    kv_client client;
    const uint8_t *data;
    size_t left, large_left;
    uint64_t seen; /* a sum of all steps, in order */
    bool has_ended;
    kv_input input;
} reader;

static void see(reader *me, const void *bytes, size_t size)
{
    me->seen = hash_bytes((hash_key){me->seen, size}, bytes, size);
}

static void see_step(reader *me, const kv_next *next, const char *text)
{
    const uint8_t *value = next->value;
    bool is_within = value >= me->input.bytes && value + next->step.value_size <= me->input.bytes + me->input.size;
    bool is_text = (const char *)value >= text && (const char *)value + next->step.value_size <= text + COMMAND_TEXT_MAX;
    CHECK(next->step.kind < STEP_KIND_COUNT);
    CHECK(next->partition < PARTITIONS);
    CHECK(next->step.key_size <= STORE_KEY_MAX);
    CHECK(next->step.value_size <= COMMAND_INPUT_MAX);
    CHECK(next->step.kind != STEP_SET || (is_within && next->step.value_size <= COMMAND_VALUE_MAX));
    CHECK(is_within || is_text || next->step.kind == STEP_TEXT || next->step.value_size == 0);
    see(me, &next->step, sizeof next->step);
    see(me, next->key, next->step.key_size);
    see(me, value, next->step.value_size);
}

static void take_large(reader *me)
{
    uint32_t there = me->input.size - me->plan.used;
    uint32_t gone = there < me->large_left ? there : (uint32_t)me->large_left;
    me->large_left -= gone;
    me->plan.used += (uint16_t)gone;
}

/* False: more is needed. */
static bool take_one(reader *me)
{
    char text[COMMAND_TEXT_MAX];
    kv_next next;
    if (me->large_left != 0) {
        take_large(me);
        return me->large_left == 0;
    }
    command_next(&me->plan, &me->client, &me->input, text, &next);
    CHECK(me->plan.used <= me->input.size);
    if (next.kind == NEXT_STEP)
        see_step(me, &next, text);
    if (next.kind == NEXT_LARGE) {
        CHECK(next.step.value_size > COMMAND_VALUE_MAX && next.step.value_size <= RESP_BULK_MAX);
        see(me, next.key, next.step.key_size);
        me->large_left = (size_t)next.step.value_size + 2;
    }
    if (next.kind == NEXT_FULL) {
        CHECK(me->plan.used != 0);
        command_forget(&me->plan, &me->input);
    }
    me->has_ended = next.kind == NEXT_END;
    return next.kind != NEXT_MORE && !me->has_ended;
}

static void fill(reader *me, size_t most)
{
    command_forget(&me->plan, &me->input);
    CHECK(me->input.size < COMMAND_INPUT_MAX); /* or it would wait for ever */
    size_t more = COMMAND_INPUT_MAX - me->input.size;
    if (more > me->left)
        more = me->left;
    if (more > most)
        more = most;
    memcpy(me->input.bytes + me->input.size, me->data, more);
    me->input.size += (uint32_t)more;
    me->data += more;
    me->left -= more;
}

/* piece 0: as the bytes say. */
static uint64_t read_all(reader *me, const uint8_t *data, size_t size, size_t piece)
{
    *me = (reader){.data = data, .left = size};
    me->client.partition_count = PARTITIONS;
    me->client.is_loading = size % 2 == 1; /* so that both are seen */
    while (me->left != 0 && !me->has_ended) {
        fill(me, piece != 0 ? piece : 1u + *me->data * 5u);
        while (take_one(me)) {
        }
    }
    return me->seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static reader me;
    uint64_t whole = read_all(&me, data, size, SIZE_MAX);
    CHECK(size > BYTEWISE_MAX || read_all(&me, data, size, 1) == whole);
    CHECK(read_all(&me, data, size, 0) == whole);
    return 0;
}
