#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/shard.h"
#include "sim/timeline.h"
#include "support/leaks.h"
#include "support/scratch.h"
#include "support/tripwire.h"

#define SHARDS   2
#define ROUND_NS 900000u /* of which a tick may have a third */
#define START_NS 1000000000u
#define TAG      TINA_TAG_USER

/* ---- A timeline that is told a story ---------------------------------------------------------- */

enum { WORKER, CLIENT, TYPE_COUNT };
static const char *const type_names[] = {[WORKER] = "worker", [CLIENT] = "client"};
static const tina_handle nobody = {0};
static tina_handle worker; /* of shard 0 */
static tina_handle client; /* of shard 1 */

static tina__timeline *timeline;
static char path[64];
static uint8_t shard; /* whose tick it is */
static uint64_t now_ns;

static int make(void **state)
{
    (void)state;
    int os_error = -1;
    worker = tina__handle_make(0, WORKER, 3, 1);
    client = tina__handle_make(1, CLIENT, 2, 1);
    tina_test_scratch_make(path);
    assert_int_equal(tina__timeline_open(path, SHARDS, type_names, TYPE_COUNT, &timeline, &os_error), TINA_OK);
    assert_int_equal(os_error, 0);
    now_ns = START_NS - ROUND_NS;
    return 0;
}

static int end(void **state)
{
    (void)state;
    return unlink(path);
}

static char *close_and_read(void)
{
    int os_error = -1;
    assert_int_equal(tina__timeline_close(timeline, &os_error), TINA_OK);
    assert_int_equal(os_error, 0);
    return tina_test_scratch_read(path);
}

#define HEAD                                                                                                                \
    "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n"                                                                       \
    "{\"ph\":\"M\",\"pid\":1,\"tid\":1,\"name\":\"process_name\",\"args\":{\"name\":\"shard 0\"}},\n"                       \
    "{\"ph\":\"M\",\"pid\":1,\"tid\":1,\"name\":\"thread_name\",\"args\":{\"name\":\"the shard\"}},\n"                      \
    "{\"ph\":\"M\",\"pid\":2,\"tid\":2,\"name\":\"process_name\",\"args\":{\"name\":\"shard 1\"}},\n"                       \
    "{\"ph\":\"M\",\"pid\":2,\"tid\":2,\"name\":\"thread_name\",\"args\":{\"name\":\"the shard\"}}"

/* Quotes are written as ` to be read. Each event but the head's begins with a comma. */
static void timeline_is(const char *expected)
{
    char *text = close_and_read();
    size_t head = strlen(HEAD);
    char *whole = malloc(head + strlen(expected) + sizeof "\n]}\n");
    strcpy(whole, HEAD);
    for (size_t i = head; (whole[i] = expected[i - head]) != '\0'; i++) {
        if (whole[i] == '`')
            whole[i] = '"';
    }
    strcat(whole, "\n]}\n");
    tina_test_text_is(text, whole);
    free(whole);
    free(text);
}

/* The next line of a text: a copy, since to search the whole text again and again takes long. False: there is none. */
static bool next_line(const char **text, char line[1024])
{
    size_t length = strcspn(*text, "\n");
    assert_true(length < 1024);
    memcpy(line, *text, length);
    line[length] = '\0';
    bool is_line = **text != '\0';
    *text += length + ((*text)[length] == '\n');
    return is_line;
}

/* How many lines have that in them. */
static uint32_t count_of(const char *text, const char *what)
{
    char line[1024];
    uint32_t count = 0;
    while (next_line(&text, line))
        count += strstr(line, what) != NULL;
    return count;
}

/* An event's, from its line. */
static uint64_t time_of(const char *line)
{
    char *rest;
    uint64_t us = strtoull(strstr(line, "\"ts\":") + 5, &rest, 10);
    return us * 1000 + strtoull(rest + 1, NULL, 10);
}

static char phase_of(const char *line) { return strncmp(line, "{\"ph\":\"", 7) == 0 ? line[7] : '\0'; }

/* A round later. */
static void round_of(uint8_t first)
{
    shard = first;
    now_ns += ROUND_NS;
}

