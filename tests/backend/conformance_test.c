/* What io/backend.h promises, but for abandon: that has a file of its own. */
#define _GNU_SOURCE 1
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "each.h"
#include "support/tripwire.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static void assert_holds_nothing(const rig_request *request)
{
    assert_int_equal(request->completion.buffer, TINA__BUFFER_NONE);
    assert_int_equal(request->completion.size, 0);
    assert_int_equal(request->completion.os_fd, -1);
}

/* ---- Receiving ---- */

static void receive_with_data_there_completes(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    int other;
    rig_fd fd = rig_pair(&rig, &other);
    rig_feed(&rig, other, "hello", 5);
    rig_request *receive = rig_receive(&rig, fd, 0);
    assert_int_equal(rig_do(&rig, receive), TINA_OK);
    assert_int_equal(receive->completion.size, 5);
    assert_memory_equal(rig_data(&rig, receive), "hello", 5);
    rig_lend_back(&rig, receive);
    rig_drop(&rig, other);
    rig_close_fd(&rig, fd);
    rig_close(&rig);
}

static void receive_before_data_waits_and_completes(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    int other;
    rig_fd fd = rig_pair(&rig, &other);
    rig_request *receive = rig_receive(&rig, fd, 0);
    for (uint8_t round = 0; round < 20; round++) {
        rig_submit(&rig, receive);
        rig_turn(&rig, 0);
        rig_turn(&rig, 0);
        assert_false(rig_is_over(receive));
        rig_feed(&rig, other, &round, 1);
        rig_await(&rig, receive);
        assert_int_equal(receive->completion.status, TINA_OK);
        assert_int_equal(receive->completion.size, 1);
        assert_int_equal(rig_data(&rig, receive)[0], round);
        rig_lend_back(&rig, receive);
        rig_renew(receive);
    }
    rig_drop(&rig, other);
    rig_close_fd(&rig, fd);
    rig_close(&rig);
}

static void receive_of_a_size_leaves_the_rest(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    int other;
    rig_fd fd = rig_pair(&rig, &other);
    rig_feed(&rig, other, "abcdefgh", 8);
    rig_request *first = rig_receive(&rig, fd, 3);
    assert_int_equal(rig_do(&rig, first), TINA_OK);
    assert_int_equal(first->completion.size, 3);
    rig_request *second = rig_receive(&rig, fd, 0);
    assert_int_equal(rig_do(&rig, second), TINA_OK);
    assert_int_equal(second->completion.size, 5);
    assert_memory_equal(rig_data(&rig, second), "defgh", 5);
    rig_lend_back(&rig, first);
    rig_lend_back(&rig, second);
    rig_drop(&rig, other);
    rig_close_fd(&rig, fd);
    rig_close(&rig);
}

static void receive_of_more_than_a_buffer_stays_within_it(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    int other;
    rig_fd fd = rig_pair(&rig, &other);
    uint8_t data[1000];
    memset(data, 'x', sizeof data);
    rig_feed(&rig, other, data, sizeof data);
    rig_request *receive = rig_receive(&rig, fd, 1000);
    assert_int_equal(rig_do(&rig, receive), TINA_OK);
    assert_int_equal(receive->completion.size, small.buffer_size);
    for (uint32_t i = 0; i < small.buffer_count; i++) {
        if (i != receive->completion.buffer)
            assert_int_equal(rig.config.buffers[i * small.buffer_size], 0);
    }
    rig_lend_back(&rig, receive);
    rig_drop(&rig, other);
    rig_close_fd(&rig, fd);
    rig_close(&rig);
}

static void receive_at_the_peers_end_is_closed_without_a_buffer(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    int other;
    rig_fd fd = rig_pair(&rig, &other);
    rig_request *waiting = rig_receive(&rig, fd, 0);
    rig_submit(&rig, waiting);
    rig_turn(&rig, 0);
    rig_drop(&rig, other);
    rig_await(&rig, waiting);
    assert_int_equal(waiting->completion.status, TINA_CLOSED);
    assert_holds_nothing(waiting);
    /* More ends than there are buffers: none of them keeps one. */
    for (uint32_t i = 0; i < 2 * small.buffer_count; i++) {
        rig_renew(waiting);
        assert_int_equal(rig_do(&rig, waiting), TINA_CLOSED);
        assert_holds_nothing(waiting);
    }
    rig_close_fd(&rig, fd);
    fd = rig_pair(&rig, &other);
    rig_feed(&rig, other, "x", 1);
    rig_request *last = rig_receive(&rig, fd, 0);
    assert_int_equal(rig_do(&rig, last), TINA_OK);
    rig_lend_back(&rig, last);
    rig_drop(&rig, other);
    rig_close_fd(&rig, fd);
    rig_close(&rig);
}

static void receive_of_data_and_end_together_delivers_both(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    rig_fd client, server;
    rig_connected(&rig, TINA_IPV4, &client, &server);
    rig_request *receive = rig_receive(&rig, server, 0);
    rig_submit(&rig, receive);
    rig_turn(&rig, 0);
    rig_feed(&rig, client.os_fd, "last", 4);
    int os_error;
    assert_int_equal(rig.api->socket_shutdown(rig.backend, client.os_fd, TINA_WRITE_HALF, &os_error), TINA_OK);
    rig_await(&rig, receive);
    assert_int_equal(receive->completion.status, TINA_OK);
    assert_int_equal(receive->completion.size, 4);
    rig_lend_back(&rig, receive);
    rig_renew(receive);
    assert_int_equal(rig_do(&rig, receive), TINA_CLOSED);
    rig_close_fd(&rig, client);
    rig_close_fd(&rig, server);
    rig_close(&rig);
}

/* A read stops at the mark of urgent data though there is more behind it, and no event follows. */
static void receive_around_urgent_data_delivers_what_follows(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    rig_fd client, server;
    rig_connected(&rig, TINA_IPV4, &client, &server);
    rig_request *receive = rig_receive(&rig, server, 0);
    rig_submit(&rig, receive);
    rig_turn(&rig, 0);
    rig_feed(&rig, client.os_fd, "ab", 2);
    assert_int_equal(send(client.os_fd, "!", 1, MSG_OOB), 1);
    rig_feed(&rig, client.os_fd, "cd", 2);
    char got[8] = "";
    size_t size = 0;
    for (;;) {
        rig_await(&rig, receive);
        assert_int_equal(receive->completion.status, TINA_OK);
        memcpy(got + size, rig_data(&rig, receive), receive->completion.size);
        size += receive->completion.size;
        rig_lend_back(&rig, receive);
        rig_renew(receive);
        if (size == 4)
            break;
        rig_submit(&rig, receive);
    }
    assert_string_equal(got, "abcd");
    rig_close_fd(&rig, client);
    rig_close_fd(&rig, server);
    rig_close(&rig);
}

