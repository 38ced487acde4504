#include "http_request.h"

#include <string.h>

/* What the next byte is. In the order of the steps below. */
enum {
    AT_START,
    AT_START_LF,
    AT_METHOD,
    AT_TARGET,
    AT_VERSION,
    AT_LINE_LF,
    AT_FIELD,
    AT_NAME,
    AT_VALUE,
    AT_VALUE_LF,
    AT_END_LF,
};

/* ---- Characters ---------------------------------------------------------------- */

static bool is_digit(uint8_t byte) { return byte >= '0' && byte <= '9'; }
static uint8_t lower(uint8_t byte) { return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte + 'a' - 'A') : byte; }
static bool is_one_of(uint8_t byte, const char *set) { return byte != '\0' && strchr(set, byte) != NULL; }
static bool is_blank(uint8_t byte) { return byte == ' ' || byte == '\t'; }

static bool is_alphanumeric(uint8_t byte) { return is_digit(byte) || (lower(byte) >= 'a' && lower(byte) <= 'z'); }
static bool is_token(uint8_t byte) { return is_alphanumeric(byte) || is_one_of(byte, "!#$%&'*+-.^_`|~"); }
static bool is_uri(uint8_t byte) { return is_alphanumeric(byte) || is_one_of(byte, "-._~!$&'()*+,;=:@/?%[]"); }

/* The number that the hexadecimal digit stands for; -1: it is none. */
static int hexadecimal(char byte)
{
    uint8_t letter = lower((uint8_t)byte);
    if (is_digit(letter))
        return letter - '0';
    return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

static bool is_same_word(const char *text, size_t size, const char *word)
{
    if (strlen(word) != size)
        return false;
    for (size_t i = 0; i < size; i++) {
        if (lower((uint8_t)text[i]) != (uint8_t)word[i])
            return false;
    }
    return true;
}

/* ---- Outcomes ------------------------------------------------------------------ */

/* Where the next request would begin is not known, or not worth waiting for. */
static void refuse(http_request *request, uint16_t status)
{
    request->status = status;
    request->keeps_alive = false;
    request->body_size = 0;
}

/* How long the body is. False: refused. */
static bool is_framed(http_request *request)
{
    bool is_old = request->minor_version == 0;
    if (request->has_coding && (request->has_length || is_old || !request->is_chunked))
        refuse(request, 400);
    else if (request->has_other_coding)
        refuse(request, 501);
    else if (request->has_coding)
        refuse(request, 411); /* which a server may say, and this one has no other use for chunks */
    else if (request->body_size > HTTP_BODY_MAX)
        refuse(request, 413);
    return request->status == 0;
}

static void finish(http_request *request)
{
    bool is_old = request->minor_version == 0;
    if (!is_old && !request->has_host) {
        refuse(request, 400);
        return;
    }
    if (!is_framed(request))
        return;
    request->keeps_alive = !request->says_close && (!is_old || request->says_keep_alive);
    if (request->expects_continue && !is_old && request->body_size != 0) {
        request->body_size = 0; /* the answer tells that nobody wants it */
        request->keeps_alive = false;
    }
    if (request->method == HTTP_UNKNOWN)
        request->status = 501;
    else if (request->method == HTTP_OTHER)
        request->status = 405;
    else
        request->status = strstr(request->path, "/.") == NULL ? 200 : 404;
}

/* ---- The request line ---------------------------------------------------------- */

static void add_to_word(http_request *request, uint8_t byte)
{
    if (request->word_size < sizeof request->word)
        request->word[request->word_size] = (char)byte;
    request->word_size++; /* no overflow: a head is bounded */
}

static bool is_word(const http_request *request, const char *word)
{
    return strlen(word) == request->word_size && memcmp(request->word, word, request->word_size) == 0;
}

static http_method method_of(const http_request *request)
{
    static const char *const others[] = {"POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"};
    if (is_word(request, "GET"))
        return HTTP_GET;
    if (is_word(request, "HEAD"))
        return HTTP_HEAD;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (is_word(request, others[i]))
            return HTTP_OTHER;
    }
    return HTTP_UNKNOWN;
}

