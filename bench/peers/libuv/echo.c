/*
 * echo [shards=1] [buffer=65536]: a TCP echo server on 127.0.0.1, a loop and a
 * listener for each shard. Prints its port and serves until SIGTERM.
 *
 * Answers go out with uv_try_write: it needs no request, and the read buffer can
 * then be the same for all connections of a loop. Only what the socket does not
 * take at once is copied and left to uv_write, and nothing is read from that
 * connection until it is gone.
 */
#include "workloads.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <uv.h>

enum { BACKLOG = 4096, SHARDS_MAX = 64, BUFFER_DEFAULT = 65536, BUFFER_MAX = 1 << 30 };

typedef struct server {
    uv_loop_t loop;
    uv_tcp_t listener;
    uv_async_t stop;
    uv_thread_t thread;
    char *buffer;
    size_t buffer_size;
} server;

typedef struct connection {
    uv_tcp_t tcp;
    uv_write_t request;
    char *rest;
} connection;

static server servers[SHARDS_MAX];
static size_t server_count;

static void must(int status, const char *what)
{
    if (status < 0)
        fail("%s: %s", what, uv_strerror(status));
}

/* ---- A connection ---- */

static void on_allocate(uv_handle_t *handle, size_t suggested_size, uv_buf_t *buffer)
{
    (void)suggested_size;
    server *shard = handle->loop->data;
    *buffer = uv_buf_init(shard->buffer, (unsigned)shard->buffer_size);
}

static void on_closed(uv_handle_t *handle) { free(handle->data); }

static void close_connection(connection *client)
{
    if (!uv_is_closing((uv_handle_t *)&client->tcp))
        uv_close((uv_handle_t *)&client->tcp, on_closed);
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer);

static void on_rest_written(uv_write_t *request, int status)
{
    connection *client = request->data;
    free(client->rest);
    client->rest = NULL;
    if (status < 0)
        close_connection(client);
    else
        uv_read_start((uv_stream_t *)&client->tcp, on_allocate, on_read);
}

static void write_rest(connection *client, const char *bytes, size_t size)
{
    client->rest = malloc(size);
    if (client->rest == NULL) {
        close_connection(client);
        return;
    }
    memcpy(client->rest, bytes, size);
    client->request.data = client;
    uv_read_stop((uv_stream_t *)&client->tcp);
    uv_buf_t rest = uv_buf_init(client->rest, (unsigned)size);
    if (uv_write(&client->request, (uv_stream_t *)&client->tcp, &rest, 1, on_rest_written) < 0) {
        free(client->rest);
        close_connection(client);
    }
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
    connection *client = stream->data;
    if (size == 0)
        return;
    if (size < 0) {
        close_connection(client);
        return;
    }
    uv_buf_t answer = uv_buf_init(buffer->base, (unsigned)size);
    int written = uv_try_write(stream, &answer, 1);
    if (written == UV_EAGAIN)
        written = 0;
    if (written < 0)
        close_connection(client);
    else if (written < size)
        write_rest(client, buffer->base + written, (size_t)(size - written));
}

/* ---- A shard's server ---- */

static void on_connection(uv_stream_t *listener, int status)
{
    if (status < 0) {
        fprintf(stderr, "accept: %s\n", uv_strerror(status));
        return;
    }
    connection *client = calloc(1, sizeof *client);
    if (client == NULL)
        fail("no memory for a connection");
    must(uv_tcp_init(listener->loop, &client->tcp), "uv_tcp_init");
    client->tcp.data = client;
    if (uv_accept(listener, (uv_stream_t *)&client->tcp) < 0) {
        close_connection(client);
        return;
    }
    uv_tcp_nodelay(&client->tcp, 1);
    uv_read_start((uv_stream_t *)&client->tcp, on_allocate, on_read);
}

/* Only connections have data. */
static void close_any(uv_handle_t *handle, void *unused)
{
    (void)unused;
    if (!uv_is_closing(handle))
        uv_close(handle, handle->data != NULL ? on_closed : NULL);
}

static void on_stop(uv_async_t *stop) { uv_walk(stop->loop, close_any, NULL); }

static void share_port(server *shard)
{
    int one = 1;
    uv_os_fd_t socket;
    must(uv_fileno((uv_handle_t *)&shard->listener, &socket), "uv_fileno");
    if (setsockopt(socket, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) != 0)
        fail("the shards cannot share a port");
}

static void listen_on(server *shard, int port)
{
    struct sockaddr_in address;
    uv_ip4_addr("127.0.0.1", port, &address);
    must(uv_tcp_init_ex(&shard->loop, &shard->listener, AF_INET), "uv_tcp_init_ex");
    if (server_count > 1)
        share_port(shard);
    must(uv_tcp_bind(&shard->listener, (const struct sockaddr *)&address, 0), "uv_tcp_bind");
    must(uv_listen((uv_stream_t *)&shard->listener, BACKLOG, on_connection), "uv_listen");
}

static void open_server(const struct parameters *given, server *shard, int port)
{
    shard->buffer_size = count_parameter(given, "buffer", 1, BUFFER_MAX, BUFFER_DEFAULT);
    shard->buffer = malloc(shard->buffer_size);
    if (shard->buffer == NULL)
        fail("no memory for a buffer");
    must(uv_loop_init(&shard->loop), "uv_loop_init");
    shard->loop.data = shard;
    must(uv_async_init(&shard->loop, &shard->stop, on_stop), "uv_async_init");
    listen_on(shard, port);
}

static int bound_port(const server *shard)
{
    struct sockaddr_in address;
    int size = sizeof address;
    must(uv_tcp_getsockname(&shard->listener, (struct sockaddr *)&address, &size), "uv_tcp_getsockname");
    return ntohs(address.sin_port);
}

static void close_server(server *shard)
{
    must(uv_loop_close(&shard->loop), "uv_loop_close");
    free(shard->buffer);
}

/* ---- All of them ---- */

static void serve(void *shard) { must(uv_run(&((server *)shard)->loop, UV_RUN_DEFAULT), "uv_run"); }

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    uv_close((uv_handle_t *)handle, NULL);
    for (size_t i = 0; i < server_count; i++)
        uv_async_send(&servers[i].stop);
}

static int open_servers(const struct parameters *given)
{
    server_count = count_parameter(given, "shards", 1, SHARDS_MAX, 1);
    open_server(given, &servers[0], 0);
    int port = bound_port(&servers[0]);
    for (size_t i = 1; i < server_count; i++)
        open_server(given, &servers[i], port);
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
    int port = open_servers(given);
    uv_signal_t terminate;
    must(uv_signal_init(&servers[0].loop, &terminate), "uv_signal_init");
    terminate.data = NULL;
    must(uv_signal_start(&terminate, on_signal, SIGTERM), "uv_signal_start");
    for (size_t i = 1; i < server_count; i++)
        must(uv_thread_create(&servers[i].thread, serve, &servers[i]), "uv_thread_create");
    printf("port %d\n", port);
    fflush(stdout);
    serve(&servers[0]);
    for (size_t i = 1; i < server_count; i++)
        uv_thread_join(&servers[i].thread);
    for (size_t i = 0; i < server_count; i++)
        close_server(&servers[i]);
    return 0;
}
