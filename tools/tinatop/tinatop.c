/*
 * A view of a running system, from its statistics page: shards, types, pools, and
 * what was refused or lost. It reads a file, and the system knows nothing of it.
 */
#define _GNU_SOURCE 1
#include "terminal.h"
#include "view.h"

#include <stdlib.h>
#include <string.h>

enum { EXIT_REFUSED = 1, EXIT_USAGE = 2, EXIT_GONE = 3 };

typedef struct option_set {
    const char *path;
    double interval_s;
    bool is_once;
} option_set;

static const char usage[] = "tinatop [--once] [--interval SECONDS] PATH\n"
                            "\n"
                            "Shows what a running system of libtina does. PATH is the statistics page that its\n"
                            "spec names (stats_path).\n"
                            "\n"
                            "  --once              print one table of averages since the start, and end; so it does\n"
                            "                      too where its output is no terminal\n"
                            "  --interval SECONDS  from reading to reading, 0.1 to 3600; 1\n"
                            "  --help              this text\n"
                            "  --version           which libtina this belongs to\n"
                            "\n"
                            "RUN50, RUN99: what half of the handler calls, and 99 in a hundred, took less than, to a\n"
                            "factor of two; WAIT50, WAIT99: the same of messages in mailboxes. Both are samples: of\n"
                            "the last interval if it holds 20, otherwise of all since the start. SHED: refused or\n"
                            "dropped, since something was full. ANEW: how often the shard began anew. q quits.\n"
                            "\n"
                            "Ends with 0; 1: PATH can't be read, or is no statistics page of this version; 2: it\n"
                            "was called wrongly; 3: with --once: the process is gone, and these were its last numbers.\n";

_Noreturn static void use_wrongly(const char *what)
{
    fprintf(stderr, "tinatop: %s; --help says more\n", what);
    exit(EXIT_USAGE);
}

static double take_interval(const char *text)
{
    char *end = NULL;
    double seconds = text != NULL ? strtod(text, &end) : 0;
    if (text == NULL || end == text || *end != '\0' || !(seconds >= 0.1 && seconds <= 3600))
        use_wrongly("--interval takes 0.1 to 3600 seconds");
    return seconds;
}

_Noreturn static void tell(const char *text) { exit(fputs(text, stdout) < 0 || fflush(stdout) != 0 ? EXIT_REFUSED : 0); }

static option_set take_options(int count, char **arguments)
{
    option_set given = {.interval_s = 1};
    for (int i = 1; i < count; i++) {
        if (strcmp(arguments[i], "--help") == 0)
            tell(usage);
        else if (strcmp(arguments[i], "--version") == 0)
            tell("tinatop of libtina " TINA_VERSION "\n");
        else if (strcmp(arguments[i], "--once") == 0)
            given.is_once = true;
        else if (strcmp(arguments[i], "--interval") == 0)
            given.interval_s = take_interval(i + 1 < count ? arguments[++i] : NULL);
        else if (arguments[i][0] == '-' && arguments[i][1] != '\0')
            use_wrongly("there is no such option");
        else if (given.path != NULL)
            use_wrongly("it takes one page");
        else
            given.path = arguments[i];
    }
    if (given.path == NULL)
        use_wrongly("which page? The one that the spec's stats_path names");
    return given;
}

static int show_once(const option_set *options)
{
    page_snapshot now;
    snapshot_state state = snapshot_read(&now, options->path);
    if (state == SNAPSHOT_MISSING || state == SNAPSHOT_REFUSED) {
        fprintf(stderr, "tinatop: %s %s\n", options->path, now.trouble);
        return EXIT_REFUSED;
    }
    view_write(stdout, &now, NULL, state, options->path);
    snapshot_free(&now);
    if (fflush(stdout) != 0)
        return EXIT_REFUSED;
    return state == SNAPSHOT_LEFT ? EXIT_GONE : 0;
}

/* ---- Again and again -------------------------------------------------------------------------------- */

/* What is on the screen, to be shown again in another size. */
typedef struct screen_text {
    char *text;
    size_t size;
} screen_text;

static bool fill(screen_text *screen, const option_set *options, const page_snapshot *now, const page_snapshot *earlier,
                 snapshot_state state)
{
    free(screen->text);
    screen->text = NULL;
    FILE *to = open_memstream(&screen->text, &screen->size);
    if (to == NULL)
        return false;
    if (state == SNAPSHOT_MISSING)
        fprintf(to, "%s is not there: the system has ended, or has not begun. Waiting for it.\n", options->path);
    else if (state == SNAPSHOT_REFUSED)
        fprintf(to, "%s %s. Waiting for another.\n", options->path, now->trouble);
    else
        view_write(to, now, earlier, state, options->path);
    return fclose(to) == 0;
}

/* Takes a reading, and the one before for what it counts from. */
static bool read_and_fill(screen_text *screen, const option_set *options, page_snapshot *last)
{
    page_snapshot now;
    snapshot_state state = snapshot_read(&now, options->path);
    bool has_news = last->memory == NULL || now.page.written_ns != last->page.written_ns || state != SNAPSHOT_LIVE;
    bool is_filled = !has_news || fill(screen, options, &now, snapshot_follows(&now, last) ? last : NULL, state);
    if (has_news) {
        snapshot_free(last);
        *last = now;
    } else {
        snapshot_free(&now);
    }
    return is_filled;
}

static void show_until_quit(const option_set *options)
{
    page_snapshot last = {0};
    screen_text screen = {0};
    terminal_event event = TERMINAL_TIME;
    while (event != TERMINAL_QUIT) {
        if (event == TERMINAL_TIME && !read_and_fill(&screen, options, &last))
            break;
        terminal_show(screen.text);
        event = terminal_wait(options->interval_s);
    }
    snapshot_free(&last);
    free(screen.text);
}

int main(int count, char **arguments)
{
    option_set options = take_options(count, arguments);
    if (options.is_once || !terminal_open())
        return show_once(&options);
    show_until_quit(&options);
    terminal_close();
    return 0;
}
