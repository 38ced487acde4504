/*
 * A program that waits for its external system is woken by whatever there is to do, and
 * by nothing else: sockets, files, posts at the worst moments.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/own_loop.h"
#include "support/tripwire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { TYPE_DOOR, TYPE_ECHO, TYPE_CLERK, TYPE_COUNT };
enum { NAME_CLERK = 1 };
enum { TAG_WORK = TINA_TAG_USER, TAG_COUNT, TAG_PULSE, TAG_CRASH };

/* ---- Moments in which something happens while a step looks for the last time ---- */

typedef enum moment { NEVER, BEFORE_READ, AFTER_READ, BEFORE_LOOK, AFTER_LOOK } moment;

static _Thread_local moment wanted_moment; /* of the thread that steps */
static unsigned moments_left;              /* before it is the one */
static void (*deed)(void);
static unsigned deed_count;

static void pass(moment now)
{
    if (now != wanted_moment || moments_left-- != 0)
        return;
    wanted_moment = NEVER;
    deed_count++;
    deed();
}

/* What the library calls when it comes to rest: it is linked with these. */
ssize_t read(int fd, void *data, size_t size);
int epoll_wait(int fd, struct epoll_event *events, int count, int timeout_ms);

ssize_t read(int fd, void *data, size_t size)
{
    bool is_event = size == sizeof(uint64_t) && wanted_moment != NEVER;
    if (is_event)
        pass(BEFORE_READ);
    ssize_t result = syscall(SYS_read, fd, data, size);
    int error = errno;
    if (is_event)
        pass(AFTER_READ);
    errno = error;
    return result;
}

int epoll_wait(int fd, struct epoll_event *events, int count, int timeout_ms)
{
    pass(BEFORE_LOOK);
    int result = (int)syscall(SYS_epoll_pwait, fd, events, count, timeout_ms, NULL, 8);
    int error = errno;
    pass(AFTER_LOOK);
    errno = error;
    return result;
}

/* ---- Isolates: a door whose connections are echoed, or never listened to; a clerk with a file ---- */

typedef struct witness {
    tina_test_count port, accepted, echoed, counted, jobs, pulses;
    bool is_deaf;
    char path[64];
} witness;

static witness seen;
static uint8_t backend;

typedef struct door {
    tina_fd fd;
} door;

static tina_effect door_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)args, (void)args_size;
    door *me = self;
    tina_address address = tina_ipv4(127, 0, 0, 1, 0);
    if (tina_socket(ctx, TINA_IPV4, TINA_STREAM, &me->fd) != TINA_OK || tina_bind(ctx, me->fd, &address) != TINA_OK ||
        tina_listen(ctx, me->fd, 16) != TINA_OK || tina_local_address(ctx, me->fd, &address) != TINA_OK)
        return tina_crash(1);
    atomic_store(&seen.port, address.port);
    return tina_io_accept(ctx, me->fd);
}

static tina_effect door_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    door *me = self;
    if (message->tag != TINA_IO_ACCEPT || message->io.status != TINA_OK)
        return tina_done();
    tina_fd fd = message->io.fd;
    tina_test_count_up(&seen.accepted);
    tina_spawn spawn = {.type = TYPE_ECHO, .fd = fd, .args = &fd, .args_size = sizeof fd};
    if (tina_spawn_child(ctx, &spawn, NULL) != TINA_OK)
        return tina_io_close(ctx, fd);
    return tina_io_accept(ctx, me->fd);
}

static tina_effect echo_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    door *me = self;
    memcpy(&me->fd, args, args_size);
    return seen.is_deaf ? tina_receive() : tina_io_recv(ctx, me->fd);
}

static tina_effect echo_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    door *me = self;
    if (message->tag == TINA_IO_RECV && message->io.status == TINA_OK)
        return tina_io_send(ctx, me->fd, message->io.data, message->io.size);
    if (message->tag == TINA_IO_SEND && message->io.status == TINA_OK) {
        tina_test_count_up(&seen.echoed);
        return tina_io_recv(ctx, me->fd);
    }
    return tina_done();
}

typedef struct clerk {
    tina_fd fd;
    uint32_t step;
} clerk;

static tina_effect clerk_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size, (void)ctx;
    return tina_receive();
}

static tina_effect clerk_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    clerk *me = self;
    const uint32_t flags = TINA_OPEN_READ | TINA_OPEN_WRITE | TINA_OPEN_CREATE;
    switch (message->tag) {
    case TAG_WORK: return tina_io(ctx, &(tina_op){.kind = TINA_IO_OPEN, .path = seen.path, .flags = flags});
    case TINA_IO_OPEN:
        me->fd = message->io.fd;
        return tina_io(ctx, &(tina_op){.kind = TINA_IO_WRITE, .fd = me->fd, .data = "abc", .size = 3});
    case TINA_IO_WRITE: return tina_io(ctx, &(tina_op){.kind = TINA_IO_SYNC, .fd = me->fd});
    case TINA_IO_SYNC: return tina_io_close(ctx, me->fd);
    case TINA_IO_CLOSE: tina_test_count_up(&seen.jobs); return tina_receive();
    case TAG_CRASH: return tina_crash(5);
    case TAG_COUNT: tina_test_count_up(&seen.counted); return tina_receive();
    case TAG_PULSE: tina_test_count_up(&seen.pulses); return tina_receive();
    default: return tina_done();
    }
}

