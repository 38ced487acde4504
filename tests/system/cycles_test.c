/*
 * Systems that are started and stopped again and again, with threads of their own and
 * on the program's, several at once: the process is as it was. With TINA_SOAK ten
 * thousand times.
 */
/* ctest: label stress */
/* ctest: timeout 600 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/own_loop.h"

#include <stdlib.h>
#include <string.h>

enum { NAME_MEMBER = 1 };
enum { TAG_COUNT = TINA_TAG_USER, TAG_CRASH };
#define WARM 24u /* the C library keeps stacks and arenas of threads that have ended */

typedef struct witness {
    tina_test_count inits, messages, echoes;
} witness;

static uint8_t backends[2];
static size_t backend_count;

/* A member holds some of everything: a timer, two datagram sockets, an operation that waits. */
typedef struct member {
    tina_fd fd;
    tina_address address;
} member;

static tina_effect member_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)args, (void)args_size;
    member *me = self;
    witness *seen = tina_user(ctx);
    me->address = tina_ipv4(127, 0, 0, 1, 0);
    if (tina_socket(ctx, TINA_IPV4, TINA_DATAGRAM, &me->fd) != TINA_OK || tina_bind(ctx, me->fd, &me->address) != TINA_OK ||
        tina_local_address(ctx, me->fd, &me->address) != TINA_OK ||
        tina_timer_repeat(ctx, 1000000, TAG_COUNT + 10, NULL) != TINA_OK ||
        tina_io_start(ctx, &(tina_op){.kind = TINA_IO_RECVFROM, .fd = me->fd}) != TINA_OK)
        return tina_crash(1);
    tina_test_count_up(&seen->inits);
    return tina_receive();
}

static tina_effect member_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    member *me = self;
    witness *seen = tina_user(ctx);
    switch (message->tag) {
    case TINA_TAG_SHUTDOWN: return tina_done();
    case TAG_CRASH: return tina_crash(2);
    case TAG_COUNT: {
        const tina_op send = {.kind = TINA_IO_SENDTO, .fd = me->fd, .address = &me->address, .data = "hello", .size = 5};
        tina_test_count_up(&seen->messages);
        tina_ignore(tina_io_start(ctx, &send));
        return tina_receive();
    }
    case TINA_IO_RECVFROM:
        if (message->io.status != TINA_OK)
            return tina_receive();
        tina_test_count_up(&seen->echoes);
        tina_ignore(tina_io_start(ctx, &(tina_op){.kind = TINA_IO_RECVFROM, .fd = me->fd}));
        return tina_receive();
    default: return tina_receive();
    }
}

static const tina_type types[] = {
    {.name = "member", .init = member_init, .handler = member_handle, .size = sizeof(member), .slot_count = 4},
};
static const tina_child children[] = {{.type = 0, .name = NAME_MEMBER}, {.type = 0}};

static tina_system_spec make_spec(witness *seen, unsigned round)
{
    return (tina_system_spec){
        .types = types,
        .type_count = 1,
        .root = {.children = children, .child_count = 2},
        .user = seen,
        .fd_count = 16,
        .op_count = 16,
        .buffer_count = 8,
        .external = round % 2 == 0,
        .shard_count = round % 2 == 0 ? 1 : 2,
        .backend = backends[round / 2 % backend_count],
        .signals = round % 3 == 0 ? TINA_SIGNALS_ALL : TINA_SIGNALS_AUTO,
    };
}

typedef struct running {
    witness seen;
    tina_test_loop loop; /* of an external one */
    bool is_external;
} running;

static void tell(const running *which, tina_tag tag)
{
    assert_int_equal(tina_post(which->loop.system, tina_named(0, NAME_MEMBER), tag, NULL, 0), TINA_OK);
}

static void await(running *which, const tina_test_count *count, uint64_t at_least)
{
    if (which->is_external)
        tina_test_loop_until(&which->loop, count, at_least);
    else
        tina_test_await(count, at_least);
}

static void begin(running *which, unsigned round)
{
    *which = (running){.is_external = round % 2 == 0};
    tina_system_spec spec = make_spec(&which->seen, round);
    which->loop.system = tina_test_start(&spec);
}

static void live(running *which, unsigned round)
{
    uint64_t shards = which->is_external ? 1 : 2;
    if (round % 7 == 0 && which->is_external)
        return; /* is never stepped */
    await(which, &which->seen.inits, 2 * shards);
    tell(which, TAG_COUNT);
    await(which, &which->seen.echoes, 1);
    tell(which, TAG_CRASH);
    await(which, &which->seen.inits, 2 * shards + 1);
}

static void end(running *which, unsigned round)
{
    if (which->is_external && round % 5 != 0)
        tina_test_loop_end(&which->loop, NULL);
    else
        tina_test_end(which->loop.system, NULL); /* the join steps, where it must */
}

static unsigned round_count(void)
{
    if (getenv("TINA_SOAK") != NULL)
        return 10000;
    return tina_test_is_slow() ? 60 : 300;
}

static void cycles_leave_the_process_as_it_was(void **state)
{
    (void)state;
    static running one;
    static tina_test_holdings before;
    const unsigned rounds = round_count();
    for (unsigned round = 0; round < WARM + rounds; round++) {
        if (round == WARM)
            tina_test_hold(&before);
        begin(&one, round);
        live(&one, round);
        end(&one, round);
    }
    tina_test_assert_same_holdings(&before);
    print_message("soak: %u cycles\n", rounds);
}

static void eight_at_once_leave_the_process_as_it_was(void **state)
{
    (void)state;
    enum { SYSTEMS = 8 };
    static running all[SYSTEMS];
    static tina_test_holdings before;
    const unsigned rounds = round_count() / 60;
    for (unsigned round = 0; round < 3 + rounds; round++) {
        if (round == 3)
            tina_test_hold(&before);
        for (unsigned i = 0; i < SYSTEMS; i++)
            begin(&all[i], i);
        for (unsigned i = 0; i < SYSTEMS; i++)
            live(&all[i], round + i);
        for (unsigned i = 0; i < SYSTEMS; i++)
            end(&all[(i * 3 + round) % SYSTEMS], i);
    }
    tina_test_assert_same_holdings(&before);
}

int main(void)
{
    backend_count = tina_test_backends(backends);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cycles_leave_the_process_as_it_was),
        cmocka_unit_test(eight_at_once_leave_the_process_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
