/*
 * The rows of the table of operations (table_test.c): for each, how it is set up so
 * that it waits, what it waits for, how it is done in part, and how its peer goes.
 * Include it after "each.h".
 */
#ifndef TESTS_BACKEND_TABLE_H
#define TESTS_BACKEND_TABLE_H

#include "rig.h"

#define STAGE_PART  4096
#define STAGE_WHOLE 1000000 /* more than any socket, pipe or made window takes at once */

typedef struct stage {
    test_rig rig;
    rig_fd fds[8]; /* the backend's; the operation is on the first */
    uint32_t fd_count;
    int other; /* a far end, or -1 */
    tina_address address;
    rig_request *request;
    uint8_t *data; /* STAGE_WHOLE bytes of a pattern */
} stage;

typedef enum situation {
    SUCCEEDS,
    IN_PART,
    PEER_GONE,
    CANCELLED,
    CANCELLED_BEFORE,
    CANCELLED_AFTER,
    OWNER_DIES,
    WIPED,
    STOPPED,
    SITUATIONS,
} situation;

typedef struct row {
    const char *name;
    void (*set)(stage *self);     /* what it is on, so that it has to wait where it can */
    void (*ask)(stage *self);     /* makes the request; may be called again */
    void (*provide)(stage *self); /* what it waits for happens; NULL: it waits for nobody */
    void (*check)(stage *self);   /* it has succeeded */
    void (*part)(stage *self);    /* instead of ask: one that can be done in part alone */
    void (*check_part)(stage *self);
    void (*leave)(stage *self);   /* the peer goes */
    uint16_t gone;                /* its status then */
    bool is_once;                 /* what it did can't be done again */
    bool is_real;                 /* there is nothing like it on a made network */
    bool has_steps;               /* it may take several turns though it waits for nobody */
    const char *none[SITUATIONS]; /* why it does not come to that */
} row;

static inline bool stage_waits(const row *which) { return which->provide != NULL; }

static inline rig_fd stage_join(stage *self, rig_fd fd)
{
    assert_true(self->fd_count < sizeof self->fds / sizeof self->fds[0]);
    return self->fds[self->fd_count++] = fd;
}

static inline void stage_drop_other(stage *self)
{
    rig_drop(&self->rig, self->other);
    self->other = -1;
}

static inline uint8_t stage_pattern(size_t at) { return (uint8_t)(at * 31 >> 3); }

/* Takes all that is there, which continues the pattern from 0 on; returns how much it was. */
static inline size_t stage_drain(stage *self)
{
    static uint8_t chunk[16384];
    size_t total = 0, wrong = 0;
    for (ssize_t size; (size = rig_read(&self->rig, self->other, chunk, sizeof chunk)) > 0; total += (size_t)size) {
        for (ssize_t i = 0; i < size; i++)
            wrong += chunk[i] != stage_pattern(total + (size_t)i);
    }
    assert_int_equal(wrong, 0);
    return total;
}

/* Likewise, whatever it is. */
static inline void stage_empty(stage *self)
{
    static uint8_t chunk[16384];
    while (rig_read(&self->rig, self->other, chunk, sizeof chunk) > 0)
        continue;
}

/* What was done in part is what came to the other side. */
static inline void check_taken(stage *self)
{
    const tina__io_completion *completion = &self->request->completion;
    assert_true(completion->status == TINA_OK || completion->status == TINA_CANCELLED);
    assert_in_range(completion->size, 1, STAGE_WHOLE - 1);
    assert_int_equal(stage_drain(self), completion->size);
}

static inline void check_some(stage *self)
{
    assert_in_range(self->request->completion.size, 1, STAGE_PART);
    assert_int_equal(self->request->completion.buffer, TINA__BUFFER_NONE);
}

/* ---- Connections ---------------------------------------------------------------------------- */

static inline void set_accept(stage *self) { stage_join(self, rig_listener(&self->rig, TINA_IPV4, 8, &self->address)); }

