/* Datagrams over IP in a made network: to whom they go, what is told of them, and what becomes of them by chance. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net_rig.h"

static net_rig rig;
static const uint8_t bulk[2 * NET_WINDOW];

static tina_address net_ipv6(uint16_t port) { return (tina_address){.family = TINA_IPV6, .port = port, .ipv6 = {[15] = 1}}; }

static tina_address with_port(tina_address address, uint16_t port)
{
    address.port = port;
    return address;
}

/* ---- From one to another ------------------------------------------------------------------ */

static void datagram_says_from_whom_it_is_and_can_be_answered(void **state)
{
    (void)state;
    const int families[] = {TINA_IPV4, TINA_IPV6};
    for (int i = 0; i < 2; i++) {
        tina_address to, from;
        net_open(&rig);
        int server = net_datagram(&rig, 1, families[i], &to);
        int client = net_socket_of(&rig, 0, families[i], TINA_DATAGRAM);
        net_assert_size(net_send_to(&rig, 0, client, &to, "question"), 8);
        net_request *received = net_receive_from(&rig, 1, server, 0);
        net_assert_text(received, "question");
        assert_false(received->completion.is_truncated);
        from = with_port(i == 0 ? net_loopback(0) : net_ipv6(0), net_local(&rig, client).port);
        assert_in_range(from.port, 32768, 65535); /* it got one when it sent */
        net_assert_address(received->from, from);
        net_request *waiting = net_receive_from(&rig, 0, client, 0);
        net_assert(waiting, NET_WAITS, 0);
        net_assert_size(net_send_to(&rig, 1, server, &received->from, "answer"), 6);
        net_assert_text(waiting, "answer");
        net_assert_address(waiting->from, to);
        net_close(&rig);
    }
}

static void datagrams_keep_their_borders_and_their_order(void **state)
{
    (void)state;
    net_open(&rig);
    tina_address to;
    int server = net_datagram(&rig, 1, TINA_IPV4, &to);
    int client = net_socket_of(&rig, 0, TINA_IPV4, TINA_DATAGRAM);
    const char *texts[] = {"one", "", "three", "four and more", ""};
    for (int i = 0; i < 5; i++)
        net_assert_size(net_send_to(&rig, 0, client, &to, texts[i]), (uint32_t)strlen(texts[i]));
    assert_int_equal(net_ledger(&rig).datagrams.on_their_way, 5);
    for (int i = 0; i < 5; i++) {
        net_request *received = net_receive_from(&rig, 1, server, 0);
        net_assert_text(received, texts[i]);
        assert_int_not_equal(received->completion.buffer, TINA__BUFFER_NONE); /* an empty one, too */
        assert_int_equal(received->from.port, net_local(&rig, client).port);
    }
    assert_int_equal(net_ledger(&rig).datagrams.received, 5);
    net_close(&rig);
}

static void datagram_longer_than_asked_is_cut_and_says_so(void **state)
{
    (void)state;
    net_open(&rig);
    tina_address to;
    int server = net_datagram(&rig, 1, TINA_IPV4, &to);
    int client = net_socket_of(&rig, 0, TINA_IPV4, TINA_DATAGRAM);
    net_assert_size(net_send_to(&rig, 0, client, &to, "too long"), 8);
    net_assert_size(net_send_to(&rig, 0, client, &to, "fits"), 4);
    net_assert_size(net_submit(&rig, net_prepare_send_to(&rig, 0, client, &to, bulk, NET_BUFFER + 1)), NET_BUFFER + 1);
    net_request *received = net_receive_from(&rig, 1, server, 3);
    net_assert_text(received, "too");
    assert_true(received->completion.is_truncated);
    received = net_receive_from(&rig, 1, server, 4);
    net_assert_text(received, "fits");
    assert_false(received->completion.is_truncated);
    received = net_receive_from(&rig, 1, server, 0);
    net_assert_size(received, NET_BUFFER);
    assert_true(received->completion.is_truncated);
    assert_int_equal(net_ledger(&rig).lost, 5 + 1);
    net_close(&rig);
}

