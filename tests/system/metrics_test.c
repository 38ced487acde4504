/*
 * The metrics isolate in a running system, asked over real connections, on each
 * backend: what it tells is right and well formed, and neither many scrapers, nor
 * slow, dead or rude ones, nor a fault in the program's own metrics keep the others
 * from being served.
 */
/* ctest: label stress */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/tripwire.h"
#include "support/witness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TYPE_METRICS, TYPE_WORKER, TYPE_TWIN, TYPE_TWIN_TOO, TYPE_UNUSED, TYPE_COUNT };
enum { NAME_WORKER = 1, TAG_WORK = TINA_TAG_USER, TAG_CRASH };
enum { ANSWER_MAX = 4 << 20, SCRAPERS = 4 };

#define MS_NS     1000000ull
#define PAGE_HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
#define REQUEST   "GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n"
#define LAST      "GET /metrics HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"

/* What the lines of the log said, by the one thread that writes them. */
typedef struct witness {
    tina_test_count worked, listening, cut_parts, refusals;
    _Atomic uint32_t port; /* of the listener that spoke last */
} witness;

static witness seen;

static void read_line(void *user, int shard, tina_level level, const char *line, size_t length)
{
    static const char told[] = "metrics at http://127.0.0.1:";
    (void)user, (void)shard;
    char text[TINA_LOG_LINE_MAX + 1];
    memcpy(text, line, length);
    text[length] = '\0';
    const char *port = strstr(text, told);
    if (port != NULL) {
        atomic_store(&seen.port, (uint32_t)strtoul(port + strlen(told), NULL, 10));
        tina_test_count_up(&seen.listening);
    }
    if (level == TINA_LOG_WARN && strstr(text, "of the program's own metrics has a line too many") != NULL)
        tina_test_count_up(&seen.cut_parts);
    bool is_wrong =
        strstr(text, "tina_metrics_args with an address") != NULL || strstr(text, "the address is in use") != NULL;
    if (level == TINA_LOG_ERROR && is_wrong)
        tina_test_count_up(&seen.refusals);
}

/* ---- Workers ---- */

static tina_effect worker_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size, (void)ctx;
    return tina_receive();
}

static tina_effect worker_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self, (void)ctx;
    switch (message->tag) {
    case TINA_TAG_SHUTDOWN: return tina_done();
    case TAG_CRASH: return tina_crash(1);
    default: tina_test_count_up(&seen.worked); return tina_receive();
    }
}

/* ---- Systems ---- */

typedef struct setup {
    tina_type types[TYPE_COUNT];
    tina_child children[4];
    tina_metrics_args metrics;
    tina_system_spec spec;
} setup;

#define ODD_NAME    "a \"worker\" of C:\\n\ntwo lines"
#define ODD_ESCAPED "a \\\"worker\\\" of C:\\\\n\\ntwo lines"

static setup *prepare(uint8_t backend)
{
    static setup it;
    memset(&seen, 0, sizeof seen);
    it = (setup){
        .types =
            {
                [TYPE_METRICS] = TINA_METRICS_TYPE(SCRAPERS),
                [TYPE_WORKER] = {.name = ODD_NAME, .init = worker_init, .handler = worker_handle, .size = 8},
                [TYPE_TWIN] = {.name = "twin", .init = worker_init, .handler = worker_handle, .size = 8},
                [TYPE_TWIN_TOO] =
                    {.name = "twin", .init = worker_init, .handler = worker_handle, .size = 8, .slot_count = 7},
                [TYPE_UNUSED] = {.name = "caf\xE9", .init = worker_init, .handler = worker_handle, .size = 8},
            },
        .metrics = {.address = "127.0.0.1:0"},
        .children = {{.type = TYPE_METRICS, .args = &it.metrics, .args_size = sizeof it.metrics},
                     {.type = TYPE_WORKER, .name = NAME_WORKER}},
        .spec =
            {
                .types = it.types,
                .type_count = TYPE_COUNT,
                .root = {.children = it.children, .child_count = 2},
                .shard_count = 2,
                .backend = backend,
                .log_sink = read_line,
            },
    };
    return &it;
}

