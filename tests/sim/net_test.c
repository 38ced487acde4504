/* Connections of a made network, without faults: everything that can happen happens at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net_rig.h"

static net_rig rig;
static const uint8_t bulk[4 * NET_WINDOW];

/* ---- Connecting ---------------------------------------------------------------------- */

static void connect_where_nobody_listens_is_refused_and_may_try_again(void **state)
{
    (void)state;
    net_open(&rig);
    int client = net_socket(&rig, 0, TINA_IPV4);
    net_assert(net_connect(&rig, 0, client, net_loopback(80)), TINA_REFUSED, ECONNREFUSED);
    assert_int_equal(net_local(&rig, client).port, 0); /* its port was only for that */
    int bound = net_socket(&rig, 1, TINA_IPV4);
    assert_int_equal(net_bind(&rig, bound, net_loopback(80)), TINA_OK);
    net_assert(net_connect(&rig, 0, client, net_loopback(80)), TINA_REFUSED, ECONNREFUSED);
    net_assert(net_connect(&rig, 0, client, net_loopback(0)), TINA_REFUSED, ECONNREFUSED);
    assert_int_equal(net_listen(&rig, bound, 1), TINA_OK);
    net_assert(net_connect(&rig, 0, client, net_loopback(80)), TINA_OK, 0);
    net_assert(net_connect(&rig, 0, client, net_loopback(80)), TINA_SYSTEM_ERROR, EISCONN);
    net_assert(net_connect(&rig, 1, bound, net_loopback(80)), TINA_SYSTEM_ERROR, EISCONN);
    net_close(&rig);
}

static void connect_stands_before_anybody_accepts_it(void **state)
{
    (void)state;
    net_open(&rig);
    tina_address address;
    int listener = net_listener(&rig, 5, &address);
    int client = net_socket(&rig, 0, TINA_IPV4);
    net_assert(net_connect(&rig, 0, client, address), TINA_OK, 0);
    assert_int_equal(net_ledger(&rig).sockets, 2); /* whoever waits in a backlog is nobody's */
    net_assert_size(net_send(&rig, 0, client, "early", 5), 5);
    net_close_fd(&rig, 0, client);
    net_request *accepted = net_accept(&rig, 1, listener);
    net_assert(accepted, TINA_OK, 0);
    assert_int_equal(net_ledger(&rig).sockets, 2);
    int server = accepted->completion.os_fd;
    assert_true(tina__net_is_open(rig.net, server, 1));
    assert_false(tina__net_is_open(rig.net, server, 0));
    net_assert_text(net_receive(&rig, 1, server, 0), "early");
    net_assert(net_receive(&rig, 1, server, 0), TINA_CLOSED, 0);
    net_close(&rig);
}

static void accept_takes_them_in_the_order_in_which_they_came(void **state)
{
    (void)state;
    net_open(&rig);
    tina_address address;
    int listener = net_listener(&rig, 9, &address);
    int clients[10];
    for (int i = 0; i < 10; i++) {
        clients[i] = net_socket(&rig, i % 2 == 0 ? 0 : 2, TINA_IPV4);
        net_assert(net_connect(&rig, 0, clients[i], address), TINA_OK, 0);
    }
    for (int i = 0; i < 10; i++) {
        net_request *accepted = net_accept(&rig, 1, listener);
        net_assert(accepted, TINA_OK, 0);
        tina_address local = net_local(&rig, clients[i]);
        assert_memory_equal(&accepted->peer, &local, sizeof local);
    }
    net_request *waiting = net_accept(&rig, 1, listener);
    net_assert(waiting, NET_WAITS, 0);
    int late = net_socket(&rig, 0, TINA_IPV4);
    net_assert(net_connect(&rig, 0, late, address), TINA_OK, 0);
    net_assert(waiting, TINA_OK, 0);
    net_close(&rig);
}

static void accept_where_nobody_listens_fails(void **state)
{
    (void)state;
    net_open(&rig);
    int client, server;
    net_pair(&rig, &client, &server);
    net_assert(net_accept(&rig, 0, client), TINA_SYSTEM_ERROR, EINVAL);
    net_assert(net_accept(&rig, 0, net_socket(&rig, 0, TINA_IPV4)), TINA_SYSTEM_ERROR, EINVAL);
    net_assert(net_accept(&rig, 0, 77), TINA_SYSTEM_ERROR, EBADF);
    net_assert(net_accept(&rig, 0, -1), TINA_SYSTEM_ERROR, EBADF);
    net_close(&rig);
}

