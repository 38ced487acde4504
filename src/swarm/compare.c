#include "swarm/compare.h"

#include "swarm/process.h"
#include "swarm/pulse.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { POLL_MS = 100, PIECE = 4096 };

typedef struct side {
    pid_t process; /* 0 or less: none, or it has ended */
    int fd;        /* -1: none */
    tina__outcome *outcome;
    tina__pulse pulse;
    uint64_t patience_ns;
    size_t size, next; /* of the piece: read, and taken from it */
    char piece[PIECE];
} side;

/* Its outcome is known; what is wanted are the events that it writes on the way. */
static _Noreturn void be_the_process(const tina__subject *subject, const tina__case *what, int fd, tina__outcome *outcome)
{
    char path[32];
    tina__case run = *what;
    snprintf(path, sizeof path, "/dev/fd/%d", fd);
    run.events_path = path;
    run.trace_path = NULL;
    run.is_alone = false;
    run.is_once = !run.writes_second;
    tina__run(subject, &run, outcome);
    fflush(NULL);
    _exit(0);
}

static bool begin(side *to, const tina__subject *subject, const tina__case *what)
{
    tina__process process = tina__process_begin();
    if (process.id == 0)
        be_the_process(subject, what, process.fd, to->outcome);
    to->process = process.id;
    to->fd = process.fd;
    return process.id > 0;
}

static void end(side *at)
{
    int status;
    if (at->process > 0)
        tina__process_end(at->process, &status);
    if (at->fd >= 0)
        close(at->fd);
}

/* ---- Reading ------------------------------------------------------------------------------------- */

/* What it has written by its end is still to be read. */
static bool has_ended(side *at)
{
    int status;
    if (at->process > 0 && tina__process_has_ended(at->process, &status))
        at->process = 0;
    return at->process <= 0;
}

/* False: it has ended, or hangs. */
static bool read_piece(side *from)
{
    struct pollfd news = {.fd = from->fd, .events = POLLIN};
    bool was_over = false;
    tina__pulse_begin(&from->pulse); /* until now it may have waited for us */
    while (poll(&news, 1, POLL_MS) <= 0) {
        if (was_over || tina__pulse_is_gone(&from->pulse, from->outcome, from->patience_ns))
            return false;
        was_over = has_ended(from);
    }
    ssize_t size = read(from->fd, from->piece, PIECE);
    from->size = size > 0 ? (size_t)size : 0;
    from->next = 0;
    return size > 0;
}

/* "": there are no more. What is longer than a text is cut. */
static void read_line(side *from, char text[TINA__EVENT_TEXT])
{
    size_t length = 0;
    while (from->next != from->size || read_piece(from)) {
        char c = from->piece[from->next++];
        if (c == '\n')
            break;
        if (length + 1 < TINA__EVENT_TEXT)
            text[length++] = c;
    }
    text[length] = '\0';
}

static void find(side *first, side *second, tina__difference *difference)
{
    do {
        difference->line++;
        read_line(first, difference->first);
        read_line(second, difference->second);
        difference->is_found = strcmp(difference->first, difference->second) != 0;
    } while (!difference->is_found && difference->first[0] != '\0');
}

/* What was drawn again would begin again, and be read as events of a first run. */
static tina__case as_drawn(const tina__case *what, const tina__outcome *outcome)
{
    tina__case given = *what;
    given.source = TINA__GIVEN;
    given.knobs = outcome->knobs;
    return given;
}

void tina__compare(const tina__subject *subject, const tina__case *what, const tina__outcome *outcome, uint32_t patience_s,
                   tina__difference *difference)
{
    tina__case first = as_drawn(what, outcome), second = first;
    tina__outcome *outcomes = tina__outcomes_open(2);
    *difference = (tina__difference){0};
    if (outcomes == NULL)
        return;
    uint64_t patience_ns = patience_s * 1000000000ull;
    side sides[] = {{.fd = -1, .outcome = &outcomes[0], .patience_ns = patience_ns},
                    {.fd = -1, .outcome = &outcomes[1], .patience_ns = patience_ns}};
    first.writes_second = false;
    second.writes_second = true;
    if (begin(&sides[0], subject, &first) && begin(&sides[1], subject, &second))
        find(&sides[0], &sides[1], difference);
    end(&sides[0]);
    end(&sides[1]);
    tina__outcomes_close(outcomes, 2);
}
