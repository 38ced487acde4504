/* The parser of examples/static_files.c. That pieces make no difference and nothing else breaks it, fuzz/http_request shows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "../../examples/http_answer.c"
#include "../../examples/http_request.c"

#include <cmocka.h>

#define HOST "Host: h\r\n"

/* From a block of exactly its size, so that a sanitizer sees a read beyond. */
static size_t parse(http_request *request, const char *text, size_t size)
{
    char *exact = malloc(size + 1);
    assert_non_null(exact);
    memcpy(exact + 1, text, size);
    http_request_begin(request);
    size_t used = http_request_feed(request, exact + 1, size);
    free(exact);
    return used;
}

static void comes_to(const char *text, uint16_t status)
{
    http_request request;
    parse(&request, text, strlen(text));
    if (request.status != status)
        fail_msg("%u instead of %u: %s", request.status, status, text);
}

static void means(const char *target, const char *path)
{
    char text[2048];
    http_request request;
    int size = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\n" HOST "\r\n", target);
    parse(&request, text, (size_t)size);
    if (request.status != 200 || strcmp(request.path, path) != 0)
        fail_msg("%u %s instead of %s: %s", request.status, request.path, path, target);
}

static void refuses_target(const char *target, uint16_t status)
{
    char text[2048];
    snprintf(text, sizeof text, "GET %s HTTP/1.1\r\n" HOST "\r\n", target);
    comes_to(text, status);
}

/* ---- Lines ----------------------------------------------------------------------- */