static tina_system *start(const setup *it)
{
    tina_system *system = tina_test_start(&it->spec);
    tina_test_await(&seen.listening, it->spec.shard_count);
    return system;
}

/* ---- A client ---- */

static int dial_port(uint32_t port, int window)
{
    const struct timeval bound = {.tv_sec = 30};
    const struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &bound, sizeof bound), 0);
    if (window != 0)
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &window, sizeof window), 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static int dial(void) { return dial_port(atomic_load(&seen.port), 0); }

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Up to the end of the connection; how it came is in *error: 0 or an errno. */
static size_t hear(int fd, char *text, size_t size, int *error)
{
    size_t length = 0;
    ssize_t got;
    while ((got = recv(fd, text + length, size - 1 - length, 0)) > 0)
        length += (size_t)got;
    *error = got < 0 ? errno : 0;
    text[length] = '\0';
    return length;
}

/* What is asked on a connection of its own: the whole of what came, in memory that the next one overwrites. */
static char *asked(const char *request)
{
    static char text[ANSWER_MAX];
    int fd = dial(), error;
    say(fd, request);
    hear(fd, text, sizeof text, &error);
    assert_int_equal(error, 0);
    close(fd);
    return text;
}

/* Takes the next chunked answer out of a text, puts its body together in place, and returns it; *rest is what is behind. */
static char *take_page(char *text, char **rest)
{
    static const char head[] = PAGE_HEAD "Transfer-Encoding: chunked\r\n";
    assert_memory_equal(text, head, sizeof head - 1);
    char *from = strstr(text, "\r\n\r\n");
    assert_non_null(from);
    from += 4;
    char *page = from, *to = from;
    for (;;) {
        size_t size = strtoul(from, &from, 16);
        assert_memory_equal(from, "\r\n", 2);
        memmove(to, from + 2, size);
        from += 2 + size;
        assert_memory_equal(from, "\r\n", 2);
        from += 2;
        to += size;
        if (size == 0)
            break;
    }
    *to = '\0';
    *rest = from;
    return page;
}

static char *scraped(void)
{
    char *rest, *page = take_page(asked(LAST), &rest);
    assert_string_equal(rest, "");
    return page;
}

static void has_line(const char *page, const char *line)
{
    char wanted[1024];
    snprintf(wanted, sizeof wanted, "\n%s\n", line);
    if (strstr(page, wanted) == NULL)
        fail_msg("no line %s", line);
}

/* ---- Is it well formed? ---- */

