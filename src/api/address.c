#include <string.h>
#include <tina/io.h>

/* By hand: the C library's functions differ between platforms in what they let pass. */

tina_address tina_ipv4(uint8_t a, uint8_t b, uint8_t c, uint8_t d, uint16_t port)
{
    tina_address address = {.family = TINA_IPV4, .port = port, .path = {0}};
    address.ipv4[0] = a;
    address.ipv4[1] = b;
    address.ipv4[2] = c;
    address.ipv4[3] = d;
    return address;
}

tina_address tina_ipv6(const uint8_t bytes[16], uint16_t port)
{
    tina_address address = {.family = TINA_IPV6, .port = port, .path = {0}};
    memcpy(address.ipv6, bytes, sizeof address.ipv6);
    return address;
}

tina_address tina_unix(const char *path)
{
    tina_address address = {.family = 0, .path = {0}};
    size_t length = path == NULL ? 0 : strnlen(path, sizeof address.path + 1);
    if (length == 0 || length > sizeof address.path)
        return address;
    address.family = TINA_UNIX;
    address.length = (uint8_t)length;
    memcpy(address.path, path, length);
    return address;
}

/* ---- Parsing: each function reads from *text and moves it on; false: not what was expected ---- */

static bool read_char(const char **text, char expected)
{
    if (**text != expected)
        return false;
    (*text)++;
    return true;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* Without leading zeros. */
static bool read_decimal(const char **text, uint32_t most, uint32_t *value)
{
    const char *start = *text;
    uint64_t sum = 0;
    while (is_digit(**text)) {
        sum = sum * 10 + (uint64_t)(**text - '0');
        if (sum > most)
            return false;
        (*text)++;
    }
    *value = (uint32_t)sum;
    return *text > start && (*start != '0' || *text == start + 1);
}

static int hex_value(char c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static bool read_ipv4(const char **text, uint8_t bytes[4])
{
    for (int i = 0; i < 4; i++) {
        uint32_t value;
        if (i > 0 && !read_char(text, '.'))
            return false;
        if (!read_decimal(text, 255, &value))
            return false;
        bytes[i] = (uint8_t)value;
    }
    return true;
}

/* One to four hexadecimal digits. */
static bool read_group(const char **text, uint8_t bytes[2])
{
    unsigned value = 0;
    int length = 0;
    for (; length < 4 && hex_value(**text) >= 0; length++)
        value = value << 4 | (unsigned)hex_value(*(*text)++);
    bytes[0] = (uint8_t)(value >> 8);
    bytes[1] = (uint8_t)value;
    return length > 0;
}

static bool next_is_ipv4(const char *text)
{
    while (is_digit(*text))
        text++;
    return *text == '.';
}

/* What was read of an IPv6 address: the bytes, and where among them "::" stood. */
typedef struct ipv6_parts {
    uint8_t bytes[16];
    int length;
    int gap; /* -1: none */
} ipv6_parts;

/* A group, or the IPv4 address that may stand in place of the last two. */
static bool read_part(const char **text, ipv6_parts *parts, bool *is_last)
{
    *is_last = next_is_ipv4(*text);
    int size = *is_last ? 4 : 2;
    if (parts->length + size > 16)
        return false;
    uint8_t *bytes = &parts->bytes[parts->length];
    parts->length += size;
    return *is_last ? read_ipv4(text, bytes) : read_group(text, bytes);
}

static bool read_gap(const char **text, ipv6_parts *parts)
{
    if ((*text)[0] != ':' || (*text)[1] != ':' || parts->gap >= 0)
        return false;
    *text += 2;
    parts->gap = parts->length;
    return true;
}

static bool ends_ipv6(char c) { return c == ']' || c == '%'; }

static bool read_parts(const char **text, ipv6_parts *parts)
{
    bool is_last = false;
    bool had_gap = read_gap(text, parts);
    if (had_gap && ends_ipv6(**text))
        return true;
    while (read_part(text, parts, &is_last)) {
        if (ends_ipv6(**text))
            return true;
        if (is_last)
            return false;
        had_gap = read_gap(text, parts);
        if (had_gap && ends_ipv6(**text))
            return true;
        if (!had_gap && !read_char(text, ':'))
            return false;
    }
    return false;
}

static bool read_ipv6(const char **text, uint8_t bytes[16])
{
    ipv6_parts parts = {.gap = -1};
    if (!read_parts(text, &parts))
        return false;
    bool is_whole = parts.length == 16;
    if (is_whole != (parts.gap < 0))
        return false;
    size_t head = is_whole ? 16 : (size_t)parts.gap;
    size_t tail = (size_t)parts.length - head;
    memset(bytes, 0, 16);
    memcpy(bytes, parts.bytes, head);
    memcpy(bytes + 16 - tail, parts.bytes + head, tail);
    return true;
}

static bool read_bracketed(const char **text, tina_address *address)
{
    if (!read_char(text, '[') || !read_ipv6(text, address->ipv6))
        return false;
    if (read_char(text, '%') && !read_decimal(text, UINT32_MAX, &address->scope))
        return false;
    return read_char(text, ']');
}

#define UNIX_PREFIX "unix:"

/* What stands behind the prefix; an @ in front: a name in the abstract namespace. */
static tina_status parse_unix(const char *path, tina_address *address)
{
    tina_address parsed = tina_unix(path);
    if (parsed.family == 0)
        return TINA_INVALID;
    if (parsed.path[0] == '@')
        parsed.path[0] = '\0';
    *address = parsed;
    return TINA_OK;
}

tina_status tina_address_parse(const char *text, tina_address *address)
{
    if (text == NULL || address == NULL)
        return TINA_INVALID;
    if (strncmp(text, UNIX_PREFIX, sizeof UNIX_PREFIX - 1) == 0)
        return parse_unix(text + sizeof UNIX_PREFIX - 1, address);
    bool is_ipv6 = *text == '[';
    tina_address parsed = {.family = is_ipv6 ? TINA_IPV6 : TINA_IPV4, .path = {0}};
    if (!(is_ipv6 ? read_bracketed(&text, &parsed) : read_ipv4(&text, parsed.ipv4)))
        return TINA_INVALID;
    uint32_t port;
    if (!read_char(&text, ':') || !read_decimal(&text, UINT16_MAX, &port) || *text != '\0')
        return TINA_INVALID;
    parsed.port = (uint16_t)port;
    *address = parsed;
    return TINA_OK;
}

/* ---- Formatting ---- */

typedef struct output {
    char *text;
    size_t size;
    size_t length; /* of the whole, also of what did not fit */
} output;

static void put(output *to, char c)
{
    if (to->length + 1 < to->size)
        to->text[to->length] = c;
    to->length++;
}

/* base is 10 or 16. */
static void put_number(output *to, uint32_t value, uint32_t base)
{
    char digits[10];
    int count = 0;
    do {
        digits[count++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value != 0);
    while (count > 0)
        put(to, digits[--count]);
}

static void put_ipv4(output *to, const uint8_t bytes[4])
{
    for (int i = 0; i < 4; i++) {
        if (i > 0)
            put(to, '.');
        put_number(to, bytes[i], 10);
    }
}

static uint32_t group_at(const uint8_t bytes[16], int index)
{
    return (uint32_t)bytes[2 * index] << 8 | bytes[2 * index + 1];
}

static int zero_run(const uint8_t bytes[16], int start, int count)
{
    int end = start;
    while (end < count && group_at(bytes, end) == 0)
        end++;
    return end - start;
}

/* The first of the longest runs of zeros, two or more of them: what "::" stands for. */
static int longest_zero_run(const uint8_t bytes[16], int count, int *start)
{
    int longest = 1;
    for (int i = 0; i < count; i++) {
        int length = zero_run(bytes, i, count);
        if (length > longest) {
            longest = length;
            *start = i;
        }
    }
    return longest > 1 ? longest : 0;
}

static bool is_mapped_ipv4(const uint8_t bytes[16]) { return zero_run(bytes, 0, 5) == 5 && group_at(bytes, 5) == 0xFFFF; }

/* As RFC 5952 has it: lower case, no leading zeros, "::" for the longest run, mapped addresses with their IPv4 form. */
static void put_ipv6(output *to, const uint8_t bytes[16])
{
    int count = is_mapped_ipv4(bytes) ? 6 : 8;
    int start = -1;
    int length = longest_zero_run(bytes, count, &start);
    for (int i = 0; i < count; i++) {
        if (i == start) {
            put(to, ':');
            put(to, ':');
            i += length - 1;
            continue;
        }
        if (i > 0 && i != start + length)
            put(to, ':');
        put_number(to, group_at(bytes, i), 16);
    }
    if (count == 8)
        return;
    put(to, ':');
    put_ipv4(to, bytes + 12);
}

static void put_bracketed(output *to, const tina_address *address)
{
    put(to, '[');
    put_ipv6(to, address->ipv6);
    if (address->scope != 0) {
        put(to, '%');
        put_number(to, address->scope, 10);
    }
    put(to, ']');
}

static void put_unix(output *to, const tina_address *address)
{
    for (const char *prefix = UNIX_PREFIX; *prefix != '\0'; prefix++)
        put(to, *prefix);
    for (size_t i = 0; i < address->length && i < sizeof address->path; i++)
        put(to, address->path[i] == '\0' ? '@' : address->path[i]);
}

static void put_address(output *to, const tina_address *address)
{
    if (address->family == TINA_UNIX) {
        put_unix(to, address);
        return;
    }
    if (address->family == TINA_IPV4)
        put_ipv4(to, address->ipv4);
    else if (address->family == TINA_IPV6)
        put_bracketed(to, address);
    else
        return;
    put(to, ':');
    put_number(to, address->port, 10);
}

size_t tina_address_format(const tina_address *address, char *text, size_t size)
{
    output to = {.text = text, .size = size};
    if (address != NULL)
        put_address(&to, address);
    if (size > 0)
        text[to.length < size ? to.length : size - 1] = '\0';
    return to.length;
}
