/* What a sender does that is told "full": it waits, and takes on no more. Ends by itself; docs/ is cut from it. */
#include <string.h>
#include <tina/tina.h>

enum { TYPE_SOURCE, TYPE_SINK, TYPE_COUNT };
enum { NAME_SINK = 1 };
enum { TAG_ITEM = TINA_TAG_USER };
enum { ITEMS = 100, PAUSE_NS = 1000000, ROOM = 4 };

typedef struct outcome {
    uint64_t last; /* the item that came last */
    uint32_t count, waits;
} outcome;

/* ---- Who sends faster than the other takes ---- */

typedef struct source {
    uint64_t next;
} source;

/* docs: wait */
/* Sends until it is told to stop, and goes on after a pause. What it has not sent it has not taken on, either. */
static tina_effect source_send(source *me, tina_ctx *ctx)
{
    outcome *seen = tina_user(ctx);
    while (me->next < ITEMS) {
        tina_status status = tina_send(ctx, tina_named(0, NAME_SINK), TAG_ITEM, &me->next, sizeof me->next);
        if (status == TINA_MAILBOX_FULL || status == TINA_CHANNEL_FULL || status == TINA_POOL_EXHAUSTED) {
            seen->waits++;
            return tina_timer_start(ctx, PAUSE_NS, TINA_TAG_TIMER, NULL) == TINA_OK ? tina_receive() : tina_crash(1);
        }
        if (status != TINA_OK)
            return tina_crash(2); /* the receiver is gone: whoever supervises us knows what then */
        me->next++;
    }
    return tina_receive();
}
/* docs: end */

static tina_effect source_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)args, (void)args_size;
    return source_send(self, ctx);
}

static tina_effect source_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    return message->tag == TINA_TAG_SHUTDOWN ? tina_done() : source_send(self, ctx);
}

/* ---- Who takes one at a time ---- */

typedef struct sink {
    uint64_t last;
} sink;

static tina_effect sink_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size, (void)ctx;
    return tina_receive();
}

static tina_effect sink_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    sink *me = self;
    outcome *seen = tina_user(ctx);
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    memcpy(&me->last, message->payload, sizeof me->last);
    seen->last = me->last;
    if (++seen->count == ITEMS)
        tina_stop_system(ctx);
    return tina_receive();
}

int main(void)
{
    const tina_type types[TYPE_COUNT] = {
        [TYPE_SOURCE] = {.name = "source", .init = source_init, .handler = source_handle, .size = sizeof(source)},
        [TYPE_SINK] =
            {.name = "sink", .init = sink_init, .handler = sink_handle, .size = sizeof(sink), .mailbox_capacity = ROOM},
    };
    const tina_child children[] = {{.type = TYPE_SINK, .name = NAME_SINK}, {.type = TYPE_SOURCE}};
    outcome seen = {0};
    tina_system_spec spec = {
        .types = types,
        .type_count = TYPE_COUNT,
        .shard_count = 1,
        .root = {.children = children, .child_count = 2},
        .user = &seen,
        .fd_count = TINA_NONE,
        .development = true,
        .quiet = true,
    };
    /* All have come, in order, through a mailbox of four. */
    return tina_boot(&spec, NULL) == TINA_OK && seen.count == ITEMS && seen.last == ITEMS - 1 && seen.waits > 0 ? 0 : 1;
}
