#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/prng.h"
#include "core/shard.h"
#include "core/trace.h"
#include "support/guard.h"

/* ---- The ring ----------------------------------------------------------------------------- */

#define COUNT 8

static tina__trace trace;
static tina_test_guard events, dump;

static void make(void)
{
    events = tina_test_guard_make(COUNT * sizeof(tina__event), 8);
    dump = tina_test_guard_make(COUNT * sizeof(tina__event), 8);
    tina__trace_init(&trace, events.data, dump.data, COUNT);
}

static void end(void)
{
    tina_test_guard_free(&events);
    tina_test_guard_free(&dump);
}

/* Events that are numbered in their value. */
static void add(uint32_t count)
{
    tina_handle who = {0};
    for (uint32_t i = 0; i < count; i++)
        tina__trace_add(&trace, 0, TINA__EVENT_UP, who, 0, 0, tina__trace_written(&trace));
}

/* The dump holds the events from first on. */
static void assert_dumped(uint64_t first, uint32_t count)
{
    assert_true(atomic_load(&trace.is_dumping));
    assert_int_equal(trace.dump_first, first);
    assert_int_equal(trace.dump_count, count);
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(trace.dump[i].value, first + i);
}

static void trace_add_keeps_what_it_was_given(void **state)
{
    (void)state;
    make();
    tina_handle who = tina__handle_make(7, 254, 0xFFFFF, 0xFFFFFFF);
    tina__trace_add(&trace, 0x100000011, TINA__EVENT_DOWN, who, 0xFFFF, 0xFFFE, UINT64_MAX);
    const tina__event *event = tina__trace_at(&trace, 0);
    assert_non_null(event);
    assert_int_equal(tina__event_kind_of(event), TINA__EVENT_DOWN);
    assert_int_equal(tina__event_type(event), 254);
    assert_int_equal(tina__event_slot(event), 0xFFFFF);
    assert_false(tina__event_is_shards(event));
    assert_int_equal(event->tick, 0x11);
    assert_int_equal(event->tag, 0xFFFF);
    assert_int_equal(event->detail, 0xFFFE);
    assert_int_equal(event->value, UINT64_MAX);
    end();
}

static void trace_add_of_nobody_is_the_shards(void **state)
{
    (void)state;
    make();
    tina_handle nobody = {0};
    tina__trace_add(&trace, 1, TINA__EVENT_STATE, nobody, TINA_SHARD_RUNNING, 0, 0);
    assert_true(tina__event_is_shards(tina__trace_at(&trace, 0)));
    assert_int_equal(tina__event_kind_of(tina__trace_at(&trace, 0)), TINA__EVENT_STATE);
    end();
}

static void trace_at_knows_the_latest_events_alone(void **state)
{
    (void)state;
    make();
    for (uint64_t written = 0; written < 5 * COUNT; written++) {
        uint64_t oldest = written > COUNT ? written - COUNT : 0;
        for (uint64_t i = 0; i < written + 3; i++) {
            const tina__event *event = tina__trace_at(&trace, i);
            if (i < oldest || i >= written) {
                assert_null(event);
            } else {
                assert_non_null(event);
                assert_int_equal(event->value, i);
            }
        }
        assert_null(tina__trace_at(&trace, UINT64_MAX));
        add(1);
    }
    end();
}

static void trace_of_one_event_holds_the_latest(void **state)
{
    (void)state;
    tina__event one, copy;
    tina__trace_init(&trace, &one, &copy, 1);
    add(3);
    assert_null(tina__trace_at(&trace, 1));
    assert_int_equal(tina__trace_at(&trace, 2)->value, 2);
    assert_true(tina__trace_dump(&trace, UINT32_MAX));
    assert_dumped(2, 1);
}

