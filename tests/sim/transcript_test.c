/* With no faults a program cannot tell a simulation from a real run: both give its isolates the same messages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <tina/tina.h>

#define MS   1000000ull
#define TEXT "a few words, there and back"

enum { NAME_SERVER = 1 };
enum { TAG_ASK_PORT = TINA_TAG_USER, TAG_PORT, TAG_AGAIN, TAG_HELLO, TAG_HELLO_BACK, TAG_LATE, TAG_NEVER };

/* Each isolate writes down what it sees in a text of its own: they run on threads of their own. */
typedef struct transcript {
    size_t length;
    char text[4096];
} transcript;

typedef struct play {
    transcript client, server, child;
} play;

static void note(transcript *to, const tina_message *message)
{
    uint32_t status = message->tag >= TINA_IO_ACCEPT && message->tag < TINA_TAG_USER ? message->io.status : 0;
    uint64_t size = message->tag < TINA_TAG_USER && message->tag >= TINA_IO_ACCEPT ? message->io.size : message->size;
    if (message->tag == TINA_TAG_CALL_FAILED)
        memcpy(&status, message->payload, sizeof status);
    if (message->tag == TINA_TAG_DOWN)
        status = ((const tina_down *)(const void *)message->payload)->end;
    size_t room = sizeof to->text - to->length;
    int written = snprintf(to->text + to->length, room, "%#x %u %llu %s\n", message->tag, status, (unsigned long long)size,
                           tina_handle_is_none(message->source) ? "runtime" : "isolate");
    to->length += (size_t)written < room ? (size_t)written : 0;
}

/* ---- The server ------------------------------------------------------------------------------ */

typedef struct server {
    tina_fd listener, connection;
    uint16_t port;
} server;

static tina_effect server_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    server *me = self;
    (void)args;
    (void)args_size;
    tina_address address = tina_ipv4(127, 0, 0, 1, 0);
    tina_op accept = {.kind = TINA_IO_ACCEPT};
    if (tina_socket(ctx, TINA_IPV4, TINA_STREAM, &me->listener) != TINA_OK ||
        tina_bind(ctx, me->listener, &address) != TINA_OK || tina_listen(ctx, me->listener, 5) != TINA_OK ||
        tina_local_address(ctx, me->listener, &address) != TINA_OK)
        return tina_crash(1);
    me->port = address.port;
    accept.fd = me->listener;
    return tina_io_start(ctx, &accept) == TINA_OK ? tina_receive() : tina_crash(2);
}

static tina_effect server_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    server *me = self;
    play *ours = tina_user(ctx);
    note(&ours->server, message);
    switch (message->tag) {
    case TINA_TAG_SHUTDOWN: return tina_done();
    case TAG_ASK_PORT: return tina_reply(ctx, TAG_PORT, &me->port, sizeof me->port);
    case TINA_IO_ACCEPT: me->connection = message->io.fd; return tina_io_recv(ctx, me->connection);
    case TINA_IO_RECV:
        if (message->io.status != TINA_OK)
            return tina_io_close(ctx, me->connection);
        return tina_io_send(ctx, me->connection, message->io.data, message->io.size);
    case TINA_IO_SEND: return tina_io_recv(ctx, me->connection);
    case TAG_HELLO:
        return tina_send(ctx, message->source, TAG_HELLO_BACK, message->payload, message->size) == TINA_OK ? tina_receive()
                                                                                                           : tina_crash(3);
    default: return tina_receive();
    }
}

/* ---- The client, and its child ----------------------------------------------------------------- */

typedef struct client {
    tina_fd fd;
    size_t back;
    tina_handle child;
    bool has_port;
} client;

static tina_effect ask(tina_ctx *ctx) { return tina_call(ctx, tina_named(1, NAME_SERVER), TAG_ASK_PORT, NULL, 0, 0); }

static tina_effect client_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self;
    (void)args;
    (void)args_size;
    return ask(ctx);
}

static tina_effect talk(client *me, const tina_message *message, tina_ctx *ctx)
{
    uint16_t port;
    memcpy(&port, message->payload, sizeof port);
    tina_address address = tina_ipv4(127, 0, 0, 1, port);
    me->has_port = true;
    if (tina_socket(ctx, TINA_IPV4, TINA_STREAM, &me->fd) != TINA_OK)
        return tina_crash(4);
    return tina_io_connect(ctx, me->fd, &address, 0);
}

static tina_effect spawn_child(client *me, tina_ctx *ctx)
{
    tina_spawn spawn = {.type = 2};
    if (tina_spawn_child(ctx, &spawn, &me->child) != TINA_OK || tina_watch(ctx, me->child) != TINA_OK)
        return tina_crash(5);
    return tina_receive();
}

