/*
 * The frame of fuzz targets that parse HTTP requests. What comes is a stream of them,
 * fed whole, byte by byte, and cut by what its own bytes say, which must make no
 * difference. The target includes its parser, names its type parser (a struct with a
 * status and keeps_alive), includes this, and defines the four functions below.
 */
#ifndef TESTS_FUZZ_HTTP_STREAM_H
#define TESTS_FUZZ_HTTP_STREAM_H

#include "check.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The target's: begin a head; feed it some bytes, which says how many it took; look at what came of all. */
static void parser_begin(parser *request);
static size_t parser_feed(parser *request, const uint8_t *data, size_t size);
static void check(const parser *request, const uint8_t *data, size_t used);
/* And how many bytes follow the head before the next. */
static uint64_t parser_body_size(const parser *request);

/* Feeds one head in pieces of piece bytes; 0: as the bytes say. Returns how many were used. */
static size_t feed(parser *request, const uint8_t *data, size_t size, size_t piece)
{
    size_t used = 0;
    parser_begin(request);
    while (used < size && request->status == 0) {
        size_t next = piece != 0 ? piece : 1u + data[used] % 61u;
        if (next > size - used)
            next = size - used;
        size_t taken = parser_feed(request, data + used, next);
        CHECK(taken == next || (taken < next && request->status != 0));
        used += taken;
    }
    return used;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static parser whole, pieces;
    while (size != 0) {
        size_t used = feed(&whole, data, size, size);
        for (size_t piece = 0; piece < 2; piece++) {
            CHECK(feed(&pieces, data, size, piece) == used);
            CHECK(memcmp(&whole, &pieces, sizeof whole) == 0);
        }
        check(&whole, data, used);
        if (!whole.keeps_alive || parser_body_size(&whole) >= size - used)
            break;
        used += (size_t)parser_body_size(&whole);
        data += used;
        size -= used;
    }
    return 0;
}

#endif