static void datagram_with_no_buffer_waits_for_one(void **state)
{
    (void)state;
    net_open(&rig);
    tina_address to;
    int server = net_datagram(&rig, 1, TINA_IPV4, &to);
    int client = net_socket_of(&rig, 0, TINA_IPV4, TINA_DATAGRAM);
    rig.keeps_buffers = true;
    for (int i = 0; i <= NET_BUFFERS; i++)
        net_assert_size(net_send_to(&rig, 0, client, &to, "x"), 1);
    for (int i = 0; i < NET_BUFFERS; i++)
        net_assert_text(net_receive_from(&rig, 1, server, 0), "x");
    net_assert(net_receive_from(&rig, 1, server, 0), TINA_BUSY, 0);
    net_request *request = net_prepare(&rig, 1, TINA__IO_RECEIVE_FROM, server);
    net_submit_only(&rig, request);
    api->lend(rig.shards[1].backend, 0); /* before it is collected */
    net_collect(&rig);
    net_assert_text(request, "x");
    assert_int_equal(request->from.port, net_local(&rig, client).port);
    net_close(&rig);
}

static void datagram_to_itself_comes_back(void **state)
{
    (void)state;
    net_open(&rig);
    tina_address own;
    int fd = net_datagram(&rig, 0, TINA_IPV4, &own);
    net_request *waiting = net_receive_from(&rig, 0, fd, 0);
    net_assert_size(net_send_to(&rig, 0, fd, &own, "me"), 2);
    net_assert_text(waiting, "me");
    net_assert_address(waiting->from, own);
    net_close(&rig);
}

static void datagram_between_families_goes_where_ipv6_takes_both(void **state)
{
    (void)state;
    net_open(&rig);
    int both = net_socket_of(&rig, 1, TINA_IPV6, TINA_DATAGRAM);
    assert_int_equal(net_bind(&rig, both, (tina_address){.family = TINA_IPV6, .port = 53}), TINA_OK);
    tina_address own, to = net_loopback(53);
    int client = net_datagram(&rig, 0, TINA_IPV4, &own);
    net_assert_size(net_send_to(&rig, 0, client, &to, "four"), 4);
    net_request *received = net_receive_from(&rig, 1, both, 0);
    net_assert_text(received, "four");
    tina_address mapped = {.family = TINA_IPV6, .port = own.port, .ipv6 = {[10] = 0xFF, [11] = 0xFF, [12] = 127, [15] = 1}};
    net_assert_address(received->from, mapped);
    net_request *waiting = net_receive_from(&rig, 0, client, 0);
    net_assert_size(net_send_to(&rig, 1, both, &mapped, "back"), 4);
    net_assert_text(waiting, "back");
    net_assert_size(net_send_to(&rig, 1, both, &own, "again"), 5); /* an IPv4 address does as well */
    net_assert_text(net_receive_from(&rig, 0, client, 0), "again");
    int only = net_socket_of(&rig, 2, TINA_IPV6, TINA_DATAGRAM);
    net_set(&rig, only, TINA_OPT_V6ONLY, 1);
    net_assert(net_send_to(&rig, 2, only, &mapped, "x"), TINA_NOT_FOUND, ENETUNREACH);
    net_close(&rig);
}

static void ports_of_datagrams_and_of_streams_are_two_things(void **state)
{
    (void)state;
    net_open(&rig);
    tina_address own;
    int stream = net_listener(&rig, 1, &own);
    int datagram = net_socket_of(&rig, 0, TINA_IPV4, TINA_DATAGRAM);
    int second = net_socket_of(&rig, 0, TINA_IPV4, TINA_DATAGRAM);
    assert_int_equal(net_bind(&rig, datagram, own), TINA_OK);
    assert_int_equal(net_bind(&rig, second, own), TINA_SYSTEM_ERROR);
    assert_int_equal(os_error, EADDRINUSE);
    net_request *accept = net_accept(&rig, 1, stream);
    net_assert_size(net_send_to(&rig, 0, second, &own, "for the other"), 13);
    net_assert_text(net_receive_from(&rig, 0, datagram, 0), "for the other");
    net_assert(accept, NET_WAITS, 0);
    net_close_fd(&rig, 0, datagram);
    assert_int_equal(net_bind(&rig, net_socket_of(&rig, 0, TINA_IPV4, TINA_DATAGRAM), own), TINA_OK);
    net_close(&rig);
}

