/* Datagrams, over IPv4, IPv6 and between Unix sockets: whole, with whom they are from, or cut and saying so. */
#define _GNU_SOURCE 1
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "each.h"

/* Receives one, which must be that. from: whose, or NULL */
static void expect_datagram(test_rig *rig, rig_fd fd, const void *data, uint32_t size, const tina_address *from)
{
    rig_request *receiving = rig_receive_from(rig, fd, 0);
    assert_int_equal(rig_do(rig, receiving), TINA_OK);
    assert_int_equal(receiving->completion.size, size);
    assert_false(receiving->completion.is_truncated);
    const uint8_t *got = rig_data(rig, receiving);
    if (size != 0)
        assert_memory_equal(got, data, size);
    if (from != NULL)
        assert_memory_equal(rig_from(rig, receiving), from, sizeof *from);
    rig_lend_back(rig, receiving);
}

static void say(test_rig *rig, rig_fd fd, const void *data, uint32_t size, const tina_address *to)
{
    rig_request *sending = rig_send_to(rig, fd, data, size, to);
    assert_int_equal(rig_do(rig, sending), TINA_OK);
    assert_int_equal(sending->completion.size, size);
}

typedef struct two {
    test_rig rig;
    rig_fd fds[2];
    tina_address addresses[2];
} two;

static void open_two(two *self, int family)
{
    open_small(&self->rig);
    if (family == TINA_IPV6 && !rig_has_ipv6(&self->rig)) {
        rig_close(&self->rig);
        skip();
    }
    for (int i = 0; i < 2; i++)
        self->fds[i] = rig_datagram(&self->rig, family, &self->addresses[i]);
}

static void close_two(two *self)
{
    rig_close_fd(&self->rig, self->fds[0]);
    rig_close_fd(&self->rig, self->fds[1]);
    rig_close(&self->rig);
}

/* ---- There and back ---- */

static void carries_datagrams(int family)
{
    two self;
    open_two(&self, family);
    for (int round = 0; round < 10; round++) {
        rig_request *waiting = rig_receive_from(&self.rig, self.fds[1], 0);
        rig_submit(&self.rig, waiting);
        rig_turn(&self.rig, 0);
        rig_turn(&self.rig, 0);
        assert_false(rig_is_over(waiting));
        say(&self.rig, self.fds[0], "ping", 4, &self.addresses[1]);
        rig_await(&self.rig, waiting);
        assert_int_equal(waiting->completion.status, TINA_OK);
        assert_memory_equal(rig_data(&self.rig, waiting), "ping", 4);
        tina_address from = *rig_from(&self.rig, waiting);
        assert_memory_equal(&from, &self.addresses[0], sizeof from);
        rig_lend_back(&self.rig, waiting);
        say(&self.rig, self.fds[1], "pong!", 5, &from);
        expect_datagram(&self.rig, self.fds[0], "pong!", 5, &self.addresses[1]);
    }
    close_two(&self);
}

static void datagram_over_ipv4_says_whom_it_is_from(void **state)
{
    (void)state;
    carries_datagrams(TINA_IPV4);
}

static void datagram_over_ipv6_says_whom_it_is_from(void **state)
{
    (void)state;
    carries_datagrams(TINA_IPV6);
}

static void datagram_between_unix_sockets_says_whom_it_is_from(void **state)
{
    (void)state;
    carries_datagrams(TINA_UNIX);
}

static void datagrams_arrive_one_by_one(void **state)
{
    (void)state;
    two self;
    open_two(&self, TINA_IPV4);
    static const char *const words[] = {"one", "three", "", "seventeen"};
    for (int i = 0; i < 4; i++)
        say(&self.rig, self.fds[0], words[i], (uint32_t)strlen(words[i]), &self.addresses[1]);
    for (int i = 0; i < 4; i++)
        expect_datagram(&self.rig, self.fds[1], words[i], (uint32_t)strlen(words[i]), &self.addresses[0]);
    close_two(&self);
}

static void empty_datagram_arrives_in_a_buffer(int family)
{
    two self;
    open_two(&self, family);
    rig_request *waiting = rig_receive_from(&self.rig, self.fds[1], 0);
    rig_submit(&self.rig, waiting);
    rig_turn(&self.rig, 0);
    say(&self.rig, self.fds[0], "", 0, &self.addresses[1]);
    rig_await(&self.rig, waiting);
    assert_int_equal(waiting->completion.status, TINA_OK);
    assert_int_equal(waiting->completion.size, 0);
    assert_memory_equal(rig_from(&self.rig, waiting), &self.addresses[0], sizeof self.addresses[0]);
    rig_lend_back(&self.rig, waiting);
    say(&self.rig, self.fds[0], "", 0, &self.addresses[1]);
    expect_datagram(&self.rig, self.fds[1], "", 0, &self.addresses[0]);
    close_two(&self);
}

