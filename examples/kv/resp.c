#include "resp.h"

#include <string.h>

bool resp_to_integer(resp_text text, int64_t *number)
{
    const uint8_t *digit = text.data, *end = text.data + text.size;
    bool is_negative = text.size > 1 && *digit == '-';
    digit += is_negative;
    if (digit == end || end - digit > 19)
        return false;
    if (*digit == '0') {
        *number = 0;
        return text.size == 1;
    }
    uint64_t sum = 0;
    for (; digit < end; digit++) {
        if (*digit < '0' || *digit > '9')
            return false;
        sum = sum * 10 + (uint64_t)(*digit - '0'); /* 19 digits fit */
    }
    if (sum > (uint64_t)INT64_MAX + is_negative)
        return false;
    *number = is_negative ? (int64_t)(0 - sum) : (int64_t)sum;
    return true;
}

uint32_t resp_put_number(uint8_t *out, int64_t number)
{
    uint8_t digits[20];
    uint32_t count = 0, size = 0;
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    do {
        digits[count++] = (uint8_t)('0' + rest % 10);
        rest /= 10;
    } while (rest != 0);
    if (number < 0)
        out[size++] = '-';
    while (count > 0)
        out[size++] = digits[--count];
    return size;
}

uint32_t resp_put_line(uint8_t *out, uint8_t mark, int64_t number)
{
    out[0] = mark;
    uint32_t size = 1 + resp_put_number(out + 1, number);
    out[size++] = '\r';
    out[size++] = '\n';
    return size;
}

bool resp_is_word(resp_text text, const char *word)
{
    for (uint32_t i = 0; i < text.size; i++) {
        uint8_t letter = text.data[i];
        if (letter >= 'A' && letter <= 'Z')
            letter = (uint8_t)(letter + ('a' - 'A'));
        if (letter == 0 || letter != (uint8_t)word[i]) /* the final zero of word is no letter either */
            return false;
    }
    return word[text.size] == 0;
}

/* ---- Arrays -------------------------------------------------------------------- */

/* From behind the mark up to the line end. most: of the number. */
static resp_status read_line(const uint8_t *data, size_t size, int64_t least, int64_t most, resp_line *line)
{
    size_t within = size < RESP_LINE_MAX ? size : RESP_LINE_MAX, end = 1;
    while (end < within && data[end] != '\r')
        end++;
    if (end == RESP_LINE_MAX)
        return RESP_BAD;
    if (end + 1 >= size)
        return RESP_PART;
    line->used = (uint32_t)end + 2;
    if (!resp_to_integer((resp_text){data + 1, (uint32_t)end - 1}, &line->number))
        return RESP_BAD;
    return line->number < least || line->number > most ? RESP_BAD : RESP_WHOLE;
}

resp_status resp_read_count(const uint8_t *data, size_t size, resp_line *line)
{
    line->used = 0;
    resp_status status = size == 0 ? RESP_PART : read_line(data, size, INT64_MIN, RESP_COUNT_MAX, line);
    if (status == RESP_BAD)
        line->error = line->used == 0 ? "too big mbulk count string" : "invalid multibulk length";
    return status;
}

resp_status resp_read_length(const uint8_t *data, size_t size, resp_line *line)
{
    line->used = 0;
    line->error = NULL;
    if (size == 0)
        return RESP_PART;
    if (data[0] != '$')
        return RESP_BAD;
    resp_status status = read_line(data, size, 0, RESP_BULK_MAX, line);
    if (status == RESP_BAD)
        line->error = line->used == 0 ? "too big bulk count string" : "invalid bulk length";
    return status;
}

/* What stands in place of the line end behind an argument, nobody looks at; nor does Redis. */
resp_status resp_read_args(const uint8_t *data, size_t size, uint32_t expected, resp_args *args)
{
    uint32_t used = 0;
    resp_line line;
    args->next_size = args->next_line = 0;
    for (args->count = 0; args->count < expected; args->count++) {
        args->used = used;
        resp_status status = resp_read_length(data + used, size - used, &line);
        if (status == RESP_BAD) {
            args->bad = line;
            args->unexpected = data[used];
        }
        if (status != RESP_WHOLE)
            return status;
        uint32_t length = (uint32_t)line.number;
        if (size - used - line.used < (size_t)length + 2) {
            args->next_size = length;
            args->next_line = line.used;
            return RESP_PART;
        }
        args->argv[args->count] = (resp_text){data + used + line.used, length};
        used += line.used + length + 2;
    }
    args->used = used;
    return RESP_WHOLE;
}

