/* The synchronous calls of a backend's table, for backends of a POSIX host: sockets know nothing of who waits for them. */
#ifndef TINA__IO_SOCKETS_H
#define TINA__IO_SOCKETS_H

#include "io/backend.h"
#include "os/os.h"
#include "os/sock_posix.h"

static inline void wake_shard(tina__backend *backend, int wake_fd)
{
    (void)backend;
    tina__os_event_signal(wake_fd);
}

static inline tina_status socket_open(tina__backend *backend, int family, int type, int *os_fd, int *os_error)
{
    (void)backend;
    return tina__sock_open(family, type, os_fd, os_error);
}

static inline tina_status socket_bind(tina__backend *backend, int os_fd, const tina_address *address, int *os_error)
{
    (void)backend;
    return tina__sock_bind(os_fd, address, os_error);
}

static inline tina_status socket_listen(tina__backend *backend, int os_fd, int backlog, int *os_error)
{
    (void)backend;
    return tina__sock_listen(os_fd, backlog, os_error);
}

static inline tina_status socket_local(tina__backend *backend, int os_fd, tina_address *address, int *os_error)
{
    (void)backend;
    return tina__sock_local(os_fd, address, os_error);
}

static inline tina_status socket_peer(tina__backend *backend, int os_fd, tina_address *address, int *os_error)
{
    (void)backend;
    return tina__sock_peer(os_fd, address, os_error);
}

static inline tina_status socket_set(tina__backend *backend, int os_fd, int option, int value, int *os_error)
{
    (void)backend;
    return tina__sock_set(os_fd, option, value, os_error);
}

static inline tina_status socket_get(tina__backend *backend, int os_fd, int option, int *value, int *os_error)
{
    (void)backend;
    return tina__sock_get(os_fd, option, value, os_error);
}

static inline tina_status socket_shutdown(tina__backend *backend, int os_fd, int half, int *os_error)
{
    (void)backend;
    return tina__sock_shutdown(os_fd, half, os_error);
}

static inline tina_status adopt(tina__backend *backend, int os_fd, uint8_t *fd_class, int *os_error)
{
    (void)backend;
    return tina__sock_adopt(os_fd, fd_class, os_error);
}

static inline void take_over(tina__backend *backend, int os_fd)
{
    (void)backend; /* what is to be known of it is learnt with its first request */
    (void)os_fd;
}

#endif