static tina_effect client_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    client *me = self;
    play *ours = tina_user(ctx);
    /* Only from here on both are there for certain. */
    if (!me->has_port && message->tag == TINA_TAG_CALL_FAILED)
        return tina_timer_start(ctx, MS, TAG_AGAIN, NULL) == TINA_OK ? tina_receive() : tina_crash(6);
    if (message->tag == TAG_AGAIN)
        return ask(ctx);
    note(&ours->client, message);
    switch (message->tag) {
    case TINA_TAG_SHUTDOWN: return tina_done();
    case TAG_PORT: return talk(me, message, ctx);
    case TINA_IO_CONNECT: return tina_io_send(ctx, me->fd, TEXT, sizeof TEXT);
    case TINA_IO_SEND: return tina_io_recv(ctx, me->fd);
    case TINA_IO_RECV:
        me->back += message->io.size;
        return me->back < sizeof TEXT ? tina_io_recv(ctx, me->fd) : tina_io_close(ctx, me->fd);
    case TINA_IO_CLOSE:
        return tina_send(ctx, tina_named(1, NAME_SERVER), TAG_HELLO, "hello", 5) == TINA_OK ? tina_receive() : tina_crash(7);
    case TAG_HELLO_BACK: return tina_call(ctx, tina_named(1, NAME_SERVER), TAG_NEVER, NULL, 0, 20 * MS);
    case TINA_TAG_CALL_FAILED: return spawn_child(me, ctx);
    case TINA_TAG_DOWN: return tina_timer_start(ctx, 5 * MS, TAG_LATE, NULL) == TINA_OK ? tina_receive() : tina_crash(8);
    case TAG_LATE: tina_stop_system(ctx); return tina_receive();
    default: return tina_receive();
    }
}

static tina_effect child_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self;
    (void)args;
    (void)args_size;
    return tina_timer_start(ctx, MS, TINA_TAG_TIMER, NULL) == TINA_OK ? tina_receive() : tina_crash(9);
}

static tina_effect child_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    (void)self;
    play *ours = tina_user(ctx);
    note(&ours->child, message);
    return tina_crash(10);
}

/* ---- The play ------------------------------------------------------------------------------------- */

static const tina_type types[] = {
    {.name = "client", .init = client_init, .handler = client_handle, .size = sizeof(client)},
    {.name = "server", .init = server_init, .handler = server_handle, .size = sizeof(server)},
    {.name = "child", .init = child_init, .handler = child_handle, .size = 16},
};
static const tina_child on_first[] = {{.type = 0}}, on_second[] = {{.type = 1, .name = NAME_SERVER}};
static const tina_shard_spec shards[] = {{.root = {.children = on_first, .child_count = 1}},
                                         {.root = {.children = on_second, .child_count = 1}}};

static tina_system_spec spec_of(play *ours)
{
    return (tina_system_spec){.types = types,
                              .type_count = 3,
                              .shards = shards,
                              .shard_count = 2,
                              .user = ours,
                              .message_count = 64,
                              .channel_capacity = 16,
                              .timer_count = 16,
                              .fd_count = 8,
                              .op_count = 16,
                              .buffer_count = 8,
                              .development = true};
}

static void play_for_real(play *ours, uint8_t backend)
{
    tina_system_spec spec = spec_of(ours);
    spec.backend = backend;
    tina_system *system;
    assert_int_equal(tina_start(&spec, &system, NULL), TINA_OK);
    assert_int_equal(tina_join(system, NULL), TINA_OK);
}

static void play_simulated(play *ours, uint64_t seed)
{
    tina_system_spec spec = spec_of(ours);
    tina_sim_config config = {.seed = seed};
    tina_sim_report report;
    assert_int_equal(tina_simulate(&spec, &config, &report, NULL), TINA_OK);
    assert_string_equal(report.violation, "");
    assert_int_equal(report.end, TINA_SIM_STOPPED);
}

static void are_alike(const play *real, const play *simulated)
{
    assert_string_equal(real->client.text, simulated->client.text);
    assert_string_equal(real->server.text, simulated->server.text);
    assert_string_equal(real->child.text, simulated->child.text);
}

static void simulation_is_alike_to_a_real_run_on_each_backend(void **state)
{
    (void)state;
    static play simulated, real;
    static const uint8_t backends[] = {TINA_BACKEND_AUTO, TINA_BACKEND_EPOLL};
    play_simulated(&simulated, 1);
    assert_non_null(strstr(simulated.client.text, "0x105")); /* it came to its end */
    for (size_t i = 0; i < sizeof backends; i++) {
        memset(&real, 0, sizeof real);
        play_for_real(&real, backends[i]);
        are_alike(&real, &simulated);
    }
}

static void simulation_is_alike_under_every_seed(void **state)
{
    (void)state;
    static play first, other;
    play_simulated(&first, 1);
    for (uint64_t seed = 2; seed < 50; seed++) {
        memset(&other, 0, sizeof other);
        play_simulated(&other, seed);
        are_alike(&first, &other);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(simulation_is_alike_under_every_seed),
        cmocka_unit_test(simulation_is_alike_to_a_real_run_on_each_backend),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
