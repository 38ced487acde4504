/* A descriptor that moves from one backend to another: what had come goes with it, and the first forgets it. */
#define _GNU_SOURCE 1
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "each.h"

#include "watches.h"

typedef struct handoff {
    test_rig from, to;
    int watches; /* of both, before anything is on them */
} handoff;

static void open_handoff(handoff *self)
{
    open_small(&self->from);
    rig_try_open_beside(&self->to, wanted, small, &self->from);
    assert_int_equal(self->to.status, TINA_OK);
    self->watches = count_watches();
}

static void close_handoff(handoff *self)
{
    rig_close(&self->to);
    rig_close(&self->from);
}

static rig_fd move(test_rig *from, test_rig *to, rig_fd fd)
{
    from->api->let_go(from->backend, fd.os_fd, fd.slot);
    rig_forget_slot(from, fd);
    to->api->take_over(to->backend, fd.os_fd);
    return rig_adopt_as(to, fd.os_fd, fd.fd_class);
}

/* So much of a count that goes on from there. */
static uint8_t expect_count(test_rig *rig, rig_fd fd, uint8_t next, uint8_t until)
{
    rig_request *receiving = rig_receive(rig, fd, 0);
    while (next != until) {
        assert_int_equal(rig_do(rig, receiving), TINA_OK);
        for (uint32_t i = 0; i < receiving->completion.size; i++)
            assert_int_equal(rig_data(rig, receiving)[i], next++);
        rig_lend_back(rig, receiving);
        rig_renew(receiving);
    }
    return next;
}

static void feed_count(test_rig *rig, int other, uint8_t byte) { rig_feed(rig, other, &byte, 1); }

/* ---- Streams ---- */

static void stream_that_is_given_brings_what_had_come(void **state)
{
    (void)state;
    handoff self;
    open_handoff(&self);
    int other;
    rig_fd fd = rig_pair(&self.from, &other);
    feed_count(&self.from, other, 0);
    expect_count(&self.from, fd, 0, 1);
    feed_count(&self.from, other, 1);
    feed_count(&self.from, other, 2);
    rig_turn(&self.from, 0);
    fd = move(&self.from, &self.to, fd);
    feed_count(&self.from, other, 3);
    expect_count(&self.to, fd, 1, 4);
    assert_int_equal(rig_do(&self.to, rig_send(&self.to, fd, "back", 4)), TINA_OK);
    char got[8];
    assert_int_equal(rig_read(&self.from, other, got, sizeof got), 4);
    rig_drop(&self.from, other);
    assert_int_equal(rig_do(&self.to, rig_receive(&self.to, fd, 0)), TINA_CLOSED);
    rig_close_fd(&self.to, fd);
    close_handoff(&self);
}

/* What was asked for and cancelled, at any moment, has taken nothing with it. */
static void stream_that_is_given_after_a_cancel_loses_no_byte(void **state)
{
    (void)state;
    handoff self;
    open_handoff(&self);
    int other;
    rig_fd fd = rig_pair(&self.from, &other);
    test_rig *at = &self.from, *next = &self.to;
    uint8_t sent = 0, seen = 0;
    for (int round = 0; round < 200; round++) {
        at->used = 0;
        rig_request *receiving = rig_receive(at, fd, 0);
        rig_renew(receiving);
        rig_submit(at, receiving);
        for (int i = 0; i < round % 3; i++)
            rig_turn(at, 0);
        if (round % 2 == 0)
            feed_count(&self.from, other, sent++);
        if (round % 5 == 1)
            at->api->flush(at->backend, 0);
        if (!rig_is_over(receiving))
            rig_cancel(at, receiving);
        if (round % 7 == 2)
            feed_count(&self.from, other, sent++);
        rig_await(at, receiving);
        if (receiving->completion.status == TINA_OK)
            for (uint32_t i = 0; i < receiving->completion.size; i++)
                assert_int_equal(rig_data(at, receiving)[i], seen++);
        rig_lend_back(at, receiving);
        fd = move(at, next, fd);
        feed_count(&self.from, other, sent++);
        test_rig *before = at;
        at = next;
        next = before;
    }
    expect_count(at, fd, seen, sent);
    rig_drop(&self.from, other);
    rig_close_fd(at, fd);
    close_handoff(&self);
}

