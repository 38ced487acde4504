/* The calls that don't wait. Numbers of errors, and what they are told as, are Linux's. */
#include "sim/net_inside.h"

#include <errno.h>
#include <limits.h>

#define BACKLOG_MAX 4096 /* what a larger one, or a negative, counts as */

static tina_status succeed(int *os_error)
{
    *os_error = 0;
    return TINA_OK;
}

static tina_status fail(tina_status status, int error, int *os_error)
{
    *os_error = error;
    return status;
}

/* NULL: there is no such socket. */
static tina__net_socket *find(const tina__backend *backend, int os_fd, int *os_error)
{
    *os_error = EBADF;
    if (!tina__net_slot_is_open(backend->net, os_fd))
        return NULL;
    tina__net_socket *socket = tina__net_at(backend->net, (uint32_t)os_fd);
    *os_error = ENOTSOCK;
    return socket->state == TINA__SOCKET_FILE ? NULL : socket;
}

tina_status tina__net_socket_open(tina__backend *backend, int family, int type, int *os_fd, int *os_error)
{
    *os_fd = -1;
    bool is_known = family == TINA_IPV4 || family == TINA_IPV6 || family == TINA_UNIX;
    if (!is_known || (type != TINA_STREAM && type != TINA_DATAGRAM))
        return fail(TINA_INVALID, 0, os_error);
    uint32_t index = tina__net_slot_take(backend->net, backend->shard, (uint8_t)family, (uint8_t)type);
    if (index == TINA__NONE)
        return fail(TINA_POOL_EXHAUSTED, EMFILE, os_error);
    *os_fd = (int)index;
    return succeed(os_error);
}

/* ---- Addresses ------------------------------------------------------------------------ */

static tina_status take_address(tina__net *net, uint32_t index, tina__net_endpoint endpoint, int *os_error)
{
    tina__net_socket *socket = tina__net_at(net, index);
    tina__net_endpoint before = socket->local;
    socket->local = endpoint;
    if (endpoint.port == 0)
        socket->local.port = tina__net_port_choose(net, socket);
    if (socket->local.port == 0 || tina__net_port_conflicts(net, index)) {
        socket->local = before;
        return fail(TINA_SYSTEM_ERROR, EADDRINUSE, os_error);
    }
    tina__net_port_hold(net, index);
    return succeed(os_error);
}

static tina_status bind_unix(tina__net *net, uint32_t index, const tina_address *address, int *os_error)
{
    if (address->family != TINA_UNIX || tina__net_at(net, index)->unix_end.name.length != 0)
        return fail(TINA_SYSTEM_ERROR, EINVAL, os_error);
    tina__net_name name = tina__net_name_of(address);
    int error = tina__net_name_bind(net, index, &name);
    return error == 0 ? succeed(os_error) : fail(TINA_SYSTEM_ERROR, error, os_error);
}

tina_status tina__net_socket_bind(tina__backend *backend, int os_fd, const tina_address *address, int *os_error)
{
    tina__net_socket *socket = find(backend, os_fd, os_error);
    if (!tina__net_is_address(address))
        return fail(TINA_INVALID, 0, os_error);
    if (socket == NULL)
        return TINA_SYSTEM_ERROR;
    if (tina__net_is_unix(socket))
        return bind_unix(backend->net, (uint32_t)os_fd, address, os_error);
    if (address->family != socket->family && socket->family == TINA_IPV4)
        return fail(TINA_UNSUPPORTED, EAFNOSUPPORT, os_error);
    if (address->family != socket->family || socket->has_port || socket->state != TINA__SOCKET_OPEN)
        return fail(TINA_SYSTEM_ERROR, EINVAL, os_error);
    tina__net_endpoint endpoint;
    bool is_known = tina__net_endpoint_make(address, socket->options[TINA_OPT_V6ONLY] != 0, &endpoint);
    tina__assert(is_known);
    return take_address(backend->net, (uint32_t)os_fd, endpoint, os_error);
}

static tina_status begin_listening(tina__net *net, uint32_t index, int *os_error)
{
    tina__net_socket *socket = tina__net_at(net, index);
    if (!tina__net_connect_bind(net, index))
        return fail(TINA_SYSTEM_ERROR, EADDRINUSE, os_error);
    if (socket->has_port && tina__net_port_conflicts(net, index)) /* with one that listens there by now */
        return fail(TINA_SYSTEM_ERROR, EADDRINUSE, os_error);
    socket->state = TINA__SOCKET_LISTENING;
    if (socket->has_port)
        tina__net_port_hold(net, index);
    return succeed(os_error);
}

