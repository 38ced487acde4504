/* What goes wrong on a made network, and when: each kind alone, and what a seed decides. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net_rig.h"

static net_rig rig;
static const uint8_t bulk[4 * NET_WINDOW];

static const tina_ratio always = {1, 1};

static tina_range rounds(uint32_t min, uint32_t max) { return (tina_range){min, max}; }

static void assert_counts(tina_fault_counts expected)
{
    assert_memory_equal(&rig.faults.counts, &expected, sizeof expected);
}

static uint64_t rounds_until_next(void)
{
    uint64_t next_ns = tina__net_next_ns(rig.net);
    if (next_ns == TINA_NONE_NS)
        return 0;
    assert_int_equal((next_ns - rig.now_ns) % NET_ROUND_NS, 0);
    return (next_ns - rig.now_ns) / NET_ROUND_NS;
}

/* ---- Errors ------------------------------------------------------------------------------ */

static void io_error_fails_an_operation_that_has_done_nothing(void **state)
{
    (void)state;
    net_open(&rig);
    tina_address address;
    int client, server;
    net_pair(&rig, &client, &server);
    int listener = net_listener(&rig, 4, &address);
    int other = net_socket(&rig, 0, TINA_IPV4);
    net_assert_size(net_send(&rig, 0, client, "kept", 4), 4);
    net_assert(net_connect(&rig, 0, other, address), TINA_OK, 0);
    int third = net_socket(&rig, 0, TINA_IPV4);
    rig.faults.rates.io_error = always;
    net_assert(net_receive(&rig, 1, server, 0), TINA_SYSTEM_ERROR, EIO);
    net_assert(net_send(&rig, 0, client, "never", 5), TINA_SYSTEM_ERROR, EIO);
    net_assert(net_accept(&rig, 1, listener), TINA_SYSTEM_ERROR, EIO);
    net_assert(net_connect(&rig, 0, third, address), TINA_SYSTEM_ERROR, EIO);
    assert_counts((tina_fault_counts){.io_error = 4});
    rig.faults.rates.io_error = (tina_ratio){0};
    net_assert_text(net_receive(&rig, 1, server, 0), "kept");
    net_assert(net_receive(&rig, 1, server, 0), NET_WAITS, 0);
    net_assert(net_accept(&rig, 1, listener), TINA_OK, 0);
    net_assert(net_connect(&rig, 0, third, address), TINA_OK, 0);
    assert_counts((tina_fault_counts){.io_error = 4});
    net_close(&rig);
}

static void connection_reset_breaks_it_for_both_ends(void **state)
{
    (void)state;
    for (int receives = 0; receives < 2; receives++) {
        net_open(&rig);
        int client, server;
        net_pair(&rig, &client, &server);
        net_assert_size(net_send(&rig, 1, server, "arrived", 7), 7);
        net_assert_size(net_send(&rig, 0, client, "there", 5), 5);
        net_request *waiting = net_receive(&rig, 1, server, 5);
        net_assert_text(waiting, "there");
        waiting = net_receive(&rig, 1, server, 0);
        rig.faults.rates.connection_reset = always;
        if (receives)
            net_assert(net_receive(&rig, 0, client, 0), TINA_RESET, ECONNRESET);
        else
            net_assert(net_send(&rig, 0, client, "x", 1), TINA_RESET, ECONNRESET);
        net_assert(waiting, TINA_RESET, ECONNRESET);
        assert_int_equal(net_ledger(&rig).lost, 7); /* what had arrived at the end that broke it */
        assert_counts((tina_fault_counts){.connection_reset = 1});
        /* There is nothing left to break. */
        net_assert(net_receive(&rig, 0, client, 0), TINA_CLOSED, 0);
        net_assert(net_send(&rig, 1, server, "x", 1), TINA_RESET, EPIPE);
        assert_counts((tina_fault_counts){.connection_reset = 1});
        net_close(&rig);
    }
}

