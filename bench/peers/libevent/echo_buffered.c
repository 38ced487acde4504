/*
 * An echo connection as a bufferevent: what has been read is moved to the output,
 * and the library sends it.
 */
#include "echo.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdbool.h>

/* A client that sends and does not read makes its connection wait, not the server grow. */
enum { OUTPUT_MAX = 1024 * 1024 };

static void on_read(struct bufferevent *connection, void *unused)
{
    (void)unused;
    struct evbuffer *output = bufferevent_get_output(connection);
    evbuffer_add_buffer(output, bufferevent_get_input(connection));
    if (evbuffer_get_length(output) > OUTPUT_MAX)
        bufferevent_disable(connection, EV_READ);
}

static void on_written(struct bufferevent *connection, void *unused)
{
    (void)unused;
    if ((bufferevent_get_enabled(connection) & EV_READ) == 0)
        bufferevent_enable(connection, EV_READ);
}

static void on_last_written(struct bufferevent *connection, void *unused)
{
    (void)unused;
    bufferevent_free(connection);
}

/* A client that has sent all may still want the rest of its answers. */
static void on_end(struct bufferevent *connection, short what, void *unused)
{
    (void)unused;
    bool is_owed = evbuffer_get_length(bufferevent_get_output(connection)) > 0;
    if ((what & BEV_EVENT_EOF) != 0 && is_owed)
        bufferevent_setcb(connection, NULL, on_last_written, on_end, NULL);
    else if ((what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) != 0)
        bufferevent_free(connection);
}

void echo_open_buffered(echo_shard *shard, evutil_socket_t socket)
{
    struct bufferevent *connection = bufferevent_socket_new(shard->base, socket, BEV_OPT_CLOSE_ON_FREE);
    if (connection == NULL) {
        evutil_closesocket(socket);
        return;
    }
    bufferevent_setcb(connection, on_read, on_written, on_end, NULL);
    bufferevent_enable(connection, EV_READ);
}