static inline void ask_accept(stage *self) { self->request = rig_accept(&self->rig, self->fds[0]); }

static inline void provide_client(stage *self)
{
    if (self->other >= 0)
        stage_drop_other(self);
    self->other = rig_dial(&self->rig, &self->address);
}

static inline void check_accepted(stage *self)
{
    assert_true(self->request->completion.os_fd >= 0);
    assert_int_equal(self->request->peer.family, TINA_IPV4);
}

/* Before anybody has accepted it. */
static inline void leave_early(stage *self)
{
    provide_client(self);
    stage_drop_other(self);
}

/* One that can't come to stand. */
static inline bool hangs(test_rig *rig, rig_request *connecting)
{
    rig_submit(rig, connecting);
    for (int i = 0; i < 3 && !rig_is_over(connecting); i++)
        rig_turn(rig, i == 2 ? 1000000 : 0);
    return !rig_is_over(connecting);
}

/* A listener that takes no more connections: fds[1], and those that it took. */
static inline void set_connect(stage *self)
{
    test_rig *rig = &self->rig;
    stage_join(self, rig_socket(rig, TINA_IPV4));
    stage_join(self, rig_listener(rig, TINA_IPV4, 0, &self->address));
    bool is_full = false;
    while (!is_full) {
        rig_fd client = rig_socket(rig, TINA_IPV4);
        rig_request *connecting = rig_connect(rig, client, &self->address);
        is_full = hangs(rig, connecting);
        if (!is_full) {
            stage_join(self, client);
            continue;
        }
        rig_cancel(rig, connecting);
        rig_await(rig, connecting);
        rig_close_fd(rig, client);
    }
}

static inline void ask_connect(stage *self) { self->request = rig_connect(&self->rig, self->fds[0], &self->address); }

/* Those that are in its way are accepted. */
static inline void provide_room_to_connect(stage *self)
{
    test_rig *rig = &self->rig;
    for (uint32_t i = 2; i < self->fd_count; i++) {
        rig_request *accepting = rig_accept(rig, self->fds[1]);
        assert_int_equal(rig_do(rig, accepting), TINA_OK);
        rig_close_fd(rig, rig_adopt(rig, accepting->completion.os_fd));
    }
}

static inline void check_connected(stage *self)
{
    int os_error;
    tina_address peer;
    assert_int_equal(self->rig.api->socket_peer(self->rig.backend, self->fds[0].os_fd, &peer, &os_error), TINA_OK);
    assert_memory_equal(&peer, &self->address, sizeof peer);
}

static inline void leave_listening(stage *self)
{
    rig_close_fd(&self->rig, self->fds[1]);
    self->fds[1] = self->fds[--self->fd_count];
}

/* ---- Streams ------------------------------------------------------------------------------------ */

static inline void set_pair(stage *self) { stage_join(self, rig_pair(&self->rig, &self->other)); }

static inline void ask_receive(stage *self) { self->request = rig_receive(&self->rig, self->fds[0], 0); }

static inline void provide_bytes(stage *self) { rig_feed(&self->rig, self->other, "hello", 5); }

static inline void check_hello(stage *self)
{
    assert_int_equal(self->request->completion.size, 5);
    assert_memory_equal(rig_data(&self->rig, self->request), "hello", 5);
}

static inline void ask_receive_with_less_there(stage *self)
{
    provide_bytes(self);
    self->request = rig_receive(&self->rig, self->fds[0], 6);
}

static inline void set_full_pair(stage *self)
{
    set_pair(self);
    rig_request *sending = rig_send(&self->rig, self->fds[0], self->data, STAGE_PART);
    uint64_t sent = 0;
    rig_fill(&self->rig, sending, &sent);
}

static inline void ask_send(stage *self) { self->request = rig_send(&self->rig, self->fds[0], self->data, STAGE_PART); }

