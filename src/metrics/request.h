/*
 * The heads of HTTP requests, as far as a server of one page needs them, by RFC 9112:
 * strict, so that no two programs on the way can understand one in two ways. Fed in
 * any pieces; a head is checked and forgotten, so its size needs no memory. No body
 * is ever wanted: whoever sends one is answered, and disconnected.
 *
 * No allocation and no I/O: any thread, any handler.
 */
#ifndef TINA__METRICS_REQUEST_H
#define TINA__METRICS_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TINA__REQUEST_HEAD_MAX = 8192, /* bytes, blank line included; more is 414 or 431 */
    TINA__REQUEST_PATH_MAX = 255,  /* bytes that are kept; a longer path is none of ours */
};

typedef struct tina__request {
    uint16_t status;       /* 0: more has to come. 200: this is all of it, a GET or HEAD. Else what to refuse it with */
    uint16_t head_size;    /* bytes of it that were seen; 0: it has not begun */
    uint8_t minor_version; /* of HTTP/1 */
    bool is_head;          /* its answer has no body */
    bool keeps_alive;      /* another request may come behind it */

    /* The parser's own. */
    uint8_t state, field;
    uint8_t word_size;
    uint16_t path_size;
    bool is_query, has_method, has_host, has_length, has_body, has_coding, says_close, says_keep_alive;
    char word[24]; /* a method, version, name or element; of a longer one the beginning */
    char path[TINA__REQUEST_PATH_MAX + 1];
} tina__request;

void tina__request_begin(tina__request *request);

/* Returns how many of the bytes belong to this head: all of them as long as status is 0. */
size_t tina__request_feed(tina__request *request, const void *data, size_t size);

/* Of a request with status 200: does it ask for that path? What is behind a '?' does not count, nor a host before it. */
bool tina__request_is_for(const tina__request *request, const char *path);

#endif
