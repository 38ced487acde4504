#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/story.h"

#include <stdio.h>
#include <string.h>

#define TEXT_MAX 16384

/* The text so far, and the isolates whose inits are under way. */
typedef struct teller {
    const tina__shard *shard;
    char text[TEXT_MAX];
    size_t length;
    uint64_t starting[TINA__INIT_DEPTH_MAX + 1]; /* their events' bits */
    uint32_t starting_count;
} teller;

void story_begin(story *of, const tina__shard *shard)
{
    of->shard = shard;
    of->next = tina__trace_written(shard->p.trace);
}

static void put(teller *to, const char *format, ...) TINA_PRINTF(2, 3);
static void put(teller *to, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int more = vsnprintf(to->text + to->length, sizeof to->text - to->length, format, arguments);
    va_end(arguments);
    to->length += more < 0 ? 0 : (size_t)more;
    assert_true(to->length < sizeof to->text);
}

static const char *name_of(const teller *to, const tina__event *event)
{
    uint32_t type = tina__event_type(event);
    return type < to->shard->p.type_count ? to->shard->p.types[type].name : "?";
}

static void put_group(teller *to, uint64_t index, const char *what)
{
    if (index == TINA__GROUP_ROOT)
        put(to, "%s root\n", what);
    else
        put(to, "%s group %u\n", what, (unsigned)index);
}

static const char *end_name(uint16_t end)
{
    static const char *const names[] = {"done", "crash", "fault", "killed", "stopped", "shard", "gone"};
    return end < sizeof names / sizeof names[0] ? names[end] : "?";
}

static uint64_t who_of(const tina__event *event) { return event->kind_and_who << 8; }

/* True, and out of the list: its init was under way. */
static bool was_starting(teller *to, const tina__event *event)
{
    if (to->starting_count == 0 || to->starting[to->starting_count - 1] != who_of(event))
        return false;
    to->starting_count--;
    return true;
}

static void tell_start(teller *to, const tina__event *event)
{
    assert_true(to->starting_count <= TINA__INIT_DEPTH_MAX);
    to->starting[to->starting_count++] = who_of(event);
    put(to, "start %s\n", name_of(to, event));
}

/* What failed to start did not: "start" becomes "fail" where nothing happened in between. */
static void tell_end(teller *to, const tina__event *event)
{
    char start[80];
    bool is_unborn = was_starting(to, event);
    size_t size = (size_t)snprintf(start, sizeof start, "start %s\n", name_of(to, event));
    if (is_unborn && to->length >= size && memcmp(to->text + to->length - size, start, size) == 0)
        to->length -= size;
    put(to, "%s %s: %s", is_unborn ? "fail" : "end", name_of(to, event), end_name(event->tag));
    if (event->detail != 0)
        put(to, " %u", event->detail);
    put(to, "\n");
}

static void tell_restart(teller *to, const tina__event *event)
{
    const char *when = event->value == 0 ? "" : " later";
    if (event->tag == 1)
        put(to, "again group %u%s\n", event->detail, when);
    else
        put(to, "again %s%s\n", name_of(to, event), when);
}

static void tell(teller *to, const tina__event *event)
{
    switch (tina__event_kind_of(event)) {
    case TINA__EVENT_INIT: tell_start(to, event); break;
    case TINA__EVENT_UP: (void)was_starting(to, event); break;
    case TINA__EVENT_END: tell_end(to, event); break;
    case TINA__EVENT_RESTART: tell_restart(to, event); break;
    case TINA__EVENT_ESCALATE: put_group(to, event->value, "escalate"); break;
    case TINA__EVENT_GROUP_END: put_group(to, event->value, "end"); break;
    case TINA__EVENT_GROUP_UP: put_group(to, event->value, "up"); break;
    case TINA__EVENT_WIPE: put(to, "wipe\n"); break;
    default: break;
    }
}

/* Where the first line begins in which they differ. */
static size_t first_difference(const char *a, const char *b)
{
    size_t line = 0;
    for (size_t i = 0; a[i] == b[i] && a[i] != '\0'; i++) {
        if (a[i] == '\n')
            line = i + 1;
    }
    return line;
}

static int line_length(const char *line) { return (int)strcspn(line, "\n"); }

void story_is(story *of, const char *expected)
{
    static teller to;
    memset(&to, 0, sizeof to);
    to.shard = of->shard;
    for (; of->next < tina__trace_written(of->shard->p.trace); of->next++) {
        const tina__event *event = tina__trace_at(of->shard->p.trace, of->next);
        assert_non_null(event); /* else the flight recorder is too small for the test */
        tell(&to, event);
    }
    if (strcmp(to.text, expected) == 0)
        return;
    size_t line = first_difference(to.text, expected);
    /* Not by cmocka's own message, which is cut. */
    fprintf(stderr, "the story is\n%.*s>>> %.*s\nwhere it should go on\n>>> %.*s\n", (int)line, to.text,
            line_length(to.text + line), to.text + line, line_length(expected + line), expected + line);
    fail();
}
