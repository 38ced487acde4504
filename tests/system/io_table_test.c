/*
 * Every operation in every situation, on every backend: through the public API, by
 * one isolate that owns both ends. A cell of the table is a system of its own: it
 * boots, something happens to one operation, it ends, and nothing is left.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/leaks.h"
#include "support/witness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MS       1000000ull
#define SUBJECT  77u        /* the user word of the operation that a cell is about */
#define MUCH     (8u << 20) /* more than a connection with small windows takes without a reader */
#define SMALL    16384      /* such a window */
#define CONTENT  "abcdefgh"
#define CONTENTS 8u

/* ---- The table ------------------------------------------------------------------------------- */

typedef enum situation {
    SUCCESS,
    PARTIAL,
    PEER_GONE,
    DEADLINE,
    CANCEL_BEFORE,
    CANCEL_AFTER,
    OWNER_DIES,
    SHARD_WIPED,
    STOP,
    SITUATION_COUNT
} situation;

static const char *const situation_names[] = {"success",      "partial",    "peer gone",   "deadline", "cancel before",
                                              "cancel after", "owner dies", "shard wiped", "stop"};

typedef enum place { LISTENER, APART, CONNECTED, DATAGRAMS, A_FILE, FILE_AND_CONNECTION, NOWHERE } place;

typedef struct row {
    const char *name;
    tina_tag kind;
    place on;
    bool waits;            /* left alone, it does not end */
    bool has_path;         /* instead of a descriptor: there is nothing by which to cancel it */
    tina_status partial;   /* what it comes to where not all can be done; DISMISSED: there is no such thing */
    uint64_t partial_size; /* 0: more than nothing, and less than all */
    tina_status gone;      /* where its peer goes; DISMISSED: it has none that could be missed */
} row;

#define DISMISSED TINA_SYSTEM_ERROR

static const row rows[] = {
    {"accept", TINA_IO_ACCEPT, LISTENER, true, false, DISMISSED, 0, DISMISSED},
    {"connect", TINA_IO_CONNECT, APART, false, false, DISMISSED, 0, TINA_REFUSED},
    {"send", TINA_IO_SEND, CONNECTED, true, false, TINA_TIMED_OUT, 0, TINA_RESET},
    {"recv", TINA_IO_RECV, CONNECTED, true, false, TINA_OK, 3, TINA_CLOSED},
    {"sendto", TINA_IO_SENDTO, DATAGRAMS, false, false, DISMISSED, 0, DISMISSED},
    {"recvfrom", TINA_IO_RECVFROM, DATAGRAMS, true, false, TINA_OK, 3, DISMISSED},
    {"read", TINA_IO_READ, A_FILE, false, false, TINA_OK, CONTENTS, DISMISSED},
    {"write", TINA_IO_WRITE, A_FILE, false, false, DISMISSED, 0, DISMISSED},
    {"sendfile", TINA_IO_SENDFILE, FILE_AND_CONNECTION, true, false, TINA_TIMED_OUT, 0, TINA_RESET},
    {"sync", TINA_IO_SYNC, A_FILE, false, false, DISMISSED, 0, DISMISSED},
    {"stat", TINA_IO_STAT, A_FILE, false, false, DISMISSED, 0, DISMISSED},
    {"truncate", TINA_IO_TRUNCATE, A_FILE, false, false, DISMISSED, 0, DISMISSED},
    {"open", TINA_IO_OPEN, NOWHERE, false, true, DISMISSED, 0, DISMISSED},
    {"rename", TINA_IO_RENAME, A_FILE, false, true, DISMISSED, 0, DISMISSED},
    {"unlink", TINA_IO_UNLINK, A_FILE, false, true, DISMISSED, 0, DISMISSED},
};

static bool is_a_cell(const row *on, situation what)
{
    switch (what) {
    case PARTIAL: return on->partial != DISMISSED;
    case PEER_GONE: return on->gone != DISMISSED;
    case CANCEL_BEFORE:
    case CANCEL_AFTER: return !on->has_path;
    default: return true;
    }
}

static bool is_between_sockets(const row *on) { return on->on != A_FILE && on->on != NOWHERE; }

/* ---- A cell -------------------------------------------------------------------------------------- */

typedef struct cell {
    const row *row;
    situation what;
    uint8_t family;
    unsigned number; /* makes its names its own */
    char path[200], other_path[200];
    /* What came of it. */
    unsigned lives, told;
    tina_status status;
    uint64_t size;
    bool is_truncated;
    const char *failed; /* where it could not be set up */
    tina_status failed_status;
} cell;