static void receive_from_a_peer_that_resets_is_reset(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    rig_fd client, server;
    rig_connected(&rig, TINA_IPV4, &client, &server);
    rig_request *receive = rig_receive(&rig, server, 0);
    rig_submit(&rig, receive);
    rig_turn(&rig, 0);
    int os_error;
    assert_int_equal(rig.api->socket_set(rig.backend, client.os_fd, TINA_OPT_LINGER, 0, &os_error), TINA_OK);
    rig_close_fd(&rig, client);
    rig_await(&rig, receive);
    assert_int_equal(receive->completion.status, TINA_RESET);
    assert_int_equal(receive->completion.os_error, ECONNRESET);
    assert_holds_nothing(receive);
    rig_close_fd(&rig, server);
    rig_close(&rig);
}

static void receive_on_no_connection_fails_with_errno(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    rig_fd fd = rig_socket(&rig, TINA_IPV4);
    rig_request *receive = rig_receive(&rig, fd, 0);
    assert_int_equal(rig_do(&rig, receive), TINA_SYSTEM_ERROR);
    assert_int_equal(receive->completion.os_error, ENOTCONN);
    assert_holds_nothing(receive);
    rig_close_fd(&rig, fd);
    rig_close(&rig);
}

/* ---- Buffers ---- */

static void receive_without_a_lent_buffer_is_busy_until_one_is_lent(void **state)
{
    (void)state;
    test_rig rig;
    tina__backend_config config = small;
    config.buffer_count = 1;
    open_config(&rig, config);
    int other;
    rig_fd fd = rig_pair(&rig, &other);
    rig_feed(&rig, other, "one", 3);
    rig_request *first = rig_receive(&rig, fd, 0);
    assert_int_equal(rig_do(&rig, first), TINA_OK);
    rig_feed(&rig, other, "two", 3);
    rig_request *second = rig_receive(&rig, fd, 0);
    assert_int_equal(rig_do(&rig, second), TINA_BUSY);
    assert_holds_nothing(second);
    rig_lend_back(&rig, first);
    rig_renew(second);
    assert_int_equal(rig_do(&rig, second), TINA_OK);
    assert_memory_equal(rig_data(&rig, second), "two", 3);
    rig_lend_back(&rig, second);
    rig_drop(&rig, other);
    rig_close_fd(&rig, fd);
    rig_close(&rig);
}

static void receive_that_waits_without_a_lent_buffer_is_busy_when_data_comes(void **state)
{
    (void)state;
    test_rig rig;
    tina__backend_config config = small;
    config.buffer_count = 1;
    open_config(&rig, config);
    int others[2];
    rig_fd holder = rig_pair(&rig, &others[0]);
    rig_fd idle = rig_pair(&rig, &others[1]);
    rig_feed(&rig, others[0], "x", 1);
    rig_request *held = rig_receive(&rig, holder, 0);
    assert_int_equal(rig_do(&rig, held), TINA_OK);
    rig_request *waiting = rig_receive(&rig, idle, 0);
    rig_submit(&rig, waiting);
    rig_turn(&rig, 0);
    rig_turn(&rig, 0);
    assert_false(rig_is_over(waiting));
    rig_feed(&rig, others[1], "y", 1);
    rig_await(&rig, waiting);
    assert_int_equal(waiting->completion.status, TINA_BUSY);
    rig_lend_back(&rig, held);
    rig_renew(waiting);
    assert_int_equal(rig_do(&rig, waiting), TINA_OK);
    assert_int_equal(rig_data(&rig, waiting)[0], 'y');
    rig_lend_back(&rig, waiting);
    rig_drop(&rig, others[0]);
    rig_drop(&rig, others[1]);
    rig_close_fd(&rig, holder);
    rig_close_fd(&rig, idle);
    rig_close(&rig);
}

/* Told that it is busy, the reactor would wait for a buffer that was lent already. */
static void receive_without_a_buffer_completes_with_one_lent_before_it_is_collected(void **state)
{
    (void)state;
    test_rig rig;
    tina__backend_config config = small;
    config.buffer_count = 1;
    open_config(&rig, config);
    int other;
    rig_fd fd = rig_pair(&rig, &other);
    rig_feed(&rig, other, "one", 3);
    rig_request *first = rig_receive(&rig, fd, 0);
    assert_int_equal(rig_do(&rig, first), TINA_OK);
    rig_feed(&rig, other, "two", 3);
    rig_request *second = rig_receive(&rig, fd, 0);
    rig_submit(&rig, second);
    rig.api->flush(rig.backend, RIG_PATIENCE_NS);
    rig_lend_back(&rig, first);
    rig_await(&rig, second);
    assert_int_equal(second->completion.status, TINA_OK);
    assert_memory_equal(rig_data(&rig, second), "two", 3);
    /* The same, and then its end is asked for: it must not go on for ever. */
    rig_feed(&rig, other, "three", 5);
    rig_request *third = rig_receive(&rig, fd, 0);
    rig_submit(&rig, third);
    rig.api->flush(rig.backend, RIG_PATIENCE_NS);
    rig_cancel(&rig, third);
    rig_lend_back(&rig, second);
    rig_await(&rig, third);
    assert_int_equal(third->completion.status, TINA_CANCELLED);
    assert_holds_nothing(third);
    rig_renew(third);
    assert_int_equal(rig_do(&rig, third), TINA_OK);
    assert_memory_equal(rig_data(&rig, third), "three", 5);
    rig_lend_back(&rig, third);
    rig_drop(&rig, other);
    rig_close_fd(&rig, fd);
    rig_close(&rig);
}

static void receive_that_is_idle_holds_no_buffer(void **state)
{
    (void)state;
    test_rig rig;
    tina__backend_config config = small;
    config.buffer_count = 1;
    open_config(&rig, config);
    int others[10];
    rig_fd fds[10];
    rig_request *receives[10];
    for (int i = 0; i < 10; i++) {
        fds[i] = rig_pair(&rig, &others[i]);
        receives[i] = rig_receive(&rig, fds[i], 0);
        rig_submit(&rig, receives[i]);
    }
    rig_turn(&rig, 0);
    for (uint8_t i = 0; i < 10; i++) {
        rig_feed(&rig, others[i], &i, 1);
        rig_await(&rig, receives[i]);
        assert_int_equal(receives[i]->completion.status, TINA_OK);
        assert_int_equal(rig_data(&rig, receives[i])[0], i);
        rig_lend_back(&rig, receives[i]);
    }
    for (int i = 0; i < 10; i++) {
        rig_drop(&rig, others[i]);
        rig_close_fd(&rig, fds[i]);
    }
    rig_close(&rig);
}