static void add(tina__event_kind kind, tina_handle who, uint16_t tag, uint16_t detail, uint64_t value)
{
    tina__event event, copy;
    tina__trace one;
    tina__trace_init(&one, &event, &copy, 1);
    tina__trace_add(&one, 17, kind, who, tag, detail, value);
    tina__timeline_add(timeline, shard, &event, now_ns, ROUND_NS);
}

static void add_sent(tina_handle from, tina_handle to, tina_tag tag) { add(TINA__EVENT_SENT, from, tag, 8, to.bits); }
static void add_dispatch(tina_handle self, tina_handle from, tina_tag tag)
{
    add(TINA__EVENT_DISPATCH, self, tag, 8, from.bits);
}

/* ---- Stories ------------------------------------------------------------------------------------ */

static void timeline_of_nothing_has_the_shards(void **state)
{
    (void)state;
    timeline_is("");
}

static void timeline_of_a_request_and_its_answer(void **state)
{
    (void)state;
    round_of(0);
    add(TINA__EVENT_STATE, nobody, TINA_SHARD_RUNNING, 0, 0);
    add(TINA__EVENT_INIT, worker, 0, 0, 0);
    add(TINA__EVENT_UP, worker, 0, 0, 0);
    shard = 1;
    add(TINA__EVENT_INIT, client, 0, 0, worker.bits);
    add_sent(client, worker, TAG);
    add(TINA__EVENT_UP, client, 0, 0, 0);
    round_of(0);
    add_dispatch(worker, client, TAG);
    add_sent(worker, client, TAG + 1);
    add(TINA__EVENT_DISPATCH, worker, TINA_IO_RECV, 0, TINA_CLOSED);
    add(TINA__EVENT_DISPATCH, worker, TINA_TAG_TIMER, 0, 0);
    shard = 1;
    add_dispatch(client, worker, TAG + 1);
    timeline_is(
        /* each of three events has a third of a third of 900 us */
        ",\n{`ph`:`i`,`pid`:1,`tid`:1,`ts`:1000000.000,`s`:`p`,`cat`:`shard`,`name`:`the shard is "
        "running`,`args`:{`tick`:17}}"
        ",\n{`ph`:`M`,`pid`:1,`tid`:3,`name`:`thread_name`,`args`:{`name`:`worker/3`}}"
        ",\n{`ph`:`X`,`pid`:1,`tid`:3,`ts`:1000100.000,`dur`:100.000,`cat`:`init`,`name`:`init`,`args`:{`tick`:17}}"
        ",\n{`ph`:`C`,`pid`:1,`tid`:1,`ts`:1000300.000,`name`:`isolates`,`args`:{`live`:1}}"
        /* the next shard has the third behind it; what its init sends is in its slice */
        ",\n{`ph`:`M`,`pid`:2,`tid`:4,`name`:`thread_name`,`args`:{`name`:`client/2`}}"
        ",\n{`ph`:`X`,`pid`:2,`tid`:4,`ts`:1000300.000,`dur`:200.000,`cat`:`init`,`name`:`init`,`args`:{`tick`:17,"
        "`from`:`shard 0 worker/3`}}"
        ",\n{`ph`:`C`,`pid`:2,`tid`:2,`ts`:1000600.000,`name`:`isolates`,`args`:{`live`:1}}"
        /* the arrow begins in that slice, and ends with the dispatch's */
        ",\n{`ph`:`X`,`pid`:1,`tid`:3,`ts`:1000900.000,`dur`:150.000,`cat`:`handler`,`name`:`tag 0x100`,`args`:{`tick`:17,"
        "`from`:`shard 1 client/2`,`size`:8}}"
        ",\n{`ph`:`s`,`pid`:2,`tid`:4,`ts`:1000400.000,`id`:1,`cat`:`message`,`name`:`tag 0x100`}"
        ",\n{`ph`:`f`,`pid`:1,`tid`:3,`ts`:1000900.000,`id`:1,`cat`:`message`,`name`:`tag 0x100`,`bp`:`e`}"
        ",\n{`ph`:`X`,`pid`:1,`tid`:3,`ts`:1001050.000,`dur`:75.000,`cat`:`handler`,`name`:`TINA_IO_RECV`,`args`:{`tick`:17,"
        "`status`:`TINA_CLOSED`}}"
        ",\n{`ph`:`X`,`pid`:1,`tid`:3,`ts`:1001125.000,`dur`:75.000,`cat`:`handler`,`name`:`TINA_TAG_TIMER`,`args`:{`tick`:"
        "17,"
        "`size`:0}}"
        ",\n{`ph`:`X`,`pid`:2,`tid`:4,`ts`:1001200.000,`dur`:300.000,`cat`:`handler`,`name`:`tag 0x101`,`args`:{`tick`:17,"
        "`from`:`shard 0 worker/3`,`size`:8}}"
        ",\n{`ph`:`s`,`pid`:1,`tid`:3,`ts`:1000975.000,`id`:2,`cat`:`message`,`name`:`tag 0x101`}"
        ",\n{`ph`:`f`,`pid`:2,`tid`:4,`ts`:1001200.000,`id`:2,`cat`:`message`,`name`:`tag 0x101`,`bp`:`e`}");
}