static void datagram_that_is_empty_arrives_with_its_sender(void **state)
{
    (void)state;
    empty_datagram_arrives_in_a_buffer(TINA_IPV4);
}

static void datagram_that_is_empty_between_unix_sockets_arrives_with_its_sender(void **state)
{
    (void)state;
    empty_datagram_arrives_in_a_buffer(TINA_UNIX);
}

/* ---- Cut ---- */

static void datagram_of_a_size(int family, uint32_t size, uint32_t asked, bool is_cut)
{
    static uint8_t data[1000];
    two self;
    open_two(&self, family);
    for (uint32_t i = 0; i < size; i++)
        data[i] = (uint8_t)(i * 7);
    for (int waits = 0; waits < 2; waits++) {
        rig_request *receiving = rig_receive_from(&self.rig, self.fds[1], asked);
        if (waits) {
            rig_submit(&self.rig, receiving);
            rig_turn(&self.rig, 0);
        }
        say(&self.rig, self.fds[0], data, size, &self.addresses[1]);
        if (!waits)
            rig_submit(&self.rig, receiving);
        rig_await(&self.rig, receiving);
        assert_int_equal(receiving->completion.status, TINA_OK);
        assert_int_equal(receiving->completion.is_truncated, is_cut);
        assert_int_equal(receiving->completion.size, is_cut ? asked : size);
        assert_memory_equal(rig_data(&self.rig, receiving), data, receiving->completion.size);
        assert_memory_equal(rig_from(&self.rig, receiving), &self.addresses[0], sizeof self.addresses[0]);
        for (uint32_t i = 0; i < small.buffer_count; i++) {
            if (i != receiving->completion.buffer)
                assert_int_equal(self.rig.config.buffers[i * small.buffer_size + 1], 0);
        }
        rig_lend_back(&self.rig, receiving);
        memset(self.rig.config.buffers, 0, (size_t)small.buffer_count * small.buffer_size);
    }
    /* The rest of it is lost: what follows is the next. */
    say(&self.rig, self.fds[0], "next", 4, &self.addresses[1]);
    expect_datagram(&self.rig, self.fds[1], "next", 4, &self.addresses[0]);
    close_two(&self);
}

static void datagram_longer_than_asked_for_is_cut_and_says_so(void **state)
{
    (void)state;
    datagram_of_a_size(TINA_IPV4, 10, 3, true);
    datagram_of_a_size(TINA_UNIX, 10, 3, true);
}

static void datagram_longer_than_a_buffer_is_cut_and_says_so(void **state)
{
    (void)state;
    datagram_of_a_size(TINA_IPV4, 1000, small.buffer_size, true);
    datagram_of_a_size(TINA_UNIX, small.buffer_size + 1, small.buffer_size, true);
}

static void datagram_of_exactly_the_size_is_whole(void **state)
{
    (void)state;
    datagram_of_a_size(TINA_IPV4, small.buffer_size, small.buffer_size, false);
    datagram_of_a_size(TINA_IPV4, 3, 3, false);
    datagram_of_a_size(TINA_UNIX, small.buffer_size, small.buffer_size, false);
}

/* ---- Connected ---- */

static void connect_datagrams(two *self)
{
    for (int i = 0; i < 2; i++)
        assert_int_equal(rig_do(&self->rig, rig_connect(&self->rig, self->fds[i], &self->addresses[1 - i])), TINA_OK);
}

static void connected_datagrams_go_to_their_peer(void **state)
{
    (void)state;
    static const int families[] = {TINA_IPV4, TINA_UNIX};
    for (int i = 0; i < 2; i++) {
        two self;
        open_two(&self, families[i]);
        connect_datagrams(&self);
        int os_error;
        tina_address peer;
        assert_int_equal(self.rig.api->socket_peer(self.rig.backend, self.fds[0].os_fd, &peer, &os_error), TINA_OK);
        assert_memory_equal(&peer, &self.addresses[1], sizeof peer);
        say(&self.rig, self.fds[0], "there", 5, NULL);
        expect_datagram(&self.rig, self.fds[1], "there", 5, &self.addresses[0]);
        say(&self.rig, self.fds[1], "back", 4, NULL);
        expect_datagram(&self.rig, self.fds[0], "back", 4, &self.addresses[1]);
        close_two(&self);
    }
}

