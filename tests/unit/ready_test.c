/* A sendfile between its socket's readiness and its thread, an event at a time; and who is polled. */
#define _GNU_SOURCE 1
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bits.h"
#include "base/handle.h"
#include "io/ready.h"
#include "support/leaks.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SLOT      2
#define PAUSE_NS  TINA__READY_PAUSE_NS
#define SECOND_NS 1000000000ull

static const tina__ready_event writable = {.may_write = true};

/* A connection, the other end of which is the test's. It plays the kernel, too: it tells what may be tried. */
typedef struct rig {
    tina__ready ready;
    void *memory;
    int wake_fd, file;
    int ends[2];
    tina__io_request request;
    _Alignas(16) uint8_t request_memory[128];
    size_t fds_before;
} rig;

static void open_rig(rig *self)
{
    memset(self, 0, sizeof *self);
    self->fds_before = tina_test_fd_count();
    self->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    self->file = memfd_create("tina", MFD_CLOEXEC);
    assert_int_equal(write(self->file, "0123456789", 10), 10);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, self->ends), 0);
    const tina__backend_config config = {.fd_count = 4, .op_count = 4, .file_threads = 1, .wake_fd = self->wake_fd};
    size_t size = tina__align_up(tina__ready_memory_size(&config), 64);
    self->memory = aligned_alloc(64, size);
    assert_non_null(self->memory);
    memset(self->memory, 0, size);
    int os_error;
    assert_int_equal(tina__ready_open(&self->ready, &config, self->memory, &os_error), TINA_OK);
}

static void close_rig(rig *self)
{
    tina__ready_forget(&self->ready, SLOT);
    tina__ready_close(&self->ready);
    int all[] = {self->wake_fd, self->file, self->ends[0], self->ends[1]};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        close(all[i]);
    free(self->memory);
    assert_int_equal(tina_test_fd_count(), self->fds_before);
}

static void fill(const rig *self)
{
    static const uint8_t bytes[4096];
    while (write(self->ends[0], bytes, sizeof bytes) > 0)
        continue;
}

static void drain(const rig *self)
{
    uint8_t bytes[4096];
    while (read(self->ends[1], bytes, sizeof bytes) > 0)
        continue;
}

/* The thread has come back with what it found; nobody has looked at it yet. */
static void await_thread(const rig *self)
{
    struct pollfd look = {.fd = self->wake_fd, .events = POLLIN};
    uint64_t count;
    assert_int_equal(poll(&look, 1, 30000), 1);
    assert_int_equal(read(self->wake_fd, &count, sizeof count), sizeof count);
}

static bool is_at_thread(const rig *self) { return self->request.backend_state == TINA__READY_WORKING; }

static void submit_sendfile(rig *self)
{
    self->request = (tina__io_request){
        .kind = TINA__IO_SENDFILE,
        .fd_class = TINA__FD_STREAM,
        .os_fd = self->ends[0],
        .slot = SLOT,
        .file_fd = self->file,
        .size = 10,
        .backend_memory = self->request_memory,
    };
    assert_true(tina__ready_submit(&self->ready, &self->request));
    tina__ready_watched(&self->ready, &self->request);
    assert_int_equal(self->ready.waiting_count, 1);
}

static void expect(rig *self, tina_status status, uint64_t size)
{
    assert_ptr_equal(tina__requests_pop(&self->ready.done), &self->request);
    tina__io_completion completion = tina__ready_hand_out(&self->ready, &self->request);
    assert_int_equal(completion.status, status);
    assert_int_equal(completion.size, size);
    assert_int_equal(self->ready.waiting_count, 0);
}

static void sendfile_goes_to_a_thread_when_its_socket_may_take_something(void **state)
{
    (void)state;
    rig self;
    open_rig(&self);
    submit_sendfile(&self);
    assert_false(is_at_thread(&self));
    tina__ready_tell(&self.ready, SLOT, writable);
    await_thread(&self);
    tina__ready_turn(&self.ready, 0);
    expect(&self, TINA_OK, 10);
    char bytes[16];
    assert_int_equal(read(self.ends[1], bytes, sizeof bytes), 10);
    assert_memory_equal(bytes, "0123456789", 10);
    close_rig(&self);
}

static void sendfile_that_found_no_room_waits_for_the_next_event(void **state)
{
    (void)state;
    rig self;
    open_rig(&self);
    fill(&self);
    submit_sendfile(&self);
    tina__ready_tell(&self.ready, SLOT, writable);
    await_thread(&self);
    tina__ready_turn(&self.ready, 0);
    assert_null(self.ready.done.first);
    assert_false(is_at_thread(&self));
    drain(&self);
    tina__ready_tell(&self.ready, SLOT, writable);
    await_thread(&self);
    tina__ready_turn(&self.ready, 0);
    expect(&self, TINA_OK, 10);
    close_rig(&self);
}

