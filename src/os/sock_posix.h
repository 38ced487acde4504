/*
 * The socket calls of a POSIX host, and the translation of addresses, options
 * and errors between it and libtina. No state; any thread.
 *
 * Every socket is non-blocking and closed on exec. No call here waits.
 */
#ifndef TINA__OS_SOCK_POSIX_H
#define TINA__OS_SOCK_POSIX_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <tina/io.h>

/* An address as the host writes it. Lies in a request's backend_memory. */
typedef struct tina__sock_address {
    union {
        struct sockaddr any;
        struct sockaddr_in ipv4;
        struct sockaddr_in6 ipv6;
        struct sockaddr_un local;
        uint8_t bytes[112];
    };
    socklen_t length;
} tina__sock_address;
TINA_STATIC_ASSERT(sizeof(tina__sock_address) <= 128, "fits into a request's backend_memory");

/* False: address is of no family that the host's sockets know. */
bool tina__sock_encode(const tina_address *address, tina__sock_address *host);
/* False: of no family that tina_address knows; *address is zeroed. */
bool tina__sock_decode(const tina__sock_address *host, tina_address *address);

/*
 * What an operation that failed with this errno came to. os_error is not 0.
 *
 * An address that is not there (EADDRNOTAVAIL) and one to which no way leads
 * (EHOSTUNREACH, ENETUNREACH, ENETDOWN, EHOSTDOWN) are TINA_NOT_FOUND; whatever has
 * no status of its own is TINA_SYSTEM_ERROR.
 */
tina_status tina__sock_status(int os_error);

/*
 * The synchronous calls. TINA_OK; TINA_INVALID: an argument, *os_error is 0;
 * TINA_DENIED; TINA_UNSUPPORTED; TINA_SYSTEM_ERROR; the first also
 * TINA_POOL_EXHAUSTED. *os_error is the errno of a failure, 0 where there is none.
 */
tina_status tina__sock_open(int family, int type, int *os_fd, int *os_error);
tina_status tina__sock_bind(int os_fd, const tina_address *address, int *os_error);
tina_status tina__sock_listen(int os_fd, int backlog, int *os_error);
tina_status tina__sock_local(int os_fd, tina_address *address, int *os_error);
tina_status tina__sock_peer(int os_fd, tina_address *address, int *os_error);
tina_status tina__sock_set(int os_fd, int option, int value, int *os_error);
tina_status tina__sock_get(int os_fd, int option, int *value, int *os_error);
tina_status tina__sock_shutdown(int os_fd, int half, int *os_error);

/*
 * What an open descriptor is (tina__fd_class, as a number); a socket becomes
 * non-blocking, and it is closed on exec. TINA_OK; TINA_INVALID: it is not open;
 * TINA_UNSUPPORTED.
 */
tina_status tina__sock_adopt(int os_fd, uint8_t *fd_class, int *os_error);

#endif
