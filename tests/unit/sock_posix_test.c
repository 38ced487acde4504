#define _GNU_SOURCE 1
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/fd_class.h"
#include "os/sock_posix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const tina_address loopback = {.family = TINA_IPV4, .ipv4 = {127, 0, 0, 1}};

static int open_stream(int family)
{
    int os_fd, os_error;
    tina_status status = tina__sock_open(family, TINA_STREAM, &os_fd, &os_error);
    if (status == TINA_UNSUPPORTED && family == TINA_IPV6)
        skip();
    assert_int_equal(status, TINA_OK);
    assert_int_equal(os_error, 0);
    return os_fd;
}

/* ---- Addresses ---- */

static void address_of_ipv4_survives_the_way_there_and_back(void **state)
{
    (void)state;
    tina_address address = {.family = TINA_IPV4, .port = 0x1234, .ipv4 = {1, 2, 3, 4}};
    tina__sock_address host;
    assert_true(tina__sock_encode(&address, &host));
    assert_int_equal(host.any.sa_family, AF_INET);
    assert_int_equal(host.length, sizeof(struct sockaddr_in));
    assert_memory_equal(&host.ipv4.sin_port, "\x12\x34", 2);
    assert_memory_equal(&host.ipv4.sin_addr, "\x01\x02\x03\x04", 4);
    tina_address back;
    memset(&back, 0xAA, sizeof back);
    assert_true(tina__sock_decode(&host, &back));
    assert_memory_equal(&back, &address, sizeof address);
}

static void address_of_ipv6_survives_the_way_there_and_back(void **state)
{
    (void)state;
    tina_address address = {.family = TINA_IPV6, .port = 65535, .scope = 7, .ipv6 = {0xfe, 0x80, [15] = 9}};
    tina__sock_address host;
    assert_true(tina__sock_encode(&address, &host));
    assert_int_equal(host.any.sa_family, AF_INET6);
    assert_int_equal(host.length, sizeof(struct sockaddr_in6));
    assert_int_equal(host.ipv6.sin6_scope_id, 7);
    tina_address back;
    memset(&back, 0xAA, sizeof back);
    assert_true(tina__sock_decode(&host, &back));
    assert_memory_equal(&back, &address, sizeof address);
}

static void address_of_another_family_is_not_encoded(void **state)
{
    (void)state;
    tina__sock_address host;
    for (int family = 0; family < 256; family++) {
        tina_address address = {.family = (uint8_t)family};
        bool is_known = family == TINA_IPV4 || family == TINA_IPV6 || family == TINA_UNIX;
        assert_int_equal(tina__sock_encode(&address, &host), is_known);
    }
}

static void address_that_is_cut_short_is_not_decoded(void **state)
{
    (void)state;
    tina__sock_address host = {.length = 0};
    tina_address address = {.family = TINA_IPV4, .port = 1};
    host.any.sa_family = AF_INET;
    assert_false(tina__sock_decode(&host, &address));
    assert_int_equal(address.family, 0);
    assert_int_equal(address.port, 0);
    host.any.sa_family = AF_INET6;
    host.length = sizeof host.ipv4;
    assert_false(tina__sock_decode(&host, &address));
    host.any.sa_family = AF_UNIX;
    host.length = sizeof host.any.sa_family - 1;
    assert_false(tina__sock_decode(&host, &address));
    host.any.sa_family = AF_PACKET;
    host.length = sizeof host.local;
    assert_false(tina__sock_decode(&host, &address));
}