static void request_is_read_to_its_blank_line_and_no_further(void **state)
{
    (void)state;
    static const char text[] = "GET /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\n";
    http_request request;
    size_t size = strlen("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_int_equal(parse(&request, text, sizeof text - 1), size);
    assert_int_equal(request.status, 200);
    assert_int_equal(request.head_size, size);
    assert_int_equal(request.method, HTTP_GET);
    assert_string_equal(request.path, "./a");
    assert_true(request.keeps_alive);
    assert_int_equal(parse(&request, text, size - 1), size - 1);
    assert_int_equal(request.status, 0);
}

static void request_line_when_malformed_is_refused(void **state)
{
    (void)state;
    comes_to("\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n", 200);
    comes_to("HEAD / HTTP/1.1\r\n" HOST "\r\n", 200);
    comes_to("\nGET / HTTP/1.1\r\n" HOST "\r\n", 400);
    comes_to("\r\rGET / HTTP/1.1\r\n" HOST "\r\n", 400);
    comes_to(" GET / HTTP/1.1\r\n" HOST "\r\n", 400);
    comes_to("GET\t/ HTTP/1.1\r\n" HOST "\r\n", 400);
    comes_to("GET  / HTTP/1.1\r\n" HOST "\r\n", 400);
    comes_to("GET / HTTP/1.1 \r\n" HOST "\r\n", 400);
    comes_to("GET /\r\n", 400);
    comes_to("GET / \r\n", 400);
    comes_to("GET / HTTP/1.1\n", 400);
    comes_to("GET / HTTP/1.1\r\r", 400);
    comes_to("G@T / HTTP/1.1\r\n", 400);
    comes_to("\x16\x03\x01\x02", 400); /* as TLS begins */
}

static void version_is_1_or_refused(void **state)
{
    (void)state;
    comes_to("GET / HTTP/1.0\r\n\r\n", 200);
    comes_to("GET / HTTP/1.9\r\n" HOST "\r\n", 200);
    comes_to("GET / HTTP/0.9\r\n", 505);
    comes_to("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505);
    comes_to("GET / http/1.1\r\n", 400);
    comes_to("GET / HTTP/1\r\n", 400);
    comes_to("GET / HTTP/11\r\n", 400);
    comes_to("GET / HTTP/1.10\r\n", 400);
    comes_to("GET / HTTP/x.y\r\n", 400);
}

static void method_is_get_head_not_allowed_or_not_known(void **state)
{
    (void)state;
    comes_to("POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\n", 405);
    comes_to("OPTIONS * HTTP/1.1\r\n" HOST "\r\n", 405);
    comes_to("CONNECT h:443 HTTP/1.1\r\n" HOST "\r\n", 405);
    comes_to("get / HTTP/1.1\r\n" HOST "\r\n", 501);
    comes_to("GETT / HTTP/1.1\r\n" HOST "\r\n", 501);
    comes_to("A-METHOD-THAT-IS-LONGER-THAN-ANY-WE-KNOW / HTTP/1.1\r\n" HOST "\r\n", 501);
}

static void field_when_malformed_is_refused(void **state)
{
    (void)state;
    comes_to("GET / HTTP/1.1\r\n" HOST "X:\r\nY: \t \r\nZ: \xC3\xA9\t;\r\n\r\n", 200);
    comes_to("GET / HTTP/1.1\r\n" HOST "X : y\r\n", 400);
    comes_to("GET / HTTP/1.1\r\n" HOST ": y\r\n", 400);
    comes_to("GET / HTTP/1.1\r\n" HOST "X y\r\n", 400);
    comes_to("GET / HTTP/1.1\r\n" HOST "X\r\n", 400);
    comes_to("GET / HTTP/1.1\r\n" HOST " X: folded\r\n", 400);
    comes_to("GET / HTTP/1.1\r\n" HOST "X: y\r\n\tfolded\r\n", 400);
    comes_to("GET / HTTP/1.1\r\n X: y\r\n" HOST, 400);
    comes_to("GET / HTTP/1.1\r\n" HOST "X: y\n", 400);
    comes_to("GET / HTTP/1.1\r\n" HOST "X: y\rz\r\n", 400);
    comes_to("GET / HTTP/1.1\r\n" HOST "X: \x7F\r\n", 400);
    comes_to("GET / HTTP/1.1\r\n" HOST "\r\r", 400);
    http_request request;
    static const char zero[] = "GET / HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n";
    parse(&request, zero, sizeof zero - 1);
    assert_int_equal(request.status, 400);
}

static void host_is_there_once(void **state)
{
    (void)state;
    comes_to("GET / HTTP/1.1\r\n\r\n", 400);
    comes_to("GET / HTTP/1.1\r\nHOST: h\r\nhost: h\r\n", 400);
    comes_to("GET / HTTP/1.0\r\nHost: h\r\nHost: h\r\n", 400);
    comes_to("GET / HTTP/1.1\r\nHost:\r\n\r\n", 200);
    comes_to("GET / HTTP/1.1\r\nHost: [::1]:8080 \r\n\r\n", 200);
    comes_to("GET / HTTP/1.1\r\nHost: a b\r\n", 400);
    comes_to("GET / HTTP/1.1\r\nHost: a/b\r\n", 400);
    comes_to("GET / HTTP/1.1\r\nHost: user@h\r\n", 400);
}

/* ---- Targets ----------------------------------------------------------------------- */

static void path_is_decoded_once_and_lies_below_the_root(void **state)
{
    (void)state;
    means("/", "./index.html");
    means("/a/", "./a/index.html");
    means("/a.txt?x=/../%00", "./a.txt");
    means("/a%20b%2Ec", "./a b.c");
    means("/%2525", "./%25");
    means("/%252e%252e/", "./%2e%2e/index.html");
    means("/%C3%A9%ff", "./\xC3\xA9\xFF");
    means("//etc/passwd", ".//etc/passwd");
    means("/a..b/c.", "./a..b/c.");
    means("http://h/a", "./a");
    means("HTTP://h:80/a/?q", "./a/index.html");
    means("http://h", "./index.html");
    means("http://h?q", "./index.html");
}

static void path_that_would_leave_the_root_is_refused(void **state)
{
    (void)state;
    static const char *const hidden[] = {"/..",  "/../", "/../etc/passwd", "/a/../../b",   "/%2e%2e/b", "/.%2E/b",      "/.",
                                         "/./a", "/a/.", "/.git/config",   "/a/.htaccess", "/...",      "http://h/../a"};
    for (size_t i = 0; i < sizeof hidden / sizeof hidden[0]; i++)
        refuses_target(hidden[i], 404);
    static const char *const malformed[] = {
        "/a%2fb", "/a%2F..%2Fb", "/..%5c..%5Cb", "/a%00.txt", "/a%0ab",  "/a%7F",     "/a%",          "/a%4",   "/a%4g",
        "/a%g4",  "/%u0041",     "/a\\b",        "/a#b",      "/a\"b",   "/a<b",      "/\xC3\xA9",    "a",      "*",
        "h:443",  "../a",        "https://h/a",  "ftp://h/a", "http://", "http:///a", "http://u@h/a", "http:/a"};
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++)
        refuses_target(malformed[i], 400);
}

/* ---- Bodies ------------------------------------------------------------------------- */

static void body_has_one_length_or_is_refused(void **state)
{
    (void)state;
    http_request request;
    static const char text[] = "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 65536\r\n\r\n";
    parse(&request, text, sizeof text - 1);
    assert_int_equal(request.status, 200);
    assert_int_equal(request.body_size, HTTP_BODY_MAX);
    assert_true(request.keeps_alive);
    comes_to("GET / HTTP/1.1\r\n" HOST "Content-Length: 65537\r\n\r\n", 413);
    comes_to("GET / HTTP/1.1\r\n" HOST "Content-Length: 184467440737095516170\r\n\r\n", 413);
    static const char *const malformed[] = {"", "+1", "-1", "0x1", "1 1", "1,1", "1;", "one"};
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++) {
        char wrong[128];
        snprintf(wrong, sizeof wrong, "GET / HTTP/1.1\r\n" HOST "Content-Length: %s\r\n\r\n", malformed[i]);
        comes_to(wrong, 400);
    }
    comes_to("GET / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 1\r\n", 400);
}