static uint8_t much[MUCH];

typedef struct subject {
    tina_fd listener, near, far, file, idle;
    tina_address address, far_address;
    int step;
} subject;

static tina_effect give_up(cell *here, const char *where, tina_status status, tina_ctx *ctx)
{
    here->failed = where;
    here->failed_status = status;
    tina_stop_system(ctx);
    return tina_receive();
}

#define TRY(call)                                                                                                           \
    do {                                                                                                                    \
        tina_status status_ = (call);                                                                                       \
        if (status_ != TINA_OK)                                                                                             \
            return give_up(here, #call, status_, ctx);                                                                      \
    } while (0)

/* ---- Setting it up: each step returns what to wait for; the last one runs the cell ------------------ */

static tina_effect run(cell *here, subject *me, tina_ctx *ctx);

static tina_address own_address(const cell *here, char which)
{
    if (here->family == TINA_IPV4)
        return tina_ipv4(127, 0, 0, 1, 0);
    char name[80];
    snprintf(name, sizeof name, "?tina-table-%d-%u-%c", (int)getpid(), here->number, which);
    tina_address address = tina_unix(name);
    address.path[0] = '\0'; /* in the abstract namespace: nothing stays behind */
    return address;
}

static tina_effect listen_somewhere(cell *here, subject *me, tina_ctx *ctx)
{
    me->address = own_address(here, 'l');
    TRY(tina_socket(ctx, here->family, TINA_STREAM, &me->listener));
    TRY(tina_setsockopt(ctx, me->listener, TINA_OPT_RCVBUF, SMALL));
    TRY(tina_bind(ctx, me->listener, &me->address));
    TRY(tina_listen(ctx, me->listener, 16));
    TRY(tina_local_address(ctx, me->listener, &me->address));
    TRY(tina_socket(ctx, here->family, TINA_STREAM, &me->near));
    TRY(tina_setsockopt(ctx, me->near, TINA_OPT_SNDBUF, SMALL));
    if (here->row->on == LISTENER || here->row->on == APART)
        return run(here, me, ctx);
    tina_op accept = {.kind = TINA_IO_ACCEPT, .fd = me->listener};
    TRY(tina_io_start(ctx, &accept));
    me->step = 1;
    return tina_io_connect(ctx, me->near, &me->address, 0);
}

static tina_effect bind_datagrams(cell *here, subject *me, tina_ctx *ctx)
{
    me->address = own_address(here, 'n');
    me->far_address = own_address(here, 'f');
    TRY(tina_socket(ctx, here->family, TINA_DATAGRAM, &me->near));
    TRY(tina_bind(ctx, me->near, &me->address));
    TRY(tina_local_address(ctx, me->near, &me->address));
    TRY(tina_socket(ctx, here->family, TINA_DATAGRAM, &me->far));
    TRY(tina_bind(ctx, me->far, &me->far_address));
    TRY(tina_local_address(ctx, me->far, &me->far_address));
    return run(here, me, ctx);
}

static tina_effect open_file(cell *here, subject *me, tina_ctx *ctx)
{
    me->step = 10;
    tina_op open = {.kind = TINA_IO_OPEN,
                    .path = here->path,
                    .flags = TINA_OPEN_READ | TINA_OPEN_WRITE | TINA_OPEN_CREATE | TINA_OPEN_TRUNCATE};
    return tina_io(ctx, &open);
}

static tina_effect set_up(cell *here, subject *me, tina_ctx *ctx)
{
    TRY(tina_socket(ctx, TINA_IPV4, TINA_DATAGRAM, &me->idle)); /* something on which to wait in vain */
    tina_address any = tina_ipv4(127, 0, 0, 1, 0);
    TRY(tina_bind(ctx, me->idle, &any));
    switch (here->row->on) {
    case DATAGRAMS: return bind_datagrams(here, me, ctx);
    case A_FILE: return open_file(here, me, ctx);
    case NOWHERE: return run(here, me, ctx);
    default: return listen_somewhere(here, me, ctx);
    }
}

static tina_effect go_on_setting_up(cell *here, subject *me, const tina_message *message, tina_ctx *ctx)
{
    if (message->tag >= TINA_IO_READ && message->tag <= TINA_IO_UNLINK)
        TRY((tina_status)message->io.status);
    switch (me->step) {
    case 1: me->step = 2; return tina_receive(); /* connected; now accepted */
    case 2:
        me->far = message->io.fd;
        return here->row->on == FILE_AND_CONNECTION ? open_file(here, me, ctx) : run(here, me, ctx);
    case 10: {
        me->file = message->io.fd;
        me->step = 11;
        tina_op write = {.kind = TINA_IO_WRITE, .fd = me->file, .data = CONTENT, .size = CONTENTS};
        return tina_io(ctx, &write);
    }
    case 11: {
        if (here->row->on == A_FILE)
            return run(here, me, ctx);
        me->step = 12;
        tina_op grow = {.kind = TINA_IO_TRUNCATE, .fd = me->file, .size = MUCH};
        return tina_io(ctx, &grow);
    }
    default: return run(here, me, ctx);
    }
}

/* ---- The operation, and what happens to it ------------------------------------------------------------- */

static tina_op make_op(const cell *here, const subject *me)
{
    const row *on = here->row;
    bool is_short = here->what == SUCCESS || here->what == CANCEL_AFTER;
    tina_op op = {.kind = on->kind, .fd = me->near, .user = SUBJECT};
    switch (on->kind) {
    case TINA_IO_ACCEPT: op.fd = me->listener; break;
    case TINA_IO_CONNECT: op.address = &me->address; break;
    case TINA_IO_SEND:
        op.data = much;
        op.size = is_short ? CONTENTS : MUCH;
        break;
    case TINA_IO_RECV:
    case TINA_IO_RECVFROM: op.size = here->what == PARTIAL ? 3 : 0; break;
    case TINA_IO_SENDTO:
        op.address = &me->far_address;
        op.data = CONTENT;
        op.size = CONTENTS;
        break;
    case TINA_IO_SENDFILE:
        op.file = me->file;
        op.size = is_short ? CONTENTS : 0;
        break;
    case TINA_IO_OPEN:
        op.path = here->other_path;
        op.flags = TINA_OPEN_WRITE | TINA_OPEN_CREATE;
        break;
    case TINA_IO_RENAME:
        op.path = here->path;
        op.new_path = here->other_path;
        break;
    case TINA_IO_UNLINK: op.path = here->path; break;
    case TINA_IO_WRITE:
        op.data = CONTENT;
        op.size = CONTENTS;
        op.offset = 100;
        break;
    case TINA_IO_READ: op.size = 100; break;
    case TINA_IO_TRUNCATE: op.size = 3; break;
    default: break;
    }
    if (on->on == A_FILE)
        op.fd = me->file;
    return op;
}

/* What it would otherwise wait for. */
static tina_status make_possible(const cell *here, const subject *me, tina_ctx *ctx)
{
    tina_op other = {.fd = me->far, .data = CONTENT, .size = CONTENTS};
    switch (here->row->kind) {
    case TINA_IO_ACCEPT:
        other = (tina_op){.kind = TINA_IO_CONNECT, .fd = me->near, .address = &me->address};
        return tina_io_start(ctx, &other);
    case TINA_IO_RECV: other.kind = TINA_IO_SEND; return tina_io_start(ctx, &other);
    case TINA_IO_RECVFROM:
        other.kind = TINA_IO_SENDTO;
        other.address = &me->address;
        return tina_io_start(ctx, &other);
    default: return TINA_OK;
    }
}

static tina_effect lose_the_peer(cell *here, const subject *me, tina_ctx *ctx)
{
    tina_op op = make_op(here, me);
    if (here->row->kind == TINA_IO_CONNECT) {
        tina_op close = {.kind = TINA_IO_CLOSE, .fd = me->listener};
        TRY(tina_io_start(ctx, &close));
        return tina_io(ctx, &op);
    }
    bool is_rude = here->row->kind != TINA_IO_RECV;
    if (is_rude && here->family == TINA_IPV4)
        TRY(tina_setsockopt(ctx, me->far, TINA_OPT_LINGER, 0));
    TRY(tina_io_start(ctx, &op));
    tina_op close = {.kind = TINA_IO_CLOSE, .fd = me->far};
    TRY(tina_io_start(ctx, &close));
    return tina_receive();
}

/* The isolate is busy elsewhere until the operation is long over, and only then cancels it. */
static tina_effect wait_in_vain(cell *here, subject *me, tina_ctx *ctx)
{
    tina_op op = make_op(here, me);
    TRY(make_possible(here, me, ctx));
    TRY(tina_io_start(ctx, &op));
    me->step = 100;
    tina_op wait = {.kind = TINA_IO_RECVFROM, .fd = me->idle, .timeout_ns = 200 * MS};
    return tina_io(ctx, &wait);
}

static tina_effect die(const cell *here)
{
    if (here->what == OWNER_DIES)
        return tina_crash(9);
    __builtin_trap(); /* its type's containment is the shard */
}

static tina_effect run(cell *here, subject *me, tina_ctx *ctx)
{
    me->step = 50;
    tina_op op = make_op(here, me);
    switch (here->what) {
    case SUCCESS:
    case PARTIAL:
        if (here->what == PARTIAL && here->row->partial == TINA_TIMED_OUT)
            op.timeout_ns = 50 * MS;
        TRY(make_possible(here, me, ctx));
        return tina_io(ctx, &op);
    case PEER_GONE: return lose_the_peer(here, me, ctx);
    case DEADLINE: op.timeout_ns = here->row->waits ? 20 * MS : 1; return tina_io(ctx, &op);
    case CANCEL_AFTER: return wait_in_vain(here, me, ctx);
    default: break;
    }
    TRY(tina_io_start(ctx, &op));
    switch (here->what) {
    case CANCEL_BEFORE: tina_io_cancel(ctx, op.fd, TINA_BOTH_HALVES); return tina_receive();
    case STOP: tina_stop_system(ctx); return tina_receive();
    default: return die(here);
    }
}

/* ---- The isolate ------------------------------------------------------------------------------------------ */

static tina_effect subject_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)args, (void)args_size;
    cell *here = tina_user(ctx);
    if (here->lives++ == 0)
        return set_up(here, self, ctx);
    tina_stop_system(ctx); /* its second life: that is all */
    return tina_receive();
}

