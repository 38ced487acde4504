/* TCP at its edges, on each backend: refused, late, half closed, crashed, exhausted. The test's own sockets are the peers. */
/* ctest: label stress */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/witness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TAG_CONNECT = TINA_TAG_USER, TAG_CRASH, TAG_OPEN_ALL, TAG_CLOSE_ONE, TAG_RECEIVE };
enum { TYPE_LISTENER, TYPE_SERVANT, TYPE_PROBE, TYPE_COUNT };
enum { NAME_LISTENER = 1, NAME_PROBE, FDS = 24, BUFFERS = 8 };

typedef struct witness {
    uint16_t port_to_connect;
    uint64_t timeout_ns;
    tina_test_count port, listening, accepted, servants_over, failed;
    tina_test_count connect_status, connects, receive_status, receives, opened, open_status, opens;
} witness;

static witness seen; /* of the test that runs */

/* ---- A listener, which keeps its port over its lives, and its echoing servants ---- */

typedef struct listener {
    tina_fd fd;
} listener;

static tina_effect failed(tina_ctx *ctx)
{
    (void)ctx;
    tina_test_count_up(&seen.failed);
    return tina_crash(1);
}

static tina_status accept_next(listener *me, tina_ctx *ctx)
{
    tina_op op = {.kind = TINA_IO_ACCEPT, .fd = me->fd};
    return tina_io_start(ctx, &op);
}

static tina_effect listener_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)args, (void)args_size;
    listener *me = self;
    tina_address address = tina_ipv4(127, 0, 0, 1, (uint16_t)tina_test_counted(&seen.port));
    if (tina_socket(ctx, TINA_IPV4, TINA_STREAM, &me->fd) != TINA_OK ||
        tina_setsockopt(ctx, me->fd, TINA_OPT_REUSEADDR, 1) != TINA_OK || tina_bind(ctx, me->fd, &address) != TINA_OK ||
        tina_listen(ctx, me->fd, 64) != TINA_OK || tina_local_address(ctx, me->fd, &address) != TINA_OK ||
        accept_next(me, ctx) != TINA_OK)
        return failed(ctx);
    atomic_store(&seen.port, address.port);
    tina_test_count_up(&seen.listening);
    return tina_receive();
}

static tina_effect listener_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    listener *me = self;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (message->tag == TAG_CRASH)
        return tina_crash(7);
    if (message->tag != TINA_IO_ACCEPT || message->io.status != TINA_OK)
        return failed(ctx);
    tina_fd fd = message->io.fd;
    tina_spawn spawn = {.type = TYPE_SERVANT, .fd = fd, .args = &fd, .args_size = sizeof fd};
    if (tina_spawn_child(ctx, &spawn, NULL) != TINA_OK)
        return failed(ctx);
    tina_test_count_up(&seen.accepted);
    return accept_next(me, ctx) == TINA_OK ? tina_receive() : failed(ctx);
}

typedef struct servant {
    tina_fd fd;
} servant;

static tina_effect servant_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    servant *me = self;
    if (args_size != sizeof me->fd)
        return failed(ctx);
    memcpy(&me->fd, args, sizeof me->fd);
    return tina_io_recv(ctx, me->fd);
}

static tina_effect servant_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    servant *me = self;
    if (message->tag == TINA_IO_RECV && message->io.status == TINA_OK)
        return tina_io_send(ctx, me->fd, message->io.data, message->io.size);
    if (message->tag == TINA_IO_SEND && message->io.status == TINA_OK)
        return tina_io_recv(ctx, me->fd);
    if (message->tag != TINA_TAG_SHUTDOWN)
        tina_test_count_up(&seen.servants_over);
    return tina_done();
}

/* ---- A probe, which does what it is told and says what came of it ---- */

typedef struct probe {
    tina_fd fds[FDS + 1];
    unsigned count;
} probe;

static tina_effect probe_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size, (void)ctx;
    return tina_receive();
}

static tina_effect connect_now(probe *me, tina_ctx *ctx)
{
    tina_address to = tina_ipv4(127, 0, 0, 1, seen.port_to_connect);
    if (tina_socket(ctx, TINA_IPV4, TINA_STREAM, &me->fds[0]) != TINA_OK)
        return failed(ctx);
    return tina_io_connect(ctx, me->fds[0], &to, seen.timeout_ns);
}

