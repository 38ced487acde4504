/* What io/backend.h promises of abandon, and of close while something is under way. */
#define _GNU_SOURCE 1
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "each.h"
#include "support/tripwire.h"
#include "watches.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

#define POISON 0x5A

/* ---- What the tests look at ---- */

/* Whatever comes now was not asked for. */
static void assert_nothing_comes(test_rig *rig)
{
    tina__io_completion completion;
    for (int i = 0; i < 3; i++) {
        rig->api->flush(rig->backend, 0);
        assert_int_equal(rig->api->collect(rig->backend, &completion, 1), 0);
    }
}

/* Bytes there and back, by accept, connect, send and receive. All buffers are lent. */
static void assert_echoes(test_rig *rig)
{
    rig_fd ends[2];
    rig_connected(rig, TINA_IPV4, &ends[0], &ends[1]);
    for (int i = 0; i < 2; i++) {
        rig_request *receive = rig_receive(rig, ends[1 - i], 0);
        rig_submit(rig, receive);
        assert_int_equal(rig_do(rig, rig_send(rig, ends[i], "ping", 4)), TINA_OK);
        rig_await(rig, receive);
        assert_int_equal(receive->completion.status, TINA_OK);
        assert_memory_equal(rig_data(rig, receive), "ping", 4);
        rig_lend_back(rig, receive);
    }
    rig_close_fd(rig, ends[0]);
    rig_close_fd(rig, ends[1]);
}

static void abandon_and_echo(test_rig *rig)
{
    rig_abandon(rig);
    assert_nothing_comes(rig);
    rig_lend_all(rig);
    assert_echoes(rig);
}

static void poison(const test_rig *rig)
{
    memset(rig->config.buffers, POISON, (size_t)rig->config.buffer_count * rig->config.buffer_size);
}

/* Every buffer but that one. */
static void assert_poisoned_but(const test_rig *rig, uint32_t buffer)
{
    uint32_t wrong = 0;
    for (uint32_t i = 0; i < rig->config.buffer_count * rig->config.buffer_size; i++)
        wrong += i / rig->config.buffer_size != buffer && rig->config.buffers[i] != POISON;
    assert_int_equal(wrong, 0);
}

/* ---- Things under way ---- */

/* One of everything that waits. Takes at most 16 descriptors and 24 requests; the descriptors are closed by end_scene. */
typedef struct test_scene {
    rig_fd fds[16];
    uint32_t count;
    int other; /* the end of a pair whose first is both read and written */
} test_scene;

static rig_fd join_scene(test_scene *self, rig_fd fd)
{
    assert_true(self->count < sizeof self->fds / sizeof self->fds[0]);
    return self->fds[self->count++] = fd;
}

static void set_scene(test_scene *self, test_rig *rig)
{
    static const uint8_t data[4096];
    enum { CLIENTS = 6 };
    *self = (test_scene){0};
    rig_fd pair = join_scene(self, rig_pair(rig, &self->other));
    rig_request *sending = rig_send(rig, pair, data, sizeof data);
    uint64_t sent = 0;
    rig_fill(rig, sending, &sent);
    sending->request.no_wait = false;
    rig_submit(rig, sending);
    rig_submit(rig, rig_receive(rig, pair, 0));
    tina_address address, full;
    rig_submit(rig, rig_accept(rig, join_scene(self, rig_listener(rig, TINA_IPV4, 8, &address))));
    join_scene(self, rig_listener(rig, TINA_IPV4, 0, &full)); /* nobody accepts: connections hang */
    for (int i = 0; i < CLIENTS; i++)
        rig_submit(rig, rig_connect(rig, join_scene(self, rig_socket(rig, TINA_IPV4)), &full));
    rig_submit(rig, rig_receive_from(rig, join_scene(self, rig_datagram(rig, TINA_IPV4, &address)), 0));
}

