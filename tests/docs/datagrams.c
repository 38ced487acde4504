/* A service that answers datagrams, and one that asks it. Ends by itself; docs/ is cut from it. */
#include <string.h>
#include <tina/tina.h>

enum { TYPE_SERVICE, TYPE_ASKER, TYPE_COUNT };
enum { QUESTION_MAX = 16 };

#define TRY_NS 200000000ull

typedef struct settings {
    tina_address address;
    bool is_right;
} settings;

/* ---- The service ---- */

typedef struct service {
    tina_fd fd;
} service;

/* docs: service */
static tina_effect service_wait(const service *me, tina_ctx *ctx)
{
    tina_op receive = {.kind = TINA_IO_RECVFROM, .fd = me->fd, .size = QUESTION_MAX};
    return tina_io(ctx, &receive);
}

static tina_effect service_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)args, (void)args_size;
    service *me = self;
    settings *where = tina_user(ctx);
    if (tina_socket(ctx, where->address.family, TINA_DATAGRAM, &me->fd) != TINA_OK ||
        tina_bind(ctx, me->fd, &where->address) != TINA_OK || tina_local_address(ctx, me->fd, &where->address) != TINA_OK)
        return tina_crash(1);
    return service_wait(me, ctx);
}

/* Back to whom it came from. What is longer than a question may be is nobody's. */
static tina_effect service_answer(const service *me, const tina_message *message, tina_ctx *ctx)
{
    if (message->io.status != TINA_OK || (message->io.flags & TINA_IO_TRUNCATED) != 0)
        return service_wait(me, ctx);
    tina_op answer = {
        .kind = TINA_IO_SENDTO,
        .fd = me->fd,
        .address = message->io.peer,
        .data = message->io.data,
        .size = message->io.size,
    };
    return tina_io(ctx, &answer);
}

static tina_effect service_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    const service *me = self;
    switch (message->tag) {
    case TINA_IO_RECVFROM: return service_answer(me, message, ctx);
    case TINA_IO_SENDTO: return service_wait(me, ctx); /* sent or not: who asks may ask again */
    case TINA_TAG_SHUTDOWN: return tina_done();
    default: return tina_receive();
    }
}
/* docs: end */

/* ---- Who asks ---- */

typedef struct asker {
    tina_fd fd;
} asker;

/* docs: asker */
static tina_effect asker_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)args, (void)args_size;
    asker *me = self;
    const settings *where = tina_user(ctx);
    if (tina_socket(ctx, where->address.family, TINA_DATAGRAM, &me->fd) != TINA_OK)
        return tina_crash(2);
    return tina_io_connect(ctx, me->fd, &where->address, 0); /* to one peer: from here on send and receive are enough */
}

/* Datagrams get lost: no answer in time, so it asks again. */
static tina_effect asker_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    const asker *me = self;
    settings *where = tina_user(ctx);
    tina_op receive = {.kind = TINA_IO_RECV, .fd = me->fd, .timeout_ns = TRY_NS};
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (message->tag == TINA_IO_SEND)
        return tina_io(ctx, &receive);
    if (message->tag != TINA_IO_RECV || message->io.status != TINA_OK)
        return tina_io_send(ctx, me->fd, "who?", 4);
    where->is_right = message->io.size == 4 && memcmp(message->io.data, "who?", 4) == 0;
    tina_stop_system(ctx);
    return tina_done();
}
/* docs: end */

/* ---- The program ---- */

static const tina_type types[TYPE_COUNT] = {
    [TYPE_SERVICE] = {.name = "service", .init = service_init, .handler = service_handle, .size = sizeof(service)},
    [TYPE_ASKER] = {.name = "asker", .init = asker_init, .handler = asker_handle, .size = sizeof(asker)},
};
static const tina_child children[] = {{.type = TYPE_SERVICE}, {.type = TYPE_ASKER, .restart = TINA_TEMPORARY}};

static void describe(tina_system_spec *spec, settings *where)
{
    *where = (settings){.address = tina_ipv4(127, 0, 0, 1, 0)};
    *spec = (tina_system_spec){
        .types = types,
        .type_count = TYPE_COUNT,
        .shard_count = 1,
        .root = {.children = children, .child_count = 2},
        .user = where,
        .development = true,
        .quiet = true,
    };
}

/* docs: simulate */
/* Where every third is lost, and some come twice. */
static bool is_answered_at_last(uint64_t seed)
{
    settings where;
    tina_system_spec spec;
    tina_sim_report report;
    tina_sim_config config = {
        .seed = seed,
        .faults = {.datagram_loss = {1, 3}, .datagram_double = {1, 10}, .io_delay = {0, 20}},
    };
    describe(&spec, &where);
    return tina_simulate(&spec, &config, &report, NULL) == TINA_OK && report.end == TINA_SIM_STOPPED && where.is_right;
}
/* docs: end */

int main(void)
{
    settings where;
    tina_system_spec spec;
    describe(&spec, &where);
    if (tina_boot(&spec, NULL) != TINA_OK || !where.is_right)
        return 1;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        if (!is_answered_at_last(seed))
            return 1;
    }
    return 0;
}
