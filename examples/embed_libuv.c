/*
 * A system inside a program whose loop is libuv's.
 *
 * What it does is what embed_poll.c does: lines from the standard input are posted to an
 * isolate, and the system serves a port (see tally.h). A uv_poll_t waits for the
 * system's descriptor, a uv_timer_t for its deadline, and either steps it, on the loop's
 * thread.
 */
#include "common.h"
#include "tally.h"

#include <uv.h>

/* docs: uv */
typedef struct embedded {
    tina_system *system;
    uv_poll_t poll;
    uv_timer_t timer;
    void (*on_step)(struct embedded *self);
    void (*on_end)(struct embedded *self, tina_status status);
} embedded;

static void step(embedded *self);
static void on_readable(uv_poll_t *poll, int status, int events) { (void)status, (void)events, step(poll->data); }
static void on_deadline(uv_timer_t *timer) { step(timer->data); }

/* libuv counts in milliseconds: rounded up, or the timer would fire too soon, again and again. */
static void start_timer(embedded *self)
{
    uint64_t deadline_ns;
    tina_pollfd(self->system, &deadline_ns);
    uint64_t now_ns = uv_hrtime(); /* the same clock */
    uint64_t wait_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
    uv_timer_stop(&self->timer);
    if (deadline_ns == 0 || deadline_ns == TINA_NONE_NS)
        return; /* the descriptor says it */
    uv_update_time(self->timer.loop);
    uv_timer_start(&self->timer, on_deadline, wait_ns / 1000000 + 1, 0);
}

static void step(embedded *self)
{
    tina_status status = tina_step(self->system, 0, NULL);
    self->on_step(self);
    if (status == TINA_OK) {
        start_timer(self);
        return;
    }
    uv_close((uv_handle_t *)&self->poll, NULL);
    uv_close((uv_handle_t *)&self->timer, NULL);
    self->on_end(self, status);
}

static int embed(uv_loop_t *loop, embedded *self)
{
    int error = uv_poll_init(loop, &self->poll, tina_pollfd(self->system, NULL));
    if (error == 0)
        error = uv_timer_init(loop, &self->timer);
    self->poll.data = self;
    self->timer.data = self;
    return error == 0 ? uv_poll_start(&self->poll, UV_READABLE, on_readable) : error;
}
/* docs: end */

/* ---- The program around it ------------------------------------------------------- */

typedef struct program {
    embedded system; /* first */
    tally_board board, shown;
    tally_input input;
    union {
        uv_stream_t stream;
        uv_pipe_t pipe;
        uv_tty_t terminal;
    } lines;
    uv_signal_t signals[2];
    bool is_full; /* lines wait until the inbox has room: no more are read before */
    tina_status status;
} program;

static void close_if_open(uv_handle_t *handle)
{
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void give_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    program *self = handle->data;
    (void)suggested;
    *buffer = uv_buf_init(self->input.text + self->input.used, (unsigned)(sizeof self->input.text - self->input.used));
}

static void post_lines(program *self);

static void take_lines(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
    program *self = stream->data;
    (void)buffer;
    if (size >= 0) {
        self->input.used += (size_t)size;
    } else {
        self->input.is_over = true;
        close_if_open((uv_handle_t *)stream);
    }
    post_lines(self);
}

static void post_lines(program *self)
{
    bool was_full = self->is_full;
    uv_stream_t *stream = &self->lines.stream;
    self->is_full = !tally_post_input(self->system.system, &self->input);
    if (self->is_full && !was_full && !uv_is_closing((uv_handle_t *)stream))
        uv_read_stop(stream);
    else if (was_full && !self->is_full && !uv_is_closing((uv_handle_t *)stream))
        uv_read_start(stream, give_room, take_lines);
}

static void after_step(embedded *system)
{
    program *self = (program *)system;
    tally_report(&self->board, &self->shown);
    if (self->is_full)
        post_lines(self);
}

/* With nothing left to wait for, the loop ends. */
static void after_end(embedded *system, tina_status status)
{
    program *self = (program *)system;
    self->status = status;
    close_if_open((uv_handle_t *)&self->lines.stream);
    for (size_t i = 0; i < 2; i++)
        close_if_open((uv_handle_t *)&self->signals[i]);
}

static void on_signal(uv_signal_t *handle, int number)
{
    program *self = handle->data;
    (void)number;
    tina_stop(self->system.system);
}

static int begin(program *self, uv_loop_t *loop)
{
    bool is_terminal = uv_guess_handle(STDIN_FILENO) == UV_TTY;
    int error =
        is_terminal ? uv_tty_init(loop, &self->lines.terminal, STDIN_FILENO, 1) : uv_pipe_init(loop, &self->lines.pipe, 0);
    if (error == 0 && !is_terminal)
        error = uv_pipe_open(&self->lines.pipe, STDIN_FILENO);
    self->lines.stream.data = self;
    static const int numbers[] = {SIGTERM, SIGINT};
    for (size_t i = 0; i < 2 && error == 0; i++) {
        error = uv_signal_init(loop, &self->signals[i]);
        self->signals[i].data = self;
        if (error == 0)
            error = uv_signal_start(&self->signals[i], on_signal, numbers[i]);
    }
    if (error == 0)
        error = embed(loop, &self->system);
    return error == 0 ? uv_read_start(&self->lines.stream, give_room, take_lines) : error;
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
    static program self;
    self.board.port = (uint16_t)port;
    self.system.on_step = after_step;
    self.system.on_end = after_end;
    tina_system_spec spec = tally_spec(&self.board);
    spec.backend = (uint8_t)backend;
    spec.log_sink = print_line;

    tina_error error = {0};
    tina_status status = tina_start(&spec, &self.system.system, &error);
    if (status != TINA_OK)
        return exit_status(status, &error);
    int uv_error = begin(&self, uv_default_loop());
    if (uv_error != 0) {
        fprintf(stderr, "%s\n", uv_strerror(uv_error));
        return 1;
    }
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    uv_loop_close(uv_default_loop());
    tina_end_report report;
    status = tina_join(self.system.system, &report);
    print_stats(&report);
    printf("%llu lines in all\n", (unsigned long long)self.board.lines);
    return exit_status(self.status == TINA_STOPPING ? status : self.status, &error);
}
