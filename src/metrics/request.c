#include "metrics/request.h"

#include <string.h>

/* What the next byte is. In the order of the steps below. */
enum { AT_START, AT_START_LF, AT_METHOD, AT_TARGET, AT_VERSION, AT_LINE_LF, AT_FIELD, AT_NAME, AT_VALUE, AT_END_LF };

enum { FIELD_OTHER, FIELD_HOST, FIELD_CONNECTION, FIELD_LENGTH, FIELD_CODING, FIELD_COUNT };

/* ---- Characters ---- */

static bool is_digit(uint8_t byte) { return byte >= '0' && byte <= '9'; }
static uint8_t lower(uint8_t byte) { return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte + 'a' - 'A') : byte; }
static bool is_one_of(uint8_t byte, const char *set) { return byte != '\0' && strchr(set, byte) != NULL; }
static bool is_blank(uint8_t byte) { return byte == ' ' || byte == '\t'; }
static bool is_alphanumeric(uint8_t byte) { return is_digit(byte) || (lower(byte) >= 'a' && lower(byte) <= 'z'); }
static bool is_token(uint8_t byte) { return is_alphanumeric(byte) || is_one_of(byte, "!#$%&'*+-.^_`|~"); }
static bool is_uri(uint8_t byte) { return is_alphanumeric(byte) || is_one_of(byte, "-._~!$&'()*+,;=:@/?%[]"); }
static bool is_text(uint8_t byte) { return (byte >= ' ' && byte != 0x7F) || byte == '\t'; }

/* ---- Words ---- */

static void add_to_word(tina__request *request, uint8_t byte)
{
    if (request->word_size < sizeof request->word)
        request->word[request->word_size] = (char)byte;
    if (request->word_size <= sizeof request->word)
        request->word_size++; /* one more than there is room for: it is too long to be any that we know */
}

static bool is_word(const tina__request *request, const char *word)
{
    return strlen(word) == request->word_size && memcmp(request->word, word, request->word_size) == 0;
}

/* ---- Outcomes ---- */

/* Where the next request would begin is not known. */
static void refuse(tina__request *request, uint16_t status)
{
    request->status = status;
    request->keeps_alive = false;
}

static void finish(tina__request *request)
{
    bool is_old = request->minor_version == 0;
    bool is_smuggled = request->has_coding && (request->has_length || is_old);
    if (is_smuggled || (!is_old && !request->has_host)) {
        refuse(request, 400);
        return;
    }
    request->status = request->has_method ? 200 : 405;
    bool has_body = request->has_body || request->has_coding;
    request->keeps_alive = !has_body && !request->says_close && (!is_old || request->says_keep_alive);
}

/* ---- The request line ---- */

static void step_method(tina__request *request, uint8_t byte)
{
    if (is_token(byte)) {
        add_to_word(request, byte);
    } else if (byte == ' ' && request->word_size != 0) {
        request->is_head = is_word(request, "HEAD");
        request->has_method = request->is_head || is_word(request, "GET");
        request->word_size = 0;
        request->state = AT_TARGET;
    } else {
        refuse(request, 400);
    }
}

/* Blank lines before a request are what some clients send behind the one before. */
static void step_start(tina__request *request, uint8_t byte)
{
    if (byte == '\r') {
        request->state = AT_START_LF;
    } else {
        request->state = AT_METHOD;
        step_method(request, byte);
    }
}

static void step_target(tina__request *request, uint8_t byte)
{
    if (byte == ' ' && (request->path_size != 0 || request->is_query))
        request->state = AT_VERSION;
    else if (!is_uri(byte))
        refuse(request, 400);
    else if (byte == '?' || request->is_query)
        request->is_query = true;
    else if (request->path_size <= TINA__REQUEST_PATH_MAX) /* one more than is kept says that it is too long */
        request->path[request->path_size++] = (char)byte;
}

static void finish_version(tina__request *request)
{
    const char *word = request->word;
    bool is_version = request->word_size == 8 && memcmp(word, "HTTP/", 5) == 0 && is_digit((uint8_t)word[5]) &&
                      word[6] == '.' && is_digit((uint8_t)word[7]);
    if (!is_version)
        refuse(request, 400);
    else if (word[5] != '1')
        refuse(request, 505);
    request->minor_version = is_version ? (uint8_t)(word[7] - '0') : 1;
    request->word_size = 0;
    request->state = AT_LINE_LF;
}

static void step_version(tina__request *request, uint8_t byte)
{
    if (byte == '\r')
        finish_version(request);
    else if (request->word_size == 8)
        refuse(request, 400);
    else
        add_to_word(request, byte);
}

/* ---- Fields ---- */