static void step_method(http_request *request, uint8_t byte)
{
    if (is_token(byte)) {
        add_to_word(request, byte);
    } else if (byte == ' ' && request->word_size != 0) {
        request->method = (uint8_t)method_of(request);
        request->word_size = 0;
        request->state = AT_TARGET;
    } else {
        refuse(request, 400);
    }
}

/* Blank lines before a request are what some clients send behind the one before. */
static void step_start(http_request *request, uint8_t byte)
{
    if (byte == '\r') {
        request->state = AT_START_LF;
    } else {
        request->state = AT_METHOD;
        step_method(request, byte);
    }
}

/* "http://host/path" is "/path": whatever it is called, there is one tree of files here. False: it is malformed. */
static bool drop_authority(http_request *request)
{
    static const char scheme[] = "http://";
    size_t size = sizeof scheme - 1;
    if (request->path[0] == '/')
        return true;
    if (request->path_size <= size || !is_same_word(request->path, size, scheme))
        return false;
    char *authority = request->path + size;
    char *path = strchr(authority, '/');
    if (path == authority || memchr(authority, '@', path == NULL ? strlen(authority) : (size_t)(path - authority)) != NULL)
        return false;
    if (path == NULL)
        path = strcpy(authority, "/");
    memmove(request->path, path, strlen(path) + 1);
    return true;
}

/* Once. False: not decodable, or it stands for what no part of a path can hold. */
static bool decode(char *path)
{
    char *to = path;
    for (const char *from = path; *from != '\0'; from++) {
        int byte = (uint8_t)*from;
        if (byte == '%') {
            int high = hexadecimal(from[1]), low = high < 0 ? -1 : hexadecimal(from[2]);
            byte = low < 0 ? 0 : high * 16 + low;
            if (byte < ' ' || byte == 0x7F || byte == '/' || byte == '\\')
                return false;
            from += 2;
        }
        *to++ = (char)byte;
    }
    *to = '\0';
    return true;
}

/* What decode leaves is at most as long, and room for the dot and the index was kept. */
static bool make_path(http_request *request)
{
    char *path = request->path;
    path[request->path_size] = '\0';
    if (!drop_authority(request) || !decode(path))
        return false;
    size_t size = strlen(path);
    memmove(path + 1, path, size + 1);
    path[0] = '.'; /* a path with a leading slash would be looked for from the root of the machine */
    if (path[size] == '/')
        memcpy(path + size + 1, HTTP_INDEX, sizeof HTTP_INDEX);
    return true;
}

static void finish_target(http_request *request)
{
    bool is_served = request->method == HTTP_GET || request->method == HTTP_HEAD;
    if (request->path_size == 0 || (is_served && !make_path(request)))
        refuse(request, 400);
    request->state = AT_VERSION;
}

static void step_target(http_request *request, uint8_t byte)
{
    if (byte == ' ')
        finish_target(request);
    else if (!is_uri(byte))
        refuse(request, 400);
    else if (byte == '?' || request->is_query)
        request->is_query = true; /* files have no use for it */
    else if (request->path_size >= HTTP_PATH_MAX - 1 - sizeof HTTP_INDEX)
        refuse(request, 414);
    else
        request->path[request->path_size++] = (char)byte;
}

static void finish_version(http_request *request)
{
    const char *word = request->word;
    bool is_version = request->word_size == 8 && memcmp(word, "HTTP/", 5) == 0 && is_digit((uint8_t)word[5]) &&
                      word[6] == '.' && is_digit((uint8_t)word[7]);
    if (!is_version)
        refuse(request, 400);
    else if (word[5] != '1')
        refuse(request, 505);
    request->minor_version = (uint8_t)(word[7] - '0');
    request->word_size = 0;
    request->state = AT_LINE_LF;
}

static void step_version(http_request *request, uint8_t byte)
{
    if (byte == '\r')
        finish_version(request);
    else if (request->word_size == 8)
        refuse(request, 400);
    else
        add_to_word(request, byte);
}

