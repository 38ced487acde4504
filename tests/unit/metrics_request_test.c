/* The parser of the metrics isolate. That pieces make no difference and nothing breaks it, fuzz/metrics_request shows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "metrics/request.h"

#define HOST "Host: h\r\n"

/* From a block of exactly its size, so that a sanitizer sees a read beyond. */
static size_t parse(tina__request *request, const char *text, size_t size)
{
    char *exact = malloc(size + 1);
    assert_non_null(exact);
    memcpy(exact + 1, text, size);
    tina__request_begin(request);
    size_t used = tina__request_feed(request, exact + 1, size);
    free(exact);
    return used;
}

static tina__request parsed(const char *text)
{
    tina__request request;
    parse(&request, text, strlen(text));
    return request;
}

static void comes_to(const char *text, uint16_t status)
{
    tina__request request = parsed(text);
    if (request.status != status)
        fail_msg("%u instead of %u: %s", request.status, status, text);
    if (status != 200 && request.keeps_alive && status != 405)
        fail_msg("goes on after %u: %s", status, text);
}

static void keeps_alive(const char *text, bool expected)
{
    tina__request request = parsed(text);
    assert_int_equal(request.status, 200);
    if (request.keeps_alive != expected)
        fail_msg("%s: %s", expected ? "should go on" : "should be the last", text);
}

static void request_is_read_to_its_blank_line_and_no_further(void **state)
{
    (void)state;
    static const char text[] = "GET /a HTTP/1.1\r\n" HOST "\r\nGET /b HTTP/1.1\r\n";
    tina__request request;
    assert_int_equal(parse(&request, text, sizeof text - 1), strlen("GET /a HTTP/1.1\r\n" HOST "\r\n"));
    assert_int_equal(request.status, 200);
    assert_true(request.keeps_alive);
}

static void unfinished_request_wants_more(void **state)
{
    (void)state;
    static const char text[] = "\r\nGET /metrics HTTP/1.1\r\n" HOST "Accept: x/y\r\n\r\n";
    for (size_t size = 0; size < sizeof text - 1; size++) {
        tina__request request;
        assert_int_equal(parse(&request, text, size), size);
        assert_int_equal(request.status, 0);
    }
    comes_to(text, 200);
}

static void methods_are_told_apart(void **state)
{
    (void)state;
    assert_false(parsed("GET / HTTP/1.1\r\n" HOST "\r\n").is_head);
    assert_true(parsed("HEAD / HTTP/1.1\r\n" HOST "\r\n").is_head);
    comes_to("POST / HTTP/1.1\r\n" HOST "\r\n", 405);
    comes_to("get / HTTP/1.1\r\n" HOST "\r\n", 405);
    comes_to("GETTHATISMUCHLONGERTHANANYMETHOD / HTTP/1.1\r\n" HOST "\r\n", 405);
    comes_to("G(T / HTTP/1.1\r\n", 400);
    comes_to(" / HTTP/1.1\r\n", 400);
}

static void is_for(const char *target, bool expected)
{
    char text[8000];
    snprintf(text, sizeof text, "GET %s HTTP/1.1\r\n" HOST "\r\n", target);
    tina__request request = parsed(text);
    assert_int_equal(request.status, 200);
    if (tina__request_is_for(&request, "/metrics") != expected)
        fail_msg("%s %s", target, expected ? "is not found" : "is found");
}

static void page_is_known_by_its_path(void **state)
{
    (void)state;
    char query[4000] = "/metrics?";
    memset(query + strlen(query), 'a', 3000);
    is_for("/metrics", true);
    is_for("/metrics?", true);
    is_for("/metrics?name=a&b", true);
    is_for(query, true);
    is_for("http://some.host:1/metrics", true);
    is_for("http://some.host:1/metrics?x", true);
    is_for("/", false);
    is_for("/metric", false);
    is_for("/metrics/", false);
    is_for("/metricsx", false);
    is_for("metrics", false);
    is_for("*", false);
    is_for("?", false);
    is_for("http://host", false);
    is_for("http:///metrics", true);
    memset(query, '/', 1000);
    is_for(query, false);
    memset(query, 'a', 256); /* as long as what is kept, and one more */
    query[255] = '\0';
    is_for(query, false);
    query[255] = 'a';
    query[256] = '\0';
    is_for(query, false);
}