static tina_effect open_all(probe *me, tina_ctx *ctx)
{
    tina_status status = TINA_OK;
    while (me->count <= FDS && (status = tina_socket(ctx, TINA_IPV4, TINA_STREAM, &me->fds[me->count])) == TINA_OK)
        me->count++;
    atomic_store(&seen.opened, me->count);
    atomic_store(&seen.open_status, status);
    tina_test_count_up(&seen.opens);
    return tina_receive();
}

static tina_effect probe_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    probe *me = self;
    tina_op receive = {.kind = TINA_IO_RECV, .fd = me->fds[0], .timeout_ns = seen.timeout_ns};
    switch (message->tag) {
    case TINA_TAG_SHUTDOWN: return tina_done();
    case TAG_CONNECT: return connect_now(me, ctx);
    case TINA_IO_CONNECT:
        atomic_store(&seen.connect_status, message->io.status);
        tina_test_count_up(&seen.connects);
        return message->io.status == TINA_OK ? tina_receive() : tina_io_close(ctx, me->fds[0]);
    case TAG_RECEIVE: return tina_io(ctx, &receive);
    case TINA_IO_RECV:
        atomic_store(&seen.receive_status, message->io.status);
        tina_test_count_up(&seen.receives);
        return tina_receive();
    case TAG_OPEN_ALL: return open_all(me, ctx);
    case TAG_CLOSE_ONE: return tina_io_close(ctx, me->fds[--me->count]);
    default: return tina_receive();
    }
}

static const tina_type types[TYPE_COUNT] = {
    {.name = "listener", .init = listener_init, .handler = listener_handle, .size = sizeof(listener)},
    {.name = "servant", .init = servant_init, .handler = servant_handle, .size = sizeof(servant), .slot_count = 32},
    {.name = "probe", .init = probe_init, .handler = probe_handle, .size = sizeof(probe), .slot_count = 1},
};
static const tina_child children[] = {{.type = TYPE_LISTENER, .name = NAME_LISTENER},
                                      {.type = TYPE_PROBE, .name = NAME_PROBE}};

static tina_system *start(uint8_t backend, uint32_t fd_count)
{
    uint64_t timeout_ns = seen.timeout_ns;
    uint16_t port = seen.port_to_connect;
    memset(&seen, 0, sizeof seen);
    seen.timeout_ns = timeout_ns;
    seen.port_to_connect = port;
    tina_system_spec spec = {
        .types = types,
        .type_count = TYPE_COUNT,
        .root = {.children = children, .child_count = 2, .restart_max = 1000},
        .shard_count = 1,
        .fd_count = fd_count,
        .op_count = 128,
        .buffer_count = BUFFERS,
        .buffer_size = 1024,
        .backend = backend,
        .development = true,
    };
    return tina_test_start(&spec);
}

static void end(tina_system *system, tina_end_report *report)
{
    tina_end_report own;
    tina_test_end(system, &own);
    assert_int_equal(tina_test_counted(&seen.failed), 0);
    if (report != NULL)
        *report = own;
}

static void tell(tina_system *system, uint16_t name, tina_tag tag)
{
    tina_test_await_that(tina_post(system, tina_named(0, name), tag, NULL, 0) == TINA_OK);
}

static void on_each_backend(void (*body)(uint8_t backend))
{
    uint8_t backends[2];
    size_t count = tina_test_backends(backends);
    for (size_t i = 0; i < count; i++)
        body(backends[i]);
}

/* ---- The test's own sockets ---- */

static struct sockaddr_in at_port(uint16_t port)
{
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
}