/* As Linux does: one more than was asked for, and the others wait until there is room. */
static void connect_to_a_full_backlog_waits_in_line(void **state)
{
    (void)state;
    net_open(&rig);
    tina_address address;
    int listener = net_listener(&rig, 1, &address);
    net_request *connecting[5];
    int clients[5];
    for (int i = 0; i < 5; i++) {
        clients[i] = net_socket(&rig, 0, TINA_IPV4);
        connecting[i] = net_connect(&rig, 0, clients[i], address);
        net_assert(connecting[i], i < 2 ? TINA_OK : NET_WAITS, 0);
    }
    net_cancel(&rig, connecting[3]);
    net_assert(connecting[3], TINA_CANCELLED, 0);
    for (int i = 0; i < 4; i++) {
        int expected = i < 3 ? i : 4;
        net_request *accepted = net_accept(&rig, 1, listener);
        net_assert(accepted, TINA_OK, 0);
        assert_int_equal(accepted->peer.port, net_local(&rig, clients[expected]).port);
        net_assert(connecting[2], TINA_OK, 0); /* its turn came with the first */
        net_assert(connecting[4], i < 1 ? NET_WAITS : TINA_OK, 0);
    }
    net_assert(net_accept(&rig, 1, listener), NET_WAITS, 0);
    net_assert(net_connect(&rig, 0, clients[3], address), TINA_OK, 0); /* whoever gave up may try again */
    net_close(&rig);
}

static void listen_again_makes_room_for_those_in_line(void **state)
{
    (void)state;
    net_open(&rig);
    tina_address address;
    int listener = net_listener(&rig, 0, &address);
    net_request *connecting[4];
    for (int i = 0; i < 4; i++)
        connecting[i] = net_connect(&rig, 0, net_socket(&rig, 0, TINA_IPV4), address);
    net_assert(connecting[1], NET_WAITS, 0);
    assert_int_equal(net_listen(&rig, listener, 2), TINA_OK);
    net_assert(connecting[2], TINA_OK, 0);
    net_assert(connecting[3], NET_WAITS, 0);
    assert_int_equal(net_listen(&rig, listener, -1), TINA_OK); /* as many as there may be */
    net_assert(connecting[3], TINA_OK, 0);
    net_close(&rig);
}

static void listener_that_closes_resets_its_backlog_and_refuses_its_line(void **state)
{
    (void)state;
    net_open(&rig);
    tina_address address;
    int listener = net_listener(&rig, 0, &address);
    int first = net_socket(&rig, 0, TINA_IPV4);
    int second = net_socket(&rig, 0, TINA_IPV4);
    net_assert(net_connect(&rig, 0, first, address), TINA_OK, 0);
    net_assert_size(net_send(&rig, 0, first, "lost", 4), 4);
    net_request *receiving = net_receive(&rig, 0, first, 0);
    net_request *connecting = net_connect(&rig, 0, second, address);
    net_assert(connecting, NET_WAITS, 0);
    net_close_fd(&rig, 1, listener);
    net_assert(receiving, TINA_RESET, ECONNRESET);
    net_assert(connecting, TINA_REFUSED, ECONNREFUSED);
    assert_int_equal(net_ledger(&rig).lost, 4);
    net_close(&rig);
}