static void datagram_sockets_that_share_a_port_get_each_their_part(void **state)
{
    (void)state;
    net_open(&rig);
    int shared[2];
    uint32_t counts[2];
    for (int i = 0; i < 2; i++) {
        shared[i] = net_socket_of(&rig, 1, TINA_IPV4, TINA_DATAGRAM);
        net_set(&rig, shared[i], TINA_OPT_REUSEPORT, 1);
        assert_int_equal(net_bind(&rig, shared[i], net_ipv4(0, 0, 0, 0, 53)), TINA_OK);
    }
    tina_address to = net_loopback(53);
    int client = net_socket_of(&rig, 0, TINA_IPV4, TINA_DATAGRAM);
    for (int i = 0; i < 30; i++)
        net_assert_size(net_send_to(&rig, 0, client, &to, "x"), 1);
    for (int i = 0; i < 2; i++)
        counts[i] = tina__net_at(rig.net, (uint32_t)shared[i])->queue.count;
    assert_int_equal(counts[0] + counts[1], 30);
    assert_in_range(counts[0], 5, 25);
    int exact = net_socket_of(&rig, 1, TINA_IPV4, TINA_DATAGRAM);
    net_set(&rig, exact, TINA_OPT_REUSEPORT, 1);
    assert_int_equal(net_bind(&rig, exact, to), TINA_OK);
    net_assert_size(net_send_to(&rig, 0, client, &to, "whoever has just this"), 21);
    net_assert_text(net_receive_from(&rig, 1, exact, 0), "whoever has just this");
    net_close(&rig);
}

/* ---- Connected ---------------------------------------------------------------------------- */

static void connected_socket_sends_there_and_hears_nobody_else(void **state)
{
    (void)state;
    net_open(&rig);
    tina_address server_address, other_address;
    int server = net_datagram(&rig, 1, TINA_IPV4, &server_address);
    int other = net_datagram(&rig, 1, TINA_IPV4, &other_address);
    int client = net_socket_of(&rig, 0, TINA_IPV4, TINA_DATAGRAM);
    tina_address peer;
    assert_int_equal(api->socket_peer(rig.shards[0].backend, client, &peer, &os_error), TINA_SYSTEM_ERROR);
    assert_int_equal(os_error, ENOTCONN);
    net_assert(net_connect(&rig, 0, client, server_address), TINA_OK, 0);
    assert_int_equal(api->socket_peer(rig.shards[0].backend, client, &peer, &os_error), TINA_OK);
    net_assert_address(peer, server_address);
    tina_address own = net_local(&rig, client);
    net_assert_address(own, net_loopback(own.port));
    net_assert_size(net_send_to(&rig, 0, client, NULL, "hello"), 5);
    net_assert_text(net_receive_from(&rig, 1, server, 0), "hello");
    net_request *waiting = net_receive_from(&rig, 0, client, 0);
    net_assert_size(net_send_to(&rig, 1, other, &own, "stranger"), 8);
    net_assert(waiting, NET_WAITS, 0);
    net_assert_size(net_send_to(&rig, 1, server, &own, "friend"), 6);
    net_assert_text(waiting, "friend");
    net_assert_size(net_send_to(&rig, 0, client, &other_address, "elsewhere"), 9); /* it may all the same */
    net_assert_text(net_receive_from(&rig, 1, other, 0), "elsewhere");
    net_assert(net_connect(&rig, 0, client, other_address), TINA_OK, 0); /* and turn to another */
    net_assert_size(net_send_to(&rig, 1, other, &own, "new friend"), 10);
    net_assert_text(net_receive_from(&rig, 0, client, 0), "new friend");
    net_close(&rig);
}

static void connected_socket_gets_what_one_of_its_port_would(void **state)
{
    (void)state;
    net_open(&rig);
    tina_address from;
    int client = net_datagram(&rig, 0, TINA_IPV4, &from);
    int shared[2];
    for (int i = 0; i < 2; i++) {
        shared[i] = net_socket_of(&rig, 1, TINA_IPV4, TINA_DATAGRAM);
        net_set(&rig, shared[i], TINA_OPT_REUSEADDR, 1);
        assert_int_equal(net_bind(&rig, shared[i], net_loopback(53)), TINA_OK);
    }
    net_assert(net_connect(&rig, 1, shared[0], from), TINA_OK, 0);
    tina_address to = net_loopback(53);
    for (int i = 0; i < 8; i++)
        net_assert_size(net_send_to(&rig, 0, client, &to, "x"), 1);
    assert_int_equal(tina__net_at(rig.net, (uint32_t)shared[0])->queue.count, 8);
    net_close(&rig);
}