static tina_effect told(cell *here, const tina_message *message, tina_ctx *ctx)
{
    here->told++;
    here->status = (tina_status)message->io.status;
    here->size = message->io.size;
    here->is_truncated = (message->io.flags & TINA_IO_TRUNCATED) != 0;
    tina_stop_system(ctx);
    return tina_receive();
}

static tina_effect subject_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    cell *here = tina_user(ctx);
    subject *me = self;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (here->lives > 1 || here->failed != NULL)
        return tina_receive();
    bool is_it = message->tag == here->row->kind && message->io.user == SUBJECT;
    if (is_it)
        return told(here, message, ctx);
    if (me->step < 50)
        return go_on_setting_up(here, me, message, ctx);
    if (me->step == 100 && message->tag == TINA_IO_RECVFROM) {
        tina_io_cancel(ctx, make_op(here, me).fd, TINA_BOTH_HALVES);
        me->step = 101;
    }
    return tina_receive();
}

/* ---- Judging ---------------------------------------------------------------------------------------------------- */

static bool is_partial(const cell *here)
{
    const row *on = here->row;
    if (here->status != on->partial)
        return false;
    if (on->kind == TINA_IO_RECVFROM && !here->is_truncated)
        return false;
    return on->partial_size != 0 ? here->size == on->partial_size : here->size > 0 && here->size < MUCH;
}

