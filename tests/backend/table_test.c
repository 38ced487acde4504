/*
 * The table: each operation in each situation, on every backend. Here are the
 * situations, a function each, and which operation comes to which; what differs by
 * operation is in table.h. A deadline is a cancel, at this level.
 *
 * After each cell nothing is under way, no buffer is held and no descriptor open.
 */
#define _GNU_SOURCE 1
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "each.h"
#include "table.h"

/* ---- A stage ---- */

static void build(stage *self, const row *which)
{
    open_small(&self->rig);
    self->fd_count = 0;
    self->other = -1;
    self->data = malloc(STAGE_WHOLE);
    assert_non_null(self->data);
    for (size_t i = 0; i < STAGE_WHOLE; i++)
        self->data[i] = stage_pattern(i);
    which->set(self);
}

/* What it brought is taken over, and given back. */
static void settle(stage *self)
{
    tina__io_completion *completion = &self->request->completion;
    assert_true(rig_is_over(self->request));
    rig_lend_back(&self->rig, self->request);
    if (completion->os_fd >= 0)
        stage_join(self, rig_adopt_as(&self->rig, completion->os_fd, completion->fd_class));
}

static void strike(stage *self)
{
    for (uint32_t i = 0; i < self->fd_count; i++)
        rig_close_fd(&self->rig, self->fds[i]);
    if (self->other >= 0)
        stage_drop_other(self);
    rig_close(&self->rig);
    free(self->data);
}

static void provide(stage *self, const row *which)
{
    if (stage_waits(which))
        which->provide(self);
}

static void succeed(stage *self, const row *which)
{
    rig_await(&self->rig, self->request);
    assert_int_equal(self->request->completion.status, TINA_OK);
    assert_int_equal(self->request->completion.os_error, 0);
    which->check(self);
    settle(self);
}

/* It waits, after so many turns; what does not may be over. */
static void linger(stage *self, const row *which, int turns)
{
    for (int i = 0; i < turns; i++)
        rig_turn(&self->rig, 0);
    if (stage_waits(which))
        assert_false(rig_is_over(self->request));
}

/* Once more from the start on, on the same descriptors. has_been: it was done once, and may not have to wait any more. */
static void do_again(stage *self, const row *which, bool has_been)
{
    if (which->is_once)
        return;
    which->ask(self);
    if (has_been)
        provide(self, which);
    rig_submit(&self->rig, self->request);
    if (!has_been) {
        linger(self, which, 2);
        provide(self, which);
    }
    succeed(self, which);
}

/* ---- Situations ---- */

static void succeeds(const row *which)
{
    for (int turns = 0; turns < 3; turns++) {
        stage self;
        build(&self, which);
        which->ask(&self);
        rig_submit(&self.rig, self.request);
        linger(&self, which, turns);
        provide(&self, which);
        succeed(&self, which);
        strike(&self);
    }
    stage self;
    build(&self, which);
    which->ask(&self);
    provide(&self, which);
    rig_submit(&self.rig, self.request);
    succeed(&self, which);
    strike(&self);
}

static bool has_begun(stage *self)
{
    struct pollfd come = {.fd = self->other, .events = POLLIN};
    return rig_is_made(&self->rig) || poll(&come, 1, 0) == 1;
}

/* What goes on by itself until all of it is done is stopped on the way, after something of it has come. */
static void is_done_in_part(const row *which)
{
    stage self;
    build(&self, which);
    which->part(&self);
    rig_submit(&self.rig, self.request);
    bool is_to_stop = stage_waits(which);
    for (int i = 0; i < 10 * RIG_WAITS_MAX && is_to_stop && !rig_is_over(self.request) && !has_begun(&self); i++)
        rig_turn(&self.rig, 1000000);
    rig_turn(&self.rig, 0);
    if (is_to_stop && !rig_is_over(self.request))
        rig_cancel(&self.rig, self.request);
    rig_await(&self.rig, self.request);
    which->check_part(&self);
    settle(&self);
    strike(&self);
}