static void timeline_of_a_crash_shows_what_it_costs(void **state)
{
    (void)state;
    round_of(0);
    add_dispatch(worker, nobody, TAG);
    add(TINA__EVENT_FAULT, worker, TINA__FAULT_SIGNAL, 11, 0xBEEF);
    add(TINA__EVENT_END, worker, TINA_END_FAULT, 0, 0);
    add(TINA__EVENT_RESTART, worker, 0, 0, 250000000);
    tina__timeline_mark(timeline, 1, "the shard stalls", now_ns);
    shard = 1;
    add(TINA__EVENT_ESCALATE, nobody, 0, 0, 2);
    add(TINA__EVENT_REFUSED, client, TAG, TINA_MAILBOX_FULL, worker.bits);
    add(TINA__EVENT_ARRIVED, tina_named(1, 5), TAG, TINA_STALE_HANDLE, worker.bits);
    add(TINA__EVENT_PEER, nobody, TINA_SHARD_QUARANTINED, 0, 0);
    timeline_is(
        ",\n{`ph`:`M`,`pid`:1,`tid`:3,`name`:`thread_name`,`args`:{`name`:`worker/3`}}"
        ",\n{`ph`:`X`,`pid`:1,`tid`:3,`ts`:1000000.000,`dur`:75.000,`cat`:`handler`,`name`:`tag 0x100`,`args`:{`tick`:17,"
        "`size`:8}}"
        ",\n{`ph`:`i`,`pid`:1,`tid`:3,`ts`:1000075.000,`s`:`t`,`cat`:`fault`,`name`:`worker/3 faults: SIGSEGV`,`args`:"
        "{`tick`:17}}"
        ",\n{`ph`:`i`,`pid`:1,`tid`:3,`ts`:1000150.000,`s`:`t`,`cat`:`end`,`name`:`worker/3 ends: TINA_END_FAULT`,`args`:"
        "{`tick`:17}}"
        ",\n{`ph`:`i`,`pid`:1,`tid`:3,`ts`:1000225.000,`s`:`t`,`cat`:`supervision`,`name`:`worker/3 is to start again in "
        "250 "
        "ms`,`args`:{`tick`:17}}"
        ",\n{`ph`:`i`,`pid`:2,`tid`:2,`ts`:1000300.000,`s`:`p`,`cat`:`world`,`name`:`the shard stalls`}"
        /* there are 599,999 ns left, of which it takes no more than half */
        ",\n{`ph`:`i`,`pid`:2,`tid`:2,`ts`:1000300.001,`s`:`p`,`cat`:`supervision`,`name`:`group 2 is past its "
        "budget`,`args`:"
        "{`tick`:17}}"
        ",\n{`ph`:`M`,`pid`:2,`tid`:4,`name`:`thread_name`,`args`:{`name`:`client/2`}}"
        ",\n{`ph`:`i`,`pid`:2,`tid`:4,`ts`:1000375.000,`s`:`t`,`cat`:`refused`,`name`:`client/2 can't send tag 0x100 to "
        "shard 0 worker/3: TINA_MAILBOX_FULL`,`args`:{`tick`:17}}"
        ",\n{`ph`:`i`,`pid`:2,`tid`:2,`ts`:1000449.999,`s`:`t`,`cat`:`refused`,`name`:`name 5 does not get tag 0x100 from "
        "shard 0 worker/3: TINA_STALE_HANDLE`,`args`:{`tick`:17}}"
        ",\n{`ph`:`i`,`pid`:2,`tid`:2,`ts`:1000524.998,`s`:`p`,`cat`:`shard`,`name`:`shard 0 was wiped and is quarantined`,"
        "`args`:{`tick`:17}}");
}