static void connected_socket_learns_that_nobody_is_there(void **state)
{
    (void)state;
    net_open(&rig);
    tina_address nobody;
    net_close_fd(&rig, 1, net_datagram(&rig, 1, TINA_IPV4, &nobody));
    int client = net_socket_of(&rig, 0, TINA_IPV4, TINA_DATAGRAM);
    net_assert(net_connect(&rig, 0, client, nobody), TINA_OK, 0);
    net_assert_size(net_send_to(&rig, 0, client, NULL, "x"), 1);
    net_assert(net_receive_from(&rig, 0, client, 0), TINA_REFUSED, ECONNREFUSED);
    net_request *waiting = net_receive_from(&rig, 0, client, 0);
    net_assert(waiting, NET_WAITS, 0);
    net_assert_size(net_send_to(&rig, 0, client, NULL, "x"), 1);
    net_assert(waiting, TINA_REFUSED, ECONNREFUSED);
    net_assert_size(net_send_to(&rig, 0, client, NULL, "x"), 1);
    net_assert(net_send_to(&rig, 0, client, NULL, "x"), TINA_REFUSED, ECONNREFUSED); /* it is told, not sent */
    net_assert_size(net_send_to(&rig, 0, client, NULL, "x"), 1);
    assert_int_equal(net_ledger(&rig).datagrams.sent, 4);
    assert_int_equal(net_ledger(&rig).datagrams.lost, 4);
    net_close(&rig);
}

static void datagram_to_nobody_is_lost_in_silence(void **state)
{
    (void)state;
    net_open(&rig);
    tina_address own, nobody = net_loopback(9);
    int client = net_datagram(&rig, 0, TINA_IPV4, &own);
    net_request *waiting = net_receive_from(&rig, 0, client, 0);
    for (int i = 0; i < 3; i++)
        net_assert_size(net_send_to(&rig, 0, client, &nobody, "x"), 1);
    net_assert(waiting, NET_WAITS, 0);
    assert_int_equal(net_ledger(&rig).datagrams.lost, 3);
    net_close(&rig);
}

/* ---- What can't be ------------------------------------------------------------------------- */

static void send_that_can_not_be_says_why(void **state)
{
    (void)state;
    net_open(&rig);
    tina_address own, to = net_loopback(0), six = net_ipv6(9), name = net_name("/x"), none = {0};
    int fd = net_datagram(&rig, 0, TINA_IPV4, &own);
    int fd6 = net_datagram(&rig, 0, TINA_IPV6, &own);
    net_assert(net_send_to(&rig, 0, fd, NULL, "x"), TINA_SYSTEM_ERROR, EDESTADDRREQ);
    net_assert(net_send_to(&rig, 0, fd, &to, "x"), TINA_SYSTEM_ERROR, EINVAL);
    net_assert(net_send_to(&rig, 0, fd, &six, "x"), TINA_UNSUPPORTED, EAFNOSUPPORT);
    net_assert(net_send_to(&rig, 0, fd, &name, "x"), TINA_UNSUPPORTED, EAFNOSUPPORT);
    net_assert(net_send_to(&rig, 0, fd6, &name, "x"), TINA_SYSTEM_ERROR, EINVAL);
    net_assert(net_send_to(&rig, 0, fd, &none, "x"), TINA_INVALID, 0);
    net_assert(net_connect(&rig, 0, fd, six), TINA_UNSUPPORTED, EAFNOSUPPORT);
    to.port = 9;
    net_assert(net_submit(&rig, net_prepare_send_to(&rig, 0, fd, &to, bulk, NET_WINDOW + 1)), TINA_SYSTEM_ERROR, EMSGSIZE);
    net_assert_size(net_submit(&rig, net_prepare_send_to(&rig, 0, fd, &to, bulk, NET_WINDOW)), NET_WINDOW);
    net_close(&rig);
}

