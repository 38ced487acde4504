/* The pipes of io_uring's sendfile: few, empty, and never held by a slow reader. */
#define _GNU_SOURCE 1
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "each.h"
#include "io/uring_inside.h"

#include <stdlib.h>

#define FILE_SIZE 3000000 /* more than a Unix socket or a pipe takes at once */
#define MANY      (4 * TINA__URING_PIPES)

static uint8_t content[FILE_SIZE];

typedef struct test_scene {
    test_rig rig;
    rig_fd file;
    rig_fd fds[MANY];
    int others[MANY];
    rig_request *requests[MANY];
    size_t fds_open; /* before any pipe */
} test_scene;

static void set_scene(test_scene *self)
{
    for (uint32_t i = 0; i < FILE_SIZE; i++)
        content[i] = (uint8_t)((uint64_t)i * 2654435761u >> 24);
    *self = (test_scene){0};
    open_config(&self->rig,
                (tina__backend_config){.op_count = 3 * MANY, .fd_count = MANY + 8, .buffer_count = 8, .buffer_size = 4096});
    rig_put_file(&self->rig, "file", content, FILE_SIZE);
    self->file = rig_file(&self->rig, "file", TINA_OPEN_READ);
    for (uint32_t i = 0; i < MANY; i++)
        self->fds[i] = rig_pair(&self->rig, &self->others[i]);
    self->fds_open = tina_test_fd_count();
}

static void end_scene(test_scene *self)
{
    for (uint32_t i = 0; i < MANY; i++) {
        rig_drop(&self->rig, self->others[i]);
        rig_close_fd(&self->rig, self->fds[i]);
    }
    rig_close_fd(&self->rig, self->file);
    rig_close(&self->rig);
}

static void ask(test_scene *self, uint32_t i, uint64_t offset, uint32_t size)
{
    self->requests[i] = rig_sendfile(&self->rig, self->fds[i], self->file, offset, size);
    rig_submit(&self->rig, self->requests[i]);
}

static uint32_t count_open_pipes(const test_scene *self)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < TINA__URING_PIPES; i++)
        count += self->rig.backend->pipes[i].read_fd >= 0;
    return count;
}

static void assert_pipes_are_free(const test_scene *self)
{
    assert_int_equal(self->rig.backend->free_pipes, (1u << TINA__URING_PIPES) - 1);
    for (uint32_t i = 0; i < TINA__URING_PIPES; i++) {
        struct pollfd pipe = {.fd = self->rig.backend->pipes[i].read_fd, .events = POLLIN};
        assert_int_equal(poll(&pipe, 1, 0), 0); /* nothing in it */
    }
    assert_int_equal(tina_test_fd_count(), self->fds_open + 2 * count_open_pipes(self));
}

/* So many bytes of the file from offset on have come, and no more. */
static void assert_came(test_scene *self, uint32_t i, uint64_t offset, uint64_t size)
{
    static uint8_t got[FILE_SIZE];
    uint64_t have = 0;
    while (have < size) {
        rig_await_input(&self->rig, self->others[i]);
        ssize_t taken = rig_read(&self->rig, self->others[i], got + have, size - have);
        assert_true(taken > 0);
        have += (uint64_t)taken;
    }
    assert_memory_equal(got, content + offset, size);
    assert_true(rig_read(&self->rig, self->others[i], got, 1) < 0);
    assert_int_equal(errno, EAGAIN);
}

/* Until the socket takes no more and the request waits for it. Returns how much it took before. */
static uint64_t fill(test_scene *self, uint32_t i)
{
    uint64_t sent = 0;
    ask(self, i, 0, FILE_SIZE);
    for (uint32_t idle = 0; idle < 3;) {
        rig_turn(&self->rig, 1000000);
        idle =
            rig_is_over(self->requests[i]) || !tina__uring_is(&self->requests[i]->request, TINA__URING_POLLS) ? 0 : idle + 1;
        if (!rig_is_over(self->requests[i]))
            continue;
        assert_int_equal(self->requests[i]->completion.status, TINA_OK);
        sent += self->requests[i]->completion.size;
        rig_renew(self->requests[i]);
        self->requests[i]->request.offset = sent;
        self->requests[i]->request.size = (uint32_t)(FILE_SIZE - sent);
        rig_submit(&self->rig, self->requests[i]);
    }
    return sent;
}

/* All of it, as the reactor does, while the other end reads. */
static void send_whole(test_scene *self, uint32_t i)
{
    uint64_t sent = 0;
    while (sent < FILE_SIZE) {
        ask(self, i, sent, (uint32_t)tina__min_u64(100000, FILE_SIZE - sent));
        rig_await(&self->rig, self->requests[i]);
        assert_int_equal(self->requests[i]->completion.status, TINA_OK);
        assert_came(self, i, sent, self->requests[i]->completion.size);
        sent += self->requests[i]->completion.size;
        self->rig.used--;
        self->requests[i]->generation = tina__word_generation_next(self->requests[i]->generation);
    }
}