static int own_listener(int backlog, uint16_t *port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = at_port(0);
    socklen_t size = sizeof address;
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    if (backlog >= 0)
        assert_int_equal(listen(fd, backlog), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

/* Blocking, with a bound on each call. */
static int own_client(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = at_port(port);
    struct timeval patience = {.tv_sec = 20};
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void assert_echo(int fd, const char *text)
{
    char back[64] = "";
    size_t length = strlen(text), got = 0;
    assert_int_equal(send(fd, text, length, MSG_NOSIGNAL), length);
    while (got < length) {
        ssize_t more = recv(fd, back + got, sizeof back - got, 0);
        assert_true(more > 0);
        got += (size_t)more;
    }
    assert_memory_equal(back, text, length);
}

/* ---- Connecting ---- */

static void refused_on(uint8_t backend)
{
    uint16_t port;
    int bound = own_listener(-1, &port); /* bound, so that nobody else listens there either */
    seen.port_to_connect = port;
    seen.timeout_ns = 0;
    tina_system *system = start(backend, 0);
    for (uint64_t i = 1; i <= 20; i++) {
        tell(system, NAME_PROBE, TAG_CONNECT);
        tina_test_await(&seen.connects, i);
        assert_int_equal(tina_test_counted(&seen.connect_status), TINA_REFUSED);
    }
    end(system, NULL);
    close(bound);
}

static void connect_where_nobody_listens_is_refused(void **state)
{
    (void)state;
    on_each_backend(refused_on);
}

static void late_on(uint8_t backend)
{
    enum { FILLERS = 4 };
    uint16_t port;
    int own = own_listener(0, &port);
    int fillers[FILLERS];
    struct sockaddr_in address = at_port(port);
    for (size_t i = 0; i < FILLERS; i++) { /* past its backlog a listener answers nobody */
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (connect(fillers[i], (struct sockaddr *)&address, sizeof address) != 0)
            assert_int_equal(errno, EINPROGRESS);
    }
    struct pollfd first = {.fd = fillers[0], .events = POLLOUT};
    assert_int_equal(poll(&first, 1, 20000), 1);
    seen.port_to_connect = port;
    seen.timeout_ns = 30000000;
    tina_system *system = start(backend, 0);
    for (uint64_t i = 1; i <= 3; i++) {
        tell(system, NAME_PROBE, TAG_CONNECT);
        tina_test_await(&seen.connects, i);
        assert_int_equal(tina_test_counted(&seen.connect_status), TINA_TIMED_OUT);
    }
    end(system, NULL);
    for (size_t i = 0; i < FILLERS; i++)
        close(fillers[i]);
    close(own);
}

static void connect_that_nobody_answers_times_out(void **state)
{
    (void)state;
    on_each_backend(late_on);
}

static void deadline_on(uint8_t backend)
{
    uint16_t port;
    int own = own_listener(8, &port);
    seen.port_to_connect = port;
    seen.timeout_ns = 0;
    tina_system *system = start(backend, 0);
    tell(system, NAME_PROBE, TAG_CONNECT);
    tina_test_await(&seen.connects, 1);
    assert_int_equal(tina_test_counted(&seen.connect_status), TINA_OK);
    int peer = accept(own, NULL, NULL);
    assert_true(peer >= 0);
    seen.timeout_ns = 10000000; /* the next post makes it known */
    for (uint64_t i = 1; i <= 5; i++) {
        tell(system, NAME_PROBE, TAG_RECEIVE);
        tina_test_await(&seen.receives, i);
        assert_int_equal(tina_test_counted(&seen.receive_status), TINA_TIMED_OUT);
    }
    seen.timeout_ns = 0;
    assert_int_equal(send(peer, "late", 4, MSG_NOSIGNAL), 4); /* the connection is none the worse for it */
    tell(system, NAME_PROBE, TAG_RECEIVE);
    tina_test_await(&seen.receives, 6);
    assert_int_equal(tina_test_counted(&seen.receive_status), TINA_OK);
    close(peer);
    tell(system, NAME_PROBE, TAG_RECEIVE);
    tina_test_await(&seen.receives, 7);
    assert_int_equal(tina_test_counted(&seen.receive_status), TINA_CLOSED);
    end(system, NULL);
    close(own);
}

static void receive_past_its_deadline_times_out_and_the_next_one_serves(void **state)
{
    (void)state;
    on_each_backend(deadline_on);
}

static void half_close_on(uint8_t backend)
{
    tina_system *system = start(backend, 0);
    for (uint64_t i = 1; i <= 50; i++) {
        int client = own_client((uint16_t)tina_test_counted(&seen.port));
        assert_int_equal(send(client, "farewell", 8, MSG_NOSIGNAL), 8);
        assert_int_equal(shutdown(client, SHUT_WR), 0);
        char back[16];
        size_t got = 0;
        ssize_t more;
        while ((more = recv(client, back + got, sizeof back - got, 0)) > 0)
            got += (size_t)more;
        assert_int_equal(more, 0);
        assert_int_equal(got, 8);
        assert_memory_equal(back, "farewell", 8);
        close(client);
        tina_test_await(&seen.servants_over, i);
    }
    end(system, NULL);
}

static void half_closed_client_still_gets_its_answer(void **state)
{
    (void)state;
    on_each_backend(half_close_on);
}

/* ---- A listener that crashes ---- */

static void crash_on(uint8_t backend)
{
    enum { CRASHES = 200 };
    tina_system *system = start(backend, 0);
    uint64_t port = tina_test_counted(&seen.port);
    for (uint64_t i = 1; i <= CRASHES; i++) {
        tell(system, NAME_LISTENER, TAG_CRASH); /* with its accept in flight */
        tina_test_await(&seen.listening, i + 1);
        assert_int_equal(tina_test_counted(&seen.port), port);
        int client = own_client((uint16_t)port);
        assert_echo(client, "still here");
        close(client);
        tina_test_await(&seen.servants_over, i);
    }
    tina_end_report report;
    end(system, &report);
    assert_int_equal(report.total.crashes, CRASHES);
    assert_int_equal(report.total.restarts, CRASHES);
}

static void crashed_listener_serves_its_port_again_for_one_restart_each(void **state)
{
    (void)state;
    on_each_backend(crash_on);
}

/* ---- Limits ---- */

static void fds_on(uint8_t backend)
{
    tina_system *system = start(backend, FDS);
    for (uint64_t i = 1; i <= 3; i++) {
        tell(system, NAME_PROBE, TAG_OPEN_ALL);
        tina_test_await(&seen.opens, i);
        assert_int_equal(tina_test_counted(&seen.opened), FDS - 2); /* the listener has one, and one for its next client */
        assert_int_equal(tina_test_counted(&seen.open_status), TINA_POOL_EXHAUSTED);
        assert_int_equal(tina_test_stats(system, 0).fds.limit, FDS);
        tell(system, NAME_PROBE, TAG_CLOSE_ONE);
        tina_test_await_that(tina_test_stats(system, 0).fds.used == FDS - 1);
    }
    /* One is free: a client is served, in the middle of it. */
    int client = own_client((uint16_t)tina_test_counted(&seen.port));
    assert_echo(client, "room for one");
    close(client);
    tina_test_await(&seen.servants_over, 1);
    tina_end_report report;
    end(system, &report);
    assert_int_equal(report.total.fds.peak, FDS);
}

static void descriptors_past_the_limit_are_refused_and_come_back(void **state)
{
    (void)state;
    on_each_backend(fds_on);
}

static void deaf_clients_on(uint8_t backend)
{
    enum { DEAF = BUFFERS + 1 };
    static char junk[1 << 16];
    int deaf[DEAF];
    tina_system *system = start(backend, 0);
    uint16_t port = (uint16_t)tina_test_counted(&seen.port);
    for (size_t i = 0; i < DEAF; i++)
        deaf[i] = own_client(port);
    tina_test_await(&seen.accepted, DEAF);
    /* Each sends until nothing goes through any more: the server is stuck with its answers. */
    for (unsigned quiet_rounds = 0; quiet_rounds < 20;) {
        bool has_sent = false;
        for (size_t i = 0; i < DEAF; i++) {
            while (send(deaf[i], junk, sizeof junk, MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
                has_sent = true;
        }
        quiet_rounds = has_sent ? 0 : quiet_rounds + 1;
        (void)tina_test_look_again(0);
    }
    for (unsigned i = 0; i < 20; i++) {
        int fresh = own_client(port);
        assert_echo(fresh, "hello");
        assert_echo(fresh, "again");
        close(fresh);
        tina_test_await(&seen.servants_over, i + 1);
    }
    for (size_t i = 0; i < DEAF; i++)
        close(deaf[i]);
    tina_test_await(&seen.servants_over, 20 + DEAF);
    end(system, NULL);
}

static void clients_that_never_read_do_not_keep_a_fresh_one_from_being_served(void **state)
{
    (void)state;
    on_each_backend(deaf_clients_on);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connect_where_nobody_listens_is_refused),
        cmocka_unit_test(connect_that_nobody_answers_times_out),
        cmocka_unit_test(receive_past_its_deadline_times_out_and_the_next_one_serves),
        cmocka_unit_test(half_closed_client_still_gets_its_answer),
        cmocka_unit_test(crashed_listener_serves_its_port_again_for_one_restart_each),
        cmocka_unit_test(descriptors_past_the_limit_are_refused_and_come_back),
        cmocka_unit_test(clients_that_never_read_do_not_keep_a_fresh_one_from_being_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