/* ---- Lines of words -------------------------------------------------------------- */

static bool is_blank(uint8_t letter) { return letter == ' ' || (letter >= '\t' && letter <= '\r') || letter == 0; }

static int hex_value(uint8_t letter)
{
    if (letter >= '0' && letter <= '9')
        return letter - '0';
    letter |= 0x20;
    return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

/* A letter within double quotes, from the \ on. Returns how many bytes it takes. */
static uint32_t read_escape(const uint8_t *data, const uint8_t *end, uint8_t *letter)
{
    static const char names[] = "nrtba", letters[] = "\n\r\t\b\a";
    if (end - data >= 4 && data[1] == 'x' && hex_value(data[2]) >= 0 && hex_value(data[3]) >= 0) {
        *letter = (uint8_t)(hex_value(data[2]) * 16 + hex_value(data[3]));
        return 4;
    }
    const char *name = data[1] == 0 ? NULL : strchr(names, data[1]);
    *letter = name == NULL ? data[1] : (uint8_t)letters[name - names];
    return 2;
}

/* Of a word within quotes of one kind. Returns behind the closing one, or NULL: there is none, or a letter behind it. */
static const uint8_t *read_quoted(const uint8_t *data, const uint8_t *end, uint8_t *word, uint32_t *size)
{
    uint8_t quote = *data++;
    while (data < end && *data != quote) {
        uint32_t used = 1;
        uint8_t letter = *data;
        if (letter == '\\' && quote == '"' && end - data >= 2)
            used = read_escape(data, end, &letter);
        else if (letter == '\\' && quote == '\'' && end - data >= 2 && data[1] == '\'')
            letter = data[used++];
        word[(*size)++] = letter;
        data += used;
    }
    if (data == end || (data + 1 < end && !is_blank(data[1])))
        return NULL;
    return data + 1;
}

static const uint8_t *read_word(const uint8_t *data, const uint8_t *end, uint8_t *word, uint32_t *size)
{
    *size = 0;
    while (data < end && !is_blank(*data)) {
        if (*data == '"' || *data == '\'')
            return read_quoted(data, end, word, size);
        word[(*size)++] = *data++;
    }
    return data;
}

/* Counts the words, or writes them, too. Less than 0: quotes that do not match. */
static int walk_words(const uint8_t *data, const uint8_t *end, uint8_t *out, uint32_t *written)
{
    uint8_t word[RESP_INLINE_MAX];
    int count = 0;
    for (;; count++) {
        uint32_t size;
        while (data < end && is_blank(*data))
            data++;
        if (data == end)
            return count;
        data = read_word(data, end, word, &size);
        if (data == NULL)
            return -1;
        if (out == NULL)
            continue;
        *written += resp_put_line(out + *written, '$', size);
        memcpy(out + *written, word, size);
        memcpy(out + *written + size, "\r\n", 2);
        *written += size + 2;
    }
}

resp_status resp_read_inline(const uint8_t *data, size_t size, uint8_t *out, uint32_t *used, uint32_t *written,
                             const char **error)
{
    const uint8_t *end = memchr(data, '\n', size < RESP_INLINE_MAX ? size : RESP_INLINE_MAX);
    *used = *written = 0;
    *error = size < RESP_INLINE_MAX ? NULL : "too big inline request";
    if (end == NULL)
        return size < RESP_INLINE_MAX ? RESP_PART : RESP_BAD;
    int count = walk_words(data, end, NULL, NULL);
    *error = "unbalanced quotes in request";
    if (count < 0)
        return RESP_BAD;
    *used = (uint32_t)(end - data) + 1;
    if (count > 0) {
        *written = resp_put_line(out, '*', count);
        walk_words(data, end, out, written);
    }
    return RESP_WHOLE;
}