static void loses_its_peer(const row *which)
{
    for (int turns = 0; turns < 3; turns++) {
        stage self;
        build(&self, which);
        which->ask(&self);
        bool is_late = turns == 2 || !stage_waits(which);
        if (!is_late) {
            rig_submit(&self.rig, self.request);
            linger(&self, which, 2 * turns);
        }
        which->leave(&self);
        if (is_late)
            rig_submit(&self.rig, self.request);
        rig_await(&self.rig, self.request);
        assert_int_equal(self.request->completion.status, which->gone);
        settle(&self);
        strike(&self);
    }
}

/* What works on a disk may be over before its end could be asked for. */
static void expect_cancelled(stage *self, const row *which)
{
    rig_await(&self->rig, self->request);
    uint16_t status = self->request->completion.status;
    if (stage_waits(which))
        assert_int_equal(status, TINA_CANCELLED);
    else
        assert_true(status == TINA_OK || status == TINA_CANCELLED);
    if (status == TINA_CANCELLED) {
        assert_int_equal(self->request->completion.buffer, TINA__BUFFER_NONE);
        assert_int_equal(self->request->completion.size, 0);
        assert_int_equal(self->request->completion.os_fd, -1);
    }
    settle(self);
    rig_turn(&self->rig, 0);
}

static void is_cancelled(const row *which)
{
    for (int turns = 1; turns < 4; turns++) {
        stage self;
        build(&self, which);
        which->ask(&self);
        rig_submit(&self.rig, self.request);
        linger(&self, which, turns);
        if (!rig_is_over(self.request))
            rig_cancel(&self.rig, self.request);
        if (turns > 1 && !rig_is_over(self.request))
            rig_cancel(&self.rig, self.request); /* twice is once */
        expect_cancelled(&self, which);
        do_again(&self, which, false);
        strike(&self);
    }
}

static void is_cancelled_before_it_is_handed_over(const row *which)
{
    stage self;
    build(&self, which);
    which->ask(&self);
    rig_submit(&self.rig, self.request);
    rig_cancel(&self.rig, self.request);
    expect_cancelled(&self, which);
    do_again(&self, which, false);
    strike(&self);
}

/* Over, and not collected: it did what it did. */
static void is_cancelled_after_it_is_over(const row *which)
{
    stage self;
    build(&self, which);
    which->ask(&self);
    provide(&self, which);
    rig_submit(&self.rig, self.request);
    self.rig.api->flush(self.rig.backend, RIG_PATIENCE_NS);
    rig_cancel(&self.rig, self.request);
    rig_await(&self.rig, self.request);
    bool is_done = self.request->completion.status == TINA_OK;
    bool may_go_on = !stage_waits(which) || which->has_steps;
    assert_true(is_done || (may_go_on && self.request->completion.status == TINA_CANCELLED));
    if (is_done)
        which->check(&self);
    settle(&self);
    rig_turn(&self.rig, 0);
    do_again(&self, which, true);
    strike(&self);
}

enum { SUBMITTED, HANDED_OVER, BEING_CANCELLED, COMPLETED, MOMENTS };

/* Under way, or over and not collected. */
static void bring_to(stage *self, const row *which, int moment)
{
    which->ask(self);
    if (moment == COMPLETED)
        provide(self, which);
    rig_submit(&self->rig, self->request);
    if (moment == HANDED_OVER || moment == BEING_CANCELLED)
        self->rig.api->flush(self->rig.backend, 0);
    if (moment == BEING_CANCELLED)
        rig_cancel(&self->rig, self->request);
    if (moment == COMPLETED)
        self->rig.api->flush(self->rig.backend, RIG_PATIENCE_NS);
}

/* Whatever comes now was not asked for. */
static void expect_nothing(stage *self)
{
    tina__io_completion completion;
    for (int i = 0; i < 3; i++) {
        self->rig.api->flush(self->rig.backend, 0);
        assert_int_equal(self->rig.api->collect(self->rig.backend, &completion, 1), 0);
    }
}