static void begin_value(tina__request *request)
{
    static const char *const names[FIELD_COUNT] = {
        [FIELD_OTHER] = "",
        [FIELD_HOST] = "host",
        [FIELD_CONNECTION] = "connection",
        [FIELD_LENGTH] = "content-length",
        [FIELD_CODING] = "transfer-encoding",
    };
    request->field = FIELD_COUNT - 1;
    while (request->field != FIELD_OTHER && !is_word(request, names[request->field]))
        request->field--;
    bool is_second =
        (request->field == FIELD_HOST && request->has_host) || (request->field == FIELD_LENGTH && request->has_length);
    request->has_host = request->has_host || request->field == FIELD_HOST;
    request->has_length = request->has_length || request->field == FIELD_LENGTH;
    request->has_coding = request->has_coding || request->field == FIELD_CODING;
    request->word_size = 0;
    request->state = AT_VALUE;
    if (is_second)
        refuse(request, 400);
}

static void step_name(tina__request *request, uint8_t byte)
{
    if (is_token(byte))
        add_to_word(request, lower(byte));
    else if (byte == ':' && request->word_size != 0)
        begin_value(request);
    else
        refuse(request, 400);
}

/* At the beginning of a line. One that begins with a blank would continue the one before, which RFC 9112 has ended. */
static void step_field(tina__request *request, uint8_t byte)
{
    if (byte == '\r') {
        request->state = AT_END_LF;
    } else {
        request->state = AT_NAME;
        step_name(request, byte);
    }
}

static void finish_element(tina__request *request)
{
    request->says_close = request->says_close || is_word(request, "close");
    request->says_keep_alive = request->says_keep_alive || is_word(request, "keep-alive");
    request->word_size = 0;
}

/* Elements of a list, with blanks around them; one with a blank within is none that we know. */
static void step_connection(tina__request *request, uint8_t byte)
{
    if (byte == ',')
        finish_element(request);
    else if (!is_blank(byte))
        add_to_word(request, lower(byte));
}

/* Digits alone, at least one, with blanks around them. */
static void step_length(tina__request *request, uint8_t byte)
{
    bool is_behind = request->word_size == 2;
    if (is_digit(byte) && !is_behind) {
        request->has_body = request->has_body || byte != '0';
        request->word_size = 1;
    } else if (is_blank(byte)) {
        request->word_size = request->word_size != 0 ? 2 : 0;
    } else {
        refuse(request, 400);
    }
}

static void finish_value(tina__request *request)
{
    if (request->field == FIELD_LENGTH && request->word_size == 0)
        refuse(request, 400);
    if (request->field == FIELD_CONNECTION)
        finish_element(request);
    request->word_size = 0;
    request->state = AT_LINE_LF;
}

static void step_value(tina__request *request, uint8_t byte)
{
    if (byte == '\r')
        finish_value(request);
    else if (!is_text(byte))
        refuse(request, 400);
    else if (request->field == FIELD_CONNECTION)
        step_connection(request, byte);
    else if (request->field == FIELD_LENGTH)
        step_length(request, byte);
}

/* ---- All of it ---- */

static void step_lf(tina__request *request, uint8_t byte)
{
    if (byte != '\n')
        refuse(request, 400);
    else if (request->state == AT_END_LF)
        finish(request);
    else
        request->state = request->state == AT_START_LF ? AT_START : AT_FIELD;
}

static void (*const steps[])(tina__request *request, uint8_t byte) = {
    [AT_START] = step_start,     [AT_START_LF] = step_lf, [AT_METHOD] = step_method, [AT_TARGET] = step_target,
    [AT_VERSION] = step_version, [AT_LINE_LF] = step_lf,  [AT_FIELD] = step_field,   [AT_NAME] = step_name,
    [AT_VALUE] = step_value,     [AT_END_LF] = step_lf,
};

void tina__request_begin(tina__request *request) { memset(request, 0, sizeof *request); }

size_t tina__request_feed(tina__request *request, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    size_t used = 0;
    while (used < size && request->status == 0) {
        if (request->head_size == TINA__REQUEST_HEAD_MAX) {
            refuse(request, request->state == AT_TARGET ? 414 : 431);
            break;
        }
        request->head_size++;
        steps[request->state](request, bytes[used++]);
    }
    return used;
}

/* "http://host/path" is "/path". */
static size_t authority_size(const tina__request *request)
{
    static const char scheme[] = "http://";
    size_t at = sizeof scheme - 1;
    if (request->path_size < at || memcmp(request->path, scheme, at) != 0)
        return 0;
    while (at < request->path_size && request->path[at] != '/')
        at++;
    return at;
}

bool tina__request_is_for(const tina__request *request, const char *path)
{
    if (request->path_size > TINA__REQUEST_PATH_MAX)
        return false;
    size_t skipped = authority_size(request), size = request->path_size - skipped;
    return strlen(path) == size && memcmp(request->path + skipped, path, size) == 0;
}
