/*
 * A system inside a program that has a loop of its own, around poll().
 *
 * The program reads lines from its standard input and posts them to an isolate; the
 * system serves a port (see tally.h). All of it happens on one thread: the loop waits
 * for its own descriptors and for the system's, and steps the system whenever that is
 * readable or its deadline has come. The end of the input, SIGTERM or SIGINT ends it.
 */
#define _GNU_SOURCE 1 /* ppoll: its timeout counts in nanoseconds, as the library does */
#include "common.h"
#include "tally.h"

#include <errno.h>
#include <poll.h>
#include <time.h>

typedef struct program {
    tina_system *system;
    tally_input input;
    bool is_full; /* lines wait until the inbox has room: no more are read before */
} program;

/* Of the clock of tina_pollfd's deadlines. */
static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

/* docs: poll */
/* Waits for the program's own descriptors and for the system's, and steps it. wanted has room for one more. */
static tina_status wait_and_step(tina_system *system, struct pollfd *wanted, size_t count)
{
    uint64_t deadline_ns;
    wanted[count] = (struct pollfd){.fd = tina_pollfd(system, &deadline_ns), .events = POLLIN};

    uint64_t now = now_ns();
    uint64_t wait_ns = deadline_ns > now ? deadline_ns - now : 0;
    struct timespec wait = {.tv_sec = (time_t)(wait_ns / SECOND_NS), .tv_nsec = (long)(wait_ns % SECOND_NS)};
    if (ppoll(wanted, count + 1, deadline_ns == TINA_NONE_NS ? NULL : &wait, NULL) < 0 && errno != EINTR)
        return TINA_SYSTEM_ERROR;

    return tina_step(system, 0, NULL);
}
/* docs: end */

/* Reads what is there, and posts what is complete. */
static void read_lines(program *self)
{
    tally_input *input = &self->input;
    ssize_t size = read(STDIN_FILENO, input->text + input->used, sizeof input->text - input->used);
    if (size > 0)
        input->used += (size_t)size;
    else if (size == 0 || errno != EINTR)
        input->is_over = true;
    self->is_full = !tally_post_input(self->system, input);
}

static tina_status loop(program *self, tally_board *board)
{
    tally_board before = {0};
    tina_status status = TINA_OK;
    while (status == TINA_OK) {
        /* What is negative is left out: nothing is read that there is no room for. */
        struct pollfd wanted[2] = {{.fd = self->input.is_over || self->is_full ? -1 : STDIN_FILENO, .events = POLLIN}};
        status = wait_and_step(self->system, wanted, 1);
        tally_report(board, &before);
        if (self->is_full)
            self->is_full = !tally_post_input(self->system, &self->input);
        else if (wanted[0].revents != 0)
            read_lines(self);
    }
    return status;
}

int main(int argc, char **argv)
{
    static const char *const backends[] = {"auto", "uring", "epoll", NULL};
    uint32_t port = 0, backend = TINA_BACKEND_AUTO;
    const example_option options[] = {
        {.name = "--port", .help = "to serve on (0: any)", .number = &port, .most = 65535},
        {.name = "--backend", .help = "auto, uring or epoll (auto)", .number = &backend, .choices = backends},
    };
    read_options(argc, argv, "Counts the lines of its standard input, and tells on a port how many there were.", options,
                 sizeof options / sizeof options[0]);
    tally_board board = {.port = (uint16_t)port};
    tina_system_spec spec = tally_spec(&board);
    spec.backend = (uint8_t)backend;
    spec.signals = TINA_SIGNALS_ALL; /* SIGTERM and SIGINT stop the system, and so the program */
    spec.log_sink = print_line;

    tina_error error = {0};
    static program self;
    tina_status status = tina_start(&spec, &self.system, &error);
    if (status != TINA_OK)
        return exit_status(status, &error);
    status = loop(&self, &board);
    tina_end_report report;
    tina_status end = tina_join(self.system, &report);
    print_stats(&report);
    printf("%llu lines in all\n", (unsigned long long)board.lines);
    return exit_status(status == TINA_STOPPING ? end : status, &error);
}