static void end_scene(test_scene *self, test_rig *rig)
{
    for (uint32_t i = 0; i < self->count; i++)
        rig_close_fd(rig, self->fds[i]);
    rig_drop(rig, self->other);
}

/* Two listeners with a connection each that was accepted, and not collected. */
static void accept_two(test_rig *rig, rig_fd *listeners, int *clients)
{
    for (int i = 0; i < 2; i++) {
        tina_address address;
        listeners[i] = rig_listener(rig, TINA_IPV4, 8, &address);
        clients[i] = rig_dial(rig, &address);
        rig_submit(rig, rig_accept(rig, listeners[i]));
    }
    rig->api->flush(rig->backend, 0);
}

/* What a wild write may have done to what is under way. */
static void damage_requests(test_rig *rig)
{
    for (uint32_t i = 0; i < rig->used; i++) {
        memset(&rig->requests[i].request, 0xA5, sizeof rig->requests[i].request);
        memset(rig->requests[i].memory, 0xA5, sizeof rig->requests[i].memory);
    }
}

/* ---- Ending ---- */

static void abandon_of_nothing_leaves_it_as_opened(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    for (int i = 0; i < 3; i++)
        rig_abandon(&rig);
    abandon_and_echo(&rig);
    abandon_and_echo(&rig);
    rig_close(&rig);
}

static void abandon_of_what_is_under_way_ends_it(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    for (int round = 0; round < 20; round++) {
        test_scene scene;
        set_scene(&scene, &rig);
        for (int i = 0; i < round % 4; i++) /* nothing of it handed over yet; all; some collected */
            round % 2 == 0 ? rig_turn(&rig, 0) : rig.api->flush(rig.backend, 0);
        abandon_and_echo(&rig);
        end_scene(&scene, &rig);
    }
    rig_close(&rig);
}

static void abandon_of_what_is_being_cancelled_ends_it(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    for (int round = 0; round < 8; round++) {
        test_scene scene;
        set_scene(&scene, &rig);
        if (round % 2 != 0)
            rig.api->flush(rig.backend, 0);
        for (uint32_t i = 0; i < rig.used; i++)
            rig_cancel(&rig, &rig.requests[i]);
        if (round % 4 >= 2)
            rig.api->flush(rig.backend, 0);
        abandon_and_echo(&rig);
        end_scene(&scene, &rig);
    }
    rig_close(&rig);
}

static void abandon_with_damaged_requests_ends_them(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    for (int round = 0; round < 4; round++) {
        test_scene scene;
        set_scene(&scene, &rig);
        int other;
        rig_fd fd = rig_pair(&rig, &other);
        rig_request *receive = rig_receive(&rig, fd, 0);
        rig_feed(&rig, other, "x", 1);
        rig_submit(&rig, receive);
        if (round % 2 != 0)
            rig.api->flush(rig.backend, 0);
        damage_requests(&rig);
        abandon_and_echo(&rig);
        end_scene(&scene, &rig);
        rig_drop(&rig, other);
        rig_close_fd(&rig, fd);
    }
    rig_close(&rig);
}

/* Far more than the kernel ends in one enter, some of it over and not collected. */
static void abandon_of_thousands_ends_them(void **state)
{
    (void)state;
    uint32_t ends = rig_descriptors_for_us(wanted, 8000) / 2 * 2;
    test_rig rig;
    open_config(&rig, (tina__backend_config){.op_count = ends, .fd_count = ends, .buffer_count = 64, .buffer_size = 64});
    rig_fd *fds = malloc(ends * sizeof *fds);
    assert_non_null(fds);
    for (uint32_t i = 0; i < ends; i += 2) {
        int other;
        fds[i] = rig_pair(&rig, &other);
        fds[i + 1] = rig_adopt(&rig, other);
    }
    for (int round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < ends; i++)
            rig_submit(&rig, rig_receive(&rig, fds[i], 0));
        rig.api->flush(rig.backend, 0);
        for (uint32_t i = 0; i < ends; i += 50)
            rig_feed(&rig, fds[i].os_fd, "x", 1);
        if (round == 1)
            rig.api->flush(rig.backend, 0);
        rig_abandon(&rig);
        assert_nothing_comes(&rig);
        rig_lend_all(&rig);
    }
    for (uint32_t i = 0; i < ends; i++)
        rig_close_fd(&rig, fds[i]);
    assert_echoes(&rig);
    free(fds);
    rig_close(&rig);
}

