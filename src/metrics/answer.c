#include "metrics/answer.h"

#include <stdio.h>

static const char *reason_of(uint16_t status)
{
    switch (status) {
    case 400: return "Bad Request";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 414: return "URI Too Long";
    case 431: return "Request Header Fields Too Large";
    default: return "HTTP Version Not Supported";
    }
}

/* Clients of HTTP/1.0 want to be told that the connection stays, the others that it does not. */
static const char *connection_field(const tina__request *request, bool is_last)
{
    if (is_last)
        return "Connection: close\r\n";
    return request->minor_version == 0 ? "Connection: keep-alive\r\n" : "";
}

uint32_t tina__answer_metrics(const tina__request *request, bool is_last, char text[TINA__ANSWER_MAX])
{
    int size = snprintf(
        text, TINA__ANSWER_MAX, "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n%s%s\r\n",
        request->minor_version == 0 ? "" : "Transfer-Encoding: chunked\r\n", connection_field(request, is_last));
    return (uint32_t)size;
}

uint32_t tina__answer_refusal(const tina__request *request, uint16_t status, bool is_last, char text[TINA__ANSWER_MAX])
{
    char line[96];
    int line_size = snprintf(line, sizeof line, "%u %s%s\n", status, reason_of(status),
                             status == 404 ? ": metrics are at /metrics" : "");
    int size = snprintf(text, TINA__ANSWER_MAX,
                        "HTTP/1.1 %u %s\r\nContent-Type: text/plain; charset=utf-8\r\n%s%sContent-Length: %d\r\n\r\n%s",
                        status, reason_of(status), status == 405 ? "Allow: GET, HEAD\r\n" : "",
                        connection_field(request, is_last), line_size, request->is_head ? "" : line);
    return (uint32_t)size;
}
