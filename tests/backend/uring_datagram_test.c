/* Datagrams without bytes on io_uring, where the kernel keeps the buffer for itself. */
#define _GNU_SOURCE 1
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "each.h"

enum { FROM, EMPTY_TO, FULL_TO, SOCKETS };

typedef struct test_scene {
    test_rig rig;
    rig_fd fds[SOCKETS];
    tina_address addresses[SOCKETS];
    rig_request *empty, *full;
} test_scene;

/* One has received a datagram without bytes, the other what took the only buffer. */
static void set_scene(test_scene *self, int family)
{
    tina__backend_config config = small;
    config.buffer_count = 1;
    open_config(&self->rig, config);
    for (int i = 0; i < SOCKETS; i++)
        self->fds[i] = rig_datagram(&self->rig, family, &self->addresses[i]);
    for (int i = EMPTY_TO; i <= FULL_TO; i++) {
        uint32_t size = i == FULL_TO ? 1 : 0;
        rig_request *sending = rig_send_to(&self->rig, self->fds[FROM], "x", size, &self->addresses[i]);
        assert_int_equal(rig_do(&self->rig, sending), TINA_OK);
    }
    self->empty = rig_receive_from(&self->rig, self->fds[EMPTY_TO], 0);
    self->full = rig_receive_from(&self->rig, self->fds[FULL_TO], 0);
    rig_submit(&self->rig, self->empty);
    rig_submit(&self->rig, self->full);
    rig_await(&self->rig, self->full);
    assert_int_equal(self->full->completion.size, 1);
    for (int i = 0; i < 3; i++)
        rig_turn(&self->rig, 0);
    assert_false(rig_is_over(self->empty));
}

static void end_scene(test_scene *self)
{
    for (int i = 0; i < SOCKETS; i++)
        rig_close_fd(&self->rig, self->fds[i]);
    rig_close(&self->rig);
}

static const int families[] = {TINA_IPV4, TINA_UNIX};

static void empty_datagram_waits_for_a_buffer(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        test_scene scene;
        set_scene(&scene, families[i]);
        rig_lend_back(&scene.rig, scene.full);
        rig_await(&scene.rig, scene.empty);
        assert_int_equal(scene.empty->completion.status, TINA_OK);
        assert_int_equal(scene.empty->completion.size, 0);
        assert_false(scene.empty->completion.is_truncated);
        assert_int_equal(scene.empty->completion.buffer, 0);
        assert_memory_equal(rig_from(&scene.rig, scene.empty), &scene.addresses[FROM], sizeof(tina_address));
        rig_lend_back(&scene.rig, scene.empty);
        end_scene(&scene);
    }
}

static void empty_datagram_that_waits_is_cancelled(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        test_scene scene;
        set_scene(&scene, families[i]);
        rig_cancel(&scene.rig, scene.empty);
        rig_await(&scene.rig, scene.empty);
        assert_int_equal(scene.empty->completion.status, TINA_CANCELLED);
        assert_int_equal(scene.empty->completion.buffer, TINA__BUFFER_NONE);
        rig_lend_back(&scene.rig, scene.full);
        end_scene(&scene);
    }
}

static void empty_datagram_that_waits_is_abandoned(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        test_scene scene;
        set_scene(&scene, families[i]);
        memset(scene.rig.requests, 0xA5, scene.rig.used * sizeof *scene.rig.requests);
        rig_abandon(&scene.rig);
        rig_lend_all(&scene.rig);
        for (int turn = 0; turn < 3; turn++)
            rig_turn(&scene.rig, 0); /* nothing comes of it */
        end_scene(&scene);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_datagram_waits_for_a_buffer),
        cmocka_unit_test(empty_datagram_that_waits_is_cancelled),
        cmocka_unit_test(empty_datagram_that_waits_is_abandoned),
    };
    wanted = TINA_BACKEND_URING;
    return is_available() ? cmocka_run_group_tests(tests, NULL, NULL) : 0;
}