static bool was_stopped(const cell *here, tina_status how)
{
    return here->status == how || (!here->row->waits && here->status == TINA_OK);
}

static bool is_as_expected(const cell *here)
{
    if (here->failed != NULL)
        return false;
    switch (here->what) {
    case SUCCESS:
    case CANCEL_AFTER: return here->told == 1 && here->status == TINA_OK;
    case PARTIAL: return here->told == 1 && is_partial(here);
    case PEER_GONE: return here->told == 1 && here->status == here->row->gone;
    case DEADLINE: return here->told == 1 && was_stopped(here, TINA_TIMED_OUT);
    case CANCEL_BEFORE: return here->told == 1 && was_stopped(here, TINA_CANCELLED);
    case OWNER_DIES:
    case SHARD_WIPED: return here->told == 0 && here->lives == 2;
    default: return here->told <= 1;
    }
}

static unsigned wrong_count;

static void judge(const cell *here, uint8_t backend)
{
    if (is_as_expected(here))
        return;
    wrong_count++;
    print_error("%s, %s, backend %u, family %u: told %u times, %s, size %ju, %u lives%s%s %s\n", here->row->name,
                situation_names[here->what], backend, here->family, here->told, tina_status_name(here->status),
                (uintmax_t)here->size, here->lives, here->failed != NULL ? "; failed: " : "",
                here->failed != NULL ? here->failed : "", here->failed != NULL ? tina_status_name(here->failed_status) : "");
}

/* ---- Running ------------------------------------------------------------------------------------------------------ */

static tina_type types[] = {{
    .name = "subject",
    .init = subject_init,
    .handler = subject_handle,
    .size = sizeof(subject),
    .containment = TINA_CONTAIN_SHARD,
}};
static const tina_child children[] = {{.type = 0}};