static void body_in_chunks_is_refused(void **state)
{
    (void)state;
    comes_to("GET / HTTP/1.1\r\n" HOST "Transfer-Encoding: Chunked\r\n\r\n", 411);
    comes_to("GET / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n", 501);
    comes_to("GET / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n", 501);
    comes_to("GET / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip\r\n\r\n", 400);
    comes_to("GET / HTTP/1.1\r\n" HOST "Transfer-Encoding:\r\n\r\n", 400);
    comes_to("GET / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked, identity\r\n\r\n", 400);
    comes_to("GET / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked, chunked\r\n\r\n", 400);
    comes_to("GET / HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n\r\n", 400);
    comes_to("GET / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", 400);
    comes_to("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400);
}

static void expectation_ends_the_connection_instead_of_being_met(void **state)
{
    (void)state;
    http_request request;
    static const char text[] = "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\nContent-Length: 9\r\n\r\n";
    parse(&request, text, sizeof text - 1);
    assert_int_equal(request.status, 405);
    assert_int_equal(request.body_size, 0);
    assert_false(request.keeps_alive);
    comes_to("GET / HTTP/1.1\r\n" HOST "Expect: a-miracle\r\n\r\n", 417);
}

/* ---- Connections -------------------------------------------------------------------- */

static void stays(const char *version, const char *lines, bool is_expected)
{
    char text[256];
    http_request request;
    int size = snprintf(text, sizeof text, "GET / HTTP/%s\r\n" HOST "%s\r\n", version, lines);
    parse(&request, text, (size_t)size);
    if (request.status != 200 || request.keeps_alive != is_expected)
        fail_msg("%u, keeps alive: %d: %s", request.status, request.keeps_alive, text);
}

static void connection_stays_by_version_and_field(void **state)
{
    (void)state;
    stays("1.1", "", true);
    stays("1.1", "Connection: close\r\n", false);
    stays("1.1", "Connection: upgrade ,\tCLOSE,\r\n", false);
    stays("1.1", "Connection: enclosed\r\n", true);
    stays("1.1", "Connection: keep-alive\r\nConnection: close\r\n", false);
    stays("1.0", "", false);
    stays("1.0", "Connection: Keep-Alive\r\n", true);
    stays("1.0", "Connection: keep-alive, close\r\n", false);
}

/* ---- Ranges --------------------------------------------------------------------------- */

static http_span span_of(const char *method, const char *lines, uint64_t file_size)
{
    char text[512];
    http_request request;
    int size = snprintf(text, sizeof text, "%s / HTTP/1.1\r\n" HOST "%s\r\n", method, lines);
    parse(&request, text, (size_t)size);
    assert_int_equal(request.status, 200);
    return http_request_span(&request, file_size);
}

static void brings(const char *range, uint64_t file_size, uint16_t status, uint64_t offset, uint64_t size)
{
    char field[256];
    snprintf(field, sizeof field, "Range: %s\r\n", range);
    http_span span = span_of("GET", field, file_size);
    if (span.status != status || span.offset != offset || span.size != size)
        fail_msg("%u, %llu from %llu: %s of %llu", span.status, (unsigned long long)span.size,
                 (unsigned long long)span.offset, range, (unsigned long long)file_size);
}

static void range_brings_what_there_is_of_it(void **state)
{
    (void)state;
    const uint64_t large = UINT64_C(5) << 30;
    brings("bytes=0-0", 1000, 206, 0, 1);
    brings("Bytes=10-19", 1000, 206, 10, 10);
    brings("bytes=990-", 1000, 206, 990, 10);
    brings("bytes=990-5000", 1000, 206, 990, 10);
    brings("bytes=0-18446744073709551615", 1000, 206, 0, 1000);
    brings("bytes=-1", 1000, 206, 999, 1);
    brings("bytes=-5000", 1000, 206, 0, 1000);
    brings("bytes=4294967296-4294967299", large, 206, UINT64_C(1) << 32, 4);
    brings("bytes=1000-", 1000, 416, 0, 0);
    brings("bytes=99999999999999999999999-", 1000, 416, 0, 0);
    brings("bytes=-0", 1000, 416, 0, 0);
    brings("bytes=0-", 0, 416, 0, 0);
    brings("bytes=-5", 0, 200, 0, 0);
}

static void range_that_is_none_or_not_for_us_brings_all(void **state)
{
    (void)state;
    static const char *const none[] = {"bytes=",     "bytes=-",   "bytes",     "bytes=5-4",  "bytes=1-2,4-5",
                                       "bytes=1-2,", "bytes= 1-", "bytes=1 -", "bytes=1-2x", "bytes=--1",
                                       "bytes=a-b",  "lines=1-2", "bytes 1-2", "1-2",        "bytes=+1-2",
                                       "bytes=0x1-", ""};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
        brings(none[i], 1000, 200, 0, 1000);
    assert_int_equal(span_of("GET", "Range: bytes=1-2\r\nRange: bytes=1-2\r\n", 1000).status, 200);
    assert_int_equal(span_of("GET", "If-Range: \"x\"\r\nRange: bytes=1-2\r\n", 1000).status, 200);
    assert_int_equal(span_of("HEAD", "Range: bytes=1-2\r\n", 1000).status, 200);
    assert_int_equal(span_of("GET", "", 1000).size, 1000);
}

/* ---- Bounds ------------------------------------------------------------------------------ */

static uint16_t status_of_long(const char *before, char filler, size_t count, const char *after)
{
    static char text[3 * HTTP_HEAD_MAX];
    http_request request;
    size_t size = strlen(before);
    memcpy(text, before, size);
    memset(text + size, filler, count);
    size += count;
    memcpy(text + size, after, strlen(after));
    size += strlen(after);
    parse(&request, text, size);
    assert_true(request.head_size <= HTTP_HEAD_MAX);
    return request.status;
}

static void head_when_too_long_is_refused(void **state)
{
    (void)state;
    static const char field[] = "GET / HTTP/1.1\r\nHost: h\r\nCookie: ", target[] = "GET /?";
    size_t room = HTTP_HEAD_MAX - (sizeof field - 1) - 4;
    assert_int_equal(status_of_long(field, 'x', room, "\r\n\r\n"), 200);
    assert_int_equal(status_of_long(field, 'x', room + 1, "\r\n\r\n"), 431);
    assert_int_equal(status_of_long(target, 'x', 8000, " HTTP/1.1\r\n" HOST "\r\n"), 200);
    assert_int_equal(status_of_long(target, 'x', HTTP_HEAD_MAX, ""), 414);
    assert_int_equal(status_of_long("GET /", 'x', 1011, " HTTP/1.1\r\n" HOST "\r\n"), 200);
    assert_int_equal(status_of_long("GET /", 'x', 1012, " HTTP/1.1\r\n" HOST "\r\n"), 414);
    assert_int_equal(status_of_long("GET /", '/', 1011, " HTTP/1.1\r\n" HOST "\r\n"), 200);
    assert_int_equal(status_of_long("", '\r', 1, ""), 0);
    assert_int_equal(status_of_long("", 'G', 2 * HTTP_HEAD_MAX, ""), 431);
    assert_int_equal(status_of_long("GET / HTTP/1.1\r\n" HOST "Range: ", 'x', HTTP_VALUE_MAX - 1, "\r\n\r\n"), 200);
    assert_int_equal(status_of_long("GET / HTTP/1.1\r\n" HOST "Range: ", 'x', HTTP_VALUE_MAX, "\r\n\r\n"), 431);
}

/* ---- Answers ------------------------------------------------------------------------------ */

static void answers_fit_whatever_they_tell(void **state)
{
    (void)state;
    http_request request;
    char text[HTTP_ANSWER_MAX];
    static const char head[] = "GET /a.js HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    parse(&request, head, sizeof head - 1);
    http_span span = {206, UINT64_MAX - 2, 1};
    assert_true(http_answer_file(&request, span, UINT64_MAX, false, text) < sizeof text);
    assert_string_equal(text, "HTTP/1.1 206 Partial Content\r\nConnection: keep-alive\r\n"
                              "Content-Range: bytes 18446744073709551613-18446744073709551613/18446744073709551615\r\n"
                              "Accept-Ranges: bytes\r\nContent-Type: text/javascript; charset=utf-8\r\n"
                              "Content-Length: 1\r\n\r\n");
    for (uint16_t status = 400; status < 600; status++)
        assert_true(http_answer_refusal(&request, status, UINT64_MAX, true, text) < sizeof text);
    request.method = HTTP_HEAD;
    size_t size = http_answer_refusal(&request, 416, 7, true, text);
    assert_int_equal(size, strlen(text));
    assert_string_equal(text, "HTTP/1.1 416 Range Not Satisfiable\r\nConnection: close\r\nContent-Range: bytes */7\r\n"
                              "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 26\r\n\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_is_read_to_its_blank_line_and_no_further),
        cmocka_unit_test(request_line_when_malformed_is_refused),
        cmocka_unit_test(version_is_1_or_refused),
        cmocka_unit_test(method_is_get_head_not_allowed_or_not_known),
        cmocka_unit_test(field_when_malformed_is_refused),
        cmocka_unit_test(host_is_there_once),
        cmocka_unit_test(path_is_decoded_once_and_lies_below_the_root),
        cmocka_unit_test(path_that_would_leave_the_root_is_refused),
        cmocka_unit_test(body_has_one_length_or_is_refused),
        cmocka_unit_test(body_in_chunks_is_refused),
        cmocka_unit_test(expectation_ends_the_connection_instead_of_being_met),
        cmocka_unit_test(connection_stays_by_version_and_field),
        cmocka_unit_test(range_brings_what_there_is_of_it),
        cmocka_unit_test(range_that_is_none_or_not_for_us_brings_all),
        cmocka_unit_test(head_when_too_long_is_refused),
        cmocka_unit_test(answers_fit_whatever_they_tell),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
