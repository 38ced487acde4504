#include "metrics/writer.h"

#include <string.h>

#define NS_PER_S 1000000000u

enum { FIRST_BOUND = 8, LAST_BOUND = 30, BOUND_STEP = 2 }; /* exponents of two: 256 ns, 1.07 s */
TINA_STATIC_ASSERT(LAST_BOUND <= TINA_HISTOGRAM_BUCKETS - 1, "the last bucket has no upper bound");

void tina__metrics_write_into(tina_metrics_writer *writer, char *text, uint32_t capacity)
{
    writer->text = text;
    writer->size = 0;
    writer->capacity = capacity;
    writer->is_cut = false;
}

/* ---- Bytes: past the end nothing is written, and the size says how much it would have been ---- */

static void put_byte(tina_metrics_writer *to, char byte)
{
    if (to->size < to->capacity)
        to->text[to->size] = byte;
    to->size++; /* no overflow: what is written at once is a few texts */
}

static void put(tina_metrics_writer *to, const char *text)
{
    for (; *text != '\0'; text++)
        put_byte(to, *text);
}

static void put_number(tina_metrics_writer *to, uint64_t number)
{
    char digits[21];
    uint32_t first = sizeof digits - 1;
    digits[first] = '\0';
    do {
        digits[--first] = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    put(to, digits + first);
}

/* Without zeros at the end. */
static void put_seconds(tina_metrics_writer *to, uint64_t ns)
{
    put_number(to, ns / NS_PER_S);
    uint32_t rest = (uint32_t)(ns % NS_PER_S);
    if (rest != 0)
        put_byte(to, '.');
    for (uint32_t unit = NS_PER_S / 10; rest != 0; unit /= 10) {
        put_byte(to, (char)('0' + rest / unit));
        rest %= unit;
    }
}

/* ---- Text ---- */

static bool is_continuation(uint8_t byte) { return (byte & 0xC0) == 0x80; }

/* How many bytes of UTF-8 the character has; 0: it is none. */
static uint32_t character_size(const uint8_t *at)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint32_t size = at[0] < 0x80             ? 1
                    : (at[0] & 0xE0) == 0xC0 ? 2
                    : (at[0] & 0xF0) == 0xE0 ? 3
                    : (at[0] & 0xF8) == 0xF0 ? 4
                                             : 0;
    uint32_t code = size == 1 ? at[0] : at[0] & (0x7Fu >> size);
    for (uint32_t i = 1; i < size; i++) { /* a final zero ends it, too */
        if (!is_continuation(at[i]))
            return 0;
        code = code << 6 | (at[i] & 0x3Fu);
    }
    bool is_surrogate = code >= 0xD800 && code <= 0xDFFF;
    return size == 0 || code < least[size] || code > 0x10FFFF || is_surrogate ? 0 : size;
}

/* Text that is no UTF-8 would make a scraper refuse all of the answer. */
static void put_escaped(tina_metrics_writer *to, const char *text, bool has_quotes)
{
    while (*text != '\0') {
        uint32_t size = character_size((const uint8_t *)text);
        if (size == 0)
            put_byte(to, '?');
        else if (*text == '\n')
            put(to, "\\n");
        else if (*text == '\\' || (*text == '"' && has_quotes))
            put_byte(to, '\\'), put_byte(to, *text);
        else
            for (uint32_t i = 0; i < size; i++)
                put_byte(to, text[i]);
        text += size != 0 ? size : 1;
    }
}

static void put_label(tina_metrics_writer *to, const char *name, const char *value)
{
    put(to, name);
    put(to, "=\"");
    put_escaped(to, value, true);
    put_byte(to, '"');
}

static void put_labels(tina_metrics_writer *to, const tina_metrics_label *labels, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i != 0)
            put_byte(to, ',');
        put_label(to, labels[i].name, labels[i].value);
    }
}

/* ---- Lines ---- */

/* False: there was no room for what came behind start, and it is gone. */
static bool is_whole(tina_metrics_writer *writer, uint32_t start)
{
    if (writer->size <= writer->capacity)
        return true;
    writer->size = start;
    writer->is_cut = true;
    return false;
}

