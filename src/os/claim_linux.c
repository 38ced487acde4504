#define _GNU_SOURCE 1
#include "os/claim.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define TRIES_MAX 16 /* to open a file that its last owner removes at that moment */

static tina_status fail(tina_status status, const char *words, const char **why)
{
    *why = words;
    return status;
}

static tina_status failed(int error, const char **why, int *os_error)
{
    *os_error = error;
    switch (error) {
    case EACCES:
    case EPERM:
    case EROFS: return fail(TINA_DENIED, "may not be written", why);
    case ENOSPC:
    case EDQUOT:
    case EFBIG: return fail(TINA_DISK_FULL, "finds no space left on its device", why);
    case ENOENT:
    case ENOTDIR: return fail(TINA_NOT_FOUND, "is in a directory that does not exist", why);
    case ELOOP: return fail(TINA_INVALID, "is a symbolic link", why);
    case EISDIR: return fail(TINA_INVALID, "is no regular file", why);
    default: return fail(TINA_SYSTEM_ERROR, "can't be made", why);
    }
}

/* What is there must be a file of ours: nothing else is even opened. */
static tina_status look(const char *path, const char **why, int *os_error)
{
    struct stat about;
    if (lstat(path, &about) != 0)
        return errno == ENOENT ? TINA_OK : failed(errno, why, os_error);
    if (S_ISLNK(about.st_mode))
        return failed(ELOOP, why, os_error);
    if (!S_ISREG(about.st_mode))
        return failed(EISDIR, why, os_error);
    return about.st_uid == geteuid() ? TINA_OK : fail(TINA_DENIED, "belongs to another user", why);
}

/* Empty, or one of its kind, and nobody's but ours: what was looked at by its path may have been another file. */
static tina_status check_content(int fd, const struct stat *about, const char *magic, const char **why)
{
    char begin[TINA__CLAIM_MAGIC_SIZE];
    if (!S_ISREG(about->st_mode))
        return fail(TINA_INVALID, "is no regular file", why);
    if (about->st_uid != geteuid())
        return fail(TINA_DENIED, "belongs to another user", why);
    if (about->st_nlink > 1)
        return fail(TINA_INVALID, "is another file's name, too", why);
    if (about->st_size == 0)
        return TINA_OK;
    if (pread(fd, begin, sizeof begin, 0) == (ssize_t)sizeof begin && memcmp(begin, magic, sizeof begin) == 0)
        return TINA_OK;
    return fail(TINA_INVALID, "exists already and is something else: choose another path", why);
}

/* An open file description's lock: it ends with the claim, or with the process. */
static tina_status lock(int fd, const char **why, int *os_error)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_OFD_SETLK, &whole) == 0)
        return TINA_OK;
    if (errno == EAGAIN || errno == EACCES)
        return fail(TINA_INVALID, "is that of a system that runs", why);
    return failed(errno, why, os_error);
}

static bool is_at(const char *path, uint64_t device, uint64_t inode)
{
    struct stat about;
    return lstat(path, &about) == 0 && about.st_dev == device && about.st_ino == inode;
}

/* Opened, locked and looked at. *is_gone: it was removed meanwhile. */
static tina_status take(tina__claim *claim, const char *path, const char *magic, bool *is_gone, const char **why,
                        int *os_error)
{
    struct stat about;
    *is_gone = false;
    tina_status status = look(path, why, os_error);
    if (status != TINA_OK)
        return status;
    claim->fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0644);
    if (claim->fd < 0)
        return failed(errno, why, os_error);
    status = fstat(claim->fd, &about) == 0 ? check_content(claim->fd, &about, magic, why) : failed(errno, why, os_error);
    if (status == TINA_OK)
        status = lock(claim->fd, why, os_error);
    claim->device = about.st_dev;
    claim->inode = about.st_ino;
    *is_gone = status == TINA_OK && !is_at(path, claim->device, claim->inode);
    return status;
}

/* Empty first: what a reader has read of the one before, it finds to be over. */
static tina_status resize(int fd, size_t size, const char **why, int *os_error)
{
    if (ftruncate(fd, 0) != 0)
        return failed(errno, why, os_error);
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < size)
        return failed(EFBIG, why, os_error); /* the kernel would raise SIGXFSZ */
    int error;
    do
        error = posix_fallocate(fd, 0, (off_t)size);
    while (error == EINTR);
    return error == 0 ? TINA_OK : failed(error, why, os_error);
}

static void drop(tina__claim *claim)
{
    if (claim->fd >= 0)
        (void)close(claim->fd);
    claim->fd = -1;
}

tina_status tina__claim_open(tina__claim *claim, const char *path, const char *magic, size_t size, const char **why,
                             int *os_error)
{
    bool is_gone = true;
    tina_status status = TINA_OK;
    claim->fd = -1;
    for (int i = 0; i < TRIES_MAX && is_gone && status == TINA_OK; i++) {
        drop(claim);
        status = take(claim, path, magic, &is_gone, why, os_error);
    }
    if (status == TINA_OK && is_gone)
        status = fail(TINA_SYSTEM_ERROR, "is removed again and again", why);
    if (status != TINA_OK) {
        drop(claim);
        return status;
    }
    status = resize(claim->fd, size, why, os_error);
    if (status != TINA_OK)
        tina__claim_close(claim, path);
    return status;
}

bool tina__claim_write(const tina__claim *claim, const void *bytes, size_t size, size_t offset, int *os_error)
{
    const char *at = bytes;
    while (size != 0) {
        ssize_t count = pwrite(claim->fd, at, size, (off_t)offset);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0) {
            *os_error = count < 0 ? errno : EIO;
            return false;
        }
        at += count;
        offset += (size_t)count;
        size -= (size_t)count;
    }
    return true;
}

void tina__claim_close(tina__claim *claim, const char *path)
{
    if (claim->fd < 0)
        return;
    if (is_at(path, claim->device, claim->inode))
        (void)unlink(path);
    drop(claim);
}