static inline void ask_large_send(stage *self)
{
    stage_empty(self);
    self->request = rig_send(&self->rig, self->fds[0], self->data, STAGE_WHOLE);
}

static inline void set_full_pair_and_file(stage *self)
{
    set_full_pair(self);
    rig_put_file(&self->rig, "sent", self->data, STAGE_WHOLE);
    stage_join(self, rig_file(&self->rig, "sent", TINA_OPEN_READ));
}

static inline void ask_sendfile(stage *self)
{
    self->request = rig_sendfile(&self->rig, self->fds[0], self->fds[1], 0, STAGE_PART);
}

static inline void ask_large_sendfile(stage *self)
{
    stage_empty(self);
    self->request = rig_sendfile(&self->rig, self->fds[0], self->fds[1], 0, STAGE_WHOLE);
}

/* ---- Datagrams ------------------------------------------------------------------------------------ */

/* fds[1] is the other side; address: the first's where it receives, else the second's. */
static inline void set_receiver(stage *self)
{
    tina_address ignored;
    stage_join(self, rig_datagram(&self->rig, TINA_IPV4, &self->address));
    stage_join(self, rig_datagram(&self->rig, TINA_IPV4, &ignored));
}

static inline void ask_receive_from(stage *self) { self->request = rig_receive_from(&self->rig, self->fds[0], 0); }

static inline void provide_datagram(stage *self)
{
    rig_request *sending = rig_send_to(&self->rig, self->fds[1], "hello", 5, &self->address);
    assert_int_equal(rig_do(&self->rig, sending), TINA_OK);
}

static inline void check_datagram(stage *self)
{
    check_hello(self);
    assert_false(self->request->completion.is_truncated);
    int os_error;
    tina_address sender;
    assert_int_equal(self->rig.api->socket_local(self->rig.backend, self->fds[1].os_fd, &sender, &os_error), TINA_OK);
    assert_memory_equal(rig_from(&self->rig, self->request), &sender, sizeof sender);
}

static inline void ask_less_than_a_datagram(stage *self)
{
    provide_datagram(self);
    self->request = rig_receive_from(&self->rig, self->fds[0], 3);
}

static inline void check_truncated(stage *self)
{
    assert_int_equal(self->request->completion.status, TINA_OK);
    assert_int_equal(self->request->completion.size, 3);
    assert_true(self->request->completion.is_truncated);
}

static inline void set_sender(stage *self)
{
    tina_address ignored;
    stage_join(self, rig_datagram(&self->rig, TINA_IPV4, &ignored));
    stage_join(self, rig_datagram(&self->rig, TINA_IPV4, &self->address));
}

static inline void ask_send_to(stage *self)
{
    self->request = rig_send_to(&self->rig, self->fds[0], "hello", 5, &self->address);
}

static inline void check_sent_datagram(stage *self)
{
    assert_int_equal(self->request->completion.size, 5);
    rig_request *receiving = rig_receive_from(&self->rig, self->fds[1], 0);
    assert_int_equal(rig_do(&self->rig, receiving), TINA_OK);
    assert_int_equal(receiving->completion.size, 5);
    rig_lend_back(&self->rig, receiving);
}

/* Nobody tells a socket that is not connected. */
static inline void leave_address(stage *self)
{
    rig_close_fd(&self->rig, self->fds[1]);
    self->fd_count--;
}

/* ---- Pipes ---------------------------------------------------------------------------------------- */

static inline void set_pipe(stage *self, int ours)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    self->other = ends[1 - ours];
    assert_int_equal(fcntl(self->other, F_SETFL, O_NONBLOCK), 0);
    stage_join(self, rig_take_in(&self->rig, ends[ours], TINA__FD_PIPE));
}

static inline void set_pipe_to_read(stage *self) { set_pipe(self, 0); }

static inline void ask_read_pipe(stage *self) { self->request = rig_read_at(&self->rig, self->fds[0], 0, 0); }