static void connection_reset_strikes_no_listener_and_no_attempt(void **state)
{
    (void)state;
    net_open(&rig);
    tina_address address;
    int listener = net_listener(&rig, 4, &address);
    rig.faults.rates.connection_reset = always;
    net_assert(net_connect(&rig, 0, net_socket(&rig, 0, TINA_IPV4), address), TINA_OK, 0);
    net_assert(net_accept(&rig, 1, listener), TINA_OK, 0);
    net_assert(net_receive(&rig, 0, net_socket(&rig, 0, TINA_IPV4), 0), TINA_SYSTEM_ERROR, ENOTCONN);
    assert_counts((tina_fault_counts){0});
    net_close(&rig);
}

static void connection_reset_ends_the_other_half_too(void **state)
{
    (void)state;
    net_open(&rig);
    int client, server;
    net_pair(&rig, &client, &server);
    net_assert_size(net_send(&rig, 0, client, bulk, NET_WINDOW), NET_WINDOW);
    net_request *sending = net_send(&rig, 0, client, bulk, 1);
    net_assert(sending, NET_WAITS, 0);
    rig.faults.rates.connection_reset = always;
    net_assert(net_receive(&rig, 0, client, 0), TINA_RESET, ECONNRESET);
    net_assert(sending, TINA_RESET, EPIPE);
    net_close(&rig);
}

/* It found data and no buffer; by the time it is told there is a buffer and no data. */
static void receive_that_starved_is_reset_with_its_connection(void **state)
{
    (void)state;
    net_open(&rig);
    int client, server;
    net_pair(&rig, &client, &server);
    net_assert_size(net_send(&rig, 1, server, bulk, NET_BUFFERS + 1), NET_BUFFERS + 1);
    rig.keeps_buffers = true;
    for (int i = 0; i < NET_BUFFERS; i++)
        net_assert_size(net_receive(&rig, 0, client, 1), 1);
    net_request *starving = net_prepare(&rig, 0, TINA__IO_RECEIVE, client);
    net_submit_only(&rig, starving);
    rig.faults.rates.connection_reset = always;
    net_request *send = net_prepare(&rig, 0, TINA__IO_SEND, client);
    send->request.data = bulk;
    send->request.size = 1;
    net_submit_only(&rig, send);
    api->lend(rig.shards[0].backend, 0);
    api->lend(rig.shards[0].backend, 1);
    net_collect(&rig);
    net_assert(send, TINA_RESET, ECONNRESET); /* told once, and to this one */
    net_assert(starving, TINA_CLOSED, 0);
    assert_int_equal(starving->completion.buffer, TINA__BUFFER_NONE);
    /* The same, with nobody else to be told of it first. */
    rig.faults.rates = (tina_faults){0};
    net_pair(&rig, &client, &server);
    net_assert_size(net_send(&rig, 1, server, "x", 1), 1);
    net_assert_size(net_receive(&rig, 0, client, 1), 1);
    net_assert_size(net_send(&rig, 1, server, "x", 1), 1);
    net_assert_size(net_receive(&rig, 0, client, 1), 1);
    net_assert_size(net_send(&rig, 1, server, "x", 1), 1);
    starving = net_prepare(&rig, 0, TINA__IO_RECEIVE, client);
    net_submit_only(&rig, starving);
    tina__net_stream_break(rig.net, (uint32_t)client, 0);
    api->lend(rig.shards[0].backend, 0);
    net_collect(&rig);
    net_assert(starving, TINA_RESET, ECONNRESET);
    net_close(&rig);
}

/* ---- Less at a time -------------------------------------------------------------------------- */

