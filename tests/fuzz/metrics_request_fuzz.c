/* The parser of the metrics isolate, fed with anything: what it says yes to is a whole head, and for one path. */
#include "../../src/metrics/request.c"

typedef tina__request parser;
#include "http_stream.h"

static void parser_begin(parser *request) { tina__request_begin(request); }

static size_t parser_feed(parser *request, const uint8_t *data, size_t size)
{
    return tina__request_feed(request, data, size);
}

static uint64_t parser_body_size(const parser *request)
{
    (void)request;
    return 0;
}

static void check(const parser *request, const uint8_t *data, size_t used)
{
    CHECK(used <= TINA__REQUEST_HEAD_MAX);
    CHECK(request->status == 0 || request->status == 200 || (request->status >= 400 && request->status <= 505));
    CHECK(!request->keeps_alive || request->status == 200 || request->status == 405);
    if (request->status == 200)
        CHECK(used > 4 && memcmp(data + used - 4, "\r\n\r\n", 4) == 0);
    CHECK(!(tina__request_is_for(request, "/metrics") && tina__request_is_for(request, "/other")));
}
