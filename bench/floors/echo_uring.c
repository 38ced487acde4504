/*
 * The floor of a TCP echo server on io_uring: one thread, one system call that
 * submits a batch and waits for the next.
 *
 *     echo_uring echo [form=multishot] [setup=defer] [connections=1000] [size=64] [buffer=B] [spin=0]
 *
 * form=multishot: a receive is armed once for a connection and takes buffers
 * of a ring as data comes; they are sent from, in order, and given back.
 * form=single: a connection has a buffer of its own, and a send is linked with
 * the receive that follows it, so that a request costs one completion.
 *
 * setup is what the ring is told of how completions are run: defer
 * (DEFER_TASKRUN), coop (COOP_TASKRUN) or plain. The buffers are as large as
 * the largest request, or 2 KiB, unless `buffer` says otherwise. Linux 6.0 or
 * later; status 77 where io_uring is refused. SIGTERM ends it.
 */
#include "server.h"

#include <liburing.h>

enum {
    SUBMISSIONS_SIZE = 4096,
    COMPLETIONS_SIZE = 32768,
    BUFFER_GROUP = 0,
    BUFFERS_LEAST = 64,
    BUFFERS_MOST = 4096,
    HELD_MOST = 16, /* buffers that a connection may hold: a peer that never reads must not take them all */
    NONE = -1,
};

enum operation { OP_ACCEPT, OP_RECEIVE, OP_SEND, OP_CANCEL };

/* Its index is its descriptor. It is closed when it is over and nothing of it is in the kernel. */
struct connection {
    uint8_t *bytes;                /* single: its buffer */
    int32_t first_held, last_held; /* multishot: buffers to send, the first is being sent */
    uint32_t held;
    uint32_t sent; /* bytes of the first */
    bool is_armed; /* a receive is in the kernel */
    bool is_over;
    int32_t next_starved;
};

static struct io_uring ring;
static struct connection *connections;
static int listener;
static size_t buffer_size;
static bool is_single;

/* Of the multishot form. */
static struct io_uring_buf_ring *buffer_ring;
static uint8_t *buffers;
static uint32_t buffer_count, free_count;
static int32_t *next_held;   /* of a buffer that is held: the next of its connection */
static uint32_t *held_sizes; /* and how much is in it */
static int32_t first_starved = NONE;

static int check_ring(int result, const char *what)
{
    if (result < 0)
        fail("%s: %s", what, strerror(-result));
    return result;
}

/* ---- Submissions ---- */

static struct io_uring_sqe *submission(enum operation operation, int fd)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
    if (sqe == NULL) {
        check_ring(io_uring_submit(&ring), "io_uring_submit");
        sqe = io_uring_get_sqe(&ring);
    }
    /* Preparing overwrites all but the user data. */
    io_uring_sqe_set_data64(sqe, (uint64_t)(uint32_t)fd << 8 | operation);
    return sqe;
}

static void arm_accept(void) { io_uring_prep_multishot_accept(submission(OP_ACCEPT, listener), listener, NULL, NULL, 0); }

static struct io_uring_sqe *prepare_send(int fd, const uint8_t *bytes, size_t size)
{
    struct io_uring_sqe *sqe = submission(OP_SEND, fd);
    io_uring_prep_send(sqe, fd, bytes, size, MSG_NOSIGNAL | MSG_WAITALL);
    return sqe;
}

/* ---- Single ---- */

static void receive_single(int fd)
{
    io_uring_prep_recv(submission(OP_RECEIVE, fd), fd, connections[fd].bytes, buffer_size, 0);
}

/* A link must not be cut by the end of a batch, so both need their places now. */
static void echo_single(int fd, uint32_t size)
{
    if (io_uring_sq_space_left(&ring) < 2)
        check_ring(io_uring_submit(&ring), "io_uring_submit");
    prepare_send(fd, connections[fd].bytes, size)->flags |= IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS;
    receive_single(fd);
}

/* A send is told of only when it fails, and the receive that is linked to it is then cancelled without a word. */
static void complete_single(enum operation operation, int fd, int result)
{
    if (operation == OP_RECEIVE && result > 0)
        echo_single(fd, (uint32_t)result);
    else
        close(fd);
}

