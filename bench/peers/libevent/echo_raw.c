/*
 * An echo connection as two plain events with recv and send. All connections of a
 * shard read into the same buffer and answer at once. Only what the socket does
 * not take is copied, and nothing is read from that connection until it is gone.
 */
#include "echo.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

typedef struct connection {
    struct event readable;
    struct event writable;
    echo_shard *shard;
    char *rest;
    size_t rest_size;
    size_t rest_sent;
} connection;

static void close_connection(connection *client)
{
    event_del(&client->readable);
    event_del(&client->writable);
    evutil_closesocket(event_get_fd(&client->readable));
    free(client->rest);
    free(client);
}

/* Whether a call that failed can be made again when the socket is ready. */
static bool is_only_early(void) { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

/* Keeps what could not be sent; false where there is no memory. */
static bool keep_rest(connection *client, const char *bytes, size_t size)
{
    client->rest = malloc(size);
    if (client->rest == NULL)
        return false;
    memcpy(client->rest, bytes, size);
    client->rest_size = size;
    client->rest_sent = 0;
    event_del(&client->readable);
    return event_add(&client->writable, NULL) == 0;
}

static void on_writable(evutil_socket_t socket, short what, void *argument)
{
    (void)what;
    connection *client = argument;
    ssize_t sent = send(socket, client->rest + client->rest_sent, client->rest_size - client->rest_sent, MSG_NOSIGNAL);
    if (sent < 0) {
        if (!is_only_early())
            close_connection(client);
        return;
    }
    client->rest_sent += (size_t)sent;
    if (client->rest_sent < client->rest_size)
        return;
    free(client->rest);
    client->rest = NULL;
    event_del(&client->writable);
    event_add(&client->readable, NULL);
}

static void answer(connection *client, evutil_socket_t socket, size_t size)
{
    const char *bytes = client->shard->buffer;
    ssize_t sent = send(socket, bytes, size, MSG_NOSIGNAL);
    if (sent < 0 && !is_only_early()) {
        close_connection(client);
        return;
    }
    size_t done = sent < 0 ? 0 : (size_t)sent;
    if (done < size && !keep_rest(client, bytes + done, size - done))
        close_connection(client);
}

static void on_readable(evutil_socket_t socket, short what, void *argument)
{
    (void)what;
    connection *client = argument;
    ssize_t size = recv(socket, client->shard->buffer, client->shard->buffer_size, 0);
    if (size > 0)
        answer(client, socket, (size_t)size);
    else if (size == 0 || !is_only_early())
        close_connection(client);
}

void echo_open_raw(echo_shard *shard, evutil_socket_t socket)
{
    connection *client = calloc(1, sizeof *client);
    if (client == NULL) {
        evutil_closesocket(socket);
        return;
    }
    client->shard = shard;
    event_assign(&client->readable, shard->base, socket, EV_READ | EV_PERSIST, on_readable, client);
    event_assign(&client->writable, shard->base, socket, EV_WRITE | EV_PERSIST, on_writable, client);
    if (event_add(&client->readable, NULL) != 0)
        close_connection(client);
}
