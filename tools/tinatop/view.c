#include "view.h"

#include <inttypes.h>
#include <string.h>

#define SAMPLES_MIN 20 /* an interval with fewer says little: then all since the start */

typedef struct page_view {
    FILE *to;
    const page_snapshot *now, *earlier; /* earlier: NULL: nothing was before */
    double seconds;                     /* between them */
} page_view;

/* ---- Numbers ------------------------------------------------------------------------------------- */

/* In at most five characters: 999, 1.2k, 123k, 1.2M. */
static const char *short_number(double number, char text[16])
{
    static const char units[] = {' ', 'k', 'M', 'G', 'T', 'P', 'E'};
    size_t unit = 0;
    while (number >= 999.5 && unit + 1 < sizeof units) {
        number /= 1000;
        unit++;
    }
    if (unit == 0)
        snprintf(text, 16, number > 0 && number < 9.95 ? "%.1f" : "%.0f", number);
    else
        snprintf(text, 16, number < 9.95 ? "%.1f%c" : "%.0f%c", number, units[unit]);
    return text;
}

static const char *short_time(double ns, char text[16])
{
    static const char *const units[] = {"ns", "us", "ms", "s"};
    size_t unit = 0;
    while (ns >= 999.5 && unit < 3) {
        ns /= 1000;
        unit++;
    }
    snprintf(text, 16, ns < 9.95 && unit != 0 ? "%.1f%s" : "%.0f%s", ns, units[unit]);
    return text;
}

/* What was counted since; nothing where it went back, which no page of a system's does. */
static double since(uint64_t now, uint64_t earlier) { return now > earlier ? (double)(now - earlier) : 0; }

/* ---- What is summed over shards -------------------------------------------------------------------- */

#define RATE(view, shard, counter)                                                                                          \
    rate((view), (view)->now->shards[shard].counter, (view)->earlier != NULL ? (view)->earlier->shards[shard].counter : 0)

static double rate(const page_view *view, uint64_t now, uint64_t earlier)
{
    return view->seconds > 0 ? since(now, earlier) / view->seconds : 0;
}

/* Which share of the time it had something to do, in percent. */
static double busy(const page_view *view, size_t shard)
{
    double idle = RATE(view, shard, idle_ns) / 1e9;
    return view->seconds > 0 && idle < 1 ? 100 * (1 - idle) : 0;
}

static uint64_t shed_by(const tina_stats *stats)
{
    return stats->mailbox_full + stats->channel_full + stats->pool_exhausted + stats->arrived_full +
           stats->arrived_exhausted + stats->inbox_full + stats->arena_full + stats->group_full;
}

static double shed_rate(const page_view *view, size_t shard)
{
    return rate(view, shed_by(&view->now->shards[shard]),
                view->earlier != NULL ? shed_by(&view->earlier->shards[shard]) : 0);
}

/* ---- The head ---------------------------------------------------------------------------------------- */

static void write_head(const page_view *view, snapshot_state state, const char *path)
{
    const tina__page *page = &view->now->page;
    uint64_t up = page->written_ns > page->started_ns ? (page->written_ns - page->started_ns) / 1000000000 : 0;
    fprintf(view->to, "%s  libtina %s  process %" PRIu64 "  up %" PRIu64 ":%02u:%02u  ", path, page->library, page->writer,
            up / 3600, (unsigned)(up / 60 % 60), (unsigned)(up % 60));
    if (view->earlier != NULL)
        fprintf(view->to, "rates of the last %.1f s\n", view->seconds);
    else
        fprintf(view->to, "averages since the start\n");
    if (state == SNAPSHOT_LEFT)
        fprintf(view->to, "Process %" PRIu64 " is gone: these are its last numbers.\n", page->writer);
}

/* ---- Shards ---------------------------------------------------------------------------------------------- */

static const char *state_name(uint8_t state)
{
    static const char *const names[] = {"starting", "running", "quarantined", "draining", "ended"};
    return state < sizeof names / sizeof names[0] ? names[state] : "?";
}

static void write_number(const page_view *view, double number)
{
    char text[16];
    fprintf(view->to, " %7s", short_number(number, text));
}

static void write_count(const page_view *view, uint64_t count)
{
    if (count < 10000)
        fprintf(view->to, " %7" PRIu64, count);
    else
        write_number(view, (double)count);
}

static void write_shard(const page_view *view, size_t shard)
{
    const tina_stats *stats = &view->now->shards[shard];
    fprintf(view->to, "%5zu %-11s %4.0f%%", shard, state_name(stats->state), busy(view, shard));
    write_number(view, RATE(view, shard, ticks));
    write_number(view, RATE(view, shard, dispatches));
    write_number(view, RATE(view, shard, sent_local));
    write_number(view, RATE(view, shard, sent_remote));
    write_number(view, RATE(view, shard, bytes_in));
    write_number(view, RATE(view, shard, bytes_out));
    write_number(view, shed_rate(view, shard));
    write_count(view, stats->isolates);
    write_count(view, stats->faults);
    write_count(view, stats->crashes);
    write_count(view, stats->restarts);
    write_count(view, stats->shard_restarts);
    fprintf(view->to, "\n");
}

