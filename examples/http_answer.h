/* The heads of HTTP answers, as text. No allocation and no I/O: any thread, any handler. */
#ifndef EXAMPLES_HTTP_ANSWER_H
#define EXAMPLES_HTTP_ANSWER_H

#include "http_request.h"

enum { HTTP_ANSWER_MAX = 512 }; /* bytes of each of these, final zero included */

/*
 * The head of an answer that brings span, out of a file of file_size bytes. is_last:
 * no other will be on this connection. Returns its length.
 */
size_t http_answer_file(const http_request *request, http_span span, uint64_t file_size, bool is_last,
                        char text[HTTP_ANSWER_MAX]);

/* A whole answer that refuses: with a line for whoever looks at it, unless HEAD was asked. file_size: for 416. */
size_t http_answer_refusal(const http_request *request, uint16_t status, uint64_t file_size, bool is_last,
                           char text[HTTP_ANSWER_MAX]);

#endif