static void open_single(int fd)
{
    if (connections[fd].bytes == NULL && (connections[fd].bytes = malloc(buffer_size)) == NULL)
        fail("there is no memory for a buffer");
    receive_single(fd);
}

/* ---- Multishot ---- */

static uint8_t *buffer(int32_t index) { return buffers + (size_t)index * (buffer_size + CACHE_LINE_SIZE); }

static void arm(int fd)
{
    struct io_uring_sqe *sqe = submission(OP_RECEIVE, fd);
    io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = BUFFER_GROUP;
    connections[fd].is_armed = true;
}

static void give_back(int32_t index)
{
    io_uring_buf_ring_add(buffer_ring, buffer(index), (unsigned)buffer_size, (unsigned short)index,
                          io_uring_buf_ring_mask(buffer_count), 0);
    io_uring_buf_ring_advance(buffer_ring, 1);
    free_count++;
    if (first_starved != NONE) {
        int fd = first_starved;
        first_starved = connections[fd].next_starved;
        arm(fd);
    }
}

static void send_first(int fd)
{
    struct connection *connection = &connections[fd];
    int32_t index = connection->first_held;
    prepare_send(fd, buffer(index) + connection->sent, held_sizes[index] - connection->sent);
}

static void release_first(struct connection *connection)
{
    int32_t index = connection->first_held;
    connection->first_held = next_held[index];
    connection->held--;
    connection->sent = 0;
    give_back(index);
}

static void settle(int fd)
{
    struct connection *connection = &connections[fd];
    if (connection->held > 0 || connection->is_armed)
        return;
    if (connection->is_over)
        close(fd);
    else
        arm(fd);
}

static void hold(int fd, int32_t index, uint32_t size)
{
    struct connection *connection = &connections[fd];
    held_sizes[index] = size;
    if (connection->held++ == 0) {
        connection->first_held = connection->last_held = index;
        send_first(fd);
        return;
    }
    next_held[connection->last_held] = index;
    connection->last_held = index;
    if (connection->held == HELD_MOST && connection->is_armed)
        io_uring_prep_cancel64(submission(OP_CANCEL, fd), (uint64_t)(uint32_t)fd << 8 | OP_RECEIVE, 0);
}

static void starve(int fd)
{
    connections[fd].next_starved = first_starved;
    first_starved = fd;
}