static const tina_type types[] = {
    {.name = "door", .init = door_init, .handler = door_handle, .size = sizeof(door)},
    {.name = "echo", .init = echo_init, .handler = echo_handle, .size = sizeof(door), .slot_count = 16},
    {.name = "clerk", .init = clerk_init, .handler = clerk_handle, .size = sizeof(clerk)},
};
static const tina_child children[] = {{.type = TYPE_DOOR}, {.type = TYPE_CLERK, .name = NAME_CLERK}};

static tina_test_loop start(void)
{
    tina_system_spec spec = {
        .types = types,
        .type_count = sizeof types / sizeof types[0],
        .root = {.children = children, .child_count = 2, .restart_max = TINA_NONE},
        .shard_restart_max = 100,
        .external = true,
        .backend = backend,
        .fd_count = 32,
        .op_count = 32,
        .buffer_count = 8,
    };
    bool is_deaf = seen.is_deaf;
    seen = (witness){.is_deaf = is_deaf};
    snprintf(seen.path, sizeof seen.path, "/tmp/tina-wake-%d", (int)getpid());
    tina_test_loop loop = {.system = tina_test_start(&spec)};
    tina_test_loop_settle(&loop);
    return loop;
}

/* ---- Peers ---- */

static int dial(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    tina_address to = tina_ipv4(127, 0, 0, 1, (uint16_t)tina_test_counted(&seen.port));
    uint8_t raw[16] = {AF_INET & 0xFF, AF_INET >> 8, (uint8_t)(to.port >> 8), (uint8_t)to.port, 127, 0, 0, 1};
    struct sockaddr address;
    memcpy(&address, raw, sizeof address);
    assert_int_equal(connect(fd, &address, sizeof address), 0);
    return fd;
}

static void expect_echo(int fd, const char *text)
{
    char back[16] = {0};
    assert_int_equal(recv(fd, back, sizeof back, MSG_WAITALL | MSG_DONTWAIT), (ssize_t)strlen(text));
    assert_string_equal(back, text);
}

static void echoes_take_a_step_or_two_each(void **state)
{
    (void)state;
    enum { ECHOES = 200 };
    tina_test_loop loop = start();
    int peer = dial();
    tina_test_loop_until(&loop, &seen.accepted, 1);
    tina_test_loop_settle(&loop);
    loop.steps = 0;
    for (uint64_t i = 1; i <= ECHOES; i++) {
        assert_int_equal(send(peer, "hello", 5, 0), 5);
        tina_test_loop_until(&loop, &seen.echoed, i);
        expect_echo(peer, "hello");
    }
    assert_true(loop.steps <= 3 * ECHOES);
    tina_test_loop_settle(&loop);
    close(peer);
    tina_test_loop_end(&loop, NULL);
}

static void what_nobody_wants_to_receive_does_not_keep_the_loop_busy(void **state)
{
    (void)state;
    seen.is_deaf = true;
    tina_test_loop loop = start();
    int peers[4];
    for (size_t i = 0; i < 4; i++)
        peers[i] = dial();
    tina_test_loop_until(&loop, &seen.accepted, 4);
    for (unsigned round = 0; round < 50; round++) {
        for (size_t i = 0; i < 4; i++)
            assert_int_equal(send(peers[i], "hello", 5, 0), 5);
        tina_test_loop_settle(&loop); /* comes to an end: else it fails */
    }
    assert_true(loop.steps < 2000);
    for (size_t i = 0; i < 4; i++)
        close(peers[i]);
    tina_test_loop_settle(&loop);
    tina_test_loop_end(&loop, NULL);
    seen.is_deaf = false;
}

static void files_wake_it(void **state)
{
    (void)state;
    enum { JOBS = 50 };
    tina_test_loop loop = start();
    for (uint64_t i = 1; i <= JOBS; i++) {
        assert_int_equal(tina_post(loop.system, tina_named(0, NAME_CLERK), TAG_WORK, NULL, 0), TINA_OK);
        tina_test_loop_until(&loop, &seen.jobs, i);
    }
    assert_true(loop.steps <= 20 * JOBS);
    unlink(seen.path);
    tina_test_loop_end(&loop, NULL);
}

