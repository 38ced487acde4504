#define _GNU_SOURCE 1
#include "os/sock_posix.h"

#include "base/fd_class.h"
#include "os/file_posix.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

/* ---- Addresses ---- */

/* A path ends with a zero, and so holds none; a name in the abstract namespace ends with its length. */
static bool encode_local(const tina_address *address, tina__sock_address *host)
{
    bool is_path = address->length != 0 && address->path[0] != '\0';
    if (address->length > sizeof address->path)
        return false;
    if (is_path && memchr(address->path, '\0', address->length) != NULL)
        return false;
    host->local.sun_family = AF_UNIX;
    memcpy(host->local.sun_path, address->path, address->length);
    host->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + address->length + is_path);
    return true;
}

bool tina__sock_encode(const tina_address *address, tina__sock_address *host)
{
    memset(host, 0, sizeof *host);
    if (address->family == TINA_IPV4) {
        host->ipv4.sin_family = AF_INET;
        host->ipv4.sin_port = htons(address->port);
        memcpy(&host->ipv4.sin_addr, address->ipv4, sizeof address->ipv4);
        host->length = sizeof host->ipv4;
        return true;
    }
    if (address->family == TINA_IPV6) {
        host->ipv6.sin6_family = AF_INET6;
        host->ipv6.sin6_port = htons(address->port);
        host->ipv6.sin6_scope_id = address->scope;
        memcpy(&host->ipv6.sin6_addr, address->ipv6, sizeof address->ipv6);
        host->length = sizeof host->ipv6;
        return true;
    }
    return address->family == TINA_UNIX && encode_local(address, host);
}

/* False: one that an address can't hold. Cut, it would be somebody else's. */
static bool decode_local(const tina__sock_address *host, tina_address *address)
{
    size_t length = host->length - offsetof(struct sockaddr_un, sun_path);
    if (length != 0 && host->local.sun_path[0] != '\0')
        length = strnlen(host->local.sun_path, length);
    if (length > sizeof address->path)
        return false;
    address->family = TINA_UNIX;
    address->length = (uint8_t)length;
    memcpy(address->path, host->local.sun_path, length);
    return true;
}

bool tina__sock_decode(const tina__sock_address *host, tina_address *address)
{
    memset(address, 0, sizeof *address);
    if (host->length >= sizeof host->ipv4 && host->any.sa_family == AF_INET) {
        address->family = TINA_IPV4;
        address->port = ntohs(host->ipv4.sin_port);
        memcpy(address->ipv4, &host->ipv4.sin_addr, sizeof address->ipv4);
        return true;
    }
    if (host->length >= sizeof host->ipv6 && host->any.sa_family == AF_INET6) {
        address->family = TINA_IPV6;
        address->port = ntohs(host->ipv6.sin6_port);
        address->scope = host->ipv6.sin6_scope_id;
        memcpy(address->ipv6, &host->ipv6.sin6_addr, sizeof address->ipv6);
        return true;
    }
    if (host->length >= offsetof(struct sockaddr_un, sun_path) && host->any.sa_family == AF_UNIX)
        return decode_local(host, address);
    return false;
}

/* ---- Errors ---- */

tina_status tina__sock_status(int os_error)
{
    switch (os_error) {
    case ECONNREFUSED: return TINA_REFUSED;
    case ECONNRESET:
    case ECONNABORTED:
    case EPIPE: return TINA_RESET;
    case EACCES:
    case EROFS:
    case EPERM: return TINA_DENIED;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM: return TINA_POOL_EXHAUSTED;
    case ECANCELED: return TINA_CANCELLED;
    case ETIMEDOUT: return TINA_TIMED_OUT;
    case ENOENT:
    case ENOTDIR:
    case EADDRNOTAVAIL:
    case EHOSTUNREACH:
    case EHOSTDOWN:
    case ENETUNREACH:
    case ENETDOWN: return TINA_NOT_FOUND;
    case ENOSPC:
    case EDQUOT: return TINA_DISK_FULL;
    case EOPNOTSUPP:
    case EAFNOSUPPORT:
    case EPROTONOSUPPORT:
    case ESOCKTNOSUPPORT:
    case ENOPROTOOPT: return TINA_UNSUPPORTED;
    default: return TINA_SYSTEM_ERROR;
    }
}

/* A synchronous call promises fewer statuses than an operation; errno tells the rest. */
static tina_status call_failed(int *os_error)
{
    *os_error = errno;
    tina_status status = tina__sock_status(*os_error);
    return status == TINA_DENIED || status == TINA_UNSUPPORTED ? status : TINA_SYSTEM_ERROR;
}

static tina_status call_status(int result, int *os_error)
{
    *os_error = 0;
    return result == 0 ? TINA_OK : call_failed(os_error);
}

static tina_status invalid(int *os_error)
{
    *os_error = 0;
    return TINA_INVALID;
}

/* ---- Calls ---- */

