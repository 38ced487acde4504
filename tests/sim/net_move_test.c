/* Sockets of a made network that move from one shard to another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net_rig.h"

static net_rig rig;

static void let_go(uint32_t shard, int fd)
{
    api->let_go(rig.shards[shard].backend, fd, 0);
    net_look(&rig);
}

static void take_over(uint32_t shard, int fd)
{
    api->take_over(rig.shards[shard].backend, fd);
    net_look(&rig);
}

static void close_from(uint32_t shard, int fd)
{
    api->close_fd(rig.shards[shard].backend, fd, TINA__SLOT_NONE);
    net_collect(&rig);
}

/* How many sockets each shard has, and how many are between shards. */
static void assert_sockets(uint32_t first, uint32_t second, uint32_t third, uint32_t moving)
{
    assert_int_equal(net_holdings(&rig, 0).sockets, first);
    assert_int_equal(net_holdings(&rig, 1).sockets, second);
    assert_int_equal(net_holdings(&rig, 2).sockets, third);
    assert_int_equal(net_ledger(&rig).moving, moving);
    assert_int_equal(net_ledger(&rig).sockets, first + second + third + moving);
}

/* ---- Between two shards --------------------------------------------------------------------- */

static void socket_that_was_let_go_of_is_nobodys_until_it_is_taken_over(void **state)
{
    (void)state;
    net_open(&rig);
    int client, server;
    net_pair(&rig, &client, &server);
    assert_sockets(1, 1, 0, 0);
    let_go(1, server);
    assert_sockets(1, 0, 0, 1);
    assert_true(tina__net_is_moving(rig.net, server));
    for (uint32_t i = 0; i < NET_SHARDS; i++)
        assert_false(tina__net_is_open(rig.net, server, i));
    take_over(2, server);
    assert_sockets(1, 0, 1, 0);
    assert_false(tina__net_is_moving(rig.net, server));
    assert_true(tina__net_is_open(rig.net, server, 2));
    net_close(&rig);
}

static void nobody_can_use_a_socket_that_is_between_two(void **state)
{
    (void)state;
    net_open(&rig);
    int client, server;
    net_pair(&rig, &client, &server);
    let_go(1, server);
    for (uint32_t i = 0; i < NET_SHARDS; i++) {
        net_assert(net_send(&rig, i, server, "x", 1), TINA_SYSTEM_ERROR, EBADF);
        net_assert(net_receive(&rig, i, server, 0), TINA_SYSTEM_ERROR, EBADF);
    }
    tina_address address;
    assert_int_equal(api->socket_local(rig.shards[1].backend, server, &address, &os_error), TINA_SYSTEM_ERROR);
    assert_int_equal(os_error, EBADF);
    net_close(&rig);
}

static void bytes_that_had_come_stay_with_the_socket(void **state)
{
    (void)state;
    net_open(&rig);
    int client, server;
    net_pair(&rig, &client, &server);
    net_assert_size(net_send(&rig, 0, client, "before ", 7), 7);
    let_go(1, server);
    net_assert_size(net_send(&rig, 0, client, "between ", 8), 8);
    rig.faults.rates.io_delay = (tina_range){2, 2};
    net_cancel(&rig, net_send(&rig, 0, client, "late", 4));
    rig.faults.rates.io_delay = (tina_range){0, 0};
    net_pass(&rig, 1);
    take_over(2, server);
    net_assert_text(net_receive(&rig, 2, server, 0), "before between ");
    net_request *waiting = net_receive(&rig, 2, server, 0);
    net_pass(&rig, 1);
    net_assert_text(waiting, "late");
    net_assert_size(net_send(&rig, 2, server, "answer", 6), 6);
    net_assert_text(net_receive(&rig, 0, client, 0), "answer");
    net_close(&rig);
}

static void listener_moves_with_its_backlog_and_its_line(void **state)
{
    (void)state;
    net_open(&rig);
    tina_address address;
    int listener = net_listener(&rig, 0, &address);
    net_request *connecting[3];
    for (int i = 0; i < 2; i++)
        connecting[i] = net_connect(&rig, 0, net_socket(&rig, 0, TINA_IPV4), address);
    net_assert(connecting[0], TINA_OK, 0);
    let_go(1, listener);
    connecting[2] = net_connect(&rig, 0, net_socket(&rig, 0, TINA_IPV4), address);
    net_assert(connecting[2], NET_WAITS, 0);
    take_over(2, listener);
    for (int i = 0; i < 3; i++) {
        net_request *accepted = net_accept(&rig, 2, listener);
        net_assert(accepted, TINA_OK, 0);
        assert_true(tina__net_is_open(rig.net, accepted->completion.os_fd, 2));
        net_assert(connecting[i], TINA_OK, 0);
    }
    net_close(&rig);
}

