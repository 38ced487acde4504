/*
 * The floor of a TCP echo server on epoll: one thread, level-triggered, one
 * wait for a batch of events, and for each of them one receive and one send.
 *
 *     echo_epoll echo [connections=1000] [size=64] [buffer=16384] [spin=0]
 *
 * It receives into one buffer for all connections, which stays in the cache,
 * and sends from it. What the kernel does not take at once is kept aside; that
 * connection is not read from until it is gone. SIGTERM ends it.
 */
#include "server.h"

#include <sys/epoll.h>

enum { EVENTS_SIZE = 512 };

/* What a descriptor, its index, has received and not sent. */
struct rest {
    uint8_t *bytes;
    size_t size, sent;
};

static int epoll, listener;
static struct rest *rests;
static uint8_t *buffer;
static size_t buffer_size;

static void watch(int fd, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    check(epoll_ctl(epoll, operation, fd, &event), "epoll_ctl");
}

static void drop(int fd)
{
    free(rests[fd].bytes);
    rests[fd] = (struct rest){0};
    close(fd);
}

static void accept_all(void)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        if (fd >= 0)
            watch(fd, EPOLL_CTL_ADD, EPOLLIN);
        else if (errno == EAGAIN)
            return;
        else if (errno != ECONNABORTED && errno != EINTR)
            fail("accept4: %s", strerror(errno));
    }
}

/* Returns how many bytes the kernel took, or -1 where the peer is gone. */
static ssize_t send_some(int fd, const uint8_t *bytes, size_t size)
{
    ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : sent;
}

static void keep_rest(int fd, const uint8_t *bytes, size_t size)
{
    struct rest rest = {.bytes = malloc(size), .size = size};
    if (rest.bytes == NULL)
        fail("there is no memory for the rest of a send");
    memcpy(rest.bytes, bytes, size);
    rests[fd] = rest;
    watch(fd, EPOLL_CTL_MOD, EPOLLOUT);
}

static void send_rest(int fd)
{
    struct rest *rest = &rests[fd];
    ssize_t sent = send_some(fd, rest->bytes + rest->sent, rest->size - rest->sent);
    if (sent < 0) {
        drop(fd);
        return;
    }
    rest->sent += (size_t)sent;
    if (rest->sent < rest->size)
        return;
    free(rest->bytes);
    *rest = (struct rest){0};
    watch(fd, EPOLL_CTL_MOD, EPOLLIN);
}

static void echo(int fd)
{
    ssize_t size = recv(fd, buffer, buffer_size, MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    ssize_t sent = size > 0 ? send_some(fd, buffer, (size_t)size) : -1;
    if (sent < 0)
        drop(fd);
    else if (sent < size)
        keep_rest(fd, buffer + sent, (size_t)(size - sent));
}

static void serve(int timeout_ms)
{
    static struct epoll_event events[EVENTS_SIZE];
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS_SIZE, timeout_ms);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == listener)
                accept_all();
            else if (rests[fd].bytes != NULL)
                send_rest(fd);
            else
                echo(fd);
        }
    }
}

int main(int argc, char **argv)
{
    if (argc < 2 || !is_text(argv[1], "echo"))
        not_here(argc < 2 ? "" : argv[1]);
    struct parameters given = {.count = argc - 2, .texts = argv + 2};
    bool spins = count_parameter(&given, "spin", 0, 1, 0) != 0;
    buffer_size = count_parameter(&given, "buffer", 1, 1u << 24, 16384);
    buffer = malloc(buffer_size);
    rests = calloc(raise_descriptor_limit(), sizeof *rests);
    epoll = check(epoll_create1(0), "epoll_create1");
    if (buffer == NULL || rests == NULL)
        fail("there is no memory");
    listener = listen_on_any_port(SOCK_NONBLOCK);
    watch(listener, EPOLL_CTL_ADD, EPOLLIN);
    serve(spins ? 0 : -1);
}