static int compare_lines(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

/* One heading a family, its samples behind it and nowhere else, no sample twice, and a number at the end of each. */
static void is_well_formed(const char *page)
{
    enum { LINES_MAX = 40000 };
    static const char *keys[LINES_MAX];
    size_t count = 0;
    char *copy = strdup(page), *rest = copy, *line;
    char family[128] = "";
    assert_non_null(copy);
    assert_int_equal(page[strlen(page) - 1], '\n');
    while ((line = strsep(&rest, "\n")) != NULL && (rest != NULL || *line != '\0')) {
        if (strncmp(line, "# HELP ", 7) == 0) {
            assert_int_equal(sscanf(line, "# HELP %127s", family), 1);
            keys[count++] = line;
        } else if (strncmp(line, "# TYPE ", 7) == 0) {
            assert_memory_equal(line + 7, family, strlen(family));
            keys[count++] = line;
        } else {
            char *value = strrchr(line, ' '), *end;
            assert_non_null(value);
            assert_memory_equal(line, family, strlen(family));
            strtod(value + 1, &end);
            assert_true(end > value + 1 && *end == '\0');
            *value = '\0';
            keys[count++] = line;
        }
        assert_true(count < LINES_MAX);
    }
    qsort(keys, count, sizeof keys[0], compare_lines);
    for (size_t i = 1; i < count; i++) {
        if (strcmp(keys[i - 1], keys[i]) == 0)
            fail_msg("twice: %s", keys[i]);
    }
    free(copy);
}

/* ---- Each backend ---- */

static void each(void (*test)(uint8_t backend))
{
    uint8_t backends[2];
    size_t count = tina_test_backends(backends);
    for (size_t i = 0; i < count; i++)
        test(backends[i]);
}

/* ---- What is told ---- */

static void tells_right(uint8_t backend)
{
    tina_system *system = start(prepare(backend));
    for (uint64_t i = 1; i <= 5; i++) {
        assert_int_equal(tina_post(system, tina_named(1, NAME_WORKER), TAG_WORK, NULL, 0), TINA_OK);
        tina_test_await(&seen.worked, i);
    }
    /* Counters of another shard are as of its last tick. */
    tina_test_await_that(strstr(scraped(), "\ntina_type_dispatches_total{shard=\"1\",type=\"" ODD_ESCAPED "\"} 5\n") !=
                         NULL);
    tina_stats stats = tina_test_stats(system, 1);
    char limit[128];
    snprintf(limit, sizeof limit, "tina_pool_limit{shard=\"1\",pool=\"messages\"} %u", stats.messages.limit);
    char *page = scraped();
    is_well_formed(page);
    has_line(page, backend == TINA_BACKEND_EPOLL ? "tina_info{version=\"" TINA_VERSION "\",backend=\"epoll\"} 1"
                                                 : "tina_info{version=\"" TINA_VERSION "\",backend=\"io_uring\"} 1");
    has_line(page, "# TYPE tina_messages_sent_total counter");
    has_line(page, "tina_messages_sent_total{shard=\"1\",way=\"outside\"} 5");
    has_line(page, "tina_messages_delivered_total{shard=\"1\"} 5");
    has_line(page, "tina_shard_state{shard=\"1\",state=\"running\"} 1");
    has_line(page, "tina_shard_state{shard=\"1\",state=\"quarantined\"} 0");
    has_line(page, limit);
    has_line(page, "tina_type_dispatches_total{shard=\"1\",type=\"" ODD_ESCAPED "\"} 5");
    has_line(page, "tina_type_slots{shard=\"0\",type=\"twin\",index=\"2\"} 1");
    has_line(page, "tina_type_slots{shard=\"0\",type=\"twin\",index=\"3\"} 7");
    has_line(page, "tina_type_slots{shard=\"0\",type=\"caf?\"} 1");
    has_line(page, "# TYPE tina_type_wait_seconds histogram");
    tina_test_end(system, NULL);
}

static void counters_are_told_by_shard_and_type(void **state)
{
    (void)state;
    each(tells_right);
}

static size_t count_of(const char *page, const char *beginning)
{
    char wanted[128];
    size_t count = 0;
    snprintf(wanted, sizeof wanted, "\n%s", beginning);
    for (const char *at = page; (at = strstr(at, wanted)) != NULL; at++)
        count++;
    return count;
}

/* The largest system that a test can afford: an answer of many pieces, by buffers that hold a line. */
static void tells_much(uint8_t backend)
{
    enum { TYPES = 60 };
    static tina_type types[TYPES];
    static char names[TYPES][64];
    setup *it = prepare(backend);
    for (uint32_t i = 0; i < TYPES; i++) {
        snprintf(names[i], sizeof names[i], "%062u\"", i);
        types[i] = it->types[i == 0 ? TYPE_METRICS : TYPE_WORKER];
        types[i].name = names[i];
    }
    it->spec.types = types;
    it->spec.type_count = TYPES;
    it->spec.buffer_size = 128;
    it->spec.shard_count = 3;
    tina_system *system = start(it);
    char *page = scraped();
    is_well_formed(page);
    assert_true(strlen(page) > 500000);
    assert_int_equal(count_of(page, "# TYPE tina_") * 2, count_of(page, "# ") + 1); /* the first has no line before it */
    assert_int_equal(count_of(page, "tina_ticks_total{"), 3);
    assert_int_equal(count_of(page, "tina_pool_used{"), 3 * 7);
    static const char *const by_type[] = {"isolates",
                                          "isolates_peak",
                                          "slots",
                                          "spawns_total",
                                          "spawns_refused_total",
                                          "exits_total",
                                          "crashes_total",
                                          "faults_total",
                                          "restarts_total",
                                          "dispatches_total",
                                          "mailbox_full_total",
                                          "sample_every",
                                          "handler_seconds_sum",
                                          "handler_seconds_count",
                                          "wait_seconds_sum",
                                          "wait_seconds_count"};
    for (size_t i = 0; i < sizeof by_type / sizeof by_type[0]; i++) {
        char beginning[64];
        snprintf(beginning, sizeof beginning, "tina_type_%s{", by_type[i]);
        assert_int_equal(count_of(page, beginning), 3 * TYPES);
    }
    assert_int_equal(count_of(page, "tina_type_wait_seconds_bucket{"), 3 * TYPES * 13);
    assert_non_null(strstr(page, "tina_type_wait_seconds_count{shard=\"2\",type=\"0000000000000000000000000000000000000000"
                                 "0000000000000000000059\\\"\"}"));
    tina_test_end(system, NULL);
}

static void answer_may_be_larger_than_any_buffer(void **state)
{
    (void)state;
    each(tells_much);
}

/* ---- The program's own ---- */

static bool tell_own(tina_metrics_writer *writer, uint32_t part, void *user)
{
    static const char *const names[] = {"0", "1", "2"};
    const tina_metrics_label label = {"part", names[part]};
    if (part == 0)
        tina_metrics_family(writer, "own_things", TINA_METRICS_GAUGE, "Things.");
    tina_metrics_number(writer, &label, 1, *(const uint32_t *)user + part);
    return part < 2;
}

static bool tell_too_much(tina_metrics_writer *writer, uint32_t part, void *user)
{
    (void)user;
    char number[16];
    const tina_metrics_label label = {"n", number};
    if (part == 0)
        tina_metrics_family(writer, "own_things", TINA_METRICS_GAUGE, "Things.");
    for (uint32_t i = 0; i < 1000; i++) {
        snprintf(number, sizeof number, "%u.%u", part, i);
        tina_metrics_number(writer, &label, 1, i);
    }
    return part < 3;
}

static void tells_own(uint8_t backend)
{
    setup *it = prepare(backend);
    uint32_t things = 40;
    it->metrics.extra = tell_own;
    it->metrics.user = &things;
    tina_system *system = start(it);
    char *page = scraped();
    is_well_formed(page);
    static const char end[] = "# HELP own_things Things.\n# TYPE own_things gauge\nown_things{part=\"0\"} 40\n"
                              "own_things{part=\"1\"} 41\nown_things{part=\"2\"} 42\n";
    assert_string_equal(page + strlen(page) - strlen(end), end);
    tina_test_end(system, NULL);

    it = prepare(backend);
    it->metrics.extra = tell_too_much;
    system = start(it);
    page = scraped();
    is_well_formed(page);
    has_line(page, "own_things{n=\"3.0\"} 0");
    assert_null(strstr(page, "own_things{n=\"3.999\"}"));
    tina_test_end(system, NULL);
    assert_int_equal(tina_test_counted(&seen.cut_parts), 1); /* once an answer */
}

static void programs_own_metrics_come_last_and_are_bounded(void **state)
{
    (void)state;
    each(tells_own);
}

static _Atomic bool is_faulty;

__attribute__((no_sanitize("address", "undefined"))) static bool fault_at_times(tina_metrics_writer *writer, uint32_t part,
                                                                                void *user)
{
    (void)writer, (void)part, (void)user;
    if (atomic_load(&is_faulty))
        *(volatile int *)user = 1;
    return false;
}

/* The answer has no last chunk, so its reader knows that it is not whole. */
static void contains_faults(uint8_t backend)
{
    static char text[ANSWER_MAX];
    setup *it = prepare(backend);
    int error;
    it->metrics.extra = fault_at_times;
    tina_system *system = start(it);
    int other = dial();
    for (int i = 0; i < 20; i++) {
        atomic_store(&is_faulty, true);
        int fd = dial();
        say(fd, LAST);
        size_t length = hear(fd, text, sizeof text, &error);
        assert_true(length < 5 || memcmp(text + length - 5, "0\r\n\r\n", 5) != 0);
        close(fd);
        atomic_store(&is_faulty, false);
        is_well_formed(scraped());
    }
    say(other, LAST);
    hear(other, text, sizeof text, &error);
    char *rest, *page = take_page(text, &rest);
    has_line(page, "tina_restarts_total{shard=\"0\"} 0"); /* it was nobody's child */
    has_line(page, "tina_shard_restarts_total{shard=\"0\"} 0");
    close(other);
    tina_test_end(system, NULL);
}

static void fault_in_the_programs_own_costs_one_answer(void **state)
{
    (void)state;
    each(contains_faults);
}

/* ---- HTTP ---- */

static void speaks_http(uint8_t backend)
{
    static char text[ANSWER_MAX];
    int error;
    tina_system *system = start(prepare(backend));
    assert_string_equal(asked("HEAD /metrics HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n"),
                        PAGE_HEAD "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n");
    assert_string_equal(asked("GET /other HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n"),
                        "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n"
                        "Content-Length: 39\r\n\r\n404 Not Found: metrics are at /metrics\n");
    assert_string_equal(asked("POST /metrics HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello"),
                        "HTTP/1.1 405 Method Not Allowed\r\nContent-Type: text/plain; charset=utf-8\r\nAllow: GET, HEAD\r\n"
                        "Connection: close\r\nContent-Length: 23\r\n\r\n405 Method Not Allowed\n");
    assert_memory_equal(asked("GET /metrics HTTP/1.1\r\n\r\n"), "HTTP/1.1 400 Bad Request\r\n", 26);
    char *old = asked("GET /metrics HTTP/1.0\r\n\r\n");
    assert_memory_equal(old, PAGE_HEAD "Connection: close\r\n\r\n# HELP ", strlen(PAGE_HEAD) + 28);
    is_well_formed(strstr(old, "# HELP"));

    char *long_head = malloc(20000);
    assert_non_null(long_head);
    memset(long_head, 'x', 19999);
    memcpy(long_head, "GET /metrics HTTP/1.1\r\nX: ", 26);
    long_head[19999] = '\0';
    assert_memory_equal(asked(long_head), "HTTP/1.1 431 Request Header Fields Too Large\r\n", 46);
    free(long_head);

    int fd = dial(); /* several at once, and what is no page between two that are */
    say(fd, REQUEST "GET /no HTTP/1.1\r\nHost: t\r\n\r\n" REQUEST "HEAD /metrics HTTP/1.1\r\nHost: t\r\n\r\n" LAST);
    hear(fd, text, sizeof text, &error);
    close(fd);
    char *rest, *page = take_page(text, &rest);
    assert_memory_equal(rest, "HTTP/1.1 404 Not Found\r\n", 24);
    rest = strstr(rest, "at /metrics\n") + strlen("at /metrics\n");
    is_well_formed(page);
    page = take_page(rest, &rest);
    is_well_formed(page);
    static const char head_answer[] = PAGE_HEAD "Transfer-Encoding: chunked\r\n\r\n";
    assert_memory_equal(rest, head_answer, sizeof head_answer - 1);
    page = take_page(rest + sizeof head_answer - 1, &rest);
    is_well_formed(page);
    assert_string_equal(rest, "");
    tina_test_end(system, NULL);
}

static void requests_are_answered_as_http_wants_it(void **state)
{
    (void)state;
    each(speaks_http);
}

static void times_out(uint8_t backend)
{
    static char text[1024];
    int error;
    setup *it = prepare(backend);
    it->metrics.timeout_ns = 200 * MS_NS;
    tina_system *system = start(it);
    int fd = dial();
    say(fd, "GET /metrics HTTP/1.1\r\nHost");
    hear(fd, text, sizeof text, &error);
    assert_memory_equal(text, "HTTP/1.1 408 Request Timeout\r\n", 30);
    assert_non_null(strstr(text, "\r\nConnection: close\r\n"));
    close(fd);
    tina_test_end(system, NULL);
}

static void half_a_request_is_timed_out(void **state)
{
    (void)state;
    each(times_out);
}

/* ---- Many, and rude ones ---- */

static void serves_many(uint8_t backend)
{
    enum { MANY = 100 };
    static char text[ANSWER_MAX];
    int fds[MANY], error;
    tina_system *system = start(prepare(backend));
    for (int i = 0; i < MANY; i++) {
        fds[i] = dial();
        say(fds[i], i % 2 == 0 ? LAST : REQUEST); /* every other one would stay */
    }
    for (int i = 0; i < MANY; i++) {
        if (i % 2 != 0)
            shutdown(fds[i], SHUT_WR);
        hear(fds[i], text, sizeof text, &error);
        char *rest, *page = take_page(text, &rest);
        is_well_formed(page);
        close(fds[i]);
    }
    tina_test_end(system, NULL);
}

static void hundred_scrapers_at_once_are_all_served(void **state)
{
    (void)state;
    each(serves_many);
}

/* One that stays between its requests is left alone as long as there is room, however many come and go. */
static void keeps_the_polite(uint8_t backend)
{
    static char text[ANSWER_MAX];
    setup *it = prepare(backend);
    it->types[TYPE_METRICS] = tina_metrics_type(16);
    tina_system *system = start(it);
    int fd = dial(), error;
    say(fd, "HEAD /metrics HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_true(recv(fd, text, sizeof text, 0) > 0);
    for (int i = 0; i < 2 * TINA_METRICS_SCRAPERS_MAX; i++)
        scraped();
    say(fd, LAST);
    hear(fd, text, sizeof text, &error);
    assert_int_equal(error, 0);
    char *rest, *page = take_page(text, &rest);
    is_well_formed(page);
    assert_string_equal(rest, "");
    close(fd);
    tina_test_end(system, NULL);
}

static void idle_scraper_is_left_alone_where_there_is_room(void **state)
{
    (void)state;
    each(keeps_the_polite);
}

/* They hold every place, each in its own way, and would for as long as they are let. */
static void outlives_the_dead(uint8_t backend)
{
    setup *it = prepare(backend);
    it->metrics.timeout_ns = TINA_NONE_NS;
    it->spec.shard_count = 1;
    tina_system *system = start(it);
    int dead[SCRAPERS * 3];
    for (int i = 0; i < SCRAPERS * 3; i++) {
        static char many[64 * sizeof REQUEST];
        dead[i] = dial_port(atomic_load(&seen.port), 2048);
        for (int k = 0; k < 64; k++)
            memcpy(many + (size_t)k * (sizeof REQUEST - 1), REQUEST, sizeof REQUEST);
        if (i % 3 == 1)
            say(dead[i], "GET /metrics HTTP/1.1\r\nHo");
        else if (i % 3 == 2)
            say(dead[i], many); /* and does not read */
    }
    for (int i = 0; i < 3; i++)
        is_well_formed(scraped());
    for (int i = 0; i < SCRAPERS * 3; i++) {
        char byte;
        ssize_t got = recv(dead[i], &byte, 1, MSG_DONTWAIT);
        if (i % 3 == 0) /* the silent: if it was sent away, then with an end, not a reset */
            assert_true(got == 0 || errno == EAGAIN);
        close(dead[i]);
    }
    tina_test_end(system, NULL);
}

static void dead_scrapers_make_room(void **state)
{
    (void)state;
    each(outlives_the_dead);
}

/* A scraper that does not read holds up the end for two seconds at most: it drained, says the report. */
static void ends_beside_the_dead(uint8_t backend)
{
    setup *it = prepare(backend);
    tina_test_holdings before;
    tina_test_hold(&before);
    tina_system *system = start(it);
    int idle = dial(), half = dial(), deaf = dial_port(atomic_load(&seen.port), 2048);
    for (int i = 0; i < 200; i++)
        send(deaf, REQUEST, strlen(REQUEST), MSG_NOSIGNAL | MSG_DONTWAIT);
    say(half, "GET /met");
    is_well_formed(scraped());
    tina_test_end(system, NULL);
    close(idle);
    close(half);
    close(deaf);
    tina_test_assert_same_holdings(&before);
}

static void shutdown_does_not_wait_for_the_dead(void **state)
{
    (void)state;
    each(ends_beside_the_dead);
}

/* ---- Restarts ---- */

/* A port that is held, and shared with the listeners alone: nobody who asks for any is given it. */
static int hold_port(char *address, size_t size)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t at_size = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), is_shared = 1;
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &is_shared, sizeof is_shared), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &is_shared, sizeof is_shared), 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &at_size), 0);
    snprintf(address, size, "127.0.0.1:%u", (unsigned)ntohs(at.sin_port));
    return fd;
}