static void datagrams_that_had_come_stay_with_the_socket(void **state)
{
    (void)state;
    const int families[] = {TINA_IPV4, TINA_UNIX};
    for (int i = 0; i < 2; i++) {
        net_open(&rig);
        tina_address to;
        int server = net_datagram(&rig, 1, families[i], &to);
        int client = net_socket_of(&rig, 0, families[i], TINA_DATAGRAM);
        net_assert(net_connect(&rig, 0, client, to), TINA_OK, 0);
        net_assert_size(net_send_to(&rig, 0, client, NULL, "before"), 6);
        let_go(1, server);
        let_go(0, client);
        take_over(2, client);
        net_assert_size(net_send_to(&rig, 2, client, NULL, "between"), 7); /* connected is connected */
        take_over(0, server);
        net_assert_text(net_receive_from(&rig, 0, server, 0), "before");
        net_assert_text(net_receive_from(&rig, 0, server, 0), "between");
        net_close(&rig);
    }
}

static void socket_moves_round_and_round(void **state)
{
    (void)state;
    net_open(&rig);
    int client, server;
    net_pair(&rig, &client, &server);
    uint32_t at = 1;
    for (uint32_t i = 0; i < 1000; i++) {
        let_go(at, server);
        at = (at + 1) % NET_SHARDS;
        take_over(at, server);
    }
    assert_true(tina__net_is_open(rig.net, server, at));
    net_assert_size(net_send(&rig, at, server, "here", 4), 4);
    net_assert_text(net_receive(&rig, 0, client, 0), "here");
    net_close(&rig);
}

/* ---- Closed on its way ------------------------------------------------------------------------ */

static void socket_between_two_can_be_closed_by_a_shard_that_never_had_it(void **state)
{
    (void)state;
    net_open(&rig);
    int client, server;
    net_pair(&rig, &client, &server);
    net_request *waiting = net_receive(&rig, 0, client, 0);
    let_go(1, server);
    close_from(2, server);
    net_assert(waiting, TINA_CLOSED, 0);
    assert_sockets(1, 0, 0, 0);
    close_from(2, server); /* it is gone, and that is all */
    assert_sockets(1, 0, 0, 0);
    net_close(&rig);
}

static void listener_closed_on_its_way_resets_and_refuses(void **state)
{
    (void)state;
    net_open(&rig);
    tina_address address;
    int listener = net_listener(&rig, 0, &address);
    int first = net_socket(&rig, 0, TINA_IPV4);
    net_assert(net_connect(&rig, 0, first, address), TINA_OK, 0);
    net_request *connecting = net_connect(&rig, 0, net_socket(&rig, 0, TINA_IPV4), address);
    net_request *receiving = net_receive(&rig, 0, first, 0);
    let_go(1, listener);
    rig.faults.rates.io_delay = (tina_range){1, 1}; /* by the closing shard's dice */
    close_from(2, listener);
    rig.faults.rates.io_delay = (tina_range){0, 0};
    net_pass(&rig, 2);
    net_assert(connecting, TINA_REFUSED, ECONNREFUSED);
    net_assert(receiving, TINA_RESET, ECONNRESET);
    net_close(&rig);
}

static void socket_on_its_way_survives_the_end_of_its_giver(void **state)
{
    (void)state;
    net_open(&rig);
    int client, server;
    net_pair(&rig, &client, &server);
    net_assert_size(net_send(&rig, 0, client, "still here", 10), 10);
    let_go(1, server);
    assert_true(api->abandon(rig.shards[1].backend));
    net_look(&rig);
    take_over(2, server);
    net_assert_text(net_receive(&rig, 2, server, 0), "still here");
    net_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(socket_that_was_let_go_of_is_nobodys_until_it_is_taken_over),
        cmocka_unit_test(nobody_can_use_a_socket_that_is_between_two),
        cmocka_unit_test(bytes_that_had_come_stay_with_the_socket),
        cmocka_unit_test(listener_moves_with_its_backlog_and_its_line),
        cmocka_unit_test(datagrams_that_had_come_stay_with_the_socket),
        cmocka_unit_test(socket_moves_round_and_round),
        cmocka_unit_test(socket_between_two_can_be_closed_by_a_shard_that_never_had_it),
        cmocka_unit_test(listener_closed_on_its_way_resets_and_refuses),
        cmocka_unit_test(socket_on_its_way_survives_the_end_of_its_giver),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
