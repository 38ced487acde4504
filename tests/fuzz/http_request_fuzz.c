/* The parser of examples/static_files.c, fed with anything: what it says yes to has to be safe to open and to send. */
#include "../../examples/http_request.c"

typedef http_request parser;
#include "http_stream.h"

static void parser_begin(parser *request) { http_request_begin(request); }

static size_t parser_feed(parser *request, const uint8_t *data, size_t size)
{
    return http_request_feed(request, data, size);
}

static uint64_t parser_body_size(const parser *request) { return request->body_size; }

static void check_span(const http_request *request, uint64_t file_size)
{
    http_span span = http_request_span(request, file_size);
    CHECK(span.status == 200 || span.status == 206 || span.status == 416);
    CHECK(span.offset <= file_size && span.size <= file_size - span.offset);
    CHECK(span.status != 200 || (span.offset == 0 && span.size == file_size));
    CHECK((span.status == 206) <= (span.size != 0));
    CHECK((span.status == 416) <= (span.size == 0));
}

static void check_accepted(const http_request *request)
{
    size_t size = strnlen(request->path, HTTP_PATH_MAX);
    CHECK(request->method == HTTP_GET || request->method == HTTP_HEAD);
    CHECK(size > 2 && size < HTTP_PATH_MAX && memcmp(request->path, "./", 2) == 0);
    CHECK(strstr(request->path, "/.") == NULL && strchr(request->path, '\\') == NULL);
    CHECK(request->path[size - 1] != '/');
    for (size_t i = 0; i < size; i++)
        CHECK((uint8_t)request->path[i] >= ' ' && request->path[i] != 0x7F);
    const uint64_t sizes[] = {0, 1, 1000, UINT64_C(1) << 32, INT64_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        check_span(request, sizes[i]);
}

static void check(const parser *request, const uint8_t *data, size_t used)
{
    (void)data, (void)used;
    CHECK(request->head_size <= HTTP_HEAD_MAX);
    CHECK(request->status == 0 || request->body_size <= HTTP_BODY_MAX);
    CHECK(request->status == 0 || request->status == 200 || (request->status >= 400 && request->status <= 505));
    if (request->status == 200)
        check_accepted(request);
}
