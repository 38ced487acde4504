/* A program that knows libtina only as it is installed: boots one isolate, which stops the system. */
#include <stdio.h>
#include <string.h>
#include <tina/tina.h>

enum { TAG_STOP = TINA_TAG_USER };

typedef struct stopper {
    unsigned seen;
} stopper;

static tina_effect stopper_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self;
    (void)args;
    (void)args_size;
    if (tina_send(ctx, tina_self(ctx), TAG_STOP, NULL, 0) != TINA_OK)
        return tina_crash(1);
    return tina_receive();
}

static tina_effect stopper_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    stopper *me = self;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return me->seen == 1 ? tina_done() : tina_crash(2);
    me->seen++;
    tina_stop_system(ctx);
    return tina_receive();
}

int main(void)
{
    static const tina_type types[] = {
        {.name = "stopper", .init = stopper_init, .handler = stopper_handle, .size = sizeof(stopper)}};
    static const tina_child children[] = {{.type = 0}};
    const tina_system_spec spec = {
        .types = types,
        .type_count = 1,
        .shard_count = 1,
        .root = {.children = children, .child_count = 1},
        .development = true,
        .quiet = true,
    };
    tina_error error;
    tina_status status = tina_boot(&spec, &error);
    if (status != TINA_OK) {
        fprintf(stderr, "%s: %s: %s\n", tina_status_name(status), error.path, error.message);
        return 1;
    }
    if (strcmp(tina_version(), TINA_VERSION) != 0)
        return 2;
    printf("libtina %s from C\n", tina_version());
    return 0;
}
