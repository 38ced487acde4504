/*
 * A strict parser for the heads of HTTP requests, by RFC 9112 and RFC 9110.
 *
 * It is fed in any pieces, and keeps what a server of files needs to know: the
 * rest of a head is checked and forgotten, so a connection needs little memory.
 * What two programs could understand in two ways is refused: folded lines, bare CR
 * or LF, blanks before a colon, a second Host or Content-Length, a length beside a
 * transfer coding. That keeps requests from being smuggled past a proxy.
 *
 * Why one of its own: Debian 12 has libhttp-parser-dev, which its authors have
 * archived and which is lenient where this is strict, and no llhttp.
 *
 * No allocation and no I/O: any thread, any handler.
 */
#ifndef EXAMPLES_HTTP_REQUEST_H
#define EXAMPLES_HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HTTP_HEAD_MAX = 8192,  /* bytes of a head, blank line included; more is 414 or 431 */
    HTTP_PATH_MAX = 1024,  /* of a path with its final zero; more is 414 */
    HTTP_VALUE_MAX = 256,  /* of a field that means something here; more is 431 */
    HTTP_BODY_MAX = 65536, /* of what comes behind a head; more is 413 */
};

#define HTTP_INDEX "index.html" /* what a path that ends in '/' stands for */

typedef enum http_method { HTTP_UNKNOWN, HTTP_GET, HTTP_HEAD, HTTP_OTHER } http_method;

typedef enum http_range { HTTP_RANGE_NONE, HTTP_RANGE_FROM, HTTP_RANGE_SUFFIX } http_range;

typedef struct http_request {
    /* 0: more has to come. 200: this is all of it. Anything else is what to refuse it with. */
    uint16_t status;
    uint8_t method;        /* http_method */
    uint8_t minor_version; /* of HTTP/1 */
    bool keeps_alive;      /* the connection may have another request after this and its body */
    uint8_t range;         /* http_range */
    uint64_t range_first;  /* FROM */
    uint64_t range_last;   /* FROM: UINT64_MAX where it is open; SUFFIX: how many bytes */
    uint64_t body_size;    /* bytes behind the head, to be read and dropped before the answer; at most HTTP_BODY_MAX */
    uint16_t head_size;    /* bytes of it that were seen */
    /*
     * Of a GET or HEAD with status 200: a file below the current directory, decoded.
     * It begins with "./" and no part of it begins with a dot: that leaves out "..",
     * and hidden files. A part may be empty.
     */
    char path[HTTP_PATH_MAX];

    /* The parser's own. */
    uint8_t state;
    uint8_t field; /* whose value it is */
    uint16_t path_size, word_size, value_size;
    bool is_query, has_host, has_length, has_coding, is_chunked, has_other_coding;
    bool says_close, says_keep_alive, expects_continue, has_range, has_if_range;
    char word[24]; /* a method, a version or a field's name; of a longer one, its beginning */
    char value[HTTP_VALUE_MAX];
} http_request;

/* What is to be sent of a file. */
typedef struct http_span {
    uint16_t status; /* 200; 206; 416: nothing, since the file ends before */
    uint64_t offset, size;
} http_span;

void http_request_begin(http_request *request);

/* Returns how many of the bytes belong to this head: all of them as long as status is 0. */
size_t http_request_feed(http_request *request, const void *data, size_t size);

/* What a request with status 200 asks for of a file of that size. */
http_span http_request_span(const http_request *request, uint64_t file_size);

#endif
