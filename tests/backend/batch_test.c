/* Batches of every kind: one that is bad fails alone, and ten thousand at once all complete. */
#define _GNU_SOURCE 1
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "each.h"

/* ---- One bad request among good ones ---- */

/* What the bad ones are made of: what is there, and what is not. */
typedef struct ground {
    test_rig rig;
    rig_fd unknown;        /* no such descriptor */
    rig_fd idle;           /* a stream that is not connected */
    rig_fd talker;         /* a datagram socket */
    rig_fd reader, writer; /* a file, opened for one direction */
    char path[RIG_PATH_SIZE], nothing[RIG_PATH_SIZE];
    tina_address nowhere;
} ground;

typedef struct badness {
    const char *name;
    rig_request *(*ask)(ground *self);
    uint16_t status;
    int os_error;
} badness;

static rig_request *accept_unknown(ground *self) { return rig_accept(&self->rig, self->unknown); }
static rig_request *accept_idle(ground *self) { return rig_accept(&self->rig, self->idle); }
static rig_request *receive_unknown(ground *self) { return rig_receive(&self->rig, self->unknown, 0); }
static rig_request *receive_idle(ground *self) { return rig_receive(&self->rig, self->idle, 0); }
static rig_request *send_unknown(ground *self) { return rig_send(&self->rig, self->unknown, "x", 1); }
static rig_request *send_idle(ground *self) { return rig_send(&self->rig, self->idle, "x", 1); }
static rig_request *connect_unknown(ground *self) { return rig_connect(&self->rig, self->unknown, &self->nowhere); }
static rig_request *sync_unknown(ground *self) { return rig_sync(&self->rig, self->unknown); }
static rig_request *write_reader(ground *self) { return rig_write_at(&self->rig, self->reader, 0, "x", 1); }
static rig_request *read_writer(ground *self) { return rig_read_at(&self->rig, self->writer, 0, 1); }
static rig_request *truncate_reader(ground *self) { return rig_truncate(&self->rig, self->reader, 0); }
static rig_request *open_nothing(ground *self) { return rig_open(&self->rig, self->nothing, TINA_OPEN_READ); }
static rig_request *unlink_nothing(ground *self) { return rig_unlink(&self->rig, self->nothing); }
static rig_request *rename_nothing(ground *self) { return rig_rename(&self->rig, self->nothing, self->path); }
static rig_request *send_to_nobody(ground *self) { return rig_send_to(&self->rig, self->talker, "x", 1, NULL); }

static rig_request *connect_of_no_family(ground *self)
{
    static const tina_address none = {.family = 99};
    return rig_connect(&self->rig, self->idle, &none);
}

static rig_request *receive_from_unknown(ground *self)
{
    rig_fd fd = self->unknown;
    fd.fd_class = TINA__FD_DATAGRAM;
    return rig_receive_from(&self->rig, fd, 0);
}

static rig_request *send_to_unknown(ground *self)
{
    rig_fd fd = self->unknown;
    fd.fd_class = TINA__FD_DATAGRAM;
    return rig_send_to(&self->rig, fd, "x", 1, &self->nowhere);
}

static rig_request *send_to_no_family(ground *self)
{
    static const tina_address none = {.family = 99};
    return rig_send_to(&self->rig, self->talker, "x", 1, &none);
}

static rig_request *of_a_file(rig_request *request)
{
    request->request.fd_class = TINA__FD_FILE;
    return request;
}

static rig_request *read_unknown(ground *self) { return of_a_file(rig_read_at(&self->rig, self->unknown, 0, 1)); }
static rig_request *write_unknown(ground *self) { return of_a_file(rig_write_at(&self->rig, self->unknown, 0, "x", 1)); }
static rig_request *stat_unknown(ground *self) { return of_a_file(rig_stat(&self->rig, self->unknown)); }
static rig_request *truncate_unknown(ground *self) { return of_a_file(rig_truncate(&self->rig, self->unknown, 0)); }
static rig_request *sendfile_unknown(ground *self) { return rig_sendfile(&self->rig, self->unknown, self->reader, 0, 1); }