/* ---- Slow readers ---- */

static void sendfile_to_more_slow_readers_than_pipes_stops_nobody(void **state)
{
    (void)state;
    test_scene scene;
    set_scene(&scene);
    uint64_t sent[MANY];
    for (uint32_t i = 0; i + 1 < MANY; i++)
        sent[i] = fill(&scene, i);
    assert_pipes_are_free(&scene);
    send_whole(&scene, MANY - 1);
    assert_pipes_are_free(&scene);
    for (uint32_t i = 0; i + 1 < MANY; i++)
        rig_cancel(&scene.rig, scene.requests[i]);
    rig_await_all(&scene.rig);
    for (uint32_t i = 0; i + 1 < MANY; i++) {
        assert_int_equal(scene.requests[i]->completion.status, TINA_CANCELLED);
        assert_int_equal(scene.requests[i]->completion.size, 0);
        assert_came(&scene, i, 0, sent[i]);
    }
    end_scene(&scene);
}

static void sendfile_by_more_than_there_are_pipes_takes_turns(void **state)
{
    (void)state;
    test_scene scene;
    set_scene(&scene);
    for (uint32_t i = 0; i < MANY; i++)
        ask(&scene, i, 1000 * i, 50000);
    rig_await_all(&scene.rig);
    for (uint32_t i = 0; i < MANY; i++) {
        assert_int_equal(scene.requests[i]->completion.status, TINA_OK);
        assert_came(&scene, i, 1000 * i, scene.requests[i]->completion.size);
    }
    assert_in_range(count_open_pipes(&scene), 1, TINA__URING_PIPES);
    assert_pipes_are_free(&scene);
    end_scene(&scene);
}

/* ---- Ends ---- */

/* Some have a piece under way, the others wait for a pipe. Whatever was not cancelled in time was sent. */
static void sendfile_that_waits_for_a_pipe_is_cancelled(void **state)
{
    (void)state;
    test_scene scene;
    for (int turn = 0; turn < 3; turn++) {
        set_scene(&scene);
        for (uint32_t i = 0; i < MANY; i++)
            ask(&scene, i, 0, 50000);
        if (turn > 0)
            scene.rig.api->flush(scene.rig.backend, 0);
        if (turn > 1)
            rig_turn(&scene.rig, RIG_PATIENCE_NS);
        for (uint32_t i = 0; i < MANY; i++)
            rig_cancel(&scene.rig, scene.requests[i]);
        rig_await_all(&scene.rig);
        uint32_t cancelled = 0;
        for (uint32_t i = 0; i < MANY; i++) {
            cancelled += scene.requests[i]->completion.status == TINA_CANCELLED;
            assert_came(&scene, i, 0, scene.requests[i]->completion.size);
        }
        assert_in_range(cancelled, turn == 0 ? MANY : 1, MANY);
        assert_pipes_are_free(&scene);
        send_whole(&scene, 0);
        end_scene(&scene);
    }
}

static void sendfile_that_is_abandoned_leaves_no_pipe(void **state)
{
    (void)state;
    test_scene scene;
    for (int moment = 0; moment < 4; moment++) {
        set_scene(&scene);
        for (uint32_t i = 0; i < 3; i++)
            fill(&scene, i);
        for (uint32_t i = 3; i < MANY; i++)
            ask(&scene, i, 0, 50000);
        for (int i = 0; i < moment; i++)
            i % 2 == 0 ? scene.rig.api->flush(scene.rig.backend, 0) : rig_turn(&scene.rig, 0);
        memset(scene.rig.requests, 0xA5, scene.rig.used * sizeof *scene.rig.requests); /* nobody may look at them */
        rig_abandon(&scene.rig);
        assert_int_equal(tina_test_fd_count(), scene.fds_open);
        rig_lend_all(&scene.rig);
        rig_drop(&scene.rig, scene.others[MANY - 1]);
        rig_close_fd(&scene.rig, scene.fds[MANY - 1]);
        scene.fds[MANY - 1] = rig_pair(&scene.rig, &scene.others[MANY - 1]);
        send_whole(&scene, MANY - 1);
        assert_pipes_are_free(&scene);
        end_scene(&scene);
    }
}

static void close_while_sendfiles_are_under_way_leaves_no_pipe(void **state)
{
    (void)state;
    test_scene scene;
    set_scene(&scene);
    for (uint32_t i = 0; i < MANY; i++)
        ask(&scene, i, 0, 50000);
    scene.rig.api->flush(scene.rig.backend, 0);
    scene.rig.completed = scene.rig.submitted;
    for (uint32_t i = 0; i < MANY; i++)
        scene.requests[i]->completed++;
    end_scene(&scene); /* looks whether one is left */
}