static void listener_that_closes_leaves_those_in_line_to_another_of_the_port(void **state)
{
    (void)state;
    net_open(&rig);
    int listeners[2];
    for (int i = 0; i < 2; i++) {
        listeners[i] = net_socket(&rig, 1, TINA_IPV4);
        net_set(&rig, listeners[i], TINA_OPT_REUSEPORT, 1);
        assert_int_equal(net_bind(&rig, listeners[i], net_loopback(80)), TINA_OK);
        assert_int_equal(net_listen(&rig, listeners[i], 0), TINA_OK);
    }
    net_request *waiting[2] = {NULL, NULL}; /* by listener: the first in its line */
    while (waiting[0] == NULL || waiting[1] == NULL) {
        int client = net_socket(&rig, 0, TINA_IPV4);
        net_request *connecting = net_connect(&rig, 0, client, net_loopback(80));
        uint32_t listener = tina__net_at(rig.net, (uint32_t)client)->listener;
        for (int i = 0; i < 2; i++) {
            if (listener == (uint32_t)listeners[i] && waiting[i] == NULL)
                waiting[i] = connecting;
        }
    }
    assert_int_equal(net_listen(&rig, listeners[1], 30), TINA_OK);
    net_assert(waiting[0], NET_WAITS, 0);
    net_close_fd(&rig, 1, listeners[0]);
    net_assert(waiting[0], TINA_OK, 0);
    net_close(&rig);
}

static void table_that_is_full_refuses(void **state)
{
    (void)state;
    net_open(&rig);
    tina_address address;
    int listener = net_listener(&rig, 1000, &address);
    int client = -1;
    for (int i = 1; i < NET_SOCKETS; i++) {
        client = net_socket(&rig, 0, TINA_IPV4);
        net_assert(net_connect(&rig, 0, client, address), TINA_OK, 0);
    }
    int fd;
    assert_int_equal(api->socket_open(rig.shards[2].backend, TINA_IPV4, TINA_STREAM, &fd, &os_error), TINA_POOL_EXHAUSTED);
    assert_int_equal(os_error, EMFILE);
    assert_int_equal(fd, -1);
    /* An accepted one would be one too many; it stays where it is. */
    net_request *accepted = net_accept(&rig, 1, listener);
    net_assert(accepted, TINA_POOL_EXHAUSTED, EMFILE);
    net_close_fd(&rig, 0, client);
    accepted = net_accept(&rig, 1, listener);
    net_assert(accepted, TINA_OK, 0);
    /* As many as may be open can wait to be accepted. */
    int closed = accepted->completion.os_fd;
    net_close_fd(&rig, 1, closed);
    for (int i = 0; i < 2; i++) {
        client = net_socket(&rig, 0, TINA_IPV4);
        assert_int_equal(client, closed); /* the last that was closed is the next to be opened */
        net_assert(net_connect(&rig, 0, client, address), TINA_OK, 0);
        net_close_fd(&rig, 0, client);
    }
    client = net_socket(&rig, 0, TINA_IPV4);
    net_assert(net_connect(&rig, 0, client, address), TINA_REFUSED, ECONNREFUSED);
    net_close(&rig);
}

/* ---- Bytes ------------------------------------------------------------------------------- */

static void send_crosses_to_a_receive_that_waits(void **state)
{
    (void)state;
    net_open(&rig);
    int client, server;
    net_pair(&rig, &client, &server);
    net_request *receive = net_receive(&rig, 1, server, 0);
    net_assert(receive, NET_WAITS, 0);
    assert_int_equal(net_holdings(&rig, 1).requests, 1);
    net_request *send = net_prepare(&rig, 0, TINA__IO_SEND, client);
    send->request.data = "hello";
    send->request.size = 5;
    net_submit_only(&rig, send);
    assert_true(tina__net_has_news(rig.shards[0].backend)); /* and with it, at once, the other */
    assert_true(tina__net_has_news(rig.shards[1].backend));
    assert_false(tina__net_has_news(rig.shards[2].backend));
    assert_int_equal(net_holdings(&rig, 1).requests, 0);
    assert_int_equal(net_holdings(&rig, 1).completions, 1);
    assert_int_equal(net_holdings(&rig, 1).buffers, NET_BUFFERS);
    net_collect(&rig);
    net_assert_size(send, 5);
    net_assert_text(receive, "hello");
    assert_true(tina__net_next_ns(rig.net) == TINA_NONE_NS);
    net_close(&rig);
}