static void run_simulated(const tina_system_spec *spec)
{
    tina_sim_config config = {.seed = 1, .ticks_max = 100000};
    tina_sim_report report;
    tina_error error;
    tina_status status = tina_simulate(spec, &config, &report, &error);
    if (status != TINA_OK || report.end != TINA_SIM_STOPPED) {
        wrong_count++;
        print_error("simulation: %s, end %u: %s %s\n", tina_status_name(status), report.end, report.violation,
                    status != TINA_OK ? error.message : "");
    }
    assert_int_equal(report.total.fds.used, 0);
    assert_int_equal(report.total.ops.used, 0);
    assert_int_equal(report.total.buffers.used, 0);
    assert_int_equal(report.total.io_submitted, report.total.io_completed);
}

static void run_cell(cell *here, uint8_t backend)
{
    tina_system_spec spec = {
        .types = types,
        .type_count = 1,
        .shard_count = 1,
        .root = {.children = children, .child_count = 1},
        .user = here,
        .development = true,
        .fd_count = 16,
        .op_count = 32,
        .buffer_count = 32,
        .backend = backend == TINA_BACKEND_SIM ? 0 : backend,
    };
    if (backend == TINA_BACKEND_SIM) {
        run_simulated(&spec);
    } else {
        tina_system *system = tina_test_start(&spec);
        tina_test_join(system, NULL);
    }
    judge(here, backend);
}

static unsigned cell_count;
static char directory[] = "/tmp/tina-table-XXXXXX";

static void run_row(const row *on, situation what, uint8_t family, uint8_t backend)
{
    cell made = {.row = on, .what = what, .family = family, .number = ++cell_count};
    snprintf(made.path, sizeof made.path, "%s/%u", directory, made.number);
    snprintf(made.other_path, sizeof made.other_path, "%s/%u-other", directory, made.number);
    size_t fds_before = tina_test_fd_count();
    run_cell(&made, backend);
    assert_int_equal(tina_test_fd_count(), fds_before);
    unlink(made.path);
    unlink(made.other_path);
}

static void run_situation(situation what)
{
    uint8_t backends[3];
    size_t backend_count = tina_test_backends(backends);
    backends[backend_count++] = TINA_BACKEND_SIM;
    wrong_count = 0;
    for (size_t b = 0; b < backend_count; b++) {
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            if (!is_a_cell(&rows[i], what))
                continue;
            run_row(&rows[i], what, TINA_IPV4, backends[b]);
            if (is_between_sockets(&rows[i]))
                run_row(&rows[i], what, TINA_UNIX, backends[b]);
        }
    }
    assert_int_equal(wrong_count, 0);
}

#define SITUATION_TEST(name, what)                                                                                          \
    static void name(void **state)                                                                                          \
    {                                                                                                                       \
        (void)state;                                                                                                        \
        run_situation(what);                                                                                                \
    }

SITUATION_TEST(each_operation_succeeds, SUCCESS)
SITUATION_TEST(each_that_can_be_partial_says_how_much, PARTIAL)
SITUATION_TEST(each_with_a_peer_hears_that_it_is_gone, PEER_GONE)
SITUATION_TEST(each_past_its_deadline_is_timed_out_or_done, DEADLINE)
SITUATION_TEST(each_cancelled_at_once_is_cancelled_or_done, CANCEL_BEFORE)
SITUATION_TEST(each_cancelled_when_it_is_over_says_what_it_did, CANCEL_AFTER)
SITUATION_TEST(each_whose_owner_dies_leaves_nothing, OWNER_DIES)
SITUATION_TEST(each_whose_shard_is_wiped_leaves_nothing, SHARD_WIPED)
SITUATION_TEST(each_under_way_at_the_stop_leaves_nothing, STOP)

static int make_directory(void **state)
{
    (void)state;
    return mkdtemp(directory) == NULL;
}

static int remove_directory(void **state)
{
    (void)state;
    return rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_operation_succeeds),
        cmocka_unit_test(each_that_can_be_partial_says_how_much),
        cmocka_unit_test(each_with_a_peer_hears_that_it_is_gone),
        cmocka_unit_test(each_past_its_deadline_is_timed_out_or_done),
        cmocka_unit_test(each_cancelled_at_once_is_cancelled_or_done),
        cmocka_unit_test(each_cancelled_when_it_is_over_says_what_it_did),
        cmocka_unit_test(each_whose_owner_dies_leaves_nothing),
        cmocka_unit_test(each_whose_shard_is_wiped_leaves_nothing),
        cmocka_unit_test(each_under_way_at_the_stop_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
