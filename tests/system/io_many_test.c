/*
 * Much at once, on every backend: sockets that wait together, operations that start
 * together, and one among them that fails.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/witness.h"

#include <string.h>
#include <sys/resource.h>

#define WAITING     300u  /* sockets that wait before anything is sent */
#define SOCKETS     5000u /* each with an operation in either half: ten thousand in one tick */
#define SOCKETS_MAX SOCKETS

/* ---- One isolate that has them all --------------------------------------------------------------- */

typedef enum plan { WAIT_FIRST, ALL_AT_ONCE, ONE_WRONG } plan;

typedef struct crowd {
    plan plan;
    uint32_t count;
    /* What came of it. */
    uint32_t received, sent, refused, wrong, ended;
    uint32_t wrong_socket; /* whose send went nowhere */
} crowd;

typedef struct holder {
    tina_fd fds[SOCKETS_MAX];
    tina_address addresses[SOCKETS_MAX];
} holder;

static bool open_all(holder *me, const crowd *here, tina_ctx *ctx)
{
    tina_address any = tina_ipv4(127, 0, 0, 1, 0);
    for (uint32_t i = 0; i < here->count; i++) {
        if (tina_socket(ctx, TINA_IPV4, TINA_DATAGRAM, &me->fds[i]) != TINA_OK ||
            tina_bind(ctx, me->fds[i], &any) != TINA_OK || tina_local_address(ctx, me->fds[i], &me->addresses[i]) != TINA_OK)
            return false;
    }
    return true;
}

static bool receive_all(holder *me, const crowd *here, tina_ctx *ctx)
{
    for (uint32_t i = 0; i < here->count; i++) {
        tina_op op = {.kind = TINA_IO_RECVFROM, .fd = me->fds[i], .user = i};
        if (tina_io_start(ctx, &op) != TINA_OK)
            return false;
    }
    return true;
}

/* Each socket to itself; the wrong one in a way that the kernel refuses. */
static bool send_all(holder *me, const crowd *here, tina_ctx *ctx)
{
    static const uint8_t nowhere[16];
    tina_address wrong = tina_ipv6(nowhere, 9);
    for (uint32_t i = 0; i < here->count; i++) {
        bool is_wrong = here->plan == ONE_WRONG && i == here->wrong_socket;
        tina_op op = {.kind = TINA_IO_SENDTO,
                      .fd = me->fds[i],
                      .address = is_wrong ? &wrong : &me->addresses[i],
                      .data = &i,
                      .size = sizeof i,
                      .user = i};
        if (tina_io_start(ctx, &op) != TINA_OK)
            return false;
    }
    return true;
}

static tina_effect give_up(crowd *here, tina_ctx *ctx)
{
    here->wrong++;
    tina_stop_system(ctx);
    return tina_receive();
}

static tina_effect holder_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)args, (void)args_size;
    crowd *here = tina_user(ctx);
    if (!open_all(self, here, ctx) || !receive_all(self, here, ctx))
        return give_up(here, ctx);
    tina_timer timer;
    if (here->plan == WAIT_FIRST)
        return tina_timer_start(ctx, 20000000, TINA_TAG_TIMER, &timer) == TINA_OK ? tina_receive() : give_up(here, ctx);
    return send_all(self, here, ctx) ? tina_receive() : give_up(here, ctx);
}

static void note(const holder *me, crowd *here, const tina_message *message)
{
    uint32_t from;
    const tina_io_result *io = &message->io;
    if (message->tag == TINA_IO_SENDTO) {
        bool is_refused = io->status != TINA_OK;
        here->refused += is_refused;
        here->sent += !is_refused;
        here->wrong += is_refused != (here->plan == ONE_WRONG && io->user == here->wrong_socket);
        return;
    }
    here->received++;
    bool is_whole = io->status == TINA_OK && io->size == sizeof from && io->peer != NULL;
    if (is_whole)
        memcpy(&from, io->data, sizeof from);
    here->wrong += !is_whole || from != io->user || io->peer->port != me->addresses[from].port;
}

static tina_effect holder_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    crowd *here = tina_user(ctx);
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (message->tag == TINA_TAG_TIMER)
        return send_all(self, here, ctx) ? tina_receive() : give_up(here, ctx);
    if (message->tag == TINA_IO_SENDTO || message->tag == TINA_IO_RECVFROM)
        note(self, here, message);
    uint32_t silent = here->plan == ONE_WRONG ? 1 : 0;
    if (here->received == here->count - silent && here->sent + here->refused == here->count && here->ended++ == 0)
        tina_stop_system(ctx);
    return tina_receive();
}

/* ---- Running ---------------------------------------------------------------------------------------- */

static const tina_type types[] = {{.name = "holder",
                                   .init = holder_init,
                                   .handler = holder_handle,
                                   .size = sizeof(holder),
                                   .containment = TINA_CONTAIN_SHARD}};
static const tina_child children[] = {{.type = 0}};

static void run(crowd *here, uint8_t backend)
{
    tina_system_spec spec = {
        .types = types,
        .type_count = 1,
        .shard_count = 1,
        .root = {.children = children, .child_count = 1},
        .user = here,
        .fd_count = SOCKETS + 10,
        .op_count = 2 * SOCKETS + 10,
        .buffer_count = 4 * SOCKETS,
        .buffer_size = 64,
        .development = true,
        .backend = backend,
    };
    if (backend == TINA_BACKEND_SIM) {
        tina_sim_config config = {.seed = 3, .ticks_max = 1000000};
        tina_sim_report report;
        spec.backend = TINA_BACKEND_AUTO;
        assert_int_equal(tina_simulate(&spec, &config, &report, NULL), TINA_OK);
        if (report.end != TINA_SIM_STOPPED)
            fail_msg("end %u: %s", report.end, report.violation);
    } else {
        tina_test_join(tina_test_start(&spec), NULL);
    }
}

static bool has_descriptors_for(uint32_t count)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return limit.rlim_cur > count + 100;
}

static void run_on_each(plan what, uint32_t count)
{
    uint8_t backends[3];
    size_t backend_count = tina_test_backends(backends);
    backends[backend_count++] = TINA_BACKEND_SIM;
    if (!has_descriptors_for(count))
        skip();
    for (size_t i = 0; i < backend_count; i++) {
        crowd here = {.plan = what, .count = count, .wrong_socket = count / 2};
        run(&here, backends[i]);
        assert_int_equal(here.wrong, 0);
        assert_int_equal(here.refused, what == ONE_WRONG ? 1 : 0);
        assert_int_equal(here.received, what == ONE_WRONG ? count - 1 : count);
        assert_int_equal(here.sent + here.refused, count);
    }
}

static void sockets_that_wait_together_all_receive(void **state)
{
    (void)state;
    run_on_each(WAIT_FIRST, WAITING);
}

static void operations_that_start_in_one_tick_all_complete(void **state)
{
    (void)state;
    run_on_each(ALL_AT_ONCE, SOCKETS);
}

static void operation_that_fails_fails_alone(void **state)
{
    (void)state;
    run_on_each(ONE_WRONG, WAITING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sockets_that_wait_together_all_receive),
        cmocka_unit_test(operations_that_start_in_one_tick_all_complete),
        cmocka_unit_test(operation_that_fails_fails_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
