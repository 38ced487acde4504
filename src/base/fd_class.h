/* What a descriptor is, as far as it matters to what can be done with it. */
#ifndef TINA__BASE_FD_CLASS_H
#define TINA__BASE_FD_CLASS_H

typedef enum tina__fd_class {
    TINA__FD_STREAM,   /* a socket: bytes, or a listener */
    TINA__FD_DATAGRAM, /* a socket: datagrams */
    TINA__FD_PIPE,     /* bytes, but no socket: also terminals and other devices */
    TINA__FD_FILE,     /* has offsets; also directories */
} tina__fd_class;

#endif
