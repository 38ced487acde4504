#define _GNU_SOURCE 1
#include "os/file_posix.h"

#include "base/fd_class.h"

#include <fcntl.h>
#include <stddef.h>
#include <sys/stat.h>
#include <tina/io.h>

static int access_mode(uint32_t flags)
{
    if ((flags & TINA_OPEN_WRITE) == 0)
        return O_RDONLY;
    return (flags & TINA_OPEN_READ) == 0 ? O_WRONLY : O_RDWR;
}

int tina__file_open_flags(uint32_t flags)
{
    static const struct {
        uint32_t flag;
        int host;
    } rows[] = {
        {TINA_OPEN_CREATE, O_CREAT},   {TINA_OPEN_TRUNCATE, O_TRUNC},   {TINA_OPEN_APPEND, O_APPEND},
        {TINA_OPEN_EXCLUSIVE, O_EXCL}, {TINA_OPEN_DIRECT_SYNC, O_SYNC},
    };
    int host = access_mode(flags) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if ((flags & rows[i].flag) != 0)
            host |= rows[i].host;
    }
    return host;
}

uint8_t tina__file_class(int os_fd)
{
    struct stat about;
    if (fstat(os_fd, &about) != 0)
        return TINA__FD_PIPE;
    bool has_offsets = S_ISREG(about.st_mode) || S_ISDIR(about.st_mode) || S_ISBLK(about.st_mode);
    return has_offsets ? TINA__FD_FILE : TINA__FD_PIPE;
}

uint8_t tina__file_settle(int os_fd)
{
    uint8_t fd_class = tina__file_class(os_fd);
    int flags = fcntl(os_fd, F_GETFL);
    if (fd_class == TINA__FD_FILE && flags >= 0)
        (void)fcntl(os_fd, F_SETFL, flags & ~O_NONBLOCK);
    return fd_class;
}
