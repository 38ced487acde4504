/* The ready sinks for a spec's log. Any thread but a shard's. */
#include "os/os.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <tina/log.h>

enum { TEXT_MAX = TINA_LOG_LINE_MAX + 128 };

#define SYSLOG_PATH "/dev/log"

static bool is_for_nobody(int shard, tina_level level)
{
    return level == TINA_LOG_DEBUG && shard < 0; /* the memory plan: for sinks that want it */
}

/* How long what snprintf made of it is. */
static size_t taken(int size) { return size < 0 ? 0 : size < TEXT_MAX ? (size_t)size : TEXT_MAX - 1; }

/* "[shard 0] " or "[tina] ", then what it says itself; before names the level. */
static size_t make_text(char text[TEXT_MAX], const char *before, int shard, const char *between, const char *line,
                        size_t length)
{
    if (shard < 0)
        return taken(snprintf(text, TEXT_MAX, "%s[tina] %s%.*s", before, between, (int)length, line));
    return taken(snprintf(text, TEXT_MAX, "%s[shard %d] %s%.*s", before, shard, between, (int)length, line));
}

/* ---- Standard error ---- */

/* Lines that nobody read are counted, and told of when somebody reads again. */
static void print_or_count(const char *text, size_t length)
{
    static _Atomic uint64_t lost;
    uint64_t count = atomic_exchange_explicit(&lost, 0, memory_order_relaxed);
    if (count != 0) {
        char line[64];
        int size = snprintf(line, sizeof line, "[tina] warn: %" PRIu64 " lines were lost", count);
        if (!tina__os_print_error(line, (size_t)size)) {
            atomic_fetch_add_explicit(&lost, count + 1, memory_order_relaxed);
            return;
        }
    }
    if (!tina__os_print_error(text, length))
        atomic_fetch_add_explicit(&lost, 1, memory_order_relaxed);
}

void tina_log_to_stderr(void *user, int shard, tina_level level, const char *line, size_t length)
{
    static const char *const names[] = {"error: ", "warn: ", "info: ", "debug: "};
    (void)user;
    if (is_for_nobody(shard, level))
        return;
    char text[TEXT_MAX];
    size_t size = make_text(text, "", shard, level <= TINA_LOG_DEBUG ? names[level] : "?: ", line, length);
    print_or_count(text, size);
}

/* ---- The machine's log ---- */

/* A line break would begin an entry of its own, with a severity that what is logged could choose. */
static size_t join_lines(char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '\n')
            text[i] = ' ';
    }
    return size;
}

/* As the journal wants it, or the protocol of BSD's syslog, which lets the logger tell the time. */
void tina_log_to_syslog(void *user, int shard, tina_level level, const char *line, size_t length)
{
    static const unsigned severities[] = {3, 4, 6, 7};
    static const unsigned facility = 3; /* daemon */
    const char *path = user != NULL ? user : SYSLOG_PATH;
    unsigned severity = severities[level <= TINA_LOG_DEBUG ? level : TINA_LOG_DEBUG];
    char before[96], text[TEXT_MAX];
    if (is_for_nobody(shard, level))
        return;
    if (tina__os_error_is_journal()) {
        snprintf(before, sizeof before, "<%u>", severity);
        print_or_count(text, join_lines(text, make_text(text, before, shard, "", line, length)));
        return;
    }
    snprintf(before, sizeof before, "<%u>%.64s[%ld]: ", facility * 8 + severity, tina__os_program_name(),
             tina__os_process_id());
    size_t size = make_text(text, before, shard, "", line, length);
    if (!tina__os_send_datagram(path, text, size))
        tina_log_to_stderr(NULL, shard, level, line, length);
}