/* Whatever happens on it is no news to who has let it go. */
static void stream_that_is_given_is_watched_by_the_other_alone(void **state)
{
    (void)state;
    handoff self;
    open_handoff(&self);
    int other;
    rig_fd fd = rig_pair(&self.from, &other);
    rig_request *receiving = rig_receive(&self.from, fd, 0);
    rig_submit(&self.from, receiving);
    rig_turn(&self.from, 0);
    rig_cancel(&self.from, receiving);
    rig_await(&self.from, receiving);
    fd = move(&self.from, &self.to, fd);
    assert_int_equal(count_watches(), self.watches);
    rig_request *waiting = rig_receive(&self.to, fd, 0);
    rig_submit(&self.to, waiting);
    rig_turn(&self.to, 0);
    feed_count(&self.from, other, 0);
    for (int i = 0; i < 3; i++)
        rig_turn(&self.from, 0);
    rig_await(&self.to, waiting);
    assert_int_equal(waiting->completion.status, TINA_OK);
    rig_lend_back(&self.to, waiting);
    rig_close_fd(&self.to, fd);
    assert_int_equal(count_watches(), self.watches);
    rig_assert_ended(&self.from, other);
    close_handoff(&self);
}

/* Its slot is another's at once, on both sides. */
static void stream_that_is_given_leaves_its_slot_clean(void **state)
{
    (void)state;
    handoff self;
    open_handoff(&self);
    for (int round = 0; round < 50; round++) {
        self.from.used = self.to.used = 0;
        int others[2];
        rig_fd given = rig_pair(&self.from, &others[0]);
        uint32_t slot = given.slot;
        feed_count(&self.from, others[0], 0);
        expect_count(&self.from, given, 0, 1);
        given = move(&self.from, &self.to, given);
        rig_fd next = rig_pair(&self.from, &others[1]);
        assert_int_equal(next.slot, slot);
        rig_request *waiting = rig_receive(&self.from, next, 0);
        rig_renew(waiting);
        rig_submit(&self.from, waiting);
        rig_turn(&self.from, 0);
        feed_count(&self.from, others[0], 1);
        rig_turn(&self.from, 0);
        assert_false(rig_is_over(waiting));
        expect_count(&self.to, given, 1, 2);
        feed_count(&self.from, others[1], 7);
        rig_await(&self.from, waiting);
        assert_int_equal(rig_data(&self.from, waiting)[0], 7);
        rig_lend_back(&self.from, waiting);
        for (int i = 0; i < 2; i++)
            rig_drop(&self.from, others[i]);
        rig_close_fd(&self.from, next);
        rig_close_fd(&self.to, given);
        for (uint32_t i = 0; i < small.op_count; i++) {
            self.from.requests[i].generation = tina__word_generation_next(self.from.requests[i].generation);
            self.to.requests[i].generation = tina__word_generation_next(self.to.requests[i].generation);
        }
    }
    close_handoff(&self);
}

/* Between the two it is nobody's; whoever finds it there closes it. */
static void stream_that_lies_between_can_be_closed(void **state)
{
    (void)state;
    handoff self;
    open_handoff(&self);
    for (int i = 0; i < 2; i++) {
        int other;
        rig_fd fd = rig_pair(&self.from, &other);
        feed_count(&self.from, other, 0);
        expect_count(&self.from, fd, 0, 1);
        self.from.api->let_go(self.from.backend, fd.os_fd, fd.slot);
        rig_forget_slot(&self.from, fd);
        const test_rig *closer = i == 0 ? &self.from : &self.to;
        closer->api->close_fd(closer->backend, fd.os_fd, TINA__SLOT_NONE);
        rig_assert_ended(&self.from, other);
    }
    close_handoff(&self);
}

/* A backend that is wiped or ends touches only what is its own. */
static void stream_that_is_given_outlives_the_first(void **state)
{
    (void)state;
    handoff self;
    open_handoff(&self);
    int other;
    rig_fd fd = rig_pair(&self.from, &other);
    rig_request *receiving = rig_receive(&self.from, fd, 0);
    rig_submit(&self.from, receiving);
    rig_turn(&self.from, 0);
    rig_cancel(&self.from, receiving);
    rig_await(&self.from, receiving);
    fd = move(&self.from, &self.to, fd);
    rig_request *waiting = rig_receive(&self.to, fd, 0);
    rig_submit(&self.to, waiting);
    rig_turn(&self.to, 0);
    rig_abandon(&self.from);
    feed_count(&self.from, other, 5);
    rig_await(&self.to, waiting);
    assert_int_equal(waiting->completion.status, TINA_OK);
    assert_int_equal(rig_data(&self.to, waiting)[0], 5);
    rig_lend_back(&self.to, waiting);
    rig_drop(&self.from, other);
    rig_close_fd(&self.to, fd);
    close_handoff(&self);
}

