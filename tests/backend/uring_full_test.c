/*
 * What io_uring does about peers that are full and about buffers that a disk holds:
 * it waits, without trying all the time.
 */
#define _GNU_SOURCE 1
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "each.h"
#include "io/uring_inside.h"
#include "os/os.h"

#include <stdlib.h>

#define STUCK      50
#define FILLERS    4000 /* more than any queue of datagrams or backlog here takes */
#define PAUSES_MAX 7
#define PAUSE_NS   100000000ull /* the longest */

typedef struct test_scene {
    test_rig rig;
    rig_fd full; /* a listener, or who receives */
    tina_address address;
    rig_fd fds[STUCK];
    rig_request *requests[STUCK];
} test_scene;

/* ---- Full peers ---- */

/* Until it takes no more from anybody. */
static void fill_peer(test_scene *self, int type)
{
    tina__sock_address host;
    assert_true(tina__sock_encode(&self->address, &host));
    int left = FILLERS;
    for (bool is_full = false; !is_full; left--) {
        int filler = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        assert_true(filler >= 0);
        int result = type == SOCK_STREAM ? connect(filler, &host.any, host.length)
                                         : (int)sendto(filler, "x", 1, 0, &host.any, host.length);
        is_full = result < 0;
        assert_true(!is_full || errno == EAGAIN);
        assert_true(left > 0);
        close(filler);
    }
}

static void set_scene(test_scene *self, int type)
{
    *self = (test_scene){0};
    open_config(&self->rig,
                (tina__backend_config){.op_count = 2 * STUCK, .fd_count = STUCK + 8, .buffer_count = 8, .buffer_size = 256});
    self->full = type == SOCK_STREAM ? rig_listener(&self->rig, TINA_UNIX, 1, &self->address)
                                     : rig_datagram(&self->rig, TINA_UNIX, &self->address);
    fill_peer(self, type);
    for (uint32_t i = 0; i < STUCK; i++) {
        self->fds[i] = rig_socket_of(&self->rig, TINA_UNIX, type == SOCK_STREAM ? TINA_STREAM : TINA_DATAGRAM);
        self->requests[i] = type == SOCK_STREAM ? rig_connect(&self->rig, self->fds[i], &self->address)
                                                : rig_send_to(&self->rig, self->fds[i], "y", 1, &self->address);
        rig_submit(&self->rig, self->requests[i]);
    }
}

static void end_scene(test_scene *self)
{
    for (uint32_t i = 0; i < STUCK; i++)
        rig_close_fd(&self->rig, self->fds[i]);
    rig_close_fd(&self->rig, self->full);
    rig_close(&self->rig);
}

/* How many are about to be tried again. */
static uint32_t count_queued(const test_scene *self)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < STUCK; i++)
        count += tina__uring_is_in(&self->requests[i]->request, TINA__URING_QUEUED);
    return count;
}

static bool is_any_pause_short(const test_scene *self)
{
    bool is_any = false;
    for (uint32_t i = 0; i < STUCK; i++)
        is_any |= tina__uring_pauses(&self->requests[i]->request) < PAUSES_MAX;
    return is_any;
}

/* In a while that a slow machine only makes longer for the same number of tries: none starts its pause early. */
static void assert_tried_seldom(test_scene *self)
{
    while (is_any_pause_short(self))
        rig_turn(&self->rig, TINA_NONE_NS);
    uint32_t tries = 0;
    for (uint64_t end_ns = tina__os_now_ns() + 3 * PAUSE_NS; tina__os_now_ns() < end_ns; tries += count_queued(self))
        rig_turn(&self->rig, 3 * PAUSE_NS);
    assert_in_range(tries, 0, 5 * STUCK); /* one that ended before, three, and one that the last turn brought */
    assert_int_equal(self->rig.completed, 0);
}

static void make_room(test_scene *self, int type)
{
    char byte;
    if (type == SOCK_DGRAM) {
        while (recv(self->full.os_fd, &byte, 1, MSG_DONTWAIT) >= 0)
            continue;
        return;
    }
    for (int accepted; (accepted = accept4(self->full.os_fd, NULL, NULL, SOCK_CLOEXEC)) >= 0;)
        close(accepted);
}