tina_status tina__net_socket_listen(tina__backend *backend, int os_fd, int backlog, int *os_error)
{
    tina__net_socket *socket = find(backend, os_fd, os_error);
    if (socket == NULL)
        return TINA_SYSTEM_ERROR;
    if (tina__net_is_datagram(socket))
        return fail(TINA_UNSUPPORTED, EOPNOTSUPP, os_error);
    bool is_nameless = tina__net_is_unix(socket) && socket->unix_end.name.length == 0;
    if (is_nameless || (socket->state != TINA__SOCKET_OPEN && socket->state != TINA__SOCKET_LISTENING))
        return fail(TINA_SYSTEM_ERROR, EINVAL, os_error);
    socket->backlog_max = tina__min_u32((uint32_t)backlog, BACKLOG_MAX);
    if (socket->state == TINA__SOCKET_OPEN)
        return begin_listening(backend->net, (uint32_t)os_fd, os_error);
    tina__net_listener_serve(backend->net, (uint32_t)os_fd); /* there may be more room now */
    return succeed(os_error);
}

tina_status tina__net_socket_local(tina__backend *backend, int os_fd, tina_address *address, int *os_error)
{
    const tina__net_socket *socket = find(backend, os_fd, os_error);
    if (socket == NULL)
        return TINA_SYSTEM_ERROR;
    tina__net_local_write(socket, address);
    return succeed(os_error);
}

tina_status tina__net_socket_peer(tina__backend *backend, int os_fd, tina_address *address, int *os_error)
{
    const tina__net_socket *socket = find(backend, os_fd, os_error);
    if (socket == NULL)
        return TINA_SYSTEM_ERROR;
    bool was_connected = tina__net_is_unix(socket) && socket->state == TINA__SOCKET_BROKEN; /* its name is still known */
    if (socket->state != TINA__SOCKET_CONNECTED && !was_connected)
        return fail(TINA_SYSTEM_ERROR, ENOTCONN, os_error);
    tina__net_remote_write(socket, address);
    return succeed(os_error);
}

/* ---- Options ------------------------------------------------------------------------------ */

typedef struct option_row {
    int min, max;
} option_row;

static const option_row option_rows[TINA__NET_OPTIONS] = {
    [TINA_OPT_REUSEADDR] = {0, 1},        [TINA_OPT_REUSEPORT] = {0, 1},     [TINA_OPT_KEEPALIVE] = {0, 1},
    [TINA_OPT_NODELAY] = {0, 1},          [TINA_OPT_CORK] = {0, 1},          [TINA_OPT_RCVBUF] = {1, INT_MAX / 2},
    [TINA_OPT_SNDBUF] = {1, INT_MAX / 2}, [TINA_OPT_LINGER] = {-1, 0},       [TINA_OPT_V6ONLY] = {0, 1},
    [TINA_OPT_KEEPIDLE] = {1, 32767},     [TINA_OPT_KEEPINTVL] = {1, 32767}, [TINA_OPT_KEEPCNT] = {1, 127},
};

static bool is_option(int option) { return option >= 0 && option < TINA__NET_OPTIONS; }

static bool is_of_tcp(int option)
{
    return option == TINA_OPT_NODELAY || option == TINA_OPT_CORK || option == TINA_OPT_KEEPIDLE ||
           option == TINA_OPT_KEEPINTVL || option == TINA_OPT_KEEPCNT;
}

/* As Linux has it for each kind of socket: 0, or the errno of setting it. */
static int why_not(const tina__net_socket *socket, int option, int value)
{
    if (tina__net_is_unix(socket)) {
        bool is_of_ip = is_of_tcp(option) || option == TINA_OPT_V6ONLY || (option == TINA_OPT_REUSEPORT && value != 0);
        return is_of_ip ? EOPNOTSUPP : 0;
    }
    if (is_of_tcp(option) && tina__net_is_datagram(socket))
        return ENOPROTOOPT;
    return option == TINA_OPT_V6ONLY && socket->family == TINA_IPV4 ? ENOPROTOOPT : 0;
}

tina_status tina__net_socket_set(tina__backend *backend, int os_fd, int option, int value, int *os_error)
{
    if (!is_option(option) || value < option_rows[option].min || value > option_rows[option].max)
        return fail(TINA_INVALID, 0, os_error);
    tina__net_socket *socket = find(backend, os_fd, os_error);
    if (socket == NULL)
        return TINA_SYSTEM_ERROR;
    int error = why_not(socket, option, value);
    if (error != 0)
        return fail(TINA_UNSUPPORTED, error, os_error);
    if (option == TINA_OPT_V6ONLY && socket->has_port)
        return fail(TINA_SYSTEM_ERROR, EINVAL, os_error);
    bool is_doubled = option == TINA_OPT_RCVBUF || option == TINA_OPT_SNDBUF;
    socket->options[option] = is_doubled ? 2 * value : value;
    return succeed(os_error);
}

