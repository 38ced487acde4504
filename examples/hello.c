/* The smallest program: one isolate that says hello once a second until SIGTERM or SIGINT. */
#include <tina/tina.h>

typedef struct greeter {
    unsigned count;
} greeter;

static tina_effect greeter_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size;
    if (tina_timer_repeat(ctx, 1000000000, TINA_TAG_TIMER, NULL) != TINA_OK)
        return tina_crash(1);
    return tina_receive();
}

static tina_effect greeter_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    greeter *me = self;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    tina_log(ctx, TINA_LOG_INFO, "hello %u", ++me->count);
    return tina_receive();
}

int main(void)
{
    static const tina_type types[] = {
        {.name = "greeter", .init = greeter_init, .handler = greeter_handle, .size = sizeof(greeter)},
    };
    static const tina_child children[] = {{.type = 0}};
    tina_system_spec spec = {
        .types = types, .type_count = 1, .shard_count = 1, .root = {.children = children, .child_count = 1}};
    return tina_boot(&spec, NULL) == TINA_OK ? 0 : 1;
}
