/*
 * The parser of examples/static_files.c, fed with anything: a stream of requests,
 * whole, byte by byte, and cut by what its own bytes say, which must make no difference.
 * And what it says yes to has to be safe to open and to send.
 */
#include "../../examples/http_request.c"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                                                    \
    do {                                                                                                                    \
        if (!(condition))                                                                                                   \
            abort();                                                                                                        \
    } while (false)

/* Feeds one head in pieces of piece bytes; 0: as the bytes say. Returns how many were used. */
static size_t feed(http_request *request, const uint8_t *data, size_t size, size_t piece)
{
    size_t used = 0;
    http_request_begin(request);
    while (used < size && request->status == 0) {
        size_t next = piece != 0 ? piece : 1u + data[used] % 61u;
        if (next > size - used)
            next = size - used;
        size_t taken = http_request_feed(request, data + used, next);
        CHECK(taken == next || (taken < next && request->status != 0));
        used += taken;
    }
    return used;
}

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

static void check(const http_request *request)
{
    CHECK(request->head_size <= HTTP_HEAD_MAX);
    CHECK(request->status == 0 || request->body_size <= HTTP_BODY_MAX);
    CHECK(request->status == 0 || request->status == 200 || (request->status >= 400 && request->status <= 505));
    if (request->status == 200)
        check_accepted(request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static http_request whole, pieces;
    while (size != 0) {
        size_t used = feed(&whole, data, size, size);
        for (size_t piece = 0; piece < 2; piece++) {
            CHECK(feed(&pieces, data, size, piece) == used);
            CHECK(memcmp(&whole, &pieces, sizeof whole) == 0);
        }
        check(&whole);
        if (!whole.keeps_alive || whole.body_size >= size - used)
            break;
        data += used + whole.body_size;
        size -= used + whole.body_size;
    }
    return 0;
}
