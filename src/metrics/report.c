#include "metrics/report.h"

#include "metrics/families.h"

#include <string.h>

TINA_STATIC_ASSERT(sizeof(((tina__report *)0)->shared_names) * 8 >= TINA_TYPES_MAX, "a bit for each type");

enum { LABELS_MAX = 3, INDEX_TEXT = 4 };

/* ---- Labels ---- */

typedef struct label_list {
    tina_metrics_label labels[LABELS_MAX];
    uint32_t count;
    char shard[INDEX_TEXT], type[INDEX_TEXT];
} label_list;

static void add_label(label_list *list, const char *name, const char *value)
{
    list->labels[list->count++] = (tina_metrics_label){name, value};
}

/* Of 0 to 255. */
static const char *index_text(char text[INDEX_TEXT], uint32_t index)
{
    char *end = text;
    if (index >= 100)
        *end++ = (char)('0' + index / 100 % 10);
    if (index >= 10)
        *end++ = (char)('0' + index / 10 % 10);
    *end++ = (char)('0' + index % 10);
    *end = '\0';
    return text;
}

static bool is_shared(const tina__report *report, uint32_t type)
{
    return (report->shared_names[type / 64] >> (type % 64) & 1) != 0;
}

/* ---- Samples ---- */

static uint64_t read_64(const void *from, size_t offset)
{
    uint64_t number;
    memcpy(&number, (const char *)from + offset, sizeof number);
    return number;
}

static uint32_t read_32(const void *from, size_t offset)
{
    uint32_t number;
    memcpy(&number, (const char *)from + offset, sizeof number);
    return number;
}

static void write_value(tina_metrics_writer *to, const tina__family *family, const label_list *list, const void *from,
                        size_t offset)
{
    const tina_metrics_label *labels = list->labels;
    switch (family->reading) {
    case TINA__READ_32: tina_metrics_number(to, labels, list->count, read_32(from, offset)); break;
    case TINA__READ_NS: tina_metrics_seconds(to, labels, list->count, read_64(from, offset)); break;
    case TINA__READ_HISTOGRAM: {
        tina_histogram histogram;
        memcpy(&histogram, (const char *)from + offset, sizeof histogram);
        tina_metrics_histogram(to, labels, list->count, &histogram);
        break;
    }
    default: tina_metrics_number(to, labels, list->count, read_64(from, offset));
    }
}

static void write_system(tina_metrics_writer *to, tina_ctx *ctx)
{
    static const char *const backends[] = {
        [TINA_BACKEND_URING] = "io_uring", [TINA_BACKEND_EPOLL] = "epoll", [TINA_BACKEND_SIM] = "simulation"};
    tina_stats stats = {0};
    tina_ignore(tina_stats_of(ctx, tina_shard(ctx), &stats)); /* never refused: it is this shard */
    bool is_known = stats.backend < sizeof backends / sizeof backends[0] && backends[stats.backend] != NULL;
    const tina_metrics_label labels[] = {{"version", tina_version()},
                                         {"backend", is_known ? backends[stats.backend] : "other"}};
    tina_metrics_number(to, labels, 2, 1);
}

static void write_shard(const tina__report *report, tina_metrics_writer *to, const tina__family *family, tina_ctx *ctx)
{
    tina_stats stats;
    label_list list = {.count = 0};
    if (tina_stats_of(ctx, (uint8_t)report->shard, &stats) != TINA_OK)
        return;
    add_label(&list, "shard", index_text(list.shard, report->shard));
    if (family->rows == NULL)
        write_value(to, family, &list, &stats, family->offset);
    for (uint32_t i = 0; i < family->row_count; i++) {
        list.count = 1;
        add_label(&list, family->label, family->rows[i].value);
        if (family->reading == TINA__READ_STATE)
            tina_metrics_number(to, list.labels, list.count, stats.state == i);
        else
            write_value(to, family, &list, &stats, (size_t)family->rows[i].offset + family->offset);
    }
}

/* False: there is no such type. One that has no slots on that shard is not told of. */
static bool write_type(const tina__report *report, tina_metrics_writer *to, const tina__family *family, tina_ctx *ctx)
{
    tina_type_stats stats;
    label_list list = {.count = 0};
    if (report->type == TINA_TYPES_MAX ||
        tina_type_stats_of(ctx, (uint8_t)report->shard, (uint8_t)report->type, &stats) != TINA_OK)
        return false;
    if (stats.slots == 0)
        return true;
    add_label(&list, "shard", index_text(list.shard, report->shard));
    add_label(&list, "type", stats.name);
    if (is_shared(report, report->type))
        add_label(&list, "index", index_text(list.type, report->type));
    write_value(to, family, &list, &stats, family->offset);
    return true;
}

