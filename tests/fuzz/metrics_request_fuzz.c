/*
 * The parser of the metrics isolate, fed with anything: a stream of requests, whole,
 * byte by byte, and cut by what its own bytes say, which must make no difference.
 */
#include "../../src/metrics/request.c"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                                                    \
    do {                                                                                                                    \
        if (!(condition))                                                                                                   \
            abort();                                                                                                        \
    } while (false)

/* Feeds one head in pieces of piece bytes; 0: as the bytes say. Returns how many were used. */
static size_t feed(tina__request *request, const uint8_t *data, size_t size, size_t piece)
{
    size_t used = 0;
    tina__request_begin(request);
    while (used < size && request->status == 0) {
        size_t next = piece != 0 ? piece : 1u + data[used] % 61u;
        if (next > size - used)
            next = size - used;
        size_t taken = tina__request_feed(request, data + used, next);
        CHECK(taken == next || (taken < next && request->status != 0));
        used += taken;
    }
    return used;
}

static void check(const tina__request *request, const uint8_t *data, size_t used)
{
    CHECK(used <= TINA__REQUEST_HEAD_MAX);
    CHECK(request->status == 0 || request->status == 200 || (request->status >= 400 && request->status <= 505));
    CHECK(!request->keeps_alive || request->status == 200 || request->status == 405);
    if (request->status == 200)
        CHECK(used > 4 && memcmp(data + used - 4, "\r\n\r\n", 4) == 0);
    CHECK(!(tina__request_is_for(request, "/metrics") && tina__request_is_for(request, "/other")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static tina__request whole, pieces;
    while (size != 0) {
        size_t used = feed(&whole, data, size, size);
        for (size_t piece = 0; piece < 2; piece++) {
            CHECK(feed(&pieces, data, size, piece) == used);
            CHECK(memcmp(&whole, &pieces, sizeof whole) == 0);
        }
        check(&whole, data, used);
        if (!whole.keeps_alive)
            break;
        data += used;
        size -= used;
    }
    return 0;
}