tina_status tina__sock_open(int family, int type, int *os_fd, int *os_error)
{
    *os_fd = -1;
    static const int families[] = {[TINA_IPV4] = AF_INET, [TINA_IPV6] = AF_INET6, [TINA_UNIX] = AF_UNIX};
    if (family < TINA_IPV4 || family > TINA_UNIX || (type != TINA_STREAM && type != TINA_DATAGRAM))
        return invalid(os_error);
    int host_type = type == TINA_STREAM ? SOCK_STREAM : SOCK_DGRAM;
    int fd = socket(families[family], host_type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        *os_fd = fd;
        *os_error = 0;
        return TINA_OK;
    }
    bool is_exhausted = tina__sock_status(errno) == TINA_POOL_EXHAUSTED;
    tina_status status = call_failed(os_error);
    return is_exhausted ? TINA_POOL_EXHAUSTED : status;
}

tina_status tina__sock_bind(int os_fd, const tina_address *address, int *os_error)
{
    tina__sock_address host;
    if (!tina__sock_encode(address, &host))
        return invalid(os_error);
    return call_status(bind(os_fd, &host.any, host.length), os_error);
}

tina_status tina__sock_listen(int os_fd, int backlog, int *os_error)
{
    return call_status(listen(os_fd, backlog), os_error);
}

static tina_status address_of(int result, const tina__sock_address *host, tina_address *address, int *os_error)
{
    tina_status status = call_status(result, os_error);
    if (status != TINA_OK)
        return status;
    return tina__sock_decode(host, address) ? TINA_OK : TINA_UNSUPPORTED;
}

tina_status tina__sock_local(int os_fd, tina_address *address, int *os_error)
{
    tina__sock_address host = {.length = sizeof host.bytes};
    return address_of(getsockname(os_fd, &host.any, &host.length), &host, address, os_error);
}

tina_status tina__sock_peer(int os_fd, tina_address *address, int *os_error)
{
    tina__sock_address host = {.length = sizeof host.bytes};
    return address_of(getpeername(os_fd, &host.any, &host.length), &host, address, os_error);
}

tina_status tina__sock_shutdown(int os_fd, int half, int *os_error)
{
    switch (half) {
    case TINA_READ_HALF: return call_status(shutdown(os_fd, SHUT_RD), os_error);
    case TINA_WRITE_HALF: return call_status(shutdown(os_fd, SHUT_WR), os_error);
    case TINA_BOTH_HALVES: return call_status(shutdown(os_fd, SHUT_RDWR), os_error);
    default: return invalid(os_error);
    }
}

/* ---- Options ---- */

typedef struct option_row {
    int level, name;
    int min, max; /* what the host takes */
} option_row;

static const option_row option_rows[] = {
    [TINA_OPT_REUSEADDR] = {SOL_SOCKET, SO_REUSEADDR, 0, 1},
    [TINA_OPT_REUSEPORT] = {SOL_SOCKET, SO_REUSEPORT, 0, 1},
    [TINA_OPT_KEEPALIVE] = {SOL_SOCKET, SO_KEEPALIVE, 0, 1},
    [TINA_OPT_NODELAY] = {IPPROTO_TCP, TCP_NODELAY, 0, 1},
    [TINA_OPT_CORK] = {IPPROTO_TCP, TCP_CORK, 0, 1},
    [TINA_OPT_RCVBUF] = {SOL_SOCKET, SO_RCVBUF, 1, INT_MAX / 2},
    [TINA_OPT_SNDBUF] = {SOL_SOCKET, SO_SNDBUF, 1, INT_MAX / 2},
    [TINA_OPT_LINGER] = {SOL_SOCKET, SO_LINGER, -1, 0},
    [TINA_OPT_V6ONLY] = {IPPROTO_IPV6, IPV6_V6ONLY, 0, 1},
    [TINA_OPT_KEEPIDLE] = {IPPROTO_TCP, TCP_KEEPIDLE, 1, 32767},
    [TINA_OPT_KEEPINTVL] = {IPPROTO_TCP, TCP_KEEPINTVL, 1, 32767},
    [TINA_OPT_KEEPCNT] = {IPPROTO_TCP, TCP_KEEPCNT, 1, 127},
};

static const option_row *find_option(int option)
{
    if (option < 0 || (size_t)option >= sizeof option_rows / sizeof option_rows[0])
        return NULL;
    return &option_rows[option];
}

static tina_status set_linger(int os_fd, int value, int *os_error)
{
    struct linger linger = {.l_onoff = value == 0, .l_linger = 0};
    return call_status(setsockopt(os_fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), os_error);
}

static tina_status get_linger(int os_fd, int *value, int *os_error)
{
    struct linger linger = {0};
    socklen_t length = sizeof linger;
    tina_status status = call_status(getsockopt(os_fd, SOL_SOCKET, SO_LINGER, &linger, &length), os_error);
    if (status == TINA_OK)
        *value = linger.l_onoff ? linger.l_linger : -1;
    return status;
}