static void address_of_a_path_survives_the_way_there_and_back(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        uint8_t length;
        bool has_zero; /* behind it, as the host wants it */
    } rows[] = {{"/run/x", 6, true},  {"x", 1, true},   {"\0name", 5, false},
                {"\0a\0b", 4, false}, {"\0", 1, false}, {"", 0, false}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        tina_address address = {.family = TINA_UNIX, .length = rows[i].length, .path = {0}}, back;
        memcpy(address.path, rows[i].path, rows[i].length);
        tina__sock_address host;
        assert_true(tina__sock_encode(&address, &host));
        assert_int_equal(host.any.sa_family, AF_UNIX);
        assert_int_equal(host.length, offsetof(struct sockaddr_un, sun_path) + rows[i].length + rows[i].has_zero);
        memset(&back, 0xAA, sizeof back);
        assert_true(tina__sock_decode(&host, &back));
        assert_memory_equal(&back, &address, sizeof address);
    }
}

static void address_of_the_longest_path_survives_and_a_longer_one_is_none(void **state)
{
    (void)state;
    tina_address address = {.family = TINA_UNIX, .length = sizeof address.path, .path = {0}}, back;
    memset(address.path, 'p', sizeof address.path);
    tina__sock_address host;
    assert_true(tina__sock_encode(&address, &host));
    assert_true(tina__sock_decode(&host, &back));
    assert_memory_equal(&back, &address, sizeof address);
    host.local.sun_path[sizeof address.path] = 'p'; /* which the host can hold */
    host.length++;
    assert_false(tina__sock_decode(&host, &back));
    assert_int_equal(back.family, 0);
    address.length++;
    assert_false(tina__sock_encode(&address, &host));
}

/* The host would take the part before the zero for the whole. */
static void address_of_a_path_with_a_zero_inside_is_not_encoded(void **state)
{
    (void)state;
    tina_address address = {.family = TINA_UNIX, .length = 3, .path = "a\0b"};
    tina__sock_address host;
    assert_false(tina__sock_encode(&address, &host));
}

/* ---- Errors ---- */