static void connected_datagrams_from_strangers_are_not_received(void **state)
{
    (void)state;
    two self;
    open_two(&self, TINA_IPV4);
    tina_address stranger_address;
    rig_fd stranger = rig_datagram(&self.rig, TINA_IPV4, &stranger_address);
    connect_datagrams(&self);
    say(&self.rig, stranger, "psst", 4, &self.addresses[1]);
    say(&self.rig, self.fds[0], "mine", 4, NULL);
    expect_datagram(&self.rig, self.fds[1], "mine", 4, &self.addresses[0]);
    rig_close_fd(&self.rig, stranger);
    close_two(&self);
}

/* Who is told so is the next operation, whichever. */
static void connected_datagrams_to_nobody_are_refused(void **state)
{
    (void)state;
    two self;
    open_two(&self, TINA_IPV4);
    connect_datagrams(&self);
    rig_close_fd(&self.rig, self.fds[1]);
    rig_request *receiving = rig_receive_from(&self.rig, self.fds[0], 0);
    rig_submit(&self.rig, receiving);
    rig_turn(&self.rig, 0);
    rig_request *sending = rig_send_to(&self.rig, self.fds[0], "x", 1, NULL);
    assert_int_equal(rig_do(&self.rig, sending), TINA_OK);
    rig_await(&self.rig, receiving);
    assert_int_equal(receiving->completion.status, TINA_REFUSED);
    assert_int_equal(receiving->completion.os_error, ECONNREFUSED);
    assert_int_equal(receiving->completion.buffer, TINA__BUFFER_NONE);
    rig_close_fd(&self.rig, self.fds[0]);
    rig_close(&self.rig);
}

/* ---- Where it can't go ---- */

static void expect_refused(test_rig *rig, rig_fd fd, const tina_address *to, uint16_t status, int os_error)
{
    rig_request *sending = rig_send_to(rig, fd, "x", 1, to);
    assert_int_equal(rig_do(rig, sending), status);
    assert_int_equal(sending->completion.os_error, os_error);
    assert_int_equal(sending->completion.size, 0);
}

static void send_to_nobody_says_why(void **state)
{
    (void)state;
    two self;
    open_two(&self, TINA_IPV4);
    rig_fd local = rig_socket_of(&self.rig, TINA_UNIX, TINA_DATAGRAM);
    tina_address nowhere = rig_nearby(TINA_UNIX), unknown = {.family = 99}, none = {0};
    expect_refused(&self.rig, self.fds[0], NULL, TINA_SYSTEM_ERROR, EDESTADDRREQ);
    expect_refused(&self.rig, local, NULL, TINA_SYSTEM_ERROR, ENOTCONN);
    expect_refused(&self.rig, local, &nowhere, TINA_REFUSED, ECONNREFUSED);
    expect_refused(&self.rig, self.fds[0], &unknown, TINA_INVALID, 0);
    expect_refused(&self.rig, self.fds[0], &none, TINA_INVALID, 0);
    say(&self.rig, self.fds[0], "x", 1, &self.addresses[1]); /* and nothing of it clings */
    expect_datagram(&self.rig, self.fds[1], "x", 1, &self.addresses[0]);
    rig_close_fd(&self.rig, local);
    close_two(&self);
}

static void send_to_of_more_than_a_datagram_holds_fails_whole(void **state)
{
    (void)state;
    static const uint8_t data[70000];
    two self;
    open_two(&self, TINA_IPV4);
    rig_request *sending = rig_send_to(&self.rig, self.fds[0], data, sizeof data, &self.addresses[1]);
    assert_int_equal(rig_do(&self.rig, sending), TINA_SYSTEM_ERROR);
    assert_int_equal(sending->completion.os_error, EMSGSIZE);
    say(&self.rig, self.fds[0], "x", 1, &self.addresses[1]);
    expect_datagram(&self.rig, self.fds[1], "x", 1, &self.addresses[0]);
    close_two(&self);
}

/* Its name is not known to anybody. */
static void datagram_of_a_socket_without_a_name_is_from_nobody(void **state)
{
    (void)state;
    two self;
    open_two(&self, TINA_UNIX);
    rig_fd unnamed = rig_socket_of(&self.rig, TINA_UNIX, TINA_DATAGRAM);
    say(&self.rig, unnamed, "who", 3, &self.addresses[0]);
    rig_request *receiving = rig_receive_from(&self.rig, self.fds[0], 0);
    memset(self.rig.config.annexes, 0x5A, (size_t)small.buffer_count * TINA__ANNEX_SIZE);
    assert_int_equal(rig_do(&self.rig, receiving), TINA_OK);
    const tina_address *from = rig_from(&self.rig, receiving);
    assert_true(from->family == 0 || (from->family == TINA_UNIX && from->length == 0));
    rig_lend_back(&self.rig, receiving);
    rig_close_fd(&self.rig, unnamed);
    close_two(&self);
}