/* Every buffer comes back whole, in any order, many times around. */
static void buffers_lent_in_any_order_are_each_used(void **state)
{
    (void)state;
    test_rig rig;
    tina__backend_config config = small;
    config.buffer_count = 5;
    open_config(&rig, config);
    int others[5];
    rig_fd fds[5];
    rig_request *receives[5];
    for (int i = 0; i < 5; i++) {
        fds[i] = rig_pair(&rig, &others[i]);
        receives[i] = rig_receive(&rig, fds[i], 0);
    }
    for (int round = 0; round < 200; round++) {
        uint32_t seen = 0;
        for (int i = 0; i < 5; i++) {
            rig_feed(&rig, others[i], &i, sizeof i);
            rig_submit(&rig, receives[i]);
        }
        rig_await_all(&rig);
        for (int i = 0; i < 5; i++) {
            assert_int_equal(receives[i]->completion.status, TINA_OK);
            assert_memory_equal(rig_data(&rig, receives[i]), &i, sizeof i);
            seen |= 1u << receives[i]->completion.buffer;
        }
        assert_int_equal(seen, 31);
        for (int i = 0; i < 5; i++) {
            int turned = (i * 2 + round) % 5;
            rig_lend_back(&rig, receives[turned]);
            rig_renew(receives[turned]);
        }
    }
    for (int i = 0; i < 5; i++) {
        rig_drop(&rig, others[i]);
        rig_close_fd(&rig, fds[i]);
    }
    rig_close(&rig);
}

/* More than a kernel may take at once. Each is used once before it is needed again. */
static void buffers_by_the_ten_thousand_are_each_used(void **state)
{
    (void)state;
    enum { COUNT = 33000 };
    test_rig rig;
    tina__backend_config config = small;
    config.buffer_count = COUNT;
    config.buffer_size = 64;
    open_config(&rig, config);
    int other;
    rig_fd fd = rig_pair(&rig, &other);
    rig_request *receive = rig_receive(&rig, fd, 0);
    uint32_t *order = malloc(COUNT * sizeof *order);
    bool *is_used = calloc(COUNT, sizeof *is_used);
    assert_non_null(order);
    assert_non_null(is_used);
    for (uint32_t i = 0; i < COUNT; i++) {
        rig_feed(&rig, other, &i, sizeof i);
        assert_int_equal(rig_do(&rig, receive), TINA_OK);
        assert_memory_equal(rig_data(&rig, receive), &i, sizeof i);
        order[i] = receive->completion.buffer;
        assert_false(is_used[order[i]]);
        is_used[order[i]] = true;
        rig_renew(receive);
    }
    rig_feed(&rig, other, "x", 1);
    assert_int_equal(rig_do(&rig, receive), TINA_BUSY);
    for (uint32_t i = 0; i < COUNT; i++) {
        receive->completion.buffer = order[i];
        rig_lend_back(&rig, receive);
    }
    rig_renew(receive);
    assert_int_equal(rig_do(&rig, receive), TINA_OK);
    rig_lend_back(&rig, receive);
    free(order);
    free(is_used);
    rig_drop(&rig, other);
    rig_close_fd(&rig, fd);
    rig_close(&rig);
}

/* ---- Sending ---- */

static void send_that_fits_completes_whole(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    int other;
    rig_fd fd = rig_pair(&rig, &other);
    rig_request *send_ = rig_send(&rig, fd, "hello", 5);
    assert_int_equal(rig_do(&rig, send_), TINA_OK);
    assert_int_equal(send_->completion.size, 5);
    char got[8];
    assert_int_equal(rig_read(&rig, other, got, sizeof got), 5);
    assert_memory_equal(got, "hello", 5);
    rig_drop(&rig, other);
    rig_close_fd(&rig, fd);
    rig_close(&rig);
}

/* Takes what is there, checks that it continues the pattern, and counts it. */
static size_t drain_pattern(test_rig *rig, int os_fd, size_t from)
{
    static uint8_t chunk[65536];
    ssize_t size = rig_read(rig, os_fd, chunk, sizeof chunk);
    if (size <= 0)
        return 0;
    size_t wrong = 0;
    for (size_t i = 0; i < (size_t)size; i++)
        wrong += chunk[i] != (uint8_t)((from + i) * 31 >> 3);
    assert_int_equal(wrong, 0);
    return (size_t)size;
}

static void send_larger_than_the_socket_takes_goes_out_in_order(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    rig_fd client, server;
    rig_connected(&rig, TINA_IPV4, &client, &server);
    const uint32_t total = 8u << 20;
    uint8_t *data = malloc(total);
    assert_non_null(data);
    for (uint32_t i = 0; i < total; i++)
        data[i] = (uint8_t)((size_t)i * 31 >> 3);
    rig_request *send_ = rig_send(&rig, client, data, total);
    uint32_t sent = 0;
    size_t received = 0;
    while (sent < total) {
        rig_submit(&rig, send_);
        for (int i = 0; i < RIG_WAITS_MAX * 100 && !rig_is_over(send_); i++) {
            rig_turn(&rig, 1000000);
            received += drain_pattern(&rig, server.os_fd, received);
        }
        assert_true(rig_is_over(send_));
        assert_int_equal(send_->completion.status, TINA_OK);
        assert_in_range(send_->completion.size, 1, total - sent);
        sent += (uint32_t)send_->completion.size;
        rig_renew(send_);
        send_->request.data = data + sent;
        send_->request.size = total - sent;
    }
    rig_close_fd(&rig, client);
    for (int i = 0; i < RIG_WAITS_MAX * 100 && received < total; i++) {
        received += drain_pattern(&rig, server.os_fd, received);
        rig_turn(&rig, 1000000);
    }
    assert_int_equal(received, total);
    free(data);
    rig_close_fd(&rig, server);
    rig_close(&rig);
}

static uint64_t drain(test_rig *rig, int os_fd)
{
    static uint8_t chunk[65536];
    uint64_t total = 0;
    for (ssize_t size; (size = rig_read(rig, os_fd, chunk, sizeof chunk)) > 0;)
        total += (uint64_t)size;
    return total;
}

static void send_without_waiting_into_a_full_socket_is_busy(void **state)
{
    (void)state;
    static const uint8_t data[4096];
    test_rig rig;
    open_small(&rig);
    int other;
    rig_fd fd = rig_pair(&rig, &other);
    rig_request *send_ = rig_send(&rig, fd, data, sizeof data);
    uint64_t sent = 0, received = 0;
    for (int round = 0; round < 3; round++) {
        rig_fill(&rig, send_, &sent);
        assert_int_equal(send_->completion.status, TINA_BUSY);
        assert_holds_nothing(send_);
        received += drain(&rig, other);
    }
    assert_int_equal(sent, received);
    rig_drop(&rig, other);
    rig_close_fd(&rig, fd);
    rig_close(&rig);
}