static void status_of_each_errno_is_the_documented_one(void **state)
{
    (void)state;
    static const struct {
        int os_error;
        tina_status status;
    } rows[] = {
        {ECONNREFUSED, TINA_REFUSED},    {ECONNRESET, TINA_RESET},
        {ECONNABORTED, TINA_RESET},      {EPIPE, TINA_RESET},
        {EACCES, TINA_DENIED},           {EPERM, TINA_DENIED},
        {EMFILE, TINA_POOL_EXHAUSTED},   {ENFILE, TINA_POOL_EXHAUSTED},
        {ENOBUFS, TINA_POOL_EXHAUSTED},  {ENOMEM, TINA_POOL_EXHAUSTED},
        {ECANCELED, TINA_CANCELLED},     {ETIMEDOUT, TINA_TIMED_OUT},
        {ENOENT, TINA_NOT_FOUND},        {ENOTDIR, TINA_NOT_FOUND},
        {EADDRNOTAVAIL, TINA_NOT_FOUND}, {EHOSTUNREACH, TINA_NOT_FOUND},
        {ENETUNREACH, TINA_NOT_FOUND},   {ENOSPC, TINA_DISK_FULL},
        {EDQUOT, TINA_DISK_FULL},        {EROFS, TINA_DENIED},
        {EOPNOTSUPP, TINA_UNSUPPORTED},  {EAFNOSUPPORT, TINA_UNSUPPORTED},
        {ENOPROTOOPT, TINA_UNSUPPORTED}, {EADDRINUSE, TINA_SYSTEM_ERROR},
        {EEXIST, TINA_SYSTEM_ERROR},     {EISDIR, TINA_SYSTEM_ERROR},
        {EIO, TINA_SYSTEM_ERROR},        {EINVAL, TINA_SYSTEM_ERROR},
        {EBADF, TINA_SYSTEM_ERROR},      {99999, TINA_SYSTEM_ERROR},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(tina__sock_status(rows[i].os_error), rows[i].status);
}

/* ---- Calls ---- */

static void open_makes_a_socket_that_does_not_block_and_is_not_inherited(void **state)
{
    (void)state;
    int os_fd = open_stream(TINA_IPV4);
    assert_true(fcntl(os_fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(os_fd, F_GETFD) & FD_CLOEXEC);
    close(os_fd);
}

static void open_of_what_does_not_exist_is_invalid(void **state)
{
    (void)state;
    int os_fd = 5, os_error = 5;
    assert_int_equal(tina__sock_open(0, TINA_STREAM, &os_fd, &os_error), TINA_INVALID);
    assert_int_equal(os_fd, -1);
    assert_int_equal(os_error, 0);
    assert_int_equal(tina__sock_open(TINA_IPV4, 0, &os_fd, &os_error), TINA_INVALID);
    assert_int_equal(tina__sock_open(TINA_IPV4, 99, &os_fd, &os_error), TINA_INVALID);
}

static void bind_to_port_0_gets_a_port(void **state)
{
    (void)state;
    int os_fd = open_stream(TINA_IPV4), os_error = 5;
    assert_int_equal(tina__sock_bind(os_fd, &loopback, &os_error), TINA_OK);
    assert_int_equal(os_error, 0);
    tina_address address;
    assert_int_equal(tina__sock_local(os_fd, &address, &os_error), TINA_OK);
    assert_int_equal(address.family, TINA_IPV4);
    assert_memory_equal(address.ipv4, loopback.ipv4, 4);
    assert_int_not_equal(address.port, 0);
    close(os_fd);
}

static void bind_to_a_port_in_use_says_so(void **state)
{
    (void)state;
    int os_fd = open_stream(TINA_IPV4), other = open_stream(TINA_IPV4), os_error;
    assert_int_equal(tina__sock_bind(os_fd, &loopback, &os_error), TINA_OK);
    assert_int_equal(tina__sock_listen(os_fd, 1, &os_error), TINA_OK);
    tina_address address;
    assert_int_equal(tina__sock_local(os_fd, &address, &os_error), TINA_OK);
    assert_int_equal(tina__sock_bind(other, &address, &os_error), TINA_SYSTEM_ERROR);
    assert_int_equal(os_error, EADDRINUSE);
    close(os_fd);
    close(other);
}

/* A synchronous call promises no TINA_NOT_FOUND. */
static void bind_to_an_address_that_is_not_here_is_a_system_error(void **state)
{
    (void)state;
    int os_fd = open_stream(TINA_IPV4), os_error;
    tina_address elsewhere = {.family = TINA_IPV4, .ipv4 = {192, 0, 2, 1}}; /* reserved for documentation */
    assert_int_equal(tina__sock_bind(os_fd, &elsewhere, &os_error), TINA_SYSTEM_ERROR);
    assert_int_equal(os_error, EADDRNOTAVAIL);
    close(os_fd);
}

static void bind_to_no_address_is_invalid(void **state)
{
    (void)state;
    int os_fd = open_stream(TINA_IPV4), os_error = 5;
    tina_address none = {0};
    assert_int_equal(tina__sock_bind(os_fd, &none, &os_error), TINA_INVALID);
    assert_int_equal(os_error, 0);
    close(os_fd);
}

static void peer_of_what_is_not_connected_is_a_system_error(void **state)
{
    (void)state;
    int os_fd = open_stream(TINA_IPV4), os_error;
    tina_address address;
    assert_int_equal(tina__sock_peer(os_fd, &address, &os_error), TINA_SYSTEM_ERROR);
    assert_int_equal(os_error, ENOTCONN);
    close(os_fd);
}

static void shutdown_of_no_half_is_invalid(void **state)
{
    (void)state;
    int ends[2], os_error = 5;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(tina__sock_shutdown(ends[0], 0, &os_error), TINA_INVALID);
    assert_int_equal(tina__sock_shutdown(ends[0], 4, &os_error), TINA_INVALID);
    assert_int_equal(os_error, 0);
    char byte;
    assert_int_equal(tina__sock_shutdown(ends[0], TINA_WRITE_HALF, &os_error), TINA_OK);
    assert_int_equal(read(ends[1], &byte, 1), 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    assert_int_equal(read(ends[0], &byte, 1), 1);
    assert_int_equal(tina__sock_shutdown(ends[0], TINA_BOTH_HALVES, &os_error), TINA_OK);
    assert_int_equal(read(ends[0], &byte, 1), 0);
    close(ends[0]);
    close(ends[1]);
}

/* ---- Options ---- */

static int get(int os_fd, int option)
{
    int value = -99, os_error = 5;
    assert_int_equal(tina__sock_get(os_fd, option, &value, &os_error), TINA_OK);
    assert_int_equal(os_error, 0);
    return value;
}

static void set(int os_fd, int option, int value)
{
    int os_error = 5;
    assert_int_equal(tina__sock_set(os_fd, option, value, &os_error), TINA_OK);
    assert_int_equal(os_error, 0);
}

static void refuse(int os_fd, int option, int value)
{
    int os_error = 5;
    assert_int_equal(tina__sock_set(os_fd, option, value, &os_error), TINA_INVALID);
    assert_int_equal(os_error, 0);
}

static void option_that_is_a_switch_takes_0_and_1_alone(void **state)
{
    (void)state;
    static const int switches[] = {TINA_OPT_REUSEADDR, TINA_OPT_REUSEPORT, TINA_OPT_KEEPALIVE, TINA_OPT_NODELAY,
                                   TINA_OPT_CORK};
    int os_fd = open_stream(TINA_IPV4);
    for (size_t i = 0; i < sizeof switches / sizeof switches[0]; i++) {
        set(os_fd, switches[i], 1);
        assert_int_equal(get(os_fd, switches[i]), 1);
        set(os_fd, switches[i], 0);
        assert_int_equal(get(os_fd, switches[i]), 0);
        refuse(os_fd, switches[i], 2);
        refuse(os_fd, switches[i], -1);
    }
    close(os_fd);
}

static void option_v6only_is_of_ipv6_alone(void **state)
{
    (void)state;
    int os_fd = open_stream(TINA_IPV4), os_error;
    assert_int_equal(tina__sock_set(os_fd, TINA_OPT_V6ONLY, 1, &os_error), TINA_UNSUPPORTED);
    assert_int_not_equal(os_error, 0);
    close(os_fd);
    os_fd = open_stream(TINA_IPV6);
    set(os_fd, TINA_OPT_V6ONLY, 1);
    assert_int_equal(get(os_fd, TINA_OPT_V6ONLY), 1);
    set(os_fd, TINA_OPT_V6ONLY, 0);
    assert_int_equal(get(os_fd, TINA_OPT_V6ONLY), 0);
    refuse(os_fd, TINA_OPT_V6ONLY, 2);
    close(os_fd);
}

static void option_linger_is_0_or_off(void **state)
{
    (void)state;
    int os_fd = open_stream(TINA_IPV4);
    assert_int_equal(get(os_fd, TINA_OPT_LINGER), -1);
    set(os_fd, TINA_OPT_LINGER, 0);
    assert_int_equal(get(os_fd, TINA_OPT_LINGER), 0);
    set(os_fd, TINA_OPT_LINGER, -1);
    assert_int_equal(get(os_fd, TINA_OPT_LINGER), -1);
    refuse(os_fd, TINA_OPT_LINGER, 1);
    refuse(os_fd, TINA_OPT_LINGER, -2);
    close(os_fd);
}

static void option_with_a_number_has_bounds(void **state)
{
    (void)state;
    int os_fd = open_stream(TINA_IPV4);
    set(os_fd, TINA_OPT_KEEPIDLE, 32767);
    assert_int_equal(get(os_fd, TINA_OPT_KEEPIDLE), 32767);
    set(os_fd, TINA_OPT_KEEPINTVL, 1);
    assert_int_equal(get(os_fd, TINA_OPT_KEEPINTVL), 1);
    set(os_fd, TINA_OPT_KEEPCNT, 127);
    assert_int_equal(get(os_fd, TINA_OPT_KEEPCNT), 127);
    refuse(os_fd, TINA_OPT_KEEPIDLE, 32768);
    refuse(os_fd, TINA_OPT_KEEPINTVL, 0);
    refuse(os_fd, TINA_OPT_KEEPCNT, 128);
    set(os_fd, TINA_OPT_RCVBUF, 16384);
    assert_true(get(os_fd, TINA_OPT_RCVBUF) >= 16384);
    set(os_fd, TINA_OPT_SNDBUF, 16384);
    assert_true(get(os_fd, TINA_OPT_SNDBUF) >= 16384);
    refuse(os_fd, TINA_OPT_RCVBUF, 0);
    refuse(os_fd, TINA_OPT_SNDBUF, -1);
    close(os_fd);
}

static void option_that_does_not_exist_is_invalid(void **state)
{
    (void)state;
    int os_fd = open_stream(TINA_IPV4), value, os_error;
    refuse(os_fd, TINA_OPT_KEEPCNT + 1, 1);
    refuse(os_fd, -1, 1);
    assert_int_equal(tina__sock_get(os_fd, TINA_OPT_KEEPCNT + 1, &value, &os_error), TINA_INVALID);
    assert_int_equal(tina__sock_get(os_fd, -1, &value, &os_error), TINA_INVALID);
    close(os_fd);
}

/* ---- Datagrams ---- */

static int open_datagram(int family)
{
    int os_fd, os_error;
    assert_int_equal(tina__sock_open(family, TINA_DATAGRAM, &os_fd, &os_error), TINA_OK);
    return os_fd;
}

/* A name in the abstract namespace that is nobody else's. */
static tina_address own_name(char which)
{
    char text[64];
    tina_address address;
    snprintf(text, sizeof text, "unix:@tina-sock-posix-%d-%c", (int)getpid(), which);
    assert_int_equal(tina_address_parse(text, &address), TINA_OK);
    return address;
}

static int open_bound(const tina_address *wanted, tina_address *address)
{
    int os_fd = open_datagram(wanted->family), os_error;
    assert_int_equal(tina__sock_bind(os_fd, wanted, &os_error), TINA_OK);
    assert_int_equal(tina__sock_local(os_fd, address, &os_error), TINA_OK);
    return os_fd;
}

static void datagram_tells_whom_it_is_from_for(const tina_address *first, const tina_address *second)
{
    tina_address address, other_address, from;
    int os_fd = open_bound(first, &address), other = open_bound(second, &other_address);
    char text[16];
    bool is_truncated = true;
    assert_int_equal(tina__sock_send_to(other, "hello", 5, &address), 5);
    assert_int_equal(tina__sock_receive_from(os_fd, text, sizeof text, &from, &is_truncated), 5);
    assert_memory_equal(text, "hello", 5);
    assert_memory_equal(&from, &other_address, sizeof from);
    assert_false(is_truncated);
    assert_int_equal(tina__sock_send_to(os_fd, "back", 4, &from), 4);
    assert_int_equal(tina__sock_receive_from(other, text, sizeof text, &from, &is_truncated), 4);
    assert_memory_equal(&from, &address, sizeof from);
    close(os_fd);
    close(other);
}

static void datagram_of_ipv4_tells_whom_it_is_from(void **state)
{
    (void)state;
    datagram_tells_whom_it_is_from_for(&loopback, &loopback);
}

static void datagram_of_a_name_tells_whom_it_is_from(void **state)
{
    (void)state;
    tina_address first = own_name('a'), second = own_name('b');
    datagram_tells_whom_it_is_from_for(&first, &second);
}

static void datagram_of_a_path_tells_whom_it_is_from(void **state)
{
    (void)state;
    char folder[] = "/tmp/tina-sock-XXXXXX", first_path[64], second_path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(first_path, sizeof first_path, "%s/first", folder);
    snprintf(second_path, sizeof second_path, "%s/the-second-of-them", folder);
    tina_address first = tina_unix(first_path), second = tina_unix(second_path);
    datagram_tells_whom_it_is_from_for(&first, &second);
    assert_int_equal(unlink(first_path), 0);
    assert_int_equal(unlink(second_path), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void datagram_of_no_name_is_from_a_unix_socket_without_one(void **state)
{
    (void)state;
    tina_address name = own_name('c'), address, from = loopback;
    int os_fd = open_bound(&name, &address), other = open_datagram(TINA_UNIX);
    bool is_truncated;
    char byte;
    assert_int_equal(tina__sock_send_to(other, "x", 1, &address), 1);
    assert_int_equal(tina__sock_receive_from(os_fd, &byte, 1, &from, &is_truncated), 1);
    assert_int_equal(from.family, TINA_UNIX);
    assert_int_equal(from.length, 0);
    close(os_fd);
    close(other);
}

static void datagram_of_a_stream_is_from_nobody_known(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    tina_address from = loopback;
    bool is_truncated;
    char byte;
    assert_int_equal(tina__sock_send_to(ends[1], "x", 1, NULL), 1);
    assert_int_equal(tina__sock_receive_from(ends[0], &byte, 1, &from, &is_truncated), 1);
    assert_int_equal(from.family, 0);
    close(ends[0]);
    close(ends[1]);
}

static void datagram_that_is_longer_is_cut_and_says_so(void **state)
{
    (void)state;
    tina_address address, from;
    int os_fd = open_bound(&loopback, &address), other = open_datagram(TINA_IPV4);
    char text[3];
    bool is_truncated = false;
    assert_int_equal(tina__sock_send_to(other, "hello", 5, &address), 5);
    assert_int_equal(tina__sock_send_to(other, "", 0, &address), 0);
    assert_int_equal(tina__sock_receive_from(os_fd, text, sizeof text, &from, &is_truncated), 3);
    assert_memory_equal(text, "hel", 3);
    assert_true(is_truncated);
    assert_int_equal(tina__sock_receive_from(os_fd, text, sizeof text, &from, &is_truncated), 0); /* the empty one */
    assert_false(is_truncated);
    assert_int_equal(tina__sock_receive_from(os_fd, text, sizeof text, &from, &is_truncated), -1);
    assert_int_equal(errno, EAGAIN);
    close(os_fd);
    close(other);
}

static void datagram_to_no_address_is_invalid(void **state)
{
    (void)state;
    int os_fd = open_datagram(TINA_IPV4);
    tina_address none = {0};
    assert_int_equal(tina__sock_send_to(os_fd, "x", 1, &none), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(tina__sock_send_to(os_fd, "x", 1, NULL), -1);
    assert_int_equal(errno, EDESTADDRREQ);
    close(os_fd);
}

/* ---- What others have opened ---- */

static void adopts(int os_fd, uint8_t expected)
{
    uint8_t fd_class = 0xFF;
    int os_error = 5;
    assert_true(os_fd >= 0);
    assert_int_equal(tina__sock_adopt(os_fd, &fd_class, &os_error), TINA_OK);
    assert_int_equal(os_error, 0);
    assert_int_equal(fd_class, expected);
    assert_true(fcntl(os_fd, F_GETFD) & FD_CLOEXEC);
}

static void adopt_of_a_socket_makes_it_not_wait(void **state)
{
    (void)state;
    int stream = socket(AF_INET, SOCK_STREAM, 0), datagram = socket(AF_UNIX, SOCK_DGRAM, 0);
    adopts(stream, TINA__FD_STREAM);
    adopts(datagram, TINA__FD_DATAGRAM);
    assert_true(fcntl(stream, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(datagram, F_GETFL) & O_NONBLOCK);
    close(stream);
    close(datagram);
}

static void adopt_of_anything_else_changes_no_flag(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    int file = open("/proc/self/exe", O_RDONLY), folder = open("/tmp", O_RDONLY | O_DIRECTORY),
        device = open("/dev/null", O_RDWR);
    int flags = fcntl(ends[0], F_GETFL), file_flags = fcntl(file, F_GETFL);
    adopts(ends[0], TINA__FD_PIPE);
    adopts(ends[1], TINA__FD_PIPE);
    adopts(device, TINA__FD_PIPE);
    adopts(file, TINA__FD_FILE);
    adopts(folder, TINA__FD_FILE);
    assert_int_equal(fcntl(ends[0], F_GETFL), flags);
    assert_int_equal(fcntl(file, F_GETFL), file_flags);
    int all[] = {ends[0], ends[1], file, folder, device};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        close(all[i]);
}

static void adopt_of_what_is_of_no_use_leaves_it_alone(void **state)
{
    (void)state;
    uint8_t fd_class;
    int os_error = 5, ends[2];
    assert_int_equal(tina__sock_adopt(-1, &fd_class, &os_error), TINA_INVALID);
    assert_int_equal(os_error, 0);
    int name = open("/tmp", O_PATH);
    assert_int_equal(tina__sock_adopt(name, &fd_class, &os_error), TINA_UNSUPPORTED);
    close(name);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
    assert_int_equal(tina__sock_adopt(ends[0], &fd_class, &os_error), TINA_UNSUPPORTED);
    assert_int_equal(fcntl(ends[0], F_GETFD), 0);
    assert_false(fcntl(ends[0], F_GETFL) & O_NONBLOCK);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(address_of_ipv4_survives_the_way_there_and_back),
        cmocka_unit_test(address_of_ipv6_survives_the_way_there_and_back),
        cmocka_unit_test(address_of_another_family_is_not_encoded),
        cmocka_unit_test(address_that_is_cut_short_is_not_decoded),
        cmocka_unit_test(address_of_a_path_survives_the_way_there_and_back),
        cmocka_unit_test(address_of_the_longest_path_survives_and_a_longer_one_is_none),
        cmocka_unit_test(address_of_a_path_with_a_zero_inside_is_not_encoded),
        cmocka_unit_test(status_of_each_errno_is_the_documented_one),
        cmocka_unit_test(open_makes_a_socket_that_does_not_block_and_is_not_inherited),
        cmocka_unit_test(open_of_what_does_not_exist_is_invalid),
        cmocka_unit_test(bind_to_port_0_gets_a_port),
        cmocka_unit_test(bind_to_a_port_in_use_says_so),
        cmocka_unit_test(bind_to_an_address_that_is_not_here_is_a_system_error),
        cmocka_unit_test(bind_to_no_address_is_invalid),
        cmocka_unit_test(peer_of_what_is_not_connected_is_a_system_error),
        cmocka_unit_test(shutdown_of_no_half_is_invalid),
        cmocka_unit_test(option_that_is_a_switch_takes_0_and_1_alone),
        cmocka_unit_test(option_v6only_is_of_ipv6_alone),
        cmocka_unit_test(option_linger_is_0_or_off),
        cmocka_unit_test(option_with_a_number_has_bounds),
        cmocka_unit_test(option_that_does_not_exist_is_invalid),
        cmocka_unit_test(datagram_of_ipv4_tells_whom_it_is_from),
        cmocka_unit_test(datagram_of_a_name_tells_whom_it_is_from),
        cmocka_unit_test(datagram_of_a_path_tells_whom_it_is_from),
        cmocka_unit_test(datagram_of_no_name_is_from_a_unix_socket_without_one),
        cmocka_unit_test(datagram_of_a_stream_is_from_nobody_known),
        cmocka_unit_test(datagram_that_is_longer_is_cut_and_says_so),
        cmocka_unit_test(datagram_to_no_address_is_invalid),
        cmocka_unit_test(adopt_of_a_socket_makes_it_not_wait),
        cmocka_unit_test(adopt_of_anything_else_changes_no_flag),
        cmocka_unit_test(adopt_of_what_is_of_no_use_leaves_it_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