static void short_io_does_less_and_at_least_one_byte(void **state)
{
    (void)state;
    net_open(&rig);
    int client, server;
    net_pair(&rig, &client, &server);
    rig.faults.rates.short_io = always;
    uint64_t sent = 0, received = 0, struck = 0;
    bool was_different = false;
    for (int i = 0; i < 200; i++) {
        net_request *send = net_send(&rig, 0, client, bulk, 100);
        net_assert(send, TINA_OK, 0);
        assert_in_range(send->completion.size, 1, 99);
        sent += send->completion.size;
        struck++;
        net_request *receive = net_receive(&rig, 1, server, 0);
        net_assert(receive, TINA_OK, 0);
        assert_in_range(receive->completion.size, 1, sent - received);
        struck += sent - received > 1;
        was_different |= receive->completion.size != send->completion.size;
        received += receive->completion.size;
        while (received < sent) {
            net_request *rest = net_receive(&rig, 1, server, 0);
            struck += sent - received > 1;
            received += rest->completion.size;
        }
    }
    assert_true(was_different);
    assert_counts((tina_fault_counts){.short_io = struck});
    net_assert_size(net_send(&rig, 0, client, bulk, 1), 1); /* not less than that, and not counted */
    net_assert_size(net_receive(&rig, 1, server, 0), 1);
    assert_counts((tina_fault_counts){.short_io = struck});
    net_close(&rig);
}

/* ---- Late --------------------------------------------------------------------------------------- */

static void io_delay_makes_a_connection_take_its_time(void **state)
{
    (void)state;
    net_open(&rig);
    tina_address address;
    net_listener(&rig, 4, &address);
    int client = net_socket(&rig, 0, TINA_IPV4);
    rig.faults.rates.io_delay = rounds(4, 4);
    net_request *connecting = net_connect(&rig, 0, client, address);
    assert_int_equal(rounds_until_next(), 4);
    assert_counts((tina_fault_counts){.io_delay = 1});
    net_pass(&rig, 3);
    net_assert(connecting, NET_WAITS, 0);
    net_pass(&rig, 1);
    net_assert(connecting, TINA_OK, 0);
    assert_int_equal(rounds_until_next(), 0);
    assert_counts((tina_fault_counts){.io_delay = 1});
    /* Refusals take as long. */
    net_request *refused = net_connect(&rig, 0, net_socket(&rig, 0, TINA_IPV4), net_loopback(1));
    net_pass(&rig, 3);
    net_assert(refused, NET_WAITS, 0);
    net_pass(&rig, 1);
    net_assert(refused, TINA_REFUSED, ECONNREFUSED);
    net_close(&rig);
}

static void io_delay_lets_bytes_be_on_their_way(void **state)
{
    (void)state;
    net_open(&rig);
    int client, server;
    net_pair(&rig, &client, &server);
    net_request *receive = net_receive(&rig, 1, server, 0);
    rig.faults.rates.io_delay = rounds(3, 3);
    net_request *send = net_send(&rig, 0, client, "abc", 3);
    assert_counts((tina_fault_counts){.io_delay = 2}); /* of the operation, and of the bytes */
    rig.faults.rates.io_delay = rounds(0, 0);
    net_assert(send, NET_WAITS, 0);
    net_pass(&rig, 2);
    assert_int_equal(rounds_until_next(), 1);
    net_assert(receive, NET_WAITS, 0);
    assert_int_equal(net_ledger(&rig).on_their_way, 3);
    net_pass(&rig, 1);
    net_assert_size(send, 3);
    net_assert_text(receive, "abc");
    assert_int_equal(rounds_until_next(), 0);
    net_close(&rig);
}