static void send_into_a_full_socket_waits_until_there_is_room(void **state)
{
    (void)state;
    static const uint8_t data[4096];
    test_rig rig;
    open_small(&rig);
    int other;
    rig_fd fd = rig_pair(&rig, &other);
    rig_request *send_ = rig_send(&rig, fd, data, sizeof data);
    uint64_t sent = 0, received = 0;
    for (int round = 0; round < 3; round++) {
        rig_fill(&rig, send_, &sent);
        send_->request.no_wait = false;
        rig_submit(&rig, send_);
        rig_turn(&rig, 0);
        assert_false(rig_is_over(send_));
        received += drain(&rig, other);
        rig_await(&rig, send_);
        assert_int_equal(send_->completion.status, TINA_OK);
        sent += send_->completion.size;
        rig_renew(send_);
    }
    received += drain(&rig, other);
    assert_int_equal(sent, received);
    rig_drop(&rig, other);
    rig_close_fd(&rig, fd);
    rig_close(&rig);
}

static void send_to_a_peer_that_is_gone_is_reset(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    int other;
    rig_fd fd = rig_pair(&rig, &other);
    rig_drop(&rig, other);
    rig_request *send_ = rig_send(&rig, fd, "x", 1);
    if (rig_is_made(&rig)) { /* over TCP it takes a send to learn of it */
        assert_int_equal(rig_do(&rig, send_), TINA_OK);
        rig_renew(send_);
    }
    assert_int_equal(rig_do(&rig, send_), TINA_RESET);
    assert_int_equal(send_->completion.os_error, EPIPE);
    rig_close_fd(&rig, fd);
    rig_close(&rig);
}

static void send_that_waits_when_the_peer_resets_is_reset(void **state)
{
    (void)state;
    static const uint8_t data[65536];
    test_rig rig;
    open_small(&rig);
    rig_fd client, server;
    rig_connected(&rig, TINA_IPV4, &client, &server);
    rig_request *send_ = rig_send(&rig, client, data, sizeof data);
    uint64_t sent = 0;
    rig_fill(&rig, send_, &sent);
    send_->request.no_wait = false;
    rig_submit(&rig, send_);
    int os_error;
    assert_int_equal(rig.api->socket_set(rig.backend, server.os_fd, TINA_OPT_LINGER, 0, &os_error), TINA_OK);
    rig_close_fd(&rig, server);
    while (rig_await(&rig, send_), send_->completion.status == TINA_OK) {
        rig_renew(send_); /* the network may have found room once more before it learnt of the reset */
        rig_submit(&rig, send_);
    }
    assert_int_equal(send_->completion.status, TINA_RESET);
    rig_close_fd(&rig, client);
    rig_close(&rig);
}

static void reading_and_writing_at_once_on_one_descriptor_both_complete(void **state)
{
    (void)state;
    static const uint8_t data[4096];
    test_rig rig;
    open_small(&rig);
    int other;
    rig_fd fd = rig_pair(&rig, &other);
    rig_request *receive = rig_receive(&rig, fd, 0);
    rig_submit(&rig, receive);
    rig_request *send_ = rig_send(&rig, fd, data, sizeof data);
    uint64_t sent = 0;
    rig_fill(&rig, send_, &sent);
    send_->request.no_wait = false;
    rig_submit(&rig, send_);
    rig_turn(&rig, 0);
    assert_false(rig_is_over(receive));
    assert_false(rig_is_over(send_));
    rig_feed(&rig, other, "now", 3);
    rig_await(&rig, receive);
    assert_int_equal(receive->completion.size, 3);
    assert_false(rig_is_over(send_));
    drain(&rig, other);
    rig_await(&rig, send_);
    assert_int_equal(send_->completion.status, TINA_OK);
    rig_lend_back(&rig, receive);
    rig_drop(&rig, other);
    rig_close_fd(&rig, fd);
    rig_close(&rig);
}

/* ---- Connecting and accepting ---- */

static void accept_fills_in(int family)
{
    test_rig rig;
    open_small(&rig);
    if (family == TINA_IPV6 && !rig_has_ipv6(&rig)) {
        rig_close(&rig);
        skip();
    }
    tina_address address;
    rig_fd listener = rig_listener(&rig, family, 8, &address);
    for (int round = 0; round < 4; round++) {
        bool waits = round % 2 == 0;
        rig_request *accepting = rig_accept(&rig, listener);
        if (waits) {
            rig_submit(&rig, accepting);
            rig_turn(&rig, 0);
        }
        rig_fd client = rig_socket(&rig, family);
        assert_int_equal(rig_do(&rig, rig_connect(&rig, client, &address)), TINA_OK);
        if (!waits)
            rig_submit(&rig, accepting);
        rig_await(&rig, accepting);
        assert_int_equal(accepting->completion.status, TINA_OK);
        int os_error;
        tina_address local;
        assert_int_equal(rig.api->socket_local(rig.backend, client.os_fd, &local, &os_error), TINA_OK);
        assert_memory_equal(&accepting->peer, &local, sizeof local);
        int os_fd = accepting->completion.os_fd;
        if (!rig_is_made(&rig)) {
            assert_true(fcntl(os_fd, F_GETFL) & O_NONBLOCK);
            assert_true(fcntl(os_fd, F_GETFD) & FD_CLOEXEC);
        }
        assert_int_equal(rig.api->socket_peer(rig.backend, os_fd, &local, &os_error), TINA_OK);
        assert_memory_equal(&accepting->peer, &local, sizeof local);
        rig_close_fd(&rig, rig_adopt(&rig, os_fd));
        rig_close_fd(&rig, client);
    }
    rig_close_fd(&rig, listener);
    rig_close(&rig);
}

static void accept_over_ipv4_says_who(void **state)
{
    (void)state;
    accept_fills_in(TINA_IPV4);
}

static void accept_over_ipv6_says_who(void **state)
{
    (void)state;
    accept_fills_in(TINA_IPV6);
}

static void accept_without_peer_completes(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    tina_address address;
    rig_fd listener = rig_listener(&rig, TINA_IPV4, 8, &address);
    rig_fd client = rig_socket(&rig, TINA_IPV4);
    rig_submit(&rig, rig_connect(&rig, client, &address));
    rig_request *accepting = rig_prepare(&rig, TINA__IO_ACCEPT, listener);
    assert_int_equal(rig_do(&rig, accepting), TINA_OK);
    rig_await_all(&rig);
    rig_drop(&rig, accepting->completion.os_fd);
    rig_close_fd(&rig, client);
    rig_close_fd(&rig, listener);
    rig_close(&rig);
}