static void trace_dump_copies_the_latest(void **state)
{
    (void)state;
    static const struct {
        uint32_t written, most;
        uint64_t first;
        uint32_t count;
    } cases[] = {
        {0, 4, 0, 0},
        {3, 4, 0, 3},
        {3, 2, 1, 2},
        {3, 0, 3, 0},
        {COUNT, COUNT, 0, COUNT},
        {COUNT + 1, COUNT, 1, COUNT},
        {COUNT + 3, 4, COUNT - 1, 4},
        {5 * COUNT + 5, UINT32_MAX, 4 * COUNT + 5, COUNT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        make();
        add(cases[i].written);
        assert_true(tina__trace_dump(&trace, cases[i].most));
        assert_dumped(cases[i].first, cases[i].count);
        end();
    }
}

static void trace_dump_while_one_is_unread_refuses(void **state)
{
    (void)state;
    make();
    add(2);
    assert_true(tina__trace_dump(&trace, COUNT));
    add(2 * COUNT);
    assert_false(tina__trace_dump(&trace, COUNT));
    assert_dumped(0, 2);
    atomic_store(&trace.is_dumping, false);
    assert_true(tina__trace_dump(&trace, COUNT));
    assert_dumped(COUNT + 2, COUNT);
    end();
}

/* ---- Words --------------------------------------------------------------------------------- */

#define SHARD 3

enum { WORKER, CLIENT, NAMELESS, TYPE_COUNT };
static const char *const type_names[] = {[WORKER] = "worker", [CLIENT] = "client", [NAMELESS] = NULL};

static const tina_handle nobody = {0};
static tina_handle worker;    /* 3, of this shard */
static tina_handle neighbour; /* client 2, of this shard */
static tina_handle stranger;  /* client 2, of shard 1 */

static int name_isolates(void **state)
{
    (void)state;
    worker = tina__handle_make(SHARD, WORKER, 3, 9);
    neighbour = tina__handle_make(SHARD, CLIENT, 2, 1);
    stranger = tina__handle_make(1, CLIENT, 2, 1);
    return 0;
}

static tina__event event_of(tina__event_kind kind, tina_handle who, uint16_t tag, uint16_t detail, uint64_t value)
{
    tina__event event, copy;
    tina__trace one;
    tina__trace_init(&one, &event, &copy, 1);
    tina__trace_add(&one, 17, kind, who, tag, detail, value);
    return event;
}

static void expect(const char *expected, tina__event_kind kind, tina_handle who, unsigned tag, unsigned detail,
                   uint64_t value)
{
    char text[TINA_LOG_LINE_MAX];
    tina__event event = event_of(kind, who, (uint16_t)tag, (uint16_t)detail, value);
    size_t length = tina__event_format(&event, SHARD, type_names, TYPE_COUNT, text, sizeof text);
    assert_string_equal(text, expected);
    assert_int_equal(length, strlen(expected));
}

static void event_format_dispatch_says_what_came_and_from_whom(void **state)
{
    (void)state;
    expect("tick 17: worker/3 handles TINA_TAG_TIMER", TINA__EVENT_DISPATCH, worker, TINA_TAG_TIMER, 0, 0);
    expect("tick 17: worker/3 handles tag 0x100 from client/2 (1 byte)", TINA__EVENT_DISPATCH, worker, TINA_TAG_USER, 1,
           neighbour.bits);
    expect("tick 17: worker/3 handles tag 0x100 from shard 1 client/2 (8 bytes)", TINA__EVENT_DISPATCH, worker,
           TINA_TAG_USER, 8, stranger.bits);
    expect("tick 17: worker/3 handles TINA_IO_RECV: TINA_CLOSED", TINA__EVENT_DISPATCH, worker, TINA_IO_RECV, 56,
           TINA_CLOSED);
    expect("tick 17: worker/3 handles TINA_IO_ACCEPT: TINA_OK", TINA__EVENT_DISPATCH, worker, TINA_IO_ACCEPT, 56, TINA_OK);
}

static void event_format_life_of_an_isolate(void **state)
{
    (void)state;
    expect("tick 17: worker/3 runs its init", TINA__EVENT_INIT, worker, 0, 0, 0);
    expect("tick 17: worker/3 runs its init, spawned by client/2", TINA__EVENT_INIT, worker, 0, 0, neighbour.bits);
    expect("tick 17: worker/3 is up", TINA__EVENT_UP, worker, 0, 0, 0);
    expect("tick 17: worker/3 ends: TINA_END_DONE", TINA__EVENT_END, worker, TINA_END_DONE, 0, 0);
    expect("tick 17: worker/3 ends: TINA_END_CRASH, reason 7", TINA__EVENT_END, worker, TINA_END_CRASH, 7, 0);
    expect("tick 17: worker/3 is told of the end of shard 1 client/2: TINA_END_SHARD", TINA__EVENT_DOWN, worker,
           TINA_END_SHARD, 0, stranger.bits);
}

static void event_format_refusals_name_both_sides_and_the_status(void **state)
{
    (void)state;
    expect("tick 17: worker/3 can't send tag 0x1ff to shard 1 name 5: TINA_CHANNEL_FULL", TINA__EVENT_REFUSED, worker, 0x1FF,
           TINA_CHANNEL_FULL, tina_named(1, 5).bits);
    expect("tick 17: worker/3 can't send tag 0x100 to nobody: TINA_STALE_HANDLE", TINA__EVENT_REFUSED, worker, TINA_TAG_USER,
           TINA_STALE_HANDLE, 0);
    expect("tick 17: worker/3 does not get tag 0x100 from shard 1 client/2: TINA_MAILBOX_FULL", TINA__EVENT_ARRIVED, worker,
           TINA_TAG_USER, TINA_MAILBOX_FULL, stranger.bits);
    expect("tick 17: name 5 does not get tag 0x100: TINA_STALE_HANDLE", TINA__EVENT_ARRIVED, tina_named(SHARD, 5),
           TINA_TAG_USER, TINA_STALE_HANDLE, 0);
    expect("tick 17: worker/3 does not get tag 0x100 from shard 1 client/2: it is lost", TINA__EVENT_LOST, worker,
           TINA_TAG_USER, 0, stranger.bits);
}

static void event_format_io_says_the_operation_and_its_descriptor(void **state)
{
    (void)state;
    expect("tick 17: worker/3 submits TINA_IO_SEND on descriptor 6", TINA__EVENT_IO, worker, TINA_IO_SEND, 0,
           tina__word_make(SHARD, 6, 44));
}

static void event_format_faults_say_how_and_where(void **state)
{
    (void)state;
    expect("tick 17: worker/3 faults: SIGSEGV, pc 0xbeef", TINA__EVENT_FAULT, worker, TINA__FAULT_SIGNAL, 11, 0xBEEF);
    expect("tick 17: worker/3 faults: SIGFPE", TINA__EVENT_FAULT, worker, TINA__FAULT_SIGNAL, 8, 0);
    expect("tick 17: worker/3 faults: abort(), pc 0x1", TINA__EVENT_FAULT, worker, TINA__FAULT_ABORT, 0, 1);
    expect("tick 17: worker/3 faults: killed by the watchdog, pc 0x1", TINA__EVENT_FAULT, worker, TINA__FAULT_KILLED, 0, 1);
    expect("tick 17: the shard faults: a broken invariant", TINA__EVENT_FAULT, nobody, TINA__FAULT_BROKEN, 0, 0);
}

static void event_format_restarts_say_when(void **state)
{
    (void)state;
    expect("tick 17: worker/3 is to start again", TINA__EVENT_RESTART, worker, 0, 0, 0);
    expect("tick 17: worker/3 is to start again in 250 ms", TINA__EVENT_RESTART, worker, 0, 0, 250000000);
    expect("tick 17: worker/3 is to start again in 1001 ns", TINA__EVENT_RESTART, worker, 0, 0, 1001);
    expect("tick 17: group 2 is to start again in 3000 s", TINA__EVENT_RESTART, nobody, 1, 2, 3000000000000);
}

static void event_format_groups_by_index(void **state)
{
    (void)state;
    expect("tick 17: group 4 is ended", TINA__EVENT_GROUP_END, nobody, 0, 0, 4);
    expect("tick 17: group 4 is past its budget", TINA__EVENT_ESCALATE, nobody, 0, 0, 4);
    expect("tick 17: the root group is up", TINA__EVENT_GROUP_UP, nobody, 0, 0, TINA__GROUP_ROOT);
}

static void event_format_shards(void **state)
{
    (void)state;
    expect("tick 17: the shard is coming up", TINA__EVENT_STATE, nobody, TINA_SHARD_INIT, 0, 0);
    expect("tick 17: the shard is running", TINA__EVENT_STATE, nobody, TINA_SHARD_RUNNING, 0, 0);
    expect("tick 17: the shard is quarantined", TINA__EVENT_STATE, nobody, TINA_SHARD_QUARANTINED, 0, 0);
    expect("tick 17: the shard is draining", TINA__EVENT_STATE, nobody, TINA_SHARD_DRAINING, 0, 0);
    expect("tick 17: the shard has ended", TINA__EVENT_STATE, nobody, TINA_SHARD_ENDED, 0, 0);
    expect("tick 17: the shard is wiped: the root group is past its budget", TINA__EVENT_WIPE, nobody, TINA__WIPE_BUDGET, 0,
           0);
    expect("tick 17: the shard is wiped: a fault", TINA__EVENT_WIPE, nobody, TINA__WIPE_FAULT, 0, 0);
    expect("tick 17: the shard is wiped: damaged memory", TINA__EVENT_WIPE, nobody, TINA__WIPE_DAMAGE, 0, 0);
    expect("tick 17: shard 1 was wiped and is running", TINA__EVENT_PEER, nobody, TINA_SHARD_RUNNING, 0, 1);
}

static void event_format_of_unknown_numbers_writes_them(void **state)
{
    (void)state;
    tina_handle of_no_type = tina__handle_make(SHARD, 200, 3, 1);
    tina_handle of_no_name = tina__handle_make(SHARD, NAMELESS, 3, 1);
    expect("tick 17: type 200/3 is up", TINA__EVENT_UP, of_no_type, 0, 0, 0);
    expect("tick 17: type 2/3 is up", TINA__EVENT_UP, of_no_name, 0, 0, 0);
    expect("tick 17: worker/3: event 0, tag 0x1, detail 2, value 0x3", TINA__EVENT_NONE, worker, 1, 2, 3);
    expect("tick 17: the shard: event 20, tag 0x1, detail 2, value 0x3", TINA__EVENT_COUNT, nobody, 1, 2, 3);
    expect("tick 17: the shard: event 255, tag 0x1, detail 2, value 0x3", (tina__event_kind)255, nobody, 1, 2, 3);
    expect("tick 17: worker/3 handles tag 0xa", TINA__EVENT_DISPATCH, worker, 0xa, 0, 0);
    expect("tick 17: worker/3 handles TINA_IO_UNLINK: status 18446744073709551615", TINA__EVENT_DISPATCH, worker, 0x1F, 0,
           UINT64_MAX);
    expect("tick 17: worker/3 handles tag 0xffff (65535 bytes)", TINA__EVENT_DISPATCH, worker, 0xFFFF, 0xFFFF, 0);
    expect("tick 17: worker/3 can't send tag 0x0 to nobody: status 23", TINA__EVENT_REFUSED, worker, 0, 23, 0);
    expect("tick 17: worker/3 ends: end 7, reason 300", TINA__EVENT_END, worker, 7, 300, 0);
    expect("tick 17: worker/3 faults: kind 0, signal 11", TINA__EVENT_FAULT, worker, TINA__FAULT_NONE, 11, 0);
    expect("tick 17: worker/3 faults: kind 65535, signal 65535", TINA__EVENT_FAULT, worker, 0xFFFF, 0xFFFF, 0);
    expect("tick 17: the shard is in state 5", TINA__EVENT_STATE, nobody, 5, 0, 0);
    expect("tick 17: the shard is wiped: reason 0", TINA__EVENT_WIPE, nobody, 0, 0, 0);
    expect("tick 17: shard 18446744073709551615 was wiped and is in state 65535", TINA__EVENT_PEER, nobody, 0xFFFF, 0,
           UINT64_MAX);
    expect("tick 17: group 18446744073709551615 is up", TINA__EVENT_GROUP_UP, nobody, 0, 0, UINT64_MAX);
}

static void event_format_of_a_full_log_line_fits(void **state)
{
    (void)state;
    char name[64];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    const char *const names[] = {name};
    tina_handle last = tina__handle_make(254, 0, 0xFFFFF, 1);
    tina__event event = event_of(TINA__EVENT_ARRIVED, last, 0xFFFF, 0xFFFF, last.bits);
    event.tick = UINT32_MAX;
    assert_in_range(tina__event_format(&event, 0, names, 1, NULL, 0), 64, TINA_LOG_LINE_MAX - 3);
}

static void event_format_into_any_size_cuts_and_tells_the_whole_length(void **state)
{
    (void)state;
    char whole[TINA_LOG_LINE_MAX];
    tina__event event = event_of(TINA__EVENT_REFUSED, worker, TINA_TAG_USER, TINA_CHANNEL_FULL, stranger.bits);
    size_t length = tina__event_format(&event, SHARD, type_names, TYPE_COUNT, whole, sizeof whole);
    assert_int_equal(tina__event_format(&event, SHARD, type_names, TYPE_COUNT, NULL, 0), length);
    for (size_t size = 1; size <= length + 2; size++) {
        tina_test_guard guard = tina_test_guard_make(size, 1);
        char *text = guard.data;
        assert_int_equal(tina__event_format(&event, SHARD, type_names, TYPE_COUNT, text, size), length);
        size_t kept = size <= length ? size - 1 : length;
        assert_memory_equal(text, whole, kept);
        assert_int_equal(text[kept], '\0');
        tina_test_guard_free(&guard);
    }
}

static void tag_format_names_the_runtimes_tags(void **state)
{
    (void)state;
    static const struct {
        tina_tag tag;
        const char *name;
    } tags[] = {
        {TINA_TAG_CALL_FAILED, "TINA_TAG_CALL_FAILED"},
        {TINA_TAG_TIMER, "TINA_TAG_TIMER"},
        {TINA_TAG_SHUTDOWN, "TINA_TAG_SHUTDOWN"},
        {TINA_TAG_TRANSFER, "TINA_TAG_TRANSFER"},
        {TINA_TAG_SHARD_RESTARTED, "TINA_TAG_SHARD_RESTARTED"},
        {TINA_TAG_SHARD_QUARANTINED, "TINA_TAG_SHARD_QUARANTINED"},
        {TINA_TAG_DOWN, "TINA_TAG_DOWN"},
        {TINA_TAG_RESUME, "TINA_TAG_RESUME"},
        {TINA_IO_ACCEPT, "TINA_IO_ACCEPT"},
        {TINA_IO_CONNECT, "TINA_IO_CONNECT"},
        {TINA_IO_SEND, "TINA_IO_SEND"},
        {TINA_IO_RECV, "TINA_IO_RECV"},
        {TINA_IO_CLOSE, "TINA_IO_CLOSE"},
        {TINA_TAG_FD, "TINA_TAG_FD"},
        {TINA_IO_READ, "TINA_IO_READ"},
        {TINA_IO_WRITE, "TINA_IO_WRITE"},
        {TINA_IO_SENDTO, "TINA_IO_SENDTO"},
        {TINA_IO_RECVFROM, "TINA_IO_RECVFROM"},
        {TINA_IO_SENDFILE, "TINA_IO_SENDFILE"},
        {TINA_IO_OPEN, "TINA_IO_OPEN"},
        {TINA_IO_SYNC, "TINA_IO_SYNC"},
        {TINA_IO_STAT, "TINA_IO_STAT"},
        {TINA_IO_TRUNCATE, "TINA_IO_TRUNCATE"},
        {TINA_IO_RENAME, "TINA_IO_RENAME"},
        {TINA_IO_UNLINK, "TINA_IO_UNLINK"},
        {0, "tag 0x0"},
        {TINA_TAG_FD + 1, "tag 0xa"},
        {TINA_TAG_USER, "tag 0x100"},
        {UINT16_MAX, "tag 0xffff"},
    };
    for (size_t i = 0; i < sizeof tags / sizeof tags[0]; i++) {
        char text[64];
        assert_int_equal(tina__tag_format(tags[i].tag, text, sizeof text), strlen(tags[i].name));
        assert_string_equal(text, tags[i].name);
        assert_int_equal(tina__tag_format(tags[i].tag, NULL, 0), strlen(tags[i].name));
        char one[1] = {'x'};
        tina__tag_format(tags[i].tag, one, 1);
        assert_int_equal(one[0], '\0');
    }
}

/* ---- Whatever the bytes are ------------------------------------------------------------------ */

static void event_format_of_any_bytes_stays_in_bounds(void **state)
{
    (void)state;
    tina__prng prng;
    tina__prng_seed(&prng, 20);
    tina_test_guard names = tina_test_guard_make(sizeof type_names, 8); /* a type too far faults */
    memcpy(names.data, type_names, sizeof type_names);
    tina_test_guard texts = tina_test_guard_make(TINA_LOG_LINE_MAX, 1);
    for (uint32_t i = 0; i < 200000; i++) {
        uint64_t words[3] = {tina__prng_next(&prng), tina__prng_next(&prng), tina__prng_next(&prng)};
        tina__event event;
        memcpy(&event, words, sizeof event);
        if (i % 4 != 0) /* mostly kinds that there are, with tags and details near those that there are */
            event.kind_and_who = event.kind_and_who >> 8 | (uint64_t)(i % (TINA__EVENT_COUNT + 1)) << 56;
        if (i % 3 != 0)
            event.tag %= 0x120, event.detail %= 32;
        size_t size = i % TINA_LOG_LINE_MAX;
        char *text = (char *)texts.data + TINA_LOG_LINE_MAX - size;
        size_t length = tina__event_format(&event, SHARD, names.data, TYPE_COUNT, text, size);
        assert_true(length < TINA_LOG_LINE_MAX);
        if (size != 0)
            assert_int_equal(strlen(text), length < size ? length : size - 1);
    }
    tina_test_guard_free(&names);
    tina_test_guard_free(&texts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trace_add_keeps_what_it_was_given),
        cmocka_unit_test(trace_add_of_nobody_is_the_shards),
        cmocka_unit_test(trace_at_knows_the_latest_events_alone),
        cmocka_unit_test(trace_of_one_event_holds_the_latest),
        cmocka_unit_test(trace_dump_copies_the_latest),
        cmocka_unit_test(trace_dump_while_one_is_unread_refuses),
        cmocka_unit_test(event_format_dispatch_says_what_came_and_from_whom),
        cmocka_unit_test(event_format_life_of_an_isolate),
        cmocka_unit_test(event_format_refusals_name_both_sides_and_the_status),
        cmocka_unit_test(event_format_io_says_the_operation_and_its_descriptor),
        cmocka_unit_test(event_format_faults_say_how_and_where),
        cmocka_unit_test(event_format_restarts_say_when),
        cmocka_unit_test(event_format_groups_by_index),
        cmocka_unit_test(event_format_shards),
        cmocka_unit_test(event_format_of_unknown_numbers_writes_them),
        cmocka_unit_test(event_format_of_a_full_log_line_fits),
        cmocka_unit_test(event_format_into_any_size_cuts_and_tells_the_whole_length),
        cmocka_unit_test(tag_format_names_the_runtimes_tags),
        cmocka_unit_test(event_format_of_any_bytes_stays_in_bounds),
    };
    return cmocka_run_group_tests(tests, name_isolates, NULL);
}