/* Its sibling takes it along; it comes back to its port, and those whom the old one had are gone. */
static void comes_back(uint8_t backend)
{
    static char address[64];
    setup *it = prepare(backend);
    int held = hold_port(address, sizeof address);
    it->metrics.address = address;
    it->spec.shard_count = 1;
    it->spec.root.strategy = TINA_ONE_FOR_ALL;
    it->spec.root.restart_max = 1000;
    tina_system *system = start(it);
    for (uint64_t round = 1; round <= 10; round++) {
        int idle[SCRAPERS - 1];
        char byte;
        for (int i = 0; i < SCRAPERS - 1; i++)
            idle[i] = dial();
        is_well_formed(scraped());
        assert_int_equal(tina_post(system, tina_named(0, NAME_WORKER), TAG_CRASH, NULL, 0), TINA_OK);
        tina_test_await(&seen.listening, round + 1);
        is_well_formed(scraped());
        for (int i = 0; i < SCRAPERS - 1; i++) {
            assert_int_equal(recv(idle[i], &byte, 1, 0), 0);
            close(idle[i]);
        }
    }
    tina_end_report report;
    tina_test_end(system, &report);
    assert_int_equal(report.total.restarts, 20);
    close(held);
}

static void restarted_listener_serves_again(void **state)
{
    (void)state;
    each(comes_back);
}