static void succeed_when_there_is_room(int type)
{
    test_scene scene;
    set_scene(&scene, type);
    assert_tried_seldom(&scene);
    for (int i = 0; i < RIG_WAITS_MAX && scene.rig.completed != STUCK; i++) {
        make_room(&scene, type);
        rig_turn(&scene.rig, RIG_PATIENCE_NS);
    }
    for (uint32_t i = 0; i < STUCK; i++) {
        assert_true(rig_is_over(scene.requests[i]));
        assert_int_equal(scene.requests[i]->completion.status, TINA_OK);
    }
    end_scene(&scene);
}

static void end_when_cancelled(int type)
{
    test_scene scene;
    set_scene(&scene, type);
    rig_cancel(&scene.rig, scene.requests[0]); /* not handed over yet */
    for (int i = 0; i < 3; i++)
        rig_turn(&scene.rig, RIG_PATIENCE_NS);
    for (uint32_t i = 1; i < STUCK; i++)
        rig_cancel(&scene.rig, scene.requests[i]);
    rig_await_all(&scene.rig);
    for (uint32_t i = 0; i < STUCK; i++)
        assert_int_equal(scene.requests[i]->completion.status, TINA_CANCELLED);
    end_scene(&scene);
}

static void connects_to_a_full_backlog_are_tried_ever_more_seldom(void **state)
{
    (void)state;
    succeed_when_there_is_room(SOCK_STREAM);
}

static void sends_to_a_full_receiver_are_tried_ever_more_seldom(void **state)
{
    (void)state;
    succeed_when_there_is_room(SOCK_DGRAM);
}

static void what_waits_for_a_full_peer_is_cancelled(void **state)
{
    (void)state;
    end_when_cancelled(SOCK_STREAM);
    end_when_cancelled(SOCK_DGRAM);
}

static void connect_to_no_local_listener_fails(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    tina_address nobody = rig_nearby(TINA_UNIX);
    rig_fd fd = rig_socket(&rig, TINA_UNIX);
    assert_int_equal(rig_do(&rig, rig_connect(&rig, fd, &nobody)), TINA_REFUSED);
    rig_close_fd(&rig, fd);
    rig_close(&rig);
}

/* ---- Buffers that a disk holds ---- */

/* As if the only lent one were held by a read of a file that does not come back. */
static void let_a_disk_hold(test_rig *rig, uint32_t buffers)
{
    rig->backend->lent_count += buffers;
    rig->backend->taker_count += buffers;
    rig->backend->holding_count += buffers;
}

static void let_the_disk_end(test_rig *rig, uint32_t buffers)
{
    rig->backend->lent_count -= buffers;
    rig->backend->taker_count -= buffers;
    rig->backend->holding_count -= buffers;
}

static rig_request *starve(test_rig *rig, rig_fd fd)
{
    rig_abandon(rig); /* now none is lent */
    let_a_disk_hold(rig, 1);
    rig_request *receiving = rig_receive(rig, fd, 0);
    rig_submit(rig, receiving);
    for (int i = 0; i < 5 && !tina__uring_is_in(&receiving->request, TINA__URING_WAITING); i++)
        rig_turn(rig, RIG_PATIENCE_NS);
    assert_true(tina__uring_is_in(&receiving->request, TINA__URING_WAITING));
    for (int i = 0; i < 3; i++) {
        rig_turn(rig, 0);
        assert_true(tina__uring_is_in(&receiving->request, TINA__URING_WAITING));
    }
    return receiving;
}

static void receive_while_a_disk_holds_all_buffers_waits_for_one(void **state)
{
    (void)state;
    test_rig rig;
    int other;
    open_small(&rig);
    rig_fd fd = rig_pair(&rig, &other);
    rig_feed(&rig, other, "hello", 5);
    rig_request *receiving = starve(&rig, fd);
    rig.api->lend(rig.backend, 3);
    rig_await(&rig, receiving);
    assert_int_equal(receiving->completion.status, TINA_OK);
    assert_int_equal(receiving->completion.buffer, 3);
    assert_memory_equal(rig_data(&rig, receiving), "hello", 5);
    rig_lend_back(&rig, receiving);
    let_the_disk_end(&rig, 1);
    rig_drop(&rig, other);
    rig_close_fd(&rig, fd);
    rig_close(&rig);
}

static void receive_that_waits_for_a_held_buffer_is_busy_when_none_is_left(void **state)
{
    (void)state;
    test_rig rig;
    int other;
    open_small(&rig);
    rig_fd fd = rig_pair(&rig, &other);
    rig_feed(&rig, other, "hello", 5);
    rig_request *receiving = starve(&rig, fd);
    let_the_disk_end(&rig, 1); /* with data: the buffer went up */
    rig_await(&rig, receiving);
    assert_int_equal(receiving->completion.status, TINA_BUSY);
    rig_drop(&rig, other);
    rig_close_fd(&rig, fd);
    rig_close(&rig);
}