static inline void ask_read_pipe_with_less_there(stage *self)
{
    provide_bytes(self);
    self->request = rig_read_at(&self->rig, self->fds[0], 0, 6);
}

/* Not by the backend: its end blocks, and what is under test is that nobody notices. */
static inline void set_full_pipe(stage *self)
{
    set_pipe(self, 1);
    int os_fd = self->fds[0].os_fd;
    assert_int_equal(fcntl(os_fd, F_SETFL, O_NONBLOCK), 0);
    while (write(os_fd, self->data, STAGE_PART) > 0)
        continue;
    assert_int_equal(fcntl(os_fd, F_SETFL, 0), 0);
}

static inline void ask_write_pipe(stage *self)
{
    self->request = rig_write_at(&self->rig, self->fds[0], 0, self->data, STAGE_PART);
}

static inline void ask_large_write_pipe(stage *self)
{
    stage_empty(self);
    self->request = rig_write_at(&self->rig, self->fds[0], 0, self->data, STAGE_WHOLE);
}

/* ---- Files ---------------------------------------------------------------------------------------- */

static inline void set_file(stage *self)
{
    rig_put_file(&self->rig, "file", "hello", 5);
    stage_join(self, rig_file(&self->rig, "file", TINA_OPEN_READ | TINA_OPEN_WRITE));
}

static inline void ask_read_file(stage *self) { self->request = rig_read_at(&self->rig, self->fds[0], 0, 5); }

static inline void ask_read_beyond_the_file(stage *self) { self->request = rig_read_at(&self->rig, self->fds[0], 0, 200); }

static inline void ask_stat(stage *self) { self->request = rig_stat(&self->rig, self->fds[0]); }
static inline void check_stat(stage *self) { assert_int_equal(self->request->completion.size, 5); }

static inline void ask_write_file(stage *self) { self->request = rig_write_at(&self->rig, self->fds[0], 3, "p!", 2); }

static inline void check_written(stage *self)
{
    assert_int_equal(self->request->completion.size, 2);
    rig_assert_file(&self->rig, "file", "help!", 5);
}

static inline void ask_sync(stage *self) { self->request = rig_sync(&self->rig, self->fds[0]); }

static inline void check_nothing_but_status(stage *self)
{
    assert_int_equal(self->request->completion.size, 0);
    assert_int_equal(self->request->completion.os_fd, -1);
}

static inline void ask_truncate(stage *self) { self->request = rig_truncate(&self->rig, self->fds[0], 2); }
static inline void check_truncate(stage *self) { rig_assert_file(&self->rig, "file", "he", 2); }

/* ---- Paths ---------------------------------------------------------------------------------------- */

static inline void set_path(stage *self) { rig_put_file(&self->rig, "file", "hello", 5); }

static inline void ask_open(stage *self)
{
    char path[RIG_PATH_SIZE];
    self->request = rig_open(&self->rig, rig_path(&self->rig, "file", path), TINA_OPEN_READ | TINA_OPEN_WRITE);
}

static inline void check_open(stage *self)
{
    assert_true(self->request->completion.os_fd >= 0);
    assert_int_equal(self->request->completion.fd_class, TINA__FD_FILE);
}

static inline void ask_rename(stage *self)
{
    char path[RIG_PATH_SIZE], new_path[RIG_PATH_SIZE];
    self->request = rig_rename(&self->rig, rig_path(&self->rig, "file", path), rig_path(&self->rig, "renamed", new_path));
}

static inline void check_rename(stage *self)
{
    assert_false(rig_has_file(&self->rig, "file"));
    rig_assert_file(&self->rig, "renamed", "hello", 5);
}

static inline void ask_unlink(stage *self)
{
    char path[RIG_PATH_SIZE];
    self->request = rig_unlink(&self->rig, rig_path(&self->rig, "file", path));
}

static inline void check_unlink(stage *self) { assert_false(rig_has_file(&self->rig, "file")); }

#endif
