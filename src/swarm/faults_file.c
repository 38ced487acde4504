#include "swarm/faults_file.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

enum { LINE_MAX_BYTES = 256 };

typedef struct reader {
    tina__knobs *knobs;
    unsigned line;
    unsigned given_in[TINA__KNOB_COUNT]; /* which line; 0: none yet */
    char *error;
} reader;

/* Always false. */
static bool __attribute__((format(printf, 2, 3))) refuse(const reader *at, const char *format, ...)
{
    int used = snprintf(at->error, TINA__FAULTS_FILE_ERROR, "%u: ", at->line);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(at->error + used, TINA__FAULTS_FILE_ERROR - (size_t)used, format, arguments);
    va_end(arguments);
    return false;
}

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

static const char *skip_blanks(const char *text)
{
    while (is_blank(*text))
        text++;
    return text;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* Moves *text behind the number. False: there is none, or it is more than most. */
static bool read_number(const char **text, uint64_t most, uint64_t *number)
{
    const char *at = *text;
    *number = 0;
    while (is_digit(*at)) {
        uint64_t digit = (uint64_t)(*at++ - '0');
        if (digit > most || *number > (most - digit) / 10)
            return false;
        *number = *number * 10 + digit;
    }
    bool is_there = at != *text;
    *text = at;
    return is_there;
}

static bool read_mark(const char **text, const char *mark)
{
    size_t length = strlen(mark);
    if (strncmp(*text, mark, length) != 0)
        return false;
    *text += length;
    return true;
}

static bool read_pair(const char **text, const char *mark, tina__setting *setting)
{
    return read_number(text, UINT32_MAX, &setting->first) && read_mark(text, mark) &&
           read_number(text, UINT32_MAX, &setting->second);
}

static bool read_ratio(const reader *at, const char *name, const char **text, tina__setting *setting)
{
    if (!read_pair(text, "/", setting))
        return refuse(at, "%s must be a ratio, such as 1/1000", name);
    return setting->second >= setting->first ? true : refuse(at, "%s must be at most 1/1", name);
}

static bool read_range(const reader *at, const char *name, const char **text, tina__setting *setting)
{
    if (!read_pair(text, "..", setting))
        return refuse(at, "%s must be a range, such as 3..10", name);
    return setting->second >= setting->first ? true : refuse(at, "%s must not end below where it begins", name);
}

static bool read_value(const reader *at, tina__knob knob, const char **text, tina__setting *setting)
{
    const char *name = tina__knob_name(knob);
    uint64_t most = tina__knob_most(knob);
    *setting = (tina__setting){0};
    switch (tina__knob_form_of(knob)) {
    case TINA__FORM_RATIO: return read_ratio(at, name, text, setting);
    case TINA__FORM_RANGE: return read_range(at, name, text, setting);
    default:
        if (read_number(text, most, &setting->first))
            return true;
        return refuse(at, "%s must be a number of at most %" PRIu64, name, most);
    }
}

static size_t name_length(const char *text)
{
    size_t length = 0;
    while ((text[length] >= 'a' && text[length] <= 'z') || text[length] == '_')
        length++;
    return length;
}

static bool read_line(reader *at, const char *text)
{
    text = skip_blanks(text);
    if (*text == '\0')
        return true;
    size_t length = name_length(text);
    tina__knob knob = tina__knob_find(text, length);
    if (knob == TINA__KNOB_COUNT)
        return refuse(at, "'%.*s' is no field of tina_faults and no limit of tina_system_spec that can be set here",
                      (int)(length != 0 ? length : strcspn(text, " \t\r\n")), text);
    if (at->given_in[knob] != 0)
        return refuse(at, "%s stands in line %u already", tina__knob_name(knob), at->given_in[knob]);
    at->given_in[knob] = at->line;
    text = skip_blanks(text + length);
    if (!read_mark(&text, "="))
        return refuse(at, "behind %s must come '='", tina__knob_name(knob));
    text = skip_blanks(text);
    if (!read_value(at, knob, &text, &at->knobs->of[knob]))
        return false;
    text = skip_blanks(text);
    return *text == '\0' || refuse(at, "nothing may come behind the value of %s", tina__knob_name(knob));
}

bool tina__faults_read(FILE *from, tina__knobs *knobs, char error[TINA__FAULTS_FILE_ERROR])
{
    char line[LINE_MAX_BYTES];
    reader at = {.knobs = knobs, .error = error};
    *knobs = (tina__knobs){0};
    while (fgets(line, sizeof line, from) != NULL) {
        at.line++;
        if (strchr(line, '\n') == NULL && !feof(from))
            return refuse(&at, "a line must be shorter than %d bytes", LINE_MAX_BYTES - 1);
        line[strcspn(line, "#")] = '\0';
        if (!read_line(&at, line))
            return false;
    }
    at.line++;
    return !ferror(from) || refuse(&at, "can't be read");
}

void tina__faults_write(FILE *to, const tina__knobs *knobs, const char *indent)
{
    char text[TINA__SETTING_TEXT];
    for (tina__knob knob = 0; knob < TINA__KNOB_COUNT; knob++) {
        if (!tina__knob_is_on(knobs, knob))
            continue;
        tina__setting_print(knob, knobs->of[knob], text);
        fprintf(to, "%s%s = %s\n", indent, tina__knob_name(knob), text);
    }
}