/* Several connections may lie behind one event. */
static void accept_one_by_one_takes_all_that_connected(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    tina_address address;
    rig_fd listener = rig_listener(&rig, TINA_IPV4, 16, &address);
    rig_request *accepting = rig_accept(&rig, listener);
    rig_submit(&rig, accepting);
    rig_turn(&rig, 0);
    rig_fd clients[10];
    for (int i = 0; i < 10; i++) {
        clients[i] = rig_socket(&rig, TINA_IPV4);
        rig_request *connecting = rig_connect(&rig, clients[i], &address);
        rig_submit(&rig, connecting);
        rig_await(&rig, connecting);
        assert_int_equal(connecting->completion.status, TINA_OK);
    }
    for (int i = 0; i < 10; i++) {
        rig_await(&rig, accepting);
        assert_int_equal(accepting->completion.status, TINA_OK);
        rig_drop(&rig, accepting->completion.os_fd);
        rig_renew(accepting);
        rig_submit(&rig, accepting);
    }
    rig_turn(&rig, 0);
    assert_false(rig_is_over(accepting));
    rig_cancel(&rig, accepting);
    rig_await(&rig, accepting);
    assert_int_equal(accepting->completion.status, TINA_CANCELLED);
    for (int i = 0; i < 10; i++)
        rig_close_fd(&rig, clients[i]);
    rig_close_fd(&rig, listener);
    rig_close(&rig);
}

static void connect_to(int family)
{
    test_rig rig;
    open_small(&rig);
    if (family == TINA_IPV6 && !rig_has_ipv6(&rig)) {
        rig_close(&rig);
        skip();
    }
    rig_fd client, server;
    rig_connected(&rig, family, &client, &server);
    rig_request *send_ = rig_send(&rig, client, "ping", 4);
    rig_request *receive = rig_receive(&rig, server, 0);
    rig_submit(&rig, receive);
    rig_submit(&rig, send_);
    rig_await_all(&rig);
    assert_int_equal(send_->completion.status, TINA_OK);
    assert_int_equal(receive->completion.status, TINA_OK);
    assert_memory_equal(rig_data(&rig, receive), "ping", 4);
    rig_lend_back(&rig, receive);
    rig_close_fd(&rig, client);
    rig_close_fd(&rig, server);
    rig_close(&rig);
}

static void connect_over_ipv4_carries_bytes(void **state)
{
    (void)state;
    connect_to(TINA_IPV4);
}

static void connect_over_ipv6_carries_bytes(void **state)
{
    (void)state;
    connect_to(TINA_IPV6);
}

static void connect_where_nobody_listens_is_refused(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    tina_address address;
    rig_fd bound = rig_bound(&rig, TINA_IPV4, &address);
    rig_fd client = rig_socket(&rig, TINA_IPV4);
    rig_request *connecting = rig_connect(&rig, client, &address);
    assert_int_equal(rig_do(&rig, connecting), TINA_REFUSED);
    assert_int_equal(connecting->completion.os_error, ECONNREFUSED);
    rig_close_fd(&rig, client);
    rig_close_fd(&rig, bound);
    rig_close(&rig);
}

static void connect_to_an_unknown_family_is_invalid(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    rig_fd client = rig_socket(&rig, TINA_IPV4);
    tina_address address = {.family = 99};
    assert_int_equal(rig_do(&rig, rig_connect(&rig, client, &address)), TINA_INVALID);
    rig_close_fd(&rig, client);
    rig_close(&rig);
}

/* A listener whose queue is full lets connections hang. */
static void connect_that_hangs_is_cancelled(void **state)
{
    (void)state;
    enum { CLIENTS = 8 };
    test_rig rig;
    open_small(&rig);
    tina_address address;
    rig_fd listener = rig_listener(&rig, TINA_IPV4, 0, &address);
    rig_fd clients[CLIENTS];
    rig_request *connecting[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = rig_socket(&rig, TINA_IPV4);
        connecting[i] = rig_connect(&rig, clients[i], &address);
        rig_submit(&rig, connecting[i]);
    }
    rig_turn(&rig, 0);
    rig_turn(&rig, 0);
    int cancelled = 0;
    for (int i = 0; i < CLIENTS; i++) {
        if (!rig_is_over(connecting[i]))
            rig_cancel(&rig, connecting[i]);
        rig_await(&rig, connecting[i]);
        cancelled += connecting[i]->completion.status == TINA_CANCELLED;
    }
    assert_true(cancelled > 0);
    for (int i = 0; i < CLIENTS; i++)
        rig_close_fd(&rig, clients[i]);
    rig_close_fd(&rig, listener);
    rig_close(&rig);
}

/* ---- Cancelling ---- */

static void cancel_of_what_waits_completes_it_as_cancelled(void **state)
{
    (void)state;
    static const uint8_t data[4096];
    test_rig rig;
    open_small(&rig);
    int other;
    rig_fd fd = rig_pair(&rig, &other);
    tina_address address;
    rig_fd listener = rig_listener(&rig, TINA_IPV4, 8, &address);
    rig_request *send_ = rig_send(&rig, fd, data, sizeof data);
    uint64_t sent = 0;
    rig_fill(&rig, send_, &sent);
    send_->request.no_wait = false;
    rig_request *waiting[] = {rig_receive(&rig, fd, 0), rig_accept(&rig, listener), send_};
    for (int i = 0; i < 3; i++)
        rig_submit(&rig, waiting[i]);
    rig_turn(&rig, 0);
    for (int i = 0; i < 3; i++) {
        assert_false(rig_is_over(waiting[i]));
        rig_cancel(&rig, waiting[i]);
        rig_cancel(&rig, waiting[i]); /* once more does no harm */
    }
    rig_await_all(&rig);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(waiting[i]->completion.status, TINA_CANCELLED);
        assert_holds_nothing(waiting[i]);
    }
    rig_drop(&rig, other);
    rig_close_fd(&rig, fd);
    rig_close_fd(&rig, listener);
    rig_close(&rig);
}

static void cancel_before_the_flush_completes_once(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    int other;
    rig_fd fd = rig_pair(&rig, &other);
    rig_request *receive = rig_receive(&rig, fd, 0);
    rig_submit(&rig, receive);
    rig_cancel(&rig, receive);
    rig_await(&rig, receive);
    assert_int_equal(receive->completion.status, TINA_CANCELLED);
    rig_drop(&rig, other);
    rig_close_fd(&rig, fd);
    rig_close(&rig);
}

static void cancel_after_completion_changes_nothing(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    int other;
    rig_fd fd = rig_pair(&rig, &other);
    rig_feed(&rig, other, "data", 4);
    rig_request *receive = rig_receive(&rig, fd, 0);
    rig_submit(&rig, receive);
    rig.api->flush(rig.backend, RIG_PATIENCE_NS);
    rig_cancel(&rig, receive);
    rig_await(&rig, receive);
    assert_int_equal(receive->completion.status, TINA_OK);
    assert_int_equal(receive->completion.size, 4);
    rig_turn(&rig, 0);
    rig_lend_back(&rig, receive);
    /* The late cancel does not reach the request that has its place now. */
    rig_renew(receive);
    rig_submit(&rig, receive);
    rig_turn(&rig, 0);
    rig_turn(&rig, 0);
    assert_false(rig_is_over(receive));
    rig_feed(&rig, other, "x", 1);
    rig_await(&rig, receive);
    assert_int_equal(receive->completion.status, TINA_OK);
    rig_lend_back(&rig, receive);
    rig_drop(&rig, other);
    rig_close_fd(&rig, fd);
    rig_close(&rig);
}

