/* Where lines for the log of the whole machine go. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "os/os.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* The journal says in the environment which descriptor is its own; what was redirected since is another. */
bool tina__os_error_is_journal(void)
{
    const char *told = getenv("JOURNAL_STREAM");
    unsigned long long device, inode;
    struct stat found;
    if (told == NULL || sscanf(told, "%llu:%llu", &device, &inode) != 2 || fstat(STDERR_FILENO, &found) != 0)
        return false;
    return found.st_dev == device && found.st_ino == inode;
}

const char *tina__os_program_name(void) { return program_invocation_short_name; }

long tina__os_process_id(void) { return getpid(); }

bool tina__os_send_datagram(const char *path, const char *bytes, size_t size)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof to.sun_path)
        return false;
    strcpy(to.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    ssize_t sent = sendto(fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)&to, sizeof to);
    close(fd);
    return sent == (ssize_t)size;
}