/* ---- Want ---- */

static void sendfile_without_a_lent_buffer_goes_through_a_pipe(void **state)
{
    (void)state;
    test_scene scene;
    set_scene(&scene);
    rig_abandon(&scene.rig); /* now none is lent */
    ask(&scene, 0, 5, 100);
    rig_await(&scene.rig, scene.requests[0]);
    assert_int_equal(scene.requests[0]->completion.status, TINA_OK);
    assert_came(&scene, 0, 5, 100);
    assert_int_equal(count_open_pipes(&scene), 1);
    assert_pipes_are_free(&scene);
    end_scene(&scene);
}

static void leave_descriptors(rlim_t count)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = count;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void sendfile_without_a_pipe_goes_through_buffers(void **state)
{
    (void)state;
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    test_scene scene;
    set_scene(&scene);
    leave_descriptors(5); /* those that are open stay so */
    ask(&scene, 0, 0, FILE_SIZE);
    rig_await(&scene.rig, scene.requests[0]);
    assert_int_equal(count_open_pipes(&scene), 0);
    leave_descriptors(before.rlim_cur);
    assert_int_equal(scene.requests[0]->completion.status, TINA_OK);
    assert_came(&scene, 0, 0, scene.requests[0]->completion.size);
    end_scene(&scene);
}

/* Neither a pipe nor a buffer: it waits for the next that is lent, or until it is cancelled. */
static void sendfile_without_anything_waits_for_a_buffer(void **state)
{
    (void)state;
    test_scene scene;
    assert_int_equal(setenv("TINA_URING_WITHOUT", "splice", 1), 0);
    set_scene(&scene);
    assert_int_equal(unsetenv("TINA_URING_WITHOUT"), 0);
    rig_abandon(&scene.rig);
    for (uint32_t i = 0; i < 4; i++)
        ask(&scene, i, i, 1000);
    for (int i = 0; i < 3; i++)
        rig_turn(&scene.rig, 0);
    rig_cancel(&scene.rig, scene.requests[1]);
    rig_await(&scene.rig, scene.requests[1]);
    assert_int_equal(scene.requests[1]->completion.status, TINA_CANCELLED);
    assert_false(rig_is_over(scene.requests[0]));
    scene.rig.api->lend(scene.rig.backend, 0); /* one is enough for all */
    rig_await_all(&scene.rig);
    for (uint32_t i = 0; i < 4; i++)
        assert_came(&scene, i, i, i == 1 ? 0 : 1000);
    end_scene(&scene);
}

/* A file without pages, which some kernels can't splice. */
static void sendfile_of_what_has_no_pages_sends_it(void **state)
{
    (void)state;
    test_scene scene;
    set_scene(&scene);
    rig_request *opening = rig_open(&scene.rig, "/proc/version", TINA_OPEN_READ);
    assert_int_equal(rig_do(&scene.rig, opening), TINA_OK);
    rig_fd version = rig_opened(&scene.rig, opening);
    rig_request *sending = rig_sendfile(&scene.rig, scene.fds[0], version, 0, 1u << 30);
    assert_int_equal(rig_do(&scene.rig, sending), TINA_OK);
    char got[4096] = "", expected[4096] = "";
    assert_int_equal(rig_read(&scene.rig, scene.others[0], got, sizeof got), sending->completion.size);
    assert_int_equal(pread(version.os_fd, expected, sizeof expected, 0), sending->completion.size);
    assert_string_equal(got, expected);
    rig_close_fd(&scene.rig, version);
    end_scene(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sendfile_to_more_slow_readers_than_pipes_stops_nobody),
        cmocka_unit_test(sendfile_by_more_than_there_are_pipes_takes_turns),
        cmocka_unit_test(sendfile_that_waits_for_a_pipe_is_cancelled),
        cmocka_unit_test(sendfile_that_is_abandoned_leaves_no_pipe),
        cmocka_unit_test(close_while_sendfiles_are_under_way_leaves_no_pipe),
        cmocka_unit_test(sendfile_without_a_lent_buffer_goes_through_a_pipe),
        cmocka_unit_test(sendfile_without_a_pipe_goes_through_buffers),
        cmocka_unit_test(sendfile_without_anything_waits_for_a_buffer),
        cmocka_unit_test(sendfile_of_what_has_no_pages_sends_it),
    };
    unsetenv("TINA_URING_WITHOUT"); /* the tests set it where they want it */
    wanted = TINA_BACKEND_URING;
    return is_available() ? cmocka_run_group_tests(tests, NULL, NULL) : 0;
}