static void receive_takes_what_has_arrived_and_no_more_than_it_wants(void **state)
{
    (void)state;
    net_open(&rig);
    int client, server;
    net_pair(&rig, &client, &server);
    net_send(&rig, 0, client, "abc", 3);
    net_send(&rig, 0, client, "defgh", 5);
    net_assert_text(net_receive(&rig, 1, server, 2), "ab");
    net_assert_text(net_receive(&rig, 1, server, 5), "cdefg");
    net_assert_text(net_receive(&rig, 1, server, 0), "h");
    net_send(&rig, 0, client, bulk, 800);
    net_assert_size(net_receive(&rig, 1, server, 900), NET_BUFFER);
    net_assert_size(net_receive(&rig, 1, server, 0), 800 - NET_BUFFER);
    net_close(&rig);
}

static void window_fills_and_a_send_takes_what_fits(void **state)
{
    (void)state;
    net_open(&rig);
    int client, server;
    net_pair(&rig, &client, &server);
    net_assert_size(net_send(&rig, 0, client, bulk, 990), 990);
    net_assert_size(net_send(&rig, 0, client, bulk, 90), 10);
    assert_int_equal(net_ledger(&rig).on_their_way, NET_WINDOW);
    net_request *refused = net_prepare(&rig, 0, TINA__IO_SEND, client);
    refused->request.data = bulk;
    refused->request.size = 1;
    refused->request.no_wait = true;
    net_submit(&rig, refused);
    net_assert(refused, TINA_BUSY, 0);
    net_request *waiting = net_send(&rig, 0, client, bulk, 5000);
    net_assert(waiting, NET_WAITS, 0);
    net_assert_size(net_receive(&rig, 1, server, 7), 7);
    net_assert_size(waiting, 7);
    /* The other direction has a window of its own. */
    net_assert_size(net_send(&rig, 1, server, bulk, sizeof bulk), NET_WINDOW);
    net_close(&rig);
}

static uint8_t pattern(size_t at) { return (uint8_t)(at * 167 >> 2); }

/* Whatever the pieces, and wherever the window wraps around. */
static void bytes_arrive_whole_and_in_order(void **state)
{
    (void)state;
    enum { TOTAL = 200000 };
    net_open(&rig);
    int client, server;
    net_pair(&rig, &client, &server);
    size_t sent = 0, received = 0;
    for (uint32_t step = 0; received < TOTAL; step++) {
        uint8_t data[701];
        uint32_t size = (uint32_t)tina__min_u64(1 + step * 131 % sizeof data, TOTAL - sent);
        for (uint32_t i = 0; i < size; i++)
            data[i] = pattern(sent + i);
        if (size != 0 && step % 3 != 2) {
            net_request *send = net_send(&rig, 0, client, data, size);
            if (send->completion.status == NET_WAITS)
                net_cancel(&rig, send);
            sent += send->completion.size;
        }
        net_request *receive = net_receive(&rig, 1, server, 1 + step * 37 % 500);
        if (receive->completion.status == NET_WAITS)
            net_cancel(&rig, receive);
        for (uint32_t i = 0; i < receive->completion.size; i++)
            assert_int_equal(receive->data[i], pattern(received + i));
        received += receive->completion.size;
    }
    assert_int_equal(sent, TOTAL);
    assert_int_equal(net_ledger(&rig).received, TOTAL);
    net_close(&rig);
}

static void receive_without_a_buffer_is_busy_or_gets_the_one_lent_meanwhile(void **state)
{
    (void)state;
    net_open(&rig);
    int client, server;
    net_pair(&rig, &client, &server);
    net_request *waiting = net_receive(&rig, 1, server, 0);
    rig.keeps_buffers = true;
    int other, held;
    net_pair(&rig, &other, &held);
    net_send(&rig, 0, other, bulk, 100);
    for (int i = 0; i < NET_BUFFERS; i++)
        net_assert_size(net_receive(&rig, 1, held, 1), 1);
    assert_int_equal(net_holdings(&rig, 1).buffers, 0);
    net_assert(waiting, NET_WAITS, 0); /* there is no data for it, and it needs no buffer yet */
    net_send(&rig, 0, client, "xyz", 3);
    net_assert(waiting, TINA_BUSY, 0);
    /* Told of later: by then there is one. */
    net_request *starving = net_prepare(&rig, 1, TINA__IO_RECEIVE, server);
    net_submit_only(&rig, starving);
    assert_int_equal(net_holdings(&rig, 1).requests, 0);
    assert_int_equal(net_holdings(&rig, 1).completions, 1);
    api->lend(rig.shards[1].backend, 5);
    net_collect(&rig);
    net_assert_text(starving, "xyz");
    assert_int_equal(starving->completion.buffer, 5);
    /* And one whose end was asked for gets none. */
    net_send(&rig, 0, client, "more", 4);
    starving = net_prepare(&rig, 1, TINA__IO_RECEIVE, server);
    net_submit_only(&rig, starving);
    api->cancel(rig.shards[1].backend, &starving->request);
    api->lend(rig.shards[1].backend, 5);
    net_collect(&rig);
    net_assert(starving, TINA_CANCELLED, 0);
    net_assert_text(net_receive(&rig, 1, server, 0), "more");
    net_close(&rig);
}

