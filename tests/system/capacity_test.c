/*
 * As many idle connections as the process may have descriptors, on one shard: what
 * they cost, that they use nothing, and that each of them still answers. The
 * clients live in a process of their own, which has as many.
 */
/* ctest: label stress */
/* ctest: timeout 300 */
/* ctest: alone */
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
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PRICE_MAX 600 /* bytes of the library's for each connection, its struct apart */
#define MILLION   1000000u

enum { TYPE_LISTENER, TYPE_CONNECTION, TYPE_COUNT };

static struct {
    tina_test_count port, connections;
} seen;

/* ---- The server ------------------------------------------------------------------------------- */

typedef struct connection {
    tina_fd fd;
    uint64_t greeted;
} connection;

static tina_effect connection_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    connection *me = self;
    if (args_size != sizeof me->fd)
        return tina_crash(1);
    memcpy(&me->fd, args, sizeof me->fd);
    tina_test_count_up(&seen.connections);
    return tina_io_recv(ctx, me->fd);
}

static tina_effect connection_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    connection *me = self;
    if (message->tag == TINA_IO_RECV && message->io.status == TINA_OK)
        return tina_io_send(ctx, me->fd, message->io.data, message->io.size);
    if (message->tag == TINA_IO_SEND && message->io.status == TINA_OK)
        return tina_io_recv(ctx, me->fd);
    return tina_done();
}

static tina_effect listener_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)args, (void)args_size;
    tina_fd *fd = self;
    tina_address address = tina_ipv4(0, 0, 0, 0, 0);
    if (tina_socket(ctx, TINA_IPV4, TINA_STREAM, fd) != TINA_OK || tina_bind(ctx, *fd, &address) != TINA_OK ||
        tina_listen(ctx, *fd, 4096) != TINA_OK || tina_local_address(ctx, *fd, &address) != TINA_OK)
        return tina_crash(1);
    atomic_store(&seen.port, address.port);
    return tina_io_accept(ctx, *fd);
}

static tina_effect listener_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    tina_fd fd = message->io.fd;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    tina_spawn spawn = {.type = TYPE_CONNECTION, .group = TINA_GROUP_NONE, .fd = fd, .args = &fd, .args_size = sizeof fd};
    if (message->io.status == TINA_OK && tina_spawn_child(ctx, &spawn, NULL) != TINA_OK)
        return tina_crash(2);
    return tina_io_accept(ctx, *(tina_fd *)self);
}

static tina_type types[TYPE_COUNT] = {
    {.name = "listener", .init = listener_init, .handler = listener_handle, .size = sizeof(tina_fd)},
    {.name = "connection", .init = connection_init, .handler = connection_handle, .size = sizeof(connection)},
};
static const tina_child children[] = {{.type = TYPE_LISTENER}};

/* What a server of mostly idle connections would say: an operation each, deadlines in them, and no timers of their own. */
static tina_system_spec spec_for(uint32_t count, uint8_t backend)
{
    types[TYPE_CONNECTION].slot_count = count;
    return (tina_system_spec){
        .types = types,
        .type_count = TYPE_COUNT,
        .shard_count = 1,
        .root = {.children = children, .child_count = 1, .dynamic_max = TINA_NONE},
        .message_count = 1024,
        .timer_count = 64,
        .watch_count = TINA_NONE,
        .fd_count = count + 2,
        .op_count = count + 2,
        .buffer_count = 256,
        .backend = backend,
        .development = true,
    };
}

/* ---- The clients ---------------------------------------------------------------------------------- */

/* Each connection from an address of its own thousand, so that no port runs out. */
static int dial(uint16_t port, uint32_t number)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7F000002 + number / 10000)};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1; /* the port is chosen when it connects, which knows more and looks less */
    bool is_there = fd >= 0 && setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one) == 0 &&
                    bind(fd, (struct sockaddr *)&from, sizeof from) == 0 &&
                    connect(fd, (struct sockaddr *)&to, sizeof to) == 0;
    return is_there ? fd : -1;
}

static bool answers(int fd)
{
    char byte = 'x';
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    return write(fd, &byte, 1) == 1 && poll(&ready, 1, 20000) == 1 && read(fd, &byte, 1) == 1 && byte == 'x';
}

/* Reads which connection is to be tried, says whether it answered, until there is nothing more to read. */
static void play_clients(uint16_t port, uint32_t count, int orders, int results)
{
    int *fds = malloc(count * sizeof *fds);
    uint32_t number;
    for (number = 0; number < count && (fds[number] = dial(port, number)) >= 0; number++)
        ;
    char is_good = number == count;
    while (write(results, &is_good, 1) == 1 && read(orders, &number, sizeof number) == sizeof number)
        is_good = number < count && answers(fds[number]);
    _exit(0);
}