static void receive_that_waits_for_a_held_buffer_is_cancelled(void **state)
{
    (void)state;
    test_rig rig;
    int other;
    open_small(&rig);
    rig_fd fd = rig_pair(&rig, &other);
    rig_feed(&rig, other, "hello", 5);
    rig_request *receiving = starve(&rig, fd);
    rig_cancel(&rig, receiving);
    rig_await(&rig, receiving);
    assert_int_equal(receiving->completion.status, TINA_CANCELLED);
    let_the_disk_end(&rig, 1);
    rig_drop(&rig, other);
    rig_close_fd(&rig, fd);
    rig_close(&rig);
}

static void reads_of_a_file_are_counted_while_they_are_under_way(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    rig_put_file(&rig, "file", "content", 7);
    rig_fd files[4];
    rig_request *readings[4];
    for (int i = 0; i < 4; i++) {
        files[i] = rig_file(&rig, "file", TINA_OPEN_READ);
        readings[i] = rig_read_at(&rig, files[i], i % 2 == 0 ? 0 : 7, 0);
    }
    for (int i = 0; i < 4; i++)
        rig_submit(&rig, readings[i]);
    rig.api->flush(rig.backend, 0);
    assert_int_equal(rig.backend->holding_count, 4);
    rig_await_all(&rig);
    assert_int_equal(rig.backend->holding_count, 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(readings[i]->completion.size, i % 2 == 0 ? 7 : 0);
        rig_lend_back(&rig, readings[i]);
        rig_close_fd(&rig, files[i]);
    }
    rig_close(&rig);
}

static void sendfiles_hold_at_most_a_quarter_of_the_buffers(void **state)
{
    (void)state;
    test_rig rig;
    assert_int_equal(setenv("TINA_URING_WITHOUT", "splice", 1), 0);
    open_small(&rig);
    assert_int_equal(unsetenv("TINA_URING_WITHOUT"), 0);
    rig_put_file(&rig, "file", "content", 7);
    rig_fd file = rig_file(&rig, "file", TINA_OPEN_READ), fds[8];
    int others[8];
    rig_request *sendings[8];
    for (int i = 0; i < 8; i++) {
        fds[i] = rig_pair(&rig, &others[i]);
        sendings[i] = rig_sendfile(&rig, fds[i], file, 0, 7);
        rig_submit(&rig, sendings[i]);
    }
    rig_cancel(&rig, sendings[7]);
    for (int i = 0; i < RIG_WAITS_MAX && rig.completed != rig.submitted; i++) {
        rig.api->flush(rig.backend, RIG_PATIENCE_NS);
        assert_in_range(rig.backend->sendfile_count, 0, small.buffer_count / 4);
        assert_int_equal(rig.backend->holding_count, rig.backend->sendfile_count);
        rig_collect(&rig);
    }
    assert_int_equal(rig.backend->holding_count, 0);
    for (int i = 0; i < 8; i++) {
        assert_true(rig_is_over(sendings[i]));
        assert_int_equal(sendings[i]->completion.status, i == 7 ? TINA_CANCELLED : TINA_OK);
        rig_drop(&rig, others[i]);
        rig_close_fd(&rig, fds[i]);
    }
    rig_close_fd(&rig, file);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connects_to_a_full_backlog_are_tried_ever_more_seldom),
        cmocka_unit_test(sends_to_a_full_receiver_are_tried_ever_more_seldom),
        cmocka_unit_test(what_waits_for_a_full_peer_is_cancelled),
        cmocka_unit_test(connect_to_no_local_listener_fails),
        cmocka_unit_test(receive_while_a_disk_holds_all_buffers_waits_for_one),
        cmocka_unit_test(receive_that_waits_for_a_held_buffer_is_busy_when_none_is_left),
        cmocka_unit_test(receive_that_waits_for_a_held_buffer_is_cancelled),
        cmocka_unit_test(reads_of_a_file_are_counted_while_they_are_under_way),
        cmocka_unit_test(sendfiles_hold_at_most_a_quarter_of_the_buffers),
    };
    unsetenv("TINA_URING_WITHOUT"); /* a test sets it where it wants it */
    wanted = TINA_BACKEND_URING;
    return is_available() ? cmocka_run_group_tests(tests, NULL, NULL) : 0;
}