static void write_shards(const page_view *view)
{
    fprintf(view->to, "\n%5s %-11s %5s %7s %7s %7s %7s %7s %7s %7s %7s %7s %7s %7s %7s\n", "SHARD", "STATE", "BUSY",
            "TICK/s", "HANDL/s", "SENT/s", "REMOT/s", "IN B/s", "OUT B/s", "SHED/s", "ISOLAT", "FAULTS", "CRASHES",
            "RESTART", "ANEW");
    for (size_t i = 0; i < view->now->page.shard_count; i++)
        write_shard(view, i);
}

/* ---- Pools ------------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    size_t offset;
} pools[] = {
    {"messages", offsetof(tina_stats, messages)},   {"timers", offsetof(tina_stats, timers)},
    {"watches", offsetof(tina_stats, watches)},     {"operations", offsetof(tina_stats, ops)},
    {"buffers", offsetof(tina_stats, buffers)},     {"descriptors", offsetof(tina_stats, fds)},
    {"transfers", offsetof(tina_stats, transfers)},
};

/* Pools are per shard: what counts is the one that was fullest. */
static void write_pool(const page_view *view, const char *name, size_t offset)
{
    uint64_t used = 0, limit = 0;
    uint32_t fullest = 0;
    double most = -1;
    tina_usage worst = {0};
    for (uint32_t i = 0; i < view->now->page.shard_count; i++) {
        const tina_usage *usage = (const tina_usage *)(const void *)((const char *)&view->now->shards[i] + offset);
        double share = usage->limit != 0 ? (double)usage->peak / usage->limit : 0;
        used += usage->used;
        limit += usage->limit;
        if (share <= most)
            continue;
        most = share;
        fullest = i;
        worst = *usage;
    }
    if (limit == 0)
        return;
    fprintf(view->to, "%-12s %10" PRIu64 " %10" PRIu64 "   shard %3u: %10u %10u %10u %4.0f%%\n", name, used, limit, fullest,
            worst.used, worst.peak, worst.limit, 100 * most);
}

static void write_pools(const page_view *view)
{
    fprintf(view->to, "\n%-12s %10s %10s   %10s %10s %10s %10s %5s\n", "POOL", "USED", "LIMIT", "FULLEST:  ", "USED", "PEAK",
            "LIMIT", "PEAK");
    for (size_t i = 0; i < sizeof pools / sizeof pools[0]; i++)
        write_pool(view, pools[i].name, pools[i].offset);
}

/* ---- Types ------------------------------------------------------------------------------------------------- */

/* One type over all shards. */
typedef struct type_sum {
    uint64_t isolates, peak, slots;
    double dispatches, shed; /* a second */
    uint64_t faults, crashes, restarts;
    tina_histogram handler_ns, wait_ns;         /* since earlier */
    tina_histogram handler_ns_all, wait_ns_all; /* since the start */
} type_sum;

static void add_histogram(tina_histogram *sum, const tina_histogram *now, const tina_histogram *earlier)
{
    for (int i = 0; i < TINA_HISTOGRAM_BUCKETS; i++) {
        uint64_t before = earlier != NULL ? earlier->buckets[i] : 0;
        uint64_t count = now->buckets[i] > before ? now->buckets[i] - before : 0;
        sum->buckets[i] += count;
        sum->count += count;
    }
}

static void add_type(const page_view *view, type_sum *sum, size_t index)
{
    static const tina_type_stats nothing;
    const tina_type_stats *now = &view->now->types[index];
    const tina_type_stats *earlier = view->earlier != NULL ? &view->earlier->types[index] : &nothing;
    sum->isolates += now->isolates;
    sum->peak += now->peak;
    sum->slots += now->slots;
    sum->dispatches += rate(view, now->dispatches, earlier->dispatches);
    sum->shed += rate(view, now->mailbox_full, earlier->mailbox_full) + rate(view, now->arena_full, earlier->arena_full);
    sum->faults += now->faults;
    sum->crashes += now->crashes;
    sum->restarts += now->restarts;
    add_histogram(&sum->handler_ns, &now->handler_ns, &earlier->handler_ns);
    add_histogram(&sum->wait_ns, &now->wait_ns, &earlier->wait_ns);
    add_histogram(&sum->handler_ns_all, &now->handler_ns, NULL);
    add_histogram(&sum->wait_ns_all, &now->wait_ns, NULL);
}

/* What so many in a hundred took less than: the end of their bucket. */
static const char *percentile(const tina_histogram *recent, const tina_histogram *all, double percent, char text[16])
{
    const tina_histogram *of = recent->count >= SAMPLES_MIN ? recent : all;
    double wanted = (double)of->count * percent / 100, passed = 0;
    if (of->count == 0)
        return "-";
    for (int i = 0; i < TINA_HISTOGRAM_BUCKETS - 1; i++) {
        passed += (double)of->buckets[i];
        if (passed >= wanted)
            return short_time((double)(2ull << i), text);
    }
    return ">2s";
}

