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

/* False: address is of no family that the host's sockets know, or a path that holds a zero. */
bool tina__sock_encode(const tina_address *address, tina__sock_address *host);
/* False: of no family that tina_address knows, or a path that it can't hold; *address is zeroed. */
bool tina__sock_decode(const tina__sock_address *host, tina_address *address);

/*
 * What an operation that failed with this errno came to. os_error is not 0.
 *
 * An address that is not there (EADDRNOTAVAIL) and one to which no way leads
 * (EHOSTUNREACH, ENETUNREACH, ENETDOWN, EHOSTDOWN) are TINA_NOT_FOUND, as a path is
 * that leads nowhere (ENOENT, ENOTDIR); a disk or a quota that is full (ENOSPC,
 * EDQUOT) is TINA_DISK_FULL; a disk that nobody may write to (EROFS) TINA_DENIED.
 * Whatever has no status of its own is TINA_SYSTEM_ERROR.
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

/* ---- Datagrams: one at a time, and without waiting ---- */

/*
 * How many bytes of it were taken; *is_truncated: it had more. from->family 0: whom
 * it is from is not known; TINA_UNIX with length 0: from a socket without a name.
 * -1: errno.
 */
ssize_t tina__sock_receive_from(int os_fd, void *data, size_t size, tina_address *from, bool *is_truncated);
/* What the host says of whom a datagram is from, length 0 where it says nothing: as above. */
void tina__sock_decode_sender(int os_fd, const tina__sock_address *host, tina_address *from);
/* to NULL: where it is connected to. -1: errno; EINVAL also for an address that tina__sock_encode does not take. */
ssize_t tina__sock_send_to(int os_fd, const void *data, size_t size, const tina_address *to);

/* ---- What others have opened ---- */

/*
 * What an open descriptor is (tina__fd_class, as a number); a socket becomes
 * non-blocking, and it is closed on exec. A terminal that waits is opened anew, under
 * the same number, as one that does not. TINA_OK; TINA_INVALID: it is not open;
 * TINA_UNSUPPORTED: it can't be read or written, is a socket of records with
 * connections, or a terminal that may not be opened anew. Where it is not TINA_OK, nothing has changed.
 */
tina_status tina__sock_adopt(int os_fd, uint8_t *fd_class, int *os_error);

bool tina__sock_is_tcp(int os_fd);

#endif