static void io_delay_never_lets_bytes_or_ends_overtake(void **state)
{
    (void)state;
    net_open(&rig);
    int client, server;
    net_pair(&rig, &client, &server);
    const uint32_t delays[] = {6, 2, 9, 0, 1, 0, 3, 20, 5, 11, 12, 13, 14, 15, 16, 30, 2, 0};
    enum { COUNT = sizeof delays / sizeof delays[0] };
    char expected[COUNT + 1] = "", got[COUNT + 1] = "";
    for (uint32_t i = 0; i < COUNT; i++) {
        rig.faults.rates.io_delay = rounds(delays[i], delays[i]);
        char letter = (char)('a' + i);
        net_send(&rig, 0, client, &letter, 1);
        rig.faults.rates.io_delay = rounds(0, 0);
        expected[i] = letter;
        net_pass(&rig, 31); /* of the operation; the bytes are looked at below */
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        net_request *receive = net_receive(&rig, 1, server, 1);
        got[i] = (char)receive->data[0];
    }
    assert_string_equal(got, expected);
    /* The same, all of it on its way at once, and then the end. */
    for (uint32_t i = 0; i < COUNT; i++) {
        net_request *send = net_prepare(&rig, 0, TINA__IO_SEND, client);
        send->request.data = &expected[i];
        send->request.size = 1;
        send->request.no_wait = true; /* over at once, however late its bytes are */
        rig.faults.rates.io_delay = rounds(delays[i], delays[i]);
        net_submit(&rig, send);
        net_assert_size(send, 1);
    }
    rig.faults.rates.io_delay = rounds(1, 1);
    net_close_fd(&rig, 0, client);
    rig.faults.rates.io_delay = rounds(0, 0);
    uint32_t count = 0, passed = 0;
    net_request *receive = net_receive(&rig, 1, server, 0);
    while (receive->completion.status != TINA_CLOSED) {
        if (receive->completion.status == NET_WAITS) {
            assert_in_range(++passed, 1, 40);
            net_pass(&rig, 1);
            continue;
        }
        assert_memory_equal(receive->data, expected + count, receive->completion.size);
        count += (uint32_t)receive->completion.size;
        receive = net_receive(&rig, 1, server, 0);
    }
    assert_int_equal(passed, 30); /* not before the last byte */
    assert_int_equal(count, COUNT);
    net_close(&rig);
}

static void io_delay_holds_completions_back_with_what_they_did(void **state)
{
    (void)state;
    net_open(&rig);
    tina_address address;
    int client, server;
    net_pair(&rig, &client, &server);
    int listener = net_listener(&rig, 4, &address);
    net_assert(net_connect(&rig, 0, net_socket(&rig, 0, TINA_IPV4), address), TINA_OK, 0);
    net_send(&rig, 0, client, "abc", 3);
    uint32_t sockets = net_holdings(&rig, 1).sockets;
    rig.faults.rates.io_delay = rounds(2, 2);
    net_request *receive = net_receive(&rig, 1, server, 0);
    net_request *accept = net_accept(&rig, 1, listener);
    assert_counts((tina_fault_counts){.io_delay = 2});
    net_assert(receive, NET_WAITS, 0);
    net_assert(accept, NET_WAITS, 0);
    tina__net_holdings holdings = net_holdings(&rig, 1);
    assert_int_equal(holdings.requests, 2);
    assert_int_equal(holdings.completions, 0);
    assert_int_equal(holdings.buffers, NET_BUFFERS); /* the filled one among them */
    assert_int_equal(holdings.sockets, sockets + 1);
    assert_int_equal(net_ledger(&rig).received, 3);
    assert_int_equal(rounds_until_next(), 2);
    net_pass(&rig, 2);
    net_assert_text(receive, "abc");
    net_assert(accept, TINA_OK, 0);
    assert_int_equal(rounds_until_next(), 0);
    net_close(&rig);
}

static void cancel_of_a_late_one_tells_at_once_what_it_did(void **state)
{
    (void)state;
    net_open(&rig);
    tina_address address;
    int client, server;
    net_pair(&rig, &client, &server);
    net_listener(&rig, 4, &address);
    net_send(&rig, 0, client, "abc", 3);
    rig.faults.rates.io_delay = rounds(7, 7);
    net_request *receive = net_receive(&rig, 1, server, 0);
    net_cancel(&rig, receive);
    net_assert_text(receive, "abc");
    assert_int_equal(rounds_until_next(), 0);
    /* A connection that is still on its way has done nothing. */
    int fd = net_socket(&rig, 0, TINA_IPV4);
    net_request *connecting = net_connect(&rig, 0, fd, address);
    assert_int_equal(rounds_until_next(), 7);
    net_cancel(&rig, connecting);
    net_assert(connecting, TINA_CANCELLED, 0);
    assert_int_equal(rounds_until_next(), 0);
    assert_int_equal(net_local(&rig, fd).port, 0);
    net_pass(&rig, 10);
    rig.faults.rates.io_delay = rounds(0, 0);
    net_assert(net_connect(&rig, 0, fd, address), TINA_OK, 0);
    net_close(&rig);
}

