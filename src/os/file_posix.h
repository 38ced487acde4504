/*
 * Files of a POSIX host: how they are opened, and what an open descriptor is. No
 * state; any thread.
 */
#ifndef TINA__OS_FILE_POSIX_H
#define TINA__OS_FILE_POSIX_H

#include <stdint.h>

/* O_... of TINA_OPEN_..., with O_CLOEXEC, O_NOCTTY and O_NONBLOCK, so that no pipe is waited for. */
int tina__file_open_flags(uint32_t flags);

/* What a descriptor that is no socket is: TINA__FD_FILE, where it has offsets, or TINA__FD_PIPE. Of one that is not open: the latter. */
uint8_t tina__file_class(int os_fd);

/* After an open: its class; clears O_NONBLOCK where it has offsets. */
uint8_t tina__file_settle(int os_fd);

#endif