/* ---- Waiting ---- */

/* Sends without waiting until the receiver takes no more; returns how many it took. */
static uint32_t fill_receiver(two *self)
{
    uint32_t count = 0;
    rig_request *sending = rig_send_to(&self->rig, self->fds[0], &count, sizeof count, &self->addresses[1]);
    sending->request.no_wait = true;
    while (rig_do(&self->rig, sending) == TINA_OK) {
        count++;
        rig_renew(sending);
    }
    assert_int_equal(sending->completion.status, TINA_BUSY);
    assert_int_equal(sending->completion.size, 0);
    return count;
}

/* Unix sockets lose nothing: who sends to one that is full waits, or is told that it would. */
static void send_to_a_full_receiver_waits_for_room(void **state)
{
    (void)state;
    two self;
    open_two(&self, TINA_UNIX);
    uint32_t count = fill_receiver(&self);
    assert_true(count > 0);
    rig_request *waiting = rig_send_to(&self.rig, self.fds[0], &count, sizeof count, &self.addresses[1]);
    rig_submit(&self.rig, waiting);
    rig_turn(&self.rig, 0);
    rig_turn(&self.rig, 0);
    assert_false(rig_is_over(waiting));
    rig_request *receiving = rig_receive_from(&self.rig, self.fds[1], 0);
    for (uint32_t i = 0; i <= count; i++) {
        assert_int_equal(rig_do(&self.rig, receiving), TINA_OK);
        assert_memory_equal(rig_data(&self.rig, receiving), &i, sizeof i);
        rig_lend_back(&self.rig, receiving);
        rig_renew(receiving);
        if (i + 1 == count)
            rig_await(&self.rig, waiting);
    }
    assert_int_equal(waiting->completion.status, TINA_OK);
    assert_int_equal(waiting->completion.size, sizeof count);
    close_two(&self);
}

static void send_to_a_full_receiver_is_cancelled(void **state)
{
    (void)state;
    two self;
    open_two(&self, TINA_UNIX);
    uint32_t count = fill_receiver(&self);
    rig_request *waiting = rig_send_to(&self.rig, self.fds[0], "x", 1, &self.addresses[1]);
    rig_submit(&self.rig, waiting);
    rig_turn(&self.rig, 0);
    assert_false(rig_is_over(waiting));
    rig_cancel(&self.rig, waiting);
    rig_await(&self.rig, waiting);
    assert_int_equal(waiting->completion.status, TINA_CANCELLED);
    rig_request *receiving = rig_receive_from(&self.rig, self.fds[1], 0);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(rig_do(&self.rig, receiving), TINA_OK);
        assert_int_equal(receiving->completion.size, sizeof count);
        rig_lend_back(&self.rig, receiving);
        rig_renew(receiving);
    }
    close_two(&self);
}

static void receive_from_without_a_lent_buffer_loses_no_datagram(void **state)
{
    (void)state;
    test_rig rig;
    tina__backend_config config = small;
    config.buffer_count = 1;
    open_config(&rig, config);
    tina_address addresses[2];
    rig_fd fds[2] = {rig_datagram(&rig, TINA_IPV4, &addresses[0]), rig_datagram(&rig, TINA_IPV4, &addresses[1])};
    say(&rig, fds[0], "one", 3, &addresses[1]);
    say(&rig, fds[0], "two", 3, &addresses[1]);
    rig_request *first = rig_receive_from(&rig, fds[1], 0), *second = rig_receive_from(&rig, fds[1], 0);
    assert_int_equal(rig_do(&rig, first), TINA_OK);
    assert_int_equal(rig_do(&rig, second), TINA_BUSY);
    assert_int_equal(second->completion.buffer, TINA__BUFFER_NONE);
    rig_lend_back(&rig, first);
    rig_renew(second);
    assert_int_equal(rig_do(&rig, second), TINA_OK);
    assert_memory_equal(rig_data(&rig, second), "two", 3);
    assert_memory_equal(rig_from(&rig, second), &addresses[0], sizeof addresses[0]);
    rig_lend_back(&rig, second);
    rig_close_fd(&rig, fds[0]);
    rig_close_fd(&rig, fds[1]);
    rig_close(&rig);
}

