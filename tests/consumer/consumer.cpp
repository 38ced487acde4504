/* The same from C++: boots one isolate, which stops the system. */
#include <iostream>
#include <string>
#include <tina/tina.h>

namespace
{

constexpr tina_tag tag_stop = TINA_TAG_USER;

struct stopper {
    unsigned seen;
};

tina_effect stopper_init(void *, const void *, size_t, tina_ctx *ctx)
{
    if (tina_send(ctx, tina_self(ctx), tag_stop, nullptr, 0) != TINA_OK)
        return tina_crash(1);
    return tina_receive();
}

tina_effect stopper_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    auto *me = static_cast<stopper *>(self);
    if (message->tag == TINA_TAG_SHUTDOWN)
        return me->seen == 1 ? tina_done() : tina_crash(2);
    me->seen++;
    tina_stop_system(ctx);
    return tina_receive();
}

} // namespace

int main()
{
    tina_type type{};
    type.name = "stopper";
    type.init = stopper_init;
    type.handler = stopper_handle;
    type.size = sizeof(stopper);

    tina_child child{};
    tina_system_spec spec{};
    spec.types = &type;
    spec.type_count = 1;
    spec.shard_count = 1;
    spec.root.children = &child;
    spec.root.child_count = 1;
    spec.development = true;
    spec.quiet = true;

    tina_error error{};
    if (tina_status status = tina_boot(&spec, &error); status != TINA_OK) {
        std::cerr << tina_status_name(status) << ": " << error.path << ": " << error.message << '\n';
        return 1;
    }
    if (tina_version() != std::string(TINA_VERSION))
        return 2;
    std::cout << "libtina " << tina_version() << " from C++\n";
    return 0;
}
