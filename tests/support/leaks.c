#include "support/leaks.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Neither reader allocates: the heap that grew by looking would be counted. */

struct entry {
    uint64_t inode;
    int64_t offset;
    uint16_t size;
    uint8_t type;
    char name[];
};

static int open_or_die(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC);
    if (fd < 0)
        abort();
    return fd;
}

size_t tina_test_fd_count(void)
{
    _Alignas(struct entry) char buffer[4096];
    size_t count = 0;
    long got;
    int fd = open_or_die("/proc/self/fd", O_RDONLY | O_DIRECTORY);
    while ((got = syscall(SYS_getdents64, fd, buffer, sizeof buffer)) > 0) {
        for (long at = 0; at < got;) {
            const struct entry *entry = (const struct entry *)(const void *)(buffer + at);
            if (entry->name[0] != '.')
                count++;
            at += entry->size;
        }
    }
    close(fd);
    return count - 1;
}

static tina_test_mapping_kind kind_of(const char *name)
{
    if (name[0] == '\0')
        return TINA_TEST_MAPPED_NAMELESS;
    if (strcmp(name, "[heap]") == 0)
        return TINA_TEST_MAPPED_HEAP;
    if (strcmp(name, "[stack]") == 0)
        return TINA_TEST_MAPPED_STACK;
    /* A ring's memory has a path in which no file lies. */
    bool is_file = name[0] == '/' && strstr(name, "anon_inode:") == NULL;
    return is_file ? TINA_TEST_MAPPED_FILE : TINA_TEST_MAPPED_OTHERWISE;
}

/* "START-END FLAGS OFFSET DEVICE INODE   NAME", of which the name may be missing. */
static void add_mapping(tina_test_mappings *to, const char *line)
{
    char *at;
    uintmax_t start = strtoumax(line, &at, 16);
    uintmax_t end = strtoumax(at + 1, &at, 16);
    for (unsigned fields = 0; fields < 4; fields++) {
        at += strspn(at, " ");
        at += strcspn(at, " ");
    }
    tina_test_mapping_kind kind = kind_of(at + strspn(at, " "));
    to->count[kind]++;
    to->bytes[kind] += (size_t)(end - start);
}

tina_test_mappings tina_test_look_at_mappings(void)
{
    char buffer[4096], line[512];
    size_t length = 0;
    ssize_t got;
    tina_test_mappings found = {0};
    int fd = open_or_die("/proc/self/maps", O_RDONLY);
    while ((got = read(fd, buffer, sizeof buffer)) > 0) {
        for (ssize_t at = 0; at < got; at++) {
            bool is_end = buffer[at] == '\n';
            line[length] = is_end ? '\0' : buffer[at];
            length += !is_end && length < sizeof line - 1;
            if (!is_end)
                continue;
            add_mapping(&found, line);
            length = 0;
        }
    }
    close(fd);
    return found;
}

size_t tina_test_mapping_count(void)
{
    tina_test_mappings found = tina_test_look_at_mappings();
    size_t count = 0;
    for (size_t kind = 0; kind < TINA_TEST_MAPPED_KINDS; kind++)
        count += found.count[kind];
    return count;
}