tina_status tina__sock_set(int os_fd, int option, int value, int *os_error)
{
    const option_row *row = find_option(option);
    if (row == NULL || value < row->min || value > row->max)
        return invalid(os_error);
    if (option == TINA_OPT_LINGER)
        return set_linger(os_fd, value, os_error);
    return call_status(setsockopt(os_fd, row->level, row->name, &value, sizeof value), os_error);
}

tina_status tina__sock_get(int os_fd, int option, int *value, int *os_error)
{
    const option_row *row = find_option(option);
    if (row == NULL)
        return invalid(os_error);
    if (option == TINA_OPT_LINGER)
        return get_linger(os_fd, value, os_error);
    socklen_t length = sizeof *value;
    return call_status(getsockopt(os_fd, row->level, row->name, value, &length), os_error);
}

/* ---- Datagrams ---- */

static int ask(int os_fd, int what)
{
    int value = -1;
    socklen_t size = sizeof value;
    return getsockopt(os_fd, SOL_SOCKET, what, &value, &size) == 0 ? value : -1;
}

void tina__sock_decode_sender(int os_fd, const tina__sock_address *host, tina_address *from)
{
    if (tina__sock_decode(host, from) || host->length != 0)
        return;
    if (ask(os_fd, SO_TYPE) == SOCK_DGRAM && ask(os_fd, SO_DOMAIN) == AF_UNIX)
        from->family = TINA_UNIX;
}

ssize_t tina__sock_receive_from(int os_fd, void *data, size_t size, tina_address *from, bool *is_truncated)
{
    tina__sock_address host = {.length = 0};
    struct iovec part = {.iov_base = data, .iov_len = size};
    struct msghdr message = {.msg_name = &host.any, .msg_namelen = sizeof host.bytes, .msg_iov = &part, .msg_iovlen = 1};
    ssize_t taken;
    do {
        taken = recvmsg(os_fd, &message, MSG_DONTWAIT);
    } while (taken < 0 && errno == EINTR);
    if (taken < 0)
        return -1;
    host.length = message.msg_namelen;
    tina__sock_decode_sender(os_fd, &host, from);
    *is_truncated = (message.msg_flags & MSG_TRUNC) != 0;
    return taken;
}

ssize_t tina__sock_send_to(int os_fd, const void *data, size_t size, const tina_address *to)
{
    tina__sock_address host = {.length = 0};
    if (to != NULL && !tina__sock_encode(to, &host)) {
        errno = EINVAL;
        return -1;
    }
    ssize_t taken;
    do {
        taken = sendto(os_fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT, to == NULL ? NULL : &host.any, host.length);
    } while (taken < 0 && errno == EINTR);
    return taken;
}

/* ---- What others have opened ---- */

static tina_status adopt_socket(int os_fd, int type, int flags, uint8_t *fd_class, int *os_error)
{
    if (type != SOCK_STREAM && type != SOCK_DGRAM && type != SOCK_RAW)
        return TINA_UNSUPPORTED;
    if (fcntl(os_fd, F_SETFL, flags | O_NONBLOCK) != 0)
        return call_failed(os_error);
    *fd_class = type == SOCK_STREAM ? TINA__FD_STREAM : TINA__FD_DATAGRAM;
    return TINA_OK;
}

/* The other end of a terminal that a program plays: to open that anew would be to make another one. */
static bool is_control(int os_fd)
{
    unsigned number;
    return ioctl(os_fd, TIOCGPTN, &number) == 0;
}

/* What others share is the open terminal, and with it the flag that it waits. So we take one that was opened for us alone. */
static tina_status adopt_terminal(int os_fd, int flags, int *os_error)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", os_fd);
    int own = open(path, (flags & O_ACCMODE) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    bool is_ours = own >= 0 && dup3(own, os_fd, O_CLOEXEC) == os_fd;
    *os_error = is_ours ? 0 : errno;
    if (own >= 0)
        close(own);
    return is_ours ? TINA_OK : TINA_UNSUPPORTED;
}

static tina_status adopt_other(int os_fd, int flags, uint8_t *fd_class, int *os_error)
{
    *fd_class = tina__file_class(os_fd);
    bool waits = (flags & O_NONBLOCK) == 0 && isatty(os_fd) && !is_control(os_fd);
    return waits ? adopt_terminal(os_fd, flags, os_error) : TINA_OK;
}

tina_status tina__sock_adopt(int os_fd, uint8_t *fd_class, int *os_error)
{
    *os_error = 0;
    int flags = fcntl(os_fd, F_GETFL);
    if (flags < 0)
        return invalid(os_error);
    if ((flags & O_PATH) != 0)
        return TINA_UNSUPPORTED;
    int type = ask(os_fd, SO_TYPE);
    tina_status status = TINA_OK;
    if (type >= 0)
        status = adopt_socket(os_fd, type, flags, fd_class, os_error);
    else
        status = adopt_other(os_fd, flags, fd_class, os_error);
    if (status == TINA_OK)
        (void)fcntl(os_fd, F_SETFD, FD_CLOEXEC);
    return status;
}

bool tina__sock_is_tcp(int os_fd) { return ask(os_fd, SO_PROTOCOL) == IPPROTO_TCP; }