static const badness all[] = {
    {"accept of no descriptor", accept_unknown, TINA_SYSTEM_ERROR, EBADF},
    {"accept of no listener", accept_idle, TINA_SYSTEM_ERROR, EINVAL},
    {"receive of no descriptor", receive_unknown, TINA_SYSTEM_ERROR, EBADF},
    {"receive of no connection", receive_idle, TINA_SYSTEM_ERROR, ENOTCONN},
    {"send of no descriptor", send_unknown, TINA_SYSTEM_ERROR, EBADF},
    {"send of no connection", send_idle, TINA_RESET, EPIPE},
    {"connect of no descriptor", connect_unknown, TINA_SYSTEM_ERROR, EBADF},
    {"connect of no family", connect_of_no_family, TINA_INVALID, 0},
    {"receive_from of no descriptor", receive_from_unknown, TINA_SYSTEM_ERROR, EBADF},
    {"send_to of no descriptor", send_to_unknown, TINA_SYSTEM_ERROR, EBADF},
    {"send_to of no family", send_to_no_family, TINA_INVALID, 0},
    {"send_to of nobody", send_to_nobody, TINA_SYSTEM_ERROR, EDESTADDRREQ},
    {"sendfile of no descriptor", sendfile_unknown, TINA_SYSTEM_ERROR, EBADF},
    {"read of no descriptor", read_unknown, TINA_SYSTEM_ERROR, EBADF},
    {"read of a file opened for writing", read_writer, TINA_SYSTEM_ERROR, EBADF},
    {"write of no descriptor", write_unknown, TINA_SYSTEM_ERROR, EBADF},
    {"write of a file opened for reading", write_reader, TINA_SYSTEM_ERROR, EBADF},
    {"stat of no descriptor", stat_unknown, TINA_SYSTEM_ERROR, EBADF},
    {"sync of no descriptor", sync_unknown, TINA_SYSTEM_ERROR, EBADF},
    {"truncate of no descriptor", truncate_unknown, TINA_SYSTEM_ERROR, EBADF},
    {"truncate of a file opened for reading", truncate_reader, TINA_SYSTEM_ERROR, EINVAL},
    {"open of no file", open_nothing, TINA_NOT_FOUND, ENOENT},
    {"unlink of no file", unlink_nothing, TINA_NOT_FOUND, ENOENT},
    {"rename of no file", rename_nothing, TINA_NOT_FOUND, ENOENT},
};
enum { ALL = sizeof all / sizeof all[0], GOOD = 8 };

static void open_ground(ground *self)
{
    test_rig *rig = &self->rig;
    open_small(rig);
    self->unknown = (rig_fd){.os_fd = 1 << 20, .slot = small.fd_count - 1};
    self->idle = rig_socket(rig, TINA_IPV4);
    self->talker = rig_datagram(rig, TINA_IPV4, &self->nowhere);
    rig_put_file(rig, "file", "hello", 5);
    (void)rig_path(rig, "file", self->path);
    (void)rig_path(rig, "nothing", self->nothing);
    self->reader = rig_file(rig, "file", TINA_OPEN_READ);
    self->writer = rig_file(rig, "file", TINA_OPEN_WRITE);
}

static void close_ground(ground *self)
{
    rig_close_fd(&self->rig, self->idle);
    rig_close_fd(&self->rig, self->talker);
    rig_close_fd(&self->rig, self->reader);
    rig_close_fd(&self->rig, self->writer);
    rig_assert_file(&self->rig, "file", "hello", 5);
    rig_close(&self->rig);
}

/* Good ones of several kinds, each with what it needs. */
typedef struct company {
    rig_fd pair, file, datagrams[2];
    int other;
    tina_address addresses[2];
    rig_request *requests[GOOD];
} company;