/* ---- The cursor ---- */

static void next_family(tina__report *report)
{
    report->family++;
    report->shard = report->type = 0;
    report->has_heading = false;
}

static void next_shard(tina__report *report, const tina_ctx *ctx)
{
    report->type = 0;
    if (++report->shard == tina_shard_count(ctx))
        next_family(report);
}

/* The heading of a family, or one shard's or type's samples of it; and the cursor stands behind. */
static void write_unit(tina__report *report, tina_ctx *ctx)
{
    const tina__family *family = &tina__families[report->family];
    tina_metrics_writer *to = &report->writer;
    if (!report->has_heading) {
        tina_metrics_family(to, family->name, (tina_metrics_kind)family->kind, family->help);
        report->has_heading = true;
    } else if (family->source == TINA__FROM_SYSTEM) {
        write_system(to, ctx);
        next_family(report);
    } else if (family->source == TINA__FROM_SHARD) {
        write_shard(report, to, family, ctx);
        next_shard(report, ctx);
    } else if (write_type(report, to, family, ctx)) {
        report->type++;
    } else {
        next_shard(report, ctx);
    }
}

/* False: it did not fit behind what is there, and comes again. One that would not fit into any piece is left out. */
static bool write_whole_unit(tina__report *report, tina_ctx *ctx)
{
    report->writer.is_cut = false;
    tina__report before = *report;
    write_unit(report, ctx);
    if (!report->writer.is_cut || before.writer.size == 0)
        return true;
    *report = before;
    return false;
}

/* ---- The program's own ---- */

/* True: there may be another part. */
static bool write_part(tina__report *report, const tina_metrics_args *args, tina_ctx *ctx)
{
    tina_metrics_writer *to = &report->writer;
    uint32_t capacity = to->capacity;
    to->capacity = to->size + TINA_METRICS_PART_MAX;
    to->is_cut = false;
    bool has_more = args->extra(to, report->part, args->user);
    to->capacity = capacity;
    if (to->is_cut && !report->has_warned)
        tina_log(ctx, TINA_LOG_WARN, "part %u of the program's own metrics has a line too many, or a name too long",
                 (unsigned)report->part);
    report->has_warned = report->has_warned || to->is_cut;
    return has_more && ++report->part < TINA__REPORT_PARTS_MAX;
}

static bool write_parts(tina__report *report, const tina_metrics_args *args, tina_ctx *ctx)
{
    if (args->extra == NULL)
        return false;
    if (report->part == 0)
        report->writer.family[0] = '\0';
    while (report->writer.capacity - report->writer.size >= TINA_METRICS_PART_MAX) {
        if (!write_part(report, args, ctx))
            return false;
    }
    return true;
}

/* ---- All of it ---- */

/* FNV-1a. Two names that only seem to be the same get an index that they did not need. */
static uint64_t hash_of(const char *name)
{
    uint64_t hash = 0xCBF29CE484222325u;
    for (; *name != '\0'; name++)
        hash = (hash ^ (uint8_t)*name) * 0x100000001B3u;
    return hash;
}

static void find_shared_names(tina__report *report, tina_ctx *ctx)
{
    uint64_t hashes[TINA_TYPES_MAX];
    tina_type_stats stats;
    for (uint32_t i = 0; i < TINA_TYPES_MAX && tina_type_stats_of(ctx, 0, (uint8_t)i, &stats) == TINA_OK; i++) {
        hashes[i] = hash_of(stats.name);
        for (uint32_t k = 0; k < i; k++) {
            if (hashes[k] == hashes[i]) {
                report->shared_names[i / 64] |= 1ull << (i % 64);
                report->shared_names[k / 64] |= 1ull << (k % 64);
            }
        }
    }
}

void tina__report_begin(tina__report *report, tina_ctx *ctx)
{
    memset(report, 0, sizeof *report);
    find_shared_names(report, ctx);
}

bool tina__report_write(tina__report *report, const tina_metrics_args *args, char *text, uint32_t *size, tina_ctx *ctx)
{
    tina__metrics_write_into(&report->writer, text, *size);
    bool has_room = true;
    while (has_room && report->family < tina__family_count)
        has_room = write_whole_unit(report, ctx);
    bool has_more = !has_room || write_parts(report, args, ctx);
    *size = report->writer.size;
    return has_more;
}