static void write_type(const page_view *view, size_t type)
{
    type_sum sum = {0};
    char text[4][16];
    size_t type_count = view->now->page.type_count;
    for (size_t i = 0; i < view->now->page.shard_count; i++)
        add_type(view, &sum, i * type_count + type);
    fprintf(view->to, "%-20.20s", view->now->types[type].name);
    write_count(view, sum.isolates);
    write_count(view, sum.peak);
    write_count(view, sum.slots);
    write_number(view, sum.dispatches);
    fprintf(view->to, "  %6s %6s", percentile(&sum.handler_ns, &sum.handler_ns_all, 50, text[0]),
            percentile(&sum.handler_ns, &sum.handler_ns_all, 99, text[1]));
    fprintf(view->to, "  %6s %6s", percentile(&sum.wait_ns, &sum.wait_ns_all, 50, text[2]),
            percentile(&sum.wait_ns, &sum.wait_ns_all, 99, text[3]));
    write_number(view, sum.shed);
    write_count(view, sum.faults);
    write_count(view, sum.crashes);
    write_count(view, sum.restarts);
    fprintf(view->to, "\n");
}

static void write_types(const page_view *view)
{
    fprintf(view->to, "\n%-20s %7s %7s %7s %7s  %6s %6s  %6s %6s %7s %7s %7s %7s\n", "TYPE", "ISOLAT", "PEAK", "SLOTS",
            "HANDL/s", "RUN50<", "RUN99<", "WAIT50", "WAIT99", "SHED/s", "FAULTS", "CRASHES", "RESTART");
    for (size_t i = 0; i < view->now->page.type_count; i++)
        write_type(view, i);
}

/* ---- What was shed, and why ------------------------------------------------------------------------------------ */

static const struct {
    const char *name;
    size_t offset;
    const char *meaning;
} reasons[] = {
    {"mailbox_full", offsetof(tina_stats, mailbox_full), "sends refused: the receiver's mailbox was full"},
    {"arrived_full", offsetof(tina_stats, arrived_full), "messages dropped on arrival: the same"},
    {"channel_full", offsetof(tina_stats, channel_full), "sends refused: the channel to the shard was full"},
    {"inbox_full", offsetof(tina_stats, inbox_full), "posts refused: the shard's inbox was full"},
    {"pool_exhausted", offsetof(tina_stats, pool_exhausted), "refused: a pool was empty"},
    {"arrived_exhausted", offsetof(tina_stats, arrived_exhausted), "messages dropped on arrival: the same"},
    {"arena_full", offsetof(tina_stats, arena_full), "spawns refused: every slot of the type was taken"},
    {"group_full", offsetof(tina_stats, group_full), "spawns refused: the group had its most children"},
    {"init_failed", offsetof(tina_stats, init_failed), "spawns that failed in their init"},
    {"stale_handle", offsetof(tina_stats, stale_handle), "sends refused: the receiver was gone"},
    {"arrived_stale", offsetof(tina_stats, arrived_stale), "messages dropped on arrival: the same"},
    {"died_with_owner", offsetof(tina_stats, died_with_owner), "messages in mailboxes of isolates that ended"},
    {"shard_down", offsetof(tina_stats, shard_down), "sends refused: the shard was quarantined or had ended"},
    {"calls_timed_out", offsetof(tina_stats, calls_timed_out), "calls without an answer in time"},
    {"watchdog_kills", offsetof(tina_stats, watchdog_kills), "handlers that the watchdog ended"},
    {"io_failed", offsetof(tina_stats, io_failed), "operations that failed"},
    {"log_dropped", offsetof(tina_stats, log_dropped), "log lines for which there was no room"},
};

static uint64_t counter_at(const tina_stats *stats, size_t offset)
{
    uint64_t counter;
    memcpy(&counter, (const char *)stats + offset, sizeof counter);
    return counter;
}

static bool write_reason(const page_view *view, const char *name, size_t offset, const char *meaning)
{
    uint64_t sum = 0;
    double per_second = 0;
    char text[16];
    for (size_t i = 0; i < view->now->page.shard_count; i++) {
        uint64_t now = counter_at(&view->now->shards[i], offset);
        sum += now;
        per_second += rate(view, now, view->earlier != NULL ? counter_at(&view->earlier->shards[i], offset) : 0);
    }
    if (sum != 0)
        fprintf(view->to, "%-18s %12" PRIu64 " %7s/s  %s\n", name, sum, short_number(per_second, text), meaning);
    return sum != 0;
}

static void write_reasons(const page_view *view)
{
    bool any = false;
    fprintf(view->to, "\nREFUSED OR LOST\n");
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        any |= write_reason(view, reasons[i].name, reasons[i].offset, reasons[i].meaning);
    if (!any)
        fprintf(view->to, "nothing\n");
}

void view_write(FILE *to, const page_snapshot *now, const page_snapshot *earlier, snapshot_state state, const char *path)
{
    uint64_t from_ns = earlier != NULL ? earlier->page.written_ns : now->page.started_ns;
    page_view view = {.to = to, .now = now, .earlier = earlier, .seconds = since(now->page.written_ns, from_ns) / 1e9};
    write_head(&view, state, path);
    write_shards(&view);
    write_types(&view);
    write_pools(&view);
    write_reasons(&view);
}