/* Cancels against data that comes at any moment: each byte is delivered, once and in order. */
static void cancel_that_races_with_data_loses_none(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    rig_fd client, server;
    rig_connected(&rig, TINA_IPV4, &client, &server);
    rig_request *receive = rig_receive(&rig, server, 0);
    uint32_t received = 0, cancelled = 0;
    for (uint32_t sent = 0; sent < 2000;) {
        rig_submit(&rig, receive);
        if (sent % 3 != 0)
            rig_turn(&rig, 0);
        if (!rig_is_over(receive) && sent % 5 != 0)
            rig_cancel(&rig, receive);
        if (sent % 7 == 0)
            rig.api->flush(rig.backend, 0);
        uint8_t byte = (uint8_t)sent++;
        rig_feed(&rig, client.os_fd, &byte, 1);
        rig_await(&rig, receive);
        if (receive->completion.status == TINA_CANCELLED) {
            assert_holds_nothing(receive);
            cancelled++;
        } else {
            assert_int_equal(receive->completion.status, TINA_OK);
            for (uint32_t i = 0; i < receive->completion.size; i++)
                assert_int_equal(rig_data(&rig, receive)[i], (uint8_t)received++);
            rig_lend_back(&rig, receive);
        }
        rig_renew(receive);
    }
    assert_true(cancelled > 0);
    while (received < 2000) {
        assert_int_equal(rig_do(&rig, receive), TINA_OK);
        for (uint32_t i = 0; i < receive->completion.size; i++)
            assert_int_equal(rig_data(&rig, receive)[i], (uint8_t)received++);
        rig_lend_back(&rig, receive);
        rig_renew(receive);
    }
    rig_close_fd(&rig, client);
    rig_close_fd(&rig, server);
    rig_close(&rig);
}

static void shutdown_of_a_half_ends_what_reads_there(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    rig_fd client, server;
    rig_connected(&rig, TINA_IPV4, &client, &server);
    rig_request *receive = rig_receive(&rig, server, 0);
    rig_submit(&rig, receive);
    rig_turn(&rig, 0);
    int os_error;
    assert_int_equal(rig.api->socket_shutdown(rig.backend, server.os_fd, TINA_READ_HALF, &os_error), TINA_OK);
    rig_await(&rig, receive);
    assert_true(receive->completion.status == TINA_CLOSED || receive->completion.status == TINA_CANCELLED);
    assert_holds_nothing(receive);
    rig_close_fd(&rig, client);
    rig_close_fd(&rig, server);
    rig_close(&rig);
}

/* ---- Batches ---- */

static void batch_with_one_bad_request_fails_only_that(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    int others[4];
    rig_fd fds[4];
    rig_request *requests[5];
    for (int i = 0; i < 4; i++) {
        fds[i] = rig_pair(&rig, &others[i]);
        rig_feed(&rig, others[i], "x", 1);
    }
    rig_fd nothing = {.os_fd = 1 << 20, .slot = small.fd_count - 1}; /* no such descriptor */
    for (int i = 0; i < 5; i++)
        requests[i] = rig_receive(&rig, i == 2 ? nothing : fds[i > 2 ? i - 1 : i], 0);
    for (int i = 0; i < 4; i++)
        rig_chain(requests[i], requests[i + 1]);
    rig_submit_list(&rig, requests[0]);
    rig_await_all(&rig);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(requests[i]->completion.status, i == 2 ? TINA_SYSTEM_ERROR : TINA_OK);
        assert_int_equal(requests[i]->completion.os_error, i == 2 ? EBADF : 0);
        rig_lend_back(&rig, requests[i]);
    }
    for (int i = 0; i < 4; i++) {
        rig_drop(&rig, others[i]);
        rig_close_fd(&rig, fds[i]);
    }
    rig_close(&rig);
}

/* A receive and a send on each end of each pair; the first count of them, or all, are cancelled instead of served. */
static void batch_of_ten_thousand(uint32_t completions_per_collect)
{
    uint32_t ends = rig_descriptors_for_us(wanted, 5000) / 2 * 2;
    test_rig rig;
    open_config(&rig,
                (tina__backend_config){.op_count = 2 * ends, .fd_count = ends, .buffer_count = ends, .buffer_size = 64});
    rig_fd *fds = malloc(ends * sizeof *fds);
    assert_non_null(fds);
    for (uint32_t i = 0; i < ends; i += 2) {
        int other;
        fds[i] = rig_pair(&rig, &other);
        fds[i + 1] = rig_adopt(&rig, other);
    }
    rig_request *previous = NULL;
    for (uint32_t i = 0; i < ends; i++) {
        rig_request *receive = rig_receive(&rig, fds[i], 0);
        rig_request *send_ = rig_send(&rig, fds[i], &fds[i], sizeof fds[i]);
        rig_chain(receive, send_);
        if (previous != NULL)
            rig_chain(previous, receive);
        previous = send_;
    }
    rig_submit_list(&rig, rig.requests);
    if (completions_per_collect != 0) { /* not all at once: what is left must not be lost */
        tina__io_completion completions[64];
        for (int i = 0; i < 20; i++) {
            rig.api->flush(rig.backend, 0);
            uint32_t count = rig.api->collect(rig.backend, completions, completions_per_collect);
            for (uint32_t k = 0; k < count; k++)
                rig_note(&rig, &completions[k]);
        }
    }
    rig_await_all(&rig);
    for (uint32_t i = 0; i < ends; i++) {
        rig_request *receive = &rig.requests[2 * i];
        assert_int_equal(receive->completion.status, TINA_OK);
        assert_int_equal(receive->completion.size, sizeof fds[i]);
        assert_memory_equal(rig_data(&rig, receive), &fds[i ^ 1], sizeof fds[i]);
        rig_lend_back(&rig, receive);
        assert_int_equal(rig.requests[2 * i + 1].completion.status, TINA_OK);
    }
    for (uint32_t i = 0; i < ends; i++)
        rig_close_fd(&rig, fds[i]);
    free(fds);
    rig_close(&rig);
}

static void batch_of_ten_thousand_completes_all(void **state)
{
    (void)state;
    batch_of_ten_thousand(0);
}

static void batch_of_ten_thousand_collected_in_small_pieces_completes_all(void **state)
{
    (void)state;
    batch_of_ten_thousand(7);
}