/* Some of each with the disk, some that wait for their turn, some done and not collected. */
static void submit_disk_work(test_rig *rig, rig_fd *files, uint32_t count)
{
    char path[RIG_PATH_SIZE], nothing[RIG_PATH_SIZE];
    (void)rig_path(rig, "file", path);
    (void)rig_path(rig, "nothing", nothing);
    for (uint32_t i = 0; i < count; i++) {
        rig_submit(rig, rig_read_at(rig, files[i], 0, 0));
        rig_submit(rig, i % 2 == 0 ? rig_sync(rig, files[i]) : rig_write_at(rig, files[i], 4, "w", 1));
        rig_submit(rig, rig_open(rig, path, TINA_OPEN_READ));
        rig_submit(rig, rig_unlink(rig, nothing));
    }
}

/* Not a byte comes to a buffer any more, and of what was opened nothing stays open. */
static void abandon_of_work_on_a_disk_ends_it(void **state)
{
    (void)state;
    enum { FILES = 12 };
    test_rig rig;
    open_small(&rig);
    rig_put_file(&rig, "file", "hello", 5);
    rig_fd files[FILES];
    for (int i = 0; i < FILES; i++)
        files[i] = rig_file(&rig, "file", TINA_OPEN_READ | TINA_OPEN_WRITE);
    rig_abandon(&rig);
    rig_lend_all(&rig);
    size_t open_before = rig_fd_count(&rig);
    for (int round = 0; round < 20; round++) {
        submit_disk_work(&rig, files, FILES);
        for (int i = 0; i < round % 4; i++)
            rig.api->flush(rig.backend, i == 2 ? RIG_PATIENCE_NS : 0);
        if (round % 2 != 0)
            damage_requests(&rig);
        rig_abandon(&rig);
        poison(&rig);
        assert_nothing_comes(&rig);
        assert_int_equal(rig_fd_count(&rig), open_before);
        assert_poisoned_but(&rig, TINA__BUFFER_NONE);
        rig_lend_all(&rig);
    }
    for (int i = 0; i < FILES; i++)
        rig_close_fd(&rig, files[i]);
    assert_echoes(&rig);
    rig_close(&rig);
}

static void abandon_asks_for_no_memory(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    for (int round = 0; round < 10; round++) {
        test_scene scene;
        set_scene(&scene, &rig);
        rig_turn(&rig, 1);
        tina_test_tripwire_arm_thread();
        rig_abandon(&rig);
        tina_test_tripwire_disarm();
        assert_int_equal(tina_test_tripwire_hits(), 0);
        rig_lend_all(&rig);
        end_scene(&scene, &rig);
    }
    rig_close(&rig);
}

/* ---- After a fault inside the backend, over a damaged request ---- */

static sigjmp_buf before_the_fault;

static void leap(int signal_number)
{
    (void)signal_number;
    siglongjmp(before_the_fault, 1);
}