static void operation_of_the_other_kind_is_refused(void **state)
{
    (void)state;
    net_open(&rig);
    tina_address own;
    int datagram = net_datagram(&rig, 0, TINA_IPV4, &own);
    int stream = net_socket(&rig, 0, TINA_IPV4);
    net_assert(net_accept(&rig, 0, datagram), TINA_UNSUPPORTED, EOPNOTSUPP);
    net_assert(net_receive(&rig, 0, datagram, 0), TINA_UNSUPPORTED, EOPNOTSUPP);
    net_assert(net_send(&rig, 0, datagram, "x", 1), TINA_UNSUPPORTED, EOPNOTSUPP);
    net_assert(net_receive_from(&rig, 0, stream, 0), TINA_UNSUPPORTED, EOPNOTSUPP);
    net_assert(net_send_to(&rig, 0, stream, &own, "x"), TINA_UNSUPPORTED, EOPNOTSUPP);
    assert_int_equal(net_listen(&rig, datagram, 1), TINA_UNSUPPORTED);
    assert_int_equal(os_error, EOPNOTSUPP);
    assert_int_equal(api->socket_set(rig.shards[0].backend, datagram, TINA_OPT_NODELAY, 1, &os_error), TINA_UNSUPPORTED);
    assert_int_equal(os_error, ENOPROTOOPT);
    int value;
    assert_int_equal(api->socket_get(rig.shards[0].backend, datagram, TINA_OPT_KEEPCNT, &value, &os_error),
                     TINA_UNSUPPORTED);
    assert_int_equal(os_error, EOPNOTSUPP);
    net_close(&rig);
}

static void shutdown_of_a_connected_socket_ends_its_halves(void **state)
{
    (void)state;
    net_open(&rig);
    tina_address own, to;
    int server = net_datagram(&rig, 1, TINA_IPV4, &to);
    int client = net_datagram(&rig, 0, TINA_IPV4, &own);
    assert_int_equal(net_shutdown(&rig, 0, client, TINA_BOTH_HALVES), TINA_SYSTEM_ERROR);
    assert_int_equal(os_error, ENOTCONN);
    net_assert(net_connect(&rig, 0, client, to), TINA_OK, 0);
    net_request *waiting = net_receive_from(&rig, 0, client, 0);
    assert_int_equal(net_shutdown(&rig, 0, client, TINA_READ_HALF), TINA_OK);
    net_assert(waiting, TINA_CANCELLED, 0);
    net_assert(net_receive_from(&rig, 0, client, 0), TINA_CLOSED, 0);
    net_assert_size(net_send_to(&rig, 0, client, NULL, "x"), 1);
    assert_int_equal(net_shutdown(&rig, 0, client, TINA_WRITE_HALF), TINA_OK);
    net_assert(net_send_to(&rig, 0, client, NULL, "x"), TINA_RESET, EPIPE);
    net_assert_text(net_receive_from(&rig, 1, server, 0), "x");
    net_close(&rig);
}

/* ---- A queue that is full -------------------------------------------------------------------- */

static void queue_without_room_drops_what_comes(void **state)
{
    (void)state;
    net_open(&rig);
    tina_address to;
    int server = net_datagram(&rig, 1, TINA_IPV4, &to);
    int client = net_socket_of(&rig, 0, TINA_IPV4, TINA_DATAGRAM);
    net_assert_size(net_submit(&rig, net_prepare_send_to(&rig, 0, client, &to, bulk, NET_WINDOW - 5)), NET_WINDOW - 5);
    net_assert_size(net_send_to(&rig, 0, client, &to, "123456"), 6); /* one too many */
    net_assert_size(net_send_to(&rig, 0, client, &to, "12345"), 5);
    assert_int_equal(net_ledger(&rig).datagrams.lost, 1);
    net_assert_size(net_receive_from(&rig, 1, server, 1), 1);
    net_assert_text(net_receive_from(&rig, 1, server, 0), "12345");
    for (int i = 0; i < TINA__NET_DATAGRAMS + 2; i++)
        net_assert_size(net_send_to(&rig, 0, client, &to, ""), 0);
    assert_int_equal(net_ledger(&rig).datagrams.lost, 1 + 2);
    for (int i = 0; i < TINA__NET_DATAGRAMS; i++)
        net_assert_size(net_receive_from(&rig, 1, server, 0), 0);
    net_assert(net_receive_from(&rig, 1, server, 0), NET_WAITS, 0);
    net_close(&rig);
}