static void abandon_of_late_ones_leaves_nothing_due(void **state)
{
    (void)state;
    net_open(&rig);
    tina_address address;
    int client, server;
    net_pair(&rig, &client, &server);
    int listener = net_listener(&rig, 4, &address);
    int dialled = net_socket(&rig, 0, TINA_IPV4);
    net_assert(net_connect(&rig, 0, dialled, address), TINA_OK, 0);
    net_send(&rig, 0, client, "abc", 3);
    rig.faults.rates.io_delay = rounds(5, 5);
    net_receive(&rig, 1, server, 0);
    net_accept(&rig, 1, listener);
    net_connect(&rig, 1, net_socket(&rig, 1, TINA_IPV4), address);
    rig.faults.rates.io_delay = rounds(0, 0);
    uint32_t sockets = net_holdings(&rig, 1).sockets;
    assert_int_equal(rounds_until_next(), 5);
    assert_true(api->abandon(rig.shards[1].backend));
    assert_int_equal(rounds_until_next(), 0);
    assert_int_equal(net_holdings(&rig, 1).sockets, sockets - 1);
    assert_int_equal(net_holdings(&rig, 1).buffers, 0);
    for (uint32_t i = 0; i < NET_REQUESTS; i++)
        rig.requests[i].is_under_way = false;
    net_pass(&rig, 10);
    net_assert(net_receive(&rig, 0, dialled, 0), TINA_CLOSED, 0);
    net_close(&rig);
}

static void reset_on_its_way_comes_behind_what_was_sent(void **state)
{
    (void)state;
    net_open(&rig);
    int client, server;
    net_pair(&rig, &client, &server);
    net_send(&rig, 0, client, "unread", 6);
    rig.faults.rates.io_delay = rounds(5, 5);
    net_request *send = net_send(&rig, 1, server, "last words", 10);
    net_cancel(&rig, send);
    rig.faults.rates.io_delay = rounds(2, 2);
    net_close_fd(&rig, 1, server);
    rig.faults.rates.io_delay = rounds(0, 0);
    net_assert_size(net_send(&rig, 0, client, "into the void", 13), 13);
    net_request *receive = net_receive(&rig, 0, client, 0);
    net_pass(&rig, 4);
    net_assert(receive, NET_WAITS, 0);
    tina_address peer;
    assert_int_equal(api->socket_peer(rig.shards[0].backend, client, &peer, &os_error), TINA_OK);
    net_pass(&rig, 1);
    net_assert_text(receive, "last words");
    net_assert(net_receive(&rig, 0, client, 0), TINA_RESET, ECONNRESET);
    assert_int_equal(net_ledger(&rig).lost, 19);
    net_close(&rig);
}

/* All that was sent has arrived when the reset does, also where the last of it is due at that very moment. */
static void reset_that_is_due_with_the_last_bytes_comes_behind_them(void **state)
{
    (void)state;
    net_open(&rig);
    int client, server;
    net_pair(&rig, &client, &server);
    net_send(&rig, 0, client, "unread", 6);
    for (uint32_t delay = 3; delay < 6; delay++) {
        rig.faults.rates.io_delay = rounds(delay, delay);
        net_request *send = net_send(&rig, 1, server, "last words", 10);
        net_cancel(&rig, send);
    }
    rig.faults.rates.io_delay = rounds(0, 0);
    net_close_fd(&rig, 1, server);
    net_pass(&rig, 5);
    net_assert_size(net_receive(&rig, 0, client, 0), 30);
    net_assert(net_receive(&rig, 0, client, 0), TINA_RESET, ECONNRESET);
    net_close(&rig);
}