/* None holds a buffer while it waits, nor anything else that there are few of. */
static void receive_from_of_three_hundred_that_wait_all_complete(void **state)
{
    (void)state;
    enum { COUNT = 300 };
    test_rig rig;
    open_config(&rig, (tina__backend_config){
                          .op_count = 2 * COUNT + 8, .fd_count = COUNT + 1, .buffer_count = COUNT, .buffer_size = 64});
    static rig_fd fds[COUNT];
    static tina_address addresses[COUNT];
    tina_address from;
    rig_fd sender = rig_datagram(&rig, TINA_IPV4, &from);
    for (uint32_t i = 0; i < COUNT; i++) {
        fds[i] = rig_datagram(&rig, TINA_IPV4, &addresses[i]);
        rig_submit(&rig, rig_receive_from(&rig, fds[i], 0));
    }
    rig_turn(&rig, 0);
    assert_int_equal(rig.completed, 0);
    for (uint32_t i = 0; i < COUNT; i++)
        say(&rig, sender, &fds[i], sizeof fds[i], &addresses[i]);
    rig_await_all(&rig);
    for (uint32_t i = 0; i < COUNT; i++) {
        rig_request *receiving = &rig.requests[i];
        assert_int_equal(receiving->completion.status, TINA_OK);
        assert_memory_equal(rig_data(&rig, receiving), &fds[i], sizeof fds[i]);
        assert_memory_equal(rig_from(&rig, receiving), &from, sizeof from);
        rig_lend_back(&rig, receiving);
        rig_close_fd(&rig, fds[i]);
    }
    rig_close_fd(&rig, sender);
    rig_close(&rig);
}

/* Both at once on one socket, many times: which is whose is never mixed up. */
static void datagrams_both_ways_at_once_each_complete(void **state)
{
    (void)state;
    two self;
    open_two(&self, TINA_IPV4);
    rig_request *sending[2], *receiving[2];
    for (int i = 0; i < 2; i++) {
        sending[i] = rig_send_to(&self.rig, self.fds[i], &self.fds[i], sizeof self.fds[i], &self.addresses[1 - i]);
        receiving[i] = rig_receive_from(&self.rig, self.fds[i], 0);
    }
    for (int round = 0; round < 100; round++) {
        for (int i = 0; i < 2; i++) {
            rig_submit(&self.rig, receiving[i]);
            rig_submit(&self.rig, sending[i]);
        }
        rig_await_all(&self.rig);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(sending[i]->completion.status, TINA_OK);
            assert_int_equal(receiving[i]->completion.status, TINA_OK);
            assert_memory_equal(rig_data(&self.rig, receiving[i]), &self.fds[1 - i], sizeof self.fds[i]);
            assert_memory_equal(rig_from(&self.rig, receiving[i]), &self.addresses[1 - i], sizeof self.addresses[i]);
            rig_lend_back(&self.rig, receiving[i]);
            rig_renew(receiving[i]);
            rig_renew(sending[i]);
        }
    }
    close_two(&self);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(datagram_over_ipv4_says_whom_it_is_from),
        cmocka_unit_test(datagram_over_ipv6_says_whom_it_is_from),
        cmocka_unit_test(datagram_between_unix_sockets_says_whom_it_is_from),
        cmocka_unit_test(datagrams_arrive_one_by_one),
        cmocka_unit_test(datagram_that_is_empty_arrives_with_its_sender),
        cmocka_unit_test(datagram_that_is_empty_between_unix_sockets_arrives_with_its_sender),
        cmocka_unit_test(datagram_longer_than_asked_for_is_cut_and_says_so),
        cmocka_unit_test(datagram_longer_than_a_buffer_is_cut_and_says_so),
        cmocka_unit_test(datagram_of_exactly_the_size_is_whole),
        cmocka_unit_test(connected_datagrams_go_to_their_peer),
        cmocka_unit_test(connected_datagrams_from_strangers_are_not_received),
        cmocka_unit_test(connected_datagrams_to_nobody_are_refused),
        cmocka_unit_test(send_to_nobody_says_why),
        cmocka_unit_test(send_to_of_more_than_a_datagram_holds_fails_whole),
        cmocka_unit_test(datagram_of_a_socket_without_a_name_is_from_nobody),
        cmocka_unit_test(send_to_a_full_receiver_waits_for_room),
        cmocka_unit_test(send_to_a_full_receiver_is_cancelled),
        cmocka_unit_test(receive_from_without_a_lent_buffer_loses_no_datagram),
        cmocka_unit_test(receive_from_of_three_hundred_that_wait_all_complete),
        cmocka_unit_test(datagrams_both_ways_at_once_each_complete),
    };
    return run_each(tests, sizeof tests / sizeof tests[0], NULL, 0, argc, argv);
}