static void timeline_of_a_handler_that_spawns_has_the_childs_init_within(void **state)
{
    (void)state;
    tina_handle child = tina__handle_make(0, CLIENT, 0, 1);
    tina_handle grandchild = tina__handle_make(0, CLIENT, 1, 1);
    round_of(0);
    add_dispatch(worker, nobody, TAG);
    add(TINA__EVENT_INIT, child, 0, 0, worker.bits);
    add(TINA__EVENT_INIT, grandchild, 0, 0, child.bits);
    add(TINA__EVENT_END, grandchild, TINA_END_DONE, 0, 0);
    add(TINA__EVENT_UP, child, 0, 0, 0);
    add_sent(worker, child, TAG);
    char *text = close_and_read();
    assert_int_equal(count_of(text, "\"tid\":3,\"ts\":1000000.000,\"dur\":300.000,"), 1);
    assert_int_equal(count_of(text, "\"tid\":4,\"ts\":1000050.000,\"dur\":150.000,"), 1);
    assert_int_equal(count_of(text, "\"tid\":5,\"ts\":1000100.000,\"dur\":50.000,"), 1);
    assert_int_equal(count_of(text, "\"args\":{\"live\":1}"), 1);
    free(text);
}

/* ---- Arrows --------------------------------------------------------------------------------------- */

/* One line for each: where it begins, in ns after the start. */
static void arrows_are(const char *expected)
{
    char *text = close_and_read();
    char line[1024], lines[256] = "";
    size_t length = 0;
    for (const char *at = text; next_line(&at, line);) {
        if (phase_of(line) == 's')
            length += (size_t)snprintf(lines + length, sizeof lines - length, "%llu\n",
                                       (unsigned long long)(time_of(line) - START_NS));
    }
    assert_int_equal(count_of(text, "{\"ph\":\"f\""), count_of(text, "{\"ph\":\"s\""));
    tina_test_text_is(lines, expected);
    free(text);
}

/* The worker sends as often to that address, 1 us apart. */
static void send_some(uint32_t count, tina_handle to)
{
    round_of(0);
    for (uint32_t i = 0; i < 300; i++) {
        if (i < count)
            add_sent(worker, to, TAG);
        else
            add(TINA__EVENT_UP, worker, 0, 0, 0);
    }
}

static void timeline_arrows_come_from_each_send_in_order(void **state)
{
    (void)state;
    send_some(3, client);
    round_of(1);
    for (uint32_t i = 0; i < 4; i++) /* one more than was sent */
        add_dispatch(client, worker, TAG);
    arrows_are("0\n1000\n2000\n");
}

static void timeline_arrows_do_not_come_from_what_never_arrives(void **state)
{
    (void)state;
    send_some(2, client);
    round_of(1);
    add_dispatch(client, worker, TAG + 1);
    arrows_are("");
}

static void timeline_arrows_do_not_come_from_what_is_refused(void **state)
{
    (void)state;
    send_some(2, client);
    round_of(1);
    add(TINA__EVENT_ARRIVED, client, TAG, TINA_MAILBOX_FULL, worker.bits);
    add_dispatch(client, worker, TAG);
    add_dispatch(client, worker, TAG);
    arrows_are("0\n");
}

