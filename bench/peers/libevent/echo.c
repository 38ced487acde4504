/*
 * echo [form=bufferevent|raw] [shards=1] [buffer=65536]: a TCP echo server on
 * 127.0.0.1, an event base and a listener for each shard. Prints its port and
 * serves until SIGTERM.
 *
 * What a connection is differs by form and lies in a file of its own: buffered, as
 * most users have it, or plain events with recv and send.
 */
#include "echo.h"
#include "workloads.h"

#include <event2/event.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 4096, SHARDS_MAX = 64, BUFFER_DEFAULT = 65536, BUFFER_MAX = 1 << 30 };

static echo_shard shards[SHARDS_MAX];
static size_t shard_count;

/* All shards watch its reading end: the end of file says that it is time to end. */
static int stop_pipe[2];

static void on_accepted(struct evconnlistener *listener, evutil_socket_t socket, struct sockaddr *address, int size,
                        void *argument)
{
    (void)listener, (void)address, (void)size;
    echo_shard *shard = argument;
    int one = 1;
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    shard->open(shard, socket);
}

static void on_accept_failed(struct evconnlistener *listener, void *argument)
{
    (void)listener, (void)argument;
    perror("accept");
}

static void on_stop(evutil_socket_t reading_end, short what, void *argument)
{
    (void)reading_end, (void)what;
    echo_shard *shard = argument;
    event_base_loopexit(shard->base, NULL);
}

static void on_signal(evutil_socket_t number, short what, void *unused)
{
    (void)number, (void)what, (void)unused;
    close(stop_pipe[1]);
}

/* ---- A shard ---- */

static echo_open *form(const struct parameters *given)
{
    const char *name = parameter(given, "form", "bufferevent");
    if (is_text(name, "bufferevent"))
        return echo_open_buffered;
    if (is_text(name, "raw"))
        return echo_open_raw;
    fail("form=%s: bufferevent or raw", name);
}

static void listen_on(echo_shard *shard, uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    unsigned flags = LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE;
    if (shard_count > 1)
        flags |= LEV_OPT_REUSEABLE_PORT;
    shard->listener = evconnlistener_new_bind(shard->base, on_accepted, shard, flags, BACKLOG, (struct sockaddr *)&address,
                                              sizeof address);
    if (shard->listener == NULL)
        fail("port %u cannot be listened on", port);
    evconnlistener_set_error_cb(shard->listener, on_accept_failed);
}

static void open_shard(const struct parameters *given, echo_shard *shard, uint16_t port)
{
    shard->open = form(given);
    shard->buffer_size = count_parameter(given, "buffer", 1, BUFFER_MAX, BUFFER_DEFAULT);
    shard->buffer = malloc(shard->buffer_size);
    if (shard->buffer == NULL)
        fail("no memory for a buffer");
    shard->base = event_base_new();
    if (shard->base == NULL)
        fail("no event base");
    shard->stop = event_new(shard->base, stop_pipe[0], EV_READ, on_stop, shard);
    if (shard->stop == NULL || event_add(shard->stop, NULL) != 0)
        fail("no event");
    listen_on(shard, port);
}

static void *serve(void *argument)
{
    echo_shard *shard = argument;
    if (event_base_dispatch(shard->base) < 0)
        fail("a loop failed");
    return NULL;
}

static void close_shard(echo_shard *shard)
{
    evconnlistener_free(shard->listener);
    event_free(shard->stop);
    event_base_free(shard->base);
    free(shard->buffer);
}

/* ---- All of them ---- */

static uint16_t bound_port(const echo_shard *shard)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    if (getsockname(evconnlistener_get_fd(shard->listener), (struct sockaddr *)&address, &size) != 0)
        fail("no port");
    return ntohs(address.sin_port);
}

static uint16_t open_shards(const struct parameters *given)
{
    shard_count = count_parameter(given, "shards", 1, SHARDS_MAX, 1);
    if (pipe(stop_pipe) != 0)
        fail("no pipe");
    open_shard(given, &shards[0], 0);
    uint16_t port = bound_port(&shards[0]);
    for (size_t i = 1; i < shard_count; i++)
        open_shard(given, &shards[i], port);
    return port;
}

/* As many connections as the system lets one process have. */
static void allow_descriptors(void)
{
    struct rlimit limit;
    check(getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
    limit.rlim_cur = limit.rlim_max;
    check(setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
}

int run_echo(const struct parameters *given)
{
    signal(SIGPIPE, SIG_IGN);
    allow_descriptors();
    uint16_t port = open_shards(given);
    struct event *terminate = evsignal_new(shards[0].base, SIGTERM, on_signal, NULL);
    if (terminate == NULL || event_add(terminate, NULL) != 0)
        fail("no event");
    for (size_t i = 1; i < shard_count; i++) {
        if (pthread_create(&shards[i].thread, NULL, serve, &shards[i]) != 0)
            fail("no thread");
    }
    printf("port %u\n", port);
    fflush(stdout);
    serve(&shards[0]);
    for (size_t i = 1; i < shard_count; i++)
        pthread_join(shards[i].thread, NULL);
    event_free(terminate);
    for (size_t i = 0; i < shard_count; i++)
        close_shard(&shards[i]);
    return 0;
}
