#include "http_answer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *content_type(const char *path)
{
    static const struct {
        const char *ending, *type;
    } types[] = {
        {".html", "text/html; charset=utf-8"},
        {".css", "text/css; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"},
        {".txt", "text/plain; charset=utf-8"},
        {".md", "text/markdown; charset=utf-8"},
        {".csv", "text/csv; charset=utf-8"},
        {".xml", "application/xml"},
        {".json", "application/json"},
        {".pdf", "application/pdf"},
        {".wasm", "application/wasm"},
        {".zip", "application/zip"},
        {".gz", "application/gzip"},
        {".svg", "image/svg+xml"},
        {".png", "image/png"},
        {".jpg", "image/jpeg"},
        {".jpeg", "image/jpeg"},
        {".gif", "image/gif"},
        {".webp", "image/webp"},
        {".ico", "image/x-icon"},
        {".woff2", "font/woff2"},
        {".mp3", "audio/mpeg"},
        {".mp4", "video/mp4"},
        {".webm", "video/webm"},
    };
    const char *ending = strrchr(path, '.'); /* of the "./" at the beginning, where there is no other */
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(ending, types[i].ending) == 0)
            return types[i].type;
    }
    return "application/octet-stream";
}

static const char *reason_of(uint16_t status)
{
    switch (status) {
    case 200: return "OK";
    case 206: return "Partial Content";
    case 400: return "Bad Request";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 411: return "Length Required";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 416: return "Range Not Satisfiable";
    case 417: return "Expectation Failed";
    case 431: return "Request Header Fields Too Large";
    case 501: return "Not Implemented";
    case 503: return "Service Unavailable";
    case 505: return "HTTP Version Not Supported";
    default: return "Internal Server Error";
    }
}

/* Clients of HTTP/1.0 want to be told that the connection stays, the others that it does not. */
static const char *connection_field(const http_request *request, bool is_last)
{
    if (is_last)
        return "Connection: close\r\n";
    return request->minor_version == 0 ? "Connection: keep-alive\r\n" : "";
}

size_t http_answer_file(const http_request *request, http_span span, uint64_t file_size, bool is_last,
                        char text[HTTP_ANSWER_MAX])
{
    char range[96] = "";
    if (span.status == 206)
        snprintf(range, sizeof range, "Content-Range: bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64 "\r\n", span.offset,
                 span.offset + span.size - 1, file_size);
    int size = snprintf(
        text, HTTP_ANSWER_MAX,
        "HTTP/1.1 %u %s\r\n%s%sAccept-Ranges: bytes\r\nContent-Type: %s\r\nContent-Length: %" PRIu64 "\r\n\r\n", span.status,
        reason_of(span.status), connection_field(request, is_last), range, content_type(request->path), span.size);
    return (size_t)size;
}

/* The fields that this status asks for. */
static void special_field(uint16_t status, uint64_t file_size, char *text, size_t size)
{
    text[0] = '\0';
    if (status == 405)
        snprintf(text, size, "Allow: GET, HEAD\r\n");
    else if (status == 416)
        snprintf(text, size, "Content-Range: bytes */%" PRIu64 "\r\n", file_size);
}

size_t http_answer_refusal(const http_request *request, uint16_t status, uint64_t file_size, bool is_last,
                           char text[HTTP_ANSWER_MAX])
{
    char field[64], line[64];
    special_field(status, file_size, field, sizeof field);
    int line_size = snprintf(line, sizeof line, "%u %s\n", status, reason_of(status));
    int size = snprintf(text, HTTP_ANSWER_MAX,
                        "HTTP/1.1 %u %s\r\n%s%sContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n\r\n%s",
                        status, reason_of(status), connection_field(request, is_last), field, line_size,
                        request->method == HTTP_HEAD ? "" : line);
    return (size_t)size;
}