static void timeline_arrows_to_names_find_who_bears_them(void **state)
{
    (void)state;
    tina_handle sibling = tina__handle_make(1, CLIENT, 3, 1);
    round_of(1);
    add(TINA__EVENT_INIT, client, 0, 5, 0);
    add(TINA__EVENT_UP, client, 0, 0, 0);
    add(TINA__EVENT_INIT, sibling, 0, 6, 0);
    add(TINA__EVENT_UP, sibling, 0, 0, 0);
    round_of(0);
    add_sent(worker, tina_named(1, 5), TAG);
    add_sent(worker, tina_named(1, 6), TAG);
    add_sent(worker, tina_named(1, 5), TAG);
    round_of(1);
    add_dispatch(sibling, worker, TAG);
    add_dispatch(client, worker, TAG);
    add_dispatch(client, worker, TAG);
    add_dispatch(client, worker, TAG);
    arrows_are("1000000\n900000\n1100000\n");
}

/* The client lives, and bears the name. */
static void add_named_init(tina_handle who)
{
    add(TINA__EVENT_INIT, who, 0, 5, 0);
    add(TINA__EVENT_UP, who, 0, 0, 0);
}

static void timeline_arrows_to_a_name_do_not_come_from_before_its_bearer_ended(void **state)
{
    (void)state;
    static const tina__event_kind ends[] = {TINA__EVENT_END, TINA__EVENT_WIPE};
    tina_handle next = tina__handle_make(1, CLIENT, 2, 2);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        if (i != 0) {
            assert_int_equal(end(state), 0);
            make(state);
        }
        send_some(2, tina_named(1, 5)); /* before anybody bears it: that waits in the channel */
        round_of(1);
        add_named_init(client);
        add_dispatch(client, worker, TAG);
        add(ends[i], ends[i] == TINA__EVENT_END ? client : nobody, TINA__WIPE_FAULT, 0, 0);
        add_named_init(next);
        send_some(1, tina_named(1, 5));
        round_of(1);
        add_dispatch(next, worker, TAG);
        add_dispatch(next, worker, TAG);
        arrows_are("0\n1800000\n");
    }
}

static void timeline_arrows_do_not_come_from_what_is_lost(void **state)
{
    (void)state;
    send_some(1, client);
    round_of(1);
    add(TINA__EVENT_LOST, client, TAG, 0, worker.bits);
    send_some(1, client);
    round_of(1);
    add_dispatch(client, worker, TAG);
    arrows_are("1800000\n");
}

/* ---- Times ------------------------------------------------------------------------------------------ */

/* Every event, but where arrows begin, is at or behind the one before it. */
static void assert_ordered(const char *text)
{
    char line[1024];
    uint64_t last = 0;
    while (next_line(&text, line)) {
        if (phase_of(line) == '\0' || phase_of(line) == 'M' || phase_of(line) == 's')
            continue;
        assert_true(time_of(line) >= last);
        last = time_of(line);
    }
}

static void timeline_of_ticks_beyond_their_round_stays_in_order(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 200; i++) {
        if (i % 100 == 0)
            now_ns += ROUND_NS;
        shard = i % 2;
        for (uint32_t j = 0; j < 10; j++)
            add_dispatch(shard == 0 ? worker : client, nobody, TAG);
    }
    char *text = close_and_read();
    assert_ordered(text);
    assert_int_equal(count_of(text, "\"ph\":\"X\""), 2000);
    assert_int_equal(count_of(text, "\"dur\":0.000"), 0);
    free(text);
}

static void timeline_of_a_tick_with_more_events_than_nanoseconds_has_them_all(void **state)
{
    (void)state;
    enum { COUNT = 20000 };
    round_of(0);
    for (uint32_t i = 0; i < COUNT; i++) {
        tina__event event = {.kind_and_who = (uint64_t)TINA__EVENT_DISPATCH << 56 | worker.bits, .tag = TAG};
        tina__timeline_add(timeline, 0, &event, START_NS, 5);
    }
    char *text = close_and_read();
    assert_ordered(text);
    assert_int_equal(count_of(text, "\"dur\":0.001"), COUNT);
    free(text);
}

/* ---- Limits -------------------------------------------------------------------------------------------- */