static void receive_on_an_attempt_that_is_refused_fails(void **state)
{
    (void)state;
    net_open(&rig);
    int client = net_socket(&rig, 0, TINA_IPV4);
    rig.faults.rates.io_delay = rounds(2, 2);
    net_request *connecting = net_connect(&rig, 0, client, net_loopback(1));
    rig.faults.rates.io_delay = rounds(0, 0);
    net_request *receive = net_receive(&rig, 0, client, 0);
    net_assert(receive, NET_WAITS, 0); /* it may yet be a connection */
    net_pass(&rig, 2);
    net_assert(connecting, TINA_REFUSED, ECONNREFUSED);
    net_assert(receive, TINA_SYSTEM_ERROR, ENOTCONN);
    net_close(&rig);
}

static void connection_reset_loses_what_is_on_its_way(void **state)
{
    (void)state;
    net_open(&rig);
    int client, server;
    net_pair(&rig, &client, &server);
    rig.faults.rates.io_delay = rounds(5, 5);
    net_request *send = net_send(&rig, 1, server, "never", 5);
    net_cancel(&rig, send);
    rig.faults.rates.io_delay = rounds(1, 1);
    rig.faults.rates.connection_reset = always;
    net_send(&rig, 1, server, "x", 1);
    rig.faults.rates = (tina_faults){0};
    net_request *receive = net_receive(&rig, 0, client, 0);
    assert_int_equal(net_ledger(&rig).lost, 0);
    net_pass(&rig, 1);
    net_assert(receive, TINA_RESET, ECONNRESET);
    assert_int_equal(net_ledger(&rig).lost, 5);
    assert_int_equal(rounds_until_next(), 0);
    net_close(&rig);
}

/* For whoever has no world to move the time. */
static void flush_that_waits_moves_the_time_to_what_is_due(void **state)
{
    (void)state;
    net_open(&rig);
    int client, server;
    net_pair(&rig, &client, &server);
    tina__backend *ours = rig.shards[1].backend;
    net_request *receive = net_receive(&rig, 1, server, 0);
    for (uint32_t delay = 2; delay < 5; delay++) {
        rig.faults.rates.io_delay = rounds(delay, delay);
        net_request *send = net_send(&rig, 0, client, "abc", 3);
        net_cancel(&rig, send);
    }
    rig.faults.rates.io_delay = rounds(0, 0);
    api->flush(ours, 0);
    assert_false(tina__net_has_news(ours));
    api->flush(ours, NET_ROUND_NS); /* it waits as long as it may */
    assert_true(rig.net->now_ns == NET_START_NS + NET_ROUND_NS);
    assert_false(tina__net_has_news(ours));
    api->flush(ours, NET_ROUND_NS); /* and what is due by then is there */
    assert_true(tina__net_has_news(ours));
    net_collect(&rig);
    net_assert_text(receive, "abc");
    receive = net_receive(&rig, 1, server, 0);
    api->flush(ours, TINA_NONE_NS); /* no longer than it needs */
    assert_true(rig.net->now_ns == NET_START_NS + 3 * NET_ROUND_NS);
    net_collect(&rig);
    net_assert_text(receive, "abc");
    api->flush(rig.shards[2].backend, TINA_NONE_NS); /* what comes is another's, and then nothing does */
    assert_true(rig.net->now_ns == NET_START_NS + 4 * NET_ROUND_NS);
    net_collect(&rig);
    net_close(&rig);
}

/* ---- Healing ------------------------------------------------------------------------------------- */

static void rates_that_become_zero_leave_only_what_is_under_way(void **state)
{
    (void)state;
    net_open(&rig);
    int client, server;
    net_pair(&rig, &client, &server);
    rig.faults.rates = (tina_faults){.io_error = {1, 3}, .short_io = {1, 2}, .io_delay = {0, 9}};
    for (int i = 0; i < 50; i++) {
        net_request *send = net_send(&rig, 0, client, bulk, 5);
        net_pass(&rig, 9);
        assert_int_not_equal(send->completion.status, NET_WAITS);
    }
    rig.faults.rates = (tina_faults){0};
    tina_fault_counts counts = rig.faults.counts;
    net_pass(&rig, 9);
    assert_int_equal(rounds_until_next(), 0);
    while (net_ledger(&rig).on_their_way != 0)
        net_assert(net_receive(&rig, 1, server, 100), TINA_OK, 0);
    net_assert_size(net_send(&rig, 0, client, bulk, 500), 500);
    net_assert_size(net_receive(&rig, 1, server, 0), 500);
    assert_int_equal(rounds_until_next(), 0);
    assert_counts(counts);
    net_close(&rig);
}