static bool faults_in(void (*body)(test_rig *rig), test_rig *rig)
{
    static const int signals[] = {SIGSEGV, SIGBUS};
    struct sigaction trap = {.sa_handler = leap}, before[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(sigaction(signals[i], &trap, &before[i]), 0);
    volatile bool has_faulted = sigsetjmp(before_the_fault, 1) != 0;
    if (!has_faulted)
        body(rig);
    for (int i = 0; i < 2; i++)
        assert_int_equal(sigaction(signals[i], &before[i], NULL), 0);
    return has_faulted;
}

static void *unreadable;

static void *make_unreadable(void)
{
    void *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(page != MAP_FAILED);
    return page;
}

static rig_request *submitted;

static void hand_over(test_rig *rig)
{
    rig_submit(rig, submitted);
    rig->api->flush(rig->backend, 1);
}

/* What has an address: it is read, or written in the host's form, when the request is handed over. */
typedef struct unfit_address {
    uint8_t kind;
    bool is_peer_unreadable;   /* every backend must look at that */
    bool is_memory_unreadable; /* and may use this */
    bool is_wake_watched;
} unfit_address;

static const unfit_address unfit_addresses[] = {
    {TINA__IO_CONNECT, true, false, false}, {TINA__IO_CONNECT, true, false, true},  {TINA__IO_CONNECT, false, true, false},
    {TINA__IO_CONNECT, false, true, true},  {TINA__IO_SEND_TO, true, false, false}, {TINA__IO_SEND_TO, true, false, true},
    {TINA__IO_SEND_TO, false, true, false}, {TINA__IO_SEND_TO, false, true, true},
};

static void send_many(test_rig *rig, rig_fd fd, int count, bool is_wake_watched)
{
    rig_request *sending = rig_send(rig, fd, "x", 1);
    for (int i = 0; i < count; i++) {
        rig_submit(rig, sending);
        while (!rig_is_over(sending))
            rig_turn(rig, is_wake_watched);
        rig_renew(sending);
    }
}

/* What it was about to hand over is not handed over later; least of all as what last lay there, a send. */
static void flush_with(const unfit_address *what)
{
    test_rig rig;
    tina_address address;
    int other;
    open_config(&rig, (tina__backend_config){.op_count = 4, .fd_count = 4, .buffer_count = 2, .buffer_size = 64});
    rig_fd pair = rig_pair(&rig, &other);
    send_many(&rig, pair, 64, what->is_wake_watched);
    rig_fd listener = rig_listener(&rig, TINA_IPV4, 8, &address);
    bool is_datagram = what->kind == TINA__IO_SEND_TO;
    rig_fd fd = rig_socket_of(&rig, TINA_IPV4, is_datagram ? TINA_DATAGRAM : TINA_STREAM);
    submitted = is_datagram ? rig_send_to(&rig, fd, "x", 1, &address) : rig_connect(&rig, fd, &address);
    if (what->is_peer_unreadable)
        submitted->request.peer = unreadable;
    if (what->is_memory_unreadable)
        submitted->request.backend_memory = unreadable;
    assert_true(faults_in(hand_over, &rig) || !what->is_peer_unreadable);
    rig_abandon(&rig);
    assert_nothing_comes(&rig);
    char sent[128];
    assert_int_equal(rig_read(&rig, other, sent, sizeof sent), 64);
    rig_turn(&rig, TINA_NONE_NS); /* the wake of abandon */
    rig_lend_all(&rig);
    rig_request *receive = rig_receive(&rig, pair, 0);
    rig_submit(&rig, receive);
    rig_feed(&rig, other, "x", 1);
    rig_await(&rig, receive);
    rig_lend_back(&rig, receive);
    rig_drop(&rig, other);
    rig_close_fd(&rig, pair);
    rig_close_fd(&rig, fd);
    rig_close_fd(&rig, listener);
    rig_close(&rig);
}

static void abandon_after_a_flush_that_faulted_drops_what_that_had_begun(void **state)
{
    (void)state;
    unreadable = make_unreadable();
    for (size_t i = 0; i < sizeof unfit_addresses / sizeof unfit_addresses[0]; i++)
        flush_with(&unfit_addresses[i]);
    munmap(unreadable, 4096);
}

static tina__io_completion *unwritable; /* from some place on */

static void collect_four(test_rig *rig) { rig->api->collect(rig->backend, unwritable, 4); }

/* What it had taken before it faulted is nobody's. */
static void abandon_after_a_collect_that_faulted_closes_what_that_took(void **state)
{
    (void)state;
    uint8_t *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(pages != MAP_FAILED);
    assert_int_equal(mprotect(pages + 4096, 4096, PROT_NONE), 0);
    for (int broken = 0; broken < 2; broken++) {
        test_rig rig;
        open_small(&rig);
        rig_fd listeners[2];
        int clients[2];
        accept_two(&rig, listeners, clients);
        rig.requests[broken].request.backend_memory = pages + 4096; /* where a backend may have written it down */
        unwritable = (tina__io_completion *)(void *)(pages + 4096) - broken;
        size_t open_before = rig_fd_count(&rig);
        assert_true(faults_in(collect_four, &rig));
        rig_abandon(&rig);
        assert_int_equal(rig_fd_count(&rig), open_before - 2);
        assert_nothing_comes(&rig);
        for (int i = 0; i < 2; i++) {
            rig_assert_ended(&rig, clients[i]);
            rig_close_fd(&rig, listeners[i]);
        }
        rig_lend_all(&rig);
        assert_echoes(&rig);
        abandon_and_echo(&rig);
        rig_close(&rig);
    }
    munmap(pages, 8192);
}

/* ---- Descriptors ---- */

static void abandon_closes_what_was_accepted_and_not_collected(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    rig_fd listeners[2];
    int clients[2];
    accept_two(&rig, listeners, clients);
    size_t open_before = rig_fd_count(&rig);
    damage_requests(&rig);
    rig_abandon(&rig);
    assert_int_equal(rig_fd_count(&rig), open_before - 2);
    for (int i = 0; i < 2; i++) {
        rig_assert_ended(&rig, clients[i]);
        rig_close_fd(&rig, listeners[i]);
    }
    rig_lend_all(&rig);
    assert_echoes(&rig);
    rig_close(&rig);
}

static void abandon_leaves_what_was_accepted_and_collected(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    rig_fd listeners[2];
    int clients[2];
    accept_two(&rig, listeners, clients);
    tina__io_completion completion;
    assert_int_equal(rig.api->collect(rig.backend, &completion, 1), 1);
    assert_int_equal(completion.status, TINA_OK);
    uint32_t kept = tina__word_index(completion.token);
    rig_abandon(&rig);
    rig_assert_ended(&rig, clients[1 - kept]);
    char byte;
    rig_feed(&rig, clients[kept], "x", 1);
    rig_await_input(&rig, completion.os_fd);
    assert_int_equal(rig_read(&rig, completion.os_fd, &byte, 1), 1);
    rig_drop(&rig, completion.os_fd);
    rig_assert_ended(&rig, clients[kept]);
    for (int i = 0; i < 2; i++)
        rig_close_fd(&rig, listeners[i]);
    rig_close(&rig);
}

/* A kernel that watches descriptors forgets them, also where one stays open; and there it may be watched again. */
static void abandon_leaves_no_descriptor_watched(void **state)
{
    (void)state;
    test_rig rig;
    int watches_before = count_watches();
    open_small(&rig);
    int watches_open = count_watches();
    int other;
    rig_fd fd = rig_pair(&rig, &other);
    for (int round = 0; round < 10; round++) {
        rig_request *receive = rig_receive(&rig, fd, 0);
        rig_submit(&rig, receive);
        rig_turn(&rig, 0);
        assert_false(rig_is_over(receive));
        rig_abandon(&rig);
        rig_lend_all(&rig);
        assert_int_equal(count_watches(), watches_open);
        receive = rig_receive(&rig, fd, 0);
        rig_submit(&rig, receive);
        rig_turn(&rig, 0);
        rig_feed(&rig, other, "x", 1);
        rig_await(&rig, receive);
        assert_int_equal(receive->completion.status, TINA_OK);
        rig_lend_back(&rig, receive);
    }
    rig_drop(&rig, other);
    rig_close_fd(&rig, fd);
    rig_close(&rig);
    assert_int_equal(count_watches(), watches_before);
}

/* ---- A listener's port ---- */

/* An address of the loopback that no other process binds to: a port that was just let go must not be taken by one. */
static tina_address own_loopback(void)
{
    uint32_t id = (uint32_t)getpid();
    return (tina_address){.family = TINA_IPV4,
                          .ipv4 = {127, (uint8_t)(100 + (id >> 16) % 100), (uint8_t)(id >> 8), (uint8_t)id}};
}

static rig_fd listen_at(test_rig *rig, tina_address *address)
{
    rig_fd fd = rig_socket(rig, TINA_IPV4);
    int os_error;
    assert_int_equal(rig->api->socket_bind(rig->backend, fd.os_fd, address, &os_error), TINA_OK);
    assert_int_equal(rig->api->socket_local(rig->backend, fd.os_fd, address, &os_error), TINA_OK);
    assert_int_equal(rig->api->socket_listen(rig->backend, fd.os_fd, 8, &os_error), TINA_OK);
    return fd;
}

static void abandon_of_an_accept_frees_the_port_at_once(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    tina_address address = own_loopback();
    for (int round = 0; round < 1000; round++) {
        rig_fd listener = listen_at(&rig, &address);
        rig_submit(&rig, rig_accept(&rig, listener));
        if (round % 3 != 0)
            rig.api->flush(rig.backend, round % 3 == 1 ? 0 : 1);
        rig_abandon(&rig);
        rig_close_fd(&rig, listener);
    }
    rig_close(&rig);
}

/* The same in order. The cancel is over with the turn that hands it over. */
static void cancel_of_an_accept_frees_the_port_at_once(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    tina_address address = own_loopback();
    rig_request *accepting = NULL;
    for (int round = 0; round < 1000; round++) {
        rig_fd listener = listen_at(&rig, &address);
        if (accepting == NULL)
            accepting = rig_accept(&rig, listener);
        accepting->request.os_fd = listener.os_fd;
        accepting->request.slot = listener.slot;
        rig_submit(&rig, accepting);
        if (round % 3 != 0)
            rig_turn(&rig, round % 3 == 1 ? 0 : 1);
        rig_cancel(&rig, accepting);
        rig_turn(&rig, 0);
        assert_true(rig_is_over(accepting));
        assert_int_equal(accepting->completion.status, TINA_CANCELLED);
        rig_close_fd(&rig, listener);
        rig_renew(accepting);
    }
    rig_close(&rig);
}

/* ---- Buffers ---- */

static void abandon_takes_every_buffer_back(void **state)
{
    (void)state;
    enum { PAIRS = 6 };
    test_rig rig;
    open_small(&rig);
    rig_fd fds[PAIRS];
    int others[PAIRS];
    for (int i = 0; i < PAIRS; i++)
        fds[i] = rig_pair(&rig, &others[i]);
    for (uint32_t round = 0; round < small.buffer_count; round++) {
        for (int i = 0; i < PAIRS; i++) {
            rig_submit(&rig, rig_receive(&rig, fds[i], 0));
            if (i % 2 == 0)
                rig_feed(&rig, others[i], "early", 5); /* taken into a buffer that nobody collects */
        }
        rig.api->flush(rig.backend, 0);
        rig_abandon(&rig);
        poison(&rig);
        for (int i = 0; i < PAIRS; i++)
            rig_feed(&rig, others[i], "late", 4);
        assert_nothing_comes(&rig);
        assert_poisoned_but(&rig, TINA__BUFFER_NONE);
        /* One is lent, and it alone is received into. */
        rig.api->lend(rig.backend, round);
        for (int i = 0; i < PAIRS; i++) {
            rig_request *receive = rig_receive(&rig, fds[i], 0);
            assert_int_equal(rig_do(&rig, receive), TINA_OK);
            assert_int_equal(receive->completion.buffer, round);
            assert_memory_equal(rig_data(&rig, receive), "late", 4);
            rig_lend_back(&rig, receive);
        }
        assert_poisoned_but(&rig, round);
        for (uint32_t i = 0; i < small.buffer_count; i++) {
            if (i != round)
                rig.api->lend(rig.backend, i);
        }
    }
    for (int i = 0; i < PAIRS; i++) {
        rig_drop(&rig, others[i]);
        rig_close_fd(&rig, fds[i]);
    }
    rig_close(&rig);
}

/* More than a kernel may take at once: also those that wait for a place there are back. */
static void abandon_takes_buffers_back_by_the_ten_thousand(void **state)
{
    (void)state;
    enum { COUNT = 33000 };
    test_rig rig;
    tina__backend_config config = small;
    config.buffer_count = COUNT;
    config.buffer_size = 64;
    open_config(&rig, config);
    rig_abandon(&rig);
    rig_lend_all(&rig);
    int other;
    rig_fd fd = rig_pair(&rig, &other);
    rig_request *receive = rig_receive(&rig, fd, 0);
    bool *is_used = calloc(COUNT, sizeof *is_used);
    assert_non_null(is_used);
    for (uint32_t i = 0; i < COUNT; i++) {
        rig_feed(&rig, other, "x", 1);
        assert_int_equal(rig_do(&rig, receive), TINA_OK);
        assert_false(is_used[receive->completion.buffer]);
        is_used[receive->completion.buffer] = true;
        rig_renew(receive);
    }
    rig_feed(&rig, other, "x", 1);
    assert_int_equal(rig_do(&rig, receive), TINA_BUSY);
    abandon_and_echo(&rig);
    free(is_used);
    rig_drop(&rig, other);
    rig_close_fd(&rig, fd);
    rig_close(&rig);
}

/* ---- The wake ---- */

static void assert_wake_is_empty(const test_rig *rig)
{
    uint64_t count;
    assert_int_equal(read(rig->config.wake_fd, &count, sizeof count), -1);
    assert_int_equal(errno, EAGAIN);
}

static void wake_around_abandon_ends_the_next_flush(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    int other;
    rig_fd fd = rig_pair(&rig, &other);
    for (int round = 0; round < 60; round++) {
        pthread_t thread;
        rig_submit(&rig, rig_receive(&rig, fd, 0)); /* so that a flush has reason to look */
        bool is_meanwhile = round % 4 == 3;
        if (round % 2 != 0)
            rig_turn(&rig, 1); /* it is watched */
        if (is_meanwhile)
            assert_int_equal(pthread_create(&thread, NULL, rig_wake, &rig), 0);
        else
            assert_non_null(rig_wake(&rig));
        if (round % 3 != 0) /* it may be read now, and nobody hears of it */
            rig.api->flush(rig.backend, 0);
        rig_abandon(&rig);
        if (is_meanwhile)
            assert_int_equal(pthread_join(thread, NULL), 0);
        rig_turn(&rig, TINA_NONE_NS);
        rig_turn(&rig, 1);
        assert_wake_is_empty(&rig);
    }
    rig_lend_all(&rig);
    assert_echoes(&rig);
    rig_drop(&rig, other);
    rig_close_fd(&rig, fd);
    rig_close(&rig);
}

/* It is watched again, and once. */
static void wake_long_after_abandon_ends_a_flush(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    for (int round = 0; round < 20; round++) {
        rig_abandon(&rig);
        rig_turn(&rig, 1);
        rig_turn(&rig, 1);
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, rig_wake, &rig), 0);
        rig_turn(&rig, TINA_NONE_NS);
        assert_int_equal(pthread_join(thread, NULL), 0);
        rig_turn(&rig, 1);
        assert_wake_is_empty(&rig);
    }
    rig_close(&rig);
}