/* All that the shard holds ends at once and begins anew: other sockets, the same descriptor to wait on. */
static void a_shard_that_begins_anew_is_waited_for_as_before(void **state)
{
    (void)state;
    tina_test_loop loop = start();
    int fd = tina_pollfd(loop.system, NULL);
    for (unsigned round = 1; round <= 3; round++) {
        int peer = dial();
        tina_test_loop_until(&loop, &seen.accepted, 2 * round - 1);
        atomic_store(&seen.port, 0);
        assert_int_equal(tina_post(loop.system, tina_named(0, NAME_CLERK), TAG_CRASH, NULL, 0), TINA_OK);
        tina_test_loop_until(&loop, &seen.port, 1);
        assert_int_equal(tina_test_stats(loop.system, 0).shard_restarts, round);
        close(peer);
        peer = dial();
        tina_test_loop_until(&loop, &seen.accepted, 2 * round);
        assert_int_equal(send(peer, "hello", 5, 0), 5);
        tina_test_loop_until(&loop, &seen.echoed, round);
        expect_echo(peer, "hello");
        close(peer);
        tina_test_loop_settle(&loop);
        assert_int_equal(tina_pollfd(loop.system, NULL), fd);
    }
    tina_test_loop_end(&loop, NULL);
}

/* ---- The worst moments ---- */

static tina_system *target;
static int target_peer;

static void post_now(void) { assert_int_equal(tina_post(target, tina_named(0, NAME_CLERK), TAG_COUNT, NULL, 0), TINA_OK); }
static void send_now(void) { assert_int_equal(send(target_peer, "hello", 5, 0), 5); }

/* Steps until nothing is to be done; then either the deed has been dealt with, or the descriptor says that there is something. */
static void try_moment(tina_test_loop *loop, moment when, unsigned which, const tina_test_count *count)
{
    uint64_t before = tina_test_counted(count);
    wanted_moment = when;
    moments_left = which;
    unsigned deeds = deed_count;
    assert_int_equal(tina_post(loop->system, tina_named(0, NAME_CLERK), TAG_PULSE, NULL, 0), TINA_OK);
    tina_test_loop_settle(loop);
    wanted_moment = NEVER;
    if (deed_count != deeds)
        tina_test_loop_until(loop, count, before + 1); /* fails where nothing wakes it */
    tina_test_loop_settle(loop);
}

static void nothing_is_lost_at_any_moment_of_coming_to_rest(void **state)
{
    (void)state;
    tina_test_loop loop = start();
    target = loop.system;
    target_peer = dial();
    tina_test_loop_until(&loop, &seen.accepted, 1);
    deed_count = 0;
    for (unsigned which = 0; which < 4; which++) {
        for (moment when = BEFORE_READ; when <= AFTER_LOOK; when++) {
            deed = post_now;
            try_moment(&loop, when, which, &seen.counted);
            deed = send_now;
            uint64_t echoes = tina_test_counted(&seen.echoed);
            try_moment(&loop, when, which, &seen.echoed);
            if (tina_test_counted(&seen.echoed) != echoes)
                expect_echo(target_peer, "hello");
        }
    }
    /* Those around the read come on any backend, those around the look where one asks the kernel. */
    assert_true(deed_count >= (backend == TINA_BACKEND_EPOLL ? 8u : 4u));
    tina_test_loop_settle(&loop);
    close(target_peer);
    tina_test_loop_end(&loop, NULL);
}

/* ---- No memory ---- */

static void a_step_allocates_nothing(void **state)
{
    (void)state;
    tina_test_loop loop = start();
    int peer = dial();
    tina_test_loop_until(&loop, &seen.accepted, 1);
    tina_test_tripwire_arm();
    for (uint64_t i = 1; i <= 100; i++) {
        uint64_t counted = tina_test_counted(&seen.counted);
        assert_int_equal(send(peer, "hello", 5, 0), 5);
        assert_int_equal(tina_post(loop.system, tina_named(0, NAME_CLERK), TAG_COUNT, NULL, 0), TINA_OK);
        tina_test_loop_until(&loop, &seen.counted, counted + 1);
        tina_test_loop_until(&loop, &seen.echoed, i);
        expect_echo(peer, "hello");
    }
    tina_stop(loop.system);
    tina_test_loop_run_out(&loop);
    tina_test_tripwire_disarm();
    char first[256];
    tina_test_tripwire_first(first, sizeof first);
    assert_string_equal(first, "");
    assert_int_equal(tina_test_tripwire_hits(), 0);
    close(peer);
    tina_test_join(loop.system, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(echoes_take_a_step_or_two_each),
        cmocka_unit_test(what_nobody_wants_to_receive_does_not_keep_the_loop_busy),
        cmocka_unit_test(files_wake_it),
        cmocka_unit_test(a_shard_that_begins_anew_is_waited_for_as_before),
        cmocka_unit_test(nothing_is_lost_at_any_moment_of_coming_to_rest),
        cmocka_unit_test(a_step_allocates_nothing),
    };
    return tina_test_on_each_backend(&backend, tests, sizeof tests / sizeof tests[0]);
}