/* Both shards listen on one port. */
static void outlives_a_shard(uint8_t backend)
{
    static char address[64];
    setup *it = prepare(backend);
    int held = hold_port(address, sizeof address);
    it->metrics.address = address;
    it->spec.root.restart_max = TINA_NONE;
    it->spec.shard_restart_max = TINA_NONE;
    tina_system *system = start(it);
    assert_int_equal(tina_post(system, tina_named(0, NAME_WORKER), TAG_CRASH, NULL, 0), TINA_OK);
    tina_test_await_that(tina_test_stats(system, 0).state == TINA_SHARD_QUARANTINED);
    for (int i = 0; i < 20; i++) {
        char *page = scraped();
        is_well_formed(page);
        has_line(page, "tina_shard_state{shard=\"0\",state=\"quarantined\"} 1");
        has_line(page, "tina_shard_state{shard=\"1\",state=\"running\"} 1");
    }
    tina_stop(system);
    tina_test_join(system, NULL);
    close(held);
}

static void other_shards_go_on_where_one_is_quarantined(void **state)
{
    (void)state;
    each(outlives_a_shard);
}

static void wrong_address_refuses_the_boot(void **state)
{
    (void)state;
    static const char *const wrong[] = {NULL, "", "localhost:80", "127.0.0.1", "unix:/tmp/x", "127.0.0.1:99999"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        setup *it = prepare(TINA_BACKEND_AUTO);
        tina_system *system;
        it->metrics.address = wrong[i];
        it->spec.shard_count = 1;
        assert_int_equal(tina_start(&it->spec, &system, NULL), TINA_INIT_FAILED);
        tina_test_await(&seen.refusals, 1);
    }
    setup *it = prepare(TINA_BACKEND_AUTO);
    tina_system *system;
    it->children[0].args_size = 0;
    it->children[0].args = NULL;
    assert_int_equal(tina_start(&it->spec, &system, NULL), TINA_INIT_FAILED);
}