/* Samples of a family that has no heading are left out with it. */
static bool has_family(tina_metrics_writer *writer)
{
    writer->is_cut = writer->is_cut || writer->family[0] == '\0';
    return writer->family[0] != '\0';
}

static void put_heading(tina_metrics_writer *to, const char *name, tina_metrics_kind kind, const char *help)
{
    static const char *const kinds[] = {
        [TINA_METRICS_COUNTER] = " counter\n", [TINA_METRICS_GAUGE] = " gauge\n", [TINA_METRICS_HISTOGRAM] = " histogram\n"};
    put(to, "# HELP ");
    put(to, name);
    put_byte(to, ' ');
    put_escaped(to, help, false);
    put(to, "\n# TYPE ");
    put(to, name);
    put(to, kind <= TINA_METRICS_HISTOGRAM ? kinds[kind] : " untyped\n");
}

void tina_metrics_family(tina_metrics_writer *writer, const char *name, tina_metrics_kind kind, const char *help)
{
    uint32_t start = writer->size;
    size_t length = strnlen(name, TINA_METRICS_NAME_MAX + 1);
    bool fits = length != 0 && length <= TINA_METRICS_NAME_MAX;
    writer->family[0] = '\0';
    writer->is_cut = writer->is_cut || !fits;
    if (!fits)
        return;
    put_heading(writer, name, kind, help);
    if (is_whole(writer, start))
        memcpy(writer->family, name, length + 1);
}

/* The name, the labels in their braces, a blank. */
static void put_sample(tina_metrics_writer *to, const char *ending, const tina_metrics_label *labels, size_t count)
{
    put(to, to->family);
    put(to, ending);
    if (count != 0) {
        put_byte(to, '{');
        put_labels(to, labels, count);
        put_byte(to, '}');
    }
    put_byte(to, ' ');
}

void tina_metrics_number(tina_metrics_writer *writer, const tina_metrics_label *labels, size_t label_count, uint64_t number)
{
    uint32_t start = writer->size;
    if (!has_family(writer))
        return;
    put_sample(writer, "", labels, label_count);
    put_number(writer, number);
    put_byte(writer, '\n');
    is_whole(writer, start);
}

void tina_metrics_seconds(tina_metrics_writer *writer, const tina_metrics_label *labels, size_t label_count, uint64_t ns)
{
    uint32_t start = writer->size;
    if (!has_family(writer))
        return;
    put_sample(writer, "", labels, label_count);
    put_seconds(writer, ns);
    put_byte(writer, '\n');
    is_whole(writer, start);
}

/* ---- Histograms ---- */

/* bound: an exponent of two; 0: all. */
static void put_bucket(tina_metrics_writer *to, const tina_metrics_label *labels, size_t count, uint32_t bound,
                       uint64_t below)
{
    put(to, to->family);
    put(to, "_bucket{");
    put_labels(to, labels, count);
    put(to, count != 0 ? ",le=\"" : "le=\"");
    if (bound != 0)
        put_seconds(to, 1ull << bound);
    else
        put(to, "+Inf");
    put(to, "\"} ");
    put_number(to, below);
    put_byte(to, '\n');
}

/* The count is the sum of the buckets: read while others write, the histogram's own may be one ahead. */
static void put_histogram(tina_metrics_writer *to, const tina_metrics_label *labels, size_t count,
                          const tina_histogram *histogram)
{
    uint64_t below = 0;
    for (uint32_t i = 0; i < TINA_HISTOGRAM_BUCKETS; i++) {
        if (i >= FIRST_BOUND && i <= LAST_BOUND && (i - FIRST_BOUND) % BOUND_STEP == 0)
            put_bucket(to, labels, count, i, below);
        below += histogram->buckets[i];
    }
    put_bucket(to, labels, count, 0, below);
    put_sample(to, "_sum", labels, count);
    put_seconds(to, histogram->sum_ns);
    put_byte(to, '\n');
    put_sample(to, "_count", labels, count);
    put_number(to, below);
    put_byte(to, '\n');
}

void tina_metrics_histogram(tina_metrics_writer *writer, const tina_metrics_label *labels, size_t label_count,
                            const tina_histogram *histogram)
{
    uint32_t start = writer->size;
    if (!has_family(writer))
        return;
    put_histogram(writer, labels, label_count, histogram);
    is_whole(writer, start);
}