/* Its buffer makes room, and a send that waited goes on: all within one collect. */
static void receive_that_is_fed_late_lets_the_sender_go_on(void **state)
{
    (void)state;
    net_open(&rig);
    int client, server;
    net_pair(&rig, &client, &server);
    net_assert_size(net_send(&rig, 0, client, bulk, NET_WINDOW), NET_WINDOW);
    net_request *sending = net_send(&rig, 0, client, bulk, 300);
    rig.keeps_buffers = true;
    for (int i = 0; i < NET_BUFFERS; i++)
        net_receive(&rig, 1, server, 1);
    net_assert_size(sending, 1); /* the first made room */
    sending = net_send(&rig, 0, client, bulk, NET_BUFFERS - 1);
    net_assert_size(sending, NET_BUFFERS - 1);
    sending = net_send(&rig, 0, client, bulk, 300);
    net_request *starving = net_prepare(&rig, 1, TINA__IO_RECEIVE, server);
    net_submit_only(&rig, starving);
    api->lend(rig.shards[1].backend, 0);
    net_assert(sending, NET_WAITS, 0);
    net_collect(&rig);
    net_collect(&rig);
    net_assert_size(starving, NET_BUFFER);
    net_assert_size(sending, 300);
    net_close(&rig);
}

/* ---- Ends ----------------------------------------------------------------------------------- */

static void shutdown_of_writing_ends_one_direction_after_the_data(void **state)
{
    (void)state;
    net_open(&rig);
    int client, server;
    net_pair(&rig, &client, &server);
    net_send(&rig, 0, client, "last", 4);
    assert_int_equal(net_shutdown(&rig, 0, client, TINA_WRITE_HALF), TINA_OK);
    assert_int_equal(net_shutdown(&rig, 0, client, TINA_WRITE_HALF), TINA_OK);
    net_assert(net_send(&rig, 0, client, "x", 1), TINA_RESET, EPIPE);
    net_assert_text(net_receive(&rig, 1, server, 0), "last");
    net_assert(net_receive(&rig, 1, server, 0), TINA_CLOSED, 0);
    net_assert(net_receive(&rig, 1, server, 0), TINA_CLOSED, 0);
    net_assert_size(net_send(&rig, 1, server, "answer", 6), 6);
    net_assert_text(net_receive(&rig, 0, client, 0), "answer");
    net_request *waiting = net_receive(&rig, 0, client, 0);
    net_close_fd(&rig, 1, server);
    net_assert(waiting, TINA_CLOSED, 0);
    net_close(&rig);
}

static void shutdown_ends_what_waits_in_that_half_only(void **state)
{
    (void)state;
    net_open(&rig);
    int client, server;
    net_pair(&rig, &client, &server);
    net_request *receiving = net_receive(&rig, 0, client, 0);
    net_send(&rig, 0, client, bulk, NET_WINDOW);
    net_request *sending = net_send(&rig, 0, client, bulk, 1);
    assert_int_equal(net_shutdown(&rig, 0, client, TINA_READ_HALF), TINA_OK);
    net_assert(receiving, TINA_CANCELLED, 0);
    net_assert(sending, NET_WAITS, 0);
    net_assert(net_receive(&rig, 0, client, 0), TINA_CLOSED, 0);
    net_assert_size(net_send(&rig, 1, server, "still", 5), 5); /* Linux takes it, and hands it out */
    net_assert_text(net_receive(&rig, 0, client, 0), "still");
    assert_int_equal(net_shutdown(&rig, 0, client, TINA_BOTH_HALVES), TINA_OK);
    net_assert(sending, TINA_CANCELLED, 0);
    assert_int_equal(net_shutdown(&rig, 0, client, 0), TINA_INVALID);
    assert_int_equal(os_error, 0);
    assert_int_equal(net_shutdown(&rig, 0, 77, TINA_READ_HALF), TINA_SYSTEM_ERROR);
    assert_int_equal(os_error, EBADF);
    int fresh = net_socket(&rig, 0, TINA_IPV4);
    assert_int_equal(net_shutdown(&rig, 0, fresh, TINA_READ_HALF), TINA_SYSTEM_ERROR);
    assert_int_equal(os_error, ENOTCONN);
    net_close(&rig);
}