/* However large the budget is: no restart frees a port. */
static void taken_port_refuses_the_boot_at_once(void **state)
{
    (void)state;
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof place;
    int other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(other, (const struct sockaddr *)&place, sizeof place), 0);
    assert_int_equal(listen(other, 1), 0);
    assert_int_equal(getsockname(other, (struct sockaddr *)&place, &size), 0);
    char address[32];
    snprintf(address, sizeof address, "127.0.0.1:%u", ntohs(place.sin_port));
    setup *it = prepare(TINA_BACKEND_AUTO);
    tina_system *system;
    tina_error error;
    it->metrics.address = address;
    it->spec.shard_count = 1;
    it->spec.root.restart_max = 1000000;
    assert_int_equal(tina_start(&it->spec, &system, &error), TINA_INIT_FAILED);
    assert_non_null(strstr(error.message, "tina_metrics"));
    tina_test_await(&seen.refusals, 1);
    assert_int_equal(tina_test_counted(&seen.refusals), 1);
    close(other);
}

/* ---- Memory ---- */

static void allocates_nothing(uint8_t backend)
{
    setup *it = prepare(backend);
    uint32_t things = 1;
    it->metrics.extra = tell_own;
    it->metrics.user = &things;
    tina_system *system = start(it);
    tina_test_tripwire_exempt(true);
    tina_test_tripwire_arm();
    for (int i = 0; i < 50; i++)
        is_well_formed(scraped());
    tina_test_tripwire_disarm();
    char first[256];
    tina_test_tripwire_first(first, sizeof first);
    assert_string_equal(first, "");
    tina_test_tripwire_exempt(false);
    tina_test_end(system, NULL);
}

static void scraping_allocates_nothing(void **state)
{
    (void)state;
    each(allocates_nothing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counters_are_told_by_shard_and_type),
        cmocka_unit_test(answer_may_be_larger_than_any_buffer),
        cmocka_unit_test(programs_own_metrics_come_last_and_are_bounded),
        cmocka_unit_test(fault_in_the_programs_own_costs_one_answer),
        cmocka_unit_test(requests_are_answered_as_http_wants_it),
        cmocka_unit_test(half_a_request_is_timed_out),
        cmocka_unit_test(hundred_scrapers_at_once_are_all_served),
        cmocka_unit_test(idle_scraper_is_left_alone_where_there_is_room),
        cmocka_unit_test(dead_scrapers_make_room),
        cmocka_unit_test(shutdown_does_not_wait_for_the_dead),
        cmocka_unit_test(restarted_listener_serves_again),
        cmocka_unit_test(other_shards_go_on_where_one_is_quarantined),
        cmocka_unit_test(wrong_address_refuses_the_boot),
        cmocka_unit_test(taken_port_refuses_the_boot_at_once),
        cmocka_unit_test(scraping_allocates_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