static void gather(company *self, ground *on)
{
    test_rig *rig = &on->rig;
    self->pair = rig_pair(rig, &self->other);
    rig_feed(rig, self->other, "x", 1);
    self->file = rig_file(rig, "file", TINA_OPEN_READ | TINA_OPEN_WRITE);
    for (int i = 0; i < 2; i++)
        self->datagrams[i] = rig_datagram(rig, TINA_IPV4, &self->addresses[i]);
    rig_request *requests[GOOD] = {
        rig_receive(rig, self->pair, 0),
        rig_sync(rig, self->file),
        rig_send_to(rig, self->datagrams[0], "x", 1, &self->addresses[1]),
        rig_open(rig, on->path, TINA_OPEN_READ),
        rig_send(rig, self->pair, "x", 1),
        rig_receive_from(rig, self->datagrams[1], 0),
        rig_read_at(rig, self->file, 0, 1),
        rig_unlink(rig, on->path),
    };
    memcpy(self->requests, requests, sizeof requests);
}

static void expect_good(company *self, ground *on)
{
    test_rig *rig = &on->rig;
    for (int i = 0; i < GOOD; i++) {
        const tina__io_completion *completion = &self->requests[i]->completion;
        bool is_found = completion->status != TINA_NOT_FOUND; /* who is first of open and unlink is not said */
        assert_true(completion->status == TINA_OK || !is_found);
        assert_true(is_found || self->requests[i]->request.kind == TINA__IO_OPEN);
        rig_lend_back(rig, self->requests[i]);
        if (completion->os_fd >= 0)
            rig_close_fd(rig, rig_opened(rig, self->requests[i]));
    }
    rig_close_fd(rig, self->pair);
    rig_close_fd(rig, self->file);
    rig_close_fd(rig, self->datagrams[0]);
    rig_close_fd(rig, self->datagrams[1]);
    rig_drop(rig, self->other);
}

static void submit_among(company *self, ground *on, rig_request *bad, int place)
{
    rig_request *batch[GOOD + 1];
    for (int i = 0; i <= GOOD; i++)
        batch[i] = i == place ? bad : self->requests[i < place ? i : i - 1];
    for (int i = 0; i < GOOD; i++)
        rig_chain(batch[i], batch[i + 1]);
    batch[GOOD]->request.next = NULL;
    rig_submit_list(&on->rig, batch[0]);
    rig_await_all(&on->rig);
}

static void batch_with_one_bad_request_of_any_kind_fails_only_that(void **state)
{
    (void)state;
    static const int places[] = {0, GOOD / 2, GOOD};
    for (size_t i = 0; i < ALL; i++) {
        for (size_t k = 0; k < 3; k++) {
            ground self;
            company others;
            open_ground(&self);
            gather(&others, &self);
            rig_request *bad = all[i].ask(&self);
            submit_among(&others, &self, bad, places[k]);
            if (bad->completion.status != all[i].status || bad->completion.os_error != all[i].os_error)
                print_error("%s: %s, errno %d\n", all[i].name, tina_status_name((tina_status)bad->completion.status),
                            bad->completion.os_error);
            assert_int_equal(bad->completion.status, all[i].status);
            assert_int_equal(bad->completion.os_error, all[i].os_error);
            assert_int_equal(bad->completion.buffer, TINA__BUFFER_NONE);
            assert_int_equal(bad->completion.os_fd, -1);
            expect_good(&others, &self);
            rig_put_file(&self.rig, "file", "hello", 5);
            close_ground(&self);
        }
    }
}

/* ---- Ten thousand ---- */

enum { THOUSANDS = 10000, FILES = 500, PAIRS = 500, TALKERS = 500 };

typedef struct crowd {
    test_rig rig;
    rig_request *last;
    rig_fd fds[FILES + 2 * PAIRS + TALKERS];
    uint32_t fd_count, request_count;
} crowd;