static void shutdown_of_a_listener_or_an_attempt_ends_it(void **state)
{
    (void)state;
    net_open(&rig);
    tina_address address;
    int listener = net_listener(&rig, 0, &address);
    net_set(&rig, listener, TINA_OPT_REUSEADDR, 1);
    int first = net_socket(&rig, 0, TINA_IPV4);
    int second = net_socket(&rig, 0, TINA_IPV4);
    net_connect(&rig, 0, first, address);
    net_request *connecting = net_connect(&rig, 0, second, address);
    assert_int_equal(net_shutdown(&rig, 0, second, TINA_WRITE_HALF), TINA_OK);
    net_assert(connecting, TINA_CANCELLED, 0);
    net_assert(net_accept(&rig, 1, listener), TINA_OK, 0);
    net_request *accepting = net_accept(&rig, 1, listener);
    assert_int_equal(net_shutdown(&rig, 1, listener, TINA_WRITE_HALF), TINA_OK);
    net_assert(accepting, NET_WAITS, 0);
    assert_int_equal(net_shutdown(&rig, 1, listener, TINA_READ_HALF), TINA_OK);
    net_assert(accepting, TINA_CANCELLED, 0);
    net_assert(net_connect(&rig, 0, second, address), TINA_REFUSED, ECONNREFUSED);
    assert_int_equal(net_listen(&rig, listener, 1), TINA_OK); /* it has its port still */
    net_assert(net_connect(&rig, 0, second, address), TINA_OK, 0);
    net_close(&rig);
}

static void close_with_all_read_is_an_end(void **state)
{
    (void)state;
    net_open(&rig);
    int client, server;
    net_pair(&rig, &client, &server);
    net_send(&rig, 0, client, "bye", 3);
    net_close_fd(&rig, 0, client);
    assert_false(tina__net_is_open(rig.net, client, 0));
    net_assert_text(net_receive(&rig, 1, server, 0), "bye");
    net_assert(net_receive(&rig, 1, server, 0), TINA_CLOSED, 0);
    /* Its host takes what is sent to it, and says that nobody is there. */
    net_assert_size(net_send(&rig, 1, server, "anyone?", 7), 7);
    assert_int_equal(net_ledger(&rig).lost, 7);
    net_assert(net_send(&rig, 1, server, "x", 1), TINA_RESET, EPIPE);
    net_assert(net_send(&rig, 1, server, "x", 1), TINA_RESET, EPIPE);
    net_assert(net_receive(&rig, 1, server, 0), TINA_CLOSED, 0);
    net_close(&rig);
}

static void close_with_something_unread_is_a_reset(void **state)
{
    (void)state;
    net_open(&rig);
    int client, server;
    net_pair(&rig, &client, &server);
    net_send(&rig, 0, client, "unread", 6);
    net_send(&rig, 1, server, "arrived", 7);
    net_close_fd(&rig, 1, server);
    assert_int_equal(net_ledger(&rig).lost, 6);
    tina_address peer;
    assert_int_equal(api->socket_peer(rig.shards[0].backend, client, &peer, &os_error), TINA_SYSTEM_ERROR);
    assert_int_equal(os_error, ENOTCONN);
    net_assert_text(net_receive(&rig, 0, client, 0), "arrived");
    net_assert(net_receive(&rig, 0, client, 0), TINA_RESET, ECONNRESET); /* told once */
    net_assert(net_receive(&rig, 0, client, 0), TINA_CLOSED, 0);
    net_assert(net_send(&rig, 0, client, "x", 1), TINA_RESET, EPIPE);
    net_assert(net_connect(&rig, 0, client, net_loopback(1)), TINA_SYSTEM_ERROR, EISCONN);
    net_close(&rig);
}

