/* Descriptors of the backend under test, and the far ends of its connections. Part of rig.h. */
#ifndef TESTS_BACKEND_RIG_ENDS_H
#define TESTS_BACKEND_RIG_ENDS_H

#include "rig_open.h"

#include <arpa/inet.h>

/* ---- Descriptors ---- */

static inline rig_fd rig_adopt_as(test_rig *rig, int os_fd, uint8_t fd_class)
{
    assert_true(os_fd >= 0);
    assert_true(rig->free_slot_count != 0);
    return (rig_fd){.os_fd = os_fd, .slot = rig->free_slots[--rig->free_slot_count], .fd_class = fd_class};
}

static inline rig_fd rig_adopt(test_rig *rig, int os_fd) { return rig_adopt_as(rig, os_fd, TINA__FD_STREAM); }

/* One that the program opened, and the backend is to find out what it is. */
static inline rig_fd rig_take_in(test_rig *rig, int os_fd, uint8_t fd_class)
{
    uint8_t found = 0xFF;
    int os_error;
    assert_int_equal(rig->api->adopt(rig->backend, os_fd, &found, &os_error), TINA_OK);
    assert_int_equal(found, fd_class);
    return rig_adopt_as(rig, os_fd, fd_class);
}

static inline void rig_forget_slot(test_rig *rig, rig_fd fd) { rig->free_slots[rig->free_slot_count++] = fd.slot; }

static inline void rig_close_fd(test_rig *rig, rig_fd fd)
{
    rig->api->close_fd(rig->backend, fd.os_fd, fd.slot);
    rig_forget_slot(rig, fd);
}

/* A connected pair; the test plays the other end. */
static inline rig_fd rig_pair(test_rig *rig, int *other)
{
    int ends[2];
    if (rig_is_made(rig))
        made_pair(&rig->made, rig->backend, &ends[0], &ends[1]);
    else
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    *other = ends[1];
    return rig_adopt(rig, ends[0]);
}

static inline rig_fd rig_socket_of(test_rig *rig, int family, int type)
{
    int os_fd, os_error;
    assert_int_equal(rig->api->socket_open(rig->backend, family, type, &os_fd, &os_error), TINA_OK);
    return rig_adopt_as(rig, os_fd, type == TINA_DATAGRAM ? TINA__FD_DATAGRAM : TINA__FD_STREAM);
}

static inline rig_fd rig_socket(test_rig *rig, int family) { return rig_socket_of(rig, family, TINA_STREAM); }

/* On the loopback, with any port; of Unix sockets a name in the abstract namespace that no other process takes. */
static inline tina_address rig_nearby(int family)
{
    static const uint8_t loopback[16] = {[15] = 1};
    static uint32_t count;
    tina_address address = {.family = (uint8_t)family};
    if (family == TINA_IPV6)
        memcpy(address.ipv6, loopback, sizeof loopback);
    if (family == TINA_IPV4)
        memcpy(address.ipv4, (uint8_t[]){127, 0, 0, 1}, 4);
    if (family == TINA_UNIX)
        address.length = (uint8_t)(1 + snprintf(address.path + 1, sizeof address.path - 1, "tina-rig-%ld-%u", (long)getpid(),
                                                (unsigned)count++));
    return address;
}

static inline void rig_bind(test_rig *rig, rig_fd fd, const tina_address *wanted, tina_address *address)
{
    int os_error;
    assert_int_equal(rig->api->socket_bind(rig->backend, fd.os_fd, wanted, &os_error), TINA_OK);
    assert_int_equal(rig->api->socket_local(rig->backend, fd.os_fd, address, &os_error), TINA_OK);
}

static inline rig_fd rig_bound_of(test_rig *rig, int family, int type, tina_address *address)
{
    tina_address wanted_address = rig_nearby(family);
    rig_fd fd = rig_socket_of(rig, family, type);
    rig_bind(rig, fd, &wanted_address, address);
    return fd;
}

/* Bound to a free port of the loopback. */
static inline rig_fd rig_bound(test_rig *rig, int family, tina_address *address)
{
    return rig_bound_of(rig, family, TINA_STREAM, address);
}

static inline rig_fd rig_datagram(test_rig *rig, int family, tina_address *address)
{
    return rig_bound_of(rig, family, TINA_DATAGRAM, address);
}

static inline bool rig_has_ipv6(test_rig *rig)
{
    tina_address any = rig_nearby(TINA_IPV6);
    int os_fd, os_error;
    if (rig->api->socket_open(rig->backend, TINA_IPV6, TINA_STREAM, &os_fd, &os_error) != TINA_OK)
        return false;
    bool is_there = rig->api->socket_bind(rig->backend, os_fd, &any, &os_error) == TINA_OK;
    rig->api->close_fd(rig->backend, os_fd, TINA__SLOT_NONE);
    return is_there;
}

static inline rig_fd rig_listener(test_rig *rig, int family, int backlog, tina_address *address)
{
    rig_fd fd = rig_bound(rig, family, address);
    int os_error;
    assert_int_equal(rig->api->socket_listen(rig->backend, fd.os_fd, backlog, &os_error), TINA_OK);
    return fd;
}

/* As many descriptors as the process may have, at most count. */
static inline uint32_t rig_descriptors_for_us(uint8_t wanted, uint32_t count)
{
    if (wanted == TINA_BACKEND_SIM)
        return count;
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return limit.rlim_cur < count + 100 ? (uint32_t)limit.rlim_cur - 100 : count;
}

/* ---- Other ends: descriptors that the backend under test has no request on ---- */

static inline void rig_feed(test_rig *rig, int os_fd, const void *data, size_t size)
{
    if (rig_is_made(rig))
        made_send(&rig->made, os_fd, data, size);
    else
        assert_int_equal(write(os_fd, data, size), size);
}

/* As read(2) returns it; does not wait where the descriptor does not. */
static inline ssize_t rig_read(test_rig *rig, int os_fd, void *into, size_t size)
{
    return rig_is_made(rig) ? made_receive(&rig->made, os_fd, into, size) : read(os_fd, into, size);
}

/* Until there is something to read. */
static inline void rig_await_input(test_rig *rig, int os_fd)
{
    struct pollfd ready = {.fd = os_fd, .events = POLLIN};
    if (!rig_is_made(rig))
        assert_int_equal(poll(&ready, 1, 10000), 1);
}

static inline void rig_drop(test_rig *rig, int os_fd)
{
    if (rig_is_made(rig))
        made_drop(&rig->made, os_fd);
    else
        close(os_fd);
}

/* A connection that is not the backend's. */
static inline int rig_dial(test_rig *rig, const tina_address *address)
{
    int os_fd;
    if (rig_is_made(rig)) {
        os_fd = made_socket(rig->made.backend);
        made_connect(&rig->made, os_fd, address);
        return os_fd;
    }
    struct sockaddr_in host = {.sin_family = AF_INET, .sin_port = htons(address->port)};
    memcpy(&host.sin_addr, address->ipv4, sizeof address->ipv4);
    os_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(os_fd, (struct sockaddr *)&host, sizeof host), 0);
    return os_fd;
}

/* The other side of it is closed: the end comes, in order or as a reset. Closes it. */
static inline void rig_assert_ended(test_rig *rig, int os_fd)
{
    rig_await_input(rig, os_fd);
    char byte;
    ssize_t size = rig_read(rig, os_fd, &byte, 1);
    assert_true(size == 0 || (size < 0 && errno == ECONNRESET));
    rig_drop(rig, os_fd);
}

#endif