static void receive_can_be_cancelled(void **state)
{
    (void)state;
    net_open(&rig);
    tina_address to;
    int server = net_datagram(&rig, 1, TINA_IPV4, &to);
    net_request *waiting = net_receive_from(&rig, 1, server, 0);
    net_cancel(&rig, waiting);
    net_assert(waiting, TINA_CANCELLED, 0);
    net_close(&rig);
}

static void close_loses_what_was_not_received(void **state)
{
    (void)state;
    net_open(&rig);
    tina_address to;
    int server = net_datagram(&rig, 1, TINA_IPV4, &to);
    int client = net_socket_of(&rig, 0, TINA_IPV4, TINA_DATAGRAM);
    net_assert_size(net_send_to(&rig, 0, client, &to, "lost"), 4);
    rig.faults.rates.io_delay = (tina_range){5, 5};
    net_cancel(&rig, net_send_to(&rig, 0, client, &to, "too"));
    net_close_fd(&rig, 1, server);
    assert_int_equal(net_ledger(&rig).lost, 7);
    assert_int_equal(net_ledger(&rig).datagrams.lost, 2);
    net_close(&rig);
}

/* ---- By chance ------------------------------------------------------------------------------- */

enum { MANY = 400 };

/* Each on its own, told apart by its first byte; how many arrived of each number. */
static void send_many(tina_range delay, uint32_t counts[MANY], uint32_t *overtaken)
{
    tina_address to;
    int server = net_datagram(&rig, 1, TINA_IPV4, &to);
    int client = net_socket_of(&rig, 0, TINA_IPV4, TINA_DATAGRAM);
    static uint8_t data[MANY][2];
    uint32_t last = 0;
    *overtaken = 0;
    memset(counts, 0, MANY * sizeof counts[0]);
    for (uint32_t i = 0; i < MANY + 40; i++) {
        rig.faults.rates.io_delay = delay;
        if (i < MANY) {
            memcpy(data[i], (uint8_t[]){(uint8_t)i, (uint8_t)(i >> 8)}, 2);
            net_cancel(&rig, net_submit(&rig, net_prepare_send_to(&rig, 0, client, &to, data[i], 2)));
        }
        rig.faults.rates.io_delay = (tina_range){0, 0};
        while (tina__net_at(rig.net, (uint32_t)server)->queue.arrived != 0) {
            net_request *received = net_receive_from(&rig, 1, server, 0);
            uint32_t number = received->data[0] | (uint32_t)received->data[1] << 8;
            net_assert_size(received, 2);
            counts[number]++;
            *overtaken += number < last;
            last = number;
        }
        net_pass(&rig, 1);
    }
}

static uint32_t count_with(const uint32_t counts[MANY], uint32_t wanted)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < MANY; i++)
        found += counts[i] == wanted;
    return found;
}

static void datagrams_without_rates_arrive_once_and_in_order(void **state)
{
    (void)state;
    uint32_t counts[MANY], overtaken;
    net_open(&rig);
    send_many((tina_range){0, 0}, counts, &overtaken);
    assert_int_equal(count_with(counts, 1), MANY);
    assert_int_equal(overtaken, 0);
    net_close(&rig);
}

static void loss_loses_as_many_as_it_counts(void **state)
{
    (void)state;
    uint32_t counts[MANY], overtaken;
    net_open(&rig);
    rig.faults.rates.datagram_loss = (tina_ratio){1, 4};
    send_many((tina_range){0, 0}, counts, &overtaken);
    uint32_t lost = count_with(counts, 0);
    assert_in_range(lost, MANY / 8, MANY / 2);
    assert_int_equal(rig.faults.counts.datagram_loss, lost);
    assert_int_equal(rig.faults.counts.datagram_double, 0);
    assert_int_equal(count_with(counts, 1), MANY - lost);
    assert_int_equal(overtaken, 0);
    assert_int_equal(net_ledger(&rig).datagrams.lost, lost);
    net_close(&rig);
}