static void without_faults_nothing_is_drawn(void **state)
{
    (void)state;
    net_open(&rig);
    tina__prng stream = rig.net->stream;
    tina__net_shard shards[NET_SHARDS];
    memcpy(shards, rig.net->shards, sizeof shards);
    int client, server;
    net_pair(&rig, &client, &server);
    net_send(&rig, 0, client, bulk, 500);
    net_receive(&rig, 1, server, 100);
    net_shutdown(&rig, 0, client, TINA_WRITE_HALF);
    net_close_fd(&rig, 1, server);
    net_receive(&rig, 0, client, 1);
    assert_memory_equal(&rig.net->stream, &stream, sizeof stream);
    for (uint32_t i = 0; i < NET_SHARDS; i++) {
        const tina__net_shard *shard = &rig.net->shards[i];
        assert_memory_equal(&shard->errors, &shards[i].errors, sizeof shard->errors);
        assert_memory_equal(&shard->resets, &shards[i].resets, sizeof shard->resets);
        assert_memory_equal(&shard->shorts, &shards[i].shorts, sizeof shard->shorts);
        assert_memory_equal(&shard->delays, &shards[i].delays, sizeof shard->delays);
    }
    net_close(&rig);
}

/* A kind of fault that is added, or strikes elsewhere, does not move another's. */
static void dice_of_one_kind_do_not_shift_anothers(void **state)
{
    (void)state;
    char stories[2][65] = {"", ""};
    for (int i = 0; i < 2; i++) {
        net_open(&rig);
        int client, server;
        net_pair(&rig, &client, &server);
        rig.faults.rates = (tina_faults){.io_error = {1, 2}, .short_io = {i != 0, 2}, .io_delay = {0, i == 0 ? 0 : 3}};
        for (int step = 0; step < 64; step++) {
            net_request *send = net_send(&rig, 0, client, bulk, 3);
            net_cancel(&rig, send);
            stories[i][step] = send->completion.status == TINA_OK ? '.' : 'E';
        }
        net_close(&rig);
    }
    assert_string_equal(stories[0], stories[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(io_error_fails_an_operation_that_has_done_nothing),
        cmocka_unit_test(connection_reset_breaks_it_for_both_ends),
        cmocka_unit_test(connection_reset_strikes_no_listener_and_no_attempt),
        cmocka_unit_test(connection_reset_ends_the_other_half_too),
        cmocka_unit_test(receive_that_starved_is_reset_with_its_connection),
        cmocka_unit_test(short_io_does_less_and_at_least_one_byte),
        cmocka_unit_test(io_delay_makes_a_connection_take_its_time),
        cmocka_unit_test(io_delay_lets_bytes_be_on_their_way),
        cmocka_unit_test(io_delay_never_lets_bytes_or_ends_overtake),
        cmocka_unit_test(io_delay_holds_completions_back_with_what_they_did),
        cmocka_unit_test(cancel_of_a_late_one_tells_at_once_what_it_did),
        cmocka_unit_test(abandon_of_late_ones_leaves_nothing_due),
        cmocka_unit_test(reset_on_its_way_comes_behind_what_was_sent),
        cmocka_unit_test(reset_that_is_due_with_the_last_bytes_comes_behind_them),
        cmocka_unit_test(receive_on_an_attempt_that_is_refused_fails),
        cmocka_unit_test(connection_reset_loses_what_is_on_its_way),
        cmocka_unit_test(flush_that_waits_moves_the_time_to_what_is_due),
        cmocka_unit_test(rates_that_become_zero_leave_only_what_is_under_way),
        cmocka_unit_test(without_faults_nothing_is_drawn),
        cmocka_unit_test(dice_of_one_kind_do_not_shift_anothers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
