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
    return tina__net_slot_is_open(backend->net, os_fd) ? tina__net_at(backend->net, (uint32_t)os_fd) : NULL;
}

tina_status tina__net_socket_open(tina__backend *backend, int family, int type, int *os_fd, int *os_error)
{
    *os_fd = -1;
    if ((family != TINA_IPV4 && family != TINA_IPV6) || type != TINA_STREAM)
        return fail(TINA_INVALID, 0, os_error);
    uint32_t index = tina__net_slot_take(backend->net, backend->shard, (uint8_t)family);
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
        socket->local.port = tina__net_port_choose(net);
    if (socket->local.port == 0 || tina__net_port_conflicts(net, index)) {
        socket->local = before;
        return fail(TINA_SYSTEM_ERROR, EADDRINUSE, os_error);
    }
    tina__net_port_hold(net, index);
    return succeed(os_error);
}

tina_status tina__net_socket_bind(tina__backend *backend, int os_fd, const tina_address *address, int *os_error)
{
    tina__net_socket *socket = find(backend, os_fd, os_error);
    tina__net_endpoint endpoint;
    bool is_v6only = socket != NULL && socket->options[TINA_OPT_V6ONLY] != 0;
    if (!tina__net_endpoint_make(address, is_v6only, &endpoint))
        return fail(TINA_INVALID, 0, os_error);
    if (socket == NULL)
        return TINA_SYSTEM_ERROR;
    if (address->family != socket->family && socket->family == TINA_IPV4)
        return fail(TINA_UNSUPPORTED, EAFNOSUPPORT, os_error);
    if (address->family != socket->family || socket->has_port || socket->state != TINA__SOCKET_OPEN)
        return fail(TINA_SYSTEM_ERROR, EINVAL, os_error);
    return take_address(backend->net, (uint32_t)os_fd, endpoint, os_error);
}

static tina_status begin_listening(tina__net *net, uint32_t index, int *os_error)
{
    tina__net_socket *socket = tina__net_at(net, index);
    if (!tina__net_connect_bind(net, index))
        return fail(TINA_SYSTEM_ERROR, EADDRINUSE, os_error);
    if (tina__net_port_conflicts(net, index)) /* with one that listens there by now */
        return fail(TINA_SYSTEM_ERROR, EADDRINUSE, os_error);
    socket->state = TINA__SOCKET_LISTENING;
    tina__net_port_hold(net, index);
    return succeed(os_error);
}

tina_status tina__net_socket_listen(tina__backend *backend, int os_fd, int backlog, int *os_error)
{
    tina__net_socket *socket = find(backend, os_fd, os_error);
    if (socket == NULL)
        return TINA_SYSTEM_ERROR;
    if (socket->state != TINA__SOCKET_OPEN && socket->state != TINA__SOCKET_LISTENING)
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
    tina__net_endpoint_write(&socket->local, socket->family, address);
    return succeed(os_error);
}

tina_status tina__net_socket_peer(tina__backend *backend, int os_fd, tina_address *address, int *os_error)
{
    const tina__net_socket *socket = find(backend, os_fd, os_error);
    if (socket == NULL)
        return TINA_SYSTEM_ERROR;
    if (socket->state != TINA__SOCKET_CONNECTED)
        return fail(TINA_SYSTEM_ERROR, ENOTCONN, os_error);
    tina__net_endpoint_write(&socket->remote, socket->family, address);
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

tina_status tina__net_socket_set(tina__backend *backend, int os_fd, int option, int value, int *os_error)
{
    if (!is_option(option) || value < option_rows[option].min || value > option_rows[option].max)
        return fail(TINA_INVALID, 0, os_error);
    tina__net_socket *socket = find(backend, os_fd, os_error);
    if (socket == NULL)
        return TINA_SYSTEM_ERROR;
    if (option == TINA_OPT_V6ONLY && socket->family == TINA_IPV4)
        return fail(TINA_UNSUPPORTED, ENOPROTOOPT, os_error);
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
    if (option == TINA_OPT_V6ONLY && socket->family == TINA_IPV4)
        return fail(TINA_UNSUPPORTED, EOPNOTSUPP, os_error);
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

static void shut_down(tina__net *net, uint32_t index, int half, uint32_t by_shard)
{
    tina__net_socket *socket = tina__net_at(net, index);
    if (half & TINA_READ_HALF) {
        socket->is_read_shut = true;
        end_waiting(net, index, TINA__NET_READS);
    }
    if ((half & TINA_WRITE_HALF) == 0 || socket->is_write_shut)
        return;
    socket->is_write_shut = true;
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
            tina__net_listener_end(net, index);
        }
        break;
    case TINA__SOCKET_CONNECTING:
    case TINA__SOCKET_IN_LINE:
        tina__net_connect_withdraw(net, index);
        end_waiting(net, index, TINA__NET_WRITES);
        break;
    case TINA__SOCKET_OPEN:
    case TINA__SOCKET_BROKEN:
    case TINA__SOCKET_FREE: return fail(TINA_SYSTEM_ERROR, ENOTCONN, os_error);
    }
    return succeed(os_error);
}

void tina__net_socket_close(tina__net *net, uint32_t index, uint32_t by_shard)
{
    const tina__net_socket *socket = tina__net_at(net, index);
    tina__assert(socket->state != TINA__SOCKET_CONNECTING);
    tina__assert(socket->state != TINA__SOCKET_IN_LINE);
    if (socket->state == TINA__SOCKET_LISTENING)
        tina__net_listener_end(net, index);
    tina__net_stream_close(net, index, socket->options[TINA_OPT_LINGER] == 0, by_shard);
    tina__net_slot_give(net, index);
}