static void close_with_linger_zero_resets_whoever_waits(void **state)
{
    (void)state;
    net_open(&rig);
    int client, server;
    net_pair(&rig, &client, &server);
    net_send(&rig, 0, client, bulk, NET_WINDOW);
    net_request *sending = net_send(&rig, 0, client, bulk, 1);
    net_request *receiving = net_receive(&rig, 0, client, 0);
    net_assert(sending, NET_WAITS, 0);
    net_set(&rig, server, TINA_OPT_LINGER, 0);
    net_close_fd(&rig, 1, server);
    net_assert(receiving, TINA_RESET, ECONNRESET);
    net_assert(sending, TINA_RESET, EPIPE);
    net_close(&rig);
}

static void close_with_linger_zero_and_nothing_unread_resets_too(void **state)
{
    (void)state;
    net_open(&rig);
    int client, server;
    net_pair(&rig, &client, &server);
    net_request *receiving = net_receive(&rig, 0, client, 0);
    net_set(&rig, server, TINA_OPT_LINGER, 0);
    net_close_fd(&rig, 1, server);
    net_assert(receiving, TINA_RESET, ECONNRESET);
    net_close(&rig);
}

static void receive_and_send_on_no_connection_fail(void **state)
{
    (void)state;
    net_open(&rig);
    tina_address address;
    int listener = net_listener(&rig, 0, &address);
    int fresh = net_socket(&rig, 0, TINA_IPV4);
    net_assert(net_receive(&rig, 0, fresh, 0), TINA_SYSTEM_ERROR, ENOTCONN);
    net_assert(net_send(&rig, 0, fresh, "x", 1), TINA_RESET, EPIPE);
    net_assert(net_receive(&rig, 1, listener, 0), TINA_SYSTEM_ERROR, ENOTCONN);
    net_assert(net_send(&rig, 1, listener, "x", 1), TINA_RESET, EPIPE);
    net_assert(net_send(&rig, 1, 999, "x", 1), TINA_SYSTEM_ERROR, EBADF);
    net_close(&rig);
}

/* ---- Cancelling and abandoning ------------------------------------------------------------------- */

static void cancel_of_what_is_over_or_gone_does_nothing(void **state)
{
    (void)state;
    net_open(&rig);
    int client, server;
    net_pair(&rig, &client, &server);
    net_request *receive = net_receive(&rig, 1, server, 0);
    net_send(&rig, 0, client, "x", 1);
    net_cancel(&rig, receive);
    net_assert_size(receive, 1);
    net_request *next = net_receive(&rig, 1, server, 0);
    net_cancel(&rig, receive); /* late: another is under way there by now */
    net_assert(next, NET_WAITS, 0);
    net_cancel(&rig, next);
    net_assert(next, TINA_CANCELLED, 0);
    net_close_fd(&rig, 1, server);
    net_cancel(&rig, next);
    net_close(&rig);
}