/* ---- Closing ---- */

static void close_with_things_under_way_ends_them(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    test_scene scene;
    set_scene(&scene, &rig);
    rig_fd listeners[2];
    int clients[2];
    accept_two(&rig, listeners, clients);
    int other;
    rig_fd receiving = rig_pair(&rig, &other);
    rig_submit(&rig, rig_receive(&rig, receiving, 0));
    rig_turn(&rig, 1); /* the wake is watched, too */
    poison(&rig);
    damage_requests(&rig);
    rig.api->close(rig.backend);
    rig_feed(&rig, other, "late", 4);
    assert_poisoned_but(&rig, TINA__BUFFER_NONE);
    for (int i = 0; i < 2; i++)
        rig_drop(&rig, listeners[i].os_fd);
    for (uint32_t i = 0; i < rig.used; i++) { /* collected by the turn */
        if (rig.requests[i].completed != 0 && rig.requests[i].completion.os_fd > 0)
            rig_drop(&rig, rig.requests[i].completion.os_fd);
    }
    rig_assert_ended(&rig, clients[0]);
    rig_assert_ended(&rig, clients[1]);
    for (uint32_t i = 0; i < scene.count; i++)
        rig_drop(&rig, scene.fds[i].os_fd);
    rig_drop(&rig, scene.other);
    rig_drop(&rig, receiving.os_fd);
    rig_drop(&rig, other);
    rig_release(&rig);
    assert_int_equal(tina_test_fd_count(), rig.fds_before);
}

