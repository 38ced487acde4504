#define _GNU_SOURCE 1
#include "snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define TRIES_MAX 200 /* to find the page as it is between two writes */
#define PAUSE_NS  1000000

static __attribute__((format(printf, 2, 3))) snapshot_state refuse(page_snapshot *snapshot, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(snapshot->trouble, sizeof snapshot->trouble, format, arguments);
    va_end(arguments);
    return SNAPSHOT_REFUSED;
}

/* ---- What is in it ----------------------------------------------------------------------------- */

/* Text of the page's goes to a terminal: it ends, and is printable. */
static void tame(char *text, size_t size)
{
    text[size - 1] = '\0';
    for (size_t i = 0; text[i] != '\0'; i++) {
        if (text[i] < ' ' || text[i] > '~')
            text[i] = '?';
    }
}

static snapshot_state check_version(page_snapshot *snapshot)
{
    const tina__page *page = &snapshot->page;
    if (memcmp(page->magic, TINA__PAGE_MAGIC, sizeof page->magic) != 0)
        return refuse(snapshot, "is no statistics page");
    if (page->version != TINA__PAGE_VERSION)
        return refuse(snapshot, "is version %u of the page, of libtina %s; this tinatop, of %s, reads version %u",
                      page->version, page->library, TINA_VERSION, TINA__PAGE_VERSION);
    if (page->header_size != sizeof *page || page->shard_size != sizeof(tina_stats) ||
        page->type_size != sizeof(tina_type_stats))
        return refuse(snapshot, "is of libtina %s, which counts other things than this tinatop, of %s, reads", page->library,
                      TINA_VERSION);
    if (page->shard_count < 1 || page->shard_count > TINA_SHARDS_MAX || page->type_count < 1 ||
        page->type_count > TINA_TYPES_MAX)
        return refuse(snapshot, "is damaged: it tells of %u shards and %u types", page->shard_count, page->type_count);
    return SNAPSHOT_LIVE;
}

static snapshot_state take_records(page_snapshot *snapshot, const uint8_t *bytes)
{
    size_t shard_count = snapshot->page.shard_count, type_count = snapshot->page.type_count;
    size_t size = tina__page_size(shard_count, type_count) - sizeof(tina__page);
    uint8_t *memory = malloc(size);
    if (memory == NULL)
        return refuse(snapshot, "needs more memory than there is");
    memcpy(memory, bytes + sizeof(tina__page), size);
    snapshot->memory = memory;
    snapshot->shards = (tina_stats *)(void *)memory;
    snapshot->types = (tina_type_stats *)(void *)(memory + shard_count * sizeof(tina_stats));
    for (size_t i = 0; i < shard_count * type_count; i++)
        tame(snapshot->types[i].name, sizeof snapshot->types[i].name);
    return SNAPSHOT_LIVE;
}

snapshot_state snapshot_take(page_snapshot *snapshot, const void *bytes, size_t size)
{
    memset(snapshot, 0, sizeof *snapshot);
    if (size < sizeof snapshot->page)
        return refuse(snapshot, size == 0 ? "is empty" : "is no statistics page");
    memcpy(&snapshot->page, bytes, sizeof snapshot->page);
    tame(snapshot->page.library, sizeof snapshot->page.library);
    snapshot_state state = check_version(snapshot);
    if (state != SNAPSHOT_LIVE)
        return state;
    size_t whole = tina__page_size(snapshot->page.shard_count, snapshot->page.type_count);
    if (size < whole)
        return refuse(snapshot, "is cut off: %zu bytes of %zu", size, whole);
    return take_records(snapshot, bytes);
}

void snapshot_free(page_snapshot *snapshot)
{
    free(snapshot->memory);
    memset(snapshot, 0, sizeof *snapshot);
}

bool snapshot_follows(const page_snapshot *later, const page_snapshot *earlier)
{
    const tina__page *a = &earlier->page, *b = &later->page;
    return earlier->memory != NULL && a->writer == b->writer && a->started_ns == b->started_ns &&
           a->written_ns < b->written_ns && a->shard_count == b->shard_count && a->type_count == b->type_count;
}

/* ---- The file ------------------------------------------------------------------------------------- */

/* All of it, to be freed. NULL: errno says why. */
static uint8_t *read_file(int fd, size_t size, size_t *read_size)
{
    uint8_t *bytes = malloc(size + 1);
    *read_size = 0;
    while (bytes != NULL && *read_size < size) {
        ssize_t count = pread(fd, bytes + *read_size, size - *read_size, (off_t)*read_size);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0) {
            free(bytes);
            return NULL;
        }
        if (count == 0)
            break; /* it was cut off meanwhile */
        *read_size += (size_t)count;
    }
    return bytes;
}

/* The writer holds a lock for as long as it lives; asking for it takes none. */
static bool is_written(int fd)
{
    struct flock whole = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
    return fcntl(fd, F_OFD_GETLK, &whole) == 0 && whole.l_type == F_WRLCK;
}

static uint64_t sequence_now(int fd)
{
    uint64_t sequence = 0;
    if (pread(fd, &sequence, sizeof sequence, offsetof(tina__page, sequence)) != (ssize_t)sizeof sequence)
        return UINT64_MAX;
    return sequence;
}

/* The largest that a page can be: more of a file is not read. */
static size_t size_of(const struct stat *about)
{
    size_t most = tina__page_size(TINA_SHARDS_MAX, TINA_TYPES_MAX);
    return (uint64_t)about->st_size < most ? (size_t)about->st_size : most;
}

static snapshot_state take_file(page_snapshot *snapshot, int fd, bool *is_torn)
{
    struct stat about;
    if (fstat(fd, &about) != 0 || !S_ISREG(about.st_mode))
        return refuse(snapshot, "is no regular file");
    size_t size;
    uint8_t *bytes = read_file(fd, size_of(&about), &size);
    if (bytes == NULL)
        return refuse(snapshot, "can't be read: %s", strerror(errno));
    snapshot_state state = snapshot_take(snapshot, bytes, size);
    free(bytes);
    uint64_t sequence = snapshot->page.sequence;
    *is_torn = is_written(fd) && (sequence % 2 == 1 || sequence != sequence_now(fd));
    return state;
}

snapshot_state snapshot_read(page_snapshot *snapshot, const char *path)
{
    memset(snapshot, 0, sizeof *snapshot);
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0) {
        snapshot_state state = refuse(snapshot, "can't be opened: %s", strerror(errno));
        return errno == ENOENT ? SNAPSHOT_MISSING : state;
    }
    bool is_torn = true;
    snapshot_state state = SNAPSHOT_REFUSED;
    for (int i = 0; i < TRIES_MAX && is_torn; i++) {
        if (i != 0)
            nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
        snapshot_free(snapshot);
        is_torn = false;
        state = take_file(snapshot, fd, &is_torn);
    }
    if (state == SNAPSHOT_LIVE && !is_written(fd))
        state = SNAPSHOT_LEFT;
    close(fd);
    return state;
}