static void is_abandoned(const row *which)
{
    for (int moment = 0; moment < MOMENTS; moment++) {
        stage self;
        build(&self, which);
        bring_to(&self, which, moment);
        rig_abandon(&self.rig);
        expect_nothing(&self);
        strike(&self);
    }
}

static void is_done_again_after_abandon(const row *which)
{
    for (int moment = 0; moment < COMPLETED; moment++) {
        stage self;
        build(&self, which);
        bring_to(&self, which, moment);
        rig_abandon(&self.rig);
        rig_lend_all(&self.rig);
        do_again(&self, which, false);
        strike(&self);
    }
}

static void is_under_way_at_the_close(const row *which)
{
    for (int moment = 0; moment < MOMENTS; moment++) {
        stage self;
        build(&self, which);
        bring_to(&self, which, moment);
        self.rig.api->close(self.rig.backend);
        for (uint32_t i = 0; i < self.fd_count; i++)
            rig_drop(&self.rig, self.fds[i].os_fd);
        if (self.other >= 0)
            stage_drop_other(&self);
        rig_release(&self.rig);
        assert_int_equal(tina_test_fd_count(), self.rig.fds_before);
        free(self.data);
    }
}

/* ---- The table ---- */

typedef struct column {
    const char *name;
    void (*run)(const row *which);
} column;

static const column columns[SITUATIONS] = {
    [SUCCEEDS] = {"succeeds", succeeds},
    [IN_PART] = {"is_done_in_part", is_done_in_part},
    [PEER_GONE] = {"loses_its_peer", loses_its_peer},
    [CANCELLED] = {"is_cancelled", is_cancelled},
    [CANCELLED_BEFORE] = {"is_cancelled_before_it_is_handed_over", is_cancelled_before_it_is_handed_over},
    [CANCELLED_AFTER] = {"is_cancelled_after_it_is_over", is_cancelled_after_it_is_over},
    [OWNER_DIES] = {"is_abandoned", is_abandoned},
    [WIPED] = {"is_done_again_after_abandon", is_done_again_after_abandon},
    [STOPPED] = {"is_under_way_at_the_close", is_under_way_at_the_close},
};

#define WHOLE   [IN_PART] = "whole or not at all"
#define NO_PEER [PEER_GONE] = "nobody is at the other end"