/* ---- Fields -------------------------------------------------------------------- */

/* The next element of a list, without blanks around it. False: there is none any more. */
static bool next_element(const char **at, const char **element, size_t *size)
{
    const char *start = *at;
    while (is_blank((uint8_t)*start) || *start == ',')
        start++;
    const char *end = start + strcspn(start, ",");
    *at = end;
    *element = start;
    while (end > start && is_blank((uint8_t)end[-1]))
        end--;
    *size = (size_t)(end - start);
    return *size != 0;
}

/* Digits, at most up to the end. What is larger than any file becomes the largest number. */
static const char *read_number(const char *text, uint64_t *number)
{
    *number = 0;
    for (; is_digit((uint8_t)*text); text++) {
        uint64_t digit = (uint64_t)(*text - '0');
        *number = *number > (UINT64_MAX - digit) / 10 ? UINT64_MAX : *number * 10 + digit;
    }
    return text;
}

static void take_host(http_request *request)
{
    if (request->has_host)
        refuse(request, 400);
    request->has_host = true;
    for (const char *byte = request->value; *byte != '\0'; byte++) {
        if (!is_uri((uint8_t)*byte) || is_one_of((uint8_t)*byte, "/?@"))
            refuse(request, 400);
    }
}

static void take_connection(http_request *request)
{
    const char *at = request->value, *element;
    size_t size;
    while (next_element(&at, &element, &size)) {
        request->says_close = request->says_close || is_same_word(element, size, "close");
        request->says_keep_alive = request->says_keep_alive || is_same_word(element, size, "keep-alive");
    }
}

static void take_length(http_request *request)
{
    const char *end = read_number(request->value, &request->body_size);
    if (request->has_length || end == request->value || *end != '\0')
        refuse(request, 400);
    request->has_length = true;
}

static void take_coding(http_request *request)
{
    const char *at = request->value, *element;
    size_t size;
    request->has_coding = true;
    while (next_element(&at, &element, &size)) {
        if (request->is_chunked)
            refuse(request, 400); /* nothing may be done to chunks */
        request->is_chunked = is_same_word(element, size, "chunked");
        request->has_other_coding = request->has_other_coding || !request->is_chunked;
    }
}

/* "a-b", "a-" or "-n"; anything else, such as several of these, is none. */
static http_range parse_range(const char *text, uint64_t *first, uint64_t *last)
{
    const char *dash = read_number(text, first);
    if (*dash != '-')
        return HTTP_RANGE_NONE;
    const char *end = read_number(dash + 1, last);
    bool has_first = dash != text, has_last = end != dash + 1;
    if (*end != '\0' || (!has_first && !has_last))
        return HTTP_RANGE_NONE;
    if (!has_first)
        return HTTP_RANGE_SUFFIX;
    if (!has_last)
        *last = UINT64_MAX;
    return *last < *first ? HTTP_RANGE_NONE : HTTP_RANGE_FROM;
}

/* What is no range to us is answered with the whole file, which is always allowed. */
static void take_range(http_request *request)
{
    static const char unit[] = "bytes=";
    size_t size = sizeof unit - 1;
    bool is_one = !request->has_range && request->value_size > size && is_same_word(request->value, size, unit);
    request->has_range = true;
    request->range = HTTP_RANGE_NONE;
    if (is_one)
        request->range = (uint8_t)parse_range(request->value + size, &request->range_first, &request->range_last);
}

/* We tell no validator of a file, so the one that it asks for is not the file's: it wants the whole. */
static void take_if_range(http_request *request) { request->has_if_range = true; }

static void take_expect(http_request *request)
{
    if (is_same_word(request->value, request->value_size, "100-continue"))
        request->expects_continue = true;
    else
        refuse(request, 417);
}