/* It tells of room that the thread was too early for, and comes only once. */
static void event_that_comes_while_a_thread_works_is_not_lost(void **state)
{
    (void)state;
    rig self;
    open_rig(&self);
    fill(&self);
    submit_sendfile(&self);
    tina__ready_tell(&self.ready, SLOT, writable);
    await_thread(&self);
    drain(&self);
    tina__ready_tell(&self.ready, SLOT, writable);
    tina__ready_turn(&self.ready, 0);
    while (self.ready.done.first == NULL) {
        await_thread(&self);
        tina__ready_turn(&self.ready, 0);
    }
    expect(&self, TINA_OK, 10);
    close_rig(&self);
}

static void cancel_of_a_sendfile_that_waits_is_over_at_once(void **state)
{
    (void)state;
    rig self;
    open_rig(&self);
    submit_sendfile(&self);
    tina__ready_cancel(&self.ready, &self.request);
    expect(&self, TINA_CANCELLED, 0);
    tina__ready_tell(&self.ready, SLOT, writable);
    assert_false(is_at_thread(&self));
    close_rig(&self);
}

/* Whether it did something or found no room. */
static void cancel_of_a_sendfile_at_its_thread_ends_with_what_that_did(void **state)
{
    (void)state;
    for (int is_full = 0; is_full < 2; is_full++) {
        rig self;
        open_rig(&self);
        if (is_full)
            fill(&self);
        submit_sendfile(&self);
        tina__ready_tell(&self.ready, SLOT, writable);
        await_thread(&self);
        tina__ready_cancel(&self.ready, &self.request);
        tina__ready_cancel(&self.ready, &self.request); /* twice is once */
        assert_null(self.ready.done.first);
        tina__ready_tell(&self.ready, SLOT, writable);
        tina__ready_turn(&self.ready, 0);
        expect(&self, is_full ? TINA_CANCELLED : TINA_OK, is_full ? 0 : 10);
        close_rig(&self);
    }
}

/* ---- Polled ---- */

/* A receiver in the abstract namespace, which takes no more. */
static int open_full(tina_address *address)
{
    char text[64];
    snprintf(text, sizeof text, "unix:@tina-ready-%d", (int)getpid());
    assert_int_equal(tina_address_parse(text, address), TINA_OK);
    struct sockaddr_un host = {.sun_family = AF_UNIX};
    memcpy(host.sun_path, address->path, address->length);
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + address->length);
    int receiver = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(receiver, (struct sockaddr *)&host, length), 0);
    int sender = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    while (sendto(sender, "x", 1, MSG_DONTWAIT, (struct sockaddr *)&host, length) == 1)
        continue;
    close(sender);
    return receiver;
}

static void submit_datagram(rig *self, int os_fd, const tina_address *to)
{
    self->request = (tina__io_request){
        .kind = TINA__IO_SEND_TO,
        .fd_class = TINA__FD_DATAGRAM,
        .os_fd = os_fd,
        .slot = SLOT,
        .data = "y",
        .size = 1,
        .peer = to,
        .backend_memory = self->request_memory,
    };
    assert_true(tina__ready_submit(&self->ready, &self->request));
    tina__ready_watched(&self->ready, &self->request);
}

/* A turn when it is time to try them, and not a moment earlier. The test's own clock. */
static void turn_in_time(rig *self, uint64_t *now_ns)
{
    uint64_t wait_ns = tina__ready_polls_wait(&self->ready, *now_ns);
    assert_in_range(wait_ns, 1, 64 * PAUSE_NS);
    tina__ready_turn(&self->ready, *now_ns + wait_ns - 1);
    assert_null(self->ready.done.first);
    *now_ns += wait_ns;
    tina__ready_turn(&self->ready, *now_ns);
}

static void datagram_to_a_full_receiver_is_polled_until_it_is_taken(void **state)
{
    (void)state;
    rig self;
    open_rig(&self);
    tina_address address;
    int receiver = open_full(&address), sender = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    uint64_t now_ns = SECOND_NS;
    char byte;
    submit_datagram(&self, sender, &address);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(self.ready.polls.count, 1);
        turn_in_time(&self, &now_ns);
        assert_null(self.ready.done.first); /* it is full still */
    }
    assert_int_equal(recv(receiver, &byte, 1, 0), 1);
    turn_in_time(&self, &now_ns);
    expect(&self, TINA_OK, 1);
    assert_int_equal(self.ready.polls.count, 0);
    assert_true(tina__ready_polls_wait(&self.ready, now_ns) == TINA_NONE_NS);
    close(receiver);
    close(sender);
    close_rig(&self);
}