static int32_t take(const struct io_uring_cqe *cqe)
{
    free_count--;
    return (int32_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
}

static void complete_receive(int fd, const struct io_uring_cqe *cqe)
{
    struct connection *connection = &connections[fd];
    connection->is_armed = (cqe->flags & IORING_CQE_F_MORE) != 0;
    if (cqe->res > 0 && !connection->is_over)
        hold(fd, take(cqe), (uint32_t)cqe->res);
    else if (cqe->res > 0)
        give_back(take(cqe));
    else if (cqe->res != -ENOBUFS && cqe->res != -ECANCELED)
        connection->is_over = true;
    if (cqe->res == -ENOBUFS && free_count == 0 && connection->held == 0 && !connection->is_over)
        starve(fd);
    else
        settle(fd);
}

static void complete_send(int fd, int result)
{
    struct connection *connection = &connections[fd];
    if (result > 0)
        connection->sent += (uint32_t)result;
    if (result > 0 && connection->sent < held_sizes[connection->first_held]) {
        send_first(fd);
        return;
    }
    if (result <= 0) {
        connection->is_over = true;
        shutdown(fd, SHUT_RDWR); /* ends the receive */
    }
    do
        release_first(connection);
    while (connection->is_over && result <= 0 && connection->held > 0);
    if (connection->held > 0)
        send_first(fd);
    else
        settle(fd);
}

static void open_multishot(int fd)
{
    connections[fd] = (struct connection){0};
    arm(fd);
}

/* ---- The server ---- */

static void complete_accept(const struct io_uring_cqe *cqe)
{
    if ((cqe->flags & IORING_CQE_F_MORE) == 0)
        arm_accept();
    if (cqe->res == -ECONNABORTED || cqe->res == -EINTR)
        return;
    int fd = check_ring(cqe->res, "accept");
    if (is_single)
        open_single(fd);
    else
        open_multishot(fd);
}

static void complete(const struct io_uring_cqe *cqe)
{
    uint64_t data = io_uring_cqe_get_data64(cqe);
    enum operation operation = (enum operation)(data & 0xff);
    int fd = (int)(data >> 8);
    if (operation == OP_ACCEPT)
        complete_accept(cqe);
    else if (is_single)
        complete_single(operation, fd, cqe->res);
    else if (operation == OP_RECEIVE)
        complete_receive(fd, cqe);
    else if (operation == OP_SEND)
        complete_send(fd, cqe->res);
}

__attribute__((noreturn)) static void serve(bool spins)
{
    for (;;) {
        int result = spins ? io_uring_submit_and_get_events(&ring) : io_uring_submit_and_wait(&ring, 1);
        if (result < 0 && result != -EINTR && result != -EBUSY)
            fail("io_uring_enter: %s", strerror(-result));
        struct io_uring_cqe *cqe;
        unsigned head, count = 0;
        io_uring_for_each_cqe(&ring, head, cqe)
        {
            complete(cqe);
            count++;
        }
        io_uring_cq_advance(&ring, count);
    }
}

/* ---- Starting ---- */

static void start_ring(const char *setup, bool spins)
{
    struct io_uring_params params = {.flags = IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL, .cq_entries = COMPLETIONS_SIZE};
    if (is_text(setup, "defer"))
        params.flags |= IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
    else if (is_text(setup, "coop"))
        params.flags |= IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN;
    else if (!is_text(setup, "plain"))
        fail("setup=%s: defer, coop or plain is wanted", setup);
    if (spins && !is_text(setup, "plain"))
        params.flags |= IORING_SETUP_TASKRUN_FLAG; /* told in memory when an enter is worth it */
    int result = io_uring_queue_init_params(SUBMISSIONS_SIZE, &ring, &params);
    if (result < 0) {
        fprintf(stderr, "io_uring: %s\n", strerror(-result));
        exit(STATUS_NOT_HERE);
    }
    check_ring(io_uring_register_ring_fd(&ring), "io_uring_register_ring_fd");
}

/* The stride is a line more than the size, lest all buffers begin in the same sets of the cache. */
static void start_buffers(uint64_t connection_count)
{
    for (buffer_count = BUFFERS_LEAST; buffer_count < connection_count && buffer_count < BUFFERS_MOST;)
        buffer_count *= 2;
    size_t ring_size = buffer_count * sizeof(struct io_uring_buf);
    buffer_ring = aligned_alloc(4096, (ring_size + 4095) & ~(size_t)4095);
    buffers = malloc(buffer_count * (buffer_size + CACHE_LINE_SIZE));
    next_held = calloc(buffer_count, sizeof *next_held);
    held_sizes = calloc(buffer_count, sizeof *held_sizes);
    if (buffer_ring == NULL || buffers == NULL || next_held == NULL || held_sizes == NULL)
        fail("there is no memory for %u buffers", buffer_count);
    struct io_uring_buf_reg registration = {
        .ring_addr = (uint64_t)(uintptr_t)buffer_ring, .ring_entries = buffer_count, .bgid = BUFFER_GROUP};
    check_ring(io_uring_register_buf_ring(&ring, &registration, 0), "io_uring_register_buf_ring");
    io_uring_buf_ring_init(buffer_ring);
    for (uint32_t i = 0; i < buffer_count; i++)
        give_back((int32_t)i);
}

int main(int argc, char **argv)
{
    if (argc < 2 || !is_text(argv[1], "echo"))
        not_here(argc < 2 ? "" : argv[1]);
    struct parameters given = {.count = argc - 2, .texts = argv + 2};
    const char *form = parameter(&given, "form", "multishot");
    is_single = is_text(form, "single");
    if (!is_single && !is_text(form, "multishot"))
        not_here(form);
    bool spins = count_parameter(&given, "spin", 0, 1, 0) != 0;
    uint64_t size = count_parameter(&given, "size", 1, 1u << 24, 64);
    buffer_size = count_parameter(&given, "buffer", 1, 1u << 24, size > 2048 ? size : 2048);
    connections = calloc(raise_descriptor_limit(), sizeof *connections);
    if (connections == NULL)
        fail("there is no memory");
    start_ring(parameter(&given, "setup", "defer"), spins);
    if (!is_single)
        start_buffers(count_parameter(&given, "connections", 1, 1000000, 1000));
    listener = listen_on_any_port(0);
    arm_accept();
    serve(spins);
}