static const struct {
    const char *name;
    void (*take)(http_request *request);
} fields[] = {
    {"host", take_host},
    {"connection", take_connection},
    {"content-length", take_length},
    {"transfer-encoding", take_coding},
    {"range", take_range},
    {"if-range", take_if_range},
    {"expect", take_expect},
};
enum { FIELD_COUNT = sizeof fields / sizeof fields[0] };

static void step_name(http_request *request, uint8_t byte)
{
    if (is_token(byte)) {
        add_to_word(request, lower(byte));
        return;
    }
    if (byte != ':' || request->word_size == 0)
        refuse(request, 400);
    request->field = 0;
    while (request->field < FIELD_COUNT && !is_word(request, fields[request->field].name))
        request->field++;
    request->word_size = 0;
    request->value_size = 0;
    request->state = AT_VALUE;
}

/* At the beginning of a line. One that begins with a blank would continue the one before, which RFC 9112 has ended. */
static void step_field(http_request *request, uint8_t byte)
{
    if (byte == '\r') {
        request->state = AT_END_LF;
    } else {
        request->state = AT_NAME;
        step_name(request, byte);
    }
}

static void step_value(http_request *request, uint8_t byte)
{
    bool is_text = (byte >= ' ' && byte != 0x7F) || byte == '\t';
    if (byte == '\r')
        request->state = AT_VALUE_LF;
    else if (!is_text)
        refuse(request, 400);
    else if (request->field == FIELD_COUNT || (request->value_size == 0 && is_blank(byte)))
        return;
    else if (request->value_size == HTTP_VALUE_MAX - 1)
        refuse(request, 431);
    else
        request->value[request->value_size++] = (char)byte;
}

static void step_value_lf(http_request *request, uint8_t byte)
{
    request->state = AT_FIELD;
    if (byte != '\n') {
        refuse(request, 400);
        return;
    }
    while (request->value_size != 0 && is_blank((uint8_t)request->value[request->value_size - 1]))
        request->value_size--;
    request->value[request->value_size] = '\0';
    if (request->field != FIELD_COUNT)
        fields[request->field].take(request);
}

/* ---- All of it ----------------------------------------------------------------- */

static void step_lf(http_request *request, uint8_t byte)
{
    if (byte != '\n')
        refuse(request, 400);
    else if (request->state == AT_END_LF)
        finish(request);
    else
        request->state = request->state == AT_START_LF ? AT_START : AT_FIELD;
}

static void (*const steps[])(http_request *request, uint8_t byte) = {
    [AT_START] = step_start,     [AT_START_LF] = step_lf,       [AT_METHOD] = step_method, [AT_TARGET] = step_target,
    [AT_VERSION] = step_version, [AT_LINE_LF] = step_lf,        [AT_FIELD] = step_field,   [AT_NAME] = step_name,
    [AT_VALUE] = step_value,     [AT_VALUE_LF] = step_value_lf, [AT_END_LF] = step_lf,
};

void http_request_begin(http_request *request) { memset(request, 0, sizeof *request); }

size_t http_request_feed(http_request *request, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    size_t used = 0;
    while (used < size && request->status == 0) {
        if (request->head_size == HTTP_HEAD_MAX) {
            refuse(request, request->state == AT_TARGET ? 414 : 431);
            break;
        }
        request->head_size++;
        steps[request->state](request, bytes[used++]);
    }
    return used;
}

/* An empty file has no range to tell of, but may be sent. */
http_span http_request_span(const http_request *request, uint64_t file_size)
{
    const http_span whole = {200, 0, file_size}, nothing = {416, 0, 0};
    if (request->range == HTTP_RANGE_NONE || request->has_if_range || request->method != HTTP_GET)
        return whole;
    if (request->range == HTTP_RANGE_SUFFIX) {
        uint64_t size = request->range_last < file_size ? request->range_last : file_size;
        if (request->range_last == 0)
            return nothing;
        return size == 0 ? whole : (http_span){206, file_size - size, size};
    }
    if (request->range_first >= file_size)
        return nothing;
    uint64_t last = request->range_last < file_size ? request->range_last : file_size - 1;
    return (http_span){206, request->range_first, last - request->range_first + 1};
}