static void malformed_lines_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "GET  / HTTP/1.1\r\n",
        "GET /\x01 HTTP/1.1\r\n",
        "GET / HTTP/1.1\n",
        "GET / HTTP/1.1\r\r",
        "GET / HTTP/1.10\r\n",
        "GET / HTTP/11\r\n",
        "GET / HTTP\r\n",
        "GET /\r\n",
        "GET / HTTP/1.1\r\n: value\r\n",
        "GET / HTTP/1.1\r\nName : value\r\n",
        "GET / HTTP/1.1\r\n folded\r\n",
        "GET / HTTP/1.1\r\nName: a\nb\r\n",
        "GET / HTTP/1.1\r\nName: a\x7F\r\n",
        "GET / HTTP/1.1\r\nName: a\rb\r\n",
        "GET / HTTP/1.1\r\n" HOST "\rx",
        "\rGET",
        "GET / HTTP/1.1\r\n\r\n",       /* no host */
        "GET / HTTP/1.1\r\n" HOST HOST, /* two */
        "GET / HTTP/1.1\r\nContent-Length:\r\n",
        "GET / HTTP/1.1\r\nContent-Length: 1x\r\n",
        "GET / HTTP/1.1\r\nContent-Length: 1 1\r\n",
        "GET / HTTP/1.1\r\nContent-Length: -1\r\n",
        "GET / HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 0\r\n",
        "GET / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        comes_to(texts[i], 400);
    comes_to("GET / HTTP/2.0\r\n", 505);
    comes_to("GET / HTTP/0.9\r\n", 505);
}

static void connection_goes_on_where_both_sides_know_where_the_next_request_begins(void **state)
{
    (void)state;
    keeps_alive("GET / HTTP/1.1\r\n" HOST "\r\n", true);
    keeps_alive("GET / HTTP/1.1\r\n" HOST "Connection: upgrade, Close \r\n\r\n", false);
    keeps_alive("GET / HTTP/1.1\r\n" HOST "Connection: closer\r\n\r\n", true);
    keeps_alive("GET / HTTP/1.0\r\n\r\n", false);
    keeps_alive("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true);
    keeps_alive("GET / HTTP/1.0\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n", false);
    keeps_alive("GET / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", true);
    keeps_alive("GET / HTTP/1.1\r\n" HOST "Content-Length: \t10 \r\n\r\n", false);
    keeps_alive("GET / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", false);
}

static void head_is_bounded(void **state)
{
    (void)state;
    static char text[3 * TINA__REQUEST_HEAD_MAX];
    tina__request request;
    int start = snprintf(text, sizeof text, "GET / HTTP/1.1\r\n" HOST "X: ");
    memset(text + start, 'x', sizeof text - (size_t)start);
    assert_int_equal(parse(&request, text, sizeof text), TINA__REQUEST_HEAD_MAX);
    assert_int_equal(request.status, 431);
    memcpy(text + TINA__REQUEST_HEAD_MAX - 4, "\r\n\r\n", 4); /* just fits */
    assert_int_equal(parse(&request, text, sizeof text), TINA__REQUEST_HEAD_MAX);
    assert_int_equal(request.status, 200);
    memset(text + start, 'x', sizeof text - (size_t)start);
    memcpy(text + TINA__REQUEST_HEAD_MAX - 3, "\r\n\r\n", 4); /* just not */
    parse(&request, text, sizeof text);
    assert_int_equal(request.status, 431);
    memset(text + 4, 'x', sizeof text - 4);
    parse(&request, text, sizeof text);
    assert_int_equal(request.status, 414);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_is_read_to_its_blank_line_and_no_further),
        cmocka_unit_test(unfinished_request_wants_more),
        cmocka_unit_test(methods_are_told_apart),
        cmocka_unit_test(page_is_known_by_its_path),
        cmocka_unit_test(malformed_lines_are_refused),
        cmocka_unit_test(connection_goes_on_where_both_sides_know_where_the_next_request_begins),
        cmocka_unit_test(head_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
