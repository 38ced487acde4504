/* Calls: one that parks, several at once, an answer that comes later. Ends by itself; docs/ is cut from it. */
#include <string.h>
#include <tina/tina.h>

enum { TYPE_STORE, TYPE_CLIENT, TYPE_COUNT };
enum { NAME_STORE = 1 };
enum { TAG_GET = TINA_TAG_USER, TAG_GET_LATER, TAG_VALUE };
enum { CALLS = 4 };

/* ---- Who answers ---- */

typedef struct store {
    tina_caller waiting[CALLS];
    uint32_t waiting_count;
} store;

static tina_effect store_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size, (void)ctx;
    return tina_receive();
}

/* docs: answer-later */
static tina_effect store_keep(store *me, const tina_message *message, tina_ctx *ctx)
{
    if (!tina_is_call(message) || me->waiting_count == CALLS)
        return tina_receive(); /* unanswered: the caller's timeout tells it */
    me->waiting[me->waiting_count++] = tina_message_caller(message);
    if (me->waiting_count == CALLS && tina_timer_start(ctx, 1000000, TINA_TAG_TIMER, NULL) != TINA_OK)
        return tina_crash(1);
    return tina_receive();
}

static tina_effect store_answer_all(store *me, tina_ctx *ctx)
{
    uint64_t value = 42;
    while (me->waiting_count != 0) {
        tina_caller caller = me->waiting[--me->waiting_count];
        tina_ignore(tina_reply_to(ctx, caller, TAG_VALUE, &value, sizeof value)); /* stale: nobody waits any more */
    }
    return tina_receive();
}
/* docs: end */

static tina_effect store_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    uint64_t value = 7;
    switch (message->tag) {
    case TAG_GET: return tina_reply(ctx, TAG_VALUE, &value, sizeof value);
    case TAG_GET_LATER: return store_keep(self, message, ctx);
    case TINA_TAG_TIMER: return store_answer_all(self, ctx);
    case TINA_TAG_SHUTDOWN: return tina_done();
    default: return tina_receive();
    }
}

/* ---- Who asks ---- */

typedef struct client {
    uint32_t calls[CALLS];
    uint32_t answer_count;
} client;

static tina_effect client_end(tina_ctx *ctx, bool is_right)
{
    bool *outcome = tina_user(ctx);
    *outcome = is_right;
    tina_stop_system(ctx);
    return tina_receive();
}

/* docs: call */
static tina_effect client_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size;
    return tina_call(ctx, tina_named(0, NAME_STORE), TAG_GET, NULL, 0, 2000000000);
}
/* docs: end */

/* docs: calls-at-once */
static tina_effect client_ask_all(client *me, tina_ctx *ctx)
{
    for (uint32_t i = 0; i < CALLS; i++) {
        tina_status status =
            tina_call_start(ctx, tina_named(0, NAME_STORE), TAG_GET_LATER, NULL, 0, 2000000000, &me->calls[i]);
        if (status != TINA_OK)
            return client_end(ctx, false);
    }
    return tina_receive();
}
/* docs: end */

static tina_effect client_take_value(client *me, const tina_message *message, tina_ctx *ctx)
{
    uint64_t value;
    memcpy(&value, message->payload, sizeof value);
    if (value == 7)
        return client_ask_all(me, ctx);
    bool is_known = false;
    for (uint32_t i = 0; i < CALLS; i++)
        is_known = is_known || me->calls[i] == message->correlation;
    if (value != 42 || !is_known)
        return client_end(ctx, false);
    return ++me->answer_count == CALLS ? client_end(ctx, true) : tina_receive();
}

static tina_effect client_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    switch (message->tag) {
    case TAG_VALUE: return client_take_value(self, message, ctx);
    case TINA_TAG_CALL_FAILED: return client_end(ctx, false);
    case TINA_TAG_SHUTDOWN: return tina_done();
    default: return tina_receive();
    }
}

int main(void)
{
    const tina_type types[TYPE_COUNT] = {
        [TYPE_STORE] = {.name = "store", .init = store_init, .handler = store_handle, .size = sizeof(store)},
        [TYPE_CLIENT] = {.name = "client", .init = client_init, .handler = client_handle, .size = sizeof(client)},
    };
    const tina_child children[] = {{.type = TYPE_STORE, .name = NAME_STORE}, {.type = TYPE_CLIENT}};
    bool is_right = false;
    tina_system_spec spec = {
        .types = types,
        .type_count = TYPE_COUNT,
        .shard_count = 1,
        .root = {.children = children, .child_count = 2},
        .user = &is_right,
        .development = true,
        .quiet = true,
    };
    return tina_boot(&spec, NULL) == TINA_OK && is_right ? 0 : 1;
}