typedef struct clients {
    pid_t process;
    int orders, results;
} clients;

static clients start_clients(uint16_t port, uint32_t count)
{
    int orders[2], results[2];
    assert_int_equal(pipe(orders), 0);
    assert_int_equal(pipe(results), 0);
    clients made = {.process = fork(), .orders = orders[1], .results = results[0]};
    assert_true(made.process >= 0);
    if (made.process == 0) {
        close(orders[1]);
        close(results[0]);
        play_clients(port, count, orders[0], results[1]);
    }
    close(orders[0]);
    close(results[1]);
    return made;
}

static bool said_good(const clients *of)
{
    char is_good = 0;
    return read(of->results, &is_good, 1) == 1 && is_good != 0;
}

static void end_clients(const clients *of)
{
    close(of->orders);
    close(of->results);
    assert_int_equal(tina_test_reap(of->process), 0);
}

/* ---- Measuring ---------------------------------------------------------------------------------------- */

static size_t resident_bytes(void)
{
    unsigned long whole, resident;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%lu %lu", &whole, &resident), 2);
    fclose(file);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

static uint64_t cpu_ns(void)
{
    struct timespec used;
    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used), 0);
    return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}

/* Within a few looks of a second each: what the last connection has set going must be over. */
static bool becomes_idle(void)
{
    for (int left = 10; left != 0; left--) {
        uint64_t before_ns = cpu_ns();
        struct timespec second = {.tv_sec = 1};
        nanosleep(&second, NULL);
        if (cpu_ns() - before_ns < 5000000)
            return true;
    }
    return false;
}

/* How many connections this process, and the clients', may have. */
static uint32_t connections_for_us(void)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    uint32_t most = limit.rlim_cur < 100000 ? (uint32_t)limit.rlim_cur - 100 : 100000;
    return tina_test_is_slow() && most > 2000 ? 2000 : most;
}

static double planned_price(uint32_t count, uint8_t backend)
{
    tina_error error;
    tina_system_spec spec = spec_for(count, backend);
    if (tina_spec_check(&spec, &error) != TINA_OK)
        fail_msg("%s: %s", error.path, error.message);
    size_t whole = tina_spec_memory(&spec);
    spec = spec_for(100, backend);
    return (double)(whole - tina_spec_memory(&spec)) / (count - 100) - sizeof(connection);
}

/* ---- The test --------------------------------------------------------------------------------------------- */

static void try_some(const clients *of, uint32_t count)
{
    srand(1);
    for (uint32_t i = 0; i < count / 100; i++) {
        uint32_t number = (uint32_t)rand() % count;
        assert_int_equal(write(of->orders, &number, sizeof number), sizeof number);
        assert_true(said_good(of));
    }
}

static void hold_connections(uint8_t backend, uint32_t count)
{
    memset(&seen, 0, sizeof seen);
    tina_system_spec spec = spec_for(count, backend);
    tina_system *system = tina_test_start(&spec);
    size_t before = resident_bytes();
    clients all = start_clients((uint16_t)tina_test_counted(&seen.port), count);
    assert_true(said_good(&all));
    tina_test_await(&seen.connections, count);
    double price = (double)(resident_bytes() - before) / count - sizeof(connection);
    if (!tina_test_is_slow())
        print_message("backend %u, %u connections: %.0f bytes each resident, %.0f planned\n", backend, count, price,
                      planned_price(count, backend));
    if (!tina_test_is_slow())
        assert_true(price <= PRICE_MAX);
    assert_true(becomes_idle());
    try_some(&all, count);
    end_clients(&all);
    tina_test_end(system, NULL);
}

static void connection_that_is_idle_costs_little_and_still_answers(void **state)
{
    (void)state;
    uint8_t backends[2];
    size_t backend_count = tina_test_backends(backends);
    uint32_t count = connections_for_us();
    for (size_t i = 0; i < backend_count; i++)
        hold_connections(backends[i], count);
}

static void plan_for_a_million_connections_keeps_the_price(void **state)
{
    (void)state;
    for (uint8_t backend = TINA_BACKEND_AUTO; backend <= TINA_BACKEND_EPOLL; backend++) {
        assert_true(planned_price(20000, backend) <= PRICE_MAX);
        assert_true(planned_price(MILLION, backend) <= PRICE_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plan_for_a_million_connections_keeps_the_price),
        cmocka_unit_test(connection_that_is_idle_costs_little_and_still_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