static void join(crowd *self, rig_request *request)
{
    if (self->last != NULL)
        rig_chain(self->last, request);
    self->last = request;
    self->request_count++;
}

static void join_files(crowd *self, uint32_t count)
{
    static const char word[] = "w";
    rig_put_file(&self->rig, "file", "hello", 5);
    uint32_t first = self->fd_count;
    for (uint32_t i = 0; i < count; i++)
        self->fds[self->fd_count++] = rig_file(&self->rig, "file", TINA_OPEN_READ | TINA_OPEN_WRITE);
    self->request_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        join(self, rig_read_at(&self->rig, self->fds[first + i], 1, 1));
        join(self, rig_write_at(&self->rig, self->fds[first + i], 4, word, 1));
    }
}

static void join_pairs(crowd *self, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        int other;
        rig_fd *ends = &self->fds[self->fd_count];
        ends[0] = rig_pair(&self->rig, &other);
        ends[1] = rig_adopt(&self->rig, other);
        self->fd_count += 2;
        for (int k = 0; k < 2; k++) {
            join(self, rig_receive(&self->rig, ends[k], 0));
            join(self, rig_send(&self->rig, ends[k], ends, 1));
        }
    }
}

/* Each to itself. */
static void join_talkers(crowd *self, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        tina_address address;
        rig_fd fd = self->fds[self->fd_count++] = rig_datagram(&self->rig, TINA_IPV4, &address);
        join(self, rig_receive_from(&self->rig, fd, 0));
        join(self, rig_send_to(&self->rig, fd, &self->fds[0], 1, &address));
    }
}

/* Of what is not there: as many as are missing. */
static void join_names(crowd *self, uint32_t count)
{
    char path[RIG_PATH_SIZE], new_path[RIG_PATH_SIZE];
    (void)rig_path(&self->rig, "nothing", path);
    (void)rig_path(&self->rig, "more", new_path);
    while (self->request_count < count)
        join(self, self->request_count % 2 == 0 ? rig_unlink(&self->rig, path) : rig_rename(&self->rig, path, new_path));
}

static void batch_of_ten_thousand_of_every_kind_completes_all(void **state)
{
    (void)state;
    static crowd self;
    memset(&self, 0, sizeof self);
    uint32_t share = rig_descriptors_for_us(wanted, FILES + 2 * PAIRS + TALKERS) / 4;
    open_config(&self.rig, (tina__backend_config){.op_count = THOUSANDS + FILES + 8,
                                                  .fd_count = 4 * share,
                                                  .buffer_count = 4 * share,
                                                  .buffer_size = 64,
                                                  .file_threads = 2});
    join_files(&self, share);
    join_pairs(&self, share);
    join_talkers(&self, share);
    join_names(&self, THOUSANDS);
    uint32_t first = self.rig.used - THOUSANDS;
    rig_submit_list(&self.rig, &self.rig.requests[first]);
    rig_await_all(&self.rig);
    for (uint32_t i = 0; i < THOUSANDS; i++) {
        rig_request *request = &self.rig.requests[first + i];
        bool has_fd = tina__io_has_fd(request->request.kind);
        assert_int_equal(request->completion.status, has_fd ? TINA_OK : TINA_NOT_FOUND);
        assert_int_equal(request->completion.size, has_fd);
        rig_lend_back(&self.rig, request);
    }
    for (uint32_t i = 0; i < self.fd_count; i++)
        rig_close_fd(&self.rig, self.fds[i]);
    rig_assert_file(&self.rig, "file", "hellw", 5);
    rig_close(&self.rig);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batch_with_one_bad_request_of_any_kind_fails_only_that),
        cmocka_unit_test(batch_of_ten_thousand_of_every_kind_completes_all),
    };
    return run_each(tests, sizeof tests / sizeof tests[0], NULL, 0, argc, argv);
}