static void timeline_of_more_isolates_than_threads_has_the_last_ones_on_one(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < TINA__TIMELINE_THREADS_MAX + 2; i++) {
        round_of(0);
        add_dispatch(tina__handle_make(0, WORKER, i, 1), nobody, TAG);
    }
    round_of(1);
    add_dispatch(client, nobody, TAG);
    round_of(0);
    add_dispatch(tina__handle_make(0, WORKER, 0, 2), nobody, TAG); /* another life */
    char *text = close_and_read();
    assert_int_equal(count_of(text, "\"thread_name\",\"args\":{\"name\":\"worker/"), TINA__TIMELINE_THREADS_MAX);
    assert_int_equal(count_of(text, "\"tid\":65538,\"name\":\"thread_name\",\"args\":{\"name\":\"worker/65535\"}"), 1);
    assert_int_equal(count_of(text, "\"pid\":1,\"tid\":65539,\"name\":\"thread_name\",\"args\":{\"name\":\"all others\"}"),
                     1);
    assert_int_equal(count_of(text, "\"pid\":2,\"tid\":65540,\"name\":\"thread_name\",\"args\":{\"name\":\"all others\"}"),
                     1);
    assert_int_equal(count_of(text, "{\"ph\":\"X\",\"pid\":1,\"tid\":65539,"), 2);
    assert_int_equal(count_of(text, "{\"ph\":\"X\",\"pid\":1,\"tid\":3,"), 2);
    free(text);
}

/* ---- What comes from outside ----------------------------------------------------------------------------- */

static void timeline_escapes_the_names_of_types_and_marks(void **state)
{
    (void)state;
    static const char *const odd_names[] = {"a\"b\\c\n", NULL};
    int os_error;
    tina_handle odd = tina__handle_make(0, 0, 1, 1);
    tina_handle nameless = tina__handle_make(0, 1, 1, 1);
    assert_int_equal(tina__timeline_close(timeline, &os_error), TINA_OK);
    assert_int_equal(tina__timeline_open(path, SHARDS, odd_names, 2, &timeline, &os_error), TINA_OK);
    round_of(0);
    add_dispatch(odd, odd, TAG);
    add(TINA__EVENT_END, nameless, TINA_END_DONE, 0, 0);
    tina__timeline_mark(timeline, 1, "\"\x01\"", START_NS);
    char *text = close_and_read();
    assert_int_equal(count_of(text, "\"a\\u0022b\\u005cc\\u000a/1\""), 2);
    assert_int_equal(count_of(text, "\"name\":\"type 1/1\""), 1);
    assert_int_equal(count_of(text, "\"name\":\"type 1/1 ends: TINA_END_DONE\""), 1);
    assert_int_equal(count_of(text, "\"name\":\"\\u0022\\u0001\\u0022\""), 1);
    free(text);
}

static void timeline_of_any_bytes_is_written_to_its_end(void **state)
{
    (void)state;
    tina__prng prng;
    tina__prng_seed(&prng, 4);
    for (uint32_t i = 0; i < 20000; i++) {
        uint64_t words[3] = {tina__prng_next(&prng), tina__prng_next(&prng), tina__prng_next(&prng)};
        tina__event event;
        words[0] = words[0] << 8 >> 8 | tina__prng_below(&prng, TINA__EVENT_COUNT + 2) << 56;
        memcpy(&event, words, sizeof event);
        tina__timeline_add(timeline, (uint8_t)tina__prng_below(&prng, SHARDS), &event, now_ns += words[1] % ROUND_NS,
                           ROUND_NS);
    }
    char *text = close_and_read();
    assert_ordered(text);
    assert_string_equal(text + strlen(text) - 5, "}\n]}\n");
    free(text);
}

static char *tell_at_random(void **state, uint64_t seed)
{
    tina__prng prng;
    tina__prng_seed(&prng, seed);
    make(state);
    for (uint32_t i = 0; i < 1000; i++) {
        round_of((uint8_t)(i % SHARDS));
        for (uint64_t left = tina__prng_below(&prng, 20); left != 0; left--)
            add((tina__event_kind)tina__prng_below(&prng, TINA__EVENT_COUNT), shard == 0 ? worker : client, TAG, 0,
                shard == 0 ? client.bits : worker.bits);
    }
    char *text = close_and_read();
    assert_int_equal(end(state), 0);
    return text;
}