tina_status tina__net_socket_get(tina__backend *backend, int os_fd, int option, int *value, int *os_error)
{
    if (!is_option(option))
        return fail(TINA_INVALID, 0, os_error);
    const tina__net_socket *socket = find(backend, os_fd, os_error);
    if (socket == NULL)
        return TINA_SYSTEM_ERROR;
    int error = why_not(socket, option, 0);
    if (error != 0)
        return fail(TINA_UNSUPPORTED, socket->family == TINA_IPV6 ? error : EOPNOTSUPP, os_error);
    *value = socket->options[option];
    return succeed(os_error);
}

/* ---- Ending --------------------------------------------------------------------------------- */

/* Who waits in a half that is shut down waits no more. One that is over already, and late, is told when it is due. */
static void end_waiting(tina__net *net, uint32_t index, uint32_t half)
{
    if (tina__net_at(net, index)->halves[half].state == TINA__HALF_WAITS)
        tina__net_request_finish_now(net, index, half, TINA_CANCELLED, 0);
}

/* A send of the peer's over a Unix socket fails from now on, as Linux has it; over IP nobody tells it. */
static void shut_reading(tina__net *net, uint32_t index)
{
    tina__net_socket *socket = tina__net_at(net, index);
    socket->is_read_shut = true;
    end_waiting(net, index, TINA__NET_READS);
    if (tina__net_is_datagram(socket))
        tina__net_datagram_end_line(net, index, TINA_RESET, EPIPE);
    else
        tina__net_stream_serve(net, index);
}

static void shut_down(tina__net *net, uint32_t index, int half, uint32_t by_shard)
{
    tina__net_socket *socket = tina__net_at(net, index);
    if (half & TINA_READ_HALF)
        shut_reading(net, index);
    if ((half & TINA_WRITE_HALF) == 0 || socket->is_write_shut)
        return;
    socket->is_write_shut = true;
    if (tina__net_is_datagram(socket))
        tina__net_datagram_withdraw(net, index);
    end_waiting(net, index, TINA__NET_WRITES);
    if (socket->peer != TINA__NONE)
        tina__net_stream_end(net, socket->peer, by_shard);
}

tina_status tina__net_socket_shutdown(tina__backend *backend, int os_fd, int half, int *os_error)
{
    if (half != TINA_READ_HALF && half != TINA_WRITE_HALF && half != TINA_BOTH_HALVES)
        return fail(TINA_INVALID, 0, os_error);
    tina__net *net = backend->net;
    uint32_t index = (uint32_t)os_fd;
    const tina__net_socket *socket = find(backend, os_fd, os_error);
    if (socket == NULL)
        return TINA_SYSTEM_ERROR;
    switch ((tina__net_state)socket->state) {
    case TINA__SOCKET_CONNECTED: shut_down(net, index, half, backend->shard); break;
    case TINA__SOCKET_LISTENING:
        if (half & TINA_READ_HALF) {
            end_waiting(net, index, TINA__NET_READS);
            tina__net_listener_end(net, index, backend->shard);
        }
        break;
    case TINA__SOCKET_CONNECTING:
    case TINA__SOCKET_IN_LINE:
        tina__net_connect_withdraw(net, index);
        end_waiting(net, index, TINA__NET_WRITES);
        break;
    case TINA__SOCKET_OPEN:
    case TINA__SOCKET_BROKEN:
        if (!tina__net_is_unix(socket))
            return fail(TINA_SYSTEM_ERROR, ENOTCONN, os_error);
        shut_down(net, index, half, backend->shard);
        break;
    case TINA__SOCKET_FILE:
    case TINA__SOCKET_FREE: return fail(TINA_SYSTEM_ERROR, ENOTCONN, os_error);
    }
    return succeed(os_error);
}

void tina__net_socket_close(tina__net *net, uint32_t index, uint32_t by_shard)
{
    const tina__net_socket *socket = tina__net_at(net, index);
    tina__assert(socket->state != TINA__SOCKET_CONNECTING);
    tina__assert(socket->state != TINA__SOCKET_IN_LINE);
    if (socket->state == TINA__SOCKET_FILE) {
        tina__net_file_close(net, index);
        return;
    }
    bool is_rude = socket->options[TINA_OPT_LINGER] == 0 && !tina__net_is_unix(socket);
    if (socket->state == TINA__SOCKET_LISTENING)
        tina__net_listener_end(net, index, by_shard);
    if (tina__net_is_datagram(socket))
        tina__net_datagram_close(net, index);
    else
        tina__net_stream_close(net, index, is_rude, by_shard);
    tina__net_slot_give(net, index);
}