static void abandon_ends_the_shards_own_requests_and_nobody_elses(void **state)
{
    (void)state;
    net_open(&rig);
    tina_address address;
    int client, server;
    net_pair(&rig, &client, &server);
    int listener = net_listener(&rig, 0, &address);
    net_receive(&rig, 1, server, 0);
    net_request *theirs = net_receive(&rig, 0, client, 0);
    int dialled[2] = {net_socket(&rig, 0, TINA_IPV4), net_socket(&rig, 1, TINA_IPV4)};
    net_connect(&rig, 0, dialled[0], address);
    net_connect(&rig, 1, dialled[1], address); /* in line */
    net_request *accept = net_prepare(&rig, 1, TINA__IO_ACCEPT, listener);
    net_submit_only(&rig, accept);
    assert_int_equal(net_holdings(&rig, 1).sockets, 4); /* with what the accept has brought */
    uint32_t open_before = net_ledger(&rig).sockets;
    assert_true(api->abandon(rig.shards[1].backend));
    assert_false(tina__net_has_news(rig.shards[1].backend));
    assert_int_equal(net_ledger(&rig).sockets, open_before - 1);
    tina__net_holdings holdings = net_holdings(&rig, 1);
    assert_int_equal(holdings.requests + holdings.completions + holdings.buffers, 0);
    for (uint32_t i = 0; i < NET_REQUESTS; i++)
        rig.requests[i].is_under_way &= rig.requests[i].shard != 1;
    net_collect(&rig);
    net_assert(theirs, NET_WAITS, 0);
    net_assert_size(net_send(&rig, 1, server, "x", 1), 1);
    net_assert_size(theirs, 1);
    for (uint32_t i = 0; i < NET_BUFFERS; i++)
        api->lend(rig.shards[1].backend, i);
    /* The accepted end was closed, and so the client learns. */
    net_assert(net_receive(&rig, 0, dialled[0], 0), TINA_CLOSED, 0);
    net_close(&rig);
}

static void close_of_a_backend_leaves_its_sockets_to_others(void **state)
{
    (void)state;
    net_open(&rig);
    int client, server;
    net_pair(&rig, &client, &server);
    net_receive(&rig, 1, server, 0);
    net_detach(&rig, 1);
    assert_true(tina__net_is_open(rig.net, server, 1));
    net_attach(&rig, 1);
    net_send(&rig, 0, client, "x", 1);
    net_assert_size(net_receive(&rig, 1, server, 0), 1);
    net_close(&rig);
}

static void open_is_refused_because_it_is_attached(void **state)
{
    (void)state;
    tina__backend_config config = {0};
    tina__backend *backend;
    const char *why;
    assert_int_equal(api->open(&config, &backend, &os_error, &why), TINA_UNSUPPORTED);
    assert_string_not_equal(why, "");
    assert_int_equal(api->id, TINA_BACKEND_SIM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connect_where_nobody_listens_is_refused_and_may_try_again),
        cmocka_unit_test(connect_stands_before_anybody_accepts_it),
        cmocka_unit_test(accept_takes_them_in_the_order_in_which_they_came),
        cmocka_unit_test(accept_where_nobody_listens_fails),
        cmocka_unit_test(connect_to_a_full_backlog_waits_in_line),
        cmocka_unit_test(listen_again_makes_room_for_those_in_line),
        cmocka_unit_test(listener_that_closes_resets_its_backlog_and_refuses_its_line),
        cmocka_unit_test(listener_that_closes_leaves_those_in_line_to_another_of_the_port),
        cmocka_unit_test(table_that_is_full_refuses),
        cmocka_unit_test(send_crosses_to_a_receive_that_waits),
        cmocka_unit_test(receive_takes_what_has_arrived_and_no_more_than_it_wants),
        cmocka_unit_test(window_fills_and_a_send_takes_what_fits),
        cmocka_unit_test(bytes_arrive_whole_and_in_order),
        cmocka_unit_test(receive_without_a_buffer_is_busy_or_gets_the_one_lent_meanwhile),
        cmocka_unit_test(receive_that_is_fed_late_lets_the_sender_go_on),
        cmocka_unit_test(shutdown_of_writing_ends_one_direction_after_the_data),
        cmocka_unit_test(shutdown_ends_what_waits_in_that_half_only),
        cmocka_unit_test(shutdown_of_a_listener_or_an_attempt_ends_it),
        cmocka_unit_test(close_with_all_read_is_an_end),
        cmocka_unit_test(close_with_something_unread_is_a_reset),
        cmocka_unit_test(close_with_linger_zero_resets_whoever_waits),
        cmocka_unit_test(close_with_linger_zero_and_nothing_unread_resets_too),
        cmocka_unit_test(receive_and_send_on_no_connection_fail),
        cmocka_unit_test(cancel_of_what_is_over_or_gone_does_nothing),
        cmocka_unit_test(abandon_ends_the_shards_own_requests_and_nobody_elses),
        cmocka_unit_test(close_of_a_backend_leaves_its_sockets_to_others),
        cmocka_unit_test(open_is_refused_because_it_is_attached),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
