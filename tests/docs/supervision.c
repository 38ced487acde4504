/* A tree of groups, and what becomes of it when somebody in it fails. Ends by itself; docs/ is cut from it. */
#include <string.h>
#include <tina/tina.h>

#define SECOND_NS      1000000000ull
#define MILLISECOND_NS 1000000ull

enum { TYPE_JOURNAL, TYPE_INDEX, TYPE_SOURCE, TYPE_PARSER, TYPE_SINK, TYPE_SESSION, TYPE_DIRECTOR, TYPE_COUNT };
enum { NAME_JOURNAL = 1, NAME_INDEX, NAME_PARSER, NAME_DIRECTOR };
enum { GROUP_SESSIONS = 1 };
enum { TAG_UP = TINA_TAG_USER, TAG_CRASH, TAG_FAULT };
enum { SESSIONS_MAX = 100 };

/* What the program looks at in the end. One shard, so one writer. */
typedef struct story {
    uint32_t lives[TYPE_COUNT];
    bool is_over;
} story;

/* ---- Those that fail ---- */

static tina_effect part_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size;
    story *told = tina_user(ctx);
    told->lives[tina_handle_type(tina_self(ctx))]++;
    tina_ignore(tina_send(ctx, tina_named(0, NAME_DIRECTOR), TAG_UP, NULL, 0)); /* at boot it is not there yet */
    return tina_receive();
}

static tina_effect part_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self, (void)ctx;
    switch (message->tag) {
    case TAG_CRASH: return tina_crash(7);
    case TAG_FAULT: __builtin_trap();
    case TINA_TAG_SHUTDOWN: return tina_done();
    default: return tina_receive();
    }
}

/* ---- The director: makes one of them fail, awaits those that come up, and goes on ---- */

typedef struct director {
    tina_handle session;
    uint32_t step;
    uint32_t up_count; /* since the last step */
} director;

static tina_effect director_fail(tina_ctx *ctx)
{
    tina_stop_system(ctx);
    return tina_receive();
}

/* docs: spawn */
static tina_effect director_open_session(director *me, tina_ctx *ctx)
{
    tina_spawn spawn = {.type = TYPE_SESSION, .group = GROUP_SESSIONS, .restart = TINA_TRANSIENT};
    if (tina_spawn_child(ctx, &spawn, &me->session) != TINA_OK)
        return director_fail(ctx);
    if (tina_watch(ctx, me->session) != TINA_OK)
        return director_fail(ctx);
    return tina_receive();
}
/* docs: end */

static tina_effect director_end(tina_ctx *ctx)
{
    story *told = tina_user(ctx);
    told->is_over = true;
    tina_stop_system(ctx);
    return tina_receive();
}

/* docs: down */
static tina_effect director_told(director *me, const tina_message *message, tina_ctx *ctx)
{
    tina_down down;
    memcpy(&down, message->payload, sizeof down);
    if (!tina_handle_equal(down.who, me->session))
        return tina_receive();
    me->session = (tina_handle){0};
    switch (down.end) {
    case TINA_END_DONE: return director_end(ctx);
    case TINA_END_FAULT: return tina_receive(); /* it comes back, under another handle, and says so */
    default: return director_fail(ctx);
    }
}
/* docs: end */

/* docs: stop-child */
static tina_effect director_close_session(director *me, tina_handle session, tina_ctx *ctx)
{
    me->session = session;
    if (tina_watch(ctx, session) != TINA_OK)
        return director_fail(ctx);
    tina_ignore(tina_stop_child(ctx, session, 2 * SECOND_NS)); /* stale: it is over already, and the notice says how */
    return tina_receive();
}
/* docs: end */

static tina_effect director_break(tina_handle who, tina_tag how, tina_ctx *ctx)
{
    return tina_send(ctx, who, how, NULL, 0) == TINA_OK ? tina_receive() : director_fail(ctx);
}

static tina_effect director_go_on(director *me, const tina_message *message, tina_ctx *ctx)
{
    me->up_count = 0;
    switch (me->step++) {
    case 0: return director_break(tina_named(0, NAME_PARSER), TAG_CRASH, ctx);
    case 1: return director_break(tina_named(0, NAME_INDEX), TAG_CRASH, ctx);
    case 2: return director_break(tina_named(0, NAME_JOURNAL), TAG_CRASH, ctx);
    case 3: return director_open_session(me, ctx);
    case 4: return director_break(me->session, TAG_FAULT, ctx);
    case 5: return director_close_session(me, message->source, ctx);
    default: return director_fail(ctx);
    }
}