/* An attempt in vain brings one: trying at each, it would never end. */
static void event_does_not_try_what_is_polled(void **state)
{
    (void)state;
    rig self;
    open_rig(&self);
    tina_address address;
    int receiver = open_full(&address), sender = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    uint64_t now_ns = SECOND_NS;
    char byte;
    submit_datagram(&self, sender, &address);
    assert_int_equal(recv(receiver, &byte, 1, 0), 1); /* so that an attempt would be seen */
    for (int i = 0; i < 100; i++) {
        tina__ready_tell(&self.ready, SLOT, writable);
        tina__ready_turn(&self.ready, now_ns);
        assert_null(self.ready.done.first);
    }
    turn_in_time(&self, &now_ns);
    expect(&self, TINA_OK, 1);
    close(receiver);
    close(sender);
    close_rig(&self);
}

/* The slot stays in its line until that is looked at, and may be in use again by then. */
static void datagram_that_is_cancelled_is_polled_no_more(void **state)
{
    (void)state;
    rig self;
    open_rig(&self);
    tina_address address;
    int receiver = open_full(&address), sender = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    uint64_t now_ns = SECOND_NS;
    for (int i = 0; i < 2; i++) {
        submit_datagram(&self, sender, &address);
        tina__ready_cancel(&self.ready, &self.request);
        expect(&self, TINA_CANCELLED, 0);
        tina__ready_forget(&self.ready, SLOT);
    }
    submit_datagram(&self, sender, &address);
    turn_in_time(&self, &now_ns);
    assert_int_equal(self.ready.polls.count, 1);
    tina__ready_cancel(&self.ready, &self.request);
    expect(&self, TINA_CANCELLED, 0);
    turn_in_time(&self, &now_ns);
    assert_int_equal(self.ready.polls.count, 0);
    close(receiver);
    close(sender);
    close_rig(&self);
}

#define STUCK_COUNT 1000

/* Of that many who are never taken: how often each was tried in a second, how many at most in one turn. */
typedef struct stuck {
    tina__ready ready;
    tina__ready_fd fds[STUCK_COUNT];
    uint64_t last_ns[STUCK_COUNT];
    uint32_t tries, most;
    uint64_t longest_ns;
} stuck;

static void try_in_vain(stuck *self, uint64_t now_ns)
{
    uint32_t slots[TINA__READY_POLL_MAX], count = tina__ready_polls_take(&self->ready, now_ns, slots);
    self->tries += count;
    self->most = tina__max_u32(self->most, count);
    for (uint32_t i = 0; i < count; i++) {
        if (now_ns - self->last_ns[slots[i]] > self->longest_ns)
            self->longest_ns = now_ns - self->last_ns[slots[i]];
        self->last_ns[slots[i]] = now_ns;
        tina__ready_polls_add(&self->ready, slots[i]);
    }
}

static void stuck_by_the_thousand_are_tried_seldom_and_each_in_time(void **state)
{
    (void)state;
    static stuck self;
    uint64_t now_ns = SECOND_NS;
    self.ready = (tina__ready){.fds = self.fds, .fd_count = STUCK_COUNT, .polls = tina__ready_polls_make()};
    for (uint32_t slot = 0; slot < STUCK_COUNT; slot++) {
        tina__ready_polls_add(&self.ready, slot);
        self.last_ns[slot] = now_ns;
    }
    while (now_ns < 2 * SECOND_NS) {
        uint64_t wait_ns = tina__ready_polls_wait(&self.ready, now_ns);
        assert_in_range(wait_ns, 1, 64 * PAUSE_NS);
        now_ns += wait_ns;
        try_in_vain(&self, now_ns);
        assert_int_equal(self.ready.polls.count, STUCK_COUNT);
    }
    assert_in_range(self.longest_ns, 64 * PAUSE_NS, 100 * PAUSE_NS);
    assert_true(self.tries <= 25 * STUCK_COUNT);
    assert_true(self.most <= TINA__READY_POLL_MAX);
    for (uint32_t slot = 0; slot < STUCK_COUNT; slot++)
        assert_true(now_ns - self.last_ns[slot] <= 100 * PAUSE_NS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sendfile_goes_to_a_thread_when_its_socket_may_take_something),
        cmocka_unit_test(sendfile_that_found_no_room_waits_for_the_next_event),
        cmocka_unit_test(event_that_comes_while_a_thread_works_is_not_lost),
        cmocka_unit_test(cancel_of_a_sendfile_that_waits_is_over_at_once),
        cmocka_unit_test(cancel_of_a_sendfile_at_its_thread_ends_with_what_that_did),
        cmocka_unit_test(datagram_to_a_full_receiver_is_polled_until_it_is_taken),
        cmocka_unit_test(event_does_not_try_what_is_polled),
        cmocka_unit_test(datagram_that_is_cancelled_is_polled_no_more),
        cmocka_unit_test(stuck_by_the_thousand_are_tried_seldom_and_each_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