static void batch_of_thousands_that_wait_is_cancelled_whole(void **state)
{
    (void)state;
    uint32_t ends = rig_descriptors_for_us(wanted, 5000) / 2 * 2;
    test_rig rig;
    open_config(&rig, (tina__backend_config){.op_count = ends, .fd_count = ends, .buffer_count = 4, .buffer_size = 64});
    for (uint32_t i = 0; i < ends; i += 2) {
        int other;
        rig_fd fd = rig_pair(&rig, &other);
        rig_submit(&rig, rig_receive(&rig, fd, 0));
        rig_submit(&rig, rig_receive(&rig, rig_adopt(&rig, other), 0));
    }
    rig_turn(&rig, 0);
    assert_int_equal(rig.completed, 0);
    for (uint32_t i = 0; i < ends; i++)
        rig_cancel(&rig, &rig.requests[i]);
    rig_await_all(&rig);
    for (uint32_t i = 0; i < ends; i++) {
        assert_int_equal(rig.requests[i].completion.status, TINA_CANCELLED);
        rig_close_fd(&rig, (rig_fd){.os_fd = rig.requests[i].request.os_fd, .slot = rig.requests[i].request.slot});
    }
    rig_close(&rig);
}

/* ---- Descriptors ---- */

/* A closed descriptor's number and slot come back at once with the next one: nothing of the old one clings to it. */
static void slot_used_again_knows_nothing_of_its_last_descriptor(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    rig_request *receive = NULL;
    for (int round = 0; round < 50; round++) {
        int other;
        rig_fd fd = rig_pair(&rig, &other);
        if (receive == NULL)
            receive = rig_receive(&rig, fd, 0);
        receive->request.os_fd = fd.os_fd;
        receive->request.slot = fd.slot;
        rig_submit(&rig, receive);
        rig_turn(&rig, 0);
        assert_false(rig_is_over(receive));
        if (round % 2 == 0) {
            rig_drop(&rig, other);
            rig_await(&rig, receive);
            assert_int_equal(receive->completion.status, TINA_CLOSED);
        } else {
            rig_cancel(&rig, receive);
            rig_await(&rig, receive);
            rig_feed(&rig, other, "unread", 6);
            rig_drop(&rig, other);
        }
        rig_renew(receive);
        rig_close_fd(&rig, fd);
    }
    rig_close(&rig);
}

static void close_of_a_descriptor_ends_the_connection_at_once(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    rig_fd client, server;
    rig_connected(&rig, TINA_IPV4, &client, &server);
    rig_request *cancelled = rig_receive(&rig, server, 0);
    rig_submit(&rig, cancelled);
    rig_turn(&rig, 0);
    rig_cancel(&rig, cancelled);
    rig_await(&rig, cancelled);
    rig_request *receive = rig_receive(&rig, client, 0);
    rig_submit(&rig, receive);
    rig_turn(&rig, 0);
    rig_close_fd(&rig, server);
    rig_await(&rig, receive);
    assert_int_equal(receive->completion.status, TINA_CLOSED);
    rig_close_fd(&rig, client);
    rig_close(&rig);
}

/* ---- The turn ---- */

static void wake_from_another_thread_ends_a_flush_without_limit(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    for (int round = 0; round < 20; round++) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, rig_wake, &rig), 0);
        rig_turn(&rig, TINA_NONE_NS);
        assert_int_equal(pthread_join(thread, NULL), 0);
        rig_turn(&rig, 1);
        uint64_t count;
        assert_int_equal(read(rig.config.wake_fd, &count, sizeof count), -1); /* it was read empty */
        assert_int_equal(errno, EAGAIN);
    }
    rig_close(&rig);
}

static void wake_before_the_flush_ends_it(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    int other;
    rig_fd fd = rig_pair(&rig, &other);
    rig_request *receive = rig_receive(&rig, fd, 0);
    rig_submit(&rig, receive);
    for (int round = 0; round < 5; round++) {
        assert_non_null(rig_wake(&rig));
        rig_turn(&rig, TINA_NONE_NS);
    }
    assert_false(rig_is_over(receive));
    rig_feed(&rig, other, "x", 1);
    rig_await(&rig, receive);
    rig_lend_back(&rig, receive);
    rig_drop(&rig, other);
    rig_close_fd(&rig, fd);
    rig_close(&rig);
}

/* A batch so long that it goes over in parts: the wake may be read between them, and none comes after it. */
static void wake_read_while_a_batch_goes_over_ends_the_flush(void **state)
{
    (void)state;
    enum { COUNT = 3000 };
    uint32_t ends = rig_descriptors_for_us(wanted, COUNT) / 2 * 2;
    test_rig rig;
    open_config(&rig, (tina__backend_config){.op_count = ends, .fd_count = ends, .buffer_count = 4, .buffer_size = 64});
    rig_turn(&rig, 1); /* from now on the wake is watched */
    for (uint32_t i = 0; i < ends; i += 2) {
        int other;
        rig_fd fd = rig_pair(&rig, &other);
        rig_submit(&rig, rig_receive(&rig, fd, 0));
        rig_submit(&rig, rig_receive(&rig, rig_adopt(&rig, other), 0));
    }
    assert_non_null(rig_wake(&rig));
    rig_turn(&rig, TINA_NONE_NS);
    assert_int_equal(rig.completed, 0);
    for (uint32_t i = 0; i < ends; i++)
        rig_cancel(&rig, &rig.requests[i]);
    rig_await_all(&rig);
    for (uint32_t i = 0; i < ends; i++)
        rig_close_fd(&rig, (rig_fd){.os_fd = rig.requests[i].request.os_fd, .slot = rig.requests[i].request.slot});
    rig_close(&rig);
}

static void flush_with_a_limit_returns_though_nothing_happens(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    rig_turn(&rig, 1);
    rig_turn(&rig, 999);
    rig_turn(&rig, 2000001);
    int other;
    rig_fd fd = rig_pair(&rig, &other);
    rig_request *receive = rig_receive(&rig, fd, 0);
    rig_submit(&rig, receive);
    rig_turn(&rig, 1000001);
    assert_false(rig_is_over(receive));
    rig_cancel(&rig, receive);
    rig_await(&rig, receive);
    rig_drop(&rig, other);
    rig_close_fd(&rig, fd);
    rig_close(&rig);
}