static const row rows[] = {
    {.name = "accept",
     .set = set_accept,
     .ask = ask_accept,
     .provide = provide_client,
     .check = check_accepted,
     .leave = leave_early,
     .none = {WHOLE}},
    {.name = "connect",
     .set = set_connect,
     .ask = ask_connect,
     .provide = provide_room_to_connect,
     .check = check_connected,
     .leave = leave_listening,
     .gone = TINA_REFUSED,
     .is_once = true,
     .none = {WHOLE, [WIPED] = "a socket connects once"}},
    {.name = "receive",
     .set = set_pair,
     .ask = ask_receive,
     .provide = provide_bytes,
     .check = check_hello,
     .part = ask_receive_with_less_there,
     .check_part = check_hello,
     .leave = stage_drop_other,
     .gone = TINA_CLOSED},
    {.name = "receive_from",
     .set = set_receiver,
     .ask = ask_receive_from,
     .provide = provide_datagram,
     .check = check_datagram,
     .part = ask_less_than_a_datagram,
     .check_part = check_truncated,
     .none = {NO_PEER}},
    {.name = "read_of_a_pipe",
     .set = set_pipe_to_read,
     .ask = ask_read_pipe,
     .provide = provide_bytes,
     .check = check_hello,
     .part = ask_read_pipe_with_less_there,
     .check_part = check_hello,
     .leave = stage_drop_other,
     .gone = TINA_CLOSED,
     .is_real = true},
    {.name = "read_of_a_file",
     .set = set_file,
     .ask = ask_read_file,
     .check = check_hello,
     .part = ask_read_beyond_the_file,
     .check_part = check_hello,
     .none = {NO_PEER}},
    {.name = "stat", .set = set_file, .ask = ask_stat, .check = check_stat, .none = {WHOLE, NO_PEER}},
    {.name = "send",
     .set = set_full_pair,
     .ask = ask_send,
     .provide = stage_empty,
     .check = check_some,
     .part = ask_large_send,
     .check_part = check_taken,
     .leave = stage_drop_other,
     .gone = TINA_RESET},
    {.name = "send_to",
     .set = set_sender,
     .ask = ask_send_to,
     .check = check_sent_datagram,
     .leave = leave_address,
     .none = {WHOLE}},
    {.name = "sendfile",
     .has_steps = true,
     .set = set_full_pair_and_file,
     .ask = ask_sendfile,
     .provide = stage_empty,
     .check = check_some,
     .part = ask_large_sendfile,
     .check_part = check_taken,
     .leave = stage_drop_other,
     .gone = TINA_RESET},
    {.name = "write_of_a_pipe",
     .set = set_full_pipe,
     .ask = ask_write_pipe,
     .provide = stage_empty,
     .check = check_some,
     .part = ask_large_write_pipe,
     .check_part = check_taken,
     .leave = stage_drop_other,
     .gone = TINA_RESET,
     .is_real = true},
    {.name = "write_of_a_file",
     .set = set_file,
     .ask = ask_write_file,
     .check = check_written,
     .none = {NO_PEER, [IN_PART] = "takes a disk that is full: see full_disk_test.c"}},
    {.name = "sync", .set = set_file, .ask = ask_sync, .check = check_nothing_but_status, .none = {WHOLE, NO_PEER}},
    {.name = "truncate", .set = set_file, .ask = ask_truncate, .check = check_truncate, .none = {WHOLE, NO_PEER}},
    {.name = "open", .set = set_path, .ask = ask_open, .check = check_open, .none = {WHOLE, NO_PEER}},
    {.name = "rename",
     .set = set_path,
     .ask = ask_rename,
     .check = check_rename,
     .is_once = true,
     .none = {WHOLE, NO_PEER, [WIPED] = "there is nothing to rename any more"}},
    {.name = "unlink",
     .set = set_path,
     .ask = ask_unlink,
     .check = check_unlink,
     .is_once = true,
     .none = {WHOLE, NO_PEER, [WIPED] = "there is nothing to unlink any more"}},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

/* ---- Cells as tests ---- */

typedef struct cell {
    char name[96];
    const row *row;
    const column *column;
} cell;

static cell cells[ROWS * SITUATIONS];
static struct CMUnitTest tests[ROWS * SITUATIONS];
static test_unfit unfit[ROWS * SITUATIONS];
static size_t test_count, unfit_count;

static void run_cell(void **state)
{
    const cell *self = *state;
    self->column->run(self->row);
}

/* A cell is either there or says why not. */
static bool is_told(const row *which, situation at)
{
    bool is_there = at == IN_PART ? which->part != NULL : at == PEER_GONE ? which->leave != NULL : true;
    is_there = is_there && !(which->is_once && at == WIPED);
    return is_there == (which->none[at] == NULL);
}

static void add_cell(const row *which, situation at)
{
    cell *added = &cells[test_count];
    *added = (cell){.row = which, .column = &columns[at]};
    snprintf(added->name, sizeof added->name, "%s_%s", which->name, columns[at].name);
    tests[test_count++] = (struct CMUnitTest){.name = added->name, .test_func = run_cell, .initial_state = added};
    if (which->is_real)
        unfit[unfit_count++] = (test_unfit){added->name, "there is nothing like it"};
}

int main(int argc, char **argv)
{
    for (size_t i = 0; i < ROWS; i++) {
        for (situation at = 0; at < SITUATIONS; at++) {
            if (!is_told(&rows[i], at)) {
                print_error("%s: %s?\n", rows[i].name, columns[at].name);
                return 1;
            }
            if (rows[i].none[at] == NULL)
                add_cell(&rows[i], at);
            else
                print_message("none: %s_%s (%s)\n", rows[i].name, columns[at].name, rows[i].none[at]);
        }
    }
    return run_each(tests, test_count, unfit, unfit_count, argc, argv);
}