static void close_with_an_accepted_descriptor_not_collected_closes_it(void **state)
{
    (void)state;
    test_rig rig;
    open_small(&rig);
    rig_fd listeners[2];
    int clients[2];
    accept_two(&rig, listeners, clients);
    rig.api->close(rig.backend);
    for (int i = 0; i < 2; i++) {
        rig_assert_ended(&rig, clients[i]);
        rig_drop(&rig, listeners[i].os_fd);
    }
    rig_release(&rig);
    assert_int_equal(tina_test_fd_count(), rig.fds_before);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(abandon_of_nothing_leaves_it_as_opened),
        cmocka_unit_test(abandon_of_what_is_under_way_ends_it),
        cmocka_unit_test(abandon_of_what_is_being_cancelled_ends_it),
        cmocka_unit_test(abandon_with_damaged_requests_ends_them),
        cmocka_unit_test(abandon_of_thousands_ends_them),
        cmocka_unit_test(abandon_of_work_on_a_disk_ends_it),
        cmocka_unit_test(abandon_asks_for_no_memory),
        cmocka_unit_test(abandon_closes_what_was_accepted_and_not_collected),
        cmocka_unit_test(abandon_leaves_what_was_accepted_and_collected),
        cmocka_unit_test(abandon_after_a_flush_that_faulted_drops_what_that_had_begun),
        cmocka_unit_test(abandon_after_a_collect_that_faulted_closes_what_that_took),
        cmocka_unit_test(abandon_leaves_no_descriptor_watched),
        cmocka_unit_test(abandon_of_an_accept_frees_the_port_at_once),
        cmocka_unit_test(cancel_of_an_accept_frees_the_port_at_once),
        cmocka_unit_test(abandon_takes_every_buffer_back),
        cmocka_unit_test(abandon_takes_buffers_back_by_the_ten_thousand),
        cmocka_unit_test(wake_around_abandon_ends_the_next_flush),
        cmocka_unit_test(wake_long_after_abandon_ends_a_flush),
        cmocka_unit_test(close_with_things_under_way_ends_them),
        cmocka_unit_test(close_with_an_accepted_descriptor_not_collected_closes_it),
    };
    static const test_unfit unfit[] = {
        {"wake_around_abandon_ends_the_next_flush", "nobody sleeps there"},
        {"wake_long_after_abandon_ends_a_flush", "nobody sleeps there"},
    };
    return run_each(tests, sizeof tests / sizeof tests[0], unfit, sizeof unfit / sizeof unfit[0], argc, argv);
}