/* From here on the process dies of asking the kernel to hand over or to wait. */
static bool forbid_turns(void)
{
    static const int forbidden[] = {SYS_io_uring_enter, SYS_epoll_pwait, SYS_epoll_pwait2,
#ifdef SYS_epoll_wait
                                    SYS_epoll_wait,
#endif
                                    SYS_epoll_ctl,      SYS_recvfrom};
    enum { COUNT = sizeof forbidden / sizeof forbidden[0] };
    struct sock_filter program[2 * COUNT + 2];
    size_t length = 0;
    program[length++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < COUNT; i++) {
        program[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)forbidden[i], 0, 1);
        program[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    }
    program[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog filter = {.len = (unsigned short)length, .filter = program};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

enum { CHILD_FINE, CHILD_NO_FILTER };

/* In a child of its own: nothing is queued, nothing waits. */
static int flush_idle_under_filter(bool then_wait)
{
    static test_rig rig; /* what it holds ends with the child */
    open_small(&rig);
    int other;
    rig_fd fd = rig_pair(&rig, &other);
    rig_request *receive = rig_receive(&rig, fd, 0);
    rig_submit(&rig, receive);
    rig_feed(&rig, other, "x", 1);
    rig_await(&rig, receive);
    rig_submit(&rig, rig_receive(&rig, fd, 0));
    rig_turn(&rig, 0);
    rig_abandon(&rig); /* what waited does not count any more */
    rig_turn(&rig, 1);
    rig_turn(&rig, 0);
    if (!forbid_turns())
        return CHILD_NO_FILTER;
    for (int i = 0; i < 100; i++)
        rig_turn(&rig, 0);
    if (then_wait)
        rig_turn(&rig, 1);
    return CHILD_FINE;
}

static int run_child(bool then_wait)
{
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(flush_idle_under_filter(then_wait));
    int end;
    assert_int_equal(waitpid(child, &end, 0), child);
    return end;
}

static void flush_with_nothing_to_do_makes_no_system_call(void **state)
{
    (void)state;
    if (getenv("TINA_POLLER") != NULL)
        skip(); /* how the alarm rings there is another matter */
    int end = run_child(false);
    if (WIFEXITED(end) && WEXITSTATUS(end) == CHILD_NO_FILTER)
        skip();
    assert_true(WIFEXITED(end));
    assert_int_equal(WEXITSTATUS(end), CHILD_FINE);
    end = run_child(true); /* and the filter does see what it is to see */
    assert_true(WIFSIGNALED(end));
    assert_int_equal(WTERMSIG(end), SIGSYS);
}

static void working_asks_for_no_memory(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    rig_fd client, server;
    rig_connected(&rig, TINA_IPV4, &client, &server);
    rig_request *send_ = rig_send(&rig, client, "ping", 4);
    rig_request *receive = rig_receive(&rig, server, 0);
    tina_test_tripwire_arm_thread();
    for (int i = 0; i < 1000; i++) {
        rig_submit(&rig, receive);
        rig_turn(&rig, 0);
        rig_submit(&rig, send_);
        rig_await_all(&rig);
        rig_lend_back(&rig, receive);
        rig_renew(send_);
        rig_renew(receive);
    }
    tina_test_tripwire_disarm();
    assert_int_equal(tina_test_tripwire_hits(), 0);
    rig_close_fd(&rig, client);
    rig_close_fd(&rig, server);
    rig_close(&rig);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(receive_with_data_there_completes),
        cmocka_unit_test(receive_before_data_waits_and_completes),
        cmocka_unit_test(receive_of_a_size_leaves_the_rest),
        cmocka_unit_test(receive_of_more_than_a_buffer_stays_within_it),
        cmocka_unit_test(receive_at_the_peers_end_is_closed_without_a_buffer),
        cmocka_unit_test(receive_of_data_and_end_together_delivers_both),
        cmocka_unit_test(receive_around_urgent_data_delivers_what_follows),
        cmocka_unit_test(receive_from_a_peer_that_resets_is_reset),
        cmocka_unit_test(receive_on_no_connection_fails_with_errno),
        cmocka_unit_test(receive_without_a_lent_buffer_is_busy_until_one_is_lent),
        cmocka_unit_test(receive_that_waits_without_a_lent_buffer_is_busy_when_data_comes),
        cmocka_unit_test(receive_without_a_buffer_completes_with_one_lent_before_it_is_collected),
        cmocka_unit_test(receive_that_is_idle_holds_no_buffer),
        cmocka_unit_test(buffers_lent_in_any_order_are_each_used),
        cmocka_unit_test(buffers_by_the_ten_thousand_are_each_used),
        cmocka_unit_test(send_that_fits_completes_whole),
        cmocka_unit_test(send_larger_than_the_socket_takes_goes_out_in_order),
        cmocka_unit_test(send_without_waiting_into_a_full_socket_is_busy),
        cmocka_unit_test(send_into_a_full_socket_waits_until_there_is_room),
        cmocka_unit_test(send_to_a_peer_that_is_gone_is_reset),
        cmocka_unit_test(send_that_waits_when_the_peer_resets_is_reset),
        cmocka_unit_test(reading_and_writing_at_once_on_one_descriptor_both_complete),
        cmocka_unit_test(accept_over_ipv4_says_who),
        cmocka_unit_test(accept_over_ipv6_says_who),
        cmocka_unit_test(accept_without_peer_completes),
        cmocka_unit_test(accept_one_by_one_takes_all_that_connected),
        cmocka_unit_test(connect_over_ipv4_carries_bytes),
        cmocka_unit_test(connect_over_ipv6_carries_bytes),
        cmocka_unit_test(connect_where_nobody_listens_is_refused),
        cmocka_unit_test(connect_to_an_unknown_family_is_invalid),
        cmocka_unit_test(connect_that_hangs_is_cancelled),
        cmocka_unit_test(cancel_of_what_waits_completes_it_as_cancelled),
        cmocka_unit_test(cancel_before_the_flush_completes_once),
        cmocka_unit_test(cancel_after_completion_changes_nothing),
        cmocka_unit_test(cancel_that_races_with_data_loses_none),
        cmocka_unit_test(shutdown_of_a_half_ends_what_reads_there),
        cmocka_unit_test(batch_with_one_bad_request_fails_only_that),
        cmocka_unit_test(batch_of_ten_thousand_completes_all),
        cmocka_unit_test(batch_of_ten_thousand_collected_in_small_pieces_completes_all),
        cmocka_unit_test(batch_of_thousands_that_wait_is_cancelled_whole),
        cmocka_unit_test(slot_used_again_knows_nothing_of_its_last_descriptor),
        cmocka_unit_test(close_of_a_descriptor_ends_the_connection_at_once),
        cmocka_unit_test(wake_from_another_thread_ends_a_flush_without_limit),
        cmocka_unit_test(wake_before_the_flush_ends_it),
        cmocka_unit_test(wake_read_while_a_batch_goes_over_ends_the_flush),
        cmocka_unit_test(flush_with_a_limit_returns_though_nothing_happens),
        cmocka_unit_test(flush_with_nothing_to_do_makes_no_system_call),
        cmocka_unit_test(working_asks_for_no_memory),
    };
    static const test_unfit unfit[] = {
        {"receive_around_urgent_data_delivers_what_follows", "there is no urgent data"},
        {"wake_from_another_thread_ends_a_flush_without_limit", "nobody sleeps there"},
        {"wake_before_the_flush_ends_it", "nobody sleeps there"},
        {"wake_read_while_a_batch_goes_over_ends_the_flush", "nobody sleeps there"},
        {"flush_with_nothing_to_do_makes_no_system_call", "it never makes one"},
    };
    return run_each(tests, sizeof tests / sizeof tests[0], unfit, sizeof unfit / sizeof unfit[0], argc, argv);
}