/* ---- Others ---- */

static void listener_that_is_given_brings_who_had_connected(void **state)
{
    (void)state;
    handoff self;
    open_handoff(&self);
    tina_address address;
    int clients[3];
    rig_fd listener = rig_listener(&self.from, TINA_IPV4, 8, &address);
    rig_request *accepting = rig_accept(&self.from, listener);
    rig_submit(&self.from, accepting);
    rig_turn(&self.from, 0);
    clients[0] = rig_dial(&self.from, &address);
    rig_await(&self.from, accepting);
    rig_drop(&self.from, accepting->completion.os_fd);
    clients[1] = rig_dial(&self.from, &address);
    rig_turn(&self.from, 0);
    listener = move(&self.from, &self.to, listener);
    clients[2] = rig_dial(&self.from, &address);
    for (int i = 1; i < 3; i++) {
        accepting = rig_accept(&self.to, listener);
        assert_int_equal(rig_do(&self.to, accepting), TINA_OK);
        rig_close_fd(&self.to, rig_adopt(&self.to, accepting->completion.os_fd));
    }
    for (int i = 0; i < 3; i++)
        rig_assert_ended(&self.from, clients[i]);
    rig_close_fd(&self.to, listener);
    close_handoff(&self);
}

static void datagrams_that_had_come_are_received_by_the_other(void **state)
{
    (void)state;
    handoff self;
    open_handoff(&self);
    tina_address addresses[2];
    rig_fd sender = rig_datagram(&self.from, TINA_IPV4, &addresses[0]);
    rig_fd receiver = rig_datagram(&self.from, TINA_IPV4, &addresses[1]);
    rig_request *receiving = rig_receive_from(&self.from, receiver, 0);
    rig_submit(&self.from, receiving);
    rig_turn(&self.from, 0);
    rig_cancel(&self.from, receiving);
    rig_await(&self.from, receiving);
    for (int i = 0; i < 3; i++) {
        if (i == 2)
            receiver = move(&self.from, &self.to, receiver);
        assert_int_equal(rig_do(&self.from, rig_send_to(&self.from, sender, &i, sizeof i, &addresses[1])), TINA_OK);
    }
    for (int i = 0; i < 3; i++) {
        receiving = rig_receive_from(&self.to, receiver, 0);
        assert_int_equal(rig_do(&self.to, receiving), TINA_OK);
        assert_memory_equal(rig_data(&self.to, receiving), &i, sizeof i);
        assert_memory_equal(rig_from(&self.to, receiving), &addresses[0], sizeof addresses[0]);
        rig_lend_back(&self.to, receiving);
    }
    rig_close_fd(&self.from, sender);
    rig_close_fd(&self.to, receiver);
    close_handoff(&self);
}

static void file_that_is_given_is_read_by_the_other(void **state)
{
    (void)state;
    handoff self;
    open_handoff(&self);
    rig_put_file(&self.from, "file", "hello", 5);
    rig_fd file = rig_file(&self.from, "file", TINA_OPEN_READ | TINA_OPEN_WRITE);
    assert_int_equal(rig_do(&self.from, rig_write_at(&self.from, file, 0, "j", 1)), TINA_OK);
    file = move(&self.from, &self.to, file);
    rig_request *reading = rig_read_at(&self.to, file, 0, 0);
    assert_int_equal(rig_do(&self.to, reading), TINA_OK);
    assert_memory_equal(rig_data(&self.to, reading), "jello", 5);
    rig_lend_back(&self.to, reading);
    rig_close_fd(&self.to, file);
    close_handoff(&self);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stream_that_is_given_brings_what_had_come),
        cmocka_unit_test(stream_that_is_given_after_a_cancel_loses_no_byte),
        cmocka_unit_test(stream_that_is_given_is_watched_by_the_other_alone),
        cmocka_unit_test(stream_that_is_given_leaves_its_slot_clean),
        cmocka_unit_test(stream_that_lies_between_can_be_closed),
        cmocka_unit_test(stream_that_is_given_outlives_the_first),
        cmocka_unit_test(listener_that_is_given_brings_who_had_connected),
        cmocka_unit_test(datagrams_that_had_come_are_received_by_the_other),
        cmocka_unit_test(file_that_is_given_is_read_by_the_other),
    };
    return run_each(tests, sizeof tests / sizeof tests[0], NULL, 0, argc, argv);
}