/* How many come up before it goes on: the parser and the sink; all of the store, twice; the session, twice. */
static uint32_t awaited(const director *me)
{
    static const uint32_t counts[] = {0, 2, 2, 2, 1, 1, 0};
    return counts[me->step];
}

static tina_effect director_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size;
    /* Whatever does not come about in this time never will. */
    if (tina_timer_start(ctx, 0, TINA_TAG_TIMER, NULL) != TINA_OK ||
        tina_timer_start(ctx, 20 * SECOND_NS, TAG_CRASH, NULL) != TINA_OK)
        return tina_crash(1);
    return tina_receive();
}

static tina_effect director_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    director *me = self;
    switch (message->tag) {
    case TINA_TAG_TIMER: return director_go_on(me, message, ctx);
    case TAG_UP: return ++me->up_count == awaited(me) ? director_go_on(me, message, ctx) : tina_receive();
    case TINA_TAG_DOWN: return director_told(me, message, ctx);
    case TINA_TAG_SHUTDOWN: return tina_done();
    default: return director_fail(ctx);
    }
}

/* ---- The tree ---- */

static tina_status run(const tina_type *types, story *told, tina_stats *total)
{
    /* docs: tree */
    const tina_child store[] = {
        {.type = TYPE_JOURNAL, .name = NAME_JOURNAL},
        {.type = TYPE_INDEX, .name = NAME_INDEX},
    };
    const tina_child pipeline[] = {
        {.type = TYPE_SOURCE},
        {.type = TYPE_PARSER, .name = NAME_PARSER},
        {.type = TYPE_SINK},
    };
    const tina_group_spec groups[] = {
        {.children = store, .child_count = 2, .strategy = TINA_ONE_FOR_ALL, .restart_max = 1, .window_ns = 60 * SECOND_NS},
        {.children = pipeline, .child_count = 3, .strategy = TINA_REST_FOR_ONE},
        {.name = GROUP_SESSIONS, .dynamic_max = SESSIONS_MAX, .restart_max = 20, .backoff_ns = 10 * MILLISECOND_NS},
    };
    const tina_child top[] = {
        {.group = &groups[0]},
        {.group = &groups[1]},
        {.group = &groups[2]},
        {.type = TYPE_DIRECTOR, .name = NAME_DIRECTOR},
    };
    /* docs: end */
    tina_system_spec spec = {
        .types = types,
        .type_count = TYPE_COUNT,
        .shard_count = 1,
        .root = {.children = top, .child_count = 4},
        .user = told,
        .fd_count = TINA_NONE,
        .development = true,
    };
    tina_system *system;
    if (tina_start(&spec, &system, NULL) != TINA_OK)
        return TINA_INVALID;
    tina_end_report report;
    tina_status status = tina_join(system, &report);
    *total = report.total;
    return status;
}

int main(void)
{
#define PART(part_type, part_name) [part_type] = {.name = part_name, .init = part_init, .handler = part_handle, .size = 1}
    tina_type types[TYPE_COUNT] = {
        PART(TYPE_JOURNAL, "journal"),
        PART(TYPE_INDEX, "index"),
        PART(TYPE_SOURCE, "source"),
        PART(TYPE_PARSER, "parser"),
        PART(TYPE_SINK, "sink"),
        PART(TYPE_SESSION, "session"),
        [TYPE_DIRECTOR] = {.name = "director", .init = director_init, .handler = director_handle, .size = sizeof(director)},
    };
    types[TYPE_SESSION].slot_count = SESSIONS_MAX;
    static const uint32_t lives[TYPE_COUNT] = {
        [TYPE_JOURNAL] = 3, [TYPE_INDEX] = 3, [TYPE_SOURCE] = 1, [TYPE_PARSER] = 2, [TYPE_SINK] = 2, [TYPE_SESSION] = 2,
    };
    story told = {0};
    tina_stats total;
    if (run(types, &told, &total) != TINA_OK || !told.is_over)
        return 1;
    bool is_told = memcmp(told.lives, lives, sizeof lives) == 0;
    return is_told && total.crashes == 3 && total.faults == 1 && total.escalations == 1 && total.restarts == 7 ? 0 : 1;
}
