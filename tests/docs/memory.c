/* Scratch memory, working memory and a transfer, on one shard and to another. Ends by itself; docs/ is cut from it. */
#include <string.h>
#include <tina/tina.h>

enum { TYPE_WRITER, TYPE_READER, TYPE_COUNT };
enum { NAME_READER = 1 };
enum { SIZE = 1000, TRY_NS = 1000000 };

typedef struct writer {
    uint8_t *table; /* in its working memory */
} writer;

/* docs: transfer-write */
static tina_status send_page(tina_ctx *ctx, tina_handle to)
{
    tina_transfer transfer;
    void *data;
    size_t capacity;
    tina_status status = tina_transfer_alloc(ctx, &transfer, &data, &capacity);
    if (status != TINA_OK)
        return status;
    size_t size = capacity < SIZE ? capacity : SIZE;
    memset(data, 'a', size);
    status = tina_transfer_send(ctx, to, transfer, size);
    if (status != TINA_OK)
        tina_transfer_free(ctx, transfer); /* it is still ours */
    return status;
}
/* docs: end */

/* docs: working */
static tina_effect writer_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)args, (void)args_size;
    writer *me = self;
    me->table = tina_working(ctx, SIZE);
    if (me->table == NULL || tina_timer_repeat(ctx, TRY_NS, TINA_TAG_TIMER, NULL) != TINA_OK)
        return tina_crash(1);
    return tina_receive();
}
/* docs: end */

static tina_effect writer_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    writer *me = self;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    me->table[0]++;
    tina_ignore(send_page(ctx, tina_named((uint8_t)(tina_shard_count(ctx) - 1), NAME_READER))); /* the reader wants one */
    return tina_receive();
}

static tina_effect reader_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size, (void)ctx;
    return tina_receive();
}

static tina_effect reader_end(tina_ctx *ctx, bool is_right)
{
    bool *outcome = tina_user(ctx);
    *outcome = is_right;
    tina_stop_system(ctx);
    return tina_receive();
}

/* docs: transfer-read */
static tina_effect reader_take(const tina_message *message, tina_ctx *ctx)
{
    const void *data;
    size_t size;
    if (tina_transfer_read(ctx, message, &data, &size) != TINA_OK)
        return tina_crash(1);
    uint8_t *copy = tina_scratch(ctx, size); /* gone when this returns, as the transfer itself */
    if (copy == NULL)
        return tina_crash(2);
    memcpy(copy, data, size);
    return reader_end(ctx, size == SIZE && copy[size - 1] == 'a');
}
/* docs: end */

static tina_effect reader_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self;
    switch (message->tag) {
    case TINA_TAG_TRANSFER: return reader_take(message, ctx);
    case TINA_TAG_SHUTDOWN: return tina_done();
    default: return tina_receive();
    }
}

/* The writer is on the first shard, the reader on the last. */
static bool is_read(size_t shard_count)
{
    const tina_type types[TYPE_COUNT] = {
        [TYPE_WRITER] =
            {.name = "writer", .init = writer_init, .handler = writer_handle, .size = sizeof(writer), .working_size = SIZE},
        [TYPE_READER] = {.name = "reader", .init = reader_init, .handler = reader_handle, .size = 1},
    };
    const tina_child children[] = {{.type = TYPE_READER, .name = NAME_READER}, {.type = TYPE_WRITER}};
    tina_shard_spec shards[] = {
        {.root = {.children = shard_count == 1 ? children : children + 1, .child_count = shard_count == 1 ? 2 : 1}},
        {.root = {.children = children, .child_count = 1}},
    };
    bool is_right = false;
    tina_system_spec spec = {
        .types = types,
        .type_count = TYPE_COUNT,
        .shards = shards,
        .shard_count = shard_count,
        .user = &is_right,
        .fd_count = TINA_NONE,
        .development = true,
        .quiet = true,
    };
    return tina_boot(&spec, NULL) == TINA_OK && is_right;
}

int main(void) { return is_read(1) && is_read(2) ? 0 : 1; }