static void doubling_brings_a_second_one(void **state)
{
    (void)state;
    uint32_t counts[MANY], overtaken;
    net_open(&rig);
    rig.faults.rates.datagram_double = (tina_ratio){1, 4};
    send_many((tina_range){0, 0}, counts, &overtaken);
    uint32_t doubled = count_with(counts, 2);
    assert_in_range(doubled, MANY / 8, MANY / 2);
    assert_int_equal(rig.faults.counts.datagram_double, doubled);
    assert_int_equal(count_with(counts, 1), MANY - doubled);
    assert_int_equal(net_ledger(&rig).datagrams.doubled, doubled);
    assert_int_equal(net_ledger(&rig).doubled, 2 * doubled);
    net_close(&rig);
}

static void delay_puts_them_out_of_order_and_loses_none(void **state)
{
    (void)state;
    uint32_t counts[MANY], overtaken;
    net_open(&rig);
    send_many((tina_range){0, 9}, counts, &overtaken);
    assert_int_equal(count_with(counts, 1), MANY);
    assert_true(overtaken > MANY / 8);
    assert_true(rig.faults.counts.io_delay > MANY / 2);
    net_close(&rig);
}

static void delayed_refusal_is_told_when_it_is_due(void **state)
{
    (void)state;
    net_open(&rig);
    int client = net_socket_of(&rig, 0, TINA_IPV4, TINA_DATAGRAM);
    net_assert(net_connect(&rig, 0, client, net_loopback(9)), TINA_OK, 0);
    rig.faults.rates.io_delay = (tina_range){3, 3};
    net_cancel(&rig, net_send_to(&rig, 0, client, NULL, "x"));
    rig.faults.rates.io_delay = (tina_range){0, 0};
    net_request *waiting = net_receive_from(&rig, 0, client, 0);
    net_pass(&rig, 2);
    net_assert(waiting, NET_WAITS, 0);
    net_pass(&rig, 1);
    net_assert(waiting, TINA_REFUSED, ECONNREFUSED);
    net_close(&rig);
}

static void error_strikes_before_anything_is_sent(void **state)
{
    (void)state;
    net_open(&rig);
    tina_address to;
    int server = net_datagram(&rig, 1, TINA_IPV4, &to);
    int client = net_socket_of(&rig, 0, TINA_IPV4, TINA_DATAGRAM);
    rig.faults.rates.io_error = (tina_ratio){1, 1};
    net_assert(net_send_to(&rig, 0, client, &to, "x"), TINA_SYSTEM_ERROR, EIO);
    net_assert(net_receive_from(&rig, 1, server, 0), TINA_SYSTEM_ERROR, EIO);
    assert_int_equal(net_ledger(&rig).datagrams.sent, 0);
    net_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(datagram_says_from_whom_it_is_and_can_be_answered),
        cmocka_unit_test(datagrams_keep_their_borders_and_their_order),
        cmocka_unit_test(datagram_longer_than_asked_is_cut_and_says_so),
        cmocka_unit_test(datagram_with_no_buffer_waits_for_one),
        cmocka_unit_test(datagram_to_itself_comes_back),
        cmocka_unit_test(datagram_between_families_goes_where_ipv6_takes_both),
        cmocka_unit_test(ports_of_datagrams_and_of_streams_are_two_things),
        cmocka_unit_test(datagram_sockets_that_share_a_port_get_each_their_part),
        cmocka_unit_test(connected_socket_sends_there_and_hears_nobody_else),
        cmocka_unit_test(connected_socket_gets_what_one_of_its_port_would),
        cmocka_unit_test(connected_socket_learns_that_nobody_is_there),
        cmocka_unit_test(datagram_to_nobody_is_lost_in_silence),
        cmocka_unit_test(send_that_can_not_be_says_why),
        cmocka_unit_test(operation_of_the_other_kind_is_refused),
        cmocka_unit_test(shutdown_of_a_connected_socket_ends_its_halves),
        cmocka_unit_test(queue_without_room_drops_what_comes),
        cmocka_unit_test(receive_can_be_cancelled),
        cmocka_unit_test(close_loses_what_was_not_received),
        cmocka_unit_test(datagrams_without_rates_arrive_once_and_in_order),
        cmocka_unit_test(loss_loses_as_many_as_it_counts),
        cmocka_unit_test(doubling_brings_a_second_one),
        cmocka_unit_test(delay_puts_them_out_of_order_and_loses_none),
        cmocka_unit_test(delayed_refusal_is_told_when_it_is_due),
        cmocka_unit_test(error_strikes_before_anything_is_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