static void timeline_of_the_same_story_is_the_same(void **state)
{
    char *first = tell_at_random(state, 1);
    char *second = tell_at_random(state, 1);
    char *other = tell_at_random(state, 2);
    assert_string_equal(first, second);
    assert_string_not_equal(first, other);
    free(first);
    free(second);
    free(other);
}

static void timeline_asks_for_no_memory_once_it_is_open(void **state)
{
    (void)state;
    if (!tina_test_tripwire_works())
        skip();
    tina_test_tripwire_arm();
    for (uint32_t i = 0; i < 2000; i++) {
        round_of((uint8_t)(i % SHARDS));
        add_dispatch(shard == 0 ? worker : client, shard == 0 ? client : worker, TAG);
        add_sent(shard == 0 ? worker : client, shard == 0 ? client : worker, TAG);
        tina__timeline_mark(timeline, shard, "something", now_ns);
    }
    tina_test_tripwire_disarm();
    assert_int_equal(tina_test_tripwire_hits(), 0);
    free(close_and_read());
}

static void timeline_open_where_it_can_not_be_says_why(void **state)
{
    (void)state;
    int os_error = 0;
    size_t fds = tina_test_fd_count();
    assert_int_equal(tina__timeline_open("/tmp/tina-test-no-such-directory/timeline", SHARDS, type_names, TYPE_COUNT,
                                         &timeline, &os_error),
                     TINA_NOT_FOUND);
    assert_int_equal(os_error, ENOENT);
    assert_null(timeline);
    assert_int_equal(tina_test_fd_count(), fds);
}

static void timeline_on_a_full_disk_says_so_when_closed(void **state)
{
    (void)state;
    for (uint32_t round_count = 0; round_count < 20000; round_count += 9999) {
        int os_error = 0;
        now_ns = START_NS;
        assert_int_equal(tina__timeline_open("/dev/full", SHARDS, type_names, TYPE_COUNT, &timeline, &os_error), TINA_OK);
        for (uint32_t i = 0; i < round_count; i++) {
            round_of(0);
            add_dispatch(worker, nobody, TAG);
        }
        assert_int_equal(tina__timeline_close(timeline, &os_error), TINA_DISK_FULL);
        assert_int_equal(os_error, ENOSPC);
    }
}

static void timeline_close_of_none_is_well(void **state)
{
    (void)state;
    int os_error = 1;
    assert_int_equal(tina__timeline_close(NULL, &os_error), TINA_OK);
    assert_int_equal(os_error, 0);
}

#define TOLD(test) cmocka_unit_test_setup_teardown(test, make, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TOLD(timeline_of_nothing_has_the_shards),
        TOLD(timeline_of_a_request_and_its_answer),
        TOLD(timeline_of_a_crash_shows_what_it_costs),
        TOLD(timeline_of_a_handler_that_spawns_has_the_childs_init_within),
        TOLD(timeline_arrows_come_from_each_send_in_order),
        TOLD(timeline_arrows_do_not_come_from_what_never_arrives),
        TOLD(timeline_arrows_do_not_come_from_what_is_refused),
        TOLD(timeline_arrows_do_not_come_from_what_is_lost),
        TOLD(timeline_arrows_to_names_find_who_bears_them),
        TOLD(timeline_arrows_to_a_name_do_not_come_from_before_its_bearer_ended),
        TOLD(timeline_of_ticks_beyond_their_round_stays_in_order),
        TOLD(timeline_of_a_tick_with_more_events_than_nanoseconds_has_them_all),
        TOLD(timeline_of_more_isolates_than_threads_has_the_last_ones_on_one),
        TOLD(timeline_escapes_the_names_of_types_and_marks),
        TOLD(timeline_of_any_bytes_is_written_to_its_end),
        TOLD(timeline_asks_for_no_memory_once_it_is_open),
        cmocka_unit_test(timeline_of_the_same_story_is_the_same),
        cmocka_unit_test(timeline_open_where_it_can_not_be_says_why),
        cmocka_unit_test(timeline_on_a_full_disk_says_so_when_closed),
        cmocka_unit_test(timeline_close_of_none_is_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
